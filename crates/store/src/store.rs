//! The tables as queries and the keeper see them.
//!
//! Two locks: one over the catalogs on disk, held while a commit is written and synced; one over the tables in memory,
//! held only for the moment of a change, so that neither queries nor arriving blocks wait for a disk. Whoever needs
//! both takes the catalogs first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use moneta_base::fs::{FileSystem, create_dir_durably};
use moneta_base::{Seq, TableName, Timestamp};
use moneta_event::{Block, Column, ParsedBatch, TableCatalog, TableSchema, fit};

use crate::bucket::{Bucket, BucketOptions};
use crate::cache::Cache;
use crate::delta::DeltaLog;
use crate::encodings::Care;
use crate::file::Footer;
use crate::leftovers;
use crate::merge::Retired;
use crate::reader::FOOTERS_BYTES_MAX;
use crate::segment::{PublishedSegment, Segment, SegmentMeta};
use crate::table::Table;
use crate::terms::{HEADS_BYTES_MAX, HeadCache};
use crate::{Error, seal};

/// Everything stored of one installation.
#[derive(Debug)]
pub struct Store {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    catalog: TableCatalog,
    logs: Mutex<BTreeMap<TableName, DeltaLog>>,
    tables: RwLock<BTreeMap<TableName, Table>>,
    /// Held while a segment is written: two writers of one file would cut each other short.
    pub(crate) sealing: Mutex<()>,
    /// Merged files that queries may still read, the oldest first.
    pub(crate) retired: Mutex<Vec<Retired>>,
    pub(crate) footers: Cache<String, Footer>,
    pub(crate) term_heads: Arc<HeadCache>,
    /// The bucket that segments are moved to, if there is one.
    pub(crate) bucket: Option<Arc<Bucket>>,
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
    /// The `_Seq` after the last row.
    pub end_seq: Seq,
}

impl Store {
    /// Opens the store in `dir`, making the directory if it is not there, and removes what an interrupted seal or drop
    /// left behind.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a catalog cannot be read; [`Error::Io`].
    pub fn open(fs: Arc<dyn FileSystem>, dir: &Path, catalog: TableCatalog) -> Result<Self, Error> {
        create_dir_durably(&*fs, dir).map_err(Error::io("create", dir))?;
        let (mut tables, mut logs) = (BTreeMap::new(), BTreeMap::new());
        for entry in fs.list(dir).map_err(Error::io("list", dir))?.into_iter().filter(|entry| entry.is_dir) {
            let Ok(name) = TableName::new(entry.name()) else { continue };
            let (table, log) = Table::open(&*fs, &entry.path, &name, &catalog)?;
            tables.insert(name.clone(), table);
            logs.insert(name, log);
        }
        let (logs, tables) = (Mutex::new(logs), RwLock::new(tables));
        let dir = dir.to_owned();
        let footers = Cache::new(FOOTERS_BYTES_MAX);
        let term_heads = Arc::new(HeadCache::new(HEADS_BYTES_MAX));
        let (sealing, retired) = (Mutex::new(()), Mutex::default());
        Ok(Self { fs, dir, catalog, logs, tables, sealing, retired, footers, term_heads, bucket: None })
    }

    /// The same store with a bucket, where segments lie that were moved and others may be moved to.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Corrupt`] when the list of objects that wait to be removed cannot be read.
    pub fn with_bucket(mut self, options: BucketOptions) -> Result<Self, Error> {
        self.bucket = Some(Arc::new(Bucket::open(self.fs.clone(), options)?));
        Ok(self)
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
        let built_in = self.catalog.iter().map(|schema| (schema.name().clone(), schema.clone()));
        let mut schemas: BTreeMap<_, _> = built_in.collect();
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
        let with_rows = tables.iter().filter(|(_, table)| !table.segments.is_empty() || !table.hot.is_empty());
        with_rows.map(|(name, _)| name.clone()).collect()
    }

    /// Makes a batch fit its table: values of columns that the table knows under another type move to `_Extra`, and
    /// new columns of a custom table are entered, so that the first batch with a new field decides its type.
    pub fn fit(&self, batch: ParsedBatch) -> ParsedBatch {
        let mut tables = self.write();
        let table = self.entry(&mut tables, &batch.table);
        let batch = fit::fit(batch, &table.schema);
        if let Err(error) = table.add_columns(&batch.rows) {
            // Only a column without a Kusto type is left to refuse, and the journal refuses it with its name.
            tracing::error!(%error, "a batch has a column that no table can hold");
        }
        batch
    }

    /// Gives a table columns before any event brings them. They come first, in this order; further columns that the
    /// table has follow. Batches fit to them from now on, until the store is opened anew.
    ///
    /// # Errors
    /// [`Error::ColumnType`] when the table has one of them with another type; it stays as it was.
    pub fn declare(&self, table: &TableName, columns: &[Column]) -> Result<Arc<TableSchema>, Error> {
        let mut tables = self.write();
        let known = self.schema_in(&tables, table);
        let differs = |column: &&Column| known.column(&column.name).is_some_and(|other| other != *column);
        if let Some(column) = columns.iter().find(differs) {
            return Err(Error::ColumnType { table: table.clone(), column: column.name.to_string() });
        }
        let all = columns.iter().chain(known.own_columns()).cloned();
        let declared = Arc::new(TableSchema::new(table.clone(), all));
        self.entry(&mut tables, table).schema = declared.clone();
        Ok(declared)
    }

    /// Forgets a table that never had a row; false when it has or had one, or nobody has heard of it.
    pub fn forget_unused(&self, table: &TableName) -> bool {
        let mut tables = self.write();
        let is_unused = tables.get(table).is_some_and(|table| table.next_seq() == 0);
        is_unused && tables.remove(table).is_some()
    }

    fn schema_in(&self, tables: &BTreeMap<TableName, Table>, name: &TableName) -> Arc<TableSchema> {
        tables.get(name).map_or_else(|| Table::new(name, &self.catalog).schema, |table| table.schema.clone())
    }

    /// Adds a durable block; one that is here already is left out.
    ///
    /// # Errors
    /// [`Error::Gap`] when rows before it are missing: the journal or the store has lost files.
    /// [`Error::ColumnType`] for a block that [`Self::fit`] did not see.
    pub fn add_hot(&self, block: Arc<Block>) -> Result<(), Error> {
        let mut tables = self.write();
        self.entry(&mut tables, &block.header.shard.table).add_hot(block)
    }

    /// The `_Seq` after the last sealed row of every table with sealed rows, dropped ones included.
    #[must_use]
    pub fn sealed_ends(&self) -> BTreeMap<TableName, Seq> {
        let tables = self.read();
        let ends = tables.iter().map(|(name, table)| (name.clone(), table.sealed_end()));
        ends.filter(|(_, end)| *end > 0).collect()
    }

    /// The segment whose first row has this sequence.
    #[must_use]
    pub fn segment_beginning_at(&self, table: &TableName, first_seq: Seq) -> Option<Arc<SegmentMeta>> {
        let tables = self.read();
        let segments = &tables.get(table)?.segments;
        let index = segments.binary_search_by_key(&first_seq, |segment| segment.first_seq).ok()?;
        Some(segments[index].clone())
    }

    /// The tables with unsealed rows.
    #[must_use]
    pub fn hot_stats(&self) -> BTreeMap<TableName, HotStats> {
        let tables = self.read();
        tables.iter().filter_map(|(name, table)| Some((name.clone(), table.hot_stats()?))).collect()
    }

    /// Bytes of all unsealed rows in memory.
    #[must_use]
    pub fn hot_bytes(&self) -> usize {
        self.read().values().map(Table::hot_bytes).sum()
    }

    /// Files with rows that no catalog lists: they are kept until the rows are sealed again. An operator should look
    /// when there are any long after a start.
    #[must_use]
    pub fn unlisted_files(&self) -> Vec<PathBuf> {
        let tables = self.read();
        tables.values().flat_map(|table| table.unlisted.iter().map(|file| file.path.clone())).collect()
    }

    /// Writes a segment of the oldest unsealed blocks of a table that share an ingest day; `None` when there are none.
    /// The file is durable when this returns; queries see it after [`Self::publish`].
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Encode`]; the rows stay hot.
    pub fn seal(&self, table: &TableName) -> Result<Option<Segment>, Error> {
        let _sealing = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(snapshot) = self.snapshot(table) else { return Ok(None) };
        let blocks = seal::oldest_day(&snapshot.hot);
        if blocks.is_empty() {
            return Ok(None);
        }
        seal::write_segment(&*self.fs, &self.dir, blocks, Care::Quick).map(Some)
    }

    /// Lists a segment in the catalog and swaps it for its hot rows.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Conflict`] when another process writes this store; [`Error::Gap`] for a segment that
    /// does not follow the last. The rows stay hot.
    pub fn publish(&self, segment: Segment, now: Timestamp) -> Result<PublishedSegment, Error> {
        let meta = Arc::new(segment.meta);
        let name = &meta.shard.table;
        let mut logs = self.lock_logs();
        let log = self.certain_log(&mut logs, name)?;
        let (schema, expected) = {
            let mut tables = self.write();
            let table = self.entry(&mut tables, name);
            if let Some(listed) = table.segments.iter().find(|listed| ***listed == *meta) {
                // An attempt that seemed to fail had come through.
                return Ok(PublishedSegment { meta: listed.clone() });
            }
            (table.schema.clone(), table.sealed_end())
        };
        if meta.first_seq != expected {
            return Err(Error::Gap { table: name.clone(), expected, found: meta.first_seq });
        }
        log.commit_segment(&*self.fs, &schema, &meta, now)?;
        let mut tables = self.write();
        let table = self.entry(&mut tables, name);
        table.swap_in(meta.clone());
        let (gone, kept) = std::mem::take(&mut table.unlisted).into_iter().partition(|file: &leftovers::Unlisted| {
            leftovers::are_listed(&table.segments, file.first_seq, file.end_seq)
        });
        table.unlisted = kept;
        drop(tables);
        self.remove_leftovers(gone, &meta);
        Ok(PublishedSegment { meta })
    }

    /// Writes a checkpoint of the catalog of every table that has had enough commits since the last; returns how many.
    /// To be called when everything that was committed has its root entry.
    ///
    /// # Errors
    /// [`Error::Io`]: the catalog is as good without.
    pub fn checkpoint_catalogs(&self, now: Timestamp) -> Result<usize, Error> {
        let mut logs = self.lock_logs();
        let mut written = 0;
        for (name, log) in logs.iter_mut().filter(|(_, log)| log.is_checkpoint_due()) {
            let (segments, sealed_end) = {
                let tables = self.read();
                let Some(table) = tables.get(name) else { continue };
                (table.segments.clone(), table.sealed_end())
            };
            log.write_checkpoint(&*self.fs, name, &segments, sealed_end, now)?;
            written += 1;
        }
        Ok(written)
    }

    /// The file or directory of a path as [`SegmentMeta::path`] gives it.
    #[must_use]
    pub fn file_of(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes a file; one that is gone already is no error.
    pub(crate) fn remove_if_there(&self, path: &Path) -> Result<(), Error> {
        match self.fs.remove_file(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(Error::io("remove", path)),
        }
    }

    /// The files.
    #[must_use]
    pub fn file_system(&self) -> &Arc<dyn FileSystem> {
        &self.fs
    }

    /// Removes files whose rows the catalog now lists elsewhere; failing that, the next start does.
    fn remove_leftovers(&self, files: Vec<leftovers::Unlisted>, published: &SegmentMeta) {
        let published = self.file_of(&published.path);
        for file in files.into_iter().filter(|file| file.path != published) {
            if let Err(error) = self.fs.remove_file(&file.path) {
                tracing::warn!(%error, file = %file.path.display(), "a leftover stays until the next start");
            }
        }
    }

    /// The log of a table, read again first when its last commit ended unclear.
    pub(crate) fn certain_log<'a>(
        &self,
        logs: &'a mut BTreeMap<TableName, DeltaLog>,
        name: &TableName,
    ) -> Result<&'a mut DeltaLog, Error> {
        let table_dir = self.dir.join(name.as_str());
        let log = logs.entry(name.clone()).or_insert_with(|| DeltaLog::new(table_dir.clone()));
        if log.is_unsure() {
            let (read, replayed) = DeltaLog::open(&*self.fs, &table_dir, name)?;
            self.entry(&mut self.write(), name).adopt(replayed)?;
            *log = read;
        }
        Ok(log)
    }

    pub(crate) fn lock_logs(&self) -> MutexGuard<'_, BTreeMap<TableName, DeltaLog>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, BTreeMap<TableName, Table>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<TableName, Table>> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry<'a>(&self, tables: &'a mut BTreeMap<TableName, Table>, name: &TableName) -> &'a mut Table {
        tables.entry(name.clone()).or_insert_with(|| Table::new(name, &self.catalog))
    }
}
