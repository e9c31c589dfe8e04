//! The steps plans are made of: projection, filter, aggregation, sort. DataFusion's own builder looks each column up
//! by walking the whole plan below it, subqueries included, which for a query of many steps over wide tables takes
//! minutes; these look it up in the columns of the step below. They never change what a step means.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Aggregate, Expr, Filter, LogicalPlan, Projection, Sort, SortExpr};

use crate::error::Result;

/// The rows with exactly these columns.
///
/// # Errors
/// When a column is unknown, or two outputs have one name.
pub fn project(plan: LogicalPlan, outputs: impl IntoIterator<Item = Expr>) -> Result<LogicalPlan> {
    let outputs = resolved(outputs, plan.schema())?;
    Ok(LogicalPlan::Projection(Projection::try_new(outputs, Arc::new(plan))?))
}

/// The rows that meet a condition.
///
/// # Errors
/// When a column is unknown, or the condition is none.
pub fn filter(plan: LogicalPlan, condition: Expr) -> Result<LogicalPlan> {
    let condition = resolved([condition], plan.schema())?.swap_remove(0);
    Ok(LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?))
}

/// One row per distinct set of keys, or one row where there are none: the keys, then the aggregates.
///
/// # Errors
/// When a column is unknown.
pub fn aggregate(
    plan: LogicalPlan,
    keys: impl IntoIterator<Item = Expr>,
    aggregates: impl IntoIterator<Item = Expr>,
) -> Result<LogicalPlan> {
    let keys = resolved(keys, plan.schema())?;
    let aggregates = resolved(aggregates, plan.schema())?;
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(plan), keys, aggregates)?))
}

/// The rows in the order of the keys; with a limit, at least the first that many.
///
/// # Errors
/// When a column is unknown.
pub fn sort(plan: LogicalPlan, keys: Vec<SortExpr>, limit: Option<usize>) -> Result<LogicalPlan> {
    let resolved = resolved(keys.iter().map(|key| key.expr.clone()), plan.schema())?;
    let expr = keys.into_iter().zip(resolved).map(|(key, expr)| SortExpr { expr, ..key }).collect();
    Ok(LogicalPlan::Sort(Sort { expr, input: Arc::new(plan), fetch: limit }))
}

/// Expressions whose columns carry the qualifiers the columns below have: the optimizer tells columns apart by them.
fn resolved(expressions: impl IntoIterator<Item = Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    if schema.iter().all(|(qualifier, _)| qualifier.is_none()) {
        return Ok(expressions.into_iter().collect());
    }
    let resolve = |inner: Expr| match inner {
        Expr::Column(Column { relation: None, name, .. }) => {
            let (qualifier, field) = schema.qualified_field_with_unqualified_name(&name)?;
            Ok(Transformed::yes(Expr::Column(Column::new(qualifier.cloned(), field.name()))))
        }
        other => Ok(Transformed::no(other)),
    };
    expressions.into_iter().map(|expression| Ok(expression.transform(resolve)?.data)).collect()
}
