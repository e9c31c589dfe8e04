//! Telemetry of Application Insights: documents of the continuous export, and envelopes as its SDKs send them.
//!
//! Layout of a document: one list of items named by their kind (`request`, `message`, ...) beside `context` and
//! `internal`. Durations count 100 ns. Layout of an envelope: `data.baseType` and `data.baseData` beside `tags`, `time`
//! and `iKey`. A document with several items gives a row each.

use moneta_event::{RecordClass, Value};

use super::{built_in, make_room, set_item, set_text, time_of};
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
const FIELDS: [(&str, &[&str]); 30] = [
    ("Id", &["id"]),
    ("Name", &["name"]),
    ("Url", &["url"]),
    ("Success", &["success"]),
    ("ResultCode", &["responseCode", "resultCode"]),
    ("Source", &["source"]),
    ("ItemCount", &["count"]),
    ("Message", &["message", "raw", "messageText"]),
    ("SeverityLevel", &["severityLevel"]),
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

pub(super) fn write(item: Item<'_>, raw: &str, output: &mut Output) -> Result<(), Refusal> {
    let mut scratch = Document::default();
    if let Some(data) = item.get("data").filter(|data| data.get("baseType").is_some()) {
        return envelope(item, data, raw, output, &mut scratch);
    }
    let time = time_of(find(item, &path("context.data.eventTime")), output)?;
    let lists = KINDS.iter().filter_map(|kind| Some((kind, item.get(kind.0)?)));
    let items: Vec<_> = lists.flat_map(|(kind, list)| list.elements().map(move |element| (kind, element))).collect();
    if items.is_empty() {
        return Err(Refusal::new("no_items", "an Application Insights document without items"));
    }
    make_room(output, items.len());
    for (kind, element) in items {
        let table = output.table(&built_in(kind.2));
        let context = item.get("context");
        for (column, from, _) in CONTEXT {
            set_item(output, table, column, context.and_then(|context| find(context, &path(from))), &mut scratch);
        }
        properties(context, table, output, &mut scratch);
        fields(element, table, output, &mut scratch);
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
    let table = output.table(&built_in(kind.2));
    for (name, tag) in item.get("tags").into_iter().flat_map(Item::members) {
        let column = CONTEXT.iter().find(|(_, _, known)| *known == name).map(|(column, _, _)| *column);
        let column = if name == "ai.internal.sdkVersion" { Some("SDKVersion") } else { column };
        set_item(output, table, column.unwrap_or(name), Some(tag), scratch);
    }
    set_item(output, table, "IKey", item.get("iKey"), scratch);
    if let Some(base) = data.get("baseData") {
        fields(base, table, output, scratch);
    }
    output.finish_row(table, RecordClass::Data, time, raw);
    Ok(())
}

/// Custom dimensions and metrics, which the export lists one object each, become one object.
fn properties(context: Option<Item<'_>>, table: TableId, output: &mut Output, scratch: &mut Document) {
    for (column, from) in [("Properties", "custom.dimensions"), ("Measurements", "custom.metrics")] {
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
    for (name, member) in item.members() {
        match name {
            "durationMetric" | "duration" | "value" if member.is_object() => {
                duration(member.get("value"), table, output);
            }
            "duration" => match member.text().and_then(clock_text_span) {
                Some(nanos) => set_millis(nanos, table, output),
                None => set_item(output, table, "DurationMs", Some(member), scratch),
            },
            "urlData" | "ver" => {}
            _ => {
                let column = FIELDS.iter().find(|(_, names)| names.contains(&name)).map(|(column, _)| *column);
                set_item(output, table, column.unwrap_or(name), Some(member), scratch);
            }
        }
    }
    if item.get("url").is_none()
        && let Some(data) = item.get("urlData")
    {
        set_item(output, table, "urlData", Some(data), scratch);
    }
}

/// A duration counted in 100 ns.
fn duration(value: Option<Item<'_>>, table: TableId, output: &mut Output) {
    match value.and_then(Item::scalar).and_then(|text| text.parse::<f64>().ok()) {
        Some(ticks) => output.set_field(table, "DurationMs", Value::Real(ticks / 10_000.0)),
        None => set_text(output, table, "DurationMs", ""),
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations are below 2^53 ns times a million")]
fn set_millis(nanos: i64, table: TableId, output: &mut Output) {
    output.set_field(table, "DurationMs", Value::Real(nanos as f64 / 1e6));
}

fn clock_text_span(text: &str) -> Option<i64> {
    crate::clock_text::parse_span(text)
}

fn path(text: &str) -> Vec<Box<str>> {
    text.split('.').map(Into::into).collect()
}
