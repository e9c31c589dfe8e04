//! What a correlation found, with what a person needs to believe it: the number and the bound it met, and for each event
//! which rule it met and with which values.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use moneta_base::{Seq, TableName, Timestamp};

use super::Plan;
use super::correlator::LeafMatch;
use super::group::{Entry, Group, Place, bits};
use super::plan::{Leaf, LeafFields};
use crate::compile::CompiledRules;
use crate::vocabulary::{Part, part_of};

/// An event by where it is stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventRef {
    /// Its table.
    pub table: TableName,
    /// Its sequence there.
    pub seq: Seq,
    /// Its time.
    pub time: Timestamp,
}

/// An event that counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEvent {
    /// Where it is.
    pub at: EventRef,
    /// Titles of the correlation's rules that it met, or that found it; in the order of the correlation.
    pub rules: Vec<String>,
    /// The fields whose values are counted or compared, with its values; several of one field are joined by a comma. Where
    /// nothing is: the fields by which it met its rule.
    pub values: Vec<(String, String)>,
    /// What its row says of who and where: columns, and fields of its rule by their own names, that name a host, an
    /// account or the like. Nothing where only a finding below knows the event.
    pub about: Vec<(String, String)>,
}

/// A correlation that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Index of the rule in [`CompiledRules::rules`].
    pub rule: usize,
    /// The fields and values that the events share, as the first event of the window spells them; several values of one
    /// field are joined by a comma.
    pub group: Vec<(String, String)>,
    /// Begin and end of the period that it is the only finding of.
    pub period: (Timestamp, Timestamp),
    /// Times of the first and last event of the window that met the condition when it was found.
    pub times: (Timestamp, Timestamp),
    /// The condition, as a person reads it.
    pub condition: String,
    /// The number that met it: a count, a sum, a mean, a percentile or a share in percent. `None` where the condition is
    /// about which rules were met, or about what was not there.
    pub number: Option<f64>,
    /// The number of events in that window; of a correlation below, of which
    /// [`Settings::below_events_max`](super::Settings::below_events_max) a finding are known.
    pub num_events: usize,
    /// The events, and those that findings below rest on, in order of time, up to [`Settings::listed_events_max`](super::Settings::listed_events_max).
    pub events: Vec<FoundEvent>,
    /// The same for every order of arrival: rule, group and period.
    pub identity: [u8; 16],
}

impl Finding {
    /// What held, in one line: `event_count gte 5 within 10m: 7 where User = ann`.
    #[must_use]
    pub fn explanation(&self) -> String {
        let number = self.number.map(|number| format!(": {number}")).unwrap_or_default();
        let group: Vec<String> = self.group.iter().map(|(field, value)| format!("{field} = {value}")).collect();
        let place = if group.is_empty() { String::new() } else { format!(" where {}", group.join(", ")) };
        format!("{}{number}{place}", self.condition)
    }
}

/// The finding of a window. `period`, `identity` and the number of events to list come with it.
pub(super) fn of_window(
    rules: &CompiledRules,
    plan: &Plan,
    group: &mut Group,
    window: Range<usize>,
    (period, identity, listed_max): (i64, [u8; 16], usize),
) -> Finding {
    let span = plan.definition.span_nanos;
    let number = group.number(plan, window.clone());
    let entries = || group.entries().range(window.clone());
    let time = |nanos| Timestamp::from_nanos(nanos);
    let (num_events, events) = events(rules, plan, group, window.clone(), listed_max);
    let first = entries().next().map_or(0, |entry| entry.time);
    Finding {
        rule: plan.rule,
        group: entries().next().map(|first| group_of(plan, first)).unwrap_or_default(),
        period: (time(period.saturating_mul(span)), time(period.saturating_add(1).saturating_mul(span))),
        times: (
            events.first().map_or(time(first), |event| event.at.time),
            time(entries().next_back().map_or(0, |entry| entry.time)),
        ),
        condition: plan.definition.describe(),
        number,
        num_events,
        events,
        identity,
    }
}

/// How many events there are, and the first of them in order of time. Those that a finding rests on are events like the
/// one it came with; one that came as several findings is one.
fn events(
    rules: &CompiledRules,
    plan: &Plan,
    group: &Group,
    window: Range<usize>,
    listed_max: usize,
) -> (usize, Vec<FoundEvent>) {
    let leaves = &rules.correlations().leaves;
    let titles: Vec<&str> = plan.definition.rules.iter().map(|reference| title(rules, reference)).collect();
    let mut found: BTreeMap<Place, Known> = BTreeMap::new();
    let mut seen = HashSet::new();
    for entry in group.entries().range(window) {
        let known = found.entry(entry.place()).or_default();
        known.inputs |= entry.inputs;
        if known.values.is_empty() {
            known.values = values(plan, entry);
        }
        known.event = Some(&entry.event);
        if seen.insert((entry.identity, entry.inputs)) {
            for place in group.below(&entry.identity) {
                found.entry(place.clone()).or_default().inputs |= entry.inputs;
            }
        }
    }
    let num_events = found.len();
    let listed = found.into_iter().filter_map(|((time, table, seq), Known { inputs, values, event })| {
        let at = EventRef { table: TableName::new(&table).ok()?, seq, time: Timestamp::from_nanos(time) };
        let mut rules: Vec<String> = Vec::new();
        for met in bits(inputs).filter_map(|input| titles.get(input)) {
            if !rules.iter().any(|known| known == met) {
                rules.push((*met).to_owned());
            }
        }
        let about = event.map(|event| about(leaves, event)).unwrap_or_default();
        Some(FoundEvent { at, rules, values, about })
    });
    (num_events, listed.take(listed_max).collect())
}

/// What is known of an event of a finding.
#[derive(Default)]
struct Known<'g> {
    inputs: u64,
    values: Vec<(String, String)>,
    /// The event with what its rule says of it; none of those below a finding.
    event: Option<&'g LeafMatch>,
}

/// What an event says of who and where.
fn about(leaves: &HashMap<usize, Leaf>, event: &LeafMatch) -> Vec<(String, String)> {
    let fields = leaves.get(&event.leaf).map_or(&[][..], |leaf| &leaf.fields);
    let named = fields.iter().enumerate().filter(|(_, field)| part_of(field).is_some_and(Part::is_lasting));
    let of_rule = named.flat_map(|(at, field)| event.texts(at).iter().map(move |text| (field.clone(), text.clone())));
    event.about.iter().cloned().chain(of_rule).collect()
}

/// The title of a rule that a correlation refers to.
fn title<'r>(rules: &'r CompiledRules, reference: &'r str) -> &'r str {
    rules.rules().iter().find(|rule| rule.is_called(reference)).map_or(reference, |rule| rule.metadata.title.as_str())
}

/// What the events of a group share, as one of them spells it.
fn group_of(plan: &Plan, entry: &Entry) -> Vec<(String, String)> {
    let texts = fields(plan, entry).map_or(&[][..], |fields| &fields.group).iter().map(|at| entry.event.joined(*at));
    plan.definition.group_by.iter().cloned().zip(texts).collect()
}

/// What is counted or compared of an event.
fn values(plan: &Plan, entry: &Entry) -> Vec<(String, String)> {
    if plan.definition.value_fields().is_empty() {
        return entry.event.met.to_vec();
    }
    let texts = fields(plan, entry).map_or(&[][..], |fields| &fields.values).iter().map(|at| entry.event.joined(*at));
    plan.definition.value_fields().iter().cloned().zip(texts).collect()
}

/// Where the fields of a correlation are in an event.
fn fields<'p>(plan: &'p Plan, entry: &Entry) -> Option<&'p LeafFields> {
    bits(entry.inputs).find_map(|input| plan.inputs.get(input)?.get(&entry.event.leaf))
}
