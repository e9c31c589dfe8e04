//! Arrow columns as the JSON cells of Kusto's answers.

use std::borrow::Cow;

use arrow::array::{
    Array, AsArray, BooleanArray, Decimal256Array, DurationNanosecondArray, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampNanosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    Decimal256Type, DurationNanosecondType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType,
};
use arrow::error::ArrowError;
use moneta_base::Timestamp;
use moneta_event::ColumnType;
use moneta_event::builder::format_span;
use moneta_event::decimal::decimal_text;
use moneta_ports::QueryColumn;

/// One column, in the Arrow form of its type.
pub(crate) enum Cells<'a> {
    Bool(&'a BooleanArray),
    Int(&'a Int32Array),
    Long(&'a Int64Array),
    Real(&'a Float64Array),
    Decimal(&'a Decimal256Array),
    Text(&'a StringArray),
    Guid(&'a StringArray),
    Dynamic(&'a StringArray),
    DateTime(&'a TimestampNanosecondArray),
    TimeSpan(&'a DurationNanosecondArray),
}

/// The batch with every column in the Arrow form of its type.
///
/// # Errors
/// When a column cannot be brought into it: a defect of the engine, found before the answer has begun.
pub(crate) fn normalise(columns: &[QueryColumn], batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut arrays = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let array = batch.columns().get(index).ok_or_else(|| {
            ArrowError::SchemaError(format!("the answer has {} columns, not {}", batch.num_columns(), columns.len()))
        })?;
        let wanted = column.column_type.computed();
        let fits = *array.data_type() == wanted;
        arrays.push((index.to_string(), if fits { array.clone() } else { cast(array, &wanted)? }));
    }
    if arrays.is_empty() {
        return Ok(RecordBatch::new_empty(arrow::datatypes::Schema::empty().into()));
    }
    RecordBatch::try_from_iter_with_nullable(arrays.into_iter().map(|(name, array)| (name, array, true)))
}

/// Writes the rows of a normalised batch as JSON arrays, separated by commas.
///
/// # Shapes
/// `columns`: one per column of the batch. `continues`: rows stand before these, so a comma comes first.
pub(crate) fn write_rows(out: &mut Vec<u8>, columns: &[QueryColumn], batch: &RecordBatch, continues: bool) {
    let cells = Cells::of(columns, batch);
    for row in 0..batch.num_rows() {
        if row > 0 || continues {
            out.push(b',');
        }
        out.push(b'[');
        for (index, cells) in cells.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            cells.write(row, out);
        }
        out.push(b']');
    }
}

impl<'a> Cells<'a> {
    /// The columns of a normalised batch.
    pub(crate) fn of(columns: &[QueryColumn], batch: &'a RecordBatch) -> Vec<Self> {
        columns.iter().zip(batch.columns()).map(|(column, array)| Self::new(column.column_type, array)).collect()
    }

    fn new(column_type: ColumnType, array: &'a dyn Array) -> Self {
        match column_type {
            ColumnType::Bool => Self::Bool(array.as_boolean()),
            ColumnType::Int => Self::Int(array.as_primitive::<Int32Type>()),
            ColumnType::Long => Self::Long(array.as_primitive::<Int64Type>()),
            ColumnType::Real => Self::Real(array.as_primitive::<Float64Type>()),
            ColumnType::Decimal => Self::Decimal(array.as_primitive::<Decimal256Type>()),
            ColumnType::String => Self::Text(array.as_string()),
            ColumnType::Guid => Self::Guid(array.as_string()),
            ColumnType::Dynamic => Self::Dynamic(array.as_string()),
            ColumnType::DateTime => Self::DateTime(array.as_primitive::<TimestampNanosecondType>()),
            ColumnType::TimeSpan => Self::TimeSpan(array.as_primitive::<DurationNanosecondType>()),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Bool(array) => array.is_null(row),
            Self::Int(array) => array.is_null(row),
            Self::Long(array) => array.is_null(row),
            Self::Real(array) => array.is_null(row),
            Self::Decimal(array) => array.is_null(row),
            // Kusto's strings are never null: absent is empty.
            Self::Text(_) => false,
            Self::Guid(array) | Self::Dynamic(array) => array.is_null(row),
            Self::DateTime(array) => array.is_null(row),
            Self::TimeSpan(array) => array.is_null(row),
        }
    }

    /// A cell as text, without the quotes of JSON around it; empty where there is no value.
    pub(crate) fn text(&self, row: usize) -> Cow<'_, str> {
        match self {
            _ if self.is_null(row) => Cow::Borrowed(""),
            Self::Text(array) if array.is_null(row) => Cow::Borrowed(""),
            Self::Text(array) | Self::Guid(array) => Cow::Borrowed(array.value(row)),
            _ => {
                let mut out = Vec::new();
                self.write(row, &mut out);
                let is_text = out.trim_ascii_start().starts_with(b"\"");
                let text = is_text.then(|| serde_json::from_slice(&out).ok()).flatten();
                Cow::Owned(text.unwrap_or_else(|| String::from_utf8_lossy(&out).into_owned()))
            }
        }
    }

    /// Writes a cell as JSON.
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match self {
            Self::Bool(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
            Self::Int(array) => write_plain(out, array.value(row)),
            Self::Long(array) => write_plain(out, array.value(row)),
            Self::Real(array) => write_real(out, array.value(row)),
            Self::Decimal(array) => write_text(out, &decimal_text(array.value(row))),
            Self::Text(array) if array.is_null(row) => write_text(out, ""),
            Self::Text(array) | Self::Guid(array) => write_text(out, array.value(row)),
            Self::Dynamic(array) => write_dynamic(out, array.value(row)),
            Self::DateTime(array) => write_text(out, &Timestamp::from_nanos(array.value(row)).to_string()),
            Self::TimeSpan(array) => write_text(out, &format_span(array.value(row))),
        }
    }
}

fn write_plain(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Writes a text as JSON.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text always becomes JSON, and memory takes it");
}

/// JSON has no word for these three; Kusto sends them as text.
fn write_real(out: &mut Vec<u8>, value: f64) {
    match value {
        _ if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
        f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
        f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
        _ => serde_json::to_writer(out, &value).expect("a finite number becomes JSON, and memory takes it"),
    }
}

/// Native JSON. What is not JSON after all is sent as text: one bad value must not break the whole answer.
fn write_dynamic(out: &mut Vec<u8>, text: &str) {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_text(out, text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Decimal128Array};

    use super::*;

    fn check(column_type: ColumnType, array: ArrayRef, expected: &str) {
        let columns = [QueryColumn { name: "x".to_owned(), column_type }];
        let batch = RecordBatch::try_from_iter_with_nullable([("x", array, true)]).unwrap();
        let mut out = Vec::new();
        write_rows(&mut out, &columns, &normalise(&columns, &batch).unwrap(), false);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{column_type}");
    }

    #[test]
    fn every_type_has_its_form() {
        check(ColumnType::Bool, Arc::new(BooleanArray::from(vec![Some(true), None])), "[true],[null]");
        check(ColumnType::Int, Arc::new(Int32Array::from(vec![-1])), "[-1]");
        check(ColumnType::Long, Arc::new(Int64Array::from(vec![i64::MAX])), "[9223372036854775807]");
        let reals = vec![0.5, 1.0, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let expected = r#"[0.5],[1.0],[1e+300],["NaN"],["Infinity"],["-Infinity"]"#;
        let written = serde_json::to_string(&1e300).unwrap();
        check(ColumnType::Real, Arc::new(Float64Array::from(reals)), &expected.replace("1e+300", &written));
        let stored = Decimal128Array::from(vec![1_500_000_000_000_000_000, -1, 0, 10i128.pow(20)]);
        let decimals = stored.with_precision_and_scale(38, moneta_event::types::DECIMAL_SCALE).unwrap();
        check(ColumnType::Decimal, Arc::new(decimals), r#"["1.5"],["-0.000000000000000001"],["0"],["100"]"#);
        let computed = Decimal256Array::from(vec![moneta_event::decimal::parse_decimal("1e24").unwrap()]);
        let computed = computed.with_data_type(ColumnType::Decimal.computed());
        check(ColumnType::Decimal, Arc::new(computed), r#"["1000000000000000000000000"]"#);
        check(
            ColumnType::String,
            Arc::new(StringArray::from(vec!["a\"\u{1}\n</script>"])),
            r#"["a\"\u0001\n</script>"]"#,
        );
        check(ColumnType::String, Arc::new(StringArray::from(vec![None::<&str>])), r#"[""]"#);
        let times = TimestampNanosecondArray::from(vec![1_767_323_045_123_456_700]).with_timezone("UTC");
        check(ColumnType::DateTime, Arc::new(times), r#"["2026-01-02T03:04:05.1234567Z"]"#);
        let spans = DurationNanosecondArray::from(vec![93_784_000_000_500, 0]);
        check(ColumnType::TimeSpan, Arc::new(spans), r#"["1.02:03:04.0000005"],["00:00:00"]"#);
        let values = StringArray::from(vec![Some("{\"a\":[1,null]}"), Some("\"t\""), Some("not json"), None]);
        check(ColumnType::Dynamic, Arc::new(values), r#"[{"a":[1,null]}],["t"],["not json"],[null]"#);
        check(ColumnType::Guid, Arc::new(StringArray::from(vec![None::<&str>])), "[null]");
    }

    #[test]
    fn other_arrow_forms_of_a_type_are_converted() {
        check(ColumnType::Long, Arc::new(Int32Array::from(vec![7])), "[7]");
        let view = arrow::array::StringViewArray::from(vec!["v"]);
        check(ColumnType::String, Arc::new(view), r#"["v"]"#);
    }
}
