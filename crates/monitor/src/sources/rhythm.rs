//! The longest pause of a source, and how late its newest records come.
//!
//! Sources that send rarely or in batches have no rate to speak of; they have a longest pause. One three times as long
//! is silence. Both figures are the highest of the last seven days, so that every source is measured by itself.

use std::collections::BTreeMap;

use moneta_base::Timestamp;
use serde::{Deserialize, Serialize};

/// Pauses seen before one can be too long.
const PAUSES_MIN: u64 = 50;
/// How much longer than the longest a pause must be.
const PAUSE_FACTOR: f64 = 3.0;
/// Seconds that are never too long: a restart of a machine or a service.
const PAUSE_SECONDS_MIN: f64 = 180.0;
/// Seconds of lateness that are never too much.
const LATE_SECONDS_MIN: f64 = 300.0;
/// How much later than the latest of ordinary days records must be.
const LATE_FACTOR: f64 = 2.0;
/// Seconds by which the clock of a source may be fast.
const AHEAD_SECONDS_MAX: f64 = 60.0;
/// Minutes with records that must agree before they are late, ahead, or in time again.
const MINUTES_AGREED: u8 = 3;
/// Days remembered.
const DAYS: i64 = 7;
/// Seconds that a source is only listened to.
const LEARNING_SECONDS: f64 = 86_400.0;

/// The highest value of each of the last days.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Highest(BTreeMap<i64, f64>);

impl Highest {
    fn note(&mut self, now: Timestamp, value: f64) {
        let day = i64::from(now.day().0);
        let highest = self.0.entry(day).or_insert(value);
        *highest = highest.max(value);
        self.0.retain(|other, _| day - other < DAYS);
    }

    fn get(&self) -> Option<f64> {
        self.0.values().copied().reduce(f64::max)
    }
}

/// Agreement of several minutes in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Agreement {
    holds: bool,
    run: u8,
}

/// What an agreement became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Begins,
    Ends,
}

impl Agreement {
    fn note(&mut self, is_so: bool) -> Change {
        self.run = if is_so == self.holds { 0 } else { self.run + 1 };
        if self.run < MINUTES_AGREED {
            return Change::None;
        }
        *self = Self { holds: is_so, run: 0 };
        if is_so { Change::Begins } else { Change::Ends }
    }
}

/// Pauses and lateness of one source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rhythm {
    first: Nanos,
    last: Nanos,
    /// Since when something can arrive again, where nothing could for a while since the last record.
    resumed: Option<Nanos>,
    pauses_seen: u64,
    longest: Highest,
    latest: Highest,
    late: Agreement,
    ahead: Agreement,
    minute: Freshness,
    /// As [`Freshness`], of the last minute with records.
    pub(crate) shown: Option<Shown>,
}

/// Nanoseconds since 1970, as stored.
type Nanos = i64;

/// The lateness of one minute's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Freshness {
    records: u64,
    freshest: f64,
    sum: f64,
}

/// Seconds from event to receipt in a minute: of the newest event, and the mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) freshest: f64,
    pub(crate) mean: f64,
}

impl Rhythm {
    /// Notes records that arrived together.
    pub(crate) fn note(&mut self, received: Timestamp, records: u64, freshest: f64, lateness_sum: f64) {
        if self.first == 0 {
            self.first = received.as_nanos();
        } else if self.resumed.is_none() {
            self.pauses_seen += 1;
            // A pause that was told of counts, but no more than twofold: the next one like it is not told again.
            let pause = seconds_between(self.last, received);
            let most = self.longest.get().map_or(pause, |longest| (PAUSE_FACTOR * longest).max(PAUSE_SECONDS_MIN));
            self.longest.note(received, pause.min(most));
        }
        self.resumed = None;
        self.last = self.last.max(received.as_nanos());
        let minute = &mut self.minute;
        minute.freshest = if minute.records == 0 { freshest } else { minute.freshest.min(freshest) };
        minute.records += records;
        minute.sum += lateness_sum;
    }

    /// Nothing could arrive until now: the pause before says nothing.
    pub(crate) fn interrupt(&mut self, now: Timestamp) {
        self.resumed = Some(now.as_nanos());
    }

    /// When the last record came.
    pub(crate) fn last(&self) -> Timestamp {
        Timestamp::from_nanos(self.last)
    }

    /// Whether the pause up to now is longer than this source's own allow.
    pub(crate) fn is_silent(&self, now: Timestamp) -> bool {
        let Some(longest) = self.longest.get() else { return false };
        let since = self.last.max(self.resumed.unwrap_or(self.last));
        let is_known = self.pauses_seen >= PAUSES_MIN && self.is_old(now);
        is_known && seconds_between(since, now) > (PAUSE_FACTOR * longest).max(PAUSE_SECONDS_MIN)
    }

    fn is_old(&self, now: Timestamp) -> bool {
        seconds_between(self.first, now) >= LEARNING_SECONDS
    }

    /// Judges the lateness of a minute that is over: whether records are late, and whether they are ahead of the time.
    pub(crate) fn close(&mut self, now: Timestamp) -> [Change; 2] {
        let minute = std::mem::take(&mut self.minute);
        if minute.records == 0 {
            return [Change::None; 2];
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of one minute")]
        let mean = minute.sum / minute.records as f64;
        self.shown = Some(Shown { freshest: minute.freshest, mean });
        let usual = self.latest.get().unwrap_or(0.0);
        let is_late = self.is_old(now) && minute.freshest > LATE_SECONDS_MIN.max(LATE_FACTOR * usual);
        if !is_late && !self.late.holds {
            self.latest.note(now, minute.freshest.max(0.0));
        }
        [self.late.note(is_late), self.ahead.note(minute.freshest < -AHEAD_SECONDS_MAX)]
    }

    /// Takes the lateness of now as usual from here on.
    pub(crate) fn accept_lateness(&mut self, now: Timestamp) {
        self.late = Agreement::default();
        if let Some(shown) = self.shown {
            self.latest.note(now, shown.freshest.max(0.0));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for statistics")]
fn seconds_between(earlier_nanos: i64, later: Timestamp) -> f64 {
    later.as_nanos().saturating_sub(earlier_nanos) as f64 / 1e9
}
