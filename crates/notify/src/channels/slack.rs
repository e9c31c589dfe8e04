//! Slack: an incoming webhook.
//!
//! # Source
//! Slack, "Sending messages using incoming webhooks" and the Block Kit reference: a header has at most 150 characters, a
//! text object 3,000, a message 50 blocks. Blocks are `plain_text`, in which nothing is a mention or a link; the `text`
//! beside them is markup, so `&`, `<` and `>` are escaped in it.

use moneta_base::Timestamp;
use moneta_ports::{Alert, BoxFuture};
use serde_json::{Value, json};

use super::post;
use crate::http::{Endpoint, HttpSender};
use crate::words::{facts, headline, one_line, short};
use crate::{Carrier, Error};

/// Posts to an incoming webhook.
#[derive(Debug)]
pub struct Slack(HttpSender);

impl Slack {
    /// Checks the address.
    ///
    /// # Errors
    /// What can never work.
    pub fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        HttpSender::new(endpoint).map(Self)
    }
}

impl Carrier for Slack {
    fn send<'a>(&'a self, alert: &'a Alert, _: Timestamp) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { post(&self.0, &message(alert)).await })
    }
}

fn message(alert: &Alert) -> Value {
    let plain = |text: &str, max: usize| json!({ "type": "plain_text", "text": short(text, max), "emoji": false });
    let lines: Vec<String> = facts(alert).into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let mut blocks = vec![json!({ "type": "header", "text": plain(&headline(alert), 150) })];
    let description = one_line(&alert.rule_description);
    if !description.trim().is_empty() {
        blocks.push(json!({ "type": "section", "text": plain(&description, 3_000) }));
    }
    blocks.push(json!({ "type": "section", "text": plain(&lines.join("\n"), 3_000) }));
    let escaped = headline(alert).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({ "text": escaped, "blocks": blocks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::sample;

    #[test]
    fn a_message_has_no_markup_of_its_own() {
        let message = message(&sample());
        assert_eq!(message["text"], "[critical] Bad &lt;thing&gt; |here|=\\ on web01 by CORP\\eve, b, c and 1 more");
        assert!(message["blocks"].as_array().unwrap().iter().all(|block| block["text"]["type"] == "plain_text"));
        assert!(message["blocks"][2]["text"]["text"].as_str().unwrap().contains("Author: Ada"));
    }
}
