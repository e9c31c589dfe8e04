//! `sort`, `top`, `take`.

use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, lit};
use moneta_event::ColumnType;
use moneta_kql::syntax::{
    Expression, NullsOrder, SortDirection, SortKey as SortKeySyntax, SortOperator, TakeOperator, TopOperator,
};

use super::TabularOperator;
use crate::binder::{Binder, Row, codes};
use crate::bound::{Relation, SortKey};
use crate::error::Result;
use crate::lower::{LowerContext, column, with_windows};
use crate::steps;

/// Orders the rows, perhaps keeping only the first.
#[derive(Debug)]
pub struct Sort {
    /// The rows.
    pub input: Relation,
    /// The keys; empty for `take` without an order.
    pub keys: Vec<SortKey>,
    /// How many rows are kept.
    pub limit: Option<usize>,
}

impl TabularOperator for Sort {
    fn name(&self) -> &'static str {
        match (self.keys.is_empty(), self.limit) {
            (false, None) => "sort",
            (false, Some(_)) => "top",
            (true, _) => "take",
        }
    }

    fn details(&self) -> String {
        let limit = self.limit.map(|limit| limit.to_string()).unwrap_or_default();
        let keys: Vec<String> = self.keys.iter().map(describe_key).collect();
        [limit, keys.join(", ")].iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" by ")
    }

    fn inputs(&self) -> Vec<&Relation> {
        vec![&self.input]
    }

    fn lower(&self, _: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let partition = super::apply::partition(&self.input.columns);
        if let (Some(limit), false) = (self.limit, partition.is_empty()) {
            return self.lower_partitioned(limit, &partition, ctx);
        }
        let plan = if self.keys.is_empty() {
            ctx.ordered(&self.input)?
        } else {
            let needed = ctx.needed_with(self.keys.iter().map(|key| &key.expression));
            let plan = ctx.input(&self.input, needed.as_ref())?;
            steps::sort(plan, ctx.sort_keys(&self.keys)?, self.limit)?
        };
        match self.limit {
            Some(limit) => Ok(LogicalPlanBuilder::from(plan).limit(0, Some(limit))?.build()?),
            None => Ok(plan),
        }
    }

    fn keeps_own_order(&self) -> bool {
        true
    }
}

impl Sort {
    /// The first rows of each partition.
    fn lower_partitioned(
        &self,
        limit: usize,
        partition: &[std::sync::Arc<str>],
        ctx: &LowerContext<'_>,
    ) -> Result<LogicalPlan> {
        let order = if self.keys.is_empty() { &*self.input.order } else { &self.keys };
        let partition_by = partition.iter().map(|name| column(name)).collect();
        let number = crate::aggregates::collect::row_number(ctx.sort_keys(order)?, partition_by);
        let plan = with_windows(ctx.relation(&self.input)?, vec![(number, "__rank")])?;
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let kept = self.input.columns.iter().map(|c| column(&c.name));
        steps::project(steps::filter(plan, column("__rank").lt_eq(lit(limit)))?, kept)
    }
}

fn describe_key(key: &SortKey) -> String {
    let direction = if key.descending { "desc" } else { "asc" };
    let nulls = if key.nulls_first { "nulls first" } else { "nulls last" };
    format!("{} {direction} {nulls}", key.expression)
}

impl Binder<'_> {
    /// The keys of a sort; the default is descending with nulls last, ascending has nulls first.
    pub(crate) fn sort_keys(&mut self, input: &Relation, keys: &[SortKeySyntax]) -> Option<Vec<SortKey>> {
        let mut bound = Vec::with_capacity(keys.len());
        for key in keys {
            let expression = self.scalar(&key.expression.expression, &mut Row::of(input))?;
            let descending = key.direction != Some(SortDirection::Ascending);
            let nulls_first = match key.nulls {
                Some(NullsOrder::First) => true,
                Some(NullsOrder::Last) => false,
                None => !descending,
            };
            bound.push(SortKey { expression, descending, nulls_first });
        }
        Some(bound)
    }

    /// `sort by a asc, b`.
    pub(crate) fn bind_sort(&mut self, input: Relation, node: &SortOperator) -> Option<Relation> {
        let keys = self.sort_keys(&input, &node.keys)?;
        Some(Sort::relation(input, keys, None))
    }

    /// `top 10 by a`.
    pub(crate) fn bind_top(&mut self, input: Relation, node: &TopOperator) -> Option<Relation> {
        let limit = self.row_count(&node.count)?;
        let keys = self.sort_keys(&input, &node.by)?;
        Some(Sort::relation(input, keys, Some(limit)))
    }

    /// `take 10`.
    pub(crate) fn bind_take(&mut self, input: Relation, node: &TakeOperator) -> Option<Relation> {
        let limit = self.row_count(&node.count)?;
        let order = input.order.clone();
        let columns = input.columns.to_vec();
        Some(Relation::new(columns, Sort { input, keys: Vec::new(), limit: Some(limit) }).ordered(order))
    }

    /// A constant number of rows.
    pub(crate) fn row_count(&mut self, expression: &Expression) -> Option<usize> {
        let bound = self.scalar(expression, &mut Row::none())?.converted(ColumnType::Long);
        match bound.as_literal().and_then(crate::value::Value::as_long).map(|n| usize::try_from(n.max(0))) {
            Some(Ok(count)) => Some(count),
            _ => self.fail(codes::CONSTANT_EXPECTED, expression.span(), "the number of rows must be a constant"),
        }
    }
}

impl Sort {
    /// The rows of `input` in an order.
    #[must_use]
    pub fn relation(input: Relation, keys: Vec<SortKey>, limit: Option<usize>) -> Relation {
        let columns = input.columns.to_vec();
        let order = keys.clone().into();
        Relation::new(columns, Sort { input, keys, limit }).ordered(order)
    }
}
