//! Credentials of programs: make, list, revoke.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moneta_access::{CredentialSummary, NewCredential};
use moneta_ports::Scope;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ApiError;
use crate::address::Path;
use crate::auth::MayAdmin;
use crate::body::JsonBody;
use crate::state::App;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    name: String,
    scopes: Vec<String>,
    expires_in_days: Option<u64>,
}

/// `POST /v1/credentials` with `{"name","scopes":[..],"expires_in_days"}`: the only answer that holds the secret,
/// and the key by which HTTP Data Collector requests are signed.
pub(crate) async fn create(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    JsonBody(body): JsonBody<Create>,
) -> Result<Response, ApiError> {
    let life = body.expires_in_days.map(|days| Duration::from_secs(days.saturating_mul(86_400)));
    let scopes = parse_scopes(&body.scopes)?;
    let issued = state.access.create_credential(&ctx, NewCredential { name: body.name, scopes, life }).await?;
    let answer = json!({
        "id": issued.id,
        "credential": issued.text,
        "shared_key": STANDARD.encode(issued.shared_key),
        "expires": issued.expires.to_string(),
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// `GET /v1/credentials`.
pub(crate) async fn list(MayAdmin(ctx): MayAdmin, State(state): State<App>) -> Result<Json<Value>, ApiError> {
    let all = state.access.credentials(&ctx)?;
    Ok(Json(json!({ "credentials": all.iter().map(to_json).collect::<Vec<_>>() })))
}

/// `DELETE /v1/credentials/{id}`: revokes.
pub(crate) async fn revoke(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.access.revoke_credential(&ctx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn to_json(credential: &CredentialSummary) -> Value {
    json!({
        "id": credential.id,
        "name": credential.name,
        "scopes": scope_names(&credential.scopes),
        "created_by": credential.created_by,
        "created": credential.created.to_string(),
        "expires": credential.expires.to_string(),
        "last_used": credential.last_used.map(|time| time.to_string()),
        "revoked": credential.revoked.map(|time| time.to_string()),
    })
}

pub(crate) fn scope_names(scopes: &[Scope]) -> Vec<&'static str> {
    scopes.iter().map(|scope| scope.name()).collect()
}

pub(crate) fn parse_scopes(names: &[String]) -> Result<Vec<Scope>, ApiError> {
    let parse = |name: &String| {
        Scope::parse(name).ok_or_else(|| {
            ApiError::bad_request(format!("there is no scope {name:?}; there are ingest, query, respond and admin"))
        })
    };
    names.iter().map(parse).collect()
}
