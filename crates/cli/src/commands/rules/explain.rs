//! `moneta rules explain`: why a rule matches an event of a file, or does not.

use std::path::PathBuf;

use clap::Args;
use moneta_base::RuleId;
use moneta_rules::{CompiledRules, Explanation};
use serde_json::json;

use super::compile;
use crate::console::Console;
use crate::decode::{Outcome, Wish, decode_file};
use crate::failure::{Exit, Failure};
use crate::output::visible;

/// Say why a rule matches an event of a file, or does not.
#[derive(Debug, Args)]
pub struct Explain {
    /// A file of events in any format that `moneta ingest` reads.
    #[arg(value_name = "EVENTS")]
    events: PathBuf,
    /// The id of the rule, or the path of its file where that holds one rule.
    #[arg(value_name = "RULE")]
    rule: String,
    /// Rule files, and directories of them, where RULE is an id. May be repeated.
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
    /// A TOML file of lists with the values of placeholders.
    #[arg(long, value_name = "FILE")]
    placeholders: Option<PathBuf>,
    /// Which event of the file, from 1.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    number: usize,
    /// The format of the file; recognised from content when absent.
    #[arg(long, value_name = "FORMAT")]
    input_format: Option<String>,
    /// The table of the events; recognised from content when absent.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
}

impl Explain {
    /// Explains; negative when the rule does not match.
    ///
    /// # Errors
    /// When files cannot be read, or there is no such rule or event.
    pub fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let (rules, id) = self.rule(console)?;
        let (table, explanation) = self.explain(&rules, &id)?;
        if console.json {
            console.value(&json!({ "table": table, "explanation": explanation }))?;
        } else {
            print(&table, &explanation, console)?;
        }
        Ok(Exit::negative_unless(explanation.holds))
    }

    /// The rules, and the id of the one that is asked about.
    fn rule(&self, console: &Console) -> Result<(CompiledRules, RuleId), Failure> {
        let mut paths = self.rules.clone();
        let path = PathBuf::from(&self.rule);
        let is_path = path.is_file();
        paths.extend(is_path.then(|| path.clone()));
        if paths.is_empty() {
            return Err(Failure::usage(format!("there is no rule file {}", self.rule))
                .advise("name the file of the rule, or its id and --rules with where it is"));
        }
        let compiled = compile(&paths, self.placeholders.as_deref())?;
        compiled.complain(console);
        let rules = compiled.rules;
        if !is_path {
            let id = RuleId::new(&self.rule);
            if !rules.rules().iter().any(|rule| rule.metadata.id == id) {
                return Err(Failure::usage(format!("no rule with the id {} was loaded", self.rule)));
            }
            return Ok((rules, id));
        }
        let name = path.to_string_lossy();
        let ids: Vec<RuleId> =
            rules.rules().iter().filter(|rule| *rule.file == *name).map(|rule| rule.metadata.id.clone()).collect();
        match ids.as_slice() {
            [id] => Ok((rules, id.clone())),
            [] => Err(Failure::usage(format!("no rule of {name} was loaded"))),
            several => {
                let list: Vec<String> = several.iter().map(ToString::to_string).collect();
                Err(Failure::usage(format!("{name} holds {} rules", several.len()))
                    .advise(format!("name one by its id and the file with --rules: {}", list.join(", "))))
            }
        }
    }

    /// The table of the event, and why the rule holds there or not.
    fn explain(&self, rules: &CompiledRules, id: &RuleId) -> Result<(String, Explanation), Failure> {
        let wish = Wish::natural().with(self.input_format.as_deref(), self.table.as_deref())?;
        let mut before = 0;
        let mut found = None;
        let outcome = decode_file(&self.events, &wish, |portion| {
            for batch in &portion.batches {
                let rows = batch.rows.num_rows();
                let row = self.number.checked_sub(before + 1).filter(|row| *row < rows);
                if let Some(row) = row.and_then(|row| u32::try_from(row).ok()) {
                    let explainer = rules.explainer(&batch.table, &batch.rows);
                    found = explainer.why(id, row).map(|why| (batch.table.to_string(), why));
                }
                before += rows;
            }
            found.is_none()
        })?;
        if outcome == Outcome::NotRecognised {
            return Err(Failure::usage(format!("the format of {} is not recognised", self.events.display()))
                .advise("name it with --input-format"));
        }
        let missing = || {
            Failure::usage(format!("{} has no event {}; it has {before}", self.events.display(), self.number))
                .advise("events count from 1")
        };
        found.ok_or_else(missing)
    }
}

fn print(table: &str, explanation: &Explanation, console: &Console) -> Result<(), Failure> {
    let verb = if explanation.holds { "matches" } else { "does not match" };
    console.line(&visible(&format!("{} ({}) {verb} the event in {table}", explanation.title, explanation.rule_id)))?;
    if !explanation.never.is_empty() {
        console.line(&visible(&explanation.never))?;
    }
    for place in &explanation.places {
        console.line("log source")?;
        for line in place.source.iter().flat_map(|step| step.lines(1)) {
            console.line(&visible(&line))?;
        }
        console.line(&visible(&format!("condition: {}", place.condition)))?;
        for (name, step) in &place.searches {
            console.line(&visible(&format!("{} {name}", if step.holds() { '+' } else { '-' })))?;
            for line in step.lines(1) {
                console.line(&visible(&line))?;
            }
        }
    }
    Ok(())
}
