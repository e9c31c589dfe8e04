//! Names of journal files, and which tables' rows each holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use moneta_base::fs::{FileSystem, TEMPORARY_SUFFIX};
use moneta_base::{Seq, TableName};
use moneta_event::BlockHeader;

use crate::Error;

const SUFFIX: &str = ".wal";

/// One journal file.
#[derive(Debug)]
pub(crate) struct FileInfo {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) size_bytes: u64,
    /// Per table the `_Seq` after its last row in this file.
    pub(crate) ends: BTreeMap<TableName, Seq>,
}

impl FileInfo {
    pub(crate) fn note(&mut self, header: &BlockHeader) {
        self.ends.insert(header.shard.table.clone(), header.end_seq());
    }

    /// Whether every row in this file is below what was released.
    pub(crate) fn is_released(&self, released: &BTreeMap<TableName, Seq>) -> bool {
        self.ends.iter().all(|(table, end)| released.get(table).is_some_and(|released| released >= end))
    }
}

/// The path of a journal file.
pub(crate) fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}{SUFFIX}"))
}

/// The path under which a journal file is made.
pub(crate) fn temporary_path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}{SUFFIX}{TEMPORARY_SUFFIX}"))
}

/// The numbers of the files in a directory, in order. Files that were being made when the process ended are removed.
pub(crate) fn list(fs: &dyn FileSystem, dir: &Path) -> Result<Vec<u64>, Error> {
    let mut numbers = Vec::new();
    for entry in fs.list(dir).map_err(|source| Error::io("list", dir, source))? {
        if entry.name().ends_with(TEMPORARY_SUFFIX) {
            fs.remove_file(&entry.path).map_err(|source| Error::io("remove", &entry.path, source))?;
        } else if let Some(digits) = entry.name().strip_suffix(SUFFIX) {
            let number = digits.parse().ok().filter(|number| path_of(dir, *number) == entry.path);
            numbers.push(number.ok_or_else(|| Error::corrupt(&entry.path, 0, "not the name of a journal file"))?);
        }
    }
    numbers.sort_unstable();
    match numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        Some(pair) => Err(Error::corrupt(&path_of(dir, pair[0] + 1), 0, "the file is missing")),
        None => Ok(numbers),
    }
}
