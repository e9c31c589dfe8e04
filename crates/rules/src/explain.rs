//! Why a rule holds in a row, or does not: its log source and each of its parts, with the values that decided.
//!
//! Computed the plain way, one row at a time, from the module `reference`; what it says of the whole rule is what the
//! vectorised matcher finds, which tests hold. Nothing here is on the way of an event.

use moneta_base::RuleId;
use serde::Serialize;

use crate::compile::Explainer;
use crate::ir::{Body, Detection, Expression};
use crate::reference::RowView;

/// Parts of a list shown of which none decides: the others are counted.
const PARTS_SHOWN_MAX: usize = 8;
/// Values of one field shown.
const VALUES_SHOWN_MAX: usize = 8;
/// Conditions that a row met named at most.
const CONDITIONS_MAX: usize = 32;
/// Characters of one value shown.
const VALUE_CHARS_MAX: usize = 400;

/// Why a rule holds in a row, or does not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The rule's id.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// Whether it holds.
    pub holds: bool,
    /// Why it cannot hold whatever the row says; empty where it could.
    pub never: String,
    /// Once for each place of the row's table where the rule's log source lies.
    pub places: Vec<Place>,
}

/// A rule on the rows of one log source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place {
    /// Whether the rule holds there.
    pub holds: bool,
    /// What rows of the log source have, and whether this one does. Where it does not, the rest does not count.
    pub source: Vec<Step>,
    /// The condition as written.
    pub condition: String,
    /// The parts of the condition by name.
    pub searches: Vec<(String, Step)>,
}

/// A part of a condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Step {
    /// A test of one field.
    Test {
        /// Whether it holds.
        holds: bool,
        /// The field by the rule's name.
        field: String,
        /// What must be true of it.
        test: String,
        /// The values the row has; none where it is absent.
        values: Vec<String>,
    },
    /// All parts must hold.
    All {
        /// Whether they do.
        holds: bool,
        /// The parts.
        parts: Vec<Step>,
        /// Parts that are not shown.
        left_out: usize,
    },
    /// At least one part must hold.
    Any {
        /// Whether one does.
        holds: bool,
        /// The parts: those that hold, or where none does, the first of them.
        parts: Vec<Step>,
        /// Parts that are not shown.
        left_out: usize,
    },
    /// The part must not hold.
    Not {
        /// Whether it does not.
        holds: bool,
        /// The part.
        part: Box<Step>,
    },
}

impl Explanation {
    /// The whole as lines for people; `table` is the event's.
    #[must_use]
    pub fn lines(&self, table: &str) -> Vec<String> {
        let verb = if self.holds { "matches" } else { "does not match" };
        let mut lines = vec![format!("{} ({}) {verb} the event in {table}", self.title, self.rule_id)];
        lines.extend((!self.never.is_empty()).then(|| self.never.clone()));
        for place in &self.places {
            lines.push("log source".to_owned());
            lines.extend(place.source.iter().flat_map(|step| step.lines(1)));
            lines.push(format!("condition: {}", place.condition));
            for (name, step) in &place.searches {
                lines.push(format!("{} {name}", if step.holds() { '+' } else { '-' }));
                lines.extend(step.lines(1));
            }
        }
        lines
    }
}

impl Step {
    /// Whether the part holds.
    #[must_use]
    pub const fn holds(&self) -> bool {
        match self {
            Self::Test { holds, .. } | Self::All { holds, .. } | Self::Any { holds, .. } | Self::Not { holds, .. } => {
                *holds
            }
        }
    }

    /// The part as lines for people, each deeper one indented further; `+` before what holds, `-` before what does not.
    #[must_use]
    pub fn lines(&self, depth: usize) -> Vec<String> {
        let sign = if self.holds() { '+' } else { '-' };
        let indent = "  ".repeat(depth);
        let headed = |head: &str, parts: &[Self], left_out: usize| {
            let mut lines = vec![format!("{indent}{sign} {head}")];
            lines.extend(parts.iter().flat_map(|part| part.lines(depth + 1)));
            if left_out > 0 {
                lines.push(format!("{indent}    and {left_out} more"));
            }
            lines
        };
        match self {
            Self::Test { field, test, values, .. } => {
                let shown = if values.is_empty() { "it is absent".to_owned() } else { values.join(" | ") };
                vec![format!("{indent}{sign} {field} {test}: {shown}")]
            }
            Self::All { parts, left_out, .. } => headed("all of", parts, *left_out),
            Self::Any { parts, left_out, .. } => headed("any of", parts, *left_out),
            Self::Not { part, .. } => headed("not", std::slice::from_ref(part), 0),
        }
    }
}

/// A condition of a rule and the value that met it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetCondition {
    /// The field by the rule's name.
    pub field: String,
    /// What must be true of it.
    pub test: String,
    /// The value.
    pub value: String,
}

impl Explainer<'_> {
    /// The conditions of a rule that a row meets and by which it holds there, each once, those left out that must not be
    /// met; 32 at most. None where it does not hold.
    #[must_use]
    pub fn conditions(&self, rule: usize, row: u32) -> Vec<MetCondition> {
        let Body::Detection(Detection { expression, .. }) = &self.rules()[rule].body else { return Vec::new() };
        let mut met: Vec<MetCondition> = Vec::new();
        if let Some(view) = self.held(rule, row).next() {
            view.each_met(expression, &mut |test, value| {
                let (field, described) = (test.field.to_string(), short(test.matcher.describe()));
                let one = MetCondition { field, test: described, value: short(value) };
                if met.len() < CONDITIONS_MAX && !met.contains(&one) {
                    met.push(one);
                }
            });
        }
        met
    }

    /// Why a rule holds in a row, or does not; `None` when there is no such rule.
    #[must_use]
    pub fn why(&self, id: &RuleId, row: u32) -> Option<Explanation> {
        let index = self.rules().iter().position(|rule| rule.metadata.id == *id)?;
        let rule = &self.rules()[index];
        let never = match &rule.body {
            Body::Correlation(correlation) => {
                format!("it looks at several events; its rules are: {}", correlation.rules.join(", "))
            }
            Body::Filter(_) => "it only narrows other rules; ask about one of those".to_owned(),
            Body::Detection(detection) if self.row_views(index, row).next().is_none() => {
                format!("its log source, {}, does not lie in the table of this event", detection.log_source)
            }
            Body::Detection(_) => String::new(),
        };
        let places: Vec<Place> = match &rule.body {
            Body::Detection(detection) => self.row_views(index, row).map(|view| place(&view, detection)).collect(),
            _ => Vec::new(),
        };
        Some(Explanation {
            rule_id: rule.metadata.id.to_string(),
            title: rule.metadata.title.clone(),
            holds: places.iter().any(|place| place.holds),
            never,
            places,
        })
    }
}

fn place(view: &RowView<'_, '_>, detection: &Detection) -> Place {
    let source = view.source_conditions().map(|(field, wanted, values, holds)| Step::Test {
        holds,
        field,
        test: format!("matches {}", wanted.join(" or ")),
        values: shown(values),
    });
    // Parts that the condition does not use may name fields that nothing was read for.
    let used = detection.searches.iter().filter(|(_, part)| view.knows(part));
    let searches = used.map(|(name, part)| (name.clone(), step(view, part)));
    Place {
        holds: view.in_source() && view.holds(&detection.expression),
        source: source.collect(),
        condition: detection.condition.clone(),
        searches: searches.collect(),
    }
}

fn step(view: &RowView<'_, '_>, expression: &Expression) -> Step {
    match expression {
        Expression::Constant(holds) => Step::All { holds: *holds, parts: Vec::new(), left_out: 0 },
        Expression::Test(test) => Step::Test {
            holds: view.holds(expression),
            field: test.field.to_string(),
            test: test.matcher.describe(),
            values: shown(view.cell(&test.field).values().iter().map(ToString::to_string).collect()),
        },
        Expression::Not(inner) => Step::Not { holds: view.holds(expression), part: Box::new(step(view, inner)) },
        Expression::All(parts) => {
            // What holds decides nothing where something does not.
            let (parts, left_out) = chosen(view, parts, false);
            Step::All { holds: view.holds(expression), parts, left_out }
        }
        Expression::Any(parts) => {
            let (parts, left_out) = chosen(view, parts, true);
            Step::Any { holds: view.holds(expression), parts, left_out }
        }
    }
}

/// The parts that decide: those that hold as `deciding` says; where there are none, all of them. The first of many.
fn chosen(view: &RowView<'_, '_>, parts: &[Expression], deciding: bool) -> (Vec<Step>, usize) {
    let decides = |part: &&Expression| view.holds(part) == deciding;
    let mut few: Vec<&Expression> = parts.iter().filter(decides).collect();
    if few.is_empty() {
        few = parts.iter().collect();
    }
    few.truncate(PARTS_SHOWN_MAX);
    (few.iter().map(|part| step(view, part)).collect(), parts.len() - few.len())
}

fn short(value: String) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    }
}

fn shown(values: Vec<String>) -> Vec<String> {
    values.into_iter().take(VALUES_SHOWN_MAX).map(short).collect()
}
