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
                    (1, labels) => read.stream = labels_of(labels.text()?),
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

/// The member of `Labels` that holds a text that is no list of labels.
const UNREAD: &str = "_unread";

/// Labels as selectors write them: `{a="b", c="d"}`, values quoted as in Go. A text that is not of that form is kept
/// whole under [`UNREAD`]: its lines are worth more than its labels, and the sender would drop them.
fn labels_of(text: &str) -> Map<String, Value> {
    parse_labels(text).unwrap_or_else(|| Map::from_iter([(UNREAD.to_owned(), text.into())]))
}

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
        labels.insert(name.trim().to_owned(), unquoted(&quoted[..end]).into());
        rest = quoted[end + 1..].trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(labels)
}

/// The text that Go's `strconv.Quote` made this of. What is no escape of Go's stays as it is, and bytes that are no
/// UTF-8 become U+FFFD, as nothing else can stand in a text.
///
/// # Source
/// The Go Programming Language Specification, "Rune literals" and "String literals".
fn unquoted(quoted: &str) -> String {
    let mut bytes = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        match unescaped(escape, &mut bytes) {
            Some(length) => rest = &escape[length..],
            None => {
                bytes.push(b'\\');
                rest = escape;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Adds what an escape stands for, and says how long it is without its backslash; `None` when it is none.
fn unescaped(escape: &str, bytes: &mut Vec<u8>) -> Option<usize> {
    let digits = |range: std::ops::Range<usize>, radix| {
        let digits = escape.get(range).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, radix).ok()
    };
    let kind = *escape.as_bytes().first()?;
    let single = match kind {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'"' | b'\'' => kind,
        b'x' => {
            bytes.push(u8::try_from(digits(1..3, 16)?).ok()?);
            return Some(3);
        }
        b'0'..=b'7' => {
            bytes.push(u8::try_from(digits(0..3, 8)?).ok()?);
            return Some(3);
        }
        b'u' | b'U' => {
            let length = if kind == b'u' { 5 } else { 9 };
            let character = char::from_u32(digits(1..length, 16)?)?;
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(length);
        }
        _ => return None,
    };
    bytes.push(single);
    Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read() {
        let labels = |text: &str| Value::from(labels_of(text)).to_string();
        assert_eq!(labels("{}"), "{}");
        assert_eq!(labels(r#"{a="b", c="d\"e,}\\"}"#), r#"{"a":"b","c":"d\"e,}\\"}"#);
        for bad in ["", "{a}", r#"{a="b"#, r#"{a="b}"#, r#"a="b""#] {
            assert_eq!(labels_of(bad)[UNREAD], bad);
        }
    }

    #[test]
    fn values_are_unquoted_as_go_quotes_them() {
        let check = |quoted: &str, expected: &str| assert_eq!(unquoted(quoted), expected, "{quoted}");
        check(r"\a\b\f\n\r\t\v", "\u{7}\u{8}\u{c}\n\r\t\u{b}");
        check(r#"\x7f\u00ad\U000e0001\\\"\'"#, "\u{7f}\u{ad}\u{e0001}\\\"'");
        check(r"\303\251 \xc3\xa9 \xff.", "\u{e9} \u{e9} \u{fffd}.");
        for none in [r"\q", r"\x7", r"\x+7", r"\ud800", r"\U00110000", r"\400", r"\8", r"C:\", "\u{e9}"] {
            check(none, none);
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
