//! What can go wrong between a commit and the disk.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use moneta_base::{ErrorKind, Seq, TableName};
use moneta_event::frame::FrameError;

/// A failure of the journal. Cloneable, because one failed write fails every commit of its group.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A file operation failed; nothing was acknowledged and the journal is still usable.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// The disk is full; nothing was acknowledged and the journal is still usable.
    #[error("no space left for {}; free space or shorten retention, then send again", path.display())]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The state on disk is unknown since an earlier failure: only a restart, which reads it back, can tell.
    #[error("the journal stopped after a failure and must be recovered by a restart: {why}")]
    Poisoned {
        /// The failure that stopped it.
        why: String,
    },
    /// Bytes on disk are not what was written.
    #[error("journal file {} is damaged at byte {offset}: {what}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Offset of the frame that is damaged.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The store holds rows that the journal never numbered: files of the journal are missing.
    #[error(
        "the store holds {table} up to row {store}, but the journal only knows rows up to {journal}: put back the newest \
         files of the journal, or restore the newest backup"
    )]
    BehindStore {
        /// The table.
        table: TableName,
        /// `_Seq` after the last sealed row.
        store: Seq,
        /// `_Seq` the journal would give next.
        journal: Seq,
    },
    /// A batch has a column that cannot be stored.
    #[error("column {column:?} of a batch for {table} cannot be stored: {why}")]
    Column {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Why.
        why: String,
    },
    /// A commit is too large to be written as one.
    #[error("the commit is too large; send it in smaller parts")]
    TooLarge {
        /// The size that was refused.
        #[source]
        source: FrameError,
    },
    /// A producer's name is empty or longer than 256 bytes.
    #[error("a producer name must have 1 to 256 bytes, not {bytes}")]
    ProducerName {
        /// Its length.
        bytes: usize,
    },
    /// The memory for producers is used up.
    #[error(
        "no further sender, file or object can be remembered, for those that are take {bytes_max} bytes: a new one waits; move \
         away objects and files that were read, which are forgotten after some days, or let a server with another data \
         directory read the new ones"
    )]
    TooManyProducers {
        /// The limit.
        bytes_max: usize,
    },
    /// There are as many tables as there may be.
    #[error("no table can be added: there are {tables_max} already")]
    TooManyTables {
        /// The limit.
        tables_max: usize,
    },
    /// A state the code rules out.
    #[error("internal error in the journal: {0}")]
    Internal(String),
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path: path.to_owned() },
            _ => Self::Io { operation, path: path.to_owned(), source: Arc::new(source) },
        }
    }

    pub(crate) fn corrupt(file: &std::path::Path, offset: u64, what: impl ToString) -> Self {
        Self::Corrupt { file: file.to_owned(), offset, what: what.to_string() }
    }

    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::RETRY,
            Self::DiskFull { .. } | Self::TooManyProducers { .. } | Self::Poisoned { .. } => ErrorKind::OPERATOR,
            Self::Column { .. } | Self::TooLarge { .. } | Self::ProducerName { .. } | Self::TooManyTables { .. } => {
                ErrorKind::Caller
            }
            Self::Corrupt { .. } | Self::BehindStore { .. } | Self::Internal(_) => ErrorKind::Internal,
        }
    }
}
