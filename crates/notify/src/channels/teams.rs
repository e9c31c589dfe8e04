//! Microsoft Teams: an Adaptive Card to a workflow's webhook.
//!
//! # Source
//! Microsoft, "Create incoming webhooks with Workflows" and the Adaptive Cards schema 1.4. Values stand in `TextRun`s, in
//! which nothing is markdown; a `TextBlock` would make links of them.

use moneta_base::{Level, Timestamp};
use moneta_ports::{Alert, BoxFuture};
use serde_json::{Value, json};

use super::post;
use crate::http::{Endpoint, HttpSender};
use crate::queue::level_of;
use crate::words::{facts, headline, one_line, short};
use crate::{Carrier, Error};

/// Characters of the description at most: a card has at most 28 KiB.
const DESCRIPTION_CHARS_MAX: usize = 3_000;

/// Posts to a workflow.
#[derive(Debug)]
pub struct Teams(HttpSender);

impl Teams {
    /// Checks the address.
    ///
    /// # Errors
    /// What can never work.
    pub fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        HttpSender::new(endpoint).map(Self)
    }
}

impl Carrier for Teams {
    fn send<'a>(&'a self, alert: &'a Alert, _: Timestamp) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { post(&self.0, &message(alert)).await })
    }
}

fn message(alert: &Alert) -> Value {
    let run = |text: &str, weight: &str| json!({ "type": "TextRun", "text": text, "weight": weight });
    let line = |runs: Vec<Value>| json!({ "type": "RichTextBlock", "inlines": runs });
    let mut title = run(&headline(alert), "bolder");
    title["size"] = "large".into();
    title["color"] = match level_of(alert) {
        Level::Critical | Level::High => "attention",
        Level::Medium => "warning",
        Level::Low | Level::Informational => "default",
    }
    .into();
    let mut body = vec![line(vec![title])];
    let description = one_line(&alert.rule_description);
    if !description.trim().is_empty() {
        body.push(line(vec![run(&short(&description, DESCRIPTION_CHARS_MAX), "default")]));
    }
    for (name, value) in facts(alert) {
        body.push(line(vec![run(&format!("{name}: "), "bolder"), run(&value, "default")]));
    }
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "msteams": { "width": "Full" }, "body": body,
    });
    if !alert.link.is_empty() {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Open in Moneta", "url": alert.link }]);
    }
    let attachment = json!({
        "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card,
    });
    json!({ "type": "message", "attachments": [attachment] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::sample;

    #[test]
    fn a_card_holds_values_as_text_runs_only() {
        let message = message(&sample());
        let attachment = &message["attachments"][0];
        assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
        let body = attachment["content"]["body"].as_array().unwrap();
        assert!(body.iter().all(|block| block["type"] == "RichTextBlock"));
        assert_eq!(body[0]["inlines"][0]["color"], "attention");
        assert!(message.to_string().contains("Ada"));
        assert_eq!(attachment["content"]["actions"][0]["url"], "https://moneta.example.org/alerts?alert=a-1");
    }
}
