//! Literals: tokens and raw contents to values.

use super::Parser;
use crate::diagnostic::{Diagnostic, codes};
use crate::syntax::*;
use crate::time::{parse_datetime, parse_time_of_day, parse_timespan};
use crate::token::TokenKind as K;

/// What follows a backslash in a string, and what it stands for.
const SIMPLE_ESCAPES: [(char, char); 11] = [
    ('\'', '\''),
    ('"', '"'),
    ('\\', '\\'),
    ('/', '/'),
    ('a', '\x07'),
    ('b', '\x08'),
    ('f', '\x0c'),
    ('n', '\n'),
    ('r', '\r'),
    ('t', '\t'),
    ('v', '\x0b'),
];

/// Whether `word(` begins a literal whose content is read raw.
pub(crate) fn is_raw_literal(word: &str) -> bool {
    matches!(
        word,
        "bool"
            | "boolean"
            | "int"
            | "int32"
            | "long"
            | "int64"
            | "real"
            | "double"
            | "decimal"
            | "datetime"
            | "date"
            | "timespan"
            | "time"
            | "guid"
            | "uuid"
            | "uniqueid"
    )
}

impl<'a> Parser<'a> {
    fn literal(&self, start: usize, value: LiteralValue) -> Expression {
        Expression::Literal(Box::new(Literal { span: self.finish(start), value }))
    }

    /// `true`, `false`.
    pub(super) fn boolean(&mut self) -> Expression {
        let token = self.bump();
        let value = token.span.text(self.text).eq_ignore_ascii_case("true");
        self.literal(token.span.start, LiteralValue::Bool(Some(value)))
    }

    /// A number, timespan or string.
    pub(super) fn literal_token(&mut self) -> Expression {
        let start = self.start();
        if matches!(self.kind(), K::String | K::OpenString) {
            let string = self.string();
            return self.literal(start, LiteralValue::String(string));
        }
        let token = self.bump();
        let text = token.span.text(self.text);
        let value = match token.kind {
            K::Real => LiteralValue::Real(text.parse().ok()),
            K::Timespan => LiteralValue::Timespan(parse_timespan(text)),
            _ => LiteralValue::Long(self.long_value(text, token.span)),
        };
        self.literal(start, value)
    }

    fn long_value(&mut self, text: &str, span: Span) -> Option<i64> {
        let value = parse_long(text);
        if value.is_none() {
            self.invalid(span, "the number does not fit 64 bits".into());
        }
        value
    }

    /// `-9223372036854775808`: the one number whose magnitude alone does not fit.
    pub(super) fn opt_least_long(&mut self) -> Option<Expression> {
        let start = self.start();
        let is_least = self.at(K::Minus)
            && self.nth(1) == K::Long
            && self.nth_token(1).span.text(self.text) == "9223372036854775808";
        if !is_least {
            return None;
        }
        self.bump();
        self.bump();
        Some(self.literal(start, LiteralValue::Long(Some(i64::MIN))))
    }

    /// One or more string tokens, joined.
    fn string(&mut self) -> StringLiteral {
        let mut value = String::new();
        let mut is_hidden = false;
        loop {
            if self.at(K::OpenString) {
                let span = self.token().span;
                self.last_error_position = Some(self.position);
                self.invalid(Span::new(span.start, span.end), "the string has no closing quote".into());
            }
            is_hidden |= self.token().span.text(self.text).starts_with(['h', 'H']);
            value.push_str(&self.string_token());
            if !matches!(self.kind(), K::String | K::OpenString) {
                return StringLiteral { value, is_hidden };
            }
        }
    }

    /// Consumes one string token and decodes it.
    pub(super) fn string_token(&mut self) -> String {
        let token = self.bump();
        let source = token.span.text(self.text);
        let is_closed = token.kind == K::String;
        let body = source.strip_prefix(['h', 'H']).unwrap_or(source);
        for fence in ["```", "~~~"] {
            if let Some(inner) = body.strip_prefix(fence) {
                return inner.strip_suffix(fence).filter(|_| is_closed).unwrap_or(inner).into();
            }
        }
        let verbatim = body.strip_prefix('@');
        let quoted = verbatim.unwrap_or(body);
        let quote = if quoted.starts_with('"') { '"' } else { '\'' };
        let inner = quoted.strip_prefix(quote).unwrap_or(quoted);
        let inner = inner.strip_suffix(quote).filter(|_| is_closed).unwrap_or(inner);
        if verbatim.is_some() {
            let doubled = String::from_iter([quote, quote]);
            return inner.replace(&doubled, quote.encode_utf8(&mut [0; 4]));
        }
        match unescape(inner) {
            Ok(value) => value,
            Err((value, offset)) => {
                let at = token.span.end - inner.len() - usize::from(is_closed) + offset;
                let length = 1 + inner[offset + 1..].chars().next().map_or(0, char::len_utf8);
                self.report(
                    Diagnostic::error(codes::UNEXPECTED, Span::new(at, at + length), "unknown escape in a string")
                        .with_suggestion("double the backslash, or put `@` before the quote"),
                );
                value
            }
        }
    }

    fn invalid(&mut self, span: Span, message: String) {
        self.report(Diagnostic::error(codes::UNEXPECTED, span, message));
    }

    /// `type(raw content)`.
    pub(super) fn typed_literal(&mut self) -> Expression {
        let start = self.start();
        let word = self.word();
        self.bump();
        let (content, span) = self.raw_content();
        let value = match ScalarType::from_name(word) {
            Some(ScalarType::Bool) => parse_null(content, parse_bool).map(LiteralValue::Bool),
            Some(ScalarType::Int) => {
                parse_null(content, |text| i32::try_from(parse_signed(text)?).ok()).map(LiteralValue::Int)
            }
            Some(ScalarType::Long) => parse_null(content, parse_signed).map(LiteralValue::Long),
            Some(ScalarType::Real) => parse_null(content, parse_real).map(LiteralValue::Real),
            Some(ScalarType::Decimal) => parse_null(content, parse_decimal).map(LiteralValue::Decimal),
            Some(ScalarType::Datetime) => self.datetime_content(content, span),
            Some(ScalarType::Timespan) => parse_null(content, parse_timespan).map(LiteralValue::Timespan),
            _ => parse_null(content, parse_guid).map(LiteralValue::Guid),
        };
        let value = value.unwrap_or_else(|| {
            let ty = ScalarType::from_name(word).unwrap_or(ScalarType::Guid);
            self.invalid_literal(span, ty);
            null_of(ty)
        });
        self.literal(start, value)
    }

    /// A datetime, a time of today, or quoted text, which converts as `todatetime` does: to null if it is no datetime.
    fn datetime_content(&mut self, content: &str, span: Span) -> Option<LiteralValue> {
        if let Some(value) = parse_null(content, parse_datetime) {
            return Some(LiteralValue::Datetime(value));
        }
        if let Some(ticks) = parse_time_of_day(content) {
            return Some(LiteralValue::DatetimeToday(ticks));
        }
        if !content.starts_with(['"', '\'']) {
            return None;
        }
        self.report(Diagnostic::warning(codes::UNEXPECTED, span, "the text is no datetime, so the value is null"));
        Some(LiteralValue::Datetime(None))
    }

    fn invalid_literal(&mut self, span: Span, ty: ScalarType) {
        let function = match ty {
            ScalarType::Bool => "tobool",
            ScalarType::Int => "toint",
            ScalarType::Long => "tolong",
            ScalarType::Real => "toreal",
            ScalarType::Decimal => "todecimal",
            ScalarType::Datetime => "todatetime",
            ScalarType::Timespan => "totimespan",
            _ => "toguid",
        };
        let message = format!("the content of `{}(...)` is no {} literal", ty.name(), ty.name());
        self.report(
            Diagnostic::error(codes::UNEXPECTED, span, message)
                .with_suggestion(format!("use `{function}(...)` to convert an expression")),
        );
    }

    /// "(" anything ")": the text between, trimmed, and its range.
    fn raw_content(&mut self) -> (&'a str, Span) {
        let open = self.bump().span;
        let mut depth = 0usize;
        loop {
            match self.kind() {
                K::OpenParen => depth += 1,
                K::CloseParen if depth == 0 => break,
                K::CloseParen => depth -= 1,
                K::End | K::Semicolon | K::Pipe => break,
                _ => {}
            }
            self.bump();
        }
        let text = self.text;
        let span = Span::new(open.end, self.previous_end.max(open.end));
        self.close(K::CloseParen);
        (span.text(text).trim(), span)
    }

    /// "dynamic" "(" value ")"
    pub(super) fn dynamic_literal(&mut self) -> Expression {
        let start = self.start();
        let value = self.dynamic_call();
        self.literal(start, LiteralValue::Dynamic(value))
    }

    fn dynamic_call(&mut self) -> DynamicValue {
        self.bump();
        self.expect(K::OpenParen);
        let value = if self.at(K::CloseParen) { DynamicValue::Null } else { self.nested(Self::dynamic_value) };
        self.close(K::CloseParen);
        value
    }

    /// A JSON value, or a literal of the language.
    fn dynamic_value(&mut self) -> DynamicValue {
        match self.kind() {
            K::String | K::OpenString => DynamicValue::String(self.string().value),
            K::OpenBracket => DynamicValue::Array(
                self.bracketed_list(K::OpenBracket, K::CloseBracket, |p| p.nested(Self::dynamic_value)),
            ),
            K::OpenBrace => DynamicValue::Object(
                self.bracketed_list(K::OpenBrace, K::CloseBrace, |p| p.nested(Self::dynamic_property)),
            ),
            K::Minus | K::Plus | K::Long | K::Real | K::Timespan => self.dynamic_number(),
            K::Word => self.dynamic_word(),
            _ => {
                self.expected("a JSON value");
                DynamicValue::Null
            }
        }
    }

    /// string ":" value
    fn dynamic_property(&mut self) -> (String, DynamicValue) {
        let key = match self.kind() {
            K::String | K::OpenString => self.string().value,
            _ => {
                self.expected("a property name in quotes");
                if self.at(K::Word) { self.bump().span.text(self.text).to_string() } else { String::new() }
            }
        };
        self.expect(K::Colon);
        (key, self.nested(Self::dynamic_value))
    }

    fn dynamic_number(&mut self) -> DynamicValue {
        let start = self.start();
        let is_negative = self.at(K::Minus);
        if is_negative || self.at(K::Plus) {
            self.bump();
        }
        if !matches!(self.kind(), K::Long | K::Real | K::Timespan) {
            self.expected("a number");
            return DynamicValue::Null;
        }
        let token = self.bump();
        let text = token.span.text(self.text);
        let sign = if is_negative { "-" } else { "" };
        let value = match token.kind {
            K::Timespan => parse_timespan(&format!("{sign}{text}")).map(DynamicValue::Timespan),
            K::Long => parse_signed(&format!("{sign}{text}")).map(DynamicValue::Long),
            _ => None,
        };
        value.or_else(|| parse_real(&format!("{sign}{text}")).map(DynamicValue::Real)).unwrap_or_else(|| {
            self.invalid(Span::new(start, token.span.end), "the number cannot be read".into());
            DynamicValue::Null
        })
    }

    fn dynamic_word(&mut self) -> DynamicValue {
        let word = self.word();
        let is_call = self.nth(1) == K::OpenParen;
        match word {
            "dynamic" if is_call => return self.nested(Self::dynamic_call),
            _ if is_call && is_raw_literal(word) => return self.dynamic_typed_literal(),
            "null" => {
                self.bump();
                return DynamicValue::Null;
            }
            _ => {}
        }
        if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") {
            self.bump();
            return DynamicValue::Bool(word.eq_ignore_ascii_case("true"));
        }
        let advice = if is_call {
            "use `bag_pack(...)` or `pack_array(...)` for computed values"
        } else {
            "JSON strings stand in quotes"
        };
        self.error_here(format!("expected a JSON value, found {}", self.found()), Some(advice.into()));
        self.bump();
        if is_call {
            self.bump();
            self.skip_to_recovery(true);
            self.eat(K::CloseParen);
        }
        DynamicValue::Null
    }

    fn dynamic_typed_literal(&mut self) -> DynamicValue {
        let Expression::Literal(literal) = self.typed_literal() else { return DynamicValue::Null };
        match literal.value {
            LiteralValue::Bool(Some(value)) => DynamicValue::Bool(value),
            LiteralValue::Int(Some(value)) => DynamicValue::Long(value.into()),
            LiteralValue::Long(Some(value)) => DynamicValue::Long(value),
            LiteralValue::Real(Some(value)) => DynamicValue::Real(value),
            LiteralValue::Decimal(Some(value)) => parse_real(&value).map_or(DynamicValue::Null, DynamicValue::Real),
            LiteralValue::Datetime(Some(value)) => DynamicValue::Datetime(value),
            LiteralValue::Timespan(Some(value)) => DynamicValue::Timespan(value),
            LiteralValue::Guid(Some(value)) => DynamicValue::Guid(value),
            _ => DynamicValue::Null,
        }
    }
}

/// Decodes escapes. On an unknown one returns the text with it left as it is, and the offset of the first.
fn unescape(text: &str) -> Result<String, (String, usize)> {
    let mut value = String::with_capacity(text.len());
    let mut first_error = None;
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        value.push_str(&rest[..at]);
        rest = &rest[at..];
        let (decoded, length) = match escape(&rest[1..]) {
            Some((decoded, length)) => (decoded, 1 + length),
            None => {
                first_error.get_or_insert(text.len() - rest.len());
                ('\\', 1)
            }
        };
        value.push(decoded);
        rest = &rest[length..];
    }
    value.push_str(rest);
    match first_error {
        None => Ok(value),
        Some(offset) => Err((value, offset)),
    }
}

/// Decodes what follows a backslash: the character and the number of bytes it took.
fn escape(rest: &str) -> Option<(char, usize)> {
    let first = rest.chars().next()?;
    let numeric = |skip: usize, length: usize, radix: u32| {
        let digits = rest.get(skip..skip + length)?;
        let code = u32::from_str_radix(digits, radix).ok()?;
        // A lone half of a surrogate pair has no character of its own.
        Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), skip + length))
    };
    match first {
        'u' => surrogate_pair(rest).or_else(|| numeric(1, 4, 16)),
        'U' => numeric(1, 8, 16),
        'x' => numeric(1, 2, 16),
        '0'..='7' => {
            let length = rest.bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            numeric(0, if length == 3 && first > '3' { 2 } else { length }, 8)
        }
        _ => SIMPLE_ESCAPES.iter().find(|(name, _)| *name == first).map(|(_, value)| (*value, 1)),
    }
}

/// `uD83D\uDE00`: one character beyond the first plane.
fn surrogate_pair(rest: &str) -> Option<(char, usize)> {
    let unit = |at: usize| u16::from_str_radix(rest.get(at..at + 4)?, 16).ok();
    let high = unit(1)?;
    if rest.get(5..7)? != "\\u" {
        return None;
    }
    let decoded = char::decode_utf16([high, unit(7)?]).next()?.ok()?;
    (decoded.len_utf16() == 2).then_some((decoded, 11))
}

/// A number without a sign, decimal or hexadecimal.
fn parse_long(text: &str) -> Option<i64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // Sixteen digits fill all 64 bits, sign included.
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
        None => text.parse().ok(),
    }
}

fn parse_signed(text: &str) -> Option<i64> {
    if text.contains(['x', 'X']) {
        let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest.trim_start()));
        let value = parse_long(digits)?;
        return if is_negative { value.checked_neg() } else { Some(value) };
    }
    match text.strip_prefix('-') {
        Some(digits) => format!("-{}", digits.trim_start()).parse().ok(),
        None => text.strip_prefix('+').unwrap_or(text).trim_start().parse().ok(),
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => parse_signed(text).map(|number| number != 0),
    }
}

fn parse_real(text: &str) -> Option<f64> {
    match text.to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "+inf" | "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        lower if lower.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) => {
            lower.parse().ok().filter(|value: &f64| value.is_finite())
        }
        _ => None,
    }
}

/// Digits with an optional sign, point and exponent, as written.
fn parse_decimal(text: &str) -> Option<String> {
    parse_real(text).filter(|value| value.is_finite()).map(|_| text.to_string())
}

fn parse_guid(text: &str) -> Option<String> {
    let text = text.trim_matches(['"', '\'', '{', '}']);
    let is_hexadecimal =
        |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hexadecimal(text, 32) {
        let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
        return Some(parts.join("-").to_ascii_lowercase());
    }
    let parts: Vec<&str> = text.split('-').collect();
    let is_guid =
        parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, length)| is_hexadecimal(part, length));
    is_guid.then(|| text.to_ascii_lowercase())
}

fn parse_null<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text == "null" || text.is_empty() { Some(None) } else { parse(text).map(Some) }
}

fn null_of(ty: ScalarType) -> LiteralValue {
    match ty {
        ScalarType::Bool => LiteralValue::Bool(None),
        ScalarType::Int => LiteralValue::Int(None),
        ScalarType::Long => LiteralValue::Long(None),
        ScalarType::Real => LiteralValue::Real(None),
        ScalarType::Decimal => LiteralValue::Decimal(None),
        ScalarType::Datetime => LiteralValue::Datetime(None),
        ScalarType::Timespan => LiteralValue::Timespan(None),
        _ => LiteralValue::Guid(None),
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;

    /// Checks the dump of the value of `print <text>`.
    fn check(text: &str, expected: &str) {
        let parsed = parse(&format!("print {text}"));
        assert_eq!(parsed.diagnostics, [], "{text}");
        assert_eq!(parsed.tree.to_string(), format!("(query (pipe (print ({expected}))))"), "{text}");
    }

    /// Checks that `print <text>` gets exactly one diagnostic with this message.
    fn check_error(text: &str, message: &str) {
        let found: Vec<String> = parse(&format!("print {text}")).diagnostics.into_iter().map(|d| d.message).collect();
        assert_eq!(found, [message], "{text}");
    }

    #[test]
    fn strings_decode_their_escapes() {
        check(r"'a\tb\\c\'d\x41\u00e9\101'", r#"string "a\tb\\c'dAéA""#);
        check(r"'\uD83D\uDE00 \U0001F600 \uD83D'", "string \"\u{1F600} \u{1F600} \u{FFFD}\"");
        check(r#"@'C:\x' @"a""b" 'c'"#, r#"string "C:\\xa\"bc""#);
        check("~~~a'b~~~", "string \"a'b\"");
        check_error(r"'\d'", "unknown escape in a string");
        check_error("'a", "the string has no closing quote");
    }

    #[test]
    fn hidden_strings_stay_hidden() {
        let text = "print h'secret' 'tail', x ? h'secret'";
        let parsed = parse(text);
        assert!(!parsed.tree.to_string().contains("secret"), "{}", parsed.tree);
        assert!(parsed.diagnostics.iter().all(|diagnostic| !diagnostic.message.contains("secret")));
    }

    #[test]
    fn numbers_keep_their_type_and_value() {
        check("9223372036854775807", "long 9223372036854775807");
        check("0xFFFFFFFFFFFFFFFF", "long -1");
        check("1.", "real 1.0");
        check("1e3", "real 1000.0");
        check("real(+inf)", "real inf");
        check("int(2147483647)", "int 2147483647");
        check("bool(1)", "bool true");
        check_error("int(2147483648)", "the content of `int(...)` is no int literal");
        check_error("9223372036854775808", "the number does not fit 64 bits");
    }

    #[test]
    fn guids_are_normalised() {
        check("guid({74BE27DE-1E4E-49D9-B579-FE0B331D3642})", "guid 74be27de-1e4e-49d9-b579-fe0b331d3642");
        check("guid(74be27de1e4e49d9b579fe0b331d3642)", "guid 74be27de-1e4e-49d9-b579-fe0b331d3642");
        check_error("guid(74be27de)", "the content of `guid(...)` is no guid literal");
    }

    #[test]
    fn dynamic_holds_json_and_literals_of_the_language() {
        check("dynamic({'a': 1.5, \"b\": [null, true]})", r#"dynamic {"a":1.5,"b":[null,true]}"#);
        check("dynamic([1d, -2h, long(3), 99999999999999999999])", r#"dynamic ["1.00:00:00","-02:00:00",3,1e20]"#);
        check_error("dynamic({'a' 1})", "expected `:`, found `1`");
    }
}
