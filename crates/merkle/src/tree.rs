//! A growing tree that remembers only its right edge.
//!
//! The compact range of a tree of n leaves is one hash per set bit of n: the roots of the perfect subtrees that cover
//! it, largest first ("peaks"). Appending and taking the root need nothing else, so memory is at most 64 hashes. It
//! cannot answer for older leaves: proofs are made from tiles (see [`crate::proof`]).

use crate::error::{Error, Result};
use crate::hash::{EMPTY_ROOT, Hash, node_hash};

/// Appends leaf hashes and gives the root after each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeBuilder {
    size: u64,
    peaks: Vec<Hash>,
}

impl TreeBuilder {
    /// Starts an empty tree.
    #[must_use]
    pub fn new() -> TreeBuilder {
        TreeBuilder::default()
    }

    /// Continues a tree of `size` leaves from its peaks, largest subtree first.
    ///
    /// # Errors
    /// [`Error::Peaks`] if a tree of that size has another number of peaks.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Result<TreeBuilder> {
        let expected = size.count_ones();
        if u32::try_from(peaks.len()) != Ok(expected) {
            return Err(Error::Peaks { size, expected, found: peaks.len() });
        }
        Ok(TreeBuilder { size, peaks })
    }

    /// Appends one leaf hash and returns its index.
    pub fn append(&mut self, leaf: Hash) -> u64 {
        let index = self.size;
        self.size += 1;
        let mut carry = leaf;
        for _ in 0..index.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each set bit of the size");
            carry = node_hash(&left, &carry);
        }
        self.peaks.push(carry);
        index
    }

    /// Returns the number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the peaks, largest subtree first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Returns the root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let Some((last, rest)) = self.peaks.split_last() else {
            return EMPTY_ROOT;
        };
        rest.iter().rev().fold(*last, |right, left| node_hash(left, &right))
    }
}

impl Extend<Hash> for TreeBuilder {
    fn extend<I: IntoIterator<Item = Hash>>(&mut self, leaves: I) {
        for leaf in leaves {
            self.append(leaf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::root_of;
    use crate::hash::tests::numbered_leaves;

    #[test]
    fn growing_root_is_the_batch_root_at_every_size() {
        let leaves = numbered_leaves(300);
        let mut tree = TreeBuilder::new();
        for (size, leaf) in leaves.iter().enumerate() {
            assert_eq!(tree.root(), root_of(&leaves[..size]), "size {size}");
            assert_eq!(tree.append(*leaf), size as u64);
        }
    }

    #[test]
    fn continues_from_its_peaks() {
        let leaves = numbered_leaves(90);
        for cut in 0..leaves.len() {
            let mut first = TreeBuilder::new();
            first.extend(leaves[..cut].iter().copied());
            let mut second = TreeBuilder::from_peaks(first.size(), first.peaks().to_vec()).unwrap();
            second.extend(leaves[cut..].iter().copied());
            assert_eq!(second.root(), root_of(&leaves), "cut at {cut}");
        }
    }

    #[test]
    fn rejects_peaks_of_another_size() {
        assert!(matches!(
            TreeBuilder::from_peaks(3, vec![Hash::default()]),
            Err(Error::Peaks { expected: 2, found: 1, .. })
        ));
    }
}
