//! One JSON text as a flat list of nodes that point into it: no allocation per value, buffers reused from one record
//! to the next.
//!
//! Compared with a tree of owned values it keeps what decoders need and those lose: the original text of every value
//! (nested objects go into columns as they came), both of two members with the same name, and numbers of any length.
//! Nesting and members are limited while parsing; parsing does not recurse.

use moneta_base::limits::{NESTING_DEPTH_MAX, RECORD_FIELDS_MAX};
use moneta_event::Value;

use crate::output::Refusal;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    /// Text with escapes: its plain form lies in the document's side buffer.
    EscapedText,
    Array,
    Object,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    /// The value's text, quotes and brackets included.
    start: u32,
    end: u32,
    /// Text: its content, in the source or in the side buffer. Else unused.
    content: (u32, u32),
    /// The node after this value and all within it.
    next: u32,
}

/// The buffers of a parsed JSON text.
#[derive(Debug, Default)]
pub(crate) struct Document {
    nodes: Vec<Node>,
    /// Plain forms of texts with escapes, one after another.
    unescaped: String,
    /// The containers that are open while parsing.
    open: Vec<u32>,
}

/// A value within a parsed JSON text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    document: &'a Document,
    source: &'a str,
    index: usize,
}

/// Why a text is no acceptable JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON, from this byte on.
    Invalid(usize),
    TooDeep,
    TooManyFields,
    /// Half of a surrogate pair stands alone, as Windows writes names that are not valid UTF-16.
    LoneSurrogate(usize),
}

impl Fault {
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Invalid(at) => Refusal::new("invalid_json", format!("not JSON from byte {at} on")),
            Self::TooDeep => Refusal::new("too_deep", format!("JSON nested more than {NESTING_DEPTH_MAX} levels deep")),
            Self::TooManyFields => {
                Refusal::new("too_many_fields", format!("more than {RECORD_FIELDS_MAX} JSON members"))
            }
            Self::LoneSurrogate(at) => Refusal::new("invalid_json", format!("half a surrogate pair at byte {at}")),
        }
    }
}

impl Document {
    /// Parses one JSON text with nothing but white space around it.
    ///
    /// # Source
    /// RFC 8259, without leniency: what another reader would refuse is refused here.
    pub fn parse<'a>(&'a mut self, source: &'a str) -> Result<Item<'a>, Fault> {
        self.nodes.clear();
        self.unescaped.clear();
        self.open.clear();
        if u32::try_from(source.len()).is_err() {
            return Err(Fault::Invalid(0));
        }
        let bytes = source.as_bytes();
        let mut at = skip_blank(bytes, 0);
        let mut fields = 0;
        loop {
            at = self.value_or_open(source, at, &mut fields)?;
            match self.after_value(source, at, &mut fields)? {
                Some(next) => at = next,
                None => return Ok(Item { document: self, source, index: 0 }),
            }
        }
    }

    /// Parses a scalar, or opens containers up to the first scalar or empty container. Returns the position behind it,
    /// or that of the bracket which closes the empty container.
    fn value_or_open(&mut self, source: &str, mut at: usize, fields: &mut usize) -> Result<usize, Fault> {
        let bytes = source.as_bytes();
        loop {
            let (kind, close) = match bytes.get(at) {
                Some(b'{') => (Kind::Object, b'}'),
                Some(b'[') => (Kind::Array, b']'),
                _ => return self.scalar(source, at),
            };
            if self.open.len() >= NESTING_DEPTH_MAX {
                return Err(Fault::TooDeep);
            }
            self.open.push(small(self.nodes.len()));
            self.push(kind, at, at, (0, 0));
            at = skip_blank(bytes, at + 1);
            if bytes.get(at) == Some(&close) {
                return Ok(at);
            }
            if kind == Kind::Object {
                at = self.key(source, at, fields)?;
            }
        }
    }

    /// Closes containers and passes a comma. Returns where the next value begins; `None` at the end of the text.
    fn after_value(&mut self, source: &str, mut at: usize, fields: &mut usize) -> Result<Option<usize>, Fault> {
        let bytes = source.as_bytes();
        loop {
            at = skip_blank(bytes, at);
            let Some(container) = self.open.last().map(|index| *index as usize) else {
                return if at == bytes.len() { Ok(None) } else { Err(Fault::Invalid(at)) };
            };
            match (self.nodes[container].kind, bytes.get(at)) {
                (kind, Some(b',')) if container + 1 < self.nodes.len() => {
                    at = skip_blank(bytes, at + 1);
                    return if kind == Kind::Object { self.key(source, at, fields).map(Some) } else { Ok(Some(at)) };
                }
                (Kind::Object, Some(b'}')) | (Kind::Array, Some(b']')) => {
                    at += 1;
                    let next = small(self.nodes.len());
                    let node = &mut self.nodes[container];
                    (node.end, node.next) = (small(at), next);
                    self.open.pop();
                }
                _ => return Err(Fault::Invalid(at)),
            }
        }
    }

    /// Parses a member's name and colon; returns where its value begins.
    fn key(&mut self, source: &str, at: usize, fields: &mut usize) -> Result<usize, Fault> {
        *fields += 1;
        if *fields > RECORD_FIELDS_MAX {
            return Err(Fault::TooManyFields);
        }
        let bytes = source.as_bytes();
        if bytes.get(at) != Some(&b'"') {
            return Err(Fault::Invalid(at));
        }
        let at = skip_blank(bytes, self.text(source, at)?);
        if bytes.get(at) != Some(&b':') {
            return Err(Fault::Invalid(at));
        }
        Ok(skip_blank(bytes, at + 1))
    }

    fn scalar(&mut self, source: &str, at: usize) -> Result<usize, Fault> {
        let bytes = source.as_bytes();
        let (kind, end) = match bytes.get(at) {
            Some(b'"') => return self.text(source, at),
            Some(b't') if bytes[at..].starts_with(b"true") => (Kind::Bool, at + 4),
            Some(b'f') if bytes[at..].starts_with(b"false") => (Kind::Bool, at + 5),
            Some(b'n') if bytes[at..].starts_with(b"null") => (Kind::Null, at + 4),
            Some(b'-' | b'0'..=b'9') => (Kind::Number, number_end(bytes, at)?),
            _ => return Err(Fault::Invalid(at)),
        };
        self.push(kind, at, end, (0, 0));
        Ok(end)
    }

    /// Parses a text whose opening quote stands at `start`; returns the position behind its closing quote.
    fn text(&mut self, source: &str, start: usize) -> Result<usize, Fault> {
        let bytes = source.as_bytes();
        let mut at = plain_end(bytes, start + 1);
        match bytes.get(at) {
            Some(b'"') => {
                self.push(Kind::Text, start, at + 1, (small(start + 1), small(at)));
                return Ok(at + 1);
            }
            Some(b'\\') => {}
            _ => return Err(Fault::Invalid(at)),
        }
        let first = self.unescaped.len();
        let mut copied = start + 1;
        loop {
            self.unescaped.push_str(&source[copied..at]);
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => copied = self.escape(bytes, at)?,
                _ => return Err(Fault::Invalid(at)),
            }
            at = plain_end(bytes, copied);
        }
        self.push(Kind::EscapedText, start, at + 1, (small(first), small(self.unescaped.len())));
        Ok(at + 1)
    }

    /// Resolves the escape at `at`; returns the position behind it.
    fn escape(&mut self, bytes: &[u8], at: usize) -> Result<usize, Fault> {
        let plain = match bytes.get(at + 1) {
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(*b),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(bytes, at),
            _ => return Err(Fault::Invalid(at)),
        };
        self.unescaped.push(plain);
        Ok(at + 2)
    }

    fn unicode_escape(&mut self, bytes: &[u8], at: usize) -> Result<usize, Fault> {
        let unit = hex_unit(bytes, at).ok_or(Fault::Invalid(at))?;
        if let Some(plain) = char::from_u32(unit) {
            self.unescaped.push(plain);
            return Ok(at + 6);
        }
        let low = hex_unit(bytes, at + 6).filter(|low| (0xdc00..0xe000).contains(low));
        match low {
            Some(low) if unit < 0xdc00 => {
                let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                self.unescaped.push(char::from_u32(code).expect("a surrogate pair encodes a character"));
                Ok(at + 12)
            }
            _ => Err(Fault::LoneSurrogate(at)),
        }
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize, content: (u32, u32)) {
        let next = small(self.nodes.len() + 1);
        self.nodes.push(Node { kind, start: small(start), end: small(end), content, next });
    }
}

/// Replaces each half surrogate escape by that of the replacement character, so that the rest of a record can be read.
pub(crate) fn without_lone_surrogates(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut repaired = String::with_capacity(source.len());
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        at += found;
        let low_follows = hex_unit(bytes, at + 6).is_some_and(|low| (0xdc00..0xe000).contains(&low));
        match hex_unit(bytes, at) {
            Some(0xd800..0xdc00) if low_follows => at += 12,
            Some(0xd800..0xe000) => {
                repaired.push_str(&source[copied..at]);
                repaired.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            Some(_) => at += 6,
            None => at = (at + 2).min(bytes.len()),
        }
    }
    repaired.push_str(&source[copied..]);
    repaired
}

impl<'a> Item<'a> {
    fn node(self) -> Node {
        self.document.nodes[self.index]
    }

    /// What the value is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// The value as it stands in the source.
    pub fn raw(self) -> &'a str {
        let node = self.node();
        &self.source[node.start as usize..node.end as usize]
    }

    /// The content of a text.
    pub fn text(self) -> Option<&'a str> {
        let node = self.node();
        let (from, to) = (node.content.0 as usize, node.content.1 as usize);
        match node.kind {
            Kind::Text => Some(&self.source[from..to]),
            Kind::EscapedText => Some(&self.document.unescaped[from..to]),
            _ => None,
        }
    }

    /// A scalar as text: the content of a text, a number or truth value as written, "" for null. `None` for the rest.
    pub fn scalar(self) -> Option<&'a str> {
        match self.kind() {
            Kind::Array | Kind::Object => None,
            Kind::Null => Some(""),
            Kind::Bool | Kind::Number => Some(self.raw()),
            Kind::Text | Kind::EscapedText => self.text(),
        }
    }

    /// The value for a column; `None` for null.
    pub fn value(self) -> Option<Value<'a>> {
        Some(match self.kind() {
            Kind::Null => return None,
            Kind::Bool => Value::Bool(self.raw() == "true"),
            Kind::Number => number_value(self.raw()),
            Kind::Text | Kind::EscapedText => Value::Text(self.text()?),
            Kind::Array | Kind::Object => Value::Json(self.raw()),
        })
    }

    /// Whether this is an object.
    pub fn is_object(self) -> bool {
        self.kind() == Kind::Object
    }

    /// The members of an object in order, duplicates included; nothing for other values.
    pub fn members(self) -> impl Iterator<Item = (&'a str, Item<'a>)> {
        let node = self.node();
        let end = if node.kind == Kind::Object { node.next as usize } else { 0 };
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            if index >= end {
                return None;
            }
            let key = Item { index, ..self };
            let value = Item { index: index + 1, ..self };
            index = value.node().next as usize;
            Some((key.text()?, value))
        })
    }

    /// The elements of an array in order; nothing for other values.
    pub fn elements(self) -> impl Iterator<Item = Item<'a>> {
        let node = self.node();
        let end = if node.kind == Kind::Array { node.next as usize } else { 0 };
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            let item = (index < end).then_some(Item { index, ..self })?;
            index = item.node().next as usize;
            Some(item)
        })
    }

    /// The first member of that name.
    pub fn get(self, name: &str) -> Option<Item<'a>> {
        self.members().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

fn number_value(raw: &str) -> Value<'_> {
    if let Ok(whole) = raw.parse::<i64>() {
        return Value::Long(whole);
    }
    let is_whole = !raw.contains(['.', 'e', 'E']);
    match raw.parse::<f64>() {
        // A double would change a whole number this long.
        Ok(real) if !is_whole && real.is_finite() => Value::Real(real),
        _ => Value::Json(raw),
    }
}

/// The first position from `at` on that is a quote, a backslash or a control character.
fn plain_end(bytes: &[u8], at: usize) -> usize {
    let stop = |b: &u8| *b == b'"' || *b == b'\\' || *b < 0x20;
    bytes[at..].iter().position(stop).map_or(bytes.len(), |length| at + length)
}

fn skip_blank(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

fn number_end(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let digits = |from: usize| from + bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = start + usize::from(bytes[start] == b'-');
    let mut at = digits(whole);
    if at == whole || (bytes[whole] == b'0' && at > whole + 1) {
        return Err(Fault::Invalid(start));
    }
    if bytes.get(at) == Some(&b'.') {
        let end = digits(at + 1);
        if end == at + 1 {
            return Err(Fault::Invalid(at));
        }
        at = end;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let first = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let end = if first <= bytes.len() { digits(first) } else { first };
        if end == first {
            return Err(Fault::Invalid(at));
        }
        at = end;
    }
    Ok(at)
}

/// The code unit of a `\uXXXX` escape at `at`.
fn hex_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    if !escape.starts_with(b"\\u") {
        return None;
    }
    escape[2..].iter().try_fold(0, |sum, b| Some(sum * 16 + char::from(*b).to_digit(16)?))
}

fn small(position: usize) -> u32 {
    u32::try_from(position).expect("a text longer than 4 GiB is refused before it is parsed")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn to_serde(item: Item<'_>) -> serde_json::Value {
        match item.kind() {
            Kind::Object => item.members().map(|(key, value)| (key.to_owned(), to_serde(value))).collect(),
            Kind::Array => item.elements().map(to_serde).collect(),
            Kind::Text | Kind::EscapedText => item.text().unwrap().into(),
            _ => serde_json::from_str(item.raw()).unwrap(),
        }
    }

    fn check(text: &str) {
        let expected = serde_json::from_str::<serde_json::Value>(text).ok();
        let mut document = Document::default();
        let found = document.parse(text).ok().map(to_serde);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn agrees_with_another_reader_on_what_json_is() {
        for text in [
            "{}",
            "[]",
            "[[],{}]",
            r#"{"a":{"b":[1,2.5,-3e2,true,false,null,"x"]},"c":"\u00e4\n\"\\\/"}"#,
            " 1 ",
            "\"\"",
            r#""\ud83d\ude00""#,
            "01",
            "1.",
            "-",
            "1e",
            "1e+",
            ".5",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{,}",
            "tru",
            "nul",
            "\"a",
            "\"\\x\"",
            "\"\t\"",
            "",
            "{",
            "[",
            "}",
            "1 2",
            "{\"a\":1}}",
            "-0",
            "1E5",
            "{1:2}",
            "[1}",
            "{\"a\":1]",
        ] {
            check(text);
        }
    }

    #[test]
    fn duplicates_large_numbers_and_originals_are_kept() {
        let mut document = Document::default();
        let item = document.parse(r#"{"a":1,"a": {"x" : 1},"n":18446744073709551616}"#).unwrap();
        let members: Vec<_> = item.members().map(|(key, value)| (key, value.raw())).collect();
        assert_eq!(members, [("a", "1"), ("a", r#"{"x" : 1}"#), ("n", "18446744073709551616")]);
        assert_eq!(item.get("n").unwrap().value(), Some(Value::Json("18446744073709551616")));
        assert_eq!(item.get("a").unwrap().value(), Some(Value::Long(1)));
    }

    #[test]
    fn limits_hold() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let fault = |text: &str| Document::default().parse(text).err();
        assert_eq!(fault(&nested(NESTING_DEPTH_MAX)), None);
        assert_eq!(fault(&nested(NESTING_DEPTH_MAX + 1)), Some(Fault::TooDeep));
        assert_eq!(fault(&"[".repeat(1_000_000)), Some(Fault::TooDeep));
        let members = |count: usize| format!("{{{}}}", vec!["\"a\":1"; count].join(","));
        assert_eq!(fault(&members(RECORD_FIELDS_MAX)), None);
        assert_eq!(fault(&members(RECORD_FIELDS_MAX + 1)), Some(Fault::TooManyFields));
    }

    #[test]
    fn half_surrogates_are_replaced_and_the_rest_is_read() {
        let mut document = Document::default();
        let text = r#"{"a":"x\ud800y\udc00","b":1}"#;
        assert!(matches!(document.parse(text), Err(Fault::LoneSurrogate(7))));
        let repaired = without_lone_surrogates(text);
        assert_eq!(document.parse(&repaired).unwrap().get("a").unwrap().text(), Some("x\u{fffd}y\u{fffd}"));
    }

    proptest! {
        #[test]
        fn agrees_with_another_reader_on_random_texts(text in r#"[\[\]{}:,"\\a1\.e\-u0 ]{0,24}"#) {
            let duplicates_or_huge = text.matches('"').count() > 4 || text.contains('e');
            prop_assume!(!duplicates_or_huge);
            let expected = serde_json::from_str::<serde_json::Value>(&text).ok();
            let mut document = Document::default();
            prop_assert_eq!(document.parse(&text).ok().map(to_serde), expected);
        }

        #[test]
        fn never_panics(text in "\\PC{0,64}") {
            let _ = Document::default().parse(&text);
        }
    }
}
