//! What can go wrong with the ledger.

use std::io;
use std::path::PathBuf;

use moneta_base::ErrorKind;
use moneta_event::ShardId;
use moneta_event::root_entry::RootEntryError;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the ledger could not be opened, grown or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused; nothing was published and everything stays queued.
    #[error("ledger file {} cannot be read or written", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// A sync or rename failed, so what is on disk is unknown. The ledger must be opened again.
    #[error("ledger file {} could not be made durable", path.display())]
    SyncFailed {
        /// The file or directory.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// An earlier failure left the state on disk unknown. The ledger must be opened again.
    #[error("the ledger stopped after a failure and must be opened again")]
    Stopped,
    /// A file is not what was signed.
    #[error("ledger file {} is damaged: {reason}", path.display())]
    Corrupt {
        /// The file or log directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// What was written reads back differently, so no checkpoint was signed (LEDGER-2).
    #[error("ledger file {} does not read back as written: {reason}", path.display())]
    ReadBack {
        /// The file or log directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Too much waits to be published.
    #[error("{pending_bytes} bytes wait to be published; the ledger takes no more until a publish succeeds")]
    Full {
        /// Bytes waiting.
        pending_bytes: usize,
    },
    /// A proof, note or tile could not be made.
    #[error("the log cannot be read or signed")]
    Merkle(#[from] moneta_merkle::Error),
    /// A root entry is malformed or too long.
    #[error("the root entry cannot be used")]
    RootEntry(#[from] RootEntryError),
    /// Ticks and shard-opened entries are made by the ledger itself.
    #[error("a {0} entry is made by the ledger alone")]
    Reserved(&'static str),
    /// The entry states another size or root of the shard than is published, or blocks still wait.
    #[error("shard {shard} is at size {size} with {pending} blocks waiting; the entry does not state that")]
    ShardMismatch {
        /// The shard.
        shard: ShardId,
        /// Its published size.
        size: u64,
        /// Blocks appended but not published.
        pending: u64,
    },
    /// The shard was sealed or dropped.
    #[error("shard {0} takes no more blocks")]
    Closed(ShardId),
    /// The entry is not under a checkpoint (yet).
    #[error("entry {index} of {log} is not published; the log has {size} entries")]
    NotPublished {
        /// The log's directory name.
        log: String,
        /// The index asked for.
        index: u64,
        /// Entries under the checkpoint.
        size: u64,
    },
    /// No published retention-drop entry names the shard, so it must stay.
    #[error("shard {0} has no published retention-drop entry")]
    NotDropped(ShardId),
    /// A witness must have a key of its own.
    #[error("the witness signs with the key of the log {0}; give it a key of its own")]
    OwnLog(String),
}

impl Error {
    /// Returns who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Io { .. } | Error::Full { .. } => ErrorKind::RETRY,
            Error::SyncFailed { .. } | Error::Stopped => ErrorKind::OPERATOR,
            Error::Corrupt { .. } | Error::ReadBack { .. } | Error::Merkle(_) => ErrorKind::Internal,
            Error::RootEntry(_)
            | Error::Reserved(_)
            | Error::ShardMismatch { .. }
            | Error::Closed(_)
            | Error::NotPublished { .. }
            | Error::NotDropped(_)
            | Error::OwnLog(_) => ErrorKind::Caller,
        }
    }

    /// A refusal of the file system at a path.
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Reports whether a publish that failed so may be tried again without opening the ledger anew.
    #[must_use]
    pub fn leaves_disk_known(&self) -> bool {
        matches!(self, Error::Io { .. } | Error::Merkle(moneta_merkle::Error::Signer { .. }))
    }
}
