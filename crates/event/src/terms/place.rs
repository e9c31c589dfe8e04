//! Where the indexes of a segment's row groups stand, as the file's metadata says it.

use std::ops::Range;

use super::TextKind;
use crate::ColumnType;

/// Metadata key of the places.
pub const PLACES_KEY: &str = "moneta.terms";
/// Version of the places and of what stands there.
const VERSION: &str = "3";

impl TextKind {
    /// The kind of text in a column; `None` for one that is not indexed.
    #[must_use]
    pub fn of(column_type: ColumnType) -> Option<Self> {
        match column_type {
            ColumnType::String | ColumnType::Guid => Some(Self::Plain),
            ColumnType::Dynamic => Some(Self::Json),
            _ => None,
        }
    }
}

/// Where the index of a row group stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermsPlace {
    /// Offset of its first byte.
    pub start: u64,
    /// Bytes of its blocks.
    pub blocks_len: usize,
    /// Bytes of the head that follows them.
    pub head_len: usize,
}

impl TermsPlace {
    /// All places of a segment, one for each row group: `3;<start>,<bytes of blocks>,<bytes of head>;…`. None for a
    /// version that this program does not know. `None` for text that says no places.
    #[must_use]
    pub fn parse_all(text: &str) -> Option<Vec<Self>> {
        let (version, places) = text.split_once(';')?;
        if version != VERSION {
            return Some(Vec::new());
        }
        places.split_terminator(';').map(Self::parse).collect()
    }

    /// Bytes of the index.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an index has a head")]
    pub fn len(&self) -> usize {
        self.blocks_len + self.head_len
    }

    /// Where the head stands among its bytes.
    #[must_use]
    pub fn head(&self) -> Range<usize> {
        self.blocks_len..self.len()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(',');
        let place = Self {
            start: numbers.next()?.parse().ok()?,
            blocks_len: numbers.next()?.parse().ok()?,
            head_len: numbers.next()?.parse().ok()?,
        };
        let len = place.blocks_len.checked_add(place.head_len)?;
        place.start.checked_add(len as u64).filter(|_| numbers.next().is_none()).map(|_| place)
    }
}

/// Collects the places of a segment while its indexes are written.
#[derive(Debug)]
pub struct Places(String);

impl Default for Places {
    fn default() -> Self {
        Self(format!("{VERSION};"))
    }
}

impl Places {
    /// Adds the next row group's.
    pub fn add(&mut self, start: usize, index_len: usize, head_len: usize) {
        self.0.push_str(&format!("{start},{},{head_len};", index_len - head_len));
    }

    /// The value of the metadata.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_their_text_and_others_are_refused() {
        let mut places = Places::default();
        places.add(4, 30, 10);
        places.add(34, 7, 7);
        let read = TermsPlace::parse_all(&places.into_text()).unwrap();
        assert_eq!(read[0], TermsPlace { start: 4, blocks_len: 20, head_len: 10 });
        assert_eq!(read[1], TermsPlace { start: 34, blocks_len: 0, head_len: 7 });
        assert_eq!(TermsPlace::parse_all("1;whatever"), Some(Vec::new()));
        for bad in ["", "2", "3;4,5", "3;4,5,6,7", "3;4,x,6;", "3;18446744073709551615,1,1;"] {
            assert_eq!(TermsPlace::parse_all(bad), None, "{bad}");
        }
    }
}
