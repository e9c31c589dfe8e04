//! Who gets in, and by which door.

use axum::http::StatusCode;
use moneta_ports::Scope;
use serde_json::json;

use super::{Fixture, PASSWORD};
use crate::LoopbackIdentity;

/// Paths that answer without a credential: they must, or nobody could begin.
const OPEN: [(&str, &str); 33] = [
    // The pages themselves hold nothing; what they show they ask for.
    ("GET", "/"),
    ("GET", "/welcome"),
    ("GET", "/query"),
    ("GET", "/live"),
    ("GET", "/alerts"),
    ("GET", "/incidents"),
    ("GET", "/incidents/{number}"),
    ("GET", "/rules"),
    ("GET", "/sources"),
    ("GET", "/store"),
    ("GET", "/verify"),
    ("GET", "/audit"),
    ("GET", "/settings"),
    ("GET", "/assets/{name}"),
    // Leads to a page.
    ("GET", "/{database}"),
    ("GET", "/health/livez"),
    ("GET", "/health/readyz"),
    ("GET", "/healthz"),
    ("GET", "/v1/openapi.json"),
    ("POST", "/v1/sign-in"),
    ("POST", "/v1/first-account"),
    ("GET", "/v1/rest/auth/metadata"),
    // Where programs sign in.
    ("GET", "/adfs/.well-known/openid-configuration"),
    ("POST", "/adfs/oauth2/token"),
    ("GET", "/{tenant}/v2.0/.well-known/openid-configuration"),
    ("POST", "/{tenant}/oauth2/v2.0/token"),
    ("GET", "/{tenant}/discovery/v2.0/keys"),
    ("GET", "/adfs/discovery/keys"),
    // Whether senders may begin.
    ("GET", "/services/collector/health"),
    ("GET", "/services/collector/health/1.0"),
    ("GET", "/ready"),
    ("GET", "/elastic/"),
    // Says only whether its caller is signed in.
    ("GET", "/v1/session"),
];

/// The files that state routes whose errors are in our own form.
const SOURCES: [&str; 3] = [include_str!("../router.rs"), include_str!("../azure/mod.rs"), include_str!("../gelf.rs")];
/// Those whose errors are in forms of others.
const FOREIGN_SOURCES: [&str; 6] = [
    include_str!("../alerts.rs"),
    include_str!("../elastic/mod.rs"),
    include_str!("../loki.rs"),
    include_str!("../otlp/mod.rs"),
    include_str!("../prometheus/mod.rs"),
    include_str!("../splunk.rs"),
];

/// Every route as the sources state it.
pub(super) fn routes(sources: &[&str]) -> Vec<(String, String)> {
    let source = sources.concat();
    let mut routes = Vec::new();
    for part in source.split(".route(\"").skip(1) {
        let (path, rest) = part.split_once('"').unwrap();
        let handlers = rest.split(".route(").next().unwrap().split("\n}").next().unwrap();
        for (word, method) in
            [("get(", "GET"), ("post(", "POST"), ("put(", "PUT"), ("patch(", "PATCH"), ("delete(", "DELETE")]
        {
            if handlers.contains(word) {
                routes.push((method.to_owned(), path.to_owned()));
            }
        }
    }
    routes
}

pub(super) fn filled(path: &str) -> String {
    let path = path.replace("{name}", "app.js").replace("{table}", "Mine_CL").replace("{id}", "x");
    let path = path
        .replace("{tenant}", "moneta")
        .replace("{rule}", "r")
        .replace("{stream}", "Custom-Mine_CL")
        .replace("{index}", "mine")
        .replace("{database}", "Moneta")
        .replace("{number}", "1");
    path.replace("{*path}", "root/checkpoint")
}

#[tokio::test]
async fn everything_needs_a_credential_except_what_must_be_open() {
    let fixture = Fixture::new();
    let foreign = routes(&FOREIGN_SOURCES);
    let routes = routes(&SOURCES);
    assert!(routes.len() > 30, "{routes:?}");
    for (method, path) in routes {
        let is_open = OPEN.contains(&(method.as_str(), path.as_str()));
        let headers = [("content-type", "application/json")];
        let answer = fixture.call(&method, &filled(&path), &headers, "{}").await;
        if is_open {
            assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        } else {
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}: {}", answer.text());
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{method} {path}");
            let message = answer.json()["error"]["message"].as_str().map(str::to_owned);
            assert!(message.is_some(), "{method} {path}: {}", answer.text());
        }
    }
    assert!(foreign.len() > 30, "{foreign:?}");
    for (method, path) in foreign {
        let is_open = OPEN.contains(&(method.as_str(), path.as_str()));
        let answer = fixture.call(&method, &filled(&path), &[("content-type", "application/json")], "{}").await;
        let is_refused = answer.status == StatusCode::UNAUTHORIZED;
        assert_eq!(is_refused, !is_open, "{method} {path}: {} {}", answer.status, answer.text());
    }
}

#[tokio::test]
async fn scopes_open_their_own_doors_only() {
    let fixture = Fixture::new();
    let (ingest, query, admin) = (
        fixture.credential(&[Scope::Ingest]).await,
        fixture.credential(&[Scope::Query]).await,
        fixture.credential(&[Scope::Admin]).await,
    );
    let doors = [
        ("POST", "/v1/ingest/Mine_CL", "{\"a\":1}", [true, false, false]),
        ("POST", "/v1/ingest?name=x.json", "{\"a\":1}", [true, false, false]),
        ("POST", "/v1/rest/query", "{\"csl\":\"T\"}", [false, true, true]),
        ("POST", "/v1/export", "{\"text\":\"T\",\"format\":\"csv\"}", [false, true, true]),
        ("GET", "/v1/export?text=T&format=csv", "", [false, true, true]),
        ("GET", "/v1/status", "", [false, true, true]),
        ("GET", "/v1/rules", "", [false, true, true]),
        ("GET", "/ledger/root/checkpoint", "", [false, true, true]),
        ("GET", "/metrics", "", [false, true, true]),
        ("POST", "/v1/rules", "{\"files\":[]}", [false, false, true]),
        ("POST", "/v1/rules/backfill", "{}", [false, false, true]),
        ("POST", "/v1/rules/packs", "signed", [false, false, true]),
        ("POST", "/v1/quarantine/replay", "{\"all\":true}", [false, false, true]),
        ("PUT", "/v1/tables/Syslog/retention", "{\"days\":90}", [false, false, true]),
        ("POST", "/v1/snapshots", "{\"incident\":1}", [false, false, true]),
        ("GET", "/v1/credentials", "", [false, false, true]),
        ("GET", "/v1/accounts", "", [false, false, true]),
    ];
    for (method, path, body, allowed) in doors {
        for (credential, allowed) in [&ingest, &query, &admin].into_iter().zip(allowed) {
            let answer = fixture.send(credential, method, path, body).await;
            if allowed {
                assert!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.text());
            } else {
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_credential_only_this_machine_gets_in_and_only_where_that_is_set() {
    let identity = LoopbackIdentity { name: "workstation".to_owned(), scopes: vec![Scope::Query] };
    let mut fixture = Fixture::with(Some(identity));
    let body = json!({ "csl": "T" }).to_string();
    let call = async |fixture: &Fixture, headers: &[(&str, &str)]| {
        let host =
            if headers.iter().any(|(name, _)| *name == "host") { None } else { Some(("host", "localhost:7979")) };
        let headers: Vec<_> =
            [("content-type", "application/json")].into_iter().chain(host).chain(headers.to_vec()).collect();
        fixture.call("POST", "/v1/rest/query", &headers, body.clone()).await.status
    };
    assert_eq!(call(&fixture, &[]).await, StatusCode::UNAUTHORIZED, "another machine");
    fixture.peer = "127.0.0.1:4711".parse().unwrap();
    assert_eq!(call(&fixture, &[]).await, StatusCode::OK);
    let (ctx, _) = fixture.fakes.queries.lock().unwrap().pop().unwrap();
    assert_eq!((ctx.actor.kind.name(), ctx.actor.name.as_str()), ("loopback", "workstation"));
    assert_eq!(ctx.client_address, "127.0.0.1");
    for (headers, expected) in [
        (vec![("x-forwarded-for", "192.0.2.1")], StatusCode::UNAUTHORIZED),
        (vec![("host", "rebound.example")], StatusCode::UNAUTHORIZED),
        (vec![("authorization", "Bearer mnt_x_y")], StatusCode::UNAUTHORIZED),
        (vec![("sec-fetch-site", "cross-site")], StatusCode::FORBIDDEN),
        (vec![("origin", "http://evil.example")], StatusCode::FORBIDDEN),
        (vec![("origin", "http://localhost:7979"), ("sec-fetch-site", "same-origin")], StatusCode::OK),
    ] {
        assert_eq!(call(&fixture, &headers).await, expected, "{headers:?}");
    }
    let answer = fixture.call("POST", "/v1/ingest/Mine_CL", &[("host", "localhost")], "{}").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "a scope that was not given");
    let mut without = Fixture::new();
    without.peer = fixture.peer;
    assert_eq!(call(&without, &[]).await, StatusCode::UNAUTHORIZED, "off unless set");
}

#[tokio::test]
async fn a_person_signs_in_works_and_signs_out() {
    let fixture = Fixture::new();
    let cookie = fixture.cookie().await;
    let session = fixture.call("GET", "/v1/session", &[("cookie", &cookie)], "").await;
    assert_eq!(session.json()["name"], "ada");
    assert_eq!(session.json()["scopes"], json!(["query", "admin"]));
    let headers = [("cookie", cookie.as_str()), ("content-type", "application/json")];
    let answer = fixture.call("POST", "/v2/rest/query", &headers, "{\"csl\":\"T\"}").await;
    assert_eq!(answer.status, StatusCode::OK);
    let out = fixture.call("POST", "/v1/sign-out", &headers, "").await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(fixture.call("GET", "/v1/session", &headers, "").await.json()["name"], json!(null));
    assert_eq!(fixture.call("GET", "/v1/status", &headers, "").await.status, StatusCode::UNAUTHORIZED);

    let body = json!({ "name": "ada", "password": PASSWORD }).to_string();
    let json_kind = [("content-type", "application/json")];
    let answer = fixture.call("POST", "/v1/sign-in", &json_kind, body.clone()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!answer.text().contains(PASSWORD));
    let wrong = json!({ "name": "ada", "password": "wrong" }).to_string();
    let answer = fixture.call("POST", "/v1/sign-in", &json_kind, wrong).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let form = [("content-type", "text/plain")];
    assert_eq!(fixture.call("POST", "/v1/sign-in", &form, body).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let audit = fixture.fakes.audit.lock().unwrap().clone();
    assert!(audit.contains(&"account.sign-in success 192.0.2.1".to_owned()), "{audit:?}");
    assert!(audit.contains(&"account.sign-in denied 192.0.2.1".to_owned()), "{audit:?}");
}

#[tokio::test]
async fn too_many_attempts_are_told_how_long_to_wait() {
    let fixture = Fixture::new();
    let body = json!({ "name": "ada", "password": "guess" }).to_string();
    let mut last = None;
    for _ in 0..11 {
        last = Some(fixture.call("POST", "/v1/sign-in", &[("content-type", "application/json")], body.clone()).await);
    }
    let last = last.unwrap();
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.header("retry-after").parse::<u64>().unwrap() > 60);
}

#[tokio::test]
async fn another_site_cannot_use_the_session() {
    let fixture = Fixture::new();
    let cookie = fixture.cookie().await;
    let check = |headers: Vec<(&'static str, &'static str)>, method: &'static str, expected: StatusCode| {
        let (fixture, cookie) = (&fixture, &cookie);
        async move {
            let mut all = vec![("cookie", cookie.as_str())];
            all.extend(headers.iter().copied());
            let path = if method == "GET" { "/v1/status" } else { "/v1/rest/query" };
            let answer = fixture.call(method, path, &all, "{\"csl\":\"T\"}").await;
            assert_eq!(answer.status, expected, "{method} {headers:?} {}", answer.text());
        }
    };
    check(vec![("content-type", "text/plain")], "POST", StatusCode::FORBIDDEN).await;
    check(vec![("content-type", "application/x-www-form-urlencoded")], "POST", StatusCode::FORBIDDEN).await;
    check(vec![], "POST", StatusCode::FORBIDDEN).await;
    check(vec![("x-moneta-request", "1")], "POST", StatusCode::OK).await;
    check(vec![("content-type", "application/json")], "POST", StatusCode::OK).await;
    let json_kind = ("content-type", "application/json");
    check(vec![json_kind, ("sec-fetch-site", "cross-site")], "POST", StatusCode::FORBIDDEN).await;
    check(vec![json_kind, ("sec-fetch-site", "same-origin")], "POST", StatusCode::OK).await;
    check(vec![("sec-fetch-site", "same-site")], "GET", StatusCode::FORBIDDEN).await;
    check(vec![], "GET", StatusCode::OK).await;
}

#[tokio::test]
async fn credentials_are_shown_once_and_revoked_at_once() {
    let fixture = Fixture::new();
    let admin = fixture.credential(&[Scope::Admin]).await;
    let body = json!({ "name": "shipper", "scopes": ["ingest", "query"], "expires_in_days": 7 }).to_string();
    let made = fixture.send(&admin, "POST", "/v1/credentials", &body).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let (id, text) = (made.json()["id"].as_str().unwrap().to_owned(), made.json()["credential"].clone());
    let text = text.as_str().unwrap();
    let again = fixture.send(&admin, "POST", "/v1/credentials", &body).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let listed = fixture.send(&admin, "GET", "/v1/credentials", "").await;
    assert!(listed.text().contains(&id) && !listed.text().contains(text));
    assert_eq!(fixture.send(text, "GET", "/v1/status", "").await.status, StatusCode::OK);
    let path = format!("/v1/credentials/{id}");
    assert_eq!(fixture.send(&admin, "DELETE", &path, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(fixture.send(text, "GET", "/v1/status", "").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(fixture.send(&admin, "DELETE", "/v1/credentials/none", "").await.status, StatusCode::NOT_FOUND);
    for bad in [json!({ "name": "x", "scopes": ["root"] }), json!({ "name": "x", "scopes": [] })] {
        let answer = fixture.send(&admin, "POST", "/v1/credentials", &bad.to_string()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    }
}

#[tokio::test]
async fn administrators_make_and_disable_accounts() {
    let fixture = Fixture::new();
    let admin = fixture.credential(&[Scope::Admin]).await;
    let body = json!({ "name": "bob", "password": PASSWORD, "scopes": ["query"] }).to_string();
    assert_eq!(fixture.send(&admin, "POST", "/v1/accounts", &body).await.status, StatusCode::CREATED);
    let listed = fixture.send(&admin, "GET", "/v1/accounts", "").await;
    assert_eq!(listed.json()["accounts"][0]["name"], "bob");
    assert!(!listed.text().contains("argon2"));
    assert_eq!(fixture.send(&admin, "DELETE", "/v1/accounts/bob", "").await.status, StatusCode::NO_CONTENT);
    let weak = json!({ "name": "eve", "password": "short", "scopes": ["query"] }).to_string();
    let answer = fixture.send(&admin, "POST", "/v1/accounts", &weak).await;
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("12 characters"));
}

#[tokio::test]
async fn passwords_and_scopes_of_accounts_are_changed() {
    const NEW: &str = "another horse battery";
    let fixture = Fixture::new();
    let cookie = fixture.cookie().await;
    let own = |cookie: String, body: serde_json::Value| {
        let fixture = &fixture;
        async move {
            let headers = [("cookie", cookie.as_str()), ("content-type", "application/json")];
            fixture.call("PUT", "/v1/accounts/ada/password", &headers, body.to_string()).await
        }
    };
    let refused = own(cookie.clone(), json!({ "password": NEW, "old_password": "wrong" })).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text());
    let changed = own(cookie.clone(), json!({ "password": NEW, "old_password": PASSWORD })).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{}", changed.text());
    assert_eq!(own(cookie, json!({ "password": NEW, "old_password": NEW })).await.status, StatusCode::UNAUTHORIZED);
    let cookie = changed.header("set-cookie").split(';').next().unwrap().to_owned();
    let session = fixture.call("GET", "/v1/session", &[("cookie", &cookie)], "").await;
    assert_eq!(session.json()["name"], "ada");

    let admin = fixture.credential(&[Scope::Admin]).await;
    let put = async |path: &str, body: serde_json::Value| {
        fixture.send(&admin, "PUT", &format!("/v1/accounts/ada/{path}"), &body.to_string()).await
    };
    assert_eq!(put("password", json!({ "password": PASSWORD })).await.status, StatusCode::NO_CONTENT);
    let last = put("scopes", json!({ "scopes": ["query"] })).await;
    assert_eq!(last.status, StatusCode::BAD_REQUEST, "{}", last.text());
    assert_eq!(put("scopes", json!({ "scopes": ["admin", "respond"] })).await.status, StatusCode::NO_CONTENT);
    let listed = fixture.send(&admin, "GET", "/v1/accounts", "").await;
    assert_eq!(listed.json()["accounts"][0]["scopes"], json!(["respond", "admin"]));
    let query = fixture.credential(&[Scope::Query]).await;
    for (path, body) in [("password", json!({ "password": NEW })), ("scopes", json!({ "scopes": ["admin"] }))] {
        let answer = fixture.send(&query, "PUT", &format!("/v1/accounts/ada/{path}"), &body.to_string()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text());
    }
}

#[tokio::test]
async fn metrics_are_for_this_machine_and_for_those_who_may_query() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.call("GET", "/metrics", &[], "").await.status, StatusCode::UNAUTHORIZED);
    fixture.peer = "[::ffff:127.0.0.1]:1".parse().unwrap();
    let answer = fixture.call("GET", "/metrics", &[], "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    assert!(answer.text().contains("moneta_api_requests_total{status=\"4xx\"} 1"), "{}", answer.text());
    for (name, value, expected) in [
        ("host", "localhost:8443", StatusCode::OK),
        ("host", "[::1]:8443", StatusCode::OK),
        ("host", "127.0.0.1", StatusCode::OK),
        ("host", "rebound.example:8443", StatusCode::UNAUTHORIZED),
        ("x-forwarded-for", "203.0.113.9", StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(fixture.call("GET", "/metrics", &[(name, value)], "").await.status, expected, "{name}: {value}");
    }
}

#[tokio::test]
async fn every_answer_carries_its_id_and_the_security_headers() {
    let fixture = Fixture::new();
    for path in ["/", "/v1/status", "/nowhere", "/assets/favicon.svg"] {
        let answer = fixture.call("GET", path, &[("origin", "https://evil.example")], "").await;
        assert!(answer.header("content-security-policy").contains("default-src 'self'; script-src 'self'"), "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
    let lost = fixture.call("GET", "/nowhere", &[], "").await;
    assert_eq!((lost.status, lost.json()["error"]["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")));
    let wrong = fixture.call("DELETE", "/v1/status", &[], "").await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
}
