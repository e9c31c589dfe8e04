//! Scrubs what could not be decoded, so that quarantined bytes hold no personal data either.
//!
//! Text keeps everything but the values. Within binary records, UTF-16 text is masked in place, so that lengths and
//! offsets in the record stay true. Compressed bytes cannot be looked into and are withheld.

use std::borrow::Cow;
use std::ops::Range;

use moneta_event::{QuarantinedRecord, RecordContext};

use crate::finding::{KindCounts, Surroundings};
use crate::scrubber::Scrubber;

/// ASCII characters in a row that make two-byte units a text.
const WIDE_TEXT_UNITS_MIN: usize = 6;

/// The first bytes of compressed data: zip, gzip, zstd, xz, bzip2, 7z.
const COMPRESSED: [&[u8]; 6] = [b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh", b"7z\xbc\xaf"];

impl Scrubber {
    /// The text with personal data replaced; JSON stays JSON.
    #[must_use]
    pub fn scrub_text(&self, text: &str) -> String {
        let replaced = self.finder.replace_any(text, Surroundings::default(), &mut KindCounts::default());
        replaced.unwrap_or_else(|| text.to_owned())
    }

    /// Bytes of any kind with personal data replaced, or masked by `*` where they are UTF-16 text. Bytes that are not
    /// text stay.
    #[must_use]
    pub fn scrub_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut masked = Cow::Borrowed(bytes);
        for units in wide_texts(bytes) {
            self.mask_wide(&mut masked, &units);
        }
        let mut out = Vec::with_capacity(masked.len());
        for chunk in masked.utf8_chunks() {
            out.extend_from_slice(self.scrub_text(chunk.valid()).as_bytes());
            out.extend_from_slice(chunk.invalid());
        }
        out
    }

    /// A quarantined record without personal data. Bytes that are compressed are withheld, and the reason says so.
    #[must_use]
    pub fn scrub_quarantined(&self, record: QuarantinedRecord) -> QuarantinedRecord {
        let withheld = COMPRESSED.iter().any(|magic| record.bytes.starts_with(magic));
        let reason = self.scrub_text(&record.reason);
        let source = moneta_base::SourceName::lossy(&self.scrub_text(record.source.as_str()));
        let (bytes, reason) = if withheld {
            let size_bytes = record.bytes.len();
            (Vec::new(), format!("{reason}; {size_bytes} bytes withheld: compressed content cannot be scrubbed"))
        } else {
            (self.scrub_bytes(&record.bytes), reason)
        };
        let head = record.context.head.as_ref().map(|head| self.scrub_text(head).into());
        let context = RecordContext { head, ..record.context };
        QuarantinedRecord { source, reason, bytes, context, ..record }
    }

    /// Masks values in the UTF-16 text whose characters stand at every second byte of `units`.
    fn mask_wide(&self, bytes: &mut Cow<'_, [u8]>, units: &Range<usize>) {
        let text: String = bytes[units.clone()].iter().step_by(2).map(|b| char::from(*b)).collect();
        for index in self.finder.ranges(&text).into_iter().flatten() {
            bytes.to_mut()[units.start + 2 * index] = b'*';
        }
    }
}

/// Ranges of bytes that hold ASCII characters as two-byte units, of either byte order.
fn wide_texts(bytes: &[u8]) -> Vec<Range<usize>> {
    let is_char = |b: u8| matches!(b, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    let mut texts = Vec::new();
    let mut at = 0;
    while at + 1 < bytes.len() {
        let units = bytes[at..].chunks_exact(2).take_while(|unit| is_char(unit[0]) && unit[1] == 0).count();
        if units >= WIDE_TEXT_UNITS_MIN {
            texts.push(at..at + 2 * units);
            at += 2 * units;
        } else {
            at += 1;
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use moneta_base::SourceName;

    use super::*;
    use crate::finding::tests::short;
    use crate::{Policy, TokenKeys};

    fn scrubber() -> Scrubber {
        Scrubber::new(Policy::built_in(), TokenKeys { current: 1, keys: [(1, [7; 32])].into() }).unwrap()
    }

    #[test]
    fn invalid_utf_8_does_not_hide_values() {
        let scrubbed = scrubber().scrub_bytes(b"\xff\xfealice@contoso.com\xff 4111111111111111\xc3");
        assert!(scrubbed.starts_with(b"\xff\xfetk1_email_") && scrubbed.ends_with(b"\xc3"));
        assert!(!scrubbed.windows(5).any(|window| window == b"41111" || window == b"alice"));
    }

    #[test]
    fn wide_text_in_binary_records_is_masked_in_place() {
        let wide: Vec<u8> = "to alice@contoso.com or bob@contoso.com!".bytes().flat_map(|b| [b, 0]).collect();
        for prefix in [&b"\x01\x02"[..], b"\x01\x02\x00"] {
            let bytes = [prefix, &wide, b"\xff\x00\x01"].concat();
            let scrubbed = scrubber().scrub_bytes(&bytes);
            assert_eq!(scrubbed.len(), bytes.len());
            let text: String = scrubbed[prefix.len()..].iter().step_by(2).take(40).map(|b| char::from(*b)).collect();
            assert_eq!(text, "to ***************** or ***************!");
        }
    }

    #[test]
    fn compressed_bytes_are_withheld() {
        let record = QuarantinedRecord {
            source: SourceName::lossy("mail/a@b.com"),
            format: "json",
            table: None,
            reason_code: "ratio",
            reason: "from c@d.org".into(),
            offset: 3,
            bytes: b"PK\x03\x04abc".to_vec(),
            context: RecordContext { head: Some("#by c@d.org".into()), ..RecordContext::default() },
        };
        let scrubbed = scrubber().scrub_quarantined(record);
        assert!(scrubbed.bytes.is_empty());
        assert_eq!(short(&scrubbed.reason), "from <email>; 7 bytes withheld: compressed content cannot be scrubbed");
        assert_eq!(short(scrubbed.source.as_str()), "mail/<email>");
        assert_eq!(short(&scrubbed.context.head.unwrap()), "#by <email>");
    }
}
