//! What Kusto's clients send: the text and its options, in the several spellings of the official clients.

use std::time::Duration;

use moneta_base::Timestamp;
use moneta_ports::{OpContext, QueryLanguage, QueryRequest, TimeScope};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::fault::Fault;
use super::{is_our_database, span};
use crate::observe::clean_claim;

/// The body of a request, or the parameters of a `GET`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct WireRequest {
    #[serde(default)]
    db: Option<String>,
    #[serde(default)]
    csl: String,
    /// An object, or one as text: the Python and Node clients send text.
    #[serde(default)]
    properties: Value,
}

/// A request understood.
#[derive(Debug)]
pub(crate) struct KustoRequest {
    /// The text as sent.
    pub(crate) text: String,
    /// The query, when it is one.
    pub(crate) query: QueryRequest,
    /// Rows after which the result ends without being called incomplete (`query_take_max_records`).
    pub(crate) take: Option<usize>,
    /// Whether commands that change something are refused (`request_readonly`).
    pub(crate) readonly: bool,
    /// Whether to begin each frame on its own line.
    pub(crate) newlines_between_frames: bool,
    /// The program that asks (`request_app_name`), when it says so here too.
    pub(crate) application: Option<String>,
    /// Whom it asks for (`request_user`).
    pub(crate) user: Option<String>,
}

impl KustoRequest {
    /// Reads a JSON body.
    pub(crate) fn from_body(bytes: &[u8]) -> Result<Self, Fault> {
        let wire = serde_json::from_slice(bytes)
            .map_err(|error| Fault::bad_request(format!("the body is not a Kusto request: {error}")))?;
        Self::from_wire(wire)
    }

    /// Takes what a client sent apart.
    pub(crate) fn from_wire(wire: WireRequest) -> Result<Self, Fault> {
        let database = wire.db.unwrap_or_default();
        if !is_our_database(&database) {
            return Err(Fault::no_such_database(&database));
        }
        if wire.csl.trim().is_empty() {
            return Err(Fault::bad_request("`csl` is empty: send a query or a management command"));
        }
        let properties = as_object(wire.properties)?;
        let options = match properties.get("Options") {
            Some(Value::Object(options)) => Options(options.clone()),
            _ => Options::default(),
        };
        let parameters = match properties.get("Parameters") {
            Some(Value::Object(parameters)) => {
                parameters.iter().map(|(name, value)| parameter(name, value, &wire.csl)).collect()
            }
            _ => Vec::new(),
        };
        Ok(Self {
            query: QueryRequest {
                text: wire.csl.clone(),
                language: options.language()?,
                now: options.time("query_now")?,
                rows_max: options.smallest(&["query_take_max_records"])?,
                truncation_rows: options.smallest(&["truncationmaxrecords"])?,
                truncation_bytes: options.smallest(&["truncationmaxsize"])?,
                memory_bytes: options.smallest(&["maxmemoryconsumptionperqueryperiterator"])?,
                time_scope: options.time_scope()?,
                no_truncation: options.flag("notruncation"),
                timeout: if options.flag("norequesttimeout") { None } else { options.duration("servertimeout")? },
                parameters,
                takes_partial: true,
                ..QueryRequest::new("")
            },
            take: options.smallest(&["query_take_max_records"])?,
            readonly: options.flag("request_readonly") || options.flag("request_readonly_hardline"),
            newlines_between_frames: options.flag("results_v2_newlines_between_frames"),
            application: options.text("request_app_name").map(|text| clean_claim(&text)),
            user: options.text("request_user").map(|text| clean_claim(&text)),
            text: wire.csl,
        })
    }

    /// What the client says of itself, in the request before what the headers say.
    pub(crate) fn claim(&self, ctx: &mut OpContext) {
        for (said, claim) in [(&self.application, &mut ctx.claims.application), (&self.user, &mut ctx.claims.user)] {
            if let Some(said) = said.as_ref().filter(|said| !said.is_empty()) {
                claim.clone_from(said);
            }
        }
    }

    /// Whether the text is a management command.
    pub(crate) fn is_command(&self) -> bool {
        self.text.trim_start().starts_with('.')
    }
}

fn as_object(properties: Value) -> Result<Map<String, Value>, Fault> {
    match properties {
        Value::Null => Ok(Map::new()),
        Value::Object(object) => Ok(object),
        Value::String(text) if text.trim().is_empty() => Ok(Map::new()),
        Value::String(text) => serde_json::from_str(&text)
            .map_err(|error| Fault::bad_request(format!("`properties` is text but not a JSON object: {error}"))),
        _ => Err(Fault::bad_request("`properties` must be a JSON object, or one as text")),
    }
}

/// The options of a request. Unknown ones are ignored, as Kusto does; known ones with nonsense are errors.
#[derive(Debug, Default)]
struct Options(Map<String, Value>);

impl Options {
    fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text.eq_ignore_ascii_case("true") || text == "1")
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let inner = text.trim().strip_prefix("datetime(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(&text);
        Timestamp::parse(inner.trim())
            .map(Some)
            .ok_or_else(|| bad_option(name, &text, "a time such as 2026-01-02T03:04:05Z"))
    }

    fn language(&self) -> Result<QueryLanguage, Fault> {
        let Some(text) = self.text("query_language") else { return Ok(QueryLanguage::Kql) };
        QueryLanguage::parse(&text).ok_or_else(|| bad_option("query_language", &text, "`kql` or `sql`"))
    }

    fn time_scope(&self) -> Result<Option<TimeScope>, Fault> {
        let from = self.time("query_datetimescope_from")?;
        let to = self.time("query_datetimescope_to")?;
        let column = self.text("query_datetimescope_column");
        Ok((from.is_some() || to.is_some()).then_some(TimeScope { column, from, to }))
    }

    fn duration(&self, name: &str) -> Result<Option<Duration>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        span::parse(&text).map(Some).ok_or_else(|| bad_option(name, &text, "a duration such as 00:04:00"))
    }

    fn smallest(&self, names: &[&str]) -> Result<Option<usize>, Fault> {
        let mut smallest = None;
        for name in names {
            let Some(text) = self.text(name) else { continue };
            let number: usize = text.trim().parse().map_err(|_| bad_option(name, &text, "a number of rows"))?;
            smallest = Some(smallest.map_or(number, |other: usize| other.min(number)));
        }
        Ok(smallest)
    }
}

fn bad_option(name: &str, text: &str, wanted: &str) -> Fault {
    let shown: String = text.chars().take(64).collect();
    Fault::bad_request(format!("option `{name}` is {shown:?}; it must be {wanted}"))
}

/// A query parameter as KQL literal text. Clients send the value of a `string` parameter bare, and that of the others
/// as a literal; only the declaration in the query tells which it is.
fn parameter(name: &str, value: &Value, query: &str) -> (String, String) {
    let text = match value {
        Value::String(text) if declared_type(query, name).as_deref() == Some("string") => quote(text),
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => format!("dynamic({value})"),
        Value::Null => "dynamic(null)".to_owned(),
        other => other.to_string(),
    };
    (name.to_owned(), text)
}

/// The type a query declares for a parameter.
fn declared_type(query: &str, name: &str) -> Option<String> {
    let (_, rest) = query.split_once("query_parameters")?;
    let list = rest.trim_start().strip_prefix('(')?;
    let list = list.split(';').next().unwrap_or(list);
    list.split([',', '(']).find_map(|item| {
        let (declared, kind) = item.split_once(':')?;
        let kind: String = kind.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        (declared.trim() == name).then_some(kind)
    })
}

/// A text that is a KQL string literal already, as some clients send, stays one.
fn quote(text: &str) -> String {
    let is_quoted = |mark: char| text.len() >= 2 && text.starts_with(mark) && text.ends_with(mark);
    if is_quoted('"') || is_quoted('\'') {
        return text.to_owned();
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<KustoRequest, String> {
        KustoRequest::from_body(body.as_bytes()).map_err(|fault| fault.message)
    }

    #[test]
    fn properties_come_as_object_or_as_text() {
        for body in [
            r#"{"db":"NetDefaultDB","csl":"T","properties":{"Options":{"servertimeout":"00:01:00","notruncation":true}}}"#,
            r#"{"db":"moneta","csl":"T","properties":"{\"Options\":{\"servertimeout\":\"00:01:00\",\"notruncation\":\"True\"}}"}"#,
        ] {
            let query = read(body).unwrap().query;
            assert_eq!((query.timeout, query.no_truncation), (Some(Duration::from_secs(60)), true));
        }
        assert!(read(r#"{"csl":"T","properties":"{"}"#).unwrap_err().contains("properties"));
        assert!(read(r#"{"csl":"T","properties":null}"#).is_ok());
        assert!(read(r#"{"db":"other","csl":"T"}"#).unwrap_err().contains("other"));
        assert!(read(r#"{"csl":" "}"#).unwrap_err().contains("empty"));
        assert!(read("[").is_err());
    }

    #[test]
    fn options_are_read_and_nonsense_is_refused() {
        let options = |options: &str| read(&format!(r#"{{"csl":"T","properties":{{"Options":{options}}}}}"#));
        let query =
            options(r#"{"truncationmaxrecords":5,"query_take_max_records":"3","query_now":"datetime(2026-01-02)"}"#);
        let query = query.unwrap().query;
        assert_eq!((query.rows_max, query.truncation_rows), (Some(3), Some(5)));
        assert_eq!(query.now, Timestamp::parse("2026-01-02"));
        let query = options(r#"{"query_language":"SQL","query_datetimescope_from":"2026-01-02"}"#).unwrap().query;
        assert_eq!(query.language, QueryLanguage::Sql);
        assert_eq!(query.time_scope.unwrap().from, Timestamp::parse("2026-01-02"));
        assert!(options(r#"{"query_language":"gremlin"}"#).unwrap_err().contains("sql"));
        assert!(options(r#"{"query_now":"soon"}"#).unwrap_err().contains("query_now"));
        assert!(options(r#"{"truncationmaxrecords":"many"}"#).is_err());
        assert!(options(r#"{"unknown":{}}"#).is_ok());
        assert_eq!(options(r#"{"norequesttimeout":true,"servertimeout":"1m"}"#).unwrap().query.timeout, None);
    }

    #[test]
    fn string_parameters_are_quoted_and_others_are_literals() {
        let text = r#"declare query_parameters(s:string = "a", n: long, t:datetime); T"#;
        let check = |name: &str, value: Value, expected: &str| {
            assert_eq!(parameter(name, &value, text).1, expected);
        };
        check("s", "it's \"x\"".into(), r#""it's \"x\"""#);
        check("s", "'quoted'".into(), "'quoted'");
        check("n", 5.into(), "5");
        check("n", "5".into(), "5");
        check("t", "datetime(2026-01-02)".into(), "datetime(2026-01-02)");
        check("other", serde_json::json!([1]), "dynamic([1])");
    }
}
