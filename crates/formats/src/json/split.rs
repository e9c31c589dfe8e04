//! Finds the objects in a stream of JSON that is not one object a line: arrays, objects laid out over several lines,
//! objects one after another.
//!
//! What stands between objects (white space, commas, brackets) is passed over; anything else there is handed on as
//! garbage up to the end of its line. At most one object is held.

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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Garbage,
    Object { depth: u32, in_text: bool, escaped: bool },
}

impl ObjectSplitter {
    pub fn new(first_offset: u64) -> Self {
        Self { partial: Vec::new(), dropped: 0, began: first_offset, offset: first_offset, state: State::Between }
    }

    /// Takes the next bytes and hands on each piece they finish, with the stream position behind it.
    pub fn feed(&mut self, mut bytes: &[u8], mut on_piece: impl FnMut(Piece<'_>, u64)) {
        while !bytes.is_empty() {
            let was_between = self.state == State::Between;
            let (taken, finished) = match self.state {
                State::Between => (self.pass(bytes), false),
                State::Garbage => find_garbage_end(bytes),
                State::Object { .. } => self.scan_object(bytes),
            };
            if !was_between {
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
        if self.state != State::Between {
            self.state = State::Garbage;
            self.deliver(&mut on_piece);
        }
    }

    /// Passes over what separates objects; changes state at the first byte that does not.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        let separates = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']' | 0xef | 0xbb | 0xbf);
        let taken = bytes.iter().take_while(|b| separates(b)).count();
        if let Some(first) = bytes.get(taken) {
            self.began = self.offset + taken as u64;
            self.state = match first {
                b'{' => State::Object { depth: 0, in_text: false, escaped: false },
                _ => State::Garbage,
            };
        }
        taken
    }

    /// How many bytes belong to the object, and whether it ends with them.
    fn scan_object(&mut self, bytes: &[u8]) -> (usize, bool) {
        let State::Object { mut depth, mut in_text, mut escaped } = self.state else { return (0, false) };
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
            match byte {
                b'"' => in_text = true,
                b'{' => depth = depth.saturating_add(1),
                b'}' if depth <= 1 => return (index + 1, true),
                b'}' => depth -= 1,
                _ => {}
            }
        }
        self.state = State::Object { depth, in_text, escaped };
        (bytes.len(), false)
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
