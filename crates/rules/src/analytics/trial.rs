//! The events of a test beside an analytics rule, as rows of tables in front of the end of a window.
//!
//! ```yaml
//! tests:
//!   - name: the second sign-in is too far away
//!     table: SigninLogs
//!     matches: true
//!     events:
//!       - { TimeGenerated: -30m, Location: DE }
//!       - { TimeGenerated: -10m, Location: AU }
//! ```
//! A time that begins with `-` is so long before the end of the window; an event without a time is one minute before
//! it. Where an event has a date, the window ends one minute after the last of them. An event whose `Type` names another
//! table is a row of that one. Nothing here runs a query.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow::datatypes::Schema;
use moneta_base::{Seq, SourceName, TableName, Timestamp};
use moneta_event::schema::standard;
use moneta_event::{BatchBuilder, ColumnType, Delivery, RecordClass, TableCatalog, TableSchema, Value};

use super::parse_duration;
use crate::hunt::event_time;
use crate::rule_tests::RuleTest;

/// The end of the window of a test whose events have no dates: 2026-01-01T00:00:00Z, in seconds since 1970.
const WINDOW_END_SECONDS: i64 = 1_767_225_600;
/// How long before the end an event without a time is, and how long after the last date a window ends.
const JUST_BEFORE: Duration = Duration::from_secs(60);

/// The events of a test as rows.
#[derive(Debug)]
pub struct Trial {
    /// The end of the window.
    pub at: Timestamp,
    /// Per table its columns and the events, numbered from zero in `_Seq`, arrived at the time they have.
    pub tables: Vec<(Arc<TableSchema>, RecordBatch)>,
}

impl Trial {
    /// The events of a test.
    #[must_use]
    pub fn of(test: &RuleTest, catalog: &TableCatalog) -> Self {
        let date = |event: &Vec<(String, String)>| Timestamp::parse(field(event, standard::TIME_GENERATED)?);
        let last = test.events.iter().filter_map(date).max();
        let at = last.map_or(Timestamp::from_seconds(WINDOW_END_SECONDS), |last| last.saturating_add(JUST_BEFORE));
        let mut by_table: BTreeMap<TableName, Vec<&Vec<(String, String)>>> = BTreeMap::new();
        for event in &test.events {
            let other = field(event, standard::TYPE).and_then(|name| TableName::new(name).ok());
            by_table.entry(other.unwrap_or_else(|| test.table.clone())).or_default().push(event);
        }
        let tables = by_table.into_iter().filter_map(|(table, events)| {
            let custom = || Arc::new(TableSchema::custom(table.clone()));
            let schema = catalog.get(table.as_str()).cloned().unwrap_or_else(custom);
            Some((Arc::clone(&schema), rows(&schema, &events, at)?))
        });
        Self { at, tables: tables.collect() }
    }
}

fn field<'a>(event: &'a [(String, String)], name: &str) -> Option<&'a str> {
    event.iter().find(|(field, value)| field == name && !value.is_empty()).map(|(_, value)| value.as_str())
}

fn rows(schema: &Arc<TableSchema>, events: &[&Vec<(String, String)>], at: Timestamp) -> Option<RecordBatch> {
    let mut builder = BatchBuilder::new(Arc::clone(schema), RecordClass::Data, Delivery::BestEffort);
    for event in events {
        let mut time = at.saturating_sub(JUST_BEFORE);
        for (name, value) in event.iter().filter(|(name, value)| !value.is_empty() && name != standard::TYPE) {
            if name == standard::TIME_GENERATED {
                time = time_of(value, at).unwrap_or(time);
                continue;
            }
            match schema.column(name).map(|column| column.column_type) {
                Some(ColumnType::DateTime) => match time_of(value, at) {
                    Some(time) => builder.set_field(name, Value::Time(time)),
                    None => builder.set_field(name, Value::Text(value)),
                },
                Some(ColumnType::Dynamic) if value.starts_with(['{', '[']) => {
                    builder.set_field(name, Value::Json(value));
                }
                _ => builder.set_field(name, Value::Text(value)),
            }
        }
        builder.finish_row(time, &SourceName::lossy("test"), "");
    }
    Some(arrived(&builder.finish()?.rows, schema.name(), 0))
}

/// A date, or how long before the end of the window.
fn time_of(value: &str, at: Timestamp) -> Option<Timestamp> {
    match value.strip_prefix('-') {
        Some(before) => Some(at.saturating_sub(parse_duration(before)?)),
        None => Timestamp::parse(value),
    }
}

/// Rows that are not stored, with what storing adds and queries of rules read.
///
/// # Shapes
/// The same rows in the same order, and after their columns `_Seq` (counted from `first_seq`), `Type` (the table's
/// name) and `_IngestTime` (the time of the event).
#[must_use]
pub fn arrived(rows: &RecordBatch, table: &TableName, first_seq: Seq) -> RecordBatch {
    let first = i64::try_from(first_seq).unwrap_or(i64::MAX);
    let seqs: Int64Array = (first..).take(rows.num_rows()).collect();
    let names = StringArray::from_iter_values(std::iter::repeat_n(table.as_str(), rows.num_rows()));
    let times = (0..rows.num_rows()).map(|row| event_time(rows, row).as_nanos());
    let times = TimestampNanosecondArray::from_iter_values(times).with_timezone("UTC");
    let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
    let mut columns = rows.columns().to_vec();
    for (name, column_type, array) in [
        (standard::SEQ, ColumnType::Long, Arc::new(seqs) as arrow::array::ArrayRef),
        (standard::TYPE, ColumnType::String, Arc::new(names)),
        (standard::INGEST_TIME, ColumnType::DateTime, Arc::new(times)),
    ] {
        fields.push(Arc::new(column_type.field(name)));
        columns.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("every column has the length of the batch")
}
