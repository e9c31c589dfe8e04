//! Analytics rules: KQL queries with a schedule, in the YAML that Microsoft Sentinel's public content is written in.
//!
//! [`parse_file`] reads the documents of a file, [`AnalyticsRule::arrival`] tells the rules that look at every row by
//! itself and so can run on arriving rows. A key that means nothing, a value out of range and a query that does not
//! parse are errors with the line. What names mean (tables, columns) is not known here: no catalog, no clock, no I/O.
//!
//! # Source
//! Azure Monitor's resource type `Microsoft.SecurityInsights/alertRules`, kinds `Scheduled` and `NRT`, and the YAML form
//! of the Azure-Sentinel repository.

mod arrival;
mod document;
mod duration;
mod names;
mod trial;

use std::time::Duration;

pub use arrival::{Arrival, Step};
pub use document::tactic_tag;
pub use duration::parse_duration;
pub use trial::{Trial, arrived};

use crate::error::NotLoaded;
use crate::ir::Metadata;
use crate::rule_tests::RuleTest;
use crate::yaml;
use moneta_base::Level;

/// An analytics rule.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalyticsRule {
    /// What it is, who wrote it, what it is about. Tactics and techniques stand among the tags, as Sigma writes them.
    pub metadata: Metadata,
    /// The file it came in.
    pub file: String,
    /// Its line in the file, from 1.
    pub line: usize,
    /// Whether it is to run once it is added; as before when its file does not say.
    pub enabled: Option<bool>,
    /// Its version, as its author counts; empty where there is none.
    pub version: String,
    /// The query.
    pub query: String,
    /// When it runs and what it reads.
    pub schedule: Schedule,
    /// How many rows are an alert.
    pub trigger: Trigger,
    /// What the columns of the result speak of.
    pub entities: Vec<EntityMapping>,
    /// Columns of the result that hold entities already, as `Entities` of `SecurityAlert` does: JSON arrays of objects
    /// with a `Type`.
    pub entity_columns: Vec<String>,
    /// Values of the result that the alert shows: name and column.
    pub custom_details: Vec<(String, String)>,
    /// What the result says of the alert itself.
    pub overrides: Overrides,
    /// Whether every row of the result is an alert of its own.
    pub alert_per_row: bool,
    /// How long the rule rests after an alert.
    pub suppression: Option<Duration>,
    /// How alerts become incidents.
    pub incident: IncidentSettings,
    /// Events it must, and must not, alert about.
    pub tests: Vec<RuleTest>,
}

/// When a rule runs and what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Every `frequency` over the events of the `period` before.
    Scheduled {
        /// Time from one run to the next.
        frequency: Duration,
        /// The event time a run looks back.
        period: Duration,
    },
    /// Near real time: every minute over what arrived since the last run.
    NearRealTime,
}

/// A comparison of the number of rows with a threshold: what makes an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger {
    /// The comparison.
    pub operator: TriggerOperator,
    /// The threshold.
    pub threshold: u64,
}

/// How the number of rows is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerOperator {
    /// More than the threshold.
    GreaterThan,
    /// Fewer.
    LessThan,
    /// Exactly as many.
    Equal,
    /// Any other number.
    NotEqual,
}

impl TriggerOperator {
    /// Its name in Sentinel.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GreaterThan => "GreaterThan",
            Self::LessThan => "LessThan",
            Self::Equal => "Equal",
            Self::NotEqual => "NotEqual",
        }
    }
}

impl Trigger {
    /// Any row at all.
    pub const ANY_ROW: Self = Self { operator: TriggerOperator::GreaterThan, threshold: 0 };

    /// What it asks, as a person reads it: `more than 5`.
    #[must_use]
    pub fn describe(self) -> String {
        let word = match self.operator {
            TriggerOperator::GreaterThan => "more than",
            TriggerOperator::LessThan => "fewer than",
            TriggerOperator::Equal => "exactly",
            TriggerOperator::NotEqual => "not",
        };
        format!("{word} {}", self.threshold)
    }

    /// Whether so many rows are an alert.
    #[must_use]
    pub const fn holds(self, num_rows: u64) -> bool {
        match self.operator {
            TriggerOperator::GreaterThan => num_rows > self.threshold,
            TriggerOperator::LessThan => num_rows < self.threshold,
            TriggerOperator::Equal => num_rows == self.threshold,
            TriggerOperator::NotEqual => num_rows != self.threshold,
        }
    }
}

/// Columns that together name an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityMapping {
    /// Such as `Account`, `Host`, `IP`.
    pub entity_type: String,
    /// Identifier of the entity and the column with its value.
    pub fields: Vec<(String, String)>,
}

/// What the result says of the alert itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The name, with `{{column}}` for values of the first row.
    pub name_format: String,
    /// The description, in the same form.
    pub description_format: String,
    /// The column with the severity.
    pub severity_column: String,
    /// The column with the tactics.
    pub tactics_column: String,
    /// Further members of the alert: name of the member and column.
    pub properties: Vec<(String, String)>,
}

/// How alerts become incidents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentSettings {
    /// Whether there is one at all.
    pub create: bool,
    /// How further alerts join; each makes its own incident when absent.
    pub grouping: Option<IncidentGrouping>,
}

/// Which alerts of a rule are one incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentGrouping {
    /// What they must share.
    pub matching: IncidentMatching,
    /// How far back an incident is joined.
    pub lookback: Duration,
    /// Whether a closed one is opened again.
    pub reopen_closed: bool,
}

/// What alerts of one incident share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncidentMatching {
    /// All entities.
    AllEntities,
    /// Nothing but the rule.
    AnyAlert,
    /// These.
    Selected {
        /// Entity types.
        entities: Vec<String>,
        /// Members of the alert: `DisplayName`, `Severity`.
        alert_details: Vec<String>,
        /// Custom details.
        custom_details: Vec<String>,
    },
}

impl AnalyticsRule {
    /// How the rule runs on arriving rows; `None` when it must see several rows, or rows of several tables, at once.
    #[must_use]
    pub fn arrival(&self) -> Option<Arrival> {
        let arrival = (self.trigger == Trigger::ANY_ROW).then(|| Arrival::of(&self.query)).flatten();
        // Tables are followed each by itself, and a rule rests after alerts about any of them.
        arrival.filter(|arrival| self.suppression.is_none() || arrival.tables().len() == 1)
    }

    /// What the query asks of groups of rows, as it is written: the conditions after its last `summarize`. None where
    /// it makes no groups.
    #[must_use]
    pub fn thresholds(&self) -> Vec<String> {
        arrival::conditions_of_groups(&self.query)
    }

    /// What the query asks of rows and groups, as it is written: the conditions of its own pipe, in order.
    #[must_use]
    pub fn conditions(&self) -> Vec<String> {
        arrival::conditions(&self.query)
    }

    /// How bad an alert is.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.metadata.level
    }
}

/// What a file of analytics rules held.
#[derive(Debug, Default)]
pub struct AnalyticsFile {
    /// The rules.
    pub rules: Vec<AnalyticsRule>,
    /// What cannot be used, each with its reason.
    pub not_loaded: Vec<NotLoaded>,
}

/// Whether a rule file holds analytics rules: its documents have a query, Sigma's have a detection.
#[must_use]
pub fn is_analytics(text: &str) -> bool {
    // A file that is not YAML at all is told by the key that Sigma's rules never have.
    let has_query = || text.lines().any(|line| line.starts_with("query:"));
    match yaml::parse(text) {
        Ok(documents) => documents.iter().any(|document| document.get("query").is_some()),
        Err(_) => has_query(),
    }
}

/// Reads all documents of a file of analytics rules. One bad document does not harm the others, unless the file is not
/// YAML.
#[must_use]
pub fn parse_file(name: &str, text: &str) -> AnalyticsFile {
    let mut parsed = AnalyticsFile::default();
    let not_loaded = |rule_id: &str, title: &str, error| NotLoaded {
        file: name.to_owned(),
        rule_id: rule_id.to_owned(),
        title: title.to_owned(),
        error,
    };
    let documents = match yaml::parse(text) {
        Ok(documents) => documents,
        Err(error) => {
            parsed.not_loaded.push(not_loaded("", "", error));
            return parsed;
        }
    };
    for document in documents {
        match document::parse(name, &document) {
            Ok(rule) => parsed.rules.push(rule),
            Err(error) => {
                let member = |key| document.get(key).and_then(yaml::Node::text).unwrap_or_default();
                parsed.not_loaded.push(not_loaded(member("id"), member("name"), error));
            }
        }
    }
    parsed
}

#[cfg(test)]
mod tests;
