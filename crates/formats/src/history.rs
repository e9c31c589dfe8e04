//! The lines of which a record is being put together, exactly as they came.
//!
//! Formats whose records have several lines join them by line feeds. What is refused must be kept byte for byte, whatever
//! ended its lines.

use moneta_base::limits::RECORD_BYTES_MAX;

/// Lines from the beginning of the earliest unfinished record on.
#[derive(Debug, Default)]
pub(crate) struct History {
    bytes: Vec<u8>,
    /// What lies before is of finished records.
    start: usize,
    /// Position of `start` in the input.
    offset: u64,
}

impl History {
    /// Adds a line and the length of its end: 0 for none, 1 for LF, 2 for CR LF.
    pub fn add(&mut self, offset: u64, line: &[u8], end_bytes: u64) {
        if self.bytes.len() - self.start + line.len() > RECORD_BYTES_MAX {
            self.clear();
        }
        if self.bytes.is_empty() {
            self.offset = offset;
        }
        self.bytes.extend_from_slice(line);
        self.bytes.extend_from_slice(match end_bytes {
            0 => b"",
            1 => b"\n",
            _ => b"\r\n",
        });
    }

    /// Forgets the lines before a position.
    pub fn forget_before(&mut self, offset: u64) {
        let passed = usize::try_from(offset.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let passed = passed.min(self.bytes.len() - self.start);
        self.start += passed;
        self.offset += passed as u64;
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// Forgets all lines.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// The input's own bytes of a text that begins at `offset` and was joined from lines; `None` where they are not known.
    pub fn exact(&self, offset: u64, joined: &[u8]) -> Option<&[u8]> {
        let held = self.bytes.get(self.start..)?;
        let held = held.get(usize::try_from(offset.checked_sub(self.offset)?).ok()?..)?;
        let mut length = 0;
        for line in joined.split(|b| *b == b'\n') {
            let rest = &held[length..];
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let own = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            let is_blank = line.is_empty() && own.iter().all(u8::is_ascii_whitespace);
            if own != line && !is_blank {
                return None;
            }
            length = (length + end + 1).min(held.len());
        }
        let whole = &held[..length];
        let whole = whole.strip_suffix(b"\n").unwrap_or(whole);
        Some(whole.strip_suffix(b"\r").unwrap_or(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_lines_are_found_as_they_came() {
        let mut history = History::default();
        for (offset, line, end) in [(10, "a", 2), (13, "  ", 1), (16, "b", 2), (19, "c", 0)] {
            history.add(offset, line.as_bytes(), end);
        }
        assert_eq!(history.exact(10, b"a\n\nb"), Some(b"a\r\n  \nb".as_slice()));
        assert_eq!(history.exact(16, b"b\nc"), Some(b"b\r\nc".as_slice()));
        assert_eq!(history.exact(16, b"b\nd"), None);
        history.forget_before(16);
        assert_eq!((history.exact(10, b"a\n\nb"), history.exact(16, b"b\nc")), (None, Some(b"b\r\nc".as_slice())));
        history.clear();
        assert_eq!(history.exact(16, b"b"), None);
    }
}
