//! Finds the objects in a stream of JSON that is not one object a line: arrays, objects laid out over several lines,
//! objects one after another.
//!
//! What stands between objects (white space, commas, brackets) is passed over; anything else there is handed on as
//! garbage up to the end of its line. At most one object is held.
//!
//! An envelope (`{"records":[{...},{...}]}`) is opened: its records are the objects, and a file of any length streams.
//! What an envelope says beside its records is passed over.

use moneta_base::limits::{QUARANTINE_BYTES_MAX, RECORD_BYTES_MAX};

use crate::lines::BUFFER_BYTES_KEPT;

/// One find in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A text from `{` to its `}`.
    Object { offset: u64, bytes: &'a [u8] },
    /// Something that is no object.
    Garbage { offset: u64, bytes: &'a [u8] },
    /// An object or garbage of more than [`RECORD_BYTES_MAX`] bytes.
    TooLong { offset: u64, head: &'a [u8], length: u64 },
}

/// The splitter of one stream.
#[derive(Debug)]
pub(crate) struct ObjectSplitter {
    partial: Vec<u8>,
    dropped: u64,
    /// Stream position where the piece in hand began.
    began: u64,
    offset: u64,
    state: State,
    /// The envelope whose records are being found.
    in_envelope: bool,
}

/// An envelope's list begins within so many bytes.
const ENVELOPE_HEAD_BYTES_MAX: usize = 4 << 10;

/// Names of the lists that make an object an envelope.
const ENVELOPE_NAMES: [&[u8]; 2] = [b"\"records\"", b"\"Records\""];
/// Lists of a Graph answer, an envelope only beside this.
const VALUE_NAME: &[u8] = b"\"value\"";
const VALUE_MARK: &[u8] = b"\"@odata.";
/// The list of a Kubernetes list, an envelope only beside this.
const ITEMS_NAME: &[u8] = b"\"items\"";
const ITEMS_MARK: &[u8] = b"\"kind\"";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Garbage,
    Object {
        depth: u32,
        in_text: bool,
        escaped: bool,
        opens_list: bool,
    },
    /// Behind the records of an envelope, up to its closing brace.
    EnvelopeEnd {
        depth: u32,
        in_text: bool,
        escaped: bool,
    },
}

impl ObjectSplitter {
    pub fn new(first_offset: u64) -> Self {
        Self {
            partial: Vec::new(),
            dropped: 0,
            began: first_offset,
            offset: first_offset,
            state: State::Between,
            in_envelope: false,
        }
    }

    /// Takes the next bytes and hands on each piece they finish, with the stream position behind it.
    pub fn feed(&mut self, mut bytes: &[u8], mut on_piece: impl FnMut(Piece<'_>, u64)) {
        while !bytes.is_empty() {
            let was_between = self.state == State::Between;
            let (taken, finished) = match self.state {
                State::Between => (self.pass(bytes), false),
                State::Garbage => find_garbage_end(bytes),
                State::Object { .. } => self.scan_object(bytes),
                State::EnvelopeEnd { .. } => self.pass_envelope_end(bytes),
            };
            let is_kept = matches!(self.state, State::Garbage | State::Object { .. });
            if !was_between && is_kept {
                self.keep(&bytes[..taken]);
            }
            self.offset += taken as u64;
            bytes = &bytes[taken..];
            if finished {
                self.deliver(&mut on_piece);
            }
        }
    }

    /// Hands on what the end of the stream left unfinished.
    pub fn finish(&mut self, mut on_piece: impl FnMut(Piece<'_>, u64)) {
        if matches!(self.state, State::Garbage | State::Object { .. }) {
            self.state = State::Garbage;
            self.deliver(&mut on_piece);
        }
    }

    /// Passes over what separates objects; changes state at the first byte that does not.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        let in_envelope = self.in_envelope;
        let separates = |b: &u8| {
            matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | 0xef | 0xbb | 0xbf) || (*b == b']' && !in_envelope)
        };
        let taken = bytes.iter().take_while(|b| separates(b)).count();
        if let Some(first) = bytes.get(taken) {
            self.began = self.offset + taken as u64;
            self.state = match first {
                b'{' => State::Object { depth: 0, in_text: false, escaped: false, opens_list: false },
                b']' => {
                    self.in_envelope = false;
                    State::EnvelopeEnd { depth: 0, in_text: false, escaped: false }
                }
                _ => State::Garbage,
            };
        }
        taken
    }

    /// Passes over the rest of an envelope.
    fn pass_envelope_end(&mut self, bytes: &[u8]) -> (usize, bool) {
        let State::EnvelopeEnd { mut depth, mut in_text, mut escaped } = self.state else { return (0, false) };
        for (index, byte) in bytes.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                _ if in_text => {}
                b'{' => depth = depth.saturating_add(1),
                b'}' if depth == 0 => {
                    self.state = State::Between;
                    return (index + 1, false);
                }
                b'}' => depth -= 1,
                _ => {}
            }
        }
        self.state = State::EnvelopeEnd { depth, in_text, escaped };
        (bytes.len(), false)
    }

    /// How many bytes belong to the object, and whether it ends with them.
    fn scan_object(&mut self, bytes: &[u8]) -> (usize, bool) {
        let State::Object { mut depth, mut in_text, mut escaped, mut opens_list } = self.state else {
            return (0, false);
        };
        for (index, byte) in bytes.iter().enumerate() {
            if in_text {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => in_text = false,
                    _ => {}
                }
                continue;
            }
            if opens_list && !byte.is_ascii_whitespace() {
                opens_list = false;
                if *byte == b'{' {
                    self.open_envelope();
                    self.state = State::Between;
                    return (index, false);
                }
            }
            match byte {
                b'"' => in_text = true,
                b'{' => depth = depth.saturating_add(1),
                b'[' if depth == 1 && !self.in_envelope => opens_list = self.is_envelope(&bytes[..index]),
                b'}' if depth <= 1 => return (index + 1, true),
                b'}' => depth -= 1,
                _ => {}
            }
        }
        self.state = State::Object { depth, in_text, escaped, opens_list };
        (bytes.len(), false)
    }

    /// Whether the object held so far, with these bytes behind it, ends in the name of an envelope's list.
    fn is_envelope(&self, behind: &[u8]) -> bool {
        if self.partial.len() + behind.len() > ENVELOPE_HEAD_BYTES_MAX {
            return false;
        }
        let head = [&self.partial, behind].concat();
        // Objects before the list would be lost with the head.
        let is_flat = head.iter().filter(|b| **b == b'{').count() == 1;
        let Some(named) = head.trim_ascii_end().strip_suffix(b":").map(<[u8]>::trim_ascii_end) else { return false };
        let has = |mark: &[u8]| memchr::memmem::find(&head, mark).is_some();
        is_flat
            && (ENVELOPE_NAMES.iter().any(|name| named.ends_with(name))
                || (named.ends_with(VALUE_NAME) && has(VALUE_MARK))
                || (named.ends_with(ITEMS_NAME) && has(ITEMS_MARK)))
    }

    fn open_envelope(&mut self) {
        self.partial.clear();
        self.dropped = 0;
        self.in_envelope = true;
    }

    fn keep(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(QUARANTINE_BYTES_MAX.saturating_sub(self.partial.len()));
        self.partial.extend_from_slice(&bytes[..kept]);
        self.dropped += (bytes.len() - kept) as u64;
    }

    fn deliver(&mut self, on_piece: &mut impl FnMut(Piece<'_>, u64)) {
        let offset = self.began;
        let piece = if self.dropped > 0 || self.partial.len() > RECORD_BYTES_MAX {
            let length = self.partial.len() as u64 + self.dropped;
            Piece::TooLong { offset, head: &self.partial, length }
        } else if self.state == State::Garbage {
            Piece::Garbage { offset, bytes: self.partial.trim_ascii_end() }
        } else {
            Piece::Object { offset, bytes: &self.partial }
        };
        on_piece(piece, self.offset);
        self.partial.clear();
        self.partial.shrink_to(BUFFER_BYTES_KEPT);
        self.dropped = 0;
        self.state = State::Between;
    }
}

fn find_garbage_end(bytes: &[u8]) -> (usize, bool) {
    match memchr::memchr(b'\n', bytes) {
        Some(end) => (end + 1, true),
        None => (bytes.len(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &[(u64, &str)]) {
        for size in [1, 3, text.len().max(1)] {
            let mut splitter = ObjectSplitter::new(0);
            let mut found = Vec::new();
            let mut push = |piece: Piece<'_>, _| {
                found.push(match piece {
                    Piece::Object { offset, bytes } => (offset, String::from_utf8_lossy(bytes).into_owned()),
                    Piece::Garbage { offset, bytes } => (offset, format!("garbage {}", String::from_utf8_lossy(bytes))),
                    Piece::TooLong { offset, length, .. } => (offset, format!("too long {length}")),
                });
            };
            text.chunks(size).for_each(|piece| splitter.feed(piece, &mut push));
            splitter.finish(&mut push);
            let expected: Vec<_> = expected.iter().map(|(offset, text)| (*offset, (*text).to_owned())).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn objects_are_found_in_arrays_lines_and_layouts() {
        check(b"[{\"a\":1}, {\"b\":{}}]", &[(1, "{\"a\":1}"), (10, "{\"b\":{}}")]);
        check(b"{\n \"a\": \"}\\\"\"\n}\n{}", &[(0, "{\n \"a\": \"}\\\"\"\n}"), (16, "{}")]);
        check(b"{}{}", &[(0, "{}"), (2, "{}")]);
        check(b" [ ] ", &[]);
        check(
            b"{\"n\":1,\"records\" : [ {\"a\":1},\n{\"b\":[1]}], \"x\":{\"y\":\"}\"}}{\"c\":1}",
            &[(21, "{\"a\":1}"), (30, "{\"b\":[1]}"), (56, "{\"c\":1}")],
        );
        check(b"{\"records\":[1]}", &[(0, "{\"records\":[1]}")]);
        check(b"{\"value\":[{}]}", &[(0, "{\"value\":[{}]}")]);
        check(b"{\"@odata.context\":\"x\",\"value\":[{}]}", &[(31, "{}")]);
    }

    #[test]
    fn what_is_no_object_is_garbage_and_the_next_object_is_found() {
        check(b"oops\n{}\n", &[(0, "garbage oops"), (5, "{}")]);
        check(b"{\"a\":", &[(0, "garbage {\"a\":")]);
        check(b"[1,2]", &[(1, "garbage 1,2]")]);
    }

    #[test]
    fn a_long_object_is_cut_and_the_next_one_is_whole() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(RECORD_BYTES_MAX));
        let text = format!("{long}\n{{}}");
        let mut splitter = ObjectSplitter::new(0);
        let mut found = Vec::new();
        splitter.feed(text.as_bytes(), |piece, _| found.push(matches!(piece, Piece::TooLong { .. })));
        assert_eq!(found, [true, false]);
    }
}
