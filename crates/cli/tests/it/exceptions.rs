//! Exceptions of rules on a running server: what they take away, what they leave, and when they end.

use std::time::Duration;

use moneta_base::Timestamp;
use serde_json::{Value, json};

use crate::support::{Moneta, wait_until};

const ID: &str = "0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9c001";
const RULE: &str = "title: Failed password
id: 0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9c001
status: test
level: high
logsource: { product: linux, service: sshd }
detection:
  keywords: [ 'Failed password for' ]
  condition: keywords
";
const QUERY_RULE: &str = "id: 0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9c002
name: Failures by machine
kind: NRT
severity: Low
query: |
  Syslog | where SyslogMessage has 'Failed password'
";

fn line(host: &str, minute: u32) -> String {
    format!(
        "2026-01-02T03:{minute:02}:05.000000+00:00 {host} sshd[1]: Failed password for {host}-user from 192.0.2.{minute} port 22 ssh2\n"
    )
}

/// Uses the first rule, whose matches then are no alerts of their own.
const CORRELATION: &str = "title: Many failures
id: 0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9c003
level: high
correlation:
  type: event_count
  rules: [ 0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9c001 ]
  group-by: [ Computer ]
  timespan: 1h
  condition: { gte: 100 }
";

/// Machines of the alerts of the rule, in order of name.
fn alerted(moneta: &Moneta) -> Vec<String> {
    let query =
        format!("SecurityAlert | where RuleId == '{ID}' | distinct CompromisedEntity | order by CompromisedEntity asc");
    let rows = moneta.json(&["query", &query]);
    rows.as_array().unwrap().iter().map(|row| row["CompromisedEntity"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_excepted_raises_no_alert_until_the_exception_ends() {
    let moneta = Moneta::new();
    let server = moneta.serve();
    moneta.ok(&["rules", "add", &moneta.file("rule.yml", RULE), &moneta.file("query.yaml", QUERY_RULE)]);
    moneta.ok(&["ingest", &moneta.file("a.log", line("web01", 1) + &line("db01", 2))]);
    wait_until("alerts", || !alerted(&moneta).is_empty()).await;

    let preview = moneta.json(&["rules", "except", ID, "--where", "Computer=WEB01", "--preview"]);
    assert_eq!((&preview["num_matches"], &preview["num_excepted"]), (&json!(2), &json!(1)), "{preview}");
    assert_eq!(preview["excepted"][0]["computer"], "web01");
    let query_rule = ID.replace("c001", "c002");
    let preview = moneta.json(&["rules", "except", &query_rule, "--where", "Computer|startswith=web", "--preview"]);
    assert_eq!((&preview["num_matches"], &preview["num_excepted"]), (&json!(2), &json!(1)), "{preview}");

    let refused = moneta.run(&["rules", "except", ID, "--where", "Computer|like=x", "--reason", "x", "--days", "1"]);
    assert!(refused.code == 2 && refused.stderr.contains("startswith"), "{refused:?}");
    let unknown = moneta.run(&["rules", "except", &query_rule, "--where", "Computr=x", "--reason", "x", "--days", "1"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("Computr"), "{unknown:?}");
    assert_eq!(moneta.run(&["rules", "except", ID, "--where", "Computer=web02", "--days", "1"]).code, 2, "a reason");

    let made = moneta.json(&["rules", "except", ID, "--where", "Computer=web02", "--reason", "scanner", "--days", "7"]);
    moneta.ok(&["ingest", &moneta.file("b.log", line("web02", 3) + &line("db02", 4))]);
    wait_until("the other alert", || alerted(&moneta).contains(&"db02".to_owned())).await;
    assert!(!alerted(&moneta).contains(&"web02".to_owned()), "{:?}", alerted(&moneta));
    let listed = moneta.json(&["rules", "exceptions"]);
    assert_eq!((&listed[0]["reason"], &listed[0]["active"]), (&json!("scanner"), &json!(true)));
    assert_eq!(moneta.json(&["rules", "list"]).as_array().unwrap().len(), 2, "an exception is no rule");

    let why = moneta.run(&["rules", "explain", "Syslog:2", ID]);
    assert!(why.code == 1 && why.stdout.contains("does not match"), "{why:?}");
    assert_eq!(moneta.run(&["rules", "explain", "Syslog:3", ID]).code, 0);
    assert_eq!(moneta.run(&["rules", "explain", "Syslog:99", ID]).code, 2);

    moneta.ok(&["rules", "end-exception", made["id"].as_str().unwrap()]);
    moneta.ok(&["ingest", &moneta.file("c.log", line("web02", 5))]);
    wait_until("an alert again", || alerted(&moneta).contains(&"web02".to_owned())).await;
    ends_by_itself(&moneta, &server.address()).await;
    what_has_no_exception_says_why(&moneta);
    server.stop();
    let actions =
        moneta.json(&["query", "MonetaAudit | where Action contains 'except' | order by _Seq asc | project Action"]);
    let actions: Vec<&str> = actions.as_array().unwrap().iter().filter_map(|row| row["Action"].as_str()).collect();
    for action in ["rule.preview-exception", "rule.except", "rule.end-exception", "rule.exception-ended"] {
        assert!(actions.contains(&action), "{action}: {actions:?}");
    }
}

/// What cannot be excepted or explained says what to do; a rule that a correlation uses has its own matches.
fn what_has_no_exception_says_why(moneta: &Moneta) {
    let except =
        |id: &str| moneta.run(&["rules", "except", id, "--where", "Computer=x", "--reason", "x", "--days", "1"]);
    let query_rule = ID.replace("c001", "c002");
    let why = moneta.run(&["rules", "explain", "Syslog:3", &query_rule]);
    assert!(why.code == 0 && why.stdout.contains("alerts about the event in Syslog"), "{why:?}");
    moneta.ok(&["rules", "disable", ID]);
    for refused in [except(ID), moneta.run(&["rules", "explain", "Syslog:3", ID])] {
        assert!(refused.code == 2 && refused.stderr.contains("is disabled"), "{refused:?}");
    }
    moneta.ok(&["rules", "enable", ID]);
    let unknown = except("nothing");
    assert!(unknown.code == 2 && unknown.stderr.contains("there is no rule nothing"), "{unknown:?}");

    let before = moneta.json(&["rules", "except", ID, "--where", "Computer=web01", "--preview"]);
    moneta.ok(&["rules", "add", &moneta.file("correlation.yml", CORRELATION)]);
    let preview = moneta.json(&["rules", "except", ID, "--where", "Computer=web01", "--preview"]);
    assert_eq!(preview, before, "who uses a rule does not matter");
    let why = moneta.run(&["rules", "explain", "Syslog:3", &ID.replace("c001", "c003")]);
    assert_eq!(why.code, 1, "{why:?}");
    for line in ["- event_count gte 100 within 1h: 1 where Computer = db02", "> 2026-01-02T03:04:05.0000000Z Syslog 3"]
    {
        assert!(why.stdout.contains(line), "{line}: {why:?}");
    }
    a_correlation_has_exceptions_of_its_own(moneta);
    a_preview_of_a_rule_over_windows_counts_its_alerts(moneta);
    assert!(preview["num_matches"].as_u64() > Some(1) && preview["num_excepted"] == 1, "{preview}");
}

/// The alert of a window goes when none of its rows is left.
fn a_preview_of_a_rule_over_windows_counts_its_alerts(moneta: &Moneta) {
    let id = ID.replace("c001", "c005");
    let rule = format!(
        "id: {id}\nname: By machine\nseverity: Low\nqueryFrequency: 1h\nqueryPeriod: 1h\ntriggerOperator: gt\n\
         triggerThreshold: 0\nquery: |\n  Syslog | where SyslogMessage has 'Failed password' | summarize n = count() by Computer\n"
    );
    moneta.ok(&["rules", "add", &moneta.file("windows.yaml", rule)]);
    let preview = |condition: &str| {
        let time = ["--from", "2026-01-02T02:00:00Z", "--to", "2026-01-02T05:00:00Z"];
        moneta.json(&[&["rules", "except", &id, "--where", condition, "--preview"][..], &time].concat())
    };
    let some = preview("Computer=web01");
    assert_eq!(
        (&some["num_matches"], &some["num_excepted"]),
        (&json!(1), &json!(0)),
        "the other machines stay: {some}"
    );
    let all = preview("Computer|contains=b0");
    assert_eq!((&all["num_matches"], &all["num_excepted"]), (&json!(1), &json!(1)), "{all}");
    assert_eq!(all["excepted"][0]["rule_id"], id.as_str(), "{all}");
}

/// Events that a correlation is to leave out do not count in it, and are matches of its rule all the same.
fn a_correlation_has_exceptions_of_its_own(moneta: &Moneta) {
    let few = CORRELATION.replace("c003", "c004").replace("gte: 100", "gte: 1").replace("Many", "Some");
    moneta.ok(&["rules", "add", &moneta.file("few.yml", few)]);
    let id = ID.replace("c001", "c004");
    let preview = moneta.json(&["rules", "except", &id, "--where", "Computer=web01", "--preview"]);
    assert_eq!(preview["num_excepted"], 1, "{preview}");
    assert_eq!(preview["excepted"][0]["fields"], json!([["Computer", "web01"]]), "{preview}");
    let matches = |rule: &str| moneta.json(&["rules", "backfill", rule]).as_array().unwrap().len();
    let before = matches(&id);
    moneta.ok(&["rules", "except", &id, "--where", "Computer=web01", "--reason", "known", "--days", "1"]);
    assert_eq!(matches(&id), before - 1);
    let above = format!(
        "title: Above\nid: above\ncorrelation: {{ type: event_count, rules: [{id}], group-by: [Computer], timespan: 1h, condition: {{ gte: 1 }} }}\n"
    );
    moneta.ok(&["rules", "add", &moneta.file("above.yml", above)]);
    let refused = moneta.run(&["rules", "except", "above", "--where", "Computer=x", "--reason", "x", "--days", "1"]);
    assert!(refused.code == 2 && refused.stderr.contains("over correlations"), "{refused:?}");
}

/// An exception of a few seconds takes away, and then no longer.
async fn ends_by_itself(moneta: &Moneta, address: &str) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap());
    let credential = std::fs::read_to_string(moneta.data().join("cli.credential")).unwrap();
    let body = json!({ "rule_id": ID, "conditions": [{ "field": "Computer", "values": ["web03"] }], "reason": "short",
        "expires": now.saturating_add(Duration::from_secs(3)).to_string() });
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let made = http.post(format!("{address}/v1/exceptions")).bearer_auth(credential.trim()).json(&body).send().await;
    assert!(made.unwrap().status().is_success());
    let active =
        || moneta.json(&["rules", "exceptions"]).as_array().unwrap().iter().any(|one: &Value| one["active"] == true);
    wait_until("the end of the exception", || !active()).await;
    let ended = || moneta.count("MonetaAudit | where Action == 'rule.exception-ended' | count") > 0;
    wait_until("the audit of its end", ended).await;
    moneta.ok(&["ingest", &moneta.file("d.log", line("web03", 6))]);
    wait_until("an alert after the end", || alerted(moneta).contains(&"web03".to_owned())).await;
}
