//! Inclusion and consistency proofs: made from tiles, checked from nothing but hashes.
//!
//! The makers follow the recursive definitions of RFC 6962; the checkers follow the walk of RFC 9162. They share no
//! code, so that a mistake in one is caught by the other.

use crate::error::{BoxError, Error, Result};
use crate::hash::{EMPTY_ROOT, Hash, node_hash, root_of};
use crate::reader::{SubtreeHasher, TileReader, largest_power_below};
use crate::tile::{TILE_HEIGHT, TILE_WIDTH, TilePath, TileShelf, encode_hashes};

/// Most hashes any valid proof has: one per level of the largest tree, and one more for consistency.
pub const PROOF_HASHES_MAX: usize = 65;

/// Makes the proof that leaf `index` is in the tree of `size` leaves, sibling of the leaf first.
///
/// # Errors
/// [`Error::IndexOutOfRange`]; and from tiles as [`SubtreeHasher::range`].
/// # Source
/// RFC 6962 section 2.1.1, PATH.
pub fn prove_inclusion(index: u64, size: u64, reader: &dyn TileReader) -> Result<Vec<Hash>> {
    if index >= size {
        return Err(Error::IndexOutOfRange { index, size });
    }
    let hasher = SubtreeHasher::new(size, reader);
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let split = start + largest_power_below(end - start);
        if index < split {
            proof.push(hasher.range(split, end)?);
            end = split;
        } else {
            proof.push(hasher.range(start, split)?);
            start = split;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Makes the proof that leaf `index` is in the tree over `leaves`, which are all at hand.
///
/// # Errors
/// [`Error::IndexOutOfRange`].
pub fn prove_inclusion_in(leaves: &[Hash], index: u64) -> Result<Vec<Hash>> {
    prove_inclusion(index, leaves.len() as u64, &|tile: TilePath| tile_over(leaves, tile))
}

/// Makes one tile of hashes of the tree over `leaves`.
fn tile_over(leaves: &[Hash], tile: TilePath) -> std::result::Result<Vec<u8>, BoxError> {
    let TileShelf::Hashes(level) = tile.shelf else { return Err("leaves have no entries".into()) };
    let leaves_per_hash = 1usize.checked_shl(u32::from(level) * TILE_HEIGHT).ok_or("no tree is so high")?;
    let first = usize::try_from(tile.index)? * usize::from(TILE_WIDTH);
    let hashes: Vec<Hash> =
        leaves.chunks_exact(leaves_per_hash).skip(first).take(usize::from(tile.width)).map(root_of).collect();
    Ok(encode_hashes(&hashes))
}

/// Makes the proof that the tree of `old` leaves is the beginning of the tree of `new` leaves.
///
/// The proof is empty when the sizes are equal or the older tree has no leaf.
///
/// # Errors
/// [`Error::SizesReversed`]; and from tiles as [`SubtreeHasher::range`].
/// # Source
/// RFC 6962 section 2.1.2, PROOF and SUBPROOF.
pub fn prove_consistency(old: u64, new: u64, reader: &dyn TileReader) -> Result<Vec<Hash>> {
    if old > new {
        return Err(Error::SizesReversed { old, new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let hasher = SubtreeHasher::new(new, reader);
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    while end != old {
        let split = start + largest_power_below(end - start);
        if old <= split {
            proof.push(hasher.range(split, end)?);
            end = split;
        } else {
            proof.push(hasher.range(start, split)?);
            start = split;
        }
    }
    // When the walk never turned right, the last subtree is the whole older tree, whose root the checker has.
    if start != 0 {
        proof.push(hasher.range(start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that a leaf hash is at `index` of the tree of `size` leaves with root `root`.
///
/// # Errors
/// [`Error::IndexOutOfRange`]; [`Error::ProofRejected`] saying why.
/// # Source
/// RFC 9162 section 2.1.3.2.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<()> {
    if index >= size {
        return Err(Error::IndexOutOfRange { index, size });
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(Error::ProofRejected("it is longer than the tree is high"));
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(Error::ProofRejected("it is shorter than the tree is high"));
    }
    if hash != *root {
        return Err(Error::ProofRejected("it leads to another root"));
    }
    Ok(())
}

/// Checks that the tree of `old` leaves with root `old_root` is the beginning of the tree of `new` leaves with root
/// `new_root`.
///
/// # Errors
/// [`Error::SizesReversed`]; [`Error::ProofRejected`] saying why.
/// # Source
/// RFC 9162 section 2.1.4.2; ours for an empty older tree: its root must be the empty root and the proof empty.
pub fn verify_consistency(old: u64, new: u64, proof: &[Hash], old_root: &Hash, new_root: &Hash) -> Result<()> {
    if old > new {
        return Err(Error::SizesReversed { old, new });
    }
    if old == 0 || old == new {
        return verify_trivial_consistency(old, new, proof, old_root, new_root);
    }
    // When the older tree is perfect its root is itself the first node of the walk and is left out of the proof.
    let (first, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(Error::ProofRejected("it is empty"))?
    };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(Error::ProofRejected("it is longer than the tree is high"));
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(Error::ProofRejected("it is shorter than the tree is high"));
    }
    if old_hash != *old_root {
        return Err(Error::ProofRejected("it leads to another older root"));
    }
    if new_hash != *new_root {
        return Err(Error::ProofRejected("it leads to another newer root"));
    }
    Ok(())
}

fn verify_trivial_consistency(old: u64, new: u64, proof: &[Hash], old_root: &Hash, new_root: &Hash) -> Result<()> {
    if !proof.is_empty() {
        return Err(Error::ProofRejected("it should be empty"));
    }
    if old == 0 && *old_root != EMPTY_ROOT {
        return Err(Error::ProofRejected("the empty tree has another root"));
    }
    if old == new && old_root != new_root {
        return Err(Error::ProofRejected("two roots for one size"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;
    use crate::hash::root_of;
    use crate::hash::tests::{REFERENCE_ENTRIES, numbered_leaves};
    use crate::reader::tests::{reader_of, tiles_of};
    use proptest::prelude::*;

    const SIZE_MAX: u64 = 70;

    #[test]
    fn reference_tree_has_its_published_paths() {
        let leaves: Vec<Hash> = REFERENCE_ENTRIES.iter().map(|entry| leaf_hash(entry)).collect();
        let reader = reader_of(tiles_of(&leaves));
        let path: Vec<String> = prove_inclusion(5, 8, &reader).unwrap().iter().map(Hash::to_hex).collect();
        assert_eq!(
            path,
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
        let path: Vec<String> = prove_consistency(6, 8, &reader).unwrap().iter().map(Hash::to_hex).collect();
        assert_eq!(
            path,
            [
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
    }

    #[test]
    fn every_leaf_is_proved_in_every_tree() {
        let leaves = numbered_leaves(SIZE_MAX);
        for size in 1..=SIZE_MAX {
            let leaves = &leaves[..usize::try_from(size).unwrap()];
            let reader = reader_of(tiles_of(leaves));
            let root = root_of(leaves);
            for (index, leaf) in (0..).zip(leaves) {
                let proof = prove_inclusion(index, size, &reader).unwrap();
                assert!(proof.len() < PROOF_HASHES_MAX);
                verify_inclusion(leaf, index, size, &proof, &root).unwrap();
            }
        }
    }

    #[test]
    fn leaves_at_hand_are_proved_as_leaves_in_tiles_are() {
        let leaves = numbered_leaves(600);
        for size in 1..=600 {
            let leaves = &leaves[..usize::try_from(size).unwrap()];
            let (reader, root) = (reader_of(tiles_of(leaves)), root_of(leaves));
            for index in [0, 1, 255, 256, 257, size / 2, size - 1].into_iter().filter(|index| *index < size) {
                let proof = prove_inclusion_in(leaves, index).unwrap();
                verify_inclusion(&leaves[usize::try_from(index).unwrap()], index, size, &proof, &root).unwrap();
                assert_eq!(proof, prove_inclusion(index, size, &reader).unwrap());
            }
            assert!(matches!(prove_inclusion_in(leaves, size), Err(Error::IndexOutOfRange { .. })));
        }
        assert!(prove_inclusion_in(&[], 0).is_err());
    }

    #[test]
    fn every_tree_is_proved_to_begin_every_larger_one() {
        let leaves = numbered_leaves(SIZE_MAX);
        let root_at = |size: u64| root_of(&leaves[..usize::try_from(size).unwrap()]);
        for new in 0..=SIZE_MAX {
            let reader = reader_of(tiles_of(&leaves[..usize::try_from(new).unwrap()]));
            for old in 0..=new {
                let proof = prove_consistency(old, new, &reader).unwrap();
                verify_consistency(old, new, &proof, &root_at(old), &root_at(new)).unwrap();
            }
        }
    }

    #[test]
    fn proofs_reach_across_tile_levels() {
        let size = 65_536 + 700;
        let leaves = numbered_leaves(size);
        let reader = reader_of(tiles_of(&leaves));
        let root = root_of(&leaves);
        for index in [0, 255, 256, 65_535, 65_536, 66_000, size - 1] {
            let proof = prove_inclusion(index, size, &reader).unwrap();
            verify_inclusion(&leaves[usize::try_from(index).unwrap()], index, size, &proof, &root).unwrap();
        }
        for old in [1, 255, 256, 257, 65_535, 65_536, 65_537, size - 1] {
            let proof = prove_consistency(old, size, &reader).unwrap();
            let old_root = root_of(&leaves[..usize::try_from(old).unwrap()]);
            verify_consistency(old, size, &proof, &old_root, &root).unwrap();
        }
    }

    #[test]
    fn rejects_proof_for_wrong_index() {
        let leaves = numbered_leaves(21);
        let reader = reader_of(tiles_of(&leaves));
        let proof = prove_inclusion(7, 21, &reader).unwrap();
        for index in (0..21).filter(|index| *index != 7) {
            assert!(verify_inclusion(&leaves[7], index, 21, &proof, &root_of(&leaves)).is_err(), "index {index}");
        }
        assert!(matches!(
            verify_inclusion(&leaves[7], 21, 21, &proof, &root_of(&leaves)),
            Err(Error::IndexOutOfRange { .. })
        ));
    }

    #[test]
    fn rejects_proof_for_wrong_tree_size() {
        // Sizes of the same height whose path shape for this leaf is the same lead to the same root: the root binds
        // the size only together with a checkpoint. All sizes of another shape must be refused.
        let leaves = numbered_leaves(21);
        let reader = reader_of(tiles_of(&leaves));
        let proof = prove_inclusion(20, 21, &reader).unwrap();
        for size in (22..70).chain([1 << 40]) {
            assert!(verify_inclusion(&leaves[20], 20, size, &proof, &root_of(&leaves)).is_err(), "size {size}");
        }
    }

    #[test]
    fn rejects_consistency_for_wrong_tree_sizes() {
        let leaves = numbered_leaves(40);
        let reader = reader_of(tiles_of(&leaves));
        let proof = prove_consistency(13, 40, &reader).unwrap();
        let (old_root, new_root) = (root_of(&leaves[..13]), root_of(&leaves));
        verify_consistency(13, 40, &proof, &old_root, &new_root).unwrap();
        for old in (0..=41).filter(|old| *old != 13) {
            assert!(verify_consistency(old, 40, &proof, &old_root, &new_root).is_err(), "old size {old}");
        }
        assert!(verify_consistency(13, 12, &proof, &old_root, &new_root).is_err());
        assert!(verify_consistency(40, 40, &[], &old_root, &new_root).is_err());
        assert!(verify_consistency(0, 40, &[], &old_root, &new_root).is_err());
        assert!(verify_consistency(0, 40, &[], &EMPTY_ROOT, &new_root).is_ok());
    }

    proptest! {
        #[test]
        fn rejects_mutated_inclusion_proof(size in 1u64..300, pick in any::<u64>(), place in any::<usize>(), bit in 0u8..8, kind in 0u8..5) {
            let leaves = numbered_leaves(size);
            let reader = reader_of(tiles_of(&leaves));
            let index = pick % size;
            let mut leaf = leaves[usize::try_from(index).unwrap()];
            let mut root = root_of(&leaves);
            let mut proof = prove_inclusion(index, size, &reader).unwrap();
            match kind {
                0 => leaf.0[place % 32] ^= 1 << bit,
                1 => root.0[place % 32] ^= 1 << bit,
                2 => proof.push(leaf),
                _ if proof.is_empty() => proof.push(root),
                3 => { let _ = proof.remove(place % proof.len()); }
                _ => { let at = place % proof.len(); proof[at].0[place % 32] ^= 1 << bit; }
            }
            prop_assert!(verify_inclusion(&leaf, index, size, &proof, &root).is_err());
        }

        #[test]
        fn rejects_mutated_consistency_proof(new in 2u64..300, pick in any::<u64>(), place in any::<usize>(), bit in 0u8..8, kind in 0u8..5) {
            let leaves = numbered_leaves(new);
            let reader = reader_of(tiles_of(&leaves));
            let old = 1 + pick % (new - 1);
            let mut old_root = root_of(&leaves[..usize::try_from(old).unwrap()]);
            let mut new_root = root_of(&leaves);
            let mut proof = prove_consistency(old, new, &reader).unwrap();
            match kind {
                0 => old_root.0[place % 32] ^= 1 << bit,
                1 => new_root.0[place % 32] ^= 1 << bit,
                2 => proof.push(new_root),
                3 => { let _ = proof.remove(place % proof.len()); }
                _ => { let at = place % proof.len(); proof[at].0[place % 32] ^= 1 << bit; }
            }
            prop_assert!(verify_consistency(old, new, &proof, &old_root, &new_root).is_err());
        }
    }
}
