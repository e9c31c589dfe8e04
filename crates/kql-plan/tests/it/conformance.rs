//! The corpus as a report: how many cases pass, fail or are refused per file, and minima that only go up.
//!
//! `MONETA_REPORT_DIR` names a directory into which every miss is written with its id and reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use moneta_event::{Column, ColumnType};
use serde_json::Value as Json;

use crate::compare::{Rules, rows};
use crate::engine::{Failure, Memory, bound, run};

/// The least number of cases that must pass. Raise a number when more pass; never lower one.
const MINIMA: &str = include_str!("conformance.minima");

struct Tally {
    file: &'static str,
    total: usize,
    passed: usize,
    refused: usize,
    misses: String,
}

impl Tally {
    fn new(file: &'static str) -> Self {
        Self { file, total: 0, passed: 0, refused: 0, misses: String::new() }
    }

    fn count(&mut self, id: &str, outcome: Result<(), Failure>) {
        self.total += 1;
        let reason = match outcome {
            Ok(()) => {
                self.passed += 1;
                return;
            }
            Err(Failure::Refused(reason, unsupported)) => {
                self.refused += usize::from(unsupported);
                format!("{}: {reason}", if unsupported { "unsupported" } else { "refused" })
            }
            Err(Failure::Broken(reason)) => format!("broken: {reason}"),
        };
        let _ = writeln!(self.misses, "{id}\t{}", reason.replace('\n', " "));
    }

    /// Prints the figures, writes the misses, and checks the minimum.
    #[allow(clippy::print_stdout, reason = "a report")]
    fn finish(self) {
        let failed = self.total - self.passed - self.refused;
        println!("{}: {} of {} pass, {} unsupported, {failed} fail", self.file, self.passed, self.total, self.refused);
        if let Ok(directory) = std::env::var("MONETA_REPORT_DIR") {
            std::fs::write(Path::new(&directory).join(format!("{}.tsv", self.file)), &self.misses).unwrap();
        }
        let minimum = MINIMA.lines().find_map(|line| line.strip_prefix(self.file)?.trim().parse().ok()).unwrap_or(0);
        assert!(self.passed >= minimum, "{}: {} pass, {minimum} did before", self.file, self.passed);
    }
}

fn corpus(file: &str) -> Option<Vec<Json>> {
    let path = moneta_testkit::corpus_or_skip(1, &format!("kql/{file}"))?;
    let text = std::fs::read_to_string(&path).unwrap();
    if file.ends_with(".json") {
        return Some(vec![serde_json::from_str(&text).unwrap()]);
    }
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn schemas() -> Memory {
    let mut memory = Memory::default();
    let Some(all) = corpus("table_schemas.json") else { return memory };
    for (name, table) in all[0]["tables"].as_object().into_iter().flatten() {
        let columns = table["columns"].as_array().into_iter().flatten().filter_map(|c| {
            let column_type = ColumnType::parse(c[1].as_str()?)?;
            Some(Column::new(c[0].as_str()?, column_type))
        });
        memory.insert(name, columns.collect());
    }
    for (name, parts) in all[0]["functions"].as_object().into_iter().flatten() {
        let part = |index: usize| parts[index].as_str().unwrap_or("");
        memory.insert_function(name, format!("{} {}", part(0), part(1)));
    }
    memory
}

fn columns_match(expected: &Json, found: &[(String, ColumnType)]) -> Result<(), Failure> {
    let expected: Vec<String> = expected
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| format!("{}:{}", c[0].as_str().unwrap_or(""), c[1].as_str().unwrap_or("")))
        .collect();
    let found: Vec<String> = found.iter().map(|(n, t)| format!("{n}:{t}")).collect();
    if expected == found {
        return Ok(());
    }
    Err(Failure::Broken(format!("columns {} instead of {}", found.join(" "), expected.join(" "))))
}

fn bound_columns(query: &str, memory: &Memory) -> Result<Vec<(String, ColumnType)>, Failure> {
    let query = bound(query, memory)?;
    Ok(query.columns().iter().map(|c| (c.name.to_string(), c.column_type)).collect())
}

#[test]
fn binding_cases_have_the_columns_of_the_reference() {
    let Some(cases) = corpus("binding_cases.jsonl") else { return };
    let memory = Memory::default();
    let mut tally = Tally::new("binding_cases");
    for case in &cases {
        let outcome = bound_columns(case["query"].as_str().unwrap(), &memory)
            .and_then(|columns| columns_match(&case["columns"], &columns));
        tally.count(case["id"].as_str().unwrap(), outcome);
    }
    tally.finish();
}

#[test]
fn real_queries_bind_with_the_columns_of_the_reference() {
    let Some(cases) = corpus("real_queries.jsonl") else { return };
    let memory = schemas();
    let (mut binds, mut columns) = (Tally::new("real_queries_bind"), Tally::new("real_queries_columns"));
    for case in cases.iter().filter(|case| case["binds"] == true) {
        let id = case["id"].as_str().unwrap();
        let bound = bound_columns(case["query"].as_str().unwrap(), &memory);
        binds.count(id, bound.clone().map(|_| ()));
        if case["columns"].is_array() {
            columns.count(id, bound.and_then(|found| columns_match(&case["columns"], &found)));
        }
    }
    binds.finish();
    columns.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_queries_run_on_empty_tables() {
    let Some(cases) = corpus("real_queries.jsonl") else { return };
    let memory = schemas();
    let mut tally = Tally::new("real_queries_run");
    // Planning the widest unions takes seconds without optimisation, so the plain test takes a part of the queries.
    let share = if std::env::var("MONETA_REPORT_DIR").is_ok() { 1 } else { REAL_QUERIES_SHARE };
    let mut slow = String::new();
    for case in cases.iter().filter(|case| case["binds"] == true).step_by(share) {
        let query = case["query"].as_str().unwrap();
        if bound(query, &memory).is_err() {
            continue;
        }
        let start = std::time::Instant::now();
        if let Ok(directory) = std::env::var("MONETA_REPORT_DIR") {
            std::fs::write(Path::new(&directory).join("running.tsv"), case["id"].as_str().unwrap()).unwrap();
        }
        tally.count(case["id"].as_str().unwrap(), run(query, &memory).await.map(|_| ()));
        if start.elapsed().as_secs() >= 5 {
            let _ = writeln!(slow, "{}\t{} s", case["id"].as_str().unwrap(), start.elapsed().as_secs());
            if let Ok(directory) = std::env::var("MONETA_REPORT_DIR") {
                std::fs::write(Path::new(&directory).join("slow.tsv"), &slow).unwrap();
            }
        }
    }
    tally.finish();
}

/// One in how many real queries the plain test runs.
const REAL_QUERIES_SHARE: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documentation_examples_give_the_documented_rows() {
    let Some(cases) = corpus("docs_cases.jsonl") else { return };
    let mut tallies: BTreeMap<bool, Tally> =
        [(true, Tally::new("docs_cases_core")), (false, Tally::new("docs_cases_other"))].into();
    for case in &cases {
        let outcome = check_rows(case).await;
        if let Some(tally) = tallies.get_mut(&(case["area"] == "core")) {
            tally.count(case["id"].as_str().unwrap(), outcome);
        }
    }
    tallies.into_values().for_each(Tally::finish);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engine_cases_give_their_rows() {
    let Some(cases) = corpus("engine_cases.jsonl") else { return };
    let mut tally = Tally::new("engine_cases");
    for case in &cases {
        tally.count(case["id"].as_str().unwrap(), check_rows(case).await);
    }
    tally.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documentation_queries_without_a_result_run() {
    let Some(cases) = corpus("docs_parse_only.jsonl") else { return };
    let memory = Memory::default();
    let mut tally = Tally::new("docs_run_only");
    for case in cases.iter().filter(|case| case["kind"] == "run_only") {
        tally.count(case["id"].as_str().unwrap(), run(case["query"].as_str().unwrap(), &memory).await.map(|_| ()));
    }
    tally.finish();
}

async fn check_rows(case: &Json) -> Result<(), Failure> {
    let answer = run(case["query"].as_str().unwrap(), &Memory::default()).await?;
    let names = case["names"].as_str().unwrap_or("exact");
    let documented: Vec<&str> = case["columns"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let found: Vec<&str> = answer.columns.iter().map(|(name, _)| name.as_str()).collect();
    let by_name = names.starts_with("column order") || names.starts_with("columns left out");
    if names == "exact" && documented != found {
        return Err(Failure::Broken(format!("columns {found:?} instead of {documented:?}")));
    }
    let picked: Vec<usize> = if by_name {
        documented.iter().filter_map(|name| found.iter().position(|known| known == name)).collect()
    } else {
        (0..found.len()).collect()
    };
    let found_rows: Vec<Vec<Json>> =
        answer.rows.iter().map(|row| picked.iter().map(|index| row[*index].clone()).collect()).collect();
    let expected: Vec<Vec<Json>> = case["values"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| row.as_array().cloned().unwrap_or_default())
        .collect();
    let rules = Rules {
        ordered: case["order_matters"] == true,
        tolerance: case["tolerance"].as_f64().unwrap_or(0.0),
        relative: if case["approx"].is_null() || case["approx"] == false { 0.0 } else { 0.05 },
        unordered_arrays: case["unordered_arrays"] == true,
    };
    rows(&expected, &found_rows, rules).map_err(Failure::Broken)
}
