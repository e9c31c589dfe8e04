//! Reading fixed-size parts off a byte string, and writing them.
//!
//! Lengths are checked before anything is allocated for them.

use moneta_base::{TableName, Timestamp};
use moneta_merkle::Hash;

use super::FrameError;

/// Reads parts from the front.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], FrameError> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(FrameError::Short)?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        self.take(N).map(|bytes| bytes.try_into().expect("took N bytes"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, FrameError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, FrameError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, FrameError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, FrameError> {
        self.array().map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FrameError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn u128(&mut self) -> Result<u128, FrameError> {
        self.array().map(u128::from_le_bytes)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, FrameError> {
        self.array().map(|bytes| Timestamp::from_nanos(i64::from_le_bytes(bytes)))
    }

    pub(super) fn hash(&mut self) -> Result<Hash, FrameError> {
        self.array().map(Hash)
    }

    /// `len` u16 and as many bytes of UTF-8.
    pub(super) fn text(&mut self) -> Result<&'a str, FrameError> {
        let len = usize::from(self.u16()?);
        std::str::from_utf8(self.take(len)?).map_err(|_| FrameError::Malformed("text"))
    }

    pub(super) fn table(&mut self) -> Result<TableName, FrameError> {
        TableName::new(self.text()?).map_err(|_| FrameError::Malformed("table name"))
    }

    /// A `u32` count and as many items. Nothing is reserved for the count: every item takes at least one byte.
    pub(super) fn items<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, FrameError>,
    ) -> Result<Vec<T>, FrameError> {
        let count = self.u32()? as usize;
        if count > self.rest.len() {
            return Err(FrameError::Short);
        }
        (0..count).map(|_| item(self)).collect()
    }

    pub(super) fn finish(self) -> Result<(), FrameError> {
        if self.rest.is_empty() { Ok(()) } else { Err(FrameError::Malformed("bytes after the end")) }
    }
}

/// Appends a text as [`Reader::text`] reads it.
///
/// # Panics
/// When it is longer than 65,535 bytes: callers hold it to their own, smaller limit.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).expect("names are limited to far less than 64 KiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Appends a count as [`Reader::items`] reads it.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).expect("counts are limited far below 2^32").to_le_bytes());
}
