//! The Delta log of a table: which segments count, in a form that any Delta reader opens.
//!
//! Writes what the Delta protocol asks of a writer of version 2: one JSON file a commit, made durable and put in place
//! only if no other has its number. Reads every commit back at start. It never writes data files. Why a log of our own:
//! docs/adr/0002-delta-writer.md.
//!
//! # Source
//! Delta transaction log protocol, section "Delta Log Entries".

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_base::fs::{FileSystem, TEMPORARY_SUFFIX, create_dir_durably};
use moneta_base::{Seq, TableName, Timestamp};
use moneta_event::root_entry::ObjectRef;
use moneta_event::{Column, TableSchema};
use serde_json::Value;

use crate::Error;
use crate::delta_action as action;
use crate::segment::SegmentMeta;

/// Directory of the log within a table.
pub(crate) const LOG_DIR: &str = "_delta_log";

const COMMIT_SUFFIX: &str = ".json";

/// Bytes of one commit at most when read back: ours have some kilobytes a segment.
const COMMIT_BYTES_MAX: u64 = 64 << 20;

/// The log of one table.
#[derive(Debug)]
pub(crate) struct DeltaLog {
    table_dir: PathBuf,
    next_version: u64,
    /// Columns in the last `metaData`; `None` before the first.
    written_columns: Option<Vec<Column>>,
    /// A commit failed when it may have been in place already: the log must be read again before the next.
    unsure: bool,
}

/// What the commits of a log add up to.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) columns: Vec<Column>,
    /// By path below `store`.
    pub(crate) segments: BTreeMap<String, SegmentMeta>,
    /// Paths below `store` of segments that were taken off the list.
    pub(crate) removed: BTreeSet<String>,
    /// `_Seq` after the last row that was ever sealed: segments may have been dropped since.
    pub(crate) sealed_end: Seq,
    /// What the last merge took off the list, and the path below `store` of its result.
    pub(crate) last_merge: Option<(Vec<ObjectRef>, String)>,
}

impl DeltaLog {
    /// The log of a table that has none yet.
    pub(crate) fn new(table_dir: PathBuf) -> Self {
        Self { table_dir, next_version: 0, written_columns: None, unsure: false }
    }

    /// Reads a log; a table without one has no commits. Files of other programs in the log's directory are left alone.
    pub(crate) fn open(fs: &dyn FileSystem, table_dir: &Path, table: &TableName) -> Result<(Self, Replayed), Error> {
        let mut log = Self::new(table_dir.to_owned());
        let mut replayed = Replayed::default();
        let dir = table_dir.join(LOG_DIR);
        let entries = fs.list(&dir).map_err(Error::io("list", &dir))?;
        if !entries.is_empty() {
            // A commit may have been put in place by a process that ended before its name was durable.
            fs.sync_dir(&dir).map_err(Error::io("sync", &dir))?;
        }
        for entry in entries {
            if entry.name().ends_with(TEMPORARY_SUFFIX) {
                fs.remove_file(&entry.path).map_err(Error::io("remove", &entry.path))?;
                continue;
            }
            if !entry.name().ends_with(COMMIT_SUFFIX) {
                continue;
            }
            if entry.path != log.commit_path(log.next_version) {
                let reason = format!("commit {:020}.json should come next", log.next_version);
                return Err(Error::corrupt(&entry.path, reason));
            }
            if entry.size_bytes > COMMIT_BYTES_MAX {
                return Err(Error::corrupt(&entry.path, "it is too large for a commit"));
            }
            let bytes = fs.read(&entry.path).map_err(Error::io("read", &entry.path))?;
            replayed.apply(&bytes, table).map_err(|reason| Error::corrupt(&entry.path, reason))?;
            log.next_version += 1;
        }
        if log.next_version > 0 {
            log.written_columns = Some(replayed.columns.clone());
        }
        Ok((log, replayed))
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
            actions.push(action::metadata(schema, now));
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
        actions.push(action::commit_info("DELETE", now));
        self.commit(fs, &actions)
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
        actions.push(action::add(new, false, now));
        actions.push(action::commit_info("OPTIMIZE", now));
        self.commit(fs, &actions)
    }

    fn commit(&mut self, fs: &dyn FileSystem, actions: &[Value]) -> Result<(), Error> {
        let dir = self.table_dir.join(LOG_DIR);
        let path = self.commit_path(self.next_version);
        create_dir_durably(fs, &dir).map_err(Error::io("create", &dir))?;
        let text: String = actions.iter().map(|action| format!("{action}\n")).collect();
        let temporary = path.with_extension(format!("json{TEMPORARY_SUFFIX}"));
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
            self.removed.remove(&segment.path);
            self.segments.insert(segment.path.clone(), segment);
        } else if let Some(remove) = action.get("remove") {
            let path = remove["path"].as_str().ok_or("a remove action has no path")?;
            let path = format!("{table}/{path}");
            self.segments.remove(&path);
            self.removed.insert(path);
        } else if let Some(txn) = action.get("txn").filter(|txn| txn["appId"] == action::APP_ID) {
            self.sealed_end = self.sealed_end.max(txn["version"].as_u64().ok_or("a txn action has no version")?);
        }
        Ok(())
    }
}
