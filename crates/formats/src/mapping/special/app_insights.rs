//! Telemetry of Application Insights: documents of the continuous export, and envelopes as its SDKs send them.
//!
//! Layout of a document: one list of items named by their kind (`request`, `message`, ...) beside `context` and
//! `internal`. Durations count 100 ns. Layout of an envelope: `data.baseType` and `data.baseData` beside `tags`, `time`
//! and `iKey`. A document with several items gives a row each, as do several metrics of an item. The metrics of an exported
//! document stand in `context.custom.metrics`, beside an empty list. Severities are 0 to 4, or their words.
//!
//! # Source
//! Microsoft: "Application Insights Export Data Model"; telemetry types of the SDKs' `ContextTagKeys` and `Domain` schemas.

use moneta_event::{RecordClass, Value};

use super::{built_in, make_room, set_item, set_text, time_of};
use crate::clock_text;
use crate::json::{Document, Item};
use crate::mapping::choose::find;
use crate::output::{Output, Refusal, TableId};

/// Kinds of items: the list's name, the envelope's type, the table.
const KINDS: [(&str, &str, &str); 10] = [
    ("request", "RequestData", "AppRequests"),
    ("remoteDependency", "RemoteDependencyData", "AppDependencies"),
    ("basicException", "ExceptionData", "AppExceptions"),
    ("event", "EventData", "AppEvents"),
    ("message", "MessageData", "AppTraces"),
    ("metric", "MetricData", "AppMetrics"),
    ("view", "PageViewData", "AppPageViews"),
    ("availability", "AvailabilityData", "AppAvailabilityResults"),
    ("performanceCounter", "PerformanceCounterData", "AppPerformanceCounters"),
    ("clientPerformance", "PageViewPerfData", "AppBrowserTimings"),
];

/// Columns from the parts around the item: document path, envelope tag.
const CONTEXT: [(&str, &str, &str); 19] = [
    ("AppRoleInstance", "device.roleInstance", "ai.cloud.roleInstance"),
    ("AppRoleName", "device.roleName", "ai.cloud.role"),
    ("AppVersion", "application.version", "ai.application.ver"),
    ("ClientIP", "location.clientip", "ai.location.ip"),
    ("ClientCity", "location.city", "ai.location.city"),
    ("ClientStateOrProvince", "location.province", "ai.location.province"),
    ("ClientCountryOrRegion", "location.country", "ai.location.country"),
    ("ClientType", "device.type", "ai.device.type"),
    ("ClientModel", "device.model", "ai.device.model"),
    ("ClientOS", "device.osVersion", "ai.device.osVersion"),
    ("ClientBrowser", "device.browser", "ai.device.browser"),
    ("OperationId", "operation.id", "ai.operation.id"),
    ("ParentId", "operation.parentId", "ai.operation.parentId"),
    ("OperationName", "operation.name", "ai.operation.name"),
    ("SyntheticSource", "operation.syntheticSource", "ai.operation.syntheticSource"),
    ("SessionId", "session.id", "ai.session.id"),
    ("UserId", "user.anonId", "ai.user.id"),
    ("UserAuthenticatedId", "user.authId", "ai.user.authUserId"),
    ("UserAccountId", "user.accountId", "ai.user.accountId"),
];

/// Columns of items: the column, and the names its value has.
const FIELDS: [(&str, &[&str]); 33] = [
    ("Id", &["id", "testRunId"]),
    ("Name", &["name", "testName"]),
    ("Category", &["categoryName"]),
    ("Counter", &["counterName"]),
    ("Instance", &["instanceName"]),
    ("Size", &["dataSize"]),
    ("Url", &["url"]),
    ("Success", &["success"]),
    ("ResultCode", &["responseCode", "resultCode"]),
    ("Source", &["source"]),
    ("ItemCount", &["count"]),
    ("Message", &["message", "raw", "messageText"]),
    ("Target", &["target"]),
    ("DependencyType", &["type", "dependencyTypeName", "dependencyType"]),
    ("Data", &["data", "commandName"]),
    ("ProblemId", &["problemId"]),
    ("ExceptionType", &["exceptionType", "typeName"]),
    ("Assembly", &["assembly"]),
    ("Method", &["method"]),
    ("OuterType", &["outerExceptionType"]),
    ("OuterMessage", &["outerExceptionMessage"]),
    ("OuterMethod", &["outerExceptionThrownAtMethod"]),
    ("OuterAssembly", &["outerExceptionThrownAtAssembly"]),
    ("InnermostType", &["innermostExceptionType"]),
    ("InnermostMessage", &["innermostExceptionMessage"]),
    ("InnermostMethod", &["innermostExceptionThrownAtMethod"]),
    ("InnermostAssembly", &["innermostExceptionThrownAtAssembly"]),
    ("HandledAt", &["handledAt"]),
    ("Details", &["exceptions"]),
    ("Properties", &["properties"]),
    ("Measurements", &["measurements"]),
    ("Location", &["runLocation"]),
    ("ReferrerUri", &["referrerUri"]),
];

/// Columns of durations, which are objects with a `value` of 100 ns in exports, and texts in envelopes.
const DURATIONS: [(&str, &[&str]); 5] = [
    ("TotalDurationMs", &["total", "perfTotal"]),
    ("NetworkDurationMs", &["networkConnection", "networkConnect"]),
    ("SendDurationMs", &["sendRequest", "sentRequest"]),
    ("ReceiveDurationMs", &["receiveRequest", "receivedResponse"]),
    ("ProcessingDurationMs", &["clientProcess", "domProcessing"]),
];

/// Columns of a metric, and the names its values have.
const METRIC: [(&str, &[&str]); 4] =
    [("ItemCount", &["count"]), ("Min", &["min"]), ("Max", &["max"]), ("Name", &["name"])];

/// Severities by their number.
const SEVERITIES: [&str; 5] = ["Verbose", "Information", "Warning", "Error", "Critical"];

pub(super) fn write(item: Item<'_>, raw: &str, output: &mut Output) -> Result<(), Refusal> {
    let mut scratch = Document::default();
    if let Some(data) = item.get("data").filter(|data| data.get("baseType").is_some()) {
        return envelope(item, data, raw, output, &mut scratch);
    }
    let time = time_of(find(item, &path("context.data.eventTime")), output)?;
    let context = item.get("context");
    let lists = KINDS.iter().filter_map(|kind| Some((kind, item.get(kind.0)?)));
    let mut items: Vec<_> =
        lists.flat_map(|(kind, list)| list.elements().map(move |element| (kind.2, None, element))).collect();
    if item.get("metric").is_some_and(|list| list.elements().next().is_none()) {
        let metrics = context.and_then(|context| find(context, &path("custom.metrics")));
        let metrics = metrics.into_iter().flat_map(Item::elements).flat_map(Item::members);
        items.extend(metrics.map(|(name, metric)| ("AppMetrics", Some(name), metric)));
    }
    if items.is_empty() {
        return Err(Refusal::new("no_items", "an Application Insights document without items"));
    }
    make_room(output, items.len());
    for (table, name, element) in items {
        let table = output.table(&built_in(table));
        for (column, from, _) in CONTEXT {
            set_item(output, table, column, context.and_then(|context| find(context, &path(from))), &mut scratch);
        }
        properties(context, name.is_some(), table, output, &mut scratch);
        match name {
            Some(name) => {
                set_text(output, table, "Name", name);
                metric(element, table, output, &mut scratch);
            }
            None if output.table_name(table) == "AppMetrics" => metric(element, table, output, &mut scratch),
            None => fields(element, table, output, &mut scratch),
        }
        set_item(output, table, "IKey", find(item, &path("internal.data.iKey")), &mut scratch);
        output.finish_row(table, RecordClass::Data, time, raw);
    }
    Ok(())
}

fn envelope(
    item: Item<'_>,
    data: Item<'_>,
    raw: &str,
    output: &mut Output,
    scratch: &mut Document,
) -> Result<(), Refusal> {
    let base_type = data.get("baseType").and_then(Item::text).unwrap_or_default();
    let Some(kind) = KINDS.iter().find(|kind| kind.1 == base_type) else {
        return Err(Refusal::new("unknown_item", format!("unknown telemetry type {base_type:?}")));
    };
    let time = time_of(item.get("time"), output)?;
    let base = data.get("baseData");
    let metrics: Vec<_> = base.and_then(|base| base.get("metrics")).into_iter().flat_map(Item::elements).collect();
    make_room(output, metrics.len());
    // One row, or one per metric.
    for index in 0..metrics.len().max(1) {
        let table = output.table(&built_in(kind.2));
        for (name, tag) in item.get("tags").into_iter().flat_map(Item::members) {
            let column = CONTEXT.iter().find(|(_, _, known)| *known == name).map(|(column, _, _)| *column);
            let column = if name == "ai.internal.sdkVersion" { Some("SDKVersion") } else { column };
            set_item(output, table, column.unwrap_or(name), Some(tag), scratch);
        }
        set_item(output, table, "IKey", item.get("iKey"), scratch);
        if let Some(base) = base {
            fields(base, table, output, scratch);
        }
        if let Some(element) = metrics.get(index) {
            metric(*element, table, output, scratch);
        }
        output.finish_row(table, RecordClass::Data, time, raw);
    }
    Ok(())
}

/// Custom dimensions and metrics, which the export lists one object each, become one object. Metrics that are rows of
/// their own are not repeated.
fn properties(context: Option<Item<'_>>, is_metric: bool, table: TableId, output: &mut Output, scratch: &mut Document) {
    let measurements = ("Measurements", "custom.metrics");
    for (column, from) in [("Properties", "custom.dimensions")].into_iter().chain((!is_metric).then_some(measurements))
    {
        let list = context.and_then(|context| find(context, &path(from)));
        let members = list.into_iter().flat_map(Item::elements).flat_map(Item::members);
        let texts: Vec<String> =
            members.map(|(name, value)| format!("{}:{}", serde_json::Value::from(name), value.raw())).collect();
        if !texts.is_empty() {
            let column = super::super::find_column(output, table, column);
            column.write(output, table, Value::Json(&format!("{{{}}}", texts.join(","))), scratch);
        }
    }
}

fn fields(item: Item<'_>, table: TableId, output: &mut Output, scratch: &mut Document) {
    let table_name = output.table_name(table).to_owned();
    for (name, member) in item.members() {
        let span = DURATIONS.iter().find(|(_, names)| names.contains(&name)).map(|(column, _)| *column);
        match name {
            "durationMetric" | "duration" | "value" if member.is_object() => {
                duration(member.get("value"), "DurationMs", table, output);
            }
            "duration" => time_span(member, "DurationMs", table, output, scratch),
            "metrics" if table_name == "AppMetrics" => {}
            "severityLevel" => severity(member, table, output, scratch),
            "result" if table_name == "AppAvailabilityResults" => {
                let is_pass = member.text().is_some_and(|text| text.eq_ignore_ascii_case("pass"));
                output.set_field(table, "Success", Value::Bool(is_pass));
            }
            "dataSizeMetric" => set_item(output, table, "Size", member.get("value"), scratch),
            "exceptions" => exceptions(member, table, output, scratch),
            "urlData" | "ver" => {}
            _ => match (span, member.get("value")) {
                (Some(column), Some(value)) => duration(Some(value), column, table, output),
                (Some(column), None) => time_span(member, column, table, output, scratch),
                // A counter is named by the member that holds it.
                (None, Some(value)) if table_name == "AppPerformanceCounters" => {
                    set_text(output, table, "Counter", name);
                    set_item(output, table, "Value", Some(value), scratch);
                }
                _ => {
                    let column = FIELDS.iter().find(|(_, names)| names.contains(&name)).map(|(column, _)| *column);
                    set_item(output, table, column.unwrap_or(name), Some(member), scratch);
                }
            },
        }
    }
    if item.get("url").is_none()
        && let Some(data) = item.get("urlData")
    {
        set_item(output, table, "urlData", Some(data), scratch);
    }
}

/// The values of a metric: of one that is a single measurement, the value is all of them.
fn metric(item: Item<'_>, table: TableId, output: &mut Output, scratch: &mut Document) {
    let value = item.get("value");
    set_item(output, table, "Sum", item.get("sum").or(value), scratch);
    for (column, names) in METRIC {
        let found = names.iter().find_map(|name| item.get(name));
        let found = if ["Min", "Max"].contains(&column) { found.or(value) } else { found };
        set_item(output, table, column, found, scratch);
    }
    for name in ["stdDev", "ns", "kind"] {
        set_item(output, table, name, item.get(name), scratch);
    }
}

/// A severity by its number or its word.
fn severity(item: Item<'_>, table: TableId, output: &mut Output, scratch: &mut Document) {
    let word = item.text().and_then(|text| SEVERITIES.iter().position(|word| word.eq_ignore_ascii_case(text)));
    match word.and_then(|level| i64::try_from(level).ok()) {
        Some(level) => output.set_field(table, "SeverityLevel", Value::Long(level)),
        None => set_item(output, table, "SeverityLevel", Some(item), scratch),
    }
}

/// The chain of an exception: the first is the outermost, the last the innermost.
fn exceptions(list: Item<'_>, table: TableId, output: &mut Output, scratch: &mut Document) {
    set_item(output, table, "Details", Some(list), scratch);
    let (outer, inner) = (list.elements().next(), list.elements().last());
    for (one, prefix) in [(outer, "Outer"), (inner, "Innermost")] {
        let Some(one) = one else { continue };
        set_item(output, table, &format!("{prefix}Type"), one.get("typeName"), scratch);
        set_item(output, table, &format!("{prefix}Message"), one.get("message"), scratch);
        set_item(output, table, &format!("{prefix}Method"), top_frame(one, "method"), scratch);
        set_item(output, table, &format!("{prefix}Assembly"), top_frame(one, "assembly"), scratch);
    }
    if let Some(outer) = outer {
        set_item(output, table, "ExceptionType", outer.get("typeName"), scratch);
        set_item(output, table, "Method", top_frame(outer, "method"), scratch);
        set_item(output, table, "Assembly", top_frame(outer, "assembly"), scratch);
    }
}

/// A part of the frame in which an exception was thrown.
fn top_frame<'a>(exception: Item<'a>, name: &str) -> Option<Item<'a>> {
    exception.get("parsedStack")?.elements().next()?.get(name)
}

/// A duration as text, such as `00:00:00.5`; what is none is kept as it is.
fn time_span(item: Item<'_>, column: &str, table: TableId, output: &mut Output, scratch: &mut Document) {
    match item.text().and_then(clock_text::parse_span) {
        Some(nanos) => output.set_field(table, column, Value::Real(millis(nanos))),
        None => set_item(output, table, column, Some(item), scratch),
    }
}

/// A duration counted in 100 ns.
fn duration(value: Option<Item<'_>>, column: &str, table: TableId, output: &mut Output) {
    if let Some(ticks) = value.and_then(Item::scalar).and_then(|text| text.parse::<f64>().ok()) {
        output.set_field(table, column, Value::Real(ticks / 10_000.0));
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations are below 2^53 ns times a million")]
fn millis(nanos: i64) -> f64 {
    nanos as f64 / 1e6
}

fn path(text: &str) -> Vec<Box<str>> {
    text.split('.').map(Into::into).collect()
}
