//! Objects that may be in the bucket with no catalog listing them: those being uploaded, and those of dropped days.
//!
//! A key is written here before it is uploaded, and before the catalog lets go of it; it is taken off when the catalog
//! lists it, or when the object is gone. So whatever a crash leaves in the bucket stands here, and nothing is ever
//! removed from a bucket that does not stand here. Backups leave this file out: a copy of the installation must not
//! remove what the installation itself has listed since.
//!
//! # File, version 1
//! ```text
//! moneta loose objects v1
//! <not to be removed before, in nanoseconds since 1970> <key>      one line an object
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use moneta_base::Timestamp;
use moneta_base::fs::{FileSystem, write_atomically};

use crate::Error;

const HEADER: &str = "moneta loose objects v1";
/// Bytes of the file at most: a hundred thousand keys.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The list, as it is on disk.
#[derive(Debug)]
pub(crate) struct Loose {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    /// Not to be removed before, by key.
    keys: BTreeMap<String, Timestamp>,
}

impl Loose {
    pub(crate) fn open(fs: Arc<dyn FileSystem>, path: PathBuf) -> Result<Self, Error> {
        let size = match fs.size(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { fs, path, keys: BTreeMap::new() });
            }
            other => other.map_err(Error::io("read", &path))?,
        };
        if size > FILE_BYTES_MAX {
            return Err(Error::corrupt(&path, "it is too large"));
        }
        let bytes = fs.read(&path).map_err(Error::io("read", &path))?;
        let keys = parse(&bytes).ok_or_else(|| Error::corrupt(&path, "it is not a list of loose objects"))?;
        Ok(Self { fs, path, keys })
    }

    pub(crate) fn keys(&self) -> &BTreeMap<String, Timestamp> {
        &self.keys
    }

    /// Changes the list; what it returns is on disk.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut BTreeMap<String, Timestamp>)) -> Result<(), Error> {
        let mut keys = self.keys.clone();
        change(&mut keys);
        if keys == self.keys {
            return Ok(());
        }
        let mut text = format!("{HEADER}\n");
        keys.iter().for_each(|(key, at)| text.push_str(&format!("{} {key}\n", at.as_nanos())));
        write_atomically(&*self.fs, &self.path, text.as_bytes()).map_err(Error::io("write", &self.path))?;
        self.keys = keys;
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Option<BTreeMap<String, Timestamp>> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    if lines.next() != Some(HEADER) {
        return None;
    }
    let line = |line: &str| {
        let (at, key) = line.split_once(' ')?;
        Some((key.to_owned(), Timestamp::from_nanos(at.parse().ok()?)))
    };
    lines.map(line).collect()
}

#[cfg(test)]
mod tests {
    use moneta_testkit::SimFs;

    use super::*;

    #[test]
    fn the_list_is_on_disk_when_a_change_returns() {
        let fs: Arc<dyn FileSystem> = Arc::new(SimFs::new());
        fs.create_dir_all("/d".as_ref()).unwrap();
        let open = || Loose::open(fs.clone(), "/d/loose".into());
        let mut loose = open().unwrap();
        loose.change(|keys| keys.extend([("a/b c".to_owned(), Timestamp::from_nanos(7))])).unwrap();
        assert_eq!(open().unwrap().keys(), loose.keys());
        write_atomically(&*fs, "/d/loose".as_ref(), b"something else").unwrap();
        assert!(matches!(open(), Err(Error::Corrupt { .. })));
    }
}
