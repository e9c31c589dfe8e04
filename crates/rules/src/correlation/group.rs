//! The events of one group of one correlation, in order of time, and whether a stretch of them meets the condition.
//!
//! Windows of one group overlap almost wholly, so counts are kept for one stretch of entries ([`Tally`]) and moved with
//! it: an event costs what it adds to a window and takes from it, not what the window holds.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use moneta_base::Seq;

use super::correlator::LeafMatch;
use super::{Correlation, Kind, Mode, Plan, RuleCondition};
use crate::ir::{Expression, Field};
use crate::pattern::fold;

/// Values by which events are grouped, folded: events that differ in case only are of one group.
pub(crate) type GroupKey = Arc<[String]>;

/// An event by its time in nanoseconds, its table and its sequence there.
pub(crate) type Place = (i64, Arc<str>, Seq);

/// An event, or the finding of a correlation below, as a correlation keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Event time, nanoseconds.
    pub time: i64,
    /// What is counted: the event, or the finding.
    pub identity: [u8; 16],
    /// The inputs it came by.
    pub inputs: u64,
    /// The event behind it.
    pub event: Arc<LeafMatch>,
    /// What it adds to the condition.
    pub measure: Measure,
}

/// What an entry adds to a condition.
#[derive(Debug, Clone)]
pub(crate) enum Measure {
    /// Itself.
    One,
    /// Which inputs it came by.
    Inputs,
    /// What is counted once: digests of values, of a combination of them, or of a finding.
    Distinct(Box<[[u8; 16]]>),
    /// Numbers, in the order in which the event has them.
    Numbers(Box<[f64]>),
}

impl Measure {
    /// What an event adds; `positions` are those of the condition's fields among the event's values.
    pub fn of(plan: &Plan, event: &LeafMatch, positions: &[usize], identity: [u8; 16]) -> Self {
        let texts = |field: &usize| event.texts(*field);
        match &plan.definition.kind {
            Kind::EventCount(_) if plan.counts_findings => Self::Distinct([identity].into()),
            Kind::EventCount(_) | Kind::Absence => Self::One,
            Kind::Temporal(_) | Kind::TemporalOrdered(_) => Self::Inputs,
            Kind::ValueCount { .. } | Kind::FirstSeen { .. } | Kind::ValueShare { .. } => match positions {
                [field] => Self::Distinct(texts(field).iter().map(|text| folded_digest([text])).collect()),
                // An event that lacks one of several fields has no combination of them.
                fields if fields.iter().any(|field| texts(field).is_empty()) => Self::Distinct([].into()),
                fields => {
                    let digests: Vec<[u8; 16]> = fields.iter().map(|field| folded_digest(texts(field))).collect();
                    Self::Distinct([digest(&digests.iter().map(<[u8; 16]>::as_slice).collect::<Vec<_>>())].into())
                }
            },
            Kind::ValueSum { .. } | Kind::ValueAvg { .. } | Kind::ValuePercentile { .. } => {
                let texts = positions.first().map_or(&[][..], texts);
                let numbers = texts.iter().filter_map(|text| text.trim().parse::<f64>().ok());
                Self::Numbers(numbers.filter(|number| number.is_finite()).collect())
            }
        }
    }
}

impl Entry {
    /// Orders entries independently of their arrival.
    fn key(&self) -> (i64, &str, u64, &[u8; 16]) {
        (self.time, &self.event.table, self.event.seq, &self.identity)
    }

    pub fn place(&self) -> Place {
        (self.time, Arc::clone(&self.event.table), self.event.seq)
    }

    fn distinct(&self) -> &[[u8; 16]] {
        match &self.measure {
            Measure::Distinct(keys) => keys,
            _ => &[],
        }
    }

    fn numbers(&self) -> &[f64] {
        match &self.measure {
            Measure::Numbers(numbers) => numbers,
            _ => &[],
        }
    }
}

/// Counts over a stretch of entries.
#[derive(Debug, Clone, Default)]
struct Tally {
    /// The stretch.
    range: Range<usize>,
    /// How often each thing to be counted once is there.
    distinct: HashMap<[u8; 16], u32>,
    /// How many entries came by each input.
    inputs: Vec<u32>,
}

impl Tally {
    fn add(&mut self, entry: &Entry) {
        entry.distinct().iter().for_each(|key| *self.distinct.entry(*key).or_default() += 1);
        if matches!(entry.measure, Measure::Inputs) {
            self.inputs.resize(64, 0);
            bits(entry.inputs).for_each(|input| self.inputs[input] += 1);
        }
    }

    fn remove(&mut self, entry: &Entry) {
        for key in entry.distinct() {
            if let Some(count) = self.distinct.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    self.distinct.remove(key);
                }
            }
        }
        if matches!(entry.measure, Measure::Inputs) {
            bits(entry.inputs).for_each(|input| self.inputs[input] -= 1);
        }
    }

    /// The inputs that some entry came by, as bits.
    fn met(&self) -> u64 {
        self.inputs.iter().zip(0..).filter(|(count, _)| **count > 0).fold(0, |met, (_, input)| met | 1 << input)
    }
}

/// The positions of the bits that are set.
pub(crate) fn bits(word: u64) -> impl Iterator<Item = usize> {
    (0..64).filter(move |bit| word >> bit & 1 == 1)
}

/// One group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    /// Ascending.
    entries: VecDeque<Entry>,
    /// Periods for which an alert was raised.
    pub fired: BTreeSet<i64>,
    /// By the identity of a finding among the entries: what it rests on.
    below: HashMap<[u8; 16], Below>,
    /// Events in `below`.
    num_below: usize,
    tally: Tally,
}

/// The events that a finding rests on.
#[derive(Debug, Clone, Default)]
struct Below {
    /// Entries of that identity: a finding comes with each window in which it holds.
    num_entries: usize,
    /// Ascending; of all its windows the earliest, so that they are the same for every order of arrival.
    events: BTreeSet<Place>,
}

/// What became of an entry.
pub(crate) enum Inserted {
    /// It is there, at this place.
    At(usize),
    /// All of it was there before.
    Known,
}

impl Group {
    /// The entries in order of time.
    pub fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    /// Event time of the newest entry.
    pub fn newest(&self) -> i64 {
        self.entries.back().map_or(i64::MIN, |entry| entry.time)
    }

    /// Events in it, those below its findings too.
    pub fn held(&self) -> usize {
        self.entries.len() + self.num_below
    }

    /// What a finding among the entries rests on; nothing for an event.
    pub fn below(&self, identity: &[u8; 16]) -> impl Iterator<Item = &Place> {
        self.below.get(identity).into_iter().flat_map(|below| &below.events)
    }

    /// Findings among the entries, by identity, with what they rest on.
    pub fn findings(&self) -> impl Iterator<Item = (&[u8; 16], &BTreeSet<Place>)> {
        self.below.iter().map(|(identity, below)| (identity, &below.events))
    }

    /// The earliest events of a stretch, where it has findings those below them, up to a number.
    pub fn earliest(&self, range: Range<usize>, max: usize) -> BTreeSet<Place> {
        let mut places = BTreeSet::new();
        let mut seen = HashSet::new();
        for entry in self.entries.range(range) {
            if self.below.is_empty() && places.len() >= max {
                break;
            }
            add_earliest(&mut places, [entry.place()], max);
            if seen.insert(entry.identity) {
                add_earliest(&mut places, self.below(&entry.identity).cloned(), max);
            }
        }
        places
    }

    /// Puts an entry where it belongs, with the events it rests on where it is a finding, of which it keeps a number. One
    /// that is there, seen through another rule, gains that rule.
    pub fn insert(&mut self, entry: Entry, below: BTreeSet<Place>, below_max: usize) -> Inserted {
        if !below.is_empty() {
            let known = self.below.entry(entry.identity).or_default();
            let is_new = self.entries.binary_search_by(|known| known.key().cmp(&entry.key())).is_err();
            known.num_entries += usize::from(is_new);
            let before = known.events.len();
            add_earliest(&mut known.events, below, below_max);
            self.num_below += known.events.len() - before;
        }
        self.insert_entry(entry)
    }

    fn insert_entry(&mut self, entry: Entry) -> Inserted {
        match self.entries.binary_search_by(|known| known.key().cmp(&entry.key())) {
            Ok(at) => {
                let known = &mut self.entries[at];
                if known.inputs | entry.inputs == known.inputs {
                    return Inserted::Known;
                }
                let is_counted = self.tally.range.contains(&at);
                if is_counted {
                    self.tally.remove(known);
                }
                known.inputs |= entry.inputs;
                // Whichever rule came first, the same one's values count.
                if entry.event.leaf < known.event.leaf {
                    known.event = entry.event;
                    known.measure = entry.measure;
                }
                if is_counted {
                    self.tally.add(known);
                }
                Inserted::At(at)
            }
            Err(at) => {
                let Range { start, end } = self.tally.range;
                if at <= start {
                    self.tally.range = start + 1..end + 1;
                } else if at < end {
                    self.tally.add(&entry);
                    self.tally.range = start..end + 1;
                }
                self.entries.insert(at, entry);
                Inserted::At(at)
            }
        }
    }

    /// Forgets entries before a time, and the periods that ended before it; how many entries.
    pub fn forget_before(&mut self, time: i64, span: i64) -> usize {
        let old = self.position(time);
        self.forget_first(old);
        self.fired.retain(|period| period.saturating_add(1).saturating_mul(span) > time);
        old
    }

    /// Forgets the oldest entries.
    pub fn forget_first(&mut self, number: usize) {
        let Range { start, end } = self.tally.range;
        if start < number {
            self.count(start.max(number)..end.max(number));
        }
        for entry in self.entries.drain(..number) {
            if let Some(below) = self.below.get_mut(&entry.identity) {
                below.num_entries -= 1;
                if below.num_entries == 0 {
                    self.num_below -= below.events.len();
                    self.below.remove(&entry.identity);
                }
            }
        }
        self.tally.range = self.tally.range.start - number..self.tally.range.end - number;
    }

    /// The place of the first entry that is not before a time.
    pub fn position(&self, time: i64) -> usize {
        self.entries.partition_point(|entry| entry.time < time)
    }

    /// The window that ends at an entry: where its first entry is.
    pub fn window_start(&self, at: usize, span: i64) -> usize {
        let begin = self.entries[at].time.saturating_sub(span);
        self.entries.partition_point(|entry| entry.time <= begin)
    }

    /// The entries of a time, where none follows them within a span; nothing otherwise.
    pub fn unfollowed(&self, time: i64, span: i64) -> Range<usize> {
        let from = self.position(time);
        let to = self.position(time.saturating_add(1));
        let is_followed = self.entries.get(to).is_some_and(|next| next.time < time.saturating_add(span));
        if is_followed { from..from } else { from..to }
    }

    /// The entries of a period.
    pub fn period(&self, period: i64, span: i64) -> Range<usize> {
        let (start, end) = (period.saturating_mul(span), period.saturating_add(1).saturating_mul(span));
        self.position(start)..self.position(end)
    }

    /// The counts over a stretch.
    fn count(&mut self, range: Range<usize>) -> &Tally {
        let (tally, entries) = (&mut self.tally, &self.entries);
        if range.start >= tally.range.end || range.end <= tally.range.start {
            *tally = Tally { range: range.start..range.start, ..Tally::default() };
        }
        while tally.range.start > range.start {
            tally.range.start -= 1;
            tally.add(&entries[tally.range.start]);
        }
        while tally.range.end < range.end {
            tally.add(&entries[tally.range.end]);
            tally.range.end += 1;
        }
        while tally.range.start < range.start {
            tally.remove(&entries[tally.range.start]);
            tally.range.start += 1;
        }
        while tally.range.end > range.end {
            tally.range.end -= 1;
            tally.remove(&entries[tally.range.end]);
        }
        tally
    }

    /// Whether a stretch meets the condition. None without entries does.
    pub fn holds(&mut self, plan: &Plan, range: Range<usize>) -> bool {
        if range.is_empty() {
            return false;
        }
        let definition = &plan.definition;
        match &definition.kind {
            Kind::EventCount(threshold)
            | Kind::ValueCount { threshold, .. }
            | Kind::ValueSum { threshold, .. }
            | Kind::ValueAvg { threshold, .. }
            | Kind::ValuePercentile { threshold, .. }
            | Kind::ValueShare { threshold, .. } => {
                self.number(plan, range).is_some_and(|number| threshold.holds(number))
            }
            Kind::Temporal(condition) => {
                let met = self.count(range).met();
                rules_hold(condition, &definition.rules, met)
            }
            Kind::TemporalOrdered(condition) => {
                // Rules met in their order are met at all: most windows need no closer look.
                let possible = low_bits(self.count(range.clone()).met().trailing_ones());
                let is_possible = plan.mode != Mode::Growing || rules_hold(condition, &definition.rules, possible);
                is_possible && rules_hold(condition, &definition.rules, self.met_in_order(definition, range))
            }
            Kind::FirstSeen { before, .. } => before.holds(as_real(range.len() - 1)) && self.ends_with_new(range),
            // The window is that of an event that nothing follows.
            Kind::Absence => true,
        }
    }

    /// The number that a condition compares, over a stretch; `None` where it compares none, or there is none.
    pub fn number(&mut self, plan: &Plan, range: Range<usize>) -> Option<f64> {
        match &plan.definition.kind {
            Kind::EventCount(_) if plan.counts_findings => Some(as_real(self.count(range).distinct.len())),
            Kind::EventCount(_) => Some(as_real(range.len())),
            Kind::ValueCount { .. } => Some(as_real(self.count(range).distinct.len())),
            Kind::ValueSum { .. } => self.numbers(range).map(|numbers| numbers.iter().sum()),
            Kind::ValueAvg { .. } => {
                self.numbers(range).map(|numbers| numbers.iter().sum::<f64>() / as_real(numbers.len()))
            }
            Kind::ValuePercentile { percent, .. } => self.numbers(range).map(|numbers| percentile(numbers, *percent)),
            Kind::ValueShare { threshold, .. } => {
                let counts = &self.count(range).distinct;
                let total: f64 = counts.values().map(|count| f64::from(*count)).sum();
                let shares = counts.values().map(|count| 100.0 * f64::from(*count) / total);
                shares.filter(|share| threshold.holds(*share)).max_by(f64::total_cmp)
            }
            Kind::FirstSeen { .. } | Kind::Temporal(_) | Kind::TemporalOrdered(_) | Kind::Absence => None,
        }
    }

    /// The numbers of a stretch, in the order of its entries; `None` without any.
    fn numbers(&self, range: Range<usize>) -> Option<Vec<f64>> {
        let numbers: Vec<f64> = self.entries.range(range).flat_map(Entry::numbers).copied().collect();
        (!numbers.is_empty()).then_some(numbers)
    }

    /// Whether the last entry of a stretch has a value that none before it has.
    fn ends_with_new(&mut self, range: Range<usize>) -> bool {
        let last = self.entries[range.end - 1].distinct().to_vec();
        let counts = &self.count(range).distinct;
        let own = |key: &[u8; 16]| last.iter().filter(|other| *other == key).count();
        last.iter().any(|key| counts.get(key).is_some_and(|count| *count as usize == own(key)))
    }

    /// The inputs that entries of a stretch came by in their order, as bits. For a condition that asks for some of the
    /// rules only, the longest beginning of the list that is met in order counts as met.
    fn met_in_order(&self, definition: &Correlation, range: Range<usize>) -> u64 {
        let mut steps = 0;
        for entry in self.entries.range(range) {
            // One entry is one step, even when it meets the rule after it too.
            if (steps as usize) < definition.rules.len() && entry.inputs >> steps & 1 == 1 {
                steps += 1;
            }
        }
        low_bits(steps)
    }
}

/// Adds places that come in order, and keeps the earliest.
fn add_earliest(places: &mut BTreeSet<Place>, more: impl IntoIterator<Item = Place>, max: usize) {
    for place in more {
        if places.len() >= max && places.last().is_none_or(|last| *last <= place) {
            return;
        }
        if places.insert(place) && places.len() > max {
            places.pop_last();
        }
    }
}

fn low_bits(number: u32) -> u64 {
    1u64.checked_shl(number).map_or(u64::MAX, |bit| bit - 1)
}

#[expect(clippy::cast_precision_loss, reason = "groups are bounded far below 2^53")]
fn as_real(count: usize) -> f64 {
    count as f64
}

fn percentile(mut numbers: Vec<f64>, percent: f64) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let rank = percent / 100.0 * as_real(numbers.len() - 1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the numbers")]
    let (below, above) = (rank.floor() as usize, rank.ceil() as usize);
    numbers[below] + (numbers[above] - numbers[below]) * rank.fract()
}

/// The first half of a SHA-256 over parts, each with its length before it.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&moneta_merkle::sha256(&bytes).as_bytes()[..16]);
    half
}

/// The digest of texts whose case does not count.
fn folded_digest<'t>(texts: impl IntoIterator<Item = &'t String>) -> [u8; 16] {
    let folded: Vec<Cow<'_, str>> = texts.into_iter().map(|text| fold(text)).collect();
    digest(&folded.iter().map(|text| text.as_bytes()).collect::<Vec<_>>())
}

/// Whether a set of inputs, as bits, meets a condition over them.
fn rules_hold(condition: &RuleCondition, rules: &[String], met: u64) -> bool {
    match condition {
        RuleCondition::All => met.count_ones() as usize == rules.len(),
        RuleCondition::Count(threshold) => threshold.holds(f64::from(met.count_ones())),
        RuleCondition::Expression(expression) => expression_holds(expression, rules, met),
    }
}

fn expression_holds(expression: &Expression, rules: &[String], met: u64) -> bool {
    let inner = |part: &Expression| expression_holds(part, rules, met);
    match expression {
        Expression::Constant(value) => *value,
        Expression::Not(part) => !inner(part),
        Expression::All(parts) => parts.iter().all(inner),
        Expression::Any(parts) => parts.iter().any(inner),
        Expression::Test(test) => match &test.field {
            Field::Named(name) => rules.iter().position(|rule| **rule == **name).is_some_and(|at| met >> at & 1 == 1),
            Field::Anywhere => false,
        },
    }
}
