//! `moneta rules`: what detection engineers do before a rule runs, and after.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::hunting::{LOG, RULE};
use crate::support::{Moneta, wait_until};

const ID: &str = "5f7c1b1e-0000-4000-8000-000000000001";
const CORRELATION_ID: &str = "5f7c1b1e-0000-4000-8000-000000000002";
/// Holds when two events of the rule above come from one machine within five minutes.
const CORRELATION: &str = "
---
title: Many failed passwords
id: 5f7c1b1e-0000-4000-8000-000000000002
status: test
author: Moneta
level: high
correlation:
  type: event_count
  rules: [5f7c1b1e-0000-4000-8000-000000000001]
  group-by: [Computer]
  timespan: 5m
  generate: true
  condition:
    gte: 2
";

/// An analytics rule whose test says something wrong.
const QUERY: &str = "id: secret-word
name: Secret word
kind: NRT
techniques: [T1059]
query: |
  Syslog
  | where SyslogMessage has 'xyzzy' and Computer != 'lab'
  | project TimeGenerated, Computer, SyslogMessage
customDetails: { Who: Computr }
tests:
- name: it is said
  table: Syslog
  matches: true
  events: [{ SyslogMessage: say xyzzy, Computer: web01 }]
- name: it is said in the lab
  table: Syslog
  matches: true
  events: [{ SyslogMessage: say xyzzy, Computer: lab }]
";

#[test]
fn analytics_rules_are_judged_without_a_store_too() {
    let moneta = Moneta::new();
    let rules = [moneta.file("rule.yml", RULE), moneta.file("query.yaml", QUERY)];
    let run = |command: &[&str]| moneta.run(&[command, &[&rules[0], &rules[1]]].concat());
    let checked = run(&["rules", "check"]);
    assert_eq!(checked.stdout, "2 rules would load, 0 would not\n");
    assert!(checked.stderr.contains("loaded, but unknown_column") && checked.stderr.contains("Computr"), "{checked:?}");
    let tested = moneta.run(&["rules", "test", &rules[1]]);
    assert_eq!((tested.code, tested.stdout.as_str()), (1, "2 tests, 1 failed\n"), "{tested:?}");
    assert!(tested.stderr.contains("it is said in the lab: should match and does not"), "{tested:?}");
    let linted = run(&["rules", "lint"]);
    assert!(linted.stdout.contains("warning[unknown_column]") && linted.stdout.contains("did you mean"), "{linted:?}");
    let layer: Value = serde_json::from_str(&run(&["rules", "coverage"]).stdout).unwrap();
    assert!(layer["techniques"].as_array().unwrap().iter().any(|one| one["techniqueID"] == "T1059"), "{layer}");
    let bad = moneta.file("bad.yaml", QUERY.replace("  Syslog\n", "  Syslogg\n"));
    let checked = moneta.run(&["rules", "check", &bad]);
    assert!(checked.code == 1 && checked.stderr.contains("Syslogg"), "{checked:?}");

    let events = moneta.file(
        "events.json",
        "{\"SyslogMessage\":\"say xyzzy\",\"Computer\":\"lab\"}\n{\"SyslogMessage\":\"say xyzzy\",\"Computer\":\"web01\"}\n",
    );
    let explain = |number: &str| {
        let of_table = ["--input-format", "ndjson", "--table", "Syslog", "--number", number];
        moneta.run(&[&["rules", "explain", &events, &rules[1]][..], &of_table].concat())
    };
    let (first, second) = (explain("1"), explain("2"));
    assert_eq!((first.code, second.code), (1, 0), "{first:?} {second:?}");
    assert!(first.stdout.contains("+ SyslogMessage has 'xyzzy'\n  - Computer != 'lab'"), "{first:?}");
    assert!(second.stdout.contains("+ project") && second.stdout.contains("Computer: web01"), "{second:?}");
    let counting = QUERY.replace("| project TimeGenerated, Computer, SyslogMessage", "| summarize Rows = count()");
    let whole = moneta.run(&[
        "rules",
        "explain",
        &events,
        &moneta.file("counting.yaml", counting),
        "--input-format",
        "ndjson",
        "--table",
        "Syslog",
    ]);
    assert!(whole.stdout.contains("looks at several rows together"), "{whole:?}");
    let added = moneta.run(&["rules", "add", &rules[1]]);
    assert!(added.stderr.contains("loaded, but unknown_column") && added.stderr.contains("Computr"), "{added:?}");
}

#[test]
fn lint_names_what_is_probably_wrong() {
    let moneta = Moneta::new();
    let good = moneta.file("good.yml", RULE);
    assert_eq!(moneta.run(&["rules", "lint", &good]).code, 0);
    assert!(moneta.ok(&["rules", "lint", "--notes", &good]).contains("note[no_tests]"));
    let odd = "title: Odd\nid: odd\nlogsource: { product: windows, category: process_creation }\ndetection:\n  s: { Imagee: a }\n  condition: s\n";
    let run = moneta.run(&["rules", "lint", &moneta.file("odd.yml", odd)]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stdout.contains("warning[unknown_field]") && run.stdout.contains("did you mean"), "{run:?}");
}

#[test]
fn log_sources_come_from_a_file_too() {
    let moneta = Moneta::new();
    let rule =
        "title: Order\nid: order\nlogsource: { product: shop }\ndetection:\n  s: { Kind: refund }\n  condition: s\n";
    let rule = moneta.file("rule.yml", rule);
    let without = moneta.run(&["rules", "check", &rule]);
    assert!(without.code == 1 && without.stderr.contains("no table for log source shop"), "{without:?}");
    let own = moneta.file("own.toml", "[[log_source]]\nproduct = \"shop\"\ntargets = [{ table = \"Shop_CL\" }]\n");
    assert_eq!(moneta.run(&["rules", "check", "--taxonomy", &own, &rule]).code, 0);
    let bad = moneta.file("bad.toml", "[[log_source]]\nproduct = \"shop\"\ntargets = [{ table = \"Evnt\" }]\n");
    let refused = moneta.run(&["rules", "check", "--taxonomy", &bad, &rule]);
    assert!(refused.code == 2 && refused.stderr.contains("did you mean \"Event\"?"), "{refused:?}");
    // The server's come from the file that the configuration names.
    assert_eq!(moneta.run(&["rules", "add", &rule]).code, 1);
    let with = |file: &str| moneta.file("moneta.toml", format!("[rules]\ntaxonomy = {file:?}\n"));
    let refused = moneta.run(&["rules", "add", "--config", &with(&bad), &rule]);
    assert!(refused.code != 0 && refused.stderr.contains("rules.taxonomy"), "{refused:?}");
    moneta.ok(&["rules", "add", "--config", &with(&own), &rule]);
    // Without the file it does not run any more, which is told.
    let listed = moneta.json(&["rules", "list"]);
    assert!(listed[0]["problem"].as_str().unwrap().contains("no table for log source shop"), "{listed}");
    let alarms = "SecurityAlert | where RuleId == 'moneta/rule-stopped' | count";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _server = moneta.serve();
    runtime.block_on(wait_until("the alarm", || moneta.count(alarms) > 0));
}

#[test]
fn a_new_installation_has_the_starter_rules_and_what_is_disabled_stays_so() {
    let mut moneta = Moneta::new();
    moneta.settings.push(("MONETA_RULES__STARTER", "true"));
    let listed = |moneta: &Moneta| moneta.json(&["rules", "list"]);
    let num = |list: &Value| list.as_array().unwrap().len();
    moneta.serve().stop();
    let all = num(&listed(&moneta));
    assert!(all >= 70, "{all}");
    let id = listed(&moneta)
        .as_array()
        .unwrap()
        .iter()
        .find(|rule| rule["title"].as_str().unwrap().contains("Shadow"))
        .map(|rule| rule["rule_id"].as_str().unwrap().to_owned())
        .unwrap();
    moneta.ok(&["rules", "disable", &id]);
    let again = moneta.ok(&["rules", "add", "--starter"]);
    assert!(again.starts_with("0 rules loaded"), "{again}");
    let one =
        |list: Value| list.as_array().unwrap().iter().find(|rule| rule["rule_id"] == id.as_str()).cloned().unwrap();
    assert_eq!(one(listed(&moneta))["enabled"], false);
    // What is removed does not come back by itself.
    moneta.ok(&["rules", "remove", &id]);
    moneta.serve().stop();
    assert_eq!(num(&listed(&moneta)), all - 1);
    // Who declined them has none, later either.
    let mut declined = Moneta::new();
    declined.serve().stop();
    declined.settings.push(("MONETA_RULES__STARTER", "true"));
    declined.serve().stop();
    assert_eq!(num(&listed(&declined)), 0);
    assert_eq!(declined.run(&["rules", "add", "--starter"]).code, 0);
    assert_eq!(num(&listed(&declined)), all);
}

#[test]
fn placeholders_come_from_a_file() {
    let moneta = Moneta::new();
    let rule = moneta.file("rule.yml", RULE.replace("    - 'Failed password for'", "    '|expand': '%words%'"));
    let without = moneta.run(&["rules", "check", &rule]);
    assert!(without.code == 1 && without.stderr.contains("%words% has no values"), "{without:?}");
    let lists = moneta.file("lists.toml", "Words = ['Failed password for', 'Accepted publickey']\n");
    assert_eq!(moneta.run(&["rules", "check", "--placeholders", &lists, &rule]).code, 0);
    let log = moneta.file("auth.log", LOG);
    let run = moneta.run(&["hunt", "--rules", &rule, "--placeholders", &lists, &log, "--format", "ndjson"]);
    assert_eq!((run.code, run.stdout.lines().count()), (0, 2), "{run:?}");
    let bad = moneta.run(&["rules", "check", "--placeholders", &moneta.file("bad.toml", "words = 1\n"), &rule]);
    assert!(bad.code == 2 && bad.stderr.contains("bad.toml"), "{bad:?}");
    // The server's rules take theirs from the file that the configuration names.
    let config = moneta.file("moneta.toml", format!("[rules]\nplaceholders = {lists:?}\n"));
    assert_eq!(moneta.run(&["rules", "add", &rule]).code, 1);
    assert!(moneta.ok(&["--config", &config, "rules", "add", &rule]).contains("1 rules loaded"));
}

#[test]
fn explain_says_why_a_rule_matches_or_does_not() {
    let moneta = Moneta::new();
    let (rule, log) = (moneta.file("rule.yml", RULE), moneta.file("auth.log", LOG));
    let first = moneta.run(&["rules", "explain", &log, &rule]);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.stdout.contains("Failed password (5f7c1b1e") && first.stdout.contains("+ keywords"), "{first:?}");
    let second = moneta.run(&["rules", "explain", &log, ID, "--rules", &rule, "--number", "2"]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stdout.contains("does not match") && second.stdout.contains("- keywords"), "{second:?}");
    let third = moneta.run(&["rules", "explain", &log, &rule, "--number", "3"]);
    assert!(third.code == 2 && third.stderr.contains("it has 2"), "{third:?}");
    let unknown = moneta.run(&["rules", "explain", &log, "no-such-rule", "--rules", &rule]);
    assert!(unknown.code == 2 && unknown.stderr.contains("no-such-rule"), "{unknown:?}");
    let twice = format!(
        "title: Twice\nid: twice\ncorrelation: {{ type: event_count, rules: [ {ID} ], timespan: 1h, condition: {{ gte: 2 }} }}\n"
    );
    let twice = moneta.file("twice.yml", twice);
    let few = moneta.run(&["rules", "explain", &log, "twice", "--rules", &rule, "--rules", &twice]);
    assert!(few.code == 1 && few.stdout.contains("- event_count gte 2 within 1h: 1\n"), "{few:?}");
}

#[test]
fn a_rule_is_added_with_its_failing_tests_named() {
    let moneta = Moneta::new();
    let tests = "tests:\n- { name: refused, table: Syslog, matches: true, events: [{ ProcessName: sshd, SyslogMessage: Failed password for root }] }\n- { name: let in, table: Syslog, matches: true, events: [{ ProcessName: sshd, SyslogMessage: Accepted publickey }] }\n";
    let rule = moneta.file("rule.yml", format!("{RULE}{tests}"));
    let added = moneta.run(&["rules", "add", &rule]);
    assert!(added.code == 1 && added.stdout.contains("1 rules loaded"), "{added:?}");
    assert!(added.stderr.contains("let in: should match and does not"), "{added:?}");
    assert!(!added.stderr.contains("refused:"), "{added:?}");
    let report: Value = serde_json::from_str(&moneta.run(&["--json", "rules", "add", &rule]).stdout).unwrap();
    assert_eq!(report["failed_tests"][0]["expected"], true);
    // The rule is active all the same.
    assert!(moneta.ok(&["rules", "list"]).contains(ID));
}

#[test]
fn a_rule_is_added_with_the_fields_that_no_column_has() {
    let moneta = Moneta::new();
    let source = "{ product: windows, category: process_creation }";
    let counted = "---\ntitle: Many\nid: 5f7c1b1e-0000-4000-8000-000000000002\ncorrelation: { type: event_count, rules: [typo], group-by: [Usre], timespan: 5m, condition: { gte: 3 } }\n";
    let rule = moneta.file(
        "typo.yml",
        format!("title: Typo\nname: typo\nid: 5f7c1b1e-0000-4000-8000-000000000001\nlogsource: {source}\ndetection:\n  s: {{ Imagee: x }}\n  condition: s\n{counted}"),
    );
    let added = moneta.run(&["rules", "add", &rule]);
    assert!(added.code == 0 && added.stdout.contains("2 rules loaded"), "{added:?}");
    assert!(added.stderr.contains("did you mean \"Image\"?"), "{added:?}");
    assert!(added.stderr.contains("in the events of Typo, "), "{added:?}");
    let report: Value = serde_json::from_str(&moneta.run(&["--json", "rules", "add", &rule]).stdout).unwrap();
    assert_eq!(report["warnings"][0]["code"], "unknown_field");
}

#[test]
fn coverage_is_a_layer_of_the_navigator() {
    let moneta = Moneta::new();
    let rule = moneta.file("rule.yml", RULE);
    let layer: Value = serde_json::from_str(&moneta.ok(&["rules", "coverage", &rule])).unwrap();
    assert_eq!(layer["techniques"][0]["techniqueID"], "T1110");
    let out = moneta.dir.join("layer.json");
    moneta.ok(&["rules", "coverage", &rule, "--name", "ours", "--out", out.to_str().unwrap()]);
    let layer: Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
    assert_eq!(layer["name"], "ours");
}

/// Rule, and the sequences of its events.
type Found = BTreeSet<(String, Vec<u64>)>;

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().filter_map(Value::as_u64).collect()
}

#[test]
fn backfill_finds_what_the_stream_found_and_a_disabled_rule_finds_nothing() {
    let moneta = Moneta::new();
    let rules = moneta.file("rules.yml", format!("{RULE}{CORRELATION}"));
    let log: String = (0..6).map(|minute| LOG.replace("03:04", &format!("03:{minute:02}"))).collect();
    let server = moneta.serve();
    moneta.ok(&["rules", "add", &rules]);
    moneta.ok(&["ingest", &moneta.file("auth.log", &log)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(wait_until("alerts", || moneta.count("SecurityAlert | count") >= 2));
    let alerts = moneta.json(&["query", "SecurityAlert | project RuleId, EventSeqs"]);
    // On arrival, events of one block that meet a rule are one alert; each is a match by itself.
    let stream: Found = alerts
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|alert| {
            let (rule, seqs) = (alert["RuleId"].as_str().unwrap().to_owned(), numbers(&alert["EventSeqs"]));
            match rule == ID {
                true => seqs.into_iter().map(|seq| (rule.clone(), vec![seq])).collect::<Vec<_>>(),
                false => vec![(rule, seqs)],
            }
        })
        .collect();
    let matches = moneta.json(&["rules", "backfill"]);
    let history: Found = matches
        .as_array()
        .unwrap()
        .iter()
        .map(|found| (found["rule_id"].as_str().unwrap().to_owned(), numbers(&found["seqs"])))
        .collect();
    assert_eq!(history, stream);
    assert_eq!(history.iter().filter(|(rule, _)| rule == ID).count(), 6);
    assert!(history.len() > 6, "{history:?}");
    let part =
        moneta.json(&["rules", "backfill", ID, "--from", "2026-01-02T03:02:00Z", "--to", "2026-01-02T03:04:00Z"]);
    assert_eq!(part.as_array().unwrap().len(), 2, "{part}");
    assert_eq!(moneta.run(&["rules", "backfill", "no-such-rule"]).code, 2);

    // The correlation would stop with the rule that it counts.
    for change in ["disable", "remove"] {
        let refused = moneta.run(&["rules", change, ID]);
        assert!(refused.code == 2 && refused.stderr.contains("Many failed passwords"), "{refused:?}");
    }
    moneta.ok(&["rules", "disable", CORRELATION_ID]);
    moneta.ok(&["rules", "disable", ID]);
    let listed = moneta.json(&["rules", "list"]);
    let state =
        |list: &Value| list.as_array().unwrap().iter().find(|rule| rule["rule_id"] == ID).unwrap()["enabled"].clone();
    assert_eq!(state(&listed), false);
    assert_eq!(moneta.run(&["rules", "backfill", ID]).code, 2, "a disabled rule is not active");
    server.stop();
    // It stays so over a restart, and without a server.
    assert_eq!(state(&moneta.json(&["rules", "list"])), false);
    moneta.ok(&["rules", "enable", ID]);
    assert_eq!(state(&moneta.json(&["rules", "list"])), true);
    assert_eq!(moneta.json(&["rules", "backfill", ID]).as_array().unwrap().len(), 6);
    let audited = moneta.json(&[
        "query",
        "MonetaAudit | where Action in ('rule.disable', 'rule.enable', 'rule.backfill') | project Action",
    ]);
    assert!(audited.as_array().unwrap().len() >= 4, "{audited}");
}

/// Makes a pack of one rule with that title; what it prints as JSON.
fn make_pack(moneta: &Moneta, out: &str, version: &str, title: &str) -> Value {
    let dir = moneta.dir.join(&format!("{out}.d"));
    std::fs::create_dir_all(dir.join("linux")).unwrap();
    std::fs::write(dir.join("linux/ssh.yml"), RULE.replace("title: Failed password", &format!("title: {title}")))
        .unwrap();
    let (dir, keys, out) = (dir.to_str().unwrap(), moneta.dir.join("pack-keys"), moneta.dir.join(out));
    let (keys, out) = (keys.to_str().unwrap(), out.to_str().unwrap());
    let named = ["--name", "acme", "--version", version, "--author", "Acme", "--signer", "acme.example/rules"];
    moneta.json(&[&["rules", "pack", dir, "--keys", keys, "--out", out], &named[..]].concat())
}

#[test]
fn a_signed_pack_is_taken_whole_and_a_changed_strange_or_older_one_is_refused() {
    let mut moneta = Moneta::new();
    let first = make_pack(&moneta, "one.pack", "1", "First");
    let second = make_pack(&moneta, "two.pack", "2", "Second");
    assert_eq!((&first["rules"], &first["verifier_key"]), (&Value::from(1), &second["verifier_key"]));
    let dir = moneta.dir.path().to_owned();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let stranger = moneta.run(&["rules", "add", &path("two.pack")]);
    assert!(stranger.code == 2 && stranger.stderr.contains("not among rules.trusted_signers"), "{stranger:?}");
    let key = first["verifier_key"].as_str().unwrap();
    moneta.settings = vec![("MONETA_RULES__TRUSTED_SIGNERS", format!("[{key:?}]").leak())];
    let server = moneta.serve();
    let changed = std::fs::read_to_string(path("two.pack")).unwrap().replace("Failed password for", "Failed password");
    let refused = moneta.run(&["rules", "add", &moneta.file("changed.pack", changed)]);
    assert!(refused.code == 2 && refused.stderr.contains("the content of \"linux/ssh.yml\" is another"), "{refused:?}");
    assert!(moneta.ok(&["rules", "add", &path("two.pack")]).contains("1 rules loaded"));
    assert!(moneta.ok(&["rules", "add", &path("two.pack")]).contains("0 rules loaded, 1 unchanged"));
    let older = moneta.run(&["rules", "add", &path("one.pack")]);
    assert!(older.code == 2 && older.stderr.contains("version 2 of the rule pack acme is there"), "{older:?}");
    let shown = moneta.ok(&["rules", "show", ID]);
    assert!(shown.contains("title: Second"), "{shown}");
    assert!(shown.contains("of the rule pack acme version 2 by Acme, signed by acme.example/rules"), "{shown}");
    let acts = moneta.json(&[
        "query",
        "MonetaAudit | where Action in ('rule.add-pack', 'rule.add') \
         | project Action, Outcome, signer = tostring(Details.pack.signer)",
    ]);
    let acts: Vec<String> = acts
        .as_array()
        .unwrap()
        .iter()
        .map(|act| ["Action", "Outcome", "signer"].map(|column| act[column].as_str().unwrap_or_default()).join(" "))
        .collect();
    let signer = "acme.example/rules";
    let done = [format!("rule.add-pack success {signer}"), format!("rule.add success {signer}")];
    assert!(done.iter().all(|act| acts.contains(act)), "{acts:?}");
    assert_eq!(acts.iter().filter(|act| act.starts_with("rule.add-pack denied")).count(), 3, "{acts:?}");
    // Handed in again by hand, it is of no pack any more.
    let by_hand = RULE.replace("title: Failed password", "title: Second");
    assert!(moneta.ok(&["rules", "add", &moneta.file("by_hand.yml", by_hand)]).contains("1 rules loaded"));
    assert!(!moneta.ok(&["rules", "show", ID]).contains("rule pack"));
    server.stop();
}
