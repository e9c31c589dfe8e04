//! `materialize(query)`: rows that are computed once, however often the query names them.
//!
//! [`Materialize`] marks the rows in the bound query. Where they are named more than once, every place reads the same
//! rows from memory: the first place that runs computes them, and they are counted against the memory of the query
//! until its plan is gone. Where they are named once the mark vanishes, so that filters above still reach the scan.
//! Rows are never shared between two results of a query, or between two runs.

use std::cell::RefCell;
use std::cmp::Ordering as RowOrdering;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::DFSchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
    execute_stream,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::TabularOperator;
use crate::bound::Relation;
use crate::error::Result;
use crate::lower::{LowerContext, column};
use crate::steps;

/// Tells the rows of one `materialize()` from those of another.
type Identity = Arc<()>;

/// Rows that are computed once.
#[derive(Debug)]
pub struct Materialize {
    input: Relation,
    identity: Identity,
}

impl Materialize {
    /// The same rows, computed once.
    #[must_use]
    pub fn relation(input: Relation) -> Relation {
        // A graph is no rows yet.
        if input.operator.as_graph().is_some() {
            return input;
        }
        let (columns, order) = (Arc::clone(&input.columns), Arc::clone(&input.order));
        Relation::sharing(&columns, Self { input, identity: Arc::default() }).ordered(order)
    }
}

impl TabularOperator for Materialize {
    fn name(&self) -> &'static str {
        "materialize"
    }

    fn details(&self) -> String {
        String::new()
    }

    fn inputs(&self) -> Vec<&Relation> {
        vec![&self.input]
    }

    fn lower(&self, relation: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        if ctx.uses.is_alone(&self.identity) {
            return ctx.ordered(&self.input);
        }
        let plan = LowerContext { needed: None, ..*ctx }.ordered(&self.input)?;
        let input = steps::project(plan, relation.columns.iter().map(|c| column(&c.name)))?;
        let node = MaterializeNode { input, identity: Arc::clone(&self.identity) };
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }

    fn keeps_own_order(&self) -> bool {
        true
    }
}

/// How often the plan of one result reads each materialized query.
#[derive(Debug, Default)]
pub struct Uses {
    counts: RefCell<HashMap<usize, usize>>,
    /// Those that are read only once.
    alone: HashSet<usize>,
}

impl Uses {
    /// Notes a use; whether there is no other.
    fn is_alone(&self, identity: &Identity) -> bool {
        let key = Arc::as_ptr(identity).addr();
        *self.counts.borrow_mut().entry(key).or_default() += 1;
        self.alone.contains(&key)
    }

    /// What a plan made with `self` has taught: `None` if all was known.
    #[must_use]
    pub fn learned(self) -> Option<Self> {
        let alone: HashSet<usize> =
            self.counts.into_inner().into_iter().filter(|(_, count)| *count == 1).map(|(key, _)| key).collect();
        (!alone.is_subset(&self.alone)).then(|| Self { counts: RefCell::default(), alone })
    }
}

/// The logical node. Optimizer rules do not look through it, so that its rows are the same wherever they are read.
#[derive(Debug)]
struct MaterializeNode {
    input: LogicalPlan,
    identity: Identity,
}

impl PartialEq for MaterializeNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.identity, &other.identity) && self.input == other.input
    }
}

impl Eq for MaterializeNode {}

impl Hash for MaterializeNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.identity).hash(state);
        self.input.hash(state);
    }
}

impl PartialOrd for MaterializeNode {
    fn partial_cmp(&self, other: &Self) -> Option<RowOrdering> {
        (self == other).then_some(RowOrdering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for MaterializeNode {
    fn name(&self) -> &'static str {
        "KqlMaterialize"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KqlMaterialize")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> PlanResult<Self> {
        match inputs.pop() {
            Some(input) if inputs.is_empty() => Ok(Self { input, identity: Arc::clone(&self.identity) }),
            _ => Err(DataFusionError::Internal("materialize() has one input".to_owned())),
        }
    }
}

/// Rows in memory, counted as long as they are there.
struct Rows {
    batches: Vec<RecordBatch>,
    _counted: MemoryReservation,
}

type Computing = Shared<BoxFuture<'static, std::result::Result<Arc<Rows>, Arc<DataFusionError>>>>;

/// The rows of one materialized query in one physical plan, once some place has asked for them.
#[derive(Default)]
struct Store(Mutex<Option<Computing>>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// The rows, being computed from this input if no other place has begun.
    fn rows(&self, input: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Computing {
        let mut computing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || {
            // A task of its own goes on whichever place is waiting.
            let task = SpawnedTask::spawn(compute(Arc::clone(input), Arc::clone(context)));
            let rows = async move {
                match task.await {
                    Ok(rows) => rows.map(Arc::new).map_err(Arc::new),
                    Err(error) => Err(Arc::new(DataFusionError::External(Box::new(error)))),
                }
            };
            rows.boxed().shared()
        };
        computing.get_or_insert_with(begin).clone()
    }
}

async fn compute(input: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> PlanResult<Rows> {
    let counted = MemoryConsumer::new("materialize").register(context.memory_pool());
    let mut stream = execute_stream(input, context)?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await.transpose()? {
        counted.try_grow(batch.get_array_memory_size())?;
        batches.push(batch);
    }
    Ok(Rows { batches, _counted: counted })
}

/// The physical node of one place.
#[derive(Debug)]
struct MaterializeExec {
    input: Arc<dyn ExecutionPlan>,
    store: Arc<Store>,
    properties: Arc<PlanProperties>,
}

impl MaterializeExec {
    fn new(input: Arc<dyn ExecutionPlan>, store: Arc<Store>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, store, properties: Arc::new(properties) }
    }

    /// The same place over another form of its input.
    fn over(&self, mut children: Vec<Arc<dyn ExecutionPlan>>) -> PlanResult<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => Ok(Arc::new(Self::new(input, Arc::clone(&self.store)))),
            _ => Err(DataFusionError::Internal("materialize() has one input".to_owned())),
        }
    }
}

impl DisplayAs for MaterializeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaterializeExec")
    }
}

impl ExecutionPlan for MaterializeExec {
    fn name(&self) -> &'static str {
        "MaterializeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        self.over(children)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> PlanResult<Arc<dyn ExecutionPlan>> {
        self.over(children)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> PlanResult<SendableRecordBatchStream> {
        let computing = self.store.rows(&self.input, &context);
        let read = async move {
            let rows = computing.await.map_err(DataFusionError::Shared)?;
            let batches = (0..rows.batches.len()).map(move |index| Ok(rows.batches[index].clone()));
            Ok::<_, DataFusionError>(futures::stream::iter(batches))
        };
        let stream = futures::stream::once(read);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.input.schema(), stream.try_flatten())))
    }
}

/// Makes the physical nodes of one plan: places of one query share a [`Store`].
#[derive(Default)]
pub(super) struct MaterializePlanner {
    stores: Mutex<HashMap<usize, Arc<Store>>>,
}

#[async_trait]
impl ExtensionPlanner for MaterializePlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> PlanResult<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [input]) = (node.as_any().downcast_ref::<MaterializeNode>(), physical_inputs) else {
            return Ok(None);
        };
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let store = Arc::clone(stores.entry(Arc::as_ptr(&node.identity).addr()).or_default());
        Ok(Some(Arc::new(MaterializeExec::new(Arc::clone(input), store))))
    }
}
