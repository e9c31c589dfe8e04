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
    /// What else may look like it, as the rule says.
    pub false_positives: Vec<String>,
    /// The machines it is about, those of its events first.
    pub hosts: Vec<String>,
    /// The accounts it is about, those last that are on every machine.
    pub accounts: Vec<String>,
    /// All that it speaks of, as `Entities` of `SecurityAlert` has it: objects with a `Type`.
    pub entities: Vec<serde_json::Value>,
    /// Events that met the rule, those that are not listed too; of a KQL rule rows of its result.
    pub event_count: u64,
    /// Time of the earliest of them, RFC 3339.
    #[serde(serialize_with = "as_text")]
    pub first_event: Timestamp,
    /// Time of the latest of them, RFC 3339.
    #[serde(serialize_with = "as_text")]
    pub last_event: Timestamp,
    /// Where people see it: a path on this server, or an address where the server's is known. Empty where there is none.
    pub link: String,
    /// The events, in order of sequence; of a correlation, in order of time: the first of them.
    pub events: Vec<MatchedEvent>,
}

impl Alert {
    /// An alert of a rule that says nothing yet and has no events.
    #[must_use]
    pub const fn new(id: String, rule_id: RuleId, raised: Timestamp) -> Self {
        Self {
            id,
            raised,
            rule_id,
            rule_title: String::new(),
            rule_author: String::new(),
            rule_description: String::new(),
            rule_version: String::new(),
            rule_license: String::new(),
            rule_references: Vec::new(),
            level: String::new(),
            tags: Vec::new(),
            explanation: String::new(),
            false_positives: Vec::new(),
            hosts: Vec::new(),
            accounts: Vec::new(),
            entities: Vec::new(),
            event_count: 0,
            first_event: raised,
            last_event: raised,
            link: String::new(),
            events: Vec::new(),
        }
    }
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
