//! The worker thread: matches, stores alerts with the cursor, hands them to delivery.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use moneta_base::{Clock, ErrorKind, Seq, TableName};
use moneta_event::{Block, ParsedBatch, TableSchema};
use moneta_ports::{
    Alarm, AlarmKind, AlarmSink, AlertDelivery, EventSink, IdempotencyKey, KeyLife, Metric, PortError, Submission,
};
use moneta_rules::correlation::{Counters, Settings, Snapshot};
use moneta_rules::{Correlator, Rule};
use tokio::runtime::Handle;

use crate::alert::{self, Length, Raised};
use crate::repeats::Repeats;
use crate::service::{Shared, alert_table};
use crate::state::{Keeper, Start, StatePlace};
use crate::throttle::Throttle;

/// Time between two commits that only move cursors: what a restart matches again at most.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two tries to store alerts.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Tries to store the alerts of a block while the store refuses; then the block waits for the next start.
const TRIES_MAX: u32 = 60;

/// Beginning of the producer names of alerts that only a second look at a block raised.
const AGAIN_PRODUCER_PREFIX: &str = "monitor/#again/";

/// What the worker is told.
pub(crate) enum Command {
    Match(Arc<Block>),
    /// Ids of alerts that are stored already.
    Known(HashSet<String>),
    /// All that the last run left was sent: what comes from now on is new.
    Recovered,
    Stop,
}

/// What the worker reaches.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) delivery: Arc<dyn AlertDelivery>,
    pub(crate) alarms: Arc<dyn AlarmSink>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) alert_schema: Arc<TableSchema>,
    /// How long the same rule about the same entities is told once.
    pub(crate) quiet: Duration,
    pub(crate) runtime: Handle,
}

/// Starts the thread.
pub(crate) fn start_worker(
    worker: Worker,
    start: Start,
    place: StatePlace,
    inbox: Receiver<Command>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("monitor".to_owned()).spawn(move || worker.run(start, place, &inbox))
}

/// What the worker works with and nobody else sees.
struct Matching {
    correlator: Correlator,
    /// Per table the sequence after the last row that correlations have seen.
    positions: BTreeMap<TableName, Seq>,
    keeper: Keeper,
    /// Ids of alerts that the last run stored after its last snapshot.
    known: HashSet<String>,
    /// Whether blocks come as they arrive. Before that, time that passes says nothing of events.
    is_live: bool,
    throttle: Throttle,
    repeats: Repeats,
}

impl Worker {
    fn run(&self, start: Start, place: StatePlace, inbox: &Receiver<Command>) {
        let mut matching = Matching {
            keeper: Keeper::new(place, start.positions.clone()),
            correlator: start.correlator,
            positions: start.positions,
            known: HashSet::new(),
            is_live: false,
            throttle: Throttle::default(),
            repeats: Repeats::new(self.quiet),
        };
        let mut flush_due = Instant::now() + FLUSH_INTERVAL;
        loop {
            let due = flush_due.min(matching.keeper.due(&matching.positions).unwrap_or(flush_due));
            match inbox.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Command::Match(block)) => self.match_block(&block, &mut matching),
                Ok(Command::Known(known)) => matching.known = known,
                Ok(Command::Recovered) => matching.is_live = true,
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if matching.is_live => self.let_time_pass(&mut matching),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= flush_due {
                self.flush();
                flush_due = Instant::now() + FLUSH_INTERVAL;
            }
            self.keep(&mut matching, false);
        }
        self.flush();
        self.keep(&mut matching, true);
    }

    /// Keeps the state of correlations; unless `at_once`, only when it is time.
    fn keep(&self, matching: &mut Matching, at_once: bool) {
        // Alerts stored by now are in the state as raised.
        let alerts = self.shared.alerts.lock().unwrap_or_else(PoisonError::into_inner).end;
        if alerts > 0 && !matching.positions.is_empty() {
            matching.positions.insert(alert_table(), alerts);
        }
        let Matching { correlator, positions, keeper, .. } = matching;
        if if at_once { keeper.keep_now(correlator, positions) } else { keeper.keep(correlator, positions) } {
            self.shared.cursors.set_kept(positions);
            self.shared.alerts.lock().unwrap_or_else(PoisonError::into_inner).kept = Some(alerts);
        }
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

    fn match_block(&self, block: &Block, matching: &mut Matching) {
        let (table, end) = (&block.header.shard.table, block.header.end_seq());
        if self.shared.cursors.is_stalled(table) {
            self.tell_stalled(table, "see the first alarm");
        } else {
            self.renew(&mut matching.correlator);
            // MONITOR-2: what the last run matched, correlations see again; what it stored is not raised again.
            let again = self.shared.cursors.is_matched(table, end);
            let Matching { correlator, known, throttle, .. } = matching;
            let mut admit = |rule: &Rule, id: &str| (!known.contains(id)).then(|| self.throttle(rule, throttle));
            let mut raised = alert::raise(correlator, block, self.clock.now(), again, &mut admit);
            let (now, metrics) = (self.clock.now(), &self.shared.metrics);
            raised.iter_mut().for_each(|one| matching.repeats.note(one, now, metrics));
            match alert::rows(&self.alert_schema, &raised) {
                None if again => {}
                None => self.shared.cursors.set_matched(table, end),
                Some(rows) => {
                    let key = self.key(table, end, again, &raised);
                    if !self.store_and_deliver(rows, raised, block, &key) {
                        matching.keeper.spoil();
                    }
                }
            }
            self.tell_given_up(&mut matching.correlator);
            matching.positions.insert(table.clone(), end);
        }
        let rows = u64::from(block.header.num_rows);
        self.shared.metrics.add(Metric::MonitorEvents, rows);
        self.shared.backlog_rows.fetch_sub(rows, Ordering::Relaxed);
    }

    /// While no block comes: what correlations awaited is decided by the time that passes. An absence of everything is
    /// one, too.
    fn let_time_pass(&self, matching: &mut Matching) {
        self.renew(&mut matching.correlator);
        let Matching { correlator, known, throttle, .. } = &mut *matching;
        let mut admit = |rule: &Rule, id: &str| (!known.contains(id)).then(|| self.throttle(rule, throttle));
        let now = self.clock.now();
        let mut raised = alert::decide(correlator, now, now, &mut admit);
        raised.iter_mut().for_each(|one| matching.repeats.note(one, now, &self.shared.metrics));
        let Some(rows) = alert::rows(&self.alert_schema, &raised) else { return };
        match self.store(&self.key(&alert_table(), 0, true, &raised), &rows) {
            Ok(()) => raised.into_iter().filter(Raised::is_told).for_each(|one| self.deliver(one)),
            Err(error) => {
                let text = format!("Alerts of correlations could not be stored ({error}): the next start raises them.");
                self.alarms.raise(Alarm {
                    kind: AlarmKind::DetectionStalled,
                    subject: "correlations".to_owned(),
                    text,
                });
                matching.keeper.spoil();
            }
        }
    }

    /// Counts what correlations gave up, and tells people of those that forgot events.
    fn tell_given_up(&self, correlator: &mut Correlator) {
        for (rule, Counters { too_late, evicted, redefined }) in correlator.newly_given_up() {
            let count = |reason, number| {
                self.shared.metrics.add_labelled(Metric::MonitorCorrelationGivenUp, reason, number);
            };
            count("too_late", too_late);
            let metadata = &correlator.rules().rules()[rule].metadata;
            if redefined > 0 {
                count("redefined", redefined);
                tracing::info!(rule_id = %metadata.id, events = redefined, "a correlation was changed and counts anew");
            }
            if evicted == 0 {
                continue;
            }
            count("evicted", evicted);
            let (title, subject) = (&metadata.title, metadata.id.to_string());
            let text = format!("{title} ({subject}) has more events to keep than it may, and forgets the oldest.");
            self.alarms.raise(Alarm { kind: AlarmKind::CorrelationsShort, subject, text });
        }
    }

    /// Whether an alert of a rule is short because the rule raises too many, which is told once a minute.
    fn throttle(&self, rule: &Rule, throttle: &mut Throttle) -> Length {
        let rule = (&rule.metadata.id, rule.metadata.title.as_str());
        match throttle.admits(rule, self.clock.now(), &self.shared.metrics, &*self.alarms) {
            true => Length::Full,
            false => Length::Short,
        }
    }

    /// The key of the commit with a block's alerts: it moves the cursor, unless the cursor is beyond the block already.
    fn key(&self, table: &TableName, end: Seq, again: bool, raised: &[Raised]) -> IdempotencyKey {
        let key = self.shared.cursors.key(table, end);
        match raised.first() {
            Some(first) if again => IdempotencyKey {
                producer: format!("{AGAIN_PRODUCER_PREFIX}{}", first.alert.id),
                sequence: 1,
                life: KeyLife::Request,
                ..key
            },
            _ => key,
        }
    }

    /// MONITOR-1: the alerts and the cursor in one commit, and delivery only then. Alerts that cannot be stored stop
    /// the cursor of their table: the next start matches from there. Whether they are stored.
    fn store_and_deliver(&self, rows: ParsedBatch, raised: Vec<Raised>, block: &Block, key: &IdempotencyKey) -> bool {
        let (table, end) = (&block.header.shard.table, block.header.end_seq());
        match self.store(key, &rows) {
            Ok(()) => {
                self.shared.cursors.set_stored(table, end);
                self.shared.metrics.observe(Metric::MonitorLatency, self.clock.now().since(block.header.ingest_time));
                raised.into_iter().filter(Raised::is_told).for_each(|one| self.deliver(one));
                true
            }
            Err(error) => {
                self.shared.cursors.stall(table);
                self.tell_stalled(table, &error.to_string());
                false
            }
        }
    }

    /// Tells people that a table is matched no further. While it goes on, they hear of it again.
    fn tell_stalled(&self, table: &TableName, reason: &str) {
        let text = format!("Alerts of {table} could not be stored ({reason}). It is matched no further.");
        self.alarms.raise(Alarm { kind: AlarmKind::DetectionStalled, subject: table.to_string(), text });
    }

    /// Stores alerts, trying again while the store asks for it.
    fn store(&self, key: &IdempotencyKey, rows: &ParsedBatch) -> Result<(), PortError> {
        let mut tries = 0;
        loop {
            let submission =
                Submission { batches: vec![rows.clone()], quarantined: Vec::new(), key: Some(key.clone()) };
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
