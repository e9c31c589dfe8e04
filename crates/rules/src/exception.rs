//! Exceptions: events of a rule that are known and expected, by the values of their fields.
//!
//! An exception becomes a filter of a Sigma rule, so that the excepted events are none of the rule's: they raise no alert
//! and count in no correlation. Of a correlation, they do not count in that one. Of an analytics rule it becomes a last
//! step of the query. Who made it, and until when it holds, is not known here.

use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::ir::Rule;
use crate::limits;
use crate::sigma::parse_file;

/// Beginning of the ids of filters that exceptions become.
pub const ID_PREFIX: &str = "moneta/exception/";
/// Conditions of one exception at most.
const CONDITIONS_MAX: usize = 16;
/// Values of one condition at most.
const VALUES_MAX: usize = 256;

/// How a field is compared. Case does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The whole value.
    Equals,
    /// A part of it.
    Contains,
    /// Its beginning.
    StartsWith,
    /// Its end.
    EndsWith,
    /// An address within a network.
    Cidr,
}

impl Comparison {
    /// All, with the words for them.
    pub const ALL: [(&'static str, Self); 5] = [
        ("equals", Self::Equals),
        ("contains", Self::Contains),
        ("startswith", Self::StartsWith),
        ("endswith", Self::EndsWith),
        ("cidr", Self::Cidr),
    ];

    /// The comparison of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, comparison)| comparison)
    }
}

/// A field that must have one of some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The field, by the rule's name for it; of an analytics rule a column of its result.
    pub field: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// The values.
    pub values: Vec<String>,
}

/// Checks what an exception says.
///
/// # Errors
/// A sentence that says what to change.
pub fn check(conditions: &[Condition]) -> Result<(), String> {
    if conditions.is_empty() || conditions.len() > CONDITIONS_MAX {
        return Err(format!(
            "an exception has 1 to {CONDITIONS_MAX} conditions; to except everything, disable the rule"
        ));
    }
    for condition in conditions {
        let field = &condition.field;
        if field.is_empty() || field.contains(['|', '\'', ']', '\\', '\n']) {
            return Err(format!("{field:?} is no name of a field"));
        }
        if condition.values.is_empty() || condition.values.len() > VALUES_MAX {
            return Err(format!("the condition on {field} has 1 to {VALUES_MAX} values"));
        }
        if condition.comparison != Comparison::Equals && condition.values.iter().any(String::is_empty) {
            return Err(format!("the condition on {field} has an empty value, which everything has"));
        }
    }
    Ok(())
}

/// The filter that takes the excepted events away from a rule.
///
/// # Errors
/// As [`check`], and when a value cannot be compared so.
pub fn filter(id: &str, rule_id: &str, conditions: &[Condition]) -> Result<Rule, String> {
    check(conditions)?;
    let mut selection: Map<String, Value> = Map::new();
    for condition in conditions {
        let modifier = match condition.comparison {
            Comparison::Equals => "",
            Comparison::Contains => "|contains",
            Comparison::StartsWith => "|startswith",
            Comparison::EndsWith => "|endswith",
            Comparison::Cidr => "|cidr",
        };
        let key = format!("{}{modifier}", condition.field);
        let values: Vec<String> = condition.values.iter().map(|value| literal(value, condition.comparison)).collect();
        if selection.insert(key, values.into()).is_some() {
            return Err(format!("there are two conditions on {}; name all values in one", condition.field));
        }
    }
    let document = json!({
        "title": format!("Exception {id}"), "id": format!("{ID_PREFIX}{id}"), "logsource": {},
        "filter": { "rules": [rule_id], "excepted": selection, "condition": "not excepted" },
    });
    // JSON is YAML.
    let mut file = parse_file("exception", &document.to_string());
    match (file.rules.pop(), file.not_loaded.pop()) {
        (Some(rule), None) => Ok(rule),
        (_, Some(refused)) => Err(reason(&refused.error)),
        (None, None) => Err("the exception says nothing".to_owned()),
    }
}

fn reason(error: &Error) -> String {
    error.to_string()
}

/// A value in which nothing is a wildcard.
fn literal(value: &str, comparison: Comparison) -> String {
    if comparison == Comparison::Cidr {
        return value.to_owned();
    }
    value.replace('\\', "\\\\").replace('*', "\\*").replace('?', "\\?")
}

/// A query whose result lacks the excepted rows.
///
/// # Errors
/// As [`check`], and when the query becomes too long.
pub fn narrow_query(query: &str, conditions: &[Condition]) -> Result<String, String> {
    check(conditions)?;
    let tests: Vec<String> = conditions.iter().map(query_test).collect();
    let query = query.trim_end().trim_end_matches(';');
    let narrowed = format!("{query}\n| where not({})", tests.join(" and "));
    if narrowed.len() > limits::RULE_FILE_BYTES_MAX {
        return Err("the query and its exceptions are too long together".to_owned());
    }
    Ok(narrowed)
}

fn query_test(condition: &Condition) -> String {
    let field = format!("tostring(['{}'])", condition.field);
    let test = |value: &String| {
        let value = json!(value);
        match condition.comparison {
            Comparison::Equals => format!("{field} =~ {value}"),
            Comparison::Contains => format!("{field} contains {value}"),
            Comparison::StartsWith => format!("{field} startswith {value}"),
            Comparison::EndsWith => format!("{field} endswith {value}"),
            Comparison::Cidr => format!("(ipv4_is_in_range({field}, {value}) or ipv6_is_in_range({field}, {value}))"),
        }
    };
    let tests: Vec<String> = condition.values.iter().map(test).collect();
    format!("({})", tests.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(field: &str, comparison: Comparison, values: &[&str]) -> Condition {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Condition { field: field.to_owned(), comparison, values }
    }

    #[test]
    fn an_exception_is_a_filter_whose_values_have_no_wildcards() {
        let conditions = [
            condition("Image", Comparison::EndsWith, &["\\a*b?.exe"]),
            condition("User", Comparison::Equals, &["svc"]),
        ];
        let rule = filter("e1", "r1", &conditions).unwrap();
        assert_eq!(rule.metadata.id.as_str(), "moneta/exception/e1");
        let text = format!("{:?}", rule.body);
        assert!(text.contains("a*b?.exe"), "{text}");
        assert!(filter("e", "r", &[condition("Ip", Comparison::Cidr, &["10.0.0.0/99"])]).is_err());
    }

    #[test]
    fn a_query_gets_a_last_step() {
        let narrowed =
            narrow_query("T | summarize n = count() by User;\n", &[condition("User", Comparison::Equals, &["a\"b"])]);
        assert_eq!(
            narrowed.unwrap(),
            "T | summarize n = count() by User\n| where not((tostring(['User']) =~ \"a\\\"b\"))"
        );
    }

    #[test]
    fn what_would_except_everything_is_refused() {
        for conditions in [
            vec![],
            vec![condition("", Comparison::Equals, &["x"])],
            vec![condition("A']", Comparison::Equals, &["x"])],
            vec![condition("A", Comparison::Contains, &[""])],
            vec![condition("A", Comparison::Equals, &[])],
        ] {
            assert!(check(&conditions).is_err(), "{conditions:?}");
        }
        let twice = [condition("A", Comparison::Equals, &["x"]), condition("A", Comparison::Equals, &["y"])];
        assert!(filter("e", "r", &twice).unwrap_err().contains("two conditions"));
    }
}
