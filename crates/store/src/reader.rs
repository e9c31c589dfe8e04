//! Reads the rows of a segment: wanted columns only, row groups that cannot match skipped, in bounded memory.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use moneta_event::Column;
use moneta_event::stored::{self, TICKS_SUFFIX};
use moneta_event::template::Template;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderBuilder, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::file::{Footer, SegmentFile};
use crate::prune::{Prune, TimeRange};
use crate::{Error, SegmentMeta, Store};

/// Rows of one batch.
const BATCH_ROWS: usize = 8_192;

/// Bytes of footers kept in memory at most: a wide one takes some hundred kilobytes.
pub(crate) const FOOTERS_BYTES_MAX: usize = 96 << 20;

/// Reads the rows of one segment in order of `_Seq`.
///
/// # Shapes
/// Batches of at most 8,192 rows with exactly the wanted columns, in their Arrow forms; a column the segment lacks is
/// filled with its default. Rows of row groups that cannot match are left out, no others.
#[derive(Debug)]
pub struct SegmentReader {
    path: PathBuf,
    wanted: Vec<Column>,
    reader: ParquetRecordBatchReader,
}

impl Store {
    /// Opens a segment for reading the rows of a time range.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file is not what was written; [`Error::Io`].
    pub fn read_segment(
        &self,
        segment: &SegmentMeta,
        wanted: &[Column],
        times: TimeRange,
    ) -> Result<SegmentReader, Error> {
        let prunes = if times == TimeRange::ALL { Vec::new() } else { times.prunes().to_vec() };
        self.scan_segment(segment, wanted, &prunes)
    }

    /// Opens a segment for reading the rows that meet all conditions; rows that do not may come along.
    ///
    /// # Errors
    /// As [`Self::read_segment`].
    pub fn scan_segment(
        &self,
        segment: &SegmentMeta,
        wanted: &[Column],
        prunes: &[Prune],
    ) -> Result<SegmentReader, Error> {
        let source = self.source_of(segment)?;
        let path = source.path().to_owned();
        let footer = self.footer_of(segment)?;
        let file = SegmentFile::new(source, segment, footer.clone());
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer.arrow.clone());
        let mask = columns_read(&builder, |name| wanted.iter().any(|column| *column.name == *name));
        let groups = builder.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| prunes.iter().all(|prune| prune.may_match(group)));
        let groups = groups.map(|(index, _)| index).collect();
        let reader = builder.with_projection(mask).with_row_groups(groups).with_batch_size(BATCH_ROWS).build();
        let reader = reader.map_err(|error| Error::corrupt(&path, error))?;
        Ok(SegmentReader { path, wanted: wanted.to_vec(), reader })
    }
}

impl Store {
    /// The footer of a segment, read once while there is room for it.
    pub(crate) fn footer_of(&self, segment: &SegmentMeta) -> Result<Arc<Footer>, Error> {
        let read = || Footer::read(&self.source_of(segment)?, segment);
        self.footers.get(segment.path.clone(), Footer::size_bytes, read)
    }
}

impl Iterator for SegmentReader {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.reader.next()?.map_err(|error| error.to_string());
        let rows = rows.and_then(|rows| self.in_own_form(&rows));
        Some(rows.map_err(|reason| Error::corrupt(&self.path, reason)))
    }
}

impl SegmentReader {
    fn in_own_form(&self, rows: &RecordBatch) -> Result<RecordBatch, String> {
        let rows = stored::from_parquet_form(rows).map_err(|error| error.to_string())?;
        stored::align(&rows, &self.wanted).map_err(|error| error.to_string())
    }
}

/// The columns of a file that must be read for the wanted ones.
fn columns_read<T>(builder: &ArrowReaderBuilder<T>, wanted: impl Fn(&str) -> bool) -> ProjectionMask {
    // Columns of segments are not nested: a leaf each.
    ProjectionMask::leaves(builder.parquet_schema(), with_named(builder.schema(), wanted))
}

/// The positions of the wanted columns, of their companions of time, and of what templates leave to other columns, which
/// may be templates themselves.
pub(crate) fn with_named(schema: &Schema, wanted: impl Fn(&str) -> bool) -> Vec<usize> {
    let is_wanted = |name: &str| wanted(name) || name.strip_suffix(TICKS_SUFFIX).is_some_and(&wanted);
    let mut is_read: Vec<bool> = schema.fields().iter().map(|field| is_wanted(field.name())).collect();
    let mut unseen: Vec<usize> = (0..is_read.len()).filter(|index| is_read[*index]).collect();
    while let Some(index) = unseen.pop() {
        // A field whose names cannot be read is refused when it is filled.
        let template = Template::of_field(schema.field(index)).ok().flatten();
        for name in template.iter().flat_map(Template::columns) {
            if let Ok(named) = schema.index_of(name)
                && !std::mem::replace(&mut is_read[named], true)
            {
                unseen.push(named);
            }
        }
    }
    (0..is_read.len()).filter(|index| is_read[*index]).collect()
}
