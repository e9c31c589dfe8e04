//! Leaf, node and root hashes of RFC 6962.
//!
//! ```text
//! empty tree   SHA-256("")
//! leaf         SHA-256(0x00 || entry)
//! node         SHA-256(0x01 || left (32 bytes) || right (32 bytes))
//! ```
//! Source: RFC 6962 section 2.1. The one-byte prefixes keep a node from passing as a leaf.

use std::fmt;

use crate::crypto;
use crate::error::{Error, Result};
use crate::text;

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// The root of the empty tree, SHA-256 of nothing.
pub const EMPTY_ROOT: Hash = Hash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// A SHA-256 value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Hash(pub [u8; HASH_BYTES]);

impl Hash {
    /// Reads a hash from exactly 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Hash> {
        bytes.try_into().ok().map(Hash)
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// Writes 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.to_string()
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::HashText`] for anything else.
    pub fn from_hex(text: &str) -> Result<Hash> {
        text::hex_array(text).map(Hash).ok_or_else(|| Error::HashText(text.to_owned()))
    }

    /// Writes standard base64, 44 characters, as checkpoints and proofs carry it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        text::base64_encode(&self.0)
    }

    /// Reads standard base64.
    ///
    /// # Errors
    /// [`Error::HashText`] for anything but 32 bytes in their only spelling.
    pub fn from_base64(text: &str) -> Result<Hash> {
        text::base64_decode(text)
            .and_then(|bytes| Hash::from_slice(&bytes))
            .ok_or_else(|| Error::HashText(text.to_owned()))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl From<[u8; HASH_BYTES]> for Hash {
    fn from(bytes: [u8; HASH_BYTES]) -> Hash {
        Hash(bytes)
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Returns the plain SHA-256 of `data`, as object hashes and key ids use it.
#[must_use]
pub fn sha256(data: &[u8]) -> Hash {
    Hash(crypto::sha256(data))
}

/// Returns the leaf hash of an entry.
///
/// # Source
/// RFC 6962 section 2.1.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(crypto::sha256_prefixed(0x00, entry))
}

/// Returns the hash of an inner node.
///
/// # Source
/// RFC 6962 section 2.1.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut message = [0u8; 1 + 2 * HASH_BYTES];
    message[0] = 0x01;
    message[1..=HASH_BYTES].copy_from_slice(&left.0);
    message[1 + HASH_BYTES..].copy_from_slice(&right.0);
    Hash(crypto::sha256(&message))
}

/// Returns the root over `leaves`, in order.
///
/// One copy of the slice is the only allocation. Use [`root_in_place`] where the leaves are not needed afterwards.
#[must_use]
pub fn root_of(leaves: &[Hash]) -> Hash {
    root_in_place(&mut leaves.to_vec())
}

/// Returns the root over `leaves`, overwriting them and allocating nothing.
///
/// Each pass hashes neighbours into the front half and carries an odd last node up unchanged, which is the tree of
/// RFC 6962: its left subtree always holds the largest power of two of leaves.
#[must_use]
pub fn root_in_place(leaves: &mut [Hash]) -> Hash {
    let mut width = leaves.len();
    if width == 0 {
        return EMPTY_ROOT;
    }
    while width > 1 {
        let pairs = width / 2;
        for pair in 0..pairs {
            leaves[pair] = node_hash(&leaves[2 * pair], &leaves[2 * pair + 1]);
        }
        if width % 2 == 1 {
            leaves[pairs] = leaves[width - 1];
        }
        width = pairs + width % 2;
    }
    leaves[0]
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The entries of the reference tree that Certificate Transparency implementations share.
    pub(crate) const REFERENCE_ENTRIES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];

    /// Its roots at sizes 1 to 8.
    pub(crate) const REFERENCE_ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    /// Distinct leaf hashes for trees of any size.
    pub(crate) fn numbered_leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    /// The definition of RFC 6962 word for word, against which faster forms are checked.
    pub(crate) fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => sha256(b""),
            1 => leaves[0],
            count => {
                let split = count.next_power_of_two() / 2;
                node_hash(&root_by_definition(&leaves[..split]), &root_by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn empty_root_is_the_hash_of_nothing() {
        assert_eq!(root_of(&[]), EMPTY_ROOT);
        assert_eq!(sha256(b""), EMPTY_ROOT);
        assert_eq!(EMPTY_ROOT.to_hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn reference_tree_has_its_published_roots() {
        let leaves: Vec<Hash> = REFERENCE_ENTRIES.iter().map(|entry| leaf_hash(entry)).collect();
        for (size, root) in (1..).zip(REFERENCE_ROOTS) {
            assert_eq!(root_of(&leaves[..size]).to_hex(), root, "size {size}");
        }
    }

    #[test]
    fn batch_root_is_the_defined_root_at_every_size() {
        let leaves = numbered_leaves(300);
        for size in 0..=leaves.len() {
            assert_eq!(root_of(&leaves[..size]), root_by_definition(&leaves[..size]), "size {size}");
        }
    }

    #[test]
    fn hex_and_base64_read_back() {
        let hash = sha256(b"moneta");
        assert_eq!(Hash::from_hex(&hash.to_hex()).unwrap(), hash);
        assert_eq!(Hash::from_base64(&hash.to_base64()).unwrap(), hash);
        for text in ["", "00", "zz", &hash.to_hex()[1..]] {
            assert!(Hash::from_hex(text).is_err(), "{text:?}");
            assert!(Hash::from_base64(text).is_err(), "{text:?}");
        }
    }
}
