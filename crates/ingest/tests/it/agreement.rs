//! Journal, store and ledger agree when they are opened, or are not opened; and none of them waits for another in a ring.

use std::fs;
use std::path::Path;

use moneta_base::TableName;
use moneta_ingest::OpenError;
use moneta_ports::{EventSink, Submission};

use crate::{Fixture, batch_for, num_rows, submission, syslog};

/// Copies a directory with all below it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

/// Puts a copy in the place of a directory.
fn put_back(copied: &Path, place: &Path) {
    fs::remove_dir_all(place).unwrap();
    copy(copied, place);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_gone_or_older_than_the_store_is_refused() {
    let fixture = Fixture::new();
    let (data, older) = (fixture.dir.path().to_owned(), fixture.dir.path().join("older"));
    let (ingest, _) = fixture.open();
    ingest.submit(submission(&["a"], 1)).await.unwrap();
    drop(ingest);
    copy(&data.join("journal"), &older);
    let (ingest, _) = fixture.open();
    ingest.submit(submission(&["b", "c"], 2)).await.unwrap();
    ingest.shut_down().unwrap();
    drop(ingest);
    copy(&data.join("journal"), &data.join("newest"));
    put_back(&older, &data.join("journal"));
    let refused = |known: u64| match fixture.try_open().map(drop) {
        Err(OpenError::Journal(moneta_journal::Error::BehindStore { table, store: 3, journal })) => {
            assert_eq!((table, journal), (syslog(), known));
        }
        other => panic!("{other:?}"),
    };
    refused(1);
    fs::remove_dir_all(data.join("journal")).unwrap();
    refused(0);
    put_back(&data.join("newest"), &data.join("journal"));
    let (ingest, _) = fixture.open();
    ingest.submit(submission(&["d"], 3)).await.unwrap();
    assert_eq!(num_rows(&ingest, &syslog()), 4);
    ingest.shut_down().unwrap();
    for copied in ["older", "newest"] {
        fs::remove_dir_all(data.join(copied)).unwrap();
    }
    fixture.assert_verifies(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_without_what_was_signed_or_with_something_else_is_refused() {
    let fixture = Fixture::new();
    let data = fixture.dir.path().to_owned();
    let (ingest, _) = fixture.open();
    ingest.submit(submission(&["a"], 1)).await.unwrap();
    ingest.publish_now().await.unwrap();
    drop(ingest);
    let parts = ["journal", "store", "ledger"];
    parts.iter().for_each(|part| copy(&data.join(part), &data.join("before").join(part)));

    let (ingest, _) = fixture.open();
    ingest.submit(submission(&["signed for"], 2)).await.unwrap();
    ingest.publish_now().await.unwrap();
    drop(ingest);
    copy(&data.join("ledger"), &data.join("signed"));
    put_back(&data.join("before/journal"), &data.join("journal"));
    match fixture.try_open().map(drop) {
        Err(OpenError::BehindLedger { shard, signed: 2, journaled: 1 }) => assert_eq!(shard.table, syslog()),
        other => panic!("the last block is cut off: {other:?}"),
    }

    parts.iter().for_each(|part| put_back(&data.join("before").join(part), &data.join(part)));
    let (ingest, _) = fixture.open();
    ingest.submit(submission(&["something else"], 2)).await.unwrap();
    drop(ingest);
    put_back(&data.join("signed"), &data.join("ledger"));
    match fixture.try_open().map(drop) {
        Err(OpenError::NotAsSigned { shard, index: 1 }) => assert_eq!(shard.table, syslog()),
        other => panic!("the last block was exchanged: {other:?}"),
    }
}

/// A backup asks the writer how far the journal is, while the writer stores blocks of known and of new tables.
#[tokio::test(flavor = "multi_thread")]
async fn records_are_stored_between_two_changes() {
    let fixture = Fixture::new();
    let (ingest, _) = fixture.open();
    ingest.submit(submission(&["before"], 1)).await.unwrap();
    let (sink, runtime, keeper) = (ingest.clone(), tokio::runtime::Handle::current(), ingest.clone());
    let between = tokio::task::spawn_blocking(move || {
        keeper.between_changes(Box::new(move |ledger, journal| {
            let signed = ledger.root_checkpoint().size();
            let length = || journal().map(|files| files.iter().map(|(_, size_bytes)| size_bytes).sum::<u64>());
            let before = length()?;
            for (table, sequence) in [("Syslog", 2), ("SecurityEvent", 3)] {
                let key = submission(&["key"], sequence).key;
                let batches = vec![batch_for(table, &["meanwhile"])];
                runtime.block_on(sink.submit(Submission { batches, quarantined: Vec::new(), key }))?;
            }
            assert!(length()? > before, "what was stored meanwhile is in the journal");
            assert_eq!(ledger.root_checkpoint().size(), signed, "and under no checkpoint yet");
            Ok(signed)
        }))
    });
    between.await.unwrap().unwrap();
    let tables = [syslog(), TableName::new("SecurityEvent").unwrap()];
    assert_eq!(tables.map(|table| num_rows(&ingest, &table)), [2, 1]);
    ingest.shut_down().unwrap();
    fixture.assert_verifies(3);
}
