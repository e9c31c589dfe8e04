//! The state of all correlations: matches in, findings out.
//!
//! # Memory
//! A group keeps the events of `timespan` plus [`Settings::lateness_nanos`] before its newest one, and those that still
//! wait for the watermark; older events that arrive are counted as [`Counters::too_late`] and not used. A group above [`Settings::group_entries_max`] forgets its
//! oldest events, a correlation above [`Settings::groups_max`] forgets the group whose newest event is the oldest, and
//! above [`Settings::entries_max`] events in all, the group whose newest event is the oldest of all correlations is
//! forgotten; all are counted as [`Counters::evicted`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use moneta_base::{Seq, TableName, Timestamp};

use super::group::{Entry, Group, GroupKey, Inserted, holds};
use super::{Mode, Plan};
use crate::compile::{CompiledRules, RuleMatch};
use crate::hunt::event_time;

/// Bounds on what correlations keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How much earlier than the newest event of its group an event may be and still be used, beyond the timespan.
    pub lateness_nanos: i64,
    /// Groups of one correlation at most.
    pub groups_max: usize,
    /// Events of one group at most.
    pub group_entries_max: usize,
    /// Events of all groups of all correlations at most: some 200 bytes each in memory, and as much in a snapshot.
    pub entries_max: usize,
    /// Events that a finding lists at most; it counts all.
    pub listed_events_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lateness_nanos: 3_600 * 1_000_000_000,
            groups_max: 100_000,
            group_entries_max: 10_000,
            entries_max: 500_000,
            listed_events_max: 1_000,
        }
    }
}

/// What was given up so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events that came too late to be used.
    pub too_late: u64,
    /// Events forgotten because a bound was met.
    pub evicted: u64,
}

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

/// A correlation that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Index of the rule in [`CompiledRules::rules`].
    pub rule: usize,
    /// The fields and values that the events share; several values of one field are joined by a comma.
    pub group: Vec<(String, String)>,
    /// Begin and end of the period that it is the only finding of.
    pub period: (Timestamp, Timestamp),
    /// Times of the first and last event of the window that met the condition when it was found.
    pub times: (Timestamp, Timestamp),
    /// The number of events in that window.
    pub num_events: usize,
    /// The events, in order of time, up to [`Settings::listed_events_max`].
    pub events: Vec<EventRef>,
    /// The same for every order of arrival: rule, group and period.
    pub identity: [u8; 16],
}

/// An event that met a rule, with the values correlations need.
#[derive(Debug)]
pub(crate) struct LeafMatch {
    pub table: Arc<str>,
    pub seq: Seq,
    /// Index of the rule.
    pub leaf: usize,
    /// Per field of the leaf: its values in this event.
    pub fields: Vec<Vec<String>>,
}

/// The groups of one correlation.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub groups: BTreeMap<GroupKey, Group>,
    /// Groups by the time of their newest event.
    pub by_age: BTreeSet<(i64, GroupKey)>,
    /// What waits for the watermark: the time it waits for, the group, and the event's time or the period.
    pub due: BTreeSet<(i64, GroupKey, i64)>,
}

/// Evaluates the correlations of a rule set.
#[derive(Debug)]
pub struct Correlator {
    pub(crate) rules: Arc<CompiledRules>,
    pub(crate) settings: Settings,
    /// Per correlation of the plan.
    pub(crate) states: Vec<State>,
    pub(crate) watermark: i64,
    /// Time of the newest event of all.
    pub(crate) newest: i64,
    /// Events in all groups.
    pub(crate) held: usize,
    counters: Counters,
}

/// An entry on its way into a correlation.
struct Arrival {
    correlation: usize,
    input: usize,
    time: i64,
    identity: [u8; 16],
    event: Arc<LeafMatch>,
}

impl Correlator {
    /// A correlator that has seen nothing.
    #[must_use]
    pub fn new(rules: Arc<CompiledRules>, settings: Settings) -> Self {
        let states = rules.correlations().plans.iter().map(|_| State::default()).collect();
        Self { rules, settings, states, watermark: i64::MIN, newest: i64::MIN, held: 0, counters: Counters::default() }
    }

    /// The rules it evaluates.
    #[must_use]
    pub fn rules(&self) -> &Arc<CompiledRules> {
        &self.rules
    }

    /// What was given up so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes the matches of a batch and returns what holds now and did not before. Feeding a batch again changes
    /// nothing.
    ///
    /// # Shapes
    /// `rows` and `matches` as [`CompiledRules::match_batch`] takes and returns them; `first_seq` is the sequence of the
    /// first row.
    pub fn observe(
        &mut self,
        table: &TableName,
        rows: &RecordBatch,
        first_seq: Seq,
        matches: &[RuleMatch],
    ) -> Vec<Finding> {
        let rules = Arc::clone(&self.rules);
        let leaves = &rules.correlations().leaves;
        if !matches.iter().any(|found| leaves.contains_key(&found.rule)) {
            return Vec::new();
        }
        let explainer = rules.explainer(table, rows);
        let table: Arc<str> = table.as_str().into();
        let mut findings = Vec::new();
        for found in matches {
            let Some(leaf) = leaves.get(&found.rule) else { continue };
            for row in &found.rows {
                let fields = explainer.values(found.rule, *row, &leaf.fields);
                let seq = first_seq + u64::from(*row);
                let event = Arc::new(LeafMatch { table: Arc::clone(&table), seq, leaf: found.rule, fields });
                let identity = digest(&[table.as_bytes(), &seq.to_be_bytes()]);
                let time = event_time(rows, *row as usize).as_nanos();
                for (correlation, input) in &leaf.feeds {
                    let filters = rules.correlations().plans[*correlation].filters.get(&found.rule);
                    if filters.is_some_and(|filters| !explainer.meets(found.rule, *row, filters)) {
                        continue;
                    }
                    let event = Arc::clone(&event);
                    let arrival = Arrival { correlation: *correlation, input: *input, time, identity, event };
                    self.insert(arrival, &mut findings);
                }
            }
        }
        findings
    }

    /// Says that no event before `watermark` is awaited any more, and returns what that decides.
    pub fn advance(&mut self, watermark: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.watermark = self.watermark.max(watermark.as_nanos());
        let rules = Arc::clone(&self.rules);
        for (correlation, plan) in rules.correlations().plans.iter().enumerate() {
            let passed = self.watermark_of(plan);
            while let Some(first) = self.states[correlation].due.pop_first() {
                if first.0 > passed {
                    self.states[correlation].due.insert(first);
                    break;
                }
                self.decide(correlation, plan, &first.1, first.2, &mut findings);
            }
        }
        findings
    }

    /// Decides everything, as at the end of the stream.
    pub fn finish(&mut self) -> Vec<Finding> {
        self.advance(Timestamp::from_nanos(i64::MAX))
    }

    /// Takes over all that another correlator of the same rules holds, as if its events had come here, and returns what
    /// holds now and did in neither.
    pub fn merge(&mut self, other: Self) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.counters.too_late += other.counters.too_late;
        self.counters.evicted += other.counters.evicted;
        self.newest = self.newest.max(other.newest);
        for (mine, theirs) in self.states.iter_mut().zip(&other.states) {
            for (key, group) in &theirs.groups {
                mine.groups.entry(Arc::clone(key)).or_default().fired.extend(&group.fired);
            }
        }
        for (correlation, state) in other.states.into_iter().enumerate() {
            for entry in state.groups.into_values().flat_map(|group| group.entries) {
                for input in (0..64).filter(|input| entry.inputs >> input & 1 == 1) {
                    let (time, identity, event) = (entry.time, entry.identity, Arc::clone(&entry.event));
                    self.insert(Arrival { correlation, input, time, identity, event }, &mut findings);
                }
            }
        }
        findings
    }

    fn watermark_of(&self, plan: &Plan) -> i64 {
        match (self.watermark, plan.mode) {
            // Whatever would have come behind the end of the data is not known.
            (i64::MAX, Mode::Following) => self.newest,
            (i64::MAX, _) => i64::MAX,
            (watermark, _) => watermark.saturating_sub(plan.delay_nanos),
        }
    }

    fn insert(&mut self, arrival: Arrival, findings: &mut Vec<Finding>) {
        self.newest = self.newest.max(arrival.time);
        let rules = Arc::clone(&self.rules);
        let plan = &rules.correlations().plans[arrival.correlation];
        // A leaf that came by several inputs is resolved for the one it came by.
        let Some(fields) = plan.inputs[arrival.input].get(&arrival.event.leaf) else { return };
        let value = |at: &usize| arrival.event.fields.get(*at).map(|texts| texts.join(",")).unwrap_or_default();
        let key: GroupKey = fields.group.iter().map(value).collect();
        let entry = Entry {
            time: arrival.time,
            identity: arrival.identity,
            inputs: 1 << arrival.input,
            values: fields.values.as_slice().into(),
            event: arrival.event,
        };
        let Some((at, time)) = self.place(arrival.correlation, plan, &key, entry) else { return };
        self.evaluate_around(arrival.correlation, plan, &key, at, time, findings);
    }

    /// Puts an entry into its group within the bounds; `None` when it changes nothing.
    fn place(&mut self, correlation: usize, plan: &Plan, key: &GroupKey, entry: Entry) -> Option<(usize, i64)> {
        let span = plan.definition.span_nanos;
        let kept = span.saturating_add(self.settings.lateness_nanos);
        // What waits for the watermark is not forgotten before it is decided, however far apart events are.
        let decided = match plan.mode {
            Mode::Growing => i64::MAX,
            Mode::Closed | Mode::Whole | Mode::Following => self.watermark_of(plan).saturating_sub(span),
        };
        let state = &mut self.states[correlation];
        let group = state.groups.entry(Arc::clone(key)).or_default();
        let (before, held_before) = (group.newest(), group.entries.len());
        let time = entry.time;
        if time < before.saturating_sub(kept) {
            self.counters.too_late += 1;
            return None;
        }
        let Inserted::At(mut at) = group.insert(entry) else { return None };
        let newest = group.newest();
        if newest != before {
            state.by_age.remove(&(before, Arc::clone(key)));
            state.by_age.insert((newest, Arc::clone(key)));
            at = at.saturating_sub(group.forget_before(newest.saturating_sub(kept).min(decided), span));
        }
        let is_full = group.entries.len() > self.settings.group_entries_max;
        if is_full {
            group.entries.remove(0);
            self.counters.evicted += 1;
        }
        self.held = self.held + group.entries.len() - held_before;
        if is_full {
            at = at.checked_sub(1)?;
        }
        let too_many = state.groups.len() > self.settings.groups_max;
        let forgotten = too_many && self.forget_oldest_group(correlation).as_ref() == Some(key);
        (!forgotten && !self.forget_down_to_bound(correlation, key)).then_some((at, time))
    }

    /// Forgets the group of a correlation whose newest event is the oldest.
    fn forget_oldest_group(&mut self, correlation: usize) -> Option<GroupKey> {
        let state = &mut self.states[correlation];
        let (_, oldest) = state.by_age.pop_first()?;
        let forgotten = state.groups.remove(&oldest).map_or(0, |group| group.entries.len());
        state.due.retain(|(_, waiting, _)| *waiting != oldest);
        self.held -= forgotten;
        self.counters.evicted += forgotten as u64;
        Some(oldest)
    }

    /// Forgets the oldest groups of all correlations until the bound on events holds; whether one of them was this.
    fn forget_down_to_bound(&mut self, correlation: usize, key: &GroupKey) -> bool {
        let mut it_was_this = false;
        while self.held > self.settings.entries_max {
            let ages = self.states.iter().enumerate().filter_map(|(at, state)| Some((state.by_age.first()?.0, at)));
            let Some((_, oldest)) = ages.min() else { break };
            let forgotten = self.forget_oldest_group(oldest);
            it_was_this |= oldest == correlation && forgotten.as_ref() == Some(key);
        }
        it_was_this
    }

    /// Looks at the windows that an entry changed.
    fn evaluate_around(
        &mut self,
        correlation: usize,
        plan: &Plan,
        key: &GroupKey,
        at: usize,
        time: i64,
        findings: &mut Vec<Finding>,
    ) {
        let span = plan.definition.span_nanos;
        let passed = self.watermark_of(plan);
        let state = &mut self.states[correlation];
        match plan.mode {
            Mode::Whole => {
                let period = time.div_euclid(span);
                let end = period.saturating_add(1).saturating_mul(span);
                if end <= passed {
                    self.decide(correlation, plan, key, period, findings);
                } else {
                    state.due.insert((end, Arc::clone(key), period));
                }
            }
            Mode::Following => {
                let end = time.saturating_add(span);
                if end <= passed {
                    self.decide(correlation, plan, key, time, findings);
                } else {
                    state.due.insert((end, Arc::clone(key), time));
                }
            }
            Mode::Closed | Mode::Growing => {
                let entries = &state.groups[key].entries;
                let changed = entries[at..].partition_point(|entry| entry.time < time.saturating_add(span));
                let times: Vec<i64> = entries[at..at + changed].iter().map(|entry| entry.time).collect();
                if plan.mode == Mode::Closed && time > passed {
                    state.due.insert((time, Arc::clone(key), time));
                }
                for (anchor, anchor_time) in (at..).zip(times) {
                    if plan.mode == Mode::Growing || anchor_time <= passed {
                        self.look_at_window(correlation, plan, key, anchor, findings);
                    }
                }
            }
        }
    }

    /// Decides what waited for the watermark: a period, or the windows that end at a time.
    fn decide(&mut self, correlation: usize, plan: &Plan, key: &GroupKey, waiting: i64, findings: &mut Vec<Finding>) {
        let span = plan.definition.span_nanos;
        let Some(group) = self.states[correlation].groups.get(key) else { return };
        if plan.mode == Mode::Following {
            let window = group.unfollowed(waiting, span).to_vec();
            self.found(correlation, plan, key, waiting.div_euclid(span), &window, findings);
            return;
        }
        if plan.mode != Mode::Whole {
            let from = group.entries.partition_point(|entry| entry.time < waiting);
            let to = group.entries.partition_point(|entry| entry.time <= waiting);
            for anchor in from..to {
                self.look_at_window(correlation, plan, key, anchor, findings);
            }
            return;
        }
        let window = group.period(waiting, span);
        if holds(&plan.definition, plan.counts_findings, window) {
            let window = window.to_vec();
            self.found(correlation, plan, key, waiting, &window, findings);
        }
    }

    fn look_at_window(
        &mut self,
        correlation: usize,
        plan: &Plan,
        key: &GroupKey,
        anchor: usize,
        findings: &mut Vec<Finding>,
    ) {
        let Some(group) = self.states[correlation].groups.get(key) else { return };
        if anchor >= group.entries.len() {
            return;
        }
        let span = plan.definition.span_nanos;
        let window = group.window_until(anchor, span);
        if !holds(&plan.definition, plan.counts_findings, window) {
            return;
        }
        let period = group.entries[anchor].time.div_euclid(span);
        // Without an alert to raise and nobody above, the window need not be copied.
        if plan.parents.is_empty() && group.fired.contains(&period) {
            return;
        }
        let window = window.to_vec();
        self.found(correlation, plan, key, period, &window, findings);
    }

    /// Raises the finding of a period once, and hands it to the correlations above.
    fn found(
        &mut self,
        correlation: usize,
        plan: &Plan,
        key: &GroupKey,
        period: i64,
        window: &[Entry],
        findings: &mut Vec<Finding>,
    ) {
        let Some(last) = window.last() else { return };
        let rules = Arc::clone(&self.rules);
        let rule_id = rules.rules()[plan.rule].metadata.id.clone();
        let mut parts: Vec<&[u8]> = vec![rule_id.as_str().as_bytes()];
        let period_bytes = period.to_be_bytes();
        parts.push(&period_bytes);
        parts.extend(key.iter().map(|value| value.as_bytes()));
        let identity = digest(&parts);
        let is_new = self.states[correlation].groups.get_mut(key).is_some_and(|group| group.fired.insert(period));
        if is_new && !rules.correlations().silent.contains(&plan.rule) {
            findings.push(self.finding(plan, key, period, window, identity));
        }
        for (parent, input) in &plan.parents {
            let event = Arc::clone(&last.event);
            let arrival = Arrival { correlation: *parent, input: *input, time: last.time, identity, event };
            self.insert(arrival, findings);
        }
    }

    fn finding(&self, plan: &Plan, key: &GroupKey, period: i64, window: &[Entry], identity: [u8; 16]) -> Finding {
        let span = plan.definition.span_nanos;
        let time = |nanos| Timestamp::from_nanos(nanos);
        let mut events = Vec::new();
        let mut seen = BTreeSet::new();
        for entry in window {
            let Ok(table) = TableName::new(&entry.event.table) else { continue };
            let event = EventRef { table, seq: entry.event.seq, time: time(entry.time) };
            if seen.insert(event.clone()) && events.len() < self.settings.listed_events_max {
                events.push(event);
            }
        }
        Finding {
            rule: plan.rule,
            group: plan.definition.group_by.iter().cloned().zip(key.iter().cloned()).collect(),
            period: (time(period.saturating_mul(span)), time(period.saturating_add(1).saturating_mul(span))),
            times: (
                time(window.first().map_or(0, |entry| entry.time)),
                time(window.last().map_or(0, |entry| entry.time)),
            ),
            num_events: seen.len(),
            events,
            identity,
        }
    }
}

/// The first half of a SHA-256 over parts, each with its length before it.
fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&moneta_merkle::sha256(&bytes).as_bytes()[..16]);
    half
}
