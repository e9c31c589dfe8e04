//! Where a query's tables come from: the store, or rows in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use moneta_base::TableName;
use moneta_event::{Column, TableSchema};
use moneta_store::{SegmentMeta, Store, TimeRange};

use crate::scan::{ScanUnit, SegmentRows, SegmentSource};

/// Tables by name, each as a snapshot of its pieces.
pub trait Tables: Send + Sync {
    /// The columns of every table.
    fn schemas(&self) -> Vec<Arc<TableSchema>>;

    /// A table at this moment.
    fn snapshot(&self, table: &TableName) -> Option<(Arc<TableSchema>, Vec<ScanUnit>)>;
}

/// The tables of a store.
pub struct StoreTables(pub Arc<Store>);

impl Tables for StoreTables {
    fn schemas(&self) -> Vec<Arc<TableSchema>> {
        self.0.schemas()
    }

    fn snapshot(&self, table: &TableName) -> Option<(Arc<TableSchema>, Vec<ScanUnit>)> {
        let snapshot = self.0.snapshot(table)?;
        let segment = |meta| ScanUnit::Segment(Arc::new(StoredSegment { store: self.0.clone(), meta }));
        let sealed = snapshot.segments.into_iter().map(segment);
        let units = sealed.chain(snapshot.hot.into_iter().map(ScanUnit::Hot)).collect();
        Some((snapshot.schema, units))
    }
}

/// A segment of the store as the scan sees it.
#[derive(Debug)]
struct StoredSegment {
    store: Arc<Store>,
    meta: Arc<SegmentMeta>,
}

impl SegmentSource for StoredSegment {
    fn time_range(&self) -> TimeRange {
        TimeRange { from: self.meta.event_time_min, to: self.meta.event_time_max }
    }

    fn read(&self, wanted: &[Column], times: TimeRange) -> Result<SegmentRows, String> {
        let reader = self.store.read_segment(&self.meta, wanted, times).map_err(|error| error.to_string())?;
        Ok(Box::new(reader.map(|rows| rows.map_err(|error| error.to_string()))))
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
