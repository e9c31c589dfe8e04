//! Reads stored files again, so that damage is found while there is still a backup to mend it from: those of the last
//! days every day, all others every 30 days.
//!
//! # Progress, version 1
//! `scrubbing.json` in the data directory, so that a restart goes on where the last run stopped:
//! ```text
//! {"version":1,"hot":<pass>,"cold":<pass>}
//! <pass>  {"started_at":<time>,"completed_at":<time or "">,"after":<the file read last, or "">,"read_bytes":<n>}
//! ```
//! A file that cannot be read as that is no error: the passes begin anew.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use moneta_base::fs::write_atomically;
use moneta_base::{IngestDay, Timestamp};
use moneta_event::ShardGrowth;
use moneta_event::root_entry::ObjectRef;
use moneta_merkle::Hash;
use moneta_ports::operations::PassStatus;
use moneta_ports::{AlarmKind, Metric};
use moneta_verify::{Finding, Report, ledger};
use serde::{Deserialize, Serialize};

use super::CaretakerParts;

/// File of the progress.
pub(super) const FILE_NAME: &str = "scrubbing.json";
/// Days whose files are hot.
const HOT_DAYS: i64 = 7;
/// Time between the beginnings of two passes over hot files.
const HOT_PERIOD: Duration = Duration::from_secs(86_400);
/// Time between the beginnings of two passes over all other files.
const COLD_PERIOD: Duration = Duration::from_secs(30 * 86_400);
/// Time between two savings of the progress.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);

/// Both passes, and the bytes that may be read now; negative after a large file.
pub(super) struct Scrub {
    hot: Pass,
    cold: Pass,
    allowance: i64,
    saved_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    hot: Progress,
    cold: Progress,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Progress {
    started_at: String,
    completed_at: String,
    after: String,
    read_bytes: u64,
}

/// One pass: what is still to be read of it.
struct Pass {
    period: Duration,
    is_hot: bool,
    progress: Progress,
    /// `None` until the root log was read for it in this run.
    queue: Option<VecDeque<Unit>>,
    total_bytes: u64,
}

/// One thing that is read at a time.
enum Unit {
    Segment(ObjectRef),
    Shard(ShardGrowth),
    Root { size_bytes: u64 },
}

impl Unit {
    fn name(&self) -> String {
        match self {
            Self::Segment(object) => format!("store/{}", object.path),
            Self::Shard(growth) => format!("ledger/shard/{}", growth.shard),
            Self::Root { .. } => "ledger/root".to_owned(),
        }
    }

    /// Bytes it takes to read, so about: of a shard log the headers, which are 300 bytes each.
    fn size_bytes(&self) -> u64 {
        match self {
            Self::Segment(object) => object.size_bytes,
            Self::Shard(growth) => growth.size.saturating_mul(300),
            Self::Root { size_bytes } => *size_bytes,
        }
    }
}

impl Scrub {
    pub(super) fn resume(parts: &CaretakerParts) -> Self {
        let bytes = parts.fs.read(&parts.data.join(FILE_NAME)).unwrap_or_default();
        let saved: Option<Saved> = serde_json::from_slice(&bytes).ok();
        let (hot, cold) = saved.filter(|saved| saved.version == 1).map(|saved| (saved.hot, saved.cold)).unzip();
        let pass = |period, is_hot, progress: Option<Progress>| Pass {
            period,
            is_hot,
            progress: progress.unwrap_or_default(),
            queue: None,
            total_bytes: 0,
        };
        let (hot, cold) = (pass(HOT_PERIOD, true, hot), pass(COLD_PERIOD, false, cold));
        Self { hot, cold, allowance: 0, saved_at: parts.clock.now() }
    }

    /// Reads what the budget of one tick allows; hot files first.
    pub(super) fn step(&mut self, parts: &CaretakerParts) {
        let budget = i64::try_from(parts.budget).unwrap_or(i64::MAX);
        self.allowance = self.allowance.saturating_add(budget).min(budget);
        for pass in [&mut self.hot, &mut self.cold] {
            pass.begin_if_due(parts);
            while self.allowance > 0
                && let Some(unit) = pass.next()
            {
                let size = unit.size_bytes();
                self.allowance = self.allowance.saturating_sub(i64::try_from(size).unwrap_or(i64::MAX));
                pass.read(parts, &unit);
            }
            pass.end_if_done(parts);
        }
        parts.board.change(|status| (status.hot, status.cold) = (self.hot.status(), self.cold.status()));
        if parts.clock.now().since(self.saved_at) >= SAVE_INTERVAL {
            self.save(parts);
        }
    }

    pub(super) fn save(&mut self, parts: &CaretakerParts) {
        self.saved_at = parts.clock.now();
        let saved = Saved { version: 1, hot: self.hot.progress.clone(), cold: self.cold.progress.clone() };
        let text = serde_json::to_vec(&saved).unwrap_or_default();
        if let Err(error) = write_atomically(&*parts.fs, &parts.data.join(FILE_NAME), &text) {
            tracing::warn!(%error, "the progress of scrubbing could not be written; a restart reads more than it must");
        }
    }
}

impl Pass {
    fn next(&mut self) -> Option<Unit> {
        self.queue.as_mut()?.pop_front()
    }

    /// Begins a pass whose time has come, or goes on with the one that the last run left unfinished.
    fn begin_if_due(&mut self, parts: &CaretakerParts) {
        let now = parts.clock.now();
        let started = Timestamp::parse(&self.progress.started_at);
        // One that was begun and read nothing before the process ended is not over.
        let is_over = self.queue.is_none() && Timestamp::parse(&self.progress.completed_at) >= started;
        let is_due = started.is_none_or(|started| now.since(started) >= self.period);
        if is_over && is_due {
            self.progress = Progress {
                started_at: now.to_string(),
                completed_at: std::mem::take(&mut self.progress.completed_at),
                ..Progress::default()
            };
        } else if self.queue.is_some() || is_over {
            return;
        }
        let mut units = units(parts, self.is_hot, now.day());
        units.sort_by_key(Unit::name);
        self.total_bytes = units.iter().map(Unit::size_bytes).sum();
        let after = self.progress.after.clone();
        self.queue = Some(units.into_iter().skip_while(|unit| !after.is_empty() && unit.name() <= after).collect());
    }

    fn end_if_done(&mut self, parts: &CaretakerParts) {
        if self.queue.as_ref().is_some_and(VecDeque::is_empty) {
            self.queue = None;
            self.progress.after.clear();
            // Not before its beginning, though the clock was set back: it would not count as over.
            let now = parts.clock.now();
            let ended = Timestamp::parse(&self.progress.started_at).map_or(now, |started| started.max(now));
            self.progress.completed_at = ended.to_string();
        }
    }

    fn read(&mut self, parts: &CaretakerParts, unit: &Unit) {
        let name = unit.name();
        let mut findings = check(parts, unit);
        if !findings.is_empty() {
            // Files are merged and dropped meanwhile: what the root log names no more is no finding.
            findings.retain(|_| is_named(parts, unit));
            let again = if findings.is_empty() { Vec::new() } else { check(parts, unit) };
            findings.retain(|finding| again.contains(finding));
        }
        let size = unit.size_bytes();
        parts.metrics.add(Metric::StoreScrubbedBytes, size);
        parts.board.change(|status| status.findings.retain(|line| !line.starts_with(&name)));
        parts.report(AlarmKind::Damaged, &findings);
        self.progress.read_bytes = self.progress.read_bytes.saturating_add(size);
        self.progress.after = name;
    }

    fn status(&self) -> PassStatus {
        PassStatus {
            started_at: self.progress.started_at.clone(),
            read_bytes: self.progress.read_bytes,
            total_bytes: self.total_bytes.max(self.progress.read_bytes),
            completed_at: self.progress.completed_at.clone(),
        }
    }
}

/// What the root log names: of the last days, or all else and the root log itself.
fn units(parts: &CaretakerParts, is_hot: bool, today: IngestDay) -> Vec<Unit> {
    let is_in = |day: IngestDay| (i64::from(today.0) - i64::from(day.0) < HOT_DAYS) == is_hot;
    // What is wrong with the root log itself is told when its turn comes.
    let state = ledger::check_root(&parts.data, &parts.key, None, &mut Report::default()).unwrap_or_default();
    let segments = state.segments.values().filter(|(rows, _)| is_in(rows.shard.day));
    let segments = segments.map(|(_, object)| Unit::Segment(object.clone()));
    let shards = state.shards.values().filter(|growth| is_in(growth.shard.day)).cloned().map(Unit::Shard);
    let root = (!is_hot).then(|| Unit::Root { size_bytes: bytes_below(&parts.data.join("ledger/root")) });
    segments.chain(shards).chain(root).collect()
}

/// Whether the root log still says that a unit is there as it was.
fn is_named(parts: &CaretakerParts, unit: &Unit) -> bool {
    let state = match ledger::check_root(&parts.data, &parts.key, None, &mut Report::default()) {
        Some(state) => state,
        None => return true,
    };
    match unit {
        Unit::Segment(object) => state.segments.get(&object.path).is_some_and(|(_, named)| named == object),
        Unit::Shard(growth) => state.shards.contains_key(&growth.shard),
        Unit::Root { .. } => true,
    }
}

/// What is wrong with a unit.
fn check(parts: &CaretakerParts, unit: &Unit) -> Vec<Finding> {
    let mut report = Report::default();
    match unit {
        Unit::Segment(object) => check_segment(parts, object, &mut report),
        Unit::Shard(growth) => drop(ledger::check_shard(&parts.data, growth, &parts.key, &mut report)),
        Unit::Root { .. } => drop(ledger::check_root(&parts.data, &parts.key, None, &mut report)),
    }
    report.findings
}

/// Reads a segment where it lies. A bucket that does not answer, or not to us, is no damage: the turn of the segment
/// comes again with the next pass.
fn check_segment(parts: &CaretakerParts, object: &ObjectRef, report: &mut Report) {
    let file = Path::new("store").join(&object.path);
    let moved = parts.store.moved_segment(|segment| segment.path == object.path);
    let is_moved = moved.is_some();
    let digest = match moved {
        None => moneta_host::sha256_of_file(&parts.data.join(&file)).map(Hash),
        Some(segment) => match parts.store.moved_digest(&segment) {
            Err(moneta_store::Error::Io { source, .. }) => Err(source),
            other => other.map_err(|error| std::io::Error::other(error.to_string())),
        },
    };
    match digest {
        Ok(digest) if digest == object.hash => {}
        Ok(_) => report.find(file, "its SHA-256 is not the one in the root log"),
        Err(error) if is_moved && !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {
            tracing::warn!(%error, segment = %object.path, "a segment in the bucket could not be read again");
        }
        Err(error) => report.find(file, error.to_string()),
    }
}

fn bytes_below(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use moneta_ports::{Alarm, AlarmSink, Metrics};
    use moneta_testkit::{FixedClock, SimFs};

    use super::*;

    struct Unheard;

    impl AlarmSink for Unheard {
        fn raise(&self, alarm: Alarm) {
            panic!("nothing is damaged: {alarm:?}");
        }
    }

    fn parts() -> CaretakerParts {
        CaretakerParts {
            fs: Arc::new(SimFs::new()),
            data: "there/is/no/such/directory".into(),
            store: crate::caretaker::empty_store(),
            fill: Box::new(Default::default),
            writing: Box::new(Default::default),
            audit: Box::new(|event| panic!("nothing is to be audited: {event:?}")),
            // Any point of the curve will do: nothing is verified here.
            key: moneta_merkle::VerifierKey::new("test", [0; 32]).expect("a name"),
            alarms: Arc::new(Unheard),
            clock: Arc::new(FixedClock::default()),
            metrics: Arc::new(Metrics::default()),
            board: Arc::default(),
            budget: 0,
        }
    }

    fn saved(parts: &CaretakerParts, started_at: Timestamp, completed_at: &str, after: &str) {
        let progress = Progress {
            started_at: started_at.to_string(),
            completed_at: completed_at.to_owned(),
            after: after.to_owned(),
            read_bytes: 0,
        };
        let saved = Saved { version: 1, hot: Progress::default(), cold: progress };
        parts.fs.create_dir_all(&parts.data).expect("a simulated directory");
        write_atomically(&*parts.fs, &parts.data.join(FILE_NAME), &serde_json::to_vec(&saved).expect("it is JSON"))
            .expect("a simulated file");
    }

    /// Whether a restart reads on.
    fn is_resumed(parts: &CaretakerParts) -> bool {
        let mut scrub = Scrub::resume(parts);
        scrub.cold.begin_if_due(parts);
        scrub.cold.queue.is_some_and(|queue| !queue.is_empty())
    }

    #[test]
    fn a_pass_that_was_begun_and_read_nothing_goes_on_after_a_restart() {
        let parts = parts();
        let started = parts.clock.now();
        let before = Timestamp::from_seconds(1).to_string();
        for completed_at in ["", &before] {
            saved(&parts, started, completed_at, "");
            assert!(is_resumed(&parts), "completed {completed_at:?}");
        }
        saved(&parts, started, &before, "a file before all others");
        assert!(is_resumed(&parts));
        saved(&parts, started, &started.to_string(), "");
        assert!(!is_resumed(&parts), "it is over, and the next is not due");
    }

    #[test]
    fn a_pass_is_over_when_it_ends_though_the_clock_was_set_back() {
        let parts = parts();
        let mut pass = Scrub::resume(&parts).cold;
        pass.begin_if_due(&parts);
        pass.queue = Some(VecDeque::new());
        pass.progress.started_at = parts.clock.now().saturating_add(COLD_PERIOD / 2).to_string();
        pass.end_if_done(&parts);
        pass.begin_if_due(&parts);
        assert!(pass.queue.is_none());
    }
}
