//! What both answer forms are made of, and how they are sent: piece by piece, rows last.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use moneta_event::ColumnType;
use moneta_ports::{QueryAnswer, QueryColumn};
use serde_json::{Value, json};

use super::{cell, fault};
use crate::observe::RequestIds;

/// A table of an answer.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<QueryColumn>,
    pub(crate) rows: Rows,
}

/// The rows of a table.
pub(crate) enum Rows {
    /// Of a query.
    Batches(Vec<arrow::array::RecordBatch>),
    /// Of a management command, or made here.
    Values(Vec<Value>),
}

/// An answer, ready to be written in either form.
pub(crate) struct Answer {
    pub(crate) tables: Vec<Table>,
    /// The `Visualization` object as text.
    pub(crate) visualization: String,
    /// Why the answer is not whole.
    pub(crate) partial: Option<fault::Fault>,
    /// Statistics as text.
    pub(crate) statistics: String,
    /// Findings that did not stop the query.
    pub(crate) warnings: Vec<String>,
}

/// A piece of a body.
pub(crate) enum Piece {
    Text(String),
    Rows { columns: Vec<QueryColumn>, batch: arrow::array::RecordBatch, continues: bool },
}

impl Answer {
    /// The answer of a query.
    ///
    /// # Errors
    /// When a column is not of the type the engine says it is.
    pub(crate) fn of_query(answer: QueryAnswer) -> Result<Self, arrow::error::ArrowError> {
        let num_rows: Vec<usize> = answer.tables.iter().map(moneta_ports::ResultTable::num_rows).collect();
        let statistics = statistics(&answer, &num_rows);
        let visualization = answer.visualization.unwrap_or_else(no_visualization).to_string();
        let mut tables = Vec::with_capacity(answer.tables.len());
        for table in answer.tables {
            let batches = table.batches.iter().map(|batch| cell::normalise(&table.columns, batch));
            let batches = batches.collect::<Result<Vec<_>, _>>()?;
            tables.push(Table { name: table.name, columns: table.columns, rows: Rows::Batches(batches) });
        }
        let not_read = answer.completeness.not_read;
        let partial = match answer.truncated {
            Some(cut) => Some(fault::Fault::truncated(&cut.to_string())),
            None if not_read.is_empty() => None,
            None => Some(fault::Fault::not_all_read(&not_read)),
        };
        let warnings = answer.warnings.into_iter().map(|warning| format!("{}: {}", warning.code, warning.message));
        Ok(Self { tables, visualization, partial, statistics, warnings: warnings.collect() })
    }

    /// The answer of a management command.
    pub(crate) fn of_command(table: Table) -> Self {
        Self {
            tables: vec![table],
            visualization: no_visualization().to_string(),
            partial: None,
            statistics: "{}".to_owned(),
            warnings: Vec::new(),
        }
    }
}

/// The rows of a table as pieces, `last` after them.
pub(crate) fn push_rows(pieces: &mut Vec<Piece>, table: Table, last: Option<Value>) {
    let mut continues = false;
    match table.rows {
        Rows::Batches(batches) => {
            for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
                pieces.push(Piece::Rows { columns: table.columns.clone(), batch, continues });
                continues = true;
            }
        }
        Rows::Values(rows) => {
            continues = !rows.is_empty();
            let texts: Vec<String> = rows.iter().map(Value::to_string).collect();
            pieces.push(Piece::Text(texts.join(",")));
        }
    }
    if let Some(last) = last {
        let comma = if continues { "," } else { "" };
        pieces.push(Piece::Text(format!("{comma}{last}")));
    }
}

/// The response: each piece becomes JSON when the connection asks for it.
pub(crate) fn respond(pieces: Vec<Piece>) -> Response {
    let rendered = pieces.into_iter().map(|piece| {
        let bytes = match piece {
            Piece::Text(text) => text.into_bytes(),
            Piece::Rows { columns, batch, continues } => {
                let mut out = Vec::new();
                cell::write_rows(&mut out, &columns, &batch, continues);
                out
            }
        };
        Ok::<_, std::convert::Infallible>(bytes)
    });
    let body = Body::from_stream(futures::stream::iter(rendered));
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}

/// A column by name and type.
pub(crate) fn column(name: &str, column_type: ColumnType) -> QueryColumn {
    QueryColumn { name: name.to_owned(), column_type }
}

/// Statistics in the members that Kusto's tools show.
fn statistics(answer: &QueryAnswer, num_rows: &[usize]) -> String {
    let completeness = &answer.completeness;
    let tables: Vec<Value> = num_rows.iter().map(|rows| json!({ "table_row_count": rows })).collect();
    let extents = completeness.segments_read + completeness.segments_pruned;
    let not_read: Vec<Value> = completeness.skipped().map(|(what, count, why)| json!([what, count, why])).collect();
    json!({
        "ExecutionTime": answer.elapsed.as_secs_f64(),
        "resource_usage": { "memory": { "peak_per_node": answer.memory_peak_bytes } },
        "input_dataset_statistics": {
            "extents": { "total": extents, "scanned": completeness.segments_read },
            "rows": { "scanned": completeness.rows_scanned },
            "bytes": { "scanned": completeness.bytes_read },
            "rowstores": { "scanned_blocks": completeness.blocks_read },
            "not_read": not_read,
        },
        "dataset_statistics": tables,
    })
    .to_string()
}

fn no_visualization() -> Value {
    json!({
        "Visualization": null, "Title": null, "XColumn": null, "Series": null, "YColumns": null,
        "AnomalyColumns": null, "XTitle": null, "YTitle": null, "XAxis": null, "YAxis": null, "Legend": null,
        "YSplit": null, "Accumulate": false, "IsQuerySorted": false, "Kind": null,
    })
}

/// What both forms say about the run.
pub(crate) struct Run<'a> {
    pub(crate) ids: &'a RequestIds,
    /// The time of the answer, in Kusto's form.
    pub(crate) now: String,
}
