//! Gathers what an export of an incident holds, a case, into the directory of a snapshot; the layout is that of
//! [`moneta_verify::case`], which checks it before it goes out as its receiver does.
//!
//! All rows are proved under one checkpoint: of two that the server signed nobody could tell that they are of one log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use moneta_base::fs::FileSystem;
use moneta_base::{ErrorKind, Seq, TableName};
use moneta_event::catalog::table;
use moneta_event::root_entry::RootEvent;
use moneta_event::{RootEntry, ShardId};
use moneta_ingest::Ingest;
use moneta_ledger::Ledger;
use moneta_merkle::{Hash, SignedCheckpoint, sha256};
use moneta_ports::audit::Outcome;
use moneta_ports::{AuditEvent, AuditSink, OpContext, PortError, QueryEngine, QueryRequest};
use moneta_verify::Options;
use moneta_verify::case::{
    CaseManifest, EXPORT_ACTION, IncidentVersion, MANIFEST_SHA256, Missing, PROOF, Why, verify_case,
};
use moneta_verify::export::entry_proof;
use serde_json::json;

use crate::export::{ledger_failed, write};
use crate::operations::NodeOperations;
use crate::prove::Prover;
use crate::snapshot::{self, in_background};

/// Rows of one table in a case at most.
const ROWS_MAX: usize = 50_000;
/// Versions waiting to become rows that are looked at.
const WAITING_MAX: usize = 10_000;
/// Time between two looks at something that is waited for.
const POLL: Duration = Duration::from_millis(100);
/// Looks before it is given up: 10 seconds.
const POLLS_MAX: u32 = 100;

/// Where the rows of a case are.
struct CaseRows {
    number: u64,
    versions: Vec<Seq>,
    audit_rows: Vec<Seq>,
    /// The alerts that the versions name, by id; `None` where no row has it.
    alerts: BTreeMap<String, Option<Seq>>,
}

/// Writes the case of an incident into the directory of a new snapshot; returns the entries of the root log under its
/// checkpoint. It goes nowhere before an audit row with the hash of its manifest is under a checkpoint.
pub(crate) async fn export(node: &NodeOperations, ctx: &OpContext, number: u64, to: &Path) -> Result<u64, PortError> {
    let mut event = AuditEvent::success(EXPORT_ACTION, "incident", number.to_string());
    let Some(rows) = find(node, ctx, number).await? else {
        event.outcome = Outcome::Failure;
        event.reason = format!("{} has no row of an incident {number}", table::SECURITY_INCIDENT);
        let refused = PortError::new(ErrorKind::Caller, event.reason.clone());
        node.ingest.record(ctx, event).await?;
        return Err(refused);
    };
    snapshot::prepare(node, to).await?;
    node.ingest.publish_now().await?;
    let checkpoint = checkpoint(node).await;
    let root_size = checkpoint.size();
    let (ingest, fs, dir) = (node.ingest.clone(), node.world.fs.clone(), to.to_owned());
    let hash = in_background(move || gather(&*fs, &ingest, &rows, &checkpoint, &dir)).await?;
    event.details.insert(MANIFEST_SHA256.to_owned(), hash.to_hex().into());
    node.ingest.record_change(ctx, event).await?;
    let text = format!(
        "{} | where ObjectKind == 'incident' and ObjectName == '{number}' and tostring(Details.{MANIFEST_SHA256}) == '{}' \
         | project _Seq, ObjectName",
        table::MONETA_AUDIT,
        hash.to_hex()
    );
    let own = self::rows(node, ctx, text).await?;
    let (ingest, fs, dir) = (node.ingest.clone(), node.world.fs.clone(), to.to_owned());
    in_background(move || {
        let missing = || PortError::new(ErrorKind::Internal, "the audit row of the export is not there");
        let (seq, _) = own.last().ok_or_else(missing)?;
        let proof = Prover::new(&ingest, None).prove(&built_in(table::MONETA_AUDIT), *seq)?.ok_or_else(missing)?;
        write(&*fs, &dir.join(PROOF), proof.encode().as_bytes())?;
        check(&dir, ingest.ledger())
    })
    .await?;
    Ok(root_size)
}

/// Finds the rows of an incident; `None` when there are none.
async fn find(node: &NodeOperations, ctx: &OpContext, number: u64) -> Result<Option<CaseRows>, PortError> {
    wait_for_rows(node).await?;
    let text = format!(
        "{} | where IncidentNumber == {number} and _Class == 'processed' and ProviderName == 'Moneta' \
         and _Source == 'incidents' and _Raw == '' \
         | project _Seq, Ids = tostring(AlertIds)",
        table::SECURITY_INCIDENT
    );
    let versions = rows(node, ctx, text).await?;
    if versions.is_empty() {
        return Ok(None);
    }
    let ids = versions.iter().flat_map(|(_, ids)| serde_json::from_str::<Vec<String>>(ids).unwrap_or_default());
    let mut alerts: BTreeMap<String, Option<Seq>> = ids.map(|id| (id, None)).collect();
    let listed: Vec<String> = [String::new()].iter().chain(alerts.keys()).map(|id| json!(id).to_string()).collect();
    let text = format!(
        "{} | where SystemAlertId in ({}) | summarize Row = min(_Seq) by Id = SystemAlertId | project Row, Id",
        table::SECURITY_ALERT,
        listed.join(", ")
    );
    for (seq, id) in rows(node, ctx, text).await? {
        alerts.entry(id).and_modify(|place| *place = Some(seq));
    }
    let text = format!(
        "{} | where ObjectKind == 'incident' and ObjectName == '{number}' | project _Seq, ObjectName",
        table::MONETA_AUDIT
    );
    let audit_rows = rows(node, ctx, text).await?;
    let seqs = |rows: Vec<(Seq, String)>| rows.into_iter().map(|(seq, _)| seq).collect();
    Ok(Some(CaseRows { number, versions: seqs(versions), audit_rows: seqs(audit_rows), alerts }))
}

/// Waits until the versions that there are by now are rows.
async fn wait_for_rows(node: &NodeOperations) -> Result<(), PortError> {
    let waiting = |limit| {
        let rows = node.metastore.incident_rows(limit);
        rows.map_err(|error| PortError::caused_by(error.kind(), "the versions of incidents cannot be read", error))
    };
    let Some(last) = waiting(WAITING_MAX)?.last().map(|row| row.id) else { return Ok(()) };
    for _ in 0..POLLS_MAX {
        if waiting(1)?.first().is_none_or(|row| row.id > last) {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    Err(PortError::new(ErrorKind::RETRY, "the last changes of incidents are not rows yet: export in a moment"))
}

/// The checkpoint over everything stored so far; where there are witnesses, one that a quorum cosigned, unless they are
/// away.
async fn checkpoint(node: &NodeOperations) -> SignedCheckpoint {
    let ledger = node.ingest.ledger();
    let size = ledger.root_checkpoint().size();
    let polls = if node.witnesses.state().witnesses.is_empty() { 0 } else { POLLS_MAX };
    for _ in 0..polls {
        if let Some(cosigned) = ledger.cosigned().filter(|cosigned| cosigned.size() >= size) {
            return cosigned;
        }
        tokio::time::sleep(POLL).await;
    }
    ledger.served_checkpoint()
}

/// The rows of a query whose columns are a `_Seq` and a text.
async fn rows(node: &NodeOperations, ctx: &OpContext, text: String) -> Result<Vec<(Seq, String)>, PortError> {
    let failed = |reason: String| PortError::new(ErrorKind::Internal, format!("the rows of the incident: {reason}"));
    let answer = node.engine.query(ctx, QueryRequest::new(text)).await;
    let answer = answer.map_err(|error| PortError::new(error.kind(), format!("the rows of the incident: {error}")))?;
    let num_rows = answer.tables.first().map_or(0, |table| table.num_rows());
    if answer.truncated.is_some() || num_rows > ROWS_MAX {
        let message = format!("the incident has more than {ROWS_MAX} rows in one table: export the tables");
        return Err(PortError::new(ErrorKind::Caller, message));
    }
    let mut rows = Vec::new();
    for batch in answer.tables.iter().flat_map(|table| &table.batches) {
        let (seqs, texts) = (batch.column(0).as_primitive_opt::<Int64Type>(), batch.column(1).as_string_opt::<i32>());
        let (seqs, texts) = seqs.zip(texts).ok_or_else(|| failed("columns of other types".to_owned()))?;
        for row in 0..batch.num_rows() {
            let seq = Seq::try_from(seqs.value(row)).map_err(|error| failed(error.to_string()))?;
            rows.push((seq, if texts.is_null(row) { String::new() } else { texts.value(row).to_owned() }));
        }
    }
    rows.sort();
    Ok(rows)
}

/// Writes all of a case but the proof of its manifest; returns the manifest's hash.
fn gather(
    fs: &dyn FileSystem,
    ingest: &Ingest,
    rows: &CaseRows,
    checkpoint: &SignedCheckpoint,
    to: &Path,
) -> Result<Hash, PortError> {
    let manifest = CaseManifest { incident: rows.number, ..CaseManifest::default() };
    let (mut case, ledger) = (Case { fs, to, manifest }, ingest.ledger());
    case.add("checkpoint".to_owned(), &checkpoint.encode())?;
    case.add("ledger.vkey".to_owned(), &format!("{}\n", ledger.verifier_key()))?;
    let mut prover = Prover::new(ingest, Some(checkpoint));
    case.add_versions(&mut prover, &rows.versions)?;
    for seq in &rows.audit_rows {
        let proof = prover.prove(&built_in(table::MONETA_AUDIT), *seq)?.ok_or_else(dropped_meanwhile)?;
        case.add(format!("audit/{seq}"), &proof.encode())?;
    }
    let absent = case.add_alerts(&mut prover, &rows.alerts)?;
    case.add_absent(ledger, checkpoint, absent)?;
    let text = case.manifest.encode();
    write(fs, &to.join("manifest"), text.as_bytes())?;
    Ok(sha256(text.as_bytes()))
}

/// What is made is checked as its receiver does.
fn check(dir: &Path, ledger: &Ledger) -> Result<(), PortError> {
    let options = Options { key: Some(ledger.verifier_key().clone()), ..Options::default() };
    let wrong =
        |what: String| PortError::new(ErrorKind::Internal, format!("the case that was made does not verify: {what}"));
    let report = verify_case(dir, options).map_err(|error| wrong(format!("{error:#}")))?;
    report.findings.first().map_or(Ok(()), |finding| Err(wrong(finding.to_string())))
}

/// A case as it is written.
struct Case<'a> {
    fs: &'a dyn FileSystem,
    to: &'a Path,
    manifest: CaseManifest,
}

impl Case<'_> {
    fn add(&mut self, path: String, text: &str) -> Result<(), PortError> {
        write(self.fs, &self.to.join(&path), text.as_bytes())?;
        self.manifest.files.insert(path, (sha256(text.as_bytes()), text.len() as u64));
        Ok(())
    }

    fn add_versions(&mut self, prover: &mut Prover<'_>, seqs: &[Seq]) -> Result<(), PortError> {
        for (place, seq) in seqs.iter().enumerate() {
            let proof = prover.prove(&built_in(table::SECURITY_INCIDENT), *seq)?.ok_or_else(dropped_meanwhile)?;
            let version = IncidentVersion::read(&proof.record).map_err(|error| {
                PortError::new(
                    ErrorKind::Internal,
                    format!("row _Seq {seq} of {}: {error:#}", table::SECURITY_INCIDENT),
                )
            })?;
            if place == 0 && !version.is_first {
                self.manifest.missing.insert(Missing::Versions { before: *seq });
            }
            self.add(format!("incident/{seq}"), &proof.encode())?;
        }
        Ok(())
    }

    /// Adds the evidence of alerts; returns the events that are not in it, those that are too long with the reason.
    fn add_alerts(
        &mut self,
        prover: &mut Prover<'_>,
        alerts: &BTreeMap<String, Option<Seq>>,
    ) -> Result<BTreeMap<(String, Seq), Option<Why>>, PortError> {
        let mut absent = BTreeMap::new();
        for (id, seq) in alerts {
            let found = seq.map(|seq| Ok::<_, PortError>((seq, prover.evidence(seq)?))).transpose()?;
            let Some((seq, Some(found))) = found else {
                self.manifest.missing.insert(Missing::Alert { id: id.clone() });
                continue;
            };
            let places = found.evidence.absent().map_err(|error| {
                PortError::caused_by(ErrorKind::Internal, "the row of the alert cannot be read", error)
            })?;
            let why = |place: &(String, Seq)| found.left_out.contains(place).then_some(Why::TooLong);
            absent.extend(places.into_iter().map(|place| (place.clone(), why(&place))));
            self.add(format!("alert/{seq}"), &found.evidence.encode())?;
        }
        Ok(absent)
    }

    /// Names the events that are not there, and adds what shows that they went by policy.
    fn add_absent(
        &mut self,
        ledger: &Ledger,
        checkpoint: &SignedCheckpoint,
        absent: BTreeMap<(String, Seq), Option<Why>>,
    ) -> Result<(), PortError> {
        let sought = absent.iter().filter(|(_, why)| why.is_none());
        let sought = sought.filter_map(|((table, seq), _)| Some((TableName::new(table).ok()?, *seq))).collect();
        let dropped = if absent.is_empty() { Dropped::default() } else { Dropped::find(ledger, checkpoint, sought)? };
        let prove = |(index, entry): &Place| {
            let proof = ledger.prove_root_entry_under(*index, checkpoint).map_err(ledger_failed)?;
            Ok::<_, PortError>(entry_proof(entry, &proof))
        };
        for ((name, seq), why) in absent {
            let rows = TableName::new(&name).ok().and_then(|table| dropped.rows_with(&table, seq));
            let why = why.unwrap_or(if rows.is_some() { Why::Dropped } else { Why::NeverStored });
            if let (Why::Dropped, Some(((shard, first, end), place))) = (why, rows) {
                let dir = format!("dropped/{shard}");
                self.add_once(format!("{dir}/{first}-{end}.proof"), || prove(place))?;
                self.add_once(format!("{dir}/drop.proof"), || prove(&dropped.drops[shard]))?;
            }
            self.manifest.missing.insert(Missing::Event { table: name, seq, why });
        }
        Ok(())
    }

    fn add_once(&mut self, path: String, text: impl FnOnce() -> Result<String, PortError>) -> Result<(), PortError> {
        if self.manifest.files.contains_key(&path) { Ok(()) } else { self.add(path, &text()?) }
    }
}

/// Index and bytes of a root entry.
type Place = (u64, Vec<u8>);

/// What the root log says of rows that are sought.
#[derive(Default)]
struct Dropped {
    sought: BTreeSet<(TableName, Seq)>,
    /// Rows of segments with any of them, by day, `[first, end)`.
    rows: BTreeMap<(ShardId, Seq, Seq), Place>,
    drops: BTreeMap<ShardId, Place>,
}

impl Dropped {
    fn find(
        ledger: &Ledger,
        checkpoint: &SignedCheckpoint,
        sought: BTreeSet<(TableName, Seq)>,
    ) -> Result<Self, PortError> {
        let mut found = Self { sought, ..Self::default() };
        let scanned = ledger.scan_root(checkpoint.size(), |index, bytes| found.take(index, bytes));
        scanned.map_err(ledger_failed)?;
        Ok(found)
    }

    fn take(&mut self, index: u64, bytes: &[u8]) {
        let Ok(entry) = RootEntry::decode(bytes) else { return };
        let place = || (index, bytes.to_vec());
        match entry.event {
            RootEvent::SegmentSealed { rows, .. } | RootEvent::SegmentReencoded { rows, .. } => {
                let of = |seq| (rows.shard.table.clone(), seq);
                if rows.start < rows.end && self.sought.range(of(rows.start)..of(rows.end)).next().is_some() {
                    self.rows.insert((rows.shard, rows.start, rows.end), place());
                }
            }
            RootEvent::RetentionDrop { growth, .. } => {
                self.drops.insert(growth.shard, place());
            }
            _ => {}
        }
    }

    /// The rows of a dropped day that a row was among.
    fn rows_with(&self, table: &TableName, seq: Seq) -> Option<(&(ShardId, Seq, Seq), &Place)> {
        self.rows.iter().find(|((shard, first, end), _)| {
            shard.table == *table && (*first..*end).contains(&seq) && self.drops.contains_key(shard)
        })
    }
}

fn built_in(name: &str) -> TableName {
    TableName::new(name).expect("a built-in table")
}

fn dropped_meanwhile() -> PortError {
    PortError::new(ErrorKind::RETRY, "a day was dropped by policy while the case was gathered: export again")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use moneta_base::{SourceName, Timestamp};
    use moneta_event::{BatchBuilder, Delivery, RecordClass, Value};
    use moneta_ports::operations::{ExportSelection, Operations};
    use moneta_ports::{EventSink, Submission};
    use moneta_testkit::TestDir;
    use moneta_testkit::corpus::workspace_root;
    use moneta_verify::case::CaseReport;

    use super::*;
    use crate::{Config, Node};

    /// Stores a row of a table with these values.
    async fn submit(node: &Node, name: &str, values: &[(&str, Value<'_>)]) {
        let schema = node.ingest.store().schema(&built_in(name)).unwrap();
        let mut builder = BatchBuilder::new(schema, RecordClass::Data, Delivery::AtLeastOnce);
        values.iter().for_each(|(column, value)| builder.set_field(column, *value));
        builder.finish_row(node.world.clock.now(), &SourceName::lossy("test"), "");
        let batches = vec![builder.finish().unwrap()];
        node.ingest.submit(Submission { batches, ..Submission::default() }).await.unwrap();
    }

    /// Drops the first day of a table, as the keeper does.
    async fn drop_day(ingest: &Ingest, name: &str) -> ShardId {
        let (store, ledger) = (ingest.store(), ingest.ledger());
        let shard = store.snapshot(&built_in(name)).unwrap().segments[0].shard.clone();
        let growth = ledger.shard_head(&shard).unwrap();
        let event = RootEvent::RetentionDrop { growth, policy: "retention 1 days".to_owned(), by: "test".to_owned() };
        let at = Timestamp::from_seconds(1_767_323_045);
        ledger.append_root(&RootEntry { at, event }).unwrap();
        ingest.publish_now().await.unwrap();
        store.drop_shard(&shard, at).unwrap();
        ledger.remove_shard(&shard).unwrap();
        shard
    }

    async fn exported(node: &Node) -> PathBuf {
        let (ctx, wanted) = (OpContext::service("test"), ExportSelection::Case { number: 1 });
        node.operations.begin_snapshot(&ctx, Some(wanted)).await.unwrap().path.into()
    }

    /// What both checkers say of a case, which is the same: the code and the words.
    fn checked(dir: &Path, key: &Path) -> (CaseReport, i32, String) {
        let report = verify_case(dir, Options::default()).unwrap();
        let Some(python) = moneta_testkit::python_or_skip(1, "tools/requirements.txt") else {
            return (report, -1, String::new());
        };
        let script = workspace_root().join("tools/verify_export.py");
        let said = Command::new(python).args([&script, dir, Path::new("--key"), key]).output().unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said.status.code(), Some(i32::from(report.exit_code())), "{report} and {text}");
        (report, said.status.code().unwrap(), text)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_went_by_policy_is_proved_and_what_never_was_is_said() {
        let dir = TestDir::new();
        let node = Node::open(&Config::default(), &dir.join("data")).await.unwrap();
        for message in ["first", "second"] {
            submit(&node, "Syslog", &[("SyslogMessage", Value::Text(message))]).await;
        }
        let named = [
            ("SystemAlertId", Value::Text("a \"1\"")),
            ("DisplayName", Value::Text("Old")),
            ("EventTable", Value::Text("Syslog")),
            ("EventSeqs", Value::Json("[0,1,7]")),
        ];
        submit(&node, table::SECURITY_ALERT, &named).await;
        while node.incidents().get(1).unwrap().is_none() {
            tokio::time::sleep(POLL).await;
        }
        let key = dir.join("data/keys/ledger.vkey");
        let (report, _, text) = checked(&exported(&node).await, &key);
        assert_eq!((report.num_events, &report.dropped[..], report.missing.len()), (2, &[][..], 1), "{report}");
        assert!(
            text.is_empty() || text.contains("valid, NOT COMPLETE") && text.contains("never-stored Syslog 7"),
            "{text}"
        );

        let ingest = node.ingest.clone();
        tokio::task::spawn_blocking(move || ingest.seal_all()).await.unwrap().unwrap();
        let shard = drop_day(&node.ingest, "Syslog").await;
        let case = exported(&node).await;
        let (report, _, text) = checked(&case, &key);
        let gone = format!("2 rows of Syslog went with the day {}, dropped by policy (retention 1 days)", shard.day);
        assert_eq!((report.num_events, &report.dropped[..]), (0, &[gone][..]), "{report}");
        assert!(
            report.missing[0].contains("row _Seq 7 of \"Syslog\", which an alert names, was never stored"),
            "{report}"
        );
        assert!(text.is_empty() || text.contains(&format!("2 rows of {shard} went by policy")), "{text}");

        // The day's drop is not believed without its entry, nor without that of the rows.
        let proofs = case.join("dropped").join(shard.to_string());
        for proof in std::fs::read_dir(proofs).unwrap().map(|entry| entry.unwrap().path()) {
            let good = std::fs::read(&proof).unwrap();
            std::fs::remove_file(&proof).unwrap();
            let (report, _, _) = checked(&case, &key);
            assert!(report.findings.iter().any(|one| one.problem.contains("no drop entry shows that")), "{report}");
            std::fs::write(&proof, good).unwrap();
        }
        assert!(checked(&case, &key).0.is_clean());
        node.shut_down().await.unwrap();
    }
}
