//! The audit rows of queries, and their counters.

use std::sync::Arc;
use std::time::Duration;

use moneta_ports::{
    AuditEvent, AuditSink, Metric, Metrics, OpContext, Outcome, PortError, QueryError, QueryLanguage, QueryRequest,
};

/// Writes them.
#[derive(Clone)]
pub(crate) struct Auditor {
    pub(crate) sink: Arc<dyn AuditSink>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Facts about what was done, for the `Details` of an audit row.
pub(crate) type Details = serde_json::Map<String, serde_json::Value>;

/// What a query took of the machine.
pub(crate) fn read_details(bytes_read: u64, memory_peak_bytes: usize) -> Details {
    [("bytes_read", bytes_read.into()), ("memory_peak_bytes", memory_peak_bytes.into())]
        .into_iter()
        .map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value))
        .collect()
}

impl Auditor {
    /// Records that rows of a query are about to be handed out.
    pub(crate) async fn begun(
        &self,
        action: &'static str,
        ctx: &OpContext,
        request: &QueryRequest,
    ) -> Result<(), QueryError> {
        self.sink.record(ctx, event(action, ctx, request)).await.map_err(not_audited)
    }

    /// Records and counts how a query ended.
    ///
    /// # Errors
    /// When it cannot be recorded; the query must then not be answered.
    pub(crate) async fn ended(
        &self,
        action: &'static str,
        ctx: &OpContext,
        request: &QueryRequest,
        outcome: Result<Option<u64>, &QueryError>,
        elapsed: Duration,
        details: Details,
    ) -> Result<(), QueryError> {
        let mut event = event(action, ctx, request);
        event.details.extend(details);
        event.duration_ms = u64::try_from(elapsed.as_millis()).ok();
        match outcome {
            Ok(row_count) => event.row_count = row_count,
            Err(error) => {
                event.outcome = if matches!(error, QueryError::Denied(_)) { Outcome::Denied } else { Outcome::Failure };
                event.reason = error.to_string();
            }
        }
        self.metrics.add_labelled(Metric::QueryRuns, event.outcome.name(), 1);
        self.metrics.add(Metric::QueryRows, event.row_count.unwrap_or(0));
        self.metrics.observe(Metric::QueryDuration, elapsed);
        self.sink.record(ctx, event).await.map_err(not_audited)
    }
}

fn event(action: &'static str, ctx: &OpContext, request: &QueryRequest) -> AuditEvent {
    let mut event = AuditEvent::success(action, "query", "");
    event.query_text.clone_from(&request.text);
    event.details.extend(ctx.claims.named().map(|(name, text)| (name.to_owned(), text.into())));
    if request.language == QueryLanguage::Sql {
        event.details.insert("language".to_owned(), "sql".into());
    }
    event
}

fn not_audited(error: PortError) -> QueryError {
    let message = format!("the query could not be audited, so it is not answered: {error}");
    QueryError::Failed { kind: error.kind, message }
}
