//! What people and programs ask of a running installation: its state, its proofs, its quarantine, its settings.

use std::fmt;

use moneta_base::{IngestDay, Seq, TableName};
use serde::Serialize;

use crate::{BoxFuture, OpContext, PortError};

/// One part of the process and whether it can do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartState {
    /// Its name, such as `journal`.
    pub part: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Why it is not; empty when it is.
    pub reason: String,
}

/// The state of an installation.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Whose data it holds.
    pub tenant: String,
    /// How long the process has run.
    pub uptime_seconds: u64,
    /// Events acknowledged per second over the last minute.
    pub events_per_second: f64,
    /// Space of the data directory.
    pub disk: DiskStatus,
    /// The journal.
    pub journal: JournalStatus,
    /// The newest checkpoint of the root log.
    pub checkpoint: CheckpointStatus,
    /// Tables that hold rows, by name.
    pub tables: Vec<TableStatus>,
    /// Rules that are active.
    pub rules_loaded: usize,
    /// Where events come from.
    pub collectors: Vec<CollectorStatus>,
}

/// Space of the data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DiskStatus {
    /// Size of the file system.
    pub total_bytes: u64,
    /// What may still be used.
    pub available_bytes: u64,
}

/// The state of the journal.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct JournalStatus {
    /// Its size.
    pub size_bytes: u64,
    /// Age of its oldest block that is not yet in a segment.
    pub oldest_age_seconds: u64,
    /// How long the last fsync took.
    pub last_fsync_ms: f64,
}

/// The newest checkpoint of the root log.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CheckpointStatus {
    /// Entries it covers.
    pub tree_size: u64,
    /// Its age.
    pub age_seconds: f64,
    /// Entries under the newest checkpoint that a quorum of witnesses cosigned; `None` before the first.
    pub cosigned_size: Option<u64>,
    /// How long ago the quorum vouched for it.
    pub cosigned_age_seconds: Option<u64>,
    /// The witnesses and what each last said.
    pub witnesses: Vec<WitnessStatus>,
}

/// A witness as this log knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WitnessStatus {
    /// The name of its key.
    pub name: String,
    /// `waiting`, `cosigned`, `away`, `rolled-back` or `split-view`.
    pub state: String,
    /// What is wrong; empty when nothing is.
    pub reason: String,
}

/// The state of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableStatus {
    /// Its name.
    pub name: String,
    /// Rows, hot and sealed.
    pub num_rows: u64,
    /// Segments.
    pub num_segments: u64,
    /// Blocks not yet in a segment.
    pub num_hot_blocks: u64,
    /// Bytes of its segments.
    pub segment_bytes: u64,
    /// Retention in days: the table's own, or the configured default.
    pub retention_days: Option<u32>,
}

/// The state of one collector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CollectorStatus {
    /// Its source name.
    pub name: String,
    /// `running`, `waiting`, `stopped` or `failed`.
    pub state: String,
    /// Records taken since the start.
    pub num_records: u64,
    /// Records dropped since the start.
    pub num_dropped: u64,
    /// Why it failed or waits; empty otherwise.
    pub reason: String,
}

/// What a check of everything stored found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct VerifyReport {
    /// Blocks read and compared with their headers.
    pub num_blocks: u64,
    /// Records hashed.
    pub num_records: u64,
    /// Segments read.
    pub num_segments: u64,
    /// Entries of the root log checked.
    pub num_root_entries: u64,
    /// Everything that does not fit. Empty means: nothing was changed, nothing is missing.
    pub findings: Vec<VerifyFinding>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// One thing that does not fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyFinding {
    /// The file.
    pub file: String,
    /// The table, where known.
    pub table: String,
    /// First sequence of the block, where known.
    pub block: Option<Seq>,
    /// Sequence of the record, where known.
    pub record: Option<Seq>,
    /// What is wrong.
    pub problem: String,
}

/// Which quarantined records to decode again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplaySelection {
    /// Every record not replayed before.
    All,
    /// These rows of `Quarantine`.
    Seqs(Vec<Seq>),
}

/// What became of replayed records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// Records that are events now.
    pub num_stored: u64,
    /// Records that were refused again.
    pub num_refused: u64,
}

/// The answer to whoever asks for the proof of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofAnswer {
    /// The text of the proof, as `moneta-verify proof` reads it.
    Proof(String),
    /// There is no such row; why, and which rows there are.
    NotStored(String),
}

/// A file of the ledger that anyone with the right may fetch: a checkpoint or a tile.
///
/// A value of this type names no file outside the ledger: every part was checked when it was parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LedgerPath(String);

impl LedgerPath {
    /// Longest path accepted, in bytes.
    const BYTES_MAX: usize = 256;

    /// Parses `root/checkpoint`, `root/cosigned`, `root/tile/<level>/<index>[.p/<width>]`, `root/tile/entries/...` and the same below
    /// `shard/<Table>/<yyyy-mm-dd>/`.
    ///
    /// # Source
    /// C2SP tlog-tiles, "Merkle Tree" and "Log entries".
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > Self::BYTES_MAX {
            return None;
        }
        let parts: Vec<&str> = path.split('/').collect();
        let rest = match parts[..] {
            ["root", ..] => &parts[1..],
            ["shard", table, day, ..] => {
                TableName::new(table).ok()?;
                IngestDay::parse(day)?;
                &parts[3..]
            }
            _ => return None,
        };
        let is_good = match rest {
            ["checkpoint"] => true,
            ["cosigned"] => parts[0] == "root",
            ["tile", level, index @ ..] => is_level(level) && is_tile_index(index),
            _ => false,
        };
        is_good.then(|| Self(path.to_owned()))
    }

    /// The path below the ledger's directory, with `/` between its parts.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the file never changes once it exists: a full tile.
    #[must_use]
    pub fn is_immutable(&self) -> bool {
        !self.is_note() && !self.0.contains(".p/")
    }

    /// Whether it is a signed note, which is text.
    #[must_use]
    pub fn is_note(&self) -> bool {
        self.0.ends_with("/checkpoint") || self.0.ends_with("/cosigned")
    }
}

impl fmt::Display for LedgerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_level(level: &str) -> bool {
    level == "entries" || (level.parse::<u8>().is_ok_and(|number| number < 64 && number.to_string() == level))
}

/// `x001/x234/067`, the last part perhaps with `.p` and then a width of 1 to 255.
fn is_tile_index(parts: &[&str]) -> bool {
    let three_digits = |text: &str| text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    let is_width = |text: &str| text.parse::<u8>().is_ok_and(|width| width > 0 && width.to_string() == text);
    let (last, groups) = match parts {
        [groups @ .., last, width] if last.ends_with(".p") && is_width(width) => (last.trim_end_matches(".p"), groups),
        [groups @ .., last] => (*last, groups),
        [] => return false,
    };
    three_digits(last) && groups.iter().all(|group| group.strip_prefix('x').is_some_and(three_digits))
}

/// A running installation, as its operators see it.
pub trait Operations: Send + Sync {
    /// Whether each part can do its work. Quick: asked every few seconds.
    fn readiness(&self) -> Vec<PartState>;

    /// The state of everything.
    ///
    /// # Errors
    /// When a part cannot say.
    fn status<'a>(&'a self, ctx: &'a OpContext) -> BoxFuture<'a, Result<Status, PortError>>;

    /// Checks everything stored against the ledger. Findings are no error: they are the answer.
    ///
    /// # Errors
    /// When the check cannot run.
    fn verify<'a>(&'a self, ctx: &'a OpContext) -> BoxFuture<'a, Result<VerifyReport, PortError>>;

    /// Decodes quarantined records again, after a parser or a mapping was mended.
    ///
    /// # Errors
    /// When the quarantine cannot be read or the events cannot be stored.
    fn replay_quarantine<'a>(
        &'a self,
        ctx: &'a OpContext,
        selection: ReplaySelection,
    ) -> BoxFuture<'a, Result<ReplayReport, PortError>>;

    /// Sets how long a table keeps its rows; `None` goes back to the configured default. Audited before it takes effect.
    ///
    /// # Errors
    /// When the change cannot be audited or stored.
    fn set_retention<'a>(
        &'a self,
        ctx: &'a OpContext,
        table: TableName,
        days: Option<u32>,
    ) -> BoxFuture<'a, Result<(), PortError>>;

    /// Proves that a row is under the signed root checkpoint. Audited.
    ///
    /// # Errors
    /// When the act cannot be audited, a checkpoint cannot be signed, or the row is not the one signed for.
    fn prove_record<'a>(
        &'a self,
        ctx: &'a OpContext,
        table: TableName,
        seq: Seq,
    ) -> BoxFuture<'a, Result<ProofAnswer, PortError>>;

    /// A file of the ledger; `None` when it does not exist.
    ///
    /// # Errors
    /// When it cannot be read.
    fn ledger_file(&self, path: LedgerPath) -> BoxFuture<'_, Result<Option<Vec<u8>>, PortError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledger_paths_name_checkpoints_and_tiles_and_nothing_else() {
        for good in [
            "root/checkpoint",
            "root/cosigned",
            "root/tile/0/000",
            "root/tile/0/x001/234",
            "root/tile/63/x001/x002/003.p/255",
            "root/tile/entries/000.p/1",
            "shard/Syslog/2026-01-02/checkpoint",
            "shard/Syslog/2026-01-02/tile/1/000",
        ] {
            assert_eq!(LedgerPath::parse(good).map(|path| path.to_string()).as_deref(), Some(good));
        }
        for bad in [
            "",
            "root",
            "root/",
            "root/tile",
            "root/tile/0",
            "root/tile/00/000",
            "root/tile/64/000",
            "root/tile/0/../../../keys/root",
            "root/tile/0/000.p",
            "root/tile/0/000.p/0",
            "root/tile/0/000.p/256",
            "root/tile/0/1234",
            "root/tile/0/000/x001",
            "/root/checkpoint",
            "root//checkpoint",
            "root/checkpoint/",
            "shard/Syslog/2026-01-02/cosigned",
            "shard/../2026-01-02/checkpoint",
            "shard/Syslog/2026-02-30/checkpoint",
            "shard/Syslog/../checkpoint",
            "keys/root",
        ] {
            assert_eq!(LedgerPath::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_full_tiles_may_be_kept_for_ever() {
        let immutable = |path| LedgerPath::parse(path).unwrap().is_immutable();
        assert!(immutable("root/tile/0/000"));
        assert!(!immutable("root/tile/0/000.p/3") && !immutable("root/checkpoint"));
    }
}
