//! Reading a journal back: every acknowledged block, exactly once, in order, checked.
//!
//! Which damage is forgiven: one sync ends every commit, so at most one frame, the last of the last file, can be
//! unfinished. Bad bytes there with no valid frame behind them are a torn write that was never acknowledged: they are
//! cut off, kept aside, and named. Anything else is corruption, and opening fails with file, offset and reason.

use std::path::{Path, PathBuf};

use moneta_base::fs::{FileSystem, write_atomically};
use moneta_event::frame::{FILE_HEADER_BYTES, FRAME_MAGIC, FileHeader, FrameBody, FrameView, Snapshot};

use crate::files::{self, FileInfo};
use crate::marks::Marks;
use crate::state::Positions;
use crate::{Error, JournalOptions, JournaledBlock};

/// What recovery found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// The blocks in the files, sealed or not, per table in order.
    pub blocks: Vec<JournaledBlock>,
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

pub(crate) fn recover(fs: &dyn FileSystem, dir: &Path, options: &JournalOptions) -> Result<Recovered, Error> {
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
        let bytes = fs.read(&path).map_err(|source| Error::io("read", &path, source))?;
        let reader = FileReader { path: &path, bytes: &bytes, is_last: Some(number) == last, options };
        let size = reader.read(number, &mut recovered)?;
        if size < bytes.len() {
            keep_aside(fs, &path, size, &bytes[size..], &mut recovered.recovery)?;
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

/// Keeps the bytes that will be cut off, before they are.
fn keep_aside(
    fs: &dyn FileSystem,
    path: &Path,
    offset: usize,
    bytes: &[u8],
    recovery: &mut Recovery,
) -> Result<(), Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{offset}.torn"));
    let kept_as = PathBuf::from(name);
    let written = write_atomically(fs, &kept_as, bytes).map_err(|source| Error::io("write", &kept_as, source));
    let dropped = recovery.dropped.last_mut().expect("whoever cuts says why");
    match written {
        Ok(()) => dropped.kept_as = Some(kept_as),
        // A full disk must not keep the journal from opening: nothing acknowledged is in these bytes.
        Err(Error::DiskFull { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

struct FileReader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    is_last: bool,
    options: &'a JournalOptions,
}

impl FileReader<'_> {
    /// Reads one file and returns how many of its bytes are good.
    fn read(&self, number: u64, recovered: &mut Recovered) -> Result<usize, Error> {
        let header = FileHeader::decode(self.bytes).map_err(|error| Error::corrupt(self.path, 0, error))?;
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
        let mut offset = FILE_HEADER_BYTES;
        offset += self.read_snapshot(offset, is_first && number != 1, recovered)?;
        while offset < self.bytes.len() {
            match FrameView::read(&self.bytes[offset..]) {
                Ok(view) => {
                    self.take_frame(offset, view, recovered)?;
                    offset += view.len();
                }
                Err(error) if self.is_torn_from(offset) => {
                    recovered.recovery.dropped.push(Dropped {
                        file: self.path.to_owned(),
                        offset: offset as u64,
                        size_bytes: (self.bytes.len() - offset) as u64,
                        why: error.to_string(),
                        kept_as: None,
                    });
                    recovered.recovery.was_closed = false;
                    break;
                }
                Err(error) => return Err(Error::corrupt(self.path, offset, error)),
            }
        }
        recovered.files.last_mut().expect("pushed above").size_bytes = offset as u64;
        Ok(offset)
    }

    /// A file is given its name after its header and snapshot are on disk, so damage there is never a torn write.
    fn read_snapshot(&self, offset: usize, trust: bool, recovered: &mut Recovered) -> Result<usize, Error> {
        let corrupt = |what: &dyn std::fmt::Display| Error::corrupt(self.path, offset, what);
        let view = FrameView::read(&self.bytes[offset..]).map_err(|error| corrupt(&error))?;
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
        Ok(view.len())
    }

    fn take_frame(&self, offset: usize, view: FrameView<'_>, recovered: &mut Recovered) -> Result<(), Error> {
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
                    recovered.recovery.blocks.push(JournaledBlock::after_sync(block));
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

    fn check_number(&self, offset: usize, view: &FrameView<'_>, recovered: &mut Recovered) -> Result<(), Error> {
        if view.number != recovered.next_frame {
            let what = format!("frame {} stands where frame {} belongs", view.number, recovered.next_frame);
            return Err(Error::corrupt(self.path, offset, what));
        }
        recovered.next_frame += 1;
        recovered.recovery.num_frames += 1;
        Ok(())
    }

    /// Whether bad bytes at `offset` can be an unfinished write: in the last file, with no valid frame behind them.
    fn is_torn_from(&self, offset: usize) -> bool {
        let rest = &self.bytes[offset + 1..];
        let frame_starts = rest.windows(FRAME_MAGIC.len()).enumerate().filter(|(_, window)| window == FRAME_MAGIC);
        self.is_last && !frame_starts.into_iter().any(|(start, _)| FrameView::read(&rest[start..]).is_ok())
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
