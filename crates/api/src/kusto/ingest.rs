//! Streaming ingest: rows for a table in the body of a request.
//!
//! # Source
//! Kusto's REST interface, "Streaming ingest request": the format and the table stand in the address, the answer is a
//! table of one row. Values without names go to the table's columns in the order of its schema: `TimeGenerated`, then
//! its own. Errors that sending again cannot mend are permanent, so that the managed client does not try a blob instead.

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use moneta_base::TableName;
use moneta_event::schema::standard;
use moneta_event::{Column, ColumnType, TableCatalog, TableSchema};
use moneta_formats::Format;
use moneta_ports::{MappingKind, OpContext};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

use super::answer::Run;
use super::fault::Fault;
use super::mapping::Mapping;
use super::mgmt::table;
use super::objects::not_found;
use super::{is_our_database, v1};
use crate::ApiError;
use crate::auth::MayIngest;
use crate::body::{EVENTS_BODY_BYTES_MAX, Pieces};
use crate::ingest::{decode_options, idempotency, source_of, writable_table};
use crate::intake::{Lot, on_other_thread, place, store};
use crate::observe::RequestIds;
use crate::state::App;

/// What a format is called and what stands between its values.
const DELIMITED: [(&str, u8); 5] = [("csv", b','), ("tsv", b'\t'), ("psv", b'|'), ("scsv", b';'), ("sohsv", 1)];
const JSON: [&str; 3] = ["json", "singlejson", "multijson"];

/// Bytes of records at most once they are mapped: constants stand in each of them.
const MAPPED_BYTES_MAX: usize = 4 * EVENTS_BODY_BYTES_MAX;

/// The parameters of a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parameters {
    stream_format: Option<String>,
    mapping_name: Option<String>,
    source_kind: Option<String>,
}

/// `POST /v1/rest/ingest/{database}/{table}?streamFormat=..`.
pub(crate) async fn stream(
    caller: Result<MayIngest, ApiError>,
    Extension(ids): Extension<RequestIds>,
    State(state): State<App>,
    Path((database, name)): Path<(String, String)>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    request: Request,
) -> Response {
    let run = Run { ids: &ids, now: state.clock.now().to_string() };
    let outcome = async {
        let MayIngest(ctx) = caller?;
        if !is_our_database(&database) {
            return Err(Fault::no_such_database(&database));
        }
        let Query(parameters) = parameters.map_err(|error| Fault::bad_request(error.body_text()))?;
        let format = parameters.check()?;
        let mapping = parameters.mapping_name.filter(|name| !name.is_empty());
        let table = writable_table(&state, &name).map_err(|error| match error.status {
            // To the clients 404 means that there is no streaming ingest at all.
            StatusCode::NOT_FOUND => Fault::bad_request(error.message),
            _ => error.into(),
        })?;
        ingest(&state, &ctx, table, (&format, mapping.as_deref()), request).await
    };
    match outcome.await {
        Ok(num_rows) => v1::write_command(consumed(num_rows)),
        Err(fault) => fault.respond(&run),
    }
}

impl Parameters {
    /// The format in small letters.
    fn check(&self) -> Result<String, Fault> {
        if self.source_kind.is_some() {
            return Err(Fault::bad_request(
                "`sourceKind` is not possible: nothing is fetched from elsewhere; send the rows",
            ));
        }
        let format = self.stream_format.as_deref().unwrap_or("csv").to_ascii_lowercase();
        if JSON.contains(&format.as_str()) || DELIMITED.iter().any(|(name, _)| *name == format) {
            return Ok(format);
        }
        Err(Fault::bad_request(format!(
            "streamFormat {format:?} is not possible; there are csv, tsv, psv, scsv, sohsv, json and multijson"
        )))
    }
}

async fn ingest(
    state: &App,
    ctx: &OpContext,
    table: TableName,
    (format, mapping): (&str, Option<&str>),
    request: Request,
) -> Result<u64, Fault> {
    let key = idempotency(request.headers(), ctx)?.map(|key| key.part(0));
    let _place = place(state).await?;
    let body = Pieces::of(request).collect(EVENTS_BODY_BYTES_MAX).await?;
    let mut options = decode_options(state, &source_of(ctx), key.is_some());
    // The columns as they are now: a text that is a number goes into a column of numbers.
    let schema = schema_of(state, &table);
    if let Some(schema) = &schema {
        let mut catalog = TableCatalog::clone(&state.catalog);
        catalog.insert(TableSchema::clone(schema));
        options.catalog = Arc::new(catalog);
    }
    options.table = Some(table.clone());
    let delimiter = DELIMITED.iter().find(|(name, _)| *name == format).map(|(_, delimiter)| *delimiter);
    let mapping = mapping.map(|name| mapping_of(state, &table, schema.as_deref(), delimiter, name)).transpose()?;
    options.fixed_columns = mapping.is_some();
    let (format, bytes) = match (delimiter, mapping) {
        (None, None) => (Format::Json, body),
        (delimiter, Some(mapping)) => {
            let lines = on_other_thread(move || mapped_lines(&body, delimiter, &mapping)).await?;
            (Format::Ndjson, lines.map_err(Fault::bad_request)?)
        }
        (Some(delimiter), None) => {
            let columns = schema.as_deref().map(positions).unwrap_or_default();
            if columns.is_empty() {
                return Err(Fault::bad_request(format!(
                    "{table} has no columns yet, so values without names mean nothing: send json first"
                )));
            }
            (Format::Ndjson, to_lines(&body, delimiter, &columns).map_err(Fault::bad_request)?)
        }
    };
    let stored = store(state, vec![Lot { format, options, bytes }], key).await?;
    Ok(stored.receipt.ranges.iter().filter(|range| range.table == table).map(|range| range.num_rows).sum())
}

/// The mapping of that name, over the columns that the table has now.
fn mapping_of(
    state: &App,
    table: &TableName,
    schema: Option<&TableSchema>,
    delimiter: Option<u8>,
    name: &str,
) -> Result<Mapping, Fault> {
    let kind = if delimiter.is_some() { MappingKind::Csv } else { MappingKind::Json };
    let found = state.objects.mapping(table.as_str(), kind, name).zip(schema);
    let (found, schema) = found.ok_or_else(|| not_found("MappingPersistent", name))?;
    Mapping::parse(kind, &found.mapping, schema).map_err(Fault::bad_request)
}

/// Records as objects of columns, one a line.
fn mapped_lines(body: &[u8], delimiter: Option<u8>, mapping: &Mapping) -> Result<Vec<u8>, String> {
    let mut lines = Vec::with_capacity(2 * body.len());
    let mut write = |object: &Map<String, Value>| -> Result<(), String> {
        serde_json::to_writer(&mut lines, object).map_err(|error| error.to_string())?;
        lines.push(b'\n');
        if lines.len() > MAPPED_BYTES_MAX {
            return Err(format!("the records have more than {MAPPED_BYTES_MAX} bytes once mapped; send fewer at once"));
        }
        Ok(())
    };
    if let Some(delimiter) = delimiter {
        for row in rows_of(body, delimiter).records() {
            write(&mapping.of_values(&row.map_err(|error| format!("the body is not of the format: {error}"))?))?;
        }
        return Ok(lines);
    }
    for record in serde_json::Deserializer::from_slice(body).into_iter::<Value>() {
        let record = record.map_err(|error| format!("the body is not JSON, so nothing of it was taken: {error}"))?;
        let records = if let Value::Array(records) = record { records } else { vec![record] };
        for record in records {
            if !record.is_object() {
                return Err(format!("a mapping is of JSON objects, and this is none: {:.80}", record.to_string()));
            }
            write(&mapping.of_record(record))?;
        }
    }
    Ok(lines)
}

/// The columns of a table at this moment.
fn schema_of(state: &App, table: &TableName) -> Option<Arc<TableSchema>> {
    // Where values go is no secret of the table's: the sender knows what it sends.
    let all = state.queries.schema(&OpContext::service("ingest"));
    all.into_iter().find(|schema| schema.name() == table).or_else(|| state.catalog.get(table.as_str()).cloned())
}

/// The columns that values without names go to, in their order.
fn positions(schema: &TableSchema) -> Vec<Column> {
    let is_own = |name: &str| !name.starts_with('_') && name != standard::TENANT_ID && name != standard::TYPE;
    let (time, own): (Vec<Column>, Vec<Column>) = schema
        .columns()
        .iter()
        .filter(|column| is_own(&column.name))
        .cloned()
        .partition(|column| &*column.name == standard::TIME_GENERATED);
    if own.is_empty() { Vec::new() } else { time.into_iter().chain(own).collect() }
}

fn rows_of(body: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(body)
}

/// Separated values as objects, one a line. Values beyond the last column are kept under `Field` and their number.
fn to_lines(body: &[u8], delimiter: u8, columns: &[Column]) -> Result<Vec<u8>, String> {
    let mut reader = rows_of(body, delimiter);
    let mut lines = Vec::with_capacity(2 * body.len());
    for row in reader.records() {
        let row = row.map_err(|error| format!("the body is not of the format: {error}"))?;
        let mut object = Map::new();
        for (position, text) in row.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
            let column = columns.get(position);
            let name = column.map_or_else(|| format!("Field{}", position + 1), |column| column.name.to_string());
            let is_dynamic = column.is_some_and(|column| column.column_type == ColumnType::Dynamic);
            let value = if is_dynamic { serde_json::from_str(text).ok() } else { None };
            object.insert(name, value.unwrap_or_else(|| Value::from(text)));
        }
        serde_json::to_writer(&mut lines, &object).map_err(|error| error.to_string())?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn consumed(num_rows: u64) -> super::answer::Table {
    let columns = [
        ("ConsumedRecordsCount", ColumnType::Long),
        ("UpdatePolicyStatus", ColumnType::String),
        ("UpdatePolicyFailureCode", ColumnType::String),
        ("UpdatePolicyFailureReason", ColumnType::String),
    ];
    table(&columns, vec![json!([num_rows, "Inactive", "Unknown", ""])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_to_columns_by_their_place() {
        let schema = TableSchema::new(
            TableName::new("T_CL").unwrap(),
            [Column::new("a", ColumnType::Long), Column::new("b", ColumnType::Dynamic)],
        );
        let columns = positions(&schema);
        let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
        assert_eq!(names, ["TimeGenerated", "a", "b"]);
        let lines = |text: &str, delimiter| {
            to_lines(text.as_bytes(), delimiter, &columns).map(|l| String::from_utf8(l).unwrap())
        };
        assert_eq!(
            lines("2026-01-02,1,\"{\"\"x\"\":2}\",more\n,,text\n", b',').unwrap(),
            "{\"TimeGenerated\":\"2026-01-02\",\"a\":\"1\",\"b\":{\"x\":2},\"Field4\":\"more\"}\n{\"b\":\"text\"}\n"
        );
        assert_eq!(lines("\u{1}5\n", 1).unwrap(), "{\"a\":\"5\"}\n");
        assert_eq!(lines("|5\n", b'|').unwrap(), "{\"a\":\"5\"}\n");
        assert!(to_lines(b"\xff", b',', &columns).unwrap_err().contains("format"));
        assert!(positions(&TableSchema::custom(TableName::new("T_CL").unwrap())).is_empty());
    }
}
