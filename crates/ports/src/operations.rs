//! What people and programs ask of a running installation: its state, its proofs, its quarantine, its settings.

use std::collections::BTreeMap;
use std::fmt;

use arrow::array::RecordBatch;
use moneta_base::{IngestDay, Seq, TableName, Timestamp};
use serde::Serialize;

use crate::{BoxFuture, OpContext, PortError, SourceQuality, SourceStatus, Submission};

/// One part of the process and whether it can do its work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PartState {
    /// Its name, such as `journal`.
    pub part: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Why it is not; empty when it is.
    pub reason: String,
    /// Since when it has been so, RFC 3339, to within some seconds; at the earliest the start of the process.
    pub since: String,
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
    /// The reading again of stored files; `None` while it is turned off or no server runs.
    pub scrubbing: Option<ScrubbingStatus>,
    /// Tables that hold rows, by name.
    pub tables: Vec<TableStatus>,
    /// How long tables are kept.
    pub retention: RetentionStatus,
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
    /// How full it is, by what follows from it: `free`, `filling`, `nearly-full`, `data-refused` or `audit-only`.
    pub state: String,
    /// Whole days until the file system is full, if tables go on growing as they do and days are dropped as they are
    /// due; `None` when it lasts for ever.
    pub days_until_full: Option<u64>,
}

/// How far the reading again of stored files got, and what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScrubbingStatus {
    /// Files of the last days, read every day.
    pub hot: PassStatus,
    /// Older files and the root log, read every 30 days.
    pub cold: PassStatus,
    /// What is missing or damaged, as last seen: file and problem.
    pub findings: Vec<String>,
}

/// One pass over stored files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PassStatus {
    /// When it began, RFC 3339; empty before the first.
    pub started_at: String,
    /// Bytes read in it.
    pub read_bytes: u64,
    /// Bytes it is to read.
    pub total_bytes: u64,
    /// When the last whole pass ended, RFC 3339; empty before the first.
    pub completed_at: String,
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
    /// Since when it has been in this state, RFC 3339; at the earliest the start of the process.
    pub since: String,
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
    /// The oldest ingest day with sealed rows.
    pub oldest_day: Option<String>,
    /// Days with sealed rows that a hold keeps.
    pub held_days: u64,
    /// Bytes of segments that a day adds: the mean of the last seven whole days with rows.
    pub bytes_per_day: u64,
    /// Bytes of segments once the table has as many days as it is kept.
    pub forecast_bytes: u64,
}

/// How long tables are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RetentionStatus {
    /// Days of tables that have no number of their own.
    pub default_days: u32,
    /// Days of the others, which need not hold rows.
    pub tables: BTreeMap<String, u32>,
}

/// The state of one collector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CollectorStatus {
    /// Its source name.
    pub name: String,
    /// `running`, `waiting`, `stopped` or `failed`.
    pub state: String,
    /// Records taken since the start. What was lost is known by source: [`SourceStatus::num_dropped`].
    pub num_records: u64,
    /// Why it failed or waits; empty otherwise.
    pub reason: String,
    /// Since when it has been in this state, RFC 3339, to within some seconds; at the earliest the start of the process.
    pub since: String,
}

/// What becomes tokens before anything is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScrubPolicy {
    /// `built-in`, or the file it was read from at the start.
    pub source: String,
    /// The version of its format.
    pub version: u32,
    /// SHA-256 of its text, as hexadecimal digits.
    pub sha256: String,
    /// The version of the key that makes tokens.
    pub token_key_version: u32,
    /// The patterns that are looked for in every text.
    pub patterns: Vec<String>,
    /// The fields whose values become tokens, by table and name.
    pub fields: Vec<ScrubbedField>,
    /// What stays although a field or a pattern would take it: lists by name.
    pub allow: BTreeMap<String, Vec<String>>,
}

/// A field whose values become tokens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ScrubbedField {
    /// The table; `*` stands for every table.
    pub table: String,
    /// The field.
    pub field: String,
    /// The kind of its tokens.
    pub kind: String,
}

/// What would be stored of records.
///
/// # Shapes
/// The columns of the batches that were tried, same row count and order; a column `_Extra` more where a number became a
/// token.
#[derive(Debug, Clone, Default)]
pub struct ScrubTrial {
    /// The rows by table.
    pub rows: Vec<(TableName, RecordBatch)>,
    /// Records that would go to `Quarantine`: reason and content.
    pub quarantined: Vec<(String, Vec<u8>)>,
    /// How many values of the rows became tokens, by kind; kinds of which there are none are left out.
    pub tokens: Vec<(String, u64)>,
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

/// Most holds at once.
pub const HOLDS_MAX: usize = 1_000;
/// Longest name of a hold, in bytes.
const HOLD_NAME_BYTES_MAX: usize = 64;
/// Longest reason, in bytes.
const HOLD_REASON_BYTES_MAX: usize = 1_000;

/// A legal hold: days that are not dropped while it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// What it is known by, such as the number of a case.
    pub name: String,
    /// The table; every table when `None`.
    #[serde(serialize_with = "as_text")]
    pub table: Option<TableName>,
    /// The first ingest day; from the beginning when `None`.
    #[serde(serialize_with = "as_text")]
    pub from: Option<IngestDay>,
    /// The last ingest day; without end when `None`.
    #[serde(serialize_with = "as_text")]
    pub to: Option<IngestDay>,
    /// Why.
    pub reason: String,
    /// Who placed it.
    pub placed_by: String,
    /// When, RFC 3339.
    #[serde(serialize_with = "placed_at_as_text")]
    pub placed_at: Timestamp,
}

/// A hold as it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// The table; every table when absent.
    #[serde(default)]
    pub table: Option<String>,
    /// The first ingest day, `yyyy-mm-dd`; from the beginning when absent.
    #[serde(default)]
    pub from: Option<String>,
    /// The last ingest day, `yyyy-mm-dd`; without end when absent.
    #[serde(default)]
    pub to: Option<String>,
    /// Why.
    pub reason: String,
}

impl Hold {
    /// Checks a request and makes the hold it asks for.
    ///
    /// # Errors
    /// In words, what to change.
    pub fn new(name: &str, request: &HoldRequest, placed_by: &str, placed_at: Timestamp) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > HOLD_NAME_BYTES_MAX || !name.bytes().all(is_plain) {
            return Err(format!("{name:?} is no name of a hold: letters, digits, '-', '_' and '.', at most 64"));
        }
        if request.reason.trim().is_empty() || request.reason.len() > HOLD_REASON_BYTES_MAX {
            return Err(format!("a hold needs a reason of 1 to {HOLD_REASON_BYTES_MAX} bytes"));
        }
        let day = |text: &Option<String>| {
            let parse = |text: &String| {
                IngestDay::parse(text).ok_or_else(|| format!("{text:?} is not a day: write yyyy-mm-dd"))
            };
            text.as_ref().map(parse).transpose()
        };
        let table = request.table.as_ref().map(|table| TableName::new(table).map_err(|error| error.to_string()));
        let (from, to) = (day(&request.from)?, day(&request.to)?);
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(format!("the hold would end on {to}, before it begins on {from}"));
        }
        Ok(Self {
            name: name.to_owned(),
            table: table.transpose()?,
            from,
            to,
            reason: request.reason.clone(),
            placed_by: placed_by.to_owned(),
            placed_at,
        })
    }

    /// Whether it keeps a day of a table.
    #[must_use]
    pub fn covers(&self, table: &TableName, day: IngestDay) -> bool {
        self.table.as_ref().is_none_or(|held| held == table)
            && self.from.is_none_or(|from| from <= day)
            && self.to.is_none_or(|to| day <= to)
    }

    /// What was asked for, to be stored and asked for again.
    #[must_use]
    pub fn request(&self) -> HoldRequest {
        HoldRequest {
            table: self.table.as_ref().map(ToString::to_string),
            from: self.from.map(|day| day.to_string()),
            to: self.to.map(|day| day.to_string()),
            reason: self.reason.clone(),
        }
    }
}

fn as_text<T: fmt::Display, S: serde::Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

fn placed_at_as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Which quarantined records to decode again, of those that have not become events since. Everything that is given
/// narrows the selection; the default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplaySelection {
    /// These rows of `Quarantine`; any when empty.
    pub seqs: Vec<Seq>,
    /// Those that this format refused, by its name in `Format`.
    pub format: Option<String>,
    /// Those refused for this reason, by its code.
    pub reason_code: Option<String>,
    /// Those of this source.
    pub source: Option<String>,
    /// Decodes them as this format, not as the one that refused them.
    pub as_format: Option<String>,
    /// Stores all of them in this table.
    pub as_table: Option<TableName>,
}

/// What became of replayed records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// Events that they became.
    pub num_stored: u64,
    /// Records that were refused again.
    pub num_refused: u64,
}

/// What to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportSelection {
    /// Rows of a table by their event times, both included.
    Table {
        /// The table.
        table: TableName,
        /// The earliest; from the beginning when `None`.
        from: Option<Timestamp>,
        /// The latest; without end when `None`.
        to: Option<Timestamp>,
    },
    /// An incident with its alerts, their events and what people did to it.
    Case {
        /// Number of the incident.
        number: u64,
    },
}

/// Files as they were at one moment, ready to be copied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Snapshot {
    /// The directory, on the machine of the server: `<data directory>/snapshot/<time>`.
    pub path: String,
    /// Entries of the root log under its checkpoint.
    pub root_size: u64,
    /// When it was made, RFC 3339.
    pub made_at: String,
}

/// Numbers of days by the names of the rules that ask for them.
///
/// # Source
/// OMB M-21-31: twelve months active and eighteen months cold, which are never more than 915 days.
pub const RETENTION_PRESETS: [(&str, u32); 3] = [("90d", 90), ("180d", 180), ("m-21-31", 915)];

/// The days of a preset.
#[must_use]
pub fn retention_preset(name: &str) -> Option<u32> {
    RETENTION_PRESETS.iter().find(|(preset, _)| *preset == name).map(|(_, days)| *days)
}

/// The answer to whoever asks for the proof of a row, or of an alert and its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofAnswer {
    /// The text of the proof, as `moneta-verify proof` reads it; `moneta-verify alert` that of an alert.
    Proof(String),
    /// There is no such row or alert; why, and which rows there are.
    NotStored(String),
}

/// What the log has to say to a receipt that it signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptAnswer {
    /// Everything is under the checkpoint: the text of the proof, as `moneta-verify receipt` reads it.
    Kept(String),
    /// Blocks of it were dropped by policy with their day; which.
    Dropped(String),
    /// The log signed for records that it does not have.
    Broken {
        /// What is not there, in words.
        reason: String,
        /// The proof that another block is in the place of one; none when the place is empty.
        proof: Option<String>,
    },
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

    /// What is received from whom, by source, machine and table.
    fn sources(&self, ctx: &OpContext) -> Vec<SourceStatus>;

    /// How complete it is, by source, machine and table.
    fn source_quality(&self, ctx: &OpContext) -> Vec<SourceQuality>;

    /// Checks everything stored against the ledger. Findings are no error: they are the answer.
    ///
    /// # Errors
    /// When the check cannot run.
    fn verify<'a>(&'a self, ctx: &'a OpContext) -> BoxFuture<'a, Result<VerifyReport, PortError>>;

    /// What becomes tokens before anything is stored.
    ///
    /// # Errors
    /// When the question cannot be audited.
    fn scrub_policy<'a>(&'a self, ctx: &'a OpContext) -> BoxFuture<'a, Result<ScrubPolicy, PortError>>;

    /// What would be stored of records; nothing is. The audit holds the tables and how many values became tokens, and
    /// nothing of the records.
    ///
    /// # Errors
    /// When the question cannot be audited.
    fn try_scrubbing<'a>(
        &'a self,
        ctx: &'a OpContext,
        records: Submission,
    ) -> BoxFuture<'a, Result<ScrubTrial, PortError>>;

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

    /// The holds, by name.
    ///
    /// # Errors
    /// When they cannot be read.
    fn holds<'a>(&'a self, ctx: &'a OpContext) -> BoxFuture<'a, Result<Vec<Hold>, PortError>>;

    /// Places a hold. Audited, and in the root log, before it takes effect.
    ///
    /// # Errors
    /// `Caller` for a request that cannot be, a name that is taken, or too many holds; when the change cannot be audited
    /// or stored.
    fn place_hold<'a>(
        &'a self,
        ctx: &'a OpContext,
        name: String,
        request: HoldRequest,
    ) -> BoxFuture<'a, Result<Hold, PortError>>;

    /// Releases a hold; `false` when there is none of that name. Audited, and in the root log, before it takes effect.
    ///
    /// # Errors
    /// `Caller` without a reason; when the change cannot be audited or stored.
    fn release_hold<'a>(
        &'a self,
        ctx: &'a OpContext,
        name: String,
        reason: String,
    ) -> BoxFuture<'a, Result<bool, PortError>>;

    /// Links every file as it is at one moment into a directory of its own, for whoever copies it to a backup. One
    /// snapshot at a time: a new one removes one that was not ended, so that whoever still copies that must begin anew.
    /// With `export` it holds only that with what proves it: of a table the sealed rows, after everything was sealed.
    /// Audited.
    ///
    /// # Errors
    /// `Caller` when there is no such incident; when the act cannot be audited, a checkpoint cannot be signed, or the files cannot be linked.
    fn begin_snapshot<'a>(
        &'a self,
        ctx: &'a OpContext,
        export: Option<ExportSelection>,
    ) -> BoxFuture<'a, Result<Snapshot, PortError>>;

    /// Removes the snapshot. `manifest` is the SHA-256 of the backup's manifest in hexadecimal, which is audited and so
    /// under the root log; `None` when the backup was given up.
    ///
    /// # Errors
    /// `Caller` for what is no SHA-256; when the act cannot be audited or the files cannot be removed.
    fn end_snapshot<'a>(&'a self, ctx: &'a OpContext, manifest: Option<String>)
    -> BoxFuture<'a, Result<(), PortError>>;

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

    /// Proves the row of an alert and every stored row that it names, in one text as `moneta-verify alert` reads it. Rows
    /// whose days were dropped are not in it. Audited.
    ///
    /// # Errors
    /// `Caller` when the rows are too long for one text; when the act cannot be audited, a checkpoint cannot be signed, or
    /// a row is not the one signed for.
    fn prove_alert<'a>(&'a self, ctx: &'a OpContext, alert_id: String)
    -> BoxFuture<'a, Result<ProofAnswer, PortError>>;

    /// Looks for the blocks that a signed receipt names, and proves them. Audited.
    ///
    /// # Errors
    /// `Caller` for what is not a receipt of this log; when the act cannot be audited or a checkpoint cannot be signed.
    fn prove_receipt<'a>(
        &'a self,
        ctx: &'a OpContext,
        receipt: String,
    ) -> BoxFuture<'a, Result<ReceiptAnswer, PortError>>;

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
    fn holds_cover_what_they_say_and_nonsense_is_refused() {
        let request = |table: Option<&str>, from: Option<&str>, to: Option<&str>, reason: &str| HoldRequest {
            table: table.map(str::to_owned),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            reason: reason.to_owned(),
        };
        let make = |name: &str, request: &HoldRequest| Hold::new(name, request, "ada", Timestamp::default());
        let (syslog, perf) = (TableName::new("Syslog").unwrap(), TableName::new("Perf").unwrap());
        let day = |text| IngestDay::parse(text).unwrap();
        let hold = make("case-7", &request(Some("Syslog"), Some("2026-01-02"), Some("2026-01-04"), "court")).unwrap();
        for (table, on, expected) in [
            (&syslog, "2026-01-01", false),
            (&syslog, "2026-01-02", true),
            (&syslog, "2026-01-04", true),
            (&syslog, "2026-01-05", false),
            (&perf, "2026-01-03", false),
        ] {
            assert_eq!(hold.covers(table, day(on)), expected, "{table} {on}");
        }
        assert!(make("all", &request(None, None, None, "court")).unwrap().covers(&perf, day("1999-12-31")));
        assert_eq!(make("case-7", &hold.request()).unwrap(), hold);
        for (name, request) in [
            ("", request(None, None, None, "court")),
            ("a b", request(None, None, None, "court")),
            ("case", request(None, None, None, "  ")),
            ("case", request(Some("no/table"), None, None, "court")),
            ("case", request(None, Some("2026-13-01"), None, "court")),
            ("case", request(None, Some("2026-01-02"), Some("2026-01-01"), "court")),
        ] {
            assert!(make(name, &request).is_err(), "{name} {request:?}");
        }
    }

    #[test]
    fn only_full_tiles_may_be_kept_for_ever() {
        let immutable = |path| LedgerPath::parse(path).unwrap().is_immutable();
        assert!(immutable("root/tile/0/000"));
        assert!(!immutable("root/tile/0/000.p/3") && !immutable("root/checkpoint"));
    }
}
