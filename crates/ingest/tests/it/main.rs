//! The write path from submission to proof, on real files: what is acknowledged is there once, after any end.

#![allow(clippy::unwrap_used)]

mod agreement;
mod pressure;
mod resend;
mod volume;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moneta_base::{ErrorKind, SourceName, TableName, TenantId, Timestamp};
use moneta_event::{
    BatchBuilder, Delivery, ParsedBatch, QuarantinedRecord, RecordClass, RecordContext, TableCatalog, Value,
};
use moneta_host::{RealFs, SystemEntropy};
use moneta_ingest::{Ingest, OpenError, OpenReport, Parts, Policy};
use moneta_keys::KeyRing;
use moneta_ports::operations::Hold;
use moneta_ports::{AuditEvent, AuditSink, EventSink, IdempotencyKey, KeyLife, Metrics, OpContext, Submission};
use moneta_scrub::{Scrubber, TokenKeys};
use moneta_testkit::{FixedClock, TestDir};
use moneta_verify::{Options, verify_store};

use crate::volume::SmallVolume;

const START: i64 = 1_790_000_000;

struct Fixture {
    dir: TestDir,
    volume: Arc<SmallVolume>,
    clock: Arc<FixedClock>,
}

impl Fixture {
    fn new() -> Self {
        Self::on_volume(1 << 40)
    }

    fn on_volume(total_bytes: u64) -> Self {
        let dir = TestDir::new();
        let volume = Arc::new(SmallVolume::new(dir.path(), total_bytes));
        Self { dir, volume, clock: Arc::new(FixedClock::new(Timestamp::from_seconds(START))) }
    }

    fn open(&self) -> (Arc<Ingest>, OpenReport) {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<(Arc<Ingest>, OpenReport), OpenError> {
        let (fs, entropy) = (Arc::new(RealFs), Arc::new(SystemEntropy::new()));
        let keys = KeyRing::open(fs.clone(), &self.dir.path().join("keys"), &*entropy).unwrap();
        let token_keys = TokenKeys { current: 1, keys: BTreeMap::from([(1, [7; 32])]) };
        let parts = Parts {
            fs,
            clock: self.clock.clone(),
            entropy,
            signer: keys.log_signer(),
            origin: keys.log_name().to_owned(),
            scrubber: Arc::new(Scrubber::new(moneta_scrub::Policy::built_in(), token_keys).unwrap()),
            tenant: TenantId::from_random([1; 16]),
            catalog: TableCatalog::built_in(),
            policy: policy(365),
            metrics: Arc::new(Metrics::new()),
            volume: self.volume.clone(),
            bucket: None,
        };
        Ingest::open(self.dir.path(), parts)
    }

    fn assert_verifies(&self, num_records: u64) {
        let report = verify_store(self.dir.path(), Options::default()).unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
        assert_eq!(report.num_records, num_records);
    }
}

fn policy(retention_days_default: u32) -> Policy {
    let seal_age = Duration::from_secs(1 << 30);
    Policy {
        seal_age,
        seal_bytes: usize::MAX,
        hot_bytes_max: usize::MAX,
        journal_bytes_max: u64::MAX,
        retention_days_default,
        retention_days: BTreeMap::new(),
        retention_floor_days: 1,
        holds: Vec::new(),
    }
}

fn syslog() -> TableName {
    TableName::new("Syslog").unwrap()
}

fn batch(messages: &[&str]) -> ParsedBatch {
    batch_for("Syslog", messages)
}

fn batch_for(table: &str, messages: &[&str]) -> ParsedBatch {
    let schema = TableCatalog::built_in().get(table).unwrap().clone();
    let mut rows = BatchBuilder::new(schema, RecordClass::Data, Delivery::ExactlyOnce);
    for message in messages {
        rows.set_field(if table == "Syslog" { "SyslogMessage" } else { "Activity" }, Value::Text(message));
        rows.finish_row(Timestamp::from_seconds(START), &SourceName::lossy("test"), message);
    }
    rows.finish().unwrap()
}

fn submission(messages: &[&str], sequence: u64) -> Submission {
    let key = IdempotencyKey { producer: "collect/test".to_owned(), epoch: 1, sequence, life: KeyLife::Producer };
    Submission { batches: vec![batch(messages)], quarantined: Vec::new(), key: Some(key) }
}

fn num_rows(ingest: &Ingest, table: &TableName) -> u64 {
    ingest.store().snapshot(table).unwrap().num_rows()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_is_recognised_also_after_a_restart_and_other_content_is_refused() {
    let fixture = Fixture::new();
    let (ingest, _) = fixture.open();
    let first = ingest.submit(submission(&["a", "b"], 1)).await.unwrap();
    assert_eq!((first.duplicate, first.ranges[0].first_seq, first.ranges[0].num_rows), (false, 0, 2));
    assert!(ingest.submit(submission(&["a", "b"], 1)).await.unwrap().duplicate);
    drop(ingest);
    let (ingest, _) = fixture.open();
    assert!(ingest.submit(submission(&["a", "b"], 1)).await.unwrap().duplicate);
    let error = ingest.submit(submission(&["other"], 1)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Caller);
    let conflict = ingest.status().conflict.map(|conflict| (conflict.producer, conflict.sequence));
    assert_eq!(conflict, Some(("collect/test".to_owned(), 1)));
    assert_eq!(num_rows(&ingest, &syslog()), 2);
    assert_eq!(ingest.mark_of("collect/test").await, Some((1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn store_1_rows_are_there_once_hot_sealed_and_after_an_end_without_goodbye() {
    let fixture = Fixture::new();
    let (ingest, _) = fixture.open();
    ingest.submit(submission(&["hot"], 1)).await.unwrap();
    ingest.publish_now().await.unwrap();
    fixture.assert_verifies(1);
    drop(ingest);
    let (ingest, report) = fixture.open();
    assert_eq!((report.recovered.num_blocks(), num_rows(&ingest, &syslog())), (1, 1));
    ingest.submit(submission(&["second"], 2)).await.unwrap();
    assert_eq!(ingest.seal_all().unwrap(), 1);
    ingest.submit(submission(&["third"], 3)).await.unwrap();
    assert_eq!(num_rows(&ingest, &syslog()), 3);
    ingest.shut_down().unwrap();
    fixture.assert_verifies(3);
    let (ingest, _) = fixture.open();
    assert_eq!(num_rows(&ingest, &syslog()), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_1_personal_data_in_a_refused_record_is_scrubbed_before_it_is_encoded() {
    let fixture = Fixture::new();
    let (ingest, _) = fixture.open();
    let record = QuarantinedRecord {
        source: SourceName::lossy("test"),
        format: "json",
        table: None,
        reason_code: "invalid_utf8",
        reason: "not UTF-8".to_owned(),
        offset: 0,
        bytes: b"\xff mail to jane.roe@customer.example now".to_vec(),
        context: RecordContext { head: Some("#owner: jane.roe@customer.example".into()), ..RecordContext::default() },
    };
    ingest.submit(Submission { quarantined: vec![record], ..Submission::default() }).await.unwrap();
    ingest.shut_down().unwrap();
    for file in files_below(fixture.dir.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let encoded = b"amFuZS5yb2VAY3VzdG9tZXI";
        for needle in [b"jane.roe@customer".as_slice(), encoded] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_3_a_day_past_its_retention_is_gone_with_an_entry_and_the_rest_still_proves() {
    let fixture = Fixture::new();
    let (ingest, _) = fixture.open();
    ingest.submit(submission(&["old"], 1)).await.unwrap();
    ingest.seal_all().unwrap();
    fixture.clock.set(Timestamp::from_seconds(START + 10 * 86_400));
    ingest.submit(submission(&["new"], 2)).await.unwrap();
    let short = Policy { retention_days: BTreeMap::from([(syslog(), 3)]), ..policy(5) };
    ingest.change_policy(|current| *current = Policy { retention_floor_days: 30, ..short.clone() });
    assert_eq!((ingest.policy().days_of(&syslog()), short.days_of(&syslog())), (30, 3), "nobody goes below the floor");
    ingest.change_policy(|current| *current = short);
    wait_until(|| num_rows(&ingest, &syslog()) == 1);
    ingest.shut_down().unwrap();
    fixture.assert_verifies(1);
    // The journal still names the dropped block; a restart must not bring its shard back.
    let (ingest, _) = fixture.open();
    assert_eq!(num_rows(&ingest, &syslog()), 1);
    ingest.shut_down().unwrap();
    let report = verify_store(fixture.dir.path(), Options::default()).unwrap();
    assert_eq!((report.num_dropped_shards, report.findings), (1, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn store_2_small_segments_of_a_day_that_is_over_become_one_and_everything_still_verifies() {
    let fixture = Fixture::new();
    let (ingest, _) = fixture.open();
    for (sequence, message) in (1..).zip(["a", "b", "c", "d"]) {
        ingest.submit(submission(&[message, "x"], sequence)).await.unwrap();
        ingest.seal_all().unwrap();
    }
    let num_segments = |ingest: &Ingest| ingest.store().snapshot(&syslog()).unwrap().segments.len();
    assert_eq!(num_segments(&ingest), 4);
    fixture.clock.set(Timestamp::from_seconds(START + 86_400));
    wait_until(|| num_segments(&ingest) == 1);
    ingest.shut_down().unwrap();
    fixture.assert_verifies(8);
    // The files that were merged are gone after a restart.
    let (ingest, _) = fixture.open();
    let parquet = |file: &std::path::PathBuf| file.extension().is_some_and(|extension| extension == "parquet");
    assert_eq!(files_below(&fixture.dir.path().join("store")).iter().filter(|file| parquet(file)).count(), 1);
    ingest.shut_down().unwrap();
    fixture.assert_verifies(8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_a_crash_cut_off_from_its_root_entry_gets_one_at_the_next_start() {
    let fixture = Fixture::new();
    let (ingest, _) = fixture.open();
    for (sequence, message) in (1..).zip(["a", "b"]) {
        ingest.submit(submission(&[message], sequence)).await.unwrap();
        ingest.seal_all().unwrap();
    }
    ingest.publish_now().await.unwrap();
    let tomorrow = Timestamp::from_seconds(START + 86_400);
    let run = ingest.store().due_merge(&syslog(), tomorrow.day(), &|_| false).unwrap();
    let headers = ingest.ledger().headers_of(&run[0].shard, 0, 2).unwrap();
    assert_eq!(headers.iter().map(|header| header.first_seq).collect::<Vec<_>>(), [0, 1]);
    ingest.store().merge(&run, &headers, tomorrow).unwrap();
    drop(ingest);
    let problems = verify_store(fixture.dir.path(), Options::default()).unwrap().findings;
    assert!(problems.iter().any(|finding| finding.problem.contains("the catalog does not")), "{problems:?}");
    let (ingest, _) = fixture.open();
    ingest.shut_down().unwrap();
    fixture.assert_verifies(2);
    let (again, _) = fixture.open();
    again.publish_now().await.unwrap();
    let entries =
        (0..again.ledger().root_checkpoint().size()).map(|index| again.ledger().read_root_entry(index).unwrap());
    let merges = entries.filter(|entry| entry.event.type_name() == "segment-reencoded").count();
    assert_eq!(merges, 1, "it is said once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_wins_over_retention_until_it_is_released() {
    let fixture = Fixture::new();
    let (ingest, _) = fixture.open();
    ingest.submit(submission(&["old"], 1)).await.unwrap();
    ingest.seal_all().unwrap();
    let held_day = Timestamp::from_seconds(START).day();
    fixture.clock.set(Timestamp::from_seconds(START + 5 * 86_400));
    ingest.submit(submission(&["middle"], 2)).await.unwrap();
    ingest.seal_all().unwrap();
    let hold = Hold {
        name: "case-1".to_owned(),
        table: Some(syslog()),
        from: None,
        to: Some(held_day),
        reason: "litigation".to_owned(),
        placed_by: "ada".to_owned(),
        placed_at: Timestamp::from_seconds(START),
    };
    fixture.clock.set(Timestamp::from_seconds(START + 20 * 86_400));
    ingest.change_policy(|current| *current = Policy { holds: vec![hold], ..policy(3) });
    wait_until(|| num_rows(&ingest, &syslog()) == 1);
    let days: Vec<_> =
        ingest.store().snapshot(&syslog()).unwrap().segments.iter().map(|segment| segment.shard.day).collect();
    assert_eq!(days, [held_day], "the day in between is gone, the held one is not");
    // Days are looked at once an hour.
    fixture.clock.set(Timestamp::from_seconds(START + 21 * 86_400));
    ingest.change_policy(|current| *current = policy(3));
    wait_until(|| num_rows(&ingest, &syslog()) == 0);
    ingest.shut_down().unwrap();
    fixture.assert_verifies(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn access_1_a_change_is_under_a_checkpoint_before_it_may_take_effect() {
    let fixture = Fixture::new();
    let (ingest, _) = fixture.open();
    let before = ingest.ledger().root_checkpoint().size();
    let event = AuditEvent::success("rule.add", "rule", "r1");
    ingest.record_change(&OpContext::service("test"), event).await.unwrap();
    let checkpoint = ingest.ledger().root_checkpoint();
    let entries: Vec<_> =
        (before..checkpoint.size()).map(|index| ingest.ledger().read_root_entry(index).unwrap()).collect();
    let is_audit = |entry: &moneta_event::RootEntry| entry.event.type_name() == "audit";
    assert!(entries.iter().any(is_audit), "{entries:?}");
    assert_eq!(num_rows(&ingest, &TableName::new("MonetaAudit").unwrap()), 1);
}

/// Waits for a condition that a thread of the service brings about.
fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "the condition did not come true in 30 s");
        std::thread::yield_now();
    }
}

fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(files_below(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files
}
