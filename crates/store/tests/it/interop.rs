//! Readers we did not write open a table of ours: DuckDB, Polars, deltalake and Spark, from PyPI.
//!
//! Needs `python3`, for Spark `java`, and, the first time, the package index; without them the tests say so and, on a build
//! server, fail.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use moneta_base::{SourceName, Timestamp};
use moneta_event::Value;
use moneta_host::RealFs;
use moneta_store::Store;
use moneta_testkit::corpus::workspace_root;
use moneta_testkit::{TestDir, python_or_skip};

use crate::support::*;

/// What became of a table since its rows were written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Written,
    Dropped,
    MergedAndDropped,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Written, Self::Dropped, Self::MergedAndDropped];

    /// Rows that readers must see.
    fn num_rows(self) -> usize {
        match self {
            Self::Written => 3_000,
            Self::Dropped => 2_000,
            Self::MergedAndDropped => 2_110,
        }
    }
}

/// Rows in segments of three days; the second is dropped and the third merged by stages.
fn write_tables(dir: &Path, stage: Stage) {
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
    if stage == Stage::MergedAndDropped {
        let later = now().saturating_add(Duration::from_secs(86_400 * 3));
        let run = store.due_merge(&table("Syslog"), later.day(), &|_| false).unwrap();
        assert_eq!(run.len(), 3);
        store.merge(&run, &headers, later).unwrap();
    }
    if stage != Stage::Written {
        let dropped = store.snapshot(&table("Syslog")).unwrap().segments[1].shard.clone();
        store.drop_shard(&dropped, now()).unwrap();
    }
    if stage == Stage::MergedAndDropped {
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

/// `TimeGenerated` of the first row.
const FIRST_TIME: &str = "2026-01-02T03:04:05.123456";

#[test]
fn duckdb_polars_and_deltalake_read_what_stands_in_a_table() {
    let Some(python) = python_or_skip(3, "tests/interop/requirements.txt") else { return };
    for stage in Stage::ALL {
        read_with(&python, stage);
    }
}

fn read_with(python: &Path, stage: Stage) {
    let dir = TestDir::new();
    write_tables(dir.path(), stage);
    write_events(dir.path());
    let num_rows = stage.num_rows();
    let output = Command::new(python)
        .arg(workspace_root().join("tests/interop/delta_readers.py"))
        .arg(dir.join("Syslog"))
        .args([&num_rows.to_string(), FIRST_TIME])
        .arg(dir.join("Events_CL"))
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for reader in ["duckdb", "polars", "deltalake"] {
        assert!(out.contains(&format!("{reader}: {num_rows} rows")), "{out}");
    }
}

#[test]
fn spark_reads_what_stands_in_a_table() {
    if let Err(error) = Command::new("java").arg("-version").output() {
        eprintln!("no Java runtime, 3 cases not run: {error}");
        assert!(std::env::var_os("CI").is_none(), "no Java runtime: scripts/install-debian.sh test");
        return;
    }
    let Some(python) = python_or_skip(3, "tests/interop/requirements-spark.txt") else { return };
    let dir = TestDir::new();
    write_events(dir.path());
    let mut command = Command::new(python);
    command.arg(workspace_root().join("tests/interop/spark_reader.py")).arg(FIRST_TIME).arg(dir.join("Events_CL"));
    for (number, stage) in Stage::ALL.into_iter().enumerate() {
        let dir = dir.path().join(number.to_string());
        write_tables(&dir, stage);
        command.arg(dir.join("Syslog")).arg(stage.num_rows().to_string());
    }
    let output = command.current_dir(dir.path()).env("SPARK_LOCAL_IP", "127.0.0.1").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for num_rows in Stage::ALL.map(Stage::num_rows) {
        assert!(out.contains(&format!("spark: {num_rows} rows")), "{out}");
    }
    eprintln!("{out}");
}
