//! Free space of the file system that holds a path.

use std::io;
use std::path::Path;

use crate::Error;

/// Space of one file system.
///
/// # Units
/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Size of the file system.
    pub total_bytes: u64,
    /// What is in use.
    pub used_bytes: u64,
    /// What an ordinary process may still use. With what is in use it may be less than the size: a part is kept for
    /// root.
    pub available_bytes: u64,
}

/// The space of the file system that holds `path`.
///
/// # Errors
/// [`Error::DiskSpace`] when the path does not exist or the system refuses.
pub fn disk_free(path: &Path) -> Result<DiskSpace, Error> {
    let stat = nix::sys::statvfs::statvfs(path)
        .map_err(|errno| Error::DiskSpace { path: path.to_owned(), source: io::Error::from(errno) })?;
    let fragment_bytes = stat.fragment_size();
    Ok(DiskSpace {
        total_bytes: stat.blocks().saturating_mul(fragment_bytes),
        used_bytes: stat.blocks().saturating_sub(stat.blocks_free()).saturating_mul(fragment_bytes),
        available_bytes: stat.blocks_available().saturating_mul(fragment_bytes),
    })
}

/// Makes a file that takes `bytes` of room, whatever is in it.
///
/// # Errors
/// `StorageFull` when there is no such room; any other I/O error.
pub fn allocate(path: &Path, bytes: u64) -> io::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    let len = i64::try_from(bytes).map_err(io::Error::other)?;
    if len == 0 {
        return Ok(());
    }
    nix::fcntl::posix_fallocate(&file, 0, len).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_some_disk() {
        let space = disk_free(Path::new("/")).unwrap();
        assert!(space.total_bytes > 0 && space.available_bytes <= space.total_bytes);
        assert!(space.used_bytes + space.available_bytes <= space.total_bytes);
        assert!(disk_free(Path::new("/no/such/path")).is_err());
    }

    #[test]
    fn an_allocated_file_has_its_size() {
        let dir = moneta_testkit::TestDir::new();
        let path = dir.join("reserve");
        allocate(&path, 10_000).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 10_000);
        assert!(allocate(&path, u64::MAX).is_err());
    }
}
