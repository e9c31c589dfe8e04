//! Analytics rules on a whole node: added like any rule, run on arriving rows, and not run twice after a restart.

use std::sync::Arc;
use std::time::Duration;

use moneta_base::{SourceName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, RecordClass, Value};
use moneta_ports::{OpContext, QueryRequest, RuleFile, Submission};
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
    let schema = node.catalog().get("Syslog").cloned().unwrap();
    let mut rows = BatchBuilder::new(Arc::clone(&schema), RecordClass::Data, Delivery::AtLeastOnce);
    rows.set_field("SyslogMessage", Value::Text(message));
    rows.set_field("Computer", Value::Text("web01"));
    rows.finish_row(Timestamp::from_seconds(1_767_323_045), &SourceName::lossy("test"), "");
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
