//! Reading a table for a query: hot blocks and segments as one DataFusion table, pruned by time, filtered, counted as it
//! goes.
//!
//! A scan never hides a failure: a segment that cannot be read fails it, and is left out only by name. Filters that look at single rows are
//! applied here, column by column; all others stay in the plan above, and here only spare reading what they cannot
//! match.

mod chunk;
mod exec;
pub(crate) mod expression;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType, Volatility};
use datafusion::physical_plan::ExecutionPlan;
use moneta_event::terms::TermCondition;
use moneta_event::{Block, Column, TableSchema};
use moneta_ports::Completeness;
use moneta_store::{Prune, SegmentColumns, TimeRange};

use crate::cache::ColumnCache;
use crate::prune::{is_only_times, prunes_of_filters, times_of_filters};
use crate::recall::Recall;
use crate::terms::{Counted, counted, terms_of_filters};
pub(crate) use chunk::ScanColumn;
pub(crate) use exec::{Piece, ScanExec};

/// A sealed segment as a scan sees it.
pub trait SegmentSource: Send + Sync + fmt::Debug {
    /// Its name, which no other segment has.
    fn name(&self) -> Arc<str>;

    /// Event times of its rows, both ends included.
    fn time_range(&self) -> TimeRange;

    /// Number of its rows.
    fn num_rows(&self) -> u64;

    /// Opens it for reading column by column.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged, naming it.
    fn open(&self) -> Result<SegmentColumns, String>;

    /// What is decoded of it already.
    fn cache(&self) -> &ColumnCache;
}

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

/// Counts what the scans of one query read, and remembers what they could not.
#[derive(Debug, Default)]
pub struct ScanCounters {
    /// Without `not_read`, which `unreadable` says.
    counts: Mutex<Completeness>,
    unreadable: Mutex<Unreadable>,
}

/// Segments that cannot be read, each with the reason.
#[derive(Debug, Default)]
struct Unreadable {
    /// Found by a scan, which failed.
    found: BTreeMap<Arc<str>, String>,
    /// Left out of every scan since.
    left_out: BTreeMap<Arc<str>, String>,
}

impl ScanCounters {
    /// The counts so far.
    #[must_use]
    pub fn completeness(&self) -> Completeness {
        let left_out = &self.unreadable().left_out;
        let not_read = left_out.iter().map(|(name, reason)| format!("segment {name}: {reason}")).collect();
        Completeness { not_read, ..self.counts().clone() }
    }

    /// Adds to the counts: once for a piece of a table, never for a row.
    fn count(&self, add: impl FnOnce(&mut Completeness)) {
        add(&mut self.counts());
    }

    /// Puts the counts back to what they were: what was read in vain is not counted.
    pub(crate) fn count_from(&self, before: &Completeness) {
        *self.counts() = before.clone();
    }

    /// Leaves the segments that failed a scan out of those that follow; `false` when none did.
    pub(crate) fn leave_out_unreadable(&self) -> bool {
        let mut unreadable = self.unreadable();
        let found = std::mem::take(&mut unreadable.found);
        let is_any = !found.is_empty();
        unreadable.left_out.extend(found);
        is_any
    }

    fn find_unreadable(&self, name: Arc<str>, reason: String) {
        self.unreadable().found.insert(name, reason);
    }

    fn is_left_out(&self, unit: &ScanUnit) -> bool {
        matches!(unit, ScanUnit::Segment(segment) if self.unreadable().left_out.contains_key(&segment.name()))
    }

    fn counts(&self) -> MutexGuard<'_, Completeness> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreadable(&self) -> MutexGuard<'_, Unreadable> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A Moneta table as DataFusion sees it: a snapshot of its units.
#[derive(Debug)]
pub struct ScanTable {
    columns: Vec<Column>,
    schema: SchemaRef,
    units: Vec<ScanUnit>,
    counters: Arc<ScanCounters>,
    recall: Option<Arc<Recall>>,
    is_part: bool,
}

impl ScanTable {
    /// A table over a snapshot.
    #[must_use]
    pub fn new(schema: &TableSchema, units: Vec<ScanUnit>, counters: Arc<ScanCounters>) -> Self {
        let (columns, schema) = (schema.columns().to_vec(), bare_schema(schema));
        Self { columns, schema, units, counters, recall: None, is_part: false }
    }

    /// The same for a question that comes again.
    pub(crate) fn with_recall(self, recall: Option<&Arc<Recall>>) -> Self {
        Self { recall: recall.cloned(), ..self }
    }

    /// The same as a part of what is asked about: its number of rows is no answer to how many there are.
    pub(crate) fn into_part(mut self) -> Self {
        self.is_part = true;
        self
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
        let support = |filter: &&Expr| match is_of_rows(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = projection.cloned().unwrap_or_else(|| (0..self.columns.len()).collect());
        let schema = Arc::new(self.schema.project(&kept)?);
        let times = times_of_filters(filters);
        let readable = self.units.iter().filter(|unit| !self.counters.is_left_out(unit)).cloned();
        let (units, pruned): (Vec<_>, Vec<_>) = readable.partition(|unit| may_match(unit, times));
        let num_segments = count_segments(&pruned);
        self.counters.count(|counts| {
            counts.segments_pruned += num_segments;
            counts.blocks_pruned += pruned.len() as u64 - num_segments;
        });
        // A filter that is not applied here lets rows pass that are not in the answer: then no number of rows suffices.
        let limit = if filters.iter().all(is_of_rows) { limit } else { None };
        let (prunes, terms) = (prunes_of_filters(filters, times), terms_of_filters(filters, &self.columns));
        let counted = counted(filters, &self.columns);
        let (counters, recall) = (self.counters.clone(), self.recall.clone());
        let reading = Reading { units, times, prunes, terms, counted, limit, counters, recall, is_part: self.is_part };
        let column = |index: &usize| ScanColumn { column: self.columns[*index].clone(), path: None };
        let read = kept.iter().map(column).collect();
        let all = DFSchema::try_from(self.schema.clone())?;
        let own = filters.iter().filter(|filter| is_of_rows(filter));
        let own = own.map(|filter| Ok((state.create_physical_expr(filter.clone(), &all)?, is_only_times(filter))));
        let own = own.collect::<Result<Vec<_>>>()?;
        let partitions = reading.partitions(state.config().target_partitions());
        let scan = ScanExec::new(schema, read, reading, partitions);
        Ok(Arc::new(scan.filtered(&own, &self.schema, &self.columns)?))
    }
}

/// Rows that one partition should have at least: below that, another costs more than it saves.
const PARTITION_ROWS_MIN: u64 = 32_768;

/// What is read, and what of it.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    units: Vec<ScanUnit>,
    /// The times asked for.
    times: TimeRange,
    prunes: Vec<Prune>,
    /// What the term index of a segment is asked.
    terms: TermCondition,
    /// All that the filters come to, if a segment may know how many rows pass without reading them.
    counted: Option<Counted>,
    limit: Option<usize>,
    counters: Arc<ScanCounters>,
    /// What is kept of questions that come again, if this is one.
    recall: Option<Arc<Recall>>,
    /// Whether rows from elsewhere join those read.
    is_part: bool,
}

impl Reading {
    fn num_rows(&self) -> u64 {
        let rows = |unit: &ScanUnit| match unit {
            ScanUnit::Hot(block) => u64::from(block.header.num_rows),
            ScanUnit::Rows(rows) => rows.num_rows() as u64,
            ScanUnit::Segment(segment) => segment.num_rows(),
        };
        self.units.iter().map(rows).sum()
    }

    fn partitions(&self, wanted: usize) -> usize {
        let worthwhile = usize::try_from(self.num_rows() / PARTITION_ROWS_MIN).unwrap_or(usize::MAX);
        wanted.min(worthwhile).max(1)
    }
}

/// Whether a filter's verdict on a row depends on that row alone and is the same each time.
fn is_of_rows(filter: &Expr) -> bool {
    let mut is_of_rows = true;
    let walked = filter.apply(|part| {
        is_of_rows = match part {
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Volatile,
            Expr::Column(_)
            | Expr::Literal(..)
            | Expr::Alias(_)
            | Expr::BinaryExpr(_)
            | Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::Not(_)
            | Expr::IsNotNull(_)
            | Expr::IsNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Negative(_)
            | Expr::Between(_)
            | Expr::Case(_)
            | Expr::Cast(_)
            | Expr::TryCast(_)
            | Expr::InList(_) => true,
            _ => false,
        };
        Ok(if is_of_rows { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    is_of_rows && walked.is_ok()
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

/// A segment that could not be read: the scan fails, and what is asked anew without it says so in its answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnreadableSegment(pub String);
