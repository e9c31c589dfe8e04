//! Readers we did not write open a table of ours: DuckDB, Polars and deltalake, from PyPI.
//!
//! Needs `python3` and, the first time, the package index; without them the test says so and, on a build server, fails.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use moneta_base::{SourceName, Timestamp};
use moneta_event::Value;
use moneta_host::RealFs;
use moneta_store::Store;
use moneta_testkit::TestDir;
use moneta_testkit::corpus::workspace_root;

use crate::support::*;

/// Rows in segments of three days, the second dropped and the third merged when asked for.
fn write_tables(dir: &Path, is_merged: bool) {
    let store = open_on(Arc::new(RealFs), dir).unwrap();
    let mut made = Blocks::default();
    let mut headers = Vec::new();
    for (number, num_rows) in [(0, 1_000), (1, 1_000), (2, 300), (2, 500), (2, 200)] {
        let day = now().saturating_add(Duration::from_secs(86_400 * number));
        let block = made.simple("Syslog", day, num_rows);
        headers.push(block.header.clone());
        store.add_hot(block).unwrap();
        store.publish(store.seal(&table("Syslog")).unwrap().unwrap(), day).unwrap();
    }
    if is_merged {
        let later = now().saturating_add(Duration::from_secs(86_400 * 3));
        let run = store.due_merge(&table("Syslog"), later.day(), &|_| false).unwrap();
        assert_eq!(run.len(), 3);
        store.merge(&run, &headers, later).unwrap();
    }
    let dropped = store.snapshot(&table("Syslog")).unwrap().segments[1].shard.clone();
    store.drop_shard(&dropped, now()).unwrap();
    if is_merged {
        add_commits(&store, &mut made);
    }
}

/// Rows added one by one by as many commits as a checkpoint takes and some more; readers that know checkpoints need not
/// read the first commits, which are taken away.
fn add_commits(store: &Store, made: &mut Blocks) {
    let later = now().saturating_add(Duration::from_secs(86_400 * 4));
    for _ in 0..110 {
        store.add_hot(made.simple("Syslog", later, 1)).unwrap();
        store.publish(store.seal(&table("Syslog")).unwrap().unwrap(), later).unwrap();
        store.checkpoint_catalogs(later).unwrap();
    }
    let log = store.file_of("Syslog/_delta_log");
    assert!(log.join("_last_checkpoint").exists());
    for version in 0..50 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
}

/// Events whose columns call for every encoding there is, and whose texts are templates of one another.
fn write_events(dir: &Path) {
    let store = open_on(Arc::new(RealFs), dir).unwrap();
    let mut rows = builder("Events_CL");
    for row in 0..3_000_u64 {
        let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let image = format!(r"C:\Windows\System32\tool-{:x}.exe", mixed >> 40);
        let member = format!("a \"{:x}\"", mixed >> 8);
        let data = serde_json::json!({ "Member": member });
        let record = 100_000 + row;
        let message = format!("Created:\r\nImage: {image}\r\nMember: {member}\r\nRecord: {record}\r\n\u{1a}");
        rows.set_field("Image", Value::Text(&image));
        rows.set_field("Kind", Value::Text(if mixed % 3 == 0 { "first" } else { "other" }));
        rows.set_field("Sorted", Value::Text(&format!("/var/log/some/where/{row:08}")));
        rows.set_field("Random", Value::Text(&format!("{:x}", mixed >> (mixed % 48))));
        rows.set_field("Record", Value::Long(i64::try_from(record).unwrap()));
        rows.set_field("Score", Value::Real(20.0 + (row as f64 / 100.0).sin()));
        rows.set_field("Data", Value::Json(&data.to_string()));
        rows.set_field("Message", Value::Text(&message));
        let time = Timestamp::from_nanos(now().as_nanos() + i64::try_from(row * 1_000_003).unwrap() * 100);
        let raw = serde_json::json!({ "Record": record, "Image": image, "Data": data, "Message": message });
        rows.finish_row(time, &SourceName::lossy("test"), &raw.to_string());
    }
    store.add_hot(Blocks::default().make("Events_CL", now(), rows)).unwrap();
    store.publish(store.seal(&table("Events_CL")).unwrap().unwrap(), now()).unwrap();
}

#[test]
fn duckdb_polars_and_deltalake_read_what_stands_in_a_table() {
    let root = workspace_root();
    let python = Command::new("sh").arg(root.join("tests/interop/environment.sh")).output().unwrap();
    if !python.status.success() {
        let reason = String::from_utf8_lossy(&python.stderr);
        assert!(std::env::var_os("CI").is_none(), "no Python environment: {reason}");
        eprintln!("no Python environment, 1 case not run: {reason}");
        return;
    }
    let python = String::from_utf8(python.stdout).unwrap();
    for is_merged in [false, true] {
        read_with(python.trim(), root, is_merged);
    }
}

fn read_with(python: &str, root: &Path, is_merged: bool) {
    let dir = TestDir::new();
    write_tables(dir.path(), is_merged);
    write_events(dir.path());
    let num_rows = if is_merged { 2_110 } else { 2_000 };
    let output = Command::new(python)
        .arg(root.join("tests/interop/delta_readers.py"))
        .arg(dir.join("Syslog"))
        .args([&num_rows.to_string(), "2026-01-02T03:04:05.123456"])
        .arg(dir.join("Events_CL"))
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for reader in ["duckdb", "polars", "deltalake"] {
        assert!(out.contains(&format!("{reader}: {num_rows} rows")), "{out}");
    }
}
