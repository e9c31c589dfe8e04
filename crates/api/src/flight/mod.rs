//! Arrow Flight SQL: results as Arrow batches over gRPC, for programs that want many rows.
//!
//! This module finds out who asks and hands the call on; `service` takes commands apart, `statements` runs queries,
//! `metadata` says what there is. Nothing is kept between calls: a prepared statement is its text, and a token is the
//! credential itself, so both live on over a restart.
//!
//! # Source
//! Apache Arrow documentation, "Arrow Flight RPC" and "Arrow Flight SQL"; `Flight.proto`, `FlightSql.proto`.

mod metadata;
mod service;
mod statements;

use arrow_flight::flight_service_server::FlightServiceServer;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::post;
use moneta_access::Presented;
use moneta_ports::Scope;
use tonic::codegen::Service as _;
use tonic::{Code, Status};

use crate::ApiError;
use crate::auth::{authorise, named_credential};
use crate::observe::client_info;
use crate::state::App;

/// Bytes of one message from a client: a query and its name.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// Bytes of an error's text: clients bound all headers together, some at 8 KiB.
const MESSAGE_BYTES_MAX: usize = 2048;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/arrow.flight.protocol.FlightService/{method}", post(call))
}

/// The credential that a handshake proved.
#[derive(Clone)]
struct Proved(HeaderValue);

async fn call(State(state): State<App>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let admitted = if parts.uri.path().ends_with("/Handshake") {
        handshake(&state, &parts).await.map(|proved| drop(parts.extensions.insert(proved)))
    } else {
        authorise(&parts, &state, Scope::Query).await.map(|ctx| drop(parts.extensions.insert(ctx)))
    };
    if let Err(error) = admitted {
        return refusal(&error).into_http::<Body>();
    }
    let service = service::Flight { state };
    let mut server = FlightServiceServer::new(service).max_decoding_message_size(REQUEST_BYTES_MAX);
    match server.call(Request::from_parts(parts, body)).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// Signs in with a name and a password: the id of a credential and its secret, or any name and the whole credential.
async fn handshake(state: &App, parts: &Parts) -> Result<Proved, ApiError> {
    let credential = named_credential(&parts.headers).ok_or_else(|| {
        ApiError::new(
            axum::http::StatusCode::UNAUTHORIZED,
            "unauthorized",
            "a handshake needs `authorization: Basic` with the id of a credential and its secret",
        )
    })?;
    state.access.authenticate(&client_info(parts), Presented::Credential(&credential)).await?;
    let bearer = HeaderValue::from_str(&format!("Bearer {credential}")).map_err(|error| ApiError::internal(&error))?;
    Ok(Proved(bearer))
}

/// An error as gRPC says it.
fn refusal(error: &ApiError) -> Status {
    let mut message = error.message.clone();
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    Status::new(Code::from_i32(i32::from(crate::otlp::status_code(error))), message)
}

/// The header by which a client signs in from now on.
const AUTHORIZATION: &str = "authorization";
