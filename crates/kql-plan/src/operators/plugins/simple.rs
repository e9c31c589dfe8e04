//! Small plugins: `identity`, `preview`, `narrow`, `rows_near`, `estimate_rows_count`.

use arrow::array::{ArrayRef, RecordBatch};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::EvaluateOperator;

use super::arguments::Arguments;
use super::rows::{column, picked};
use crate::binder::{Binder, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::functions::conversion::cell_text;
use crate::functions::row::Reader;
use crate::operators::apply::is_hidden;
use crate::operators::gathered::{Gathered, Gathering, Work};
use crate::operators::project::Project;
use crate::operators::sort::Sort;
use crate::operators::summarize::{BoundAggregate, Summarize};

/// The greatest number of rows `preview` shows.
const PREVIEW_MAX: usize = 1_000_000;
/// The greatest number of cells `narrow` makes rows of: each becomes a row of texts in memory.
const NARROW_CELLS_MAX: usize = 20_000_000;

/// `identity()`: the rows as they are.
pub(super) fn identity(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    Arguments::new(&node.call, &[]).finish(binder)?;
    Some(input)
}

/// `preview(n)`: the first rows.
pub(super) fn preview(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    let mut arguments = Arguments::new(&node.call, &["NumberOfRows"]);
    let count = whole(binder, &mut arguments, "NumberOfRows")?;
    arguments.finish(binder)?;
    let order = std::sync::Arc::clone(&input.order);
    let take = Sort { input: input.clone(), keys: Vec::new(), limit: Some(count.min(PREVIEW_MAX)) };
    Some(Relation::new(input.columns.to_vec(), take).ordered(order))
}

/// `estimate_rows_count()`: how many rows there are; here the number is exact.
pub(super) fn estimate_rows_count(
    binder: &mut Binder<'_>,
    input: Relation,
    node: &EvaluateOperator,
) -> Option<Relation> {
    Arguments::new(&node.call, &[]).finish(binder)?;
    let function = crate::aggregates::registry().get("count")?;
    let output = Column::new("EstimatedRowsCount", ColumnType::Long);
    let count = BoundAggregate { function, args: Vec::new(), predicate: None, outputs: vec![output.clone()] };
    let hidden = input.columns.iter().filter(|c| is_hidden(&c.name));
    let keys: Vec<(Column, ScalarExpr)> = hidden.map(|c| (c.clone(), ScalarExpr::column(c))).collect();
    let columns = keys.iter().map(|(c, _)| c.clone()).chain([output]).collect();
    Some(Relation::new(columns, Summarize { input, keys, aggregates: vec![count] }))
}

/// A whole number that is not negative.
fn whole(binder: &mut Binder<'_>, arguments: &mut Arguments<'_>, name: &'static str) -> Option<usize> {
    let value = arguments.value(binder, name)?;
    match value.as_long().and_then(|number| usize::try_from(number).ok()) {
        Some(number) => Some(number),
        None => binder.fail(codes::RANGE, arguments.span(), format!("`{name}` must be a whole number, 0 or more")),
    }
}

/// `narrow()`: a row for each cell.
pub(super) fn narrow(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    Arguments::new(&node.call, &[]).finish(binder)?;
    let columns = vec![
        Column::new("Row", ColumnType::Long),
        Column::new("Column", ColumnType::String),
        Column::new("Value", ColumnType::String),
    ];
    let sources = input.columns.iter().filter(|c| !is_hidden(&c.name)).cloned().collect();
    Some(Gathered::relation(vec![input], columns, Narrow { sources }))
}

#[derive(Debug)]
struct Narrow {
    sources: Vec<Column>,
}

impl Gathering for Narrow {
    fn name(&self) -> &'static str {
        "narrow"
    }

    fn details(&self) -> String {
        String::new()
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let rows = &inputs[0];
        if rows.num_rows().saturating_mul(self.sources.len()) > NARROW_CELLS_MAX {
            return Err(format!("narrow would make more than {NARROW_CELLS_MAX} rows; take fewer rows or columns"));
        }
        let readers: Vec<Reader<'_>> = rows.columns().iter().map(Reader::of).collect();
        let mut cells: Vec<(usize, usize)> = Vec::new();
        for row in 0..rows.num_rows() {
            cells.extend((0..readers.len()).map(|at| (row, at)));
        }
        work.check()?;
        let text = |(row, at): &(usize, usize)| cell_text(readers[*at].get(*row), self.sources[*at].column_type);
        Ok(vec![
            column(ColumnType::Long, cells.iter().map(|(row, _)| *row)),
            column(ColumnType::String, cells.iter().map(|(_, at)| &*self.sources[*at].name)),
            column(ColumnType::String, cells.iter().map(text)),
        ])
    }
}

/// `rows_near(condition, rows, rows_after)`: the rows around those for which a condition holds.
pub(super) fn rows_near(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    let mut arguments = Arguments::new(&node.call, &["Condition", "NumRows", "RowsAfter"]);
    let condition = match arguments.take("Condition") {
        Some(argument) => binder.predicate(&argument.expression, &mut Row::of(&input))?,
        None => return binder.fail(codes::ARGUMENTS, node.call.span, "rows_near() takes a condition and a number"),
    };
    let before = whole(binder, &mut arguments, "NumRows")?;
    let after = match arguments.constant(binder, "RowsAfter")? {
        None => before,
        Some(value) => match value.as_long().and_then(|number| usize::try_from(number).ok()) {
            Some(number) => number,
            None => return binder.fail(codes::RANGE, node.call.span, "`RowsAfter` must be a whole number, 0 or more"),
        },
    };
    arguments.finish(binder)?;
    let order = std::sync::Arc::clone(&input.order);
    let visible: Vec<Column> = input.columns.iter().filter(|c| !is_hidden(&c.name)).cloned().collect();
    let mut outputs: Vec<(Column, ScalarExpr)> =
        visible.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
    outputs.push((Column::new("__near", ColumnType::Bool), condition));
    let marked = Project::relation("extend", input, outputs);
    Some(Gathered::relation(vec![marked], visible, RowsNear { before, after }).ordered(order))
}

#[derive(Debug)]
struct RowsNear {
    before: usize,
    after: usize,
}

impl Gathering for RowsNear {
    fn name(&self) -> &'static str {
        "rows_near"
    }

    fn details(&self) -> String {
        format!("{} before, {} after", self.before, self.after)
    }

    fn run(&self, inputs: &[RecordBatch], _: &Work) -> Result<Vec<ArrayRef>, String> {
        let rows = &inputs[0];
        let (marks, visible) = rows.columns().split_last().ok_or("rows_near has no columns")?;
        let marks = Reader::of(marks);
        let mut kept: Vec<u32> = Vec::new();
        let mut next = 0;
        for row in (0..rows.num_rows()).filter(|row| marks.get(*row).bool() == Some(true)) {
            let from = row.saturating_sub(self.before).max(next);
            let to = row.saturating_add(self.after).saturating_add(1).min(rows.num_rows());
            kept.extend((from..to).filter_map(|row| u32::try_from(row).ok()));
            next = to.max(next);
        }
        picked(visible, kept)
    }
}

