//! Holds a directory against a checkpoint that was kept elsewhere: it must continue that one, or else it was put back to an
//! earlier state, or is another history under the same key.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use moneta_base::{Seq, TableName};
use moneta_merkle::reader::root_from_tiles;
use moneta_merkle::{SignedCheckpoint, VerifierKey};

use crate::Report;
use crate::ledger::{LogDir, check_root, check_shard};

/// What a directory is to a checkpoint that somebody kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It continues it.
    Continues,
    /// It ends earlier: so many entries of the root log are missing, and with them everything after these rows.
    Behind {
        /// Entries of the root log that the checkpoint covers.
        known: u64,
        /// Entries that are there.
        there: u64,
        /// The `_Seq` from which on rows may be missing, by table. Tables that began later are not named by anything.
        tables: Vec<(TableName, Seq)>,
    },
    /// It has another history.
    Forked,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continues => f.write_str("the log continues it"),
            Self::Forked => f.write_str("the log is another history under the same key"),
            Self::Behind { known, there, tables } => {
                write!(f, "the log had {known} entries then and has {there} now: missing are ")?;
                tables.iter().try_for_each(|(table, seq)| write!(f, "rows of {table} from _Seq {seq} on, "))?;
                f.write_str("and tables that began later")
            }
        }
    }
}

/// Enters as a finding when a directory does not continue a checkpoint.
pub fn check(data: &Path, file: &Path, checkpoint: &[u8], key: &VerifierKey, report: &mut Report) {
    match standing(data, checkpoint, key) {
        Ok(Standing::Continues) => report.notes.push(format!("the log continues {}", file.display())),
        Ok(other) => report.find(file, other.to_string()),
        Err(error) => report.find(file, format!("{error:#}")),
    }
}

/// Compares the root log of a directory with a checkpoint.
///
/// # Errors
/// When either is not signed with the key, or the ledger in the directory is damaged.
pub fn standing(data: &Path, checkpoint: &[u8], key: &VerifierKey) -> Result<Standing> {
    let known = SignedCheckpoint::open(checkpoint, key.name(), std::slice::from_ref(key))
        .context("the checkpoint that was kept does not verify")?;
    let mut report = Report::default();
    let state = check_root(data, key, None, &mut report);
    let there = report.num_root_entries;
    if let Some(finding) = report.findings.first() {
        bail!("the ledger is not as it was signed: {finding}");
    }
    let state = state.context("the root log cannot be read")?;
    if known.size() <= there {
        let root = root_from_tiles(known.size(), &LogDir(data.join("ledger/root")))?;
        return Ok(if root == known.root() { Standing::Continues } else { Standing::Forked });
    }
    let mut tables = std::collections::BTreeMap::<TableName, Seq>::new();
    for growth in state.shards.values() {
        let headers = check_shard(data, growth, key, &mut report);
        let end = headers.last().map_or(0, moneta_event::BlockHeader::end_seq);
        let known = tables.entry(growth.shard.table.clone()).or_default();
        *known = end.max(*known);
    }
    for (shard, rows) in &state.dropped {
        let end = rows.last().map_or(0, |(_, end)| *end);
        let known = tables.entry(shard.table.clone()).or_default();
        *known = end.max(*known);
    }
    Ok(Standing::Behind { known: known.size(), there, tables: tables.into_iter().collect() })
}
