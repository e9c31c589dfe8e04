//! Samples with the rows expected of them: `testdata/<format>/<case>.log` and `.expected.jsonl`.
//!
//! `MONETA_UPDATE_GOLDENS=1` writes the expected files; a person reads the difference before it is committed.

use std::fmt::Write as _;
use std::path::Path;

use moneta_formats::Format;

use crate::support::{Whole, decode_pieces, options};

/// One line per row, then one per quarantined record.
fn show(whole: &Whole) -> String {
    let mut text = String::new();
    for row in whole.rows() {
        writeln!(text, "{}", serde_json::Value::from(row)).unwrap();
    }
    for record in &whole.quarantined {
        let (code, offset) = (record.reason_code, record.offset);
        let original = String::from_utf8_lossy(&record.bytes).chars().take(80).collect::<String>();
        writeln!(text, "{}", serde_json::json!({"quarantined": code, "offset": offset, "original": original})).unwrap();
    }
    text
}

fn check(format: Format) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(format.name());
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        cases += 1;
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let found = show(&decode_pieces(format, options(&name), &bytes, usize::MAX));
        let in_pieces = show(&decode_pieces(format, options(&name), &bytes, 7));
        assert_eq!(in_pieces, found, "{name}: the rows depend on how the bytes arrive");
        let expected_path = path.with_extension("expected.jsonl");
        if std::env::var_os("MONETA_UPDATE_GOLDENS").is_some() {
            std::fs::write(&expected_path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        assert_eq!(found, expected, "{name}");
    }
    assert!(cases > 0, "no cases in {}", folder.display());
}

#[test]
fn syslog_samples() {
    check(Format::Syslog);
}

#[test]
fn w3c_samples() {
    check(Format::W3c);
}

#[test]
fn json_lines_samples() {
    check(Format::Ndjson);
}

#[test]
fn json_samples() {
    check(Format::Json);
}

#[test]
fn every_text_row_keeps_its_original() {
    let text = "<13>Jun  1 10:00:00 h a: one\n<13>Jun  1 10:00:01 h a: two  \n";
    let whole = decode_pieces(Format::Syslog, options("x"), text.as_bytes(), 1000);
    let raw = whole.batches[0].rows.column_by_name("_Raw").unwrap();
    let lines: Vec<&str> = arrow::array::AsArray::as_string::<i32>(raw).iter().flatten().collect();
    assert_eq!(lines, text.lines().collect::<Vec<_>>());
}

#[test]
fn a_given_table_takes_every_record() {
    let mut given = options("x.json");
    given.table = Some(moneta_base::TableName::new("SecurityEvent").unwrap());
    let json = br#"[{"TimeGenerated":"2026-06-01T00:00:00Z","EventID":4688,"Channel":"Security","Mine":1}]"#;
    let row = decode_pieces(Format::Json, given, json, 1000).rows().remove(0);
    assert_eq!(row["Type"], "SecurityEvent");
    assert_eq!(row["EventID"], 4688);
    assert_eq!(row["TimeGenerated"], "2026-06-01T00:00:00.0000000Z");
    assert_eq!(row["_Extra"], serde_json::json!({"Mine": 1}));
}
