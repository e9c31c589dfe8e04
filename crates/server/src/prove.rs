//! Proves single rows: finds the block of a row, reads it again, and joins its path to the block's proof.
//!
//! What goes out was checked as a receiver checks it. Nothing is kept: the same row can be proved again at any time
//! until its day is dropped.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use moneta_base::{ErrorKind, Seq, TableName};
use moneta_event::record::RecordEncoder;
use moneta_event::schema::standard;
use moneta_event::{Block, BlockHeader, Column, RecordProof, ShardId};
use moneta_ingest::Ingest;
use moneta_ledger::Ledger;
use moneta_merkle::proof::prove_inclusion_in;
use moneta_merkle::root_of;
use moneta_ports::audit::Outcome;
use moneta_ports::operations::ProofAnswer;
use moneta_ports::{AuditEvent, AuditSink, OpContext, PortError};
use moneta_store::{Bound, Prune, SegmentMeta, Store, TableSnapshot};

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
    let made = tokio::task::spawn_blocking(move || make(&ingest, &place, seq)).await;
    let made = made.map_err(|error| PortError::caused_by(ErrorKind::Internal, "the proof was interrupted", error))?;
    made.map(ProofAnswer::Proof)
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

/// Makes the proof of a row and checks it.
fn make(ingest: &Ingest, place: &Place, seq: Seq) -> Result<String, PortError> {
    let (store, ledger) = (ingest.store(), ingest.ledger());
    let (header, rows, file) = match place {
        Place::Hot(block) => (block.header.clone(), block.rows.clone(), "the journal".to_owned()),
        Place::Sealed { segment, columns } => {
            let header = find_header(ledger, &segment.shard, seq)?;
            let rows = read_block(store, segment, columns, &header)?;
            (header, rows, store.file_of(&segment.path).display().to_string())
        }
    };
    let (record, path) = path_of(&header, &rows, seq).map_err(|reason| damaged(&file, &header, reason))?;
    let block = ledger.prove_block(&header.shard, header.shard_index);
    let block =
        block.map_err(|error| PortError::caused_by(error.kind(), "the block of the row cannot be proved", error))?;
    let text = RecordProof { record, index: seq - header.first_seq, path, header, block }.encode();
    let key = ledger.verifier_key();
    moneta_verify::proof::check_record_proof(&text, key).map_err(|error| {
        PortError::new(ErrorKind::Internal, format!("the proof that was made does not verify: {error:#}"))
    })?;
    Ok(text)
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

/// A row's record and its path in the record tree of the block.
fn path_of(header: &BlockHeader, rows: &RecordBatch, seq: Seq) -> Result<(Vec<u8>, Vec<moneta_merkle::Hash>), String> {
    let encoder = RecordEncoder::new(rows).map_err(|error| error.to_string())?;
    let leaves = encoder.leaf_hashes();
    if leaves.len() != header.num_rows as usize || root_of(&leaves) != header.record_root {
        return Err("the rows are not those signed for: record root differs".to_owned());
    }
    let index = seq - header.first_seq;
    let path = prove_inclusion_in(&leaves, index).map_err(|error| error.to_string())?;
    let mut record = Vec::new();
    encoder.encode(usize::try_from(index).expect("a block has at most 8,192 rows"), &mut record);
    Ok((record, path))
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
    use moneta_event::catalog::table;
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
