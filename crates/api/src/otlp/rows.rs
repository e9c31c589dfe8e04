//! OTLP in its JSON form as rows of Azure Monitor's tables for applications.
//!
//! # Source
//! Azure Monitor's mapping of OpenTelemetry: a log record is a trace message with a severity from 0 (verbose) to 4
//! (critical), spans of servers and consumers are requests, all others dependencies; `service.namespace` and
//! `service.name` make the role, `service.instance.id` its instance. Attributes of resource, scope and record are
//! `Properties`; nearer ones win.

use moneta_base::{TableName, Timestamp};
use moneta_event::schema::standard;
use serde_json::{Map, Value};

use super::Signal;
use crate::intake::{Records, Target};

/// Values within values at most, in attributes and bodies.
const DEPTH_MAX: usize = 64;

/// Adds the rows of a request.
///
/// # Errors
/// What is wrong with it, when it is not of the form of the signal.
pub(super) fn add(signal: Signal, message: &Value, records: &mut Records) -> Result<(), String> {
    let (resources, scopes, items) = match signal {
        Signal::Logs => ("resourceLogs", "scopeLogs", "logRecords"),
        Signal::Metrics => ("resourceMetrics", "scopeMetrics", "metrics"),
        Signal::Traces => ("resourceSpans", "scopeSpans", "spans"),
    };
    if !message.is_object() {
        return Err(format!("the message must be an object with `{resources}`"));
    }
    for resource in list(message, resources)? {
        let role = Role::of(&attributes(&resource["resource"])?);
        for scope in list(resource, scopes)? {
            let mut properties = role.properties.clone();
            let of_scope = &scope["scope"];
            let texts = [("otel.scope.name", &of_scope["name"]), ("otel.scope.version", &of_scope["version"])];
            for (name, text) in texts.into_iter().filter(|(_, text)| text.as_str().is_some_and(|text| !text.is_empty()))
            {
                properties.insert(name.to_owned(), text.clone());
            }
            properties.extend(attributes(of_scope)?);
            for item in list(scope, items)? {
                match signal {
                    Signal::Logs => add_log(item, &role, properties.clone(), records)?,
                    Signal::Traces => add_span(item, &role, properties.clone(), records)?,
                    Signal::Metrics => add_metric(item, &role, &properties, records)?,
                }
            }
        }
    }
    Ok(())
}

/// Which part of an application it is, and what else is said of it.
struct Role {
    name: String,
    instance: String,
    version: String,
    properties: Map<String, Value>,
}

impl Role {
    fn of(resource: &Map<String, Value>) -> Self {
        let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
        let (namespace, service) = (text("service.namespace"), text("service.name"));
        let name = if namespace.is_empty() { service.to_owned() } else { format!("[{namespace}]/{service}") };
        let instance = [text("service.instance.id"), text("host.name")].into_iter().find(|text| !text.is_empty());
        Self {
            name,
            instance: instance.unwrap_or_default().to_owned(),
            version: text("service.version").to_owned(),
            properties: resource.clone(),
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

fn target(table: &str) -> Target {
    Target::Table(TableName::new(table).expect("a built-in table"))
}

fn add_log(log: &Value, role: &Role, mut properties: Map<String, Value>, records: &mut Records) -> Result<(), String> {
    let time = time(&log["timeUnixNano"])?.map_or_else(|| time(&log["observedTimeUnixNano"]), |time| Ok(Some(time)))?;
    let mut row = role.row(time);
    let body = plain(&log["body"], 0)?;
    let message = match body {
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
    for (name, value) in [("severityText", &log["severityText"]), ("eventName", &log["eventName"])] {
        properties.extend((!is_empty(value)).then(|| (name.to_owned(), value.clone())));
    }
    row.insert("Properties".to_owned(), properties.into());
    records.push(&target("AppTraces"), &row).map_err(|error| error.message)?;
    Ok(())
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
) -> Result<(), String> {
    let (start, end) = (time(&span["startTimeUnixNano"])?, time(&span["endTimeUnixNano"])?);
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
    row.insert("Success".to_owned(), (span["status"]["code"].as_i64() != Some(2)).into());
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
    properties.extend(own.clone());
    properties.extend(
        (!is_empty(&span["status"]["message"]))
            .then(|| ("status.message".to_owned(), span["status"]["message"].clone())),
    );
    properties.insert("span.kind".to_owned(), kind.into());
    for (name, member) in [("span.events", "events"), ("span.links", "links")] {
        let list = list(span, member)?.iter().map(with_attributes).collect::<Result<Vec<_>, _>>()?;
        properties.extend((!list.is_empty()).then(|| (name.to_owned(), Value::from(list))));
    }
    row.insert("Properties".to_owned(), properties.into());
    let table = if is_request { "AppRequests" } else { "AppDependencies" };
    records.push(&target(table), &row).map_err(|error| error.message)?;
    Ok(())
}

/// An event or link of a span, its attributes plain.
fn with_attributes(item: &Value) -> Result<Value, String> {
    let mut item = item.clone();
    let own = attributes(&item)?;
    if !own.is_empty() {
        item["attributes"] = own.into();
    }
    Ok(item)
}

fn add_metric(metric: &Value, role: &Role, shared: &Map<String, Value>, records: &mut Records) -> Result<(), String> {
    let kinds = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"];
    let Some(kind) = kinds.into_iter().find(|kind| metric[*kind].is_object()) else {
        return Err(format!("the metric {} has no data of a known kind", metric["name"]));
    };
    let data = &metric[kind];
    for point in list(data, "dataPoints")? {
        let mut row = role.row(time(&point["timeUnixNano"])?);
        row.insert("Name".to_owned(), metric["name"].clone());
        let mut properties = shared.clone();
        properties.insert("metric.kind".to_owned(), kind.into());
        let described = [("unit", metric), ("aggregationTemporality", data), ("isMonotonic", data)];
        for (name, of) in described.into_iter().filter(|(name, of)| !is_empty(&of[*name])) {
            properties.insert(format!("metric.{name}"), of[name].clone());
        }
        properties.extend(attributes(point)?);
        row.insert("Properties".to_owned(), properties.into());
        let value = if point["asDouble"].is_null() { &point["asInt"] } else { &point["asDouble"] };
        if kind == "gauge" || kind == "sum" {
            let value = number(value);
            row.insert("ItemCount".to_owned(), 1.into());
            row.extend(["Sum", "Min", "Max"].map(|name| (name.to_owned(), value.clone())));
        } else {
            row.insert("ItemCount".to_owned(), number(&point["count"]));
            row.insert("Sum".to_owned(), number(&point["sum"]));
            row.insert("Min".to_owned(), number(&point["min"]));
            row.insert("Max".to_owned(), number(&point["max"]));
            row.insert("Measurements".to_owned(), measurements(point));
        }
        records.push(&target("AppMetrics"), &row).map_err(|error| error.message)?;
    }
    Ok(())
}

/// Buckets and quantiles as they came.
fn measurements(point: &Value) -> Value {
    let names = [
        "bucketCounts",
        "explicitBounds",
        "scale",
        "zeroCount",
        "zeroThreshold",
        "positive",
        "negative",
        "quantileValues",
    ];
    let kept = names.into_iter().filter(|name| !is_empty(&point[*name]));
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

/// Nanoseconds since 1970, as number or text; 0 is none.
fn time(value: &Value) -> Result<Option<Timestamp>, String> {
    let nanos = match value {
        Value::Null => Some(0),
        Value::String(text) => text.parse::<i64>().ok(),
        other => other.as_i64(),
    };
    match nanos {
        Some(0) => Ok(None),
        Some(nanos) => Ok(Some(Timestamp::from_nanos(nanos))),
        None => Err(format!("{value} is not a time in nanoseconds since 1970")),
    }
}

/// A number of 64 bits is text in JSON.
fn number(value: &Value) -> Value {
    let parsed = value.as_str().and_then(|text| text.parse::<i64>().ok());
    parsed.map_or_else(|| value.clone(), Value::from)
}

/// The attributes of something, plain.
fn attributes(value: &Value) -> Result<Map<String, Value>, String> {
    let pairs = list(value, "attributes")?.iter();
    pairs.map(|pair| Ok((pair["key"].as_str().unwrap_or_default().to_owned(), plain(&pair["value"], 0)?))).collect()
}

/// An `AnyValue` as the JSON it stands for.
fn plain(value: &Value, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("values are nested more than {DEPTH_MAX} deep"));
    }
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else { return Ok(Value::Null) };
    Ok(match kind.as_str() {
        "intValue" => number(inner),
        "arrayValue" => {
            let values = list(inner, "values")?.iter().map(|value| plain(value, depth + 1));
            values.collect::<Result<Vec<_>, _>>()?.into()
        }
        "kvlistValue" => {
            let pairs = list(inner, "values")?.iter().map(|pair| {
                Ok::<_, String>((
                    pair["key"].as_str().unwrap_or_default().to_owned(),
                    plain(&pair["value"], depth + 1)?,
                ))
            });
            Value::Object(pairs.collect::<Result<Map<_, _>, _>>()?)
        }
        "stringValue" | "boolValue" | "doubleValue" | "bytesValue" => inner.clone(),
        other => return Err(format!("a value cannot be a {}", other.chars().take(64).collect::<String>())),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(signal: Signal, message: Value) -> Result<String, String> {
        let mut records = Records::default();
        add(signal, &message, &mut records).map(|()| format!("{records:?}"))
    }

    #[test]
    fn values_become_plain() {
        let value = json!({ "kvlistValue": { "values": [
            { "key": "a", "value": { "arrayValue": { "values": [{ "intValue": "1" }, { "doubleValue": 0.5 }] } } },
            { "key": "b", "value": {} } ] } });
        assert_eq!(plain(&value, 0).unwrap().to_string(), r#"{"a":[1,0.5],"b":null}"#);
        assert!(plain(&json!({ "odd": 1 }), 0).is_err());
    }

    #[test]
    fn spans_are_requests_or_dependencies_and_what_is_malformed_is_said() {
        let spans = |kind: i64| json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{ "kind": kind }] }] }] });
        assert!(rows(Signal::Traces, spans(2)).unwrap().contains("AppRequests"));
        assert!(rows(Signal::Traces, spans(3)).unwrap().contains("AppDependencies"));
        for bad in [
            json!([]),
            json!({ "resourceLogs": 5 }),
            json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{ "timeUnixNano": "x" }] }] }] }),
        ] {
            assert!(rows(Signal::Logs, bad.clone()).is_err(), "{bad}");
        }
        let metric = json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [{ "name": "m" }] }] }] });
        assert!(rows(Signal::Metrics, metric).unwrap_err().contains("known kind"));
    }

    #[test]
    fn severities_are_five() {
        for (number, level) in [(0, None), (1, Some(0)), (9, Some(1)), (13, Some(2)), (17, Some(3)), (24, Some(4))] {
            assert_eq!(severity(number), level);
        }
    }
}
