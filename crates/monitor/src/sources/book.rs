//! The book of all sources: takes observations, judges minutes, and is kept as JSON.
//!
//! # Layout of the file, version 1
//! A JSON object: `version` (1), `next` (by table, the `_Seq` after the last row counted), `entries` (pairs of key and
//! what is known), `losses` (by source: records quarantined and dropped, when last, and when last one was dropped, which
//! older books do not say). Minutes, hours and days count from 1970, UTC.

use std::collections::{BTreeMap, BTreeSet};

use moneta_base::{Seq, Timestamp};
use moneta_event::Block;
use moneta_event::catalog::table;
use moneta_ports::{Alarm, SourceQuality, SourceStatus};
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Key, News};
use super::minute_of;
use super::observe::{Observation, observations};

/// Entries at most; what is beyond is counted under its source with [`OTHERS`] as the machine.
const ENTRIES_MAX: usize = 5_000;
/// The machine that stands for those that found no place.
const OTHERS: &str = "(others)";
/// Sources whose losses are counted at most.
const LOSSES_MAX: usize = 5_000;
/// Minutes without a look after which nobody could have arrived: the process stood still.
const STANDSTILL_MINUTES: i64 = 3;
/// Days after which a source that sends nothing is forgotten.
const FORGOTTEN_DAYS: u64 = 90;
/// The version of the file.
const VERSION: u32 = 1;

/// What Moneta writes itself, which is no source.
const NOT_SOURCES: [&str; 4] =
    [table::MONETA_AUDIT, table::MONETA_HEALTH, table::SECURITY_ALERT, table::SECURITY_INCIDENT];

/// Everything known of sources.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Book {
    version: u32,
    next: BTreeMap<String, Seq>,
    #[serde(with = "as_pairs")]
    entries: BTreeMap<Key, Entry>,
    losses: BTreeMap<String, Losses>,
    /// The minute that runs; nothing was judged before.
    #[serde(skip)]
    minute: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Losses {
    quarantined: u64,
    dropped: u64,
    /// When the last was noted.
    #[serde(default)]
    last_nanos: i64,
    /// When the last that was dropped was noted; 0 while none is known.
    #[serde(default)]
    last_dropped_nanos: i64,
}

impl Losses {
    fn last_dropped(&self) -> Option<String> {
        (self.last_dropped_nanos != 0).then(|| Timestamp::from_nanos(self.last_dropped_nanos).to_string())
    }
}

/// Whether what was heard of last then is not yet forgotten.
fn is_remembered(last: Timestamp, now: Timestamp) -> bool {
    now.since(last).as_secs() < FORGOTTEN_DAYS * 86_400
}

/// Whether the sources of a table are watched.
pub(crate) fn is_watched(table: &str) -> bool {
    !NOT_SOURCES.contains(&table)
}

impl Book {
    /// Reads a kept book.
    ///
    /// # Errors
    /// In words, when it is damaged or of a newer program.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let book: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if book.version != VERSION {
            return Err(format!("version {} is not known; use a newer Moneta", book.version));
        }
        Ok(book)
    }

    /// The book as it is kept.
    pub(crate) fn write(&self) -> Vec<u8> {
        let book = BookRef { version: VERSION, next: &self.next, entries: &self.entries, losses: &self.losses };
        serde_json::to_vec(&book).expect("maps of numbers and text have a JSON form")
    }

    /// The `_Seq` after the last row counted, by table.
    pub(crate) fn next(&self) -> &BTreeMap<String, Seq> {
        &self.next
    }

    /// Counts the rows of a block, unless they were counted before.
    pub(crate) fn take(&mut self, block: &Block) {
        let name = block.header.shard.table.as_str();
        let next = self.next.entry(name.to_owned()).or_default();
        if block.header.end_seq() <= *next {
            return;
        }
        *next = block.header.end_seq();
        for seen in observations(block) {
            self.observe(&seen);
        }
    }

    pub(crate) fn observe(&mut self, seen: &Observation) {
        if seen.is_quarantine {
            self.note_losses(&seen.source, seen.records, 0, seen.received);
            return;
        }
        let key = |computer: &str| Key {
            source: seen.source.clone(),
            computer: computer.to_owned(),
            table: seen.table.clone(),
        };
        let mut wanted = key(&seen.computer);
        if !self.entries.contains_key(&wanted) && self.entries.len() >= ENTRIES_MAX {
            wanted = key(OTHERS);
        }
        self.entries.entry(wanted).or_default().observe(seen);
    }

    /// Notes records of a source that were quarantined or dropped.
    pub(crate) fn note_losses(&mut self, source: &str, quarantined: u64, dropped: u64, now: Timestamp) {
        let is_known = self.losses.contains_key(source) || self.losses.len() < LOSSES_MAX;
        let losses = self.losses.entry(if is_known { source } else { OTHERS }.to_owned()).or_default();
        losses.quarantined += quarantined;
        losses.dropped += dropped;
        losses.last_nanos = losses.last_nanos.max(now.as_nanos());
        if dropped > 0 {
            losses.last_dropped_nanos = losses.last_dropped_nanos.max(now.as_nanos());
        }
    }

    /// Judges the minutes that are over, and tells what people must hear.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Alarm> {
        let minute = minute_of(now);
        let running = self.minute.unwrap_or(i64::MIN);
        let mut alarms = Vec::new();
        if !(running..=running.saturating_add(STANDSTILL_MINUTES)).contains(&minute) {
            self.entries.values_mut().for_each(|entry| entry.interrupt(now));
        } else {
            for (key, entry) in &mut self.entries {
                let closed = (running..minute).flat_map(|minute| entry.close_minute(minute, now)).collect::<Vec<_>>();
                let settled = entry.settle(now);
                alarms.extend(closed.into_iter().chain(settled).map(|news| alarm(key, news)));
            }
        }
        if minute != running {
            self.entries.retain(|_, entry| is_remembered(entry.last(), now));
            self.forget_losses(now);
        }
        self.minute = Some(minute);
        alarms
    }

    /// Losses are forgotten as sources are; those of a book that did not say when count as new.
    fn forget_losses(&mut self, now: Timestamp) {
        self.losses.retain(|_, losses| {
            if losses.last_nanos == 0 {
                losses.last_nanos = now.as_nanos();
            }
            is_remembered(Timestamp::from_nanos(losses.last_nanos), now)
        });
    }

    /// Sources known, and those of which something is wrong.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.entries.len(), self.entries.values().filter(|entry| entry.is_troubled()).count())
    }

    pub(crate) fn status(&self, now: Timestamp) -> Vec<SourceStatus> {
        let mut all: Vec<_> = self.entries.iter().map(|(key, entry)| entry.status(key, now)).collect();
        for status in &mut all {
            if let Some(losses) = self.losses.get(&status.source) {
                (status.num_quarantined, status.num_dropped) = (losses.quarantined, losses.dropped);
                status.last_dropped = losses.last_dropped();
            }
        }
        let listed: BTreeSet<&str> = self.entries.keys().map(|key| key.source.as_str()).collect();
        let unlisted = self.losses.iter().filter(|(source, _)| !listed.contains(source.as_str()));
        all.extend(unlisted.map(|(source, losses)| SourceStatus {
            source: source.clone(),
            state: "lost".to_owned(),
            num_quarantined: losses.quarantined,
            num_dropped: losses.dropped,
            last_dropped: losses.last_dropped(),
            ..SourceStatus::default()
        }));
        all.sort_by(|a, b| (&a.source, &a.computer, &a.table).cmp(&(&b.source, &b.computer, &b.table)));
        all
    }

    pub(crate) fn quality(&self, now: Timestamp) -> Vec<SourceQuality> {
        self.entries.iter().map(|(key, entry)| entry.quality(key, now)).filter(|one| one.num_records > 0).collect()
    }
}

fn alarm(key: &Key, news: News) -> Alarm {
    let machine = if key.computer.is_empty() { "" } else { " of " };
    let subject = format!("{}{machine}{} through {}", key.table, key.computer, key.source);
    Alarm { kind: news.kind, text: format!("{subject}: {}", news.text), subject }
}

#[derive(Serialize)]
struct BookRef<'a> {
    version: u32,
    next: &'a BTreeMap<String, Seq>,
    #[serde(with = "as_pairs")]
    entries: &'a BTreeMap<Key, Entry>,
    losses: &'a BTreeMap<String, Losses>,
}

/// Maps whose keys are no text, as lists of pairs.
mod as_pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Entry, Key};

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<Key, Entry>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Key, Entry>, D::Error> {
        Ok(Vec::<(Key, Entry)>::deserialize(deserializer)?.into_iter().collect())
    }
}
