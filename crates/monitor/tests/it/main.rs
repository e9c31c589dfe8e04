//! What the monitor stores, and what it does when it cannot.

#![allow(clippy::unwrap_used)]

mod analytics;
mod burst;
mod incidents;
mod sources;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use moneta_base::{ErrorKind, IngestDay, Seq, SourceName, TableName, TenantId, Timestamp};
use moneta_event::block::BlockPosition;
use moneta_event::{BatchBuilder, Block, Delivery, RecordClass, ShardId, TableCatalog, Value};
use moneta_merkle::Hash;
use moneta_monitor::{Monitor, MonitorParts, StatePlace, producer_of, resume_point, told_alerts, told_ids};
use moneta_ports::{
    Alarm, AlarmKind, AlarmSink, Alert, AlertDelivery, BlockSubscriber, BoxFuture, EventSink, IngestReceipt, Metrics,
    PortError, Submission,
};
use moneta_rules::{CompiledRules, Taxonomy, parse_file};
use moneta_testkit::{FixedClock, SimFs};

const RULE: &str = "
title: Secret word
id: 11111111-2222-4333-8444-555555555555
author: A. Uthor
status: test
level: high
logsource:
  product: linux
  service: syslog
detection:
  words:
    - xyzzy
  condition: words
";

/// Holds when three events of the rule above come within an hour.
const CORRELATION: &str = "---
title: Secret words
id: many
author: B. Uthor
level: critical
correlation:
  type: event_count
  rules: [11111111-2222-4333-8444-555555555555]
  group-by: [ProcessName]
  timespan: 1h
  condition:
    gte: 3
";

/// Takes submissions, or refuses them in the order it is told to.
#[derive(Default)]
struct Sink {
    taken: Mutex<Vec<Submission>>,
    refusals: Mutex<VecDeque<ErrorKind>>,
}

impl EventSink for Sink {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<IngestReceipt, PortError>> {
        let refusal = self.refusals.lock().unwrap().pop_front();
        let result = match refusal {
            Some(kind) => Err(PortError::new(kind, "refused")),
            None => {
                self.taken.lock().unwrap().push(submission);
                Ok(IngestReceipt { ranges: Vec::new(), duplicate: false, stored_at: Timestamp::default() })
            }
        };
        Box::pin(async { result })
    }
}

#[derive(Default)]
struct Delivered(Mutex<Vec<Alert>>);

impl AlertDelivery for Delivered {
    fn deliver(&self, alert: Alert) -> BoxFuture<'_, Result<(), PortError>> {
        self.0.lock().unwrap().push(alert);
        Box::pin(async { Ok(()) })
    }
}

/// Alarms that were raised.
#[derive(Default)]
struct Heard(Mutex<Vec<Alarm>>);

impl AlarmSink for Heard {
    fn raise(&self, alarm: Alarm) {
        self.0.lock().unwrap().push(alarm);
    }
}

struct Fixture {
    clock: Arc<FixedClock>,
    alarms: Arc<Heard>,
    monitor: Arc<Monitor>,
    sink: Arc<Sink>,
    delivered: Arc<Delivered>,
}

fn start(sink: Sink) -> Fixture {
    start_with(sink, RULE)
}

fn start_with(sink: Sink, rule: &str) -> Fixture {
    start_on(&SimFs::new(), sink, rule, BTreeMap::new())
}

/// A process on this disk, whose journal has these cursors.
fn start_on(fs: &SimFs, sink: Sink, rule: &str, resume: BTreeMap<TableName, Seq>) -> Fixture {
    start_quiet(fs, sink, rule, resume, Duration::ZERO)
}

/// The same, where people hear once in so long of the same rule about the same entities.
fn start_quiet(fs: &SimFs, sink: Sink, rule: &str, resume: BTreeMap<TableName, Seq>, quiet: Duration) -> Fixture {
    let catalog = TableCatalog::built_in();
    let parsed = parse_file("rule.yml", rule);
    assert!(parsed.not_loaded.is_empty(), "{:?}", parsed.not_loaded);
    let (rules, _) = CompiledRules::compile(parsed.rules, &Taxonomy::built_in(), &catalog);
    let (sink, delivered, alarms) = (Arc::new(sink), Arc::new(Delivered::default()), Arc::new(Heard::default()));
    let clock = Arc::new(FixedClock::new(Timestamp::from_seconds(1_800_000_000)));
    let parts = MonitorParts {
        events: sink.clone(),
        delivery: delivered.clone(),
        alarms: alarms.clone(),
        clock: clock.clone(),
        metrics: Arc::new(Metrics::new()),
        alert_schema: catalog.get("SecurityAlert").unwrap().clone(),
        tenant: TenantId::from_random([3; 16]),
        resume,
        state: StatePlace { fs: Arc::new(fs.clone()), directory: "/state".into() },
        quiet,
    };
    Fixture { clock, alarms, monitor: Monitor::start(parts, Arc::new(rules)).unwrap(), sink, delivered }
}

fn syslog() -> TableName {
    TableName::new("Syslog").unwrap()
}

fn block(first_seq: Seq, messages: &[&str]) -> Arc<Block> {
    let rows: Vec<Row<'_>> = messages.iter().map(|message| (0, vec![("SyslogMessage", *message)])).collect();
    block_of_rows("Syslog", first_seq, &rows)
}

/// Seconds after a fixed time, and columns with their texts.
type Row<'a> = (i64, Vec<(&'a str, &'a str)>);

/// So many rows that are all the same.
fn block_of(table: &str, first_seq: Seq, row: &[(&str, &str)], num_rows: usize) -> Arc<Block> {
    block_of_rows(table, first_seq, &vec![(0, row.to_vec()); num_rows])
}

fn block_of_rows(table: &str, first_seq: Seq, given: &[Row<'_>]) -> Arc<Block> {
    let schema = TableCatalog::built_in().get(table).unwrap().clone();
    let mut rows = BatchBuilder::new(schema, RecordClass::Data, Delivery::BestEffort);
    for (seconds, row) in given {
        row.iter().for_each(|(column, text)| rows.set_field(column, Value::Text(text)));
        rows.finish_row(Timestamp::from_seconds(1_700_000_000 + seconds), &SourceName::lossy("s"), "raw");
    }
    let position = BlockPosition {
        tenant: TenantId::from_random([3; 16]),
        shard: ShardId { table: TableName::new(table).unwrap(), day: IngestDay(20_000) },
        shard_index: 0,
        first_seq,
        ingest_time: Timestamp::from_seconds(1_799_999_999),
        token_key: 1,
        previous: Hash([0; 32]),
    };
    Arc::new(Block::new(position, rows.finish().unwrap().rows).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn monitor_1_alerts_and_cursor_are_one_commit() {
    let fixture = start(Sink::default());
    fixture.monitor.on_block(&block(0, &["quiet", "say xyzzy now"]));
    fixture.monitor.stop().await;
    let taken = fixture.sink.taken.lock().unwrap();
    let with_alert = taken.iter().find(|submission| !submission.batches.is_empty()).unwrap();
    let key = with_alert.key.as_ref().unwrap();
    assert_eq!((key.producer.as_str(), key.sequence), (producer_of(&syslog()).as_str(), 2));
    let rows = &with_alert.batches[0].rows;
    let text = |column: &str| rows.column_by_name(column).unwrap().as_string::<i32>().value(0).to_owned();
    assert_eq!((text("RuleAuthor").as_str(), text("EventSeqs").as_str()), ("A. Uthor", "[1]"));
    let delivered = fixture.delivered.0.lock().unwrap();
    assert_eq!(delivered.len(), 1);
    assert_eq!(fixture.monitor.needs_from(&syslog()), 2);
    assert_eq!(fixture.monitor.backlog_rows(), 0);
    drop(taken);
    let stored = alert_block(&fixture.sink);
    assert_eq!(told_alerts(&stored, 0), [(0, delivered[0].clone())], "the row is enough to tell people of the alert");
    assert_eq!(told_ids(&stored), [(0, delivered[0].id.clone())]);
    assert!(told_alerts(&stored, 1).is_empty());
    // What a sender says of itself makes no alert of ours: its record has a text.
    let forged = with_text(&stored, "_Raw", "{}");
    assert!(told_alerts(&forged, 0).is_empty() && told_ids(&forged).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_without_alerts_is_stored_before_the_end() {
    let fixture = start(Sink::default());
    fixture.monitor.on_block(&block(0, &["quiet"]));
    fixture.monitor.stop().await;
    let taken = fixture.sink.taken.lock().unwrap();
    assert!(taken.len() == 1 && taken[0].batches.is_empty());
    assert_eq!(resume_point(Some((0, taken[0].key.as_ref().unwrap().sequence))), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn monitor_1_alerts_that_cannot_be_stored_hold_the_cursor_back() {
    let sink = Sink { refusals: Mutex::new(VecDeque::from([ErrorKind::Internal])), ..Sink::default() };
    let fixture = start(sink);
    fixture.monitor.on_block(&block(0, &["xyzzy"]));
    fixture.monitor.on_block(&block(1, &["quiet"]));
    fixture.monitor.on_block(&block(2, &["xyzzy again"]));
    fixture.monitor.stop().await;
    assert!(fixture.sink.taken.lock().unwrap().is_empty(), "nothing after the lost alert may move the cursor");
    assert!(fixture.delivered.0.lock().unwrap().is_empty());
    assert_eq!(fixture.monitor.needs_from(&syslog()), 0);
    // At once, and again with what comes after: who hears of it decides how often people do.
    let alarms = fixture.alarms.0.lock().unwrap();
    assert_eq!(alarms.len(), 3);
    assert!(alarms.iter().all(|alarm| alarm.kind == AlarmKind::DetectionStalled && alarm.subject == "Syslog"));
    assert!(alarms[0].text.contains("refused"), "{}", alarms[0].text);
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_wait_for_a_store_that_asks_for_patience() {
    let sink = Sink { refusals: Mutex::new(VecDeque::from([ErrorKind::RETRY])), ..Sink::default() };
    let fixture = start(sink);
    fixture.monitor.on_block(&block(0, &["xyzzy"]));
    fixture.monitor.stop().await;
    assert_eq!(fixture.delivered.0.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correlation_over_several_blocks_raises_one_alert_and_its_rule_none() {
    let fixture = start_with(Sink::default(), &format!("{RULE}{CORRELATION}"));
    for seq in 0..5 {
        fixture.monitor.on_block(&block(seq, &["say xyzzy"]));
    }
    fixture.monitor.stop().await;
    let delivered = fixture.delivered.0.lock().unwrap();
    assert_eq!(delivered.len(), 1);
    assert_eq!((delivered[0].rule_id.as_str(), delivered[0].rule_author.as_str()), ("many", "B. Uthor"));
    assert_eq!(delivered[0].events.iter().map(|event| event.seq).collect::<Vec<_>>(), [0, 1, 2]);
}

/// The rows that a run stored, as a block of `SecurityAlert`.
fn alert_block(sink: &Sink) -> Arc<Block> {
    let taken = sink.taken.lock().unwrap();
    let rows = taken.iter().flat_map(|one| &one.batches).next().unwrap().rows.clone();
    let position = BlockPosition {
        tenant: TenantId::from_random([3; 16]),
        shard: ShardId { table: TableName::new("SecurityAlert").unwrap(), day: IngestDay(20_000) },
        shard_index: 0,
        first_seq: 0,
        ingest_time: Timestamp::from_seconds(1_800_000_000),
        token_key: 1,
        previous: Hash([0; 32]),
    };
    Arc::new(Block::new(position, rows).unwrap())
}

/// The block with a text in a column that its one row left empty.
fn with_text(block: &Block, column: &str, text: &str) -> Block {
    let mut fields: Vec<FieldRef> = block.rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(column, DataType::Utf8, true)));
    let mut columns = block.rows.columns().to_vec();
    columns.push(Arc::new(StringArray::from(vec![text])));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    Block { header: block.header.clone(), rows }
}

/// Hands over what a journal recovered.
fn recover(monitor: &Monitor, blocks: &[Arc<Block>]) {
    monitor.begin_recovery(blocks);
    blocks.iter().for_each(|block| monitor.on_block(block));
    monitor.end_recovery();
}

/// What a run stores after a kill, whose last snapshot has the first two of three events; the journal's cursor is here.
async fn after_kill(cursor: Seq, stored: Option<Arc<Block>>) -> Fixture {
    let (fs, rule) = (SimFs::new(), format!("{RULE}{CORRELATION}"));
    let before = start_on(&fs, Sink::default(), &rule, BTreeMap::new());
    (0..2).for_each(|seq| before.monitor.on_block(&block(seq, &["say xyzzy"])));
    before.monitor.stop().await;
    assert_eq!(before.monitor.needs_from(&syslog()), 2, "the snapshot has both");
    let again = start_on(&fs, Sink::default(), &rule, BTreeMap::from([(syslog(), cursor)]));
    let recovered: Vec<Arc<Block>> = (0..4).map(|seq| block(seq, &["say xyzzy"])).chain(stored).collect();
    recover(&again.monitor, &recovered);
    again.monitor.stop().await;
    again
}

#[tokio::test(flavor = "multi_thread")]
async fn monitor_2_a_kill_before_the_alert_is_stored_loses_nothing() {
    let after = after_kill(2, None).await;
    let delivered = after.delivered.0.lock().unwrap();
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].events.iter().map(|event| event.seq).collect::<Vec<_>>(), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn monitor_2_a_kill_after_the_alert_is_stored_doubles_nothing() {
    let stored = after_kill(2, None).await;
    let after = after_kill(3, Some(alert_block(&stored.sink))).await;
    assert!(after.delivered.0.lock().unwrap().is_empty());
    assert!(after.sink.taken.lock().unwrap().iter().all(|one| one.batches.is_empty()));
    // Were it not stored, a second look at its events would find it.
    let lost = after_kill(3, None).await;
    assert_eq!(lost.delivered.0.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn monitor_2_what_was_raised_and_not_stored_is_in_no_snapshot() {
    let (fs, rule) = (SimFs::new(), format!("{RULE}{CORRELATION}"));
    let refusing = Sink { refusals: Mutex::new(VecDeque::from([ErrorKind::Internal])), ..Sink::default() };
    let before = start_on(&fs, refusing, &rule, BTreeMap::new());
    before.monitor.on_block(&block(0, &["say xyzzy", "say xyzzy", "say xyzzy"]));
    before.monitor.stop().await;
    assert_eq!(before.monitor.needs_from(&syslog()), 0);
    let again = start_on(&fs, Sink::default(), &rule, BTreeMap::new());
    recover(&again.monitor, &[block(0, &["say xyzzy", "say xyzzy", "say xyzzy"])]);
    again.monitor.stop().await;
    assert_eq!(again.delivered.0.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_awaits_its_end_is_decided_while_nothing_comes() {
    let few = CORRELATION.replace("gte: 3", "lt: 3");
    let fixture = start_with(Sink::default(), &format!("{RULE}{few}"));
    let delivered = || fixture.delivered.0.lock().unwrap().len();
    // Two events of the last seconds; whether a third comes within the hour is open.
    let word = || vec![("SyslogMessage", "say xyzzy")];
    let late = [(99_999_990, word()), (99_999_991, word())];
    recover(&fixture.monitor, &[]);
    fixture.monitor.on_block(&block_of_rows("Syslog", 0, &late));
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    assert_eq!(delivered(), 0);
    fixture.clock.advance(Duration::from_secs(3_600 + 301));
    for _ in 0..200 {
        if delivered() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(fixture.delivered.0.lock().unwrap()[0].events.len(), 2);
    let keys: Vec<_> = fixture.sink.taken.lock().unwrap().iter().filter_map(|one| one.key.clone()).collect();
    let alert = fixture.delivered.0.lock().unwrap()[0].id.clone();
    assert!(keys.iter().any(|key| key.producer.ends_with(&alert)), "stored once, whatever is sent again: {keys:?}");
    fixture.monitor.stop().await;
    assert_eq!(delivered(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_matches_everything_is_stored_short_and_reported_once() {
    let fixture = start(Sink::default());
    (0..130).for_each(|seq| fixture.monitor.on_block(&block(seq, &["say xyzzy"])));
    fixture.monitor.stop().await;
    assert_eq!(fixture.delivered.0.lock().unwrap().len(), 120);
    let taken = fixture.sink.taken.lock().unwrap();
    assert_eq!(taken.iter().flat_map(|one| &one.batches).count(), 130, "all are stored");
    let alarms = fixture.alarms.0.lock().unwrap();
    assert_eq!((alarms.len(), alarms[0].kind), (1, AlarmKind::RuleThrottled));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_hear_once_of_the_same_rule_about_the_same() {
    let fixture = start_quiet(&SimFs::new(), Sink::default(), RULE, BTreeMap::new(), Duration::from_secs(600));
    (0..3).for_each(|seq| fixture.monitor.on_block(&block(seq, &["say xyzzy"])));
    fixture.monitor.stop().await;
    let delivered = fixture.delivered.0.lock().unwrap();
    assert_eq!(delivered.len(), 1);
    let taken = fixture.sink.taken.lock().unwrap();
    let batches: Vec<_> = taken.iter().flat_map(|one| &one.batches).collect();
    assert_eq!(batches.len(), 3, "all are stored");
    let properties = |at: usize| {
        let column = batches[at].rows.column_by_name("ExtendedProperties").unwrap();
        serde_json::from_str::<serde_json::Value>(column.as_string::<i32>().value(0)).unwrap()
    };
    assert_eq!(properties(0)["Repeats"], serde_json::Value::Null);
    assert_eq!(properties(1)["Repeats"], delivered[0].id.as_str());
    assert!(properties(2)["Rule Version"].as_str().unwrap().starts_with("sha256:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_hear_of_state_that_is_lost() {
    let (fs, rule) = (SimFs::new(), format!("{RULE}{CORRELATION}"));
    let before = start_on(&fs, Sink::default(), &rule, BTreeMap::new());
    before.monitor.on_block(&block(0, &["say xyzzy"]));
    before.monitor.stop().await;
    assert!(before.alarms.0.lock().unwrap().is_empty());
    let path = std::path::Path::new("/state/correlations");
    moneta_base::fs::write_atomically(&fs, path, b"damaged").unwrap();
    let again = start_on(&fs, Sink::default(), &rule, BTreeMap::new());
    again.monitor.stop().await;
    let alarms = again.alarms.0.lock().unwrap();
    assert_eq!((alarms.len(), alarms[0].kind), (1, AlarmKind::CorrelationsShort));
    assert!(alarms[0].text.contains("it is damaged"), "{}", alarms[0].text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_of_a_correlation_says_what_held_and_for_each_event_why() {
    let other = RULE
        .replace("11111111-2222-4333-8444-555555555555", "other")
        .replace("xyzzy", "plugh")
        .replace("Secret word", "Other word")
        .replace("syslog", "auth");
    let both = "---\ntitle: Both\nid: both\nlicense: MIT\nmodified: 2026-01-02\nreferences: [ 'https://example.org/b' ]\ncorrelation: { type: temporal, rules: [ 11111111-2222-4333-8444-555555555555, other ], timespan: 1h }\n";
    let fixture = start_with(Sink::default(), &format!("{RULE}---{other}{both}"));
    fixture.monitor.on_block(&block_of("Syslog", 0, &[("SyslogMessage", "say xyzzy"), ("Facility", "auth")], 1));
    fixture.monitor.on_block(&block_of("Syslog", 1, &[("SyslogMessage", "say plugh"), ("Facility", "auth")], 1));
    fixture.monitor.stop().await;
    let delivered = fixture.delivered.0.lock().unwrap();
    assert_eq!(delivered.len(), 1, "{delivered:?}");
    let alert = &delivered[0];
    assert_eq!(alert.explanation, "temporal, all of 11111111-2222-4333-8444-555555555555, other within 1h");
    let met: Vec<_> = alert.events.iter().map(|event| (event.seq, event.rules.join("+"))).collect();
    assert_eq!(met, [(0, "Secret word".to_owned()), (1, "Other word".to_owned())]);
    let values: Vec<_> = alert.events.iter().map(|event| event.fields[0].1.as_str()).collect();
    assert_eq!(values, ["say xyzzy", "say plugh"], "what met each rule");
    assert!(alert.rule_version.starts_with("2026-01-02 sha256:"), "{}", alert.rule_version);
    assert_eq!((alert.rule_license.as_str(), alert.rule_references.len()), ("MIT", 1));
    assert_eq!(told_alerts(&alert_block(&fixture.sink), 0), [(0, alert.clone())], "the row says all of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_of_a_correlation_without_group_says_where_and_who_also_over_a_restart() {
    let rule = format!("{RULE}{}", CORRELATION.replace("  group-by: [ProcessName]\n", ""));
    let fs = SimFs::new();
    let row = [("SyslogMessage", "say xyzzy"), ("Computer", "web01.corp.example"), ("HostIP", "192.0.2.7")];
    let before = start_on(&fs, Sink::default(), &rule, BTreeMap::new());
    before.monitor.on_block(&block_of("Syslog", 0, &row, 2));
    before.monitor.stop().await;
    let after = start_on(&fs, Sink::default(), &rule, BTreeMap::from([(syslog(), 2)]));
    after.monitor.on_block(&block_of("Syslog", 2, &row, 1));
    after.monitor.stop().await;
    let delivered = after.delivered.0.lock().unwrap();
    let computers: Vec<_> = delivered[0].events.iter().map(|event| event.computer.as_str()).collect();
    assert_eq!(computers, ["web01.corp.example"; 3]);
    let stored = alert_block(&after.sink);
    let text = |column: &str| stored.rows.column_by_name(column).unwrap().as_string::<i32>().value(0).to_owned();
    assert_eq!(text("CompromisedEntity"), "web01.corp.example");
    let entities: serde_json::Value = serde_json::from_str(&text("Entities")).unwrap();
    let host = serde_json::json!({ "Type": "host", "HostName": "web01", "DnsDomain": "corp.example" });
    assert_eq!(entities, serde_json::json!([host, { "Type": "ip", "Address": "192.0.2.7" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_says_which_values_met_which_conditions() {
    let rule = RULE.replace("    - xyzzy\n", "    SyslogMessage|contains: xyzzy\n    Facility: [auth, cron]\n");
    let fixture = start_with(Sink::default(), &rule);
    let row = |message, facility| (0, vec![("SyslogMessage", message), ("Facility", facility)]);
    fixture.monitor.on_block(&block_of_rows("Syslog", 0, &[row("say xyzzy", "auth"), row("xyzzy again", "cron")]));
    fixture.monitor.stop().await;
    let delivered = fixture.delivered.0.lock().unwrap();
    assert_eq!(
        delivered[0].explanation,
        "SyslogMessage matches *xyzzy*: say xyzzy | xyzzy again; Facility matches auth: auth; Facility matches cron: cron"
    );
    let stored = alert_block(&fixture.sink);
    let text = |column: &str| stored.rows.column_by_name(column).unwrap().as_string::<i32>().value(0).to_owned();
    let json = |column: &str| -> serde_json::Value { serde_json::from_str(&text(column)).unwrap() };
    let condition = serde_json::json!({
        "Field": "SyslogMessage", "Condition": "matches *xyzzy*", "Values": ["say xyzzy", "xyzzy again"],
    });
    assert_eq!(json("ExtendedProperties")["Conditions"][0], condition);
    assert_eq!(json("MatchedFields")["Facility"], serde_json::json!(["auth", "cron"]));
}
