//! The service: takes blocks without ever waiting and hands them to its worker thread.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use moneta_base::{Clock, Seq, TableName, TenantId};
use moneta_event::catalog::table;
use moneta_event::{Block, TableSchema};
use moneta_ports::{Alarm, AlarmKind, AlarmSink, AlertDelivery, BlockSubscriber, EventSink, Metric, Metrics};
use moneta_rules::CompiledRules;

use crate::cursor::Cursors;
use crate::state::{StatePlace, note_stored_alerts};
use crate::worker::{Command, Worker, start_worker};

/// Tables that are never matched: alerts must not raise alerts of themselves, for ever.
const NEVER_MATCHED: [&str; 3] = [table::SECURITY_ALERT, table::SECURITY_INCIDENT, table::MONETA_HEALTH];

/// What the monitor works with.
pub struct MonitorParts {
    /// Where alerts are stored.
    pub events: Arc<dyn EventSink>,
    /// Where alerts go from there.
    pub delivery: Arc<dyn AlertDelivery>,
    /// Who hears of rules that raise too many alerts, and of tables that are matched no further.
    pub alarms: Arc<dyn AlarmSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The columns of `SecurityAlert`.
    pub alert_schema: Arc<TableSchema>,
    /// Whose data it is: part of the identity of the cursors.
    pub tenant: TenantId,
    /// Per table the sequence from which on rows are to be matched: [`resume_point`](crate::resume_point).
    pub resume: BTreeMap<TableName, Seq>,
    /// Where the state of correlations is kept.
    pub state: StatePlace,
    /// How long people hear once of the same rule about the same entities; of every alert when it is zero.
    pub quiet: Duration,
}

/// Matches rules on arriving blocks. Share it in an `Arc`.
pub struct Monitor {
    shared: Arc<Shared>,
    commands: Sender<Command>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// What the service and its worker tell each other.
pub(crate) struct Shared {
    pub(crate) cursors: Cursors,
    pub(crate) alerts: Mutex<AlertsSeen>,
    pub(crate) rules: RwLock<Arc<CompiledRules>>,
    pub(crate) backlog_rows: AtomicU64,
    pub(crate) metrics: Arc<Metrics>,
}

/// How far rows of `SecurityAlert` have come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AlertsSeen {
    /// The sequence after the last one.
    pub(crate) end: Seq,
    /// What came before it was stored before the last snapshot; `None` before the first row and snapshot.
    pub(crate) kept: Option<Seq>,
}

/// The table of alerts.
pub(crate) fn alert_table() -> TableName {
    TableName::new(table::SECURITY_ALERT).expect("a built-in table")
}

impl Monitor {
    /// Starts the worker thread. Alerts are stored through the runtime of the caller.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(parts: MonitorParts, rules: Arc<CompiledRules>) -> std::io::Result<Arc<Self>> {
        let mut start = parts.state.read(&rules);
        if let Some(reason) = &start.lost {
            let file = parts.state.file().display().to_string();
            let text = format!("The state of correlations in {file} is not used ({reason}): all of them begin anew.");
            parts.alarms.raise(Alarm { kind: AlarmKind::CorrelationsShort, subject: "state".to_owned(), text });
        }
        let alerts = start.positions.remove(&alert_table());
        let alerts = AlertsSeen { end: alerts.unwrap_or(0), kept: alerts };
        let shared = Arc::new(Shared {
            cursors: Cursors::new(parts.tenant, parts.resume, &start.positions),
            rules: RwLock::new(rules),
            alerts: Mutex::new(alerts),
            backlog_rows: AtomicU64::new(0),
            metrics: parts.metrics,
        });
        let (commands, inbox) = mpsc::channel();
        let worker = Worker {
            shared: shared.clone(),
            events: parts.events,
            delivery: parts.delivery,
            alarms: parts.alarms,
            clock: parts.clock,
            alert_schema: parts.alert_schema,
            quiet: parts.quiet,
            runtime: tokio::runtime::Handle::current(),
        };
        let thread = start_worker(worker, start, parts.state, inbox)?;
        let monitor = Self { shared, commands, thread: Mutex::new(Some(thread)) };
        monitor.note_rules();
        Ok(Arc::new(monitor))
    }

    /// Takes the alerts that the journal recovered: what is found again in its blocks is not told again. Its blocks follow
    /// through [`BlockSubscriber::on_block`], in order of their arrival over all tables, before any new one.
    pub fn begin_recovery(&self, alerts: &[Arc<Block>]) {
        let mut known = HashSet::new();
        alerts.iter().for_each(|block| note_stored_alerts(block, &mut known));
        let _ = self.commands.send(Command::Known(known));
    }

    /// Says that all blocks were sent that the journal recovered.
    pub fn end_recovery(&self) {
        let _ = self.commands.send(Command::Recovered);
    }

    /// Runs another set of rules on every block from now on.
    pub fn set_rules(&self, rules: Arc<CompiledRules>) {
        *self.shared.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        self.note_rules();
    }

    fn note_rules(&self) {
        let count = self.shared.rules.read().unwrap_or_else(PoisonError::into_inner).rules().len();
        self.shared.metrics.set(Metric::MonitorRules, count as u64);
    }

    /// Works off what is queued, stores the cursors and stops.
    pub async fn stop(&self) {
        let _ = self.commands.send(Command::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let joined = tokio::task::spawn_blocking(move || thread.join().is_ok()).await;
        if !matches!(joined, Ok(true)) {
            tracing::error!("the monitor's worker panicked");
        }
    }
}

impl BlockSubscriber for Monitor {
    fn on_block(&self, block: &Arc<Block>) {
        let header = &block.header;
        let table = &header.shard.table;
        if table.as_str() == table::SECURITY_ALERT {
            let mut alerts = self.shared.alerts.lock().unwrap_or_else(PoisonError::into_inner);
            alerts.kept.get_or_insert(header.first_seq);
            alerts.end = alerts.end.max(header.end_seq());
        }
        if NEVER_MATCHED.contains(&table.as_str())
            || !self.shared.cursors.is_new(table, header.first_seq, header.end_seq())
        {
            return;
        }
        let rows = u64::from(header.num_rows);
        self.shared.backlog_rows.fetch_add(rows, Ordering::Relaxed);
        if self.commands.send(Command::Match(block.clone())).is_err() {
            // A stopped monitor matches nothing; the journal keeps the block for the next start.
            self.shared.backlog_rows.fetch_sub(rows, Ordering::Relaxed);
        }
    }

    fn backlog_rows(&self) -> u64 {
        self.shared.backlog_rows.load(Ordering::Relaxed)
    }

    fn needs_from(&self, table: &TableName) -> Seq {
        if table.as_str() == table::SECURITY_ALERT {
            let alerts = self.shared.alerts.lock().unwrap_or_else(PoisonError::into_inner);
            return alerts.kept.unwrap_or(Seq::MAX);
        }
        self.shared.cursors.needed(table)
    }
}
