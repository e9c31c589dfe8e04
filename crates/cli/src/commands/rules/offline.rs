//! What can be said of rule files without a store: whether they load, pass their tests, are well made, what they cover.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use moneta_event::TableCatalog;
use moneta_kql::{line_span, render_place};
use moneta_ports::RuleFile;
use moneta_rules::analytics::{self, AnalyticsRule};
use moneta_rules::coverage::navigator_layer;
use moneta_rules::lint::{self, Severity};
use moneta_rules::{CompiledRules, NotLoaded, Placeholders, Taxonomy, parse_file_with, rule_tests};
use moneta_server::RuleTrial;
use serde_json::{Value, json};

use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::visible;

/// Endings of rule files within directories.
const RULE_ENDINGS: [&str; 2] = ["yml", "yaml"];

/// Rule files and what they need.
#[derive(Debug, Args)]
pub struct Sources {
    /// Rule files, and directories of them.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
    /// A TOML file of lists with the values of placeholders.
    #[arg(long, value_name = "FILE")]
    pub placeholders: Option<PathBuf>,
    /// A TOML file of log sources and field names that adds to the built-in one.
    #[arg(long, value_name = "FILE")]
    pub taxonomy: Option<PathBuf>,
}

impl Sources {
    fn compile(&self) -> Result<Compiled, Failure> {
        compile(&self.paths, self.placeholders.as_deref(), self.taxonomy.as_deref())
    }
}

/// Says what is probably wrong with rules; negative when something is.
///
/// # Errors
/// When files cannot be read.
pub async fn lint(sources: &Sources, notes: bool, console: &Console) -> Result<Exit, Failure> {
    let compiled = sources.compile()?;
    let catalog = TableCatalog::built_in();
    let mut found = lint::lint(&compiled.rules, &compiled.taxonomy, &catalog);
    found.extend(RuleTrial::new(&catalog).lint(&compiled.queries).await?);
    found.sort();
    found.retain(|diagnosis| notes || diagnosis.is_about_matching());
    if console.json {
        let not_loaded: Vec<Value> = compiled.not_loaded.iter().map(not_loaded_json).collect();
        console.value(&json!({ "diagnoses": found, "not_loaded": not_loaded }))?;
    } else {
        compiled.complain(console);
        for diagnosis in &found {
            let word = if diagnosis.severity == Severity::Warning { "warning" } else { "note" };
            let place = format!("{}:{}", diagnosis.file, diagnosis.line);
            let said = format!("{word}[{}]: {}: {}", diagnosis.code, diagnosis.title, diagnosis.message);
            console.line(&visible(&format!("{place}: {said}")))?;
        }
        let warnings = found.iter().filter(|diagnosis| diagnosis.severity == Severity::Warning).count();
        console.say(&format!("{warnings} warnings, {} notes", found.len() - warnings));
    }
    let good = found.iter().all(|diagnosis| diagnosis.severity == Severity::Note) && compiled.not_loaded.is_empty();
    Ok(Exit::negative_unless(good))
}

/// Prints the techniques of ATT&CK that rules are tagged with, as a layer of the Navigator.
///
/// # Errors
/// When files cannot be read, or the layer cannot be written.
pub fn coverage(sources: &Sources, name: &str, out: Option<&Path>, console: &Console) -> Result<Exit, Failure> {
    let compiled = sources.compile()?;
    compiled.complain(console);
    let layer = navigator_layer(&compiled.rules, &compiled.queries, name);
    match out {
        None => console.line(&format!("{layer:#}"))?,
        Some(path) => std::fs::write(path, format!("{layer:#}\n"))
            .map_err(|error| Failure::io(format!("cannot write {}", path.display()), error))?,
    }
    let techniques = layer["techniques"].as_array().map_or(0, Vec::len);
    console.say(&format!("{techniques} techniques; open the layer in the ATT&CK Navigator"));
    Ok(Exit::Success)
}

/// Says which rules would load, and what keeps those that would from finding what they look for.
pub async fn check(sources: &Sources, console: &Console) -> Result<Exit, Failure> {
    let compiled = sources.compile()?;
    let loaded = compiled.rules.rules().len() + compiled.queries.len();
    let catalog = TableCatalog::built_in();
    let mut warnings = lint::warnings(&compiled.rules, &compiled.taxonomy, &catalog, |_| true);
    warnings.extend(RuleTrial::new(&catalog).warnings(&compiled.queries).await?);
    let warnings: Vec<Value> = warnings.iter().map(|one| json!(one)).collect();
    if console.json {
        let not_loaded: Vec<Value> = compiled.not_loaded.iter().map(not_loaded_json).collect();
        console.value(&json!({ "loaded": loaded, "not_loaded": not_loaded, "warnings": warnings }))?;
    } else {
        compiled.complain(console);
        warn(&warnings, console);
        console.line(&format!("{loaded} rules would load, {} would not", compiled.not_loaded.len()))?;
    }
    Ok(Exit::negative_unless(compiled.not_loaded.is_empty()))
}

/// Names what keeps rules that load from finding what they look for; what is said of several rules alike, once.
pub fn warn(warnings: &[Value], console: &Console) {
    let mut alike: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for one in warnings {
        let text = |member: &str| one[member].as_str().unwrap_or_default();
        let place = match text("file") {
            "" => format!("{} ({})", text("rule_id"), text("title")),
            file => format!("{file}:{} ({})", one["line"], text("title")),
        };
        alike.entry((text("code"), text("message"))).or_default().push(place);
    }
    for ((code, message), places) in alike {
        let verb = if code == "not_running" { "after this," } else { "loaded, but" };
        let more = if places.len() > 1 { format!(" and {} more", places.len() - 1) } else { String::new() };
        console.complain(&visible(&format!("{verb} {code}: {}{more}: {message}", places[0])));
    }
}

/// What a test that fails is told as.
pub fn failed_test(title: &str, test: &str, expected: bool) -> String {
    format!("{title}: {test}: {}", if expected { "should match and does not" } else { "should not match and does" })
}

/// Runs the tests that stand beside rules.
pub async fn test(sources: &Sources, console: &Console) -> Result<Exit, Failure> {
    let compiled = sources.compile()?;
    compiled.complain(console);
    let of_sigma = compiled.rules.rules().iter().map(|rule| rule.tests.len());
    let tests: usize = of_sigma.chain(compiled.queries.iter().map(|rule| rule.tests.len())).sum();
    let (rules, catalog) = (Arc::new(compiled.rules), TableCatalog::built_in());
    let mut failures = rule_tests::run(&rules, &catalog, |_| true);
    failures.extend(RuleTrial::new(&catalog).test(&compiled.queries).await?);
    if console.json {
        let failed: Vec<Value> = failures
            .iter()
            .map(|f| json!({ "rule_id": f.rule_id, "title": f.title, "test": f.test, "expected": f.expected }))
            .collect();
        console.value(&json!({ "tests": tests, "failed": failed }))?;
    } else {
        for failure in &failures {
            console.complain(&visible(&failed_test(&failure.title, &failure.test, failure.expected)));
        }
        console.line(&format!("{tests} tests, {} failed", failures.len()))?;
    }
    Ok(Exit::negative_unless(failures.is_empty() && compiled.not_loaded.is_empty()))
}

/// Rules ready to match, and those that are not.
pub struct Compiled {
    /// The Sigma rules.
    pub rules: CompiledRules,
    /// The analytics rules, whose queries mean something.
    pub queries: Vec<AnalyticsRule>,
    /// What cannot run, with the reason.
    pub not_loaded: Vec<NotLoaded>,
    taxonomy: Taxonomy,
    /// The texts of the files that these are in.
    texts: BTreeMap<String, String>,
}

impl Compiled {
    /// Names every rule that cannot run.
    pub fn complain(&self, console: &Console) {
        for rule in &self.not_loaded {
            console.say(&visible(&format!("not loaded: {} ({}): {}", rule.file, rule.title, rule.error)));
            place_of(&self.texts, &rule.file, rule.error.line()).iter().for_each(|line| console.say(line));
        }
    }
}

/// A line of a file as it stands there, marked, for people; nothing when the file or the line is not known.
pub fn place_of(texts: &BTreeMap<String, String>, file: &str, line: Option<usize>) -> Vec<String> {
    let (Some(text), Some(line)) = (texts.get(file), line) else { return Vec::new() };
    render_place(text, line_span(text, line)).lines().map(visible).collect()
}

/// Reads and compiles rules without a store.
///
/// # Errors
/// When a file cannot be read, or is no file of placeholders or log sources.
pub fn compile(paths: &[PathBuf], placeholders: Option<&Path>, taxonomy: Option<&Path>) -> Result<Compiled, Failure> {
    let placeholders = read_placeholders(placeholders)?;
    let catalog = Arc::new(TableCatalog::built_in());
    let taxonomy = read_taxonomy(taxonomy, &catalog)?;
    let (mut rules, mut queries, mut not_loaded) = (Vec::new(), Vec::new(), Vec::new());
    let mut texts = BTreeMap::new();
    for file in read(paths)? {
        if analytics::is_analytics(&file.text) {
            let parsed = analytics::parse_file(&file.name, &file.text);
            queries.extend(parsed.rules);
            if !parsed.not_loaded.is_empty() {
                texts.insert(file.name, file.text);
            }
            not_loaded.extend(parsed.not_loaded);
            continue;
        }
        let parsed = parse_file_with(&file.name, &file.text, &placeholders);
        if !parsed.not_loaded.is_empty() {
            texts.insert(file.name, file.text);
        }
        rules.extend(parsed.rules);
        not_loaded.extend(parsed.not_loaded);
    }
    let (rules, refused) = CompiledRules::compile(rules, &taxonomy, &catalog);
    not_loaded.extend(refused);
    let (queries, refused) = RuleTrial::new(&catalog).check(queries)?;
    not_loaded.extend(refused);
    Ok(Compiled { rules, queries, not_loaded, taxonomy, texts })
}

fn read_taxonomy(path: Option<&Path>, catalog: &TableCatalog) -> Result<Taxonomy, Failure> {
    let Some(path) = path else { return Ok(Taxonomy::built_in()) };
    let text = std::fs::read_to_string(path).map_err(|error| files::unreadable(path, error))?;
    Taxonomy::built_in_and(&text, catalog).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn read_placeholders(path: Option<&Path>) -> Result<Placeholders, Failure> {
    let Some(path) = path else { return Ok(Placeholders::default()) };
    let text = std::fs::read_to_string(path).map_err(|error| files::unreadable(path, error))?;
    Placeholders::parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// A rule that cannot run, for programs.
#[must_use]
pub fn not_loaded_json(rule: &NotLoaded) -> Value {
    let (problem, line) = (rule.error.to_string(), rule.error.line());
    json!({ "file": rule.file, "rule_id": rule.rule_id, "title": rule.title, "problem": problem, "line": line })
}

/// Rule files: those named, and those in directories that end like one.
///
/// # Errors
/// When there are none, or one cannot be read.
pub fn read(paths: &[PathBuf]) -> Result<Vec<RuleFile>, Failure> {
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
