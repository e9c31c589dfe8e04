//! The files of one log, and writing many of them with few syncs.
//!
//! Nothing here decides what to write or whether it is right.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_base::fs::{File, FileSystem, TEMPORARY_SUFFIX};
use moneta_merkle::hash::HASH_BYTES;
use moneta_merkle::reader::TileReader;
use moneta_merkle::tile::{TILE_WIDTH, hashes_at_level, level_count, width_in};
use moneta_merkle::{BoxError, SignedCheckpoint, TilePath, TileShelf, VerifierKey, bundle};

use crate::error::{Error, Result};

/// Name of the checkpoint file.
const CHECKPOINT: &str = "checkpoint";

/// Files held open between writing and syncing: far below the usual limit of 1,024 per process.
const OPEN_FILES_MAX: usize = 64;

/// How often a reader looks again when a publish removes the file it was about to read.
const READ_ATTEMPTS: usize = 3;

/// One log directory.
#[derive(Clone, Debug)]
pub(crate) struct LogFiles {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    origin: String,
}

impl LogFiles {
    pub(crate) fn new(fs: &Arc<dyn FileSystem>, dir: PathBuf, origin: String) -> LogFiles {
        LogFiles { fs: Arc::clone(fs), dir, origin }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) fn path(&self, tile: TilePath) -> PathBuf {
        self.dir.join(tile.to_string())
    }

    pub(crate) fn checkpoint_path(&self) -> PathBuf {
        self.dir.join(CHECKPOINT)
    }

    pub(crate) fn corrupt(&self, reason: impl Into<String>) -> Error {
        Error::Corrupt { path: self.dir.clone(), reason: reason.into() }
    }

    /// Reports whether there is any tile, finished or not.
    pub(crate) fn has_tiles(&self) -> Result<bool> {
        let path = self.dir.join("tile");
        self.fs.list(&path).map(|entries| !entries.is_empty()).map_err(|source| Error::Io { path, source })
    }

    /// Reads and verifies the checkpoint; none if there is no such file.
    pub(crate) fn read_checkpoint(&self, keys: &[VerifierKey]) -> Result<Option<SignedCheckpoint>> {
        let path = self.checkpoint_path();
        let bytes = match self.fs.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Io { path, source }),
        };
        match SignedCheckpoint::open(&bytes, &self.origin, keys) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(error) => Err(Error::Corrupt { path, reason: error.to_string() }),
        }
    }

    /// Reads a tile at the width asked for, from the newest file that holds it.
    pub(crate) fn read(&self, tile: TilePath) -> io::Result<Vec<u8>> {
        for _ in 1..READ_ATTEMPTS {
            match self.read_once(tile) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => return result,
            }
        }
        self.read_once(tile)
    }

    /// Reads a tile that a checkpoint covers: if it is missing or short, the log is damaged.
    pub(crate) fn read_signed(&self, tile: TilePath) -> Result<Vec<u8>> {
        self.read(tile).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => {
                Error::Corrupt { path: self.path(tile), reason: "it is missing or too short".to_owned() }
            }
            _ => Error::Io { path: self.path(tile), source },
        })
    }

    fn read_once(&self, tile: TilePath) -> io::Result<Vec<u8>> {
        match self.fs.read(&self.path(tile)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && tile.is_partial() => {}
            result => return result,
        }
        let full = self.path(tile.with_width(TILE_WIDTH));
        let bytes = match self.fs.read(&full) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let wider = self.partial_widths(tile)?.into_iter().find(|width| *width > tile.width);
                self.fs.read(&self.path(tile.with_width(wider.ok_or(io::ErrorKind::NotFound)?)))?
            }
            result => result?,
        };
        prefix_of(tile, &bytes)
    }

    /// Lists the widths at which a partial tile is stored, rising.
    fn partial_widths(&self, tile: TilePath) -> io::Result<Vec<u16>> {
        let dir = self.partial_dir(tile);
        let mut widths: Vec<u16> = self.fs.list(&dir)?.iter().filter_map(|entry| entry.name().parse().ok()).collect();
        widths.sort_unstable();
        Ok(widths)
    }

    fn partial_dir(&self, tile: TilePath) -> PathBuf {
        self.dir.join(tile.with_width(1).directory())
    }

    /// Removes scraps past the end of a log of `size` entries, and partial tiles that were outgrown. Returns how many
    /// names it removed. Scraps far past the end may stay: they are overwritten when the log reaches them.
    pub(crate) fn sweep(&self, size: u64) -> Result<u64> {
        let mut removed = 0;
        let levels = level_count(size).max(1);
        for shelf in std::iter::once(TileShelf::Entries).chain((0..=levels).map(TileShelf::Hashes)) {
            let level = if let TileShelf::Hashes(level) = shelf { level } else { 0 };
            let last = hashes_at_level(size, level) / u64::from(TILE_WIDTH);
            let tile = |index| TilePath { shelf, index, width: TILE_WIDTH };
            if last > 0 {
                removed += self.remove_partials(tile(last - 1), None)?;
            }
            removed +=
                self.remove_partials(tile(last), Some(width_in(size, shelf, last)).filter(|width| *width > 0))?;
            for index in last.. {
                let beyond = if index > last { self.remove_partials(tile(index), None)? } else { 0 };
                let found = beyond + u64::from(self.remove_if_there(&self.path(tile(index)))?);
                removed += found;
                if found == 0 && index > last {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// Removes the stored widths of a partial tile but one; the directory too if none is to stay.
    pub(crate) fn remove_partials(&self, tile: TilePath, keep: Option<u16>) -> Result<u64> {
        let dir = self.partial_dir(tile);
        let failed = |source| Error::Io { path: dir.clone(), source };
        let entries = self.fs.list(&dir).map_err(failed)?;
        let keep = keep.map(|width| width.to_string());
        let count = entries.iter().filter(|entry| keep.as_deref() != Some(entry.name())).count() as u64;
        if keep.is_none() {
            match self.fs.remove_dir_all(&dir) {
                Ok(()) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
                Err(source) => return Err(failed(source)),
            }
        }
        for entry in entries.iter().filter(|entry| keep.as_deref() != Some(entry.name())) {
            self.remove_if_there(&entry.path)?;
        }
        Ok(count)
    }

    /// Removes one partial tile that a wider one replaced; its directory too once the full tile is there, which is
    /// then reported.
    pub(crate) fn remove_outgrown(&self, tile: TilePath) -> Result<bool> {
        let is_full_now = self.fs.exists(&self.path(tile.with_width(TILE_WIDTH)));
        if is_full_now {
            self.remove_partials(tile, None)?;
        } else {
            self.remove_if_there(&self.path(tile))?;
        }
        Ok(is_full_now)
    }

    fn remove_if_there(&self, path: &Path) -> Result<bool> {
        match self.fs.remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::Io { path: path.to_owned(), source }),
        }
    }
}

impl TileReader for LogFiles {
    fn read_tile(&self, tile: TilePath) -> std::result::Result<Vec<u8>, BoxError> {
        Ok(self.read(tile)?)
    }
}

fn prefix_of(tile: TilePath, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let too_short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    match tile.shelf {
        TileShelf::Entries => bundle::prefix(bytes, tile.width).map(<[u8]>::to_vec).map_err(|_| too_short()),
        TileShelf::Hashes(_) => {
            bytes.get(..usize::from(tile.width) * HASH_BYTES).map(<[u8]>::to_vec).ok_or_else(too_short)
        }
    }
}

/// Directories known to be there and durable, so that they are not made and synced again at each publish.
#[derive(Debug, Default)]
pub(crate) struct KnownDirs(HashSet<PathBuf>);

impl KnownDirs {
    /// Forgets a directory and everything below it.
    pub(crate) fn forget(&mut self, dir: &Path) {
        self.0.retain(|known| !known.starts_with(dir));
    }

    /// Forgets everything, after a failure.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Files written but not yet synced, and the directories that hold their names.
pub(crate) struct WriteBatch<'known> {
    fs: Arc<dyn FileSystem>,
    base: PathBuf,
    known: &'known mut KnownDirs,
    files: Vec<(PathBuf, Box<dyn File>)>,
    dirs: BTreeSet<PathBuf>,
    /// Files written.
    pub(crate) num_files: u64,
    /// Syncs of files and directories.
    pub(crate) num_syncs: u64,
    /// Bytes written.
    pub(crate) num_bytes: u64,
}

impl<'known> WriteBatch<'known> {
    /// Starts a batch below `base`, which must be durable itself.
    pub(crate) fn new(fs: &Arc<dyn FileSystem>, base: &Path, known: &'known mut KnownDirs) -> WriteBatch<'known> {
        WriteBatch {
            fs: Arc::clone(fs),
            base: base.to_owned(),
            known,
            files: Vec::new(),
            dirs: BTreeSet::new(),
            num_files: 0,
            num_syncs: 0,
            num_bytes: 0,
        }
    }

    /// Writes a file anew, replacing scraps of an unfinished publish under the same name.
    pub(crate) fn write(&mut self, path: PathBuf, bytes: &[u8]) -> Result<()> {
        let dir = path.parent().expect("a ledger file is below the ledger directory").to_owned();
        self.make_dir(&dir)?;
        let failed = |source| Error::Io { path: path.clone(), source };
        let mut file = match self.fs.create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.fs.remove_file(&path).map_err(failed)?;
                self.fs.create(&path).map_err(failed)?
            }
            result => result.map_err(failed)?,
        };
        file.append(bytes).map_err(failed)?;
        self.num_files += 1;
        self.num_bytes += bytes.len() as u64;
        self.files.push((path, file));
        self.dirs.insert(dir);
        if self.files.len() >= OPEN_FILES_MAX { self.sync_files() } else { Ok(()) }
    }

    /// Makes a directory; its name is durable after [`WriteBatch::sync`].
    pub(crate) fn make_dir(&mut self, dir: &Path) -> Result<()> {
        if self.known.0.contains(dir) {
            return Ok(());
        }
        self.fs.create_dir_all(dir).map_err(|source| Error::Io { path: dir.to_owned(), source })?;
        for made in dir.ancestors().take_while(|made| *made != self.base) {
            if !self.known.0.insert(made.to_owned()) {
                break;
            }
            self.dirs.extend(made.parent().map(Path::to_owned));
        }
        Ok(())
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.sync_files()?;
        for dir in std::mem::take(&mut self.dirs) {
            self.num_syncs += 1;
            self.fs.sync_dir(&dir).map_err(|source| Error::SyncFailed { path: dir, source })?;
        }
        Ok(())
    }

    /// Replaces checkpoint files: all temporary files are written and synced first, then all renamed, then the
    /// directories synced. An error after the first rename is a failed sync, since a reader may have seen it.
    pub(crate) fn replace(&mut self, checkpoints: &[(PathBuf, String)]) -> Result<()> {
        self.sync()?;
        for (path, text) in checkpoints {
            self.write(temporary(path), text.as_bytes())?;
        }
        self.sync_files()?;
        for (path, _) in checkpoints {
            let failed = |source| Error::SyncFailed { path: path.clone(), source };
            self.fs.rename(&temporary(path), path).map_err(failed)?;
        }
        self.sync()
    }

    fn sync_files(&mut self) -> Result<()> {
        for (path, mut file) in std::mem::take(&mut self.files) {
            self.num_syncs += 1;
            file.sync().map_err(|source| Error::SyncFailed { path, source })?;
        }
        Ok(())
    }
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    PathBuf::from(name)
}
