//! Reads a journal file frame by frame: in memory is a window of it, as large as its largest frame at most.

use std::path::{Path, PathBuf};

use moneta_base::fs::FileSystem;
use moneta_event::frame::{
    BODY_BYTES_MAX, FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameBody, FrameError, FrameView,
};

use crate::{Error, JournaledBlock};

/// Bytes that are read at once, unless a frame is larger: most frames are much smaller.
const WINDOW_BYTES: usize = 1 << 20;
/// Where the length of the body stands in a frame's header.
const BODY_LEN: std::ops::Range<usize> = 16..20;

/// One file, and the part of it that is in memory.
pub(crate) struct FrameReader<'a> {
    fs: &'a dyn FileSystem,
    path: &'a Path,
    size_bytes: u64,
    window_start: u64,
    window: Vec<u8>,
}

impl<'a> FrameReader<'a> {
    /// Reads the file up to its end.
    pub(crate) fn open(fs: &'a dyn FileSystem, path: &'a Path) -> Result<Self, Error> {
        let size_bytes = fs.size(path).map_err(|source| Error::io("read", path, source))?;
        Ok(Self::up_to(fs, path, size_bytes))
    }

    /// Reads the file as if it ended there.
    pub(crate) fn up_to(fs: &'a dyn FileSystem, path: &'a Path, size_bytes: u64) -> Self {
        Self { fs, path, size_bytes, window_start: 0, window: Vec::new() }
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The bytes that should be the file's header.
    pub(crate) fn header(&mut self) -> Result<&[u8], Error> {
        self.bytes(0, FILE_HEADER_BYTES)
    }

    /// The frame that begins at `offset`, or what is wrong with it.
    pub(crate) fn frame(&mut self, offset: u64) -> Result<Result<FrameView<'_>, FrameError>, Error> {
        let len = frame_len(self.bytes(offset, FRAME_HEADER_BYTES)?);
        Ok(FrameView::read(self.bytes(offset, len)?))
    }

    /// Whether a whole frame begins at `offset` or anywhere behind it.
    pub(crate) fn has_frame_from(&mut self, mut offset: u64) -> Result<bool, Error> {
        while offset < self.size_bytes {
            let bytes = self.bytes(offset, WINDOW_BYTES)?;
            let Some(at) = bytes.windows(FRAME_MAGIC.len()).position(|window| window == FRAME_MAGIC) else {
                // The magic may lie across the end of the window.
                offset += bytes.len().saturating_sub(FRAME_MAGIC.len() - 1).max(1) as u64;
                continue;
            };
            offset += at as u64;
            if self.frame(offset)?.is_ok() {
                return Ok(true);
            }
            offset += 1;
        }
        Ok(false)
    }

    /// `len` bytes from `offset` on, fewer where the file ends before.
    fn bytes(&mut self, offset: u64, len: usize) -> Result<&[u8], Error> {
        let left = usize::try_from(self.size_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let window_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || offset + len as u64 > window_end {
            // Let go of before the next is read: two windows would be twice the largest frame.
            self.window = Vec::new();
            let read = self.fs.read_range(self.path, offset, len.max(WINDOW_BYTES).min(left));
            self.window = read.map_err(|source| Error::io("read", self.path, source))?;
            self.window_start = offset;
        }
        let from = usize::try_from(offset - self.window_start).expect("within the window");
        Ok(&self.window[from..from + len])
    }
}

/// Bytes that must be read to judge the frame that `header` begins.
fn frame_len(header: &[u8]) -> usize {
    let body_len = header.get(BODY_LEN).and_then(|bytes| bytes.first_chunk()).map_or(0, |len| u32::from_le_bytes(*len));
    let body_len = usize::try_from(body_len).unwrap_or(usize::MAX);
    match header.starts_with(FRAME_MAGIC) && body_len <= BODY_BYTES_MAX {
        true => FRAME_HEADER_BYTES + body_len,
        false => FRAME_HEADER_BYTES,
    }
}

/// The blocks of a journal that was opened, once more and in the same order: for whoever needs them after others had their
/// turn. One frame is in memory at a time.
///
/// What opening found to be in order is not checked again, but for checksums.
pub struct Replay<'a> {
    fs: &'a dyn FileSystem,
    /// The files that are left, and how far each is to be read.
    files: std::slice::Iter<'a, (PathBuf, u64)>,
    current: Option<(FrameReader<'a>, u64)>,
    /// What is left of the last frame.
    blocks: std::vec::IntoIter<moneta_event::Block>,
}

impl<'a> Replay<'a> {
    /// Reads files of a journal, each up to a length, as [`crate::Journal::files`] names them.
    #[must_use]
    pub fn new(fs: &'a dyn FileSystem, files: &'a [(PathBuf, u64)]) -> Self {
        Self { fs, files: files.iter(), current: None, blocks: Vec::new().into_iter() }
    }

    /// Reads the next frame; `false` at the end of the last file.
    fn read_frame(&mut self) -> Result<bool, Error> {
        let Some((reader, offset)) = &mut self.current else {
            let Some((path, size_bytes)) = self.files.next() else { return Ok(false) };
            let mut reader = FrameReader::up_to(self.fs, path, *size_bytes);
            let snapshot = FILE_HEADER_BYTES as u64;
            let view = reader.frame(snapshot)?.map_err(|error| Error::corrupt(path, snapshot, error))?;
            let offset = snapshot + view.len() as u64;
            self.current = Some((reader, offset));
            return Ok(true);
        };
        if *offset >= reader.size_bytes() {
            self.current = None;
            return Ok(true);
        }
        let (path, at) = (reader.path, *offset);
        let view = reader.frame(at)?.map_err(|error| Error::corrupt(path, at, error))?;
        *offset += view.len() as u64;
        if let FrameBody::Commit(commit) = view.decode().map_err(|error| Error::corrupt(path, at, error))? {
            self.blocks = commit.blocks.into_iter();
        }
        Ok(true)
    }
}

impl Iterator for Replay<'_> {
    type Item = Result<JournaledBlock, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(block) = self.blocks.next() {
                return Some(Ok(JournaledBlock::after_sync(block)));
            }
            match self.read_frame() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    // Nothing follows damage.
                    (self.files, self.current) = (Default::default(), None);
                    return Some(Err(error));
                }
            }
        }
    }
}
