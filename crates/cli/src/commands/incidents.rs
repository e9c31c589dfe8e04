//! `moneta incidents`: alerts that belong together, and what people make of them.

use clap::Subcommand;
use moneta_ports::{
    Classification, FalsePositiveCause, IncidentChange, IncidentError, IncidentFilter, IncidentSeverity,
    IncidentStatus, Verdict,
};
use serde_json::{Value, json};

use super::rules::to_value;
use crate::arguments::Global;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::{Format, Grid, visible};
use crate::target::{Missing, Target, local_context};

/// Events of an alert that `show` names.
const EVENTS_SHOWN_MAX: usize = 5;

/// List, read, take, comment on, judge and close incidents.
#[derive(Debug, Subcommand)]
pub enum Incidents {
    /// List incidents, the newest first.
    List {
        /// Which: open, new, active, closed or all.
        #[arg(long, default_value = "open")]
        status: String,
        /// At least so bad: Informational, Low, Medium or High.
        #[arg(long, value_parser = severity)]
        severity: Option<IncidentSeverity>,
        /// Of this owner; an empty text means nobody's.
        #[arg(long)]
        owner: Option<String>,
        /// With an alert of this rule.
        #[arg(long, value_name = "ID")]
        rule: Option<String>,
        /// With this text in the title.
        #[arg(long)]
        text: Option<String>,
        /// At most so many, 1 to 500.
        #[arg(long, default_value_t = 100, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
        /// Only those with a smaller number: the next page.
        #[arg(long, value_name = "NUMBER")]
        before: Option<u64>,
        /// How to print them. A table on a terminal, NDJSON into a pipe.
        #[arg(long, value_enum, value_name = "FORMAT")]
        format: Option<Format>,
    },
    /// Show an incident with its alerts, evidence and history.
    Show {
        /// Its number.
        number: u64,
    },
    /// List the hosts, accounts and addresses that most speaks against.
    Risks {
        /// How many days back, 1 to 90.
        #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u64).range(1..=90))]
        days: u64,
        /// At most so many, 1 to 500.
        #[arg(long, default_value_t = 20, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// Say who works on an incident.
    Assign {
        /// Its number.
        number: u64,
        /// Who; an empty text for nobody.
        owner: String,
        #[command(flatten)]
        version: Version,
    },
    /// Add a remark to an incident.
    Comment {
        /// Its number.
        number: u64,
        /// The remark.
        text: String,
    },
    /// Change severity, status or labels of an incident.
    Set {
        /// Its number.
        number: u64,
        /// Informational, Low, Medium or High.
        #[arg(long, value_parser = severity)]
        severity: Option<IncidentSeverity>,
        /// New or Active; a closed incident is opened again.
        #[arg(long, value_parser = status)]
        status: Option<IncidentStatus>,
        /// A label; may be repeated, and replaces those there are. An empty text alone removes all.
        #[arg(long)]
        label: Vec<String>,
        #[command(flatten)]
        version: Version,
    },
    /// Close incidents with a judgement.
    Close {
        /// Their numbers.
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<u64>,
        /// TruePositive, BenignPositive, FalsePositive or Undetermined.
        #[arg(long = "as", value_name = "CLASSIFICATION", value_parser = classification)]
        classification: Classification,
        /// Why.
        #[arg(long)]
        reason: String,
        /// What was wrong, of false positives: IncorrectAlertLogic or InaccurateData.
        #[arg(long, value_parser = cause)]
        cause: Option<FalsePositiveCause>,
        #[command(flatten)]
        version: Version,
    },
}

/// Which version the change is based on.
#[derive(Debug, clap::Args)]
pub struct Version {
    /// Change only this version; the one of now when absent.
    #[arg(long, value_name = "VERSION")]
    at_version: Option<u64>,
}

fn severity(text: &str) -> Result<IncidentSeverity, String> {
    IncidentSeverity::parse(text).ok_or_else(|| "Informational, Low, Medium or High".to_owned())
}

fn status(text: &str) -> Result<IncidentStatus, String> {
    let open = IncidentStatus::parse(text).filter(|status| *status != IncidentStatus::Closed);
    open.ok_or_else(|| "New or Active; `moneta incidents close` closes".to_owned())
}

fn classification(text: &str) -> Result<Classification, String> {
    Classification::parse(text).ok_or_else(|| "TruePositive, BenignPositive, FalsePositive or Undetermined".to_owned())
}

fn cause(text: &str) -> Result<FalsePositiveCause, String> {
    FalsePositiveCause::parse(text).ok_or_else(|| "IncorrectAlertLogic or InaccurateData".to_owned())
}

impl Incidents {
    /// Does it; negative when some of several incidents were not closed.
    ///
    /// # Errors
    /// When there is no such incident, the change is refused, or the store cannot be used.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let target = Target::open(global, Missing::Refuse).await?;
        let outcome = self.on(&target, console).await;
        let closed = target.close().await;
        let exit = outcome?;
        closed.map(|()| exit)
    }

    async fn on(&self, target: &Target, console: &Console) -> Result<Exit, Failure> {
        let none = IncidentChange::default();
        match self {
            Self::List { .. } => self.list(target, console).await,
            Self::Show { number } => show(target, *number, console).await,
            Self::Risks { days, limit } => risks(target, *days, *limit, console).await,
            Self::Assign { number, owner, version } => {
                let wanted = IncidentChange { owner: Some(owner.clone()), ..none };
                change(target, *number, version.at_version, wanted, console).await
            }
            Self::Comment { number, text } => {
                let wanted = IncidentChange { comment: Some(text.clone()), ..none };
                change(target, *number, None, wanted, console).await
            }
            Self::Set { number, severity, status, label, version } => {
                let labels = match label.as_slice() {
                    [] => None,
                    [none] if none.is_empty() => Some(Vec::new()),
                    some => Some(some.to_vec()),
                };
                let wanted = IncidentChange { severity: *severity, status: *status, labels, ..none };
                change(target, *number, version.at_version, wanted, console).await
            }
            Self::Close { numbers, classification, reason, cause, version } => {
                let verdict = Verdict { classification: *classification, reason: reason.clone(), cause: *cause };
                if version.at_version.is_some() && numbers.len() > 1 {
                    return Err(Failure::usage("--at-version goes with one incident"));
                }
                let mut all = true;
                for number in numbers {
                    let wanted = IncidentChange { verdict: Some(verdict.clone()), ..IncidentChange::default() };
                    match change(target, *number, version.at_version, wanted, console).await {
                        Ok(_) => {}
                        Err(failure) if numbers.len() == 1 => return Err(failure),
                        Err(failure) => {
                            failure.report(console);
                            all = false;
                        }
                    }
                }
                Ok(Exit::negative_unless(all))
            }
        }
    }

    async fn list(&self, target: &Target, console: &Console) -> Result<Exit, Failure> {
        let Self::List { status, severity, owner, rule, text, limit, before, format } = self else {
            return Ok(Exit::Success);
        };
        let page = match target {
            Target::Server(client) => {
                let mut parameters = vec![("status", status.clone()), ("limit", limit.to_string())];
                parameters.extend(before.map(|before| ("before", before.to_string())));
                parameters.extend(severity.map(|severity| ("severity", severity.to_string())));
                let texts = [("owner", owner), ("rule", rule), ("text", text)];
                parameters.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))));
                client.get_with("v1/incidents", &parameters).await?
            }
            Target::Directory(node) => {
                let filter = IncidentFilter {
                    statuses: statuses(status)?,
                    severity_min: *severity,
                    owner: owner.clone(),
                    rule_id: rule.clone(),
                    text: text.clone(),
                    before: *before,
                    limit: usize::from(*limit),
                };
                to_value(&node.incidents().list(&filter)?)?
            }
        };
        let columns = ["number", "severity", "status", "owner", "title", "alerts", "created", "last_activity"];
        let row = |incident: &Value| {
            let cell = |column: &&str| match *column {
                "alerts" => json!(incident["alert_ids"].as_array().map_or(0, Vec::len)),
                column => incident[column].clone(),
            };
            columns.iter().map(cell).collect()
        };
        let rows = page["incidents"].as_array().into_iter().flatten().map(row).collect();
        let columns = columns.map(str::to_owned).to_vec();
        console.grid(&Grid { columns, rows }, console.format(*format))?;
        if !page["next"].is_null() {
            console.say(&format!("there are more than {limit}; --before {} lists the next", page["next"]));
        }
        Ok(Exit::Success)
    }
}

fn statuses(word: &str) -> Result<Vec<IncidentStatus>, Failure> {
    match word {
        "open" => Ok(vec![IncidentStatus::New, IncidentStatus::Active]),
        "all" => Ok(Vec::new()),
        word => IncidentStatus::parse(word)
            .map(|status| vec![status])
            .ok_or_else(|| Failure::unknown("status", word, ["open", "new", "active", "closed", "all"])),
    }
}

async fn change(
    target: &Target,
    number: u64,
    version: Option<u64>,
    wanted: IncidentChange,
    console: &Console,
) -> Result<Exit, Failure> {
    let incident = match target {
        Target::Server(client) => {
            let path = format!("v1/incidents/{number}");
            client.patch(&path, version, &body(&wanted)).await?["incident"].take()
        }
        Target::Directory(node) => {
            let changed = node.incidents().change(&local_context(), number, version, wanted).await;
            to_value(&changed.map_err(failure)?)?
        }
    };
    if console.json {
        console.value(&incident)?;
    } else {
        let text = |member: &str| visible(incident[member].as_str().unwrap_or_default());
        console.say(&format!("incident {number}: {}, {}, owner {:?}", text("status"), text("severity"), text("owner")));
    }
    Ok(Exit::Success)
}

/// A change as the server takes it.
fn body(wanted: &IncidentChange) -> Value {
    let mut body = json!({
        "owner": wanted.owner, "severity": wanted.severity, "status": wanted.status, "labels": wanted.labels,
        "comment": wanted.comment,
    });
    if let Some(verdict) = &wanted.verdict {
        body["classification"] = json!(verdict.classification);
        body["reason"] = json!(verdict.reason);
        body["cause"] = json!(verdict.cause);
    }
    body
}

fn failure(error: IncidentError) -> Failure {
    match error {
        IncidentError::Failed(error) => error.into(),
        other => Failure::usage(other.to_string()),
    }
}

async fn show(target: &Target, number: u64, console: &Console) -> Result<Exit, Failure> {
    let details = match target {
        Target::Server(client) => client.get(&format!("v1/incidents/{number}")).await?,
        Target::Directory(node) => match node.incidents().get(number)? {
            Some(details) => to_value(&details)?,
            None => return Err(failure(IncidentError::NotFound(number))),
        },
    };
    if console.json {
        console.value(&details)?;
    } else {
        print(&details, console)?;
    }
    Ok(Exit::Success)
}

fn print(details: &Value, console: &Console) -> Result<(), Failure> {
    let text = |value: &Value| visible(value.as_str().unwrap_or_default());
    let incident = &details["incident"];
    console.line(&format!(
        "{} {} ({}, {}, version {})",
        incident["number"],
        text(&incident["title"]),
        text(&incident["severity"]),
        text(&incident["status"]),
        incident["version"]
    ))?;
    console.line(&format!("owner {:?}, created {}", text(&incident["owner"]), text(&incident["created"])))?;
    if !incident["verdict"].is_null() {
        let verdict = &incident["verdict"];
        console.line(&format!("{}: {}", text(&verdict["classification"]), text(&verdict["reason"])))?;
    }
    console.line("alerts")?;
    for alert in details["alerts"].as_array().into_iter().flatten() {
        console.line(&format!(
            "  {} {} {} (rule {} by {})",
            text(&alert["raised"]),
            text(&alert["severity"]),
            text(&alert["title"]),
            text(&alert["rule_id"]),
            text(&alert["rule_author"])
        ))?;
        let events = alert["events"].as_array().cloned().unwrap_or_default();
        for event in events.iter().take(EVENTS_SHOWN_MAX) {
            console.line(&format!("    {} {}", text(&event["table"]), event["seq"]))?;
        }
        if events.len() > EVENTS_SHOWN_MAX {
            console.line(&format!("    and {} more; --json lists them", events.len() - EVENTS_SHOWN_MAX))?;
        }
    }
    console.line("history")?;
    for done in details["activity"].as_array().into_iter().flatten() {
        let (at, actor) = (text(&done["at"]), text(&done["actor"]));
        console.line(&format!("  {at} {actor} {} {}", text(&done["action"]), text(&done["text"])))?;
    }
    Ok(())
}

async fn risks(target: &Target, days: u64, limit: u16, console: &Console) -> Result<Exit, Failure> {
    let risks = match target {
        Target::Server(client) => {
            let parameters = [("days", days.to_string()), ("limit", limit.to_string())];
            client.get_with("v1/risks", &parameters).await?["risks"].take()
        }
        Target::Directory(node) => {
            let now = moneta_base::Clock::now(&moneta_host::SystemClock::default());
            let since = now.saturating_sub(std::time::Duration::from_secs(days * 86_400));
            to_value(&node.incidents().risks(since, usize::from(limit))?)?
        }
    };
    let columns = ["entity", "score", "alerts", "rule_ids", "incidents", "last"];
    console.grid(&Grid::of(&risks, &columns), console.format(None))?;
    Ok(Exit::Success)
}
