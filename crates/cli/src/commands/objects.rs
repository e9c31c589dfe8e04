//! `moneta function`, `moneta saved-query`, `moneta watchlist`: what people store beside the events.

use std::path::PathBuf;

use clap::Subcommand;
use moneta_ports::{CreateMode, SavedQuery, StoredFunction, WatchlistFormat, WatchlistUpload};
use serde_json::json;

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
                let (parameters, body) = (parameters.to_owned(), body.to_owned());
                let target = Target::open(global, Missing::Create).await?;
                let outcome = match &target {
                    Target::Server(client) => {
                        let body = json!({ "parameters": parameters, "body": body, "folder": folder,
                            "doc_string": description, "skip_validation": skip_validation });
                        client.put(&format!("v1/functions/{name}"), &body).await.map(drop)
                    }
                    Target::Directory(node) => {
                        let (folder, doc_string) = (folder.clone(), description.clone());
                        let name = name.clone();
                        let function =
                            StoredFunction { name, parameters, body, folder, doc_string, ..StoredFunction::default() };
                        let mode = CreateMode::CreateOrAlter;
                        let made =
                            node.objects().put_function(&local_context(), function, mode, *skip_validation).await;
                        made.map(drop).map_err(Failure::from)
                    }
                };
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
                let target = Target::open(global, Missing::Create).await?;
                let outcome = match &target {
                    Target::Server(client) => {
                        let body = json!({ "text": text, "language": language, "folder": folder,
                            "doc_string": description });
                        client.put(&format!("v1/saved-queries/{name}"), &body).await.map(drop)
                    }
                    Target::Directory(node) => {
                        let query = SavedQuery {
                            name: name.clone(),
                            text,
                            language: language.to_owned(),
                            folder: folder.clone(),
                            doc_string: description.clone(),
                            ..SavedQuery::default()
                        };
                        node.objects().save_query(&local_context(), query).await.map(drop).map_err(Failure::from)
                    }
                };
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
                let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
                let is_json = ["json", "ndjson", "jsonl"].contains(&ending);
                let target = Target::open(global, Missing::Create).await?;
                let outcome = match &target {
                    Target::Server(client) => {
                        let mut parameters = vec![("description", description.as_str())];
                        parameters.push(("format", if is_json { "json" } else { "csv" }));
                        parameters.extend(key.as_deref().map(|key| ("key", key)));
                        client.put_bytes(&format!("v1/watchlists/{name}"), &parameters, content).await.map(drop)
                    }
                    Target::Directory(node) => {
                        let format = if is_json { WatchlistFormat::Json } else { WatchlistFormat::Csv };
                        let (name, description) = (name.clone(), description.clone());
                        let upload = WatchlistUpload { name, search_key: key.clone(), format, content, description };
                        node.objects().put_watchlist(&local_context(), upload).await.map(drop).map_err(Failure::from)
                    }
                };
                finish(target, outcome, &format!("stored {}", visible(name)), console).await
            }
            Self::List => list(global, console, "watchlists", &["name", "search_key", "num_rows", "description"]).await,
            Self::Remove { name } => remove(global, console, "watchlists", name).await,
        }
    }
}

async fn finish(target: Target, outcome: Result<(), Failure>, said: &str, console: &Console) -> Result<Exit, Failure> {
    let closed = target.close().await;
    outcome?;
    closed?;
    console.say(said);
    Ok(Exit::Success)
}

/// The objects of a kind, by the member of the server's answer that holds them.
async fn list(global: &Global, console: &Console, kind: &str, columns: &[&str]) -> Result<Exit, Failure> {
    let target = Target::open(global, Missing::Refuse).await?;
    let all = match &target {
        Target::Server(client) => {
            client.get(&format!("v1/{}", kind.replace('_', "-"))).await.map(|mut all| all[kind].take())
        }
        Target::Directory(node) => match kind {
            "functions" => to_value(&node.objects().functions()),
            "saved_queries" => to_value(&node.objects().saved_queries()),
            _ => to_value(&node.objects().watchlists()),
        },
    };
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
fn split_function(text: &str) -> Result<(&str, &str), Failure> {
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
