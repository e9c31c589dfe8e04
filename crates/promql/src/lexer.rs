//! Text to tokens.

use crate::Error;

/// A token and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) offset: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Word(String),
    Number(f64),
    /// In milliseconds.
    Duration(i64),
    Text(String),
    Sign(&'static str),
    End,
}

/// Signs, longer ones first.
const SIGNS: [&str; 23] = [
    "==", "!=", "<=", ">=", "=~", "!~", "=", "<", ">", "+", "-", "*", "/", "%", "^", "(", ")", "{", "}", "[", "]", ",",
    ":",
];

/// Milliseconds of the units of durations.
const UNITS: [(&str, i64); 7] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 7 * 86_400_000),
    ("y", 365 * 86_400_000),
];

pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Error> {
    let (mut tokens, mut offset) = (Vec::new(), 0);
    loop {
        offset = skip_blanks(text, offset);
        let rest = &text[offset..];
        let Some(first) = rest.chars().next() else {
            tokens.push(Token { offset, kind: Kind::End });
            return Ok(tokens);
        };
        let (kind, len) = match first {
            '"' | '\'' | '`' => string(text, offset)?,
            c if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) => {
                number(text, offset)?
            }
            c if c.is_ascii_alphabetic() || c == '_' || (c == ':' && !after_bracket(&tokens)) => word(rest),
            '@' => return Err(Error::unsupported(text, offset, "the modifier @")),
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Kind::Sign(sign), sign.len()),
                None => return Err(Error::syntax(text, offset, format!("unexpected character: {first:?}"))),
            },
        };
        tokens.push(Token { offset, kind });
        offset += len;
    }
}

/// A colon divides the range from the step of a subquery; anywhere else it begins the name of a recorded metric.
fn after_bracket(tokens: &[Token]) -> bool {
    let before = tokens.iter().rev().take(2).any(|token| token.kind == Kind::Sign("["));
    before && matches!(tokens.last().map(|token| &token.kind), Some(Kind::Duration(_) | Kind::Sign("[")))
}

fn skip_blanks(text: &str, mut offset: usize) -> usize {
    loop {
        let rest = &text[offset..];
        let blank = rest.len() - rest.trim_start().len();
        offset += blank;
        if !text[offset..].starts_with('#') {
            return offset;
        }
        offset += text[offset..].find('\n').unwrap_or(text.len() - offset);
    }
}

fn word(rest: &str) -> (Kind, usize) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let len = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
    let word = &rest[..len];
    let kind = match word.to_ascii_lowercase().as_str() {
        "inf" => Kind::Number(f64::INFINITY),
        "nan" => Kind::Number(f64::NAN),
        _ => Kind::Word(word.to_owned()),
    };
    (kind, len)
}

fn number(text: &str, offset: usize) -> Result<(Kind, usize), Error> {
    let rest = &text[offset..];
    let len = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len());
    let mut literal = &rest[..len];
    // A sign belongs to an exponent.
    if literal.ends_with(['e', 'E']) && rest[len..].starts_with(['+', '-']) && !literal.starts_with("0x") {
        let digits = rest[len + 1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - len - 1);
        literal = &rest[..len + 1 + digits];
    }
    let refused = || Error::syntax(text, offset, format!("bad number or duration: {literal:?}"));
    let hex = literal.strip_prefix("0x").or_else(|| literal.strip_prefix("0X"));
    let kind = if let Some(hex) = hex {
        #[expect(clippy::cast_precision_loss, reason = "every number of PromQL is a double")]
        Kind::Number(u64::from_str_radix(hex, 16).map_err(|_| refused())? as f64)
    } else if let Ok(number) = literal.parse() {
        Kind::Number(number)
    } else {
        Kind::Duration(duration_ms(literal).ok_or_else(refused)?)
    };
    Ok((kind, literal.len()))
}

/// The milliseconds of a duration such as `1h30m`, its units from large to small and each once.
#[must_use]
pub fn duration_ms(text: &str) -> Option<i64> {
    let (mut rest, mut total, mut last) = (text, 0_i64, i64::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let count: i64 = rest[..digits].parse().ok()?;
        let unit = UNITS.iter().find(|(unit, _)| rest[digits..].starts_with(unit))?;
        if unit.1 >= last {
            return None;
        }
        total = total.checked_add(count.checked_mul(unit.1)?)?;
        (rest, last) = (&rest[digits + unit.0.len()..], unit.1);
    }
    (last < i64::MAX).then_some(total)
}

fn string(text: &str, offset: usize) -> Result<(Kind, usize), Error> {
    let rest = &text[offset..];
    let quote = rest.chars().next().unwrap_or('"');
    let mut out = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((Kind::Text(out), at + 1)),
            '\\' if quote != '`' => {
                let escaped = chars.next().map(|(_, c)| c);
                out.push(match escaped {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(c @ ('\\' | '"' | '\'')) => c,
                    _ => return Err(Error::syntax(text, offset + at, "unknown escape sequence")),
                });
            }
            c => out.push(c),
        }
    }
    Err(Error::syntax(text, offset, "unterminated quoted string"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_from_large_to_small() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(duration_ms(text), expected, "{text}");
        check("5m", Some(300_000));
        check("1h30m", Some(5_400_000));
        check("1m0s", Some(60_000));
        check("100ms", Some(100));
        for bad in ["", "5", "m", "5x", "1m1h", "1s1s", "99999999999999999y"] {
            check(bad, None);
        }
    }

    #[test]
    fn numbers_durations_names_and_comments_are_told_apart() {
        let kinds: Vec<Kind> =
            tokens("a:b 1e-3 5m 0x1f .5 # c\n inf 'x\\n'").unwrap().into_iter().map(|t| t.kind).collect();
        let expected = [
            Kind::Word("a:b".to_owned()),
            Kind::Number(1e-3),
            Kind::Duration(300_000),
            Kind::Number(31.0),
            Kind::Number(0.5),
            Kind::Number(f64::INFINITY),
            Kind::Text("x\n".to_owned()),
            Kind::End,
        ];
        assert_eq!(kinds, expected);
    }
}
