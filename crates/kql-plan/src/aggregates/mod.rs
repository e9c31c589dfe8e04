//! The aggregation functions: each declared once, like the scalar functions.
//!
//! Aggregates skip nulls. Over no rows: `sum` and counts 0, `avg` NaN, `stdev` and `variance` 0, lists empty, else null.

pub mod collect;
pub mod naming;
pub mod numeric;
mod pick;
pub mod rows;
pub mod schema;
pub mod sketches;

use std::sync::{Arc, OnceLock};

use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{AggregateUDF, Expr};
use moneta_event::Column;

use crate::bound::ScalarExpr;
use crate::registry::Declaration;

/// How an aggregate names its columns when the query does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateNaming {
    /// A prefix and the first argument's name.
    Prefix(&'static str),
    /// The arguments' own names.
    Arguments,
    /// The first argument with a prefix, the others' own names.
    FirstPrefixed(&'static str),
    /// All arguments with a prefix.
    EachPrefixed(&'static str),
    /// `percentile_<name>_<p>` for each percentile.
    Percentiles,
    /// The same, the second argument being a weight.
    WeightedPercentiles,
}

/// What lowering an aggregate may use.
#[derive(Debug)]
pub struct AggregateCall<'a> {
    /// The lowered arguments.
    pub args: Vec<Expr>,
    /// The bound arguments.
    pub bound: &'a [ScalarExpr],
    /// The rows that count.
    pub filter: Option<Expr>,
    /// The columns to fill.
    pub outputs: &'a [Column],
    /// The number of the row in the input's order, if it has one.
    pub order: Option<Expr>,
}

/// Turns the computed parts into the output columns.
pub type Finish = fn(Vec<Expr>, &AggregateCall<'_>) -> Vec<Expr>;

/// The declaration of an aggregation function.
#[derive(Debug, Clone, Copy)]
pub struct Aggregate {
    /// The name.
    pub name: &'static str,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    /// The signatures. A parameter called `predicate` says which rows count.
    pub signatures: &'static [&'static str],
    /// The names of its columns.
    pub naming: AggregateNaming,
    /// Whether the order of the rows matters.
    pub ordered: bool,
    /// One sentence for the manual.
    pub doc: &'static str,
    /// Whole queries with the value of their first cell.
    pub examples: &'static [(&'static str, &'static str)],
    /// The implementation: the plan's aggregates, and what makes the columns of them.
    pub lower: fn(&AggregateCall<'_>) -> (Vec<Expr>, Finish),
}

impl Aggregate {
    /// An aggregate named `<prefix><argument>`.
    #[must_use]
    pub const fn new(
        name: &'static str,
        signatures: &'static [&'static str],
        naming: AggregateNaming,
        lower: fn(&AggregateCall<'_>) -> (Vec<Expr>, Finish),
    ) -> Self {
        Self { name, aliases: &[], signatures, naming, ordered: false, doc: "", examples: &[], lower }
    }

    /// With other spellings.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// With regard to the order of the rows.
    #[must_use]
    pub const fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }

    /// With its manual entry.
    #[must_use]
    pub const fn doc(mut self, doc: &'static str, examples: &'static [(&'static str, &'static str)]) -> Self {
        self.doc = doc;
        self.examples = examples;
        self
    }
}

impl Declaration for Aggregate {
    fn name(&self) -> &'static str {
        self.name
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    fn signatures(&self) -> &'static [&'static str] {
        self.signatures
    }
}

/// All aggregation functions by name.
pub type Registry = crate::registry::Registry<Aggregate>;

/// The registry of aggregation functions.
///
/// # Panics
/// When a declaration is malformed, which a test excludes.
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        Registry::new(&[numeric::AGGREGATES, collect::AGGREGATES, rows::AGGREGATES, sketches::AGGREGATES])
    })
}

/// A call of a DataFusion aggregate.
#[must_use]
pub fn aggregate(udaf: Arc<AggregateUDF>, args: Vec<Expr>, distinct: bool, filter: Option<Expr>) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(udaf, args, distinct, filter.map(Box::new), Vec::new(), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declaration_is_documented_and_well_formed() {
        for function in registry().iter() {
            assert!(!function.doc.is_empty(), "{} has no documentation", function.name);
        }
    }
}
