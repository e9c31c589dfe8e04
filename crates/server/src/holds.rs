//! Legal holds: kept as settings, in force in the keeper's policy, and in the root log before either.

use moneta_base::{ErrorKind, Timestamp};
use moneta_event::root_entry::{RootEntry, RootEvent};
use moneta_merkle::sha256;
use moneta_metastore::{Metastore, Setting};
use moneta_ports::operations::{HOLDS_MAX, Hold, HoldRequest};
use moneta_ports::{AuditEvent, AuditSink, OpContext, PortError};

use crate::operations::NodeOperations;

/// Settings of this form are holds: `hold.<name>`.
const PREFIX: &str = "hold.";

/// The holds that are stored.
///
/// # Errors
/// One that cannot be read: nothing may be dropped then.
pub(crate) fn load(metastore: &Metastore) -> Result<Vec<Hold>, PortError> {
    let settings = metastore.settings().map_err(stored)?;
    let holds = settings.iter().filter_map(|setting| Some((setting.key.strip_prefix(PREFIX)?, setting)));
    let read = |(name, setting): (&str, &Setting)| {
        let request: HoldRequest =
            serde_json::from_value(setting.value.clone()).map_err(|error| damaged(name, &error.to_string()))?;
        let hold = Hold::new(name, &request, &setting.changed_by, setting.changed_at);
        hold.map_err(|reason| damaged(name, &reason))
    };
    holds.map(read).collect()
}

/// Places a hold.
pub(crate) async fn place(
    node: &NodeOperations,
    ctx: &OpContext,
    name: String,
    request: HoldRequest,
) -> Result<Hold, PortError> {
    let now = node.world.clock.now();
    let hold = Hold::new(&name, &request, &ctx.actor.name, now).map_err(caller)?;
    let _alone = node.holds.lock().await;
    let held = node.ingest.policy().holds;
    if held.iter().any(|other| other.name == name) {
        return Err(caller(format!(
            "there is a hold named {name:?} already; release it first, or choose another name"
        )));
    }
    if held.len() >= HOLDS_MAX {
        return Err(caller(format!("there are {HOLDS_MAX} holds already; release one first")));
    }
    let value = serde_json::to_value(&request).unwrap_or_default();
    record(node, ctx, "hold.place", &name, &request.reason, &value).await?;
    enter(node, ctx, &name, None, Some(&value), now)?;
    let setting =
        Setting { key: format!("{PREFIX}{name}"), value, changed_by: ctx.actor.name.clone(), changed_at: now };
    node.metastore.put_setting(&setting).map_err(stored)?;
    node.ingest.change_policy(|policy| policy.holds.push(hold.clone()));
    Ok(hold)
}

/// Releases a hold.
pub(crate) async fn release(
    node: &NodeOperations,
    ctx: &OpContext,
    name: String,
    reason: String,
) -> Result<bool, PortError> {
    if reason.trim().is_empty() {
        return Err(caller("releasing a hold needs a reason".to_owned()));
    }
    let _alone = node.holds.lock().await;
    let Some(hold) = node.ingest.policy().holds.into_iter().find(|hold| hold.name == name) else { return Ok(false) };
    let value = serde_json::to_value(hold.request()).unwrap_or_default();
    record(node, ctx, "hold.release", &name, &reason, &value).await?;
    enter(node, ctx, &name, Some(&value), None, node.world.clock.now())?;
    node.metastore.delete_setting(&format!("{PREFIX}{name}")).map_err(stored)?;
    node.ingest.change_policy(|policy| policy.holds.retain(|hold| hold.name != name));
    Ok(true)
}

async fn record(
    node: &NodeOperations,
    ctx: &OpContext,
    action: &'static str,
    name: &str,
    reason: &str,
    hold: &serde_json::Value,
) -> Result<(), PortError> {
    let mut event = AuditEvent::success(action, "hold", name);
    event.reason = reason.to_owned();
    event.details.insert("hold".to_owned(), hold.clone());
    node.ingest.record_change(ctx, event).await
}

/// Says in the root log that a hold came or went. The reason may name people: only a hash of it is there for ever.
fn enter(
    node: &NodeOperations,
    ctx: &OpContext,
    name: &str,
    before: Option<&serde_json::Value>,
    after: Option<&serde_json::Value>,
    at: Timestamp,
) -> Result<(), PortError> {
    let hash = |value: &serde_json::Value| sha256(value.to_string().as_bytes());
    let event = RootEvent::Change {
        what: "hold".to_owned(),
        name: name.to_owned(),
        by: ctx.actor.kind.name().to_owned(),
        before: before.map(hash),
        after: after.map(hash),
    };
    let entered = node.ingest.ledger().append_root(&RootEntry { at, event });
    entered
        .map(drop)
        .map_err(|error| PortError::caused_by(error.kind(), "the hold could not be entered in the root log", error))
}

fn caller(message: String) -> PortError {
    PortError::new(ErrorKind::Caller, message)
}

fn stored(error: moneta_metastore::Error) -> PortError {
    PortError::caused_by(error.kind(), "the holds could not be read or written", error)
}

fn damaged(name: &str, reason: &str) -> PortError {
    PortError::new(ErrorKind::Internal, format!("the stored hold {name:?} cannot be read: {reason}"))
}
