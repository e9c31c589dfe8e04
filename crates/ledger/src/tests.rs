//! The ledger over a simulated file system: growth, proofs, crashes, faults and flipped bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_base::{IngestDay, TableName, Timestamp};
use moneta_event::{BlockProof, RootEntry, RootEvent, ShardGrowth, ShardId};
use moneta_keys::KeyRing;
use moneta_merkle::proof::verify_consistency;
use moneta_merkle::tile::TILE_WIDTH;
use moneta_merkle::{SignedCheckpoint, TilePath, TlogProof, sha256};
use moneta_testkit::{Fault, Random, SeededEntropy, SimFs};

use crate::{Error, Ledger, LogName, OpenReport};

const ORIGIN: &str = "log.example/test";
const DIR: &str = "/ledger";

fn signer() -> Arc<moneta_keys::LogSigner> {
    let keys = KeyRing::open_named(Arc::new(SimFs::new()), Path::new("/keys"), &SeededEntropy::new(1), ORIGIN);
    keys.unwrap().log_signer()
}

fn open(fs: &SimFs) -> crate::Result<(Ledger, OpenReport)> {
    Ledger::open(Arc::new(fs.clone()), Path::new(DIR), signer(), ORIGIN)
}

fn opened(fs: &SimFs) -> Ledger {
    open(fs).unwrap().0
}

fn shard(number: usize) -> ShardId {
    ShardId { table: TableName::new(&format!("T{number}")).unwrap(), day: IngestDay(20_000) }
}

/// A header's bytes follow from shard and index, as the journal would bring them again.
fn header(shard: &ShardId, index: u64) -> Vec<u8> {
    format!("{shard} {index} {}", "x".repeat(usize::try_from(index % 7).unwrap())).into_bytes()
}

fn append(ledger: &Ledger, shard: &ShardId, count: u64) {
    for _ in 0..count {
        let next = ledger.next_index(&LogName::Shard(shard.clone())).unwrap();
        assert_eq!(ledger.append_block(shard, &header(shard, next)).unwrap(), next);
    }
}

fn audit_entry(number: u64) -> RootEntry {
    let row = sha256(&number.to_be_bytes());
    RootEntry {
        at: Timestamp::from_seconds(1),
        event: RootEvent::Audit { action: "query".into(), by: "7".into(), row },
    }
}

fn drop_entry(growth: ShardGrowth) -> RootEntry {
    let event = RootEvent::RetentionDrop { growth, policy: "90 d".into(), by: "retention".into() };
    RootEntry { at: Timestamp::from_seconds(9), event }
}

fn publish(ledger: &Ledger, seconds: i64) -> SignedCheckpoint {
    ledger.publish(Timestamp::from_seconds(seconds)).unwrap().expect("something waits")
}

fn assert_clean(ledger: &Ledger) {
    let report = ledger.check().unwrap();
    assert_eq!(report.findings, [], "{report:?}");
}

#[test]
fn an_empty_ledger_has_a_signed_empty_root() {
    let fs = SimFs::new();
    let (ledger, report) = open(&fs).unwrap();
    assert!(report.created);
    assert_eq!(ledger.root_checkpoint().size(), 0);
    assert!(ledger.publish(Timestamp::from_seconds(1)).unwrap().is_none());
    assert!(!open(&fs).unwrap().1.created);
    assert_clean(&ledger);
}

#[test]
fn a_publish_lists_grown_shards_and_queued_entries_in_the_root_log() {
    let fs = SimFs::new();
    let ledger = opened(&fs);
    append(&ledger, &shard(1), 3);
    append(&ledger, &shard(2), 1);
    assert_eq!(ledger.append_root(&audit_entry(1)).unwrap(), 0);
    assert_eq!(publish(&ledger, 5).size(), 4);
    assert_eq!(ledger.read_root_entry(0).unwrap(), audit_entry(1));
    assert_eq!(ledger.read_root_entry(1).unwrap().event, RootEvent::ShardOpened { shard: shard(1) });
    let tick = ledger.read_root_entry(3).unwrap();
    assert_eq!(tick.at, Timestamp::from_seconds(5));
    assert_eq!(tick.tick_of(&shard(1)), Some(&ledger.shard_head(&shard(1)).unwrap()));
    assert_eq!(tick.tick_of(&shard(2)).unwrap().size, 1);
    append(&ledger, &shard(1), 1);
    assert_eq!(publish(&ledger, 6).size(), 5);
    assert_eq!(ledger.shards().unwrap(), [shard(1), shard(2)]);
    assert_eq!(ledger.shard_size(&shard(1)).unwrap(), 4);
    assert_clean(&ledger);
}

#[test]
fn indexes_given_out_are_the_indexes_published() {
    let ledger = opened(&SimFs::new());
    for round in 0..5 {
        append(&ledger, &shard(round), 2);
        let index = ledger.append_root(&audit_entry(round as u64)).unwrap();
        publish(&ledger, round as i64);
        assert_eq!(ledger.read_root_entry(index).unwrap(), audit_entry(round as u64));
    }
}

#[test]
fn every_block_and_root_entry_is_proved() {
    let ledger = opened(&SimFs::new());
    for count in [1, 254, 1, 1, 300] {
        append(&ledger, &shard(1), count);
        append(&ledger, &shard(2), 1);
        publish(&ledger, 1);
    }
    let keys = [ledger.verifier_key().clone()];
    for index in [0, 1, 254, 255, 256, 511, 512, 556] {
        let bytes = header(&shard(1), index);
        let proof = TlogProof::parse(&ledger.prove_entry(&shard(1), index).unwrap().encode()).unwrap();
        proof.verify(&bytes, &format!("{ORIGIN}/shard/T1/{}", shard(1).day), &keys).unwrap();
        let proof = ledger.prove_block(&shard(1), index).unwrap();
        let read = BlockProof::parse(&proof.encode()).unwrap();
        assert_eq!(read, proof);
        read.verify(&bytes, ORIGIN, &keys).unwrap();
        assert!(read.verify(&header(&shard(1), index + 1), ORIGIN, &keys).is_err());
        assert!(read.verify(&bytes, "log.example/other", &keys).is_err());
    }
    for index in 0..ledger.root_checkpoint().size() {
        let bytes = ledger.read_entry(&LogName::Root, index).unwrap();
        ledger.prove_root_entry(index).unwrap().verify(&bytes, ORIGIN, &keys).unwrap();
    }
    assert!(matches!(ledger.prove_block(&shard(1), 557), Err(Error::NotPublished { .. })));
    assert!(matches!(ledger.prove_entry(&shard(3), 0), Err(Error::NotPublished { .. })));
}

#[test]
fn proofs_made_while_publishing_verify() {
    let ledger = opened(&SimFs::new());
    append(&ledger, &shard(1), 1);
    publish(&ledger, 0);
    let keys = [ledger.verifier_key().clone()];
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let prover = scope.spawn(|| {
            let mut proofs = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let index = ledger.shard_checkpoint(&shard(1)).unwrap().unwrap().size() - 1;
                let bytes = header(&shard(1), index);
                ledger.prove_block(&shard(1), index).unwrap().verify(&bytes, ORIGIN, &keys).unwrap();
                let origin = format!("{ORIGIN}/shard/{}", shard(1));
                ledger.prove_entry(&shard(1), index).unwrap().verify(&bytes, &origin, &keys).unwrap();
                proofs += 1;
            }
            proofs
        });
        for round in 1..100 {
            append(&ledger, &shard(1), 7);
            publish(&ledger, round);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(prover.join().unwrap() > 0);
    });
}

#[test]
fn every_flipped_bit_of_a_block_proof_is_rejected() {
    let ledger = opened(&SimFs::new());
    append(&ledger, &shard(1), 5);
    publish(&ledger, 1);
    let keys = [ledger.verifier_key().clone()];
    let good = ledger.prove_block(&shard(1), 2).unwrap().encode().into_bytes();
    let bytes = header(&shard(1), 2);
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1 << (position % 8);
        let accepted = std::str::from_utf8(&bad)
            .is_ok_and(|text| BlockProof::parse(text).is_ok_and(|proof| proof.verify(&bytes, ORIGIN, &keys).is_ok()));
        assert!(!accepted, "byte {position}");
    }
}

#[test]
fn older_partial_widths_are_served_from_newer_files() {
    let fs = SimFs::new();
    let ledger = opened(&fs);
    append(&ledger, &shard(1), 3);
    publish(&ledger, 1);
    let log = LogName::Shard(shard(1));
    let old = [TilePath::hashes(0, 0, 3), TilePath::entries(0, 3)];
    let bytes = old.map(|tile| ledger.read_tile(&log, tile).unwrap());
    for count in [100, 200] {
        append(&ledger, &shard(1), count);
        publish(&ledger, 2);
        assert_eq!(old.map(|tile| ledger.read_tile(&log, tile).unwrap()), bytes);
    }
    let partials = |fs: &SimFs| fs.files().iter().filter(|path| path.to_string_lossy().contains("000.p/")).count();
    assert_eq!(fs.files().iter().filter(|path| path.starts_with("/ledger/shard") && path.ends_with("47")).count(), 2);
    // The root log's own first tile and bundle, and level 1 of the shard.
    assert_eq!(partials(&fs), 3, "{:?}", fs.files());
    assert!(ledger.read_tile(&log, TilePath::hashes(0, 2, 1)).is_err());
}

#[test]
fn a_reopened_ledger_grows_on() {
    let fs = SimFs::new();
    for round in 0..12 {
        let (ledger, report) = open(&fs).unwrap();
        assert_eq!(report.shards_mended, []);
        append(&ledger, &shard(1), 100);
        append(&ledger, &shard(2 + round), 1);
        publish(&ledger, 1);
    }
    let ledger = opened(&fs);
    assert_eq!(ledger.shard_size(&shard(1)).unwrap(), 1_200);
    assert_clean(&ledger);
}

#[test]
fn a_shard_goes_only_after_its_published_drop_entry() {
    let fs = SimFs::new();
    let ledger = opened(&fs);
    append(&ledger, &shard(1), 300);
    append(&ledger, &shard(2), 5);
    publish(&ledger, 1);
    let head = ledger.shard_head(&shard(1)).unwrap();
    assert!(matches!(ledger.remove_shard(&shard(1)), Err(Error::NotDropped(_))));
    let wrong = ShardGrowth { size: 299, ..head.clone() };
    assert!(matches!(ledger.append_root(&drop_entry(wrong)), Err(Error::ShardMismatch { .. })));
    append(&ledger, &shard(1), 1);
    assert!(matches!(ledger.append_root(&drop_entry(head)), Err(Error::ShardMismatch { pending: 1, .. })));
    publish(&ledger, 2);
    ledger.append_root(&drop_entry(ledger.shard_head(&shard(1)).unwrap())).unwrap();
    assert!(matches!(ledger.append_block(&shard(1), b"late"), Err(Error::Closed(_))));
    assert!(matches!(ledger.remove_shard(&shard(1)), Err(Error::NotDropped(_))));
    publish(&ledger, 3);
    let ledger = opened(&fs);
    assert!(ledger.remove_shard(&shard(1)).unwrap());
    assert!(!ledger.remove_shard(&shard(1)).unwrap());
    assert_eq!(ledger.shards().unwrap(), [shard(2)]);
    assert_clean(&ledger);
    // A shard that is gone without a drop entry is found.
    fs_remove(&fs, &PathBuf::from(format!("{DIR}/shard/T2")));
    assert!(!ledger.check().unwrap().findings.is_empty());
}

fn fs_remove(fs: &SimFs, dir: &Path) {
    moneta_base::fs::FileSystem::remove_dir_all(fs, dir).unwrap();
}

#[test]
fn a_sealed_shard_takes_no_more_blocks_even_after_reopening() {
    let fs = SimFs::new();
    let ledger = opened(&fs);
    append(&ledger, &shard(1), 2);
    append(&ledger, &shard(2), 2);
    publish(&ledger, 1);
    let event = RootEvent::ShardSealed { growth: ledger.shard_head(&shard(1)).unwrap() };
    ledger.append_root(&RootEntry { at: Timestamp::from_seconds(2), event }).unwrap();
    publish(&ledger, 2);
    let ledger = opened(&fs);
    assert_eq!(ledger.shard_size(&shard(1)).unwrap(), 2);
    assert!(matches!(ledger.append_block(&shard(1), b"late"), Err(Error::Closed(_))));
    append(&ledger, &shard(2), 1);
    publish(&ledger, 3);
    assert_clean(&ledger);
}

#[test]
fn ticks_cannot_be_appended_by_callers() {
    let ledger = opened(&SimFs::new());
    let tick = RootEntry { at: Timestamp::from_seconds(1), event: RootEvent::Tick { shards: Vec::new() } };
    assert!(matches!(ledger.append_root(&tick), Err(Error::Reserved("tick"))));
}

#[test]
fn too_much_waiting_is_refused_and_a_publish_makes_room() {
    let ledger = opened(&SimFs::new());
    let big = vec![7u8; 60_000];
    let refused = (0..).find(|_| ledger.append_block(&shard(1), &big).is_err()).unwrap();
    assert_eq!(refused, crate::PENDING_BYTES_MAX / big.len());
    publish(&ledger, 1);
    ledger.append_block(&shard(1), &big).unwrap();
}

#[test]
fn every_flipped_byte_of_every_file_is_reported() {
    let fs = SimFs::new();
    let ledger = opened(&fs);
    append(&ledger, &shard(1), 258);
    append(&ledger, &shard(2), 2);
    ledger.append_root(&audit_entry(1)).unwrap();
    publish(&ledger, 1);
    append(&ledger, &shard(2), 2);
    publish(&ledger, 2);
    for path in fs.files() {
        let good = fs.peek(&path).unwrap();
        // Every byte of small files; of large ones a stride that visits all offsets within a hash.
        let step = if good.len() > 2_000 { 97 } else { 1 };
        for position in (0..good.len()).step_by(step) {
            let mut bad = good.clone();
            bad[position] ^= 1 << (position % 8);
            fs.overwrite(&path, &bad);
            let found = match open(&fs) {
                Ok((ledger, _)) => !ledger.check().unwrap().findings.is_empty(),
                Err(Error::Corrupt { .. }) => true,
                Err(error) => panic!("{}: {error}", path.display()),
            };
            assert!(found, "{} byte {position}", path.display());
        }
        fs.overwrite(&path, &good);
    }
    assert_clean(&opened(&fs));
}

#[test]
fn a_missing_checkpoint_beside_tiles_is_damage() {
    let fs = SimFs::new();
    let ledger = opened(&fs);
    append(&ledger, &shard(1), 1);
    publish(&ledger, 1);
    append(&ledger, &shard(2), 1);
    publish(&ledger, 2);
    for path in fs.files().into_iter().filter(|path| path.ends_with("checkpoint")) {
        let good = fs.peek(&path).unwrap();
        moneta_base::fs::FileSystem::remove_file(&fs, &path).unwrap();
        let found = open(&fs).and_then(|(ledger, _)| ledger.shard_size(&shard(1)));
        assert!(matches!(found, Err(Error::Corrupt { .. })), "{}: {found:?}", path.display());
        fs.overwrite(&path, &good);
    }
}

/// Every call of a publish fails once in every way; nothing published is lost, and what was queued comes later.
#[test]
fn any_failed_call_leaves_the_ledger_whole() {
    let (_, ledger, fs) = ready_to_publish();
    let start = fs.num_calls();
    publish(&ledger, 2);
    let calls = fs.num_calls() - start;
    assert!(calls > 50, "{calls}");
    for fault in [Fault::Eio, Fault::Eintr, Fault::Enospc, Fault::ShortWrite] {
        for failing in 0..calls {
            let context = format!("{fault:?} at call {failing}");
            let (index, ledger, fs) = ready_to_publish();
            fs.fail_call(failing, fault);
            let first = ledger.publish(Timestamp::from_seconds(2));
            fs.clear_faults();
            append(&ledger, &shard(1), 1);
            let later = ledger.append_root(&audit_entry(2)).unwrap();
            match ledger.publish(Timestamp::from_seconds(3)) {
                Ok(_) => {
                    assert_eq!(ledger.read_root_entry(index).unwrap(), audit_entry(1), "{context}");
                    assert_eq!(ledger.read_root_entry(later).unwrap(), audit_entry(2), "{context}");
                    assert_eq!(ledger.shard_size(&shard(1)).unwrap(), 259, "{context}");
                    assert_clean(&ledger);
                }
                Err(error) => assert!(matches!(error, Error::Stopped), "{context}: {first:?} then {error}"),
            }
            let (again, _) = open(&fs).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(first.is_err() || again.root_checkpoint().size() >= first.unwrap().unwrap().size(), "{context}");
            assert_clean(&again);
        }
    }
}

/// A ledger with a shard about to fill its first tile and a new shard, ready to publish.
fn ready_to_publish() -> (u64, Ledger, SimFs) {
    let fs = SimFs::new();
    let ledger = opened(&fs);
    append(&ledger, &shard(1), 255);
    publish(&ledger, 1);
    append(&ledger, &shard(1), 3);
    append(&ledger, &shard(2), 1);
    let index = ledger.append_root(&audit_entry(1)).unwrap();
    (index, ledger, fs)
}

#[test]
fn a_disk_without_room_never_stops_the_ledger() {
    let fs = SimFs::new();
    let ledger = opened(&fs);
    append(&ledger, &shard(1), 10);
    let used: usize = fs.files().iter().map(|path| fs.peek(path).unwrap().len()).sum();
    let mut refused = 0;
    for room in (0..6_000).step_by(40) {
        fs.set_capacity_bytes(Some((used + room) as u64));
        refused += usize::from(ledger.publish(Timestamp::from_seconds(1)).is_err());
        append(&ledger, &shard(1), 1);
    }
    assert!(refused > 5, "{refused}");
    fs.set_capacity_bytes(None);
    publish(&ledger, 2);
    assert_clean(&ledger);
    assert_clean(&opened(&fs));
}

/// A byte that changes between writing and reading back must keep the checkpoint unsigned (LEDGER-2).
#[test]
fn refuses_to_sign_what_does_not_read_back() {
    let fs = SimFs::new();
    let ledger = opened(&fs);
    append(&ledger, &shard(1), 2);
    publish(&ledger, 1);
    let corrupting = CorruptingFs { inner: fs.clone() };
    let (ledger, _) = Ledger::open(Arc::new(corrupting), Path::new(DIR), signer(), ORIGIN).unwrap();
    let before = ledger.root_checkpoint();
    append(&ledger, &shard(1), 300);
    assert!(matches!(ledger.publish(Timestamp::from_seconds(2)), Err(Error::ReadBack { .. })));
    assert!(matches!(ledger.publish(Timestamp::from_seconds(3)), Err(Error::Stopped)));
    let after = opened(&fs);
    assert_eq!(after.root_checkpoint(), before);
    assert_clean(&after);
}

/// Flips a bit in the first full bundle as it is written.
#[derive(Debug)]
struct CorruptingFs {
    inner: SimFs,
}

#[derive(Debug)]
struct CorruptingFile(Box<dyn moneta_base::fs::File>);

impl moneta_base::fs::File for CorruptingFile {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut bytes = bytes.to_vec();
        if let Some(byte) = bytes.get_mut(100) {
            *byte ^= 4;
        }
        self.0.append(&bytes)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.0.sync()
    }
}

impl moneta_base::fs::FileSystem for CorruptingFs {
    fn create(&self, path: &Path) -> std::io::Result<Box<dyn moneta_base::fs::File>> {
        let file = self.inner.create(path)?;
        Ok(if path.ends_with("tile/entries/000") { Box::new(CorruptingFile(file)) } else { file })
    }
    fn open_at(&self, path: &Path, size_bytes: u64) -> std::io::Result<Box<dyn moneta_base::fs::File>> {
        self.inner.open_at(path, size_bytes)
    }
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        self.inner.read(path)
    }
    fn read_range(&self, path: &Path, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
        self.inner.read_range(path, offset, len)
    }
    fn size(&self, path: &Path) -> std::io::Result<u64> {
        self.inner.size(path)
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<moneta_base::fs::DirEntry>> {
        self.inner.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> std::io::Result<()> {
        self.inner.create_dir_all(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.inner.rename(from, to)
    }
    fn link_new(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.inner.link_new(from, to)
    }
    fn remove_file(&self, path: &Path) -> std::io::Result<()> {
        self.inner.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> std::io::Result<()> {
        self.inner.remove_dir_all(path)
    }
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        self.inner.sync_dir(dir)
    }
    fn make_private(&self, path: &Path) -> std::io::Result<()> {
        self.inner.make_private(path)
    }
}

#[test]
fn a_cut_between_root_and_shard_checkpoints_is_mended() {
    let mut mended = 0;
    for cut in 0..200 {
        let fs = SimFs::new();
        let ledger = opened(&fs);
        append(&ledger, &shard(1), 255);
        publish(&ledger, 1);
        append(&ledger, &shard(1), 2);
        append(&ledger, &shard(2), 1);
        fs.fail_call(cut, Fault::PowerCut);
        let published = ledger.publish(Timestamp::from_seconds(1)).ok().flatten();
        if !fs.is_cut() {
            assert!(cut > 50 && mended > 3, "cut {cut}, mended {mended}");
            return;
        }
        fs.crash(cut as u64);
        let (ledger, report) = open(&fs).unwrap();
        mended += report.shards_mended.len();
        let size = ledger.shard_size(&shard(1)).unwrap();
        assert_eq!(size, if ledger.root_checkpoint().size() > 2 { 257 } else { 255 }, "cut {cut}");
        assert!(published.is_none_or(|published| published == ledger.root_checkpoint()), "cut {cut}");
        assert_clean(&ledger);
        append(&ledger, &shard(1), 1);
        publish(&ledger, 2);
        assert_clean(&opened(&fs));
    }
    panic!("a publish takes fewer calls");
}

/// LEDGER-1: whatever the power cut leaves, the tree under the last published checkpoint is the beginning of every
/// later one, and nothing that was published is lost. `MONETA_POWER_CUTS` sets how many cuts there must have been in the
/// middle of a call.
#[test]
fn published_trees_only_grow_through_power_cuts() {
    let wanted = std::env::var("MONETA_POWER_CUTS").ok().map_or(1_000, |cuts| cuts.parse().unwrap());
    let (mut num_cuts, mut seed) = (0, 0);
    while num_cuts < wanted {
        let fs = SimFs::new();
        let mut random = Random::new(seed);
        let mut seen: Vec<SignedCheckpoint> = Vec::new();
        for life in 0..4 {
            let ledger = match open(&fs) {
                Ok((ledger, _)) => ledger,
                Err(error) => panic!("seed {seed} life {life}: {error:?}"),
            };
            assert_published(&ledger, &seen, seed);
            seen.push(ledger.root_checkpoint());
            fs.fail_call(random.below(300), Fault::PowerCut);
            live(&ledger, &mut random, &mut seen);
            num_cuts += usize::from(fs.is_cut());
            fs.crash(random.next_u64());
        }
        let ledger = opened(&fs);
        assert_published(&ledger, &seen, seed);
        assert_clean(&ledger);
        seed += 1;
        assert!(num_cuts as u64 >= seed, "faults no longer meet calls: {num_cuts} cuts in {seed} runs");
    }
    println!("ledger: {num_cuts} power cuts in the middle of a call, seeds 0 to {}", seed - 1);
}

/// Appends and publishes until the power is cut or the day is over.
fn live(ledger: &Ledger, random: &mut Random, seen: &mut Vec<SignedCheckpoint>) {
    for step in 0..12 {
        for _ in 0..random.below(4) {
            let shard = shard(random.below(3));
            for _ in 0..=random.below(200) {
                let Ok(next) = ledger.next_index(&LogName::Shard(shard.clone())) else { return };
                if ledger.append_block(&shard, &header(&shard, next)).is_err() {
                    return;
                }
            }
        }
        if random.chance(2) {
            let _ = ledger.append_root(&audit_entry(random.next_u64()));
        }
        match ledger.publish(Timestamp::from_seconds(step)) {
            Ok(Some(checkpoint)) => seen.push(checkpoint),
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

fn assert_published(ledger: &Ledger, seen: &[SignedCheckpoint], seed: u64) {
    let now = ledger.root_checkpoint();
    for earlier in seen {
        let context = format!("LEDGER-1 seed {seed}: {} then {}", earlier.size(), now.size());
        assert!(earlier.size() <= now.size(), "{context}");
        let proof = ledger.prove_growth(&LogName::Root, earlier.size(), now.size()).expect(&context);
        verify_consistency(earlier.size(), now.size(), &proof, &earlier.root(), &now.root()).expect(&context);
    }
    for number in 0..3 {
        let size = ledger.shard_size(&shard(number)).unwrap();
        for index in (0..size).step_by(usize::from(TILE_WIDTH) / 3) {
            let entry = ledger.read_entry(&LogName::Shard(shard(number)), index).unwrap();
            assert_eq!(entry, header(&shard(number), index), "seed {seed}");
        }
    }
}

/// The ledger, keys and proofs that version 1 wrote. Stored once, never rewritten: they must load for ever.
mod sample {
    use super::*;
    use moneta_base::fs::FileSystem as _;
    use std::collections::BTreeMap;

    const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/v1");

    /// Builds the sample anew; every key comes from a fixed seed.
    fn build() -> BTreeMap<String, Vec<u8>> {
        let fs = SimFs::new();
        let keys = KeyRing::open(Arc::new(fs.clone()), Path::new("/keys"), &SeededEntropy::new(2)).unwrap();
        let (ledger, _) =
            Ledger::open(Arc::new(fs.clone()), Path::new(DIR), keys.log_signer(), keys.log_name()).unwrap();
        ledger.append_root(&audit_entry(1)).unwrap();
        append(&ledger, &shard(1), 3);
        publish(&ledger, 1);
        append(&ledger, &shard(1), 255);
        append(&ledger, &shard(2), 2);
        publish(&ledger, 2);
        ledger.append_root(&drop_entry(ledger.shard_head(&shard(2)).unwrap())).unwrap();
        publish(&ledger, 3);
        ledger.remove_shard(&shard(2)).unwrap();
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for path in fs.files() {
            files.insert(path.to_string_lossy()[1..].to_owned(), fs.peek(&path).unwrap());
        }
        files.insert("T1-256.block-proof".to_owned(), ledger.prove_block(&shard(1), 256).unwrap().encode().into());
        files.insert("T1-256.tlog-proof".to_owned(), ledger.prove_entry(&shard(1), 256).unwrap().encode().into());
        files
    }

    fn stored() -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut dirs = vec![PathBuf::from(STORED)];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    dirs.push(entry);
                } else if !entry.ends_with("README.md") {
                    let name = entry.strip_prefix(STORED).unwrap().to_string_lossy().into_owned();
                    files.insert(name, std::fs::read(&entry).unwrap());
                }
            }
        }
        files
    }

    /// `MONETA_GOLDEN=write` stores the sample of a new version; an existing one is left alone.
    #[test]
    fn version_1_is_still_written_byte_for_byte() {
        if std::env::var_os("MONETA_GOLDEN").is_some() && !Path::new(STORED).join("ledger").exists() {
            for (name, bytes) in build() {
                let path = Path::new(STORED).join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
        }
        let (built, stored) = (build(), stored());
        assert_eq!(built.keys().collect::<Vec<_>>(), stored.keys().collect::<Vec<_>>());
        for (name, bytes) in built {
            assert!(stored[&name] == bytes, "{name} is written differently");
        }
    }

    #[test]
    fn version_1_loads() {
        let fs = SimFs::new();
        let files = stored();
        for (name, bytes) in &files {
            let path = Path::new("/").join(name);
            fs.create_dir_all(path.parent().unwrap()).unwrap();
            fs.overwrite(&path, bytes);
        }
        let keys = KeyRing::open(Arc::new(fs.clone()), Path::new("/keys"), &SeededEntropy::new(3)).unwrap();
        assert!(!keys.created());
        let (ledger, report) =
            Ledger::open(Arc::new(fs.clone()), Path::new(DIR), keys.log_signer(), keys.log_name()).unwrap();
        assert_eq!(report.shards_mended, []);
        assert_clean(&ledger);
        let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
        let (bytes, trusted) = (header(&shard(1), 256), [keys.verifier_key()]);
        let proof = BlockProof::parse(&text("T1-256.block-proof")).unwrap();
        proof.verify(&bytes, keys.log_name(), &trusted).unwrap();
        let proof = TlogProof::parse(&text("T1-256.tlog-proof")).unwrap();
        proof.verify(&bytes, &format!("{}/shard/{}", keys.log_name(), shard(1)), &trusted).unwrap();
    }
}

/// Whoever holds the files still may wait for an append: also the first to a shard must not wait for it in turn.
#[test]
fn blocks_are_appended_while_the_files_are_held_still() {
    let fs = SimFs::new();
    let ledger = opened(&fs);
    append(&ledger, &shard(0), 2);
    publish(&ledger, 1);
    let ledger = opened(&fs);
    append(&ledger, &shard(1), 1);
    let before = fs.files();
    ledger
        .hold_still(|| {
            (0..3).for_each(|number| append(&ledger, &shard(number), 2));
            assert_eq!(fs.files(), before);
        })
        .unwrap();
    publish(&ledger, 2);
    let sizes: Vec<u64> = (0..3).map(|number| ledger.shard_size(&shard(number)).unwrap()).collect();
    assert_eq!(sizes, [4, 3, 2]);
    assert_clean(&ledger);
}
