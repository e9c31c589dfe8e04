//! Incidents: who may change them, which version they must have read, and what the answers say.

use axum::http::StatusCode;
use moneta_base::Timestamp;
use moneta_ports::{
    Evidence, Incident, IncidentAlert, IncidentDetails, IncidentSeverity, IncidentStatus, RuleFile, Scope,
};
use serde_json::json;

use super::{Answer, Fixture};

const NOW: Timestamp = Timestamp::from_seconds(1_767_323_045);

fn details(number: u64) -> IncidentDetails {
    let incident = Incident {
        number,
        name: "n".to_owned(),
        version: 3,
        title: "T".to_owned(),
        description: String::new(),
        severity: IncidentSeverity::High,
        severity_is_set: false,
        status: IncidentStatus::New,
        owner: String::new(),
        verdict: None,
        labels: Vec::new(),
        comments: Vec::new(),
        alert_ids: vec!["a".to_owned()],
        rule_ids: vec!["r1".to_owned()],
        products: Vec::new(),
        tactics: Vec::new(),
        techniques: Vec::new(),
        entities: Vec::new(),
        first_activity: NOW,
        last_activity: NOW,
        created: NOW,
        first_modified: None,
        last_modified: NOW,
        modified_by: "moneta".to_owned(),
        closed: None,
    };
    let event = |table: &str| Evidence {
        table: table.to_owned(),
        seq: 7,
        time: String::new(),
        computer: String::new(),
        fields: Vec::new(),
    };
    let alert = IncidentAlert {
        id: "a".to_owned(),
        seq: 5,
        title: "T".to_owned(),
        description: String::new(),
        severity: IncidentSeverity::High,
        rule_id: "r1".to_owned(),
        rule_author: "Ada".to_owned(),
        product: String::new(),
        raised: NOW,
        first_event: NOW,
        last_event: NOW,
        tactics: Vec::new(),
        techniques: Vec::new(),
        entities: Vec::new(),
        event_count: 2,
        events: vec![event("Syslog"), event("QueryResult")],
    };
    IncidentDetails { incident, alerts: vec![alert], activity: Vec::new() }
}

async fn fixture() -> (Fixture, String) {
    let fixture = Fixture::new();
    fixture.fakes.incidents.lock().unwrap().extend([details(1), details(2)]);
    let credential = fixture.credential(&[Scope::Respond]).await;
    (fixture, credential)
}

async fn patch(fixture: &Fixture, credential: &str, version: Option<&str>, body: &'static str) -> Answer {
    let bearer = format!("Bearer {credential}");
    let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
    headers.extend(version.map(|version| ("if-match", version)));
    fixture.call("PATCH", "/v1/incidents/1", &headers, body).await
}

#[tokio::test]
async fn an_incident_names_its_version_and_the_proofs_of_its_evidence() {
    let (fixture, credential) = fixture().await;
    let answer = fixture.send(&credential, "GET", "/v1/incidents/1", "").await;
    assert_eq!((answer.status, answer.header("etag")), (StatusCode::OK, "\"3\""));
    let alert = &answer.json()["alerts"][0];
    assert_eq!(alert["proof"], "/v1/tables/SecurityAlert/rows/5/proof");
    assert_eq!(alert["evidence"], "/v1/alerts/a/proof");
    assert_eq!(alert["events"][0]["proof"], "/v1/tables/Syslog/rows/7/proof");
    assert_eq!(alert["events"][1]["proof"], json!(null), "a row of a result is no stored row");
    assert_eq!(alert["rule_author"], "Ada");
    assert_eq!(fixture.send(&credential, "GET", "/v1/incidents/9", "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(fixture.send(&credential, "GET", "/v1/incidents/x", "").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_change_says_which_version_it_is_based_on() {
    let (fixture, credential) = fixture().await;
    let body = r#"{"owner":"ada"}"#;
    let without = patch(&fixture, &credential, None, body).await;
    assert_eq!(without.status, StatusCode::PRECONDITION_REQUIRED, "{}", without.text());
    let old = patch(&fixture, &credential, Some("\"2\""), body).await;
    assert_eq!((old.status, &old.json()["error"]["version"]), (StatusCode::PRECONDITION_FAILED, &json!(3)));
    let right = patch(&fixture, &credential, Some("\"3\""), body).await;
    assert_eq!((right.status, right.header("etag")), (StatusCode::OK, "\"4\""));
    assert_eq!(patch(&fixture, &credential, Some("*"), body).await.status, StatusCode::OK);
    assert_eq!(patch(&fixture, &credential, Some("latest"), body).await.status, StatusCode::BAD_REQUEST);
    for (bad, word) in [
        (r#"{"severity":"Critical"}"#, "Informational"),
        (r#"{"status":"Done"}"#, "Active"),
        (r#"{"classification":"Yes"}"#, "BenignPositive"),
        (r#"{"classification":"FalsePositive","cause":"x"}"#, "InaccurateData"),
        (r#"{"reason":"because"}"#, "classification"),
        (r#"{"assignee":"ada"}"#, "assignee"),
    ] {
        let answer = patch(&fixture, &credential, Some("*"), bad).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(answer.text().contains(word), "{bad}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_rule_is_tuned_by_its_judged_alerts() {
    let (fixture, credential) = fixture().await;
    fixture.fakes.rules.lock().unwrap().push(RuleFile { name: "r1".to_owned(), text: String::new() });
    let answer = fixture.send(&credential, "GET", "/v1/rules/r1/tuning", "").await;
    assert_eq!((answer.status, &answer.json()["replayed"]["false_positive"]), (StatusCode::OK, &json!(2)));
    assert_eq!(fixture.send(&credential, "GET", "/v1/rules/r9/tuning", "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn reading_is_not_changing() {
    let (fixture, _) = fixture().await;
    let query = fixture.credential(&[Scope::Query]).await;
    assert_eq!(fixture.send(&query, "GET", "/v1/incidents", "").await.status, StatusCode::OK);
    assert_eq!(patch(&fixture, &query, Some("*"), "{}").await.status, StatusCode::FORBIDDEN);
    for (path, body) in [("/v1/incidents/1/comments", r#"{"text":"x"}"#), ("/v1/incidents/close", "{}")] {
        assert_eq!(fixture.send(&query, "POST", path, body).await.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn lists_are_filtered_and_several_are_closed_at_once() {
    let (fixture, credential) = fixture().await;
    fixture.send(&credential, "GET", "/v1/incidents", "").await;
    let path = "/v1/incidents?status=closed&severity=medium&owner=&rule=r1&before=9&limit=5";
    assert_eq!(fixture.send(&credential, "GET", path, "").await.json()["incidents"][0]["number"], 1);
    let asked = fixture.fakes.asked.lock().unwrap().clone();
    assert!(asked[0].contains("statuses: [New, Active]"), "{asked:?}");
    for part in ["[Closed]", "Some(Medium)", "owner: Some(\"\")", "Some(\"r1\")", "before: Some(9)", "limit: 5"] {
        assert!(asked[1].contains(part), "{part}: {asked:?}");
    }
    assert_eq!(fixture.send(&credential, "GET", "/v1/incidents?status=x", "").await.status, StatusCode::BAD_REQUEST);
    let body = r#"{"incidents":[{"number":1,"version":3},{"number":2,"version":1},{"number":9}],"classification":"FalsePositive","reason":"scanner"}"#;
    let answer = fixture.send(&credential, "POST", "/v1/incidents/close", body).await.json();
    assert_eq!(answer["closed"], json!([{ "number": 1, "version": 4 }]));
    let statuses: Vec<u64> =
        answer["refused"].as_array().unwrap().iter().filter_map(|one| one["status"].as_u64()).collect();
    assert_eq!(statuses, [412, 404]);
    let none = r#"{"incidents":[],"classification":"TruePositive","reason":"x"}"#;
    assert_eq!(fixture.send(&credential, "POST", "/v1/incidents/close", none).await.status, StatusCode::BAD_REQUEST);
    let comment = fixture.send(&credential, "POST", "/v1/incidents/2/comments", r#"{"text":"seen"}"#).await;
    assert_eq!(comment.status, StatusCode::OK, "{}", comment.text());
}
