//! The installation as its operators see it: status, verification, quarantine, retention.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use moneta_base::{Seq, TableName, Timestamp};
use moneta_ports::operations::{
    ExportSelection, Hold, HoldRequest, ProofAnswer, ReplayReport, ReplaySelection, Snapshot, Status, VerifyReport,
};
use moneta_ports::{SourceQuality, SourceStatus};
use serde::Deserialize;

use crate::ApiError;
use crate::address::Path;
use crate::auth::{MayAdmin, MayQuery};
use crate::body::JsonBody;
use crate::ingest::writable_table;
use crate::state::App;

/// Quarantined records one request may name; all of them need no names.
const REPLAY_SEQS_MAX: usize = 100_000;

/// When to ask again while the store is being checked.
const VERIFY_RETRY: Duration = Duration::from_secs(60);

/// `GET /v1/status`.
pub(crate) async fn status(MayQuery(ctx): MayQuery, State(state): State<App>) -> Result<Json<Status>, ApiError> {
    Ok(Json(state.operations.status(&ctx).await?))
}

/// `POST /v1/verify`: checks everything stored; findings are part of the answer.
pub(crate) async fn verify(MayQuery(ctx): MayQuery, State(state): State<App>) -> Result<Json<VerifyReport>, ApiError> {
    let Ok(_alone) = state.verifying.try_lock() else {
        return Err(ApiError::busy("the store is being checked already; try again when that is done", VERIFY_RETRY));
    };
    Ok(Json(state.operations.verify(&ctx).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replay {
    #[serde(default)]
    all: bool,
    #[serde(default)]
    seqs: Vec<Seq>,
    format: Option<String>,
    reason: Option<String>,
    source: Option<String>,
    as_format: Option<String>,
    as_table: Option<String>,
}

/// `GET /v1/sources`.
pub(crate) async fn sources(MayQuery(ctx): MayQuery, State(state): State<App>) -> Json<Vec<SourceStatus>> {
    Json(state.operations.sources(&ctx))
}

/// `GET /v1/sources/quality`.
pub(crate) async fn source_quality(MayQuery(ctx): MayQuery, State(state): State<App>) -> Json<Vec<SourceQuality>> {
    Json(state.operations.source_quality(&ctx))
}

/// `POST /v1/quarantine/replay` with `{"all":true}`, `{"seqs":[..]}`, or what narrows the selection: `format`, `reason`,
/// `source`. `as_format` and `as_table` say how to decode instead.
pub(crate) async fn replay(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    JsonBody(body): JsonBody<Replay>,
) -> Result<Json<ReplayReport>, ApiError> {
    let narrows = !body.seqs.is_empty() || body.format.is_some() || body.reason.is_some() || body.source.is_some();
    if body.all == narrows || body.seqs.len() > REPLAY_SEQS_MAX {
        let message = format!(
            "send {{\"all\":true}}, or what to select: 1 to {REPLAY_SEQS_MAX} \"seqs\", \"format\", \"reason\", \"source\""
        );
        return Err(ApiError::bad_request(message));
    }
    let as_table = body.as_table.as_deref().map(|name| writable_table(&state, name)).transpose()?;
    let selection = ReplaySelection {
        seqs: body.seqs,
        format: body.format,
        reason_code: body.reason,
        source: body.source,
        as_format: body.as_format,
        as_table,
    };
    Ok(Json(state.operations.replay_quarantine(&ctx, selection).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    /// `null` goes back to the configured default.
    days: Option<u32>,
}

/// `PUT /v1/tables/{table}/retention` with `{"days":90}` or `{"days":null}`.
pub(crate) async fn set_retention(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(table): Path<String>,
    JsonBody(body): JsonBody<Retention>,
) -> Result<StatusCode, ApiError> {
    let table = TableName::new(&table).map_err(|error| ApiError::bad_request(error.to_string()))?;
    state.operations.set_retention(&ctx, table, body.days).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/holds`.
pub(crate) async fn holds(MayAdmin(ctx): MayAdmin, State(state): State<App>) -> Result<Json<Vec<Hold>>, ApiError> {
    Ok(Json(state.operations.holds(&ctx).await?))
}

/// `PUT /v1/holds/{name}` with `{"table","from","to","reason"}`, all but the reason optional.
pub(crate) async fn place_hold(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<HoldRequest>,
) -> Result<Json<Hold>, ApiError> {
    Ok(Json(state.operations.place_hold(&ctx, name, request).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    reason: String,
}

/// `POST /v1/holds/{name}/release` with `{"reason"}`.
pub(crate) async fn release_hold(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<Release>,
) -> Result<StatusCode, ApiError> {
    match state.operations.release_hold(&ctx, name.clone(), body.reason).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found(format!("there is no hold named {name:?}"))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginSnapshot {
    /// The table to export; absent, and no incident: everything, for a backup.
    table: Option<String>,
    from: Option<String>,
    to: Option<String>,
    /// The number of the incident to export.
    incident: Option<u64>,
}

impl BeginSnapshot {
    fn selection(self) -> Result<Option<ExportSelection>, ApiError> {
        let time = |text: Option<String>| {
            let parse = |text: String| {
                Timestamp::parse(&text)
                    .ok_or_else(|| ApiError::bad_request(format!("{text:?} is not a time: write it as RFC 3339")))
            };
            text.map(parse).transpose()
        };
        let (from, to) = (time(self.from)?, time(self.to)?);
        let Some(table) = self.table else {
            return match (from, to) {
                (None, None) => Ok(self.incident.map(|number| ExportSelection::Case { number })),
                _ => Err(ApiError::bad_request("from and to go with a table alone")),
            };
        };
        if self.incident.is_some() {
            return Err(ApiError::bad_request("name a table or an incident, not both"));
        }
        let table = TableName::new(&table).map_err(|error| ApiError::bad_request(error.to_string()))?;
        Ok(Some(ExportSelection::Table { table, from, to }))
    }
}

/// `POST /v1/snapshots`: links every file as it is at this moment, for a backup on the same machine; with a table its
/// rows, with an incident its versions, alerts and events, and what proves them. The scope includes that of incidents.
pub(crate) async fn begin_snapshot(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    JsonBody(body): JsonBody<BeginSnapshot>,
) -> Result<Json<Snapshot>, ApiError> {
    Ok(Json(state.operations.begin_snapshot(&ctx, body.selection()?).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndSnapshot {
    /// `null`: the backup was given up.
    manifest_sha256: Option<String>,
}

/// `POST /v1/snapshots/end` with `{"manifest_sha256"}`, which is audited.
pub(crate) async fn end_snapshot(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    JsonBody(body): JsonBody<EndSnapshot>,
) -> Result<StatusCode, ApiError> {
    state.operations.end_snapshot(&ctx, body.manifest_sha256).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/tables/{table}/rows/{seq}/proof`: the text that `moneta-verify proof` reads.
pub(crate) async fn prove_record(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    Path((table, seq)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let table = TableName::new(&table).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let seq: Seq = seq.parse().map_err(|_| ApiError::bad_request(format!("{seq:?} is not a _Seq: a number from 0")))?;
    proof_text(state.operations.prove_record(&ctx, table, seq).await?)
}

/// `GET /v1/alerts/{id}/proof`: the text that `moneta-verify alert` reads.
pub(crate) async fn prove_alert(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    proof_text(state.operations.prove_alert(&ctx, id).await?)
}

fn proof_text(answer: ProofAnswer) -> Result<Response, ApiError> {
    match answer {
        ProofAnswer::Proof(text) => {
            let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
            Ok((headers, text).into_response())
        }
        ProofAnswer::NotStored(reason) => Err(ApiError::not_found(reason)),
    }
}
