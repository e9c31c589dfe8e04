//! `pivot`: a column for each value of a column, holding an aggregate.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat, take};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{EvaluateOperator, Expression, RowSchema};

use super::arguments::Arguments;
use super::bag_unpack::{distinct, open};
use super::rows::groups;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::functions::row::Reader;
use crate::operators::apply::is_hidden;
use crate::operators::filter::Filter;
use crate::operators::gathered::{Gathered, Gathering, Work};
use crate::operators::project::Project;
use crate::operators::summarize::{BoundAggregate, Summarize};
use crate::value::Value;

/// A bound call.
struct Pivot {
    /// The column whose values become columns, as text.
    key: ScalarExpr,
    /// The aggregates, and the cell computed of them.
    aggregates: Vec<BoundAggregate>,
    cell: ScalarExpr,
    /// The columns that stay.
    kept: Vec<Column>,
}

/// Binds `pivot(column, aggregate, kept...)`.
pub(super) fn bind(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    let pivot = arguments(binder, &input, node)?;
    let probe = probe(&input, &pivot);
    let values: Vec<String> = match &node.schema {
        Some(schema) => {
            let declared = binder.schema_columns(schema)?;
            let named = |c: &&Column| schema.star.is_some() || pivot.kept.iter().all(|k| k.name != c.name);
            declared.iter().filter(named).map(|c| c.name.to_string()).collect()
        }
        None => match binder.columns_of_data(node.call.span, probe) {
            Some(found) => found.into_iter().map(|column| column.name.to_string()).collect(),
            None => {
                let outputs = pivot.kept.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
                return Some(open("evaluate", kept_only(input, &pivot), outputs));
            }
        },
    };
    let spread = spread(input, pivot, &values);
    match &node.schema {
        Some(schema) => declared(binder, spread, schema),
        None => {
            let visible = spread.columns.iter().filter(|c| !is_hidden(&c.name));
            let outputs = visible.map(|c| (c.clone(), ScalarExpr::column(c))).collect();
            Some(open("evaluate", spread.clone(), outputs))
        }
    }
}

fn arguments(binder: &mut Binder<'_>, input: &Relation, node: &EvaluateOperator) -> Option<Pivot> {
    let mut arguments = Arguments::new(&node.call, &["pivotColumn", "aggregationFunction"]);
    let key = arguments.required(binder, "pivotColumn", &mut Row::of(input))?;
    if key.column_type == ColumnType::Dynamic {
        let message = "the values of a dynamic cannot name columns; convert it by tostring() first";
        return binder.fail(codes::TYPE, node.call.span, message);
    }
    let mut row = Row::of(input);
    row.aggregates = Some(Vec::new());
    let cell = match arguments.take("aggregationFunction") {
        Some(argument) => binder.scalar(&argument.expression, &mut row)?,
        None => {
            let function = crate::aggregates::registry().get("count")?;
            let output = Column::new("__g0_0", ColumnType::Long);
            let call = BoundAggregate { function, args: Vec::new(), predicate: None, outputs: vec![output.clone()] };
            row.aggregates = Some(vec![call]);
            ScalarExpr::column(&output)
        }
    };
    let aggregates = row.aggregates.take().unwrap_or_default();
    if aggregates.is_empty() {
        let message = "the second argument of pivot is an aggregation function, such as count()";
        return binder.fail(codes::AGGREGATE_EXPECTED, node.call.span, message);
    }
    let mut kept = Vec::new();
    for argument in arguments.rest() {
        if let Expression::Star(_) = argument.expression {
            kept.extend(input.columns.iter().filter(|c| !is_hidden(&c.name)).cloned());
            continue;
        }
        let bound = binder.scalar(&argument.expression, &mut Row::of(input))?;
        match bound.as_column().and_then(|name| input.column(name)) {
            Some(column) => kept.push(column.clone()),
            None if input.open => {}
            None => return binder.fail(codes::NAME_EXPECTED, argument.span, "pivot keeps columns: name one"),
        }
    }
    if node.call.arguments.len() <= 2 {
        let mut used = std::collections::BTreeSet::new();
        key.read_columns(&mut used);
        aggregates.iter().flat_map(|a| a.args.iter().chain(&a.predicate)).for_each(|e| e.read_columns(&mut used));
        kept = input.columns.iter().filter(|c| !used.contains(&c.name) && !is_hidden(&c.name)).cloned().collect();
    }
    Some(Pivot { key: key.converted(ColumnType::String), aggregates, cell, kept })
}

/// The distinct values of the pivoted column, as rows of a probe.
fn probe(input: &Relation, pivot: &Pivot) -> Relation {
    let cell_type = ScalarExpr::literal(Value::String(pivot.cell.column_type.name().to_owned()));
    distinct(input.clone(), [pivot.key.clone(), cell_type])
}

/// The kept columns' distinct rows, while the values are not known.
fn kept_only(input: Relation, pivot: &Pivot) -> Relation {
    let hidden = input.columns.iter().filter(|c| is_hidden(&c.name));
    let keys: Vec<(Column, ScalarExpr)> =
        pivot.kept.iter().chain(hidden).map(|c| (c.clone(), ScalarExpr::column(c))).collect();
    let columns = keys.iter().map(|(c, _)| c.clone()).collect();
    Relation::new(columns, Summarize { input, keys, aggregates: Vec::new() })
}

/// The aggregates by kept columns and value, spread over a column per value.
fn spread(input: Relation, pivot: Pivot, values: &[String]) -> Relation {
    let hidden: Vec<Column> = input.columns.iter().filter(|c| is_hidden(&c.name)).cloned().collect();
    let key = Column::new("__key", ColumnType::String);
    let mut keys: Vec<(Column, ScalarExpr)> =
        pivot.kept.iter().chain(&hidden).map(|c| (c.clone(), ScalarExpr::column(c))).collect();
    keys.push((key.clone(), pivot.key));
    let outputs: Vec<Column> = pivot.aggregates.iter().flat_map(|a| a.outputs.iter().cloned()).collect();
    // What the aggregate is over no rows stands in the cells that have none.
    let nothing = Filter { input: input.clone(), predicate: ScalarExpr::literal(Value::Bool(false)) };
    let nothing = Relation::new(input.columns.to_vec(), nothing);
    let empty = Summarize { input: nothing, keys: Vec::new(), aggregates: pivot.aggregates.clone() };
    let cell = Column::new("__cell", pivot.cell.column_type);
    let empty = Relation::new(outputs.clone(), empty);
    let empty = Project::exact("project", empty, vec![(cell.clone(), pivot.cell.clone())]);
    let columns = keys.iter().map(|(c, _)| c.clone()).chain(outputs).collect();
    let grouped = Relation::new(columns, Summarize { input, keys, aggregates: pivot.aggregates });
    let carried = pivot.kept.iter().chain(&hidden).chain([&key]).map(|c| (c.clone(), ScalarExpr::column(c)));
    let grouped = Project::exact("project", grouped, carried.chain([(cell.clone(), pivot.cell)]).collect());
    let mut names = Names::of(&pivot.kept);
    let cells: Vec<Column> = values
        .iter()
        .map(|value| {
            // The empty text names no column.
            let name = if value.is_empty() { names.numbered("Column") } else { names.unique(value) };
            Column::new(&name, cell.column_type)
        })
        .collect();
    let columns = pivot.kept.iter().cloned().chain(cells).collect();
    Gathered::relation(vec![grouped, empty], columns, Spread { kept: pivot.kept.len(), values: values.to_vec() })
}

/// The declared columns in their order, converted.
fn declared(binder: &mut Binder<'_>, spread: Relation, schema: &RowSchema) -> Option<Relation> {
    let declared = binder.schema_columns(schema)?;
    let mut outputs: Vec<(Column, ScalarExpr)> = Vec::new();
    if schema.star.is_some() {
        let rest = spread.columns.iter().filter(|c| declared.iter().all(|d| d.name != c.name) && !is_hidden(&c.name));
        outputs.extend(rest.map(|c| (c.clone(), ScalarExpr::column(c))));
    }
    for column in declared {
        let own = spread.column(&column.name).map(ScalarExpr::column);
        let value = own.unwrap_or_else(|| ScalarExpr::literal(Value::null(column.column_type)));
        outputs.push((column.clone(), value.converted(column.column_type)));
    }
    Some(Project::relation("evaluate", spread, outputs))
}

/// Puts the cells of equal kept columns into one row.
#[derive(Debug)]
struct Spread {
    kept: usize,
    values: Vec<String>,
}

impl Gathering for Spread {
    fn name(&self) -> &'static str {
        "pivot"
    }

    fn details(&self) -> String {
        self.values.join(", ")
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let failed = |error: arrow::error::ArrowError| error.to_string();
        let (rows, kept) = (&inputs[0], &inputs[0].columns()[..self.kept]);
        let groups = groups(kept, rows.num_rows())?;
        let cells = concat(&[rows.column(self.kept + 1).as_ref(), inputs[1].column(0).as_ref()]).map_err(failed)?;
        let none = u32::try_from(rows.num_rows()).map_err(|_| "pivot has too many rows".to_owned())?;
        let keys = Reader::of(rows.column(self.kept));
        let places: std::collections::HashMap<&str, usize> =
            self.values.iter().enumerate().map(|(place, value)| (value.as_str(), place)).collect();
        let mut picked = vec![vec![none; groups.firsts.len()]; self.values.len()];
        for (row, group) in (0..none).zip(&groups.of_rows) {
            if let Some(place) = places.get(keys.get(row as usize).text()) {
                picked[*place][*group] = row;
            }
        }
        work.check()?;
        let firsts = UInt32Array::from(groups.firsts);
        let mut arrays = Vec::with_capacity(self.kept + self.values.len());
        for column in kept {
            arrays.push(take(column, &firsts, None).map_err(failed)?);
        }
        for indices in picked {
            arrays.push(take(&cells, &UInt32Array::from(indices), None).map_err(failed)?);
        }
        Ok(arrays.into_iter().map(|array| Arc::clone(&array)).collect())
    }
}
