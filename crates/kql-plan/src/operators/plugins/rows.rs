//! Groups of rows and columns made of cells, for gatherings.

use std::collections::HashMap;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::row::{RowConverter, SortField};
use moneta_event::ColumnType;

use crate::functions::row::{Answer, Builder};

/// Rows with equal keys.
#[derive(Debug)]
pub(crate) struct Groups {
    /// The group of each row.
    pub(crate) of_rows: Vec<usize>,
    /// The first row of each group; groups are in the order of their first rows.
    pub(crate) firsts: Vec<u32>,
}

/// Groups rows by key columns; without keys all rows are one group.
pub(crate) fn groups(keys: &[ArrayRef], num_rows: usize) -> Result<Groups, String> {
    if keys.is_empty() {
        let firsts = if num_rows == 0 { Vec::new() } else { vec![0] };
        return Ok(Groups { of_rows: vec![0; num_rows], firsts });
    }
    let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(|error| error.to_string())?;
    let rows = converter.convert_columns(keys).map_err(|error| error.to_string())?;
    let mut places: HashMap<_, usize> = HashMap::new();
    let mut groups = Groups { of_rows: Vec::with_capacity(num_rows), firsts: Vec::new() };
    for (index, row) in (0_u32..).zip(rows.iter()) {
        let next = groups.firsts.len();
        let place = *places.entry(row).or_insert(next);
        if place == next {
            groups.firsts.push(index);
        }
        groups.of_rows.push(place);
    }
    Ok(groups)
}

/// The rows of columns at positions.
pub(crate) fn picked(columns: &[ArrayRef], positions: Vec<u32>) -> Result<Vec<ArrayRef>, String> {
    let positions = UInt32Array::from(positions);
    let pick = |column: &ArrayRef| arrow::compute::take(column, &positions, None).map_err(|error| error.to_string());
    columns.iter().map(pick).collect()
}

/// A column of answers.
pub(crate) fn column<'a>(
    column_type: ColumnType,
    answers: impl IntoIterator<Item = impl Into<Answer<'a>>>,
) -> ArrayRef {
    let mut builder = Builder::new(column_type, 0);
    answers.into_iter().for_each(|answer| builder.push(answer.into()));
    builder.finish()
}
