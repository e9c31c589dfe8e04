//! Rules that are looked at before they are added: their tests run, history is matched, and nothing changes.

use std::sync::Arc;

use moneta_base::{ErrorKind, SourceName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, RecordClass, Value};
use moneta_ports::{BackfillSelection, OpContext, RuleFile, Submission};
use moneta_server::{Config, Node};
use moneta_testkit::TestDir;

fn draft(word: &str) -> Vec<RuleFile> {
    let text = format!(
        "
title: Secret word
id: 5ad1bd8c-2f3a-4d3f-9f0e-9b3f0d0a0b0d
logsource:
  product: linux
  service: syslog
detection:
  keywords:
    - {word}
  condition: keywords
level: high
tests:
  - name: said aloud
    table: Syslog
    matches: true
    events:
      - SyslogMessage: somebody said xyzzy
  - name: not said
    table: Syslog
    matches: false
    events:
      - SyslogMessage: nobody said it
"
    );
    vec![RuleFile { name: "draft.yml".to_owned(), text }]
}

async fn store(node: &Node, message: &str) {
    let schema = node.catalog().get("Syslog").cloned().unwrap();
    let mut rows = BatchBuilder::new(Arc::clone(&schema), RecordClass::Data, Delivery::AtLeastOnce);
    rows.set_field("SyslogMessage", Value::Text(message));
    rows.finish_row(Timestamp::from_seconds(1_767_323_045), &SourceName::lossy("test"), "");
    let submission = Submission { batches: vec![rows.finish().unwrap()], quarantined: Vec::new(), key: None };
    node.events().submit(submission).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_tested_and_matched_against_history_and_is_not_added() {
    let dir = TestDir::new();
    let node = Node::open(&Config::default(), &dir.join("data")).await.unwrap();
    let ctx = OpContext::local_operator("ada");
    store(&node, "xyzzy, said the bird").await;
    store(&node, "plugh, said the bird").await;
    let rules = node.rules();
    let report = rules.check(&ctx, draft("xyzzy")).await.unwrap();
    assert_eq!((report.loaded, report.num_tests, report.failed_tests.len()), (1, 2, 0), "{report:?}");
    let report = rules.check(&ctx, draft("plugh")).await.unwrap();
    let failed: Vec<(&str, bool)> = report.failed_tests.iter().map(|one| (one.test.as_str(), one.expected)).collect();
    assert_eq!(failed, [("said aloud", true)]);
    let look = |drafts: Vec<RuleFile>| BackfillSelection { drafts, ..BackfillSelection::default() };
    let found = rules.backfill(&ctx, look(draft("plugh"))).await.unwrap();
    assert_eq!((found.num_rows, found.num_matches, found.matches[0].seqs.as_slice()), (2, 1, &[1][..]));
    let refused = rules.backfill(&ctx, look(draft("[unclosed"))).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Caller);
    assert!(rules.list().is_empty());
    // A draft stands in the place of the active rule of its id.
    rules.add(&ctx, draft("xyzzy")).await.unwrap();
    assert_eq!(rules.check(&ctx, draft("xyzzy")).await.unwrap().unchanged, 1);
    let found = rules.backfill(&ctx, look(draft("plugh"))).await.unwrap();
    assert_eq!(found.matches[0].seqs, [1]);
}

/// A correlation over the rule of [`draft`].
const CORRELATION: &str = "
title: Secret words
id: 5ad1bd8c-2f3a-4d3f-9f0e-9b3f0d0a0b0e
correlation:
  type: event_count
  rules: [5ad1bd8c-2f3a-4d3f-9f0e-9b3f0d0a0b0d]
  group-by: [Computer]
  timespan: 5m
  condition:
    gte: 3
level: high
";

#[tokio::test(flavor = "multi_thread")]
async fn a_list_names_the_tables_that_rules_look_at() {
    let dir = TestDir::new();
    let node = Node::open(&Config::default(), &dir.join("data")).await.unwrap();
    let ctx = OpContext::local_operator("ada");
    let rules = node.rules();
    let correlation = RuleFile { name: "correlation.yml".to_owned(), text: CORRELATION.to_owned() };
    let report = rules.add(&ctx, draft("xyzzy").into_iter().chain([correlation]).collect()).await.unwrap();
    assert_eq!(report.loaded, 2, "{report:?}");
    let listed = || rules.list().into_iter().map(|rule| (rule.title, rule.tables)).collect::<Vec<_>>();
    let syslog = || vec!["Syslog".to_owned()];
    let both = vec![("Secret word".to_owned(), syslog()), ("Secret words".to_owned(), syslog())];
    assert_eq!(listed(), both);
    // One that rests would look at the same.
    rules.set_enabled(&ctx, "5ad1bd8c-2f3a-4d3f-9f0e-9b3f0d0a0b0e", false).await.unwrap();
    assert_eq!(listed(), both);
}
