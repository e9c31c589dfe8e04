//! All tests of one column at once: each distinct value is read a few times, whatever the number of tests.
//!
//! Literals anywhere in a value are found by one automaton, whole values by a hash table, beginnings and ends by
//! tries. What needs a closer look (wildcards, regular expressions, case) is verified only where its literal occurs.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, packed};
use foldhash::fast::FixedState;
use regex::Regex;

use super::cells::Cell;
use super::keywords::KeywordFilter;
use super::literals;
use crate::ir::{Comparison, Matcher, Network, Number, TimePart};
use crate::pattern::{self, Pattern, Shape};
use crate::sigma::compile_regex;

/// Bytes of literals in one column up to which the fast form of the automaton is made: each byte costs about 300 there.
const DFA_BYTES_MAX: usize = 512 << 10;

/// Literals up to which a vectorised search says that none occurs.
const PACKED_LITERALS_MAX: usize = 64;

/// Number of a predicate within its table.
pub(crate) type PredicateId = u32;

/// The compiled tests of one column.
#[derive(Debug, Default)]
pub(crate) struct ValueTests {
    absent: Vec<PredicateId>,
    present: Vec<PredicateId>,
    equals: HashMap<String, Vec<Action>, FixedState>,
    prefixes: Trie,
    suffixes: Trie,
    contains: Option<AhoCorasick>,
    /// Says quickly that none of few literals occurs: several times the speed of the automaton.
    any_contained: Option<packed::Searcher>,
    /// Per pattern of `contains`.
    contains_actions: Vec<Vec<Action>>,
    verifiers: Vec<Verifier>,
    /// Verifiers without a literal: they look at every value.
    unconditional: Vec<u32>,
    /// Of tests that all look for literals: tells which rows need not be looked at.
    keywords: Option<KeywordFilter>,
}

/// What follows from a literal.
#[derive(Debug, Clone, Copy)]
enum Action {
    /// The predicate holds.
    Holds(PredicateId),
    /// The verifier must look.
    Verify(u32),
}

/// A test that looks at the whole value.
#[derive(Debug)]
struct Verifier {
    predicate: PredicateId,
    check: Check,
}

#[derive(Debug)]
enum Check {
    /// On the folded value.
    Folded(Pattern),
    /// On the value as it is.
    Cased(Pattern),
    Regex(Box<Regex>),
    Cidr(Network),
    Number(Comparison, Number),
    Time(TimePart, Comparison, Number),
}

/// Buffers that are used again for every value.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    folded: String,
    generation: u32,
    /// Generation in which a literal of `contains` was last seen.
    literal_seen: Vec<u32>,
    verifier_seen: Vec<u32>,
}

/// Collects tests; [`TestsBuilder::build`] makes the automata.
#[derive(Debug, Default)]
pub(crate) struct TestsBuilder {
    tests: ValueTests,
    contains: HashMap<String, usize>,
    literals: Vec<String>,
}

impl TestsBuilder {
    /// Adds a test that makes a predicate hold. `Matcher::Other` compares fields and is not a test of a value.
    pub fn add(&mut self, matcher: &Matcher, predicate: PredicateId) {
        match matcher {
            Matcher::Absent => self.tests.absent.push(predicate),
            Matcher::Present => self.tests.present.push(predicate),
            Matcher::Text { pattern, cased } => self.add_text(pattern, *cased, predicate),
            Matcher::Regex(source) => self.add_regex(source, predicate),
            Matcher::Cidr(network) => self.add_unconditional(Check::Cidr(*network), predicate),
            Matcher::Number(comparison, number) => {
                self.add_unconditional(Check::Number(*comparison, *number), predicate);
            }
            Matcher::Time(part, comparison, number) => {
                self.add_unconditional(Check::Time(*part, *comparison, *number), predicate);
            }
            Matcher::Other { .. } => debug_assert!(false, "field references are compared by row"),
        }
    }

    fn add_text(&mut self, pattern: &Pattern, cased: bool, predicate: PredicateId) {
        let folded = pattern.folded();
        let action = match (cased, folded.shape()) {
            (true, _) => self.verifier(Check::Cased(pattern.clone()), predicate),
            (false, Shape::Glob) => self.verifier(Check::Folded(folded.clone()), predicate),
            (false, _) => Action::Holds(predicate),
        };
        match folded.shape() {
            Shape::Empty => self.tests.absent.push(predicate),
            Shape::Anything => self.tests.present.push(predicate),
            Shape::Equals(text) => self.tests.equals.entry(text.to_owned()).or_default().push(action),
            Shape::StartsWith(text) => self.tests.prefixes.insert(text.bytes(), action),
            Shape::EndsWith(text) => self.tests.suffixes.insert(text.bytes().rev(), action),
            Shape::Contains(text) => self.add_contained(text, action),
            Shape::Glob => match folded.longest_literal() {
                Some(literal) => self.add_contained(literal, action),
                None => self.run_always(action),
            },
        }
    }

    fn add_regex(&mut self, source: &str, predicate: PredicateId) {
        let regex = compile_regex(source).expect("the rule parser compiled it before");
        let action = self.verifier(Check::Regex(Box::new(regex)), predicate);
        match literals::required(source) {
            Some(literals) => literals.iter().for_each(|literal| self.add_contained(literal, action)),
            None => self.run_always(action),
        }
    }

    fn add_unconditional(&mut self, check: Check, predicate: PredicateId) {
        let action = self.verifier(check, predicate);
        self.run_always(action);
    }

    fn add_contained(&mut self, literal: &str, action: Action) {
        let index = *self.contains.entry(literal.to_owned()).or_insert_with(|| {
            self.literals.push(literal.to_owned());
            self.literals.len() - 1
        });
        if self.tests.contains_actions.len() <= index {
            self.tests.contains_actions.push(Vec::new());
        }
        self.tests.contains_actions[index].push(action);
    }

    fn verifier(&mut self, check: Check, predicate: PredicateId) -> Action {
        self.tests.verifiers.push(Verifier { predicate, check });
        Action::Verify(u32::try_from(self.tests.verifiers.len() - 1).expect("rules are bounded"))
    }

    fn run_always(&mut self, action: Action) {
        if let Action::Verify(index) = action {
            self.tests.unconditional.push(index);
        }
    }

    /// The compiled tests. `searched`: they look at whole texts, for which a filter is worth its memory.
    pub fn build(mut self, searched: bool) -> ValueTests {
        if searched && self.tests.look_for_literals_only() {
            self.tests.keywords = KeywordFilter::new(&self.literals);
        }
        if !self.literals.is_empty() {
            let num_bytes: usize = self.literals.iter().map(String::len).sum();
            let kind = (num_bytes <= DFA_BYTES_MAX).then_some(AhoCorasickKind::DFA);
            if self.literals.len() <= PACKED_LITERALS_MAX {
                let mut builder = packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder();
                self.tests.any_contained = builder.extend(&self.literals).build();
            }
            let automaton = AhoCorasick::builder().kind(kind).build(&self.literals);
            self.tests.contains = Some(automaton.expect("rules are bounded in size"));
        }
        self.tests
    }
}

impl ValueTests {
    /// Tells which rows need not be looked at, where all tests look for literals.
    pub fn keywords(&self) -> Option<&KeywordFilter> {
        self.keywords.as_ref()
    }

    fn look_for_literals_only(&self) -> bool {
        self.absent.is_empty()
            && self.present.is_empty()
            && self.equals.is_empty()
            && self.prefixes.is_empty()
            && self.suffixes.is_empty()
            && self.unconditional.is_empty()
    }

    /// Pushes every predicate that the cell meets, perhaps more than once. A cell with several values meets what any
    /// of them meets.
    pub fn run(&self, cell: &Cell<'_>, scratch: &mut Scratch, met: &mut Vec<PredicateId>) {
        match cell {
            Cell::Absent => met.extend_from_slice(&self.absent),
            Cell::One(value) => self.run_value(value, scratch, met),
            Cell::Many(values) => values.iter().for_each(|value| self.run_value(value, scratch, met)),
        }
    }

    fn run_value(&self, value: &str, scratch: &mut Scratch, met: &mut Vec<PredicateId>) {
        met.extend_from_slice(&self.present);
        scratch.begin(self);
        pattern::fold_into(value, &mut scratch.folded);
        let Scratch { folded, generation, literal_seen, verifier_seen } = scratch;
        let folded = folded.as_str();
        let mut act = |action: &Action| match *action {
            Action::Holds(predicate) => met.push(predicate),
            Action::Verify(index) => {
                let index = index as usize;
                if std::mem::replace(&mut verifier_seen[index], *generation) != *generation {
                    let verifier = &self.verifiers[index];
                    if verifier.check.holds(value, folded) {
                        met.push(verifier.predicate);
                    }
                }
            }
        };
        self.equals.get(folded).into_iter().flatten().for_each(&mut act);
        self.prefixes.walk(folded.bytes(), &mut act);
        self.suffixes.walk(folded.bytes().rev(), &mut act);
        let none_contained = self.any_contained.as_ref().is_some_and(|quick| quick.find(folded).is_none());
        if let Some(automaton) = self.contains.as_ref().filter(|_| !none_contained) {
            for found in automaton.find_overlapping_iter(folded) {
                let literal = found.pattern().as_usize();
                if std::mem::replace(&mut literal_seen[literal], *generation) != *generation {
                    self.contains_actions[literal].iter().for_each(&mut act);
                }
            }
        }
        for index in &self.unconditional {
            act(&Action::Verify(*index));
        }
    }
}

impl Scratch {
    /// Prepares the buffers for one value of a column.
    fn begin(&mut self, tests: &ValueTests) {
        if self.generation == u32::MAX {
            *self = Self::default();
        }
        self.generation += 1;
        // Grown, never cleared: an old generation means "not seen", whichever column left it.
        if self.literal_seen.len() < tests.contains_actions.len() {
            self.literal_seen.resize(tests.contains_actions.len(), 0);
        }
        if self.verifier_seen.len() < tests.verifiers.len() {
            self.verifier_seen.resize(tests.verifiers.len(), 0);
        }
    }
}

impl Check {
    fn holds(&self, value: &str, folded: &str) -> bool {
        match self {
            Self::Folded(pattern) => pattern.matches(folded),
            Self::Cased(pattern) => pattern.matches(value),
            Self::Regex(regex) => regex.is_match(value),
            Self::Cidr(network) => network.contains(value),
            Self::Number(comparison, number) => {
                value.trim().parse().is_ok_and(|value: f64| comparison.holds(value, number.0))
            }
            Self::Time(part, comparison, number) => {
                part.of(value).is_some_and(|value| comparison.holds(value, number.0))
            }
        }
    }
}

/// A trie over bytes that is walked from its root until nothing fits: most values leave it within a few bytes.
#[derive(Debug)]
struct Trie {
    nodes: Vec<TrieNode>,
}

#[derive(Debug, Default)]
struct TrieNode {
    edges: Vec<(u8, u32)>,
    actions: Vec<Action>,
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![TrieNode::default()] }
    }
}

impl Trie {
    fn is_empty(&self) -> bool {
        self.nodes.len() == 1 && self.nodes[0].actions.is_empty()
    }

    fn insert(&mut self, bytes: impl Iterator<Item = u8>, action: Action) {
        let mut at = 0;
        for byte in bytes {
            at = match self.nodes[at].edge(byte) {
                Some(next) => next,
                None => {
                    let next = self.nodes.len();
                    self.nodes.push(TrieNode::default());
                    self.nodes[at].edges.push((byte, u32::try_from(next).expect("rules are bounded")));
                    next
                }
            };
        }
        self.nodes[at].actions.push(action);
    }

    fn walk(&self, bytes: impl Iterator<Item = u8>, act: &mut impl FnMut(&Action)) {
        let mut node = &self.nodes[0];
        for byte in bytes {
            let Some(next) = node.edge(byte) else { return };
            node = &self.nodes[next];
            node.actions.iter().for_each(&mut *act);
        }
    }
}

impl TrieNode {
    fn edge(&self, byte: u8) -> Option<usize> {
        self.edges.iter().find(|(label, _)| *label == byte).map(|(_, next)| *next as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn met(matchers: &[Matcher], cell: &Cell<'_>) -> Vec<u32> {
        let mut builder = TestsBuilder::default();
        matchers.iter().zip(0..).for_each(|(matcher, id)| builder.add(matcher, id));
        let tests = builder.build(true);
        let (mut scratch, mut met) = (Scratch::default(), Vec::new());
        tests.run(cell, &mut scratch, &mut met);
        // A second run with used buffers finds the same.
        let first = met.clone();
        met.clear();
        tests.run(cell, &mut scratch, &mut met);
        assert_eq!(first, met);
        met.sort_unstable();
        met.dedup();
        met
    }

    fn text(pattern: &str) -> Matcher {
        Matcher::Text { pattern: Pattern::parse(pattern), cased: false }
    }

    #[test]
    fn every_shape_finds_its_values() {
        let matchers = [
            text("ABC.exe"),
            text("abc*"),
            text("*.EXE"),
            text("*c.e*"),
            text("a*exe"),
            text("?bc*"),
            text("x"),
            Matcher::Regex("^A.c".into()),
            Matcher::Regex("(?i)BC\\.E".into()),
            Matcher::Text { pattern: Pattern::parse("*Bc*"), cased: true },
            Matcher::Text { pattern: Pattern::parse("*bc*"), cased: true },
            Matcher::Present,
            Matcher::Absent,
        ];
        let one = |value| Cell::One(Cow::Borrowed(value));
        assert_eq!(met(&matchers, &one("ABc.exe")), [0, 1, 2, 3, 4, 5, 7, 8, 9, 11]);
        assert_eq!(met(&matchers, &Cell::Absent), [12]);
        assert_eq!(met(&matchers, &Cell::Many(vec!["x".into(), "y.exe".into()])), [2, 6, 11]);
    }

    #[test]
    fn numbers_addresses_and_times_are_parsed() {
        let matchers = [
            Matcher::Number(Comparison::Greater, Number(10.0)),
            Matcher::Cidr(Network::parse("10.0.0.0/8").unwrap()),
            Matcher::Time(TimePart::Hour, Comparison::Equal, Number(3.0)),
        ];
        let one = |value| Cell::One(Cow::Borrowed(value));
        assert_eq!(met(&matchers, &one("11")), [0]);
        assert_eq!(met(&matchers, &one("10")), [0; 0]);
        assert_eq!(met(&matchers, &one("10.9.8.7")), [1]);
        assert_eq!(met(&matchers, &one("2026-01-01T03:00:00Z")), [2]);
    }

    #[test]
    fn letters_outside_ascii_fold_on_both_sides() {
        assert_eq!(met(&[text("*ÄÖ*"), text("STRASSE*")], &Cell::One("xäöx".into())), [0]);
        assert_eq!(met(&[Matcher::Regex("(?i)passwords".into())], &Cell::One("paſſwordſ".into())), [0]);
    }
}
