//! Splunk's HTTP Event Collector.
//!
//! # Source
//! Splunk, "HTTP Event Collector REST API endpoints" and "Format events for HTTP Event Collector": events are JSON
//! objects one after the other with or without anything between; status codes and their numbers; acknowledgements. The
//! content type is never looked at: clients claim all sorts.
//!
//! An answer is given once the events are on disk, so whatever has an `ackId` is acknowledged already.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use moneta_event::schema::standard;
use moneta_ports::OpContext;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ApiError;
use crate::auth::MayIngest;
use crate::body::{EVENTS_BODY_BYTES_MAX, Pieces, REQUEST_BODY_BYTES_MAX};
use crate::intake::{Records, Target, insert_beside, place, table_of};
use crate::state::App;

/// The table of events that name no index, and whose shape says nothing.
const TABLE: &str = "Splunk_CL";
/// Indexes that mean no table of their own.
const DEFAULT_INDEXES: [&str; 3] = ["main", "default", ""];
/// Names the sender's channel, and asks for an acknowledgement id.
const CHANNEL: &str = "x-splunk-request-channel";
/// Acknowledgements asked about at once, at most.
const ACKS_MAX: usize = 10_000;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/services/collector", post(events))
        .route("/services/collector/1.0", post(events))
        .route("/services/collector/event", post(events).options(ready))
        .route("/services/collector/event/1.0", post(events).options(ready))
        .route("/services/collector/raw", post(raw))
        .route("/services/collector/raw/1.0", post(raw))
        .route("/services/collector/ack", post(acks))
        .route("/services/collector/ack/1.0", post(acks))
        .route("/services/collector/health", get(health))
        .route("/services/collector/health/1.0", get(health))
}

/// What a request, or an event of it, says beside the event.
#[derive(Debug, Default, Deserialize)]
struct Envelope {
    time: Option<Value>,
    host: Option<String>,
    source: Option<String>,
    sourcetype: Option<String>,
    index: Option<String>,
    fields: Option<Map<String, Value>>,
    event: Option<Value>,
}

impl Envelope {
    /// What it does not say is what the parameters say of all events.
    fn or(self, parameters: &Parameters) -> Self {
        let or = |own: Option<String>, shared: &Option<String>| own.or_else(|| shared.clone());
        Self {
            time: self.time.or_else(|| parameters.time.clone().map(Value::from)),
            host: or(self.host, &parameters.host),
            source: or(self.source, &parameters.source),
            sourcetype: or(self.sourcetype, &parameters.sourcetype),
            index: or(self.index, &parameters.index),
            ..self
        }
    }
}

/// The parameters of a request.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Parameters {
    channel: Option<String>,
    host: Option<String>,
    source: Option<String>,
    sourcetype: Option<String>,
    index: Option<String>,
    time: Option<String>,
}

type Caller = Result<MayIngest, ApiError>;

/// `POST /services/collector/event`.
async fn events(
    caller: Caller,
    State(state): State<App>,
    parameters: Query<Parameters>,
    request: Request,
) -> Result<Response, Refusal> {
    let ctx = sender(caller, request.headers())?;
    let channel = channel(request.headers(), &parameters);
    let _place = place(&state).await?;
    let body = Pieces::of(request).collect(EVENTS_BODY_BYTES_MAX).await?;
    let mut records = Records::default();
    for (number, envelope) in serde_json::Deserializer::from_slice(&body).into_iter::<Envelope>().enumerate() {
        let envelope = envelope.map_err(|_| Refusal::of_event(INVALID_DATA, number))?;
        let envelope = envelope.or(&parameters);
        let record = record(&envelope).map_err(|refusal| Refusal { event: Some(number), ..refusal })?;
        records.push(&target(&state, envelope.index.as_deref(), number)?, &record)?;
    }
    store(&state, &ctx, records, channel).await
}

/// `POST /services/collector/raw`: one event a line; what they have in common stands in the parameters.
async fn raw(
    caller: Caller,
    State(state): State<App>,
    parameters: Query<Parameters>,
    request: Request,
) -> Result<Response, Refusal> {
    let ctx = sender(caller, request.headers())?;
    let channel = channel(request.headers(), &parameters);
    let _place = place(&state).await?;
    let body = Pieces::of(request).collect(EVENTS_BODY_BYTES_MAX).await?;
    let text = String::from_utf8(body).map_err(|_| Refusal::of_event(INVALID_DATA, 0))?;
    let target = target(&state, parameters.index.as_deref(), 0)?;
    let mut envelope = Envelope::default().or(&parameters);
    let mut records = Records::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        envelope.event = Some(line.into());
        records.push(&target, &record(&envelope)?)?;
    }
    store(&state, &ctx, records, channel).await
}

/// Who sends.
fn sender(caller: Caller, headers: &HeaderMap) -> Result<OpContext, Refusal> {
    match caller {
        Ok(MayIngest(ctx)) => Ok(ctx),
        Err(error) if error.status == StatusCode::UNAUTHORIZED => {
            Err(match headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default()) {
                None => TOKEN_REQUIRED,
                Some(value) if value.split_once(' ').is_none_or(|(_, token)| token.trim().is_empty()) => {
                    INVALID_AUTHORIZATION
                }
                Some(_) => INVALID_TOKEN,
            })
        }
        Err(error) => Err(error.into()),
    }
}

fn channel(headers: &HeaderMap, parameters: &Parameters) -> bool {
    let named = headers.get(CHANNEL).and_then(|value| value.to_str().ok()).or(parameters.channel.as_deref());
    named.is_some_and(|channel| !channel.is_empty())
}

fn target(state: &App, index: Option<&str>, number: usize) -> Result<Target, Refusal> {
    let index = index.unwrap_or_default();
    let is_default = DEFAULT_INDEXES.contains(&index);
    let table = table_of(state, if is_default { TABLE } else { index });
    let table =
        table.map_err(|error| Refusal { detail: Some(error.message), ..Refusal::of_event(INCORRECT_INDEX, number) })?;
    Ok(if is_default { Target::Recognised(table) } else { Target::Table(table) })
}

/// The event as a record: an object, or one in a text, keeps its members, anything else becomes `Message`; what the
/// envelope says comes beside them, under the name it has there or, where the event has a member of that name, under
/// `splunk_` and the name. The time of the envelope is that of the event: a `TimeGenerated` of its own comes beside it.
fn record(envelope: &Envelope) -> Result<Map<String, Value>, Refusal> {
    let mut record = Map::new();
    match &envelope.time {
        Some(Value::Number(time)) => drop(record.insert(standard::TIME_GENERATED.to_owned(), time.clone().into())),
        Some(Value::String(text)) if !text.trim().is_empty() => {
            let number = text.trim().parse::<serde_json::Number>().map_or_else(|_| text.clone().into(), Value::from);
            record.insert(standard::TIME_GENERATED.to_owned(), number);
        }
        _ => {}
    }
    let event = envelope.event.as_ref().ok_or(EVENT_REQUIRED)?;
    // Loggers send an object as text, and Splunk sees its fields all the same.
    let object = event.as_str().filter(|text| text.starts_with('{')).and_then(|text| serde_json::from_str(text).ok());
    match object.as_ref().unwrap_or(event) {
        Value::Null => return Err(EVENT_REQUIRED),
        Value::String(text) if text.is_empty() => return Err(EVENT_BLANK),
        Value::Object(event) => {
            for (name, value) in event {
                let name = if record.contains_key(name) { format!("event_{name}") } else { name.clone() };
                insert_beside(&mut record, name, value.clone());
            }
        }
        Value::String(text) => drop(record.insert("Message".to_owned(), text.clone().into())),
        other => drop(record.insert("Message".to_owned(), other.to_string().into())),
    }
    let texts = [
        ("host", &envelope.host),
        ("source", &envelope.source),
        ("sourcetype", &envelope.sourcetype),
        ("index", &envelope.index),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text.clone()?))));
    let fields = envelope.fields.iter().flatten().map(|(name, value)| (name.clone(), value.clone()));
    for (name, value) in texts.chain(fields) {
        let name = if record.contains_key(&name) { format!("splunk_{name}") } else { name };
        insert_beside(&mut record, name, value);
    }
    Ok(record)
}

async fn store(state: &App, ctx: &OpContext, records: Records, wants_ack: bool) -> Result<Response, Refusal> {
    if records.is_empty() {
        return Err(NO_DATA);
    }
    records.store(state, ctx, "splunk", None).await?;
    let mut answer = json!({ "text": "Success", "code": 0 });
    if wants_ack {
        answer["ackId"] = next_ack(state).into();
    }
    Ok(Json(answer).into_response())
}

/// An id no earlier answer had, not even before a restart: it grows with the clock, in microseconds.
fn next_ack(state: &App) -> u64 {
    let now = now_micros(state);
    let update = |last: u64| Some(now.max(last + 1));
    let last = state.last_ack.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update).unwrap_or_default();
    now.max(last + 1)
}

fn now_micros(state: &App) -> u64 {
    u64::try_from(state.clock.now().as_nanos() / 1_000).unwrap_or_default()
}

#[derive(Deserialize)]
struct Acks {
    acks: Vec<u64>,
}

/// `POST /services/collector/ack`: an id that was given out belongs to events on disk.
async fn acks(caller: Caller, State(state): State<App>, request: Request) -> Result<Response, Refusal> {
    sender(caller, request.headers())?;
    let body = Pieces::of(request).collect(REQUEST_BODY_BYTES_MAX).await?;
    let asked: Acks = serde_json::from_slice(&body).map_err(|_| INVALID_DATA)?;
    if asked.acks.len() > ACKS_MAX {
        return Err(Refusal { detail: Some(format!("ask about {ACKS_MAX} ids at most")), ..INVALID_DATA });
    }
    let given = state.last_ack.load(Ordering::Relaxed).max(now_micros(&state));
    let acks: Map<String, Value> = asked.acks.iter().map(|id| (id.to_string(), (*id <= given).into())).collect();
    Ok(Json(json!({ "acks": acks })).into_response())
}

/// `GET /services/collector/health`. A token is looked at when one is sent.
async fn health(caller: Caller, State(state): State<App>, headers: HeaderMap) -> Response {
    if headers.contains_key(header::AUTHORIZATION)
        && let Err(refusal) = sender(caller, &headers)
    {
        return Refusal { status: StatusCode::BAD_REQUEST, ..refusal }.into_response();
    }
    match state.operations.readiness().into_iter().find(|part| !part.ready) {
        None => Json(json!({ "text": "HEC is healthy", "code": 17 })).into_response(),
        Some(part) => Refusal { detail: Some(format!("{}: {}", part.part, part.reason)), ..BUSY }.into_response(),
    }
}

/// `OPTIONS` of the event endpoint: a log driver of Docker asks it before it starts.
async fn ready() -> StatusCode {
    StatusCode::OK
}

/// An answer that is an error.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: u32,
    text: &'static str,
    detail: Option<String>,
    /// The event at fault, counted from 0.
    event: Option<usize>,
    retry_after: Option<Duration>,
}

const fn refusal(status: StatusCode, code: u32, text: &'static str) -> Refusal {
    Refusal { status, code, text, detail: None, event: None, retry_after: None }
}

const TOKEN_REQUIRED: Refusal = refusal(StatusCode::UNAUTHORIZED, 2, "Token is required");
const INVALID_AUTHORIZATION: Refusal = refusal(StatusCode::UNAUTHORIZED, 3, "Invalid authorization");
const INVALID_TOKEN: Refusal = refusal(StatusCode::FORBIDDEN, 4, "Invalid token");
const NO_DATA: Refusal = refusal(StatusCode::BAD_REQUEST, 5, "No data");
const INVALID_DATA: Refusal = refusal(StatusCode::BAD_REQUEST, 6, "Invalid data format");
const INCORRECT_INDEX: Refusal = refusal(StatusCode::BAD_REQUEST, 7, "Incorrect index");
const INTERNAL: Refusal = refusal(StatusCode::INTERNAL_SERVER_ERROR, 8, "Internal server error");
const BUSY: Refusal = refusal(StatusCode::SERVICE_UNAVAILABLE, 9, "Server is busy");
const EVENT_REQUIRED: Refusal = refusal(StatusCode::BAD_REQUEST, 12, "Event field is required");
const EVENT_BLANK: Refusal = refusal(StatusCode::BAD_REQUEST, 13, "Event field cannot be blank");

impl Refusal {
    fn of_event(refusal: Self, number: usize) -> Self {
        Self { event: Some(number), ..refusal }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let kind = match error.status {
            StatusCode::FORBIDDEN => INVALID_TOKEN,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => BUSY,
            status if status.is_client_error() => Self { status, ..INVALID_DATA },
            _ => INTERNAL,
        };
        Self { detail: Some(error.message), retry_after: error.retry_after, ..kind }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({ "text": self.text, "code": self.code });
        if let Some(detail) = self.detail {
            body["detail"] = detail.into();
        }
        if let Some(event) = self.event {
            body["invalid-event-number"] = event.into();
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = ApiError { retry_after: self.retry_after, ..ApiError::new(self.status, "", "") };
        headers.add_headers(&mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record_of(text: &str) -> Result<String, u32> {
        let envelope: Envelope = serde_json::from_str(text).map_err(|_| 6_u32)?;
        record(&envelope).map(|record| Value::from(record).to_string()).map_err(|refusal| refusal.code)
    }

    #[test]
    fn the_envelope_comes_beside_the_event() {
        let check = |text: &str, expected: &str| assert_eq!(record_of(text).unwrap(), expected, "{text}");
        check(
            r#"{"time":1426279439.5,"host":"h","event":{"a":1,"host":"own"},"fields":{"f":"x"}}"#,
            r#"{"TimeGenerated":1426279439.5,"a":1,"host":"own","splunk_host":"h","f":"x"}"#,
        );
        check(r#"{"time":"1426279439","event":"text"}"#, r#"{"TimeGenerated":1426279439,"Message":"text"}"#);
        check(
            r#"{"time":1,"host":"h","fields":{"host":"f"},"event":{"TimeGenerated":"2026-01-02","host":"own","splunk_host":"s"}}"#,
            r#"{"TimeGenerated":1,"event_TimeGenerated":"2026-01-02","host":"own","splunk_host":"s","splunk_host_":"h","splunk_host__":"f"}"#,
        );
        check(r#"{"event":[1,2]}"#, r#"{"Message":"[1,2]"}"#);
        check(r#"{"event":"{\"a\":1}"}"#, r#"{"a":1}"#);
        check(r#"{"event":"{a}"}"#, r#"{"Message":"{a}"}"#);
        assert_eq!(record_of(r#"{"a":1}"#), Err(12));
        assert_eq!(record_of(r#"{"event":null}"#), Err(12));
        assert_eq!(record_of(r#"{"event":""}"#), Err(13));
        assert_eq!(record_of("[]"), Err(6));
    }
}
