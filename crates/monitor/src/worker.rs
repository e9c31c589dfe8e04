//! The worker thread: matches, stores alerts with the cursor, hands them to delivery.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use moneta_base::{Clock, ErrorKind, Seq, TableName};
use moneta_event::{Block, ParsedBatch, TableSchema};
use moneta_ports::{AlertDelivery, EventSink, Metric, PortError, Submission};
use moneta_rules::Correlator;
use moneta_rules::correlation::{Settings, Snapshot};
use tokio::runtime::Handle;

use crate::alert::{self, Raised};
use crate::service::Shared;

/// Time between two commits that only move cursors: what a restart matches again at most.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two tries to store alerts.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Tries to store the alerts of a block while the store refuses; then the block waits for the next start.
const TRIES_MAX: u32 = 60;

/// What the worker is told.
pub(crate) enum Command {
    Match(Arc<Block>),
    Stop,
}

/// What the worker reaches.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) delivery: Arc<dyn AlertDelivery>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) alert_schema: Arc<TableSchema>,
    pub(crate) runtime: Handle,
}

/// Starts the thread.
pub(crate) fn start_worker(worker: Worker, inbox: Receiver<Command>) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("monitor".to_owned()).spawn(move || worker.run(&inbox))
}

impl Worker {
    fn run(&self, inbox: &Receiver<Command>) {
        let rules = self.shared.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut correlator = Correlator::new(rules, Settings::default());
        let mut flush_due = Instant::now() + FLUSH_INTERVAL;
        loop {
            match inbox.recv_timeout(flush_due.saturating_duration_since(Instant::now())) {
                Ok(Command::Match(block)) => self.match_block(&block, &mut correlator),
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= flush_due {
                self.flush();
                flush_due = Instant::now() + FLUSH_INTERVAL;
            }
        }
        self.flush();
    }

    /// Goes on with the rules of now. What correlations have seen so far is kept where their definition is the same.
    fn renew(&self, correlator: &mut Correlator) {
        let rules = self.shared.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        if Arc::ptr_eq(&rules, correlator.rules()) {
            return;
        }
        let state = correlator.snapshot(&BTreeMap::new());
        *correlator = match Snapshot::read(&state, rules.clone(), Settings::default()) {
            Ok(snapshot) => snapshot.correlator,
            Err(error) => {
                tracing::error!(error = %error, "correlations begin anew with the changed rules");
                Correlator::new(rules, Settings::default())
            }
        };
    }

    fn match_block(&self, block: &Block, correlator: &mut Correlator) {
        let table = &block.header.shard.table;
        if !self.shared.cursors.is_stalled(table) {
            self.renew(correlator);
            let raised = alert::raise(correlator, block, self.clock.now());
            match alert::rows(&self.alert_schema, &raised) {
                None => self.shared.cursors.set_matched(table, block.header.end_seq()),
                Some(rows) => self.store_and_deliver(rows, raised, block),
            }
        }
        let rows = u64::from(block.header.num_rows);
        self.shared.metrics.add(Metric::MonitorEvents, rows);
        self.shared.backlog_rows.fetch_sub(rows, Ordering::Relaxed);
    }

    /// MONITOR-1: the alerts and the cursor in one commit, and delivery only then. Alerts that cannot be stored stop
    /// the cursor of their table: the next start matches from there.
    fn store_and_deliver(&self, rows: ParsedBatch, raised: Vec<Raised>, block: &Block) {
        let (table, end) = (&block.header.shard.table, block.header.end_seq());
        match self.store(table, end, &rows) {
            Ok(()) => {
                self.shared.cursors.set_stored(table, end);
                self.shared.metrics.observe(Metric::MonitorLatency, self.clock.now().since(block.header.ingest_time));
                raised.into_iter().for_each(|one| self.deliver(one));
            }
            Err(error) => {
                self.shared.cursors.stall(table);
                tracing::error!(error = %error, table = %table, "alerts could not be stored: detection on this table waits for the next start");
            }
        }
    }

    /// Stores alerts, trying again while the store asks for it.
    fn store(&self, table: &TableName, end: Seq, rows: &ParsedBatch) -> Result<(), PortError> {
        let mut tries = 0;
        loop {
            let submission = Submission {
                batches: vec![rows.clone()],
                quarantined: Vec::new(),
                key: Some(self.shared.cursors.key(table, end)),
            };
            tries += 1;
            match self.runtime.block_on(self.events.submit(submission)) {
                Ok(_) => return Ok(()),
                Err(error)
                    if tries < TRIES_MAX && matches!(error.kind, ErrorKind::Environment { retry_after: Some(_) }) =>
                {
                    self.runtime.block_on(async { tokio::time::sleep(RETRY_INTERVAL).await });
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn deliver(&self, raised: Raised) {
        self.shared.metrics.add_labelled(Metric::MonitorAlerts, &raised.alert.level, 1);
        let id = raised.alert.id.clone();
        if let Err(error) = self.runtime.block_on(self.delivery.deliver(raised.alert)) {
            tracing::error!(error = %error, alert = id, "an alert is stored but could not be handed to delivery");
        }
    }

    /// Stores the cursors that moved without an alert.
    fn flush(&self) {
        for (table, end) in self.shared.cursors.unstored() {
            let submission = Submission { key: Some(self.shared.cursors.key(&table, end)), ..Submission::default() };
            match self.runtime.block_on(self.events.submit(submission)) {
                Ok(_) => self.shared.cursors.set_stored(&table, end),
                Err(error) => {
                    tracing::warn!(error = %error, table = %table, "a rule cursor could not be stored; it is tried again")
                }
            }
        }
    }
}
