//! Rows of decoded batches as JSON objects.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType};
use moneta_base::Timestamp;
use moneta_event::ColumnType;
use serde_json::{Map, Value};

/// The rows of a table's batch, absent values left out.
pub fn objects(table: &str, batch: &RecordBatch) -> Vec<Map<String, Value>> {
    let mut rows = vec![Map::from_iter([("Type".to_owned(), Value::from(table))]); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let is_dynamic = ColumnType::of_field(field) == Some(ColumnType::Dynamic);
        for (index, row) in rows.iter_mut().enumerate() {
            if let Some(value) = value(column, index, is_dynamic) {
                row.insert(field.name().clone(), value);
            }
        }
    }
    rows
}

fn value(column: &dyn Array, index: usize, is_dynamic: bool) -> Option<Value> {
    if column.is_null(index) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Boolean => column.as_boolean().value(index).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(index).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(index).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(index).into(),
        DataType::Timestamp(..) => {
            Timestamp::from_nanos(column.as_primitive::<TimestampNanosecondType>().value(index)).to_string().into()
        }
        DataType::Utf8 => {
            let text = column.as_string::<i32>().value(index);
            match is_dynamic.then(|| serde_json::from_str(text).ok()).flatten() {
                Some(value) => value,
                None if text.is_empty() => return None,
                None => text.into(),
            }
        }
        _ => arrow::util::display::array_value_to_string(column, index).ok()?.into(),
    })
}
