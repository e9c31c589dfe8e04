//! What people may change of an incident, and what each change needs. Knows no store and no audit.

use moneta_base::Timestamp;
use moneta_ports::{
    AuditEvent, Classification, Incident, IncidentActivity, IncidentChange, IncidentComment, IncidentStatus, Verdict,
};
use serde_json::json;

/// Characters of a title, and of an owner's name, at most.
const NAME_CHARS_MAX: usize = 500;
/// Labels of one incident at most.
const LABELS_MAX: usize = 50;
/// Characters of a comment or reason at most.
///
/// # Source
/// Microsoft Sentinel, "Comment on incidents": 30,000 characters, 100 comments.
const WORDS_CHARS_MAX: usize = 30_000;
/// Comments of one incident at most.
const COMMENTS_MAX: usize = 100;

/// Applies a change, or says why it cannot be. Returns what was done, one entry a thing.
pub(super) fn apply(
    incident: &mut Incident,
    change: &IncidentChange,
    actor: &str,
    now: Timestamp,
) -> Result<Vec<IncidentActivity>, String> {
    check(incident, change)?;
    let mut done: Vec<(&str, String)> = Vec::new();
    if let Some(owner) = change.owner.as_ref().map(|owner| owner.trim().to_owned()) {
        done.push(("assigned", owner.clone()));
        incident.owner = owner;
    }
    if let Some(severity) = change.severity {
        (incident.severity, incident.severity_is_set) = (severity, true);
        done.push(("severity", severity.name().to_owned()));
    }
    if let Some(title) = &change.title {
        title.trim().clone_into(&mut incident.title);
        done.push(("title", incident.title.clone()));
    }
    if let Some(labels) = &change.labels {
        incident.labels.clone_from(labels);
        done.push(("labels", labels.join(", ")));
    }
    if let Some(status) = change.status {
        let action = if incident.status == IncidentStatus::Closed { "reopened" } else { "status" };
        (incident.verdict, incident.closed, incident.status) = (None, None, status);
        done.push((action, status.name().to_owned()));
    }
    if let Some(verdict) = &change.verdict {
        incident.verdict = Some(verdict.clone());
        (incident.closed, incident.status) = (Some(now), IncidentStatus::Closed);
        done.push(("closed", format!("{}: {}", verdict.classification, verdict.reason)));
    }
    // A remark alone does not stand in the way of somebody else's change.
    incident.version += u64::from(!done.is_empty());
    if let Some(text) = &change.comment {
        incident.comments.push(IncidentComment { at: now, author: actor.to_owned(), text: text.clone() });
        done.push(("comment", text.clone()));
    }
    incident.first_modified.get_or_insert(now);
    incident.last_modified = now;
    actor.clone_into(&mut incident.modified_by);
    let entry = |(action, text): (&str, String)| IncidentActivity {
        at: now,
        actor: actor.to_owned(),
        action: action.to_owned(),
        text,
    };
    Ok(done.into_iter().map(entry).collect())
}

fn check(incident: &Incident, change: &IncidentChange) -> Result<(), String> {
    if *change == IncidentChange::default() {
        return Err("the change is empty: name an owner, a severity, a status, a title, labels, a comment or a \
                    classification"
            .to_owned());
    }
    let longer = |text: &str, max: usize| text.chars().count() > max;
    if change.title.as_ref().is_some_and(|title| title.trim().is_empty() || longer(title, NAME_CHARS_MAX)) {
        return Err(format!("a title has 1 to {NAME_CHARS_MAX} characters"));
    }
    if change.owner.as_ref().is_some_and(|owner| longer(owner, NAME_CHARS_MAX)) {
        return Err(format!("an owner has at most {NAME_CHARS_MAX} characters"));
    }
    if let Some(labels) = &change.labels
        && (labels.len() > LABELS_MAX || labels.iter().any(|l| l.trim().is_empty() || longer(l, NAME_CHARS_MAX)))
    {
        return Err(format!("an incident has at most {LABELS_MAX} labels of 1 to {NAME_CHARS_MAX} characters"));
    }
    if change.comment.as_ref().is_some_and(|text| text.trim().is_empty() || longer(text, WORDS_CHARS_MAX)) {
        return Err(format!("a comment has 1 to {WORDS_CHARS_MAX} characters"));
    }
    if change.comment.is_some() && incident.comments.len() >= COMMENTS_MAX {
        return Err(format!("an incident has at most {COMMENTS_MAX} comments"));
    }
    match (&change.verdict, change.status) {
        (Some(_), Some(_)) => Err("a classification closes the incident: leave the status away".to_owned()),
        (None, Some(IncidentStatus::Closed)) => Err("closing needs a classification (TruePositive, BenignPositive, \
            FalsePositive or Undetermined) and a reason"
            .to_owned()),
        (Some(verdict), None) => check_verdict(verdict),
        (None, _) => Ok(()),
    }
}

fn check_verdict(verdict: &Verdict) -> Result<(), String> {
    let length = verdict.reason.chars().count();
    if verdict.reason.trim().is_empty() || length > WORDS_CHARS_MAX {
        return Err(format!("closing needs a reason of 1 to {WORDS_CHARS_MAX} characters"));
    }
    if verdict.cause.is_some() && verdict.classification != Classification::FalsePositive {
        return Err("only a FalsePositive has a cause".to_owned());
    }
    Ok(())
}

/// The audit row of a change.
pub(super) fn audit_event(incident: &Incident, change: &IncidentChange) -> AuditEvent {
    let was_closed = incident.status == IncidentStatus::Closed;
    let rest = IncidentChange { owner: None, comment: None, ..change.clone() };
    let action = match change {
        _ if change.verdict.is_some() => "incident.close",
        _ if change.status.is_some() && was_closed => "incident.reopen",
        _ if rest != IncidentChange::default() => "incident.change",
        _ if change.owner.is_some() => "incident.assign",
        _ => "incident.comment",
    };
    let mut event = AuditEvent::success(action, "incident", incident.number.to_string());
    let mut note = |name: &str, value: serde_json::Value| {
        if !value.is_null() {
            event.details.insert(name.to_owned(), value);
        }
    };
    note("title", json!(change.title));
    note("owner", json!(change.owner));
    note("severity", json!(change.severity));
    note("status", json!(change.status));
    note("labels", json!(change.labels));
    note("comment", json!(change.comment));
    note("verdict", json!(change.verdict));
    note("version_before", json!(incident.version));
    if let Some(verdict) = &change.verdict {
        event.reason.clone_from(&verdict.reason);
    }
    event
}
