//! Reading a journal back: every acknowledged block, exactly once, in order, checked. Blocks are handed on as they are
//! read and not kept: what a start needs of memory is for the reader of the blocks to say.
//!
//! Which damage is forgiven: one sync ends every commit, so at most one frame, the last of the last file, can be
//! unfinished. Bad bytes there with no valid frame behind them are a torn write that was never acknowledged: they are
//! cut off, kept aside, and named. Anything else is corruption, and opening fails with file, offset and reason.

use std::path::{Path, PathBuf};

use moneta_base::fs::{FileSystem, write_atomically};
use moneta_event::frame::{FILE_HEADER_BYTES, FileHeader, FrameBody, FrameView, Snapshot};

use crate::files::{self, FileInfo};
use crate::frames::FrameReader;
use crate::marks::Marks;
use crate::state::Positions;
use crate::{Error, JournalOptions, JournaledBlock};

/// What recovery found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// What was cut off.
    pub dropped: Vec<Dropped>,
    /// Files read.
    pub num_files: usize,
    /// Frames read.
    pub num_frames: u64,
    /// Whether the journal was closed in order.
    pub was_closed: bool,
}

/// Bytes that were cut off a file because they were never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The file.
    pub file: PathBuf,
    /// Where the cut was made.
    pub offset: u64,
    /// How much was cut.
    pub size_bytes: u64,
    /// What was wrong with it.
    pub why: String,
    /// Where it is kept for inspection; `None` when the disk had no room for it.
    pub kept_as: Option<PathBuf>,
}

/// Everything needed to go on writing.
pub(crate) struct Recovered {
    pub(crate) recovery: Recovery,
    pub(crate) positions: Positions,
    pub(crate) marks: Marks,
    pub(crate) files: Vec<FileInfo>,
    pub(crate) next_frame: u64,
}

pub(crate) fn recover(
    fs: &dyn FileSystem,
    dir: &Path,
    options: &JournalOptions,
    on_block: &mut dyn FnMut(JournaledBlock),
) -> Result<Recovered, Error> {
    let numbers = files::list(fs, dir)?;
    let mut recovered = Recovered {
        recovery: Recovery::default(),
        positions: Positions::default(),
        marks: Marks::new(options.producer_bytes_max, options.key_bytes_max),
        files: Vec::new(),
        next_frame: 0,
    };
    let last = numbers.last().copied();
    for number in numbers {
        let path = files::path_of(dir, number);
        let mut frames = FrameReader::open(fs, &path)?;
        let mut file = RecoveredFile { path: &path, is_last: Some(number) == last, options, on_block: &mut *on_block };
        let size = file.read(&mut frames, number, &mut recovered)?;
        if size < frames.size_bytes() {
            keep_aside(fs, &path, size, frames.size_bytes(), &mut recovered.recovery)?;
        }
    }
    for (table, sealed) in &options.sealed {
        let journal = recovered.positions.tables.get(table).map_or(0, |state| state.next_seq);
        if journal < *sealed {
            return Err(Error::BehindStore { table: table.clone(), store: *sealed, journal });
        }
    }
    Ok(recovered)
}

/// Keeps the bytes `[offset, end)` of a file that will be cut off, before they are.
fn keep_aside(fs: &dyn FileSystem, path: &Path, offset: u64, end: u64, recovery: &mut Recovery) -> Result<(), Error> {
    let len = usize::try_from(end - offset).expect("a part of one file");
    let bytes = fs.read_range(path, offset, len).map_err(|source| Error::io("read", path, source))?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{offset}.torn"));
    let kept_as = PathBuf::from(name);
    let written = write_atomically(fs, &kept_as, &bytes).map_err(|source| Error::io("write", &kept_as, source));
    let dropped = recovery.dropped.last_mut().expect("whoever cuts says why");
    match written {
        Ok(()) => dropped.kept_as = Some(kept_as),
        // A full disk must not keep the journal from opening: nothing acknowledged is in these bytes.
        Err(Error::DiskFull { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

struct RecoveredFile<'a> {
    path: &'a Path,
    is_last: bool,
    options: &'a JournalOptions,
    on_block: &'a mut dyn FnMut(JournaledBlock),
}

impl RecoveredFile<'_> {
    /// Reads one file and returns how many of its bytes are good.
    fn read(&mut self, frames: &mut FrameReader<'_>, number: u64, recovered: &mut Recovered) -> Result<u64, Error> {
        let header = FileHeader::decode(frames.header()?).map_err(|error| Error::corrupt(self.path, 0, error))?;
        let is_first = recovered.files.is_empty();
        if is_first {
            recovered.next_frame = header.first_frame;
        }
        if header != (FileHeader { file_number: number, first_frame: recovered.next_frame }) {
            return Err(Error::corrupt(self.path, 0, "the file does not follow the one before it"));
        }
        let info = FileInfo { number, path: self.path.to_owned(), size_bytes: 0, ends: Default::default() };
        recovered.files.push(info);
        recovered.recovery.num_files += 1;
        let mut offset = FILE_HEADER_BYTES as u64;
        offset += self.read_snapshot(frames, offset, is_first && number != 1, recovered)?;
        while offset < frames.size_bytes() {
            let error = match frames.frame(offset)? {
                Ok(view) => {
                    self.take_frame(offset, view, recovered)?;
                    offset += view.len() as u64;
                    continue;
                }
                Err(error) => error,
            };
            // An unfinished write is in the last file, with no whole frame behind it.
            if !self.is_last || frames.has_frame_from(offset + 1)? {
                return Err(Error::corrupt(self.path, offset, error));
            }
            recovered.recovery.dropped.push(Dropped {
                file: self.path.to_owned(),
                offset,
                size_bytes: frames.size_bytes() - offset,
                why: error.to_string(),
                kept_as: None,
            });
            recovered.recovery.was_closed = false;
            break;
        }
        recovered.files.last_mut().expect("pushed above").size_bytes = offset;
        Ok(offset)
    }

    /// A file is given its name after its header and snapshot are on disk, so damage there is never a torn write.
    fn read_snapshot(
        &self,
        frames: &mut FrameReader<'_>,
        offset: u64,
        trust: bool,
        recovered: &mut Recovered,
    ) -> Result<u64, Error> {
        let corrupt = |what: &dyn std::fmt::Display| Error::corrupt(self.path, offset, what);
        let view = frames.frame(offset)?.map_err(|error| corrupt(&error))?;
        self.check_number(offset, &view, recovered)?;
        let FrameBody::Snapshot(snapshot) = view.decode().map_err(|error| corrupt(&error))? else {
            return Err(corrupt(&"the file does not begin with a snapshot"));
        };
        if trust {
            // Older files were released: what they held is known from here alone.
            recovered.positions.ingest_time = snapshot.ingest_time;
            recovered.positions.tables =
                snapshot.tables.into_iter().map(|state| (state.table.clone(), state)).collect();
            snapshot.marks.into_iter().for_each(|mark| recovered.marks.record(mark));
        } else if snapshot != snapshot_of(&recovered.positions, &recovered.marks) {
            return Err(corrupt(&"the snapshot does not match the files before it"));
        }
        Ok(view.len() as u64)
    }

    fn take_frame(&mut self, offset: u64, view: FrameView<'_>, recovered: &mut Recovered) -> Result<(), Error> {
        self.check_number(offset, &view, recovered)?;
        recovered.recovery.was_closed = false;
        match view.decode().map_err(|error| Error::corrupt(self.path, offset, error))? {
            FrameBody::End => recovered.recovery.was_closed = true,
            FrameBody::Snapshot(_) => return Err(Error::corrupt(self.path, offset, "a snapshot within a file")),
            FrameBody::Commit(commit) => {
                let mut latest = recovered.positions.ingest_time;
                for block in commit.blocks {
                    let header = &block.header;
                    let named = |what: &dyn std::fmt::Display| {
                        let block = format!("block {} at row {}: {what}", header.shard, header.first_seq);
                        Error::corrupt(self.path, offset, block)
                    };
                    if header.tenant != self.options.tenant {
                        return Err(named(&"it belongs to another tenant"));
                    }
                    recovered.positions.check(header).map_err(|what| named(&what))?;
                    block.check().map_err(|error| named(&format!("BLOCK-1: {error}")))?;
                    recovered.positions.advance(header);
                    latest = header.ingest_time;
                    recovered.files.last_mut().expect("the file is being read").note(header);
                    (self.on_block)(JournaledBlock::after_sync(block));
                }
                for mark in commit.marks {
                    latest = latest.max(mark.receipt.ingest_time);
                    recovered.marks.record(mark);
                }
                recovered.positions.ingest_time = latest;
            }
        }
        Ok(())
    }

    fn check_number(&self, offset: u64, view: &FrameView<'_>, recovered: &mut Recovered) -> Result<(), Error> {
        if view.number != recovered.next_frame {
            let what = format!("frame {} stands where frame {} belongs", view.number, recovered.next_frame);
            return Err(Error::corrupt(self.path, offset, what));
        }
        recovered.next_frame += 1;
        recovered.recovery.num_frames += 1;
        Ok(())
    }
}

/// The state that the first frame of a new file holds.
pub(crate) fn snapshot_of(positions: &Positions, marks: &Marks) -> Snapshot {
    Snapshot {
        ingest_time: positions.ingest_time,
        tables: positions.tables.values().cloned().collect(),
        marks: marks.all(),
    }
}
