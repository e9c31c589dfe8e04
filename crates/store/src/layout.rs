//! The columns of a segment file, and the rows of blocks in their form: before texts are shortened and encodings chosen.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int8Array, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use moneta_event::record::UnsupportedColumn;
use moneta_event::schema::{IMPLIED_BY_HEADER, standard};
use moneta_event::{Block, Column, ColumnType, stored};

use crate::paths::PathColumns;
use crate::table;

/// Runs of neighbouring rows that are looked at to choose the form of a segment.
const SAMPLE_RUNS: usize = 8;
/// Rows of one run at most.
const SAMPLE_RUN_ROWS: usize = 512;
/// Bytes of rows that are looked at, more or less.
const SAMPLE_BYTES: usize = 16 << 20;

/// The columns of a segment file.
#[derive(Debug)]
pub(crate) struct Layout {
    columns: Vec<Column>,
    paths: PathColumns,
    schema: SchemaRef,
}

impl Layout {
    /// The layout that holds all rows of the blocks; `None` when they disagree on a column's type.
    pub(crate) fn choose(blocks: &[Arc<Block>]) -> Option<Self> {
        let columns = columns_of(blocks)?;
        let rows = blocks.iter().map(|block| &block.rows);
        let paths = PathColumns::choose(rows.clone(), &columns);
        let schema = paths.with_fields(&with_ingest_ticks(&stored::parquet_schema(rows, &columns)));
        Some(Self { columns, paths, schema })
    }

    /// The columns of the table.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The fields in the file, companions included.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows of a block that begin at `offset` in it.
    pub(crate) fn rows(
        &self,
        block: &Block,
        offset: usize,
        rows: &RecordBatch,
    ) -> Result<RecordBatch, UnsupportedColumn> {
        let rows = stored::with_implied_columns(&block.header, offset, rows);
        let rows = stored::to_parquet_form(&stored::align(&rows, &self.columns)?)?;
        Ok(with_companions(&self.paths.with_columns(&rows), &self.schema))
    }

    /// Rows that stand for all: runs of neighbours from all over the blocks.
    pub(crate) fn sample(&self, blocks: &[Arc<Block>]) -> Result<RecordBatch, UnsupportedColumn> {
        let runs = sample_runs(blocks).into_iter();
        let runs: Vec<_> =
            runs.map(|(block, offset, rows)| self.rows(block, offset, &rows)).collect::<Result<_, _>>()?;
        Ok(concat_batches(&self.schema, &runs).expect("all have the schema, and few rows"))
    }
}

/// All columns of the blocks, in query order as far as the first block knows it, implied ones first.
fn columns_of(blocks: &[Arc<Block>]) -> Option<Vec<Column>> {
    let own = stored::union_columns(blocks.iter().map(|block| &block.rows))?;
    let type_of = |name: &str| match name {
        standard::SEQ => ColumnType::Long,
        standard::INGEST_TIME => ColumnType::DateTime,
        _ => ColumnType::String,
    };
    Some(IMPLIED_BY_HEADER.iter().map(|name| Column::new(name, type_of(name))).chain(own).collect())
}

/// The ingest times stand in the headers, not in the rows: their digit is always kept.
fn with_ingest_ticks(schema: &SchemaRef) -> SchemaRef {
    let companion = format!("{}{}", standard::INGEST_TIME, stored::TICKS_SUFFIX);
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(companion, DataType::Int8, true)));
    Arc::new(Schema::new(fields))
}

/// The runs of a sample, each with its block and where it begins there.
fn sample_runs(blocks: &[Arc<Block>]) -> Vec<(&Block, usize, RecordBatch)> {
    let num_rows: usize = blocks.iter().map(|block| block.rows.num_rows()).sum();
    let bytes: usize = blocks.iter().map(|block| table::rows_bytes(&block.rows)).sum();
    let affordable = SAMPLE_BYTES / SAMPLE_RUNS / (bytes / num_rows.max(1)).max(1);
    let run_rows = SAMPLE_RUN_ROWS.min(affordable).max(1);
    let step = (num_rows / SAMPLE_RUNS).max(run_rows);
    let mut runs = Vec::new();
    let mut block_start = 0;
    for block in blocks {
        let block_end = block_start + block.rows.num_rows();
        for run_start in (0..num_rows).step_by(step) {
            let (start, end) = (run_start.max(block_start), (run_start + run_rows).min(block_end));
            if start < end {
                let offset = start - block_start;
                runs.push((&**block, offset, block.rows.slice(offset, end - start)));
            }
        }
        block_start = block_end;
    }
    runs
}

/// The form with every column of `schema`; only companion columns can be missing, and their default is zero.
fn with_companions(form: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let zeros = || Arc::new(Int8Array::from(vec![0; form.num_rows()])) as ArrayRef;
    let columns = schema.fields().iter().map(|field| {
        debug_assert!(form.column_by_name(field.name()).is_some() || field.name().ends_with(stored::TICKS_SUFFIX));
        form.column_by_name(field.name()).cloned().unwrap_or_else(zeros)
    });
    let options = RecordBatchOptions::new().with_row_count(Some(form.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options)
        .expect("columns of the form's length")
}
