//! Rewrites the strings and numbers of a JSON text and leaves every other byte as it is.
//!
//! A text that is not JSON is refused, so that the caller treats it as plain text. A rewritten text stays valid JSON:
//! a number that is a card becomes a string.

use moneta_base::limits::NESTING_DEPTH_MAX;

use crate::finding::{Finder, KindCounts, Surroundings};
use crate::numbers::DIGITS_MIN;
use crate::phone::is_phone_name;
use crate::token::{TokenKind, is_token};

/// JSON in strings of JSON is followed this deep; beyond it is plain text.
const EMBEDDED_DEPTH_MAX: usize = 4;

/// The text is not JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotJson;

impl Finder {
    /// Replaces values in JSON, or in plain text where it is none; `None` when nothing changed.
    pub(crate) fn replace_any(&self, text: &str, around: Surroundings<'_>, counts: &mut KindCounts) -> Option<String> {
        self.replace_embedded(text, around, 0, counts)
    }

    /// As [`Self::replace_any`] for a dynamic value of a named field: every string in it is such a value.
    pub(crate) fn replace_dynamic(&self, text: &str, kind: TokenKind, counts: &mut KindCounts) -> Option<String> {
        let mut trial = KindCounts::default();
        let mut walk = Walk { named: Some(kind), ..Walk::new(self, text, Surroundings::default(), 0, &mut trial) };
        let result = walk.run();
        match result {
            Ok(changed) => {
                counts.add(&trial);
                changed
            }
            Err(NotJson) => self.field_value(text, kind, counts),
        }
    }

    /// What takes the place of a value of a named field; `None` when it stays.
    pub(crate) fn field_value(&self, value: &str, kind: TokenKind, counts: &mut KindCounts) -> Option<String> {
        if is_token(value.trim()) || self.policy.allows(value) {
            return None;
        }
        let mut trial = KindCounts::default();
        let around = Surroundings { phone_expected: kind == TokenKind::Phone, ..Surroundings::default() };
        let replaced = self.replace(value, around, &mut trial);
        // A list of addresses keeps its separators; anything left beside them may be a name.
        if only_tokens(replaced.as_deref().unwrap_or(value)) {
            counts.add(&trial);
            return replaced;
        }
        let kind = match kind {
            TokenKind::Email => TokenKind::User,
            TokenKind::Phone | TokenKind::Card if !value.bytes().any(|b| b.is_ascii_digit()) => TokenKind::User,
            kind => kind,
        };
        counts.count(kind, 1);
        Some(self.tokens.token(kind, value).to_string())
    }

    fn replace_embedded(
        &self,
        text: &str,
        around: Surroundings<'_>,
        depth: usize,
        counts: &mut KindCounts,
    ) -> Option<String> {
        if depth < EMBEDDED_DEPTH_MAX && text.trim_start().starts_with(['{', '[']) {
            let mut trial = KindCounts::default();
            if let Ok(changed) = Walk::new(self, text, around, depth, &mut trial).run() {
                counts.add(&trial);
                return changed;
            }
        }
        self.replace(text, around, counts)
    }
}

/// Whether nothing but tokens and separators is left.
fn only_tokens(text: &str) -> bool {
    let mut parts = text.split([',', ';', ' ', '<', '>']).filter(|part| !part.is_empty()).peekable();
    parts.peek().is_some() && parts.all(is_token)
}

struct Walk<'a> {
    finder: &'a Finder,
    text: &'a str,
    around: Surroundings<'a>,
    /// Depth of this JSON within strings of JSON.
    embedded: usize,
    /// Every string is a value of a field of this kind.
    named: Option<TokenKind>,
    counts: &'a mut KindCounts,
    at: usize,
    copied: usize,
    out: Option<String>,
}

impl<'a> Walk<'a> {
    fn new(
        finder: &'a Finder,
        text: &'a str,
        around: Surroundings<'a>,
        embedded: usize,
        counts: &'a mut KindCounts,
    ) -> Self {
        Self { finder, text, around, embedded, named: None, counts, at: 0, copied: 0, out: None }
    }

    /// The rewritten text; `None` when nothing changed.
    fn run(&mut self) -> Result<Option<String>, NotJson> {
        self.value(0, "")?;
        self.blanks();
        if self.at != self.text.len() {
            return Err(NotJson);
        }
        let rest = &self.text[self.copied..];
        Ok(self.out.take().map(|out| out + rest))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        self.blanks();
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(NotJson)
        }
    }

    fn value(&mut self, depth: usize, member: &str) -> Result<(), NotJson> {
        if depth > NESTING_DEPTH_MAX {
            return Err(NotJson);
        }
        self.blanks();
        match self.peek().ok_or(NotJson)? {
            b'{' => self.object(depth),
            b'[' => self.array(depth, member),
            b'"' => self.string_value(member),
            b'-' | b'0'..=b'9' => self.number(member),
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), NotJson> {
        self.expect(b'{')?;
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blanks();
            let (start, end) = self.string_literal()?;
            let name = self.text.get(start + 1..end - 1).unwrap_or_default();
            self.rewrite_string(start, end, Surroundings::default());
            self.expect(b':')?;
            self.value(depth + 1, name)?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(NotJson),
            }
        }
    }

    fn array(&mut self, depth: usize, member: &str) -> Result<(), NotJson> {
        self.expect(b'[')?;
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1, member)?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(NotJson),
            }
        }
    }

    /// Skips a string; returns the range with its quotes.
    fn string_literal(&mut self) -> Result<(usize, usize), NotJson> {
        let start = self.at;
        self.expect(b'"')?;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let offset = memchr::memchr2(b'"', b'\\', rest).ok_or(NotJson)?;
            self.at += offset + 1;
            if rest[offset] == b'"' {
                return Ok((start, self.at));
            }
            if self.at >= self.text.len() {
                return Err(NotJson);
            }
            self.at += 1;
        }
    }

    fn string_value(&mut self, member: &str) -> Result<(), NotJson> {
        let (start, end) = self.string_literal()?;
        if let Some(kind) = self.named.or_else(|| self.finder.policy.json_member(member)) {
            let literal = &self.text[start..end];
            let value: String = serde_json::from_str(literal).unwrap_or_else(|_| literal.trim_matches('"').to_owned());
            if let Some(token) = self.finder.field_value(&value, kind, self.counts) {
                self.replace_literal(start, end, &token);
            }
            return Ok(());
        }
        self.rewrite_string(start, end, Surroundings { phone_expected: is_phone_name(member), ..self.around });
        Ok(())
    }

    fn rewrite_string(&mut self, start: usize, end: usize, around: Surroundings<'_>) {
        let literal = &self.text[start..end];
        let inner = &self.text.get(start + 1..end - 1).unwrap_or_default();
        let decoded: Option<String> =
            if inner.contains('\\') { serde_json::from_str(literal).ok() } else { Some((*inner).to_owned()) };
        // A half surrogate cannot be decoded: its text is searched as it stands, and its escapes stay valid.
        let value = decoded.as_deref().unwrap_or(inner);
        if let Some(known) = around.known.iter().find(|known| known.value == value) {
            self.counts.count(known.kind, 1);
            self.replace_literal(start, end, &known.token);
        } else if let Some(changed) = self.finder.replace_embedded(value, around, self.embedded + 1, self.counts) {
            if decoded.is_some() {
                self.replace_literal(start, end, &changed);
            } else {
                self.emit(start, end, &format!("\"{changed}\""));
            }
        }
    }

    fn number(&mut self, member: &str) -> Result<(), NotJson> {
        let start = self.at;
        let is_number = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        self.at += self.text.as_bytes()[start..].iter().take_while(|b| is_number(b)).count();
        let end = self.at;
        let literal = &self.text[start..end];
        let identifier = literal.len() >= DIGITS_MIN && self.finder.policy.allows_number_in(member);
        if identifier || !literal.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(());
        }
        let known = self.around.known.iter().find(|known| known.value == literal);
        let named = self.named.or_else(|| self.finder.policy.json_member(member));
        let around = Surroundings { known: &[], phone_expected: is_phone_name(member) };
        let token = match (known, named) {
            (Some(known), _) => {
                self.counts.count(known.kind, 1);
                Some(known.token.to_string())
            }
            (None, Some(kind)) => self.finder.field_value(literal, kind, self.counts),
            (None, None) => self.finder.replace(literal, around, self.counts),
        };
        if let Some(token) = token {
            self.replace_literal(start, end, &token);
        }
        Ok(())
    }

    fn word(&mut self) -> Result<(), NotJson> {
        let rest = &self.text[self.at..];
        let word = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word)).ok_or(NotJson)?;
        self.at += word.len();
        Ok(())
    }

    fn replace_literal(&mut self, start: usize, end: usize, value: &str) {
        let literal = serde_json::Value::from(value).to_string();
        self.emit(start, end, &literal);
    }

    fn emit(&mut self, start: usize, end: usize, literal: &str) {
        let out = self.out.get_or_insert_with(String::new);
        out.push_str(&self.text[self.copied..start]);
        out.push_str(literal);
        self.copied = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::tests::{finder, short};

    fn check(text: &str, expected: &str) {
        let replaced = finder().replace_any(text, Surroundings::default(), &mut KindCounts::default());
        let replaced = replaced.as_deref().unwrap_or(text);
        assert_eq!(short(replaced), expected, "{text}");
        if serde_json::from_str::<serde_json::Value>(text).is_ok() {
            assert!(serde_json::from_str::<serde_json::Value>(replaced).is_ok(), "{replaced}");
        }
    }

    #[test]
    fn rewrites_strings_numbers_and_member_names() {
        check(r#"{"a": "x a@b.com"}"#, r#"{"a": "x <email>"}"#);
        check(r#"{"a":"line\nalice@b.com"}"#, r#"{"a":"line\n<email>"}"#);
        check(r#"{"a":"\u0061lice\u0040b.com"}"#, r#"{"a":"<email>"}"#);
        check(r#"{"a@b.com":[1,"c@d.org"]}"#, r#"{"<email>":[1,"<email>"]}"#);
        check(r#"{"pan":4111111111111111,"n":17}"#, r#"{"pan":"<card>","n":17}"#);
        check(r#"{"flow_id":4111111111111111}"#, r#"{"flow_id":4111111111111111}"#);
        check(r#"{"phone":4155551234}"#, r#"{"phone":"<phone>"}"#);
        check(r#"{"phones":["x"],"mobilePhone":"0171 1234567"}"#, r#"{"phones":["x"],"mobilePhone":"<phone>"}"#);
        check(r#"{"m":"{\"to\":\"a@b.com\"}"}"#, r#"{"m":"{\"to\":\"<email>\"}"}"#);
        check(r#"{"m":"\ud800 a@b.com"}"#, r#"{"m":"\ud800 <email>"}"#);
        check(r#""a@b.com""#, r#""<email>""#);
    }

    #[test]
    fn members_the_policy_names_become_tokens_as_a_whole() {
        check(r#"{"userDisplayName":"Alice Example","x":"Alice"}"#, r#"{"userDisplayName":"<name>","x":"Alice"}"#);
        check(r#"{"UserPrincipalName":"alice"}"#, r#"{"UserPrincipalName":"<user>"}"#);
        check(r#"{"userPrincipalName":"a@b.com;c@d.com"}"#, r#"{"userPrincipalName":"<email>;<email>"}"#);
        check(r#"{"userPrincipalName":"Alice <a@b.com>"}"#, r#"{"userPrincipalName":"<user>"}"#);
        check(r#"{"phoneNumber":"12"}"#, r#"{"phoneNumber":"<phone>"}"#);
    }

    #[test]
    fn text_that_is_not_json_is_plain_text() {
        check(r#"{"a":"x@b.com""#, r#"{"a":"<email>""#);
        check("{a@b.com}", "{<email>}");
        check(r#"["a@b.com"] trailing c@d.com"#, r#"["<email>"] trailing <email>"#);
        let deep = format!("{}\"a@b.com\"{}", "[".repeat(100), "]".repeat(100));
        check(&deep, &deep.replace("a@b.com", "<email>"));
    }

    #[test]
    fn unchanged_text_keeps_every_byte() {
        let text = " { \"a\" : [ 1.50 , -2e5 , \"\\u00e4\\/\" , true , null ] } ";
        assert_eq!(finder().replace_any(text, Surroundings::default(), &mut KindCounts::default()), None);
    }
}
