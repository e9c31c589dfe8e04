//! Text as its reader will see it: percent-encoding, XML entities, JSON escapes and look-alike characters resolved,
//! with the way back to the bytes they came from.
//!
//! Only ASCII results are resolved from escapes: what personal data is found by is ASCII, and the text must stay valid.

use std::ops::Range;

use memchr::memchr3;

/// Escapes within escapes that are resolved, such as `%2540`.
pub(crate) const LEVELS_MAX: usize = 3;

/// A resolved text.
#[derive(Debug)]
pub(crate) struct View {
    /// The resolved text.
    pub text: String,
    /// For each byte of `text`, and its end, the offset in the original.
    origin: Vec<u32>,
}

impl View {
    /// Resolves one level of escapes; `None` when there are none, or the text is too long to map.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let first = first_escape(text)?;
        u32::try_from(text.len()).ok()?;
        let mut view = Self { text: String::with_capacity(text.len()), origin: Vec::with_capacity(text.len() + 1) };
        view.copy(text, 0..first);
        let mut at = first;
        while at < text.len() {
            if let Some((resolved, len)) = escape_at(text, at) {
                if let Some(c) = resolved {
                    view.push(c, at);
                }
                at += len;
            } else {
                let len = text[at..].chars().next().map_or(1, char::len_utf8);
                view.copy(text, at..at + len);
                at += len;
            }
        }
        view.origin.push(as_offset(text.len()));
        Some(view)
    }

    /// The range of the original that a range of the view came from.
    pub(crate) fn original(&self, range: &Range<usize>) -> Range<usize> {
        self.origin[range.start] as usize..self.origin[range.end] as usize
    }

    fn push(&mut self, c: char, origin: usize) {
        self.text.push(c);
        self.origin.extend(std::iter::repeat_n(as_offset(origin), c.len_utf8()));
    }

    fn copy(&mut self, text: &str, range: Range<usize>) {
        self.text.push_str(&text[range.clone()]);
        self.origin.extend(range.map(as_offset));
    }
}

fn as_offset(at: usize) -> u32 {
    u32::try_from(at).expect("the length was checked before")
}

fn first_escape(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let ascii_escape = loop {
        let Some(offset) = memchr3(b'%', b'&', b'\\', &bytes[at..]) else { break None };
        at += offset;
        if escape_at(text, at).is_some() {
            break Some(at);
        }
        at += 1;
    };
    if text.is_ascii() {
        return ascii_escape;
    }
    let look_alike = text.char_indices().find(|(_, c)| look_alike(*c).is_some()).map(|(index, _)| index);
    ascii_escape.into_iter().chain(look_alike).min()
}

/// The character an escape at `at` stands for (`None` for one that is not seen) and its length in bytes.
fn escape_at(text: &str, at: usize) -> Option<(Option<char>, usize)> {
    let bytes = &text.as_bytes()[at..];
    match bytes[0] {
        b'%' => hex_char(bytes.get(1..3)?).map(|c| (Some(c), 3)),
        b'\\' if matches!(bytes.get(1), Some(b'u' | b'U')) => hex_char(bytes.get(2..6)?).map(|c| (Some(c), 6)),
        b'\\' if bytes.get(1) == Some(&b'x') => hex_char(bytes.get(2..4)?).map(|c| (Some(c), 4)),
        b'\\' if matches!(bytes.get(1), Some(b'"' | b'/')) => Some((Some(char::from(bytes[1])), 2)),
        b'&' => entity(bytes),
        0x80.. => {
            let c = text[at..].chars().next()?;
            look_alike(c).map(|seen| (seen, c.len_utf8()))
        }
        _ => None,
    }
}

fn hex_char(digits: &[u8]) -> Option<char> {
    let value = digits.iter().try_fold(0_u32, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))?;
    char::from_u32(value).filter(char::is_ascii)
}

fn entity(bytes: &[u8]) -> Option<(Option<char>, usize)> {
    const NAMED: [(&[u8], char); 8] = [
        (b"amp;", '&'),
        (b"quot;", '"'),
        (b"apos;", '\''),
        (b"lt;", '<'),
        (b"gt;", '>'),
        (b"commat;", '@'),
        (b"plus;", '+'),
        (b"nbsp;", ' '),
    ];
    if let Some((name, c)) = NAMED.iter().find(|(name, _)| bytes[1..].starts_with(name)) {
        return Some((Some(*c), name.len() + 1));
    }
    let digits = bytes.strip_prefix(b"&#")?;
    let (digits, radix, prefix) = match digits.first()? {
        b'x' | b'X' => (&digits[1..], 16, 3),
        _ => (digits, 10, 2),
    };
    let len = digits.iter().take(8).position(|b| *b == b';').filter(|len| *len > 0)?;
    let value = digits[..len]
        .iter()
        .try_fold(0_u32, |value, digit| Some(value.checked_mul(radix)? + char::from(*digit).to_digit(radix)?))?;
    char::from_u32(value).filter(char::is_ascii).map(|c| (Some(c), prefix + len + 1))
}

/// Characters that read as ASCII ones, and those that are not seen at all.
fn look_alike(c: char) -> Option<Option<char>> {
    match c {
        '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => Some(None),
        '\u{a0}' | '\u{2007}' | '\u{2009}' | '\u{202f}' => Some(Some(' ')),
        '\u{2010}'..='\u{2013}' | '\u{2212}' => Some(Some('-')),
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).map(Some),
        '\u{fe6b}' => Some(Some('@')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(View::of(text).map(|view| view.text).as_deref(), expected, "{text}");
    }

    #[test]
    fn resolves_what_readers_resolve() {
        check("a%40b", Some("a@b"));
        check(r"a\u0040b", Some("a@b"));
        check("a&#64;b&#x40;c&commat;d&amp;e", Some("a@b@c@d&e"));
        check("a\u{ff20}b\u{200b}c", Some("a@bc"));
        check("a%2540b", Some("a%40b"));
        check("4111\u{a0}1111", Some("4111 1111"));
    }

    #[test]
    fn leaves_text_without_escapes() {
        for text in ["", "plain", "100%", "%zz", "%e4", r"C:\users\x", "a & b", "&#;", "&#99999999999;", "ä"] {
            check(text, None);
        }
    }

    #[test]
    fn ranges_lead_back_to_the_escaped_bytes() {
        let text = "xä%41%42y";
        let view = View::of(text).unwrap();
        let at = view.text.find("AB").unwrap();
        assert_eq!(&text[view.original(&(at..at + 2))], "%41%42");
        assert_eq!(view.original(&(0..view.text.len())), 0..text.len());
    }
}
