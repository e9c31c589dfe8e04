//! Every query text of the conformance corpus parses without an error.

use moneta_kql::{parse, render_diagnostics};

const FILES: [&str; 5] = ["docs_cases", "docs_parse_only", "engine_cases", "real_queries", "binding_cases"];

/// Queries that are refused on purpose: id and reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

#[test]
fn every_corpus_query_parses() {
    let Some(corpus) = moneta_testkit::corpus() else { return };
    let mut failures = String::new();
    for file in FILES {
        let Ok(rows) = std::fs::read_to_string(corpus.join("kql").join(file).with_extension("jsonl")) else { continue };
        let mut total = 0;
        let mut accepted = 0;
        for row in rows.lines() {
            let row: serde_json::Value = serde_json::from_str(row).unwrap();
            let (id, query) = (row["id"].as_str().unwrap(), row["query"].as_str().unwrap());
            let parsed = parse(query);
            total += 1;
            if parsed.diagnostics.is_empty() {
                accepted += 1;
            } else if !EXCEPTIONS.iter().any(|(known, _)| *known == id) {
                failures += &format!("== {id}\n{}\n", render_diagnostics(query, &parsed.diagnostics));
            }
        }
        println!("{file}: {accepted} of {total} parse");
    }
    assert!(failures.is_empty(), "{failures}");
}
