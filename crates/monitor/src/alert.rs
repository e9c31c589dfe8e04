//! Alerts out of matches, and their rows in `SecurityAlert`.

use std::collections::BTreeMap;
use std::sync::Arc;

use moneta_base::{Level, RuleId, Seq, SourceName, TableName, Timestamp};
use moneta_event::evidence::{EVENT_SEQS_BY_TABLE, EVENTS_NAMED_MAX};
use moneta_event::{BatchBuilder, Block, Delivery, ParsedBatch, RecordClass, TableSchema, Value};
use moneta_merkle::sha256;
use moneta_ports::{Alarm, Alert, MatchedEvent};
use moneta_rules::correlation::{Finding, FoundEvent};
use moneta_rules::explain::MetCondition;
use moneta_rules::hunt::event_time;
use moneta_rules::vocabulary::computer_of;
use moneta_rules::{CompiledRules, Correlator, Explainer, Rule, RuleMatch};
use serde_json::json;

use crate::entities::{self, Entities};

/// Events an alert lists with their fields; further ones are counted and named by sequence.
pub(crate) const EVENTS_LISTED_MAX: usize = 20;
/// How long after its time an event is awaited before correlations that need all events are decided.
const LATENESS: std::time::Duration = std::time::Duration::from_secs(300);

/// The vendor of alerts that Moneta raises, and who provides them unless their rule says another.
pub(crate) const VENDOR: &str = "Moneta";
/// The source of rows that are made here.
pub(crate) const SOURCE: &str = "monitor";
/// What raises alerts of rules.
const DETECTION: &str = "Detection on arrival";
/// What raises alerts of queries.
const ANALYTICS: &str = "Analytics rules";
/// What raises alarms.
const SELF_MONITORING: &str = "Self-monitoring";

/// An alert and what its row says beyond it.
pub(crate) struct Raised {
    pub(crate) alert: Alert,
    /// Which part of Moneta raised it.
    component: &'static str,
    severity: &'static str,
    status: String,
    /// The events by table and sequence, [`EVENTS_NAMED_MAX`] at most.
    event_refs: Vec<(TableName, Seq)>,
    /// Members of `ExtendedProperties`.
    properties: serde_json::Map<String, serde_json::Value>,
    /// Columns of its row that are said by others than Moneta.
    columns: BTreeMap<String, String>,
}

/// What an analytics rule says of its alert by the columns of its result.
#[derive(Default)]
pub(crate) struct Stated {
    /// Objects with a `Type`.
    pub(crate) entities: Vec<serde_json::Value>,
    /// Members of `ExtendedProperties`.
    pub(crate) properties: serde_json::Map<String, serde_json::Value>,
    /// Columns of the alert's row that the result sets, by the names of Sentinel's alert properties.
    pub(crate) columns: BTreeMap<String, String>,
}

/// An alert of an analytics rule.
pub(crate) struct QueryAlert {
    pub(crate) alert: Alert,
    pub(crate) status: String,
    pub(crate) num_rows: usize,
    /// Table and `_Seq` of the rows, where the result has a `_Seq`.
    pub(crate) event_refs: Vec<(TableName, Seq)>,
    pub(crate) times: (Timestamp, Timestamp),
    pub(crate) stated: Stated,
}

/// The member of `ExtendedProperties` of an alert that is stored short.
pub(crate) const THROTTLED: &str = "Throttled";
/// The one with the id of the alert that people were told of shortly before: the same rule, the same entities.
pub(crate) const REPEATS: &str = "Repeats";
/// The one that says which text of the rule it was.
pub(crate) const RULE_VERSION: &str = "Rule Version";
/// The one with the rule's licence.
pub(crate) const RULE_LICENSE: &str = "Rule License";
/// The one that says what held.
pub(crate) const EXPLANATION: &str = "Explanation";
/// The one with what the events of a correlation share: the fields it groups by and their values.
pub(crate) const GROUP: &str = "Group";

/// The one with the conditions of a rule over single events that its events met, and the values that did.
pub(crate) const CONDITIONS: &str = "Conditions";

/// The one that lists what else may look like it, as the rule says.
pub(crate) const FALSE_POSITIVES: &str = "False Positives";

/// Characters of what held at most.
pub(crate) const EXPLANATION_CHARS_MAX: usize = 2_000;
/// Hosts, and accounts, of one alert that are named besides its entities at most.
const HOSTS_MAX: usize = 20;
/// Conditions of one alert listed at most.
const CONDITIONS_MAX: usize = 64;
/// Values of one condition, and of one field over all events, listed at most.
const VALUES_MAX: usize = 8;

/// How much of an alert is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// All that it lists.
    Full,
    /// The first event only: the rule raises too many alerts to tell them all.
    Short,
}

impl Length {
    fn events_max(self) -> usize {
        if self == Self::Short { 1 } else { EVENTS_LISTED_MAX }
    }

    fn seqs_max(self) -> usize {
        if self == Self::Short { 1 } else { EVENTS_NAMED_MAX }
    }

    fn properties(self) -> serde_json::Map<String, serde_json::Value> {
        let mark = (self == Self::Short).then(|| (THROTTLED.to_owned(), true.into()));
        mark.into_iter().collect()
    }
}

/// Asked before an alert of a rule with that id is built: how much of it, or `None` when it is stored already.
pub(crate) type Admit<'a> = &'a mut dyn FnMut(&Rule, &str) -> Option<Length>;

impl Raised {
    /// Keeps the first event only: the rule raises too many alerts to tell them all.
    pub(crate) fn shorten(&mut self) {
        self.alert.events.truncate(1);
        self.event_refs.truncate(1);
        self.properties.extend(Length::Short.properties());
    }

    /// Whether it is stored short.
    pub(crate) fn is_short(&self) -> bool {
        self.properties.contains_key(THROTTLED)
    }

    /// Whether people are told of it.
    pub(crate) fn is_told(&self) -> bool {
        !self.is_short() && !self.properties.contains_key(REPEATS)
    }

    /// What it speaks of.
    pub(crate) fn entities(&self) -> &[serde_json::Value] {
        &self.alert.entities
    }

    /// Notes that people were told of the same by an alert shortly before.
    pub(crate) fn repeat(&mut self, alert_id: String) {
        self.properties.insert(REPEATS.to_owned(), alert_id.into());
    }
}

impl From<QueryAlert> for Raised {
    fn from(found: QueryAlert) -> Self {
        Self {
            component: ANALYTICS,
            severity: Level::parse(&found.alert.level).map_or("Medium", Level::severity),
            status: found.status,
            event_refs: found.event_refs.into_iter().take(EVENTS_NAMED_MAX).collect(),
            properties: found.stated.properties,
            columns: found.stated.columns,
            alert: about(found.alert, found.stated.entities, found.num_rows, found.times),
        }
    }
}

/// The alerts of a block: one per rule that holds in any of its rows, and one per correlation that holds with them; of
/// correlations only where the rows were matched before.
pub(crate) fn raise(
    correlator: &mut Correlator,
    block: &Block,
    now: Timestamp,
    again: bool,
    admit: Admit<'_>,
) -> Vec<Raised> {
    let table = &block.header.shard.table;
    let rules = Arc::clone(correlator.rules());
    let matches = rules.match_batch(table, &block.rows);
    let mut raised = Vec::new();
    if !matches.is_empty() && !again {
        let explainer = rules.explainer(table, &block.rows);
        for found in matches.iter().filter(|found| rules.alerts_alone(found.rule)) {
            let rule = &rules.rules()[found.rule];
            let first = block.header.first_seq + u64::from(found.rows[0]);
            let id = alert_id(rule.metadata.id.as_str(), table.as_str(), first);
            let length = admit(rule, &id);
            raised.extend(length.map(|length| raise_one((id, rule, length), found, block, now, &explainer)));
        }
    }
    let findings = correlator.observe(table, &block.rows, block.header.first_seq, &matches);
    raised.extend(raise_findings(&rules, &findings, now, admit));
    raised.extend(decide(correlator, block.header.ingest_time, now, admit));
    raised
}

/// The alerts of correlations that hold once no event from well before a time is awaited any more: absences, sequences,
/// bounds from above.
pub(crate) fn decide(correlator: &mut Correlator, arrived: Timestamp, now: Timestamp, admit: Admit<'_>) -> Vec<Raised> {
    let findings = correlator.advance(arrived.saturating_sub(LATENESS));
    raise_findings(&Arc::clone(correlator.rules()), &findings, now, admit)
}

fn raise_findings(rules: &CompiledRules, findings: &[Finding], now: Timestamp, admit: Admit<'_>) -> Vec<Raised> {
    let mut raised = Vec::new();
    for finding in findings {
        let rule = &rules.rules()[finding.rule];
        let id = moneta_base::TenantId::from_random(finding.identity).to_string();
        let length = admit(rule, &id);
        raised.extend(length.map(|length| raise_finding((id, rule, length), finding, now)));
    }
    raised
}

/// The alert of a correlation. Its events may lie in earlier blocks: they show what they share and what was compared.
fn raise_finding((id, rule, length): (String, &Rule, Length), finding: &Finding, now: Timestamp) -> Raised {
    let event = |event: &FoundEvent| MatchedEvent {
        table: event.at.table.clone(),
        seq: event.at.seq,
        time: event.at.time,
        computer: computer_of(&event.about),
        fields: finding.group.iter().chain(&event.values).cloned().collect(),
        rules: event.rules.clone(),
    };
    let events = finding.events.iter().take(length.events_max()).map(event).collect();
    let mut entities = Entities::default();
    for event in finding.events.iter().take(length.events_max()) {
        let pairs: Vec<(String, String)> = event.about.iter().chain(&finding.group).cloned().collect();
        entities.add_event(&pairs);
    }
    let mut properties = length.properties();
    let group: BTreeMap<&str, &str> =
        finding.group.iter().map(|(field, value)| (field.as_str(), value.as_str())).collect();
    properties.insert(GROUP.to_owned(), json!(group));
    let alert = Alert { explanation: finding.explanation(), ..alert_of(rule, id, now, events) };
    let refs = finding.events.iter().take(length.seqs_max()).map(|event| (event.at.table.clone(), event.at.seq));
    Raised {
        alert: about(alert, entities.into_values(), finding.num_events, finding.times),
        component: DETECTION,
        severity: rule.metadata.level.severity(),
        status: rule.metadata.status.clone(),
        event_refs: refs.collect(),
        columns: BTreeMap::new(),
        properties,
    }
}

fn alert_of(rule: &Rule, id: String, now: Timestamp, events: Vec<MatchedEvent>) -> Alert {
    let metadata = &rule.metadata;
    Alert {
        rule_title: metadata.title.clone(),
        rule_author: metadata.author.clone(),
        rule_description: metadata.description.clone(),
        rule_version: rule.version(),
        rule_license: metadata.license.clone(),
        rule_references: metadata.references.clone(),
        level: metadata.level.name().to_owned(),
        tags: metadata.tags.clone(),
        false_positives: metadata.false_positives.clone(),
        link: link(&id),
        events,
        ..Alert::new(id, metadata.id.clone(), now)
    }
}

/// Where people see an alert: the page's path on this server.
pub(crate) fn link(alert_id: &str) -> String {
    format!("/alerts?alert={alert_id}")
}

/// An alert with what it is about: entities, and how many events there are in which time.
pub(crate) fn about(
    alert: Alert,
    entities: Vec<serde_json::Value>,
    num_events: usize,
    (first_event, last_event): (Timestamp, Timestamp),
) -> Alert {
    let computers = alert.events.iter().map(|event| event.computer.clone()).filter(|name| !name.is_empty());
    let mut hosts: Vec<String> = Vec::new();
    for host in computers.chain(entities::spoken(&entities, "host")) {
        if hosts.len() < HOSTS_MAX && !hosts.iter().any(|known| known.eq_ignore_ascii_case(&host)) {
            hosts.push(host);
        }
    }
    let accounts = entities::spoken(&entities, "account").into_iter().take(HOSTS_MAX).collect();
    Alert { hosts, accounts, entities, event_count: num_events as u64, first_event, last_event, ..alert }
}

fn raise_one(
    (id, rule, length): (String, &Rule, Length),
    found: &RuleMatch,
    block: &Block,
    now: Timestamp,
    explainer: &Explainer<'_>,
) -> Raised {
    let table = &block.header.shard.table;
    let seq = |row: u32| block.header.first_seq + u64::from(row);
    let columns = entities::naming_columns(&block.rows);
    let event = |row: &u32| MatchedEvent {
        table: table.clone(),
        seq: seq(*row),
        time: event_time(&block.rows, *row as usize),
        computer: computer_of(&columns.pairs(*row as usize)),
        fields: explainer.explain(found.rule, *row),
        rules: Vec::new(),
    };
    let times = || found.rows.iter().map(|row| event_time(&block.rows, *row as usize));
    let metadata = &rule.metadata;
    let listed = || found.rows.iter().take(length.events_max());
    let alert = alert_of(rule, id, now, listed().map(event).collect());
    let mut entities = Entities::default();
    listed().zip(&alert.events).for_each(|(row, event)| entities.add_row(&columns, *row as usize, &event.fields));
    let conditions = met_conditions(explainer, found, length);
    let mut properties = length.properties();
    properties.insert(CONDITIONS.to_owned(), conditions.iter().map(MetByEvents::to_json).collect());
    let explained: Vec<String> = conditions.iter().map(ToString::to_string).collect();
    let alert = Alert { explanation: short(&explained.join("; "), EXPLANATION_CHARS_MAX), ..alert };
    let times = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
    Raised {
        alert: about(alert, entities.into_values(), found.rows.len(), times),
        component: DETECTION,
        severity: metadata.level.severity(),
        status: metadata.status.clone(),
        event_refs: found.rows.iter().take(length.seqs_max()).map(|row| (table.clone(), seq(*row))).collect(),
        columns: BTreeMap::new(),
        properties,
    }
}

/// A condition, and the values by which the events of an alert met it.
struct MetByEvents {
    field: String,
    test: String,
    values: Vec<String>,
}

impl MetByEvents {
    fn to_json(&self) -> serde_json::Value {
        json!({ "Field": self.field, "Condition": self.test, "Values": self.values })
    }
}

impl std::fmt::Display for MetByEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.field, self.test, self.values.join(" | "))
    }
}

/// The conditions that the listed events met, each once with its values: up to [`VALUES_MAX`].
fn met_conditions(explainer: &Explainer<'_>, found: &RuleMatch, length: Length) -> Vec<MetByEvents> {
    let mut conditions: Vec<MetByEvents> = Vec::new();
    let met = found.rows.iter().take(length.events_max()).flat_map(|row| explainer.conditions(found.rule, *row));
    for MetCondition { field, test, value } in met {
        let known = conditions.iter().position(|known| known.field == field && known.test == test);
        match known {
            Some(at) if conditions[at].values.len() < VALUES_MAX && !conditions[at].values.contains(&value) => {
                conditions[at].values.push(value);
            }
            Some(_) => {}
            None if conditions.len() < CONDITIONS_MAX => {
                conditions.push(MetByEvents { field, test, values: vec![value] });
            }
            None => {}
        }
    }
    conditions
}

/// A text cut to a number of characters, with a sign that it is.
pub(crate) fn short(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The same rule and first event give the same id, so that a receiver recognises an alert delivered twice.
pub(crate) fn alert_id(rule_id: &str, table: &str, first_seq: u64) -> String {
    let digest = sha256(format!("{rule_id}\0{table}\0{first_seq}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    moneta_base::TenantId::from_random(bytes).to_string()
}

/// The alert of an alarm: no rule and no event, but the same form.
pub(crate) fn raise_alarm(alarm: &Alarm, now: Timestamp) -> Raised {
    let rule_id = RuleId::new(&format!("moneta/{}", alarm.kind));
    let id = alert_id(rule_id.as_str(), &alarm.subject, now.as_nanos().unsigned_abs());
    let alert = Alert {
        rule_title: alarm.kind.title().to_owned(),
        rule_author: "Moneta".to_owned(),
        rule_description: format!("{} {}", alarm.text, alarm.kind.advice()),
        level: alarm.kind.level().to_owned(),
        link: link(&id),
        ..Alert::new(id, rule_id, now)
    };
    Raised {
        alert,
        component: SELF_MONITORING,
        severity: Level::parse(alarm.kind.level()).map_or("High", Level::severity),
        status: "stable".to_owned(),
        event_refs: Vec::new(),
        columns: BTreeMap::from([("RemediationSteps".to_owned(), alarm.kind.advice().to_owned())]),
        properties: serde_json::Map::new(),
    }
}

/// The rows of alerts.
///
/// # Shapes
/// One row of `SecurityAlert` per alert, in order.
pub(crate) fn rows(schema: &Arc<TableSchema>, raised: &[Raised]) -> Option<ParsedBatch> {
    let mut builder = BatchBuilder::new(schema.clone(), RecordClass::Processed, Delivery::ExactlyOnce);
    raised.iter().for_each(|one| append(&mut builder, one));
    builder.finish()
}

fn append(builder: &mut BatchBuilder, raised: &Raised) {
    let alert = &raised.alert;
    let (techniques, sub_techniques) = techniques(&alert.tags);
    let tactics = attack_names(&alert.tags, |name| !name.contains(|c: char| c.is_ascii_digit()));
    let compromised = alert.hosts.first().or_else(|| alert.accounts.first()).map_or("", String::as_str);
    let mut text = |column: &str, value: &str| builder.set_field(column, Value::Text(value));
    text("SystemAlertId", &alert.id);
    text("AlertName", &alert.rule_title);
    text("DisplayName", &alert.rule_title);
    text("Description", &alert.rule_description);
    text("AlertSeverity", raised.severity);
    text("AlertType", alert.rule_id.as_str());
    let said = |column: &str, otherwise: &str| match raised.columns.get(column) {
        Some(text) => text.clone(),
        None => otherwise.to_owned(),
    };
    // A list may come as JSON or with commas.
    let listed = |column: &str, otherwise: serde_json::Value| match raised.columns.get(column) {
        Some(text) if serde_json::from_str::<Vec<serde_json::Value>>(text).is_ok() => text.clone(),
        Some(text) if column == "RemediationSteps" => json!([text]).to_string(),
        Some(text) => json!(text.split(',').map(str::trim).collect::<Vec<_>>()).to_string(),
        None => otherwise.to_string(),
    };
    text("ProviderName", &said("ProviderName", VENDOR));
    text("ProductName", &said("ProductName", VENDOR));
    text("ProductComponentName", &said("ProductComponentName", raised.component));
    text("VendorName", VENDOR);
    text("AlertLink", &said("AlertLink", &alert.link));
    text("ConfidenceLevel", &said("ConfidenceLevel", confidence(&raised.status)));
    if raised.columns.contains_key("RemediationSteps") {
        text("RemediationSteps", &listed("RemediationSteps", json!([])));
    }
    text("VendorOriginalId", &alert.id);
    text("Status", "New");
    text("CompromisedEntity", compromised);
    text("Entities", &json!(alert.entities).to_string());
    text("Tactics", &tactics.join(","));
    text("Techniques", &listed("Techniques", json!(techniques)));
    text("SubTechniques", &listed("SubTechniques", json!(sub_techniques)));
    let properties = properties(raised);
    if !properties.is_empty() {
        text("ExtendedProperties", &json!(properties).to_string());
    }
    text("ExtendedLinks", &listed("ExtendedLinks", json!(alert.rule_references)));
    text("RuleId", alert.rule_id.as_str());
    text("RuleAuthor", &alert.rule_author);
    text("RuleLevel", &alert.level);
    text("RuleStatus", &raised.status);
    text("EventTable", alert.events.first().map_or("", |event| event.table.as_str()));
    let times = [("StartTime", alert.first_event), ("EndTime", alert.last_event), ("ProcessingEndTime", alert.raised)];
    for (column, time) in times {
        builder.set_field(column, Value::Time(time));
    }
    let count = i64::try_from(alert.event_count).unwrap_or(i64::MAX);
    builder.set_field("EventCount", Value::Long(count));
    builder.set_field("IsIncident", Value::Bool(false));
    if let Some(score) = raised.columns.get("ConfidenceScore").and_then(|text| text.parse::<f64>().ok()) {
        builder.set_field("ConfidenceScore", Value::Real(score));
    }
    builder.set_field("MatchedFields", Value::Json(&matched_fields(&alert.events).to_string()));
    builder.set_field("RuleTags", Value::Json(&json!(alert.tags).to_string()));
    let seqs: Vec<Seq> = raised.event_refs.iter().map(|(_, seq)| *seq).collect();
    builder.set_field("EventSeqs", Value::Json(&json!(seqs).to_string()));
    builder.set_field("Events", Value::Json(&json!(alert.events).to_string()));
    builder.finish_row(alert.raised, &SourceName::lossy(SOURCE), "");
}

/// The fields that met the rule with their values over all events: one, or a list of up to [`VALUES_MAX`].
fn matched_fields(events: &[MatchedEvent]) -> serde_json::Value {
    let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in events.iter().flat_map(|event| &event.fields) {
        let values = fields.entry(name).or_default();
        if values.len() < VALUES_MAX && !values.contains(&value.as_str()) {
            values.push(value);
        }
    }
    let member = |(name, values): (&str, Vec<&str>)| match values.as_slice() {
        [value] => (name.to_owned(), json!(value)),
        values => (name.to_owned(), json!(values)),
    };
    fields.into_iter().map(member).collect::<serde_json::Map<_, _>>().into()
}

/// What `ExtendedProperties` says: what the alert has no column for.
fn properties(raised: &Raised) -> serde_json::Map<String, serde_json::Value> {
    let alert = &raised.alert;
    let texts =
        [(RULE_VERSION, &alert.rule_version), (RULE_LICENSE, &alert.rule_license), (EXPLANATION, &alert.explanation)];
    let stated = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let mut properties = raised.properties.clone();
    properties.extend(stated.map(|(name, text)| (name.to_owned(), json!(text))));
    if !alert.false_positives.is_empty() {
        properties.insert(FALSE_POSITIVES.to_owned(), json!(alert.false_positives));
    }
    let mut by_table: BTreeMap<&str, Vec<Seq>> = BTreeMap::new();
    raised.event_refs.iter().for_each(|(table, seq)| by_table.entry(table.as_str()).or_default().push(*seq));
    if by_table.len() > 1 {
        properties.insert(EVENT_SEQS_BY_TABLE.to_owned(), json!(by_table));
    }
    properties
}

/// How sure an alert is, by its rule's status: `High`, `Low` or `Unknown`, as Sentinel has it.
fn confidence(status: &str) -> &'static str {
    match status {
        "stable" | "available" => "High",
        "experimental" | "deprecated" | "unsupported" | "preview" => "Low",
        _ => "Unknown",
    }
}

/// The ATT&CK techniques among the tags, those of sub-techniques with them, and the sub-techniques; each once.
fn techniques(tags: &[String]) -> (Vec<String>, Vec<String>) {
    let is_technique = |name: &str| name.starts_with('t') && name[1..].starts_with(|c: char| c.is_ascii_digit());
    let (mut all, mut below) = (Vec::new(), Vec::new());
    for name in attack_names(tags, is_technique) {
        let technique = name.split('.').next().unwrap_or_default().to_owned();
        if technique != name && !below.contains(&name) {
            below.push(name);
        }
        if !all.contains(&technique) {
            all.push(technique);
        }
    }
    (all, below)
}

/// The ATT&CK names among the tags that pass a test, as Sentinel writes them: `T1059.001`, `DefenseEvasion`.
fn attack_names(tags: &[String], wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let names = tags.iter().filter_map(|tag| tag.strip_prefix("attack.")).filter(|name| wanted(name));
    names.map(camel_case).collect()
}

fn camel_case(name: &str) -> String {
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    name.split(['-', '_']).map(capitalised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_tags_become_sentinels_names() {
        let tags = ["attack.defense-evasion", "attack.t1059.001", "cve.2021-1", "attack.g0016"].map(str::to_owned);
        assert_eq!(techniques(&tags), (vec!["T1059".to_owned()], vec!["T1059.001".to_owned()]));
        assert_eq!(attack_names(&tags, |name| !name.contains(|c: char| c.is_ascii_digit())), ["DefenseEvasion"]);
    }

    #[test]
    fn an_alert_keeps_its_id_when_it_is_raised_again() {
        assert_eq!(alert_id("r", "T", 7), alert_id("r", "T", 7));
        assert_ne!(alert_id("r", "T", 7), alert_id("r", "T", 8));
    }
}
