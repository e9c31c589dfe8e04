//! Analytics rules on a whole node: added like any rule, run on arriving rows, and not run twice after a restart.

use std::sync::Arc;
use std::time::Duration;

use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, RecordClass, Value};
use moneta_ports::{BackfillSelection, OpContext, QueryRequest, RuleFile, Submission};
use moneta_server::{Config, Node};
use moneta_testkit::TestDir;

const RULE: &str = "
id: 5ad1bd8c-2f3a-4d3f-9f0e-9b3f0d0a0b0c
name: Secret word
severity: High
queryFrequency: 1h
queryPeriod: 1h
triggerOperator: gt
triggerThreshold: 0
query: |
  Syslog
  | where SyslogMessage has 'xyzzy'
  | extend HostCustomEntity = Computer
";

/// Looks at what is stored, at most this often.
const LOOKS_MAX: u32 = 600;

fn context() -> OpContext {
    OpContext::local_operator("ada")
}

async fn open(dir: &TestDir) -> Node {
    Node::open(&Config::default(), &dir.join("data")).await.unwrap()
}

async fn add(node: &Node, text: &str) -> moneta_ports::RuleSetReport {
    let file = RuleFile { name: "rule.yaml".to_owned(), text: text.to_owned() };
    node.rules().add(&context(), vec![file]).await.unwrap()
}

async fn store(node: &Node, message: &str) {
    store_at(node, message, Timestamp::from_seconds(1_767_323_045)).await;
}

async fn store_at(node: &Node, message: &str, time: Timestamp) {
    store_row(node, "Syslog", &[("SyslogMessage", Value::Text(message)), ("Computer", Value::Text("web01"))], time)
        .await;
}

async fn store_row(node: &Node, table: &str, fields: &[(&str, Value<'_>)], time: Timestamp) {
    let schema = node.catalog().get(table).cloned().unwrap();
    let mut rows = BatchBuilder::new(Arc::clone(&schema), RecordClass::Data, Delivery::AtLeastOnce);
    fields.iter().for_each(|(name, value)| rows.set_field(name, *value));
    rows.finish_row(time, &SourceName::lossy("test"), "");
    let submission = Submission { batches: vec![rows.finish().unwrap()], quarantined: Vec::new(), key: None };
    node.events().submit(submission).await.unwrap();
}

async fn count(node: &Node, query: &str) -> usize {
    node.queries().query(&context(), QueryRequest::new(query)).await.unwrap().tables[0].num_rows()
}

/// Waits until a query has so many rows.
async fn until(node: &Node, query: &str, num_rows: usize) {
    for _ in 0..LOOKS_MAX {
        if count(node, query).await >= num_rows {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{query} never had {num_rows} rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_local_rule_alerts_on_arrival_once_also_across_a_restart() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    store(&node, "xyzzy from before the rule").await;
    let report = add(&node, RULE).await;
    assert_eq!((report.loaded, report.not_loaded.len()), (1, 0), "{:?}", report.not_loaded);
    assert_eq!(node.rules().list()[0].log_source, "KQL on arrival in Syslog");
    assert_eq!(node.rules().list()[0].tables, ["Syslog"]);
    store(&node, "nothing").await;
    store(&node, "say xyzzy").await;
    let alerts = "SecurityAlert | where AlertName == 'Secret word' and Entities has 'web01' and EventCount == 1";
    until(&node, alerts, 1).await;
    node.shut_down().await.unwrap();

    let node = open(&dir).await;
    assert_eq!(node.rules().list().len(), 1);
    store(&node, "xyzzy again").await;
    until(&node, alerts, 2).await;
    let evaluated = "MonetaHealth | where Component == 'analytics' and Value > 0 | project Details";
    assert_eq!((count(&node, "SecurityAlert").await, count(&node, evaluated).await), (2, 2));
    // A disabled rule stays listed.
    let id = node.rules().list()[0].rule_id.clone();
    node.rules().set_enabled(&context(), &id, false).await.unwrap();
    assert!(!node.rules().list()[0].enabled);
    node.rules().set_enabled(&context(), &id, true).await.unwrap();
    assert!(node.rules().list()[0].enabled);
    store(&node, "xyzzy once more").await;
    until(&node, alerts, 3).await;
    node.shut_down().await.unwrap();
}

/// Events of Windows are rows of Defender's tables in queries. Each is looked at once, in the table where it is stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_over_a_table_of_defenders_alerts_once_about_each_event_of_windows() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    let hunting = RULE.replace("Secret word", "Hunting").replace(
        "Syslog\n  | where SyslogMessage has 'xyzzy'\n  | extend HostCustomEntity = Computer",
        "DeviceProcessEvents\n  | where FileName =~ 'evil.exe'\n  | extend HostCustomEntity = DeviceName",
    );
    let several = RULE.replace("5ad1bd8c", "7ad1bd8c").replace("Secret word", "Several products").replace(
        "Syslog\n  | where SyslogMessage has 'xyzzy'\n  | extend HostCustomEntity = Computer",
        "union (SecurityEvent | where EventID == 4688 and NewProcessName endswith 'evil.exe' | extend Host = Computer),\n    \
         (DeviceProcessEvents | where FileName =~ 'evil.exe' | extend Host = DeviceName)\n  | extend HostCustomEntity = Host",
    );
    assert_eq!(add(&node, &format!("{hunting}---{several}")).await.loaded, 2);
    assert_eq!(node.rules().list()[0].tables, ["DeviceProcessEvents", "Event", "SecurityEvent"]);
    let time = Timestamp::from_seconds(1_767_323_045);
    let (pc, path) = (("Computer", Value::Text("pc1")), Value::Text(r"C:\Temp\evil.exe"));
    let security = [pc, ("EventID", Value::Long(4688)), ("NewProcessName", path)];
    let sysmon =
        [pc, ("Source", Value::Text("Microsoft-Windows-Sysmon")), ("EventID", Value::Long(1)), ("Image", path)];
    let defender = [("DeviceName", Value::Text("pc1")), ("FileName", Value::Text("evil.exe"))];
    store_row(&node, "SecurityEvent", &security, time).await;
    store_row(&node, "Event", &sysmon, time).await;
    store_row(&node, "DeviceProcessEvents", &defender, time).await;
    store_row(&node, "SecurityEvent", &security, time).await;
    // An alert stands for all rows of its table that came together.
    for rule in ["Hunting", "Several products"] {
        let events = format!(
            "SecurityAlert | where AlertName == '{rule}' and Entities has 'pc1' | summarize Events = sum(EventCount) by EventTable \
             | where Events == iff(EventTable == 'SecurityEvent', 2, 1)"
        );
        until(&node, &events, 3).await;
    }
    assert_eq!(count(&node, "SecurityAlert | summarize N = sum(EventCount) | where N == 8").await, 1);
    node.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_says_it_is_not_enabled_is_kept_and_does_not_run() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    let other = RULE.replace("5ad1bd8c", "6ad1bd8c").replace("Secret word", "Other word");
    assert_eq!(add(&node, &format!("{RULE}enabled: false\n---{other}")).await.loaded, 2);
    let states = || node.rules().list().into_iter().map(|rule| (rule.title, rule.enabled)).collect::<Vec<_>>();
    assert_eq!(states(), [("Other word".to_owned(), true), ("Secret word".to_owned(), false)]);
    assert_eq!(count(&node, "MonetaAudit | where Action == 'rule.disable'").await, 1);
    store(&node, "say xyzzy").await;
    until(&node, "SecurityAlert | where AlertName == 'Other word'", 1).await;
    // The same file again leaves it as people have put it since.
    let id = node.rules().list()[1].rule_id.clone();
    node.rules().set_enabled(&context(), &id, true).await.unwrap();
    assert_eq!(add(&node, &format!("{RULE}enabled: false\n---{other}")).await.unchanged, 2);
    assert!(states()[1].1);
    store(&node, "say xyzzy again").await;
    until(&node, "SecurityAlert | where AlertName == 'Secret word'", 1).await;
    let of_rule = "SecurityAlert | where AlertName == 'Secret word'";
    assert_eq!(count(&node, of_rule).await, 1, "rows from before it ran are not looked at");
    node.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_event_is_explained_and_history_gives_the_alerts() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    let counting = "\n---\nid: counting\nname: Counting\nqueryFrequency: 5m\nqueryPeriod: 1h\nquery: |\n  Syslog | summarize \
                    Rows = count() by Computer | where Rows >= 2\ntests:\n- { name: n, table: Syslog, matches: true, events: [ \
                    { Computer: a }, { Computer: b } ] }\n";
    let report = add(&node, &format!("{RULE}{counting}")).await;
    assert_eq!((report.loaded, report.failed_tests.len()), (2, 1), "{report:?}");
    let now = Timestamp::from_nanos(
        i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()).unwrap(),
    );
    let recent = now.saturating_sub(Duration::from_secs(1_200));
    store_at(&node, "say xyzzy", recent).await;
    store_at(&node, "nothing", recent).await;
    until(&node, "SecurityAlert | where AlertName == 'Secret word'", 1).await;
    let selection = BackfillSelection { rule_ids: vec!["counting".to_owned()], ..BackfillSelection::default() };
    let error = node.rules().backfill(&context(), selection.clone()).await.unwrap_err();
    assert!(error.to_string().contains("say from when on"), "{error}");
    let from = Some(now.saturating_sub(Duration::from_secs(3_600)));
    let past = node.rules().backfill(&context(), BackfillSelection { from, ..selection }).await.unwrap();
    assert!(
        !past.matches.is_empty() && past.matches.iter().all(|one| one.fields.contains(&("Rows".into(), "2".into())))
    );
    let past = node.rules().backfill(&context(), BackfillSelection::default()).await.unwrap();
    let found: Vec<_> =
        past.matches.iter().map(|one| (one.rule_title.as_str(), one.table.as_str(), &one.seqs[..])).collect();
    assert_eq!(found, [("Secret word", "Syslog", &[0][..])]);
    assert_eq!(past.left_out, ["counting"]);

    let table = || TableName::new("Syslog").unwrap();
    let id = "5ad1bd8c-2f3a-4d3f-9f0e-9b3f0d0a0b0c";
    let why = node.rules().explain(&context(), id, table(), 0).await.unwrap().unwrap();
    assert!(
        why.holds
            && why.lines[0].contains("alerts about the event")
            && why.lines[1] == "+ where SyslogMessage has 'xyzzy'"
    );
    let why = node.rules().explain(&context(), id, table(), 1).await.unwrap().unwrap();
    assert!(!why.holds && why.lines[1] == "- where SyslogMessage has 'xyzzy'", "{:?}", why.lines);
    assert!(node.rules().explain(&context(), id, table(), 99).await.unwrap().is_none());
    let why = node.rules().explain(&context(), "counting", table(), 1).await.unwrap().unwrap();
    let lines = why.lines.join("\n");
    assert!(why.holds && lines.contains("looks at several rows") && lines.contains("Rows >= 2"), "{lines}");
    node.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_whose_query_names_no_column_is_refused_with_the_reason() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    let report = add(&node, &RULE.replace("where SyslogMessage", "where SyslogMesage")).await;
    assert_eq!(report.loaded, 0);
    let problem = report.not_loaded[0].problem.clone().unwrap();
    assert!(problem.contains("SyslogMesage"), "{problem}");
    node.shut_down().await.unwrap();
}
