//! Measures the way of a record to where nobody changes it unseen: journal, record tree and ledger, without parsing.
//!
//! `cargo run --profile relfast -p moneta-ledger --example record_ledger -- [--json] [RECORDS [DIRECTORY]]`. Records of 300
//! bytes are appended to the journal, each block synced, their blocks' headers to the ledger, and a checkpoint is signed
//! every second; a record counts once a checkpoint covers it. It writes below a new directory in the one given (default:
//! the system's temporary directory) and removes it afterwards. `bench/ledger.py` runs it; no test depends on it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moneta_base::{SourceName, TenantId, Timestamp, limits};
use moneta_event::{BatchBuilder, Block, Delivery, RecordClass, ShardId, TableCatalog, TableSchema};
use moneta_host::{RealFs, SystemEntropy};
use moneta_journal::{Commit, Journal, JournalOptions};
use moneta_keys::KeyRing;
use moneta_ledger::{Ledger, LogName};
use moneta_scrub::{Policy, ScrubbedBatch, Scrubber, TokenKeys};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
/// Names and values, in the order they are printed.
type Figures = Vec<(&'static str, f64)>;

/// Bytes of a record as it was received.
const RECORD_BYTES: usize = 300;
const RECORDS_DEFAULT: usize = 2_000_000;
/// Batches made beforehand, appended again and again.
const BATCHES: usize = 16;
/// Time between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
const PROOFS: u64 = 200;
/// How often a block is checked.
const CHECKS: usize = 50;
/// Seconds since 1970 of the first record.
const NOW: i64 = 1_767_323_045;

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_json = arguments.first().is_some_and(|first| first == "--json");
    arguments.drain(..usize::from(is_json));
    let num_records = arguments.first().map_or(Ok(RECORDS_DEFAULT), |number| number.parse())?;
    let base = arguments.get(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = base.join(format!("moneta-record-ledger-{}", std::process::id()));
    let figures = run(&dir, num_records);
    std::fs::remove_dir_all(&dir)?;
    let line = |(name, value): &(&str, f64)| match is_json {
        true => format!("\"{name}\":{value}"),
        false => format!("{name} {value:.1}"),
    };
    let lines: Vec<String> = figures?.iter().map(line).collect();
    let text = if is_json { format!("{{{}}}", lines.join(",")) } else { lines.join("\n") };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

fn run(dir: &Path, num_records: usize) -> Result<Figures> {
    let fs = Arc::new(RealFs);
    let keys = KeyRing::open(fs.clone(), &dir.join("keys"), &SystemEntropy::new())?;
    let (ledger, _) = Ledger::open(fs.clone(), &dir.join("ledger"), keys.log_signer(), keys.log_name())?;
    let options = JournalOptions::new(TenantId::from_random([7; 16]));
    let (mut journal, _) = Journal::open(fs, &dir.join("journal"), options, drop)?;
    let batches = batches()?;
    let mut run = Run::default();
    let (started, cpu_before) = (Instant::now(), cpu_seconds()?);
    let mut next_checkpoint = CHECKPOINT_INTERVAL;
    while run.num_records < num_records {
        let batch = batches[run.num_records / limits::BLOCK_ROWS_MAX % BATCHES].clone();
        run.append(batch, &mut journal, &ledger)?;
        if started.elapsed() >= next_checkpoint {
            run.publish(&ledger)?;
            next_checkpoint = started.elapsed() + CHECKPOINT_INTERVAL;
        }
    }
    run.publish(&ledger)?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds()? - cpu_before);
    let records = run.num_records as f64;
    let mut figures = vec![
        ("records", records),
        ("records_per_second", records / seconds),
        ("records_per_cpu_second", records / cpu),
        ("journal_share", run.in_journal.as_secs_f64() / seconds),
        ("checkpoints", f64::from(run.checkpoints)),
        ("longest_checkpoint_ms", run.longest_checkpoint.as_secs_f64() * 1e3),
        ("journal_bytes_per_record", journal.size().size_bytes as f64 / records),
    ];
    proofs(&ledger, &run.shards, &mut figures)?;
    check(run.first.as_deref(), &ledger, &mut figures)?;
    Ok(figures)
}

/// What was appended, and where its time went.
#[derive(Default)]
struct Run {
    num_records: usize,
    first: Option<Arc<Block>>,
    /// Blocks of each shard.
    shards: BTreeMap<ShardId, u64>,
    in_journal: Duration,
    longest_checkpoint: Duration,
    checkpoints: u32,
}

impl Run {
    fn append(&mut self, batch: ScrubbedBatch, journal: &mut Journal, ledger: &Ledger) -> Result<()> {
        let at = Instant::now();
        let commit = Commit { batches: vec![batch], mark: None };
        let group = journal.append(vec![commit], Timestamp::from_seconds(NOW));
        self.in_journal += at.elapsed();
        group.outcomes.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
        for block in group.blocks {
            let block = block.into_inner();
            self.num_records += block.rows.num_rows();
            ledger.append_block(&block.header.shard, &block.header.encode())?;
            *self.shards.entry(block.header.shard.clone()).or_default() += 1;
            self.first.get_or_insert(block);
        }
        Ok(())
    }

    fn publish(&mut self, ledger: &Ledger) -> Result<()> {
        let at = Instant::now();
        self.checkpoints += 1;
        ledger.publish(Timestamp::from_seconds(NOW + i64::from(self.checkpoints)))?;
        self.longest_checkpoint = self.longest_checkpoint.max(at.elapsed());
        Ok(())
    }
}

/// Proofs of blocks up to the root checkpoint, and that a shard's log only grew.
fn proofs(ledger: &Ledger, shards: &BTreeMap<ShardId, u64>, figures: &mut Figures) -> Result<()> {
    let Some((shard, num_blocks)) = shards.first_key_value() else { return Ok(()) };
    let start = Instant::now();
    for number in 0..PROOFS {
        ledger.prove_block(shard, number % num_blocks)?;
    }
    figures.push(("block_proof_us", start.elapsed().as_secs_f64() * 1e6 / PROOFS as f64));
    let start = Instant::now();
    for number in 0..PROOFS {
        ledger.prove_growth(&LogName::Shard(shard.clone()), 1 + number % num_blocks, *num_blocks)?;
    }
    figures.push(("consistency_proof_us", start.elapsed().as_secs_f64() * 1e6 / PROOFS as f64));
    Ok(())
}

/// Recomputes the tree of a block from its rows, and the ledger from its files.
fn check(block: Option<&Block>, ledger: &Ledger, figures: &mut Figures) -> Result<()> {
    let Some(block) = block else { return Ok(()) };
    let start = Instant::now();
    for _ in 0..CHECKS {
        block.check()?;
    }
    let records = (CHECKS * block.rows.num_rows()) as f64 / start.elapsed().as_secs_f64();
    figures.push(("check_records_per_second", records));
    figures.push(("check_gb_per_second", records * RECORD_BYTES as f64 / 1e9));
    let findings = ledger.check()?.findings.len();
    match findings {
        0 => Ok(()),
        _ => Err(format!("{findings} findings in a clean ledger").into()),
    }
}

/// Scrubbed batches of a block's rows each. No two records are alike, and half of each is new.
fn batches() -> Result<Vec<ScrubbedBatch>> {
    let schema = TableCatalog::built_in().get("Syslog").cloned().ok_or("Syslog is a built-in table")?;
    let keys = TokenKeys { current: 1, keys: BTreeMap::from([(1, [5; 32])]) };
    let scrubber = Scrubber::new(Policy::built_in(), keys)?;
    Ok((0..BATCHES as u64).map(|batch| scrubber.scrub(make(&schema, batch)).0).collect())
}

fn make(schema: &Arc<TableSchema>, batch: u64) -> moneta_event::ParsedBatch {
    let mut rows = BatchBuilder::new(Arc::clone(schema), RecordClass::Data, Delivery::AtLeastOnce);
    for row in 0..limits::BLOCK_ROWS_MAX as u64 {
        let number = batch * limits::BLOCK_ROWS_MAX as u64 + row;
        let mut state = number;
        let words: Vec<String> = (0..9).map(|_| format!("{:016x}", mixed(&mut state))).collect();
        let mut raw = format!("record {number:012} of a service that writes what it did, once for each request: ");
        raw.push_str(&words.join(" "));
        while raw.len() < RECORD_BYTES {
            raw.push_str(" and so on");
        }
        raw.truncate(RECORD_BYTES);
        let time = Timestamp::from_nanos(NOW * 1_000_000_000 + i64::try_from(number * 100).unwrap_or(0));
        rows.finish_row(time, &SourceName::lossy("tcp:192.0.2.1"), &raw);
    }
    rows.finish().expect("there are rows")
}

/// The next number of a splitmix64 generator.
fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut value = *state;
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// CPU seconds of this process: user and system ticks, fields 14 and 15 of its stat file, a hundredth of a second each.
fn cpu_seconds() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = text.rsplit_once(')').ok_or("a stat file names its program")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / 100.0)
}
