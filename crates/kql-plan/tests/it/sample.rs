//! Sample rows for any table: a few rows with values of every kind a column may hold, the same in every run.
//!
//! They make operators meet nulls, empty texts, deep and shallow dynamics, and times around `now()`; they are not meant
//! to be likely.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, DurationNanosecondArray, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampNanosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Schema};
use moneta_event::{Column, ColumnType};

use crate::engine::now;

/// Rows per table.
const ROWS: usize = 7;

const TEXTS: [&str; 11] = [
    "",
    "alice@contoso.com",
    "10.0.0.4",
    r"C:\Windows\System32\cmd.exe /c whoami",
    r#"{"key":"value","list":[1,2,{"deep":true}],"time":"2024-05-06T00:00:00Z"}"#,
    "4625",
    "https://user@example.org:8080/a/b.exe?x=1&y=%20z#top",
    "Ünïcode – text",
    "2024-05-05T10:00:00Z",
    "[\"one\",\"two\"]",
    "powershell.exe -enc SQBFAFgA",
];

const DYNAMICS: [Option<&str>; 9] = [
    None,
    Some(r#"{"a":{"b":[1,2,{"c":"x"}]},"displayName":"n","value":null}"#),
    Some(r#"[1,"two",null,{"k":"v","key":"k","value":[{"x":1.5}]}]"#),
    Some(r#""text""#),
    Some("3.5"),
    Some("[]"),
    Some("{}"),
    Some("true"),
    Some(r#"[{"displayName":"ipAddress","newValue":"\"10.0.0.4\"","modifiedProperties":[{"oldValue":"[]"}]}]"#),
];

/// Minutes before `now()`; `None` is null.
const AGES: [Option<i64>; 6] = [Some(1), Some(50), None, Some(60 * 23), Some(60 * 24 * 6), Some(60 * 24 * 40)];

/// The rows of a table as one batch. Where a value starts depends on the names, so that columns differ.
pub fn rows(table: &str, columns: &[Column]) -> Vec<RecordBatch> {
    let arrays: Vec<ArrayRef> = columns.iter().map(|column| values(column, start(table, &column.name))).collect();
    let fields: Vec<_> = columns.iter().map(|c| c.column_type.field(&c.name)).collect();
    if arrays.is_empty() {
        return Vec::new();
    }
    vec![RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()]
}

fn start(table: &str, column: &str) -> usize {
    let bytes = table.bytes().chain(column.bytes());
    bytes.fold(5381_usize, |hash, byte| hash.wrapping_mul(33).wrapping_add(usize::from(byte))) % 997
}

fn values(column: &Column, start: usize) -> ArrayRef {
    let column_type = column.column_type;
    let at = |row: usize, count: usize| (start + row) % count;
    let rows = 0..ROWS;
    let whole = |row: usize| [Some(0), Some(-1), None, Some(4625), Some(i64::from(i32::MAX)), Some(7)][at(row, 6)];
    let minute = 60_000_000_000_i64;
    let array: ArrayRef = match column_type {
        ColumnType::Bool => {
            Arc::new(rows.map(|row| [Some(true), Some(false), None][at(row, 3)]).collect::<BooleanArray>())
        }
        ColumnType::Int => {
            Arc::new(rows.map(|row| whole(row).and_then(|v| i32::try_from(v).ok())).collect::<Int32Array>())
        }
        ColumnType::Long => Arc::new(rows.map(whole).collect::<Int64Array>()),
        ColumnType::Real => {
            let all = [Some(0.0), Some(-1.5), None, Some(f64::NAN), Some(1e300), Some(42.25)];
            Arc::new(rows.map(|row| all[at(row, 6)]).collect::<Float64Array>())
        }
        ColumnType::Decimal => {
            let all = rows.map(|row| whole(row).map(|v| i128::from(v) * 10_i128.pow(18)));
            Arc::new(all.collect::<Decimal128Array>())
        }
        ColumnType::String => Arc::new(rows.map(|row| Some(TEXTS[at(row, TEXTS.len())])).collect::<StringArray>()),
        ColumnType::Dynamic => Arc::new(rows.map(|row| DYNAMICS[at(row, DYNAMICS.len())]).collect::<StringArray>()),
        ColumnType::Guid => {
            let all =
                [Some("74be27de-1e4e-49d9-b579-fe0b331d3642"), None, Some("00000000-0000-0000-0000-000000000000")];
            Arc::new(rows.map(|row| all[at(row, 3)]).collect::<StringArray>())
        }
        ColumnType::DateTime => {
            let all = rows.map(|row| AGES[at(row, AGES.len())].map(|age| now().as_nanos() - age * minute));
            Arc::new(all.collect::<TimestampNanosecondArray>())
        }
        ColumnType::TimeSpan => {
            let all = rows.map(|row| AGES[at(row, AGES.len())].map(|age| age * minute));
            Arc::new(all.collect::<DurationNanosecondArray>())
        }
    };
    in_form(array, &column_type.arrow())
}

/// The values in the Arrow form of the type.
fn in_form(array: ArrayRef, form: &DataType) -> ArrayRef {
    if let (DataType::Decimal128(precision, scale), Some(decimal)) =
        (form, array.as_any().downcast_ref::<Decimal128Array>())
    {
        return Arc::new(decimal.clone().with_precision_and_scale(*precision, *scale).unwrap());
    }
    if array.data_type() == form { array } else { cast(&array, form).unwrap() }
}
