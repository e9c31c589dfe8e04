//! `sample` and `sample-distinct`: some rows, drawn at random, or some values.

use datafusion::functions::math::expr_fn::random;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use moneta_event::Column;
use moneta_kql::syntax::{SampleDistinctOperator, SampleOperator};

use super::TabularOperator;
use super::apply::partition;
use super::sort::Sort;
use crate::aggregates::collect::row_number;
use crate::binder::{Binder, Row};
use crate::bound::{Relation, ScalarExpr};
use crate::error::Result;
use crate::lower::{LowerContext, column, with_windows};
use crate::steps;

/// Draws rows: each has the same chance.
#[derive(Debug)]
pub struct Sample {
    /// The rows.
    pub input: Relation,
    /// How many are drawn, in each partition of a surrounding `mv-apply` or `partition`.
    pub count: usize,
}

impl TabularOperator for Sample {
    fn name(&self) -> &'static str {
        "sample"
    }

    fn details(&self) -> String {
        self.count.to_string()
    }

    fn inputs(&self) -> Vec<&Relation> {
        vec![&self.input]
    }

    fn lower(&self, _: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let kept: Vec<_> = self.input.columns.iter().map(|c| column(&c.name)).collect();
        let drawn = kept.iter().cloned().chain([random().alias("__random")]);
        let plan = steps::project(ctx.relation(&self.input)?, drawn)?;
        let by_chance = || column("__random").sort(true, false);
        let hidden = partition(&self.input.columns);
        let drawn = if hidden.is_empty() {
            let sorted = steps::sort(plan, vec![by_chance()], Some(self.count))?;
            LogicalPlanBuilder::from(sorted).limit(0, Some(self.count))?.build()?
        } else {
            let number = row_number(vec![by_chance()], hidden.iter().map(|name| column(name)).collect());
            let limit = u64::try_from(self.count).unwrap_or(u64::MAX);
            let ranked = with_windows(plan, vec![(number, "__rank")])?;
            steps::filter(ranked, column("__rank").lt_eq(datafusion::logical_expr::lit(limit)))?
        };
        steps::project(drawn, kept)
    }
}

impl Binder<'_> {
    /// `sample 10`.
    pub(crate) fn bind_sample(&mut self, input: Relation, node: &SampleOperator) -> Option<Relation> {
        let count = self.row_count(&node.count)?;
        Some(Relation::new(input.columns.to_vec(), Sample { input, count }))
    }

    /// `sample-distinct 10 of column`.
    pub(crate) fn bind_sample_distinct(&mut self, input: Relation, node: &SampleDistinctOperator) -> Option<Relation> {
        let limit = self.row_count(&node.count)?;
        let (name, bound, _) = self.named_scalars(&node.of, &mut Row::of(&input))?.into_iter().next()?;
        let name = name.unwrap_or_else(|| "Column1".to_owned());
        let mut keys = vec![(Column::new(&name, bound.column_type), bound)];
        let hidden = input.columns.iter().filter(|c| super::apply::is_hidden(&c.name));
        keys.extend(hidden.map(|c| (c.clone(), ScalarExpr::column(c))));
        let columns: Vec<Column> = keys.iter().map(|(c, _)| c.clone()).collect();
        let distinct = super::summarize::Summarize { input, keys, aggregates: Vec::new() };
        let distinct = Relation::new(columns.clone(), distinct);
        Some(Relation::new(columns, Sort { input: distinct, keys: Vec::new(), limit: Some(limit) }))
    }
}
