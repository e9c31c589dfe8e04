//! What rule files of this kind become, and what is said of those that are wrong.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use moneta_testkit::corpus_or_skip;

use super::*;

const RULE: &str = "
id: 0f0e0d0c-0b0a-4908-8706-050403020100
name: Many failures
description: Counts failures.
severity: Low
status: Available
requiredDataConnectors:
  - connectorId: SecurityEvents
    dataTypes: [SecurityEvent]
queryFrequency: 1h
queryPeriod: P1D
triggerOperator: gt
triggerThreshold: 3
tactics: [CredentialAccess]
relevantTechniques: [T1110, T1110.003]
query: |
  SecurityEvent
  | where EventID == 4625
  | summarize Failures = count() by Account, Computer
entityMappings:
  - entityType: Account
    fieldMappings:
      - identifier: FullName
        columnName: Account
sentinelEntitiesMappings:
  - columnName: Entities
enabled: false
customDetails:
  Count: Failures
alertDetailsOverride:
  alertDisplayNameFormat: 'Failures of {{Account}}'
  alertSeverityColumnName: Level
eventGroupingSettings:
  aggregationKind: AlertPerResult
suppressionEnabled: true
suppressionDuration: 2h
incidentConfiguration:
  createIncident: true
  groupingConfiguration:
    enabled: true
    reopenClosedIncident: true
    lookbackDuration: PT6H
    matchingMethod: Selected
    groupByEntities: [Account]
version: 1.2.3
tags: [ 'Solorigate', { Schema: ASimDns } ]
kind: Scheduled
";

fn load(text: &str) -> AnalyticsRule {
    let mut file = parse_file("rule.yaml", text);
    assert!(file.not_loaded.is_empty(), "{:?}", file.not_loaded);
    file.rules.remove(0)
}

fn problem(from: &str, to: &str) -> String {
    let text = RULE.replacen(from, to, 1);
    assert_ne!(text, RULE, "{from}");
    let file = parse_file("rule.yaml", &text);
    assert!(file.rules.is_empty(), "{to:?} loads");
    assert_eq!(file.not_loaded[0].file, "rule.yaml");
    file.not_loaded[0].error.to_string()
}

#[test]
fn every_key_of_a_rule_is_read() {
    let rule = load(RULE);
    assert!(is_analytics(RULE));
    assert_eq!(rule.metadata.title, "Many failures");
    let tags = ["attack.credential-access", "attack.t1110", "attack.t1110.003", "Solorigate", "Schema: ASimDns"];
    assert_eq!(rule.metadata.tags, tags);
    let hours = |n: u64| Duration::from_secs(n * 3_600);
    assert_eq!(rule.schedule, Schedule::Scheduled { frequency: hours(1), period: hours(24) });
    assert!(rule.trigger.holds(4) && !rule.trigger.holds(3));
    assert_eq!(rule.entities[0].fields, [("FullName".to_owned(), "Account".to_owned())]);
    assert_eq!((rule.entity_columns.as_slice(), rule.enabled), (&["Entities".to_owned()][..], Some(false)));
    assert_eq!(rule.custom_details, [("Count".to_owned(), "Failures".to_owned())]);
    assert_eq!(rule.overrides.name_format, "Failures of {{Account}}");
    assert_eq!(rule.overrides.severity_column, "Level");
    assert!(rule.alert_per_row);
    assert_eq!(rule.suppression, Some(hours(2)));
    let grouping = rule.incident.grouping.clone().unwrap();
    assert!(grouping.reopen_closed && grouping.lookback == hours(6));
    assert!(matches!(grouping.matching, IncidentMatching::Selected { entities, .. } if entities == ["Account"]));
    assert_eq!(rule.arrival(), None);
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_what_was_meant() {
    for (from, to, expected) in [
        (
            "queryFrequency:",
            "queryFrequancy:",
            "line 10: an analytics rule has no key \"queryFrequancy\"; did you mean \"queryFrequency\"?",
        ),
        ("queryFrequency: 1h", "queryFrequency: hourly", "line 10: queryFrequency: \"hourly\" is no length of time"),
        ("queryFrequency: 1h", "queryFrequency: 20d", "not between 60 and 1209600 seconds"),
        ("queryPeriod: P1D", "queryPeriod: 30m", "queryPeriod is shorter than queryFrequency"),
        ("triggerOperator: gt", "triggerOperator: more", "no triggerOperator \"more\""),
        ("triggerThreshold: 3", "triggerThreshold: -1", "triggerThreshold is a whole number from 0 to 10000"),
        ("severity: Low", "severity: Lowe", "did you mean \"Low\"?"),
        ("kind: Scheduled", "kind: Sheduled", "did you mean \"Scheduled\"?"),
        ("kind: Scheduled", "kind: NRT", "queryFrequency has no meaning in a rule of kind NRT"),
        ("where EventID ==", "where EventID === ", "query, line 2, column"),
        ("columnName: Account", "column: Account", "a field mapping has no key \"column\""),
        ("AlertPerResult", "AlertPerRow", "no aggregationKind"),
        ("- columnName: Entities", "- column: Entities", "a mapping of Sentinel's entities has no key \"column\""),
        ("enabled: false", "enabled: 'no'", "enabled is true or false"),
        ("matchingMethod: Selected", "matchingMethod: Any", "no matchingMethod"),
        ("suppressionEnabled: true", "suppressionEnabled: often", "suppressionEnabled is true or false"),
        ("entityType: Account", "entityType: Acount", "no entityType \"Acount\"; did you mean \"Account\"?"),
        ("identifier: FullName", "identifier: FulName", "has no identifier \"FulName\"; did you mean \"FullName\"?"),
        ("groupByEntities: [Account]", "groupByEntities: [Hosts]", "no entityType \"Hosts\"; did you mean \"Host\"?"),
        (
            "groupByEntities: [Account]",
            "groupByAlertDetails: [Severty]",
            "groupByAlertDetails knows no \"Severty\"; did you mean \"Severity\"?",
        ),
        (
            "alertSeverityColumnName: Level",
            "alertDynamicProperties: [ { alertProperty: AlertLnk, value: Link } ]",
            "an alert has no alertProperty \"AlertLnk\"; did you mean \"AlertLink\"?",
        ),
        ("name: Many failures", "description2: x", "no key \"description2\""),
    ] {
        let found = problem(from, to);
        assert!(found.contains(expected), "{to}: {found}");
    }
}

#[test]
fn a_query_without_a_schedule_is_told_what_it_lacks() {
    let file = parse_file("hunt.yaml", "id: a\nname: Hunt\nquery: |\n  Syslog | take 5\n");
    assert!(file.not_loaded[0].error.to_string().contains("a hunting query does not run by itself"));
    assert_eq!((file.not_loaded[0].rule_id.as_str(), file.not_loaded[0].title.as_str()), ("a", "Hunt"));
}

#[test]
fn a_rule_of_kind_nrt_that_filters_rows_runs_on_arrival() {
    let rule = load("id: a\nname: N\nkind: NRT\nquery: |\n  Syslog | where SyslogMessage has 'x'\n");
    assert_eq!(rule.schedule, Schedule::NearRealTime);
    assert_eq!(rule.arrival().unwrap().tables(), BTreeSet::from(["Syslog"]));
}

#[test]
fn what_a_query_asks_of_groups_is_told() {
    let asks = |query: &str| load(&format!("id: a\nname: N\nkind: NRT\nquery: |\n  {query}\n")).thresholds();
    assert_eq!(
        asks("T | where a > 1 | summarize n = count() by b | where n > 5 and (b != '' or n > 9)"),
        ["n > 5", "b != '' or n > 9"]
    );
    assert_eq!(asks("T | where a > 1"), [""; 0]);
}

#[test]
fn sigma_files_are_not_taken_for_analytics_rules() {
    assert!(!is_analytics("title: x\nlogsource:\n  product: linux\ndetection:\n  a: [x]\n  condition: a\n"));
    assert!(!is_analytics("["));
    assert!(is_analytics("query: [\n"));
}

/// The queries of public rule files, each as a rule. The corpus keeps the queries only, so the schedule is ours.
#[test]
fn queries_of_public_rule_files_load() {
    let Some(path) = corpus_or_skip(269, "kql/real_queries.jsonl") else { return };
    let (mut loaded, mut on_arrival, mut detections, mut detections_on_arrival) = (0, 0, 0, 0);
    let mut refused = String::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let path = case["path"].as_str().unwrap();
        if !path.ends_with(".yaml") && !path.ends_with(".yml") {
            continue;
        }
        let query = serde_json::Value::String(case["query"].as_str().unwrap().to_owned());
        let text = format!("id: a\nname: b\nqueryFrequency: 1h\nqueryPeriod: 14d\nquery: {query}\n");
        match parse_file(path, &text).rules.first() {
            Some(rule) => {
                let arrives = usize::from(rule.arrival().is_some());
                let is_detection = usize::from(path.contains("Detections/"));
                loaded += 1;
                on_arrival += arrives;
                detections += is_detection;
                detections_on_arrival += arrives * is_detection;
            }
            None => writeln!(refused, "{path}: {}", parse_file(path, &text).not_loaded[0].error).unwrap(),
        }
    }
    println!("{loaded} load, {on_arrival} on arrival; of {detections} detections {detections_on_arrival} on arrival");
    assert!(refused.is_empty(), "{refused}");
    assert!(loaded > 0 && on_arrival > 0, "{loaded} rules, {on_arrival} on arrival");
}
