//! Where the tiles of a log are, and which of them a tree of a given size has.
//!
//! ```text
//! tile/<L>/<N>[.p/<W>]        hashes of level L, 32 bytes each, 256 in a full tile
//! tile/entries/<N>[.p/<W>]    the entries under the level 0 tile of the same number
//! <N>                         three digits per path element, all but the last behind an `x`: 1234067 is x001/x234/067
//! <W>                         1 to 255, only on the last tile of a level while it is not full
//! ```
//! Source: C2SP tlog-tiles, "Merkle Tree" and "Log entries".

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::hash::{HASH_BYTES, Hash, root_in_place};
use crate::text;

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// Tree levels one tile spans: 256 hashes are the leaves of a subtree of height 8.
pub const TILE_HEIGHT: u32 = 8;

/// Highest level: 256 to the eighth power is past the largest tree size, so levels 0 to 7 can hold hashes.
pub const LEVEL_MAX: u8 = 63;

/// Bytes of a full tile of hashes.
pub const FULL_TILE_BYTES: usize = TILE_WIDTH as usize * HASH_BYTES;

/// Which row of files a tile belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileShelf {
    /// Entry bundles.
    Entries,
    /// Hashes at a tile level; level 0 holds leaf hashes.
    Hashes(u8),
}

/// One tile or entry bundle, full or partial.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TilePath {
    /// The row of files.
    pub shelf: TileShelf,
    /// The number within the row, from 0.
    pub index: u64,
    /// Hashes or entries it holds, 1 to 256.
    pub width: u16,
}

impl TilePath {
    /// Names a tile of hashes.
    #[must_use]
    pub fn hashes(level: u8, index: u64, width: u16) -> TilePath {
        TilePath { shelf: TileShelf::Hashes(level), index, width }
    }

    /// Names an entry bundle.
    #[must_use]
    pub fn entries(index: u64, width: u16) -> TilePath {
        TilePath { shelf: TileShelf::Entries, index, width }
    }

    /// Reports whether the tile can still grow.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.width < TILE_WIDTH
    }

    /// Returns the same tile at another width.
    #[must_use]
    pub fn with_width(self, width: u16) -> TilePath {
        TilePath { width, ..self }
    }

    /// Returns the directory that the file is in, with `/` between elements.
    #[must_use]
    pub fn directory(&self) -> String {
        let path = self.to_string();
        let cut = path.rfind('/').expect("every tile path has a slash");
        path[..cut].to_owned()
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shelf {
            TileShelf::Entries => formatter.write_str("tile/entries/")?,
            TileShelf::Hashes(level) => write!(formatter, "tile/{level}/")?,
        }
        write_index(formatter, self.index)?;
        if self.is_partial() {
            write!(formatter, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

impl fmt::Debug for TilePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for TilePath {
    type Err = Error;

    /// Reads a path in its only allowed form.
    ///
    /// # Errors
    /// [`Error::TilePath`] for anything else.
    fn from_str(path: &str) -> Result<TilePath> {
        parse_path(path).ok_or_else(|| Error::TilePath(path.to_owned()))
    }
}

/// Returns how many hashes level `level` of a tree of `size` leaves has, in all its tiles.
#[must_use]
pub fn hashes_at_level(size: u64, level: u8) -> u64 {
    size.checked_shr(u32::from(level) * TILE_HEIGHT).unwrap_or(0)
}

/// Returns the width that tile `index` of a shelf has in a tree of `size` leaves; zero if it does not exist.
#[must_use]
pub fn width_in(size: u64, shelf: TileShelf, index: u64) -> u16 {
    let level = match shelf {
        TileShelf::Entries => 0,
        TileShelf::Hashes(level) => level,
    };
    let before = index.saturating_mul(u64::from(TILE_WIDTH));
    let width = hashes_at_level(size, level).saturating_sub(before).min(u64::from(TILE_WIDTH));
    u16::try_from(width).expect("bounded by 256")
}

/// Returns how many levels of tiles a tree of `size` leaves has.
#[must_use]
pub fn level_count(size: u64) -> u8 {
    let bits = u64::BITS - size.leading_zeros();
    u8::try_from(bits.div_ceil(TILE_HEIGHT)).expect("at most eight levels fit in 64 bits")
}

/// Lists every tile and bundle that a tree of `new` leaves has and a tree of `old` leaves has not, bundles first, then
/// hashes from the lowest level up.
///
/// With `old` zero it lists all files of the log.
///
/// # Shapes
/// A partial tile that grew is listed once, at its new width; nothing is listed where the width stayed.
pub fn grown_tiles(old: u64, new: u64) -> impl Iterator<Item = TilePath> {
    let shelves = std::iter::once(TileShelf::Entries).chain((0..level_count(new)).map(TileShelf::Hashes));
    shelves.flat_map(move |shelf| {
        let level = match shelf {
            TileShelf::Entries => 0,
            TileShelf::Hashes(level) => level,
        };
        let first = hashes_at_level(old, level) / u64::from(TILE_WIDTH);
        let end = hashes_at_level(new, level).div_ceil(u64::from(TILE_WIDTH));
        (first..end)
            .map(move |index| TilePath { shelf, index, width: width_in(new, shelf, index) })
            .filter(move |tile| tile.width > width_in(old, shelf, tile.index))
    })
}

/// Writes the hashes of a tile as its bytes.
#[must_use]
pub fn encode_hashes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Reads the hashes of a tile.
///
/// # Errors
/// [`Error::TileLength`] unless the bytes are exactly `tile.width` hashes.
pub fn decode_hashes(tile: TilePath, bytes: &[u8]) -> Result<Vec<Hash>> {
    let expected = usize::from(tile.width) * HASH_BYTES;
    if bytes.len() != expected {
        return Err(Error::TileLength { tile, expected, found: bytes.len() });
    }
    Ok(bytes
        .chunks_exact(HASH_BYTES)
        .map(|chunk| Hash::from_slice(chunk).expect("chunks are of hash length"))
        .collect())
}

/// Returns the hash that a full tile contributes to the level above.
///
/// # Panics
/// If the tile is not full: a partial tile has no such hash.
#[must_use]
pub fn parent_hash(hashes: &[Hash]) -> Hash {
    assert_eq!(hashes.len(), usize::from(TILE_WIDTH), "only a full tile has a parent hash");
    let mut scratch = [Hash::default(); TILE_WIDTH as usize];
    scratch.copy_from_slice(hashes);
    root_in_place(&mut scratch)
}

fn write_index(formatter: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    let mut divisor = 1u64;
    while index / divisor >= 1_000 {
        divisor *= 1_000;
    }
    while divisor > 1 {
        write!(formatter, "x{:03}/", index / divisor % 1_000)?;
        divisor /= 1_000;
    }
    write!(formatter, "{:03}", index % 1_000)
}

fn parse_path(path: &str) -> Option<TilePath> {
    let (shelf, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let shelf = match shelf {
        "entries" => TileShelf::Entries,
        level => TileShelf::Hashes(u8::try_from(text::decimal(level)?).ok().filter(|level| *level <= LEVEL_MAX)?),
    };
    let (number, width) = match rest.split_once(".p/") {
        None => (rest, TILE_WIDTH),
        Some((number, width)) => (number, u16::try_from(text::decimal(width)?).ok()?),
    };
    if width == 0 || (rest.contains(".p/") && width >= TILE_WIDTH) {
        return None;
    }
    Some(TilePath { shelf, index: parse_index(number)?, width })
}

fn parse_index(text: &str) -> Option<u64> {
    let elements: Vec<&str> = text.split('/').collect();
    let (last, leading) = elements.split_last()?;
    // The first of several elements must not be x000: every number has one spelling.
    if leading.first() == Some(&"x000") {
        return None;
    }
    let digits = leading.iter().map(|element| element.strip_prefix('x')).chain([Some(*last)]);
    digits.into_iter().try_fold(0u64, |number, element| {
        let element =
            element.filter(|element| element.len() == 3 && element.bytes().all(|byte| byte.is_ascii_digit()))?;
        number.checked_mul(1_000)?.checked_add(element.parse().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tile: TilePath, path: &str) {
        assert_eq!(tile.to_string(), path);
        assert_eq!(path.parse::<TilePath>().unwrap(), tile);
    }

    #[test]
    fn paths_write_and_read_back() {
        check(TilePath::hashes(0, 0, 256), "tile/0/000");
        check(TilePath::hashes(0, 1_234_067, 256), "tile/0/x001/x234/067");
        check(TilePath::hashes(7, 999, 1), "tile/7/999.p/1");
        check(TilePath::hashes(1, 1_000, 255), "tile/1/x001/000.p/255");
        check(TilePath::entries(1_000_000, 256), "tile/entries/x001/x000/000");
        check(TilePath::entries(u64::MAX, 17), "tile/entries/x018/x446/x744/x073/x709/x551/615.p/17");
        assert_eq!(TilePath::hashes(0, 5, 3).directory(), "tile/0/005.p");
    }

    #[test]
    fn rejects_paths_with_a_second_spelling() {
        for path in [
            "tile/0/0",
            "tile/00/000",
            "tile/64/000",
            "tile/0/000.p/256",
            "tile/0/000.p/0",
            "tile/0/000.p/01",
            "tile/0/x000/001",
            "tile/0/001/001",
            "tile/0/x001/x01/001",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/entries",
            "tile/0/000/",
            "entries/000",
            "tile/-1/000",
        ] {
            assert!(path.parse::<TilePath>().is_err(), "{path}");
        }
    }

    #[test]
    fn lists_the_tiles_of_the_specification_example() {
        let tiles: Vec<TilePath> = grown_tiles(0, 70_000).collect();
        let count = |level, partial| {
            tiles.iter().filter(|tile| tile.shelf == TileShelf::Hashes(level) && tile.is_partial() == partial).count()
        };
        assert_eq!((count(0, false), count(0, true)), (273, 1));
        assert_eq!((count(1, false), count(1, true)), (1, 1));
        assert_eq!((count(2, false), count(2, true)), (0, 1));
        assert!(tiles.contains(&TilePath::hashes(0, 273, 112)));
        assert!(tiles.contains(&TilePath::hashes(1, 1, 17)));
        assert!(tiles.contains(&TilePath::hashes(2, 0, 1)));
        assert!(grown_tiles(0, 256).any(|tile| tile == TilePath::hashes(1, 0, 1)));
    }

    #[test]
    fn growth_lists_exactly_what_changed() {
        assert_eq!(grown_tiles(5, 5).count(), 0);
        assert_eq!(grown_tiles(256, 256).count(), 0);
        let paths: Vec<String> = grown_tiles(255, 257).map(|tile| tile.to_string()).collect();
        assert_eq!(
            paths,
            ["tile/entries/000", "tile/entries/001.p/1", "tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]
        );
    }

    #[test]
    fn rejects_a_tile_of_another_length() {
        let tile = TilePath::hashes(0, 0, 2);
        assert_eq!(decode_hashes(tile, &[0; 64]).unwrap().len(), 2);
        for length in [0, 32, 63, 65, 96] {
            assert!(matches!(decode_hashes(tile, &vec![0; length]), Err(Error::TileLength { .. })));
        }
    }
}
