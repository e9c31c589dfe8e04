//! Records of text that span lines: where one begins is declared.

use std::path::Path;

use moneta_base::limits::RECORD_BYTES_MAX;
use regex::{Regex, RegexBuilder};

use super::patterns::Pattern;
use crate::Error;

/// Bytes a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Lines of one record at most; a longer one goes on as another record.
const LINES_MAX: usize = 1_000;

/// Files whose records span lines, and how a record begins there.
#[derive(Debug, Clone)]
pub struct RecordStart {
    files: Pattern,
    start: Regex,
}

impl RecordStart {
    /// Files as in [`FileOptions::patterns`](super::FileOptions), and the regular expression that the first line of a
    /// record meets.
    ///
    /// # Errors
    /// [`Error::Pattern`] and [`Error::RecordStart`] for patterns that cannot be used.
    pub fn new(files: &str, start: &str) -> Result<Self, Error> {
        let compiled = RegexBuilder::new(start).size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX).build();
        let refused = |error: regex::Error| Error::RecordStart { pattern: start.to_owned(), reason: error.to_string() };
        let start = compiled.map_err(refused)?;
        let pattern = Pattern::parse(files)?;
        if pattern.is_of_archives() {
            let reason = format!("{files:?} stands for archives, which are read whole; name files that are followed");
            return Err(Error::RecordStart { pattern: start.to_string(), reason });
        }
        Ok(Self { files: pattern, start })
    }

    pub(super) fn covers(&self, path: &Path) -> bool {
        self.files.covers(path)
    }

    pub(super) fn pattern(&self) -> Regex {
        self.start.clone()
    }
}

/// A record whose end has not been seen.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) text: String,
    /// File position of its first byte.
    pub(super) offset: u64,
    lines: usize,
}

impl Pending {
    pub(super) fn begin(line: &str, offset: u64) -> Self {
        Self { text: line.to_owned(), offset, lines: 1 }
    }

    /// Whether another line still belongs to it.
    pub(super) fn has_room(&self, line: &str) -> bool {
        self.lines < LINES_MAX && self.text.len() + line.len() < RECORD_BYTES_MAX
    }

    pub(super) fn add(&mut self, line: &str) {
        self.text.push('\n');
        self.text.push_str(line);
        self.lines += 1;
    }
}
