//! Builds the rows of one table column by column: what every decoder appends to.
//!
//! A value that does not fit its column, and a field the table does not know, go to `_Extra`: nothing is dropped.
//! Columns come into being when a row first has a value for them, so a table of hundreds of columns costs what its
//! rows use.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, DurationNanosecondBuilder, Float64Builder, Int32Builder, Int64Builder,
    RecordBatch, StringBuilder, TimestampNanosecondBuilder,
};
use arrow::datatypes::Schema;
use foldhash::HashMap;
use moneta_base::{SourceName, Timestamp, limits};

use crate::schema::{IMPLIED_BY_HEADER, is_column_name, standard};
use crate::types::{DECIMAL_PRECISION, DECIMAL_SCALE};
use crate::{Column, ColumnType, Delivery, ParsedBatch, RecordClass, TableSchema};

/// One value as a decoder met it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Long(i64),
    /// A floating-point number.
    Real(f64),
    /// Text.
    Text(&'a str),
    /// A point in time.
    Time(Timestamp),
    /// A span of time in nanoseconds.
    Span(i64),
    /// JSON text of an object, an array, or anything else that is kept as it is.
    Json(&'a str),
}

/// The position of a column in its table, resolved once and used for every row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnIndex(usize);

/// Appends rows to the columns of one table.
#[derive(Debug)]
pub struct BatchBuilder {
    schema: Arc<TableSchema>,
    /// Columns beyond the schema's, grown from the data of a custom table.
    grown: Vec<Column>,
    grown_by_name: HashMap<Arc<str>, usize>,
    columns: Vec<Option<ColumnBuilder>>,
    extra: ExtraField,
    rows: usize,
    values_overflowed: u64,
    constants: [(usize, &'static str); 2],
    /// Positions of the columns that the end of a row fills.
    time_column: ColumnIndex,
    source_column: ColumnIndex,
    raw_column: ColumnIndex,
    extra_column: ColumnIndex,
}

impl BatchBuilder {
    /// A builder for rows of `schema` that came by one path.
    #[must_use]
    pub fn new(schema: Arc<TableSchema>, class: RecordClass, delivery: Delivery) -> Self {
        let at = |name| schema.index_of(name).expect("every schema has the standard columns");
        let constants = [(at(standard::CLASS), class.name()), (at(standard::DELIVERY), delivery.name())];
        let [time_column, source_column, raw_column, extra_column] =
            [standard::TIME_GENERATED, standard::SOURCE, standard::RAW, standard::EXTRA]
                .map(|name| ColumnIndex(at(name)));
        let columns = schema.columns().iter().map(|_| None).collect();
        Self {
            grown: Vec::new(),
            grown_by_name: HashMap::default(),
            columns,
            extra: ExtraField::default(),
            rows: 0,
            values_overflowed: 0,
            constants,
            time_column,
            source_column,
            raw_column,
            extra_column,
            schema,
        }
    }

    /// The number of finished rows.
    #[must_use]
    pub fn num_rows(&self) -> usize {
        self.rows
    }

    /// The position of a column of the table, standard columns included.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<ColumnIndex> {
        self.schema.index_of(name).map(ColumnIndex)
    }

    /// The type of a column.
    #[must_use]
    pub fn column_type(&self, index: ColumnIndex) -> ColumnType {
        self.column_at(index.0).column_type
    }

    /// Whether the current row has a value in a column.
    #[must_use]
    pub fn is_set(&self, index: ColumnIndex) -> bool {
        self.columns[index.0].as_ref().is_some_and(|builder| builder.len() > self.rows)
    }

    /// Sets a value of the current row; an absent value (empty text) is left out. The first value of a column in a
    /// row stays; a later one goes to `_Extra`, as does a value that does not fit the column's type.
    pub fn set(&mut self, index: ColumnIndex, value: Value<'_>) {
        let column_type = self.column_at(index.0).column_type;
        let rows = self.rows;
        let slot = &mut self.columns[index.0];
        let builder = slot.get_or_insert_with(|| ColumnBuilder::new(column_type));
        if builder.len() > rows || !builder.append(rows, value) {
            let name = self.column_at(index.0).name.clone();
            self.values_overflowed += 1;
            self.extra.push(&name, value);
        }
    }

    /// Sets a field by name: the column of that name, a new column when the table is the user's own, else `_Extra`.
    pub fn set_field(&mut self, name: &str, value: Value<'_>) {
        if IMPLIED_BY_HEADER.contains(&name) {
            self.extra.push(name, value);
        } else if let Some(index) = self.schema.index_of(name) {
            self.set(ColumnIndex(index), value);
        } else if let Some(index) = self.grown_by_name.get(name) {
            self.set(ColumnIndex(*index), value);
        } else if let Some(index) = self.grow(name, value) {
            self.set(index, value);
        } else {
            self.extra.push(name, value);
        }
    }

    /// Sets `_Class` and `_Delivery` of the rows finished from now on.
    pub fn classify(&mut self, class: RecordClass, delivery: Delivery) {
        self.constants[0].1 = class.name();
        self.constants[1].1 = delivery.name();
    }

    /// Puts a field into `_Extra`.
    pub fn extra(&mut self, name: &str, value: Value<'_>) {
        self.extra.push(name, value);
    }

    /// Ends the current row with its event time, source and original text.
    pub fn finish_row(&mut self, time: Timestamp, source: &SourceName, raw: &str) {
        self.set(self.time_column, Value::Time(time.truncated_to_ticks()));
        self.set(self.source_column, Value::Text(source.as_str()));
        self.set(self.raw_column, Value::Text(raw));
        for (column, text) in self.constants {
            self.set(ColumnIndex(column), Value::Text(text));
        }
        if let Some(json) = self.extra.take() {
            self.set(self.extra_column, Value::Json(&json));
        }
        self.rows += 1;
    }

    /// Drops what was set since the last finished row.
    pub fn abandon_row(&mut self) {
        let rows = self.rows;
        self.extra.take();
        self.columns
            .iter_mut()
            .flatten()
            .filter(|builder| builder.len() > rows)
            .for_each(|builder| builder.truncate(rows));
    }

    /// The finished rows; `None` when there are none.
    #[must_use]
    pub fn finish(mut self) -> Option<ParsedBatch> {
        if self.rows == 0 {
            return None;
        }
        self.abandon_row();
        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        let all_columns = self.schema.columns().iter().chain(&self.grown);
        for (column, builder) in all_columns.zip(&mut self.columns) {
            if let Some(builder) = builder.as_mut().filter(|builder| builder.len() > 0) {
                fields.push(column.column_type.field(&column.name));
                arrays.push(builder.finish(self.rows));
            }
        }
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .expect("every column was padded to the row count");
        Some(ParsedBatch { table: self.schema.name().clone(), rows, values_overflowed: self.values_overflowed })
    }

    fn column_at(&self, index: usize) -> &Column {
        let known = self.schema.columns();
        known.get(index).unwrap_or_else(|| &self.grown[index - known.len()])
    }

    /// Adds a column for a new field of a custom table, typed by its first value.
    fn grow(&mut self, name: &str, value: Value<'_>) -> Option<ColumnIndex> {
        let room = self.columns.len() < limits::TABLE_COLUMNS_MAX;
        if !self.schema.name().is_custom() || !room || !is_column_name(name) {
            return None;
        }
        let column = Column::new(name, value.natural_type());
        let index = self.columns.len();
        self.grown_by_name.insert(column.name.clone(), index);
        self.grown.push(column);
        self.columns.push(None);
        Some(ColumnIndex(index))
    }
}

impl Value<'_> {
    /// The type a new column gets when this is its first value.
    fn natural_type(self) -> ColumnType {
        match self {
            Value::Bool(_) => ColumnType::Bool,
            Value::Long(_) => ColumnType::Long,
            Value::Real(_) => ColumnType::Real,
            Value::Text(_) => ColumnType::String,
            Value::Time(_) => ColumnType::DateTime,
            Value::Span(_) => ColumnType::TimeSpan,
            Value::Json(_) => ColumnType::Dynamic,
        }
    }

    /// The value as JSON.
    fn to_json(self) -> String {
        match self {
            Value::Bool(value) => value.to_string(),
            Value::Long(value) => value.to_string(),
            Value::Real(value) if value.is_finite() => serde_json::Value::from(value).to_string(),
            Value::Real(value) => quoted(&value.to_string()),
            Value::Text(value) => quoted(value),
            Value::Time(value) => quoted(&value.to_string()),
            Value::Span(nanos) => quoted(&format_span(nanos)),
            Value::Json(value) => value.to_owned(),
        }
    }

    /// The value as text for a `string` column.
    fn to_text(self) -> String {
        match self {
            Value::Text(value) | Value::Json(value) => value.to_owned(),
            Value::Time(value) => value.to_string(),
            Value::Span(nanos) => format_span(nanos),
            Value::Bool(value) => value.to_string(),
            Value::Long(value) => value.to_string(),
            Value::Real(value) => value.to_string(),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Adds a text to JSON, as a string.
pub fn push_json_string(json: &mut String, text: &str) {
    let is_plain = |b: u8| b >= 0x20 && !matches!(b, b'"' | b'\\');
    if text.bytes().all(is_plain) {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        json.push_str(&quoted(text));
    }
}

/// `[-][d.]hh:mm:ss[.fffffff]`, as Kusto prints a `timespan`.
#[must_use]
pub fn format_span(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let ticks = nanos.unsigned_abs() / 100;
    let (seconds, fraction) = (ticks / 10_000_000, ticks % 10_000_000);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let day_part = if days == 0 { String::new() } else { format!("{days}.") };
    let fraction_part = if fraction == 0 { String::new() } else { format!(".{fraction:07}") };
    format!("{sign}{day_part}{hours:02}:{minutes:02}:{:02}{fraction_part}", seconds % 60)
}

/// The `_Extra` object of the current row, as JSON text under construction.
#[derive(Debug, Default)]
struct ExtraField {
    json: String,
}

impl ExtraField {
    fn push(&mut self, name: &str, value: Value<'_>) {
        self.json.push(if self.json.is_empty() { '{' } else { ',' });
        push_json_string(&mut self.json, name);
        self.json.push(':');
        match value {
            Value::Text(text) => push_json_string(&mut self.json, text),
            Value::Json(text) => self.json.push_str(text),
            other => self.json.push_str(&other.to_json()),
        }
    }

    fn take(&mut self) -> Option<String> {
        if self.json.is_empty() {
            return None;
        }
        self.json.push('}');
        Some(std::mem::take(&mut self.json))
    }
}

/// One Arrow builder, padded with the default up to the row that has a value.
#[derive(Debug)]
enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Real(Float64Builder),
    Decimal(Decimal128Builder),
    /// `string`: padded with "".
    Text(StringBuilder),
    /// `dynamic` and `guid`: padded with null.
    NullableText(StringBuilder, ColumnType),
    Time(TimestampNanosecondBuilder),
    Span(DurationNanosecondBuilder),
}

/// Runs `$body` with `$builder` bound to the Arrow builder inside, whatever its type.
macro_rules! each_builder {
    ($self:expr, $builder:ident => $body:expr) => {
        match $self {
            ColumnBuilder::Bool($builder) => $body,
            ColumnBuilder::Int($builder) => $body,
            ColumnBuilder::Long($builder) => $body,
            ColumnBuilder::Real($builder) => $body,
            ColumnBuilder::Decimal($builder) => $body,
            ColumnBuilder::Text($builder) => $body,
            ColumnBuilder::NullableText($builder, _) => $body,
            ColumnBuilder::Time($builder) => $body,
            ColumnBuilder::Span($builder) => $body,
        }
    };
}

impl ColumnBuilder {
    fn new(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Int => Self::Int(Int32Builder::new()),
            ColumnType::Long => Self::Long(Int64Builder::new()),
            ColumnType::Real => Self::Real(Float64Builder::new()),
            ColumnType::Decimal => Self::Decimal(
                Decimal128Builder::new()
                    .with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE)
                    .expect("within Arrow's bounds"),
            ),
            ColumnType::String => Self::Text(StringBuilder::new()),
            ColumnType::Dynamic | ColumnType::Guid => Self::NullableText(StringBuilder::new(), column_type),
            ColumnType::DateTime => Self::Time(TimestampNanosecondBuilder::new().with_timezone("UTC")),
            ColumnType::TimeSpan => Self::Span(DurationNanosecondBuilder::new()),
        }
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        each_builder!(self, builder => builder.len())
    }

    fn pad(&mut self, rows: usize) {
        for _ in self.len()..rows {
            if let Self::Text(builder) = self {
                builder.append_value("");
            } else {
                each_builder!(self, builder => builder.append_null());
            }
        }
    }

    /// Appends `value` for row `row` if it fits; `false` when it does not. Empty text counts as absent and fits all.
    fn append(&mut self, row: usize, value: Value<'_>) -> bool {
        if value == Value::Text("") {
            return true;
        }
        self.pad(row);
        match self {
            Self::Bool(builder) => as_bool(value).map(|v| builder.append_value(v)).is_some(),
            Self::Int(builder) => {
                as_long(value).and_then(|v| i32::try_from(v).ok()).map(|v| builder.append_value(v)).is_some()
            }
            Self::Long(builder) => as_long(value).map(|v| builder.append_value(v)).is_some(),
            Self::Real(builder) => as_real(value).map(|v| builder.append_value(v)).is_some(),
            Self::Decimal(builder) => as_decimal(value).map(|v| builder.append_value(v)).is_some(),
            Self::Text(builder) => {
                match value {
                    Value::Text(text) | Value::Json(text) => builder.append_value(text),
                    other => builder.append_value(other.to_text()),
                }
                true
            }
            Self::NullableText(builder, ColumnType::Guid) => as_guid(value).map(|v| builder.append_value(v)).is_some(),
            Self::NullableText(builder, _) => {
                match value {
                    Value::Json(text) => builder.append_value(text),
                    other => builder.append_value(other.to_json()),
                }
                true
            }
            Self::Time(builder) => {
                as_time(value).map(|v| builder.append_value(v.truncated_to_ticks().as_nanos())).is_some()
            }
            Self::Span(builder) => {
                let Value::Span(nanos) = value else { return false };
                builder.append_value(nanos);
                true
            }
        }
    }

    /// Cuts back to `rows` rows: rebuilds, because Arrow builders only grow. Rare: a row is seldom abandoned.
    fn truncate(&mut self, rows: usize) {
        let kept = each_builder!(self, builder => { use arrow::array::ArrayBuilder; ArrayBuilder::finish(builder) })
            .slice(0, rows);
        macro_rules! refill {
            ($builder:expr, $array:ty) => {{
                let kept = kept.as_any().downcast_ref::<$array>().expect("made by this builder");
                kept.iter().for_each(|value| $builder.append_option(value));
            }};
        }
        use arrow::array as a;
        match self {
            Self::Bool(builder) => refill!(builder, a::BooleanArray),
            Self::Int(builder) => refill!(builder, a::Int32Array),
            Self::Long(builder) => refill!(builder, a::Int64Array),
            Self::Real(builder) => refill!(builder, a::Float64Array),
            Self::Decimal(builder) => refill!(builder, a::Decimal128Array),
            Self::Text(builder) | Self::NullableText(builder, _) => refill!(builder, a::StringArray),
            Self::Time(builder) => refill!(builder, a::TimestampNanosecondArray),
            Self::Span(builder) => refill!(builder, a::DurationNanosecondArray),
        }
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        each_builder!(self, builder => Arc::new(builder.finish()) as ArrayRef)
    }
}

fn as_bool(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(value),
        Value::Long(0) => Some(false),
        Value::Long(1) => Some(true),
        Value::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn as_long(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Long(value) => Some(value),
        Value::Bool(value) => Some(i64::from(value)),
        Value::Text(text) => parse_long(text),
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range of 2^53 is exact")]
        Value::Real(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(value as i64),
        _ => None,
    }
}

/// A decimal or `0x` hexadecimal whole number, as Windows prints process ids.
fn parse_long(text: &str) -> Option<i64> {
    let trimmed = text.trim();
    match trimmed.strip_prefix("0x").or_else(|| trimmed.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => trimmed.parse().ok(),
    }
}

fn as_real(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Real(value) => Some(value),
        // Above 2^53 a double would silently change the number.
        #[expect(clippy::cast_precision_loss, reason = "checked: exact below 2^53")]
        Value::Long(value) if value.unsigned_abs() <= 1 << 53 => Some(value as f64),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn as_decimal(value: Value<'_>) -> Option<i128> {
    let text = match value {
        Value::Long(value) => value.to_string(),
        Value::Text(text) => text.trim().to_owned(),
        Value::Real(value) => value.to_string(),
        _ => return None,
    };
    arrow::compute::kernels::cast_utils::parse_decimal::<arrow::datatypes::Decimal128Type>(
        &text,
        DECIMAL_PRECISION,
        DECIMAL_SCALE,
    )
    .ok()
}

fn as_time(value: Value<'_>) -> Option<Timestamp> {
    match value {
        Value::Time(time) => Some(time),
        Value::Text(text) => Timestamp::parse(text.trim()),
        _ => None,
    }
}

fn as_guid(value: Value<'_>) -> Option<String> {
    let Value::Text(text) = value else { return None };
    let bare = text.trim().trim_start_matches('{').trim_end_matches('}');
    moneta_base::TenantId::parse(bare).ok().map(|uuid| uuid.to_string())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Int32Type;
    use moneta_base::TableName;

    use super::*;
    use crate::TableCatalog;

    fn builder(table: &str) -> BatchBuilder {
        let schema = TableCatalog::built_in().get(table).cloned();
        let schema = schema.unwrap_or_else(|| Arc::new(TableSchema::custom(TableName::new(table).unwrap())));
        BatchBuilder::new(schema, RecordClass::Data, Delivery::AtLeastOnce)
    }

    fn finish_row(builder: &mut BatchBuilder) {
        builder.finish_row(Timestamp::from_seconds(1_700_000_000), &SourceName::lossy("test"), "raw");
    }

    fn text(batch: &ParsedBatch, column: &str, row: usize) -> Option<String> {
        let array = batch.rows.column_by_name(column)?.as_string::<i32>();
        array.is_valid(row).then(|| array.value(row).to_owned())
    }

    #[test]
    fn a_column_without_values_is_absent_and_later_values_are_padded() {
        let mut rows = builder("SecurityEvent");
        finish_row(&mut rows);
        rows.set_field("EventID", Value::Text("4688"));
        rows.set_field("Computer", Value::Text("host"));
        finish_row(&mut rows);
        let batch = rows.finish().unwrap();
        assert_eq!(batch.rows.num_rows(), 2);
        assert!(batch.rows.column_by_name("Account").is_none());
        let ids = batch.rows.column_by_name("EventID").unwrap().as_primitive::<Int32Type>();
        assert!(ids.is_null(0));
        assert_eq!(ids.value(1), 4688);
        assert_eq!(text(&batch, "Computer", 0).as_deref(), Some(""));
    }

    #[test]
    fn what_does_not_fit_goes_to_extra_and_is_counted() {
        let mut rows = builder("SecurityEvent");
        rows.set_field("EventID", Value::Text("many"));
        rows.set_field("NoSuchField", Value::Long(7));
        rows.set_field("_Seq", Value::Long(9));
        finish_row(&mut rows);
        let batch = rows.finish().unwrap();
        assert_eq!(batch.values_overflowed, 1);
        assert_eq!(text(&batch, "_Extra", 0).unwrap(), r#"{"EventID":"many","NoSuchField":7,"_Seq":9}"#);
    }

    #[test]
    fn a_custom_table_grows_columns_typed_by_their_first_value() {
        let mut rows = builder("Mine_CL");
        rows.set_field("n", Value::Long(7));
        finish_row(&mut rows);
        rows.set_field("n", Value::Text("seven"));
        rows.set_field("s", Value::Text("x"));
        finish_row(&mut rows);
        let batch = rows.finish().unwrap();
        assert_eq!(batch.rows.schema().field_with_name("n").unwrap().data_type(), &arrow::datatypes::DataType::Int64);
        assert_eq!(text(&batch, "_Extra", 1).unwrap(), r#"{"n":"seven"}"#);
        assert_eq!(text(&batch, "s", 0).as_deref(), Some(""));
    }

    #[test]
    fn an_abandoned_row_leaves_no_trace() {
        let mut rows = builder("SecurityEvent");
        rows.set_field("Computer", Value::Text("kept"));
        finish_row(&mut rows);
        rows.set_field("Computer", Value::Text("gone"));
        rows.set_field("Account", Value::Text("gone"));
        rows.abandon_row();
        rows.set_field("Computer", Value::Text("second"));
        finish_row(&mut rows);
        let batch = rows.finish().unwrap();
        assert_eq!(text(&batch, "Computer", 1).as_deref(), Some("second"));
        assert!(
            batch.rows.column_by_name("Account").is_none_or(|a| a.as_string::<i32>().iter().all(|v| v == Some("")))
        );
    }

    #[test]
    fn spans_print_as_kusto_does() {
        assert_eq!(format_span(93_784_000_000_500), "1.02:03:04.0000005");
        assert_eq!(format_span(-1_000_000_000), "-00:00:01");
    }
}
