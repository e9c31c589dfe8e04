//! Exceptions of rules: stored as settings, audited, in force until they end.
//!
//! While one is in force, it is a filter of the compiled set, or a last step of an analytics rule's query. A task looks
//! once in a while whether one has ended, and has the rules compiled anew.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use arrow::array::RecordBatch;
use moneta_base::{ErrorKind, RuleId, Seq, TableName, Timestamp};
use moneta_merkle::sha256;
use moneta_metastore::Setting;
use moneta_monitor::{Analytics, PastAlert, explain_query, replay};
use moneta_ports::{
    AuditEvent, AuditSink, BackfillMatch, BackfillSelection, EventExplanation, ExceptionCondition, ExceptionPreview,
    NewException, OpContext, PortError, QueryEngine, RuleException,
};
use moneta_rules::analytics::{AnalyticsRule, Schedule};
use moneta_rules::exception::{self, Comparison, Condition};
use moneta_rules::hunt::event_time;
use moneta_rules::ir::Body;
use moneta_rules::{CompiledRules, Rule};

use crate::backfill;
use crate::node::own_context;
use crate::rule_admin::{Rules, metastore_failed};
use crate::rule_trial::explanation;

/// Beginning of the settings that hold exceptions.
const PREFIX: &str = "rules.exception.";
/// Exceptions at most, those that have ended too.
const EXCEPTIONS_MAX: usize = 1_000;
/// How long an exception may hold.
const LIFE_MAX: Duration = Duration::from_secs(366 * 86_400);
/// How long one that has ended is kept for those who look.
const KEPT_AFTER_END: Duration = Duration::from_secs(90 * 86_400);
/// Time between two looks at what has ended.
const LOOK: Duration = Duration::from_secs(5);
/// The time that a preview of a rule over windows looks back, unless another is said, and the windows that it is to have.
const PREVIEW_TIME: Duration = Duration::from_secs(86_400);
const PREVIEW_WINDOWS: u32 = 14;
/// Rows around an event that the explanation of a correlation looks at.
const EXPLAINED_ROWS_MAX: u64 = 1_000_000;
/// Matches that a preview lists at most.
const LISTED_MAX: usize = 100;

/// What the conditions of a request say.
pub(crate) fn conditions(said: &[ExceptionCondition]) -> Result<Vec<Condition>, PortError> {
    let words: Vec<&str> = Comparison::ALL.iter().map(|(word, _)| *word).collect();
    let parse = |condition: &ExceptionCondition| {
        let comparison = Comparison::parse(&condition.test)
            .ok_or_else(|| refused(format!("there is no test {:?}; there are {}", condition.test, words.join(", "))))?;
        Ok(Condition { field: condition.field.clone(), comparison, values: condition.values.clone() })
    };
    let parsed = said.iter().map(parse).collect::<Result<Vec<_>, PortError>>()?;
    exception::check(&parsed).map_err(refused)?;
    Ok(parsed)
}

pub(crate) fn refused(message: String) -> PortError {
    PortError::new(ErrorKind::Caller, message)
}

/// Whether an exception holds at a time.
fn holds(exception: &RuleException, now: Timestamp) -> bool {
    Timestamp::parse(&exception.expires).is_some_and(|expires| now < expires)
}

impl Rules {
    /// All exceptions, the newest first.
    pub(crate) fn all_exceptions(&self) -> Result<Vec<RuleException>, PortError> {
        let settings = self.metastore.settings().map_err(metastore_failed)?;
        let now = self.clock.now();
        let mut found = Vec::new();
        for setting in settings.into_iter().filter(|setting| setting.key.starts_with(PREFIX)) {
            match serde_json::from_value::<RuleException>(setting.value) {
                Ok(exception) => found.push(RuleException { active: holds(&exception, now), ..exception }),
                // Without it there is an alert too many; to refuse all rules for it would be worse.
                Err(error) => {
                    tracing::error!(error = %error, setting = setting.key, "an exception is damaged and not applied");
                }
            }
        }
        found.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(found)
    }

    /// Those in force.
    pub(crate) fn exceptions_in_force(&self) -> Result<Vec<RuleException>, PortError> {
        Ok(self.all_exceptions()?.into_iter().filter(|exception| exception.active).collect())
    }

    /// The filters of exceptions of Sigma rules.
    pub(crate) fn filters(exceptions: &[RuleException]) -> Vec<Rule> {
        let filter = |one: &RuleException| {
            let conditions = conditions(&one.conditions).map_err(|error| error.message)?;
            exception::filter(&one.id, &one.rule_id, &conditions)
        };
        exceptions
            .iter()
            .filter_map(|one| {
                filter(one)
                    .inspect_err(|reason| {
                        tracing::error!(exception = one.id, reason, "an exception is not applied");
                    })
                    .ok()
            })
            .collect()
    }

    /// A query without the rows that exceptions of its rule name.
    pub(crate) fn narrowed(query: &str, rule_id: &str, exceptions: &[RuleException]) -> String {
        let mut narrowed = query.to_owned();
        for one in exceptions.iter().filter(|one| one.rule_id == rule_id) {
            let step = conditions(&one.conditions).map_err(|error| error.message);
            match step.and_then(|conditions| exception::narrow_query(&narrowed, &conditions)) {
                Ok(query) => narrowed = query,
                Err(reason) => tracing::error!(exception = one.id, reason, "an exception is not applied"),
            }
        }
        narrowed
    }

    pub(crate) async fn add_exception(&self, ctx: &OpContext, new: NewException) -> Result<RuleException, PortError> {
        let _one_at_a_time = self.changing.lock().await;
        let now = self.clock.now();
        if new.reason.trim().is_empty() {
            return Err(refused("an exception needs a reason".to_owned()));
        }
        if new.expires <= now || new.expires > now.saturating_add(LIFE_MAX) {
            return Err(refused(format!(
                "an exception ends between now and {} days from now",
                LIFE_MAX.as_secs() / 86_400
            )));
        }
        self.check_exception(&new.rule_id, &new.conditions)?;
        let all = self.forget_long_ended(now)?;
        if all.len() >= EXCEPTIONS_MAX {
            return Err(refused(format!("there are {EXCEPTIONS_MAX} exceptions already; end some")));
        }
        let digest = sha256(format!("{}\0{:?}\0{}", new.rule_id, new.conditions, now.as_nanos()).as_bytes());
        let exception = RuleException {
            id: digest.to_hex()[..12].to_owned(),
            rule_id: new.rule_id,
            conditions: new.conditions,
            reason: new.reason,
            author: ctx.actor.name.clone(),
            created: now.to_string(),
            expires: new.expires.to_string(),
            active: true,
        };
        let mut event = AuditEvent::success("rule.except", "rule", &exception.rule_id);
        event.reason.clone_from(&exception.reason);
        event.details.insert("exception".to_owned(), serde_json::to_value(&exception).unwrap_or_default());
        self.audit.record_change(ctx, event).await?;
        self.store_exception(ctx, &exception)?;
        self.reload()?;
        Ok(exception)
    }

    fn store_exception(&self, ctx: &OpContext, exception: &RuleException) -> Result<(), PortError> {
        let setting = Setting {
            key: format!("{PREFIX}{}", exception.id),
            value: serde_json::to_value(exception).unwrap_or_default(),
            changed_by: ctx.actor.name.clone(),
            changed_at: self.clock.now(),
        };
        self.metastore.put_setting(&setting).map_err(metastore_failed)
    }

    /// Removes those that ended long ago; the others.
    fn forget_long_ended(&self, now: Timestamp) -> Result<Vec<RuleException>, PortError> {
        let (kept, gone): (Vec<_>, Vec<_>) =
            self.all_exceptions()?.into_iter().partition(|one| holds(one, now.saturating_sub(KEPT_AFTER_END)));
        for one in gone {
            self.metastore.delete_setting(&format!("{PREFIX}{}", one.id)).map_err(metastore_failed)?;
        }
        Ok(kept)
    }

    /// Whether a rule is there and can have such an exception.
    pub(crate) fn check_exception(&self, rule_id: &str, said: &[ExceptionCondition]) -> Result<(), PortError> {
        let parsed = conditions(said)?;
        if let Some(rule) = self.analytics.rule(rule_id) {
            let mut rule = rule;
            rule.query = exception::narrow_query(&rule.query, &parsed).map_err(refused)?;
            return self.analytics.problem(&rule).map_or(Ok(()), |problem| Err(refused(problem)));
        }
        let active = self.active();
        let found = active.rules().iter().find(|rule| rule.metadata.id.as_str() == rule_id);
        let rule = found.ok_or_else(|| self.why_not_active(rule_id))?;
        if let Body::Correlation(correlation) = &rule.body {
            let over_another = |rule: &Arc<Rule>| {
                let refers = |reference: &String| rule.is_called(reference);
                matches!(rule.body, Body::Correlation(_)) && correlation.rules.iter().any(refers)
            };
            if active.rules().iter().any(over_another) {
                let message =
                    "a correlation over correlations has no exceptions of its own: make them of those below it";
                return Err(refused(message.to_owned()));
            }
        }
        exception::filter("check", rule_id, &parsed).map(drop).map_err(refused)
    }

    pub(crate) async fn remove_exception(&self, ctx: &OpContext, id: &str) -> Result<bool, PortError> {
        let _one_at_a_time = self.changing.lock().await;
        let Some(exception) = self.all_exceptions()?.into_iter().find(|one| one.id == id) else { return Ok(false) };
        let mut event = AuditEvent::success("rule.end-exception", "rule", &exception.rule_id);
        event.details.insert("exception".to_owned(), serde_json::to_value(&exception).unwrap_or_default());
        self.audit.record_change(ctx, event).await?;
        self.metastore.delete_setting(&format!("{PREFIX}{id}")).map_err(metastore_failed)?;
        self.reload()?;
        Ok(true)
    }

    pub(crate) async fn preview(
        &self,
        ctx: &OpContext,
        rule_id: &str,
        said: Vec<ExceptionCondition>,
        (from, to): (Option<Timestamp>, Option<Timestamp>),
    ) -> Result<ExceptionPreview, PortError> {
        self.check_exception(rule_id, &said)?;
        let engine = self.history()?;
        self.audit.record(ctx, AuditEvent::success("rule.preview-exception", "rule", rule_id)).await?;
        if let Some(rule) = self.analytics.rule(rule_id) {
            let query = Self::narrowed(&rule.query, rule_id, &self.exceptions_in_force()?);
            let narrowed = exception::narrow_query(&query, &conditions(&said)?).map_err(refused)?;
            let (now, then) = (AnalyticsRule { query, ..rule.clone() }, AnalyticsRule { query: narrowed, ..rule });
            return preview_query(&*engine, ctx, (&now, &then), (from, to), self.clock_of_windows()).await;
        }
        let filter = exception::filter("preview", rule_id, &conditions(&said)?).map_err(refused)?;
        let now = self.alone(rule_id, None)?;
        let then = self.alone(rule_id, Some(filter))?;
        let selection =
            BackfillSelection { rule_ids: vec![rule_id.to_owned()], from, to, ..BackfillSelection::default() };
        let tables = self.audit.store().tables_with_rows();
        let before = backfill::backfill(&*engine, &now, ctx, &selection, &tables).await?;
        let after = backfill::backfill(&*engine, &then, ctx, &selection, &tables).await?;
        // A correlation may hold on with fewer events; then it is the same as before, for the same group.
        let of_many = now.has_correlations();
        let same = |found: &BackfillMatch| match of_many {
            true => (found.fields.clone(), Vec::new()),
            false => (vec![(found.table.clone(), String::new())], found.seqs.clone()),
        };
        let mut left: BTreeMap<_, usize> = BTreeMap::new();
        after.matches.iter().for_each(|found| *left.entry(same(found)).or_default() += 1);
        let goes = |found: &BackfillMatch| match left.get_mut(&same(found)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        };
        let excepted = before.matches.into_iter().filter(goes).take(LISTED_MAX);
        Ok(ExceptionPreview {
            num_rows: before.num_rows,
            num_matches: before.num_matches,
            num_excepted: before.num_matches.saturating_sub(after.num_matches),
            excepted: excepted.collect(),
        })
    }

    /// One active rule with its filters and perhaps one more, with the rules it refers to, and without the correlations
    /// that use it: so its own matches are counted, whoever else counts them.
    pub(crate) fn alone(&self, rule_id: &str, more: Option<Rule>) -> Result<Arc<CompiledRules>, PortError> {
        let active = self.active();
        let is_it = |rule: &&Arc<Rule>| rule.metadata.id.as_str() == rule_id;
        let below: &[String] = match active.rules().iter().find(is_it).map(|rule| &rule.body) {
            Some(Body::Correlation(correlation)) => &correlation.rules,
            _ => &[],
        };
        let refers = |rule: &Rule| below.iter().any(|reference| rule.is_called(reference));
        let belongs = |rule: &&Arc<Rule>| is_it(rule) || refers(rule) || matches!(rule.body, Body::Filter(_));
        let rules = active.rules().iter().filter(belongs).map(|rule| Rule::clone(rule)).chain(more).collect();
        let (compiled, not_loaded) = CompiledRules::compile(rules, &self.taxonomy, &self.catalog);
        match not_loaded.into_iter().next() {
            Some(one) => Err(refused(one.error.to_string())),
            None => Ok(Arc::new(compiled)),
        }
    }

    pub(crate) async fn explain_event(
        &self,
        ctx: &OpContext,
        rule_id: &str,
        table: TableName,
        seq: Seq,
    ) -> Result<Option<EventExplanation>, PortError> {
        let queries = self.analytics.running(&self.exceptions_in_force()?);
        if let Some(rule) = queries.iter().find(|rule| rule.metadata.id.as_str() == rule_id) {
            return self.explain_query(ctx, rule, &table, seq).await;
        }
        let rules = self.active();
        if !rules.rules().iter().any(|rule| rule.metadata.id.as_str() == rule_id) {
            return Err(self.why_not_active(rule_id));
        }
        let engine = self.history()?;
        let Some(row) = backfill::read_row(&*engine, ctx, &table, seq).await? else { return Ok(None) };
        let id = RuleId::new(rule_id);
        if let Some(span) = rules.span_nanos(&id) {
            return self.explain_correlation(ctx, &*engine, (&id, span), (&table, seq, &row)).await.map(Some);
        }
        let why = rules.explainer(&table, &row).why(&id, 0);
        Ok(why.map(|why| EventExplanation {
            holds: why.holds,
            lines: why.lines(table.as_str()),
            explanation: serde_json::to_value(&why).unwrap_or_default(),
        }))
    }

    /// Why a correlation holds with an event: the groups that it counts in, by what lies around it, and what its rules
    /// say of the event.
    async fn explain_correlation(
        &self,
        ctx: &OpContext,
        engine: &dyn QueryEngine,
        (id, span): (&RuleId, i64),
        (table, seq, row): (&TableName, Seq, &RecordBatch),
    ) -> Result<EventExplanation, PortError> {
        // One over correlations is not compiled without all that is below it.
        let rules = self.alone(id.as_str(), None).unwrap_or_else(|_| self.active());
        let span = Duration::from_nanos(span.unsigned_abs());
        let at = event_time(row, 0);
        let around = (at.saturating_sub(span), at.saturating_add(span));
        let stored = self.audit.store().tables_with_rows();
        let (mut correlator, is_cut) =
            backfill::correlate(engine, &rules, ctx, around, &stored, EXPLAINED_ROWS_MAX).await?;
        let why = correlator.explain(id, (table, seq), (row, 0));
        let why = why.ok_or_else(|| self.why_not_active(id.as_str()))?;
        let mut lines = why.lines(table.as_str(), seq);
        if is_cut {
            lines.push(format!("only the first {EXPLAINED_ROWS_MAX} rows around the event were looked at"));
        }
        Ok(EventExplanation { holds: why.holds, lines, explanation: why.to_json() })
    }

    async fn explain_query(
        &self,
        ctx: &OpContext,
        rule: &AnalyticsRule,
        table: &TableName,
        seq: Seq,
    ) -> Result<Option<EventExplanation>, PortError> {
        let engine = self.history()?;
        let Some(row) = backfill::read_row(&*engine, ctx, table, seq).await? else { return Ok(None) };
        let why = explain_query(&*engine, ctx, rule, (table, seq, event_time(&row, 0))).await;
        let why = why.map_err(|error| PortError::new(error.kind(), format!("the query failed: {error}")))?;
        Ok(Some(explanation(why)))
    }

    /// Looks from time to time whether an exception has ended, until the rules are gone.
    pub(crate) fn watch_exceptions(self: &Arc<Self>) {
        let rules: Weak<Self> = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(rules) = rules.upgrade() else { return };
                rules.end_exceptions().await;
            }
        });
    }

    /// Takes what has ended out of the compiled rules, with a row of audit for each. What the compiled rules have says
    /// what has ended: that the metastore cannot be read at a time ends nothing.
    async fn end_exceptions(&self) {
        let _one_at_a_time = self.changing.lock().await;
        let now = self.clock.now();
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ended: Vec<String> = applied.into_iter().filter(|(_, expires)| *expires <= now).map(|(id, _)| id).collect();
        if ended.is_empty() {
            return;
        }
        let set = match self.read() {
            Ok(set) => set,
            Err(error) => {
                tracing::warn!(error = %error, "the rules could not be read after an exception ended; it is tried again");
                return;
            }
        };
        for id in &ended {
            let event = AuditEvent::success("rule.exception-ended", "exception", id.as_str());
            if let Err(error) = self.audit.record(&own_context(), event).await {
                // It is looked at again: until then the exception holds on, which the audit table says too.
                tracing::warn!(error = %error, exception = id, "the end of an exception could not be audited");
                return;
            }
        }
        self.put_in_force(&set);
    }
}

/// What an exception would take away of the alerts of an analytics rule: those of the windows, or rows, that it would have
/// been evaluated over, as it is `now` and as it would be `then`. Of a rule over windows, unless a time is said, those of
/// the last [`PREVIEW_TIME`], or of [`PREVIEW_WINDOWS`] where that is longer.
async fn preview_query(
    engine: &dyn QueryEngine,
    ctx: &OpContext,
    (now, then): (&AnalyticsRule, &AnalyticsRule),
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    clock: (Timestamp, Duration),
) -> Result<ExceptionPreview, PortError> {
    let frequency = match now.schedule {
        Schedule::Scheduled { frequency, .. } => frequency,
        Schedule::NearRealTime => Duration::ZERO,
    };
    let usual = PREVIEW_TIME.max(frequency.saturating_mul(PREVIEW_WINDOWS));
    let is_on_arrival = Analytics::arrival_of(now).is_some();
    let from = from.or_else(|| (!is_on_arrival).then(|| to.unwrap_or(clock.0).saturating_sub(usual)));
    let before = replay(engine, ctx, now, (from, to), clock).await?;
    let after = replay(engine, ctx, then, (from, to), clock).await?;
    // An alert of many rows goes when the window raises none any more; of one row, when the row is not there.
    let is_of_rows = is_on_arrival || now.alert_per_row;
    let same = |one: &PastAlert| match is_of_rows {
        true => (String::new(), one.time, one.alert.events.first().map(|event| event.fields.clone())),
        false => (one.alert.id.clone(), Timestamp::default(), None),
    };
    let mut counted: BTreeMap<_, usize> = BTreeMap::new();
    after.alerts.iter().for_each(|one| *counted.entry(same(one)).or_default() += 1);
    let num_matches = before.alerts.len() as u64;
    let goes = |one: &PastAlert| match counted.get_mut(&same(one)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    let gone: Vec<PastAlert> = before.alerts.into_iter().filter(goes).collect();
    Ok(ExceptionPreview {
        num_rows: before.num_rows,
        num_matches,
        num_excepted: gone.len() as u64,
        excepted: gone.into_iter().take(LISTED_MAX).map(|one| backfill::match_of(now, one)).collect(),
    })
}
