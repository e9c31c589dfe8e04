//! Measures the ledger on a real disk: appended entries per second, and what one publish costs.
//!
//! `cargo run --profile relfast -p moneta-ledger --example ledger_bench [directory]`. It writes below a new directory
//! in the one given (default: the system's temporary directory) and removes it afterwards. No test depends on it.

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

/// Bytes of a typical block header.
const HEADER_BYTES: usize = 240;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = base.join(format!("moneta-ledger-bench-{}", std::process::id()));
    let mut report = Vec::new();
    let result = run(&dir, &mut report);
    std::fs::remove_dir_all(&dir)?;
    std::io::stdout().write_all(&report)?;
    result
}

fn run(dir: &Path, report: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
    let fs = Arc::new(RealFs);
    let keys = KeyRing::open(fs.clone(), &dir.join("keys"), &SystemEntropy::new())?;
    let (ledger, _) = Ledger::open(fs.clone(), &dir.join("ledger"), keys.log_signer(), keys.log_name())?;
    record_tree(report)?;
    throughput(&ledger, report)?;
    for num_shards in [1, 3, 10, 50] {
        steady(&ledger, num_shards, report)?;
    }
    let start = Instant::now();
    let proof = ledger.prove_block(&shard(0), 12_345)?;
    writeln!(report, "prove_block: {:?}, {} bytes", start.elapsed(), proof.encode().len())?;
    let start = Instant::now();
    let checked = ledger.check()?;
    let took = start.elapsed();
    writeln!(report, "check: {} blocks in {took:?}, {} findings", checked.num_blocks, checked.findings.len())?;
    drop(ledger);
    let start = Instant::now();
    Ledger::open(fs, &dir.join("ledger"), keys.log_signer(), keys.log_name())?;
    writeln!(report, "open: {:?}", start.elapsed())?;
    Ok(())
}

/// The root over one full block of records.
fn record_tree(report: &mut Vec<u8>) -> std::io::Result<()> {
    let leaves: Vec<Hash> = (0u32..8_192).map(|number| leaf_hash(&number.to_be_bytes())).collect();
    let start = Instant::now();
    let rounds = 50;
    let roots: Vec<Hash> = (0..rounds).map(|_| hash::root_of(&leaves)).collect();
    writeln!(report, "root over 8192 leaf hashes: {:?} ({:?})", start.elapsed() / rounds, roots[0])
}

/// As many entries as possible: batches of 100,000 into four shards.
fn throughput(ledger: &Ledger, report: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
    let header = [7u8; HEADER_BYTES];
    let (mut append_time, mut publish_time, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    let (rounds, batch) = (8, 100_000u64);
    for round in 0..rounds {
        let start = Instant::now();
        for number in 0..batch {
            ledger.append_block(&shard(number % 4), &header)?;
        }
        append_time += start.elapsed();
        let start = Instant::now();
        ledger.publish(Timestamp::from_seconds(round))?;
        publish_time += start.elapsed();
        bytes += ledger.last_publish().num_bytes;
    }
    let entries = batch as f64 * rounds as f64;
    writeln!(
        report,
        "throughput: {:.0} entries/s appended, {:.0} entries/s published, {:.0} together; {:.0} bytes/entry written",
        entries / append_time.as_secs_f64(),
        entries / publish_time.as_secs_f64(),
        entries / (append_time + publish_time).as_secs_f64(),
        bytes as f64 / entries,
    )?;
    Ok(())
}

/// What a publish costs once a second: ten blocks per shard.
fn steady(ledger: &Ledger, num_shards: u64, report: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
    let header = [7u8; HEADER_BYTES];
    let rounds = 100;
    let mut times = Vec::new();
    for round in 0..rounds {
        for number in 0..num_shards * 10 {
            ledger.append_block(&shard(100 + number % num_shards), &header)?;
        }
        let start = Instant::now();
        ledger.publish(Timestamp::from_seconds(1_000 + round))?;
        times.push(start.elapsed());
    }
    times.sort();
    writeln!(
        report,
        "publish, {num_shards} shards x 10 blocks: p50 {:?}, p99 {:?}, {} syncs, {} files",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        ledger.last_publish().num_syncs,
        ledger.last_publish().num_files,
    )?;
    Ok(())
}

fn shard(number: u64) -> ShardId {
    let table = TableName::new(&format!("Table{number}")).expect("letters and digits are a table name");
    ShardId { table, day: IngestDay(20_000) }
}
