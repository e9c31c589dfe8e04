//! The record of who did what in Moneta. What cannot be audited does not happen (ACCESS-1).

use crate::{BoxFuture, OpContext, PortError};

/// How an audited act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is about to take effect, or has.
    Success,
    /// It was refused.
    Denied,
    /// It was allowed and failed.
    Failure,
}

impl Outcome {
    /// The text in the `Outcome` column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Failure => "failure",
        }
    }
}

/// One row of `MonetaAudit`.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// What was done, as `<object>.<verb>`: `account.sign-in`, `query.run`, `rule.add`, `setting.change`.
    pub action: &'static str,
    /// What kind of thing it was done to: `account`, `query`, `rule`, `table`, ...
    pub object_kind: &'static str,
    /// Which one.
    pub object_name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused or failed; empty otherwise.
    pub reason: String,
    /// The text of a query; empty otherwise.
    pub query_text: String,
    /// Rows returned, where that is the act.
    pub row_count: Option<u64>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Further facts, as a JSON object.
    pub details: serde_json::Map<String, serde_json::Value>,
}

impl AuditEvent {
    /// A successful act on one object.
    #[must_use]
    pub fn success(action: &'static str, object_kind: &'static str, object_name: impl Into<String>) -> Self {
        Self {
            action,
            object_kind,
            object_name: object_name.into(),
            outcome: Outcome::Success,
            reason: String::new(),
            query_text: String::new(),
            row_count: None,
            duration_ms: None,
            details: serde_json::Map::new(),
        }
    }

    /// A refused act on one object.
    #[must_use]
    pub fn denied(
        action: &'static str,
        object_kind: &'static str,
        object_name: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self { outcome: Outcome::Denied, reason: reason.into(), ..Self::success(action, object_kind, object_name) }
    }
}

/// Writes the audit table and the root log.
pub trait AuditSink: Send + Sync {
    /// Records an act; resolves when the row is durable. Its root log entry follows with the next checkpoint.
    ///
    /// # Errors
    /// As [`EventSink::submit`](crate::EventSink::submit); the caller must then not answer as if the act were audited.
    fn record<'a>(&'a self, ctx: &'a OpContext, event: AuditEvent) -> BoxFuture<'a, Result<(), PortError>>;

    /// Records a change before it takes effect; resolves when the row is durable and its root log entry is under a
    /// signed checkpoint.
    ///
    /// # Errors
    /// As [`Self::record`]; the change must then not be made.
    fn record_change<'a>(&'a self, ctx: &'a OpContext, event: AuditEvent) -> BoxFuture<'a, Result<(), PortError>>;
}
