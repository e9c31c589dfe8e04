//! SQL over the same tables: one statement that reads, planned by DataFusion's SQL front end.
//!
//! Names are taken as they are written. Nothing that changes a table, a setting or a file gets beyond this module.
//! Columns of the type `dynamic` are JSON texts here.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::TableReference;
use datafusion::config::ConfigOptions;
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};
use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{SetExpr, Statement};
use moneta_event::{Column, ColumnType};
use moneta_kql::{Diagnostic, Span, nearest};
use moneta_kql_plan::{Catalog, TableProviderSource, codes};

use crate::snapshot::Snapshot;

/// Code of a text that is no SQL.
const SYNTAX: &str = "SYN0001";

/// Plans a text.
///
/// # Errors
/// One diagnostic with its place.
pub(crate) fn plan(text: &str, snapshot: &Snapshot, session: &SessionState) -> Result<LogicalPlan, Diagnostic> {
    let statement = parse(text)?;
    if matches!(&statement, Parsed::Statement(inner) if matches!(**inner, Statement::ShowTables { .. })) {
        return plan("SELECT * FROM \"__tables\" ORDER BY table_name", snapshot, session);
    }
    if !only_reads(&statement) {
        let message = "only SELECT, EXPLAIN of one, and SHOW TABLES are possible; change tables by sending events";
        return Err(Diagnostic::error(codes::UNSUPPORTED, whole(text), message));
    }
    let provider = Provider { snapshot, session };
    let options = ParserOptions {
        enable_ident_normalization: false,
        map_string_types_to_utf8view: false,
        collect_spans: true,
        ..ParserOptions::default()
    };
    let plan = SqlToRel::new_with_options(&provider, options).statement_to_plan(statement);
    let plan = plan.map_err(|error| diagnostic(text, &error, snapshot))?;
    let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reads.verify_plan(&plan).map_err(|error| diagnostic(text, &error, snapshot))?;
    Ok(plan)
}

fn parse(text: &str) -> Result<Parsed, Diagnostic> {
    let parsed = DFParserBuilder::new(text).build().and_then(|mut parser| parser.parse_statements());
    let mut statements = parsed.map_err(|error| {
        let message = first_line(&error);
        Diagnostic::error(SYNTAX, place_of(text, &message), message)
    })?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(Diagnostic::error(SYNTAX, whole(text), "the text holds no statement")),
        (Some(_), false) => Err(Diagnostic::error(SYNTAX, whole(text), "only one statement can be run at a time")),
    }
}

/// Whether a statement is a query, or explains one.
fn only_reads(statement: &Parsed) -> bool {
    match statement {
        Parsed::Statement(inner) => match &**inner {
            Statement::Query(query) => {
                query.with.iter().flat_map(|with| &with.cte_tables).all(|cte| selects(&cte.query.body))
                    && selects(&query.body)
            }
            Statement::Explain { statement, .. } => matches!(**statement, Statement::Query(_)),
            _ => false,
        },
        Parsed::Explain(explain) => only_reads(&explain.statement),
        _ => false,
    }
}

fn selects(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Table(_) => true,
        SetExpr::Query(query) => selects(&query.body),
        SetExpr::SetOperation { left, right, .. } => selects(left) && selects(right),
        _ => false,
    }
}

/// An error with its place: the planner's own where it has one, else the first place of the name it is about.
fn diagnostic(text: &str, error: &DataFusionError, snapshot: &Snapshot) -> Diagnostic {
    let message = first_line(error);
    let spanned = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let quoted = message.split(['\'', '"', '`']).nth(1).unwrap_or_default().to_owned();
    let name = quoted.rsplit('.').next().unwrap_or_default().to_owned();
    let span = match spanned {
        Some(span) => Span {
            start: offset(text, span.start.line, span.start.column),
            end: offset(text, span.end.line, span.end.column),
        },
        None => text
            .find(&name)
            .filter(|_| !name.is_empty())
            .map_or_else(|| whole(text), |start| Span { start, end: start + name.len() }),
    };
    let found = Diagnostic::error(codes::UNRESOLVED, span, message.clone());
    let tables = snapshot.table_names();
    match nearest(&name, tables.iter().map(String::as_str)) {
        Some(meant) if message.contains("table") && !tables.contains(&name) => found.with_suggestion(meant.to_owned()),
        _ => found,
    }
}

/// The error's words without the names of the layers it came through.
fn first_line(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.lines().next().unwrap_or_default();
    let prefixes = [
        "SQL error: ",
        "ParserError(",
        "Error during planning: ",
        "Schema error: ",
        "This feature is not implemented: ",
    ];
    let stripped = prefixes.iter().fold(text, |text, prefix| text.strip_prefix(prefix).unwrap_or(text));
    stripped.trim_matches(|c| c == '"' || c == ')').to_owned()
}

/// `... at Line: 2, Column: 7` as a place.
fn place_of(text: &str, message: &str) -> Span {
    let number = |marker: &str| {
        let (_, rest) = message.split_once(marker)?;
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u64>().ok()
    };
    match (number("Line: "), number("Column: ")) {
        (Some(line), Some(column)) => {
            let start = offset(text, line, column);
            let length = text[start..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len() - start);
            Span { start, end: start + length.max(text[start..].chars().next().map_or(0, char::len_utf8)) }
        }
        _ => whole(text),
    }
}

/// The byte offset of a line and column, both counted from 1.
fn offset(text: &str, line: u64, column: u64) -> usize {
    let skipped = usize::try_from(line.saturating_sub(1)).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(skipped).map(str::len).sum();
    let within = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
    let rest = &text[start..];
    start + rest.char_indices().nth(within).map_or(rest.len(), |(at, _)| at)
}

fn whole(text: &str) -> Span {
    Span { start: 0, end: text.len() }
}

/// Names as the planner asks for them.
struct Provider<'a> {
    snapshot: &'a Snapshot,
    session: &'a SessionState,
}

impl ContextProvider for Provider<'_> {
    fn get_table_source(&self, name: TableReference) -> PlanResult<Arc<dyn TableSource>> {
        if name.table() == "__tables" {
            return table_names(self.snapshot);
        }
        let provider = self.snapshot.provider(name.table());
        let missing = || DataFusionError::Plan(format!("there is no table '{}'", name.table()));
        Ok(provider_as_source(provider.ok_or_else(missing)?))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.session.expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.session.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.session.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.session.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.session.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.session.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.session.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.session.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.session.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.session.window_functions().keys().cloned().collect()
    }
}

/// What `SHOW TABLES` reads.
fn table_names(snapshot: &Snapshot) -> PlanResult<Arc<dyn TableSource>> {
    let schema = Arc::new(Schema::new(vec![Field::new("table_name", DataType::Utf8, false)]));
    let names: ArrayRef = Arc::new(StringArray::from(snapshot.table_names()));
    let batch = RecordBatch::try_new(schema.clone(), vec![names])?;
    Ok(provider_as_source(Arc::new(datafusion::datasource::MemTable::try_new(schema, vec![vec![batch]])?)))
}

/// The columns of a plan in Kusto's types; what has none is shown as text.
pub(crate) fn columns(plan: &LogicalPlan) -> Vec<Column> {
    let column = |field: &Arc<Field>| Column::new(field.name(), column_type(field.data_type()));
    plan.schema().fields().iter().map(column).collect()
}

fn column_type(data_type: &DataType) -> ColumnType {
    match data_type {
        DataType::Boolean => ColumnType::Bool,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => ColumnType::Int,
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => ColumnType::Long,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => ColumnType::Real,
        DataType::Decimal128(..) | DataType::Decimal256(..) => ColumnType::Decimal,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => ColumnType::DateTime,
        DataType::Duration(_) => ColumnType::TimeSpan,
        _ => ColumnType::String,
    }
}

/// Rows with every nested value, interval and binary as text.
///
/// # Errors
/// When a value cannot be shown.
pub(crate) fn as_texts(rows: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
    let show = |array: &ArrayRef| -> Result<ArrayRef, arrow::error::ArrowError> {
        let is_text = matches!(array.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        if is_text || column_type(array.data_type()) != ColumnType::String {
            return Ok(array.clone());
        }
        let options = FormatOptions::default();
        let formatter = ArrayFormatter::try_new(array, &options)?;
        let text = |row: usize| (!array.is_null(row)).then(|| formatter.value(row).to_string());
        Ok(Arc::new((0..array.len()).map(text).collect::<StringArray>()))
    };
    let arrays = rows.columns().iter().map(show).collect::<Result<Vec<_>, _>>()?;
    let fields = rows
        .schema()
        .fields()
        .iter()
        .zip(&arrays)
        .map(|(field, array)| Field::new(field.name(), array.data_type().clone(), true))
        .collect::<Vec<_>>();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reading_statements_pass() {
        let check = |text: &str, expected: bool| {
            let reads = parse(text).is_ok_and(|statement| only_reads(&statement));
            assert_eq!(reads, expected, "{text}");
        };
        for text in [
            "SELECT 1",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "EXPLAIN SELECT 1",
            "VALUES (1)",
            "(SELECT 1) UNION ALL SELECT 2",
        ] {
            check(text, true);
        }
        for text in [
            "DELETE FROM t",
            "INSERT INTO t VALUES (1)",
            "CREATE TABLE t (a INT)",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
            "COPY t TO '/tmp/x'",
            "SET a = 1",
            "DROP TABLE t",
            "SELECT 1; SELECT 2",
            "EXPLAIN DELETE FROM t",
            "",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn a_mistake_has_its_place() {
        let error = parse("SELECT a\nFROM t)").unwrap_err();
        assert_eq!(&"SELECT a\nFROM t)"[error.span.start..error.span.end], ")", "{error:?}");
        assert_eq!(offset("ä\nbc", 2, 2), 4);
        assert_eq!(offset("a", 9, 9), 1);
    }
}
