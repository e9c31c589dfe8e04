//! Incidents: list, read, work on, close.
//!
//! Who changes an incident says which version they have read, as `If-Match`: two people who work on one do not undo each
//! other's work unseen. `If-Match: *` overrules.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use moneta_base::percent;
use moneta_event::evidence::RESULT_TABLE;
use moneta_ports::{
    Classification, FalsePositiveCause, Incident, IncidentChange, IncidentDetails, IncidentError, IncidentFilter,
    IncidentPage, IncidentSeverity, IncidentStatus, Verdict,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ApiError;
use crate::address::{Path, Query};
use crate::auth::{MayQuery, MayRespond};
use crate::body::JsonBody;
use crate::state::App;

/// Incidents of a page of the list, unless asked otherwise.
const PAGE: usize = 100;
/// Incidents closed by one request at most.
const CLOSED_AT_ONCE_MAX: usize = 500;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListParameters {
    status: Option<String>,
    severity: Option<String>,
    owner: Option<String>,
    rule: Option<String>,
    text: Option<String>,
    before: Option<u64>,
    limit: Option<usize>,
}

/// `GET /v1/incidents`: the newest first. `status` is `open` (the default), `new`, `active`, `closed` or `all`;
/// `severity` the least; `before` goes on where the last page ended.
pub(crate) async fn list(
    MayQuery(_): MayQuery,
    State(state): State<App>,
    Query(parameters): Query<ListParameters>,
) -> Result<Json<IncidentPage>, ApiError> {
    let statuses = match parameters.status.as_deref().unwrap_or("open") {
        "open" => vec![IncidentStatus::New, IncidentStatus::Active],
        "all" => Vec::new(),
        word => vec![parse_word("status", word, IncidentStatus::parse, "open, new, active, closed and all")?],
    };
    let severity_min = parameters.severity.as_deref().map(severity).transpose()?;
    let ListParameters { owner, rule, text, before, limit, .. } = parameters;
    let limit = limit.unwrap_or(PAGE);
    Ok(Json(state.incidents.list(&IncidentFilter {
        statuses,
        severity_min,
        owner,
        rule_id: rule,
        text,
        before,
        limit,
    })?))
}

/// `GET /v1/incidents/{number}`: with alerts, evidence and activity. The header `ETag` is the version.
pub(crate) async fn get(
    MayQuery(_): MayQuery,
    State(state): State<App>,
    Path(number): Path<u64>,
) -> Result<Response, ApiError> {
    let details = state.incidents.get(number)?.ok_or_else(|| ApiError::from(IncidentError::NotFound(number)))?;
    Ok(tagged(details.incident.version, Json(with_proofs(details)).into_response()))
}

/// The details with the addresses of proofs: of the row of each alert, of each event, and of them together.
fn with_proofs(details: IncidentDetails) -> Value {
    let proof = |table: &str, seq: u64| format!("/v1/tables/{table}/rows/{seq}/proof");
    let mut alerts = Vec::with_capacity(details.alerts.len());
    for alert in details.alerts {
        let mut value = json!(alert);
        value["proof"] = proof("SecurityAlert", alert.seq).into();
        value["evidence"] = format!("/v1/alerts/{}/proof", percent::encode(&alert.id)).into();
        for (event, known) in value["events"].as_array_mut().into_iter().flatten().zip(&alert.events) {
            if known.table != RESULT_TABLE {
                event["proof"] = proof(&known.table, known.seq).into();
            }
        }
        alerts.push(value);
    }
    json!({ "incident": details.incident, "alerts": alerts, "activity": details.activity })
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChangeBody {
    owner: Option<String>,
    severity: Option<String>,
    status: Option<String>,
    title: Option<String>,
    labels: Option<Vec<String>>,
    comment: Option<String>,
    classification: Option<String>,
    reason: Option<String>,
    cause: Option<String>,
}

impl ChangeBody {
    fn change(self) -> Result<IncidentChange, ApiError> {
        let status = self.status.as_deref();
        let status = status.map(|word| parse_word("status", word, IncidentStatus::parse, "New, Active and Closed"));
        let verdict = match self.classification {
            Some(classification) => Some(verdict(&classification, self.reason, self.cause.as_deref())?),
            None if self.reason.is_some() || self.cause.is_some() => {
                return Err(ApiError::bad_request("a reason or cause goes with a classification, which closes"));
            }
            None => None,
        };
        Ok(IncidentChange {
            owner: self.owner,
            severity: self.severity.as_deref().map(severity).transpose()?,
            status: status.transpose()?,
            title: self.title,
            labels: self.labels,
            comment: self.comment,
            verdict,
        })
    }
}

/// `PATCH /v1/incidents/{number}`: owner, severity, status, title, labels, a comment; a classification closes. Needs
/// `If-Match`.
pub(crate) async fn change(
    MayRespond(ctx): MayRespond,
    State(state): State<App>,
    Path(number): Path<u64>,
    IfMatch(version): IfMatch,
    JsonBody(body): JsonBody<ChangeBody>,
) -> Result<Response, ApiError> {
    let changed = state.incidents.change(&ctx, number, version, body.change()?).await?;
    Ok(answer(&changed))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommentBody {
    text: String,
}

/// `POST /v1/incidents/{number}/comments` with `{"text"}`. Needs no version: it undoes nothing.
pub(crate) async fn comment(
    MayRespond(ctx): MayRespond,
    State(state): State<App>,
    Path(number): Path<u64>,
    JsonBody(body): JsonBody<CommentBody>,
) -> Result<Response, ApiError> {
    let change = IncidentChange { comment: Some(body.text), ..IncidentChange::default() };
    Ok(answer(&state.incidents.change(&ctx, number, None, change).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloseBody {
    incidents: Vec<ToClose>,
    classification: String,
    reason: Option<String>,
    cause: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToClose {
    number: u64,
    version: Option<u64>,
}

/// `POST /v1/incidents/close`: closes several, each by itself. The answer says of each whether it was.
pub(crate) async fn close(
    MayRespond(ctx): MayRespond,
    State(state): State<App>,
    JsonBody(body): JsonBody<CloseBody>,
) -> Result<Json<Value>, ApiError> {
    if body.incidents.is_empty() || body.incidents.len() > CLOSED_AT_ONCE_MAX {
        return Err(ApiError::bad_request(format!("name 1 to {CLOSED_AT_ONCE_MAX} incidents")));
    }
    let verdict = verdict(&body.classification, body.reason, body.cause.as_deref())?;
    let (mut closed, mut refused) = (Vec::new(), Vec::new());
    for one in body.incidents {
        let change = IncidentChange { verdict: Some(verdict.clone()), ..IncidentChange::default() };
        match state.incidents.change(&ctx, one.number, one.version, change).await {
            Ok(incident) => closed.push(json!({ "number": incident.number, "version": incident.version })),
            Err(error) => {
                let number = one.number;
                let error = ApiError::from(error);
                refused.push(json!({ "number": number, "status": error.status.as_u16(), "error": error.to_json() }));
            }
        }
    }
    Ok(Json(json!({ "closed": closed, "refused": refused })))
}

/// The version that the caller has read; `None` to overrule.
pub(crate) struct IfMatch(Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if_match(&parts.headers).map(Self)
    }
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        let message = "send the version that you have read as `If-Match: \"<version>\"`, or `If-Match: *` to overrule";
        return Err(ApiError::new(StatusCode::PRECONDITION_REQUIRED, "version_needed", message));
    };
    let text = value.to_str().unwrap_or_default().trim();
    match text.trim_matches('"').parse() {
        _ if text == "*" => Ok(None),
        Ok(version) => Ok(Some(version)),
        Err(_) => Err(ApiError::bad_request(format!("`If-Match: {text}` is no version, such as \"3\""))),
    }
}

fn answer(incident: &Incident) -> Response {
    tagged(incident.version, Json(json!({ "incident": incident })).into_response())
}

fn tagged(version: u64, mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

fn severity(word: &str) -> Result<IncidentSeverity, ApiError> {
    parse_word("severity", word, IncidentSeverity::parse, "Informational, Low, Medium and High")
}

fn verdict(classification: &str, reason: Option<String>, cause: Option<&str>) -> Result<Verdict, ApiError> {
    let known = "TruePositive, BenignPositive, FalsePositive and Undetermined";
    let cause = cause
        .map(|word| parse_word("cause", word, FalsePositiveCause::parse, "IncorrectAlertLogic and InaccurateData"));
    Ok(Verdict {
        classification: parse_word("classification", classification, Classification::parse, known)?,
        reason: reason.unwrap_or_default(),
        cause: cause.transpose()?,
    })
}

fn parse_word<T>(what: &str, word: &str, parse: impl Fn(&str) -> Option<T>, known: &str) -> Result<T, ApiError> {
    parse(word).ok_or_else(|| ApiError::bad_request(format!("there is no {what} {word:?}; there are {known}")))
}

impl From<IncidentError> for ApiError {
    fn from(error: IncidentError) -> Self {
        let text = error.to_string();
        match error {
            IncidentError::NotFound(_) => Self::not_found(text),
            IncidentError::Conflict { version, .. } => {
                let details = [("version".to_owned(), Value::from(version))].into_iter().collect();
                let error = Self::new(StatusCode::PRECONDITION_FAILED, "changed", text);
                Self { details: Some(Box::new(details)), ..error }
            }
            IncidentError::Refused(_) => Self::bad_request(text),
            IncidentError::Failed(error) => error.into(),
        }
    }
}

/// Days that risks look back, unless asked otherwise.
const RISK_DAYS: u64 = 14;
/// Days that risks look back at most.
const RISK_DAYS_MAX: u64 = 90;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RiskParameters {
    days: Option<u64>,
    limit: Option<usize>,
}

/// `GET /v1/risks`: the hosts, accounts and addresses that most speaks against, the worst first.
pub(crate) async fn risks(
    MayQuery(_): MayQuery,
    State(state): State<App>,
    Query(parameters): Query<RiskParameters>,
) -> Result<Json<Value>, ApiError> {
    let days = parameters.days.unwrap_or(RISK_DAYS);
    if !(1..=RISK_DAYS_MAX).contains(&days) {
        return Err(ApiError::bad_request(format!("days is from 1 to {RISK_DAYS_MAX}")));
    }
    let since = state.clock.now().saturating_sub(std::time::Duration::from_secs(days * 86_400));
    Ok(Json(json!({ "risks": state.incidents.risks(since, parameters.limit.unwrap_or(PAGE))? })))
}
