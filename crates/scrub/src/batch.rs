//! Rows of one table that hold no personal data: the only state of an event that may be sent or stored.
//!
//! The constructor is private to this crate, so that an unscrubbed row cannot reach the journal (JOURNAL-4).

use arrow::array::RecordBatch;
use moneta_base::TableName;

/// Rows of one table after [`Scrubber::scrub`](crate::Scrubber::scrub), which alone makes them.
///
/// # Shapes
/// The columns of the [`ParsedBatch`](moneta_event::ParsedBatch) it came from, same row count and order. Text may have
/// changed; `_Extra` may have been added where a number had to become a token.
#[derive(Debug, Clone)]
pub struct ScrubbedBatch {
    table: TableName,
    rows: RecordBatch,
    token_key: u32,
}

impl ScrubbedBatch {
    pub(crate) fn new(table: TableName, rows: RecordBatch, token_key: u32) -> Self {
        Self { table, rows, token_key }
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// Version of the key that made the tokens of this batch.
    #[must_use]
    pub fn token_key(&self) -> u32 {
        self.token_key
    }

    /// Table, rows and key version.
    #[must_use]
    pub fn into_parts(self) -> (TableName, RecordBatch, u32) {
        (self.table, self.rows, self.token_key)
    }
}
