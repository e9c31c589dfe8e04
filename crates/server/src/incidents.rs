//! Starts what makes incidents of alerts.

use std::sync::Arc;

use moneta_base::{TableName, TenantId};
use moneta_event::Block;
use moneta_event::catalog::table;
use moneta_ingest::Ingest;
use moneta_metastore::Metastore;
use moneta_monitor::{IncidentBook, IncidentParts};
use moneta_ports::{AlarmSink, BlockSubscriber};

use crate::analytics::marks;
use crate::error::ServerError;
use crate::node::World;
use crate::rule_admin::Rules;

/// Starts it, and lets it see what the journal recovered: alerts that were in no incident when the process ended.
pub(crate) fn start_incidents(
    world: &World,
    ingest: &Arc<Ingest>,
    metastore: &Arc<Metastore>,
    rules: &Arc<Rules>,
    alarms: Arc<dyn AlarmSink>,
    tenant: TenantId,
    recovered: &[Arc<Block>],
) -> Result<Arc<IncidentBook>, ServerError> {
    let schema = ingest.store().schema(&TableName::new(table::SECURITY_INCIDENT).expect("a built-in table"));
    let rules = rules.clone();
    let book = IncidentBook::start(IncidentParts {
        metastore: metastore.clone(),
        events: ingest.clone(),
        marks: marks(ingest),
        audit: ingest.clone(),
        alarms,
        clock: world.clock.clone(),
        schema: schema.expect("a built-in table"),
        tenant,
        settings: Arc::new(move |rule_id| rules.incident_settings(rule_id)),
    });
    let book = book.map_err(|error| ServerError::part("incidents", error.kind, error))?;
    recovered.iter().for_each(|block| book.on_block(block));
    ingest.subscribe(book.clone());
    Ok(book)
}
