//! Compressed files: gzip and zstd, also of several members or frames one after another, as `gzip`, `zstd` and log rotation
//! write them.
//!
//! # Source
//! RFC 1952 and RFC 8878; decompression by the `flate2` and `zstd` crates.

use std::io::Write;

use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::ExpansionGuard;
use super::member::Member;
use crate::output::{Output, Refusal};
use crate::{Error, Format, recognise};

/// Compressed bytes expanded in one step: DEFLATE expands at most about a thousandfold, so a step stays near 4 MiB.
const STEP_BYTES: usize = 4 << 10;
/// Bytes that zstd expands in one step, whatever they were made of.
const EXPANDED_STEP_BYTES: usize = 128 << 10;
/// Memory a zstd frame may ask for, as a power of two: 32 MiB, which all levels but `--ultra` and `--long` stay below.
const WINDOW_LOG_MAX: u32 = 25;

/// A compressed file as far as it has arrived.
pub(crate) struct CompressedStream {
    depth: usize,
    expander: Expander,
    member: Option<Member>,
    offset: u64,
    is_over: bool,
}

/// Expands the bytes of a gzip or zstd file as they arrive, within the limits of archives.
///
/// # Example
/// ```
/// let packed = zstd::encode_all(&b"one\ntwo\n"[..], 0).unwrap();
/// let (mut expander, mut text) = (moneta_formats::Expander::of(&packed).unwrap(), Vec::new());
/// let mut take = |bytes: &[u8]| text.extend_from_slice(bytes);
/// expander.feed(&packed, &mut take).unwrap();
/// expander.finish(&mut take).unwrap();
/// assert_eq!(text, b"one\ntwo\n");
/// ```
pub struct Expander {
    kind: Kind,
    guard: ExpansionGuard,
}

enum Kind {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd(Box<Zstd>),
}

struct Zstd {
    /// `None` when there is no memory for it.
    decoder: Option<Decoder<'static>>,
    expanded: Vec<u8>,
    /// What arrived ends with a whole frame.
    is_whole: bool,
}

impl Expander {
    /// An expander for a file that begins so.
    ///
    /// # Errors
    /// [`Error::Compressed`] (caller) where this is the beginning of neither format.
    pub fn of(head: &[u8]) -> Result<Self, Error> {
        match recognise("", head) {
            Some(Format::Gzip) => Ok(Self::gzip()),
            Some(Format::Zstd) => Ok(Self::zstd()),
            _ => Err(Error::Compressed { reason: "it is neither gzip nor zstd".to_owned() }),
        }
    }

    fn gzip() -> Self {
        let kind = Kind::Gzip(Box::new(MultiGzDecoder::new(Vec::new())));
        Self { kind, guard: ExpansionGuard::default() }
    }

    fn zstd() -> Self {
        let decoder = Decoder::new().and_then(|mut decoder| {
            decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
            Ok(decoder)
        });
        let zstd = Zstd { decoder: decoder.ok(), expanded: vec![0; EXPANDED_STEP_BYTES], is_whole: false };
        Self { kind: Kind::Zstd(Box::new(zstd)), guard: ExpansionGuard::default() }
    }

    /// Hands on what the next bytes expand to.
    ///
    /// # Errors
    /// [`Error::Compressed`] (caller) where they are damaged or expand beyond what logs do: the rest cannot be read.
    pub fn feed(&mut self, bytes: &[u8], take: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        bytes.chunks(STEP_BYTES).try_for_each(|step| self.step(step, take)).map_err(error)
    }

    /// Ends the file and hands on what is left.
    ///
    /// # Errors
    /// [`Error::Compressed`] (caller) where its end is missing.
    pub fn finish(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.end(take).map_err(error)
    }

    fn step(&mut self, bytes: &[u8], take: &mut dyn FnMut(&[u8])) -> Result<(), Refusal> {
        match &mut self.kind {
            Kind::Gzip(decoder) => {
                let result = decoder.write_all(bytes).map_err(|e| damaged(&e));
                let expanded = decoder.get_mut();
                let result = result.and_then(|()| self.guard.count(bytes.len(), expanded.len()));
                take(expanded);
                expanded.clear();
                result
            }
            Kind::Zstd(zstd) => zstd.step(bytes, &mut self.guard, take),
        }
    }

    fn end(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), Refusal> {
        match &mut self.kind {
            Kind::Gzip(decoder) => {
                let result = decoder.try_finish().map_err(|e| damaged(&e));
                take(decoder.get_ref());
                result
            }
            Kind::Zstd(zstd) if zstd.is_whole => Ok(()),
            Kind::Zstd(_) => Err(damaged(&std::io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

fn error(refusal: Refusal) -> Error {
    Error::Compressed { reason: refusal.reason }
}

impl CompressedStream {
    pub fn gzip(depth: usize) -> Self {
        Self::new(depth, Expander::gzip())
    }

    pub fn zstd(depth: usize) -> Self {
        Self::new(depth, Expander::zstd())
    }

    fn new(depth: usize, expander: Expander) -> Self {
        Self { depth, expander, member: None, offset: 0, is_over: false }
    }

    pub fn feed(&mut self, bytes: &[u8], output: &mut Output) {
        for step in bytes.chunks(STEP_BYTES) {
            if self.is_over {
                return;
            }
            let depth = self.depth;
            let member = self.member.get_or_insert_with(|| Member::enter("", depth, output));
            let result = self.expander.step(step, &mut |expanded| member.feed(expanded, output));
            self.offset += step.len() as u64;
            if let Err(refusal) = result {
                self.end(Some(refusal), output);
            }
        }
    }

    pub fn finish(&mut self, output: &mut Output) {
        if self.is_over {
            return;
        }
        let depth = self.depth;
        let member = self.member.get_or_insert_with(|| Member::enter("", depth, output));
        let result = self.expander.end(&mut |expanded| member.feed(expanded, output));
        self.end(result.err(), output);
    }

    fn end(&mut self, fault: Option<Refusal>, output: &mut Output) {
        self.is_over = true;
        if let Some(member) = self.member.take() {
            member.leave(fault, self.offset, output);
        }
        output.advance(self.offset);
    }
}

impl Zstd {
    fn step(&mut self, bytes: &[u8], guard: &mut ExpansionGuard, take: &mut dyn FnMut(&[u8])) -> Result<(), Refusal> {
        let decoder = self.decoder.as_mut().ok_or_else(|| damaged(&std::io::ErrorKind::OutOfMemory.into()))?;
        let mut input = InBuffer::around(bytes);
        loop {
            let before = input.pos();
            let mut room = OutBuffer::around(self.expanded.as_mut_slice());
            let result = decoder.run(&mut input, &mut room).map_err(|e| damaged(&e));
            let length = room.pos();
            self.is_whole = matches!(result, Ok(0));
            let counted = guard.count(input.pos() - before, length);
            take(&self.expanded[..length]);
            counted.and(result)?;
            if input.pos() == bytes.len() && length < self.expanded.len() {
                return Ok(());
            }
        }
    }
}

fn damaged(error: &std::io::Error) -> Refusal {
    Refusal::new("bad_archive", format!("compressed data is damaged or cut short: {error}"))
}
