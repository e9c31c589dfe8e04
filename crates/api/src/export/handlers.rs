//! `GET` and `POST /v1/export`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use moneta_base::Timestamp;
use moneta_ports::{OpContext, QueryError, QueryLanguage, QueryRequest, TimeScope};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::body::ExportBody;
use super::{Export, ExportFormat, trailers};
use crate::ApiError;
use crate::address::Query;
use crate::auth::MayQuery;
use crate::body::JsonBody;
use crate::state::App;

/// What is to be exported.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportRequest {
    /// The query.
    text: String,
    /// `kql` or `sql`; `kql` when absent.
    language: Option<String>,
    /// `csv`, `json`, `ndjson` or `parquet`.
    format: String,
    /// The earliest `TimeGenerated`, RFC 3339.
    from: Option<String>,
    /// The end of its range, not included.
    to: Option<String>,
    /// The time that `now()` means.
    now: Option<String>,
}

/// `GET /v1/export`: the same as parameters, for a browser that keeps what comes as a file.
pub(crate) async fn download(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    Query(request): Query<ExportRequest>,
) -> Result<Response, ApiError> {
    run(&state, &ctx, request).await
}

/// `POST /v1/export`.
pub(crate) async fn export(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    JsonBody(request): JsonBody<ExportRequest>,
) -> Result<Response, ApiError> {
    run(&state, &ctx, request).await
}

async fn run(state: &App, ctx: &OpContext, request: ExportRequest) -> Result<Response, ApiError> {
    let format = ExportFormat::parse(&request.format).ok_or_else(|| {
        let names = ExportFormat::ALL.map(ExportFormat::name).join(", ");
        ApiError::bad_request(format!("`format` is {:?}; there are {names}", shown(&request.format)))
    })?;
    let mut export = Export::begin(&*state.queries, ctx, request.query()?, format).await.map_err(refused)?;
    // What fails before its first bytes is answered as an error.
    let first = export.next().await.map_err(refused)?.unwrap_or_default();
    let names = [trailers::ROWS, trailers::BYTES, trailers::SHA256].join(", ");
    let time: String = state.clock.now().to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let name = format!("attachment; filename=\"moneta-{time}.{}\"", format.name());
    let mut response = Body::new(ExportBody::start(export, first)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    for (header, value) in [(header::TRAILER, names), (header::CONTENT_DISPOSITION, name)] {
        headers.insert(header, HeaderValue::from_str(&value).map_err(|error| ApiError::internal(&error))?);
    }
    Ok(response)
}

impl ExportRequest {
    fn query(self) -> Result<QueryRequest, ApiError> {
        let language = self.language.as_deref().unwrap_or("kql");
        let language = QueryLanguage::parse(language).ok_or_else(|| {
            ApiError::bad_request(format!("`language` is {:?}; there are kql and sql", shown(language)))
        })?;
        let (from, to) = (time("from", self.from)?, time("to", self.to)?);
        let time_scope = (from.is_some() || to.is_some()).then_some(TimeScope { column: None, from, to });
        Ok(QueryRequest { language, now: time("now", self.now)?, time_scope, ..QueryRequest::new(self.text) })
    }
}

fn time(name: &str, text: Option<String>) -> Result<Option<Timestamp>, ApiError> {
    let parse = |text: String| {
        Timestamp::parse(&text).ok_or_else(|| {
            let text = shown(&text);
            ApiError::bad_request(format!("`{name}` is {text:?}; it must be a time such as 2026-01-31T12:00:00Z"))
        })
    };
    text.map(parse).transpose()
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

/// An error of a query in our own form; findings about the text stand beside the message, as in Kusto's form.
pub(crate) fn refused(error: QueryError) -> ApiError {
    let message = error.to_string();
    match error {
        QueryError::Invalid { diagnostics, rendered } => {
            let finding = |finding: &moneta_ports::QueryDiagnostic| json!({ "code": finding.code, "start": finding.start, "end": finding.end, "message": finding.message });
            let findings: Vec<Value> = diagnostics.iter().map(finding).collect();
            let details = [("moneta".to_owned(), json!({ "diagnostics": findings, "rendered": rendered }))];
            ApiError { details: Some(Box::new(Map::from_iter(details))), ..ApiError::bad_request(message) }
        }
        QueryError::Limit { code, .. } => ApiError::bad_request(format!("{message} ({code})")),
        QueryError::Cancelled(_) => ApiError::bad_request(message),
        QueryError::Denied(_) => ApiError::forbidden(message),
        QueryError::Throttled { retry_after, .. } => ApiError::busy(message, retry_after),
        QueryError::Failed { kind, message } => moneta_ports::PortError::new(kind, message).into(),
    }
}
