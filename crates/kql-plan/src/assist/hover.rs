//! Hover: what the word under the cursor means.

use moneta_base::Timestamp;
use moneta_event::Column;
use moneta_kql::lexer::tokenize;
use moneta_kql::syntax::Span;
use moneta_kql::token::{Token, TokenKind as K};

use super::complete::signature;
use super::{Hover, keywords};
use crate::binder::scope::Binding;
use crate::binder::sight::{Sight, see};
use crate::binder::{BindOptions, Catalog};
use crate::{aggregates, functions};

/// Columns of a table shown at most.
const COLUMNS_SHOWN_MAX: usize = 40;

/// Returns what the word at a byte offset is: an operator, a function, a column, a variable or a table.
///
/// # Example
/// ```
/// use moneta_kql_plan::assist::hover;
/// let catalog = moneta_event::TableCatalog::built_in();
/// let found = hover("Syslog | where strlen(HostName) > 3", 17, &catalog).unwrap();
/// assert!(found.title.starts_with("strlen("));
/// ```
#[must_use]
pub fn hover(text: &str, offset: usize, catalog: &dyn Catalog) -> Option<Hover> {
    let tokens = tokenize(text);
    let at = tokens
        .iter()
        .position(|token| token.kind != K::End && token.span.start <= offset && offset < token.span.end)?;
    let token = tokens[at];
    if !matches!(token.kind, K::Word | K::NotWord) {
        return None;
    }
    let word = token.span.text(text);
    let (title, text) = match neighbours(&tokens, at) {
        (before, _) if is_operator_place(before) && keywords::operator(word).is_some() => {
            let operator = keywords::operator(word)?;
            (operator.syntax.to_owned(), operator.doc.to_owned())
        }
        (_, Some(K::OpenParen)) if function(word).is_some() => function(word)?,
        _ => name(text, token.span, word, catalog)?,
    };
    Some(Hover { span: token.span, title, text })
}

fn neighbours(tokens: &[Token], at: usize) -> (Option<K>, Option<K>) {
    (at.checked_sub(1).map(|before| tokens[before].kind), tokens.get(at + 1).map(|after| after.kind))
}

/// Whether an operator may stand after this token.
fn is_operator_place(before: Option<K>) -> bool {
    matches!(before, None | Some(K::Pipe | K::OpenParen | K::Semicolon | K::OpenBrace | K::Equal))
}

/// The signatures and the documentation of a built-in function.
fn function(name: &str) -> Option<(String, String)> {
    let (own, signatures, doc, examples) = match functions::registry().get(name) {
        Some(function) => (function.name, function.signatures, function.doc, function.examples),
        None => {
            let aggregate = aggregates::registry().get(name)?;
            (aggregate.name, aggregate.signatures, aggregate.doc, aggregate.examples)
        }
    };
    let title: Vec<String> = signatures.iter().map(|signature| format!("{own}{signature}")).collect();
    let example =
        examples.first().map(|(call, result)| format!("\nExample: {call} gives {result}")).unwrap_or_default();
    Some((title.join("\n"), format!("{doc}{example}")))
}

/// A column, variable or table.
fn name(text: &str, span: Span, word: &str, catalog: &dyn Catalog) -> Option<(String, String)> {
    let tree = moneta_kql::parse(text).tree;
    let sight = see(&tree, catalog, &BindOptions::at(Timestamp::from_nanos(0)));
    let typed = |ty: &str| (format!("{word}: {ty}"), String::new());
    if let Some((_, ty)) = sight.values.iter().find(|(known, _)| *known == span) {
        return Some(typed(ty.name()));
    }
    if let Some((_, columns)) = sight.relations.iter().find(|(known, _)| *known == span) {
        return Some((word.to_owned(), shown(columns)));
    }
    if let Some(column) = column_around(&sight, span, word) {
        return Some(typed(column.column_type.name()));
    }
    match sight.scope.get(word) {
        Some(Binding::Scalar(value)) => return Some(typed(value.column_type.name())),
        Some(Binding::Table(relation)) => return Some((word.to_owned(), shown(&relation.columns))),
        Some(Binding::Function(declaration, _)) => {
            return Some((format!("{word}{}", signature(declaration)), "A function of this query.".to_owned()));
        }
        _ => {}
    }
    catalog.columns(word).map(|columns| (word.to_owned(), shown(&columns)))
}

/// The column of that name which comes into the innermost operator around the word, or goes out of it.
fn column_around<'p>(sight: &'p Sight, span: Span, word: &str) -> Option<&'p Column> {
    let around = sight.operators.iter().filter(|operator| operator.span.contains(span));
    let inner = around.max_by_key(|operator| operator.span.start)?;
    let next =
        sight.operators.iter().filter(|operator| operator.span.start > inner.span.start).min_by_key(|o| o.span.start);
    let columns = inner.columns.iter().chain(next.into_iter().flat_map(|operator| operator.columns.iter()));
    columns.into_iter().find(|column| &*column.name == word)
}

/// Columns and types, one a line.
fn shown(columns: &[Column]) -> String {
    let mut lines: Vec<String> = columns
        .iter()
        .take(COLUMNS_SHOWN_MAX)
        .map(|column| format!("{}: {}", column.name, column.column_type))
        .collect();
    if columns.len() > COLUMNS_SHOWN_MAX {
        lines.push(format!("and {} more", columns.len() - COLUMNS_SHOWN_MAX));
    }
    lines.join("\n")
}
