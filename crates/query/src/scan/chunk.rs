//! One piece of a table while it is read: its columns come when they are asked for, filters narrow its rows, and only
//! then are the other columns looked at.

use std::cell::OnceCell;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, RecordBatch, StringArray, StringBuilder,
    StringDictionaryBuilder,
};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Int32Type;
use datafusion::error::{DataFusionError, Result};
use moneta_event::json_path::Paths;
use moneta_event::{Column, stored};
use moneta_store::SegmentColumns;

use super::expression::{Columns, Expression, plain};
use crate::cache::{CacheKey, ColumnCache};
use crate::scan::{ScanCounters, UnreadableSegment};

/// With fewer than one row in so many wanted, a column that is not in memory is read for these rows only, once.
const SELECTIVE: usize = 16;
/// So few rows lie on few pages: reading these stays cheaper than keeping the column.
const ROWS_OF_FEW_PAGES: usize = 8;

/// Rows of a piece of long texts: some MiB of them.
const PIECE_ROWS: usize = 1_024;
/// With fewer rows long texts are read at once, and kept.
const ROWS_OF_PIECES: usize = 2 * PIECE_ROWS;

/// A column a scan reads: one of the table's, or what stands at a path of a `dynamic` one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScanColumn {
    /// The table's column.
    pub column: Column,
    /// A JSON pointer into it.
    pub path: Option<Arc<str>>,
}

impl ScanColumn {
    /// What it is called in plans and in the cache.
    pub(crate) fn name(&self) -> Arc<str> {
        match &self.path {
            Some(path) => format!("{}{}{path}", self.column.name, stored::PATH_SEPARATOR).into(),
            None => self.column.name.clone(),
        }
    }
}

/// Where the columns of a piece come from.
pub(crate) enum Source<'a> {
    /// Rows in memory, with every column of the table that is read.
    Rows(RecordBatch),
    /// A row group of a segment.
    Group {
        /// The segment.
        segment: &'a SegmentColumns,
        /// The row group.
        group: usize,
        /// What is decoded already.
        cache: &'a ColumnCache,
        /// Where is counted what is read.
        counters: &'a ScanCounters,
    },
}

/// A piece of a table and which of its rows are still wanted.
pub(crate) struct Chunk<'a> {
    source: Source<'a>,
    read: &'a [ScanColumn],
    rows: usize,
    wanted: Option<BooleanBuffer>,
    /// Columns of the wanted rows.
    known: Vec<OnceCell<ArrayRef>>,
}

impl<'a> Chunk<'a> {
    /// A piece of which only some rows are wanted, if `wanted` says which.
    pub(crate) fn new(source: Source<'a>, read: &'a [ScanColumn], wanted: Option<BooleanBuffer>) -> Self {
        let rows = match &source {
            Source::Rows(rows) => rows.num_rows(),
            Source::Group { segment, group, .. } => segment.group_rows(*group),
        };
        let wanted = wanted.filter(|wanted| wanted.count_set_bits() < rows);
        Self { source, read, rows, wanted, known: vec![OnceCell::new(); read.len()] }
    }

    /// Applies filters, the cheapest to read first.
    pub(crate) fn filter<'e>(&mut self, filters: impl IntoIterator<Item = &'e Expression>) -> Result<()> {
        if self.num_rows() == 0 {
            return Ok(());
        }
        let mut order: Vec<_> = filters.into_iter().map(|filter| (self.cost(filter), filter)).collect();
        order.sort_by_key(|(cost, _)| *cost);
        for (_, filter) in order {
            let passed = match self.passed_by_pieces(filter)? {
                Some(passed) => passed,
                None => filter.rows(self)?.as_boolean().clone(),
            };
            self.narrow(&passed);
            if self.num_rows() == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Which rows a filter lets pass, for one of long texts that are made as they are read: so many at a time as stay in
    /// the processor's memory. `None` for any other, and for few rows.
    fn passed_by_pieces(&self, filter: &Expression) -> Result<Option<BooleanArray>> {
        let Source::Group { segment, group, .. } = &self.source else { return Ok(None) };
        if self.num_rows() < ROWS_OF_PIECES {
            return Ok(None);
        }
        let are_long: Vec<bool> = filter.columns().iter().map(|index| self.is_made_anew(*index)).collect();
        if !are_long.contains(&true) {
            return Ok(None);
        }
        let mut columns = Vec::with_capacity(are_long.len());
        for (index, is_long) in filter.columns().iter().zip(are_long) {
            let column = &self.read[*index];
            columns.push(match is_long {
                true => {
                    self.count_bytes(column);
                    let pieces = segment.read_pieces(*group, &column.column, self.wanted.as_ref(), PIECE_ROWS);
                    Pieces::Read(Box::new(read(pieces)?))
                }
                false => Pieces::Of(self.column(*index)?),
            });
        }
        let mut passed = BooleanBuilder::with_capacity(self.num_rows());
        for from in (0..self.num_rows()).step_by(PIECE_ROWS) {
            let num_rows = PIECE_ROWS.min(self.num_rows() - from);
            let arrays = columns.iter_mut().map(|pieces| pieces.next(from, num_rows)).collect::<Result<Vec<_>>>()?;
            let arrays = filter.columns().iter().copied().zip(arrays).collect();
            passed.append_array(filter.rows(&Piece { num_rows, arrays })?.as_boolean());
        }
        Ok(Some(passed.finish()))
    }

    /// Whether a column's texts would be made for whoever reads it now.
    fn is_made_anew(&self, index: usize) -> bool {
        let Source::Group { segment, group, cache, .. } = &self.source else { return false };
        let column = &self.read[index];
        let key = cache_key(segment, *group, column);
        let is_made = column.path.is_none() && segment.is_made(&column.column.name);
        is_made && self.known[index].get().is_none() && !cache.holds(&key)
    }

    /// Keeps the first rows only.
    pub(crate) fn truncate(&mut self, rows: usize) {
        if rows < self.num_rows() {
            let first = BooleanArray::from_iter((0..self.num_rows()).map(|row| Some(row < rows)));
            self.narrow(&first);
        }
    }

    fn narrow(&mut self, passed: &BooleanArray) {
        let passed = match passed.nulls() {
            Some(nulls) => passed.values() & nulls.inner(),
            None => passed.values().clone(),
        };
        if passed.count_set_bits() == self.num_rows() {
            return;
        }
        self.wanted = Some(match self.wanted.take() {
            None => passed,
            Some(before) => {
                let mut passed = passed.iter();
                BooleanBuffer::collect_bool(before.len(), |row| before.value(row) && passed.next().unwrap_or(false))
            }
        });
        self.known = vec![OnceCell::new(); self.read.len()];
    }

    /// Bytes to read for a filter; of what is in memory, none.
    fn cost(&self, filter: &Expression) -> u64 {
        let Source::Group { segment, group, cache, .. } = &self.source else { return filter.columns().len() as u64 };
        let of_column = |index: &usize| {
            let column = &self.read[*index];
            let key = cache_key(segment, *group, column);
            let bytes = segment.column_bytes(*group, &column.name()).unwrap_or(0);
            // A column in memory must still be looked at.
            if cache.holds(&key) { bytes / 8 } else { bytes }
        };
        filter.columns().iter().map(of_column).sum()
    }

    /// A whole column.
    fn whole(&self, column: &ScanColumn) -> Result<ArrayRef> {
        match &self.source {
            Source::Rows(rows) => {
                let array = rows.column_by_name(&column.column.name).cloned();
                let array = array.unwrap_or_else(|| stored::default_array(column.column.column_type, self.rows));
                Ok(match &column.path {
                    Some(path) => at_path(&array, path)?,
                    None => array,
                })
            }
            Source::Group { segment, group, cache, .. } => {
                let key = cache_key(segment, *group, column);
                if let Some(known) = cache.get(&key) {
                    return Ok(known);
                }
                self.count_bytes(column);
                let array = match &column.path {
                    None => read(segment.read(*group, &column.column, None))?,
                    Some(path) if segment.has_path(&column.column.name, path) => {
                        read(segment.read_path(*group, &column.column.name, path, None))?
                    }
                    Some(path) => {
                        at_path(&self.whole(&ScanColumn { column: column.column.clone(), path: None })?, path)?
                    }
                };
                let array = without_idle_dictionary(array)?;
                cache.put(key, &array);
                Ok(array)
            }
        }
    }

    /// Counts that a column is read from a segment: all of it, for pages are read and checked together. One that has no
    /// bytes of its own there counts nothing.
    fn count_bytes(&self, column: &ScanColumn) {
        if let Source::Group { segment, group, counters, .. } = &self.source {
            let bytes = segment.column_bytes(*group, &column.name()).unwrap_or(0);
            counters.count(|counts| counts.bytes_read += bytes);
        }
    }

    /// The wanted rows of a column, read alone if they are few and the column is not in memory.
    fn selected(&self, column: &ScanColumn, wanted: &BooleanBuffer) -> Result<ArrayRef> {
        let count = wanted.count_set_bits();
        if let Source::Group { segment, group, cache, .. } = &self.source
            && count * SELECTIVE < self.rows
        {
            let key = cache_key(segment, *group, column);
            match &column.path {
                _ if cache.holds(&key) => {}
                _ if count > ROWS_OF_FEW_PAGES && cache.glimpse(&key) => {}
                None => {
                    self.count_bytes(column);
                    return read(segment.read(*group, &column.column, Some(wanted)));
                }
                Some(path) if segment.has_path(&column.column.name, path) => {
                    self.count_bytes(column);
                    return read(segment.read_path(*group, &column.column.name, path, Some(wanted)));
                }
                Some(path) => {
                    let base = ScanColumn { column: column.column.clone(), path: None };
                    return at_path(&self.selected(&base, wanted)?, path);
                }
            }
        }
        let mask = BooleanArray::new(wanted.clone(), None);
        Ok(arrow::compute::filter(self.whole(column)?.as_ref(), &mask)?)
    }
}

impl Columns for Chunk<'_> {
    fn num_rows(&self) -> usize {
        self.wanted.as_ref().map_or(self.rows, BooleanBuffer::count_set_bits)
    }

    fn column(&self, index: usize) -> Result<ArrayRef> {
        if let Some(known) = self.known[index].get() {
            return Ok(known.clone());
        }
        let array = match &self.wanted {
            None => self.whole(&self.read[index])?,
            Some(wanted) => self.selected(&self.read[index], wanted)?,
        };
        Ok(self.known[index].get_or_init(|| array).clone())
    }
}

/// What a column of a row group is known by in the cache.
fn cache_key(segment: &SegmentColumns, group: usize, column: &ScanColumn) -> CacheKey {
    CacheKey { segment: segment.name().clone(), group, column: column.name() }
}

/// A column of which some rows are looked at, and then the next.
enum Pieces<'a> {
    Read(Box<dyn Iterator<Item = Result<ArrayRef, moneta_store::Error>> + 'a>),
    Of(ArrayRef),
}

impl Pieces<'_> {
    fn next(&mut self, from: usize, num_rows: usize) -> Result<ArrayRef> {
        match self {
            Self::Of(array) => Ok(array.slice(from, num_rows)),
            Self::Read(pieces) => match pieces.next().map(read).transpose()? {
                Some(array) if array.len() == num_rows => Ok(array),
                _ => Err(DataFusionError::Internal("a column has other rows than were asked for".to_owned())),
            },
        }
    }
}

/// Some rows of the columns that a filter reads, by their places in the scan.
struct Piece {
    num_rows: usize,
    arrays: Vec<(usize, ArrayRef)>,
}

impl Columns for Piece {
    fn num_rows(&self) -> usize {
        self.num_rows
    }

    fn column(&self, index: usize) -> Result<ArrayRef> {
        let array = self.arrays.iter().find(|(own, _)| *own == index).map(|(_, array)| array.clone());
        array.ok_or_else(|| DataFusionError::Internal(format!("column {index} is not one of the filter's")))
    }
}

fn read<T>(result: Result<T, moneta_store::Error>) -> Result<T> {
    result.map_err(|error| DataFusionError::External(Box::new(UnreadableSegment(error.to_string()))))
}

/// A dictionary of which most values are used once costs more than it saves.
fn without_idle_dictionary(array: ArrayRef) -> Result<ArrayRef> {
    match array.as_dictionary_opt::<Int32Type>() {
        // Texts too long for one plain column stay as they are.
        Some(dictionary) if dictionary.values().len() * 2 > dictionary.len() => Ok(plain(&array).unwrap_or(array)),
        _ => Ok(array),
    }
}

/// What stands at a path of JSON texts, as a dictionary while values repeat.
fn at_path(array: &ArrayRef, path: &str) -> Result<ArrayRef> {
    let paths = Paths::new(&[path]);
    if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() {
        let values = find_all(dictionary.values().as_string(), &paths);
        return Ok(Arc::new(arrow::array::DictionaryArray::try_new(dictionary.keys().clone(), Arc::new(values))?));
    }
    let texts: &StringArray = array.as_string();
    let mut coded = StringDictionaryBuilder::<Int32Type>::new();
    let (mut found, mut distinct) = (Vec::new(), 0);
    for (row, text) in texts.iter().enumerate() {
        paths.find(text.unwrap_or(""), &mut found);
        match found[0] {
            Some(value) => {
                let key = coded.append(value)?;
                distinct = distinct.max(usize::try_from(key).unwrap_or(0) + 1);
            }
            None => coded.append_null(),
        }
        // Values that do not repeat are not worth a dictionary.
        if row == 1_024 && distinct > 512 {
            return Ok(Arc::new(find_all(texts, &paths)));
        }
    }
    Ok(Arc::new(coded.finish()))
}

fn find_all(texts: &StringArray, paths: &Paths) -> StringArray {
    let mut builder = StringBuilder::with_capacity(texts.len(), texts.len() * 16);
    let mut found = Vec::new();
    for text in texts {
        paths.find(text.unwrap_or(""), &mut found);
        builder.append_option(found[0]);
    }
    builder.finish()
}
