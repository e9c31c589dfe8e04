//! Receipts: what the log signed when it took records, redeemed at the log and held against it.

use std::path::Path;
use std::sync::Arc;

use moneta_base::{SourceName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, RecordClass, SignedReceipt, Value};
use moneta_merkle::VerifierKey;
use moneta_ports::{IdempotencyKey, KeyLife, OpContext, PortError, ReceiptAnswer, Submission};
use moneta_server::{Config, Node};
use moneta_testkit::TestDir;
use moneta_verify::receipt::{Promise, check_receipt, check_receipt_in_store};

async fn open(data: &Path) -> Node {
    Node::open(&Config::default(), data).await.unwrap()
}

fn submission(node: &Node, message: &str, sequence: Option<u64>, num_rows: usize) -> Submission {
    let schema = node.catalog().get("Syslog").cloned().unwrap();
    let mut rows = BatchBuilder::new(Arc::clone(&schema), RecordClass::Data, Delivery::ExactlyOnce);
    for row in 0..num_rows {
        rows.set_field("SyslogMessage", Value::Text(message));
        let time = Timestamp::from_seconds(1_767_323_045);
        rows.finish_row(time, &SourceName::lossy("test"), &format!("{message} {row}"));
    }
    let key = sequence.map(|sequence| IdempotencyKey {
        producer: "api/credential/shipper".to_owned(),
        epoch: 5,
        sequence,
        life: KeyLife::Producer,
    });
    Submission { batches: vec![rows.finish().unwrap()], quarantined: Vec::new(), key }
}

async fn store(node: &Node, message: &str, sequence: Option<u64>) -> String {
    let (_, signed) = node.events().submit_for_receipt(submission(node, message, sequence, 3)).await.unwrap();
    signed.unwrap()
}

async fn redeem(node: &Node, receipt: &str) -> Result<ReceiptAnswer, PortError> {
    node.operations().prove_receipt(&OpContext::local_operator("ada"), receipt.to_owned()).await
}

fn key(data: &Path) -> VerifierKey {
    let text = std::fs::read_to_string(data.join("keys/ledger.vkey")).unwrap();
    VerifierKey::parse(text.trim_end()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_redeemed_for_a_proof_that_is_checked_offline() {
    let dir = TestDir::new();
    let data = dir.join("data");
    let node = open(&data).await;
    let key = key(&data);
    store(&node, "before", None).await;
    let first = store(&node, "mine", Some(1)).await;
    let read = SignedReceipt::open(first.as_bytes(), &key).unwrap();
    assert_eq!(read.blocks.iter().map(|block| (block.from, block.to)).collect::<Vec<_>>(), [(3, 6)]);
    let sender = read.sender.clone().unwrap();
    assert_eq!((sender.producer.as_str(), sender.epoch, sender.sequence), ("api/credential/shipper", 5, 1));
    // The same again, at once, before any checkpoint and after one, is signed for alike.
    assert_eq!(store(&node, "mine", Some(1)).await, first);
    let ReceiptAnswer::Kept(proof) = redeem(&node, &first).await.unwrap() else { panic!("not kept") };
    assert_eq!(store(&node, "mine", Some(1)).await, first);
    let verdict = check_receipt(first.as_bytes(), Some(&proof), &key).unwrap();
    assert!(matches!(&verdict, Promise::Kept(text) if text.contains("3 records in 1 blocks")), "{verdict:?}");
    assert!(matches!(check_receipt(first.as_bytes(), None, &key).unwrap(), Promise::Signed(_)));

    let other = store(&node, "other", None).await;
    assert!(check_receipt(other.as_bytes(), Some(&proof), &key).is_err(), "the proof of another receipt");
    for at in 0..first.len() {
        let mut bytes = first.clone().into_bytes();
        bytes[at] ^= 1;
        assert!(check_receipt(&bytes, Some(&proof), &key).is_err(), "byte {at} of the receipt");
    }
    for at in 0..proof.len() {
        let mut bytes = proof.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        assert!(check_receipt(first.as_bytes(), Some(&text), &key).is_err(), "byte {at} of the proof");
    }
    assert!(redeem(&node, "moneta-receipt@1\n").await.is_err());
    node.shut_down().await.unwrap();
    assert!(matches!(check_receipt_in_store(first.as_bytes(), &data, &key).unwrap(), Promise::Kept(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_several_senders_and_rows_of_several_blocks_are_signed_for_by_row() {
    let dir = TestDir::new();
    let data = dir.join("data");
    let node = open(&data).await;
    let (_, signed) = node.events().submit_for_receipt(submission(&node, "many", Some(1), 9_000)).await.unwrap();
    let receipt = SignedReceipt::open(signed.unwrap().as_bytes(), &key(&data)).unwrap();
    let rows: Vec<_> = receipt.blocks.iter().map(|block| (block.index, block.from, block.to)).collect();
    assert_eq!(rows, [(0, 0, 8_192), (1, 8_192, 9_000)]);
    let events = node.events();
    let waiting: Vec<_> = (2..10)
        .map(|sequence| {
            let (events, submission) = (events.clone(), submission(&node, "few", Some(sequence), 2));
            tokio::spawn(async move { events.submit_for_receipt(submission).await.unwrap() })
        })
        .collect();
    let mut seqs = Vec::new();
    for answer in waiting {
        let (receipt, signed) = answer.await.unwrap();
        let signed = SignedReceipt::open(signed.unwrap().as_bytes(), &key(&data)).unwrap();
        assert_eq!((signed.blocks.len(), signed.blocks[0].from), (1, receipt.ranges[0].first_seq));
        seqs.extend(signed.blocks[0].from..signed.blocks[0].to);
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (9_000..9_016).collect::<Vec<_>>());
    node.shut_down().await.unwrap();
}

/// Somebody takes records away after they were acknowledged, by putting back the files of before: nothing else knows of
/// them, and the receipt convicts.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_convicts_a_log_whose_records_vanished() {
    let dir = TestDir::new();
    let (data, before) = (dir.join("data"), dir.join("before"));
    let node = open(&data).await;
    let key = key(&data);
    store(&node, "first", Some(1)).await;
    node.shut_down().await.unwrap();
    copy(&data, &before);

    let node = open(&data).await;
    let receipt = store(&node, "the one that hurts", Some(2)).await;
    node.shut_down().await.unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    copy(&before, &data);
    // The copy alone says nothing: it is older than the receipt.
    assert!(matches!(check_receipt_in_store(receipt.as_bytes(), &data, &key).unwrap(), Promise::Undecided(_)));

    let node = open(&data).await;
    let answer = redeem(&node, &receipt).await.unwrap();
    let ReceiptAnswer::Broken { reason, proof: None } = &answer else { panic!("{answer:?}") };
    assert!(reason.contains("vanished"), "{reason}");
    // Other records take the place.
    let other = store(&node, "harmless", Some(2)).await;
    let answer = redeem(&node, &receipt).await.unwrap();
    let ReceiptAnswer::Broken { proof: Some(proof), .. } = &answer else { panic!("{answer:?}") };
    let convicted = check_receipt(receipt.as_bytes(), Some(proof), &key).unwrap();
    assert!(matches!(convicted, Promise::Broken(_)), "{convicted:?}");
    assert!(matches!(redeem(&node, &other).await.unwrap(), ReceiptAnswer::Kept(_)));
    node.shut_down().await.unwrap();
    // The store agrees with itself, and only the receipt says otherwise.
    let options = moneta_verify::Options { key: Some(key.clone()), quorum: None, moved: None };
    assert!(moneta_verify::verify_store(&data, options).unwrap().is_clean());
    let convicted = check_receipt_in_store(receipt.as_bytes(), &data, &key).unwrap();
    assert!(matches!(convicted, Promise::Broken(_)), "{convicted:?}");
}
