//! Reads the index of a row group; see the module for the layout.
//!
//! Nothing in it is trusted: every length is compared with what there is, and a block never grows beyond its bound.

use std::ops::Range;

use arrow::buffer::{BooleanBuffer, Buffer};

use super::builder::Posting;
use super::filter::{Filter, hash_of};
use super::needle::{Lookup, Needle, TermCondition};
use super::{
    BLOCK_BYTES_MAX, ColumnTerms, GROUP_ROWS_MAX, INFIX_BYTES_MAX, MAGIC, ROWS_LISTED_MAX, TERM_BYTES_MAX, cell_rows,
    may_be_part,
};

/// An index that is not what [`super::GroupWriter`] writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("term index: {0}")]
pub struct Malformed(pub String);

/// The rows of all conditions so far that meet one more.
fn narrowed(before: Option<Bits>, bits: Bits) -> Bits {
    match before {
        Some(before) => before.and(&bits),
        None => bits,
    }
}

fn malformed(what: &str) -> Malformed {
    Malformed(what.to_owned())
}

/// Reads `[start, end)` of a group's bytes.
pub type Fetch<'a, E> = dyn Fn(Range<usize>) -> Result<Vec<u8>, E> + 'a;

/// The head of a group's index: which block may hold a key, and which keys there are not.
#[derive(Debug)]
pub struct GroupTerms {
    num_rows: usize,
    cell_rows: usize,
    pub(super) columns: Vec<IndexedColumn>,
    pub(super) filter: Filter,
}

#[derive(Debug)]
pub(super) struct IndexedColumn {
    name: String,
    num_keys: usize,
    pub(super) blocks: Vec<BlockPlace>,
}

#[derive(Debug)]
pub(super) struct BlockPlace {
    first: Box<[u8]>,
    pub(super) range: Range<usize>,
    raw_len: usize,
}

impl GroupTerms {
    /// Reads a head that follows `blocks_len` bytes of blocks.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(head: &[u8], blocks_len: usize) -> Result<Self, Malformed> {
        let mut input = Input { bytes: head };
        if input.take(MAGIC.len())? != MAGIC {
            return Err(malformed("it is not an index of version 3"));
        }
        let (num_rows, cells) = (input.number()?, input.number()?);
        if num_rows > GROUP_ROWS_MAX || cells != cell_rows(num_rows) {
            return Err(malformed("its numbers of rows cannot be"));
        }
        let num_columns = u16::from_le_bytes(input.array()?);
        let mut next = 0;
        let columns = (0..num_columns).map(|_| input.column(&mut next)).collect::<Result<Vec<_>, _>>()?;
        if next != blocks_len {
            return Err(malformed("its blocks have another length"));
        }
        let filter = Filter {
            seed: u64::from_le_bytes(input.array()?),
            segment_length: u32::from_le_bytes(input.array()?),
            segments: u32::from_le_bytes(input.array()?),
            fingerprints: {
                let len = input.number()?;
                input.take(len)?.to_vec()
            },
        };
        match filter.is_well_formed() && input.bytes.is_empty() {
            true => Ok(Self { num_rows, cell_rows: cells, columns, filter }),
            false => Err(malformed("its filter cannot be")),
        }
    }

    /// Bytes it takes in memory, about.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let block = |block: &BlockPlace| block.first.len() + std::mem::size_of::<BlockPlace>();
        let blocks: usize = self.columns.iter().flat_map(|column| &column.blocks).map(block).sum();
        self.filter.fingerprints.len() + blocks + self.columns.len() * std::mem::size_of::<IndexedColumn>()
    }

    /// Rows of the group.
    #[must_use]
    pub fn num_rows(&self) -> usize {
        self.num_rows
    }

    /// The names of the indexed columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Whether a column is indexed.
    #[must_use]
    pub fn has_column(&self, name: &str) -> bool {
        self.columns().any(|column| column == name)
    }

    /// The rows that may meet a condition; `None` when any row may.
    ///
    /// # Errors
    /// What `fetch` gives; [`Malformed`].
    pub fn rows<E: From<Malformed>>(
        &self,
        condition: &TermCondition,
        fetch: &Fetch<'_, E>,
    ) -> Result<Option<BooleanBuffer>, E> {
        Ok(self.bits(condition, fetch)?.map(|bits| BooleanBuffer::new(Buffer::from_vec(bits.0), 0, self.num_rows)))
    }

    /// The number of rows of which a column's text `has` a needle, where the index knows it exactly.
    ///
    /// # Errors
    /// What `fetch` gives; [`Malformed`].
    pub fn count<E: From<Malformed>>(
        &self,
        column: &str,
        needle: &Needle,
        fetch: &Fetch<'_, E>,
    ) -> Result<Option<u64>, E> {
        let Some((index, _)) = self.locate(column) else { return Ok(None) };
        let [Lookup::Term(term)] = needle.lookups() else { return Ok(None) };
        if !needle.is_one_term() {
            return Ok(None);
        }
        let Some(posting) = self.posting(index, term, fetch)? else { return Ok(Some(0)) };
        Ok(posting.is_exact().then(|| u64::from(posting.num_rows())))
    }

    /// What is wrong with a column, given the keys its rows have; `None` if nothing is.
    ///
    /// # Errors
    /// What `fetch` gives; [`Malformed`].
    pub fn difference<E: From<Malformed>>(
        &self,
        name: &str,
        expected: &ColumnTerms,
        fetch: &Fetch<'_, E>,
    ) -> Result<Option<String>, E> {
        let Some((index, column)) = self.locate(name) else { return Ok(Some(format!("column {name} is missing"))) };
        if column.num_keys != expected.len() {
            return Ok(Some(format!(
                "column {name} is said to have {} keys, its rows have {}",
                column.num_keys,
                expected.len()
            )));
        }
        let mut wanted = expected.iter();
        let mut wrong = None;
        for place in &column.blocks {
            self.each_entry(place, fetch, &mut |key, posting| {
                let is_right = wanted.next().is_some_and(|(wanted, rows)| {
                    wanted.as_bytes() == key && rows.says_the_same(posting) && self.filter.may_hold(hash_of(index, key))
                });
                if !is_right {
                    wrong = Some(format!(
                        "column {name}: key {:?} or one before it is not as in the rows",
                        String::from_utf8_lossy(key)
                    ));
                }
                is_right
            })?;
            if wrong.is_some() {
                return Ok(wrong);
            }
        }
        Ok(wanted.next().map(|(key, _)| format!("column {name}: key {key:?} is missing")))
    }

    fn locate(&self, name: &str) -> Option<(usize, &IndexedColumn)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name == name)
    }

    fn bits<E: From<Malformed>>(&self, condition: &TermCondition, fetch: &Fetch<'_, E>) -> Result<Option<Bits>, E> {
        match condition {
            TermCondition::All(parts) => {
                let mut all: Option<Bits> = None;
                for part in parts {
                    let Some(bits) = self.bits(part, fetch)? else { continue };
                    let both = narrowed(all.take(), bits);
                    if both.is_empty() {
                        return Ok(Some(both));
                    }
                    all = Some(both);
                }
                Ok(all)
            }
            TermCondition::Any(parts) => {
                let mut any = Bits::none(self.num_rows);
                for part in parts {
                    let Some(bits) = self.bits(part, fetch)? else { return Ok(None) };
                    any = any.or(&bits);
                }
                Ok(Some(any))
            }
            TermCondition::Has { column, needle } => self.needle_bits(column, needle, fetch),
        }
    }

    fn needle_bits<E: From<Malformed>>(
        &self,
        column: &str,
        needle: &Needle,
        fetch: &Fetch<'_, E>,
    ) -> Result<Option<Bits>, E> {
        let Some((index, _)) = self.locate(column) else { return Ok(None) };
        // Keys that are certainly absent cost no read: they come first.
        let is_absent = |lookup: &Lookup| match lookup {
            Lookup::Term(term) => !self.filter.may_hold(hash_of(index, term.as_bytes())),
            Lookup::Prefix(_) | Lookup::Infix(_) => false,
        };
        if needle.lookups().iter().any(is_absent) {
            return Ok(Some(Bits::none(self.num_rows)));
        }
        let mut all: Option<Bits> = None;
        for lookup in needle.lookups() {
            let bits = self.lookup_bits(index, lookup, fetch)?;
            let both = narrowed(all.take(), bits);
            if both.is_empty() {
                return Ok(Some(both));
            }
            all = Some(both);
        }
        Ok(all)
    }

    fn lookup_bits<E: From<Malformed>>(&self, index: usize, lookup: &Lookup, fetch: &Fetch<'_, E>) -> Result<Bits, E> {
        let mut bits = Bits::none(self.num_rows);
        let blocks = &self.columns[index].blocks;
        match lookup {
            Lookup::Term(term) => {
                if let Some(posting) = self.posting(index, term, fetch)? {
                    bits.add(&posting, self.cell_rows);
                }
            }
            Lookup::Prefix(prefix) => {
                let prefix = prefix.as_bytes();
                let before = blocks.partition_point(|block| *block.first <= *prefix).saturating_sub(1);
                let reach = |block: &&BlockPlace| *block.first <= *prefix || block.first.starts_with(prefix);
                for block in blocks[before..].iter().take_while(reach) {
                    self.each_entry(block, fetch, &mut |key, posting| {
                        if key.starts_with(prefix) {
                            bits.add(posting, self.cell_rows);
                        }
                        key <= prefix || key.starts_with(prefix)
                    })?;
                }
            }
            Lookup::Infix(infix) => {
                let whole = memchr::memmem::Finder::new(infix.as_bytes());
                let start = infix.floor_char_boundary(INFIX_BYTES_MAX);
                let start = memchr::memmem::Finder::new(&infix.as_bytes()[..start]);
                for block in blocks {
                    self.each_entry(block, fetch, &mut |key, posting| {
                        let finder = if may_be_part(key) { &start } else { &whole };
                        if finder.find(key).is_some() {
                            bits.add(posting, self.cell_rows);
                        }
                        true
                    })?;
                }
            }
        }
        Ok(bits)
    }

    fn posting<E: From<Malformed>>(
        &self,
        index: usize,
        term: &str,
        fetch: &Fetch<'_, E>,
    ) -> Result<Option<Posting>, E> {
        let term = term.as_bytes();
        if !self.filter.may_hold(hash_of(index, term)) {
            return Ok(None);
        }
        let blocks = &self.columns[index].blocks;
        let Some(place) = blocks.partition_point(|block| *block.first <= *term).checked_sub(1) else { return Ok(None) };
        let mut found = None;
        self.each_entry(&blocks[place], fetch, &mut |key, posting| {
            if key == term {
                found = Some(posting.clone());
            }
            key < term
        })?;
        Ok(found)
    }

    /// Goes through the entries of a block until `each` has enough.
    fn each_entry<E: From<Malformed>>(
        &self,
        place: &BlockPlace,
        fetch: &Fetch<'_, E>,
        each: &mut dyn FnMut(&[u8], &Posting) -> bool,
    ) -> Result<(), E> {
        let frame = fetch(place.range.clone())?;
        let raw = zstd::bulk::decompress(&frame, place.raw_len).map_err(|error| Malformed(error.to_string()))?;
        if raw.len() != place.raw_len {
            return Err(malformed("a block has another length").into());
        }
        let mut input = Input { bytes: &raw };
        let (mut key, mut posting) = (Vec::with_capacity(TERM_BYTES_MAX), Posting::EMPTY);
        while !input.bytes.is_empty() {
            input.entry(&mut key, &mut posting, self.num_rows, self.cell_rows)?;
            if !each(&key, &posting) {
                break;
            }
        }
        Ok(())
    }
}

/// Bytes being read.
struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or_else(|| malformed("it ends too early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn number(&mut self) -> Result<usize, Malformed> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn varint(&mut self) -> Result<usize, Malformed> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed("a number is too long"))
    }

    fn column(&mut self, next: &mut usize) -> Result<IndexedColumn, Malformed> {
        let len = self.varint()?;
        let name = String::from_utf8(self.take(len)?.to_vec()).map_err(|_| malformed("a name is not UTF-8"))?;
        let (num_keys, num_blocks) = (self.number()?, self.number()?);
        let mut blocks = Vec::new();
        for _ in 0..num_blocks {
            let len = self.varint()?;
            let first = self.take(len)?.into();
            let (stored_len, raw_len) = (self.varint()?, self.varint()?);
            if raw_len > BLOCK_BYTES_MAX {
                return Err(malformed("a block is too long"));
            }
            let range = *next..*next + stored_len;
            *next = range.end;
            blocks.push(BlockPlace { first, range, raw_len });
        }
        Ok(IndexedColumn { name, num_keys, blocks })
    }

    /// Reads the next entry over the one before.
    fn entry(
        &mut self,
        key: &mut Vec<u8>,
        posting: &mut Posting,
        num_rows: usize,
        cell_rows: usize,
    ) -> Result<(), Malformed> {
        let [shared] = self.array()?;
        if usize::from(shared) > key.len() {
            return Err(malformed("a key shares more than there is"));
        }
        key.truncate(usize::from(shared));
        let len = self.varint()?;
        key.extend_from_slice(self.take(len)?);
        if key.len() > TERM_BYTES_MAX {
            return Err(malformed("a key is too long"));
        }
        let count_and_flag = self.varint()?;
        let (count, is_exact) = (count_and_flag >> 1, count_and_flag & 1 == 1);
        if Posting::is_listed(count) {
            let (mut rows, mut row) = ([0; ROWS_LISTED_MAX], 0);
            for place in &mut rows[..count] {
                row += self.varint()?;
                *place =
                    u16::try_from(row).ok().filter(|_| row < num_rows).ok_or_else(|| malformed("a row cannot be"))?;
            }
            posting.set_rows(rows[..count].iter().copied(), cell_rows, is_exact);
            return Ok(());
        }
        let num_cells = num_rows.div_ceil(cell_rows);
        let mut cells = [0; 8];
        cells[..num_cells.div_ceil(8)].copy_from_slice(self.take(num_cells.div_ceil(8))?);
        let count = u32::try_from(count).map_err(|_| malformed("a number of rows cannot be"))?;
        posting.set_cells(count, u64::from_le_bytes(cells), is_exact);
        Ok(())
    }
}

/// Rows of a group, one bit each.
struct Bits(Vec<u64>);

impl Bits {
    fn none(num_rows: usize) -> Self {
        Self(vec![0; num_rows.div_ceil(64)])
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn and(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
        self
    }

    fn or(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
        self
    }

    fn add(&mut self, posting: &Posting, cell_rows: usize) {
        match posting.listed() {
            Some(rows) => rows.iter().for_each(|row| self.set(usize::from(*row))),
            None => (0..64)
                .filter(|cell| posting.cells() >> cell & 1 == 1)
                .for_each(|cell| self.set_all(cell * cell_rows, cell_rows)),
        }
    }

    /// Sets `count` rows, a power of two of them, from a multiple of it on.
    fn set_all(&mut self, from: usize, count: usize) {
        match count.checked_sub(64) {
            Some(_) => self.0.iter_mut().skip(from / 64).take(count / 64).for_each(|word| *word = u64::MAX),
            None => (from..from + count).for_each(|row| self.set(row)),
        }
    }

    fn set(&mut self, row: usize) {
        if let Some(word) = self.0.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }
}
