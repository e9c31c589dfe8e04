//! All that is known of what comes from one machine through one source into one table.

use std::collections::BTreeMap;

use moneta_base::Timestamp;
use moneta_ports::{AlarmKind, SourceQuality, SourceStatus};
use serde::{Deserialize, Serialize};

use super::facets::{FACETS, ORIGIN, OUTCOME, WHAT, WHEN, WHERE, WHO};
use super::observe::Observation;
use super::rhythm::{Change, Rhythm};
use super::sequence::Sequence;
use super::volume::{Verdict, Volume};

/// Numberings followed per entry at most: Windows has about a hundred channels.
const NUMBERINGS_MAX: usize = 256;
/// Days of which completeness is kept.
const QUALITY_DAYS: i64 = 7;
/// Seconds after which what was trouble counts as usual: volume and lateness are learnt anew.
const ACCEPTED_SECONDS: u64 = 86_400;
/// Seconds since the last record within which a source sends.
const SENDING_SECONDS: u64 = 3_600;
/// Seconds for which lost records are shown as trouble.
const GAPPED_SECONDS: u64 = 86_400;

/// Which machine, source and table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) source: String,
    pub(crate) computer: String,
    pub(crate) table: String,
}

/// What is wrong, by kind, and since when in nanoseconds.
type Troubles = BTreeMap<String, i64>;

/// What is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    first_nanos: i64,
    records: u64,
    /// Of the minute that runs.
    minute_records: u64,
    volume: Volume,
    rhythm: Rhythm,
    numberings: BTreeMap<String, Sequence>,
    /// By day: records, and how many of them say what.
    days: BTreeMap<i64, (u64, [u64; FACETS])>,
    troubles: Troubles,
}

/// What people must hear of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) kind: AlarmKind,
    pub(crate) text: String,
}

impl Entry {
    pub(crate) fn observe(&mut self, seen: &Observation) {
        if self.records == 0 {
            self.first_nanos = seen.received.as_nanos();
        }
        self.records += seen.records;
        self.minute_records += seen.records;
        self.rhythm.note(seen.received, seen.records, seen.freshest, seen.lateness_sum);
        for (name, numbers) in &seen.numbers {
            if !self.numberings.contains_key(name) && self.numberings.len() < NUMBERINGS_MAX {
                self.numberings.insert(name.clone(), Sequence::default());
            }
            if let Some(sequence) = self.numberings.get_mut(name) {
                numbers.iter().for_each(|number| sequence.take(*number, seen.received));
            }
        }
        let day = i64::from(seen.received.day().0);
        let (records, filled) = self.days.entry(day).or_default();
        *records += seen.records;
        filled.iter_mut().zip(seen.filled).for_each(|(sum, count)| *sum += count);
        self.days.retain(|other, _| day - other < QUALITY_DAYS);
    }

    /// Nothing could arrive until now.
    pub(crate) fn interrupt(&mut self, now: Timestamp) {
        self.minute_records = 0;
        self.volume.interrupt();
        self.rhythm.interrupt(now);
    }

    /// Judges a minute that is over at `now`.
    pub(crate) fn close_minute(&mut self, minute: i64, now: Timestamp) -> Vec<News> {
        let records = std::mem::take(&mut self.minute_records);
        self.accept_old_troubles(now);
        let mut news = Vec::new();
        self.judge_volume(minute, records, now, &mut news);
        let [late, ahead] = self.rhythm.close(now);
        let shown = self.rhythm.shown.map_or(0.0, |shown| shown.freshest);
        let text = format!("the newest records were {shown:.0} s old when they came, which is more than usual.");
        self.change(AlarmKind::SourceLate, late, now, text, &mut news);
        let text = format!("events are {:.0} s ahead of the time of their receipt.", -shown);
        self.change(AlarmKind::SourceClock, ahead, now, text, &mut news);
        news
    }

    fn judge_volume(&mut self, minute: i64, records: u64, now: Timestamp, news: &mut Vec<News>) {
        let is_silent = self.troubles.contains_key(AlarmKind::SourceSilent.name());
        let is_troubled = is_silent || self.troubles.contains_key(AlarmKind::SourceThinned.name());
        let expected = self.volume.expected(minute);
        let verdict = self.volume.close(minute, records, is_troubled);
        let begins = match verdict {
            Verdict::Silent => Some(AlarmKind::SourceSilent),
            Verdict::Thinned => Some(AlarmKind::SourceThinned),
            _ if !is_silent && self.rhythm.is_silent(now) => Some(AlarmKind::SourceSilent),
            _ => None,
        };
        if let Some(kind) = begins {
            let usual = expected.filter(|expected| *expected > 0.0);
            let usual = usual.map_or_else(String::new, |usual| format!(" {usual:.1} a minute are usual now."));
            let quiet = now.since(self.rhythm.last()).as_secs();
            let text = match kind {
                AlarmKind::SourceSilent => format!("the last record came {quiet} s ago.{usual}"),
                _ => format!("{records} records came in the last minute.{usual}"),
            };
            self.change(kind, Change::Begins, now, text, news);
            return;
        }
        // A source without a rate of its own is back with its first record.
        let is_back = verdict == Verdict::Recovered || (is_troubled && records > 0 && expected.is_none_or(|e| e < 1.0));
        if is_back {
            self.troubles.remove(AlarmKind::SourceSilent.name());
            self.troubles.remove(AlarmKind::SourceThinned.name());
        }
    }

    fn change(&mut self, kind: AlarmKind, change: Change, now: Timestamp, text: String, news: &mut Vec<News>) {
        match change {
            Change::None => {}
            Change::Begins => {
                if self.troubles.insert(kind.name().to_owned(), now.as_nanos()).is_none() {
                    news.push(News { kind, text });
                }
            }
            Change::Ends => drop(self.troubles.remove(kind.name())),
        }
    }

    fn accept_old_troubles(&mut self, now: Timestamp) {
        let age = |since: i64| now.since(Timestamp::from_nanos(since)).as_secs();
        let troubles = &self.troubles;
        let is_old = |kind: AlarmKind| troubles.get(kind.name()).is_some_and(|since| age(*since) > ACCEPTED_SECONDS);
        // Silence is never usual; that a silent source sends something again may be.
        let sends = now.since(self.rhythm.last()).as_secs() < SENDING_SECONDS;
        let volume = is_old(AlarmKind::SourceThinned) || (is_old(AlarmKind::SourceSilent) && sends);
        let late = is_old(AlarmKind::SourceLate);
        if volume {
            self.troubles.remove(AlarmKind::SourceThinned.name());
            self.troubles.remove(AlarmKind::SourceSilent.name());
            self.volume = Volume::default();
        }
        if late {
            self.troubles.remove(AlarmKind::SourceLate.name());
            self.rhythm.accept_lateness(now);
        }
        self.troubles.retain(|kind, since| kind != AlarmKind::SourceGapped.name() || age(*since) <= GAPPED_SECONDS);
    }

    /// Tells of numbers that will not come any more.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Option<News> {
        let mut lost = Vec::new();
        let mut count = 0;
        for (name, sequence) in &mut self.numberings {
            for hole in sequence.settle(now).into_iter().filter(|hole| hole.is_news) {
                count += hole.end - hole.first;
                lost.push(format!("{} to {} of {name}", hole.first, hole.end - 1));
            }
        }
        if lost.is_empty() {
            return None;
        }
        self.troubles.insert(AlarmKind::SourceGapped.name().to_owned(), now.as_nanos());
        let more = lost.len().saturating_sub(5);
        lost.truncate(5);
        let more = if more > 0 { format!(", and {more} more holes") } else { String::new() };
        Some(News {
            kind: AlarmKind::SourceGapped,
            text: format!("{count} records are missing: numbers {}{more}.", lost.join(", ")),
        })
    }

    /// When the last record came.
    pub(crate) fn last(&self) -> Timestamp {
        self.rhythm.last()
    }

    /// Whether something is wrong.
    pub(crate) fn is_troubled(&self) -> bool {
        !self.troubles.is_empty()
    }

    pub(crate) fn status(&self, key: &Key, now: Timestamp) -> SourceStatus {
        let minute = super::minute_of(now);
        let state = if self.troubles.is_empty() {
            let learning = self.volume.is_learning();
            if learning { "learning".to_owned() } else { "ok".to_owned() }
        } else {
            let names = self.troubles.keys().map(|name| name.trim_start_matches("source-"));
            names.collect::<Vec<_>>().join("+")
        };
        let time = |nanos: i64| Timestamp::from_nanos(nanos).to_string();
        let shown = self.rhythm.shown;
        SourceStatus {
            source: key.source.clone(),
            computer: key.computer.clone(),
            table: key.table.clone(),
            state,
            trouble_since: self.troubles.values().min().map(|since| time(*since)),
            num_records: self.records,
            records_per_minute: self.volume.recent(),
            expected_per_minute: self.volume.expected(minute),
            first_seen: Some(time(self.first_nanos)),
            last_seen: Some(self.last().to_string()),
            silent_seconds: Some(now.since(self.last()).as_secs()),
            lag_seconds: shown.map(|shown| shown.freshest.max(0.0)),
            lateness_seconds: shown.map(|shown| shown.mean),
            clock_ahead_seconds: shown.map(|shown| (-shown.freshest).max(0.0)),
            num_missing: self.numberings.values().map(Sequence::lost).sum(),
            num_quarantined: 0,
            num_dropped: 0,
            last_dropped: None,
        }
    }

    pub(crate) fn quality(&self, key: &Key, now: Timestamp) -> SourceQuality {
        let today = i64::from(now.day().0);
        let recent = self.days.iter().filter(|(day, _)| today - **day < QUALITY_DAYS);
        let (records, filled) = recent.fold((0u64, [0u64; FACETS]), |(records, filled), (_, (more, said))| {
            (records + more, std::array::from_fn(|facet| filled[facet] + said[facet]))
        });
        #[expect(clippy::cast_precision_loss, reason = "a share for people")]
        let share = |facet: usize| if records == 0 { 0.0 } else { filled[facet] as f64 / records as f64 };
        SourceQuality {
            source: key.source.clone(),
            computer: key.computer.clone(),
            table: key.table.clone(),
            num_records: records,
            who: share(WHO),
            what: share(WHAT),
            when: share(WHEN),
            place: share(WHERE),
            origin: share(ORIGIN),
            outcome: share(OUTCOME),
        }
    }
}
