//! The state of all correlations: matches in, findings out.
//!
//! # Memory
//! A group keeps the events of `timespan` plus [`Settings::lateness_nanos`] before its newest one, and those that still
//! wait for the watermark; older events that arrive are counted as [`Counters::too_late`] and not used. A group above
//! [`Settings::group_entries_max`], or above twice what its correlation counts to where that is more, forgets its oldest
//! events. A correlation above [`Settings::groups_max`] forgets the group whose newest event is the oldest, and above
//! [`Settings::entries_max`] events in all the correlation that holds the most of them does: one that is met by
//! everything takes nothing from the others. All are counted as [`Counters::evicted`], but for the oldest events of a
//! group that has twice as many as its correlation counts to, where nothing but their number matters.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use moneta_base::{Seq, TableName, Timestamp};

use super::finding::{self, Finding};
use super::group::{Entry, Group, GroupKey, Inserted, Measure, Place, bits, digest};
use super::plan::LeafFields;
use super::{Mode, Plan};
use crate::compile::{CompiledRules, Explainer, RuleMatch};
use crate::hunt::event_time;
use crate::pattern::fold;
use crate::vocabulary::{NamingColumns, Part};

/// Bounds on what correlations keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How much earlier than the newest event of its group an event may be and still be used, beyond the timespan.
    pub lateness_nanos: i64,
    /// Groups of one correlation at most.
    pub groups_max: usize,
    /// Events of one group at most, unless its correlation counts to more.
    pub group_entries_max: usize,
    /// Events of all groups of all correlations at most, those below findings too: some 200 bytes each in memory, and as
    /// much in a snapshot; besides, once for events that say the same, what they say of who and where.
    pub entries_max: usize,
    /// Events that a correlation keeps of a finding below it at most, the earliest. The last one is there besides.
    pub below_events_max: usize,
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
            below_events_max: 100,
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
    /// Events forgotten because the correlation was changed: it counts anew.
    pub redefined: u64,
}

impl Counters {
    fn plus(self, other: Self) -> Self {
        Self {
            too_late: self.too_late + other.too_late,
            evicted: self.evicted + other.evicted,
            redefined: self.redefined + other.redefined,
        }
    }
}

/// An event that met a rule, with the values correlations need.
#[derive(Debug)]
pub(crate) struct LeafMatch {
    pub table: Arc<str>,
    pub seq: Seq,
    /// Index of the rule.
    pub leaf: usize,
    /// Per field of the leaf: its values in this event. `None` where no rule asked for the field when the event came.
    pub fields: Vec<Option<Vec<String>>>,
    /// What else its row says of who and where, by column.
    pub about: Pairs,
    /// Where it is to be shown what met the rule: the fields and values that did.
    pub met: Pairs,
}

impl LeafMatch {
    /// The values of a field of the leaf.
    pub fn texts(&self, field: usize) -> &[String] {
        self.fields.get(field).and_then(Option::as_deref).unwrap_or_default()
    }

    /// The same in one text.
    pub fn joined(&self, field: usize) -> String {
        self.texts(field).join(",")
    }

    /// Whether all these fields were read when the event came.
    fn knows(&self, fields: &LeafFields) -> bool {
        fields.group.iter().chain(&fields.values).all(|field| self.fields.get(*field).is_some_and(Option::is_some))
    }
}

/// Names and values; events that say the same share them.
pub(crate) type Pairs = Arc<[(String, String)]>;

/// Columns kept of one event at most: they are held as long as the event.
const ABOUT_MAX: usize = 8;
/// Values of one field kept of one event at most: all of them are tested, and these are counted and compared.
const VALUES_MAX: usize = 256;
/// Fields that met the rule kept of one event at most, and characters of each value.
const MET_MAX: usize = 6;
const MET_CHARS_MAX: usize = 200;
/// Lists that newer events may share at most; then it begins anew.
const SHARED_MAX: usize = 4_096;

/// What is held as long as the event must not be as long as who sends it likes.
fn kept_values(mut values: Vec<String>) -> Vec<String> {
    values.truncate(VALUES_MAX);
    values
}

/// The names and values that newer events said, so that they are kept once.
#[derive(Debug, Default)]
struct Shared(HashSet<Pairs>);

impl Shared {
    fn one(&mut self, pairs: Vec<(String, String)>) -> Pairs {
        if let Some(known) = self.0.get(pairs.as_slice()) {
            return Arc::clone(known);
        }
        if self.0.len() >= SHARED_MAX {
            self.0.clear();
        }
        let pairs: Pairs = pairs.into();
        self.0.insert(Arc::clone(&pairs));
        pairs
    }
}

/// The groups of one correlation.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub groups: BTreeMap<GroupKey, Group>,
    /// Groups by the time of their newest event.
    pub by_age: BTreeSet<(i64, GroupKey)>,
    /// What waits for the watermark: the time it waits for, the group, and the event's time or the period.
    pub due: BTreeSet<Due>,
    /// Events in all its groups.
    pub held: usize,
    /// What was given up and not yet told.
    pub given_up: Counters,
}

/// The time something waits for, its group, and the event's time or the period.
pub(crate) type Due = (i64, GroupKey, i64);

/// What an event of that time waits for.
pub(crate) fn due(plan: &Plan, key: &GroupKey, time: i64) -> Option<Due> {
    let span = plan.definition.span_nanos;
    let period = time.div_euclid(span);
    match plan.mode {
        Mode::Growing => None,
        // Events of the same moment may still come until the watermark is behind it.
        Mode::Closed => Some((time.saturating_add(1), Arc::clone(key), time)),
        Mode::Following => Some((time.saturating_add(span), Arc::clone(key), time)),
        Mode::Whole => Some((period.saturating_add(1).saturating_mul(span), Arc::clone(key), period)),
    }
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
    /// What was given up and is told.
    told: Counters,
    shared: Shared,
}

/// An entry on its way into a correlation.
struct Arrival {
    correlation: usize,
    input: usize,
    time: i64,
    identity: [u8; 16],
    event: Arc<LeafMatch>,
    /// Of a finding: the earliest events that it rests on.
    below: BTreeSet<Place>,
}

impl Correlator {
    /// A correlator that has seen nothing.
    #[must_use]
    pub fn new(rules: Arc<CompiledRules>, settings: Settings) -> Self {
        let states = rules.correlations().plans.iter().map(|_| State::default()).collect();
        let (told, shared) = (Counters::default(), Shared::default());
        Self { rules, settings, states, watermark: i64::MIN, newest: i64::MIN, told, shared }
    }

    /// The rules it evaluates.
    #[must_use]
    pub fn rules(&self) -> &Arc<CompiledRules> {
        &self.rules
    }

    /// What was given up so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.states.iter().fold(self.told, |sum, state| sum.plus(state.given_up))
    }

    /// What correlations gave up since this was asked last, by the index of their rules in [`CompiledRules::rules`].
    pub fn newly_given_up(&mut self) -> Vec<(usize, Counters)> {
        let mut given_up = Vec::new();
        for (plan, state) in self.rules.correlations().plans.iter().zip(&mut self.states) {
            let counters = std::mem::take(&mut state.given_up);
            if counters != Counters::default() {
                self.told = self.told.plus(counters);
                given_up.push((plan.rule, counters));
            }
        }
        given_up
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
        let naming = NamingColumns::of(rows, Part::is_lasting);
        let table: Arc<str> = table.as_str().into();
        let mut findings = Vec::new();
        for found in matches {
            let Some(leaf) = leaves.get(&found.rule) else { continue };
            for row in &found.rows {
                let fields = explainer.values(found.rule, *row, &leaf.fields);
                let seq = first_seq + u64::from(*row);
                let fields = fields.into_iter().map(kept_values).map(Some).collect();
                let mut about = naming.pairs(*row as usize);
                about.truncate(ABOUT_MAX);
                let about = self.shared.one(about);
                let met = if leaf.shows_met { met(&explainer, found.rule, *row) } else { Vec::new() };
                let met = self.shared.one(met);
                let identity = digest(&[table.as_bytes(), &seq.to_be_bytes()]);
                let table = Arc::clone(&table);
                let event = Arc::new(LeafMatch { table, seq, leaf: found.rule, fields, about, met });
                let time = event_time(rows, *row as usize).as_nanos();
                for (correlation, input) in &leaf.feeds {
                    let filters = rules.correlations().plans[*correlation].filters.get(&found.rule);
                    if filters.is_some_and(|filters| !explainer.meets(found.rule, *row, filters)) {
                        continue;
                    }
                    let event = Arc::clone(&event);
                    let below = BTreeSet::new();
                    let arrival = Arrival { correlation: *correlation, input: *input, time, identity, event, below };
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
        self.told = self.told.plus(other.counters());
        self.newest = self.newest.max(other.newest);
        for (mine, theirs) in self.states.iter_mut().zip(&other.states) {
            for (key, group) in &theirs.groups {
                mine.groups.entry(Arc::clone(key)).or_default().fired.extend(&group.fired);
            }
        }
        for (correlation, state) in other.states.into_iter().enumerate() {
            let entries =
                state.groups.values().flat_map(|group| group.entries().iter().map(move |entry| (group, entry)));
            for (group, entry) in entries {
                for input in bits(entry.inputs) {
                    let (time, identity, event) = (entry.time, entry.identity, Arc::clone(&entry.event));
                    let below = group.below(&identity).cloned().collect();
                    self.insert(Arrival { correlation, input, time, identity, event, below }, &mut findings);
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
        // Nobody knows the group of an event that came before this correlation did, by way of one below.
        if !arrival.event.knows(fields) {
            return;
        }
        let key: GroupKey = fields.group.iter().map(|at| fold(&arrival.event.joined(*at)).into_owned()).collect();
        let measure = Measure::of(plan, &arrival.event, &fields.values, arrival.identity);
        let Arrival { correlation, input, time, identity, event, below } = arrival;
        let entry = Entry { time, identity, inputs: 1 << input, event, measure };
        let Some(at) = self.place(correlation, plan, &key, entry, below) else { return };
        self.evaluate_around(correlation, plan, &key, at, time, findings);
    }

    /// Puts an entry into its group within the bounds; where it is, or `None` when it changes nothing.
    fn place(
        &mut self,
        correlation: usize,
        plan: &Plan,
        key: &GroupKey,
        entry: Entry,
        below: BTreeSet<Place>,
    ) -> Option<usize> {
        let span = plan.definition.span_nanos;
        let kept = span.saturating_add(self.settings.lateness_nanos);
        // What waits for the watermark is not forgotten before it is decided, however far apart events are.
        let decided = match plan.mode {
            Mode::Growing => i64::MAX,
            Mode::Closed | Mode::Whole | Mode::Following => self.watermark_of(plan).saturating_sub(span),
        };
        let state = &mut self.states[correlation];
        let group = state.groups.entry(Arc::clone(key)).or_default();
        let (before, held_before) = (group.newest(), group.held());
        if entry.time < before.saturating_sub(kept) {
            state.given_up.too_late += 1;
            return None;
        }
        let Inserted::At(mut at) = group.insert(entry, below, self.settings.below_events_max) else {
            state.held = state.held + group.held() - held_before;
            return None;
        };
        let newest = group.newest();
        if newest != before {
            state.by_age.remove(&(before, Arc::clone(key)));
            state.by_age.insert((newest, Arc::clone(key)));
            at = at.saturating_sub(group.forget_before(newest.saturating_sub(kept).min(decided), span));
        }
        let is_full = group.entries().len() > self.settings.group_entries_max.max(2 * plan.definition.counts_to());
        if is_full {
            forget_first(group, &mut state.due, plan, key);
            state.given_up.evicted += u64::from(!plan.needs_newest_only());
        }
        state.held = state.held + group.held() - held_before;
        if is_full {
            at = at.checked_sub(1)?;
        }
        let too_many = state.groups.len() > self.settings.groups_max;
        let forgotten = too_many && self.forget_oldest_group(correlation).as_ref() == Some(key);
        (!forgotten && !self.forget_down_to_bound(correlation, key)).then_some(at)
    }

    /// Forgets the group of a correlation whose newest event is the oldest.
    fn forget_oldest_group(&mut self, correlation: usize) -> Option<GroupKey> {
        let plan = &self.rules.correlations().plans[correlation];
        let state = &mut self.states[correlation];
        let (_, oldest) = state.by_age.pop_first()?;
        let group = state.groups.remove(&oldest)?;
        for waiting in group.entries().iter().filter_map(|entry| due(plan, &oldest, entry.time)) {
            state.due.remove(&waiting);
        }
        state.held -= group.held();
        state.given_up.evicted += group.entries().len() as u64;
        Some(oldest)
    }

    /// Forgets the oldest groups of the correlation that holds the most until the bound on events holds; whether one of
    /// them was this.
    fn forget_down_to_bound(&mut self, correlation: usize, key: &GroupKey) -> bool {
        let mut it_was_this = false;
        while self.states.iter().map(|state| state.held).sum::<usize>() > self.settings.entries_max {
            let holding = self.states.iter().enumerate().map(|(at, state)| (state.held, at));
            let Some((_, largest)) = holding.max() else { break };
            let forgotten = self.forget_oldest_group(largest);
            it_was_this |= largest == correlation && forgotten.as_ref() == Some(key);
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
        let passed = self.watermark_of(plan);
        let waiting = due(plan, key, time);
        match plan.mode {
            Mode::Growing => self.look_at_windows(correlation, plan, key, (at, i64::MAX), findings),
            Mode::Closed => {
                self.states[correlation].due.extend(waiting.filter(|(end, _, _)| *end > passed));
                self.look_at_windows(correlation, plan, key, (at, passed), findings);
            }
            Mode::Whole | Mode::Following => match waiting {
                Some((end, _, about)) if end <= passed => self.decide(correlation, plan, key, about, findings),
                waiting => self.states[correlation].due.extend(waiting),
            },
        }
    }

    /// Decides what waited for the watermark: a period, or the windows that end at a time.
    fn decide(&mut self, correlation: usize, plan: &Plan, key: &GroupKey, waiting: i64, findings: &mut Vec<Finding>) {
        let span = plan.definition.span_nanos;
        let Some(group) = self.states[correlation].groups.get_mut(key) else { return };
        match plan.mode {
            Mode::Following => {
                let last = group.unfollowed(waiting, span);
                self.found(correlation, plan, key, waiting.div_euclid(span), last, findings);
            }
            Mode::Whole => {
                let period = group.period(waiting, span);
                if group.holds(plan, period.clone()) {
                    self.found(correlation, plan, key, waiting, period, findings);
                }
            }
            Mode::Closed | Mode::Growing => {
                let at = group.position(waiting);
                self.look_at_windows(correlation, plan, key, (at, waiting.saturating_add(1)), findings);
            }
        }
    }

    /// Looks at the windows that end at an entry or less than a span after it, and before a time.
    fn look_at_windows(
        &mut self,
        correlation: usize,
        plan: &Plan,
        key: &GroupKey,
        (mut at, before): (usize, i64),
        findings: &mut Vec<Finding>,
    ) {
        let span = plan.definition.span_nanos;
        let first = |group: &Group| group.entries().get(at).map(|entry| entry.time);
        let Some(first) = self.states[correlation].groups.get(key).and_then(first) else { return };
        let before = before.min(first.saturating_add(span));
        let mut may_hold = false;
        // A finding may make a correlation above forget groups to stay within its bounds, this one among them.
        while let Some(group) = self.states[correlation].groups.get_mut(key) {
            let Some(time) = group.entries().get(at).map(|entry| entry.time).filter(|time| *time < before) else {
                return;
            };
            let period = time.div_euclid(span);
            // Without an alert to raise and nobody above, nobody asks.
            if plan.parents.is_empty() && group.fired.contains(&period) {
                at = group.position(period.saturating_add(1).saturating_mul(span));
                continue;
            }
            let window = group.window_start(at, span)..at + 1;
            if plan.mode == Mode::Growing && !may_hold {
                // What does not hold over all the windows together holds in none of them.
                may_hold = group.holds(plan, window.start..group.position(before));
                if !may_hold {
                    return;
                }
            }
            if group.holds(plan, window.clone()) {
                self.found(correlation, plan, key, period, window, findings);
            }
            at += 1;
        }
    }

    /// Raises the finding of a period once, and hands it to the correlations above.
    fn found(
        &mut self,
        correlation: usize,
        plan: &Plan,
        key: &GroupKey,
        period: i64,
        window: Range<usize>,
        findings: &mut Vec<Finding>,
    ) {
        let rules = Arc::clone(&self.rules);
        let Some(group) = self.states[correlation].groups.get_mut(key) else { return };
        let Some(last) = window.end.checked_sub(1).filter(|last| *last >= window.start) else { return };
        let (time, event) = (group.entries()[last].time, Arc::clone(&group.entries()[last].event));
        let rule_id = rules.rules()[plan.rule].metadata.id.clone();
        let mut parts: Vec<&[u8]> = vec![rule_id.as_str().as_bytes()];
        let period_bytes = period.to_be_bytes();
        parts.push(&period_bytes);
        parts.extend(key.iter().map(|value| value.as_bytes()));
        let identity = digest(&parts);
        if group.fired.insert(period) && !rules.correlations().silent.contains(&plan.rule) {
            let listed_max = self.settings.listed_events_max;
            findings.push(finding::of_window(&rules, plan, group, window.clone(), (period, identity, listed_max)));
        }
        if plan.parents.is_empty() {
            return;
        }
        let below = group.earliest(window, self.settings.below_events_max);
        for (parent, input) in &plan.parents {
            let (event, below) = (Arc::clone(&event), below.clone());
            self.insert(Arrival { correlation: *parent, input: *input, time, identity, event, below }, findings);
        }
    }
}

/// The fields and values by which a row met a rule, as they are kept with it.
fn met(explainer: &Explainer<'_>, rule: usize, row: u32) -> Vec<(String, String)> {
    let mut pairs = explainer.explain(rule, row);
    pairs.truncate(MET_MAX);
    for (_, value) in &mut pairs {
        if let Some((end, _)) = value.char_indices().nth(MET_CHARS_MAX) {
            value.truncate(end);
        }
    }
    pairs
}

/// Forgets the oldest entry of a group, and what only it waited for.
fn forget_first(group: &mut Group, waiting: &mut BTreeSet<Due>, plan: &Plan, key: &GroupKey) {
    let of_entry = |at: usize| group.entries().get(at).and_then(|entry| due(plan, key, entry.time));
    if let Some(gone) = of_entry(0).filter(|gone| of_entry(1).as_ref() != Some(gone)) {
        waiting.remove(&gone);
    }
    group.forget_first(1);
}
