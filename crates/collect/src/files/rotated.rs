//! The files beside a followed one that hold what it held before: renamed, copied or compressed.
//!
//! An error always says that it cannot be told now what is there: the next look may tell. What is found is only read.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::content::Content;
use super::life::{Life, rotated_fingerprint};
use super::patterns::{is_rotation_of, is_unreadable, may_be_copy_of, unpacked};
use crate::intake::ResumePoint;

/// A file beside the followed one.
pub(super) struct Sibling {
    pub(super) written: SystemTime,
    pub(super) inode: u64,
    pub(super) path: PathBuf,
}

/// A file that holds the life of a stored position, at that position.
pub(super) struct Found {
    pub(super) content: Content,
    pub(super) head: Vec<u8>,
    pub(super) life: Life,
    pub(super) inode: u64,
}

/// Files whose names begin as that of the followed one, without it and without those being compressed just now.
async fn siblings(path: &Path) -> io::Result<Vec<Sibling>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let mut entries = match tokio::fs::read_dir(directory).await {
        Ok(entries) => entries,
        // A directory that may not be listed shows no siblings, however often it is looked at.
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied].contains(&error.kind()) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut siblings: Vec<Sibling> = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        if !entry.file_name().to_str().is_some_and(|other| other != name && other.starts_with(name)) {
            continue;
        }
        // Of one that is no more it is not known whether it has another name now.
        let metadata = entry.metadata().await?;
        if metadata.is_file() {
            siblings.push(Sibling { written: metadata.modified()?, inode: metadata.ino(), path: entry.path() });
        }
    }
    let is_there = |plain: &Path| siblings.iter().any(|sibling| sibling.path == plain);
    let unfinished: Vec<PathBuf> = siblings
        .iter()
        .filter(|sibling| unpacked(&sibling.path).is_some_and(|plain| is_there(&plain)))
        .map(|sibling| sibling.path.clone())
        .collect();
    siblings.retain(|sibling| !unfinished.contains(&sibling.path));
    Ok(siblings)
}

/// Files that the followed one became when it was rotated away, the one written first in front.
pub(super) async fn rotations(path: &Path) -> io::Result<Vec<Sibling>> {
    let mut rotations = siblings(path).await?;
    rotations.retain(|sibling| is_rotation_of(path, &sibling.path));
    rotations.sort_by(|a, b| (a.written, a.inode, &a.path).cmp(&(b.written, b.inode, &b.path)));
    Ok(rotations)
}

/// The file that holds the life of a stored position, at that position: the one that was renamed, else the copy or the
/// compressed file that begins as the life did, of several the one written last. `inode` is that of the followed file,
/// `seen` when the life had been written last when it was looked at, where that is known.
pub(super) async fn find(
    path: &Path,
    point: ResumePoint,
    inode: u64,
    seen: Option<SystemTime>,
) -> io::Result<Option<Found>> {
    let mut best: Option<((bool, SystemTime), Found)> = None;
    let mut siblings = siblings(path).await?;
    // Some programs keep whole seconds of the time.
    siblings.retain(|sibling| seen.is_none_or(|seen| sibling.written + Duration::from_secs(1) >= seen));
    for sibling in siblings {
        let Some(found) = candidate(path, &sibling, point, inode).await? else { continue };
        let rank = (found.life.inode == found.inode, sibling.written);
        if best.as_ref().is_none_or(|(other, _)| rank > *other) {
            best = Some((rank, found));
        }
    }
    Ok(best.map(|(_, found)| found))
}

/// A sibling, if it may hold the life of a stored position.
async fn candidate(path: &Path, sibling: &Sibling, point: ResumePoint, inode: u64) -> io::Result<Option<Found>> {
    let may_be_copy = may_be_copy_of(path, &sibling.path);
    if is_unreadable(&sibling.path) {
        return Ok(None);
    }
    match begin(sibling, point, inode).await {
        Ok(found) => Ok(found.filter(|found| may_be_copy || found.life.inode == found.inode)),
        // Nobody will make it readable; should it be the one, the loss is told of.
        Err(error) if [io::ErrorKind::PermissionDenied, io::ErrorKind::InvalidData].contains(&error.kind()) => {
            tracing::warn!(path = %sibling.path.display(), %error, "a file that was rotated away is left out");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn begin(sibling: &Sibling, point: ResumePoint, inode: u64) -> io::Result<Option<Found>> {
    let mut content = Content::open(&sibling.path).await?;
    if content.metadata().await?.ino() != sibling.inode {
        return Err(moved_meanwhile());
    }
    let head = content.head().await?;
    let Some(print) = rotated_fingerprint(&head) else { return Ok(None) };
    let life = Life::of_epoch(point.0, print, sibling.inode).or_else(|| Life::of_epoch(point.0, print, inode));
    let Some(life) = life else { return Ok(None) };
    let reaches = content.seek(point.1).await?;
    Ok(reaches.then_some(Found { content, head, life, inode: sibling.inode }))
}

pub(super) fn moved_meanwhile() -> io::Error {
    io::Error::other("it was rotated while its rotated files were looked for")
}
