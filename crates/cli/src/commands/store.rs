//! `moneta store`: what is kept, for how long, and what must not go.

use std::path::Path;

use clap::{Args, Subcommand};
use moneta_base::{TableName, Timestamp};
use moneta_ports::operations::{ExportSelection, HoldRequest};
use serde_json::json;

use crate::arguments::Global;
use crate::commands::{backup, status};
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::Grid;
use crate::target::{Missing, Target, local_context};

/// Keep days from being dropped, or show how much is kept and for how long.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Keep days from being dropped while a hold lasts. It wins over every retention.
    Hold(Hold),
    /// Release a hold: its days are dropped again when they are due.
    Release {
        /// The name of the hold.
        #[arg(value_name = "NAME")]
        name: String,
        /// Why. It is in the audit table.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List the holds.
    Holds,
    /// Export rows of a table, or an incident, with what proves them, for `moneta-verify export`.
    Export(Export),
    /// Show what each table keeps, what a day adds, and how much it will be.
    Retention,
}

/// What to export.
#[derive(Debug, Args)]
pub struct Export {
    /// The table, unless there is `--case`, and a new directory for the export.
    #[arg(value_names = ["TABLE", "DIR"], num_args = 1..=2, required = true)]
    places: Vec<String>,
    /// The number of an incident: exports its versions, its alerts with the events that they name, and the audit rows about
    /// it, instead of a table.
    #[arg(long = "case", value_name = "NUMBER", conflicts_with_all = ["from", "to"])]
    case: Option<u64>,
    /// The earliest `TimeGenerated`, RFC 3339; from the beginning when it is not given. Whole segments are exported.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The latest `TimeGenerated`, RFC 3339; without end when it is not given.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

/// What to keep.
#[derive(Debug, Args)]
pub struct Hold {
    /// What the hold is known by, such as the number of a case.
    #[arg(value_name = "NAME")]
    name: String,
    /// The table; every table when it is not given.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// The first ingest day, yyyy-mm-dd; from the beginning when it is not given.
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// The last ingest day, yyyy-mm-dd; without end when it is not given.
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// Why. It is in the audit table.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Store {
    /// Does it.
    ///
    /// # Errors
    /// When it is not allowed, or the change cannot be made.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let target = Target::open(global, Missing::Refuse).await?;
        let outcome = match self {
            Self::Hold(hold) => hold.place(&target, console).await,
            Self::Release { name, reason } => release(&target, name, reason, console).await,
            Self::Holds => list(&target, console).await,
            Self::Export(export) => export.run(&target, console).await,
            Self::Retention => capacity(&target, console).await,
        };
        let closed = target.close().await;
        let exit = outcome?;
        closed.map(|()| exit)
    }
}

impl Export {
    async fn run(&self, target: &Target, console: &Console) -> Result<Exit, Failure> {
        let (selection, dir) = self.selection()?;
        let num_files = backup::export(target, selection, dir).await?;
        if console.json {
            console.value(&json!({ "path": dir, "num_files": num_files }))?;
            return Ok(Exit::Success);
        }
        console.say(&format!("{num_files} files; check them with `moneta-verify export {}`", dir.display()));
        Ok(Exit::Success)
    }

    /// What to export, and where to.
    fn selection(&self) -> Result<(ExportSelection, &Path), Failure> {
        match (self.case, &self.places[..]) {
            (Some(number), [dir]) => Ok((ExportSelection::Case { number }, Path::new(dir))),
            (None, [table, dir]) => {
                let table = TableName::new(table).map_err(|error| Failure::usage(error.to_string()))?;
                let selection =
                    ExportSelection::Table { table, from: time(self.from.as_deref())?, to: time(self.to.as_deref())? };
                Ok((selection, Path::new(dir)))
            }
            _ => Err(Failure::usage("name a table and a directory, or --case, its number and a directory")),
        }
    }
}

fn time(text: Option<&str>) -> Result<Option<Timestamp>, Failure> {
    let parse =
        |text| Timestamp::parse(text).ok_or_else(|| Failure::usage(format!("{text:?} is not a time: write RFC 3339")));
    text.map(parse).transpose()
}

impl Hold {
    async fn place(&self, target: &Target, console: &Console) -> Result<Exit, Failure> {
        let request = HoldRequest {
            table: self.table.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            reason: self.reason.clone(),
        };
        place_hold(target, &self.name, &request).await?;
        console.say(&format!("the hold {} is in force", self.name));
        Ok(Exit::Success)
    }
}

/// Places a hold.
///
/// # Errors
/// When it cannot be, or its name is taken.
pub async fn place_hold(target: &Target, name: &str, request: &HoldRequest) -> Result<(), Failure> {
    match target {
        Target::Server(client) => client.put(&format!("v1/holds/{name}"), &json!(request)).await.map(drop),
        Target::Directory(node) => {
            let placed = node.operations().place_hold(&local_context(), name.to_owned(), request.clone()).await;
            Ok(placed.map(drop)?)
        }
    }
}

async fn release(target: &Target, name: &str, reason: &str, console: &Console) -> Result<Exit, Failure> {
    let is_released = match target {
        Target::Server(client) => {
            client.post(&format!("v1/holds/{name}/release"), &json!({ "reason": reason })).await.map(|_| true)?
        }
        Target::Directory(node) => {
            node.operations().release_hold(&local_context(), name.to_owned(), reason.to_owned()).await?
        }
    };
    if !is_released {
        return Err(Failure::usage(format!("there is no hold named {name:?}")));
    }
    console.say(&format!("the hold {name} is released"));
    Ok(Exit::Success)
}

async fn list(target: &Target, console: &Console) -> Result<Exit, Failure> {
    let holds = match target {
        Target::Server(client) => client.get("v1/holds").await?,
        Target::Directory(node) => json!(node.operations().holds(&local_context()).await?),
    };
    let columns = ["name", "table", "from", "to", "reason", "placed_by", "placed_at"];
    console.grid(&Grid::of(&holds, &columns), console.format(None))?;
    Ok(Exit::Success)
}

async fn capacity(target: &Target, console: &Console) -> Result<Exit, Failure> {
    let status = status::read(target).await?;
    let columns = [
        "name",
        "num_rows",
        "segment_bytes",
        "oldest_day",
        "retention_days",
        "held_days",
        "bytes_per_day",
        "forecast_bytes",
    ];
    console.grid(&Grid::of(&status["tables"], &columns), console.format(None))?;
    match status["disk"]["days_until_full"].as_u64() {
        Some(days) => console.say(&format!("at this rate the disk is full in {days} days")),
        None => console.say("at this rate the disk does not fill up"),
    }
    Ok(Exit::Success)
}
