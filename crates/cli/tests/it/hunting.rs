//! `moneta hunt`: rules on files, without a server or a store.

use serde_json::Value;

use crate::support::Moneta;

/// A rule that one line of [`LOG`] meets.
pub const RULE: &str = "\
title: Failed password
id: 5f7c1b1e-0000-4000-8000-000000000001
status: test
author: Moneta
level: high
tags:
  - attack.t1110
logsource:
  product: linux
  service: sshd
detection:
  keywords:
    - 'Failed password for'
  condition: keywords
";

/// Two lines of an authentication log.
pub const LOG: &str = "\
2026-01-02T03:04:05.000000+00:00 web01 sshd[100]: Failed password for root from 192.0.2.7 port 4000 ssh2
2026-01-02T03:04:06.000000+00:00 web01 sshd[101]: Accepted publickey for deploy from 192.0.2.8 port 4001 ssh2
";

fn prepared() -> (Moneta, String, String) {
    let moneta = Moneta::new();
    let rules = moneta.file("rules/failed.yml", RULE);
    moneta.file("rules/bad.yml", "title: Not a rule\n");
    let log = moneta.file("auth.log", LOG);
    let rules = std::path::Path::new(&rules).parent().unwrap().to_str().unwrap().to_owned();
    (moneta, rules, log)
}

#[test]
fn a_match_is_one_line_with_what_an_analyst_needs() {
    let (moneta, rules, log) = prepared();
    let run = moneta.run(&["hunt", "--rules", &rules, &log, "--format", "ndjson"]);
    assert_eq!((run.code, run.stdout.lines().count()), (0, 1), "{run:?}");
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(found["rule_id"], "5f7c1b1e-0000-4000-8000-000000000001");
    assert_eq!((found["rule_title"].as_str(), found["level"].as_str()), (Some("Failed password"), Some("high")));
    assert_eq!((found["file"].as_str(), found["computer"].as_str()), (Some(log.as_str()), Some("web01")));
    assert!(found["time"].as_str().unwrap().starts_with("2026-01-02T03:04:05"), "{found}");
    assert!(found["fields"].to_string().contains("Failed password for root"), "{found}");
    assert!(run.stderr.contains("Not a rule"), "{run:?}");
}

#[test]
fn a_timeline_ends_with_a_summary_per_rule() {
    let (moneta, rules, log) = prepared();
    let report = moneta.dir.join("report.json");
    let run = moneta.run(&["hunt", "--rules", &rules, &log, "--format", "table", "--report", report.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.starts_with("time") && run.stdout.contains("\nmatches  level"), "{run:?}");
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!((&report["rules_loaded"], &report["matches"], &report["events"]), (&1.into(), &1.into(), &2.into()));
    assert_eq!(report["rules_not_loaded"][0]["title"], "Not a rule");
}

#[test]
fn nothing_found_is_a_negative_answer() {
    let (moneta, rules, log) = prepared();
    let run = moneta.run(&["hunt", "--rules", &rules, &log, "--level", "critical"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
    assert_eq!(moneta.run(&["hunt", "--rules", &rules, &log, "--level", "urgent"]).code, 2);
}

#[test]
fn rules_are_checked_without_being_added() {
    let (moneta, rules, _) = prepared();
    let run = moneta.run(&["--json", "rules", "check", &rules]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &report["loaded"]), (1, &1.into()), "{run:?}");
    assert!(!moneta.data().exists());
}
