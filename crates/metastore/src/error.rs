//! What can go wrong with the metastore, and who must act.

use std::path::PathBuf;

use moneta_base::ErrorKind;
use rusqlite::ErrorCode;

/// A failed operation on the metastore.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be made or opened.
    #[error("cannot open the metastore {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is a database of some other program.
    #[error("{} is not a Moneta metastore; move it away or name another data directory", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// A newer Moneta has written the file. Nothing was changed.
    #[error(
        "{} has schema version {found}, this program knows versions up to {known}: run the newer Moneta that wrote it, \
         or restore the backup made before the upgrade", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version this program can read.
        known: i64,
    },
    /// The name is taken.
    #[error("there is already {what} named {name:?}")]
    AlreadyExists {
        /// The kind of thing, with its article.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There is no such thing.
    #[error("there is no {what} {name:?}")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Nobody who may sign in would have a scope any more.
    #[error("nobody would have the scope `{scope}` any more: give it to another account first")]
    LastWithScope {
        /// The scope.
        scope: String,
    },
    /// A one-time link is unknown, used, or past its time.
    #[error("this link was used before, has expired, or is not ours; ask for a new one")]
    LinkSpent,
    /// A stored value does not read back as what was written.
    #[error("the metastore holds a damaged {what}: {problem}")]
    Damaged {
        /// The kind of thing.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// SQLite failed.
    #[error("metastore: {doing} failed")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
}

impl Error {
    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Open { .. } | Self::NotOurs { .. } | Self::Newer { .. } => ErrorKind::OPERATOR,
            Self::AlreadyExists { .. } | Self::NotFound { .. } | Self::LastWithScope { .. } => ErrorKind::Caller,
            Self::LinkSpent => ErrorKind::Denied,
            Self::Damaged { .. } => ErrorKind::Internal,
            Self::Sqlite { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::RETRY,
                Some(
                    ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen,
                ) => ErrorKind::OPERATOR,
                _ => ErrorKind::Internal,
            },
        }
    }

    /// Whether a name that had to be new was taken.
    #[must_use]
    pub fn is_constraint(source: &rusqlite::Error) -> bool {
        source.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
    }
}

/// Names what was being done when SQLite failed.
pub(crate) trait Doing<T> {
    /// Turns an error of SQLite into one of ours.
    fn doing(self, doing: &'static str) -> Result<T, Error>;
}

impl<T> Doing<T> for rusqlite::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Sqlite { doing, source })
    }
}
