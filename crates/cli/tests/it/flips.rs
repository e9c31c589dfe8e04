//! A stored directory in which single bits are turned: the check finds each and names the file, and cries wolf never.
//!
//! `MONETA_FLIPS` sets the number of flips.

use std::path::Path;

use moneta_testkit::{Random, TestDir};
use moneta_verify::{Options, Report, verify_store};

use crate::support::{Moneta, copy_dir, files_below, json_lines, number, syslog_lines};

/// Checks of the unchanged directory.
const CLEAN_RUNS: usize = 20;

/// A directory with something of everything, cleanly stopped.
fn stored() -> Moneta {
    let moneta = Moneta::new();
    moneta.file("rules/rule.yml", crate::hunting::RULE);
    moneta.ok(&[
        "ingest",
        &moneta.file("syslog", syslog_lines(3_000)),
        &moneta.file("steps.ndjson", json_lines(2_000)),
    ]);
    moneta.ok(&["rules", "add", moneta.dir.join("rules").to_str().unwrap()]);
    moneta.ok(&["ingest", &moneta.file("more.ndjson", format!("{}{{broken\n", json_lines(500)))]);
    moneta.ok(&["ingest", &moneta.file("auth.log", crate::hunting::LOG)]);
    moneta
}

fn check(data: &Path, key: &moneta_merkle::VerifierKey) -> Report {
    verify_store(data, Options { key: Some(key.clone()), quorum: None, moved: None }).unwrap()
}

#[test]
fn every_flipped_bit_is_found_and_nothing_else() {
    let flips = number("MONETA_FLIPS", 100);
    let moneta = stored();
    let key = moneta.verifier_key();
    let copy = TestDir::new();
    copy_dir(&moneta.data(), copy.path());
    for run in 0..CLEAN_RUNS {
        let report = check(copy.path(), &key);
        assert!(report.is_clean(), "run {run}: {:?}", report.findings);
    }
    // The lock file holds the id of the last process and is no part of what is stored.
    let files: Vec<_> = files_below(copy.path()).into_iter().filter(|file| !file.ends_with("lock")).collect();
    let sizes: Vec<usize> = files.iter().map(|file| usize::try_from(file.metadata().unwrap().len()).unwrap()).collect();
    let total: usize = sizes.iter().sum();
    let mut random = Random::new(6);
    let mut located = 0;
    for flip in 0..flips {
        // Half of the flips fall anywhere, half in files in turn: small files matter as much as large ones.
        let (index, offset) =
            if flip % 2 == 0 { place(&sizes, random.below(total)) } else { in_some_file(&sizes, flip, &mut random) };
        let (file, bit) = (&files[index], random.below(8));
        let mut bytes = std::fs::read(file).unwrap();
        bytes[offset] ^= 1 << bit;
        std::fs::write(file, &bytes).unwrap();
        let report = check(copy.path(), &key);
        let name = file.strip_prefix(copy.path()).unwrap().to_str().unwrap();
        let named = report.findings.iter().any(|finding| finding.file == name);
        assert!(named, "{name}, byte {offset}, bit {bit}: {:?}", report.findings);
        located += usize::from(report.findings.iter().any(|finding| finding.block.is_some()));
        bytes[offset] ^= 1 << bit;
        std::fs::write(file, &bytes).unwrap();
    }
    println!(
        "{flips} flips in {} files, {total} bytes: all found and their file named, {located} with block; {CLEAN_RUNS} clean runs",
        files.len()
    );
    assert!(check(copy.path(), &key).is_clean());
}

/// The file and the position in it of a position in all files together.
fn place(sizes: &[usize], mut offset: usize) -> (usize, usize) {
    for (index, size) in sizes.iter().enumerate() {
        if offset < *size {
            return (index, offset);
        }
        offset -= size;
    }
    unreachable!("the offset is below the sum of the sizes")
}

fn in_some_file(sizes: &[usize], flip: usize, random: &mut Random) -> (usize, usize) {
    let filled: Vec<usize> = (0..sizes.len()).filter(|index| sizes[*index] > 0).collect();
    let index = filled[flip % filled.len()];
    (index, random.below(sizes[index]))
}

#[test]
fn the_command_tells_a_finding_from_a_check_that_could_not_run() {
    let moneta = stored();
    let key = moneta.dir.join("key");
    std::fs::copy(moneta.data().join("keys/ledger.vkey"), &key).unwrap();
    let verify = || moneta.run(&["verify", "--key", key.to_str().unwrap()]);
    assert_eq!(verify().code, 0, "{:?}", verify());
    let segment =
        files_below(&moneta.data()).into_iter().find(|file| file.extension().is_some_and(|e| e == "parquet")).unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let run = verify();
    assert!(run.code == 1 && run.stdout.contains(segment.file_name().unwrap().to_str().unwrap()), "{run:?}");
    assert_eq!(moneta.run(&["verify", "--key", "/no/such/key"]).code, 74);
    assert_eq!(moneta.run(&["verify", "--data-dir", "/no/such/dir"]).code, 69);
}
