//! What can fail in the store, and who must act.

use std::io;
use std::path::{Path, PathBuf};

use moneta_base::{ErrorKind, Seq, TableName};
use moneta_event::ShardId;

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system failed.
    #[error("cannot {action} {}", path.display())]
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
    #[error("{} is damaged: {reason}", path.display())]
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
    /// Rows are missing between what the store holds and a block or segment to be added.
    #[error(
        "{table} continues at row {expected}, but rows from {found} were to be added; the rows between are missing"
    )]
    Gap {
        /// The table.
        table: TableName,
        /// The row that should come next.
        expected: Seq,
        /// The row that was offered.
        found: Seq,
    },
    /// A column of a block has another type than the table's.
    #[error("column {column:?} of a block of {table} has another type than the table's")]
    ColumnType {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// A day cannot be dropped while rows of it are not sealed.
    #[error("{0} has rows that are not sealed yet; seal them first")]
    NotSealed(ShardId),
    /// A segment is not, or no longer, in the catalog.
    #[error("the catalog does not list {}", .0.display())]
    NotListed(PathBuf),
    /// A segment lies in a bucket that this process cannot reach.
    #[error("the segment lies at {uri}, which [objects] of the configuration does not name; name that bucket")]
    Elsewhere {
        /// The address of the object.
        uri: String,
    },
    /// Something is to be moved, and nobody said where.
    #[error("no bucket is named to move segments to: set objects.bucket in the configuration")]
    NoBucket,
    /// The objects are another installation's.
    #[error(
        "the objects below {place} are in use by another copy of this installation; nothing is moved or removed there. \
         If that copy is gone for good, remove the object {place}/claim"
    )]
    Claimed {
        /// Bucket and prefix.
        place: String,
    },
    /// The bucket's server overwrites objects though it is told not to.
    #[error("{place}: the server overwrites an object that it was told to keep (If-None-Match); use one that does not")]
    Overwrites {
        /// Bucket and prefix.
        place: String,
    },
    /// Too many objects wait to be removed.
    #[error(
        "{count} objects wait to be removed from the bucket, so none is added; see the log for why they cannot be removed"
    )]
    TooManyLoose {
        /// How many.
        count: usize,
    },
    /// Somebody else committed to the catalog.
    #[error("commit {} exists already: another process writes this store", path.display())]
    Conflict {
        /// The commit file.
        path: PathBuf,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn corrupt(path: &Path, reason: impl ToString) -> Self {
        Self::Corrupt { path: path.to_owned(), reason: reason.to_string() }
    }

    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => ErrorKind::OPERATOR,
            Self::Io { .. } | Self::NotSealed(_) | Self::NotListed(_) => ErrorKind::RETRY,
            Self::Conflict { .. }
            | Self::Elsewhere { .. }
            | Self::NoBucket
            | Self::Claimed { .. }
            | Self::Overwrites { .. }
            | Self::TooManyLoose { .. } => ErrorKind::OPERATOR,
            Self::Corrupt { .. } | Self::Encode { .. } | Self::Gap { .. } | Self::ColumnType { .. } => {
                ErrorKind::Internal
            }
        }
    }
}
