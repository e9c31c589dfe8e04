//! `moneta quarantine`: records that could not be parsed.

use clap::Subcommand;
use moneta_base::{Seq, TableName};
use moneta_ports::operations::ReplaySelection;
use serde_json::json;

use crate::arguments::Global;
use crate::commands::query;
use crate::commands::rules::to_value;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::target::{Missing, Target, local_context};

/// List or replay records that could not be parsed.
#[derive(Debug, Subcommand)]
pub enum Quarantine {
    /// List the newest.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 100, value_name = "N")]
        take: u32,
        /// Only those with this reason code, such as `too_long`.
        #[arg(long, value_name = "CODE")]
        reason: Option<String>,
    },
    /// Decode them again, after a parser or mapping was mended. Stores nothing twice.
    Replay(Replay),
}

/// Which records to decode again, and how.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// All of them.
    #[arg(long, conflicts_with_all = ["seqs", "format", "reason", "source"])]
    all: bool,
    /// Those that this format refused.
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Those refused for this reason, by its code.
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Those of this source.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Decode them as this format: they were taken for another.
    #[arg(long = "as", value_name = "FORMAT")]
    as_format: Option<String>,
    /// Store all of them in this table.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Those with these `_Seq` in `Quarantine`.
    #[arg(required_unless_present_any = ["all", "format", "reason", "source"], value_name = "SEQ")]
    seqs: Vec<Seq>,
}

impl Quarantine {
    /// Does it.
    ///
    /// # Errors
    /// When the quarantine cannot be read, or events cannot be stored.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let target = Target::open(global, Missing::Refuse).await?;
        let outcome = match self {
            Self::List { take, reason } => list(&target, *take, reason.as_deref(), console).await,
            Self::Replay(which) => replay(&target, which, console).await,
        };
        let closed = target.close().await;
        let exit = outcome?;
        closed.map(|()| exit)
    }
}

async fn list(target: &Target, take: u32, reason: Option<&str>, console: &Console) -> Result<Exit, Failure> {
    let filter = match reason {
        Some(code) if code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
            format!("| where ReasonCode == '{code}' ")
        }
        Some(code) => return Err(Failure::usage(format!("{code:?} is not a reason code"))),
        None => String::new(),
    };
    let columns = "_Seq, _IngestTime, _Source, Format, TargetTable, ReasonCode, Reason, Offset, SizeBytes";
    let grid = query::ask(target, &format!("Quarantine {filter}| top {take} by _Seq desc | project {columns}")).await?;
    console.grid(&grid, console.format(None))?;
    Ok(Exit::Success)
}

async fn replay(target: &Target, replay: &Replay, console: &Console) -> Result<Exit, Failure> {
    let Replay { all, format, reason, source, as_format, table, seqs } = replay;
    let report = match target {
        Target::Server(client) => {
            let body = json!({
                "all": all, "seqs": seqs, "format": format, "reason": reason, "source": source,
                "as_format": as_format, "as_table": table,
            });
            client.post("v1/quarantine/replay", &body).await?
        }
        Target::Directory(node) => {
            let as_table = table.as_deref().map(TableName::new).transpose();
            let as_table = as_table.map_err(|error| Failure::usage(error.to_string()))?;
            let selection = ReplaySelection {
                seqs: seqs.clone(),
                format: format.clone(),
                reason_code: reason.clone(),
                source: source.clone(),
                as_format: as_format.clone(),
                as_table,
            };
            to_value(&node.operations().replay_quarantine(&local_context(), selection).await?)?
        }
    };
    if console.json {
        console.value(&report)?;
    } else {
        console.line(&format!(
            "{} events stored, {} records refused again",
            report["num_stored"], report["num_refused"]
        ))?;
    }
    Ok(Exit::Success)
}
