//! Settings of a journal.

use std::collections::BTreeMap;

use moneta_base::{Seq, TableName, TenantId};

/// Settings of a journal. Limits are part of what is promised to senders: change them between runs only.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Whose rows it holds.
    pub tenant: TenantId,
    /// Bytes of commits after which a new file is begun.
    pub file_bytes_max: u64,
    /// Bytes that producers' marks may take; a producer beyond them is refused, and none forgotten for it.
    pub producer_bytes_max: usize,
    /// Bytes that idempotency keys may take; beyond them the oldest are forgotten.
    pub key_bytes_max: usize,
    /// Tables at most.
    pub tables_max: usize,
    /// Per table the `_Seq` after the last sealed row: a journal that ends before it has lost files, and is refused.
    pub sealed: BTreeMap<TableName, Seq>,
}

impl JournalOptions {
    /// The usual limits: files of 64 MiB, 16 MiB of producers (about 6,000, or 75,000 cursors), 16 MiB of idempotency
    /// keys (about 100,000), 10,000 tables. A snapshot of all of them stays below the 64 MiB of a frame.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        Self {
            tenant,
            file_bytes_max: 64 << 20,
            producer_bytes_max: 16 << 20,
            key_bytes_max: 16 << 20,
            tables_max: 10_000,
            sealed: BTreeMap::new(),
        }
    }
}
