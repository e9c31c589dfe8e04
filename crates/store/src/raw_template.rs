//! Keeps the originals of a segment's records (`_Raw`) without what other columns of their rows hold
//! (`moneta_event::template`): which columns that is, is chosen when the segment is sealed.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use moneta_event::schema::standard;
use moneta_event::template::Template;
use moneta_event::{Column, ColumnType};
use parquet::file::properties::{EnabledStatistics, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

/// How a segment keeps its originals; none when they stay whole.
#[derive(Debug)]
pub(crate) struct RawTemplate {
    template: Option<Template>,
}

impl RawTemplate {
    /// Chooses the columns by a sample of the rows.
    pub(crate) fn choose<'a>(batches: impl Iterator<Item = &'a RecordBatch>, columns: &[Column]) -> Self {
        let is_text = |column: &&Column| {
            matches!(column.column_type, ColumnType::String | ColumnType::Dynamic | ColumnType::Guid)
        };
        let others = columns.iter().filter(is_text).map(|column| &*column.name);
        let names: Vec<&str> = others.filter(|name| *name != standard::RAW).collect();
        let rows: Vec<_> = batches
            .filter_map(|rows| {
                Some((texts(rows, standard::RAW)?, names.iter().map(|name| texts(rows, name)).collect()))
            })
            .collect();
        Self { template: Template::choose(&names, &rows) }
    }

    /// The schema with the names of the columns in the field of the originals.
    pub(crate) fn mark_field(&self, schema: &SchemaRef) -> SchemaRef {
        let Some(template) = &self.template else { return schema.clone() };
        let marked = |field: &Arc<Field>| match field.name() == standard::RAW {
            true => Arc::new(template.mark_field(field)),
            false => field.clone(),
        };
        Arc::new(Schema::new(schema.fields().iter().map(marked).collect::<Vec<_>>()))
    }

    /// The least and the greatest of shortened texts say nothing about the whole ones: readers must not judge by them.
    pub(crate) fn without_statistics(&self, properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
        match &self.template {
            Some(_) => {
                properties.set_column_statistics_enabled(ColumnPath::from(standard::RAW), EnabledStatistics::None)
            }
            None => properties,
        }
    }

    /// Rows in the form of Parquet with their originals shortened.
    pub(crate) fn shorten(&self, form: RecordBatch) -> RecordBatch {
        let Some(template) = &self.template else { return form };
        let schema = form.schema();
        let (Some(raw), Some((index, _))) = (texts(&form, standard::RAW), schema.column_with_name(standard::RAW))
        else {
            return form;
        };
        let values: Vec<_> = template.columns().iter().map(|name| texts(&form, name)).collect();
        let shortened: ArrayRef = Arc::new(template.shorten(raw, &values));
        let mut columns = form.columns().to_vec();
        columns[index] = shortened;
        let options = RecordBatchOptions::new().with_row_count(Some(form.num_rows()));
        RecordBatch::try_new_with_options(schema, columns, &options).expect("a text for each text")
    }
}

fn texts<'a>(rows: &'a RecordBatch, name: &str) -> Option<&'a StringArray> {
    rows.column_by_name(name)?.as_string_opt()
}
