//! Risk: how much speaks against an entity. Ten alerts of one rule say little more than one; alerts of three rules say
//! much.

use std::collections::{BTreeMap, BTreeSet};

use moneta_base::Timestamp;
use moneta_ports::{EntityRisk, IncidentAlert, IncidentSeverity};
use serde_json::Value;

use crate::entities;

/// Nanoseconds after which an alert counts half.
const HALF_LIFE_NANOS: f64 = 3.0 * 86_400.0 * 1e9;

/// What is known of an entity.
#[derive(Default)]
struct Against {
    /// By rule: alerts, the worst weight, the last time.
    rules: BTreeMap<String, (u32, f64, Timestamp)>,
    incidents: BTreeSet<u64>,
    alerts: u64,
    last: Timestamp,
}

/// The entities that most speaks against, the worst first, out of alerts and the numbers of their incidents. Alerts
/// that speak against nobody are not among them.
pub(super) fn risks(alerts: Vec<(u64, IncidentAlert)>, now: Timestamp, limit: usize) -> Vec<EntityRisk> {
    let mut known: BTreeMap<String, Against> = BTreeMap::new();
    let all: Vec<Value> = alerts.iter().flat_map(|(_, alert)| alert.entities.iter().cloned()).collect();
    let domains = entities::domains(&all);
    for (incident, alert) in alerts {
        let linking = entities::linking(&alert.entities);
        let keys: BTreeSet<String> = linking.into_iter().map(|named| name_of(named, &domains)).collect();
        for key in keys {
            let against = known.entry(key).or_default();
            let (count, weight, last) = against.rules.entry(alert.rule_id.clone()).or_default();
            *count += 1;
            *weight = weight.max(weight_of(alert.severity));
            *last = alert.raised.max(*last);
            against.incidents.insert(incident);
            against.alerts += 1;
            against.last = alert.raised.max(against.last);
        }
    }
    let mut risks: Vec<EntityRisk> = known.into_iter().map(|(entity, against)| risk(entity, against, now)).collect();
    risks.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.entity.cmp(&b.entity)));
    risks.truncate(limit);
    risks
}

/// A host by its short name, unless there are several of that name: then each with its domain.
fn name_of((key, domain): (String, Option<String>), domains: &BTreeMap<String, BTreeSet<String>>) -> String {
    match domain {
        Some(domain) if domains.get(&key).is_some_and(|all| all.len() > 1) => format!("{key}.{domain}"),
        _ => key,
    }
}

fn risk(entity: String, against: Against, now: Timestamp) -> EntityRisk {
    let score = against.rules.values().map(|(count, weight, last)| {
        #[expect(clippy::cast_precision_loss, reason = "an age in days is what matters")]
        let age = now.as_nanos().saturating_sub(last.as_nanos()).max(0) as f64;
        weight * (1.0 + 0.5 * f64::from(*count).log2()) * 0.5_f64.powf(age / HALF_LIFE_NANOS)
    });
    EntityRisk {
        entity,
        score: (score.sum::<f64>() * 10.0).round() / 10.0,
        alerts: against.alerts,
        incidents: against.incidents.into_iter().collect(),
        rule_ids: against.rules.into_keys().collect(),
        last: against.last.to_string(),
    }
}

fn weight_of(severity: IncidentSeverity) -> f64 {
    match severity {
        IncidentSeverity::Informational => 1.0,
        IncidentSeverity::Low => 5.0,
        IncidentSeverity::Medium => 20.0,
        IncidentSeverity::High => 60.0,
    }
}
