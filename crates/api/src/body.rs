//! Request bodies: counted before decompression, bounded after it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use moneta_base::limits::DECOMPRESSION_RATIO_MAX;
use serde::de::DeserializeOwned;

use crate::ApiError;

/// Bytes of a body of events at most, decompressed. Larger inputs are uploaded as files, which stream.
pub(crate) const EVENTS_BODY_BYTES_MAX: usize = 32 << 20;
/// Bytes of a query, a command or a small request at most.
pub(crate) const REQUEST_BODY_BYTES_MAX: usize = 4 << 20;
/// Bytes of a set of rule files at most: the largest public collection has about ten.
pub(crate) const RULES_BODY_BYTES_MAX: usize = 64 << 20;

/// Decompressed bytes that are free of the ratio: short texts compress well without harm.
pub(crate) const RATIO_FREE_BYTES: u64 = 16 << 20;
/// How long a sender may be silent in the middle of a body.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Bytes that came over the wire, before decompression.
#[derive(Debug, Clone, Default)]
struct WireBytes(Arc<AtomicU64>);

/// Counts the bytes of a body as they arrive, for the ratio of decompression.
pub(crate) async fn count_wire_bytes(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let count = WireBytes::default();
    parts.extensions.insert(count.clone());
    let counted = Counted { inner: body.into_data_stream(), count };
    next.run(Request::from_parts(parts, Body::from_stream(counted))).await
}

/// Paths whose bodies are blocks of Snappy by their protocol, and unpacked by its handler.
const SNAPPY_PATHS: [&str; 2] = ["/api/v1/write", "/loki/api/v1/push"];

/// The path whose handler looks at the first bytes of a body, because its clients name encodings that they do not use.
const SNIFFED_PATH: &str = "/gelf";

/// Refuses a body in an encoding that was not undone, which would be read as its content.
pub(crate) async fn refuse_unknown_encodings(request: Request, next: Next) -> Response {
    let encoding = request.headers().get(axum::http::header::CONTENT_ENCODING);
    let is_known = match encoding.map(|value| value.as_bytes().to_ascii_lowercase()).as_deref() {
        None | Some(b"identity" | b"") => true,
        Some(b"snappy") => SNAPPY_PATHS.contains(&request.uri().path()),
        Some(_) => request.uri().path() == SNIFFED_PATH,
    };
    if is_known {
        return next.run(request).await;
    }
    let status = axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let message = "send the body with gzip, zstd or no Content-Encoding";
    ApiError::new(status, "unsupported_encoding", message).into_response()
}

struct Counted {
    inner: BodyDataStream,
    count: WireBytes,
}

impl Stream for Counted {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.inner).poll_next(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            self.count.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        next
    }
}

/// The pieces of a body, decompressed, watched for bombs and silence.
pub(crate) struct Pieces {
    inner: BodyDataStream,
    wire: WireBytes,
    /// Decompressed bytes so far.
    pub(crate) num_bytes: u64,
}

impl Pieces {
    pub(crate) fn of(request: Request) -> Self {
        let (parts, body) = request.into_parts();
        let wire = parts.extensions.get::<WireBytes>().cloned().unwrap_or_default();
        Self { inner: body.into_data_stream(), wire, num_bytes: 0 }
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let next = tokio::time::timeout(SILENCE_MAX, self.inner.next()).await;
        let piece = match next {
            Err(_) => return Err(timed_out()),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(broken(&error)),
            Ok(Some(Ok(piece))) => piece,
        };
        self.num_bytes += piece.len() as u64;
        let wire = self.wire.0.load(Ordering::Relaxed);
        if self.num_bytes > RATIO_FREE_BYTES.max(wire.saturating_mul(DECOMPRESSION_RATIO_MAX)) {
            return Err(ApiError::too_large(format!(
                "the body grows more than {DECOMPRESSION_RATIO_MAX} times when decompressed; send it with less compression"
            )));
        }
        Ok(Some(piece))
    }

    /// The whole body, when it has at most `bytes_max`.
    pub(crate) async fn collect(mut self, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            if whole.len() + piece.len() > bytes_max {
                return Err(ApiError::too_large(format!(
                    "the body has more than {bytes_max} bytes after decompression; send less at once, or upload it as \
                     a file"
                )));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

fn timed_out() -> ApiError {
    let status = axum::http::StatusCode::REQUEST_TIMEOUT;
    ApiError::new(status, "timeout", format!("nothing was received for {} seconds", SILENCE_MAX.as_secs()))
}

/// A body that ends early or does not decompress. The library's text says which; it holds no bytes of ours.
fn broken(error: &axum::Error) -> ApiError {
    ApiError::bad_request(format!("the body could not be read: {}", crate::error::chain(error)))
}

/// A JSON body of a small request, with errors in our form.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let kind = request.headers().get(axum::http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("application/json")) {
            let status = axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(ApiError::new(status, "not_json", "send `Content-Type: application/json`"));
        }
        let bytes = Pieces::of(request).collect(REQUEST_BODY_BYTES_MAX).await?;
        parse_json(&bytes).map(Self)
    }
}

/// Parses a JSON body.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::bad_request(format!("the body is not as expected: {error}")))
}
