//! The HTTP Data Collector: records signed with a key instead of sent with a token, for a table named by a header.
//!
//! # Source
//! HTTP Data Collector API in Azure Monitor. The signature is HMAC-SHA-256 over five lines: `POST`, the length of the
//! body, its content type, `x-ms-date:` with the date, and `/api/logs`. The table is `<Log-Type>_CL`; a column's name is
//! that of its property with a suffix for its type: `_s` text, `_b` boolean, `_d` number, `_t` time, `_g` GUID.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moneta_access::Presented;
use moneta_base::{TenantId, Timestamp};
use moneta_event::schema::standard;
use moneta_formats::Format;
use moneta_ports::{OpContext, Scope};
use serde_json::{Map, Value};

use crate::ApiError;
use crate::body::{EVENTS_BODY_BYTES_MAX, Pieces};
use crate::ingest::{decode_options, source_of};
use crate::intake::{Lot, place, store, table_of};
use crate::observe::client_info;
use crate::state::App;

/// How far the date of a request may be off: an older one may be somebody's repetition.
const DATE_OFF_MAX: Duration = Duration::from_secs(15 * 60);
/// Characters of a `Log-Type` at most.
const LOG_TYPE_CHARACTERS_MAX: usize = 100;
/// Properties that have a column of their own name.
const UNSUFFIXED: [&str; 2] = ["Computer", standard::TIME_GENERATED];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `POST /api/logs?api-version=2016-04-01`.
pub(crate) async fn logs(State(state): State<App>, request: Request) -> Result<StatusCode, ApiError> {
    let (parts, body) = request.into_parts();
    let signed = Signed::of(&parts.headers)?;
    // The signature is over the length alone, so nobody unknown makes us hold a body.
    let message = signed.message(content_length(&parts.headers)?);
    let presented =
        Presented::Signed { id: &signed.workspace, message: message.as_bytes(), signature: &signed.signature };
    let ctx = state.access.authenticate(&client_info(&parts), presented).await?;
    check_sender(&ctx, &signed, state.clock.now())?;
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (log_type, time_field) = (text("log-type"), text("time-generated-field").filter(|field| !field.is_empty()));
    let table = table_of(&state, &format!("{}_CL", check_log_type(log_type.as_deref())?))?;
    let _place = place(&state).await?;
    let bytes = Pieces::of(Request::from_parts(parts, body)).collect(EVENTS_BODY_BYTES_MAX).await?;
    let lines = to_lines(&bytes, time_field.as_deref())?;
    let mut options = decode_options(&state, &source_of(&ctx), false);
    options.table = Some(table);
    store(&state, vec![Lot { format: Format::Ndjson, options, bytes: lines }], None).await?;
    Ok(StatusCode::OK)
}

/// What a request says of its signature.
struct Signed {
    workspace: String,
    signature: Vec<u8>,
    date: String,
    content_type: String,
}

impl Signed {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let authorization = text(header::AUTHORIZATION.as_str()).unwrap_or_default();
        let (workspace, signature) = authorization
            .strip_prefix("SharedKey ")
            .and_then(|rest| rest.trim().split_once(':'))
            .ok_or_else(|| unauthorised("sign with `Authorization: SharedKey <credential id>:<signature>`"))?;
        let signature = STANDARD.decode(signature).map_err(|_| unauthorised("the signature is not base64"))?;
        let date = text("x-ms-date").ok_or_else(|| ApiError::bad_request("the header x-ms-date is missing"))?;
        let content_type = text(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        Ok(Self { workspace: workspace.to_owned(), signature, date, content_type })
    }

    fn message(&self, length: usize) -> String {
        format!("POST\n{length}\n{}\nx-ms-date:{}\n/api/logs", self.content_type, self.date)
    }
}

/// The length that was signed. A compressed body has lost it, and its sender would have signed another.
fn content_length(headers: &HeaderMap) -> Result<usize, ApiError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    length.ok_or_else(|| {
        let message = "send Content-Length, and the body without compression: the signature is over its length";
        ApiError::new(StatusCode::LENGTH_REQUIRED, "length_required", message)
    })
}

fn unauthorised(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "InvalidAuthorization", message)
}

/// Refuses a sender who may not, and a date that is too far off to have been signed just now.
fn check_sender(ctx: &OpContext, signed: &Signed, now: Timestamp) -> Result<(), ApiError> {
    let date = parse_date(&signed.date)
        .ok_or_else(|| ApiError::bad_request("x-ms-date must be a date such as `Mon, 04 Apr 2016 08:00:00 GMT`"))?;
    if now.since(date) > DATE_OFF_MAX || date.since(now) > DATE_OFF_MAX {
        return Err(ApiError::forbidden(format!("x-ms-date is more than 15 minutes off; here it is {now}")));
    }
    Ok(moneta_access::require(ctx, Scope::Ingest)?)
}

/// A date as in HTTP headers (RFC 9110, IMF-fixdate).
fn parse_date(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once(", ")?;
    let rest = rest.strip_suffix(" GMT")?;
    let mut words = rest.split(' ');
    let (day, month, year, clock) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse(&format!("{year:0>4}-{month:02}-{day:0>2}T{clock}Z")).filter(|_| words.next().is_none())
}

fn check_log_type(name: Option<&str>) -> Result<&str, ApiError> {
    let is_plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match name {
        Some(name) if (1..=LOG_TYPE_CHARACTERS_MAX).contains(&name.len()) && is_plain(name) => Ok(name),
        _ => Err(ApiError::bad_request("Log-Type must be 1 to 100 letters, digits and underscores")),
    }
}

/// The records, one a line, with the names their columns have.
fn to_lines(bytes: &[u8], time_field: Option<&str>) -> Result<Vec<u8>, ApiError> {
    let body: Value = serde_json::from_slice(bytes)
        .map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))?;
    let records = match body {
        Value::Array(records) => records,
        Value::Object(_) => vec![body],
        _ => return Err(ApiError::bad_request("the body must be a JSON object or an array of objects")),
    };
    let mut lines = Vec::with_capacity(bytes.len() + bytes.len() / 4);
    for record in records {
        let named = match record {
            Value::Object(record) => Value::Object(suffixed(record, time_field)),
            other => other,
        };
        serde_json::to_writer(&mut lines, &named).map_err(|error| ApiError::internal(&error))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn suffixed(record: Map<String, Value>, time_field: Option<&str>) -> Map<String, Value> {
    let mut named = Map::new();
    if let Some(time) = time_field.and_then(|field| record.get(field)).filter(|time| time.is_string()) {
        named.insert(standard::TIME_GENERATED.to_owned(), time.clone());
    }
    for (name, value) in record {
        if UNSUFFIXED.contains(&name.as_str()) {
            named.entry(name).or_insert(value);
            continue;
        }
        let (suffix, value) = match value {
            Value::Null => continue,
            Value::Bool(_) => ("_b", value),
            Value::Number(number) => ("_d", number.as_f64().map_or(Value::Number(number), Value::from)),
            Value::String(text) if is_time(&text) => ("_t", Value::String(text)),
            Value::String(text) if TenantId::parse(&text).is_ok() => ("_g", Value::String(text)),
            Value::String(text) => ("_s", Value::String(text)),
            Value::Array(_) | Value::Object(_) => ("_s", Value::String(value.to_string())),
        };
        named.insert(format!("{name}{suffix}"), value);
    }
    named
}

/// Whether a text is a time in ISO 8601 with a date and a clock, as the interface asks for.
fn is_time(text: &str) -> bool {
    text.len() >= 19 && text.as_bytes()[10] == b'T' && Timestamp::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_text_is_that_of_the_documented_request() {
        let date = "Mon, 04 Apr 2016 08:00:00 GMT";
        let headers = [
            (header::AUTHORIZATION, "SharedKey w:AAA=".parse().unwrap()),
            (header::HeaderName::from_static("x-ms-date"), date.parse().unwrap()),
            (header::CONTENT_TYPE, "application/json".parse().unwrap()),
        ];
        let signed = Signed::of(&headers.into_iter().collect()).unwrap();
        assert_eq!(signed.message(9), format!("POST\n9\napplication/json\nx-ms-date:{date}\n/api/logs"));
        assert_eq!(parse_date(date), Timestamp::parse("2016-04-04T08:00:00Z"));
        for bad in ["2016-04-04", "Mon, 04 Foo 2016 08:00:00 GMT", "Mon, 04 Apr 2016 08:00:00 GMT x", ""] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn columns_are_named_by_their_types() {
        let body = r#"[{"a":1,"b":true,"c":"x","d":"2026-01-02T03:04:05Z","e":"6f1c0f3e-2a53-4d1b-9a55-0f6f2f9b7d11",
            "f":null,"g":{"h":1},"Computer":"web"}, 5]"#;
        let lines = String::from_utf8(to_lines(body.as_bytes(), Some("d")).unwrap()).unwrap();
        let expected = r#"{"TimeGenerated":"2026-01-02T03:04:05Z","a_d":1.0,"b_b":true,"c_s":"x","d_t":"2026-01-02T03:04:05Z","e_g":"6f1c0f3e-2a53-4d1b-9a55-0f6f2f9b7d11","g_s":"{\"h\":1}","Computer":"web"}"#;
        assert_eq!(lines, format!("{expected}\n5\n"));
        assert!(to_lines(b"5", None).is_err() && to_lines(b"[", None).is_err());
    }

    #[test]
    fn log_types_are_plain_words() {
        assert_eq!(check_log_type(Some("My_Log1")).unwrap(), "My_Log1");
        for bad in [None, Some(""), Some("a-b"), Some("a/../b")] {
            assert!(check_log_type(bad).is_err(), "{bad:?}");
        }
    }
}
