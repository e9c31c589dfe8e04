//! The forms a block's rows take for readers: with the columns its header implies.
//!
//! Pure functions on columns; no file is touched here.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampNanosecondArray, new_null_array,
};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::schema::standard;
use crate::{BlockHeader, ColumnType};

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

/// The rows with exactly the columns of `wanted`, in its order: what is missing gets its default, what is not wanted
/// is left out.
///
/// # Shapes
/// Same rows, same order. `wanted`: fields made by [`ColumnType::field`].
///
/// # Errors
/// When a column has a type that cannot become the wanted one.
pub fn conform(rows: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let num_rows = rows.num_rows();
    let mut columns = Vec::with_capacity(wanted.fields().len());
    for field in wanted.fields() {
        columns.push(match rows.column_by_name(field.name()) {
            Some(array) if array.data_type() == field.data_type() => array.clone(),
            Some(array) => arrow::compute::cast(array, field.data_type())?,
            None => default_column(field, num_rows),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(num_rows));
    RecordBatch::try_new_with_options(wanted.clone(), columns, &options)
}

/// A column in which every row has the default: the empty string for `string`, null for every other type.
fn default_column(field: &Field, num_rows: usize) -> ArrayRef {
    if field.is_nullable() {
        return new_null_array(field.data_type(), num_rows);
    }
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n("", num_rows)))
}
