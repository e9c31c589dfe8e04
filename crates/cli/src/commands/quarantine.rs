//! `moneta quarantine`: records that could not be parsed.

use clap::Subcommand;
use moneta_base::Seq;
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
    Replay {
        /// All of them.
        #[arg(long, conflicts_with = "seqs")]
        all: bool,
        /// Those with these `_Seq` in `Quarantine`.
        #[arg(required_unless_present = "all", value_name = "SEQ")]
        seqs: Vec<Seq>,
    },
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
            Self::Replay { seqs, .. } => replay(&target, seqs, console).await,
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

async fn replay(target: &Target, seqs: &[Seq], console: &Console) -> Result<Exit, Failure> {
    let report = match target {
        Target::Server(client) => {
            let body = if seqs.is_empty() { json!({ "all": true }) } else { json!({ "seqs": seqs }) };
            client.post("v1/quarantine/replay", &body).await?
        }
        Target::Directory(node) => {
            let selection = if seqs.is_empty() { ReplaySelection::All } else { ReplaySelection::Seqs(seqs.to_vec()) };
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
