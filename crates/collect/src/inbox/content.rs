//! The bytes of an object, from where it lies: a file, or parts of an object in a bucket.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use moneta_base::objects::{ObjectName, Objects};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::tree::Found;
use crate::collector::{Stopped, until_stopped};

/// Bytes asked of a bucket at once.
const PART_BYTES: usize = 4 << 20;
/// As many at the beginning of an object: most are read whole with it, and it may be all that is needed of one that is
/// known.
const FIRST_PART_BYTES: usize = 512 << 10;

/// Where objects lie.
#[derive(Debug, Clone)]
pub(crate) enum Storage {
    /// In directories.
    Files,
    /// In a bucket, where an object appears whole, at once.
    Bucket(Arc<dyn Objects>),
}

impl Storage {
    /// Whether an object is complete as soon as it is seen.
    pub(super) fn is_whole_at_once(&self) -> bool {
        matches!(self, Self::Bucket(_))
    }

    /// Opens an object as it was found; in a bucket no other content of its key is read.
    pub(super) async fn open(&self, path: &Path, found: &Found, stopped: &Stopped) -> io::Result<Content> {
        match self {
            Self::Files => {
                let file = File::open(path).await?;
                Ok(Content::File { size: file.metadata().await?.len(), file })
            }
            Self::Bucket(objects) => Ok(Content::Parts(Parts {
                objects: objects.clone(),
                key: path.to_string_lossy().into_owned(),
                tag: found.tag.clone(),
                size: found.size,
                next: 0,
                part: Vec::new(),
                part_at: 0,
                stopped: stopped.clone(),
            })),
        }
    }
}

/// An open object.
pub(super) enum Content {
    File { file: File, size: u64 },
    Parts(Parts),
}

/// An object in a bucket that is read part by part.
pub(super) struct Parts {
    objects: Arc<dyn Objects>,
    key: String,
    tag: Option<Arc<str>>,
    size: u64,
    /// Position of the next byte to read.
    next: u64,
    /// The part that was fetched last, and its position.
    part: Vec<u8>,
    part_at: u64,
    stopped: Stopped,
}

impl Content {
    /// Its size when it was opened.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Parts(parts) => parts.size,
        }
    }

    /// Goes to a position.
    pub(super) async fn seek(&mut self, position: u64) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.seek(SeekFrom::Start(position)).await.map(drop),
            Self::Parts(parts) => {
                parts.next = position;
                Ok(())
            }
        }
    }

    /// Reads some bytes; none at the end.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.read(buffer).await,
            Self::Parts(parts) => parts.read(buffer).await,
        }
    }

    /// Reads so many bytes, or to the end.
    pub(super) async fn read_up_to(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let (mut bytes, mut filled) = (vec![0; len], 0);
        while filled < len {
            match self.read(&mut bytes[filled..]).await? {
                0 => break,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

impl Parts {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.next >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let is_fetched = self.part_at <= self.next && self.next < self.part_at + self.part.len() as u64;
        if !is_fetched {
            self.fetch().await?;
        }
        let begin = usize::try_from(self.next - self.part_at).map_err(io::Error::other)?;
        let len = buffer.len().min(self.part.len() - begin);
        buffer[..len].copy_from_slice(&self.part[begin..begin + len]);
        self.next += len as u64;
        Ok(len)
    }

    /// Fetches the part that begins with the next byte, unless reading has to stop.
    async fn fetch(&mut self) -> io::Result<()> {
        let part_bytes = if self.next == 0 { FIRST_PART_BYTES } else { PART_BYTES };
        let len = usize::try_from(self.size - self.next).unwrap_or(part_bytes).min(part_bytes);
        let (objects, key, tag, offset) = (self.objects.clone(), self.key.clone(), self.tag.clone(), self.next);
        let fetched = tokio::task::spawn_blocking(move || match tag {
            Some(tag) => objects.read_tagged(&key, &tag, offset, len),
            None => objects.read_range(&ObjectName::newest(key), offset, len),
        });
        let fetched = tokio::select! {
            fetched = fetched => fetched.map_err(io::Error::other)??,
            () = until_stopped(&mut self.stopped) => return Err(io::ErrorKind::Interrupted.into()),
        };
        (self.part, self.part_at) = (fetched, offset);
        Ok(())
    }
}
