//! Aggregates whose state is a summary that can be written as text: `hll`, `tdigest`, `buildschema`, and percentiles
//! of weighted values.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::covariance::{covar_pop_udaf, covar_samp_udaf};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility, cast, lit};
use datafusion::scalar::ScalarValue;
use moneta_event::ColumnType;

use super::AggregateNaming::{Arguments, Prefix, WeightedPercentiles};
use super::collect::{ranked_element, ranks};
use super::schema::Schema;
use super::{Aggregate, AggregateCall, Finish, aggregate};
use crate::bound::ScalarExpr;
use crate::functions::conversion::cell_json;
use crate::functions::hashing::value_hash;
use crate::functions::row::{Cell, Reader, plain};
use crate::functions::sketches::measure;
use crate::json;
use crate::sketch::hll::Hll;
use crate::sketch::tdigest::TDigest;
use crate::value::Value;

const COVARIANCE: &[&str] = &["(expr: summable, other: summable) -> real"];
const COVARIANCE_IF: &[&str] = &["(expr: summable, other: summable, predicate: bool) -> real"];

/// The declarations.
pub const AGGREGATES: &[Aggregate] = &[
    Aggregate::new("covariance", COVARIANCE, Prefix("covariance_"), |call| covariance(call, covar_samp_udaf())).doc(
        "The covariance of a sample.",
        &[("datatable(x:real, y:real)[1,14, 2,10, 3,17, 4,20, 5,50] | summarize covariance(x, y)", "real(20.5)")],
    ),
    Aggregate::new("covarianceif", COVARIANCE_IF, Prefix("covarianceif_"), |call| covariance(call, covar_samp_udaf()))
        .doc("The covariance of the rows for which a predicate holds.", &[]),
    Aggregate::new("covariancep", COVARIANCE, Prefix("covariancep_"), |call| covariance(call, covar_pop_udaf())).doc(
        "The covariance of a population.",
        &[("datatable(x:real, y:real)[1,14, 2,10, 3,17, 4,20, 5,50] | summarize covariancep(x, y)", "real(16.4)")],
    ),
    Aggregate::new("covariancepif", COVARIANCE_IF, Prefix("covariancepif_"), |call| covariance(call, covar_pop_udaf()))
        .doc("The covariance of a population of the rows for which a predicate holds.", &[]),
    Aggregate::new("hll", &["(expr: scalar, [accuracy: integer]) -> dynamic"], Prefix("hll_"), hll).doc(
        "A sketch of the distinct values, for `dcount_hll` and `hll_merge`.",
        &[("range x from 1 to 50 step 1 | summarize h = hll(x) | project dcount_hll(h)", "50")],
    ),
    Aggregate::new(
        "hll_if",
        &["(expr: scalar, predicate: bool, [accuracy: integer]) -> dynamic"],
        Prefix("hll_if_"),
        hll,
    )
    .doc("A sketch of the distinct values of the rows for which a predicate holds.", &[]),
    Aggregate::new("hll_merge", &["(hll: dynamic) -> dynamic"], Prefix("hll_merge_"), |call| one(call, Kind::HllMerge))
        .doc("One sketch of many.", &[]),
    Aggregate::new("tdigest", &["(expr: summable, [weight: integer]) -> dynamic"], Prefix("tdigest_"), |call| {
        one(call, Kind::TDigest)
    })
    .doc(
        "A digest of numbers, for `percentile_tdigest`.",
        &[(
            "range x from 1 to 100 step 1 | summarize t = tdigest(x) | project percentile_tdigest(t, 95)",
            "dynamic(95)",
        )],
    ),
    Aggregate::new("tdigest_merge", &["(tdigest: dynamic) -> dynamic"], Prefix("merge_tdigests_"), |call| {
        one(call, Kind::TDigestMerge)
    })
    .aliases(&["merge_tdigest"])
    .doc("One digest of many.", &[]),
    Aggregate::new("buildschema", &["(expr: dynamic) -> dynamic"], Prefix("schema_"), |call| one(call, Kind::Schema))
        .doc(
            "The shape of all values.",
            &[(
                "datatable(v:dynamic)[dynamic({'x':1}), dynamic({'x':'a'})] | summarize buildschema(v)",
                "dynamic({\"x\":[\"long\",\"string\"]})",
            )],
        ),
    Aggregate::new("passthrough", &["(expr: scalar) -> $1"], Arguments, |call| {
        (vec![aggregate(first_value_udaf(), vec![call.args[0].clone()], false, call.filter.clone())], |parts, _| parts)
    })
    .doc("The value, of whichever row.", &[("print a = 1 | summarize passthrough(a)", "1")]),
    Aggregate::new(
        "percentilew",
        &["(expr: scalar, weight: integer, percentile: number) -> $1"],
        WeightedPercentiles,
        weighted_columns,
    )
    .doc(
        "The nearest-rank percentile of values that stand for many.",
        &[("datatable(n:long, v:long)[8,10, 6,20, 3,30, 1,40] | summarize percentilew(v, n, 75)", "20")],
    ),
    Aggregate::new(
        "percentilesw",
        &["(expr: scalar, weight: integer, percentile: number...) -> $1"],
        WeightedPercentiles,
        weighted_columns,
    )
    .doc("Several nearest-rank percentiles of values that stand for many.", &[]),
    Aggregate::new(
        "percentilesw_array",
        &["(expr: scalar, weight: integer, percentile: scalar...) -> dynamic"],
        Prefix("percentiles_"),
        |call| {
            let list = Summary::call(Kind::Weighted(ranks(&call.bound[1..])), call, 2);
            (vec![list], |parts, _| parts)
        },
    )
    .doc(
        "Several nearest-rank percentiles of values that stand for many, as an array.",
        &[(
            "datatable(n:long, v:long)[8,10, 6,20, 3,30, 1,40] | summarize percentilesw_array(v, n, 50, 99.9)",
            "dynamic([20,40])",
        )],
    ),
];

fn covariance(call: &AggregateCall<'_>, udaf: Arc<AggregateUDF>) -> (Vec<Expr>, Finish) {
    let number = |position: usize| {
        let arg: Expr = call.args[position].clone();
        match call.bound[position].column_type {
            ColumnType::DateTime | ColumnType::TimeSpan => cast(cast(arg, DataType::Int64), DataType::Float64),
            _ => cast(arg, DataType::Float64),
        }
    };
    let finish: Finish = |mut parts, _| vec![coalesce(vec![parts.swap_remove(0), lit(0f64)])];
    (vec![aggregate(udaf, vec![number(0), number(1)], false, call.filter.clone())], finish)
}

fn hll(call: &AggregateCall<'_>) -> (Vec<Expr>, Finish) {
    let accuracy = call.bound.get(1).and_then(ScalarExpr::as_literal).and_then(Value::as_long).unwrap_or(1);
    (vec![Summary::call(Kind::Hll(accuracy), call, 1)], |parts, _| parts)
}

fn one(call: &AggregateCall<'_>, kind: Kind) -> (Vec<Expr>, Finish) {
    (vec![Summary::call(kind, call, 2)], |parts, _| parts)
}

fn weighted_columns(call: &AggregateCall<'_>) -> (Vec<Expr>, Finish) {
    let list = Summary::call(Kind::Weighted(ranks(&call.bound[1..])), call, 2);
    let finish: Finish = |mut parts, call| {
        let list = parts.swap_remove(0);
        let target = call.bound[0].column_type;
        (0..call.outputs.len()).map(|index| ranked_element(&list, index, target)).collect()
    };
    (vec![list], finish)
}

/// What is summed up.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// Distinct values, with an accuracy.
    Hll(i64),
    /// Sketches of distinct values.
    HllMerge,
    /// Numbers, perhaps with a weight.
    TDigest,
    /// Digests.
    TDigestMerge,
    /// Shapes.
    Schema,
    /// Percentiles of values with a weight.
    Weighted(Vec<f64>),
}

/// A summarizing aggregate: `name(value[, weight])`.
#[derive(Debug)]
struct Summary {
    kind: Kind,
    value_type: ColumnType,
    signature: Signature,
}

impl Summary {
    /// The expression of a call over the first `args` arguments.
    fn call(kind: Kind, call: &AggregateCall<'_>, args: usize) -> Expr {
        let value_type = call.bound[0].column_type;
        let args = call.args.iter().take(args).cloned().collect();
        let summary = Self { kind, value_type, signature: Signature::variadic_any(Volatility::Immutable) };
        aggregate(Arc::new(AggregateUDF::new_from_impl(summary)), args, false, call.filter.clone())
    }
}

impl PartialEq for Summary {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.value_type == other.value_type
    }
}

impl Eq for Summary {}

impl Hash for Summary {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // DataFusion takes calls of one name and one hash for the same, so the hash covers all there is.
        self.name().hash(state);
        self.value_type.hash(state);
        match &self.kind {
            Kind::Hll(accuracy) => accuracy.hash(state),
            Kind::Weighted(ranks) => ranks.iter().for_each(|rank| rank.to_bits().hash(state)),
            Kind::HllMerge | Kind::TDigest | Kind::TDigestMerge | Kind::Schema => {}
        }
    }
}

impl AggregateUDFImpl for Summary {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Hll(_) => "kql_hll",
            Kind::HllMerge => "kql_hll_merge",
            Kind::TDigest => "kql_tdigest",
            Kind::TDigestMerge => "kql_tdigest_merge",
            Kind::Schema => "kql_buildschema",
            Kind::Weighted(_) => "kql_weighted_percentiles",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Summing {
            value_type: self.value_type,
            state: match &self.kind {
                Kind::Hll(accuracy) => State::Hll(Hll::new(*accuracy)),
                Kind::HllMerge => State::HllMerge(None),
                Kind::TDigest | Kind::TDigestMerge => State::TDigest(TDigest::default()),
                Kind::Schema => State::Schema(Schema::default()),
                Kind::Weighted(ranks) => State::Weighted(ranks.clone(), Vec::new()),
            },
            digests: self.kind == Kind::TDigestMerge,
            empty: true,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[summary]", args.name), DataType::Utf8, true))])
    }
}

/// The summary of one group.
#[derive(Debug)]
enum State {
    Hll(Hll),
    HllMerge(Option<Hll>),
    TDigest(TDigest),
    Schema(Schema),
    /// The percentiles wanted; values as JSON with their weights.
    Weighted(Vec<f64>, Vec<(String, f64)>),
}

#[derive(Debug)]
struct Summing {
    value_type: ColumnType,
    state: State,
    /// Whether the values are digests themselves.
    digests: bool,
    /// Whether no value has come yet: a summary of nothing is null.
    empty: bool,
}

impl Summing {
    fn push(&mut self, cell: Cell<'_>, weight: f64) {
        self.empty = false;
        match &mut self.state {
            State::Hll(hll) => hll.insert(value_hash(cell, self.value_type, 0)),
            State::HllMerge(_) => self.absorb(cell.text()),
            State::TDigest(digest) if self.digests => {
                if let Some(other) = TDigest::parse(cell.text()) {
                    digest.merge(&other);
                }
            }
            State::TDigest(digest) => {
                if let Some(value) = measure(cell, self.value_type) {
                    digest.insert(value, weight);
                }
            }
            State::Schema(schema) => schema.add(&json::parse(cell.text())),
            State::Weighted(_, items) => {
                let text = match self.value_type {
                    // Times are ranked by their number, not by their text.
                    ColumnType::DateTime | ColumnType::TimeSpan => cell.long().map(|n| n.to_string()),
                    other => cell_json(cell, other),
                };
                items.extend(text.filter(|_| weight > 0.0).map(|text| (text, weight)));
            }
        }
    }

    /// Adds the summary of another part of the group.
    fn absorb(&mut self, text: &str) {
        self.empty = false;
        match &mut self.state {
            State::Hll(hll) => {
                if let Some(other) = Hll::parse(text) {
                    hll.merge(&other);
                }
            }
            State::HllMerge(merged) => match (merged.as_mut(), Hll::parse(text)) {
                (Some(merged), Some(other)) => merged.merge(&other),
                (None, other) => *merged = other,
                (Some(_), None) => {}
            },
            State::TDigest(digest) => {
                if let Some(other) = TDigest::parse(text) {
                    digest.merge(&other);
                }
            }
            State::Schema(schema) => schema.merge(&Schema::from_state(&json::parse(text))),
            State::Weighted(_, items) => {
                for pair in json::elements(text).unwrap_or_default().chunks_exact(2) {
                    items.push((pair[0].to_owned(), pair[1].parse().unwrap_or(0.0)));
                }
            }
        }
    }
}

/// The values at percentiles: the first up to which at least that share of the weight lies.
fn weighted(ranks: &[f64], items: &[(String, f64)]) -> String {
    let mut values: Vec<(serde_json::Value, f64)> =
        items.iter().map(|(text, weight)| (json::parse(text), *weight)).collect();
    values.sort_by(|a, b| crate::functions::dynamic::compare_values(&a.0, &b.0));
    let total: f64 = values.iter().map(|(_, weight)| weight).sum();
    let pick = |rank: &f64| {
        let wanted = (total * rank / 100.0).ceil().max(1.0);
        let mut seen = 0.0;
        let found = values.iter().find(|(_, weight)| {
            seen += weight;
            seen >= wanted
        });
        found.or(values.last()).map_or(serde_json::Value::Null, |(value, _)| value.clone())
    };
    serde_json::Value::Array(ranks.iter().map(pick).collect()).to_string()
}

impl Accumulator for Summing {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let array = plain(&values[0])?;
        let reader = Reader::of(&array);
        let weights = values.get(1).map(plain).transpose()?;
        let weights = weights.as_ref().map(Reader::of);
        for index in 0..array.len() {
            let cell = reader.get(index);
            let weight = weights.as_ref().map_or(Some(1.0), |weights| weights.get(index).real());
            if let (false, Some(weight)) = (cell.is_null(), weight) {
                self.push(cell, weight);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Utf8(match &mut self.state {
            State::Hll(_) | State::TDigest(_) | State::Schema(_) if self.empty => None,
            State::Hll(hll) => Some(hll.text()),
            State::HllMerge(merged) => merged.as_ref().map(Hll::text),
            State::TDigest(digest) => Some(digest.text()),
            State::Schema(schema) => Some(schema.json().to_string()),
            State::Weighted(ranks, items) => Some(weighted(ranks, items)),
        }))
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + match &self.state {
                State::Hll(hll) => hll.size_bytes(),
                State::HllMerge(merged) => merged.as_ref().map_or(0, Hll::size_bytes),
                State::TDigest(digest) => digest.size_bytes(),
                State::Schema(schema) => schema.size_bytes(),
                State::Weighted(_, items) => items.iter().map(|(text, _)| text.len() + 40).sum(),
            }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Utf8(match &mut self.state {
            State::Schema(_) if self.empty => None,
            State::Schema(schema) => Some(schema.state().to_string()),
            State::Weighted(_, items) => {
                let parts: Vec<String> = items.iter().map(|(text, weight)| format!("{text},{weight}")).collect();
                Some(format!("[{}]", parts.join(",")))
            }
            _ => return Ok(vec![self.evaluate()?]),
        })])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_string::<i32>().iter().flatten().for_each(|state| self.absorb(state));
        Ok(())
    }
}
