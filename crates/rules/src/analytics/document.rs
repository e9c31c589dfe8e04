//! One document of a file of analytics rules. Every key is known or an error: a misspelt one would change the rule.

use std::time::Duration;

use moneta_base::{Level, RuleId};
use moneta_kql::{line_column, parse as parse_kql};
use moneta_merkle::sha256;

use super::names::{ALERT_DETAILS, ALERT_PROPERTIES, ENTITY_TYPES};
use super::{
    AnalyticsRule, EntityMapping, IncidentGrouping, IncidentMatching, IncidentSettings, Overrides, Schedule, Trigger,
    TriggerOperator, parse_duration,
};
use crate::error::Error;
use crate::ir::Metadata;
use crate::nearest::hint;
use crate::rule_tests;
use crate::yaml::{Kind, Meaning, Node};

/// The shortest time between two runs, and the shortest look back.
const DURATION_MIN: Duration = Duration::from_secs(60);
/// The longest of both.
const DURATION_MAX: Duration = Duration::from_secs(14 * 86_400);
/// How long a rule may rest at most.
const SUPPRESSION_MAX: Duration = Duration::from_secs(86_400);
/// Rows that a threshold may ask for at most.
const THRESHOLD_MAX: i64 = 10_000;
/// Entity mappings at most, and fields of one.
const ENTITIES_MAX: usize = 10;
/// Custom details at most.
const DETAILS_MAX: usize = 20;

/// Keys of a document. Those that describe where a rule was published say nothing about how it runs.
const KEYS: [&str; 31] = [
    "id",
    "name",
    "description",
    "severity",
    "status",
    "version",
    "kind",
    "query",
    "queryFrequency",
    "queryPeriod",
    "triggerOperator",
    "triggerThreshold",
    "tactics",
    "techniques",
    "relevantTechniques",
    "subTechniques",
    "entityMappings",
    "sentinelEntitiesMappings",
    "customDetails",
    "alertDetailsOverride",
    "eventGroupingSettings",
    "suppressionEnabled",
    "suppressionDuration",
    "incidentConfiguration",
    "requiredDataConnectors",
    "metadata",
    "tags",
    "author",
    "references",
    "enabled",
    "tests",
];

/// Reads a document.
pub(super) fn parse(file: &str, document: &Node) -> Result<AnalyticsRule, Error> {
    only_keys(document, "an analytics rule", &KEYS)?;
    let query = required(document, "query")?.to_owned();
    check_query(document.get("query").map_or(document.line, |node| node.line), &query)?;
    Ok(AnalyticsRule {
        metadata: metadata(document)?,
        file: file.to_owned(),
        enabled: document.get("enabled").map(|_| truth(document, "enabled", true)).transpose()?,
        version: text(document, "version").to_owned(),
        query,
        schedule: schedule(document)?,
        trigger: trigger(document)?,
        entities: entities(document)?,
        entity_columns: entity_columns(document)?,
        custom_details: columns_by_name(document, "customDetails", DETAILS_MAX)?,
        overrides: overrides(document)?,
        alert_per_row: alert_per_row(document)?,
        suppression: suppression(document)?,
        incident: incident(document)?,
        tests: rule_tests::parse(document.get("tests"))?,
        line: document.line,
    })
}

fn metadata(document: &Node) -> Result<Metadata, Error> {
    let title = required(document, "name")?.to_owned();
    let id = match text(document, "id") {
        "" => sha256(required(document, "query")?.as_bytes()).to_hex(),
        id => id.to_owned(),
    };
    let level = match document.get("severity").and_then(Node::text) {
        None => Level::Medium,
        Some(name) => Level::parse(name).filter(|level| *level != Level::Critical).ok_or_else(|| {
            let known = ["Informational", "Low", "Medium", "High"];
            Error::rule(line(document, "severity"), format!("no severity {name:?}; {}", hint(name, known)))
        })?,
    };
    let author = document.get("metadata").and_then(|node| node.get("author")).and_then(|author| author.get("name"));
    let author = author.and_then(Node::text).unwrap_or_else(|| text(document, "author"));
    Ok(Metadata {
        id: RuleId::new(&id),
        name: String::new(),
        title,
        description: text(document, "description").trim().trim_matches('\'').trim().to_owned(),
        author: author.to_owned(),
        level,
        status: text(document, "status").to_lowercase(),
        tags: tags(document),
        references: texts(document, "references"),
        false_positives: Vec::new(),
        license: String::new(),
        date: String::new(),
        modified: String::new(),
        fields: Vec::new(),
    })
}

/// Tactics and techniques in the form of Sigma's tags, then the rule's own; of one with a name, `name: text`.
fn tags(document: &Node) -> Vec<String> {
    let mut tags: Vec<String> = texts(document, "tactics").iter().map(|name| tactic_tag(name)).collect();
    for key in ["relevantTechniques", "techniques", "subTechniques"] {
        tags.extend(texts(document, key).iter().map(|name| format!("attack.{}", name.to_lowercase())));
    }
    tags.extend(own_tags(document));
    let mut known = std::collections::HashSet::new();
    tags.retain(|tag| known.insert(tag.clone()));
    tags
}

fn own_tags(document: &Node) -> Vec<String> {
    let named = |pairs: &[(String, Node)]| {
        let text = |(name, value): &(String, Node)| Some(format!("{name}: {}", value.text()?));
        pairs.iter().filter_map(text).collect::<Vec<_>>()
    };
    let of_node = |node: &Node| match &node.kind {
        Kind::Map(pairs) => named(pairs),
        _ => node.text().map(str::to_owned).into_iter().collect(),
    };
    match document.get("tags") {
        Some(Node { kind: Kind::List(items), .. }) => items.iter().flat_map(of_node).collect(),
        Some(node) => of_node(node),
        None => Vec::new(),
    }
}

/// A tactic in the form of Sigma's tags: `DefenseEvasion` is `attack.defense-evasion`.
#[must_use]
pub fn tactic_tag(name: &str) -> String {
    let mut tag = "attack.".to_owned();
    for (at, letter) in name.chars().filter(char::is_ascii_alphanumeric).enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            tag.push('-');
        }
        tag.push(letter.to_ascii_lowercase());
    }
    tag
}

fn check_query(first_line: usize, query: &str) -> Result<(), Error> {
    let parsed = parse_kql(query);
    let Some(wrong) = parsed.diagnostics.iter().find(|diagnostic| diagnostic.is_error()) else { return Ok(()) };
    let place = line_column(query, wrong.span.start);
    let message = format!("query, line {}, column {}: {}", place.line, place.column, wrong.message);
    Err(Error::rule(first_line, message))
}

fn schedule(document: &Node) -> Result<Schedule, Error> {
    match text(document, "kind") {
        kind if kind.eq_ignore_ascii_case("NRT") => {
            let scheduled = ["queryFrequency", "queryPeriod", "triggerOperator", "triggerThreshold"];
            match scheduled.into_iter().find(|key| document.get(key).is_some()) {
                Some(key) => Err(Error::rule(
                    line(document, key),
                    format!(
                        "{key} has no meaning in a rule of kind NRT, which runs every minute; remove it, or make the kind Scheduled"
                    ),
                )),
                None => Ok(Schedule::NearRealTime),
            }
        }
        kind if kind.is_empty() || kind.eq_ignore_ascii_case("Scheduled") => {
            if document.get("queryFrequency").is_none() && document.get("queryPeriod").is_none() {
                let message = "the rule has neither queryFrequency nor queryPeriod: a hunting query does not run by itself; \
                               add both to make it a rule, or keep it with `moneta saved-query add`";
                return Err(Error::rule(document.line, message));
            }
            let frequency = duration(document, "queryFrequency", DURATION_MIN, DURATION_MAX)?;
            let period = duration(document, "queryPeriod", DURATION_MIN, DURATION_MAX)?;
            if period < frequency {
                let message =
                    "queryPeriod is shorter than queryFrequency: events between two runs would never be looked at";
                return Err(Error::rule(line(document, "queryPeriod"), message));
            }
            Ok(Schedule::Scheduled { frequency, period })
        }
        kind => Err(Error::rule(
            line(document, "kind"),
            format!("no kind {kind:?} that is a query; {}", hint(kind, ["Scheduled", "NRT"])),
        )),
    }
}

fn trigger(document: &Node) -> Result<Trigger, Error> {
    let operator = match text(document, "triggerOperator") {
        "" => TriggerOperator::GreaterThan,
        name => match name.to_ascii_lowercase().as_str() {
            "gt" | "greaterthan" => TriggerOperator::GreaterThan,
            "lt" | "lessthan" => TriggerOperator::LessThan,
            "eq" | "equal" => TriggerOperator::Equal,
            "ne" | "notequal" => TriggerOperator::NotEqual,
            _ => {
                let message = format!("no triggerOperator {name:?}; {}", hint(name, ["gt", "lt", "eq", "ne"]));
                return Err(Error::rule(line(document, "triggerOperator"), message));
            }
        },
    };
    let threshold = match document.get("triggerThreshold").map(|node| &node.kind) {
        None => 0,
        Some(Kind::Scalar(scalar)) => match scalar.meaning() {
            Meaning::Integer(number) if (0..=THRESHOLD_MAX).contains(&number) => number.unsigned_abs(),
            _ => return Err(bad_threshold(document)),
        },
        Some(_) => return Err(bad_threshold(document)),
    };
    Ok(Trigger { operator, threshold })
}

fn bad_threshold(document: &Node) -> Error {
    Error::rule(
        line(document, "triggerThreshold"),
        format!("triggerThreshold is a whole number from 0 to {THRESHOLD_MAX}"),
    )
}

fn entities(document: &Node) -> Result<Vec<EntityMapping>, Error> {
    let mut entities = Vec::new();
    for node in list(document, "entityMappings", ENTITIES_MAX)? {
        only_keys(node, "an entity mapping", &["entityType", "fieldMappings"])?;
        let mut fields = Vec::new();
        for field in list(node, "fieldMappings", ENTITIES_MAX)? {
            only_keys(field, "a field mapping", &["identifier", "columnName"])?;
            fields.push((required(field, "identifier")?.to_owned(), required(field, "columnName")?.to_owned()));
        }
        let kind = required(node, "entityType")?;
        let identifiers = entity_type(node.line, kind)?;
        for (identifier, _) in &mut fields {
            *identifier =
                known_name(node.line, &format!("an entity of type {kind} has no identifier"), identifier, identifiers)?;
        }
        if fields.is_empty() {
            return Err(Error::rule(node.line, "an entity mapping needs fieldMappings with identifier and columnName"));
        }
        entities.push(EntityMapping { entity_type: required(node, "entityType")?.to_owned(), fields });
    }
    Ok(entities)
}

/// The identifiers of a type of entities.
fn entity_type(line: usize, kind: &str) -> Result<&'static [&'static str], Error> {
    let found = ENTITY_TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(kind));
    let known = ENTITY_TYPES.iter().map(|(known, _)| *known);
    found
        .map(|(_, identifiers)| *identifiers)
        .ok_or_else(|| Error::rule(line, format!("no entityType {kind:?}; {}", hint(kind, known))))
}

/// A name as it is known, whatever the case.
fn known_name(line: usize, problem: &str, name: &str, known: &[&str]) -> Result<String, Error> {
    let found = known.iter().find(|one| one.eq_ignore_ascii_case(name)).map(|one| (*one).to_owned());
    found.ok_or_else(|| Error::rule(line, format!("{problem} {name:?}; {}", hint(name, known.iter().copied()))))
}

/// Columns whose values are lists of entities.
fn entity_columns(document: &Node) -> Result<Vec<String>, Error> {
    let column = |node: &Node| {
        only_keys(node, "a mapping of Sentinel's entities", &["columnName"])?;
        required(node, "columnName").map(str::to_owned)
    };
    list(document, "sentinelEntitiesMappings", ENTITIES_MAX)?.iter().map(column).collect()
}

fn overrides(document: &Node) -> Result<Overrides, Error> {
    let Some(node) = document.get("alertDetailsOverride") else { return Ok(Overrides::default()) };
    let keys = [
        "alertDisplayNameFormat",
        "alertDescriptionFormat",
        "alertSeverityColumnName",
        "alertTacticsColumnName",
        "alertDynamicProperties",
    ];
    only_keys(node, "alertDetailsOverride", &keys)?;
    let mut properties = Vec::new();
    for property in list(node, "alertDynamicProperties", DETAILS_MAX)? {
        only_keys(property, "an alert property", &["alertProperty", "value"])?;
        let name = required(property, "alertProperty")?;
        let name = known_name(property.line, "an alert has no alertProperty", name, &ALERT_PROPERTIES)?;
        properties.push((name, required(property, "value")?.to_owned()));
    }
    let member = |key| text(node, key).to_owned();
    Ok(Overrides {
        name_format: member("alertDisplayNameFormat"),
        description_format: member("alertDescriptionFormat"),
        severity_column: member("alertSeverityColumnName"),
        tactics_column: member("alertTacticsColumnName"),
        properties,
    })
}

fn alert_per_row(document: &Node) -> Result<bool, Error> {
    let Some(node) = document.get("eventGroupingSettings") else { return Ok(false) };
    only_keys(node, "eventGroupingSettings", &["aggregationKind"])?;
    match required(node, "aggregationKind")? {
        kind if kind.eq_ignore_ascii_case("SingleAlert") => Ok(false),
        kind if kind.eq_ignore_ascii_case("AlertPerResult") => Ok(true),
        kind => Err(Error::rule(
            line(node, "aggregationKind"),
            format!("no aggregationKind {kind:?}; {}", hint(kind, ["SingleAlert", "AlertPerResult"])),
        )),
    }
}

fn suppression(document: &Node) -> Result<Option<Duration>, Error> {
    let duration = match document.get("suppressionDuration") {
        None => Duration::from_secs(5 * 3_600),
        Some(_) => duration(document, "suppressionDuration", Duration::from_secs(300), SUPPRESSION_MAX)?,
    };
    Ok(truth(document, "suppressionEnabled", false)?.then_some(duration))
}

fn incident(document: &Node) -> Result<IncidentSettings, Error> {
    let Some(node) = document.get("incidentConfiguration") else {
        return Ok(IncidentSettings { create: true, grouping: None });
    };
    only_keys(node, "incidentConfiguration", &["createIncident", "groupingConfiguration"])?;
    let create = truth(node, "createIncident", true)?;
    let Some(node) = node.get("groupingConfiguration") else { return Ok(IncidentSettings { create, grouping: None }) };
    let keys = [
        "enabled",
        "reopenClosedIncident",
        "lookbackDuration",
        "matchingMethod",
        "groupByEntities",
        "groupByAlertDetails",
        "groupByCustomDetails",
    ];
    only_keys(node, "groupingConfiguration", &keys)?;
    if !truth(node, "enabled", true)? {
        return Ok(IncidentSettings { create, grouping: None });
    }
    let lookback = match node.get("lookbackDuration") {
        None => Duration::from_secs(5 * 3_600),
        Some(_) => duration(node, "lookbackDuration", Duration::from_secs(300), Duration::from_secs(7 * 86_400))?,
    };
    let reopen_closed = truth(node, "reopenClosedIncident", false)?;
    Ok(IncidentSettings {
        create,
        grouping: Some(IncidentGrouping { matching: matching(node)?, lookback, reopen_closed }),
    })
}

fn matching(node: &Node) -> Result<IncidentMatching, Error> {
    match text(node, "matchingMethod") {
        "" => Ok(IncidentMatching::AllEntities),
        name if name.eq_ignore_ascii_case("AllEntities") => Ok(IncidentMatching::AllEntities),
        name if name.eq_ignore_ascii_case("AnyAlert") => Ok(IncidentMatching::AnyAlert),
        name if name.eq_ignore_ascii_case("Selected") => {
            let entities = texts(node, "groupByEntities");
            let line = line(node, "groupByEntities");
            entities.iter().try_for_each(|kind| entity_type(line, kind).map(drop))?;
            let detail = |name: &String| {
                let problem = "groupByAlertDetails knows no";
                known_name(self::line(node, "groupByAlertDetails"), problem, name, &ALERT_DETAILS)
            };
            let alert_details = texts(node, "groupByAlertDetails").iter().map(detail).collect::<Result<_, _>>()?;
            Ok(IncidentMatching::Selected {
                entities,
                alert_details,
                custom_details: texts(node, "groupByCustomDetails"),
            })
        }
        name => Err(Error::rule(
            line(node, "matchingMethod"),
            format!("no matchingMethod {name:?}; {}", hint(name, ["AllEntities", "AnyAlert", "Selected"])),
        )),
    }
}

fn only_keys(node: &Node, what: &str, known: &[&str]) -> Result<(), Error> {
    let Kind::Map(pairs) = &node.kind else {
        return Err(Error::rule(node.line, format!("{what} is a map of keys and values")));
    };
    match pairs.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        Some((key, value)) => {
            Err(Error::rule(value.line, format!("{what} has no key {key:?}; {}", hint(key, known.iter().copied()))))
        }
        None => Ok(()),
    }
}

fn columns_by_name(node: &Node, key: &str, max: usize) -> Result<Vec<(String, String)>, Error> {
    let Some(node) = node.get(key) else { return Ok(Vec::new()) };
    let Kind::Map(pairs) = &node.kind else {
        return Err(Error::rule(node.line, format!("{key} is a map of names and columns")));
    };
    if pairs.len() > max {
        return Err(Error::rule(node.line, format!("{key} has more than {max} members")));
    }
    let column = |(name, value): &(String, Node)| match value.text() {
        Some(column) => Ok((name.clone(), column.to_owned())),
        None => Err(Error::rule(value.line, format!("{key}: {name} names no column"))),
    };
    pairs.iter().map(column).collect()
}

fn list<'a>(node: &'a Node, key: &str, max: usize) -> Result<&'a [Node], Error> {
    match node.get(key).map(|node| (node.line, &node.kind)) {
        None => Ok(&[]),
        Some((line, Kind::List(items))) if items.len() > max => {
            Err(Error::rule(line, format!("{key} has more than {max} members")))
        }
        Some((_, Kind::List(items))) => Ok(items),
        Some((_, Kind::Scalar(scalar))) if scalar.meaning() == Meaning::Null => Ok(&[]),
        Some((line, _)) => Err(Error::rule(line, format!("{key} is a list"))),
    }
}

fn duration(node: &Node, key: &str, min: Duration, max: Duration) -> Result<Duration, Error> {
    let text = required(node, key)?;
    let duration = parse_duration(text).ok_or_else(|| {
        Error::rule(line(node, key), format!("{key}: {text:?} is no length of time; write it as 5m, 1h, 14d or PT5M"))
    })?;
    if duration < min || duration > max {
        let message = format!("{key}: {text} is not between {} and {} seconds", min.as_secs(), max.as_secs());
        return Err(Error::rule(line(node, key), message));
    }
    Ok(duration)
}

fn truth(node: &Node, key: &str, default: bool) -> Result<bool, Error> {
    match node.get(key).map(|node| &node.kind) {
        None => Ok(default),
        Some(Kind::Scalar(scalar)) => match scalar.meaning() {
            Meaning::Bool(truth) => Ok(truth),
            _ => Err(Error::rule(line(node, key), format!("{key} is true or false"))),
        },
        Some(_) => Err(Error::rule(line(node, key), format!("{key} is true or false"))),
    }
}

fn required<'a>(node: &'a Node, key: &str) -> Result<&'a str, Error> {
    match text(node, key) {
        "" => Err(Error::rule(line(node, key), format!("{key} is missing"))),
        text => Ok(text),
    }
}

fn text<'a>(node: &'a Node, key: &str) -> &'a str {
    node.get(key).and_then(Node::text).unwrap_or_default()
}

fn texts(node: &Node, key: &str) -> Vec<String> {
    node.get(key).map(Node::texts).unwrap_or_default()
}

fn line(node: &Node, key: &str) -> usize {
    node.get(key).map_or(node.line, |value| value.line)
}
