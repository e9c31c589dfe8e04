//! Checks every file of a log against its neighbours and the signed root.
//!
//! Each bundle must hash to the level 0 tile of its number, each full tile to its hash in the level above, and the right
//! edge to the root. Together that is a proof that every entry is the one signed for, and a flipped byte is named by the
//! file it is in or the pair of files that no longer agree. Memory is a few tiles, whatever the size of the log.

use crate::bundle;
use crate::hash::{Hash, leaf_hash};
use crate::reader::{TileReader, root_from_tiles};
use crate::tile::{TILE_WIDTH, TilePath, TileShelf, decode_hashes, grown_tiles, hashes_at_level, parent_hash};

/// Most findings kept: past it the log is rubble and more names help nobody.
pub const FINDINGS_MAX: usize = 1_000;

/// Something in a log that is not what was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file it shows in; none if only the root as a whole is wrong.
    pub tile: Option<TilePath>,
    /// The entry concerned, where one is known.
    pub entry: Option<u64>,
    /// What is wrong, in words.
    pub reason: String,
}

/// Reads the whole log of `size` leaves and lists what does not fit `root`.
///
/// `on_entry` sees each entry that fits its leaf hash, with its index, in order. An empty list means that every entry
/// and tile is the one under the root. The list ends after [`FINDINGS_MAX`].
pub fn audit_log(
    size: u64,
    root: &Hash,
    reader: &dyn TileReader,
    on_entry: &mut dyn FnMut(u64, &[u8]),
) -> Vec<Finding> {
    audit_growth(0, size, root, reader, on_entry)
}

/// As [`audit_log`], but reads only the files that the tree has at size `new` and had not at size `old`, and what the
/// root needs: the check before signing, at a cost that follows the growth and not the log.
pub fn audit_growth(
    old: u64,
    new: u64,
    root: &Hash,
    reader: &dyn TileReader,
    on_entry: &mut dyn FnMut(u64, &[u8]),
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for tile in grown_tiles(old, new) {
        if findings.len() >= FINDINGS_MAX {
            return findings;
        }
        let checked = match tile.shelf {
            TileShelf::Entries => audit_bundle(tile, reader, on_entry),
            TileShelf::Hashes(0) => read_hashes(tile, reader).map(|_| ()),
            TileShelf::Hashes(level) => audit_parents(tile, level, old, reader),
        };
        findings.extend(checked.err());
    }
    match root_from_tiles(new, reader) {
        Ok(found) if found == *root => {}
        Ok(_) => {
            findings.push(Finding { tile: None, entry: None, reason: "the tiles lead to another root".to_owned() })
        }
        Err(_) if !findings.is_empty() => {}
        Err(error) => findings.push(Finding { tile: None, entry: None, reason: error.to_string() }),
    }
    findings
}

fn audit_bundle(tile: TilePath, reader: &dyn TileReader, on_entry: &mut dyn FnMut(u64, &[u8])) -> Result<(), Finding> {
    let bytes = reader.read_tile(tile).map_err(|error| finding(tile, None, error.to_string()))?;
    let entries = bundle::entries(&bytes, tile.width).map_err(|error| finding(tile, None, error.to_string()))?;
    let hashes = read_hashes(TilePath::hashes(0, tile.index, tile.width), reader)?;
    for (index, (entry, hash)) in (tile.index * u64::from(TILE_WIDTH)..).zip(entries.into_iter().zip(hashes)) {
        if leaf_hash(entry) != hash {
            return Err(finding(tile, Some(index), "the entry is not the one its leaf hash names".to_owned()));
        }
        on_entry(index, entry);
    }
    Ok(())
}

/// Compares the hashes of `tile` that a tree of `old` leaves had not yet with the tiles they stand for.
fn audit_parents(tile: TilePath, level: u8, old: u64, reader: &dyn TileReader) -> Result<(), Finding> {
    let below = TileShelf::Hashes(level - 1);
    let first = tile.index * u64::from(TILE_WIDTH);
    let known = hashes_at_level(old, level);
    for (child, hash) in (first..).zip(read_hashes(tile, reader)?).filter(|(child, _)| *child >= known) {
        let child = TilePath { shelf: below, index: child, width: TILE_WIDTH };
        // A child that cannot be read is reported where it is itself listed.
        if read_hashes(child, reader).is_ok_and(|hashes| parent_hash(&hashes) != hash) {
            return Err(finding(tile, None, format!("its hash of {child} is not that of the file")));
        }
    }
    Ok(())
}

fn read_hashes(tile: TilePath, reader: &dyn TileReader) -> Result<Vec<Hash>, Finding> {
    let bytes = reader.read_tile(tile).map_err(|error| finding(tile, None, error.to_string()))?;
    decode_hashes(tile, &bytes).map_err(|error| finding(tile, None, error.to_string()))
}

fn finding(tile: TilePath, entry: Option<u64>, reason: String) -> Finding {
    Finding { tile: Some(tile), entry, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::BoxError;
    use crate::hash::root_of;
    use crate::reader::tests::tiles_of;
    use std::collections::HashMap;

    fn log_of(size: u64) -> (HashMap<TilePath, Vec<u8>>, Hash) {
        let entries: Vec<[u8; 8]> = (0..size).map(u64::to_be_bytes).collect();
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let mut files = tiles_of(&leaves);
        for (index, chunk) in (0..).zip(entries.chunks(256)) {
            let mut bytes = Vec::new();
            chunk.iter().for_each(|entry| bundle::push_entry(&mut bytes, entry).unwrap());
            files.insert(TilePath::entries(index, u16::try_from(chunk.len()).unwrap()), bytes);
        }
        (files, root_of(&leaves))
    }

    fn audit(files: &HashMap<TilePath, Vec<u8>>, size: u64, root: &Hash) -> (Vec<Finding>, u64) {
        let reader = |tile: TilePath| files.get(&tile).cloned().ok_or_else(|| BoxError::from("missing"));
        let mut seen = 0;
        let findings = audit_log(size, root, &reader, &mut |index, entry| {
            assert_eq!(entry, index.to_be_bytes());
            seen += 1;
        });
        (findings, seen)
    }

    #[test]
    fn a_whole_log_has_no_findings() {
        for size in [0, 1, 256, 700] {
            let (files, root) = log_of(size);
            assert_eq!(audit(&files, size, &root), (Vec::new(), size));
        }
    }

    #[test]
    fn every_flipped_byte_is_found() {
        let (files, root) = log_of(300);
        for tile in files.keys() {
            for position in 0..files[tile].len() {
                let mut damaged = files.clone();
                damaged.get_mut(tile).unwrap()[position] ^= 0x10;
                assert!(!audit(&damaged, 300, &root).0.is_empty(), "{tile} byte {position}");
            }
        }
    }

    #[test]
    fn a_changed_entry_and_a_missing_file_are_named() {
        let (mut files, root) = log_of(300);
        files.get_mut(&TilePath::entries(1, 44)).unwrap()[10 * 3 + 5] ^= 1;
        let (findings, _) = audit(&files, 300, &root);
        assert_eq!((findings[0].tile, findings[0].entry), (Some(TilePath::entries(1, 44)), Some(259)));
        files.remove(&TilePath::hashes(0, 0, 256));
        let (findings, _) = audit(&files, 300, &root);
        assert!(findings.iter().any(|finding| finding.tile == Some(TilePath::hashes(0, 0, 256))));
    }

    #[test]
    fn another_root_is_found() {
        let (files, _) = log_of(20);
        assert_eq!(audit(&files, 20, &Hash::default()).0[0].tile, None);
    }
}
