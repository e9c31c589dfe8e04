//! What one query, one principal, and all together may use. A caller may ask for less, never for more.

use std::path::PathBuf;
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
    /// Bytes of memory one query may use while it runs.
    pub memory_per_query_bytes: usize,
    /// Bytes of decoded columns kept in memory between queries.
    pub cache_bytes: usize,
    /// How long one query may run, waiting included.
    pub timeout: Duration,
    /// Queries that run at the same time; more wait.
    pub concurrency: usize,
    /// Queries of one principal that run at the same time; more wait.
    pub concurrency_per_principal: usize,
    /// Where operators put rows that do not fit into memory; without it they fail.
    pub spill: Option<Spill>,
}

/// Where rows go that do not fit into memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spill {
    /// A directory of the engine's own. It is emptied when the engine starts.
    pub directory: PathBuf,
    /// Bytes all queries together may put there.
    pub bytes_max: u64,
}

/// Queries of one principal that may wait for their turn; more are refused.
pub(crate) const WAITING_PER_PRINCIPAL_MAX: usize = 100;

impl Default for Limits {
    /// Kusto's defaults: 500,000 rows, 64 MiB, 4 minutes. Decoded columns: 2 GiB.
    fn default() -> Self {
        Self {
            rows_max: 500_000,
            result_bytes_max: 64 << 20,
            memory_bytes: 4 << 30,
            memory_per_query_bytes: 1 << 30,
            cache_bytes: 2 << 30,
            timeout: Duration::from_secs(240),
            concurrency: 10,
            concurrency_per_principal: 5,
            spill: None,
        }
    }
}
