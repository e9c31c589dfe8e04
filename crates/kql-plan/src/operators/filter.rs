//! `where`. Also what a scan can use of it: see [`simple_conjuncts`].

use std::sync::Arc;

use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use moneta_event::ColumnType;
use moneta_kql::syntax::{BinaryOperator, ListOperator, WhereOperator};

use super::TabularOperator;
use crate::binder::{Binder, Row};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::error::Result;
use crate::functions::terms::TextOperator;
use crate::lower::{LowerContext, column, is_comparison};
use crate::steps;
use crate::value::Value;

/// Keeps the rows for which a predicate is true.
#[derive(Debug)]
pub struct Filter {
    /// The rows.
    pub input: Relation,
    /// The predicate; null counts as false.
    pub predicate: ScalarExpr,
}

impl TabularOperator for Filter {
    fn name(&self) -> &'static str {
        "where"
    }

    fn details(&self) -> String {
        self.predicate.to_string()
    }

    fn inputs(&self) -> Vec<&Relation> {
        vec![&self.input]
    }

    fn lower(&self, _: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let needed = ctx.needed_with([&self.predicate]);
        let plan = ctx.input(&self.input, needed.as_ref())?;
        let (mut plan, predicate) = ctx.windowed(plan, [&self.predicate])?;
        let mut joins = Vec::new();
        for conjunct in predicate.iter().flat_map(conjuncts) {
            match &conjunct.node {
                ScalarNode::InTable { operator, operand, relation } if joinable(*operator, operand, relation) => {
                    joins.push((*operator, operand, relation));
                }
                _ => plan = steps::filter(plan, ctx.predicate(conjunct)?)?,
            }
        }
        // Plain tests run first: they are cheaper than the joins.
        for (operator, operand, relation) in joins {
            plan = self.membership(plan, operator, operand, relation, ctx)?;
        }
        Ok(plan)
    }

    fn as_filter(&self) -> Option<(&Relation, &ScalarExpr)> {
        Some((&self.input, &self.predicate))
    }
}

impl Filter {
    /// `x in (query)` as a semi join.
    fn membership(
        &self,
        plan: LogicalPlan,
        operator: ListOperator,
        operand: &ScalarExpr,
        relation: &Relation,
        ctx: &LowerContext<'_>,
    ) -> Result<LogicalPlan> {
        let caseless = matches!(operator, ListOperator::InCaseless | ListOperator::NotInCaseless);
        let negated = matches!(operator, ListOperator::NotIn | ListOperator::NotInCaseless);
        let key = |expression: ScalarExpr| {
            let lowered = ctx.scalar(&expression)?;
            Ok::<_, crate::error::Error>(if caseless {
                datafusion::functions::string::expr_fn::lower(lowered)
            } else {
                lowered
            })
        };
        let first = &relation.columns[0];
        let read = std::iter::once(Arc::clone(&first.name)).collect();
        let right = key(ScalarExpr::column(first).converted(operand.column_type))?.alias("__right");
        let right = steps::project(ctx.relation_needing(relation, &read)?, [right])?;
        let right = LogicalPlanBuilder::from(right).distinct()?.build()?;
        let needed = ctx.needed_with([&self.predicate]);
        let kept = LowerContext { needed: needed.as_ref(), ..*ctx }.kept(&self.input.columns);
        let own = self.input.columns.iter().zip(kept).filter(|(_, kept)| *kept);
        let own: Vec<_> = own.map(|(c, _)| column(&c.name)).collect();
        let with_key = own.iter().cloned().chain([key(operand.clone())?.alias("__left")]);
        let joined = LogicalPlanBuilder::from(steps::project(plan, with_key)?).join_detailed(
            right,
            if negated { JoinType::LeftAnti } else { JoinType::LeftSemi },
            (vec!["__left"], vec!["__right"]),
            None,
            NullEquality::NullEqualsNothing,
        )?;
        steps::project(joined.build()?, own)
    }
}

fn joinable(operator: ListOperator, operand: &ScalarExpr, relation: &Relation) -> bool {
    let first = relation.columns.first().map(|c| c.column_type);
    !matches!(operator, ListOperator::HasAny | ListOperator::HasAll)
        && operand.column_type != ColumnType::Dynamic
        && first.is_some_and(|t| t != ColumnType::Dynamic)
}

/// The predicates that must all hold.
#[must_use]
pub fn conjuncts(predicate: &ScalarExpr) -> Vec<&ScalarExpr> {
    match &predicate.node {
        ScalarNode::And(all) => all.iter().flat_map(conjuncts).collect(),
        _ => vec![predicate],
    }
}

/// A test of one column against one constant, as a scan can use it.
#[derive(Debug, Clone, PartialEq)]
pub struct SimpleConjunct {
    /// The column.
    pub column: String,
    /// The operator: a comparison or a text operator.
    pub operator: BinaryOperator,
    /// The constant.
    pub value: Value,
}

/// The simple tests that every row of the result must pass: `column operator constant`, also turned round, and both
/// ends of `between`.
#[must_use]
pub fn simple_conjuncts(predicate: &ScalarExpr) -> Vec<SimpleConjunct> {
    conjuncts(predicate).into_iter().filter_map(simple).collect()
}

fn simple(conjunct: &ScalarExpr) -> Option<SimpleConjunct> {
    let ScalarNode::Binary { operator, left, right } = &conjunct.node else { return None };
    let of = |side: &ScalarExpr, constant: &ScalarExpr, operator| {
        let inner = if let ScalarNode::Convert(inner) = &side.node { inner } else { side };
        Some(SimpleConjunct { column: inner.as_column()?.to_string(), operator, value: constant.as_literal()?.clone() })
    };
    if is_comparison(*operator) {
        return of(left, right, *operator).or_else(|| of(right, left, turned(*operator)));
    }
    TextOperator::of(*operator).and_then(|_| of(left, right, *operator))
}

/// The comparison with its sides exchanged.
fn turned(operator: BinaryOperator) -> BinaryOperator {
    match operator {
        BinaryOperator::Less => BinaryOperator::Greater,
        BinaryOperator::LessOrEqual => BinaryOperator::GreaterOrEqual,
        BinaryOperator::Greater => BinaryOperator::Less,
        BinaryOperator::GreaterOrEqual => BinaryOperator::LessOrEqual,
        other => other,
    }
}

impl Binder<'_> {
    /// `where predicate`.
    pub(crate) fn bind_where(&mut self, input: Relation, node: &WhereOperator) -> Option<Relation> {
        let predicate = self.predicate(&node.predicate, &mut Row::of(&input))?;
        Some(Filter::relation(input, predicate))
    }
}

impl Filter {
    /// The rows of `input` for which `predicate` holds.
    #[must_use]
    pub fn relation(input: Relation, predicate: ScalarExpr) -> Relation {
        let (columns, order) = (Arc::clone(&input.columns), Arc::clone(&input.order));
        Relation::sharing(&columns, Filter { input, predicate }).ordered(order)
    }
}
