//! GELF over HTTP: one message a request, or several one after the other.
//!
//! # Source
//! Graylog documentation, "GELF HTTP": answered with 202. The encoding is told by the first bytes of the body: clients
//! name others than they use.

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::routing::post;
use moneta_event::catalog::table;
use moneta_formats::gelf::{NoMessage, unpack};
use serde_json::{Map, Value};

use crate::ApiError;
use crate::auth::MayIngest;
use crate::body::{EVENTS_BODY_BYTES_MAX, Pieces};
use crate::intake::{Records, Target, on_other_thread, place, table_of};
use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/gelf", post(push))
}

/// `POST /gelf`: answered once the messages are on disk. Clients close without waiting for that, which ends a handler:
/// a task of its own goes on.
async fn push(State(state): State<App>, request: Request) -> Result<StatusCode, ApiError> {
    let stored = async move {
        let stored = store(state, request).await;
        // Nobody may be there any more to be told.
        stored.inspect_err(|error| tracing::warn!(error = error.message, "messages in GELF were refused"))
    };
    tokio::spawn(stored).await.map_err(|error| ApiError::internal(&error))?
}

async fn store(state: App, request: Request) -> Result<StatusCode, ApiError> {
    let (mut parts, body) = request.into_parts();
    let MayIngest(ctx) = MayIngest::from_request_parts(&mut parts, &state).await?;
    let request = Request::from_parts(parts, body);
    let _place = place(&state).await?;
    let body = Pieces::of(request).collect(EVENTS_BODY_BYTES_MAX).await?;
    let target = Target::Recognised(table_of(&state, table::GELF)?);
    let records = on_other_thread(move || read(&body, &target)).await??;
    records.store(&state, &ctx, "gelf", None).await?;
    Ok(StatusCode::ACCEPTED)
}

fn read(body: &[u8], target: &Target) -> Result<Records, ApiError> {
    let unpacked = unpack(body, EVENTS_BODY_BYTES_MAX).map_err(|error| match error {
        NoMessage::TooLong(_) => ApiError::too_large(error.to_string()),
        _ => ApiError::bad_request(error.to_string()),
    })?;
    let mut records = Records::default();
    for message in serde_json::Deserializer::from_slice(&unpacked).into_iter::<Map<String, Value>>() {
        let message =
            message.map_err(|error| ApiError::bad_request(format!("a message is no JSON object: {error}")))?;
        records.push(target, &message)?;
    }
    Ok(records)
}
