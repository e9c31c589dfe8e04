//! Tokens for clients that sign in with an id and a secret (OAuth 2.0 client credentials, RFC 6749 section 4.4).
//!
//! The id is that of a credential, the secret its secret part or its whole text, and the token is the credential: the
//! client holds it anyway, and revoking the credential ends both. Whatever tenant and scope a client names are taken.

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use moneta_access::Presented;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ApiError;
use crate::accounts::Client;
use crate::observe::origin;
use crate::state::App;

/// How long a client keeps a token before it asks for another, which may be the same.
const TOKEN_LIFE_SECONDS: u64 = 3600;

/// `GET /{tenant}/v2.0/.well-known/openid-configuration`: where tokens are given out.
pub(crate) async fn configuration(Path(tenant): Path<String>, request: Request) -> Json<Value> {
    let origin = origin(&request.into_parts().0);
    // The tenant goes into addresses: anything that is no plain word is left out of them.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let tenant = if tenant.bytes().all(is_plain) { tenant } else { "common".to_owned() };
    let keys = format!("{origin}/{tenant}/discovery/v2.0/keys");
    Json(document(&format!("{origin}/{tenant}/v2.0"), &format!("{origin}/{tenant}/oauth2/v2.0"), &keys))
}

/// `GET /adfs/.well-known/openid-configuration`: the same in the place where AD FS has it.
pub(crate) async fn adfs_configuration(request: Request) -> Json<Value> {
    let origin = origin(&request.into_parts().0);
    let keys = format!("{origin}/adfs/discovery/keys");
    Json(document(&format!("{origin}/adfs"), &format!("{origin}/adfs/oauth2"), &keys))
}

fn document(issuer: &str, base: &str, keys: &str) -> Value {
    json!({
        "issuer": issuer,
        "token_endpoint": format!("{base}/token"),
        // Clients refuse a document without one; no browser signs in this way here.
        "authorization_endpoint": format!("{base}/authorize"),
        "jwks_uri": keys,
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "response_types_supported": ["token"],
        "grant_types_supported": ["client_credentials"],
        "subject_types_supported": ["public"],
    })
}

/// The keys that tokens are signed with: none, a token is a credential and not signed. Clients want the address.
pub(crate) async fn keys() -> Json<Value> {
    Json(json!({ "keys": [] }))
}

#[derive(Deserialize)]
pub(crate) struct TokenRequest {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// `POST /{tenant}/oauth2/v2.0/token`.
pub(crate) async fn token(
    client: Client,
    State(state): State<App>,
    form: Result<Form<TokenRequest>, FormRejection>,
) -> Response {
    let Ok(Form(request)) = form else {
        return refusal(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "send grant_type, client_id and client_secret as a form",
        );
    };
    if request.grant_type.as_deref() != Some("client_credentials") {
        let text = "grant_type must be client_credentials: people sign in on the pages, programs with a credential";
        return refusal(StatusCode::BAD_REQUEST, "unsupported_grant_type", text);
    }
    let (Some(id), Some(secret)) = (request.client_id, request.client_secret) else {
        return refusal(StatusCode::BAD_REQUEST, "invalid_request", "client_id and client_secret are needed");
    };
    let text = moneta_access::client_credential(&id, &secret).unwrap_or_default();
    match state.access.authenticate(&client.info, Presented::Credential(&text)).await {
        Ok(ctx) => {
            let left = ctx.expires.map_or(TOKEN_LIFE_SECONDS, |expires| expires.since(state.clock.now()).as_secs());
            let life = left.min(TOKEN_LIFE_SECONDS);
            let answer =
                json!({ "token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": text });
            Json(answer).into_response()
        }
        Err(error) if error.is_unauthenticated() => {
            let text = "client_id must be the id of a credential that is neither expired nor revoked, and client_secret its secret";
            refusal(StatusCode::UNAUTHORIZED, "invalid_client", text)
        }
        Err(error) => ApiError::from(error).into_response(),
    }
}

fn refusal(status: StatusCode, error: &str, description: &str) -> Response {
    (status, Json(json!({ "error": error, "error_description": description }))).into_response()
}
