//! What goes into the journal as one unit, and what becomes of it.

use moneta_event::frame::{ProducerMark, Receipt};
use moneta_merkle::Hash;
use moneta_scrub::ScrubbedBatch;

use crate::{Error, JournaledBlock};

/// Rows that become durable together, with the sender's progress.
///
/// # Example
/// JOURNAL-4: rows that were not scrubbed do not compile.
/// ```compile_fail
/// fn commit(rows: moneta_event::ParsedBatch) -> moneta_journal::Commit {
///     moneta_journal::Commit { batches: vec![rows], mark: None }
/// }
/// ```
/// ```
/// fn commit(rows: moneta_scrub::ScrubbedBatch) -> moneta_journal::Commit {
///     moneta_journal::Commit { batches: vec![rows], mark: None }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Commit {
    /// The rows, of one or more tables. May be empty when only the mark moves.
    pub batches: Vec<ScrubbedBatch>,
    /// Who sent it and which of its commits it is; `None` for senders that cannot say.
    pub mark: Option<ProducerMark>,
}

/// What became of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is on disk: acknowledge it.
    Stored {
        /// Which rows it became.
        receipt: Receipt,
    },
    /// The same commit was on disk already: acknowledge it again; nothing was stored.
    Duplicate {
        /// Which rows it became then.
        receipt: Receipt,
    },
    /// Another commit of this producer has this sequence, or one so old that its content is no longer remembered.
    /// Nothing was stored. This is an integrity alarm: a producer was restored from an old state, or someone speaks
    /// in its name.
    Conflict {
        /// Hash of what was stored under the mark; `None` when it is too old to be remembered.
        stored: Option<Hash>,
    },
}

/// What one call of [`Journal::append`](crate::Journal::append) did.
#[derive(Debug)]
pub struct Appended {
    /// The blocks that were stored, each once; a block may hold rows of several commits. Per table in order.
    pub blocks: Vec<JournaledBlock>,
    /// What became of each commit, in the order they were given.
    pub outcomes: Vec<Result<CommitOutcome, Error>>,
}
