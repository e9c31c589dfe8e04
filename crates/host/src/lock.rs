//! One process per data directory, by a lock the kernel releases when the process ends in any way.
//!
//! The lock is `flock(2)` on the file `lock` in the directory; the file holds the process id for the error message of
//! the next comer, and is never removed, because removing a locked name would let two processes lock two files.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::Error;

const LOCK_FILE: &str = "lock";

/// Bytes of the lock file that are shown in an error at most.
const HOLDER_BYTES_MAX: u64 = 64;

/// Exclusive use of a data directory, until dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock of an existing directory without waiting.
    ///
    /// # Errors
    /// [`Error::Locked`] naming the holder when another process has it; [`Error::Lock`] when the lock file cannot be
    /// opened.
    pub fn acquire(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(LOCK_FILE);
        let error = |source: io::Error| Error::Lock { path: path.clone(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { directory: directory.to_owned(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(error(source)),
        }
        write_holder(&mut file).map_err(error)?;
        Ok(Self { _file: file })
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn read_holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(HOLDER_BYTES_MAX).read_to_string(&mut text);
    let id = text.trim();
    // The holder may be between taking the lock and writing its id.
    if read.is_err() || id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
        return "(unknown)".to_owned();
    }
    id.to_owned()
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;

    #[test]
    fn a_second_holder_is_told_who_has_the_directory_and_what_to_do() {
        let dir = TestDir::new();
        let first = DirectoryLock::acquire(dir.path()).unwrap();
        let error = DirectoryLock::acquire(dir.path()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        assert!(text.contains("use its API"), "{text}");
        assert_eq!(error.kind(), moneta_base::ErrorKind::Caller);
        drop(first);
        DirectoryLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_missing_directory_is_an_environment_error() {
        let error = DirectoryLock::acquire(Path::new("/no/such/directory")).unwrap_err();
        assert!(matches!(error, Error::Lock { .. }));
    }
}
