//! How an alert becomes part of an incident: of one that it belongs to, or of a new one.

use moneta_base::{TenantId, Timestamp};
use moneta_merkle::sha256;
use moneta_metastore::{Error, IncidentWriter, StoredIncident, StoredIncidentAlert};
use moneta_ports::{Incident, IncidentActivity, IncidentAlert, IncidentSeverity, IncidentStatus};
use moneta_rules::analytics::IncidentSettings;
use serde_json::Value;

use super::facts::Facts;
use super::grouping::{ALERTS_MAX, Grouping, grouping};
use crate::entities::{ENTITIES_MAX, is_of_others};

/// Incidents looked at for one alert at most: those with a host of its name, but of another domain, are passed over.
const CANDIDATES_MAX: usize = 16;
/// Who does what grouping does.
pub(super) const SELF: &str = "moneta";

/// Puts an alert where it belongs, once; whether anything changed.
pub(super) fn join(
    writer: &IncidentWriter<'_>,
    facts: &Facts,
    settings: Option<&IncidentSettings>,
    now: Timestamp,
) -> Result<bool, Error> {
    let alert = &facts.alert;
    let Some(grouping) = grouping(facts, settings) else { return Ok(false) };
    if writer.has_alert(&alert.id)? {
        return Ok(false);
    }
    let mut activity = Vec::new();
    let mut incident = match candidate(writer, &grouping, alert)? {
        Some(incident) => incident,
        None => {
            let incident = begin(writer.next_number()?, alert, now);
            activity.push(entry(now, "created", &incident.title));
            incident
        }
    };
    add(&mut incident, alert, now, &mut activity);
    writer.put(&stored(&incident)?)?;
    writer.add_alert(incident.number, &stored_alert(alert)?)?;
    for key in &grouping.keys {
        writer.add_key(incident.number, key, incident.created)?;
    }
    for one in &activity {
        writer.add_activity(incident.number, &json(one)?)?;
    }
    Ok(true)
}

fn candidate(
    writer: &IncidentWriter<'_>,
    grouping: &Grouping,
    alert: &IncidentAlert,
) -> Result<Option<Incident>, Error> {
    let since = alert.raised.saturating_sub(grouping.lookback);
    let without = (!grouping.reopen_closed).then_some(IncidentStatus::Closed.name());
    let found = writer.newest_with_key(&grouping.keys, since, without, (ALERTS_MAX, CANDIDATES_MAX))?;
    for incident in found.into_iter().map(incident_of) {
        let incident = incident?;
        if !grouping.is_by_entities || !is_of_others(&alert.entities, &incident.entities) {
            return Ok(Some(incident));
        }
    }
    Ok(None)
}

fn begin(number: u64, alert: &IncidentAlert, now: Timestamp) -> Incident {
    let digest = sha256(format!("incident\0{}", alert.id).as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    Incident {
        number,
        name: TenantId::from_random(bytes).to_string(),
        version: 1,
        title: alert.title.clone(),
        description: alert.description.clone(),
        severity: alert.severity,
        severity_is_set: false,
        status: IncidentStatus::New,
        owner: String::new(),
        verdict: None,
        labels: Vec::new(),
        comments: Vec::new(),
        alert_ids: Vec::new(),
        rule_ids: Vec::new(),
        products: Vec::new(),
        tactics: Vec::new(),
        techniques: Vec::new(),
        entities: Vec::new(),
        first_activity: alert.first_event,
        last_activity: alert.last_event,
        created: alert.raised,
        first_modified: None,
        last_modified: now,
        modified_by: SELF.to_owned(),
        closed: None,
    }
}

/// Adds an alert to an incident in memory.
fn add(incident: &mut Incident, alert: &IncidentAlert, now: Timestamp, activity: &mut Vec<IncidentActivity>) {
    let is_first = incident.alert_ids.is_empty();
    incident.alert_ids.push(alert.id.clone());
    union(&mut incident.rule_ids, std::slice::from_ref(&alert.rule_id));
    union(&mut incident.products, std::slice::from_ref(&alert.product));
    union(&mut incident.tactics, &alert.tactics);
    union(&mut incident.techniques, &alert.techniques);
    for entity in &alert.entities {
        if incident.entities.len() < ENTITIES_MAX && !incident.entities.contains(entity) {
            incident.entities.push(entity.clone());
        }
    }
    incident.first_activity = incident.first_activity.min(alert.first_event);
    incident.last_activity = incident.last_activity.max(alert.last_event);
    activity.push(entry(now, "alert-added", &alert.id));
    if is_first {
        return;
    }
    incident.first_modified.get_or_insert(now);
    incident.last_modified = now;
    SELF.clone_into(&mut incident.modified_by);
    if alert.severity > incident.severity && !incident.severity_is_set {
        incident.severity = alert.severity;
        incident.version += 1;
        activity.push(entry(now, "severity", alert.severity.name()));
    }
    if incident.status == IncidentStatus::Closed {
        incident.status = IncidentStatus::Active;
        (incident.verdict, incident.closed) = (None, None);
        incident.version += 1;
        activity.push(entry(now, "reopened", &format!("by the alert {}", alert.id)));
    }
}

fn union(into: &mut Vec<String>, more: &[String]) {
    for one in more.iter().filter(|one| !one.is_empty()) {
        if !into.contains(one) {
            into.push(one.clone());
        }
    }
}

fn entry(at: Timestamp, action: &str, text: &str) -> IncidentActivity {
    IncidentActivity { at, actor: SELF.to_owned(), action: action.to_owned(), text: text.to_owned() }
}

/// How bad, as a number to compare.
pub(super) fn rank(severity: IncidentSeverity) -> u8 {
    match severity {
        IncidentSeverity::Informational => 0,
        IncidentSeverity::Low => 1,
        IncidentSeverity::Medium => 2,
        IncidentSeverity::High => 3,
    }
}

/// An incident as the metastore keeps it.
pub(super) fn stored(incident: &Incident) -> Result<StoredIncident, Error> {
    Ok(StoredIncident {
        number: incident.number,
        status: incident.status.name().to_owned(),
        severity: rank(incident.severity),
        owner: incident.owner.clone(),
        title: incident.title.clone(),
        created: incident.created,
        definition: json(incident)?,
    })
}

fn stored_alert(alert: &IncidentAlert) -> Result<StoredIncidentAlert, Error> {
    let delay = alert.raised.as_nanos().saturating_sub(alert.last_event.as_nanos());
    Ok(StoredIncidentAlert {
        alert_id: alert.id.clone(),
        rule_id: alert.rule_id.clone(),
        raised: alert.raised,
        delay_nanos: (alert.event_count > 0).then_some(delay.max(0)),
        definition: json(alert)?,
    })
}

/// An incident out of what the metastore keeps.
pub(super) fn incident_of(value: Value) -> Result<Incident, Error> {
    serde_json::from_value(value).map_err(|error| Error::Damaged { what: "incident", problem: error.to_string() })
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|error| Error::Damaged { what: "incident", problem: error.to_string() })
}
