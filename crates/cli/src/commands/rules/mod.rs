//! `moneta rules`: adds, lists, removes, checks, tests and explains detection rules, and matches them against history.

mod backfill;
mod except;
mod explain;
mod offline;
mod pack;
mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Subcommand;
use moneta_ports::RuleFile;
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::target::{Missing, Target, local_context};

use backfill::Backfill;
use except::Except;
use explain::Explain;
use offline::{Sources, failed_test, read, warn};
pub use offline::{compile, not_loaded_json, place_of};
use pack::Pack;

/// Add, list, disable, remove, check, test or explain detection rules, or match them against history.
#[derive(Debug, Subcommand)]
pub enum Rules {
    /// Add rules, or replace those with the same id.
    Add {
        /// Rule files, directories of them, and signed packs (*.pack).
        #[arg(required_unless_present = "starter", value_name = "FILE|DIR|PACK")]
        paths: Vec<PathBuf>,
        /// The rules that come with this program, too.
        #[arg(long)]
        starter: bool,
    },
    /// Make a signed pack of the rule files in a directory.
    Pack(Pack),
    /// List the rules, with what people made of their alerts.
    List,
    /// Show a rule as it was handed in, and what people made of its alerts: how often, how precise, how soon.
    Show {
        /// Its id.
        #[arg(value_name = "ID")]
        rule_id: String,
    },
    /// Remove a rule.
    Remove {
        /// Its id.
        #[arg(value_name = "ID")]
        rule_id: String,
    },
    /// Keep a rule without running it.
    Disable {
        /// Its id.
        #[arg(value_name = "ID")]
        rule_id: String,
    },
    /// Run a rule that was disabled.
    Enable {
        /// Its id.
        #[arg(value_name = "ID")]
        rule_id: String,
    },
    /// Run the tests that stand beside rules.
    Test(Sources),
    /// Say which rules would load, without adding any.
    Check(Sources),
    /// Say what is probably wrong with rules: unknown fields, values that never match, parts that do nothing.
    Lint {
        #[command(flatten)]
        sources: Sources,
        /// Say too what could be better: references, techniques, tests.
        #[arg(long)]
        notes: bool,
    },
    /// Say why a rule matches an event of a file, or does not.
    Explain(Explain),
    /// Print the techniques of MITRE ATT&CK that rules look for, as a layer of the ATT&CK Navigator.
    Coverage {
        #[command(flatten)]
        sources: Sources,
        /// The layer's name.
        #[arg(long, default_value = "Moneta", value_name = "NAME")]
        name: String,
        /// Where to write the layer; standard output when absent.
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Match active rules against what is stored. Raises no alert.
    Backfill(Backfill),
    /// Except known events of a rule until a day, or see what that would take away.
    Except(Except),
    /// List the exceptions, those that have ended too.
    Exceptions,
    /// End an exception before its time.
    EndException {
        /// Its id.
        #[arg(value_name = "EXCEPTION")]
        id: String,
    },
}

impl Rules {
    /// Does it; negative when a rule does not load.
    ///
    /// # Errors
    /// When files or rules cannot be read or changed.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        match self {
            Self::Check(sources) => return offline::check(sources, console).await,
            Self::Test(sources) => return offline::test(sources, console).await,
            Self::Lint { sources, notes } => return offline::lint(sources, *notes, console).await,
            Self::Explain(explain) if explain.stored().is_none() => return explain.run(console).await,
            Self::Pack(pack) => return pack.run(console),
            Self::Coverage { sources, name, out } => return offline::coverage(sources, name, out.as_deref(), console),
            _ => {}
        }
        let target =
            Target::open(global, if matches!(self, Self::Add { .. }) { Missing::Create } else { Missing::Refuse })
                .await?;
        let outcome = match self {
            Self::Add { paths, starter } => add(&target, paths, *starter, console).await,
            Self::List => show::list(&target, console).await,
            Self::Show { rule_id } => show::show(&target, rule_id, console).await,
            Self::Remove { rule_id } => remove(&target, rule_id, console).await,
            Self::Disable { rule_id } => set_enabled(&target, rule_id, false, console).await,
            Self::Enable { rule_id } => set_enabled(&target, rule_id, true, console).await,
            Self::Backfill(backfill) => backfill.run(&target, console).await,
            Self::Explain(explain) => explain.run_stored(&target, console).await,
            Self::Except(except) => except.run(&target, console).await,
            Self::Exceptions => except::list(&target, console).await,
            Self::EndException { id } => except::end(&target, id, console).await,
            _ => Ok(Exit::Success),
        };
        let closed = target.close().await;
        let exit = outcome?;
        closed.map(|()| exit)
    }
}

async fn add(target: &Target, paths: &[PathBuf], starter: bool, console: &Console) -> Result<Exit, Failure> {
    let (packs, paths): (Vec<PathBuf>, Vec<PathBuf>) = paths.iter().cloned().partition(|path| pack::is_pack(path));
    let mut all_load = true;
    let mut files = if paths.is_empty() { Vec::new() } else { read(&paths)? };
    if starter {
        files.extend(
            moneta_rules::starter::FILES
                .iter()
                .map(|(name, text)| RuleFile { name: format!("starter/{name}"), text: (*text).to_owned() }),
        );
    }
    if !files.is_empty() {
        let texts = texts_of(&files);
        all_load &= report_added(&add_files(target, files).await?, &texts, console)?;
    }
    for path in &packs {
        all_load &= report_added(&pack::add(target, path).await?, &BTreeMap::new(), console)?;
    }
    Ok(Exit::negative_unless(all_load))
}

/// The texts of files by their names, for who shows a place in them.
pub fn texts_of(files: &[RuleFile]) -> BTreeMap<String, String> {
    files.iter().map(|file| (file.name.clone(), file.text.clone())).collect()
}

/// Adds rules, or replaces those with the same ids; what became of them.
///
/// # Errors
/// When they cannot be changed.
pub async fn add_files(target: &Target, files: Vec<RuleFile>) -> Result<Value, Failure> {
    match target {
        Target::Server(client) => {
            let files: Vec<Value> =
                files.into_iter().map(|file| json!({ "name": file.name, "text": file.text })).collect();
            client.post("v1/rules", &json!({ "files": files })).await
        }
        Target::Directory(node) => to_value(&node.rules().add(&local_context(), files).await?),
    }
}

/// Says what became of rules; whether all load, and all tests beside them hold.
fn report_added(report: &Value, texts: &BTreeMap<String, String>, console: &Console) -> Result<bool, Failure> {
    let num_not_loaded = report["not_loaded"].as_array().map_or(0, Vec::len);
    let is_good = num_not_loaded == 0 && report["failed_tests"].as_array().is_none_or(Vec::is_empty);
    if console.json {
        console.value(report)?;
    } else {
        complain(report, texts, console);
        let (loaded, unchanged) = (&report["loaded"], &report["unchanged"]);
        console.line(&format!("{loaded} rules loaded, {unchanged} unchanged, {num_not_loaded} not loaded"))?;
        let left: Vec<&str> = report["left"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !left.is_empty() {
            let ids = visible(&left.join(", "));
            console.say(&format!("rules of earlier versions of the pack that are not in this one stay: {ids}"));
        }
    }
    Ok(is_good)
}

/// Names rules that do not load, with their places in the texts of their files, and tests beside rules that fail; whether
/// there are any.
pub fn complain(report: &Value, texts: &BTreeMap<String, String>, console: &Console) -> bool {
    let list = |member: &str| report[member].as_array().cloned().unwrap_or_default();
    let (not_loaded, failed_tests) = (list("not_loaded"), list("failed_tests"));
    for rule in &not_loaded {
        let text = |member: &str| visible(rule[member].as_str().unwrap_or_default());
        console.complain(&format!("not loaded: {} ({}): {}", text("file"), text("title"), text("problem")));
        let line = rule["line"].as_u64().and_then(|line| usize::try_from(line).ok());
        let place = place_of(texts, rule["file"].as_str().unwrap_or_default(), line);
        place.iter().for_each(|line| console.complain(line));
    }
    for one in &failed_tests {
        let text = |member: &str| one[member].as_str().unwrap_or_default();
        let told = failed_test(text("title"), text("test"), one["expected"] == true);
        console.complain(&visible(&format!("loaded, but its test fails: {told}")));
    }
    warn(&list("warnings"), console);
    !(not_loaded.is_empty() && failed_tests.is_empty())
}

async fn remove(target: &Target, rule_id: &str, console: &Console) -> Result<Exit, Failure> {
    match target {
        Target::Server(client) => client.delete(&format!("v1/rules/{rule_id}")).await?,
        Target::Directory(node) => node.rules().remove(&local_context(), rule_id).await?,
    }
    console.say(&format!("removed {}", visible(rule_id)));
    Ok(Exit::Success)
}

async fn set_enabled(target: &Target, rule_id: &str, enabled: bool, console: &Console) -> Result<Exit, Failure> {
    let (door, done) = if enabled { ("enable", "enabled") } else { ("disable", "disabled") };
    match target {
        Target::Server(client) => _ = client.post(&format!("v1/rules/{rule_id}/{door}"), &json!({})).await?,
        Target::Directory(node) => node.rules().set_enabled(&local_context(), rule_id, enabled).await?,
    }
    console.say(&format!("{done} {}", visible(rule_id)));
    Ok(Exit::Success)
}

/// A value as JSON.
///
/// # Errors
/// Never for the types of this program.
pub fn to_value(value: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value)
        .map_err(|error| Failure::new(Exit::Internal, "cannot be written as JSON").caused_by(&error))
}
