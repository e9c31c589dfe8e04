//! Filter documents: a condition that is added to other rules.
//!
//! The condition is joined as written: `not selection` takes the selection's events away from the rules, `selection`
//! keeps nothing else.
//!
//! # Source
//! Sigma filters specification 2.1; what it leaves open follows the reference implementation (`rules: any`, `all`, or
//! none at all, means every rule of the log source).

use crate::error::Error;
use crate::ir::{Filter, LogSource};
use crate::placeholders::Placeholders;
use crate::yaml::{Kind, Node};

use super::condition::Condition;
use super::detection::parse_detections;

/// Reads the `filter` part.
pub(super) fn parse(node: &Node, log_source: LogSource, placeholders: &Placeholders) -> Result<Filter, Error> {
    let Kind::Map(pairs) = &node.kind else {
        return Err(Error::rule(node.line, "filter is a map of rules, selection and condition"));
    };
    let rules = match node.get("rules") {
        Some(Node { kind: Kind::Map(_), line }) => {
            return Err(Error::rule(*line, "the rules of a filter are a list of ids or names, or any"));
        }
        Some(listed) if listed.text().is_some_and(is_every_rule) => Vec::new(),
        Some(listed) => listed.texts(),
        None => Vec::new(),
    };
    let searches = pairs.iter().filter(|(key, _)| key != "rules").cloned().collect();
    let detections = parse_detections(&Node { line: node.line, kind: Kind::Map(searches) }, placeholders)?;
    let condition = node.get("condition").ok_or_else(|| Error::rule(node.line, "the filter has no condition"))?;
    let expression = Condition::new(&detections, condition).expression()?;
    Ok(Filter { rules, log_source, expression })
}

fn is_every_rule(word: impl AsRef<str>) -> bool {
    ["any", "all"].iter().any(|every| word.as_ref().eq_ignore_ascii_case(every))
}
