//! Alerts as they travel from the monitor to the store and to people.

use moneta_base::{RuleId, Seq, TableName, Timestamp};

use crate::BoxFuture;
use crate::PortError;

/// One event that met a rule.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MatchedEvent {
    /// The table.
    #[serde(serialize_with = "as_text")]
    pub table: TableName,
    /// Its position there.
    pub seq: Seq,
    /// Its event time, RFC 3339.
    #[serde(serialize_with = "as_text")]
    pub time: Timestamp,
    /// The machine it came from, where known.
    pub computer: String,
    /// The fields and values that met the rule's conditions; of a correlation, the values it compares.
    pub fields: Vec<(String, String)>,
    /// Of a correlation: titles of its rules that the event met.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

/// An alert: one rule met by one or more events of one block, or one correlation.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Alert {
    /// Unique and deterministic: the same events and rule give the same id after a restart.
    pub id: String,
    /// When it was raised, RFC 3339.
    #[serde(serialize_with = "as_text")]
    pub raised: Timestamp,
    /// The rule.
    #[serde(serialize_with = "as_text")]
    pub rule_id: RuleId,
    /// Its title.
    pub rule_title: String,
    /// Its author: the Detection Rule License asks that every alert names them.
    pub rule_author: String,
    /// Its description.
    pub rule_description: String,
    /// Which text of the rule it was; empty where it is not known.
    pub rule_version: String,
    /// Its licence, as it states it.
    pub rule_license: String,
    /// Where it is explained.
    pub rule_references: Vec<String>,
    /// `informational`, `low`, `medium`, `high` or `critical`.
    pub level: String,
    /// Its tags, such as `attack.t1059.001`.
    pub tags: Vec<String>,
    /// What held, where the events alone do not say it: a correlation's condition, its number and its group.
    pub explanation: String,
    /// The events, in order of sequence; of a correlation, in order of time.
    pub events: Vec<MatchedEvent>,
}

/// Carries alerts to people: called once an alert is durable.
pub trait AlertDelivery: Send + Sync {
    /// Queues an alert for delivery.
    ///
    /// # Errors
    /// When the queue is full; the alert itself is already stored.
    fn deliver(&self, alert: Alert) -> BoxFuture<'_, Result<(), PortError>>;
}

fn as_text<T: std::fmt::Display, S: serde::Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
