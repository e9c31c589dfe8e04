//! PagerDuty: the Events API, version 2.
//!
//! # Source
//! PagerDuty, "Send an Alert Event": `summary` has at most 1,024 characters, `dedup_key` 255; 202 is success, 429 asks to
//! come back.

use moneta_base::{Level, Timestamp};
use moneta_ports::{Alert, BoxFuture};
use serde_json::{Map, Value, json};

use super::post;
use crate::http::{Endpoint, HttpSender};
use crate::queue::level_of;
use crate::words::{facts, headline, short};
use crate::{Carrier, Error};

/// Where PagerDuty takes events.
pub const ADDRESS: &str = "https://events.pagerduty.com/v2/enqueue";

/// Triggers events.
pub struct PagerDuty {
    sender: HttpSender,
    routing_key: String,
}

impl PagerDuty {
    /// Checks address and key.
    ///
    /// # Errors
    /// What can never work.
    pub fn new(endpoint: &Endpoint, routing_key: String) -> Result<Self, Error> {
        if routing_key.is_empty() || !routing_key.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Error::Setting("a routing key of PagerDuty is a word of visible characters".to_owned()));
        }
        Ok(Self { sender: HttpSender::new(endpoint)?, routing_key })
    }
}

impl Carrier for PagerDuty {
    fn send<'a>(&'a self, alert: &'a Alert, _: Timestamp) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { post(&self.sender, &event(alert, &self.routing_key)).await })
    }
}

fn event(alert: &Alert, routing_key: &str) -> Value {
    let severity = match level_of(alert) {
        Level::Critical => "critical",
        Level::High => "error",
        Level::Medium => "warning",
        Level::Low | Level::Informational => "info",
    };
    let details: Map<String, Value> = facts(alert).into_iter().map(|(name, value)| (name, value.into())).collect();
    let named = alert.hosts.first().or_else(|| alert.accounts.first());
    let source = named.cloned().unwrap_or_else(|| "moneta".to_owned());
    let mut event = json!({
        "routing_key": routing_key, "event_action": "trigger", "dedup_key": short(&alert.id, 255), "client": "Moneta",
        "payload": {
            "summary": short(&headline(alert), 1_024), "source": source, "severity": severity,
            "timestamp": alert.raised.to_string(), "class": alert.rule_id.to_string(), "component": "moneta",
            "custom_details": details,
        },
    });
    if !alert.link.is_empty() {
        event["links"] = json!([{ "href": alert.link, "text": "The alert in Moneta" }]);
        event["client_url"] = alert.link.as_str().into();
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::sample;

    #[test]
    fn an_event_has_what_the_interface_asks_for() {
        let event = event(&sample(), "key");
        assert_eq!((&event["event_action"], &event["dedup_key"]), (&json!("trigger"), &json!("a-1")));
        let payload = &event["payload"];
        assert_eq!((&payload["severity"], &payload["source"]), (&json!("critical"), &json!("web01")));
        assert_eq!(payload["custom_details"]["Author"], "Ada");
        assert_eq!(event["links"][0]["href"], "https://moneta.example.org/alerts?alert=a-1");
        let unknown = Alert { level: "Dire".to_owned(), ..sample() };
        assert_eq!(super::event(&unknown, "key")["payload"]["severity"], "error", "it counts as high");
    }
}
