//! Gzip files, also of several members one after another, as `gzip` and log rotation write them.
//!
//! # Source
//! RFC 1952; decompression by the `flate2` crate.

use std::io::Write;

use flate2::write::MultiGzDecoder;

use super::ExpansionGuard;
use super::member::Member;
use crate::output::{Output, Refusal};

/// Compressed bytes expanded in one step: DEFLATE expands at most about a thousandfold, so a step stays near 4 MiB.
const STEP_BYTES: usize = 4 << 10;

/// A gzip file as far as it has arrived.
pub(crate) struct GzipStream {
    depth: usize,
    expander: MultiGzDecoder<Vec<u8>>,
    guard: ExpansionGuard,
    member: Option<Member>,
    offset: u64,
    is_over: bool,
}

impl GzipStream {
    pub fn new(depth: usize) -> Self {
        Self {
            depth,
            expander: MultiGzDecoder::new(Vec::new()),
            guard: ExpansionGuard::default(),
            member: None,
            offset: 0,
            is_over: false,
        }
    }

    pub fn feed(&mut self, bytes: &[u8], output: &mut Output) {
        for step in bytes.chunks(STEP_BYTES) {
            if self.is_over {
                return;
            }
            let result = self.expander.write_all(step).map_err(|e| damaged(&e));
            let result = result.and_then(|()| self.guard.count(step.len(), self.expander.get_ref().len()));
            self.hand_on(output);
            self.offset += step.len() as u64;
            if let Err(refusal) = result {
                self.end(Some(refusal), output);
            }
        }
    }

    pub fn finish(&mut self, output: &mut Output) {
        if !self.is_over {
            let result = self.expander.try_finish().map_err(|e| damaged(&e));
            self.hand_on(output);
            self.end(result.err(), output);
        }
    }

    fn hand_on(&mut self, output: &mut Output) {
        let depth = self.depth;
        let member = self.member.get_or_insert_with(|| Member::enter("", depth, output));
        let expanded = self.expander.get_mut();
        member.feed(expanded, output);
        expanded.clear();
    }

    fn end(&mut self, fault: Option<Refusal>, output: &mut Output) {
        self.is_over = true;
        if let Some(member) = self.member.take() {
            member.leave(fault, self.offset, output);
        }
        output.advance(self.offset);
    }
}

fn damaged(error: &std::io::Error) -> Refusal {
    Refusal::new("bad_archive", format!("gzip data is damaged or cut short: {error}"))
}
