//! The second answer form: an array of frames in a fixed order, each with its type first and columns before rows.

use axum::response::Response;
use moneta_event::ColumnType;
use moneta_ports::QueryColumn;
use serde_json::{Value, json};

use super::answer::{Answer, Piece, Rows, Run, Table, column, push_rows, respond};

/// Writes an answer.
pub(crate) fn write(answer: Answer, newlines: bool, run: &Run<'_>) -> Response {
    let separator = if newlines { ",\n" } else { "," };
    let error = answer.partial.as_ref().map(|fault| json!({ "error": fault.to_json(run) }));
    let header = json!({ "FrameType": "DataSetHeader", "IsProgressive": false, "Version": "v2.0" });
    let mut pieces = vec![Piece::Text(format!("[{header}"))];
    let completion = completion_table(&answer, run);
    let mut id = 0;
    let mut push = |kind: &str, table: Table, last: Option<Value>| {
        pieces.push(Piece::Text(format!("{separator}{}", table_head(id, kind, &table))));
        push_rows(&mut pieces, table, last);
        pieces.push(Piece::Text("]}".to_owned()));
        id += 1;
    };
    push("QueryProperties", properties_table(answer.visualization, answer.tables.len()), None);
    let num_tables = answer.tables.len();
    for (index, table) in answer.tables.into_iter().enumerate() {
        let is_last = index + 1 == num_tables;
        let last = error.as_ref().filter(|_| is_last).map(|error| json!({ "OneApiErrors": [error] }));
        push("PrimaryResult", table, last);
    }
    push("QueryCompletionInformation", completion, None);
    let mut end = json!({ "FrameType": "DataSetCompletion", "HasErrors": error.is_some(), "Cancelled": false });
    if let Some(error) = error {
        end["OneApiErrors"] = json!([error]);
    }
    pieces.push(Piece::Text(format!("{separator}{end}]")));
    respond(pieces)
}

fn table_head(id: usize, kind: &str, table: &Table) -> String {
    let name = Value::from(table.name.as_str());
    let columns: Vec<Value> = table.columns.iter().map(column_json).collect();
    let columns = Value::from(columns);
    format!(
        "{{\"FrameType\":\"DataTable\",\"TableId\":{id},\"TableKind\":\"{kind}\",\"TableName\":{name},\"Columns\":{columns},\"Rows\":["
    )
}

fn column_json(column: &QueryColumn) -> Value {
    json!({ "ColumnName": column.name, "ColumnType": column.column_type.name() })
}

/// How to draw: one row per result, of which the last carries `render`.
fn properties_table(visualization: String, num_tables: usize) -> Table {
    Table {
        name: "@ExtendedProperties".to_owned(),
        columns: vec![
            column("TableId", ColumnType::Int),
            column("Key", ColumnType::String),
            column("Value", ColumnType::Dynamic),
        ],
        rows: Rows::Values(vec![json!([num_tables.max(1), "Visualization", visualization])]),
    }
}

/// How the query went. The clients take any level below 4 for an error.
fn completion_table(answer: &Answer, run: &Run<'_>) -> Table {
    let columns = [
        ("Timestamp", ColumnType::DateTime),
        ("ClientRequestId", ColumnType::String),
        ("ActivityId", ColumnType::Guid),
        ("SubActivityId", ColumnType::Guid),
        ("ParentActivityId", ColumnType::Guid),
        ("Level", ColumnType::Int),
        ("LevelName", ColumnType::String),
        ("StatusCode", ColumnType::Int),
        ("StatusCodeName", ColumnType::String),
        ("EventType", ColumnType::Int),
        ("EventTypeName", ColumnType::String),
        ("Payload", ColumnType::String),
    ];
    let id = &*run.ids.activity;
    let row = |level: (i32, &str), status: (i64, &str), event: (i32, &str), payload: String| {
        let client = &*run.ids.client;
        json!([run.now, client, id, id, id, level.0, level.1, status.0, status.1, event.0, event.1, payload])
    };
    let info = |text: &str| json!({ "Count": 1, "Text": text }).to_string();
    let good = (0, "S_OK (0)");
    let mut rows = vec![match &answer.partial {
        Some(fault) => {
            let (code, words, event) = fault.completion();
            row((2, "Error"), (code, words), (1, event), info(&fault.message))
        }
        None => row((4, "Info"), good, (4, "QueryInfo"), info("Query completed successfully")),
    }];
    rows.extend(answer.warnings.iter().map(|text| row((4, "Info"), good, (4, "QueryInfo"), info(text))));
    rows.push(row((6, "Stats"), good, (0, "QueryResourceConsumption"), answer.statistics.clone()));
    Table {
        name: "QueryCompletionInformation".to_owned(),
        columns: columns.iter().map(|(name, kind)| column(name, *kind)).collect(),
        rows: Rows::Values(rows),
    }
}
