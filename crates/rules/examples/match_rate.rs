//! Prints how many events a core matches per second of its time:
//! `match_rate [--rules DIR]... [--count N] [--repeat N] [--rows N] [--step N] [--matches FILE] FILE|DIR...`
//!
//! Files are decoded, and rules compiled, before the clock starts. Rows are matched in blocks as they arrive at the
//! monitor: one table, at most `--rows` rows. `--count` takes so many of the rules, evenly; beyond their number, copies
//! whose texts end otherwise, so that they share nothing with the originals. `--step` takes every so many of the files.
//! `--matches` writes the number of the event and the id of the rule for each match.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use moneta_base::{RuleId, TableName};
use moneta_rules::ir::{Body, Expression, Field, Matcher, Test};
use moneta_rules::pattern::{Pattern, Piece};
use moneta_rules::{CompiledRules, Rule};

struct Options {
    rule_folders: Vec<PathBuf>,
    inputs: Vec<PathBuf>,
    repeat: usize,
    rows_max: usize,
    step: usize,
    count: Option<usize>,
    matches: Option<PathBuf>,
}

fn main() {
    let options = options();
    let begin = Instant::now();
    let all = support::load(&options.rule_folders);
    let rules = support::compile(match options.count {
        Some(count) => chosen(&all, count),
        None => all,
    });
    println!("rules {} compiled in {:?}", rules.rules().len(), begin.elapsed());
    let blocks = support::blocks(&options.inputs, options.rows_max, options.step);
    let events: usize = blocks.iter().map(|(_, rows)| rows.num_rows()).sum();
    println!("events {events} in {} blocks", blocks.len());
    if let Some(path) = &options.matches {
        write_matches(&rules, &blocks, path);
    }
    measure(&rules, &blocks, events, options.repeat);
}

fn options() -> Options {
    let mut options = Options {
        rule_folders: Vec::new(),
        inputs: Vec::new(),
        repeat: 10,
        rows_max: 8_192,
        step: 1,
        count: None,
        matches: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().unwrap().parse().unwrap();
        match argument.as_str() {
            "--repeat" => options.repeat = number(),
            "--rows" => options.rows_max = number(),
            "--step" => options.step = number(),
            "--count" => options.count = Some(number()),
            "--rules" => options.rule_folders.push(PathBuf::from(arguments.next().unwrap())),
            "--matches" => options.matches = arguments.next().map(PathBuf::from),
            _ => options.inputs.push(PathBuf::from(argument)),
        }
    }
    options
}

fn measure(rules: &CompiledRules, blocks: &[(TableName, RecordBatch)], events: usize, repeat: usize) {
    let mut times: BTreeMap<String, (usize, Duration)> = BTreeMap::new();
    let mut fired = BTreeSet::new();
    let mut rounds = Vec::new();
    let mut matches = 0usize;
    for _ in 0..repeat {
        let mut whole = Duration::ZERO;
        for (table, rows) in blocks {
            let begin = cpu_time();
            let found = rules.match_batch(table, rows);
            let taken = cpu_time().saturating_sub(begin);
            let time = times.entry(table.to_string()).or_default();
            time.0 += rows.num_rows();
            time.1 += taken;
            whole += taken;
            matches += found.iter().map(|m| m.rows.len()).sum::<usize>();
            fired.extend(found.iter().map(|m| m.rule));
        }
        rounds.push(whole);
    }
    for (table, (rows, time)) in &times {
        println!("{table:20} {rows:9} events {:>9.0} events/s", *rows as f64 / time.as_secs_f64());
    }
    rounds.sort();
    let median = rounds[rounds.len() / 2].as_secs_f64();
    println!("all                  {:>9.0} events/s/core (median round)", events as f64 / median);
    println!("rules that matched {}, matches {}", fired.len(), matches / repeat);
}

/// What this thread used of a core so far: other work on the machine does not count.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn write_matches(rules: &CompiledRules, blocks: &[(TableName, RecordBatch)], path: &Path) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let mut first = 0;
    for (table, rows) in blocks {
        for found in rules.match_batch(table, rows) {
            let id = &rules.rules()[found.rule].metadata.id;
            found.rows.iter().for_each(|row| writeln!(out, "{} {id}", first + *row as usize).unwrap());
        }
        first += rows.num_rows();
    }
}

/// So many rules: an even choice of those given, or all of them and changed copies.
fn chosen(all: &[Rule], count: usize) -> Vec<Rule> {
    let single: Vec<&Rule> = all.iter().filter(|rule| matches!(rule.body, Body::Detection(_))).collect();
    if count <= single.len() {
        return (0..count).map(|index| single[index * single.len() / count].clone()).collect();
    }
    (0..count).map(|index| copy(single[index % single.len()], index / single.len())).collect()
}

fn copy(rule: &Rule, number: usize) -> Rule {
    let mut rule = rule.clone();
    if number > 0 {
        rule.metadata.id = RuleId::new(&format!("{}-{number}", rule.metadata.id));
        if let Body::Detection(detection) = &mut rule.body {
            detection.expression = changed(&detection.expression, number);
        }
    }
    rule
}

fn changed(expression: &Expression, number: usize) -> Expression {
    let all = |parts: &[Expression]| parts.iter().map(|part| changed(part, number)).collect();
    match expression {
        Expression::Test(test) => match (&test.field, &test.matcher) {
            (Field::Named(_), Matcher::Text { pattern, cased }) => Expression::Test(Arc::new(Test {
                field: test.field.clone(),
                matcher: Matcher::Text { pattern: longer(pattern, number), cased: *cased },
            })),
            _ => expression.clone(),
        },
        Expression::Not(inner) => Expression::Not(Box::new(changed(inner, number))),
        Expression::All(parts) => Expression::All(all(parts)),
        Expression::Any(parts) => Expression::Any(all(parts)),
        Expression::Constant(_) => expression.clone(),
    }
}

fn longer(pattern: &Pattern, number: usize) -> Pattern {
    let mut longer = Pattern::default();
    for piece in pattern.pieces() {
        longer.push(match piece {
            Piece::Literal(text) => Piece::Literal(format!("{text}~{number}")),
            other => other.clone(),
        });
    }
    longer
}
