//! `moneta function`, `moneta saved-query`, `moneta watchlist`: what people store beside the events.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use moneta_ports::{CreateMode, SavedQuery, StoredFunction, WatchlistFormat, WatchlistUpload};
use serde_json::{Value, json};

use super::query::text_or_input;
use super::rules::to_value;
use crate::arguments::Global;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::{Grid, visible};
use crate::target::{Missing, Target, local_context};

/// Add, list or remove functions that queries call by name.
#[derive(Debug, Subcommand)]
pub enum Function {
    /// Add a function, or replace the one of that name.
    Add {
        /// Its name.
        name: String,
        /// Its parameters and body, `(n: long) { Syslog | take n }`; `-` reads them from standard input.
        #[arg(value_name = "TEXT")]
        text: String,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
        /// Where tools list it.
        #[arg(long, default_value = "")]
        folder: String,
        /// Store it even if it does not bind to the tables of now.
        #[arg(long)]
        skip_validation: bool,
    },
    /// List the functions.
    List,
    /// Remove a function.
    Remove {
        /// Its name.
        name: String,
    },
}

/// Add, list or remove queries kept under a name.
#[derive(Debug, Subcommand)]
pub enum Saved {
    /// Save a query, or replace the one of that name.
    Add {
        /// Its name.
        name: String,
        /// The query; `-` reads it from standard input.
        #[arg(value_name = "QUERY")]
        text: String,
        /// The query is SQL.
        #[arg(long)]
        sql: bool,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
        /// Where tools list it.
        #[arg(long, default_value = "")]
        folder: String,
    },
    /// List the saved queries.
    List,
    /// Remove a saved query.
    Remove {
        /// Its name.
        name: String,
    },
}

/// Add, list or remove lists of values that queries read with `_GetWatchlist('NAME')`.
#[derive(Debug, Subcommand)]
pub enum Watchlist {
    /// Store a watchlist, or replace the one of that name.
    Add {
        /// Its name.
        name: String,
        /// A CSV file with a line of column names; a name that ends in `.json` or `.ndjson`: objects.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The column whose values are `SearchKey`; the first when absent.
        #[arg(long, value_name = "COLUMN")]
        key: Option<String>,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// List the watchlists.
    List,
    /// Remove a watchlist.
    Remove {
        /// Its name.
        name: String,
    },
}

impl Function {
    /// Does it.
    ///
    /// # Errors
    /// When the function is refused, or the store cannot be used.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        match self {
            Self::Add { name, text, description, folder, skip_validation } => {
                let text = text_or_input(text)?;
                let (parameters, body) = split_function(&text)?;
                let function = StoredFunction {
                    name: name.clone(),
                    parameters: parameters.to_owned(),
                    body: body.to_owned(),
                    folder: folder.clone(),
                    doc_string: description.clone(),
                    ..StoredFunction::default()
                };
                let target = Target::open(global, Missing::Create).await?;
                let outcome = put_function(&target, &function, *skip_validation).await;
                finish(target, outcome, &format!("stored {}", visible(name)), console).await
            }
            Self::List => list(global, console, "functions", &["name", "parameters", "folder", "doc_string"]).await,
            Self::Remove { name } => remove(global, console, "functions", name).await,
        }
    }
}

impl Saved {
    /// Does it.
    ///
    /// # Errors
    /// When the query is refused, or the store cannot be used.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        match self {
            Self::Add { name, text, sql, description, folder } => {
                let text = text_or_input(text)?;
                let language = if *sql { "sql" } else { "kql" };
                let query = SavedQuery {
                    name: name.clone(),
                    text,
                    language: language.to_owned(),
                    folder: folder.clone(),
                    doc_string: description.clone(),
                    ..SavedQuery::default()
                };
                let target = Target::open(global, Missing::Create).await?;
                let outcome = save_query(&target, &query).await;
                finish(target, outcome, &format!("saved {}", visible(name)), console).await
            }
            Self::List => list(global, console, "saved_queries", &["name", "language", "text", "folder"]).await,
            Self::Remove { name } => remove(global, console, "saved_queries", name).await,
        }
    }
}

impl Watchlist {
    /// Does it.
    ///
    /// # Errors
    /// When the file cannot be read or is refused, or the store cannot be used.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        match self {
            Self::Add { name, file, key, description } => {
                let content = std::fs::read(file).map_err(|error| files::unreadable(file, error))?;
                let upload = WatchlistUpload {
                    name: name.clone(),
                    search_key: key.clone(),
                    format: watchlist_format(file),
                    content,
                    description: description.clone(),
                };
                let target = Target::open(global, Missing::Create).await?;
                let outcome = put_watchlist(&target, &upload).await;
                finish(target, outcome, &format!("stored {}", visible(name)), console).await
            }
            Self::List => list(global, console, "watchlists", &["name", "search_key", "num_rows", "description"]).await,
            Self::Remove { name } => remove(global, console, "watchlists", name).await,
        }
    }
}

/// Stores a function, or replaces the one of its name.
///
/// # Errors
/// When it is refused.
pub async fn put_function(target: &Target, function: &StoredFunction, skip_validation: bool) -> Result<(), Failure> {
    match target {
        Target::Server(client) => {
            let body = json!({ "parameters": function.parameters, "body": function.body, "folder": function.folder,
                "doc_string": function.doc_string, "skip_validation": skip_validation });
            client.put(&format!("v1/functions/{}", function.name), &body).await.map(drop)
        }
        Target::Directory(node) => {
            let (objects, ctx, mode) = (node.objects(), local_context(), CreateMode::CreateOrAlter);
            Ok(objects.put_function(&ctx, function.clone(), mode, skip_validation).await.map(drop)?)
        }
    }
}

/// Saves a query, or replaces the one of its name.
///
/// # Errors
/// When it is refused.
pub async fn save_query(target: &Target, query: &SavedQuery) -> Result<(), Failure> {
    match target {
        Target::Server(client) => {
            let SavedQuery { name, text, language, folder, doc_string, .. } = query;
            let body = json!({ "text": text, "language": language, "folder": folder, "doc_string": doc_string });
            client.put(&format!("v1/saved-queries/{name}"), &body).await.map(drop)
        }
        Target::Directory(node) => Ok(node.objects().save_query(&local_context(), query.clone()).await.map(drop)?),
    }
}

/// Stores a watchlist, or replaces the one of its name.
///
/// # Errors
/// When it is refused.
pub async fn put_watchlist(target: &Target, upload: &WatchlistUpload) -> Result<(), Failure> {
    match target {
        Target::Server(client) => {
            let format = if upload.format == WatchlistFormat::Json { "json" } else { "csv" };
            let mut parameters = vec![("description", upload.description.as_str()), ("format", format)];
            parameters.extend(upload.search_key.as_deref().map(|key| ("key", key)));
            let path = format!("v1/watchlists/{}", upload.name);
            client.put_bytes(&path, &parameters, upload.content.clone()).await.map(drop)
        }
        Target::Directory(node) => {
            Ok(node.objects().put_watchlist(&local_context(), upload.clone()).await.map(drop)?)
        }
    }
}

/// How the rows of a file are written, by its name.
pub fn watchlist_format(file: &Path) -> WatchlistFormat {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if ["json", "ndjson", "jsonl"].contains(&ending) { WatchlistFormat::Json } else { WatchlistFormat::Csv }
}

async fn finish(target: Target, outcome: Result<(), Failure>, said: &str, console: &Console) -> Result<Exit, Failure> {
    let closed = target.close().await;
    outcome?;
    closed?;
    console.say(said);
    Ok(Exit::Success)
}

/// The objects of a kind as JSON.
///
/// # Errors
/// When they cannot be read.
pub async fn all(target: &Target, kind: &str) -> Result<Value, Failure> {
    match target {
        Target::Server(client) => {
            client.get(&format!("v1/{}", kind.replace('_', "-"))).await.map(|mut all| all[kind].take())
        }
        Target::Directory(node) => match kind {
            "functions" => to_value(&node.objects().functions()),
            "saved_queries" => to_value(&node.objects().saved_queries()),
            _ => to_value(&node.objects().watchlists()),
        },
    }
}

/// Lists the objects of a kind, by the member of the server's answer that holds them.
async fn list(global: &Global, console: &Console, kind: &str, columns: &[&str]) -> Result<Exit, Failure> {
    let target = Target::open(global, Missing::Refuse).await?;
    let all = all(&target, kind).await;
    let closed = target.close().await;
    let all = all?;
    closed?;
    console.grid(&Grid::of(&all, columns), console.format(None))?;
    Ok(Exit::Success)
}

async fn remove(global: &Global, console: &Console, kind: &str, name: &str) -> Result<Exit, Failure> {
    let target = Target::open(global, Missing::Refuse).await?;
    let outcome = match &target {
        Target::Server(client) => client.delete(&format!("v1/{}/{name}", kind.replace('_', "-"))).await,
        Target::Directory(node) => {
            let (objects, ctx) = (node.objects(), local_context());
            let removed = match kind {
                "functions" => objects.drop_function(&ctx, name).await,
                "saved_queries" => objects.delete_query(&ctx, name).await,
                _ => objects.delete_watchlist(&ctx, name).await,
            };
            removed.map_err(Failure::from)
        }
    };
    finish(target, outcome, &format!("removed {}", visible(name)), console).await
}

/// `(parameters) { body }`, taken apart at the brace that opens the body; without parameters: a body alone.
///
/// # Errors
/// When it is no function.
pub fn split_function(text: &str) -> Result<(&str, &str), Failure> {
    let text = text.trim();
    if text.starts_with('{') {
        return Ok(("()", text));
    }
    let tokens = moneta_kql::lexer::tokenize(text);
    let brace = tokens.iter().find(|token| token.kind == moneta_kql::token::TokenKind::OpenBrace);
    match brace {
        Some(brace) if text.starts_with('(') => Ok((text[..brace.span.start].trim(), &text[brace.span.start..])),
        _ => Err(Failure::usage("this is no function").advise("(n: long) { Syslog | take n }")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_parameters_and_a_body() {
        assert_eq!(split_function(" (s: string = '{') { print s } ").unwrap(), ("(s: string = '{')", "{ print s }"));
        assert_eq!(split_function("{ T }").unwrap(), ("()", "{ T }"));
        assert!(split_function("T | take 1").is_err() && split_function("(n: long)").is_err());
    }
}
