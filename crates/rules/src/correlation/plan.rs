//! Correlations with their references resolved: which rules feed them, and which fields of those rules' events they
//! need.
//!
//! A correlation over correlations sees the events below them: a field is looked for through the aliases of each level
//! down to the rule over single events ("leaf") whose event it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Correlation, Kind, Mode};
use crate::error::Error;
use crate::ir::{Body, Expression, Field, Rule};
use crate::limits;
use crate::nearest;

/// A correlation ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Index of its rule.
    pub rule: usize,
    pub definition: Correlation,
    pub mode: Mode,
    /// Per input, by leaf: where the leaf's values are that this correlation needs.
    pub inputs: Vec<BTreeMap<usize, LeafFields>>,
    /// Whether an input is a correlation: then the same finding may come with several events.
    pub counts_findings: bool,
    /// Correlations this one feeds, with the number of the input there.
    pub parents: Vec<(usize, usize)>,
    /// How far the correlations below may lag behind the watermark.
    pub delay_nanos: i64,
    /// By leaf, what its events must meet to count here: the filters that name this correlation and are for the leaf's
    /// log source.
    pub filters: BTreeMap<usize, Vec<Expression>>,
}

impl Plan {
    /// Whether a group's newest events, twice as many as are counted to, decide as well as all of them.
    pub fn needs_newest_only(&self) -> bool {
        self.mode == Mode::Growing && !self.counts_findings && matches!(self.definition.kind, Kind::EventCount(_))
    }
}

/// Positions among the values that a leaf's matches carry.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeafFields {
    pub group: Vec<usize>,
    pub values: Vec<usize>,
}

/// A rule over single events that feeds correlations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leaf {
    /// Fields of its events that some correlation needs.
    pub fields: Vec<String>,
    /// Correlations it feeds, with the number of the input there.
    pub feeds: Vec<(usize, usize)>,
    /// Fields of its events that filters of these correlations look at.
    pub filtered: Vec<Field>,
    /// Whether it raises alerts of its own: no correlation refers to it, or one that says so.
    pub generates: bool,
    /// Whether a correlation that counts nothing looks at its events: then they show by which values they met the rule.
    pub shows_met: bool,
}

/// What correlations look at, in the order in which they are to be evaluated: those below come first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolved {
    pub plans: Vec<Plan>,
    /// By rule index.
    pub leaves: HashMap<usize, Leaf>,
    /// Correlations that raise no alerts of their own, by rule index.
    pub silent: BTreeSet<usize>,
}

/// Resolves the correlations among rules. `number` gives the index a correlation's rule will have.
///
/// Returns the indices, within `candidates`, of what was refused, with the reason.
pub(crate) fn resolve(detections: &[&Rule], candidates: &[Rule]) -> (Resolved, Vec<usize>, Vec<(usize, Error)>) {
    let mut resolver = Resolver { detections, candidates, resolved: Resolved::default(), state: HashMap::new() };
    let mut refused = Vec::new();
    for index in 0..candidates.len() {
        if let Err(error) = resolver.visit(index, 0) {
            refused.push((index, error));
        }
    }
    let order = resolver.order();
    (resolver.resolved, order, refused)
}

/// What is known of a candidate.
#[derive(Clone)]
enum State {
    Visiting,
    Done(usize),
    Refused(Error),
}

struct Resolver<'a> {
    detections: &'a [&'a Rule],
    candidates: &'a [Rule],
    resolved: Resolved,
    state: HashMap<usize, State>,
}

/// What a reference leads to.
enum Input {
    Leaf(usize),
    Correlation(usize),
}

impl Resolver<'_> {
    /// Candidates in the order of their plans.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<(usize, usize)> = self
            .state
            .iter()
            .filter_map(|(candidate, state)| match state {
                State::Done(plan) => Some((*plan, *candidate)),
                _ => None,
            })
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(_, candidate)| candidate).collect()
    }

    /// Resolves one candidate and those below it; the index of its plan.
    fn visit(&mut self, candidate: usize, depth: usize) -> Result<usize, Error> {
        let rule = &self.candidates[candidate];
        match self.state.get(&candidate) {
            Some(State::Done(plan)) => return Ok(*plan),
            Some(State::Refused(error)) => return Err(error.clone()),
            Some(State::Visiting) => {
                return Err(Error::rule(rule.line, "the correlation refers to itself, perhaps over others"));
            }
            None => {}
        }
        if depth > limits::CORRELATION_DEPTH_MAX {
            let bound = limits::CORRELATION_DEPTH_MAX;
            return Err(Error::Limit { what: "the depth of correlations", limit: "CORRELATION_DEPTH_MAX", bound });
        }
        self.state.insert(candidate, State::Visiting);
        let outcome = self.plan(candidate, depth);
        let state = match &outcome {
            Ok(plan) => State::Done(*plan),
            Err(error) => State::Refused(error.clone()),
        };
        self.state.insert(candidate, state);
        outcome
    }

    fn plan(&mut self, candidate: usize, depth: usize) -> Result<usize, Error> {
        let rule = &self.candidates[candidate];
        let Body::Correlation(definition) = &rule.body else {
            return Err(Error::rule(rule.line, "not a correlation"));
        };
        let mut inputs = Vec::with_capacity(definition.rules.len());
        for reference in &definition.rules {
            inputs.push(self.input(rule, reference, depth)?);
        }
        let plan = self.resolved.plans.len();
        let mut by_input = Vec::with_capacity(inputs.len());
        let (mut counts_findings, mut delay_nanos) = (false, 0);
        for (number, (input, reference)) in inputs.iter().zip(&definition.rules).enumerate() {
            by_input.push(self.leaf_fields(definition, reference, input));
            match input {
                Input::Leaf(leaf) => {
                    let leaf = self.resolved.leaves.entry(*leaf).or_default();
                    leaf.feeds.push((plan, number));
                    leaf.generates |= definition.generate;
                    leaf.shows_met |= matches!(definition.kind, Kind::Temporal(_) | Kind::TemporalOrdered(_));
                }
                Input::Correlation(below) => {
                    counts_findings = true;
                    let child = &mut self.resolved.plans[*below];
                    child.parents.push((plan, number));
                    let lags = matches!(child.mode, Mode::Whole | Mode::Following);
                    let lag = if lags { child.definition.span_nanos } else { 0 };
                    delay_nanos = delay_nanos.max(child.delay_nanos.saturating_add(lag));
                }
            }
        }
        self.resolved.plans.push(Plan {
            rule: candidate,
            definition: definition.clone(),
            mode: definition.mode(),
            inputs: by_input,
            counts_findings,
            parents: Vec::new(),
            delay_nanos,
            filters: BTreeMap::new(),
        });
        Ok(plan)
    }

    fn input(&mut self, rule: &Rule, reference: &str, depth: usize) -> Result<Input, Error> {
        if let Some(leaf) = self.detections.iter().position(|detection| detection.is_called(reference)) {
            return Ok(Input::Leaf(leaf));
        }
        let called = self.candidates.iter().position(|candidate| candidate.is_called(reference));
        let Some(called) = called else {
            let all = self.detections.iter().copied().chain(self.candidates);
            let names = all.map(|rule| rule.metadata.name.as_str()).filter(|name| !name.is_empty());
            let meant = nearest::nearest(reference, names);
            let hint = meant.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
            return Err(Error::rule(
                rule.line,
                format!("the correlation refers to the rule {reference:?}, which is not loaded{hint}"),
            ));
        };
        self.visit(called, depth + 1).map(Input::Correlation)
    }

    /// Where the fields of a correlation are in the matches of every leaf below one of its inputs.
    fn leaf_fields(&mut self, definition: &Correlation, reference: &str, input: &Input) -> BTreeMap<usize, LeafFields> {
        let leaves = match input {
            Input::Leaf(leaf) => vec![*leaf],
            Input::Correlation(plan) => self.leaves_below(*plan),
        };
        let mut found = BTreeMap::new();
        for leaf in leaves {
            let mut position = |field: &String| {
                let name = definition.aliases.get(field).and_then(|by_rule| by_rule.get(reference)).unwrap_or(field);
                let name = match input {
                    Input::Leaf(_) => name.clone(),
                    Input::Correlation(plan) => self.name_in_leaf(*plan, leaf, name),
                };
                let fields = &mut self.resolved.leaves.entry(leaf).or_default().fields;
                fields.iter().position(|known| *known == name).unwrap_or_else(|| {
                    fields.push(name);
                    fields.len() - 1
                })
            };
            let group = definition.group_by.iter().map(&mut position).collect();
            let values = definition.value_fields().iter().map(&mut position).collect();
            found.insert(leaf, LeafFields { group, values });
        }
        found
    }

    fn leaves_below(&self, plan: usize) -> Vec<usize> {
        let leaves: BTreeSet<usize> =
            self.resolved.plans[plan].inputs.iter().flat_map(BTreeMap::keys).copied().collect();
        leaves.into_iter().collect()
    }

    /// What a field or alias of a correlation is called in the events of a leaf below it.
    fn name_in_leaf(&self, plan: usize, leaf: usize, field: &str) -> String {
        let definition = &self.resolved.plans[plan].definition;
        let input = self.resolved.plans[plan].inputs.iter().position(|input| input.contains_key(&leaf));
        let reference = input.map(|input| definition.rules[input].as_str()).unwrap_or_default();
        let name =
            definition.aliases.get(field).and_then(|by_rule| by_rule.get(reference)).map_or(field, String::as_str);
        let below = self
            .resolved
            .plans
            .iter()
            .position(|candidate| input.is_some_and(|number| candidate.parents.contains(&(plan, number))));
        match below {
            Some(below) => self.name_in_leaf(below, leaf, name),
            None => name.to_owned(),
        }
    }
}

impl Resolved {
    /// Gives correlations the filters that name them. A correlation has no log source: a filter that names one is for
    /// those of its events whose rules have the filter's, and says nothing of the others. A filter for all rules of a
    /// log source is for those over single events only.
    pub fn narrow(&mut self, detections: &[Rule], candidates: &[Rule], filters: &[Rule]) {
        for filter in filters {
            let Body::Filter(filter) = &filter.body else { continue };
            for plan in &mut self.plans {
                let names = |reference: &String| candidates[plan.rule].is_called(reference);
                if !filter.rules.iter().any(names) {
                    continue;
                }
                for leaf in plan.inputs.iter().flat_map(BTreeMap::keys) {
                    let source = detections[*leaf].log_source();
                    if !source.is_some_and(|source| filter.log_source.covers(source)) {
                        continue;
                    }
                    let of_leaf = plan.filters.entry(*leaf).or_default();
                    if !of_leaf.contains(&filter.expression) {
                        of_leaf.push(filter.expression.clone());
                    }
                    filter.expression.fields(&mut self.leaves.entry(*leaf).or_default().filtered);
                }
            }
        }
    }

    /// Gives rules their final indices, and notes which correlations are silent.
    pub fn renumber(&mut self, correlation_index: impl Fn(usize) -> usize) {
        for plan in &mut self.plans {
            plan.rule = correlation_index(plan.rule);
        }
        let silent = self.plans.iter().filter(|plan| {
            !plan.parents.is_empty() && !plan.parents.iter().any(|(parent, _)| self.plans[*parent].definition.generate)
        });
        self.silent = silent.map(|plan| plan.rule).collect();
    }
}
