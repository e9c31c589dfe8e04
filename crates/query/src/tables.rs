//! Where a query's tables come from: the store, or rows in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use moneta_base::TableName;
use moneta_event::{Column, TableSchema};
use moneta_store::{SegmentColumns, SegmentMeta, Store, TimeRange};

use crate::cache::ColumnCache;
use crate::scan::{ScanUnit, SegmentSource};

/// Tables by name, each as a snapshot of its pieces.
pub trait Tables: Send + Sync {
    /// The columns of every table.
    fn schemas(&self) -> Vec<Arc<TableSchema>>;

    /// A table at this moment.
    fn snapshot(&self, table: &TableName) -> Option<(Arc<TableSchema>, Vec<ScanUnit>)>;

    /// Gives a table columns before any event brings them; they come first, in this order.
    ///
    /// # Errors
    /// Which column the table has with another type, or that nothing can be declared here.
    fn declare(&self, table: &TableName, _columns: &[Column]) -> Result<Arc<TableSchema>, String> {
        Err(format!("{table} is of files, not of a store"))
    }

    /// Forgets a table that never had a row; false when it has or had one.
    fn forget_unused(&self, _table: &TableName) -> bool {
        false
    }
}

/// The tables of a store.
pub struct StoreTables {
    store: Arc<Store>,
    cache: Arc<ColumnCache>,
}

impl StoreTables {
    /// The tables of a store, with at most `cache_bytes` of decoded columns kept in memory.
    #[must_use]
    pub fn new(store: Arc<Store>, cache_bytes: usize) -> Self {
        Self { store, cache: Arc::new(ColumnCache::new(cache_bytes)) }
    }
}

impl Tables for StoreTables {
    fn schemas(&self) -> Vec<Arc<TableSchema>> {
        self.store.schemas()
    }

    fn snapshot(&self, table: &TableName) -> Option<(Arc<TableSchema>, Vec<ScanUnit>)> {
        let snapshot = self.store.snapshot(table)?;
        let segment = |meta| {
            ScanUnit::Segment(Arc::new(StoredSegment { store: self.store.clone(), cache: self.cache.clone(), meta }))
        };
        let sealed = snapshot.segments.into_iter().map(segment);
        let units = sealed.chain(snapshot.hot.into_iter().map(ScanUnit::Hot)).collect();
        Some((snapshot.schema, units))
    }

    fn declare(&self, table: &TableName, columns: &[Column]) -> Result<Arc<TableSchema>, String> {
        self.store.declare(table, columns).map_err(|error| error.to_string())
    }

    fn forget_unused(&self, table: &TableName) -> bool {
        self.store.forget_unused(table)
    }
}

/// A segment of the store as the scan sees it.
#[derive(Debug)]
struct StoredSegment {
    store: Arc<Store>,
    cache: Arc<ColumnCache>,
    meta: Arc<SegmentMeta>,
}

impl SegmentSource for StoredSegment {
    fn name(&self) -> Arc<str> {
        self.meta.path.as_str().into()
    }

    fn time_range(&self) -> TimeRange {
        TimeRange { from: self.meta.event_time_min, to: self.meta.event_time_max }
    }

    fn num_rows(&self) -> u64 {
        self.meta.num_rows()
    }

    fn open(&self) -> Result<SegmentColumns, String> {
        self.store.segment_columns(&self.meta).map_err(|error| error.to_string())
    }

    fn cache(&self) -> &ColumnCache {
        &self.cache
    }
}

/// Tables held in memory: files queried without a store.
#[derive(Debug, Default)]
pub struct MemoryTables {
    tables: BTreeMap<TableName, (Arc<TableSchema>, Vec<RecordBatch>)>,
}

impl MemoryTables {
    /// Adds rows to a table; columns the schema lacks are added to it.
    pub fn add(&mut self, schema: &Arc<TableSchema>, rows: RecordBatch) {
        let fields = rows.schema();
        let entry = self.tables.entry(schema.name().clone()).or_insert_with(|| (schema.clone(), Vec::new()));
        let unknown = fields.fields().iter().filter(|field| entry.0.index_of(field.name()).is_none());
        let new_columns: Vec<Column> = unknown
            .filter_map(|field| Some(Column::new(field.name(), moneta_event::ColumnType::of_field(field)?)))
            .collect();
        if !new_columns.is_empty() {
            entry.0 = Arc::new(entry.0.with_columns(new_columns));
        }
        entry.1.push(rows);
    }

    /// The columns a table has here so far.
    #[must_use]
    pub fn schema(&self, table: &TableName) -> Option<&Arc<TableSchema>> {
        self.tables.get(table).map(|(schema, _)| schema)
    }
}

impl Tables for MemoryTables {
    fn schemas(&self) -> Vec<Arc<TableSchema>> {
        self.tables.values().map(|(schema, _)| schema.clone()).collect()
    }

    fn snapshot(&self, table: &TableName) -> Option<(Arc<TableSchema>, Vec<ScanUnit>)> {
        let (schema, rows) = self.tables.get(table)?;
        Some((schema.clone(), rows.iter().cloned().map(ScanUnit::Rows).collect()))
    }
}
