//! Functions, saved queries and watchlists over HTTP.

use axum::http::StatusCode;
use moneta_ports::{Scope, WatchlistFormat};

use super::Fixture;

#[tokio::test]
async fn objects_are_put_listed_and_removed() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query, Scope::Admin]).await;
    let send = async |method: &str, path: &str, body: &str| fixture.send(&credential, method, path, body).await;
    for (kind, body, member) in [
        ("functions", r#"{"body":"{ 1 }"}"#, "functions"),
        ("saved-queries", r#"{"text":"T"}"#, "saved_queries"),
        ("watchlists", "a,b\n1,2\n", "watchlists"),
    ] {
        let path = format!("/v1/{kind}/My%20list");
        let made = send("PUT", &path, body).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.text());
        let listed = send("GET", &format!("/v1/{kind}"), "").await;
        assert_eq!(listed.json()[member][0]["name"], "My list", "{}", listed.text());
        assert_eq!(send("DELETE", &path, "").await.status, StatusCode::NO_CONTENT);
        assert_eq!(send("DELETE", &path, "").await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_watchlist_comes_with_its_key_and_format() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Admin]).await;
    let put = async |parameters: &str| {
        fixture.send(&credential, "PUT", &format!("/v1/watchlists/w?{parameters}"), "[]").await.status
    };
    assert_eq!(put("format=xml").await, StatusCode::BAD_REQUEST);
    assert_eq!(put("colour=red").await, StatusCode::BAD_REQUEST);
    assert_eq!(put("format=json&key=a&description=d").await, StatusCode::OK);
    let uploads = fixture.fakes.uploads.lock().unwrap();
    let upload = &uploads[0];
    assert_eq!((upload.search_key.as_deref(), upload.format), (Some("a"), WatchlistFormat::Json));
    assert_eq!((upload.description.as_str(), upload.content.as_slice()), ("d", &b"[]"[..]));
}

#[tokio::test]
async fn who_may_query_may_save_queries() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query]).await;
    let saved = fixture.send(&credential, "PUT", "/v1/saved-queries/mine", r#"{"text":"T"}"#).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.text());
    let sender = fixture.credential(&[Scope::Ingest]).await;
    let refused = fixture.send(&sender, "PUT", "/v1/saved-queries/mine", r#"{"text":"T"}"#).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn changing_needs_the_scope() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query]).await;
    let refused = fixture.send(&credential, "PUT", "/v1/functions/f", r#"{"body":"{ 1 }"}"#).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(fixture.fakes.functions.lock().unwrap().is_empty());
}
