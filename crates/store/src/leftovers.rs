//! Files of a table that its catalog does not list: what an interrupted seal or drop leaves behind.
//!
//! Only what is certainly elsewhere is removed: temporary files, files that a commit took off the list, and files whose
//! rows listed segments hold. Any other file stays until its rows are sealed again: should the catalog have lost
//! commits, the rows must not be lost with them.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_base::Seq;
use moneta_base::fs::{DirEntry, FileSystem, TEMPORARY_SUFFIX};

use crate::Error;
use crate::delta::LOG_DIR;
use crate::segment::{SegmentMeta, parse_file_name};

/// A file with rows that no listed segment is known to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unlisted {
    pub(crate) path: PathBuf,
    pub(crate) first_seq: Seq,
    pub(crate) end_seq: Seq,
}

/// Removes the leftovers of a table that may go, and returns the others.
pub(crate) fn tidy(
    fs: &dyn FileSystem,
    table_dir: &Path,
    segments: &[Arc<SegmentMeta>],
    removed: &BTreeSet<String>,
) -> Result<Vec<Unlisted>, Error> {
    let table = table_dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut unlisted = Vec::new();
    let listed: HashSet<&str> =
        segments.iter().filter(|segment| segment.moved.is_none()).map(|segment| segment.path.as_str()).collect();
    let is_day = |entry: &DirEntry| entry.is_dir && entry.name() != LOG_DIR;
    for day in fs.list(table_dir).map_err(Error::io("list", table_dir))?.into_iter().filter(is_day) {
        let files = fs.list(&day.path).map_err(Error::io("list", &day.path))?;
        let mut num_kept = 0;
        for file in files {
            let path = format!("{table}/{}/{}", day.name(), file.name());
            if listed.contains(path.as_str()) {
                num_kept += 1;
                continue;
            }
            let rows = parse_file_name(file.name());
            let is_elsewhere = removed.contains(&path)
                || file.name().ends_with(TEMPORARY_SUFFIX)
                || rows.is_some_and(|(first, end)| are_listed(segments, first, end));
            if is_elsewhere {
                tracing::info!(file = %file.path.display(), "removing what an interrupted seal or drop left behind");
                fs.remove_file(&file.path).map_err(Error::io("remove", &file.path))?;
                continue;
            }
            num_kept += 1;
            tracing::warn!(file = %file.path.display(), "the catalog does not list this file; it stays until its rows are sealed again");
            let (first_seq, end_seq) = rows.unwrap_or((Seq::MAX, Seq::MAX));
            unlisted.push(Unlisted { path: file.path, first_seq, end_seq });
        }
        if num_kept == 0 {
            fs.remove_dir_all(&day.path).map_err(Error::io("remove", &day.path))?;
        }
    }
    Ok(unlisted)
}

/// Whether listed segments hold all of `[first, end)`.
pub(crate) fn are_listed(segments: &[Arc<SegmentMeta>], first: Seq, end: Seq) -> bool {
    let mut next = first;
    // Segments are in order of `_Seq`.
    for segment in segments.iter().filter(|segment| segment.end_seq > first) {
        if segment.first_seq > next || next >= end {
            break;
        }
        next = segment.end_seq;
    }
    first < end && next >= end
}
