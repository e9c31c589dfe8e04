//! Constant values with their Kusto types, and the two conversions between Kusto's ticks and our nanoseconds.

use std::fmt;

use arrow::datatypes::i256;
use datafusion::scalar::ScalarValue;
use moneta_event::ColumnType;
use moneta_event::decimal::{self, decimal_text};

/// Ticks of 100 ns from 0001-01-01 to 1970-01-01.
pub const EPOCH_TICKS: i64 = 621_355_968_000_000_000;
/// Nanoseconds in one tick.
pub const NANOS_PER_TICK: i64 = 100;

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// The null of a type. `string` has none: its empty text stands for it.
    Null(ColumnType),
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i32),
    /// `long`
    Long(i64),
    /// `real`
    Real(f64),
    /// `decimal`, scaled by [`decimal::ONE`].
    Decimal(i256),
    /// `string`
    String(String),
    /// `datetime`: nanoseconds since 1970.
    DateTime(i64),
    /// `timespan`: nanoseconds.
    TimeSpan(i64),
    /// `dynamic`: JSON text.
    Dynamic(String),
    /// `guid`: lower case with hyphens.
    Guid(String),
}

impl Value {
    /// The null of a type, or the empty string.
    #[must_use]
    pub fn null(column_type: ColumnType) -> Self {
        if column_type == ColumnType::String { Self::String(String::new()) } else { Self::Null(column_type) }
    }

    /// The type.
    #[must_use]
    pub fn column_type(&self) -> ColumnType {
        match self {
            Self::Null(column_type) => *column_type,
            Self::Bool(_) => ColumnType::Bool,
            Self::Int(_) => ColumnType::Int,
            Self::Long(_) => ColumnType::Long,
            Self::Real(_) => ColumnType::Real,
            Self::Decimal(_) => ColumnType::Decimal,
            Self::String(_) => ColumnType::String,
            Self::DateTime(_) => ColumnType::DateTime,
            Self::TimeSpan(_) => ColumnType::TimeSpan,
            Self::Dynamic(_) => ColumnType::Dynamic,
            Self::Guid(_) => ColumnType::Guid,
        }
    }

    /// Whether this is a null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null(_))
    }

    /// The whole number, if it is one.
    #[must_use]
    pub fn as_long(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(i64::from(*value)),
            Self::Long(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of a `string`.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The value as DataFusion holds it.
    #[must_use]
    pub fn to_scalar(&self) -> ScalarValue {
        let utc = || Some("UTC".into());
        match self {
            Self::Null(column_type) => null_scalar(*column_type),
            Self::Bool(value) => ScalarValue::Boolean(Some(*value)),
            Self::Int(value) => ScalarValue::Int32(Some(*value)),
            Self::Long(value) => ScalarValue::Int64(Some(*value)),
            Self::Real(value) => ScalarValue::Float64(Some(*value)),
            Self::Decimal(value) => ScalarValue::Decimal256(Some(*value), decimal::PRECISION, decimal::SCALE),
            Self::DateTime(value) => ScalarValue::TimestampNanosecond(Some(*value), utc()),
            Self::TimeSpan(value) => ScalarValue::DurationNanosecond(Some(*value)),
            Self::String(text) | Self::Dynamic(text) | Self::Guid(text) => ScalarValue::Utf8(Some(text.clone())),
        }
    }

    /// The value DataFusion holds, read as a Kusto type. `None` if the two do not fit.
    #[must_use]
    pub fn from_scalar(column_type: ColumnType, scalar: &ScalarValue) -> Option<Self> {
        if scalar.is_null() {
            return Some(Self::null(column_type));
        }
        Some(match (column_type, scalar) {
            (ColumnType::Bool, ScalarValue::Boolean(Some(value))) => Self::Bool(*value),
            (ColumnType::Int, ScalarValue::Int32(Some(value))) => Self::Int(*value),
            (ColumnType::Long, ScalarValue::Int64(Some(value))) => Self::Long(*value),
            (ColumnType::Real, ScalarValue::Float64(Some(value))) => Self::Real(*value),
            (ColumnType::Decimal, ScalarValue::Decimal256(Some(value), _, decimal::SCALE)) => Self::Decimal(*value),
            (ColumnType::DateTime, ScalarValue::TimestampNanosecond(Some(value), _)) => Self::DateTime(*value),
            (ColumnType::TimeSpan, ScalarValue::DurationNanosecond(Some(value))) => Self::TimeSpan(*value),
            (ColumnType::String, ScalarValue::Utf8(Some(text))) => Self::String(text.clone()),
            (ColumnType::Dynamic, ScalarValue::Utf8(Some(text))) => Self::Dynamic(text.clone()),
            (ColumnType::Guid, ScalarValue::Utf8(Some(text))) => Self::Guid(text.clone()),
            _ => return None,
        })
    }
}

impl fmt::Display for Value {
    /// The value as a literal of the language.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null(column_type) => write!(f, "{column_type}(null)"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "int({value})"),
            Self::Long(value) => write!(f, "{value}"),
            Self::Real(value) => write!(f, "real({value})"),
            Self::Decimal(value) => write!(f, "decimal({})", decimal_text(*value)),
            Self::String(value) => write!(f, "{value:?}"),
            Self::DateTime(nanos) => write!(f, "datetime({})", datetime_text(*nanos)),
            Self::TimeSpan(nanos) => write!(f, "timespan({})", timespan_text(*nanos)),
            Self::Dynamic(json) => write!(f, "dynamic({json})"),
            Self::Guid(text) => write!(f, "guid({text})"),
        }
    }
}

/// The typed null DataFusion uses for a Kusto type; for `string` the empty text.
#[must_use]
pub fn null_scalar(column_type: ColumnType) -> ScalarValue {
    match column_type {
        ColumnType::String => ScalarValue::Utf8(Some(String::new())),
        ColumnType::Bool => ScalarValue::Boolean(None),
        ColumnType::Int => ScalarValue::Int32(None),
        ColumnType::Long => ScalarValue::Int64(None),
        ColumnType::Real => ScalarValue::Float64(None),
        ColumnType::Decimal => ScalarValue::Decimal256(None, decimal::PRECISION, decimal::SCALE),
        ColumnType::DateTime => ScalarValue::TimestampNanosecond(None, Some("UTC".into())),
        ColumnType::TimeSpan => ScalarValue::DurationNanosecond(None),
        ColumnType::Dynamic | ColumnType::Guid => ScalarValue::Utf8(None),
    }
}

/// Nanoseconds since 1970 of ticks since year 1, and whether they had to be cut to the range that can be held.
#[must_use]
pub fn datetime_nanos(ticks: i64) -> (i64, bool) {
    let since_epoch = ticks.saturating_sub(EPOCH_TICKS);
    match since_epoch.checked_mul(NANOS_PER_TICK) {
        Some(nanos) => (nanos, false),
        None if since_epoch < 0 => (i64::MIN / NANOS_PER_TICK * NANOS_PER_TICK, true),
        None => (i64::MAX / NANOS_PER_TICK * NANOS_PER_TICK, true),
    }
}

/// Nanoseconds of a timespan in ticks, saturating.
#[must_use]
pub fn timespan_nanos(ticks: i64) -> i64 {
    ticks.saturating_mul(NANOS_PER_TICK)
}

/// Ticks since year 1 of nanoseconds since 1970.
#[must_use]
pub fn datetime_ticks(nanos: i64) -> i64 {
    nanos.div_euclid(NANOS_PER_TICK) + EPOCH_TICKS
}

/// A datetime as `tostring` writes it.
#[must_use]
pub fn datetime_text(nanos: i64) -> String {
    moneta_kql::time::format_datetime(datetime_ticks(nanos))
}

/// A timespan as `tostring` writes it.
#[must_use]
pub fn timespan_text(nanos: i64) -> String {
    moneta_kql::time::format_timespan(nanos / NANOS_PER_TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_the_range_are_cut() {
        assert_eq!(datetime_nanos(EPOCH_TICKS), (0, false));
        assert!(datetime_nanos(i64::MAX).1);
        assert!(datetime_nanos(0).1);
        assert_eq!(datetime_text(0), "1970-01-01T00:00:00.0000000Z");
    }
}
