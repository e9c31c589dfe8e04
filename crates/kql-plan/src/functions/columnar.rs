//! Functions over whole columns: the shapes of call that queries over many rows are made of. Each means what its row
//! kernel means; a shape that is not here goes to the row kernel.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type, TimestampNanosecondType};
use datafusion::logical_expr::ColumnarValue;
use datafusion::scalar::ScalarValue;
use moneta_event::ColumnType;

use super::datetime::origin_within;

/// The result of a call, if it has one of the shapes of this module.
///
/// # Shapes
/// As many rows as the column among the arguments.
#[must_use]
pub fn call(name: &str, args: &[ColumnarValue], return_type: ColumnType) -> Option<ColumnarValue> {
    let result = match (name, args) {
        ("bin", [ColumnarValue::Array(values), ColumnarValue::Scalar(size)]) => bin(values, whole_number(size)?)?,
        _ => return None,
    };
    (*result.data_type() == return_type.computed()).then_some(ColumnarValue::Array(result))
}

/// The number, or the nanoseconds of a span.
fn whole_number(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::Int64(value) | ScalarValue::DurationNanosecond(value) => *value,
        _ => None,
    }
}

/// Times and whole numbers rounded down to multiples of a size above zero.
fn bin(values: &ArrayRef, size: i64) -> Option<ArrayRef> {
    if size <= 0 {
        return None;
    }
    match values.data_type() {
        DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, zone) => {
            let origin = origin_within(size);
            let floor = |nanos: i64| {
                let since = nanos.rem_euclid(size);
                // Both are below the size; together they may be above it once.
                let past = if since >= size - origin { since - (size - origin) } else { since + origin };
                nanos.checked_sub(past).unwrap_or(i64::MIN)
            };
            let times = values.as_primitive::<TimestampNanosecondType>().unary::<_, TimestampNanosecondType>(floor);
            Some(Arc::new(times.with_timezone_opt(zone.clone())))
        }
        DataType::Int64 => {
            let floor = |value: i64| value.saturating_sub(value.rem_euclid(size));
            Some(Arc::new(values.as_primitive::<Int64Type>().unary::<_, Int64Type>(floor)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, TimestampNanosecondArray};

    use super::super::datetime::floor_datetime;
    use super::*;

    #[test]
    fn bins_of_columns_are_those_of_rows() {
        let values = [0, 1, -1, 1_577_968_440_123_456_700, -62_135_596_800_000, i64::MAX, i64::MIN + 1];
        for size in [1, 7, 1_000, 600_000_000_000, 86_400_000_000_000, 7 * 86_400_000_000_000, i64::MAX] {
            let times: ArrayRef = Arc::new(TimestampNanosecondArray::from(values.to_vec()).with_timezone("UTC"));
            let binned = bin(&times, size).unwrap();
            assert_eq!(binned.data_type(), times.data_type());
            for (value, binned) in values.iter().zip(binned.as_primitive::<TimestampNanosecondType>().values()) {
                assert_eq!(*binned, floor_datetime(*value, size), "{value} by {size}");
            }
            let numbers: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
            let binned = bin(&numbers, size).unwrap();
            for (value, binned) in values.iter().zip(binned.as_primitive::<Int64Type>().values()) {
                assert_eq!(*binned, value.saturating_sub(value.rem_euclid(size)), "{value} by {size}");
            }
        }
        let nulls: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(5)]));
        assert_eq!(bin(&nulls, 2).unwrap().null_count(), 1);
        assert!(bin(&nulls, 0).is_none() && bin(&nulls, -1).is_none());
    }
}
