//! `moneta sources`: what is received from whom, and how complete it is.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::commands::status;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::{Grid, visible};
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
        let waiting = waiting(&target).await;
        let closed = target.close().await;
        let list = list?;
        let waiting = waiting?;
        closed?;
        let columns: &[&str] = if self.view.is_some() { &QUALITY } else { &LISTED };
        if console.json {
            console.value(&list)?;
        } else {
            console.grid(&grid(&list, columns), console.format(None))?;
            for line in waiting {
                console.line(&line)?;
            }
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

/// A line for each collector that cannot reach what it reads. Nothing is known of those of a directory without a server.
async fn waiting(target: &Target) -> Result<Vec<String>, Failure> {
    let Target::Server(_) = target else { return Ok(Vec::new()) };
    let status = status::read(target).await?;
    Ok(waiting_lines(&status["collectors"]))
}

fn waiting_lines(collectors: &Value) -> Vec<String> {
    let text = |value: &Value| visible(value.as_str().unwrap_or_default());
    let waits = |collector: &&Value| collector["state"] == "waiting";
    let line = |collector: &Value| format!("{} waits: {}", text(&collector["name"]), text(&collector["reason"]));
    collectors.as_array().into_iter().flatten().filter(waits).map(line).collect()
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
    fn a_collector_that_waits_says_why() {
        let collectors = json!([
            { "name": "inbox", "state": "running", "reason": "" },
            { "name": "kafka hub", "state": "waiting", "reason": "brokers: \u{1b}refused" },
        ]);
        assert_eq!(waiting_lines(&collectors), [r"kafka hub waits: brokers: \u{1b}refused"]);
    }

    #[test]
    fn figures_are_rounded_and_columns_keep_their_order() {
        let list = json!([{ "source": "s", "who": 0.123_456, "num_records": 7, "when": null }]);
        let grid = grid(&list, &["source", "num_records", "who", "when"]);
        assert_eq!(grid.rows, [vec![json!("s"), json!(7), json!(0.123), Value::Null]]);
    }
}
