//! Parts of objects on the local disk, so that a query does not fetch what another fetched before.
//!
//! A part is a file of its own with a checksum; what does not meet it is fetched again. The parts used last stay, up to a
//! number of bytes. Nothing here outlives the process, and nothing depends on it: a part that cannot be written is not
//! kept.
//!
//! # File
//! `<SHA-256 of the object, hexadecimal>-<number of the part>`: CRC32C of the bytes, little endian, then the bytes.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use moneta_base::fs::FileSystem;
use moneta_merkle::Hash;

/// Bytes of the checksum before a part.
const CHECKSUM_BYTES: usize = 4;

/// The parts that are kept.
#[derive(Debug)]
pub(crate) struct PartCache {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    bytes_max: u64,
    state: Mutex<State>,
}

/// Which part of which object.
pub(crate) type PartId = (Hash, u64);

#[derive(Debug, Default)]
struct State {
    /// When each was used last, and its size.
    parts: HashMap<PartId, (u64, u64)>,
    by_use: BTreeMap<u64, PartId>,
    total_bytes: u64,
    uses: u64,
}

impl PartCache {
    /// An empty cache in a directory, which is emptied.
    pub(crate) fn open(fs: Arc<dyn FileSystem>, dir: PathBuf, bytes_max: u64) -> io::Result<Self> {
        match fs.remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs.create_dir_all(&dir)?,
        }
        Ok(Self { fs, dir, bytes_max, state: Mutex::default() })
    }

    pub(crate) fn holds(&self, part: PartId) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).parts.contains_key(&part)
    }

    /// The bytes of a part, if it is there and whole.
    pub(crate) fn get(&self, part: PartId) -> Option<Vec<u8>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).touch(part)?;
        let read = self.fs.read(&self.file_of(part)).ok().filter(|bytes| bytes.len() > CHECKSUM_BYTES);
        let whole = read.filter(|bytes| {
            let (checksum, content) = bytes.split_at(CHECKSUM_BYTES);
            checksum == crc32c::crc32c(content).to_le_bytes()
        });
        if whole.is_none() {
            self.forget(part);
        }
        whole.map(|mut bytes| bytes.split_off(CHECKSUM_BYTES))
    }

    /// Keeps a part, and lets go of those used longest ago.
    pub(crate) fn put(&self, part: PartId, bytes: &[u8]) {
        let size = (bytes.len() + CHECKSUM_BYTES) as u64;
        if size > self.bytes_max || self.holds(part) {
            return;
        }
        let path = self.file_of(part);
        let written = self.fs.create(&path).and_then(|mut file| {
            file.append(&crc32c::crc32c(bytes).to_le_bytes())?;
            file.append(bytes)
        });
        match written {
            // Another reader is writing it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return,
            Err(error) => {
                tracing::warn!(%error, file = %path.display(), "a part of an object is not kept");
                let _ = self.fs.remove_file(&path);
                return;
            }
            Ok(()) => {}
        }
        let outdated = self.state.lock().unwrap_or_else(PoisonError::into_inner).add(part, size, self.bytes_max);
        for part in outdated {
            let _ = self.fs.remove_file(&self.file_of(part));
        }
    }

    fn forget(&self, part: PartId) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
        let _ = self.fs.remove_file(&self.file_of(part));
    }

    fn file_of(&self, (digest, number): PartId) -> PathBuf {
        self.dir.join(format!("{}-{number}", digest.to_hex()))
    }
}

impl State {
    /// Notes a use; `None` when the part is not there.
    fn touch(&mut self, part: PartId) -> Option<()> {
        let (used, _) = self.parts.get_mut(&part)?;
        self.by_use.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.by_use.insert(self.uses, part);
        Some(())
    }

    /// Enters a part; returns those that must go.
    fn add(&mut self, part: PartId, size: u64, bytes_max: u64) -> Vec<PartId> {
        self.uses += 1;
        self.parts.insert(part, (self.uses, size));
        self.by_use.insert(self.uses, part);
        self.total_bytes += size;
        let mut outdated = Vec::new();
        while self.total_bytes > bytes_max
            && let Some((_, oldest)) = self.by_use.first_key_value()
        {
            let oldest = *oldest;
            self.remove(oldest);
            outdated.push(oldest);
        }
        outdated
    }

    fn remove(&mut self, part: PartId) {
        if let Some((used, size)) = self.parts.remove(&part) {
            self.by_use.remove(&used);
            self.total_bytes -= size;
        }
    }
}
