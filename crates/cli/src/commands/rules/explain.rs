//! `moneta rules explain`: why a rule matches an event of a file, or a stored one, or does not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use clap::Args;
use moneta_base::{RuleId, TableName};
use moneta_event::TableSchema;
use moneta_rules::analytics::{AnalyticsRule, arrived};
use moneta_rules::correlation::Settings;
use moneta_rules::hunt::event_time;
use moneta_rules::{CompiledRules, Correlator, Explanation};
use moneta_server::RuleTrial;
use serde_json::json;

use super::{compile, to_value};
use crate::console::Console;
use crate::decode::{Outcome, Wish, decode_file};
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::target::{Target, local_context};

/// Say why a rule matches an event of a file, or does not.
#[derive(Debug, Args)]
pub struct Explain {
    /// A file of events in any format that `moneta ingest` reads, or a stored event as TABLE:SEQ, such as Syslog:17.
    #[arg(value_name = "EVENTS")]
    events: PathBuf,
    /// The id of the rule, or the path of its file where that holds one rule; of a stored event, the id of an active rule.
    /// A rule over several events is asked about all of the file.
    #[arg(value_name = "RULE")]
    rule: String,
    /// Rule files, and directories of them, where RULE is an id. May be repeated.
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
    /// A TOML file of lists with the values of placeholders.
    #[arg(long, value_name = "FILE")]
    placeholders: Option<PathBuf>,
    /// A TOML file of log sources and field names that adds to the built-in one.
    #[arg(long, value_name = "FILE")]
    taxonomy: Option<PathBuf>,
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
    pub async fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let (rules, id) = match self.rule(console)? {
            Asked::Sigma(rules, id) if rules.span_nanos(&id).is_some() => {
                return self.run_correlation(*rules, &id, console);
            }
            Asked::Sigma(rules, id) => (rules, id),
            Asked::Query(rule) => return self.run_query(&rule, console).await,
        };
        let (table, explanation) = self.explain(&rules, &id)?;
        if console.json {
            console.value(&json!({ "table": table, "explanation": explanation }))?;
        } else {
            explanation.lines(&table).iter().try_for_each(|line| console.line(&visible(line)))?;
        }
        Ok(Exit::negative_unless(explanation.holds))
    }

    /// Table and sequence of a stored event; `None` where the events are a file.
    pub fn stored(&self) -> Option<(TableName, u64)> {
        if self.events.exists() {
            return None;
        }
        let (table, seq) = self.events.to_str()?.rsplit_once(':')?;
        Some((TableName::new(table).ok()?, seq.parse().ok()?))
    }

    /// Explains a stored event; negative when the rule does not match.
    ///
    /// # Errors
    /// When the rule is not active, or the event is not stored.
    pub async fn run_stored(&self, target: &Target, console: &Console) -> Result<Exit, Failure> {
        let Some((table, seq)) = self.stored() else { return self.run(console).await };
        let why = match target {
            Target::Server(client) => {
                let path = format!("v1/rules/{}/explain", self.rule);
                client.post(&path, &json!({ "table": table.to_string(), "seq": seq })).await?
            }
            Target::Directory(node) => {
                let why = node.rules().explain(&local_context(), &self.rule, table.clone(), seq).await?;
                to_value(&why.ok_or_else(|| Failure::usage(format!("{table} has no row {seq}")))?)?
            }
        };
        if console.json {
            console.value(&json!({ "table": table.to_string(), "explanation": why["explanation"] }))?;
        } else {
            for line in why["lines"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str) {
                console.line(&visible(line))?;
            }
        }
        Ok(Exit::negative_unless(why["holds"] == true))
    }

    /// The rule that is asked about.
    fn rule(&self, console: &Console) -> Result<Asked, Failure> {
        let mut paths = self.rules.clone();
        let path = PathBuf::from(&self.rule);
        let is_path = path.is_file();
        paths.extend(is_path.then(|| path.clone()));
        if paths.is_empty() {
            return Err(Failure::usage(format!("there is no rule file {}", self.rule))
                .advise("name the file of the rule, or its id and --rules with where it is"));
        }
        let compiled = compile(&paths, self.placeholders.as_deref(), self.taxonomy.as_deref())?;
        compiled.complain(console);
        let name = path.to_string_lossy();
        let is_meant = |id: &RuleId, file: &str| if is_path { *file == *name } else { id.as_str() == self.rule };
        let sigma = compiled.rules.rules().iter().map(|rule| (&rule.metadata.id, &*rule.file));
        let queries = compiled.queries.iter().map(|rule| (&rule.metadata.id, rule.file.as_str()));
        let ids: Vec<RuleId> =
            sigma.chain(queries).filter(|(id, file)| is_meant(id, file)).map(|(id, _)| id.clone()).collect();
        let id = match ids.as_slice() {
            [id] => id.clone(),
            [] if is_path => return Err(Failure::usage(format!("no rule of {name} was loaded"))),
            [] => return Err(Failure::usage(format!("no rule with the id {} was loaded", self.rule))),
            [id, ..] if !is_path => id.clone(),
            several => {
                let list: Vec<String> = several.iter().map(ToString::to_string).collect();
                return Err(Failure::usage(format!("{name} holds {} rules", several.len()))
                    .advise(format!("name one by its id and the file with --rules: {}", list.join(", "))));
            }
        };
        Ok(match compiled.queries.into_iter().find(|rule| rule.metadata.id == id) {
            Some(rule) => Asked::Query(Box::new(rule)),
            None => Asked::Sigma(Box::new(compiled.rules), id),
        })
    }

    /// Explains what a correlation makes of an event, among all events of the file: their numbers there are their sequences.
    fn run_correlation(&self, rules: CompiledRules, id: &RuleId, console: &Console) -> Result<Exit, Failure> {
        let wish = Wish::natural().with(self.input_format.as_deref(), self.table.as_deref())?;
        let rules = Arc::new(rules);
        // Events of a file come in any order: none of them is late.
        let settings = Settings { lateness_nanos: i64::MAX / 4, ..Settings::default() };
        let mut correlator = Correlator::new(Arc::clone(&rules), settings);
        let (mut before, mut asked) = (0, None);
        let outcome = decode_file(&self.events, &wish, |portion| {
            for batch in portion.batches {
                let matches = rules.match_batch(&batch.table, &batch.rows);
                correlator.observe(&batch.table, &batch.rows, before as u64 + 1, &matches);
                if let Some(row) = self.number.checked_sub(before + 1).filter(|row| *row < batch.rows.num_rows()) {
                    asked = Some((batch.table.clone(), batch.rows.slice(row, 1)));
                }
                before += batch.rows.num_rows();
            }
            true
        })?;
        if outcome == Outcome::NotRecognised {
            return Err(self.not_recognised());
        }
        correlator.finish();
        let (table, row) = asked.ok_or_else(|| self.no_such_event(before))?;
        let seq = self.number as u64;
        let why = correlator.explain(id, (&table, seq), (&row, 0));
        let why = why.ok_or_else(|| Failure::usage(format!("no rule with the id {id} was loaded")))?;
        if console.json {
            console.value(&json!({ "table": table.to_string(), "explanation": why.to_json() }))?;
        } else {
            why.lines(table.as_str(), seq).iter().try_for_each(|line| console.line(&visible(line)))?;
        }
        Ok(Exit::negative_unless(why.holds))
    }

    /// Explains what an analytics rule makes of an event, among all events of the file.
    async fn run_query(&self, rule: &AnalyticsRule, console: &Console) -> Result<Exit, Failure> {
        let wish = Wish::natural().with(self.input_format.as_deref(), self.table.as_deref())?;
        let mut tables: BTreeMap<TableName, (Arc<TableSchema>, Vec<RecordBatch>)> = BTreeMap::new();
        let (mut before, mut asked) = (0, None);
        let outcome = decode_file(&self.events, &wish, |portion| {
            for batch in portion.batches {
                let rows = arrived(&batch.rows, &batch.table, before as u64);
                if let Some(row) = self.number.checked_sub(before + 1).filter(|row| *row < rows.num_rows()) {
                    asked = Some((batch.table.clone(), (before + row) as u64, event_time(&rows, row)));
                }
                before += rows.num_rows();
                let schema = wish.catalog.get(batch.table.as_str()).cloned();
                let schema = schema.unwrap_or_else(|| Arc::new(TableSchema::custom(batch.table.clone())));
                tables.entry(batch.table).or_insert_with(|| (schema, Vec::new())).1.push(rows);
            }
            true
        })?;
        if outcome == Outcome::NotRecognised {
            return Err(self.not_recognised());
        }
        let (table, seq, time) = asked.ok_or_else(|| self.no_such_event(before))?;
        let trial = RuleTrial::new(&wish.catalog);
        let why = trial.explain(rule, tables.into_values().collect(), (&table, seq, time)).await?;
        if console.json {
            console.value(&json!({ "table": table.to_string(), "explanation": why.explanation }))?;
        } else {
            why.lines.iter().try_for_each(|line| console.line(&visible(line)))?;
        }
        Ok(Exit::negative_unless(why.holds))
    }

    fn not_recognised(&self) -> Failure {
        Failure::usage(format!("the format of {} is not recognised", self.events.display()))
            .advise("name it with --input-format")
    }

    fn no_such_event(&self, num_events: usize) -> Failure {
        Failure::usage(format!("{} has no event {}; it has {num_events}", self.events.display(), self.number))
            .advise("events count from 1")
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
            return Err(self.not_recognised());
        }
        found.ok_or_else(|| self.no_such_event(before))
    }
}

/// A rule of files.
enum Asked {
    Sigma(Box<CompiledRules>, RuleId),
    Query(Box<AnalyticsRule>),
}
