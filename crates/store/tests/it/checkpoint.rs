//! Checkpoints of the catalog: opening a table does not take longer for more commits, and one that is damaged or was cut
//! off costs nothing but time.

use std::path::PathBuf;
use std::sync::Arc;

use moneta_event::Block;
use moneta_store::Store;
use moneta_testkit::{CallKind, Fault, SimFs};

use crate::support::*;

/// Stores and seals this many rows, one a commit.
fn add_commits(store: &Store, made: &mut Blocks, count: usize) -> Vec<Arc<Block>> {
    let add = |_| {
        let block = made.simple("Syslog", now(), 1);
        store.add_hot(block.clone()).unwrap();
        store.publish(store.seal(&table("Syslog")).unwrap().unwrap(), now()).unwrap();
        block
    };
    (0..count).map(add).collect()
}

fn checkpoints(fs: &SimFs) -> Vec<PathBuf> {
    fs.files().into_iter().filter(|path| path.to_string_lossy().ends_with(".checkpoint.parquet")).collect()
}

/// Commits that are read when the store is opened.
fn commits_read(fs: &SimFs) -> usize {
    let before = fs.calls().len();
    open(fs).unwrap();
    let is_commit = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let calls = fs.calls();
    calls[before..].iter().filter(|call| call.kind == CallKind::Read && is_commit(&call.path)).count()
}

#[test]
fn opening_reads_the_newest_checkpoint_and_the_commits_after_it() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    for (total, expected) in [(99, 99), (100, 0), (130, 30), (200, 0), (340, 40)] {
        let missing = total - store.snapshot(&table("Syslog")).unwrap().segments.len();
        for _ in 0..missing {
            add_commits(&store, &mut made, 1);
            store.checkpoint_catalogs(now()).unwrap();
        }
        assert_eq!(commits_read(&fs), expected, "{total} commits");
        assert_dense(&open(&fs).unwrap(), "Syslog", total as u64);
    }
    assert_eq!(checkpoints(&fs).len(), 1, "older ones are removed");
}

#[test]
fn merges_drops_and_columns_survive_a_checkpoint() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    let blocks = add_commits(&store, &mut made, 99);
    let headers: Vec<_> = blocks.iter().map(|block| block.header.clone()).collect();
    let run = store.due_merge(&table("Syslog"), now().day(), &|_| false).unwrap();
    store.merge(&run, &headers, now()).unwrap();
    assert_eq!(store.checkpoint_catalogs(now()).unwrap(), 1);
    let again = open(&fs).unwrap();
    assert_eq!(commits_read(&fs), 0);
    assert_dense(&again, "Syslog", 99);
    assert_eq!(again.sealed_ends(), store.sealed_ends());
    let schema = |store: &Store| store.snapshot(&table("Syslog")).unwrap().schema;
    assert_eq!(schema(&again).columns(), schema(&store).columns());
    // What was merged away went with the start, for the checkpoint names it.
    let is_segment = |path: &&PathBuf| path.to_string_lossy().contains("/2026-01-02/");
    let listed = again.snapshot(&table("Syslog")).unwrap().segments.len();
    assert_eq!(fs.files().iter().filter(is_segment).count(), listed);
    // What the last merge did is as the commits say.
    let last = checkpoints(&fs)[0].with_file_name("_last_checkpoint");
    let good = fs.peek(&last).unwrap();
    fs.overwrite(&last, b"");
    assert_eq!(commits_read(&fs), 100);
    let merges = open(&fs).unwrap().last_merges();
    fs.overwrite(&last, &good);
    assert_eq!((merges.len(), merges), (1, again.last_merges()));
    // And the dropped does not come back.
    again.drop_shard(&blocks[0].header.shard, now()).unwrap();
    assert_eq!(open(&fs).unwrap().sealed_ends()[&table("Syslog")], 99);
}

#[test]
fn a_damaged_checkpoint_costs_time_and_no_rows() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    add_commits(&store, &mut made, 100);
    store.checkpoint_catalogs(now()).unwrap();
    let [checkpoint] = &checkpoints(&fs)[..] else { panic!("one checkpoint") };
    let last = checkpoint.with_file_name("_last_checkpoint");
    for file in [checkpoint, &last] {
        let good = fs.peek(file).unwrap();
        for bad in [&b""[..], &good[..good.len() / 2], b"{\"version\":7}"] {
            fs.overwrite(file, bad);
            assert_dense(&open(&fs).unwrap(), "Syslog", 100);
        }
        fs.overwrite(file, &good);
    }
    assert_eq!(commits_read(&fs), 0);
}

#[test]
fn a_power_cut_at_any_call_of_a_checkpoint_loses_nothing() {
    for cut in 0.. {
        let fs = SimFs::new();
        let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
        add_commits(&store, &mut made, 100);
        let before = fs.num_calls();
        fs.fail_call(cut, Fault::PowerCut);
        let written = store.checkpoint_catalogs(now()).is_ok() && !fs.is_cut();
        let num_calls = fs.num_calls() - before;
        fs.crash(cut as u64);
        let store = open(&fs).unwrap();
        assert_dense(&store, "Syslog", 100);
        add_commits(&store, &mut made, 1);
        assert_dense(&open(&fs).unwrap(), "Syslog", 101);
        if written {
            assert!(num_calls <= cut && num_calls > 8, "{num_calls} calls");
            break;
        }
    }
}

#[test]
fn what_interrupted_writers_left_goes_at_the_next_start() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    add_commits(&store, &mut made, 100);
    store.checkpoint_catalogs(now()).unwrap();
    let [checkpoint] = &checkpoints(&fs)[..] else { panic!("one checkpoint") };
    let place = |name: &str| checkpoint.with_file_name(name);
    let left = ["_last_checkpoint.tmp", "00000000000000000050.json.tmp", "00000000000000000020.checkpoint.parquet"];
    let of_others = ["00000000000000000020.checkpoint.of-others.parquet", "00000000000000000020.crc"];
    left.iter().chain(&of_others).for_each(|name| fs.overwrite(&place(name), b"?"));
    assert_dense(&open(&fs).unwrap(), "Syslog", 100);
    let files = fs.files();
    left.iter().for_each(|name| assert!(!files.contains(&place(name)), "{name}"));
    of_others.iter().for_each(|name| assert!(files.contains(&place(name)), "{name}"));
    assert_eq!(checkpoints(&fs), std::slice::from_ref(checkpoint));
}

#[test]
fn a_commit_far_behind_the_last_is_refused() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    add_commits(&store, &mut made, 100);
    store.checkpoint_catalogs(now()).unwrap();
    fs.overwrite(&checkpoints(&fs)[0].with_file_name("00000000000000005000.json"), b"{}");
    let error = open(&fs).unwrap_err().to_string();
    assert!(error.contains("5000.json") && error.contains("commit 00000000000000000100.json should come"), "{error}");
}
