//! Looks after what is stored while the server runs: whether there is room, whether it comes under checkpoints, whether
//! everything is there, and whether it still is what was signed. Findings are alarms, and stand in the status.
//!
//! A thread of its own with a budget of bytes: neither queries nor ingest wait for it. It reads the files and the root
//! log by the code of `moneta-verify`, which shares nothing with the code that wrote them. It never writes but its own
//! progress, and never mends.

mod checkpoints;
mod ladder;
mod presence;
mod scrub;

use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moneta_base::Clock;
use moneta_base::fs::FileSystem;
use moneta_merkle::VerifierKey;
use moneta_ports::operations::ScrubbingStatus;
use moneta_ports::{Alarm, AlarmKind, AlarmSink, AuditEvent, Metrics, PortError};
use moneta_store::Store;
use moneta_verify::Finding;

use crate::background::Background;
use crate::caretaker::checkpoints::CheckpointWatch;
pub(crate) use crate::caretaker::checkpoints::Checkpoints;
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
    /// How far the checkpoints are.
    pub(crate) checkpoints: Box<dyn Fn() -> Checkpoints + Send + Sync>,
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

/// Starts the thread; when it is stopped, it finishes the file that is being read.
///
/// # Errors
/// When the operating system gives no thread.
pub(crate) fn start_caretaker(parts: CaretakerParts) -> std::io::Result<Background> {
    Background::start("caretaker", move |stopped| {
        let (mut ladder, mut presence) = (Ladder::default(), Presence::default());
        let mut checkpoints = CheckpointWatch::default();
        let mut scrub = Scrub::resume(&parts);
        parts.board.change(|_| {});
        loop {
            ladder.look(&parts);
            checkpoints.look(&parts);
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
