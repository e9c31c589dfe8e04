//! The tables as queries and the keeper see them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arrow::array::RecordBatch;
use moneta_base::fs::FileSystem;
use moneta_base::{Seq, TableName, Timestamp};
use moneta_event::{Block, Column, ColumnType, ParsedBatch, TableCatalog, TableSchema, fit};

use crate::delta::DeltaLog;
use crate::segment::{PublishedSegment, Segment, SegmentMeta};
use crate::{Error, seal};

/// Everything stored of one installation.
#[derive(Debug)]
pub struct Store {
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) dir: PathBuf,
    catalog: TableCatalog,
    tables: RwLock<BTreeMap<TableName, Table>>,
}

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: Arc<TableSchema>,
    pub(crate) delta: DeltaLog,
    pub(crate) segments: Vec<Arc<SegmentMeta>>,
    hot: Vec<Arc<Block>>,
    hot_bytes: usize,
}

/// A table at one moment: every row exactly once.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    /// The columns.
    pub schema: Arc<TableSchema>,
    /// Sealed rows, in order of `_Seq`.
    pub segments: Vec<Arc<SegmentMeta>>,
    /// Rows not yet sealed, in order of `_Seq`, all after the segments.
    pub hot: Vec<Arc<Block>>,
}

impl TableSnapshot {
    /// Number of rows.
    #[must_use]
    pub fn num_rows(&self) -> u64 {
        let sealed: u64 = self.segments.iter().map(|segment| segment.num_rows()).sum();
        sealed + self.hot.iter().map(|block| u64::from(block.header.num_rows)).sum::<u64>()
    }
}

/// The unsealed rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotStats {
    /// Blocks.
    pub num_blocks: usize,
    /// Bytes they take in memory.
    pub bytes: usize,
    /// When the oldest became durable.
    pub oldest: Timestamp,
}

impl Store {
    /// Opens the store in `dir`, making the directory if it is not there, and removes what an interrupted seal or drop
    /// left behind.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a catalog cannot be read; [`Error::Io`].
    pub fn open(fs: Arc<dyn FileSystem>, dir: &Path, catalog: TableCatalog) -> Result<Self, Error> {
        fs.create_dir_all(dir).map_err(|source| Error::io("create", dir, source))?;
        let mut tables = BTreeMap::new();
        for entry in fs.list(dir).map_err(|source| Error::io("list", dir, source))? {
            let Ok(name) = TableName::new(entry.name()) else { continue };
            let table = Table::open(&*fs, &entry.path, &name, &catalog)?;
            tables.insert(name, table);
        }
        Ok(Self { fs, dir: dir.to_owned(), catalog, tables: RwLock::new(tables) })
    }

    /// The columns of a table; `None` when nobody has heard of it.
    #[must_use]
    pub fn schema(&self, table: &TableName) -> Option<Arc<TableSchema>> {
        let known = self.read().get(table).map(|table| table.schema.clone());
        known.or_else(|| self.catalog.get(table.as_str()).cloned())
    }

    /// The columns of every table: those with rows and the built-in ones.
    #[must_use]
    pub fn schemas(&self) -> Vec<Arc<TableSchema>> {
        let mut schemas: BTreeMap<_, _> =
            self.catalog.iter().map(|schema| (schema.name().clone(), schema.clone())).collect();
        schemas.extend(self.read().iter().map(|(name, table)| (name.clone(), table.schema.clone())));
        schemas.into_values().collect()
    }

    /// A table at this moment; `None` when nobody has heard of it.
    #[must_use]
    pub fn snapshot(&self, table: &TableName) -> Option<TableSnapshot> {
        let tables = self.read();
        let Some(table) = tables.get(table) else {
            let schema = self.catalog.get(table.as_str())?.clone();
            return Some(TableSnapshot { schema, segments: Vec::new(), hot: Vec::new() });
        };
        Some(TableSnapshot { schema: table.schema.clone(), segments: table.segments.clone(), hot: table.hot.clone() })
    }

    /// The tables that hold rows, by name.
    #[must_use]
    pub fn tables_with_rows(&self) -> Vec<TableName> {
        let tables = self.read();
        tables
            .iter()
            .filter(|(_, table)| !table.segments.is_empty() || !table.hot.is_empty())
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Makes a batch fit its table: values of columns that the table knows under another type move to `_Extra`, and
    /// new columns of a custom table are entered, so that the first batch with a new field decides its type.
    pub fn fit(&self, batch: ParsedBatch) -> ParsedBatch {
        let mut tables = self.write();
        let table = self.entry(&mut tables, &batch.table);
        let batch = fit::fit(batch, &table.schema);
        table.add_columns(&batch.rows);
        batch
    }

    /// Adds a durable block; one that is sealed already is left out.
    pub fn add_hot(&self, block: Arc<Block>) {
        let mut tables = self.write();
        let table = self.entry(&mut tables, &block.header.shard.table);
        if block.header.end_seq() <= table.sealed_end() {
            return;
        }
        table.add_columns(&block.rows);
        table.hot_bytes += block.rows.get_array_memory_size();
        table.hot.push(block);
    }

    /// The `_Seq` after the last sealed row of every table with segments.
    #[must_use]
    pub fn sealed_ends(&self) -> BTreeMap<TableName, Seq> {
        self.read().iter().map(|(name, table)| (name.clone(), table.sealed_end())).filter(|(_, end)| *end > 0).collect()
    }

    /// The segment whose first row has this sequence.
    #[must_use]
    pub fn segment_beginning_at(&self, table: &TableName, first_seq: Seq) -> Option<Arc<SegmentMeta>> {
        let tables = self.read();
        let segments = &tables.get(table)?.segments;
        segments.binary_search_by_key(&first_seq, |segment| segment.first_seq).ok().map(|index| segments[index].clone())
    }

    /// The tables with unsealed rows.
    #[must_use]
    pub fn hot_stats(&self) -> BTreeMap<TableName, HotStats> {
        let tables = self.read();
        tables.iter().filter_map(|(name, table)| Some((name.clone(), table.hot_stats()?))).collect()
    }

    /// Writes a segment of the oldest unsealed blocks of a table that share an ingest day; `None` when there are none.
    /// The file is durable when this returns; queries see it after [`Self::publish`].
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Encode`]; the rows stay hot.
    pub fn seal(&self, table: &TableName) -> Result<Option<Segment>, Error> {
        let Some(snapshot) = self.snapshot(table) else { return Ok(None) };
        let blocks = seal::oldest_day(&snapshot.hot);
        if blocks.is_empty() {
            return Ok(None);
        }
        seal::write_segment(&*self.fs, &self.dir, blocks).map(Some)
    }

    /// Lists a segment in the catalog and swaps it for its hot rows.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Conflict`] when another process writes this store. The rows stay hot.
    pub fn publish(&self, segment: Segment, now: Timestamp) -> Result<PublishedSegment, Error> {
        let meta = Arc::new(segment.meta);
        let mut tables = self.write();
        let table = self.entry(&mut tables, &meta.shard.table);
        let schema = table.schema.clone();
        table.delta.commit_segment(&*self.fs, &schema, &meta, now)?;
        table.hot.retain(|block| block.header.end_seq() > meta.end_seq);
        table.hot_bytes = table.hot.iter().map(|block| block.rows.get_array_memory_size()).sum();
        table.segments.push(meta.clone());
        Ok(PublishedSegment { meta })
    }

    /// The directory of a path as [`SegmentMeta::path`] gives it.
    #[must_use]
    pub fn file_of(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    /// The files.
    #[must_use]
    pub fn file_system(&self) -> &Arc<dyn FileSystem> {
        &self.fs
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, BTreeMap<TableName, Table>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<TableName, Table>> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry<'a>(&self, tables: &'a mut BTreeMap<TableName, Table>, name: &TableName) -> &'a mut Table {
        tables.entry(name.clone()).or_insert_with(|| {
            let schema = self.catalog.get(name.as_str()).cloned();
            let schema = schema.unwrap_or_else(|| Arc::new(TableSchema::custom(name.clone())));
            Table {
                schema,
                delta: DeltaLog::new(self.dir.join(name.as_str())),
                segments: Vec::new(),
                hot: Vec::new(),
                hot_bytes: 0,
            }
        })
    }
}

impl Table {
    fn open(fs: &dyn FileSystem, dir: &Path, name: &TableName, catalog: &TableCatalog) -> Result<Self, Error> {
        let (delta, replayed) = DeltaLog::open(fs, dir, name)?;
        let known = catalog.get(name.as_str()).cloned().unwrap_or_else(|| Arc::new(TableSchema::custom(name.clone())));
        let schema = Arc::new(known.with_columns(replayed.columns));
        let mut segments: Vec<_> = replayed.segments.into_values().map(Arc::new).collect();
        segments.sort_by_key(|segment| segment.first_seq);
        remove_leftovers(fs, dir, &segments)?;
        Ok(Self { schema, delta, segments, hot: Vec::new(), hot_bytes: 0 })
    }

    fn sealed_end(&self) -> Seq {
        self.segments.last().map_or(0, |segment| segment.end_seq)
    }

    fn hot_stats(&self) -> Option<HotStats> {
        let oldest = self.hot.first()?.header.ingest_time;
        Some(HotStats { num_blocks: self.hot.len(), bytes: self.hot_bytes, oldest })
    }

    pub(crate) fn has_hot_on(&self, day: moneta_base::IngestDay) -> bool {
        self.hot.iter().any(|block| block.header.shard.day == day)
    }

    /// Enters the columns of `rows` that the table lacks.
    fn add_columns(&mut self, rows: &RecordBatch) {
        let fields = rows.schema();
        let new_columns: Vec<Column> = fields
            .fields()
            .iter()
            .filter(|field| self.schema.index_of(field.name()).is_none())
            .filter_map(|field| Some(Column::new(field.name(), ColumnType::of_field(field)?)))
            .collect();
        if !new_columns.is_empty() {
            self.schema = Arc::new(self.schema.with_columns(new_columns));
        }
    }
}

/// Removes files of a table that its catalog does not list: the journal still has the rows of an interrupted seal, and
/// an interrupted drop is finished.
fn remove_leftovers(fs: &dyn FileSystem, dir: &Path, segments: &[Arc<SegmentMeta>]) -> Result<(), Error> {
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| Error::io(action, &path, source)
    };
    for day in fs
        .list(dir)
        .map_err(io("list", dir))?
        .into_iter()
        .filter(|entry| entry.is_dir && entry.name() != crate::delta::LOG_DIR)
    {
        for file in fs.list(&day.path).map_err(io("list", &day.path))? {
            let listed =
                segments.iter().any(|segment| segment.path.ends_with(&format!("{}/{}", day.name(), file.name())));
            if !listed {
                tracing::warn!(file = %file.path.display(), "removing a file that the catalog does not list");
                fs.remove_file(&file.path).map_err(io("remove", &file.path))?;
            }
        }
    }
    Ok(())
}
