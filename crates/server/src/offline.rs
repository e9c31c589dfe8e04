//! The query engine over rows in memory: files queried without a store.
//!
//! Nothing is audited: who holds the files may read them anyway, and there is no store to keep a record in.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use moneta_base::ErrorKind;
use moneta_event::TableSchema;
use moneta_host::SystemClock;
use moneta_ports::{AuditEvent, AuditSink, BoxFuture, Metrics, OpContext, PortError, QueryEngine};
use moneta_query::{Engine, MemoryTables};

use crate::config::Config;
use crate::error::ServerError;
use crate::node::{outside, query_limits};

/// An engine over tables in memory.
///
/// # Shapes
/// Per table its known columns and its rows as decoded; columns that only the rows have are added. A table may be
/// given without rows.
///
/// # Errors
/// When the engine cannot be set up.
pub fn offline_query_engine(
    config: &Config,
    tables: Vec<(Arc<TableSchema>, Vec<RecordBatch>)>,
) -> Result<Arc<dyn QueryEngine>, ServerError> {
    let mut memory = MemoryTables::default();
    for (schema, batches) in tables {
        memory.add(&schema, RecordBatch::new_empty(Arc::new(Schema::empty())));
        batches.into_iter().for_each(|rows| memory.add(&schema, rows));
    }
    let (clock, metrics) = (Arc::new(SystemClock::default()), Arc::new(Metrics::new()));
    let (outside, limits) = (outside(config)?, query_limits(config));
    let engine = Engine::new(Arc::new(memory), None, outside, Arc::new(NoAudit), clock, metrics, limits);
    let engine = engine.map_err(|error| ServerError::part("query engine", ErrorKind::Internal, error))?;
    Ok(Arc::new(engine))
}

/// Records nothing.
struct NoAudit;

impl AuditSink for NoAudit {
    fn record<'a>(&'a self, _: &'a OpContext, _: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn record_change<'a>(&'a self, _: &'a OpContext, _: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
