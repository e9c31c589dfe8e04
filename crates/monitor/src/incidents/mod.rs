//! Incidents: alerts that belong together, and what people made of them.
//!
//! ```text
//! block of SecurityAlert ─► one transaction: incident + alert + activity + cursor + version to write ─► SecurityIncident
//! change of a person ─► audit row ─► one transaction: incident + activity + version to write ─────────┘
//! ```
//! An alert joins one incident, once, also when its block comes again after a crash: the alert's id is unique, and the
//! cursor is in the same transaction (INCIDENT-1). Every version of an incident becomes one row of `SecurityIncident`, in
//! order: the versions wait in the metastore, and the mark of their producer in the journal says which are rows already.
//! Alerts that cannot be grouped wait for the next start, and an alarm says so while they do. Nothing here raises an alert
//! of a rule or decides who may change what.

mod change;
mod facts;
mod grouping;
mod join;
mod risk;
mod row;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moneta_base::{Clock, ErrorKind, Seq, TableName, TenantId, Timestamp};
use moneta_event::catalog::table;
use moneta_event::{Block, TableSchema};
use moneta_metastore::{Error, IncidentSelection, Metastore};
use moneta_ports::{
    Alarm, AlarmKind, AlarmSink, AuditSink, BlockSubscriber, BoxFuture, Classification, EntityRisk, EventSink,
    IdempotencyKey, Incident, IncidentChange, IncidentDetails, IncidentError, IncidentFilter, IncidentPage, Incidents,
    JudgedAlert, KeyLife, OpContext, PortError, RuleJudgement, Submission,
};
use moneta_rules::analytics::IncidentSettings;
use tokio::runtime::Handle;

use crate::Marks;
use join::{incident_of, json, rank, stored};

/// The producer of rows of `SecurityIncident`. No table has such a name, so it is no rule cursor.
const PRODUCER: &str = "monitor/#incidents";
/// Versions that become rows in one commit at most.
const ROWS_AT_ONCE_MAX: usize = 256;
/// Time between two tries of what failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two reminders that alerts wait for the next start.
const REMINDER_INTERVAL: Duration = Duration::from_secs(60);
/// Tries to group the alerts of a block while the metastore is busy; then they wait for the next start.
const TRIES_MAX: u32 = 60;
/// What incidents were closed as whose alerts speak against nobody.
const SPEAKS_AGAINST_NOBODY: [Classification; 2] = [Classification::BenignPositive, Classification::FalsePositive];
/// Incidents beyond which the oldest closed ones go, with their alerts; their rows stay. One that is open stays,
/// however many there are.
const INCIDENTS_MAX: usize = 100_000;
/// Alerts that risks are computed of at most, the newest.
const RISK_ALERTS_MAX: usize = 50_000;
/// Alerts of a rule and a verdict that are given to whoever tunes it, the newest.
const JUDGED_ALERTS_MAX: usize = 100;
/// Incidents of one page of a list at most.
const PAGE_MAX: usize = 500;

/// Tells how a rule wants its alerts grouped; `None` for rules that say nothing of it.
pub type IncidentSettingsOf = Arc<dyn Fn(&str) -> Option<IncidentSettings> + Send + Sync>;

/// What incidents are kept with.
pub struct IncidentParts {
    /// Where they are kept.
    pub metastore: Arc<Metastore>,
    /// Where their rows are stored.
    pub events: Arc<dyn EventSink>,
    /// How far a producer is in the journal.
    pub marks: Marks,
    /// Who did what.
    pub audit: Arc<dyn AuditSink>,
    /// Who hears of alerts that cannot be grouped.
    pub alarms: Arc<dyn AlarmSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The columns of `SecurityIncident`.
    pub schema: Arc<TableSchema>,
    /// Whose data it is: part of the identity of the rows.
    pub tenant: TenantId,
    /// How rules want their alerts grouped.
    pub settings: IncidentSettingsOf,
}

/// Keeps incidents. Share it in an `Arc`.
pub struct IncidentBook {
    shared: Arc<Shared>,
    commands: Sender<Command>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// One change by people at a time: between its audit row and its effect nothing else comes.
    changing: tokio::sync::Mutex<()>,
}

struct Shared {
    parts: IncidentParts,
    /// The `_Seq` after the last alert dealt with; `None` before the first.
    cursor: Mutex<Option<Seq>>,
    backlog_rows: AtomicU64,
    /// Held while an incident is read, changed and written.
    writing: Mutex<()>,
}

enum Command {
    Alerts(Arc<Block>),
    Publish,
    Stop,
}

impl IncidentBook {
    /// Starts the thread that groups alerts and writes rows.
    ///
    /// # Errors
    /// When the metastore cannot be read, or the operating system gives no thread.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(parts: IncidentParts) -> Result<Arc<Self>, PortError> {
        let cursor = parts.metastore.incident_cursor().map_err(failed)?;
        let shared = Arc::new(Shared {
            parts,
            cursor: Mutex::new(cursor),
            backlog_rows: AtomicU64::new(0),
            writing: Mutex::default(),
        });
        let (commands, inbox) = mpsc::channel();
        let (worker, runtime) = (shared.clone(), Handle::current());
        let thread =
            std::thread::Builder::new().name("incidents".to_owned()).spawn(move || worker.run(&inbox, &runtime));
        let thread = thread.map_err(|error| {
            PortError::caused_by(ErrorKind::OPERATOR, "no thread could be started for incidents", error)
        })?;
        let (thread, changing) = (Mutex::new(Some(thread)), tokio::sync::Mutex::default());
        Ok(Arc::new(Self { shared, commands, thread, changing }))
    }

    /// Works off what is queued and stops.
    pub async fn stop(&self) {
        let _ = self.commands.send(Command::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let joined = tokio::task::spawn_blocking(move || thread.join().is_ok()).await;
        if !matches!(joined, Ok(true)) {
            tracing::error!("the worker of incidents panicked");
        }
    }

    async fn change_one(
        &self,
        ctx: &OpContext,
        number: u64,
        version: Option<u64>,
        change: IncidentChange,
    ) -> Result<Incident, IncidentError> {
        let _one_at_a_time = self.changing.lock().await;
        let parts = &self.shared.parts;
        let found = parts.metastore.incident(number).map_err(failed)?;
        let before = incident_of(found.ok_or(IncidentError::NotFound(number))?).map_err(failed)?;
        check_version(&before, version)?;
        change::apply(&mut before.clone(), &change, &ctx.actor.name, parts.clock.now())
            .map_err(IncidentError::Refused)?;
        parts.audit.record(ctx, change::audit_event(&before, &change)).await?;
        let changed = self.shared.apply(ctx, number, version, &change)?;
        let _ = self.commands.send(Command::Publish);
        Ok(changed)
    }
}

fn check_version(incident: &Incident, version: Option<u64>) -> Result<(), IncidentError> {
    match version {
        Some(version) if version != incident.version => {
            Err(IncidentError::Conflict { number: incident.number, version: incident.version })
        }
        _ => Ok(()),
    }
}

impl Shared {
    fn run(&self, inbox: &Receiver<Command>, runtime: &Handle) {
        self.drop_rows_that_are_stored(runtime);
        let mut published = self.publish(runtime);
        // Why no more alerts are grouped.
        let mut stalled: Option<String> = None;
        loop {
            let wait = if published { REMINDER_INTERVAL } else { RETRY_INTERVAL };
            match inbox.recv_timeout(wait) {
                Ok(Command::Alerts(block)) => {
                    // INCIDENT-1: the cursor never passes a block that is in no incident.
                    if stalled.is_none() {
                        stalled = self.group(&block, runtime).err();
                    }
                    self.backlog_rows.fetch_sub(u64::from(block.header.num_rows), Ordering::Relaxed);
                }
                Ok(Command::Publish) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Some(reason) = &stalled {
                self.tell_stalled(reason);
            }
            published = self.publish(runtime);
        }
        self.publish(runtime);
    }

    /// Tells people that alerts join no incidents. While it goes on, they hear of it again.
    fn tell_stalled(&self, reason: &str) {
        let from = self.cursor.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_default();
        let text = format!("Alerts from _Seq {from} of SecurityAlert on could not be grouped: {reason}.");
        self.parts.alarms.raise(Alarm { kind: AlarmKind::IncidentsStalled, subject: "incidents".to_owned(), text });
    }

    /// INCIDENT-1: the alerts of a block join their incidents in the transaction that moves the cursor. The reason when
    /// that failed for good: the cursor stays where it is until the next start, which groups this block and all after it.
    fn group(&self, block: &Block, runtime: &Handle) -> Result<(), String> {
        let facts = facts::of_block(block);
        let passing = |error: &Error| matches!(error.kind(), ErrorKind::Environment { retry_after: Some(_) });
        let mut tries = 1;
        loop {
            match self.group_once(block, &facts) {
                Ok(()) => return Ok(()),
                Err(error) if passing(&error) && tries < TRIES_MAX => {
                    tracing::warn!(error = %error, "alerts could not be grouped; it is tried again");
                    runtime.block_on(async { tokio::time::sleep(RETRY_INTERVAL).await });
                    tries += 1;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn group_once(&self, block: &Block, facts: &[facts::Facts]) -> Result<(), Error> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let end = block.header.end_seq();
        let now = self.parts.clock.now();
        self.parts.metastore.change_incidents(|writer| {
            for one in facts {
                join::join(writer, one, (self.parts.settings)(&one.alert.rule_id).as_ref(), now)?;
            }
            if !facts.is_empty() {
                writer.forget(moneta_ports::IncidentStatus::Closed.name(), INCIDENTS_MAX)?;
            }
            writer.set_cursor(end)
        })?;
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        Ok(())
    }

    /// Applies a change that is audited, to the version that it is of.
    fn apply(
        &self,
        ctx: &OpContext,
        number: u64,
        version: Option<u64>,
        change: &IncidentChange,
    ) -> Result<Incident, IncidentError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.parts.clock.now();
        let outcome = self.parts.metastore.change_incidents(|writer| {
            let Some(found) = writer.incident(number)? else { return Ok(Err(IncidentError::NotFound(number))) };
            let mut incident = incident_of(found)?;
            // Alerts may have come while the change was audited: one that makes it worse or opens it makes a version.
            if let Err(conflict) = check_version(&incident, version) {
                return Ok(Err(conflict));
            }
            let done = match change::apply(&mut incident, change, &ctx.actor.name, now) {
                Ok(done) => done,
                Err(refused) => return Ok(Err(IncidentError::Refused(refused))),
            };
            writer.put(&stored(&incident)?)?;
            for one in &done {
                writer.add_activity(number, &json(one)?)?;
            }
            Ok(Ok(incident))
        });
        outcome.map_err(failed)?
    }

    /// After a crash some versions are rows already: the journal knows which.
    fn drop_rows_that_are_stored(&self, runtime: &Handle) {
        let Some(mark) = runtime.block_on((self.parts.marks)(PRODUCER.to_owned())) else { return };
        if let Err(error) = self.parts.metastore.change_incidents(|writer| writer.rows_done(mark)) {
            tracing::error!(error = %error, "incidents may not become rows until the next start");
        }
    }

    /// Makes rows of versions; whether none is left.
    fn publish(&self, runtime: &Handle) -> bool {
        loop {
            match self.publish_some(runtime) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "changes of incidents are not yet rows; it is tried again");
                    self.drop_rows_that_are_stored(runtime);
                    return false;
                }
            }
        }
    }

    fn publish_some(&self, runtime: &Handle) -> Result<usize, PortError> {
        let waiting = self.parts.metastore.incident_rows(ROWS_AT_ONCE_MAX).map_err(failed)?;
        let Some(last) = waiting.last().map(|row| row.id) else { return Ok(0) };
        let count = waiting.len();
        let versions: Result<Vec<Incident>, Error> =
            waiting.into_iter().map(|row| incident_of(row.definition)).collect();
        let batches = row::rows(&self.parts.schema, &versions.map_err(failed)?).into_iter().collect();
        let key = IdempotencyKey {
            producer: PRODUCER.to_owned(),
            epoch: u128::from_be_bytes(*self.parts.tenant.as_bytes()),
            sequence: last,
            life: KeyLife::Producer,
        };
        runtime.block_on(self.parts.events.submit(Submission { batches, key: Some(key), ..Submission::default() }))?;
        self.parts.metastore.change_incidents(|writer| writer.rows_done(last)).map_err(failed)?;
        Ok(count)
    }
}

impl BlockSubscriber for IncidentBook {
    fn on_block(&self, block: &Arc<Block>) {
        let header = &block.header;
        if header.shard.table.as_str() != table::SECURITY_ALERT {
            return;
        }
        let mut cursor = self.shared.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        if header.end_seq() <= *cursor.get_or_insert(header.first_seq) {
            return;
        }
        let rows = u64::from(header.num_rows);
        self.shared.backlog_rows.fetch_add(rows, Ordering::Relaxed);
        if self.commands.send(Command::Alerts(block.clone())).is_err() {
            // The journal keeps the block for the next start.
            self.shared.backlog_rows.fetch_sub(rows, Ordering::Relaxed);
        }
    }

    fn backlog_rows(&self) -> u64 {
        self.shared.backlog_rows.load(Ordering::Relaxed)
    }

    fn needs_from(&self, table: &TableName) -> Seq {
        let cursor = *self.shared.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        if table.as_str() == table::SECURITY_ALERT { cursor.unwrap_or(Seq::MAX) } else { Seq::MAX }
    }
}

impl Incidents for IncidentBook {
    fn list(&self, filter: &IncidentFilter) -> Result<IncidentPage, PortError> {
        let limit = filter.limit.clamp(1, PAGE_MAX);
        let selection = IncidentSelection {
            statuses: filter.statuses.iter().map(|status| status.name().to_owned()).collect(),
            severity_min: filter.severity_min.map(rank),
            owner: filter.owner.clone(),
            rule_id: filter.rule_id.clone(),
            text: filter.text.clone(),
            before: filter.before,
            limit: limit + 1,
        };
        let found = self.shared.parts.metastore.incidents(&selection).map_err(failed)?;
        let more = found.len() > limit;
        let incidents: Result<Vec<Incident>, Error> = found.into_iter().take(limit).map(incident_of).collect();
        let incidents = incidents.map_err(failed)?;
        let next = incidents.last().map(|last| last.number).filter(|_| more);
        Ok(IncidentPage { incidents, next })
    }

    fn get(&self, number: u64) -> Result<Option<IncidentDetails>, PortError> {
        let metastore = &self.shared.parts.metastore;
        let Some(found) = metastore.incident(number).map_err(failed)? else { return Ok(None) };
        let damaged = |error: serde_json::Error| Error::Damaged { what: "incident", problem: error.to_string() };
        let alerts = metastore.incident_alerts(number).map_err(failed)?;
        let alerts: Result<Vec<_>, _> = alerts.into_iter().map(serde_json::from_value).collect();
        let activity = metastore.incident_activity(number).map_err(failed)?;
        let activity: Result<Vec<_>, _> = activity.into_iter().map(serde_json::from_value).collect();
        Ok(Some(IncidentDetails {
            incident: incident_of(found).map_err(failed)?,
            alerts: alerts.map_err(damaged).map_err(failed)?,
            activity: activity.map_err(damaged).map_err(failed)?,
        }))
    }

    fn change<'a>(
        &'a self,
        ctx: &'a OpContext,
        number: u64,
        version: Option<u64>,
        change: IncidentChange,
    ) -> BoxFuture<'a, Result<Incident, IncidentError>> {
        Box::pin(self.change_one(ctx, number, version, change))
    }

    fn risks(&self, since: Timestamp, limit: usize) -> Result<Vec<EntityRisk>, PortError> {
        let parts = &self.shared.parts;
        let without = SPEAKS_AGAINST_NOBODY.map(Classification::name);
        let found = parts.metastore.alerts_since(since, &without, RISK_ALERTS_MAX).map_err(failed)?;
        let damaged = |error: serde_json::Error| Error::Damaged { what: "alert", problem: error.to_string() };
        let read =
            |(incident, alert): (u64, serde_json::Value)| serde_json::from_value(alert).map(|alert| (incident, alert));
        let alerts: Result<Vec<_>, _> = found.into_iter().map(read).collect();
        let alerts = alerts.map_err(damaged).map_err(failed)?;
        Ok(risk::risks(alerts, parts.clock.now(), limit.clamp(1, PAGE_MAX)))
    }

    fn judgements(&self, rule_id: Option<&str>) -> Result<BTreeMap<String, RuleJudgement>, PortError> {
        let metastore = &self.shared.parts.metastore;
        let verdicts = metastore.incident_classifications(rule_id).map_err(failed)?.into_iter();
        let verdicts: BTreeMap<u64, Option<Classification>> =
            verdicts.map(|(number, word)| (number, word.and_then(|word| Classification::parse(&word)))).collect();
        let mut judgements: BTreeMap<String, RuleJudgement> = BTreeMap::new();
        let mut delays: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let mut counted = None;
        for alert in metastore.alerts_of_rules(rule_id).map_err(failed)? {
            let judgement = judgements.entry(alert.rule_id.clone()).or_default();
            judgement.alerts += 1;
            delays.entry(alert.rule_id.clone()).or_default().extend(alert.delay_nanos);
            let place = (alert.rule_id, alert.incident);
            if counted.as_ref() != Some(&place) {
                judgement.count(verdicts.get(&place.1).copied().flatten());
                counted = Some(place);
            }
        }
        for (rule, mut delays) in delays.into_iter().filter(|(_, delays)| !delays.is_empty()) {
            delays.sort_unstable();
            let median = Duration::from_nanos(u64::try_from(delays[delays.len() / 2]).unwrap_or(0)).as_secs_f64();
            judgements.entry(rule).or_default().median_seconds_to_detect = Some(median);
        }
        Ok(judgements)
    }

    fn judged_alerts(&self, rule_id: &str) -> Result<Vec<JudgedAlert>, PortError> {
        let found = self.shared.parts.metastore.judged_alerts(rule_id, JUDGED_ALERTS_MAX).map_err(failed)?;
        let damaged = |error: serde_json::Error| Error::Damaged { what: "alert", problem: error.to_string() };
        let read = |(alert, word): (serde_json::Value, Option<String>)| {
            let classification = word.and_then(|word| Classification::parse(&word));
            serde_json::from_value(alert).map(|alert| JudgedAlert { alert, classification })
        };
        found.into_iter().map(read).collect::<Result<_, _>>().map_err(damaged).map_err(failed)
    }
}

fn failed(error: Error) -> PortError {
    PortError::caused_by(error.kind(), "the incidents could not be read or stored", error)
}
