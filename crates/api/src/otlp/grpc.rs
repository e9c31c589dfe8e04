//! OpenTelemetry over gRPC: one message a request, and the outcome in trailers.
//!
//! # Source
//! gRPC documentation, "gRPC over HTTP2" (framing, trailers, percent-encoded messages) and "Compression"; OpenTelemetry
//! Protocol specification, "OTLP/gRPC". The three methods take and answer one message each, so nothing of gRPC beyond
//! that is here: no streams of messages, no reflection.

use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use flate2::read::{GzDecoder, ZlibDecoder};
use http_body::Frame;
use moneta_base::limits::DECOMPRESSION_RATIO_MAX;
use moneta_ports::OpContext;

use super::answer::Taken;
use super::{Caller, PROTOBUF, Signal, read, status};
use crate::ApiError;
use crate::auth::MayIngest;
use crate::body::{EVENTS_BODY_BYTES_MAX, Pieces, RATIO_FREE_BYTES};
use crate::intake::{on_other_thread, place};
use crate::state::App;

const GRPC: &str = "application/grpc";
/// A byte that says whether the message is compressed, and four that say how long it is.
const PREFIX_BYTES: usize = 5;
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// Bytes of an error's text in trailers at most: clients bound all headers together, some at 8 KiB.
const MESSAGE_BYTES_MAX: usize = 1024;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/opentelemetry.proto.collector.logs.v1.LogsService/Export", post(logs))
        .route("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", post(metrics))
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", post(traces))
}

async fn logs(caller: Caller, State(state): State<App>, request: Request) -> Response {
    export(caller, &state, Signal::Logs, request).await
}

async fn metrics(caller: Caller, State(state): State<App>, request: Request) -> Response {
    export(caller, &state, Signal::Metrics, request).await
}

async fn traces(caller: Caller, State(state): State<App>, request: Request) -> Response {
    export(caller, &state, Signal::Traces, request).await
}

async fn export(caller: Caller, state: &App, signal: Signal, request: Request) -> Response {
    let outcome = match caller {
        Ok(MayIngest(ctx)) => store(state, &ctx, signal, request).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(taken) => ([(header::CONTENT_TYPE, GRPC)], Body::new(Sent::Message(taken.message()))).into_response(),
        Err(error) => refuse(error),
    }
}

async fn store(state: &App, ctx: &OpContext, signal: Signal, request: Request) -> Result<Taken, ApiError> {
    let encoding = check(request.headers())?;
    let _place = place(state).await?;
    let body = Pieces::of(request).collect(EVENTS_BODY_BYTES_MAX + PREFIX_BYTES).await?;
    let records = on_other_thread(move || read(signal, PROTOBUF, &unpack(body, encoding)?)).await??;
    super::store(state, ctx, records).await
}

/// How a message may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

/// What the headers say of the encoding, when they are those of a request that can be read.
fn check(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let unsupported = |message: String| ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", message);
    if !matches!(text(&header::CONTENT_TYPE), "application/grpc" | "application/grpc+proto") {
        return Err(unsupported(format!("send `content-type: {GRPC}`; OTLP over HTTP goes to /v1/logs and its kind")));
    }
    match text(&ENCODING) {
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" => Ok(Encoding::Gzip),
        "deflate" => Ok(Encoding::Deflate),
        other => {
            Err(unsupported(format!("grpc-encoding {other:?} is not possible; there are identity, gzip and deflate")))
        }
    }
}

/// The one message of a body.
fn unpack(mut body: Vec<u8>, encoding: Encoding) -> Result<Vec<u8>, ApiError> {
    let whole = || ApiError::bad_request("the body is not one message of gRPC: a flag, a length, and as many bytes");
    let (prefix, packed) = body.split_first_chunk::<PREFIX_BYTES>().ok_or_else(whole)?;
    let [flag, length @ ..] = *prefix;
    if u32::from_be_bytes(length) as usize != packed.len() || flag > 1 {
        return Err(whole());
    }
    match encoding {
        _ if flag == 0 => Ok(body.split_off(PREFIX_BYTES)),
        Encoding::Gzip => inflate(GzDecoder::new(packed), packed.len()),
        Encoding::Deflate => inflate(ZlibDecoder::new(packed), packed.len()),
        Encoding::Identity => Err(ApiError::bad_request("the message is compressed, and no grpc-encoding says how")),
    }
}

fn inflate(reader: impl Read, packed_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let by_ratio = RATIO_FREE_BYTES.max((packed_bytes as u64).saturating_mul(DECOMPRESSION_RATIO_MAX));
    let bytes_max = by_ratio.min(EVENTS_BODY_BYTES_MAX as u64);
    let mut message = Vec::new();
    let read = reader.take(bytes_max + 1).read_to_end(&mut message);
    read.map_err(|error| ApiError::bad_request(format!("the message does not decompress: {error}")))?;
    if message.len() as u64 > bytes_max {
        return Err(ApiError::too_large(format!(
            "the message has more than {bytes_max} bytes after decompression; send less at once, or with less \
             compression"
        )));
    }
    Ok(message)
}

/// The answer to a request that was taken, piece by piece: what comes next.
enum Sent {
    Message(Vec<u8>),
    Trailers,
    End,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let (frame, next) = match &*self {
            Self::Message(message) => {
                let length = u32::try_from(message.len()).expect("a count and a reason of bounded length");
                let mut framed = vec![0];
                framed.extend_from_slice(&length.to_be_bytes());
                framed.extend_from_slice(message);
                (Frame::data(Bytes::from(framed)), Self::Trailers)
            }
            Self::Trailers => {
                let trailers = [(STATUS, HeaderValue::from_static("0"))].into_iter().collect();
                (Frame::trailers(trailers), Self::End)
            }
            Self::End => return Poll::Ready(None),
        };
        *self = next;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::End)
    }
}

/// An error: what would be trailers stands in the headers, and there is no body.
fn refuse(mut error: ApiError) -> Response {
    error.message.truncate(error.message.floor_char_boundary(MESSAGE_BYTES_MAX));
    let mut response = ([(header::CONTENT_TYPE, GRPC)], Body::empty()).into_response();
    let headers = response.headers_mut();
    headers.insert(STATUS, HeaderValue::from(u16::from(status::code(&error))));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity,gzip,deflate"));
    let texts =
        [(MESSAGE, percent_encoded(&error.message)), (DETAILS, STANDARD_NO_PAD.encode(status::message(&error)))];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    response
}

/// A text for `grpc-message`: visible ASCII as it is but for `%`, each other byte as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => encoded.push_str("%25"),
            b' '..=b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[flag], &length[..], message].concat()
    }

    #[test]
    fn one_whole_message_is_unpacked() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"text").unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(b"text").unwrap();
        let zlib = zlib.finish().unwrap();
        assert_eq!(unpack(framed(0, b"text"), Encoding::Gzip).unwrap(), b"text");
        assert_eq!(unpack(framed(1, &gzip), Encoding::Gzip).unwrap(), b"text");
        assert_eq!(unpack(framed(1, &zlib), Encoding::Deflate).unwrap(), b"text");
        let refused = |body: Vec<u8>, encoding| unpack(body, encoding).unwrap_err().message;
        assert!(refused(framed(1, &gzip), Encoding::Identity).contains("grpc-encoding"));
        assert!(refused(framed(1, &gzip[..gzip.len() - 9]), Encoding::Gzip).contains("decompress"));
        for body in [vec![], vec![0; 4], framed(2, b"x"), framed(0, b"x")[..5].to_vec(), framed(0, b"xy").repeat(2)] {
            assert!(refused(body, Encoding::Identity).contains("one message"));
        }
    }

    #[test]
    fn a_message_that_grows_without_end_is_refused() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&vec![0; usize::try_from(RATIO_FREE_BYTES).unwrap() + 1]).unwrap();
        let error = unpack(framed(1, &gzip.finish().unwrap()), Encoding::Gzip).unwrap_err();
        assert_eq!(status::code(&error), 8, "{}", error.message);
    }

    #[test]
    fn texts_fit_into_a_header() {
        assert_eq!(percent_encoded("50% of\n\u{e9}"), "50%25 of%0A%C3%A9");
        let response = refuse(ApiError::bad_request("\u{e9}".repeat(MESSAGE_BYTES_MAX)));
        assert!(response.headers()[MESSAGE].len() <= 3 * MESSAGE_BYTES_MAX);
    }
}
