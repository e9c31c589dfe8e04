//! Segments in a bucket: read, dropped and checked like those on disk, and never lost on the way there.

use std::sync::Arc;
use std::time::Duration;

use moneta_base::Timestamp;
use moneta_base::objects::ObjectLock;
use moneta_event::Block;
use moneta_store::{BucketOptions, Error, Store};
use moneta_testkit::{Fault, Random, S3Fault, SimFs, SimS3};

use crate::support::*;

const SYSLOG: &str = "Syslog";
const PREFIX: &str = "moneta/tenant";

fn days_later(days: u64) -> Timestamp {
    now().saturating_add(Duration::from_secs(86_400 * days))
}

fn options(server: &SimS3, cache_bytes: u64, instance: char) -> BucketOptions {
    BucketOptions {
        objects: Arc::new(server.client()),
        prefix: PREFIX.to_owned(),
        dir: "/data/objects".into(),
        cache_bytes,
        new_instance: instance.to_string().repeat(32),
    }
}

fn open_with(fs: &SimFs, server: &SimS3) -> Store {
    open(fs).unwrap().with_bucket(options(server, 64 << 20, 'a')).unwrap()
}

/// One segment a block.
fn fill(store: &Store, made: &mut Blocks, sizes: &[usize], day: Timestamp) -> Vec<Arc<Block>> {
    let blocks: Vec<_> = sizes.iter().map(|num_rows| made.simple(SYSLOG, day, *num_rows)).collect();
    for block in &blocks {
        store.add_hot(block.clone()).unwrap();
        store.publish(store.seal(&table(SYSLOG)).unwrap().unwrap(), day).unwrap();
    }
    blocks
}

/// Moves what is due; returns whether all of it was.
fn move_all(store: &Store, time: Timestamp) -> bool {
    store.due_moves(2, time.day()).iter().all(|segment| store.move_segment(segment, None, time).is_ok())
}

fn num_moved(store: &Store) -> usize {
    store.moved_segments().len()
}

fn parquet_files(fs: &SimFs) -> usize {
    fs.files().iter().filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).count()
}

#[test]
fn store_2_moved_segments_hold_the_same_records_before_and_after_a_restart() {
    for server in [SimS3::new(), SimS3::versioned()] {
        let fs = SimFs::new();
        let store = open_with(&fs, &server);
        let blocks = fill(&store, &mut Blocks::default(), &[200, 3_000, 1], now());
        let before = records(&all_rows(&store, &store.snapshot(&table(SYSLOG)).unwrap()));
        let running = store.snapshot(&table(SYSLOG)).unwrap();
        assert!(store.due_moves(2, days_later(1).day()).is_empty());
        assert!(move_all(&store, days_later(2)));
        assert_eq!((num_moved(&store), server.objects().len()), (3, 4), "three objects and the claim");
        assert!(store.due_moves(2, days_later(9).day()).is_empty());
        assert!(store.due_merge(&table(SYSLOG), days_later(9).day(), &|_| false).is_none(), "what was moved stays");
        let check = |store: &Store| {
            let rows = all_rows(store, &store.snapshot(&table(SYSLOG)).unwrap());
            assert_eq!(records(&rows), before);
            let roots: Vec<_> = blocks.iter().map(|block| block.header.record_root).collect();
            assert_eq!(record_roots(&rows, &blocks), roots);
        };
        check(&store);
        // A query that began before reads the files; later they go.
        assert_eq!((parquet_files(&fs), records(&all_rows(&store, &running)) == before), (3, true));
        assert_eq!(store.remove_retired(days_later(3)).unwrap(), 3);
        assert_eq!(parquet_files(&fs), 0);
        check(&store);
        let again = open_with(&fs, &server);
        check(&again);
        assert!(again.unlisted_files().is_empty() && again.last_merges().is_empty());
        for segment in again.moved_segments() {
            assert_eq!(again.moved_digest(&segment).unwrap(), segment.hash);
            assert_eq!(again.read_moved(&segment).unwrap().len() as u64, segment.size_bytes);
            assert_eq!(again.moved_sizes().unwrap()[&segment.path], segment.size_bytes);
        }
        // More rows may come, and be moved in their turn.
        assert_eq!(again.num_loose_objects(), 0);
    }
}

#[test]
fn the_cache_keeps_to_its_bytes_and_saves_requests() {
    let (fs, server) = (SimFs::new(), SimS3::new());
    let store = open_with(&fs, &server);
    fill(&store, &mut Blocks::default(), &[8_000, 8_000], now());
    assert!(move_all(&store, days_later(2)));
    let size: u64 = store.moved_segments().iter().map(|segment| segment.size_bytes).sum();
    for (cache_bytes, is_kept) in [(64 << 20, true), (size * 2 / 3, false), (0, false)] {
        let store = open(&fs).unwrap().with_bucket(options(&server, cache_bytes, 'a')).unwrap();
        assert_dense(&store, SYSLOG, 16_000);
        let first = server.num_requests();
        assert_dense(&store, SYSLOG, 16_000);
        assert_eq!(server.num_requests() == first, is_kept, "a cache of {cache_bytes} bytes");
        let files = fs.files().into_iter().filter(|path| path.starts_with("/data/objects/cache"));
        let kept: u64 = files.map(|path| fs.peek(&path).unwrap().len() as u64).sum();
        assert!(kept <= cache_bytes, "{kept} bytes in a cache of {cache_bytes}");
    }
}

#[test]
fn damage_in_the_cache_is_fetched_again_and_damage_in_the_bucket_is_found() {
    let (fs, server) = (SimFs::new(), SimS3::new());
    let store = open_with(&fs, &server);
    fill(&store, &mut Blocks::default(), &[500], now());
    assert!(move_all(&store, days_later(2)));
    assert_dense(&store, SYSLOG, 500);
    for path in fs.files().into_iter().filter(|path| path.starts_with("/data/objects/cache")) {
        let mut bytes = fs.peek(&path).unwrap();
        bytes[100] ^= 1;
        fs.overwrite(&path, &bytes);
    }
    assert_dense(&store, SYSLOG, 500);
    let key = server.objects().into_iter().find(|object| object.key.ends_with(".parquet")).unwrap().key;
    let mut bytes = server.peek(&key).unwrap();
    bytes[100] ^= 1;
    server.overwrite(&key, &bytes);
    let store = open_with(&fs, &server);
    let segment = store.moved_segments()[0].clone();
    assert_ne!(store.moved_digest(&segment).unwrap(), segment.hash);
    let rows =
        store.read_segment(&segment, store.schema(&table(SYSLOG)).unwrap().columns(), moneta_store::TimeRange::ALL);
    assert!(rows.and_then(|rows| rows.collect::<Result<Vec<_>, _>>()).is_err(), "no damaged byte is used");
    server.remove(&key);
    assert!(!store.moved_sizes().unwrap().contains_key(&segment.path));
}

#[test]
fn without_the_bucket_and_with_another_copys_bucket_nothing_is_touched() {
    let (fs, server) = (SimFs::new(), SimS3::new());
    let store = open_with(&fs, &server);
    let mut made = Blocks::default();
    let blocks = fill(&store, &mut made, &[50], now());
    assert!(move_all(&store, days_later(2)));
    drop(store);
    let bare = open(&fs).unwrap();
    let segment = bare.moved_segments()[0].clone();
    let error = bare.segment_columns(&segment).unwrap_err();
    assert!(
        matches!(&error, Error::Elsewhere { uri } if uri.starts_with("s3://logs/moneta/tenant/Syslog/")),
        "{error}"
    );
    assert!(bare.drop_shard(&blocks[0].header.shard, now()).is_err(), "a drop would leave the object behind");
    // A restored backup has no name of its own yet.
    moneta_base::fs::FileSystem::remove_file(&fs, "/data/objects/instance".as_ref()).unwrap();
    let copy = open(&fs).unwrap().with_bucket(options(&server, 0, 'b')).unwrap();
    assert_dense(&copy, SYSLOG, 50);
    fill(&copy, &mut made, &[60], now());
    let due = copy.due_moves(2, days_later(2).day());
    assert!(matches!(copy.move_segment(&due[0], None, now()), Err(Error::Claimed { .. })));
    copy.drop_shard(&blocks[0].header.shard, now()).unwrap();
    assert!(matches!(copy.collect_loose(days_later(9)), Err(Error::Claimed { .. })));
    assert_eq!(server.objects().len(), 2, "the other copy's object is there");
    // The other is gone for good.
    server.remove(&format!("{PREFIX}/claim"));
    assert_eq!(copy.collect_loose(days_later(9)).unwrap().removed, 1);
}

#[test]
fn store_3_a_drop_takes_objects_along_with_every_version() {
    for server in [SimS3::new(), SimS3::versioned()] {
        let fs = SimFs::new();
        let store = open_with(&fs, &server);
        let mut made = Blocks::default();
        let blocks = fill(&store, &mut made, &[10, 20], now());
        fill(&store, &mut made, &[30], days_later(1));
        let lock = ObjectLock { is_compliance: false, until: days_later(30) };
        for segment in store.due_moves(2, days_later(3).day()) {
            store.move_segment(&segment, Some(lock), days_later(3)).unwrap();
        }
        assert_eq!(num_moved(&store), 3);
        let key = server.objects()[0].key.clone();
        assert_eq!(server.lock_of(&key).unwrap(), "GOVERNANCE 2026-02-01T03:04:05Z");
        store.drop_shard(&blocks[0].header.shard, days_later(40)).unwrap();
        assert_eq!((store.num_loose_objects(), server.num_stored()), (2, 4));
        // Not even a restart forgets them.
        let store = open_with(&fs, &server);
        assert_eq!(store.collect_loose(days_later(40)).unwrap().removed, 2);
        assert_eq!((store.num_loose_objects(), server.num_stored(), num_moved(&store)), (0, 2, 1));
        assert_eq!(store.snapshot(&table(SYSLOG)).unwrap().num_rows(), 30);
    }
}

/// What must hold after a crash anywhere: each row once, and in the end nothing left over.
fn check_reopened(fs: &SimFs, server: &SimS3, num_rows: u64, what: &str) {
    server.mend();
    let store = open_with(fs, server);
    assert_dense(&store, SYSLOG, num_rows);
    assert!(move_all(&store, days_later(2)), "{what}: the rest can be moved");
    let collected = store.collect_loose(days_later(3)).unwrap();
    assert!(collected.failed.is_empty(), "{what}: {collected:?}");
    store.remove_retired(days_later(4)).unwrap();
    assert_dense(&store, SYSLOG, num_rows);
    let objects = server.objects().len() - 1;
    assert_eq!((objects, num_moved(&store), store.num_loose_objects()), (2, 2, 0), "{what}: no orphan is left");
    assert_eq!(parquet_files(fs), 0, "{what}");
    let again = open_with(fs, server);
    assert_dense(&again, SYSLOG, num_rows);
}

#[test]
fn store_1_a_crash_at_any_request_of_a_move_loses_nothing() {
    for fault in [S3Fault::DiesBefore, S3Fault::DiesAfter] {
        for nth in 0.. {
            let (fs, server) = (SimFs::new(), SimS3::new());
            let store = open_with(&fs, &server);
            fill(&store, &mut Blocks::default(), &[30, 40], now());
            server.fail_request(nth, fault);
            let is_through = move_all(&store, days_later(2));
            drop(store);
            fs.crash(nth as u64);
            check_reopened(&fs, &server, 70, &format!("{fault:?} at request {nth}"));
            if is_through {
                break;
            }
        }
    }
}

#[test]
fn store_1_a_power_cut_or_failure_at_any_file_call_of_a_move_loses_nothing() {
    for fault in [Fault::PowerCut, Fault::Eio, Fault::Enospc, Fault::ShortWrite] {
        for call in 0.. {
            let (fs, server) = (SimFs::new(), SimS3::new());
            let store = open_with(&fs, &server);
            fill(&store, &mut Blocks::default(), &[30, 40], now());
            let before = fs.num_calls();
            fs.fail_call(call, fault);
            move_all(&store, days_later(2));
            let is_through = fs.num_calls() - before <= call;
            if fault != Fault::PowerCut {
                fs.clear_faults();
                // The running store goes on as if nothing had been.
                assert_dense(&store, SYSLOG, 70);
                store.collect_loose(days_later(3)).unwrap();
                assert!(move_all(&store, days_later(3)), "{fault:?} at call {call}");
                assert_dense(&store, SYSLOG, 70);
            }
            drop(store);
            fs.crash(call as u64);
            check_reopened(&fs, &server, 70, &format!("{fault:?} at call {call}"));
            if is_through {
                break;
            }
        }
    }
}

/// T6: moves under errors and lost replies by chance, with restarts. Every segment counts as one commit.
#[test]
fn store_1_commits_to_a_failing_object_store_lose_and_double_nothing() {
    let commits = std::env::var("MONETA_OBJECT_COMMITS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let seed = std::env::var("MONETA_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_129);
    eprintln!("{commits} commits, MONETA_SEED={seed}");
    let mut random = Random::new(seed);
    // A new installation each so many commits: a day's catalog stays small, as in life.
    let mut totals = (0, 0, 0, 0);
    while totals.0 < commits {
        let server = if random.chance(2) { SimS3::new() } else { SimS3::versioned() };
        let (moved, failed, crashes, requests) = chaos(&server, &mut random, (commits - totals.0).min(250));
        totals = (totals.0 + moved, totals.1 + failed, totals.2 + crashes, totals.3 + requests);
    }
    let (moved, failed, crashes, requests) = totals;
    eprintln!("{moved} moved in {requests} requests, {failed} tries given up, {crashes} crashes; lost 0, doubled 0");
}

fn chaos(server: &SimS3, random: &mut Random, commits: usize) -> (usize, usize, usize, usize) {
    let fs = SimFs::new();
    let mut store = open_with(&fs, server);
    let blocks = fill(&store, &mut Blocks::default(), &vec![2; commits], now());
    server.fail_by_chance(random.next_u64(), 20, 5);
    let (mut failed, mut crashes, mut rounds) = (0, 0, 0);
    loop {
        rounds += 1;
        let time = days_later(2).saturating_add(Duration::from_secs(600 * rounds));
        let due = store.due_moves(2, time.day());
        if due.is_empty() {
            break;
        }
        for segment in due {
            if random.chance(40) {
                let fault = if random.chance(2) { S3Fault::DiesBefore } else { S3Fault::DiesAfter };
                server.fail_request(random.below(6), fault);
            }
            failed += usize::from(store.move_segment(&segment, None, time).is_err());
            if random.chance(60) {
                crashes += 1;
                drop(store);
                fs.crash(random.next_u64());
                server.mend();
                server.fail_by_chance(random.next_u64(), 20, 5);
                store = open_with(&fs, server);
            }
        }
        server.mend();
        server.fail_by_chance(random.next_u64(), 20, 5);
        // Objects that cannot be removed now are tried again.
        let _ = store.collect_loose(time);
    }
    let requests = server.num_requests();
    server.mend();
    let end = days_later(9);
    assert!(store.collect_loose(end).unwrap().failed.is_empty());
    store.remove_retired(end).unwrap();
    let store = open_with(&fs, server);
    // Lost 0, doubled 0: the rows are those of the blocks, each once and in order.
    let rows = all_rows(&store, &store.snapshot(&table(SYSLOG)).unwrap());
    let roots: Vec<_> = blocks.iter().map(|block| block.header.record_root).collect();
    assert_eq!(record_roots(&rows, &blocks), roots);
    assert_dense(&store, SYSLOG, 2 * commits as u64);
    assert_eq!(num_moved(&store), commits);
    assert_eq!(
        (server.objects().len(), server.num_stored()),
        (commits + 1, commits + 1),
        "no orphan, no second version"
    );
    (commits, failed, crashes, requests)
}
