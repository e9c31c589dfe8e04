//! What makes a text a function that can be stored: it parses, it does not lead back to itself, and it binds against
//! the tables of now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use moneta_event::Column;
use moneta_kql::syntax::{FunctionDeclaration, LetValue, ParameterType, Statement};
use moneta_kql::token::TokenKind;
use moneta_kql::{Diagnostic, render_diagnostics};
use moneta_ports::{OpContext, PortError, QueryRequest, StoredFunction};

use super::names::{check_identifier, refused};
use super::{ObjectSet, built_in};
use crate::engine::Core;
use crate::snapshot::Snapshot;

/// Bytes of a function or a saved query at most.
pub(super) const TEXT_BYTES_MAX: usize = 1 << 20;

/// Checks a function; binds its body unless that is to be skipped.
///
/// # Errors
/// What is wrong with it, with its place.
pub(super) fn check(
    core: &Core,
    ctx: &OpContext,
    set: &ObjectSet,
    function: &StoredFunction,
    skip_validation: bool,
) -> Result<(), PortError> {
    check_identifier("function", &function.name)?;
    if moneta_kql_plan::functions::registry().get(&function.name).is_some() {
        return Err(refused(format!("`{}` is a built-in function; choose another name", function.name)));
    }
    if function.parameters.len() + function.body.len() > TEXT_BYTES_MAX {
        return Err(refused(format!("the function has more than {TEXT_BYTES_MAX} bytes")));
    }
    let text = text_of(function);
    let parsed = moneta_kql::parse(&text);
    if parsed.diagnostics.iter().any(Diagnostic::is_error) {
        return Err(refused(render_diagnostics(&text, &parsed.diagnostics)));
    }
    let declaration = match parsed.tree.statements.as_slice() {
        [Statement::Let(node)] => match &node.value {
            LetValue::Function(declaration) => declaration,
            LetValue::Expression(_) => return Err(refused("a function is `(parameters) { body }`")),
        },
        _ => return Err(refused("a function is `(parameters) { body }`, and nothing after it")),
    };
    refuse_cycles(set, function)?;
    if skip_validation {
        return Ok(());
    }
    match arguments(declaration) {
        Some(arguments) => bind_call(core, ctx, set, function, &arguments),
        None => Ok(()),
    }
}

/// The columns of the rows that a stored function gives; empty when it gives a value, takes a table or does not bind.
pub(super) fn columns(core: &Core, ctx: &OpContext, function: &StoredFunction) -> Vec<(String, String)> {
    let parsed = moneta_kql::parse(&text_of(function));
    let Some(Statement::Let(node)) = parsed.tree.statements.first() else { return Vec::new() };
    let LetValue::Function(declaration) = &node.value else { return Vec::new() };
    let Some(arguments) = arguments(declaration) else { return Vec::new() };
    let call = format!("{}({})", function.name, arguments.join(", "));
    let options = core.bind_options(ctx, &QueryRequest::new(&call));
    let (bound, _) = moneta_kql_plan::bind(&moneta_kql::parse(&call).tree, &core.snapshot(), &options);
    let result = bound.and_then(|bound| bound.results.into_iter().next());
    let columns = result.map(|result| result.relation.columns);
    let column = |column: &Column| (column.name.to_string(), column.column_type.name().to_owned());
    columns.iter().flat_map(|columns| columns.iter()).map(column).collect()
}

fn text_of(function: &StoredFunction) -> String {
    format!("let {} = {} {};", function.name, function.parameters, function.body)
}

/// Arguments with which a function can be bound; `None` when it takes a table: which columns that will have, only its
/// callers know.
fn arguments(declaration: &FunctionDeclaration) -> Option<Vec<String>> {
    let mut arguments = Vec::new();
    for parameter in &declaration.parameters {
        match &parameter.ty {
            ParameterType::Table(_) => return None,
            ParameterType::Scalar(_) if parameter.default.is_some() => {}
            ParameterType::Scalar(name) if name.text == "string" => {
                arguments.push(format!("{}=''", parameter.name.text));
            }
            ParameterType::Scalar(name) => arguments.push(format!("{}={}(null)", parameter.name.text, name.text)),
        }
    }
    Some(arguments)
}

/// Refuses a function that calls itself, be it through others: no query could use it.
fn refuse_cycles(set: &ObjectSet, function: &StoredFunction) -> Result<(), PortError> {
    let mut reached = BTreeMap::new();
    let mut open = vec![function.name.clone()];
    while let Some(caller) = open.pop() {
        let body = if caller == function.name { Some(function.body.as_str()) } else { body_of(set, &caller) };
        let Some(body) = body else { continue };
        for called in called_names(body) {
            if called == function.name {
                return Err(refused(format!(
                    "the function calls itself ({}), and functions cannot be recursive",
                    path_to(&reached, &function.name, &caller)
                )));
            }
            if !reached.contains_key(&called) && body_of(set, &called).is_some() {
                reached.insert(called.clone(), caller.clone());
                open.push(called);
            }
        }
    }
    Ok(())
}

/// What a name calls: a stored function or, where there is none, a view of our own.
fn body_of<'a>(set: &'a ObjectSet, name: &str) -> Option<&'a str> {
    set.functions.get(name).map(|function| function.body.as_str()).or_else(|| built_in::function_text(name))
}

/// `f -> g -> f`, from who was reached from whom.
fn path_to(reached: &BTreeMap<String, String>, name: &str, last: &str) -> String {
    let mut path = vec![name];
    let mut at = last;
    while at != name {
        path.push(at);
        let Some(caller) = reached.get(at) else { break };
        at = caller;
    }
    path.push(name);
    path.reverse();
    path.join(" -> ")
}

/// The functions a body calls and does not declare itself.
fn called_names(body: &str) -> BTreeSet<String> {
    let tokens = moneta_kql::lexer::tokenize(body);
    let word = |index: usize| {
        tokens
            .get(index)
            .filter(|token| token.kind == TokenKind::Word)
            .map(|token| &body[token.span.start..token.span.end])
    };
    let (mut called, mut declared) = (BTreeSet::new(), BTreeSet::new());
    for index in 0..tokens.len() {
        match word(index) {
            Some("let") => declared.extend(word(index + 1).map(str::to_owned)),
            Some("invoke") => called.extend(word(index + 1).map(str::to_owned)),
            Some(name) if tokens.get(index + 1).is_some_and(|next| next.kind == TokenKind::OpenParen) => {
                called.insert(name.to_owned());
            }
            _ => {}
        }
    }
    called.retain(|name| !declared.contains(name));
    called
}

/// Binds a call with the new function among the others, so that one that calls itself for ever is found too.
fn bind_call(
    core: &Core,
    ctx: &OpContext,
    set: &ObjectSet,
    function: &StoredFunction,
    arguments: &[String],
) -> Result<(), PortError> {
    let mut tentative = set.clone();
    tentative.functions.insert(function.name.clone(), function.clone());
    let call = format!("{}({})", function.name, arguments.join(", "));
    let bind = |text: &str| {
        let snapshot = Snapshot::new(core.tables.clone(), Arc::new(tentative.clone()), core.outside.clone());
        let parsed = moneta_kql::parse(text);
        let options = core.bind_options(ctx, &QueryRequest::new(text));
        moneta_kql_plan::bind(&parsed.tree, &snapshot, &options)
    };
    // A function gives rows or a value; which, binding says.
    let (rows, mut findings) = bind(&call);
    if rows.is_some() {
        return Ok(());
    }
    let (value, of_value) = bind(&format!("print {call}"));
    if value.is_some() {
        return Ok(());
    }
    if findings.iter().any(|finding| finding.message.contains("not a value")) {
        findings = of_value;
    }
    let all: Vec<String> = findings.iter().map(|finding| format!("{}: {}", finding.code, finding.message)).collect();
    Err(refused(format!(
        "the function does not bind: {}; `with (skipvalidation=true)` stores it all the same",
        all.join("; ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_wherever_they_stand_and_nothing_else_is() {
        let check = |body: &str, expected: &[&str]| {
            assert_eq!(called_names(body).into_iter().collect::<Vec<_>>(), expected, "{body}");
        };
        check("{ T | where a > f (1) | invoke g }", &["f", "g"]);
        check("{ print 'f()' // g()\n }", &[]);
        check("{ let f = (x: long) { x }; f(1) + h(2) }", &["h"]);
    }
}
