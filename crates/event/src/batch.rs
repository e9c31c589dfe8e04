//! Rows of one table, decoded but not yet scrubbed.

use std::sync::Arc;

use arrow::array::RecordBatch;
use moneta_base::{SourceName, TableName, Timestamp};

use crate::Delivery;

/// Decoded rows of one table.
///
/// # Shapes
/// `rows`: `TimeGenerated` (Timestamp ns UTC, non-null values), `_Source`, `_Class`, `_Delivery`, `_Raw` (Utf8),
/// `_Extra` where any row has one, and every column of the table that has a value in at least one row. An absent
/// column means its default in every row. One row per record; order of arrival.
#[derive(Debug, Clone)]
pub struct ParsedBatch {
    /// The table.
    pub table: TableName,
    /// The rows.
    pub rows: RecordBatch,
    /// Values that did not fit their column and went to `_Extra`.
    pub values_overflowed: u64,
}

/// A record that could not be parsed, kept whole with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantinedRecord {
    /// Where it came from.
    pub source: SourceName,
    /// The format that refused it, such as `evtx`.
    pub format: &'static str,
    /// The table it was meant for, if known.
    pub table: Option<TableName>,
    /// Stable short code of the reason, such as `too_long`, `invalid_json`, `bad_checksum`; used as a counter label.
    pub reason_code: &'static str,
    /// The reason in words.
    pub reason: String,
    /// Byte offset in its file or stream.
    pub offset: u64,
    /// The bytes as received.
    pub bytes: Vec<u8>,
    /// What its decoder was told or had read beside the bytes: without it another attempt would not read them alike.
    pub context: RecordContext,
}

/// What gives the bytes of one record their meaning beside the bytes themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordContext {
    /// When it was received; `None`: when it was stored.
    pub received: Option<Timestamp>,
    /// Zone of time stamps that name none, in seconds east of UTC.
    pub zone_offset_seconds: i32,
    /// How sure the path was.
    pub delivery: Delivery,
    /// The table of records whose shape says nothing of their table.
    pub fallback_table: Option<TableName>,
    /// Directives or header from the beginning of its input, in formats whose lines mean nothing without them.
    pub head: Option<Arc<str>>,
}
