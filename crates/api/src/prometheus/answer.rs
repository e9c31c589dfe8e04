//! Answers and errors in the forms of Prometheus' interface.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use moneta_ports::QueryError;
use moneta_promql::{Answer, Labels, Series};
use serde_json::{Value, json};

use crate::ApiError;

/// An error: its kind is what clients look at.
#[derive(Debug)]
pub(super) struct Refusal {
    kind: &'static str,
    error: ApiError,
}

impl Refusal {
    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        Self { kind: "bad_data", error: ApiError::bad_request(message) }
    }

    pub(super) fn execution(message: impl Into<String>) -> Self {
        let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "execution", message);
        Self { kind: "execution", error }
    }
}

impl From<moneta_promql::Error> for Refusal {
    fn from(error: moneta_promql::Error) -> Self {
        match error {
            moneta_promql::Error::Evaluation(message) => Self::execution(message),
            other => Self::bad_data(format!("invalid parameter \"query\": {other}")),
        }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let kind = match error.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "unauthorized",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => "unavailable",
            StatusCode::UNPROCESSABLE_ENTITY => "execution",
            status if status.is_client_error() => "bad_data",
            _ => "internal",
        };
        Self { kind, error }
    }
}

/// Of the query that fetches the samples: its text is ours, so what is wrong with it is no fault of the caller's text.
impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Limit { message, .. } | QueryError::Cancelled(message) => Self::execution(message),
            other => crate::export::refused(other).into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "status": "error", "errorType": self.kind, "error": self.error.message });
        let mut response = (self.error.status, Json(body)).into_response();
        self.error.add_headers(&mut response);
        response
    }
}

pub(super) fn success(data: &Value) -> Response {
    Json(json!({ "status": "success", "data": data })).into_response()
}

/// What an instant query says.
pub(super) fn of_instant(answer: Answer, at: i64) -> Response {
    match answer {
        Answer::Scalar(number) => result("scalar", pair(at, number)),
        Answer::Vector(vector) => {
            let one = |(labels, value): (Labels, f64)| json!({ "metric": labels, "value": pair(at, value) });
            result("vector", vector.into_iter().map(one).collect())
        }
        Answer::Window(series) => matrix(series),
    }
}

/// Series with their values.
pub(super) fn matrix(series: Vec<Series>) -> Response {
    let one = |series: Series| {
        let values: Vec<Value> = series.points.into_iter().map(|(time, value)| pair(time, value)).collect();
        json!({ "metric": series.labels, "values": values })
    };
    result("matrix", series.into_iter().map(one).collect())
}

fn result(kind: &str, result: Value) -> Response {
    success(&json!({ "resultType": kind, "result": result }))
}

/// Seconds, and the value as a text: JSON has no words for what is not a finite number.
fn pair(time_ms: i64, value: f64) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "seconds as Prometheus writes them")]
    let seconds = if time_ms % 1_000 == 0 { json!(time_ms / 1_000) } else { json!(time_ms as f64 / 1e3) };
    let text = match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    };
    json!([seconds, text])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_texts_and_times_are_seconds() {
        let check = |value: f64, expected: &str| assert_eq!(pair(1_500, value), json!([1.5, expected]));
        assert_eq!(pair(2_000, 1.0).to_string(), r#"[2,"1"]"#);
        check(1.0, "1");
        check(-0.25, "-0.25");
        check(1e21, "1000000000000000000000");
        check(f64::INFINITY, "+Inf");
        check(f64::NAN, "NaN");
    }
}
