//! Decodes quarantined records again, after a parser or a mapping was mended, or as another format.
//!
//! A row of `Quarantine` is never changed. The commit that stores the events of a record also stores a row of
//! `QuarantineReplay` with its identifier; a record that has one is not taken again, however late. A record that is refused
//! again stays for the next call.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, Int64Type, TimestampNanosecondType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use moneta_base::{ErrorKind, Seq, SourceName, TableName, Timestamp};
use moneta_event::catalog::{is_own_table, table};
use moneta_event::schema::standard;
use moneta_event::{BatchBuilder, Delivery, ParsedBatch, RecordClass, TableSchema, Value};
use moneta_formats::{DecodeOptions, Decoder, Format, custom_table_name};
use moneta_ingest::quarantine_encoding as encoding;
use moneta_ports::operations::{ReplayReport, ReplaySelection};
use moneta_ports::{AuditEvent, AuditSink, EventSink, OpContext, PortError, QueryEngine, QueryRequest, Submission};

use crate::operations::NodeOperations;

/// Records listed by one query; the next goes on behind the last of them.
const LISTED_MAX: usize = 5_000;
/// Records decoded and stored by one commit.
const PORTION_RECORDS_MAX: usize = 500;
/// Bytes of originals decoded and stored by one commit, unless one record has more.
const PORTION_BYTES_MAX: u64 = 8 << 20;

/// Columns of `Quarantine` that decoding needs.
const COLUMNS: &str = "_Seq, QuarantineId, Format, TargetTable, _Source, _Delivery, Original, OriginalEncoding, Truncated, \
                       TimeGenerated, ReceivedTime, ZoneOffsetSeconds, FallbackTable, InputHead";

/// Replays the selected records.
pub(crate) async fn replay(
    operations: &NodeOperations,
    ctx: &OpContext,
    selection: ReplaySelection,
) -> Result<ReplayReport, PortError> {
    let as_format = selection.as_format.as_deref().map(Format::parse).transpose();
    let as_format = as_format.map_err(|error| PortError::new(ErrorKind::Caller, error.to_string()))?;
    if let Some(table) = selection.as_table.as_ref().filter(|table| is_own_table(table.as_str())) {
        return Err(PortError::new(ErrorKind::Caller, format!("only Moneta itself writes to {table}")));
    }
    // Two at once would take the same records.
    let _alone = operations.replaying.lock().await;
    operations.ingest.record(ctx, AuditEvent::success("quarantine.replay", "table", table::QUARANTINE)).await?;
    let mut replay =
        Replay { operations, ctx, selection, as_format, done: HashSet::new(), report: ReplayReport::default() };
    let mut after = None;
    loop {
        let listed = replay.list(after).await?;
        let Some(last) = listed.last() else { return Ok(replay.report) };
        after = Some(last.seq);
        let mut rest = listed.as_slice();
        while !rest.is_empty() {
            let (portion, behind) = rest.split_at(portion_length(rest));
            rest = behind;
            replay.store(portion).await?;
        }
    }
}

/// A record that may be replayed.
struct Listed {
    seq: u64,
    size_bytes: u64,
}

/// How many of the first records make a portion.
fn portion_length(listed: &[Listed]) -> usize {
    let mut bytes = 0u64;
    let fits = listed.iter().take(PORTION_RECORDS_MAX).take_while(|record| {
        bytes = bytes.saturating_add(record.size_bytes);
        bytes <= PORTION_BYTES_MAX
    });
    fits.count().max(1)
}

/// One call.
struct Replay<'a> {
    operations: &'a NodeOperations,
    ctx: &'a OpContext,
    selection: ReplaySelection,
    as_format: Option<Format>,
    /// Identifiers stored by this call: the same bytes of the same place may be quarantined twice.
    done: HashSet<String>,
    report: ReplayReport,
}

impl Replay<'_> {
    /// The next records that are selected and have not become events yet, by `_Seq`.
    async fn list(&self, after: Option<u64>) -> Result<Vec<Listed>, PortError> {
        let filter = filter(&self.selection);
        let after = after.map(|seq| format!("| where _Seq > {seq} ")).unwrap_or_default();
        let replayed = format!("({} | project QuarantineId)", table::QUARANTINE_REPLAY);
        let text = format!(
            "Quarantine {filter}{after}| join kind=leftanti {replayed} on QuarantineId \
             | project _Seq, SizeBytes | order by _Seq asc | take {LISTED_MAX}"
        );
        let batches = self.query(text).await?;
        let whole = |rows: &RecordBatch, column, row| number::<Int64Type>(rows, column, row).unwrap_or_default();
        let listed = |rows: &RecordBatch, row| Listed {
            seq: whole(rows, standard::SEQ, row).try_into().unwrap_or_default(),
            size_bytes: whole(rows, "SizeBytes", row).try_into().unwrap_or_default(),
        };
        Ok(batches.iter().flat_map(|rows| (0..rows.num_rows()).map(|row| listed(rows, row))).collect())
    }

    /// Decodes records and stores what they became, with the word that they did.
    async fn store(&mut self, portion: &[Listed]) -> Result<(), PortError> {
        let seqs: Vec<String> = portion.iter().map(|record| record.seq.to_string()).collect();
        let (first, last) = (portion[0].seq, portion[portion.len() - 1].seq);
        let seqs = format!("_Seq between ({first} .. {last}) and _Seq in ({})", seqs.join(", "));
        let text = format!("Quarantine | where {seqs} | project {COLUMNS} | order by _Seq asc");
        let mut batches = Vec::new();
        let mut replayed = Replayed::new(self.operations)?;
        for rows in self.query(text).await? {
            for row in 0..rows.num_rows() {
                let record = Record::read(&rows, row);
                if self.done.contains(&record.id) {
                    continue;
                }
                match self.decode(&record) {
                    Some(decoded) => {
                        let num_rows: usize = decoded.iter().map(|batch| batch.rows.num_rows()).sum();
                        self.report.num_stored += num_rows as u64;
                        replayed.add(&record, num_rows, self.operations.world.clock.now());
                        self.done.insert(record.id);
                        batches.extend(decoded);
                    }
                    None => self.report.num_refused += 1,
                }
            }
        }
        batches.extend(replayed.builder.finish());
        if !batches.is_empty() {
            self.operations.ingest.submit(Submission { batches, ..Submission::default() }).await?;
        }
        Ok(())
    }

    async fn query(&self, text: String) -> Result<Vec<RecordBatch>, PortError> {
        let request = QueryRequest { no_truncation: true, ..QueryRequest::new(text) };
        let answer = self.operations.engine.query(self.ctx, request).await;
        let answer =
            answer.map_err(|error| PortError::new(error.kind(), format!("the quarantine cannot be read: {error}")))?;
        Ok(answer.tables.into_iter().flat_map(|table| table.batches).collect())
    }

    /// The rows of a record; `None` when it is refused again.
    fn decode(&self, record: &Record) -> Option<Vec<ParsedBatch>> {
        let bytes = record.bytes.as_deref()?;
        let own = Format::parse(&record.format).ok();
        let format = self.as_format.or(own)?;
        // What the format that was wrong said of table and header means nothing for another.
        let is_own = own == Some(format);
        let table = self.selection.as_table.clone().or_else(|| record.table.clone().filter(|_| is_own));
        let options = DecodeOptions {
            table,
            mappings: self.operations.mappings.clone(),
            fallback_table: record.fallback_table.clone(),
            delivery: record.delivery,
            zone_offset_seconds: record.zone_offset_seconds,
            ..DecodeOptions::new(Arc::clone(&self.operations.catalog), record.source.clone(), record.received)
        };
        let head = record.head.as_deref().filter(|_| is_own);
        let portions = Decoder::decode_again(format, options, head, bytes);
        let is_refused = portions.iter().any(|portion| !portion.quarantined.is_empty());
        let batches: Vec<_> = portions.into_iter().flat_map(|portion| portion.batches).collect();
        (!is_refused && !batches.is_empty()).then_some(batches)
    }
}

/// Conditions on rows of `Quarantine`, each ending with a blank.
fn filter(selection: &ReplaySelection) -> String {
    let ReplaySelection { seqs, format, reason_code, source, .. } = selection;
    let mut filter = String::new();
    if !seqs.is_empty() {
        let seqs: Vec<String> = seqs.iter().map(Seq::to_string).collect();
        filter.push_str(&format!("| where _Seq in ({}) ", seqs.join(", ")));
    }
    for (column, value) in [("Format", format), ("ReasonCode", reason_code), (standard::SOURCE, source)] {
        if let Some(value) = value {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            filter.push_str(&format!("| where {column} == \"{value}\" "));
        }
    }
    filter
}

/// One quarantined record.
struct Record {
    seq: u64,
    id: String,
    format: String,
    table: Option<TableName>,
    source: SourceName,
    delivery: Delivery,
    received: Timestamp,
    zone_offset_seconds: i32,
    fallback_table: TableName,
    head: Option<String>,
    /// `None` when it was too long to be kept whole, or cannot be read.
    bytes: Option<Vec<u8>>,
}

impl Record {
    fn read(rows: &RecordBatch, row: usize) -> Self {
        let text = |column: &str| {
            let column = rows.column_by_name(column).and_then(|array| array.as_string_opt::<i32>());
            column.filter(|array| array.is_valid(row)).map(|array| array.value(row)).unwrap_or_default()
        };
        let truncated = rows.column_by_name("Truncated").and_then(|array| array.as_boolean_opt());
        let truncated = truncated.is_some_and(|array| array.is_valid(row) && array.value(row));
        let bytes = match text("OriginalEncoding") {
            encoding::BASE64 => BASE64.decode(text("Original")).ok(),
            _ => Some(text("Original").as_bytes().to_vec()),
        };
        let time = |column| number::<TimestampNanosecondType>(rows, column, row).map(Timestamp::from_nanos);
        let source = SourceName::lossy(text(standard::SOURCE));
        Self {
            seq: number::<Int64Type>(rows, standard::SEQ, row).unwrap_or_default().try_into().unwrap_or_default(),
            id: text("QuarantineId").to_owned(),
            format: text("Format").to_owned(),
            table: TableName::new(text("TargetTable")).ok(),
            delivery: Delivery::ALL
                .into_iter()
                .find(|delivery| delivery.name() == text(standard::DELIVERY))
                .unwrap_or_default(),
            // Rows of earlier versions have no time of receipt of their own.
            received: time("ReceivedTime").or_else(|| time(standard::TIME_GENERATED)).unwrap_or_default(),
            zone_offset_seconds: number::<Int32Type>(rows, "ZoneOffsetSeconds", row).unwrap_or_default(),
            fallback_table: TableName::new(text("FallbackTable"))
                .unwrap_or_else(|_| custom_table_name(source.as_str())),
            head: Some(text("InputHead")).filter(|head| !head.is_empty()).map(str::to_owned),
            bytes: bytes.filter(|_| !truncated),
            source,
        }
    }
}

fn number<T: ArrowPrimitiveType>(rows: &RecordBatch, column: &str, row: usize) -> Option<T::Native> {
    let column = rows.column_by_name(column)?.as_primitive_opt::<T>()?;
    column.is_valid(row).then(|| column.value(row))
}

/// Rows that say which records became events.
struct Replayed {
    builder: BatchBuilder,
}

impl Replayed {
    fn new(operations: &NodeOperations) -> Result<Self, PortError> {
        let schema: Option<&Arc<TableSchema>> = operations.catalog.get(table::QUARANTINE_REPLAY);
        let schema =
            schema.ok_or_else(|| PortError::new(ErrorKind::Internal, "the table of replayed records is missing"))?;
        let builder = BatchBuilder::new(Arc::clone(schema), RecordClass::Processed, Delivery::ExactlyOnce);
        Ok(Self { builder })
    }

    fn add(&mut self, record: &Record, num_rows: usize, now: Timestamp) {
        let count = |number: u64| Value::Long(number.try_into().unwrap_or(i64::MAX));
        self.builder.set_field("QuarantineId", Value::Text(&record.id));
        self.builder.set_field("QuarantineSeq", count(record.seq));
        self.builder.set_field("Format", Value::Text(&record.format));
        self.builder.set_field("NumRows", count(num_rows as u64));
        self.builder.finish_row(now, &record.source, "");
    }
}
