//! A version of an incident as a row of `SecurityIncident`.
//!
//! # Source
//! Azure Monitor, table reference `SecurityIncident`; a row is appended with every change.

use std::sync::Arc;

use moneta_base::{SourceName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, ParsedBatch, RecordClass, TableSchema, Value};
use moneta_ports::Incident;
use serde_json::json;

/// The rows of versions, in order.
pub(super) fn rows(schema: &Arc<TableSchema>, versions: &[Incident]) -> Option<ParsedBatch> {
    let mut builder = BatchBuilder::new(schema.clone(), RecordClass::Processed, Delivery::ExactlyOnce);
    versions.iter().for_each(|version| append(&mut builder, version));
    builder.finish()
}

fn append(builder: &mut BatchBuilder, incident: &Incident) {
    texts(builder, incident);
    let times = [
        ("CreatedTime", Some(incident.created)),
        ("FirstModifiedTime", incident.first_modified),
        ("LastModifiedTime", Some(incident.last_modified)),
        ("ClosedTime", incident.closed),
        ("FirstActivityTime", Some(incident.first_activity)),
        ("LastActivityTime", Some(incident.last_activity)),
    ];
    for (column, time) in times {
        time.into_iter().for_each(|time: Timestamp| builder.set_field(column, Value::Time(time)));
    }
    builder.set_field("IncidentNumber", Value::Long(i64::try_from(incident.number).unwrap_or(i64::MAX)));
    let mut bag = |column: &str, value: serde_json::Value| builder.set_field(column, Value::Json(&value.to_string()));
    bag("AlertIds", json!(incident.alert_ids));
    bag("BookmarkIds", json!([]));
    bag("RelatedAnalyticRuleIds", json!(incident.rule_ids));
    bag("Tasks", json!([]));
    bag("Owner", json!({ "assignedTo": incident.owner, "objectId": null, "email": null, "userPrincipalName": null }));
    let label = |label: &String| json!({ "labelName": label, "labelType": "User" });
    bag("Labels", incident.labels.iter().map(label).collect());
    let comment = |one: &moneta_ports::IncidentComment| json!({ "message": one.text, "createdTimeUtc": one.at.to_string(), "author": { "name": one.author } });
    bag("Comments", incident.comments.iter().map(comment).collect());
    bag(
        "AdditionalData",
        json!({
            "alertsCount": incident.alert_ids.len(), "bookmarksCount": 0, "commentsCount": incident.comments.len(),
            "alertProductNames": incident.products, "tactics": incident.tactics, "techniques": incident.techniques,
            "entities": incident.entities, "version": incident.version,
        }),
    );
    builder.finish_row(incident.last_modified, &SourceName::lossy("incidents"), "");
}

fn texts(builder: &mut BatchBuilder, incident: &Incident) {
    let mut text = |column: &str, value: &str| builder.set_field(column, Value::Text(value));
    text("IncidentName", &incident.name);
    text("ProviderIncidentId", &incident.number.to_string());
    text("ProviderName", "Moneta");
    text("SourceSystem", "Moneta");
    text("IncidentUrl", &format!("/incidents/{}", incident.number));
    text("Title", &incident.title);
    text("Description", &incident.description);
    text("Severity", incident.severity.name());
    text("Status", incident.status.name());
    text("ModifiedBy", &incident.modified_by);
    if let Some(verdict) = &incident.verdict {
        text("Classification", verdict.classification.name());
        text("ClassificationReason", verdict.sentinel_reason());
        text("ClassificationComment", &verdict.reason);
    }
}
