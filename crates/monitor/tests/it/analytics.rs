//! Analytics rules: which spans are evaluated, what is stored with the mark, and what survives a restart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use moneta_base::{Clock, ErrorKind, TableName, TenantId, Timestamp};
use moneta_event::{ColumnType, ParsedBatch, TableCatalog, TableSchema};
use moneta_monitor::{Analytics, AnalyticsParts, LATENESS};
use moneta_ports::query::{EditorCompletion, EditorHover, QueryColumn, QueryState, ResultTable};
use moneta_ports::{
    AlarmKind, BoxFuture, Completeness, EventSink, IngestReceipt, Metrics, OpContext, PortError, QueryAnswer,
    QueryDiagnostic, QueryEngine, QueryError, QueryRequest, RowStream, Submission,
};
use moneta_rules::analytics::{AnalyticsRule, parse_file};
use moneta_testkit::FixedClock;

use crate::{Delivered, Heard};

const SCHEDULED: &str = "
id: r1
name: Many failures
severity: Low
queryFrequency: 1h
queryPeriod: 1d
triggerOperator: gt
triggerThreshold: 0
tactics: [CredentialAccess]
relevantTechniques: [T1110]
query: |
  SecurityEvent | summarize Failures = count() by Account | where Failures > 3
references: [https://attack.mitre.org/techniques/T1110/]
entityMappings:
  - entityType: Account
    fieldMappings: [{ identifier: FullName, columnName: Account }]
customDetails: { Who: Account }
alertDetailsOverride: { alertDisplayNameFormat: 'Failures of {{Account}}' }
";

const ON_ARRIVAL: &str = "
id: r2
name: Word
kind: NRT
query: |
  Syslog | where SyslogMessage has 'xyzzy'
";

/// Stores like a journal: marks of producers, and a refusal where told so.
#[derive(Default)]
struct Journal {
    taken: Mutex<Vec<Submission>>,
    marks: Mutex<BTreeMap<String, u64>>,
    refusals: Mutex<VecDeque<ErrorKind>>,
}

impl EventSink for Journal {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<IngestReceipt, PortError>> {
        let refusal = self.refusals.lock().unwrap().pop_front();
        let result = match refusal {
            Some(kind) => Err(PortError::new(kind, "refused")),
            None => {
                if let Some(key) = submission.key.clone() {
                    let before = self.marks.lock().unwrap().insert(key.producer, key.sequence);
                    assert!(before.is_none_or(|before| before < key.sequence), "a mark went back or stood still");
                }
                self.taken.lock().unwrap().push(submission);
                Ok(IngestReceipt { ranges: Vec::new(), duplicate: false, stored_at: Timestamp::default() })
            }
        };
        Box::pin(async { result })
    }
}

/// Answers every query with the same accounts.
#[derive(Default)]
struct Answers {
    accounts: Vec<&'static str>,
    asked: Mutex<Vec<QueryRequest>>,
    not_read: Mutex<VecDeque<String>>,
    errors: Mutex<VecDeque<QueryError>>,
}

impl QueryEngine for Answers {
    fn query<'a>(&'a self, _: &'a OpContext, request: QueryRequest) -> BoxFuture<'a, Result<QueryAnswer, QueryError>> {
        self.asked.lock().unwrap().push(request);
        let schema = Schema::new(vec![Field::new("Account", DataType::Utf8, true)]);
        let values = Arc::new(StringArray::from(self.accounts.clone()));
        let table = ResultTable {
            name: "PrimaryResult".to_owned(),
            columns: vec![QueryColumn { name: "Account".to_owned(), column_type: ColumnType::String }],
            batches: vec![RecordBatch::try_new(Arc::new(schema), vec![values]).unwrap()],
        };
        let not_read = self.not_read.lock().unwrap().pop_front().into_iter().collect();
        let answer = QueryAnswer {
            tables: vec![table],
            visualization: None,
            completeness: Completeness { not_read, ..Completeness::default() },
            warnings: Vec::new(),
            truncated: None,
            elapsed: Duration::ZERO,
            memory_peak_bytes: 0,
        };
        let result = self.errors.lock().unwrap().pop_front().map_or(Ok(answer), Err);
        Box::pin(async { result })
    }

    fn stream<'a>(
        &'a self,
        _: &'a OpContext,
        _: QueryRequest,
    ) -> BoxFuture<'a, Result<Box<dyn RowStream>, QueryError>> {
        Box::pin(async { Err(QueryError::Denied("rules read whole answers".to_owned())) })
    }

    fn columns<'a>(&'a self, _: &'a OpContext, _: QueryRequest) -> BoxFuture<'a, Result<Vec<QueryColumn>, QueryError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn explain<'a>(
        &'a self,
        _: &'a OpContext,
        _: QueryRequest,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, QueryError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn schema(&self, _: &OpContext) -> Vec<Arc<TableSchema>> {
        Vec::new()
    }

    fn complete(&self, _: &OpContext, _: &str, _: usize) -> Result<Vec<EditorCompletion>, QueryError> {
        Ok(Vec::new())
    }

    fn hover(&self, _: &OpContext, _: &str, _: usize) -> Result<Option<EditorHover>, QueryError> {
        Ok(None)
    }

    fn diagnose(&self, _: &OpContext, _: &str) -> Result<Vec<QueryDiagnostic>, QueryError> {
        Ok(Vec::new())
    }

    fn queries(&self, _: &OpContext) -> Vec<QueryState> {
        Vec::new()
    }

    fn cancel<'a>(&'a self, _: &'a OpContext, _: &'a str) -> BoxFuture<'a, Result<bool, QueryError>> {
        Box::pin(async { Ok(false) })
    }
}

struct World {
    journal: Arc<Journal>,
    answers: Arc<Answers>,
    delivered: Arc<Delivered>,
    alarms: Arc<Heard>,
    clock: Arc<FixedClock>,
    quiet: Duration,
}

impl World {
    fn new(accounts: Vec<&'static str>) -> Self {
        Self {
            journal: Arc::default(),
            answers: Arc::new(Answers { accounts, ..Answers::default() }),
            delivered: Arc::default(),
            alarms: Arc::default(),
            clock: Arc::new(FixedClock::new(Timestamp::from_seconds(1_800_003_600))),
            quiet: Duration::ZERO,
        }
    }

    /// A process on this journal; the one before is gone.
    fn start(&self, rule: &str, heads: &[(&str, u64)]) -> Arc<Analytics> {
        let catalog = TableCatalog::built_in();
        let journal = self.journal.clone();
        let heads = heads.iter().map(|(table, head)| (TableName::new(table).unwrap(), *head)).collect();
        let analytics = Analytics::idle(AnalyticsParts {
            queries: self.answers.clone(),
            events: self.journal.clone(),
            marks: Arc::new(move |producer: String| {
                let mark = journal.marks.lock().unwrap().get(&producer).copied();
                Box::pin(async move { mark })
            }),
            delivery: self.delivered.clone(),
            alarms: self.alarms.clone(),
            clock: self.clock.clone(),
            metrics: Arc::new(Metrics::new()),
            alert_schema: catalog.get("SecurityAlert").unwrap().clone(),
            health_schema: catalog.get("MonetaHealth").unwrap().clone(),
            lateness: LATENESS,
            tenant: TenantId::from_random([3; 16]),
            heads,
            quiet: self.quiet,
        });
        analytics.set_rules(&[load(rule)]);
        analytics
    }

    /// Start and end of the windows asked about, in hours before the clock's first hour.
    fn windows(&self) -> Vec<(i64, i64)> {
        let hour = |time: Option<Timestamp>| (time.unwrap().as_nanos() / 1_000_000_000 - 1_800_000_000) / 3_600;
        let asked = self.answers.asked.lock().unwrap();
        let scopes = asked.iter().map(|request| request.time_scope.clone().unwrap());
        scopes.map(|scope| (hour(scope.from), hour(scope.to))).collect()
    }

    fn stored(&self, table: &str) -> Vec<ParsedBatch> {
        let taken = self.journal.taken.lock().unwrap();
        taken.iter().flat_map(|one| &one.batches).filter(|batch| batch.table.as_str() == table).cloned().collect()
    }
}

fn load(rule: &str) -> AnalyticsRule {
    let mut file = parse_file("rule.yaml", rule);
    assert!(file.not_loaded.is_empty(), "{:?}", file.not_loaded);
    file.rules.remove(0)
}

fn column(batch: &ParsedBatch, name: &str) -> String {
    let values = batch.rows.column_by_name(name).unwrap();
    arrow::util::display::array_value_to_string(values, 0).unwrap()
}

#[tokio::test]
async fn an_alert_and_the_record_of_its_evaluation_move_the_mark_in_one_commit() {
    let world = World::new(vec!["ada", "bob"]);
    let analytics = world.start(SCHEDULED, &[]);
    analytics.turn().await;
    assert_eq!(world.journal.taken.lock().unwrap().len(), 1);
    let [alert] = &world.stored("SecurityAlert")[..] else { panic!("one batch of alerts") };
    assert_eq!(alert.rows.num_rows(), 1);
    assert_eq!(column(alert, "DisplayName"), "Failures of ada");
    assert_eq!((column(alert, "Tactics"), column(alert, "AlertSeverity")), ("CredentialAccess".into(), "Low".into()));
    assert!(column(alert, "Entities").contains("bob"));
    let properties: serde_json::Value = serde_json::from_str(&column(alert, "ExtendedProperties")).unwrap();
    assert_eq!(
        (&properties["Trigger Operator"], &properties["Trigger Threshold"]),
        (&"GreaterThan".into(), &"0".into())
    );
    assert_eq!(properties["Query Thresholds"], serde_json::json!(["Failures > 3"]));
    assert_eq!(properties["Search Query Results Overall Count"], "2");
    assert!(properties["Query Start"].as_str() < properties["Query End"].as_str());
    assert_eq!(properties["Custom Details"], r#"{"Who":["ada","bob"]}"#, "of all rows");
    assert_eq!(column(alert, "ExtendedLinks"), "[\"https://attack.mitre.org/techniques/T1110/\"]");
    let [record] = &world.stored("MonetaHealth")[..] else { panic!("one record") };
    let details: serde_json::Value = serde_json::from_str(&column(record, "Details")).unwrap();
    assert_eq!(
        (&details["Outcome"], &details["Alerts"], &details["RuleId"]),
        (&"alert".into(), &1.into(), &"r1".into())
    );
    assert_eq!(world.delivered.0.lock().unwrap().len(), 1);
    analytics.turn().await;
    assert_eq!(world.windows().len(), 1, "a window is evaluated once");
}

#[tokio::test]
async fn windows_missed_while_nothing_ran_are_filled_and_none_is_evaluated_twice() {
    let world = World::new(Vec::new());
    world.start(SCHEDULED, &[]).turn().await;
    world.clock.advance(Duration::from_secs(5 * 3_600));
    let again = world.start(SCHEDULED, &[]);
    again.turn().await;
    again.turn().await;
    let ends: Vec<i64> = world.windows().iter().map(|(_, end)| *end).collect();
    assert_eq!(ends, [0, 1, 2, 3, 4, 5]);
    assert!(world.windows().iter().all(|(from, end)| end - from == 24));
    assert!(world.stored("SecurityAlert").is_empty());
    assert_eq!(world.stored("MonetaHealth").len(), 6);
}

#[tokio::test]
async fn a_window_that_could_not_be_read_or_stored_is_evaluated_again() {
    let world = World::new(vec!["ada"]);
    world.answers.not_read.lock().unwrap().push_back("a segment is gone".to_owned());
    let analytics = world.start(SCHEDULED, &[]);
    analytics.turn().await;
    assert!(world.journal.taken.lock().unwrap().is_empty());
    world.journal.refusals.lock().unwrap().push_back(ErrorKind::RETRY);
    analytics.turn().await;
    assert!(world.delivered.0.lock().unwrap().is_empty(), "what is not stored is not delivered");
    analytics.turn().await;
    assert_eq!(world.stored("SecurityAlert").len(), 1);
    assert_eq!(world.delivered.0.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_rule_that_cannot_be_evaluated_for_long_is_told_of_once_and_still_tried() {
    let world = World::new(vec!["ada"]);
    let analytics = world.start(SCHEDULED, &[]);
    analytics.turn().await;
    world.clock.advance(Duration::from_secs(3_600));
    world.answers.not_read.lock().unwrap().extend(std::iter::repeat_n("a segment is gone".to_owned(), 12));
    for tries in 2..=12 {
        analytics.turn().await;
        analytics.turn().await;
        assert_eq!(world.windows().len(), 1 + tries, "the second try comes at once, further ones wait");
        world.clock.advance(Duration::from_secs(60));
    }
    let alarms = world.alarms.0.lock().unwrap().clone();
    assert_eq!((alarms.len(), alarms[0].kind), (1, AlarmKind::RuleFailed));
    assert!(alarms[0].text.contains("8 times in a row") && alarms[0].text.contains("a segment is gone"));
    let record = column(&world.stored("MonetaHealth")[1], "Details");
    assert!(record.contains("put-off") && record.contains("a segment is gone"), "{record}");
    analytics.turn().await;
    let ends: Vec<i64> = world.windows().iter().map(|(_, end)| *end).collect();
    assert_eq!(ends, [&[0][..], &[1; 13], &[2]].concat(), "no window was passed over");
    assert_eq!(world.stored("SecurityAlert").len(), 3);
}

#[tokio::test]
async fn what_others_or_the_hour_are_to_blame_for_leaves_no_gap() {
    let world = World::new(vec!["ada"]);
    let analytics = world.start(SCHEDULED, &[]);
    let limit = |code| QueryError::Limit { code, message: "too much".to_owned() };
    let passing =
        || vec![limit("E_LOW_MEMORY_CONDITION"), QueryError::Cancelled("by eve".to_owned()), limit("E_QUERY_TIMEOUT")];
    world.answers.errors.lock().unwrap().extend(passing());
    for _ in 0..4 {
        analytics.turn().await;
        world.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(world.windows(), [(-24, 0); 4]);
    assert_eq!(world.stored("SecurityAlert").len(), 1, "the window was evaluated in the end");

    // What does not fit into its limits at any hour does not hold up the windows after it.
    world.clock.advance(Duration::from_secs(3_600));
    world.answers.errors.lock().unwrap().extend(std::iter::repeat_with(|| limit("E_QUERY_TIMEOUT")).take(17));
    for _ in 0..19 {
        analytics.turn().await;
        world.clock.advance(Duration::from_secs(60));
    }
    let records: Vec<_> = world.stored("MonetaHealth").iter().map(|record| column(record, "Details")).collect();
    let failed: Vec<_> = records.iter().filter(|record| record.contains("failed")).collect();
    // A quarter of an hour for the first, one try for the one after it.
    assert!(failed.len() == 2 && failed.iter().all(|one| one.contains("too much")), "{records:?}");
    assert_eq!(world.windows().iter().filter(|window| **window == (-23, 1)).count(), 16);
    assert_eq!(world.windows().last(), Some(&(-22, 2)));
    // A query that is wrong is not tried again.
    world.clock.advance(Duration::from_secs(3_600));
    let kind = ErrorKind::Caller;
    world.answers.errors.lock().unwrap().push_back(QueryError::Failed { kind, message: "no such thing".to_owned() });
    let before = world.windows().len();
    analytics.turn().await;
    analytics.turn().await;
    assert_eq!(world.windows().len(), before + 1);
}

#[tokio::test]
async fn windows_too_old_to_be_evaluated_are_named_in_one_record() {
    let world = World::new(Vec::new());
    world.start(SCHEDULED, &[]).turn().await;
    world.clock.advance(Duration::from_secs(20 * 86_400));
    let again = world.start(SCHEDULED, &[]);
    while world.stored("MonetaHealth").len() < 14 * 24 {
        again.turn().await;
    }
    let skipped: Vec<String> = world
        .stored("MonetaHealth")
        .iter()
        .map(|one| column(one, "Details"))
        .filter(|one| one.contains("skipped"))
        .collect();
    let [record] = &skipped[..] else { panic!("one record: {skipped:?}") };
    let details: serde_json::Value = serde_json::from_str(record).unwrap();
    let (from, to) = (Timestamp::from_seconds(1_800_000_000), Timestamp::from_seconds(1_800_000_000 + 6 * 86_400));
    assert_eq!((&details["From"], &details["To"]), (&from.to_string().into(), &to.to_string().into()));
    assert_eq!(world.windows()[1].1, 6 * 24 + 1, "the next window follows those that are named");
}

#[tokio::test]
async fn a_rule_with_too_many_alerts_is_shortened_and_told_of() {
    let rule = format!("{SCHEDULED}eventGroupingSettings: {{ aggregationKind: AlertPerResult }}\n");
    let world = World::new(vec!["ada"; 125]);
    world.start(&rule, &[]).turn().await;
    let alerts = &world.stored("SecurityAlert")[0];
    let properties = alerts.rows.column_by_name("ExtendedProperties").unwrap();
    let is_short = |row| arrow::util::display::array_value_to_string(properties, row).unwrap().contains("Throttled");
    assert_eq!((alerts.rows.num_rows(), is_short(119), is_short(120), is_short(124)), (125, false, true, true));
    assert_eq!(world.delivered.0.lock().unwrap().len(), 120);
    let alarms = world.alarms.0.lock().unwrap();
    assert_eq!((alarms.len(), alarms[0].kind), (1, AlarmKind::RuleThrottled));
}

#[tokio::test]
async fn people_hear_once_of_the_same_rule_about_the_same() {
    let rule = format!("{SCHEDULED}eventGroupingSettings: {{ aggregationKind: AlertPerResult }}\n");
    let world = World { quiet: Duration::from_secs(600), ..World::new(vec!["ada", "bob", "ada"]) };
    world.journal.refusals.lock().unwrap().push_back(ErrorKind::RETRY);
    let analytics = world.start(&rule, &[]);
    analytics.turn().await;
    analytics.turn().await;
    let alerts = &world.stored("SecurityAlert")[0];
    let properties = alerts.rows.column_by_name("ExtendedProperties").unwrap();
    let repeats = |row| {
        let text = arrow::util::display::array_value_to_string(properties, row).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["Repeats"].clone()
    };
    let names = || world.delivered.0.lock().unwrap().iter().map(|one| one.rule_title.clone()).collect::<Vec<_>>();
    assert_eq!(names(), ["Failures of ada", "Failures of bob"]);
    let first = world.delivered.0.lock().unwrap()[0].id.clone();
    assert_eq!((repeats(0), repeats(1), repeats(2)), (().into(), ().into(), first.into()), "all are stored");
    world.clock.advance(Duration::from_secs(3_600));
    analytics.turn().await;
    assert_eq!(names()[2..], ["Failures of ada", "Failures of bob"], "an hour later it is news again");
    assert!(world.delivered.0.lock().unwrap()[2].explanation.contains("more alerts about the same"));
}

#[tokio::test]
async fn a_query_that_can_not_run_is_recorded_as_failed() {
    let world = World::new(Vec::new());
    let error = QueryError::Failed { kind: ErrorKind::Caller, message: "no such column".to_owned() };
    world.answers.errors.lock().unwrap().push_back(error);
    world.start(SCHEDULED, &[]).turn().await;
    let record = column(&world.stored("MonetaHealth")[0], "Details");
    assert!(record.contains("failed") && record.contains("no such column"), "{record}");
    let alarms = world.alarms.0.lock().unwrap();
    assert_eq!((alarms.len(), alarms[0].kind, alarms[0].subject.as_str()), (1, AlarmKind::RuleFailed, "r1"));
    assert!(alarms[0].text.contains("no such column"));
}

#[tokio::test]
async fn rows_are_looked_at_as_they_arrive_each_once_and_those_before_the_rule_never() {
    let world = World::new(vec!["ada"]);
    let texts = || -> Vec<String> { world.answers.asked.lock().unwrap().iter().map(|one| one.text.clone()).collect() };
    let analytics = world.start(ON_ARRIVAL, &[("Syslog", 7)]);
    analytics.turn().await;
    assert!(texts().is_empty());
    let again = world.start(ON_ARRIVAL, &[("Syslog", 9)]);
    again.turn().await;
    assert_eq!(texts().len(), 1);
    assert!(texts()[0].starts_with("Syslog | where _Seq >= 7 and _Seq < 9 | where"), "{:?}", texts());
    again.turn().await;
    world.start(ON_ARRIVAL, &[("Syslog", 9)]).turn().await;
    assert_eq!((texts().len(), world.stored("SecurityAlert").len()), (1, 1));
}

#[tokio::test]
async fn a_rule_rests_after_an_alert_and_says_so() {
    let rule = format!("{SCHEDULED}suppressionEnabled: true\nsuppressionDuration: 2h\n");
    let world = World::new(vec!["ada"]);
    let analytics = world.start(&rule, &[]);
    analytics.turn().await;
    world.clock.advance(Duration::from_secs(3 * 3_600));
    analytics.turn().await;
    let outcomes: Vec<String> = world.stored("MonetaHealth").iter().map(|one| column(one, "Details")).collect();
    let named: Vec<bool> = outcomes.iter().map(|one| one.contains("\"rests\"")).collect();
    assert_eq!(named, [false, true, false, true], "{outcomes:?}");
    assert_eq!(world.delivered.0.lock().unwrap().len(), 2);
    assert!(world.clock.now() > Timestamp::default());
}

#[tokio::test]
async fn every_row_is_an_alert_of_its_own_where_the_rule_wants_it() {
    let rule = format!("{SCHEDULED}eventGroupingSettings: {{ aggregationKind: AlertPerResult }}\n");
    let world = World::new((0..200).map(|at| ["ada", "bob"][at % 2]).collect());
    world.start(&rule, &[]).turn().await;
    let alerts = &world.stored("SecurityAlert")[0];
    assert_eq!(alerts.rows.num_rows(), 150);
    let counts = alerts.rows.column_by_name("EventCount").unwrap();
    let counts = counts.as_primitive::<arrow::datatypes::Int64Type>();
    assert_eq!((counts.value(0), counts.value(149)), (1, 51));
    let ids = alerts.rows.column_by_name("SystemAlertId").unwrap();
    let id = |row| arrow::util::display::array_value_to_string(ids, row).unwrap();
    assert!((1..150).all(|row| id(row) != id(0)));
}

#[tokio::test]
async fn what_a_rule_says_of_the_alert_itself_stands_in_its_columns() {
    let set = |name: &str| format!("{{ alertProperty: {name}, value: Account }}");
    let names = ["ProductName", "ProviderName", "RemediationSteps", "AlertLink", "ConfidenceLevel"].map(set).join(", ");
    let rule = SCHEDULED.replace("[T1110]", "[T1110.003]").replace(
        "{ alertDisplayNameFormat: 'Failures of {{Account}}' }",
        &format!("{{ alertDynamicProperties: [ {names} ] }}"),
    );
    let world = World::new(vec!["https://runbook.example/1"]);
    world.start(&rule, &[]).turn().await;
    let alert = &world.stored("SecurityAlert")[0];
    let link = "https://runbook.example/1";
    for name in ["ProductName", "ProviderName", "AlertLink", "ConfidenceLevel"] {
        assert_eq!(column(alert, name), link, "{name}");
    }
    assert_eq!(column(alert, "RemediationSteps"), format!("[\"{link}\"]"));
    assert_eq!(
        (column(alert, "Techniques"), column(alert, "SubTechniques")),
        ("[\"T1110\"]".into(), "[\"T1110.003\"]".into())
    );
    assert_eq!(column(alert, "VendorName"), "Moneta");
    let delivered = world.delivered.0.lock().unwrap();
    assert_eq!(delivered[0].explanation, "1 row, more than 0; Failures > 3");
    assert_eq!(delivered[0].link, format!("/alerts?alert={}", delivered[0].id), "messages link to the alert alone");
}
