//! Alerts out of their rows in `SecurityAlert`: what is stored is enough to tell people of it.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use moneta_base::{RuleId, Seq, TableName, Timestamp};
use moneta_event::catalog::table;
use moneta_event::schema::standard;
use moneta_event::{Block, RecordClass};
use moneta_ports::{Alert, MatchedEvent};
use moneta_rules::hunt::{text, time};
use serde_json::{Map, Value};

use crate::alert::{
    EXPLANATION, FALSE_POSITIVES, REPEATS, RULE_LICENSE, RULE_VERSION, SOURCE, THROTTLED, VENDOR, about, link,
};

/// The alerts of a block that Moneta raised and tells people of, from a sequence on, with their sequences: all but
/// those that are stored short or repeat another. Of blocks of other tables there are none, nor of alerts that came from elsewhere,
/// whatever they say of themselves.
#[must_use]
pub fn told_alerts(block: &Block, from: Seq) -> Vec<(Seq, Alert)> {
    let told = told_rows(block).filter(|(seq, _)| *seq >= from);
    told.filter_map(|(seq, row)| Some((seq, of_row(&block.rows, row)?))).collect()
}

/// The alert of a row of `SecurityAlert` that Moneta raised; `None` for one from elsewhere.
#[must_use]
pub fn told_alert(rows: &RecordBatch, row: usize) -> Option<Alert> {
    if is_told(rows, row) { of_row(rows, row) } else { None }
}

/// The ids of the same alerts: what is read of each block while it is acknowledged must be little.
#[must_use]
pub fn told_ids(block: &Block) -> Vec<(Seq, String)> {
    told_rows(block).map(|(seq, row)| (seq, text(&block.rows, "SystemAlertId", row))).collect()
}

fn told_rows(block: &Block) -> impl Iterator<Item = (Seq, usize)> {
    let is_of_alerts = block.header.shard.table.as_str() == table::SECURITY_ALERT;
    let num_rows = if is_of_alerts { block.rows.num_rows() } else { 0 };
    (block.header.first_seq..).zip(0..num_rows).filter(|(_, row)| is_told(&block.rows, *row))
}

/// Whether a row was made here, by all that its maker writes: a sender can name the vendor, the class and the source,
/// but its record has a text.
fn is_told(rows: &RecordBatch, row: usize) -> bool {
    let has = |column: &str, value: &str| text(rows, column, row) == value;
    let is_own = has("VendorName", VENDOR)
        && has(standard::CLASS, RecordClass::Processed.name())
        && has(standard::SOURCE, SOURCE)
        && has(standard::RAW, "");
    let properties = text(rows, "ExtendedProperties", row);
    let is_untold = |p: Map<String, Value>| p.contains_key(THROTTLED) || p.contains_key(REPEATS);
    let is_quiet = || serde_json::from_str(&properties).is_ok_and(is_untold);
    is_own && time(rows, "ProcessingEndTime", row).is_some() && !is_quiet()
}

fn of_row(rows: &RecordBatch, row: usize) -> Option<Alert> {
    let text = |column: &str| text(rows, column, row);
    let events: Vec<Value> = serde_json::from_str(&text("Events")).unwrap_or_default();
    let properties: Map<String, Value> = serde_json::from_str(&text("ExtendedProperties")).unwrap_or_default();
    let property = |name: &str| properties.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let raised = time(rows, "ProcessingEndTime", row)?;
    let counts = rows.column_by_name("EventCount").and_then(|counts| counts.as_primitive_opt::<Int64Type>());
    let count = counts.filter(|counts| counts.is_valid(row)).map_or(0, |counts| counts.value(row));
    let times = ["StartTime", "EndTime"].map(|column| time(rows, column, row).unwrap_or(raised));
    let alert = Alert {
        // What a rule says instead is the data's word: messages link to the alert alone.
        link: link(&text("SystemAlertId")),
        rule_title: text("AlertName"),
        rule_author: text("RuleAuthor"),
        rule_description: text("Description"),
        rule_version: property(RULE_VERSION),
        rule_license: property(RULE_LICENSE),
        rule_references: serde_json::from_str(&text("ExtendedLinks")).unwrap_or_default(),
        level: text("RuleLevel"),
        tags: serde_json::from_str(&text("RuleTags")).unwrap_or_default(),
        explanation: property(EXPLANATION),
        false_positives: properties
            .get(FALSE_POSITIVES)
            .and_then(|list| serde_json::from_value(list.clone()).ok())
            .unwrap_or_default(),
        events: events.iter().filter_map(event).collect(),
        ..Alert::new(text("SystemAlertId"), RuleId::new(&text("RuleId")), raised)
    };
    let entities = serde_json::from_str(&text("Entities")).unwrap_or_default();
    Some(about(alert, entities, usize::try_from(count).unwrap_or(0), (times[0], times[1])))
}

fn event(event: &Value) -> Option<MatchedEvent> {
    Some(MatchedEvent {
        table: TableName::new(event["table"].as_str()?).ok()?,
        seq: event["seq"].as_u64()?,
        time: Timestamp::parse(event["time"].as_str()?)?,
        computer: event["computer"].as_str().unwrap_or_default().to_owned(),
        fields: serde_json::from_value(event["fields"].clone()).unwrap_or_default(),
        rules: serde_json::from_value(event["rules"].clone()).unwrap_or_default(),
    })
}
