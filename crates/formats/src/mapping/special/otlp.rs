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

use super::{capital, make_room, set_extra, set_item, set_text, with_only};
use crate::json::{Document, Item};
use crate::output::{Output, Refusal, TableId};

/// Nesting of attribute values that is followed.
const DEPTH_MAX: usize = 16;

/// Members of a log record that have columns.
const LOG_MEMBERS: [&str; 8] =
    ["timeUnixNano", "body", "severityNumber", "severityText", "traceId", "spanId", "eventName", "attributes"];
/// Bytes of members without a column that each row repeats of what stands around its record. More of them stand in the row of
/// the first: a large member around many records must not become many large ones.
const AROUND_BYTES_MAX: usize = 4 << 10;
/// Kinds of metrics, each a member that holds the data points.
const KINDS: [&str; 5] = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"];

/// A record and the objects around it.
struct Found<'a> {
    resource_scope: Item<'a>,
    scope_records: Item<'a>,
    /// The name of the list in the latter that the record stands in.
    list: &'static str,
    /// The metric and the name of its kind.
    metric: Option<(Item<'a>, &'static str)>,
    record: Item<'a>,
    /// It is the first with these around it.
    is_first: bool,
}

pub(super) fn logs(item: Item<'_>, table: &TableName, output: &mut Output) -> Result<(), Refusal> {
    let mut found = Vec::new();
    for resource_scope in list(item, "resourceLogs") {
        for list_name in ["scopeLogs", "instrumentationLibraryLogs"] {
            for scope_records in list(resource_scope, list_name) {
                let records = list(scope_records, "logRecords");
                found.extend(records.enumerate().map(|(index, record)| Found {
                    resource_scope,
                    scope_records,
                    list: list_name,
                    metric: None,
                    record,
                    is_first: index == 0,
                }));
            }
        }
    }
    if found.is_empty() {
        return Err(Refusal::new("no_records", "an OTLP request without log records"));
    }
    make_room(output, found.len());
    let id = output.table(table);
    for log in found {
        output.reserve(1);
        match time_of(log.record, &["timeUnixNano", "observedTimeUnixNano"], output) {
            Ok(time) => log.write_log(id, time, output),
            Err(refusal) => output.quarantine_part(refusal, &log.alone()),
        }
    }
    Ok(())
}

pub(super) fn metrics(item: Item<'_>, table: &TableName, output: &mut Output) -> Result<(), Refusal> {
    let mut found = Vec::new();
    for resource_scope in list(item, "resourceMetrics") {
        for scope_records in list(resource_scope, "scopeMetrics") {
            for metric in list(scope_records, "metrics") {
                for kind in KINDS {
                    let points = metric.get(kind).into_iter().flat_map(|data| list(data, "dataPoints"));
                    found.extend(points.enumerate().map(|(index, record)| Found {
                        resource_scope,
                        scope_records,
                        list: "scopeMetrics",
                        metric: Some((metric, kind)),
                        record,
                        is_first: index == 0,
                    }));
                }
            }
        }
    }
    if found.is_empty() {
        return Err(Refusal::new("no_records", "an OTLP request without data points"));
    }
    make_room(output, found.len());
    let id = output.table(table);
    for point in found {
        output.reserve(1);
        match time_of(point.record, &["timeUnixNano"], output) {
            Ok(time) => point.write_point(id, time, output),
            Err(refusal) => output.quarantine_part(refusal, &point.alone()),
        }
    }
    Ok(())
}

impl Found<'_> {
    fn write_log(&self, id: TableId, time: Timestamp, output: &mut Output) {
        let mut scratch = Document::default();
        let mut own_room = usize::MAX;
        let record = self.record;
        let body = record.get("body").map(|body| any_value(body, 0)).unwrap_or_default();
        let text = serde_json::from_str::<String>(&body).unwrap_or(body);
        set_text(output, id, "Message", &text);
        let number = record.get("severityNumber");
        match number.and_then(Item::scalar).and_then(|n| n.parse::<i64>().ok()) {
            Some(number) => {
                output.set_field(id, "SeverityLevel", Value::Long(level(number)));
                output.set_field(id, "SeverityNumber", Value::Long(number));
            }
            None => set_item(output, id, "SeverityNumber", number, &mut scratch),
        }
        set_item(output, id, "SeverityText", record.get("severityText"), &mut scratch);
        set_item(output, id, "OperationId", record.get("traceId"), &mut scratch);
        set_item(output, id, "ParentId", record.get("spanId"), &mut scratch);
        set_item(output, id, "EventName", record.get("eventName"), &mut scratch);
        let attributes = attributes(record.get("attributes"));
        if attributes.len() > 2 {
            output.set_field(id, "Properties", Value::Json(&attributes));
        }
        rest_of(record, &LOG_MEMBERS, "", &mut own_room, id, output);
        self.around(&mut self.room(), id, output);
        output.finish_row(id, RecordClass::Data, time, record.raw());
    }

    fn write_point(&self, id: TableId, time: Timestamp, output: &mut Output) {
        let mut scratch = Document::default();
        let (mut own_room, mut room) = (usize::MAX, self.room());
        let point = self.record;
        let value = ["asDouble", "asInt", "sum"].into_iter().find(|name| point.get(name).is_some());
        set_item(output, id, "Val", value.and_then(|name| point.get(name)), &mut scratch);
        let tags = attributes(point.get("attributes"));
        if tags.len() > 2 {
            set_text(output, id, "Tags", &tags);
        }
        set_text(output, id, "Origin", "otlp");
        if let Some((metric, kind)) = self.metric {
            set_item(output, id, "Name", metric.get("name"), &mut scratch);
            set_item(output, id, "Unit", metric.get("unit"), &mut scratch);
            rest_of(metric, &["name", "unit", kind], "", &mut room, id, output);
            if let Some(data) = metric.get(kind) {
                rest_of(data, &["dataPoints"], "", &mut room, id, output);
            }
        }
        let known = ["timeUnixNano", "attributes", value.unwrap_or_default()];
        rest_of(point, &known, "", &mut own_room, id, output);
        self.around(&mut room, id, output);
        output.finish_row(id, RecordClass::Data, time, point.raw());
    }

    /// Bytes of what stands around it that its row may repeat.
    fn room(&self) -> usize {
        if self.is_first { usize::MAX } else { AROUND_BYTES_MAX }
    }

    /// Columns of the resource and the scope around a record.
    fn around(&self, room: &mut usize, table: TableId, output: &mut Output) {
        let mut scratch = Document::default();
        let resource = self.resource_scope.get("resource");
        for attribute in resource.into_iter().flat_map(|resource| list(resource, "attributes")) {
            let (Some(key), Some(value)) = (attribute.get("key").and_then(Item::text), attribute.get("value")) else {
                continue;
            };
            let is_metric = self.metric.is_some();
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
        let scope_of = |name| self.scope_records.get(name);
        let scope = scope_of("scope").or_else(|| scope_of("instrumentationLibrary"));
        set_item(output, table, "ScopeName", scope.and_then(|scope| scope.get("name")), &mut scratch);
        if let Some(resource) = resource {
            rest_of(resource, &["attributes"], "Resource", room, table, output);
        }
        if let Some(scope) = scope {
            let attributes = attributes(scope.get("attributes"));
            if attributes.len() > 2 {
                output.set_field(table, "ScopeAttributes", Value::Json(&attributes));
            }
            rest_of(scope, &["name", "attributes"], "Scope", room, table, output);
        }
        let scopes = ["resource", "scopeLogs", "instrumentationLibraryLogs", "scopeMetrics"];
        rest_of(self.resource_scope, &scopes, "Resource", room, table, output);
        let records = ["scope", "instrumentationLibrary", "logRecords", "metrics"];
        rest_of(self.scope_records, &records, "Scope", room, table, output);
    }

    /// The record as a request of its own.
    fn alone(&self) -> String {
        let (around, inner) = match self.metric {
            None => (("resourceLogs", "logRecords"), self.record.raw().to_owned()),
            Some((metric, kind)) => {
                let data = metric.get(kind).map(|data| with_only(data, "dataPoints", self.record.raw()));
                let data = data.unwrap_or_default();
                (("resourceMetrics", "metrics"), super::with_member(metric, kind, &data))
            }
        };
        let scope = with_only(self.scope_records, around.1, &inner);
        let resource = with_only(self.resource_scope, self.list, &scope);
        format!("{{\"{}\":[{resource}]}}", around.0)
    }
}

/// Members without a column, under their names, as long as there is room.
fn rest_of(item: Item<'_>, known: &[&str], before: &str, room: &mut usize, table: TableId, output: &mut Output) {
    for (name, member) in item.members().filter(|(name, _)| !known.contains(name)) {
        let Some(left) = room.checked_sub(name.len() + member.raw().len()) else { continue };
        *room = left;
        match before {
            "" => set_extra(output, table, name, member),
            before => set_extra(output, table, &format!("{before}{}", capital(name)), member),
        }
    }
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
