//! The spans a rule is evaluated over: windows of time, or ranges of sequences. Each follows the last without a gap.

use std::time::Duration;

use moneta_base::{Seq, TableName, Timestamp};
use moneta_ports::{QueryRequest, TimeScope};
use moneta_rules::analytics::{AnalyticsRule, Arrival, Schedule};
use serde_json::{Value, json};

/// How long after its end a window of event time is evaluated: what comes later than that is seen by the windows
/// after, as far as they look back.
const LATENESS: Duration = Duration::from_secs(300);
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

impl Plan {
    pub(super) fn of(rule: &AnalyticsRule, arrival: Option<Arrival>) -> Self {
        let arrival = arrival.and_then(|arrival| Some((TableName::new(&arrival.table).ok()?, arrival)));
        match (arrival, rule.schedule) {
            (Some((table, arrival)), _) => Self::Arrival { arrival, table },
            (None, Schedule::Scheduled { frequency, period }) => Self::EventTime { frequency, period },
            (None, Schedule::NearRealTime) => Self::IngestTime { frequency: NEAR_REAL_TIME },
        }
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

    /// The next span after `last`, if it is due.
    pub(super) fn next(&self, last: Option<u64>, now: Timestamp, head: Option<Seq>) -> Option<Span> {
        match self {
            Self::Arrival { .. } => {
                let (start, head) = (last.unwrap_or(0), head?);
                (head > start).then(|| Span { start, end: head.min(start + ROWS_MAX), at: now, is_time: false })
            }
            Self::EventTime { frequency, period } => window(last, now, *frequency, *period, LATENESS),
            Self::IngestTime { frequency } => window(last, now, *frequency, *frequency, SETTLING),
        }
    }
}

/// The window of time after `last`. Ends are multiples of the frequency, counted from 1970. The first is the newest.
fn window(
    last: Option<u64>,
    now: Timestamp,
    frequency: Duration,
    period: Duration,
    settling: Duration,
) -> Option<Span> {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let step = nanos(frequency).max(1);
    let of = |time: Timestamp| u64::try_from(time.as_nanos()).unwrap_or(0);
    let newest = of(now.saturating_sub(settling)) / step * step;
    let end = match last {
        None => newest,
        Some(last) => {
            let oldest = of(now.saturating_sub(FILL_MAX)) / step * step;
            // After a change of the frequency the next end is the first that is one of its multiples.
            (last / step * step + step).max(oldest)
        }
    };
    if end > newest || end == 0 {
        return None;
    }
    let at = Timestamp::from_nanos(i64::try_from(end).ok()?);
    Some(Span { start: end.saturating_sub(nanos(period)), end, at, is_time: true })
}

impl Span {
    /// The query about the span.
    pub(super) fn request(&self, rule: &AnalyticsRule, plan: &Plan) -> QueryRequest {
        let time = |nanos: u64| i64::try_from(nanos).ok().map(Timestamp::from_nanos);
        let scope = |column: &str| {
            Some(TimeScope { column: Some(column.to_owned()), from: time(self.start), to: time(self.end) })
        };
        let (text, time_scope) = match plan {
            Plan::Arrival { arrival, .. } => (arrival.over(self.start, self.end), None),
            Plan::EventTime { .. } => (rule.query.clone(), scope("TimeGenerated")),
            Plan::IngestTime { .. } => (rule.query.clone(), scope("_IngestTime")),
        };
        QueryRequest { now: Some(self.at), time_scope, ..QueryRequest::new(text) }
    }

    /// Start and end as records show them: times, or sequences.
    pub(super) fn bounds(&self) -> (Value, Value) {
        let show = |bound: u64| match i64::try_from(bound) {
            Ok(nanos) if self.is_time => json!(Timestamp::from_nanos(nanos).to_string()),
            _ => json!(bound),
        };
        (show(self.start), show(self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const DAY: Duration = Duration::from_secs(86_400);

    fn seconds(span: Span) -> (u64, u64) {
        (span.start / 1_000_000_000, span.end / 1_000_000_000)
    }

    #[test]
    fn windows_follow_one_another_and_wait_for_late_events() {
        let now = |seconds| Timestamp::from_seconds(seconds);
        let first = window(None, now(90_000), HOUR, DAY, LATENESS).unwrap();
        assert_eq!(seconds(first), (0, 86_400));
        assert_eq!(window(Some(first.end), now(90_299), HOUR, DAY, LATENESS), None);
        let second = window(Some(first.end), now(90_300), HOUR, DAY, LATENESS).unwrap();
        assert_eq!(seconds(second), (3_600, 90_000));
        assert_eq!(second.at, now(90_000));
    }

    #[test]
    fn missed_windows_are_filled_one_by_one_and_none_beyond_the_longest_look_back() {
        let now = Timestamp::from_seconds(200 * 86_400 + 300);
        let mut last = 199 * 86_400 * 1_000_000_000;
        let mut ends = Vec::new();
        while let Some(span) = window(Some(last), now, HOUR, HOUR, LATENESS) {
            assert_eq!(span.start, last);
            last = span.end;
            ends.push(span.end);
        }
        assert_eq!(ends.len(), 24);
        let far = window(Some(1_000_000_000), now, HOUR, HOUR, LATENESS).unwrap();
        assert_eq!(seconds(far).1, 186 * 86_400);
    }
}
