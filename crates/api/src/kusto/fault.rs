//! Errors in Kusto's form. The clients print `@message`, look for `Semantic error:` in it, retry unless `@permanent`.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use moneta_base::ErrorKind;
use moneta_ports::{QueryDiagnostic, QueryError};
use serde_json::{Value, json};

use super::answer::Run;
use crate::ApiError;

/// An error on its way to a Kusto client.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    code: &'static str,
    kind: &'static str,
    pub(crate) message: String,
    permanent: bool,
    /// Code and type of the error inside, for errors of the text.
    inner: Option<Box<(String, &'static str)>>,
    retry_after: Option<Duration>,
    /// Our own member: the findings with their places.
    findings: Option<Box<Value>>,
}

/// What Kusto says in `message` whatever happened; the text that helps is in `@message`.
const GENERIC: &str = "Request is invalid and cannot be executed.";

/// Kusto's code of a result that was cut, and its words.
const TOO_LARGE: i64 = -2_133_196_797;
const TOO_LARGE_NAME: &str = "Query result set too large (E_QUERY_RESULT_SET_TOO_LARGE). (-2133196797)";
/// The code of any other failure.
const FAILED: i64 = -2_147_467_259;
const FAILED_NAME: &str = "E_FAIL (-2147467259)";

impl Fault {
    fn new(status: StatusCode, code: &'static str, kind: &'static str, message: String) -> Self {
        let permanent = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
        Self { status, code, kind, message, permanent, inner: None, retry_after: None, findings: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        let kind = "Kusto.Data.Exceptions.KustoBadRequestException";
        Self::new(StatusCode::BAD_REQUEST, "General_BadRequest", kind, message.into())
    }

    pub(crate) fn no_such_database(name: &str) -> Self {
        let shown: String = name.chars().take(64).collect();
        let kind = "Kusto.Data.Exceptions.EntityNotFoundException";
        let message =
            format!("Entity ID '{shown}' of kind 'Database' was not found. The database is '{}'.", super::DATABASE);
        Self::new(StatusCode::BAD_REQUEST, "BadRequest_EntityNotFound", kind, message)
    }

    /// The rows were cut.
    pub(crate) fn truncated(text: &str) -> Self {
        let kind = "Kusto.Data.Exceptions.KustoServicePartialQueryFailureLimitsExceededException";
        let message = format!("Query execution has exceeded the allowed limits (80DA0003): {text}.");
        Self { permanent: false, ..Self::new(StatusCode::OK, "LimitsExceeded", kind, message) }
    }

    /// Something stored could not be read.
    pub(crate) fn not_all_read(reasons: &[String]) -> Self {
        let kind = "Kusto.Data.Exceptions.KustoServicePartialQueryFailureException";
        let message = format!("the answer is not whole: {}", reasons.join("; "));
        Self { permanent: false, ..Self::new(StatusCode::OK, "PartialQueryFailure", kind, message) }
    }

    pub(crate) fn of_query(error: &QueryError, text: &str) -> Self {
        match error {
            QueryError::Invalid { diagnostics, rendered } => Self::invalid(diagnostics, rendered, text),
            QueryError::Limit { code, message } => {
                let kind = "Kusto.Data.Exceptions.KustoServicePartialQueryFailureLimitsExceededException";
                let is_timeout = code.contains("TIMEOUT") || code.contains("TIMED_OUT");
                let status = if is_timeout { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_REQUEST };
                let message = if message.contains(code) { message.clone() } else { format!("{message} ({code})") };
                Self {
                    inner: Some(Box::new(((*code).to_owned(), kind))),
                    ..Self::new(status, "LimitsExceeded", kind, message)
                }
            }
            QueryError::Cancelled(message) => {
                let kind = "Kusto.Data.Exceptions.KustoServicePartialQueryFailureException";
                Self::new(StatusCode::BAD_REQUEST, "Cancelled", kind, format!("{message} (E_QUERY_CANCELLED)"))
            }
            QueryError::Throttled { message, retry_after } => ApiError {
                retry_after: Some(*retry_after),
                ..ApiError::new(StatusCode::TOO_MANY_REQUESTS, "throttled", message)
            }
            .into(),
            QueryError::Denied(message) => ApiError::forbidden(message).into(),
            QueryError::Failed { kind, message } => match kind {
                ErrorKind::Caller => Self::bad_request(message),
                ErrorKind::Denied => ApiError::forbidden(message).into(),
                ErrorKind::Environment { retry_after: Some(after) } => ApiError::busy(message, *after).into(),
                ErrorKind::Environment { retry_after: None } => {
                    tracing::error!(message, "query failed; an operator must act");
                    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message).into()
                }
                ErrorKind::Internal => ApiError::internal(error).into(),
            },
        }
    }

    fn invalid(diagnostics: &[QueryDiagnostic], rendered: &str, text: &str) -> Self {
        let first = diagnostics.first();
        let code = first.map_or("SYN0001", |finding| finding.code.as_str()).to_owned();
        let is_syntax = code.starts_with("SYN");
        let (word, kind) = if is_syntax {
            ("Syntax", "Kusto.Data.Exceptions.SyntaxException")
        } else {
            ("Semantic", "Kusto.Data.Exceptions.SemanticException")
        };
        let what = first.map_or("the query is not valid", |finding| finding.message.as_str());
        let place = first.map(|finding| {
            let (line, column) = line_and_column(text, finding.start);
            format!(" [line:position={line}:{column}]")
        });
        let message = format!("{word} error: {code}: {what}{}", place.unwrap_or_default());
        let findings: Vec<Value> = diagnostics.iter().map(|finding| finding_json(finding, text)).collect();
        Self {
            inner: Some(Box::new((code, kind))),
            findings: Some(Box::new(json!({ "diagnostics": findings, "rendered": rendered }))),
            ..Self::bad_request(message)
        }
    }

    /// How the run ended, as status code, its words, and the kind of event.
    pub(crate) fn completion(&self) -> (i64, &'static str, &'static str) {
        match self.code {
            "LimitsExceeded" => (TOO_LARGE, TOO_LARGE_NAME, "QueryLimitsExceeded"),
            _ => (FAILED, FAILED_NAME, "QueryPartialFailure"),
        }
    }

    /// The object under `error`.
    pub(crate) fn to_json(&self, run: &Run<'_>) -> Value {
        let context = json!({
            "timestamp": run.now,
            "serviceAlias": "moneta",
            "clientRequestId": &*run.ids.client,
            "activityId": &*run.ids.activity,
            "subActivityId": &*run.ids.activity,
            "parentActivityId": &*run.ids.activity,
            "activityType": "Http",
        });
        let mut error = json!({
            "code": self.code,
            "message": GENERIC,
            "@type": self.kind,
            "@message": self.message,
            "@context": context,
            "@permanent": self.permanent,
        });
        if let Some(inner) = &self.inner {
            let (code, kind) = &**inner;
            error["innererror"] = json!({
                "code": code,
                "message": self.message,
                "@type": kind,
                "@message": self.message,
                "@errorCode": code,
                "@permanent": self.permanent,
            });
        }
        if let Some(findings) = &self.findings {
            error["moneta"] = (**findings).clone();
        }
        error
    }

    pub(crate) fn respond(self, run: &Run<'_>) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.to_json(run) }))).into_response();
        let headers = ApiError { retry_after: self.retry_after, ..ApiError::new(self.status, self.code, "") };
        headers.add_headers(&mut response);
        response
    }
}

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        let (code, kind) = match error.status {
            StatusCode::UNAUTHORIZED => ("Unauthorized", "Kusto.Data.Exceptions.KustoRequestDeniedException"),
            StatusCode::FORBIDDEN => ("Forbidden", "Kusto.DataNode.Exceptions.RequestDeniedException"),
            StatusCode::TOO_MANY_REQUESTS => {
                ("TooManyRequests", "Kusto.DataNode.Exceptions.ControlCommandThrottledException")
            }
            StatusCode::PAYLOAD_TOO_LARGE => ("PayloadTooLarge", "Kusto.Data.Exceptions.KustoBadRequestException"),
            status if status.is_client_error() => {
                ("General_BadRequest", "Kusto.Data.Exceptions.KustoBadRequestException")
            }
            _ => ("General_InternalServerError", "Kusto.Data.Exceptions.KustoServiceException"),
        };
        Self { retry_after: error.retry_after, ..Self::new(error.status, code, kind, error.message) }
    }
}

fn finding_json(finding: &QueryDiagnostic, text: &str) -> Value {
    let (line, column) = line_and_column(text, finding.start);
    json!({
        "code": finding.code,
        "message": finding.message,
        "start": finding.start,
        "end": finding.end,
        "line": line,
        "column": column,
    })
}

/// Line and column of a byte offset, both counted from 1, columns in characters.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_columns_of_characters() {
        assert_eq!(line_and_column("ä\nbc", 4), (2, 2));
        assert_eq!(line_and_column("ä", 1), (1, 1));
        assert_eq!(line_and_column("a", 99), (1, 2));
    }
}
