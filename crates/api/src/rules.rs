//! Detection rules: add, list, remove.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use moneta_ports::{RuleFile, RuleSetReport};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ApiError;
use crate::auth::{MayAdmin, MayQuery};
use crate::body::{Pieces, RULES_BODY_BYTES_MAX, parse_json};
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
    if !state.rules.list().iter().any(|rule| rule.rule_id == id) {
        return Err(ApiError::not_found(format!("there is no rule with the id {id:?}")));
    }
    state.rules.remove(&ctx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
