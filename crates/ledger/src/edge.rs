//! The right edge of a log: all that must be in memory to let it grow.
//!
//! That is the compact range, the last bundle and the last tile of each level while they are not full. It is loaded from
//! the files and checked against the signed root, so a log whose edge is damaged is not grown.

use moneta_merkle::reader::SubtreeHasher;
use moneta_merkle::tile::{
    TILE_WIDTH, decode_hashes, encode_hashes, grown_tiles, hashes_at_level, level_count, parent_hash, width_in,
};
use moneta_merkle::{Hash, SignedCheckpoint, TilePath, TileShelf, TreeBuilder, bundle, leaf_hash};

use crate::error::{Error, Result};
use crate::files::LogFiles;

/// A log's right edge at one size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edge {
    tree: TreeBuilder,
    bundle: Vec<u8>,
    levels: Vec<Vec<Hash>>,
}

/// What a growth adds to the files.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    /// New tiles and bundles with their bytes.
    pub(crate) tiles: Vec<(TilePath, Vec<u8>)>,
    /// Partial ones that a wider one replaces.
    pub(crate) outgrown: Vec<TilePath>,
}

impl Edge {
    /// Loads the edge under a checkpoint.
    pub(crate) fn load(files: &LogFiles, checkpoint: &SignedCheckpoint) -> Result<Edge> {
        let damaged = |error: moneta_merkle::Error| files.corrupt(describe(&error));
        let size = checkpoint.size();
        let tree = SubtreeHasher::new(size, files).tree().map_err(damaged)?;
        if tree.root() != checkpoint.root() {
            return Err(files.corrupt("its last tiles lead to another root than the checkpoint's"));
        }
        let mut levels = Vec::new();
        for level in 0..level_count(size) {
            let tile = last_tile(size, TileShelf::Hashes(level));
            levels.push(match tile.width {
                0 => Vec::new(),
                _ => decode_hashes(tile, &files.read_signed(tile)?).map_err(damaged)?,
            });
        }
        let tile = last_tile(size, TileShelf::Entries);
        let bundle = if tile.width == 0 { Vec::new() } else { files.read_signed(tile)? };
        let leaves = bundle::leaf_hashes(&bundle, tile.width)
            .map_err(|error| Error::Corrupt { path: files.path(tile), reason: error.to_string() })?;
        if levels.first().is_some_and(|hashes| *hashes != leaves) {
            return Err(Error::Corrupt { path: files.path(tile), reason: "its entries have other leaf hashes".into() });
        }
        Ok(Edge { tree, bundle, levels })
    }

    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.tree.root()
    }

    /// Appends entries and returns what the files must gain.
    pub(crate) fn extend<'entry>(&mut self, entries: impl Iterator<Item = &'entry [u8]>) -> Result<Growth> {
        let old = self.size();
        let mut growth = Growth::default();
        for entry in entries {
            bundle::push_entry(&mut self.bundle, entry)?;
            let leaf = leaf_hash(entry);
            self.tree.append(leaf);
            if self.size().is_multiple_of(u64::from(TILE_WIDTH)) {
                let tile = TilePath::entries(self.size() / u64::from(TILE_WIDTH) - 1, TILE_WIDTH);
                growth.tiles.push((tile, std::mem::take(&mut self.bundle)));
            }
            self.push_hash(leaf, &mut growth);
        }
        self.add_partials(old, &mut growth);
        Ok(growth)
    }

    /// Adds a leaf hash, and for each tile it fills the hash in the level above.
    fn push_hash(&mut self, leaf: Hash, growth: &mut Growth) {
        let mut hash = leaf;
        for level in 0.. {
            let number = usize::from(level);
            if self.levels.len() == number {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[number];
            hashes.push(hash);
            if hashes.len() < usize::from(TILE_WIDTH) {
                return;
            }
            hash = parent_hash(hashes);
            let index = hashes_at_level(self.tree.size(), level) / u64::from(TILE_WIDTH) - 1;
            growth.tiles.push((TilePath::hashes(level, index, TILE_WIDTH), encode_hashes(hashes)));
            self.levels[number].clear();
        }
    }

    fn add_partials(&self, old: u64, growth: &mut Growth) {
        for tile in grown_tiles(old, self.size()).filter(TilePath::is_partial) {
            let bytes = match tile.shelf {
                TileShelf::Entries => self.bundle.clone(),
                TileShelf::Hashes(level) => encode_hashes(&self.levels[usize::from(level)]),
            };
            growth.tiles.push((tile, bytes));
        }
        let shelves = std::iter::once(TileShelf::Entries).chain((0..level_count(old)).map(TileShelf::Hashes));
        let was_last = shelves.map(|shelf| last_tile(old, shelf)).filter(|tile| tile.width > 0);
        growth.outgrown = was_last.filter(|tile| width_in(self.size(), tile.shelf, tile.index) > tile.width).collect();
    }
}

/// Returns the last tile of a shelf while it is partial; its width is zero if the last one is full.
fn last_tile(size: u64, shelf: TileShelf) -> TilePath {
    let level = if let TileShelf::Hashes(level) = shelf { level } else { 0 };
    let index = hashes_at_level(size, level) / u64::from(TILE_WIDTH);
    TilePath { shelf, index, width: width_in(size, shelf, index) }
}

/// Writes an error with its cause, for reports that keep only text.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
