//! The term index of a segment: written when it is sealed, read when a query looks for words.
//!
//! The bytes of each row group's index (`moneta_event::terms`) stand between the last column and the Parquet footer,
//! where other readers do not look; the footer's metadata says where. A segment without an index, or with one of a
//! later version, is read in full: nothing but speed depends on it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use moneta_event::schema::IMPLIED_BY_HEADER;
use moneta_event::terms::{
    ColumnTerms, GroupTerms, GroupWriter, Malformed, Needle, TermCondition, TermsPlace, TextKind,
};
use moneta_event::{Block, Column, stored};

use crate::cache::Cache;
use crate::{Error, SegmentColumns};

/// Heads of term indexes by segment and row group; of ten million events they take some thirty million bytes.
pub(crate) type HeadCache = Cache<(Arc<str>, usize), GroupTerms>;

/// Bytes of heads kept in memory at most.
pub(crate) const HEADS_BYTES_MAX: usize = 320 << 20;

/// The rows of a segment's row groups, in order, cut out of its blocks.
pub(crate) struct GroupRows<'a> {
    blocks: &'a [Arc<Block>],
    /// Rows of the first block that earlier groups have.
    skipped: usize,
}

impl<'a> GroupRows<'a> {
    pub(crate) fn new(blocks: &'a [Arc<Block>]) -> Self {
        Self { blocks, skipped: 0 }
    }

    /// The next rows, as slices of blocks.
    pub(crate) fn next_group(&mut self, num_rows: usize) -> Vec<(&'a Block, RecordBatch)> {
        let mut parts = Vec::new();
        let mut missing = num_rows;
        while let Some(block) = self.blocks.first().filter(|_| missing > 0) {
            let len = missing.min(block.rows.num_rows() - self.skipped);
            parts.push((&**block, block.rows.slice(self.skipped, len)));
            (missing, self.skipped) = (missing - len, self.skipped + len);
            if self.skipped == block.rows.num_rows() {
                (self.blocks, self.skipped) = (&self.blocks[1..], 0);
            }
        }
        parts
    }
}

/// The index of a row group, and how many bytes at its end are the head.
pub(crate) fn index_of(parts: &[(&Block, RecordBatch)], columns: &[Column]) -> (Vec<u8>, usize) {
    let num_rows = parts.iter().map(|(_, rows)| rows.num_rows()).sum();
    let mut writer = GroupWriter::new(num_rows);
    for column in columns {
        let Some(kind) = TextKind::of(column.column_type) else { continue };
        let texts: Vec<(Option<StringArray>, usize)> = parts.iter().map(|part| texts_of(part, &column.name)).collect();
        let pieces = texts.iter().map(|(texts, len)| (texts.as_ref(), *len));
        writer.column(&column.name, &ColumnTerms::collect(num_rows, pieces, kind));
    }
    writer.finish()
}

fn texts_of((block, rows): &(&Block, RecordBatch), name: &str) -> (Option<StringArray>, usize) {
    let implied =
        || stored::with_implied_columns(&block.header, 0, &rows.project(&[]).ok()?).column_by_name(name).cloned();
    let array = match IMPLIED_BY_HEADER.contains(&name) {
        true => implied(),
        false => rows.column_by_name(name).cloned(),
    };
    (array.and_then(|array| array.as_string_opt().cloned()), rows.num_rows())
}

/// What a fetch can end with.
enum Failure {
    Malformed(Malformed),
    Parquet(parquet::errors::ParquetError),
}

impl From<Malformed> for Failure {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

impl Failure {
    fn in_file(self, path: &Path) -> Error {
        match self {
            Self::Malformed(error) => Error::corrupt(path, error),
            Self::Parquet(error) => Error::corrupt(path, error),
        }
    }
}

impl SegmentColumns {
    /// The rows of a row group that may meet a condition on the terms of its texts; `None` when any row may. Rows that
    /// do not meet it may be among them, so that the condition itself is still to be tested.
    ///
    /// The condition's columns must be texts: `string`, `guid`, `dynamic`. One that the segment lacks holds none.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file is not what was written.
    pub fn rows_with(&self, group: usize, condition: &TermCondition) -> Result<Option<BooleanBuffer>, Error> {
        if condition.is_unknown() {
            return Ok(None);
        }
        let Some((place, terms)) = self.group_terms(group)? else { return Ok(None) };
        let condition = self.without_absent(group, condition);
        let fetch = |range| self.fetch(place, range);
        terms.rows(&condition, &fetch).map_err(|error: Failure| error.in_file(self.path()))
    }

    /// The number of rows of a row group of which a column `has` a needle, where the index alone tells.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file is not what was written.
    pub fn count_with(&self, group: usize, column: &str, needle: &Needle) -> Result<Option<u64>, Error> {
        let Some((place, terms)) = self.group_terms(group)? else { return Ok(None) };
        if self.column_bytes(group, column).is_none() && needle.is_one_term() {
            return Ok(Some(0));
        }
        let fetch = |range| self.fetch(place, range);
        terms.count(column, needle, &fetch).map_err(|error: Failure| error.in_file(self.path()))
    }

    /// Bytes of the segment that its term index takes.
    #[must_use]
    pub fn terms_bytes(&self) -> u64 {
        self.footer().terms.iter().map(|place| place.len() as u64).sum()
    }

    /// A column that the file lacks holds defaults, in which no term is.
    fn without_absent(&self, group: usize, condition: &TermCondition) -> TermCondition {
        let each = |parts: &[TermCondition]| parts.iter().map(|part| self.without_absent(group, part)).collect();
        match condition {
            TermCondition::All(parts) => TermCondition::All(each(parts)),
            TermCondition::Any(parts) => TermCondition::Any(each(parts)),
            TermCondition::Has { column, needle }
                if !needle.lookups().is_empty() && self.column_bytes(group, column).is_none() =>
            {
                TermCondition::Any(Vec::new())
            }
            TermCondition::Has { .. } => condition.clone(),
        }
    }

    fn group_terms(&self, group: usize) -> Result<Option<(TermsPlace, Arc<GroupTerms>)>, Error> {
        let Some(place) = self.footer().terms.get(group).copied() else { return Ok(None) };
        let terms = self.heads().get((self.name().clone(), group), GroupTerms::size_bytes, || {
            let head = self.fetch(place, place.head());
            let head = head.map_err(|error| error.in_file(self.path()))?;
            let terms = GroupTerms::parse(&head, place.blocks_len);
            let terms = terms.map_err(|error| Error::corrupt(self.path(), error))?;
            match terms.num_rows() == self.group_rows(group) {
                true => Ok(terms),
                false => Err(Error::corrupt(self.path(), "the term index is of another number of rows")),
            }
        })?;
        Ok(Some((place, terms)))
    }

    fn fetch(&self, place: TermsPlace, range: Range<usize>) -> Result<Vec<u8>, Failure> {
        let bytes = self.file().bytes(place.start + range.start as u64..place.start + range.end as u64);
        bytes.map(|bytes| bytes.to_vec()).map_err(Failure::Parquet)
    }
}
