//! OpenTelemetry over HTTP and gRPC: logs, metrics and traces, in protobuf, over HTTP also in JSON.
//!
//! # Source
//! OpenTelemetry Protocol specification 1.x, "OTLP/HTTP": paths, media types, full success as an empty message, errors
//! as a `Status`, which answers may be repeated. Rows have the tables and columns that Azure Monitor gives the same
//! data: `AppTraces`, `AppMetrics`, `AppRequests` and `AppDependencies`.
//!
//! `messages` reads protobuf into the JSON form, so that `rows` has one form to read; `grpc` is the other transport;
//! `answer` says what was taken, and `status` what was not, in both.
//!
//! Exporters drop what is refused, and send a whole batch of many programs at once: a record that cannot be used goes to
//! `Quarantine` with its reason, and the others are stored.

mod answer;
mod grpc;
mod messages;
mod rows;
mod status;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use moneta_ports::OpContext;
use serde_json::{Value, json};

use self::answer::Taken;
use crate::ApiError;
use crate::auth::MayIngest;
use crate::body::{EVENTS_BODY_BYTES_MAX, Pieces};
use crate::intake::{Records, on_other_thread, place};
use crate::state::App;

pub(crate) use status::code as status_code;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/logs", post(logs))
        .route("/v1/metrics", post(metrics))
        .route("/v1/traces", post(traces))
        .merge(grpc::routes())
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Logs,
    Metrics,
    Traces,
}

type Caller = Result<MayIngest, ApiError>;

async fn logs(caller: Caller, State(state): State<App>, request: Request) -> Response {
    export(caller, &state, Signal::Logs, request).await
}

async fn metrics(caller: Caller, State(state): State<App>, request: Request) -> Response {
    export(caller, &state, Signal::Metrics, request).await
}

async fn traces(caller: Caller, State(state): State<App>, request: Request) -> Response {
    export(caller, &state, Signal::Traces, request).await
}

async fn export(caller: Caller, state: &App, signal: Signal, request: Request) -> Response {
    let form = form_of(request.headers());
    let outcome = match (caller, form) {
        (Ok(MayIngest(ctx)), Some(form)) => take(state, &ctx, signal, form, request).await,
        (Ok(_), None) => {
            let message = format!("send `Content-Type: {PROTOBUF}` or `{JSON}`");
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
        }
        (Err(error), _) => Err(error),
    };
    let form = form.unwrap_or(JSON);
    match outcome {
        Ok(taken) if form == PROTOBUF => ([(header::CONTENT_TYPE, form)], taken.message()).into_response(),
        Ok(taken) => ([(header::CONTENT_TYPE, form)], taken.json(signal).to_string()).into_response(),
        Err(error) => refuse(&error, form),
    }
}

fn form_of(headers: &HeaderMap) -> Option<&'static str> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    [PROTOBUF, JSON].into_iter().find(|known| kind.split(';').next().unwrap_or_default().trim() == *known)
}

async fn take(
    state: &App,
    ctx: &OpContext,
    signal: Signal,
    form: &'static str,
    request: Request,
) -> Result<Taken, ApiError> {
    let _place = place(state).await?;
    let body = Pieces::of(request).collect(EVENTS_BODY_BYTES_MAX).await?;
    let records = on_other_thread(move || read(signal, form, &body)).await??;
    store(state, ctx, records).await
}

async fn store(state: &App, ctx: &OpContext, records: Records) -> Result<Taken, ApiError> {
    if records.is_empty() {
        return Ok(Taken::default());
    }
    let stored = records.store(state, ctx, "otlp", None).await?;
    Ok(Taken { num_rejected: stored.num_quarantined, first_reason: stored.first_reason })
}

fn read(signal: Signal, form: &str, body: &[u8]) -> Result<Records, ApiError> {
    let message: Value = if form == PROTOBUF {
        messages::read(signal, body).map_err(|error| ApiError::bad_request(error.to_string()))?
    } else {
        serde_json::from_slice(body).map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))?
    };
    let mut records = Records::of_dropping_senders();
    rows::add(signal, &message, &mut records)?;
    Ok(records)
}

fn refuse(error: &ApiError, form: &'static str) -> Response {
    let body = if form == PROTOBUF {
        status::message(error)
    } else {
        json!({ "code": status::code(error), "message": error.message }).to_string().into_bytes()
    };
    let mut response = (error.status, [(header::CONTENT_TYPE, form)], body).into_response();
    error.add_headers(&mut response);
    response
}
