//! Keeps long texts of a segment without what other columns of their rows hold (`moneta_event::template`): the originals,
//! rendered messages, data sections. Which texts and which columns, is chosen by a sample when the segment is sealed.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use moneta_event::schema::IMPLIED_BY_HEADER;
use moneta_event::template::{Candidate, Shortener, Texts};
use moneta_event::{ColumnType, stored};
use parquet::file::properties::{EnabledStatistics, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::encodings::{Care, encoded_bytes};

/// Mean bytes of a text that may be worth a template.
const TEXT_BYTES_MIN: usize = 24;
/// One in so many texts must differ from all others: what repeats more is better kept in a dictionary, which queries can
/// look through.
const REPEATS_MAX: usize = 4;
/// The part of a column's stored bytes that a template must save, for reading it costs more.
const SAVED_PART_MIN: f64 = 0.25;

/// The columns of a segment that are kept as templates.
#[derive(Debug)]
pub(crate) struct Templates {
    /// Each with its position in the schema.
    shortened: Vec<(usize, Shortener)>,
}

impl Templates {
    /// Chooses by a sample of the rows as they will stand in the file.
    pub(crate) fn choose(sample: &RecordBatch, care: Care) -> Self {
        let columns = TextColumn::all(sample);
        let long = columns.iter().enumerate().filter(|(_, column)| column.is_long());
        // A text names shorter ones only, so that none leads back to itself.
        let shortened =
            long.filter_map(|(rank, column)| Some((column.index, column.shortener(&columns[..rank], care)?)));
        // A user's own column may have the name.
        let is_free = |name: &str| sample.schema_ref().index_of(name).is_err();
        let shortened = shortened.filter(|(_, shortener)| shortener.template().words().is_none_or(is_free));
        Self { shortened: shortened.collect() }
    }

    /// The schema with the names of the columns in the fields of the templates, and the columns of words at its end.
    pub(crate) fn mark_fields(&self, schema: &SchemaRef) -> SchemaRef {
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
        for (index, shortener) in &self.shortened {
            fields[*index] = Arc::new(shortener.template().mark_field(&fields[*index]));
            fields.extend(shortener.template().words().map(|name| Arc::new(stored::words_field(name))));
        }
        Arc::new(Schema::new(fields))
    }

    /// The least and the greatest of shortened texts say nothing about the whole ones: readers must not judge by them.
    pub(crate) fn without_statistics(
        &self,
        schema: &SchemaRef,
        properties: WriterPropertiesBuilder,
    ) -> WriterPropertiesBuilder {
        self.shortened.iter().fold(properties, |properties, (index, _)| {
            let column = ColumnPath::from(schema.field(*index).name().as_str());
            properties.set_column_statistics_enabled(column, EnabledStatistics::None)
        })
    }

    /// Rows in the form of Parquet, and with the marked schema, with their long texts shortened.
    pub(crate) fn shorten(&mut self, form: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
        let mut columns = form.columns().to_vec();
        for (index, shortener) in &mut self.shortened {
            let values: Vec<Option<StringArray>> = shortener
                .template()
                .columns()
                .iter()
                .map(|name| stored::as_texts(form.column_by_name(name)?))
                .collect();
            let values: Vec<Texts<'_>> = values.iter().map(Option::as_ref).collect();
            let shortened = shortener.shorten(form.column(*index).as_string(), &values);
            columns[*index] = Arc::new(shortened.texts);
            columns.extend(shortener.template().words().map(|_| Arc::new(shortened.words) as ArrayRef));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(form.num_rows()));
        RecordBatch::try_new_with_options(schema.clone(), columns, &options).expect("a text for each text")
    }
}

/// A column of the sample that templates may name, or that may be one.
struct TextColumn<'a> {
    index: usize,
    field: &'a Field,
    texts: StringArray,
    is_json: bool,
    bytes_mean: usize,
}

impl<'a> TextColumn<'a> {
    /// Those with any value, the shortest texts first.
    fn all(sample: &'a RecordBatch) -> Vec<Self> {
        let fields = sample.schema_ref().fields().iter().enumerate();
        let own = fields.filter(|(_, field)| !IMPLIED_BY_HEADER.contains(&field.name().as_str()));
        let mut columns: Vec<Self> = own
            .filter_map(|(index, field)| {
                let texts = stored::as_texts(sample.column(index))?;
                let present = texts.iter().flatten().filter(|text| !text.is_empty()).count();
                let bytes_mean = texts.value_data().len().checked_div(present)?;
                let is_path = stored::is_companion(field);
                let is_json = is_path || ColumnType::of_field(field) == Some(ColumnType::Dynamic);
                Some(Self { index, field, texts, is_json, bytes_mean })
            })
            .collect();
        columns.sort_by_key(|column| column.bytes_mean);
        columns
    }

    fn candidate(&self) -> Candidate<'_> {
        Candidate { name: self.field.name(), is_json: self.is_json }
    }

    fn is_long(&self) -> bool {
        let texts = self.texts.iter().flatten().filter(|text| !text.is_empty());
        let different: HashSet<&str> = texts.clone().collect();
        *self.field.data_type() == DataType::Utf8
            && self.bytes_mean >= TEXT_BYTES_MIN
            && different.len() * REPEATS_MAX >= texts.count()
    }

    /// How the column is shortened by `others`, if the sample takes enough fewer bytes then.
    fn shortener(&self, others: &[Self], care: Care) -> Option<Shortener> {
        let candidates: Vec<Candidate<'_>> = others.iter().map(Self::candidate).collect();
        let values: Vec<Texts<'_>> = others.iter().map(|other| Some(&other.texts)).collect();
        let shortener = Shortener::choose(self.field.name(), &self.texts, &candidates, &values)?;
        let named = |name: &String| others.iter().find(|other| other.field.name() == name).map(|other| &other.texts);
        let values: Vec<Texts<'_>> = shortener.template().columns().iter().map(named).collect();
        let shortened = shortener.clone().shorten(&self.texts, &values);
        let bytes = |texts: StringArray| encoded_bytes(self.field, &(Arc::new(texts) as ArrayRef), care);
        let (whole, parts) = (bytes(self.texts.clone()), bytes(shortened.texts) + bytes(shortened.words));
        (parts as f64 <= whole as f64 * (1.0 - SAVED_PART_MIN)).then_some(shortener)
    }
}
