//! Logs Query: queries on a workspace and batches of them, answered in Azure Monitor's form.
//!
//! # Source
//! Azure Monitor Log Analytics API, `v1`: request and response formats, `Prefer` options, timeouts, batch queries,
//! errors. Values of `dynamic` columns are JSON as text there.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use moneta_event::ColumnType;
use moneta_ports::{OpContext, QueryAnswer, QueryColumn, QueryError, QueryRequest, ResultTable};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::timespan;
use crate::ApiError;
use crate::auth::MayQuery;
use crate::body::{Pieces, REQUEST_BODY_BYTES_MAX, parse_json};
use crate::kusto::cell;
use crate::state::App;

/// Queries of one batch at most.
const BATCH_QUERIES_MAX: usize = 100;
/// Queries of one batch that run at the same time.
const BATCH_AT_ONCE_MAX: usize = 4;
/// How long a query may ask to run.
const WAIT_SECONDS_MAX: u64 = 600;

/// The body of a query.
#[derive(Deserialize)]
pub(crate) struct Body {
    query: String,
    timespan: Option<String>,
    #[serde(default)]
    workspaces: Option<Vec<String>>,
}

/// `POST /v1/workspaces/{id}/query`.
pub(crate) async fn query(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    Path(workspace): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let prefer = Prefer::of(request.headers());
    let bytes = Pieces::of(request).collect(REQUEST_BODY_BYTES_MAX).await?;
    let body = parse_json(&bytes)?;
    Ok(run(&state, &ctx, &workspace, body, &prefer).await.unwrap_or_else(Refusal::into_response))
}

/// `GET /v1/workspaces/{id}/query?query=..&timespan=..`.
pub(crate) async fn get_query(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    Path(workspace): Path<String>,
    headers: HeaderMap,
    body: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(Parameters { query, timespan }) = body.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let body = Body { query, timespan, workspaces: None };
    let prefer = Prefer::of(&headers);
    Ok(run(&state, &ctx, &workspace, body, &prefer).await.unwrap_or_else(Refusal::into_response))
}

/// The parameters of a `GET`.
#[derive(Deserialize)]
pub(crate) struct Parameters {
    query: String,
    timespan: Option<String>,
}

#[derive(Deserialize)]
struct Batch {
    requests: Vec<BatchItem>,
}

#[derive(Deserialize)]
struct BatchItem {
    id: String,
    workspace: String,
    #[serde(default)]
    headers: Map<String, Value>,
    body: Body,
}

/// `POST /v1/$batch`: each query is answered by itself, with the status it would have had alone.
pub(crate) async fn batch(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = Pieces::of(request).collect(REQUEST_BODY_BYTES_MAX).await?;
    let batch: Batch = parse_json(&bytes)?;
    if batch.requests.len() > BATCH_QUERIES_MAX {
        return Err(ApiError::bad_request(format!("a batch may have {BATCH_QUERIES_MAX} queries at most")));
    }
    let answers = batch.requests.into_iter().map(|item| answer_item(&state, &ctx, item));
    let answers: Vec<Value> = futures::stream::iter(answers).buffered(BATCH_AT_ONCE_MAX).collect().await;
    Ok(Json(json!({ "responses": answers })).into_response())
}

async fn answer_item(state: &App, ctx: &OpContext, item: BatchItem) -> Value {
    let prefer = item.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("prefer"));
    let prefer = Prefer::parse(prefer.and_then(|(_, value)| value.as_str()).unwrap_or_default());
    let headers = json!({ "Content-Type": "application/json" });
    match answer(state, ctx, &item.workspace, item.body, &prefer).await {
        Ok(body) => json!({ "id": item.id, "status": 200, "headers": headers, "body": body }),
        Err(refusal) => {
            json!({ "id": item.id, "status": refusal.status.as_u16(), "headers": headers, "body": refusal.body })
        }
    }
}

/// What a client would like beside the rows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Prefer {
    wait: Option<Duration>,
    statistics: bool,
    render: bool,
}

impl Prefer {
    fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        Self::parse(&lines.collect::<Vec<_>>().join(","))
    }

    fn parse(text: &str) -> Self {
        let mut prefer = Self::default();
        for item in text.split([',', ';']).map(str::trim) {
            match item.split_once('=').unwrap_or((item, "true")) {
                ("wait", seconds) => {
                    let seconds = seconds.parse::<u64>().ok();
                    prefer.wait = seconds.map(|seconds| Duration::from_secs(seconds.min(WAIT_SECONDS_MAX)));
                }
                ("include-statistics", value) => prefer.statistics = value == "true",
                ("include-render", value) => prefer.render = value == "true",
                // A preference that is not known is none (RFC 7240, section 2).
                _ => {}
            }
        }
        prefer
    }
}

/// An error in Azure Monitor's form.
struct Refusal {
    status: StatusCode,
    body: Value,
    retry_after: Option<Duration>,
}

impl Refusal {
    fn new(status: StatusCode, code: &str, message: &str, inner: Option<Value>) -> Self {
        let mut error = json!({ "code": code, "message": message });
        if let Some(inner) = inner {
            error["innererror"] = inner;
        }
        Self { status, body: json!({ "error": error }), retry_after: None }
    }

    fn bad_argument(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadArgumentError", message, None)
    }

    fn of_query(error: &QueryError, text: &str) -> Self {
        match error {
            QueryError::Invalid { diagnostics, .. } => {
                let first = diagnostics.first();
                let code = first.map_or("SYN0001", |finding| finding.code.as_str());
                let (kind, words) = if code.starts_with("SYN") {
                    ("SyntaxError", "A recognition error occurred in the query.")
                } else {
                    ("SemanticError", "A semantic error occurred.")
                };
                let what = first.map_or_else(|| error.to_string(), |finding| format!("{code}: {}", finding.message));
                let start = first.map_or(0, |finding| finding.start.min(text.len()));
                let before = text.get(..start).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let position = before.rsplit('\n').next().unwrap_or_default().chars().count();
                let inner = json!({ "code": code, "message": what, "line": line, "pos": position });
                let inner = json!({ "code": kind, "message": format!("{words} {what}"), "innererror": inner });
                let message = format!("The request had some invalid properties: {what}");
                Self::new(StatusCode::BAD_REQUEST, "BadArgumentError", &message, Some(inner))
            }
            QueryError::Limit { code, message } if code.contains("TIME") => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "GatewayTimeout", message, None)
            }
            QueryError::Limit { message, .. } | QueryError::Cancelled(message) => Self::bad_argument(message),
            QueryError::Throttled { message, retry_after } => {
                let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsError", message, None);
                Self { retry_after: Some(*retry_after), ..refusal }
            }
            QueryError::Denied(message) => Self::new(StatusCode::FORBIDDEN, "InsufficientAccessError", message, None),
            QueryError::Failed { kind, message } => {
                let error = ApiError::from(moneta_ports::PortError::new(*kind, message.clone()));
                let refusal = Self::new(error.status, error.code, &error.message, None);
                Self { retry_after: error.retry_after, ..refusal }
            }
        }
    }

    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = ApiError { retry_after: self.retry_after, ..ApiError::new(self.status, "", "") };
        headers.add_headers(&mut response);
        response
    }
}

async fn run(state: &App, ctx: &OpContext, workspace: &str, body: Body, prefer: &Prefer) -> Result<Response, Refusal> {
    let answer = answer(state, ctx, workspace, body, prefer).await?;
    Ok(([(header::CONTENT_TYPE, "application/json; charset=utf-8")], answer.get().to_owned()).into_response())
}

/// The answer as JSON text.
async fn answer(
    state: &App,
    ctx: &OpContext,
    workspace: &str,
    body: Body,
    prefer: &Prefer,
) -> Result<Box<RawValue>, Refusal> {
    if let Some(other) = body.workspaces.unwrap_or_default().iter().find(|other| *other != workspace) {
        return Err(Refusal::bad_argument(&format!("there is one workspace here; leave `workspaces` out ({other:?})")));
    }
    let time_scope = body.timespan.as_deref().filter(|text| !text.trim().is_empty());
    let time_scope = time_scope.map(|text| timespan::parse(text, state.clock.now())).transpose();
    let time_scope = time_scope.map_err(|message| Refusal::bad_argument(&message))?;
    let request =
        QueryRequest { time_scope, timeout: prefer.wait, takes_partial: true, ..QueryRequest::new(body.query.clone()) };
    let answer = state.queries.query(ctx, request).await.map_err(|error| Refusal::of_query(&error, &body.query))?;
    write(answer, prefer).map_err(|error| {
        let error = ApiError::internal(&*error);
        Refusal::new(error.status, error.code, &error.message, None)
    })
}

fn write(answer: QueryAnswer, prefer: &Prefer) -> Result<Box<RawValue>, Box<dyn std::error::Error>> {
    let mut out = b"{\"tables\":[".to_vec();
    let num_rows: Vec<usize> = answer.tables.iter().map(ResultTable::num_rows).collect();
    for (index, table) in answer.tables.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_table(&mut out, table)?;
    }
    out.push(b']');
    let mut push = |name: &str, value: Value| {
        out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    };
    if prefer.statistics {
        let tables: Vec<Value> = num_rows.iter().map(|rows| json!({ "tableRowCount": rows })).collect();
        let read = &answer.completeness;
        push(
            "statistics",
            json!({ "query": {
                "executionTime": answer.elapsed.as_secs_f64(),
                "resourceUsage": { "memory": { "peakPerNode": answer.memory_peak_bytes } },
                "inputDatasetStatistics": {
                    "extents": { "total": read.segments_read + read.segments_pruned, "scanned": read.segments_read },
                    "rows": { "scanned": read.rows_scanned },
                    "bytes": { "scanned": read.bytes_read },
                },
                "datasetStatistics": tables,
            }}),
        );
    }
    if prefer.render {
        push("render", render(answer.visualization.as_ref()));
    }
    let cut = answer.truncated.map(|cut| cut.to_string());
    let not_read = answer.completeness.not_read.join("; ");
    if let Some(why) = cut.or((!not_read.is_empty()).then_some(not_read)) {
        push(
            "error",
            json!({ "code": "PartialError", "message": "There were some errors when processing your query.",
            "details": [{ "code": "EngineError", "message": why }] }),
        );
    }
    out.push(b'}');
    Ok(RawValue::from_string(String::from_utf8(out)?)?)
}

fn write_table(out: &mut Vec<u8>, table: &ResultTable) -> Result<(), Box<dyn std::error::Error>> {
    let columns = table.columns.iter().map(|column| json!({ "name": column.name, "type": column.column_type.name() }));
    let columns = Value::from(columns.collect::<Vec<_>>());
    out.extend_from_slice(format!("{{\"name\":{},\"columns\":{columns},\"rows\":[", json!(table.name)).as_bytes());
    // Written as GUIDs are: absent is null, anything else is text.
    let as_text = |column: &QueryColumn| match column.column_type {
        ColumnType::Dynamic => QueryColumn { column_type: ColumnType::Guid, ..column.clone() },
        _ => column.clone(),
    };
    let written: Vec<QueryColumn> = table.columns.iter().map(as_text).collect();
    let mut continues = false;
    for batch in table.batches.iter().filter(|batch| batch.num_rows() > 0) {
        cell::write_rows(out, &written, &cell::normalise(&table.columns, batch)?, continues);
        continues = true;
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

/// The properties of `render` by the names this interface has for them: those of Kusto, beginning small.
fn render(visualization: Option<&Value>) -> Value {
    let Some(Value::Object(properties)) = visualization else { return json!({ "visualization": null }) };
    let small = |name: &String| {
        let mut characters = name.chars();
        let first = characters.next().map(|c| c.to_ascii_lowercase());
        first.into_iter().chain(characters).collect::<String>()
    };
    Value::Object(properties.iter().map(|(name, value)| (small(name), value.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_and_unknown_ones_passed_over() {
        let prefer = Prefer::parse("wait=30,include-statistics=true,include-render=true,respond-async");
        assert_eq!(prefer, Prefer { wait: Some(Duration::from_secs(30)), statistics: true, render: true });
        assert_eq!(Prefer::parse(""), Prefer::default());
        assert_eq!(Prefer::parse("wait=99999").wait, Some(Duration::from_secs(WAIT_SECONDS_MAX)));
    }

    #[test]
    fn render_properties_begin_small() {
        let text = render(Some(&json!({ "Visualization": "piechart", "XColumn": null }))).to_string();
        assert_eq!(text, r#"{"visualization":"piechart","xColumn":null}"#);
    }
}
