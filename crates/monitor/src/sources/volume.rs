//! How much a source sends, what its history lets expect, and when it is too little.
//!
//! What is expected of a minute is the mean of the same hour: of that day of the week once it was seen, else of the days
//! before, and then no more than that of the last hour. The evidence that a source sends less is a cumulative
//! sum of log-likelihood ratios, once against half of what is expected and once against a twentieth: it grows while too
//! little comes, and falls back to zero while enough does, so that every source is judged as soon as its own rate allows,
//! a fast one within minutes, a slow one later. Counts vary more than chance alone would have it; by how much is learnt
//! from the source itself, as are the highest sums of ordinary days. Nothing is judged before an hour was seen once.
//!
//! # Source
//! E. S. Page: Continuous inspection schemes (1954); the ratios are those of Poisson counts divided by their index of
//! dispersion.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Shares of the expected rate against which evidence is gathered.
const SHARES: [f64; 2] = [0.5, 0.05];
/// Evidence at which a source is told of, unless its ordinary days come near it: by chance alone, with a rate that does not
/// wander, one minute in a million reaches it.
const EVIDENCE_MIN: f64 = 14.0;
/// How far evidence must be above that of ordinary days.
const EVIDENCE_MARGIN: f64 = 1.5;
/// Minutes over which evidence must gather: a machine may restart.
const MINUTES_MIN: u32 = 3;
/// Evidence of ordinary days counts no higher than this: else a source that was once cut could be cut again unseen.
const PEAK_MAX: f64 = 64.0;
/// Evidence against trouble at which it is over.
const RECOVERED: f64 = 8.0;
/// Minutes over which the recent rate is taken.
const RECENT_MINUTES: f64 = 60.0;
/// Minutes counted together for the dispersion: counts of neighbouring minutes go together.
const BLOCK_MINUTES: u32 = 5;
/// Blocks over which the dispersion is learnt, and those that its first value counts for.
const DISPERSION_BLOCKS: f64 = 144.0;
const DISPERSION_PRIOR_BLOCKS: f64 = 6.0;
/// The least share of minutes with records in an hour that is judged: what comes in rare batches is judged by its gaps.
const ACTIVE_MIN: f64 = 0.5;
/// Minutes of an hour that must have been seen for the hour to count.
const HOUR_MINUTES_MIN: u32 = 50;
/// Times an hour of the week must have been seen to be believed alone.
const WEEKS_TRUSTED: u32 = 3;
/// The least weight of a new day in an hour's mean.
const DAY_WEIGHT_MIN: f64 = 0.25;
/// Days whose highest evidence is remembered.
const PEAK_DAYS: i64 = 7;

const HOURS_A_DAY: i64 = 24;
const HOURS_A_WEEK: i64 = 7 * HOURS_A_DAY;
const MINUTES_AN_HOUR: i64 = 60;

/// The rate of one source, learnt minute by minute.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Volume {
    minutes: f64,
    /// Records per minute over about the last hour.
    recent: f64,
    dispersion: f64,
    dispersion_blocks: f64,
    block: Evidence,
    hour: HourSoFar,
    /// By hour of the day, and by hour of the week (from Thursday, 1970-01-01), UTC.
    days: BTreeMap<i64, Hour>,
    weeks: BTreeMap<i64, Hour>,
    evidence: [Evidence; SHARES.len()],
    recovery: f64,
    /// The highest evidence of each of the last days.
    peaks: BTreeMap<i64, [f64; SHARES.len()]>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct HourSoFar {
    index: i64,
    minutes: u32,
    active: u32,
    records: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Hour {
    mean: f64,
    /// Share of minutes with records.
    active: f64,
    seen: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Evidence {
    sum: f64,
    minutes: u32,
    records: f64,
    expected: f64,
    /// The highest sum so far.
    peak: f64,
}

/// What a minute showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing new.
    Usual,
    /// Next to nothing comes.
    Silent,
    /// Much less comes than is usual.
    Thinned,
    /// As much comes as before the trouble.
    Recovered,
}

impl Volume {
    /// Records per minute over about the last hour.
    pub(crate) fn recent(&self) -> f64 {
        self.recent
    }

    /// Whether the first day is not over.
    pub(crate) fn is_learning(&self) -> bool {
        (self.days.len() as i64) < HOURS_A_DAY
    }

    /// Records expected in a minute (counted from 1970); `None` where history does not say.
    pub(crate) fn expected(&self, minute: i64) -> Option<f64> {
        self.expectation(minute).map(|hour| hour.mean)
    }

    /// Forgets what gathered: minutes went by in which nothing could arrive.
    pub(crate) fn interrupt(&mut self) {
        self.evidence = Default::default();
        self.recovery = 0.0;
        self.hour = HourSoFar::default();
    }

    /// Judges a minute that is over, and learns from it unless something is wrong.
    pub(crate) fn close(&mut self, minute: i64, records: u64, is_troubled: bool) -> Verdict {
        let expected = self.expectation(minute).filter(|hour| hour.active >= ACTIVE_MIN && hour.mean > 0.0);
        #[expect(clippy::cast_precision_loss, reason = "a count of one minute")]
        let count = records as f64;
        let verdict = match (&expected, is_troubled) {
            (None, _) => {
                self.evidence = Default::default();
                Verdict::Usual
            }
            (Some(hour), true) => self.judge_recovery(hour.mean, count),
            (Some(hour), false) => self.judge(hour.mean, count, minute),
        };
        if !is_troubled {
            self.learn(minute, records, count, expected.map(|hour| hour.mean));
        }
        verdict
    }

    fn judge(&mut self, mean: f64, count: f64, minute: i64) -> Verdict {
        let day = minute.div_euclid(HOURS_A_DAY * MINUTES_AN_HOUR);
        let limits = self.limits();
        let dispersion = self.dispersion.max(1.0);
        let mut verdict = Verdict::Usual;
        for (index, share) in SHARES.into_iter().enumerate() {
            let evidence = &mut self.evidence[index];
            evidence.add(mean, count, share, dispersion);
            let is_told = evidence.sum > limits[index] && evidence.minutes >= MINUTES_MIN;
            if is_told && verdict == Verdict::Usual {
                let is_silent = evidence.records <= SHARES[1] * evidence.expected;
                verdict = if is_silent { Verdict::Silent } else { Verdict::Thinned };
            }
            if is_told || evidence.sum <= 0.0 {
                // What ordinary days reach, and what was told and may be again.
                let peak = evidence.peak.min(limits[index]).min(PEAK_MAX);
                let highest = &mut self.peaks.entry(day).or_default()[index];
                *highest = highest.max(peak);
                *evidence = Evidence::default();
            }
        }
        self.peaks.retain(|other, _| day - other < PEAK_DAYS);
        verdict
    }

    /// Evidence beyond which a source is told of.
    fn limits(&self) -> [f64; SHARES.len()] {
        std::array::from_fn(|index| {
            let peak = self.peaks.values().map(|peaks| peaks[index]).fold(0.0, f64::max);
            EVIDENCE_MIN.max(EVIDENCE_MARGIN * peak)
        })
    }

    fn judge_recovery(&mut self, mean: f64, count: f64) -> Verdict {
        self.recovery = (self.recovery - ratio(mean, count, SHARES[0]) / self.dispersion.max(1.0)).max(0.0);
        if self.recovery < RECOVERED {
            return Verdict::Usual;
        }
        self.evidence = Default::default();
        self.recovery = 0.0;
        Verdict::Recovered
    }

    fn learn(&mut self, minute: i64, records: u64, count: f64, expected: Option<f64>) {
        self.learn_dispersion(count, expected);
        self.minutes += 1.0;
        self.recent += (1.0 / RECENT_MINUTES).max(1.0 / self.minutes) * (count - self.recent);
        let index = minute.div_euclid(MINUTES_AN_HOUR);
        if index != self.hour.index {
            self.learn_hour();
            self.hour = HourSoFar { index, ..HourSoFar::default() };
        }
        self.hour.minutes += 1;
        self.hour.active += u32::from(records > 0);
        self.hour.records += records;
    }

    /// Only what is too little counts: bursts say nothing of how low ordinary counts may be.
    fn learn_dispersion(&mut self, count: f64, expected: Option<f64>) {
        let Some(mean) = expected else {
            self.block = Evidence::default();
            return;
        };
        self.block.minutes += 1;
        self.block.records += count;
        self.block.expected += mean;
        if self.block.minutes < BLOCK_MINUTES {
            return;
        }
        let Evidence { records, expected, .. } = std::mem::take(&mut self.block);
        if records < expected {
            self.dispersion_blocks += 1.0;
            let weight = (1.0 / DISPERSION_BLOCKS).max(1.0 / (self.dispersion_blocks + DISPERSION_PRIOR_BLOCKS));
            let deviation = (expected - records).powi(2) / expected;
            self.dispersion = (self.dispersion.max(1.0) + weight * (deviation - self.dispersion.max(1.0))).max(1.0);
        }
    }

    fn learn_hour(&mut self) {
        let HourSoFar { index, minutes, active, records } = self.hour;
        if minutes < HOUR_MINUTES_MIN {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of one hour")]
        let mean = records as f64 / f64::from(minutes);
        let active = f64::from(active) / f64::from(minutes);
        let hours = [(&mut self.days, HOURS_A_DAY), (&mut self.weeks, HOURS_A_WEEK)];
        for (means, length) in hours {
            let hour = means.entry(index.rem_euclid(length)).or_default();
            hour.seen = hour.seen.saturating_add(1);
            let weight = DAY_WEIGHT_MIN.max(1.0 / f64::from(hour.seen));
            hour.mean += weight * (mean - hour.mean);
            hour.active += weight * (active - hour.active);
        }
    }

    fn expectation(&self, minute: i64) -> Option<Hour> {
        let day = at(&self.days, minute, HOURS_A_DAY)?;
        let week = at(&self.weeks, minute, HOURS_A_WEEK).unwrap_or_default();
        let least = |mean: f64, other: &Hour| Hour { mean: mean.min(other.mean), ..*other };
        Some(match week.seen {
            0 => least(self.recent, &day),
            seen if seen < WEEKS_TRUSTED => Hour { active: day.active.min(week.active), ..least(day.mean, &week) },
            _ => week,
        })
    }
}

impl Evidence {
    fn add(&mut self, mean: f64, count: f64, share: f64, dispersion: f64) {
        self.sum += ratio(mean, count, share) / dispersion;
        self.minutes += 1;
        self.records += count;
        self.expected += mean;
        self.peak = self.peak.max(self.sum);
    }
}

/// The logarithm of how much likelier a count is at `share` of the expected rate than at all of it.
fn ratio(mean: f64, count: f64, share: f64) -> f64 {
    mean * (1.0 - share) + count * share.ln()
}

/// The hour of a minute, its mean drawn towards the nearer neighbour where that is lower: rates change within hours too.
fn at(hours: &BTreeMap<i64, Hour>, minute: i64, length: i64) -> Option<Hour> {
    let index = minute.div_euclid(MINUTES_AN_HOUR);
    let hour = *hours.get(&index.rem_euclid(length))?;
    #[expect(clippy::cast_precision_loss, reason = "below 60")]
    let from_middle = minute.rem_euclid(MINUTES_AN_HOUR) as f64 / 60.0 - 0.5;
    let neighbour = if from_middle < 0.0 { index - 1 } else { index + 1 };
    let drawn = hours
        .get(&neighbour.rem_euclid(length))
        .map_or(hour.mean, |other| hour.mean + from_middle.abs() * (other.mean - hour.mean));
    Some(Hour { mean: hour.mean.min(drawn), ..hour })
}
