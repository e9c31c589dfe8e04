//! The corpora as a report: how many cases of each measure pass, which miss and why, and minima that only go up.
//!
//! One test per measure; the last one to finish prints the table (see [`crate::report`]). `make conformance` runs them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use moneta_event::ColumnType;
use serde_json::Value as Json;

use crate::compare::{Rules, rows};
use crate::corpora::{Corpus, corpora};
use crate::engine::{Answer, Failure, Memory, NO_RESULT, bound, only_declares, run};
use crate::known_errors::known_ids;
use crate::report::{OWN_CORPUS, Tally, print_table_when_complete};

/// Calls a closure for every corpus that has a file, and then prints the table if this was the last measure.
macro_rules! over_corpora {
    ($file:literal, $measure:expr) => {
        for corpus in corpora() {
            if corpus.has($file) {
                $measure(corpus).await;
            }
        }
        print_table_when_complete();
    };
}

fn id(case: &Json) -> &str {
    case["id"].as_str().unwrap()
}

fn query(case: &Json) -> &str {
    case["query"].as_str().unwrap()
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
    let at = expected.iter().zip(&found).position(|(a, b)| a != b).unwrap_or(expected.len().min(found.len()));
    let from = |all: &[String]| all.iter().skip(at).take(6).cloned().collect::<Vec<_>>().join(" ");
    Err(Failure::Broken(format!(
        "{} columns instead of {}, from {at}: {} instead of {}",
        found.len(),
        expected.len(),
        from(&found),
        from(&expected)
    )))
}

fn bound_columns(query: &str, memory: &Memory) -> Result<Vec<(String, ColumnType)>, Failure> {
    let query = bound(query, memory)?;
    Ok(query.columns().iter().map(|c| (c.name.to_string(), c.column_type)).collect())
}

fn parses(query: &str) -> Result<(), Failure> {
    let parsed = moneta_kql::parse(query);
    let errors: Vec<String> =
        parsed.diagnostics.iter().filter(|d| d.is_error()).map(|d| format!("{} {}", d.code, d.message)).collect();
    if errors.is_empty() { Ok(()) } else { Err(Failure::Refused(errors.join("; "), false)) }
}

#[tokio::test]
async fn every_query_parses() {
    async fn parse(corpus: Corpus, file: &str, measure: &'static str) {
        let mut tally = Tally::new(&corpus.name, measure);
        for case in &corpus.lines(file) {
            tally.count(id(case), parses(query(case)));
        }
        tally.finish();
    }
    over_corpora!("docs_parse_only.jsonl", |corpus| parse(corpus, "docs_parse_only.jsonl", "parse_docs"));
    over_corpora!("real_queries.jsonl", |corpus| parse(corpus, "real_queries.jsonl", "parse_real"));
}

#[tokio::test]
async fn binding_cases_have_the_columns_of_the_reference() {
    async fn measure(corpus: Corpus) {
        let memory = Memory::default();
        let mut tally = Tally::new(&corpus.name, "binding_cases");
        for case in &corpus.lines("binding_cases.jsonl") {
            let outcome =
                bound_columns(query(case), &memory).and_then(|columns| columns_match(&case["columns"], &columns));
            tally.count(id(case), outcome);
        }
        tally.finish();
    }
    over_corpora!("binding_cases.jsonl", measure);
}

/// The real queries the reference binds.
fn real_queries(corpus: &Corpus) -> Vec<Json> {
    let mut cases = corpus.lines("real_queries.jsonl");
    cases.retain(|case| case["binds"] == true);
    cases
}

#[tokio::test]
async fn real_queries_bind_with_the_columns_of_the_reference() {
    async fn measure(corpus: Corpus) {
        let memory = corpus.tables(false);
        let mut binds = Tally::new(&corpus.name, "real_queries_bind");
        let mut columns = Tally::new(&corpus.name, "real_queries_columns");
        let mut times = Vec::new();
        for case in &real_queries(&corpus) {
            let start = Instant::now();
            let bound = bound_columns(query(case), &memory);
            times.push(start.elapsed());
            binds.count(id(case), bound.clone().map(|_| ()));
            if case["columns"].is_array() {
                columns.count(id(case), bound.and_then(|found| columns_match(&case["columns"], &found)));
            }
        }
        print_times(&corpus.name, "parse and bind", times);
        binds.finish();
        columns.finish();
    }
    over_corpora!("real_queries.jsonl", measure);
}

/// Prints the median, the 99th percentile and the greatest of some times.
#[allow(clippy::print_stdout, reason = "a report")]
fn print_times(corpus: &str, what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
    let build = if cfg!(debug_assertions) { "unoptimised" } else { "optimised" };
    let shown = |time: Option<&Duration>| time.map_or(0, Duration::as_micros);
    println!(
        "{corpus}: {what} of {} queries, {build} build: median {} us, p99 {} us, greatest {} us",
        times.len(),
        shown(at(50)),
        shown(at(99)),
        shown(times.last())
    );
}

/// Runs a query for nothing but that it runs. One that only declares, as some pages show, has run when it binds.
async fn runs(query: &str, memory: &Memory) -> Result<(), Failure> {
    match run(query, memory).await {
        Err(Failure::Broken(reason)) if reason == NO_RESULT && only_declares(query) => Ok(()),
        outcome => outcome.map(|_| ()),
    }
}

async fn real_queries_run(corpus: Corpus, measure: &'static str, with_rows: bool) {
    let memory = corpus.tables(with_rows);
    let mut tally = Tally::new(&corpus.name, measure);
    let mut times = Vec::new();
    // Planning the widest unions takes seconds without optimisation, so the plain test takes a part of the queries.
    let all = ["MONETA_CONFORMANCE_ALL", "MONETA_REPORT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    for case in real_queries(&corpus).iter().step_by(if all { 1 } else { REAL_QUERIES_SHARE }) {
        if bound(query(case), &memory).is_err() {
            continue;
        }
        let start = Instant::now();
        let outcome = tokio::time::timeout(RUN_TIME_MAX, runs(query(case), &memory)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Failure::Broken(format!("runs longer than {RUN_TIME_MAX:?}"))));
        tally.count(id(case), outcome);
        times.push(start.elapsed());
    }
    print_times(&corpus.name, measure, times);
    tally.finish();
}

/// One in how many real queries the plain test runs.
const REAL_QUERIES_SHARE: usize = 10;

/// How long a query over a few rows may take, in a build without optimisation on a busy machine.
const RUN_TIME_MAX: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_queries_run_on_empty_tables() {
    over_corpora!("real_queries.jsonl", |corpus| real_queries_run(corpus, "real_queries_run", false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_queries_run_on_sample_tables() {
    over_corpora!("real_queries.jsonl", |corpus| real_queries_run(corpus, "real_queries_sample", true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documentation_examples_give_the_documented_rows() {
    async fn measure(corpus: Corpus) {
        let mut tallies: BTreeMap<&'static str, Tally> =
            AREAS.into_iter().map(|(area, measure)| (area, Tally::new(&corpus.name, measure))).collect();
        let cases = corpus.lines("docs_cases.jsonl");
        for case in &cases {
            let outcome = check_rows(case).await;
            let area = case["area"].as_str().unwrap_or("core");
            if let Some(tally) = tallies.get_mut(area) {
                tally.count(id(case), outcome);
            }
        }
        if corpus.name == OWN_CORPUS {
            for known in known_ids().filter(|known| cases.iter().any(|case| id(case) == *known)) {
                let missed = tallies.values().any(|tally| tally.missed(known));
                assert!(missed, "{known} passes: it is no documentation error");
            }
        }
        tallies.into_values().for_each(Tally::finish);
    }
    over_corpora!("docs_cases.jsonl", measure);
}

/// The areas of the documentation and their measures.
const AREAS: [(&str, &str); 5] = [
    ("core", "docs_cases_core"),
    ("series", "docs_cases_series"),
    ("geo", "docs_cases_geo"),
    ("graph", "docs_cases_graph"),
    ("plugin", "docs_cases_plugin"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engine_cases_give_their_rows() {
    async fn measure(corpus: Corpus) {
        let mut tally = Tally::new(&corpus.name, "engine_cases");
        for case in &corpus.lines("engine_cases.jsonl") {
            tally.count(id(case), check_rows(case).await);
        }
        tally.finish();
    }
    over_corpora!("engine_cases.jsonl", measure);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documentation_queries_without_a_result_run() {
    async fn measure(corpus: Corpus) {
        let memory = Memory::default();
        let mut tally = Tally::new(&corpus.name, "docs_run_only");
        for case in corpus.lines("docs_parse_only.jsonl").iter().filter(|case| case["kind"] == "run_only") {
            tally.count(id(case), runs(query(case), &memory).await);
        }
        tally.finish();
    }
    over_corpora!("docs_parse_only.jsonl", measure);
}

async fn check_rows(case: &Json) -> Result<(), Failure> {
    let answer = run(query(case), &Memory::default()).await?;
    let names = case["names"].as_str().unwrap_or("exact");
    let documented: Vec<&str> = case["columns"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let found: Vec<&str> = answer.columns.iter().map(|(name, _)| name.as_str()).collect();
    let by_name = names.starts_with("column order") || names.starts_with("columns left out");
    if names == "exact" && documented != found {
        return Err(Failure::Broken(format!("columns {found:?} instead of {documented:?}")));
    }
    if names == "positional" && case["official_columns"].is_array() {
        columns_match(&case["official_columns"], &answer.columns)?;
    }
    let picked: Vec<usize> = if by_name {
        documented.iter().filter_map(|name| found.iter().position(|known| known == name)).collect()
    } else {
        (0..found.len()).collect()
    };
    let rules = Rules {
        ordered: case["order_matters"] == true,
        tolerance: case["tolerance"].as_f64().unwrap_or(0.0),
        relative: if case["approx"].is_null() || case["approx"] == false { 0.0 } else { 0.05 },
        unordered_arrays: case["unordered_arrays"] == true,
    };
    rows(&expected_rows(case), &picked_rows(&answer, &picked), rules).map_err(Failure::Broken)
}

fn picked_rows(answer: &Answer, picked: &[usize]) -> Vec<Vec<Json>> {
    answer.rows.iter().map(|row| picked.iter().map(|index| row[*index].clone()).collect()).collect()
}

fn expected_rows(case: &Json) -> Vec<Vec<Json>> {
    let rows = case["values"].as_array().into_iter().flatten();
    rows.map(|row| row.as_array().cloned().unwrap_or_default()).collect()
}
