//! `moneta retention`: how long tables are kept.

use clap::Subcommand;
use moneta_base::TableName;
use moneta_ports::operations::retention_preset;
use serde_json::json;

use crate::arguments::Global;
use crate::commands::status;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::target::{Missing, Target, local_context};

/// Show or set how long tables are kept.
#[derive(Debug, Subcommand)]
pub enum Retention {
    /// Show the days of every table with rows.
    Show,
    /// Set the days of a table. Older days are dropped for good at the next look.
    Set {
        /// The table.
        #[arg(value_name = "TABLE")]
        table: String,
        /// Days, at least 1; `90d`, `180d` or `m-21-31`; or `default` for the configured ones.
        #[arg(value_name = "DAYS")]
        days: String,
        /// Really, when the new number drops days that are kept now.
        #[arg(long, short)]
        yes: bool,
    },
}

impl Retention {
    /// Does it.
    ///
    /// # Errors
    /// When it is not allowed, or the change cannot be made.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let target = Target::open(global, Missing::Refuse).await?;
        let outcome = match self {
            Self::Show => show(&target, console).await,
            Self::Set { table, days, yes } => set(&target, table, days, *yes, console).await,
        };
        let closed = target.close().await;
        let exit = outcome?;
        closed.map(|()| exit)
    }
}

async fn show(target: &Target, console: &Console) -> Result<Exit, Failure> {
    console.grid(&status::retention(&status::read(target).await?), console.format(None))?;
    Ok(Exit::Success)
}

async fn set(target: &Target, table: &str, days: &str, yes: bool, console: &Console) -> Result<Exit, Failure> {
    let name = TableName::new(table).map_err(|error| Failure::usage(error.to_string()))?;
    let days = parse_days(days)?;
    refuse_surprise(target, table, days, yes).await?;
    put(target, &name, days).await?;
    let text = days.map_or_else(|| "the configured number of".to_owned(), |days| days.to_string());
    console.say(&format!("{table} is kept for {text} days"));
    Ok(Exit::Success)
}

/// Sets the days of a table; `None` goes back to the configured ones.
///
/// # Errors
/// When the change cannot be made.
pub async fn put(target: &Target, table: &TableName, days: Option<u32>) -> Result<(), Failure> {
    match target {
        Target::Server(client) => {
            client.put(&format!("v1/tables/{table}/retention"), &json!({ "days": days })).await.map(drop)
        }
        Target::Directory(node) => Ok(node.operations().set_retention(&local_context(), table.clone(), days).await?),
    }
}

/// What is dropped does not come back: fewer days than now must be confirmed.
async fn refuse_surprise(target: &Target, table: &str, days: Option<u32>, yes: bool) -> Result<(), Failure> {
    let (Some(days), false) = (days, yes) else { return Ok(()) };
    let status = status::read(target).await?;
    let tables = status["tables"].as_array().cloned().unwrap_or_default();
    let now = tables
        .iter()
        .find(|found| found["name"] == table)
        .map(|found| found["retention_days"].as_u64().unwrap_or(u64::MAX));
    match now {
        Some(now) if u64::from(days) < now => {
            Err(Failure::usage(format!("{table} is kept longer now; its older days would be dropped for good"))
                .advise("add --yes if that is meant"))
        }
        _ => Ok(()),
    }
}

fn parse_days(text: &str) -> Result<Option<u32>, Failure> {
    match text.parse() {
        _ if text == "default" => Ok(None),
        Ok(days) if days > 0 => Ok(Some(days)),
        _ => match retention_preset(text) {
            Some(days) => Ok(Some(days)),
            None => Err(Failure::usage(format!("{text:?} is not a number of days"))
                .advise("a number from 1, `90d`, `180d`, `m-21-31`, or `default`")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_a_number_from_one_or_the_default() {
        assert_eq!(parse_days("30").unwrap(), Some(30));
        assert_eq!(parse_days("default").unwrap(), None);
        assert_eq!((parse_days("180d").unwrap(), parse_days("m-21-31").unwrap()), (Some(180), Some(915)));
        for bad in ["0", "-1", "many", "", "d", "7d"] {
            assert!(parse_days(bad).is_err(), "{bad}");
        }
    }
}
