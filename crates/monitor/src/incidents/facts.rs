//! What grouping must know of an alert, out of its row in `SecurityAlert`: also of alerts that came from elsewhere.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use moneta_event::Block;
use moneta_ports::{Evidence, IncidentAlert, IncidentSeverity};
use moneta_rules::hunt::{event_time, text, time};
use serde_json::{Map, Value};

use crate::alert::{EVENT_SEQS_BY_TABLE, THROTTLED};

/// Events of an alert that are kept with an incident.
const EVIDENCE_MAX: usize = 1_000;

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
    let seqs_by_table = properties.get(EVENT_SEQS_BY_TABLE).cloned().unwrap_or_default();
    let seqs_by_table = serde_json::from_value(seqs_by_table).unwrap_or_else(|_| {
        BTreeMap::from([(text("EventTable"), serde_json::from_str(&text("EventSeqs")).unwrap_or_default())])
    });
    let events = evidence(&text("Events"), seqs_by_table);
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
        techniques: words(&text("Techniques")),
        entities: serde_json::from_str(&text("Entities")).unwrap_or_default(),
        event_count: count(rows, row).unwrap_or(events.len() as u64),
        events,
    };
    let custom_details = details.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let is_throttled = properties.contains_key(THROTTLED);
    Some(Facts { alert, is_throttled, custom_details })
}

/// Words of a JSON list, or of a text with commas.
fn words(text: &str) -> Vec<String> {
    serde_json::from_str(text)
        .unwrap_or_else(|_| text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

/// The listed events, then those that are named only.
fn evidence(events: &str, seqs_by_table: BTreeMap<String, Vec<u64>>) -> Vec<Evidence> {
    let listed: Vec<Value> = serde_json::from_str(events).unwrap_or_default();
    let mut found: Vec<Evidence> = listed.iter().filter_map(of_event).collect();
    let known: HashSet<(String, u64)> = found.iter().map(|event| (event.table.clone(), event.seq)).collect();
    // Sequences without a table beside events of several name no rows.
    let is_unclear = seqs_by_table.len() == 1 && known.iter().any(|(table, _)| !seqs_by_table.contains_key(table));
    for (table, seqs) in seqs_by_table.into_iter().filter(|(table, _)| !is_unclear && !table.is_empty()) {
        let named = seqs.into_iter().filter(|seq| !known.contains(&(table.clone(), *seq)));
        found.extend(named.map(|seq| Evidence {
            table: table.clone(),
            seq,
            time: String::new(),
            computer: String::new(),
            fields: Vec::new(),
        }));
    }
    found.truncate(EVIDENCE_MAX);
    found
}

fn of_event(event: &Value) -> Option<Evidence> {
    let text = |member: &str| event[member].as_str().unwrap_or_default().to_owned();
    Some(Evidence {
        table: event["table"].as_str()?.to_owned(),
        seq: event["seq"].as_u64()?,
        time: text("time"),
        computer: text("computer"),
        fields: serde_json::from_value(event["fields"].clone()).unwrap_or_default(),
    })
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
        let named =
            |pairs: &[(&str, &[u64])]| pairs.iter().map(|(table, seqs)| ((*table).to_owned(), seqs.to_vec())).collect();
        let found = evidence(events, named(&[("T", &[4, 5])]));
        assert_eq!(found.iter().map(|event| event.seq).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(found[0].fields, [("A".to_owned(), "b".to_owned())]);
        // Sequences of events in several tables name no rows.
        let mixed = r#"[{"table":"T","seq":4},{"table":"U","seq":1}]"#;
        assert_eq!(evidence(mixed, named(&[("T", &[4, 1, 9])])).len(), 2);
        let found = evidence(mixed, named(&[("T", &[4, 9]), ("U", &[1, 4])]));
        let places: Vec<_> = found.iter().map(|event| (event.table.as_str(), event.seq)).collect();
        assert_eq!(places, [("T", 4), ("U", 1), ("T", 9), ("U", 4)]);
        assert!(evidence("", named(&[("", &[1])])).is_empty());
    }

    #[test]
    fn words_come_in_two_forms() {
        assert_eq!(words("[\"T1\",\"T2\"]"), ["T1", "T2"]);
        assert_eq!(words("Execution, Impact"), ["Execution", "Impact"]);
        assert!(words("").is_empty());
    }
}
