//! Looks after what is stored while the server runs: whether there is room, whether it comes under checkpoints and into
//! segments, whether everything is there, and whether it still is what was signed. Findings are alarms, and stand in the status.
//!
//! Two threads of its own: one watches, the other reads with a budget of bytes, however slow a disk or a bucket is.
//! Neither queries nor ingest wait for them. Files and the root log are read by the code of `moneta-verify`, which shares
//! nothing with the code that wrote them. Nothing is written but the progress of reading, and nothing mended.

mod checkpoints;
mod chores;
mod ladder;
mod presence;
mod scrub;

use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moneta_base::Clock;
use moneta_base::fs::FileSystem;
use moneta_ingest::IngestStatus;
use moneta_merkle::VerifierKey;
use moneta_ports::operations::ScrubbingStatus;
use moneta_ports::{Alarm, AlarmKind, AlarmSink, AuditEvent, Metrics, PortError};
use moneta_store::Store;
use moneta_verify::Finding;

use crate::background::Background;
use crate::caretaker::checkpoints::CheckpointWatch;
pub(crate) use crate::caretaker::ladder::Fill;
use crate::caretaker::ladder::Ladder;
use crate::caretaker::presence::Presence;
use crate::caretaker::scrub::Scrub;

/// Time between two looks at what is due; what one look may read is the budget of as long.
const TICK: Duration = Duration::from_secs(1);
/// Findings shown at most: past it the store is rubble and more names help nobody.
const FINDINGS_MAX: usize = 50;

/// What the caretaker works with.
pub(crate) struct CaretakerParts {
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) data: PathBuf,
    /// Where segments are that were moved.
    pub(crate) store: Arc<Store>,
    /// How full disk and journal are.
    pub(crate) fill: Box<dyn Fn() -> Fill + Send + Sync>,
    /// How writing goes.
    pub(crate) writing: Box<dyn Fn() -> IngestStatus + Send + Sync>,
    /// The journal's files, and how much of each is durable.
    pub(crate) journal: Box<dyn Fn() -> Vec<(PathBuf, u64)> + Send + Sync>,
    /// Writes to the audit table.
    pub(crate) audit: Box<dyn Fn(AuditEvent) -> Result<(), PortError> + Send + Sync>,
    pub(crate) key: VerifierKey,
    pub(crate) alarms: Arc<dyn AlarmSink>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) board: Arc<CareBoard>,
    /// Bytes a second.
    pub(crate) budget: u64,
}

/// What the caretaker last saw, for the status. Shared with whoever shows it.
#[derive(Debug, Default)]
pub(crate) struct CareBoard {
    state: Mutex<Option<ScrubbingStatus>>,
}

impl CareBoard {
    /// `None` before the caretaker has started.
    pub(crate) fn state(&self) -> Option<ScrubbingStatus> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut ScrubbingStatus)) {
        change(self.state.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default());
    }
}

/// The running threads. Dropped, they end without being waited for: stop them.
pub(crate) struct Caretaker {
    watch: Background,
    reading: Background,
}

impl Caretaker {
    /// Lets the file that is being read be finished, and ends.
    pub(crate) fn stop(self) {
        self.watch.stop();
        self.reading.stop();
    }
}

/// Starts both threads.
///
/// # Errors
/// When the operating system gives no thread.
pub(crate) fn start_caretaker(parts: CaretakerParts) -> std::io::Result<Caretaker> {
    let parts = Arc::new(parts);
    Ok(Caretaker { watch: start_watch(parts.clone())?, reading: start_reading(parts)? })
}

/// What takes no time and must be told within a minute: room, checkpoints, chores that fail, a journal that stopped.
fn start_watch(parts: Arc<CaretakerParts>) -> std::io::Result<Background> {
    Background::start("watch", move |stopped| {
        let (mut ladder, mut checkpoints) = (Ladder::default(), CheckpointWatch::default());
        loop {
            ladder.look(&parts);
            checkpoints.look(&parts);
            chores::look(&parts);
            if !matches!(stopped.recv_timeout(TICK), Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    })
}

fn start_reading(parts: Arc<CaretakerParts>) -> std::io::Result<Background> {
    Background::start("caretaker", move |stopped| {
        let mut presence = Presence::default();
        let mut scrub = Scrub::resume(&parts);
        parts.board.change(|_| {});
        loop {
            presence.look(&parts);
            if parts.budget > 0 {
                scrub.step(&parts);
            }
            match stopped.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return scrub.save(&parts),
            }
        }
    })
}

impl CaretakerParts {
    /// Tells people of findings, and shows them until the next look at the same files.
    fn report(&self, kind: AlarmKind, findings: &[Finding]) {
        for finding in findings.iter().take(FINDINGS_MAX) {
            let text = format!("{finding}.");
            self.alarms.raise(Alarm { kind, subject: finding.file.clone(), text });
        }
        self.board.change(|status| {
            for finding in findings {
                let line = finding.to_string();
                if status.findings.len() < FINDINGS_MAX && !status.findings.contains(&line) {
                    status.findings.push(line);
                }
            }
        });
    }
}

/// A store without tables, for tests of the parts that look at other things.
#[cfg(test)]
fn empty_store() -> Arc<Store> {
    let fs = Arc::new(moneta_testkit::SimFs::new());
    let store = Store::open(fs, std::path::Path::new("/data/store"), moneta_event::TableCatalog::built_in());
    Arc::new(store.expect("an empty store opens"))
}
