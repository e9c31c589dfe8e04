//! A segment file as the Parquet reader wants it, every byte checked before it is used.
//!
//! Column chunks are read whole, one read each, and kept while their row group is being read: at most the wanted
//! columns of one row group are in memory, compressed.

use std::collections::HashMap;
use std::io::{self, Cursor};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::FieldRef;
use bytes::Bytes;
use moneta_event::stored::TICKS_SUFFIX;
use moneta_event::template::TEMPLATE_KEY;
use moneta_event::terms::{PLACES_KEY, TermsPlace};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use crate::columns::with_dictionaries;
use crate::reader::with_named;
use crate::segment::{CHECKED_BYTES, CHECKSUMS_KEY, VERSION_KEY, VERSIONS};
use crate::source::Source;
use crate::{Error, SegmentMeta};

/// Bytes of a footer at most: columns times row groups times some hundred bytes.
const FOOTER_BYTES_MAX: u64 = 256 << 20;

/// What a footer says, read once and shared.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) arrow: ArrowReaderMetadata,
    /// The same with texts as dictionaries.
    pub(crate) dictionaries: ArrowReaderMetadata,
    checksums: Vec<u32>,
    /// Column chunks in file order.
    chunks: Vec<Chunk>,
    /// What must be read for each column that is a template, by position.
    templates: HashMap<usize, Vec<usize>>,
    /// The term index of each row group; none in a segment that has none.
    pub(crate) terms: Vec<TermsPlace>,
}

#[derive(Debug, Clone, Copy)]
struct Chunk {
    start: u64,
    end: u64,
    row_group: usize,
}

impl Footer {
    /// Bytes it takes in memory, about.
    pub(crate) fn size_bytes(&self) -> usize {
        let parts = size_of_val(&*self.checksums) + size_of_val(&*self.chunks) + size_of_val(&*self.terms);
        self.arrow.metadata().memory_size() + parts
    }

    /// Reads and checks the footer of a segment.
    pub(crate) fn read(source: &Source, segment: &SegmentMeta) -> Result<Self, Error> {
        let path = source.path();
        let len = segment.size_bytes.checked_sub(segment.footer_start).filter(|len| *len <= FOOTER_BYTES_MAX);
        let len = len.and_then(|len| usize::try_from(len).ok());
        let len = len.ok_or_else(|| Error::corrupt(path, "the catalog's offset of its footer cannot be"))?;
        let bytes = match source.read_range(segment.footer_start, len) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Error::corrupt(path, "it is shorter than the catalog says"));
            }
            other => other.map_err(Error::io("read", path))?,
        };
        if crc32c::crc32c(&bytes) != segment.footer_checksum {
            return Err(Error::corrupt(path, format!("checksum of its footer at byte {}", segment.footer_start)));
        }
        let tail = Tail { start: segment.footer_start, end: segment.size_bytes, bytes: bytes.into() };
        let corrupt = |reason: String| Error::corrupt(path, reason);
        let arrow = ArrowReaderMetadata::load(&tail, ArrowReaderOptions::new());
        let arrow = arrow.map_err(|error| corrupt(error.to_string()))?;
        let pairs = arrow.metadata().file_metadata().key_value_metadata();
        let value = |key: &str| pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == key)?.value.as_deref());
        let version = value(VERSION_KEY).unwrap_or_default();
        if !VERSIONS.contains(&version) {
            return Err(corrupt(format!("its form has version {version:?}, which this program does not know")));
        }
        let checksums = value(CHECKSUMS_KEY)
            .and_then(parse_checksums)
            .ok_or_else(|| corrupt("its checksums are missing".to_owned()))?;
        if checksums.len() as u64 != segment.footer_start.div_ceil(CHECKED_BYTES as u64) {
            return Err(corrupt("it has not as many checksums as parts".to_owned()));
        }
        let terms = value(PLACES_KEY).map_or(Some(Vec::new()), TermsPlace::parse_all);
        let terms = terms.ok_or_else(|| corrupt("the places of its term index cannot be read".to_owned()))?;
        let mut chunks = Vec::new();
        for (row_group, group) in arrow.metadata().row_groups().iter().enumerate() {
            for column in group.columns() {
                let (start, len) = column.byte_range();
                chunks.push(Chunk { start, end: start.saturating_add(len), row_group });
            }
        }
        chunks.sort_by_key(|chunk| chunk.start);
        let dictionaries = with_dictionaries(&arrow).map_err(|error| corrupt(error.to_string()))?;
        let fields = arrow.schema().fields().iter().enumerate();
        let templates = fields.filter(|(_, field)| field.metadata().contains_key(TEMPLATE_KEY));
        let needed = |field: &FieldRef| with_named(arrow.schema(), |name| name == field.name());
        let templates = templates.map(|(index, field)| (index, needed(field))).collect();
        Ok(Self { arrow, dictionaries, checksums, chunks, templates, terms })
    }

    /// The positions of the columns that must be read for one: itself, its companion of time, those it names.
    pub(crate) fn needed_for(&self, name: &str) -> Vec<usize> {
        let schema = self.arrow.schema();
        let Ok(index) = schema.index_of(name) else { return Vec::new() };
        if let Some(needed) = self.templates.get(&index) {
            return needed.clone();
        }
        // In order: a companion stands behind its column.
        std::iter::once(index).chain(schema.index_of(&format!("{name}{TICKS_SUFFIX}"))).collect()
    }

    /// Whether the column of that name leaves out what other columns hold.
    pub(crate) fn is_template(&self, name: &str) -> bool {
        self.arrow.schema().index_of(name).is_ok_and(|index| self.templates.contains_key(&index))
    }
}

fn parse_checksums(text: &str) -> Option<Vec<u32>> {
    let digits = text.as_bytes().chunks(8);
    digits.map(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()).collect()
}

/// The footer's bytes, at their offsets in the file.
struct Tail {
    start: u64,
    end: u64,
    bytes: Bytes,
}

impl Length for Tail {
    fn len(&self) -> u64 {
        self.end
    }
}

impl ChunkReader for Tail {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let len = usize::try_from(self.end.saturating_sub(start)).unwrap_or(usize::MAX);
        self.get_bytes(start, len).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        slice(&self.bytes, self.start, start, length).ok_or_else(|| outside("the footer"))
    }
}

/// A segment being read.
#[derive(Debug, Clone)]
pub(crate) struct SegmentFile {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    size_bytes: u64,
    data_end: u64,
    footer: Arc<Footer>,
    loaded: Mutex<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    row_group: usize,
    /// By position in the footer's chunks.
    chunks: HashMap<usize, Bytes>,
}

impl SegmentFile {
    pub(crate) fn new(source: Source, segment: &SegmentMeta, footer: Arc<Footer>) -> Self {
        let (size_bytes, data_end) = (segment.size_bytes, segment.footer_start);
        Self { inner: Arc::new(Inner { source, size_bytes, data_end, footer, loaded: Mutex::default() }) }
    }

    /// Bytes before the footer, checked.
    pub(crate) fn bytes(&self, range: Range<u64>) -> ParquetResult<Bytes> {
        self.inner.read_checked(range.start, range.end)
    }
}

impl Inner {
    /// The column chunk that holds `offset`, with its position.
    fn chunk_at(&self, offset: u64) -> ParquetResult<(Chunk, Bytes)> {
        let chunks = &self.footer.chunks;
        let index = chunks.partition_point(|chunk| chunk.start <= offset).checked_sub(1);
        let index = index.filter(|index| offset < chunks[*index].end).ok_or_else(|| outside("any column"))?;
        let chunk = chunks[index];
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.row_group != chunk.row_group {
            *loaded = Loaded { row_group: chunk.row_group, chunks: HashMap::new() };
        }
        if let Some(bytes) = loaded.chunks.get(&index) {
            return Ok((chunk, bytes.clone()));
        }
        let bytes = self.read_checked(chunk.start, chunk.end)?;
        loaded.chunks.insert(index, bytes.clone());
        Ok((chunk, bytes))
    }

    /// Reads `[start, end)` and everything that shares a checksum with it.
    fn read_checked(&self, start: u64, end: u64) -> ParquetResult<Bytes> {
        let part = CHECKED_BYTES as u64;
        let first = start / part;
        let to = (end.div_ceil(part) * part).min(self.data_end);
        let len =
            to.checked_sub(first * part).and_then(|len| usize::try_from(len).ok()).filter(|_| end <= self.data_end);
        let len = len.ok_or_else(|| outside("the data"))?;
        let bytes = self.source.read_range(first * part, len)?;
        let expected = &self.footer.checksums[usize::try_from(first).map_err(|_| outside("the data"))?..];
        for (index, (bytes, expected)) in bytes.chunks(CHECKED_BYTES).zip(expected).enumerate() {
            if crc32c::crc32c(bytes) != *expected {
                let offset = (first + index as u64) * part;
                let reason = format!("checksum of the {} bytes at byte {offset}", bytes.len());
                return Err(ParquetError::General(reason));
            }
        }
        let wanted =
            end.checked_sub(start).and_then(|len| usize::try_from(len).ok()).ok_or_else(|| outside("the data"))?;
        slice(&bytes.into(), first * part, start, wanted).ok_or_else(|| outside("the data"))
    }
}

impl Length for SegmentFile {
    fn len(&self) -> u64 {
        self.inner.size_bytes
    }
}

impl ChunkReader for SegmentFile {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let (chunk, bytes) = self.inner.chunk_at(start)?;
        let skipped = usize::try_from(start - chunk.start).map_err(|_| outside("the column"))?;
        Ok(Cursor::new(bytes.slice(skipped..)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let (chunk, bytes) = self.inner.chunk_at(start)?;
        slice(&bytes, chunk.start, start, length).ok_or_else(|| outside("its column"))
    }
}

/// `length` bytes at `start`, of bytes that begin at `origin`.
fn slice(bytes: &Bytes, origin: u64, start: u64, length: usize) -> Option<Bytes> {
    let from = usize::try_from(start.checked_sub(origin)?).ok()?;
    let to = from.checked_add(length).filter(|to| *to <= bytes.len())?;
    Some(bytes.slice(from..to))
}

fn outside(what: &str) -> ParquetError {
    ParquetError::General(format!("a read outside {what}"))
}
