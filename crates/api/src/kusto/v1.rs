//! The first answer form: an object of tables, of which the last lists the others.

use axum::response::Response;
use moneta_event::ColumnType;
use moneta_ports::QueryColumn;
use serde_json::{Value, json};

use super::answer::{Answer, Piece, Rows, Run, Table, column, push_rows, respond};

/// Writes the answer of a query: results, properties, status, contents.
pub(crate) fn write(answer: Answer, run: &Run<'_>) -> Response {
    let partial = answer.partial.as_ref().map(|fault| fault.message.clone());
    let failure = answer.partial.as_ref().map(|fault| (fault.completion().0, fault.message.as_str()));
    let mut tables = Vec::new();
    let mut contents = Vec::new();
    for table in answer.tables {
        contents.push(("QueryResult", table.name.clone()));
        tables.push((table, partial.clone().map(|text| json!({ "Exceptions": [text] }))));
    }
    let properties = Table {
        name: String::new(),
        columns: vec![column("Value", ColumnType::String)],
        rows: Rows::Values(vec![json!([answer.visualization])]),
    };
    contents.push(("QueryProperties", "@ExtendedProperties".to_owned()));
    tables.push((properties, None));
    contents.push(("QueryStatus", "QueryStatus".to_owned()));
    tables.push((status_table(failure, &answer.statistics, run), None));
    tables.push((contents_table(&contents), None));
    let exceptions = partial.map(|text| json!([text]));
    respond(pieces(tables, exceptions))
}

/// Writes the answer of a management command: one table, nothing beside it.
pub(crate) fn write_command(table: Table) -> Response {
    respond(pieces(vec![(table, None)], None))
}

fn pieces(tables: Vec<(Table, Option<Value>)>, exceptions: Option<Value>) -> Vec<Piece> {
    let mut pieces = vec![Piece::Text("{\"Tables\":[".to_owned())];
    for (index, (table, last)) in tables.into_iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let columns: Vec<Value> = table.columns.iter().map(column_json).collect();
        let columns = Value::from(columns);
        let head = format!("{comma}{{\"TableName\":\"Table_{index}\",\"Columns\":{columns},\"Rows\":[");
        pieces.push(Piece::Text(head));
        push_rows(&mut pieces, table, last);
        pieces.push(Piece::Text("]}".to_owned()));
    }
    let end = exceptions.map_or_else(|| "]}".to_owned(), |list| format!("],\"Exceptions\":{list}}}"));
    pieces.push(Piece::Text(end));
    pieces
}

fn column_json(column: &QueryColumn) -> Value {
    json!({
        "ColumnName": column.name,
        "DataType": net_type(column.column_type),
        "ColumnType": column.column_type.name(),
    })
}

/// The name of a type in .NET, as the first answer form has it.
pub(crate) const fn net_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Bool => "SByte",
        ColumnType::Int => "Int32",
        ColumnType::Long => "Int64",
        ColumnType::Real => "Double",
        ColumnType::Decimal => "SqlDecimal",
        ColumnType::String => "String",
        ColumnType::DateTime => "DateTime",
        ColumnType::TimeSpan => "TimeSpan",
        ColumnType::Dynamic => "Object",
        ColumnType::Guid => "Guid",
    }
}

/// How the query went: severity 4 is information, 6 statistics, 2 and below failure.
fn status_table(failure: Option<(i64, &str)>, statistics: &str, run: &Run<'_>) -> Table {
    let columns = [
        ("Timestamp", ColumnType::DateTime),
        ("Severity", ColumnType::Int),
        ("SeverityName", ColumnType::String),
        ("StatusCode", ColumnType::Int),
        ("StatusDescription", ColumnType::String),
        ("Count", ColumnType::Int),
        ("RequestId", ColumnType::Guid),
        ("ActivityId", ColumnType::Guid),
        ("SubActivityId", ColumnType::Guid),
        ("ClientActivityId", ColumnType::String),
    ];
    let id = &*run.ids.activity;
    let row = |severity: i32, name: &str, code: i64, text: &str| {
        json!([run.now, severity, name, code, text, 1, id, id, id, &*run.ids.client])
    };
    let outcome = match failure {
        Some((code, text)) => row(2, "Error", code, text),
        None => row(4, "Info", 0, "Query completed successfully"),
    };
    let rows = vec![outcome, row(6, "Stats", 0, statistics)];
    Table {
        name: String::new(),
        columns: columns.iter().map(|(name, kind)| column(name, *kind)).collect(),
        rows: Rows::Values(rows),
    }
}

fn contents_table(contents: &[(&str, String)]) -> Table {
    let columns = [
        ("Ordinal", ColumnType::Long),
        ("Kind", ColumnType::String),
        ("Name", ColumnType::String),
        ("Id", ColumnType::String),
        ("PrettyName", ColumnType::String),
    ];
    let no_id = "00000000-0000-0000-0000-000000000000";
    let rows = contents.iter().enumerate().map(|(index, (kind, name))| json!([index, kind, name, no_id, ""]));
    Table {
        name: String::new(),
        columns: columns.iter().map(|(name, kind)| column(name, *kind)).collect(),
        rows: Rows::Values(rows.collect()),
    }
}
