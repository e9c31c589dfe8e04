//! The state of correlations on disk: written from time to time, read at the start, tied to positions in the journal.
//!
//! ```text
//! start: snapshot (state, positions) ─► blocks from the positions on, in order of arrival
//!          rows before the cursor:  correlations see them again; alerts of theirs that are stored are not raised again
//!          rows from the cursor on: matched for the first time
//! ```
//! A block is needed until a snapshot has it: the journal keeps it so long. Which alerts are stored is known from the
//! rows of `SecurityAlert` since the snapshot, whose position the snapshot has too. So a kill at any moment loses no
//! match and doubles none (MONITOR-2).
//!
//! # Form
//! A line with the SHA-256 of the rest in hexadecimal digits, then the bytes of
//! [`Correlator::snapshot`](moneta_rules::Correlator::snapshot).

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray};
use moneta_base::fs::{FileSystem, create_dir_durably, write_atomically};
use moneta_base::{Seq, TableName};
use moneta_event::Block;
use moneta_event::catalog::table;
use moneta_merkle::sha256;
use moneta_rules::correlation::{Settings, Snapshot};
use moneta_rules::{CompiledRules, Correlator};

/// The file's name in its directory.
const FILE_NAME: &str = "correlations";
/// Time between two snapshots at least.
const INTERVAL: Duration = Duration::from_secs(2);
/// A snapshot is taken so many times less often than it takes: a large state does not stop matching.
const COST_FACTOR: u32 = 20;

/// Where the state is kept.
#[derive(Clone)]
pub struct StatePlace {
    /// The files.
    pub fs: Arc<dyn FileSystem>,
    /// A directory of its own; made when it is missing.
    pub directory: PathBuf,
}

/// What a start goes on from.
pub(crate) struct Start {
    pub(crate) correlator: Correlator,
    /// Per table the sequence after the last row in the state.
    pub(crate) positions: BTreeMap<TableName, Seq>,
    /// Why what the last run left is not used, where it is not.
    pub(crate) lost: Option<String>,
}

impl StatePlace {
    /// The file.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.join(FILE_NAME)
    }

    /// What the last run left; nothing where it left none, or none that can be read.
    pub(crate) fn read(&self, rules: &Arc<CompiledRules>) -> Start {
        let fresh = |lost| Start {
            correlator: Correlator::new(rules.clone(), Settings::default()),
            positions: BTreeMap::new(),
            lost,
        };
        let bytes = match self.fs.read(&self.file()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return fresh(None),
            Err(error) => return fresh(Some(format!("it cannot be read: {error}"))),
        };
        let Some(state) = checked(&bytes) else { return fresh(Some("it is damaged".to_owned())) };
        match Snapshot::read(state, rules.clone(), Settings::default()) {
            Ok(snapshot) => Start { correlator: snapshot.correlator, positions: snapshot.positions, lost: None },
            Err(error) => fresh(Some(error.to_string())),
        }
    }

    fn write(&self, state: &[u8]) -> std::io::Result<()> {
        create_dir_durably(&*self.fs, &self.directory)?;
        let mut bytes = sha256(state).to_hex().into_bytes();
        bytes.push(b'\n');
        bytes.extend_from_slice(state);
        write_atomically(&*self.fs, &self.file(), &bytes)
    }
}

/// The state without its digest, where the digest is right.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.iter().position(|byte| *byte == b'\n')?;
    let (digest, state) = (&bytes[..at], &bytes[at + 1..]);
    (digest == sha256(state).to_hex().as_bytes()).then_some(state)
}

/// When the next snapshot is due, and whether there may be one.
pub(crate) struct Keeper {
    place: StatePlace,
    due: Instant,
    /// What was written last.
    written: BTreeMap<TableName, Seq>,
    /// An alert was found and could not be stored: the state says that it was raised, so it must not be kept.
    spoilt: bool,
}

impl Keeper {
    pub(crate) fn new(place: StatePlace, written: BTreeMap<TableName, Seq>) -> Self {
        Self { place, due: Instant::now(), written, spoilt: false }
    }

    /// Keeps no state from now on: the next start goes on from the last one.
    pub(crate) fn spoil(&mut self) {
        self.spoilt = true;
    }

    /// When the state is to be written; `None` while nothing has changed.
    pub(crate) fn due(&self, positions: &BTreeMap<TableName, Seq>) -> Option<Instant> {
        (!self.spoilt && *positions != self.written).then_some(self.due)
    }

    /// Writes the state if it is due and has changed; whether it did.
    pub(crate) fn keep(&mut self, correlator: &Correlator, positions: &BTreeMap<TableName, Seq>) -> bool {
        let begun = Instant::now();
        if begun < self.due || *positions == self.written {
            return false;
        }
        let kept = self.keep_now(correlator, positions);
        self.due = Instant::now() + INTERVAL.max(begun.elapsed() * COST_FACTOR);
        kept
    }

    /// Writes the state if it has changed; whether it did.
    pub(crate) fn keep_now(&mut self, correlator: &Correlator, positions: &BTreeMap<TableName, Seq>) -> bool {
        if self.spoilt || *positions == self.written {
            return false;
        }
        match self.place.write(&correlator.snapshot(positions)) {
            Ok(()) => {
                self.written.clone_from(positions);
                true
            }
            Err(error) => {
                tracing::error!(error = %error, "the state of correlations cannot be kept: the journal keeps their events");
                false
            }
        }
    }
}

/// Ids of alerts that are stored, out of a block of `SecurityAlert`.
pub(crate) fn note_stored_alerts(block: &Block, known: &mut HashSet<String>) {
    if block.header.shard.table.as_str() != table::SECURITY_ALERT {
        return;
    }
    let ids = block.rows.column_by_name("SystemAlertId").and_then(|column| column.as_string_opt::<i32>());
    if let Some(ids) = ids {
        known.extend((0..ids.len()).filter(|row| ids.is_valid(*row)).map(|row| ids.value(row).to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_not_used() {
        let state = b"{}";
        let mut bytes = sha256(state).to_hex().into_bytes();
        bytes.extend_from_slice(b"\n{}");
        assert_eq!(checked(&bytes), Some(&state[..]));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!((checked(&bytes), checked(b"no line")), (None, None));
    }
}
