//! The operator typing against the reference analyzer's matrix.

use serde_json::Value as Json;

use crate::corpora::corpora;
use crate::engine::{Failure, Memory, bound};
use crate::report::{Tally, print_table_when_complete};

const COLUMNS: &str = "datatable(int:int, long:long, real:real, decimal:decimal, string:string, datetime:datetime, \
    timespan:timespan, guid:guid, dynamic:dynamic, bool:bool, b:bool)[]";
const TYPES: [&str; 10] =
    ["int", "long", "real", "decimal", "string", "datetime", "timespan", "guid", "dynamic", "bool"];

#[test]
fn operators_have_the_types_of_the_reference() {
    for corpus in corpora().into_iter().filter(|corpus| corpus.has("type_matrix.json")) {
        let Some(matrix) = corpus.document("type_matrix.json") else { continue };
        let mut tally = Tally::new(&corpus.name, "type_matrix");
        for (operator, pairs) in matrix.as_object().unwrap() {
            for left in TYPES {
                for right in TYPES.into_iter().map(Some).chain([None]) {
                    let key = right.map_or_else(|| left.to_owned(), |right| format!("{left},{right}"));
                    if let Some(expression) = expression(operator, left, right) {
                        tally.count(&expression, check(&expression, pairs.get(&key).and_then(Json::as_str)));
                    }
                }
            }
        }
        tally.finish();
    }
    print_table_when_complete();
}

/// The type of an expression against that of the matrix, where a missing pair is a type error.
fn check(expression: &str, expected: Option<&str>) -> Result<(), Failure> {
    let found = bound(&format!("{COLUMNS} | project x = {expression}"), &Memory::default());
    let found = found.ok().map(|query| query.columns()[0].column_type.name());
    if found == expected { Ok(()) } else { Err(Failure::Broken(format!("{found:?} instead of {expected:?}"))) }
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
