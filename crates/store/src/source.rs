//! Where the bytes of a segment come from: a file of the directory, or an object of the bucket.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_base::fs::FileSystem;
use moneta_base::objects::ObjectName;
use moneta_merkle::Hash;

use crate::bucket::Bucket;
use crate::{Error, SegmentMeta, Store};

/// The bytes of one segment.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The file, or the address of the object, for messages.
    path: PathBuf,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    File(Arc<dyn FileSystem>),
    Object { bucket: Arc<Bucket>, object: ObjectName, digest: Hash, size_bytes: u64 },
}

impl Source {
    /// What messages call it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Exactly `len` bytes from `offset`.
    pub(crate) fn read_range(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        match &self.place {
            Place::File(fs) => fs.read_range(&self.path, offset, len),
            Place::Object { bucket, object, digest, size_bytes } => {
                bucket.read_range(object, *digest, *size_bytes, offset, len)
            }
        }
    }
}

impl Store {
    /// Where a segment is read from.
    pub(crate) fn source_of(&self, segment: &SegmentMeta) -> Result<Source, Error> {
        if segment.moved.is_none() {
            let place = Place::File(self.file_system().clone());
            return Ok(Source { path: self.file_of(&segment.path), place });
        }
        let (bucket, object) = self.object_of(segment)?;
        let path = PathBuf::from(segment.listed_path());
        let (bucket, digest, size_bytes) = (bucket.clone(), segment.hash, segment.size_bytes);
        Ok(Source { path, place: Place::Object { bucket, object, digest, size_bytes } })
    }

    /// The bucket and the name within it of a segment that was moved.
    pub(crate) fn object_of(&self, segment: &SegmentMeta) -> Result<(&Arc<Bucket>, ObjectName), Error> {
        let moved = segment.moved.as_ref().ok_or_else(|| Error::NotListed(PathBuf::from(&segment.path)))?;
        let found = self.bucket.as_ref().and_then(|bucket| Some((bucket, bucket.objects().key_of(&moved.uri)?)));
        let (bucket, key) = found.ok_or_else(|| Error::Elsewhere { uri: moved.uri.clone() })?;
        Ok((bucket, ObjectName { key, version: moved.version.clone() }))
    }
}
