//! What grouping must know of an alert, out of its row in `SecurityAlert`: also of alerts that came from elsewhere.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use moneta_base::Seq;
use moneta_event::Block;
use moneta_event::evidence::named_events;
use moneta_ports::{Evidence, IncidentAlert, IncidentSeverity};
use moneta_rules::hunt::{event_time, text, time};
use serde_json::{Map, Value};

use crate::alert::THROTTLED;

/// An alert as grouping sees it.
pub(super) struct Facts {
    pub(super) alert: IncidentAlert,
    /// Whether its rule raises too many alerts: it makes no incident.
    pub(super) is_throttled: bool,
    /// Names and values under `Custom Details` of `ExtendedProperties`.
    pub(super) custom_details: Map<String, Value>,
}

/// The alerts of a block of `SecurityAlert`. A row without an id is nobody's alert and is left out.
pub(super) fn of_block(block: &Block) -> Vec<Facts> {
    let rows = &block.rows;
    (0..rows.num_rows()).filter_map(|row| of_row(rows, row, block.header.first_seq + row as u64)).collect()
}

fn of_row(rows: &RecordBatch, row: usize, seq: u64) -> Option<Facts> {
    let text = |column: &str| text(rows, column, row);
    let either =
        |first: &str, second: &str| Some(text(first)).filter(|text| !text.is_empty()).unwrap_or_else(|| text(second));
    let id = text("SystemAlertId");
    if id.is_empty() {
        return None;
    }
    let generated = event_time(rows, row);
    let time = |column: &str| time(rows, column, row).unwrap_or(generated);
    let properties: Map<String, Value> = serde_json::from_str(&text("ExtendedProperties")).unwrap_or_default();
    let details = properties.get("Custom Details").and_then(Value::as_str);
    let events = evidence(&text("Events"), named_events(text));
    let alert = IncidentAlert {
        id,
        seq,
        title: either("DisplayName", "AlertName"),
        description: text("Description"),
        severity: IncidentSeverity::parse(&text("AlertSeverity")).unwrap_or(IncidentSeverity::Medium),
        rule_id: either("RuleId", "AlertType"),
        rule_author: text("RuleAuthor"),
        product: either("ProductComponentName", "ProductName"),
        raised: time("ProcessingEndTime"),
        first_event: time("StartTime"),
        last_event: time("EndTime"),
        tactics: words(&text("Tactics")),
        techniques: techniques(&text),
        entities: serde_json::from_str(&text("Entities")).unwrap_or_default(),
        event_count: count(rows, row).unwrap_or(events.len() as u64),
        events,
    };
    let custom_details = details.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let is_throttled = properties.contains_key(THROTTLED);
    Some(Facts { alert, is_throttled, custom_details })
}

/// The techniques and then their sub-techniques; a technique that only has such is told by them.
fn techniques(text: &impl Fn(&str) -> String) -> Vec<String> {
    let below = words(&text("SubTechniques"));
    let is_told = |name: &String| below.iter().any(|one| one.split('.').next() == Some(name.as_str()));
    let whole = words(&text("Techniques")).into_iter().filter(|name| !is_told(name));
    whole.chain(below.iter().cloned()).collect()
}

/// Words of a JSON list, or of a text with commas.
fn words(text: &str) -> Vec<String> {
    serde_json::from_str(text)
        .unwrap_or_else(|_| text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

/// The events that are named, with what is listed of them.
fn evidence(events: &str, named: Vec<(String, Seq)>) -> Vec<Evidence> {
    let listed: Vec<Value> = serde_json::from_str(events).unwrap_or_default();
    let place = |event: &Value| Some((event["table"].as_str()?.to_owned(), event["seq"].as_u64()?));
    let listed: HashMap<(String, Seq), &Value> =
        listed.iter().rev().filter_map(|event| Some((place(event)?, event))).collect();
    let of_event = |(table, seq): (String, Seq)| {
        let event = listed.get(&(table.clone(), seq)).copied().unwrap_or(&Value::Null);
        let text = |member: &str| event[member].as_str().unwrap_or_default().to_owned();
        Evidence {
            time: text("time"),
            computer: text("computer"),
            fields: serde_json::from_value(event["fields"].clone()).unwrap_or_default(),
            table,
            seq,
        }
    };
    named.into_iter().map(of_event).collect()
}

fn count(rows: &RecordBatch, row: usize) -> Option<u64> {
    let counts = rows.column_by_name("EventCount")?.as_primitive_opt::<Int64Type>()?;
    counts.is_valid(row).then(|| u64::try_from(counts.value(row)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_what_is_listed_and_then_what_is_named() {
        let events = r#"[{"table":"T","seq":4,"time":"x","computer":"c","fields":[["A","b"]]}]"#;
        let found = evidence(events, vec![("T".to_owned(), 4), ("T".to_owned(), 5)]);
        assert_eq!(found.iter().map(|event| event.seq).collect::<Vec<_>>(), [4, 5]);
        assert_eq!((found[0].time.as_str(), found[0].computer.as_str()), ("x", "c"));
        assert_eq!(found[0].fields, [("A".to_owned(), "b".to_owned())]);
        assert!(found[1].fields.is_empty() && evidence("", Vec::new()).is_empty());
    }

    #[test]
    fn words_come_in_two_forms() {
        assert_eq!(words("[\"T1\",\"T2\"]"), ["T1", "T2"]);
        assert_eq!(words("Execution, Impact"), ["Execution", "Impact"]);
        assert!(words("").is_empty());
    }
}
