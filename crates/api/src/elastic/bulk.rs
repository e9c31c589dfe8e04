//! Bulk requests: a line that says what to do, a line with the document, each answered by itself and in order.
//!
//! # Source
//! Elasticsearch reference, "Bulk API" and "Index API". `create` and `index` both add: what is stored never changes, so
//! `update` and `delete` are refused, item by item. Documents that come with ids are recognised when the same request
//! is sent again.

use aws_lc_rs::digest;
use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use moneta_ports::{IdempotencyKey, OpContext};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::filter::filtered;
use super::{Refusal, cause};
use crate::ApiError;
use crate::auth::MayIngest;
use crate::body::{EVENTS_BODY_BYTES_MAX, Pieces};
use crate::ingest::RequestKey;
use crate::intake::{Records, Target, on_other_thread, place, table_of};
use crate::state::App;

/// What follows the name in the names of indexes that are made anew each day or generation.
const GENERATION: &str = "0123456789.-_";
/// Begins the names of the indexes behind a data stream.
const BACKING_PREFIX: &str = ".ds-";

/// What a bulk request may ask beside; the rest changes nothing here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Parameters {
    filter_path: String,
}

type Caller = Result<MayIngest, ApiError>;

/// `POST` or `PUT /_bulk`.
pub(super) async fn bulk(caller: Caller, State(state): State<App>, request: Request) -> Result<Response, Refusal> {
    run(caller, &state, None, request).await
}

/// The same for `/{index}/_bulk`, where the index is that of items that name none.
pub(super) async fn bulk_of_index(
    caller: Caller,
    State(state): State<App>,
    Path(index): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    run(caller, &state, Some(&index), request).await
}

/// `POST /{index}/_doc`.
pub(super) async fn document(
    caller: Caller,
    State(state): State<App>,
    Path(index): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    one(caller, &state, index, None, request).await
}

/// `PUT /{index}/_doc/{id}` and `PUT /{index}/_create/{id}`.
pub(super) async fn named_document(
    caller: Caller,
    State(state): State<App>,
    Path((index, id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    one(caller, &state, index, Some(id), request).await
}

async fn one(
    caller: Caller,
    state: &App,
    index: String,
    id: Option<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let MayIngest(ctx) = caller?;
    let _place = place(state).await?;
    let body = Pieces::of(request).collect(EVENTS_BODY_BYTES_MAX).await?;
    let mut item = Item::new(state, "index", index, id);
    let mut records = Records::default();
    item.take(&mut records, &body);
    std::mem::replace(&mut item.outcome, Ok(()))?;
    let key = request_key(&ctx, std::slice::from_ref(&item), &body);
    records.store(state, &ctx, "elastic", key).await?;
    Ok((StatusCode::CREATED, Json(item.answer().1)).into_response())
}

async fn run(caller: Caller, state: &App, index: Option<&str>, request: Request) -> Result<Response, Refusal> {
    let MayIngest(ctx) = caller?;
    let _place = place(state).await?;
    let parameters = Query::<Parameters>::try_from_uri(request.uri());
    let Query(parameters) = parameters.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let body = Pieces::of(request).collect(EVENTS_BODY_BYTES_MAX).await?;
    let started = std::time::Instant::now();
    let (reader, index, sender) = (state.clone(), index.map(str::to_owned), ctx.clone());
    let read = on_other_thread(move || {
        let (items, records) = read(&reader, index.as_deref(), &body)?;
        let key = request_key(&sender, &items, &body);
        Ok::<_, ApiError>((items, records, key))
    });
    let (mut items, records, key) = read.await??;
    if !records.is_empty() {
        match records.store(state, &ctx, "elastic", key).await {
            Ok(_) => {}
            // Back-pressure is said of each item: the client sends those again that it is said of.
            Err(error) if error.status == StatusCode::SERVICE_UNAVAILABLE && error.retry_after.is_some() => {
                for item in items.iter_mut().filter(|item| item.outcome.is_ok()) {
                    item.outcome = Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, error.code, error.message.clone()));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let errors = items.iter().any(|item| item.outcome.is_err());
    let answers: Vec<Value> = items
        .into_iter()
        .map(|item| {
            let (action, answer) = item.answer();
            json!({ action: answer })
        })
        .collect();
    let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let answer = json!({ "took": took, "errors": errors, "items": answers });
    Ok(Json(filtered(answer, &parameters.filter_path)).into_response())
}

/// One thing to do, and what became of it.
struct Item {
    action: String,
    index: String,
    id: Option<String>,
    target: Option<Target>,
    outcome: Result<(), ApiError>,
}

impl Item {
    fn new(state: &App, action: &str, index: String, id: Option<String>) -> Self {
        let (target, outcome) = match target(state, &index) {
            Ok(target) => (Some(target), Ok(())),
            Err(error) => (None, Err(error)),
        };
        Self { action: action.to_owned(), index, id, target, outcome }
    }

    /// Adds the document to the records, when it is one.
    fn take(&mut self, records: &mut Records, document: &[u8]) {
        let Some(target) = &self.target else { return };
        match serde_json::from_slice::<Map<String, Value>>(document) {
            Ok(mut record) => {
                record.extend(self.id.clone().map(|id| ("_id".to_owned(), id.into())));
                self.outcome = records.push(target, &record);
            }
            Err(error) => {
                self.outcome = Err(ApiError::bad_request(format!("the document is not a JSON object: {error}")))
            }
        }
    }

    fn answer(self) -> (String, Value) {
        let mut answer = json!({ "_index": self.index, "_id": self.id.unwrap_or_default() });
        match &self.outcome {
            Ok(()) => {
                answer["result"] = "created".into();
                answer["_version"] = 1.into();
                answer["status"] = 201.into();
            }
            Err(error) => {
                answer["status"] = error.status.as_u16().into();
                answer["error"] = cause(error);
            }
        }
        (self.action, answer)
    }
}

/// The items of a bulk request, and the records of those that have one.
fn read(state: &App, index: Option<&str>, body: &[u8]) -> Result<(Vec<Item>, Records), ApiError> {
    let (mut items, mut records) = (Vec::new(), Records::default());
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    while let Some(line) = lines.next() {
        let number = items.len() + 1;
        let malformed = || {
            ApiError::bad_request(format!(
                "action {number} of the bulk request is not `{{\"create\":{{\"_index\":..}}}}`, one a line"
            ))
        };
        let action: Map<String, Value> = serde_json::from_slice(line).map_err(|_| malformed())?;
        let (name, parameters) = action.into_iter().next().ok_or_else(malformed)?;
        let text = |member: &str| parameters.get(member).and_then(Value::as_str).map(str::to_owned);
        let Some(index) = text("_index").or_else(|| index.map(str::to_owned)) else {
            return Err(ApiError::bad_request(format!("action {number} names no index, and the path names none")));
        };
        let mut item = Item::new(state, &name, index, text("_id"));
        match name.as_str() {
            "create" | "index" => {
                let document = lines.next().ok_or_else(|| {
                    ApiError::bad_request(format!("the document of action {number}, the last one, is missing"))
                })?;
                item.take(&mut records, document);
            }
            "update" | "delete" => {
                if name == "update" {
                    lines.next();
                }
                item.outcome =
                    Err(ApiError::bad_request(format!("`{name}` is not possible: what is stored never changes")));
            }
            _ => return Err(malformed()),
        }
        items.push(item);
    }
    if items.is_empty() {
        return Err(ApiError::bad_request("the bulk request has no actions"));
    }
    Ok((items, records))
}

/// Where documents of an index go: to the built-in table or the table of the user's own that it names; from any other
/// index wherever their shape belongs, else to a table named like the index without day or generation.
fn target(state: &App, index: &str) -> Result<Target, ApiError> {
    let name = index.strip_prefix(BACKING_PREFIX).unwrap_or(index);
    if state.catalog.get(name).is_some() || name.ends_with("_CL") {
        return table_of(state, name).map(Target::Table);
    }
    let stem = name.trim_end_matches(|c| GENERATION.contains(c));
    table_of(state, if stem.is_empty() { name } else { stem }).map(Target::Recognised)
}

/// A key by which the same request sent again is recognised, when every document has an id.
fn request_key(ctx: &OpContext, items: &[Item], body: &[u8]) -> Option<IdempotencyKey> {
    if !items.iter().all(|item| item.id.is_some()) {
        return None;
    }
    // Index and id may stand in the path instead of the body. Lengths keep parts from running together.
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in items.iter().flat_map(|item| [&*item.index, item.id.as_deref().unwrap_or_default()]) {
        hash.update(&part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(body);
    Some(RequestKey::of("elastic", ctx, &hash.finish()).part(0))
}
