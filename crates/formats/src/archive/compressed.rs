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
    guard: ExpansionGuard,
    member: Option<Member>,
    offset: u64,
    is_over: bool,
}

enum Expander {
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

impl CompressedStream {
    pub fn gzip(depth: usize) -> Self {
        Self::new(depth, Expander::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))))
    }

    pub fn zstd(depth: usize) -> Self {
        let decoder = Decoder::new().and_then(|mut decoder| {
            decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
            Ok(decoder)
        });
        let zstd = Zstd { decoder: decoder.ok(), expanded: vec![0; EXPANDED_STEP_BYTES], is_whole: false };
        Self::new(depth, Expander::Zstd(Box::new(zstd)))
    }

    fn new(depth: usize, expander: Expander) -> Self {
        Self { depth, expander, guard: ExpansionGuard::default(), member: None, offset: 0, is_over: false }
    }

    pub fn feed(&mut self, bytes: &[u8], output: &mut Output) {
        for step in bytes.chunks(STEP_BYTES) {
            if self.is_over {
                return;
            }
            let depth = self.depth;
            let member = self.member.get_or_insert_with(|| Member::enter("", depth, output));
            let result = match &mut self.expander {
                Expander::Gzip(expander) => {
                    let result = expander.write_all(step).map_err(|e| damaged(&e));
                    let expanded = expander.get_mut();
                    let result = result.and_then(|()| self.guard.count(step.len(), expanded.len()));
                    member.feed(expanded, output);
                    expanded.clear();
                    result
                }
                Expander::Zstd(expander) => {
                    expander.step(step, &mut self.guard, &mut |expanded| member.feed(expanded, output))
                }
            };
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
        let result = match &mut self.expander {
            Expander::Gzip(expander) => {
                let result = expander.try_finish().map_err(|e| damaged(&e));
                member.feed(expander.get_ref(), output);
                result
            }
            Expander::Zstd(expander) if expander.is_whole => Ok(()),
            Expander::Zstd(_) => Err(damaged(&std::io::ErrorKind::UnexpectedEof.into())),
        };
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
