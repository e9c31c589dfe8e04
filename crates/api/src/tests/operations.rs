//! Health, rules, operations and the ledger.

use axum::http::StatusCode;
use moneta_base::TableName;
use moneta_ports::Scope;
use moneta_ports::operations::ReplaySelection;
use serde_json::json;

use super::Fixture;

#[tokio::test]
async fn readiness_names_the_part_that_is_not() {
    let fixture = Fixture::new();
    let ready = fixture.call("GET", "/health/readyz", &[], "").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (StatusCode::OK, Some("ready")));
    *fixture.fakes.not_ready.lock().unwrap() = Some("disk full".to_owned());
    let not_ready = fixture.call("GET", "/health/readyz", &[], "").await;
    assert_eq!(not_ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let part = json!({ "part": "journal", "ready": false, "reason": "disk full", "since": "" });
    assert_eq!(not_ready.json()["parts"], json!([part]));
    for path in ["/health/livez", "/healthz"] {
        assert_eq!(fixture.call("GET", path, &[], "").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn rules_are_added_listed_and_removed() {
    let fixture = Fixture::new();
    let admin = fixture.credential(&[Scope::Admin]).await;
    let body = json!({ "files": [{ "name": "r1", "text": "title: x" }] }).to_string();
    assert_eq!(fixture.send(&admin, "POST", "/v1/rules", &body).await.json()["loaded"], 1);
    let listed = fixture.send(&admin, "GET", "/v1/rules", "").await;
    assert_eq!(listed.json()["rules"][0]["rule_id"], "r1");
    assert_eq!(listed.json()["rules"][0]["judgement"]["precision"], 1.0);
    let shown = fixture.send(&admin, "GET", "/v1/rules/r1", "").await.json();
    assert_eq!((&shown["source"]["text"], &shown["judgement"]["true_positive"]), (&json!("title: x"), &json!(1)));
    assert_eq!(fixture.send(&admin, "GET", "/v1/rules/none", "").await.status, StatusCode::NOT_FOUND);
    for (door, enabled) in [("disable", false), ("enable", true)] {
        let answer = fixture.send(&admin, "POST", &format!("/v1/rules/r1/{door}"), "").await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(fixture.send(&admin, "GET", "/v1/rules", "").await.json()["rules"][0]["enabled"], enabled);
        let missing = fixture.send(&admin, "POST", &format!("/v1/rules/none/{door}"), "").await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND);
    }
    let found = fixture.send(&admin, "POST", "/v1/rules/backfill", r#"{"rules":["a","b"]}"#).await;
    assert_eq!(found.json()["num_rows"], 2);
    let drafted = r#"{"files":[{"name":"a.yml","text":"title: x"}]}"#;
    let found = fixture.send(&admin, "POST", "/v1/rules/backfill", drafted).await;
    assert_eq!(found.json()["num_rows"], 10, "{}", found.text());
    let checked = fixture.send(&admin, "POST", "/v1/rules/check", drafted).await;
    assert_eq!(checked.json()["num_tests"], 1, "{}", checked.text());
    let refused = fixture.send(&admin, "POST", "/v1/rules/backfill", r#"{"from":"yesterday"}"#).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(fixture.send(&admin, "DELETE", "/v1/rules/r1", "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(fixture.send(&admin, "DELETE", "/v1/rules/r1", "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(fixture.send(&admin, "POST", "/v1/rules", "{}").await.status, StatusCode::BAD_REQUEST);
    let taken = fixture.send(&admin, "POST", "/v1/rules/packs", "signed").await.json();
    assert_eq!((&taken["loaded"], &taken["left"]), (&json!(1), &json!(["old"])));
    let refused = fixture.send(&admin, "POST", "/v1/rules/packs", "{}").await;
    assert!(refused.status == StatusCode::BAD_REQUEST && refused.text().contains("not signed"));
}

#[tokio::test]
async fn operators_see_the_state_and_change_settings() {
    let fixture = Fixture::new();
    let admin = fixture.credential(&[Scope::Admin]).await;
    assert_eq!(fixture.send(&admin, "GET", "/v1/status", "").await.json()["version"], "1.2.3");
    assert_eq!(fixture.send(&admin, "POST", "/v1/verify", "").await.json()["num_blocks"], 3);
    for (body, expected) in [
        (r#"{"all":true}"#, StatusCode::OK),
        (r#"{"seqs":[1,2]}"#, StatusCode::OK),
        (
            r#"{"format":"syslog","reason":"invalid_utf8","source":"x","as_format":"ndjson","as_table":"A_CL"}"#,
            StatusCode::OK,
        ),
        (r#"{"as_format":"ndjson"}"#, StatusCode::BAD_REQUEST),
        (r#"{"all":true,"as_table":"Quarantine"}"#, StatusCode::FORBIDDEN),
        (r#"{"all":true,"format":"ndjson"}"#, StatusCode::BAD_REQUEST),
        (r#"{}"#, StatusCode::BAD_REQUEST),
        (r#"{"all":true,"seqs":[1]}"#, StatusCode::BAD_REQUEST),
        (r#"{"every":true}"#, StatusCode::BAD_REQUEST),
    ] {
        let answer = fixture.send(&admin, "POST", "/v1/quarantine/replay", body).await;
        assert_eq!(answer.status, expected, "{body}: {}", answer.text());
    }
    for (body, expected) in [(r#"{"days":90}"#, StatusCode::NO_CONTENT), (r#"{"days":null}"#, StatusCode::NO_CONTENT)] {
        let answer = fixture.send(&admin, "PUT", "/v1/tables/Syslog/retention", body).await;
        assert_eq!(answer.status, expected, "{body}");
    }
    for (path, body, expected) in [
        ("/v1/holds/case-1", r#"{"reason":"court","table":"Syslog","to":"2026-01-31"}"#, StatusCode::OK),
        ("/v1/holds/case-1", r#"{"table":"Syslog"}"#, StatusCode::BAD_REQUEST),
        ("/v1/holds/case-1", r#"{"reason":"court","day":"2026-01-31"}"#, StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(fixture.send(&admin, "PUT", path, body).await.status, expected, "{body}");
    }
    for (path, expected) in
        [("/v1/holds/case-1/release", StatusCode::NO_CONTENT), ("/v1/holds/case-2/release", StatusCode::NOT_FOUND)]
    {
        assert_eq!(fixture.send(&admin, "POST", path, r#"{"reason":"settled"}"#).await.status, expected, "{path}");
    }
    assert_eq!(fixture.send(&admin, "GET", "/v1/holds", "").await.json(), json!([]));
    let done = fixture.fakes.operations.lock().unwrap().clone();
    let text = |text: &str| Some(text.to_owned());
    let replays = [
        ReplaySelection::default(),
        ReplaySelection { seqs: vec![1, 2], ..ReplaySelection::default() },
        ReplaySelection {
            format: text("syslog"),
            reason_code: text("invalid_utf8"),
            source: text("x"),
            as_format: text("ndjson"),
            as_table: Some(TableName::new("A_CL").unwrap()),
            ..ReplaySelection::default()
        },
    ];
    assert_eq!(done[..3], replays.map(|selection| format!("{selection:?}")));
    assert_eq!(done[3..5], ["Syslog Some(90)", "Syslog None"]);
    assert_eq!(done[5..], ["hold case-1", "release case-1: settled", "release case-2: settled"]);
}

#[tokio::test]
async fn an_export_is_of_a_table_or_of_an_incident() {
    let fixture = Fixture::new();
    let admin = fixture.credential(&[Scope::Admin]).await;
    for (body, expected) in [
        (r#"{"table":"Syslog","from":null,"to":"2026-01-31T00:00:00Z"}"#, StatusCode::OK),
        (r#"{"incident":7}"#, StatusCode::OK),
        ("{}", StatusCode::OK),
        (r#"{"incident":7,"table":"Syslog"}"#, StatusCode::BAD_REQUEST),
        (r#"{"incident":7,"to":"2026-01-31T00:00:00Z"}"#, StatusCode::BAD_REQUEST),
        (r#"{"incident":-7}"#, StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(fixture.send(&admin, "POST", "/v1/snapshots", body).await.status, expected, "{body}");
    }
    let begun = fixture.fakes.operations.lock().unwrap().clone();
    assert!(begun[0].starts_with("begin snapshot Some(Table { table: ") && begun.len() == 3, "{begun:?}");
    assert_eq!(begun[1..], ["begin snapshot Some(Case { number: 7 })", "begin snapshot None"]);
}

#[tokio::test]
async fn ledger_files_come_from_the_ledger_only() {
    let fixture = Fixture::new();
    let query = fixture.credential(&[Scope::Query]).await;
    let get = |path: &'static str| fixture.send(&query, "GET", path, "");
    let checkpoint = get("/ledger/root/checkpoint").await;
    assert_eq!((checkpoint.text(), checkpoint.header("cache-control")), ("root/checkpoint", "no-store"));
    assert!(checkpoint.header("content-type").starts_with("text/plain"));
    let tile = get("/ledger/root/tile/0/000").await;
    assert!(tile.header("cache-control").contains("immutable"));
    for path in [
        "/ledger/root/tile/0/001",
        "/ledger/keys/root",
        "/ledger/root/../keys",
        "/ledger/root/%2e%2e/keys",
        "/ledger/root/tile/0/..%2f..%2fkeys",
        "/ledger//etc/passwd",
    ] {
        assert_eq!(get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_row_is_proved_or_said_not_to_be_there() {
    let fixture = Fixture::new();
    let query = fixture.credential(&[Scope::Query]).await;
    let get = |path: &'static str| fixture.send(&query, "GET", path, "");
    let proof = get("/v1/tables/Syslog/rows/0/proof").await;
    assert_eq!((proof.status, proof.text()), (StatusCode::OK, "proof of Syslog 0\n"));
    assert!(proof.header("content-type").starts_with("text/plain"));
    let missing = get("/v1/tables/Syslog/rows/1/proof").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.text().contains("_Seq 0 to 0 are stored"), "{}", missing.text());
    for path in ["/v1/tables/Syslog/rows/-1/proof", "/v1/tables/Syslog/rows/x/proof", "/v1/tables/a%20b/rows/0/proof"] {
        assert_eq!(get(path).await.status, StatusCode::BAD_REQUEST, "{path}");
    }
    let alert = get("/v1/alerts/a/proof").await;
    assert_eq!((alert.status, alert.text()), (StatusCode::OK, "proofs of a\n"));
    assert_eq!(get("/v1/alerts/b/proof").await.status, StatusCode::NOT_FOUND);
    let ingest = fixture.credential(&[Scope::Ingest]).await;
    for path in ["/v1/tables/Syslog/rows/0/proof", "/v1/alerts/a/proof"] {
        assert_eq!(fixture.send(&ingest, "GET", path, "").await.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn whoever_has_a_receipt_may_have_it_proved() {
    let fixture = Fixture::new();
    let sender = fixture.credential(&[Scope::Ingest]).await;
    for (receipt, promise, reason) in
        [("kept", "kept", ""), ("dropped", "dropped", "by policy"), ("broken", "broken", "vanished")]
    {
        let answer = fixture.send(&sender, "POST", "/v1/receipts/proof", receipt).await;
        let json = answer.json();
        assert_eq!((answer.status, &json["promise"]), (StatusCode::OK, &promise.into()), "{}", answer.text());
        assert_eq!((&json["reason"], json["proof"].is_string()), (&reason.into(), receipt == "kept"));
    }
    let forged = fixture.send(&sender, "POST", "/v1/receipts/proof", "forged").await;
    assert_eq!(forged.status, StatusCode::BAD_REQUEST);
    assert_eq!(fixture.call("POST", "/v1/receipts/proof", &[], "kept").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn every_page_is_the_one_document() {
    let fixture = Fixture::new();
    for (path, kind) in [("/", "text/html"), ("/welcome?token=x", "text/html"), ("/query?q=T", "text/html")] {
        let answer = fixture.call("GET", path, &[("accept", "text/html")], "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.header("content-type").starts_with(kind), "{path}");
    }
    assert_eq!(fixture.call("GET", "/assets/none.js", &[], "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn sources_and_their_quality_are_for_those_who_may_query() {
    let fixture = Fixture::new();
    let reader = fixture.credential(&[Scope::Query]).await;
    let sources = fixture.send(&reader, "GET", "/v1/sources", "").await;
    assert_eq!(sources.json()[0]["source"], "syslog/tcp/192.0.2.7");
    assert_eq!(fixture.send(&reader, "GET", "/v1/sources/quality", "").await.json()[0]["where"], 0.5);
    let sender = fixture.credential(&[Scope::Ingest]).await;
    assert_eq!(fixture.send(&sender, "GET", "/v1/sources", "").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_scrub_policy_is_shown_to_administrators_and_tried_on_a_record() {
    let fixture = Fixture::new();
    let (admin, query) = (fixture.credential(&[Scope::Admin]).await, fixture.credential(&[Scope::Query]).await);
    let policy = fixture.send(&admin, "GET", "/v1/scrub-policy", "").await.json();
    assert_eq!((&policy["source"], &policy["fields"]), (&json!("built-in"), &json!([])));
    let attempt = async |credential: &str, body: serde_json::Value| {
        fixture.send(credential, "POST", "/v1/scrub-policy/try", &body.to_string()).await
    };
    let record = json!({ "TimeGenerated": "2026-01-02T03:04:05Z", "User": "ada", "n": 5, "none": null });
    let tried = attempt(&admin, json!({ "table": "Mine_CL", "record": record })).await.json();
    let row = &tried["rows"][0];
    assert_eq!(
        (&row["table"], &row["columns"]["User"], &row["columns"]["n"]),
        (&json!("Mine_CL"), &json!("ada"), &json!(5))
    );
    assert!(row["columns"].get("none").is_none() && tried["quarantined"].is_null(), "{tried}");
    assert_eq!(tried["tokens"], json!([{ "kind": "email", "count": 1 }]));
    let deep = (0..100).fold(json!("end"), |inner, _| json!([inner]));
    let odd = attempt(&admin, json!({ "table": "Mine_CL", "record": { "deep": deep } })).await.json();
    assert_eq!(odd["rows"], json!([]));
    assert!(odd["quarantined"]["record"].as_str().unwrap().contains("end"), "{odd}");
    for (body, status) in [
        (json!({ "table": "Mine_CL", "record": 5 }), 400),
        (json!({ "table": "MonetaAudit", "record": {} }), 403),
        (json!({ "table": "Nothing", "record": {} }), 404),
        (json!({ "table": "Mine_CL", "record": { "a": "x".repeat(70_000) } }), 413),
    ] {
        let answer = attempt(&admin, body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    }
    assert!(fixture.fakes.submissions.lock().unwrap().is_empty(), "nothing is stored");
    assert_eq!(attempt(&query, json!({ "table": "Mine_CL", "record": {} })).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.send(&query, "GET", "/v1/scrub-policy", "").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn channels_are_listed_and_tried() {
    let fixture = Fixture::new();
    let (admin, query) = (fixture.credential(&[Scope::Admin]).await, fixture.credential(&[Scope::Query]).await);
    assert_eq!(fixture.send(&query, "GET", "/v1/channels", "").await.json()["channels"][0]["name"], "on-call");
    let tested = fixture.send(&admin, "POST", "/v1/channels/on-call/test", "").await.json();
    assert_eq!((&tested["delivered"], &tested["reason"]), (&json!(false), &json!("the receiver answered 500")));
    assert_eq!(fixture.send(&admin, "POST", "/v1/channels/none/test", "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(fixture.send(&query, "POST", "/v1/channels/on-call/test", "").await.status, StatusCode::FORBIDDEN);
    let path = "/v1/alerts/undelivered";
    assert_eq!(fixture.send(&query, "GET", path, "").await.json()["alerts"][0]["alert_id"], "a1");
    let again = format!("{path}/send");
    let sent = fixture.send(&admin, "POST", &again, r#"{"channel":"mail","alerts":["a1"]}"#).await.json();
    assert_eq!(sent["alerts"], json!([{"channel":"mail","alert_id":"a1","delivered":true,"reason":""}]));
    assert_eq!(fixture.send(&query, "POST", &again, "{}").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn exceptions_say_what_why_and_until_when_and_events_are_explained() {
    let fixture = Fixture::new();
    let (admin, query) = (fixture.credential(&[Scope::Admin]).await, fixture.credential(&[Scope::Query]).await);
    let whole = json!({ "rule_id": "r1", "conditions": [{ "field": "User", "values": ["svc"] }], "reason": "backup",
        "expires": "2026-02-01T00:00:00Z" });
    let made = fixture.send(&admin, "POST", "/v1/exceptions", &whole.to_string()).await.json();
    assert_eq!(
        (&made["conditions"][0]["test"], &made["expires"]),
        (&json!("equals"), &json!("2026-02-01T00:00:00.0000000Z"))
    );
    for missing in ["reason", "expires", "conditions", "rule_id"] {
        let mut part = whole.clone();
        part.as_object_mut().unwrap().remove(missing);
        let answer = fixture.send(&admin, "POST", "/v1/exceptions", &part.to_string()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{missing}");
        assert!(answer.text().contains(missing), "{}", answer.text());
    }
    assert_eq!(fixture.send(&query, "POST", "/v1/exceptions", &whole.to_string()).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.send(&query, "GET", "/v1/exceptions", "").await.json()["exceptions"][0]["id"], "e1");
    let preview = r#"{"rule_id":"r1","conditions":[{"field":"User","test":"contains","values":["a"]}],"from":"2026-01-01T00:00:00Z"}"#;
    assert_eq!(fixture.send(&admin, "POST", "/v1/exceptions/preview", preview).await.json()["num_excepted"], 1);
    assert_eq!(fixture.send(&admin, "DELETE", "/v1/exceptions/e1", "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(fixture.send(&admin, "DELETE", "/v1/exceptions/e2", "").await.status, StatusCode::NOT_FOUND);
    let why = fixture.send(&query, "POST", "/v1/rules/r1/explain", r#"{"table":"Syslog","seq":0}"#).await.json();
    assert_eq!((&why["holds"], &why["lines"][0]), (&json!(true), &json!("r1 Syslog 0")));
    let gone = fixture.send(&query, "POST", "/v1/rules/r1/explain", r#"{"table":"Syslog","seq":1}"#).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(fixture.send(&query, "GET", "/v1/risks?days=7", "").await.json(), json!({ "risks": [] }));
    assert_eq!(fixture.send(&query, "GET", "/v1/risks?days=0", "").await.status, StatusCode::BAD_REQUEST);
}
