//! Small plugins: `identity`, `preview`, `narrow`, `rows_near`, `estimate_rows_count`, `dcount_intersect`,
//! `schema_merge`.

use arrow::array::{ArrayRef, RecordBatch};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::EvaluateOperator;

use super::arguments::Arguments;
use super::rows::{column, picked};
use crate::binder::{Binder, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::functions::conversion::cell_text;
use crate::functions::row::{Answer, Call, Cell, Reader};
use crate::functions::{Function, Kernel, registry};
use crate::json::Step;
use crate::operators::apply::is_hidden;
use crate::operators::gathered::{Gathered, Gathering, Work};
use crate::operators::project::Project;
use crate::operators::sort::Sort;
use crate::operators::summarize::{BoundAggregate, Summarize};
use crate::types;
use crate::value::Value;

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
    let mut outputs: Vec<(Column, ScalarExpr)> = visible.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
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

/// `dcount_intersect(hll, hll, ...)`: how many values are in the first set, in the first two, in the first three, ...
pub(super) fn dcount_intersect(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    let count = node.call.arguments.len();
    if !(2..=SETS_MAX).contains(&count) {
        let message = format!("dcount_intersect() takes 2 to {SETS_MAX} sets made by hll()");
        return binder.fail(codes::ARGUMENTS, node.call.span, message);
    }
    if registry().get("dcount_hll").is_none() || registry().get("hll_merge").is_none() {
        return binder.fail(codes::UNSUPPORTED, node.call.span, "dcount_intersect needs dcount_hll() and hll_merge()");
    }
    let mut sets = Vec::new();
    for argument in &node.call.arguments {
        let set = binder.scalar(&argument.expression, &mut Row::of(&input))?;
        if set.column_type != ColumnType::Dynamic {
            let message = format!("dcount_intersect needs sets made by hll(), not a {}", set.column_type);
            return binder.fail(codes::TYPE, argument.span, message);
        }
        sets.push(set);
    }
    let counts = ScalarNode::Call { function: &INTERSECTIONS, args: sets };
    let counts = ScalarExpr::new(ColumnType::Dynamic, counts);
    let output = |at: usize| {
        let step = Step::Index(i64::try_from(at).unwrap_or(i64::MAX));
        let path = ScalarNode::Path { base: Box::new(counts.clone()), steps: vec![step] };
        let value = ScalarExpr::new(ColumnType::Dynamic, path).converted(ColumnType::Long);
        (Column::new(&format!("s{at}"), ColumnType::Long), value)
    };
    Some(Project::relation("project", input, (0..count).map(output).collect()))
}

/// The greatest number of sets of `dcount_intersect`: all their unions are counted.
const SETS_MAX: usize = 12;

/// The sizes of the intersections of the first sets, as an array: sizes of unions, added and taken away in turn.
static INTERSECTIONS: Function = Function::row("kql_intersections", &["(set: dynamic...) -> dynamic"], |args, _| {
    let row = |name: &str| match registry().get(name).map(|function| function.kernel) {
        Some(Kernel::Row(kernel) | Kernel::Native(_, kernel)) => Some(kernel),
        _ => None,
    };
    let (Some(merge), Some(size)) = (row("hll_merge"), row("dcount_hll")) else { return Answer::Null };
    let types = [ColumnType::Dynamic; SETS_MAX];
    // The size of the union of the sets whose bits are set.
    let union = |chosen: usize| -> Option<i64> {
        let cells: Vec<Cell<'_>> = (0..args.len()).filter(|at| chosen >> at & 1 == 1).map(|at| args[at]).collect();
        let call = Call { types: &types[..cells.len()], return_type: ColumnType::Dynamic };
        let Answer::Text(merged) = merge(&cells, &call) else { return None };
        let call = Call { types: &types[..1], return_type: ColumnType::Long };
        match size(&[Cell::Text(&merged)], &call) {
            Answer::Long(count) => Some(count),
            _ => None,
        }
    };
    let unions: Option<Vec<i64>> = (1..1_usize << args.len()).map(union).collect();
    let Some(unions) = unions else { return Answer::Null };
    let sign = |chosen: usize| if chosen.count_ones() % 2 == 1 { 1 } else { -1 };
    let intersection =
        |sets: usize| -> i64 { (1..1_usize << sets).map(|chosen| sign(chosen) * unions[chosen - 1]).sum() };
    let counts: Vec<String> = (1..=args.len()).map(|sets| intersection(sets).max(0).to_string()).collect();
    Answer::Text(format!("[{}]", counts.join(",")).into())
});

/// `schema_merge(PreserveOrder)`: one schema of several, as `getschema` gives them.
pub(super) fn schema_merge(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    let mut arguments = Arguments::new(&node.call, &["PreserveOrder"]);
    let keeps_order = !matches!(arguments.constant(binder, "PreserveOrder")?, Some(Value::Bool(false)));
    arguments.finish(binder)?;
    let mut outputs = Vec::new();
    for (name, column_type) in
        [("ColumnName", ColumnType::String), ("ColumnOrdinal", ColumnType::Long), ("ColumnType", ColumnType::String)]
    {
        let Some(column) = input.column(name) else {
            let message = format!("schema_merge takes rows made by getschema: there is no column `{name}`");
            return binder.fail(codes::UNRESOLVED, node.call.span, message);
        };
        outputs.push((Column::new(name, column_type), ScalarExpr::column(column).converted(column_type)));
    }
    let columns = vec![
        Column::new("ColumnName", ColumnType::String),
        Column::new("ColumnOrdinal", ColumnType::Long),
        Column::new("DataType", ColumnType::String),
        Column::new("ColumnType", ColumnType::String),
    ];
    let rows = Project::relation("project", input, outputs);
    Some(Gathered::relation(vec![rows], columns, MergeSchemas { keeps_order }))
}

#[derive(Debug)]
struct MergeSchemas {
    keeps_order: bool,
}

/// A merged column: its place, and its type or what is wrong with it.
type Merged = (i64, Result<ColumnType, &'static str>);

impl Gathering for MergeSchemas {
    fn name(&self) -> &'static str {
        "schema_merge"
    }

    fn details(&self) -> String {
        String::new()
    }

    fn run(&self, inputs: &[RecordBatch], _: &Work) -> Result<Vec<ArrayRef>, String> {
        let rows = &inputs[0];
        let readers: Vec<Reader<'_>> = rows.columns().iter().map(Reader::of).collect();
        let mut merged: Vec<(String, Merged)> = Vec::new();
        for row in 0..rows.num_rows() {
            let name = readers[0].get(row).text();
            let ordinal = readers[1].get(row).long().unwrap_or(0);
            let found = ColumnType::parse(readers[2].get(row).text()).ok_or("unknown type");
            match merged.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = self.merged(*known, (ordinal, found)),
                None => merged.push((name.to_owned(), (ordinal, found))),
            }
        }
        // Columns that fit stand at their places, the others behind them.
        merged.sort_by_key(|(_, (ordinal, _))| if *ordinal < 0 { i64::MAX } else { *ordinal });
        if !self.keeps_order {
            merged.iter_mut().zip(0..).for_each(|((_, known), place)| known.0 = place);
        }
        let type_name = |(_, (_, found)): &(String, Merged)| match found {
            Ok(column_type) => column_type.name().to_owned(),
            Err(reason) => format!("ERROR({reason})"),
        };
        let data_type = |(_, (_, found)): &(String, Merged)| match found {
            Ok(column_type) => crate::operators::project::dotnet_name(*column_type).to_owned(),
            Err(reason) => format!("ERROR(unknown CSL type:ERROR({reason}))"),
        };
        Ok(vec![
            column(ColumnType::String, merged.iter().map(|(name, _)| name.as_str())),
            column(ColumnType::Long, merged.iter().map(|(_, (ordinal, _))| *ordinal)),
            column(ColumnType::String, merged.iter().map(data_type)),
            column(ColumnType::String, merged.iter().map(type_name)),
        ])
    }
}

impl MergeSchemas {
    fn merged(&self, known: Merged, other: Merged) -> Merged {
        if self.keeps_order && known.0 != other.0 {
            return (-1, Err("columns are out of order"));
        }
        let found = match (known.1, other.1) {
            (Ok(a), Ok(b)) if a == b => Ok(a),
            (Ok(a), Ok(b)) if types::is_number(a) && types::is_number(b) => Ok(types::widest_number(a, b)),
            (Ok(_), Ok(_)) => Err("types have nothing in common"),
            (Err(reason), _) | (_, Err(reason)) => Err(reason),
        };
        (known.0, found)
    }
}
