//! What the journal does while nothing breaks.

use std::collections::BTreeMap;
use std::time::Duration;

use moneta_base::{SourceName, TableName};
use moneta_event::{ColumnType, Value};
use moneta_host::RealFs;
use moneta_journal::{Commit, CommitOutcome, Error, MarkKind, ProducerMark};
use moneta_testkit::{SimFs, TestDir};

use crate::support::*;

#[test]
fn a_group_shares_blocks_and_every_commit_knows_its_rows() {
    let (mut journal, _) = open(&SimFs::new());
    let group = vec![commit("Syslog", "a", 3), commit("Event", "b", 2), commit("Syslog", "c", 4)];
    let appended = journal.append(group, now());
    assert_eq!(appended.blocks.len(), 2);
    let range = |index| {
        let receipt = stored(&appended, index);
        (receipt.ranges[0].table.to_string(), receipt.ranges[0].first, receipt.ranges[0].end)
    };
    assert_eq!(range(0), ("Syslog".to_owned(), 0, 3));
    assert_eq!(range(1), ("Event".to_owned(), 0, 2));
    assert_eq!(range(2), ("Syslog".to_owned(), 3, 7));
    let second = journal.append(vec![commit("Syslog", "d", 1)], now());
    assert_eq!(second.blocks[0].header.first_seq, 7);
    assert_eq!(second.blocks[0].header.previous, appended.blocks[1].header.hash());
    assert_eq!(second.blocks[0].header.shard_index, 1);
}

#[test]
fn large_batches_are_split_into_full_blocks() {
    let (mut journal, _) = open(&SimFs::new());
    let appended = journal.append(vec![commit("Syslog", "a", 20_000)], now());
    let rows: Vec<_> = appended.blocks.iter().map(|block| block.header.num_rows).collect();
    assert_eq!(rows, [8_192, 8_192, 3_616]);
    assert_eq!(stored(&appended, 0).ranges[0].end, 20_000);
}

#[test]
fn columns_are_united_within_a_block_and_conflicting_types_are_kept_apart() {
    let (mut journal, _) = open(&SimFs::new());
    let one = |field: &str, value| {
        let mut rows = builder("Mine_CL");
        rows.set_field(field, value);
        rows.finish_row(now(), &SourceName::lossy("s"), "raw");
        Commit { batches: vec![scrub(rows)], mark: None }
    };
    let group = vec![one("a", Value::Long(1)), one("b", Value::Text("x")), one("a", Value::Text("y"))];
    let appended = journal.append(group, now());
    assert_eq!(appended.blocks.len(), 2);
    let schema = appended.blocks[0].rows.schema();
    assert!(schema.column_with_name("a").is_some() && schema.column_with_name("b").is_some());
    let field = appended.blocks[1].rows.schema().field_with_name("a").unwrap().clone();
    assert_eq!(ColumnType::of_field(&field), Some(ColumnType::String));
    appended.blocks.iter().for_each(|block| block.check().unwrap());
}

#[test]
fn journal_3_a_resend_is_answered_with_the_first_receipt_and_stored_once() {
    let fs = SimFs::new();
    let (mut journal, _) = open(&fs);
    let sent =
        |content: &str| Commit { batches: vec![batch("Syslog", content, 2)], mark: Some(mark("agent", 4, content)) };
    let appended = journal.append(vec![sent("one"), sent("one"), sent("two")], now());
    let receipt = stored(&appended, 0);
    assert_eq!(appended.outcomes[1].as_ref().unwrap(), &CommitOutcome::Duplicate { receipt: receipt.clone() });
    assert!(matches!(appended.outcomes[2], Ok(CommitOutcome::Conflict { stored: Some(_) })));
    let (mut journal, recovery) = open(&fs);
    assert_eq!(recovered_raws(&recovery), ["one-0", "one-1"]);
    assert_eq!(journal.high_water("agent").unwrap().sequence, 4);
    let again = journal.append(vec![sent("one"), sent("two")], now());
    assert!(again.blocks.is_empty());
    assert_eq!(again.outcomes[0].as_ref().unwrap(), &CommitOutcome::Duplicate { receipt });
    assert!(matches!(again.outcomes[1], Ok(CommitOutcome::Conflict { stored: Some(_) })));
}

#[test]
fn a_mark_may_move_without_rows() {
    let fs = SimFs::new();
    let (mut journal, _) = open(&fs);
    let appended = journal.append(vec![Commit { batches: Vec::new(), mark: Some(mark("rule", 9, "")) }], now());
    assert!(stored(&appended, 0).ranges.is_empty());
    assert_eq!(open(&fs).0.high_water("rule").unwrap().sequence, 9);
}

#[test]
fn marks_and_positions_outlive_the_files_they_were_written_in() {
    let fs = SimFs::new();
    let mut small = options();
    small.file_bytes_max = 1;
    let (mut journal, _) = try_open(&fs, small.clone()).unwrap();
    let key = ProducerMark { kind: MarkKind::IdempotencyKey, ..mark("key", 0, "k") };
    journal.append(vec![Commit { batches: vec![batch("Syslog", "a", 2)], mark: Some(key.clone()) }], now());
    for name in ["b", "c", "d"] {
        journal.append(vec![commit("Syslog", name, 1)], now());
    }
    assert_eq!(journal.size().num_files, 4);
    small.sealed = BTreeMap::from([(TableName::new("Syslog").unwrap(), 4)]);
    assert_eq!(journal.release(&small.sealed).unwrap(), 3);
    assert_eq!(journal.release(&small.sealed).unwrap(), 0, "the current file stays");
    let (mut journal, recovery) = try_open(&fs, small).unwrap();
    assert_eq!(recovered_raws(&recovery), ["d-0"]);
    let appended = journal.append(
        vec![Commit { batches: vec![batch("Syslog", "a", 2)], mark: Some(key) }, commit("Syslog", "e", 1)],
        now(),
    );
    assert!(matches!(appended.outcomes[0], Ok(CommitOutcome::Duplicate { .. })));
    assert_eq!(stored(&appended, 1).ranges[0].first, 5);
}

#[test]
fn ingest_time_never_goes_back_and_a_new_day_begins_a_new_shard() {
    let (mut journal, _) = open(&SimFs::new());
    let later = now().saturating_add(Duration::from_secs(86_400));
    let first = journal.append(vec![commit("Syslog", "a", 1)], later);
    let second = journal.append(vec![commit("Syslog", "b", 1)], now());
    assert_eq!(second.blocks[0].header.ingest_time, first.blocks[0].header.ingest_time);
    let third = journal.append(vec![commit("Syslog", "c", 1)], later.saturating_add(Duration::from_secs(86_400)));
    let place = |appended: &moneta_journal::Appended| {
        let header = &appended.blocks[0].header;
        (header.shard.day, header.shard_index, header.first_seq)
    };
    assert_eq!(place(&second), (later.day(), 1, 1));
    assert_eq!(place(&third).1, 0);
    assert_eq!(place(&third).2, 2);
}

#[test]
fn a_commit_that_cannot_be_stored_fails_alone() {
    let (mut journal, _) = open(&SimFs::new());
    let nameless = Commit { batches: vec![batch("Syslog", "x", 1)], mark: Some(mark("", 0, "")) };
    let appended = journal.append(vec![nameless, commit("Syslog", "a", 1)], now());
    assert!(matches!(appended.outcomes[0], Err(Error::ProducerName { bytes: 0 })));
    assert_eq!(stored(&appended, 1).ranges[0].first, 0);
}

#[test]
fn a_store_ahead_of_the_journal_is_refused() {
    let mut ahead = options();
    ahead.sealed = BTreeMap::from([(TableName::new("Syslog").unwrap(), 4)]);
    let error = try_open(&SimFs::new(), ahead).unwrap_err();
    assert!(matches!(error, Error::BehindStore { store: 4, journal: 0, .. }), "{error}");
}

#[test]
fn works_on_real_files_and_says_whether_it_was_closed() {
    let dir = TestDir::new();
    let path = dir.join("journal");
    let open = || open_in(std::sync::Arc::new(RealFs), &path, options()).unwrap();
    let (mut journal, recovery) = open();
    assert!(!recovery.was_closed);
    stored(&journal.append(vec![commit("Syslog", "a", 3)], now()), 0);
    drop(journal);
    let (journal, recovery) = open();
    assert_eq!(recovered_raws(&recovery), ["a-0", "a-1", "a-2"]);
    assert!(!recovery.was_closed);
    journal.close().unwrap();
    let (mut journal, recovery) = open();
    assert!(recovery.was_closed);
    stored(&journal.append(vec![commit("Syslog", "b", 1)], now()), 0);
    drop(journal);
    assert_eq!(open().1.blocks.len(), 2);
}

#[test]
fn journal_4_a_commit_holds_scrubbed_batches_and_nothing_else() {
    // That other rows do not compile is shown by the example of `Commit`; here, that every field has been looked at.
    let Commit { batches, mark } = commit("Syslog", "a", 1);
    let batches: Vec<moneta_scrub::ScrubbedBatch> = batches;
    assert_eq!((batches.len(), mark), (1, None));
}
