//! The files of the ledger as any tlog client fetches them.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use moneta_ports::LedgerPath;

use crate::ApiError;
use crate::address::Path;
use crate::auth::MayQuery;
use crate::state::App;

/// `GET /ledger/{path}`.
///
/// # Source
/// C2SP tlog-tiles: media types and caching of checkpoints and tiles.
pub(crate) async fn file(
    MayQuery(_): MayQuery,
    State(state): State<App>,
    Path(path): Path<String>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("there is no such file in the ledger");
    let path = LedgerPath::parse(&path).ok_or_else(missing)?;
    let bytes = state.operations.ledger_file(path.clone()).await?.ok_or_else(missing)?;
    let kind = if path.is_note() { "text/plain; charset=utf-8" } else { "application/octet-stream" };
    let cache = if path.is_immutable() { "private, max-age=31536000, immutable" } else { "no-store" };
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)], bytes).into_response())
}
