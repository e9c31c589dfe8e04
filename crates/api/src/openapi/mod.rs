//! `GET /v1/openapi.json`: what the interface takes and answers, for programs that write clients and tests.
//!
//! # Source
//! OpenAPI Specification 3.1.0. The operations stand in `operations`, one for each route of `router.rs` that is no page
//! and no protocol of another product; a test compares the two, so that neither is there without the other. Protocols of
//! others have descriptions of their own and are named in the documentation.

mod operations;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::state::App;

/// One method of one path.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// The scope it needs; `None`: anybody.
    scope: Option<&'static str>,
    /// What it does, in one line.
    summary: &'static str,
    parameters: &'static [Member],
    body: Body,
    /// The status of success.
    status: u16,
    answer: Answer,
}

/// A named value: of an object, or among the parameters of a query.
#[derive(Clone, Copy)]
struct Member {
    name: &'static str,
    kind: Kind,
    is_required: bool,
}

/// A value in JSON.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// RFC 3339.
    Time,
    /// `yyyy-mm-dd`.
    Day,
    /// A whole number that is not negative, with its greatest value.
    Whole(u64),
    Integer(i64, i64),
    Flag,
    Word(&'static [&'static str]),
    Many(&'static Kind),
    Object(&'static [Member]),
    /// An object with members of any name.
    Record,
    /// Any of them, or null.
    OrNull(&'static Kind),
}

/// What a request carries.
#[derive(Clone, Copy)]
enum Body {
    None,
    Json(&'static [Member]),
    /// Bytes of these media types.
    Bytes(&'static [&'static str]),
    /// A JSON object, an array of objects, or one object a line.
    Events,
}

/// What a success carries.
#[derive(Clone, Copy)]
enum Answer {
    None,
    /// An object with these members, and perhaps more.
    Object(&'static [&'static str]),
    List,
    /// Something else, of this media type.
    Other(&'static str),
    /// One of these media types, as the request says.
    AnyOf(&'static [&'static str]),
}

/// `GET /v1/openapi.json`.
pub(crate) async fn document(State(state): State<App>) -> Json<Value> {
    Json(describe(&state.options.version))
}

/// All operations.
#[cfg(test)]
pub(crate) fn operations() -> impl Iterator<Item = &'static Operation> {
    operations::ALL.iter()
}

fn describe(version: &str) -> Value {
    let mut paths = Map::new();
    for operation in operations::ALL {
        let path = operation.path.replace("{*", "{");
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[operation.method.to_ascii_lowercase()] = operation.describe();
    }
    let bearer = "a credential, `mnt_ID_SECRET`, of `moneta credential create` or `POST /v1/credentials`";
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Moneta",
            "version": version,
            "description": "Audit logging and security monitoring. Protocols of other products (Kusto, Azure Monitor, \
                Elasticsearch, Splunk, Loki, OTLP, Prometheus, PagerDuty) are served beside these paths.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "credential": [] }],
        "tags": tags(),
        "paths": paths,
        "components": {
            "securitySchemes": { "credential": { "type": "http", "scheme": "bearer", "description": bearer } },
            "schemas": { "Error": error_schema() },
            "responses": { "Error": {
                "description": "what is wrong, and what to change",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
            } },
        },
    })
}

fn tags() -> Value {
    json!([
        { "name": "anybody", "description": "needs no credential" },
        { "name": "signed in", "description": "any scope" },
        { "name": "ingest", "description": "the scope `ingest`" },
        { "name": "query", "description": "the scope `query`, which `respond` and `admin` include" },
        { "name": "respond", "description": "the scope `respond`, which `admin` includes" },
        { "name": "admin", "description": "the scope `admin`" },
    ])
}

fn error_schema() -> Value {
    let error = json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": { "type": "string", "description": "stable, for programs" },
            "message": { "type": "string", "description": "for people" },
        },
    });
    json!({ "type": "object", "required": ["error"], "properties": { "error": error } })
}

impl Operation {
    fn describe(&self) -> Value {
        let mut described = json!({
            "operationId": self.id(),
            "summary": self.summary,
            "tags": [self.scope.unwrap_or("anybody")],
            "responses": {
                self.status.to_string(): self.success(),
                "default": { "$ref": "#/components/responses/Error" },
            },
        });
        if self.scope.is_none() {
            described["security"] = json!([]);
        }
        let mut parameters: Vec<Value> = self.path_parameters().chain(self.parameters.iter().map(in_query)).collect();
        if self.method == "PATCH" {
            let version = json!({ "type": "string", "description": "the version that was read, or `*`" });
            parameters.push(json!({ "name": "If-Match", "in": "header", "required": true, "schema": version }));
        }
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        if let Some(body) = self.body.describe() {
            described["requestBody"] = body;
        }
        described
    }

    /// `getIncidentsByNumber` of `GET /v1/incidents/{number}`.
    fn id(&self) -> String {
        let words = self.path.split(['/', '-', '.']).filter(|word| !word.is_empty() && *word != "v1");
        let mut id = self.method.to_ascii_lowercase();
        for word in words {
            let (by, word) = match word.strip_prefix('{') {
                Some(name) => ("By", name.trim_start_matches('*').trim_end_matches('}')),
                None => ("", word),
            };
            let (first, rest) = word.split_at(1);
            id.push_str(by);
            id.push_str(&first.to_ascii_uppercase());
            id.push_str(rest);
        }
        id
    }

    fn path_parameters(&self) -> impl Iterator<Item = Value> {
        let names = self.path.split('{').skip(1).filter_map(|part| part.split('}').next());
        names.map(|name| {
            let name = name.trim_start_matches('*');
            let kind = if matches!(name, "number" | "seq") { Kind::Whole(i64::MAX.unsigned_abs()) } else { Kind::Text };
            let mut schema = kind.schema();
            if let Kind::Text = kind {
                schema["minLength"] = 1.into();
            }
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
    }

    fn success(&self) -> Value {
        let content = |kind: &str, schema: Value| json!({ kind: { "schema": schema } });
        let content = match self.answer {
            Answer::None => return json!({ "description": "done" }),
            Answer::Object(names) => {
                let properties: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
                content("application/json", json!({ "type": "object", "required": names, "properties": properties }))
            }
            Answer::List => content("application/json", json!({ "type": "array", "items": { "type": "object" } })),
            Answer::Other(kind) => content(kind, json!({ "type": "string" })),
            Answer::AnyOf(kinds) => kinds.iter().map(|kind| ((*kind).to_owned(), json!({ "schema": {} }))).collect(),
        };
        json!({ "description": "done", "content": content })
    }
}

fn in_query(member: &Member) -> Value {
    json!({ "name": member.name, "in": "query", "required": member.is_required, "schema": member.kind.schema() })
}

impl Body {
    fn describe(self) -> Option<Value> {
        let content: Map<String, Value> = match self {
            Self::None => return None,
            Self::Json(members) => {
                [("application/json".to_owned(), json!({ "schema": Kind::Object(members).schema() }))]
                    .into_iter()
                    .collect()
            }
            Self::Bytes(kinds) => kinds.iter().map(|kind| ((*kind).to_owned(), json!({ "schema": {} }))).collect(),
            Self::Events => {
                let object = json!({ "type": "object", "minProperties": 1 });
                let many = json!({ "type": "array", "items": object, "minItems": 1 });
                let events = json!({ "schema": { "anyOf": [object, many] } });
                let lines = json!({ "schema": { "type": "string", "description": "one object a line" } });
                [("application/json".to_owned(), events), ("application/x-ndjson".to_owned(), lines)]
                    .into_iter()
                    .collect()
            }
        };
        Some(json!({ "required": true, "content": content }))
    }
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::Time => json!({ "type": "string", "format": "date-time" }),
            Self::Day => json!({ "type": "string", "format": "date" }),
            Self::Whole(most) => json!({ "type": "integer", "minimum": 0, "maximum": most }),
            Self::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::Word(words) => json!({ "type": "string", "enum": words }),
            Self::Many(item) => json!({ "type": "array", "items": item.schema() }),
            Self::Object(members) => {
                let properties: Map<String, Value> =
                    members.iter().map(|member| (member.name.to_owned(), member.kind.schema())).collect();
                let required: Vec<_> = members.iter().filter(|member| member.is_required).map(|m| m.name).collect();
                json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
            }
            Self::Record => json!({ "type": "object" }),
            Self::OrNull(kind) => json!({ "anyOf": [kind.schema(), { "type": "null" }] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let ids: BTreeSet<String> = operations().map(Operation::id).collect();
        assert_eq!(ids.len(), operations().count());
        assert!(ids.contains("getIncidentsByNumber") && ids.contains("getOpenapiJson"), "{ids:?}");
    }

    #[test]
    fn paths_and_their_parameters_agree() {
        let document = describe("1");
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let named: BTreeSet<_> = path.split('{').skip(1).map(|part| part.split('}').next().unwrap()).collect();
                let empty = Vec::new();
                let described = operation["parameters"].as_array().unwrap_or(&empty).iter();
                let described: BTreeSet<_> =
                    described.filter(|p| p["in"] == "path").map(|p| p["name"].as_str().unwrap()).collect();
                assert_eq!(named, described, "{method} {path}");
            }
        }
    }
}
