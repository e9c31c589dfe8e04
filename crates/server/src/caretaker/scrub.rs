//! Reads stored files again, so that damage is found while there is still a backup to mend it from: the journal and the
//! files of the last days every day, all others, with the catalogs, every 30 days.
//!
//! # Progress, version 1
//! `scrubbing.json` in the data directory, so that a restart goes on where the last run stopped:
//! ```text
//! {"version":1,"hot":<pass>,"cold":<pass>}
//! <pass>  {"started_at":<time>,"completed_at":<time or "">,"after":<the file read last, or "">,"read_bytes":<n>}
//! ```
//! A file that cannot be read as that is no error: the passes begin anew.

use std::collections::{BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use moneta_base::fs::write_atomically;
use moneta_base::{IngestDay, TableName, Timestamp};
use moneta_event::ShardGrowth;
use moneta_event::root_entry::ObjectRef;
use moneta_merkle::Hash;
use moneta_ports::operations::PassStatus;
use moneta_ports::{AlarmKind, Metric};
use moneta_verify::{Finding, Report, catalog, journal, ledger};
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

/// Segments that are named of a catalog that lists other ones than it should.
const CATALOG_FINDINGS_MAX: usize = 10;

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
    /// A file of the journal, named within the data directory, and how much of it is durable.
    Journal {
        file: PathBuf,
        size_bytes: u64,
    },
    Catalog {
        table: TableName,
        size_bytes: u64,
    },
    Root {
        size_bytes: u64,
    },
}

impl Unit {
    fn name(&self) -> String {
        match self {
            Self::Segment(object) => format!("store/{}", object.path),
            Self::Shard(growth) => format!("ledger/shard/{}", growth.shard),
            Self::Journal { file, .. } => file.display().to_string(),
            Self::Catalog { table, .. } => format!("store/{table}/_delta_log"),
            Self::Root { .. } => "ledger/root".to_owned(),
        }
    }

    /// Bytes it takes to read, so about: of a shard log the headers, which are 300 bytes each.
    fn size_bytes(&self) -> u64 {
        match self {
            Self::Segment(object) => object.size_bytes,
            Self::Shard(growth) => growth.size.saturating_mul(300),
            Self::Journal { size_bytes, .. } | Self::Catalog { size_bytes, .. } | Self::Root { size_bytes } => {
                *size_bytes
            }
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

/// What the root log names: of the last days with the journal, or all else with the catalogs and the root log itself.
fn units(parts: &CaretakerParts, is_hot: bool, today: IngestDay) -> Vec<Unit> {
    let is_in = |day: IngestDay| (i64::from(today.0) - i64::from(day.0) < HOT_DAYS) == is_hot;
    // What is wrong with the root log itself is told when its turn comes.
    let state = ledger::check_root(&parts.data, &parts.key, None, &mut Report::default()).unwrap_or_default();
    let segments = state.segments.values().filter(|(rows, _)| is_in(rows.shard.day));
    let segments = segments.map(|(_, object)| Unit::Segment(object.clone()));
    let shards = state.shards.values().filter(|growth| is_in(growth.shard.day)).cloned().map(Unit::Shard);
    let root = (!is_hot).then(|| Unit::Root { size_bytes: bytes_below(&parts.data.join("ledger/root")) });
    let journal = is_hot.then(|| journal_files(parts)).into_iter().flatten();
    let journal = journal.map(|(file, size_bytes)| Unit::Journal { file, size_bytes });
    let catalogs = (!is_hot).then(|| parts.store.tables_with_rows()).into_iter().flatten().map(|table| {
        let size_bytes = bytes_below(&parts.data.join("store").join(table.as_str()).join("_delta_log"));
        Unit::Catalog { table, size_bytes }
    });
    segments.chain(shards).chain(journal).chain(catalogs).chain(root).collect()
}

/// The files of the journal, named within the data directory.
fn journal_files(parts: &CaretakerParts) -> Vec<(PathBuf, u64)> {
    let within =
        |(path, size_bytes): (PathBuf, u64)| Some((path.strip_prefix(&parts.data).ok()?.to_owned(), size_bytes));
    (parts.journal)().into_iter().filter_map(within).collect()
}

/// Whether a unit is still there as it was, by what the root log says or whoever writes it.
fn is_named(parts: &CaretakerParts, unit: &Unit) -> bool {
    match unit {
        Unit::Journal { file, .. } => return journal_files(parts).iter().any(|(named, _)| named == file),
        Unit::Catalog { .. } => return true,
        Unit::Segment(_) | Unit::Shard(_) | Unit::Root { .. } => {}
    }
    let state = match ledger::check_root(&parts.data, &parts.key, None, &mut Report::default()) {
        Some(state) => state,
        None => return true,
    };
    match unit {
        Unit::Segment(object) => state.segments.get(&object.path).is_some_and(|(_, named)| named == object),
        Unit::Shard(growth) => state.shards.contains_key(&growth.shard),
        Unit::Journal { .. } | Unit::Catalog { .. } | Unit::Root { .. } => true,
    }
}

/// What is wrong with a unit.
fn check(parts: &CaretakerParts, unit: &Unit) -> Vec<Finding> {
    let mut report = Report::default();
    match unit {
        Unit::Segment(object) => check_segment(parts, object, &mut report),
        Unit::Shard(growth) => drop(ledger::check_shard(&parts.data, growth, &parts.key, &mut report)),
        Unit::Journal { file, size_bytes } => journal::check_growing(&parts.data, file, *size_bytes, &mut report),
        Unit::Catalog { table, .. } => check_catalog(parts, table, &mut report),
        Unit::Root { .. } => drop(ledger::check_root(&parts.data, &parts.key, None, &mut report)),
    }
    report.findings
}

/// Reads a catalog as another program does: it must list what the server took from it, or wrote into it.
fn check_catalog(parts: &CaretakerParts, table: &TableName, report: &mut Report) {
    let Some(snapshot) = parts.store.snapshot(table).filter(|snapshot| !snapshot.segments.is_empty()) else { return };
    let listed = catalog::check(&parts.data, table.as_str(), report);
    let listed: BTreeSet<String> = listed.into_keys().map(|name| format!("{table}/{name}")).collect();
    let known: BTreeSet<String> = snapshot.segments.iter().map(|segment| segment.path.clone()).collect();
    // While segments come and go each look sees other ones: only what stays so is told.
    for path in known.symmetric_difference(&listed).take(CATALOG_FINDINGS_MAX) {
        let dir = format!("store/{table}/_delta_log");
        report.find(dir, format!("it and the running server do not agree whether {path} is part of the table"));
    }
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
    use std::sync::{Arc, Mutex};

    use moneta_base::{SourceName, TenantId};
    use moneta_event::block::BlockPosition;
    use moneta_event::frame::{FileHeader, FrameBody, Snapshot};
    use moneta_event::{BatchBuilder, Block, Delivery, RecordClass, ShardId, TableCatalog};
    use moneta_host::RealFs;
    use moneta_ports::{Alarm, AlarmSink, Metrics};
    use moneta_store::Store;
    use moneta_testkit::{FixedClock, SimFs, TestDir};

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
            journal: Box::new(Vec::new),
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

    #[derive(Default)]
    struct Heard(Mutex<Vec<Alarm>>);

    impl AlarmSink for Heard {
        fn raise(&self, alarm: Alarm) {
            self.0.lock().expect("no test panicked").push(alarm);
        }
    }

    #[test]
    fn the_journal_is_read_as_far_as_it_is_durable() {
        let (dir, heard) = (TestDir::new(), Arc::new(Heard::default()));
        let file = dir.path().join("journal/00000001.wal");
        let snapshot = Snapshot { ingest_time: Timestamp::default(), tables: Vec::new(), marks: Vec::new() };
        let mut bytes = FileHeader { file_number: 1, first_frame: 0 }.encode().to_vec();
        bytes.extend(FrameBody::Snapshot(snapshot).encode(0).expect("a small frame"));
        bytes.extend(FrameBody::End.encode(1).expect("a small frame"));
        let (path, size_bytes) = (file.clone(), bytes.len() as u64);
        let journal = Box::new(move || vec![(path.clone(), size_bytes)]);
        let parts = CaretakerParts { data: dir.path().to_owned(), journal, alarms: heard.clone(), ..parts() };
        let write = |bytes: &[u8]| {
            std::fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
            std::fs::write(&file, bytes).expect("a file");
        };
        let read = || {
            let mut pass = Scrub::resume(&parts).hot;
            pass.begin_if_due(&parts);
            let unit = pass.next().expect("the journal");
            assert_eq!((unit.name().as_str(), unit.size_bytes()), ("journal/00000001.wal", size_bytes));
            pass.read(&parts, &unit);
            std::mem::take(&mut *heard.0.lock().expect("no test panicked"))
        };
        // What is being written behind it is not its business.
        write(&[&bytes[..], b"MFRM half a frame"].concat());
        assert!(read().is_empty());
        let at = bytes.len() - 1;
        bytes[at] ^= 1;
        write(&bytes);
        assert!(matches!(&read()[..], [Alarm { kind: AlarmKind::Damaged, .. }]));
        write(&bytes[..at]);
        assert!(matches!(&read()[..], [Alarm { kind: AlarmKind::Damaged, .. }]));
    }

    /// A store with one table of one segment.
    fn store_with_a_segment(dir: &Path, table: &TableName) -> Store {
        let store = Store::open(Arc::new(RealFs), &dir.join("store"), TableCatalog::built_in()).expect("it opens");
        let schema = TableCatalog::built_in().get(table.as_str()).expect("a built-in table").clone();
        let mut rows = BatchBuilder::new(schema, RecordClass::Data, Delivery::BestEffort);
        rows.finish_row(Timestamp::default(), &SourceName::lossy("s"), "raw");
        let position = BlockPosition {
            tenant: TenantId::from_random([3; 16]),
            shard: ShardId { table: table.clone(), day: IngestDay(20_000) },
            shard_index: 0,
            first_seq: 0,
            ingest_time: IngestDay(20_000).start(),
            token_key: 1,
            previous: Hash([0; 32]),
        };
        let block = Block::new(position, rows.finish().expect("a row").rows).expect("a block");
        store.add_hot(Arc::new(block)).expect("the first block");
        let segment = store.seal(table).expect("it is written").expect("there is a row");
        store.publish(segment, Timestamp::default()).expect("it is listed");
        store
    }

    #[test]
    fn a_catalog_that_lists_another_segment_is_damaged() {
        let (dir, heard) = (TestDir::new(), Arc::new(Heard::default()));
        let table = TableName::new("Syslog").expect("a name");
        let store = Arc::new(store_with_a_segment(dir.path(), &table));
        let parts = CaretakerParts { data: dir.path().to_owned(), store, alarms: heard.clone(), ..parts() };
        let read = || {
            let mut pass = Scrub::resume(&parts).cold;
            pass.begin_if_due(&parts);
            let unit = std::iter::from_fn(|| pass.next()).find(|unit| matches!(unit, Unit::Catalog { .. }));
            let unit = unit.expect("the catalog");
            assert!(unit.name() == "store/Syslog/_delta_log" && unit.size_bytes() > 0);
            pass.read(&parts, &unit);
            std::mem::take(&mut *heard.0.lock().expect("no test panicked"))
        };
        assert!(read().is_empty());
        let commit = dir.path().join("store/Syslog/_delta_log/00000000000000000000.json");
        let text = std::fs::read_to_string(&commit).expect("the first commit");
        std::fs::write(&commit, text.replace("2024-10-04/", "2024-10-05/")).expect("the same file");
        let alarms = read();
        assert!(alarms.iter().all(|alarm| alarm.kind == AlarmKind::Damaged), "{alarms:?}");
        assert!(alarms.iter().any(|alarm| alarm.text.contains("2024-10-05")), "{alarms:?}");
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
