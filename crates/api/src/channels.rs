//! Channels: how they are doing, and a test.

use axum::Json;
use axum::extract::State;
use moneta_ports::ChannelTest;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ApiError;
use crate::address::Path;
use crate::auth::{MayAdmin, MayQuery};
use crate::state::App;

/// `GET /v1/channels`.
pub(crate) async fn list(MayQuery(_): MayQuery, State(state): State<App>) -> Json<Value> {
    Json(json!({ "channels": state.channels.channels() }))
}

/// `POST /v1/channels/{name}/test`: sends one test alert at once. That the receiver refuses is part of the answer.
pub(crate) async fn test(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(name): Path<String>,
) -> Result<Json<ChannelTest>, ApiError> {
    let tested = state.channels.test(&ctx, &name).await?;
    tested.map(Json).ok_or_else(|| ApiError::not_found(format!("there is no channel {name:?}")))
}

/// Which alerts are sent again; all when nothing is said.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Selection {
    channel: Option<String>,
    alerts: Vec<String>,
}

/// `GET /v1/alerts/undelivered`: alerts that channels gave up.
pub(crate) async fn undelivered(MayQuery(ctx): MayQuery, State(state): State<App>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "alerts": state.channels.undelivered(&ctx).await? })))
}

/// `POST /v1/alerts/undelivered/send`: sends them again, once and at once.
pub(crate) async fn resend(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Json(selection): Json<Selection>,
) -> Result<Json<Value>, ApiError> {
    let Selection { channel, alerts } = selection;
    Ok(Json(json!({ "alerts": state.channels.resend(&ctx, channel.as_deref(), &alerts).await? })))
}
