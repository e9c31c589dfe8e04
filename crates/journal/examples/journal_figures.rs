//! Measures the journal on this machine's disk: groups per second and bytes per second, each group synced.
//!
//! `cargo run --profile relfast -p moneta-journal --example journal_figures [DIRECTORY]`. Rows are made up: syslog
//! messages of about 160 bytes with changing words and numbers.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use moneta_base::{SourceName, TenantId, Timestamp};
use moneta_event::{BatchBuilder, Delivery, RecordClass, TableCatalog, TableSchema, Value};
use moneta_host::RealFs;
use moneta_journal::{Commit, Journal, JournalOptions};
use moneta_scrub::{Policy, ScrubbedBatch, Scrubber, TokenKeys};

fn main() {
    let dir =
        std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("moneta-journal-figures"), PathBuf::from);
    println!("rows/group  groups/s    rows/s    MB/s of rows   stored bytes/row   recovered rows/s");
    for (rows_per_group, num_groups) in [(1, 400), (100, 300), (1_000, 200), (8_192, 60)] {
        measure(&dir, rows_per_group, num_groups);
    }
    let _ = std::fs::remove_dir_all(&dir);
}

fn measure(dir: &Path, rows_per_group: usize, num_groups: usize) {
    let _ = std::fs::remove_dir_all(dir);
    let options = JournalOptions::new(TenantId::from_random([7; 16]));
    let (mut journal, _) = Journal::open(Arc::new(RealFs), dir, options, drop).expect("the directory is writable");
    let (batches, row_bytes) = batches(rows_per_group);
    let started = Instant::now();
    for group in 0..num_groups {
        let commit = Commit { batches: vec![batches[group % batches.len()].clone()], mark: None };
        let appended = journal.append(vec![commit], Timestamp::from_seconds(1_767_323_045));
        assert!(appended.outcomes.iter().all(Result::is_ok), "the disk takes it");
    }
    let seconds = started.elapsed().as_secs_f64();
    let rows = (rows_per_group * num_groups) as f64;
    let stored_bytes = journal.size().size_bytes as f64;
    drop(journal);
    let reopened = Instant::now();
    let options = JournalOptions::new(TenantId::from_random([7; 16]));
    let mut num_blocks = 0;
    Journal::open(Arc::new(RealFs), dir, options, |_| num_blocks += 1).expect("what was written opens");
    assert!(num_blocks > 0);
    println!(
        "{rows_per_group:>10}  {:>8.0}  {:>8.0}  {:>12.1}  {:>17.1}  {:>16.0}",
        num_groups as f64 / seconds,
        rows / seconds,
        rows * row_bytes / seconds / 1e6,
        stored_bytes / rows,
        rows / reopened.elapsed().as_secs_f64()
    );
}

/// A few scrubbed batches, and the bytes of text in a row on average.
fn batches(rows: usize) -> (Vec<ScrubbedBatch>, f64) {
    let schema = TableCatalog::built_in().get("Syslog").cloned().expect("a built-in table");
    let keys = TokenKeys { current: 1, keys: BTreeMap::from([(1, [5; 32])]) };
    let scrubber = Scrubber::new(Policy::built_in(), keys).expect("the key is there");
    let mut total = 0;
    let batches = (0..4).map(|batch| scrubber.scrub(make(&schema, batch, rows, &mut total)).0).collect();
    (batches, total as f64 / (4 * rows) as f64)
}

fn make(schema: &Arc<TableSchema>, batch: u64, num_rows: usize, total: &mut usize) -> moneta_event::ParsedBatch {
    let mut rows = BatchBuilder::new(Arc::clone(schema), RecordClass::Data, Delivery::AtLeastOnce);
    for row in 0..num_rows as u64 {
        let mixed = (batch * 1_000_003 + row).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let host = format!("web-{:02}", mixed % 40);
        let message = format!("session {:016x} of worker {} took {} us", mixed, mixed % 977, mixed >> 44);
        let raw = format!("<134>Jan  2 03:04:05 {host} app[{}]: {message}", mixed % 32_768);
        *total += raw.len() + host.len() + message.len();
        rows.set_field("Computer", Value::Text(&host));
        rows.set_field("Facility", Value::Text("local0"));
        rows.set_field("SeverityLevel", Value::Text("info"));
        rows.set_field("ProcessName", Value::Text("app"));
        rows.set_field("SyslogMessage", Value::Text(&message));
        let time = Timestamp::from_nanos(1_767_323_045_000_000_000 + i64::try_from(row * 100).unwrap_or(0));
        rows.finish_row(time, &SourceName::lossy("tcp:192.0.2.1"), &raw);
    }
    rows.finish().expect("there are rows")
}
