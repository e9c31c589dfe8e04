//! Which incident an alert joins: the newest one under any of its keys that is young enough, open, and not full.
//!
//! Alerts of analytics rules go by the rule's own settings, as Sentinel has them. All others join what speaks of the
//! same host, account, address or file within [`LOOKBACK`], whatever rule raised it; an alert that speaks of nothing joins
//! the last one of its rule.

use std::collections::BTreeSet;
use std::time::Duration;

use moneta_merkle::sha256;
use moneta_rules::analytics::{IncidentMatching, IncidentSettings};
use serde_json::Value;

use super::facts::Facts;
use crate::entities;

/// How old an incident may be that an alert joins, unless the rule says otherwise.
///
/// # Source
/// Microsoft Sentinel, `groupingConfiguration.lookbackDuration`, default.
pub(super) const LOOKBACK: Duration = Duration::from_secs(5 * 3_600);
/// Alerts of one incident at most; the next one begins another.
///
/// # Source
/// Microsoft Sentinel, "Group related alerts into incidents": up to 150 alerts.
pub(super) const ALERTS_MAX: usize = 150;
/// Keys of one alert at most: what it speaks of beyond them groups nothing.
const KEYS_MAX: usize = 32;

/// How an alert finds its incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grouping {
    /// Under which an incident is found, and the new one will be.
    pub(super) keys: Vec<String>,
    /// How old the incident may be.
    pub(super) lookback: Duration,
    /// Whether a closed one is opened again.
    pub(super) reopen_closed: bool,
    /// Whether the keys are those of entities, so that hosts of other domains have to be told apart.
    pub(super) is_by_entities: bool,
}

/// How an alert finds its incident; `None` when its rule wants no incident, or raises too many alerts.
pub(super) fn grouping(facts: &Facts, settings: Option<&IncidentSettings>) -> Option<Grouping> {
    if facts.is_throttled {
        return None;
    }
    let Some(settings) = settings else { return Some(by_entities(facts)) };
    if !settings.create {
        return None;
    }
    let Some(grouping) = &settings.grouping else {
        return Some(Grouping { keys: Vec::new(), lookback: LOOKBACK, reopen_closed: false, is_by_entities: false });
    };
    let rule = &facts.alert.rule_id;
    let key = match &grouping.matching {
        IncidentMatching::AnyAlert => format!("rule:{rule}"),
        IncidentMatching::AllEntities => {
            format!("rule:{rule}:entities:{}", digest(&entities::keys(&facts.alert.entities)))
        }
        IncidentMatching::Selected { entities, alert_details, custom_details } => {
            format!("rule:{rule}:selected:{}", digest(&selected(facts, entities, alert_details, custom_details)))
        }
    };
    let (lookback, reopen_closed) = (grouping.lookback, grouping.reopen_closed);
    Some(Grouping { keys: vec![key], lookback, reopen_closed, is_by_entities: false })
}

fn by_entities(facts: &Facts) -> Grouping {
    let mut keys: Vec<String> = entities::linking_keys(&facts.alert.entities).into_iter().take(KEYS_MAX).collect();
    let is_by_entities = !keys.is_empty();
    if !is_by_entities {
        keys.push(format!("rule:{}", facts.alert.rule_id));
    }
    Grouping { keys, lookback: LOOKBACK, reopen_closed: false, is_by_entities }
}

/// The values that alerts of one incident share.
fn selected(
    facts: &Facts,
    entity_types: &[String],
    alert_details: &[String],
    custom_details: &[String],
) -> BTreeSet<String> {
    let of_type = |entity: &&Value| {
        // Rules say `RegistryKey` where an entity says `registry-key`.
        let kind = entity["Type"].as_str().unwrap_or_default().replace('-', "");
        entity_types.iter().any(|wanted| wanted.eq_ignore_ascii_case(&kind))
    };
    let chosen: Vec<Value> = facts.alert.entities.iter().filter(of_type).cloned().collect();
    let mut values = entities::keys(&chosen);
    for detail in alert_details {
        let value = match detail.to_lowercase().as_str() {
            "displayname" => facts.alert.title.clone(),
            "severity" => facts.alert.severity.to_string(),
            _ => continue,
        };
        values.insert(format!("detail:{}:{value}", detail.to_lowercase()));
    }
    for name in custom_details {
        let value = facts.custom_details.get(name).cloned().unwrap_or_default();
        values.insert(format!("custom:{name}:{value}"));
    }
    values
}

fn digest(values: &BTreeSet<String>) -> String {
    let text: Vec<&str> = values.iter().map(String::as_str).collect();
    sha256(text.join("\0").as_bytes()).to_hex()
}

#[cfg(test)]
mod tests {
    use moneta_base::Timestamp;
    use moneta_ports::{IncidentAlert, IncidentSeverity};
    use moneta_rules::analytics::IncidentGrouping;
    use serde_json::json;

    use super::*;

    fn facts(entities: &[Value]) -> Facts {
        let alert = IncidentAlert {
            id: "a".to_owned(),
            seq: 0,
            title: "T".to_owned(),
            description: String::new(),
            severity: IncidentSeverity::Low,
            rule_id: "r".to_owned(),
            rule_author: String::new(),
            product: String::new(),
            raised: Timestamp::default(),
            first_event: Timestamp::default(),
            last_event: Timestamp::default(),
            tactics: Vec::new(),
            techniques: Vec::new(),
            entities: entities.to_vec(),
            event_count: 0,
            events: Vec::new(),
        };
        Facts { alert, is_throttled: false, custom_details: json!({ "Site": ["x"] }).as_object().unwrap().clone() }
    }

    fn settings(matching: IncidentMatching) -> IncidentSettings {
        let grouping = IncidentGrouping { matching, lookback: Duration::from_secs(60), reopen_closed: true };
        IncidentSettings { create: true, grouping: Some(grouping) }
    }

    #[test]
    fn alerts_without_settings_go_by_what_they_speak_of() {
        let host = json!({ "Type": "host", "HostName": "A" });
        assert_eq!(grouping(&facts(&[host]), None).unwrap().keys, ["host:a"]);
        assert_eq!(grouping(&facts(&[]), None).unwrap().keys, ["rule:r"]);
    }

    #[test]
    fn a_rule_decides_how_its_alerts_are_grouped() {
        let (a, b) = (json!({ "Type": "host", "HostName": "A" }), json!({ "Type": "ip", "Address": "192.0.2.1" }));
        let (one, two) = (facts(std::slice::from_ref(&a)), facts(&[a, b]));
        let keys = |facts: &Facts, settings: &IncidentSettings| grouping(facts, Some(settings)).unwrap().keys;
        let any = settings(IncidentMatching::AnyAlert);
        assert_eq!(keys(&one, &any), keys(&two, &any));
        let all = settings(IncidentMatching::AllEntities);
        assert_ne!(keys(&one, &all), keys(&two, &all));
        assert_eq!(keys(&two, &all), keys(&two, &all));
        let hosts = |custom: &str| {
            settings(IncidentMatching::Selected {
                entities: vec!["Host".to_owned()],
                alert_details: vec!["Severity".to_owned()],
                custom_details: vec![custom.to_owned()],
            })
        };
        assert_eq!(keys(&one, &hosts("Site")), keys(&two, &hosts("Site")));
        assert_ne!(keys(&one, &hosts("Site")), keys(&one, &hosts("Other")));
        let found = grouping(&one, Some(&any)).unwrap();
        assert!(found.reopen_closed && found.lookback == Duration::from_secs(60));
        let each = IncidentSettings { create: true, grouping: None };
        assert!(grouping(&one, Some(&each)).unwrap().keys.is_empty());
        assert_eq!(grouping(&one, Some(&IncidentSettings { create: false, grouping: None })), None);
    }
}
