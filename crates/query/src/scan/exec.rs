//! The scan as DataFusion runs it: pieces of a table, filtered, with expressions computed over them.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
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
use moneta_store::{SegmentColumns, TimeRange};

use super::chunk::{Chunk, ScanColumn, Source};
use super::expression::{Columns, Computed, Expression, plain};
use super::{Reading, ScanUnit, SegmentSource, UnreadableSegment, count_segments};
use crate::cache::ColumnCache;
use crate::recall::{GroupedShape, PieceName, PlanRecall, Shape, ShapeRecall};

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
    /// Filters that say between which times rows lie and nothing else.
    time_filters: Vec<Expression>,
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
    /// What is kept of it; of another scan made of this one, something else.
    plan_recall: PlanRecall,
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
            time_filters: Vec::new(),
            filter_texts: Vec::new(),
            hints: Vec::new(),
            wants_newest: false,
            layers: Vec::new(),
            layer_texts: Vec::new(),
            num_partitions,
            is_counted: false,
            plan_recall: PlanRecall::default(),
            properties,
        }
    }

    /// The scan with filters over all columns of its table, each with whether it says nothing but between which times
    /// rows lie.
    pub(crate) fn filtered(
        mut self,
        filters: &[(Arc<dyn PhysicalExpr>, bool)],
        schema: &Schema,
        columns: &[Column],
    ) -> Result<Self> {
        for (filter, is_only_times) in filters {
            self.filter_texts.push(filter.to_string());
            let own = Arc::clone(filter).transform_down(|node| {
                let Some(column) = node.downcast_ref::<ColumnExpr>() else { return Ok(Transformed::no(node)) };
                let column = ScanColumn { column: columns[column.index()].clone(), path: None };
                let field = schema.field_with_name(&column.column.name)?.clone();
                let own: Arc<dyn PhysicalExpr> = Arc::new(self.reading_column(column, field));
                Ok(Transformed::new(own, true, TreeNodeRecursion::Jump))
            });
            let own = self.with_paths(&own.data()?)?;
            let own = Expression::new(&own, &self.read_schema)?;
            if *is_only_times { self.time_filters.push(own) } else { self.filters.push(own) }
        }
        Ok(self)
    }

    /// The scan with expressions over its columns computed, which become its columns.
    pub(crate) fn computed(&self, expressions: &[Arc<dyn PhysicalExpr>], schema: SchemaRef) -> Result<Self> {
        let mut scan = Self { plan_recall: PlanRecall::default(), ..self.clone() };
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

    /// What is kept of this scan, or of an aggregation over it, if it comes again. Where somebody wants not all rows,
    /// nothing is kept.
    pub(crate) fn recall(&self, grouped: Option<(Vec<Expression>, Vec<GroupedShape>)>) -> Option<ShapeRecall> {
        let recall = self.reading.recall.as_ref().filter(|_| self.reading.limit.is_none() && self.hints.is_empty())?;
        recall.of(Shape {
            read: self.read.clone(),
            terms: self.reading.terms.clone(),
            prunes: self
                .reading
                .prunes
                .iter()
                .filter(|prune| prune.column != standard::TIME_GENERATED)
                .cloned()
                .collect(),
            filters: self.filters.clone(),
            layers: self.layers.clone(),
            output: self.schema.clone(),
            grouped,
        })
    }

    /// Goes through the pieces of a partition, until no more are wanted.
    ///
    /// # Errors
    /// When a segment cannot be read, or what is done with a piece fails.
    pub(crate) fn pieces(&self, partition: usize, each: &mut dyn FnMut(&mut Piece<'_>) -> Result<bool>) -> Result<()> {
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
            let rows_left = &mut rows_left;
            let wants_more = match unit {
                ScanUnit::Segment(segment) => self
                    .groups(&**segment, partition, newest_first, rows_left, each)
                    .inspect_err(|error| self.note_unreadable(&**segment, error))?,
                ScanUnit::Hot(block) => each(&mut Piece { scan: self, rows_left, of: PieceOf::Block(block) })?,
                ScanUnit::Rows(rows) => each(&mut Piece { scan: self, rows_left, of: PieceOf::Rows(rows) })?,
            };
            if !wants_more {
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

    /// Goes through a partition's row groups of a segment; `false` when no more are wanted.
    fn groups(
        &self,
        source: &dyn SegmentSource,
        partition: usize,
        newest_first: bool,
        rows_left: &mut usize,
        each: &mut dyn FnMut(&mut Piece<'_>) -> Result<bool>,
    ) -> Result<bool> {
        let segment = source.open().map_err(unreadable)?;
        if partition == 0 {
            self.reading.counters.count(|counts| counts.segments_read += 1);
        }
        let mut groups: Vec<usize> = share(segment.num_groups(), partition, self.num_partitions).collect();
        if newest_first {
            groups.reverse();
        }
        for group in groups {
            let of = PieceOf::Group { segment: &segment, group, cache: source.cache() };
            if !each(&mut Piece { scan: self, rows_left: &mut *rows_left, of })? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a row group, as far as rows of it are wanted; `false` when no more are.
    fn read_group(
        &self,
        (segment, group, cache): (&SegmentColumns, usize, &ColumnCache),
        is_within: bool,
        rows_left: &mut usize,
        consume: &mut dyn FnMut(&dyn Columns) -> Result<bool>,
    ) -> Result<bool> {
        let counters = &self.reading.counters;
        if !segment.may_match(group, &self.reading.prunes) {
            counters.count(|counts| counts.groups_pruned += 1);
            return Ok(true);
        }
        if let Some(count) = self.count(segment, group)? {
            counters.count(|counts| counts.groups_counted += 1);
            return Ok(count == 0 || computed(&OnlyCounted(count), &self.layers, consume)?);
        }
        let rows = segment.rows_with(group, &self.reading.terms).map_err(|error| unreadable(error.to_string()))?;
        if rows.as_ref().is_some_and(|rows| rows.count_set_bits() == 0) {
            counters.count(|counts| counts.groups_without_terms += 1);
            return Ok(true);
        }
        counters.count(|counts| counts.groups_read += 1);
        let source = Source::Group { segment, group, cache, counters };
        self.read_chunk(Chunk::new(source, &self.read, rows), is_within, rows_left, consume)
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
        let count = count.map_err(|error| unreadable(error.to_string()))?;
        Ok(count.and_then(|count| usize::try_from(count).ok()))
    }

    /// Reads one piece, of which all rows lie within the times asked for or some may not; `false` when no more are wanted.
    fn read_chunk(
        &self,
        mut chunk: Chunk<'_>,
        is_within: bool,
        rows_left: &mut usize,
        consume: &mut dyn FnMut(&dyn Columns) -> Result<bool>,
    ) -> Result<bool> {
        // Rows that an index or a limit spares are not counted.
        let rows = chunk.num_rows();
        let time_filters = if is_within { &[] } else { self.time_filters.as_slice() };
        let is_filtered = !self.filters.is_empty() || !time_filters.is_empty();
        let scanned = if is_filtered { rows } else { rows.min(*rows_left) };
        chunk.filter(self.filters.iter().chain(time_filters))?;
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
        let bytes_of = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0);
        let bytes: usize = projected.columns().iter().map(bytes_of).sum();
        self.reading.counters.count(|counts| counts.bytes_read += bytes as u64);
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

    /// Sends the rows of a partition, those of a question that comes again as they were made before.
    fn run(&self, partition: usize, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<()> {
        let recall = self.plan_recall.get_or_init(|| self.recall(None)).as_ref();
        self.pieces(partition, &mut |piece| {
            if let Some(recall) = recall {
                let read = |piece: &mut Piece<'_>, send: &mut dyn FnMut(RecordBatch) -> bool| {
                    piece.read(&mut |rows| self.batches(rows, send))
                };
                if let Some(wants_more) = recall.pass(piece, send, read)? {
                    return Ok(wants_more);
                }
            }
            piece.read(&mut |rows| self.batches(rows, send))
        })
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

/// A piece of a table as a scan comes to it.
pub(crate) struct Piece<'a> {
    scan: &'a ScanExec,
    rows_left: &'a mut usize,
    of: PieceOf<'a>,
}

enum PieceOf<'a> {
    Block(&'a Block),
    Rows(&'a RecordBatch),
    Group { segment: &'a SegmentColumns, group: usize, cache: &'a ColumnCache },
}

impl Piece<'_> {
    /// Reads its rows into a consumer; `false` when no more are wanted.
    pub(crate) fn read(&mut self, consume: &mut dyn FnMut(&dyn Columns) -> Result<bool>) -> Result<bool> {
        let (scan, is_within) = (self.scan, self.is_within());
        let rows = match &self.of {
            PieceOf::Group { segment, group, cache } => {
                return scan.read_group((segment, *group, cache), is_within, self.rows_left, consume);
            }
            PieceOf::Block(block) => {
                scan.reading.counters.count(|counts| counts.blocks_read += 1);
                scan.block_rows(block)?
            }
            PieceOf::Rows(rows) => scan.align(rows)?,
        };
        scan.read_chunk(Chunk::new(Source::Rows(rows), &scan.read, None), is_within, self.rows_left, consume)
    }

    /// A name that no other piece has, if all its rows lie within the times asked for: what is made of it is then the
    /// same whenever the question comes.
    pub(crate) fn name(&self) -> Option<PieceName> {
        match &self.of {
            _ if !self.is_within() => None,
            PieceOf::Rows(_) => None,
            PieceOf::Block(block) => Some(PieceName::Block(block.header.shard.clone(), block.header.first_seq)),
            PieceOf::Group { segment, group, .. } => Some(PieceName::Group(segment.name().clone(), *group)),
        }
    }

    /// Notes that it was not read, because what is made of it is known.
    pub(crate) fn recalled(&self) {
        self.scan.reading.counters.count(|counts| counts.pieces_recalled += 1);
    }

    /// Whether all its rows lie within the times asked for.
    fn is_within(&self) -> bool {
        let times = self.scan.reading.times;
        match &self.of {
            PieceOf::Group { segment, group, .. } => segment.lies_within(*group, times),
            PieceOf::Block(block) => {
                let time = block.rows.column_by_name(standard::TIME_GENERATED);
                let (min, max) = (block.header.event_time_min, block.header.event_time_max);
                times == TimeRange::ALL
                    || times.from < min && max < times.to && time.is_some_and(|time| time.null_count() == 0)
            }
            PieceOf::Rows(_) => times == TimeRange::ALL,
        }
    }
}

fn unreadable(reason: String) -> DataFusionError {
    DataFusionError::External(Box::new(UnreadableSegment(reason)))
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
        Ok(SortOrderPushdownResult::Inexact {
            inner: Arc::new(Self { wants_newest: true, plan_recall: PlanRecall::default(), ..self.clone() }),
        })
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        results: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let mut scan = Self { plan_recall: PlanRecall::default(), ..self.clone() };
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
        builder.spawn_blocking(move || scan.run(partition, &mut |batch| sender.blocking_send(Ok(batch)).is_ok()));
        Ok(builder.build())
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let rows = usize::try_from(self.reading.num_rows()).unwrap_or(usize::MAX);
        let is_whole = !self.reading.is_part
            && self.filters.is_empty()
            && self.time_filters.is_empty()
            && self.reading.prunes.is_empty()
            && self.reading.terms.is_unknown()
            && self.reading.limit.is_none();
        // How many rows a filter lets pass is not known; that it is the smaller side of a join, is likely.
        let likely =
            self.filters.iter().chain(&self.time_filters).fold(rows, |rows, _| rows.div_ceil(FILTER_PASSES_ONE_IN));
        let num_rows = match args.partition() {
            None if is_whole => Precision::Exact(rows),
            None => Precision::Inexact(likely.min(self.reading.limit.unwrap_or(usize::MAX))),
            Some(_) => Precision::Inexact(likely / self.num_partitions),
        };
        let unknown = vec![ColumnStatistics::new_unknown(); self.schema.fields().len()];
        Ok(Arc::new(Statistics { num_rows, total_byte_size: Precision::Absent, column_statistics: unknown }))
    }
}
