//! What tells one life of a file from another: from its first line until it is truncated or removed.
//!
//! A life is stored as an epoch of 16 bytes: 8 of a hash over its generation and first line, then its inode, big-endian.
//! So that a life is known again by its first line where it lies under another inode: copied before it was truncated, or
//! compressed. Epochs stored by earlier versions are a hash over all three, and are known again where the inode is.

use moneta_merkle::sha256;

/// Bytes of the first line that tell one life of a file from another.
const FINGERPRINT_BYTES: usize = 256;
/// Lives of one inode that are told apart when they begin with the same line.
const GENERATIONS_MAX: u32 = 64;

/// One life of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    /// The inode under which it was written.
    pub(super) inode: u64,
    /// How it begins.
    pub(super) fingerprint: Vec<u8>,
    /// How often the inode began so.
    pub(super) generation: u32,
    /// How it is stored.
    pub(super) epoch: u128,
}

impl Life {
    pub(super) fn new(inode: u64, fingerprint: &[u8], generation: u32) -> Self {
        let epoch = epoch(inode, fingerprint, generation);
        Self { inode, fingerprint: fingerprint.to_vec(), generation, epoch }
    }

    /// The life that is stored so, if it begins so. Only by comparing inodes can the caller tell whether a file is that of
    /// the life, or one that begins the same. `inode` is where a life of an earlier version may have been written.
    pub(super) fn of_epoch(stored: u128, fingerprint: &[u8], inode: u64) -> Option<Self> {
        let written = u64::try_from(stored & u128::from(u64::MAX)).unwrap_or_default();
        let is_it = |generation: u32| {
            let of_now = (epoch(written, fingerprint, generation) == stored).then_some(written);
            of_now.or((old_epoch(inode, fingerprint, generation) == stored).then_some(inode))
        };
        let (generation, inode) =
            (0..GENERATIONS_MAX).find_map(|generation| is_it(generation).map(|inode| (generation, inode)))?;
        Some(Self { inode, fingerprint: fingerprint.to_vec(), generation, epoch: stored })
    }

    /// The generation of what the inode holds next.
    pub(super) fn next_generation(&self) -> u32 {
        (self.generation + 1) % GENERATIONS_MAX
    }
}

fn epoch(inode: u64, fingerprint: &[u8], generation: u32) -> u128 {
    let hash = sha256(&[&generation.to_le_bytes()[..], fingerprint].concat());
    let begins = u64::from_be_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"));
    u128::from(begins) << 64 | u128::from(inode)
}

/// What epochs were before they held the inode.
fn old_epoch(inode: u64, fingerprint: &[u8], generation: u32) -> u128 {
    let hash = sha256(&[&inode.to_le_bytes()[..], &generation.to_le_bytes(), fingerprint].concat());
    u128::from_be_bytes(hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes"))
}

/// The beginning of the first line; `None` until the line is whole or long enough.
pub(super) fn fingerprint(head: &[u8]) -> Option<&[u8]> {
    let end = head.iter().take(FINGERPRINT_BYTES).position(|b| *b == b'\n').map(|end| end + 1);
    end.or((head.len() >= FINGERPRINT_BYTES).then_some(FINGERPRINT_BYTES)).map(|end| &head[..end])
}

/// The same of a file that was rotated away: what there is of its only line is all that there will be.
pub(super) fn rotated_fingerprint(head: &[u8]) -> Option<&[u8]> {
    fingerprint(head).or((!head.is_empty()).then_some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_known_by_its_first_line_and_says_its_inode() {
        let life = Life::new(7, b"first\n", 3);
        assert_eq!(Life::of_epoch(life.epoch, b"first\n", 9), Some(life.clone()));
        assert_eq!(Life::of_epoch(life.epoch, b"other\n", 7), None);
        assert_ne!(Life::new(8, b"first\n", 3).epoch, life.epoch);
        assert_ne!(Life::new(7, b"first\n", 4).epoch, life.epoch);
    }

    #[test]
    fn a_life_stored_by_an_earlier_version_is_known_under_its_inode() {
        let stored = old_epoch(7, b"first\n", 3);
        let life = Life::of_epoch(stored, b"first\n", 7).unwrap();
        assert_eq!((life.inode, life.generation, life.epoch), (7, 3, stored));
        assert_eq!(Life::of_epoch(stored, b"first\n", 8), None);
    }
}
