//! Dead letters: alerts that a channel did not take, kept as records, listed, and sent again when somebody asks.
//!
//! ```text
//! channel gives up ─► row of MonetaHealth (given-up) ─► listed until ─► sent again, taken ─► row (sent-again)
//! ```
//! The alert itself is in `SecurityAlert` and is sent as it stands there. Nothing here is sent of itself.

use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use moneta_base::{Clock, SourceName};
use moneta_event::{BatchBuilder, Delivery, ParsedBatch, RecordClass, TableSchema, Value};
use moneta_monitor::told_alert;
use moneta_notify::DeadLetter;
use moneta_ports::{Alert, EventSink, OpContext, PortError, QueryEngine, QueryRequest, Submission, UndeliveredAlert};
use moneta_rules::hunt::{text, time};
use serde_json::json;
use tokio::runtime::Handle;

/// Where the records say they are from.
const SOURCE: &str = "notify";
/// The two kinds of records.
const GIVEN_UP: &str = "given-up";
const SENT_AGAIN: &str = "sent-again";
/// Dead letters listed at most, the newest.
const LISTED_MAX: usize = 1_000;

/// The records of dead letters.
pub(crate) struct Letters {
    events: Arc<dyn EventSink>,
    clock: Arc<dyn Clock>,
    /// The columns of `MonetaHealth`.
    schema: Arc<TableSchema>,
    queries: OnceLock<Arc<dyn QueryEngine>>,
    runtime: Handle,
}

impl Letters {
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(events: Arc<dyn EventSink>, clock: Arc<dyn Clock>, schema: Arc<TableSchema>) -> Self {
        Self { events, clock, schema, queries: OnceLock::new(), runtime: Handle::current() }
    }

    /// Says what finds records and alerts.
    pub(crate) fn attach(&self, queries: Arc<dyn QueryEngine>) {
        let _ = self.queries.set(queries);
    }

    /// Keeps a dead letter, soon.
    pub(crate) fn keep(&self, letter: &DeadLetter) {
        let row = self.row(
            GIVEN_UP,
            letter.attempts,
            [&letter.channel, &letter.alert_id, &letter.rule_title, &letter.reason],
        );
        let (events, id) = (self.events.clone(), letter.alert_id.clone());
        self.runtime.spawn(async move {
            let submission = Submission { batches: row.into_iter().collect(), ..Submission::default() };
            if let Err(error) = events.submit(submission).await {
                tracing::error!(%error, alert = id, "the record of an alert that was not delivered could not be stored");
            }
        });
    }

    /// Notes that a channel took an alert after all.
    ///
    /// # Errors
    /// When it cannot be stored: the letter stays listed.
    pub(crate) async fn settle(&self, one: &UndeliveredAlert) -> Result<(), PortError> {
        let row = self.row(SENT_AGAIN, 1, [&one.channel, &one.alert_id, &one.rule_title, ""]);
        let submission = Submission { batches: row.into_iter().collect(), ..Submission::default() };
        self.events.submit(submission).await.map(drop)
    }

    /// One row of `MonetaHealth`: `Component` `delivery`, `Metric` the kind of record, `Value` the attempts, `Details` with
    /// `Channel`, `AlertId`, `RuleTitle`, `Reason`.
    fn row(
        &self,
        metric: &str,
        attempts: u32,
        [channel, alert_id, rule_title, reason]: [&str; 4],
    ) -> Option<ParsedBatch> {
        let details = json!({ "Channel": channel, "AlertId": alert_id, "RuleTitle": rule_title, "Reason": reason });
        let mut row = BatchBuilder::new(self.schema.clone(), RecordClass::Processed, Delivery::ExactlyOnce);
        row.set_field("Component", Value::Text("delivery"));
        row.set_field("Metric", Value::Text(metric));
        row.set_field("Value", Value::Real(f64::from(attempts)));
        row.set_field("Unit", Value::Text("attempts"));
        row.set_field("Details", Value::Json(&details.to_string()));
        row.finish_row(self.clock.now(), &SourceName::lossy(SOURCE), "");
        row.finish()
    }

    /// The dead letters that no channel took since, the newest first.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(crate) async fn open(&self, ctx: &OpContext) -> Result<Vec<UndeliveredAlert>, PortError> {
        let query = format!(
            "MonetaHealth | where Component == 'delivery' and _Source == '{SOURCE}' and _Class == '{}' \
             | extend Channel = tostring(Details.Channel), AlertId = tostring(Details.AlertId) \
             | summarize arg_max(_Seq, TimeGenerated, Metric, Value, Details) by Channel, AlertId \
             | where Metric == '{GIVEN_UP}' | top {LISTED_MAX} by TimeGenerated desc \
             | project TimeGenerated, Channel, AlertId, RuleTitle = tostring(Details.RuleTitle), \
               Reason = tostring(Details.Reason), Attempts = tostring(tolong(Value))",
            RecordClass::Processed.name()
        );
        let letter = |rows: &RecordBatch, row: usize| UndeliveredAlert {
            given_up: time(rows, "TimeGenerated", row).map(|time| time.to_string()).unwrap_or_default(),
            channel: text(rows, "Channel", row),
            alert_id: text(rows, "AlertId", row),
            rule_title: text(rows, "RuleTitle", row),
            attempts: text(rows, "Attempts", row).parse().unwrap_or_default(),
            reason: text(rows, "Reason", row),
        };
        let batches = self.rows(ctx, query).await?;
        Ok(batches.iter().flat_map(|rows| (0..rows.num_rows()).map(move |row| letter(rows, row))).collect())
    }

    /// An alert as it is stored; `None` when it is stored no more, or never could be.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(crate) async fn alert(&self, ctx: &OpContext, id: &str) -> Result<Option<Alert>, PortError> {
        // Senders can write rows with any id: of those with this one, that of the alert raised here counts.
        let query = format!("SecurityAlert | where SystemAlertId == {} and _Raw == ''", json!(id));
        let batches = self.rows(ctx, query).await?;
        let mut rows = batches.iter().flat_map(|rows| (0..rows.num_rows()).map(move |row| (rows, row)));
        Ok(rows.find_map(|(rows, row)| told_alert(rows, row)))
    }

    async fn rows(&self, ctx: &OpContext, query: String) -> Result<Vec<RecordBatch>, PortError> {
        let Some(queries) = self.queries.get() else { return Ok(Vec::new()) };
        let answer = queries.query(ctx, QueryRequest::new(query)).await;
        let answer = answer.map_err(|error| PortError::new(error.kind(), error.to_string()))?;
        Ok(answer.tables.into_iter().next().map(|table| table.batches).unwrap_or_default())
    }
}
