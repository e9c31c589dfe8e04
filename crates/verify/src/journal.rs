//! The journal's files: every frame's checksum, every block's record root and its place in the chain. One frame of a file
//! is in memory at a time, beside the blocks that the caller wants to keep.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_base::{Seq, TableName};
use moneta_event::Block;
use moneta_event::frame::{
    BODY_BYTES_MAX, FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FRAME_MAGIC, FileHeader, FrameBody, FrameView,
};

use crate::Report;

/// The blocks in the journal, by table and first sequence, with the file they are in.
pub type JournalBlocks = BTreeMap<TableName, BTreeMap<Seq, (Arc<Block>, PathBuf)>>;

/// Reads every file of `journal`, in order.
pub fn check(data: &Path, report: &mut Report) -> JournalBlocks {
    let mut blocks = JournalBlocks::new();
    let mut next_frame = None;
    for file in files(data, report) {
        let mut keep = |block: Block| {
            let (table, first_seq) = (block.header.shard.table.clone(), block.header.first_seq);
            blocks.entry(table).or_default().insert(first_seq, (Arc::new(block), file.clone()));
        };
        check_file(data, &file, None, &mut next_frame, &mut keep, report);
    }
    blocks
}

/// Reads one file, named as `journal/<number>.wal`, while it may grow: no further than `size_bytes`, which are known to be
/// whole frames.
pub fn check_growing(data: &Path, file: &Path, size_bytes: u64, report: &mut Report) {
    check_file(data, file, Some(size_bytes), &mut None, &mut drop, report);
}

/// The journal files in the order of their numbers.
fn files(data: &Path, report: &mut Report) -> Vec<PathBuf> {
    let dir = Path::new("journal");
    let Ok(entries) = std::fs::read_dir(data.join(dir)) else {
        report.find(dir, "the directory is missing");
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let (mut journals, others): (Vec<_>, Vec<_>) = names.partition(|name| name.ends_with(".wal"));
    others.iter().filter(|name| name.ends_with(".torn")).for_each(|name| {
        report.notes.push(format!("journal/{name} keeps the torn end of a write that was never acknowledged"))
    });
    journals.sort();
    journals.iter().map(|name| dir.join(name)).collect()
}

/// A file as it is read: from its beginning, and no further than its end.
struct Input {
    file: BufReader<File>,
    left: u64,
}

impl Input {
    fn open(path: &Path, size_bytes: Option<u64>) -> io::Result<Self> {
        let file = File::open(path)?;
        let left = size_bytes.map_or_else(|| file.metadata().map(|metadata| metadata.len()), Ok)?;
        Ok(Self { file: BufReader::new(file), left })
    }

    /// Appends so many bytes, or fewer at the end.
    fn read(&mut self, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let len = usize::try_from(self.left).map_or(len, |left| left.min(len));
        let start = out.len();
        out.resize(start + len, 0);
        self.file.read_exact(&mut out[start..])?;
        self.left -= len as u64;
        Ok(())
    }

    /// The bytes of the next frame, as far as its header can be believed.
    fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read(FRAME_HEADER_BYTES, &mut bytes)?;
        let body_len = bytes.get(16..20).and_then(|len| len.first_chunk()).map_or(0, |len| u32::from_le_bytes(*len));
        let body_len = body_len as usize;
        if bytes.starts_with(FRAME_MAGIC) && body_len <= BODY_BYTES_MAX {
            self.read(body_len, &mut bytes)?;
        }
        Ok(bytes)
    }
}

fn check_file(
    data: &Path,
    file: &Path,
    size_bytes: Option<u64>,
    next_frame: &mut Option<u64>,
    on_block: &mut dyn FnMut(Block),
    report: &mut Report,
) {
    let checked = Input::open(&data.join(file), size_bytes)
        .and_then(|mut input| check_frames(&mut input, file, next_frame, on_block, report));
    if let Err(error) = checked {
        report.find(file, error.to_string());
    }
}

fn check_frames(
    input: &mut Input,
    file: &Path,
    next_frame: &mut Option<u64>,
    on_block: &mut dyn FnMut(Block),
    report: &mut Report,
) -> io::Result<()> {
    let mut header = Vec::new();
    input.read(FILE_HEADER_BYTES, &mut header)?;
    let header = match FileHeader::decode(&header) {
        Ok(header) => header,
        Err(error) => {
            report.find(file, format!("file header: {error}"));
            return Ok(());
        }
    };
    let stem = file.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
    if stem != Some(header.file_number) {
        report.find(file, format!("its header says it is file {}", header.file_number));
    }
    if next_frame.is_some_and(|next| next != header.first_frame) {
        report.find(file, "it does not begin where the file before it ended");
    }
    let mut number = header.first_frame;
    let mut offset = FILE_HEADER_BYTES;
    while input.left > 0 {
        let bytes = input.frame()?;
        let frame = match FrameView::read(&bytes) {
            Ok(frame) => frame,
            Err(error) => {
                let problem = format!(
                    "offset {offset}: frame {number} {error}; a start of Moneta tells a torn write from damage"
                );
                report.find(file, problem);
                break;
            }
        };
        if frame.number != number {
            report.find(file, format!("offset {offset}: frame {} where {number} should be", frame.number));
        }
        match frame.decode() {
            Ok(FrameBody::Commit(commit)) => {
                for block in commit.blocks {
                    check_block(file, offset, &block, report);
                    on_block(block);
                }
            }
            Ok(FrameBody::Snapshot(_) | FrameBody::End) => {}
            Err(error) => report.find(file, format!("offset {offset}: {error}")),
        }
        offset += frame.len();
        number += 1;
    }
    *next_frame = Some(number);
    Ok(())
}

fn check_block(file: &Path, offset: usize, block: &Block, report: &mut Report) {
    if let Err(error) = block.check() {
        report.find_block(file, &block.header.shard, block.header.first_seq, format!("offset {offset}: {error}"));
    }
}
