//! `moneta status`: the state of the installation.

use clap::Args;
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::commands::rules::to_value;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::{Format, Grid, visible};
use crate::target::{Missing, Target, local_context};

/// Show the state of the installation.
#[derive(Debug, Args)]
pub struct Status {}

impl Status {
    /// Shows it.
    ///
    /// # Errors
    /// When neither a server nor the directory can say.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let target = Target::open(global, Missing::Refuse).await?;
        let status = read(&target).await;
        let closed = target.close().await;
        let status = status?;
        closed?;
        print(&status, console)?;
        Ok(Exit::Success)
    }
}

/// The status as JSON, as the server writes it.
///
/// # Errors
/// When it cannot be read.
pub async fn read(target: &Target) -> Result<Value, Failure> {
    match target {
        Target::Server(client) => client.get("v1/status").await,
        Target::Directory(node) => to_value(&node.operations().status(&local_context()).await?),
    }
}

fn print(status: &Value, console: &Console) -> std::io::Result<()> {
    if console.json {
        return console.value(status);
    }
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    console.line(&format!(
        "Moneta {}, tenant {}, up {} s",
        text(&status["version"]),
        text(&status["tenant"]),
        status["uptime_seconds"]
    ))?;
    let (disk, journal, checkpoint) = (&status["disk"], &status["journal"], &status["checkpoint"]);
    console.line(&format!("events per second   {:.1}", number(&status["events_per_second"])))?;
    console.line(&format!(
        "disk                {} free of {}, {}",
        bytes(&disk["available_bytes"]),
        bytes(&disk["total_bytes"]),
        text(&disk["state"])
    ))?;
    console.line(&format!(
        "journal             {}, oldest unsealed {} s, last fsync {:.1} ms",
        bytes(&journal["size_bytes"]),
        journal["oldest_age_seconds"],
        number(&journal["last_fsync_ms"])
    ))?;
    console.line(&format!(
        "checkpoint          {} entries, {:.0} s old",
        checkpoint["tree_size"],
        number(&checkpoint["age_seconds"])
    ))?;
    if checkpoint["witnesses"].as_array().is_some_and(|witnesses| !witnesses.is_empty()) {
        let cosigned = match checkpoint["cosigned_size"].as_u64() {
            Some(size) => format!("{size} entries, vouched for {} s ago", checkpoint["cosigned_age_seconds"]),
            None => "nothing yet".to_owned(),
        };
        console.line(&format!("cosigned            {cosigned}"))?;
    }
    print_scrubbing(&status["scrubbing"], console)?;
    console.line(&format!("rules               {}", status["rules_loaded"]))?;
    print_list(
        console,
        &status["tables"],
        &["name", "num_rows", "num_segments", "num_hot_blocks", "segment_bytes", "retention_days"],
    )?;
    print_list(console, &checkpoint["witnesses"], &["name", "state", "reason", "since"])?;
    print_list(console, &status["collectors"], &["name", "state", "num_records", "reason", "since"])
}

/// How far the reading again of stored files got; nothing while nobody does it.
fn print_scrubbing(scrubbing: &Value, console: &Console) -> std::io::Result<()> {
    for (label, name) in [("files read daily   ", "hot"), ("files read monthly ", "cold")] {
        let pass = &scrubbing[name];
        if text(&pass["started_at"]).is_empty() {
            continue;
        }
        let completed = match text(&pass["completed_at"]) {
            "" => "never completed yet".to_owned(),
            at => format!("last completed {at}"),
        };
        let (read, total) = (bytes(&pass["read_bytes"]), bytes(&pass["total_bytes"]));
        console.line(&format!("{label} {read} of {total} since {}, {completed}", text(&pass["started_at"])))?;
    }
    for finding in scrubbing["findings"].as_array().into_iter().flatten() {
        console.line(&format!("{} {}", console.verdict("FOUND"), visible(text(finding))))?;
    }
    Ok(())
}

/// A list of objects as a table, after an empty line; nothing when it is empty.
fn print_list(console: &Console, list: &Value, columns: &[&str]) -> std::io::Result<()> {
    let grid = Grid::of(list, columns);
    if grid.rows.is_empty() {
        return Ok(());
    }
    console.line("")?;
    console.grid(&grid, Format::Table)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A size as people read it.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1_000.0 && unit + 1 < units.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

fn bytes(value: &Value) -> String {
    size_text(value.as_u64().unwrap_or_default())
}

/// Tables and their retention, for `moneta retention show`.
#[must_use]
pub fn retention(status: &Value) -> Grid {
    let row = |table: &Value| {
        let days = table["retention_days"].as_u64().map_or_else(|| json!("forever"), |days| json!(days));
        vec![table["name"].clone(), days, table["num_rows"].clone()]
    };
    let rows = status["tables"].as_array().into_iter().flatten().map(row).collect();
    Grid { columns: ["table", "days", "rows"].map(str::to_owned).to_vec(), rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        for (size, expected) in [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (70_000_000_000, "70.0 GB")] {
            assert_eq!(size_text(size), expected);
        }
    }
}
