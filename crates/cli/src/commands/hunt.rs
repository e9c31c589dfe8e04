//! `moneta hunt`: matches rules on files, without a server or a store.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use clap::Args;
use moneta_base::{Level, TableName};
use moneta_rules::correlation::Settings;
use moneta_rules::{CompiledRules, Correlator, HuntMatch, finding_line, hunt};
use serde_json::{Value, json};

use crate::commands::rules::{compile, not_loaded_json};
use crate::console::Console;
use crate::decode::{Outcome, Wish, decode_file};
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::{Format, Grid};

/// Matches kept for a timeline at most; further ones are counted and left out, and said to be. NDJSON has no limit.
const TIMELINE_MAX: usize = 1_000_000;

/// Match rules on files, without a server or a store.
#[derive(Debug, Args)]
pub struct Hunt {
    /// Rule files, and directories of them. May be repeated.
    #[arg(long, required = true, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
    /// A TOML file of lists with the values of placeholders.
    #[arg(long, value_name = "FILE")]
    placeholders: Option<PathBuf>,
    /// A TOML file of log sources and field names that adds to the built-in one.
    #[arg(long, value_name = "FILE")]
    taxonomy: Option<PathBuf>,
    /// Files and directories of logs.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// How to print matches. A timeline on a terminal, NDJSON into a pipe.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Leave out rules of a lower level.
    #[arg(long, value_name = "LEVEL", default_value = "informational")]
    level: String,
    /// The format of all files; recognised from content when absent.
    #[arg(long, value_name = "FORMAT")]
    input_format: Option<String>,
    /// Write what loaded, what did not and why, and counts per rule, as JSON to a file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What was found.
#[derive(Default)]
struct Findings {
    matches: Vec<HuntMatch>,
    /// By rule: title, level, author, number of matches.
    by_rule: BTreeMap<String, (String, &'static str, String, u64)>,
    num_matches: u64,
    num_files: u64,
    num_events: u64,
    num_quarantined: u64,
    /// Events that correlations gave up.
    num_forgotten: u64,
    not_recognised: Vec<String>,
}

impl Hunt {
    /// Hunts; negative when nothing matched.
    ///
    /// # Errors
    /// When rules or files cannot be read.
    pub fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let unknown = || Failure::unknown("level", &self.level, Level::ALL.map(Level::name));
        let level_min = Level::parse(&self.level).ok_or_else(unknown)?;
        let compiled = compile(&self.rules, self.placeholders.as_deref(), self.taxonomy.as_deref())?;
        compiled.complain(console);
        console.say(&format!(
            "{} rules loaded, {} not loaded",
            compiled.rules.rules().len(),
            compiled.not_loaded.len()
        ));
        if !compiled.queries.is_empty() {
            console.say(&format!(
                "{} analytics rules are left out: `moneta query --file` asks their queries of files",
                compiled.queries.len()
            ));
        }
        let format = console.format(self.format);
        let rules = Arc::new(compiled.rules);
        let findings = self.search(&rules, level_min, format)?;
        findings.print(format, console)?;
        if let Some(path) = &self.report {
            let not_loaded: Vec<Value> = compiled.not_loaded.iter().map(not_loaded_json).collect();
            let report = findings.report(rules.rules().len(), not_loaded);
            std::fs::write(path, format!("{report:#}\n"))
                .map_err(|error| Failure::io(format!("cannot write {}", path.display()), error))?;
        }
        Ok(Exit::negative_unless(findings.num_matches > 0))
    }

    fn search(&self, rules: &Arc<CompiledRules>, level_min: Level, format: Format) -> Result<Findings, Failure> {
        let wish = Wish::natural().with(self.input_format.as_deref(), None)?;
        let mut findings = Findings::default();
        let mut correlations = Correlations::new(rules);
        let mut out = io::BufWriter::new(io::stdout().lock());
        for input in files::find(&self.paths)? {
            let file = input.path.to_string_lossy().into_owned();
            let mut written = Ok(());
            let outcome = decode_file(&input.path, &wish, |portion| {
                findings.num_quarantined += portion.quarantined.len() as u64;
                written = portion.batches.iter().try_for_each(|batch| {
                    findings.num_events += batch.rows.num_rows() as u64;
                    let mut matches = hunt(rules, &batch.table, &batch.rows, &file);
                    matches.extend(correlations.observe(&batch.table, &batch.rows, &file));
                    let mut wanted = matches.into_iter().filter(|found| Level::parse(found.level) >= Some(level_min));
                    wanted.try_for_each(|found| findings.add(found, format, &mut out))
                });
                written.is_ok()
            })?;
            written?;
            match outcome {
                Outcome::NotRecognised => findings.not_recognised.push(file),
                Outcome::Decoded(_) | Outcome::Stopped => findings.num_files += 1,
            }
        }
        let decided = correlations.finish().into_iter().filter(|found| Level::parse(found.level) >= Some(level_min));
        decided.into_iter().try_for_each(|found| findings.add(found, format, &mut out))?;
        findings.num_forgotten = correlations.correlator.counters().evicted;
        out.flush()?;
        Ok(findings)
    }
}

/// The correlations over all files. Events are numbered per table, in the order of files.
struct Correlations {
    correlator: Correlator,
    next_seq: BTreeMap<TableName, u64>,
}

impl Correlations {
    fn new(rules: &Arc<CompiledRules>) -> Self {
        // Files come in any order: none of their events is late.
        let settings = Settings { lateness_nanos: i64::MAX / 4, ..Settings::default() };
        Self { correlator: Correlator::new(Arc::clone(rules), settings), next_seq: BTreeMap::new() }
    }

    fn observe(&mut self, table: &TableName, rows: &RecordBatch, file: &str) -> Vec<HuntMatch> {
        let rules = Arc::clone(self.correlator.rules());
        if !rules.has_correlations() {
            return Vec::new();
        }
        let next = self.next_seq.entry(table.clone()).or_default();
        let first_seq = std::mem::replace(next, *next + rows.num_rows() as u64);
        let matches = rules.match_batch(table, rows);
        let found = self.correlator.observe(table, rows, first_seq, &matches);
        found.iter().map(|finding| finding_line(&rules, finding, file)).collect()
    }

    /// What can only be said when all events are there.
    fn finish(&mut self) -> Vec<HuntMatch> {
        let rules = Arc::clone(self.correlator.rules());
        self.correlator.finish().iter().map(|finding| finding_line(&rules, finding, "")).collect()
    }
}

impl Findings {
    fn add(&mut self, found: HuntMatch, format: Format, out: &mut dyn Write) -> io::Result<()> {
        self.num_matches += 1;
        let rule = self.by_rule.entry(found.rule_id.clone());
        rule.or_insert_with(|| (found.rule_title.clone(), found.level, found.rule_author.clone(), 0)).3 += 1;
        if format == Format::Ndjson {
            let line = serde_json::to_string(&found).map_err(io::Error::other)?;
            return writeln!(out, "{line}");
        }
        if self.matches.len() < TIMELINE_MAX {
            self.matches.push(found);
        }
        Ok(())
    }

    fn print(&self, format: Format, console: &Console) -> io::Result<()> {
        match format {
            Format::Ndjson => {}
            Format::Table => {
                console.grid(&self.timeline(), format)?;
                console.line("")?;
                console.grid(&self.summary(), format)?;
            }
            Format::Json | Format::Csv => console.grid(&self.timeline(), format)?,
        }
        if self.num_matches > self.matches.len() as u64 && format != Format::Ndjson {
            console.complain(&format!(
                "only the first {TIMELINE_MAX} of {} matches are shown; --format ndjson prints all",
                self.num_matches
            ));
        }
        if self.num_forgotten > 0 {
            console.complain(&format!(
                "correlations forgot {} events because there were too many: their matches may be incomplete; give fewer files at once",
                self.num_forgotten
            ));
        }
        self.not_recognised.iter().for_each(|file| console.say(&format!("not recognised: {file}")));
        console.say(&format!(
            "{} matches of {} rules in {} events of {} files, {} records not readable",
            self.num_matches,
            self.by_rule.len(),
            self.num_events,
            self.num_files,
            self.num_quarantined
        ));
        Ok(())
    }

    /// All matches in order of time.
    fn timeline(&self) -> Grid {
        let mut matches: Vec<&HuntMatch> = self.matches.iter().collect();
        matches.sort_by_key(|found| found.time);
        let columns =
            ["time", "level", "rule_title", "rule_id", "rule_author", "computer", "file", "record_id", "fields"];
        let row = |found: &&HuntMatch| {
            let fields =
                found.fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
            vec![
                json!(found.time.to_string()),
                json!(found.level),
                json!(found.rule_title),
                json!(found.rule_id),
                json!(found.rule_author),
                json!(found.computer),
                json!(found.file),
                json!(found.record_id),
                json!(fields),
            ]
        };
        Grid { columns: columns.map(str::to_owned).to_vec(), rows: matches.iter().map(row).collect() }
    }

    /// One row per rule, the most matches first.
    fn summary(&self) -> Grid {
        let mut rules: Vec<_> = self.by_rule.iter().collect();
        rules.sort_by_key(|(_, (_, _, _, count))| std::cmp::Reverse(*count));
        let row = |(id, (title, level, author, count)): &(&String, &(String, &str, String, u64))| {
            vec![json!(count), json!(level), json!(title), json!(author), json!(id)]
        };
        let columns = ["matches", "level", "rule_title", "rule_author", "rule_id"];
        Grid { columns: columns.map(str::to_owned).to_vec(), rows: rules.iter().map(row).collect() }
    }

    fn report(&self, num_loaded: usize, not_loaded: Vec<Value>) -> Value {
        let rule = |(id, (title, level, _, count)): (&String, &(String, &'static str, String, u64))| json!({ "rule_id": id, "rule_title": title, "level": level, "matches": count });
        json!({
            "rules_loaded": num_loaded,
            "rules_not_loaded": not_loaded,
            "files": self.num_files,
            "files_not_recognised": self.not_recognised,
            "events": self.num_events,
            "quarantined": self.num_quarantined,
            "matches": self.num_matches,
            "rules_matched": self.by_rule.iter().map(rule).collect::<Vec<_>>(),
        })
    }
}
