//! The check of a whole data directory: walks from the root checkpoint down to every row.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use moneta_base::{Seq, TableName};
use moneta_event::{BlockHeader, ShardId};
use moneta_merkle::{Hash, Quorum, VerifierKey};

use crate::catalog::{Active, ActiveFiles, MovedSegments};
use crate::journal::JournalBlocks;
use crate::ledger::RootState;
use crate::{Report, catalog, inventory, journal, ledger, segment};

/// What to check against.
#[derive(Debug, Default)]
pub struct Options {
    /// The verifier key of the log, from a place the data directory cannot reach. Without it the copy in the directory
    /// is used, which proves that the store agrees with itself, not who signed it.
    pub key: Option<VerifierKey>,
    /// The witnesses that must have cosigned. Without them their lines are not looked at.
    pub quorum: Option<Quorum>,
    /// What reads segments that were moved to a bucket. Without it they are findings.
    pub moved: Option<Box<dyn MovedSegments>>,
}

/// Checks a data directory or a copy of one.
///
/// # Errors
/// When there is no such directory or no usable key: then nothing was checked. Everything else is a finding.
pub fn verify_store(data: &Path, options: Options) -> Result<Report> {
    let mut report = Report::default();
    let key = match options.key {
        Some(key) => key,
        None => {
            report.notes.push("no key given: trusting keys/ledger.vkey of the directory itself".to_owned());
            own_key(data)?
        }
    };
    if let Some(state) = ledger::check_root(data, &key, options.quorum.as_ref(), &mut report) {
        let blocks = journal::check(data, &mut report);
        check_tables(data, &state, &key, &blocks, options.moved.as_deref(), &mut report);
        check_unknown_shards(data, &state, &mut report);
    }
    inventory::check(data, &key, &mut report);
    Ok(report)
}

fn own_key(data: &Path) -> Result<VerifierKey> {
    let path = data.join("keys/ledger.vkey");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("no verifier key: cannot read {}", path.display()))?;
    VerifierKey::parse(text.trim_end()).with_context(|| format!("{} is not a verifier key", path.display()))
}

fn check_tables(
    data: &Path,
    state: &RootState,
    key: &VerifierKey,
    blocks: &JournalBlocks,
    moved: Option<&dyn MovedSegments>,
    report: &mut Report,
) {
    let mut tables: BTreeMap<&TableName, TableCheck<'_>> = BTreeMap::new();
    for growth in state.shards.values() {
        let table = &growth.shard.table;
        let check = tables.entry(table).or_insert_with(|| TableCheck::new(data, state, table, blocks, moved, report));
        let is_missing = state.is_missing(data, &growth.shard, report);
        let headers = if is_missing { Vec::new() } else { ledger::check_shard(data, growth, key, report) };
        check.check_chain(&growth.shard, &headers, report);
        check.check_rows(&growth.shard, &headers, report);
    }
    for table in tables.values() {
        table.check_leftovers(report);
    }
}

/// The check of one table, shard after shard in the order of days.
struct TableCheck<'a> {
    data: &'a Path,
    state: &'a RootState,
    table: &'a TableName,
    active: ActiveFiles,
    moved: Option<&'a dyn MovedSegments>,
    journal: Option<&'a BTreeMap<Seq, (std::sync::Arc<moneta_event::Block>, PathBuf)>>,
    /// Every shard of the table, in order of their numbers.
    shards: Vec<&'a ShardId>,
    /// The number of the shard that comes next.
    next_number: u64,
    /// Where the rows before ended.
    end: End,
}

/// Where the rows looked at so far end.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The `_Seq` that comes next, and the hash of the header before it unless that was dropped.
    Known { seq: Seq, hash: Option<Hash> },
    /// A shard is missing, so nobody can say.
    Unknown,
}

impl<'a> TableCheck<'a> {
    fn new(
        data: &'a Path,
        state: &'a RootState,
        table: &'a TableName,
        blocks: &'a JournalBlocks,
        moved: Option<&'a dyn MovedSegments>,
        report: &mut Report,
    ) -> Self {
        let active = catalog::check(data, table.as_str(), report);
        let shards = state.shards_of(table).into_iter().map(|(shard, _)| shard).collect();
        // The first block of a table has nothing before it, which its header says with a hash of zeros.
        let end = End::Known { seq: 0, hash: Some(Hash::default()) };
        Self { data, state, table, active, moved, journal: blocks.get(table), shards, next_number: 0, end }
    }

    /// BLOCK-2: dense in sequence, chained by hash. Where shards were dropped in between, the rows that their drop
    /// entries account for must fill the gap exactly.
    fn check_chain(&mut self, shard: &ShardId, headers: &[BlockHeader], report: &mut Report) {
        if headers.is_empty() {
            // Its absence is a finding already; what follows has nothing before it to compare with.
            self.end = End::Unknown;
            self.next_number = self.state.number_of(shard) + 1;
            return;
        }
        self.pass_dropped(shard, report);
        let file = PathBuf::from("ledger/shard").join(shard.to_string());
        for header in headers {
            let place = |problem: String, report: &mut Report| {
                report.find_block(&file, shard, header.first_seq, problem);
            };
            match self.end {
                End::Known { seq, .. } if header.first_seq != seq => {
                    place(format!("_Seq {seq} should come next, and no drop entry says why it does not"), report);
                }
                End::Known { hash: Some(hash), .. } if header.previous != hash => {
                    place("the chain of headers is broken before it".to_owned(), report);
                }
                _ => {}
            }
            self.end = End::Known { seq: header.end_seq(), hash: Some(header.hash()) };
        }
    }

    /// Moves past the dropped shards between the one checked last and `shard`.
    fn pass_dropped(&mut self, shard: &ShardId, report: &mut Report) {
        let number = self.state.number_of(shard);
        while self.next_number < number {
            let Some(passed) = self.shards.get(usize::try_from(self.next_number).unwrap_or(usize::MAX)) else { break };
            self.next_number += 1;
            let Some(rows) = self.state.dropped.get(*passed) else { continue };
            for (start, end) in rows {
                if let End::Known { seq, .. } = self.end
                    && *start != seq
                {
                    let file = PathBuf::from("ledger/root");
                    let problem = format!("before the dropped rows from _Seq {start} on, _Seq {seq} should come");
                    report.find_block(file, shard, *start, problem);
                }
                self.end = End::Known { seq: *end, hash: None };
            }
        }
        self.next_number = number + 1;
    }

    /// Every header's rows are in a segment or in the journal.
    fn check_rows(&self, shard: &ShardId, headers: &[BlockHeader], report: &mut Report) {
        let sealed = self.check_segments(shard, headers, report);
        report.num_blocks += headers.len() as u64;
        report.num_records += headers.iter().map(|header| u64::from(header.num_rows)).sum::<u64>();
        for header in headers {
            let in_segment = sealed.iter().any(|(start, end)| *start <= header.first_seq && header.end_seq() <= *end);
            match self.journal.and_then(|blocks| blocks.get(&header.first_seq)) {
                Some((block, _)) if block.header == *header => {}
                Some((block, file)) => report.find_block(
                    file,
                    &block.header.shard,
                    header.first_seq,
                    "its header is not the one in the ledger",
                ),
                None if in_segment => {}
                None => {
                    let file = PathBuf::from("store").join(shard.to_string());
                    let problem =
                        format!("{} rows are missing: neither a segment nor the journal holds them", header.num_rows);
                    report.find_block(file, shard, header.first_seq, problem);
                }
            }
        }
    }

    /// Checks the segments of a shard; returns the sequences they hold.
    fn check_segments(&self, shard: &ShardId, headers: &[BlockHeader], report: &mut Report) -> Vec<(Seq, Seq)> {
        let mut sealed = Vec::new();
        for (path, active) in self.active_in(shard) {
            let file = match &active.object {
                Some(object) => PathBuf::from(&object.uri),
                None => PathBuf::from("store").join(self.table.as_str()).join(path),
            };
            let stated = self.state.segments.get(&format!("{}/{path}", self.table));
            if stated.is_none() {
                report.notes.push(format!("{}: no root entry names it yet", file.display()));
            }
            if stated.is_some_and(|(_, object)| object.size_bytes != active.size_bytes) {
                report.find(&file, "its size in the catalog is not the one in the root log");
            }
            let bytes = self.read(&file, active);
            let range = segment::check_read(bytes, &file, stated.map(|(_, object)| object.hash), headers, report);
            if let (Some((start, end)), Some((rows, _))) = (range, stated)
                && (rows.start, rows.end) != (start, end)
            {
                report.find(
                    &file,
                    format!("it holds _Seq {start} to {end}, the root log says {} to {}", rows.start, rows.end),
                );
            }
            sealed.extend(range);
        }
        sealed
    }

    fn read(&self, file: &Path, active: &Active) -> std::io::Result<Vec<u8>> {
        match (&active.object, self.moved) {
            (None, _) => std::fs::read(self.data.join(file)),
            (Some(object), Some(moved)) => moved.read(object, active.size_bytes),
            (Some(_), None) => {
                Err(std::io::Error::other("it lies in a bucket, and nothing was given that reads it: rows not checked"))
            }
        }
    }

    fn active_in(&self, shard: &ShardId) -> impl Iterator<Item = (&String, &Active)> {
        let prefix = format!("{}/", shard.day);
        self.active.iter().filter(move |(path, _)| path.starts_with(&prefix))
    }

    /// Segments that the root log names and the catalog lacks, and files that neither names.
    fn check_leftovers(&self, report: &mut Report) {
        let dir = PathBuf::from("store").join(self.table.as_str());
        for (path, (rows, _)) in &self.state.segments {
            let within = path.strip_prefix(&format!("{}/", self.table));
            if rows.shard.table == *self.table && within.is_none_or(|within| !self.active.contains_key(within)) {
                report.find(Path::new("store").join(path), "the root log names it, the catalog does not");
            }
        }
        for path in parquet_files(&self.data.join(&dir)) {
            if self.active.get(&path).is_none_or(|active| active.object.is_some()) {
                report.notes.push(format!(
                    "{}: not, or no longer, in the catalog; a start of Moneta removes it",
                    dir.join(path).display()
                ));
            }
        }
    }
}

/// Parquet files in the day directories of a table, as paths within it.
fn parquet_files(table_dir: &Path) -> Vec<String> {
    let names = |dir: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(dir).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    };
    let days = names(table_dir).into_iter().filter(|name| name != "_delta_log");
    days.flat_map(|day| names(&table_dir.join(&day)).into_iter().map(move |name| format!("{day}/{name}")))
        .filter(|path| path.ends_with(".parquet"))
        .collect()
}

/// Shard directories that the root log does not name: a drop whose deletion was interrupted, or something planted.
fn check_unknown_shards(data: &Path, state: &RootState, report: &mut Report) {
    let root = Path::new("ledger/shard");
    let tables = std::fs::read_dir(data.join(root)).into_iter().flatten().flatten();
    for table in tables {
        for day in std::fs::read_dir(table.path()).into_iter().flatten().flatten() {
            let name = format!("{}/{}", table.file_name().to_string_lossy(), day.file_name().to_string_lossy());
            let shard = ShardId::parse(&name);
            let known = shard.as_ref().is_some_and(|shard| state.shards.contains_key(shard));
            if shard.as_ref().is_some_and(|shard| state.dropped.contains_key(shard)) {
                report.notes.push(format!("{}: dropped by policy, not yet deleted", root.join(&name).display()));
            } else if !known {
                report.notes.push(format!(
                    "{}: the root log does not name it; its blocks are checked through the journal",
                    root.join(&name).display()
                ));
            }
        }
    }
}
