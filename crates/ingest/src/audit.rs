//! The audit table: who did what, as a row of `MonetaAudit` and an entry of the root log.
//!
//! A row carries a random correlation, so that its hash in the never-pruned root log gives nothing away.

use std::sync::Arc;

use moneta_base::{ErrorKind, SourceName, Timestamp};
use moneta_event::catalog::table;
use moneta_event::{BatchBuilder, Delivery, ParsedBatch, RecordClass, TableSchema, Value};
use moneta_ports::{AuditEvent, AuditSink, BoxFuture, EventSink, OpContext, PortError, Submission};

use crate::Ingest;

impl AuditSink for Ingest {
    fn record<'a>(&'a self, ctx: &'a OpContext, event: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let batch = self.audit_row(ctx, &event)?;
            self.submit(Submission { batches: vec![batch], ..Submission::default() }).await.map(drop)
        })
    }

    fn record_change<'a>(&'a self, ctx: &'a OpContext, event: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            self.record(ctx, event).await?;
            self.publish_now().await
        })
    }
}

impl Ingest {
    fn audit_row(&self, ctx: &OpContext, event: &AuditEvent) -> Result<ParsedBatch, PortError> {
        let schema = self.schema_of(table::MONETA_AUDIT);
        let schema = schema.ok_or_else(|| PortError::new(ErrorKind::Internal, "the audit table is missing"))?;
        let salt = self.random_id();
        Ok(row(&schema, ctx, event, &salt, self.now()))
    }
}

/// One row of `MonetaAudit`.
fn row(schema: &Arc<TableSchema>, ctx: &OpContext, event: &AuditEvent, salt: &str, now: Timestamp) -> ParsedBatch {
    let mut builder = BatchBuilder::new(schema.clone(), RecordClass::Control, Delivery::ExactlyOnce);
    let mut text = |name: &str, value: &str| builder.set_field(name, Value::Text(value));
    text("ActorName", &ctx.actor.name);
    text("ActorKind", ctx.actor.kind.name());
    text("Action", event.action);
    text("ObjectKind", event.object_kind);
    text("ObjectName", &event.object_name);
    text("Outcome", event.outcome.name());
    text("Reason", &event.reason);
    text("ClientAddress", &ctx.client_address);
    text("CorrelationId", if ctx.correlation_id.is_empty() { salt } else { &ctx.correlation_id });
    text("QueryText", &event.query_text);
    let count = |number: u64| Value::Long(i64::try_from(number).unwrap_or(i64::MAX));
    event.row_count.into_iter().for_each(|rows| builder.set_field("RowCount", count(rows)));
    event.duration_ms.into_iter().for_each(|ms| builder.set_field("DurationMs", count(ms)));
    let mut details = event.details.clone();
    details.insert("salt".to_owned(), salt.into());
    builder.set_field("Details", Value::Json(&serde_json::Value::Object(details).to_string()));
    builder.finish_row(now, &SourceName::lossy("moneta"), "");
    builder.finish().expect("one row was finished")
}
