//! Recognises telephone numbers among digit groups.
//!
//! Digits alone are no evidence: process ids, sizes and serial numbers have as many. A number counts as a phone number
//! when it is written as one (`+` and a country code, North American punctuation, a national prefix in parentheses or
//! before a separator), or when a word before it says so (`phone: 5551234`).
//!
//! # Source
//! ITU-T E.164 for lengths and country codes, E.123 for national notation; the groupings accepted without a country
//! code are ours, chosen so that times, addresses, versions and identifiers never match.

use std::ops::Range;

use crate::numbers::{DIGITS_MIN, Number, Span};
use crate::token::TokenKind;

/// E.164: digits of an international number at most.
const DIGITS_MAX: usize = 15;
/// Digits of an international number at least; shorter ones exist on a few islands.
const INTERNATIONAL_DIGITS_MIN: usize = 8;
/// From here on a blank ends an international number: what follows is the next word.
const DIGITS_COMPLETE: usize = 12;
/// Bytes between a word such as `phone` and its number at most.
const KEYWORD_GAP_MAX: usize = 8;
/// Bytes of the word itself at most.
const KEYWORD_BYTES_MAX: usize = 32;

/// The phone number that begins with `group`.
pub(crate) fn at(span: &Span<'_>, group: usize, expected: bool) -> Option<Number> {
    if span.before(span.groups[group].start) == Some(b'+') {
        return international(span, group);
    }
    north_american(span, group)
        .or_else(|| national(span, group))
        .or_else(|| (expected || keyword_before(span, group)).then(|| announced(span, group)).flatten())
        .or_else(|| double_zero(span, group))
}

fn number(span: &Span<'_>, start: usize, last_group: usize) -> Number {
    let range = start..span.groups[last_group].end;
    Number { kind: TokenKind::Phone, range, next_group: last_group + 1 }
}

/// `+49 30 1234567`, `+1 (415) 555-1234`, `(+44) 20 7946 0958`.
fn international(span: &Span<'_>, group: usize) -> Option<Number> {
    let plus = span.groups[group].start - 1;
    let boundary = match span.before(plus) {
        Some(b) if b.is_ascii_alphanumeric() => after_escape(span, plus),
        Some(b'/' | b'+') => false,
        _ => true,
    };
    let (last, digits) = gather(span, group);
    let north_american = digits.first() == Some(&b'1');
    let plausible = if north_american { is_north_american(&digits[1..]) } else { is_country_code(&digits) };
    let single = last == group;
    let two_decimals = last == group + 1 && span.separator(group) == Some(b".");
    let long_enough = digits.len() >= INTERNATIONAL_DIGITS_MIN;
    let ok = boundary && plausible && long_enough && !two_decimals && !(single && is_date(&digits));
    (ok && ends_well(span, span.groups[last].end)).then(|| number(span, plus, last))
}

/// Takes groups as long as they can belong to one international number.
fn gather(span: &Span<'_>, group: usize) -> (usize, Vec<u8>) {
    let mut digits = span.digits(group).to_vec();
    let first_len = digits.len();
    let mut last = group;
    while let Some(separator) = span.separator(last) {
        let complete = match digits.first() {
            Some(b'1') => digits.len() >= 11,
            _ => separator == b" " && (digits.len() >= DIGITS_COMPLETE || (last == group && first_len >= 10)),
        };
        let too_long = digits.len() + span.len(last + 1) > DIGITS_MAX;
        if complete || too_long || !joins_phone_groups(separator) || begins_anew(separator, last > group) {
            break;
        }
        last += 1;
        digits.extend_from_slice(span.digits(last));
    }
    (last, digits)
}

fn joins_phone_groups(separator: &[u8]) -> bool {
    matches!(
        separator,
        b" " | b"-" | b"." | b"/" | b"(" | b")" | b" (" | b") " | b")-" | b")/" | b"-(" | b" - " | b" / "
    )
}

/// Whether a parenthesis opens another number: in one number it stands around the area code, which is second at most.
fn begins_anew(separator: &[u8], behind_second: bool) -> bool {
    behind_second && separator.ends_with(b"(")
}

/// `415-555-1234`, `415.555.1234`, `1-415-555-1234`, `(415) 555-1234`.
fn north_american(span: &Span<'_>, group: usize) -> Option<Number> {
    let with_one = span.len(group) == 1 && span.digits(group) == b"1";
    let area = if with_one { group + 1 } else { group };
    let lens = |index: usize| span.groups.get(index).map(ExactSizeIterator::len);
    if lens(area)? != 3 || lens(area + 1)? != 3 || lens(area + 2)? != 4 {
        return None;
    }
    let digits: Vec<u8> = (area..area + 3).flat_map(|index| span.digits(index)).copied().collect();
    if !is_north_american(&digits) {
        return None;
    }
    let (first, second) = (span.separator(area)?, span.separator(area + 1)?);
    let area_start = span.groups[area].start;
    let in_parentheses = span.before(area_start) == Some(b'(') && matches!(first, b") " | b")" | b")-");
    let punctuated = first == second && matches!(first, b"-" | b".");
    let start = match (with_one, in_parentheses) {
        (true, _) => span.groups[group].start,
        (false, true) => area_start - 1,
        (false, false) => area_start,
    };
    let ok = (punctuated || (in_parentheses && matches!(second, b"-" | b"." | b" ")))
        && begins_well(span, start)
        && ends_well(span, span.groups[area + 2].end);
    ok.then(|| number(span, start, area + 2))
}

/// `(030) 1234567`, `030/1234567`, `0171-1234567`, `020 7946 0958`, `01 23 45 67 89`.
fn national(span: &Span<'_>, group: usize) -> Option<Number> {
    let prefix = span.digits(group);
    if prefix[0] != b'0' || !(2..=5).contains(&prefix.len()) || prefix[1] == b'0' {
        return None;
    }
    let start = span.groups[group].start;
    let separator = span.separator(group)?;
    let lens: Vec<usize> = span.groups[group..].iter().take(6).map(ExactSizeIterator::len).collect();
    let uniform = |count: usize| (group..group + count - 1).all(|index| span.separator(index) == Some(separator));
    let parentheses = span.before(start) == Some(b'(') && matches!(separator, b") " | b")" | b")-" | b")/");
    let last = match lens[..] {
        [_, 5..=8, ..] if parentheses => group + 1,
        [_, 2..=4, 2..=5, ..] if parentheses => group + 2,
        [2..=5, 5..=8, ..] if matches!(separator, b"-" | b"/" | b" / " | b" - ") => group + 1,
        [5, 6] | [2 | 4, 7] if separator == b" " => group + 1,
        [3, 4, 4, ..] | [4, 3, 4, ..] if matches!(separator, b" " | b"-") && uniform(3) => group + 2,
        [2, 2, 2, 2, 2, ..] if matches!(separator, b" " | b"." | b"-") && uniform(5) => group + 4,
        _ => return None,
    };
    let num_digits: usize = (group..=last).map(|index| span.len(index)).sum();
    let start = if parentheses { start - 1 } else { start };
    let end = span.groups[last].end;
    // Groups parted like those around them are a list of numbers, not one of them.
    let of_list = span.separator(last) == Some(separator) || (separator == b" " && digit_and_blank_before(span, start));
    let ok = (9..=12).contains(&num_digits)
        && !of_list
        && begins_well(span, start)
        && ends_well(span, end)
        && !hex_follows(span, end);
    ok.then(|| number(span, start, last))
}

/// `0049 30 1234567`: the international prefix and at least two groups.
fn double_zero(span: &Span<'_>, group: usize) -> Option<Number> {
    let first = span.digits(group);
    if !first.starts_with(b"00") || first.len() > 6 {
        return None;
    }
    let (last, digits) = gather(span, group);
    let ok = last > group
        && digits.len() > 2 + INTERNATIONAL_DIGITS_MIN
        && is_country_code(&digits[2..])
        && begins_well(span, span.groups[group].start)
        && ends_well(span, span.groups[last].end);
    ok.then(|| number(span, span.groups[group].start, last))
}

/// A number that a word before it, or the name of its field, calls a phone number.
fn announced(span: &Span<'_>, group: usize) -> Option<Number> {
    let (mut last, mut num_digits) = (group, span.len(group));
    while let Some(separator) = span.separator(last) {
        let next_len = span.len(last + 1);
        let complete = separator == b" " && num_digits >= 10;
        let too_long = num_digits + next_len > DIGITS_MAX;
        if complete || too_long || !joins_phone_groups(separator) || begins_anew(separator, last > group) {
            break;
        }
        last += 1;
        num_digits += next_len;
    }
    let is_ipv4 = last == group + 3 && (group..last).all(|index| span.separator(index) == Some(b"."));
    let start = span.groups[group].start;
    let start = if span.before(start) == Some(b'(') { start - 1 } else { start };
    let whole_word = !span.after(span.groups[last].end).is_some_and(|b| b.is_ascii_alphanumeric());
    ((DIGITS_MIN..=DIGITS_MAX).contains(&num_digits) && !is_ipv4 && whole_word).then(|| number(span, start, last))
}

/// Whether a word such as `phone`, `mobileNumber:` or `<Tel>` stands right before the group.
fn keyword_before(span: &Span<'_>, group: usize) -> bool {
    let start = span.groups[group].start;
    let head = &span.bytes[start.saturating_sub(KEYWORD_GAP_MAX + KEYWORD_BYTES_MAX)..start];
    let gap = head.iter().rev().take_while(|b| !b.is_ascii_alphanumeric()).take(KEYWORD_GAP_MAX + 1).count();
    if gap == 0 || gap > KEYWORD_GAP_MAX {
        return false;
    }
    let gap_ok = head[head.len() - gap..].iter().all(|b| b" \t:=\"'>(.#\\[-_+".contains(b));
    let words = &head[..head.len() - gap];
    gap_ok && is_phone_name(&String::from_utf8_lossy(tail_words(words)))
}

/// The last word, or the last two when the last only says `number`.
fn tail_words(text: &[u8]) -> &[u8] {
    let word_len = |text: &[u8]| text.iter().rev().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    let len = word_len(text);
    let word = &text[text.len() - len..];
    if !(word.eq_ignore_ascii_case(b"number") || word.eq_ignore_ascii_case(b"no") || word.eq_ignore_ascii_case(b"nr")) {
        return word;
    }
    let rest = &text[..text.len() - len];
    let blanks = rest.iter().rev().take_while(|b| **b == b' ').count();
    let before = &rest[..rest.len() - blanks];
    &before[before.len() - word_len(before)..]
}

/// Whether a field of this name holds a phone number.
pub(crate) fn is_phone_name(name: &str) -> bool {
    const ANYWHERE: [&str; 5] = ["phone", "msisdn", "telefon", "telefonnummer", "rufnummer"];
    const WHOLE: [&str; 7] = ["tel", "mobile", "cell", "fax", "sms", "whatsapp", "handy"];
    const NOT_PHONES: [&str; 3] = ["iphone", "microphone", "headphone"];
    const SUFFIXES: [&str; 8] = ["numbers", "s", "number", "num", "no", "nr", "_s", "_"];
    let lower = name.to_ascii_lowercase();
    let mut word = lower.as_str();
    while let Some(shorter) = SUFFIXES.iter().find_map(|suffix| word.strip_suffix(suffix)) {
        word = shorter;
    }
    let last_part = word.rsplit('_').next().unwrap_or(word);
    // `userMobile`: the word begins with the capital letter.
    let camel = |known: &str| {
        word.ends_with(known) && name.as_bytes().get(word.len() - known.len()).is_some_and(u8::is_ascii_uppercase)
    };
    let anywhere = ANYWHERE.iter().any(|known| word.ends_with(known)) && !NOT_PHONES.contains(&last_part);
    anywhere || WHOLE.iter().any(|known| last_part == *known || camel(known))
}

/// Whether nothing before `at` makes the number a part of something longer.
fn begins_well(span: &Span<'_>, at: usize) -> bool {
    match span.before(at) {
        None => true,
        Some(b'-' | b'.' | b'/' | b'\\' | b'_' | b'+' | b'%' | b'#' | b'$' | b'@') => false,
        // `12:0301-1234567` is a time, `tel:0301-1234567` is not.
        Some(b':') => !at.checked_sub(2).is_some_and(|before| span.bytes[before].is_ascii_digit()),
        Some(b) => !b.is_ascii_alphanumeric() || after_escape(span, at),
    }
}

fn digit_and_blank_before(span: &Span<'_>, at: usize) -> bool {
    span.before(at) == Some(b' ') && span.before(at - 1).is_some_and(|b| b.is_ascii_digit())
}

/// Whether nothing after `at` makes the number a part of something longer.
fn ends_well(span: &Span<'_>, at: usize) -> bool {
    match span.after(at) {
        Some(b'-' | b'.' | b'/' | b':' | b',' | b'+') => !span.after(at + 1).is_some_and(|b| b.is_ascii_digit()),
        Some(b) => !b.is_ascii_alphanumeric() && b != b'_',
        None => true,
    }
}

/// `\n+49...`: the letter before belongs to an escape of embedded JSON.
fn after_escape(span: &Span<'_>, at: usize) -> bool {
    at >= 2 && span.bytes[at - 2] == b'\\' && matches!(span.bytes[at - 1], b'n' | b'r' | b't')
}

/// A hexadecimal pair goes on after a blank: bytes in a dump.
fn hex_follows(span: &Span<'_>, at: usize) -> bool {
    let tail = span.bytes.get(at..at + 3).unwrap_or_default();
    tail.len() == 3 && matches!(tail[0], b' ' | b'-') && tail[1..].iter().all(u8::is_ascii_hexdigit)
}

fn is_north_american(digits: &[u8]) -> bool {
    digits.len() == 10 && digits[0] >= b'2' && digits[3] >= b'2'
}

/// `20260102`: eight digits that are a day.
fn is_date(digits: &[u8]) -> bool {
    let number = |range: Range<usize>| digits[range].iter().fold(0_u32, |value, d| value * 10 + u32::from(d - b'0'));
    digits.len() == 8
        && (1900..2100).contains(&number(0..4))
        && (1..=12).contains(&number(4..6))
        && (1..=31).contains(&number(6..8))
}

/// Whether a number begins with a country code that E.164 assigns.
fn is_country_code(digits: &[u8]) -> bool {
    matches!(
        digits,
        [b'1' | b'7', ..]
            | [b'2', b'0' | b'7', ..]
            | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
            | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
            | [b'5', b'1'..=b'8', ..]
            | [b'6', b'0'..=b'6', ..]
            | [b'8', b'1' | b'2' | b'4' | b'6', ..]
            | [b'9', b'0'..=b'5' | b'8', ..]
            | [b'2', b'1'..=b'6' | b'9', _, ..]
            | [b'3', b'5' | b'7' | b'8', _, ..]
            | [b'4', b'2', _, ..]
            | [b'5', b'0' | b'9', _, ..]
            | [b'6', b'7'..=b'9', _, ..]
            | [b'8', b'0' | b'5' | b'7' | b'8', _, ..]
            | [b'9', b'6' | b'7' | b'9', _, ..]
    )
}

#[cfg(test)]
mod tests {
    use super::is_phone_name;
    use crate::numbers::tests::numbers;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(numbers(text, false), expected.iter().map(|n| format!("phone:{n}")).collect::<Vec<_>>(), "{text}");
    }

    #[test]
    fn a_parenthesis_behind_a_number_begins_the_next_one() {
        check("+49 171 0000000 (200) 200-0000", &["+49 171 0000000", "(200) 200-0000"]);
        check("+49 30 1234567 (415) 555-1234", &["+49 30 1234567", "(415) 555-1234"]);
        check("phone: 415-555-1234 (415) 555-1235", &["415-555-1234", "(415) 555-1235"]);
    }

    #[test]
    fn finds_numbers_written_as_phone_numbers() {
        for phone in [
            "+14155551234",
            "+1 415 555 1234",
            "+1 (415) 555-1234",
            "+49 30 1234567",
            "+49 176 12 34 56 78",
            "+44 20 7946 0958",
            "+33 1 23 45 67 89",
            "+81-3-1234-5678",
            "415-555-1234",
            "415.555.1234",
            "1-415-555-1234",
            "(415) 555-1234",
            "(415)555-1234",
            "(030) 1234567",
            "030/1234567",
            "0171-1234567",
            "020 7946 0958",
            "01 23 45 67 89",
            "0049 30 1234567",
        ] {
            check(phone, &[phone]);
            check(&format!("call {phone}, please"), &[phone]);
            check(&format!("<{phone}>"), &[phone]);
            check(&format!("\"x\":\"{phone}\""), &[phone]);
            check(&format!("line\\n{phone}"), &[phone]);
        }
        check("+14155551234 200 532", &["+14155551234"]);
        check("tel:+4930123456;ext=5", &["+4930123456"]);
    }

    #[test]
    fn finds_plain_digits_where_a_word_announces_them() {
        check("phone=4155551234", &["4155551234"]);
        check("Phone number: 555 1234", &["555 1234"]);
        check("\"mobilePhone\": \"01711234567\"", &["01711234567"]);
        check("<Data Name=\"TelephoneNumber\">5551234</Data>", &["5551234"]);
        check("msisdn:491711234567 imsi:262011234567890", &["491711234567"]);
        assert_eq!(numbers("4155551234", true), ["phone:4155551234"]);
        for name in ["phone_s", "PhoneNumber", "userMobile", "work_tel", "fax", "Mobile", "telefonnummer"] {
            assert!(is_phone_name(name), "{name}");
        }
        for name in ["hotel", "iphone", "excel", "automobile", "hotels", "cancel", "Caller", "ProcessId", "microphone"]
        {
            assert!(!is_phone_name(name), "{name}");
        }
    }

    #[test]
    fn leaves_everything_else_that_has_digits() {
        for text in [
            "4155551234",
            "2026-01-02 03:04:05.123456+02:00",
            "2026-01-02T03:04:05.1234567Z",
            "192.168.100.200",
            "10.0.19041.1234",
            "1.3.6.1.4.1.311.21.8.7587021.751874.11030412",
            "S-1-5-21-3623811015-3361044348-30300820-1013",
            "6f1c0f3e-2a53-4d1b-9a55-0f6f2f9b7d11",
            "12345678-1234-1234-1234-123456789012",
            "UTC+02:00",
            "+0200",
            "Gecko/20100101+Firefox/68.0",
            "rv:+20100101",
            "ntdll.dll+1234567890",
            "+52.5200066",
            "01 23 45 67 89 ab cd ef",
            "01 23 45 67 89 01 23 45",
            "00:11:22:33:44:55",
            "01-23-45-67-89-01",
            "pid 123456789",
            "0x0000000012345678",
            "size=1234567 offset=12345678901",
            "200 532 1234567",
            "415 555 1234",
            "a/b+12345678901",
            "Process ID: 1234567",
            "2026.01.02-03.04.05",
            "KB5034441 26100.1742.240906-0331",
            "0000000001234567",
            "/var/log/030/1234567",
            "v030-1234567",
            "1e+12345678",
            "@@ -12345,7 +12345678,9 @@",
        ] {
            check(text, &[]);
        }
    }
}
