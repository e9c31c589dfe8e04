//! Loki's push interface: lines of streams, each stream with its labels.
//!
//! # Source
//! Grafana Loki HTTP API, "Ingest logs": JSON, or a `PushRequest` in protobuf as one block of Snappy. Structured
//! metadata is the third member of a value.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use moneta_base::Timestamp;
use moneta_event::schema::standard;
use moneta_ports::OpContext;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::ApiError;
use crate::auth::MayIngest;
use crate::body::{EVENTS_BODY_BYTES_MAX, Pieces};
use crate::intake::{Records, Target, place, table_of};
use crate::protobuf::{Fields, Malformed, Wire};
use crate::state::App;

/// The table of the lines.
const TABLE: &str = "Loki_CL";
/// The tenant a sender says it is; kept beside its lines.
const TENANT: &str = "x-scope-orgid";

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/loki/api/v1/push", post(push)).route("/ready", get(ready))
}

/// `GET /ready`: senders ask it before they begin.
async fn ready(State(state): State<App>) -> (StatusCode, &'static str) {
    match state.operations.readiness().iter().all(|part| part.ready) {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

/// `POST /loki/api/v1/push`.
async fn push(caller: Result<MayIngest, ApiError>, State(state): State<App>, request: Request) -> Response {
    let outcome = match caller {
        Ok(MayIngest(ctx)) => store(&state, &ctx, request).await,
        Err(error) => Err(error),
    };
    outcome.map_or_else(plain, |()| StatusCode::NO_CONTENT.into_response())
}

/// An error as Loki says it: a line of text.
fn plain(error: ApiError) -> Response {
    let mut response = (error.status, format!("{}\n", error.message)).into_response();
    error.add_headers(&mut response);
    response
}

async fn store(state: &App, ctx: &OpContext, request: Request) -> Result<(), ApiError> {
    let headers = request.headers().clone();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let _place = place(state).await?;
    let body = Pieces::of(request).collect(EVENTS_BODY_BYTES_MAX).await?;
    let streams = if is_json(&headers) {
        serde_json::from_slice::<Push>(&body)
            .map_err(|error| ApiError::bad_request(format!("the body is not a push request: {error}")))?
            .streams
    } else {
        from_protobuf(&unpack(&body)?).map_err(|error| ApiError::bad_request(error.to_string()))?
    };
    let target = Target::Table(table_of(state, TABLE)?);
    let mut records = Records::default();
    for stream in streams {
        for Line(time, line, metadata) in stream.values {
            let mut record = Map::new();
            record.insert(standard::TIME_GENERATED.to_owned(), time_of(&time)?.to_string().into());
            record.insert("Line".to_owned(), line.into());
            record.insert("Labels".to_owned(), Value::Object(stream.stream.clone()));
            record.extend((!metadata.is_empty()).then(|| ("Metadata".to_owned(), Value::Object(metadata))));
            record.extend(text(TENANT).map(|tenant| ("OrgId".to_owned(), tenant.into())));
            records.push(&target, &record)?;
        }
    }
    // Loki takes a push without lines too.
    if !records.is_empty() {
        records.store(state, ctx, "loki", None).await?;
    }
    Ok(())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.starts_with("application/json")
}

/// Opens one block of Snappy, when what is in it is not too large.
pub(crate) fn unpack(body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let bad = |_| ApiError::bad_request("the body is neither JSON nor a block of Snappy");
    let length = snap::raw::decompress_len(body).map_err(bad)?;
    if length > EVENTS_BODY_BYTES_MAX {
        return Err(ApiError::too_large(format!("the body has more than {EVENTS_BODY_BYTES_MAX} bytes when unpacked")));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(bad)
}

#[derive(Deserialize)]
struct Push {
    streams: Vec<Stream>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Stream {
    stream: Map<String, Value>,
    values: Vec<Line>,
}

/// Nanoseconds since 1970 as text, the line, its metadata.
#[derive(Debug, PartialEq)]
struct Line(String, String, Map<String, Value>);

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let mut parts = Vec::<Value>::deserialize(deserializer)?.into_iter();
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Value::String(time)), Some(Value::String(line)), None, None) => Ok(Self(time, line, Map::new())),
            (Some(Value::String(time)), Some(Value::String(line)), Some(Value::Object(metadata)), None) => {
                Ok(Self(time, line, metadata))
            }
            _ => {
                Err(D::Error::custom("a value is `[\"<nanoseconds>\", \"<line>\", {metadata}]`, the last one optional"))
            }
        }
    }
}

fn time_of(text: &str) -> Result<Timestamp, ApiError> {
    let nanos = text.parse().map_err(|_| {
        let shown: String = text.chars().take(64).collect();
        ApiError::bad_request(format!("the time {shown:?} is not in nanoseconds since 1970"))
    })?;
    Ok(Timestamp::from_nanos(nanos))
}

/// `logproto.PushRequest`: streams (1) of labels (1) and entries (2) of time (1), line (2) and metadata (3).
fn from_protobuf(bytes: &[u8]) -> Result<Vec<Stream>, Malformed> {
    let mut streams = Vec::new();
    for field in Fields::of(bytes) {
        if let (1, stream) = field? {
            let mut read = Stream::default();
            for field in Fields::of(stream.bytes()?) {
                match field? {
                    (1, labels) => read.stream = parse_labels(labels.text()?).ok_or(Malformed)?,
                    (2, entry) => read.values.push(entry_from_protobuf(entry)?),
                    _ => {}
                }
            }
            streams.push(read);
        }
    }
    Ok(streams)
}

fn entry_from_protobuf(entry: Wire<'_>) -> Result<Line, Malformed> {
    let (mut seconds, mut nanos, mut line, mut metadata) = (0_i64, 0_i64, String::new(), Map::new());
    for field in Fields::of(entry.bytes()?) {
        match field? {
            (1, time) => {
                for field in Fields::of(time.bytes()?) {
                    match field? {
                        (1, value) => seconds = value.int()?,
                        (2, value) => nanos = value.int()?,
                        _ => {}
                    }
                }
            }
            (2, text) => line = text.text()?.to_owned(),
            (3, pair) => {
                let (name, value) = pair.pair()?;
                metadata.insert(name.to_owned(), value.into());
            }
            _ => {}
        }
    }
    let time = seconds.checked_mul(1_000_000_000).and_then(|whole| whole.checked_add(nanos)).ok_or(Malformed)?;
    Ok(Line(time.to_string(), line, metadata))
}

/// Labels as selectors write them: `{a="b", c="d"}`, values quoted as in Go.
fn parse_labels(text: &str) -> Option<Map<String, Value>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut labels = Map::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let quoted = after.trim_start().strip_prefix('"')?;
        let mut escaped = false;
        let end = quoted.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        // The escapes that occur in labels are those of JSON too.
        let value: String = serde_json::from_str(&format!("\"{}\"", &quoted[..end])).ok()?;
        labels.insert(name.trim().to_owned(), value.into());
        rest = quoted[end + 1..].trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Option<String> {
        parse_labels(text).map(|labels| Value::from(labels).to_string())
    }

    #[test]
    fn labels_are_read() {
        assert_eq!(labels("{}").as_deref(), Some("{}"));
        assert_eq!(labels(r#"{a="b", c="d\"e,}\\"}"#).as_deref(), Some(r#"{"a":"b","c":"d\"e,}\\"}"#));
        for bad in ["", "{a}", r#"{a="b"#, r#"{a="b}"#, r#"a="b""#] {
            assert_eq!(labels(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_push_request_in_protobuf_is_read() {
        let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let time = [0x08, 0x01, 0x10, 0x02];
        let metadata = field(3, &[field(1, b"k"), field(2, b"v")].concat());
        let entry = [field(1, &time), field(2, b"line"), metadata].concat();
        let push = field(1, &[field(1, b"{a=\"b\"}"), field(2, &entry)].concat());
        let streams = from_protobuf(&push).unwrap();
        let Line(time, line, metadata) = &streams[0].values[0];
        assert_eq!((time.as_str(), line.as_str(), &metadata["k"]), ("1000000002", "line", &"v".into()));
        assert_eq!(streams[0].stream["a"], "b");
        assert_eq!(from_protobuf(&push[..push.len() - 1]), Err(Malformed));
    }

    #[test]
    fn values_have_two_or_three_members() {
        let read = |text: &str| serde_json::from_str::<Line>(text).is_ok();
        assert!(read(r#"["1","x"]"#) && read(r#"["1","x",{"a":"b"}]"#));
        assert!(!read(r#"["1"]"#) && !read(r#"[1,"x"]"#) && !read(r#"["1","x",{},1]"#));
    }
}
