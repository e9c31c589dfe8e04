//! Logs Ingestion: rows for the stream of a data collection rule.
//!
//! # Source
//! Logs Ingestion API in Azure Monitor, REST call: a JSON array, answered with 204 once it is stored. There are no
//! rules here that would transform rows: the stream alone says which table they are for.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use moneta_formats::Format;

use crate::ApiError;
use crate::auth::MayIngest;
use crate::body::{EVENTS_BODY_BYTES_MAX, Pieces};
use crate::ingest::{decode_options, idempotency, source_of};
use crate::intake::{Lot, place, store, table_of};
use crate::state::App;

/// Before the name of a table in the name of a stream: of the customer's own, or of the product.
const STREAM_PREFIXES: [&str; 2] = ["Custom-", "Microsoft-"];

/// `POST /dataCollectionRules/{rule}/streams/{stream}?api-version=..`. Any version is taken: they differ in nothing
/// that concerns this request.
pub(crate) async fn stream(
    MayIngest(ctx): MayIngest,
    State(state): State<App>,
    Path((_, stream)): Path<(String, String)>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let name = STREAM_PREFIXES.iter().find_map(|prefix| stream.strip_prefix(prefix)).unwrap_or(&stream);
    let table = table_of(&state, name)?;
    let key = idempotency(request.headers(), &ctx)?.map(|key| key.part(0));
    let _place = place(&state).await?;
    let bytes = Pieces::of(request).collect(EVENTS_BODY_BYTES_MAX).await?;
    if !bytes.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::bad_request("the body must be a JSON array of objects"));
    }
    if is_empty_array(&bytes) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let mut options = decode_options(&state, &source_of(&ctx), key.is_some());
    options.table = Some(table);
    store(&state, vec![Lot { format: Format::Json, options, bytes }], key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether there is nothing between the brackets: that is no mistake, and nothing to store.
fn is_empty_array(bytes: &[u8]) -> bool {
    let inner = bytes.trim_ascii().strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}
