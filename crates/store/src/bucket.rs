//! The bucket that segments are moved to: whose it is, what may be removed from it, and reading with a cache.
//!
//! # Objects
//! ```text
//! <prefix>/claim                                                     which copy of the installation may change the rest
//! <prefix>/<Table>/<yyyy-MM-dd>/<first>-<end>-<digest>.parquet       a segment; digest: 16 digits of its SHA-256
//! ```
//! The claim is `moneta claim v1`, a line end, and the 32 hexadecimal digits that the copy keeps in `instance` beside its
//! list of loose objects. A restored backup has none, makes others, and so may read but not change.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;
use moneta_base::Timestamp;
use moneta_base::fs::{FileSystem, create_dir_durably, write_atomically};
use moneta_base::objects::{ObjectName, Objects};
use moneta_merkle::{Hash, sha256};

use crate::Error;
use crate::loose::Loose;
use crate::part_cache::PartCache;

/// Bytes fetched at least, and kept as one file.
const PART_BYTES: u64 = 1 << 20;
/// Parts fetched by one request at most.
const PARTS_AT_ONCE: u64 = 16;
/// First line of a claim.
const CLAIM: &str = "moneta claim v1";

/// A bucket and how it is used.
#[derive(Debug)]
pub struct BucketOptions {
    /// The bucket.
    pub objects: Arc<dyn Objects>,
    /// What every key begins with, without a slash at its end. No two installations may share one.
    pub prefix: String,
    /// A directory for the cache and for what is known of the bucket.
    pub dir: PathBuf,
    /// Bytes of objects kept on disk at most.
    pub cache_bytes: u64,
    /// 32 random hexadecimal digits, for a directory that has no name yet.
    pub new_instance: String,
}

/// The bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    objects: Arc<dyn Objects>,
    prefix: String,
    instance: String,
    cache: PartCache,
    pub(crate) loose: Mutex<Loose>,
    /// Held while objects are put or removed, so that none is removed that is being listed.
    pub(crate) changing: Mutex<()>,
    is_claimed: Mutex<bool>,
}

/// The directory of the cache, within that of what is known of the bucket.
pub const CACHE_DIR: &str = "cache";

impl Bucket {
    pub(crate) fn open(fs: Arc<dyn FileSystem>, options: BucketOptions) -> Result<Self, Error> {
        let BucketOptions { objects, prefix, dir, cache_bytes, new_instance } = options;
        create_dir_durably(&*fs, &dir).map_err(Error::io("create", &dir))?;
        let instance = dir.join("instance");
        if !fs.exists(&instance) {
            write_atomically(&*fs, &instance, new_instance.as_bytes()).map_err(Error::io("write", &instance))?;
        }
        let text = fs.read(&instance).map_err(Error::io("read", &instance))?;
        let text = String::from_utf8(text).ok();
        let text = text.filter(|text| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let instance = text
            .ok_or_else(|| Error::corrupt(&instance, "it does not have the 32 hexadecimal digits that name a copy"))?;
        let loose = Mutex::new(Loose::open(fs.clone(), dir.join("loose"))?);
        let cache_dir = dir.join(CACHE_DIR);
        let cache = PartCache::open(fs, cache_dir.clone(), cache_bytes).map_err(Error::io("empty", &cache_dir))?;
        let (changing, is_claimed) = (Mutex::default(), Mutex::default());
        Ok(Self { objects, prefix, instance, cache, loose, changing, is_claimed })
    }

    pub(crate) fn objects(&self) -> &dyn Objects {
        &*self.objects
    }

    /// The key of a name below the prefix.
    pub(crate) fn key_of(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// What the keys of all objects begin with.
    pub(crate) fn prefix(&self) -> String {
        format!("{}/", self.prefix)
    }

    /// Makes sure that this copy of the installation may change the bucket, and that its server keeps what is there.
    pub(crate) fn claim(&self) -> Result<(), Error> {
        let mut is_claimed = self.is_claimed.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_claimed {
            return Ok(());
        }
        let (key, content) = (self.key_of("claim"), format!("{CLAIM}\n{}\n", self.instance).into_bytes());
        let place = || self.objects.uri(&self.prefix);
        match self.objects.put_new(&key, content.clone(), sha256(&content).as_bytes(), None) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::Claimed { place: place() });
            }
            other => other.map_err(self.failed("claim", &key))?,
        };
        if !self.objects.keeps_what_is_there(&key, content).map_err(self.failed("try", &key))? {
            return Err(Error::Overwrites { place: place() });
        }
        *is_claimed = true;
        Ok(())
    }

    /// Enters keys into the list of what may have to be removed.
    pub(crate) fn loosen(&self, keys: &[String], not_before: Timestamp) -> Result<(), Error> {
        let mut loose = self.loose.lock().unwrap_or_else(PoisonError::into_inner);
        loose.change(|all| all.extend(keys.iter().map(|key| (key.clone(), not_before))))
    }

    /// Takes a key off that list.
    pub(crate) fn fasten(&self, key: &str) -> Result<(), Error> {
        self.loose.lock().unwrap_or_else(PoisonError::into_inner).change(|all| {
            all.remove(key);
        })
    }

    /// The digest of a whole object, which is not cached: whoever asks wants to know what the bucket holds.
    pub(crate) fn digest_of(&self, object: &ObjectName, size_bytes: u64) -> io::Result<Hash> {
        let mut context = digest::Context::new(&digest::SHA256);
        self.for_each_piece(object, size_bytes, &mut |piece| context.update(piece))?;
        Ok(Hash::from_slice(context.finish().as_ref()).expect("SHA-256 has 32 bytes"))
    }

    /// The bytes of a whole object.
    pub(crate) fn read(&self, object: &ObjectName, size_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.for_each_piece(object, size_bytes, &mut |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    fn for_each_piece(&self, object: &ObjectName, size_bytes: u64, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut offset = 0;
        while offset < size_bytes {
            let len = (size_bytes - offset).min(PARTS_AT_ONCE * PART_BYTES);
            each(&self.objects.read_range(object, offset, to_len(len))?);
            offset += len;
        }
        Ok(())
    }

    /// Bytes of an object, from the cache as far as it has them.
    pub(crate) fn read_range(
        &self,
        object: &ObjectName,
        digest: Hash,
        size_bytes: u64,
        offset: u64,
        len: usize,
    ) -> io::Result<Vec<u8>> {
        let end = offset.saturating_add(len as u64);
        if end > size_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut out = Vec::with_capacity(len);
        let mut part = offset / PART_BYTES;
        let parts_end = end.div_ceil(PART_BYTES);
        while part < parts_end {
            if let Some(bytes) = self.cache.get((digest, part)) {
                push_wanted(&mut out, &bytes, part * PART_BYTES, offset, end);
                part += 1;
                continue;
            }
            let run =
                (part + 1..parts_end.min(part + PARTS_AT_ONCE)).take_while(|next| !self.cache.holds((digest, *next)));
            let run_end = part + 1 + run.count() as u64;
            let from = part * PART_BYTES;
            let fetched = to_len((run_end * PART_BYTES).min(size_bytes) - from);
            let bytes = self.objects.read_range(object, from, fetched)?;
            for (number, bytes) in (part..).zip(bytes.chunks(to_len(PART_BYTES))) {
                self.cache.put((digest, number), bytes);
                push_wanted(&mut out, bytes, number * PART_BYTES, offset, end);
            }
            part = run_end;
        }
        Ok(out)
    }

    pub(crate) fn failed(&self, action: &'static str, key: &str) -> impl FnOnce(io::Error) -> Error {
        let path = PathBuf::from(self.objects.uri(key));
        move |source| Error::Io { action, path, source }
    }
}

/// Appends what of a part, which begins at `start`, lies in `[offset, end)`.
fn push_wanted(out: &mut Vec<u8>, part: &[u8], start: u64, offset: u64, end: u64) {
    let from = to_len(offset.saturating_sub(start)).min(part.len());
    let to = to_len(end.saturating_sub(start)).min(part.len());
    out.extend_from_slice(&part[from..to]);
}

fn to_len(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is read at once fits in memory")
}
