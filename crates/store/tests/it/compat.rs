//! Segments and catalogs of every version must load for ever.
//!
//! `testdata/compat/store/v1` was written by the first version. `UPDATE_SAMPLES=1` writes a missing sample and never
//! replaces one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use moneta_base::{SourceName, Timestamp};
use moneta_event::Value;
use moneta_host::RealFs;
use moneta_testkit::TestDir;

use crate::support::*;

const TABLE: &str = "Sample_CL";

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/compat/store").join(name)
}

/// Three days of two blocks each, the first day dropped.
fn write_sample(dir: &Path) {
    let store = open_on(Arc::new(RealFs), dir).unwrap();
    let mut made = Blocks::default();
    for number in 0..3 {
        let day = now().saturating_add(Duration::from_secs(86_400 * number));
        for value in [Value::Long(7), Value::Long(-7)] {
            let mut rows = builder(TABLE);
            rows.set_field("long", value);
            rows.set_field("real", Value::Real(0.5));
            rows.set_field("text", Value::Text("Zürich"));
            rows.set_field("time", Value::Time(Timestamp::parse("1969-12-31T23:59:59.9999999Z").unwrap()));
            rows.set_field("span", Value::Span(-1_500_000_100));
            rows.set_field("json", Value::Json("[1,null]"));
            rows.finish_row(day, &SourceName::lossy("sample"), "a row of Zürich");
            rows.finish_row(now(), &SourceName::lossy("sample"), "a row without values");
            for record in 0..40 {
                let path = format!(r"C:\{:x}\tool.exe", record * 0x9e37_79b9_u64);
                let data = format!(r#"{{"hash":"{:016x}"}}"#, record * 0x9e37_79b9_7f4a);
                let message = format!("started path: {path} with {}", &data[9..25]);
                rows.set_field("path", Value::Text(&path));
                rows.set_field("json", Value::Json(&data));
                rows.set_field("message", Value::Text(&message));
                rows.finish_row(day, &SourceName::lossy("sample"), &serde_json::json!({ "m": message }).to_string());
            }
            store.add_hot(made.make(TABLE, day, rows)).unwrap();
        }
        store.publish(store.seal(&table(TABLE)).unwrap().unwrap(), day).unwrap();
    }
    let first = store.snapshot(&table(TABLE)).unwrap().segments[0].shard.clone();
    store.drop_shard(&first, now()).unwrap();
}

/// Every column and record that the store yields, as text.
fn summarise(dir: &Path) -> String {
    let store = open_on(Arc::new(RealFs), dir).unwrap();
    let snapshot = store.snapshot(&table(TABLE)).unwrap();
    let mut out = format!("sealed up to {}\n", store.sealed_ends()[&table(TABLE)]);
    for segment in &snapshot.segments {
        writeln!(out, "{} {} {}", segment.path, segment.hash, segment.blocks_root).unwrap();
    }
    for column in snapshot.schema.columns() {
        writeln!(out, "{} {}", column.name, column.column_type).unwrap();
    }
    for record in records(&all_rows(&store, &snapshot)) {
        writeln!(out, "{}", record.escape_ascii()).unwrap();
    }
    out
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_store_of_version_1_loads() {
    loads("v1");
}

#[test]
fn a_store_of_version_2_whose_originals_are_templates_loads() {
    loads("v2");
}

#[test]
fn a_store_of_version_3_whose_messages_are_templates_loads() {
    loads("v3");
}

fn loads(version: &str) {
    let expected = sample(&format!("{version}.expected.txt"));
    if std::env::var_os("UPDATE_SAMPLES").is_some() && !sample(version).exists() {
        write_sample(&sample(version));
        std::fs::write(&expected, summarise(&sample(version))).unwrap();
    }
    // Opening may tidy: the sample itself stays untouched.
    let dir = TestDir::new();
    copy(&sample(version), dir.path());
    assert_eq!(summarise(dir.path()), std::fs::read_to_string(expected).unwrap());
}
