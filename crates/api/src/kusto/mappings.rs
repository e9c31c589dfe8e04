//! The management commands about ingestion mappings, taken apart and carried out.

use moneta_base::Timestamp;
use moneta_event::ColumnType;
use moneta_kql::lexer::tokenize;
use moneta_kql::token::TokenKind;
use moneta_ports::{IngestionMapping, MappingKind, OpContext};
use serde_json::json;

use super::DATABASE;
use super::answer::Table;
use super::fault::Fault;
use super::mapping::Mapping;
use super::mgmt::table;
use super::objects::{create_mode, not_found, strip_word, text_of, unquote};
use crate::ApiError;
use crate::state::App;

/// What a command about mappings may look like.
const FORM: &str = ".create table T ingestion json mapping \"name\" '[{\"column\":\"c\",\"path\":\"$.c\"}]'";

/// `.create`, `.create-or-alter`, `.alter` or `.drop` of a mapping; `rest` is what follows `ingestion`.
pub(super) async fn change(state: &App, ctx: &OpContext, verb: &str, of: &str, rest: &str) -> Result<Table, Fault> {
    let (kind, rest) = kind(rest).ok_or_else(unreadable)?;
    let rest = strip_word(rest, "mapping").ok_or_else(unreadable)?;
    let first =
        tokenize(rest).into_iter().next().filter(|token| token.kind == TokenKind::String).ok_or_else(unreadable)?;
    let (name, rest) = (unquote(&rest[first.span.start..first.span.end]), rest[first.span.end..].trim());
    if verb == ".drop" {
        if !rest.is_empty() {
            return Err(Fault::bad_request(format!("`{rest}` cannot follow the name of the mapping")));
        }
        let found = state.objects.mapping(of, kind, &name).ok_or_else(|| not_found("MappingPersistent", &name))?;
        state.objects.drop_mapping(ctx, of, kind, &name).await.map_err(ApiError::from)?;
        return Ok(shown(vec![found]));
    }
    if !matches!(verb, ".create" | ".create-or-alter" | ".alter") {
        return Err(unreadable());
    }
    let mapping = text_of(rest).ok_or_else(unreadable)?;
    let schemas = state.queries.schema(ctx);
    let schema = schemas.iter().find(|schema| schema.name().as_str() == of).ok_or_else(|| not_found("Table", of))?;
    Mapping::parse(kind, &mapping, schema).map_err(Fault::bad_request)?;
    let new = IngestionMapping { table: of.to_owned(), kind, name, mapping, changed_by: String::new(), changed_at: 0 };
    let made = state.objects.put_mapping(ctx, new, create_mode(verb, false)).await.map_err(ApiError::from)?;
    Ok(shown(vec![made]))
}

/// `.show table T ingestion [json] mappings` or `.show table T ingestion json mapping "name"`.
pub(super) fn show(state: &App, of: &str, rest: &str) -> Result<Table, Fault> {
    let (kind, rest) = kind(rest).map_or((None, rest), |(kind, rest)| (Some(kind), rest));
    let of_table = state.objects.mappings().into_iter().filter(|mapping| mapping.table == of);
    let mut found: Vec<_> = of_table.filter(|mapping| kind.is_none_or(|kind| mapping.kind == kind)).collect();
    if rest.trim().eq_ignore_ascii_case("mappings") {
        return Ok(shown(found));
    }
    let name = strip_word(rest, "mapping").and_then(text_of).ok_or_else(unreadable)?;
    found.retain(|mapping| mapping.name == name);
    if found.is_empty() { Err(not_found("MappingPersistent", &name)) } else { Ok(shown(found)) }
}

fn kind(text: &str) -> Option<(MappingKind, &str)> {
    let find = |kind: MappingKind| strip_word(text, kind.name()).map(|rest| (kind, rest));
    find(MappingKind::Csv).or_else(|| find(MappingKind::Json))
}

fn unreadable() -> Fault {
    Fault::bad_request(format!("this is no command about mappings, which are of csv or json; write {FORM}"))
}

fn shown(mappings: Vec<IngestionMapping>) -> Table {
    let columns = [
        ("Name", ColumnType::String),
        ("Kind", ColumnType::String),
        ("Mapping", ColumnType::String),
        ("LastUpdatedOn", ColumnType::DateTime),
        ("Database", ColumnType::String),
        ("Table", ColumnType::String),
    ];
    let row = |mapping: IngestionMapping| {
        let at = Timestamp::from_nanos(mapping.changed_at).to_string();
        let kind = if mapping.kind == MappingKind::Csv { "Csv" } else { "Json" };
        json!([mapping.name, kind, mapping.mapping, at, DATABASE, mapping.table])
    };
    table(&columns, mappings.into_iter().map(row).collect())
}
