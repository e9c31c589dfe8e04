//! Alerts that others raise: Alertmanager's interface and webhook, PagerDuty's events. They become rows of `Alert`.
//!
//! # Source
//! Alertmanager API v2 (`postAlerts`) and webhook configuration, version 4; PagerDuty Events API v2. Senders repeat an
//! alert until it is over, and each repetition is a row: `AlertId` is the same, `AlertState` says how it stands.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use moneta_access::Presented;
use moneta_base::{TableName, Timestamp};
use moneta_ports::Scope;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ApiError;
use crate::accounts::Client;
use crate::auth::MayIngest;
use crate::body::{Pieces, REQUEST_BODY_BYTES_MAX, parse_json};
use crate::intake::{Records, Target, place};
use crate::state::App;

/// Severities that PagerDuty knows.
const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v2/alerts", post(alertmanager))
        .route("/alertmanager/webhook", post(webhook))
        .route("/v2/enqueue", post(pagerduty))
}

fn target() -> Target {
    Target::Table(TableName::new("Alert").expect("a built-in table"))
}

/// An alert of Alertmanager's.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Labelled {
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(rename = "generatorURL")]
    generator_url: Option<String>,
    status: Option<String>,
    fingerprint: Option<String>,
}

/// `POST /api/v2/alerts`, as Prometheus and amtool send them.
async fn alertmanager(
    MayIngest(ctx): MayIngest,
    State(state): State<App>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let _place = place(&state).await?;
    let bytes = Pieces::of(request).collect(REQUEST_BODY_BYTES_MAX).await?;
    let alerts: Vec<Labelled> = parse_json(&bytes)?;
    let now = state.clock.now();
    let mut records = Records::default();
    for alert in &alerts {
        if alert.labels.is_empty() {
            return Err(ApiError::bad_request("an alert needs at least one label"));
        }
        records.push(&target(), &alert.row(now, &Map::new()))?;
    }
    if !records.is_empty() {
        records.store(&state, &ctx, "alertmanager", None).await?;
    }
    Ok(StatusCode::OK)
}

/// What Alertmanager sends to a webhook.
#[derive(Debug, Deserialize)]
struct Webhook {
    version: String,
    #[serde(rename = "groupKey", default)]
    group_key: String,
    #[serde(default)]
    receiver: String,
    alerts: Vec<Labelled>,
}

/// `POST /alertmanager/webhook`, for a receiver of an Alertmanager.
async fn webhook(
    MayIngest(ctx): MayIngest,
    State(state): State<App>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let _place = place(&state).await?;
    let bytes = Pieces::of(request).collect(REQUEST_BODY_BYTES_MAX).await?;
    let sent: Webhook = parse_json(&bytes)?;
    if sent.version != "4" {
        return Err(ApiError::bad_request(format!("the webhook's version is {:?}; it must be \"4\"", sent.version)));
    }
    let group = [("GroupKey", sent.group_key), ("Receiver", sent.receiver)];
    let group = group.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
    let (now, mut records) = (state.clock.now(), Records::default());
    for alert in &sent.alerts {
        records.push(&target(), &alert.row(now, &group))?;
    }
    if !records.is_empty() {
        records.store(&state, &ctx, "alertmanager", None).await?;
    }
    Ok(StatusCode::OK)
}

impl Labelled {
    fn row(&self, now: Timestamp, more: &Map<String, Value>) -> Map<String, Value> {
        let label = |name: &str| self.labels.get(name).cloned().unwrap_or_default();
        let note = |name: &str| self.annotations.get(name).cloned();
        // An end that has come says it too, where no state is sent.
        let ends = self.ends_at.as_deref().and_then(Timestamp::parse).filter(|end| *end <= now && end.as_nanos() > 0);
        let state = match &self.status {
            Some(status) => status.clone(),
            None => if ends.is_some() { "resolved" } else { "firing" }.to_owned(),
        };
        let mut row = Map::new();
        let mut set = |name: &str, value: Value| drop(row.insert(name.to_owned(), value));
        set("SourceSystem", "Alertmanager".into());
        set("AlertName", label("alertname"));
        set("AlertSeverity", label("severity"));
        set("AlertState", state.into());
        set("AlertId", self.fingerprint.clone().unwrap_or_else(|| Value::from(self.labels.clone()).to_string()).into());
        set("AlertDescription", note("description").or_else(|| note("summary")).unwrap_or_default());
        set("Computer", label("instance"));
        set("TimeRaised", self.starts_at.clone().into());
        set("TimeResolved", ends.map(|end| end.to_string()).into());
        set("Url", self.generator_url.clone().into());
        set("Labels", self.labels.clone().into());
        set("Annotations", self.annotations.clone().into());
        row.extend(more.clone());
        row
    }
}

/// Bytes of an event of PagerDuty's at most, by its documentation; who sends it is only known when it is read.
const EVENT_BODY_BYTES_MAX: usize = 512 << 10;

/// An event of PagerDuty's.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(default)]
    routing_key: String,
    #[serde(default)]
    event_action: String,
    dedup_key: Option<String>,
    #[serde(default)]
    payload: Map<String, Value>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// `POST /v2/enqueue`: the routing key is a credential.
async fn pagerduty(client: Client, State(state): State<App>, request: Request) -> Result<Response, ApiError> {
    let bytes = Pieces::of(request).collect(EVENT_BODY_BYTES_MAX).await?;
    let Ok(event) = serde_json::from_slice::<Event>(&bytes) else {
        return Ok(invalid(&["the body must be a JSON object with routing_key, event_action and payload".to_owned()]));
    };
    let ctx = state.access.authenticate(&client.info, Presented::Credential(&event.routing_key)).await?;
    moneta_access::require(&ctx, Scope::Ingest)?;
    let wrong = event.wrong();
    if !wrong.is_empty() {
        return Ok(invalid(&wrong));
    }
    let key = event.dedup_key.clone().unwrap_or_else(|| new_key(&state));
    let mut records = Records::default();
    records.push(&target(), &event.row(&key))?;
    records.store(&state, &ctx, "pagerduty", None).await?;
    let answer = json!({ "status": "success", "message": "Event processed", "dedup_key": key });
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

impl Event {
    /// What is wrong with it.
    fn wrong(&self) -> Vec<String> {
        let text = |name: &str| self.payload.get(name).and_then(Value::as_str).unwrap_or_default();
        let mut wrong = Vec::new();
        match self.event_action.as_str() {
            "trigger" => {
                let missing = ["summary", "source"].into_iter().filter(|name| text(name).is_empty());
                wrong.extend(missing.map(|name| format!("'payload.{name}' is missing or blank")));
                if !SEVERITIES.contains(&text("severity")) {
                    wrong.push(format!("'payload.severity' must be one of {}", SEVERITIES.join(", ")));
                }
            }
            "acknowledge" | "resolve" if self.dedup_key.is_none() => wrong.push("'dedup_key' is missing".to_owned()),
            "acknowledge" | "resolve" => {}
            _ => wrong.push("'event_action' must be one of trigger, acknowledge, resolve".to_owned()),
        }
        wrong
    }

    fn row(&self, key: &str) -> Map<String, Value> {
        let payload = |name: &str| self.payload.get(name).cloned().unwrap_or_default();
        let state = match self.event_action.as_str() {
            "trigger" => "firing",
            "acknowledge" => "acknowledged",
            _ => "resolved",
        };
        let mut row = Map::new();
        let mut set = |name: &str, value: Value| drop(row.insert(name.to_owned(), value));
        set("SourceSystem", "PagerDuty".into());
        set("AlertName", payload("summary"));
        set("AlertSeverity", payload("severity"));
        set("AlertState", state.into());
        set("AlertId", key.into());
        set("Computer", payload("source"));
        set("TimeRaised", payload("timestamp"));
        set("Url", self.more.get("client_url").cloned().unwrap_or_default());
        set("Payload", self.payload.clone().into());
        set("Event", self.more.clone().into());
        row
    }
}

fn new_key(state: &App) -> String {
    let mut bytes = [0; 16];
    state.entropy.fill(&mut bytes);
    hex::encode(bytes)
}

fn invalid(errors: &[String]) -> Response {
    let body = json!({ "status": "invalid event", "message": "Event object is invalid", "errors": errors });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
