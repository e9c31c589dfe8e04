//! The spans a rule is evaluated over: windows of time, or ranges of sequences. Each follows the last without a gap.

use std::time::Duration;

use moneta_base::{Seq, TableName, Timestamp};
use moneta_ports::{QueryRequest, TimeScope};
use moneta_rules::analytics::{AnalyticsRule, Arrival, Schedule};
use serde_json::{Value, json};

use super::Analytics;

/// How long after its end a window of event time is evaluated unless told otherwise: what comes later than that is seen
/// by the windows after, as far as they look back.
pub const LATENESS: Duration = Duration::from_secs(300);
/// The length of the windows of rules in near real time, which go by time of arrival.
const NEAR_REAL_TIME: Duration = Duration::from_secs(60);
/// How long after its end a window of arrival time is evaluated: rows on their way to the disk have their time already.
const SETTLING: Duration = Duration::from_secs(5);
/// Windows before this age that were missed are no longer evaluated: no rule looks back further.
const FILL_MAX: Duration = Duration::from_secs(14 * 86_400);
/// Rows of one range at most, so that a long absence is worked off in pieces.
const ROWS_MAX: u64 = 1_000_000;

/// How a rule runs.
pub(super) enum Plan {
    /// Over the rows of one table as they come.
    Arrival { arrival: Arrival, table: TableName },
    /// Every `frequency` over event times of the `period` before.
    EventTime { frequency: Duration, period: Duration },
    /// Every `frequency` over what arrived since.
    IngestTime { frequency: Duration },
}

/// What one evaluation looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Nanoseconds since 1970, or a sequence; included.
    pub(super) start: u64,
    /// The end, not included. It only grows from one evaluation of a rule to the next.
    pub(super) end: u64,
    /// `now()` of the query.
    pub(super) at: Timestamp,
    is_time: bool,
}

/// The next span of a rule, and the windows before it that are too old to be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) span: Span,
    /// The end of the last window that was evaluated, and that of the last one that is left out.
    pub(super) skipped: Option<(Timestamp, Timestamp)>,
}

impl Plan {
    /// How a rule runs: on its schedule, or on the rows of each of its tables.
    pub(super) fn of(rule: &AnalyticsRule) -> Vec<Self> {
        if let Some(arrival) = Analytics::arrival_of(rule) {
            let tables: Result<Vec<TableName>, _> = arrival.tables().into_iter().map(TableName::new).collect();
            if let Ok(tables) = tables {
                let of_table = |table| Self::Arrival { arrival: arrival.clone(), table };
                return tables.into_iter().map(of_table).collect();
            }
        }
        vec![match rule.schedule {
            Schedule::Scheduled { frequency, period } => Self::EventTime { frequency, period },
            Schedule::NearRealTime => Self::IngestTime { frequency: NEAR_REAL_TIME },
        }]
    }

    /// The table whose rows are looked at as they come.
    pub(super) fn table(&self) -> Option<&TableName> {
        match self {
            Self::Arrival { table, .. } => Some(table),
            Self::EventTime { .. } | Self::IngestTime { .. } => None,
        }
    }

    /// The name under which the journal keeps how far the rule is. Ends of different kinds do not compare.
    pub(super) fn producer(&self, rule: &AnalyticsRule) -> String {
        let kind = match self {
            Self::Arrival { table, .. } => format!("arrival/{table}"),
            Self::EventTime { .. } => "event-time".to_owned(),
            Self::IngestTime { .. } => "ingest-time".to_owned(),
        };
        format!("analytics/{kind}/{}", rule.metadata.id)
    }

    /// Whether a span has most of what the one before it had.
    fn overlaps(&self) -> bool {
        matches!(self, Self::EventTime { frequency, period } if *period >= 2 * *frequency)
    }

    /// The window that ends at a time, in nanoseconds since 1970; of a rule on arriving rows, all rows.
    pub(super) fn ending(&self, end: u64) -> Option<Span> {
        match self {
            Self::Arrival { .. } => Some(Span::of_rows(0, i64::MAX.unsigned_abs(), time(end)?)),
            Self::EventTime { period, .. } => Span::window(end, *period),
            Self::IngestTime { frequency } => Span::window(end, *frequency),
        }
    }

    /// As [`Self::ending`].
    pub(super) fn ending_at(&self, at: Timestamp) -> Option<Span> {
        self.ending(u64::try_from(at.as_nanos()).ok()?)
    }

    /// The first window that ends after a time.
    pub(super) fn first_after(&self, at: Timestamp) -> Option<Span> {
        let step = match self {
            Self::Arrival { .. } => 1,
            Self::EventTime { frequency, .. } | Self::IngestTime { frequency } => nanos(*frequency).max(1),
        };
        self.ending(u64::try_from(at.as_nanos()).ok()? / step * step + step)
    }

    /// Until when windows are evaluated by now, those of event time so long after their end.
    pub(super) fn settled(&self, now: Timestamp, lateness: Duration) -> Timestamp {
        match self {
            Self::Arrival { .. } => now,
            Self::EventTime { .. } => now.saturating_sub(lateness),
            Self::IngestTime { .. } => now.saturating_sub(SETTLING),
        }
    }

    /// The next span after `last`, if it is due.
    pub(super) fn next(
        &self,
        last: Option<u64>,
        (now, lateness): (Timestamp, Duration),
        head: Option<Seq>,
    ) -> Option<Due> {
        match self {
            Self::Arrival { .. } => {
                let (start, head) = (last.unwrap_or(0), head?);
                (head > start)
                    .then(|| Due { span: Span::of_rows(start, head.min(start + ROWS_MAX), now), skipped: None })
            }
            Self::EventTime { frequency, period } => window(last, now, *frequency, *period, lateness),
            Self::IngestTime { frequency } => window(last, now, *frequency, *frequency, SETTLING),
        }
    }
}

/// The window of time after `last`. Ends are multiples of the frequency, counted from 1970. The first is the newest.
fn window(last: Option<u64>, now: Timestamp, frequency: Duration, period: Duration, settling: Duration) -> Option<Due> {
    let step = nanos(frequency).max(1);
    let of = |time: Timestamp| u64::try_from(time.as_nanos()).unwrap_or(0);
    let newest = of(now.saturating_sub(settling)) / step * step;
    // After a change of the frequency the next end is the first that is one of its multiples.
    let next = last.map(|last| last / step * step + step);
    let oldest = of(now.saturating_sub(FILL_MAX)) / step * step;
    let end = next.map_or(newest, |next| next.max(oldest));
    if end > newest || end == 0 {
        return None;
    }
    let skipped = last.filter(|_| next.is_some_and(|next| next < oldest));
    let skipped = skipped.and_then(|last| Some((time(last)?, time(end - step)?)));
    Some(Due { span: Span::window(end, period)?, skipped })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn time(nanos: u64) -> Option<Timestamp> {
    i64::try_from(nanos).ok().map(Timestamp::from_nanos)
}

impl Span {
    /// The rows with `_Seq` in `[start, end)`, asked about at a time.
    pub(super) const fn of_rows(start: Seq, end: Seq, at: Timestamp) -> Self {
        Self { start, end, at, is_time: false }
    }

    /// The window with this end, in nanoseconds since 1970; `None` after the last time that can be told.
    pub(super) fn window(end: u64, period: Duration) -> Option<Self> {
        Some(Self { start: end.saturating_sub(nanos(period)), end, at: time(end)?, is_time: true })
    }

    /// The query about the span.
    pub(super) fn request(&self, rule: &AnalyticsRule, plan: &Plan) -> QueryRequest {
        let scope = |column: &str| {
            Some(TimeScope { column: Some(column.to_owned()), from: time(self.start), to: time(self.end) })
        };
        let (text, time_scope) = match plan {
            Plan::Arrival { arrival, table } => (arrival.over(table.as_str(), self.start, self.end), None),
            Plan::EventTime { .. } => (rule.query.clone(), scope("TimeGenerated")),
            Plan::IngestTime { .. } => (rule.query.clone(), scope("_IngestTime")),
        };
        QueryRequest { now: Some(self.at), time_scope, comes_again: plan.overlaps(), ..QueryRequest::new(text) }
    }

    /// Start and end as records show them: times, or sequences.
    pub(super) fn bounds(&self) -> (Value, Value) {
        let show = |bound: u64| match time(bound).filter(|_| self.is_time) {
            Some(time) => json!(time.to_string()),
            None => json!(bound),
        };
        (show(self.start), show(self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const DAY: Duration = Duration::from_secs(86_400);

    fn seconds(due: Due) -> (u64, u64) {
        (due.span.start / 1_000_000_000, due.span.end / 1_000_000_000)
    }

    #[test]
    fn windows_follow_one_another_and_wait_for_late_events() {
        let now = |seconds| Timestamp::from_seconds(seconds);
        let first = window(None, now(90_000), HOUR, DAY, LATENESS).unwrap();
        assert_eq!(seconds(first), (0, 86_400));
        assert_eq!(window(Some(first.span.end), now(90_299), HOUR, DAY, LATENESS), None);
        let second = window(Some(first.span.end), now(90_300), HOUR, DAY, LATENESS).unwrap();
        assert_eq!((seconds(second), second.skipped), ((3_600, 90_000), None));
        assert_eq!(second.span.at, now(90_000));
    }

    #[test]
    fn missed_windows_are_filled_one_by_one_and_those_beyond_the_longest_look_back_are_named() {
        let now = Timestamp::from_seconds(200 * 86_400 + 300);
        let mut last = 199 * 86_400 * 1_000_000_000;
        let mut ends = Vec::new();
        while let Some(Due { span, skipped }) = window(Some(last), now, HOUR, HOUR, LATENESS) {
            assert_eq!((span.start, skipped), (last, None));
            last = span.end;
            ends.push(span.end);
        }
        assert_eq!(ends.len(), 24);
        let far = window(Some(3_600 * 1_000_000_000), now, HOUR, HOUR, LATENESS).unwrap();
        assert_eq!(seconds(far).1, 186 * 86_400);
        let (from, to) = far.skipped.unwrap();
        assert_eq!((from, to), (Timestamp::from_seconds(3_600), Timestamp::from_seconds(186 * 86_400 - 3_600)));
    }
}
