//! Why a correlation holds with an event, or does not: the groups that the event counts in, with the window that comes
//! nearest to the condition. Nothing here is on the way of an event.

use std::ops::Range;

use arrow::array::RecordBatch;
use moneta_base::{RuleId, Seq, TableName};
use serde_json::{Value, json};

use super::correlator::Correlator;
use super::finding::{self, Finding, FoundEvent};
use super::group::Group;
use super::{Mode, Plan};
use crate::compile::CompiledRules;
use crate::explain::Explanation;
use crate::ir::Body;

/// Events of each group that are listed.
const EVENTS_MAX: usize = 50;

/// A group of a correlation that an event counts in.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupState {
    /// Whether the condition is met.
    pub holds: bool,
    /// The window that was looked at, as if it were found: what is shared, the condition, the number, the events.
    pub window: Finding,
}

impl GroupState {
    /// The whole as lines for people. The event that was asked about is marked.
    #[must_use]
    pub fn lines(&self, table: &str, seq: Seq) -> Vec<String> {
        let Finding { events, num_events, .. } = &self.window;
        let sign = if self.holds { '+' } else { '-' };
        let mut lines = vec![format!("{sign} {}", self.window.explanation())];
        for event in events {
            let is_asked = event.at.table.as_str() == table && event.at.seq == seq;
            let values: Vec<String> = event.values.iter().map(|(field, value)| format!("{field} = {value}")).collect();
            let of = [event.rules.join(" and "), values.join(", ")].into_iter().filter(|text| !text.is_empty());
            let of = of.collect::<Vec<_>>().join(": ");
            let mark = if is_asked { '>' } else { ' ' };
            lines.push(format!("  {mark} {} {} {} {of}", event.at.time, event.at.table, event.at.seq));
        }
        let left_out = num_events.saturating_sub(events.len());
        lines.extend((left_out > 0).then(|| format!("    and {left_out} more")));
        lines
    }
}

/// Why a correlation holds with an event, or does not.
#[derive(Debug, Clone, PartialEq)]
pub struct CorrelationExplanation {
    /// The rule's id.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// Whether it holds in a group that the event counts in.
    pub holds: bool,
    /// The groups that the event counts in.
    pub groups: Vec<GroupState>,
    /// What the rules over single events that it refers to say of the event.
    pub below: Vec<Explanation>,
}

impl CorrelationExplanation {
    /// The whole as lines for people.
    #[must_use]
    pub fn lines(&self, table: &str, seq: Seq) -> Vec<String> {
        let verb = if self.holds { "holds" } else { "does not hold" };
        let mut lines = vec![format!("{} ({}) {verb} with the event in {table}", self.title, self.rule_id)];
        if self.groups.is_empty() {
            let why = "the event counts in no group: it meets none of the rules, lacks a field that they are grouped by, or is \
                       excepted";
            lines.push(why.to_owned());
        }
        lines.extend(self.groups.iter().flat_map(|state| state.lines(table, seq)));
        lines.extend(self.below.iter().flat_map(|why| why.lines(table)));
        lines
    }

    /// The whole for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let event = |event: &FoundEvent| {
            json!({
                "table": event.at.table.as_str(), "seq": event.at.seq, "time": event.at.time.to_string(),
                "rules": event.rules, "values": event.values,
            })
        };
        let group = |state: &GroupState| {
            let Finding { group, condition, number, num_events, events, .. } = &state.window;
            json!({
                "holds": state.holds, "group": group, "condition": condition, "number": number,
                "num_events": num_events, "events": events.iter().map(event).collect::<Vec<_>>(),
            })
        };
        let groups: Vec<Value> = self.groups.iter().map(group).collect();
        json!({
            "rule_id": self.rule_id, "title": self.title, "holds": self.holds, "groups": groups, "below": self.below,
        })
    }
}

impl CompiledRules {
    /// How far around an event a correlation may look, in nanoseconds: its timespan, and those of correlations below it
    /// that are decided later. `None` when there is no such correlation.
    #[must_use]
    pub fn span_nanos(&self, rule: &RuleId) -> Option<i64> {
        let plan = self.correlations().plans.iter().find(|plan| self.rules()[plan.rule].metadata.id == *rule)?;
        let below: i64 = self.correlations().plans.iter().map(|plan| plan.definition.span_nanos).max().unwrap_or(0);
        let below = if plan.counts_findings { below } else { 0 };
        Some(plan.definition.span_nanos.saturating_add(plan.delay_nanos).saturating_add(below))
    }
}

impl Correlator {
    /// Why a correlation holds with an event that this has observed, or does not; `None` when there is no such correlation.
    /// The event is a row of `rows`, and has this sequence.
    #[must_use]
    pub fn explain(
        &mut self,
        rule: &RuleId,
        (table, seq): (&TableName, Seq),
        (rows, row): (&RecordBatch, u32),
    ) -> Option<CorrelationExplanation> {
        let rules = std::sync::Arc::clone(&self.rules);
        let asked = rules.rules().iter().find(|known| known.metadata.id == *rule)?;
        let Body::Correlation(correlation) = &asked.body else { return None };
        let groups = self.states_of(rule, table, seq, EVENTS_MAX);
        let explainer = rules.explainer(table, rows);
        let is_below = |known: &&std::sync::Arc<crate::ir::Rule>| {
            matches!(known.body, Body::Detection(_)) && correlation.rules.iter().any(|name| known.is_called(name))
        };
        let below = rules.rules().iter().filter(is_below);
        Some(CorrelationExplanation {
            rule_id: rule.to_string(),
            title: asked.metadata.title.clone(),
            holds: groups.iter().any(|state| state.holds),
            groups,
            below: below.filter_map(|known| explainer.why(&known.metadata.id, row)).collect(),
        })
    }

    /// The groups of a correlation that an event counts in, by itself or below a finding. Of the windows with the event it
    /// is one that meets the condition, and else the one that comes nearest to it. `listed_max`: events listed of each.
    #[must_use]
    pub fn states_of(&mut self, rule: &RuleId, table: &TableName, seq: Seq, listed_max: usize) -> Vec<GroupState> {
        let rules = std::sync::Arc::clone(&self.rules);
        let plans = &rules.correlations().plans;
        let Some(index) = plans.iter().position(|plan| rules.rules()[plan.rule].metadata.id == *rule) else {
            return Vec::new();
        };
        let plan = &plans[index];
        let mut states = Vec::new();
        for group in self.states[index].groups.values_mut() {
            let is_it = |known: &str, known_seq: Seq| known == table.as_str() && known_seq == seq;
            let at = group.entries().iter().position(|entry| {
                let mut below = group.below(&entry.identity);
                is_it(&entry.event.table, entry.event.seq) || below.any(|(_, table, seq)| is_it(table, *seq))
            });
            let Some(at) = at else { continue };
            let (holds, window) = nearest_window(plan, group, at);
            let period = group.entries()[at].time.div_euclid(plan.definition.span_nanos);
            let window = finding::of_window(&rules, plan, group, window, (period, [0; 16], listed_max));
            states.push(GroupState { holds, window });
        }
        states
    }
}

/// The window with an entry that meets the condition, or else has the greatest number; and whether it meets it.
fn nearest_window(plan: &Plan, group: &mut Group, at: usize) -> (bool, Range<usize>) {
    let span = plan.definition.span_nanos;
    let time = group.entries()[at].time;
    match plan.mode {
        Mode::Whole => {
            let period = group.period(time.div_euclid(span), span);
            (group.holds(plan, period.clone()), period)
        }
        Mode::Following => {
            let last = group.unfollowed(time, span);
            if last.is_empty() { (false, at..at + 1) } else { (true, last) }
        }
        Mode::Growing | Mode::Closed => {
            let end = group.position(time.saturating_add(span));
            let mut nearest = (false, f64::MIN, at..at + 1);
            for last in at..end {
                let window = group.window_start(last, span)..last + 1;
                let holds = group.holds(plan, window.clone());
                #[expect(clippy::cast_precision_loss, reason = "groups are bounded far below 2^53")]
                let number = group.number(plan, window.clone()).unwrap_or(window.len() as f64);
                if (holds, number) > (nearest.0, nearest.1) {
                    nearest = (holds, number, window);
                }
            }
            (nearest.0, nearest.2)
        }
    }
}
