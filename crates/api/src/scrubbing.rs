//! What is removed from events before they are stored, and what that would be of a record.

use arrow::array::RecordBatch;
use axum::Json;
use axum::extract::State;
use moneta_base::TableName;
use moneta_event::ColumnType;
use moneta_formats::Format;
use moneta_ports::operations::{ScrubPolicy, ScrubTrial};
use moneta_ports::{QueryColumn, ResultTable, Submission};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ApiError;
use crate::auth::MayAdmin;
use crate::body::JsonBody;
use crate::ingest::{decode_options, source_of, writable_table};
use crate::intake::{Lot, decode, on_other_thread};
use crate::rows::json_rows;
use crate::state::App;

/// Bytes of a record that is tried at most.
const RECORD_BYTES_MAX: usize = 64 << 10;

/// `GET /v1/scrub-policy`.
pub(crate) async fn policy(MayAdmin(ctx): MayAdmin, State(state): State<App>) -> Result<Json<ScrubPolicy>, ApiError> {
    Ok(Json(state.operations.scrub_policy(&ctx).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Try {
    table: String,
    record: Map<String, Value>,
}

/// `POST /v1/scrub-policy/try` with `{"table","record"}`: what would be stored of it.
pub(crate) async fn try_out(
    MayAdmin(ctx): MayAdmin,
    State(state): State<App>,
    JsonBody(body): JsonBody<Try>,
) -> Result<Json<Value>, ApiError> {
    let mut options = decode_options(&state, &source_of(&ctx), false);
    options.table = Some(writable_table(&state, &body.table)?);
    let bytes = Value::from(body.record).to_string().into_bytes();
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(ApiError::too_large(format!("a record that is tried has {RECORD_BYTES_MAX} bytes at most")));
    }
    let lots = vec![Lot { format: Format::Json, options, bytes }];
    let (batches, quarantined) = on_other_thread(move || decode(lots)).await?;
    let records = Submission { batches, quarantined, ..Submission::default() };
    let trial = state.operations.try_scrubbing(&ctx, records).await?;
    to_json(&trial).map(Json)
}

fn to_json(trial: &ScrubTrial) -> Result<Value, ApiError> {
    let mut rows = Vec::new();
    for (table, batch) in &trial.rows {
        rows.extend(rows_of(table, batch)?);
    }
    let quarantined = trial.quarantined.first();
    let tokens: Vec<Value> = trial.tokens.iter().map(|(kind, count)| json!({ "kind": kind, "count": count })).collect();
    Ok(json!({
        "rows": rows,
        "quarantined": quarantined.map(|(reason, record)| {
            json!({ "reason": reason, "record": String::from_utf8_lossy(record) })
        }),
        "tokens": tokens,
    }))
}

/// The rows of a batch with the columns that have a value.
fn rows_of(table: &TableName, batch: &RecordBatch) -> Result<Vec<Value>, ApiError> {
    let schema = batch.schema();
    let typed = schema.fields().iter().map(|field| (field, ColumnType::of_field(field)));
    let column = |(field, column_type): (&std::sync::Arc<arrow::datatypes::Field>, Option<ColumnType>)| QueryColumn {
        name: field.name().clone(),
        column_type: column_type.unwrap_or(ColumnType::String),
    };
    let columns: Vec<QueryColumn> = typed.map(column).collect();
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let result = ResultTable { name: table.to_string(), columns, batches: vec![batch.clone()] };
    let has_value = |value: &Value| !value.is_null() && value.as_str() != Some("");
    let row = |values: Vec<Value>| {
        let named = names.iter().cloned().zip(values).filter(|(_, value)| has_value(value));
        json!({ "table": table.as_str(), "columns": named.collect::<Map<_, _>>() })
    };
    let rows = json_rows(&result).map_err(|error| ApiError::internal(&error))?;
    Ok(rows.into_iter().map(row).collect())
}
