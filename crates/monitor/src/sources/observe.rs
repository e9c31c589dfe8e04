//! What a block says of the sources of its rows.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type, TimestampNanosecondType};
use moneta_base::Timestamp;
use moneta_event::Block;
use moneta_event::catalog::table;
use moneta_event::schema::standard;

use super::facets::{FACETS, Facets};

/// Columns that name the machine; the first a table has counts.
const COMPUTER_COLUMNS: [&str; 3] = ["Computer", "DeviceName", "DvcHostname"];
/// Characters of the name of a machine or a channel that are kept.
const NAME_CHARS_MAX: usize = 128;

/// Records of one machine, source and table that arrived together.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Observation {
    pub(crate) source: String,
    pub(crate) computer: String,
    pub(crate) table: String,
    /// When they became durable.
    pub(crate) received: Timestamp,
    pub(crate) records: u64,
    /// Seconds from event to receipt: the least, which may be negative, and the sum.
    pub(crate) freshest: f64,
    pub(crate) lateness_sum: f64,
    /// Records that say what, by facet.
    pub(crate) filled: [u64; FACETS],
    /// Numbers the records bear, by numbering, in order of arrival.
    pub(crate) numbers: Vec<(String, Vec<u64>)>,
    /// Whether these are records that could not be parsed.
    pub(crate) is_quarantine: bool,
}

/// The observations of a block, by source and machine.
pub(crate) fn observations(block: &Block) -> Vec<Observation> {
    let rows = &block.rows;
    let text = |name: &str| rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let sources = text(standard::SOURCE);
    let computers = COMPUTER_COLUMNS.iter().find_map(|name| text(name));
    let times = rows
        .column_by_name(standard::TIME_GENERATED)
        .and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>());
    let (facets, numbering) = (Facets::of(rows), Numbering::of(rows));
    let table = block.header.shard.table.as_str();
    let received = block.header.ingest_time;
    let mut found: Vec<Observation> = Vec::new();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    for row in 0..rows.num_rows() {
        let key = (value(sources, row), value(computers, row));
        let place = *places.entry(key).or_insert_with(|| {
            found.push(Observation {
                source: key.0.to_owned(),
                computer: cut(key.1).to_owned(),
                table: table.to_owned(),
                received,
                freshest: f64::INFINITY,
                is_quarantine: table == table::QUARANTINE,
                ..Observation::default()
            });
            found.len() - 1
        });
        let one = &mut found[place];
        one.records += 1;
        let event = times.filter(|times| times.is_valid(row)).map_or(received.as_nanos(), |times| times.value(row));
        let lateness = seconds(received.as_nanos().saturating_sub(event));
        one.freshest = one.freshest.min(lateness);
        one.lateness_sum += lateness;
        facets.count(row, &mut one.filled);
        if let Some((channel, number)) = numbering.number(row) {
            match one.numbers.iter_mut().find(|(known, _)| known == channel) {
                Some((_, numbers)) => numbers.push(number),
                None => one.numbers.push((channel.to_owned(), vec![number])),
            }
        }
    }
    for (channel, _) in found.iter_mut().flat_map(|one| &mut one.numbers) {
        *channel = numbering.name(channel);
    }
    found
}

fn value(column: Option<&StringArray>, row: usize) -> &str {
    column.filter(|column| column.is_valid(row)).map_or("", |column| column.value(row))
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people and statistics")]
fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

/// The numbers that records of a table bear.
///
/// # Source
/// RFC 5424, section 7.3.1 (`sequenceId` of `meta`); Windows events, `EventRecordID` by channel; Linux audit, the serial.
enum Numbering {
    None,
    Syslog(ArrayRef),
    Windows { numbers: ArrayRef, channels: Option<ArrayRef> },
    Audit(ArrayRef),
}

impl Numbering {
    fn of(rows: &RecordBatch) -> Self {
        let column = |name: &str, wanted: &DataType| {
            rows.column_by_name(name).filter(|column| column.data_type() == wanted).cloned()
        };
        if let Some(data) = column("StructuredData", &DataType::Utf8) {
            return Self::Syslog(data);
        }
        if let Some(numbers) = column("EventRecordId", &DataType::Int64) {
            return Self::Windows { numbers, channels: column("Channel", &DataType::Utf8) };
        }
        column("Serial", &DataType::Int64).map_or(Self::None, Self::Audit)
    }

    /// The name of a numbering: more than one channel of Windows events may have numbers of its own.
    fn name(&self, channel: &str) -> String {
        match self {
            Self::None => String::new(),
            Self::Syslog(_) => "sequenceId".to_owned(),
            Self::Windows { .. } => format!("EventRecordID {channel}"),
            Self::Audit(_) => "serial".to_owned(),
        }
    }

    /// The channel and the number of a row.
    fn number(&self, row: usize) -> Option<(&str, u64)> {
        let whole = |column: &ArrayRef| {
            let numbers = column.as_primitive::<Int64Type>();
            numbers.is_valid(row).then(|| u64::try_from(numbers.value(row)).ok()).flatten()
        };
        match self {
            Self::None => None,
            Self::Syslog(data) => sequence_id(value(Some(data.as_string::<i32>()), row)).map(|number| ("", number)),
            Self::Windows { numbers, channels } => {
                let number = whole(numbers).filter(|number| *number > 0)?;
                let channel = channels.as_ref().map_or("", |channels| value(Some(channels.as_string::<i32>()), row));
                Some((cut(channel), number))
            }
            Self::Audit(numbers) => whole(numbers).map(|number| ("", number)),
        }
    }
}

/// The part of a name that is kept.
fn cut(name: &str) -> &str {
    name.char_indices().nth(NAME_CHARS_MAX).map_or(name, |(end, _)| &name[..end])
}

/// `meta.sequenceId` out of structured data as JSON.
fn sequence_id(json: &str) -> Option<u64> {
    if !json.contains("\"sequenceId\"") {
        return None;
    }
    let data: serde_json::Value = serde_json::from_str(json).ok()?;
    let number = &data["meta"]["sequenceId"];
    number.as_u64().or_else(|| number.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use moneta_base::{IngestDay, SourceName, TenantId};
    use moneta_event::block::BlockPosition;
    use moneta_event::{BatchBuilder, Delivery, RecordClass, ShardId, TableCatalog, Value};
    use moneta_merkle::Hash;

    use super::super::facets::{ORIGIN, OUTCOME, WHAT, WHEN, WHERE, WHO};
    use super::*;

    const RECEIVED: Timestamp = Timestamp::from_seconds(1_800_000_000);

    /// A source, the age of the event in seconds, and fields.
    type Row<'a> = (&'a str, i64, &'a [(&'a str, Value<'a>)]);

    fn block(table: &str, rows: &[Row<'_>]) -> Block {
        let schema = TableCatalog::built_in().get(table).cloned().unwrap();
        let mut builder = BatchBuilder::new(Arc::clone(&schema), RecordClass::Control, Delivery::AtLeastOnce);
        for (source, age, fields) in rows {
            for (name, value) in *fields {
                builder.set_field(name, *value);
            }
            let time = RECEIVED.as_nanos() - age * 1_000_000_000;
            builder.finish_row(Timestamp::from_nanos(time), &SourceName::lossy(source), "raw");
        }
        let position = BlockPosition {
            tenant: TenantId::from_random([7; 16]),
            shard: ShardId { table: schema.name().clone(), day: IngestDay(20_833) },
            shard_index: 0,
            first_seq: 0,
            ingest_time: RECEIVED,
            token_key: 1,
            previous: Hash([0; 32]),
        };
        Block::new(position, builder.finish().unwrap().rows).unwrap()
    }

    #[test]
    fn rows_are_told_apart_by_source_and_machine() {
        let (one, two) = ([("Computer", Value::Text("a"))], [("Computer", Value::Text("b"))]);
        let found = observations(&block("Syslog", &[("s", 10, &one), ("s", 2, &two), ("s", 4, &one), ("t", -3, &two)]));
        let seen: Vec<_> = found
            .iter()
            .map(|one| (one.source.as_str(), one.computer.as_str(), one.records, one.freshest, one.lateness_sum))
            .collect();
        assert_eq!(seen, [("s", "a", 2, 4.0, 14.0), ("s", "b", 1, 2.0, 2.0), ("t", "b", 1, -3.0, -3.0)]);
    }

    #[test]
    fn what_records_say_is_counted_by_facet() {
        let full = [
            ("Computer", Value::Text("a")),
            ("ActorUsername", Value::Text("ada")),
            ("SyslogMessage", Value::Text("x")),
            ("EventResult", Value::Text("Success")),
        ];
        let poor = [("SyslogMessage", Value::Text("x")), ("ActorUsername", Value::Text("-"))];
        let found = observations(&block("Syslog", &[("s", 0, &full)]));
        for facet in [WHO, WHAT, WHEN, WHERE, ORIGIN, OUTCOME] {
            assert_eq!(found[0].filled[facet], 1, "facet {facet}");
        }
        let found = observations(&block("Syslog", &[("s", 0, &poor)]));
        let filled = [WHO, WHAT, WHEN, WHERE, ORIGIN, OUTCOME].map(|facet| found[0].filled[facet]);
        assert_eq!(filled, [0, 1, 1, 0, 1, 0]);
    }

    #[test]
    fn numbers_of_syslog_windows_and_audit_are_read() {
        let meta = [("StructuredData", Value::Json(r#"{"meta":{"sequenceId":"17"}}"#))];
        let other = [("StructuredData", Value::Json(r#"{"x":{"sequenceId":"18"}}"#))];
        let found = observations(&block("Syslog", &[("s", 0, &meta), ("s", 0, &other)]));
        assert_eq!(found[0].numbers, [("sequenceId".to_owned(), vec![17])]);
        let event = [("EventRecordId", Value::Long(5)), ("Channel", Value::Text("Security"))];
        let found = observations(&block("SecurityEvent", &[("s", 0, &event)]));
        assert_eq!(found[0].numbers, [("EventRecordID Security".to_owned(), vec![5])]);
        let found = observations(&block("LinuxAudit_CL", &[("s", 0, &[("Serial", Value::Long(9))])]));
        assert_eq!(found[0].numbers, [("serial".to_owned(), vec![9])]);
    }
}
