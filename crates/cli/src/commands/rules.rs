//! `moneta rules`: adds, lists, removes, checks and tests detection rules.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use moneta_event::TableCatalog;
use moneta_ports::RuleFile;
use moneta_rules::{CompiledRules, NotLoaded, Taxonomy, parse_file, rule_tests};
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::{Grid, visible};
use crate::target::{Missing, Target, local_context};

/// Endings of rule files within directories.
const RULE_ENDINGS: [&str; 2] = ["yml", "yaml"];

/// Add, list, remove, check or test detection rules.
#[derive(Debug, Subcommand)]
pub enum Rules {
    /// Add rules, or replace those with the same id.
    Add {
        /// Rule files, and directories of them.
        #[arg(required = true, value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
    },
    /// List the active rules.
    List,
    /// Remove a rule.
    Remove {
        /// Its id.
        #[arg(value_name = "ID")]
        rule_id: String,
    },
    /// Run the tests that stand beside rules.
    Test {
        /// Rule files, and directories of them.
        #[arg(required = true, value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
    },
    /// Say which rules would load, without adding any.
    Check {
        /// Rule files, and directories of them.
        #[arg(required = true, value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
    },
}

impl Rules {
    /// Does it; negative when a rule does not load.
    ///
    /// # Errors
    /// When files or rules cannot be read or changed.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        match self {
            Self::Check { paths } => return check(paths, console),
            Self::Test { paths } => return test(paths, console),
            _ => {}
        }
        let target =
            Target::open(global, if matches!(self, Self::Add { .. }) { Missing::Create } else { Missing::Refuse })
                .await?;
        let outcome = match self {
            Self::Add { paths } => add(&target, paths, console).await,
            Self::List => list(&target, console).await,
            Self::Remove { rule_id } => remove(&target, rule_id, console).await,
            Self::Check { .. } | Self::Test { .. } => Ok(Exit::Success),
        };
        let closed = target.close().await;
        let exit = outcome?;
        closed.map(|()| exit)
    }
}

async fn add(target: &Target, paths: &[PathBuf], console: &Console) -> Result<Exit, Failure> {
    let files = read(paths)?;
    let report = match target {
        Target::Server(client) => {
            let files: Vec<Value> =
                files.into_iter().map(|file| json!({ "name": file.name, "text": file.text })).collect();
            client.post("v1/rules", &json!({ "files": files })).await?
        }
        Target::Directory(node) => to_value(&node.rules().add(&local_context(), files).await?)?,
    };
    let not_loaded = report["not_loaded"].as_array().cloned().unwrap_or_default();
    if console.json {
        console.value(&report)?;
    } else {
        for rule in &not_loaded {
            let text = |member: &str| visible(rule[member].as_str().unwrap_or_default());
            console.complain(&format!("not loaded: {} ({}): {}", text("file"), text("title"), text("problem")));
        }
        console.line(&format!(
            "{} rules loaded, {} unchanged, {} not loaded",
            report["loaded"],
            report["unchanged"],
            not_loaded.len()
        ))?;
    }
    Ok(Exit::negative_unless(not_loaded.is_empty()))
}

async fn list(target: &Target, console: &Console) -> Result<Exit, Failure> {
    let rules = match target {
        Target::Server(client) => client.get("v1/rules").await?["rules"].take(),
        Target::Directory(node) => to_value(&node.rules().list())?,
    };
    let columns = ["rule_id", "title", "level", "log_source", "author"];
    let row = |rule: &Value| columns.iter().map(|column| rule[*column].clone()).collect();
    let rows = rules.as_array().into_iter().flatten().map(row).collect();
    console.grid(&Grid { columns: columns.map(str::to_owned).to_vec(), rows }, console.format(None))?;
    Ok(Exit::Success)
}

async fn remove(target: &Target, rule_id: &str, console: &Console) -> Result<Exit, Failure> {
    match target {
        Target::Server(client) => client.delete(&format!("v1/rules/{rule_id}")).await?,
        Target::Directory(node) => node.rules().remove(&local_context(), rule_id).await?,
    }
    console.say(&format!("removed {}", visible(rule_id)));
    Ok(Exit::Success)
}

fn check(paths: &[PathBuf], console: &Console) -> Result<Exit, Failure> {
    let compiled = compile(paths)?;
    if console.json {
        let not_loaded: Vec<Value> = compiled.not_loaded.iter().map(not_loaded_json).collect();
        console.value(&json!({ "loaded": compiled.rules.rules().len(), "not_loaded": not_loaded }))?;
    } else {
        compiled.complain(console);
        console.line(&format!(
            "{} rules would load, {} would not",
            compiled.rules.rules().len(),
            compiled.not_loaded.len()
        ))?;
    }
    Ok(Exit::negative_unless(compiled.not_loaded.is_empty()))
}

fn test(paths: &[PathBuf], console: &Console) -> Result<Exit, Failure> {
    let compiled = compile(paths)?;
    compiled.complain(console);
    let tests: usize = compiled.rules.rules().iter().map(|rule| rule.tests.len()).sum();
    let rules = Arc::new(compiled.rules);
    let failures = rule_tests::run(&rules, &TableCatalog::built_in());
    if console.json {
        let failed: Vec<Value> = failures
            .iter()
            .map(|f| json!({ "rule_id": f.rule_id, "title": f.title, "test": f.test, "expected": f.expected }))
            .collect();
        console.value(&json!({ "tests": tests, "failed": failed }))?;
    } else {
        for failure in &failures {
            let outcome = if failure.expected { "should match and does not" } else { "should not match and does" };
            console.complain(&visible(&format!("{}: {}: {outcome}", failure.title, failure.test)));
        }
        console.line(&format!("{tests} tests, {} failed", failures.len()))?;
    }
    Ok(Exit::negative_unless(failures.is_empty() && compiled.not_loaded.is_empty()))
}

/// Rules ready to match, and those that are not.
pub struct Compiled {
    /// The rules.
    pub rules: CompiledRules,
    /// What cannot run, with the reason.
    pub not_loaded: Vec<NotLoaded>,
}

impl Compiled {
    /// Names every rule that cannot run.
    pub fn complain(&self, console: &Console) {
        for rule in &self.not_loaded {
            console.say(&visible(&format!("not loaded: {} ({}): {}", rule.file, rule.title, rule.error)));
        }
    }
}

/// Reads and compiles rules without a store.
///
/// # Errors
/// When a file cannot be read.
pub fn compile(paths: &[PathBuf]) -> Result<Compiled, Failure> {
    let (mut rules, mut not_loaded) = (Vec::new(), Vec::new());
    for file in read(paths)? {
        let parsed = parse_file(&file.name, &file.text);
        rules.extend(parsed.rules);
        not_loaded.extend(parsed.not_loaded);
    }
    let catalog = Arc::new(TableCatalog::built_in());
    let (rules, refused) = CompiledRules::compile(rules, &Taxonomy::built_in(), &catalog);
    not_loaded.extend(refused);
    Ok(Compiled { rules, not_loaded })
}

/// A rule that cannot run, for programs.
#[must_use]
pub fn not_loaded_json(rule: &NotLoaded) -> Value {
    json!({ "file": rule.file, "rule_id": rule.rule_id, "title": rule.title, "problem": rule.error.to_string() })
}

/// Rule files: those named, and those in directories that end like one.
fn read(paths: &[PathBuf]) -> Result<Vec<RuleFile>, Failure> {
    let is_rule = |input: &files::Input| {
        let ending = input.path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        input.named || RULE_ENDINGS.contains(&ending)
    };
    let found: Vec<_> = files::find(paths)?.into_iter().filter(is_rule).collect();
    if found.is_empty() {
        return Err(Failure::usage("there are no rule files").advise("name files, or directories with *.yml or *.yaml"));
    }
    let read_one = |input: files::Input| {
        let bytes = std::fs::read(&input.path).map_err(|error| files::unreadable(&input.path, error))?;
        // What is not UTF-8 is refused by the parser, which names the file.
        Ok(RuleFile {
            name: input.path.to_string_lossy().into_owned(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        })
    };
    found.into_iter().map(read_one).collect()
}

/// A value as JSON.
///
/// # Errors
/// Never for the types of this program.
pub fn to_value(value: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value)
        .map_err(|error| Failure::new(Exit::Internal, "cannot be written as JSON").caused_by(&error))
}
