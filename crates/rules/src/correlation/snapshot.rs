//! The state of a [`Correlator`] as bytes, tied to a position in the journal.
//!
//! # Form, version 1
//! One JSON object in UTF-8:
//!
//! ```text
//! version        1
//! positions      { table: sequence after the last event in the state }, as the caller gave it
//! watermark      nanoseconds since 1970
//! shared         [ [ [name, text] ] ], names and values that events share
//! events         [ { table, seq, rule: id, fields: [[text]], about: index, met: index } ], each event and rule once
//! correlations   [ { rule: id, definition: 32 hex digits, groups: [
//!                    { key: [text], fired: [period], entries: [
//!                      { time: nanoseconds, identity: 32 hex digits, inputs: bits, event: index } ],
//!                    below: [ { identity: 32 hex digits, events: [ [ time, table, seq ] ] } ] } ] } ]
//! ```
//! `below` names the events that findings among the entries rest on; it is absent where there are none, and in states of
//! before it was there. So are `about` and `met`, places in `shared`: what the event's row says of who and where, and by what
//! it met its rule.
//! `definition` is a digest of the correlation and of the fields its events carry: one whose definition changed since
//! begins anew, and events of rules that are gone are left out. What waits for the watermark is not stored: it follows
//! from the entries. A later version of this form gets a higher number, and this one is read for ever; a program refuses
//! a number above its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use moneta_base::{ErrorKind, Seq, TableName};
use serde::{Deserialize, Serialize};

use super::correlator::{LeafMatch, Pairs, State, due};
use super::group::{Entry, Group, GroupKey, Measure, Place};
use super::{Correlator, Plan, Settings};
use crate::compile::CompiledRules;

const VERSION: u32 = 1;

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
    events: Vec<EventForm>,
    correlations: Vec<CorrelationForm>,
}

#[derive(Serialize, Deserialize)]
struct EventForm {
    table: String,
    seq: Seq,
    rule: String,
    fields: Vec<Vec<String>>,
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

/// What the stored state of a correlation depends on: itself, and the fields its events carry.
fn definition_digest(rules: &CompiledRules, plan: &Plan) -> String {
    let leaves = plan.inputs.iter().flat_map(BTreeMap::keys);
    let fields: Vec<_> = leaves
        .map(|leaf| (rules.rules()[*leaf].metadata.id.as_str(), &rules.correlations().leaves[leaf].fields))
        .collect();
    let text = format!("{:?}{fields:?}", plan.definition);
    hex::encode(&moneta_merkle::sha256(text.as_bytes()).as_bytes()[..16])
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
                    rule: self.rules.rules()[event.leaf].metadata.id.to_string(),
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
                rule: self.rules.rules()[plan.rule].metadata.id.to_string(),
                definition: definition_digest(&self.rules, plan),
                groups,
            });
        }
        let positions = positions.iter().map(|(table, seq)| (table.to_string(), *seq)).collect();
        let file = File { version: VERSION, positions, watermark: self.watermark, shared, events, correlations };
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
        let leaf = |id: &str| rules.rules().iter().position(|rule| rule.metadata.id.as_str() == id);
        let shared: Vec<Pairs> = file.shared.into_iter().map(Pairs::from).collect();
        let pairs =
            |place: Option<usize>| place.and_then(|place| shared.get(place).cloned()).unwrap_or_else(|| Arc::from([]));
        let events: Vec<Option<Arc<LeafMatch>>> = file
            .events
            .into_iter()
            .map(|form| {
                let leaf = leaf(&form.rule)?;
                let table = form.table.as_str().into();
                let (about, met) = (pairs(form.about), pairs(form.met));
                Some(Arc::new(LeafMatch { table, seq: form.seq, leaf, fields: form.fields, about, met }))
            })
            .collect();
        let mut correlator = Correlator::new(Arc::clone(&rules), settings);
        correlator.watermark = file.watermark;
        for form in file.correlations {
            let plans = &rules.correlations().plans;
            let same = |plan: &Plan| {
                rules.rules()[plan.rule].metadata.id.as_str() == form.rule
                    && definition_digest(&rules, plan) == form.definition
            };
            let Some(index) = plans.iter().position(same) else { continue };
            let state = read_state(form, &plans[index], &events, settings.below_events_max)?;
            let newest = state.groups.values().map(Group::newest).max().unwrap_or(i64::MIN);
            correlator.newest = correlator.newest.max(newest);
            correlator.states[index] = state;
        }
        Ok(Self { correlator, positions })
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
        let key: GroupKey = group_form.key.into();
        let mut group = Group::fired(group_form.fired);
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
        state.held += group.held();
        state.by_age.insert((group.newest(), Arc::clone(&key)));
        state.groups.insert(key, group);
    }
    Ok(state)
}
