//! The management commands about materialised views, taken apart and carried out.

use moneta_event::ColumnType;
use moneta_kql::token::TokenKind;
use moneta_ports::{MaterializedView, OpContext, ViewStatus};
use serde_json::{Map, Value, json};

use super::DATABASE;
use super::answer::Table;
use super::fault::Fault;
use super::mgmt::{csl_columns, table};
use super::objects::{bare_name, create_mode, dropped, group_end, head, name_to_drop, not_found};
use super::signatures::typed;
use super::tables::entity;
use crate::ApiError;
use crate::state::App;

/// The properties a view may be declared with.
const PROPERTIES: &str = "docstring, folder, backfill = true (a view always holds all rows)";

/// `.create`, `.create-or-alter` or `.alter` of a view.
pub(super) async fn put(state: &App, ctx: &OpContext, verb: &str, rest: &str) -> Result<Table, Fault> {
    let (view, if_not_exists) = declaration(rest).map_err(Fault::bad_request)?;
    let made = state.objects.put_view(ctx, view, create_mode(verb, if_not_exists)).await.map_err(ApiError::from)?;
    Ok(table_of(vec![made]))
}

/// `.drop materialized-view Name [ifexists]`.
pub(super) async fn drop(state: &App, ctx: &OpContext, rest: &str) -> Result<Table, Fault> {
    let (name, if_exists) = name_to_drop("materialized-view", rest)?;
    if if_exists && !state.objects.views().iter().any(|status| status.view.name == name) {
        return Ok(dropped(None));
    }
    state.objects.drop_view(ctx, &name).await.map_err(ApiError::from)?;
    Ok(dropped(Some(&name)))
}

/// `.show materialized-view Name [cslschema | schema as json]`.
pub(super) fn show(state: &App, rest: &str) -> Result<Table, Fault> {
    let (name, form) = entity(rest);
    let found = state.objects.views().into_iter().find(|status| status.view.name == name);
    let found = found.ok_or_else(|| not_found("MaterializedView", &name))?;
    let words: Vec<String> = form.split_whitespace().map(str::to_ascii_lowercase).collect();
    let schema = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => return Ok(table_of(vec![found])),
        ["cslschema"] | ["schema", "as", "csl"] => csl_columns(&found.columns),
        ["schema"] | ["schema", "as", "json"] => {
            json!({ "Name": name, "OrderedColumns": ordered_columns(&found) }).to_string()
        }
        _ => {
            return Err(Fault::bad_request(format!(
                "`{form}` cannot follow a view; `cslschema`, `schema as json` can"
            )));
        }
    };
    let names = ["TableName", "Schema", "DatabaseName", "Folder", "DocString"];
    let row = json!([name, schema, DATABASE, found.view.folder, found.view.doc_string]);
    Ok(table(&names.map(|name| (name, ColumnType::String)), vec![row]))
}

fn ordered_columns(status: &ViewStatus) -> Vec<Value> {
    status.columns.iter().map(|(name, kind)| typed(name, kind)).collect()
}

/// Views as rows. One is healthy when its query still binds.
pub(super) fn table_of(views: Vec<ViewStatus>) -> Table {
    let columns = [
        ("Name", ColumnType::String),
        ("SourceTable", ColumnType::String),
        ("Query", ColumnType::String),
        ("IsHealthy", ColumnType::Bool),
        ("IsEnabled", ColumnType::Bool),
        ("Folder", ColumnType::String),
        ("DocString", ColumnType::String),
        ("Segments", ColumnType::Long),
        ("SegmentsReady", ColumnType::Long),
    ];
    let row = |status: ViewStatus| {
        let ViewStatus { view, columns, segments, segments_ready } = status;
        let is_healthy = !columns.is_empty();
        json!([
            view.name,
            view.source,
            view.query,
            is_healthy,
            true,
            view.folder,
            view.doc_string,
            segments,
            segments_ready
        ])
    };
    table(&columns, views.into_iter().map(row).collect())
}

/// Views by name with their columns, as editors read them.
pub(super) fn schemas(views: &[ViewStatus]) -> Map<String, Value> {
    let schema = |status: &ViewStatus| {
        let columns = ordered_columns(status);
        let (folder, doc) = (&status.view.folder, &status.view.doc_string);
        let value = json!({ "Name": status.view.name, "Folder": folder, "DocString": doc, "OrderedColumns": columns });
        (status.view.name.clone(), value)
    };
    views.iter().map(schema).collect()
}

/// `[ifnotexists] [with (docstring='..', folder='..')] Name on table T { query }`, and whether it may be there already.
fn declaration(text: &str) -> Result<(MaterializedView, bool), String> {
    let mut view = MaterializedView::default();
    let (if_not_exists, rest) = head(text, |name, value| {
        match name {
            "docstring" => view.doc_string = value,
            "folder" => view.folder = value,
            "backfill" if value.eq_ignore_ascii_case("true") => {}
            _ => return Err(PROPERTIES),
        }
        Ok(())
    })?;
    let open = rest.find('{').ok_or("a view is `Name on table T { query }`, and the braces are missing")?;
    let head: Vec<&str> = rest[..open].split_whitespace().collect();
    let [name, on, table, source] = head.as_slice() else {
        return Err(format!("`{}` is not `Name on table T`", rest[..open].trim()));
    };
    if !on.eq_ignore_ascii_case("on") || !table.eq_ignore_ascii_case("table") {
        return Err(format!("`{}` is not `Name on table T`", rest[..open].trim()));
    }
    (view.name, view.source) = (bare_name(name), bare_name(source));
    let body = &rest[open..];
    let end = group_end(body, TokenKind::OpenBrace, TokenKind::CloseBrace).ok_or("the braces are not closed")?;
    if !body[end..].trim().is_empty() {
        return Err("there is text after the query of the view".to_owned());
    }
    view.query = body[1..end - 1].trim().to_owned();
    Ok((view, if_not_exists))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_taken_apart() {
        let text =
            "ifnotexists with (docstring = 'a }', backfill=true) ['V'] on table T { T | summarize n = count() by a } ";
        let (view, if_not_exists) = declaration(text).unwrap();
        assert!(if_not_exists);
        assert_eq!((view.name.as_str(), view.source.as_str(), view.doc_string.as_str()), ("V", "T", "a }"));
        assert_eq!(view.query, "T | summarize n = count() by a");
        for (text, words) in [
            ("V on table T", "braces are missing"),
            ("V on T { T }", "not `Name on table T`"),
            ("V on table T { T", "not closed"),
            ("V on table T { T } x", "text after"),
            ("with (backfill=false) V on table T { T }", "backfill = false"),
            ("with (lookback=1d) V on table T { T }", "lookback"),
        ] {
            assert!(declaration(text).unwrap_err().contains(words), "{text}");
        }
    }
}
