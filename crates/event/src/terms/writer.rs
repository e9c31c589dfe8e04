//! Writes the index of a row group; see the module for the layout.

use super::builder::Posting;
use super::filter::{Filter, hash_of};
use super::{BLOCK_BYTES, CELLS_MAX, ColumnTerms, MAGIC, ROWS_LISTED_MAX, TERM_BYTES_MAX, cell_rows, put_varint};

/// zstd level of the blocks.
const ZSTD_LEVEL: i32 = 3;

/// The index of a row group as it grows, column after column.
#[derive(Debug)]
pub struct GroupWriter {
    num_rows: usize,
    blocks: Vec<u8>,
    columns: Vec<u8>,
    num_columns: u16,
    hashes: Vec<u64>,
}

impl GroupWriter {
    /// An index without columns.
    #[must_use]
    pub fn new(num_rows: usize) -> Self {
        Self { num_rows, blocks: Vec::new(), columns: Vec::new(), num_columns: 0, hashes: Vec::new() }
    }

    /// Adds a column. All those of a segment that hold texts should be added: what is not in the index is never
    /// skipped.
    ///
    /// # Panics
    /// When zstd fails, for which memory must be short.
    pub fn column(&mut self, name: &str, terms: &ColumnTerms) {
        let mut blocks = Vec::new();
        let mut block = Block::default();
        let num_cells = self.num_rows.div_ceil(cell_rows(self.num_rows)).min(CELLS_MAX);
        for (key, posting) in terms.iter() {
            self.hashes.push(hash_of(usize::from(self.num_columns), key.as_bytes()));
            block.add(key, posting, num_cells);
            if block.entries.len() >= BLOCK_BYTES {
                std::mem::take(&mut block).end(&mut self.blocks, &mut blocks);
            }
        }
        if !block.entries.is_empty() {
            block.end(&mut self.blocks, &mut blocks);
        }
        put_varint(&mut self.columns, name.len());
        self.columns.extend_from_slice(name.as_bytes());
        let number = |len: usize| u32::try_from(len).expect("keys of a row group are few million").to_le_bytes();
        self.columns.extend_from_slice(&number(terms.len()));
        self.columns.extend_from_slice(&number(blocks.len()));
        for (first, stored_len, raw_len) in blocks {
            put_varint(&mut self.columns, first.len());
            self.columns.extend_from_slice(first.as_bytes());
            put_varint(&mut self.columns, stored_len);
            put_varint(&mut self.columns, raw_len);
        }
        self.num_columns += 1;
    }

    /// The bytes of the index, and how many of them at the end are the head.
    ///
    /// # Panics
    /// Never: row groups are small.
    #[must_use]
    pub fn finish(mut self) -> (Vec<u8>, usize) {
        let mut out = self.blocks;
        let head_start = out.len();
        let number = |len: usize| u32::try_from(len).expect("row groups are small").to_le_bytes();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&number(self.num_rows));
        out.extend_from_slice(&number(cell_rows(self.num_rows)));
        out.extend_from_slice(&self.num_columns.to_le_bytes());
        out.append(&mut self.columns);
        let filter = Filter::build(&mut self.hashes);
        out.extend_from_slice(&filter.seed.to_le_bytes());
        out.extend_from_slice(&filter.segment_length.to_le_bytes());
        out.extend_from_slice(&filter.segments.to_le_bytes());
        out.extend_from_slice(&number(filter.fingerprints.len()));
        out.extend_from_slice(&filter.fingerprints);
        let head_len = out.len() - head_start;
        (out, head_len)
    }
}

/// A block as it grows.
#[derive(Default)]
struct Block<'a> {
    first: Option<&'a str>,
    last: &'a str,
    entries: Vec<u8>,
}

impl<'a> Block<'a> {
    fn add(&mut self, key: &'a str, posting: &Posting, num_cells: usize) {
        debug_assert!(key.len() <= TERM_BYTES_MAX && key.as_bytes() >= self.last.as_bytes());
        let shared = key.bytes().zip(self.last.bytes()).take_while(|(a, b)| a == b).count();
        self.first.get_or_insert(key);
        self.last = key;
        self.entries.push(u8::try_from(shared).expect("keys have at most 128 bytes"));
        put_varint(&mut self.entries, key.len() - shared);
        self.entries.extend_from_slice(&key.as_bytes()[shared..]);
        put_varint(&mut self.entries, (posting.num_rows() as usize) << 1 | usize::from(posting.is_exact()));
        match posting.listed() {
            Some(rows) => {
                let mut before = 0;
                for row in rows {
                    put_varint(&mut self.entries, usize::from(row - before));
                    before = *row;
                }
            }
            None => self.entries.extend_from_slice(&posting.cells().to_le_bytes()[..num_cells.div_ceil(8)]),
        }
    }

    fn end(self, stored: &mut Vec<u8>, blocks: &mut Vec<(&'a str, usize, usize)>) {
        let frame = zstd::bulk::compress(&self.entries, ZSTD_LEVEL).expect("zstd compresses what fits in memory");
        blocks.push((self.first.unwrap_or_default(), frame.len(), self.entries.len()));
        stored.extend_from_slice(&frame);
    }
}

const _: () = assert!(ROWS_LISTED_MAX * 3 < 1_024, "an entry fits into the room a block has beyond its size");
