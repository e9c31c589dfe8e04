//! What detection engineers ask of rules: why one holds or does not, what is probably wrong, what is covered.

use moneta_base::RuleId;
use moneta_event::TableCatalog;
use moneta_event::Value::{Long, Text};
use moneta_rules::analytics::parse_file;
use moneta_rules::coverage::navigator_layer;
use moneta_rules::explain::Step;
use moneta_rules::lint::{self, Severity, lint, lint_query};
use moneta_rules::{CompiledRules, Taxonomy};

use crate::support::{compile, rows, rule, table};

const RULE: &str = "pick:\n  Image|endswith:\n    - '\\cmd.exe'\n    - '\\pwsh.exe'\n  EventID: 7\nskip:\n  User: ann\nspare:\n  Nowhere: x\ncondition: pick and not skip";

fn why(rules: &CompiledRules, channel: &str, fields: &[(&str, moneta_event::Value<'_>)]) -> moneta_rules::Explanation {
    let mut all = vec![("EventLog", Text(channel))];
    all.extend_from_slice(fields);
    let batch = rows("Event", &[&all]);
    let explainer = rules.explainer(&table("Event"), &batch);
    explainer.why(&RuleId::new("r"), 0).unwrap()
}

fn lines(explanation: &moneta_rules::Explanation, part: &str) -> Vec<String> {
    let place = &explanation.places[0];
    let (_, step) = place.searches.iter().find(|(name, _)| name == part).unwrap();
    step.lines(0)
}

#[test]
fn an_explanation_names_the_values_that_decide() {
    let rules = compile(&rule("r", RULE));
    let image = ("Image", Text(r"C:\bin\CMD.exe"));
    let held = why(&rules, "System", &[image, ("EventID", Long(7))]);
    assert!(held.holds);
    assert_eq!(held.places[0].condition, "pick and not skip");
    assert_eq!(
        lines(&held, "pick"),
        [
            "+ all of",
            "  + any of",
            r"    + Image matches *\cmd.exe: C:\bin\CMD.exe",
            "      and 1 more",
            "  + EventID matches 7: 7"
        ]
    );
    assert_eq!(lines(&held, "skip"), ["- User matches ann: it is absent"]);
    // A part that the condition does not use says nothing.
    assert!(!held.places[0].searches.iter().any(|(name, _)| name == "spare"));

    let other_number = why(&rules, "System", &[image, ("EventID", Long(8))]);
    assert!(!other_number.holds);
    assert_eq!(lines(&other_number, "pick"), ["- all of", "  - EventID matches 7: 8", "    and 1 more"]);
    let skipped = why(&rules, "System", &[image, ("EventID", Long(7)), ("User", Text("Ann"))]);
    assert!(!skipped.holds && lines(&skipped, "skip") == ["+ User matches ann: Ann"]);
}

#[test]
fn an_explanation_tells_events_of_another_log_source() {
    let rules = compile(&rule("r", RULE));
    let other = why(&rules, "Application", &[("Image", Text(r"C:\cmd.exe")), ("EventID", Long(7))]);
    assert!(!other.holds);
    assert!(other.places[0].source.iter().any(|step| !step.holds()), "{other:?}");
    assert!(matches!(&other.places[0].source[0], Step::Test { values, .. } if values == &["Application"]));
    let batch = rows("SecurityEvent", &[&[("EventID", Long(1))]]);
    let elsewhere = rules.explainer(&table("SecurityEvent"), &batch).why(&RuleId::new("r"), 0).unwrap();
    assert!(elsewhere.never.contains("windows/system"), "{elsewhere:?}");
    assert!(rules.explainer(&table("Event"), &batch).why(&RuleId::new("none"), 0).is_none());
}

/// Codes of the warnings of one detection, with what they say.
fn warnings(detection: &str) -> Vec<(&'static str, String)> {
    let rules = compile(&rule("r", detection));
    let found = lint(&rules, &Taxonomy::built_in(), &TableCatalog::built_in());
    let warned = found.into_iter().filter(|diagnosis| diagnosis.severity == Severity::Warning);
    warned.map(|diagnosis| (diagnosis.code, diagnosis.message)).collect()
}

#[test]
fn unknown_fields_and_types_that_do_not_compare_are_diagnosed() {
    assert_eq!(warnings("s:\n  Image: a\n  EventID: 7\ncondition: s"), []);
    let found = warnings("s:\n  Imgae: a\ncondition: s");
    assert_eq!(found[0].0, "unknown_field");
    assert!(found[0].1.contains("did you mean \"Image\"?"), "{found:?}");
    for (test, column) in [
        ("EventID: seven", "EventID"),
        ("EventID|contains: 7a", "EventID"),
        ("EventID|cidr: 10.0.0.0/8", "EventID"),
        ("EventID|hour: 3", "EventID"),
        ("TimeGenerated|gt: 5", "TimeGenerated"),
    ] {
        let found = warnings(&format!("s:\n  {test}\ncondition: s"));
        assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["type_mismatch"], "{test}");
        assert!(found[0].1.contains(column), "{found:?}");
    }
    assert_eq!(warnings("s:\n  EventID: '4*'\ncondition: s"), []);
}

#[test]
fn parts_that_do_nothing_and_rules_that_match_everything_are_diagnosed() {
    let found = warnings("s:\n  Image: a\nt:\n  Image: b\ncondition: s");
    assert_eq!(found, [("unused_part", "the condition does not use \"t\"".to_owned())]);
    assert_eq!(warnings("s1:\n  Image: a\ns2:\n  Image: b\ncondition: 1 of s*"), []);
    assert_eq!(warnings("s1:\n  Image: a\ns2:\n  Image: b\ncondition: all of them"), []);
    let found = warnings("s:\n  Image: a\ncondition: not s");
    assert_eq!(found[0].0, "no_required_value");
    let twice = compile(&(rule("a", "s:\n  Image: a\ncondition: s") + &rule("b", "s:\n  Image: a\ncondition: s")));
    let found = lint(&twice, &Taxonomy::built_in(), &TableCatalog::built_in());
    assert!(found.iter().any(|diagnosis| diagnosis.code == "same_as_another" && diagnosis.message.contains(" a ")));
}

#[test]
fn columns_that_an_analytics_rule_names_and_its_result_lacks_are_diagnosed() {
    let text = "id: q\nname: Q\nkind: NRT\nquery: Syslog | project Computer\ncustomDetails: { Who: Computr, Where: Computer }\n";
    let rules = parse_file("q.yaml", text).rules;
    let found = lint_query(&rules[0], &["Computer".to_owned()]);
    let warnings: Vec<_> = found.iter().filter(|one| one.severity == Severity::Warning).collect();
    assert_eq!((warnings.len(), warnings[0].code), (1, "unknown_column"));
    assert!(
        warnings[0].message.contains("Who names \"Computr\"")
            && warnings[0].message.contains("did you mean \"Computer\"?")
    );
    assert!(found.iter().any(|one| one.code == "no_tests") && found.iter().any(|one| one.code == "no_references"));
}

#[test]
fn whatever_an_analytics_rule_names_of_its_result_is_looked_for_there() {
    let text = "id: q\nname: Q\nkind: NRT\nquery: Syslog | project Computer\ncustomDetails: { Where: Computer }\nalertDetailsOverride:\n  alertDisplayNameFormat: 'On {{Computer}} by {{ Usr }}'\n  alertDescriptionFormat: 'By {{Descr}}'\n  alertSeverityColumnName: Sev\n  alertTacticsColumnName: Tac\n  alertDynamicProperties: [{ alertProperty: AlertLink, value: Link }]\nincidentConfiguration:\n  createIncident: true\n  groupingConfiguration: { enabled: true, matchingMethod: Selected, groupByCustomDetails: [Whre] }\n";
    let parsed = parse_file("q.yaml", text);
    assert_eq!(parsed.not_loaded, []);
    let found = lint_query(&parsed.rules[0], &["Computer".to_owned()]);
    let warnings: Vec<&str> =
        found.iter().filter(|one| one.severity == Severity::Warning).map(|one| one.message.as_str()).collect();
    for part in [
        "Usr",
        "Descr",
        "Sev",
        "Tac",
        "the alert property AlertLink names \"Link\"",
        "groupByCustomDetails names \"Whre\"; did you mean \"Where\"?",
    ] {
        assert!(warnings.iter().any(|warning| warning.contains(part)), "{part}: {warnings:?}");
    }
    assert_eq!(warnings.len(), 6, "{warnings:?}");
}

/// What is said of the rule `c` of a text when it is added.
fn warned(text: &str) -> Vec<String> {
    let all = lint::warnings(&compile(text), &Taxonomy::built_in(), &TableCatalog::built_in(), |id| id.as_str() == "c");
    all.into_iter().map(|one| format!("{}: {}", one.code, one.message)).collect()
}

#[test]
fn filters_that_change_no_rule_are_diagnosed() {
    let filter = |source: &str, rules: &str, field: &str| {
        format!(
            "{}---\ntitle: F\nid: c\nlogsource: {source}\nfilter:\n  rules: {rules}\n  s:\n    {field}: a\n  condition: not s\n",
            rule("rule_a", "s:\n  Image: a\ncondition: s")
        )
    };
    let system = "{ product: windows, service: system }";
    assert_eq!(warned(&filter(system, "[rule_a]", "User")), Vec::<String>::new());
    assert_eq!(warned(&filter(system, "any", "User")), Vec::<String>::new());
    for (text, part) in [
        (filter(system, "[rule_b]", "User"), "\"rule_b\", which is not loaded; did you mean \"rule_a\"?"),
        (filter("{ product: windows, service: security }", "[rule_a]", "User"), "changes nothing in rule_a"),
        (filter("{ product: windwos, service: system }", "any", "User"), "did you mean windows/system?"),
        (filter(system, "[rule_a]", "Usre"), "did you mean \"User\"?"),
    ] {
        let found = warned(&text);
        assert!(found.iter().any(|one| one.contains(part)), "{part}: {found:?}");
    }
}

#[test]
fn misspelt_keys_are_diagnosed_and_keys_of_ones_own_are_not() {
    let with = |line: &str| rule("c", "s:\n  Image: a\ncondition: s").replacen("level: high\n", line, 1);
    assert_eq!(warned(&with("level: high\nenrichment: x\n")), Vec::<String>::new());
    assert_eq!(warned(&with("levl: high\n")), ["unknown_key: the key \"levl\" says nothing; did you mean \"level\"?"]);
}

#[test]
fn fields_that_no_column_has_are_told_even_where_no_name_is_near() {
    let found = warned(&rule("c", "s:\n  ThreatVerdictScore: a\n  Image: b\ncondition: s"));
    assert!(found.len() == 1 && found[0].starts_with("unknown_field: ") && found[0].contains("_Extra"), "{found:?}");
}

#[test]
fn a_taxonomy_that_is_not_known_is_diagnosed() {
    let rules = compile(&rule("c", "s:\n  Image: a\ncondition: s").replacen("level:", "taxonomy: ecs\nlevel:", 1));
    let warned = |taxonomy: &Taxonomy| lint::warnings(&rules, taxonomy, &TableCatalog::built_in(), |_| true);
    let found = warned(&Taxonomy::built_in());
    assert!(
        found.len() == 1 && found[0].code == "unknown_taxonomy" && found[0].message.contains("\"ecs\""),
        "{found:?}"
    );
    let own = Taxonomy::built_in_and("names = [\"ecs\"]", &TableCatalog::built_in()).unwrap();
    assert_eq!(warned(&own), []);
}

#[test]
fn coverage_counts_the_rules_of_each_technique() {
    let tagged = |id: &str, image: &str, tags: &str| {
        rule(id, &format!("s:\n  Image: {image}\ncondition: s")).replacen("level:", &format!("tags: {tags}\nlevel:"), 1)
    };
    let rules = compile(
        &(tagged("a", "x", "[attack.t1059.001, attack.execution]")
            + &tagged("b", "y", "[attack.t1059.001, attack.t1003]")
            + &tagged("c", "z", "[]")),
    );
    let queries =
        parse_file("q.yaml", "id: q\nname: Q\nkind: NRT\nquery: Syslog | where a == 1\ntechniques: [T1003]\n").rules;
    let layer = navigator_layer(&rules, &queries, "ours");
    let scores: Vec<(&str, u64)> = layer["techniques"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["techniqueID"].as_str().unwrap(), entry["score"].as_u64().unwrap()))
        .collect();
    assert_eq!(scores, [("T1003", 2), ("T1059.001", 2)]);
    assert_eq!(
        (layer["domain"].as_str(), layer["versions"]["layer"].as_str()),
        (Some("enterprise-attack"), Some("4.5"))
    );
    assert!(layer["description"].as_str().unwrap().contains("1 rules name none"));
}

#[test]
fn fields_that_correlations_compare_are_looked_for_in_the_events_of_their_rules() {
    let correlation = |kind: &str, group: &str, condition: &str| {
        format!(
            "{}---\ntitle: C\nid: c\ncorrelation:\n  type: {kind}\n  rules: [r]\n  group-by: [{group}]\n  timespan: 5m\n  condition: {condition}\n",
            rule("r", "s:\n  Image: a\ncondition: s")
        )
    };
    let found = |text: &str| -> Vec<String> {
        let all =
            lint::warnings(&compile(text), &Taxonomy::built_in(), &TableCatalog::built_in(), |id| id.as_str() == "c");
        all.into_iter().map(|one| format!("{}: {}", one.code, one.message)).collect()
    };
    assert_eq!(found(&correlation("event_count", "User", "{ gte: 3 }")), Vec::<String>::new());
    let typo = found(&correlation("event_count", "Usre", "{ gte: 3 }"));
    assert!(typo.len() == 1 && typo[0].starts_with("unknown_field: in the events of r, "), "{typo:?}");
    assert!(typo[0].contains("did you mean \"User\"?"), "{typo:?}");
    let time = found(&correlation("value_sum", "User", "{ field: TimeGenerated, gte: 3 }"));
    assert!(time.len() == 1 && time[0].starts_with("type_mismatch: "), "{time:?}");
    // Only of those that are asked for.
    let own = lint::warnings(
        &compile(&correlation("event_count", "Usre", "{ gte: 3 }")),
        &Taxonomy::built_in(),
        &TableCatalog::built_in(),
        |id| id.as_str() == "r",
    );
    assert_eq!(own, []);
}
