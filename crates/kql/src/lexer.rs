//! The lexer: text to tokens. White space and `//` comments vanish; everything else becomes a token, even a mistake,
//! so that the parser reports mistakes only where they matter (a raw `datetime(...)` may hold anything).
//!
//! Never fails, never recurses, linear in the text.

use crate::syntax::Span;
use crate::token::{Token, TokenKind};

/// Keywords with a hyphen. Any other hyphen between words is a minus.
pub(crate) const HYPHENATED_KEYWORDS: &[&str] = &[
    "assert-schema",
    "execute-and-cache",
    "granny-asc",
    "granny-desc",
    "graph-mark-components",
    "graph-match",
    "graph-shortest-paths",
    "graph-to-table",
    "graph-where-edges",
    "graph-where-nodes",
    "macro-expand",
    "make-graph",
    "make-series",
    "materialized-view-combine",
    "mv-apply",
    "mv-expand",
    "parse-kv",
    "parse-where",
    "partitioned-by",
    "project-away",
    "project-by-names",
    "project-keep",
    "project-rename",
    "project-reorder",
    "project-smart",
    "sample-distinct",
    "top-hitters",
    "top-nested",
];

/// Units of time after a number, in nanoseconds.
pub(crate) const TIME_UNITS: &[(&str, i128)] = &[
    ("d", 86_400_000_000_000),
    ("day", 86_400_000_000_000),
    ("days", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("hr", 3_600_000_000_000),
    ("hrs", 3_600_000_000_000),
    ("hour", 3_600_000_000_000),
    ("hours", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("minute", 60_000_000_000),
    ("minutes", 60_000_000_000),
    ("s", 1_000_000_000),
    ("sec", 1_000_000_000),
    ("second", 1_000_000_000),
    ("seconds", 1_000_000_000),
    ("ms", 1_000_000),
    ("milli", 1_000_000),
    ("millis", 1_000_000),
    ("millisec", 1_000_000),
    ("millisecond", 1_000_000),
    ("milliseconds", 1_000_000),
    ("us", 1_000),
    ("micro", 1_000),
    ("micros", 1_000),
    ("microsec", 1_000),
    ("microsecond", 1_000),
    ("microseconds", 1_000),
    ("nano", 1),
    ("nanos", 1),
    ("nanosec", 1),
    ("nanosecond", 1),
    ("nanoseconds", 1),
    ("tick", 100),
    ("ticks", 100),
];

/// Splits a text into tokens; the last one is always [`TokenKind::End`].
///
/// A line that begins with `#` is a directive to some client and vanishes like a comment.
pub fn tokenize(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, offset: 0 };
    let mut tokens = Vec::with_capacity(text.len() / 5 + 1);
    loop {
        lexer.skip_trivia();
        let start = lexer.offset;
        let kind = lexer.token();
        tokens.push(Token { kind, span: Span::new(start, lexer.offset) });
        if kind == TokenKind::End {
            return tokens;
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.offset + ahead).copied().unwrap_or(0)
    }

    fn skip_trivia(&mut self) {
        loop {
            let rest = self.rest();
            if rest.starts_with("//") || (rest.starts_with('#') && self.begins_line()) {
                self.offset += rest.find(['\n', '\r', '\u{2028}', '\u{2029}']).unwrap_or(rest.len());
            } else {
                match rest.chars().next() {
                    Some(c) if is_space(c) => self.offset += c.len_utf8(),
                    _ => return,
                }
            }
        }
    }

    fn begins_line(&self) -> bool {
        let mut before =
            self.text[..self.offset].chars().rev().skip_while(|c| is_space(*c) && !matches!(c, '\n' | '\r'));
        before.next().is_none_or(|c| matches!(c, '\n' | '\r'))
    }

    fn token(&mut self) -> TokenKind {
        let Some(first) = self.rest().chars().next() else { return TokenKind::End };
        if let Some(kind) = self.string() {
            return kind;
        }
        if first.is_ascii_digit() {
            return self.number();
        }
        if is_word_start(first) {
            return self.word();
        }
        if first == '!' && self.rest()[1..].starts_with(is_word_start) {
            self.offset += 1;
            self.take_while(is_word_part);
            return if self.text[..self.offset].ends_with("!in") && self.eat('~') {
                TokenKind::NotInCaseless
            } else {
                TokenKind::NotWord
            };
        }
        self.punctuation(first)
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        if found {
            self.offset += c.len_utf8();
        }
        found
    }

    fn take_while(&mut self, accepts: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !accepts(c)).unwrap_or(rest.len())];
        self.offset += taken.len();
        taken
    }

    /// A word, a hyphenated keyword, or `in~`.
    fn word(&mut self) -> TokenKind {
        let start = self.offset;
        self.offset += self.rest().chars().next().map_or(0, char::len_utf8);
        self.take_while(is_word_part);
        if self.byte(0) == b'-' {
            let longest = HYPHENATED_KEYWORDS
                .iter()
                .filter(|keyword| {
                    self.text[start..].starts_with(**keyword)
                        && !self.text[start + keyword.len()..].starts_with(is_word_part)
                })
                .map(|keyword| keyword.len())
                .max();
            if let Some(length) = longest.filter(|length| start + length > self.offset) {
                self.offset = start + length;
            }
        }
        if &self.text[start..self.offset] == "in" && self.byte(0) == b'~' && self.byte(1) != b'~' {
            self.offset += 1;
            return TokenKind::InCaseless;
        }
        TokenKind::Word
    }

    /// A number, a timespan, or a name that begins with a digit.
    fn number(&mut self) -> TokenKind {
        if self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X') && self.byte(2).is_ascii_hexdigit() {
            self.offset += 2;
            self.take_while(|c| c.is_ascii_hexdigit());
            return TokenKind::Long;
        }
        self.take_while(|c| c.is_ascii_digit());
        let has_fraction = self.byte(0) == b'.' && self.byte(1) != b'.' && !is_letter_byte(self.byte(1));
        if has_fraction {
            self.offset += 1;
            self.take_while(|c| c.is_ascii_digit());
        }
        if self.exponent() {
            return TokenKind::Real;
        }
        let after_digits = self.offset;
        let suffix = self.take_while(is_word_part);
        if suffix.is_empty() {
            return if has_fraction { TokenKind::Real } else { TokenKind::Long };
        }
        if TIME_UNITS.iter().any(|(unit, _)| *unit == suffix) {
            return TokenKind::Timespan;
        }
        if has_fraction {
            self.offset = after_digits;
            return TokenKind::Real;
        }
        TokenKind::Word
    }

    /// `e10`, `E-3`, not followed by more of a word.
    fn exponent(&mut self) -> bool {
        let bytes = self.rest().as_bytes();
        if !matches!(bytes.first(), Some(b'e' | b'E')) {
            return false;
        }
        let sign = usize::from(matches!(bytes.get(1), Some(b'+' | b'-')));
        let digits = bytes[1 + sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let length = 1 + sign + digits;
        if digits == 0 || self.rest()[length..].starts_with(is_word_part) {
            return false;
        }
        self.offset += length;
        true
    }

    /// Any string form, if one begins here.
    fn string(&mut self) -> Option<TokenKind> {
        let hidden = usize::from(matches!(self.byte(0), b'h' | b'H'));
        let rest = self.rest().get(hidden..)?;
        if rest.starts_with("```") || rest.starts_with("~~~") {
            let fence = &rest[..3];
            self.offset += hidden + 3;
            return Some(self.until(fence));
        }
        let verbatim = rest.starts_with('@');
        let quote = rest[usize::from(verbatim)..].chars().next().filter(|c| matches!(c, '"' | '\''))?;
        self.offset += hidden + usize::from(verbatim) + 1;
        Some(if verbatim { self.verbatim_string(quote) } else { self.escaped_string(quote) })
    }

    fn until(&mut self, fence: &str) -> TokenKind {
        match self.rest().find(fence) {
            Some(length) => {
                self.offset += length + fence.len();
                TokenKind::String
            }
            None => {
                self.offset = self.text.len();
                TokenKind::OpenString
            }
        }
    }

    fn verbatim_string(&mut self, quote: char) -> TokenKind {
        loop {
            self.take_while(|c| c != quote && c != '\n' && c != '\r');
            if !self.eat(quote) {
                return TokenKind::OpenString;
            }
            if !self.eat(quote) {
                return TokenKind::String;
            }
        }
    }

    fn escaped_string(&mut self, quote: char) -> TokenKind {
        loop {
            self.take_while(|c| c != quote && c != '\n' && c != '\r' && c != '\\');
            if self.eat(quote) {
                return TokenKind::String;
            }
            if !self.eat('\\') {
                return TokenKind::OpenString;
            }
            match self.rest().chars().next() {
                Some(escaped) if escaped != '\n' && escaped != '\r' => self.offset += escaped.len_utf8(),
                _ => return TokenKind::OpenString,
            }
        }
    }

    fn punctuation(&mut self, first: char) -> TokenKind {
        use TokenKind as K;
        let (kind, length) = match (first, self.byte(first.len_utf8())) {
            ('=', b'=') => (K::EqualEqual, 2),
            ('=', b'~') => (K::EqualTilde, 2),
            ('=', b'>') => (K::FatArrow, 2),
            ('=', _) => (K::Equal, 1),
            ('!', b'=') => (K::NotEqual, 2),
            ('!', b'~') => (K::NotTilde, 2),
            ('<', b'=') => (K::LessEqual, 2),
            ('<', b'>') => (K::LessGreater, 2),
            ('<', b'|') => (K::LessPipe, 2),
            ('<', _) => (K::Less, 1),
            ('>', b'=') => (K::GreaterEqual, 2),
            ('>', _) => (K::Greater, 1),
            ('.', b'.') => (K::DotDot, 2),
            ('.', _) => (K::Dot, 1),
            ('(', _) => (K::OpenParen, 1),
            (')', _) => (K::CloseParen, 1),
            ('[', _) => (K::OpenBracket, 1),
            (']', _) => (K::CloseBracket, 1),
            ('{', _) => (K::OpenBrace, 1),
            ('}', _) => (K::CloseBrace, 1),
            ('|', _) => (K::Pipe, 1),
            (',', _) => (K::Comma, 1),
            (';', _) => (K::Semicolon, 1),
            (':', _) => (K::Colon, 1),
            ('+', _) => (K::Plus, 1),
            ('-', _) => (K::Minus, 1),
            ('*', _) => (K::Star, 1),
            ('/', _) => (K::Slash, 1),
            ('%', _) => (K::Percent, 1),
            _ => (K::Unknown, first.len_utf8()),
        };
        self.offset += length;
        kind
    }
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{180e}' | '\u{200b}' | '\u{feff}')
}

fn is_word_start(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphabetic()
}

fn is_word_part(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn is_letter_byte(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphabetic()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let tokens: Vec<String> = tokenize(text)
            .iter()
            .filter(|token| token.kind != TokenKind::End)
            .map(|token| format!("{:?}:{}", token.kind, token.span.text(text)))
            .collect();
        assert_eq!(tokens.join(" "), expected, "{text}");
    }

    #[test]
    fn reads_numbers_and_timespans() {
        check("1 0x1F 1.5 1e10 1.5e-3", "Long:1 Long:0x1F Real:1.5 Real:1e10 Real:1.5e-3");
        check(
            "1d 2h 1.5m 5ms 10us 1tick 3microseconds",
            "Timespan:1d Timespan:2h Timespan:1.5m Timespan:5ms Timespan:10us Timespan:1tick Timespan:3microseconds",
        );
        check("1..2", "Long:1 DotDot:.. Long:2");
        check("3Dchart 1e 12x", "Word:3Dchart Word:1e Word:12x");
    }

    #[test]
    fn reads_every_string_form() {
        check(r#"'a' "b" @'c\' h"d" H@"e""f""#, r#"String:'a' String:"b" String:@'c\' String:h"d" String:H@"e""f""#);
        check("```a\nb``` ~~~c~~~", "String:```a\nb``` String:~~~c~~~");
        check("'a\\'b' 'open\nx", "String:'a\\'b' OpenString:'open Word:x");
        check("hash h 'x'", "Word:hash Word:h String:'x'");
    }

    #[test]
    fn joins_only_known_hyphenated_words() {
        check("project-away a-b top-nestedx", "Word:project-away Word:a Minus:- Word:b Word:top Minus:- Word:nestedx");
        check("graph-where-nodes", "Word:graph-where-nodes");
    }

    #[test]
    fn reads_negated_words_and_caseless_in() {
        check(
            "!has !in !in~ in~ in !~ !=",
            "NotWord:!has NotWord:!in NotInCaseless:!in~ InCaseless:in~ Word:in NotTilde:!~ NotEqual:!=",
        );
    }

    #[test]
    fn drops_comments_and_space() {
        check("a // b | c\n\u{a0}| d//", "Word:a Pipe:| Word:d");
        check("#connect x\n T # y", "Word:T Unknown:# Word:y");
        check("\u{feff}T ? é", "Word:T Unknown:? Word:é");
    }
}
