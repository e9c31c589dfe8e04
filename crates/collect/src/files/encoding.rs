//! The encoding of a text file, and its bytes as UTF-8 with the positions of line ends in both.
//!
//! UTF-8 passes as it is. UTF-16 is known by its byte order mark or, without one, by where its zero bytes lie; other
//! encodings are taken where the file is no UTF-8 and the configuration names one. A file is decoded from its beginning
//! or from a line end, and progress is told in positions of the file.
//!
//! # Source
//! WHATWG Encoding Standard, by the `encoding_rs` crate: the labels and the tables of code pages.

use std::collections::VecDeque;

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Share of zero bytes from which on every second byte counts as one half of a unit, in percent.
const ZERO_HALVES_PERCENT_MIN: usize = 40;
/// Share of zero bytes that text may have in the other half, in percent.
const ZERO_OTHERS_PERCENT_MAX: usize = 5;
/// Bytes needed to judge a file without a mark.
const JUDGED_BYTES_MIN: usize = 8;

/// The encoding of a file by its beginning. `fallback` is that of text that is no UTF-8.
pub(super) fn detect(head: &[u8], fallback: Option<&'static Encoding>) -> &'static Encoding {
    if let Some((marked, _)) = Encoding::for_bom(head) {
        return marked;
    }
    if let Some(unmarked) = without_mark(head) {
        return unmarked;
    }
    let is_utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        // A character may be cut at the end of what was read.
        Err(error) => error.error_len().is_none(),
    };
    if is_utf8 { UTF_8 } else { fallback.unwrap_or(UTF_8) }
}

/// UTF-16 of mostly Latin text: every second byte is zero.
fn without_mark(head: &[u8]) -> Option<&'static Encoding> {
    let pairs = head.len() / 2;
    if head.len() < JUDGED_BYTES_MIN {
        return None;
    }
    let zeros = |at: usize| head.chunks_exact(2).filter(|pair| pair[at] == 0).count() * 100 / pairs;
    match (zeros(0), zeros(1)) {
        (first, second) if second >= ZERO_HALVES_PERCENT_MIN && first <= ZERO_OTHERS_PERCENT_MAX => Some(UTF_16LE),
        (first, second) if first >= ZERO_HALVES_PERCENT_MIN && second <= ZERO_OTHERS_PERCENT_MAX => Some(UTF_16BE),
        _ => None,
    }
}

/// The beginning of a file as UTF-8 text.
pub(super) fn decoded_head(head: &[u8], encoding: &'static Encoding) -> Vec<u8> {
    if encoding == UTF_8 { head.to_vec() } else { encoding.decode(head).0.into_owned().into_bytes() }
}

/// Makes UTF-8 of the bytes of one file.
pub(super) enum Transcoder {
    /// The file is UTF-8.
    Same,
    Other(Box<Other>),
}

/// The state of a file in another encoding.
pub(super) struct Other {
    decoder: Decoder,
    encoding: &'static Encoding,
    /// Position behind the bytes taken, in the file and in the text made of it.
    file: u64,
    text: u64,
    /// The first byte of a UTF-16 unit whose second has not arrived.
    half: Option<u8>,
    /// Positions behind line ends, in the text and in the file.
    line_ends: VecDeque<(u64, u64)>,
}

impl Transcoder {
    /// A transcoder that begins at `offset`: zero, or behind a line end.
    pub(super) fn new(encoding: &'static Encoding, offset: u64) -> Self {
        if encoding == UTF_8 {
            return Self::Same;
        }
        let decoder = encoding.new_decoder_with_bom_removal();
        let line_ends = VecDeque::from([(offset, offset)]);
        Self::Other(Box::new(Other { decoder, encoding, file: offset, text: offset, half: None, line_ends }))
    }

    /// Hands on the next bytes as UTF-8.
    pub(super) fn feed(&mut self, bytes: &[u8], mut to: impl FnMut(&[u8])) {
        match self {
            Self::Same => to(bytes),
            Self::Other(other) => other.feed(bytes, &mut to),
        }
    }

    /// The position in the file of a record's end in the text. Ends before it are forgotten.
    pub(super) fn file_position(&mut self, text: u64) -> u64 {
        let Self::Other(other) = self else { return text };
        while other.line_ends.get(1).is_some_and(|(end, _)| *end <= text) {
            other.line_ends.pop_front();
        }
        if text >= other.text { other.file } else { other.line_ends.front().map_or(0, |(_, file)| *file) }
    }
}

impl Other {
    fn feed(&mut self, bytes: &[u8], to: &mut dyn FnMut(&[u8])) {
        let mut raw: Vec<u8> = self.half.take().into_iter().chain(bytes.iter().copied()).collect();
        if self.is_utf16() && raw.len() % 2 == 1 {
            self.half = raw.pop();
        }
        let mut rest = &raw[..];
        while !rest.is_empty() {
            let end = self.line_end(rest);
            let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after;
            let mut text = String::new();
            let room = self.decoder.max_utf8_buffer_length(piece.len()).unwrap_or(piece.len() * 4);
            text.reserve(room);
            let _ = self.decoder.decode_to_string(piece, &mut text, false);
            self.file += piece.len() as u64;
            self.text += text.len() as u64;
            if end.is_some() {
                self.line_ends.push_back((self.text, self.file));
            }
            to(text.as_bytes());
        }
    }

    fn is_utf16(&self) -> bool {
        self.encoding == UTF_16LE || self.encoding == UTF_16BE
    }

    /// Where the first line ends. In no code page is a line feed part of another character.
    fn line_end(&self, bytes: &[u8]) -> Option<usize> {
        if !self.is_utf16() {
            return bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        }
        let unit: [u8; 2] = if self.encoding == UTF_16LE { [b'\n', 0] } else { [0, b'\n'] };
        bytes.chunks_exact(2).position(|pair| pair == unit).map(|at| (at + 1) * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "erste Zeile ä\nzweite 😀 Zeile\nlast";

    fn utf16(text: &str, little: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    }

    fn transcoded(encoding: &'static Encoding, offset: u64, bytes: &[u8], piece: usize) -> (String, Transcoder) {
        let (mut transcoder, mut text) = (Transcoder::new(encoding, offset), Vec::new());
        bytes.chunks(piece).for_each(|piece| transcoder.feed(piece, |utf8| text.extend_from_slice(utf8)));
        (String::from_utf8(text).unwrap(), transcoder)
    }

    #[test]
    fn encodings_are_known_by_mark_by_zeros_and_by_setting() {
        let (le, be) = (utf16(TEXT, true), utf16(TEXT, false));
        let marked = |mark: &[u8], rest: &[u8]| [mark, rest].concat();
        let western = Encoding::for_label(b"windows-1252");
        for (head, fallback, expected) in [
            (marked(&[0xff, 0xfe], &le), None, "UTF-16LE"),
            (marked(&[0xfe, 0xff], &be), None, "UTF-16BE"),
            (le, None, "UTF-16LE"),
            (be, None, "UTF-16BE"),
            (TEXT.as_bytes().to_vec(), western, "UTF-8"),
            // Cut within a character.
            (TEXT.as_bytes()[..13].to_vec(), western, "UTF-8"),
            (b"Gr\xfc\xdfe aus M\xfcnchen\n".to_vec(), western, "windows-1252"),
            (b"Gr\xfc\xdfe aus M\xfcnchen\n".to_vec(), None, "UTF-8"),
            (vec![0; 64], western, "UTF-8"),
        ] {
            assert_eq!(detect(&head, fallback).name(), expected, "{head:?}");
        }
    }

    #[test]
    fn text_and_positions_do_not_depend_on_how_bytes_arrive() {
        for piece in [1, 2, 3, 7, 1_000] {
            let bytes = [&[0xff, 0xfe][..], &utf16(TEXT, true)].concat();
            let (text, mut transcoder) = transcoded(UTF_16LE, 0, &bytes, piece);
            assert_eq!(text, TEXT);
            let first_line = TEXT.find('\n').unwrap() as u64 + 1;
            let in_file = 2 + 2 * "erste Zeile ä\n".encode_utf16().count() as u64;
            assert_eq!(transcoder.file_position(first_line), in_file);
            assert_eq!(transcoder.file_position(text.len() as u64), bytes.len() as u64);
            // From there on the rest is the same.
            let (rest, mut transcoder) =
                transcoded(UTF_16LE, in_file, &bytes[usize::try_from(in_file).unwrap()..], piece);
            assert_eq!(rest, TEXT[usize::try_from(first_line).unwrap()..]);
            assert_eq!(transcoder.file_position(in_file), in_file);
        }
        let western = Encoding::for_label(b"windows-1252").unwrap();
        let (text, mut transcoder) = transcoded(western, 0, b"Gr\xfc\xdfe\nM\xfcll\n", 3);
        assert_eq!(text, "Grüße\nMüll\n");
        assert_eq!(transcoder.file_position("Grüße\n".len() as u64), 6);
    }
}
