//! The management commands that clients send to find their way: schemas, names, versions; and what all commands may be
//! piped into.

use std::sync::Arc;

use moneta_event::{ColumnType, TableSchema};
use moneta_ports::{DeclaredTable, OpContext, QueryRequest};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Rows, Table, column};
use super::fault::Fault;
use super::request::KustoRequest;
use super::v1::net_type;
use super::{DATABASE, is_our_database, objects, records, signatures, views};
use crate::ApiError;
use crate::state::App;

/// What is answered to any other command.
const KNOWN: &str = ".show databases, .show databases schema [as json], .show databases entities, .show schema as json, \
    .show tables, .show tables details, .show table T cslschema, .show table T details, .show version, .show cluster, .show functions, .show function F, \
    .create function, .create-or-alter function, .alter function, .drop function, .create table, .create-merge table, .alter-merge table, .alter table, .drop table, \
    .create table T ingestion csv|json mapping, .show table T ingestion mappings, .show queries, \
    .show running queries, .cancel query \"id\", .show commands, .show operations, .show ingestion failures, \
    .show materialized-views, .show materialized-view V [cslschema], \
    .create materialized-view, .create-or-alter materialized-view, .drop materialized-view";

/// Runs a command, and the operators it is piped into.
pub(crate) async fn run(state: &App, ctx: &OpContext, request: KustoRequest) -> Result<Answer, Fault> {
    let (command, piped) = objects::split_pipe(&request.text);
    if let Some(query) = records::query_of(command) {
        let text = format!("{query}\n{}", piped.unwrap_or_default());
        return ask(state, ctx, QueryRequest { text, takes_partial: false, ..request.query }).await;
    }
    let table = match objects::run(state, ctx, command, request.readonly).await {
        Some(table) => table?,
        None => find_way(state, ctx, command)?,
    };
    let Some(piped) = piped else { return Ok(Answer::of_command(table)) };
    // The query names the answer by the command, so that the audit shows what was asked.
    let name = command.replace('\\', "\\\\").replace('\'', "\\'");
    let text = format!("['{name}'] {piped}");
    let given = vec![objects::given(command, table)?];
    ask(state, ctx, QueryRequest { text, given, takes_partial: false, ..request.query }).await
}

async fn ask(state: &App, ctx: &OpContext, query: QueryRequest) -> Result<Answer, Fault> {
    let text = query.text.clone();
    let answer = state.queries.query(ctx, query).await.map_err(|error| Fault::of_query(&error, &text))?;
    Answer::of_query(answer).map_err(|error| Fault::from(ApiError::internal(&error)))
}

/// Runs a command by which clients find their way.
fn find_way(state: &App, ctx: &OpContext, text: &str) -> Result<Table, Fault> {
    let words = words(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let tables = || state.queries.schema(ctx);
    let lower: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match lower.as_slice() {
        [".show", "version"] => Ok(version(state)),
        [".show", "cluster"] => Ok(cluster(state)),
        [".show", "databases"] => Ok(databases()),
        [".show", "tables"] => Ok(table_list(&tables(), &state.objects.declared_tables())),
        [".show", "table", _, rest @ ("cslschema" | "schema")] => {
            one_table(&tables(), words[2], rest, &state.objects.declared_tables())
        }
        [".show", "table", _, "schema", "as", form] => {
            let form = if *form == "csl" { "cslschema" } else { "schema" };
            one_table(&tables(), words[2], form, &state.objects.declared_tables())
        }
        [".show", "external", "tables"] => Ok(empty(&["TableName", "TableType", "Folder", "DocString"])),
        [".show", "operations", ..] => Ok(operations()),
        [".show", "databases", "entities", ..] => Ok(entities(state, ctx)),
        [".show", "database" | "databases" | "schema", ..] if lower.contains(&"schema") => {
            check_databases(&words, &lower)?;
            if lower.ends_with(&["as", "json"]) {
                Ok(schema_json(state, ctx, &tables()))
            } else {
                Ok(schema_rows(&tables()))
            }
        }
        _ => {
            let shown: String = text.trim().chars().take(80).collect();
            Err(Fault::bad_request(format!("the command `{shown}` is not supported; these are: {KNOWN}")))
        }
    }
}

/// The words of a command: names in brackets and quotes bare, punctuation dropped.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in text.chars() {
        match c {
            c if c.is_whitespace() || "()[],'\"".contains(c) => words.push(String::new()),
            c => words.last_mut().expect("there is always a word").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Refuses a schema of databases that are not ours: between the noun and `schema` stand their names.
fn check_databases(words: &[&str], lower: &[&str]) -> Result<(), Fault> {
    let end = lower.iter().position(|word| *word == "schema").unwrap_or(2);
    let named = words.get(2..end).unwrap_or_default();
    match named.iter().find(|name| !is_our_database(name)) {
        Some(name) => Err(Fault::no_such_database(name)),
        None => Ok(()),
    }
}

pub(super) fn table(columns: &[(&str, ColumnType)], rows: Vec<Value>) -> Table {
    Table {
        name: "PrimaryResult".to_owned(),
        columns: columns.iter().map(|(name, kind)| column(name, *kind)).collect(),
        rows: Rows::Values(rows),
    }
}

fn empty(names: &[&str]) -> Table {
    let columns: Vec<_> = names.iter().map(|name| (*name, ColumnType::String)).collect();
    table(&columns, Vec::new())
}

fn version(state: &App) -> Table {
    let columns = [
        ("BuildVersion", ColumnType::String),
        ("BuildTime", ColumnType::DateTime),
        ("ServiceType", ColumnType::String),
        ("ProductVersion", ColumnType::String),
        ("ServiceOffering", ColumnType::String),
    ];
    let version = &state.options.version;
    let built = state.options.built.map(|time| time.to_string());
    let row = json!([version, built, "Engine", format!("Moneta {version}"), json!({ "Type": "Moneta" }).to_string()]);
    table(&columns, vec![row])
}

fn cluster(state: &App) -> Table {
    let columns = [
        ("NodeId", ColumnType::String),
        ("Address", ColumnType::String),
        ("Name", ColumnType::String),
        ("StartTime", ColumnType::DateTime),
        ("IsAdmin", ColumnType::Bool),
        ("ProductVersion", ColumnType::String),
    ];
    table(&columns, vec![json!(["0", "", "moneta", state.started.to_string(), true, state.options.version])])
}

fn databases() -> Table {
    let columns = [
        ("DatabaseName", ColumnType::String),
        ("PersistentStorage", ColumnType::String),
        ("Version", ColumnType::String),
        ("IsCurrent", ColumnType::Bool),
        ("DatabaseAccessMode", ColumnType::String),
        ("PrettyName", ColumnType::String),
        ("ReservedSlot1", ColumnType::Bool),
        ("DatabaseId", ColumnType::Guid),
        ("InTransitionTo", ColumnType::String),
        ("SuspensionState", ColumnType::String),
    ];
    let no_id = "00000000-0000-0000-0000-000000000000";
    table(&columns, vec![json!([DATABASE, "", "v1.0", true, "ReadWrite", DATABASE, null, no_id, "", ""])])
}

/// What is said of a table: its folder and what it is for.
pub(super) fn description<'a>(declared: &'a [DeclaredTable], name: &str) -> (&'a str, &'a str) {
    let found = declared.iter().find(|table| table.name == name);
    found.map_or(("", ""), |table| (&table.folder, &table.doc_string))
}

/// Tables by name.
pub(super) fn table_list(tables: &[Arc<TableSchema>], declared: &[DeclaredTable]) -> Table {
    let columns = [
        ("TableName", ColumnType::String),
        ("DatabaseName", ColumnType::String),
        ("Folder", ColumnType::String),
        ("DocString", ColumnType::String),
    ];
    let row = |schema: &Arc<TableSchema>| {
        let (folder, doc) = description(declared, schema.name().as_str());
        json!([schema.name().as_str(), DATABASE, folder, doc])
    };
    table(&columns, tables.iter().map(row).collect())
}

fn one_table(tables: &[Arc<TableSchema>], name: &str, form: &str, declared: &[DeclaredTable]) -> Result<Table, Fault> {
    let schema = tables.iter().find(|schema| schema.name().as_str() == name);
    let schema = schema.ok_or_else(|| objects::not_found("Table", name))?;
    if form != "cslschema" {
        return Ok(schemas_json(std::slice::from_ref(schema), declared));
    }
    Ok(schema_table([schema].into_iter(), declared, csl_schema))
}

/// The schemas of tables as JSON, one a row.
pub(super) fn schemas_json(schemas: &[Arc<TableSchema>], declared: &[DeclaredTable]) -> Table {
    schema_table(schemas.iter(), declared, |schema| {
        json!({ "Name": schema.name().as_str(), "OrderedColumns": ordered_columns(schema) }).to_string()
    })
}

fn schema_table<'a>(
    schemas: impl Iterator<Item = &'a Arc<TableSchema>>,
    declared: &[DeclaredTable],
    text: impl Fn(&TableSchema) -> String,
) -> Table {
    let columns = [
        ("TableName", ColumnType::String),
        ("Schema", ColumnType::String),
        ("DatabaseName", ColumnType::String),
        ("Folder", ColumnType::String),
        ("DocString", ColumnType::String),
    ];
    let row = |schema: &'a Arc<TableSchema>| {
        let name = schema.name().as_str();
        let (folder, doc) = description(declared, name);
        json!([name, text(schema), DATABASE, folder, doc])
    };
    table(&columns, schemas.map(row).collect())
}

/// Tables, materialised views and functions with what they take and give.
fn entities(state: &App, ctx: &OpContext) -> Table {
    let names = [
        "DatabaseName",
        "EntityType",
        "EntityName",
        "DocString",
        "Folder",
        "CslInputSchema",
        "Content",
        "CslOutputSchema",
    ];
    let mut columns = names.map(|name| (name, ColumnType::String)).to_vec();
    columns.push(("Properties", ColumnType::Dynamic));
    let declared = state.objects.declared_tables();
    let mut rows = Vec::new();
    for schema in state.queries.schema(ctx) {
        let name = schema.name().as_str();
        let (folder, doc) = description(&declared, name);
        rows.push(json!([DATABASE, "Table", name, doc, folder, "", "", csl_schema(&schema), {}]));
    }
    for status in state.objects.views() {
        let (view, output) = (&status.view, csl_columns(&status.columns));
        let row =
            json!([DATABASE, "MaterializedView", view.name, view.doc_string, view.folder, "", view.query, output, {}]);
        rows.push(row);
    }
    for function in state.objects.functions() {
        let output = csl_columns(&state.objects.function_columns(ctx, &function.name));
        let (doc, folder) = (&function.doc_string, &function.folder);
        let (takes, body) = (&function.parameters, &function.body);
        rows.push(json!([DATABASE, "Function", function.name, doc, folder, takes, body, output, {}]));
    }
    table(&columns, rows)
}

/// Nothing: every command here is done when it is answered.
fn operations() -> Table {
    let columns = [
        ("OperationId", ColumnType::Guid),
        ("Operation", ColumnType::String),
        ("NodeId", ColumnType::String),
        ("StartedOn", ColumnType::DateTime),
        ("LastUpdatedOn", ColumnType::DateTime),
        ("Duration", ColumnType::TimeSpan),
        ("State", ColumnType::String),
        ("Status", ColumnType::String),
        ("RootActivityId", ColumnType::Guid),
        ("ShouldRetry", ColumnType::Bool),
        ("Database", ColumnType::String),
        ("Principal", ColumnType::String),
        ("User", ColumnType::String),
        ("AdminEpochStartTime", ColumnType::DateTime),
    ];
    table(&columns, Vec::new())
}

/// One row for the database, one for each table, one for each column.
fn schema_rows(tables: &[Arc<TableSchema>]) -> Table {
    let columns = [
        ("DatabaseName", ColumnType::String),
        ("TableName", ColumnType::String),
        ("ColumnName", ColumnType::String),
        ("ColumnType", ColumnType::String),
        ("IsDefaultTable", ColumnType::Bool),
        ("IsDefaultColumn", ColumnType::Bool),
        ("PrettyName", ColumnType::String),
        ("Version", ColumnType::String),
        ("Folder", ColumnType::String),
        ("DocString", ColumnType::String),
    ];
    let row = |table: &str, name: &str, kind: &str, version: &str| {
        json!([DATABASE, table, name, kind, false, false, "", version, "", ""])
    };
    let mut rows = vec![row("", "", "", "v1.0")];
    for schema in tables {
        let name = schema.name().as_str();
        rows.push(row(name, "", "", ""));
        for (column, kind) in columns_of(schema) {
            rows.push(row(name, &column, &system_type(kind), ""));
        }
    }
    table(&columns, rows)
}

/// The schema as one JSON text: what the editor and Grafana complete from.
fn schema_json(state: &App, ctx: &OpContext, tables: &[Arc<TableSchema>]) -> Table {
    let (mut by_name, declared) = (Map::new(), state.objects.declared_tables());
    for schema in tables {
        let name = schema.name().to_string();
        let (folder, doc) = description(&declared, &name);
        let value =
            json!({ "Name": name, "Folder": folder, "DocString": doc, "OrderedColumns": ordered_columns(schema) });
        by_name.insert(name, value);
    }
    let database = json!({
        "Name": DATABASE,
        "Tables": by_name,
        "ExternalTables": {},
        "MaterializedViews": views::schemas(&state.objects.views()),
        "EntityGroups": {},
        "MajorVersion": 1,
        "MinorVersion": 0,
        "Functions": signatures::schemas(state, ctx),
        "DatabaseAccessMode": "ReadWrite",
    });
    let schema = json!({ "Plugins": [], "Databases": { DATABASE: database } });
    table(&[("DatabaseSchema", ColumnType::String)], vec![json!([schema.to_string()])])
}

fn ordered_columns(schema: &TableSchema) -> Vec<Value> {
    let column =
        |(name, kind): (String, ColumnType)| json!({ "Name": name, "Type": system_type(kind), "CslType": kind.name() });
    columns_of(schema).into_iter().map(column).collect()
}

fn csl_schema(schema: &TableSchema) -> String {
    csl_columns(&columns_of(schema))
}

/// `a:string,['b c']:long`.
pub(super) fn csl_columns<T: std::fmt::Display>(columns: &[(String, T)]) -> String {
    let is_plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let part = |(name, kind): &(String, T)| {
        if is_plain(name) { format!("{name}:{kind}") } else { format!("['{}']:{kind}", name.replace('\'', "\\'")) }
    };
    columns.iter().map(part).collect::<Vec<_>>().join(",")
}

pub(super) fn system_type(kind: ColumnType) -> String {
    match kind {
        ColumnType::Decimal => "System.Data.SqlTypes.SqlDecimal".to_owned(),
        other => format!("System.{}", net_type(other)),
    }
}

fn columns_of(schema: &TableSchema) -> Vec<(String, ColumnType)> {
    schema.columns().iter().map(|column| (column.name.to_string(), column.column_type)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_their_brackets_and_quotes() {
        assert_eq!(
            words(".show databases (['x']) schema as json"),
            [".show", "databases", "x", "schema", "as", "json"]
        );
    }
}
