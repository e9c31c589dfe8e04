//! What people store beside the events: functions, saved queries, watchlists. List, put, remove.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use moneta_ports::{CreateMode, SavedQuery, StoredFunction, Watchlist, WatchlistFormat, WatchlistUpload};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ApiError;
use crate::address::{Path, Query};
use crate::auth::{MayAdmin, MayQuery};
use crate::body::{JsonBody, Pieces};
use crate::state::App;

/// Bytes of a watchlist's body at most; the engine's own limit is lower and says more.
const WATCHLIST_BODY_BYTES_MAX: usize = 32 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FunctionBody {
    #[serde(default = "no_parameters")]
    parameters: String,
    body: String,
    #[serde(default)]
    folder: String,
    #[serde(default)]
    doc_string: String,
    #[serde(default)]
    skip_validation: bool,
}

fn no_parameters() -> String {
    "()".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody {
    text: String,
    #[serde(default = "kql")]
    language: String,
    #[serde(default)]
    folder: String,
    #[serde(default)]
    doc_string: String,
}

fn kql() -> String {
    "kql".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WatchlistParameters {
    key: Option<String>,
    format: Option<String>,
    #[serde(default)]
    description: String,
}

/// `GET /v1/functions`.
pub(crate) async fn functions(MayQuery(_): MayQuery, State(state): State<App>) -> Json<Value> {
    Json(json!({ "functions": state.objects.functions() }))
}

/// `PUT /v1/functions/{name}`: makes it, or replaces it.
pub(crate) async fn put_function(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<FunctionBody>,
) -> Result<Json<StoredFunction>, ApiError> {
    let FunctionBody { parameters, body, folder, doc_string, skip_validation } = body;
    let function = StoredFunction { name, parameters, body, folder, doc_string, ..StoredFunction::default() };
    Ok(Json(state.objects.put_function(&ctx, function, CreateMode::CreateOrAlter, skip_validation).await?))
}

/// `DELETE /v1/functions/{name}`.
pub(crate) async fn drop_function(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    found("function", &name, state.objects.functions().iter().any(|function| function.name == name))?;
    state.objects.drop_function(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/saved-queries`.
pub(crate) async fn saved_queries(MayQuery(_): MayQuery, State(state): State<App>) -> Json<Value> {
    Json(json!({ "saved_queries": state.objects.saved_queries() }))
}

/// `PUT /v1/saved-queries/{name}`: saves it, or replaces it. Replacing somebody else's needs more than the right to query.
pub(crate) async fn save_query(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<QueryBody>,
) -> Result<Json<SavedQuery>, ApiError> {
    let QueryBody { text, language, folder, doc_string } = body;
    let query = SavedQuery { name, text, language, folder, doc_string, ..SavedQuery::default() };
    Ok(Json(state.objects.save_query(&ctx, query).await?))
}

/// `DELETE /v1/saved-queries/{name}`. Removing somebody else's needs more than the right to query.
pub(crate) async fn delete_query(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    found("saved query", &name, state.objects.saved_queries().iter().any(|query| query.name == name))?;
    state.objects.delete_query(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/watchlists`.
pub(crate) async fn watchlists(MayQuery(_): MayQuery, State(state): State<App>) -> Json<Value> {
    Json(json!({ "watchlists": state.objects.watchlists() }))
}

/// `PUT /v1/watchlists/{name}?key=&format=&description=` with the rows as CSV (or JSON): stores it, or replaces it.
pub(crate) async fn put_watchlist(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(name): Path<String>,
    Query(parameters): Query<WatchlistParameters>,
    request: Request,
) -> Result<Json<Watchlist>, ApiError> {
    let format = match parameters.format.as_deref() {
        None | Some("csv") => WatchlistFormat::Csv,
        Some("json") => WatchlistFormat::Json,
        Some(other) => return Err(ApiError::bad_request(format!("the format {other:?} is neither `csv` nor `json`"))),
    };
    let content = Pieces::of(request).collect(WATCHLIST_BODY_BYTES_MAX).await?;
    let WatchlistParameters { key: search_key, description, .. } = parameters;
    let upload = WatchlistUpload { name, search_key, format, content, description };
    Ok(Json(state.objects.put_watchlist(&ctx, upload).await?))
}

/// `DELETE /v1/watchlists/{name}`.
pub(crate) async fn delete_watchlist(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    found("watchlist", &name, state.objects.watchlists().iter().any(|watchlist| watchlist.name == name))?;
    state.objects.delete_watchlist(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn found(what: &str, name: &str, is_there: bool) -> Result<(), ApiError> {
    if is_there { Ok(()) } else { Err(ApiError::not_found(format!("there is no {what} {name:?}"))) }
}
