//! Runs KQL over an in-memory catalog and gives typed cells as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DurationNanosecondType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType,
};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use moneta_base::Timestamp;
use moneta_event::{Column, ColumnType};
use moneta_kql_plan::{
    BindOptions, BoundQuery, BoundResult, Catalog, ExternalSource, TableProviderSource, bind, bind_over_data, lower,
};
use serde_json::{Value as Json, json};

/// Tables in memory: empty ones from a list of columns, or filled ones.
#[derive(Default)]
pub struct Memory {
    tables: BTreeMap<String, (Arc<[Column]>, Vec<RecordBatch>)>,
    functions: BTreeMap<String, String>,
}

impl Memory {
    /// Adds a stored function.
    pub fn insert_function(&mut self, name: &str, text: String) {
        self.functions.insert(name.to_owned(), text);
    }

    /// Adds a table with rows.
    pub fn insert_rows(&mut self, name: &str, columns: Vec<Column>, rows: Vec<RecordBatch>) {
        self.tables.insert(name.to_owned(), (columns.into(), rows));
    }
}

impl Catalog for Memory {
    fn columns(&self, table: &str) -> Option<Arc<[Column]>> {
        self.tables.get(table).map(|(columns, _)| Arc::clone(columns))
    }

    fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    fn function(&self, name: &str) -> Option<String> {
        self.functions.get(name).cloned()
    }

    fn allows_location(&self, location: &str) -> Result<(), String> {
        let refused = location.starts_with("https://refused.");
        if refused { Err(format!("{location} is not allowed here")) } else { Ok(()) }
    }
}

/// The files `externaldata` may read in tests: a few of its own, and nothing at every other location.
struct Files;

impl ExternalSource for Files {
    fn read(&self, location: &str, _: usize) -> Result<Vec<u8>, String> {
        Ok(match location {
            "mem:people.csv" => b"name,age\r\n\"Ann, A.\",31\nBob,x\n".to_vec(),
            "mem:events.json" => br#"[{"id": 7, "who": {"name": "ann"}}, {"id": "8", "tags": [1, 2]}]"#.to_vec(),
            "mem:lines.txt" => b"one\ntwo, three\n".to_vec(),
            "mem:broken.json" => b"{\"a\": 1".to_vec(),
            _ => Vec::new(),
        })
    }
}

impl TableProviderSource for Memory {
    fn external(&self) -> Option<Arc<dyn ExternalSource>> {
        Some(Arc::new(Files))
    }

    fn provider(&self, table: &str) -> Option<Arc<dyn TableProvider>> {
        let (columns, batches) = self.tables.get(table)?;
        let fields: Vec<_> = columns.iter().map(|c| c.column_type.field(&c.name)).collect();
        let schema = Arc::new(datafusion::arrow::datatypes::Schema::new(fields));
        Some(Arc::new(MemTable::try_new(schema, vec![batches.clone()]).ok()?))
    }
}

/// What is said of a query that binds and gives nothing.
pub const NO_RESULT: &str = "no result";

/// Whether a text has statements that declare something, and none that gives rows.
pub fn only_declares(text: &str) -> bool {
    let statements = moneta_kql::parse(text).tree.statements;
    !statements.is_empty() && !statements.iter().any(|s| matches!(s, moneta_kql::syntax::Statement::Query(_)))
}

/// The time of `now()` in tests.
pub fn now() -> Timestamp {
    Timestamp::parse("2024-05-06T07:08:09.1234567Z").unwrap()
}

/// A query that ran.
pub struct Answer {
    /// Names and types of the columns.
    pub columns: Vec<(String, ColumnType)>,
    /// The rows as JSON cells.
    pub rows: Vec<Vec<Json>>,
}

/// Why a query did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A diagnostic; `true` if it says that something is not supported.
    Refused(String, bool),
    /// The plan could not be made or run.
    Broken(String),
}

fn refused(diagnostics: &[moneta_kql::Diagnostic]) -> Failure {
    let errors: Vec<_> = diagnostics.iter().filter(|d| d.is_error()).collect();
    let text: Vec<String> = errors.iter().take(2).map(|d| format!("{} {}", d.code, d.message)).collect();
    let unsupported = errors.iter().any(|d| matches!(d.code, "SEM0901" | "SEM0260"));
    Failure::Refused(text.join("; "), unsupported)
}

fn parsed(query: &str) -> Result<moneta_kql::syntax::SyntaxTree, Failure> {
    let parsed = moneta_kql::parse(query);
    if parsed.has_errors() { Err(refused(&parsed.diagnostics)) } else { Ok(parsed.tree) }
}

/// Parses and binds without a look at the data.
pub fn bound(query: &str, catalog: &Memory) -> Result<BoundQuery, Failure> {
    let (query, diagnostics) = bind(&parsed(query)?, catalog, &BindOptions::at(now()));
    query.ok_or_else(|| refused(&diagnostics))
}

/// Parses and binds; where columns depend on data, the data is asked.
pub async fn bound_over_data(query: &str, catalog: &Memory) -> Result<BoundQuery, Failure> {
    let (tree, options) = (parsed(query)?, BindOptions::at(now()));
    let run = |probe: BoundResult| async move { rows_of(&probe, catalog).await };
    let (query, diagnostics) = bind_over_data(&tree, catalog, &options, run).await?;
    query.ok_or_else(|| refused(&diagnostics))
}

fn broken(error: &dyn std::error::Error) -> Failure {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    Failure::Broken(text)
}

/// The rows of a bound result.
async fn rows_of(result: &BoundResult, catalog: &Memory) -> Result<Vec<RecordBatch>, Failure> {
    let plan = lower(result, catalog).map_err(|e| broken(&e))?;
    let session = SessionStateBuilder::new()
        .with_config(moneta_kql_plan::session_config().with_target_partitions(1))
        .with_query_planner(moneta_kql_plan::query_planner())
        .with_default_features()
        .build();
    let ctx = SessionContext::new_with_state(session);
    let frame = ctx.execute_logical_plan(plan).await.map_err(|e| broken(&e))?;
    frame.collect().await.map_err(|e| broken(&e))
}

/// Runs a query; the first result.
pub async fn run(query: &str, catalog: &Memory) -> Result<Answer, Failure> {
    let query = bound_over_data(query, catalog).await?;
    let result = query.results.first().ok_or_else(|| Failure::Broken(NO_RESULT.into()))?;
    let batches = rows_of(result, catalog).await?;
    let columns: Vec<_> = result.relation.columns.iter().map(|c| (c.name.to_string(), c.column_type)).collect();
    let mut rows = Vec::new();
    for batch in &batches {
        for (index, (name, column_type)) in columns.iter().enumerate() {
            if batch.num_columns() <= index || *batch.column(index).data_type() != column_type.computed() {
                let found = batch.columns().get(index).map(|c| c.data_type().to_string());
                return Err(Failure::Broken(format!("column {name} should be {column_type} and is {found:?}")));
            }
        }
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().enumerate().map(|(i, (_, t))| cell(batch.column(i), row, *t)).collect());
        }
    }
    Ok(Answer { columns, rows })
}

/// A cell as the corpus writes it.
fn cell(array: &ArrayRef, row: usize, column_type: ColumnType) -> Json {
    if array.is_null(row) {
        return Json::Null;
    }
    match column_type {
        ColumnType::Bool => array.as_boolean().value(row).into(),
        ColumnType::Int => array.as_primitive::<Int32Type>().value(row).into(),
        ColumnType::Long => array.as_primitive::<Int64Type>().value(row).into(),
        ColumnType::Real => {
            let value = array.as_primitive::<Float64Type>().value(row);
            if value.is_nan() {
                json!("NaN")
            } else if value.is_infinite() {
                json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
            } else {
                json!(value)
            }
        }
        ColumnType::Decimal => {
            let value = array.as_primitive::<datafusion::arrow::datatypes::Decimal256Type>().value(row);
            moneta_event::decimal::decimal_text(value).into()
        }
        ColumnType::String | ColumnType::Guid => array.as_string::<i32>().value(row).into(),
        ColumnType::Dynamic => serde_json::from_str(array.as_string::<i32>().value(row)).unwrap_or(Json::Null),
        ColumnType::DateTime => {
            moneta_kql_plan::value::datetime_text(array.as_primitive::<TimestampNanosecondType>().value(row)).into()
        }
        ColumnType::TimeSpan => {
            moneta_kql_plan::value::timespan_text(array.as_primitive::<DurationNanosecondType>().value(row)).into()
        }
    }
}
