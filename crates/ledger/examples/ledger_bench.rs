//! Measures the ledger on a real disk: durable entries per second under signed checkpoints, proofs, the full check.
//!
//! `cargo run --profile relfast -p moneta-ledger --example ledger_bench -- [--json] [directory]`. It writes below a new
//! directory in the one given (default: the system's temporary directory) and removes it afterwards. `bench/ledger.py`
//! runs it; no test depends on it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moneta_base::{IngestDay, TableName, Timestamp};
use moneta_event::ShardId;
use moneta_host::{RealFs, SystemEntropy};
use moneta_keys::KeyRing;
use moneta_ledger::Ledger;
use moneta_merkle::{Hash, hash, leaf_hash};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
/// Names and values, in the order they are printed.
type Figures = Vec<(&'static str, f64)>;

/// Bytes of one entry.
const ENTRY_BYTES: usize = 300;
/// How long entries are appended, each second's under a checkpoint of its own.
const APPEND_SECONDS: u64 = 8;
/// Entries appended before the clock is looked at.
const PIECE: u64 = 1_000;
/// Entries that wait for a checkpoint at most: the ledger refuses more bytes.
const PENDING_MAX: u64 = 200_000;
/// Proofs of one kind.
const PROOFS: u64 = 200;

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_json = arguments.first().is_some_and(|first| first == "--json");
    arguments.drain(..usize::from(is_json));
    let base = arguments.first().map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = base.join(format!("moneta-ledger-bench-{}", std::process::id()));
    let figures = run(&dir);
    std::fs::remove_dir_all(&dir)?;
    let line = |(name, value): &(&str, f64)| {
        if is_json { format!("\"{name}\":{value}") } else { format!("{name} {value:.1}") }
    };
    let lines: Vec<String> = figures?.iter().map(line).collect();
    let text = if is_json { format!("{{{}}}", lines.join(",")) } else { lines.join("\n") };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

fn run(dir: &Path) -> Result<Figures> {
    let fs = Arc::new(RealFs);
    let keys = KeyRing::open(fs.clone(), &dir.join("keys"), &SystemEntropy::new())?;
    let (ledger, _) = Ledger::open(fs.clone(), &dir.join("ledger"), keys.log_signer(), keys.log_name())?;
    let mut figures = Figures::new();
    record_tree(&mut figures);
    let num_entries = throughput(&ledger, &mut figures)?;
    steady(&ledger, &mut figures)?;
    proofs(&ledger, num_entries, &mut figures)?;
    let start = Instant::now();
    let checked = ledger.check()?;
    let seconds = start.elapsed().as_secs_f64();
    if !checked.findings.is_empty() {
        return Err(format!("{} findings in a clean ledger", checked.findings.len()).into());
    }
    figures.push(("check_entries_per_second", checked.num_blocks as f64 / seconds));
    figures.push(("check_gb_per_second", (checked.num_blocks * ENTRY_BYTES as u64) as f64 / seconds / 1e9));
    drop(ledger);
    let start = Instant::now();
    Ledger::open(fs, &dir.join("ledger"), keys.log_signer(), keys.log_name())?;
    figures.push(("open_ms", millis(start.elapsed())));
    Ok(figures)
}

/// The root over one full block of records.
fn record_tree(figures: &mut Figures) {
    let leaves: Vec<Hash> = (0u32..8_192).map(|number| leaf_hash(&number.to_be_bytes())).collect();
    let rounds = 50;
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(hash::root_of(std::hint::black_box(&leaves)));
    }
    figures.push(("root_of_8192_leaves_us", start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)));
}

/// As many entries as possible into one shard, under a signed checkpoint every second; returns how many.
fn throughput(ledger: &Ledger, figures: &mut Figures) -> Result<u64> {
    let entry = [7u8; ENTRY_BYTES];
    let (mut total, mut pending, mut bytes) = (0, 0, 0);
    let start = Instant::now();
    for second in 1..=APPEND_SECONDS {
        while start.elapsed() < Duration::from_secs(second) {
            for _ in 0..PIECE {
                ledger.append_block(&shard(0), &entry)?;
            }
            pending += PIECE;
            if pending >= PENDING_MAX {
                break;
            }
        }
        ledger.publish(Timestamp::from_seconds(i64::try_from(second)?))?;
        bytes += ledger.last_publish().num_bytes;
        total += std::mem::take(&mut pending);
    }
    let seconds = start.elapsed().as_secs_f64();
    figures.push(("durable_entries", total as f64));
    figures.push(("durable_entries_per_second", total as f64 / seconds));
    figures.push(("written_bytes_per_entry", bytes as f64 / total as f64));
    Ok(total)
}

/// What a publish costs once a second: ten blocks in each of ten shards.
fn steady(ledger: &Ledger, figures: &mut Figures) -> Result<()> {
    let entry = [7u8; ENTRY_BYTES];
    let mut times = Vec::new();
    for round in 0..50 {
        for number in 0..100 {
            ledger.append_block(&shard(100 + number % 10), &entry)?;
        }
        let start = Instant::now();
        ledger.publish(Timestamp::from_seconds(1_000 + round))?;
        times.push(start.elapsed());
    }
    times.sort();
    figures.push(("publish_10_shards_p50_ms", millis(times[times.len() / 2])));
    figures.push(("publish_10_shards_p99_ms", millis(times[times.len() * 99 / 100])));
    Ok(())
}

/// Inclusion of entries spread over the log, and consistency from sizes spread over it.
fn proofs(ledger: &Ledger, num_entries: u64, figures: &mut Figures) -> Result<()> {
    let log = moneta_ledger::LogName::Shard(shard(0));
    let step = (num_entries / PROOFS).max(1);
    let start = Instant::now();
    for number in 0..PROOFS {
        ledger.prove_entry(&shard(0), number * step)?;
    }
    figures.push(("inclusion_proof_us", start.elapsed().as_secs_f64() * 1e6 / PROOFS as f64));
    let start = Instant::now();
    for number in 1..=PROOFS {
        ledger.prove_growth(&log, (number * step).min(num_entries), num_entries)?;
    }
    figures.push(("consistency_proof_us", start.elapsed().as_secs_f64() * 1e6 / PROOFS as f64));
    let start = Instant::now();
    let proof = ledger.prove_block(&shard(0), num_entries / 2)?;
    figures.push(("block_proof_us", start.elapsed().as_secs_f64() * 1e6));
    figures.push(("block_proof_bytes", proof.encode().len() as f64));
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn shard(number: u64) -> ShardId {
    let table = TableName::new(&format!("Table{number}")).expect("letters and digits are a table name");
    ShardId { table, day: IngestDay(20_000) }
}
