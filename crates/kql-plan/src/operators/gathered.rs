//! Operators that need all rows of their inputs at once: graphs, clustering, sequences and the like.
//!
//! Such an operator is a [`Gathering`]: a plain function over Arrow rows in memory. [`Gathered`] puts it into the bound
//! query, [`query_planner`] lets DataFusion run it. The rows gathered are counted against the memory of the query, and
//! a query that is given up stops the work at its next [`Work::check`].
//!
//! Inside `mv-apply` and `partition` the rows of one input belong to separate groups, told apart by hidden columns:
//! the work is then done group by group, and each result carries the hidden columns of its group on.

use std::cmp::Ordering as RowOrdering;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DFSchemaRef, exec_err};
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
    collect,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use moneta_event::Column;

use super::TabularOperator;
use super::apply::is_hidden;
use super::materialize::MaterializePlanner;
use crate::bound::Relation;
use crate::error::Result;
use crate::lower::{LowerContext, column};
use crate::steps;

/// What is done with all rows of the inputs.
pub trait Gathering: fmt::Debug + Send + Sync {
    /// The operator's name in the printed tree.
    fn name(&self) -> &'static str;

    /// What it does, in one line, for the printed tree.
    fn details(&self) -> String;

    /// Computes the rows.
    ///
    /// # Shapes
    /// One batch per input, in the inputs' order of rows, with exactly the relation's visible columns in the Arrow
    /// forms of their types. The result has the visible columns of the operator's relation, positionally.
    ///
    /// # Errors
    /// A sentence for the person who asked; or what [`Work::check`] returned.
    fn run(&self, inputs: &[RecordBatch], work: &Work) -> std::result::Result<Vec<ArrayRef>, String>;
}

/// The work of one gathering while it runs.
#[derive(Debug, Default)]
pub struct Work {
    given_up: Arc<AtomicBool>,
}

impl Work {
    /// Call it in long loops, once per some thousand steps.
    ///
    /// # Errors
    /// When nobody waits for the result any more.
    pub fn check(&self) -> std::result::Result<(), String> {
        if self.given_up.load(Ordering::Relaxed) { Err("the query was cancelled".to_owned()) } else { Ok(()) }
    }
}

/// Marks the work as given up when the stream that waits for it is dropped.
struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A [`Gathering`] with its inputs, as a tabular operator.
#[derive(Debug)]
pub struct Gathered {
    /// The rows; the hidden columns of the first input separate groups.
    pub inputs: Vec<Relation>,
    /// What is done with them.
    pub gathering: Arc<dyn Gathering>,
}

impl Gathered {
    /// The relation of the result: its columns, and behind them the hidden ones of the first input.
    #[must_use]
    pub fn relation(inputs: Vec<Relation>, mut columns: Vec<Column>, gathering: impl Gathering + 'static) -> Relation {
        columns
            .extend(inputs.first().into_iter().flat_map(|i| i.columns.iter()).filter(|c| is_hidden(&c.name)).cloned());
        Relation::new(columns, Self { inputs, gathering: Arc::new(gathering) })
    }
}

impl TabularOperator for Gathered {
    fn name(&self) -> &'static str {
        self.gathering.name()
    }

    fn details(&self) -> String {
        self.gathering.details()
    }

    fn inputs(&self) -> Vec<&Relation> {
        self.inputs.iter().collect()
    }

    fn lower(&self, relation: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let inputs = self.inputs.iter().map(|input| ordered_exactly(input, ctx)).collect::<Result<Vec<_>>>()?;
        let fields = |columns: &[Column]| -> Vec<_> {
            columns
                .iter()
                .map(|c| c.column_type.computed_field(&c.name).with_metadata([].into()).with_nullable(true))
                .collect()
        };
        let schema = Arc::new(Schema::new(fields(&relation.columns)));
        let wanted = self.inputs.iter().map(|i| Arc::new(Schema::new(fields(&i.columns)))).collect();
        let shape = Arc::new(Shape { gathering: Arc::clone(&self.gathering), schema: Arc::clone(&schema), wanted });
        let schema = Arc::new(DFSchema::try_from(schema)?);
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(GatherNode { inputs, shape, schema }) }))
    }

    fn keeps_own_order(&self) -> bool {
        true
    }
}

/// An input with exactly its columns, in its order.
fn ordered_exactly(input: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
    let plan = LowerContext { needed: None, ..*ctx }.ordered(input)?;
    steps::project(plan, input.columns.iter().map(|c| column(&c.name)))
}

/// What logical and physical node share.
#[derive(Debug)]
struct Shape {
    gathering: Arc<dyn Gathering>,
    schema: SchemaRef,
    /// The schemas of the inputs as the gathering wants them.
    wanted: Vec<SchemaRef>,
}

impl Shape {
    /// Runs the gathering, group by group where hidden columns separate groups.
    fn run(&self, inputs: Vec<RecordBatch>, work: &Work) -> PlanResult<RecordBatch> {
        let hidden: Vec<usize> = self.wanted.first().map_or_else(Vec::new, |schema| {
            let fields = schema.fields().iter().enumerate();
            fields.filter(|(_, f)| is_hidden(f.name())).map(|(index, _)| index).collect()
        });
        if hidden.is_empty() {
            return self.run_once(&inputs, &[], work);
        }
        let (visible, carried) = split_columns(&inputs[0], &hidden)?;
        let mut results = Vec::new();
        for rows in groups(carried.columns())? {
            let rows = UInt32Array::from(rows);
            let mut group = inputs.clone();
            group[0] = take_record_batch(&visible, &rows)?;
            let carried = take_record_batch(&carried, &rows)?;
            results.push(self.run_once(&group, carried.columns(), work)?);
        }
        Ok(concat_batches(&self.schema, &results)?)
    }

    /// One run; the first row of the carried columns is repeated beside the result.
    fn run_once(&self, inputs: &[RecordBatch], carried: &[ArrayRef], work: &Work) -> PlanResult<RecordBatch> {
        let mut arrays = self.gathering.run(inputs, work).map_err(DataFusionError::Execution)?;
        let num_rows = arrays.first().map_or(0, arrow::array::Array::len);
        let first = UInt32Array::from(vec![0; num_rows]);
        for array in carried {
            arrays.push(arrow::compute::take(array, &first, None)?);
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), arrays)?)
    }
}

/// The visible and the hidden columns of rows.
fn split_columns(rows: &RecordBatch, hidden: &[usize]) -> PlanResult<(RecordBatch, RecordBatch)> {
    let visible: Vec<usize> = (0..rows.num_columns()).filter(|index| !hidden.contains(index)).collect();
    Ok((rows.project(&visible)?, rows.project(hidden)?))
}

/// The rows of each group of equal keys, groups in the order of their first rows.
fn groups(keys: &[ArrayRef]) -> PlanResult<Vec<Vec<u32>>> {
    let converter = RowConverter::new(keys.iter().map(|key| SortField::new(key.data_type().clone())).collect())?;
    let rows = converter.convert_columns(keys)?;
    let mut places: HashMap<_, usize> = HashMap::new();
    let mut groups: Vec<Vec<u32>> = Vec::new();
    for (index, row) in (0_u32..).zip(rows.iter()) {
        let place = *places.entry(row.owned()).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[place].push(index);
    }
    Ok(groups)
}

/// The logical node. Two nodes are the same only if they share their [`Shape`].
#[derive(Debug)]
struct GatherNode {
    inputs: Vec<LogicalPlan>,
    shape: Arc<Shape>,
    schema: DFSchemaRef,
}

impl PartialEq for GatherNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shape, &other.shape) && self.inputs == other.inputs
    }
}

impl Eq for GatherNode {}

impl Hash for GatherNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.shape).hash(state);
        self.inputs.hash(state);
    }
}

impl PartialOrd for GatherNode {
    fn partial_cmp(&self, other: &Self) -> Option<RowOrdering> {
        (self == other).then_some(RowOrdering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for GatherNode {
    fn name(&self) -> &'static str {
        "KqlGather"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KqlGather: {} {}", self.shape.gathering.name(), self.shape.gathering.details())
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> PlanResult<Self> {
        Ok(Self { inputs, shape: Arc::clone(&self.shape), schema: Arc::clone(&self.schema) })
    }
}

/// The physical node: one partition, which waits for all rows of all inputs.
#[derive(Debug)]
struct GatherExec {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    shape: Arc<Shape>,
    properties: Arc<PlanProperties>,
}

impl GatherExec {
    fn new(inputs: Vec<Arc<dyn ExecutionPlan>>, shape: Arc<Shape>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&shape.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { inputs, shape, properties: Arc::new(properties) }
    }
}

impl DisplayAs for GatherExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GatherExec: {} {}", self.shape.gathering.name(), self.shape.gathering.details())
    }
}

impl ExecutionPlan for GatherExec {
    fn name(&self) -> &'static str {
        "GatherExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition; self.inputs.len()]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
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
        Ok(Arc::new(Self::new(children, Arc::clone(&self.shape))))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children, Arc::clone(&self.shape))))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> PlanResult<SendableRecordBatchStream> {
        let (inputs, shape) = (self.inputs.clone(), Arc::clone(&self.shape));
        let rows = async move {
            let reservation = MemoryConsumer::new(shape.gathering.name()).register(context.memory_pool());
            let mut gathered = Vec::with_capacity(inputs.len());
            for (input, wanted) in inputs.into_iter().zip(&shape.wanted) {
                let batches = collect(input, Arc::clone(&context)).await?;
                for batch in &batches {
                    reservation.try_grow(batch.get_array_memory_size())?;
                }
                gathered.push(aligned(&batches, wanted)?);
            }
            let work = Work::default();
            let _give_up = GiveUp(Arc::clone(&work.given_up));
            let task = SpawnedTask::spawn_blocking(move || shape.run(gathered, &work));
            let result = task.await.map_err(|error| DataFusionError::External(Box::new(error)))?;
            drop(reservation);
            result
        };
        let stream = futures::stream::once(rows);
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.shape.schema), stream)))
    }
}

/// All rows as one batch with plain columns in the wanted forms.
fn aligned(batches: &[RecordBatch], wanted: &SchemaRef) -> PlanResult<RecordBatch> {
    let mut parts = Vec::with_capacity(batches.len());
    for batch in batches {
        if batch.num_columns() != wanted.fields().len() {
            return exec_err!("gathered rows have {} columns, not {}", batch.num_columns(), wanted.fields().len());
        }
        let cast =
            |(array, field): (&ArrayRef, &arrow::datatypes::FieldRef)| arrow::compute::cast(array, field.data_type());
        let arrays = batch.columns().iter().zip(wanted.fields()).map(cast).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        parts.push(RecordBatch::try_new_with_options(Arc::clone(wanted), arrays, &options)?);
    }
    Ok(concat_batches(wanted, &parts)?)
}

/// What every session that runs lowered queries is configured with, before its own settings.
#[must_use]
pub fn session_config() -> SessionConfig {
    let mut config = SessionConfig::new();
    // That rule moves accesses of struct fields towards scans. No table has structs, and above two equal aggregates
    // that give one the rule names a column twice and fails.
    config.options_mut().optimizer.enable_leaf_expression_pushdown = false;
    config
}

/// The planner of sessions that run lowered queries: DataFusion's own, and for gathered operators this module.
#[must_use]
pub fn query_planner() -> Arc<dyn QueryPlanner + Send + Sync> {
    Arc::new(KqlPlanner)
}

#[derive(Debug)]
struct KqlPlanner;

#[async_trait]
impl QueryPlanner for KqlPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![
            Arc::new(GatherPlanner),
            Arc::new(MaterializePlanner::default()),
        ]);
        planner.create_physical_plan(plan, session).await
    }
}

struct GatherPlanner;

#[async_trait]
impl ExtensionPlanner for GatherPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> PlanResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<GatherNode>() else { return Ok(None) };
        Ok(Some(Arc::new(GatherExec::new(physical_inputs.to_vec(), Arc::clone(&node.shape)))))
    }
}
