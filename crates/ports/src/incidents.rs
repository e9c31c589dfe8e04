//! Incidents: alerts that belong together, and what people made of them.

use std::collections::BTreeMap;

use moneta_base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BoxFuture, OpContext, PortError};

/// How bad it is, in Sentinel's words. The order is that of badness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IncidentSeverity {
    /// Good to know.
    Informational,
    /// Look at it when there is time.
    Low,
    /// Look at it today.
    Medium,
    /// Look at it now.
    High,
}

/// What is being done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IncidentStatus {
    /// Nobody has looked at it.
    New,
    /// Somebody works on it.
    Active,
    /// It was judged.
    Closed,
}

/// What it turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Classification {
    /// What the rules look for, and harmful.
    TruePositive,
    /// What the rules look for, and expected.
    BenignPositive,
    /// Not what the rules look for.
    FalsePositive,
    /// Nobody can tell.
    Undetermined,
}

/// Why rules were wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FalsePositiveCause {
    /// The rule matches what it should not.
    IncorrectAlertLogic,
    /// The events say what is not so.
    InaccurateData,
}

macro_rules! words {
    ($($name:ident: $($variant:ident)+;)+) => {$(
        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word, as Sentinel writes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }

            /// The value of a word, whatever its case.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name().eq_ignore_ascii_case(text))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    )+};
}

words! {
    IncidentSeverity: Informational Low Medium High;
    IncidentStatus: New Active Closed;
    Classification: TruePositive BenignPositive FalsePositive Undetermined;
    FalsePositiveCause: IncorrectAlertLogic InaccurateData;
}

/// The judgement by which an incident is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What it was.
    pub classification: Classification,
    /// Why, in a person's words; never empty.
    pub reason: String,
    /// What was wrong; of false positives only.
    pub cause: Option<FalsePositiveCause>,
}

impl Verdict {
    /// Sentinel's `ClassificationReason`; empty where it has none.
    #[must_use]
    pub fn sentinel_reason(&self) -> &'static str {
        match self.classification {
            Classification::TruePositive => "SuspiciousActivity",
            Classification::BenignPositive => "SuspiciousButExpected",
            Classification::FalsePositive => self.cause.unwrap_or(FalsePositiveCause::IncorrectAlertLogic).name(),
            Classification::Undetermined => "",
        }
    }
}

/// A remark of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentComment {
    /// When.
    #[serde(with = "time_text")]
    pub at: Timestamp,
    /// Who.
    pub author: String,
    /// What they say.
    pub text: String,
}

/// An incident at one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Counts up from 1.
    pub number: u64,
    /// A UUID.
    pub name: String,
    /// Grows with every change of what people decide: owner, severity, status, title, labels, verdict. A further alert
    /// or comment leaves it, unless it changes one of these.
    pub version: u64,
    /// The title.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// How bad it is.
    pub severity: IncidentSeverity,
    /// Whether a person set the severity: further alerts then leave it.
    pub severity_is_set: bool,
    /// What is being done.
    pub status: IncidentStatus,
    /// Who works on it; empty when nobody does.
    pub owner: String,
    /// The judgement, of a closed one.
    pub verdict: Option<Verdict>,
    /// Words to find it by.
    pub labels: Vec<String>,
    /// Remarks, the oldest first.
    pub comments: Vec<IncidentComment>,
    /// Ids of its alerts, in order.
    pub alert_ids: Vec<String>,
    /// Ids of the rules that raised them.
    pub rule_ids: Vec<String>,
    /// Names of what raised them.
    pub products: Vec<String>,
    /// ATT&CK tactics of its alerts.
    pub tactics: Vec<String>,
    /// ATT&CK techniques of its alerts.
    pub techniques: Vec<String>,
    /// Accounts, hosts, addresses and so on that its alerts speak of: objects with a `Type`.
    pub entities: Vec<serde_json::Value>,
    /// The time of its first event.
    #[serde(with = "time_text")]
    pub first_activity: Timestamp,
    /// The time of its last event.
    #[serde(with = "time_text")]
    pub last_activity: Timestamp,
    /// When it was made.
    #[serde(with = "time_text")]
    pub created: Timestamp,
    /// When it was changed for the first time.
    #[serde(with = "optional_time_text")]
    pub first_modified: Option<Timestamp>,
    /// When it was changed last.
    #[serde(with = "time_text")]
    pub last_modified: Timestamp,
    /// Who changed it last.
    pub modified_by: String,
    /// When it was closed.
    #[serde(with = "optional_time_text")]
    pub closed: Option<Timestamp>,
}

/// An event that an alert rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Its table.
    pub table: String,
    /// Its `_Seq`.
    pub seq: u64,
    /// Its time, RFC 3339; empty where it is not known.
    pub time: String,
    /// The machine; empty where it is not known.
    pub computer: String,
    /// The fields and values that met the rule.
    pub fields: Vec<(String, String)>,
}

/// An alert of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentAlert {
    /// Its id.
    pub id: String,
    /// The `_Seq` of its row in `SecurityAlert`.
    pub seq: u64,
    /// Its title.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// How bad it is.
    pub severity: IncidentSeverity,
    /// The rule that raised it.
    pub rule_id: String,
    /// The rule's author, whom the Detection Rule License asks to name.
    pub rule_author: String,
    /// What raised it, such as `Detection on arrival`.
    pub product: String,
    /// When it was raised.
    #[serde(with = "time_text")]
    pub raised: Timestamp,
    /// The time of its first event.
    #[serde(with = "time_text")]
    pub first_event: Timestamp,
    /// The time of its last event.
    #[serde(with = "time_text")]
    pub last_event: Timestamp,
    /// ATT&CK tactics.
    pub tactics: Vec<String>,
    /// ATT&CK techniques.
    pub techniques: Vec<String>,
    /// What it speaks of.
    pub entities: Vec<serde_json::Value>,
    /// How many events it rests on.
    pub event_count: u64,
    /// The events; those beyond the first are perhaps not listed.
    pub events: Vec<Evidence>,
}

/// What was done with an incident, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentActivity {
    /// When.
    #[serde(with = "time_text")]
    pub at: Timestamp,
    /// Who; `moneta` for what grouping does by itself.
    pub actor: String,
    /// `created`, `alert-added`, `assigned`, `severity`, `status`, `title`, `labels`, `comment`, `closed` or `reopened`.
    pub action: String,
    /// The new value, or the alert's id, or the words.
    pub text: String,
}

/// An incident with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentDetails {
    /// The incident.
    pub incident: Incident,
    /// Its alerts, in the order in which they joined.
    pub alerts: Vec<IncidentAlert>,
    /// What was done, the oldest first.
    pub activity: Vec<IncidentActivity>,
}

/// Which incidents a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    /// With one of these; any when empty.
    pub statuses: Vec<IncidentStatus>,
    /// At least so bad.
    pub severity_min: Option<IncidentSeverity>,
    /// Of this owner; the empty text means nobody's.
    pub owner: Option<String>,
    /// With an alert of this rule.
    pub rule_id: Option<String>,
    /// With this text in the title, whatever its case.
    pub text: Option<String>,
    /// With a lower number than this.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// A part of the list of incidents, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IncidentPage {
    /// The incidents.
    pub incidents: Vec<Incident>,
    /// Pass it as `before` to go on; `None` at the end.
    pub next: Option<u64>,
}

/// What a person wants to be different. Absent members stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentChange {
    /// Who works on it; the empty text for nobody.
    pub owner: Option<String>,
    /// How bad it is.
    pub severity: Option<IncidentSeverity>,
    /// `New` or `Active`; of a closed incident it opens it again. Closing goes by `verdict`.
    pub status: Option<IncidentStatus>,
    /// Its title.
    pub title: Option<String>,
    /// Its labels, all of them.
    pub labels: Option<Vec<String>>,
    /// A remark to add.
    pub comment: Option<String>,
    /// Closes it.
    pub verdict: Option<Verdict>,
}

/// What people made of the incidents that a rule's alerts are part of.
///
/// # Units
/// Counts are of incidents, but for `alerts`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RuleJudgement {
    /// Alerts of the rule in incidents that are kept.
    pub alerts: u64,
    /// Not closed yet.
    pub open: u64,
    /// Closed as true positives.
    pub true_positive: u64,
    /// Closed as benign positives.
    pub benign_positive: u64,
    /// Closed as false positives.
    pub false_positive: u64,
    /// Closed undetermined.
    pub undetermined: u64,
    /// True positives among true, benign and false ones; `None` before the first of them.
    pub precision: Option<f64>,
    /// Median of the seconds from the last event of an alert to the alert.
    pub median_seconds_to_detect: Option<f64>,
}

/// An alert, and what its incident was closed as; `None` while it is open.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedAlert {
    /// The alert.
    pub alert: IncidentAlert,
    /// What people made of its incident.
    pub classification: Option<Classification>,
}

/// Alerts by what their incidents were closed as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct VerdictCounts {
    /// Not closed yet.
    pub open: u64,
    /// Closed as true positives.
    pub true_positive: u64,
    /// Closed as benign positives.
    pub benign_positive: u64,
    /// Closed as false positives.
    pub false_positive: u64,
    /// Closed undetermined.
    pub undetermined: u64,
}

impl VerdictCounts {
    /// Counts an alert.
    pub fn count(&mut self, classification: Option<Classification>) {
        let count = match classification {
            None => &mut self.open,
            Some(Classification::TruePositive) => &mut self.true_positive,
            Some(Classification::BenignPositive) => &mut self.benign_positive,
            Some(Classification::FalsePositive) => &mut self.false_positive,
            Some(Classification::Undetermined) => &mut self.undetermined,
        };
        *count += 1;
    }
}

impl RuleJudgement {
    /// Counts an incident that was closed so; `None` for one that is open.
    pub fn count(&mut self, classification: Option<Classification>) {
        match classification {
            None => self.open += 1,
            Some(Classification::TruePositive) => self.true_positive += 1,
            Some(Classification::BenignPositive) => self.benign_positive += 1,
            Some(Classification::FalsePositive) => self.false_positive += 1,
            Some(Classification::Undetermined) => self.undetermined += 1,
        }
        let judged = self.true_positive + self.benign_positive + self.false_positive;
        #[expect(clippy::cast_precision_loss, reason = "a share for people")]
        let share = || self.true_positive as f64 / judged as f64;
        self.precision = (judged > 0).then(share);
    }
}

/// How much speaks against a host, an account or an address.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntityRisk {
    /// The entity: its type and name, such as `host:web01`.
    pub entity: String,
    /// Sum over rules: the weight of the rule's worst alert, more by its half with every doubling of their number, less by
    /// half for every three days since the last one.
    pub score: f64,
    /// Alerts that speak of it.
    pub alerts: u64,
    /// Ids of the rules that raised them.
    pub rule_ids: Vec<String>,
    /// Numbers of the incidents they are part of.
    pub incidents: Vec<u64>,
    /// When the last of them was raised, RFC 3339.
    pub last: String,
}

/// Why an incident was not changed.
#[derive(Debug, thiserror::Error)]
pub enum IncidentError {
    /// There is none of that number.
    #[error("there is no incident {0}")]
    NotFound(u64),
    /// Somebody changed it since it was read.
    #[error("incident {number} was changed in between and has version {version} now; read it again")]
    Conflict {
        /// Its number.
        number: u64,
        /// Its version.
        version: u64,
    },
    /// What is wanted cannot be; the text says what to change.
    #[error("{0}")]
    Refused(String),
    /// It could not be audited, read or stored.
    #[error(transparent)]
    Failed(#[from] PortError),
}

/// Keeps incidents. Changes are audited before they take effect.
pub trait Incidents: Send + Sync {
    /// Incidents, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    fn list(&self, filter: &IncidentFilter) -> Result<IncidentPage, PortError>;

    /// One incident with its alerts and activity.
    ///
    /// # Errors
    /// When it cannot be read.
    fn get(&self, number: u64) -> Result<Option<IncidentDetails>, PortError>;

    /// Changes an incident, all that is asked or nothing. `version`: what the caller has read; `None` overrules whoever
    /// changed it since.
    ///
    /// # Errors
    /// See [`IncidentError`].
    fn change<'a>(
        &'a self,
        ctx: &'a OpContext,
        number: u64,
        version: Option<u64>,
        change: IncidentChange,
    ) -> BoxFuture<'a, Result<Incident, IncidentError>>;

    /// The entities that most speaks against, the worst first. Alerts of incidents that were closed as benign or false
    /// positives do not count.
    ///
    /// # Errors
    /// When incidents cannot be read.
    fn risks(&self, since: Timestamp, limit: usize) -> Result<Vec<EntityRisk>, PortError>;

    /// By rule id, what people made of its alerts; of all rules, or of one.
    ///
    /// # Errors
    /// When they cannot be read.
    fn judgements(&self, rule_id: Option<&str>) -> Result<BTreeMap<String, RuleJudgement>, PortError>;

    /// Alerts of a rule with what people made of them: the newest of each verdict, up to a number.
    ///
    /// # Errors
    /// When they cannot be read.
    fn judged_alerts(&self, rule_id: &str) -> Result<Vec<JudgedAlert>, PortError>;
}

/// Times as RFC 3339.
mod time_text {
    use moneta_base::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        parse(&String::deserialize(deserializer)?)
    }

    pub(super) fn parse<E: serde::de::Error>(text: &str) -> Result<Timestamp, E> {
        Timestamp::parse(text).ok_or_else(|| E::custom(format!("{text:?} is not a time")))
    }
}

/// Times that may be absent.
mod optional_time_text {
    use moneta_base::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(time),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|text| super::time_text::parse(&text)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_counts_what_was_judged_and_nothing_else() {
        let mut judgement = RuleJudgement::default();
        judgement.count(None);
        judgement.count(Some(Classification::Undetermined));
        assert_eq!(judgement.precision, None);
        for classification in [Classification::TruePositive, Classification::FalsePositive] {
            judgement.count(Some(classification));
        }
        assert_eq!((judgement.open, judgement.undetermined, judgement.precision), (1, 1, Some(0.5)));
    }

    #[test]
    fn words_are_sentinels_and_case_does_not_matter() {
        assert_eq!(Classification::parse("truepositive"), Some(Classification::TruePositive));
        assert_eq!(IncidentSeverity::parse("Critical"), None);
        assert!(IncidentSeverity::High > IncidentSeverity::Informational);
    }
}
