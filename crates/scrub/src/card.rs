//! Recognises payment card numbers among digit groups.
//!
//! # Source
//! ISO/IEC 7812-1 for the check digit (Luhn) and the meaning of the leading digits; the lengths per network are those
//! the networks publish.

use crate::numbers::{Number, Span};
use crate::token::TokenKind;

const CARD_DIGITS_MIN: usize = 13;
const CARD_DIGITS_MAX: usize = 19;

/// The card number that begins with `group`.
///
/// Groups of digits can read as two cards, of 16 and of 19 digits. The longer one is right, so that a last group of three
/// is not left behind, unless `is_number_at` says that this group begins a number of its own.
pub(crate) fn at(span: &Span<'_>, group: usize, is_number_at: impl Fn(usize) -> bool) -> Option<Number> {
    if !(b'2'..=b'6').contains(&span.digits(group)[0]) {
        return None;
    }
    if span.len(group) >= CARD_DIGITS_MIN {
        return of_groups(span, group, 1);
    }
    let printed = [5, 4, 3].into_iter().filter(|count| is_printed_card(span, group, *count));
    let mut cards = printed.filter_map(|count| of_groups(span, group, count));
    let longest = cards.next()?;
    Some(cards.next().filter(|shorter| is_number_at(shorter.next_group)).unwrap_or(longest))
}

fn of_groups(span: &Span<'_>, group: usize, num_groups: usize) -> Option<Number> {
    let last = group + num_groups - 1;
    let range = span.groups[group].start..span.groups[last].end;
    let digits: Vec<u8> = (group..=last).flat_map(|index| span.digits(index)).map(|digit| digit - b'0').collect();
    let is_card = (CARD_DIGITS_MIN..=CARD_DIGITS_MAX).contains(&digits.len())
        && is_issued(&digits)
        && luhn(&digits)
        && stands_alone(span, &range);
    is_card.then_some(Number { kind: TokenKind::Card, range, next_group: last + 1 })
}

/// Whether the groups are spaced as on a card: 4-4-4-4, 4-4-4-4-3, 4-6-5 or 4-6-4, with one separator throughout.
fn is_printed_card(span: &Span<'_>, group: usize, num_groups: usize) -> bool {
    let Some(groups) = span.groups.get(group..group + num_groups) else { return false };
    let mut lens = [0; 5];
    lens.iter_mut().zip(groups).for_each(|(len, group)| *len = group.len());
    let spaced = matches!(lens, [4, 4, 4, 4, 0..=3] | [4, 6, 4 | 5, 0, 0]);
    let first = span.separator(group);
    let allowed = first.is_some_and(|s| s.len() == 1 && matches!(s[0], b' ' | b'-' | b'.' | b'_' | b'+'));
    spaced && allowed && (group..group + num_groups - 1).all(|index| span.separator(index) == first)
}

/// Whether the digits are not a part of something longer: a decimal number, or a word of hexadecimal digits.
fn stands_alone(span: &Span<'_>, range: &std::ops::Range<usize>) -> bool {
    let digit_at = |at: Option<usize>| at.and_then(|at| span.bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let decimal_before = span.before(range.start) == Some(b'.') && digit_at(range.start.checked_sub(2));
    let decimal_after = span.after(range.end) == Some(b'.') && digit_at(Some(range.end + 1));
    let head = span.bytes[..range.start].iter().rev().take_while(|b| b.is_ascii_alphanumeric()).count();
    let tail = span.bytes[range.end..].iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    let word_head = &span.bytes[range.start - head..range.start];
    let word_tail = &span.bytes[range.end..range.end + tail];
    let mut letters = word_head.iter().chain(word_tail);
    let hexadecimal = word_head.starts_with(b"0x") || letters.clone().all(u8::is_ascii_hexdigit);
    let in_hex_word = letters.next().is_some() && hexadecimal;
    !decimal_before && !decimal_after && !in_hex_word
}

/// Whether a network issues numbers of this beginning and length.
fn is_issued(digits: &[u8]) -> bool {
    let leading = |count: usize| digits[..count].iter().fold(0_u32, |value, digit| value * 10 + u32::from(*digit));
    let len = digits.len();
    match leading(4) {
        4000..=4999 => matches!(len, 13 | 16 | 19),
        2221..=2720 | 5100..=5599 => len == 16,
        3400..=3499 | 3700..=3799 => len == 15,
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => (14..=16).contains(&len),
        3528..=3589 | 6011 | 6200..=6299 | 6440..=6599 => len >= 16,
        5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763 => true,
        _ => false,
    }
}

/// ISO/IEC 7812-1 annex B: the weighted digit sum is a multiple of ten.
fn luhn(digits: &[u8]) -> bool {
    let weigh = |(index, digit): (usize, &u8)| match (index % 2, *digit) {
        (0, digit) => u32::from(digit),
        (_, digit) => u32::from(digit) * 2 - if digit > 4 { 9 } else { 0 },
    };
    digits.iter().rev().enumerate().map(weigh).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use crate::numbers::tests::numbers;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(numbers(text, false), expected.iter().map(|n| format!("card:{n}")).collect::<Vec<_>>(), "{text}");
    }

    #[test]
    fn finds_cards_of_every_network_in_every_print() {
        // The networks' published test numbers.
        for card in [
            "4111111111111111",
            "4222222222222",
            "4111 1111 1111 1111",
            "5555-5555-5555-4444",
            "2223003122003222",
            "3782 822463 10005",
            "378282246310005",
            "30569309025904",
            "6011111111111117",
            "3530111333300000",
            "6200000000000005",
            "4111+1111+1111+1111",
        ] {
            check(card, &[card]);
            check(&format!("paid with {card}, thanks"), &[card]);
            check(&format!("{{\"pan\":\"{card}\"}}"), &[card]);
        }
        check("200 4111 1111 1111 1111 5 37", &["4111 1111 1111 1111"]);
        check("order4111111111111111", &["4111111111111111"]);
        check("4111111111111111.", &["4111111111111111"]);
    }

    #[test]
    fn a_group_that_begins_a_phone_number_is_no_part_of_the_card_before() {
        // The first 19 digits pass the check digit too; so do the first 16.
        let text = "4032 4222 9856 4279 619-200-0000";
        assert_eq!(numbers(text, false), ["card:4032 4222 9856 4279", "phone:619-200-0000"]);
        check("4032 4222 9856 4279 619", &["4032 4222 9856 4279 619"]);
    }

    #[test]
    fn leaves_numbers_that_only_look_long() {
        for text in [
            "4111111111111112",
            "1700000000000000",
            "0.4111111111111111",
            "4111111111111111.25",
            "de4111111111111111ad",
            "0x4111111111111111",
            "132223104000000000",
            "S-1-5-21-3623811015-3361044348-30300820-1013",
            "9999999999999995",
        ] {
            check(text, &[]);
        }
    }
}
