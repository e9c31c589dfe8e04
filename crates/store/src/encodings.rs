//! How each column of a segment is encoded: chosen by a sample of its rows when the segment is written.
//!
//! A dictionary wherever it takes no more than anything else, for queries compare its codes instead of values. Else what
//! the values are like: near numbers and times as differences (`DELTA_BINARY_PACKED`), texts by what they share with the
//! one before (`DELTA_BYTE_ARRAY`) or with their lengths apart (`DELTA_LENGTH_BYTE_ARRAY`). Reals stay as they are: bytes
//! apart (`BYTE_STREAM_SPLIT`) would save some, but Spark's fast reader does not know them. Few values decide it by their number; otherwise the sample is encoded and compressed in
//! each way, and the bytes decide.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, Schema, TimestampMicrosecondType};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

/// Different values that a dictionary holds without a question.
const FEW_VALUES: usize = 64;
/// Rows for each different value from which on a dictionary holds them without a question.
const MANY_ROWS: usize = 16;
/// What a form must take of the bytes of a simpler or quicker one to be preferred to it.
const WORTH: f64 = 0.97;

/// How much work a segment is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// It is sealed while rows come in, and may soon be merged.
    Quick,
    /// Its day is over: it is written once more and then kept.
    Lasting,
}

impl Care {
    /// zstd level. 3 writes nearly as fast as 1 and is a fifth smaller on event logs.
    fn zstd_level(self) -> i32 {
        match self {
            Self::Quick => 3,
            Self::Lasting => 9,
        }
    }

    /// The compression of every page.
    pub(crate) fn compression(self) -> Compression {
        Compression::ZSTD(ZstdLevel::try_new(self.zstd_level()).expect("a level that zstd has"))
    }
}

/// How one column is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Choice {
    has_dictionary: bool,
    /// Of the values without a dictionary, or of those that a full one does not take.
    encoding: Encoding,
}

/// The encodings of a segment's columns.
#[derive(Debug)]
pub(crate) struct Encodings {
    choices: Vec<(String, Choice)>,
}

impl Encodings {
    /// Chooses by a sample of the rows as they will stand in the file.
    pub(crate) fn choose(sample: &RecordBatch, care: Care) -> Self {
        let schema = sample.schema();
        let columns = schema.fields().iter().zip(sample.columns());
        let choices = columns.filter_map(|(field, array)| Some((field.name().clone(), choose(field, array, care)?.0)));
        Self { choices: choices.collect() }
    }

    /// Enters them into the properties of a file.
    pub(crate) fn enter(&self, properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
        self.choices.iter().fold(properties, |properties, (name, choice)| choice.enter(name, properties))
    }
}

impl Choice {
    fn enter(self, name: &str, properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
        let column = ColumnPath::from(name);
        properties
            .set_column_dictionary_enabled(column.clone(), self.has_dictionary)
            .set_column_encoding(column, self.encoding)
    }
}

/// The encodings worth trying on a type instead of a dictionary, the simplest first; none where the writer's own way is
/// the only one.
fn alternatives(data_type: &DataType) -> &'static [Encoding] {
    match data_type {
        DataType::Int8 | DataType::Int32 | DataType::Int64 | DataType::Timestamp(..) => {
            &[Encoding::DELTA_BINARY_PACKED]
        }
        DataType::Float64 => &[Encoding::PLAIN],
        DataType::Utf8 => &[Encoding::PLAIN, Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY],
        _ => &[],
    }
}

/// The choice for a column, and the bytes it takes so, where they were looked at.
fn choose(field: &Field, array: &ArrayRef, care: Care) -> Option<(Choice, Option<usize>)> {
    let alternatives = alternatives(field.data_type());
    let simplest = *alternatives.first()?;
    let dictionary = |encoding| Choice { has_dictionary: true, encoding };
    let different = num_different(array);
    if different <= FEW_VALUES.max((array.len() - array.null_count()) / MANY_ROWS) {
        return Some((dictionary(simplest), None));
    }
    let plain = |encoding| Choice { has_dictionary: false, encoding };
    let bytes_of = |choice: Choice| encoded_as(field, array, choice, care);
    let is_worth = |bytes: usize, others: usize| (bytes as f64) < others as f64 * WORTH;
    let (mut best, mut best_bytes) = (simplest, usize::MAX);
    for encoding in alternatives {
        let bytes = bytes_of(plain(*encoding));
        if is_worth(bytes, best_bytes) {
            (best, best_bytes) = (*encoding, bytes);
        }
    }
    let dictionary_bytes = bytes_of(dictionary(best));
    Some(match best_bytes as f64 > dictionary_bytes as f64 * WORTH {
        true => (dictionary(best), Some(dictionary_bytes)),
        false => (plain(best), Some(best_bytes)),
    })
}

fn num_different(array: &ArrayRef) -> usize {
    fn count<T: Hash + Eq>(values: impl Iterator<Item = T>) -> usize {
        values.collect::<HashSet<T>>().len()
    }
    match array.data_type() {
        DataType::Utf8 => count(array.as_string::<i32>().iter().flatten()),
        DataType::Int32 => count(array.as_primitive::<Int32Type>().iter().flatten()),
        DataType::Int64 => count(array.as_primitive::<Int64Type>().iter().flatten()),
        DataType::Timestamp(..) => count(array.as_primitive::<TimestampMicrosecondType>().iter().flatten()),
        DataType::Float64 => count(array.as_primitive::<Float64Type>().iter().flatten().map(f64::to_bits)),
        // Digits of times: ten at most.
        _ => 0,
    }
}

/// Bytes that a column takes in the way that suits it.
pub(crate) fn encoded_bytes(field: &Field, array: &ArrayRef, care: Care) -> usize {
    let Some((choice, bytes)) = choose(field, array, care) else { return 0 };
    bytes.unwrap_or_else(|| encoded_as(field, array, choice, care))
}

/// Bytes of a column in a file of its own.
fn encoded_as(field: &Field, array: &ArrayRef, choice: Choice, care: Care) -> usize {
    let properties = WriterProperties::builder()
        .set_compression(care.compression())
        .set_statistics_enabled(EnabledStatistics::None)
        .set_data_page_row_count_limit(array.len().max(1));
    let properties = choice.enter(field.name(), properties).build();
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    let write = || -> parquet::errors::Result<i64> {
        let mut writer = ArrowWriter::try_new(std::io::sink(), schema.clone(), Some(properties))?;
        writer.write(&RecordBatch::try_new(schema.clone(), vec![array.clone()])?)?;
        Ok(writer.close()?.row_groups().iter().map(|group| group.compressed_size()).sum())
    };
    usize::try_from(write().expect("a column in memory has an encoding of its type")).unwrap_or(0)
}
