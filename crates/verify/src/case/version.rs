//! What a row of `SecurityIncident` says of an incident.
//!
//! # Source
//! `monitor/src/incidents`: an alert joins, or a person changes or remarks something; each makes a row.

use anyhow::{Context, Result, bail};
use moneta_event::record::RecordFields;
use serde_json::Value;

/// A version of an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentVersion {
    /// Number of the incident, as text.
    pub incident: String,
    /// Its name, which no other incident has.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its status, with the classification of one that is closed.
    pub status: String,
    /// Its alerts, in the order in which they joined.
    pub alert_ids: Vec<String>,
    /// Whether it is the beginning: the first version, with the alert that made the incident alone.
    pub is_first: bool,
}

impl IncidentVersion {
    /// Reads a record of `SecurityIncident`.
    ///
    /// # Errors
    /// When it is no record, or none that Moneta makes of an incident.
    pub fn read(record: &[u8]) -> Result<Self> {
        let fields = RecordFields::read(record)?;
        // A sender can name class, provider and source, but its record has a text.
        let own = [("_Class", "processed"), ("ProviderName", "Moneta"), ("_Source", "incidents"), ("_Raw", "")];
        if own.iter().any(|(name, value)| fields.text(name) != *value) {
            bail!("the row is of another product's incident");
        }
        let alert_ids: Vec<String> =
            serde_json::from_str(fields.text("AlertIds")).context("AlertIds is no list of texts")?;
        let additional: Value = serde_json::from_str(fields.text("AdditionalData")).context("AdditionalData")?;
        let (status, classification) = (fields.text("Status"), fields.text("Classification"));
        Ok(Self {
            incident: fields.text("ProviderIncidentId").to_owned(),
            name: fields.text("IncidentName").to_owned(),
            title: fields.text("Title").to_owned(),
            status: if classification.is_empty() { status.to_owned() } else { format!("{status}, {classification}") },
            is_first: additional["version"] == 1 && alert_ids.len() == 1,
            alert_ids,
        })
    }
}
