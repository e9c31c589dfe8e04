//! The journal's files: every frame's checksum, every block's record root and its place in the chain.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_base::{Seq, TableName};
use moneta_event::Block;
use moneta_event::frame::{FILE_HEADER_BYTES, FileHeader, FrameBody, FrameView};

use crate::Report;

/// The blocks in the journal, by table and first sequence, with the file they are in.
pub type JournalBlocks = BTreeMap<TableName, BTreeMap<Seq, (Arc<Block>, PathBuf)>>;

/// Reads every file of `journal`, in order.
pub fn check(data: &Path, report: &mut Report) -> JournalBlocks {
    let mut blocks = JournalBlocks::new();
    let mut next_frame = None;
    for file in files(data, report) {
        match std::fs::read(data.join(&file)) {
            Ok(bytes) => check_file(&file, &bytes, &mut next_frame, &mut blocks, report),
            Err(error) => report.find(&file, error.to_string()),
        }
    }
    blocks
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

fn check_file(
    file: &Path,
    bytes: &[u8],
    next_frame: &mut Option<u64>,
    blocks: &mut JournalBlocks,
    report: &mut Report,
) {
    let header = match FileHeader::decode(bytes) {
        Ok(header) => header,
        Err(error) => return report.find(file, format!("file header: {error}")),
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
    while offset < bytes.len() {
        let frame = match FrameView::read(&bytes[offset..]) {
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
                commit.blocks.into_iter().for_each(|block| check_block(file, offset, block, blocks, report))
            }
            Ok(FrameBody::Snapshot(_) | FrameBody::End) => {}
            Err(error) => report.find(file, format!("offset {offset}: {error}")),
        }
        offset += frame.len();
        number += 1;
    }
    *next_frame = Some(number);
}

fn check_block(file: &Path, offset: usize, block: Block, blocks: &mut JournalBlocks, report: &mut Report) {
    let (shard, first_seq) = (block.header.shard.clone(), block.header.first_seq);
    if let Err(error) = block.check() {
        report.find_block(file, &shard, first_seq, format!("offset {offset}: {error}"));
    }
    blocks.entry(shard.table).or_default().insert(first_seq, (Arc::new(block), file.to_owned()));
}
