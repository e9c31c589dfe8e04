//! Alerts out of their rows in `SecurityAlert`: what is stored is enough to tell people of it.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampNanosecondType;
use moneta_base::{RuleId, Seq, TableName, Timestamp};
use moneta_event::catalog::table;
use moneta_event::schema::standard;
use moneta_event::{Block, RecordClass};
use moneta_ports::{Alert, MatchedEvent};
use moneta_rules::hunt::text;
use serde_json::{Map, Value};

use crate::alert::{PROVIDER, THROTTLED};

/// The alerts of a block that Moneta raised and tells people of, with their sequences: all but those that are stored
/// short. Of blocks of other tables, and of alerts that came from elsewhere, there are none.
#[must_use]
pub fn told_alerts(block: &Block) -> Vec<(Seq, Alert)> {
    if block.header.shard.table.as_str() != table::SECURITY_ALERT {
        return Vec::new();
    }
    let seqs = (block.header.first_seq..).zip(0..block.rows.num_rows());
    seqs.filter_map(|(seq, row)| Some((seq, of_row(&block.rows, row)?))).collect()
}

fn of_row(rows: &RecordBatch, row: usize) -> Option<Alert> {
    let text = |column: &str| text(rows, column, row);
    let ours = text("ProviderName") == PROVIDER && text(standard::CLASS) == RecordClass::Processed.name();
    let properties: Map<String, Value> = serde_json::from_str(&text("ExtendedProperties")).unwrap_or_default();
    if !ours || properties.contains_key(THROTTLED) {
        return None;
    }
    let events: Vec<Value> = serde_json::from_str(&text("Events")).unwrap_or_default();
    Some(Alert {
        id: text("SystemAlertId"),
        raised: time(rows, "ProcessingEndTime", row)?,
        rule_id: RuleId::new(&text("RuleId")),
        rule_title: text("AlertName"),
        rule_author: text("RuleAuthor"),
        rule_description: text("Description"),
        level: text("RuleLevel"),
        tags: serde_json::from_str(&text("RuleTags")).unwrap_or_default(),
        events: events.iter().filter_map(event).collect(),
    })
}

fn event(event: &Value) -> Option<MatchedEvent> {
    Some(MatchedEvent {
        table: TableName::new(event["table"].as_str()?).ok()?,
        seq: event["seq"].as_u64()?,
        time: Timestamp::parse(event["time"].as_str()?)?,
        computer: event["computer"].as_str().unwrap_or_default().to_owned(),
        fields: serde_json::from_value(event["fields"].clone()).unwrap_or_default(),
    })
}

fn time(rows: &RecordBatch, column: &str, row: usize) -> Option<Timestamp> {
    let times = rows.column_by_name(column)?.as_primitive_opt::<TimestampNanosecondType>()?;
    times.is_valid(row).then(|| Timestamp::from_nanos(times.value(row)))
}
