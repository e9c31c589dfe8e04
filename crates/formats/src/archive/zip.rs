//! Zip archives, member by member in the order of their bytes, without the directory at the end: an archive can be
//! decoded as it arrives, and one cut short yields all that is there.
//!
//! Layout of a member: `PK\3\4`, version u16, flags u16, method u16, time u32, CRC-32 u32, compressed size u32, size u32,
//! name length u16, extra length u16, name, extra field, data; with flag bit 3 sizes follow the data in a descriptor
//! (`PK\7\8` optional, CRC-32, sizes of 4 or 8 bytes). Methods: 0 stored, 8 DEFLATE. The signature of what stands behind
//! the members (`PK\1\2`: the directory) ends the archive where a member could begin; any other is damage.
//!
//! # Source
//! APPNOTE.TXT sections 4.3.7, 4.3.9, 4.3.11 to 4.3.16 and 4.5.3.

use flate2::{Decompress, FlushDecompress, Status};

use super::member::Member;
use super::{ExpansionGuard, MEMBERS_MAX};
use crate::output::{Output, Refusal};

const LOCAL_HEADER: &[u8; 4] = b"PK\x03\x04";
const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";
/// Signatures of what stands behind the members: extra data, the directory, its signature and its ends.
const BEHIND_MEMBERS: [&[u8; 4]; 6] =
    [b"PK\x06\x08", b"PK\x01\x02", b"PK\x05\x05", b"PK\x06\x06", b"PK\x06\x07", END_OF_ARCHIVE];
const END_OF_ARCHIVE: &[u8; 4] = b"PK\x05\x06";
const LOCAL_HEADER_BYTES: usize = 30;
const FLAG_ENCRYPTED: u16 = 1;
const FLAG_DESCRIPTOR: u16 = 8;
const EXPANDED_BUFFER_BYTES: usize = 64 << 10;

/// A zip archive as far as it has arrived.
pub(crate) struct ZipStream {
    depth: usize,
    /// Bytes that arrived and are not used yet.
    pending: Vec<u8>,
    offset: u64,
    state: State,
    guard: ExpansionGuard,
    members: usize,
    expanded: Vec<u8>,
}

enum State {
    /// Before a member's header.
    Between,
    /// Within a member's data.
    Data { member: Option<Box<Member>>, method: Method, has_descriptor: bool },
    /// Behind a member whose sizes follow it.
    Descriptor,
    /// Behind the last member, or after damage: the rest is passed over.
    Over,
}

enum Method {
    Stored {
        left: u64,
    },
    Deflate(Box<Decompress>),
    /// Not readable: passed over, where its size is known.
    Skip {
        left: u64,
    },
}

struct Header {
    name: String,
    flags: u16,
    method: u16,
    compressed: u64,
    bytes: usize,
}

impl ZipStream {
    pub fn new(depth: usize) -> Self {
        Self {
            depth,
            pending: Vec::new(),
            offset: 0,
            state: State::Between,
            guard: ExpansionGuard::default(),
            members: 0,
            expanded: Vec::new(),
        }
    }

    pub fn feed(&mut self, bytes: &[u8], output: &mut Output) {
        if matches!(self.state, State::Over) {
            return;
        }
        self.pending.extend_from_slice(bytes);
        loop {
            let progressed = match &self.state {
                State::Between => self.between(output),
                State::Data { .. } => self.data(output),
                State::Descriptor => self.descriptor(),
                State::Over => {
                    self.pending = Vec::new();
                    false
                }
            };
            if !progressed {
                return;
            }
        }
    }

    pub fn finish(&mut self, output: &mut Output) {
        let cut = Refusal::new("bad_archive", "the zip archive is cut short");
        match std::mem::replace(&mut self.state, State::Over) {
            State::Data { member: Some(member), .. } => member.leave(Some(cut), self.offset, output),
            State::Data { member: None, .. } => output.quarantine(cut, None, self.offset, &[]),
            State::Between if !self.pending.is_empty() => output.quarantine(cut, None, self.offset, &self.pending),
            State::Between | State::Descriptor | State::Over => {}
        }
        output.advance(self.offset);
    }

    /// Reads a member's header; `false` when more bytes are needed.
    fn between(&mut self, output: &mut Output) -> bool {
        if self.pending.len() < LOCAL_HEADER.len() {
            return false;
        }
        if !self.pending.starts_with(LOCAL_HEADER) {
            // An archive without members is its end alone.
            let behind = if self.members == 0 { &[END_OF_ARCHIVE][..] } else { &BEHIND_MEMBERS };
            if !behind.iter().any(|signature| self.pending.starts_with(*signature)) {
                let refusal = Refusal::new("bad_archive", "no zip member or directory where one must be");
                output.quarantine(refusal, None, self.offset, &self.pending);
            }
            self.state = State::Over;
            return true;
        }
        let Some(header) = Header::read(&self.pending) else { return false };
        let header_offset = self.offset;
        self.consume(header.bytes);
        self.members += 1;
        if self.members > MEMBERS_MAX {
            let refusal = Refusal::new("too_many_members", format!("more than {MEMBERS_MAX} archive members"));
            output.quarantine(refusal, None, header_offset, header.name.as_bytes());
            self.state = State::Over;
            return true;
        }
        self.state = self.enter(&header, header_offset, output);
        true
    }

    /// How a member is to be read.
    fn enter(&self, header: &Header, offset: u64, output: &mut Output) -> State {
        let has_descriptor = header.flags & FLAG_DESCRIPTOR != 0;
        let is_encrypted = header.flags & FLAG_ENCRYPTED != 0;
        let left = header.compressed;
        let known_size = !has_descriptor || left > 0;
        let method = match header.method {
            8 if !is_encrypted => Method::Deflate(Box::new(Decompress::new(false))),
            0 if !is_encrypted && known_size => Method::Stored { left },
            _ => {
                let reason = if is_encrypted {
                    "encrypted zip member".to_owned()
                } else {
                    format!("zip member stored with method {}", header.method)
                };
                output.quarantine(Refusal::new("unreadable_member", reason), None, offset, header.name.as_bytes());
                if !known_size {
                    return State::Over;
                }
                return State::Data { member: None, method: Method::Skip { left }, has_descriptor };
            }
        };
        if holds_no_records(&header.name) {
            output.skip_member();
            return State::Data { member: None, method, has_descriptor };
        }
        let member = Box::new(Member::enter(&header.name, self.depth, output));
        State::Data { member: Some(member), method, has_descriptor }
    }

    /// Takes a step through a member's data; `false` when more bytes are needed.
    fn data(&mut self, output: &mut Output) -> bool {
        let State::Data { method, .. } = &mut self.state else { return false };
        let step = match method {
            Method::Deflate(expander) => inflate(expander, &self.pending, &mut self.expanded),
            Method::Stored { left } => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(self.pending.len());
                *left -= used as u64;
                self.expanded.clear();
                self.expanded.extend_from_slice(&self.pending[..used]);
                Ok(Step { used, is_end: *left == 0 })
            }
            Method::Skip { left } => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(self.pending.len());
                *left -= used as u64;
                self.expanded.clear();
                Ok(Step { used, is_end: *left == 0 })
            }
        };
        let step = step.and_then(|step| self.guard.count(step.used, self.expanded.len()).map(|()| step));
        match step {
            Ok(step) => self.take_step(&step, output),
            Err(refusal) => {
                // What came out before the damage is readable.
                if let State::Data { member: Some(member), .. } = &mut self.state {
                    member.feed(&self.expanded, output);
                }
                self.leave_member(Some(refusal), output);
                self.state = State::Over;
                true
            }
        }
    }

    fn take_step(&mut self, step: &Step, output: &mut Output) -> bool {
        self.consume(step.used);
        if let State::Data { member: Some(member), .. } = &mut self.state {
            member.feed(&self.expanded, output);
        }
        let progressed = step.used > 0 || !self.expanded.is_empty() || step.is_end;
        if step.is_end {
            let has_descriptor = matches!(self.state, State::Data { has_descriptor: true, .. });
            self.leave_member(None, output);
            self.state = if has_descriptor { State::Descriptor } else { State::Between };
        }
        progressed
    }

    fn leave_member(&mut self, fault: Option<Refusal>, output: &mut Output) {
        let State::Data { member, .. } = &mut self.state else { return };
        match (member.take(), fault) {
            (Some(member), fault) => member.leave(fault, self.offset, output),
            (None, Some(refusal)) => output.quarantine(refusal, None, self.offset, &[]),
            (None, None) => {}
        }
        output.advance(self.offset);
    }

    /// Passes over the sizes behind a member; `false` when more bytes are needed.
    fn descriptor(&mut self) -> bool {
        let signature = if self.pending.starts_with(DESCRIPTOR) { 4 } else { 0 };
        // Sizes of 4 or of 8 bytes: told apart by what follows.
        for sizes in [8, 16] {
            let end = signature + 4 + sizes;
            match self.pending.get(end..end + 2) {
                Some(b"PK") => {
                    self.consume(end);
                    self.state = State::Between;
                    return true;
                }
                Some(_) => {}
                None => return false,
            }
        }
        self.state = State::Between;
        true
    }

    fn consume(&mut self, bytes: usize) {
        self.pending.drain(..bytes);
        self.offset += bytes as u64;
    }
}

struct Step {
    used: usize,
    is_end: bool,
}

/// Expands up to one buffer.
fn inflate(expander: &mut Decompress, compressed: &[u8], expanded: &mut Vec<u8>) -> Result<Step, Refusal> {
    expanded.resize(EXPANDED_BUFFER_BYTES, 0);
    let (used_before, made_before) = (expander.total_in(), expander.total_out());
    let status = expander.decompress(compressed, expanded, FlushDecompress::None);
    let count = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(0);
    let used = count(expander.total_in(), used_before);
    expanded.truncate(count(expander.total_out(), made_before));
    let status = status.map_err(|e| Refusal::new("bad_archive", format!("zip member is damaged: {e}")))?;
    Ok(Step { used, is_end: status == Status::StreamEnd })
}

impl Header {
    /// Reads a header; `None` when it is not complete.
    fn read(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..LOCAL_HEADER_BYTES)?;
        let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let long = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let name_end = LOCAL_HEADER_BYTES + usize::from(short(26));
        let end = name_end + usize::from(short(28));
        let extra = bytes.get(name_end..end)?;
        let name = String::from_utf8_lossy(&bytes[LOCAL_HEADER_BYTES..name_end]).into_owned();
        let compressed = match long(18) {
            u32::MAX => zip64_compressed(extra, long(22) == u32::MAX).unwrap_or(u64::from(u32::MAX)),
            size => u64::from(size),
        };
        Some(Self { name, flags: short(6), method: short(8), compressed, bytes: end })
    }
}

/// The compressed size from the ZIP64 extra field, where it stands behind the size if that is there too.
fn zip64_compressed(mut extra: &[u8], has_size: bool) -> Option<u64> {
    loop {
        let id = extra.get(..2)?;
        let length = usize::from(u16::from_le_bytes([*extra.get(2)?, *extra.get(3)?]));
        let body = extra.get(4..4 + length)?;
        if id == [1, 0] {
            let at = if has_size { 8 } else { 0 };
            return body.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        }
        extra = &extra[4 + length..];
    }
}

/// Directories and the companions that macOS adds.
fn holds_no_records(name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or(name);
    name.ends_with('/') || name.starts_with("__MACOSX/") || base.starts_with("._") || base == ".DS_Store"
}
