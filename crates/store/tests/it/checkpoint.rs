//! Checkpoints of the catalog: opening a table does not take longer for more commits, and one that is damaged or was cut
//! off costs nothing but time.

use std::path::PathBuf;
use std::sync::Arc;

use moneta_base::fs::create_dir_durably;
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
    assert_eq!(checkpoints(&fs).len(), 2, "older ones are removed");
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

fn commits(fs: &SimFs) -> Vec<String> {
    let names = fs.files().into_iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    names.filter(|name| name.ends_with(".json")).collect()
}

/// A log with checkpoints after 100, 200 and 300 commits, of which the last was written a while later.
fn aged(days: u64) -> SimFs {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    for later in [0, 0, days] {
        add_commits(&store, &mut made, 100);
        let at = now().saturating_add(std::time::Duration::from_secs(later * 86_400));
        assert_eq!(store.checkpoint_catalogs(at).unwrap(), 1);
    }
    fs
}

#[test]
fn commits_go_a_month_after_they_were_summed_up_twice() {
    assert_eq!(commits(&aged(30)).len(), 300, "younger than that");
    let fs = aged(31);
    let left = commits(&fs);
    assert_eq!((left.len(), left[0].as_str()), (101, "00000000000000000199.json"));
    assert_eq!((commits_read(&fs), checkpoints(&fs).len()), (0, 2));
    assert_dense(&open(&fs).unwrap(), "Syslog", 300);
    // The newest checkpoint is damaged, or not named: the one before it and the commits since are as good.
    let [_, newest] = &checkpoints(&fs)[..] else { panic!("two checkpoints") };
    for file in [newest.clone(), newest.with_file_name("_last_checkpoint")] {
        let good = fs.peek(&file).unwrap();
        fs.overwrite(&file, b"PAR1");
        assert_eq!(commits_read(&fs), if file == *newest { 100 } else { 0 });
        assert_dense(&open(&fs).unwrap(), "Syslog", 300);
        assert_eq!(checkpoints(&fs).len(), 2, "none is removed while the named one is of no use");
        fs.overwrite(&file, &good);
    }
    // One that was of no use goes with the next, and the one that was stays.
    let again = copy_of(&fs);
    again.overwrite(newest, b"PAR1");
    let (store, mut made) = (open(&again).unwrap(), Blocks::default());
    (0..300).for_each(|_| drop(made.simple("Syslog", now(), 1)));
    add_commits(&store, &mut made, 100);
    assert_eq!(store.checkpoint_catalogs(now()).unwrap(), 1);
    let left = checkpoints(&again);
    assert!(left.len() == 2 && !left.contains(newest), "{left:?}");
    assert_dense(&open(&again).unwrap(), "Syslog", 400);
    // Both are: what is left does not pass for all.
    checkpoints(&fs).iter().for_each(|file| fs.overwrite(file, b"PAR1"));
    let error = open(&fs).unwrap_err().to_string();
    assert!(error.contains("commit 00000000000000000000.json should come next"), "{error}");
}

/// The same files, all of them on disk.
fn copy_of(fs: &SimFs) -> SimFs {
    let copy = SimFs::new();
    for path in fs.files() {
        create_dir_durably(&copy, path.parent().unwrap()).unwrap();
        copy.overwrite(&path, &fs.peek(&path).unwrap());
    }
    copy
}

#[test]
fn a_power_cut_while_commits_are_removed_loses_nothing() {
    let whole = SimFs::new();
    let (store, mut made) = (open(&whole).unwrap(), Blocks::default());
    for is_summed_up in [true, true, false] {
        add_commits(&store, &mut made, 100);
        let _ = is_summed_up && store.checkpoint_catalogs(now()).unwrap() == 1;
    }
    let later = now().saturating_add(std::time::Duration::from_secs(31 * 86_400));
    let mut num_cuts = 0;
    // Most of the calls read and remove one commit each.
    for cut in (0..).step_by(13) {
        let fs = copy_of(&whole);
        let store = open(&fs).unwrap();
        fs.fail_call(cut, Fault::PowerCut);
        let _ = store.checkpoint_catalogs(later);
        let is_cut = fs.is_cut();
        fs.crash(cut as u64);
        assert_dense(&open(&fs).unwrap(), "Syslog", 300);
        if !is_cut {
            break;
        }
        num_cuts += 1;
    }
    assert!(num_cuts > 20, "{num_cuts}");
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
    let left = ["_last_checkpoint.tmp", "00000000000000000050.json.tmp", "00000000000000000010.checkpoint.parquet"];
    let before = place("00000000000000000020.checkpoint.parquet");
    fs.overwrite(&before, b"?");
    let of_others = ["00000000000000000020.checkpoint.of-others.parquet", "00000000000000000020.crc"];
    left.iter().chain(&of_others).for_each(|name| fs.overwrite(&place(name), b"?"));
    assert_dense(&open(&fs).unwrap(), "Syslog", 100);
    let files = fs.files();
    left.iter().for_each(|name| assert!(!files.contains(&place(name)), "{name}"));
    of_others.iter().for_each(|name| assert!(files.contains(&place(name)), "{name}"));
    assert_eq!(checkpoints(&fs), [before, checkpoint.clone()], "the two newest");
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
