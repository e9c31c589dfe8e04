//! Real samples, where they are present: rows per table as checked in, nothing lost.
//!
//! `MONETA_UPDATE_GOLDENS=1` writes the counts; a person reads the difference before it is committed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use moneta_base::Timestamp;
use moneta_formats::{DecodeOptions, Format};
use moneta_testkit::corpus_or_skip;

use crate::support::{Whole, decode, decode_pieces, options};

/// Counts of one folder: rows per table, quarantined records per reason.
#[derive(Default)]
struct Counts(BTreeMap<String, usize>);

impl Counts {
    fn add(&mut self, whole: &Whole) {
        for batch in &whole.batches {
            *self.0.entry(format!("rows {}", batch.table)).or_default() += batch.rows.num_rows();
        }
        for record in &whole.quarantined {
            *self.0.entry(format!("quarantined {}", record.reason_code)).or_default() += 1;
        }
        if whole.members_skipped > 0 {
            *self.0.entry("members skipped".to_owned()).or_default() += whole.members_skipped as usize;
        }
    }

    /// Compares with the checked-in counts of the folder; the difference is the error.
    fn check(&self, folder: &str) -> Result<(), String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/corpus_counts").join(format!("{folder}.txt"));
        let mut found = String::new();
        for (what, count) in &self.0 {
            writeln!(found, "{what} {count}").unwrap();
        }
        if std::env::var_os("MONETA_UPDATE_GOLDENS").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if found == expected { Ok(()) } else { Err(format!("{folder}: expected\n{expected}found\n{found}")) }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn windows_event_log_files() {
    let Some(path) = corpus_or_skip(185, "samples/evtx") else { return };
    for file in files(&path) {
        let bytes = std::fs::read(&file).unwrap();
        let name = name_of(&file);
        let whole = decode(&name, &bytes);
        let (readable, unreadable) = read_with_crate(bytes);
        // Audit events of SQL Server are rows of two tables.
        let audits = whole.rows().iter().filter(|row| row["Type"] == "SQLSecurityAuditEvents").count();
        assert_eq!(whole.num_rows() - audits, readable, "{name}: rows");
        assert_eq!(whole.quarantined.len(), unreadable, "{name}: quarantined {:?}", whole.reasons());
    }
}

/// How many records the evtx crate reads by itself, and how many it reports as damaged.
fn read_with_crate(bytes: Vec<u8>) -> (usize, usize) {
    let settings = evtx::ParserSettings::default().num_threads(1).indent(false);
    let mut parser = evtx::EvtxParser::from_buffer(bytes).unwrap().with_configuration(settings);
    parser.records_json().fold((0, 0), |(ok, bad), record| if record.is_ok() { (ok + 1, bad) } else { (ok, bad + 1) })
}

/// Every field of an event's data section must be found in its row, under its own name.
#[test]
fn no_field_of_an_event_is_lost() {
    let Some(path) = corpus_or_skip(185, "samples/evtx") else { return };
    let mut fields = 0;
    for file in files(&path) {
        let whole = decode(&name_of(&file), &std::fs::read(&file).unwrap());
        for (row, raw) in whole.rows().iter().zip(whole.originals()) {
            let event: serde_json::Value = serde_json::from_str(&raw).unwrap();
            let Some(data) = event["Event"]["EventData"].as_object() else { continue };
            for (name, value) in data.iter().filter(|(_, value)| !value.is_object() && !value.is_null()) {
                let expected = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if expected.is_empty() || value.is_array() {
                    continue;
                }
                fields += 1;
                let found = [Some(row), row.get("_Extra").and_then(|extra| extra.as_object())];
                let is_there = found.into_iter().flatten().filter_map(|fields| fields.get(name)).any(|found| {
                    let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
                    text == expected
                        || expected.parse::<i64>().ok() == found.as_i64()
                        || hexadecimal(&expected) == found.as_i64()
                });
                assert!(is_there, "{}: {name}={expected} is not in {row:?}", file.display());
            }
        }
    }
    assert!(fields > 40_000, "{fields}");
}

fn hexadecimal(text: &str) -> Option<i64> {
    i64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Endings of files that say what is expected of samples, or hold them within another format: other tests read these.
const EXPECTATIONS: [&str; 3] = [".golden", ".ini", ".yaml"];

/// What files of a folder are where their content does not say it.
fn format_of(folder: &str) -> Option<Format> {
    match folder {
        "syslog" | "syslog_auth" => Some(Format::Syslog),
        "system_center" => Some(Format::ClientLog),
        _ => None,
    }
}

/// Decodes every file of a folder; what is not recognised is counted as that, by name.
fn counts_of(folder: &Path) -> Counts {
    let mut counts = Counts::default();
    for file in files(folder) {
        let name = name_of(&file);
        if EXPECTATIONS.iter().any(|ending| name.ends_with(ending)) {
            continue;
        }
        let bytes = std::fs::read(&file).unwrap();
        let head = &bytes[..bytes.len().min(moneta_formats::HEAD_BYTES)];
        match format_of(&name_of(folder)).or_else(|| moneta_formats::recognise(&name, head)) {
            Some(format) => {
                // Later than any of the samples says, so that none counts as of the future.
                let received = Timestamp::parse("2026-12-01").unwrap();
                let options = DecodeOptions { received, ..options(&name) };
                counts.add(&decode_pieces(format, options, &bytes, 100_000));
            }
            None => *counts.0.entry(format!("not recognised {name}")).or_default() += 1,
        }
    }
    counts
}

/// Every folder of samples has counts that a person read, and still gives them.
#[test]
fn every_folder_of_samples_gives_the_rows_that_were_counted() {
    let Some(root) = corpus_or_skip(1_100, "samples") else { return };
    let mut wrong = Vec::new();
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir() && name_of(path) != "LICENSES");
    folders.sort();
    for folder in &folders {
        wrong.extend(counts_of(folder).check(&name_of(folder)).err());
    }
    assert_eq!(wrong, [""; 0]);
}
