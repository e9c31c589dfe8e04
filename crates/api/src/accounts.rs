//! People: the first account, signing in and out, further accounts.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use moneta_access::{AccountSummary, NewAccount, SignedIn};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ApiError;
use crate::address::Path;
use crate::auth::{MayAdmin, SignedInCaller, session_cookie, set_cookie};
use crate::body::JsonBody;
use crate::credentials::{parse_scopes, scope_names};
use crate::observe::{client_info, is_over_tls};
use crate::state::App;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    name: String,
    password: String,
}

/// `POST /v1/sign-in` with `{"name","password"}`.
pub(crate) async fn sign_in(
    client: Client,
    State(state): State<App>,
    JsonBody(body): JsonBody<SignIn>,
) -> Result<Response, ApiError> {
    let signed_in = state.access.sign_in(&client.info, &body.name, &body.password).await?;
    Ok(begin(&state, &client, &signed_in, StatusCode::OK))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstAccount {
    token: String,
    name: String,
    password: String,
}

/// `POST /v1/first-account` with `{"token","name","password"}`: spends the one-time link and signs in.
pub(crate) async fn first_account(
    client: Client,
    State(state): State<App>,
    JsonBody(body): JsonBody<FirstAccount>,
) -> Result<Response, ApiError> {
    let made = state.access.create_first_account(&client.info, &body.token, &body.name, &body.password).await;
    Ok(begin(&state, &client, &made?, StatusCode::CREATED))
}

/// `POST /v1/sign-out`.
pub(crate) async fn sign_out(
    SignedInCaller(ctx): SignedInCaller,
    client: Client,
    State(state): State<App>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let cookie =
        session_cookie(&headers, client.tls).ok_or_else(|| ApiError::bad_request("there is no session to end"))?;
    state.access.sign_out(&ctx, cookie).await?;
    let cleared = set_cookie("", 0, client.tls);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cleared)]).into_response())
}

/// `GET /v1/session`: who asks, and what they may do. Not to be signed in is an answer here, not an error: the page
/// asks before it knows.
pub(crate) async fn session(caller: Result<SignedInCaller, ApiError>) -> Result<Json<Value>, ApiError> {
    match caller {
        Ok(SignedInCaller(ctx)) => Ok(Json(json!({
            "name": ctx.actor.name,
            "kind": ctx.actor.kind.name(),
            "scopes": scope_names(&ctx.scopes),
            "expires": ctx.expires.map(|time| time.to_string()),
        }))),
        Err(error) if error.status == StatusCode::UNAUTHORIZED => Ok(Json(json!({ "name": null, "scopes": [] }))),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    name: String,
    password: String,
    scopes: Vec<String>,
}

/// `POST /v1/accounts` with `{"name","password","scopes":[..]}`.
pub(crate) async fn create(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    JsonBody(body): JsonBody<Create>,
) -> Result<StatusCode, ApiError> {
    let new = NewAccount { name: body.name, password: body.password, scopes: parse_scopes(&body.scopes)? };
    state.access.create_account(&ctx, new).await?;
    Ok(StatusCode::CREATED)
}

/// `GET /v1/accounts`.
pub(crate) async fn list(MayAdmin(ctx): MayAdmin, State(state): State<App>) -> Result<Json<Value>, ApiError> {
    let all = state.access.accounts(&ctx)?;
    Ok(Json(json!({ "accounts": all.iter().map(to_json).collect::<Vec<_>>() })))
}

/// `DELETE /v1/accounts/{name}`: disables; the name stays in the audit log and is not given away again.
pub(crate) async fn disable(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.access.disable_account(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scopes {
    scopes: Vec<String>,
}

/// `PUT /v1/accounts/{name}/scopes` with `{"scopes":[..]}`: ends the account's sessions.
pub(crate) async fn set_scopes(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<Scopes>,
) -> Result<StatusCode, ApiError> {
    state.access.set_account_scopes(&ctx, &name, &parse_scopes(&body.scopes)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Password {
    password: String,
    /// The one now; needed for one's own.
    old_password: Option<String>,
}

/// `PUT /v1/accounts/{name}/password` with `{"password","old_password"}`: ends the account's sessions. Who changes their
/// own gets the cookie of a new one.
pub(crate) async fn set_password(
    SignedInCaller(ctx): SignedInCaller,
    client: Client,
    State(state): State<App>,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<Password>,
) -> Result<Response, ApiError> {
    let changed = state.access.set_password(&ctx, &name, body.old_password.as_deref(), &body.password).await?;
    let cookie = changed.map(|signed_in| [(header::SET_COOKIE, cookie_of(&state, &client, &signed_in))]);
    Ok((StatusCode::NO_CONTENT, cookie, ()).into_response())
}

fn to_json(account: &AccountSummary) -> Value {
    json!({
        "name": account.name,
        "scopes": scope_names(&account.scopes),
        "created": account.created.to_string(),
        "disabled": account.disabled.map(|time| time.to_string()),
    })
}

fn begin(state: &App, client: &Client, signed_in: &SignedIn, status: StatusCode) -> Response {
    let body = Json(json!({ "name": signed_in.account, "expires": signed_in.expires.to_string() }));
    (status, [(header::SET_COOKIE, cookie_of(state, client, signed_in))], body).into_response()
}

fn cookie_of(state: &App, client: &Client, signed_in: &SignedIn) -> String {
    set_cookie(&signed_in.cookie, signed_in.expires.since(state.clock.now()).as_secs(), client.tls)
}

/// Where a request comes from, for handlers that serve everybody.
pub(crate) struct Client {
    pub(crate) info: moneta_access::ClientInfo,
    /// Whether it came over TLS: cookies are then marked `Secure`.
    tls: bool,
}

impl FromRequestParts<App> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &App) -> Result<Self, Self::Rejection> {
        Ok(Self { info: client_info(parts), tls: is_over_tls(&parts.extensions) })
    }
}
