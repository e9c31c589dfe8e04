//! What can go wrong with a key file.

use std::io;
use std::path::PathBuf;

use moneta_base::ErrorKind;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why keys could not be made, loaded or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("key file {} cannot be read or written", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// A key file is not what was written. Restore it from the backup: it is never made again.
    #[error("key file {} is damaged: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key file is gone while others are there. Restore it from the backup: it is never made again.
    #[error("key file {} is missing while other keys are there", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A newer Moneta wrote the file.
    #[error("key file {} has a layout this version does not know; use a newer Moneta", path.display())]
    Version {
        /// The file.
        path: PathBuf,
    },
    /// The name given to a new log cannot stand on a signature line.
    #[error("log name {0:?} is empty or has a space or plus")]
    LogName(String),
    /// The key that is there has another name, which other programs know it by.
    #[error("the key in {} is named {found:?}; use that name, or another directory for a new key", path.display())]
    OtherName {
        /// The key file.
        path: PathBuf,
        /// The name it has.
        found: String,
    },
    /// The URI that names a key in a device cannot be used.
    #[error("{text:?} does not name a key in a PKCS #11 device: {reason}")]
    DeviceUri {
        /// The URI.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A device does not give or use the key.
    #[error("the key {uri} cannot be used: {reason}")]
    Device {
        /// The URI of the key.
        uri: String,
        /// What the device says, or what is not as it must be.
        reason: String,
    },
    /// The log has its key elsewhere than asked. A log keeps its key: another would be another log.
    #[error("the log's key is in {}, not in a device; a new data directory can have its key in one from the start", path.display())]
    KeyElsewhere {
        /// The key file.
        path: PathBuf,
    },
    /// The token key version does not exist, or is the one in use.
    #[error("token key version {0} is not there or is the current one")]
    TokenVersion(u32),
}

impl Error {
    /// Returns who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Io { .. } | Error::Missing { .. } | Error::Version { .. } | Error::Device { .. } => {
                ErrorKind::OPERATOR
            }
            Error::Corrupt { .. } => ErrorKind::Internal,
            Error::LogName(_)
            | Error::OtherName { .. }
            | Error::TokenVersion(_)
            | Error::DeviceUri { .. }
            | Error::KeyElsewhere { .. } => ErrorKind::Caller,
        }
    }
}
