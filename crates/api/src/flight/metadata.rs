//! What there is: one catalog with one schema, its tables and views, and facts about the server.

use std::sync::LazyLock;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{Command, CommandGetTables, SqlInfo, SqlSupportedTransaction};
use moneta_event::ColumnType;
use moneta_ports::{OpContext, QueryColumn};
use tonic::Status;

use super::service::inside;
use crate::export::plain_schema;
use crate::kusto::DATABASE;
use crate::state::App;

/// The one schema, by the name that programs expect where there is one.
const SCHEMA: &str = "public";
const TABLE: &str = "TABLE";
const VIEW: &str = "VIEW";

/// Facts about the server.
static FACTS: LazyLock<Result<SqlInfoData, FlightError>> = LazyLock::new(|| {
    let mut facts = SqlInfoDataBuilder::new();
    facts.append(SqlInfo::FlightSqlServerName, "Moneta");
    facts.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    facts.append(SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION);
    facts.append(SqlInfo::FlightSqlServerReadOnly, true);
    facts.append(SqlInfo::FlightSqlServerSql, true);
    facts.append(SqlInfo::FlightSqlServerSubstrait, false);
    facts.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    facts.append(SqlInfo::FlightSqlServerCancel, false);
    facts.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    facts.append(SqlInfo::SqlDdlCatalog, false);
    facts.append(SqlInfo::SqlDdlSchema, false);
    facts.append(SqlInfo::SqlDdlTable, false);
    facts.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    facts.build()
});

fn facts() -> Result<&'static SqlInfoData, Status> {
    FACTS.as_ref().map_err(|error| inside(error))
}

/// The columns of the answer to a command.
pub(super) fn schema(command: &Command) -> Result<Schema, Status> {
    let schema = match command.clone() {
        Command::CommandGetCatalogs(command) => command.into_builder().schema(),
        Command::CommandGetDbSchemas(command) => command.into_builder().schema(),
        Command::CommandGetTables(command) => command.into_builder().schema(),
        Command::CommandGetTableTypes(command) => command.into_builder().schema(),
        Command::CommandGetSqlInfo(command) => command.into_builder(facts()?).schema(),
        other => return Err(unknown(&other)),
    };
    Ok(schema.as_ref().clone())
}

/// The answer to a command.
pub(super) fn batch(state: &App, ctx: &OpContext, command: Command) -> Result<RecordBatch, Status> {
    let built = match command {
        Command::CommandGetCatalogs(command) => {
            let mut catalogs = command.into_builder();
            catalogs.append(DATABASE);
            catalogs.build()
        }
        Command::CommandGetDbSchemas(command) => {
            let mut schemas = command.into_builder();
            schemas.append(DATABASE, SCHEMA);
            schemas.build()
        }
        Command::CommandGetTables(command) => tables(state, ctx, command),
        Command::CommandGetTableTypes(command) => {
            let mut types = command.into_builder();
            types.append(TABLE);
            types.append(VIEW);
            types.build()
        }
        Command::CommandGetSqlInfo(command) => command.into_builder(facts()?).build(),
        other => return Err(unknown(&other)),
    };
    built.map_err(|error| inside(&error))
}

fn tables(state: &App, ctx: &OpContext, command: CommandGetTables) -> Result<RecordBatch, FlightError> {
    let mut tables = command.into_builder();
    for table in state.queries.schema(ctx) {
        let column = |column: &moneta_event::Column| QueryColumn {
            name: column.name.to_string(),
            column_type: column.column_type,
        };
        let columns: Vec<QueryColumn> = table.columns().iter().map(column).collect();
        tables.append(DATABASE, SCHEMA, table.name().as_str(), TABLE, &plain_schema(&columns))?;
    }
    for status in state.objects.views() {
        let column = |(name, kind): &(String, String)| {
            Some(QueryColumn { name: name.clone(), column_type: ColumnType::parse(kind)? })
        };
        let columns: Vec<QueryColumn> = status.columns.iter().filter_map(column).collect();
        tables.append(DATABASE, SCHEMA, &status.view.name, VIEW, &plain_schema(&columns))?;
    }
    tables.build()
}

fn unknown(command: &Command) -> Status {
    let name = command.type_url().rsplit('.').next().unwrap_or_default();
    let name: String = name.chars().take(64).collect();
    Status::unimplemented(format!(
        "{name} is not possible here: there are statements (plain and prepared), catalogs, schemas, tables, table types \
         and facts about the server"
    ))
}
