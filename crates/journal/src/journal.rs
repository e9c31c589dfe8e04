//! The journal itself: open, append, release, close.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_base::fs::{File, FileSystem, create_dir_durably};
use moneta_base::{Seq, TableName, Timestamp};
use moneta_event::ShardId;
use moneta_event::frame::{FILE_HEADER_BYTES, FileHeader, FrameBody, FrameError, ProducerMark};

use crate::files::{self, FileInfo};
use crate::marks::Marks;
use crate::plan::Plan;
use crate::recovery::{self, Recovery, snapshot_of};
use crate::state::Positions;
use crate::{Appended, Commit, CommitOutcome, Error, JournalOptions, JournaledBlock};

/// Bytes of rows that are put into one frame: a frame is built in memory, and holds at most 64 MiB.
const GROUP_BYTES_MAX: usize = 24 << 20;
/// Bytes of a file that are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// An open journal. One writer: the caller puts commits of many senders into one call of [`Journal::append`].
#[derive(Debug)]
pub struct Journal {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    options: JournalOptions,
    positions: Positions,
    marks: Marks,
    files: Vec<FileInfo>,
    file: Box<dyn File>,
    /// Where the commits of the current file begin: snapshots do not count towards its size.
    commits_start: u64,
    next_frame: u64,
    /// The file was cut back and the cut is not on disk yet.
    cut_unsynced: bool,
    poisoned: Option<String>,
}

/// How much a journal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalSize {
    /// Files.
    pub num_files: usize,
    /// Bytes of all files.
    pub size_bytes: u64,
}

impl Journal {
    /// Opens the journal in `dir`, making the directory if it is not there, and reads everything back, frame by frame:
    /// `on_block` gets every block in the files, sealed or not, in the order of their arrival over all tables.
    ///
    /// # Errors
    /// [`Error::Corrupt`] naming file, offset and reason when stored bytes are damaged; [`Error::BehindStore`] when
    /// files are missing; [`Error::Io`] and [`Error::DiskFull`] from the file system.
    pub fn open(
        fs: Arc<dyn FileSystem>,
        dir: &Path,
        options: JournalOptions,
        mut on_block: impl FnMut(JournaledBlock),
    ) -> Result<(Self, Recovery), Error> {
        create_dir_durably(&*fs, dir).map_err(|source| Error::io("create", dir, source))?;
        let mut recovered = recovery::recover(&*fs, dir, &options, &mut on_block)?;
        let (file, commits_start) = match recovered.files.last() {
            Some(last) => (reopen(&*fs, dir, last)?, FILE_HEADER_BYTES as u64),
            None => {
                let new = NewFile::create(&*fs, dir, 1, 0, &recovered.positions, &recovered.marks);
                let new = new.map_err(|failure| failure.error)?;
                recovered.next_frame = 1;
                recovered.files.push(new.info);
                (new.file, new.commits_start)
            }
        };
        let journal = Self {
            fs,
            dir: dir.to_owned(),
            options,
            positions: recovered.positions,
            marks: recovered.marks,
            files: recovered.files,
            file,
            commits_start,
            next_frame: recovered.next_frame,
            cut_unsynced: false,
            poisoned: None,
        };
        Ok((journal, recovered.recovery))
    }

    /// Stores commits as a group: one frame, one sync. When it returns, whatever is `Stored` is on disk.
    ///
    /// A group too large for one frame becomes several, each with its own sync. Commits are taken in the order given.
    ///
    /// # Errors
    /// Each commit has its own outcome. A failed write fails the commits of its frame and changes nothing; a failed
    /// sync stops the journal until the process is restarted.
    pub fn append(&mut self, commits: Vec<Commit>, now: Timestamp) -> Appended {
        let mut appended = Appended { blocks: Vec::new(), outcomes: Vec::with_capacity(commits.len()) };
        let mut group = Vec::new();
        let mut group_bytes = 0;
        for commit in commits {
            let bytes = size_bytes(&commit);
            if !group.is_empty() && group_bytes + bytes > GROUP_BYTES_MAX {
                self.append_group(std::mem::take(&mut group), now, &mut appended);
                group_bytes = 0;
            }
            group_bytes += bytes;
            group.push(commit);
        }
        if !group.is_empty() {
            self.append_group(group, now, &mut appended);
        }
        appended
    }

    /// Deletes files whose rows are all sealed: `released` names per table the `_Seq` after its last sealed row. The
    /// current file stays. Returns how many files were deleted.
    ///
    /// # Errors
    /// [`Error::Io`]; the journal stays usable, and the files are deleted another time.
    pub fn release(&mut self, released: &BTreeMap<TableName, Seq>) -> Result<usize, Error> {
        let mut num_deleted = 0;
        while self.files.len() > 1 && self.files[0].is_released(released) {
            let path = &self.files[0].path;
            // Each removal is made durable before the next: a gap between files would count as damage.
            let removed = match self.fs.remove_file(path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                other => other,
            };
            removed.map_err(|source| Error::io("remove", path, source))?;
            self.fs.sync_dir(&self.dir).map_err(|source| Error::io("sync", &self.dir, source))?;
            self.files.remove(0);
            num_deleted += 1;
        }
        Ok(num_deleted)
    }

    /// The highest mark stored for a producer in its newest epoch: where it goes on.
    #[must_use]
    pub fn high_water(&self, producer: &str) -> Option<&ProducerMark> {
        self.marks.high_water(producer).map(|stored| &stored.mark)
    }

    /// The highest marks of producers whose names begin so: who is remembered, and could be forgotten.
    pub fn beginning_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a ProducerMark> {
        self.marks.beginning_with(prefix).map(|stored| &stored.mark)
    }

    /// How much of the memory for producers is in use, in percent: from 100 on new ones are refused.
    #[must_use]
    pub fn producers_percent(&self) -> u8 {
        self.marks.producers_percent()
    }

    /// The position of the next block in a shard; `None` for a day that the journal is past.
    #[must_use]
    pub fn next_index(&self, shard: &ShardId) -> Option<u64> {
        match self.positions.tables.get(&shard.table) {
            Some(state) if state.day > shard.day => None,
            Some(state) if state.day == shard.day => Some(state.next_index),
            _ => Some(0),
        }
    }

    /// The files, the oldest first, and how many bytes of each are durable commits.
    pub fn files(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.files.iter().map(|file| (file.path.as_path(), file.size_bytes))
    }

    /// How much the journal holds.
    #[must_use]
    pub fn size(&self) -> JournalSize {
        JournalSize { num_files: self.files.len(), size_bytes: self.files.iter().map(|file| file.size_bytes).sum() }
    }

    /// Why the journal takes no more commits, if it does not.
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// Closes the journal in order: from then on damage to its last commit can be told from a torn write.
    ///
    /// # Errors
    /// [`Error::Io`]; everything acknowledged is on disk nevertheless.
    pub fn close(mut self) -> Result<(), Error> {
        self.check_usable()?;
        self.write(&FrameBody::End)
    }

    fn append_group(&mut self, commits: Vec<Commit>, now: Timestamp, appended: &mut Appended) {
        let num_commits = commits.len();
        match self.try_append_group(commits, now) {
            Ok((blocks, outcomes)) => {
                appended.blocks.extend(blocks);
                appended.outcomes.extend(outcomes);
            }
            Err(error) => appended.outcomes.extend((0..num_commits).map(|_| Err(error.clone()))),
        }
    }

    #[expect(clippy::type_complexity, reason = "the two halves of `Appended`")]
    fn try_append_group(
        &mut self,
        commits: Vec<Commit>,
        now: Timestamp,
    ) -> Result<(Vec<JournaledBlock>, Vec<Result<CommitOutcome, Error>>), Error> {
        self.check_usable()?;
        let plan = Plan::new(&self.positions, &self.marks, &self.options, commits, now)?;
        let Some(frame) = plan.frame else { return Ok((Vec::new(), plan.outcomes)) };
        self.rotate_if_full()?;
        let body = FrameBody::Commit(frame);
        self.write(&body)?;
        // On disk: only from here on may anyone know of it (JOURNAL-1).
        let FrameBody::Commit(frame) = body else { unreachable!("made above") };
        self.positions = plan.positions;
        frame.marks.into_iter().for_each(|mark| self.marks.record(mark));
        let current = self.files.last_mut().expect("a journal has a file");
        frame.blocks.iter().for_each(|block| current.note(&block.header));
        Ok((frame.blocks.into_iter().map(JournaledBlock::after_sync).collect(), plan.outcomes))
    }

    /// Writes one frame and syncs it.
    fn write(&mut self, body: &FrameBody) -> Result<(), Error> {
        let bytes = body.encode(self.next_frame).map_err(|source| match source {
            FrameError::TooLarge { .. } => Error::TooLarge { source },
            other => Error::Internal(other.to_string()),
        })?;
        let (path, size_bytes) = (self.current().path.clone(), self.current().size_bytes);
        if let Err(source) = self.file.append(&bytes) {
            let error = Error::io("append to", &path, source);
            self.cut_back(&path, size_bytes, &error);
            return Err(error);
        }
        if let Err(source) = self.file.sync() {
            return Err(self.poison(Error::io("sync", &path, source)));
        }
        self.next_frame += 1;
        self.cut_unsynced = false;
        self.files.last_mut().expect("a journal has a file").size_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Removes what a failed append may have left. The cut need not be synced at once: the next frame's sync covers it,
    /// and before that a crash leaves at most an unfinished frame at the end of the last file.
    fn cut_back(&mut self, path: &Path, size_bytes: u64, error: &Error) {
        match self.fs.open_at(path, size_bytes) {
            Ok(file) => {
                self.file = file;
                self.cut_unsynced = true;
            }
            Err(source) => {
                let cause = format!("{error}; then the file could not be cut back: {source}");
                self.poisoned = Some(cause);
            }
        }
    }

    /// Begins a new file when the current one is full. When it cannot be made the journal goes on with the old one, until
    /// that is twice as large.
    fn rotate_if_full(&mut self) -> Result<(), Error> {
        let commits = self.current().size_bytes - self.commits_start;
        if commits < self.options.file_bytes_max {
            return Ok(());
        }
        match self.rotate() {
            Err(_) if self.poisoned.is_none() && commits < 2 * self.options.file_bytes_max => Ok(()),
            rotated => rotated,
        }
    }

    fn rotate(&mut self) -> Result<(), Error> {
        if self.cut_unsynced {
            // Only the last file may end in an unfinished frame.
            let path = self.current().path.clone();
            self.file.sync().map_err(|source| self.poison(Error::io("sync", &path, source)))?;
            self.cut_unsynced = false;
        }
        let number = self.current().number + 1;
        let new = NewFile::create(&*self.fs, &self.dir, number, self.next_frame, &self.positions, &self.marks);
        match new {
            Ok(new) => {
                self.next_frame += 1;
                self.file = new.file;
                self.commits_start = new.commits_start;
                self.files.push(new.info);
                Ok(())
            }
            Err(failure) if failure.state_unknown => Err(self.poison(failure.error)),
            Err(failure) => Err(failure.error),
        }
    }

    fn current(&self) -> &FileInfo {
        self.files.last().expect("a journal has a file")
    }

    fn check_usable(&self) -> Result<(), Error> {
        match &self.poisoned {
            Some(why) => Err(Error::Poisoned { why: why.clone() }),
            None => Ok(()),
        }
    }

    fn poison(&mut self, error: Error) -> Error {
        let source = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
        let why = format!("{error}{source}");
        self.poisoned = Some(why.clone());
        Error::Poisoned { why }
    }
}

fn size_bytes(commit: &Commit) -> usize {
    let columns = commit.batches.iter().flat_map(|batch| batch.rows().columns());
    columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(GROUP_BYTES_MAX)).sum()
}

/// Opens the last file for writing behind its good bytes, after making certain that they are on disk.
///
/// The file is written anew: a sync that failed before the restart may have left bytes that can be read and yet will
/// never be on disk, and a later sync would not say so. Where the disk has no room for that, a sync must do.
fn reopen(fs: &dyn FileSystem, dir: &Path, last: &FileInfo) -> Result<Box<dyn File>, Error> {
    if let Some(file) = rewrite(fs, dir, last)? {
        return Ok(file);
    }
    let mut file = fs.open_at(&last.path, last.size_bytes).map_err(|source| Error::io("open", &last.path, source))?;
    file.sync().map_err(|source| Error::io("sync", &last.path, source))?;
    fs.sync_dir(dir).map_err(|source| Error::io("sync", dir, source))?;
    Ok(file)
}

/// Replaces a file by a copy of its good bytes; `None` when there is no room.
fn rewrite(fs: &dyn FileSystem, dir: &Path, last: &FileInfo) -> Result<Option<Box<dyn File>>, Error> {
    let temporary = files::temporary_path_of(dir, last.number);
    let mut file = match copy(fs, last, &temporary) {
        Ok(file) => file,
        Err(Error::DiskFull { .. }) => {
            fs.remove_file(&temporary).map_err(|source| Error::io("remove", &temporary, source))?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    file.sync().map_err(|source| Error::io("sync", &temporary, source))?;
    fs.rename(&temporary, &last.path).map_err(|source| Error::io("rename", &last.path, source))?;
    fs.sync_dir(dir).map_err(|source| Error::io("sync", dir, source))?;
    Ok(Some(file))
}

/// Copies the good bytes of a file, some at a time.
fn copy(fs: &dyn FileSystem, last: &FileInfo, to: &Path) -> Result<Box<dyn File>, Error> {
    let mut file = write_new(fs, to, &[]).map_err(|source| Error::io("write", to, source))?;
    for offset in (0..last.size_bytes).step_by(COPY_BYTES) {
        let len = usize::try_from(last.size_bytes - offset).map_or(COPY_BYTES, |left| left.min(COPY_BYTES));
        let bytes = fs.read_range(&last.path, offset, len).map_err(|source| Error::io("read", &last.path, source))?;
        file.append(&bytes).map_err(|source| Error::io("write", to, source))?;
    }
    Ok(file)
}

/// A file with its header and snapshot on disk under its name.
struct NewFile {
    info: FileInfo,
    file: Box<dyn File>,
    commits_start: u64,
}

/// Why a file could not be made, and whether the directory may have changed nevertheless.
struct NewFileFailure {
    error: Error,
    state_unknown: bool,
}

impl NewFile {
    fn create(
        fs: &dyn FileSystem,
        dir: &Path,
        number: u64,
        first_frame: u64,
        positions: &Positions,
        marks: &Marks,
    ) -> Result<Self, NewFileFailure> {
        let temporary = files::temporary_path_of(dir, number);
        let path = files::path_of(dir, number);
        let harmless = |error| NewFileFailure { error, state_unknown: false };
        let unknown = |error| NewFileFailure { error, state_unknown: true };
        let mut bytes = FileHeader { file_number: number, first_frame }.encode().to_vec();
        let snapshot = FrameBody::Snapshot(snapshot_of(positions, marks)).encode(first_frame);
        bytes.extend(snapshot.map_err(|source| harmless(Error::TooLarge { source }))?);
        let written = write_new(fs, &temporary, &bytes).map_err(|source| Error::io("create", &temporary, source));
        let mut file = written.map_err(|error| {
            // Only tidiness: a leftover is removed at the next start, or by the next attempt.
            let _ = fs.remove_file(&temporary);
            harmless(error)
        })?;
        file.sync().map_err(|source| unknown(Error::io("sync", &temporary, source)))?;
        fs.rename(&temporary, &path).map_err(|source| unknown(Error::io("rename", &path, source)))?;
        fs.sync_dir(dir).map_err(|source| unknown(Error::io("sync", dir, source)))?;
        let size_bytes = bytes.len() as u64;
        let info = FileInfo { number, path, size_bytes, ends: BTreeMap::new() };
        Ok(Self { info, file, commits_start: size_bytes })
    }
}

fn write_new(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> std::io::Result<Box<dyn File>> {
    if fs.exists(path) {
        fs.remove_file(path)?;
    }
    let mut file = fs.create(path)?;
    file.append(bytes)?;
    Ok(file)
}
