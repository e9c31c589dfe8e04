//! Damage, full disks and failing calls.

use std::path::{Path, PathBuf};

use moneta_base::ErrorKind;
use moneta_journal::{Commit, Error};
use moneta_testkit::{Fault, SimFs};

use crate::support::*;

/// A journal of three files and six commits; the last file ends in order or not.
fn written(closed: bool) -> SimFs {
    let fs = SimFs::new();
    let mut small = options();
    small.file_bytes_max = 3_000;
    let (mut journal, _) = try_open(&fs, small).unwrap();
    for number in 0..6 {
        let name = format!("c{number}");
        let commit = Commit {
            batches: vec![batch("Syslog", &name, 3), batch("Event", &name, 1)],
            mark: Some(mark("agent", number, &name)),
        };
        stored(&journal.append(vec![commit], now()), 0);
    }
    assert!(journal.size().num_files >= 3);
    if closed {
        journal.close().unwrap();
    }
    fs
}

fn wal_files(fs: &SimFs) -> Vec<PathBuf> {
    fs.files().into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "wal")).collect()
}

/// Flips one byte and opens: the damage is named by file and by the offset of the frame around it.
fn check_flip(fs: &SimFs, file: &Path, good: &[u8], at: usize) {
    let mut bytes = good.to_vec();
    bytes[at] ^= 0x20;
    fs.overwrite(file, &bytes);
    match try_open(fs, options()) {
        Err(Error::Corrupt { file: named, offset, .. }) => {
            assert_eq!(named, file, "byte {at}");
            assert!(offset <= at as u64, "byte {at} of {}: {offset}", file.display());
        }
        Ok((_, recovery)) => {
            let dropped = &recovery.dropped[0];
            assert_eq!((&*dropped.file, recovery.dropped.len()), (file, 1), "byte {at}");
            assert!((dropped.offset..dropped.offset + dropped.size_bytes).contains(&(at as u64)), "byte {at}");
            let kept = fs.peek(dropped.kept_as.as_ref().unwrap()).unwrap();
            assert_eq!(kept, &bytes[usize::try_from(dropped.offset).unwrap()..], "what is cut is kept");
        }
        Err(other) => panic!("byte {at}: {other}"),
    }
}

#[test]
fn a_flip_of_any_byte_of_any_file_is_found_and_named() {
    let fs = written(true);
    for file in wal_files(&fs) {
        let good = fs.peek(&file).unwrap();
        for at in 0..good.len() {
            check_flip(&fs, &file, &good, at);
            fs.overwrite(&file, &good);
        }
    }
}

#[test]
fn after_an_orderly_end_no_acknowledged_commit_can_be_taken_for_a_torn_write() {
    let fs = written(true);
    let last = wal_files(&fs).pop().unwrap();
    let good = fs.peek(&last).unwrap();
    let end_frame_bytes = 24;
    for at in (0..good.len() - end_frame_bytes).step_by(7) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs.overwrite(&last, &bytes);
        assert!(matches!(try_open(&fs, options()), Err(Error::Corrupt { .. })), "byte {at}");
    }
}

#[test]
fn a_torn_tail_is_cut_kept_and_named_and_the_journal_goes_on() {
    let fs = written(false);
    let last = wal_files(&fs).pop().unwrap();
    let good = fs.peek(&last).unwrap();
    fs.overwrite(&last, &[&good[..], b"MFRM\x01\x01 half a frame"].concat());
    let (mut journal, recovery) = open(&fs);
    assert_eq!(recovery.dropped[0].offset, good.len() as u64);
    assert_eq!(recovery.dropped[0].why, "ends early");
    assert_eq!(recovered_raws(&recovery).len(), 24);
    stored(&journal.append(vec![commit("Syslog", "next", 1)], now()), 0);
    drop(journal);
    assert_eq!(recovered_raws(&open(&fs).1).len(), 25);
}

#[test]
fn missing_and_foreign_files_are_named() {
    let fs = written(true);
    let files = wal_files(&fs);
    let middle = fs.peek(&files[1]).unwrap();
    moneta_base::fs::FileSystem::remove_file(&fs, &files[1]).unwrap();
    let error = try_open(&fs, options()).unwrap_err();
    assert!(error.to_string().contains("00000002.wal is damaged at byte 0: the file is missing"), "{error}");
    fs.overwrite(&files[1], &fs.peek(&files[0]).unwrap());
    assert!(matches!(try_open(&fs, options()), Err(Error::Corrupt { offset: 0, .. })));
    fs.overwrite(&files[1], &middle);
    let mut foreign = options();
    foreign.tenant = moneta_base::TenantId::from_random([8; 16]);
    let error = try_open(&fs, foreign).unwrap_err();
    assert!(error.to_string().contains("another tenant"), "{error}");
}

#[test]
fn a_full_disk_refuses_commits_and_takes_them_again_when_there_is_room() {
    let fs = written(false);
    let (mut journal, _) = open(&fs);
    let used: u64 = fs.files().iter().map(|path| fs.peek(path).unwrap().len() as u64).sum();
    for room in [0, 1, 30, 400] {
        fs.set_capacity_bytes(Some(used + room));
        let appended = journal.append(vec![commit("Syslog", "full", 50)], now());
        let error = appended.outcomes[0].as_ref().unwrap_err();
        assert!(matches!(error, Error::DiskFull { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::OPERATOR);
        assert_eq!(journal.poisoned(), None);
    }
    fs.set_capacity_bytes(None);
    stored(&journal.append(vec![commit("Syslog", "after", 1)], now()), 0);
    drop(journal);
    let raws = recovered_raws(&open(&fs).1);
    assert_eq!(raws.iter().filter(|raw| raw.starts_with("full")).count(), 0);
    assert_eq!(raws.iter().filter(|raw| raw.starts_with("after")).count(), 1);
}

#[test]
fn a_full_disk_does_not_keep_the_journal_from_opening() {
    let fs = written(false);
    let last = wal_files(&fs).pop().unwrap();
    let good = fs.peek(&last).unwrap();
    fs.overwrite(&last, &[&good[..], b"half a frame"].concat());
    let used: u64 = fs.files().iter().map(|path| fs.peek(path).unwrap().len() as u64).sum();
    fs.set_capacity_bytes(Some(used));
    let (_, recovery) = open(&fs);
    assert_eq!(recovery.dropped[0].kept_as, None);
    assert_eq!(recovered_raws(&recovery).len(), 24);
}

#[test]
fn a_failed_sync_stops_the_journal_until_it_is_opened_again() {
    let fs = written(false);
    let (mut journal, _) = open(&fs);
    fs.fail_call(1, Fault::Eio);
    let appended = journal.append(vec![commit("Syslog", "unsure", 1)], now());
    assert!(matches!(appended.outcomes[0], Err(Error::Poisoned { .. })));
    let error = journal.append(vec![commit("Syslog", "later", 1)], now()).outcomes.remove(0).unwrap_err();
    assert!(error.to_string().contains("recovered by a restart"), "{error}");
    drop(journal);
    let (mut journal, recovery) = open(&fs);
    let before = recovered_raws(&recovery);
    stored(&journal.append(vec![commit("Syslog", "after", 1)], now()), 0);
    // What was read back is on disk now, whatever the failed sync had left.
    for seed in 0..20 {
        let copy = SimFs::new();
        fs.files().iter().for_each(|path| copy.overwrite(path, &fs.peek(path).unwrap()));
        fs.crash(seed);
        let after = recovered_raws(&open(&fs).1);
        assert_eq!(after.len(), before.len() + 1, "seed {seed}");
    }
}

#[test]
fn an_append_that_fails_and_cannot_be_cut_back_stops_the_journal() {
    let fs = written(false);
    let (mut journal, _) = open(&fs);
    fs.fail_call(0, Fault::ShortWrite);
    fs.fail_call(1, Fault::Eio);
    assert!(matches!(journal.append(vec![commit("Syslog", "x", 1)], now()).outcomes[0], Err(Error::DiskFull { .. })));
    assert!(journal.poisoned().unwrap().contains("could not be cut back"));
}
