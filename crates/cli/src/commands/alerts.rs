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
    /// List the alerts that channels gave up and that were not taken since.
    Undelivered {
        /// How to print them. A table on a terminal, NDJSON into a pipe.
        #[arg(long, value_enum, value_name = "FORMAT")]
        format: Option<Format>,
    },
    /// Send undelivered alerts again, once and at once.
    Resend {
        /// Ids of alerts; all undelivered ones when absent.
        #[arg(value_name = "ALERT")]
        alerts: Vec<String>,
        /// Only those of this channel.
        #[arg(long, value_name = "NAME")]
        channel: Option<String>,
    },
}

impl Alerts {
    /// Does it; negative when a receiver did not take what was sent.
    ///
    /// # Errors
    /// When there is no such channel, or the server cannot be used.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let target = Target::open(global, Missing::Refuse).await?;
        let outcome = match self {
            Self::Channels { format } => list(&target, *format, console).await,
            Self::Test { channel } => test(&target, channel, console).await,
            Self::Undelivered { format } => undelivered(&target, *format, console).await,
            Self::Resend { alerts, channel } => resend(&target, alerts, channel.as_deref(), console).await,
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

async fn undelivered(target: &Target, format: Option<Format>, console: &Console) -> Result<Exit, Failure> {
    let alerts = match target {
        Target::Server(client) => client.get("v1/alerts/undelivered").await?["alerts"].take(),
        Target::Directory(node) => to_value(&node.channels().undelivered(&local_context()).await?)?,
    };
    let columns = ["given_up", "channel", "alert_id", "rule_title", "attempts", "reason"];
    console.grid(&Grid::of(&alerts, &columns), console.format(format))?;
    Ok(Exit::Success)
}

async fn resend(target: &Target, alerts: &[String], channel: Option<&str>, console: &Console) -> Result<Exit, Failure> {
    let sent = match target {
        Target::Server(client) => {
            let body = json!({ "channel": channel, "alerts": alerts });
            client.post("v1/alerts/undelivered/send", &body).await?["alerts"].take()
        }
        Target::Directory(node) => to_value(&node.channels().resend(&local_context(), channel, alerts).await?)?,
    };
    let all = sent.as_array().map(Vec::as_slice).unwrap_or_default();
    let taken = all.iter().filter(|one| one["delivered"] == true).count();
    if console.json {
        console.value(&sent)?;
    } else {
        for one in all.iter().filter(|one| one["delivered"] != true) {
            let text = |name: &str| visible(one[name].as_str().unwrap_or_default());
            console.complain(&format!("{} did not take {}: {}", text("channel"), text("alert_id"), text("reason")));
        }
        console.say(&format!("{taken} of {} taken", all.len()));
    }
    Ok(Exit::negative_unless(taken == all.len()))
}
