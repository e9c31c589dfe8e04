//! Proofs of rows: made by a node, checked as a receiver checks them.

use std::path::Path;
use std::sync::Arc;

use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::{AlertEvidence, BatchBuilder, Delivery, RecordClass, RecordProof, Value};
use moneta_merkle::VerifierKey;
use moneta_ports::operations::ProofAnswer;
use moneta_ports::{OpContext, PortError, QueryRequest, Submission};
use moneta_server::{Config, Node};
use moneta_testkit::TestDir;
use moneta_verify::proof::{check_alert_evidence, check_record_proof};

/// Rows of each of the blocks that a test stores: more than a tile is wide, then few.
const BLOCKS: [usize; 3] = [300, 1, 7];

async fn open(dir: &TestDir) -> Node {
    Node::open(&Config::default(), &dir.join("data")).await.unwrap()
}

fn context() -> OpContext {
    OpContext::local_operator("ada")
}

fn table() -> TableName {
    TableName::new("Syslog").unwrap()
}

async fn store(node: &Node, num_rows: usize) {
    let schema = node.catalog().get("Syslog").cloned().unwrap();
    let mut rows = BatchBuilder::new(Arc::clone(&schema), RecordClass::Data, Delivery::AtLeastOnce);
    for row in 0..num_rows {
        rows.set_field("SyslogMessage", Value::Text(&format!("message {row} of {num_rows}")));
        // With a digit below a microsecond: a record must come out of a segment as it went in.
        let time = Timestamp::from_nanos(1_767_323_045_000_000_100 + 100 * i64::try_from(row).unwrap());
        rows.finish_row(time, &SourceName::lossy("test"), "");
    }
    let submission = Submission { batches: vec![rows.finish().unwrap()], quarantined: Vec::new(), key: None };
    node.events().submit(submission).await.unwrap();
}

async fn ask(node: &Node, seq: u64) -> Result<ProofAnswer, PortError> {
    node.operations().prove_record(&context(), table(), seq).await
}

async fn prove(node: &Node, seq: u64) -> String {
    match ask(node, seq).await.unwrap() {
        ProofAnswer::Proof(text) => text,
        ProofAnswer::NotStored(reason) => panic!("row {seq}: {reason}"),
    }
}

async fn refusal(node: &Node, name: &str, seq: u64) -> String {
    match node.operations().prove_record(&context(), TableName::new(name).unwrap(), seq).await.unwrap() {
        ProofAnswer::Proof(text) => panic!("proved: {text}"),
        ProofAnswer::NotStored(reason) => reason,
    }
}

fn key(dir: &TestDir) -> VerifierKey {
    let text = std::fs::read_to_string(dir.join("data/keys/ledger.vkey")).unwrap();
    VerifierKey::parse(text.trim_end()).unwrap()
}

#[track_caller]
fn check(text: &str, key: &VerifierKey, seq: u64) {
    let verdict = check_record_proof(text, key).unwrap();
    assert!(verdict.contains(&format!("row _Seq {seq} of table Syslog")), "{verdict}");
    assert_eq!(RecordProof::parse(text).unwrap().encode(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_proved_while_hot_and_after_a_restart() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    for num_rows in BLOCKS {
        store(&node, num_rows).await;
    }
    let key = key(&dir);
    let seqs = [0, 255, 256, 299, 300, 301, 307];
    let mut records = Vec::new();
    for seq in seqs {
        let text = prove(&node, seq).await;
        check(&text, &key, seq);
        records.push(RecordProof::parse(&text).unwrap().record);
    }
    node.shut_down().await.unwrap();

    let node = open(&dir).await;
    let status = node.operations().status(&context()).await.unwrap();
    let sealed = status.tables.iter().find(|found| found.name == "Syslog").unwrap();
    assert_eq!((sealed.num_rows, sealed.num_hot_blocks), (308, 0));
    store(&node, 2).await;
    for (seq, record) in seqs.into_iter().zip(records) {
        let text = prove(&node, seq).await;
        check(&text, &key, seq);
        assert_eq!(RecordProof::parse(&text).unwrap().record, record, "row {seq}");
    }
    check(&prove(&node, 309).await, &key, 309);
    node.shut_down().await.unwrap();
    let report = moneta_verify::verify_store(
        &dir.join("data"),
        moneta_verify::Options { key: Some(key), quorum: None, moved: None },
    )
    .unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_changed_byte_of_a_proof_is_rejected() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    store(&node, 5).await;
    store(&node, 3).await;
    let (text, key) = (prove(&node, 6).await, key(&dir));
    node.shut_down().await.unwrap();
    check(&text, &key, 6);
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        // What is no longer text is refused before: a proof is text.
        let refused = |text: &str| check_record_proof(text, &key).is_err();
        assert!(std::str::from_utf8(&bytes).map_or(true, refused), "byte {at} of\n{text}");
        assert!(text.get(..at).is_none_or(refused), "cut at {at}");
    }
    assert!(check_record_proof(&format!("{text}\n"), &key).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_parts_that_belong_to_other_rows_blocks_and_logs() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    store(&node, 5).await;
    store(&node, 4).await;
    let (one, two, key) = (prove(&node, 1).await, prove(&node, 6).await, key(&dir));
    node.shut_down().await.unwrap();
    let (one, two) = (RecordProof::parse(&one).unwrap(), RecordProof::parse(&two).unwrap());
    let refused = |proof: RecordProof, words: &str| {
        let error = format!("{:#}", check_record_proof(&proof.encode(), &key).unwrap_err());
        assert!(error.contains(words), "{words:?} in {error}");
    };
    refused(RecordProof { record: two.record.clone(), ..one.clone() }, "the record is not in the block");
    refused(RecordProof { index: 2, ..one.clone() }, "the record is not in the block");
    refused(RecordProof { header: two.header.clone(), ..one.clone() }, "the record is not in the block");
    refused(RecordProof { block: two.block.clone(), ..one.clone() }, "another block");
    let mut header = one.header.clone();
    header.first_seq += 1;
    refused(RecordProof { header, ..one.clone() }, "the block is not proved");

    let elsewhere = TestDir::new();
    open(&elsewhere).await.shut_down().await.unwrap();
    assert!(check_record_proof(&one.encode(), &self::key(&elsewhere)).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_stored_is_said_and_audited() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    let reason = refusal(&node, "Syslog", 0).await;
    assert!(reason.contains("never stored") && reason.contains("no rows"), "{reason}");
    store(&node, 3).await;
    let reason = refusal(&node, "Syslog", 3).await;
    assert!(reason.contains("_Seq 0 to 2 are stored"), "{reason}");
    let reason = refusal(&node, "Nothing_CL", 0).await;
    assert!(reason.contains("no table Nothing_CL"), "{reason}");
    prove(&node, 1).await;
    let query = "MonetaAudit | where Action == 'record.prove' | summarize countif(Outcome == 'success'), count()";
    let answer = node.queries().query(&context(), QueryRequest::new(query.to_owned())).await.unwrap();
    let batch = &answer.tables[0].batches[0];
    let count = |column: usize| {
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(batch.column(column)).value(0)
    };
    assert_eq!((count(0), count(1)), (1, 4));
    node.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_changed_segment_is_not_proved() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    store(&node, 50).await;
    node.shut_down().await.unwrap();
    let file = segment_below(&dir.join("data/store/Syslog"));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let node = open(&dir).await;
    let error = ask(&node, 10).await.unwrap_err();
    let mut text = error.message.clone();
    text.extend(error.source.iter().map(|source| format!(": {source}")));
    assert!(text.contains(file.file_name().unwrap().to_str().unwrap()), "{text}");
    assert_eq!(error.kind, moneta_base::ErrorKind::Internal);
    node.shut_down().await.unwrap();
}

/// Stores an alert that names rows of `Syslog`: the first with its fields.
async fn store_alert(node: &Node, id: &str, seqs: &[u64]) {
    let schema = node.catalog().get("SecurityAlert").cloned().unwrap();
    let mut rows = BatchBuilder::new(Arc::clone(&schema), RecordClass::Data, Delivery::AtLeastOnce);
    rows.set_field("SystemAlertId", Value::Text(id));
    rows.set_field("DisplayName", Value::Text("Bad"));
    rows.set_field("EventTable", Value::Text("Syslog"));
    rows.set_field("EventCount", Value::Long(i64::try_from(seqs.len()).unwrap()));
    rows.set_field("EventSeqs", Value::Json(&format!("{seqs:?}")));
    rows.set_field("Events", Value::Json(&format!(r#"[{{"table":"Syslog","seq":{}}}]"#, seqs[0])));
    rows.finish_row(Timestamp::from_seconds(1_767_323_045), &SourceName::lossy("test"), "");
    let submission = Submission { batches: vec![rows.finish().unwrap()], quarantined: Vec::new(), key: None };
    node.events().submit(submission).await.unwrap();
}

async fn evidence(node: &Node, id: &str) -> ProofAnswer {
    node.operations().prove_alert(&context(), id.to_owned()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_proved_with_every_event_that_it_names_from_journal_and_segments() {
    let dir = TestDir::new();
    let node = open(&dir).await;
    store(&node, 300).await;
    store(&node, 5).await;
    node.shut_down().await.unwrap();
    let node = open(&dir).await;
    store(&node, 4).await;
    store_alert(&node, "one", &[0, 7, 299, 302, 306]).await;
    store_alert(&node, "two", &[1, 999]).await;
    let (ProofAnswer::Proof(one), ProofAnswer::Proof(two)) =
        (evidence(&node, "one").await, evidence(&node, "two").await)
    else {
        panic!("both are stored")
    };
    let ProofAnswer::NotStored(reason) = evidence(&node, "three' or 1 == 1 //").await else { panic!("proved") };
    assert!(reason.contains("no alert"), "{reason}");
    node.shut_down().await.unwrap();

    let key = key(&dir);
    let verdict = check_alert_evidence(&one, &key).unwrap();
    assert!(verdict.is_complete && verdict.text.contains("5 of the 5"), "{}", verdict.text);
    let verdict = check_alert_evidence(&two, &key).unwrap();
    assert!(!verdict.is_complete && verdict.text.ends_with("not there: Syslog 999"), "{}", verdict.text);

    let parsed = AlertEvidence::parse(&one).unwrap();
    assert_eq!(parsed.encode(), one);
    for proof in std::iter::once(&parsed.alert).chain(&parsed.events) {
        check_record_proof(&proof.encode(), &key).unwrap();
    }
    let seqs: Vec<u64> = parsed.events.iter().map(|proof| proof.header.first_seq + proof.index).collect();
    assert_eq!(seqs, [0, 7, 299, 302, 306]);
    let refused = |evidence: AlertEvidence, words: &str| {
        let error = format!("{:#}", check_alert_evidence(&evidence.encode(), &key).unwrap_err());
        assert!(error.contains(words), "{words:?} in {error}");
    };
    let (alert, events) = (parsed.alert, parsed.events);
    let other = AlertEvidence::parse(&two).unwrap();
    let with = |event: &RecordProof| events.iter().chain([event]).cloned().collect::<Vec<_>>();
    refused(AlertEvidence { alert: alert.clone(), events: with(&events[0]) }, "row 0 of Syslog is not named");
    refused(AlertEvidence { alert: alert.clone(), events: with(&other.events[0]) }, "row 1 of Syslog is not named");
    refused(AlertEvidence { alert: events[0].clone(), events: Vec::new() }, "row of Syslog, and no alert");
    let mut forged = events.clone();
    forged[2].record.push(0);
    refused(AlertEvidence { alert: alert.clone(), events: forged }, "proof 4 of the file");
    let fewer = AlertEvidence { alert, events: events[1..].to_vec() }.encode();
    assert!(!check_alert_evidence(&fewer, &key).unwrap().is_complete, "what is left out is missed");
}

fn segment_below(dir: &Path) -> std::path::PathBuf {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("_delta_log") {
            return segment_below(&path);
        }
        if path.extension().is_some_and(|extension| extension == "parquet") {
            return path;
        }
    }
    panic!("no segment below {}", dir.display());
}
