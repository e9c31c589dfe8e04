//! Exports of an incident, cases: every version of it, its alerts with the events that they name, what people did to it,
//! and the proof of each of these, in a directory of their own.
//!
//! # Layout, version 1
//! ```text
//! manifest                                            what is here and what is missing: manifest.rs
//! manifest.proof                                      record proof of the audit row that holds the manifest's SHA-256
//! checkpoint                                          the signed root checkpoint that the other proofs lead to
//! ledger.vkey                                         the log's verifier key, for whoever has no better copy
//! incident/<_Seq>                                     record proof of a row of SecurityIncident: a version of the incident
//! alert/<_Seq>                                        evidence of an alert; the _Seq of its row in SecurityAlert
//! audit/<_Seq>                                        record proof of a row of MonetaAudit that is about the incident
//! dropped/<Table>/<yyyy-mm-dd>/drop.proof             entry proof of the drop entry of a day
//! dropped/<Table>/<yyyy-mm-dd>/<first>-<end>.proof    entry proof of a root entry that says that these rows were of it
//! ```
//! Record proofs, evidence and entry proofs are those of `moneta_event::record_proof`, `moneta_event::evidence` and
//! [`crate::export`].
//!
//! Without a word of whoever made the export: each row is under the checkpoint; every alert that a version names and every
//! event that an alert names is here, or the entries of `dropped` say that its very row went with a day that was dropped
//! by policy. What else is missing the manifest names, and nothing proves why. The audit row says that this manifest is the
//! one that was exported, so that nothing was taken out later. That there were no further versions and no further audit
//! rows at that time an export of their tables shows, this one does not.

mod manifest;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use moneta_base::Seq;
use moneta_event::catalog::table;
use moneta_event::record::RecordFields;
use moneta_event::root_entry::RootEvent;
use moneta_event::{AlertEvidence, RecordProof, ShardId};
use moneta_merkle::{SignedCheckpoint, VerifierKey, sha256};

use crate::export::check_entry_proof;
use crate::{Finding, Options, Report};

pub use manifest::{CaseManifest, Missing, Why};
pub use version::IncidentVersion;

/// Name of the file with the proof of the manifest.
pub const PROOF: &str = "manifest.proof";
/// The action of the audit row that says what was exported.
pub const EXPORT_ACTION: &str = "store.export";
/// The member of its `Details` with the SHA-256 of the manifest, in hexadecimal.
pub const MANIFEST_SHA256: &str = "manifest_sha256";
/// Files of a directory that are found at most: past it, it is no case.
const FILES_MAX: usize = 200_000;

/// Sentences about what is missing in the words of a report; its fields have all.
const MISSING_SAID_MAX: usize = 20;

/// What a check of a case found.
#[derive(Debug, Default, serde::Serialize)]
pub struct CaseReport {
    /// Number of the incident.
    pub incident: u64,
    /// Its title, in its last version here.
    pub title: String,
    /// Its status there, with the classification of one that is closed.
    pub status: String,
    /// Entries of the root log under the checkpoint.
    pub num_root_entries: u64,
    /// Versions of the incident that are proved.
    pub num_versions: usize,
    /// Alerts that are proved.
    pub num_alerts: usize,
    /// Events that are proved, each once.
    pub num_events: usize,
    /// Audit rows that are proved.
    pub num_audit_rows: usize,
    /// What was dropped by policy, as proofs show: a sentence a day and table.
    pub dropped: Vec<String>,
    /// What is not there, and nothing proves why: a sentence each.
    pub missing: Vec<String>,
    /// What does not fit. Empty means: nothing was changed, and nothing is missing that is not named.
    pub findings: Vec<Finding>,
    /// What was not checked, and why; no sign of tampering.
    pub notes: Vec<String>,
}

impl CaseReport {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether everything is there, or went as proofs show.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// 0 everything fits, 1 something does not, 2 what is there fits, and something is missing that nothing accounts for.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.is_clean(), self.is_complete()) {
            (true, true) => 0,
            (true, false) => 2,
            (false, _) => 1,
        }
    }
}

impl fmt::Display for CaseReport {
    /// All of it in words, a line each; the last one sums it up.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "FOUND    {finding}")?;
        }
        for sentence in &self.dropped {
            writeln!(f, "gone     {sentence}: proved")?;
        }
        for sentence in self.missing.iter().take(MISSING_SAID_MAX) {
            writeln!(f, "MISSING  {sentence}: nothing proves why")?;
        }
        if self.missing.len() > MISSING_SAID_MAX {
            writeln!(f, "MISSING  {} more", self.missing.len() - MISSING_SAID_MAX)?;
        }
        for note in &self.notes {
            writeln!(f, "note     {note}")?;
        }
        let words = ["everything fits", "NOT as it was signed", "what is there fits, NOT COMPLETE"];
        write!(
            f,
            "{}: incident {} {:?} ({}): {} versions, {} alerts, {} events, {} audit rows are proved, under the root \
             checkpoint of {} entries",
            words[usize::from(self.exit_code())],
            self.incident,
            self.title,
            self.status,
            self.num_versions,
            self.num_alerts,
            self.num_events,
            self.num_audit_rows,
            self.num_root_entries,
        )
    }
}

/// Whether a directory holds a case, by the first line of its manifest.
#[must_use]
pub fn is_case(dir: &Path) -> bool {
    std::fs::read(dir.join("manifest")).is_ok_and(|text| text.starts_with(manifest::HEADER.as_bytes()))
}

/// Checks a case.
///
/// # Errors
/// When there is no case or no usable key: then nothing was checked. Everything else is a finding.
pub fn verify_case(dir: &Path, options: Options) -> Result<CaseReport> {
    let mut report = Report::default();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).with_context(|| format!("cannot read {name}"));
    let manifest_text = read("manifest")?;
    let manifest = CaseManifest::parse(&manifest_text).ok_or_else(|| anyhow!("manifest is not of version 1"))?;
    let key = match options.key {
        Some(key) => key,
        None => {
            report.notes.push("no key given: trusting the ledger.vkey of the case itself".to_owned());
            VerifierKey::parse(read("ledger.vkey")?.trim_end()).context("ledger.vkey is not a verifier key")?
        }
    };
    let text = read("checkpoint")?;
    let checkpoint = match SignedCheckpoint::open(text.as_bytes(), key.name(), std::slice::from_ref(&key)) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            report.find("checkpoint", error.to_string());
            return Ok(CaseReport { incident: manifest.incident, findings: report.findings, ..CaseReport::default() });
        }
    };
    if let Some(quorum) = &options.quorum {
        match crate::proof::check_quorum(text.as_bytes(), quorum) {
            Ok(verdict) => report.notes.push(verdict),
            Err(error) => report.find("checkpoint", format!("{error:#}")),
        }
    }
    let mut checker = Checker { dir, key: &key, checkpoint: &checkpoint, text: &text, manifest: &manifest, report };
    match read(PROOF).and_then(|proof| checker.check_exported(&proof, &manifest_text)) {
        Ok(said) => checker.report.notes.push(said),
        Err(error) => checker.report.find(PROOF, format!("{error:#}")),
    }
    Ok(checker.run())
}

/// What a file of a case is, by its path.
enum Kind {
    Checkpoint,
    Key,
    Version(Seq),
    Alert(Seq),
    Audit(Seq),
    Drop(ShardId),
    Rows(ShardId, Seq, Seq),
}

impl Kind {
    fn of(path: &str) -> Option<Self> {
        let seq = |text: &str| text.parse().ok().filter(|seq: &Seq| seq.to_string() == *text);
        let parts: Vec<&str> = path.split('/').collect();
        Some(match parts[..] {
            ["checkpoint"] => Self::Checkpoint,
            ["ledger.vkey"] => Self::Key,
            ["incident", name] => Self::Version(seq(name)?),
            ["alert", name] => Self::Alert(seq(name)?),
            ["audit", name] => Self::Audit(seq(name)?),
            ["dropped", table, day, name] => {
                let shard = ShardId::parse(&format!("{table}/{day}"))?;
                match name.strip_suffix(".proof")? {
                    "drop" => Self::Drop(shard),
                    range => {
                        let (first, end) = range.split_once('-')?;
                        Self::Rows(shard, seq(first)?, seq(end)?)
                    }
                }
            }
            _ => return None,
        })
    }
}

struct Checker<'a> {
    dir: &'a Path,
    key: &'a VerifierKey,
    checkpoint: &'a SignedCheckpoint,
    /// The bytes of the checkpoint.
    text: &'a str,
    manifest: &'a CaseManifest,
    report: Report,
}

/// What the files of a case prove.
#[derive(Default)]
struct Proven {
    versions: BTreeMap<Seq, IncidentVersion>,
    /// By its id, the rows that an alert names and that are not beside it.
    alerts: BTreeMap<String, BTreeSet<(String, Seq)>>,
    events: BTreeSet<(String, Seq)>,
    audit_rows: usize,
    /// The policy by which each day was dropped.
    drops: BTreeMap<ShardId, String>,
    rows: Vec<(ShardId, Seq, Seq)>,
}

impl Proven {
    /// The first version, where it is not the beginning of the incident.
    fn begins_late(&self) -> Option<Seq> {
        self.versions.first_key_value().filter(|(_, version)| !version.is_first).map(|(seq, _)| *seq)
    }

    /// The day with which a row was dropped.
    fn dropped_with(&self, table: &str, seq: Seq) -> Option<&ShardId> {
        let holds = |(shard, first, end): &&(ShardId, Seq, Seq)| {
            shard.table.as_str() == table && (*first..*end).contains(&seq) && self.drops.contains_key(shard)
        };
        self.rows.iter().find(holds).map(|(shard, ..)| shard)
    }
}

impl Checker<'_> {
    fn run(mut self) -> CaseReport {
        let mut proven = Proven::default();
        for (path, (hash, size_bytes)) in &self.manifest.files {
            let checked = Kind::of(path).context("no file of a case has such a name").and_then(|kind| {
                let bytes = std::fs::read(self.dir.join(path)).context("it cannot be read")?;
                if sha256(&bytes) != *hash || bytes.len() as u64 != *size_bytes {
                    bail!("it is not the file that the manifest lists");
                }
                self.check_file(&kind, std::str::from_utf8(&bytes).context("it is not text")?, &mut proven)
            });
            if let Err(error) = checked {
                self.report.find(path, format!("{error:#}"));
            }
        }
        self.check_list();
        let mut report = CaseReport { num_root_entries: self.checkpoint.size(), ..CaseReport::default() };
        self.check_incident(&proven, &mut report);
        self.check_missing(&proven, &mut report);
        CaseReport { findings: self.report.findings, notes: self.report.notes, ..report }
    }

    fn check_file(&self, kind: &Kind, text: &str, proven: &mut Proven) -> Result<()> {
        match kind {
            Kind::Checkpoint => {}
            Kind::Key => {
                if text.trim_end() != self.key.to_string() {
                    bail!("it is not the key of this check");
                }
            }
            Kind::Version(seq) => {
                let proof = self.row(text, table::SECURITY_INCIDENT, *seq)?;
                let version = IncidentVersion::read(&proof.record)?;
                if version.incident != self.manifest.incident.to_string() {
                    bail!("it is a version of the incident {:?}", version.incident);
                }
                proven.versions.insert(*seq, version);
            }
            Kind::Audit(seq) => {
                let proof = self.row(text, table::MONETA_AUDIT, *seq)?;
                self.check_about(&RecordFields::read(&proof.record)?)?;
                proven.audit_rows += 1;
            }
            Kind::Alert(seq) => self.check_alert(text, *seq, proven)?,
            Kind::Drop(shard) => match check_entry_proof(text, self.key, self.checkpoint)?.event {
                RootEvent::RetentionDrop { growth, policy, .. } if growth.shard == *shard => {
                    proven.drops.insert(shard.clone(), policy);
                }
                _ => bail!("it is not the drop entry of this day"),
            },
            Kind::Rows(shard, first, end) => match check_entry_proof(text, self.key, self.checkpoint)?.event {
                RootEvent::SegmentSealed { rows, .. } | RootEvent::SegmentReencoded { rows, .. }
                    if rows.shard == *shard && (rows.start, rows.end) == (*first, *end) =>
                {
                    proven.rows.push((rows.shard, rows.start, rows.end));
                }
                _ => bail!("its entry does not say that these rows were of this day"),
            },
        }
        Ok(())
    }

    /// The log has an audit row that says that this very manifest was exported; says who did that, and when.
    fn check_exported(&self, proof: &str, manifest: &str) -> Result<String> {
        let proof = RecordProof::parse(proof)?;
        proof.verify(self.key.name(), std::slice::from_ref(self.key))?;
        if place(&proof).0 != table::MONETA_AUDIT {
            bail!("it proves a row of {}", place(&proof).0);
        }
        let fields = RecordFields::read(&proof.record)?;
        self.check_about(&fields)?;
        let details: serde_json::Value = serde_json::from_str(fields.text("Details")).context("Details")?;
        let hash = sha256(manifest.as_bytes()).to_hex();
        if fields.text("Action") != EXPORT_ACTION || details[MANIFEST_SHA256] != hash {
            bail!("the manifest is not the one that was exported");
        }
        Ok(format!("exported {} by {:?}", proof.header.ingest_time, fields.text("ActorName")))
    }

    /// An audit row is about the incident.
    fn check_about(&self, fields: &RecordFields<'_>) -> Result<()> {
        let about = (fields.text("ObjectKind"), fields.text("ObjectName"));
        if about != ("incident", self.manifest.incident.to_string().as_str()) {
            bail!("it is about the {} {:?}", about.0, about.1);
        }
        Ok(())
    }

    /// The record proof of that very row.
    fn row(&self, text: &str, table: &str, seq: Seq) -> Result<RecordProof> {
        let proof = RecordProof::parse(text)?;
        proof.verify(self.key.name(), std::slice::from_ref(self.key))?;
        self.check_place(&proof, table, seq)?;
        Ok(proof)
    }

    fn check_place(&self, proof: &RecordProof, table: &str, seq: Seq) -> Result<()> {
        let (of_table, of_seq) = place(proof);
        if (of_table, of_seq) != (table, seq) {
            bail!("it proves row _Seq {of_seq} of {of_table}, not row _Seq {seq} of {table}");
        }
        self.check_end(proof)
    }

    fn check_end(&self, proof: &RecordProof) -> Result<()> {
        if proof.block.root.checkpoint != self.text {
            bail!("it leads to another checkpoint than that of the case");
        }
        Ok(())
    }

    fn check_alert(&self, text: &str, seq: Seq, proven: &mut Proven) -> Result<()> {
        let evidence = AlertEvidence::parse(text)?;
        let alert = evidence.verify(self.key.name(), std::slice::from_ref(self.key))?;
        self.check_place(&evidence.alert, table::SECURITY_ALERT, seq)?;
        for event in &evidence.events {
            self.check_end(event)?;
            let (table, seq) = place(event);
            proven.events.insert((table.to_owned(), seq));
        }
        let id = alert.id;
        if proven.alerts.insert(id.clone(), alert.absent.into_iter().collect()).is_some() {
            bail!("the alert {id:?} is there twice");
        }
        Ok(())
    }

    /// The files are those that the manifest lists.
    fn check_list(&mut self) {
        let mut found = Vec::new();
        files_below(self.dir, Path::new(""), &mut found);
        for path in found {
            let name = path.display().to_string();
            if !["manifest", PROOF].contains(&name.as_str()) && !self.manifest.files.contains_key(&name) {
                self.report.find(name, "the manifest does not list it");
            }
        }
    }

    /// The versions are those of one incident, and its alerts are there or named as missing.
    fn check_incident(&mut self, proven: &Proven, report: &mut CaseReport) {
        let ids = proven.versions.values().flat_map(|version| &version.alert_ids).collect::<BTreeSet<_>>();
        let names: BTreeSet<&str> = proven.versions.values().map(|version| version.name.as_str()).collect();
        let Some(last) = proven.versions.values().next_back() else {
            return self.report.find("incident", "no version of the incident is there");
        };
        if names.len() > 1 {
            self.report.find("incident", "the versions are of several incidents");
        }
        for id in &ids {
            let is_named = self.manifest.missing.contains(&Missing::Alert { id: (*id).clone() });
            if !proven.alerts.contains_key(*id) && !is_named {
                self.report.find("alert", format!("the alert {id:?} of the incident is missing"));
            }
        }
        for id in proven.alerts.keys().filter(|id| !ids.contains(id)) {
            self.report.find("alert", format!("the alert {id:?} is none of the incident"));
        }
        if let Some(before) = proven.begins_late()
            && !self.manifest.missing.contains(&Missing::Versions { before })
        {
            self.report.find("incident", format!("versions before row _Seq {before} are missing"));
        }
        let listed = |missing: &Missing| match missing {
            Missing::Event { table, seq, .. } => Some((table.clone(), *seq)),
            _ => None,
        };
        let listed: BTreeSet<(String, Seq)> = self.manifest.missing.iter().filter_map(listed).collect();
        for (table, seq) in proven.alerts.values().flatten().filter(|event| !listed.contains(event)) {
            self.report.find("alert", format!("row _Seq {seq} of {table:?}, which an alert names, is missing"));
        }
        (report.incident, report.title, report.status) =
            (self.manifest.incident, last.title.clone(), last.status.clone());
        (report.num_versions, report.num_alerts) = (proven.versions.len(), proven.alerts.len());
        (report.num_events, report.num_audit_rows) = (proven.events.len(), proven.audit_rows);
    }

    /// What the manifest names as missing is missing, and what it says was dropped was.
    fn check_missing(&mut self, proven: &Proven, report: &mut CaseReport) {
        let named: BTreeSet<&String> = proven.versions.values().flat_map(|version| &version.alert_ids).collect();
        let absent: BTreeSet<&(String, Seq)> = proven.alerts.values().flatten().collect();
        let mut dropped: BTreeMap<&ShardId, usize> = BTreeMap::new();
        for missing in &self.manifest.missing {
            let is_missing = match missing {
                Missing::Event { table, seq, .. } => absent.contains(&(table.clone(), *seq)),
                Missing::Alert { id } => named.contains(id) && !proven.alerts.contains_key(id),
                Missing::Versions { before } => proven.begins_late() == Some(*before),
            };
            match missing {
                _ if !is_missing => self.report.find("manifest", format!("{missing}: it is not, or nothing names it")),
                Missing::Event { table, seq, why: Why::Dropped } => match proven.dropped_with(table, *seq) {
                    Some(shard) => *dropped.entry(shard).or_default() += 1,
                    None => self.report.find("manifest", format!("{missing}: no drop entry shows that")),
                },
                _ => report.missing.push(missing.to_string()),
            }
        }
        let say = |(shard, count): (&ShardId, usize)| {
            let (table, day) = (&shard.table, shard.day);
            let rows = if count == 1 { "1 row" } else { &format!("{count} rows") };
            format!("{rows} of {table} went with the day {day}, dropped by policy ({})", proven.drops[shard])
        };
        report.dropped = dropped.into_iter().map(say).collect();
    }
}

/// Table and `_Seq` of the row that a proof is of.
fn place(proof: &RecordProof) -> (&str, Seq) {
    (proof.header.shard.table.as_str(), proof.header.first_seq + proof.index)
}

fn files_below(dir: &Path, within: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir.join(within)).into_iter().flatten().flatten() {
        let path = within.join(entry.file_name());
        if found.len() > FILES_MAX {
            return;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files_below(dir, &path, found);
        } else {
            found.push(path);
        }
    }
}
