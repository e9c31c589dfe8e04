//! The scan as DataFusion runs it: pieces of a table, filtered, with expressions computed over them.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{Column as ColumnExpr, DynamicFilterPhysicalExpr, Literal};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr, ScalarFunctionExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
    SortOrderPushdownResult,
};
use moneta_event::json_path::pointer;
use moneta_event::schema::standard;
use moneta_event::{Block, Column, ColumnType, stored};
use moneta_kql_plan::functions::path::PathFunction;
use moneta_kql_plan::json::Step;
use moneta_store::SegmentColumns;

use super::chunk::{Chunk, ScanColumn, Source};
use super::expression::{Columns, Computed, Expression, plain};
use super::{Reading, ScanUnit, SegmentSource, UnreadableSegment, count_segments};

/// Rows of one batch that leaves the scan.
const BATCH_ROWS: usize = 8_192;

/// What plans are made with: a filter lets one row in so many pass.
const FILTER_PASSES_ONE_IN: usize = 5;

/// Reads a table, filters its rows, and computes expressions over them.
///
/// # Shapes
/// One stream per partition. Without computed expressions the columns are the first of `read`.
#[derive(Debug, Clone)]
pub(crate) struct ScanExec {
    schema: SchemaRef,
    read: Vec<ScanColumn>,
    reading: Reading,
    /// Fields of `read`.
    read_schema: SchemaRef,
    filters: Vec<Expression>,
    filter_texts: Vec<String>,
    /// Filters of the plan above that grow stricter while it runs; they only spare it rows.
    hints: Vec<Hint>,
    /// Whether the rows of the greatest time are wanted first.
    wants_newest: bool,
    /// Expressions over the columns read, then over those, and so on.
    layers: Vec<Vec<Expression>>,
    layer_texts: Vec<String>,
    num_partitions: usize,
    /// Whether only the number of rows matters to whoever consumes them.
    is_counted: bool,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    pub(crate) fn new(schema: SchemaRef, read: Vec<ScanColumn>, reading: Reading, num_partitions: usize) -> Self {
        let properties = properties(&schema, num_partitions);
        Self {
            read_schema: schema.clone(),
            schema,
            read,
            reading,
            filters: Vec::new(),
            filter_texts: Vec::new(),
            hints: Vec::new(),
            wants_newest: false,
            layers: Vec::new(),
            layer_texts: Vec::new(),
            num_partitions,
            is_counted: false,
            properties,
        }
    }

    /// The scan with filters over all columns of its table.
    pub(crate) fn filtered(
        mut self,
        filters: &[Arc<dyn PhysicalExpr>],
        schema: &Schema,
        columns: &[Column],
    ) -> Result<Self> {
        for filter in filters {
            self.filter_texts.push(filter.to_string());
            let own = Arc::clone(filter).transform_down(|node| {
                let Some(column) = node.downcast_ref::<ColumnExpr>() else { return Ok(Transformed::no(node)) };
                let column = ScanColumn { column: columns[column.index()].clone(), path: None };
                let field = schema.field_with_name(&column.column.name)?.clone();
                let own: Arc<dyn PhysicalExpr> = Arc::new(self.reading_column(column, field));
                Ok(Transformed::new(own, true, TreeNodeRecursion::Jump))
            });
            let own = self.with_paths(&own.data()?)?;
            self.filters.push(Expression::new(&own, &self.read_schema)?);
        }
        Ok(self)
    }

    /// The scan with expressions over its columns computed, which become its columns.
    pub(crate) fn computed(&self, expressions: &[Arc<dyn PhysicalExpr>], schema: SchemaRef) -> Result<Self> {
        let mut scan = self.clone();
        let layer = scan.layer(expressions)?;
        scan.layer_texts = expressions.iter().map(ToString::to_string).collect();
        scan.layers.push(layer);
        scan.properties = properties(&schema, scan.num_partitions);
        scan.schema = schema;
        Ok(scan)
    }

    /// Expressions over its columns, prepared; columns of paths that they read are read from now on.
    pub(crate) fn layer(&mut self, expressions: &[Arc<dyn PhysicalExpr>]) -> Result<Vec<Expression>> {
        let own = expressions.iter().map(|expression| self.with_paths(expression)).collect::<Result<Vec<_>>>()?;
        let schema = if self.layers.is_empty() { &self.read_schema } else { &self.schema };
        own.iter().map(|expression| Expression::new(expression, schema)).collect()
    }

    /// The scan for somebody who looks at no column of it: rows may be counted that are not read.
    pub(crate) fn counted(mut self) -> Self {
        self.is_counted = true;
        self
    }

    /// Number of partitions.
    pub(crate) fn num_partitions(&self) -> usize {
        self.num_partitions
    }

    /// Whether a number of rows is all that is wanted.
    pub(crate) fn has_limit(&self) -> bool {
        self.reading.limit.is_some()
    }

    /// The place of a column among those read, which it joins if it is new.
    fn reading_column(&mut self, column: ScanColumn, field: Field) -> ColumnExpr {
        let name = column.name();
        let place = self.read.iter().position(|known| *known == column).unwrap_or_else(|| {
            let fields = self.read_schema.fields().iter().cloned();
            self.read_schema = Arc::new(Schema::new(fields.chain([Arc::new(field)]).collect::<Vec<_>>()));
            self.read.push(column);
            self.read.len() - 1
        });
        ColumnExpr::new(&name, place)
    }

    /// A column read as a column of the last layer, which all layers hand on from now on.
    fn carried(&mut self, read: ColumnExpr, field: &Field) -> ColumnExpr {
        let mut place = read.index();
        for layer in &mut self.layers {
            place = layer.iter().position(|known| known.as_column() == Some(place)).unwrap_or_else(|| {
                layer.push(Expression::of_column(place, field));
                layer.len() - 1
            });
        }
        let is_new = !self.layers.is_empty() && place == self.schema.fields().len();
        if is_new {
            let fields = self.schema.fields().iter().cloned();
            self.schema = Arc::new(Schema::new(fields.chain([Arc::new(field.clone())]).collect::<Vec<_>>()));
        }
        ColumnExpr::new(read.name(), place)
    }

    /// The column read that a column of the last layer is, if nothing was computed of it.
    fn as_read(&self, column: usize) -> Option<&ScanColumn> {
        let place = self.layers.iter().rev().try_fold(column, |place, layer| layer.get(place)?.as_column())?;
        self.read.get(place)
    }

    /// An expression over the columns of the last layer in which constant paths into `dynamic` columns are columns.
    fn with_paths(&mut self, expression: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let replaced = Arc::clone(expression).transform_down(|node| {
            let Some(column) = self.path_column(&node) else { return Ok(Transformed::no(node)) };
            let field = stored::path_field(&column.column.name, column.path.as_deref().unwrap_or_default());
            let read = self.reading_column(column, field.clone());
            let own: Arc<dyn PhysicalExpr> = Arc::new(self.carried(read, &field));
            Ok(Transformed::new(own, true, TreeNodeRecursion::Jump))
        });
        replaced.data()
    }

    fn path_column(&self, node: &Arc<dyn PhysicalExpr>) -> Option<ScanColumn> {
        let call = ScalarFunctionExpr::try_downcast_func::<PathFunction>(node.as_ref())?;
        let function = call.fun().inner().downcast_ref::<PathFunction>()?;
        let [base] = call.args() else { return None };
        let base = self.as_read(base.downcast_ref::<ColumnExpr>()?.index())?;
        let names = function.steps().iter().map(|step| match step {
            Step::Key(name) => Some(name.as_str()),
            Step::Index(_) => None,
        });
        let names = names.collect::<Option<Vec<_>>>()?;
        let is_base = base.path.is_none() && base.column.column_type == ColumnType::Dynamic;
        is_base.then(|| ScanColumn { column: base.column.clone(), path: Some(pointer(names).into()) })
    }

    /// Reads a partition piece by piece into a consumer, until it wants no more.
    ///
    /// # Errors
    /// When a segment cannot be read, or an expression fails.
    pub(crate) fn read_partition(
        &self,
        partition: usize,
        consume: &mut dyn FnMut(&dyn Columns) -> Result<bool>,
    ) -> Result<()> {
        let mut rows_left = self.reading.limit.unwrap_or(usize::MAX);
        let (in_memory, segments): (Vec<_>, Vec<_>) =
            self.reading.units.iter().partition(|unit| !matches!(unit, ScanUnit::Segment(_)));
        let in_memory = &in_memory[share(in_memory.len(), partition, self.num_partitions)];
        // What is in memory came last.
        let mut units: Vec<&ScanUnit> = segments.into_iter().chain(in_memory.iter().copied()).collect();
        let newest_first = self.wants_newest && !self.hints.is_empty();
        if newest_first {
            units.reverse();
        }
        for unit in units {
            let rows = match unit {
                ScanUnit::Segment(segment) => {
                    let read = self.read_segment(&**segment, partition, newest_first, &mut rows_left, consume);
                    match read.inspect_err(|error| self.note_unreadable(&**segment, error))? {
                        true => continue,
                        false => return Ok(()),
                    }
                }
                ScanUnit::Hot(block) => {
                    self.reading.counters.count(|counts| counts.blocks_read += 1);
                    self.block_rows(block)?
                }
                ScanUnit::Rows(rows) => self.align(rows)?,
            };
            if !self.read_chunk(Chunk::new(Source::Rows(rows), &self.read, None), &mut rows_left, consume)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn note_unreadable(&self, segment: &dyn SegmentSource, error: &DataFusionError) {
        if let DataFusionError::External(source) = error.find_root()
            && let Some(UnreadableSegment(reason)) = source.downcast_ref()
        {
            self.reading.counters.find_unreadable(segment.name(), reason.clone());
        }
    }

    /// Reads a partition's row groups of a segment; `false` when no more are wanted.
    fn read_segment(
        &self,
        source: &dyn SegmentSource,
        partition: usize,
        newest_first: bool,
        rows_left: &mut usize,
        consume: &mut dyn FnMut(&dyn Columns) -> Result<bool>,
    ) -> Result<bool> {
        let failed = |message| DataFusionError::External(Box::new(UnreadableSegment(message)));
        let segment = source.open().map_err(failed)?;
        if partition == 0 {
            self.reading.counters.count(|counts| counts.segments_read += 1);
        }
        let mut groups: Vec<usize> = share(segment.num_groups(), partition, self.num_partitions).collect();
        if newest_first {
            groups.reverse();
        }
        let counters = &self.reading.counters;
        for group in groups {
            if !segment.may_match(group, &self.reading.prunes) {
                counters.count(|counts| counts.groups_pruned += 1);
                continue;
            }
            if let Some(count) = self.count(&segment, group)? {
                counters.count(|counts| counts.groups_counted += 1);
                if count > 0 && !computed(&OnlyCounted(count), &self.layers, consume)? {
                    return Ok(false);
                }
                continue;
            }
            let rows = segment.rows_with(group, &self.reading.terms).map_err(|error| failed(error.to_string()))?;
            if rows.as_ref().is_some_and(|rows| rows.count_set_bits() == 0) {
                counters.count(|counts| counts.groups_without_terms += 1);
                continue;
            }
            counters.count(|counts| counts.groups_read += 1);
            let source = Source::Group { segment: &segment, group, cache: source.cache() };
            if !self.read_chunk(Chunk::new(source, &self.read, rows), rows_left, consume)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is counted without reading rows, where their number is all that is wanted.
    fn counted_only(&self) -> Option<&crate::terms::Counted> {
        let is_all = self.is_counted && self.hints.is_empty() && self.reading.limit.is_none();
        self.reading.counted.as_ref().filter(|_| is_all)
    }

    /// How many rows of a row group pass the filters, where that is all that is wanted, all its rows lie within the times
    /// and the index of words knows it.
    fn count(&self, segment: &SegmentColumns, group: usize) -> Result<Option<usize>> {
        let Some(counted) = self.counted_only().filter(|counted| segment.lies_within(group, counted.times)) else {
            return Ok(None);
        };
        let Some((column, needle)) = &counted.term else { return Ok(Some(segment.group_rows(group))) };
        let count = segment.count_with(group, column, needle);
        let count = count.map_err(|error| DataFusionError::External(Box::new(UnreadableSegment(error.to_string()))))?;
        Ok(count.and_then(|count| usize::try_from(count).ok()))
    }

    /// Reads one piece; `false` when no more are wanted.
    fn read_chunk(
        &self,
        mut chunk: Chunk<'_>,
        rows_left: &mut usize,
        consume: &mut dyn FnMut(&dyn Columns) -> Result<bool>,
    ) -> Result<bool> {
        // Rows that an index or a limit spares are not counted.
        let rows = chunk.num_rows();
        let scanned = if self.filters.is_empty() { rows.min(*rows_left) } else { rows };
        chunk.filter(&self.filters)?;
        chunk.filter(self.hints.iter().filter(|hint| hint.says_something()).map(|hint| &hint.own))?;
        self.reading.counters.count(|counts| counts.rows_scanned += scanned as u64);
        chunk.truncate(*rows_left);
        *rows_left -= chunk.num_rows();
        let wants_more = chunk.num_rows() == 0 || computed(&chunk, &self.layers, consume)?;
        Ok(wants_more && *rows_left > 0)
    }

    /// The columns read, of a block; the implied ones are made only when they are wanted.
    fn block_rows(&self, block: &Block) -> Result<RecordBatch> {
        let schema = block.rows.schema();
        let wanted = |name: &str| self.read.iter().any(|column| *column.column.name == *name);
        let kept: Vec<usize> = (0..schema.fields().len()).filter(|i| wanted(schema.field(*i).name())).collect();
        let projected = block.rows.project(&kept)?;
        let rows = match moneta_event::schema::IMPLIED_BY_HEADER.iter().any(|name| wanted(name)) {
            true => stored::with_implied_columns(&block.header, 0, &projected),
            false => projected,
        };
        self.align(&rows)
    }

    fn align(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns: Vec<Column> = Vec::with_capacity(self.read.len());
        for read in &self.read {
            if !columns.contains(&read.column) {
                columns.push(read.column.clone());
            }
        }
        stored::align(rows, &columns).map_err(|error| DataFusionError::External(Box::new(error)))
    }

    /// The columns of the scan as batches.
    fn batches(&self, rows: &dyn Columns, consume: &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool> {
        let width = self.schema.fields().len();
        let columns = (0..width).map(|index| rows.column(index)).collect::<Result<Vec<_>>>()?;
        let mut from = 0;
        while from < rows.num_rows() {
            let len = BATCH_ROWS.min(rows.num_rows() - from);
            let part = |array: &ArrayRef| plain(&array.slice(from, len));
            let columns = columns.iter().map(part).collect::<Result<Vec<_>>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(len));
            if !consume(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?) {
                return Ok(false);
            }
            from += len;
        }
        Ok(true)
    }
}

/// A filter that the plan above sharpens while it runs: of the greatest rows it wants, the least so far.
#[derive(Debug, Clone)]
struct Hint {
    filter: Arc<dyn PhysicalExpr>,
    own: Expression,
}

impl Hint {
    /// A filter over columns of `schema`, if it is one of those.
    fn new(filter: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Option<Self>> {
        if filter.downcast_ref::<DynamicFilterPhysicalExpr>().is_none() {
            return Ok(None);
        }
        Ok(Some(Self { filter: filter.clone(), own: Expression::new(filter, schema)? }))
    }

    /// Whether it is more than `true` by now.
    fn says_something(&self) -> bool {
        let dynamic = self.filter.downcast_ref::<DynamicFilterPhysicalExpr>();
        let current = dynamic.and_then(|filter| filter.current().ok());
        current.is_some_and(|current| current.downcast_ref::<Literal>().is_none())
    }
}

/// So many rows, of which nobody looks at a column.
struct OnlyCounted(usize);

impl Columns for OnlyCounted {
    fn num_rows(&self) -> usize {
        self.0
    }

    fn column(&self, index: usize) -> Result<ArrayRef> {
        Err(DataFusionError::Internal(format!("column {index} of rows that were only counted")))
    }
}

/// Hands over the columns of the last layer.
fn computed(
    input: &dyn Columns,
    layers: &[Vec<Expression>],
    consume: &mut dyn FnMut(&dyn Columns) -> Result<bool>,
) -> Result<bool> {
    match layers.split_first() {
        None => consume(input),
        Some((first, rest)) => computed(&Computed::new(input, first), rest, consume),
    }
}

/// The part of `count` things that falls to one of several partitions: a contiguous run.
fn share(count: usize, partition: usize, partitions: usize) -> std::ops::Range<usize> {
    count * partition / partitions..count * (partition + 1) / partitions
}

fn properties(schema: &SchemaRef, num_partitions: usize) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema.clone()),
        Partitioning::UnknownPartitioning(num_partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, segments) = (self.reading.units.len(), count_segments(&self.reading.units));
        let names: Vec<_> = self.schema.fields().iter().take(16).map(|field| field.name().as_str()).collect();
        let more = if self.schema.fields().len() > names.len() { ", …" } else { "" };
        write!(f, "ScanExec: units={units} segments={segments} columns=[{}{more}]", names.join(", "))?;
        if !self.reading.prunes.is_empty() {
            write!(f, " prunes={}", self.reading.prunes.len())?;
        }
        if !self.reading.terms.is_unknown() {
            write!(f, " terms={}", self.reading.terms)?;
        }
        if let Some(limit) = self.reading.limit {
            write!(f, " limit={limit}")?;
        }
        if self.counted_only().is_some() {
            f.write_str(" counted")?;
        }
        if !self.filter_texts.is_empty() {
            write!(f, " filters=[{}]", self.filter_texts.join(", "))?;
        }
        if !self.hints.is_empty() {
            let order = if self.wants_newest { ", newest first" } else { "" };
            write!(f, " hints={}{order}", self.hints.len())?;
        }
        if !self.layer_texts.is_empty() {
            write!(f, " computed=[{}]", self.layer_texts.join(", "))?;
        }
        let paths: Vec<_> = self.read.iter().filter(|column| column.path.is_some()).map(ScanColumn::name).collect();
        if paths.is_empty() { Ok(()) } else { write!(f, " paths=[{}]", paths.join(", ")) }
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
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

    /// Takes note that the newest rows are wanted first. Nothing is promised of the order.
    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        let by_time = order.first().filter(|first| first.options.descending).and_then(|first| {
            let column = self.as_read(first.expr.downcast_ref::<ColumnExpr>()?.index())?;
            let is_time =
                [standard::TIME_GENERATED, standard::SEQ, standard::INGEST_TIME].contains(&&*column.column.name);
            (is_time && column.path.is_none()).then_some(())
        });
        if by_time.is_none() {
            return Ok(SortOrderPushdownResult::Unsupported);
        }
        Ok(SortOrderPushdownResult::Inexact { inner: Arc::new(Self { wants_newest: true, ..self.clone() }) })
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        results: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let mut scan = self.clone();
        if phase == FilterPushdownPhase::Post && self.layers.is_empty() && self.reading.limit.is_none() {
            for filter in &results.parent_filters {
                scan.hints.extend(Hint::new(&filter.filter, &self.schema)?);
            }
        }
        // The plan above looks at every row all the same.
        let filters = vec![PushedDown::No; results.parent_filters.len()];
        let updated_node = (scan.hints.len() > self.hints.len()).then(|| Arc::new(scan) as Arc<dyn ExecutionPlan>);
        Ok(FilterPushdownPropagation { filters, updated_node })
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        // Two batches in flight: reading goes on while the plan above works, and memory stays bounded.
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let (sender, scan) = (builder.tx(), self.clone());
        builder.spawn_blocking(move || {
            scan.read_partition(partition, &mut |rows| {
                scan.batches(rows, &mut |batch| sender.blocking_send(Ok(batch)).is_ok())
            })
        });
        Ok(builder.build())
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let rows = usize::try_from(self.reading.num_rows()).unwrap_or(usize::MAX);
        let is_whole = !self.reading.is_part
            && self.filters.is_empty()
            && self.reading.prunes.is_empty()
            && self.reading.terms.is_unknown()
            && self.reading.limit.is_none();
        // How many rows a filter lets pass is not known; that it is the smaller side of a join, is likely.
        let likely = self.filters.iter().fold(rows, |rows, _| rows.div_ceil(FILTER_PASSES_ONE_IN));
        let num_rows = match args.partition() {
            None if is_whole => Precision::Exact(rows),
            None => Precision::Inexact(likely.min(self.reading.limit.unwrap_or(usize::MAX))),
            Some(_) => Precision::Inexact(likely / self.num_partitions),
        };
        let unknown = vec![ColumnStatistics::new_unknown(); self.schema.fields().len()];
        Ok(Arc::new(Statistics { num_rows, total_byte_size: Precision::Absent, column_statistics: unknown }))
    }
}
