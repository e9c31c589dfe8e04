//! `moneta alerts`: where alerts go, and whether they get there.

use clap::Subcommand;
use serde_json::json;

use super::rules::to_value;
use crate::arguments::Global;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::{Format, Grid, visible};
use crate::target::{Missing, Target, local_context};

/// Show the channels that alerts go to, and try them.
#[derive(Debug, Subcommand)]
pub enum Alerts {
    /// List the channels with what they delivered since the start.
    Channels {
        /// How to print them. A table on a terminal, NDJSON into a pipe.
        #[arg(long, value_enum, value_name = "FORMAT")]
        format: Option<Format>,
    },
    /// Send a test alert to a channel, once and at once.
    Test {
        /// Its name.
        #[arg(value_name = "CHANNEL")]
        channel: String,
    },
}

impl Alerts {
    /// Does it; negative when the receiver did not take the test.
    ///
    /// # Errors
    /// When there is no such channel, or the server cannot be used.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let target = Target::open(global, Missing::Refuse).await?;
        let outcome = match self {
            Self::Channels { format } => list(&target, *format, console).await,
            Self::Test { channel } => test(&target, channel, console).await,
        };
        let closed = target.close().await;
        let exit = outcome?;
        closed.map(|()| exit)
    }
}

async fn list(target: &Target, format: Option<Format>, console: &Console) -> Result<Exit, Failure> {
    let channels = match target {
        Target::Server(client) => client.get("v1/channels").await?["channels"].take(),
        Target::Directory(node) => to_value(&node.channels().channels())?,
    };
    let columns = ["name", "kind", "level_min", "delivered", "retried", "given_up", "last_error"];
    console.grid(&Grid::of(&channels, &columns), console.format(format))?;
    Ok(Exit::Success)
}

async fn test(target: &Target, channel: &str, console: &Console) -> Result<Exit, Failure> {
    let tested = match target {
        Target::Server(client) => client.post(&format!("v1/channels/{channel}/test"), &json!({})).await?,
        Target::Directory(node) => match node.channels().test(&local_context(), channel).await? {
            Some(tested) => to_value(&tested)?,
            None => {
                return Err(Failure::usage(format!("there is no channel {channel:?}"))
                    .advise("`moneta alerts channels` lists them"));
            }
        },
    };
    let delivered = tested["delivered"] == true;
    if console.json {
        console.value(&tested)?;
    } else if delivered {
        console.say(&format!("{} took the test in {} ms", visible(channel), tested["elapsed_ms"]));
    } else {
        let reason = visible(tested["reason"].as_str().unwrap_or_default());
        console.complain(&format!("{} did not take the test: {reason}", visible(channel)));
    }
    Ok(Exit::negative_unless(delivered))
}
