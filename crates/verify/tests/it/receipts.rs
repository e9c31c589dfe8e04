//! Receipts against copies of directories, with the clock in the test's hands, and the published ones.

use std::path::PathBuf;
use std::sync::Arc;

use moneta_event::{ReceiptProof, SignedReceipt};
use moneta_ingest::Ingest;
use moneta_ledger::Promise as Redeemed;
use moneta_merkle::VerifierKey;
use moneta_ports::{EventSink, IdempotencyKey, KeyLife, Submission};
use moneta_testkit::TestDir;
use moneta_testkit::corpus::workspace_root;
use moneta_verify::receipt::{Promise, check_receipt, check_receipt_in_store};

use crate::installation::{Installation, batch, policy, submit, table};

fn submission(salt: i64, sequence: u64) -> Submission {
    let key = IdempotencyKey { producer: "collect/test".to_owned(), epoch: 7, sequence, life: KeyLife::Producer };
    Submission { batches: vec![batch("Syslog", salt, 20)], key: Some(key), ..Submission::default() }
}

async fn signed(ingest: &Arc<Ingest>, salt: i64, sequence: u64) -> Option<String> {
    ingest.submit_for_receipt(submission(salt, sequence)).await.unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_on_for_a_minute_without_the_records_is_convicted() {
    let installation = Installation::new();
    let key = VerifierKey::parse(&installation.key()).unwrap();
    let ingest = installation.open();
    submit(&ingest, "Syslog", 0, 5).await;
    let receipt = signed(&ingest, 1, 1).await.unwrap();
    ingest.shut_down().unwrap();
    let whole = check_receipt_in_store(receipt.as_bytes(), installation.dir.path(), &key).unwrap();
    assert!(matches!(whole, Promise::Kept(_)), "{whole:?}");

    // The same log, by its key and origin, without the records that it signed for.
    let fork = TestDir::new();
    let ingest = installation.open_in(fork.path());
    submit(&ingest, "Syslog", 0, 5).await;
    for (seconds, is_convicted) in [(30, false), (60, false), (61, true)] {
        installation.set_seconds(seconds);
        submit(&ingest, "Words_CL", seconds, 1).await;
        ingest.publish_now().await.unwrap();
        let verdict = check_receipt_in_store(receipt.as_bytes(), fork.path(), &key).unwrap();
        assert_eq!(matches!(verdict, Promise::Broken(_)), is_convicted, "{seconds} s: {verdict:?}");
        assert_eq!(matches!(verdict, Promise::Undecided(_)), !is_convicted, "{seconds} s: {verdict:?}");
    }
    ingest.shut_down().unwrap();
    let other = Installation::new();
    let stranger = VerifierKey::parse(&other.key()).unwrap();
    assert!(check_receipt_in_store(receipt.as_bytes(), fork.path(), &stranger).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_dropped_by_policy_breaks_no_promise() {
    let installation = Installation::new();
    let key = VerifierKey::parse(&installation.key()).unwrap();
    let ingest = installation.open();
    let receipt = signed(&ingest, 1, 1).await.unwrap();
    ingest.seal_all().unwrap();
    installation.set_day(20);
    submit(&ingest, "Syslog", 2, 5).await;
    ingest.change_policy(|current| *current = policy(10));
    installation.wait_until(|| ingest.store().snapshot(&table("Syslog")).unwrap().num_rows() == 5);
    let read = SignedReceipt::open(receipt.as_bytes(), &key).unwrap();
    let is_dropped = || matches!(ingest.ledger().redeem(&read), Ok(Redeemed::Dropped(_)));
    installation.wait_until(is_dropped);
    assert_eq!(signed(&ingest, 1, 1).await, None, "the sender is told that it was stored, and no more");
    ingest.shut_down().unwrap();
    let verdict = check_receipt_in_store(receipt.as_bytes(), installation.dir.path(), &key).unwrap();
    assert!(matches!(&verdict, Promise::Kept(text) if text.contains("dropped by policy")), "{verdict:?}");
}

fn path(name: &str) -> PathBuf {
    workspace_root().join("docs/formats/vectors").join(name)
}

/// `MONETA_WRITE_VECTORS=receipt` makes them anew, which only a new version of the layout is a reason for.
#[tokio::test(flavor = "multi_thread")]
async fn the_published_receipt_is_kept_by_its_proof() {
    if std::env::var("MONETA_WRITE_VECTORS").is_ok_and(|which| which == "receipt") {
        let installation = Installation::new();
        let ingest = installation.open();
        submit(&ingest, "Syslog", 0, 5).await;
        let receipt = signed(&ingest, 1, 3).await.unwrap();
        submit(&ingest, "Syslog", 2, 5).await;
        ingest.publish_now().await.unwrap();
        let key = VerifierKey::parse(&installation.key()).unwrap();
        let read = SignedReceipt::open(receipt.as_bytes(), &key).unwrap();
        let Redeemed::Proof(proof) = ingest.ledger().redeem(&read).unwrap() else { panic!("not there") };
        ingest.shut_down().unwrap();
        std::fs::write(path("receipt.txt"), receipt).unwrap();
        std::fs::write(path("receipt-proof.txt"), proof.encode()).unwrap();
        std::fs::write(path("receipt-key.txt"), format!("{key}\n")).unwrap();
    }
    let text = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    let (receipt, proof) = (text("receipt.txt"), text("receipt-proof.txt"));
    let key = VerifierKey::parse(text("receipt-key.txt").trim_end()).unwrap();
    let verdict = check_receipt(receipt.as_bytes(), Some(&proof), &key).unwrap();
    assert!(matches!(&verdict, Promise::Kept(text) if text.contains("20 records in 1 blocks")), "{verdict:?}");
    let read = SignedReceipt::open(receipt.as_bytes(), &key).unwrap();
    let block = &read.blocks[0];
    assert_eq!((block.index, block.first_seq, block.num_rows, block.from, block.to), (1, 5, 20, 5, 25));
    assert_eq!(ReceiptProof::parse(&proof).unwrap().blocks[0].0, block.leaf);
}
