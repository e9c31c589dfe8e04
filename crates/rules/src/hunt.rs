//! Offline hunting: the matches of one batch as lines a person, or a program, reads.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampNanosecondType};
use moneta_base::{TableName, Timestamp};
use moneta_event::schema::standard;
use serde::{Serialize, Serializer};

use crate::CompiledRules;
use crate::correlation::Finding;
use crate::vocabulary::computer_of;

/// One row that met one rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HuntMatch {
    /// The rule's id.
    pub rule_id: String,
    /// Its title.
    pub rule_title: String,
    /// Its author, whom the Detection Rule License asks to name.
    pub rule_author: String,
    /// How bad it is.
    pub level: &'static str,
    /// Its tags.
    pub tags: Vec<String>,
    /// The file the event came from.
    pub file: String,
    /// The table the event belongs to.
    pub table: String,
    /// The event's number in its log, where it has one.
    pub record_id: Option<i64>,
    /// Its time, RFC 3339.
    #[serde(serialize_with = "as_text")]
    pub time: Timestamp,
    /// The machine it came from; empty where unknown.
    pub computer: String,
    /// The fields and values that met the rule, by the rule's names.
    #[serde(serialize_with = "as_map")]
    pub fields: Vec<(String, String)>,
}

/// A correlation that holds, as a line like those of single events. `file` and `table` are those of its last event.
#[must_use]
pub fn finding_line(rules: &CompiledRules, finding: &Finding, file: &str) -> HuntMatch {
    let metadata = &rules.rules()[finding.rule].metadata;
    HuntMatch {
        rule_id: metadata.id.to_string(),
        rule_title: metadata.title.clone(),
        rule_author: metadata.author.clone(),
        level: metadata.level.name(),
        tags: metadata.tags.clone(),
        file: file.to_owned(),
        table: finding.events.last().map(|event| event.at.table.to_string()).unwrap_or_default(),
        record_id: None,
        time: finding.times.1,
        computer: finding.events.last().map(|event| computer_of(&event.about)).unwrap_or_default(),
        fields: finding.group.clone(),
    }
}

/// Matches a batch of one file. Order: by rule, then by row. Rules that only feed correlations are left out.
#[must_use]
pub fn hunt(rules: &CompiledRules, table: &TableName, rows: &RecordBatch, file: &str) -> Vec<HuntMatch> {
    let matches = rules.match_batch(table, rows);
    if matches.is_empty() {
        return Vec::new();
    }
    let explainer = rules.explainer(table, rows);
    let mut found = Vec::new();
    for rule_match in matches.into_iter().filter(|found| rules.alerts_alone(found.rule)) {
        let metadata = &rules.rules()[rule_match.rule].metadata;
        for row in rule_match.rows {
            found.push(HuntMatch {
                rule_id: metadata.id.to_string(),
                rule_title: metadata.title.clone(),
                rule_author: metadata.author.clone(),
                level: metadata.level.name(),
                tags: metadata.tags.clone(),
                file: file.to_owned(),
                table: table.to_string(),
                record_id: record_id(rows, row as usize),
                time: event_time(rows, row as usize),
                computer: text(rows, "Computer", row as usize),
                fields: explainer.explain(rule_match.rule, row),
            });
        }
    }
    found
}

/// The event time of a row.
#[must_use]
pub fn event_time(rows: &RecordBatch, row: usize) -> Timestamp {
    time(rows, standard::TIME_GENERATED, row).unwrap_or_default()
}

/// The time in a column of a row; `None` where there is none.
#[must_use]
pub fn time(rows: &RecordBatch, column: &str, row: usize) -> Option<Timestamp> {
    let times = rows.column_by_name(column)?.as_primitive_opt::<TimestampNanosecondType>()?;
    times.is_valid(row).then(|| Timestamp::from_nanos(times.value(row)))
}

/// The text of a column in a row; empty where there is none.
#[must_use]
pub fn text(rows: &RecordBatch, column: &str, row: usize) -> String {
    let array = rows.column_by_name(column).and_then(|c| c.as_string_opt::<i32>());
    array.filter(|array| array.is_valid(row)).map(|array| array.value(row).to_owned()).unwrap_or_default()
}

fn record_id(rows: &RecordBatch, row: usize) -> Option<i64> {
    let array = rows.column_by_name("EventRecordId").and_then(|c| c.as_primitive_opt::<Int64Type>());
    array.filter(|array| array.is_valid(row)).map(|array| array.value(row))
}

fn as_text<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// An object with one member per field; a field with several values has them in a list.
fn as_map<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serde_json::Map::new();
    for (field, value) in pairs {
        let value = serde_json::Value::from(value.as_str());
        match map.get_mut(field) {
            None => {
                map.insert(field.clone(), value);
            }
            Some(serde_json::Value::Array(values)) => values.push(value),
            Some(first) => *first = serde_json::Value::Array(vec![first.take(), value]),
        }
    }
    map.serialize(serializer)
}
