//! Exports: the segments of a table for a range of event time, with all that proves them, in a directory of their own.
//!
//! # Layout, version 1
//! ```text
//! manifest                        what it is, see below
//! checkpoint                      the signed root checkpoint that every proof leads to
//! ledger.vkey                     the log's verifier key, for whoever has no better copy
//! shard/<yyyy-mm-dd>/headers      every block header of the shard in order, each behind its length (16 bits, big endian)
//! shard/<yyyy-mm-dd>/head.proof   entry proof of the newest tick that lists the shard: its size and root
//! shard/<yyyy-mm-dd>/drop.proof   of a shard that was dropped, in place of both: entry proof of the drop entry
//! store/<Table>/<yyyy-mm-dd>/<first>-<end>.parquet          a segment, as any Parquet reader opens it
//! store/<Table>/<yyyy-mm-dd>/<first>-<end>.parquet.proof    entry proof of the root entry with its SHA-256
//! ```
//! The manifest:
//! ```text
//! moneta export v1
//! table <Table>
//! from <RFC 3339, or ->
//! to <RFC 3339, or ->
//! sealed <_Seq after the last row that was in a segment>
//! ```
//! An entry proof:
//! ```text
//! moneta-entry-proof@1
//! entry <base64 of the root entry>
//! <tlog-proof, verbatim>
//! ```
//! The headers of all days of the table are there, whatever the range: they show that no block with an event of the range
//! is left out, and that no day is missing in between. Of days after the last one an export says nothing. A drop entry
//! names a day, not its rows: where days were dropped, an export alone does not show that all the rows that are missing
//! there were of those days; the root log does, which holds the ticks of every day that ever was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use moneta_base::{IngestDay, Seq, TableName, Timestamp};
use moneta_event::root_entry::{ObjectRef, RootEvent};
use moneta_event::{BlockHeader, RootEntry, ShardId};
use moneta_merkle::{Hash, SignedCheckpoint, TlogProof, VerifierKey, leaf_hash, root_of, text};

use crate::{Options, Report, segment};

/// First line of the manifest.
pub const HEADER: &str = "moneta export v1";
/// First line of an entry proof.
const PROOF_HEADER: &str = "moneta-entry-proof@1";

/// What an export is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportManifest {
    /// The table.
    pub table: TableName,
    /// The earliest event time; from the beginning when `None`.
    pub from: Option<Timestamp>,
    /// The latest event time; without end when `None`.
    pub to: Option<Timestamp>,
    /// The `_Seq` after the last row that was in a segment.
    pub sealed_end: Seq,
}

impl ExportManifest {
    /// Its text.
    #[must_use]
    pub fn encode(&self) -> String {
        let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        let (table, from, to) = (&self.table, time(self.from), time(self.to));
        format!("{HEADER}\ntable {table}\nfrom {from}\nto {to}\nsealed {}\n", self.sealed_end)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_prefix(HEADER)?.strip_prefix('\n')?.lines();
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let table = TableName::new(field("table")?).ok()?;
        let time = |text: &str| if text == "-" { Some(None) } else { Timestamp::parse(text).map(Some) };
        let (from, to) = (time(field("from")?)?, time(field("to")?)?);
        Some(Self { table, from, to, sealed_end: field("sealed")?.parse().ok()? })
    }

    /// Whether a time between these bounds, both included, is in the range.
    #[must_use]
    pub fn overlaps(&self, min: Timestamp, max: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= max) && self.to.is_none_or(|to| min <= to)
    }
}

/// The text of an entry proof.
#[must_use]
pub fn entry_proof(entry: &[u8], proof: &TlogProof) -> String {
    format!("{PROOF_HEADER}\nentry {}\n{}", text::base64_encode(entry), proof.encode())
}

/// The entry of an entry proof, if it is under that very checkpoint.
///
/// # Errors
/// Saying which step failed.
pub(crate) fn check_entry_proof(proof: &str, key: &VerifierKey, checkpoint: &SignedCheckpoint) -> Result<RootEntry> {
    let rest = proof.strip_prefix(PROOF_HEADER).and_then(|rest| rest.strip_prefix("\nentry "));
    let (entry, proof) = rest.and_then(|rest| rest.split_once('\n')).context("that is no entry proof")?;
    let entry = text::base64_decode(entry).context("the entry is not base64")?;
    let proven = TlogProof::parse(proof)?.verify(&entry, key.name(), std::slice::from_ref(key))?;
    if (proven.size, proven.root) != (checkpoint.size(), checkpoint.root()) {
        bail!("it leads to another checkpoint than that of the export");
    }
    Ok(RootEntry::decode(&entry)?)
}

/// The bytes of the file with the headers of a shard.
///
/// # Errors
/// When a header is longer than its length can say, which none is.
pub fn headers_file<'a>(headers: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for header in headers {
        bytes.extend(u16::try_from(header.len())?.to_be_bytes());
        bytes.extend(header);
    }
    Ok(bytes)
}

/// Checks an export.
///
/// # Errors
/// When there is no export or no usable key: then nothing was checked. Everything else is a finding.
pub fn verify_export(dir: &Path, options: Options) -> Result<Report> {
    let mut report = Report::default();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).with_context(|| format!("cannot read {name}"));
    let manifest = ExportManifest::parse(&read("manifest")?).ok_or_else(|| anyhow!("manifest is not of version 1"))?;
    let key = match options.key {
        Some(key) => key,
        None => {
            report.notes.push("no key given: trusting the ledger.vkey of the export itself".to_owned());
            VerifierKey::parse(read("ledger.vkey")?.trim_end()).context("ledger.vkey is not a verifier key")?
        }
    };
    let checkpoint = std::fs::read(dir.join("checkpoint")).context("cannot read checkpoint")?;
    match SignedCheckpoint::open(&checkpoint, key.name(), std::slice::from_ref(&key)) {
        Ok(opened) => {
            report.num_root_entries = opened.size();
            Checker { dir, key: &key, checkpoint: &opened, manifest: &manifest, report: &mut report }.run();
        }
        Err(error) => report.find("checkpoint", error.to_string()),
    }
    if let Some(quorum) = &options.quorum {
        match crate::proof::check_quorum(&checkpoint, quorum) {
            Ok(verdict) => report.notes.push(verdict),
            Err(error) => report.find("checkpoint", format!("{error:#}")),
        }
    }
    Ok(report)
}

struct Checker<'a> {
    dir: &'a Path,
    key: &'a VerifierKey,
    checkpoint: &'a SignedCheckpoint,
    manifest: &'a ExportManifest,
    report: &'a mut Report,
}

impl Checker<'_> {
    fn run(mut self) {
        let mut next = Some((0, Hash::default()));
        let mut was_dropped = false;
        for day in self.days() {
            let shard = ShardId { table: self.manifest.table.clone(), day };
            let within = PathBuf::from("shard").join(day.to_string());
            if self.dir.join(&within).join("drop.proof").exists() {
                was_dropped |= self.check_drop(&shard, &within.join("drop.proof"));
                continue;
            }
            let headers = match self.headers(&shard, &within) {
                Ok(headers) => headers,
                Err(error) => {
                    self.report.find(&within, format!("{error:#}"));
                    next = None;
                    continue;
                }
            };
            for header in &headers {
                self.check_place(&within, header, next, was_dropped);
                was_dropped = false;
                next = Some((header.end_seq(), header.hash()));
            }
            self.check_rows(&shard, &headers);
        }
        let sealed_end = self.manifest.sealed_end;
        if let Some((end, _)) = next.filter(|(end, _)| *end > sealed_end) {
            let note = format!("rows _Seq {sealed_end} to {end} came while the export was made; they are not in it");
            self.report.notes.push(note);
        }
    }

    fn days(&self) -> Vec<IngestDay> {
        let entries = std::fs::read_dir(self.dir.join("shard")).into_iter().flatten().flatten();
        let mut days: Vec<_> = entries.filter_map(|entry| IngestDay::parse(entry.file_name().to_str()?)).collect();
        days.sort();
        days
    }

    /// The entry of an entry proof, if it is in the root log.
    fn entry(&self, file: &Path) -> Result<RootEntry> {
        let text = std::fs::read_to_string(self.dir.join(file)).with_context(|| file.display().to_string())?;
        check_entry_proof(&text, self.key, self.checkpoint)
    }

    fn check_drop(&mut self, shard: &ShardId, file: &Path) -> bool {
        let problem = match self.entry(file).map(|entry| entry.event) {
            Ok(RootEvent::RetentionDrop { growth, .. }) if growth.shard == *shard => {
                self.report.num_dropped_shards += 1;
                return true;
            }
            Ok(_) => "it is not the drop entry of this day".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        self.report.find(file, problem);
        false
    }

    /// The headers of a shard, as its newest tick has them.
    fn headers(&self, shard: &ShardId, within: &Path) -> Result<Vec<BlockHeader>> {
        let tick = self.entry(&within.join("head.proof")).context("head.proof")?;
        let growth = tick.tick_of(shard).context("head.proof is not of a tick that lists this day")?;
        let bytes = std::fs::read(self.dir.join(within).join("headers")).context("headers")?;
        let (mut rest, mut leaves, mut headers) = (&bytes[..], Vec::new(), Vec::new());
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk::<2>().context("headers ends too early")?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (header, after) = after.split_at_checked(length).context("headers ends too early")?;
            leaves.push(leaf_hash(header));
            headers.push(BlockHeader::decode(header)?);
            rest = after;
        }
        if leaves.len() as u64 != growth.size || root_of(&leaves) != growth.root {
            bail!("headers are not those signed for");
        }
        let is_own =
            |(index, header): (usize, &BlockHeader)| header.shard == *shard && header.shard_index == index as u64;
        if !headers.iter().enumerate().all(is_own) {
            bail!("headers of another shard");
        }
        Ok(headers)
    }

    fn check_place(&mut self, within: &Path, header: &BlockHeader, next: Option<(Seq, Hash)>, was_dropped: bool) {
        let Some((seq, hash)) = next else { return };
        let problem = if header.first_seq == seq && header.previous == hash {
            return;
        } else if was_dropped && header.first_seq > seq {
            let note = format!(
                "rows _Seq {seq} to {} are gone with days dropped by policy; that all of them were of those days is in the root log, \
                 not in an export",
                header.first_seq
            );
            return self.report.notes.push(note);
        } else if header.first_seq == seq {
            "the chain of headers is broken before it".to_owned()
        } else {
            format!("_Seq {seq} should come next, and no drop entry says why it does not")
        };
        self.report.find_block(within, &header.shard, header.first_seq, problem);
    }

    /// The segments of a shard are those signed for, and hold every block of the range.
    fn check_rows(&mut self, shard: &ShardId, headers: &[BlockHeader]) {
        let dir = PathBuf::from("store").join(shard.to_string());
        let names = std::fs::read_dir(self.dir.join(&dir)).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let mut files: Vec<_> = names.filter(|name| name.ends_with(".parquet")).map(|name| dir.join(name)).collect();
        files.sort();
        let mut held = Vec::new();
        for file in files {
            match self.object(&file) {
                Ok(object) => held.extend(segment::check(self.dir, &file, Some(object.hash), headers, self.report)),
                Err(error) => self.report.find(&file, format!("{error:#}")),
            }
        }
        let is_wanted = |header: &&BlockHeader| {
            header.first_seq < self.manifest.sealed_end
                && self.manifest.overlaps(header.event_time_min, header.event_time_max)
        };
        for header in headers.iter().filter(is_wanted) {
            self.report.num_blocks += 1;
            self.report.num_records += u64::from(header.num_rows);
            if !held.iter().any(|(start, end)| *start <= header.first_seq && header.end_seq() <= *end) {
                let problem = format!("{} rows of the range are missing", header.num_rows);
                self.report.find_block(&dir, shard, header.first_seq, problem);
            }
        }
    }

    fn object(&self, file: &Path) -> Result<ObjectRef> {
        let mut proof = file.as_os_str().to_owned();
        proof.push(".proof");
        let object = match self.entry(Path::new(&proof))?.event {
            RootEvent::SegmentSealed { object, .. } => object,
            RootEvent::SegmentReencoded { new, .. } => new,
            _ => bail!("its proof is not of a segment"),
        };
        if Path::new("store").join(&object.path) != file {
            bail!("its proof is of {}", object.path);
        }
        Ok(object)
    }
}

/// The root entries that prove a table's days and segments, gathered from the whole root log in order.
#[derive(Debug, Default)]
pub struct Entries {
    /// Index and bytes of the newest tick that lists each shard.
    pub heads: BTreeMap<ShardId, (u64, Vec<u8>)>,
    /// Index and bytes of the drop entry of each dropped shard.
    pub drops: BTreeMap<ShardId, (u64, Vec<u8>)>,
    /// Index and bytes of the newest entry that names each segment file, by its path.
    pub objects: BTreeMap<String, (u64, Vec<u8>)>,
}

impl Entries {
    /// Takes the next entry of the root log, if it is of the table.
    pub fn take(&mut self, table: &TableName, index: u64, bytes: &[u8]) {
        let Ok(entry) = RootEntry::decode(bytes) else { return };
        let place = || (index, bytes.to_vec());
        match entry.event {
            RootEvent::Tick { shards } => {
                for growth in shards.into_iter().filter(|growth| growth.shard.table == *table) {
                    self.heads.insert(growth.shard, place());
                }
            }
            RootEvent::SegmentSealed { rows, object } if rows.shard.table == *table => {
                self.objects.insert(object.path, place());
            }
            RootEvent::SegmentReencoded { rows, new, .. } if rows.shard.table == *table => {
                self.objects.insert(new.path, place());
            }
            RootEvent::RetentionDrop { growth, .. } if growth.shard.table == *table => {
                self.heads.remove(&growth.shard);
                self.drops.insert(growth.shard, place());
            }
            _ => {}
        }
    }
}
