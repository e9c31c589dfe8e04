//! Row kernels: functions written for one row, run over Arrow columns.
//!
//! Arguments arrive as [`Cell`]s borrowed from the columns, results leave as [`Answer`]s. Constant arguments stay
//! constant; a call whose arguments are all constant is answered once.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Decimal256Array, Decimal256Builder,
    DurationNanosecondArray, Float64Array, Float64Builder, Int32Array, Int32Builder, Int64Array, Int64Builder,
    StringArray, StringBuilder, TimestampNanosecondArray,
};
use arrow::datatypes::{
    DataType, DurationNanosecondType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType, i256,
};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::scalar::ScalarValue;
use moneta_event::ColumnType;
use moneta_event::decimal::{self, decimal_of, decimal_text};

/// One argument in one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// The null of any type but `string`.
    Null,
    /// `bool`
    Bool(bool),
    /// `int` and `long`
    Long(i64),
    /// `real`
    Real(f64),
    /// `decimal`, scaled
    Decimal(i256),
    /// `string`, `guid`, and `dynamic` as JSON text
    Text(&'a str),
    /// `datetime` and `timespan`, in nanoseconds
    Time(i64),
}

impl<'a> Cell<'a> {
    /// The text, or the empty one.
    #[must_use]
    pub fn text(self) -> &'a str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(self) -> bool {
        self == Cell::Null
    }

    /// The whole number or nanoseconds, if it is one.
    #[must_use]
    pub fn long(self) -> Option<i64> {
        match self {
            Self::Long(value) | Self::Time(value) => Some(value),
            Self::Bool(value) => Some(i64::from(value)),
            Self::Real(value) => real_to_long(value),
            Self::Decimal(value) => {
                value.wrapping_div(decimal::ONE).to_i128().and_then(|whole| i64::try_from(whole).ok())
            }
            Self::Null | Self::Text(_) => None,
        }
    }

    /// The number as a real, if it is one.
    #[must_use]
    pub fn real(self) -> Option<f64> {
        match self {
            Self::Long(value) | Self::Time(value) => Some(long_to_real(value)),
            Self::Bool(value) => Some(f64::from(u8::from(value))),
            Self::Real(value) => Some(value),
            Self::Decimal(value) => Some(decimal_to_real(value)),
            Self::Null | Self::Text(_) => None,
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn bool(self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(value) } else { None }
    }
}

/// A `real` cut to a whole number; `None` for what has none.
#[must_use]
pub fn real_to_long(value: f64) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation, reason = "the range is checked first")]
    (value.is_finite() && (-9.3e18..9.3e18).contains(&value)).then_some(value as i64)
}

/// The nearest `real` of a whole number.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a real holds 53 bits; this is what the conversion means")]
pub fn long_to_real(value: i64) -> f64 {
    value as f64
}

/// The nearest `real` of a `decimal`.
#[must_use]
pub fn decimal_to_real(value: i256) -> f64 {
    decimal_text(value).parse().unwrap_or(f64::NAN)
}

/// The result of one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer<'a> {
    /// Null (the empty text where the result is a `string`).
    Null,
    /// `bool`
    Bool(bool),
    /// `int` and `long`
    Long(i64),
    /// `real`
    Real(f64),
    /// `decimal`, scaled
    Decimal(i256),
    /// `string`, `guid`, `dynamic`
    Text(Cow<'a, str>),
    /// `datetime` and `timespan`, in nanoseconds
    Time(i64),
}

impl<'a> From<Cell<'a>> for Answer<'a> {
    fn from(cell: Cell<'a>) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Bool(value) => Self::Bool(value),
            Cell::Long(value) => Self::Long(value),
            Cell::Real(value) => Self::Real(value),
            Cell::Decimal(value) => Self::Decimal(value),
            Cell::Text(value) => Self::Text(Cow::Borrowed(value)),
            Cell::Time(value) => Self::Time(value),
        }
    }
}

macro_rules! answer_from {
    ($($type:ty => $variant:ident),*) => {
        $(impl<'a> From<$type> for Answer<'a> {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

answer_from!(bool => Bool, i64 => Long, i32 => Long, u32 => Long, f64 => Real, i256 => Decimal, String => Text, &'a str => Text, Cow<'a, str> => Text);

impl<'a, T: Into<Answer<'a>>> From<Option<T>> for Answer<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<'a> From<usize> for Answer<'a> {
    fn from(value: usize) -> Self {
        Self::Long(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl<'a> From<serde_json::Value> for Answer<'a> {
    fn from(value: serde_json::Value) -> Self {
        if value.is_null() { Self::Null } else { Self::Text(Cow::Owned(value.to_string())) }
    }
}

/// What a row kernel may know beside its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Call<'c> {
    /// The Kusto types of the arguments.
    pub types: &'c [ColumnType],
    /// The Kusto type of the result.
    pub return_type: ColumnType,
}

/// A function of one row.
pub type RowKernel = for<'a> fn(&[Cell<'a>], &Call<'_>) -> Answer<'a>;

/// The most text a function makes of one batch of rows, in bytes. Until a batch is done nobody counts its memory.
pub const BATCH_TEXT_BYTES_MAX: usize = 256 << 20;

fn too_much_text() -> DataFusionError {
    DataFusionError::ResourcesExhausted(format!(
        "a function makes more than {} MiB of text of one batch of rows; make shorter texts, or filter first",
        BATCH_TEXT_BYTES_MAX >> 20
    ))
}

/// Runs a row kernel over columns.
///
/// # Errors
/// When the texts of the result are longer than [`BATCH_TEXT_BYTES_MAX`] together.
///
/// # Shapes
/// Each of `args` is a constant or has `rows` rows; the result is constant if all are, else has `rows` rows.
pub fn run_rows(
    args: &[ColumnarValue],
    rows: usize,
    call: &Call<'_>,
    nulls_propagate: bool,
    kernel: RowKernel,
) -> Result<ColumnarValue> {
    let columns = args.iter().map(normalised).collect::<Result<Vec<_>>>()?;
    let constant = args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) && !args.is_empty();
    let readers: Vec<Reader<'_>> = columns.iter().map(Reader::new).collect();
    let rows = if constant { 1 } else { rows };
    let mut builder = Builder::new(call.return_type, rows);
    let mut cells = vec![Cell::Null; readers.len()];
    let mut text_bytes = 0;
    for row in 0..rows {
        let mut any_null = false;
        for (cell, reader) in cells.iter_mut().zip(&readers) {
            *cell = reader.get(row);
            any_null |= cell.is_null();
        }
        let answer = if any_null && nulls_propagate { Answer::Null } else { kernel(&cells, call) };
        if let Answer::Text(text) = &answer {
            text_bytes += text.len();
            if text_bytes > BATCH_TEXT_BYTES_MAX {
                return Err(too_much_text());
            }
        }
        builder.push(answer);
    }
    let array = builder.finish();
    Ok(if constant {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
    } else {
        ColumnarValue::Array(array)
    })
}

/// A column in one of the Arrow types row kernels read, and whether it is one constant.
fn normalised(value: &ColumnarValue) -> Result<(ArrayRef, bool)> {
    let (array, constant) = match value {
        ColumnarValue::Array(array) => (Arc::clone(array), false),
        ColumnarValue::Scalar(scalar) => (scalar.to_array_of_size(1)?, true),
    };
    Ok((plain(&array)?, constant))
}

/// The same values in one of the Arrow types of [`ColumnType::computed`].
pub fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    let target = match array.data_type() {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::Dictionary(_, values) => match values.as_ref() {
            DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
            other => other.clone(),
        },
        DataType::Timestamp(unit, _) if *unit != arrow::datatypes::TimeUnit::Nanosecond => ColumnType::DateTime.arrow(),
        DataType::Decimal128(..) => ColumnType::Decimal.computed(),
        _ => return Ok(Arc::clone(array)),
    };
    Ok(arrow::compute::cast(array, &target)?)
}

/// Reads cells from a column.
#[derive(Debug)]
pub enum Reader<'a> {
    /// One value for all rows.
    Constant(Cell<'a>),
    /// `bool`
    Bool(&'a BooleanArray),
    /// `int`
    Int(&'a Int32Array),
    /// `long`
    Long(&'a Int64Array),
    /// `real`
    Real(&'a Float64Array),
    /// `decimal`
    Decimal(&'a Decimal256Array),
    /// Text of any kind
    Text(&'a StringArray),
    /// `datetime`
    DateTime(&'a TimestampNanosecondArray),
    /// `timespan`
    TimeSpan(&'a DurationNanosecondArray),
    /// A type no kernel reads: all null.
    Unknown,
}

impl<'a> Reader<'a> {
    fn new((array, constant): &'a (ArrayRef, bool)) -> Self {
        let reader = Self::of(array);
        if *constant { Self::Constant(reader.get(0)) } else { reader }
    }

    /// A reader of an array in one of the types of [`ColumnType::computed`].
    #[must_use]
    pub fn of(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Int32 => Self::Int(array.as_primitive::<Int32Type>()),
            DataType::Int64 => Self::Long(array.as_primitive::<Int64Type>()),
            DataType::Float64 => Self::Real(array.as_primitive::<Float64Type>()),
            DataType::Decimal256(..) => Self::Decimal(array.as_primitive()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Timestamp(..) => Self::DateTime(array.as_primitive::<TimestampNanosecondType>()),
            DataType::Duration(_) => Self::TimeSpan(array.as_primitive::<DurationNanosecondType>()),
            _ => Self::Unknown,
        }
    }

    /// The cell of a row.
    #[must_use]
    pub fn get(&self, row: usize) -> Cell<'a> {
        macro_rules! read {
            ($array:expr, $variant:ident) => {
                if $array.is_null(row) { Cell::Null } else { Cell::$variant($array.value(row).into()) }
            };
        }
        match self {
            Self::Constant(cell) => *cell,
            Self::Bool(array) => read!(array, Bool),
            Self::Int(array) => read!(array, Long),
            Self::Long(array) => read!(array, Long),
            Self::Real(array) => read!(array, Real),
            Self::Decimal(array) => read!(array, Decimal),
            Self::Text(array) => read!(array, Text),
            Self::DateTime(array) => read!(array, Time),
            Self::TimeSpan(array) => read!(array, Time),
            Self::Unknown => Cell::Null,
        }
    }
}

/// Collects answers into a column of a Kusto type. An answer that does not fit the type becomes null.
#[derive(Debug)]
pub enum Builder {
    /// `bool`
    Bool(BooleanBuilder),
    /// `int`
    Int(Int32Builder),
    /// `long`
    Long(Int64Builder),
    /// `real`
    Real(Float64Builder),
    /// `decimal`
    Decimal(Decimal256Builder),
    /// `string`: no nulls
    String(StringBuilder),
    /// `dynamic`, `guid`
    Text(StringBuilder),
    /// `datetime`
    DateTime(Int64Builder),
    /// `timespan`
    TimeSpan(Int64Builder),
}

impl Builder {
    /// An empty column.
    #[must_use]
    pub fn new(column_type: ColumnType, rows: usize) -> Self {
        match column_type {
            ColumnType::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            ColumnType::Int => Self::Int(Int32Builder::with_capacity(rows)),
            ColumnType::Long => Self::Long(Int64Builder::with_capacity(rows)),
            ColumnType::Real => Self::Real(Float64Builder::with_capacity(rows)),
            ColumnType::Decimal => Self::Decimal(Decimal256Builder::with_capacity(rows)),
            ColumnType::String => Self::String(StringBuilder::with_capacity(rows, rows * 16)),
            ColumnType::Dynamic | ColumnType::Guid => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
            ColumnType::DateTime => Self::DateTime(Int64Builder::with_capacity(rows)),
            ColumnType::TimeSpan => Self::TimeSpan(Int64Builder::with_capacity(rows)),
        }
    }

    /// Adds one answer.
    pub fn push(&mut self, answer: Answer<'_>) {
        let long = |answer: &Answer<'_>| match answer {
            Answer::Long(value) | Answer::Time(value) => Some(*value),
            Answer::Real(value) => real_to_long(*value),
            _ => None,
        };
        match self {
            Self::Bool(builder) => {
                builder.append_option(if let Answer::Bool(value) = answer { Some(value) } else { None });
            }
            Self::Int(builder) => builder.append_option(long(&answer).and_then(|value| i32::try_from(value).ok())),
            Self::Long(builder) => builder.append_option(long(&answer)),
            Self::DateTime(builder) | Self::TimeSpan(builder) => builder.append_option(long(&answer)),
            Self::Real(builder) => builder.append_option(match answer {
                Answer::Real(value) => Some(value),
                Answer::Long(value) => Some(long_to_real(value)),
                Answer::Decimal(value) => Some(decimal_to_real(value)),
                _ => None,
            }),
            Self::Decimal(builder) => builder.append_option(match answer {
                Answer::Decimal(value) => Some(value),
                Answer::Long(value) => Some(decimal_of(value)),
                _ => None,
            }),
            Self::String(builder) => builder.append_value(if let Answer::Text(text) = &answer { text } else { "" }),
            Self::Text(builder) => {
                builder.append_option(if let Answer::Text(text) = &answer { Some(text) } else { None })
            }
        }
    }

    /// The column.
    #[must_use]
    pub fn finish(self) -> ArrayRef {
        match self {
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Int(mut builder) => Arc::new(builder.finish()),
            Self::Long(mut builder) => Arc::new(builder.finish()),
            Self::Real(mut builder) => Arc::new(builder.finish()),
            Self::Decimal(mut builder) => Arc::new(
                builder
                    .finish()
                    .with_precision_and_scale(decimal::PRECISION, decimal::SCALE)
                    .expect("the precision and scale of decimal are valid"),
            ),
            Self::String(mut builder) | Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::DateTime(mut builder) => {
                Arc::new(builder.finish().reinterpret_cast::<TimestampNanosecondType>().with_timezone("UTC"))
            }
            Self::TimeSpan(mut builder) => Arc::new(builder.finish().reinterpret_cast::<DurationNanosecondType>()),
        }
    }
}
