//! Statements: their columns, and their rows as they come.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::error::FlightError;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use moneta_ports::{OpContext, QueryColumn, QueryLanguage, QueryRequest, RowStream};
use tonic::Status;

use super::refusal;
use crate::export::{plain, plain_schema, refused};
use crate::state::App;

/// Words that no query in KQL begins with, and statements in SQL do.
const SQL_WORDS: [&str; 17] = [
    "alter", "call", "create", "delete", "describe", "drop", "exec", "execute", "explain", "insert", "merge", "select",
    "show", "truncate", "update", "use", "with",
];

/// A text with its language: SQL where it begins as SQL does, else KQL.
fn request(text: &str) -> QueryRequest {
    let word: String = text.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    let rest = &text.trim_start()[word.len()..];
    // A table or column of such a name is followed by something else.
    let is_word = rest.starts_with(char::is_whitespace) && !rest.trim_start().starts_with(['|', '=', ';']);
    let is_sql = is_word && SQL_WORDS.contains(&word.to_ascii_lowercase().as_str());
    let language = if is_sql { QueryLanguage::Sql } else { QueryLanguage::Kql };
    QueryRequest { language, ..QueryRequest::new(text) }
}

/// The columns of a statement.
pub(super) async fn schema(state: &App, ctx: &OpContext, text: &str) -> Result<Schema, Status> {
    let columns = state.queries.columns(ctx, request(text)).await.map_err(|error| refusal(&refused(error)))?;
    Ok(plain_schema(&columns).as_ref().clone())
}

/// The rows of a statement. Whoever drops them stops it.
pub(super) async fn rows(
    state: &App,
    ctx: &OpContext,
    text: &str,
) -> Result<(SchemaRef, BoxStream<'static, Result<RecordBatch, FlightError>>), Status> {
    let rows = state.queries.stream(ctx, request(text)).await.map_err(|error| refusal(&refused(error)))?;
    let columns: Arc<[QueryColumn]> = rows.columns().into();
    let schema = plain_schema(&columns);
    let batches = futures::stream::try_unfold(Some(rows), move |rows| next(rows, columns.clone()));
    Ok((schema, batches.map(|batch| batch.map_err(FlightError::from)).boxed()))
}

type Rows = Option<Box<dyn RowStream>>;

async fn next(rows: Rows, columns: Arc<[QueryColumn]>) -> Result<Option<(RecordBatch, Rows)>, Status> {
    let Some(mut rows) = rows else { return Ok(None) };
    match rows.next().await.map_err(|error| refusal(&refused(error)))? {
        Some(batch) => {
            let batch = plain(&columns, &batch).map_err(|error| Status::out_of_range(error.to_string()))?;
            Ok(Some((batch, Some(rows))))
        }
        None => {
            let details = [("format".to_owned(), "arrow-flight".into())].into_iter().collect();
            rows.finish(details).await.map_err(|error| refusal(&refused(error)))?;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_sql_when_it_begins_as_sql_does() {
        let is_sql = |text: &str| request(text).language == QueryLanguage::Sql;
        for text in
            ["select 1", " SELECT * FROM Syslog", "with a as (select 1) select * from a", "Insert into T values (1)"]
        {
            assert!(is_sql(text), "{text}");
        }
        for text in ["Syslog | take 1", "print 1", "Selection_CL", "let a = 1; print a", "select | take 1", "", "show"]
        {
            assert!(!is_sql(text), "{text}");
        }
    }
}
