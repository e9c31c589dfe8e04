//! Public rules against real logs, where the corpora are present: every published case, and a second engine's matches.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_event::TableCatalog;
use moneta_rules::{CompiledRules, Error, Placeholders, hunt, parse_file_with};
use moneta_testkit::corpus_or_skip;
use serde_json::Value;

use crate::support::{compile, decode, files_below, load_rules, load_rules_with};

/// Of how many active rules one may stay unloaded.
const LOADED_OF: usize = 1_000;

pub fn sigma_folders(root: &Path) -> Vec<PathBuf> {
    ["rules", "rules-emerging-threats", "rules-threat-hunting", "rules-compliance", "rules-placeholder"]
        .map(|name| root.join(name))
        .to_vec()
}

/// Record ids per rule that met a file.
fn matches_of(rules: &CompiledRules, path: &Path, catalog: &Arc<TableCatalog>) -> BTreeMap<String, BTreeSet<i64>> {
    let mut found: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for batch in decode(path, catalog) {
        for matched in hunt(rules, &batch.table, &batch.rows, "") {
            found.entry(matched.rule_id).or_default().insert(matched.record_id.unwrap_or(-1));
        }
    }
    found
}

#[test]
fn every_public_rule_loads_or_is_listed_with_its_reason() {
    let Some(root) = corpus_or_skip(4_039, "sigma") else { return };
    let folders = sigma_folders(&root);
    // What only an installation knows: each placeholder that the rules name has one value here.
    let names = placeholder_names(&folders);
    let lists: String = names.iter().map(|name| format!("'{name}' = ['value-of-{name}']\n")).collect();
    let (compiled, not_loaded) = load_rules_with(&folders, &Placeholders::parse(&lists).unwrap());
    let (without, _) = load_rules(&folders);
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for refused in &not_loaded {
        let reason = match &refused.error {
            Error::NoTable(source) => format!("no table for log source {source}"),
            Error::Unsupported { message, .. } => format!("unsupported: {message}"),
            other => format!("{}: {other}", refused.file),
        };
        *reasons.entry(reason).or_default() += 1;
    }
    println!("rules loaded {}, not loaded {}", compiled.rules().len(), not_loaded.len());
    println!("without values for their {} placeholders {}", names.len(), without.rules().len());
    reasons.iter().for_each(|(reason, count)| println!("{count:5} {reason}"));
    assert!(not_loaded.len() * LOADED_OF <= compiled.rules().len(), "{} rules were not loaded", not_loaded.len());
    assert!(not_loaded.iter().all(|n| !n.file.is_empty() && !n.error.to_string().is_empty()));
}

/// The placeholders that rules ask for, found as their authors would find them: by what is refused.
fn placeholder_names(folders: &[PathBuf]) -> BTreeSet<String> {
    let files = folders.iter().flat_map(|folder| files_below(folder, ".yml"));
    let texts: Vec<String> = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let mut names = BTreeSet::new();
    loop {
        let lists: String = names.iter().map(|name| format!("'{name}' = []\n")).collect();
        let placeholders = Placeholders::parse(&lists).unwrap();
        let refused = texts.iter().flat_map(|text| parse_file_with("", text, &placeholders).not_loaded);
        let missing = refused.filter_map(|refused| {
            let message = refused.error.to_string();
            let (name, _) = message.split_once("the placeholder %")?.1.split_once('%')?;
            Some(name.to_lowercase())
        });
        let before = names.len();
        names.extend(missing);
        if names.len() == before {
            return names;
        }
    }
}

#[test]
fn every_published_regression_case_matches() {
    let Some(root) = corpus_or_skip(139, "sigma") else { return };
    let index: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(root.join("regression_index.json")).unwrap()).unwrap();
    let (compiled, _) = load_rules(&sigma_folders(&root));
    let catalog = Arc::new(TableCatalog::built_in());
    let mut failures = Vec::new();
    let mut more_than_stated = Vec::new();
    for case in &index {
        let path = root.join(case["evtx_path"].as_str().unwrap());
        let id = case["rule_id"].as_str().unwrap();
        let found = matches_of(&compiled, &path, &catalog).get(id).map_or(0, BTreeSet::len);
        let expected = case["expected_count"].as_u64().map_or(1, |count| usize::try_from(count).unwrap());
        if found < expected {
            failures.push(format!("{} {}: {found} of {expected}", id, case["rule_path"]));
        } else if case["expected_count"].is_u64() && found > expected {
            more_than_stated.push(format!("{id}: {found} for {expected}"));
        }
    }
    println!(
        "cases {}, passed {}, more matches than stated {more_than_stated:?}",
        index.len(),
        index.len() - failures.len()
    );
    assert_eq!(failures, [""; 0]);
}

#[test]
fn differences_from_the_second_engine_are_explained() {
    let Some(root) = corpus_or_skip(606, "sigma") else { return };
    let Some(samples) = corpus_or_skip(606, "samples") else { return };
    let oracle: Value =
        serde_json::from_str(&std::fs::read_to_string(root.join("oracle_evtx_attack_samples.json")).unwrap()).unwrap();
    let folders =
        [root.join("rules/windows"), root.join("rules-emerging-threats"), root.join("rules-threat-hunting/windows")];
    let (compiled, not_loaded) = load_rules(&folders);
    let catalog = Arc::new(TableCatalog::built_in());
    let explanations = Explanations::read();
    let not_loaded: BTreeMap<&str, String> =
        not_loaded.iter().map(|n| (n.rule_id.as_str(), n.error.to_string())).collect();
    let not_converted = oracle["not_converted"].as_object().unwrap();
    let sources = log_source_rules(&compiled);
    let mut tally = Tally::default();
    for (file, theirs) in oracle["files"].as_object().unwrap() {
        let ours = matches_of(&compiled, &samples.join(file), &catalog);
        let in_source = matches_of(&sources, &samples.join(file), &catalog);
        let theirs: BTreeMap<String, BTreeSet<i64>> = theirs["matches"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(rule, ids)| (rule.clone(), ids.as_array().unwrap().iter().filter_map(Value::as_i64).collect()))
            .collect();
        for rule in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let kind = match (ours.get(rule), theirs.get(rule)) {
                (Some(ours), Some(theirs)) if ours == theirs => {
                    tally.equal += 1;
                    continue;
                }
                (Some(_), Some(_)) => "records",
                (Some(_), None) => "extra",
                _ => "missing",
            };
            let loaded = compiled.rules().iter().find(|r| r.metadata.id.as_str() == rule);
            let source = loaded.and_then(|r| r.log_source()).map(ToString::to_string).unwrap_or_default();
            let none = BTreeSet::new();
            let only_theirs = theirs.get(rule).unwrap_or(&none).difference(ours.get(rule).unwrap_or(&none));
            let outside = only_theirs.clone().all(|id| !in_source.get(&source).is_some_and(|ids| ids.contains(id)));
            let ours_are_theirs = ours.get(rule).unwrap_or(&none).is_subset(theirs.get(rule).unwrap_or(&none));
            let known = if not_converted.contains_key(rule) {
                Some("the second engine could not convert the rule".to_owned())
            } else if loaded.is_some() && kind != "extra" && outside && ours_are_theirs {
                Some("only the second engine matches events outside of the rule's log source".to_owned())
            } else {
                not_loaded.get(rule.as_str()).cloned().or_else(|| explanations.find(rule, kind, file))
            };
            let title = loaded.map_or("", |r| r.metadata.title.as_str());
            let records = format!("ours {:?} theirs {:?}", ours.get(rule), theirs.get(rule));
            tally.note(kind, known, format!("{kind} {rule} {file} [{title}] {records}"));
        }
    }
    tally.print();
    assert_eq!(tally.unexplained, [""; 0]);
}

/// For every log source a rule, named like it, that every event of the source meets.
fn log_source_rules(rules: &CompiledRules) -> CompiledRules {
    let sources: BTreeSet<_> = rules.rules().iter().filter_map(|rule| rule.log_source().cloned()).collect();
    let text: String = sources
        .iter()
        .map(|source| {
            let part =
                |name: &str, value: &str| if value.is_empty() { String::new() } else { format!("  {name}: {value}\n") };
            let parts = [
                part("product", &source.product),
                part("category", &source.category),
                part("service", &source.service),
            ];
            let detection = "detection:\n  s:\n    EventID|exists: true\n  condition: s\n";
            format!("---\ntitle: x\nid: {source}\nlogsource:\n{}{detection}", parts.concat())
        })
        .collect();
    compile(&text)
}

/// Pairs of rule and file, by how the engines agree.
#[derive(Default)]
struct Tally {
    equal: usize,
    explained: BTreeMap<(String, String), usize>,
    unexplained: Vec<String>,
}

impl Tally {
    fn note(&mut self, kind: &str, known: Option<String>, line: String) {
        match known {
            Some(reason) => *self.explained.entry((kind.to_owned(), reason)).or_default() += 1,
            None => self.unexplained.push(line),
        }
    }

    #[expect(clippy::print_stdout, reason = "a conformance test reports its figures")]
    fn print(&self) {
        let explained: usize = self.explained.values().sum();
        println!(
            "pairs equal {}, differing and explained {explained}, unexplained {}",
            self.equal,
            self.unexplained.len()
        );
        self.explained.iter().for_each(|((kind, reason), count)| println!("{count:5} {kind}: {reason}"));
        self.unexplained.iter().for_each(|line| println!("      {line}"));
    }
}

/// Why our matches differ, per rule: `oracle_differences.toml`.
struct Explanations(Vec<Explanation>);

#[derive(serde::Deserialize)]
struct Explanation {
    reason: String,
    kind: String,
    rules: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
}

impl Explanations {
    fn read() -> Self {
        #[derive(serde::Deserialize)]
        struct File {
            #[serde(default)]
            difference: Vec<Explanation>,
        }
        let file: File = toml::from_str(include_str!("oracle_differences.toml")).unwrap();
        Self(file.difference)
    }

    fn find(&self, rule: &str, kind: &str, file: &str) -> Option<String> {
        let fits = |e: &&Explanation| {
            e.kind == kind
                && e.rules.iter().any(|known| known == rule || known == "*")
                && (e.files.is_empty() || e.files.iter().any(|known| file.ends_with(known.as_str())))
        };
        self.0.iter().find(fits).map(|e| e.reason.clone())
    }
}
