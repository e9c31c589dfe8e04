//! Cuts bytes that arrive in pieces into lines, holding back at most one unfinished line.
//!
//! Layout of the input: lines end with LF or CR LF; the last one may lack its end. A byte order mark before the first
//! line is dropped.

use moneta_base::limits::{QUARANTINE_BYTES_MAX, RECORD_BYTES_MAX};

/// Buffer kept from line to line: one long line must not hold its memory for the life of a connection.
pub(crate) const BUFFER_BYTES_KEPT: usize = 64 << 10;

/// One line as it left the splitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line without its end, which began at `offset`.
    Whole { offset: u64, bytes: &'a [u8] },
    /// A line of more than [`RECORD_BYTES_MAX`] bytes: its first [`QUARANTINE_BYTES_MAX`] and its whole length.
    TooLong { offset: u64, head: &'a [u8], length: u64 },
}

/// The splitter of one stream.
#[derive(Debug)]
pub(crate) struct LineSplitter {
    /// The unfinished line, as far as it is kept.
    partial: Vec<u8>,
    /// Length of the unfinished line, which may exceed what is kept.
    partial_length: u64,
    /// Stream position of the next byte to arrive.
    offset: u64,
    at_start: bool,
}

impl LineSplitter {
    pub(crate) fn new(first_offset: u64) -> Self {
        Self { partial: Vec::new(), partial_length: 0, offset: first_offset, at_start: first_offset == 0 }
    }

    /// Stream position behind the last finished line.
    pub(crate) fn finished_offset(&self) -> u64 {
        self.offset - self.partial_length
    }

    /// Takes the next bytes and hands on each line they finish, with the stream position behind it.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut on_line: impl FnMut(Line<'_>, u64)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.partial_length == 0 && line.len() <= RECORD_BYTES_MAX {
                let offset = self.offset;
                self.offset += line.len() as u64 + 1;
                let (skipped, line) = self.without_mark(line);
                on_line(Line::Whole { offset: offset + skipped, bytes: without_return(line) }, self.offset);
            } else {
                self.keep(line);
                self.offset += 1;
                self.end_partial(1, &mut on_line);
            }
        }
        self.keep(bytes);
    }

    /// Passes over bytes that came framed by other means.
    pub(crate) fn pass(&mut self, bytes: usize) {
        self.offset += bytes as u64;
    }

    /// Stands behind a record that came framed and numbered.
    pub(crate) fn stand_behind(&mut self, number: u64) {
        self.offset = number.saturating_add(1);
    }

    /// Hands on the last line if it lacks its end.
    pub(crate) fn finish(&mut self, mut on_line: impl FnMut(Line<'_>, u64)) {
        if self.partial_length > 0 {
            self.end_partial(0, &mut on_line);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = QUARANTINE_BYTES_MAX.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.partial_length += bytes.len() as u64;
        self.offset += bytes.len() as u64;
    }

    fn end_partial(&mut self, end_bytes: u64, on_line: &mut impl FnMut(Line<'_>, u64)) {
        let offset = self.offset - end_bytes - self.partial_length;
        let partial = std::mem::take(&mut self.partial);
        let (skipped, line) = self.without_mark(&partial);
        let line_length = without_return(line).len();
        if self.partial_length > partial.len() as u64 || line_length > RECORD_BYTES_MAX {
            on_line(Line::TooLong { offset, head: &partial, length: self.partial_length }, self.offset);
        } else {
            on_line(Line::Whole { offset: offset + skipped, bytes: without_return(line) }, self.offset);
        }
        self.partial = partial;
        self.partial.clear();
        self.partial.shrink_to(BUFFER_BYTES_KEPT);
        self.partial_length = 0;
    }

    fn without_mark<'a>(&mut self, line: &'a [u8]) -> (u64, &'a [u8]) {
        let first = std::mem::replace(&mut self.at_start, false);
        match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if first => (3, rest),
            _ => (0, line),
        }
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<(u64, String)> {
        let mut splitter = LineSplitter::new(0);
        let mut lines = Vec::new();
        let mut push = |line: Line<'_>, _| match line {
            Line::Whole { offset, bytes } => lines.push((offset, String::from_utf8_lossy(bytes).into_owned())),
            Line::TooLong { offset, head, length } => {
                lines.push((offset, format!("too long: {length}, kept {}", head.len())));
            }
        };
        for piece in pieces {
            splitter.feed(piece, &mut push);
        }
        splitter.finish(&mut push);
        lines
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let text = b"\xef\xbb\xbfone\r\n\ntwo\nthree";
        let expected = vec![(3, "one".to_owned()), (8, String::new()), (9, "two".to_owned()), (13, "three".to_owned())];
        assert_eq!(split(&[text]), expected);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(split(&bytes), expected);
        assert_eq!(split(&[]), vec![]);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let mut text = vec![b'x'; RECORD_BYTES_MAX + 10];
        text.extend_from_slice(b"\nnext\n");
        let expected = vec![
            (0, format!("too long: {0}, kept {0}", RECORD_BYTES_MAX + 10)),
            (RECORD_BYTES_MAX as u64 + 11, "next".to_owned()),
        ];
        assert_eq!(split(&[&text]), expected);
        let pieces: Vec<&[u8]> = text.chunks(65_536).collect();
        assert_eq!(split(&pieces), expected);
    }

    #[test]
    fn a_flood_without_line_ends_is_cut_and_counted() {
        let flood = vec![b'x'; 1 << 20];
        let pieces: Vec<&[u8]> = std::iter::repeat_n(flood.as_slice(), 20).collect();
        assert_eq!(split(&pieces), [(0, format!("too long: {}, kept {QUARANTINE_BYTES_MAX}", 20 << 20))]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        let mut text = vec![b'x'; RECORD_BYTES_MAX];
        text.extend_from_slice(b"\r\n");
        let pieces: Vec<&[u8]> = text.chunks(1000).collect();
        assert_eq!(split(&pieces)[0].1.len(), RECORD_BYTES_MAX);
    }
}
