//! `moneta rules list` and `show`: rules, and what people made of their alerts.

use serde_json::{Value, json};

use super::to_value;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::{Grid, visible};
use crate::target::Target;

/// Lists the rules.
///
/// # Errors
/// When they cannot be read.
pub async fn list(target: &Target, console: &Console) -> Result<Exit, Failure> {
    let rules = match target {
        Target::Server(client) => client.get("v1/rules").await?["rules"].take(),
        Target::Directory(node) => {
            let mut judgements = node.incidents().judgements(None)?;
            let mut rules = to_value(&node.rules().list())?;
            for rule in rules.as_array_mut().into_iter().flatten() {
                let id = rule["rule_id"].as_str().unwrap_or_default();
                rule["judgement"] = to_value(&judgements.remove(id).unwrap_or_default())?;
            }
            rules
        }
    };
    let columns =
        ["rule_id", "title", "level", "log_source", "author", "enabled", "alerts", "precision", "seconds_to_detect"];
    let row = |rule: &Value| {
        let judgement = &rule["judgement"];
        let cell = |column: &&str| match *column {
            "alerts" | "precision" => judgement[*column].clone(),
            "seconds_to_detect" => judgement["median_seconds_to_detect"].clone(),
            column => rule[column].clone(),
        };
        columns.iter().map(cell).collect()
    };
    let rows = rules.as_array().into_iter().flatten().map(row).collect();
    console.grid(&Grid { columns: columns.map(str::to_owned).to_vec(), rows }, console.format(None))?;
    Ok(Exit::Success)
}

/// Shows one rule.
///
/// # Errors
/// When there is none of that id.
pub async fn show(target: &Target, rule_id: &str, console: &Console) -> Result<Exit, Failure> {
    let shown = match target {
        Target::Server(client) => client.get(&format!("v1/rules/{rule_id}")).await?,
        Target::Directory(node) => {
            let missing = || Failure::usage(format!("there is no rule with the id {rule_id:?}"));
            let source = node.rules().source(rule_id)?.ok_or_else(missing)?;
            let rule = node.rules().list().into_iter().find(|rule| rule.rule_id == rule_id);
            let judgement = node.incidents().judgements(Some(rule_id))?.remove(rule_id).unwrap_or_default();
            json!({ "rule": rule, "source": source, "judgement": judgement })
        }
    };
    if console.json {
        console.value(&shown)?;
        return Ok(Exit::Success);
    }
    let text = |value: &Value| visible(value.as_str().unwrap_or_default());
    let (rule, source, judgement) = (&shown["rule"], &shown["source"], &shown["judgement"]);
    for line in source["text"].as_str().unwrap_or_default().lines() {
        console.line(&visible(line))?;
    }
    console.line(&format!(
        "# {}, added by {} at {}, {}",
        text(&source["file"]),
        text(&source["added_by"]),
        text(&source["added_at"]),
        if rule["enabled"] == true { "runs" } else { "does not run" }
    ))?;
    let pack = &source["pack"];
    if pack.is_object() {
        console.line(&format!(
            "# of the rule pack {} version {} by {}, signed by {}",
            text(&pack["name"]),
            pack["version"],
            text(&pack["author"]),
            text(&pack["signer"])
        ))?;
    }
    console.line(&format!(
        "# {} alerts; incidents: {} open, {} true, {} benign, {} false, {} undetermined; precision {}",
        judgement["alerts"],
        judgement["open"],
        judgement["true_positive"],
        judgement["benign_positive"],
        judgement["false_positive"],
        judgement["undetermined"],
        judgement["precision"].as_f64().map_or_else(|| "not known".to_owned(), |share| format!("{share:.2}"))
    ))?;
    if let Some(seconds) = judgement["median_seconds_to_detect"].as_f64() {
        console.line(&format!("# half of the alerts came within {seconds:.3} s of their last event"))?;
    }
    Ok(Exit::Success)
}
