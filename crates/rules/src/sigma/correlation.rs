//! Correlation documents: conditions on what other rules found within a time.
//!
//! # Source
//! Sigma correlation rules specification 2.1 and its JSON schema; `condition` of temporal correlations also as the
//! expression over rules that version 2.2 adds. `first_seen` and `absence` are ours: the specification has no type for a
//! value that was not there before, or for events that stop.

use std::collections::BTreeMap;

use crate::correlation::{Bound, Correlation, Kind as CorrelationKind, RuleCondition, Threshold};
use crate::error::Error;
use crate::limits;
use crate::nearest;
use crate::yaml::{Kind, Meaning, Node};

/// Names of the types.
const TYPES: [&str; 10] = [
    "event_count",
    "value_count",
    "temporal",
    "temporal_ordered",
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
    "first_seen",
    "absence",
];
/// Keys of the `correlation` part.
const KEYS: [&str; 7] = ["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];

/// Reads the `correlation` part; `generate` may also stand beside it.
pub(super) fn parse(node: &Node, generate: Option<&Node>) -> Result<Correlation, Error> {
    let Kind::Map(pairs) = &node.kind else {
        return Err(Error::rule(node.line, "correlation is a map of type, rules, group-by, timespan and condition"));
    };
    if let Some((key, value)) = pairs.iter().find(|(key, _)| !KEYS.contains(&key.as_str())) {
        let message = format!("a correlation has no {key:?}; {}", nearest::hint(key, KEYS));
        return Err(Error::rule(value.line, message));
    }
    let rules = bounded(node.get("rules").map(Node::texts).unwrap_or_default(), "rules of the correlation")?;
    if rules.is_empty() {
        return Err(Error::rule(node.line, "the correlation names no rules"));
    }
    if rules.len() > limits::CORRELATION_RULES_MAX {
        let bound = limits::CORRELATION_RULES_MAX;
        return Err(Error::Limit { what: "the number of correlated rules", limit: "CORRELATION_RULES_MAX", bound });
    }
    let timespan = node.get("timespan").ok_or_else(|| Error::rule(node.line, "the correlation has no timespan"))?;
    let kind_node = node.get("type").ok_or_else(|| Error::rule(node.line, "the correlation has no type"))?;
    let correlation = Correlation {
        kind: parse_kind(kind_node, node.get("condition"), &rules)?,
        group_by: bounded(node.get("group-by").map(Node::texts).unwrap_or_default(), "fields of group-by")?,
        span_nanos: parse_timespan(timespan)?,
        aliases: parse_aliases(node.get("aliases"), &rules)?,
        generate: parse_generate(node.get("generate").or(generate))?,
        rules,
    };
    if correlation.counts_to() > limits::CORRELATION_EVENTS_MAX {
        let bound = limits::CORRELATION_EVENTS_MAX;
        return Err(Error::Limit { what: "what the correlation counts to", limit: "CORRELATION_EVENTS_MAX", bound });
    }
    Ok(correlation)
}

fn bounded(names: Vec<String>, what: &'static str) -> Result<Vec<String>, Error> {
    let bound = limits::CORRELATION_FIELDS_MAX.max(limits::CORRELATION_RULES_MAX);
    if names.len() > bound {
        return Err(Error::Limit { what, limit: "CORRELATION_FIELDS_MAX", bound });
    }
    let mut unique = Vec::with_capacity(names.len());
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    Ok(unique)
}

fn parse_generate(node: Option<&Node>) -> Result<bool, Error> {
    let Some(node) = node else { return Ok(false) };
    match &node.kind {
        Kind::Scalar(scalar) => match scalar.meaning() {
            Meaning::Bool(value) => Ok(value),
            _ => Err(Error::rule(node.line, "generate is true or false")),
        },
        _ => Err(Error::rule(node.line, "generate is true or false")),
    }
}

/// `90m`: a number and a letter.
fn parse_timespan(node: &Node) -> Result<i64, Error> {
    let text = node.text().unwrap_or_default();
    let refused = || Error::rule(node.line, format!("the timespan {text:?} is not a number and one of s, m, h, d"));
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?);
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(refused()),
    };
    let number: i64 = digits.parse().map_err(|_| refused())?;
    let span = number.checked_mul(seconds).filter(|span| *span > 0).ok_or_else(refused)?;
    if span > limits::TIMESPAN_DAYS_MAX * 86_400 {
        let bound = usize::try_from(limits::TIMESPAN_DAYS_MAX).unwrap_or(usize::MAX);
        return Err(Error::Limit { what: "the timespan", limit: "TIMESPAN_DAYS_MAX", bound });
    }
    Ok(span * 1_000_000_000)
}

fn parse_aliases(node: Option<&Node>, rules: &[String]) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
    let Some(node) = node else { return Ok(BTreeMap::new()) };
    let refused = |line| Error::rule(line, "aliases is a map of alias to a map of rule to field");
    let Kind::Map(aliases) = &node.kind else { return Err(refused(node.line)) };
    let mut parsed = BTreeMap::new();
    for (alias, fields) in aliases {
        let Kind::Map(fields) = &fields.kind else { return Err(refused(fields.line)) };
        let mut by_rule = BTreeMap::new();
        for (rule, field) in fields {
            if !rules.contains(rule) {
                let message =
                    format!("the alias {alias} names the rule {rule:?}; {}", nearest::hint(rule, rules.iter()));
                return Err(Error::rule(field.line, message));
            }
            by_rule.insert(rule.clone(), field.text().ok_or_else(|| refused(field.line))?.to_owned());
        }
        parsed.insert(alias.clone(), by_rule);
    }
    Ok(parsed)
}

fn parse_kind(node: &Node, condition: Option<&Node>, rules: &[String]) -> Result<CorrelationKind, Error> {
    let name = node.text().unwrap_or_default();
    let needed = || condition.ok_or_else(|| Error::rule(node.line, format!("{name} needs a condition")));
    let with_field = || {
        let condition = needed()?;
        let fields = bounded(condition.get("field").map(Node::texts).unwrap_or_default(), "fields of the condition")?;
        match fields.is_empty() {
            true => Err(Error::rule(condition.line, format!("the condition of {name} names no field"))),
            false => Ok((fields, parse_threshold(condition)?)),
        }
    };
    let with_one_field = || {
        let (mut fields, threshold) = with_field()?;
        match fields.len() {
            1 => Ok((fields.remove(0), threshold)),
            _ => Err(Error::rule(node.line, format!("the condition of {name} has one field"))),
        }
    };
    Ok(match name {
        "event_count" => CorrelationKind::EventCount(parse_threshold(needed()?)?),
        "value_count" => {
            let (fields, threshold) = with_field()?;
            CorrelationKind::ValueCount { fields, threshold }
        }
        "first_seen" => {
            let condition = needed()?;
            let fields =
                bounded(condition.get("field").map(Node::texts).unwrap_or_default(), "fields of the condition")?;
            if fields.is_empty() {
                return Err(Error::rule(condition.line, "the condition of first_seen names no field"));
            }
            CorrelationKind::FirstSeen { fields, before: parse_events_before(condition)? }
        }
        "absence" => match condition {
            None => CorrelationKind::Absence,
            Some(condition) => {
                return Err(Error::rule(
                    condition.line,
                    "absence has no condition: no event within the timespan is it",
                ));
            }
        },
        "temporal" => CorrelationKind::Temporal(parse_rule_condition(condition, rules)?),
        "temporal_ordered" => CorrelationKind::TemporalOrdered(parse_rule_condition(condition, rules)?),
        "value_sum" => {
            let (field, threshold) = with_one_field()?;
            CorrelationKind::ValueSum { field, threshold }
        }
        "value_avg" => {
            let (field, threshold) = with_one_field()?;
            CorrelationKind::ValueAvg { field, threshold }
        }
        "value_median" => {
            let (field, threshold) = with_one_field()?;
            CorrelationKind::ValuePercentile { field, percent: 50.0, threshold }
        }
        "value_percentile" => {
            let (field, threshold) = with_one_field()?;
            match condition.and_then(|condition| condition.get("percentile")) {
                Some(percentile) => {
                    let percent = number(percentile)?;
                    if !(0.0..=100.0).contains(&percent) {
                        return Err(Error::rule(percentile.line, "a percentile is a number from 0 to 100"));
                    }
                    CorrelationKind::ValuePercentile { field, percent, threshold }
                }
                None => CorrelationKind::ValueShare { field, threshold },
            }
        }
        other => {
            let message = format!("there is no correlation type {other:?}; {}", nearest::hint(other, TYPES));
            return Err(Error::rule(node.line, message));
        }
    })
}

/// How many events must have been there before a value counts as new: at least one, unless the condition says more.
fn parse_events_before(condition: &Node) -> Result<Threshold, Error> {
    let Kind::Map(pairs) = &condition.kind else {
        return Err(Error::rule(condition.line, "the condition is a map such as field: Country"));
    };
    match pairs.iter().any(|(key, _)| key != "field") {
        true => parse_threshold(condition),
        false => Ok(Threshold { bounds: vec![(Bound::AtLeast, 1.0)] }),
    }
}

fn number(node: &Node) -> Result<f64, Error> {
    let refused = || Error::rule(node.line, "a condition compares with a number");
    let Kind::Scalar(scalar) = &node.kind else { return Err(refused()) };
    #[expect(clippy::cast_precision_loss, reason = "thresholds are far below 2^53")]
    match scalar.meaning() {
        Meaning::Integer(value) => Ok(value as f64),
        Meaning::Real(value) => Ok(value),
        _ => scalar.text.trim().parse().map_err(|_| refused()),
    }
}

fn parse_threshold(node: &Node) -> Result<Threshold, Error> {
    let Kind::Map(pairs) = &node.kind else {
        return Err(Error::rule(node.line, "the condition is a map such as gte: 10"));
    };
    let mut bounds = Vec::new();
    for (key, value) in pairs {
        let bound = match key.as_str() {
            "field" | "percentile" => continue,
            "gt" => Bound::Above,
            "gte" => Bound::AtLeast,
            "lt" => Bound::Below,
            "lte" => Bound::AtMost,
            "eq" => Bound::Equal,
            "neq" => Bound::Different,
            other => {
                let known = ["gt", "gte", "lt", "lte", "eq", "neq", "field", "percentile"];
                let message = format!("the condition has no {other:?}; {}", nearest::hint(other, known));
                return Err(Error::rule(value.line, message));
            }
        };
        bounds.push((bound, number(value)?));
    }
    match bounds.is_empty() {
        true => Err(Error::rule(node.line, "the condition compares with nothing; write gte and a number")),
        false => Ok(Threshold { bounds }),
    }
}

/// Which of the rules must be met: all, a number of them, or as an expression says.
fn parse_rule_condition(node: Option<&Node>, rules: &[String]) -> Result<RuleCondition, Error> {
    let Some(node) = node else { return Ok(RuleCondition::All) };
    match &node.kind {
        Kind::Map(_) => Ok(RuleCondition::Count(parse_threshold(node)?)),
        _ => {
            let text = node.text().ok_or_else(|| Error::rule(node.line, "the condition is empty"))?;
            super::condition::over_rules(text, node, rules).map(RuleCondition::Expression)
        }
    }
}
