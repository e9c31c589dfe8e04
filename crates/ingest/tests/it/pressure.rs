//! What waits to be sealed has a bound, and so has the memory of the next start.

use std::collections::BTreeMap;
use std::sync::Arc;

use moneta_base::{ErrorKind, Seq, SourceName, TableName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, RecordClass, TableSchema};
use moneta_ingest::{Chore, Ingest};
use moneta_ports::{AuditEvent, AuditSink, EventSink, OpContext, PortError, Submission};

use crate::volume::text;
use crate::{Fixture, START, num_rows, wait_until};

const NUM_TABLES: i64 = 40;
/// Bytes that may wait, of rows or of the journal.
const BOUND: usize = 3 << 20;
/// More than a submission of this test takes in memory.
const SUBMISSION_BYTES_MAX: usize = 256 << 10;

fn table(number: i64) -> TableName {
    TableName::new(&format!("Table{number:02}_CL")).unwrap()
}

/// One row of 20 kB.
async fn submit(ingest: &Arc<Ingest>, table: &TableName, seed: i64) -> Result<(), PortError> {
    let schema = Arc::new(TableSchema::custom(table.clone()));
    let mut rows = BatchBuilder::new(schema, RecordClass::Data, Delivery::AtLeastOnce);
    rows.finish_row(Timestamp::from_seconds(START), &SourceName::lossy("test"), &text(seed));
    ingest.submit(Submission { batches: vec![rows.finish().unwrap()], ..Submission::default() }).await.map(drop)
}

/// A file stands where the directory of a table belongs: none of its segments can be written.
fn block(fixture: &Fixture, table: &TableName) -> std::path::PathBuf {
    let path = fixture.dir.path().join("store").join(table.as_str());
    std::fs::write(&path, b"in the way").unwrap();
    path
}

fn is_short_of_room(ingest: &Ingest) -> bool {
    ingest.status().failing_chores.contains_key(&Chore::MakingRoom)
}

/// The sequences of the blocks that a journal recovered, by table.
fn sequences(recovered: &moneta_ingest::Recovered) -> BTreeMap<TableName, Vec<Seq>> {
    let mut found: BTreeMap<TableName, Vec<Seq>> = BTreeMap::new();
    for block in recovered.blocks().map(Result::unwrap) {
        found.entry(block.header.shard.table.clone()).or_default().push(block.header.first_seq);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_wait_once_rows_that_cannot_be_sealed_fill_their_memory_and_a_start_needs_no_more() {
    let fixture = Fixture::new();
    let (ingest, _) = fixture.open();
    ingest.note_subscribers_complete();
    ingest.change_policy(|policy| policy.hot_bytes_max = BOUND);
    let in_the_way: Vec<_> = (0..NUM_TABLES).map(|number| block(&fixture, &table(number))).collect();
    let mut stored = 0;
    let refused = loop {
        match submit(&ingest, &table(stored % NUM_TABLES), stored + 1).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind, ErrorKind::RETRY, "{refused}");
    assert!(stored > NUM_TABLES, "{stored}");
    let hot_bytes = ingest.store().hot_bytes();
    assert!((BOUND..BOUND + SUBMISSION_BYTES_MAX).contains(&hot_bytes), "{hot_bytes}");
    wait_until(|| is_short_of_room(&ingest) && ingest.status().failing_chores.contains_key(&Chore::Sealing));
    // What Moneta itself tells goes on.
    ingest.record(&OpContext::service("test"), AuditEvent::success("query", "table", "Syslog")).await.unwrap();
    drop(ingest);
    let (ingest, report) = fixture.open();
    assert_eq!(
        (report.recovered.num_blocks(), report.recovered.num_hot() as u64),
        (stored as u64 + 1, stored as u64 + 1)
    );
    assert!(ingest.store().hot_bytes() < BOUND + SUBMISSION_BYTES_MAX, "{}", ingest.store().hot_bytes());
    ingest.note_subscribers_complete();
    ingest.change_policy(|policy| policy.hot_bytes_max = BOUND);
    // The largest tables make room by themselves, though none is due by its own age or size.
    in_the_way.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    wait_until(|| ingest.store().hot_bytes() <= BOUND / 2 && !is_short_of_room(&ingest));
    assert!(ingest.store().hot_bytes() > 0, "no more than need be");
    submit(&ingest, &table(0), stored + 1).await.unwrap();
    ingest.shut_down().unwrap();
    drop(ingest);
    fixture.assert_verifies(stored as u64 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_wait_once_the_journal_is_full_and_a_start_lets_go_of_what_is_sealed() {
    let fixture = Fixture::new();
    let (ingest, _) = fixture.open();
    ingest.note_subscribers_complete();
    ingest.change_policy(|policy| policy.journal_bytes_max = BOUND as u64);
    let (stuck, busy) = (table(0), table(1));
    block(&fixture, &stuck);
    submit(&ingest, &stuck, 1).await.unwrap();
    let mut stored = 0;
    while ingest.status().journal_bytes < BOUND as u64 {
        submit(&ingest, &busy, 2 + stored).await.unwrap();
        stored += 1;
    }
    assert!(ingest.seal_all().is_err(), "one table cannot be sealed");
    assert!(ingest.store().hot_bytes() < SUBMISSION_BYTES_MAX, "the other was");
    let refused = submit(&ingest, &busy, 1).await.unwrap_err();
    assert_eq!((refused.kind, refused.message.contains("journal")), (ErrorKind::RETRY, true), "{refused}");
    wait_until(|| is_short_of_room(&ingest));
    drop(ingest);
    let (ingest, report) = fixture.open();
    assert_eq!((report.recovered.num_hot(), report.recovered.num_blocks()), (1, stored as u64 + 1));
    assert!(ingest.store().hot_bytes() < SUBMISSION_BYTES_MAX);
    assert_eq!(num_rows(&ingest, &busy), stored as u64);
    let expected = BTreeMap::from([(stuck, vec![0]), (busy.clone(), (0..stored as Seq).collect())]);
    assert_eq!(sequences(&report.recovered), expected, "who needs them again gets all");
    ingest.note_subscribers_complete();
    ingest.change_policy(|policy| policy.journal_bytes_max = BOUND as u64);
    assert_eq!(submit(&ingest, &busy, 1).await.unwrap_err().kind, ErrorKind::RETRY, "it is as full as before");
    ingest.change_policy(|policy| policy.journal_bytes_max *= 2);
    submit(&ingest, &busy, 1).await.unwrap();
}
