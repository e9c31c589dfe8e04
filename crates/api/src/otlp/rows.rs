//! OTLP in its JSON form as rows of Azure Monitor's tables for applications.
//!
//! # Source
//! Azure Monitor's mapping of OpenTelemetry: a log record is a trace message with a severity from 0 (verbose) to 4
//! (critical), spans of servers and consumers are requests, all others dependencies; `service.namespace` and
//! `service.name` make the role, `service.instance.id` its instance. Attributes of resource, scope and record are
//! `Properties`; nearer ones win. What no column has stands there too, under `otel.`, `metric.` or `status.` and its
//! name in OTLP, unless it has its default value, which protobuf does not tell from none.

use moneta_base::{TableName, Timestamp};
use moneta_event::schema::standard;
use serde_json::{Map, Value};

use super::Signal;
use crate::ApiError;
use crate::intake::{Records, Target, insert_beside};

/// Why something has no rows.
enum Unusable {
    /// It is not of the form of its signal, in words: nothing of it was added.
    Item(String),
    /// There is no room for it.
    Request(ApiError),
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self::Item(reason)
    }
}

impl From<ApiError> for Unusable {
    fn from(error: ApiError) -> Self {
        Self::Request(error)
    }
}

/// Adds the rows of a request. An item that has none goes to `Quarantine` whole.
///
/// # Errors
/// What is wrong with it, when it is no request of the signal, or too large.
pub(super) fn add(signal: Signal, message: &Value, records: &mut Records) -> Result<(), ApiError> {
    match add_all(signal, message, records) {
        Ok(()) => Ok(()),
        Err(Unusable::Item(reason)) => Err(ApiError::bad_request(reason)),
        Err(Unusable::Request(error)) => Err(error),
    }
}

fn add_all(signal: Signal, message: &Value, records: &mut Records) -> Result<(), Unusable> {
    let (resources, scopes, items) = match signal {
        Signal::Logs => ("resourceLogs", "scopeLogs", "logRecords"),
        Signal::Metrics => ("resourceMetrics", "scopeMetrics", "metrics"),
        Signal::Traces => ("resourceSpans", "scopeSpans", "spans"),
    };
    if !message.is_object() {
        return Err(format!("the message must be an object with `{resources}`").into());
    }
    for resource in list(message, resources)? {
        let of_resource = &resource["resource"];
        let mut role = Role::of(attributes(of_resource)?);
        keep_rest(&mut role.properties, "otel.resource.", of_resource, &["attributes"]);
        keep_rest(&mut role.properties, "otel.resource.", resource, &["resource", scopes]);
        for scope in list(resource, scopes)? {
            let (of_scope, mut properties) = (&scope["scope"], role.properties.clone());
            keep_rest(&mut properties, "otel.scope.", of_scope, &["attributes"]);
            keep_rest(&mut properties, "otel.scope.", scope, &["scope", items]);
            properties.extend(attributes(of_scope)?);
            for item in list(scope, items)? {
                let added = match signal {
                    _ if !item.is_object() => Err(Unusable::Item(format!("one of `{items}` is no object"))),
                    Signal::Logs => add_log(item, &role, properties.clone(), records),
                    Signal::Traces => add_span(item, &role, properties.clone(), records),
                    Signal::Metrics => add_metric(item, &role, &properties, records),
                };
                match added {
                    Err(Unusable::Item(reason)) => records.push_refused(table_of(signal), item, reason)?,
                    other => other?,
                }
            }
        }
    }
    Ok(())
}

/// The table that the items of a signal are meant for.
fn table_of(signal: Signal) -> TableName {
    table(match signal {
        Signal::Logs => "AppTraces",
        Signal::Metrics => "AppMetrics",
        Signal::Traces => "AppDependencies",
    })
}

/// Keeps the members that were not read.
fn keep_rest(properties: &mut Map<String, Value>, prefix: &str, of: &Value, read: &[&str]) {
    let members = of.as_object().into_iter().flatten();
    for (name, value) in members.filter(|(name, value)| !read.contains(&name.as_str()) && !is_default(value)) {
        insert_beside(properties, format!("{prefix}{name}"), value.clone());
    }
}

/// Which part of an application it is, and what else is said of it.
struct Role {
    name: String,
    instance: String,
    version: String,
    properties: Map<String, Value>,
}

impl Role {
    fn of(resource: Map<String, Value>) -> Self {
        let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
        let (namespace, service) = (text("service.namespace"), text("service.name"));
        let name = if namespace.is_empty() { service.to_owned() } else { format!("[{namespace}]/{service}") };
        let instance = [text("service.instance.id"), text("host.name")].into_iter().find(|text| !text.is_empty());
        Self {
            name,
            instance: instance.unwrap_or_default().to_owned(),
            version: text("service.version").to_owned(),
            properties: resource,
        }
    }

    fn row(&self, time: Option<Timestamp>) -> Map<String, Value> {
        let mut row = Map::new();
        row.extend(time.map(|time| (standard::TIME_GENERATED.to_owned(), time.to_string().into())));
        let texts = [("AppRoleName", &self.name), ("AppRoleInstance", &self.instance), ("AppVersion", &self.version)];
        row.extend(texts.into_iter().map(|(name, text)| (name.to_owned(), text.clone().into())));
        row
    }
}

fn table(name: &str) -> TableName {
    TableName::new(name).expect("a built-in table")
}

fn add_log(
    log: &Value,
    role: &Role,
    mut properties: Map<String, Value>,
    records: &mut Records,
) -> Result<(), Unusable> {
    let mut read = vec!["body", "severityNumber", "traceId", "spanId", "attributes", "severityText", "eventName"];
    let time = ["timeUnixNano", "observedTimeUnixNano"].into_iter().find_map(|name| Some((name, time(&log[name])?)));
    read.extend(time.map(|(name, _)| name));
    let mut row = role.row(time.map(|(_, time)| time));
    let message = match plain(&log["body"])? {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    row.insert("Message".to_owned(), message.into());
    let number = log["severityNumber"].as_i64().unwrap_or_default();
    row.extend(severity(number).map(|level| ("SeverityLevel".to_owned(), level.into())));
    row.insert("OperationId".to_owned(), log["traceId"].clone());
    row.insert("ParentId".to_owned(), log["spanId"].clone());
    properties.extend(attributes(log)?);
    for name in ["severityText", "eventName"].into_iter().filter(|name| !is_default(&log[*name])) {
        insert_beside(&mut properties, name.to_owned(), log[name].clone());
    }
    // The level says it, where it is the plain one of its name.
    if !matches!(number, 0 | 9 | 13 | 17 | 21) {
        insert_beside(&mut properties, "otel.severityNumber".to_owned(), number.into());
    }
    keep_rest(&mut properties, "otel.", log, &read);
    row.insert("Properties".to_owned(), properties.into());
    Ok(records.push(&Target::Table(table("AppTraces")), &row)?)
}

/// From 1 (trace) to 24 (fatal): verbose, information, warning, error, critical.
fn severity(number: i64) -> Option<i64> {
    match number {
        1..=8 => Some(0),
        9..=12 => Some(1),
        13..=16 => Some(2),
        17..=20 => Some(3),
        21..=24 => Some(4),
        _ => None,
    }
}

fn add_span(
    span: &Value,
    role: &Role,
    mut properties: Map<String, Value>,
    records: &mut Records,
) -> Result<(), Unusable> {
    let (start, end) = (time(&span["startTimeUnixNano"]), time(&span["endTimeUnixNano"]));
    let own = attributes(span)?;
    let text = |names: &[&str]| {
        let value = names.iter().find_map(|name| own.get(*name)).cloned().unwrap_or_default();
        if value.is_number() { value.to_string().into() } else { value }
    };
    // Kinds: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    let kind = span["kind"].as_i64().unwrap_or_default();
    let is_request = matches!(kind, 2 | 5);
    let mut row = role.row(start);
    let fixed = [("Name", "name"), ("Id", "spanId"), ("OperationId", "traceId"), ("ParentId", "parentSpanId")];
    row.extend(fixed.into_iter().map(|(name, member)| (name.to_owned(), span[member].clone())));
    if let (Some(start), Some(end)) = (start, end) {
        row.insert("DurationMs".to_owned(), (end.since(start).as_secs_f64() * 1000.0).into());
    }
    // Status 2 is an error; unset and ok are not.
    let is_error = span["status"]["code"].as_i64() == Some(2);
    row.insert("Success".to_owned(), (!is_error).into());
    row.insert(
        "ResultCode".to_owned(),
        text(&["http.response.status_code", "http.status_code", "rpc.grpc.status_code"]),
    );
    if is_request {
        row.insert("Url".to_owned(), text(&["url.full", "http.url", "url.path", "http.target"]));
    } else {
        row.insert("Target".to_owned(), text(&["server.address", "net.peer.name", "peer.service"]));
        row.insert("Data".to_owned(), text(&["url.full", "http.url", "db.query.text", "db.statement"]));
        let kinds = ["db.system.name", "db.system", "rpc.system", "messaging.system"];
        let of_kind = text(&kinds);
        let is_http = own.contains_key("http.request.method") || own.contains_key("http.method");
        row.insert("DependencyType".to_owned(), if of_kind.is_null() && is_http { "HTTP".into() } else { of_kind });
    }
    let mut read = vec!["name", "spanId", "traceId", "parentSpanId", "kind", "status", "attributes", "events", "links"];
    read.extend(start.map(|_| "startTimeUnixNano"));
    read.extend(start.and(end).map(|_| "endTimeUnixNano"));
    properties.extend(own);
    keep_rest(&mut properties, "status.", &span["status"], if is_error { &["code"] } else { &[] });
    insert_beside(&mut properties, "span.kind".to_owned(), kind.into());
    for (name, member) in [("span.events", "events"), ("span.links", "links")] {
        let with_attributes = list(span, member)?.iter().map(|item| with_plain(item, "attributes"));
        let list = with_attributes.collect::<Result<Vec<_>, _>>()?;
        if !list.is_empty() {
            insert_beside(&mut properties, name.to_owned(), list.into());
        }
    }
    keep_rest(&mut properties, "otel.", span, &read);
    row.insert("Properties".to_owned(), properties.into());
    let name = if is_request { "AppRequests" } else { "AppDependencies" };
    Ok(records.push(&Target::Table(table(name)), &row)?)
}

/// Something with attributes under this name, made plain.
fn with_plain(item: &Value, name: &str) -> Result<Value, String> {
    let mut item = item.clone();
    let own = pairs(&item, name)?;
    if !own.is_empty() {
        item[name] = own.into();
    }
    Ok(item)
}

fn add_metric(metric: &Value, role: &Role, shared: &Map<String, Value>, records: &mut Records) -> Result<(), Unusable> {
    let kinds = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"];
    let Some(kind) = kinds.into_iter().find(|kind| metric[*kind].is_object()) else {
        let name: String = metric["name"].as_str().unwrap_or_default().chars().take(128).collect();
        return Err(format!("the metric {name:?} has no data of a known kind").into());
    };
    let data = &metric[kind];
    let mut described = shared.clone();
    described.insert("metric.kind".to_owned(), kind.into());
    let metric = with_plain(metric, "metadata")?;
    keep_rest(&mut described, "metric.", &metric, &["name", kind]);
    keep_rest(&mut described, "metric.", data, &["dataPoints"]);
    let rows = list(data, "dataPoints")?.iter().map(|point| {
        let mut row = role.row(time(&point["timeUnixNano"]));
        row.insert("Name".to_owned(), metric["name"].clone());
        row.insert("Properties".to_owned(), point_properties(point, described.clone())?.into());
        row.extend(measured(kind, point));
        Ok(row)
    });
    // All of its points or none: what goes to `Quarantine` is the whole metric.
    for row in rows.collect::<Result<Vec<_>, Unusable>>()? {
        records.push(&Target::Table(table("AppMetrics")), &row)?;
    }
    Ok(())
}

/// Members of a point that columns have, whatever its kind.
const MEASURED: [&str; 6] = ["asDouble", "asInt", "count", "sum", "min", "max"];

fn point_properties(point: &Value, mut properties: Map<String, Value>) -> Result<Map<String, Value>, Unusable> {
    properties.extend(attributes(point)?);
    let exemplars = list(point, "exemplars")?.iter().map(|exemplar| with_plain(exemplar, "filteredAttributes"));
    let exemplars = exemplars.collect::<Result<Vec<_>, _>>()?;
    if !exemplars.is_empty() {
        insert_beside(&mut properties, "otel.exemplars".to_owned(), exemplars.into());
    }
    let mut read = vec!["attributes", "exemplars"];
    read.extend(time(&point["timeUnixNano"]).map(|_| "timeUnixNano"));
    read.extend(MEASURED.into_iter().chain(MEASUREMENTS));
    keep_rest(&mut properties, "otel.", point, &read);
    Ok(properties)
}

/// The columns with what a point measured.
fn measured(kind: &str, point: &Value) -> Vec<(String, Value)> {
    let named = |name: &str, value: Value| (name.to_owned(), value);
    if kind == "gauge" || kind == "sum" {
        let value = number(if point["asDouble"].is_null() { &point["asInt"] } else { &point["asDouble"] });
        let same = ["Sum", "Min", "Max"].map(|name| named(name, value.clone()));
        return std::iter::once(named("ItemCount", 1.into())).chain(same).collect();
    }
    vec![
        named("ItemCount", number(&point["count"])),
        named("Sum", number(&point["sum"])),
        named("Min", number(&point["min"])),
        named("Max", number(&point["max"])),
        named("Measurements", measurements(point)),
    ]
}

const MEASUREMENTS: [&str; 8] =
    ["bucketCounts", "explicitBounds", "scale", "zeroCount", "zeroThreshold", "positive", "negative", "quantileValues"];

/// Buckets and quantiles as they came.
fn measurements(point: &Value) -> Value {
    let kept = MEASUREMENTS.into_iter().filter(|name| !is_empty(&point[*name]));
    Value::Object(kept.map(|name| (name.to_owned(), point[name].clone())).collect())
}

/// The elements of a list that may be absent.
fn list<'a>(value: &'a Value, name: &str) -> Result<&'a [Value], String> {
    match &value[name] {
        Value::Null => Ok(&[]),
        Value::Array(list) => Ok(list),
        _ => Err(format!("`{name}` must be a list")),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Whether it is what protobuf leaves out. `false` is told: JSON says it only on purpose.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0",
        Value::Object(object) => object.is_empty(),
        other => is_empty(other),
    }
}

/// Nanoseconds since 1970, as number or text; 0 is none, and so is what is no time.
fn time(value: &Value) -> Option<Timestamp> {
    let nanos = match value {
        Value::String(text) => text.parse::<i64>().ok(),
        other => other.as_i64(),
    };
    nanos.filter(|nanos| *nanos != 0).map(Timestamp::from_nanos)
}

/// A number of 64 bits is text in JSON.
fn number(value: &Value) -> Value {
    let parsed = value.as_str().and_then(|text| text.parse::<i64>().ok());
    parsed.map_or_else(|| value.clone(), Value::from)
}

/// The attributes of something, plain.
fn attributes(value: &Value) -> Result<Map<String, Value>, String> {
    pairs(value, "attributes")
}

/// A list of names with values as an object, plain.
fn pairs(value: &Value, name: &str) -> Result<Map<String, Value>, String> {
    let pairs = list(value, name)?.iter();
    pairs.map(|pair| Ok((pair["key"].as_str().unwrap_or_default().to_owned(), plain(&pair["value"])?))).collect()
}

/// An `AnyValue` as the JSON it stands for; one of a kind that is not known stays as it is. Whoever read it has bounded
/// how deep it is.
fn plain(value: &Value) -> Result<Value, String> {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else { return Ok(Value::Null) };
    Ok(match kind.as_str() {
        "intValue" => number(inner),
        "arrayValue" => list(inner, "values")?.iter().map(plain).collect::<Result<Vec<_>, _>>()?.into(),
        "kvlistValue" => pairs(inner, "values")?.into(),
        "stringValue" | "boolValue" | "doubleValue" | "bytesValue" => inner.clone(),
        _ => value.clone(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(signal: Signal, message: &Value) -> Result<String, String> {
        let mut records = Records::default();
        add(signal, message, &mut records).map(|()| records.text()).map_err(|error| error.message)
    }

    /// The message of one item.
    fn of(signal: Signal, item: &Value) -> Value {
        match signal {
            Signal::Logs => json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [item] }] }] }),
            Signal::Metrics => json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [item] }] }] }),
            Signal::Traces => json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [item] }] }] }),
        }
    }

    #[test]
    fn values_become_plain() {
        let value = json!({ "kvlistValue": { "values": [
            { "key": "a", "value": { "arrayValue": { "values": [{ "intValue": "1" }, { "doubleValue": 0.5 }] } } },
            { "key": "b", "value": {} }, { "key": "c", "value": { "odd": 1 } } ] } });
        assert_eq!(plain(&value).unwrap().to_string(), r#"{"a":[1,0.5],"b":null,"c":{"odd":1}}"#);
    }

    #[test]
    fn spans_are_requests_or_dependencies_and_what_is_no_request_is_said() {
        let span = |kind: i64| rows(Signal::Traces, &of(Signal::Traces, &json!({ "kind": kind }))).unwrap();
        assert!(span(2).contains("AppRequests"));
        assert!(span(3).contains("AppDependencies"));
        for bad in [json!([]), json!({ "resourceLogs": 5 }), json!({ "resourceLogs": [{ "scopeLogs": 5 }] })] {
            assert!(rows(Signal::Logs, &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_item_that_cannot_be_used_is_kept_beside_the_others() {
        for (signal, item, reason) in [
            (Signal::Metrics, json!({ "name": "m" }), "no data of a known kind"),
            (Signal::Metrics, json!({ "name": "m", "gauge": { "dataPoints": [{}, { "attributes": 5 }] } }), "a list"),
            (Signal::Logs, json!(5), "no object"),
            (Signal::Logs, json!({ "attributes": 5 }), "a list"),
            (Signal::Traces, json!({ "events": {} }), "a list"),
        ] {
            let rows = rows(signal, &of(signal, &item)).unwrap();
            let (kept, said) = rows.split_once(" refused: ").unwrap();
            assert_eq!(kept, item.to_string());
            assert!(said.contains(reason), "{said}");
        }
    }

    #[test]
    fn what_no_column_has_is_kept() {
        let check = |signal: Signal, item: &Value, expected: &str| {
            let rows = rows(signal, &of(signal, item)).unwrap();
            let (_, properties) = rows.split_once(r#""Properties":"#).unwrap();
            assert!(properties.starts_with(expected), "{properties}");
        };
        let attribute = json!([{ "key": "otel.flags", "value": { "stringValue": "own" } }]);
        check(
            Signal::Logs,
            &json!({ "timeUnixNano": "7", "observedTimeUnixNano": "8", "flags": 1, "severityNumber": 10,
                "droppedAttributesCount": 0, "attributes": attribute }),
            r#"{"otel.flags":"own","otel.severityNumber":10,"otel.observedTimeUnixNano":"8","otel.flags_":1}"#,
        );
        check(Signal::Logs, &json!({ "timeUnixNano": "soon" }), r#"{"otel.timeUnixNano":"soon"}"#);
        check(
            Signal::Traces,
            &json!({ "kind": 2, "traceState": "a=b", "status": { "code": 1 }, "endTimeUnixNano": "9" }),
            r#"{"status.code":1,"span.kind":2,"otel.traceState":"a=b","otel.endTimeUnixNano":"9"}"#,
        );
        let exemplar = json!({ "filteredAttributes": attribute, "asInt": "3" });
        check(
            Signal::Metrics,
            &json!({ "name": "m", "description": "d", "unit": "s", "gauge": { "dataPoints":
                [{ "asInt": "5", "startTimeUnixNano": "7", "timeUnixNano": "8", "exemplars": [exemplar] }] } }),
            concat!(
                r#"{"metric.kind":"gauge","metric.description":"d","metric.unit":"s","otel.exemplars":"#,
                r#"[{"filteredAttributes":{"otel.flags":"own"},"asInt":"3"}],"otel.startTimeUnixNano":"7"}"#,
            ),
        );
        let mut message = of(Signal::Logs, &json!({}));
        message["resourceLogs"][0]["schemaUrl"] = "u".into();
        message["resourceLogs"][0]["scopeLogs"][0]["scope"] = json!({ "name": "n", "droppedAttributesCount": 2 });
        let rows = rows(Signal::Logs, &message).unwrap();
        let properties =
            r#"{"otel.resource.schemaUrl":"u","otel.scope.name":"n","otel.scope.droppedAttributesCount":2}"#;
        assert!(rows.contains(properties), "{rows}");
    }

    #[test]
    fn severities_are_five() {
        for (number, level) in [(0, None), (1, Some(0)), (9, Some(1)), (13, Some(2)), (17, Some(3)), (24, Some(4))] {
            assert_eq!(severity(number), level);
        }
    }
}
