//! What can fail in the store, and who must act.

use std::io;
use std::path::{Path, PathBuf};

use moneta_base::ErrorKind;
use moneta_event::ShardId;

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A stored file is not what was written.
    #[error("{path} is damaged: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A segment could not be encoded.
    #[error("cannot encode a segment of {shard}: {reason}")]
    Encode {
        /// The shard.
        shard: ShardId,
        /// Why.
        reason: String,
    },
    /// A day cannot be dropped while rows of it are not sealed.
    #[error("{0} has rows that are not sealed yet; seal them first")]
    NotSealed(ShardId),
    /// Somebody else committed to the catalog.
    #[error("commit {path} exists already: another process writes this store")]
    Conflict {
        /// The commit file.
        path: PathBuf,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn corrupt(path: &Path, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), reason: reason.into() }
    }

    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::RETRY,
            Self::NotSealed(_) => ErrorKind::RETRY,
            Self::Conflict { .. } => ErrorKind::OPERATOR,
            Self::Corrupt { .. } | Self::Encode { .. } => ErrorKind::Internal,
        }
    }
}
