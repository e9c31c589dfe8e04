//! Whether the process lives, whether it can work, and its counters.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use moneta_ports::Scope;
use serde_json::json;

use crate::ApiError;
use crate::auth::authorise;
use crate::observe::is_local;
use crate::state::App;

/// The media type of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /health/livez`: the process answers.
pub(crate) async fn livez() -> Response {
    Json(json!({ "status": "alive" })).into_response()
}

/// `GET /health/readyz`: every part can do its work, or which cannot and why.
pub(crate) async fn readyz(State(state): State<App>) -> Response {
    let parts = state.operations.readiness();
    let ready = parts.iter().all(|part| part.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if ready { "ready" } else { "not ready" };
    (status, Json(json!({ "status": word, "parts": parts }))).into_response()
}

/// `GET /metrics`: OpenMetrics text. From this machine for everybody; from elsewhere with the scope `query`, because
/// table names and rates tell of the business.
pub(crate) async fn metrics(State(state): State<App>, request: Request) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    if !is_local(&parts) {
        authorise(&parts, &state, Scope::Query).await?;
    }
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], state.metrics.render()).into_response())
}
