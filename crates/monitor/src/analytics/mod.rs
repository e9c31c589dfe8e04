//! Runs analytics rules: queries over windows of event time, or over the rows that arrived since the last run.
//!
//! ```text
//! progress (mark of the rule's producer in the journal) ─► next span ─► query ─► alerts + record of the evaluation in
//! one commit that moves the mark ─► delivery
//! ```
//! A span is evaluated once: the commit that stores its alerts and its record is the one that moves the mark
//! (MONITOR-1), so a crash leaves either both or neither. Spans that were missed while nothing ran are evaluated one by
//! one; those beyond the longest look back are named in a record of their own. The record of every evaluation is a row
//! of `MonetaHealth` with the component `analytics`. Nothing here reads a rule file or decides what a query may see.

mod explain;
mod history;
mod raise;
mod span;

pub use explain::{QueryExplanation, explain};
pub use history::{Past, PastAlert, alerts_at, replay};
pub use span::LATENESS;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use moneta_base::{Clock, ErrorKind, Seq, SourceName, TableName, TenantId, Timestamp};
use moneta_event::catalog::table;
use moneta_event::{BatchBuilder, Block, Delivery, ParsedBatch, RecordClass, TableSchema, Value};
use moneta_ports::{
    Alarm, AlarmKind, AlarmSink, AlertDelivery, BlockSubscriber, BoxFuture, EventSink, IdempotencyKey, KeyLife, Metric,
    Metrics, OpContext, QueryAnswer, QueryEngine, QueryError, QueryRequest, Submission,
};
use moneta_rules::analytics::{AnalyticsRule, Arrival};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::alert::{self, Raised};
use crate::repeats::Repeats;
use crate::throttle::Throttle;
use span::{Due, Plan, Span};

/// Time between two looks at which windows are due.
const TICK: Duration = Duration::from_secs(1);
/// Time between two looks at what came for rules on arriving rows.
const ARRIVAL_TICK: Duration = Duration::from_millis(500);
/// Tries to evaluate a span after which people hear that it does not succeed.
const TRIES_TOLD: u32 = 8;
/// How long a span that runs into a limit of its own, such as the longest time, is tried again. What does not fit by then
/// will not, and must not hold up the windows after it, nor other rules: those of the same rule have one try each until
/// one fits.
const LIMITED_MAX: Duration = Duration::from_secs(900);
/// The longest pause between two tries, in seconds.
const PAUSE_SECONDS_MAX: u64 = 60;
/// Spans of one rule evaluated before the next rule has its turn.
const SPANS_PER_TURN: usize = 16;
/// Tables whose rows come from what runs here: rules on their arrival would feed on themselves.
const NEVER_ON_ARRIVAL: [&str; 4] =
    [table::SECURITY_ALERT, table::SECURITY_INCIDENT, table::MONETA_HEALTH, table::MONETA_AUDIT];
/// Kusto's code for a query that found no memory because others have it.
const LOW_MEMORY: &str = "E_LOW_MEMORY_CONDITION";
/// Characters of a reason that a record keeps.
const REASON_CHARS_MAX: usize = 1_000;

/// Tells how far a producer is in the journal.
pub type Marks = Arc<dyn Fn(String) -> BoxFuture<'static, Option<u64>> + Send + Sync>;

/// What analytics rules run with.
pub struct AnalyticsParts {
    /// What answers the queries.
    pub queries: Arc<dyn QueryEngine>,
    /// Where alerts and records are stored.
    pub events: Arc<dyn EventSink>,
    /// How far a producer is in the journal.
    pub marks: Marks,
    /// Where alerts go once they are stored.
    pub delivery: Arc<dyn AlertDelivery>,
    /// Who hears that a rule cannot be evaluated.
    pub alarms: Arc<dyn AlarmSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The columns of `SecurityAlert`.
    pub alert_schema: Arc<TableSchema>,
    /// The columns of `MonetaHealth`.
    pub health_schema: Arc<TableSchema>,
    /// How long after its end a window of event time is evaluated.
    pub lateness: Duration,
    /// Whose data it is: part of the identity of the marks.
    pub tenant: TenantId,
    /// Per table the sequence after its last row.
    pub heads: BTreeMap<TableName, Seq>,
    /// How long people hear once of the same rule about the same entities; of every alert when it is zero.
    pub quiet: Duration,
}

/// Runs analytics rules. Share it in an `Arc`.
pub struct Analytics {
    parts: AnalyticsParts,
    rules: Mutex<Arc<Vec<Planned>>>,
    heads: Mutex<BTreeMap<TableName, Seq>>,
    /// Per producer what is known of its progress.
    known: Mutex<HashMap<String, Known>>,
    throttle: Mutex<Throttle>,
    repeats: Mutex<Repeats>,
    stopping: AtomicBool,
    wake: Notify,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

/// Which rules one worker runs: a window that takes long must not hold up what looks at rows as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Rules on arriving rows.
    Arrival,
    /// Rules over windows.
    Windows,
}

impl Part {
    fn has(self, planned: &Planned) -> bool {
        (self == Self::Arrival) == planned.plan.table().is_some()
    }

    fn tick(self) -> Duration {
        match self {
            Self::Arrival => ARRIVAL_TICK,
            Self::Windows => TICK,
        }
    }
}

/// A rule and how it runs: one of its tables, where it looks at several as their rows come.
struct Planned {
    rule: AnalyticsRule,
    plan: Plan,
    /// Where a rule begins that has no progress yet: rows from before it came are not looked at on arrival.
    begin: Seq,
}

/// What memory holds of the progress of a rule; the journal has the truth.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The end of the last span; `None` before the first.
    end: Option<u64>,
    /// Until when the rule rests.
    rests_until: Option<Timestamp>,
    /// Tries in a row to evaluate the next span that did not succeed.
    tries: u32,
    /// When the first of them was.
    first_try: Timestamp,
    /// Whether the last span was given up for a limit of its own.
    is_limited: bool,
    /// When the next is due.
    next_try: Timestamp,
}

impl Known {
    /// After a try more that did not succeed. The first comes again at once, each further one waits twice as long.
    fn tried(self, now: Timestamp) -> Self {
        let tries = self.tries.saturating_add(1);
        let pause = 1_u64.checked_shl(tries).map_or(PAUSE_SECONDS_MAX, |pause| pause.min(PAUSE_SECONDS_MAX));
        let pause = Duration::from_secs(if tries == 1 { 0 } else { pause });
        let first_try = if self.tries == 0 { now } else { self.first_try };
        Self { tries, first_try, next_try: now.saturating_add(pause), ..self }
    }

    /// Whether a query that gave no answer would give none either when it is asked again. What another query's memory, a
    /// person or the disk is to blame for passes; what runs into a limit of its own may have run beside too much.
    fn gives_up(&self, error: &QueryError, now: Timestamp) -> bool {
        match error {
            QueryError::Cancelled(_) => false,
            QueryError::Limit { code, .. } if *code == LOW_MEMORY => false,
            QueryError::Limit { .. } => self.is_limited || (self.tries > 0 && now.since(self.first_try) >= LIMITED_MAX),
            error => error.kind() == ErrorKind::Caller,
        }
    }
}

impl Analytics {
    /// Starts running rules; there are none until [`Self::set_rules`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(parts: AnalyticsParts) -> Arc<Self> {
        let analytics = Self::idle(parts);
        let workers = [Part::Arrival, Part::Windows].map(|part| tokio::spawn(analytics.clone().run(part)));
        *analytics.workers.lock().unwrap_or_else(PoisonError::into_inner) = workers.into();
        analytics
    }

    async fn run(self: Arc<Self>, part: Part) {
        while !self.stopping.load(Ordering::Relaxed) {
            let begun = Instant::now();
            self.turn_of(part).await;
            // Queries of people keep at least half of the time.
            let pause = part.tick().max(begun.elapsed());
            let mut woken = std::pin::pin!(self.wake.notified());
            // From here on a call to wake is not missed, and one before it has set `stopping`.
            woken.as_mut().enable();
            if !self.stopping.load(Ordering::Relaxed) {
                let _ = tokio::time::timeout(pause, woken).await;
            }
        }
    }

    /// One that runs only when [`Self::turn`] is called.
    #[must_use]
    pub fn idle(mut parts: AnalyticsParts) -> Arc<Self> {
        let heads = Mutex::new(std::mem::take(&mut parts.heads));
        let repeats = Mutex::new(Repeats::new(parts.quiet));
        Arc::new(Self {
            parts,
            rules: Mutex::default(),
            heads,
            known: Mutex::default(),
            throttle: Mutex::default(),
            repeats,
            stopping: AtomicBool::new(false),
            wake: Notify::new(),
            workers: Mutex::default(),
        })
    }

    /// How a rule runs on arriving rows, if it does: not on tables whose rows come from running rules.
    #[must_use]
    pub fn arrival_of(rule: &AnalyticsRule) -> Option<Arrival> {
        rule.arrival().filter(|arrival| arrival.tables().iter().all(|table| !NEVER_ON_ARRIVAL.contains(table)))
    }

    /// Runs these rules from now on.
    pub fn set_rules(&self, rules: &[AnalyticsRule]) {
        let before = self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let planned = |rule: &AnalyticsRule, plan: Plan| {
            let producer = plan.producer(rule);
            let known = before.iter().find(|one| one.plan.producer(&one.rule) == producer).map(|one| one.begin);
            let begin = known.unwrap_or_else(|| plan.table().map_or(0, |table| self.head(table)));
            Planned { rule: rule.clone(), plan, begin }
        };
        let planned =
            |rule: &AnalyticsRule| Plan::of(rule).into_iter().map(|plan| planned(rule, plan)).collect::<Vec<_>>();
        let rules = Arc::new(rules.iter().flat_map(planned).collect());
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Everything that is wrong with a rule's query; empty when it can run.
    ///
    /// # Errors
    /// When the query engine cannot say.
    pub fn problems(&self, rule: &AnalyticsRule) -> Result<Vec<String>, QueryError> {
        query_problems(&*self.parts.queries, rule)
    }

    /// Finishes the evaluations under way and stops.
    pub async fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.wake.notify_waiters();
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            if let Err(error) = worker.await {
                tracing::error!(%error, "a worker of analytics rules did not end in order");
            }
        }
    }

    /// Evaluates what is due, each rule a bounded number of spans.
    pub async fn turn(&self) {
        self.turn_of(Part::Arrival).await;
        self.turn_of(Part::Windows).await;
    }

    async fn turn_of(&self, part: Part) {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for planned in rules.iter().filter(|planned| part.has(planned)) {
            for _ in 0..SPANS_PER_TURN {
                if self.stopping.load(Ordering::Relaxed) || !self.step(planned).await {
                    break;
                }
            }
        }
    }

    /// Evaluates the next span of a rule; whether there may be another.
    async fn step(&self, planned: &Planned) -> bool {
        let producer = planned.plan.producer(&planned.rule);
        let mut known = self.known(&producer, planned).await;
        if known.end.is_none() && planned.begin > 0 {
            // The mark says where the rule began, also after a crash.
            return self.commit(&producer, planned.begin, Vec::new(), known).await;
        }
        let now = self.parts.clock.now();
        let head = planned.plan.table().map(|table| self.head(table));
        let Some(due) =
            planned.plan.next(known.end, (now, self.parts.lateness), head).filter(|_| known.next_try <= now)
        else {
            return false;
        };
        let span = due.span;
        let begun = Instant::now();
        let outcome = match known.rests_until {
            Some(until) if span.at < until => Outcome::Rests(until),
            _ => match self.parts.queries.query(&context(), span.request(&planned.rule, &planned.plan)).await {
                Ok(answer) if !answer.completeness.not_read.is_empty() => {
                    let reason = format!("not everything could be read: {}", answer.completeness.not_read.join("; "));
                    return self.put_off(planned, &producer, &span, reason, begun.elapsed()).await;
                }
                Ok(answer) => {
                    known.is_limited = false;
                    Outcome::Answered(Box::new(answer))
                }
                Err(error) if known.gives_up(&error, now) => {
                    known.is_limited = matches!(error, QueryError::Limit { .. });
                    Outcome::Failed(error.to_string())
                }
                Err(error) => {
                    return self.put_off(planned, &producer, &span, error.to_string(), begun.elapsed()).await;
                }
            },
        };
        self.record(planned, &producer, &due, outcome, begun.elapsed(), known).await
    }

    /// Notes that a span could not be evaluated now. It is tried again, as a gap would be worse, unless it runs into limits
    /// of its own again and again. When that goes on, there is a record and an alarm.
    async fn put_off(&self, planned: &Planned, producer: &str, span: &Span, reason: String, elapsed: Duration) -> bool {
        let rule = &planned.rule;
        tracing::warn!(rule = %rule.metadata.id, reason, "a rule could not be evaluated; it is tried again");
        let tries = {
            let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let known = all.entry(producer.to_owned()).or_default();
            *known = known.tried(self.parts.clock.now());
            known.tries
        };
        if tries != TRIES_TOLD {
            return false;
        }
        self.tell_failed(rule, &format!("{tries} times in a row, and is tried again: {reason}"));
        let record = self.evaluation(rule, span, &Outcome::PutOff(reason), 0, elapsed);
        let submission = Submission { batches: record.into_iter().collect(), ..Submission::default() };
        if let Err(error) = self.parts.events.submit(submission).await {
            tracing::warn!(error = %error, "the record of an evaluation that is put off could not be stored");
        }
        false
    }

    fn tell_failed(&self, rule: &AnalyticsRule, reason: &str) {
        let subject = rule.metadata.id.to_string();
        let text = format!("{} ({subject}) could not be evaluated: {reason}", rule.metadata.title);
        self.parts.alarms.raise(Alarm { kind: AlarmKind::RuleFailed, subject, text });
    }

    /// Stores what an evaluation found, and its record, and delivers.
    async fn record(
        &self,
        planned: &Planned,
        producer: &str,
        due: &Due,
        outcome: Outcome,
        elapsed: Duration,
        mut known: Known,
    ) -> bool {
        let (rule, span) = (&planned.rule, &due.span);
        let mut raised: Vec<Raised> = Vec::new();
        if let Outcome::Answered(answer) = &outcome
            && rule.trigger.holds(num_rows(answer))
        {
            let alerts = raise::raise(rule, planned.plan.table(), span, answer, self.parts.clock.now());
            raised = alerts.into_iter().map(Raised::from).collect();
            raised.iter_mut().for_each(|one| self.quieten(one));
            known.rests_until = rule.suppression.map(|rest| span.at.saturating_add(rest));
        }
        let skipped = due.skipped.and_then(|windows| self.skipped(rule, span, windows));
        let record = self.evaluation(rule, span, &outcome, raised.len(), elapsed);
        let batches = alert::rows(&self.parts.alert_schema, &raised).into_iter().chain(skipped).chain(record).collect();
        if !self.commit(producer, span.end, batches, known).await {
            return false;
        }
        if let Outcome::Failed(reason) = &outcome {
            self.tell_failed(rule, reason);
        }
        for one in raised.into_iter().filter(Raised::is_told) {
            self.parts.metrics.add_labelled(Metric::MonitorAlerts, &one.alert.level, 1);
            if let Err(error) = self.parts.delivery.deliver(one.alert).await {
                tracing::error!(error = %error, "an alert is stored but could not be handed to delivery");
            }
        }
        true
    }

    /// Shortens an alert of a rule that raises too many, and says so once a minute; marks one that repeats another.
    fn quieten(&self, raised: &mut Raised) {
        let rule = (&raised.alert.rule_id, raised.alert.rule_title.as_str());
        let (now, metrics) = (self.parts.clock.now(), &self.parts.metrics);
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        if !throttle.admits(rule, now, metrics, &*self.parts.alarms) {
            raised.shorten();
        }
        // Of what is about nobody it cannot be said that it is about the same.
        if !raised.entities().is_empty() {
            self.repeats.lock().unwrap_or_else(PoisonError::into_inner).note(raised, now, metrics);
        }
    }

    /// Moves the mark of a rule together with what was found.
    async fn commit(&self, producer: &str, end: u64, batches: Vec<ParsedBatch>, known: Known) -> bool {
        let epoch = u128::from_be_bytes(*self.parts.tenant.as_bytes());
        let key = IdempotencyKey { producer: producer.to_owned(), epoch, sequence: end, life: KeyLife::Producer };
        let submission = Submission { batches, key: Some(key), ..Submission::default() };
        let stored = self.parts.events.submit(submission).await;
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match stored {
            Ok(_) => {
                all.insert(
                    producer.to_owned(),
                    Known {
                        end: Some(end),
                        rests_until: known.rests_until,
                        is_limited: known.is_limited,
                        ..Known::default()
                    },
                );
                true
            }
            Err(error) => {
                // It may be stored all the same: the journal is asked before the next try.
                all.remove(producer);
                tracing::warn!(error = %error, producer, "an evaluation could not be stored; it is tried again");
                false
            }
        }
    }

    async fn known(&self, producer: &str, planned: &Planned) -> Known {
        let remembered = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(producer).copied();
        if let Some(known) = remembered {
            return known;
        }
        let end = (self.parts.marks)(producer.to_owned()).await;
        let rests_until = match planned.rule.suppression {
            Some(rest) => self.last_alert(&planned.rule).await.map(|last| last.saturating_add(rest)),
            None => None,
        };
        let known = Known { end, rests_until, ..Known::default() };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(producer.to_owned(), known);
        known
    }

    /// When a rule alerted last, by the records of its evaluations.
    async fn last_alert(&self, rule: &AnalyticsRule) -> Option<Timestamp> {
        let id = json!(rule.metadata.id.as_str());
        let text = format!(
            "MonetaHealth | where Component == 'analytics' and tostring(Details.Outcome) == 'alert' and \
             tostring(Details.RuleId) == {id} | summarize At = max(TimeGenerated) | where isnotnull(At) \
             | project Seconds = tolong((At - datetime(1970-01-01)) / 1s)"
        );
        let answer = self.parts.queries.query(&context(), QueryRequest::new(text)).await;
        let answer =
            answer.inspect_err(|error| tracing::warn!(error = %error, "the last alert of a rule is not known"));
        let answer = answer.ok()?;
        let batch = answer.tables.first()?.batches.iter().find(|batch| batch.num_rows() > 0)?;
        let seconds = batch.column(0).as_primitive_opt::<Int64Type>()?;
        (!seconds.is_null(0)).then(|| Timestamp::from_seconds(seconds.value(0)))
    }

    fn head(&self, table: &TableName) -> Seq {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).get(table).copied().unwrap_or(0)
    }

    /// The record of an evaluation.
    ///
    /// # Shapes
    /// One row of `MonetaHealth`: `Value` is the number of rows, `Details` an object with `RuleId`, `RuleTitle`, `From`
    /// and `To` (of the span), `Outcome` (`no-alert`, `alert`, `rests`, `failed`, `put-off`), `Alerts`, `DurationMs`,
    /// `RowsRead`, `PiecesRecalled` (blocks and row groups of which was kept what the query makes of them), `Reason`.
    fn evaluation(
        &self,
        rule: &AnalyticsRule,
        span: &Span,
        outcome: &Outcome,
        num_alerts: usize,
        elapsed: Duration,
    ) -> Option<ParsedBatch> {
        let short = |reason: &str| reason.chars().take(REASON_CHARS_MAX).collect();
        let (name, rows, reason) = match outcome {
            Outcome::Answered(answer) => {
                let name = if num_alerts > 0 { "alert" } else { "no-alert" };
                (name, num_rows(answer), answer.truncated.as_ref().map(ToString::to_string).unwrap_or_default())
            }
            Outcome::Rests(until) => ("rests", 0, format!("the rule rests until {until} after its last alert")),
            Outcome::PutOff(reason) => ("put-off", 0, short(reason)),
            Outcome::Failed(reason) => {
                tracing::error!(rule = %rule.metadata.id, reason, "an analytics rule failed");
                ("failed", 0, short(reason))
            }
        };
        let (from, to) = span.bounds();
        let (read, recalled) = match outcome {
            Outcome::Answered(answer) => (answer.completeness.rows_scanned, answer.completeness.pieces_recalled),
            _ => (0, 0),
        };
        let details = json!({
            "RuleId": rule.metadata.id.as_str(), "RuleTitle": rule.metadata.title, "From": from, "To": to,
            "Outcome": name, "Alerts": num_alerts, "DurationMs": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "RowsRead": read, "PiecesRecalled": recalled, "Reason": reason,
        });
        self.health_row(span, rows, &details)
    }

    /// The record of windows that are too old to be evaluated: as that of an evaluation, with the outcome `skipped`.
    /// `From` is where the last evaluated window ended, `To` the end of the last one left out.
    fn skipped(&self, rule: &AnalyticsRule, span: &Span, (from, to): (Timestamp, Timestamp)) -> Option<ParsedBatch> {
        tracing::warn!(rule = %rule.metadata.id, %from, %to, "windows of a rule are too old to be evaluated");
        let details = json!({
            "RuleId": rule.metadata.id.as_str(), "RuleTitle": rule.metadata.title, "From": from.to_string(),
            "To": to.to_string(), "Outcome": "skipped", "Alerts": 0, "DurationMs": 0,
            "Reason": "nothing evaluated the rule for longer than missed windows are filled",
        });
        self.health_row(span, 0, &details)
    }

    fn health_row(&self, span: &Span, num_rows: u64, details: &serde_json::Value) -> Option<ParsedBatch> {
        let schema = self.parts.health_schema.clone();
        let mut builder = BatchBuilder::new(schema, RecordClass::Processed, Delivery::ExactlyOnce);
        builder.set_field("Component", Value::Text("analytics"));
        builder.set_field("Metric", Value::Text("evaluation"));
        builder.set_field("Value", Value::Real(num_rows as f64));
        builder.set_field("Unit", Value::Text("rows"));
        builder.set_field("Details", Value::Json(&details.to_string()));
        builder.finish_row(span.at, &SourceName::lossy(crate::alert::SOURCE), "");
        builder.finish()
    }
}

/// Everything that is wrong with a rule's query, by what an engine knows; empty when it can run.
///
/// # Errors
/// When the engine cannot say.
pub fn query_problems(engine: &dyn QueryEngine, rule: &AnalyticsRule) -> Result<Vec<String>, QueryError> {
    let found = engine.diagnose(&context(), &rule.query)?;
    Ok(found.into_iter().map(|one| format!("query, byte {}: {}: {}", one.start, one.code, one.message)).collect())
}

/// How an evaluation ended.
enum Outcome {
    Answered(Box<QueryAnswer>),
    /// The rule rests until then.
    Rests(Timestamp),
    /// Not now: it is tried again.
    PutOff(String),
    /// The query can never run so.
    Failed(String),
}

fn num_rows(answer: &QueryAnswer) -> u64 {
    answer.tables.first().map_or(0, |table| table.num_rows() as u64)
}

fn context() -> OpContext {
    OpContext::service("analytics")
}

impl BlockSubscriber for Analytics {
    fn on_block(&self, block: &Arc<Block>) {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let head = heads.entry(block.header.shard.table.clone()).or_default();
        *head = block.header.end_seq().max(*head);
    }

    fn backlog_rows(&self) -> u64 {
        0
    }

    /// Rules read through queries, from wherever rows lie.
    fn needs_from(&self, _: &TableName) -> Seq {
        Seq::MAX
    }
}
