//! Incidents: what joins what, what people may change, and what becomes rows, over restarts and lost replies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use moneta_base::{Clock, ErrorKind, IngestDay, Seq, SourceName, TableName, TenantId, Timestamp};
use moneta_event::block::BlockPosition;
use moneta_event::{BatchBuilder, Block, Delivery, RecordClass, ShardId, TableCatalog, Value};
use moneta_merkle::Hash;
use moneta_metastore::{Metastore, StoredIncident};
use moneta_monitor::{IncidentBook, IncidentParts};
use moneta_ports::*;
use moneta_rules::analytics::{IncidentGrouping, IncidentMatching, IncidentSettings};
use moneta_testkit::{FixedClock, TestDir};
use serde_json::json;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Stores like a journal. The reply to the next so many commits is lost.
#[derive(Default)]
struct Journal {
    taken: Mutex<Vec<Submission>>,
    marks: Mutex<BTreeMap<String, u64>>,
    lost_replies: Mutex<usize>,
}

impl EventSink for Journal {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<IngestReceipt, PortError>> {
        let key = submission.key.clone().unwrap();
        let before = self.marks.lock().unwrap().insert(key.producer, key.sequence);
        assert!(before.is_none_or(|before| before < key.sequence), "a mark went back or stood still");
        self.taken.lock().unwrap().push(submission);
        let mut lost = self.lost_replies.lock().unwrap();
        let result = match *lost {
            0 => Ok(IngestReceipt { ranges: Vec::new(), duplicate: false, stored_at: Timestamp::default() }),
            _ => Err(PortError::new(ErrorKind::RETRY, "the reply was lost")),
        };
        *lost = lost.saturating_sub(1);
        Box::pin(async { result })
    }
}

/// Audits, or refuses to.
#[derive(Default)]
struct Audited {
    events: Mutex<Vec<(String, AuditEvent)>>,
    refuses: Mutex<bool>,
    /// What happens while the next act is audited.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl AuditSink for Audited {
    fn record<'a>(&'a self, ctx: &'a OpContext, event: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        let refuses = *self.refuses.lock().unwrap();
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().take() {
            meanwhile();
        }
        self.events.lock().unwrap().push((ctx.actor.name.clone(), event));
        Box::pin(async move { if refuses { Err(PortError::new(ErrorKind::OPERATOR, "disk full")) } else { Ok(()) } })
    }

    fn record_change<'a>(&'a self, ctx: &'a OpContext, event: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        self.record(ctx, event)
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

struct World {
    dir: TestDir,
    alarms: Arc<Heard>,
    journal: Arc<Journal>,
    audit: Arc<Audited>,
    clock: Arc<FixedClock>,
}

impl World {
    fn new() -> Self {
        Self {
            dir: TestDir::new(),
            alarms: Arc::default(),
            journal: Arc::default(),
            audit: Arc::default(),
            clock: Arc::new(FixedClock::new(NOW)),
        }
    }

    /// A process on this directory; the one before is gone.
    fn start(&self, settings: Option<IncidentSettings>) -> Arc<IncidentBook> {
        let metastore = Metastore::open(&self.dir.join("meta.sqlite"), NOW).unwrap();
        let journal = self.journal.clone();
        let parts = IncidentParts {
            metastore: Arc::new(metastore),
            events: self.journal.clone(),
            marks: Arc::new(move |producer: String| {
                let mark = journal.marks.lock().unwrap().get(&producer).copied();
                Box::pin(async move { mark })
            }),
            audit: self.audit.clone(),
            alarms: self.alarms.clone(),
            clock: self.clock.clone(),
            schema: TableCatalog::built_in().get("SecurityIncident").unwrap().clone(),
            tenant: TenantId::from_random([3; 16]),
            settings: Arc::new(move |rule| settings.clone().filter(|_| rule.starts_with("analytics"))),
        };
        IncidentBook::start(parts).unwrap()
    }

    /// Number, status and title of every row of `SecurityIncident`.
    fn rows(&self) -> Vec<(i32, String, String)> {
        let taken = self.journal.taken.lock().unwrap();
        let mut rows = Vec::new();
        for batch in taken.iter().flat_map(|one| &one.batches) {
            assert_eq!(batch.table.as_str(), "SecurityIncident");
            let text =
                |name: &str, row| batch.rows.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
            let numbers = batch.rows.column_by_name("IncidentNumber").unwrap().as_primitive::<Int32Type>();
            rows.extend(
                (0..batch.rows.num_rows()).map(|row| (numbers.value(row), text("Status", row), text("Title", row))),
            );
        }
        rows
    }
}

/// One alert: id, rule, host, severity, seconds after [`NOW`].
type Alert<'a> = (&'a str, &'a str, &'a str, &'a str, i64);

fn block(first_seq: Seq, alerts: &[Alert<'_>]) -> Arc<Block> {
    let schema = TableCatalog::built_in().get("SecurityAlert").unwrap().clone();
    let mut rows = BatchBuilder::new(schema, RecordClass::Processed, Delivery::ExactlyOnce);
    for (id, rule, host, severity, seconds) in alerts {
        let raised = Timestamp::from_nanos(NOW.as_nanos() + seconds * 1_000_000_000);
        let entities = if host.is_empty() { json!([]) } else { json!([{ "Type": "host", "HostName": host }]) };
        for (column, text) in [
            ("SystemAlertId", *id),
            ("DisplayName", *rule),
            ("RuleId", *rule),
            ("AlertSeverity", *severity),
            ("Entities", entities.to_string().as_str()),
            ("EventTable", "Syslog"),
        ] {
            rows.set_field(column, Value::Text(text));
        }
        rows.set_field("EventSeqs", Value::Json("[4,5]"));
        rows.set_field("EventCount", Value::Long(2));
        rows.set_field("EndTime", Value::Time(raised.saturating_sub(Duration::from_secs(3))));
        rows.set_field("ProcessingEndTime", Value::Time(raised));
        rows.finish_row(raised, &SourceName::lossy("monitor"), "");
    }
    let position = BlockPosition {
        tenant: TenantId::from_random([3; 16]),
        shard: ShardId { table: TableName::new("SecurityAlert").unwrap(), day: IngestDay(20_000) },
        shard_index: 0,
        first_seq,
        ingest_time: NOW,
        token_key: 1,
        previous: Hash([0; 32]),
    };
    Arc::new(Block::new(position, rows.finish().unwrap().rows).unwrap())
}

fn all() -> IncidentFilter {
    IncidentFilter { limit: 100, ..IncidentFilter::default() }
}

/// Number and alerts of every incident.
fn incidents(book: &IncidentBook) -> Vec<(u64, Vec<String>)> {
    let page = book.list(&all()).unwrap();
    page.incidents.into_iter().rev().map(|incident| (incident.number, incident.alert_ids)).collect()
}

fn person(name: &str) -> OpContext {
    OpContext::local_operator(name)
}

fn verdict(classification: Classification) -> IncidentChange {
    let verdict = Verdict { classification, reason: "looked at it".to_owned(), cause: None };
    IncidentChange { verdict: Some(verdict), ..IncidentChange::default() }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn incident_1_an_alert_joins_once_also_when_its_block_comes_again() {
    let world = World::new();
    let blocks = [
        block(0, &[("a1", "r1", "web", "Low", 0), ("a2", "r2", "WEB", "High", 10)]),
        block(2, &[("a3", "r1", "db", "Low", 20), ("a4", "r1", "web", "Low", 6 * 3_600)]),
    ];
    let book = world.start(None);
    blocks.iter().for_each(|block| book.on_block(block));
    book.stop().await;
    let expected = vec![(1, strings(&["a1", "a2"])), (2, strings(&["a3"])), (3, strings(&["a4"]))];
    assert_eq!(incidents(&book), expected, "by host, and the last came too late");
    let first = book.get(1).unwrap().unwrap();
    assert_eq!((first.incident.severity, first.incident.version), (IncidentSeverity::High, 2));
    assert_eq!(first.alerts[0].events.iter().map(|event| event.seq).collect::<Vec<_>>(), [4, 5]);
    let done: Vec<&str> = first.activity.iter().map(|one| one.action.as_str()).collect();
    assert_eq!(done, ["created", "alert-added", "alert-added", "severity"]);
    let table = TableName::new("SecurityAlert").unwrap();
    assert_eq!((book.needs_from(&table), book.backlog_rows()), (4, 0));
    assert_eq!(world.rows().iter().map(|row| row.0).collect::<Vec<_>>(), [1, 1, 2, 3], "a row per version");
    drop(book);
    let again = world.start(None);
    // The cursor of a copy that is put back may be older than the incidents are.
    blocks.iter().for_each(|block| again.on_block(block));
    again.on_block(&block(
        2,
        &[("a3", "r1", "db", "Low", 20), ("a4", "r1", "web", "Low", 0), ("a5", "r1", "db", "Low", 9)],
    ));
    again.stop().await;
    assert_eq!(incidents(&again)[1], (2, strings(&["a3", "a5"])));
    assert_eq!(incidents(&again).len(), 3);
    assert_eq!(world.rows().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn incident_1_alerts_that_cannot_be_grouped_wait_for_the_next_start_with_all_after_them() {
    let world = World::new();
    let metastore = Metastore::open(&world.dir.join("meta.sqlite"), NOW).unwrap();
    // What the first alert would join cannot be read.
    let damaged = StoredIncident {
        number: 1,
        status: "Damaged".to_owned(),
        severity: 0,
        owner: String::new(),
        title: String::new(),
        created: NOW,
        definition: json!({}),
    };
    metastore
        .change_incidents(|writer| {
            assert_eq!(writer.next_number()?, damaged.number);
            writer.put(&damaged)?;
            writer.add_key(damaged.number, "host:web", NOW)?;
            writer.rows_done(1)
        })
        .unwrap();
    let blocks = [
        block(0, &[("a1", "r1", "db", "Low", 0), ("a2", "r1", "web", "Low", 0)]),
        block(2, &[("a3", "r1", "db", "Low", 20)]),
    ];
    let book = world.start(None);
    blocks.iter().for_each(|block| book.on_block(block));
    book.stop().await;
    let table = TableName::new("SecurityAlert").unwrap();
    assert_eq!((book.needs_from(&table), book.backlog_rows()), (0, 0), "the cursor stays before the first block");
    assert!(metastore.incident_cursor().unwrap().is_none() && world.rows().is_empty());
    let told: Vec<(AlarmKind, String)> =
        world.alarms.0.lock().unwrap().drain(..).map(|alarm| (alarm.kind, alarm.text)).collect();
    assert!(
        told.len() >= blocks.len() && told.iter().all(|(kind, _)| *kind == AlarmKind::IncidentsStalled),
        "{told:?}"
    );
    assert!(told[0].1.contains("_Seq 0") && told[0].1.contains("incident"), "{told:?}");
    drop(book);
    assert_eq!(metastore.change_incidents(|writer| writer.forget("Damaged", 0)).unwrap(), 1);
    let again = world.start(None);
    blocks.iter().for_each(|block| again.on_block(block));
    again.stop().await;
    assert_eq!(incidents(&again), [(2, strings(&["a1", "a3"])), (3, strings(&["a2"]))]);
    assert_eq!(again.needs_from(&table), 3);
    assert!(world.alarms.0.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_refused_when_an_alert_makes_a_version_while_it_is_audited() {
    let world = World::new();
    let book = world.start(None);
    book.on_block(&block(0, &[("a1", "r1", "web", "Low", 0)]));
    wait_for_grouping(&book);
    let alerted = book.clone();
    *world.audit.meanwhile.lock().unwrap() = Some(Box::new(move || {
        alerted.on_block(&block(1, &[("a2", "r2", "web", "High", 10)]));
        wait_for_grouping(&alerted);
    }));
    let ada = person("ada");
    let lower = IncidentChange { severity: Some(IncidentSeverity::Informational), ..IncidentChange::default() };
    let conflict = book.change(&ada, 1, Some(1), lower.clone()).await.unwrap_err();
    assert!(matches!(conflict, IncidentError::Conflict { number: 1, version: 2 }), "{conflict}");
    assert_eq!(book.get(1).unwrap().unwrap().incident.severity, IncidentSeverity::High);
    let changed = book.change(&ada, 1, Some(2), lower).await.unwrap();
    assert_eq!((changed.severity, changed.version), (IncidentSeverity::Informational, 3));
    book.stop().await;
}

/// Waits until all alerts handed over are dealt with.
fn wait_for_grouping(book: &IncidentBook) {
    let deadline = std::time::Instant::now() + Duration::from_secs(600);
    while book.backlog_rows() > 0 {
        assert!(std::time::Instant::now() < deadline, "the alerts are not grouped");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn incident_1_versions_whose_reply_was_lost_are_no_rows_twice() {
    let world = World::new();
    *world.journal.lost_replies.lock().unwrap() = 1;
    let book = world.start(None);
    book.on_block(&block(0, &[("a1", "r1", "web", "Low", 0), ("a2", "r2", "db", "Low", 0)]));
    book.stop().await;
    drop(book);
    let again = world.start(None);
    again.on_block(&block(2, &[("a3", "r1", "web", "Low", 0)]));
    again.stop().await;
    assert_eq!(world.rows().iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_change_what_they_have_read_and_nothing_that_is_not_audited() {
    let world = World::new();
    let book = world.start(None);
    book.on_block(&block(0, &[("a1", "r1", "web", "Low", 0)]));
    book.stop().await;
    drop(book);
    let book = world.start(None);
    let (ada, bob) = (person("ada"), person("bob"));
    let owner = |name: &str| IncidentChange { owner: Some(name.to_owned()), ..IncidentChange::default() };
    let taken = book.change(&ada, 1, Some(1), owner("ada")).await.unwrap();
    assert_eq!((taken.owner.as_str(), taken.version, taken.modified_by.as_str()), ("ada", 2, "ada"));
    let conflict = book.change(&bob, 1, Some(1), owner("bob")).await.unwrap_err();
    assert!(matches!(conflict, IncidentError::Conflict { number: 1, version: 2 }), "{conflict}");
    assert!(matches!(book.change(&bob, 9, None, owner("bob")).await, Err(IncidentError::NotFound(9))));
    // A remark stands in nobody's way.
    let comment = IncidentChange { comment: Some("seen before".to_owned()), ..IncidentChange::default() };
    assert_eq!(book.change(&bob, 1, None, comment).await.unwrap().version, 2);
    let close = IncidentChange { status: Some(IncidentStatus::Closed), ..IncidentChange::default() };
    let refused = book.change(&ada, 1, Some(2), close).await.unwrap_err();
    assert!(refused.to_string().contains("closing needs a classification"), "{refused}");
    let mut empty = verdict(Classification::TruePositive);
    empty.verdict.as_mut().unwrap().reason = " ".to_owned();
    assert!(book.change(&ada, 1, Some(2), empty).await.unwrap_err().to_string().contains("reason"));
    assert!(matches!(book.change(&ada, 1, Some(2), IncidentChange::default()).await, Err(IncidentError::Refused(_))));
    *world.audit.refuses.lock().unwrap() = true;
    let unaudited = book.change(&ada, 1, Some(2), verdict(Classification::TruePositive)).await;
    assert!(matches!(unaudited, Err(IncidentError::Failed(_))));
    assert_eq!(book.get(1).unwrap().unwrap().incident.status, IncidentStatus::New);
    *world.audit.refuses.lock().unwrap() = false;
    let closed = book.change(&ada, 1, Some(2), verdict(Classification::FalsePositive)).await.unwrap();
    assert_eq!((closed.status, closed.closed), (IncidentStatus::Closed, Some(world.clock.now())));
    let open = IncidentChange { status: Some(IncidentStatus::Active), ..IncidentChange::default() };
    let reopened = book.change(&bob, 1, Some(3), open).await.unwrap();
    assert_eq!((reopened.verdict, reopened.status), (None, IncidentStatus::Active));
    book.stop().await;
    let actions: Vec<(String, &str)> =
        world.audit.events.lock().unwrap().iter().map(|(who, event)| (who.clone(), event.action)).collect();
    let expected = [
        ("ada", "incident.assign"),
        ("bob", "incident.comment"),
        ("ada", "incident.close"),
        ("ada", "incident.close"),
        ("bob", "incident.reopen"),
    ];
    assert_eq!(actions, expected.map(|(who, action)| (who.to_owned(), action)));
    let statuses: Vec<String> = world.rows().into_iter().map(|row| row.1).collect();
    assert_eq!(statuses, ["New", "New", "New", "Closed", "Active"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_make_the_precision_of_rules() {
    let world = World::new();
    let book = world.start(None);
    book.on_block(&block(
        0,
        &[
            ("a1", "r1", "a", "Low", 0),
            ("a2", "r1", "a", "Low", 0),
            ("a3", "r1", "b", "Low", 0),
            ("a4", "r2", "b", "Low", 0),
            ("a5", "r1", "c", "Low", 0),
        ],
    ));
    book.stop().await;
    let (ada, judged) = (person("ada"), [Classification::TruePositive, Classification::BenignPositive]);
    for (number, classification) in (1..).zip(judged) {
        book.change(&ada, number, None, verdict(classification)).await.unwrap();
    }
    let judgements = book.judgements(None).unwrap();
    let (one, two) = (&judgements["r1"], &judgements["r2"]);
    assert_eq!((one.alerts, one.true_positive, one.benign_positive, one.open), (4, 1, 1, 1));
    assert_eq!((one.precision, two.precision), (Some(0.5), Some(0.0)));
    assert_eq!(one.median_seconds_to_detect, Some(3.0));
    let alone = book.judgements(Some("r1")).unwrap();
    assert_eq!((alone.len(), &alone["r1"]), (1, one), "the same as among all");
    let alerts = book.judged_alerts("r1").unwrap();
    let alerts: Vec<_> = alerts.iter().map(|one| (one.alert.id.as_str(), one.classification)).collect();
    let [open, benign, right] = [None, Some(judged[1]), Some(judged[0])];
    assert_eq!(alerts, [("a5", open), ("a3", benign), ("a2", right), ("a1", right)]);
    // What was judged benign speaks against nobody; two alerts of one rule are less than twice one.
    let risks = book.risks(Timestamp::default(), 10).unwrap();
    let scores: Vec<(&str, f64, u64)> = risks.iter().map(|r| (r.entity.as_str(), r.score, r.alerts)).collect();
    assert_eq!(scores, [("host:a", 7.5, 2), ("host:c", 5.0, 1)]);
    world.clock.advance(Duration::from_secs(3 * 86_400));
    assert_eq!(book.risks(Timestamp::default(), 1).unwrap()[0].score, 3.8, "half of it after three days");
    assert!(book.risks(world.clock.now(), 10).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_says_how_its_alerts_are_grouped() {
    let grouping = IncidentGrouping {
        matching: IncidentMatching::AnyAlert,
        lookback: Duration::from_secs(3_600),
        reopen_closed: true,
    };
    let world = World::new();
    let book = world.start(Some(IncidentSettings { create: true, grouping: Some(grouping) }));
    book.on_block(&block(0, &[("a1", "analytics-1", "a", "Low", 0), ("a2", "analytics-1", "b", "Low", 0)]));
    book.stop().await;
    assert_eq!(incidents(&book), [(1, strings(&["a1", "a2"]))]);
    book.change(&person("ada"), 1, None, verdict(Classification::TruePositive)).await.unwrap();
    drop(book);
    let none = IncidentSettings { create: false, grouping: None };
    let book = world.start(Some(none));
    book.on_block(&block(2, &[("a3", "analytics-1", "a", "Low", 0)]));
    book.stop().await;
    assert_eq!(incidents(&book), [(1, strings(&["a1", "a2"]))], "the rule wants no incident");
    drop(book);
    let grouping = IncidentGrouping {
        matching: IncidentMatching::AnyAlert,
        lookback: Duration::from_secs(3_600),
        reopen_closed: true,
    };
    let book = world.start(Some(IncidentSettings { create: true, grouping: Some(grouping) }));
    book.on_block(&block(3, &[("a4", "analytics-1", "c", "Low", 0), ("a5", "analytics-1", "c", "Low", 7_200)]));
    book.stop().await;
    assert_eq!(incidents(&book), [(1, strings(&["a1", "a2", "a4"])), (2, strings(&["a5"]))]);
    let reopened = book.get(1).unwrap().unwrap().incident;
    assert_eq!((reopened.status, reopened.verdict), (IncidentStatus::Active, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_one_name_in_different_domains_are_different_incidents() {
    let world = World::new();
    let book = world.start(None);
    book.on_block(&block(
        0,
        &[
            ("a1", "r1", "web", "Low", 0),
            ("a2", "r2", "web.corp.example", "Low", 1),
            ("a3", "r3", "WEB.corp.other", "Low", 2),
            ("a4", "r4", "web.corp.example", "Low", 3),
        ],
    ));
    book.stop().await;
    assert_eq!(incidents(&book), [(1, strings(&["a1", "a2", "a4"])), (2, strings(&["a3"]))]);
    let risks = book.risks(NOW.saturating_sub(Duration::from_secs(60)), 10).unwrap();
    let names: Vec<_> = risks.iter().map(|risk| (risk.entity.as_str(), risk.alerts)).collect();
    assert_eq!(names, [("host:web.corp.example", 2), ("host:web", 1), ("host:web.corp.other", 1)]);
}
