//! `moneta apply`: what files declare comes about, is shown before, and happens once.

use crate::hunting::RULE;
use crate::support::{Moneta, json_lines};

const DECLARATIONS: &str = "\
[functions.Last]
text = '{ From(70) | top 1 by Step desc }'

[functions.From]
text = '(first: long) { steps_CL | where Step >= first }'
description = 'Steps from one on'

[saved-queries.'Daily count']
text = 'steps_CL | count'

[watchlists.'Step owners']
file = 'people.csv'
key = 'Step'

[holds.case-7]
table = 'steps_CL'
reason = 'court'

[retention]
steps_CL = 90
Perf = 30
";

/// A rule as Sentinel writes it.
const ANALYTICS: &str = "\
id: 7d0b1c52-3a3f-4d0e-8f0a-9a4f5e2b6c11
name: Steps from seventy on
description: Somebody went far.
severity: Low
queryFrequency: 1h
queryPeriod: 1h
triggerOperator: gt
triggerThreshold: 0
query: steps_CL | where Step >= 70
version: 1.0.0
kind: Scheduled
";

/// An installation with rows, and a directory that declares one of everything and more.
fn declared() -> (Moneta, String) {
    let moneta = Moneta::new();
    moneta.ok(&["ingest", &moneta.file("steps.ndjson", json_lines(80))]);
    moneta.file("declared/people.csv", "Step,Owner\n7,ada\n8,bob\n");
    moneta.file("declared/rules/failed.yml", RULE);
    moneta.file("declared/rules/steps.yaml", ANALYTICS);
    let file = moneta.file("declared/moneta.toml", DECLARATIONS);
    let dir = std::path::Path::new(&file).parent().unwrap().to_str().unwrap().to_owned();
    (moneta, dir)
}

/// Applies everything twice, then with changes.
fn check(moneta: &Moneta, dir: &str) {
    let yes = ["apply", "-f", dir, "--yes"];
    let dry = moneta.run(&["apply", "--dry-run", "-f", dir]);
    assert_eq!(dry.code, 1, "{dry:?}");
    for line in [
        "+ function From",
        "+ watchlist Step owners",
        "+ hold case-7",
        "~ retention Perf",
        "    + 30",
        "7 to make, 2 to change",
    ] {
        assert!(dry.stdout.contains(line), "{line} in {}", dry.stdout);
    }
    assert!(!dry.stdout.contains("would not load") && !dry.stderr.contains("would not load"), "{dry:?}");
    assert!(!moneta.ok(&["function", "list"]).contains("From"), "a dry run changes nothing");
    let surprised = moneta.run(&["apply", "-f", dir]);
    assert!(surprised.code == 2 && surprised.stderr.contains("dropped for good"), "{surprised:?}");

    assert!(moneta.ok(&yes).ends_with("7 made, 2 changed, 0 as declared\n"));
    assert_eq!(moneta.count("Last() | where Step == 79 | count"), 1);
    assert_eq!(moneta.count("_GetWatchlist('Step owners') | count"), 2);
    assert_eq!(moneta.json(&["rules", "list"])[0]["title"], "Failed password");
    assert_eq!(moneta.json(&["store", "holds"])[0]["name"], "case-7");
    let audited = "MonetaAudit | where Action !startswith 'query' and Action !startswith 'checkpoint' | count";
    let before = moneta.count(audited);
    assert_eq!(moneta.ok(&yes), "0 made, 0 changed, 9 as declared\n");
    assert_eq!(moneta.run(&["apply", "--dry-run", "-f", dir]).code, 0);
    assert_eq!(moneta.count(audited), before, "what is as declared is not touched");

    moneta.file(
        "declared/moneta.toml",
        DECLARATIONS.replace("steps_CL | where Step >= first", "steps_CL | where Step > first"),
    );
    moneta.file("declared/people.csv", "Step,Owner\n7,ada\n");
    moneta.file("declared/rules/failed.yml", RULE.replace("level: high", "level: low"));
    let changes = moneta.json(&yes);
    let names: Vec<_> =
        changes["changes"].as_array().unwrap().iter().map(|change| change["kind"].as_str().unwrap()).collect();
    assert_eq!((names, &changes["unchanged"]), (vec!["function", "watchlist", "rule"], &6.into()), "{changes}");
    let diff = &changes["changes"][2]["diff"];
    assert_eq!(diff, &serde_json::json!(["- level: high", "+ level: low"]));
    assert_eq!(moneta.count("From(78) | count"), 1);

    moneta.file("declared/moneta.toml", DECLARATIONS.replace("court", "another court"));
    let refused = moneta.run(&yes);
    assert!(refused.code == 2 && refused.stderr.contains("a hold is not changed"), "{refused:?}");
    assert_eq!(moneta.count("From(78) | count"), 1, "nothing changes when something is refused");
}

#[test]
fn what_did_not_come_about_is_not_said_to_have() {
    let moneta = Moneta::new();
    moneta.ok(&["ingest", &moneta.file("steps.ndjson", json_lines(8))]);
    let declarations = "[functions.Good]\ntext = '{ steps_CL | count }'\n[functions.Wrong]\ntext = '{ Nothing }'\n\
        [saved-queries.Daily]\ntext = 'steps_CL'\n";
    let file = moneta.file("declared.toml", declarations);
    let run = moneta.run(&["apply", "-f", &file]);
    assert!(run.code != 0 && run.stderr.contains("Nothing"), "{run:?}");
    assert!(run.stdout.ends_with("1 made, 0 changed, 0 as declared, 2 not done\n"), "{run:?}");
    let run = moneta.run(&["--json", "apply", "-f", &file]);
    let said: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let done: Vec<_> = said["changes"].as_array().unwrap().iter().map(|change| change["done"] == true).collect();
    assert_eq!((done, &said["applied"], &said["unchanged"]), (vec![false, false], &false.into(), &1.into()), "{said}");
}

#[test]
fn a_rule_that_does_not_load_is_shown_where_it_is_wrong() {
    let moneta = Moneta::new();
    let file = moneta.file("wrong.yml", RULE.replace("condition: ", "condition: nothing and "));
    for words in [["rules", "add", &file], ["apply", "-f", &file]] {
        let run = moneta.run(&words);
        assert!(run.code != 0 && run.stderr.contains("--> line") && run.stderr.contains("^^^"), "{run:?}");
    }
}

#[test]
fn what_is_declared_comes_about_once_without_a_server() {
    let (moneta, dir) = declared();
    check(&moneta, &dir);
}

#[test]
fn what_is_declared_comes_about_once_through_a_server() {
    let (moneta, dir) = declared();
    let server = moneta.serve();
    check(&moneta, &dir);
    server.stop();
}
