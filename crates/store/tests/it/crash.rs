//! Power cuts and failing calls anywhere in sealing, publishing and dropping: each row stays there exactly once.

use std::sync::Arc;

use moneta_event::Block;
use moneta_store::Store;
use moneta_testkit::{Fault, SimFs};

use crate::support::*;

/// Two sealed segments, then hot rows to be sealed: what the calls under test work on.
fn prepared(blocks: &[Arc<Block>]) -> (SimFs, Store) {
    let fs = SimFs::new();
    let store = open(&fs).unwrap();
    for (index, block) in blocks.iter().enumerate() {
        store.add_hot(block.clone()).unwrap();
        if index < 2 {
            store.publish(store.seal(&table("Syslog")).unwrap().unwrap(), now()).unwrap();
        }
    }
    (fs, store)
}

fn blocks() -> Vec<Arc<Block>> {
    let mut made = Blocks::default();
    (0..4).map(|_| made.simple("Syslog", now(), 6)).collect()
}

fn seal_and_publish(store: &Store) -> bool {
    let Ok(Some(segment)) = store.seal(&table("Syslog")) else { return false };
    store.publish(segment, now()).is_ok()
}

/// The journal still has every block: adding them again must give each row once, wherever the fault struck.
fn check_reopened(fs: &SimFs, blocks: &[Arc<Block>], what: &str) {
    let store = open(fs).unwrap_or_else(|error| panic!("{what}: {error}"));
    blocks.iter().for_each(|block| store.add_hot(block.clone()).unwrap());
    assert_dense(&store, "Syslog", 24);
    while seal_and_publish(&store) {}
    assert!(store.hot_stats().is_empty(), "{what}");
    assert_dense(&store, "Syslog", 24);
    assert!(store.unlisted_files().is_empty(), "{what}: {:?}", store.unlisted_files());
    let listed = store.snapshot(&table("Syslog")).unwrap().segments.len();
    let files = fs.files().iter().filter(|path| path.extension().is_some_and(|ext| ext == "parquet")).count();
    assert_eq!(files, listed, "{what}: no file is left over");
}

#[test]
fn store_1_a_power_cut_at_any_call_of_a_seal_leaves_each_row_once() {
    let blocks = blocks();
    let (fs, store) = prepared(&blocks);
    let before = fs.num_calls();
    assert!(seal_and_publish(&store));
    let num_calls = fs.num_calls() - before;
    assert!(num_calls > 15, "{num_calls}");
    for cut in 0..num_calls {
        for seed in 0..12 {
            let (fs, store) = prepared(&blocks);
            fs.fail_call(cut, Fault::PowerCut);
            seal_and_publish(&store);
            fs.crash(seed);
            check_reopened(&fs, &blocks, &format!("cut at call {cut}, seed {seed}"));
        }
    }
}

#[test]
fn store_1_a_failing_call_of_a_seal_leaves_each_row_once_and_the_next_try_succeeds() {
    let blocks = blocks();
    for fault in [Fault::Eio, Fault::Eintr, Fault::Enospc, Fault::ShortWrite] {
        for call in 0.. {
            let (fs, store) = prepared(&blocks);
            let before = fs.num_calls();
            fs.fail_call(call, fault);
            let what = format!("{fault:?} at call {call}");
            seal_and_publish(&store);
            let is_done = fs.num_calls() - before <= call;
            fs.clear_faults();
            assert_dense(&store, "Syslog", 24);
            while seal_and_publish(&store) {}
            assert!(store.hot_stats().is_empty(), "{what}: the rows can be sealed after all");
            assert_dense(&store, "Syslog", 24);
            fs.crash(call as u64);
            check_reopened(&fs, &blocks, &what);
            if is_done {
                assert!(call > 15, "{what}");
                break;
            }
        }
    }
}

#[test]
fn a_power_cut_at_any_call_of_a_drop_leaves_all_of_the_day_or_nothing() {
    let blocks = blocks();
    let shard = blocks[0].header.shard.clone();
    let mut is_done = false;
    for cut in 0.. {
        if is_done {
            assert!(cut > 5, "a drop takes more calls than {cut}");
            break;
        }
        for seed in 0..8 {
            let (fs, store) = prepared(&blocks);
            assert!(seal_and_publish(&store));
            fs.fail_call(cut, Fault::PowerCut);
            let dropped = store.drop_shard(&shard, now()).is_ok() && !fs.is_cut();
            is_done = !fs.is_cut();
            fs.crash(seed);
            let store = open(&fs).unwrap();
            blocks.iter().for_each(|block| store.add_hot(block.clone()).unwrap());
            let rows = store.snapshot(&shard.table).unwrap().num_rows();
            assert!(rows == 0 || (rows == 24 && !dropped), "cut at call {cut}, seed {seed}: {rows} rows");
            assert_eq!(store.sealed_ends()[&shard.table], 24, "what was dropped does not come back");
            if rows == 0 {
                assert!(fs.files().iter().all(|path| path.extension().is_none_or(|ext| ext != "parquet")));
            }
        }
    }
}

#[test]
fn a_failing_call_of_a_drop_is_finished_by_the_next_try_or_the_next_start() {
    let blocks = blocks();
    let shard = blocks[0].header.shard.clone();
    for fault in [Fault::Eio, Fault::Eintr, Fault::Enospc, Fault::ShortWrite] {
        for call in 0.. {
            let (fs, store) = prepared(&blocks);
            assert!(seal_and_publish(&store));
            let before = fs.num_calls();
            fs.fail_call(call, fault);
            let first = store.drop_shard(&shard, now());
            let is_done = fs.num_calls() - before <= call;
            fs.clear_faults();
            let what = format!("{fault:?} at call {call}: {first:?}");
            let rows = store.snapshot(&shard.table).unwrap().num_rows();
            assert!(rows == 0 || (rows == 24 && first.is_err()), "{what}: {rows} rows");
            store.drop_shard(&shard, now()).unwrap_or_else(|error| panic!("{what}, then {error}"));
            assert_eq!(store.snapshot(&shard.table).unwrap().num_rows(), 0, "{what}");
            let store = open(&fs).unwrap();
            assert_eq!(
                (store.snapshot(&shard.table).unwrap().num_rows(), store.unlisted_files().len()),
                (0, 0),
                "{what}"
            );
            assert!(fs.files().iter().all(|path| path.extension().is_none_or(|ext| ext != "parquet")), "{what}");
            if is_done {
                break;
            }
        }
    }
}

#[test]
fn files_the_catalog_lost_sight_of_are_kept_until_their_rows_are_sealed_again() {
    let blocks = blocks();
    let (fs, store) = prepared(&blocks);
    assert!(seal_and_publish(&store));
    drop(store);
    // The last commit is gone, as after a restore of an old catalog.
    let commits: Vec<_> = fs.files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    moneta_base::fs::FileSystem::remove_file(&fs, commits.last().unwrap()).unwrap();
    let store = open(&fs).unwrap();
    assert_eq!(store.unlisted_files().len(), 1);
    check_reopened(&fs, &blocks, "a lost commit");
}
