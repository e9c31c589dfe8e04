//! Runs over sample corpora: no address survives, scrubbing is stable, and what was tokenised is printed for people.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use moneta_testkit::corpus_or_skip;

use crate::support::scrubber;

/// Text files larger than this are cut: the test is about kinds of text, not amounts.
const FILE_BYTES_MAX: usize = 2 << 20;

#[test]
fn corpora_scrub_to_stable_text_without_addresses() {
    let Some(corpus) = corpus_or_skip(1, "samples") else { return };
    let mut files = Vec::new();
    collect(&corpus, &mut files);
    files.sort();
    let scrubber = scrubber();
    let address =
        regex::Regex::new(r"(?i)\b[a-z0-9._+-]+@[a-z0-9-]+(\.[a-z0-9-]+)*\.(com|org|net|edu|local)\b").unwrap();
    let mut by_kind: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut survivors = BTreeMap::new();
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        let Ok(text) = std::str::from_utf8(&bytes[..bytes.len().min(FILE_BYTES_MAX)]) else { continue };
        for line in text.lines() {
            let scrubbed = scrubber.scrub_text(line);
            if scrubbed == line {
                continue;
            }
            assert_eq!(scrubber.scrub_text(&scrubbed), scrubbed, "{}", file.display());
            for kind in ["email", "phone", "card", "name", "user", "text"] {
                let count = scrubbed.matches(&format!("tk1_{kind}_")).count() as u64;
                let entry = by_kind.entry(kind.to_owned()).or_default();
                entry.0 += count;
                entry.1 += u64::from(count > 0);
            }
            if let Some(found) = address.find(&scrubbed) {
                survivors.insert(found.as_str().to_owned(), file.clone());
            }
            print_sample(line, &scrubbed);
        }
    }
    println!("{} files; values and lines by kind: {by_kind:?}", files.len());
    survivors.retain(|address, _| {
        !["openssh.com", "libssh.org", "github.com", "ssh.com"].iter().any(|d| address.ends_with(d))
    });
    assert!(survivors.is_empty(), "{survivors:?}");
}

/// Prints lines for review when asked to: `MONETA_SCRUB_SAMPLE=phone`.
fn print_sample(line: &str, scrubbed: &str) {
    let Ok(kind) = std::env::var("MONETA_SCRUB_SAMPLE") else { return };
    if let Some(at) = scrubbed.find(&format!("tk1_{kind}_")) {
        let from = (0..=at).find(|from| at - from <= 40 && line.is_char_boundary(*from)).unwrap_or(at);
        println!("{kind}: {}", line[from..].chars().take(90).collect::<String>());
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
