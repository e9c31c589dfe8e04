//! The objects that there are: below a directory, or in a bucket.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_base::objects::{ListedObject, Objects};

/// Objects watched at most, in the order in which the file system lists them: as many as the journal can remember.
pub(super) const OBJECTS_MAX: usize = 75_000;
/// Directories within directories at most: Azure's paths of a flow log have about 20.
const DEPTH_MAX: usize = 40;
/// Endings of names that programs give to files they have not finished.
const UNFINISHED_ENDINGS: [&str; 4] = [".tmp", ".part", ".partial", ".filepart"];

/// What tells whether an object changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(super) size: u64,
    /// Time of the last change of its content, in nanoseconds.
    changed: i64,
    /// Time of the last change of anything, rights included, in nanoseconds.
    touched: i64,
    inode: u64,
    /// What a bucket calls its content, which is then all that tells it from others.
    pub(super) tag: Option<Arc<str>>,
}

/// What is there.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(super) objects: BTreeMap<PathBuf, Found>,
    /// Whether there are more than are watched.
    pub(super) is_full: bool,
    /// Whether something could not be looked into.
    pub(super) is_partial: bool,
    /// Why nothing of it counts.
    pub(super) failed: Option<String>,
}

impl Listed {
    /// Adds an object, unless it is empty; whether there was room.
    pub(crate) fn add(&mut self, path: PathBuf, metadata: &Metadata) -> bool {
        if self.objects.len() >= OBJECTS_MAX {
            self.is_full = true;
            return false;
        }
        let nanos = |seconds: i64, nanos| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        let found = Found {
            size: metadata.len(),
            changed: nanos(metadata.mtime(), metadata.mtime_nsec()),
            touched: nanos(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            tag: None,
        };
        if found.size > 0 {
            self.objects.insert(path, found);
        }
        true
    }

    /// Adds an object of a bucket, unless it is empty or its name is one of unfinished files.
    fn add_object(&mut self, object: ListedObject) {
        let ListedObject { key, size_bytes, tag } = object;
        if size_bytes == 0 || is_left_out(key.rsplit('/').next().unwrap_or_default()) {
            return;
        }
        if self.objects.len() >= OBJECTS_MAX {
            self.is_full = true;
            return;
        }
        let found = Found { size: size_bytes, changed: 0, touched: 0, inode: 0, tag: tag.map(Arc::from) };
        self.objects.insert(PathBuf::from(key), found);
    }
}

/// Every object of a bucket whose key begins so.
pub(super) fn list_bucket(objects: &dyn Objects, prefix: &str) -> Listed {
    let mut listed = Listed::default();
    if let Err(error) = objects.list(prefix, &mut |object| listed.add_object(object)) {
        listed.failed = Some(error.to_string());
    }
    listed
}

/// Whether a name is hidden, or says that its file is not finished.
fn is_left_out(name: &str) -> bool {
    name.starts_with('.') || UNFINISHED_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Everything below the directories. Links are not followed, hidden and unfinished files are left out, and what cannot
/// be read holds nothing.
pub(super) fn list(directories: &[PathBuf]) -> Listed {
    let mut listed = Listed::default();
    directories.iter().for_each(|directory| enter(directory, 0, &mut listed));
    listed
}

fn enter(directory: &Path, depth: usize, listed: &mut Listed) {
    let entries = if depth > DEPTH_MAX { None } else { std::fs::read_dir(directory).ok() };
    listed.is_partial |= entries.is_none();
    for entry in entries.into_iter().flatten() {
        let Ok(entry) = entry else {
            listed.is_partial = true;
            continue;
        };
        let name = entry.file_name();
        if is_left_out(&name.to_string_lossy()) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => enter(&entry.path(), depth + 1, listed),
            Ok(kind) if kind.is_file() => {
                let Ok(metadata) = entry.metadata() else {
                    listed.is_partial = true;
                    continue;
                };
                if !listed.add(entry.path(), &metadata) {
                    return;
                }
            }
            _ => {}
        }
    }
}
