//! The whole write path over simulated files: opening, commits, checkpoints, sealing, merging and retention, with a fault
//! at every call of the file system in turn. Whatever call fails, after a restart every acknowledged row is there once,
//! what policy dropped is gone with an entry, and the offline check finds nothing.
//!
//! By default each call fails once, the kinds of fault in turn. With `MONETA_FAULTS=all` each call fails in each way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use moneta_base::{Clock, SourceName, TenantId, Timestamp};
use moneta_event::{BatchBuilder, Delivery, RecordClass, TableCatalog, Value};
use moneta_keys::KeyRing;
use moneta_merkle::VerifierKey;
use moneta_ports::{
    AuditEvent, AuditSink, EventSink, IdempotencyKey, KeyLife, Metrics, OpContext, PortError, Space, Submission, Volume,
};
use moneta_scrub::{Scrubber, TokenKeys};
use moneta_testkit::{Fault, FixedClock, SeededEntropy, SimFs, TestDir};
use moneta_verify::{Options, verify_store};

use crate::keeper::{Keeper, Policy};
use crate::open::{Assembled, Parts, assemble};
use crate::shared::{Chore, LedgerOutcome};
use crate::{Ingest, OpenError};

const DATA: &str = "/data";
const START: i64 = 1_790_000_000;
const DAY: i64 = 86_400;
/// Days that rows are kept in the end.
const KEPT_DAYS: u32 = 3;
/// The day of the last look at retention: what was stored on the first days is past it, what came later is not.
const LAST_DAY: i64 = 6;
const FAULTS: [Fault; 5] = [Fault::PowerCut, Fault::Eio, Fault::Enospc, Fault::Eintr, Fault::ShortWrite];

/// Its patterns take longer to compile than a run takes.
static SCRUBBER: LazyLock<Arc<Scrubber>> = LazyLock::new(|| {
    let token_keys = TokenKeys { current: 1, keys: BTreeMap::from([(1, [7; 32])]) };
    Arc::new(Scrubber::new(moneta_scrub::Policy::built_in(), token_keys).unwrap())
});

struct Roomy;

impl Volume for Roomy {
    fn space(&self) -> std::io::Result<Space> {
        Ok(Space { total_bytes: 1 << 40, available_bytes: 1 << 40 })
    }

    fn reserve_bytes(&self) -> u64 {
        0
    }

    fn set_aside(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn give(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An installation whose files are simulated; its keys lie elsewhere.
struct Installation {
    fs: SimFs,
    clock: Arc<FixedClock>,
    keys: KeyRing,
    scrubber: Arc<Scrubber>,
    /// When each submission was stored, by its sequence, once that was acknowledged.
    acknowledged: BTreeMap<u64, Timestamp>,
}

/// Rows of a submission.
fn rows_of(sequence: u64) -> u64 {
    1 + sequence % 3
}

impl Installation {
    fn new() -> Self {
        let keys = KeyRing::open(Arc::new(SimFs::new()), Path::new("/keys"), &SeededEntropy::new(3)).unwrap();
        Self {
            fs: SimFs::new(),
            clock: Arc::new(FixedClock::new(Timestamp::from_seconds(START))),
            keys,
            scrubber: SCRUBBER.clone(),
            acknowledged: BTreeMap::new(),
        }
    }

    fn key(&self) -> VerifierKey {
        self.keys.verifier_key()
    }

    fn open(&self) -> Result<Assembled, OpenError> {
        let parts = Parts {
            fs: Arc::new(self.fs.clone()),
            clock: self.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(5)),
            signer: self.keys.log_signer(),
            origin: self.keys.log_name().to_owned(),
            scrubber: self.scrubber.clone(),
            tenant: TenantId::from_random([1; 16]),
            catalog: TableCatalog::built_in(),
            policy: Policy {
                seal_age: Duration::from_secs(1 << 30),
                seal_bytes: usize::MAX,
                hot_bytes_max: usize::MAX,
                journal_bytes_max: u64::MAX,
                retention_days_default: KEPT_DAYS,
                retention_days: BTreeMap::new(),
                retention_floor_days: 1,
                holds: Vec::new(),
            },
            metrics: Arc::new(Metrics::new()),
            volume: Arc::new(Roomy),
            bucket: None,
        };
        assemble(Path::new(DATA), parts)
    }

    /// Goes on to a day, unless it is later already.
    fn set_day(&self, day: i64) {
        self.clock.set(self.clock.now().max(Timestamp::from_seconds(START + day * DAY)));
    }

    async fn submit(&mut self, ingest: &Ingest, sequence: u64) -> Result<(), PortError> {
        let schema = TableCatalog::built_in().get("Syslog").unwrap().clone();
        let mut rows = BatchBuilder::new(schema, RecordClass::Data, Delivery::ExactlyOnce);
        for row in 0..rows_of(sequence) {
            let text = format!("row {row} of {sequence}");
            rows.set_field("SyslogMessage", Value::Text(&text));
            rows.finish_row(Timestamp::from_seconds(START), &SourceName::lossy("test"), &text);
        }
        let key = IdempotencyKey { producer: "collect/test".to_owned(), epoch: 1, sequence, life: KeyLife::Producer };
        let batches = vec![rows.finish().unwrap()];
        let receipt = ingest.submit(Submission { batches, quarantined: Vec::new(), key: Some(key) }).await?;
        let before = self.acknowledged.insert(sequence, receipt.stored_at);
        assert!(before.is_none_or(|at| at == receipt.stored_at && receipt.duplicate), "JOURNAL-3: {sequence}");
        Ok(())
    }

    /// One run of the server from start to end, on which every day something happens. Goes on after failures, as the
    /// server does; the sender sends again what was not acknowledged, and some of what was.
    async fn live(&mut self) -> Result<(), OpenError> {
        let Assembled { ingest, keeper, .. } = self.open()?;
        let mut retention_due = Timestamp::default();
        for day in [0, 0, 1, LAST_DAY - 1] {
            self.set_day(day);
            let next = self.acknowledged.last_key_value().map_or(0, |(last, _)| last + 1);
            // A sender sends in order: what comes later waits for what was refused.
            for sequence in next.saturating_sub(3)..next + 2 {
                if self.submit(&ingest, sequence).await.is_err() {
                    break;
                }
            }
            let _ = ingest.publish_now().await;
            let _ = keeper.seal(|_, _| true);
            keeper.tick(&mut retention_due);
        }
        self.set_day(LAST_DAY);
        tick_until_quiet(&keeper, &self.fs);
        ingest.writer.stop();
        let _ = ingest.publish_now().await;
        Ok(())
    }

    /// After the fault: a start, the rest of the work, an end in order; then everything must be there.
    async fn check(&mut self, what: &str) {
        self.live().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let first_kept = Timestamp::from_seconds(START + LAST_DAY * DAY).day().0 - i32::try_from(KEPT_DAYS).unwrap();
        let kept = self.acknowledged.iter().filter(|(_, at)| at.day().0 >= first_kept);
        let expected: u64 = kept.map(|(sequence, _)| rows_of(*sequence)).sum();
        let ledger = Path::new(DATA).join("ledger/shard");
        let days = |root: &Path| -> BTreeSet<PathBuf> {
            let files = self.fs.files().into_iter().filter_map(|path| Some(path.strip_prefix(root).ok()?.to_owned()));
            files.map(|path| path.components().take(2).collect()).collect()
        };
        let (logs, stored) = (days(&ledger), days(&Path::new(DATA).join("store")));
        let left: Vec<_> = logs.difference(&stored).collect();
        assert!(left.is_empty(), "{what}: the logs of days that are gone: {left:?}");
        let dir = TestDir::new();
        for path in self.fs.files() {
            let target = dir.path().join(path.strip_prefix(DATA).unwrap());
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::write(target, self.fs.peek(&path).unwrap()).unwrap();
        }
        let options = Options { key: Some(self.key()), ..Options::default() };
        let report = verify_store(dir.path(), options).unwrap();
        assert!(report.is_clean(), "{what}: {:?}", report.findings);
        assert_eq!(report.num_records, expected, "{what}: {:?}", self.acknowledged);
    }
}

/// What the keeper does by itself is done when it touches no more files.
fn tick_until_quiet(keeper: &Keeper, fs: &SimFs) {
    for _ in 0..10 {
        let before = fs.num_calls();
        keeper.tick(&mut Timestamp::default());
        if fs.num_calls() == before {
            return;
        }
    }
}

/// The calls of a run without faults, in which everything happens that the others are about.
async fn calls_of_a_run() -> usize {
    let mut installation = Installation::new();
    installation.live().await.unwrap();
    let num_calls = installation.fs.num_calls();
    installation.check("without a fault").await;
    num_calls
}

#[tokio::test]
async fn every_call_of_the_write_path_may_fail_and_nothing_is_lost_or_doubled() {
    let num_calls = calls_of_a_run().await;
    assert!(num_calls > 300, "{num_calls}");
    let is_whole = std::env::var("MONETA_FAULTS").is_ok_and(|form| form == "all");
    let (mut num_faults, mut num_cuts) = (0, 0);
    for call in 0..num_calls {
        for (number, fault) in FAULTS.into_iter().enumerate() {
            if !is_whole && number != call % FAULTS.len() {
                continue;
            }
            let what = format!("{fault:?} at call {call} of {num_calls}");
            let mut installation = Installation::new();
            installation.fs.fail_call(call, fault);
            let _ = installation.live().await;
            let is_cut = installation.fs.is_cut();
            if is_cut {
                installation.fs.crash(call as u64);
            }
            installation.fs.clear_faults();
            installation.check(&what).await;
            num_faults += 1;
            num_cuts += usize::from(is_cut);
        }
    }
    println!("write path: {num_calls} calls, {num_faults} faults, {num_cuts} of them power cuts: all clean");
}

/// A ledger that cannot know what is on the disk signs nothing more, and says why, and acknowledges all the same.
#[tokio::test]
async fn a_ledger_that_stops_says_why_until_it_is_opened_again() {
    let mut installation = Installation::new();
    let Assembled { ingest, keeper, .. } = installation.open().unwrap();
    installation.submit(&ingest, 0).await.unwrap();
    ingest.publish_now().await.unwrap();
    assert_eq!((ingest.status().ledger_failure, ingest.status().covered_at.is_some()), (None, true));
    installation.clock.set(Timestamp::from_seconds(START + 5));
    installation.submit(&ingest, 1).await.unwrap();
    let mut outcomes = Vec::new();
    for call in 0.. {
        installation.fs.fail_call(call, Fault::Eio);
        assert!(ingest.publish_now().await.is_err(), "a publish has a sync after fewer calls than {call}");
        installation.fs.clear_faults();
        outcomes.push(ingest.status().ledger_failure.unwrap().outcome);
        if outcomes.last() == Some(&LedgerOutcome::Stopped) {
            break;
        }
    }
    assert_eq!(outcomes[0], LedgerOutcome::Retried, "{outcomes:?}");
    for sequence in 2..4 {
        installation.submit(&ingest, sequence).await.unwrap();
        assert!(ingest.publish_now().await.is_err());
        let failure = ingest.status().ledger_failure.unwrap();
        assert_eq!(failure.outcome, LedgerOutcome::Stopped);
        assert!(failure.reason.contains("could not be made durable"), "the first reason, not the last: {failure:?}");
    }
    assert_eq!(ingest.status().covered_at, Some(Timestamp::from_seconds(START)));
    // However full the journal is, and though all of it is sealed, it forgets nothing before a checkpoint is signed.
    ingest.note_subscribers_complete();
    ingest.change_policy(|policy| policy.journal_bytes_max = 0);
    assert!(keeper.seal(|_, _| true).is_err());
    keeper.tick(&mut Timestamp::default());
    let reason = &ingest.status().failing_chores[&Chore::MakingRoom].reason;
    assert!(reason.contains("could not be published"), "{reason}");
    ingest.writer.stop();
    installation.check("a stopped ledger").await;
}

/// Of the faults below, every so many are followed by a whole run.
const CHECKED_EVERY: usize = 16;

/// With rows of two tables to seal, a fault at any call leaves at most one of them unsealed.
#[tokio::test]
async fn a_table_that_cannot_be_sealed_keeps_no_other_from_it() {
    let mut num_faults = 0;
    for call in 0.. {
        let mut installation = Installation::new();
        let Assembled { ingest, keeper, .. } = installation.open().unwrap();
        installation.submit(&ingest, 0).await.unwrap();
        ingest.record(&OpContext::service("test"), AuditEvent::success("query", "table", "Syslog")).await.unwrap();
        ingest.publish_now().await.unwrap();
        installation.set_day(1);
        let before = installation.fs.num_calls();
        installation.fs.fail_call(call, Fault::Eio);
        let sealed = keeper.seal(|_, _| true);
        if installation.fs.num_calls() <= before + call {
            break;
        }
        installation.fs.clear_faults();
        let num_unsealed = ingest.store().hot_stats().values().filter(|hot| hot.num_blocks > 0).count();
        assert!(num_unsealed <= 1, "call {call}: {sealed:?}");
        num_faults += 1;
        ingest.writer.stop();
        let _ = ingest.publish_now().await;
        // A whole run for each would take minutes; the test above has one for each call of such a run.
        if call % CHECKED_EVERY == 0 {
            installation.check(&format!("EIO at call {call} of sealing")).await;
        }
    }
    assert!(num_faults > 20, "{num_faults}");
}
