//! Journals of every version must load for ever.
//!
//! `testdata/compat/journal/v1.wal` was written by the first version. `UPDATE_SAMPLES=1` writes a missing sample and
//! never replaces one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use moneta_base::{SourceName, Timestamp};
use moneta_event::Value;
use moneta_event::record::RecordEncoder;
use moneta_journal::{Commit, MarkKind, ProducerMark};
use moneta_testkit::SimFs;

use crate::support::*;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/compat/journal").join(name)
}

/// One row with a value of every type that a builder makes.
fn typed_commit() -> Commit {
    let mut rows = builder("Sample_CL");
    for (name, value) in [
        ("bool", Value::Bool(true)),
        ("long", Value::Long(-9_000_000_000)),
        ("real", Value::Real(0.5)),
        ("text", Value::Text("Zürich")),
        ("time", Value::Time(Timestamp::parse("2026-01-02T03:04:05.1234567Z").unwrap())),
        ("span", Value::Span(-1_500_000_000)),
        ("json", Value::Json(r#"{"a":[1,null]}"#)),
    ] {
        rows.set_field(name, value);
    }
    rows.finish_row(now(), &SourceName::lossy("sample"), "typed row");
    Commit { batches: vec![scrub(rows)], mark: Some(mark("agent", 3, "typed")) }
}

fn write_sample() -> (Vec<u8>, String) {
    let fs = SimFs::new();
    let (mut journal, _) = open(&fs);
    let key = ProducerMark { kind: MarkKind::IdempotencyKey, ..mark("key", 0, "k") };
    journal.append(vec![commit("Syslog", "first", 2), typed_commit()], now());
    journal.append(vec![Commit { batches: vec![batch("Syslog", "second", 1)], mark: Some(key) }], now());
    journal.close().unwrap();
    let bytes = fs.peek(&Path::new(DIR).join("00000001.wal")).unwrap();
    let summary = summarise(&bytes);
    (bytes, summary)
}

/// Everything recovery yields, as text.
fn summarise(bytes: &[u8]) -> String {
    let fs = SimFs::new();
    let path = Path::new(DIR).join("00000001.wal");
    moneta_base::fs::FileSystem::create_dir_all(&fs, Path::new(DIR)).unwrap();
    fs.overwrite(&path, bytes);
    let (journal, recovery) = open(&fs);
    let mut out = format!("frames {} closed {}\n", recovery.num_frames, recovery.was_closed);
    for block in &recovery.blocks {
        let header = &block.header;
        writeln!(out, "{} {} {} {}", header.shard, header.first_seq, header.record_root, header.hash()).unwrap();
        let records = RecordEncoder::new(&block.rows).unwrap();
        let mut record = Vec::new();
        for row in 0..block.rows.num_rows() {
            records.encode(row, &mut record);
            writeln!(out, "  {}", record.escape_ascii()).unwrap();
        }
    }
    writeln!(out, "agent {:?}", journal.high_water("agent")).unwrap();
    out
}

#[test]
fn a_journal_of_version_1_loads() {
    if std::env::var_os("UPDATE_SAMPLES").is_some() && !sample("v1.wal").exists() {
        let (bytes, summary) = write_sample();
        std::fs::write(sample("v1.wal"), bytes).unwrap();
        std::fs::write(sample("v1.expected.txt"), summary).unwrap();
    }
    let bytes = std::fs::read(sample("v1.wal")).unwrap();
    assert_eq!(summarise(&bytes), std::fs::read_to_string(sample("v1.expected.txt")).unwrap());
}
