//! The term index of a row group: which rows may hold a term, found without reading a column.
//!
//! A term is a maximal run of letters and digits, as the language's `has` sees it ([`is_term_char`]); indexed are those
//! of [`TERM_CHARS_MIN`] characters and more, in lower case, each under its column. Answers are too generous only, never
//! too narrow: whoever asks still looks at the rows. Pure functions on bytes and columns; no file is touched here, so
//! that the sealing of segments and the offline checker share one layout.
//!
//! # Keys
//! Of an ASCII text: its terms, lowered. Of any other text: its terms with ASCII letters lowered, and the terms of the
//! text lowered as a whole, because lowering may split or join letters. Of a JSON text with escapes: also those of the
//! text with its escapes undone. A key is cut after [`TERM_BYTES_MAX`] bytes. Of a term that is longer also its parts:
//! U+0001 and what stands there, up to [`TERM_BYTES_MAX`] bytes together, one part every 96 bytes, so that 25 bytes of a
//! term, wherever they stand, stand in one key.
//!
//! # Layout, version 3
//! The bytes of one row group; numbers are little-endian, `varint` is LEB128.
//! ```text
//! group    block* head
//! block    a zstd frame of entries, some 16 KiB of them, of one column
//! entry    u8 bytes shared with the key before it in the block, varint further bytes, those bytes,
//!          varint number of rows times two, and one more if every row has the key as a term in every form of its
//!            text (`Posting::is_exact`), so that the number is exact for `has`; and
//!            up to 64 rows: the row numbers, each a varint: the first, then differences
//!            more:         a bitmap of cells, ceil(cells / 8) bytes, the lowest bit first
//! head     "MTI" u8 version 3
//!          u32 rows of the group, u32 rows of a cell (a power of two; at most 64 cells)
//!          u16 number of columns, and of each
//!            varint length of its name, name
//!            u32 number of keys, u32 number of blocks, and of each block
//!              varint length of its first key, key, varint length of the frame, varint length of the entries
//!          filter: u64 seed, u32 segment length, u32 segments, u32 length, fingerprints (filter.rs)
//! ```
//! Keys are in order of their bytes, the blocks of all columns follow one another from the start of the group.

mod builder;
mod filter;
mod needle;
mod place;
mod reader;
mod tokens;
mod writer;

#[cfg(test)]
mod tests;

pub use builder::{ColumnTerms, Posting};
pub use needle::{Case, Edges, Lookup, Needle, TermCondition};
pub use place::{PLACES_KEY, Places, TermsPlace};
pub use reader::{GroupTerms, Malformed};
pub use tokens::{TextKind, is_term_char};
pub use writer::GroupWriter;

/// Characters of the shortest term that is indexed.
pub const TERM_CHARS_MIN: usize = 3;
/// Bytes of a key at most; longer terms are found by their beginning.
pub const TERM_BYTES_MAX: usize = 128;
/// Begins the key of a part of a term, and stands in no term.
const PART_MARK: char = '\u{1}';
/// Bytes from a part of a long term to the next.
const PART_STEP: usize = 96;
/// Bytes that stand in one key wherever they stand in a term: a part may begin three bytes of a character early, and miss
/// three more at its end.
const INFIX_BYTES_MAX: usize = TERM_BYTES_MAX - PART_MARK.len_utf8() - PART_STEP - 6;
/// Rows of a row group that can be indexed at most.
pub const GROUP_ROWS_MAX: usize = 1 << 16;
/// Cells of a row group at most: one machine word.
const CELLS_MAX: usize = 64;
/// Rows that a posting lists one by one at most: of one that is in every cell, a row in a thousand.
const ROWS_LISTED_MAX: usize = 64;
/// Bytes of the entries of a block, about: a lookup decompresses one block.
const BLOCK_BYTES: usize = 16 << 10;
/// Bytes of the entries of a block at most, as a reader accepts them.
const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + 1_024;
/// The first bytes of a head.
const MAGIC: [u8; 4] = *b"MTI\x03";

/// Rows of one cell of a group.
fn cell_rows(num_rows: usize) -> usize {
    num_rows.div_ceil(CELLS_MAX).next_power_of_two()
}

/// A key of at most [`TERM_BYTES_MAX`] bytes.
fn cut(term: &str) -> &str {
    match term.len() > TERM_BYTES_MAX {
        true => &term[..term.floor_char_boundary(TERM_BYTES_MAX)],
        false => term,
    }
}

/// Whether a key may have been cut: a character has at most four bytes.
fn may_be_cut(key: &[u8]) -> bool {
    key.len() + 3 >= TERM_BYTES_MAX
}

/// Whether a key may be less than its term.
fn may_be_part(key: &[u8]) -> bool {
    may_be_cut(key) || key.starts_with(&[PART_MARK as u8])
}

/// The parts of a term that its key does not hold, each with some of the one before.
fn parts(term: &str) -> impl Iterator<Item = &str> {
    let (mut step, mut end) = (0, cut(term).len());
    std::iter::from_fn(move || {
        if end == term.len() {
            return None;
        }
        step += PART_STEP;
        let start = term.floor_char_boundary(step);
        end = term.floor_char_boundary(start + TERM_BYTES_MAX - PART_MARK.len_utf8());
        Some(&term[start..end])
    })
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
