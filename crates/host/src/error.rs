//! What can go wrong on the machine itself.

use std::io;
use std::path::PathBuf;

use moneta_base::ErrorKind;

/// A failure of this crate's own operations. File operations return plain [`io::Error`]s.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process uses the data directory.
    #[error(
        "data directory {} is in use by process {holder}; stop that process, or use its API instead of the directory",
        directory.display()
    )]
    Locked {
        /// The data directory.
        directory: PathBuf,
        /// The process as its lock file names it.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}; check that the directory exists and is writable", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Free space cannot be asked for.
    #[error("cannot read the free space of {}", path.display())]
    DiskSpace {
        /// A path on the file system.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Who must act.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Locked { .. } => ErrorKind::Caller,
            Self::Lock { .. } | Self::DiskSpace { .. } => ErrorKind::OPERATOR,
        }
    }
}
