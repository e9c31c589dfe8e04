//! The rows of a result in the cell forms of the query interface, for programs that print results themselves.

use arrow::error::ArrowError;
use moneta_ports::ResultTable;
use serde_json::Value;

use crate::kusto::cell;

/// The rows of a result, each with one JSON value per column.
///
/// # Errors
/// When a column is not of the type the engine says it is.
pub fn json_rows(table: &ResultTable) -> Result<Vec<Vec<Value>>, ArrowError> {
    let mut rows = Vec::with_capacity(table.num_rows());
    for batch in &table.batches {
        let mut text = vec![b'['];
        cell::write_rows(&mut text, &table.columns, &cell::normalise(&table.columns, batch)?, false);
        text.push(b']');
        let parsed: Vec<Vec<Value>> =
            serde_json::from_slice(&text).map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
        rows.extend(parsed);
    }
    Ok(rows)
}
