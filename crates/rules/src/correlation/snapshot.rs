//! The state of a [`Correlator`] as bytes, tied to a position in the journal.
//!
//! # Form, version 2
//! One JSON object in UTF-8:
//!
//! ```text
//! version        2
//! positions      { table: sequence after the last event in the state }, as the caller gave it
//! watermark      nanoseconds since 1970
//! shared         [ [ [name, text] ] ], names and values that events share
//! leaves         { rule: id -> [name of a field], in the order in which its events have them }
//! events         [ { table, seq, rule: id, fields: [[text] or null],
//!                  about: index, met: index } ], each event and rule once
//! correlations   [ { rule: id, definition: 32 hex digits, groups: [
//!                    { key: [text], fired: [period], entries: [
//!                      { time: nanoseconds, identity: 32 hex digits, inputs: bits, event: index } ],
//!                    below: [ { identity: 32 hex digits, events: [ [ time, table, seq ] ] } ] } ] } ]
//! ```
//! `below` names the events that findings among the entries rest on; it is absent where there are none, and in states of
//! before it was there. So are `about` and `met`, places in `shared`: what the event's row says of who and where, and by what
//! it met its rule.
//! `definition` is a digest of the correlation and of the names of the fields that it reads: one whose definition changed
//! since begins anew, which is counted ([`Counters::redefined`](super::Counters)). Other correlations over the same rules
//! may come, change and go: fields are found by their names. `null` is a field that no rule asked for when the event came.
//! Events of rules that are gone are left out. What waits for the watermark is not stored: it follows from the entries.
//!
//! Version 1 has no `leaves`: `definition` is a digest of the correlation and of all fields that its rules' events carry,
//! for whichever correlation, and the state of one where these are no longer the same is not used. A later version of
//! this form gets a higher number, and these are read for ever; a program refuses a number above its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use moneta_base::{ErrorKind, Seq, TableName};
use serde::{Deserialize, Serialize};

use super::correlator::{LeafMatch, Pairs, State, due};
use super::group::{Entry, Group, GroupKey, Measure, Place};
use super::plan::{Leaf, LeafFields};
use super::{Correlator, Plan, Settings};
use crate::compile::CompiledRules;
use crate::pattern::fold;

const VERSION: u32 = 2;

/// A state and where in the journal it belongs.
#[derive(Debug)]
pub struct Snapshot {
    /// The state.
    pub correlator: Correlator,
    /// Per table: the sequence after the last event that is in the state.
    pub positions: BTreeMap<TableName, Seq>,
}

/// Why a snapshot cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not what [`Correlator::snapshot`] writes.
    #[error("the correlation state is damaged: {0}")]
    Damaged(String),
    /// Written by a newer Moneta.
    #[error("the correlation state has version {found}, this program reads up to {VERSION}; start a newer one")]
    Version {
        /// The version found.
        found: u32,
    },
}

impl SnapshotError {
    /// Who must act.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Damaged(_) => ErrorKind::Internal,
            Self::Version { .. } => ErrorKind::Caller,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    positions: BTreeMap<String, Seq>,
    watermark: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shared: Vec<Vec<(String, String)>>,
    /// `None` in version 1.
    leaves: Option<BTreeMap<String, Vec<String>>>,
    events: Vec<EventForm>,
    correlations: Vec<CorrelationForm>,
}

#[derive(Serialize, Deserialize)]
struct EventForm {
    table: String,
    seq: Seq,
    rule: String,
    fields: Vec<Option<Vec<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    about: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    met: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct CorrelationForm {
    rule: String,
    definition: String,
    groups: Vec<GroupForm>,
}

#[derive(Serialize, Deserialize)]
struct GroupForm {
    key: Vec<String>,
    fired: Vec<i64>,
    entries: Vec<EntryForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    below: Vec<BelowForm>,
}

#[derive(Serialize, Deserialize)]
struct BelowForm {
    identity: String,
    events: Vec<(i64, String, Seq)>,
}

#[derive(Serialize, Deserialize)]
struct EntryForm {
    time: i64,
    identity: String,
    inputs: u64,
    event: usize,
}

/// What the stored state of a correlation depends on: itself, and what the fields that it reads are called in the events
/// of each rule.
fn definition_digest(rules: &CompiledRules, plan: &Plan) -> String {
    let names = |leaf: &usize, places: &[usize]| -> Vec<&str> {
        let fields = &rules.correlations().leaves[leaf].fields;
        places.iter().map(|place| fields[*place].as_str()).collect()
    };
    let of_input = |input: &BTreeMap<usize, LeafFields>| -> BTreeMap<String, (Vec<&str>, Vec<&str>)> {
        let of_leaf = |(leaf, fields): (&usize, &LeafFields)| {
            (id_of(rules, *leaf), (names(leaf, &fields.group), names(leaf, &fields.values)))
        };
        input.iter().map(of_leaf).collect()
    };
    let inputs: Vec<_> = plan.inputs.iter().map(of_input).collect();
    short_digest(&format!("{:?}{inputs:?}", plan.definition))
}

/// The same as version 1 has it.
fn first_definition_digest(rules: &CompiledRules, plan: &Plan) -> String {
    let leaves = plan.inputs.iter().flat_map(BTreeMap::keys);
    let fields: Vec<_> = leaves
        .map(|leaf| (rules.rules()[*leaf].metadata.id.as_str(), &rules.correlations().leaves[leaf].fields))
        .collect();
    short_digest(&format!("{:?}{fields:?}", plan.definition))
}

fn short_digest(text: &str) -> String {
    hex::encode(&moneta_merkle::sha256(text.as_bytes()).as_bytes()[..16])
}

fn id_of(rules: &CompiledRules, rule: usize) -> String {
    rules.rules()[rule].metadata.id.to_string()
}

impl Correlator {
    /// The state as bytes. `positions`: per table, the sequence after the last event given to
    /// [`observe`](Correlator::observe).
    ///
    /// # Panics
    /// Never: the form has only types that JSON can hold.
    #[must_use]
    pub fn snapshot(&self, positions: &BTreeMap<TableName, Seq>) -> Vec<u8> {
        let mut numbers: HashMap<*const LeafMatch, usize> = HashMap::new();
        let mut events = Vec::new();
        let mut shared = Vec::new();
        let mut places: HashMap<Pairs, usize> = HashMap::new();
        let mut place_of = |pairs: &Pairs| {
            (!pairs.is_empty()).then(|| {
                *places.entry(Arc::clone(pairs)).or_insert_with(|| {
                    shared.push(pairs.to_vec());
                    shared.len() - 1
                })
            })
        };
        let mut number_of = |event: &Arc<LeafMatch>| {
            *numbers.entry(Arc::as_ptr(event)).or_insert_with(|| {
                events.push(EventForm {
                    table: event.table.to_string(),
                    seq: event.seq,
                    rule: id_of(&self.rules, event.leaf),
                    fields: event.fields.clone(),
                    about: place_of(&event.about),
                    met: place_of(&event.met),
                });
                events.len() - 1
            })
        };
        let mut entry_form = |entry: &Entry| EntryForm {
            time: entry.time,
            identity: hex::encode(entry.identity),
            inputs: entry.inputs,
            event: number_of(&entry.event),
        };
        let mut correlations = Vec::new();
        for (plan, state) in self.rules.correlations().plans.iter().zip(&self.states) {
            let groups = state.groups.iter().map(|(key, group)| GroupForm {
                key: key.to_vec(),
                fired: group.fired.iter().copied().collect(),
                entries: group.entries().iter().map(&mut entry_form).collect(),
                below: below_forms(group),
            });
            let groups = groups.collect();
            correlations.push(CorrelationForm {
                rule: id_of(&self.rules, plan.rule),
                definition: definition_digest(&self.rules, plan),
                groups,
            });
        }
        let positions = positions.iter().map(|(table, seq)| (table.to_string(), *seq)).collect();
        let leaves = self.rules.correlations().leaves.iter();
        let leaves = leaves.map(|(leaf, fields)| (id_of(&self.rules, *leaf), fields.fields.clone())).collect();
        let (watermark, leaves) = (self.watermark, Some(leaves));
        let file = File { version: VERSION, positions, watermark, shared, leaves, events, correlations };
        serde_json::to_vec(&file).expect("the form has only types that JSON can hold")
    }
}

fn below_forms(group: &Group) -> Vec<BelowForm> {
    let place = |(time, table, seq): &Place| (*time, table.to_string(), *seq);
    let form = |(identity, events): (&[u8; 16], &BTreeSet<Place>)| BelowForm {
        identity: hex::encode(identity),
        events: events.iter().map(place).collect(),
    };
    let mut forms: Vec<BelowForm> = group.findings().map(form).collect();
    forms.sort_by(|a, b| a.identity.cmp(&b.identity));
    forms
}

impl Snapshot {
    /// Reads a state for a rule set, which may have changed since.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn read(bytes: &[u8], rules: Arc<CompiledRules>, settings: Settings) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let damaged = |error: serde_json::Error| SnapshotError::Damaged(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
        if head.version > VERSION {
            return Err(SnapshotError::Version { found: head.version });
        }
        let file: File = serde_json::from_slice(bytes).map_err(damaged)?;
        let mut positions = BTreeMap::new();
        for (table, seq) in file.positions {
            let table = TableName::new(&table).map_err(|error| SnapshotError::Damaged(error.to_string()))?;
            positions.insert(table, seq);
        }
        let reader = EventReader::new(&rules, file.leaves.as_ref(), file.shared);
        let events: Vec<Option<Arc<LeafMatch>>> = file.events.into_iter().map(|form| reader.event(form)).collect();
        let digest = if file.leaves.is_some() { definition_digest } else { first_definition_digest };
        let mut correlator = Correlator::new(Arc::clone(&rules), settings);
        correlator.watermark = file.watermark;
        for form in file.correlations {
            let plans = &rules.correlations().plans;
            let own = |plan: &Plan| rules.rules()[plan.rule].metadata.id.as_str() == form.rule;
            // A correlation that is gone, or does not run, has nothing to say.
            let Some(index) = plans.iter().position(own) else { continue };
            if digest(&rules, &plans[index]) != form.definition {
                let forgotten = form.groups.iter().map(|group| group.entries.len() as u64).sum::<u64>();
                correlator.states[index].given_up.redefined += forgotten;
                continue;
            }
            let state = read_state(form, &plans[index], &events, settings.below_events_max)?;
            let newest = state.groups.values().map(Group::newest).max().unwrap_or(i64::MIN);
            correlator.newest = correlator.newest.max(newest);
            correlator.states[index] = state;
        }
        Ok(Self { correlator, positions })
    }
}

/// Brings events of a stored state into the form that the rules of now ask for.
struct EventReader {
    /// By rule: its index, and for each of its fields of now where it stands in stored events.
    leaves: HashMap<String, (usize, Vec<Option<usize>>)>,
    /// Names and values that events share.
    shared: Vec<Pairs>,
}

impl EventReader {
    /// `stored`: the names of the fields that the stored events have; `None` where they are those of now.
    fn new(
        rules: &CompiledRules,
        stored: Option<&BTreeMap<String, Vec<String>>>,
        shared: Vec<Vec<(String, String)>>,
    ) -> Self {
        let of_leaf = |(leaf, fields): (&usize, &Leaf)| {
            let id = id_of(rules, *leaf);
            let place = |(now, name): (usize, &String)| match stored {
                None => Some(now),
                Some(stored) => stored.get(&id)?.iter().position(|known| known == name),
            };
            let places = fields.fields.iter().enumerate().map(place).collect();
            (id, (*leaf, places))
        };
        let shared = shared.into_iter().map(Pairs::from).collect();
        Self { leaves: rules.correlations().leaves.iter().map(of_leaf).collect(), shared }
    }

    /// The event; `None` when no correlation asks for its rule any more.
    fn event(&self, mut form: EventForm) -> Option<Arc<LeafMatch>> {
        let (leaf, places) = self.leaves.get(&form.rule)?;
        let mut take = |place: &Option<usize>| form.fields.get_mut((*place)?)?.take();
        let fields = places.iter().map(&mut take).collect();
        let pairs = |place: Option<usize>| {
            place.and_then(|place| self.shared.get(place).cloned()).unwrap_or_else(|| Arc::from([]))
        };
        let (about, met) = (pairs(form.about), pairs(form.met));
        Some(Arc::new(LeafMatch { table: form.table.as_str().into(), seq: form.seq, leaf: *leaf, fields, about, met }))
    }
}

fn read_state(
    form: CorrelationForm,
    plan: &Plan,
    events: &[Option<Arc<LeafMatch>>],
    below_max: usize,
) -> Result<State, SnapshotError> {
    let mut state = State::default();
    for group_form in form.groups {
        // Version 1 counted case: what it held as two groups may be one.
        let key: GroupKey = group_form.key.iter().map(|value| fold(value).into_owned()).collect();
        let group = state.groups.entry(Arc::clone(&key)).or_default();
        group.fired.extend(group_form.fired);
        let place = |(time, table, seq): (i64, String, Seq)| (time, Arc::from(table), seq);
        let below = group_form.below.into_iter().map(|form| {
            let events: BTreeSet<Place> = form.events.into_iter().map(place).collect();
            (form.identity, events)
        });
        let below: HashMap<String, BTreeSet<Place>> = below.collect();
        for entry_form in group_form.entries {
            let missing = || SnapshotError::Damaged(format!("there is no event {}", entry_form.event));
            let Some(event) = events.get(entry_form.event).ok_or_else(missing)?.clone() else { continue };
            let mut identity = [0; 16];
            hex::decode_to_slice(&entry_form.identity, &mut identity)
                .map_err(|error| SnapshotError::Damaged(error.to_string()))?;
            let fields = plan.inputs.iter().find_map(|input| input.get(&event.leaf));
            let Some(fields) = fields else { continue };
            let measure = Measure::of(plan, &event, &fields.values, identity);
            let entry = Entry { time: entry_form.time, identity, inputs: entry_form.inputs, event, measure };
            // What was decided before is decided again, to the same end.
            state.due.extend(due(plan, &key, entry.time));
            group.insert(entry, below.get(&entry_form.identity).cloned().unwrap_or_default(), below_max);
        }
    }
    state.held = state.groups.values().map(Group::held).sum();
    state.by_age = state.groups.iter().map(|(key, group)| (group.newest(), Arc::clone(key))).collect();
    Ok(state)
}
