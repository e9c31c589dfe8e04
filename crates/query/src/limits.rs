//! What one query, and all together, may use. A caller may ask for less, never for more.

use std::time::Duration;

/// Limits of queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Rows of one result.
    pub rows_max: usize,
    /// Bytes of one result, in memory.
    pub result_bytes_max: usize,
    /// Bytes of memory all queries together may use while they run.
    pub memory_bytes: usize,
    /// Bytes of decoded columns kept in memory between queries.
    pub cache_bytes: usize,
    /// How long one query may run.
    pub timeout: Duration,
    /// Queries that run at the same time; more wait.
    pub concurrency: usize,
}

impl Default for Limits {
    /// Kusto's defaults: 500,000 rows, 64 MiB, 4 minutes. Decoded columns: 2 GiB.
    fn default() -> Self {
        Self {
            rows_max: 500_000,
            result_bytes_max: 64 << 20,
            memory_bytes: 4 << 30,
            cache_bytes: 2 << 30,
            timeout: Duration::from_secs(240),
            concurrency: 10,
        }
    }
}
