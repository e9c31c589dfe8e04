//! The policy of an installation as administrators see it, and what it would do to a record.

use std::path::Path;

use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, ParsedBatch, QuarantinedRecord, RecordClass, RecordContext, Value};
use moneta_merkle::sha256;
use moneta_ports::operations::ScrubbedField;
use moneta_ports::{OpContext, QueryRequest, Submission};
use moneta_server::{Config, Node};
use moneta_testkit::TestDir;

const POLICY: &str = "version = 1\n[patterns]\nemail = true\nphone = false\npayment_card = true\n\
    [allow]\nvalues = [\"root\"]\n[fields.Syslog]\nComputer = \"name\"\n";

fn syslog(node: &Node, computer: &str, message: &str) -> ParsedBatch {
    let schema = node.catalog().get("Syslog").cloned().unwrap();
    let mut rows = BatchBuilder::new(schema, RecordClass::Data, Delivery::AtLeastOnce);
    rows.set_field("Computer", Value::Text(computer));
    rows.set_field("SyslogMessage", Value::Text(message));
    rows.finish_row(Timestamp::from_seconds(1_767_323_045), &SourceName::lossy("test"), message);
    rows.finish().unwrap()
}

fn odd(text: &str) -> QuarantinedRecord {
    QuarantinedRecord {
        source: SourceName::lossy("test"),
        format: "json",
        table: Some(TableName::new("Syslog").unwrap()),
        reason_code: "bad_time",
        reason: "the time is odd".to_owned(),
        offset: 0,
        bytes: text.as_bytes().to_vec(),
        context: RecordContext::default(),
    }
}

async fn open(config: &Config, data: &Path) -> Node {
    Node::open(config, data).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_in_force_is_shown_and_tried_without_storing_anything() {
    let dir = TestDir::new();
    let file = dir.join("policy.toml");
    std::fs::write(&file, POLICY).unwrap();
    let mut config = Config::default();
    config.scrub.policy = Some(file.clone());
    let node = open(&config, &dir.join("data")).await;
    let ctx = OpContext::local_operator("ada");

    // What is in force is what was read, whatever became of the file.
    std::fs::write(&file, "changed").unwrap();
    let policy = node.operations().scrub_policy(&ctx).await.unwrap();
    assert_eq!((policy.source.as_str(), policy.version), (file.to_str().unwrap(), 1));
    assert_eq!(policy.sha256, sha256(POLICY.as_bytes()).to_hex());
    assert_eq!(policy.token_key_version, 1);
    assert_eq!(
        (policy.patterns, policy.allow["values"].clone()),
        (vec!["email".into(), "payment_card".into()], vec!["root".into()])
    );
    let field = ScrubbedField { table: "Syslog".into(), field: "Computer".into(), kind: "name".into() };
    assert_eq!(policy.fields, [field]);

    let batches = vec![syslog(&node, "Ada's laptop", "mail from ada@example.com")];
    let records = Submission { batches, quarantined: vec![odd("{\"by\":\"bob@example.com\"}")], key: None };
    let trial = node.operations().try_scrubbing(&ctx, records).await.unwrap();
    let (table, rows) = &trial.rows[0];
    let text = |name: &str| arrow::util::display::array_value_to_string(rows.column_by_name(name).unwrap(), 0).unwrap();
    assert_eq!(table.as_str(), "Syslog");
    assert!(text("Computer").starts_with("tk1_name_"), "{}", text("Computer"));
    assert!(text("SyslogMessage").starts_with("mail from tk1_email_"), "{}", text("SyslogMessage"));
    assert!(text("_Raw").contains("tk1_email_"), "{}", text("_Raw"));
    let counts: Vec<_> = trial.tokens.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(counts, [("email", 2), ("name", 1)]);
    let (reason, record) = &trial.quarantined[0];
    let record = String::from_utf8_lossy(record);
    assert!(reason == "the time is odd" && record.contains("tk1_email_") && !record.contains("bob@"), "{record}");

    // The audit says that it was asked, and nothing of what was tried.
    let audited = "MonetaAudit | where Action startswith 'scrub-policy' | project Action, Details = tostring(Details)";
    let answer = node.queries().query(&ctx, QueryRequest::new(audited)).await.unwrap();
    let said: String = answer.tables[0]
        .batches
        .iter()
        .map(|batch| arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch)).unwrap().to_string())
        .collect();
    assert!(said.contains("scrub-policy.read") && said.contains("scrub-policy.try"), "{said}");
    assert!(said.contains("\"num_tokens\":3") && !said.contains("ada@") && !said.contains("laptop"), "{said}");
    let stored = node.queries().query(&ctx, QueryRequest::new("union Syslog, Quarantine | count")).await.unwrap();
    let count = stored.tables[0].batches[0].column(0);
    assert_eq!(arrow::util::display::array_value_to_string(count, 0).unwrap(), "0");
    node.shut_down().await.unwrap();
}
