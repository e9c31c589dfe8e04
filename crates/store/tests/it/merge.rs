//! Merging: fewer files, the same records in the same order, whatever happens meanwhile.

use std::sync::Arc;
use std::time::Duration;

use moneta_base::Timestamp;
use moneta_base::fs::{create_dir_durably, write_atomically};
use moneta_event::{Block, BlockHeader};
use moneta_store::{Error, Store};
use moneta_testkit::{Fault, SimFs};

use crate::support::*;

const SYSLOG: &str = "Syslog";

fn tomorrow() -> Timestamp {
    now().saturating_add(Duration::from_secs(86_400))
}

/// One segment a block.
fn fill(store: &Store, sizes: &[usize]) -> Vec<Arc<Block>> {
    let mut made = Blocks::default();
    let blocks: Vec<_> = sizes.iter().map(|num_rows| made.simple(SYSLOG, now(), *num_rows)).collect();
    for block in &blocks {
        store.add_hot(block.clone()).unwrap();
        store.publish(store.seal(&table(SYSLOG)).unwrap().unwrap(), now()).unwrap();
    }
    blocks
}

fn headers(blocks: &[Arc<Block>]) -> Vec<BlockHeader> {
    blocks.iter().map(|block| block.header.clone()).collect()
}

fn segments(store: &Store) -> Vec<(u64, u64)> {
    let segments = store.snapshot(&table(SYSLOG)).unwrap().segments;
    segments.iter().map(|segment| (segment.first_seq, segment.end_seq)).collect()
}

#[test]
fn store_2_a_merged_segment_holds_the_same_records_and_proves_them() {
    let fs = SimFs::new();
    let store = open(&fs).unwrap();
    let blocks = fill(&store, &[20, 30, 1, 49]);
    assert!(store.due_merge(&table(SYSLOG), now().day(), &|_| false).is_none(), "four are too few while the day grows");
    let before = records(&all_rows(&store, &store.snapshot(&table(SYSLOG)).unwrap()));
    let running = store.snapshot(&table(SYSLOG)).unwrap();
    let run = store.due_merge(&table(SYSLOG), tomorrow().day(), &|_| false).unwrap();
    assert!(store.due_merge(&table(SYSLOG), tomorrow().day(), &|_| true).is_none(), "some are to be left alone");
    let merged = store.merge(&run, &headers(&blocks), tomorrow()).unwrap();
    assert_eq!((segments(&store), merged.old.len()), (vec![(0, 100)], 4));
    let check = |store: &Store| {
        let rows = all_rows(store, &store.snapshot(&table(SYSLOG)).unwrap());
        assert_eq!(records(&rows), before);
        let roots: Vec<_> = blocks.iter().map(|block| block.header.record_root).collect();
        assert_eq!(record_roots(&rows, &blocks), roots);
    };
    check(&store);
    // A query that began before reads the old files; later they go.
    assert_eq!(records(&all_rows(&store, &running)), before);
    assert_eq!(store.remove_retired(tomorrow()).unwrap(), 0);
    assert_eq!(store.remove_retired(tomorrow().saturating_add(Duration::from_secs(3600))).unwrap(), 4);
    let again = open(&fs).unwrap();
    check(&again);
    assert_eq!(again.last_merges(), [merged], "for a root entry that a crash prevented");
    assert!(again.due_merge(&table(SYSLOG), tomorrow().day(), &|_| false).is_none());
}

#[test]
fn a_growing_day_is_merged_by_size_class_and_rows_are_written_a_few_times_only() {
    let store = open(&SimFs::new()).unwrap();
    let mut made = Blocks::default();
    let (mut all, mut rows_written) = (Vec::new(), 0);
    for _ in 0..200 {
        let block = made.simple(SYSLOG, now(), 10);
        all.push(block.clone());
        store.add_hot(block).unwrap();
        store.publish(store.seal(&table(SYSLOG)).unwrap().unwrap(), now()).unwrap();
        while let Some(run) = store.due_merge(&table(SYSLOG), now().day(), &|_| false) {
            rows_written += store.merge(&run, &headers(&all), now()).unwrap().new.num_rows();
        }
    }
    assert!(segments(&store).len() < 24, "{:?}", segments(&store));
    assert!(rows_written < 5 * 2_000, "{rows_written} rows were written for 2000");
    assert_dense(&store, SYSLOG, 2_000);
}

#[test]
fn days_and_gaps_are_never_bridged_and_a_drop_takes_merged_files_along() {
    let fs = SimFs::new();
    let store = open(&fs).unwrap();
    let mut made = Blocks::default();
    let mut all = Vec::new();
    for (day, num_rows) in [(now(), 5), (now(), 6), (tomorrow(), 7), (tomorrow(), 8)] {
        let block = made.simple(SYSLOG, day, num_rows);
        all.push(block.clone());
        store.add_hot(block).unwrap();
        store.publish(store.seal(&table(SYSLOG)).unwrap().unwrap(), day).unwrap();
    }
    let run = store.due_merge(&table(SYSLOG), tomorrow().day(), &|_| false).unwrap();
    assert_eq!(run.iter().map(|segment| segment.num_rows()).sum::<u64>(), 11);
    store.merge(&run, &headers(&all), tomorrow()).unwrap();
    store.drop_shard(&run[0].shard, tomorrow()).unwrap();
    assert_eq!(segments(&store), [(11, 18), (18, 26)]);
    let day = run[0].shard.to_string();
    assert!(fs.files().iter().all(|file| !file.to_string_lossy().contains(&day)), "{:?}", fs.files());
}

#[test]
fn damage_and_foreign_headers_are_not_merged_into_a_file_that_looks_whole() {
    let fs = SimFs::new();
    let store = open(&fs).unwrap();
    let blocks = fill(&store, &[20, 30]);
    let run = store.due_merge(&table(SYSLOG), tomorrow().day(), &|_| false).unwrap();
    let mut others = Blocks::default();
    let foreign: Vec<_> = [20, 30].iter().map(|rows| others.simple(SYSLOG, tomorrow(), *rows).header.clone()).collect();
    assert!(matches!(store.merge(&run, &foreign, tomorrow()), Err(Error::Corrupt { .. })));
    assert!(matches!(store.merge(&run, &headers(&blocks)[..1], tomorrow()), Err(Error::Corrupt { .. })));
    let file = store.file_of(&run[1].path);
    let mut bytes = fs.peek(&file).unwrap();
    bytes[200] ^= 1;
    fs.overwrite(&file, &bytes);
    assert!(store.merge(&run, &headers(&blocks), tomorrow()).is_err());
    assert_eq!(segments(&store), [(0, 20), (20, 50)]);
}

/// The same files, all on disk.
fn copy_of(image: &[(std::path::PathBuf, Vec<u8>)]) -> SimFs {
    let fs = SimFs::new();
    for (path, bytes) in image {
        create_dir_durably(&fs, path.parent().unwrap()).unwrap();
        write_atomically(&fs, path, bytes).unwrap();
    }
    fs
}

#[test]
fn no_failed_call_and_no_power_cut_during_a_merge_loses_or_doubles_a_row() {
    let fs = SimFs::new();
    let blocks = fill(&open(&fs).unwrap(), &[20, 30, 50]);
    let image: Vec<_> = fs.files().into_iter().map(|path| (path.clone(), fs.peek(&path).unwrap())).collect();
    let before = {
        let store = open(&fs).unwrap();
        records(&all_rows(&store, &store.snapshot(&table(SYSLOG)).unwrap()))
    };
    for fault in [Fault::Eio, Fault::Enospc, Fault::Eintr, Fault::ShortWrite, Fault::PowerCut] {
        for call in 0.. {
            let fs = copy_of(&image);
            let store = open(&fs).unwrap();
            let run = store.due_merge(&table(SYSLOG), tomorrow().day(), &|_| false).unwrap();
            let calls = fs.num_calls();
            fs.fail_call(call, fault);
            let is_merged = store.merge(&run, &headers(&blocks), tomorrow()).is_ok();
            let is_done = fs.num_calls() <= calls + call;
            fs.clear_faults();
            if fs.is_cut() {
                fs.crash(call as u64);
            } else {
                // The same process goes on: once more, and all is well.
                let after = records(&all_rows(&store, &store.snapshot(&table(SYSLOG)).unwrap()));
                assert_eq!(after, before, "{fault:?} at call {call}");
                if !is_merged {
                    let again = store.merge(&run, &headers(&blocks), tomorrow());
                    assert!(again.is_ok(), "{fault:?} at call {call}: {again:?}");
                }
            }
            let store = open(&fs).unwrap();
            assert_eq!(
                records(&all_rows(&store, &store.snapshot(&table(SYSLOG)).unwrap())),
                before,
                "{fault:?} at call {call}"
            );
            assert_eq!(store.unlisted_files(), Vec::<std::path::PathBuf>::new(), "{fault:?} at call {call}");
            if is_done {
                break;
            }
        }
    }
}
