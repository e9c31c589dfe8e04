//! Decodes quarantined records again, after a parser or a mapping was mended.
//!
//! Each record has its own idempotency key, so replaying twice stores once. A record that is refused again stays where
//! it is: its row in `Quarantine` is never changed.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use moneta_base::{SourceName, TableName};
use moneta_formats::{DecodeOptions, Decoded, Decoder, Format};
use moneta_ingest::quarantine_encoding as encoding;
use moneta_ports::operations::{ReplayReport, ReplaySelection};
use moneta_ports::{
    AuditEvent, AuditSink, EventSink, IdempotencyKey, KeyLife, OpContext, PortError, QueryEngine, QueryRequest,
    Submission,
};

use crate::operations::NodeOperations;

/// Records replayed by one call at most; the next call goes on.
const RECORDS_MAX: usize = 100_000;

/// One quarantined record.
struct Record {
    id: String,
    format: String,
    table: Option<TableName>,
    source: SourceName,
    bytes: Vec<u8>,
}

/// Replays the selected records.
pub(crate) async fn replay(
    operations: &NodeOperations,
    ctx: &OpContext,
    selection: ReplaySelection,
) -> Result<ReplayReport, PortError> {
    operations.ingest.record(ctx, AuditEvent::success("quarantine.replay", "table", "Quarantine")).await?;
    let mut report = ReplayReport::default();
    for record in select(operations, ctx, &selection).await? {
        match decode(operations, &record) {
            Some(decoded) => {
                let key = IdempotencyKey {
                    producer: format!("replay/{}", record.id),
                    epoch: 0,
                    sequence: 0,
                    life: KeyLife::Request,
                };
                let receipt = operations
                    .ingest
                    .submit(Submission { batches: decoded.batches, quarantined: Vec::new(), key: Some(key) })
                    .await?;
                report.num_stored +=
                    if receipt.duplicate { 0 } else { receipt.ranges.iter().map(|range| range.num_rows).sum() };
            }
            None => report.num_refused += 1,
        }
    }
    Ok(report)
}

async fn select(
    operations: &NodeOperations,
    ctx: &OpContext,
    selection: &ReplaySelection,
) -> Result<Vec<Record>, PortError> {
    let filter = match selection {
        ReplaySelection::All => String::new(),
        ReplaySelection::Seqs(seqs) => {
            format!("| where _Seq in ({}) ", seqs.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
        }
    };
    let columns = "QuarantineId, Format, TargetTable, _Source, Original, OriginalEncoding, Truncated";
    let text = format!("Quarantine {filter}| take {RECORDS_MAX} | project {columns}");
    let request = QueryRequest { no_truncation: true, ..QueryRequest::new(text) };
    let answer = operations.engine.query(ctx, request).await;
    let answer =
        answer.map_err(|error| PortError::new(error.kind(), format!("the quarantine cannot be read: {error}")))?;
    let batches = answer.tables.iter().flat_map(|table| &table.batches);
    Ok(batches.flat_map(|rows| (0..rows.num_rows()).filter_map(|row| record(rows, row))).collect())
}

/// A row as a record; `None` for one that was too long to be kept whole.
fn record(rows: &RecordBatch, row: usize) -> Option<Record> {
    let text = |column: &str| {
        rows.column_by_name(column)
            .and_then(|array| array.as_string_opt::<i32>())
            .map(|array| array.value(row))
            .unwrap_or_default()
    };
    let truncated = rows
        .column_by_name("Truncated")
        .and_then(|array| array.as_boolean_opt())
        .is_some_and(|array| array.is_valid(row) && array.value(row));
    let bytes = match text("OriginalEncoding") {
        encoding::BASE64 => BASE64.decode(text("Original")).ok()?,
        _ => text("Original").as_bytes().to_vec(),
    };
    (!truncated).then(|| Record {
        id: text("QuarantineId").to_owned(),
        format: text("Format").to_owned(),
        table: TableName::new(text("TargetTable")).ok(),
        source: SourceName::lossy(text("_Source")),
        bytes,
    })
}

/// The rows of a record; `None` when it is refused again.
fn decode(operations: &NodeOperations, record: &Record) -> Option<Decoded> {
    let format = Format::parse(&record.format).ok()?;
    let options = DecodeOptions {
        table: record.table.clone(),
        mappings: operations.mappings.clone(),
        ..DecodeOptions::new(Arc::clone(&operations.catalog), record.source.clone(), operations.world.clock.now())
    };
    let mut decoded = Vec::new();
    let mut decoder = Decoder::new(format, options);
    decoder.feed(&record.bytes, &mut |portion| decoded.push(portion));
    decoder.finish(&mut |portion| decoded.push(portion));
    let mut whole = Decoded::default();
    for portion in decoded {
        whole.batches.extend(portion.batches);
        whole.quarantined.extend(portion.quarantined);
    }
    (whole.quarantined.is_empty() && !whole.batches.is_empty()).then_some(whole)
}
