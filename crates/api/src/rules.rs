//! Detection rules: add, list, disable, remove, match against history.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use moneta_base::{TableName, Timestamp};
use moneta_ports::{
    BackfillReport, BackfillSelection, EventExplanation, ExceptionCondition, ExceptionPreview, NewException, OpContext,
    RuleException, RuleFile, RuleSetReport, RuleSummary, RuleTuning,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ApiError;
use crate::address::Path;
use crate::auth::{MayAdmin, MayQuery};
use crate::body::{JsonBody, Pieces, RULES_BODY_BYTES_MAX, parse_json};
use crate::state::App;

#[derive(Deserialize)]
struct AddRules {
    files: Vec<RuleFileBody>,
}

#[derive(Deserialize)]
struct RuleFileBody {
    name: String,
    text: String,
}

impl From<RuleFileBody> for RuleFile {
    fn from(RuleFileBody { name, text }: RuleFileBody) -> Self {
        Self { name, text }
    }
}

/// `POST /v1/rules` with `{"files":[{"name","text"}]}`: those that load are active when it answers; the others are
/// named with the reason.
pub(crate) async fn add(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    request: Request,
) -> Result<Json<RuleSetReport>, ApiError> {
    Ok(Json(state.rules.add(&ctx, files(request).await?).await?))
}

/// `POST /v1/rules/check` with the same body: what adding them would answer, with their tests run. Changes nothing.
pub(crate) async fn check(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    request: Request,
) -> Result<Json<RuleSetReport>, ApiError> {
    Ok(Json(state.rules.check(&ctx, files(request).await?).await?))
}

async fn files(request: Request) -> Result<Vec<RuleFile>, ApiError> {
    let bytes = Pieces::of(request).collect(RULES_BODY_BYTES_MAX).await?;
    let body: AddRules = parse_json(&bytes)?;
    Ok(body.files.into_iter().map(RuleFile::from).collect())
}

/// `POST /v1/rules/packs` with a signed rule pack as its body: as `POST /v1/rules`, once a trusted key's signature and
/// every file are right.
pub(crate) async fn add_pack(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    request: Request,
) -> Result<Json<RuleSetReport>, ApiError> {
    let bytes = Pieces::of(request).collect(RULES_BODY_BYTES_MAX).await?;
    Ok(Json(state.rules.add_pack(&ctx, &bytes).await?))
}

/// `GET /v1/rules`: each with what people made of its alerts, under `judgement`.
pub(crate) async fn list(MayQuery(_): MayQuery, State(state): State<App>) -> Result<Json<Value>, ApiError> {
    let mut judgements = state.incidents.judgements(None)?;
    let rule = |rule: RuleSummary| {
        let judgement = judgements.remove(&rule.rule_id).unwrap_or_default();
        let mut value = json!(rule);
        value["judgement"] = json!(judgement);
        value
    };
    let rules: Vec<Value> = state.rules.list().into_iter().map(rule).collect();
    Ok(Json(json!({ "rules": rules })))
}

/// `GET /v1/rules/{id}`: the rule as it was handed in, and what people made of its alerts.
pub(crate) async fn show(
    MayQuery(_): MayQuery,
    State(state): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let missing = || ApiError::not_found(format!("there is no rule with the id {id:?}"));
    let source = state.rules.source(&id)?.ok_or_else(missing)?;
    let rule = state.rules.list().into_iter().find(|rule| rule.rule_id == id);
    let judgement = state.incidents.judgements(Some(&id))?.remove(&id).unwrap_or_default();
    Ok(Json(json!({ "rule": rule, "source": source, "judgement": judgement })))
}

/// `GET /v1/rules/{id}/tuning`: what the verdicts about its alerts say of how to tune it.
pub(crate) async fn tuning(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    Path(id): Path<String>,
) -> Result<Json<RuleTuning>, ApiError> {
    check_known(&state, &id)?;
    let judged = state.incidents.judged_alerts(&id)?;
    Ok(Json(state.rules.tuning(&ctx, &id, judged).await?))
}

/// `DELETE /v1/rules/{id}`.
pub(crate) async fn remove(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    check_known(&state, &id)?;
    state.rules.remove(&ctx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/rules/{id}/disable`: the rule is kept and matches nothing.
pub(crate) async fn disable(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    set_enabled(&ctx, &state, &id, false).await
}

/// `POST /v1/rules/{id}/enable`.
pub(crate) async fn enable(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    set_enabled(&ctx, &state, &id, true).await
}

async fn set_enabled(ctx: &OpContext, state: &App, id: &str, enabled: bool) -> Result<StatusCode, ApiError> {
    check_known(state, id)?;
    state.rules.set_enabled(ctx, id, enabled).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check_known(state: &App, id: &str) -> Result<(), ApiError> {
    match state.rules.list().iter().any(|rule| rule.rule_id == id) {
        true => Ok(()),
        false => Err(ApiError::not_found(format!("there is no rule with the id {id:?}"))),
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Backfill {
    rules: Vec<String>,
    files: Vec<RuleFileBody>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<usize>,
}

/// `POST /v1/rules/backfill` with `{"rules":[ids],"files":[{"name","text"}],"from":time,"to":time,"limit":n}`, each of
/// which may be left out: what active rules, or those of the files, meet in what is stored. Raises no alert.
pub(crate) async fn backfill(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    JsonBody(body): JsonBody<Backfill>,
) -> Result<Json<BackfillReport>, ApiError> {
    let selection = BackfillSelection {
        rule_ids: body.rules,
        drafts: body.files.into_iter().map(RuleFile::from).collect(),
        from: time(body.from)?,
        to: time(body.to)?,
        matches_max: body.limit,
    };
    Ok(Json(state.rules.backfill(&ctx, selection).await?))
}

fn time(text: Option<String>) -> Result<Option<Timestamp>, ApiError> {
    let parse = |text: String| {
        Timestamp::parse(&text)
            .ok_or_else(|| ApiError::bad_request(format!("{text:?} is not a time such as 2026-01-31T00:00:00Z")))
    };
    text.map(parse).transpose()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainBody {
    table: String,
    seq: u64,
}

/// `POST /v1/rules/{id}/explain` with `{"table","seq"}`: why an active rule matches a stored event, or does not.
pub(crate) async fn explain(
    MayQuery(ctx): MayQuery,
    State(state): State<App>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ExplainBody>,
) -> Result<Json<EventExplanation>, ApiError> {
    let table = TableName::new(&body.table).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let missing = || ApiError::not_found(format!("{} has no row {}", body.table, body.seq));
    Ok(Json(state.rules.explain(&ctx, &id, table, body.seq).await?.ok_or_else(missing)?))
}

/// `GET /v1/exceptions`: those that have ended too.
pub(crate) async fn exceptions(MayQuery(_): MayQuery, State(state): State<App>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "exceptions": state.rules.exceptions()? })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExceptionBody {
    rule_id: String,
    conditions: Vec<ExceptionCondition>,
    reason: String,
    expires: String,
}

/// `POST /v1/exceptions` with `{"rule_id","conditions":[{"field","test","values"}],"reason","expires"}`.
pub(crate) async fn except(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    JsonBody(body): JsonBody<ExceptionBody>,
) -> Result<Json<RuleException>, ApiError> {
    let ExceptionBody { rule_id, conditions, reason, expires } = body;
    let missing = || ApiError::bad_request("an exception needs an end");
    let expires = time(Some(expires))?.ok_or_else(missing)?;
    Ok(Json(state.rules.except(&ctx, NewException { rule_id, conditions, reason, expires }).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewBody {
    rule_id: String,
    conditions: Vec<ExceptionCondition>,
    from: Option<String>,
    to: Option<String>,
}

/// `POST /v1/exceptions/preview` with `{"rule_id","conditions","from","to"}`: what it would take away of what is stored.
pub(crate) async fn preview(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    JsonBody(body): JsonBody<PreviewBody>,
) -> Result<Json<ExceptionPreview>, ApiError> {
    let times = (time(body.from)?, time(body.to)?);
    Ok(Json(state.rules.preview_exception(&ctx, &body.rule_id, body.conditions, times).await?))
}

/// `DELETE /v1/exceptions/{id}`: ends it before its time.
pub(crate) async fn end_exception(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    match state.rules.end_exception(&ctx, &id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found(format!("there is no exception {id:?}"))),
    }
}
