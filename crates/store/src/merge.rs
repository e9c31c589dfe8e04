//! Merging small segments of a day into one: the same blocks in the same order, in fewer files.
//!
//! A quiet table would otherwise leave hundreds of files a day, each with a footer and a term index of its own. Rows are
//! read back, every block is compared with its header (BLOCK-1), and only then are they written again; so damage is never
//! copied into a file that looks whole. The catalog changes in one commit. The files that were merged stay for the
//! queries that read them, and go some time later or at the next start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arrow::compute::concat_batches;
use moneta_base::{IngestDay, TableName, Timestamp};
use moneta_event::root_entry::ObjectRef;
use moneta_event::schema::IMPLIED_BY_HEADER;
use moneta_event::{Block, BlockHeader, Column, TableSchema, stored};
use moneta_merkle::{Hash, hash, leaf_hash};

use crate::encodings::Care;
use crate::segment::SegmentMeta;
use crate::{Error, Store, TimeRange, seal};

/// Neighbours that are merged while their day still grows, and the factor between two size classes. What is merged rises
/// by a class at least, so that each row is written again at most once a class, whatever the number of segments.
const RUN_MIN: usize = 8;
/// Segments merged at once.
const RUN_MAX: usize = 64;
/// Rows of a merged segment at most: they are in memory while it is written.
const MERGED_ROWS_MAX: u64 = (RUN_MIN as u64).pow(CLASSES);
/// Bytes of the files merged at most.
const MERGED_BYTES_MAX: u64 = 16 << 20;
/// Size classes: class `n` has fewer than 8^(n+1) rows.
const CLASSES: u32 = 6;
/// How long merged files stay: longer than any query may run.
const GRACE: Duration = Duration::from_secs(20 * 60);

/// A file that was merged into another, or moved, and waits to be removed.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) since: Timestamp,
    pub(crate) path: PathBuf,
}

/// What a merge replaced by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The files that held the rows.
    pub old: Vec<ObjectRef>,
    /// The segment that holds them now.
    pub new: Arc<SegmentMeta>,
}

impl Store {
    /// Neighbouring segments of a table that should be one, if any: many of a size while their day grows, any small ones
    /// once it is over. Runs whose first segment is to be left alone are passed over.
    #[must_use]
    pub fn due_merge(
        &self,
        table: &TableName,
        today: IngestDay,
        leave: &dyn Fn(&SegmentMeta) -> bool,
    ) -> Option<Vec<Arc<SegmentMeta>>> {
        let tables = self.read();
        let segments = &tables.get(table)?.segments;
        // What was moved stays as it is.
        let are_near = |a: &SegmentMeta, b: &SegmentMeta| a.moved.is_none() && b.moved.is_none();
        let days = segments.chunk_by(|a, b| a.shard == b.shard && a.end_seq == b.first_seq && are_near(a, b));
        days.filter(|day| day.len() > 1)
            .find_map(|day| due_run(day, day[0].shard.day < today, leave))
            .map(<[_]>::to_vec)
    }

    /// Merges neighbouring segments of one day. `headers` are those of their blocks.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a segment does not hold the blocks of the headers; [`Error::Io`]; [`Error::Encode`]. The
    /// old segments then stay listed.
    pub fn merge(&self, run: &[Arc<SegmentMeta>], headers: &[BlockHeader], now: Timestamp) -> Result<Merged, Error> {
        let _sealing = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = run.first() else { return Err(Error::NotListed(PathBuf::new())) };
        let name = &first.shard.table;
        let schema = self.schema(name).ok_or_else(|| Error::NotListed(self.file_of(&first.path)))?;
        let mut blocks = Vec::new();
        for segment in run {
            blocks.extend(self.blocks_of(segment, &schema, headers)?);
        }
        let care = if first.shard.day < now.day() { Care::Lasting } else { Care::Quick };
        let new = Arc::new(seal::write_segment(&**self.file_system(), self.dir(), &blocks, care)?.meta);
        drop(blocks);
        let merged = Merged { old: run.iter().map(|segment| object_ref(segment)).collect(), new: new.clone() };
        let mut logs = self.lock_logs();
        let log = self.certain_log(&mut logs, name)?;
        {
            let tables = self.read();
            let listed = tables.get(name).map_or(&[][..], |table| &table.segments);
            if listed.iter().any(|segment| **segment == *new) {
                // An attempt that seemed to fail had come through.
                return Ok(merged);
            }
            if let Some(gone) = run.iter().find(|segment| !listed.contains(*segment)) {
                return Err(Error::NotListed(self.file_of(&gone.path)));
            }
        }
        log.commit_merge(&**self.file_system(), run, &new, now)?;
        if let Some(table) = self.write().get_mut(name) {
            table.replace(run, new);
        }
        let retired = run.iter().map(|segment| Retired { since: now, path: self.file_of(&segment.path) });
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).extend(retired);
        Ok(merged)
    }

    /// The last merge of every table whose result is still listed: its root entry may be missing after a crash.
    #[must_use]
    pub fn last_merges(&self) -> Vec<Merged> {
        let tables = self.read();
        let last = tables.values().filter_map(|table| {
            let (old, path) = table.last_merge.clone()?;
            let new = table.segments.iter().find(|segment| segment.path == path)?.clone();
            Some(Merged { old, new })
        });
        last.collect()
    }

    /// Removes files that were merged long enough ago; returns how many.
    ///
    /// # Errors
    /// [`Error::Io`]: those that remain are tried again.
    pub fn remove_retired(&self, now: Timestamp) -> Result<usize, Error> {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let mut removed = 0;
        while let Some(oldest) = retired.first().filter(|file| now.since(file.since) >= GRACE) {
            self.remove_if_there(&oldest.path)?;
            retired.remove(0);
            removed += 1;
        }
        Ok(removed)
    }

    /// Removes the merged files of a day that is dropped.
    pub(crate) fn remove_retired_below(&self, day_dir: &Path) -> Result<(), Error> {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        for file in retired.iter().filter(|file| file.path.starts_with(day_dir)) {
            self.remove_if_there(&file.path)?;
        }
        retired.retain(|file| !file.path.starts_with(day_dir));
        Ok(())
    }

    /// The blocks of a segment, each as it was signed for.
    fn blocks_of(
        &self,
        segment: &SegmentMeta,
        schema: &TableSchema,
        headers: &[BlockHeader],
    ) -> Result<Vec<Arc<Block>>, Error> {
        let path = self.file_of(&segment.path);
        let corrupt = |reason: String| Error::corrupt(&path, reason);
        let own = headers
            .iter()
            .filter(|header| segment.first_seq <= header.first_seq && header.end_seq() <= segment.end_seq);
        let own: Vec<&BlockHeader> = own.collect();
        let leaves: Vec<Hash> = own.iter().map(|header| leaf_hash(&header.encode())).collect();
        if hash::root_of(&leaves) != segment.blocks_root {
            return Err(corrupt("the ledger has other blocks of its rows than it was made of".to_owned()));
        }
        // Columns that the file lacks are not made up for it.
        let footer = self.footer_of(segment)?;
        let is_there = |column: &&Column| footer.arrow.schema().field_with_name(&column.name).is_ok();
        let columns: Vec<Column> = schema.columns().iter().filter(is_there).cloned().collect();
        let batches = self.read_segment(segment, &columns, TimeRange::ALL)?.collect::<Result<Vec<_>, _>>()?;
        let first = batches.first().ok_or_else(|| corrupt("it holds no rows".to_owned()))?;
        let rows = concat_batches(&first.schema(), &batches).map_err(|error| corrupt(error.to_string()))?;
        if rows.num_rows() as u64 != segment.num_rows() {
            return Err(corrupt(format!("it holds {} rows, not {}", rows.num_rows(), segment.num_rows())));
        }
        let kept: Vec<usize> = (0..rows.num_columns())
            .filter(|index| !IMPLIED_BY_HEADER.contains(&rows.schema_ref().field(*index).name().as_str()))
            .collect();
        let rows = rows.project(&kept).map_err(|error| corrupt(error.to_string()))?;
        let block = |header: &&BlockHeader| {
            let offset = usize::try_from(header.first_seq - segment.first_seq).expect("rows in memory can be counted");
            let rows = stored::canonical(&rows.slice(offset, header.num_rows as usize));
            let rows = rows.map_err(|error| corrupt(error.to_string()))?;
            let block = Block { header: (*header).clone(), rows };
            let check = block.check().map_err(|error| corrupt(format!("block at _Seq {}: {error}", header.first_seq)));
            check.map(|()| Arc::new(block))
        };
        own.iter().map(block).collect()
    }
}

/// A file as the root log names it.
fn object_ref(segment: &SegmentMeta) -> ObjectRef {
    ObjectRef { path: segment.path.clone(), size_bytes: segment.size_bytes, hash: segment.hash }
}

/// The first run of a day's segments that should be one.
fn due_run<'a>(
    day: &'a [Arc<SegmentMeta>],
    is_over: bool,
    leave: &dyn Fn(&SegmentMeta) -> bool,
) -> Option<&'a [Arc<SegmentMeta>]> {
    let of_class = (0..CLASSES).find_map(|class| {
        let rows_max = (RUN_MIN as u64).pow(class + 1);
        run_of(day, rows_max, leave, &|run, rows| run.len() >= RUN_MIN && rows >= rows_max)
    });
    of_class.or_else(|| if is_over { run_of(day, MERGED_ROWS_MAX, leave, &|run, _| run.len() > 1) } else { None })
}

/// The first neighbours of less than `rows_max` rows each that fit one segment and are `enough`, given their rows.
fn run_of<'a>(
    day: &'a [Arc<SegmentMeta>],
    rows_max: u64,
    leave: &dyn Fn(&SegmentMeta) -> bool,
    enough: &dyn Fn(&[Arc<SegmentMeta>], u64) -> bool,
) -> Option<&'a [Arc<SegmentMeta>]> {
    let mut start = 0;
    while start < day.len() {
        let (mut end, mut rows, mut bytes) = (start, 0, 0);
        while let Some(segment) = day.get(end).filter(|segment| segment.num_rows() < rows_max && end - start < RUN_MAX)
        {
            if rows + segment.num_rows() > MERGED_ROWS_MAX || bytes + segment.size_bytes > MERGED_BYTES_MAX {
                break;
            }
            rows += segment.num_rows();
            bytes += segment.size_bytes;
            end += 1;
        }
        if enough(&day[start..end], rows) && !leave(&day[start]) {
            return Some(&day[start..end]);
        }
        start = end.max(start + 1);
    }
    None
}
