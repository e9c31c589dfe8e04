//! The compiled rules of one table: shared predicates, gates, and one expression per rule and target.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::fields::{Resolver, Slot};
use crate::ir::{Expression, Field, Matcher, Relation};
use crate::limits;
use crate::matcher::cells::Cell;
use crate::matcher::value_tests::{PredicateId, TestsBuilder, ValueTests};
use crate::pattern::{Pattern, Shape};
use crate::taxonomy::RowCondition;

/// Everything a block of one table is matched against.
#[derive(Debug, Default)]
pub(crate) struct TablePlan {
    pub slots: Vec<Slot>,
    /// Per slot: the tests of its values.
    pub tests: Vec<ValueTests>,
    pub predicates: Vec<Predicate>,
    pub relations: Vec<FieldRelation>,
    pub gates: Vec<Gate>,
    /// Slots that gates look at.
    pub gate_slots: Vec<u32>,
    pub targets: Vec<TargetPlan>,
    /// Per predicate: the targets it is a witness of.
    pub by_witness: Vec<Vec<u32>>,
}

/// A test, or several of one slot joined by OR.
#[derive(Debug)]
pub(crate) struct Predicate {
    pub slot: u32,
    /// How often it is expected to hold: less is rarer.
    weight: f32,
    /// Whether it can hold only where the slot has a value.
    needs_value: bool,
}

/// A comparison of two fields.
#[derive(Debug)]
pub(crate) struct FieldRelation {
    pub left: u32,
    pub right: u32,
    relation: Relation,
    cased: bool,
}

/// Row conditions that several rules share.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub node: Node,
    /// The same, value by value: the slot, and the patterns of which one must match.
    pub conditions: Vec<(u32, Vec<Pattern>)>,
    /// Slots its targets look at.
    pub slots: Vec<u32>,
    /// Slots its targets' witnesses look at.
    pub witness_slots: Vec<u32>,
    /// Targets to look at whenever the gate is open.
    pub without_witness: Vec<u32>,
}

/// One rule on one table.
#[derive(Debug)]
pub(crate) struct TargetPlan {
    /// Index of the rule.
    pub rule: usize,
    /// Index of its gate.
    pub gate: u32,
    /// Its condition.
    pub node: Node,
    /// The slot of every field the rule names.
    pub fields: Vec<(Field, u32)>,
}

/// A condition over predicates.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Constant(bool),
    Predicate(PredicateId),
    Relation(u32),
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
}

impl Default for Node {
    fn default() -> Self {
        Self::Constant(true)
    }
}

impl FieldRelation {
    /// Whether any value of one field relates to any value of the other. An absent field relates to none: two fields
    /// that an event does not have say nothing about each other.
    pub fn holds(&self, left: &Cell<'_>, right: &Cell<'_>) -> bool {
        cells_relate(self.relation, self.cased, left, right)
    }
}

/// Whether two cells relate.
pub(crate) fn cells_relate(relation: Relation, cased: bool, left: &Cell<'_>, right: &Cell<'_>) -> bool {
    let compared = |cell: &Cell<'_>| cell.values().len().min(limits::FIELDREF_VALUES_MAX);
    let (left, right) = (&left.values()[..compared(left)], &right.values()[..compared(right)]);
    left.iter().any(|left| right.iter().any(|right| relation.holds(left, right, cased)))
}

/// Collects the rules of one table.
#[derive(Debug, Default)]
pub(crate) struct PlanBuilder {
    plan: TablePlan,
    tests: Vec<TestsBuilder>,
    slot_numbers: HashMap<Slot, u32>,
    predicate_numbers: HashMap<(u32, Vec<Matcher>), PredicateId>,
    gate_numbers: BTreeMap<Vec<RowCondition>, u32>,
    /// The gate of the rule being added.
    gate: u32,
}

impl PlanBuilder {
    /// Adds one rule on one target. `more_fields` are read from its matches.
    pub fn add(&mut self, rule: usize, expression: &Expression, more_fields: &[Field], resolver: &Resolver<'_>) {
        let gate = self.gate_of(resolver);
        self.gate = gate;
        let mut fields = Vec::new();
        let node = self.lower(expression, resolver, &mut fields);
        for field in more_fields {
            self.field_slot(field, resolver, &mut fields);
        }
        let target = u32::try_from(self.plan.targets.len()).expect("rules are bounded");
        let mut slots = Vec::new();
        self.slots_of(&node, &mut slots);
        match self.witness(&node) {
            Some((_, witnesses)) => {
                for predicate in witnesses {
                    self.plan.by_witness[predicate as usize].push(target);
                    let slot = self.plan.predicates[predicate as usize].slot;
                    self.plan.gates[gate as usize].witness_slots.push(slot);
                }
            }
            None => self.plan.gates[gate as usize].without_witness.push(target),
        }
        self.plan.gates[gate as usize].slots.append(&mut slots);
        self.plan.targets.push(TargetPlan { rule, gate, node, fields });
    }

    /// The finished plan.
    pub fn build(mut self) -> TablePlan {
        for gate in &mut self.plan.gates {
            for slots in [&mut gate.slots, &mut gate.witness_slots] {
                slots.sort_unstable();
                slots.dedup();
            }
        }
        self.plan.gate_slots.sort_unstable();
        self.plan.gate_slots.dedup();
        let places = self.tests.into_iter().zip(&self.plan.slots);
        self.plan.tests = places.map(|(tests, slot)| tests.build(slot.anywhere.is_some())).collect();
        self.plan
    }

    fn gate_of(&mut self, resolver: &Resolver<'_>) -> u32 {
        let conditions = &resolver.target.rows;
        if let Some(number) = self.gate_numbers.get(conditions) {
            return *number;
        }
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        for condition in conditions {
            let slot = self.slot(resolver.column_slot(&condition.column));
            let text = |value: &String| Matcher::Text { pattern: Pattern::parse(value), cased: false };
            let predicate = self.predicate(slot, condition.values.iter().map(text).collect());
            self.plan.gate_slots.push(slot);
            plain.push((slot, condition.values.iter().map(|value| Pattern::parse(value).folded()).collect()));
            parts.push(Node::Predicate(predicate));
        }
        let number = u32::try_from(self.plan.gates.len()).expect("log sources are few");
        self.plan.gates.push(Gate { node: Node::All(parts), conditions: plain, ..Gate::default() });
        self.gate_numbers.insert(conditions.clone(), number);
        number
    }

    /// Turns an expression over fields into one over predicates, rarest parts first.
    fn lower(&mut self, expression: &Expression, resolver: &Resolver<'_>, fields: &mut Vec<(Field, u32)>) -> Node {
        match expression {
            Expression::Constant(value) => Node::Constant(*value),
            Expression::Test(test) => self.lower_any(&[expression], &test.field, resolver, fields),
            Expression::Not(inner) => Node::Not(Box::new(self.lower(inner, resolver, fields))),
            Expression::All(parts) => {
                let mut nodes: Vec<Node> = parts.iter().map(|part| self.lower(part, resolver, fields)).collect();
                nodes.sort_by(|a, b| self.weight(a).total_cmp(&self.weight(b)));
                Node::All(nodes)
            }
            Expression::Any(parts) => {
                let mut flat = Vec::new();
                flatten_any(parts, &mut flat);
                self.lower_alternatives(&flat, resolver, fields)
            }
        }
    }

    /// Joins alternatives that test one field into one predicate.
    fn lower_alternatives(
        &mut self,
        parts: &[&Expression],
        resolver: &Resolver<'_>,
        fields: &mut Vec<(Field, u32)>,
    ) -> Node {
        let mut nodes = Vec::new();
        let mut by_field: Vec<(&Field, Vec<&Expression>)> = Vec::new();
        for part in parts {
            match part {
                Expression::Test(test) => match by_field.iter_mut().find(|(field, _)| **field == test.field) {
                    Some((_, tests)) => tests.push(part),
                    None => by_field.push((&test.field, vec![part])),
                },
                other => nodes.push(self.lower(other, resolver, fields)),
            }
        }
        for (field, tests) in by_field {
            nodes.push(self.lower_any(&tests, field, resolver, fields));
        }
        if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) }
    }

    /// One node for tests of one field, joined by OR.
    fn lower_any(
        &mut self,
        tests: &[&Expression],
        field: &Field,
        resolver: &Resolver<'_>,
        fields: &mut Vec<(Field, u32)>,
    ) -> Node {
        let slot = self.field_slot(field, resolver, fields);
        let mut matchers = Vec::new();
        let mut nodes = Vec::new();
        for expression in tests {
            let Expression::Test(test) = expression else { continue };
            match &test.matcher {
                Matcher::Other { field, relation, cased } => {
                    let right = self.field_slot(&Field::Named(Arc::clone(field)), resolver, fields);
                    let number = u32::try_from(self.plan.relations.len()).expect("rules are bounded");
                    self.plan.relations.push(FieldRelation { left: slot, right, relation: *relation, cased: *cased });
                    nodes.push(Node::Relation(number));
                }
                matcher => matchers.push(matcher.clone()),
            }
        }
        if !matchers.is_empty() {
            nodes.push(Node::Predicate(self.predicate(slot, matchers)));
        }
        if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) }
    }

    fn field_slot(&mut self, field: &Field, resolver: &Resolver<'_>, fields: &mut Vec<(Field, u32)>) -> u32 {
        if let Some((_, slot)) = fields.iter().find(|(known, _)| known == field) {
            return *slot;
        }
        let mut resolved = resolver.resolve(field);
        resolved.anywhere = resolved.anywhere.map(|_| self.gate);
        let slot = self.slot(resolved);
        fields.push((field.clone(), slot));
        slot
    }

    fn slot(&mut self, slot: Slot) -> u32 {
        if let Some(number) = self.slot_numbers.get(&slot) {
            return *number;
        }
        let number = u32::try_from(self.plan.slots.len()).expect("rules are bounded");
        self.plan.slots.push(slot.clone());
        self.tests.push(TestsBuilder::default());
        self.slot_numbers.insert(slot, number);
        number
    }

    fn predicate(&mut self, slot: u32, matchers: Vec<Matcher>) -> PredicateId {
        let key = (slot, matchers);
        if let Some(number) = self.predicate_numbers.get(&key) {
            return *number;
        }
        let number = u32::try_from(self.plan.predicates.len()).expect("rules are bounded");
        key.1.iter().for_each(|matcher| self.tests[slot as usize].add(matcher, number));
        let place = &self.plan.slots[slot as usize];
        // What stands in no column is dearer to look at.
        let place_weight = if place.anywhere.is_some() {
            0.5
        } else if place.columns.is_empty() {
            0.01
        } else {
            0.0
        };
        let weight = place_weight + key.1.iter().map(weight_of).sum::<f32>();
        let needs_value = key.1.iter().all(Matcher::needs_value);
        self.plan.predicates.push(Predicate { slot, weight, needs_value });
        self.plan.by_witness.push(Vec::new());
        self.predicate_numbers.insert(key, number);
        number
    }

    /// How often a node is expected to hold; tells which to look at first.
    fn weight(&self, node: &Node) -> f32 {
        match node {
            Node::Constant(_) => 0.0,
            Node::Predicate(id) => self.plan.predicates[*id as usize].weight,
            Node::Relation(_) => 5.0,
            Node::Not(_) => 10.0,
            Node::All(parts) => parts.iter().map(|part| self.weight(part)).fold(20.0, f32::min),
            Node::Any(parts) => parts.iter().map(|part| self.weight(part)).sum(),
        }
    }

    /// Predicates of which at least one must hold for the node to hold, the rarest such set; `None` when there is none.
    fn witness(&self, node: &Node) -> Option<(f32, Vec<PredicateId>)> {
        match node {
            Node::Constant(false) => Some((0.0, Vec::new())),
            Node::Constant(true) | Node::Relation(_) | Node::Not(_) => None,
            Node::Predicate(id) => {
                let predicate = &self.plan.predicates[*id as usize];
                predicate.needs_value.then(|| (predicate.weight, vec![*id]))
            }
            Node::All(parts) => {
                parts.iter().filter_map(|part| self.witness(part)).min_by(|(a, _), (b, _)| a.total_cmp(b))
            }
            Node::Any(parts) => {
                let sets: Option<Vec<_>> = parts.iter().map(|part| self.witness(part)).collect();
                let join = |(weight, mut ids): (f32, Vec<_>), (more, others): (f32, Vec<_>)| {
                    ids.extend(others);
                    (weight + more, ids)
                };
                sets.map(|sets| sets.into_iter().fold((0.0, Vec::new()), join))
            }
        }
    }

    fn slots_of(&self, node: &Node, slots: &mut Vec<u32>) {
        match node {
            Node::Constant(_) => {}
            Node::Predicate(id) => slots.push(self.plan.predicates[*id as usize].slot),
            Node::Relation(index) => {
                let relation = &self.plan.relations[*index as usize];
                slots.extend([relation.left, relation.right]);
            }
            Node::Not(inner) => self.slots_of(inner, slots),
            Node::All(parts) | Node::Any(parts) => parts.iter().for_each(|part| self.slots_of(part, slots)),
        }
    }
}

fn flatten_any<'e>(parts: &'e [Expression], flat: &mut Vec<&'e Expression>) {
    for part in parts {
        match part {
            Expression::Any(inner) => flatten_any(inner, flat),
            other => flat.push(other),
        }
    }
}

/// The share of values a test is expected to meet: halves with every character it asks for.
fn weight_of(matcher: &Matcher) -> f32 {
    let rarity = |text: &str| 0.5f32.powi(i32::try_from(text.len().min(20)).unwrap_or(20));
    match matcher {
        Matcher::Text { pattern, .. } if pattern.shape() != Shape::Empty => {
            pattern.longest_literal().map_or(1.0, rarity)
        }
        Matcher::Regex(_) => 0.1,
        Matcher::Cidr(_) | Matcher::Number(..) | Matcher::Time(..) => 0.5,
        _ => 1.0,
    }
}
