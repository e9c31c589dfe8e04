//! What the conformance tests print: per measure how many cases pass, which miss and why, and one table of all.
//!
//! `MONETA_REPORT_DIR` names a directory into which every measure writes its misses, one line each: id, reason.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::engine::Failure;
use crate::known_errors::known_error;

/// The least number of cases that must pass or be known to be wrong. Raise a number when more pass; never lower one.
const MINIMA: &str = include_str!("conformance.minima");

/// The corpus the minima speak of.
pub const OWN_CORPUS: &str = "kql";

/// The measures in the order of the table, with the share of cases that has to pass, in tenths of a percent.
const MEASURES: [(&str, u32); 15] = [
    ("parse_docs", 1000),
    ("parse_real", 1000),
    ("binding_cases", 995),
    ("real_queries_bind", 995),
    ("real_queries_columns", 995),
    ("real_queries_run", 1000),
    ("real_queries_sample", 1000),
    ("docs_cases_core", 990),
    ("docs_cases_series", 950),
    ("docs_cases_geo", 950),
    ("docs_cases_graph", 950),
    ("docs_cases_plugin", 950),
    ("docs_run_only", 1000),
    ("engine_cases", 1000),
    ("type_matrix", 990),
];

/// Counts the cases of one measure over one corpus.
pub struct Tally {
    corpus: String,
    measure: &'static str,
    total: usize,
    passed: usize,
    refused: usize,
    known: usize,
    misses: String,
}

/// A finished tally.
struct Line {
    corpus: String,
    measure: &'static str,
    total: usize,
    passed: usize,
    known: usize,
}

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());

impl Tally {
    /// A tally of a measure over the corpus of that name.
    pub fn new(corpus: &str, measure: &'static str) -> Self {
        Self { corpus: corpus.to_owned(), measure, total: 0, passed: 0, refused: 0, known: 0, misses: String::new() }
    }

    /// Counts a case. A documentation error that is known stays a miss, and is named with its argument.
    pub fn count(&mut self, id: &str, outcome: Result<(), Failure>) {
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
        let argument = known_error(id);
        self.known += usize::from(argument.is_some());
        let argument = argument.map(|a| format!(" [known documentation error: {a}]")).unwrap_or_default();
        let _ = writeln!(self.misses, "{id}\t{}{argument}", reason.replace(['\n', '\t'], " "));
    }

    /// Whether a case of that id missed.
    pub fn missed(&self, id: &str) -> bool {
        self.misses.lines().any(|line| line.split('\t').next() == Some(id))
    }

    /// Prints the figures and the misses, writes the misses, and checks the minimum.
    #[allow(clippy::print_stdout, reason = "a report")]
    pub fn finish(self) {
        let (corpus, measure) = (self.corpus.as_str(), self.measure);
        for miss in self.misses.lines() {
            let shown: String = miss.chars().take(300).collect();
            println!("miss\t{corpus}/{measure}\t{shown}");
        }
        let failed = self.total - self.passed - self.refused;
        println!(
            "{corpus}/{measure}: {} of {} pass, {} unsupported, {failed} fail ({} known documentation errors)",
            self.passed, self.total, self.refused, self.known
        );
        if let Ok(directory) = std::env::var("MONETA_REPORT_DIR") {
            let name = if corpus == OWN_CORPUS { String::new() } else { format!("{}.", corpus.replace('/', "_")) };
            std::fs::write(Path::new(&directory).join(format!("{name}{measure}.tsv")), &self.misses).unwrap();
        }
        let line =
            Line { corpus: self.corpus.clone(), measure, total: self.total, passed: self.passed, known: self.known };
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        if self.corpus == OWN_CORPUS {
            let line = MINIMA.lines().find_map(|line| line.strip_prefix(measure)?.strip_prefix(' '));
            let minimum = line.and_then(|number| number.trim().parse().ok()).unwrap_or(0);
            let right = self.passed + self.known;
            assert!(right >= minimum, "{measure}: {right} pass or are known to be wrong, {minimum} did before");
        }
    }
}

/// Prints the table once every measure is there: the tests run in any order, so each calls this at its end.
#[allow(clippy::print_stdout, reason = "a report")]
pub fn print_table_when_complete() {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let done = |measure: &str| lines.iter().any(|line| line.corpus == OWN_CORPUS && line.measure == measure);
    if !MEASURES.iter().all(|(measure, _)| done(measure)) {
        return;
    }
    let mut corpora: Vec<&str> = lines.iter().map(|line| line.corpus.as_str()).collect();
    corpora.sort_unstable();
    corpora.dedup();
    println!(
        "\n{:<24} {:<24} {:>7} {:>7} {:>7} {:>8} {:>7}  met",
        "corpus", "measure", "pass", "of", "known", "%", "bar"
    );
    for corpus in corpora {
        for (measure, bar) in MEASURES {
            for line in lines.iter().filter(|line| line.corpus == corpus && line.measure == measure) {
                println!("{}", shown(line, bar));
            }
        }
    }
}

fn shown(line: &Line, bar: u32) -> String {
    let met = (line.passed + line.known) * 1000 >= line.total * bar as usize;
    let share = 100.0 * as_real(line.passed) / as_real(line.total.max(1));
    format!(
        "{:<24} {:<24} {:>7} {:>7} {:>7} {share:>8.2} {:>7.1}  {}",
        line.corpus,
        line.measure,
        line.passed,
        line.total,
        line.known,
        f64::from(bar) / 10.0,
        if met { "yes" } else { "no" }
    )
}

fn as_real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
