//! Pauses for operators that make many rows of few: a stopped query must leave its thread soon.
//!
//! A stopped query ends where it next waits. Scans pause of themselves, but a join or an expansion can make rows for
//! minutes from one batch it has already read, and whatever sums them up asks for the next without a pause. A join
//! whose own condition lets no row pass does not even give a batch: there the condition itself looks for the stop.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};

/// The operators that can make any number of rows of one batch.
const MULTIPLYING: [&str; 5] =
    ["CrossJoinExec", "HashJoinExec", "NestedLoopJoinExec", "SortMergeJoinExec", "UnnestExec"];

/// Says to all parts of one query that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// Once it is set.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(DataFusionError::Execution("the query was stopped".to_owned()));
        }
        Ok(())
    }
}

/// The plan with a pause between any two batches that a multiplying operator gives, and with conditions of joins that
/// fail once the query is stopped.
///
/// # Errors
/// When DataFusion refuses a join it has made itself.
pub(crate) fn stoppable(plan: Arc<dyn ExecutionPlan>, stop: &Stop) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        if !MULTIPLYING.contains(&node.name()) {
            return Ok(Transformed::no(node));
        }
        let node = with_condition(&node, stop)?.unwrap_or(node);
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
    })
    .data()
}

/// A join with such a condition; `None` for what has no condition.
fn with_condition(node: &Arc<dyn ExecutionPlan>, stop: &Stop) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let checked = |filter: &JoinFilter| {
        let inner = Arc::clone(filter.expression());
        let condition = Arc::new(Checked { inner, stop: stop.clone() });
        Some(JoinFilter::new(condition, filter.column_indices().to_vec(), Arc::clone(filter.schema())))
    };
    if let Some((join, filter)) = node.downcast_ref::<HashJoinExec>().and_then(|join| Some((join, join.filter()?))) {
        return Ok(Some(join.builder().with_filter(checked(filter)).build_exec()?));
    }
    if let Some((join, filter)) =
        node.downcast_ref::<NestedLoopJoinExec>().and_then(|join| Some((join, join.filter()?)))
    {
        let join = NestedLoopJoinExecBuilder::from(join).with_filter(checked(filter)).build()?;
        return Ok(Some(Arc::new(join)));
    }
    let merge = node.downcast_ref::<SortMergeJoinExec>().and_then(|join| Some((join, join.filter.as_ref()?)));
    let Some((join, filter)) = merge else { return Ok(None) };
    let join = SortMergeJoinExec::try_new(
        Arc::clone(&join.left),
        Arc::clone(&join.right),
        join.on.clone(),
        checked(filter),
        join.join_type,
        join.sort_options.clone(),
        join.null_equality,
    )?;
    Ok(Some(Arc::new(join)))
}

/// A condition that fails once the query is stopped.
#[derive(Debug)]
struct Checked {
    inner: Arc<dyn PhysicalExpr>,
    stop: Stop,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PartialEq for Checked {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Checked {}

impl Hash for Checked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl PhysicalExpr for Checked {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.inner.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.inner.nullable(input)
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.inner.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.stop.check()?;
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let [inner] = <[_; 1]>::try_from(children)
            .map_err(|given| DataFusionError::Internal(format!("a condition has one part, not {}", given.len())))?;
        Ok(Arc::new(Self { inner, stop: self.stop.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::context::SessionContext;
    use datafusion::prelude::SessionConfig;

    use super::*;

    /// A join whose condition is part of it answers, and fails once it is stopped.
    async fn check(operator: &str, config: SessionConfig, query: &str) {
        let session = SessionContext::new_with_config(config);
        let made = "create table t as select v as x, v % 2 as k from unnest(generate_series(1, 4)) as s(v)";
        session.sql(made).await.unwrap().collect().await.unwrap();
        // A plan runs once.
        let plan = async || session.sql(query).await.unwrap().create_physical_plan().await.unwrap();
        let rows = |plan| datafusion::physical_plan::collect(plan, session.task_ctx());
        let stop = Stop::default();
        let checked = stoppable(plan().await, &stop).unwrap();
        let text = datafusion::physical_plan::displayable(&*checked).indent(false).to_string();
        assert!(text.contains(operator), "{text}");
        assert_eq!(rows(checked).await.unwrap(), rows(plan().await).await.unwrap());
        stop.set();
        let error = rows(stoppable(plan().await, &stop).unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("the query was stopped"), "{operator}: {error}");
    }

    #[tokio::test]
    async fn every_join_with_a_condition_can_be_stopped() {
        let one = || SessionConfig::new().with_target_partitions(1);
        let by_key = "select count(*) from t as a join t as b on a.k = b.k and a.x * b.x > 3";
        check("HashJoinExec", one(), by_key).await;
        let mut merging = one();
        merging.options_mut().optimizer.prefer_hash_join = false;
        // One partition would be joined by hash all the same.
        let merging = merging.with_target_partitions(2);
        check("SortMergeJoin", merging, by_key).await;
        check("NestedLoopJoinExec", one(), "select count(*) from t as a join t as b on a.x * b.x > 3").await;
    }
}
