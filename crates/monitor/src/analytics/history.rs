//! Evaluates analytics rules over what an engine has: the spans that were or would have been evaluated, or one that ends
//! at a given time. Stores nothing and raises nothing.

use std::time::Duration;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use moneta_base::{ErrorKind, Seq, TableName, Timestamp};
use moneta_ports::{Alert, OpContext, PortError, QueryAnswer, QueryEngine, QueryError, QueryRequest, TimeScope};
use moneta_rules::analytics::{AnalyticsRule, Arrival};

use super::raise;
use super::span::{Plan, Span};
use super::{context, num_rows};
use crate::alert::QueryAlert;

/// Rows of one range of a rule on arriving rows.
const PAGE_ROWS: usize = 50_000;
/// Time of arrival that one range spans where the query reads the clock: so far its clock is from that of arrival.
const PAGE_TIME: &str = "1m";
/// Windows of one rule at most: those of 14 days, one a minute.
const WINDOWS_MAX: u64 = 14 * 24 * 60;

/// An alert that would have been raised.
#[derive(Debug, Clone, PartialEq)]
pub struct PastAlert {
    /// The alert; of a rule on arriving rows, of one row.
    pub alert: Alert,
    /// Rows of the result that it is about.
    pub num_rows: usize,
    /// `_Seq` of the rows, where the result has it.
    pub seqs: Vec<Seq>,
    /// The time of the last row, or the end of the window.
    pub time: Timestamp,
}

/// What a rule finds in what is stored.
#[derive(Debug, Default)]
pub struct Past {
    /// The alerts, in order.
    pub alerts: Vec<PastAlert>,
    /// Rows of the results.
    pub num_rows: u64,
}

/// Whether a rule alerts about what an engine has, looked at in the window that ends at a time.
///
/// # Errors
/// Those of the query.
pub async fn alerts_at(engine: &dyn QueryEngine, rule: &AnalyticsRule, at: Timestamp) -> Result<bool, QueryError> {
    for plan in Plan::of(rule) {
        let Some(span) = plan.ending_at(at) else { continue };
        let answer = engine.query(&context(), span.request(rule, &plan)).await?;
        if rule.trigger.holds(num_rows(&answer)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The alerts of a rule in a range of event times: those of the windows that end in `(from, to]`, with the rests after
/// alerts; of a rule on arriving rows, one for every row of its result. Without an end, up to the last window that is
/// evaluated now, `lateness` after its end.
///
/// # Errors
/// `Caller` when the range has too many windows, or the query cannot run; when something stored cannot be read.
pub async fn replay(
    engine: &dyn QueryEngine,
    ctx: &OpContext,
    rule: &AnalyticsRule,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    (now, lateness): (Timestamp, Duration),
) -> Result<Past, PortError> {
    let mut past = Past::default();
    for plan in Plan::of(rule) {
        let run = Run { engine, ctx, rule, plan: &plan };
        match (&plan, plan.settled(now, lateness)) {
            (Plan::Arrival { arrival, table }, _) => run.rows(arrival, table, (from, to), &mut past).await?,
            (Plan::EventTime { frequency, .. } | Plan::IngestTime { frequency }, settled) => {
                let from = from.ok_or_else(|| {
                    let message = format!("{} looks at windows of time: say from when on", rule.metadata.id);
                    PortError::new(ErrorKind::Caller, message)
                })?;
                run.windows(*frequency, from, to.map_or(settled, |to| to.min(settled)), &mut past).await?;
            }
        }
    }
    Ok(past)
}

struct Run<'a> {
    engine: &'a dyn QueryEngine,
    ctx: &'a OpContext,
    rule: &'a AnalyticsRule,
    plan: &'a Plan,
}

impl Run<'_> {
    async fn windows(
        &self,
        frequency: Duration,
        from: Timestamp,
        to: Timestamp,
        past: &mut Past,
    ) -> Result<(), PortError> {
        let step = u64::try_from(frequency.as_nanos()).unwrap_or(u64::MAX).max(1);
        let nanos = |time: Timestamp| u64::try_from(time.as_nanos()).unwrap_or(0);
        let (first, last) = (nanos(from) / step + 1, nanos(to) / step);
        if last.saturating_sub(first) >= WINDOWS_MAX {
            let message = format!(
                "{} has more than {WINDOWS_MAX} windows in that time: choose a shorter one",
                self.rule.metadata.id
            );
            return Err(PortError::new(ErrorKind::Caller, message));
        }
        let mut rests_until: Option<Timestamp> = None;
        for span in (first..=last).filter_map(|number| self.plan.ending(number * step)) {
            if rests_until.is_some_and(|until| span.at < until) {
                continue;
            }
            let answer = self.ask(span.request(self.rule, self.plan)).await?;
            past.num_rows += num_rows(&answer);
            if self.rule.trigger.holds(num_rows(&answer)) {
                let alerts = raise::raise(self.rule, None, &span, &answer, span.at);
                past.alerts.extend(alerts.into_iter().map(PastAlert::from));
                rests_until = self.rule.suppression.map(|rest| span.at.saturating_add(rest));
            }
        }
        Ok(())
    }

    async fn rows(
        &self,
        arrival: &Arrival,
        table: &TableName,
        (from, to): (Option<Timestamp>, Option<Timestamp>),
        past: &mut Past,
    ) -> Result<(), PortError> {
        let time_scope = || Some(TimeScope { column: None, from, to });
        let mut next: Seq = 0;
        while let Some((end, at)) = self.page(arrival, table, next, time_scope()).await? {
            let span = Span::of_rows(next, end, at);
            let request = span.request(self.rule, self.plan);
            let answer = self.ask(QueryRequest { time_scope: time_scope(), no_truncation: true, ..request }).await?;
            past.num_rows += num_rows(&answer);
            let alerts = raise::raise_rows(self.rule, table, &span, &answer);
            past.alerts.extend(alerts.into_iter().map(PastAlert::from));
            next = end;
        }
        Ok(())
    }

    /// The end of the range of rows that begins at a sequence, and when the last of them came; `None` after the last.
    async fn page(
        &self,
        arrival: &Arrival,
        table: &TableName,
        next: Seq,
        time_scope: Option<TimeScope>,
    ) -> Result<Option<(Seq, Timestamp)>, PortError> {
        let rows = format!(
            "table('{table}') | where _Seq >= {next} | top {PAGE_ROWS} by _Seq asc | project _Seq, _IngestTime"
        );
        let cut = if arrival.reads_clock() {
            format!("| where _IngestTime < toscalar({rows} | summarize min(_IngestTime)) + {PAGE_TIME}")
        } else {
            String::new()
        };
        let text = format!(
            "{rows} {cut} | summarize End = max(_Seq) + 1, At = tolong((max(_IngestTime) - datetime(1970-01-01)) / 1s) + 1 \
             | where isnotnull(End) | project End, At = coalesce(At, 0)"
        );
        let answer = self.ask(QueryRequest { time_scope, ..QueryRequest::new(text) }).await?;
        let rows = answer.tables.first().and_then(|table| table.batches.iter().find(|rows| rows.num_rows() > 0));
        let number = |column: usize| {
            let numbers = rows?.column(column).as_primitive_opt::<Int64Type>()?;
            numbers.is_valid(0).then(|| numbers.value(0))
        };
        let end = number(0).and_then(|end| Seq::try_from(end).ok()).filter(|end| *end > next);
        Ok(end.zip(number(1).map(Timestamp::from_seconds)))
    }

    /// The whole answer, or an error.
    async fn ask(&self, request: QueryRequest) -> Result<QueryAnswer, PortError> {
        let failed = |kind, reason: String| {
            PortError::new(kind, format!("{} cannot be evaluated: {reason}", self.rule.metadata.id))
        };
        let answer = self.engine.query(self.ctx, request).await;
        let answer = answer.map_err(|error| failed(error.kind(), error.to_string()))?;
        match answer.completeness.not_read.first() {
            Some(reason) => Err(failed(ErrorKind::Environment { retry_after: None }, reason.clone())),
            None => Ok(answer),
        }
    }
}

impl From<QueryAlert> for PastAlert {
    fn from(found: QueryAlert) -> Self {
        let seqs = found.event_refs.into_iter().map(|(_, seq)| seq).collect();
        Self { num_rows: found.num_rows, seqs, time: found.times.1, alert: found.alert }
    }
}
