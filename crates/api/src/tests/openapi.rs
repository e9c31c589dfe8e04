//! What the interface says of itself: no route without a description, no description without a route, and bodies that
//! are taken as they are described.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use moneta_ports::Scope;
use serde_json::{Map, Value, json};

use super::Fixture;
use super::access::{filled, routes};

const ROUTER: &str = include_str!("../router.rs");

/// Routes of protocols that other products describe.
const OTHERS: [&str; 2] = ["/v1/rest/", "/v2/rest/"];

async fn document() -> Value {
    Fixture::new().call("GET", "/v1/openapi.json", &[], "").await.json()
}

/// Every operation of the document: method, path and description.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().clone();
        let path = path.clone();
        methods.into_iter().map(move |(method, operation)| (method.to_ascii_uppercase(), path.clone(), operation))
    };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test]
async fn every_route_is_described_and_every_description_has_a_route() {
    let (before, rest) = ROUTER.split_once("fn pages()").unwrap();
    let (pages, after) = rest.split_once("\n}").unwrap();
    assert!(pages.contains("page::index") && routes(&[pages]).len() > 10);
    let is_own = |path: &str| !OTHERS.iter().any(|other| path.starts_with(other));
    let stated: BTreeSet<(String, String)> = routes(&[before, after])
        .into_iter()
        .filter(|(_, path)| is_own(path))
        .map(|(method, path)| (method, path.replace("{*", "{")))
        .collect();
    let described: BTreeSet<_> =
        operations(&document().await).into_iter().map(|(method, path, _)| (method, path)).collect();
    assert_eq!(stated, described);
    assert!(stated.len() > 60, "{}", stated.len());
}

/// A value of a schema, with every member.
fn sample(schema: &Value) -> Value {
    if let Some(any) = schema["anyOf"].as_array() {
        return sample(&any[0]);
    }
    if let Some(words) = schema["enum"].as_array() {
        return words[0].clone();
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("string"), Some("date-time")) => "2026-01-02T03:04:05Z".into(),
        (Some("string"), Some("date")) => "2026-01-02".into(),
        (Some("string"), _) => "T".into(),
        (Some("integer"), _) => 1.into(),
        (Some("boolean"), _) => true.into(),
        (Some("array"), _) => json!([sample(&schema["items"])]),
        (Some("object"), _) => {
            let empty = Map::new();
            let members = schema["properties"].as_object().unwrap_or(&empty);
            members.iter().map(|(name, schema)| (name.clone(), sample(schema))).collect::<Map<_, _>>().into()
        }
        other => panic!("no sample of {other:?}"),
    }
}

#[tokio::test]
async fn bodies_are_taken_as_they_are_described() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Ingest, Scope::Admin]).await;
    let send = async |method: &str, path: &str, body: &Value| {
        let bearer = format!("Bearer {credential}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), ("if-match", "*")];
        fixture.call(method, path, &headers, body.to_string()).await
    };
    let mut num_checked = 0;
    for (method, path, operation) in operations(&document().await) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let Some(required) = schema["required"].as_array() else { continue };
        let whole = sample(schema);
        let at = filled(&path);
        let answer = send(&method, &at, &whole).await;
        let is_unread = |text: &str| text.contains("the body is not as expected");
        assert!(!is_unread(answer.text()), "{method} {path}: {}", answer.text());
        for name in required.iter().map(|name| name.as_str().unwrap()) {
            let mut less = whole.clone();
            less.as_object_mut().unwrap().remove(name);
            let answer = send(&method, &at, &less).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path} without {name}");
        }
        num_checked += 1;
    }
    assert!(num_checked > 20, "{num_checked}");
}

#[tokio::test]
async fn successes_are_as_they_are_described() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Ingest, Scope::Admin]).await;
    let mut num_checked = 0;
    for (method, path, operation) in operations(&document().await) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let body = if schema["properties"].is_object() { sample(schema).to_string() } else { String::new() };
        let bearer = format!("Bearer {credential}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), ("if-match", "*")];
        let answer = fixture.call(&method, &filled(&path), &headers, body).await;
        if !answer.status.is_success() || path == "/v1/sign-out" {
            continue;
        }
        let described = &operation["responses"][answer.status.as_str()];
        assert!(described.is_object(), "{method} {path}: {} is not described", answer.status);
        let Some(content) = described["content"].as_object() else {
            assert!(answer.body.is_empty(), "{method} {path}: {}", answer.text());
            continue;
        };
        let kind = answer.header("content-type");
        let content = content.get(kind).unwrap_or_else(|| panic!("{method} {path}: {kind:?} is not described"));
        if kind == "application/json" {
            let value = answer.json();
            assert_eq!(content["schema"]["type"] == "array", value.is_array(), "{method} {path}: {value}");
            let empty = Vec::new();
            for name in content["schema"]["required"].as_array().unwrap_or(&empty) {
                assert!(value.get(name.as_str().unwrap()).is_some(), "{method} {path} has no {name}: {value}");
            }
        }
        num_checked += 1;
    }
    assert!(num_checked > 25, "{num_checked}");
}

#[tokio::test]
async fn what_is_wrong_with_an_address_is_said_in_our_form() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query]).await;
    for path in ["/v1/incidents/-1", "/v1/incidents?limit=x", "/v1/risks?more=1", "/v1/rules/%ff"] {
        let answer = fixture.send(&credential, "GET", path, "").await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (StatusCode::BAD_REQUEST, &"bad_request".into()));
    }
}
