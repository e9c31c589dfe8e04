//! Alerts out of the rows of a query, as the rule's mappings say.

use std::collections::{BTreeMap, BTreeSet};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use moneta_base::{Level, Seq, TableName, Timestamp};
use moneta_event::evidence::RESULT_TABLE;
use moneta_ports::{Alert, MatchedEvent, QueryAnswer, ResultTable};
use moneta_rules::analytics::{AnalyticsRule, tactic_tag};
use moneta_rules::vocabulary::computer_of;
use serde_json::{Map, Value, json};

use super::span::Span;
use crate::alert::{EVENTS_LISTED_MAX, EXPLANATION_CHARS_MAX, QueryAlert, Stated, alert_id, link, short};
use crate::entities::{ENTITIES_MAX, stated};

/// Alerts of one evaluation at most; the last one speaks of all further rows.
///
/// # Source
/// Microsoft Sentinel, scheduled rules, "Event grouping": 150 alerts per run.
const ALERTS_MAX: usize = 150;
/// Rows that alerts are made of at most; further ones are counted.
const ROWS_READ_MAX: usize = 10_000;
/// Values of one custom detail at most.
const DETAIL_VALUES_MAX: usize = 50;
/// Characters of a value that the explanation shows.
const VALUE_CHARS_MAX: usize = 200;
/// Columns by which older rules name entities, with the entity and its identifier.
const ENTITY_COLUMNS: [(&str, &str, &str); 5] = [
    ("AccountCustomEntity", "account", "FullName"),
    ("HostCustomEntity", "host", "FullName"),
    ("IPCustomEntity", "ip", "Address"),
    ("URLCustomEntity", "url", "Url"),
    ("FileHashCustomEntity", "filehash", "Value"),
];

/// A row of a result: columns with their text, those without a value left out.
type Row = BTreeMap<String, String>;

/// The alerts of an evaluation whose trigger holds: one for all rows, or one per row. A rule that alerts about the
/// absence of rows gives one without events.
pub(super) fn raise(
    rule: &AnalyticsRule,
    table: Option<&TableName>,
    span: &Span,
    answer: &QueryAnswer,
    now: Timestamp,
) -> Vec<QueryAlert> {
    let rows = answer.tables.first().map(|table| rows_of(table, ROWS_READ_MAX)).unwrap_or_default();
    let groups: Vec<&[Row]> = if rule.alert_per_row && !rows.is_empty() {
        let single = rows.len().min(ALERTS_MAX - 1);
        let (single, rest) = rows.split_at(single);
        single.chunks(1).chain((!rest.is_empty()).then_some(rest)).collect()
    } else {
        vec![&rows]
    };
    let total = answer.tables.first().map_or(0, ResultTable::num_rows);
    let raising = Raising { rule, table, span, total, now };
    let mut alerts: Vec<QueryAlert> = groups.iter().enumerate().map(|(at, rows)| raising.raise_one(at, rows)).collect();
    if let Some(last) = alerts.last_mut() {
        last.num_rows += total - rows.len();
    }
    alerts
}

/// One alert for every row of an evaluation over rows of a table.
pub(super) fn raise_rows(
    rule: &AnalyticsRule,
    table: &TableName,
    span: &Span,
    answer: &QueryAnswer,
) -> Vec<QueryAlert> {
    let rows = answer.tables.first().map(|table| rows_of(table, usize::MAX)).unwrap_or_default();
    let raising = Raising { rule, table: Some(table), span, total: rows.len(), now: span.at };
    rows.chunks(1).enumerate().map(|(at, row)| raising.raise_one(at, row)).collect()
}

/// What all alerts of an evaluation have in common.
struct Raising<'a> {
    rule: &'a AnalyticsRule,
    table: Option<&'a TableName>,
    span: &'a Span,
    /// Rows of the whole result.
    total: usize,
    now: Timestamp,
}

impl Raising<'_> {
    fn raise_one(&self, at: usize, rows: &[Row]) -> QueryAlert {
        let Self { rule, table, span, total, now } = *self;
        let first = rows.first();
        let of_first = |column: &str| first.and_then(|row| row.get(column)).map(String::as_str).unwrap_or_default();
        let (metadata, overrides) = (&rule.metadata, &rule.overrides);
        let level = Level::parse(of_first(&overrides.severity_column)).unwrap_or(metadata.level);
        let filled = |format: &str, otherwise: &str| match format {
            "" => otherwise.to_owned(),
            format => fill(format, &of_first),
        };
        let times = rows.iter().filter_map(|row| Timestamp::parse(row.get("TimeGenerated")?));
        let times = times.fold(None, |range: Option<(Timestamp, Timestamp)>, time| {
            Some(range.map_or((time, time), |(from, to)| (from.min(time), to.max(time))))
        });
        let event = |(at, row): (usize, &Row)| event_of(table, at, row, span.at);
        let place = format!("{}{}-{}", table.map_or("", TableName::as_str), span.start, span.end);
        let columns = columns(rule, &of_first);
        let id = alert_id(metadata.id.as_str(), &place, at as u64);
        QueryAlert {
            alert: Alert {
                rule_title: filled(&overrides.name_format, &metadata.title),
                rule_author: metadata.author.clone(),
                rule_description: filled(&overrides.description_format, &metadata.description),
                level: level.name().to_owned(),
                rule_version: rule.version.clone(),
                rule_license: metadata.license.clone(),
                rule_references: metadata.references.clone(),
                tags: tags(rule, of_first(&overrides.tactics_column)),
                explanation: self.explanation(first),
                link: link(&id),
                events: rows.iter().enumerate().take(EVENTS_LISTED_MAX).map(event).collect(),
                ..Alert::new(id, metadata.id.clone(), now)
            },
            status: metadata.status.clone(),
            num_rows: rows.len(),
            event_refs: rows.iter().filter_map(|row| referred(table, row)).collect(),
            times: times.unwrap_or((span.at, span.at)),
            stated: Stated { entities: entities(rule, rows), properties: properties(rule, span, total, rows), columns },
        }
    }
}

impl Raising<'_> {
    /// What held: the number of rows against the trigger, and the conditions of the query with the values of the first
    /// row that they name.
    fn explanation(&self, first: Option<&Row>) -> String {
        let rows = if self.total == 1 { "row" } else { "rows" };
        let mut text = format!("{} {rows}, {}", self.total, self.rule.trigger.describe());
        for condition in self.rule.conditions() {
            let condition = condition.split_whitespace().collect::<Vec<_>>().join(" ");
            let words: BTreeSet<&str> = condition.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let value = |word: &&str| Some(format!("{word} = {}", short(first?.get(*word)?, VALUE_CHARS_MAX)));
            let values: Vec<String> = words.iter().filter_map(value).collect();
            let values = if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) };
            text.push_str(&format!("; {condition}{values}"));
        }
        short(&text, EXPLANATION_CHARS_MAX)
    }
}

/// The stored row that a row of a result is, where it says its `_Seq`: of the table that it names itself by, or that was
/// asked. What says no table is of the result alone, whatever its number.
fn referred(table: Option<&TableName>, row: &Row) -> Option<(TableName, Seq)> {
    let seq = row.get("_Seq")?.parse().ok()?;
    let named = row.get("Type").and_then(|name| TableName::new(name).ok());
    Some((named.or_else(|| table.cloned()).unwrap_or_else(result_table), seq))
}

fn result_table() -> TableName {
    TableName::new(RESULT_TABLE).expect("a valid name")
}

fn event_of(table: Option<&TableName>, at: usize, row: &Row, otherwise: Timestamp) -> MatchedEvent {
    let (table, seq) = referred(table, row).unwrap_or_else(|| (result_table(), at as u64));
    let fields: Vec<(String, String)> = row.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    MatchedEvent {
        table,
        seq,
        time: row.get("TimeGenerated").and_then(|time| Timestamp::parse(time)).unwrap_or(otherwise),
        computer: computer_of(&fields),
        fields,
        rules: Vec::new(),
    }
}

/// A text with `{{column}}` replaced by the value of the first row.
fn fill<'a>(format: &str, value: &impl Fn(&str) -> &'a str) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((column, after)) = after.split_once("}}") else { break };
        text.push_str(before);
        text.push_str(value(column.trim()));
        rest = after;
    }
    text.push_str(rest);
    text
}

/// The rule's tags; the tactics among them are those of the result, where it has any.
fn tags(rule: &AnalyticsRule, tactics: &str) -> Vec<String> {
    if tactics.is_empty() {
        return rule.metadata.tags.clone();
    }
    // Techniques, and tags that are no tactics.
    let names = tactics.split(|c: char| !c.is_ascii_alphanumeric()).filter(|name| !name.is_empty());
    let is_other = |tag: &&String| !tag.starts_with("attack.") || tag.contains(|c: char| c.is_ascii_digit());
    let others = rule.metadata.tags.iter().filter(is_other).cloned();
    names.map(tactic_tag).chain(others).collect()
}

fn entities(rule: &AnalyticsRule, rows: &[Row]) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    let mut add = |kind: &str, entity: Map<String, Value>| {
        let entity = stated(kind, entity);
        if found.len() < ENTITIES_MAX && !found.contains(&entity) {
            found.push(entity);
        }
    };
    for row in rows {
        for mapping in &rule.entities {
            let fields = mapping
                .fields
                .iter()
                .filter_map(|(identifier, column)| row.get(column).map(|value| (identifier.clone(), json!(value))));
            let fields: Map<String, Value> = fields.collect();
            if !fields.is_empty() {
                add(&mapping.entity_type, fields);
            }
        }
        rule.entity_columns
            .iter()
            .filter_map(|column| row.get(column))
            .flat_map(|list| listed(list))
            .for_each(|(kind, entity)| add(&kind, entity));
        for (column, kind, identifier) in ENTITY_COLUMNS {
            if let Some(value) = row.get(column) {
                add(kind, Map::from_iter([(identifier.to_owned(), json!(value))]));
            }
        }
    }
    found
}

/// The entities of a list in JSON; what is none, such as a reference to another of the list, is left out.
fn listed(list: &str) -> Vec<(String, Map<String, Value>)> {
    let Ok(Value::Array(members)) = serde_json::from_str(list) else { return Vec::new() };
    let entity = |member| match member {
        Value::Object(mut entity) => {
            let kind = entity.get("Type")?.as_str()?.to_owned();
            // Numbers within the list mean nothing outside of it.
            entity.remove("$id");
            Some((kind, entity))
        }
        _ => None,
    };
    members.into_iter().filter_map(entity).collect()
}

/// Columns of the alert that the first row of the result sets.
fn columns<'a>(rule: &AnalyticsRule, value: &impl Fn(&str) -> &'a str) -> BTreeMap<String, String> {
    let set = rule.overrides.properties.iter().map(|(name, column)| (name.clone(), value(column).to_owned()));
    set.filter(|(_, text)| !text.is_empty()).collect()
}

/// The values of a column, each once.
fn distinct<'a>(rows: &'a [Row], column: &str) -> Vec<&'a str> {
    let mut values: Vec<&str> = Vec::new();
    for value in rows.iter().filter_map(|row| row.get(column)) {
        if values.len() < DETAIL_VALUES_MAX && !values.contains(&value.as_str()) {
            values.push(value);
        }
    }
    values
}

/// What `ExtendedProperties` says: under Sentinel's names where it has one.
fn properties(rule: &AnalyticsRule, span: &Span, total: usize, rows: &[Row]) -> Map<String, Value> {
    let mut properties = Map::new();
    let (from, to) = span.bounds();
    let mut set = |name: &str, value: Value| properties.insert(name.to_owned(), value);
    set("Query", json!(rule.query));
    set("Query Start", from);
    set("Query End", to);
    set("Trigger Operator", json!(rule.trigger.operator.name()));
    set("Trigger Threshold", json!(rule.trigger.threshold.to_string()));
    set("Search Query Results Overall Count", json!(total.to_string()));
    let thresholds = rule.thresholds();
    if !thresholds.is_empty() {
        set("Query Thresholds", json!(thresholds));
    }
    let details: Map<String, Value> =
        rule.custom_details.iter().map(|(name, column)| (name.clone(), json!(distinct(rows, column)))).collect();
    if !details.is_empty() {
        set("Custom Details", json!(Value::Object(details).to_string()));
    }
    properties
}

/// The first rows of a result.
pub(super) fn rows_of(table: &ResultTable, max: usize) -> Vec<Row> {
    let options = FormatOptions::default();
    let mut rows = Vec::with_capacity(table.num_rows().min(max));
    for batch in &table.batches {
        let batch = batch.slice(0, batch.num_rows().min(max - rows.len()));
        let mut of_batch = vec![Row::new(); batch.num_rows()];
        for (column, values) in table.columns.iter().zip(batch.columns()) {
            let Ok(formatter) = ArrayFormatter::try_new(values, &options) else { continue };
            for (at, row) in of_batch.iter_mut().enumerate().filter(|(at, _)| values.is_valid(*at)) {
                if let Ok(text) = formatter.value(at).try_to_string()
                    && !text.is_empty()
                {
                    row.insert(column.name.clone(), text);
                }
            }
        }
        rows.append(&mut of_batch);
    }
    rows
}
