//! The Delta log of a table: which segments count, in a form that any Delta reader opens.
//!
//! Writes what the Delta protocol asks of a writer of version 2: one JSON file a commit, made durable and put in place
//! only if no other has its number; and a checkpoint from time to time, after which commits of a month ago go. Reads the
//! newest checkpoint and the commits after it at start. It never writes data files. Why a log of our own: docs/adr/0002-delta-writer.md.
//!
//! # Source
//! Delta transaction log protocol, section "Delta Log Entries".

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_base::fs::{DirEntry, FileSystem, TEMPORARY_SUFFIX, create_dir_durably, write_atomically};
use moneta_base::{Seq, TableName, Timestamp};
use moneta_event::root_entry::ObjectRef;
use moneta_event::{Column, TableSchema};
use serde_json::Value;

use crate::Error;
use crate::delta_action as action;
use crate::delta_checkpoint as checkpoint;
use crate::segment::SegmentMeta;

/// Directory of the log within a table.
pub(crate) const LOG_DIR: &str = "_delta_log";

const COMMIT_SUFFIX: &str = ".json";

/// Bytes of one commit at most when read back: ours have some kilobytes a segment.
const COMMIT_BYTES_MAX: u64 = 64 << 20;

/// Commits after which a checkpoint is due.
const CHECKPOINT_EVERY: u64 = 100;

/// How long a checkpoint names files that were taken off the list: longer than any file waits to be removed.
const TOMBSTONE_LIFE_MILLIS: i64 = 7 * 86_400_000;

/// How long commits stay that a checkpoint sums up: as long as Delta's own default, for readers that follow the changes.
const COMMIT_LIFE_MILLIS: i64 = 30 * 86_400_000;

/// Commits that are removed at once at most: more than come between two checkpoints, for some are of older versions.
const REMOVED_AT_ONCE: usize = 500;

/// The log of one table.
#[derive(Debug)]
pub(crate) struct DeltaLog {
    table_dir: PathBuf,
    next_version: u64,
    /// Columns in the last `metaData`; `None` before the first.
    written_columns: Option<Vec<Column>>,
    /// The version of the newest checkpoint.
    last_checkpoint: Option<u64>,
    /// The version of the one before it, for the day on which the newest cannot be read.
    checkpoint_before: Option<u64>,
    /// Recent `remove` actions.
    tombstones: Vec<Value>,
    /// A commit failed when it may have been in place already: the log must be read again before the next.
    unsure: bool,
}

/// What the commits of a log add up to.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) columns: Vec<Column>,
    /// By the table and the path that the catalog lists.
    pub(crate) segments: BTreeMap<String, SegmentMeta>,
    /// The same of segments that were taken off the list.
    pub(crate) removed: BTreeSet<String>,
    /// `_Seq` after the last row that was ever sealed: segments may have been dropped since.
    pub(crate) sealed_end: Seq,
    /// What the last merge took off the list, and the path below `store` of its result.
    pub(crate) last_merge: Option<(Vec<ObjectRef>, String)>,
    tombstones: Vec<Value>,
}

impl DeltaLog {
    /// The log of a table that has none yet.
    pub(crate) fn new(table_dir: PathBuf) -> Self {
        Self {
            table_dir,
            next_version: 0,
            written_columns: None,
            last_checkpoint: None,
            checkpoint_before: None,
            tombstones: Vec::new(),
            unsure: false,
        }
    }

    /// Reads a log; a table without one has no commits. What interrupted writers left is removed; files of other
    /// programs in the log's directory are left alone.
    pub(crate) fn open(fs: &dyn FileSystem, table_dir: &Path, table: &TableName) -> Result<(Self, Replayed), Error> {
        let dir = table_dir.join(LOG_DIR);
        let entries = fs.list(&dir).map_err(Error::io("list", &dir))?;
        let checkpoints = versions_in(&entries, checkpoint::CHECKPOINT_SUFFIX);
        let named = Self::open_named_checkpoint(fs, table_dir, table).unwrap_or_else(|error| {
            tracing::warn!(%error, "a checkpoint cannot be used; more commits are read");
            None
        });
        let is_named = named.is_some();
        let (mut log, mut replayed) = named.unwrap_or_else(|| {
            // Where commits are missing, one sums them up.
            let is_whole = versions_in(&entries, COMMIT_SUFFIX).contains(&0);
            let mut newest_first = checkpoints.iter().rev().filter(|_| !is_whole);
            let opened = newest_first.find_map(|version| Self::open_checkpoint(fs, table_dir, table, *version).ok());
            opened.unwrap_or_else(|| (Self::new(table_dir.to_owned()), Replayed::default()))
        });
        log.checkpoint_before = log.last_checkpoint.and_then(|last| checkpoints.range(..last).next_back().copied());
        if !entries.is_empty() {
            // A commit may have been put in place by a process that ended before its name was durable.
            fs.sync_dir(&dir).map_err(Error::io("sync", &dir))?;
        }
        while log.read_commit(fs, table, &mut replayed)? {}
        log.refuse_later_commits(&entries)?;
        log.remove_leftovers(fs, &entries, is_named)?;
        if log.next_version > 0 {
            log.written_columns = Some(replayed.columns.clone());
        }
        log.tombstones = std::mem::take(&mut replayed.tombstones);
        Ok((log, replayed))
    }

    /// Begins with the checkpoint that is named as the newest; `None` when none is.
    fn open_named_checkpoint(
        fs: &dyn FileSystem,
        table_dir: &Path,
        table: &TableName,
    ) -> Result<Option<(Self, Replayed)>, Error> {
        let path = table_dir.join(LOG_DIR).join(checkpoint::LAST_CHECKPOINT);
        match fs.size(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path)(error)),
            Ok(size) if size > checkpoint::LAST_CHECKPOINT_BYTES_MAX => {
                return Err(Error::corrupt(&path, "it is too large"));
            }
            Ok(_) => {}
        }
        let bytes = fs.read(&path).map_err(Error::io("read", &path))?;
        let version = checkpoint::parse_last_checkpoint(&bytes).filter(|version| *version < u64::MAX);
        let version = version.ok_or_else(|| Error::corrupt(&path, "it names no version"))?;
        Self::open_checkpoint(fs, table_dir, table, version).map(Some)
    }

    /// Begins with a checkpoint.
    fn open_checkpoint(
        fs: &dyn FileSystem,
        table_dir: &Path,
        table: &TableName,
        version: u64,
    ) -> Result<(Self, Replayed), Error> {
        let mut log = Self::new(table_dir.to_owned());
        let path = log.checkpoint_path(version);
        if fs.size(&path).map_err(Error::io("read", &path))? > checkpoint::CHECKPOINT_BYTES_MAX {
            return Err(Error::corrupt(&path, "it is too large for a checkpoint"));
        }
        let bytes = fs.read(&path).map_err(Error::io("read", &path))?;
        let corrupt = |reason: String| Error::corrupt(&path, reason);
        let mut replayed = Replayed::default();
        for action in checkpoint::decode(bytes).map_err(corrupt)? {
            replayed.apply_action(&action, table).map_err(corrupt)?;
        }
        if replayed.columns.is_empty() {
            return Err(corrupt("it has no metaData".to_owned()));
        }
        replayed.last_merge = action::last_merge(&replayed.tombstones, table).map_err(corrupt)?;
        (log.next_version, log.last_checkpoint) = (version + 1, Some(version));
        Ok((log, replayed))
    }

    /// Reads the next commit; `false` when there is none.
    fn read_commit(&mut self, fs: &dyn FileSystem, table: &TableName, replayed: &mut Replayed) -> Result<bool, Error> {
        let path = self.commit_path(self.next_version);
        match fs.size(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("read", &path)(error)),
            Ok(size) if size > COMMIT_BYTES_MAX => return Err(Error::corrupt(&path, "it is too large for a commit")),
            Ok(_) => {}
        }
        let bytes = fs.read(&path).map_err(Error::io("read", &path))?;
        replayed.apply(&bytes, table).map_err(|reason| Error::corrupt(&path, reason))?;
        self.next_version += 1;
        Ok(true)
    }

    /// A commit behind one that is missing means that commits were lost.
    fn refuse_later_commits(&self, entries: &[DirEntry]) -> Result<(), Error> {
        let commits = entries.iter().filter_map(|entry| Some((version_of(entry.name(), COMMIT_SUFFIX)?, entry)));
        match commits.max_by_key(|(version, _)| *version) {
            Some((version, entry)) if version >= self.next_version => {
                let reason = format!("commit {:020}.json should come next", self.next_version);
                Err(Error::corrupt(&entry.path, reason))
            }
            _ => Ok(()),
        }
    }

    /// Removes unfinished files, and the checkpoints but for the two newest. All of them stay while none that can be read
    /// is named.
    fn remove_leftovers(&self, fs: &dyn FileSystem, entries: &[DirEntry], is_named: bool) -> Result<(), Error> {
        for entry in entries.iter().filter(|entry| !entry.is_dir) {
            let version = version_of(entry.name(), checkpoint::CHECKPOINT_SUFFIX);
            let is_kept = version == self.last_checkpoint || version == self.checkpoint_before;
            let is_outdated = is_named && version.is_some() && !is_kept;
            if is_outdated || entry.name().strip_suffix(TEMPORARY_SUFFIX).is_some_and(is_own_name) {
                fs.remove_file(&entry.path).map_err(Error::io("remove", &entry.path))?;
            }
        }
        Ok(())
    }

    /// Removes the checkpoints but for the two newest that were of use, and commits that are old and that both sum up, the
    /// oldest first.
    fn tidy(&self, fs: &dyn FileSystem, now: Timestamp) -> Result<(), Error> {
        let dir = self.table_dir.join(LOG_DIR);
        let entries = fs.list(&dir).map_err(Error::io("list", &dir))?;
        let kept = [self.last_checkpoint, self.checkpoint_before];
        for version in versions_in(&entries, checkpoint::CHECKPOINT_SUFFIX) {
            if !kept.contains(&Some(version)) {
                let path = self.checkpoint_path(version);
                fs.remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        let Some(summed_up) = self.checkpoint_before else { return Ok(()) };
        let horizon = now.as_nanos().div_euclid(1_000_000) - COMMIT_LIFE_MILLIS;
        let versions = versions_in(&entries, COMMIT_SUFFIX);
        for version in versions.range(..summed_up).take(REMOVED_AT_ONCE) {
            let path = self.commit_path(*version);
            let bytes = fs.read(&path).map_err(Error::io("read", &path))?;
            if action::commit_millis(&bytes).is_none_or(|written| written >= horizon) {
                break;
            }
            fs.remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }

    /// Whether enough commits came since the last checkpoint.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        let covered = self.last_checkpoint.map_or(0, |version| version + 1);
        !self.unsure && self.next_version >= covered + CHECKPOINT_EVERY
    }

    /// Writes what all commits add up to; `segments` are those listed, `sealed_end` is the `_Seq` after the last row
    /// ever sealed.
    pub(crate) fn write_checkpoint(
        &mut self,
        fs: &dyn FileSystem,
        table: &TableName,
        segments: &[Arc<SegmentMeta>],
        sealed_end: Seq,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (Some(version), Some(columns)) = (self.next_version.checked_sub(1), &self.written_columns) else {
            return Ok(());
        };
        let horizon = now.as_nanos().div_euclid(1_000_000) - TOMBSTONE_LIFE_MILLIS;
        self.tombstones.retain(|remove| remove["remove"]["deletionTimestamp"].as_i64().is_some_and(|at| at >= horizon));
        let mut actions =
            vec![action::protocol(), action::metadata(table, columns, now), action::transaction(sealed_end, now)];
        actions.extend(segments.iter().map(|segment| action::add_in_checkpoint(segment)));
        // A file that was listed again is there.
        let listed: HashSet<&str> = segments.iter().map(|segment| segment.listed_path()).collect();
        let is_gone = |remove: &&Value| remove["remove"]["path"].as_str().is_none_or(|path| !listed.contains(path));
        actions.extend(self.tombstones.iter().filter(is_gone).cloned());
        let path = self.checkpoint_path(version);
        let bytes = checkpoint::encode(&actions).map_err(|reason| Error::corrupt(&path, reason))?;
        write_atomically(fs, &path, &bytes).map_err(Error::io("write", &path))?;
        let last = self.table_dir.join(LOG_DIR).join(checkpoint::LAST_CHECKPOINT);
        let text = checkpoint::last_checkpoint(version, actions.len());
        write_atomically(fs, &last, &text).map_err(Error::io("write", &last))?;
        self.checkpoint_before = self.last_checkpoint.replace(version);
        if let Err(error) = self.tidy(fs, now) {
            tracing::warn!(%error, "older checkpoints and commits stay until the next checkpoint");
        }
        Ok(())
    }

    /// Whether the log must be read again before the next commit.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// Lists a segment.
    pub(crate) fn commit_segment(
        &mut self,
        fs: &dyn FileSystem,
        schema: &TableSchema,
        segment: &SegmentMeta,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut actions = Vec::new();
        if self.next_version == 0 {
            actions.push(action::protocol());
        }
        if self.written_columns.as_deref() != Some(schema.columns()) {
            actions.push(action::metadata(schema.name(), schema.columns(), now));
        }
        actions.push(action::transaction(segment.end_seq, now));
        actions.push(action::add(segment, true, now));
        actions.push(action::commit_info("WRITE", now));
        self.commit(fs, &actions)?;
        self.written_columns = Some(schema.columns().to_vec());
        Ok(())
    }

    /// Takes segments off the list.
    pub(crate) fn commit_removal(
        &mut self,
        fs: &dyn FileSystem,
        segments: &[Arc<SegmentMeta>],
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut actions: Vec<Value> = segments.iter().map(|segment| action::remove(segment, true, now)).collect();
        let tombstones = actions.clone();
        actions.push(action::commit_info("DELETE", now));
        self.commit(fs, &actions)?;
        self.tombstones.extend(tombstones);
        Ok(())
    }

    /// Lists a segment in place of those that were merged into it: the same rows, so that readers of changes pass it over.
    pub(crate) fn commit_merge(
        &mut self,
        fs: &dyn FileSystem,
        old: &[Arc<SegmentMeta>],
        new: &SegmentMeta,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut actions: Vec<Value> = old.iter().map(|segment| action::remove(segment, false, now)).collect();
        let tombstones = actions.clone();
        actions.push(action::add(new, false, now));
        actions.push(action::commit_info("OPTIMIZE", now));
        self.commit(fs, &actions)?;
        self.tombstones.extend(tombstones);
        Ok(())
    }

    /// Lists a segment at the place it was moved to: the same file, so that readers of changes pass it over.
    pub(crate) fn commit_move(
        &mut self,
        fs: &dyn FileSystem,
        old: &SegmentMeta,
        new: &SegmentMeta,
        now: Timestamp,
    ) -> Result<(), Error> {
        let remove = action::remove_moved(old, now);
        self.commit(fs, &[remove.clone(), action::add(new, false, now), action::commit_info("MOVE", now)])?;
        self.tombstones.push(remove);
        Ok(())
    }

    fn commit(&mut self, fs: &dyn FileSystem, actions: &[Value]) -> Result<(), Error> {
        let dir = self.table_dir.join(LOG_DIR);
        let path = self.commit_path(self.next_version);
        create_dir_durably(fs, &dir).map_err(Error::io("create", &dir))?;
        let text: String = actions.iter().map(|action| format!("{action}\n")).collect();
        let temporary = self.temporary_path(self.next_version);
        write_new(fs, &temporary, text.as_bytes()).map_err(Error::io("write", &temporary))?;
        self.unsure = true;
        fs.link_new(&temporary, &path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::Conflict { path: path.clone() },
            _ => Error::io("link", &path)(error),
        })?;
        fs.sync_dir(&dir).map_err(Error::io("sync", &dir))?;
        self.unsure = false;
        self.next_version += 1;
        if let Err(error) = fs.remove_file(&temporary) {
            tracing::warn!(%error, file = %temporary.display(), "a temporary file stays until the next start");
        }
        Ok(())
    }

    fn commit_path(&self, version: u64) -> PathBuf {
        self.table_dir.join(LOG_DIR).join(format!("{version:020}{COMMIT_SUFFIX}"))
    }

    fn temporary_path(&self, version: u64) -> PathBuf {
        self.table_dir.join(LOG_DIR).join(format!("{version:020}{COMMIT_SUFFIX}{TEMPORARY_SUFFIX}"))
    }

    fn checkpoint_path(&self, version: u64) -> PathBuf {
        self.table_dir.join(LOG_DIR).join(format!("{version:020}{}", checkpoint::CHECKPOINT_SUFFIX))
    }
}

/// The version in the name of a commit or a checkpoint; `None` for every other file.
fn version_of(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix).filter(|digits| digits.len() == 20)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The versions of the commits, or of the checkpoints, in a directory.
fn versions_in(entries: &[DirEntry], suffix: &str) -> BTreeSet<u64> {
    entries.iter().filter_map(|entry| version_of(entry.name(), suffix)).collect()
}

/// Whether a file of this name is one that this log writes.
fn is_own_name(name: &str) -> bool {
    let is_version = |suffix: &str| version_of(name, suffix).is_some();
    is_version(COMMIT_SUFFIX) || is_version(checkpoint::CHECKPOINT_SUFFIX) || name == checkpoint::LAST_CHECKPOINT
}

fn write_new(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs.exists(path) {
        fs.remove_file(path)?;
    }
    let mut file = fs.create(path)?;
    file.append(bytes)?;
    file.sync()
}

impl Replayed {
    fn apply(&mut self, bytes: &[u8], table: &TableName) -> Result<(), String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let mut num_actions = 0;
        let mut merge = (Vec::new(), None);
        for line in text.lines().filter(|line| !line.is_empty()) {
            let action: Value = serde_json::from_str(line).map_err(|error| format!("it is not JSON: {error}"))?;
            self.apply_action(&action, table)?;
            action::note_merge(&action, table, &mut merge)?;
            num_actions += 1;
        }
        if let (old, Some(new)) = merge {
            self.last_merge = Some((old, new));
        }
        // Every commit of ours has some: an emptied file must not pass for one.
        if num_actions > 0 { Ok(()) } else { Err("it holds no actions".to_owned()) }
    }

    fn apply_action(&mut self, action: &Value, table: &TableName) -> Result<(), String> {
        if let Some(metadata) = action.get("metaData") {
            self.columns = action::parse_columns(&metadata["schemaString"])?;
        } else if let Some(add) = action.get("add") {
            let segment = action::parse_add(add, table)?;
            self.sealed_end = self.sealed_end.max(segment.end_seq);
            let path = format!("{table}/{}", segment.listed_path());
            self.removed.remove(&path);
            self.segments.insert(path, segment);
        } else if let Some(remove) = action.get("remove") {
            let path = remove["path"].as_str().ok_or("a remove action has no path")?;
            let path = format!("{table}/{path}");
            self.segments.remove(&path);
            self.removed.insert(path);
            self.tombstones.push(action.clone());
        } else if let Some(txn) = action.get("txn").filter(|txn| txn["appId"] == action::APP_ID) {
            self.sealed_end = self.sealed_end.max(txn["version"].as_u64().ok_or("a txn action has no version")?);
        }
        Ok(())
    }
}
