//! Alertmanager: its API, version 2.
//!
//! An alert of Moneta is an event and is never resolved by a sender, while Alertmanager holds alerts for as long as they
//! are active: each is sent once, active for `ACTIVE`.
//!
//! # Source
//! Prometheus Alertmanager, `api/v2/openapi.yaml`, `POST /alerts`.

use std::time::Duration;

use moneta_base::Timestamp;
use moneta_ports::{Alert, BoxFuture};
use serde_json::{Map, Value, json};

use super::post;
use crate::http::{Endpoint, HttpSender};
use crate::words::{facts, headline, one_line};
use crate::{Carrier, Error};

/// How long an alert counts as active.
const ACTIVE: Duration = Duration::from_secs(3_600);

/// Posts alerts.
#[derive(Debug)]
pub struct Alertmanager(HttpSender);

impl Alertmanager {
    /// Checks the address: that of Alertmanager itself, without `/api/v2/alerts`.
    ///
    /// # Errors
    /// What can never work.
    pub fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        let url = format!("{}/api/v2/alerts", endpoint.url.trim_end_matches('/'));
        HttpSender::new(&Endpoint { url, ..endpoint.clone() }).map(Self)
    }
}

impl Carrier for Alertmanager {
    fn send<'a>(&'a self, alert: &'a Alert, now: Timestamp) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { post(&self.0, &alerts(alert, now)).await })
    }
}

fn alerts(alert: &Alert, now: Timestamp) -> Value {
    let mut labels: Map<String, Value> = Map::new();
    let first = |names: &[String]| names.first().map(|name| one_line(name)).unwrap_or_default();
    let named = [
        ("alertname", one_line(&alert.rule_title)),
        ("severity", alert.level.clone()),
        ("rule_id", alert.rule_id.to_string()),
        ("alert_id", alert.id.clone()),
        ("instance", first(&alert.hosts)),
        ("account", first(&alert.accounts)),
        ("source", "moneta".to_owned()),
    ];
    // Alertmanager refuses an empty label.
    labels.extend(named.into_iter().filter(|(_, v)| !v.is_empty()).map(|(name, v)| (name.to_owned(), v.into())));
    let mut annotations: Map<String, Value> =
        facts(alert).into_iter().map(|(name, value)| (label(&name), value.into())).collect();
    annotations.insert("summary".to_owned(), headline(alert).into());
    annotations.insert("description".to_owned(), one_line(&alert.rule_description).into());
    let mut sent = json!({
        "labels": labels, "annotations": annotations, "startsAt": alert.raised.to_string(),
        "endsAt": now.saturating_add(ACTIVE).to_string(),
    });
    if !alert.link.is_empty() {
        sent["generatorURL"] = alert.link.as_str().into();
    }
    json!([sent])
}

/// A name in the letters that Prometheus allows.
fn label(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let allowed: String = name.chars().map(allowed).collect();
    if allowed.starts_with(|c: char| c.is_ascii_digit()) { format!("_{allowed}") } else { allowed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::sample;

    #[test]
    fn an_alert_is_active_for_a_while_and_has_no_empty_label() {
        let alerts = alerts(&sample(), Timestamp::from_seconds(1_767_323_045));
        assert_eq!(alerts[0]["endsAt"], "2026-01-02T04:04:05.0000000Z", "{alerts}");
        assert_eq!(alerts[0]["labels"]["instance"], "web01");
        assert_eq!(alerts[0]["labels"]["account"], "CORP\\eve");
        assert_eq!(alerts[0]["generatorURL"], "https://moneta.example.org/alerts?alert=a-1");
        assert!(alerts[0]["labels"].as_object().unwrap().values().all(|value| value != ""));
        assert_eq!(alerts[0]["annotations"]["author"], "Ada");
        assert_eq!((label("A b-c"), label("1aB")), ("a_b_c".to_owned(), "_1ab".to_owned()));
    }
}
