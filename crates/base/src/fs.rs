//! The file operations Moneta needs, as a trait: durable code is written against it so that torn, dropped and
//! reordered writes can be simulated.
//!
//! Rules every implementation keeps: data is durable only after [`File::sync`]; a created, renamed or removed name is
//! durable only after [`FileSystem::sync_dir`] of its parent; `rename` replaces its target atomically.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

/// A file open for appending.
pub trait File: Send + Debug {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    /// Any I/O error; how much was written is then unknown until the file is read again.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything appended so far durable (`fdatasync`). After an error the file must not be used again.
    ///
    /// # Errors
    /// Any I/O error: the state on disk is then unknown and the caller must recover from disk, never retry.
    fn sync(&mut self) -> io::Result<()>;
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Full path of the entry.
    pub path: PathBuf,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length of the file; zero for directories.
    pub size_bytes: u64,
}

impl DirEntry {
    /// The last component of the path, or the empty string for names that are not UTF-8.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }
}

/// The file system as durable code sees it. Paths are absolute or relative to the process, as given.
pub trait FileSystem: Send + Sync + Debug {
    /// Creates a new file for appending.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken; any other I/O error.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens an existing file for appending after cutting it to `size_bytes`.
    ///
    /// # Errors
    /// `NotFound`; any other I/O error.
    fn open_at(&self, path: &Path, size_bytes: u64) -> io::Result<Box<dyn File>>;

    /// Reads a whole file.
    ///
    /// # Errors
    /// `NotFound`; any other I/O error.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Reads exactly `len` bytes from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file is shorter; any other I/O error.
    fn read_range(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// The size of a file in bytes.
    ///
    /// # Errors
    /// `NotFound`; any other I/O error.
    fn size(&self, path: &Path) -> io::Result<u64>;

    /// The entries of a directory in name order; empty when the directory does not exist.
    ///
    /// # Errors
    /// Any I/O error but `NotFound`.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Creates a directory and its parents; existing ones are fine.
    ///
    /// # Errors
    /// Any I/O error.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Renames a file, replacing the target.
    ///
    /// # Errors
    /// Any I/O error.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Creates the name `to` for the file `from` unless `to` exists (`link(2)`): put-if-absent.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken; any other I/O error.
    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound`; any other I/O error.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with everything in it.
    ///
    /// # Errors
    /// `NotFound`; any other I/O error.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in `dir` durable.
    ///
    /// # Errors
    /// Any I/O error.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Restricts a file to its owner (mode 0600).
    ///
    /// # Errors
    /// Any I/O error.
    fn make_private(&self, path: &Path) -> io::Result<()>;

    /// Whether the name exists.
    fn exists(&self, path: &Path) -> bool {
        self.size(path).is_ok()
    }
}

/// Writes a file so that a reader sees the old content or the new one, never a part: temporary file, sync, rename,
/// directory sync.
///
/// # Errors
/// Any I/O error; the old content is then still in place.
pub fn write_atomically(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_name(path);
    if fs.exists(&temporary) {
        fs.remove_file(&temporary)?;
    }
    let mut file = fs.create(&temporary)?;
    file.append(bytes)?;
    file.sync()?;
    drop(file);
    fs.rename(&temporary, path)?;
    match path.parent() {
        Some(parent) => fs.sync_dir(parent),
        None => Ok(()),
    }
}

/// Creates a directory and its parents, and makes their names durable. Directories that exist are synced too: a
/// process may have ended between creating one and syncing its name.
///
/// # Errors
/// Any I/O error, but for parents above `dir`'s own that this process may not open.
pub fn create_dir_durably(fs: &dyn FileSystem, dir: &Path) -> io::Result<()> {
    fs.create_dir_all(dir)?;
    for (distance, parent) in dir.ancestors().skip(1).enumerate() {
        match fs.sync_dir(parent) {
            Err(error) if distance > 0 && error.kind() == io::ErrorKind::PermissionDenied => break,
            other => other?,
        }
    }
    Ok(())
}

/// Suffix of files that are being written and may be removed at start.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    PathBuf::from(name)
}
