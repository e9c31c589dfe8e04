//! T11: one edit of one file of an installation, of every kind, is found; an installation that nobody touched is clean.
//!
//! `MONETA_EDITS` says how many edits are tried, `MONETA_CLEAN_RUNS` how often a clean directory is checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use moneta_testkit::Random;
use moneta_verify::{Options, verify_store};

use crate::installation::{Installation, files_below, submit, table};

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// What was done to a file, in words, and what it holds afterwards; `None` when it is gone.
fn edit(random: &mut Random, good: &[u8], other: &[u8]) -> (&'static str, Option<Vec<u8>>) {
    let at = random.below(good.len().max(1));
    let mut bytes = good.to_vec();
    let what = match random.below(8) {
        0 | 1 if !bytes.is_empty() => {
            bytes[at] ^= 1 << random.below(8);
            "a flipped bit"
        }
        2 if !bytes.is_empty() => {
            bytes.remove(at);
            "a byte taken out"
        }
        3 => {
            bytes.insert(at, b'0' + u8::try_from(random.below(10)).unwrap());
            "a byte put in"
        }
        4 => {
            bytes.truncate(at);
            "an end cut off"
        }
        5 => {
            let len = (bytes.len() - at) / 2;
            let (left, right) = bytes[at..].split_at_mut(len);
            right[..len].swap_with_slice(left);
            "two parts exchanged"
        }
        6 => {
            bytes = other.to_vec();
            "the bytes of another file"
        }
        7 => return ("removed", None),
        _ => {
            bytes.push(0);
            "a byte added"
        }
    };
    (what, Some(bytes))
}

/// Edits files one at a time, and counts by kind of file.
fn check_edits(data: &Path, files: &[PathBuf], edits: usize, seed: u64) -> BTreeMap<String, usize> {
    let mut random = Random::new(seed);
    let mut done = BTreeMap::new();
    while done.values().sum::<usize>() < edits {
        let file = &files[random.below(files.len())];
        let good = std::fs::read(data.join(file)).unwrap();
        let other = std::fs::read(data.join(&files[random.below(files.len())])).unwrap();
        let (what, bad) = edit(&mut random, &good, &other);
        if bad.as_ref() == Some(&good) {
            continue;
        }
        match bad {
            Some(bad) => std::fs::write(data.join(file), bad).unwrap(),
            None => std::fs::remove_file(data.join(file)).unwrap(),
        }
        // A directory without its own key cannot be checked at all, which is no less a finding.
        let is_found = verify_store(data, Options::default()).map_or(true, |report| !report.is_clean());
        std::fs::write(data.join(file), &good).unwrap();
        assert!(is_found, "seed {seed}: {what} in {} was not found", file.display());
        *done.entry(kind_of(file)).or_default() += 1;
    }
    done
}

fn kind_of(file: &Path) -> String {
    let mut parts = file.iter().map(|part| part.to_string_lossy());
    let first = parts.next().unwrap_or_default().into_owned();
    let last = parts.next_back().unwrap_or_default();
    match last.rsplit_once('.') {
        Some((_, end)) if first != "ledger" => format!("{first} .{end}"),
        _ if file.iter().any(|part| part == "entries") => format!("{first} entries"),
        _ if last == "checkpoint" => format!("{first} checkpoint"),
        _ => first,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t11_after_a_clean_shutdown_an_edit_of_any_file_is_found() {
    let installation = Installation::new();
    installation.fill().await;
    let data = installation.dir.path();
    for _ in 0..number("MONETA_CLEAN_RUNS", 3) {
        assert_eq!(verify_store(data, Options::default()).unwrap().findings, []);
    }
    let files: Vec<_> = files_below(data).into_iter().filter(|file| !file.ends_with("lock")).collect();
    let done = check_edits(data, &files, number("MONETA_EDITS", 150), 11);
    println!("every edit found: {done:?}");
}

/// Without an inventory, the ledger covers itself, the segments, and what of the journal is not in a segment yet.
#[tokio::test(flavor = "multi_thread")]
async fn t11_after_a_crash_an_edit_of_what_the_ledger_covers_is_found() {
    let installation = Installation::new();
    let ingest = installation.open();
    for (day, rows) in [(0, 120), (1, 80)] {
        installation.set_day(day);
        submit(&ingest, "Syslog", day, rows).await;
        submit(&ingest, "Words_CL", day, rows).await;
        ingest.seal_all().unwrap();
    }
    ingest.publish_now().await.unwrap();
    assert_eq!(ingest.store().snapshot(&table("Syslog")).unwrap().segments.len(), 2);
    drop(ingest);
    let data = installation.dir.path();
    for _ in 0..number("MONETA_CLEAN_RUNS", 3) {
        assert_eq!(verify_store(data, Options::default()).unwrap().findings, []);
    }
    let is_covered =
        |file: &PathBuf| file.starts_with("ledger") || file.extension().is_some_and(|end| end == "parquet");
    let files: Vec<_> = files_below(data).into_iter().filter(is_covered).collect();
    let done = check_edits(data, &files, number("MONETA_EDITS", 150), 12);
    println!("every edit found: {done:?}");
}
