//! OTLP in its JSON encoding: logs as rows of `AppTraces`, metrics as rows of `InsightsMetrics`.
//!
//! Layout: `resourceLogs[] / scopeLogs[] / logRecords[]` and `resourceMetrics[] / scopeMetrics[] / metrics[]` with
//! data points below `gauge`, `sum`, `histogram`, `exponentialHistogram` or `summary`; attributes are lists of `key`
//! and typed `value`.
//!
//! # Source
//! OTLP specification 1.x, JSON protobuf encoding: 64-bit numbers are texts, ids are hexadecimal.

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};

use super::{make_room, set_item, set_text};
use crate::json::{Document, Item};
use crate::output::{Output, Refusal, TableId};

/// Nesting of attribute values that is followed.
const DEPTH_MAX: usize = 16;

struct Found<'a> {
    resource: Option<Item<'a>>,
    scope: Option<Item<'a>>,
    metric: Option<Item<'a>>,
    record: Item<'a>,
    time: Timestamp,
}

pub(super) fn logs(item: Item<'_>, table: &TableName, output: &mut Output) -> Result<(), Refusal> {
    let mut found = Vec::new();
    for resource in list(item, "resourceLogs") {
        for scope in list(resource, "scopeLogs").chain(list(resource, "instrumentationLibraryLogs")) {
            for record in list(scope, "logRecords") {
                let time = time_of(record, &["timeUnixNano", "observedTimeUnixNano"], output)?;
                let (resource, scope) = (resource.get("resource"), scope.get("scope"));
                found.push(Found { resource, scope, metric: None, record, time });
            }
        }
    }
    if found.is_empty() {
        return Err(Refusal::new("no_records", "an OTLP request without log records"));
    }
    make_room(output, found.len());
    let id = output.table(table);
    let mut scratch = Document::default();
    for log in found {
        output.reserve(1);
        let record = log.record;
        let body = record.get("body").map(|body| any_value(body, 0)).unwrap_or_default();
        let text = serde_json::from_str::<String>(&body).unwrap_or(body);
        set_text(output, id, "Message", &text);
        if let Some(number) = record.get("severityNumber").and_then(Item::scalar).and_then(|n| n.parse::<i64>().ok()) {
            output.set_field(id, "SeverityLevel", Value::Long(level(number)));
            output.set_field(id, "SeverityNumber", Value::Long(number));
        }
        set_item(output, id, "SeverityText", record.get("severityText"), &mut scratch);
        set_item(output, id, "OperationId", record.get("traceId"), &mut scratch);
        set_item(output, id, "ParentId", record.get("spanId"), &mut scratch);
        set_item(output, id, "EventName", record.get("eventName"), &mut scratch);
        let attributes = attributes(record.get("attributes"));
        if attributes.len() > 2 {
            output.set_field(id, "Properties", Value::Json(&attributes));
        }
        around(&log, id, output);
        output.finish_row(id, RecordClass::Data, log.time, record.raw());
    }
    Ok(())
}

pub(super) fn metrics(item: Item<'_>, table: &TableName, output: &mut Output) -> Result<(), Refusal> {
    const KINDS: [&str; 5] = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"];
    let mut found = Vec::new();
    for resource in list(item, "resourceMetrics") {
        for scope in list(resource, "scopeMetrics") {
            for metric in list(scope, "metrics") {
                for point in KINDS.iter().filter_map(|kind| metric.get(kind)).flat_map(|kind| list(kind, "dataPoints"))
                {
                    let time = time_of(point, &["timeUnixNano"], output)?;
                    let (resource, scope) = (resource.get("resource"), scope.get("scope"));
                    found.push(Found { resource, scope, metric: Some(metric), record: point, time });
                }
            }
        }
    }
    if found.is_empty() {
        return Err(Refusal::new("no_records", "an OTLP request without data points"));
    }
    make_room(output, found.len());
    let id = output.table(table);
    let mut scratch = Document::default();
    for point in found {
        output.reserve(1);
        let value = ["asDouble", "asInt", "sum"].iter().find_map(|name| point.record.get(name));
        set_item(output, id, "Val", value, &mut scratch);
        set_item(output, id, "Name", point.metric.and_then(|metric| metric.get("name")), &mut scratch);
        set_item(output, id, "Unit", point.metric.and_then(|metric| metric.get("unit")), &mut scratch);
        let tags = attributes(point.record.get("attributes"));
        if tags.len() > 2 {
            set_text(output, id, "Tags", &tags);
        }
        for name in ["count", "min", "max", "bucketCounts", "explicitBounds", "quantileValues"] {
            set_item(output, id, name, point.record.get(name), &mut scratch);
        }
        set_text(output, id, "Origin", "otlp");
        around(&point, id, output);
        output.finish_row(id, RecordClass::Data, point.time, point.record.raw());
    }
    Ok(())
}

fn list<'a>(item: Item<'a>, name: &str) -> impl Iterator<Item = Item<'a>> + use<'a> {
    item.get(name).into_iter().flat_map(Item::elements)
}

fn time_of(record: Item<'_>, names: &[&str], output: &Output) -> Result<Timestamp, Refusal> {
    let stamp = |name: &&str| record.get(name).and_then(Item::scalar).filter(|text| *text != "0");
    let time = names.iter().find_map(stamp).and_then(|text| text.parse().ok().map(Timestamp::from_nanos));
    let time = time.unwrap_or(output.origin.received);
    output.check_time(time)?;
    Ok(time)
}

/// Columns of the resource and the scope around a record.
fn around(found: &Found<'_>, table: TableId, output: &mut Output) {
    let mut scratch = Document::default();
    for attribute in found.resource.into_iter().flat_map(|resource| list(resource, "attributes")) {
        let (Some(key), Some(value)) = (attribute.get("key").and_then(Item::text), attribute.get("value")) else {
            continue;
        };
        let is_metric = found.metric.is_some();
        let column = match key {
            "service.name" if is_metric => "Namespace",
            "service.name" => "AppRoleName",
            "service.instance.id" if !is_metric => "AppRoleInstance",
            "host.name" if is_metric => "Computer",
            "service.version" if !is_metric => "AppVersion",
            other => other,
        };
        let json = any_value(value, 0);
        match serde_json::from_str::<String>(&json) {
            Ok(text) => set_text(output, table, column, &text),
            Err(_) => output.set_field(table, column, Value::Json(&json)),
        }
    }
    set_item(output, table, "ScopeName", found.scope.and_then(|scope| scope.get("name")), &mut scratch);
}

/// Attributes as a JSON object.
fn attributes(item: Option<Item<'_>>) -> String {
    attributes_at(item, 0)
}

fn attributes_at(item: Option<Item<'_>>, depth: usize) -> String {
    let mut json = String::from("{");
    for attribute in item.into_iter().flat_map(Item::elements) {
        let (Some(key), Some(value)) = (attribute.get("key").and_then(Item::text), attribute.get("value")) else {
            continue;
        };
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&serde_json::Value::from(key).to_string());
        json.push(':');
        json.push_str(&any_value(value, depth));
    }
    json.push('}');
    json
}

/// A typed value (`{"stringValue":"x"}`) as JSON.
fn any_value(item: Item<'_>, depth: usize) -> String {
    let Some((kind, value)) = item.members().next() else { return "null".to_owned() };
    match kind {
        "intValue" => value.scalar().filter(|n| n.parse::<i64>().is_ok()).unwrap_or("null").to_owned(),
        "arrayValue" if depth < DEPTH_MAX => {
            let values: Vec<String> = list(value, "values").map(|value| any_value(value, depth + 1)).collect();
            format!("[{}]", values.join(","))
        }
        "kvlistValue" if depth < DEPTH_MAX => attributes_at(value.get("values"), depth + 1),
        _ => value.raw().to_owned(),
    }
}

/// Severity numbers (1 to 24, four a level) as the levels of `AppTraces` (0 verbose to 4 critical).
fn level(number: i64) -> i64 {
    match number {
        ..=8 => 0,
        9..=12 => 1,
        13..=16 => 2,
        17..=20 => 3,
        _ => 4,
    }
}
