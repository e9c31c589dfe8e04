//! Every query text of the conformance corpus parses without an error, into the operators the reference parser sees.

use moneta_kql::dump::{DumpNode, dump};
use moneta_kql::{Diagnostic, parse, render_diagnostics};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The files and the number of their rows.
pub(crate) const FILES: [(&str, usize); 5] = [
    ("docs_cases", 498),
    ("docs_parse_only", 770),
    ("engine_cases", 113),
    ("real_queries", 1_897),
    ("binding_cases", 2_710),
];

/// Queries that are refused on purpose: id and reason. Empty: all of them parse.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// The reference parser's names of operators, where they are not ours in camel case.
const OTHER_NAMES: [(&str, &str); 9] = [
    ("FilterOperator", "where"),
    ("DataTableExpression", "datatable"),
    ("ExternalDataExpression", "externaldata"),
    ("ReduceByOperator", "reduce"),
    ("GetSchemaOperator", "getschema"),
    ("TakeOperator", "take"),
    ("SortOperator", "sort"),
    ("MvApplyOperator", "mv-apply"),
    ("MvExpandOperator", "mv-expand"),
];

pub(crate) fn rows(file: &str, count: usize) -> Vec<Value> {
    let Some(path) = moneta_testkit::corpus_or_skip(count, &format!("kql/{file}.jsonl")) else { return Vec::new() };
    read(path)
}

fn read(path: PathBuf) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_corpus_query_parses() {
    let mut failures = String::new();
    for (file, count) in FILES {
        let rows = rows(file, count);
        let (mut accepted, mut warned) = (0, 0);
        for row in &rows {
            let (id, query) = (row["id"].as_str().unwrap(), row["query"].as_str().unwrap());
            let parsed = parse(query);
            if !parsed.has_errors() {
                accepted += 1;
                warned += usize::from(!parsed.diagnostics.is_empty());
            } else if !EXCEPTIONS.iter().any(|(known, _)| *known == id) {
                let errors: Vec<Diagnostic> = parsed.diagnostics.into_iter().filter(Diagnostic::is_error).collect();
                failures += &format!("== {id}\n{}\n", render_diagnostics(query, &errors));
            }
        }
        println!("{file}: {accepted} of {} parse, {warned} of them with warnings", rows.len());
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn trees_hold_the_operators_and_functions_the_reference_sees() {
    let mut differences = Vec::new();
    for (file, count) in FILES {
        for row in rows(file, count) {
            let Some(uses) = row["uses"].as_object() else { continue };
            let query = row["query"].as_str().unwrap();
            let mut seen = BTreeSet::new();
            collect(&dump(&parse(query).tree), &mut seen);
            let words = |key: &str| -> Vec<String> {
                let list = uses.get(key).and_then(Value::as_array);
                list.into_iter().flatten().filter_map(Value::as_str).map(String::from).collect()
            };
            let operators = words("ops").iter().map(|name| our_name(name)).collect::<Vec<_>>();
            let calls = ["fns", "aggs", "plugins"].iter().flat_map(|key| words(key)).map(|name| format!("call {name}"));
            for wanted in operators.into_iter().chain(calls) {
                if !seen.contains(&wanted) {
                    differences.push(format!("{}: {wanted}", row["id"]));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{} missing:\n{}", differences.len(), differences.join("\n"));
}

/// The label a node of this kind has in a dump, without what follows.
fn our_name(reference: &str) -> String {
    if let Some((_, ours)) = OTHER_NAMES.iter().find(|(name, _)| *name == reference) {
        return (*ours).to_string();
    }
    let mut name = String::new();
    for c in reference.trim_end_matches("Operator").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn collect(node: &DumpNode, seen: &mut BTreeSet<String>) {
    let mut words = node.label.split(' ');
    let kind = words.next().unwrap_or_default();
    seen.insert(kind.to_string());
    if kind == "call" {
        seen.insert(node.label.clone());
    }
    for child in &node.children {
        collect(child, seen);
    }
}
