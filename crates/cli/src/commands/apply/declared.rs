//! What files declare: the form of declarations, and reading them together with rule files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use moneta_base::TableName;
use moneta_merkle::sha256;
use moneta_ports::operations::HoldRequest;
use moneta_ports::{RuleFile, SavedQuery, StoredFunction, WatchlistUpload};
use moneta_rules::{Placeholders, analytics, parse_file_with};
use moneta_server::config::explain_toml;
use serde::Deserialize;

use crate::commands::objects::{split_function, watchlist_format};
use crate::commands::rules::place_of;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::visible;

/// Everything that the files want.
pub(super) struct Declared {
    pub(super) wanted: Vec<Wanted>,
    /// What to say of rules that do not load as they stand, line by line; with the server's placeholders they may.
    pub(super) problems: Vec<String>,
}

/// One thing that is to be as declared.
pub(super) enum Wanted {
    Function {
        function: StoredFunction,
        skip_validation: bool,
    },
    Query(SavedQuery),
    Watchlist(WatchlistUpload),
    /// The rules of a file, with their ids.
    Rules {
        ids: Vec<String>,
        file: RuleFile,
    },
    Hold {
        name: String,
        request: HoldRequest,
    },
    Retention {
        table: TableName,
        days: u32,
    },
}

impl Wanted {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Function { .. } => "function",
            Self::Query(_) => "saved query",
            Self::Watchlist(_) => "watchlist",
            Self::Rules { .. } => "rule",
            Self::Hold { .. } => "hold",
            Self::Retention { .. } => "retention",
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Function { function, .. } => function.name.clone(),
            Self::Query(query) => query.name.clone(),
            Self::Watchlist(upload) => upload.name.clone(),
            Self::Rules { ids, file } => format!("{} ({})", ids.join(", "), file.name),
            Self::Hold { name, .. } => name.clone(),
            Self::Retention { table, .. } => table.to_string(),
        }
    }

    /// What it is, as a text: two are the same when their texts are.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Function { function, .. } => function_text(function),
            Self::Query(query) => query_text(query),
            Self::Watchlist(upload) => {
                let rows = sha256(&upload.content).to_hex();
                watchlist_text(upload.search_key.as_deref(), &upload.description, &rows)
            }
            Self::Rules { file, .. } => file.text.clone(),
            Self::Hold { request, .. } => hold_text(request),
            Self::Retention { days, .. } => days.to_string(),
        }
    }
}

pub(super) fn function_text(function: &StoredFunction) -> String {
    let StoredFunction { parameters, body, folder, doc_string, .. } = function;
    format!("parameters: {parameters}\nfolder: {folder}\ndescription: {doc_string}\n{body}")
}

pub(super) fn query_text(query: &SavedQuery) -> String {
    let SavedQuery { text, language, folder, doc_string, .. } = query;
    format!("language: {language}\nfolder: {folder}\ndescription: {doc_string}\n{text}")
}

/// A key that is not declared is the first column's and is not compared.
pub(super) fn watchlist_text(key: Option<&str>, description: &str, rows: &str) -> String {
    let key = key.map(|key| format!("key: {key}\n")).unwrap_or_default();
    format!("{key}description: {description}\nSHA-256 of the rows: {rows}")
}

pub(super) fn hold_text(hold: &HoldRequest) -> String {
    let or = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
    let (table, from, to) = (or(&hold.table, "every"), or(&hold.from, "the beginning"), or(&hold.to, "no end"));
    format!("table: {table}\nfrom: {from}\nto: {to}\nreason: {}", hold.reason)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Declarations {
    functions: BTreeMap<String, FunctionDeclaration>,
    saved_queries: BTreeMap<String, QueryDeclaration>,
    watchlists: BTreeMap<String, WatchlistDeclaration>,
    holds: BTreeMap<String, HoldRequest>,
    retention: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FunctionDeclaration {
    text: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    folder: String,
    #[serde(default)]
    skip_validation: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryDeclaration {
    text: String,
    #[serde(default)]
    sql: bool,
    #[serde(default)]
    description: String,
    #[serde(default)]
    folder: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WatchlistDeclaration {
    /// Its rows, beside the file that declares it.
    file: PathBuf,
    key: Option<String>,
    #[serde(default)]
    description: String,
}

/// Reads declarations and rule files.
///
/// # Errors
/// When there are none, one cannot be read or is wrong, or two declare the same.
pub(super) fn read(paths: &[PathBuf]) -> Result<Declared, Failure> {
    let mut declared = Declared { wanted: Vec::new(), problems: Vec::new() };
    for input in files::find(paths)? {
        match input.path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
            "toml" => read_declarations(&input.path, &mut declared.wanted)?,
            "yml" | "yaml" => read_rules(&input.path, &mut declared)?,
            _ if input.named => {
                let said = format!("{} is neither a declaration nor a rule file", input.path.display());
                return Err(Failure::usage(said).advise("end it with .toml, .yml or .yaml"));
            }
            // Rows of watchlists, notes.
            _ => {}
        }
    }
    if declared.wanted.is_empty() {
        return Err(Failure::usage("nothing is declared there").advise("name *.toml, *.yml or *.yaml, or directories"));
    }
    refuse_doubles(&declared.wanted)?;
    Ok(declared)
}

fn read_declarations(path: &Path, wanted: &mut Vec<Wanted>) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| files::unreadable(path, error))?;
    let wrong = |message: String| Failure::usage(format!("{}: {message}", path.display()));
    let read: Declarations = toml::from_str(&text).map_err(|error| {
        let (message, place) = explain_toml(&text, &error);
        wrong(message).at(place)
    })?;
    for (name, declared) in read.functions {
        let (parameters, body) = split_function(&declared.text)?;
        let function = StoredFunction {
            name,
            parameters: parameters.to_owned(),
            body: body.to_owned(),
            folder: declared.folder,
            doc_string: declared.description,
            ..StoredFunction::default()
        };
        wanted.push(Wanted::Function { function, skip_validation: declared.skip_validation });
    }
    for (name, declared) in read.saved_queries {
        let language = if declared.sql { "sql" } else { "kql" }.to_owned();
        let (text, folder, doc_string) = (declared.text.trim().to_owned(), declared.folder, declared.description);
        wanted.push(Wanted::Query(SavedQuery { name, text, language, folder, doc_string, ..SavedQuery::default() }));
    }
    for (name, declared) in read.watchlists {
        let file = path.parent().unwrap_or(Path::new("")).join(&declared.file);
        let content = std::fs::read(&file).map_err(|error| files::unreadable(&file, error))?;
        let (format, description) = (watchlist_format(&file), declared.description);
        wanted.push(Wanted::Watchlist(WatchlistUpload {
            name,
            search_key: declared.key,
            format,
            content,
            description,
        }));
    }
    for (name, request) in read.holds {
        wanted.push(Wanted::Hold { name, request });
    }
    for (table, days) in read.retention {
        let table = TableName::new(&table).map_err(|error| wrong(error.to_string()))?;
        if days == 0 {
            return Err(wrong(format!("retention of {table}: 0 days would drop today's records; the least is 1")));
        }
        wanted.push(Wanted::Retention { table, days });
    }
    Ok(())
}

fn read_rules(path: &Path, declared: &mut Declared) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| files::unreadable(path, error))?;
    let name = path.to_string_lossy().into_owned();
    let (mut ids, not_loaded): (Vec<String>, _) = if analytics::is_analytics(&text) {
        let parsed = analytics::parse_file(&name, &text);
        (parsed.rules.iter().map(|rule| rule.metadata.id.to_string()).collect(), parsed.not_loaded)
    } else {
        let parsed = parse_file_with(&name, &text, &Placeholders::default());
        (parsed.rules.iter().map(|rule| rule.metadata.id.to_string()).collect(), parsed.not_loaded)
    };
    let texts = [(name.clone(), text.clone())].into();
    for rule in &not_loaded {
        let said = format!("would not load: {} ({}): {}", rule.file, rule.title, rule.error);
        declared.problems.push(visible(&said));
        declared.problems.extend(place_of(&texts, &rule.file, rule.error.line()));
        ids.push(rule.rule_id.clone());
    }
    ids.retain(|id| !id.is_empty());
    if ids.is_empty() {
        let first = not_loaded.first();
        let why = first.map_or_else(|| "there is no rule in it".to_owned(), |rule| rule.error.to_string());
        let place = place_of(&texts, &name, first.and_then(|rule| rule.error.line()));
        let place = (!place.is_empty()).then(|| place.join("\n"));
        return Err(Failure::new(Exit::Usage, format!("{name}: {why}")).at(place));
    }
    declared.wanted.push(Wanted::Rules { ids, file: RuleFile { name, text } });
    Ok(())
}

/// The later of two declarations would win, and the earlier change back at the next run.
fn refuse_doubles(wanted: &[Wanted]) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for one in wanted {
        let names = match one {
            Wanted::Rules { ids, .. } => ids.clone(),
            other => vec![other.name()],
        };
        for name in names {
            if !seen.insert((one.kind(), name.clone())) {
                return Err(Failure::usage(format!("the {} {name} is declared twice", one.kind())));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;

    fn check(text: &str, words: &str) {
        let dir = TestDir::new();
        std::fs::write(dir.join("a.toml"), text).unwrap();
        let failure = read(&[dir.path().to_owned()]).err().unwrap();
        assert!(format!("{failure:?}").contains(words), "{text}: {failure:?}");
    }

    #[test]
    fn a_wrong_declaration_says_what_is_wrong_and_where() {
        check("[functions.F]\ntext = '{ 1 }'\nfodler = 'x'", "fodler");
        check("[function.F]\ntext = '{ 1 }'", "saved-queries");
        check("[functions.F]\ntext = 'T | take 1'", "no function");
        check("[retention]\nSyslog = 0", "least is 1");
        check("[retention]\n'a b' = 1", "a b");
        check("[watchlists.W]\nfile = 'absent.csv'", "absent.csv");
        check("", "nothing is declared");
    }

    #[test]
    fn the_same_thing_twice_is_refused() {
        let dir = TestDir::new();
        for name in ["a.toml", "b.toml"] {
            std::fs::write(dir.join(name), "[retention]\nSyslog = 30").unwrap();
        }
        let failure = read(&[dir.path().to_owned()]).err().unwrap();
        assert!(format!("{failure:?}").contains("declared twice"), "{failure:?}");
    }
}
