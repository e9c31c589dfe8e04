//! Incidents of a running server: made by alerts, changed by people, kept over a kill.

use serde_json::json;

use crate::support::{Moneta, Server, wait_until};

const RULE: &str = "title: Failed password
id: 0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9a001
author: A. Uthor
status: test
level: high
logsource: { product: linux, service: sshd }
detection:
  keywords:
    - 'Failed password for'
  condition: keywords
";

fn line(host: &str, minute: u32) -> String {
    format!(
        "2026-01-02T03:{minute:02}:05.000000+00:00 {host} sshd[1]: Failed password for {host}-user from 192.0.2.{minute} port 22 ssh2\n"
    )
}

/// The alert and its one event are proved.
fn check_evidence(moneta: &Moneta, alert_id: &str) {
    let text = moneta.ok(&["prove", "--alert", alert_id]);
    let verdict = moneta_verify::proof::check_alert_evidence(&text, &moneta.verifier_key()).unwrap();
    assert!(verdict.is_complete && verdict.text.contains("1 of the 1"), "{}", verdict.text);
    let unknown = moneta.run(&["prove", "--alert", "none"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("no alert"), "{unknown:?}");
}

/// A server with a rule and the events of two machines that meet it.
pub fn attacked() -> (Moneta, Server) {
    let moneta = Moneta::new();
    let rule = moneta.file("rule.yml", RULE);
    let server = moneta.serve();
    moneta.ok(&["rules", "add", &rule]);
    for (name, host, minute) in [("a.log", "web01", 1), ("b.log", "web01", 2), ("c.log", "db01", 3)] {
        moneta.ok(&["ingest", &moneta.file(name, line(host, minute))]);
    }
    (moneta, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_are_made_worked_on_and_kept_over_a_kill() {
    let (moneta, server) = attacked();
    wait_until("incidents", || moneta.count("SecurityIncident | summarize dcount(IncidentNumber)") >= 2).await;
    wait_until("rows", || moneta.count("SecurityIncident | count") >= 3).await;
    server.kill();

    let server = moneta.serve();
    let listed = moneta.json(&["incidents", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert_eq!((&listed[1]["alerts"], &listed[1]["severity"]), (&json!(2), &json!("High")), "{listed}");
    let shown = moneta.json(&["incidents", "show", "1"]);
    let proof = shown["alerts"][0]["events"][0]["proof"].as_str().unwrap();
    assert!(proof.starts_with("/v1/tables/Syslog/rows/"), "{shown}");
    assert_eq!(shown["alerts"][0]["rule_author"], "A. Uthor");
    let alert_id = shown["alerts"][0]["id"].as_str().unwrap();
    assert_eq!(shown["alerts"][0]["evidence"], format!("/v1/alerts/{alert_id}/proof"));
    check_evidence(&moneta, alert_id);
    moneta.ok(&["incidents", "assign", "1", "ada"]);
    moneta.ok(&["incidents", "comment", "1", "the scanner again"]);
    let stale = moneta.run(&["incidents", "assign", "1", "bob", "--at-version", "1"]);
    assert!(stale.code == 2 && stale.stderr.contains("changed in between"), "{stale:?}");
    let unjudged = moneta.run(&["incidents", "close", "1", "--as", "Maybe", "--reason", "x"]);
    assert!(unjudged.code == 2 && unjudged.stderr.contains("BenignPositive"), "{unjudged:?}");
    moneta.ok(&[
        "incidents",
        "close",
        "1",
        "2",
        "--as",
        "FalsePositive",
        "--reason",
        "scanner",
        "--cause",
        "InaccurateData",
    ]);
    assert!(moneta.json(&["incidents", "list"]).as_array().unwrap().is_empty());
    let rule_id = "0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9a001";
    let judged = moneta.json(&["rules", "show", rule_id]);
    assert_eq!((&judged["judgement"]["false_positive"], &judged["judgement"]["precision"]), (&json!(2), &json!(0.0)));
    assert!(moneta.ok(&["rules", "show", rule_id]).contains("precision 0.00"));
    let query = "SecurityIncident | summarize arg_max(_Seq, *) by IncidentNumber | where IncidentNumber == 1 \
                 | project Status, Classification, ClassificationReason, Owner = tostring(Owner.assignedTo)";
    let expected = json!([{ "Status": "Closed", "Classification": "FalsePositive",
        "ClassificationReason": "InaccurateData", "Owner": "ada" }]);
    wait_until("the last version", || moneta.json(&["query", query]) == expected).await;
    let audited =
        moneta.json(&["query", "MonetaAudit | where ObjectKind == 'incident' | order by _Seq asc | project Action"]);
    let actions: Vec<&str> = audited.as_array().unwrap().iter().filter_map(|row| row["Action"].as_str()).collect();
    assert_eq!(actions, ["incident.assign", "incident.comment", "incident.close", "incident.close"]);
    server.stop();
    // Without a server too.
    check_evidence(&moneta, alert_id);
    moneta.ok(&["incidents", "set", "2", "--status", "Active", "--severity", "Low", "--label", "scanner"]);
    assert_eq!(moneta.json(&["incidents", "list"])[0]["severity"], "Low");
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_give_an_exception_that_takes_the_false_alerts_away() {
    let (moneta, server) = attacked();
    wait_until("incidents", || moneta.json(&["incidents", "list"]).as_array().unwrap().len() == 2).await;
    let of_web = |row: &&serde_json::Value| row["alerts"] == 2;
    wait_until("alerts", || moneta.json(&["incidents", "list"]).as_array().unwrap().iter().any(|row| of_web(&row)))
        .await;
    moneta.ok(&["incidents", "close", "1", "--as", "FalsePositive", "--reason", "scanner"]);
    moneta.ok(&["incidents", "close", "2", "--as", "TruePositive", "--reason", "real"]);
    let rule_id = "0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9a001";
    let tuning = moneta.json(&["rules", "show", rule_id])["tuning"].take();
    assert_eq!((&tuning["replayed"]["false_positive"], &tuning["replayed"]["true_positive"]), (&json!(2), &json!(1)));
    let hint = &tuning["hints"][0];
    assert_eq!(hint["conditions"], json!([{ "field": "Computer", "test": "equals", "values": ["web01"] }]), "{tuning}");
    assert_eq!((&hint["removes"]["false_positive"], &hint["removes"]["true_positive"]), (&json!(2), &json!(0)));
    let command = format!("moneta rules except {rule_id} --where Computer=web01");
    assert!(moneta.ok(&["rules", "show", rule_id]).contains(&command));
    server.stop();
    // Without a server too; what is excepted is no hint again.
    let except = ["rules", "except", rule_id, "--where", "Computer=web01", "--reason", "scanner", "--days", "9"];
    moneta.ok(&except);
    let tuning = moneta.json(&["rules", "show", rule_id])["tuning"].take();
    assert_eq!((&tuning["hints"], &tuning["not_replayed"]["false_positive"]), (&json!([]), &json!(2)));
}
