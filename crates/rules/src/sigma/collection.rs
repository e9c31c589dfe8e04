//! Rule collections: documents with an `action` that change the documents behind them.
//!
//! `global` adds its keys to all following documents, `reset` ends that, `repeat` is the document before with changes.
//! Where both sides have a map, the maps are joined; anything else of the later document replaces what was there.
//!
//! # Source
//! Sigma specification 1.0, section "Rule Collections"; version 2 keeps reading them.

use crate::error::Error;
use crate::yaml::{Kind, Node};

/// Carries out the actions of a file, and returns the documents that are rules, or why one is none.
pub(super) fn expand(documents: Vec<Node>) -> Vec<Result<Node, (Node, Error)>> {
    let mut expanded = Vec::with_capacity(documents.len());
    let mut global: Option<Node> = None;
    let mut previous: Option<Node> = None;
    for document in documents {
        let action = document.get("action").map(|node| (node.line, node.text().unwrap_or_default().to_owned()));
        let body = without_action(document);
        let Some((line, action)) = action else {
            let rule = merged_into(global.as_ref(), body);
            previous = Some(rule.clone());
            expanded.push(Ok(rule));
            continue;
        };
        match (action.as_str(), &previous) {
            ("global", _) => global = Some(merged_into(global.as_ref(), body)),
            ("reset", _) => global = None,
            ("repeat", Some(before)) => {
                let rule = merged_into(Some(before), body);
                previous = Some(rule.clone());
                expanded.push(Ok(rule));
            }
            ("repeat", None) => {
                expanded.push(Err((body, Error::rule(line, "action: repeat has no document before it to repeat"))));
            }
            (other, _) => {
                let message = format!("there is no action {other:?}; there are global, reset and repeat");
                expanded.push(Err((body, Error::rule(line, message))));
            }
        }
    }
    expanded
}

fn without_action(document: Node) -> Node {
    let kind = match document.kind {
        Kind::Map(pairs) => Kind::Map(pairs.into_iter().filter(|(key, _)| key != "action").collect()),
        other => other,
    };
    Node { line: document.line, kind }
}

/// `later` with what only `base` has. Both are bounded in depth by the parser.
fn merged_into(base: Option<&Node>, later: Node) -> Node {
    let Some(base) = base else { return later };
    let (Kind::Map(under), Kind::Map(over)) = (&base.kind, &later.kind) else { return later };
    let mut pairs = under.clone();
    for (key, value) in over {
        match pairs.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = merged_into(Some(known), value.clone()),
            None => pairs.push((key.clone(), value.clone())),
        }
    }
    Node { line: later.line, kind: Kind::Map(pairs) }
}
