//! The root log and the shard logs: signatures, tiles, entries, and what the entries say must exist.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use moneta_base::error::chain;
use moneta_base::{Seq, TableName, Timestamp};
use moneta_event::root_entry::{ObjectRef, RootEvent, SegmentRows, ShardGrowth};
use moneta_event::root_history::ShardStatus;
use moneta_event::{BlockHeader, RootEntry, RootHistory, ShardId};
use moneta_merkle::audit::audit_log;
use moneta_merkle::reader::{TileReader, root_from_tiles};
use moneta_merkle::tile::{TILE_WIDTH, width_in};
use moneta_merkle::{BoxError, Quorum, SignedCheckpoint, TilePath, TileShelf, VerifierKey, bundle, hash};

use crate::Report;

/// What the root log says the store holds.
#[derive(Debug, Default)]
pub struct RootState {
    /// The last size and root of every shard that was not dropped.
    pub shards: BTreeMap<ShardId, ShardGrowth>,
    /// The rows `[start, end)` of every shard dropped by policy, in order.
    pub dropped: BTreeMap<ShardId, Vec<(Seq, Seq)>>,
    /// Segment files by path, with the rows they hold.
    pub segments: BTreeMap<String, (SegmentRows, ObjectRef)>,
    /// When the newest entry was made.
    pub newest: Option<Timestamp>,
    history: RootHistory,
}

/// The tiles of one log in a directory. Reads what the checkpoint covers, from the newest file that holds it.
pub(crate) struct LogDir(pub(crate) PathBuf);

impl TileReader for LogDir {
    fn read_tile(&self, tile: TilePath) -> Result<Vec<u8>, BoxError> {
        let wanted = self.0.join(tile.to_string());
        match std::fs::read(&wanted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && tile.is_partial() => {}
            result => return Ok(result?),
        }
        let full = self.0.join(tile.with_width(TILE_WIDTH).to_string());
        let bytes = match std::fs::read(full) {
            Ok(bytes) => bytes,
            Err(_) => std::fs::read(self.wider(tile)?)?,
        };
        prefix(tile, &bytes)
    }
}

impl LogDir {
    /// The narrowest partial file that holds more than the wanted tile.
    fn wider(&self, tile: TilePath) -> Result<PathBuf, BoxError> {
        let dir = self.0.join(tile.directory());
        let widths = std::fs::read_dir(&dir)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u16>().ok());
        let width = widths.filter(|width| *width > tile.width).min();
        let width = width.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the tile is missing"))?;
        Ok(self.0.join(tile.with_width(width).to_string()))
    }
}

fn prefix(tile: TilePath, bytes: &[u8]) -> Result<Vec<u8>, BoxError> {
    match tile.shelf {
        TileShelf::Entries => Ok(bundle::prefix(bytes, tile.width)?.to_vec()),
        TileShelf::Hashes(_) => {
            let len = usize::from(tile.width) * hash::HASH_BYTES;
            Ok(bytes.get(..len).ok_or("the tile is too short")?.to_vec())
        }
    }
}

/// Checks the root log in `ledger/root`.
///
/// Returns `None` when its checkpoint cannot be trusted: nothing below it can then be checked.
pub fn check_root(data: &Path, key: &VerifierKey, quorum: Option<&Quorum>, report: &mut Report) -> Option<RootState> {
    let dir = Path::new("ledger/root");
    let checkpoint = open_checkpoint(data, dir, key.name(), key, report)?;
    report.num_root_entries = checkpoint.size();
    let mut state = RootState::default();
    let mut unreadable = Vec::new();
    let findings = audit_log(checkpoint.size(), &checkpoint.root(), &LogDir(data.join(dir)), &mut |index, bytes| {
        match RootEntry::decode(bytes) {
            Ok(entry) => {
                if let Err(contradiction) = state.history.apply(&entry.event) {
                    unreadable.push(format!("entry {index}: {contradiction}"));
                }
                state.apply(entry);
            }
            Err(error) => unreadable.push(format!("entry {index}: {error}")),
        }
    });
    add_findings(dir, findings, report);
    unreadable.into_iter().for_each(|problem| report.find(dir, problem));
    check_cosigned(data, &checkpoint, key, quorum, report);
    report.num_dropped_shards = state.dropped.len() as u64;
    Some(state)
}

/// The checkpoint that witnesses cosigned is the beginning of this log, and has the lines it is asked to have.
fn check_cosigned(
    data: &Path,
    newest: &SignedCheckpoint,
    key: &VerifierKey,
    quorum: Option<&Quorum>,
    report: &mut Report,
) {
    let file = Path::new("ledger/root/cosigned");
    let bytes = match std::fs::read(data.join(file)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && quorum.is_none() => return,
        Err(error) => return report.find(file, format!("what witnesses cosigned cannot be read: {error}")),
    };
    let cosigned = match SignedCheckpoint::open(&bytes, key.name(), std::slice::from_ref(key)) {
        Ok(cosigned) => cosigned,
        Err(error) => return report.find(file, chain(&error)),
    };
    if cosigned.size() > newest.size() {
        let problem = format!("witnesses know {} root entries, the log has {}", cosigned.size(), newest.size());
        return report.find(file, problem);
    }
    match root_from_tiles(cosigned.size(), &LogDir(data.join("ledger/root"))) {
        Ok(root) if root == cosigned.root() => {}
        Ok(_) => report.find(file, "the root log does not continue the tree that witnesses know"),
        Err(error) => report.find(file, chain(&error)),
    }
    let Some(quorum) = quorum else { return };
    match crate::proof::check_quorum(&bytes, quorum) {
        Ok(verdict) => report.notes.push(format!("the first {} root entries: {verdict}", cosigned.size())),
        Err(error) => report.find(file, format!("{error:#}")),
    }
}

impl RootState {
    fn apply(&mut self, entry: RootEntry) {
        self.newest = self.newest.max(Some(entry.at));
        match entry.event {
            RootEvent::Tick { shards } => {
                self.shards.extend(shards.into_iter().map(|growth| (growth.shard.clone(), growth)))
            }
            RootEvent::SegmentSealed { rows, object } => {
                self.segments.insert(object.path.clone(), (rows, object));
            }
            RootEvent::SegmentReencoded { rows, old, new } => {
                old.iter().for_each(|object| drop(self.segments.remove(&object.path)));
                self.segments.insert(new.path.clone(), (rows, new));
            }
            RootEvent::RetentionDrop { growth, .. } => self.drop_shard(&growth.shard),
            _ => {}
        }
    }

    fn drop_shard(&mut self, shard: &ShardId) {
        self.shards.remove(shard);
        let rows = &mut Vec::new();
        self.segments.retain(|_, (segment, _)| {
            let is_dropped = segment.shard == *shard;
            rows.extend(is_dropped.then_some((segment.start, segment.end)));
            !is_dropped
        });
        rows.sort_unstable();
        // A drop that a crash interrupted is entered twice; the second entry finds no segments left, or those that the
        // start after the crash named again.
        let dropped = self.dropped.entry(shard.clone()).or_default();
        rows.retain(|rows| !dropped.contains(rows));
        dropped.append(rows);
    }

    /// The place of a shard among those of its table, from 0.
    #[must_use]
    pub fn number_of(&self, shard: &ShardId) -> u64 {
        self.history.get(shard).map_or(0, |status| status.number)
    }

    /// What the root log says of a shard; `None` when it does not know it.
    #[must_use]
    pub fn status_of(&self, shard: &ShardId) -> Option<&ShardStatus> {
        self.history.get(shard)
    }

    /// Whether the directory of a shard that was not dropped is gone, which is then a finding.
    pub fn is_missing(&self, data: &Path, shard: &ShardId, report: &mut Report) -> bool {
        let dir = shard_dir(shard);
        if data.join(&dir).is_dir() {
            return false;
        }
        let (number, table) = (self.number_of(shard), &shard.table);
        report.find(dir, format!("shard number {number} of {table} is missing, and no drop entry says why"));
        true
    }

    /// Every shard of a table that was ever opened, in order of their numbers, with whether it was dropped.
    #[must_use]
    pub fn shards_of(&self, table: &TableName) -> Vec<(&ShardId, &ShardStatus)> {
        let mut shards: Vec<_> = self.history.shards().filter(|(shard, _)| shard.table == *table).collect();
        shards.sort_by_key(|(_, status)| status.number);
        shards
    }
}

/// The directory of a shard log, relative to the data directory.
fn shard_dir(shard: &ShardId) -> PathBuf {
    PathBuf::from("ledger/shard").join(shard.to_string())
}

/// Where a segment is that the root log names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// In the directory, if anywhere.
    Here,
    /// In a bucket, with so many bytes; none when it is not there though it should be.
    Bucket(Option<u64>),
    /// In a bucket that cannot be reached now.
    Unknown,
}

/// Whether every shard and segment that the root log names is there, with the size it was signed with. Quick: what is in
/// them is not read, but for the ends of the shard logs. `whereabouts` says of the path of a segment where it is.
pub fn check_presence(data: &Path, key: &VerifierKey, whereabouts: &dyn Fn(&str) -> Whereabouts, report: &mut Report) {
    let Some(state) = check_root(data, key, None, report) else { return };
    for growth in state.shards.values() {
        let dir = shard_dir(&growth.shard);
        if state.is_missing(data, &growth.shard, report) {
            continue;
        }
        open_shard_checkpoint(data, growth, key, report);
        let number = growth.size.saturating_sub(1) / u64::from(TILE_WIDTH);
        let last = TilePath::entries(number, width_in(growth.size, TileShelf::Entries, number));
        if let Err(error) = LogDir(data.join(&dir)).read_tile(last) {
            report.find(dir.join(last.to_string()), error.to_string());
        }
    }
    for (path, (rows, object)) in &state.segments {
        let file = Path::new("store").join(path);
        let size = match whereabouts(path) {
            Whereabouts::Unknown => continue,
            Whereabouts::Here => {
                std::fs::metadata(data.join(&file)).map(|metadata| metadata.len()).map_err(|error| error.to_string())
            }
            Whereabouts::Bucket(size) => size.ok_or_else(|| "its object is not in the bucket".to_owned()),
        };
        match size {
            Ok(size) if size == object.size_bytes => {}
            Ok(size) => {
                report.find(&file, format!("it has {size} bytes, signed were {}", object.size_bytes));
            }
            Err(error) => report.find(
                &file,
                format!("rows _Seq {} to {} of shard {} are missing: {error}", rows.start, rows.end, rows.shard),
            ),
        }
    }
}

fn open_shard_checkpoint(data: &Path, growth: &ShardGrowth, key: &VerifierKey, report: &mut Report) {
    let dir = shard_dir(&growth.shard);
    let origin = format!("{}/shard/{}", key.name(), growth.shard);
    if let Some(checkpoint) = open_checkpoint(data, &dir, &origin, key, report)
        && checkpoint.size() < growth.size
    {
        let problem = format!("covers {} blocks, but the root log names {}", checkpoint.size(), growth.size);
        report.find(dir.join("checkpoint"), problem);
    }
}

/// Checks the log of one shard at the size and root that the root log states, and returns its headers in order.
pub fn check_shard(data: &Path, growth: &ShardGrowth, key: &VerifierKey, report: &mut Report) -> Vec<BlockHeader> {
    let dir = shard_dir(&growth.shard);
    open_shard_checkpoint(data, growth, key, report);
    let mut headers = Vec::new();
    let mut unreadable = Vec::new();
    let findings =
        audit_log(growth.size, &growth.root, &LogDir(data.join(&dir)), &mut |index, bytes| match BlockHeader::decode(
            bytes,
        ) {
            Ok(header) if header.shard == growth.shard && header.shard_index == index => headers.push(header),
            Ok(_) => unreadable.push(format!("entry {index} is the header of another block")),
            Err(error) => unreadable.push(format!("entry {index}: {error}")),
        });
    add_findings(&dir, findings, report);
    unreadable.into_iter().for_each(|problem| report.find(&dir, problem));
    headers
}

fn open_checkpoint(
    data: &Path,
    dir: &Path,
    origin: &str,
    key: &VerifierKey,
    report: &mut Report,
) -> Option<SignedCheckpoint> {
    let file = dir.join("checkpoint");
    let opened = std::fs::read(data.join(&file)).map_err(|error| error.to_string());
    let opened = opened.and_then(|bytes| {
        SignedCheckpoint::open(&bytes, origin, std::slice::from_ref(key)).map_err(|error| chain(&error))
    });
    opened.map_err(|problem| report.find(&file, problem)).ok()
}

fn add_findings(dir: &Path, findings: Vec<moneta_merkle::audit::Finding>, report: &mut Report) {
    for finding in findings {
        let file = finding.tile.map_or_else(|| dir.to_owned(), |tile| dir.join(tile.to_string()));
        let entry = finding.entry.map(|entry| format!("entry {entry}: ")).unwrap_or_default();
        report.find(file, format!("{entry}{}", finding.reason));
    }
}
