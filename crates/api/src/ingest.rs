//! Events sent as JSON: one request is stored whole or not at all.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use moneta_base::{Seq, SourceName, TableName};
use moneta_event::catalog::is_own_table;
use moneta_event::{Delivery, ParsedBatch};
use moneta_formats::{DecodeOptions, Format};
use moneta_ports::{IdempotencyKey, OpContext};
use serde::Serialize;

use crate::ApiError;
use crate::address::Path;
use crate::auth::MayIngest;
use crate::body::{EVENTS_BODY_BYTES_MAX, Pieces};
use crate::intake::{Lot, place, store_for_receipt};
use crate::state::App;

/// Names a request so that sending it again stores nothing twice.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Characters of such a name at most.
const IDEMPOTENCY_KEY_CHARACTERS_MAX: usize = 255;

/// The acknowledgement: what it counts is on disk.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted {
    table: String,
    /// Events stored in the table.
    accepted: u64,
    /// Records stored in `Quarantine` instead.
    quarantined: usize,
    /// Sequence of the first event.
    first_seq: Option<Seq>,
    /// Events stored, contiguous from there.
    num_rows: u64,
    /// Whether the same request had been stored before.
    duplicate: bool,
    stored_at: String,
    /// What the log signed for it: the sender can have it proved, and hold it against the log.
    receipt: Option<String>,
}

/// `POST /v1/ingest/{table}`: a JSON object, an array of objects, or one object a line.
pub(crate) async fn events(
    MayIngest(ctx): MayIngest,
    State(state): State<App>,
    Path(table): Path<String>,
    request: Request,
) -> Result<Json<Accepted>, ApiError> {
    let table = writable_table(&state, &table)?;
    let key = idempotency(request.headers(), &ctx)?.map(|key| key.part(0));
    let lines = is_line_delimited(request.headers());
    let _place = place(&state).await?;
    let body = Pieces::of(request).collect(EVENTS_BODY_BYTES_MAX).await?;
    let format = if lines { Format::Ndjson } else { Format::Json };
    let mut options = decode_options(&state, &source_of(&ctx), key.is_some());
    options.table = Some(table.clone());
    let stored = store_for_receipt(&state, vec![Lot { format, options, bytes: body }], key).await?;
    let receipt = stored.receipt;
    let ranges: Vec<_> = receipt.ranges.iter().filter(|range| range.table == table).collect();
    let num_rows = ranges.iter().map(|range| range.num_rows).sum();
    Ok(Json(Accepted {
        table: table.to_string(),
        accepted: num_rows,
        quarantined: stored.num_quarantined,
        first_seq: ranges.iter().map(|range| range.first_seq).min(),
        num_rows,
        duplicate: receipt.duplicate,
        stored_at: receipt.stored_at.to_string(),
        receipt: stored.signed,
    }))
}

fn is_line_delimited(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["application/x-ndjson", "application/ndjson", "application/jsonl"].iter().any(|known| kind.starts_with(known))
}

/// The table of that name, when events from outside may go there.
pub(crate) fn writable_table(state: &App, name: &str) -> Result<TableName, ApiError> {
    let table = TableName::new(name).map_err(|error| ApiError::bad_request(error.to_string()))?;
    if state.catalog.get(name).is_none() && !table.is_custom() {
        return Err(ApiError::not_found(format!(
            "there is no table {name:?}; names of tables of your own end with `_CL`, such as `{name}_CL`"
        )));
    }
    check_not_own(&table)?;
    Ok(table)
}

/// Refuses decoded rows of tables that only Moneta writes: records of some formats name their table themselves.
pub(crate) fn check_tables(batches: &[ParsedBatch]) -> Result<(), ApiError> {
    let tables: BTreeSet<_> = batches.iter().map(|batch| &batch.table).collect();
    tables.into_iter().try_for_each(check_not_own)
}

fn check_not_own(table: &TableName) -> Result<(), ApiError> {
    if is_own_table(table.as_str()) {
        return Err(ApiError::forbidden(format!("only Moneta itself writes to {table}")));
    }
    Ok(())
}

/// How to decode what a caller sent.
pub(crate) fn decode_options(state: &App, source: &str, has_key: bool) -> DecodeOptions {
    let source = SourceName::lossy(source);
    let mut options = DecodeOptions::new(state.catalog.clone(), source, state.clock.now());
    options.mappings = state.mappings.clone();
    options.delivery = if has_key { Delivery::ExactlyOnce } else { Delivery::AtLeastOnce };
    options
}

/// The source of events a caller sends without naming a file.
pub(crate) fn source_of(ctx: &OpContext) -> String {
    format!("api/{}", ctx.actor.name)
}

/// The idempotency key of a request: its parts are numbered.
pub(crate) struct RequestKey {
    producer: String,
    epoch: u128,
}

impl RequestKey {
    /// The key that a hash of a request is, within the sender and the protocol.
    pub(crate) fn of(protocol: &str, ctx: &OpContext, hash: &digest::Digest) -> Self {
        let mut epoch = [0; 16];
        epoch.copy_from_slice(&hash.as_ref()[..16]);
        let producer = format!("{protocol}/{}/{}", ctx.actor.kind.name(), ctx.actor.name);
        Self { producer, epoch: u128::from_be_bytes(epoch) }
    }

    pub(crate) fn part(&self, sequence: u64) -> IdempotencyKey {
        IdempotencyKey {
            producer: self.producer.clone(),
            epoch: self.epoch,
            sequence,
            life: moneta_ports::KeyLife::Request,
        }
    }
}

/// The key of a request, within the credential that sent it: two senders may use the same one.
pub(crate) fn idempotency(headers: &HeaderMap, ctx: &OpContext) -> Result<Option<RequestKey>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() || text.len() > IDEMPOTENCY_KEY_CHARACTERS_MAX {
        return Err(ApiError::bad_request("Idempotency-Key must be 1 to 255 ASCII characters"));
    }
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    Ok(Some(RequestKey::of("api", ctx, &hash)))
}
