//! The operator typing against the reference analyzer's matrix.

use serde_json::Value as Json;

use crate::engine::{Memory, bound};

const COLUMNS: &str = "datatable(int:int, long:long, real:real, decimal:decimal, string:string, datetime:datetime, \
    timespan:timespan, guid:guid, dynamic:dynamic, bool:bool, b:bool)[]";
const TYPES: [&str; 10] =
    ["int", "long", "real", "decimal", "string", "datetime", "timespan", "guid", "dynamic", "bool"];

#[test]
fn operators_have_the_types_of_the_reference() {
    let Some(path) = moneta_testkit::corpus_or_skip(1, "kql/type_matrix.json") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let matrix: Json = serde_json::from_str(&text).unwrap();
    let mut wrong = Vec::new();
    for (operator, pairs) in matrix.as_object().unwrap() {
        for left in TYPES {
            for right in TYPES.into_iter().map(Some).chain([None]) {
                let key = right.map_or_else(|| left.to_owned(), |right| format!("{left},{right}"));
                let Some(expression) = expression(operator, left, right) else { continue };
                let found = bound(&format!("{COLUMNS} | project x = {expression}"), &Memory::default());
                let found = found.ok().map(|query| query.columns()[0].column_type.name());
                let expected = pairs.get(&key).and_then(Json::as_str);
                // More than the reference takes is no mistake of typing; a different type is.
                if expected.is_some() && found != expected {
                    wrong.push(format!("{expression}: {found:?} instead of {expected:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn expression(operator: &str, left: &str, right: Option<&str>) -> Option<String> {
    let (left, right) = (format!("['{left}']"), right.map(|right| format!("['{right}']")));
    let is_function = operator.contains('(')
        || operator.starts_with("to")
        || operator.starts_with("is")
        || matches!(operator, "strlen" | "not");
    Some(match (is_function, right) {
        (true, Some(right)) if operator.contains('(') => operator.replace("{0}", &left).replace("{1}", &right),
        (true, None) if !operator.contains('(') => format!("{operator}({left})"),
        (true, _) => return None,
        (false, None) if operator == "-" => format!("-{left}"),
        (false, None) => return None,
        (false, Some(right)) => match operator {
            "between" => format!("{left} between ({right} .. {right})"),
            "in" | "in~" | "has_any" => format!("{left} {operator} ({right})"),
            _ => format!("{left} {operator} {right}"),
        },
    })
}
