//! `moneta rules list` and `show`: rules, and what people made of their alerts.

use serde_json::{Value, json};

use super::to_value;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::{Grid, visible};
use crate::target::{Target, local_context};

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
    let columns = [
        "rule_id",
        "title",
        "level",
        "log_source",
        "author",
        "enabled",
        "problem",
        "alerts",
        "precision",
        "seconds_to_detect",
    ];
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
    let mut shown = match target {
        Target::Server(client) => client.get(&format!("v1/rules/{rule_id}")).await?,
        Target::Directory(node) => {
            let missing = || Failure::usage(format!("there is no rule with the id {rule_id:?}"));
            let source = node.rules().source(rule_id)?.ok_or_else(missing)?;
            let rule = node.rules().list().into_iter().find(|rule| rule.rule_id == rule_id);
            let judgement = node.incidents().judgements(Some(rule_id))?.remove(rule_id).unwrap_or_default();
            json!({ "rule": rule, "source": source, "judgement": judgement })
        }
    };
    if is_to_be_tuned(&shown) {
        shown["tuning"] = tuning(target, rule_id).await?;
    }
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
        match (&rule["problem"], &rule["enabled"]) {
            (Value::String(problem), _) => format!("does not run: {}", visible(problem)),
            (_, Value::Bool(true)) => "runs".to_owned(),
            _ => "is disabled".to_owned(),
        }
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
    for line in tuning_lines(rule_id, &shown["tuning"]) {
        console.line(&visible(&line))?;
    }
    Ok(Exit::Success)
}

/// Whether the rule runs and people judged alerts of it wrong.
fn is_to_be_tuned(shown: &Value) -> bool {
    let wrong = ["false_positive", "benign_positive"];
    shown["rule"]["enabled"] == true && wrong.iter().any(|verdict| shown["judgement"][*verdict] != 0)
}

async fn tuning(target: &Target, rule_id: &str) -> Result<Value, Failure> {
    match target {
        Target::Server(client) => client.get(&format!("v1/rules/{rule_id}/tuning")).await,
        Target::Directory(node) => {
            let judged = node.incidents().judged_alerts(rule_id)?;
            to_value(&node.rules().tuning(&local_context(), rule_id, judged).await?)
        }
    }
}

/// The hints, each with the command that makes its exception.
fn tuning_lines(rule_id: &str, tuning: &Value) -> Vec<String> {
    let hints = tuning["hints"].as_array().into_iter().flatten();
    let line = |hint: &Value| {
        let removes = counts(&hint["removes"]);
        let conditions = hint["conditions"].as_array().into_iter().flatten();
        let wheres = conditions.flat_map(|condition| {
            let field = condition["field"].as_str().unwrap_or_default();
            let values = condition["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
            values.map(|value| format!(" --where {}", quoted(&format!("{field}={value}")))).collect::<Vec<_>>()
        });
        let wheres: String = wheres.collect();
        [
            format!("# hint: of {} replayed alerts this would take away {removes}:", counts(&tuning["replayed"])),
            format!("#   moneta rules except {}{wheres} --reason REASON --days 90", quoted(rule_id)),
        ]
    };
    hints.flat_map(line).collect()
}

/// Counts of verdicts that are not zero, in words.
fn counts(counts: &Value) -> String {
    let words = [
        ("true_positive", "true"),
        ("benign_positive", "benign"),
        ("false_positive", "false"),
        ("undetermined", "undetermined"),
        ("open", "open"),
    ];
    let counted = words.iter().filter(|(member, _)| counts[*member].as_u64().is_some_and(|count| count > 0));
    let counted: Vec<String> = counted.map(|(member, word)| format!("{} {word}", counts[*member])).collect();
    if counted.is_empty() { "none".to_owned() } else { counted.join(", ") }
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_a_command_that_can_be_pasted() {
        let tuning = json!({
            "replayed": { "true_positive": 1, "benign_positive": 0, "false_positive": 3 },
            "hints": [{
                "conditions": [{ "field": "User", "test": "equals", "values": ["o'neil", "svc"] }],
                "removes": { "true_positive": 0, "false_positive": 2, "open": 1 },
            }],
        });
        assert_eq!(
            tuning_lines("r1", &tuning),
            [
                "# hint: of 1 true, 3 false replayed alerts this would take away 2 false, 1 open:",
                "#   moneta rules except r1 --where 'User=o'\\''neil' --where User=svc --reason REASON --days 90",
            ]
        );
        assert!(tuning_lines("r1", &Value::Null).is_empty());
    }
}
