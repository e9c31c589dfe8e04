//! A journal is read back with the memory of its largest frame, however large it is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use moneta_base::SourceName;
use moneta_base::fs::{DirEntry, File, FileSystem};
use moneta_event::Block;
use moneta_journal::{Commit, Error, Journal, Replay};
use moneta_testkit::{Random, SimFs};

use crate::support::*;

/// Bytes that are read at once when frames are small.
const WINDOW_BYTES: usize = 1 << 20;

/// Files that note the largest part of one that was asked for at once.
#[derive(Debug, Default)]
struct Measured {
    files: SimFs,
    largest: AtomicUsize,
}

impl Measured {
    fn note(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.largest.fetch_max(bytes.len(), Ordering::Relaxed);
        bytes
    }
}

impl FileSystem for Measured {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.files.create(path)
    }

    fn open_at(&self, path: &Path, size_bytes: u64) -> io::Result<Box<dyn File>> {
        self.files.open_at(path, size_bytes)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.read(path).map(|bytes| self.note(bytes))
    }

    fn read_range(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.files.read_range(path, offset, len).map(|bytes| self.note(bytes))
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        self.files.size(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.files.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.files.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.link_new(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.files.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.files.remove_dir_all(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.files.sync_dir(dir)
    }

    fn make_private(&self, path: &Path) -> io::Result<()> {
        self.files.make_private(path)
    }
}

/// Rows of which no compression makes anything much smaller.
fn incompressible(random: &mut Random, num_rows: usize) -> Commit {
    let mut rows = builder("Syslog");
    for _ in 0..num_rows {
        let text: String = (0..32).map(|_| format!("{:016x}", random.next_u64())).collect();
        rows.finish_row(now(), &SourceName::lossy("test"), &text);
    }
    Commit { batches: vec![scrub(rows)], mark: None }
}

/// A journal of several files, each larger than a window.
fn large() -> (Arc<Measured>, u64) {
    let fs = Arc::new(Measured::default());
    let mut small_files = options();
    small_files.file_bytes_max = 2 << 20;
    let (mut journal, _) = open_in(fs.clone(), Path::new(DIR), small_files).unwrap();
    let mut random = Random::new(7);
    for _ in 0..30 {
        stored(&journal.append(vec![incompressible(&mut random, 900)], now()), 0);
    }
    let size = journal.size();
    assert!(size.num_files >= 3 && size.size_bytes > 6 << 20, "{size:?}");
    (fs, size.size_bytes)
}

#[test]
fn opening_reads_one_frame_at_a_time_and_keeps_no_block() {
    let (fs, total_bytes) = large();
    fs.largest.store(0, Ordering::Relaxed);
    let mut seen: Vec<Weak<Block>> = Vec::new();
    let mut alive_max = 0;
    let (journal, _) = Journal::open(fs.clone(), Path::new(DIR), options(), |block| {
        seen.push(Arc::downgrade(&block.into_inner()));
        alive_max = alive_max.max(seen.iter().filter(|block| block.strong_count() > 0).count());
    })
    .unwrap();
    assert_eq!((seen.len(), alive_max), (30, 0), "who gets a block decides how long it lives");
    let largest = fs.largest.load(Ordering::Relaxed);
    assert!(largest <= WINDOW_BYTES, "{largest} of {total_bytes} bytes were read at once");
    let files: Vec<(PathBuf, u64)> = journal.files().map(|(path, size)| (path.to_owned(), size)).collect();
    assert_eq!(Replay::new(&*fs, &files).map(|block| u64::from(block.unwrap().header.num_rows)).sum::<u64>(), 27_000);
    assert!(fs.largest.load(Ordering::Relaxed) <= WINDOW_BYTES);
}

#[test]
fn a_replay_yields_what_opening_yielded_and_nothing_that_came_later() {
    let fs = SimFs::new();
    let mut small_files = options();
    small_files.file_bytes_max = 3_000;
    let (mut journal, _) = try_open(&fs, small_files.clone()).unwrap();
    for number in 0..6 {
        let name = format!("c{number}");
        let batches = vec![batch("Syslog", &name, 3), batch("Event", &name, 1)];
        stored(&journal.append(vec![Commit { batches, mark: Some(mark("agent", number, &name)) }], now()), 0);
    }
    journal.close().unwrap();
    let (mut journal, recovered) = try_open(&fs, small_files).unwrap();
    let files: Vec<(PathBuf, u64)> = journal.files().map(|(path, size)| (path.to_owned(), size)).collect();
    assert!(files.len() >= 3);
    stored(&journal.append(vec![commit("Syslog", "later", 1)], now()), 0);
    let replayed: Vec<_> = Replay::new(&fs, &files).map(Result::unwrap).collect();
    let order = |blocks: &[moneta_journal::JournaledBlock]| -> Vec<_> {
        blocks.iter().map(|block| (block.header.shard.table.clone(), block.header.first_seq)).collect()
    };
    assert_eq!(order(&replayed), order(&recovered.blocks));
    assert_eq!(
        raws(replayed.iter().map(|block| &**block)).into_values().collect::<Vec<_>>(),
        recovered_raws(&recovered)
    );
    let (last, _) = files.last().unwrap();
    let mut bytes = fs.peek(last).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs.overwrite(last, &bytes);
    let mut damaged = Replay::new(&fs, &files);
    assert!(damaged.any(|block| matches!(block, Err(Error::Corrupt { .. }))));
    assert!(damaged.next().is_none(), "nothing follows damage");
}

#[test]
fn a_whole_frame_far_behind_bad_bytes_is_seen_also_across_windows() {
    let fs = SimFs::new();
    let (mut journal, _) = open(&fs);
    let start = usize::try_from(journal.size().size_bytes).unwrap();
    stored(&journal.append(vec![commit("Syslog", "a", 1)], now()), 0);
    drop(journal);
    let path = Path::new(DIR).join("00000001.wal");
    let good = fs.peek(&path).unwrap();
    let frame = &good[start..];
    // The search begins one byte behind the bad frame's beginning.
    for gap in (0..6).map(|n| WINDOW_BYTES - 4 + n).chain([1, 3 * WINDOW_BYTES]) {
        let torn = [&good[..], &vec![b'M'; gap]].concat();
        fs.overwrite(&path, &[&torn, frame].concat());
        assert!(matches!(try_open(&fs, options()), Err(Error::Corrupt { .. })), "gap of {gap}");
        fs.overwrite(&path, &torn);
        let (_, recovered) = open(&fs);
        assert_eq!((recovered.dropped[0].size_bytes, recovered.blocks.len()), (gap as u64, 1));
    }
}
