//! Aggregation straight over a scan, on the codes of dictionary columns.
//!
//! Takes the place of DataFusion's first aggregation step where that stands on a scan. Rows are numbered by the codes of
//! their keys, so that a text is hashed once per piece of a table and not once per row; the accumulators and everything
//! after this step are DataFusion's own.

mod distinct;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::datatypes::{Field, Int32Type, Schema, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{EquivalenceProperties, GroupsAccumulatorAdapter, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
};
use distinct::DistinctValues;
use foldhash::fast::FixedState;

use crate::recall::{GroupedShape, PlanRecall};
use crate::scan::expression::{Columns, Expression, is_repeatable, plain};
use crate::scan::{Piece, ScanExec};

/// Groups held before what is known of them is handed on.
const GROUPS_MAX: usize = 1 << 18;
/// Bytes of accumulators held before what is known is handed on.
const STATE_BYTES_MAX: usize = 256 << 20;
/// Rows of one batch that leaves.
const BATCH_ROWS: usize = 8_192;
/// Pairs of codes that are numbered by a table; more are numbered by a map.
const TABLE_PAIRS_MAX: usize = 1 << 20;
/// The mark of a pair that has no number yet.
const UNNUMBERED: u32 = u32::MAX;

/// Moves projections and first aggregation steps into the scans under them.
#[derive(Debug)]
pub(crate) struct ComputeInScan;

impl PhysicalOptimizerRule for ComputeInScan {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if let Some(moved) = projected(&node)? {
                return Ok(Transformed::yes(moved));
            }
            Ok(match grouped(&node)? {
                Some(moved) => Transformed::yes(moved),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "ComputeInScan"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The scan under a node, and what spreads its rows over more partitions, if anything does.
fn scan_below(input: &Arc<dyn ExecutionPlan>) -> Option<(&ScanExec, Option<&RepartitionExec>)> {
    if let Some(scan) = input.downcast_ref::<ScanExec>() {
        return Some((scan, None));
    }
    let spread = input.downcast_ref::<RepartitionExec>()?;
    let is_round_robin = matches!(spread.partitioning(), Partitioning::RoundRobinBatch(_));
    let scan = spread.input().downcast_ref::<ScanExec>().filter(|_| is_round_robin)?;
    Some((scan, Some(spread)))
}

fn projected(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(projection) = node.downcast_ref::<ProjectionExec>() else { return Ok(None) };
    let Some((scan, spread)) = scan_below(projection.input()) else { return Ok(None) };
    let expressions: Vec<_> = projection.expr().iter().map(|projected| projected.expr.clone()).collect();
    if !expressions.iter().all(is_repeatable) {
        return Ok(None);
    }
    let computed: Arc<dyn ExecutionPlan> = Arc::new(scan.computed(&expressions, projection.schema())?);
    Ok(Some(match spread {
        Some(spread) => Arc::new(RepartitionExec::try_new(computed, spread.partitioning().clone())?),
        None => computed,
    }))
}

/// Which step of an aggregation a node is.
pub(crate) enum Step {
    /// It makes states of rows.
    First,
    /// It makes values of states.
    Last,
    /// It is none, or both at once.
    None,
}

/// Which step of an aggregation a node is.
pub(crate) fn step_of(node: &Arc<dyn ExecutionPlan>) -> Step {
    if node.downcast_ref::<GroupedScanExec>().is_some() {
        return Step::First;
    }
    match node.downcast_ref::<AggregateExec>().map(AggregateExec::mode) {
        Some(AggregateMode::Partial) => Step::First,
        Some(AggregateMode::Final | AggregateMode::FinalPartitioned) => Step::Last,
        _ => Step::None,
    }
}

fn grouped(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(aggregate) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    // Few rows are grouped sooner than they are spread.
    let Some((scan, _)) = scan_below(aggregate.input()) else { return Ok(None) };
    // A single step is done in two, of which the second stays where it is.
    let is_first_step = matches!(aggregate.mode(), AggregateMode::Partial | AggregateMode::Single);
    let is_plain = is_first_step
        && !aggregate.group_expr().has_grouping_set()
        && aggregate.limit_options().is_none()
        && !scan.has_limit()
        && aggregate.aggr_expr().iter().all(|function| function.order_bys().is_empty());
    let keys: Vec<_> = aggregate.group_expr().expr().iter().map(|(key, _)| key.clone()).collect();
    let arguments: Vec<_> = aggregate.aggr_expr().iter().map(|function| function.expressions()).collect();
    let filters = aggregate.filter_expr();
    let mut all = keys.iter().chain(arguments.iter().flatten()).chain(filters.iter().flatten());
    if !is_plain || !all.all(is_repeatable) {
        return Ok(None);
    }
    let mut scan = scan.clone();
    let keys = scan.layer(&keys)?;
    let mut functions = Vec::new();
    for ((function, arguments), filter) in aggregate.aggr_expr().iter().zip(&arguments).zip(filters) {
        let filter = filter.as_ref().map(|filter| scan.layer(std::slice::from_ref(filter))).transpose()?;
        functions.push(Function {
            function: function.clone(),
            arguments: scan.layer(arguments)?,
            filter: filter.map(|mut one| one.swap_remove(0)),
        });
    }
    if *aggregate.mode() == AggregateMode::Partial {
        return Ok(Some(Arc::new(GroupedScanExec::new(aggregate.schema(), scan, keys, functions))));
    }
    let first_step = |input| with_mode(aggregate, AggregateMode::Partial, aggregate.group_expr().clone(), input);
    let schema = first_step(aggregate.input().clone())?.schema();
    let grouped = Arc::new(GroupedScanExec::new(schema, scan, keys, functions));
    let last_step = with_mode(aggregate, AggregateMode::Final, aggregate.group_expr().as_final(), grouped)?;
    Ok(Some(Arc::new(last_step)))
}

/// The same aggregation as another of its steps.
fn with_mode(
    aggregate: &AggregateExec,
    mode: AggregateMode,
    keys: PhysicalGroupBy,
    input: Arc<dyn ExecutionPlan>,
) -> Result<AggregateExec> {
    let filters = match mode {
        AggregateMode::Final => vec![None; aggregate.aggr_expr().len()],
        _ => aggregate.filter_expr().to_vec(),
    };
    AggregateExec::try_new(mode, keys, aggregate.aggr_expr().to_vec(), filters, input, aggregate.input_schema())
}

/// An aggregation function over expressions of a scan.
#[derive(Debug, Clone)]
struct Function {
    function: Arc<AggregateFunctionExpr>,
    arguments: Vec<Expression>,
    filter: Option<Expression>,
}

impl Function {
    fn shape(&self) -> GroupedShape {
        GroupedShape {
            options: (self.function.is_distinct(), self.function.ignore_nulls()),
            function: self.function.clone(),
            arguments: self.arguments.clone(),
            filter: self.filter.clone(),
        }
    }
}

/// A scan and the first step of an aggregation over it.
///
/// # Shapes
/// The keys, then the state of each function; a group may come more than once.
#[derive(Debug, Clone)]
struct GroupedScanExec {
    schema: SchemaRef,
    scan: ScanExec,
    keys: Vec<Expression>,
    functions: Vec<Function>,
    plan_recall: PlanRecall,
    properties: Arc<PlanProperties>,
}

impl GroupedScanExec {
    fn new(schema: SchemaRef, scan: ScanExec, keys: Vec<Expression>, functions: Vec<Function>) -> Self {
        let mut read = functions.iter().flat_map(|function| function.arguments.iter().chain(&function.filter));
        let is_counted = keys.is_empty() && read.all(|expression| expression.columns().is_empty());
        let scan = if is_counted { scan.counted() } else { scan };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(scan.num_partitions()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { schema, scan, keys, functions, plan_recall: PlanRecall::default(), properties: Arc::new(properties) }
    }

    fn run(&self, partition: usize, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<()> {
        let shape = || (self.keys.clone(), self.functions.iter().map(Function::shape).collect());
        let recall = self.plan_recall.get_or_init(|| self.scan.recall(Some(shape()))).as_ref();
        let mut states = States::new(self)?;
        self.scan.pieces(partition, &mut |piece| {
            if let Some(recall) = recall {
                let read = |piece: &mut Piece<'_>, send: &mut dyn FnMut(RecordBatch) -> bool| {
                    let mut own = States::new(self)?;
                    Ok(piece.read(&mut |rows| own.add(rows, send))? && own.hand_on(send)?)
                };
                if let Some(wants_more) = recall.pass(piece, send, read)? {
                    return Ok(wants_more);
                }
            }
            piece.read(&mut |rows| states.add(rows, send))
        })?;
        states.hand_on(send).map(|_| ())
    }
}

/// The states of an aggregation under way.
enum States<'a> {
    /// Of all rows.
    Total(&'a SchemaRef, Total<'a>),
    /// By keys.
    Groups(Groups<'a>),
}

impl<'a> States<'a> {
    fn new(of: &'a GroupedScanExec) -> Result<Self> {
        Ok(match of.keys.is_empty() {
            true => Self::Total(&of.schema, Total::new(&of.functions)?),
            false => Self::Groups(Groups::new(&of.schema, &of.keys, &of.functions)?),
        })
    }

    /// Adds rows; `false` when nobody wants more.
    fn add(&mut self, rows: &dyn Columns, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool> {
        match self {
            Self::Total(_, total) => total.add(rows).map(|()| true),
            Self::Groups(groups) => {
                groups.add(rows)?;
                if groups.is_full() { groups.hand_on(send) } else { Ok(true) }
            }
        }
    }

    fn hand_on(self, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool> {
        match self {
            Self::Total(schema, total) => Ok(send(total.finish(schema)?)),
            Self::Groups(mut groups) => groups.hand_on(send),
        }
    }
}

impl DisplayAs for GroupedScanExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let functions: Vec<_> = self.functions.iter().map(|function| function.function.name()).collect();
        write!(f, "GroupedScanExec: keys={} functions=[{}] over ", self.keys.len(), functions.join(", "))?;
        self.scan.fmt_as(format, f)
    }
}

impl ExecutionPlan for GroupedScanExec {
    fn name(&self) -> &'static str {
        "GroupedScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let (sender, own) = (builder.tx(), self.clone());
        builder.spawn_blocking(move || own.run(partition, &mut |batch| sender.blocking_send(Ok(batch)).is_ok()));
        Ok(builder.build())
    }
}

/// Aggregation of all rows into one.
struct Total<'a> {
    functions: &'a [Function],
    accumulators: Vec<Box<dyn Accumulator>>,
}

impl<'a> Total<'a> {
    fn new(functions: &'a [Function]) -> Result<Self> {
        let accumulators =
            functions.iter().map(|function| function.function.create_accumulator()).collect::<Result<_>>()?;
        Ok(Self { functions, accumulators })
    }

    fn add(&mut self, rows: &dyn Columns) -> Result<()> {
        for (function, accumulator) in self.functions.iter().zip(&mut self.accumulators) {
            let mut values = function.arguments.iter().map(|one| one.rows(rows)).collect::<Result<Vec<_>>>()?;
            if let Some(filter) = &function.filter {
                let filter = filter.rows(rows)?;
                let kept = |array: &ArrayRef| arrow::compute::filter(array.as_ref(), filter.as_boolean());
                values = values.iter().map(kept).collect::<Result<_, _>>()?;
            }
            accumulator.update_batch(&values)?;
        }
        Ok(())
    }

    fn finish(mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        let mut columns = Vec::new();
        for accumulator in &mut self.accumulators {
            for state in accumulator.state()? {
                columns.push(state.to_array()?);
            }
        }
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(1));
        Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
    }
}

/// Aggregation by keys.
struct Groups<'a> {
    schema: SchemaRef,
    key_schema: SchemaRef,
    keys: &'a [Expression],
    functions: &'a [Function],
    values: Box<dyn GroupValues>,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
    /// Reused from piece to piece.
    table: Vec<u32>,
}

impl<'a> Groups<'a> {
    fn new(schema: &SchemaRef, keys: &'a [Expression], functions: &'a [Function]) -> Result<Self> {
        let key_schema = Arc::new(Schema::new(schema.fields()[..keys.len()].to_vec()));
        let values = new_group_values(key_schema.clone(), &GroupOrdering::None)?;
        let accumulators =
            functions.iter().map(|function| groups_accumulator(&function.function)).collect::<Result<_>>()?;
        Ok(Self { schema: schema.clone(), key_schema, keys, functions, values, accumulators, table: Vec::new() })
    }

    fn add(&mut self, rows: &dyn Columns) -> Result<()> {
        let keys = self.keys.iter().map(|key| key.evaluate(rows)).collect::<Result<Vec<_>>>()?;
        let groups = self.group_of_rows(&keys, rows.num_rows())?;
        let num_groups = self.values.len();
        for (function, accumulator) in self.functions.iter().zip(&mut self.accumulators) {
            let values = function.arguments.iter().map(|one| one.rows(rows)).collect::<Result<Vec<_>>>()?;
            let filter = function.filter.as_ref().map(|filter| filter.rows(rows)).transpose()?;
            let filter: Option<&BooleanArray> = filter.as_ref().map(|filter| filter.as_boolean());
            accumulator.update_batch(&values, &groups, filter, num_groups)?;
        }
        Ok(())
    }

    /// The group of each row.
    fn group_of_rows(&mut self, keys: &[ArrayRef], num_rows: usize) -> Result<Vec<usize>> {
        let mut groups = Vec::new();
        let coded = keys.iter().any(|key| key.as_dictionary_opt::<Int32Type>().is_some());
        if !coded {
            self.values.intern(keys, &mut groups)?;
            return Ok(groups);
        }
        let mut numbered = Numbered { codes: vec![0; num_rows], count: 1, first_rows: vec![0] };
        for (key, field) in keys.iter().zip(self.key_schema.fields()) {
            let (codes, count) = codes_of(key, field)?;
            numbered = numbered.with(&codes, count, &mut self.table);
        }
        // One row stands for all rows of the same codes.
        let first_rows = UInt32Array::from(numbered.first_rows);
        let of_first = |key: &ArrayRef| plain(&arrow::compute::take(key.as_ref(), &first_rows, None)?);
        let firsts = keys.iter().map(of_first).collect::<Result<Vec<_>>>()?;
        let mut group_of_code = Vec::new();
        self.values.intern(&firsts, &mut group_of_code)?;
        groups.extend(numbered.codes.iter().map(|code| group_of_code[*code as usize]));
        Ok(groups)
    }

    fn is_full(&self) -> bool {
        self.values.len() >= GROUPS_MAX
            || self.accumulators.iter().map(|accumulator| accumulator.size()).sum::<usize>() > STATE_BYTES_MAX
    }

    /// Hands on what is known and forgets it; `false` when nobody wants more.
    fn hand_on(&mut self, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool> {
        if self.values.is_empty() {
            return Ok(true);
        }
        let mut columns = self.values.emit(EmitTo::All)?;
        for accumulator in &mut self.accumulators {
            columns.extend(accumulator.state(EmitTo::All)?);
        }
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        let mut from = 0;
        while from < batch.num_rows() {
            let len = BATCH_ROWS.min(batch.num_rows() - from);
            if !send(batch.slice(from, len)) {
                return Ok(false);
            }
            from += len;
        }
        Ok(true)
    }
}

fn groups_accumulator(function: &Arc<AggregateFunctionExpr>) -> Result<Box<dyn GroupsAccumulator>> {
    if function.groups_accumulator_supported() {
        return function.create_groups_accumulator();
    }
    if let Some(distinct) = DistinctValues::of(function)? {
        return Ok(Box::new(distinct));
    }
    let function = function.clone();
    Ok(Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator())))
}

/// The code of each row's value in one column, and how many codes there are. A null has a code too.
fn codes_of(key: &ArrayRef, field: &Arc<Field>) -> Result<(Vec<u32>, usize)> {
    if let Some(dictionary) = key.as_dictionary_opt::<Int32Type>() {
        let of_null = u32::try_from(dictionary.values().len()).unwrap_or(UNNUMBERED);
        let keys = dictionary.keys();
        let code = |key: Option<i32>| key.and_then(|key| u32::try_from(key).ok()).unwrap_or(of_null);
        return Ok((keys.iter().map(code).collect(), dictionary.values().len() + 1));
    }
    let schema = Arc::new(Schema::new(vec![field.as_ref().clone()]));
    let (mut values, mut groups) = (new_group_values(schema, &GroupOrdering::None)?, Vec::new());
    values.intern(std::slice::from_ref(key), &mut groups)?;
    let count = values.len().max(1);
    Ok((groups.into_iter().map(|group| u32::try_from(group).unwrap_or(UNNUMBERED)).collect(), count))
}

/// Rows numbered so that equal numbers mean equal codes.
struct Numbered {
    codes: Vec<u32>,
    count: usize,
    /// The first row of each number.
    first_rows: Vec<u32>,
}

impl Numbered {
    /// The rows numbered by what they were numbered by and one more code.
    fn with(mut self, others: &[u32], other_count: usize, table: &mut Vec<u32>) -> Self {
        self.first_rows.clear();
        let pairs = self.count.saturating_mul(other_count);
        let mut map: HashMap<u64, u32, FixedState> = HashMap::default();
        let by_table = pairs <= TABLE_PAIRS_MAX;
        if by_table {
            table.clear();
            table.resize(pairs, UNNUMBERED);
        }
        for (row, (code, other)) in self.codes.iter_mut().zip(others).enumerate() {
            let pair = *code as usize * other_count + *other as usize;
            let number = if by_table { &mut table[pair] } else { map.entry(pair as u64).or_insert(UNNUMBERED) };
            if *number == UNNUMBERED {
                *number = u32::try_from(self.first_rows.len()).unwrap_or(UNNUMBERED);
                self.first_rows.push(u32::try_from(row).unwrap_or(UNNUMBERED));
            }
            *code = *number;
        }
        self.count = self.first_rows.len().max(1);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_equal_codes_have_equal_numbers() {
        let start = || Numbered { codes: vec![0; 5], count: 1, first_rows: vec![0] };
        let (mut table, left, right) = (Vec::new(), [2, 0, 2, 1, 0], [1, 1, 1, 0, 0]);
        let numbered = start().with(&left, 3, &mut table).with(&right, 2, &mut table);
        assert_eq!(numbered.codes, [0, 1, 0, 2, 3]);
        assert_eq!(numbered.first_rows, [0, 1, 3, 4]);
        // Too many pairs for a table.
        let wide = start().with(&left, 3, &mut table).with(&right, TABLE_PAIRS_MAX, &mut table);
        assert_eq!((wide.codes, wide.first_rows), (numbered.codes, numbered.first_rows));
    }
}
