//! Elasticsearch's interface as far as senders use it: the handshake, the administration they do before they send, and
//! bulk requests. Everything is there at the root, where clients look for it, and under `/elastic`.
//!
//! # Source
//! Elasticsearch reference, "REST APIs". Templates, policies and pipelines are acknowledged and not kept: columns come
//! with the events, retention is set here, and events are stored as they are sent.

mod bulk;
mod filter;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::ApiError;
use crate::auth::MayIngest;
use crate::page;
use crate::state::App;

/// The version that clients are told: senders refuse a server older than themselves.
const VERSION: &str = "9.5.1";
/// Without this header clients refuse to talk to a server.
const PRODUCT: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-elastic-product"), HeaderValue::from_static("Elasticsearch"));
/// Begins the media types of clients that name the version they want.
const VENDOR_TYPE: &str = "application/vnd.elasticsearch+";

pub(crate) fn routes() -> Router<App> {
    let root = Router::new().route("/elastic/", get(information)).layer(from_fn(in_their_form));
    interface().merge(Router::new().nest("/elastic", interface())).merge(root)
}

fn interface() -> Router<App> {
    Router::new()
        .route("/_bulk", post(bulk::bulk).put(bulk::bulk))
        .route("/{index}/_bulk", post(bulk::bulk_of_index).put(bulk::bulk_of_index))
        .route("/{index}/_doc", post(bulk::document))
        .route("/{index}/_doc/{id}", post(bulk::named_document).put(bulk::named_document))
        .route("/{index}/_create/{id}", post(bulk::named_document).put(bulk::named_document))
        .route("/_license", get(license))
        .route("/_xpack", get(features))
        .route("/_cluster/health", get(cluster_health))
        .route("/_nodes/http", get(nodes))
        .route("/_index_template/{name}", get(present).put(acknowledged))
        .route("/_template/{name}", get(present).put(acknowledged))
        .route("/_component_template/{name}", get(present).put(acknowledged))
        .route("/_data_stream/{name}", get(present).put(acknowledged))
        .route("/_ilm/policy/{name}", get(present).put(acknowledged))
        .route("/_ingest/pipeline/{name}", get(present).put(acknowledged))
        .layer(from_fn(in_their_form))
}

/// What every answer of the interface has: the product's name, errors in its form, and the media type that was asked
/// for.
async fn in_their_form(request: Request, next: Next) -> Response {
    let wanted = vendor_type(request.headers());
    let mut response = next.run(request).await;
    response.headers_mut().insert(PRODUCT.0, PRODUCT.1);
    if let Some(kind) = wanted
        && response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
    {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// The media type of an answer to a client that names a version.
fn vendor_type(headers: &HeaderMap) -> Option<HeaderValue> {
    let accepted = headers.get(header::ACCEPT).or_else(|| headers.get(header::CONTENT_TYPE))?.to_str().ok()?;
    let (_, version) = accepted.strip_prefix(VENDOR_TYPE)?.split_once("compatible-with=")?;
    let version: String = version.chars().take_while(char::is_ascii_digit).collect();
    HeaderValue::from_str(&format!("{VENDOR_TYPE}json;compatible-with={version}")).ok()
}

/// An error in Elasticsearch's form.
pub(super) struct Refusal(pub(super) ApiError);

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, Json(error_body(&self.0))).into_response();
        self.0.add_headers(&mut response);
        response
    }
}

fn error_body(error: &ApiError) -> Value {
    let cause = cause(error);
    json!({ "error": { "root_cause": [cause], "type": cause["type"], "reason": cause["reason"] }, "status": error.status.as_u16() })
}

/// The type and reason of an error.
fn cause(error: &ApiError) -> Value {
    let kind = match error.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "security_exception",
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "es_rejected_execution_exception",
        StatusCode::PAYLOAD_TOO_LARGE => "content_too_long_exception",
        StatusCode::NOT_FOUND => "index_not_found_exception",
        status if status.is_client_error() => "illegal_argument_exception",
        _ => "exception",
    };
    json!({ "type": kind, "reason": error.message })
}

/// `GET /`: the page for browsers, which ask for HTML; for everybody else what Elasticsearch says of itself.
pub(crate) async fn root(headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepted.into_iter().any(|kind| kind.contains("text/html")) {
        return page::index(headers).await;
    }
    let mut response = information().await.into_response();
    response.headers_mut().insert(PRODUCT.0, PRODUCT.1);
    if let Some(kind) = vendor_type(&headers) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

async fn information() -> Json<Value> {
    Json(json!({
        "name": "moneta",
        "cluster_name": "moneta",
        "cluster_uuid": "moneta",
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "minimum_wire_compatibility_version": "8.19.0",
            "minimum_index_compatibility_version": "8.0.0",
        },
        "tagline": "Moneta takes bulk requests; its pages are for browsers, which ask for text/html",
    }))
}

async fn license(_: MayIngest) -> Json<Value> {
    Json(json!({ "license": { "uid": "moneta", "type": "basic", "mode": "basic", "status": "active" } }))
}

async fn features(_: MayIngest) -> Json<Value> {
    let off = json!({ "available": false, "enabled": false });
    Json(json!({ "license": { "uid": "moneta", "type": "basic", "mode": "basic", "status": "active" },
        "features": { "ilm": off, "security": { "available": true, "enabled": true } } }))
}

async fn cluster_health(_: MayIngest, State(state): State<App>) -> Json<Value> {
    let ready = state.operations.readiness().iter().all(|part| part.ready);
    Json(json!({ "cluster_name": "moneta", "status": if ready { "green" } else { "red" }, "timed_out": false,
        "number_of_nodes": 1, "number_of_data_nodes": 1 }))
}

/// No addresses: a client that looks for other nodes stays with the one it has.
async fn nodes(_: MayIngest) -> Json<Value> {
    Json(json!({ "cluster_name": "moneta", "nodes": {} }))
}

/// Whatever is asked for is there: the sender needs to make nothing.
async fn present(_: MayIngest) -> Json<Value> {
    Json(json!({}))
}

async fn acknowledged(_: MayIngest) -> Json<Value> {
    Json(json!({ "acknowledged": true }))
}
