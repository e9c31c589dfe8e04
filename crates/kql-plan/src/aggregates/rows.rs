//! Aggregates that pick one row of a group: `arg_max`, `arg_min`, `take_any`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions::core::get_field;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, GroupsAccumulator, Signature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;
use moneta_event::ColumnType;

use super::AggregateNaming::{Arguments, EachPrefixed, FirstPrefixed};
use super::pick::{Pick, PickRows};
use super::{Aggregate, AggregateCall, Finish, aggregate};

const EXTREME: &[&str] = &["(key: orderable, returned: scalar...) -> $1"];
const ANY: &[&str] = &["(expr: scalar, other: scalar...) -> $1"];
const ANY_IF: &[&str] = &["(expr: scalar, predicate: bool) -> $1"];

/// The declarations.
pub const AGGREGATES: &[Aggregate] = &[
    Aggregate::new("arg_max", EXTREME, Arguments, |call| picked(call, Pick::Greatest)).doc(
        "The row with the greatest key: the key, then the columns asked for, or all with `*`.",
        &[("datatable(k:long, v:string)[1,'a', 3,'c', 2,'b'] | summarize arg_max(k, v) | project v", "\"c\"")],
    ),
    Aggregate::new("argmax", EXTREME, FirstPrefixed("max_"), |call| picked(call, Pick::Greatest))
        .doc("The older spelling of `arg_max`.", &[]),
    Aggregate::new("arg_min", EXTREME, Arguments, |call| picked(call, Pick::Least)).doc(
        "The row with the least key.",
        &[("datatable(k:long, v:string)[2,'a', 1,'c'] | summarize arg_min(k, v) | project v", "\"c\"")],
    ),
    Aggregate::new("argmin", EXTREME, FirstPrefixed("min_"), |call| picked(call, Pick::Least))
        .doc("The older spelling of `arg_min`.", &[]),
    Aggregate::new("take_any", ANY, Arguments, |call| picked(call, Pick::Any)).doc(
        "Any row of the group; of one column any value that is not null.",
        &[("datatable(a:long)[1,1] | summarize take_any(a)", "1")],
    ),
    Aggregate::new("any", ANY, EachPrefixed("any_"), |call| picked(call, Pick::Any))
        .doc("The older spelling of `take_any`.", &[]),
    Aggregate::new("take_anyif", ANY_IF, Arguments, |call| picked(call, Pick::Any))
        .doc("Any row of the group for which a predicate holds.", &[]),
    Aggregate::new("anyif", ANY_IF, EachPrefixed("anyif_"), |call| picked(call, Pick::Any))
        .doc("The older spelling of `take_anyif`.", &[]),
];

/// Picks a row: `name(key or first column, other columns)`, giving a struct `c0, c1, ...`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PickRow {
    pick: Pick,
    /// Whether an empty text counts as absent: `take_any` of one string column prefers a value.
    prefers_text: bool,
    signature: Signature,
}

impl PickRow {
    fn call(pick: Pick, prefers_text: bool, args: Vec<Expr>, filter: Option<Expr>) -> Expr {
        let signature = Signature::variadic_any(Volatility::Immutable);
        aggregate(Arc::new(AggregateUDF::new_from_impl(Self { pick, prefers_text, signature })), args, false, filter)
    }
}

/// The fields of the struct a picked row is.
pub(crate) fn row_fields<'a>(types: impl Iterator<Item = &'a DataType>) -> Fields {
    types.enumerate().map(|(i, t)| Field::new(format!("c{i}"), t.clone(), true)).collect()
}

impl AggregateUDFImpl for PickRow {
    fn name(&self) -> &str {
        match self.pick {
            Pick::Greatest => "kql_arg_max",
            Pick::Least => "kql_arg_min",
            Pick::Any => "kql_take_any",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(row_fields(args.iter())))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let types = args.expr_fields.iter().map(|f| f.data_type().clone()).collect();
        Ok(Box::new(RowPicker { pick: self.pick, prefers_text: self.prefers_text, types, best: None }))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let types = args.expr_fields.iter().map(|f| f.data_type().clone()).collect();
        Ok(Box::new(PickRows::new(self.pick, self.prefers_text, types)?))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let fields = args.input_fields.iter().enumerate();
        let columns =
            fields.map(|(i, f)| Arc::new(Field::new(format!("{}[{i}]", args.name), f.data_type().clone(), true)));
        Ok(columns.chain([Arc::new(Field::new(format!("{}[seen]", args.name), DataType::Boolean, true))]).collect())
    }
}

/// The row picked so far.
#[derive(Debug)]
struct RowPicker {
    pick: Pick,
    prefers_text: bool,
    types: Vec<DataType>,
    best: Option<Vec<ScalarValue>>,
}

impl RowPicker {
    /// The index of the best row of a batch, if it beats the row picked so far.
    fn better(&self, keys: &ArrayRef, valid: &dyn Fn(usize) -> bool) -> Result<Option<usize>> {
        let rows = (0..keys.len()).filter(|row| valid(*row));
        if self.pick == Pick::Any {
            let complete = |row: usize| {
                !keys.is_null(row) && (!self.prefers_text || !keys.as_string::<i32>().value(row).is_empty())
            };
            let current_is_complete = self.best.as_ref().is_some_and(|best| {
                !best[0].is_null() && (!self.prefers_text || best[0].try_as_str().flatten() != Some(""))
            });
            if current_is_complete {
                return Ok(None);
            }
            let mut rows = rows;
            let mut first = None;
            let found = rows.find(|row| {
                first.get_or_insert(*row);
                complete(*row)
            });
            return Ok(found.or(if self.best.is_none() { first } else { None }));
        }
        let options = arrow::compute::SortOptions { descending: self.pick == Pick::Greatest, nulls_first: false };
        let compare = arrow::array::make_comparator(keys.as_ref(), keys.as_ref(), options)?;
        let best = rows.reduce(|best, row| if compare(row, best).is_lt() { row } else { best });
        let Some(best) = best else { return Ok(None) };
        let Some(current) = &self.best else { return Ok(Some(best)) };
        if keys.is_null(best) {
            return Ok(None);
        }
        let current = current[0].to_array()?;
        let against = arrow::array::make_comparator(keys.as_ref(), current.as_ref(), options)?;
        Ok(against(best, 0).is_lt().then_some(best))
    }

    fn take(&mut self, columns: &[ArrayRef], valid: &dyn Fn(usize) -> bool) -> Result<()> {
        if let Some(row) = self.better(&columns[0], valid)? {
            self.best = Some(columns.iter().map(|c| ScalarValue::try_from_array(c, row)).collect::<Result<_>>()?);
        }
        Ok(())
    }
}

impl Accumulator for RowPicker {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.take(values, &|_| true)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let fields = row_fields(self.types.iter());
        let arrays = match &self.best {
            Some(best) => best.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?,
            None => self.types.iter().map(|t| arrow::array::new_null_array(t, 1)).collect(),
        };
        Ok(ScalarValue::Struct(Arc::new(StructArray::try_new(fields, arrays, None)?)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.best.iter().flatten().map(ScalarValue::size).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let seen = ScalarValue::Boolean(Some(self.best.is_some()));
        let row = match &self.best {
            Some(best) => best.clone(),
            None => self.types.iter().map(ScalarValue::try_from).collect::<Result<_>>()?,
        };
        Ok(row.into_iter().chain([seen]).collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (seen, columns) = states.split_last().expect("the state has the column `seen`");
        let seen = seen.as_boolean();
        self.take(columns, &|row| seen.value(row))
    }
}

fn picked(call: &AggregateCall<'_>, pick: Pick) -> (Vec<Expr>, Finish) {
    let prefers_text = pick == Pick::Any && call.args.len() == 1 && call.bound[0].column_type == ColumnType::String;
    let row = PickRow::call(pick, prefers_text, call.args.clone(), call.filter.clone());
    let finish: Finish = |mut parts, call| {
        let row = parts.swap_remove(0);
        let field = |index: usize| get_field().call(vec![row.clone(), lit(format!("c{index}"))]);
        let column = |(index, output): (usize, &moneta_event::Column)| {
            if output.column_type == ColumnType::String { coalesce(vec![field(index), lit("")]) } else { field(index) }
        };
        call.outputs.iter().enumerate().map(column).collect()
    };
    (vec![row], finish)
}

/// Any row of a group as a struct `c0, c1, ...`.
#[must_use]
pub fn any_row(columns: Vec<Expr>) -> Expr {
    PickRow::call(Pick::Any, false, columns, None)
}
