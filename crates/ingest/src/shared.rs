//! What the service and its threads tell each other: subscribers, counters, the state of the write path.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use moneta_base::Timestamp;
use moneta_ledger::Ledger;
use moneta_merkle::SignedCheckpoint;
use moneta_ports::{BlockSubscriber, Metric, Metrics, PortError};

/// What the threads and the service tell each other.
pub(crate) struct Shared {
    pub(crate) subscribers: RwLock<Vec<Arc<dyn BlockSubscriber>>>,
    pub(crate) status: Mutex<IngestStatus>,
    pub(crate) events_total: AtomicU64,
    pub(crate) metrics: Arc<Metrics>,
}

impl Shared {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { subscribers: RwLock::default(), status: Mutex::default(), events_total: AtomicU64::new(0), metrics }
    }
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
    let failed =
        |error: moneta_ledger::Error| PortError::caused_by(error.kind(), "the ledger could not be published", error);
    let checkpoint = published.map_err(failed)?;
    if let Some(signed) = &checkpoint {
        let mut status = shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.last_checkpoint = Some((now, signed.size()));
        shared.metrics.set(Metric::LedgerTreeSize, signed.size());
    }
    Ok(checkpoint)
}
