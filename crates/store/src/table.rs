//! One table in memory: its columns, its segments, its hot rows.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use moneta_base::fs::FileSystem;
use moneta_base::{IngestDay, Seq, TableName};
use moneta_event::root_entry::ObjectRef;
use moneta_event::{Block, Column, ColumnType, TableCatalog, TableSchema};

use crate::Error;
use crate::delta::{DeltaLog, Replayed};
use crate::leftovers::{self, Unlisted};
use crate::segment::SegmentMeta;
use crate::store::HotStats;

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: Arc<TableSchema>,
    /// In order of `_Seq`.
    pub(crate) segments: Vec<Arc<SegmentMeta>>,
    /// In order of `_Seq`, beginning where the sealed rows end.
    pub(crate) hot: Vec<Arc<Block>>,
    pub(crate) unlisted: Vec<Unlisted>,
    /// What the last merge took off the list, and the path of its result.
    pub(crate) last_merge: Option<(Vec<ObjectRef>, String)>,
    hot_bytes: usize,
    /// `_Seq` after the last row ever sealed; its segment may have been dropped.
    sealed_end: Seq,
}

impl Table {
    pub(crate) fn new(name: &TableName, catalog: &TableCatalog) -> Self {
        let schema = catalog.get(name.as_str()).cloned();
        Self {
            schema: schema.unwrap_or_else(|| Arc::new(TableSchema::custom(name.clone()))),
            segments: Vec::new(),
            hot: Vec::new(),
            unlisted: Vec::new(),
            last_merge: None,
            hot_bytes: 0,
            sealed_end: 0,
        }
    }

    pub(crate) fn open(
        fs: &dyn FileSystem,
        dir: &Path,
        name: &TableName,
        catalog: &TableCatalog,
    ) -> Result<(Self, DeltaLog), Error> {
        let (log, replayed) = DeltaLog::open(fs, dir, name)?;
        let mut table = Self::new(name, catalog);
        let removed = table.adopt(replayed)?;
        table.unlisted = leftovers::tidy(fs, dir, &table.segments, &removed)?;
        Ok((table, log))
    }

    /// Takes over what a catalog says; returns the paths it took off the list.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when two segments hold the same rows.
    pub(crate) fn adopt(&mut self, replayed: Replayed) -> Result<BTreeSet<String>, Error> {
        self.schema = Arc::new(self.schema.with_columns(replayed.columns));
        self.segments = replayed.segments.into_values().map(Arc::new).collect();
        self.segments.sort_by_key(|segment| segment.first_seq);
        if let Some(pair) = self.segments.windows(2).find(|pair| pair[0].end_seq > pair[1].first_seq) {
            let reason = format!("the catalog lists rows of it in {} too", pair[0].path);
            return Err(Error::corrupt(Path::new(&pair[1].path), reason));
        }
        self.set_sealed_end(replayed.sealed_end);
        self.last_merge = replayed.last_merge;
        Ok(replayed.removed)
    }

    pub(crate) fn sealed_end(&self) -> Seq {
        self.sealed_end
    }

    /// The `_Seq` of the row that must come next.
    pub(crate) fn next_seq(&self) -> Seq {
        self.hot.last().map_or(self.sealed_end, |block| block.header.end_seq())
    }

    /// Enters a published segment and lets go of its hot rows, in one step for whoever looks.
    pub(crate) fn swap_in(&mut self, segment: Arc<SegmentMeta>) {
        self.set_sealed_end(segment.end_seq);
        self.segments.push(segment);
    }

    /// Enters a segment in place of those that were merged into it, in one step for whoever looks.
    pub(crate) fn replace(&mut self, old: &[Arc<SegmentMeta>], new: Arc<SegmentMeta>) {
        self.segments.retain(|segment| !old.contains(segment));
        let place = self.segments.partition_point(|segment| segment.first_seq < new.first_seq);
        self.segments.insert(place, new);
    }

    fn set_sealed_end(&mut self, sealed_end: Seq) {
        self.sealed_end = self.sealed_end.max(sealed_end);
        self.hot.retain(|block| block.header.end_seq() > self.sealed_end);
        self.hot_bytes = self.hot.iter().map(|block| rows_bytes(&block.rows)).sum();
    }

    /// Adds a block behind the rows that are there; one that is there already is left out.
    pub(crate) fn add_hot(&mut self, block: Arc<Block>) -> Result<(), Error> {
        let header = &block.header;
        let expected = self.next_seq();
        if header.end_seq() <= expected {
            return Ok(());
        }
        if header.first_seq != expected {
            let table = header.shard.table.clone();
            return Err(Error::Gap { table, expected, found: header.first_seq });
        }
        self.add_columns(&block.rows)?;
        self.hot_bytes += rows_bytes(&block.rows);
        self.hot.push(block);
        Ok(())
    }

    pub(crate) fn hot_stats(&self) -> Option<HotStats> {
        let (first, last) = (&self.hot.first()?.header, &self.hot.last()?.header);
        let (oldest, end_seq) = (first.ingest_time, last.end_seq());
        Some(HotStats { num_blocks: self.hot.len(), bytes: self.hot_bytes, oldest, end_seq })
    }

    pub(crate) fn hot_bytes(&self) -> usize {
        self.hot_bytes
    }

    pub(crate) fn has_hot_on(&self, day: IngestDay) -> bool {
        self.hot.iter().any(|block| block.header.shard.day == day)
    }

    /// Enters the columns of `rows` that the table lacks.
    pub(crate) fn add_columns(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        let schema = rows.schema();
        let mut new_columns = Vec::new();
        for field in schema.fields() {
            let column_type = ColumnType::of_field(field);
            let known = self.schema.column(field.name()).map(|column| column.column_type);
            match column_type {
                Some(column_type) if known.is_none() => new_columns.push(Column::new(field.name(), column_type)),
                Some(_) if known == column_type => {}
                _ => {
                    let (table, column) = (self.schema.name().clone(), field.name().clone());
                    return Err(Error::ColumnType { table, column });
                }
            }
        }
        if !new_columns.is_empty() {
            self.schema = Arc::new(self.schema.with_columns(new_columns));
        }
        Ok(())
    }
}

/// Bytes of the rows themselves: several blocks, or batches of one piece of a table, may share one allocation.
#[must_use]
pub fn rows_bytes(rows: &RecordBatch) -> usize {
    let of_column = |array: &ArrayRef| array.to_data().get_slice_memory_size().unwrap_or(array.get_array_memory_size());
    rows.columns().iter().map(of_column).sum()
}
