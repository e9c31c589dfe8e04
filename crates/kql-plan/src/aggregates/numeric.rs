//! Counts, sums, extremes, means and spreads: DataFusion's own, with Kusto's results over nothing.

use arrow::datatypes::DataType;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate as native;
use datafusion::logical_expr::{Expr, cast, lit};
use moneta_event::ColumnType;

use super::AggregateNaming::{Arguments, Prefix};
use super::{Aggregate, AggregateCall, Finish, aggregate};

const SPREAD: &[&str] = &["(expr: summable) -> real"];
const SPREAD_IF: &[&str] = &["(expr: summable, predicate: bool) -> real"];
const SUM: &[&str] = &["(expr: summable) -> promoted"];
const SUM_IF: &[&str] = &["(expr: summable, predicate: bool) -> promoted"];
const EXTREME: &[&str] = &["(expr: orderable) -> $1"];
const EXTREME_IF: &[&str] = &["(expr: orderable, predicate: bool) -> $1"];
const MEAN: &[&str] = &[
    "(expr: real) -> real",
    "(expr: decimal) -> decimal",
    "(expr: timespan) -> timespan",
    "(expr: datetime) -> datetime",
];
const MEAN_IF: &[&str] = &[
    "(expr: real, predicate: bool) -> real",
    "(expr: decimal, predicate: bool) -> decimal",
    "(expr: timespan, predicate: bool) -> timespan",
    "(expr: datetime, predicate: bool) -> datetime",
];

/// The declarations.
pub const AGGREGATES: &[Aggregate] = &[
    Aggregate::new(
        "count",
        &["() -> long", "(predicate: bool) -> long", "(expr: scalar) -> long"],
        Prefix("count_"),
        count,
    )
    .doc("Counts rows.", &[("range x from 1 to 3 step 1 | summarize count()", "3")]),
    Aggregate::new("cnt", &["() -> long"], Prefix("cnt_"), count).doc("Counts rows.", &[]),
    Aggregate::new("countif", &["(predicate: bool) -> long"], Prefix("countif_"), count).doc(
        "Counts the rows for which a predicate holds.",
        &[("range x from 1 to 3 step 1 | summarize countif(x > 1)", "2")],
    ),
    Aggregate::new("dcount", &["(expr: scalar, [accuracy: integer]) -> long"], Prefix("dcount_"), distinct_count)
        .doc("Counts distinct values, exactly.", &[("datatable(a:string)['x','y','x'] | summarize dcount(a)", "2")]),
    Aggregate::new(
        "dcountif",
        &["(expr: scalar, predicate: bool, [accuracy: integer]) -> long"],
        Prefix("dcountif_"),
        distinct_count,
    )
    .doc("Counts distinct values of the rows for which a predicate holds.", &[]),
    Aggregate::new("count_distinct", &["(expr: scalar) -> long"], Prefix("count_distinct_"), distinct_count)
        .doc("Counts distinct values.", &[]),
    Aggregate::new(
        "count_distinctif",
        &["(expr: scalar, predicate: bool) -> long"],
        Prefix("count_distinctif_"),
        distinct_count,
    )
    .doc("Counts distinct values of the rows for which a predicate holds.", &[]),
    Aggregate::new("sum", SUM, Prefix("sum_"), sum).doc(
        "The sum; over no rows 0.",
        &[
            ("range x from 1 to 3 step 1 | summarize sum(x)", "6"),
            ("range x from 1 to 3 step 1 | where x > 9 | summarize sum(x)", "0"),
        ],
    ),
    Aggregate::new("sumif", SUM_IF, Prefix("sumif_"), sum).doc("The sum of the rows for which a predicate holds.", &[]),
    Aggregate::new("avg", MEAN, Prefix("avg_"), mean)
        .doc("The mean; over no rows NaN.", &[("range x from 1 to 4 step 1 | summarize avg(x)", "real(2.5)")]),
    Aggregate::new("avgif", MEAN_IF, Prefix("avgif_"), mean)
        .doc("The mean of the rows for which a predicate holds.", &[]),
    Aggregate::new("min", EXTREME, Prefix("min_"), least)
        .doc("The least value.", &[("range x from 1 to 4 step 1 | summarize min(x)", "1")]),
    Aggregate::new("minif", EXTREME_IF, Prefix("minif_"), least)
        .doc("The least value of the rows for which a predicate holds.", &[]),
    Aggregate::new("max", EXTREME, Prefix("max_"), greatest)
        .doc("The greatest value.", &[("range x from 1 to 4 step 1 | summarize max(x)", "4")]),
    Aggregate::new("maxif", EXTREME_IF, Prefix("maxif_"), greatest)
        .doc("The greatest value of the rows for which a predicate holds.", &[]),
    Aggregate::new("stdev", SPREAD, Prefix("stdev_"), |call| spread(call, native::stddev::stddev_udaf()))
        .doc("The standard deviation of a sample.", &[("range x from 1 to 3 step 1 | summarize stdev(x)", "real(1)")]),
    Aggregate::new("stdevif", SPREAD_IF, Prefix("stdevif_"), |call| spread(call, native::stddev::stddev_udaf()))
        .doc("The standard deviation of the rows for which a predicate holds.", &[]),
    Aggregate::new("stdevp", SPREAD, Prefix("stdevp_"), |call| spread(call, native::stddev::stddev_pop_udaf()))
        .doc("The standard deviation of a population.", &[]),
    Aggregate::new("variance", SPREAD, Prefix("variance_"), |call| spread(call, native::variance::var_samp_udaf()))
        .doc("The variance of a sample.", &[("range x from 1 to 3 step 1 | summarize variance(x)", "real(1)")]),
    Aggregate::new("varianceif", SPREAD_IF, Prefix("varianceif_"), |call| {
        spread(call, native::variance::var_samp_udaf())
    })
    .doc("The variance of the rows for which a predicate holds.", &[]),
    Aggregate::new("variancep", SPREAD, Prefix("variancep_"), |call| spread(call, native::variance::var_pop_udaf()))
        .doc("The variance of a population.", &[]),
    Aggregate::new("variancepif", SPREAD_IF, Prefix("variancepif_"), |call| {
        spread(call, native::variance::var_pop_udaf())
    })
    .doc("The variance of a population of the rows for which a predicate holds.", &[]),
    Aggregate::new("binary_all_and", &["(expr: summable) -> $1"], Arguments, |call| {
        bits(call, native::bit_and_or_xor::bit_and_udaf())
    })
    .doc("The bits all values have.", &[]),
    Aggregate::new("binary_all_or", &["(expr: summable) -> $1"], Arguments, |call| {
        bits(call, native::bit_and_or_xor::bit_or_udaf())
    })
    .doc("The bits any value has.", &[]),
    Aggregate::new("binary_all_xor", &["(expr: summable) -> $1"], Arguments, |call| {
        bits(call, native::bit_and_or_xor::bit_xor_udaf())
    })
    .doc("The bits an odd number of values have.", &[]),
];

const AS_IS: Finish = |parts, _| parts;

fn count(call: &AggregateCall<'_>) -> (Vec<Expr>, Finish) {
    (vec![aggregate(native::count::count_udaf(), vec![lit(1i64)], false, call.filter.clone())], AS_IS)
}

fn distinct_count(call: &AggregateCall<'_>) -> (Vec<Expr>, Finish) {
    (vec![aggregate(native::count::count_udaf(), vec![call.args[0].clone()], true, call.filter.clone())], AS_IS)
}

/// The argument as a number DataFusion adds up.
fn number(call: &AggregateCall<'_>) -> Expr {
    let arg = call.args[0].clone();
    match call.bound[0].column_type {
        ColumnType::Int | ColumnType::DateTime | ColumnType::TimeSpan => cast(arg, DataType::Int64),
        _ => arg,
    }
}

fn output_type(call: &AggregateCall<'_>) -> ColumnType {
    call.outputs.first().map_or(ColumnType::Real, |output| output.column_type)
}

fn sum(call: &AggregateCall<'_>) -> (Vec<Expr>, Finish) {
    let finish: Finish = |mut parts, call| {
        let target = output_type(call).computed();
        let total = parts.swap_remove(0);
        let zero = cast(
            cast(lit(0i64), if target == DataType::Float64 { DataType::Float64 } else { DataType::Int64 }),
            target.clone(),
        );
        vec![coalesce(vec![cast(total, target), zero])]
    };
    (vec![aggregate(native::sum::sum_udaf(), vec![number(call)], false, call.filter.clone())], finish)
}

fn mean(call: &AggregateCall<'_>) -> (Vec<Expr>, Finish) {
    let arg = match output_type(call) {
        ColumnType::Decimal => call.args[0].clone(),
        _ => cast(number(call), DataType::Float64),
    };
    let finish: Finish = |mut parts, call| {
        let mean = parts.swap_remove(0);
        vec![match output_type(call) {
            ColumnType::Real => coalesce(vec![mean, lit(f64::NAN)]),
            ColumnType::Decimal => cast(mean, ColumnType::Decimal.computed()),
            other => cast(cast(mean, DataType::Int64), other.computed()),
        }]
    };
    (vec![aggregate(native::average::avg_udaf(), vec![arg], false, call.filter.clone())], finish)
}

fn extreme(
    call: &AggregateCall<'_>,
    udaf: std::sync::Arc<datafusion::logical_expr::AggregateUDF>,
) -> (Vec<Expr>, Finish) {
    let finish: Finish = |mut parts, call| {
        let value = parts.swap_remove(0);
        vec![if output_type(call) == ColumnType::String { coalesce(vec![value, lit("")]) } else { value }]
    };
    (vec![aggregate(udaf, vec![call.args[0].clone()], false, call.filter.clone())], finish)
}

fn least(call: &AggregateCall<'_>) -> (Vec<Expr>, Finish) {
    extreme(call, native::min_max::min_udaf())
}

fn greatest(call: &AggregateCall<'_>) -> (Vec<Expr>, Finish) {
    extreme(call, native::min_max::max_udaf())
}

fn spread(
    call: &AggregateCall<'_>,
    udaf: std::sync::Arc<datafusion::logical_expr::AggregateUDF>,
) -> (Vec<Expr>, Finish) {
    let arg = cast(number(call), DataType::Float64);
    let finish: Finish = |mut parts, _| vec![coalesce(vec![parts.swap_remove(0), lit(0f64)])];
    (vec![aggregate(udaf, vec![arg], false, call.filter.clone())], finish)
}

fn bits(call: &AggregateCall<'_>, udaf: std::sync::Arc<datafusion::logical_expr::AggregateUDF>) -> (Vec<Expr>, Finish) {
    let finish: Finish = |mut parts, call| vec![cast(parts.swap_remove(0), output_type(call).computed())];
    let arg = cast(number(call), DataType::Int64);
    let total = aggregate(udaf, vec![arg], false, call.filter.clone());
    (vec![total], finish)
}
