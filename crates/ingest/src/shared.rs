//! What the service and its threads tell each other: subscribers, counters, the state of the write path.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use moneta_base::error::chain;
use moneta_base::{Seq, TableName, Timestamp};
use moneta_ledger::Ledger;
use moneta_merkle::SignedCheckpoint;
use moneta_ports::{BlockSubscriber, Metric, Metrics, PortError};
use moneta_store::Store;

use crate::pressure::Waiting;

/// What the threads and the service tell each other.
pub(crate) struct Shared {
    pub(crate) subscribers: RwLock<Vec<Arc<dyn BlockSubscriber>>>,
    /// Whether all have subscribed that need blocks again after a restart.
    pub(crate) has_all_subscribers: AtomicBool,
    pub(crate) status: Mutex<IngestStatus>,
    pub(crate) events_total: AtomicU64,
    /// Durable blocks whose headers the ledger did not take yet.
    pub(crate) headers_behind: AtomicUsize,
    /// Bytes of their rows, which stay in memory until it does, sealed or not.
    pub(crate) behind_bytes: AtomicUsize,
    pub(crate) metrics: Arc<Metrics>,
}

impl Shared {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            subscribers: RwLock::default(),
            has_all_subscribers: AtomicBool::new(false),
            status: Mutex::default(),
            events_total: AtomicU64::new(0),
            headers_behind: AtomicUsize::new(0),
            behind_bytes: AtomicUsize::new(0),
            metrics,
        }
    }

    /// How much waits to be sealed.
    pub(crate) fn waiting(&self, store: &Store) -> Waiting {
        let journal_bytes = self.status.lock().unwrap_or_else(PoisonError::into_inner).journal_bytes;
        Waiting { hot_bytes: store.hot_bytes() + self.behind_bytes.load(Ordering::Acquire), journal_bytes }
    }

    /// Per table how far the journal may forget what is sealed: to where every subscriber has dealt with it. Nothing
    /// while subscribers may still come: what the last run left to be dealt with is old, and sealed at once.
    pub(crate) fn releasable(&self, sealed: BTreeMap<TableName, Seq>) -> BTreeMap<TableName, Seq> {
        if !self.has_all_subscribers.load(Ordering::Acquire) {
            return BTreeMap::new();
        }
        let subscribers = self.subscribers.read().unwrap_or_else(PoisonError::into_inner);
        let up_to = |(table, end): (TableName, Seq)| {
            let needed = subscribers.iter().map(|subscriber| subscriber.needs_from(&table)).min();
            let up_to = end.min(needed.unwrap_or(Seq::MAX));
            (table, up_to)
        };
        sealed.into_iter().map(up_to).collect()
    }
}

/// Why there is no new checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerFailure {
    /// What happened first, in words.
    pub reason: String,
    /// What comes of it.
    pub outcome: LedgerOutcome,
}

/// What comes of a checkpoint that could not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerOutcome {
    /// It is tried again.
    Retried,
    /// Nothing is signed any more until the ledger has been opened again.
    Stopped,
    /// As [`Self::Stopped`]: the disk gave back other bytes than were written.
    NotAsWritten,
}

/// What the keeper does again and again, beside signing checkpoints: [`IngestStatus::ledger_failure`] is of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chore {
    /// Naming segments in the root log whose publishing had failed half-way.
    Settling,
    /// Sealing blocks into segments.
    Sealing,
    /// Keeping what waits to be sealed within its bounds.
    MakingRoom,
    /// Merging small segments.
    Merging,
    /// Removing files that were merged.
    Removing,
    /// Checkpointing catalogs.
    Catalogs,
    /// Dropping days past their retention.
    Retention,
}

impl Chore {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settling => "naming segments in the root log",
            Self::Sealing => "sealing segments",
            Self::MakingRoom => "making room for records",
            Self::Merging => "merging segments",
            Self::Removing => "removing merged files",
            Self::Catalogs => "checkpointing catalogs",
            Self::Retention => "dropping days past their retention",
        }
    }
}

/// A chore that fails again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoreFailure {
    /// When it began to fail.
    pub since: Timestamp,
    /// Why it failed the last time, in words.
    pub reason: String,
}

/// Other content under a key that was used: a sender that is wrong, or somebody in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderConflict {
    /// When.
    pub at: Timestamp,
    /// Who sent it.
    pub producer: String,
    /// Under which number.
    pub sequence: u64,
}

/// The state of the write path, for status pages and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IngestStatus {
    /// Rows stored since the start.
    pub events_total: u64,
    /// Duration of the last journal write with its fsync.
    pub last_commit: Duration,
    /// When the last checkpoint was signed, and the size of its tree.
    pub last_checkpoint: Option<(Timestamp, u64)>,
    /// When everything that had been acknowledged was last under a checkpoint.
    pub covered_at: Option<Timestamp>,
    /// Why no checkpoint could be signed the last time that one was due.
    pub ledger_failure: Option<LedgerFailure>,
    /// What the keeper cannot do, and tries again.
    pub failing_chores: BTreeMap<Chore, ChoreFailure>,
    /// The last time that a sender sent other content under a key that was used.
    pub conflict: Option<SenderConflict>,
    /// Bytes in journal files.
    pub journal_bytes: u64,
    /// How much of the room for the marks of senders, files and objects is in use, in percent.
    pub producers_percent: u8,
    /// Why nothing more is accepted, if so.
    pub stopped: Option<String>,
}

/// Signs a checkpoint if anything changed, and notes it in the status.
pub(crate) fn publish(ledger: &Ledger, shared: &Shared, now: Timestamp) -> Result<Option<SignedCheckpoint>, PortError> {
    let published = ledger.publish(now);
    let mut status = shared.status.lock().unwrap_or_else(PoisonError::into_inner);
    match published {
        Ok(checkpoint) => {
            status.ledger_failure = None;
            if shared.headers_behind.load(Ordering::Acquire) == 0 {
                status.covered_at = Some(now);
            }
            if let Some(signed) = &checkpoint {
                status.last_checkpoint = Some((now, signed.size()));
                shared.metrics.set(Metric::LedgerTreeSize, signed.size());
            }
            Ok(checkpoint)
        }
        Err(error) => {
            // A ledger that stopped says only that afterwards: what stopped it is what people need to know.
            if !matches!(error, moneta_ledger::Error::Stopped) || status.ledger_failure.is_none() {
                status.ledger_failure = Some(LedgerFailure { reason: chain(&error), outcome: outcome_of(&error) });
            }
            Err(PortError::caused_by(error.kind(), "the ledger could not be published", error))
        }
    }
}

fn outcome_of(error: &moneta_ledger::Error) -> LedgerOutcome {
    match error {
        moneta_ledger::Error::ReadBack { .. } => LedgerOutcome::NotAsWritten,
        error if error.leaves_disk_known() => LedgerOutcome::Retried,
        _ => LedgerOutcome::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use moneta_event::Block;

    use super::*;

    struct NeedsFrom(Seq);

    impl BlockSubscriber for NeedsFrom {
        fn on_block(&self, _: &Arc<Block>) {}

        fn backlog_rows(&self) -> u64 {
            0
        }

        fn needs_from(&self, _: &TableName) -> Seq {
            self.0
        }
    }

    #[test]
    fn nothing_is_released_before_all_subscribers_are_there_and_then_what_none_of_them_needs() {
        let shared = Shared::new(Arc::new(Metrics::new()));
        let table = TableName::new("SecurityAlert").unwrap();
        let sealed = || BTreeMap::from([(table.clone(), 9)]);
        assert!(shared.releasable(sealed()).is_empty(), "those that come need perhaps all of it");
        shared.subscribers.write().unwrap().push(Arc::new(NeedsFrom(Seq::MAX)));
        assert!(shared.releasable(sealed()).is_empty(), "another may come");
        shared.subscribers.write().unwrap().push(Arc::new(NeedsFrom(3)));
        shared.has_all_subscribers.store(true, Ordering::Release);
        assert_eq!(shared.releasable(sealed()), BTreeMap::from([(table.clone(), 3)]));
        shared.subscribers.write().unwrap().pop();
        assert_eq!(shared.releasable(sealed()), sealed());
    }
}
