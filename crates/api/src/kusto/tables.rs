//! The management commands that declare tables, taken apart and carried out. Columns are only ever added, and a table
//! that holds events stays: retention alone ends what is stored.

use moneta_event::ColumnType;
use moneta_kql::lexer::tokenize;
use moneta_kql::token::TokenKind;
use moneta_ports::{DeclaredTable, OpContext, TableChange};
use serde_json::json;

use super::answer::Table;
use super::fault::Fault;
use super::mgmt::{self, description, schemas_json, table_list};
use super::objects::{bare_name, group_end, not_found, properties, strip_word, text_of};
use super::{DATABASE, mappings};
use crate::ApiError;
use crate::state::App;

/// Tables of one command at most.
const TABLES_MAX: usize = 100;

/// Carries out a command about `table` or `tables`; `rest` is what follows that word.
pub(super) async fn run(state: &App, ctx: &OpContext, verb: &str, rest: &str) -> Result<Table, Fault> {
    let rest = rest.trim();
    let (name, after) = entity(rest);
    if let Some(after) = strip_word(after, "ingestion") {
        return mappings::change(state, ctx, verb, &name, after).await;
    }
    let change = match verb {
        ".drop" => return drop_tables(state, ctx, rest).await,
        ".create" => TableChange::Create,
        ".create-merge" => TableChange::CreateOrExtend,
        ".alter-merge" => TableChange::Extend,
        ".alter" => TableChange::Replace,
        _ => return Err(Fault::bad_request(format!("`{verb} table` is not possible; there are {KNOWN}"))),
    };
    if verb == ".alter"
        && let Some(described) = describe(state, ctx, &name, after).await
    {
        return described;
    }
    let tables = declarations(rest).map_err(Fault::bad_request)?;
    let mut schemas = Vec::new();
    for table in tables {
        schemas.push(state.objects.declare_table(ctx, table, change).await.map_err(ApiError::from)?);
    }
    Ok(schemas_json(&schemas, &state.objects.declared_tables()))
}

const KNOWN: &str = ".create table, .create-merge table, .alter-merge table, .alter table, .drop table";

/// `docstring '..'` or `folder '..'` after `.alter table T`; `None` when it is another command.
async fn describe(state: &App, ctx: &OpContext, name: &str, after: &str) -> Option<Result<Table, Fault>> {
    let (is_doc, text) = match (strip_word(after, "docstring"), strip_word(after, "folder")) {
        (Some(text), _) => (true, text),
        (None, Some(text)) => (false, text),
        (None, None) => return None,
    };
    let Some(text) = text_of(text) else {
        return Some(Err(Fault::bad_request(
            "write the text as a string: .alter table T docstring \"what it is for\"",
        )));
    };
    let (doc, folder) = if is_doc { (Some(text), None) } else { (None, Some(text)) };
    let described = state.objects.describe_table(ctx, name, doc, folder).await.map_err(ApiError::from);
    Some(described.map(|schema| schemas_json(&[schema], &state.objects.declared_tables())).map_err(Fault::from))
}

/// `T [ifexists]` or `(T, U) [ifexists]` after `.drop`.
async fn drop_tables(state: &App, ctx: &OpContext, rest: &str) -> Result<Table, Fault> {
    let (names, after) = if rest.starts_with('(') {
        let end = group_end(rest, TokenKind::OpenParen, TokenKind::CloseParen)
            .ok_or_else(|| Fault::bad_request("the parentheses around the names are not closed"))?;
        (parts(&rest[1..end - 1]).into_iter().map(bare_name).collect(), rest[end..].trim())
    } else {
        let (name, after) = entity(rest);
        (vec![name], after)
    };
    let if_exists = match after.to_ascii_lowercase().as_str() {
        "" => false,
        "ifexists" => true,
        other => return Err(Fault::bad_request(format!("`{other}` cannot follow `.drop table`; `ifexists` can"))),
    };
    let is_known = |name: &str| state.queries.schema(ctx).iter().any(|schema| schema.name().as_str() == name);
    for name in names {
        if if_exists && !is_known(&name) {
            continue;
        }
        state.objects.withdraw_table(ctx, &name).await.map_err(ApiError::from)?;
    }
    Ok(table_list(&state.queries.schema(ctx), &state.objects.declared_tables()))
}

/// `.show table T details` and, without a name, of all tables.
pub(super) async fn details(state: &App, ctx: &OpContext, name: Option<&str>) -> Result<Table, Fault> {
    let columns = [
        ("TableName", ColumnType::String),
        ("DatabaseName", ColumnType::String),
        ("Folder", ColumnType::String),
        ("DocString", ColumnType::String),
        ("TotalExtents", ColumnType::Long),
        ("TotalExtentSize", ColumnType::Real),
        ("TotalRowCount", ColumnType::Long),
        ("HotExtents", ColumnType::Long),
        ("RetentionPolicy", ColumnType::String),
        ("MinExtentsCreationTime", ColumnType::DateTime),
    ];
    let (schemas, declared) = (state.queries.schema(ctx), state.objects.declared_tables());
    let status = state.operations.status(ctx).await.map_err(ApiError::from)?;
    let mut rows = Vec::new();
    for table in
        schemas.iter().map(|schema| schema.name().as_str()).filter(|table| name.is_none_or(|name| name == *table))
    {
        let (folder, doc) = description(&declared, table);
        let stored = status.tables.iter().find(|status| status.name == table).cloned().unwrap_or_default();
        let retention = stored.retention_days.map(|days| {
            json!({ "SoftDeletePeriod": format!("{days}.00:00:00"), "Recoverability": "Disabled" }).to_string()
        });
        #[expect(clippy::cast_precision_loss, reason = "Kusto gives sizes so")]
        let size = stored.segment_bytes as f64;
        let oldest = stored.oldest_day.map(|day| format!("{day}T00:00:00.0000000Z"));
        let (segments, blocks) = (stored.num_segments, stored.num_hot_blocks);
        rows.push(json!([table, DATABASE, folder, doc, segments, size, stored.num_rows, blocks, retention, oldest]));
    }
    match name.filter(|_| rows.is_empty()) {
        Some(name) => Err(not_found("Table", name)),
        None => Ok(mgmt::table(&columns, rows)),
    }
}

/// The name that a text begins with, bare, and what follows it.
pub(super) fn entity(text: &str) -> (String, &str) {
    let text = text.trim_start();
    let end = if text.starts_with('[') {
        group_end(text, TokenKind::OpenBracket, TokenKind::CloseBracket).unwrap_or(text.len())
    } else {
        text.find(|c: char| c.is_whitespace() || c == '(').unwrap_or(text.len())
    };
    (bare_name(&text[..end]), text[end..].trim_start())
}

/// `T (a: string, ...) [, U (...) ...] [with (docstring = '..', folder = '..')]`.
fn declarations(text: &str) -> Result<Vec<DeclaredTable>, String> {
    let (mut tables, mut rest) = (Vec::new(), text);
    loop {
        let (name, after) = entity(rest);
        let end = group_end(after, TokenKind::OpenParen, TokenKind::CloseParen)
            .ok_or_else(|| format!("the columns of {name} are missing: `{name} (first: string, second: long)`"))?;
        let columns = parts(&after[1..end - 1]).into_iter().map(column).collect::<Result<Vec<_>, _>>()?;
        if columns.is_empty() {
            return Err(format!("{name} needs a column at least: `{name} (first: string)`"));
        }
        tables.push(DeclaredTable { name, columns, ..DeclaredTable::default() });
        if tables.len() > TABLES_MAX {
            return Err(format!("a command declares at most {TABLES_MAX} tables"));
        }
        rest = after[end..].trim_start();
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => break,
        }
    }
    if let Some(after) = strip_word(rest, "with") {
        let end = group_end(after, TokenKind::OpenParen, TokenKind::CloseParen)
            .ok_or("the properties after `with` must stand in parentheses")?;
        properties(&after[1..end - 1], |name, value| {
            for table in &mut tables {
                match name {
                    "docstring" => table.doc_string.clone_from(&value),
                    "folder" => table.folder.clone_from(&value),
                    _ => return Err("docstring, folder"),
                }
            }
            Ok(())
        })?;
        rest = after[end..].trim_start();
    }
    if rest.is_empty() { Ok(tables) } else { Err(format!("`{rest}` cannot follow the columns")) }
}

/// `name: type`.
fn column(text: &str) -> Result<(String, String), String> {
    let colon = tokenize(text).into_iter().find(|token| token.kind == TokenKind::Colon);
    let colon = colon.ok_or_else(|| format!("`{}` is no column; write `name: type`", text.trim()))?;
    let kind = text[colon.span.end..].trim().to_ascii_lowercase();
    Ok((bare_name(&text[..colon.span.start]), kind))
}

/// The parts of a text between commas outside of brackets.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_i64);
    for token in tokenize(text) {
        match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace => depth += 1,
            TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseBrace => depth -= 1,
            TokenKind::Comma if depth == 0 => {
                parts.push(text[from..token.span.start].trim());
                from = token.span.end;
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_taken_apart() {
        let text = "A_CL(a:string, ['b, c'] : long), ['B_CL'] (t:datetime) with (folder='x', docstring = \"(what)\")";
        let tables = declarations(text).unwrap();
        assert_eq!((tables[0].name.as_str(), tables[1].name.as_str()), ("A_CL", "B_CL"));
        let columns: Vec<_> = tables[0].columns.iter().map(|(n, k)| (n.as_str(), k.as_str())).collect();
        assert_eq!(columns, [("a", "string"), ("b, c", "long")]);
        assert_eq!((tables[1].folder.as_str(), tables[1].doc_string.as_str()), ("x", "(what)"));
        for (text, words) in [
            ("A_CL", "columns of A_CL are missing"),
            ("A_CL ()", "a column at least"),
            ("A_CL (a)", "name: type"),
            ("A_CL (a:string) with (color='x')", "docstring, folder"),
            ("A_CL (a:string) more", "cannot follow"),
            ("A_CL (a:string", "missing"),
        ] {
            assert!(declarations(text).unwrap_err().contains(words), "{text}");
        }
    }
}
