//! Readers we did not write open a table of ours: DuckDB, Polars and deltalake, from PyPI.
//!
//! Needs `python3` and, the first time, the package index; without them the test says so and, on a build server, fails.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use moneta_host::RealFs;
use moneta_testkit::TestDir;
use moneta_testkit::corpus::workspace_root;

use crate::support::*;

/// Rows in three segments of two days, two of them with other columns than the rest, one day dropped.
fn write_tables(dir: &Path) {
    let store = open_on(Arc::new(RealFs), dir).unwrap();
    let mut made = Blocks::default();
    for number in 0..3 {
        let day = now().saturating_add(Duration::from_secs(86_400 * number));
        store.add_hot(made.simple("Syslog", day, 1_000)).unwrap();
        store.publish(store.seal(&table("Syslog")).unwrap().unwrap(), day).unwrap();
    }
    let dropped = store.snapshot(&table("Syslog")).unwrap().segments[1].shard.clone();
    store.drop_shard(&dropped, now()).unwrap();
}

#[test]
fn duckdb_polars_and_deltalake_count_the_rows_and_read_a_time() {
    let root = workspace_root();
    let python = Command::new("sh").arg(root.join("tests/interop/environment.sh")).output().unwrap();
    if !python.status.success() {
        let reason = String::from_utf8_lossy(&python.stderr);
        assert!(std::env::var_os("CI").is_none(), "no Python environment: {reason}");
        eprintln!("no Python environment, 1 case not run: {reason}");
        return;
    }
    let dir = TestDir::new();
    write_tables(dir.path());
    let output = Command::new(String::from_utf8(python.stdout).unwrap().trim())
        .arg(root.join("tests/interop/delta_readers.py"))
        .arg(dir.join("Syslog"))
        .args(["2000", "2026-01-02T03:04:05.123456"])
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for reader in ["duckdb", "polars", "deltalake"] {
        assert!(out.contains(&format!("{reader}: 2000 rows")), "{out}");
    }
}
