//! Reads single columns of single row groups: what a query that decides column by column needs.
//!
//! Texts come as dictionaries where the file keeps them so, because whoever tests or groups them wants to look at each
//! distinct value once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use moneta_event::stored::{self, PATH_SEPARATOR};
use moneta_event::{Column, ColumnType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};

use crate::file::{Footer, SegmentFile};
use crate::prune::{Prune, TimeRange};
use crate::terms::HeadCache;
use crate::{Error, SegmentMeta, Store};

/// Rows decoded at once when a row group does not fit one array.
const PIECE_ROWS: usize = 8_192;
/// Rows of which the columns read last are kept: templates of one row name the same columns.
const FEW_ROWS: usize = 1_024;

/// A segment opened for reading column by column.
#[derive(Debug, Clone)]
pub struct SegmentColumns {
    path: PathBuf,
    name: Arc<str>,
    file: SegmentFile,
    footer: Arc<Footer>,
    heads: Arc<HeadCache>,
    few: Arc<Mutex<FewRows>>,
}

/// Some rows of a row group, as far as they were read.
#[derive(Debug, Default)]
struct FewRows {
    group: usize,
    wanted: Option<BooleanBuffer>,
    /// Fields and columns by position in the file, templates filled.
    columns: BTreeMap<usize, (FieldRef, ArrayRef)>,
}

impl Store {
    /// Opens a segment for reading column by column.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file is not what was written; [`Error::Io`].
    pub fn segment_columns(&self, segment: &SegmentMeta) -> Result<SegmentColumns, Error> {
        let source = self.source_of(segment)?;
        let path = source.path().to_owned();
        let footer = self.footer_of(segment)?;
        let file = SegmentFile::new(source, segment, footer.clone());
        let (name, heads) = (segment.path.as_str().into(), self.term_heads.clone());
        Ok(SegmentColumns { path, name, file, footer, heads, few: Arc::default() })
    }
}

impl SegmentColumns {
    /// The segment's path below `store`: what its columns are known by.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &SegmentFile {
        &self.file
    }

    pub(crate) fn footer(&self) -> &Footer {
        &self.footer
    }

    pub(crate) fn heads(&self) -> &HeadCache {
        &self.heads
    }

    /// Number of row groups.
    #[must_use]
    pub fn num_groups(&self) -> usize {
        self.footer.arrow.metadata().num_row_groups()
    }

    /// Number of rows of a row group.
    #[must_use]
    pub fn group_rows(&self, group: usize) -> usize {
        usize::try_from(self.footer.arrow.metadata().row_group(group).num_rows()).unwrap_or(0)
    }

    /// Whether a row group can hold a row that meets all conditions.
    #[must_use]
    pub fn may_match(&self, group: usize, prunes: &[Prune]) -> bool {
        let group = self.footer.arrow.metadata().row_group(group);
        prunes.iter().all(|prune| prune.may_match(group))
    }

    /// Whether every row of a row group has an event time after the beginning of a range and before its end.
    #[must_use]
    pub fn lies_within(&self, group: usize, times: TimeRange) -> bool {
        times == TimeRange::ALL || times.encloses(self.footer.arrow.metadata().row_group(group))
    }

    /// Compressed bytes to read for a column in a row group; none for a column the file lacks.
    #[must_use]
    pub fn column_bytes(&self, group: usize, name: &str) -> Option<u64> {
        let columns = self.footer.arrow.metadata().row_group(group).columns();
        let needed = self.footer.needed_for(name);
        let bytes = needed.iter().map(|index| u64::try_from(columns.get(*index)?.compressed_size()).ok());
        if needed.is_empty() { None } else { bytes.sum() }
    }

    /// Whether the values at a path of a `dynamic` column stand in a column of their own.
    #[must_use]
    pub fn has_path(&self, column: &str, path: &str) -> bool {
        let name = format!("{column}{PATH_SEPARATOR}{path}");
        self.footer.arrow.schema().column_with_name(&name).is_some_and(|(_, field)| stored::is_companion(field))
    }

    /// Reads a column of a row group, or those of its rows that are `wanted`.
    ///
    /// # Shapes
    /// As many rows as the row group has, or as are wanted, in order. A text is a `Utf8` array or a dictionary of it
    /// with `Int32` keys; everything else has the Arrow form of its type. A column the segment lacks is filled with its
    /// default.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file is not what was written or the column has another type.
    pub fn read(&self, group: usize, column: &Column, wanted: Option<&BooleanBuffer>) -> Result<ArrayRef, Error> {
        self.read_named(group, &column.name, column.column_type, wanted)
    }

    /// Whether the texts of a column are made from other columns as they are read: a row group of them may take more
    /// memory than all else of it.
    #[must_use]
    pub fn is_made(&self, name: &str) -> bool {
        self.footer.is_template(name)
    }

    /// Reads a column of a row group as [`Self::read`] does, in pieces of `piece_rows` rows.
    ///
    /// # Errors
    /// As [`Self::read`], of the pieces as well.
    pub fn read_pieces(
        &self,
        group: usize,
        column: &Column,
        wanted: Option<&BooleanBuffer>,
        piece_rows: usize,
    ) -> Result<impl Iterator<Item = Result<ArrayRef, Error>> + use<'_>, Error> {
        let (name, column_type) = (column.name.clone(), column.column_type);
        let pieces = self.pieces(group, &name, false, wanted, piece_rows)?;
        Ok(pieces.map(move |rows| {
            let array = stored::column_from_parquet(&rows?, &name, column_type);
            array.map_err(|error| Error::corrupt(&self.path, error))
        }))
    }

    /// Reads the values at a path of a `dynamic` column that has a column of its own, as [`Self::read`] does.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_path(
        &self,
        group: usize,
        column: &str,
        path: &str,
        wanted: Option<&BooleanBuffer>,
    ) -> Result<ArrayRef, Error> {
        self.read_named(group, &format!("{column}{PATH_SEPARATOR}{path}"), ColumnType::Dynamic, wanted)
    }

    fn read_named(
        &self,
        group: usize,
        name: &str,
        column_type: ColumnType,
        wanted: Option<&BooleanBuffer>,
    ) -> Result<ArrayRef, Error> {
        let rows = wanted.map_or(self.group_rows(group), BooleanBuffer::count_set_bits);
        if self.footer.arrow.schema().index_of(name).is_err() {
            return Ok(stored::default_array(column_type, rows));
        }
        if let Some(wanted) = wanted.filter(|_| rows <= FEW_ROWS) {
            return self.read_few(group, name, column_type, wanted);
        }
        let as_dictionary = column_type.arrow() == DataType::Utf8 && !self.is_plain(group, name);
        let whole = self.decode(group, name, as_dictionary, wanted, rows.max(1));
        // Texts of more than 2 GiB do not fit one array; as a dictionary they mostly do.
        let decoded =
            whole.or_else(|_| self.decode(group, name, column_type.arrow() == DataType::Utf8, wanted, PIECE_ROWS))?;
        let corrupt = |reason: String| Error::corrupt(&self.path, reason);
        let array =
            stored::column_from_parquet(&decoded, name, column_type).map_err(|error| corrupt(error.to_string()))?;
        Ok(array)
    }

    /// Reads a column of few rows, and of what it needs only what was not read for another one just before.
    fn read_few(
        &self,
        group: usize,
        name: &str,
        column_type: ColumnType,
        wanted: &BooleanBuffer,
    ) -> Result<ArrayRef, Error> {
        let corrupt = |reason: String| Error::corrupt(&self.path, reason);
        let needed = self.footer.needed_for(name);
        let mut few = self.few.lock().unwrap_or_else(PoisonError::into_inner);
        if few.group != group || few.wanted.as_ref() != Some(wanted) {
            *few = FewRows { group, wanted: Some(wanted.clone()), columns: BTreeMap::new() };
        }
        let missing: Vec<usize> = needed.iter().filter(|index| !few.columns.contains_key(index)).copied().collect();
        if !missing.is_empty() {
            let reader = self.reader(&self.footer.arrow, group, &missing, Some(wanted), FEW_ROWS)?;
            let read = reader.map(|rows| rows.map_err(|error| corrupt(error.to_string())));
            let read = read.collect::<Result<Vec<_>, _>>()?;
            let Some(first) = read.first() else { return Ok(stored::default_array(column_type, 0)) };
            let read = concat_batches(&first.schema(), &read).map_err(|error| corrupt(error.to_string()))?;
            let fields = read.schema().fields().clone();
            few.columns.extend(missing.into_iter().zip(fields.iter().cloned().zip(read.columns().iter().cloned())));
        }
        let (fields, columns): (Vec<_>, Vec<_>) = needed.iter().map(|index| few.columns[index].clone()).unzip();
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
        let rows = rows.map_err(|error| corrupt(error.to_string()))?;
        let rows = stored::fill_templates(&rows).map_err(|error| corrupt(error.to_string()))?;
        let fields = rows.schema().fields().clone();
        few.columns.extend(needed.into_iter().zip(fields.iter().cloned().zip(rows.columns().iter().cloned())));
        stored::column_from_parquet(&rows, name, column_type).map_err(|error| corrupt(error.to_string()))
    }

    fn reader(
        &self,
        metadata: &ArrowReaderMetadata,
        group: usize,
        columns: &[usize],
        wanted: Option<&BooleanBuffer>,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader, Error> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), metadata.clone());
        // Columns of segments are not nested: a leaf each.
        let mask = ProjectionMask::leaves(builder.parquet_schema(), columns.iter().copied());
        let mut builder = builder.with_projection(mask).with_row_groups(vec![group]).with_batch_size(batch_rows);
        if let Some(wanted) = wanted {
            builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(
                wanted.set_slices().map(|(from, to)| from..to),
                wanted.len(),
            ));
        }
        builder.build().map_err(|error| Error::corrupt(&self.path, error))
    }

    /// Decodes a column and what it needs, in pieces of `piece_rows`.
    fn pieces(
        &self,
        group: usize,
        name: &str,
        as_dictionary: bool,
        wanted: Option<&BooleanBuffer>,
        piece_rows: usize,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + use<'_>, Error> {
        let metadata = if as_dictionary { &self.footer.dictionaries } else { &self.footer.arrow };
        let reader = self.reader(metadata, group, &self.footer.needed_for(name), wanted, piece_rows)?;
        Ok(reader.map(|rows| {
            let rows = rows.map_err(|error| Error::corrupt(&self.path, error))?;
            stored::fill_templates(&rows).map_err(|error| Error::corrupt(&self.path, error))
        }))
    }

    /// Decodes a column and what it needs, in pieces of `piece_rows` that are put together.
    fn decode(
        &self,
        group: usize,
        name: &str,
        as_dictionary: bool,
        wanted: Option<&BooleanBuffer>,
        piece_rows: usize,
    ) -> Result<RecordBatch, Error> {
        let pieces = self.pieces(group, name, as_dictionary, wanted, piece_rows)?.collect::<Result<Vec<_>, _>>()?;
        match <[RecordBatch; 1]>::try_from(pieces) {
            Ok([only]) => Ok(only),
            Err(pieces) => {
                let schema = pieces.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
                concat_batches(&schema, &pieces).map_err(|error| Error::corrupt(&self.path, error))
            }
        }
    }

    /// Whether the column's values stand in the file without a dictionary, at least in part; those of a template are
    /// made one by one.
    fn is_plain(&self, group: usize, name: &str) -> bool {
        if self.footer.is_template(name) {
            return true;
        }
        let columns = self.footer.arrow.metadata().row_group(group).columns();
        let column = columns.iter().find(|column| is_column(column.column_path().parts(), name));
        column.is_none_or(|column| {
            let pages = column.page_encoding_stats_mask();
            !pages.is_some_and(|pages| pages.is_only(parquet::basic::Encoding::RLE_DICTIONARY))
        })
    }
}

fn is_column(path: &[String], name: &str) -> bool {
    matches!(path, [only] if only == name)
}

/// The footer's metadata with every text as a dictionary.
pub(crate) fn with_dictionaries(
    arrow: &ArrowReaderMetadata,
) -> Result<ArrowReaderMetadata, parquet::errors::ParquetError> {
    let as_dictionary = |field: &Arc<Field>| {
        if *field.data_type() == DataType::Utf8 {
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            return Arc::new(field.as_ref().clone().with_data_type(dictionary));
        }
        field.clone()
    };
    let fields: Vec<_> = arrow.schema().fields().iter().map(as_dictionary).collect();
    let schema: SchemaRef = Arc::new(Schema::new_with_metadata(fields, arrow.schema().metadata().clone()));
    ArrowReaderMetadata::try_new(arrow.metadata().clone(), ArrowReaderOptions::new().with_schema(schema))
}
