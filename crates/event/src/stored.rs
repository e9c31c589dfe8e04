//! The forms a block's rows take for readers: with the columns its header implies, aligned to wanted columns, and as
//! they stand in Parquet.
//!
//! Pure functions on columns; no file is touched here. The forms lose nothing: the record bytes (record.rs) of rows
//! that went through them are the same.
//!
//! # Columns in Parquet
//! ```text
//! datetime   TIMESTAMP(MICROS, UTC) under its name; where any value has a digit below a microsecond, also
//!            `<name>#ticks`, INT8, 0 to 9, in units of 100 ns to add (not in the Delta schema; no column of a table
//!            may have such a name)
//! timespan   INT64, ticks of 100 ns
//! decimal    DECIMAL(38, 18)
//! guid       STRING, nullable
//! dynamic    STRING, nullable, JSON text; what stands at a path that many values share is also in
//!            `<name>#<path>`, STRING, nullable: the JSON text of that member, null where there is none (not in the
//!            Delta schema; a copy, which a reader may pass over)
//! string     STRING, never null
//! bool, int, long, real   BOOLEAN, INT32, INT64, DOUBLE
//! ```
//! A text, a column of a path included, may leave out what other columns of its row hold (template.rs). Words of it that
//! none holds are in `<name>#words`, of a column of a path in `<name>#words/<path>`, STRING (not in the Delta schema; not
//! to be read alone).
//! The Arrow schema kept in the file's metadata carries each column's Kusto type under `moneta.type`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DurationNanosecondArray, Int8Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringArray, TimestampMicrosecondArray, TimestampNanosecondArray, new_null_array,
};
use arrow::datatypes::{
    DataType, DurationNanosecondType, Field, Int8Type, Int64Type, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use moneta_base::time::NANOS_PER_TICK;

use crate::record::UnsupportedColumn;
use crate::schema::{IMPLIED_BY_HEADER, standard};
use crate::template::{TEMPLATE_KEY, Template, Unfilled, WORDS_INFIX};
use crate::types::TYPE_METADATA_KEY;
use crate::{BlockHeader, Column, ColumnType};

/// Suffix of the companion column that holds the digit below a microsecond.
pub const TICKS_SUFFIX: &str = "#ticks";

/// Between the name of a `dynamic` column and the path of a companion column; a path begins with `/`.
pub const PATH_SEPARATOR: &str = "#";

/// Nanoseconds in one microsecond.
const NANOS_PER_MICRO: i64 = 1_000;

/// The rows of a block, or a slice of them, with `TenantId`, `Type`, `_Seq` and `_IngestTime` in front.
///
/// # Shapes
/// `rows`: a slice of the block that begins `row_offset` rows after its first. Returns the same rows in the same
/// order, with four more columns.
#[must_use]
pub fn with_implied_columns(header: &BlockHeader, row_offset: usize, rows: &RecordBatch) -> RecordBatch {
    let num_rows = rows.num_rows();
    let repeated =
        |text: String| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, num_rows))) as ArrayRef;
    let first = i64::try_from(header.first_seq).expect("sequences start at 0 and are dense")
        + i64::try_from(row_offset).expect("a block is small");
    let seqs = Int64Array::from_iter_values((first..).take(num_rows));
    let ingest_times =
        TimestampNanosecondArray::from_value(header.ingest_time.as_nanos(), num_rows).with_timezone("UTC");
    let implied: [(&str, ColumnType, ArrayRef); 4] = [
        (standard::TENANT_ID, ColumnType::String, repeated(header.tenant.to_string())),
        (standard::TYPE, ColumnType::String, repeated(header.shard.table.to_string())),
        (standard::SEQ, ColumnType::Long, Arc::new(seqs)),
        (standard::INGEST_TIME, ColumnType::DateTime, Arc::new(ingest_times)),
    ];
    let mut fields: Vec<_> = implied.iter().map(|(name, column_type, _)| Arc::new(column_type.field(name))).collect();
    fields.extend(rows.schema().fields().iter().cloned());
    let mut columns: Vec<ArrayRef> = implied.into_iter().map(|(_, _, array)| array).collect();
    columns.extend(rows.columns().iter().cloned());
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("all columns have the same length")
}

/// A column of `num_rows` absent values: empty texts for `string`, nulls for every other type.
#[must_use]
pub fn default_array(column_type: ColumnType, num_rows: usize) -> ArrayRef {
    match column_type {
        ColumnType::String => Arc::new(StringArray::from_iter_values(std::iter::repeat_n("", num_rows))),
        other => new_null_array(&other.arrow(), num_rows),
    }
}

/// The rows with every column in its Arrow form, times cut to whole ticks: what a block is made of.
///
/// # Errors
/// [`UnsupportedColumn`] for a column without a Kusto type, or one that the block header implies.
pub fn canonical(rows: &RecordBatch) -> Result<RecordBatch, UnsupportedColumn> {
    let schema = rows.schema();
    let mut fields = Vec::with_capacity(rows.num_columns());
    let mut columns = Vec::with_capacity(rows.num_columns());
    for (field, array) in schema.fields().iter().zip(rows.columns()) {
        let column_type = ColumnType::of_field(field).ok_or_else(|| unsupported(field))?;
        if IMPLIED_BY_HEADER.contains(&field.name().as_str()) {
            return Err(unsupported(field));
        }
        columns.push(cut_to_ticks(cast(field, array, column_type)?));
        fields.push(column_type.field(field.name()));
    }
    Ok(batch(fields, columns, rows.num_rows()))
}

/// The columns of several batches together, in order of first appearance; `None` when two of them give one name
/// different types, or when there are more than a table may have.
#[must_use]
pub fn union_columns<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> Option<Vec<Column>> {
    let mut columns = Vec::new();
    let mut types: HashMap<String, ColumnType> = HashMap::new();
    for rows in batches {
        for field in rows.schema().fields() {
            let column_type = ColumnType::of_field(field)?;
            match types.insert(field.name().clone(), column_type) {
                Some(before) if before != column_type => return None,
                Some(_) => {}
                None => columns.push(Column::new(field.name(), column_type)),
            }
        }
    }
    (columns.len() <= moneta_base::limits::TABLE_COLUMNS_MAX).then_some(columns)
}

/// Exactly the wanted columns in their order; a column the rows lack is filled with its default.
///
/// # Errors
/// [`UnsupportedColumn`] when a column of the rows has another type than wanted.
pub fn align(rows: &RecordBatch, wanted: &[Column]) -> Result<RecordBatch, UnsupportedColumn> {
    let schema = rows.schema();
    let mut fields = Vec::with_capacity(wanted.len());
    let mut columns = Vec::with_capacity(wanted.len());
    for column in wanted {
        fields.push(column.column_type.field(&column.name));
        columns.push(match schema.column_with_name(&column.name) {
            None => default_array(column.column_type, rows.num_rows()),
            Some((_, field)) if ColumnType::of_field(field) != Some(column.column_type) => {
                return Err(unsupported(field));
            }
            Some((index, field)) => cast(field, rows.column(index), column.column_type)?,
        });
    }
    Ok(batch(fields, columns, rows.num_rows()))
}

/// The rows as they stand in Parquet; see the module.
///
/// # Errors
/// [`UnsupportedColumn`] for a column without a Kusto type.
pub fn to_parquet_form(rows: &RecordBatch) -> Result<RecordBatch, UnsupportedColumn> {
    let schema = rows.schema();
    let mut fields = Vec::with_capacity(rows.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(rows.num_columns());
    for (field, array) in schema.fields().iter().zip(rows.columns()) {
        let column_type = ColumnType::of_field(field).ok_or_else(|| unsupported(field))?;
        let array = cast(field, array, column_type)?;
        fields.push(parquet_field(field.name(), column_type));
        match column_type {
            ColumnType::DateTime => {
                let (micros, ticks) = split_nanos(array.as_primitive());
                columns.push(Arc::new(micros));
                if let Some(ticks) = ticks {
                    fields.push(ticks_field(field.name()));
                    columns.push(Arc::new(ticks));
                }
            }
            ColumnType::TimeSpan => {
                let ticks: Int64Array = array
                    .as_primitive::<DurationNanosecondType>()
                    .unary::<_, Int64Type>(|nanos| nanos.div_euclid(NANOS_PER_TICK));
                columns.push(Arc::new(ticks));
            }
            _ => columns.push(array),
        }
    }
    Ok(batch(fields, columns, rows.num_rows()))
}

/// The fields of a segment that holds all of `batches`: those of `columns`, each followed by its companion where any
/// value needs one.
#[must_use]
pub fn parquet_schema<'a>(batches: impl Iterator<Item = &'a RecordBatch> + Clone, columns: &[Column]) -> SchemaRef {
    let mut fields = Vec::with_capacity(columns.len());
    for column in columns {
        fields.push(parquet_field(&column.name, column.column_type));
        let mut arrays = batches.clone().filter_map(|rows| rows.column_by_name(&column.name));
        if column.column_type == ColumnType::DateTime && arrays.any(has_ticks) {
            fields.push(ticks_field(&column.name));
        }
    }
    Arc::new(Schema::new(fields))
}

fn has_ticks(array: &ArrayRef) -> bool {
    array
        .as_primitive_opt::<TimestampNanosecondType>()
        .is_some_and(|times| times.iter().flatten().any(|t| digit(t) != 0))
}

fn ticks_field(name: &str) -> Field {
    Field::new(format!("{name}{TICKS_SUFFIX}"), DataType::Int8, true)
}

/// Whether a field is the companion of another: a column of the table carries its Kusto type, a companion does not.
#[must_use]
pub fn is_companion(field: &Field) -> bool {
    (field.name().ends_with(TICKS_SUFFIX) || field.name().contains("#/") || field.name().contains(WORDS_INFIX))
        && !field.metadata().contains_key(TYPE_METADATA_KEY)
}

/// The field of the companion column with the words of a text.
#[must_use]
pub fn words_field(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

/// The field of the companion column of a path.
#[must_use]
pub fn path_field(column: &str, path: &str) -> Field {
    Field::new(format!("{column}{PATH_SEPARATOR}{path}"), DataType::Utf8, true)
}

/// The digit below a microsecond.
fn digit(nanos: i64) -> i64 {
    nanos.rem_euclid(NANOS_PER_MICRO) / NANOS_PER_TICK
}

/// Why rows of a file have no form of their own.
#[derive(Debug, thiserror::Error)]
pub enum NotStored {
    /// A column that no table has.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedColumn),
    /// Texts that cannot be filled.
    #[error("column {name:?}: {source}")]
    Template {
        /// The column.
        name: String,
        /// Why.
        source: Unfilled,
    },
}

/// The same rows with every text whole that stands in the file without what other columns hold (template.rs); a text
/// that comes as a dictionary stays one.
///
/// # Errors
/// [`NotStored::Template`] when the rows lack a column that the texts name, or it is no text or number, or a text is
/// damaged.
pub fn fill_templates(rows: &RecordBatch) -> Result<RecordBatch, NotStored> {
    let mut filling = Filling { rows, columns: vec![Filled::Not; rows.num_columns()] };
    let schema = rows.schema();
    let mut fields = Vec::with_capacity(rows.num_columns());
    let mut columns = Vec::with_capacity(rows.num_columns());
    for (index, field) in schema.fields().iter().enumerate() {
        let whole = filling.whole(index);
        columns.push(whole.map_err(|source| NotStored::Template { name: field.name().clone(), source })?);
        let mut metadata = field.metadata().clone();
        fields.push(match metadata.remove(TEMPLATE_KEY) {
            Some(_) => Arc::new(field.as_ref().clone().with_metadata(metadata)),
            None => field.clone(),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .expect("the types of the columns are as before"))
}

/// Rows whose columns are filled one after another, each after those it names.
struct Filling<'a> {
    rows: &'a RecordBatch,
    columns: Vec<Filled>,
}

#[derive(Clone)]
enum Filled {
    Not,
    /// Being filled: damaged fields could name each other.
    Begun,
    Whole(ArrayRef),
}

impl Filling<'_> {
    fn whole(&mut self, index: usize) -> Result<ArrayRef, Unfilled> {
        match std::mem::replace(&mut self.columns[index], Filled::Begun) {
            Filled::Begun => return Err(Unfilled::Column),
            Filled::Whole(array) => {
                self.columns[index] = Filled::Whole(array.clone());
                return Ok(array);
            }
            Filled::Not => {}
        }
        let stored = self.rows.column(index);
        let array = match Template::of_field(self.rows.schema_ref().field(index))? {
            None => stored.clone(),
            Some(template) => {
                let values = template.columns().iter().map(|name| {
                    let index = self.rows.schema_ref().index_of(name).map_err(|_| Unfilled::Column)?;
                    as_texts(&self.whole(index)?).ok_or(Unfilled::Column)
                });
                let values: Vec<StringArray> = values.collect::<Result<_, _>>()?;
                let values: Vec<_> = values.iter().map(Some).collect();
                let whole = template.fill(&as_texts(stored).ok_or(Unfilled::Column)?, &values)?;
                let whole: ArrayRef = Arc::new(whole);
                arrow::compute::cast(&whole, stored.data_type()).map_err(|_| Unfilled::TooLarge)?
            }
        };
        self.columns[index] = Filled::Whole(array.clone());
        Ok(array)
    }
}

/// The values of a column as a template names them: texts, and whole numbers in decimal digits.
#[must_use]
pub fn as_texts(array: &ArrayRef) -> Option<StringArray> {
    let is_named = match array.data_type() {
        DataType::Utf8 | DataType::Int32 | DataType::Int64 => true,
        DataType::Dictionary(_, values) => **values == DataType::Utf8,
        _ => false,
    };
    let texts = is_named.then(|| arrow::compute::cast(array, &DataType::Utf8).ok())??;
    texts.as_string_opt().cloned()
}

/// The rows in their own Arrow forms again: the inverse of [`to_parquet_form`]. A column without a Kusto type in its
/// metadata has the natural type of its Arrow type; companions are merged into their columns, templates are filled.
///
/// # Errors
/// [`NotStored`] for a column that [`to_parquet_form`] does not make, and as [`fill_templates`].
pub fn from_parquet_form(rows: &RecordBatch) -> Result<RecordBatch, NotStored> {
    let rows = &fill_templates(rows)?;
    let schema = rows.schema();
    let mut fields = Vec::with_capacity(rows.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(rows.num_columns());
    for (field, array) in schema.fields().iter().zip(rows.columns()) {
        if is_companion(field) {
            continue;
        }
        let column_type = ColumnType::of_field(field).ok_or_else(|| unsupported(field))?;
        fields.push(column_type.field(field.name()));
        columns.push(match (column_type, field.data_type()) {
            (ColumnType::DateTime, DataType::Timestamp(TimeUnit::Microsecond, _)) => {
                let ticks = rows.column_by_name(&format!("{}{TICKS_SUFFIX}", field.name()));
                let ticks = match ticks {
                    Some(ticks) => Some(ticks.as_primitive_opt::<Int8Type>().ok_or_else(|| unsupported(field))?),
                    None => None,
                };
                Arc::new(join_nanos(array.as_primitive(), ticks)) as ArrayRef
            }
            (ColumnType::TimeSpan, DataType::Int64) => {
                let nanos: DurationNanosecondArray = array
                    .as_primitive::<Int64Type>()
                    .unary::<_, DurationNanosecondType>(|ticks| ticks.wrapping_mul(NANOS_PER_TICK));
                Arc::new(nanos)
            }
            _ => cast(field, array, column_type)?,
        });
    }
    Ok(batch(fields, columns, rows.num_rows()))
}

/// One column of rows as they stand in Parquet, templates filled, in its own Arrow form; a text that comes as a
/// dictionary stays one.
///
/// # Errors
/// [`NotStored`] when the rows lack the column or [`to_parquet_form`] does not make it.
pub fn column_from_parquet(rows: &RecordBatch, name: &str, column_type: ColumnType) -> Result<ArrayRef, NotStored> {
    let schema = rows.schema();
    let missing = || UnsupportedColumn { name: name.to_owned(), data_type: DataType::Null };
    let (index, field) = schema.column_with_name(name).ok_or_else(missing)?;
    let array = rows.column(index);
    let own_type = match field.data_type() {
        _ if is_companion(field) => Some(ColumnType::Dynamic),
        DataType::Dictionary(..) if !field.metadata().contains_key(TYPE_METADATA_KEY) => Some(ColumnType::String),
        _ => ColumnType::of_field(field),
    };
    if own_type != Some(column_type) {
        return Err(unsupported(field).into());
    }
    match (field.data_type(), column_type.arrow()) {
        (DataType::Dictionary(_, values), DataType::Utf8) if **values == DataType::Utf8 => {
            // A string column is never null in the file; one that is all the same is read the slow way.
            if column_type.nullable() || array.null_count() == 0 {
                return Ok(array.clone());
            }
            Ok(cast(field, array, column_type)?)
        }
        (DataType::Timestamp(TimeUnit::Microsecond, _) | DataType::Int64, _) => {
            let own = from_parquet_form(rows)?;
            Ok(own.column_by_name(name).cloned().ok_or_else(missing)?)
        }
        _ => Ok(cast(field, array, column_type)?),
    }
}

/// The field of a column in Parquet, its companion not included.
#[must_use]
pub fn parquet_field(name: &str, column_type: ColumnType) -> Field {
    let data_type = match column_type {
        ColumnType::DateTime => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
        ColumnType::TimeSpan => DataType::Int64,
        other => other.arrow(),
    };
    let metadata = [(TYPE_METADATA_KEY.to_owned(), column_type.name().to_owned())].into();
    Field::new(name, data_type, column_type.nullable()).with_metadata(metadata)
}

fn split_nanos(nanos: &TimestampNanosecondArray) -> (TimestampMicrosecondArray, Option<Int8Array>) {
    let micros =
        nanos.unary::<_, TimestampMicrosecondType>(|value| value.div_euclid(NANOS_PER_MICRO)).with_timezone("UTC");
    if nanos.iter().flatten().all(|value| digit(value) == 0) {
        return (micros, None);
    }
    let ticks = nanos.unary::<_, Int8Type>(|value| i8::try_from(digit(value)).expect("one decimal digit"));
    (micros, Some(ticks))
}

/// Wraps on values that no writer of ours makes: bytes read back are checked by their record roots.
fn join_nanos(micros: &TimestampMicrosecondArray, ticks: Option<&Int8Array>) -> TimestampNanosecondArray {
    let nanos = match ticks {
        None => micros.unary::<_, TimestampNanosecondType>(|value| value.wrapping_mul(NANOS_PER_MICRO)),
        Some(ticks) => micros
            .iter()
            .enumerate()
            .map(|(row, value)| {
                let digit = if ticks.is_valid(row) { i64::from(ticks.value(row)) } else { 0 };
                value.map(|value| value.wrapping_mul(NANOS_PER_MICRO).wrapping_add(digit * NANOS_PER_TICK))
            })
            .collect(),
    };
    nanos.with_timezone("UTC")
}

fn cut_to_ticks(array: ArrayRef) -> ArrayRef {
    let is_whole = |value: i64| value.rem_euclid(NANOS_PER_TICK) == 0;
    let cut = |value: i64| value - value.rem_euclid(NANOS_PER_TICK);
    if let Some(times) = array.as_primitive_opt::<TimestampNanosecondType>() {
        if !times.iter().flatten().all(is_whole) {
            return Arc::new(times.unary::<_, TimestampNanosecondType>(cut).with_timezone("UTC"));
        }
    } else if let Some(spans) = array.as_primitive_opt::<DurationNanosecondType>()
        && !spans.iter().flatten().all(is_whole)
    {
        return Arc::new(spans.unary::<_, DurationNanosecondType>(cut));
    }
    array
}

/// The array in its type's Arrow form; a null where the form has none becomes the empty text.
fn cast(field: &Field, array: &ArrayRef, column_type: ColumnType) -> Result<ArrayRef, UnsupportedColumn> {
    let wanted = column_type.arrow();
    let array = match *array.data_type() == wanted {
        true => array.clone(),
        false => arrow::compute::cast(array, &wanted).map_err(|_| unsupported(field))?,
    };
    if column_type.nullable() || array.null_count() == 0 {
        return Ok(array);
    }
    let texts = array.as_string::<i32>();
    Ok(Arc::new(StringArray::from_iter_values(texts.iter().map(Option::unwrap_or_default))))
}

fn unsupported(field: &Field) -> UnsupportedColumn {
    UnsupportedColumn { name: field.name().clone(), data_type: field.data_type().clone() }
}

fn batch(fields: Vec<Field>, columns: Vec<ArrayRef>, num_rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(num_rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .expect("every column was made for its field and the row count")
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Decimal128Array, Float64Array, Int32Array};

    use super::*;
    use crate::block::record_root;

    fn rows(columns: Vec<(&str, ColumnType, ArrayRef)>) -> RecordBatch {
        let fields = columns.iter().map(|(name, column_type, _)| column_type.field(name)).collect();
        let num_rows = columns[0].2.len();
        batch(fields, columns.into_iter().map(|column| column.2).collect(), num_rows)
    }

    fn times(values: Vec<Option<i64>>) -> ArrayRef {
        Arc::new(TimestampNanosecondArray::from(values).with_timezone("UTC"))
    }

    fn one_of_each() -> RecordBatch {
        let decimals = Decimal128Array::from(vec![Some(-5), None]).with_precision_and_scale(38, 18).unwrap();
        rows(vec![
            ("b", ColumnType::Bool, Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("i", ColumnType::Int, Arc::new(Int32Array::from(vec![Some(-7), None]))),
            ("l", ColumnType::Long, Arc::new(Int64Array::from(vec![Some(i64::MIN), None]))),
            ("r", ColumnType::Real, Arc::new(Float64Array::from(vec![Some(f64::NAN), None]))),
            ("d", ColumnType::Decimal, Arc::new(decimals)),
            ("s", ColumnType::String, Arc::new(StringArray::from(vec!["x", ""]))),
            ("t", ColumnType::DateTime, times(vec![Some(-1_234_567_900), None])),
            ("p", ColumnType::TimeSpan, Arc::new(DurationNanosecondArray::from(vec![Some(-300), None]))),
            ("y", ColumnType::Dynamic, Arc::new(StringArray::from(vec![Some("{}"), None]))),
            ("g", ColumnType::Guid, Arc::new(StringArray::from(vec![Some("a"), None]))),
        ])
    }

    #[test]
    fn every_type_survives_its_parquet_form() {
        let before = one_of_each();
        let stored = to_parquet_form(&before).unwrap();
        assert_eq!(stored.column_by_name("t#ticks").unwrap().as_primitive::<Int8Type>().value(0), 1);
        let after = from_parquet_form(&stored).unwrap();
        assert_eq!(after.schema(), before.schema());
        assert_eq!(record_root(&after).unwrap(), record_root(&before).unwrap());
    }

    /// Rows of which a text is a template of others, itself named by a third.
    fn templates(sources: [(&str, &str); 2]) -> RecordBatch {
        let before = rows(vec![
            ("Pid", ColumnType::Int, Arc::new(Int32Array::from(vec![Some(1_234), None]))),
            ("Message", ColumnType::String, Arc::new(StringArray::from(vec!["started \u{1a}!", ""]))),
            ("_Raw", ColumnType::String, Arc::new(StringArray::from(vec!["<1> \u{1a}!", "<2>"]))),
        ]);
        let form = to_parquet_form(&before).unwrap();
        let mut fields: Vec<Field> = form.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        for (name, source) in sources {
            let field = fields.iter_mut().find(|field| field.name() == name).unwrap();
            let metadata = [(TEMPLATE_KEY.to_owned(), format!("[[\"{source}\",\"plain\"]]"))];
            field.metadata_mut().extend(metadata);
        }
        batch(fields, form.columns().to_vec(), 2)
    }

    #[test]
    fn a_text_kept_as_a_template_of_another_one_comes_back_whole() {
        let stored = templates([("_Raw", "Message"), ("Message", "Pid")]);
        let whole = from_parquet_form(&stored).unwrap();
        let texts = |name: &str| -> Vec<String> {
            whole.column_by_name(name).unwrap().as_string::<i32>().iter().flatten().map(str::to_owned).collect()
        };
        assert_eq!(texts("Message"), ["started 1234", ""]);
        assert_eq!(texts("_Raw"), ["<1> started 1234", "<2>"]);
        let alone = stored.project(&[2]).unwrap();
        assert!(matches!(from_parquet_form(&alone), Err(NotStored::Template { source: Unfilled::Column, .. })));
    }

    #[test]
    fn texts_that_name_each_other_are_refused() {
        for sources in [[("_Raw", "Message"), ("Message", "_Raw")], [("_Raw", "_Raw"), ("Message", "Pid")]] {
            let filled = from_parquet_form(&templates(sources));
            assert!(matches!(filled, Err(NotStored::Template { source: Unfilled::Column, .. })));
        }
    }

    #[test]
    fn whole_microseconds_have_no_companion() {
        let before = rows(vec![("t", ColumnType::DateTime, times(vec![Some(5_000), Some(-5_000)]))]);
        let stored = to_parquet_form(&before).unwrap();
        assert_eq!(stored.num_columns(), 1);
        assert_eq!(from_parquet_form(&stored).unwrap(), before);
    }

    #[test]
    fn canonical_rows_have_whole_ticks_and_own_forms() {
        let before = rows(vec![
            ("t", ColumnType::DateTime, times(vec![Some(-1)])),
            ("p", ColumnType::TimeSpan, Arc::new(DurationNanosecondArray::from(vec![199]))),
        ]);
        let after = canonical(&before).unwrap();
        assert_eq!(after.column(0).as_primitive::<TimestampNanosecondType>().value(0), -100);
        assert_eq!(after.column(1).as_primitive::<DurationNanosecondType>().value(0), 100);
        let implied = rows(vec![("_Seq", ColumnType::Long, Arc::new(Int64Array::from(vec![1])))]);
        assert_eq!(canonical(&implied).unwrap_err().name, "_Seq");
    }

    #[test]
    fn aligned_rows_keep_their_records() {
        let before = rows(vec![("s", ColumnType::String, Arc::new(StringArray::from(vec!["x", "y"])))]);
        let wanted = [Column::new("n", ColumnType::Int), Column::new("s", ColumnType::String)];
        let after = align(&before, &wanted).unwrap();
        assert_eq!(after.num_columns(), 2);
        assert_eq!(record_root(&after).unwrap(), record_root(&before).unwrap());
        assert!(align(&before, &[Column::new("s", ColumnType::Int)]).is_err());
        assert_eq!(align(&before, &[]).unwrap().num_rows(), 2);
    }

    #[test]
    fn columns_unite_unless_their_types_differ() {
        let text = rows(vec![("a", ColumnType::String, Arc::new(StringArray::from(vec!["x"])))]);
        let number = rows(vec![("b", ColumnType::Int, Arc::new(Int32Array::from(vec![1])))]);
        let other = rows(vec![("a", ColumnType::Int, Arc::new(Int32Array::from(vec![1])))]);
        let united = union_columns([&text, &number, &text]).unwrap();
        assert_eq!(united, [Column::new("a", ColumnType::String), Column::new("b", ColumnType::Int)]);
        assert_eq!(union_columns([&text, &other]), None);
    }
}
