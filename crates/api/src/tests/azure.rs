//! Azure Monitor's interfaces: signing in with id and secret, streams, signed records, queries in its form.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moneta_access::NewCredential;
use moneta_ports::{OpContext, Scope};
use serde_json::json;

use super::Fixture;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn a_client_signs_in_with_its_id_and_secret() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Ingest]).await;
    let (id, secret) = credential.strip_prefix("mnt_").unwrap().split_once('_').unwrap();
    let host = [("host", "us.example:7979")];
    let found = fixture.call("GET", "/moneta/v2.0/.well-known/openid-configuration", &host, "").await.json();
    assert_eq!(found["token_endpoint"], "http://us.example:7979/moneta/oauth2/v2.0/token");
    assert_eq!(found["issuer"], "http://us.example:7979/moneta/v2.0");
    let adfs = fixture.call("GET", "/adfs/.well-known/openid-configuration", &host, "").await.json();
    assert_eq!(adfs["token_endpoint"], "http://us.example:7979/adfs/oauth2/token");
    let ask = |id: &str, secret: &str, grant: &str| {
        let body = format!("grant_type={grant}&client_id={id}&client_secret={secret}&scope=x%2F.default");
        let fixture = &fixture;
        async move { fixture.call("POST", "/moneta/oauth2/v2.0/token", &[FORM], body).await }
    };
    for secret in [secret, &credential] {
        let answer = ask(id, secret, "client_credentials").await;
        assert_eq!(answer.json()["access_token"], credential.as_str(), "{}", answer.text());
        assert_eq!((&answer.json()["token_type"], &answer.json()["expires_in"]), (&"Bearer".into(), &3600.into()));
    }
    let other = fixture.credential(&[Scope::Query]).await;
    for (id, secret) in [(id, "wrong"), ("0000000000000000", secret), (id, other.as_str()), ("", "")] {
        let answer = ask(id, secret, "client_credentials").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text());
        assert_eq!(answer.json()["error"], "invalid_client");
    }
    let answer = ask(id, secret, "password").await;
    assert_eq!(answer.json()["error"], "unsupported_grant_type");
    let answer = fixture.call("POST", "/adfs/oauth2/token", &[FORM], "grant_type=client_credentials").await;
    assert_eq!((answer.status, &answer.json()["error"]), (StatusCode::BAD_REQUEST, &"invalid_request".into()));
}

#[tokio::test]
async fn a_stream_names_its_table_and_takes_arrays_of_objects() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Ingest]).await;
    let send = |stream: &str, body: &'static str| {
        let path = format!("/dataCollectionRules/dcr-1/streams/{stream}?api%2Dversion=2023-01-01");
        let (fixture, credential) = (&fixture, &credential);
        async move { fixture.send(credential, "POST", &path, body).await }
    };
    for stream in ["Custom-Mine_CL", "Custom-my-rows", "Microsoft-Syslog", "Other"] {
        assert_eq!(send(stream, "[{\"a\":1},{\"a\":2}]").await.status, StatusCode::NO_CONTENT, "{stream}");
    }
    let tables: Vec<String> = {
        let stored = fixture.fakes.submissions.lock().unwrap();
        stored.iter().map(|submission| submission.batches[0].table.to_string()).collect()
    };
    assert_eq!(tables, ["Mine_CL", "my_rows_CL", "Syslog", "Other_CL"]);
    assert_eq!(send("Custom-Mine_CL", " [ ] ").await.status, StatusCode::NO_CONTENT);
    for (stream, body, status) in [
        ("Custom-Mine_CL", "{\"a\":1}", StatusCode::BAD_REQUEST),
        ("Custom-Mine_CL", "[1]", StatusCode::BAD_REQUEST),
        ("Custom-Mine_CL", "[{\"a\":", StatusCode::BAD_REQUEST),
        ("Custom-MonetaAudit", "[{\"a\":1}]", StatusCode::FORBIDDEN),
    ] {
        let answer = send(stream, body).await;
        assert_eq!(answer.status, status, "{stream} {body}: {}", answer.text());
        assert!(answer.json()["error"]["message"].is_string());
    }
    assert_eq!(fixture.fakes.submissions.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn signed_records_are_taken_from_whoever_has_the_key() {
    let fixture = Fixture::new();
    let new = |name: &str, scope| NewCredential { name: name.to_owned(), scopes: vec![scope], life: None };
    let issued = fixture.access.create_credential(&OpContext::service("test"), new("a", Scope::Ingest)).await.unwrap();
    let reader = fixture.access.create_credential(&OpContext::service("test"), new("b", Scope::Query)).await.unwrap();
    let body = "[{\"a\":1}]";
    let send = |id: &str, key: [u8; 32], date: &'static str, log_type: &'static str| {
        let message = format!("POST\n{}\napplication/json\nx-ms-date:{date}\n/api/logs", body.len());
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        let signature = STANDARD.encode(aws_lc_rs::hmac::sign(&key, message.as_bytes()));
        let authorization = format!("SharedKey {id}:{signature}");
        let fixture = &fixture;
        async move {
            let length = body.len().to_string();
            let headers = [
                ("authorization", authorization.as_str()),
                ("content-type", "application/json"),
                ("content-length", length.as_str()),
                ("x-ms-date", date),
                ("log-type", log_type),
            ];
            fixture.call("POST", "/api/logs?api-version=2016-04-01", &headers, body).await
        }
    };
    // The fixture's clock stands at 03:04:05.
    let (now, old) = ("Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 02 Jan 2026 02:40:00 GMT");
    let answer = send(&issued.id, issued.shared_key, now, "Door").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    {
        let stored = fixture.fakes.submissions.lock().unwrap();
        let batch = &stored[0].batches[0];
        assert_eq!(batch.table.as_str(), "Door_CL");
        assert!(batch.rows.column_by_name("a_d").is_some());
    }
    assert_eq!(send(&issued.id, issued.shared_key, old, "Door").await.status, StatusCode::FORBIDDEN);
    assert_eq!(send(&issued.id, issued.shared_key, "now", "Door").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(send(&issued.id, issued.shared_key, now, "Do or").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(send(&issued.id, reader.shared_key, now, "Door").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(send("nobody", issued.shared_key, now, "Door").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(send(&reader.id, reader.shared_key, now, "Door").await.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.fakes.submissions.lock().unwrap().len(), 1);
    // Nobody unknown makes the server hold a body: this one never comes.
    let endless = axum::body::Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let headers = [("authorization", "SharedKey nobody:AAAA"), ("content-length", "9"), ("x-ms-date", now)];
    let answer = fixture.call("POST", "/api/logs?api-version=2016-04-01", &headers, endless).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let answer = fixture.call("POST", "/api/logs?api-version=2016-04-01", &[headers[0], headers[2]], "x").await;
    assert_eq!(answer.status, StatusCode::LENGTH_REQUIRED);
}

#[tokio::test]
async fn queries_are_answered_in_azure_monitors_form() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query]).await;
    let bearer = format!("Bearer {credential}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("prefer", "wait=30,include-statistics=true,include-render=true"),
    ];
    let body = json!({ "query": "T", "timespan": "PT3600.0S" }).to_string();
    let answer = fixture.call("POST", "/v1/workspaces/any/query", &headers, body.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let json = answer.json();
    let table = &json["tables"][0];
    assert_eq!(table["name"], "PrimaryResult");
    let names: Vec<&str> = table["columns"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
    assert_eq!(names[0], "datetime");
    let bag = names.iter().position(|name| *name == "dynamic").unwrap();
    assert_eq!((&table["rows"][0][bag], &table["rows"][1][bag]), (&json!("{\"a\":[1,2]}"), &json!(null)));
    let statistics = &json["statistics"]["query"];
    assert!(statistics["executionTime"].is_number());
    assert_eq!(statistics["inputDatasetStatistics"]["bytes"]["scanned"], 4_096);
    assert_eq!(statistics["resourceUsage"]["memory"]["peakPerNode"], 65_536);
    assert!(json["render"].is_object());
    let asked = fixture.fakes.queries.lock().unwrap().last().unwrap().1.clone();
    let scope = asked.time_scope.unwrap();
    assert_eq!(scope.to.unwrap().since(scope.from.unwrap()).as_secs(), 3600);
    assert_eq!(asked.timeout.unwrap().as_secs(), 30);

    for (body, words) in [
        (json!({ "query": "T", "timespan": "soon" }), "timespan"),
        (json!({ "query": "T", "workspaces": ["other"] }), "workspaces"),
        (json!({ "timespan": "P1D" }), "query"),
        (json!({ "query": "T | where Nmae == 1" }), "SEM"),
    ] {
        let answer = fixture.call("POST", "/v1/workspaces/any/query", &headers, body.to_string()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text());
        assert!(answer.text().contains(words), "{body}: {}", answer.text());
    }
    let path = "/v1/workspaces/any/query?query=T&timespan=P1D";
    assert_eq!(fixture.call("GET", path, &headers, "").await.json()["tables"][0]["name"], "PrimaryResult");
}

#[tokio::test]
async fn a_batch_answers_each_query_by_itself() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query]).await;
    let item = |id: &str, query: &str| {
        json!({ "id": id, "workspace": "w", "path": "/query", "method": "POST",
            "headers": { "Prefer": "include-render=true" }, "body": { "query": query } })
    };
    let body = json!({ "requests": [item("1", "T"), item("2", "T | where Nmae == 1")] }).to_string();
    let answer = fixture.send(&credential, "POST", "/v1/$batch", &body).await.json();
    let responses = &answer["responses"];
    assert_eq!((&responses[0]["id"], &responses[0]["status"]), (&"1".into(), &200.into()));
    assert_eq!(responses[0]["body"]["tables"][0]["name"], "PrimaryResult");
    assert!(responses[0]["body"]["render"].is_object());
    assert_eq!((&responses[1]["id"], &responses[1]["status"]), (&"2".into(), &400.into()));
    assert_eq!(responses[1]["body"]["error"]["code"], "BadArgumentError");
    let many = json!({ "requests": (0..101).map(|n| item(&n.to_string(), "T")).collect::<Vec<_>>() }).to_string();
    assert_eq!(fixture.send(&credential, "POST", "/v1/$batch", &many).await.status, StatusCode::BAD_REQUEST);
}
