//! How events enter the store, and how services hear of stored blocks.

use std::sync::Arc;

use moneta_base::{Seq, TableName, Timestamp};
use moneta_event::{Block, ParsedBatch, QuarantinedRecord};

use crate::{BoxFuture, PortError};

/// Identifies a submission so that a resend is recognised and stored once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Who sends: a credential's name, `collect/<source>`, `monitor`.
    pub producer: String,
    /// A life of the producer: a resend carries the same epoch.
    pub epoch: u128,
    /// Position within the epoch; only grows.
    pub sequence: u64,
    /// How long the producer is remembered.
    pub life: KeyLife,
}

/// How long a producer's progress is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyLife {
    /// For ever, with its newest submissions: a rule's cursor, an agent. There are few of them and they go on.
    Producer,
    /// Until it is forgotten, the newest submission only: of a file or an object, which is read from front to back. There
    /// are many.
    Cursor,
    /// Not at all: the submission has no rows and takes the producer away, if its position is where the producer got to.
    /// Only for whoever will never send again what it sent: a resend after that is stored anew.
    Forgotten,
    /// Until many newer ones push it out: one request with a key of its own.
    Request,
}

/// What one sender hands over at once: stored whole or not at all.
#[derive(Debug, Default)]
pub struct Submission {
    /// Decoded rows. The sink scrubs them; nothing unscrubbed is stored.
    pub batches: Vec<ParsedBatch>,
    /// Records that could not be parsed; they become rows of `Quarantine`.
    pub quarantined: Vec<QuarantinedRecord>,
    /// Makes the submission exactly-once.
    pub key: Option<IdempotencyKey>,
}

/// Rows of one table that a submission became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRange {
    /// The table.
    pub table: TableName,
    /// Sequence of the first row.
    pub first_seq: Seq,
    /// Number of rows, contiguous from there.
    pub num_rows: u64,
}

/// The acknowledgement: what it names is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestReceipt {
    /// Where the rows went.
    pub ranges: Vec<StoredRange>,
    /// Whether the submission had been stored before under the same key.
    pub duplicate: bool,
    /// When it became durable.
    pub stored_at: Timestamp,
}

/// Why a submission of a new producer waits: those that are known take all the room there is to remember them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the room that remembers how far senders, files and objects got is full")]
pub struct NoRoomToRemember;

/// An acknowledgement, and the receipt that the log signed for it.
pub type SignedAnswer = (IngestReceipt, Option<String>);

/// Takes events; resolves only when they are durable.
pub trait EventSink: Send + Sync {
    /// Scrubs and stores a submission.
    ///
    /// # Errors
    /// `Environment` with a retry time under back-pressure, without one when the disk is full; `Caller` for a key
    /// that was used for other content.
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<IngestReceipt, PortError>>;

    /// As [`Self::submit`], with the text of a receipt that the log signed, as `moneta_event::signed_receipt` lays it
    /// out. None when there is no log, or it has dropped the day of a submission that was stored before.
    ///
    /// # Errors
    /// As [`Self::submit`]. A receipt that cannot be made is no error: what was stored is stored.
    fn submit_for_receipt(&self, submission: Submission) -> BoxFuture<'_, Result<SignedAnswer, PortError>> {
        Box::pin(async move { self.submit(submission).await.map(|receipt| (receipt, None)) })
    }
}

/// Hears of every block once it is durable, in sequence order within a table.
pub trait BlockSubscriber: Send + Sync {
    /// Takes one block. Never waits: it runs on the path of acknowledgements, and a subscriber that stores rows of its
    /// own would wait for itself. Long work goes to a queue whose length [`Self::backlog_rows`] tells.
    fn on_block(&self, block: &Arc<Block>);

    /// Rows taken and not yet worked off. The sink makes senders wait while this is too many.
    fn backlog_rows(&self) -> u64;

    /// The first `_Seq` of a table that it would need again after a restart: everything before it is dealt with for
    /// good. The journal keeps blocks from there on. `Seq::MAX` for tables it never needs again.
    fn needs_from(&self, table: &TableName) -> Seq;
}
