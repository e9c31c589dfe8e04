//! Rows of `Quarantine`: records nobody could parse, kept with the reason so that a better parser can try again.
//!
//! The original is scrubbed like everything else. Bytes that are not text are kept as base64.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use moneta_base::{Timestamp, limits};
use moneta_event::{BatchBuilder, Delivery, ParsedBatch, QuarantinedRecord, RecordClass, TableSchema, Value};
use moneta_merkle::sha256;

/// How the `Original` column holds the record.
pub mod encoding {
    /// As it was, being UTF-8.
    pub const TEXT: &str = "utf-8";
    /// Base64 of the bytes.
    pub const BASE64: &str = "base64";
}

/// Makes rows of `Quarantine` of records.
///
/// # Shapes
/// One row per record, in order; columns as in the built-in table. Rows are made into batches of at most
/// [`limits::BLOCK_ROWS_MAX`].
#[must_use]
pub fn rows(schema: &Arc<TableSchema>, records: &[QuarantinedRecord], now: Timestamp) -> Vec<ParsedBatch> {
    records.chunks(limits::BLOCK_ROWS_MAX).filter_map(|chunk| batch(schema, chunk, now)).collect()
}

fn batch(schema: &Arc<TableSchema>, records: &[QuarantinedRecord], now: Timestamp) -> Option<ParsedBatch> {
    let mut builder = BatchBuilder::new(schema.clone(), RecordClass::Data, Delivery::AtLeastOnce);
    for record in records {
        append(&mut builder, record, now);
    }
    builder.finish()
}

fn append(builder: &mut BatchBuilder, record: &QuarantinedRecord, now: Timestamp) {
    let digest = sha256(&record.bytes).to_hex();
    let kept = &record.bytes[..record.bytes.len().min(limits::QUARANTINE_BYTES_MAX)];
    let (original, encoding) = match std::str::from_utf8(kept) {
        Ok(text) if !text.contains('\0') => (text.to_owned(), encoding::TEXT),
        _ => (BASE64.encode(kept), encoding::BASE64),
    };
    let count = |number: usize| Value::Long(i64::try_from(number).unwrap_or(i64::MAX));
    builder.set_field("QuarantineId", Value::Text(&quarantine_id(record)));
    builder.set_field("Format", Value::Text(record.format));
    builder.set_field("TargetTable", Value::Text(record.table.as_ref().map_or("", |table| table.as_str())));
    builder.set_field("Reason", Value::Text(&record.reason));
    builder.set_field("ReasonCode", Value::Text(record.reason_code));
    builder.set_field("Offset", Value::Long(i64::try_from(record.offset).unwrap_or(i64::MAX)));
    builder.set_field("SizeBytes", count(record.bytes.len()));
    builder.set_field("Sha256", Value::Text(&digest));
    builder.set_field("Truncated", Value::Bool(kept.len() < record.bytes.len()));
    builder.set_field("Original", Value::Text(&original));
    builder.set_field("OriginalEncoding", Value::Text(encoding));
    let context = &record.context;
    builder.set_field("ReceivedTime", Value::Time(context.received.unwrap_or(now)));
    builder.set_field("ZoneOffsetSeconds", Value::Long(context.zone_offset_seconds.into()));
    builder.set_field("FallbackTable", Value::Text(context.fallback_table.as_ref().map_or("", |table| table.as_str())));
    builder.set_field("InputHead", Value::Text(context.head.as_deref().unwrap_or_default()));
    builder.classify(RecordClass::Data, context.delivery);
    builder.finish_row(now, &record.source, "");
}

/// An id that stays the same when the same bytes of the same place are quarantined again.
fn quarantine_id(record: &QuarantinedRecord) -> String {
    let mut identity = record.source.as_str().as_bytes().to_vec();
    identity.push(0);
    identity.extend_from_slice(&record.offset.to_le_bytes());
    identity.extend_from_slice(sha256(&record.bytes).as_bytes());
    sha256(&identity).to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use moneta_base::SourceName;
    use moneta_event::{RecordContext, TableCatalog, catalog::table};

    use super::*;

    fn record(bytes: &[u8]) -> QuarantinedRecord {
        QuarantinedRecord {
            source: SourceName::lossy("s"),
            format: "json",
            table: None,
            reason_code: "invalid_json",
            reason: "expected a value".into(),
            offset: 3,
            bytes: bytes.to_vec(),
            context: RecordContext::default(),
        }
    }

    #[test]
    fn ingest_1_a_refused_record_keeps_its_bytes_and_reason() {
        let schema = TableCatalog::built_in().get(table::QUARANTINE).cloned().unwrap();
        let batches = rows(&schema, &[record(b"{oops"), record(&[0xff, 0])], Timestamp::from_seconds(1_700_000_000));
        let text = |column: &str, row| {
            batches[0].rows.column_by_name(column).unwrap().as_string::<i32>().value(row).to_owned()
        };
        assert_eq!((text("Original", 0).as_str(), text("OriginalEncoding", 0).as_str()), ("{oops", encoding::TEXT));
        assert_eq!((text("Original", 1).as_str(), text("OriginalEncoding", 1).as_str()), ("/wA=", encoding::BASE64));
        assert_eq!(text("ReasonCode", 0), "invalid_json");
        assert_ne!(text("QuarantineId", 0), text("QuarantineId", 1));
    }
}
