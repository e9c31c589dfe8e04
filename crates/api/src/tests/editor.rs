//! What editors ask.

use axum::http::StatusCode;
use moneta_ports::Scope;
use serde_json::{Value, json};

use super::Fixture;

async fn ask(scope: Scope, path: &str, body: &Value) -> (StatusCode, Value) {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[scope]).await;
    let answer = fixture.send(&credential, "POST", path, &body.to_string()).await;
    (answer.status, answer.json())
}

async fn check(path: &str, body: Value, expected: Value) {
    let (status, answer) = ask(Scope::Query, path, &body).await;
    assert_eq!((status, answer), (StatusCode::OK, expected), "{path}");
    let (status, _) = ask(Scope::Ingest, path, &body).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
}

#[tokio::test]
async fn editors_get_what_the_engine_knows() {
    let cursor = json!({ "text": "T | w", "offset": 1 });
    let completion =
        json!({ "kind": "column", "label": "T", "detail": "string", "insert": "T!", "start": 0, "end": 1 });
    check("/v1/kql/complete", cursor.clone(), json!({ "completions": [completion] })).await;
    let hover = json!({ "start": 0, "end": 1, "title": "T | w", "text": "a word" });
    check("/v1/kql/hover", cursor, json!({ "hover": hover })).await;
    check("/v1/kql/hover", json!({ "text": "T", "offset": 0 }), json!({ "hover": null })).await;
    let finding = json!({ "code": "SEM0100", "start": 0, "end": 1, "message": "wrong: T", "severity": "error" });
    check("/v1/kql/diagnostics", json!({ "text": "T" }), json!({ "diagnostics": [finding] })).await;
}

#[tokio::test]
async fn texts_are_laid_out_if_they_parse() {
    check("/v1/kql/format", json!({ "text": "T|take 5" }), json!({ "text": "T\n| take 5\n" })).await;
    let (status, answer) = ask(Scope::Query, "/v1/kql/format", &json!({ "text": "T | sumarize x" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["error"]["message"].as_str().unwrap().contains("did you mean `summarize`?"), "{answer}");
}
