//! The one map from errors to status codes and JSON bodies.
//!
//! What a caller can act on is told; what only an operator can act on goes to the log, with the whole chain of causes.

use std::error::Error as StdError;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use moneta_base::ErrorKind;
use moneta_ports::PortError;
use serde_json::json;

/// What is said instead of the inside of the program.
const INTERNAL: &str = "something went wrong inside Moneta; the log has the details under this request's id";

/// An answer that is an error.
#[derive(Debug)]
pub struct ApiError {
    pub(crate) status: StatusCode,
    /// Stable, for programs.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
    /// Further members of the error object.
    pub(crate) details: Option<Box<serde_json::Map<String, serde_json::Value>>>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, details: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    pub(crate) fn busy(message: impl Into<String>, retry_after: Duration) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message);
        Self { retry_after: Some(retry_after), ..error }
    }

    /// An error nobody outside can act on; logs its causes.
    pub(crate) fn internal(cause: &dyn StdError) -> Self {
        tracing::error!(error = %chain(cause), "request failed inside");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", INTERNAL)
    }

    fn of_kind(kind: ErrorKind, error: &(dyn StdError + 'static)) -> Self {
        match kind {
            ErrorKind::Caller => Self::bad_request(error.to_string()),
            ErrorKind::Denied => Self::forbidden(error.to_string()),
            ErrorKind::Environment { retry_after: Some(after) } => Self::busy(error.to_string(), after),
            ErrorKind::Environment { retry_after: None } => {
                tracing::error!(error = %chain(error), "request failed; an operator must act");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string())
            }
            ErrorKind::Internal => Self::internal(error),
        }
    }

    /// The JSON object under `error`.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let (Some(error), Some(details)) = (error.as_object_mut(), &self.details) {
            error.extend((**details).clone());
        }
        error
    }

    /// Adds the headers that tell a client how to go on.
    pub(crate) fn add_headers(&self, response: &mut Response) {
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"moneta\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.to_json() }))).into_response();
        self.add_headers(&mut response);
        response
    }
}

impl From<PortError> for ApiError {
    fn from(error: PortError) -> Self {
        Self::of_kind(error.kind, &error)
    }
}

impl From<moneta_access::Error> for ApiError {
    fn from(error: moneta_access::Error) -> Self {
        use moneta_access::Error as Access;
        let text = error.to_string();
        match &error {
            _ if error.is_unauthenticated() => Self::new(StatusCode::UNAUTHORIZED, "unauthorized", text),
            Access::Throttled { retry_after } => Self {
                retry_after: Some(*retry_after),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", text)
            },
            other if other.is_missing() => Self::not_found(text),
            other if other.is_taken() => Self::new(StatusCode::CONFLICT, "already_exists", text),
            _ => Self::of_kind(error.kind(), &error),
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}
