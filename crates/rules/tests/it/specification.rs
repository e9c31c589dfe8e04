//! The examples of the Sigma specification, where they are present, and what the specification says of collections.

use std::sync::Arc;

use moneta_event::TableCatalog;
use moneta_event::Value::Text;
use moneta_rules::correlation::{Correlator, Finding, Settings};
use moneta_rules::ir::Body;
use moneta_rules::{CompiledRules, Rule, Taxonomy, parse_file};
use moneta_testkit::corpus_or_skip;

use crate::support::{compile, files_below, rows, rule, table, timed_rows};

/// The rules that the examples refer to, over Windows' Security channel: each is met by the event whose `Status` is its
/// name.
fn referred() -> String {
    let names = [
        ("5638f7c0-ac70-491d-8465-2a65075e0d86", "login_failed"),
        ("a1", "recon_cmd_a"),
        ("a2", "recon_cmd_b"),
        ("a3", "recon_cmd_c"),
        ("a4", "rule_a_id"),
        ("a5", "process_creation"),
        ("a6", "website_access"),
    ];
    let one = |(id, name): (&str, &str)| {
        format!(
            "---\ntitle: {name}\nid: {id}\nname: {name}\nlogsource:\n  product: windows\n  service: security\ndetection:\n  s:\n    Status: {name}\n  condition: s\n"
        )
    };
    names.map(one).concat()
}

/// Seconds and fields.
type Events<'a> = Vec<(i64, Vec<(&'a str, &'a str)>)>;

fn findings(example: &str, events: &Events<'_>) -> Vec<Finding> {
    let rules = Arc::new(compile(&format!("{}---\n{example}\n", referred())));
    let mut correlator = Correlator::new(rules, Settings::default());
    let rows: Vec<_> = events
        .iter()
        .map(|(seconds, fields)| (*seconds, fields.iter().map(|(name, value)| (*name, Text(value))).collect()))
        .collect();
    let batch = timed_rows("SecurityEvent", &rows);
    let matches = correlator.rules().match_batch(&table("SecurityEvent"), &batch);
    let mut found = correlator.observe(&table("SecurityEvent"), &batch, 0, &matches);
    found.extend(correlator.finish());
    found
}

/// So many events of a rule on one machine, a second apart, with a field that counts up.
fn many<'a>(status: &'a str, field: &'a str, values: &'a [String]) -> Events<'a> {
    let fields = |value: &'a String| {
        vec![("Status", status), ("Computer", "pc"), ("ComputerName", "pc"), ("User", "ann"), (field, value.as_str())]
    };
    (0..).zip(values).map(|(second, value)| (second, fields(value))).collect()
}

#[test]
fn every_correlation_example_finds_what_its_text_says() {
    let Some(root) = corpus_or_skip(8, "sigma") else { return };
    let counted: Vec<String> = (0..100).map(|number| format!("u{number}")).collect();
    let same: Vec<String> = vec!["x".to_owned(); 100];
    let kilobytes: Vec<String> = vec!["501".to_owned(); 3];
    let unequal = vec!["999".to_owned(), "1".to_owned()];
    let megabytes: Vec<String> = vec!["400000".to_owned(); 3];
    let images: Vec<String> =
        (0..100).map(|number| if number == 7 { "rare".to_owned() } else { "usual".to_owned() }).collect();
    let recon = |order: [&'static str; 3]| -> Events<'static> {
        (0..)
            .zip(order)
            .map(|(at, name)| (at * 60, vec![("Status", name), ("ComputerName", "pc"), ("User", "ann")]))
            .collect()
    };
    let (abc, cba) = (["recon_cmd_a", "recon_cmd_b", "recon_cmd_c"], ["recon_cmd_c", "recon_cmd_b", "recon_cmd_a"]);
    let mut checked = 0;
    for path in files_below(&root.join("specification/tests/schema/correlation"), ".yml") {
        let example = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let cases: Vec<(Events<'_>, usize)> = match name.as_str() {
            // A custom taxonomy only names the fields.
            "event_count" | "event_count_ecs" => vec![
                (many("login_failed", "dns.question.name", &same), 1),
                (many("login_failed", "dns.question.name", &same[..99]), 0),
            ],
            "value_count" => vec![(users(&counted), 1), (users(&counted[..99]), 0), (users(&same), 0)],
            "temporal" => vec![(recon(abc), 1), (recon(cba), 1), (recon(abc)[..2].to_vec(), 0)],
            "temporal_ordered" => vec![(recon(abc), 1), (recon(cba), 0)],
            "value_avg" => {
                vec![(many("rule_a_id", "BytesOut", &kilobytes), 1), (many("rule_a_id", "BytesOut", &unequal), 0)]
            }
            "value_sum" => vec![
                (many("website_access", "bytes_sent", &megabytes), 1),
                (many("website_access", "bytes_sent", &megabytes[..2]), 0),
            ],
            "value_percentile" => {
                vec![(many("process_creation", "Image", &images), 1), (many("process_creation", "Image", &same), 0)]
            }
            other => panic!("no expectation is written for the example {other}"),
        };
        for (events, expected) in cases {
            assert_eq!(findings(&example, &events).len(), expected, "{name}: {events:?}");
        }
        checked += 1;
    }
    println!("correlation examples {checked}");
    assert!(checked >= 8);
}

/// Failed sign-ins of users on one machine.
fn users(users: &[String]) -> Events<'_> {
    (0..)
        .zip(users)
        .map(|(second, user)| {
            (
                second,
                vec![
                    ("Status", "login_failed"),
                    ("ComputerName", "pc"),
                    ("WorkstationName", "w"),
                    ("User", user.as_str()),
                ],
            )
        })
        .collect()
}

#[test]
fn filter_examples_narrow_the_rules_they_name() {
    let Some(root) = corpus_or_skip(2, "sigma") else { return };
    let filter = std::fs::read_to_string(root.join("specification/tests/schema/filter/filter_1.yml")).unwrap();
    let process = "---\ntitle: P\nid: 6f3e2987-db24-4c78-a860-b4f4095a7095\nlogsource:\n  category: process_creation\n  product: windows\ndetection:\n  s:\n    Image: a\n  condition: s\n";
    let other = process.replace("6f3e2987-db24-4c78-a860-b4f4095a7095", "other");
    let rules_that_hold = |filter: &str, user: &str| -> Vec<String> {
        let compiled = compile(&format!("{process}{other}---\n{filter}\n"));
        let batch = rows(
            "Event",
            &[&[
                ("Source", Text("Microsoft-Windows-Sysmon")),
                ("EventID", Text("1")),
                ("Image", Text("a")),
                ("User", Text(user)),
            ]],
        );
        let matches = compiled.match_batch(&table("Event"), &batch);
        matches.iter().map(|m| compiled.rules()[m.rule].metadata.id.to_string()).collect()
    };
    let (named, unnamed) = ("6f3e2987-db24-4c78-a860-b4f4095a7095", "other");
    // As written, the condition keeps what it selects; negated, it takes it away. Other rules stay as they are.
    assert_eq!(rules_that_hold(&filter, "adm_ann"), [named, unnamed]);
    assert_eq!(rules_that_hold(&filter, "ann"), [unnamed]);
    let negated = filter.replace("condition: selection", "condition: not selection");
    assert_eq!(rules_that_hold(&negated, "adm_ann"), [unnamed]);
    assert_eq!(rules_that_hold(&negated, "ann"), [named, unnamed]);
    // A filter for another log source changes nothing.
    let elsewhere = negated.replace("category: process_creation", "category: image_load");
    assert_eq!(rules_that_hold(&elsewhere, "adm_ann"), [named, unnamed]);
    let ecs = std::fs::read_to_string(root.join("specification/tests/schema/filter/filter_ecs.yml")).unwrap();
    let parsed = parse_file("filter_ecs.yml", &ecs);
    assert!(parsed.not_loaded.is_empty() && matches!(parsed.rules[0].body, Body::Filter(_)));
}

fn load(text: &str) -> (Vec<Arc<Rule>>, Vec<String>) {
    let parsed = parse_file("x", text);
    let mut reasons: Vec<String> = parsed.not_loaded.iter().map(|n| n.error.to_string()).collect();
    let (compiled, more) = CompiledRules::compile(parsed.rules, &Taxonomy::built_in(), &TableCatalog::built_in());
    reasons.extend(more.iter().map(|n| n.error.to_string()));
    (compiled.rules().to_vec(), reasons)
}

#[test]
fn collections_share_what_is_global_and_repeat_what_is_the_same() {
    let text = "action: global\nauthor: Ann\nlevel: low\nlogsource:\n  product: windows\n---\ntitle: One\nid: one\nlogsource:\n  service: system\ndetection:\n  s:\n    Image: a\n  condition: s\n---\naction: repeat\ntitle: Two\nid: two\nlevel: high\ndetection:\n  s:\n    Image: b\n---\naction: reset\n---\ntitle: Three\nid: three\nlogsource:\n  product: windows\n  service: system\ndetection:\n  s:\n    Image: a\n  condition: s\n";
    let (rules, reasons) = load(text);
    assert_eq!(reasons, [""; 0]);
    let told: Vec<_> = rules
        .iter()
        .map(|r| {
            (
                r.metadata.id.as_str(),
                r.metadata.author.as_str(),
                r.metadata.level.name(),
                r.log_source().unwrap().to_string(),
            )
        })
        .collect();
    let system = || "windows/system".to_owned();
    assert_eq!(
        told,
        [("one", "Ann", "low", system()), ("two", "Ann", "high", system()), ("three", "", "medium", system())]
    );
    let (_, reasons) = load("action: repeat\ntitle: x\n---\naction: globl\ntitle: y\n");
    assert!(
        reasons[0].contains("no document before it") && reasons[1].contains("global, reset and repeat"),
        "{reasons:?}"
    );
}

#[test]
fn a_filter_reaches_every_rule_of_its_log_source_when_it_names_none() {
    let plain = rule("r", "s:\n  Image: a\ncondition: s");
    let filter = "---\ntitle: F\nid: f\nlogsource:\n  product: windows\nfilter:\n  rules: any\n  machines:\n    Computer|startswith: LAB-\n  condition: not machines\n";
    let event = |computer| [("EventLog", Text("System")), ("Image", Text("a")), ("Computer", Text(computer))];
    let batch = rows("Event", &[&event("LAB-1"), &event("PC-1")]);
    for every in ["any", "All", "[]"] {
        let compiled = compile(&format!("{plain}{}", filter.replace("rules: any", &format!("rules: {every}"))));
        assert_eq!(compiled.match_batch(&table("Event"), &batch)[0].rows, [1], "{every}");
    }
}
