//! Finds runs of digit groups in text: what phone and card numbers are made of.
//!
//! This module knows nothing of phones or cards; `phone` and `card` judge the groups.

use std::ops::Range;

use crate::token::TokenKind;
use crate::{card, phone};

/// Fewer digits than this are never personal data by themselves.
pub(crate) const DIGITS_MIN: usize = 7;
/// Bytes between two groups of one number at most, as in `) - `.
const SEPARATOR_BYTES_MAX: usize = 3;

/// Digit groups that only separators part.
#[derive(Debug)]
pub(crate) struct Span<'a> {
    pub bytes: &'a [u8],
    pub groups: &'a [Range<usize>],
}

impl<'a> Span<'a> {
    pub(crate) fn digits(&self, group: usize) -> &'a [u8] {
        &self.bytes[self.groups[group].clone()]
    }

    pub(crate) fn len(&self, group: usize) -> usize {
        self.groups[group].len()
    }

    /// What stands between a group and the next one; `None` after the last.
    pub(crate) fn separator(&self, group: usize) -> Option<&'a [u8]> {
        let next = self.groups.get(group + 1)?;
        Some(&self.bytes[self.groups[group].end..next.start])
    }

    pub(crate) fn before(&self, at: usize) -> Option<u8> {
        at.checked_sub(1).map(|index| self.bytes[index])
    }

    pub(crate) fn after(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }
}

/// A number found: its bytes and the group after it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub kind: TokenKind,
    pub range: Range<usize>,
    pub next_group: usize,
}

/// Which numbers to look for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NumberRules {
    pub phones: bool,
    pub cards: bool,
    /// The text as a whole is said to be a phone number, for instance by the name of its field.
    pub phone_expected: bool,
}

/// Calls `found` for every phone and card number, in order, without overlaps.
pub(crate) fn find(text: &str, rules: NumberRules, mut found: impl FnMut(TokenKind, Range<usize>)) {
    let bytes = text.as_bytes();
    if bytes.len() < DIGITS_MIN {
        return;
    }
    let mut groups = Vec::new();
    let mut at = 0;
    while let Some(start) = next_digit(bytes, at) {
        let (end, num_digits) = collect_span(bytes, start, &mut groups);
        at = end;
        if num_digits >= DIGITS_MIN {
            judge(&Span { bytes, groups: &groups }, rules, &mut found);
        }
    }
}

fn judge(span: &Span<'_>, rules: NumberRules, found: &mut impl FnMut(TokenKind, Range<usize>)) {
    let mut group = 0;
    while group < span.groups.len() {
        let phone_at = |group| if rules.phones { phone::at(span, group, rules.phone_expected) } else { None };
        let card = if rules.cards { card::at(span, group, |group| phone_at(group).is_some()) } else { None };
        match card.or_else(|| phone_at(group)) {
            Some(number) => {
                group = number.next_group;
                found(number.kind, number.range);
            }
            None => group += 1,
        }
    }
}

/// The position of the next digit at or after `at`.
fn next_digit(bytes: &[u8], mut at: usize) -> Option<usize> {
    // Eight bytes at a time: most text has long stretches without a digit.
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes were asked for"));
        if has_digit(word) {
            break;
        }
        at += 8;
    }
    bytes[at..].iter().position(u8::is_ascii_digit).map(|offset| at + offset)
}

/// Whether any byte may be `0`-`9`: exact for ASCII, true at times for other bytes.
fn has_digit(word: u64) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Per byte: at least '0' and at most '9', by carries into the high bit.
    let at_least_zero = (word & !HIGH) + LOW * (0x80 - 0x30);
    let above_nine = (word & !HIGH) + LOW * (0x80 - 0x3a);
    at_least_zero & !above_nine & !word & HIGH != 0
}

/// Collects the groups from the digit at `start`; returns the end of the last one and the number of digits.
fn collect_span(bytes: &[u8], start: usize, groups: &mut Vec<Range<usize>>) -> (usize, usize) {
    groups.clear();
    let mut num_digits = 0;
    let mut at = start;
    loop {
        let len = bytes[at..].iter().position(|b| !b.is_ascii_digit()).unwrap_or(bytes.len() - at);
        groups.push(at..at + len);
        num_digits += len;
        at += len;
        let gap = bytes[at..].iter().take(SEPARATOR_BYTES_MAX).take_while(|b| is_separator(**b)).count();
        if gap == 0 || !bytes.get(at + gap).is_some_and(u8::is_ascii_digit) {
            return (at, num_digits);
        }
        at += gap;
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'_' | b'/' | b'(' | b')' | b'+')
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every number in `text`, as `kind:text`.
    pub(crate) fn numbers(text: &str, phone_expected: bool) -> Vec<String> {
        let mut all = Vec::new();
        let rules = NumberRules { phones: true, cards: true, phone_expected };
        find(text, rules, |kind, range| all.push(format!("{}:{}", kind.name(), &text[range])));
        all
    }

    #[test]
    fn the_wide_digit_test_agrees_with_the_narrow_one() {
        for byte in 0..=255_u8 {
            for position in 0..8 {
                let mut bytes = [b'x'; 8];
                bytes[position] = byte;
                assert_eq!(has_digit(u64::from_le_bytes(bytes)), byte.is_ascii_digit(), "{byte}");
            }
        }
    }

    #[test]
    fn groups_hold_all_digits() {
        let mut groups = Vec::new();
        assert_eq!(collect_span(b"1 (415) 555-1234x", 0, &mut groups), (16, 11));
        assert_eq!(groups, [0..1, 3..6, 8..11, 12..16]);
    }
}
