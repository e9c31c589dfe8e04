//! Detection rules: add, list, disable, remove, match against history.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use moneta_base::Timestamp;
use moneta_ports::{BackfillReport, BackfillSelection, OpContext, RuleFile, RuleSetReport};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ApiError;
use crate::auth::{MayAdmin, MayQuery};
use crate::body::{JsonBody, Pieces, RULES_BODY_BYTES_MAX, parse_json};
use crate::state::App;

#[derive(Deserialize)]
struct AddRules {
    files: Vec<RuleFileBody>,
}

#[derive(Deserialize)]
struct RuleFileBody {
    name: String,
    text: String,
}

/// `POST /v1/rules` with `{"files":[{"name","text"}]}`: those that load are active when it answers; the others are
/// named with the reason.
pub(crate) async fn add(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    request: Request,
) -> Result<Json<RuleSetReport>, ApiError> {
    let bytes = Pieces::of(request).collect(RULES_BODY_BYTES_MAX).await?;
    let body: AddRules = parse_json(&bytes)?;
    let files = body.files.into_iter().map(|file| RuleFile { name: file.name, text: file.text }).collect();
    Ok(Json(state.rules.add(&ctx, files).await?))
}

/// `GET /v1/rules`.
pub(crate) async fn list(MayQuery(_): MayQuery, State(state): State<App>) -> Json<Value> {
    Json(json!({ "rules": state.rules.list() }))
}

/// `DELETE /v1/rules/{id}`.
pub(crate) async fn remove(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    check_known(&state, &id)?;
    state.rules.remove(&ctx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/rules/{id}/disable`: the rule is kept and matches nothing.
pub(crate) async fn disable(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    set_enabled(&ctx, &state, &id, false).await
}

/// `POST /v1/rules/{id}/enable`.
pub(crate) async fn enable(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    set_enabled(&ctx, &state, &id, true).await
}

async fn set_enabled(ctx: &OpContext, state: &App, id: &str, enabled: bool) -> Result<StatusCode, ApiError> {
    check_known(state, id)?;
    state.rules.set_enabled(ctx, id, enabled).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check_known(state: &App, id: &str) -> Result<(), ApiError> {
    match state.rules.list().iter().any(|rule| rule.rule_id == id) {
        true => Ok(()),
        false => Err(ApiError::not_found(format!("there is no rule with the id {id:?}"))),
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Backfill {
    rules: Vec<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<usize>,
}

/// `POST /v1/rules/backfill` with `{"rules":[ids],"from":time,"to":time,"limit":n}`, each of which may be left out: what
/// active rules meet in what is stored. Raises no alert.
pub(crate) async fn backfill(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    JsonBody(body): JsonBody<Backfill>,
) -> Result<Json<BackfillReport>, ApiError> {
    let time = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => match Timestamp::parse(&text) {
            Some(time) => Ok(Some(time)),
            None => Err(ApiError::bad_request(format!("{text:?} is not a time such as 2026-01-31T00:00:00Z"))),
        },
    };
    let selection =
        BackfillSelection { rule_ids: body.rules, from: time(body.from)?, to: time(body.to)?, matches_max: body.limit };
    Ok(Json(state.rules.backfill(&ctx, selection).await?))
}
