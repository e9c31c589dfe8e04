//! The analytics rules that come with Moneta: each says where it is explained, passes tests of both outcomes, and finds
//! in history what it found as time went by.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::AsArray;
use moneta_base::{Clock, TableName, TenantId, Timestamp};
use moneta_event::TableCatalog;
use moneta_monitor::{Analytics, AnalyticsParts, LATENESS, replay};
use moneta_ports::{
    Alarm, AlarmSink, Alert, AlertDelivery, BoxFuture, EventSink, IngestReceipt, Metrics, OpContext, PortError,
    QueryEngine, Submission,
};
use moneta_rules::analytics::{AnalyticsRule, Trial, parse_file};
use moneta_rules::lint::Severity;
use moneta_rules::rule_tests::RuleTest;
use moneta_server::{Config, RuleTrial, offline_query_engine};
use moneta_testkit::FixedClock;
use moneta_testkit::corpus::workspace_root;

/// What a fresh installation must detect by a query.
const NAMED: [&str; 10] = [
    "azure_flow_beaconing",
    "azure_flow_scanning",
    "azure_impossible_travel",
    "azure_key_vault_enumeration",
    "azure_password_spray",
    "calls_toll_fraud",
    "ledger_alarms",
    "source_silent",
    "sql_xp_cmdshell",
    "web_shell_upload_directory",
];

fn starter_queries() -> Vec<(String, AnalyticsRule)> {
    let files = std::fs::read_dir(workspace_root().join("content/rules")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect();
    paths.sort();
    let load = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut file = parse_file(&name, &std::fs::read_to_string(&path).unwrap());
        assert!(file.not_loaded.is_empty() && file.rules.len() == 1, "{name}: {:?}", file.not_loaded);
        (name, file.rules.remove(0))
    };
    paths.into_iter().map(load).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_starter_query_loads_and_passes_its_tests() {
    let catalog = TableCatalog::built_in();
    let rules = starter_queries();
    let names: BTreeSet<&str> = rules.iter().map(|(name, _)| name.as_str()).collect();
    assert!(NAMED.iter().all(|name| names.contains(name)), "{names:?}");
    let rules: Vec<AnalyticsRule> = rules.into_iter().map(|(_, rule)| rule).collect();
    let trial = RuleTrial::new(&catalog);
    let (rules, not_loaded) = trial.check(rules).unwrap();
    assert_eq!(not_loaded, []);
    assert_eq!(trial.test(&rules).await.unwrap(), []);
    let found = trial.lint(&rules).await.unwrap();
    assert_eq!(found.iter().filter(|one| one.severity == Severity::Warning).collect::<Vec<_>>(), Vec::<&_>::new());
    for rule in &rules {
        let metadata = &rule.metadata;
        assert!(!metadata.references.is_empty() && !metadata.tags.is_empty(), "{}", metadata.title);
        assert!(!metadata.author.is_empty() && !metadata.description.is_empty(), "{}", metadata.title);
        let both = [true, false].map(|outcome| rule.tests.iter().any(|test| test.matches == outcome));
        assert_eq!(both, [true, true], "{} lacks a test", metadata.title);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_says_the_wrong_thing_fails() {
    let (_, mut rule) = starter_queries().remove(0);
    rule.tests.iter_mut().for_each(|test| test.matches = !test.matches);
    let failures = RuleTrial::new(&TableCatalog::built_in()).test(&[rule.clone()]).await.unwrap();
    assert_eq!(failures.len(), rule.tests.len());
    rule.query = "Nowhere | where a == 1".to_owned();
    let failures = RuleTrial::new(&TableCatalog::built_in()).test(std::slice::from_ref(&rule)).await.unwrap();
    assert_eq!(failures.len(), rule.tests.len(), "a query that fails meets no test");
}

/// Keeps what is stored, and is told where rules are.
#[derive(Default)]
struct Journal {
    taken: Mutex<Vec<Submission>>,
    marks: Mutex<BTreeMap<String, u64>>,
}

impl EventSink for Journal {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<IngestReceipt, PortError>> {
        if let Some(key) = &submission.key {
            self.marks.lock().unwrap().insert(key.producer.clone(), key.sequence);
        }
        self.taken.lock().unwrap().push(submission);
        Box::pin(async { Ok(IngestReceipt { ranges: Vec::new(), duplicate: false, stored_at: Timestamp::default() }) })
    }
}

struct Nowhere;

impl AlertDelivery for Nowhere {
    fn deliver(&self, _: Alert) -> BoxFuture<'_, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }
}

impl AlarmSink for Nowhere {
    fn raise(&self, alarm: Alarm) {
        panic!("{}", alarm.text);
    }
}

/// The ids of alerts, and the sequences of their events.
type Found = (BTreeSet<String>, BTreeSet<u64>);

/// What a rule alerts about while the clock goes from six hours before the end of a test to two hours after it.
async fn stream(rule: &AnalyticsRule, engine: Arc<dyn QueryEngine>, trial: &Trial) -> Found {
    let (catalog, journal) = (TableCatalog::built_in(), Arc::new(Journal::default()));
    let clock = Arc::new(FixedClock::new(begin(trial).saturating_add(Duration::from_secs(300))));
    let marks = journal.clone();
    let heads = trial.tables.iter().map(|(schema, rows)| (schema.name().clone(), rows.num_rows() as u64));
    let analytics = Analytics::idle(AnalyticsParts {
        queries: engine,
        events: journal.clone(),
        marks: Arc::new(move |producer: String| {
            // On arriving rows, the rule was there before they came.
            let first = producer.contains("/arrival/").then_some(0);
            let mark = marks.marks.lock().unwrap().get(&producer).copied().or(first);
            Box::pin(async move { mark })
        }),
        delivery: Arc::new(Nowhere),
        alarms: Arc::new(Nowhere),
        clock: clock.clone(),
        metrics: Arc::new(Metrics::new()),
        alert_schema: catalog.get("SecurityAlert").unwrap().clone(),
        health_schema: catalog.get("MonetaHealth").unwrap().clone(),
        lateness: LATENESS,
        tenant: TenantId::from_random([3; 16]),
        heads: heads.collect::<BTreeMap<TableName, u64>>(),
        quiet: Duration::ZERO,
    });
    analytics.set_rules(std::slice::from_ref(rule));
    while clock.now() < trial.at.saturating_add(Duration::from_secs(2 * 3_600 + 300)) {
        analytics.turn().await;
        clock.advance(Duration::from_secs(3_600));
    }
    analytics.turn().await;
    let (mut ids, mut seqs) = Found::default();
    let taken = journal.taken.lock().unwrap();
    for batch in taken.iter().flat_map(|one| &one.batches).filter(|batch| batch.table.as_str() == "SecurityAlert") {
        let text = |name: &str| batch.rows.column_by_name(name).unwrap().as_string::<i32>().clone();
        ids.extend(text("SystemAlertId").iter().flatten().map(str::to_owned));
        let lists = text("EventSeqs");
        seqs.extend(lists.iter().flatten().flat_map(|list| serde_json::from_str::<Vec<u64>>(list).unwrap()));
    }
    (ids, seqs)
}

fn begin(trial: &Trial) -> Timestamp {
    trial.at.saturating_sub(Duration::from_secs(6 * 3_600))
}

async fn history(rule: &AnalyticsRule, engine: &dyn QueryEngine, trial: &Trial) -> Found {
    // The first window of the stream is the newest there is when the rule comes.
    let from = begin(trial).saturating_sub(Duration::from_secs(1));
    let now = trial.at.saturating_add(Duration::from_secs(2 * 3_600 + 300));
    let ctx = OpContext::local_operator("ada");
    let from = Analytics::arrival_of(rule).is_none().then_some(from);
    let past = replay(engine, &ctx, rule, (from, None), (now, LATENESS)).await.unwrap();
    let ids = past.alerts.iter().map(|one| one.alert.id.clone()).collect();
    (ids, past.alerts.into_iter().flat_map(|one| one.seqs).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn history_gives_what_the_stream_gave() {
    let catalog = TableCatalog::built_in();
    let mut compared = 0;
    for (name, rule) in starter_queries() {
        let must_match: Vec<&RuleTest> = rule.tests.iter().filter(|test| test.matches).collect();
        for test in must_match {
            let trial = Trial::of(test, &catalog);
            let known = catalog.iter().map(|schema| (Arc::clone(schema), Vec::new()));
            let rows = trial.tables.iter().map(|(schema, rows)| (Arc::clone(schema), vec![rows.clone()]));
            let engine = offline_query_engine(&Config::default(), known.chain(rows).collect()).unwrap();
            let stream = stream(&rule, engine.clone(), &trial).await;
            let history = history(&rule, &*engine, &trial).await;
            let on_arrival = Analytics::arrival_of(&rule).is_some();
            assert!(!stream.0.is_empty(), "{name}: {}", test.name);
            if on_arrival {
                assert!(!stream.1.is_empty() && stream.1 == history.1, "{name}: {stream:?} {history:?}");
            } else {
                assert_eq!(stream, history, "{name}: {}", test.name);
            }
            compared += stream.0.len();
        }
    }
    assert!(compared >= NAMED.len(), "{compared}");
}
