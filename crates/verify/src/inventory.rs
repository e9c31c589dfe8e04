//! The inventory: a signed list of every file, written at a clean shutdown and removed at the next start.
//!
//! It covers what the ledger does not: keys, the metastore, catalogs, settings. While the server runs, and after a
//! crash, there is none, and only what the ledger covers can be checked.
//!
//! # Layout, version 1
//! A C2SP signed note, file `inventory`, signed with the ledger's key. Text:
//! ```text
//! moneta inventory v1
//! <sha256 hex> <size in bytes> <path relative to the data directory>     one line a file, in order of path
//! ```

use std::collections::BTreeSet;
use std::path::Path;

use moneta_merkle::{SignedNote, VerifierKey, sha256};

use crate::Report;

/// Name of the file.
pub const FILE_NAME: &str = "inventory";
/// First line of the text.
pub const HEADER: &str = "moneta inventory v1";
/// Files that are not listed: the inventory itself, and the lock, which every process rewrites.
pub const NOT_LISTED: [&str; 2] = [FILE_NAME, "lock"];

/// Compares every file with the inventory, if there is one.
pub fn check(data: &Path, key: &VerifierKey, report: &mut Report) {
    let bytes = match std::fs::read(data.join(FILE_NAME)) {
        Ok(bytes) => bytes,
        Err(_) => {
            report.notes.push("no inventory: Moneta runs, or did not shut down cleanly; keys, settings and accounts were not compared".to_owned());
            return;
        }
    };
    let note = SignedNote::parse(&bytes)
        .and_then(|note| note.verify(std::slice::from_ref(key)).map(|_| note.text().to_owned()));
    let text = match note {
        Ok(text) => text,
        Err(error) => return report.find(FILE_NAME, error.to_string()),
    };
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return report.find(FILE_NAME, "it is not an inventory of version 1");
    }
    let mut listed = BTreeSet::new();
    for line in lines {
        check_line(data, line, report);
        listed.extend(line.splitn(3, ' ').nth(2).map(str::to_owned));
    }
    report.num_inventory_files = listed.len() as u64;
    for path in files_below(data) {
        if !listed.contains(&path) {
            report.find(&path, "the inventory does not list it");
        }
    }
}

fn check_line(data: &Path, line: &str, report: &mut Report) {
    let mut parts = line.splitn(3, ' ');
    let (Some(hash), Some(size), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return report.find(FILE_NAME, format!("line {line:?} is malformed"));
    };
    match std::fs::read(data.join(path)) {
        Ok(bytes) if bytes.len().to_string() != size => {
            report.find(path, format!("it has {} bytes, the inventory says {size}", bytes.len()))
        }
        Ok(bytes) if sha256(&bytes).to_hex() != hash => {
            report.find(path, "its SHA-256 is not the one in the inventory")
        }
        Ok(_) => {}
        Err(error) => report.find(path, error.to_string()),
    }
}

/// The text of an inventory of a directory.
///
/// # Errors
/// When a file cannot be read.
pub fn text_of(data: &Path) -> std::io::Result<String> {
    let mut text = format!("{HEADER}\n");
    for path in files_below(data) {
        let bytes = std::fs::read(data.join(&path))?;
        text.push_str(&format!("{} {} {path}\n", sha256(&bytes).to_hex(), bytes.len()));
    }
    Ok(text)
}

/// Every file below a directory that an inventory lists, in order of path.
fn files_below(data: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut pending = vec![data.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(path);
            } else if let Some(name) = path.strip_prefix(data).ok().and_then(|path| path.to_str())
                && !NOT_LISTED.contains(&name)
            {
                found.insert(name.to_owned());
            }
        }
    }
    found
}
