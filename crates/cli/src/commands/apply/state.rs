//! What is there now, of all that is declared, in the texts that [`Wanted::text`] makes of what is wanted.

use std::collections::BTreeMap;

use moneta_ports::operations::HoldRequest;
use moneta_ports::{SavedQuery, StoredFunction};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::declared::{Declared, Wanted, function_text, hold_text, query_text, watchlist_text};
use crate::commands::rules::to_value;
use crate::commands::{objects, status};
use crate::failure::{Exit, Failure};
use crate::target::{Target, local_context};

/// The parts of an installation that declarations are about.
pub(super) struct State {
    functions: Vec<StoredFunction>,
    queries: Vec<SavedQuery>,
    watchlists: Value,
    holds: Value,
    /// Days of tables that have a number of their own, and those of the others.
    retention: Value,
    /// Texts of the files that rules came in, by id.
    rules: BTreeMap<String, String>,
}

impl State {
    /// # Errors
    /// When the installation cannot say.
    pub(super) async fn read(target: &Target, declared: &Declared) -> Result<Self, Failure> {
        Ok(Self {
            functions: read_as(objects::all(target, "functions").await?)?,
            queries: read_as(objects::all(target, "saved_queries").await?)?,
            watchlists: objects::all(target, "watchlists").await?,
            holds: match target {
                Target::Server(client) => client.get("v1/holds").await?,
                Target::Directory(node) => json!(node.operations().holds(&local_context()).await?),
            },
            retention: status::read(target).await?["retention"].take(),
            rules: rule_files(target, declared).await?,
        })
    }

    /// The text of what is there in the place of something wanted; `None` when nothing is.
    pub(super) fn text(&self, wanted: &Wanted) -> Option<String> {
        match wanted {
            Wanted::Function { function, .. } => {
                self.functions.iter().find(|known| known.name == function.name).map(function_text)
            }
            Wanted::Query(query) => self.queries.iter().find(|known| known.name == query.name).map(query_text),
            Wanted::Watchlist(upload) => {
                let known = named(&self.watchlists, &upload.name)?;
                let text = |member: &str| known[member].as_str().unwrap_or_default();
                let key = upload.search_key.as_ref().map(|_| text("search_key"));
                Some(watchlist_text(key, text("description"), text("content_sha256")))
            }
            Wanted::Hold { name, .. } => {
                let known = named(&self.holds, name)?;
                let text = |member: &str| known[member].as_str().map(str::to_owned);
                let reason = text("reason").unwrap_or_default();
                Some(hold_text(&HoldRequest { table: text("table"), from: text("from"), to: text("to"), reason }))
            }
            Wanted::Retention { table, .. } => {
                let own = self.retention["tables"].get(table.as_str()).filter(|days| days.is_u64());
                own.or(self.retention.get("default_days")).map(Value::to_string)
            }
            Wanted::Rules { ids, .. } => {
                let texts: Vec<&String> = ids.iter().filter_map(|id| self.rules.get(id)).collect();
                // A rule that moved to another file, or into one, is a change of that file's rules.
                let first = texts.first()?;
                let all_same = texts.len() == ids.len() && texts.iter().all(|text| text == first);
                Some(if all_same { (*first).clone() } else { String::new() })
            }
        }
    }
}

fn named<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|one| one["name"] == name)
}

fn read_as<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value)
        .map_err(|error| Failure::new(Exit::Internal, "the server's answer is not as expected").caused_by(&error))
}

async fn rule_files(target: &Target, declared: &Declared) -> Result<BTreeMap<String, String>, Failure> {
    let known = match target {
        Target::Server(client) => client.get("v1/rules").await?["rules"].take(),
        Target::Directory(node) => to_value(&node.rules().list())?,
    };
    let is_known = |id: &str| known.as_array().into_iter().flatten().any(|rule| rule["rule_id"] == id);
    let mut texts = BTreeMap::new();
    for wanted in &declared.wanted {
        let Wanted::Rules { ids, .. } = wanted else { continue };
        for id in ids.iter().filter(|id| is_known(id)) {
            let text = match target {
                Target::Server(client) => {
                    client.get(&format!("v1/rules/{id}")).await?["source"]["text"].as_str().map(str::to_owned)
                }
                Target::Directory(node) => node.rules().source(id)?.map(|source| source.text),
            };
            texts.extend(text.map(|text| (id.clone(), text)));
        }
    }
    Ok(texts)
}
