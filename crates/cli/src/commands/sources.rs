//! `moneta sources`: what is received from whom, and how complete it is.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::Grid;
use crate::target::{Missing, Target, local_context};

/// Columns of the list.
const LISTED: [&str; 13] = [
    "source",
    "computer",
    "table",
    "state",
    "num_records",
    "records_per_minute",
    "expected_per_minute",
    "last_seen",
    "lag_seconds",
    "clock_ahead_seconds",
    "num_missing",
    "num_dropped",
    "num_quarantined",
];
/// Columns of completeness: what an audit record must say (NIST SP 800-53, AU-3).
const QUALITY: [&str; 10] =
    ["source", "computer", "table", "num_records", "who", "what", "when", "where", "source_of_event", "outcome"];

/// Show what is received from whom, and what is wrong with it.
#[derive(Debug, Args)]
pub struct Sources {
    #[command(subcommand)]
    view: Option<View>,
    /// Only sources of which something is wrong.
    #[arg(long)]
    troubled: bool,
}

#[derive(Debug, Subcommand)]
enum View {
    /// Show which share of each source's records of the last seven days says who, what, when, where, from what and with
    /// which outcome.
    Quality,
}

impl Sources {
    /// Shows it.
    ///
    /// # Errors
    /// When neither a server nor the directory can say.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        if self.troubled && self.view.is_some() {
            return Err(Failure::usage("--troubled goes with the list of sources, not with their quality"));
        }
        let target = Target::open(global, Missing::Refuse).await?;
        let list = self.read(&target).await;
        let closed = target.close().await;
        let list = list?;
        closed?;
        let columns: &[&str] = if self.view.is_some() { &QUALITY } else { &LISTED };
        if console.json {
            console.value(&list)?;
        } else {
            console.grid(&grid(&list, columns), console.format(None))?;
        }
        Ok(Exit::Success)
    }

    async fn read(&self, target: &Target) -> Result<Value, Failure> {
        let list = match (target, &self.view) {
            (Target::Server(client), None) => client.get("v1/sources").await?,
            (Target::Server(client), Some(View::Quality)) => client.get("v1/sources/quality").await?,
            (Target::Directory(node), None) => json!(node.operations().sources(&local_context())),
            (Target::Directory(node), Some(View::Quality)) => {
                json!(node.operations().source_quality(&local_context()))
            }
        };
        let is_fine = |item: &Value| matches!(item["state"].as_str(), Some("ok" | "learning"));
        Ok(match list {
            Value::Array(items) if self.troubled => items.into_iter().filter(|item| !is_fine(item)).collect(),
            list => list,
        })
    }
}

fn grid(list: &Value, columns: &[&str]) -> Grid {
    let mut grid = Grid::of(list, columns);
    grid.rows.iter_mut().flatten().for_each(|cell| *cell = rounded(cell));
    grid
}

/// A figure as people read it; programs get all digits with `--json`.
fn rounded(value: &Value) -> Value {
    match value.as_f64() {
        Some(number) if value.is_f64() => json!((number * 1_000.0).round() / 1_000.0),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_and_columns_keep_their_order() {
        let list = json!([{ "source": "s", "who": 0.123_456, "num_records": 7, "when": null }]);
        let grid = grid(&list, &["source", "num_records", "who", "when"]);
        assert_eq!(grid.rows, [vec![json!("s"), json!(7), json!(0.123), Value::Null]]);
    }
}
