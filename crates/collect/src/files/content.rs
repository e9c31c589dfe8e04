//! The bytes of a followed file, also where it was compressed after it was rotated away.
//!
//! Positions are those of the text: of a compressed file, what it expands to. It is expanded as it is read and never
//! held whole; going back begins anew.

use std::fs::Metadata;
use std::io::{self, SeekFrom};
use std::path::Path;

use moneta_formats::{Expander, HEAD_BYTES};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::patterns::is_packed;

/// Compressed bytes expanded at once: they may become a thousand times as many.
const PACKED_READ_BYTES: usize = 4 << 10;

/// An open file.
pub(super) struct Content {
    file: File,
    packed: Option<Packed>,
}

/// The state of a compressed file.
struct Packed {
    /// `None` before the first byte.
    expander: Option<Expander>,
    /// What came out and was not taken yet, from `taken` on.
    expanded: Vec<u8>,
    taken: usize,
    /// Position of the next byte to take.
    position: u64,
    is_over: bool,
    /// Why there is nothing behind what came out.
    fault: Option<String>,
}

impl Packed {
    fn new() -> Self {
        Self { expander: None, expanded: Vec::new(), taken: 0, position: 0, is_over: false, fault: None }
    }
}

impl Content {
    /// The text of a file that is not compressed.
    pub(super) fn plain(file: File) -> Self {
        Self { file, packed: None }
    }

    /// Opens a file; its name says whether it is compressed.
    pub(super) async fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path).await?;
        Ok(Self { file, packed: is_packed(path).then(Packed::new) })
    }

    /// Whether it is compressed: nobody writes to it any more.
    pub(super) fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// What the file system says of it now.
    pub(super) async fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata().await
    }

    /// Its beginning.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where it is compressed and nothing of it can be read.
    pub(super) async fn head(&mut self) -> io::Result<Vec<u8>> {
        self.seek(0).await?;
        let (mut head, mut filled) = (vec![0; HEAD_BYTES], 0);
        while filled < head.len() {
            match self.read(&mut head[filled..]).await {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(error) if error.kind() == io::ErrorKind::InvalidData && filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        head.truncate(filled);
        Ok(head)
    }

    /// Goes to a position; whether the file reaches so far.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where it is compressed, and damaged before that position.
    pub(super) async fn seek(&mut self, position: u64) -> io::Result<bool> {
        let Some(packed) = &mut self.packed else {
            self.file.seek(SeekFrom::Start(position)).await?;
            return Ok(self.file.metadata().await?.len() >= position);
        };
        if position < packed.position {
            self.file.seek(SeekFrom::Start(0)).await?;
            *packed = Packed::new();
        }
        while packed.position < position {
            if packed.fill(&mut self.file).await? == 0 {
                return Ok(false);
            }
            packed.take(usize::try_from(position - packed.position).unwrap_or(usize::MAX));
        }
        Ok(true)
    }

    /// Reads some bytes; none at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where it is compressed, and damaged from here on.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(packed) = &mut self.packed else { return self.file.read(buffer).await };
        packed.fill(&mut self.file).await?;
        let bytes = packed.take(buffer.len());
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl Packed {
    /// Expands until there are bytes to take; how many there are: none at the end.
    async fn fill(&mut self, file: &mut File) -> io::Result<usize> {
        let mut buffer = [0; PACKED_READ_BYTES];
        while self.taken == self.expanded.len() && !self.is_over {
            self.expanded.clear();
            self.taken = 0;
            let len = file.read(&mut buffer).await?;
            self.is_over = len == 0;
            if let Err(error) = self.expand(&buffer[..len]) {
                (self.is_over, self.fault) = (true, Some(error.to_string()));
            }
        }
        match (self.expanded.len() - self.taken, &self.fault) {
            (0, Some(fault)) => Err(io::Error::new(io::ErrorKind::InvalidData, fault.clone())),
            (left, _) => Ok(left),
        }
    }

    /// Expands the next bytes; none are the end.
    fn expand(&mut self, bytes: &[u8]) -> Result<(), moneta_formats::Error> {
        let Self { expander, expanded, .. } = self;
        let mut keep = |bytes: &[u8]| expanded.extend_from_slice(bytes);
        match expander {
            Some(expander) if bytes.is_empty() => expander.finish(&mut keep),
            Some(expander) => expander.feed(bytes, &mut keep),
            None if bytes.is_empty() => Ok(()),
            none => none.insert(Expander::of(bytes)?).feed(bytes, &mut keep),
        }
    }

    /// Takes so many of the bytes that are there, at most.
    fn take(&mut self, len: usize) -> &[u8] {
        let begin = self.taken;
        self.taken = self.expanded.len().min(begin.saturating_add(len));
        self.position += (self.taken - begin) as u64;
        &self.expanded[begin..self.taken]
    }
}
