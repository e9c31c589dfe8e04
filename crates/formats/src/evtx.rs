//! Windows event log files (EVTX), decoded chunk by chunk as the bytes arrive.
//!
//! Layout: a file header of 4,096 bytes (`ElfFile\0`), then chunks of 65,536 bytes (`ElfChnk\0`), each complete in
//! itself: a header of 512 bytes, records (`**\0\0`, size u32, record id u64, FILETIME u64, binary XML, size u32), free
//! space. Chunks that are all zero are unused. A last chunk cut short is read as far as it goes.
//!
//! Binary XML is read by the `evtx` crate; this module finds chunks, keeps what is damaged with its offset, and hands
//! readable events on in their JSON rendering, which also becomes `_Raw`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use evtx::err::EvtxError;
use evtx::{EvtxChunkData, ParserSettings, SerializedEvtxRecord};
use moneta_base::Timestamp;
use moneta_base::limits::RECORD_BYTES_MAX;

use crate::json::Document;
use crate::output::{Output, Refusal};
use crate::windows::{self, WindowsRows};

const FILE_HEADER_BYTES: usize = 4_096;
const FILE_MAGIC: &[u8; 8] = b"ElfFile\0";
const CHUNK_BYTES: usize = 65_536;
const CHUNK_HEADER_BYTES: usize = 512;
const RECORD_MAGIC: &[u8; 4] = b"**\0\0";
const RECORD_HEADER_BYTES: usize = 24;

const _: () = assert!(2 * CHUNK_BYTES / RECORD_HEADER_BYTES < moneta_base::limits::BLOCK_ROWS_MAX);

/// An EVTX file as far as it has arrived.
pub(crate) struct EvtxStream {
    settings: Arc<ParserSettings>,
    /// The unfinished file header or chunk.
    partial: Vec<u8>,
    /// Position of `partial` in the file.
    offset: u64,
    in_header: bool,
    mapper: EventMapper,
}

/// A record of a chunk, or why there is none.
enum Found {
    Event { offset: usize, length: usize, time: Timestamp, json: Vec<u8> },
    Damage { offset: usize, length: usize, refusal: Refusal },
}

impl EvtxStream {
    pub fn new(first_offset: u64) -> Self {
        let settings = ParserSettings::default().num_threads(1).indent(false).separate_json_attributes(false);
        Self {
            settings: Arc::new(settings),
            partial: Vec::with_capacity(CHUNK_BYTES),
            offset: first_offset,
            // A decoder that continues within a file continues at a chunk.
            in_header: first_offset == 0,
            mapper: EventMapper::default(),
        }
    }

    pub fn feed(&mut self, mut bytes: &[u8], output: &mut Output) {
        while !bytes.is_empty() {
            let wanted = if self.in_header { FILE_HEADER_BYTES } else { CHUNK_BYTES };
            let (now, rest) = bytes.split_at((wanted - self.partial.len()).min(bytes.len()));
            self.partial.extend_from_slice(now);
            bytes = rest;
            if self.partial.len() == wanted {
                self.take_partial(output);
            }
        }
    }

    pub fn finish(&mut self, output: &mut Output) {
        if !self.partial.is_empty() {
            self.take_partial(output);
        }
    }

    fn take_partial(&mut self, output: &mut Output) {
        let piece = std::mem::take(&mut self.partial);
        if self.in_header {
            self.in_header = false;
            if !piece.starts_with(FILE_MAGIC) {
                let refusal = Refusal::new("bad_file_header", "no EVTX file header; chunks are looked for behind it");
                output.quarantine(refusal, None, self.offset, &piece);
            }
        } else {
            self.chunk(&piece, output);
        }
        self.offset += piece.len() as u64;
        output.advance(self.offset);
        self.partial = piece;
        self.partial.clear();
    }

    fn chunk(&mut self, piece: &[u8], output: &mut Output) {
        if piece.iter().all(|b| *b == 0) {
            return;
        }
        let mut data = piece.to_vec();
        data.resize(CHUNK_BYTES, 0);
        let settings = self.settings.clone();
        // The binary XML comes from machines under attack; a defect of its reader must not end the decoder.
        let found = catch_unwind(AssertUnwindSafe(|| read_chunk(data, settings)))
            .unwrap_or_else(|_| Err(Refusal::new("decoder_failed", "the reader of binary XML failed on this chunk")));
        match found {
            Err(refusal) => output.quarantine(refusal, None, self.offset, piece),
            Ok(found) => {
                // A chunk is delivered whole, so that a decoder can continue at the next one.
                // Audit events of SQL Server become two rows.
                output.reserve(2 * found.len());
                found.into_iter().for_each(|one| self.take_found(one, piece, output));
            }
        }
    }

    fn take_found(&mut self, found: Found, piece: &[u8], output: &mut Output) {
        let bytes_at = |offset: usize, length: usize| {
            let end = offset.saturating_add(length).min(piece.len());
            piece.get(offset..end).unwrap_or_default()
        };
        let (offset, length, refusal) = match found {
            Found::Damage { offset, length, refusal } => (offset, length, refusal),
            Found::Event { offset, length, time, json } => match self.mapper.map(&json, time, output) {
                Ok(()) => return,
                Err(refusal) => (offset, length, refusal),
            },
        };
        output.quarantine(refusal, None, self.offset + offset as u64, bytes_at(offset, length));
    }
}

/// Maps events in their JSON rendering.
#[derive(Default)]
struct EventMapper {
    document: Document,
    windows: WindowsRows,
}

impl EventMapper {
    fn map(&mut self, json: &[u8], time: Timestamp, output: &mut Output) -> Result<(), Refusal> {
        if json.len() > RECORD_BYTES_MAX {
            return Err(Refusal::new("too_long", format!("event of {} bytes as JSON", json.len())));
        }
        let text = std::str::from_utf8(json).map_err(Refusal::invalid_utf8)?;
        let item = self.document.parse(text).map_err(crate::json::Fault::refusal)?;
        let mut event = windows::from_json(item, 0).unwrap_or_default();
        event.time = event.time.or(Some(time));
        self.windows.write(&event, text, output)
    }
}

/// Reads all records of a chunk.
fn read_chunk(data: Vec<u8>, settings: Arc<ParserSettings>) -> Result<Vec<Found>, Refusal> {
    let bad = |error: &dyn std::error::Error| Refusal::new("bad_chunk", chain(error));
    let mut data = EvtxChunkData::new(data, false).map_err(|e| bad(&e))?;
    let bytes = data.data.clone();
    let mut chunk = data.parse(settings).map_err(|e| bad(&e))?;
    let mut found = Vec::new();
    for record in chunk.iter() {
        match record {
            Ok(record) => {
                let offset = usize::try_from(record.binxml_offset).unwrap_or(0).saturating_sub(RECORD_HEADER_BYTES);
                let length = RECORD_HEADER_BYTES + record.binxml_size as usize + 4;
                found.push(rendered(offset, length, record.into_json_bytes()));
            }
            Err(error) => found.push(damage(&error, &bytes)),
        }
    }
    Ok(found)
}

fn rendered(offset: usize, length: usize, result: Result<SerializedEvtxRecord<Vec<u8>>, EvtxError>) -> Found {
    match result {
        Ok(record) => {
            let nanos = i64::try_from(record.timestamp.as_nanosecond()).unwrap_or(i64::MAX);
            Found::Event { offset, length, time: Timestamp::from_nanos(nanos), json: record.data }
        }
        Err(error) => Found::Damage { offset, length, refusal: Refusal::new("bad_record", chain(&error)) },
    }
}

/// The damaged record that an error speaks of, with as many bytes as may belong to it.
fn damage(error: &EvtxError, chunk: &[u8]) -> Found {
    let offset = match error {
        EvtxError::FailedToReadRecordAt { offset, .. } => usize::try_from(*offset).unwrap_or(CHUNK_HEADER_BYTES),
        EvtxError::FailedToParseRecord { record_id, .. } => record_offset(chunk, *record_id),
        _ => CHUNK_HEADER_BYTES,
    }
    .min(chunk.len());
    let behind = &chunk[(offset + RECORD_MAGIC.len()).min(chunk.len())..];
    let next = memchr::memmem::find(behind, RECORD_MAGIC).map_or(chunk.len(), |at| offset + RECORD_MAGIC.len() + at);
    let refusal = Refusal::new("bad_record", chain(error));
    Found::Damage { offset, length: next - offset, refusal }
}

/// Where the record with that id begins; the first place records can lie when none has it.
fn record_offset(chunk: &[u8], record_id: u64) -> usize {
    let id_at = |at: usize| chunk.get(at + 8..at + 16).is_some_and(|id| id == record_id.to_le_bytes());
    let mut places = memchr::memmem::find_iter(chunk, RECORD_MAGIC);
    places.find(|at| id_at(*at)).unwrap_or(CHUNK_HEADER_BYTES)
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = moneta_base::error::chain(error);
    text.truncate(text.floor_char_boundary(500));
    text
}
