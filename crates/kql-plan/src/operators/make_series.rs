//! `make-series`: aggregates per step of an axis, as arrays over the whole axis.
//!
//! Rows are grouped by keys and by the number of their step; then each key's steps become arrays, and steps without
//! rows get the default. Steps are counted from the start of the series, or like `bin()` where none is said.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result as PlanResult, exec_err};
use datafusion::functions::core::{get_field, named_struct};
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{BinaryOperator, Expression, MakeSeriesOperator, MakeSeriesRange};

use super::TabularOperator;
use super::filter::Filter;
use super::project::Project;
use super::summarize::Summarize;
use crate::aggregates;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::error::Result;
use crate::functions::conversion::cell_json;
use crate::functions::row::{Cell, Reader, long_to_real, plain, real_to_long};
use crate::functions::{Function, registry};
use crate::lower::{LowerContext, column};
use crate::steps;
use crate::types;
use crate::value::{self, Value};

/// The greatest number of values in one series, as in Kusto (`series_values_max`).
pub const SERIES_VALUES_MAX: i64 = 1_048_576;
/// The column that holds the number of the step.
const BIN: &str = "__bin";

/// The number of the step a value falls into, counted from an origin or, where that is null, like `bin()`.
static BIN_INDEX: Function =
    Function::row("kql_series_bin", &["(value: scalar, origin: scalar, step: scalar) -> long"], |args, call| {
        Axis::new(call.types[0]).index(args[0], args[1], args[2]).into()
    })
    .handles_nulls();

/// How positions on an axis are counted: whole numbers (ticks for times), or reals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Axis {
    column_type: ColumnType,
}

impl Axis {
    fn new(column_type: ColumnType) -> Self {
        Self { column_type }
    }

    /// A value in whole units: ticks since year 1, ticks, or numbers.
    fn units(self, cell: Cell<'_>) -> Option<i64> {
        match (self.column_type, cell) {
            (ColumnType::DateTime, Cell::Time(nanos)) => Some(value::datetime_ticks(nanos)),
            (_, Cell::Time(nanos)) => Some(nanos / 100),
            (_, cell) => cell.long(),
        }
    }

    /// The number of the step that holds a value.
    fn index(self, at: Cell<'_>, origin: Cell<'_>, step: Cell<'_>) -> Option<i64> {
        if self.column_type == ColumnType::Real {
            let (at, step) = (at.real()?, step.real()?);
            let origin = origin.real().unwrap_or(0.0);
            return if step > 0.0 { real_to_long(((at - origin) / step).floor()) } else { None };
        }
        let (at, step) = (self.units(at)?, self.step(step)?);
        let origin = self.units(origin).unwrap_or(0);
        Some(at.checked_sub(origin)?.div_euclid(step))
    }

    /// The number of the first step at or after a value.
    fn ceiling(self, at: Cell<'_>, origin: Cell<'_>, step: Cell<'_>) -> Option<i64> {
        let index = self.index(at, origin, step)?;
        let exact = if self.column_type == ColumnType::Real {
            (index_real(index) * step.real()? + origin.real().unwrap_or(0.0)) >= at.real()?
        } else {
            let begins = index.checked_mul(self.step(step)?)?.checked_add(self.units(origin).unwrap_or(0))?;
            Some(begins) == self.units(at)
        };
        Some(if exact { index } else { index.saturating_add(1) })
    }

    fn step(self, step: Cell<'_>) -> Option<i64> {
        let step = match step {
            Cell::Time(nanos) => nanos / 100,
            other => other.long()?,
        };
        (step > 0).then_some(step)
    }

    /// Where a step begins, as JSON.
    fn position(self, index: i64, origin: Cell<'_>, step: Cell<'_>) -> Option<String> {
        if self.column_type == ColumnType::Real {
            let at = origin.real().unwrap_or(0.0) + index_real(index) * step.real()?;
            return cell_json(Cell::Real(at), ColumnType::Real);
        }
        let units = index.checked_mul(self.step(step)?)?.checked_add(self.units(origin).unwrap_or(0))?;
        let cell = match self.column_type {
            ColumnType::DateTime => Cell::Time(value::datetime_nanos(units).0),
            ColumnType::TimeSpan => Cell::Time(value::timespan_nanos(units)),
            _ => Cell::Long(units),
        };
        cell_json(cell, self.column_type)
    }
}

fn index_real(index: i64) -> f64 {
    long_to_real(index)
}

/// Makes arrays of grouped steps.
#[derive(Debug)]
pub struct Series {
    /// One row per group and step: the keys, the number of the step, the values `__v0`, `__v1`, ...
    pub input: Relation,
    /// The group keys in the input.
    pub keys: Vec<Column>,
    /// The values.
    pub values: Vec<Column>,
    /// What a step without rows gets, per value; as JSON text.
    pub defaults: Vec<ScalarExpr>,
    /// The type of the axis.
    pub axis: ColumnType,
    /// Start, end and step, null where not said.
    pub range: [ScalarExpr; 3],
    /// Whether it was written `in range(...)`: steps like `bin()`, the end included.
    pub is_in_range: bool,
    /// Whether a series comes out even of no rows.
    pub nonempty: bool,
}

impl TabularOperator for Series {
    fn name(&self) -> &'static str {
        "make-series"
    }

    fn details(&self) -> String {
        let [from, to, step] = &self.range;
        format!("from {from} to {to} step {step} by {} keys", self.keys.len())
    }

    fn inputs(&self) -> Vec<&Relation> {
        vec![&self.input]
    }

    fn lower(&self, relation: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let plan = ctx.relation(&self.input)?;
        let mut fields = vec![lit("bin"), column(BIN)];
        for value in &self.values {
            fields.extend([lit(&*value.name), column(&value.name)]);
        }
        let collected = aggregates::aggregate(array_agg_udaf(), vec![named_struct().call(fields)], false, None);
        let keys: Vec<Expr> = self.keys.iter().map(|key| column(&key.name)).collect();
        let mut plan = steps::aggregate(plan, keys.clone(), [collected.alias("__bins")])?;
        if !self.nonempty {
            plan = steps::filter(plan, column("__bins").is_not_null())?;
        }
        let mut args = vec![column("__bins")];
        for expression in self.range.iter().chain(&self.defaults) {
            args.push(ctx.scalar(expression)?);
        }
        let function = SeriesFunction {
            axis: Axis::new(self.axis),
            types: self.values.iter().map(|value| value.column_type).collect(),
            is_in_range: self.is_in_range,
            signature: Signature::variadic_any(Volatility::Immutable),
        };
        let series = ScalarUDF::new_from_impl(function).call(args).alias("__series");
        let plan = steps::project(plan, keys.iter().cloned().chain([series]))?;
        let part = |index: usize| get_field().call(vec![column("__series"), lit(format!("c{index}"))]);
        // The axis is the last column.
        let arrays = (1..=self.values.len()).chain([0]).map(part);
        let outputs = keys.into_iter().chain(arrays).zip(relation.columns.iter()).map(|(e, c)| e.alias(&*c.name));
        steps::project(plan, outputs)
    }
}

/// `kql_series(steps, from, to, step, defaults...)`: a struct of JSON arrays, the axis first.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SeriesFunction {
    axis: Axis,
    types: Vec<ColumnType>,
    is_in_range: bool,
    signature: Signature,
}

impl SeriesFunction {
    fn fields(&self) -> Fields {
        (0..=self.types.len()).map(|index| Field::new(format!("c{index}"), DataType::Utf8, true)).collect()
    }

    /// The first and the last step of a series, the end not included.
    fn bounds(&self, indexes: &[i64], from: Cell<'_>, to: Cell<'_>, step: Cell<'_>) -> Option<(i64, i64)> {
        let axis = self.axis;
        let origin = if self.is_in_range { Cell::Null } else { from };
        let first = if from.is_null() { indexes.iter().min().copied() } else { axis.index(from, origin, step) };
        let end = if to.is_null() {
            indexes.iter().max().map(|last| last.saturating_add(1))
        } else if self.is_in_range {
            axis.index(to, origin, step).map(|last| last.saturating_add(1))
        } else {
            axis.ceiling(to, origin, step)
        };
        first.zip(end)
    }

    /// Adds one series to the builders.
    fn push(
        &self,
        steps: Option<&Steps<'_>>,
        range: [Cell<'_>; 3],
        defaults: &[&str],
        into: &mut [StringBuilder],
    ) -> PlanResult<()> {
        let [from, to, step] = range;
        let indexes = steps.map_or(&[][..], |steps| &steps.indexes);
        let (first, end) = self.bounds(indexes, from, to, step).unwrap_or((0, 0));
        let count = end.saturating_sub(first).max(0);
        if count > SERIES_VALUES_MAX {
            return exec_err!(
                "the series of make-series have {count} values, more than the limit series_values_max of \
                 {SERIES_VALUES_MAX}; take a greater step or a shorter range"
            );
        }
        let mut places: Vec<Option<usize>> = vec![None; usize::try_from(count).unwrap_or(0)];
        for (row, index) in indexes.iter().enumerate() {
            let place = usize::try_from(index.saturating_sub(first)).ok().and_then(|place| places.get_mut(place));
            if let Some(place) = place {
                *place = Some(row);
            }
        }
        let origin = if self.is_in_range { Cell::Null } else { from };
        let axis = (first..end).map(|index| self.axis.position(index, origin, step));
        into[0].append_value(array_text(axis));
        for (index, column_type) in self.types.iter().enumerate() {
            let value = |place: &Option<usize>| match (place, steps) {
                (Some(row), Some(steps)) => cell_json(steps.values[index].get(*row), *column_type),
                _ => Some(defaults[index].to_owned()),
            };
            into[index + 1].append_value(array_text(places.iter().map(value)));
        }
        Ok(())
    }
}

/// The steps of one group that have rows.
struct Steps<'a> {
    indexes: Vec<i64>,
    values: Vec<Reader<'a>>,
}

fn array_text(elements: impl Iterator<Item = Option<String>>) -> String {
    let mut text = String::from("[");
    for (index, element) in elements.enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(element.as_deref().unwrap_or("null"));
    }
    text.push(']');
    text
}

impl ScalarUDFImpl for SeriesFunction {
    fn name(&self) -> &str {
        "kql_series"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> PlanResult<DataType> {
        Ok(DataType::Struct(self.fields()))
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> PlanResult<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), DataType::Struct(self.fields()), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<PlanResult<Vec<_>>>()?;
        let lists = arrays[0].as_list::<i32>();
        let scalars = arrays[1..].iter().map(plain).collect::<PlanResult<Vec<_>>>()?;
        let scalars: Vec<Reader<'_>> = scalars.iter().map(Reader::of).collect();
        let mut builders: Vec<StringBuilder> = self.fields().iter().map(|_| StringBuilder::new()).collect();
        for row in 0..rows {
            let range = [scalars[0].get(row), scalars[1].get(row), scalars[2].get(row)];
            let defaults: Vec<&str> = scalars[3..]
                .iter()
                .map(|reader| if let Cell::Text(text) = reader.get(row) { text } else { "null" })
                .collect();
            if lists.is_null(row) {
                self.push(None, range, &defaults, &mut builders)?;
                continue;
            }
            let list = lists.value(row);
            let columns = list.as_struct().columns().iter().map(plain).collect::<PlanResult<Vec<ArrayRef>>>()?;
            let bins = Reader::of(&columns[0]);
            let indexes = (0..list.len()).filter_map(|at| bins.get(at).long()).collect();
            let steps = Steps { indexes, values: columns[1..].iter().map(Reader::of).collect() };
            self.push(Some(&steps), range, &defaults, &mut builders)?;
        }
        let arrays = builders.into_iter().map(|mut builder| Arc::new(builder.finish()) as ArrayRef).collect();
        Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(self.fields(), arrays, None)?)))
    }
}

/// The axis and range of a `make-series` being bound.
struct BoundRange {
    axis: ScalarExpr,
    from: ScalarExpr,
    to: ScalarExpr,
    step: ScalarExpr,
}

impl Binder<'_> {
    /// `make-series n = count() default = 0 on t from a to b step c by k`.
    pub(crate) fn bind_make_series(&mut self, input: Relation, node: &MakeSeriesOperator) -> Option<Relation> {
        let kind = node.parameters.iter().find(|p| p.name.text == "kind");
        let nonempty = match kind.map(|p| (p.word(), p.span)) {
            None => false,
            Some((Some("nonempty"), _)) => true,
            Some((_, span)) => return self.fail(codes::UNKNOWN_WORD, span, "make-series knows only kind=nonempty"),
        };
        let (axis_name, axis, _) = self.named_scalars(&node.axis, &mut Row::of(&input))?.into_iter().next()?;
        let range = self.series_range(axis, &node.range, node.axis.span)?;
        let filtered = self.in_series_range(input, &range, node)?;
        let mut grouping = self.group_keys(&filtered, &node.by)?;
        let mut row = Row::of(&filtered);
        row.aggregates = Some(Vec::new());
        row.grouped_by = grouping.keys.iter().filter_map(|(_, key)| key.as_column().cloned()).collect();
        let mut entries: Vec<(Option<String>, ScalarExpr, ScalarExpr)> = Vec::new();
        for aggregate in &node.aggregates {
            for (name, bound) in self.aggregate_entry(&aggregate.expression, &mut row)? {
                let default = self.series_default(aggregate.default.as_ref(), bound.column_type)?;
                entries.push((name, bound, default));
            }
        }
        let keys: Vec<Column> = grouping.keys.iter().map(|(column, _)| column.clone()).collect();
        grouping.keys.push((Column::new(BIN, ColumnType::Long), bin_index(&range, node.range.is_in_range)));
        let aggregates = row.aggregates.take().unwrap_or_default();
        let columns = grouping.keys.iter().map(|(c, _)| c.clone());
        let columns = columns.chain(aggregates.iter().flat_map(|a| a.outputs.iter().cloned())).collect();
        let grouped = Relation::new(columns, Summarize { input: filtered, keys: grouping.keys.clone(), aggregates });
        let values: Vec<Column> = entries
            .iter()
            .enumerate()
            .map(|(index, (_, bound, _))| Column::new(&format!("__v{index}"), bound.column_type))
            .collect();
        let staged = grouping.keys.iter().map(|(c, _)| (c.clone(), ScalarExpr::column(c)));
        let staged = staged.chain(values.iter().cloned().zip(entries.iter().map(|(_, bound, _)| bound.clone())));
        let steps = Project::exact("project", grouped, staged.collect());

        let mut names = Names::default();
        let mut wanted: Vec<(Option<String>, ColumnType)> =
            grouping.key_names.into_iter().zip(keys.iter().map(|c| c.column_type)).collect();
        wanted.extend(entries.iter().map(|(name, _, _)| (name.clone(), ColumnType::Dynamic)));
        wanted.push((axis_name, ColumnType::Dynamic));
        let columns = wanted.into_iter().map(|(name, column_type)| {
            let name = match name {
                Some(name) => names.unique(&name),
                None => names.numbered("Column"),
            };
            Column::new(&name, column_type)
        });
        let columns = columns.collect();
        let series = Series {
            input: steps,
            keys,
            values,
            defaults: entries.into_iter().map(|(_, _, default)| default).collect(),
            axis: range.axis.column_type,
            range: [range.from, range.to, range.step],
            is_in_range: node.range.is_in_range,
            nonempty,
        };
        Some(Relation::new(columns, series))
    }

    /// Axis, start, end and step in types that fit each other.
    fn series_range(
        &mut self,
        axis: ScalarExpr,
        range: &MakeSeriesRange,
        span: moneta_kql::syntax::Span,
    ) -> Option<BoundRange> {
        let step = self.scalar(&range.step, &mut Row::none())?;
        let (axis_type, step_type) = match (axis.column_type, step.column_type) {
            (ColumnType::DateTime, ColumnType::TimeSpan) => (ColumnType::DateTime, ColumnType::TimeSpan),
            (ColumnType::TimeSpan, ColumnType::TimeSpan) => (ColumnType::TimeSpan, ColumnType::TimeSpan),
            (a, s) if types::is_integer(a) && types::is_integer(s) => (ColumnType::Long, ColumnType::Long),
            (a, s) if types::is_number(a) && types::is_number(s) => (ColumnType::Real, ColumnType::Real),
            (a, s) => {
                let message = format!("make-series cannot go over a {a} in steps of {s}");
                return self.fail(codes::TYPE, span, message);
            }
        };
        let step = step.converted(step_type);
        if step.as_literal().is_some_and(|step| {
            Axis::new(axis_type).index(Cell::Long(0), Cell::Null, crate::fold::cell(step)).is_none()
        }) {
            return self.fail(codes::RANGE, range.step.span(), "the step of make-series must be greater than zero");
        }
        let mut bound = |end: Option<&Expression>| match end {
            None => Some(ScalarExpr::literal(Value::Null(axis_type))),
            Some(end) => self.scalar(end, &mut Row::none()).map(|end| end.converted(axis_type)),
        };
        let (from, to) = (bound(range.from.as_ref())?, bound(range.to.as_ref())?);
        Some(BoundRange { axis: axis.converted(axis_type), from, to, step })
    }

    /// The rows whose axis value lies in the range.
    fn in_series_range(&mut self, input: Relation, range: &BoundRange, node: &MakeSeriesOperator) -> Option<Relation> {
        let span = node.range.span;
        let function = registry().get("isnotnull")?;
        let known = ScalarNode::Call { function, args: vec![range.axis.clone()] };
        let mut tests = vec![ScalarExpr::new(ColumnType::Bool, known)];
        if node.range.from.is_some() {
            let from = if node.range.is_in_range {
                let bin = registry().get("bin")?;
                let args = vec![range.from.clone(), range.step.clone()];
                self.apply(bin, args, span, &Row::none())?
            } else {
                range.from.clone()
            };
            tests.push(self.operation(BinaryOperator::GreaterOrEqual, range.axis.clone(), from, span)?);
        }
        if node.range.to.is_some() {
            let operator = if node.range.is_in_range { BinaryOperator::LessOrEqual } else { BinaryOperator::Less };
            tests.push(self.operation(operator, range.axis.clone(), range.to.clone(), span)?);
        }
        Some(Filter::relation(input, ScalarExpr::new(ColumnType::Bool, ScalarNode::And(tests))))
    }

    /// What a step without rows gets, as JSON text: what was said, else zero.
    fn series_default(&mut self, given: Option<&Expression>, column_type: ColumnType) -> Option<ScalarExpr> {
        let default = match given {
            Some(expression) => {
                let bound = self.scalar(expression, &mut Row::none())?;
                let widens = types::is_integer(bound.column_type) && column_type == ColumnType::Real;
                if widens { bound.converted(ColumnType::Real) } else { bound }
            }
            None if column_type == ColumnType::Real => ScalarExpr::literal(Value::Real(0.0)),
            None if types::is_number(column_type) => ScalarExpr::literal(Value::Long(0)),
            None => ScalarExpr::literal(Value::Null(ColumnType::Dynamic)),
        };
        Some(default.converted(ColumnType::Dynamic))
    }
}

/// The number of a row's step.
fn bin_index(range: &BoundRange, is_in_range: bool) -> ScalarExpr {
    let axis_type = range.axis.column_type;
    let origin = if is_in_range { ScalarExpr::literal(Value::Null(axis_type)) } else { range.from.clone() };
    let args = vec![range.axis.clone(), origin, range.step.clone()];
    ScalarExpr::new(ColumnType::Long, ScalarNode::Call { function: &BIN_INDEX, args })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_downwards_too() {
        let axis = Axis::new(ColumnType::Long);
        assert_eq!(axis.index(Cell::Long(-1), Cell::Null, Cell::Long(5)), Some(-1));
        assert_eq!(axis.index(Cell::Long(7), Cell::Long(2), Cell::Long(5)), Some(1));
        assert_eq!(axis.ceiling(Cell::Long(7), Cell::Long(2), Cell::Long(5)), Some(1));
        assert_eq!(axis.ceiling(Cell::Long(8), Cell::Long(2), Cell::Long(5)), Some(2));
        assert_eq!(axis.index(Cell::Long(8), Cell::Long(2), Cell::Long(0)), None);
    }

    #[test]
    fn whole_days_are_bins_of_their_own() {
        let axis = Axis::new(ColumnType::DateTime);
        let day = Cell::Time(86_400_000_000_000);
        let index = axis.index(Cell::Time(3_600_000_000_000), Cell::Null, day).unwrap();
        assert_eq!(axis.position(index, Cell::Null, day).unwrap(), "\"1970-01-01T00:00:00.0000000Z\"");
    }
}
