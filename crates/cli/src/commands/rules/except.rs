//! `moneta rules except`: events of a rule that are known and expected, until a day.

use std::time::Duration;

use clap::Args;
use moneta_base::{Clock, Timestamp};
use moneta_host::SystemClock;
use moneta_ports::{ExceptionCondition, NewException};
use serde_json::json;

use super::to_value;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::{Grid, visible};
use crate::target::{Target, local_context};

/// Except known events of a rule until a day, or see what that would take away.
#[derive(Debug, Args)]
pub struct Except {
    /// The rule's id.
    #[arg(value_name = "ID")]
    rule_id: String,
    /// A condition, `Field=value` or `Field|contains=value` (also startswith, endswith, cidr). May be repeated: all must
    /// hold, and several values of one field are alternatives.
    #[arg(long = "where", required = true, value_name = "FIELD=VALUE", value_parser = parse_condition)]
    conditions: Vec<(String, String, String)>,
    /// Why.
    #[arg(long, required_unless_present = "preview")]
    reason: Option<String>,
    /// For how many days, 1 to 366.
    #[arg(long, required_unless_present = "preview", value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=366))]
    days: Option<u64>,
    /// Only say what it would take away of what is stored.
    #[arg(long)]
    preview: bool,
    /// Of a preview: the earliest event time.
    #[arg(long, requires = "preview", value_name = "TIME", value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Of a preview: the end of event times, not included.
    #[arg(long, requires = "preview", value_name = "TIME", value_parser = parse_time)]
    to: Option<Timestamp>,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "not a time such as 2026-01-31T00:00:00Z".to_owned())
}

/// Field, test and value.
fn parse_condition(text: &str) -> Result<(String, String, String), String> {
    let (field, value) = text.split_once('=').ok_or("not of the form Field=value")?;
    let (field, test) = field.split_once('|').unwrap_or((field, "equals"));
    Ok((field.to_owned(), test.to_owned(), value.to_owned()))
}

impl Except {
    /// Makes the exception, or previews it.
    ///
    /// # Errors
    /// When it is refused, or what is stored cannot be read.
    pub async fn run(&self, target: &Target, console: &Console) -> Result<Exit, Failure> {
        if self.preview {
            return self.preview(target, console).await;
        }
        let life = Duration::from_secs(self.days.unwrap_or(1) * 86_400);
        let expires = SystemClock::default().now().saturating_add(life);
        let (rule_id, conditions) = (self.rule_id.clone(), self.conditions());
        let reason = self.reason.clone().unwrap_or_default();
        let made = match target {
            Target::Server(client) => {
                let body = json!({ "rule_id": rule_id, "conditions": conditions, "reason": reason,
                    "expires": expires.to_string() });
                client.post("v1/exceptions", &body).await?
            }
            Target::Directory(node) => {
                let new = NewException { rule_id, conditions, reason, expires };
                to_value(&node.rules().except(&local_context(), new).await?)?
            }
        };
        if console.json {
            console.value(&made)?;
        } else {
            let text = |member: &str| visible(made[member].as_str().unwrap_or_default());
            console.say(&format!("exception {} holds until {}", text("id"), text("expires")));
        }
        Ok(Exit::Success)
    }

    /// One condition a field and test, with all its values.
    fn conditions(&self) -> Vec<ExceptionCondition> {
        let mut conditions: Vec<ExceptionCondition> = Vec::new();
        for (field, test, value) in &self.conditions {
            match conditions.iter_mut().find(|known| known.field == *field && known.test == *test) {
                Some(known) => known.values.push(value.clone()),
                None => conditions.push(ExceptionCondition {
                    field: field.clone(),
                    test: test.clone(),
                    values: vec![value.clone()],
                }),
            }
        }
        conditions
    }

    async fn preview(&self, target: &Target, console: &Console) -> Result<Exit, Failure> {
        let preview = match target {
            Target::Server(client) => {
                let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
                let body = json!({ "rule_id": self.rule_id, "conditions": self.conditions(), "from": time(self.from),
                    "to": time(self.to) });
                client.post("v1/exceptions/preview", &body).await?
            }
            Target::Directory(node) => {
                let (rules, times) = (node.rules(), (self.from, self.to));
                let conditions = self.conditions();
                to_value(&rules.preview_exception(&local_context(), &self.rule_id, conditions, times).await?)?
            }
        };
        if console.json {
            console.value(&preview)?;
            return Ok(Exit::Success);
        }
        let columns = ["time", "computer", "table", "seqs", "fields"];
        console.grid(&Grid::of(&preview["excepted"], &columns), console.format(None))?;
        console.say(&format!("{} of {} matches would go", preview["num_excepted"], preview["num_matches"]));
        Ok(Exit::Success)
    }
}

/// Lists the exceptions.
///
/// # Errors
/// When they cannot be read.
pub async fn list(target: &Target, console: &Console) -> Result<Exit, Failure> {
    let exceptions = match target {
        Target::Server(client) => client.get("v1/exceptions").await?["exceptions"].take(),
        Target::Directory(node) => to_value(&node.rules().exceptions()?)?,
    };
    let columns = ["id", "rule_id", "conditions", "reason", "author", "expires", "active"];
    console.grid(&Grid::of(&exceptions, &columns), console.format(None))?;
    Ok(Exit::Success)
}

/// Ends an exception.
///
/// # Errors
/// When there is none of that id.
pub async fn end(target: &Target, id: &str, console: &Console) -> Result<Exit, Failure> {
    match target {
        Target::Server(client) => client.delete(&format!("v1/exceptions/{id}")).await?,
        Target::Directory(node) => {
            if !node.rules().end_exception(&local_context(), id).await? {
                return Err(Failure::usage(format!("there is no exception {id:?}"))
                    .advise("`moneta rules exceptions` lists them"));
            }
        }
    }
    console.say(&format!("ended {}", visible(id)));
    Ok(Exit::Success)
}
