//! Subtree hashes out of tiles.
//!
//! A [`TileReader`] hands over the bytes of one tile; [`SubtreeHasher`] turns them into the hash of any range of
//! leaves. It trusts the tiles: what comes out is checked by verifying the proof or root made from it.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::error::{BoxError, Error, Result};
use crate::hash::{EMPTY_ROOT, Hash, node_hash, root_of};
use crate::tile::{TILE_HEIGHT, TILE_WIDTH, TilePath, TileShelf, decode_hashes, width_in};
use crate::tree::TreeBuilder;

/// Gives the bytes of a tile at exactly the width asked for.
///
/// Implemented for closures. A store that keeps only the newest partial tile answers with its prefix.
pub trait TileReader {
    /// Returns the bytes of `tile`.
    ///
    /// # Errors
    /// Whatever keeps the reader from giving them.
    fn read_tile(&self, tile: TilePath) -> std::result::Result<Vec<u8>, BoxError>;
}

impl<F> TileReader for F
where
    F: Fn(TilePath) -> std::result::Result<Vec<u8>, BoxError>,
{
    fn read_tile(&self, tile: TilePath) -> std::result::Result<Vec<u8>, BoxError> {
        self(tile)
    }
}

/// Hashes ranges of leaves of one tree, reading each tile once.
pub struct SubtreeHasher<'reader> {
    size: u64,
    reader: &'reader dyn TileReader,
    tiles: RefCell<HashMap<TilePath, Vec<Hash>>>,
}

impl<'reader> SubtreeHasher<'reader> {
    /// Reads the tree of `size` leaves through `reader`.
    #[must_use]
    pub fn new(size: u64, reader: &'reader dyn TileReader) -> SubtreeHasher<'reader> {
        SubtreeHasher { size, reader, tiles: RefCell::new(HashMap::new()) }
    }

    /// Returns the hash over leaves `[start, end)`, where the range is a node of some RFC 6962 tree.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] past the tree; [`Error::TileRead`] and [`Error::TileLength`] from tiles.
    pub fn range(&self, start: u64, end: u64) -> Result<Hash> {
        if end > self.size || start > end {
            return Err(Error::IndexOutOfRange { index: end, size: self.size });
        }
        let count = end - start;
        match count {
            0 => Ok(EMPTY_ROOT),
            _ if count.is_power_of_two() && start.is_multiple_of(count) => {
                self.perfect(count.trailing_zeros(), start / count)
            }
            _ => {
                let split = start + largest_power_below(count);
                Ok(node_hash(&self.range(start, split)?, &self.range(split, end)?))
            }
        }
    }

    /// Returns the leaf hash at `index`.
    ///
    /// # Errors
    /// As [`SubtreeHasher::range`].
    pub fn leaf(&self, index: u64) -> Result<Hash> {
        let end = index.checked_add(1).ok_or(Error::IndexOutOfRange { index, size: self.size })?;
        self.range(index, end)
    }

    /// Returns the compact range of the tree, ready to grow.
    ///
    /// # Errors
    /// As [`SubtreeHasher::range`].
    pub fn tree(&self) -> Result<TreeBuilder> {
        let mut peaks = Vec::new();
        let mut start = 0;
        for bit in (0..u64::BITS).rev().filter(|bit| self.size >> bit & 1 == 1) {
            let end = start + (1 << bit);
            peaks.push(self.range(start, end)?);
            start = end;
        }
        TreeBuilder::from_peaks(self.size, peaks)
    }

    /// Returns the hash of the `number`-th perfect subtree of `2^height` leaves.
    fn perfect(&self, height: u32, number: u64) -> Result<Hash> {
        let level = u8::try_from(height / TILE_HEIGHT).expect("height is below 64");
        let span = 1u64 << (height % TILE_HEIGHT);
        let first = number * span;
        let shelf = TileShelf::Hashes(level);
        let index = first / u64::from(TILE_WIDTH);
        let tile = TilePath { shelf, index, width: width_in(self.size, shelf, index) };
        let offset = usize::try_from(first % u64::from(TILE_WIDTH)).expect("below 256");
        let span = usize::try_from(span).expect("at most 128");
        self.with_tile(tile, |hashes| root_of(&hashes[offset..offset + span]))
    }

    fn with_tile<T>(&self, tile: TilePath, take: impl FnOnce(&[Hash]) -> T) -> Result<T> {
        if let Some(hashes) = self.tiles.borrow().get(&tile) {
            return Ok(take(hashes));
        }
        let bytes = self.reader.read_tile(tile).map_err(|source| Error::TileRead { tile, source })?;
        let hashes = decode_hashes(tile, &bytes)?;
        let taken = take(&hashes);
        self.tiles.borrow_mut().insert(tile, hashes);
        Ok(taken)
    }
}

/// Returns the root of a tree of `size` leaves, read from its tiles.
///
/// # Errors
/// As [`SubtreeHasher::range`].
pub fn root_from_tiles(size: u64, reader: &dyn TileReader) -> Result<Hash> {
    SubtreeHasher::new(size, reader).range(0, size)
}

/// Returns the largest power of two below `count`, the size of a tree's left subtree.
pub(crate) fn largest_power_below(count: u64) -> u64 {
    debug_assert!(count > 1);
    1 << (u64::BITS - 1 - (count - 1).leading_zeros())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::hash::tests::{numbered_leaves, root_by_definition};
    use crate::tile::{encode_hashes, grown_tiles, parent_hash};

    /// Builds all hash tiles of a tree, by definition and not by the code under test.
    pub(crate) fn tiles_of(leaves: &[Hash]) -> HashMap<TilePath, Vec<u8>> {
        let mut tiles = HashMap::new();
        let mut hashes = leaves.to_vec();
        let mut level = 0;
        while !hashes.is_empty() {
            for (index, chunk) in (0..).zip(hashes.chunks(256)) {
                let width = u16::try_from(chunk.len()).unwrap();
                tiles.insert(TilePath::hashes(level, index, width), encode_hashes(chunk));
            }
            hashes = hashes.chunks_exact(256).map(parent_hash).collect();
            level += 1;
        }
        tiles
    }

    pub(crate) fn reader_of(tiles: HashMap<TilePath, Vec<u8>>) -> impl TileReader {
        move |tile: TilePath| tiles.get(&tile).cloned().ok_or_else(|| BoxError::from(format!("no tile {tile}")))
    }

    #[test]
    fn every_listed_hash_tile_exists_and_no_other() {
        for size in [0, 1, 255, 256, 257, 65_536, 70_000] {
            let built = tiles_of(&numbered_leaves(size));
            let mut listed: Vec<TilePath> =
                grown_tiles(0, size).filter(|tile| tile.shelf != TileShelf::Entries).collect();
            let mut keys: Vec<TilePath> = built.into_keys().collect();
            listed.sort();
            keys.sort();
            assert_eq!(listed, keys, "size {size}");
        }
    }

    #[test]
    fn root_and_compact_range_come_from_tiles() {
        for size in [0, 1, 2, 3, 255, 256, 257, 511, 1_000, 65_537] {
            let leaves = numbered_leaves(size);
            let reader = reader_of(tiles_of(&leaves));
            let root = root_by_definition(&leaves);
            assert_eq!(root_from_tiles(size, &reader).unwrap(), root, "size {size}");
            assert_eq!(SubtreeHasher::new(size, &reader).tree().unwrap().root(), root, "size {size}");
        }
    }

    #[test]
    fn a_missing_tile_is_named() {
        let nothing = |_: TilePath| -> std::result::Result<Vec<u8>, BoxError> { Err("gone".into()) };
        let error = root_from_tiles(3, &nothing).unwrap_err();
        assert_eq!(error.to_string(), "tile tile/0/000.p/3 cannot be read");
    }
}
