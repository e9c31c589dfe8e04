//! Collects what decoders produce: rows of any number of tables, quarantined records, and their counts.
//!
//! A portion ([`Decoded`]) ends when its rows or bytes reach a limit. All tables end together, so that everything
//! before a portion's cursor has been delivered when the portion is: data and progress can be committed as one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use foldhash::HashMap;
use moneta_base::limits::{BLOCK_ROWS_MAX, QUARANTINE_BYTES_MAX, RECORD_FIELDS_MAX};
use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::builder::ColumnIndex;
use moneta_event::schema::standard;
use moneta_event::{
    BatchBuilder, ColumnType, Delivery, ParsedBatch, QuarantinedRecord, RecordClass, RecordContext, TableSchema, Value,
};

use crate::history::History;
use crate::{DecodeOptions, clock_text};

/// Bytes of original text in one portion at most (one record may exceed it): keeps a portion of wide rows, which hold
/// each text about three times, near 32 MiB.
const PORTION_BYTES_MAX: usize = 8 << 20;

/// Bytes of directives or header kept with each refused record at most: every one of them carries its own copy.
const HEAD_BYTES_KEPT: usize = 8 << 10;

/// Fields of other rows that are passed over in the search for one: more are seldom absent in a row.
const FIELDS_AHEAD: usize = 16;

/// Names that records cannot set: every one has a meaning of its own.
const RESERVED: [&str; 10] = [
    standard::TENANT_ID,
    standard::TIME_GENERATED,
    standard::TYPE,
    standard::SEQ,
    standard::INGEST_TIME,
    standard::SOURCE,
    standard::CLASS,
    standard::DELIVERY,
    standard::RAW,
    standard::EXTRA,
];

/// A portion of decoded input.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// At most one batch per table, in the order in which the tables first appeared.
    pub batches: Vec<ParsedBatch>,
    /// The records that could not be parsed.
    pub quarantined: Vec<QuarantinedRecord>,
    /// Records of this portion: its rows and its quarantined records together.
    pub records: u64,
    /// Archive members left out because they hold no records (directories, resource forks), so that none goes unseen.
    pub members_skipped: u64,
    /// Input bytes taken since the last portion.
    pub bytes: u64,
    /// Every record that began before this position of the input is in this portion or an earlier one, and no other:
    /// a decoder that continues there repeats nothing. Not for archives, which must be decoded from their beginning.
    pub cursor: u64,
    /// The format that the input looks like, if another was asked for: some formats take almost anything.
    pub looks_like: Option<&'static str>,
}

/// The table of a row within [`Output`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TableId(usize);

/// Where a field of a table goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A column of the table.
    Column(ColumnIndex),
    /// Not a column yet; the builder grows one in a user's own table, else it goes to `_Extra`.
    Unknown,
    /// `_Extra`: the name has another meaning.
    Extra,
}

/// What is known of the records being decoded, other than their bytes.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub source: SourceName,
    pub received: Timestamp,
    pub delivery: Delivery,
    /// What came beside the record: names, and their JSON.
    pub facts: Vec<(&'static str, String)>,
}

/// Why a record was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: &'static str,
    pub reason: String,
}

impl Refusal {
    pub fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The refusal of bytes that are not UTF-8.
    pub fn invalid_utf8(error: std::str::Utf8Error) -> Self {
        Self::new("invalid_utf8", format!("not UTF-8 at byte {}", error.valid_up_to()))
    }
}

/// Collects rows and faults of one decoder.
#[derive(Debug)]
pub(crate) struct Output {
    pub options: DecodeOptions,
    pub origin: Origin,
    pub format: &'static str,
    tables: Vec<TableRows>,
    by_name: HashMap<TableName, usize>,
    portion: Decoded,
    portion_rows: usize,
    portion_bytes: usize,
    ready: Vec<Decoded>,
    /// Whether the bytes being decoded lie inside an archive, where positions are not those of the input.
    pub in_member: bool,
    /// The lines of records that are not finished.
    pub history: History,
    /// Directives or header that the lines being decoded mean nothing without; [`HEAD_BYTES_KEPT`] at most.
    head: Option<Arc<str>>,
    /// The name of the format that the input looks like, if another was asked for. Said with each refusal until the
    /// first row shows that it was right to ask.
    looks_like: Option<&'static str>,
    /// Position of the record being decoded.
    record_offset: u64,
}

#[derive(Debug)]
struct TableRows {
    schema: Arc<TableSchema>,
    builder: BatchBuilder,
    /// Whether further fields make no columns.
    fixed: bool,
    /// Fields of rows in order: records of one kind have their names in the same order, and some lack a few.
    sequence: Vec<(Box<str>, Target)>,
    position: usize,
}

impl Output {
    pub fn new(options: DecodeOptions, format: &'static str) -> Self {
        let DecodeOptions { ref source, received, delivery, .. } = options;
        let origin = Origin { source: source.clone(), received, delivery, facts: Vec::new() };
        let portion = Decoded { cursor: options.first_offset, ..Decoded::default() };
        Self {
            options,
            origin,
            format,
            tables: Vec::new(),
            by_name: HashMap::default(),
            portion,
            portion_rows: 0,
            portion_bytes: 0,
            ready: Vec::new(),
            in_member: false,
            history: History::default(),
            head: None,
            looks_like: None,
            record_offset: 0,
        }
    }

    /// The table of that name; one the catalog does not know begins with the standard columns only.
    pub fn table(&mut self, name: &TableName) -> TableId {
        if let Some(index) = self.by_name.get(name) {
            return TableId(*index);
        }
        let known = self.options.catalog.get(name.as_str()).cloned();
        let schema = known.unwrap_or_else(|| Arc::new(TableSchema::custom(name.clone())));
        let builder = new_builder(&schema);
        let fixed = self.options.fixed_columns;
        self.tables.push(TableRows { schema, builder, fixed, sequence: Vec::new(), position: 0 });
        self.by_name.insert(name.clone(), self.tables.len() - 1);
        TableId(self.tables.len() - 1)
    }

    /// Where a field of that name goes in a table, for decoders that know their fields beforehand.
    pub fn target(&self, table: TableId, name: &str) -> Target {
        self.tables[table.0].find(name)
    }

    /// The type of a column; `None` for a field without one.
    pub fn column_type(&self, table: TableId, target: Target) -> Option<ColumnType> {
        match target {
            Target::Column(index) => Some(self.tables[table.0].builder.column_type(index)),
            Target::Unknown | Target::Extra => None,
        }
    }

    /// The name of a column that differs from the given one in case only, or in its case and underscores: `org_id` is
    /// `OrgId`.
    pub fn name_in_other_case(&self, table: TableId, name: &str) -> Option<Arc<str>> {
        let columns = self.tables[table.0].schema.columns();
        let named = |name: &str| columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
        let found = named(name).or_else(|| name.contains('_').then(|| named(&name.replace('_', ""))).flatten());
        found.map(|column| Arc::clone(&column.name))
    }

    /// The name of a table.
    pub fn table_name(&self, table: TableId) -> &str {
        self.tables[table.0].schema.name().as_str()
    }

    /// Whether a table has a column of that name which the current row has not set yet.
    pub fn is_unset_column(&self, table: TableId, name: &str) -> bool {
        let builder = &self.tables[table.0].builder;
        builder.column(name).is_some_and(|column| !builder.is_set(column))
    }

    /// Sets a field whose target is known.
    pub fn set(&mut self, table: TableId, target: Target, name: &str, value: Value<'_>) {
        if value == Value::Text("") {
            return;
        }
        let builder = &mut self.tables[table.0].builder;
        match target {
            Target::Column(index) => builder.set(index, value),
            Target::Unknown => builder.set_field(name, value),
            Target::Extra => builder.extra(name, value),
        }
    }

    /// Sets a field by its name.
    pub fn set_field(&mut self, table: TableId, name: &str, value: Value<'_>) {
        if value != Value::Text("") {
            let target = self.tables[table.0].target(name);
            self.set(table, target, name, value);
        }
    }

    /// Says that the input looks like another format than the one that was asked for.
    pub fn suspect(&mut self, other: Option<&'static str>) {
        self.looks_like = other;
        self.portion.looks_like = other;
    }

    /// Says what the lines that follow mean nothing without, to be kept with those that are refused.
    pub fn set_head(&mut self, head: &str) {
        self.head = (!head.is_empty() && head.len() <= HEAD_BYTES_KEPT).then(|| head.into());
    }

    /// Forgets what the beginning of an input said: another begins.
    pub fn forget_head(&mut self) {
        self.head = None;
    }

    /// Refuses an event time that must be a clock fault. To be asked before the first field of a row is set.
    pub fn check_time(&self, time: Timestamp) -> Result<(), Refusal> {
        if clock_text::in_range(time, self.origin.received) {
            return Ok(());
        }
        let reason = format!("event time {time} is before 1990 or more than two days after receipt");
        Err(Refusal::new("time_out_of_range", reason))
    }

    /// Refuses a record that names a table of Moneta's own as its table.
    pub fn check_not_own(&self, table: &TableName) -> Result<(), Refusal> {
        match moneta_event::catalog::is_own_table(table.as_str()) {
            true => Err(Refusal::new("own_table", format!("only Moneta itself writes to {table}"))),
            false => Ok(()),
        }
    }

    /// Decodes one record. A defect of a decoder costs this record alone, which is kept: whoever reads on a connection or
    /// follows a file goes on.
    pub fn contain(&mut self, offset: u64, bytes: &[u8], decode: impl FnOnce(&mut Self)) {
        self.record_offset = offset;
        if catch_unwind(AssertUnwindSafe(|| decode(self))).is_ok() {
            return;
        }
        for rows in &mut self.tables {
            rows.builder.abandon_row();
            rows.position = 0;
        }
        let refusal = Refusal::new("decoder_failed", "the decoder failed on this record, which is a defect of Moneta");
        self.quarantine(refusal, self.options.table.clone(), offset, bytes);
    }

    /// Ends the row of a table.
    pub fn finish_row(&mut self, table: TableId, class: RecordClass, time: Timestamp, raw: &str) {
        let rows = &mut self.tables[table.0];
        for (name, json) in &self.origin.facts {
            rows.builder.extra(name, Value::Json(json));
        }
        rows.builder.classify(class, self.origin.delivery);
        rows.builder.finish_row(time, &self.origin.source, raw);
        rows.position = 0;
        self.looks_like = None;
        self.portion_rows += 1;
        self.count(raw.len());
    }

    /// Quarantines a record, of which no more is kept than the limit says.
    pub fn quarantine(&mut self, refusal: Refusal, table: Option<TableName>, offset: u64, bytes: &[u8]) {
        let is_joined = memchr::memchr(b'\n', bytes).is_some();
        let exact = is_joined.then(|| self.history.exact(offset, bytes)).flatten();
        let kept = exact.unwrap_or(&bytes[..bytes.len().min(QUARANTINE_BYTES_MAX)]).to_vec();
        let reason = match self.looks_like {
            Some(other) => format!("{}; the input looks like {other}, not {}", refusal.reason, self.format),
            None => refusal.reason,
        };
        let context = RecordContext {
            received: Some(self.origin.received),
            zone_offset_seconds: self.options.zone_offset_seconds,
            delivery: self.origin.delivery,
            fallback_table: Some(self.options.fallback_table.clone()),
            head: self.head.clone(),
        };
        let kept_bytes = kept.len();
        let head_bytes = self.head.as_ref().map_or(0, |head| head.len());
        self.portion.quarantined.push(QuarantinedRecord {
            source: self.origin.source.clone(),
            format: self.format,
            table,
            reason_code: refusal.code,
            reason,
            offset,
            bytes: kept,
            context,
        });
        self.count(kept_bytes + head_bytes);
    }

    /// Quarantines a part of the record being decoded, as a record that can be decoded by itself.
    pub fn quarantine_part(&mut self, refusal: Refusal, part: &str) {
        self.quarantine(refusal, self.options.table.clone(), self.record_offset, part.as_bytes());
    }

    /// Quarantines a record longer than any that is parsed, of which only the beginning was kept.
    pub fn quarantine_too_long(&mut self, table: Option<TableName>, offset: u64, head: &[u8], length: u64) {
        let reason = format!("record of {length} bytes; the first {} are kept", head.len());
        self.quarantine(Refusal::new("too_long", reason), table, offset, head);
    }

    /// Counts an archive member that holds no records.
    pub fn skip_member(&mut self) {
        self.portion.members_skipped += 1;
    }

    /// Says that every record before this position of the bytes being decoded is done; ends the portion if it is full.
    pub fn advance(&mut self, offset: u64) {
        if !self.in_member {
            self.portion.cursor = offset;
        }
        self.reserve(1);
    }

    /// Ends the portion unless it has room for so many more records: for decoders that cannot stop at each of them.
    pub fn reserve(&mut self, records: usize) {
        let rows_full = self.portion_rows + records > BLOCK_ROWS_MAX;
        let faults_full = self.portion.quarantined.len() + records > BLOCK_ROWS_MAX;
        if rows_full || faults_full || self.portion_bytes >= PORTION_BYTES_MAX {
            self.end_portion();
        }
    }

    /// Counts input bytes.
    pub fn add_input_bytes(&mut self, bytes: usize) {
        self.portion.bytes += bytes as u64;
    }

    /// The portions that are complete.
    pub fn take_ready(&mut self) -> Vec<Decoded> {
        std::mem::take(&mut self.ready)
    }

    /// Ends the portion, whatever its size.
    pub fn end_portion(&mut self) {
        for rows in &mut self.tables {
            if rows.builder.num_rows() > 0 {
                let full = std::mem::replace(&mut rows.builder, new_builder(&rows.schema));
                self.portion.batches.extend(full.finish());
            }
        }
        let Decoded { cursor, looks_like, .. } = self.portion;
        let next = Decoded { cursor, looks_like, ..Decoded::default() };
        let portion = std::mem::replace(&mut self.portion, next);
        let nothing = portion.records == 0 && portion.members_skipped == 0 && portion.bytes == 0;
        if !nothing {
            self.ready.push(portion);
        }
        self.portion_rows = 0;
        self.portion_bytes = 0;
    }

    fn count(&mut self, bytes: usize) {
        self.portion.records += 1;
        self.portion_bytes += bytes;
    }
}

impl TableRows {
    /// Like [`find`](Self::find), but remembers the order of fields.
    fn target(&mut self, name: &str) -> Target {
        let next = &self.sequence[self.position..];
        if let Some(passed) = next.iter().take(FIELDS_AHEAD).position(|(known, _)| &**known == name) {
            let at = self.position + passed;
            self.position = at + 1;
            return self.sequence[at].1;
        }
        let target = self.find(name);
        if self.sequence.len() < RECORD_FIELDS_MAX {
            self.sequence.insert(self.position, (name.into(), target));
            self.position += 1;
        }
        target
    }

    fn find(&self, name: &str) -> Target {
        match self.builder.column(name) {
            _ if RESERVED.contains(&name) => Target::Extra,
            Some(index) => Target::Column(index),
            None if self.fixed => Target::Extra,
            None => Target::Unknown,
        }
    }
}

fn new_builder(schema: &Arc<TableSchema>) -> BatchBuilder {
    BatchBuilder::new(schema.clone(), RecordClass::Data, Delivery::AtLeastOnce)
}

#[cfg(test)]
mod tests {
    use moneta_event::TableCatalog;

    use super::*;

    fn output() -> Output {
        let catalog = Arc::new(TableCatalog::built_in());
        let received = Timestamp::parse("2026-01-01").unwrap();
        Output::new(DecodeOptions::new(catalog, SourceName::lossy("test.json"), received), "ndjson")
    }

    #[test]
    fn a_portion_ends_at_the_row_limit_and_its_cursor_covers_its_rows() {
        let mut output = output();
        let table = output.table(&TableName::new("T_CL").unwrap());
        for row in 0..=BLOCK_ROWS_MAX as u64 {
            output.set_field(table, "n", Value::Long(1));
            output.finish_row(table, RecordClass::Data, Timestamp::from_seconds(1), "x");
            output.advance(row + 1);
        }
        output.end_portion();
        let portions = output.take_ready();
        let rows: Vec<usize> = portions.iter().map(|p| p.batches[0].rows.num_rows()).collect();
        assert_eq!(rows, [BLOCK_ROWS_MAX, 1]);
        assert_eq!(portions[0].cursor, BLOCK_ROWS_MAX as u64);
        assert_eq!(portions[1].cursor, BLOCK_ROWS_MAX as u64 + 1);
    }

    #[test]
    fn a_portion_ends_at_the_byte_limit() {
        let mut output = output();
        let table = output.table(&TableName::new("T_CL").unwrap());
        let raw = "x".repeat(1 << 20);
        for row in 0..9 {
            output.finish_row(table, RecordClass::Data, Timestamp::from_seconds(1), &raw);
            output.advance(row);
        }
        assert_eq!(output.take_ready().len(), 1);
    }

    #[test]
    fn a_decoder_that_fails_costs_one_record() {
        let mut output = output();
        let table = output.table(&TableName::new("T_CL").unwrap());
        for record in ["one", "two", "three"] {
            output.contain(7, record.as_bytes(), |output| {
                output.set_field(table, record, Value::Text(record));
                assert_ne!(record, "two");
                output.finish_row(table, RecordClass::Data, Timestamp::from_seconds(1), record);
            });
        }
        output.end_portion();
        let portion = output.take_ready().remove(0);
        let refused = &portion.quarantined[0];
        assert_eq!((refused.reason_code, refused.bytes.as_slice(), refused.offset), ("decoder_failed", &b"two"[..], 7));
        assert_eq!((portion.records, portion.batches[0].rows.num_rows()), (3, 2));
        let second = portion.batches[0].rows.column_by_name("two");
        assert!(second.is_none_or(|column| column.null_count() == 2 || column.len() == 2));
    }

    #[test]
    fn a_record_cannot_set_the_standard_columns() {
        let mut output = output();
        let table = output.table(&TableName::new("T_CL").unwrap());
        for name in RESERVED {
            output.set_field(table, name, Value::Text("forged"));
        }
        output.finish_row(table, RecordClass::Data, Timestamp::from_seconds(1), "raw");
        output.end_portion();
        let rows = output.take_ready().remove(0).batches.remove(0).rows;
        let extra = rows.column_by_name("_Extra").unwrap();
        let text = arrow::array::AsArray::as_string::<i32>(extra).value(0).to_owned();
        assert_eq!(text.matches("forged").count(), RESERVED.len());
        assert_eq!(
            arrow::array::AsArray::as_string::<i32>(rows.column_by_name("_Source").unwrap()).value(0),
            "test.json"
        );
    }
}
