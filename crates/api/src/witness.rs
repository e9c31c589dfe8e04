//! The listener of a witness: one route, open to everybody, since a request is believed for its signatures alone.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use moneta_ports::CheckpointWitness;
use tokio::sync::Semaphore;

use crate::{ApiError, health};

/// Bytes of a request at most: a checkpoint with many signatures, and a proof.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// Requests looked at at once; further ones are told to come back.
const AT_ONCE_MAX: usize = 16;
/// When they may come back.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

struct Listener {
    witness: Arc<dyn CheckpointWitness>,
    places: Semaphore,
}

/// The whole interface of a witness.
pub fn witness_router(witness: Arc<dyn CheckpointWitness>) -> Router {
    let state = Arc::new(Listener { witness, places: Semaphore::new(AT_ONCE_MAX) });
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/health/livez", get(health::livez))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(state)
}

/// `POST /add-checkpoint`.
///
/// # Source
/// C2SP tlog-witness.
async fn add_checkpoint(State(state): State<Arc<Listener>>, body: Bytes) -> Result<Response, ApiError> {
    let _place = state.places.try_acquire().map_err(|_| ApiError::busy("too many requests at once", RETRY_AFTER))?;
    let answer = state.witness.add_checkpoint(body.to_vec()).await?;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok((status, [(header::CONTENT_TYPE, answer.content_type)], answer.body).into_response())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use moneta_ports::{BoxFuture, PortError, WitnessResponse};
    use tower::ServiceExt;

    use super::*;

    /// Answers with what it got.
    struct Echo;

    impl CheckpointWitness for Echo {
        fn add_checkpoint(&self, body: Vec<u8>) -> BoxFuture<'_, Result<WitnessResponse, PortError>> {
            let body = String::from_utf8(body).unwrap();
            Box::pin(async { Ok(WitnessResponse { status: 409, content_type: "text/x.tlog.size", body }) })
        }
    }

    async fn send(method: &str, path: &str, body: String) -> Response {
        let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
        witness_router(Arc::new(Echo)).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn answers_go_out_as_the_witness_gives_them_and_long_requests_are_refused() {
        let answer = send("POST", "/add-checkpoint", "17\n".to_owned()).await;
        assert_eq!(answer.status(), StatusCode::CONFLICT);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/x.tlog.size");
        let body = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
        assert_eq!(&body[..], b"17\n");
        let answer = send("POST", "/add-checkpoint", "x".repeat(REQUEST_BYTES_MAX + 1)).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(send("GET", "/add-checkpoint", String::new()).await.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(send("GET", "/v1/status", String::new()).await.status(), StatusCode::NOT_FOUND);
    }
}
