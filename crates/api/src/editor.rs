//! What editors of queries ask: completion, hover, layout, and what is wrong. Nothing here runs a query, so nothing is
//! audited; offsets are bytes of the text as sent.

use axum::Json;
use axum::extract::State;
use moneta_ports::{EditorCompletion, QueryDiagnostic, QueryError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ApiError;
use crate::auth::MayQuery;
use crate::body::JsonBody;
use crate::state::App;

/// A text and the place of the cursor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AtCursor {
    text: String,
    offset: usize,
}

/// A text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    text: String,
}

/// `POST /v1/kql/complete` with `{"text","offset"}`.
pub(crate) async fn complete(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    JsonBody(body): JsonBody<AtCursor>,
) -> Result<Json<Value>, ApiError> {
    let found = state.queries.complete(&ctx, &body.text, body.offset).map_err(refused)?;
    let shown = |found: EditorCompletion| {
        let EditorCompletion { kind, label, detail, insert, start, end } = found;
        json!({ "kind": kind, "label": label, "detail": detail, "insert": insert, "start": start, "end": end })
    };
    Ok(Json(json!({ "completions": found.into_iter().map(shown).collect::<Vec<Value>>() })))
}

/// `POST /v1/kql/hover` with `{"text","offset"}`; `null` where nothing is known.
pub(crate) async fn hover(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    JsonBody(body): JsonBody<AtCursor>,
) -> Result<Json<Value>, ApiError> {
    let found = state.queries.hover(&ctx, &body.text, body.offset).map_err(refused)?;
    let shown =
        found.map(|found| json!({ "start": found.start, "end": found.end, "title": found.title, "text": found.text }));
    Ok(Json(json!({ "hover": shown })))
}

/// `POST /v1/kql/diagnostics` with `{"text"}`: errors, with which the query cannot run, and warnings.
pub(crate) async fn diagnostics(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    JsonBody(body): JsonBody<Text>,
) -> Result<Json<Value>, ApiError> {
    let found = state.queries.diagnose(&ctx, &body.text).map_err(refused)?;
    let shown = |found: QueryDiagnostic| {
        let severity = if found.is_error { "error" } else { "warning" };
        json!({
            "code": found.code, "start": found.start, "end": found.end, "message": found.message, "severity": severity,
        })
    };
    Ok(Json(json!({ "diagnostics": found.into_iter().map(shown).collect::<Vec<Value>>() })))
}

/// `POST /v1/kql/format` with `{"text"}`.
pub(crate) async fn format(MayQuery(_): MayQuery, JsonBody(body): JsonBody<Text>) -> Result<Json<Value>, ApiError> {
    moneta_kql::format(&body.text).map(|text| Json(json!({ "text": text }))).map_err(|errors| {
        let rendered = moneta_kql::render_diagnostics(&body.text, &errors);
        ApiError::bad_request(format!("the text does not parse, so it is not laid out\n{rendered}"))
    })
}

fn refused(error: QueryError) -> ApiError {
    ApiError::forbidden(error.to_string())
}
