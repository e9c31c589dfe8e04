//! The forms of an exported result, written batch by batch: what is held is a batch, or a row group of Parquet.
//!
//! # Source
//! CSV: RFC 4180; JSON: RFC 8259; NDJSON: one object a line; Parquet: Apache Parquet format, with the Arrow schema in
//! its metadata.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use moneta_event::ColumnType;
use moneta_ports::QueryColumn;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::kusto::cell::{Cells, normalise, write_text};

/// Rows of a row group at most.
const ROW_GROUP_ROWS_MAX: usize = 1 << 17;
/// Bytes of a row group at most, as its writer estimates them: it is held in memory until it is whole.
const ROW_GROUP_BYTES_MAX: usize = 16 << 20;

/// The form of an exported result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// Comma-separated values with a header line; text that a spreadsheet would run gets an apostrophe in front.
    Csv,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Parquet, compressed with zstd.
    Parquet,
}

impl ExportFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Csv, Self::Json, Self::Ndjson, Self::Parquet];

    /// Its name in requests, and the ending of its files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// Writes rows in one of the forms.
pub(super) struct Writer {
    columns: Vec<QueryColumn>,
    form: Form,
}

enum Form {
    Csv { has_header: bool },
    Json { names: Vec<Vec<u8>>, has_begun: bool, has_rows: bool },
    Ndjson { names: Vec<Vec<u8>> },
    Parquet { writer: Box<ArrowWriter<Vec<u8>>> },
}

impl Writer {
    pub(super) fn new(format: ExportFormat, columns: &[QueryColumn]) -> Result<Self, ArrowError> {
        let names = || columns.iter().enumerate().map(|(index, column)| member(index, &column.name)).collect();
        let form = match format {
            ExportFormat::Csv => Form::Csv { has_header: false },
            ExportFormat::Json => Form::Json { names: names(), has_begun: false, has_rows: false },
            ExportFormat::Ndjson => Form::Ndjson { names: names() },
            ExportFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
                    .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX))
                    .build();
                let writer = ArrowWriter::try_new(Vec::new(), plain_schema(columns), Some(properties))?;
                Form::Parquet { writer: Box::new(writer) }
            }
        };
        Ok(Self { columns: columns.to_vec(), form })
    }

    /// The bytes of more rows; none when they are still held.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let mut out = self.begin();
        match &mut self.form {
            Form::Parquet { writer } => {
                writer.write(&plain(&self.columns, batch)?)?;
                out = std::mem::take(writer.inner_mut());
            }
            Form::Csv { .. } => {
                let batch = normalise(&self.columns, batch)?;
                let cells = Cells::of(&self.columns, &batch);
                (0..batch.num_rows()).for_each(|row| csv_line(&mut out, &self.columns, &cells, row));
            }
            Form::Json { names, has_rows, .. } => {
                let batch = normalise(&self.columns, batch)?;
                let cells = Cells::of(&self.columns, &batch);
                for row in 0..batch.num_rows() {
                    if std::mem::replace(has_rows, true) {
                        out.extend_from_slice(b",\n");
                    }
                    object(&mut out, names, &cells, row);
                }
            }
            Form::Ndjson { names } => {
                let batch = normalise(&self.columns, batch)?;
                let cells = Cells::of(&self.columns, &batch);
                for row in 0..batch.num_rows() {
                    object(&mut out, names, &cells, row);
                    out.push(b'\n');
                }
            }
        }
        Ok(out)
    }

    /// The last bytes.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, ArrowError> {
        let mut out = self.begin();
        match self.form {
            Form::Csv { .. } | Form::Ndjson { .. } => {}
            Form::Json { .. } => out.extend_from_slice(b"]\n"),
            Form::Parquet { writer } => out = writer.into_inner()?,
        }
        Ok(out)
    }

    /// What stands before the first row, once.
    fn begin(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        match &mut self.form {
            Form::Csv { has_header } => {
                if !std::mem::replace(has_header, true) {
                    for (index, column) in self.columns.iter().enumerate() {
                        comma(&mut out, index);
                        csv_cell(&mut out, &column.name, true);
                    }
                    out.extend_from_slice(b"\r\n");
                }
            }
            Form::Json { has_begun, .. } => {
                if !std::mem::replace(has_begun, true) {
                    out.push(b'[');
                }
            }
            Form::Ndjson { .. } | Form::Parquet { .. } => {}
        }
        out
    }
}

/// What stands before all but the first.
fn comma(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

/// A name as it stands before its value.
fn member(index: usize, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    comma(&mut out, index);
    write_text(&mut out, name);
    out.push(b':');
    out
}

fn object(out: &mut Vec<u8>, names: &[Vec<u8>], cells: &[Cells<'_>], row: usize) {
    out.push(b'{');
    for (name, cells) in names.iter().zip(cells) {
        out.extend_from_slice(name);
        cells.write(row, out);
    }
    out.push(b'}');
}

fn csv_line(out: &mut Vec<u8>, columns: &[QueryColumn], cells: &[Cells<'_>], row: usize) {
    for (index, (column, cells)) in columns.iter().zip(cells).enumerate() {
        comma(out, index);
        let is_free = matches!(column.column_type, ColumnType::String | ColumnType::Dynamic);
        csv_cell(out, &cells.text(row), is_free);
    }
    out.extend_from_slice(b"\r\n");
}

/// A field. `is_free`: its text comes from events, and might be a formula.
fn csv_cell(out: &mut Vec<u8>, text: &str, is_free: bool) {
    // Some spreadsheets read the wide forms as the narrow ones.
    let begins = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    let is_formula = is_free && text.starts_with(begins) && text.parse::<f64>().is_err();
    let guard = if is_formula { "'" } else { "" };
    if text.contains([',', '"', '\n', '\r']) {
        out.push(b'"');
        out.extend_from_slice(guard.as_bytes());
        out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(guard.as_bytes());
        out.extend_from_slice(text.as_bytes());
    }
}

/// The columns in Arrow types that programs of all kinds read: a decimal is that of stored tables.
pub(crate) fn plain_schema(columns: &[QueryColumn]) -> SchemaRef {
    let field = |column: &QueryColumn| column.column_type.field(&column.name).with_nullable(true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// A batch with the columns of [`plain_schema`].
///
/// # Errors
/// When a decimal has more digits than fit: more than 20 before the point.
pub(crate) fn plain(columns: &[QueryColumn], batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = plain_schema(columns);
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |((field, array), column): ((&Arc<Field>, &ArrayRef), &QueryColumn)| {
        let array = cast_with_options(array, field.data_type(), &strict)
            .map_err(|error| ArrowError::CastError(format!("column {}: {error}", field.name())))?;
        Ok::<_, ArrowError>(without_null_text(column.column_type, array))
    };
    let arrays = schema.fields().iter().zip(batch.columns()).zip(columns).map(cast).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), arrays, &options)
}

/// Kusto's strings are never null: absent is empty. Those that are JSON or a GUID keep their type's null.
fn without_null_text(column_type: ColumnType, array: ArrayRef) -> ArrayRef {
    match array.as_string_opt::<i32>() {
        Some(texts) if column_type == ColumnType::String && texts.null_count() > 0 => {
            Arc::new(StringArray::from_iter_values(texts.iter().map(Option::unwrap_or_default)))
        }
        _ => array,
    }
}
