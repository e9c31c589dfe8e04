//! Materialised views: a query that ends in one `summarize` over the rows of one table, of which what each sealed segment
//! adds is kept in memory.
//!
//! The rows of a view are always those its query gives now: what is kept of segments, and the first step of the
//! aggregation over everything else, go through the last step together. Segments never change, so nothing kept is ever
//! stale; what is kept of a segment goes when the segment goes. Nothing is written to disk: a view has no rows of its own
//! that could be changed unseen or outlive their table's retention.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, PhysicalExpr, ReplaceChildrenOptions};
use moneta_event::TableSchema;
use moneta_kql_plan::{BoundResult, TableProviderSource, lower};
use moneta_ports::TimeScope;

use crate::grouped::{Step, step_of};
use crate::scan::{ScanCounters, ScanTable, ScanUnit};
use crate::snapshot::scoped;

/// Bytes kept for all views at most; what does not fit is aggregated by each query.
pub(crate) const STATE_BYTES_MAX: usize = 256 << 20;

/// What is kept of one segment for one view.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct StateKey {
    /// Name and text of the view: another text is another view.
    view: Arc<str>,
    segment: Arc<str>,
}

/// The first step of an aggregation over one segment.
#[derive(Debug, Clone)]
struct SegmentState {
    schema: SchemaRef,
    batches: Arc<[RecordBatch]>,
    bytes: usize,
}

/// What is kept of segments for all views, bounded in bytes.
#[derive(Debug)]
pub(crate) struct ViewStates {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    states: HashMap<StateKey, SegmentState>,
    bytes: usize,
}

impl ViewStates {
    /// Room for so many bytes; of zero bytes, views work and nothing is kept.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &StateKey) -> Option<SegmentState> {
        self.lock().states.get(key).cloned()
    }

    /// Keeps a state; `false` when there is no room for it.
    fn put(&self, key: StateKey, state: SegmentState) -> bool {
        let mut kept = self.lock();
        let freed = kept.states.get(&key).map_or(0, |old| old.bytes);
        if kept.bytes - freed + state.bytes > self.bytes_max {
            return false;
        }
        kept.bytes = kept.bytes - freed + state.bytes;
        kept.states.insert(key, state);
        true
    }

    /// Forgets what is kept of views and segments that are no more: all but `living`, segments by view.
    pub(crate) fn retain(&self, living: &HashMap<Arc<str>, BTreeSet<Arc<str>>>) {
        let mut kept = self.lock();
        kept.states.retain(|key, _| living.get(&key.view).is_some_and(|segments| segments.contains(&key.segment)));
        kept.bytes = kept.states.values().map(|state| state.bytes).sum();
    }
}

/// A view over the pieces of its table at one moment.
#[derive(Debug)]
pub(crate) struct View {
    /// Name and text, as states know it.
    pub(crate) id: Arc<str>,
    pub(crate) bound: Arc<BoundResult>,
    pub(crate) table: Arc<TableSchema>,
    pub(crate) units: Vec<ScanUnit>,
    /// Of which times rows are wanted; what is kept of segments knows no times.
    pub(crate) scope: Option<TimeScope>,
    pub(crate) counters: Arc<ScanCounters>,
    pub(crate) states: Arc<ViewStates>,
}

impl View {
    /// The plan of the view's query over some pieces of its table.
    async fn plan_over(&self, units: Vec<ScanUnit>, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let part = Arc::new(ScanTable::new(&self.table, units, self.counters.clone()).into_part());
        let logical = self.logical(scoped(self.scope.as_ref(), part, self.table.columns())?)?;
        session.create_physical_plan(&logical).await
    }

    fn logical(&self, provider: Arc<dyn TableProvider>) -> Result<LogicalPlan> {
        lower(&self.bound, &OneTable(provider)).map_err(|error| DataFusionError::External(Box::new(error)))
    }

    fn key(&self, segment: &str) -> StateKey {
        StateKey { view: self.id.clone(), segment: segment.into() }
    }

    /// The names of its table's segments.
    pub(crate) fn segments(&self) -> BTreeSet<Arc<str>> {
        let name = |unit: &ScanUnit| match unit {
            ScanUnit::Segment(segment) => Some(segment.name()),
            _ => None,
        };
        self.units.iter().filter_map(name).collect()
    }

    /// The segments of which nothing is kept.
    pub(crate) fn missing(&self) -> Vec<ScanUnit> {
        let is_missing = |unit: &&ScanUnit| match unit {
            ScanUnit::Segment(segment) => self.states.get(&self.key(&segment.name())).is_none(),
            _ => false,
        };
        self.units.iter().filter(is_missing).cloned().collect()
    }

    /// Aggregates one segment and keeps the outcome; `false` when there is no room for it.
    ///
    /// # Errors
    /// When the segment cannot be read, or the aggregation fails.
    pub(crate) async fn keep(&self, unit: ScanUnit, session: &dyn Session, task: Arc<TaskContext>) -> Result<bool> {
        let ScanUnit::Segment(segment) = &unit else { return Ok(true) };
        let key = self.key(&segment.name());
        let plan = self.plan_over(vec![unit], session).await?;
        let first = first_step(&plan).ok_or_else(not_a_view)?;
        let schema = first.schema();
        let batches = datafusion::physical_plan::collect(first, task).await?;
        let bytes = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        Ok(self.states.put(key, SegmentState { schema, batches: batches.into(), bytes }))
    }

    /// The view's rows: kept states and the first step over all else, together through the last step.
    async fn plan(&self, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        if self.scope.is_some() {
            return self.plan_over(self.units.clone(), session).await;
        }
        let (mut rest, mut kept) = (Vec::new(), Vec::new());
        for unit in &self.units {
            let state = match unit {
                ScanUnit::Segment(segment) => self.states.get(&self.key(&segment.name())),
                _ => None,
            };
            match state {
                Some(state) => kept.push((unit.clone(), state)),
                None => rest.push(unit.clone()),
            }
        }
        let mut plan = self.plan_over(rest.clone(), session).await?;
        let schema = first_step(&plan).ok_or_else(not_a_view)?.schema();
        // A column that came to the table since may have changed what a state holds.
        let (kept, stale): (Vec<_>, Vec<_>) = kept.into_iter().partition(|(_, state)| state.schema == schema);
        if !stale.is_empty() {
            rest.extend(stale.into_iter().map(|(unit, _)| unit));
            plan = self.plan_over(rest, session).await?;
        }
        let batches: Vec<_> = kept.iter().flat_map(|(_, state)| state.batches.iter().cloned()).collect();
        if batches.is_empty() { Ok(plan) } else { with_states(&plan, &batches) }
    }
}

/// A view as DataFusion sees it.
#[derive(Debug)]
pub(crate) struct ViewTable {
    view: View,
    schema: SchemaRef,
}

impl ViewTable {
    /// # Errors
    /// When the view's query cannot be planned over its table.
    pub(crate) fn new(view: View) -> Result<Self> {
        let empty = ScanTable::new(&view.table, Vec::new(), view.counters.clone());
        let logical = view.logical(Arc::new(empty))?;
        let nullable = |field: &FieldRef| field.as_ref().clone().with_nullable(true);
        let schema = Schema::new(logical.schema().fields().iter().map(nullable).collect::<Vec<_>>());
        Ok(Self { view, schema: Arc::new(schema) })
    }
}

#[async_trait]
impl TableProvider for ViewTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.view.plan(session).await?;
        let Some(projection) = projection else { return Ok(plan) };
        let column = |index: &usize| {
            let name = self.schema.field(*index).name();
            (Arc::new(ColumnExpr::new(name, *index)) as Arc<dyn PhysicalExpr>, name.clone())
        };
        Ok(Arc::new(ProjectionExec::try_new(projection.iter().map(column).collect::<Vec<_>>(), plan)?))
    }
}

/// The one table that a view's query reads.
struct OneTable(Arc<dyn TableProvider>);

impl TableProviderSource for OneTable {
    fn provider(&self, _: &str) -> Option<Arc<dyn TableProvider>> {
        Some(self.0.clone())
    }
}

fn not_a_view() -> DataFusionError {
    DataFusionError::Plan("the query of a materialized view ends in one `summarize` over one table".to_owned())
}

/// The first step of the aggregation that a plan ends in.
fn first_step(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    match step_of(plan) {
        Step::First => Some(plan.clone()),
        Step::Last => first_step(plan.children().first()?),
        Step::None if passes_rows_on(plan) => first_step(plan.children().first()?),
        Step::None => None,
    }
}

/// Nodes that may stand above the first step besides the last.
fn passes_rows_on(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<ProjectionExec>().is_some()
        || plan.downcast_ref::<RepartitionExec>().is_some()
        || plan.downcast_ref::<CoalescePartitionsExec>().is_some()
        || plan.name() == "CooperativeExec"
}

/// The plan with states beside the rows of its first step.
fn with_states(plan: &Arc<dyn ExecutionPlan>, states: &[RecordBatch]) -> Result<Arc<dyn ExecutionPlan>> {
    if matches!(step_of(plan), Step::First) {
        let kept = MemorySourceConfig::try_new_exec(&[states.to_vec()], plan.schema(), None)?;
        return UnionExec::try_new(vec![plan.clone(), kept]);
    }
    let input = *plan.children().first().ok_or_else(not_a_view)?;
    let mut changed = with_states(input, states)?;
    // What took a single partition, takes one now.
    let gathers =
        plan.downcast_ref::<RepartitionExec>().is_some() || plan.downcast_ref::<CoalescePartitionsExec>().is_some();
    if changed.downcast_ref::<UnionExec>().is_some() && !gathers {
        changed = Arc::new(CoalescePartitionsExec::new(changed));
    }
    plan.clone().replace_children(vec![changed], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// Why a logical plan cannot be that of a view, if it cannot: what a segment adds must not depend on other segments.
pub(crate) fn unfit(plan: &LogicalPlan) -> Option<String> {
    let mut at = plan;
    while let LogicalPlan::Projection(node) = at {
        at = &node.input;
    }
    let LogicalPlan::Aggregate(aggregate) = at else {
        return Some("its last operator is not `summarize`".to_owned());
    };
    let mut at: &LogicalPlan = &aggregate.input;
    loop {
        at = match at {
            LogicalPlan::Projection(node) => &node.input,
            LogicalPlan::Filter(node) => &node.input,
            LogicalPlan::Unnest(node) => &node.input,
            LogicalPlan::SubqueryAlias(node) => &node.input,
            LogicalPlan::TableScan(_) => break,
            other => {
                let name = other.display().to_string();
                let name = name.split([':', ' ']).next().unwrap_or_default().to_owned();
                return Some(format!(
                    "before `summarize`, only operators that look at one row at a time are possible, and this needs {name}"
                ));
            }
        };
    }
    let mut found = None;
    let walked = plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            if expr.is_volatile() {
                found = Some("it calls a function that gives another value each time".to_owned());
            }
            expr.apply(|part| {
                if matches!(part, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_)) {
                    found = Some("it asks another table for a value".to_owned());
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    if let Err(error) = walked {
        found = Some(error.to_string());
    }
    found
}
