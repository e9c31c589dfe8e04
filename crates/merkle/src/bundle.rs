//! Entry bundles: up to 256 log entries, each behind its length.
//!
//! ```text
//! bundle = entry *          (256 entries, or fewer in a partial bundle)
//! entry  = length u16 big-endian || bytes
//! ```
//! Source: C2SP tlog-tiles, "Log entries". A bundle says nothing of its own width: the path does.

use crate::error::{Error, Result};
use crate::hash::{Hash, leaf_hash};

/// Longest entry a bundle can carry.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// Appends one entry to a bundle.
///
/// # Errors
/// [`Error::EntryTooLong`] if the entry has more than 65,535 bytes; the bundle is then unchanged.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<()> {
    let length = u16::try_from(entry.len()).map_err(|_| Error::EntryTooLong(entry.len()))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Splits a bundle into its entries.
///
/// # Errors
/// [`Error::Bundle`] if the bytes end inside an entry, or hold another number of entries than `width`.
pub fn entries(bundle: &[u8], width: u16) -> Result<Vec<&[u8]>> {
    let mut found = Vec::with_capacity(usize::from(width));
    let mut rest = bundle;
    for _ in 0..width {
        let offset = bundle.len() - rest.len();
        let (entry, after) = split_entry(rest).map_err(|reason| Error::Bundle { offset, reason })?;
        found.push(entry);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(Error::Bundle { offset: bundle.len() - rest.len(), reason: "bytes after the last entry" });
    }
    Ok(found)
}

/// Returns the bytes of the first `width` entries of a bundle that holds at least as many.
///
/// # Errors
/// [`Error::Bundle`] if it holds fewer.
pub fn prefix(bundle: &[u8], width: u16) -> Result<&[u8]> {
    let mut rest = bundle;
    for _ in 0..width {
        let offset = bundle.len() - rest.len();
        (_, rest) = split_entry(rest).map_err(|reason| Error::Bundle { offset, reason })?;
    }
    Ok(&bundle[..bundle.len() - rest.len()])
}

/// Returns the leaf hashes of a bundle's entries.
///
/// # Errors
/// As [`entries`].
pub fn leaf_hashes(bundle: &[u8], width: u16) -> Result<Vec<Hash>> {
    Ok(entries(bundle, width)?.into_iter().map(leaf_hash).collect())
}

fn split_entry(bytes: &[u8]) -> std::result::Result<(&[u8], &[u8]), &'static str> {
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or("no room for a length")?;
    let length = usize::from(u16::from_be_bytes(*length));
    if rest.len() < length {
        return Err("an entry ends after the bundle");
    }
    Ok(rest.split_at(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bundle = Vec::new();
        for entry in [b"".as_slice(), b"a", b"bc"] {
            push_entry(&mut bundle, entry).unwrap();
        }
        bundle
    }

    #[test]
    fn bytes_are_length_then_entry() {
        assert_eq!(sample(), b"\x00\x00\x00\x01a\x00\x02bc");
    }

    #[test]
    fn entries_read_back() {
        assert_eq!(entries(&sample(), 3).unwrap(), [b"".as_slice(), b"a", b"bc"]);
        assert_eq!(prefix(&sample(), 2).unwrap(), b"\x00\x00\x00\x01a");
    }

    #[test]
    fn rejects_wrong_width_and_torn_end() {
        assert!(entries(&sample(), 2).is_err());
        assert!(entries(&sample(), 4).is_err());
        assert!(prefix(&sample(), 4).is_err());
        for cut in 1..sample().len() {
            assert!(entries(&sample()[..cut], 3).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn refuses_an_entry_longer_than_its_prefix_can_say() {
        let mut bundle = Vec::new();
        assert!(push_entry(&mut bundle, &vec![0; ENTRY_BYTES_MAX]).is_ok());
        let before = bundle.len();
        assert!(matches!(push_entry(&mut bundle, &vec![0; ENTRY_BYTES_MAX + 1]), Err(Error::EntryTooLong(65_536))));
        assert_eq!(bundle.len(), before);
    }
}
