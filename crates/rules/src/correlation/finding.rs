//! What a correlation found, with what a person needs to believe it: the number and the bound it met, and for each event
//! which rule it met and with which values.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use moneta_base::{Seq, TableName, Timestamp};

use super::Plan;
use super::group::{Entry, Group, GroupKey, bits};
use crate::compile::CompiledRules;

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
    /// The fields whose values are counted or compared, with its values; several of one field are joined by a comma.
    pub values: Vec<(String, String)>,
}

/// A correlation that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Index of the rule in [`CompiledRules::rules`].
    pub rule: usize,
    /// The fields and values that the events share; several values of one field are joined by a comma.
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
    /// The number of events in that window.
    pub num_events: usize,
    /// The events, in order of time, up to [`Settings::listed_events_max`](super::Settings::listed_events_max).
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
    key: &GroupKey,
    group: &mut Group,
    window: Range<usize>,
    (period, identity, listed_max): (i64, [u8; 16], usize),
) -> Finding {
    let span = plan.definition.span_nanos;
    let number = group.number(plan, window.clone());
    let entries = || group.entries().range(window.clone());
    let time = |nanos| Timestamp::from_nanos(nanos);
    let (num_events, events) = events(rules, plan, entries(), listed_max);
    Finding {
        rule: plan.rule,
        group: plan.definition.group_by.iter().cloned().zip(key.iter().cloned()).collect(),
        period: (time(period.saturating_mul(span)), time(period.saturating_add(1).saturating_mul(span))),
        times: (
            time(entries().next().map_or(0, |entry| entry.time)),
            time(entries().next_back().map_or(0, |entry| entry.time)),
        ),
        condition: plan.definition.describe(),
        number,
        num_events,
        events,
        identity,
    }
}

/// How many events there are, and the first of them. One that came as several findings is one.
fn events<'g>(
    rules: &CompiledRules,
    plan: &Plan,
    entries: impl Iterator<Item = &'g Entry>,
    listed_max: usize,
) -> (usize, Vec<FoundEvent>) {
    let titles: Vec<&str> = plan.definition.rules.iter().map(|reference| title(rules, reference)).collect();
    let mut places: BTreeMap<(Arc<str>, Seq), usize> = BTreeMap::new();
    let mut listed: Vec<FoundEvent> = Vec::new();
    for entry in entries {
        let Ok(table) = TableName::new(&entry.event.table) else { continue };
        let next = places.len();
        let place = *places.entry((Arc::clone(&entry.event.table), entry.event.seq)).or_insert(next);
        if place == next && place < listed_max {
            let at = EventRef { table, seq: entry.event.seq, time: Timestamp::from_nanos(entry.time) };
            listed.push(FoundEvent { at, rules: Vec::new(), values: values(plan, entry) });
        }
        let Some(event) = listed.get_mut(place) else { continue };
        for met in bits(entry.inputs).filter_map(|input| titles.get(input)) {
            if !event.rules.iter().any(|known| known == met) {
                event.rules.push((*met).to_owned());
            }
        }
    }
    (places.len(), listed)
}

/// The title of a rule that a correlation refers to.
fn title<'r>(rules: &'r CompiledRules, reference: &'r str) -> &'r str {
    rules.rules().iter().find(|rule| rule.is_called(reference)).map_or(reference, |rule| rule.metadata.title.as_str())
}

fn values(plan: &Plan, entry: &Entry) -> Vec<(String, String)> {
    let fields = bits(entry.inputs).find_map(|input| plan.inputs.get(input)?.get(&entry.event.leaf));
    let positions = fields.map_or(&[][..], |fields| &fields.values);
    let text = |at: &usize| entry.event.fields.get(*at).map(|texts| texts.join(",")).unwrap_or_default();
    plan.definition.value_fields().iter().cloned().zip(positions.iter().map(text)).collect()
}
