//! `filter_path`: the parts of an answer that a client wants. Senders want of bulk requests what went wrong.
//!
//! # Source
//! Elasticsearch reference, "Common options", response filtering: paths with commas between, parts with dots, `*` for a part
//! of a name, `**` for any number of parts, a minus before what is left out. Arrays count for nothing in a path.

use serde_json::{Map, Value};

/// Parts of a path at most; what lies deeper is no part of an answer.
const PARTS_MAX: usize = 16;

/// The answer without what the paths do not name; as it is when there are none.
pub(super) fn filtered(answer: Value, paths: &str) -> Value {
    let all: Vec<&str> = paths.split(',').map(str::trim).filter(|path| !path.is_empty()).collect();
    let split = |path: &str| path.split('.').take(PARTS_MAX).map(str::to_owned).collect::<Vec<_>>();
    let wanted: Vec<Vec<String>> = all.iter().filter(|path| !path.starts_with('-')).map(|path| split(path)).collect();
    let unwanted: Vec<Vec<String>> = all.iter().filter_map(|path| path.strip_prefix('-')).map(split).collect();
    let kept =
        if wanted.is_empty() { answer } else { keep(answer, &slices(&wanted)).unwrap_or(Value::Object(Map::new())) };
    if unwanted.is_empty() { kept } else { leave_out(kept, &slices(&unwanted)) }
}

fn slices(paths: &[Vec<String>]) -> Vec<&[String]> {
    paths.iter().map(Vec::as_slice).collect()
}

/// What remains of the paths that go on below a member.
fn below<'a>(paths: &[&'a [String]], member: &str) -> Vec<&'a [String]> {
    let mut rest = Vec::new();
    for path in paths {
        match path {
            [any, after @ ..] if any == "**" => {
                rest.push(*path);
                rest.extend(below(&[after], member));
            }
            [part, after @ ..] if is_like(part, member) => rest.push(after),
            _ => {}
        }
    }
    rest
}

/// Whether a name is like a pattern; each star takes the least it can, so that no pattern costs more than one look.
fn is_like(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The parts of a value that paths lead to; `None` when none does.
fn keep(value: Value, paths: &[&[String]]) -> Option<Value> {
    if paths.iter().any(|path| path.iter().all(|part| part == "**")) {
        return Some(value);
    }
    match value {
        Value::Array(items) => {
            let kept: Vec<Value> = items.into_iter().filter_map(|item| keep(item, paths)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::Object(members) => {
            let part = |(name, value): (String, Value)| {
                let rest = below(paths, &name);
                let kept = if rest.is_empty() { None } else { keep(value, &rest) };
                Some((name, kept?))
            };
            let kept: Map<String, Value> = members.into_iter().filter_map(part).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        _ => None,
    }
}

fn leave_out(value: Value, paths: &[&[String]]) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| leave_out(item, paths)).collect(),
        Value::Object(members) => {
            let part = |(name, value): (String, Value)| {
                let rest = below(paths, &name);
                let ends = rest.iter().any(|path| path.is_empty());
                (!ends).then(|| (name, leave_out(value, &rest)))
            };
            Value::Object(members.into_iter().filter_map(part).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_named_remains() {
        let answer = json!({ "took": 3, "errors": true, "items": [
            { "create": { "_index": "a", "status": 201 } },
            { "index": { "_index": "b", "status": 429, "error": { "type": "busy" } } },
        ] });
        let check = |paths: &str, expected: Value| assert_eq!(filtered(answer.clone(), paths), expected, "{paths}");
        check("", answer.clone());
        check("errors", json!({ "errors": true }));
        check(
            "errors,items.*.error",
            json!({ "errors": true, "items": [{ "index": { "error": { "type": "busy" } } }] }),
        );
        let statuses = json!({ "items": [{ "create": { "status": 201 } }, { "index": { "status": 429, "error": { "type": "busy" } } }] });
        check("items.*.error,items.*.status", statuses.clone());
        check("items.*.e*r,items.**.status", statuses);
        check("**.type", json!({ "items": [{ "index": { "error": { "type": "busy" } } }] }));
        check("absent", json!({}));
        check("items.*._index,-items.index", json!({ "items": [{ "create": { "_index": "a" } }, {}] }));
        check("-items,-took", json!({ "errors": true }));
        check(&format!("items.{}", "*".repeat(30)), json!({ "items": answer["items"] }));
        check(&format!("{}x", "*e".repeat(1_000)), json!({}));
    }
}
