//! Tests that stand beside a rule: events that must and must not meet it.
//!
//! ```yaml
//! tests:
//!   - name: cleared by an administrator
//!     table: SecurityEvent
//!     matches: true
//!     events:
//!       - { EventID: 1102, TimeGenerated: 2026-01-01T00:00:00Z }
//! ```
//! Fields are columns of the table, or stand in `_Extra`. A list or a map is the JSON text of it. A test runs the whole rule set as the monitor would, so that a
//! correlation is tested through the rules it refers to. This module never reads stored events.

use std::sync::Arc;

use moneta_base::{RuleId, SourceName, TableName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, RecordClass, TableCatalog, TableSchema, Value};

use crate::compile::CompiledRules;
use crate::correlation::{Correlator, Settings};
use crate::error::Error;
use crate::limits;
use crate::yaml::{Kind, Meaning, Node};

/// One test of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTest {
    /// What it shows.
    pub name: String,
    /// The table of its events.
    pub table: TableName,
    /// Whether the rule must be met by some of the events, or by none.
    pub matches: bool,
    /// Fields and values of each event.
    pub events: Vec<Vec<(String, String)>>,
}

/// A test whose outcome is another than it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestFailure {
    /// The rule's id.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// The test's name.
    pub test: String,
    /// Whether the rule should have been met.
    pub expected: bool,
}

/// Reads the `tests` of a rule.
pub(crate) fn parse(node: Option<&Node>) -> Result<Vec<RuleTest>, Error> {
    let Some(node) = node else { return Ok(Vec::new()) };
    let Kind::List(tests) = &node.kind else {
        return Err(Error::rule(node.line, "tests is a list of name, table, matches and events"));
    };
    tests.iter().map(parse_test).collect()
}

fn parse_test(node: &Node) -> Result<RuleTest, Error> {
    let text = |key: &str| {
        let found = node.get(key).and_then(Node::text);
        found.ok_or_else(|| Error::rule(node.line, format!("the test has no {key}")))
    };
    let table = TableName::new(text("table")?).map_err(|error| Error::rule(node.line, error.to_string()))?;
    let matches = match text("matches")? {
        "true" => true,
        "false" => false,
        other => return Err(Error::rule(node.line, format!("matches is true or false, not {other:?}"))),
    };
    let Some(Node { kind: Kind::List(events), .. }) = node.get("events") else {
        return Err(Error::rule(node.line, "the test has no list of events"));
    };
    if events.len() > limits::TEST_EVENTS_MAX {
        let bound = limits::TEST_EVENTS_MAX;
        return Err(Error::Limit { what: "the number of events of a test", limit: "TEST_EVENTS_MAX", bound });
    }
    let events = events.iter().map(parse_event).collect::<Result<_, _>>()?;
    Ok(RuleTest { name: text("name")?.to_owned(), table, matches, events })
}

fn parse_event(node: &Node) -> Result<Vec<(String, String)>, Error> {
    let Kind::Map(fields) = &node.kind else {
        return Err(Error::rule(node.line, "an event of a test is a map of fields and values"));
    };
    let field = |(name, value): &(String, Node)| match &value.kind {
        Kind::Scalar(scalar) if scalar.meaning() == Meaning::Null => (name.clone(), String::new()),
        Kind::Scalar(scalar) => (name.clone(), scalar.text.clone()),
        Kind::List(_) | Kind::Map(_) => (name.clone(), json_of(value).to_string()),
    };
    Ok(fields.iter().map(field).collect())
}

fn json_of(node: &Node) -> serde_json::Value {
    match &node.kind {
        Kind::List(items) => items.iter().map(json_of).collect(),
        Kind::Map(fields) => fields.iter().map(|(name, value)| (name.clone(), json_of(value))).collect(),
        Kind::Scalar(scalar) => match scalar.meaning() {
            Meaning::Null => serde_json::Value::Null,
            Meaning::Bool(truth) => truth.into(),
            Meaning::Integer(number) => number.into(),
            Meaning::Real(number) => number.into(),
            Meaning::Text => scalar.text.clone().into(),
        },
    }
}

/// Runs the tests of chosen rules, and returns those whose outcome is another than they say.
#[must_use]
pub fn run(rules: &Arc<CompiledRules>, catalog: &TableCatalog, chosen: impl Fn(&RuleId) -> bool) -> Vec<TestFailure> {
    let mut failures = Vec::new();
    for (index, rule) in rules.rules().iter().enumerate().filter(|(_, rule)| chosen(&rule.metadata.id)) {
        for test in &rule.tests {
            if is_met(rules, index, test, catalog) != test.matches {
                failures.push(TestFailure {
                    rule_id: rule.metadata.id.to_string(),
                    title: rule.metadata.title.clone(),
                    test: test.name.clone(),
                    expected: test.matches,
                });
            }
        }
    }
    failures
}

fn is_met(rules: &Arc<CompiledRules>, rule: usize, test: &RuleTest, catalog: &TableCatalog) -> bool {
    let custom = || Arc::new(TableSchema::custom(test.table.clone()));
    let schema = catalog.get(test.table.as_str()).cloned().unwrap_or_else(custom);
    let mut builder = BatchBuilder::new(schema, RecordClass::Data, Delivery::BestEffort);
    for event in &test.events {
        let mut time = Timestamp::default();
        for (name, value) in event.iter().filter(|(_, value)| !value.is_empty()) {
            match Timestamp::parse(value).filter(|_| name == moneta_event::schema::standard::TIME_GENERATED) {
                Some(given) => time = given,
                None => builder.set_field(name, Value::Text(value)),
            }
        }
        builder.finish_row(time, &SourceName::lossy("test"), "");
    }
    let Some(batch) = builder.finish() else { return false };
    let matches = rules.match_batch(&test.table, &batch.rows);
    if matches.iter().any(|found| found.rule == rule) {
        return true;
    }
    let mut correlator = Correlator::new(Arc::clone(rules), Settings::default());
    let mut findings = correlator.observe(&test.table, &batch.rows, 0, &matches);
    findings.extend(correlator.finish());
    findings.iter().any(|finding| finding.rule == rule)
}
