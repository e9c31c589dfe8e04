//! Quarantined records that become events: each once, read as they would have been read when they came.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{Int64Type, TimestampNanosecondType};
use arrow::util::display::array_value_to_string;
use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::{Delivery, QuarantinedRecord, RecordContext};
use moneta_ports::operations::{ReplayReport, ReplaySelection};
use moneta_ports::{OpContext, QueryRequest, Submission};
use moneta_server::{Config, Node};
use moneta_testkit::TestDir;

/// More records than one commit takes, and more than one query lists.
const RECORDS: usize = 5_300;

async fn open(dir: &TestDir) -> Node {
    Node::open(&Config::default(), &dir.join("data")).await.unwrap()
}

fn context() -> OpContext {
    OpContext::local_operator("ada")
}

fn record(format: &'static str, source: &str, offset: u64, bytes: &[u8]) -> QuarantinedRecord {
    QuarantinedRecord {
        source: SourceName::lossy(source),
        format,
        table: None,
        reason_code: "invalid_text",
        reason: "a parser that has been mended since".to_owned(),
        offset,
        bytes: bytes.to_vec(),
        context: RecordContext::default(),
    }
}

async fn quarantine(node: &Node, quarantined: Vec<QuarantinedRecord>) {
    node.events().submit(Submission { quarantined, ..Submission::default() }).await.unwrap();
}

async fn replay(node: &Node, selection: ReplaySelection) -> (u64, u64) {
    let ReplayReport { num_stored, num_refused } =
        node.operations().replay_quarantine(&context(), selection).await.unwrap();
    (num_stored, num_refused)
}

async fn columns(node: &Node, text: &str) -> Vec<BTreeMap<String, ArrayRef>> {
    let request = QueryRequest { no_truncation: true, ..QueryRequest::new(text.to_owned()) };
    let answer = node.queries().query(&context(), request).await.unwrap();
    let batches = answer.tables.into_iter().flat_map(|table| table.batches).filter(|rows| rows.num_rows() > 0);
    let named = |rows: arrow::array::RecordBatch| {
        let fields: Vec<_> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        fields.into_iter().zip(rows.columns().to_vec()).collect()
    };
    batches.map(named).collect()
}

async fn count(node: &Node, text: &str) -> i64 {
    columns(node, &format!("{text} | count")).await[0]["Count"].as_primitive::<Int64Type>().value(0)
}

/// The one row of a query, by column.
async fn row(node: &Node, text: &str) -> BTreeMap<String, String> {
    let found = columns(node, text).await;
    assert_eq!(found.iter().map(|rows| rows.values().next().unwrap().len()).sum::<usize>(), 1, "{text}");
    let shown = |(name, column): (&String, &ArrayRef)| (name.clone(), array_value_to_string(column, 0).unwrap());
    found[0].iter().map(shown).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_1_each_record_becomes_events_once_however_often_and_late_it_is_replayed() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    let line = |number: usize| format!("{{\"timestamp\":\"2026-06-01T10:00:00Z\",\"n\":{number}}}");
    let good = (0..RECORDS).map(|n| record("ndjson", "/logs/a.ndjson", n as u64, line(n).as_bytes())).collect();
    quarantine(&node, good).await;
    quarantine(&node, vec![record("ndjson", "/logs/a.ndjson", 1 << 40, b"{still broken")]).await;
    // The same file sent again: the same bytes of the same place.
    quarantine(&node, vec![record("ndjson", "/logs/a.ndjson", 7, line(7).as_bytes())]).await;

    assert_eq!(replay(&node, ReplaySelection::default()).await, (RECORDS as u64, 1));
    assert_eq!(count(&node, "a_CL").await, RECORDS as i64);
    assert_eq!(count(&node, "a_CL | distinct n").await, RECORDS as i64);
    assert_eq!(count(&node, "Quarantine").await, RECORDS as i64 + 2, "the originals stay");
    assert_eq!(replay(&node, ReplaySelection::default()).await, (0, 1));
    node.shut_down().await.unwrap();

    let node = open(&dir).await;
    assert_eq!(replay(&node, ReplaySelection::default()).await, (0, 1));
    assert_eq!(replay(&node, ReplaySelection { seqs: vec![0, 1], ..ReplaySelection::default() }).await, (0, 0));
    assert_eq!(count(&node, "a_CL").await, RECORDS as i64);
    assert_eq!(count(&node, "QuarantineReplay").await, RECORDS as i64);
    node.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_read_with_the_time_zone_and_head_that_it_came_with() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    let context = |head: Option<&str>| RecordContext {
        received: Timestamp::parse("2024-01-01T00:10:00Z"),
        zone_offset_seconds: 3_600,
        delivery: Delivery::BestEffort,
        fallback_table: TableName::new("Fallen_CL").ok(),
        head: head.map(Into::into),
    };
    let kept = [
        ("syslog", None, "<13>Dec 31 23:59:59 h a: new year"),
        ("ndjson", None, "{\"timeless\":true}"),
        ("w3c", Some("#Date: 2023-12-30\n#Fields: time cs-method c-ip"), "10:00:00 GET 192.0.2.1"),
        ("zeek", Some("#separator \\x09\n#path\tconn\n#fields\tts\tuid\n#types\ttime\tstring"), "1704000000.5\tC1"),
        ("csv", Some("when;who"), "x;\"y\nz\""),
        ("vpc-flow", Some("srcaddr dstaddr interface-id start action"), "192.0.2.1 192.0.2.2 eni-1 1704000000 REJECT"),
    ];
    let records = kept.map(|(format, head, text)| QuarantinedRecord {
        context: context(head),
        ..record(format, "h", 5, text.as_bytes())
    });
    quarantine(&node, records.to_vec()).await;
    assert_eq!(replay(&node, ReplaySelection::default()).await, (6, 0));

    let time = async |table: &str| {
        let rows = columns(&node, &format!("{table} | project TimeGenerated")).await;
        Timestamp::from_nanos(rows[0]["TimeGenerated"].as_primitive::<TimestampNanosecondType>().value(0)).to_string()
    };
    assert_eq!(time("Syslog").await, "2023-12-31T22:59:59.0000000Z");
    assert_eq!(time("Fallen_CL | where timeless == true").await, "2024-01-01T00:10:00.0000000Z");
    assert_eq!(time("W3CIISLog").await, "2023-12-30T10:00:00.0000000Z");
    assert_eq!(time("ZeekConn_CL").await, "2023-12-31T05:20:00.5000000Z");
    let web = row(&node, "W3CIISLog | project csMethod, cIP, _Delivery, _Source").await;
    let web: Vec<&str> = web.values().map(String::as_str).collect();
    assert_eq!(web, ["best-effort", "h", "192.0.2.1", "GET"]);
    let separated =
        row(&node, "Fallen_CL | where isnotempty(who) | project who, when=column_ifexists('when', '')").await;
    assert_eq!(separated["who"], "y\nz");
    assert_eq!(row(&node, "AWSVPCFlow | project Action, DstAddr").await["Action"], "REJECT");
    node.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_selected_by_format_reason_and_source_and_decoded_as_another_format() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    let json = b"{\"timestamp\":\"2026-06-01T10:00:00Z\",\"a\":1}";
    let wrong = QuarantinedRecord {
        table: TableName::new("W3CIISLog").ok(),
        reason_code: "no_fields",
        ..record("w3c", "C:\\a \"b\"", 0, json)
    };
    quarantine(&node, vec![wrong, record("ndjson", "other", 0, json), record("ndjson", "third", 0, json)]).await;
    let of = |set: fn(&mut ReplaySelection)| {
        let mut selection = ReplaySelection::default();
        set(&mut selection);
        selection
    };
    assert_eq!(replay(&node, of(|s| s.format = Some("w3c".into()))).await, (0, 1));
    assert_eq!(replay(&node, of(|s| s.reason_code = Some("too_long".into()))).await, (0, 0));
    let named = of(|s| {
        s.source = Some("C:\\a \"b\"".into());
        s.as_format = Some("jsonl".into());
        s.as_table = TableName::new("Mended_CL").ok();
    });
    assert_eq!(replay(&node, named).await, (1, 0));
    assert_eq!(replay(&node, of(|s| s.source = Some("other".into()))).await, (1, 0));
    assert_eq!((count(&node, "Mended_CL").await, count(&node, "other_CL").await), (1, 1));
    let refused = async |selection| node.operations().replay_quarantine(&context(), selection).await.unwrap_err();
    assert!(refused(of(|s| s.as_format = Some("excel".into()))).await.to_string().contains("excel"));
    assert!(refused(of(|s| s.as_table = TableName::new("MonetaAudit").ok())).await.to_string().contains("only Moneta"));
    node.shut_down().await.unwrap();
}
