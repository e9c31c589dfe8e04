//! Columns of their own for what stands at frequent paths of `dynamic` columns: chosen and filled when a segment is
//! sealed, so that a query for `Properties.user` reads that one column and parses nothing.
//!
//! They are copies: queries could find the same in the JSON text, which comes back as it came. In the file that text may
//! be a template that names them (templates.rs).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, StringBuilder};
use arrow::datatypes::{Field, Schema, SchemaRef};
use moneta_event::json_path::{Paths, frequent_paths};
use moneta_event::{Column, ColumnType, stored};

/// Values of a column that are looked at to choose its paths.
const SAMPLE_MAX: usize = 4_096;
/// A path is worth a column when one value in so many has it.
const RARE: usize = 50;
/// Paths of one column at most.
const PATHS_MAX: usize = 64;

/// The path columns of a segment.
#[derive(Debug)]
pub(crate) struct PathColumns {
    columns: Vec<Shredded>,
}

/// The paths of one `dynamic` column.
#[derive(Debug)]
struct Shredded {
    column: Arc<str>,
    fields: Vec<Arc<Field>>,
    paths: Paths,
}

impl PathColumns {
    /// Chooses the paths by a sample of the rows.
    pub(crate) fn choose<'a>(batches: impl Iterator<Item = &'a RecordBatch> + Clone, columns: &[Column]) -> Self {
        let dynamic = columns.iter().filter(|column| column.column_type == ColumnType::Dynamic);
        let shredded = dynamic.filter_map(|column| {
            let arrays: Vec<&StringArray> =
                batches.clone().filter_map(|rows| rows.column_by_name(&column.name)?.as_string_opt()).collect();
            let is_taken = |name: &str| columns.iter().any(|other| *other.name == *name);
            Shredded::choose(&column.name, &arrays, &is_taken)
        });
        Self { columns: shredded.collect() }
    }

    /// A schema with the path columns at its end.
    pub(crate) fn with_fields(&self, schema: &SchemaRef) -> SchemaRef {
        let own = self.columns.iter().flat_map(|shredded| shredded.fields.iter().cloned());
        Arc::new(Schema::new(schema.fields().iter().cloned().chain(own).collect::<Vec<_>>()))
    }

    /// Rows in the form of Parquet with the path columns filled.
    pub(crate) fn with_columns(&self, form: &RecordBatch) -> RecordBatch {
        let schema = self.with_fields(&form.schema());
        let mut arrays = form.columns().to_vec();
        for shredded in &self.columns {
            let texts = form.column_by_name(&shredded.column).and_then(|array| array.as_string_opt::<i32>());
            arrays.extend(shredded.fill(texts, form.num_rows()));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(form.num_rows()));
        RecordBatch::try_new_with_options(schema, arrays, &options).expect("every path column has a value for each row")
    }
}

impl Shredded {
    fn choose(column: &Arc<str>, arrays: &[&StringArray], is_taken: &dyn Fn(&str) -> bool) -> Option<Self> {
        let present: usize = arrays.iter().map(|array| array.len() - array.null_count()).sum();
        let step = present.div_ceil(SAMPLE_MAX).max(1);
        let texts = arrays.iter().flat_map(|array| array.iter().flatten());
        let mut chosen = frequent_paths(texts.step_by(step), RARE, PATHS_MAX);
        let field = |path: &String| Arc::new(stored::path_field(column, path));
        chosen.retain(|path| !is_taken(field(path).name()));
        let fields: Vec<_> = chosen.iter().map(field).collect();
        (!fields.is_empty()).then(|| Self { column: column.clone(), fields, paths: Paths::new(&chosen) })
    }

    fn fill(&self, texts: Option<&StringArray>, num_rows: usize) -> Vec<ArrayRef> {
        let mut builders: Vec<StringBuilder> =
            self.fields.iter().map(|_| StringBuilder::with_capacity(num_rows, num_rows * 8)).collect();
        let mut found = Vec::new();
        for row in 0..num_rows {
            let text = texts.filter(|texts| texts.is_valid(row)).map_or("", |texts| texts.value(row));
            self.paths.find(text, &mut found);
            builders.iter_mut().zip(&found).for_each(|(builder, value)| builder.append_option(*value));
        }
        builders.into_iter().map(|mut builder| Arc::new(builder.finish()) as ArrayRef).collect()
    }
}
