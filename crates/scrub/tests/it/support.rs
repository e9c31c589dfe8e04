//! What the tests share: a scrubber, a builder of batches, and the text of a whole batch.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, ParsedBatch, RecordClass, TableCatalog, TableSchema, Value};
use moneta_scrub::{Policy, ScrubReport, ScrubbedBatch, Scrubber, TokenKeys};

pub fn scrubber() -> Scrubber {
    Scrubber::new(Policy::built_in(), TokenKeys { current: 1, keys: [(1, [7; 32])].into() }).unwrap()
}

/// Rows of a table, each a list of fields; a field named `_Raw` is the original.
pub fn batch(table: &str, rows: &[&[(&str, Value<'_>)]]) -> ParsedBatch {
    let schema = TableCatalog::built_in()
        .get(table)
        .cloned()
        .unwrap_or_else(|| Arc::new(TableSchema::custom(TableName::new(table).unwrap())));
    let mut builder = BatchBuilder::new(schema, RecordClass::Data, Delivery::AtLeastOnce);
    for row in rows {
        let mut raw = "";
        for (name, value) in *row {
            match value {
                Value::Text(text) if *name == "_Raw" => raw = text,
                value => builder.set_field(name, *value),
            }
        }
        builder.finish_row(Timestamp::from_seconds(1_767_323_045), &SourceName::new("test").unwrap(), raw);
    }
    builder.finish().unwrap()
}

pub fn scrub(table: &str, rows: &[&[(&str, Value<'_>)]]) -> (ScrubbedBatch, ScrubReport) {
    scrubber().scrub(batch(table, rows))
}

/// The text of a cell; empty when the column is absent or the value null.
pub fn cell(rows: &RecordBatch, column: &str, row: usize) -> String {
    let Some(array) = rows.column_by_name(column) else { return String::new() };
    match array.data_type() {
        _ if array.is_null(row) => String::new(),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        other => panic!("no text for {other}"),
    }
}

/// Every text of a batch, one after the other.
pub fn all_text(rows: &RecordBatch) -> String {
    let mut text = String::new();
    for column in rows.columns() {
        match column.data_type() {
            DataType::Utf8 => column.as_string::<i32>().iter().flatten().for_each(|value| {
                text.push_str(value);
                text.push('\n');
            }),
            DataType::Int64 => column.as_primitive::<Int64Type>().iter().flatten().for_each(|value| {
                text.push_str(&format!("{value}\n"));
            }),
            _ => {}
        }
    }
    text
}
