//! The rules that come with Moneta: each loads, says where it is explained, and passes tests of both outcomes.

use std::path::Path;
use std::sync::Arc;

use moneta_event::TableCatalog;
use moneta_rules::ir::Body;
use moneta_rules::{rule_tests, starter};

use crate::support::{compile, load_rules, rule};

const RULES_MIN: usize = 60;

#[test]
fn every_starter_rule_loads_and_passes_its_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../content/rules");
    let (compiled, not_loaded) = load_rules(&[folder]);
    assert_eq!(not_loaded, []);
    let compiled = Arc::new(compiled);
    assert_eq!(rule_tests::run(&compiled, &TableCatalog::built_in(), |_| true), []);
    let mut alerting = 0;
    for (index, rule) in compiled.rules().iter().enumerate() {
        let metadata = &rule.metadata;
        if matches!(rule.body, Body::Detection(_)) && !compiled.alerts_alone(index) {
            continue;
        }
        alerting += 1;
        assert!(!metadata.references.is_empty() && !metadata.tags.is_empty(), "{}", metadata.title);
        assert!(!metadata.author.is_empty() && !metadata.description.is_empty(), "{}", metadata.title);
        let both = [true, false].map(|outcome| rule.tests.iter().any(|test| test.matches == outcome));
        assert_eq!(both, [true, true], "{} lacks a test", metadata.title);
    }
    println!("starter rules {alerting}");
    assert!(alerting >= RULES_MIN, "{alerting}");
}

#[test]
fn every_starter_rule_is_in_the_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../content/rules");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yml") || name.ends_with(".yaml"))
        .collect();
    files.sort();
    assert_eq!(starter::FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), files);
}

#[test]
fn a_test_that_says_the_wrong_thing_fails() {
    let text = rule("r", "s:\n  Image: a\ncondition: s");
    let tests = "tests:\n  - name: wrong\n    table: Event\n    matches: false\n    events:\n      - { EventLog: System, Image: a }\n";
    let failures = rule_tests::run(&Arc::new(compile(&format!("{text}{tests}"))), &TableCatalog::built_in(), |_| true);
    assert_eq!((failures.len(), failures[0].test.as_str(), failures[0].expected), (1, "wrong", false));
}
