//! The management commands about stored functions and running queries, taken apart and carried out; those about
//! tables, mappings and views are handed on.
//!
//! What changes something is refused when the request says that it only reads.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, DurationNanosecondArray, Int64Array, RecordBatch, StringArray};
use moneta_event::ColumnType;
use moneta_kql::lexer::tokenize;
use moneta_kql::token::TokenKind;
use moneta_ports::{CreateMode, OpContext, QueryState, ResultTable, StoredFunction};
use serde_json::{Value, json};

use super::DATABASE;
use super::answer::{Rows, Table};
use super::fault::Fault;
use super::mgmt::table;
use super::{mappings, tables, views};
use crate::ApiError;
use crate::state::App;

/// A function as a command declares it.
#[derive(Debug, PartialEq, Eq)]
struct Declaration {
    function: StoredFunction,
    if_not_exists: bool,
    skip_validation: bool,
}

/// Carries a command out; `None` if it is none of those this module knows.
pub(super) async fn run(state: &App, ctx: &OpContext, text: &str, readonly: bool) -> Option<Result<Table, Fault>> {
    let (verb, rest) = next_word(text);
    let (noun, rest) = next_word(rest);
    let command = (verb.to_ascii_lowercase(), noun.to_ascii_lowercase());
    if is_change(&command.0) && readonly {
        return Some(Err(Fault::bad_request(format!(
            "`{verb}` changes something, and this request only reads: send it by POST and without `request_readonly`"
        ))));
    }
    Some(match (command.0.as_str(), command.1.as_str()) {
        (".alter", "function") if property(rest).is_some() => describe_function(state, ctx, rest).await,
        (".create" | ".create-or-alter" | ".alter", "function") => put_function(state, ctx, &command.0, rest).await,
        (".drop", "function") => drop_function(state, ctx, rest).await,
        (".show", "functions") if rest.is_empty() => Ok(functions(state.objects.functions())),
        (".show", "function") => show_function(state, rest),
        (".show", "queries") if rest.is_empty() => Ok(queries(state.queries.queries(ctx))),
        (".show", "running") if rest.trim().eq_ignore_ascii_case("queries") => {
            Ok(queries(state.queries.queries(ctx).into_iter().filter(QueryState::is_running).collect()))
        }
        (".cancel", "query") => cancel(state, ctx, rest).await,
        (".show", "table") => match tables::entity(rest) {
            (name, after) if strip_word(after, "ingestion").is_some() => {
                mappings::show(state, &name, strip_word(after, "ingestion").unwrap_or_default())
            }
            (name, "details") => tables::details(state, ctx, Some(&name)).await,
            _ => return None,
        },
        (".show", "tables") if rest.eq_ignore_ascii_case("details") => tables::details(state, ctx, None).await,
        (_, "table" | "tables") if command.0 != ".show" => tables::run(state, ctx, &command.0, rest).await,
        (".create", "async") if next_word(rest).0.eq_ignore_ascii_case("materialized-view") => {
            views::put(state, ctx, ".create", next_word(rest).1).await
        }
        (".create" | ".create-or-alter" | ".alter", "materialized-view") => {
            views::put(state, ctx, &command.0, rest).await
        }
        (".drop", "materialized-view") => views::drop(state, ctx, rest).await,
        (".show", "materialized-views") if rest.is_empty() => Ok(views::table_of(state.objects.views())),
        (".show", "materialized-view") => views::show(state, rest),
        _ => return None,
    })
}

fn is_change(verb: &str) -> bool {
    verb != ".show"
}

/// The command before the first pipe outside of brackets, without the semicolon that may end it, and what follows.
pub(super) fn split_pipe(text: &str) -> (&str, Option<&str>) {
    let mut depth = 0_i64;
    for token in tokenize(text) {
        match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBrace | TokenKind::OpenBracket => depth += 1,
            TokenKind::CloseParen | TokenKind::CloseBrace | TokenKind::CloseBracket => depth -= 1,
            TokenKind::Pipe if depth == 0 => {
                return (text[..token.span.start].trim(), Some(&text[token.span.start..]));
            }
            _ => {}
        }
    }
    (text.trim().trim_end_matches(';').trim_end(), None)
}

fn next_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| c.is_whitespace()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

async fn put_function(state: &App, ctx: &OpContext, verb: &str, rest: &str) -> Result<Table, Fault> {
    let Declaration { function, if_not_exists, skip_validation } = declaration(rest).map_err(Fault::bad_request)?;
    let mode = create_mode(verb, if_not_exists);
    let made = state.objects.put_function(ctx, function, mode, skip_validation).await.map_err(ApiError::from)?;
    Ok(functions(vec![made]))
}

async fn drop_function(state: &App, ctx: &OpContext, rest: &str) -> Result<Table, Fault> {
    let (name, if_exists) = name_to_drop("function", rest)?;
    if if_exists && !state.objects.functions().iter().any(|function| function.name == name) {
        return Ok(dropped(None));
    }
    state.objects.drop_function(ctx, &name).await.map_err(ApiError::from)?;
    Ok(dropped(Some(&name)))
}

/// The property that `F docstring '..'` or `F folder '..'` sets, and its text.
fn property(rest: &str) -> Option<(&'static str, Option<String>)> {
    let (_, after) = tables::entity(rest);
    ["docstring", "folder"].into_iter().find_map(|name| Some((name, text_of(strip_word(after, name)?))))
}

async fn describe_function(state: &App, ctx: &OpContext, rest: &str) -> Result<Table, Fault> {
    let (name, _) = tables::entity(rest);
    let Some((property, Some(text))) = property(rest) else {
        return Err(Fault::bad_request("write the text as a string: .alter function F docstring \"what it is for\""));
    };
    let found = state.objects.functions().into_iter().find(|function| function.name == name);
    let mut function = found.ok_or_else(|| not_found("Function", &name))?;
    match property {
        "folder" => function.folder = text,
        _ => function.doc_string = text,
    }
    // Its text stays, and with it whether it binds.
    let made = state.objects.put_function(ctx, function, CreateMode::Alter, true).await.map_err(ApiError::from)?;
    Ok(functions(vec![made]))
}

/// What a verb does when the name is taken or free.
pub(super) fn create_mode(verb: &str, if_not_exists: bool) -> CreateMode {
    match verb {
        ".create" if if_not_exists => CreateMode::CreateIfNotExists,
        ".create" => CreateMode::Create,
        ".alter" => CreateMode::Alter,
        _ => CreateMode::CreateOrAlter,
    }
}

/// `Name [ifexists]` after `.drop`: the name, and whether it may be absent.
pub(super) fn name_to_drop(what: &str, rest: &str) -> Result<(String, bool), Fault> {
    let (name, rest) = next_word(rest);
    let name = bare_name(name);
    match rest.to_ascii_lowercase().as_str() {
        "" => Ok((name, false)),
        "ifexists" => Ok((name, true)),
        other => Err(Fault::bad_request(format!("`{other}` cannot follow `.drop {what} {name}`"))),
    }
}

/// The answer of a `.drop`.
pub(super) fn dropped(name: Option<&str>) -> Table {
    table(&[("Name", ColumnType::String)], name.into_iter().map(|name| json!([name])).collect())
}

/// Kusto's words for a name that nothing has.
pub(super) fn not_found(kind: &str, name: &str) -> Fault {
    let shown: String = name.chars().take(64).collect();
    Fault::bad_request(format!("Entity ID '{shown}' of kind '{kind}' was not found."))
}

fn show_function(state: &App, rest: &str) -> Result<Table, Fault> {
    let name = bare_name(rest);
    match state.objects.functions().into_iter().find(|function| function.name == name) {
        Some(function) => Ok(functions(vec![function])),
        None => Err(not_found("Function", &name)),
    }
}

async fn cancel(state: &App, ctx: &OpContext, rest: &str) -> Result<Table, Fault> {
    let tokens = tokenize(rest);
    let id = match tokens.first() {
        Some(token) if token.kind == TokenKind::String => unquote(&rest[token.span.start..token.span.end]),
        _ => return Err(Fault::bad_request("write the query's id as a string: .cancel query \"id\"")),
    };
    let cancelled = state.queries.cancel(ctx, &id).await.map_err(|error| Fault::of_query(&error, rest))?;
    let reason = if cancelled { "" } else { "no query of that id runs that you may cancel" };
    let columns = [
        ("ClientRequestId", ColumnType::String),
        ("RunningQueryCanceled", ColumnType::Bool),
        ("ReasonPhrase", ColumnType::String),
    ];
    Ok(table(&columns, vec![json!([id, cancelled, reason])]))
}

/// `[ifnotexists] [with (docstring='..', folder='..', skipvalidation=true)] Name(parameters) { body }`.
fn declaration(text: &str) -> Result<Declaration, String> {
    let mut made = Declaration { function: StoredFunction::default(), if_not_exists: false, skip_validation: false };
    let (if_not_exists, rest) = head(text, |name, value| {
        match name {
            "docstring" => made.function.doc_string = value,
            "folder" => made.function.folder = value,
            "skipvalidation" => made.skip_validation = value.eq_ignore_ascii_case("true"),
            "view" if !value.eq_ignore_ascii_case("true") => {}
            _ => return Err("docstring, folder, skipvalidation"),
        }
        Ok(())
    })?;
    made.if_not_exists = if_not_exists;
    let open = rest.find('(').ok_or("a function is `Name(parameters) { body }`, and the parentheses are missing")?;
    made.function.name = bare_name(&rest[..open]);
    let rest = &rest[open..];
    let end = group_end(rest, TokenKind::OpenParen, TokenKind::CloseParen)
        .ok_or("the parentheses around the parameters are not closed")?;
    made.function.parameters = rest[..end].to_owned();
    let body = rest[end..].trim();
    let end = group_end(body, TokenKind::OpenBrace, TokenKind::CloseBrace)
        .ok_or("the body of a function stands in braces: `Name(parameters) { body }`")?;
    if !body[end..].trim().is_empty() {
        return Err("there is text after the body of the function".to_owned());
    }
    made.function.body = body.to_owned();
    Ok(made)
}

/// `[ifnotexists] [with (name = value, ...)]`: whether it may be there already, and what follows. Each property is handed
/// over as [`properties`] does.
pub(super) fn head(
    text: &str,
    set: impl FnMut(&str, String) -> Result<(), &'static str>,
) -> Result<(bool, &str), String> {
    let rest = text.trim();
    let (if_not_exists, rest) = match strip_word(rest, "ifnotexists") {
        Some(after) => (true, after),
        None => (false, rest),
    };
    let Some(after) = strip_word(rest, "with") else { return Ok((if_not_exists, rest)) };
    let end = group_end(after, TokenKind::OpenParen, TokenKind::CloseParen)
        .ok_or("the properties after `with` must stand in parentheses")?;
    properties(&after[1..end - 1], set)?;
    Ok((if_not_exists, after[end..].trim_start()))
}

/// What follows a word, if the text begins with it.
pub(super) fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
    let rest = &text[head.len()..];
    rest.starts_with(|c: char| c.is_whitespace() || c == '(').then(|| rest.trim_start())
}

/// Where the group ends that a text begins with.
pub(super) fn group_end(text: &str, open: TokenKind, close: TokenKind) -> Option<usize> {
    let mut depth = 0_usize;
    for token in tokenize(text) {
        if token.kind == open {
            depth += 1;
        } else if token.kind == close {
            depth = depth.checked_sub(1)?;
        }
        if depth == 0 {
            return (token.kind == close).then_some(token.span.end);
        }
    }
    None
}

/// Hands over each property of `name = value, ...`, the name in small letters; `set` refuses with the names there are.
pub(super) fn properties(
    text: &str,
    mut set: impl FnMut(&str, String) -> Result<(), &'static str>,
) -> Result<(), String> {
    let tokens = tokenize(text);
    let parts: Vec<&str> = tokens.iter().map(|token| &text[token.span.start..token.span.end]).collect();
    for property in parts.split(|part| *part == ",") {
        let property: Vec<&str> = property.iter().copied().filter(|part| !part.is_empty()).collect();
        let [name, "=", value] = property.as_slice() else {
            if property.is_empty() {
                continue;
            }
            return Err(format!("`{}` is no property; write `name = value`", property.join(" ")));
        };
        set(&name.to_ascii_lowercase(), unquote(value))
            .map_err(|known| format!("the property `{name} = {value}` is not possible; these are: {known}"))?;
    }
    Ok(())
}

/// A name without its brackets and quotes.
pub(super) fn bare_name(text: &str) -> String {
    let text = text.trim();
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.map_or_else(|| text.to_owned(), |inner| unquote(inner.trim()))
}

/// The text of one string literal or of several, which count as one; `None` when there is anything else.
pub(super) fn text_of(text: &str) -> Option<String> {
    let tokens = tokenize(text);
    let kinds = tokens.iter().map(|token| token.kind).filter(|kind| *kind != TokenKind::End);
    let are_strings = kinds.clone().count() > 0 && kinds.clone().all(|kind| kind == TokenKind::String);
    let strings = tokens.iter().filter(|token| token.kind == TokenKind::String);
    are_strings.then(|| strings.map(|token| unquote(&text[token.span.start..token.span.end])).collect())
}

/// The text of a string literal of any form; other texts as they are.
pub(super) fn unquote(text: &str) -> String {
    let text =
        text.strip_prefix(['h', 'H']).filter(|rest| rest.starts_with(['"', '\'', '@', '`', '~'])).unwrap_or(text);
    for fence in ["```", "~~~"] {
        if let Some(inner) = text.strip_prefix(fence).and_then(|rest| rest.strip_suffix(fence)) {
            return inner.to_owned();
        }
    }
    for quote in ["\"", "'"] {
        if let Some(inner) = text.strip_prefix('@').and_then(|rest| rest.strip_prefix(quote)?.strip_suffix(quote)) {
            return inner.replace(&quote.repeat(2), quote);
        }
    }
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            let mut out = String::with_capacity(inner.len());
            let mut chars = inner.chars();
            while let Some(c) = chars.next() {
                match c {
                    '\\' => out.extend(chars.next().map(|c| if c == 'n' { '\n' } else { c })),
                    c => out.push(c),
                }
            }
            return out;
        }
    }
    text.to_owned()
}

fn functions(functions: Vec<StoredFunction>) -> Table {
    let columns = ["Name", "Parameters", "Body", "Folder", "DocString"].map(|name| (name, ColumnType::String));
    let row = |f: StoredFunction| json!([f.name, f.parameters, f.body, f.folder, f.doc_string]);
    table(&columns, functions.into_iter().map(row).collect())
}

fn queries(queries: Vec<QueryState>) -> Table {
    let columns = [
        ("ClientActivityId", ColumnType::String),
        ("Text", ColumnType::String),
        ("Database", ColumnType::String),
        ("StartedOn", ColumnType::DateTime),
        ("LastUpdatedOn", ColumnType::DateTime),
        ("Duration", ColumnType::TimeSpan),
        ("State", ColumnType::String),
        ("FailureReason", ColumnType::String),
        ("User", ColumnType::String),
        ("Principal", ColumnType::String),
        ("Application", ColumnType::String),
        ("MemoryPeak", ColumnType::Long),
        ("RowCount", ColumnType::Long),
    ];
    let row = |query: QueryState| {
        let elapsed = i64::try_from(query.elapsed.as_nanos()).unwrap_or(i64::MAX);
        let updated = moneta_base::Timestamp::from_nanos(query.since.as_nanos().saturating_add(elapsed));
        json!([
            query.id,
            query.text,
            DATABASE,
            query.since.to_string(),
            updated.to_string(),
            timespan(query.elapsed),
            query.state,
            query.reason,
            query.principal,
            query.principal,
            query.application,
            query.memory_peak_bytes,
            query.num_rows,
        ])
    };
    table(&columns, queries.into_iter().map(row).collect::<Vec<Value>>())
}

/// A duration as Kusto writes it, with its ticks.
fn timespan(elapsed: std::time::Duration) -> String {
    let seconds = elapsed.as_secs();
    let days = if seconds >= 86_400 { format!("{}.", seconds / 86_400) } else { String::new() };
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{days}{hours:02}:{minutes:02}:{:02}.{:07}", seconds % 60, elapsed.subsec_nanos() / 100)
}

/// The answer of a command as a table that a query may read.
pub(super) fn given(name: &str, table: Table) -> Result<ResultTable, Fault> {
    let rows = match table.rows {
        Rows::Batches(batches) => return Ok(ResultTable { name: name.to_owned(), columns: table.columns, batches }),
        Rows::Values(rows) => rows,
    };
    let arrays = table.columns.iter().enumerate().map(|(index, column)| {
        let values = rows.iter().map(|row| &row[index]);
        (column.name.clone(), array(column.column_type, values), true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(arrays);
    let batch = batch.map_err(|error| Fault::from(ApiError::internal(&error)))?;
    Ok(ResultTable { name: name.to_owned(), columns: table.columns, batches: vec![batch] })
}

/// Values as a column; times stay texts, which the engine reads.
fn array<'a>(column_type: ColumnType, values: impl Iterator<Item = &'a Value>) -> ArrayRef {
    match column_type {
        ColumnType::Bool => Arc::new(values.map(Value::as_bool).collect::<BooleanArray>()),
        ColumnType::Int | ColumnType::Long => Arc::new(values.map(Value::as_i64).collect::<Int64Array>()),
        ColumnType::TimeSpan => {
            let nanos = |value: &Value| i64::try_from(super::span::parse(value.as_str()?)?.as_nanos()).ok();
            Arc::new(values.map(nanos).collect::<DurationNanosecondArray>())
        }
        _ => Arc::new(values.map(Value::as_str).collect::<StringArray>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_taken_apart_whatever_stands_in_its_strings() {
        let text = "ifnotexists with (docstring = 'a (b) \\'c\\'', folder=\"x\", skipvalidation=true) \
                    ['F'](n: string = ')') { print '}' | where n == 1 }";
        let made = declaration(text).unwrap();
        assert!(made.if_not_exists && made.skip_validation);
        let StoredFunction { name, parameters, body, folder, doc_string, .. } = made.function;
        assert_eq!((name.as_str(), parameters.as_str()), ("F", "(n: string = ')')"));
        assert_eq!(body, "{ print '}' | where n == 1 }");
        assert_eq!((folder.as_str(), doc_string.as_str()), ("x", "a (b) 'c'"));
        for (text, words) in [
            ("F", "parentheses"),
            ("F(", "not closed"),
            ("F()", "braces"),
            ("F() { 1 } x", "after the body"),
            ("with (color=1) F() { 1 }", "color"),
            ("with (folder) F() { 1 }", "name = value"),
        ] {
            assert!(declaration(text).unwrap_err().contains(words), "{text}");
        }
    }

    #[test]
    fn a_pipe_inside_of_brackets_or_strings_is_none() {
        assert_eq!(split_pipe(".show queries | take 1"), (".show queries", Some("| take 1")));
        assert_eq!(split_pipe(".create function f() { T | take 1 }"), (".create function f() { T | take 1 }", None));
        assert_eq!(split_pipe(" .show functions ; "), (".show functions", None));
        assert_eq!(split_pipe(".cancel query 'a|b'"), (".cancel query 'a|b'", None));
    }

    #[test]
    fn durations_have_kusto_s_form() {
        assert_eq!(timespan(std::time::Duration::from_millis(90_061_500)), "1.01:01:01.5000000");
        assert_eq!(timespan(std::time::Duration::ZERO), "00:00:00.0000000");
    }
}
