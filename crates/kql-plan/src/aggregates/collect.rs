//! Aggregates that collect values: lists, sets, bags, percentiles. Their state is the collection itself.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, SortExpr, Volatility, WindowFrame,
    WindowFunctionDefinition, lit,
};
use datafusion::scalar::ScalarValue;
use moneta_event::ColumnType;

use super::AggregateNaming::{Percentiles, Prefix};
use super::{Aggregate, AggregateCall, Finish, aggregate};
use crate::functions::conversion::cell_json;
use crate::functions::row::{Reader, plain};
use crate::json;
use crate::value::Value;

/// The greatest number of elements of a list or set.
pub const ELEMENTS_MAX: usize = 1_048_576;

/// The declarations.
pub const AGGREGATES: &[Aggregate] = &[
    Aggregate::new("make_list", &["(expr: scalar, [max_size: integer]) -> dynamic"], Prefix("list_"), |call| {
        collected(call, Kind::List)
    })
    .aliases(&["makelist"])
    .ordered()
    .doc(
        "An array of all values.",
        &[("range x from 1 to 3 step 1 | sort by x asc | summarize make_list(x)", "dynamic([1,2,3])")],
    ),
    Aggregate::new(
        "make_list_if",
        &["(expr: scalar, predicate: bool, [max_size: integer]) -> dynamic"],
        Prefix("list_"),
        |call| collected(call, Kind::List),
    )
    .ordered()
    .doc("An array of the values of the rows for which a predicate holds.", &[]),
    Aggregate::new("make_list_with_nulls", &["(expr: scalar) -> dynamic"], Prefix("list_"), |call| {
        collected(call, Kind::ListWithNulls)
    })
    .ordered()
    .doc("An array of all values, nulls included.", &[]),
    Aggregate::new("make_set", &["(expr: scalar, [max_size: integer]) -> dynamic"], Prefix("set_"), |call| {
        collected(call, Kind::Set)
    })
    .aliases(&["makeset"])
    .ordered()
    .doc(
        "An array of the distinct values; of arrays, of their distinct elements.",
        &[("datatable(a:long)[1,1] | summarize make_set(a)", "dynamic([1])")],
    ),
    Aggregate::new(
        "make_set_if",
        &["(expr: scalar, predicate: bool, [max_size: integer]) -> dynamic"],
        Prefix("set_"),
        |call| collected(call, Kind::Set),
    )
    .ordered()
    .doc("An array of the distinct values of the rows for which a predicate holds.", &[]),
    Aggregate::new("make_bag", &["(expr: dynamic, [max_size: integer]) -> dynamic"], Prefix("bag_"), |call| {
        collected(call, Kind::Bag)
    })
    .doc("One bag of all bags.", &[("print b = dynamic({'a':1}) | summarize make_bag(b)", "dynamic({\"a\":1})")]),
    Aggregate::new(
        "make_dictionary",
        &["(expr: dynamic, [max_size: integer]) -> dynamic"],
        Prefix("dictionary_"),
        |call| collected(call, Kind::Bag),
    )
    .doc("One bag of all bags.", &[]),
    Aggregate::new(
        "make_bag_if",
        &["(expr: dynamic, predicate: bool, [max_size: integer]) -> dynamic"],
        Prefix("bag_"),
        |call| collected(call, Kind::Bag),
    )
    .doc("One bag of the bags of the rows for which a predicate holds.", &[]),
    Aggregate::new("percentile", &["(expr: scalar, percentile: number) -> $1"], Percentiles, percentiles)
        .doc("The nearest-rank percentile.", &[("range x from 1 to 100 step 1 | summarize percentile(x, 95)", "95")]),
    Aggregate::new("percentiles", &["(expr: scalar, percentile: number...) -> $1"], Percentiles, percentiles)
        .doc("Several nearest-rank percentiles.", &[]),
    Aggregate::new(
        "percentiles_array",
        &["(expr: scalar, percentile: scalar...) -> dynamic"],
        Prefix("percentiles_"),
        percentiles_array,
    )
    .doc("Several nearest-rank percentiles as one array.", &[]),
];

/// What is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    List,
    ListWithNulls,
    Set,
    Bag,
    /// The arrays' elements, distinct: what `in (query)` needs.
    Merged,
    /// Nearest-rank percentiles, in thousandths of a percent.
    Percentile,
}

/// A collecting aggregate: `name(value[, row number])`.
#[derive(Debug)]
struct Collect {
    kind: Kind,
    value_type: ColumnType,
    max: usize,
    /// Percentiles in the order wanted.
    ranks: Vec<f64>,
    signature: Signature,
}

impl Collect {
    fn call(
        kind: Kind,
        value_type: ColumnType,
        max: usize,
        ranks: Vec<f64>,
        args: Vec<Expr>,
        filter: Option<Expr>,
    ) -> Expr {
        let signature = Signature::variadic_any(Volatility::Immutable);
        let udaf = AggregateUDF::new_from_impl(Self { kind, value_type, max, ranks, signature });
        aggregate(Arc::new(udaf), args, false, filter)
    }
}

impl PartialEq for Collect {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, self.value_type, self.max) == (other.kind, other.value_type, other.max) && self.ranks == other.ranks
    }
}

impl Eq for Collect {}

impl Hash for Collect {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kind, self.value_type, self.max).hash(state);
        self.ranks.iter().for_each(|rank| rank.to_bits().hash(state));
    }
}

impl AggregateUDFImpl for Collect {
    fn name(&self) -> &str {
        match self.kind {
            Kind::List => "kql_make_list",
            Kind::ListWithNulls => "kql_make_list_with_nulls",
            Kind::Set => "kql_make_set",
            Kind::Bag => "kql_make_bag",
            Kind::Merged => "kql_merge_sets",
            Kind::Percentile => "kql_percentiles",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Collector {
            kind: self.kind,
            value_type: self.value_type,
            max: self.max,
            ranks: self.ranks.clone(),
            items: Vec::new(),
            seen: HashSet::new(),
            size: 0,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[items]", args.name), DataType::Utf8, true))])
    }
}

/// The collection of one group: JSON texts with the number of their row.
#[derive(Debug)]
struct Collector {
    kind: Kind,
    value_type: ColumnType,
    max: usize,
    ranks: Vec<f64>,
    items: Vec<(i64, String)>,
    seen: HashSet<String>,
    size: usize,
}

impl Collector {
    fn push(&mut self, row: i64, item: String) {
        let distinct = matches!(self.kind, Kind::Set | Kind::Merged);
        let full = self.items.len() >= self.max && self.kind != Kind::Percentile;
        if full || (distinct && !self.seen.insert(item.clone())) {
            return;
        }
        self.size += item.len() * if distinct { 2 } else { 1 } + 64;
        self.items.push((row, item));
    }

    fn finish(&mut self) -> String {
        self.items.sort_by_key(|(row, _)| *row);
        match self.kind {
            Kind::Bag => self.bag(),
            Kind::Percentile => self.percentiles(),
            _ => array_text(self.items.iter().map(|(_, item)| item.as_str())),
        }
    }

    fn bag(&self) -> String {
        let mut bag = serde_json::Map::new();
        for (_, item) in &self.items {
            if let serde_json::Value::Object(own) = json::parse(item) {
                for (key, value) in own {
                    if bag.len() < self.max {
                        bag.entry(key).or_insert(value);
                    }
                }
            }
        }
        serde_json::Value::Object(bag).to_string()
    }

    /// The values at the ranks: the smallest with at least that share of values at or below it.
    fn percentiles(&self) -> String {
        let mut values: Vec<serde_json::Value> = self.items.iter().map(|(_, item)| json::parse(item)).collect();
        values.sort_by(crate::functions::dynamic::compare_values);
        let pick = |rank: &f64| {
            let count = crate::functions::row::long_to_real(i64::try_from(values.len()).unwrap_or(i64::MAX));
            let position = crate::functions::row::real_to_long((count * rank / 100.0).ceil()).unwrap_or(1).max(1) - 1;
            usize::try_from(position)
                .ok()
                .and_then(|p| values.get(p.min(values.len().saturating_sub(1))))
                .map_or("null".to_owned(), ToString::to_string)
        };
        let picked: Vec<String> = self.ranks.iter().map(pick).collect();
        array_text(picked.iter().map(String::as_str))
    }
}

fn array_text<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

impl Accumulator for Collector {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let array = plain(&values[0])?;
        let reader = Reader::of(&array);
        let rows = values.get(1).map(|rows| arrow::compute::cast(rows, &DataType::Int64)).transpose()?;
        let rows = rows.as_ref().map(|rows| rows.as_primitive::<Int64Type>());
        for index in 0..array.len() {
            let row = rows.map_or(0, |rows| rows.value(index));
            let cell = reader.get(index);
            let text = match (self.kind, self.value_type) {
                // Times are ranked by their number, not by their text.
                (Kind::Percentile, ColumnType::DateTime | ColumnType::TimeSpan) => cell.long().map(|n| n.to_string()),
                (_, value_type) => cell_json(cell, value_type),
            };
            match (text, self.kind) {
                // An array gives its elements to a set.
                (Some(text), Kind::Merged | Kind::Set) if self.value_type == ColumnType::Dynamic => {
                    match json::elements(&text) {
                        Some(elements) => elements.iter().for_each(|element| self.push(row, (*element).to_owned())),
                        None if self.kind == Kind::Set => self.push(row, text),
                        None => {}
                    }
                }
                (Some(text), _) => self.push(row, text),
                (None, Kind::ListWithNulls) => self.push(row, "null".to_owned()),
                (None, _) => {}
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Utf8(Some(self.finish())))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.size
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        // Row numbers and texts in turn.
        let parts: Vec<String> = self.items.iter().map(|(row, item)| format!("{row},{item}")).collect();
        Ok(vec![ScalarValue::Utf8(Some(format!("[{}]", parts.join(","))))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in states[0].as_string::<i32>().iter().flatten() {
            let parts = json::elements(state).unwrap_or_default();
            for pair in parts.chunks_exact(2) {
                self.push(pair[0].parse().unwrap_or(0), pair[1].to_owned());
            }
        }
        Ok(())
    }
}

fn collected(call: &AggregateCall<'_>, kind: Kind) -> (Vec<Expr>, Finish) {
    let max = call.bound.get(1).and_then(ScalarExpr::as_literal).and_then(Value::as_long);
    let max = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(ELEMENTS_MAX).min(ELEMENTS_MAX);
    let args = std::iter::once(call.args[0].clone()).chain(call.order.clone()).collect();
    let list = Collect::call(kind, call.bound[0].column_type, max, Vec::new(), args, call.filter.clone());
    let finish: Finish = if kind == Kind::Bag {
        |parts, _| parts
    } else {
        |mut parts, _| vec![coalesce(vec![parts.swap_remove(0), lit("[]")])]
    };
    (vec![list], finish)
}

use crate::bound::ScalarExpr;

/// The percentiles asked for.
pub(super) fn ranks(bound: &[ScalarExpr]) -> Vec<f64> {
    let values = bound.iter().skip(1).filter_map(ScalarExpr::as_literal);
    values
        .flat_map(|value| match value {
            Value::Dynamic(json) => {
                json::parse(json).as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect()
            }
            other => crate::fold::cell(other).real().into_iter().collect::<Vec<f64>>(),
        })
        .collect()
}

fn percentiles(call: &AggregateCall<'_>) -> (Vec<Expr>, Finish) {
    let list = Collect::call(
        Kind::Percentile,
        call.bound[0].column_type,
        usize::MAX,
        ranks(call.bound),
        vec![call.args[0].clone()],
        call.filter.clone(),
    );
    let finish: Finish = |mut parts, call| {
        let list = parts.swap_remove(0);
        let target = call.bound[0].column_type;
        (0..call.outputs.len()).map(|index| ranked_element(&list, index, target)).collect()
    };
    (vec![list], finish)
}

/// The element of the array of percentiles, converted back.
pub(super) fn ranked_element(list: &Expr, index: usize, target: ColumnType) -> Expr {
    use crate::functions::row::{Answer, RowKernel};
    let step = json::Step::Index(i64::try_from(index).unwrap_or(i64::MAX));
    let element = crate::functions::path::PathFunction::call(list.clone(), &[step]);
    let kernel: RowKernel = |args, call| match call.return_type {
        ColumnType::DateTime | ColumnType::TimeSpan => args[0].text().parse().map_or(Answer::Null, Answer::Time),
        _ => crate::functions::conversion::convert(args[0], call),
    };
    crate::functions::udf::RowFunction::call(
        "kql_ranked",
        kernel,
        target != ColumnType::String,
        true,
        &[ColumnType::Dynamic],
        target,
        vec![element],
    )
}

fn percentiles_array(call: &AggregateCall<'_>) -> (Vec<Expr>, Finish) {
    let list = Collect::call(
        Kind::Percentile,
        call.bound[0].column_type,
        usize::MAX,
        ranks(call.bound),
        vec![call.args[0].clone()],
        call.filter.clone(),
    );
    (vec![list], |parts, _| parts)
}

/// The distinct elements of a column of arrays, as one array.
#[must_use]
pub fn merged_list(value: Expr) -> Expr {
    Collect::call(Kind::Merged, ColumnType::Dynamic, ELEMENTS_MAX, Vec::new(), vec![value], None)
}

/// The number of the row in an order, within each partition.
#[must_use]
pub fn row_number(order_by: Vec<SortExpr>, partition_by: Vec<Expr>) -> Expr {
    let fun = WindowFunctionDefinition::WindowUDF(datafusion::functions_window::row_number::row_number_udwf());
    // Without an order only a frame of rows is allowed.
    let window_frame = WindowFrame::new(if order_by.is_empty() { None } else { Some(false) });
    let params = WindowFunctionParams {
        args: Vec::new(),
        partition_by,
        order_by,
        window_frame,
        filter: None,
        null_treatment: None,
        distinct: false,
    };
    Expr::WindowFunction(Box::new(WindowFunction { fun, params }))
}
