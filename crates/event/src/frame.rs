//! The frames of a journal file: what is on disk before any acknowledgement.
//!
//! Pure functions between bytes and values, so that an auditor's tool reads journals without the journal's code. No
//! file is touched here and nothing is decided: which damage is a torn write and which is corruption is the reader's
//! business (`moneta-journal`).
//!
//! # Layout, version 1 (integers little-endian)
//! A journal is a row of files `00000001.wal`, `00000002.wal`, …; each is a file header followed by frames without
//! gaps. The first frame of a file is a snapshot; one frame is one atomic commit, made durable by one sync.
//! ```text
//! file header, 28 bytes
//!   magic         4   "MWAL"
//!   version       u8  = 1
//!   reserved      3   zero
//!   file_number   u64 the number in the file's name
//!   first_frame   u64 number of the first frame
//!   checksum      u32 CRC32C of the 24 bytes before
//!
//! frame
//!   magic         4   "MFRM"
//!   version       u8  = 1
//!   kind          u8  1 commit, 2 snapshot, 3 end
//!   reserved      u16 zero
//!   number        u64 dense over all files, from 0
//!   body_len      u32 at most 64 MiB
//!   checksum      u32 CRC32C of the 20 bytes before and of the body
//!   body          body_len bytes: see the module `body`
//! ```
//! An end frame has no body and says that the journal was closed in order. Frames follow it when the journal is opened
//! again.

pub mod body;
mod rows;
mod wire;

pub use body::{Commit, MarkKind, ProducerMark, Receipt, SeqRange, Snapshot, StoredMark, TableState};

use wire::Reader;

/// First bytes of a journal file.
pub const FILE_MAGIC: &[u8; 4] = b"MWAL";
/// First bytes of a frame.
pub const FRAME_MAGIC: &[u8; 4] = b"MFRM";
/// Version byte of both layouts.
pub const VERSION: u8 = 1;
/// Bytes of a file header.
pub const FILE_HEADER_BYTES: usize = 28;
/// Bytes of a frame before its body.
pub const FRAME_HEADER_BYTES: usize = 24;
/// Bytes of a frame's body at most: a commit is encoded in memory as a whole.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end before the value does.
    #[error("ends early")]
    Short,
    /// The checksum does not match.
    #[error("checksum of the {0} does not match")]
    Checksum(&'static str),
    /// A value that cannot be.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// A newer Moneta wrote it.
    #[error("version {0} is not known; use a newer Moneta")]
    Version(u8),
    /// A block whose header or rows are not in order.
    #[error("block {index} of the commit: {what}")]
    Block {
        /// Position in the commit, from 0.
        index: usize,
        /// What is wrong.
        what: String,
    },
    /// Too large for a frame.
    #[error("a commit of {bytes} bytes is larger than the {BODY_BYTES_MAX} a frame can hold")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// The beginning of a journal file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// The number in the file's name.
    pub file_number: u64,
    /// Number of the first frame.
    pub first_frame: u64,
}

impl FileHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut out = [0; FILE_HEADER_BYTES];
        out[..4].copy_from_slice(FILE_MAGIC);
        out[4] = VERSION;
        out[8..16].copy_from_slice(&self.file_number.to_le_bytes());
        out[16..24].copy_from_slice(&self.first_frame.to_le_bytes());
        let checksum = crc32c::crc32c(&out[..24]);
        out[24..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads a header off the beginning of a file.
    ///
    /// # Errors
    /// [`FrameError`] naming what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let header = bytes.get(..FILE_HEADER_BYTES).ok_or(FrameError::Short)?;
        let mut input = Reader::new(header);
        if input.take(4)? != FILE_MAGIC {
            return Err(FrameError::Malformed("file magic"));
        }
        if crc32c::crc32c(&header[..24]) != u32::from_le_bytes(*header.last_chunk().expect("28 bytes")) {
            return Err(FrameError::Checksum("file header"));
        }
        let version = input.u8()?;
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        if input.take(3)? != [0; 3] {
            return Err(FrameError::Malformed("reserved bytes"));
        }
        Ok(Self { file_number: input.u64()?, first_frame: input.u64()? })
    }
}

/// What a frame holds.
#[derive(Debug, Clone)]
pub enum FrameBody {
    /// Blocks and producer marks that became durable together.
    Commit(Commit),
    /// The journal's state at the beginning of a file.
    Snapshot(Snapshot),
    /// The file was closed in order.
    End,
}

/// A frame whose checksum is right, not yet decoded.
#[derive(Debug, Clone, Copy)]
pub struct FrameView<'a> {
    /// The frame's number.
    pub number: u64,
    kind: u8,
    body: &'a [u8],
}

impl<'a> FrameView<'a> {
    /// Checks the frame that begins at the start of `bytes`; more bytes may follow it.
    ///
    /// # Errors
    /// [`FrameError`] naming what is wrong.
    pub fn read(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let mut input = Reader::new(bytes);
        if input.take(4)? != FRAME_MAGIC {
            return Err(FrameError::Malformed("frame magic"));
        }
        let (version, kind, reserved) = (input.u8()?, input.u8()?, input.u16()?);
        let (number, body_len, checksum) = (input.u64()?, input.u32()?, input.u32()?);
        if body_len as usize > BODY_BYTES_MAX {
            return Err(FrameError::Malformed("body length"));
        }
        let body = input.take(body_len as usize)?;
        if crc32c::crc32c_append(crc32c::crc32c(&bytes[..20]), body) != checksum {
            return Err(FrameError::Checksum("frame"));
        }
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        if reserved != 0 {
            return Err(FrameError::Malformed("reserved bytes"));
        }
        Ok(Self { number, kind, body })
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn len(&self) -> usize {
        FRAME_HEADER_BYTES + self.body.len()
    }

    /// Never: a frame has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Decodes the body: every block's header and rows, their own checksums checked, record roots not.
    ///
    /// # Errors
    /// [`FrameError`] naming what is wrong.
    pub fn decode(&self) -> Result<FrameBody, FrameError> {
        match self.kind {
            KIND_COMMIT => Commit::decode(self.body).map(FrameBody::Commit),
            KIND_SNAPSHOT => Snapshot::decode(self.body).map(FrameBody::Snapshot),
            KIND_END if self.body.is_empty() => Ok(FrameBody::End),
            _ => Err(FrameError::Malformed("frame kind")),
        }
    }
}

const KIND_COMMIT: u8 = 1;
const KIND_SNAPSHOT: u8 = 2;
const KIND_END: u8 = 3;

impl FrameBody {
    /// The bytes of a whole frame.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when the body does not fit a frame.
    pub fn encode(&self, number: u64) -> Result<Vec<u8>, FrameError> {
        let (kind, body) = match self {
            Self::Commit(commit) => (KIND_COMMIT, commit.encode()?),
            Self::Snapshot(snapshot) => (KIND_SNAPSHOT, snapshot.encode()),
            Self::End => (KIND_END, Vec::new()),
        };
        let too_large = FrameError::TooLarge { bytes: body.len() };
        let body_len = u32::try_from(body.len()).ok().filter(|_| body.len() <= BODY_BYTES_MAX).ok_or(too_large)?;
        let mut out = Vec::with_capacity(FRAME_HEADER_BYTES + body.len());
        out.extend_from_slice(FRAME_MAGIC);
        out.extend_from_slice(&[VERSION, kind, 0, 0]);
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&body_len.to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&out), &body);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&body);
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
