//! What the monitor stores, and what it does when it cannot.

#![allow(clippy::unwrap_used)]

mod analytics;
mod sources;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use arrow::array::AsArray;
use moneta_base::{ErrorKind, IngestDay, Seq, SourceName, TableName, TenantId, Timestamp};
use moneta_event::block::BlockPosition;
use moneta_event::{BatchBuilder, Block, Delivery, RecordClass, ShardId, TableCatalog, Value};
use moneta_merkle::Hash;
use moneta_monitor::{Monitor, MonitorParts, producer_of, resume_point};
use moneta_ports::{
    Alert, AlertDelivery, BlockSubscriber, BoxFuture, EventSink, IngestReceipt, Metrics, PortError, Submission,
};
use moneta_rules::{CompiledRules, Taxonomy, parse_file};
use moneta_testkit::FixedClock;

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

struct Fixture {
    monitor: Arc<Monitor>,
    sink: Arc<Sink>,
    delivered: Arc<Delivered>,
}

fn start(sink: Sink) -> Fixture {
    start_with(sink, RULE)
}

fn start_with(sink: Sink, rule: &str) -> Fixture {
    let catalog = TableCatalog::built_in();
    let parsed = parse_file("rule.yml", rule);
    assert!(parsed.not_loaded.is_empty(), "{:?}", parsed.not_loaded);
    let (rules, _) = CompiledRules::compile(parsed.rules, &Taxonomy::built_in(), &catalog);
    let (sink, delivered) = (Arc::new(sink), Arc::new(Delivered::default()));
    let parts = MonitorParts {
        events: sink.clone(),
        delivery: delivered.clone(),
        clock: Arc::new(FixedClock::new(Timestamp::from_seconds(1_800_000_000))),
        metrics: Arc::new(Metrics::new()),
        alert_schema: catalog.get("SecurityAlert").unwrap().clone(),
        tenant: TenantId::from_random([3; 16]),
        resume: BTreeMap::new(),
    };
    Fixture { monitor: Monitor::start(parts, Arc::new(rules)).unwrap(), sink, delivered }
}

fn syslog() -> TableName {
    TableName::new("Syslog").unwrap()
}

fn block(first_seq: Seq, messages: &[&str]) -> Arc<Block> {
    let schema = TableCatalog::built_in().get("Syslog").unwrap().clone();
    let mut rows = BatchBuilder::new(schema, RecordClass::Data, Delivery::BestEffort);
    for message in messages {
        rows.set_field("SyslogMessage", Value::Text(message));
        rows.finish_row(Timestamp::from_seconds(1_700_000_000), &SourceName::lossy("s"), message);
    }
    let position = BlockPosition {
        tenant: TenantId::from_random([3; 16]),
        shard: ShardId { table: syslog(), day: IngestDay(20_000) },
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
    assert_eq!(fixture.delivered.0.lock().unwrap().len(), 1);
    assert_eq!(fixture.monitor.needs_from(&syslog()), 2);
    assert_eq!(fixture.monitor.backlog_rows(), 0);
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
    let correlation = "---\ntitle: Secret words\nid: many\nauthor: B. Uthor\nlevel: critical\ncorrelation:\n  type: event_count\n  rules: [11111111-2222-4333-8444-555555555555]\n  group-by: [ProcessName]\n  timespan: 1h\n  condition:\n    gte: 3\n";
    let fixture = start_with(Sink::default(), &format!("{RULE}{correlation}"));
    for seq in 0..5 {
        fixture.monitor.on_block(&block(seq, &["say xyzzy"]));
    }
    fixture.monitor.stop().await;
    let delivered = fixture.delivered.0.lock().unwrap();
    assert_eq!(delivered.len(), 1);
    assert_eq!((delivered[0].rule_id.as_str(), delivered[0].rule_author.as_str()), ("many", "B. Uthor"));
    assert_eq!(delivered[0].events.iter().map(|event| event.seq).collect::<Vec<_>>(), [0, 1, 2]);
}
