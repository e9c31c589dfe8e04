//! Reads the rows of a segment: wanted columns only, row groups outside the wanted times skipped, in bounded memory.

use std::io::{self, Cursor};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use moneta_base::Timestamp;
use moneta_base::fs::FileSystem;
use moneta_event::Column;
use moneta_event::schema::standard;
use moneta_event::stored::{self, TICKS_SUFFIX};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;

use crate::{Error, SegmentMeta, Store};

/// Rows of one batch.
const BATCH_ROWS: usize = 8_192;
/// Nanoseconds in one microsecond.
const NANOS_PER_MICRO: i64 = 1_000;

/// Event times, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The earliest.
    pub from: Timestamp,
    /// The latest.
    pub to: Timestamp,
}

/// Reads the rows of one segment in order of `_Seq`.
///
/// # Shapes
/// Batches of at most 8,192 rows with exactly the wanted columns, in their Arrow forms; a column the segment lacks is
/// filled with its default. Rows of row groups that lie wholly outside the wanted times are left out, no others.
#[derive(Debug)]
pub struct SegmentReader {
    path: PathBuf,
    wanted: Vec<Column>,
    reader: ParquetRecordBatchReader,
}

impl Store {
    /// Opens a segment for reading.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file is not what was written; [`Error::Io`].
    pub fn read_segment(
        &self,
        segment: &SegmentMeta,
        wanted: &[Column],
        times: TimeRange,
    ) -> Result<SegmentReader, Error> {
        let path = self.file_of(&segment.path);
        let file = SegmentFile { fs: self.fs.clone(), path: path.clone(), size_bytes: segment.size_bytes };
        let footer = footer(segment, &file)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer.clone());
        let wanted_here = |name: &str| wanted.iter().any(|column| *column.name == *name.trim_end_matches(TICKS_SUFFIX));
        let schema = builder.parquet_schema();
        let kept = (0..schema.num_columns()).filter(|index| wanted_here(schema.column(*index).name()));
        let mask = ProjectionMask::leaves(schema, kept.collect::<Vec<_>>());
        let groups = builder.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| may_hold(group, times)).map(|(index, _)| index).collect();
        let reader = builder.with_projection(mask).with_row_groups(groups).with_batch_size(BATCH_ROWS).build();
        let reader = reader.map_err(|error| Error::corrupt(&path, error.to_string()))?;
        Ok(SegmentReader { path, wanted: wanted.to_vec(), reader })
    }
}

impl Iterator for SegmentReader {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.reader.next()?;
        Some(
            rows.map_err(|error| error.to_string())
                .and_then(|rows| self.in_own_form(&rows))
                .map_err(|reason| Error::corrupt(&self.path, reason)),
        )
    }
}

impl SegmentReader {
    fn in_own_form(&self, rows: &RecordBatch) -> Result<RecordBatch, String> {
        let rows = stored::from_parquet_form(rows).map_err(|error| error.to_string())?;
        stored::align(&rows, &self.wanted).map_err(|error| error.to_string())
    }
}

/// The footer, read once per process and segment.
fn footer<'a>(segment: &'a SegmentMeta, file: &SegmentFile) -> Result<&'a ArrowReaderMetadata, Error> {
    if let Some(footer) = segment.footer.get() {
        return Ok(footer);
    }
    let loaded = ArrowReaderMetadata::load(file, ArrowReaderOptions::new());
    let loaded = loaded.map_err(|error| Error::corrupt(&file.path, error.to_string()))?;
    Ok(segment.footer.get_or_init(|| loaded))
}

/// Whether a row group can hold rows of the wanted times, as far as its statistics tell.
fn may_hold(group: &RowGroupMetaData, times: TimeRange) -> bool {
    let column = group.columns().iter().find(|column| column.column_path().string() == standard::TIME_GENERATED);
    let Some(Statistics::Int64(statistics)) = column.and_then(|column| column.statistics()) else { return true };
    let (Some(min), Some(max)) = (statistics.min_opt(), statistics.max_opt()) else { return true };
    // The columns hold whole microseconds; the digit below them makes the largest up to one microsecond later.
    let (from, to) =
        (times.from.as_nanos().div_euclid(NANOS_PER_MICRO), times.to.as_nanos().div_euclid(NANOS_PER_MICRO));
    from <= *max && *min <= to
}

/// A segment file as the Parquet reader wants it.
#[derive(Debug, Clone)]
struct SegmentFile {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    size_bytes: u64,
}

impl Length for SegmentFile {
    fn len(&self) -> u64 {
        self.size_bytes
    }
}

impl ChunkReader for SegmentFile {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        // Page headers are read this way: some tens of bytes each, so a small window serves.
        let len =
            usize::try_from((self.size_bytes.saturating_sub(start)).min(HEADER_WINDOW_BYTES)).expect("at most 64 KiB");
        self.get_bytes(start, len).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.size_bytes) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a range lies outside the file").into());
        }
        Ok(self.fs.read_range(&self.path, start, length)?.into())
    }
}

/// Bytes handed out where the reader does not say how much it needs.
const HEADER_WINDOW_BYTES: u64 = 64 << 10;
