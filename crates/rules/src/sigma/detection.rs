//! The `detection` part of a rule: search identifiers that are maps, lists of maps, or keywords.

use crate::error::Error;
use crate::ir::{Expression, Field};
use crate::limits;
use crate::placeholders::Placeholders;
use crate::yaml::{Kind, Node};

use super::modifier::{self, Modifiers};

/// A search identifier with its meaning.
pub(super) type Detection = (String, Expression);

/// Reads all search identifiers, in file order.
pub(super) fn parse_detections(node: &Node, placeholders: &Placeholders) -> Result<Vec<Detection>, Error> {
    let Kind::Map(pairs) = &node.kind else {
        return Err(Error::rule(node.line, "the detection is a map of search identifiers and a condition"));
    };
    let mut detections = Vec::new();
    let mut num_tests = 0;
    for (name, value) in pairs.iter().filter(|(name, _)| name != "condition" && name != "timeframe") {
        let expression = parse_detection(name, value, placeholders)?;
        num_tests += expression.num_tests();
        check_num_tests(num_tests)?;
        detections.push((name.clone(), expression));
    }
    if let Some((_, timeframe)) = pairs.iter().find(|(name, _)| name == "timeframe") {
        return Err(Error::unsupported(
            timeframe.line,
            "timeframe is not part of Sigma 2; write a correlation rule instead",
        ));
    }
    Ok(detections)
}

/// Refuses a rule whose values multiply beyond reason.
pub(super) fn check_num_tests(num_tests: usize) -> Result<(), Error> {
    let bound = limits::RULE_TESTS_MAX;
    if num_tests > bound {
        return Err(Error::Limit { what: "the number of tests in the rule", limit: "RULE_TESTS_MAX", bound });
    }
    Ok(())
}

/// A map joins its items with AND, a list its items with OR; a bare value is a keyword.
fn parse_detection(name: &str, node: &Node, placeholders: &Placeholders) -> Result<Expression, Error> {
    match &node.kind {
        // Nothing to ask for would be met by everything.
        Kind::Map(pairs) if pairs.is_empty() => Err(Error::rule(node.line, format!("{name} is empty"))),
        Kind::Map(pairs) => {
            let items: Result<Vec<_>, _> =
                pairs.iter().map(|(key, value)| parse_item(key, value, placeholders)).collect();
            Ok(Expression::all(items?))
        }
        Kind::List(items) if items.is_empty() => Err(Error::rule(node.line, format!("{name} is empty"))),
        Kind::List(items) => {
            let parts: Result<Vec<_>, _> = items.iter().map(|item| parse_detection(name, item, placeholders)).collect();
            Ok(Expression::any(parts?))
        }
        Kind::Scalar(_) => {
            modifier::apply(&Field::Anywhere, &Modifiers::default(), std::slice::from_ref(node), placeholders)
        }
    }
}

/// `Field|modifier|…: value or values`.
fn parse_item(key: &str, node: &Node, placeholders: &Placeholders) -> Result<Expression, Error> {
    let mut parts = key.split('|');
    let name = parts.next().unwrap_or_default().trim();
    let modifiers = Modifiers::parse(parts, node.line)?;
    let field = if name.is_empty() { Field::Anywhere } else { Field::named(name) };
    match &node.kind {
        Kind::List(values) if values.is_empty() => {
            Err(Error::rule(node.line, format!("{key} has no values; write null to ask for an absent field")))
        }
        Kind::List(values) => modifier::apply(&field, &modifiers, values, placeholders),
        Kind::Scalar(_) => modifier::apply(&field, &modifiers, std::slice::from_ref(node), placeholders),
        Kind::Map(_) => Err(Error::rule(node.line, format!("{key} holds a map; a field has one value or a list"))),
    }
}
