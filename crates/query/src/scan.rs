//! Reading a table for a query: hot blocks and segments as one DataFusion table, pruned by time, counted as it goes.
//!
//! A scan never hides a failure: a segment that cannot be read fails the query. Filters stay in the plan above the
//! scan; here they only spare reading what they cannot match.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
};
use moneta_event::{Block, Column, TableSchema, stored};
use moneta_ports::Completeness;
use moneta_store::TimeRange;

use crate::prune::times_of_filters;

/// Rows of one file as a scan sees them.
pub trait SegmentSource: Send + Sync + fmt::Debug {
    /// Event times of its rows, both ends included.
    fn time_range(&self) -> TimeRange;

    /// Reads its rows in order of `_Seq`.
    ///
    /// # Shapes
    /// Batches with exactly the wanted columns; rows outside `times` may be left out, never others.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged, naming it.
    fn read(&self, wanted: &[Column], times: TimeRange) -> Result<SegmentRows, String>;
}

/// Batches of a segment as they are read.
pub type SegmentRows = Box<dyn Iterator<Item = Result<RecordBatch, String>> + Send>;

/// One piece of a table.
#[derive(Debug, Clone)]
pub enum ScanUnit {
    /// A block not yet sealed.
    Hot(Arc<Block>),
    /// Rows in memory that are in no block: files queried without a store.
    Rows(RecordBatch),
    /// A sealed segment.
    Segment(Arc<dyn SegmentSource>),
}

/// Counts what the scans of one query read.
#[derive(Debug, Default)]
pub struct ScanCounters {
    segments_read: AtomicU64,
    segments_pruned: AtomicU64,
    blocks_read: AtomicU64,
    rows_scanned: AtomicU64,
}

impl ScanCounters {
    /// The counts so far.
    #[must_use]
    pub fn completeness(&self) -> Completeness {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Completeness {
            segments_read: get(&self.segments_read),
            segments_pruned: get(&self.segments_pruned),
            blocks_read: get(&self.blocks_read),
            rows_scanned: get(&self.rows_scanned),
            not_read: Vec::new(),
        }
    }
}

/// A Moneta table as DataFusion sees it: a snapshot of its units.
#[derive(Debug)]
pub struct ScanTable {
    columns: Vec<Column>,
    schema: SchemaRef,
    units: Vec<ScanUnit>,
    counters: Arc<ScanCounters>,
}

impl ScanTable {
    /// A table over a snapshot.
    #[must_use]
    pub fn new(schema: &TableSchema, units: Vec<ScanUnit>, counters: Arc<ScanCounters>) -> Self {
        Self { columns: schema.columns().to_vec(), schema: bare_schema(schema), units, counters }
    }
}

/// The columns without metadata: DataFusion compares it when it unites inputs, and the binder knows the types.
fn bare_schema(schema: &TableSchema) -> SchemaRef {
    let field = |column: &Column| column.column_type.field(&column.name).with_metadata(HashMap::new());
    Arc::new(Schema::new(schema.columns().iter().map(field).collect::<Vec<_>>()))
}

#[async_trait]
impl TableProvider for ScanTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (schema, columns) = match projection {
            Some(kept) => {
                (Arc::new(self.schema.project(kept)?), kept.iter().map(|index| self.columns[*index].clone()).collect())
            }
            None => (self.schema.clone(), self.columns.clone()),
        };
        let times = times_of_filters(filters);
        let (units, pruned): (Vec<_>, Vec<_>) = self.units.iter().cloned().partition(|unit| may_match(unit, times));
        self.counters.segments_pruned.fetch_add(count_segments(&pruned), Ordering::Relaxed);
        let partitions = split(units, state.config().target_partitions());
        // With filters above, the first rows read need not be among the answer.
        let limit = if filters.is_empty() { limit } else { None };
        Ok(Arc::new(ScanExec::new(schema, columns, partitions, times, limit, self.counters.clone())))
    }
}

fn may_match(unit: &ScanUnit, times: TimeRange) -> bool {
    match unit {
        ScanUnit::Hot(block) => times.overlaps(block.header.event_time_min, block.header.event_time_max),
        ScanUnit::Rows(_) => true,
        ScanUnit::Segment(segment) => times.overlaps(segment.time_range().from, segment.time_range().to),
    }
}

fn count_segments(units: &[ScanUnit]) -> u64 {
    units.iter().map(|unit| u64::from(matches!(unit, ScanUnit::Segment(_)))).sum()
}

/// Deals units out to at most `partitions` partitions, each a contiguous run, so that a partition keeps `_Seq` order.
fn split(units: Vec<ScanUnit>, partitions: usize) -> Vec<Vec<ScanUnit>> {
    let per_partition = units.len().div_ceil(partitions.max(1)).max(1);
    let chunks: Vec<_> = units.chunks(per_partition).map(<[ScanUnit]>::to_vec).collect();
    if chunks.is_empty() { vec![Vec::new()] } else { chunks }
}

/// Reads the units of a table.
///
/// # Shapes
/// One stream per partition; batches with exactly the projected columns.
#[derive(Debug)]
struct ScanExec {
    schema: SchemaRef,
    columns: Vec<Column>,
    partitions: Vec<Vec<ScanUnit>>,
    times: TimeRange,
    limit: Option<usize>,
    counters: Arc<ScanCounters>,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    fn new(
        schema: SchemaRef,
        columns: Vec<Column>,
        partitions: Vec<Vec<ScanUnit>>,
        times: TimeRange,
        limit: Option<usize>,
        counters: Arc<ScanCounters>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { schema, columns, partitions, times, limit, counters, properties: Arc::new(properties) }
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units: usize = self.partitions.iter().map(Vec::len).sum();
        let segments: u64 = self.partitions.iter().map(|units| count_segments(units)).sum();
        let names: Vec<_> = self.schema.fields().iter().take(16).map(|field| field.name().as_str()).collect();
        let more = if self.schema.fields().len() > names.len() { ", …" } else { "" };
        write!(
            f,
            "ScanExec: units={units} segments={segments} times={} columns=[{}{more}]",
            self.times,
            names.join(", ")
        )
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

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        // Two batches in flight: reading goes on while the plan above works, and memory stays bounded.
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let sender = builder.tx();
        let reader = UnitReader {
            schema: self.schema.clone(),
            columns: self.columns.clone(),
            times: self.times,
            rows_left: self.limit.unwrap_or(usize::MAX),
            counters: self.counters.clone(),
        };
        let units = self.partitions[partition].clone();
        builder.spawn_blocking(move || reader.read_all(&units, &mut |batch| sender.blocking_send(Ok(batch)).is_ok()));
        Ok(builder.build())
    }
}

/// Reads units one after the other into a consumer, until it wants no more.
struct UnitReader {
    schema: SchemaRef,
    columns: Vec<Column>,
    times: TimeRange,
    rows_left: usize,
    counters: Arc<ScanCounters>,
}

impl UnitReader {
    fn read_all(mut self, units: &[ScanUnit], consume: &mut dyn FnMut(RecordBatch) -> bool) -> Result<()> {
        for unit in units {
            if !self.read_unit(unit, consume)? {
                break;
            }
        }
        Ok(())
    }

    /// Reads one unit; `false` when the consumer wants no more.
    fn read_unit(&mut self, unit: &ScanUnit, consume: &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool> {
        match unit {
            ScanUnit::Hot(block) => {
                self.counters.blocks_read.fetch_add(1, Ordering::Relaxed);
                let rows = self.block_rows(block)?;
                Ok(self.pass_on(rows, consume))
            }
            ScanUnit::Rows(rows) => {
                let rows = self.align(rows)?;
                Ok(self.pass_on(rows, consume))
            }
            ScanUnit::Segment(segment) => {
                self.counters.segments_read.fetch_add(1, Ordering::Relaxed);
                let failed = |message| DataFusionError::External(Box::new(UnreadableSegment(message)));
                for rows in segment.read(&self.columns, self.times).map_err(failed)? {
                    let rows = self.without_metadata(&rows.map_err(failed)?)?;
                    if !self.pass_on(rows, consume) {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// The wanted columns of a block; the implied ones are made only when they are wanted.
    fn block_rows(&self, block: &Block) -> Result<RecordBatch> {
        let stored_schema = block.rows.schema();
        let wanted = |name: &str| self.columns.iter().any(|column| *column.name == *name);
        let kept: Vec<usize> =
            (0..stored_schema.fields().len()).filter(|i| wanted(stored_schema.field(*i).name())).collect();
        let projected = block.rows.project(&kept)?;
        let rows = match moneta_event::schema::IMPLIED_BY_HEADER.iter().any(|name| wanted(name)) {
            true => stored::with_implied_columns(&block.header, 0, &projected),
            false => projected,
        };
        self.align(&rows)
    }

    fn align(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let rows = stored::align(rows, &self.columns).map_err(|error| DataFusionError::External(Box::new(error)))?;
        self.without_metadata(&rows)
    }

    fn without_metadata(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), rows.columns().to_vec(), &options)?)
    }

    fn pass_on(&mut self, rows: RecordBatch, consume: &mut dyn FnMut(RecordBatch) -> bool) -> bool {
        let rows = rows.slice(0, rows.num_rows().min(self.rows_left));
        self.rows_left -= rows.num_rows();
        self.counters.rows_scanned.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
        consume(rows) && self.rows_left > 0
    }
}

/// A segment that could not be read: the query fails and names it, because an answer without it would be wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnreadableSegment(pub String);
