//! Moving segments to the bucket, and removing from it what no catalog lists.
//!
//! The order is the same every time, so that a crash between any two steps loses nothing: the key is noted as loose; the
//! object is put; it is read back whole and compared; the catalog lists it in place of the file; the note is taken off;
//! the file goes when no query can be reading it. Until the commit the file counts, from then on the object.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use moneta_base::objects::{ListedObject, ObjectLock, ObjectName};
use moneta_base::{IngestDay, TableName, Timestamp};
use moneta_merkle::sha256;

use crate::bucket::Bucket;
use crate::merge::Retired;
use crate::segment::{Moved, SegmentMeta};
use crate::{Error, Store};

/// How long an object may be unlisted before it is taken for what a crash left behind: longer than any upload takes.
const GRACE: Duration = Duration::from_secs(3600);
/// Loose objects at which nothing more is moved.
const LOOSE_MAX: usize = 100_000;
/// Versions of one key that are removed at most.
const VERSIONS_MAX: usize = 16;
/// Days after which a segment is moved though it could still be merged.
const MERGED_BY_DAYS: i64 = 2;

/// What was removed from the bucket.
#[derive(Debug, Default)]
pub struct Collected {
    /// Objects that are gone.
    pub removed: usize,
    /// Objects that could not be removed, and why: they are tried again.
    pub failed: Vec<(String, Error)>,
}

impl Store {
    /// Segments that have been here for as long as they are to be: those of days so many days ago, the oldest first.
    /// Those that are about to be merged wait.
    #[must_use]
    pub fn due_moves(&self, local_days: u32, today: IngestDay) -> Vec<Arc<SegmentMeta>> {
        let mut due = Vec::new();
        let age = |day: IngestDay| i64::from(today.0) - i64::from(day.0);
        for table in self.tables_with_rows() {
            let run = self.due_merge(&table, today, &|_| false).unwrap_or_default();
            let waits = |segment: &Arc<SegmentMeta>| age(segment.shard.day) < MERGED_BY_DAYS && run.contains(segment);
            let tables = self.read();
            let segments = tables.get(&table).map_or(&[][..], |table| &table.segments);
            let here = segments.iter().filter(|segment| segment.moved.is_none());
            let old = here.filter(|segment| age(segment.shard.day) >= i64::from(local_days));
            due.extend(old.filter(|segment| !waits(segment)).cloned());
        }
        due.sort_by_key(|segment| (segment.shard.day, segment.path.clone()));
        due
    }

    /// Moves a segment to the bucket.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file or what the bucket gives back is not what was sealed; [`Error::NotListed`] when
    /// it was merged, moved or dropped meanwhile; [`Error::Claimed`], [`Error::Overwrites`] when the bucket is not to be
    /// used; [`Error::Io`]. The file then counts as before.
    pub fn move_segment(
        &self,
        segment: &Arc<SegmentMeta>,
        lock: Option<ObjectLock>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let bucket = self.bucket()?;
        let _changing = bucket.changing.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.claim()?;
        let count = bucket.loose.lock().unwrap_or_else(PoisonError::into_inner).keys().len();
        if count >= LOOSE_MAX {
            return Err(Error::TooManyLoose { count });
        }
        let path = self.file_of(&segment.path);
        let bytes = self.file_system().read(&path).map_err(Error::io("read", &path))?;
        if sha256(&bytes) != segment.hash {
            return Err(Error::corrupt(&path, "its SHA-256 is not the one it was sealed with"));
        }
        let key = bucket.key_of(&segment.object_name());
        // From the first try on: an object that stays other than was asked for goes after its time, and makes room for one
        // that is.
        if !bucket.loose.lock().unwrap_or_else(PoisonError::into_inner).keys().contains_key(&key) {
            bucket.loosen(std::slice::from_ref(&key), now.saturating_add(GRACE))?;
        }
        let object = bucket.objects().put_new(&key, bytes, segment.hash.as_bytes(), lock);
        let object = object.map_err(bucket.failed("write", &key))?;
        let found = bucket.digest_of(&object, segment.size_bytes).map_err(bucket.failed("read back", &key))?;
        let uri = bucket.objects().uri(&key);
        if found != segment.hash {
            return Err(Error::corrupt(&PathBuf::from(uri), "what was read back is not what was written"));
        }
        let moved = SegmentMeta { moved: Some(Moved { uri, version: object.version }), ..(**segment).clone() };
        self.list_moved(segment, Arc::new(moved), now)?;
        let retired = Retired { since: now, path };
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(retired);
        bucket.fasten(&key)
    }

    /// Lists a segment at its new place.
    fn list_moved(&self, old: &Arc<SegmentMeta>, new: Arc<SegmentMeta>, now: Timestamp) -> Result<(), Error> {
        let name = &old.shard.table;
        let mut logs = self.lock_logs();
        let log = self.certain_log(&mut logs, name)?;
        {
            let tables = self.read();
            let listed = tables.get(name).map_or(&[][..], |table| &table.segments);
            if listed.contains(&new) {
                // An attempt that seemed to fail had come through.
                return Ok(());
            }
            if !listed.contains(old) {
                return Err(Error::NotListed(self.file_of(&old.path)));
            }
        }
        log.commit_move(&**self.file_system(), old, &new, now)?;
        if let Some(table) = self.write().get_mut(name) {
            table.replace(std::slice::from_ref(old), new);
        }
        Ok(())
    }

    /// Removes from the bucket what no catalog lists and was noted before: what crashes left, and what was dropped.
    ///
    /// # Errors
    /// [`Error::Claimed`], [`Error::Overwrites`]; [`Error::Io`] when a catalog cannot be read. Objects that cannot be
    /// removed are in the result.
    pub fn collect_loose(&self, now: Timestamp) -> Result<Collected, Error> {
        let Some(bucket) = &self.bucket else { return Ok(Collected::default()) };
        let _changing = bucket.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let due: Vec<String> = {
            let loose = bucket.loose.lock().unwrap_or_else(PoisonError::into_inner);
            let due = loose.keys().iter().filter(|(_, not_before)| now >= **not_before);
            due.map(|(key, _)| key.clone()).collect()
        };
        if due.is_empty() {
            return Ok(Collected::default());
        }
        bucket.claim()?;
        let listed = self.listed_keys(bucket)?;
        let mut collected = Collected::default();
        for key in due {
            if let Some(segment) = listed.get(&key) {
                // Its move had come through though it seemed to fail, and its file is not needed any more.
                let retired = Retired { since: now, path: self.file_of(&segment.path) };
                self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(retired);
                bucket.fasten(&key)?;
                continue;
            }
            match remove_all_versions(bucket, &key) {
                Ok(()) => {
                    bucket.fasten(&key)?;
                    collected.removed += 1;
                }
                Err(error) => {
                    bucket.loosen(std::slice::from_ref(&key), now.saturating_add(GRACE))?;
                    collected.failed.push((key, error));
                }
            }
        }
        Ok(collected)
    }

    /// The keys that the catalogs on disk list. Catalogs whose last commit ended unclear are read again first: an object
    /// must not be removed that such a commit lists.
    fn listed_keys(&self, bucket: &Bucket) -> Result<BTreeMap<String, Arc<SegmentMeta>>, Error> {
        let mut logs = self.lock_logs();
        let names: BTreeSet<TableName> = logs.keys().cloned().chain(self.read().keys().cloned()).collect();
        for name in names {
            self.certain_log(&mut logs, &name)?;
        }
        let key_of = |segment: &Arc<SegmentMeta>| {
            Some((bucket.objects().key_of(&segment.moved.as_ref()?.uri)?, segment.clone()))
        };
        Ok(self.read().values().flat_map(|table| &table.segments).filter_map(key_of).collect())
    }

    /// Notes the objects of segments that are about to be dropped: they go with the next collection.
    pub(crate) fn loosen_dropped(&self, dropped: &[Arc<SegmentMeta>]) -> Result<(), Error> {
        let moved = dropped.iter().filter(|segment| segment.moved.is_some());
        let objects = moved.map(|segment| self.object_of(segment)).collect::<Result<Vec<_>, _>>()?;
        let keys: Vec<String> = objects.into_iter().map(|(_, object)| object.key).collect();
        match &self.bucket {
            Some(bucket) if !keys.is_empty() => bucket.loosen(&keys, Timestamp::default()),
            _ => Ok(()),
        }
    }

    /// The segments that were moved.
    #[must_use]
    pub fn moved_segments(&self) -> Vec<Arc<SegmentMeta>> {
        let tables = self.read();
        let moved = tables.values().flat_map(|table| &table.segments).filter(|segment| segment.moved.is_some());
        moved.cloned().collect()
    }

    /// The one of them that is meant.
    #[must_use]
    pub fn moved_segment(&self, is_meant: impl Fn(&SegmentMeta) -> bool) -> Option<Arc<SegmentMeta>> {
        let tables = self.read();
        let mut moved = tables.values().flat_map(|table| &table.segments).filter(|segment| segment.moved.is_some());
        moved.find(|segment| is_meant(segment)).cloned()
    }

    /// The sizes of the objects of segments that were moved, by the path of the segment; those that are not in the
    /// bucket are left out.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Elsewhere`]: nobody can say then.
    pub fn moved_sizes(&self) -> Result<BTreeMap<String, u64>, Error> {
        let moved = self.moved_segments();
        if moved.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut by_key = BTreeMap::new();
        for segment in &moved {
            by_key.insert(self.object_of(segment)?.1.key, segment.path.clone());
        }
        let bucket = self.bucket()?;
        let mut sizes = BTreeMap::new();
        let mut note = |object: ListedObject| {
            sizes.extend(by_key.get(&object.key).map(|path| (path.clone(), object.size_bytes)));
        };
        let prefix = bucket.prefix();
        bucket.objects().list(&prefix, &mut note).map_err(bucket.failed("list", &prefix))?;
        Ok(sizes)
    }

    /// The SHA-256 of the object of a segment that was moved, as the bucket has it now.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Elsewhere`].
    pub fn moved_digest(&self, segment: &SegmentMeta) -> Result<moneta_merkle::Hash, Error> {
        let (bucket, object) = self.object_of(segment)?;
        bucket.digest_of(&object, segment.size_bytes).map_err(bucket.failed("read", &object.key))
    }

    /// The whole file of a segment that was moved.
    ///
    /// # Errors
    /// As [`Self::moved_digest`].
    pub fn read_moved(&self, segment: &SegmentMeta) -> Result<Vec<u8>, Error> {
        let (bucket, object) = self.object_of(segment)?;
        bucket.read(&object, segment.size_bytes).map_err(bucket.failed("read", &object.key))
    }

    /// Objects that wait to be removed from the bucket.
    #[must_use]
    pub fn num_loose_objects(&self) -> usize {
        let count = |bucket: &Arc<Bucket>| bucket.loose.lock().unwrap_or_else(PoisonError::into_inner).keys().len();
        self.bucket.as_ref().map_or(0, count)
    }

    fn bucket(&self) -> Result<&Arc<Bucket>, Error> {
        self.bucket.as_ref().ok_or(Error::NoBucket)
    }
}

/// Removes a key with every version of it.
fn remove_all_versions(bucket: &Bucket, key: &str) -> Result<(), Error> {
    for _ in 0..VERSIONS_MAX {
        let object: ObjectName = match bucket.objects().newest(key) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(bucket.failed("find", key))?.0,
        };
        bucket.objects().delete(&object).map_err(bucket.failed("remove", key))?;
    }
    Ok(())
}
