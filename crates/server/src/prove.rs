//! Proves rows: finds the block of a row, reads it again, and joins its path to the block's proof. Of an alert, its own
//! row and the rows that it names.
//!
//! What goes out was checked as a receiver checks it. Nothing is kept: the same row can be proved again at any time
//! until its day is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use moneta_base::{ErrorKind, Seq, TableName};
use moneta_event::catalog::table;
use moneta_event::record::RecordEncoder;
use moneta_event::schema::standard;
use moneta_event::{AlertEvidence, Block, BlockHeader, BlockProof, Column, RecordProof, ShardId};
use moneta_ingest::Ingest;
use moneta_ledger::{Ledger, ListedShard};
use moneta_merkle::proof::prove_inclusion_in;
use moneta_merkle::{Hash, SignedCheckpoint, VerifierKey, root_of};
use moneta_ports::audit::Outcome;
use moneta_ports::operations::ProofAnswer;
use moneta_ports::{AuditEvent, AuditSink, OpContext, PortError, QueryEngine, QueryRequest};
use moneta_store::{Bound, Prune, SegmentMeta, Store, TableSnapshot};
use moneta_verify::proof::{check_alert_evidence, check_record_proof};
use serde_json::json;

/// Bytes of the records of an alert's events that are proved in one file at most.
const EVIDENCE_BYTES_MAX: usize = 64 << 20;

/// Proves a row of a table.
pub(crate) async fn prove(
    ingest: &Arc<Ingest>,
    ctx: &OpContext,
    table: TableName,
    seq: Seq,
) -> Result<ProofAnswer, PortError> {
    let found = find(ingest.store(), &table, seq);
    let mut event = AuditEvent::success("record.prove", "table", table.as_str());
    event.details.insert("seq".to_owned(), seq.into());
    if let Err(reason) = &found {
        (event.outcome, event.reason) = (Outcome::Failure, reason.clone());
    }
    // A block is queryable a moment before its header is in the ledger. The audit row is durable only after that:
    // one thread does both in turn.
    ingest.record(ctx, event).await?;
    let place = match found {
        Ok(place) => place,
        Err(reason) => return Ok(ProofAnswer::NotStored(reason)),
    };
    ingest.publish_now().await?;
    let ingest = ingest.clone();
    in_background(move || {
        let block = Prover::new(&ingest, None).read(&place, seq)?;
        Ok(block.prove(seq, ingest.ledger().verifier_key())?.encode())
    })
    .await
}

/// Proves the row of an alert and every stored row that it names.
pub(crate) async fn prove_alert(
    ingest: &Arc<Ingest>,
    engine: &dyn QueryEngine,
    ctx: &OpContext,
    id: String,
) -> Result<ProofAnswer, PortError> {
    let found = row_of_alert(engine, ctx, &id).await?;
    let mut event = AuditEvent::success("alert.prove", "alert", &id);
    let none = || format!("there is no alert {id:?} in {}", table::SECURITY_ALERT);
    if found.is_none() {
        (event.outcome, event.reason) = (Outcome::Failure, none());
    }
    ingest.record(ctx, event).await?;
    let Some(seq) = found else { return Ok(ProofAnswer::NotStored(none())) };
    ingest.publish_now().await?;
    let ingest = ingest.clone();
    in_background(move || evidence(&ingest, seq)).await
}

async fn in_background(
    make: impl FnOnce() -> Result<String, PortError> + Send + 'static,
) -> Result<ProofAnswer, PortError> {
    let made = tokio::task::spawn_blocking(make).await;
    let made = made.map_err(|error| PortError::caused_by(ErrorKind::Internal, "the proof was interrupted", error))?;
    made.map(ProofAnswer::Proof)
}

/// `_Seq` of the row of an alert.
async fn row_of_alert(engine: &dyn QueryEngine, ctx: &OpContext, id: &str) -> Result<Option<Seq>, PortError> {
    let text = format!("{} | where SystemAlertId == {} | summarize min(_Seq)", table::SECURITY_ALERT, json!(id));
    let answer = engine.query(ctx, QueryRequest::new(text)).await;
    let answer = answer.map_err(|error| PortError::new(error.kind(), format!("the alert was not found: {error}")))?;
    let rows = answer.tables.first().and_then(|table| table.batches.iter().find(|rows| rows.num_rows() > 0));
    let seqs = rows.and_then(|rows| rows.column(0).as_primitive_opt::<Int64Type>());
    Ok(seqs.filter(|seqs| seqs.is_valid(0)).and_then(|seqs| Seq::try_from(seqs.value(0)).ok()))
}

/// The evidence of the alert in a row, checked as a receiver does. Events whose days were dropped are not in it.
fn evidence(ingest: &Ingest, seq: Seq) -> Result<String, PortError> {
    let Some(found) = Prover::new(ingest, None).evidence(seq)? else {
        return Err(PortError::new(ErrorKind::Caller, "the alert was dropped by policy meanwhile"));
    };
    if !found.left_out.is_empty() {
        let message = format!("the events are longer than {EVIDENCE_BYTES_MAX} bytes: prove each by itself");
        return Err(PortError::new(ErrorKind::Caller, message));
    }
    let text = found.evidence.encode();
    check_alert_evidence(&text, ingest.ledger().verifier_key()).map_err(|error| not_verified(&error))?;
    Ok(text)
}

/// Proves rows. The block of the last one stays open: those of one block cost one reading of it.
pub(crate) struct Prover<'a> {
    ingest: &'a Ingest,
    /// The checkpoint that every proof leads to; `None`: the best there is for each row.
    under: Option<&'a SignedCheckpoint>,
    /// What that checkpoint knows of shards.
    listed: BTreeMap<ShardId, ListedShard>,
    open: Option<OpenBlock>,
}

/// The evidence of an alert as far as it fits into one file.
pub(crate) struct FoundEvidence {
    /// Of the alert and its events that are stored.
    pub(crate) evidence: AlertEvidence,
    /// Events that are stored, and beyond what one file may hold.
    pub(crate) left_out: BTreeSet<(String, Seq)>,
}

impl<'a> Prover<'a> {
    /// Proves rows of blocks that are under a checkpoint.
    pub(crate) fn new(ingest: &'a Ingest, under: Option<&'a SignedCheckpoint>) -> Self {
        Self { ingest, under, listed: BTreeMap::new(), open: None }
    }

    /// The proof of a row; `None` when it is not stored.
    pub(crate) fn prove(&mut self, table: &TableName, seq: Seq) -> Result<Option<RecordProof>, PortError> {
        if !self.open.as_ref().is_some_and(|block| block.holds(table, seq)) {
            let Ok(place) = find(self.ingest.store(), table, seq) else { return Ok(None) };
            self.open = Some(self.read(&place, seq)?);
        }
        let key = self.ingest.ledger().verifier_key();
        self.open.as_ref().map(|block| block.prove(seq, key)).transpose()
    }

    /// The proofs of the alert in a row and of the events that it names, as far as they are stored; `None` when the alert
    /// is not.
    pub(crate) fn evidence(&mut self, seq: Seq) -> Result<Option<FoundEvidence>, PortError> {
        let alerts = TableName::new(table::SECURITY_ALERT).expect("a built-in table");
        let Some(alert) = self.prove(&alerts, seq)? else { return Ok(None) };
        let unreadable =
            |error| PortError::caused_by(ErrorKind::Internal, "the row of the alert cannot be read", error);
        let (mut events, mut num_bytes, mut left_out) = (Vec::new(), 0, BTreeSet::new());
        for (name, seq) in AlertEvidence::named(&alert).map_err(unreadable)? {
            // A sender can write an alert that names what is no table.
            let Ok(table) = TableName::new(&name) else { continue };
            let Some(proof) = self.prove(&table, seq)? else { continue };
            num_bytes += proof.record.len();
            if num_bytes > EVIDENCE_BYTES_MAX {
                left_out.insert((name, seq));
            } else {
                events.push(proof);
            }
        }
        Ok(Some(FoundEvidence { evidence: AlertEvidence { alert, events }, left_out }))
    }

    /// Reads the block of a row and proves it.
    fn read(&mut self, place: &Place, seq: Seq) -> Result<OpenBlock, PortError> {
        let (store, ledger) = (self.ingest.store(), self.ingest.ledger());
        let (header, rows, file) = match place {
            Place::Hot(block) => (block.header.clone(), block.rows.clone(), "the journal".to_owned()),
            Place::Sealed { segment, columns } => {
                let header = find_header(ledger, &segment.shard, seq)?;
                let rows = read_block(store, segment, columns, &header)?;
                (header, rows, store.file_of(&segment.path).display().to_string())
            }
        };
        let records = RecordEncoder::new(&rows).map_err(|error| damaged(&file, &header, error.to_string()))?;
        let leaves = records.leaf_hashes();
        if leaves.len() != header.num_rows as usize || root_of(&leaves) != header.record_root {
            let reason = "the rows are not those signed for: record root differs".to_owned();
            return Err(damaged(&file, &header, reason));
        }
        let proof = self
            .prove_block(&header)
            .map_err(|error| PortError::caused_by(error.kind(), "the block of the row cannot be proved", error))?;
        Ok(OpenBlock { header, records, leaves, proof })
    }

    fn prove_block(&mut self, header: &BlockHeader) -> moneta_ledger::Result<BlockProof> {
        let (ledger, shard) = (self.ingest.ledger(), &header.shard);
        let Some(checkpoint) = self.under else { return ledger.prove_block(shard, header.shard_index) };
        if !self.listed.contains_key(shard)
            && let Some(listed) = ledger.listed_shard(shard, checkpoint)?
        {
            self.listed.insert(shard.clone(), listed);
        }
        let Some(listed) = self.listed.get(shard) else {
            return Err(moneta_ledger::Error::NotPublished {
                log: shard.to_string(),
                index: header.shard_index,
                size: 0,
            });
        };
        ledger.prove_block_in(listed, header.shard_index)
    }
}

/// Where a row is.
enum Place {
    Hot(Arc<Block>),
    Sealed { segment: Arc<SegmentMeta>, columns: Vec<Column> },
}

/// Finds a row, or says why it is not there.
fn find(store: &Store, table: &TableName, seq: Seq) -> Result<Place, String> {
    let snapshot = store.snapshot(table).ok_or_else(|| format!("there is no table {table}"))?;
    if let Some(block) =
        snapshot.hot.iter().find(|block| (block.header.first_seq..block.header.end_seq()).contains(&seq))
    {
        return Ok(Place::Hot(block.clone()));
    }
    if let Some(segment) = snapshot.segments.iter().find(|segment| (segment.first_seq..segment.end_seq).contains(&seq))
    {
        return Ok(Place::Sealed { segment: segment.clone(), columns: snapshot.schema.columns().to_vec() });
    }
    let sealed_end = store.sealed_ends().get(table).copied().unwrap_or_default();
    let why = if seq < sealed_end { "was dropped by policy with its day" } else { "was never stored" };
    Err(format!("row {seq} of {table} {why}; {}", stored_rows(&snapshot)))
}

/// Which rows a table has, in words.
fn stored_rows(snapshot: &TableSnapshot) -> String {
    let starts = snapshot.segments.first().map(|segment| segment.first_seq);
    let first = starts.or_else(|| snapshot.hot.first().map(|block| block.header.first_seq));
    let ends = snapshot.hot.last().map(|block| block.header.end_seq());
    let end = ends.or_else(|| snapshot.segments.last().map(|segment| segment.end_seq));
    match (first, end) {
        (Some(first), Some(end)) => format!("_Seq {first} to {} are stored", end - 1),
        _ => "the table has no rows".to_owned(),
    }
}

/// A block that was read again, found to be the one signed for, and is proved.
struct OpenBlock {
    header: BlockHeader,
    records: RecordEncoder,
    leaves: Vec<Hash>,
    proof: BlockProof,
}

impl OpenBlock {
    fn holds(&self, table: &TableName, seq: Seq) -> bool {
        self.header.shard.table == *table && (self.header.first_seq..self.header.end_seq()).contains(&seq)
    }

    /// Makes the proof of a row of it and checks it.
    fn prove(&self, seq: Seq, key: &VerifierKey) -> Result<RecordProof, PortError> {
        let index = seq - self.header.first_seq;
        let path = prove_inclusion_in(&self.leaves, index)
            .map_err(|error| PortError::caused_by(ErrorKind::Internal, "the row has no path in its block", error))?;
        let mut record = Vec::new();
        self.records.encode(usize::try_from(index).expect("a block has at most 8,192 rows"), &mut record);
        let proof = RecordProof { record, index, path, header: self.header.clone(), block: self.proof.clone() };
        check_record_proof(&proof.encode(), key).map_err(|error| not_verified(&error))?;
        Ok(proof)
    }
}

fn not_verified(error: &dyn std::fmt::Display) -> PortError {
    PortError::new(ErrorKind::Internal, format!("the proof that was made does not verify: {error:#}"))
}

/// The header of the block that holds a row.
fn find_header(ledger: &Ledger, shard: &ShardId, seq: Seq) -> Result<BlockHeader, PortError> {
    let headers = ledger
        .headers_of(shard, seq, seq + 1)
        .map_err(|error| PortError::caused_by(error.kind(), format!("the log of {shard} cannot be read"), error))?;
    headers.into_iter().next().ok_or_else(|| {
        PortError::new(ErrorKind::Internal, format!("row {seq} is in a segment of {shard}, and in no block of its log"))
    })
}

/// The rows of one block out of its segment.
fn read_block(
    store: &Store,
    segment: &SegmentMeta,
    columns: &[Column],
    header: &BlockHeader,
) -> Result<RecordBatch, PortError> {
    let failed = |error: moneta_store::Error| {
        PortError::caused_by(error.kind(), format!("the segment {} cannot be read", segment.path), error)
    };
    let wanted = to_long(header.first_seq)..to_long(header.end_seq());
    let on_seq = |bound| Prune { column: standard::SEQ.to_owned(), bound };
    let prunes = [on_seq(Bound::LongFrom(wanted.start)), on_seq(Bound::LongTo(wanted.end - 1))];
    let mut parts = Vec::new();
    for batch in store.scan_segment(segment, columns, &prunes).map_err(failed)? {
        let batch = batch.map_err(failed)?;
        let Some(seqs) = batch.column_by_name(standard::SEQ).and_then(|c| c.as_primitive_opt::<Int64Type>()) else {
            break;
        };
        // Rows stand in order of `_Seq`.
        let start = seqs.values().partition_point(|seq| *seq < wanted.start);
        let end = seqs.values().partition_point(|seq| *seq < wanted.end);
        parts.push(batch.slice(start, end - start));
        if end < batch.num_rows() {
            break;
        }
    }
    let problem = |reason: String| damaged(&store.file_of(&segment.path).display().to_string(), header, reason);
    let first = parts.first().ok_or_else(|| problem("it has no rows of the block".to_owned()))?;
    concat_batches(&first.schema(), &parts).map_err(|error| problem(error.to_string()))
}

fn damaged(file: &str, header: &BlockHeader, reason: String) -> PortError {
    let message = format!("{file}: block at _Seq {} of {}: {reason}", header.first_seq, header.shard);
    PortError::new(ErrorKind::Internal, message)
}

fn to_long(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use moneta_base::Timestamp;
    use moneta_testkit::TestDir;

    use super::*;
    use crate::{Config, Node};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_dropped_row_is_told_from_one_that_never_was() {
        let dir = TestDir::new();
        let node = Node::open(&Config::default(), &dir.join("data")).await.unwrap();
        let (ingest, name) = (node.ingest.clone(), TableName::new(table::MONETA_AUDIT).unwrap());
        let event = || AuditEvent::success("test.run", "test", "drop");
        ingest.record(&OpContext::service("test"), event()).await.unwrap();
        let (store, sealing) = (ingest.store().clone(), ingest.clone());
        tokio::task::spawn_blocking(move || sealing.seal_all()).await.unwrap().unwrap();
        let segments = store.snapshot(&name).unwrap().segments;
        assert!(matches!(find(&store, &name, 0), Ok(Place::Sealed { .. })));
        store.drop_shard(&segments[0].shard, Timestamp::from_seconds(1_767_323_045)).unwrap();
        let end = segments[segments.len() - 1].end_seq;
        let reason = |seq| find(&store, &name, seq).err().unwrap();
        assert!(reason(0).contains("dropped by policy") && reason(0).contains("has no rows"), "{}", reason(0));
        assert!(reason(end).contains("never stored"), "{}", reason(end));
    }
}
