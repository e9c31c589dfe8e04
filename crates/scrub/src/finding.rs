//! Finds and replaces personal data in plain text, behind escapes too.

use std::ops::Range;
use std::sync::Arc;

use memchr::memmem;

use crate::numbers::{self, NumberRules};
use crate::policy::Policy;
use crate::token::{TokenKind, TokenMaker};
use crate::view::{LEVELS_MAX, View};

/// Replacing may bring a further value to light, as in nested escapes; after this many rounds the text stays.
const ROUNDS_MAX: usize = 4;

/// A value of a named field of the same row, looked for in the row's other texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub value: String,
    pub kind: TokenKind,
    pub token: Arc<str>,
}

impl Known {
    /// Shorter values are replaced only where they are the whole of a JSON value: as a word they are anything.
    const WORD_CHARS_MIN: usize = 3;
    /// Short numbers are anything, too.
    const NUMBER_CHARS_MIN: usize = 5;

    fn is_distinct(&self) -> bool {
        let number = self.value.bytes().all(|b| b.is_ascii_digit());
        self.value.len() >= if number { Self::NUMBER_CHARS_MIN } else { Self::WORD_CHARS_MIN }
    }
}

/// What the surroundings of a text say about it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Surroundings<'a> {
    /// Values of named fields of the same row.
    pub known: &'a [&'a Known],
    /// The text is in a field for phone numbers.
    pub phone_expected: bool,
}

/// How many values became tokens, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindCounts([u64; TokenKind::ALL.len()]);

impl KindCounts {
    /// Values of one kind.
    #[must_use]
    pub fn of(&self, kind: TokenKind) -> u64 {
        self.0[kind.index()]
    }

    /// Values of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds the counts of another part.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }

    pub(crate) fn count(&mut self, kind: TokenKind, values: u64) {
        self.0[kind.index()] += values;
    }
}

/// A value found: where, and what takes its place.
#[derive(Debug)]
struct Finding {
    range: Range<usize>,
    kind: TokenKind,
    token: Arc<str>,
}

/// Finds and replaces by one policy and one set of keys.
#[derive(Debug)]
pub(crate) struct Finder {
    pub policy: Policy,
    pub tokens: TokenMaker,
}

impl Finder {
    /// The text with every value replaced; `None` when there is none.
    pub(crate) fn replace(&self, text: &str, around: Surroundings<'_>, counts: &mut KindCounts) -> Option<String> {
        let mut current: Option<String> = None;
        for _ in 0..ROUNDS_MAX {
            let now = current.as_deref().unwrap_or(text);
            let Some(next) = self.replace_once(now, around, counts) else { break };
            current = Some(next);
        }
        current
    }

    /// Where the values of a plain text are, in order.
    pub(crate) fn ranges(&self, text: &str) -> Vec<Range<usize>> {
        self.find_at_all_levels(text, Surroundings::default()).into_iter().map(|finding| finding.range).collect()
    }

    fn replace_once(&self, text: &str, around: Surroundings<'_>, counts: &mut KindCounts) -> Option<String> {
        let findings = self.find_at_all_levels(text, around);
        if findings.is_empty() {
            return None;
        }
        let mut replaced = String::with_capacity(text.len() + 24 * findings.len());
        let mut done = 0;
        for finding in &findings {
            replaced.push_str(&text[done..finding.range.start]);
            replaced.push_str(&finding.token);
            counts.count(finding.kind, 1);
            done = finding.range.end;
        }
        replaced.push_str(&text[done..]);
        Some(replaced)
    }

    /// Every value in the text as it stands and behind its escapes, in order. Where values overlap, the reading with
    /// more escapes resolved wins: it is the one people see.
    fn find_at_all_levels(&self, text: &str, around: Surroundings<'_>) -> Vec<Finding> {
        let mut views: Vec<View> = Vec::new();
        while views.len() < LEVELS_MAX {
            let Some(view) = View::of(views.last().map_or(text, |view| &view.text)) else { break };
            views.push(view);
        }
        let mut all = Vec::new();
        for level in (0..views.len()).rev() {
            let below = &views[..=level];
            let origin = |range: Range<usize>| below.iter().rev().fold(range, |range, view| view.original(&range));
            merge(&mut all, self.find(&views[level].text, around), origin);
        }
        merge(&mut all, self.find(text, around), |range| range);
        all
    }

    /// Every value in the text as it stands.
    fn find(&self, text: &str, around: Surroundings<'_>) -> Vec<Finding> {
        let mut all = Vec::new();
        if self.policy.emails {
            let mut addresses = Vec::new();
            self.policy.email_rules.find(text, &mut addresses);
            all.extend(addresses.into_iter().map(|range| self.finding(text, TokenKind::Email, range)));
        }
        let known = around.known.iter().filter(|known| known.is_distinct());
        let words = known.flat_map(|known| {
            let finding = |range| Finding { range, kind: known.kind, token: known.token.clone() };
            occurrences(text, &known.value).map(finding)
        });
        merge(&mut all, words.collect(), |range| range);
        let rules =
            NumberRules { phones: self.policy.phones, cards: self.policy.cards, phone_expected: around.phone_expected };
        let mut found = Vec::new();
        numbers::find(text, rules, |kind, range| found.push((kind, range)));
        let found = found.into_iter().map(|(kind, range)| self.finding(text, kind, range)).collect();
        merge(&mut all, found, |range| range);
        all
    }

    fn finding(&self, text: &str, kind: TokenKind, range: Range<usize>) -> Finding {
        let token = self.tokens.token(kind, &text[range.clone()]);
        Finding { range, kind, token }
    }
}

/// Adds findings that overlap none of those accepted before; `accepted` stays in order.
fn merge(accepted: &mut Vec<Finding>, found: Vec<Finding>, origin: impl Fn(Range<usize>) -> Range<usize>) {
    for mut finding in found {
        finding.range = origin(finding.range);
        let at = accepted.partition_point(|earlier| earlier.range.end <= finding.range.start);
        let free = accepted.get(at).is_none_or(|next| finding.range.end <= next.range.start);
        if free && !finding.range.is_empty() {
            accepted.insert(at, finding);
        }
    }
}

/// Where `word` stands as a word of its own.
fn occurrences<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let first_is_word = word.chars().next().is_some_and(is_word);
    let last_is_word = word.chars().next_back().is_some_and(is_word);
    memmem::find_iter(text.as_bytes(), word.as_bytes()).map(|at| at..at + word.len()).filter(move |range| {
        let joined_before = first_is_word && text[..range.start].chars().next_back().is_some_and(is_word);
        let joined_after = last_is_word && text[range.end..].chars().next().is_some_and(is_word);
        !joined_before && !joined_after
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::token::tests::maker;

    pub(crate) fn finder() -> Finder {
        Finder { policy: Policy::built_in(), tokens: maker() }
    }

    /// Tokens shortened to `<kind>`.
    pub(crate) fn short(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("tk1_") {
            let kind = rest[at + 4..].split('_').next().unwrap();
            out.push_str(&rest[..at]);
            out.push_str(&format!("<{kind}>"));
            rest = &rest[at + 4 + kind.len() + 27..];
        }
        out + rest
    }

    fn check(text: &str, expected: &str) {
        let mut counts = KindCounts::default();
        let replaced = finder().replace(text, Surroundings::default(), &mut counts);
        assert_eq!(replaced.is_some(), counts.total() > 0);
        assert_eq!(short(replaced.as_deref().unwrap_or(text)), expected, "{text}");
    }

    #[test]
    fn replaces_values_as_they_stand_and_behind_escapes() {
        check("mail a@b.com, call +14155551234, pay 4111 1111 1111 1111", "mail <email>, call <phone>, pay <card>");
        check("GET /x?u=alice%40contoso.com&p=%2B14155551234", "GET /x?u=<email>&p=<phone>");
        check("q=%22alice%40contoso.com%22", "q=%22<email>%22");
        check("alice%2540contoso.com", "<email>");
        check(r"{x: alice\u0040contoso.com", "{x: <email>");
        check("<a>alice&#64;contoso.com</a>", "<a><email></a>");
        check("\"bob@x.com\"", "\"<email>\"");
        check("4111%201111%201111%201111", "<card>");
        check("alice\u{ff20}contoso.com", "<email>");
        check("nothing here 10.0.0.1", "nothing here 10.0.0.1");
    }

    #[test]
    fn an_escaped_value_has_the_token_of_the_plain_one() {
        let finder = finder();
        let replace = |text: &str| finder.replace(text, Surroundings::default(), &mut KindCounts::default()).unwrap();
        assert_eq!(replace("Alice%40Contoso.com"), replace("alice@contoso.com"));
    }

    #[test]
    fn known_values_are_replaced_as_words_only() {
        let finder = finder();
        let known = Known { value: "Al O'Neil".into(), kind: TokenKind::Name, token: "T".into() };
        let around = Surroundings { known: &[&known], ..Surroundings::default() };
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(finder.replace(text, around, &mut KindCounts::default()).as_deref(), expected, "{text}");
        };
        check("user Al O'Neil signed in", Some("user T signed in"));
        check("<n>Al O&apos;Neil</n>", Some("<n>T</n>"));
        check("Al%20O%27Neil", Some("T"));
        check("Sal O'Neil, Al O'Neills", None);
    }
}
