//! Fits decoded rows to what a table's columns have become in the meantime.
//!
//! Columns of a custom table are typed by the first value met. Two sources may meet a new field at the same time with
//! values of different kinds: the first to be stored decides, and the other's values go to `_Extra`. Nothing is
//! dropped, and every value moved is counted.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringBuilder};
use arrow::datatypes as dt;
use moneta_base::{Timestamp, limits};

use crate::builder::format_span;
use crate::schema::standard;
use crate::{ColumnType, ParsedBatch, TableSchema};

/// The batch with the values of every column that the table knows under another type, or has no room for, moved to
/// `_Extra`.
///
/// # Shapes
/// The same rows in the same order; conflicting columns are gone, `_Extra` may be new.
#[must_use]
pub fn fit(batch: ParsedBatch, schema: &TableSchema) -> ParsedBatch {
    let fields = batch.rows.schema();
    let mut room = limits::TABLE_COLUMNS_MAX.saturating_sub(schema.columns().len());
    let mut is_misfit = |field: &dt::Field| match schema.column(field.name()) {
        Some(column) => ColumnType::of_field(field) != Some(column.column_type),
        None if room == 0 => true,
        None => {
            room -= 1;
            false
        }
    };
    let (misfits, kept): (Vec<usize>, Vec<usize>) =
        (0..fields.fields().len()).partition(|index| is_misfit(fields.field(*index)));
    if misfits.is_empty() {
        return batch;
    }
    let (extra, moved) = extra_with(&batch.rows, &misfits);
    let mut new_fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for index in kept.into_iter().filter(|index| fields.field(*index).name() != standard::EXTRA) {
        new_fields.push(Arc::clone(&fields.fields()[index]));
        columns.push(Arc::clone(batch.rows.column(index)));
    }
    new_fields.push(Arc::new(ColumnType::Dynamic.field(standard::EXTRA)));
    columns.push(extra);
    let rows = RecordBatch::try_new(Arc::new(dt::Schema::new(new_fields)), columns)
        .expect("every column has the length of the batch");
    ParsedBatch { rows, values_overflowed: batch.values_overflowed + moved, ..batch }
}

/// The `_Extra` column with the values of the given columns added, and how many there are.
fn extra_with(rows: &RecordBatch, misfits: &[usize]) -> (ArrayRef, u64) {
    let before = rows.column_by_name(standard::EXTRA).and_then(|column| column.as_string_opt::<i32>());
    let schema = rows.schema();
    let mut builder = StringBuilder::new();
    let mut moved = 0;
    for row in 0..rows.num_rows() {
        let mut json = before.filter(|texts| texts.is_valid(row)).map_or("", |texts| texts.value(row)).to_owned();
        for index in misfits {
            if let Some(value) = json_value(schema.field(*index), rows.column(*index), row) {
                push_member(&mut json, schema.field(*index).name(), &value);
                moved += 1;
            }
        }
        builder.append_option((!json.is_empty()).then_some(&json));
    }
    (Arc::new(builder.finish()), moved)
}

/// Adds a member to the text of a JSON object; an empty text becomes an object of one member.
fn push_member(json: &mut String, name: &str, value: &str) {
    match json.strip_suffix('}') {
        Some(open) => {
            let separator = if open.trim_end() == "{" { "" } else { "," };
            *json = format!("{open}{separator}");
        }
        None => json.push('{'),
    }
    json.push_str(&serde_json::Value::from(name).to_string());
    json.push(':');
    json.push_str(value);
    json.push('}');
}

/// A value as JSON text; `None` when it is absent.
fn json_value(field: &dt::Field, array: &ArrayRef, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    Some(match ColumnType::of_field(field)? {
        ColumnType::Bool => array.as_boolean_opt()?.value(row).to_string(),
        ColumnType::Int => array.as_primitive_opt::<dt::Int32Type>()?.value(row).to_string(),
        ColumnType::Long => array.as_primitive_opt::<dt::Int64Type>()?.value(row).to_string(),
        ColumnType::Real => {
            let value = array.as_primitive_opt::<dt::Float64Type>()?.value(row);
            if value.is_finite() { serde_json::Value::from(value).to_string() } else { quoted(&value.to_string()) }
        }
        ColumnType::DateTime => {
            let nanos = array.as_primitive_opt::<dt::TimestampNanosecondType>()?.value(row);
            quoted(&Timestamp::from_nanos(nanos).to_string())
        }
        ColumnType::TimeSpan => {
            quoted(&format_span(array.as_primitive_opt::<dt::DurationNanosecondType>()?.value(row)))
        }
        ColumnType::Dynamic => array.as_string_opt::<i32>()?.value(row).to_owned(),
        ColumnType::String => {
            let text = array.as_string_opt::<i32>()?.value(row);
            return (!text.is_empty()).then(|| quoted(text));
        }
        ColumnType::Guid => quoted(array.as_string_opt::<i32>()?.value(row)),
        ColumnType::Decimal => quoted(&array.as_primitive_opt::<dt::Decimal128Type>()?.value_as_string(row)),
    })
}

#[cfg(test)]
mod tests {
    use moneta_base::{SourceName, TableName};

    use super::*;
    use crate::{BatchBuilder, Column, Delivery, RecordClass, Value};

    fn batch() -> ParsedBatch {
        let schema = Arc::new(TableSchema::custom(TableName::new("Mine_CL").unwrap()));
        let mut rows = BatchBuilder::new(schema, RecordClass::Data, Delivery::AtLeastOnce);
        for (number, text) in [(Value::Long(7), "a"), (Value::Text(""), ""), (Value::Long(9), "\"")] {
            rows.set_field("n", number);
            rows.set_field("s", Value::Text(text));
            if text == "a" {
                rows.extra("e", Value::Long(1));
            }
            rows.finish_row(Timestamp::from_seconds(1), &SourceName::lossy("s"), "raw");
        }
        rows.finish().unwrap()
    }

    fn check(columns: &[(&str, ColumnType)], expected: [Option<&str>; 3], moved: u64) {
        let own = columns.iter().map(|(name, column_type)| Column::new(name, *column_type));
        let fitted = fit(batch(), &TableSchema::new(TableName::new("Mine_CL").unwrap(), own));
        let extra = fitted.rows.column_by_name("_Extra").unwrap().as_string::<i32>();
        assert_eq!(extra.iter().collect::<Vec<_>>(), expected);
        assert_eq!(fitted.values_overflowed, moved);
    }

    #[test]
    fn values_of_conflicting_columns_go_to_extra_and_are_counted() {
        check(&[("n", ColumnType::Long), ("s", ColumnType::String)], [Some(r#"{"e":1}"#), None, None], 0);
        check(&[("n", ColumnType::String)], [Some(r#"{"e":1,"n":7}"#), None, Some(r#"{"n":9}"#)], 2);
        check(
            &[("n", ColumnType::Guid), ("s", ColumnType::Long)],
            [Some(r#"{"e":1,"n":7,"s":"a"}"#), None, Some(r#"{"n":9,"s":"\""}"#)],
            4,
        );
    }
}
