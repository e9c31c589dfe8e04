//! Declared tables and mappings: what people say of a table before its events come.
//!
//! A declaration only ever adds columns: events that are stored keep theirs. The columns are in effect before they are
//! kept, so that no event of this moment can give one of them another type than the one kept.

use std::sync::Arc;

use moneta_base::{TableName, limits};
use moneta_event::schema::is_column_name;
use moneta_event::{Column, ColumnType, TableSchema};
use moneta_metastore::ObjectKind;
use moneta_ports::{
    AuditEvent, CreateMode, DeclaredTable, IngestionMapping, MappingKind, OpContext, PortError, TableChange,
};

use super::administration::decide;
use super::functions::TEXT_BYTES_MAX;
use super::names::{check_title, refused};
use super::{DECLARED_TABLES_MAX, MAPPINGS_MAX, Objects};
use crate::Engine;
use crate::tables::Tables;

/// Characters of a description or a folder at most.
const DESCRIPTION_CHARACTERS_MAX: usize = 4_096;

impl Engine {
    pub(super) async fn declare_table_checked(
        &self,
        ctx: &OpContext,
        mut table: DeclaredTable,
        change: TableChange,
    ) -> Result<Arc<TableSchema>, PortError> {
        let mut event = AuditEvent::success("table.declare", "table", &table.name);
        let objects = self.changeable(ctx, event.clone()).await?;
        let _one_at_a_time = objects.changing.lock().await;
        let known = self.schema_of(&table.name);
        let asked = columns_of(&table)?;
        match (change, &known) {
            (TableChange::Create, Some(known)) => return Ok(known.clone()),
            (TableChange::Extend | TableChange::Replace, None) => return Err(no_table(&table.name)),
            (TableChange::Replace, Some(known)) => check_nothing_is_lost(known, &asked)?,
            _ => {}
        }
        let name = check_table_name(&table.name, known.is_some())?;
        let columns = merged(&name, known.as_deref(), asked)?;
        if !name.is_custom() && known.as_ref().is_some_and(|known| columns.len() > known.own_columns().len()) {
            return Err(refused(format!(
                "{name} is built in and its columns are given; further fields of its events are kept in `_Extra`"
            )));
        }
        let previous = objects.current().tables.get(&table.name).cloned();
        if let Some(previous) = previous {
            let keep = |new: String, old: String| if new.is_empty() { old } else { new };
            table.doc_string = keep(table.doc_string, previous.doc_string);
            table.folder = keep(table.folder, previous.folder);
        }
        check_description(&table)?;
        table.columns = columns.iter().map(|c| (c.name.to_string(), c.column_type.name().to_owned())).collect();
        event.query_text =
            table.columns.iter().map(|(name, kind)| format!("{name}:{kind}")).collect::<Vec<_>>().join(",");
        check_room(objects, &table.name)?;
        let schema = self.core.tables.declare(&name, &columns).map_err(refused)?;
        self.keep_table(objects, ctx, table, event).await?;
        Ok(schema)
    }

    pub(super) async fn describe_table_checked(
        &self,
        ctx: &OpContext,
        name: &str,
        doc_string: Option<String>,
        folder: Option<String>,
    ) -> Result<Arc<TableSchema>, PortError> {
        let mut event = AuditEvent::success("table.describe", "table", name);
        let objects = self.changeable(ctx, event.clone()).await?;
        let _one_at_a_time = objects.changing.lock().await;
        let schema = self.schema_of(name).ok_or_else(|| no_table(name))?;
        let mut table = objects.current().tables.get(name).cloned().unwrap_or_default();
        table.name = name.to_owned();
        table.doc_string = doc_string.unwrap_or(table.doc_string);
        table.folder = folder.unwrap_or(table.folder);
        check_description(&table)?;
        check_room(objects, &table.name)?;
        event.query_text = format!("folder: {}; docstring: {}", table.folder, table.doc_string);
        self.keep_table(objects, ctx, table, event).await?;
        Ok(schema)
    }

    /// Audits and keeps a declaration. To be called by whoever holds the lock of changes.
    async fn keep_table(
        &self,
        objects: &Objects,
        ctx: &OpContext,
        mut table: DeclaredTable,
        event: AuditEvent,
    ) -> Result<(), PortError> {
        let mut set = (*objects.current()).clone();
        let now = self.core.clock.now();
        (table.changed_by, table.changed_at) = (ctx.actor.name.clone(), now.as_nanos());
        self.audit.record_change(ctx, event).await?;
        objects.store(ObjectKind::Table, &table.name, &table, (&ctx.actor.name, now), None)?;
        set.tables.insert(table.name.clone(), table);
        objects.replace(set);
        Ok(())
    }

    pub(super) async fn withdraw_table_checked(&self, ctx: &OpContext, name: &str) -> Result<(), PortError> {
        let event = AuditEvent::success("table.withdraw", "table", name);
        let objects = self.changeable(ctx, event.clone()).await?;
        let _one_at_a_time = objects.changing.lock().await;
        let mut set = (*objects.current()).clone();
        let table = TableName::new(name).map_err(|error| refused(error.to_string()))?;
        if self.schema_of(name).is_none() {
            return Err(no_table(name));
        }
        if set.tables.remove(name).is_none() || !table.is_custom() {
            return Err(has_rows(name));
        }
        if !self.core.tables.forget_unused(&table) {
            return Err(has_rows(name));
        }
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut set.mappings).into_iter().partition(|(_, mapping)| mapping.table == name);
        set.mappings = kept.into_iter().collect();
        self.audit.record_change(ctx, event).await?;
        for (key, _) in gone {
            objects.delete(ObjectKind::Mapping, &key)?;
        }
        objects.delete(ObjectKind::Table, name)?;
        objects.replace(set);
        Ok(())
    }

    pub(super) async fn put_mapping_checked(
        &self,
        ctx: &OpContext,
        mut mapping: IngestionMapping,
        mode: CreateMode,
    ) -> Result<IngestionMapping, PortError> {
        let key = mapping_key(&mapping.table, mapping.kind, &mapping.name);
        let mut event = AuditEvent::success("mapping.put", "ingestion mapping", &key);
        let objects = self.changeable(ctx, event.clone()).await?;
        let _one_at_a_time = objects.changing.lock().await;
        let mut set = (*objects.current()).clone();
        let known = set.mappings.get(&key);
        if let Some(kept) = decide("ingestion mapping", &key, known, mode)? {
            return Ok(kept.clone());
        }
        check_title("mapping", &mapping.name)?;
        if self.schema_of(&mapping.table).is_none() {
            return Err(no_table(&mapping.table));
        }
        if mapping.mapping.len() > TEXT_BYTES_MAX {
            return Err(refused(format!("the mapping has more than {TEXT_BYTES_MAX} bytes")));
        }
        if known.is_none() && set.mappings.len() >= MAPPINGS_MAX {
            return Err(refused(format!("there are {MAPPINGS_MAX} mappings already; drop one first")));
        }
        let now = self.core.clock.now();
        (mapping.changed_by, mapping.changed_at) = (ctx.actor.name.clone(), now.as_nanos());
        event.query_text.clone_from(&mapping.mapping);
        self.audit.record_change(ctx, event).await?;
        objects.store(ObjectKind::Mapping, &key, &mapping, (&ctx.actor.name, now), None)?;
        set.mappings.insert(key, mapping.clone());
        objects.replace(set);
        Ok(mapping)
    }

    fn schema_of(&self, name: &str) -> Option<Arc<TableSchema>> {
        self.core.tables.schemas().into_iter().find(|schema| schema.name().as_str() == name)
    }
}

/// Puts the declared tables into effect, at the start. One that contradicts its events is left as its events have it.
pub(crate) fn declare_all<'a>(tables: &dyn Tables, declared: impl Iterator<Item = &'a DeclaredTable>) {
    for table in declared.filter(|table| !table.columns.is_empty()) {
        let columns = columns_of(table).map_err(|error| error.to_string());
        let made = columns.and_then(|columns| {
            let name = TableName::new(&table.name).map_err(|error| error.to_string())?;
            tables.declare(&name, &columns).map(drop)
        });
        if let Err(error) = made {
            tracing::error!(table = table.name, error, "a declared table is left as its events have it");
        }
    }
}

/// The name of a mapping among all.
pub(super) fn mapping_key(table: &str, kind: MappingKind, name: &str) -> String {
    format!("{table}/{}/{name}", kind.name())
}

fn no_table(name: &str) -> PortError {
    refused(format!("there is no table {:?}", name.chars().take(64).collect::<String>()))
}

fn has_rows(name: &str) -> PortError {
    refused(format!(
        "{name} cannot be dropped: it has or had events, or is built in, and stored events end by retention alone; set \
         its retention to let them go"
    ))
}

fn check_table_name(name: &str, is_known: bool) -> Result<TableName, PortError> {
    let table = TableName::new(name).map_err(|error| refused(error.to_string()))?;
    if is_known || table.is_custom() {
        return Ok(table);
    }
    Err(refused(format!("names of tables of your own end with `_CL`: `{name}_CL`")))
}

/// Refuses a further declaration where there are as many as there may be, before it has any effect.
fn check_room(objects: &Objects, name: &str) -> Result<(), PortError> {
    let tables = &objects.current().tables;
    if !tables.contains_key(name) && tables.len() >= DECLARED_TABLES_MAX {
        return Err(refused(format!("there are {DECLARED_TABLES_MAX} declared tables already; drop an empty one")));
    }
    Ok(())
}

fn check_description(table: &DeclaredTable) -> Result<(), PortError> {
    let is_long = |text: &str| text.chars().count() > DESCRIPTION_CHARACTERS_MAX;
    if is_long(&table.doc_string) || is_long(&table.folder) {
        return Err(refused(format!("docstring and folder have at most {DESCRIPTION_CHARACTERS_MAX} characters")));
    }
    Ok(())
}

fn columns_of(table: &DeclaredTable) -> Result<Vec<Column>, PortError> {
    let mut columns: Vec<Column> = Vec::new();
    for (name, kind) in &table.columns {
        let kind = ColumnType::parse(kind).ok_or_else(|| refused(format!("{kind:?} is no type of a column")))?;
        if columns.iter().any(|column| *column.name == **name) {
            return Err(refused(format!("the column {name:?} is named twice")));
        }
        columns.push(Column::new(name, kind));
    }
    Ok(columns)
}

/// The table's own columns with those that it lacks at their end.
fn merged(name: &TableName, known: Option<&TableSchema>, asked: Vec<Column>) -> Result<Vec<Column>, PortError> {
    let standard = TableSchema::custom(name.clone());
    let known = known.unwrap_or(&standard);
    let mut columns = known.own_columns().to_vec();
    for column in asked {
        match known.column(&column.name) {
            Some(other) if other.column_type != column.column_type => {
                return Err(refused(format!(
                    "the column {:?} of {name} is {}, and the type of a column does not change; name another column",
                    column.name, other.column_type
                )));
            }
            Some(_) => {}
            None if !is_column_name(&column.name) => {
                return Err(refused(format!(
                    "{:?} cannot name a column: at most 256 bytes, no control characters, and no `_` first",
                    column.name
                )));
            }
            None => columns.push(column),
        }
    }
    let num_columns = standard.columns().len() + columns.len();
    if num_columns > limits::TABLE_COLUMNS_MAX {
        return Err(refused(format!(
            "{name} would have {num_columns} columns, and tables have at most {}",
            limits::TABLE_COLUMNS_MAX
        )));
    }
    Ok(columns)
}

/// Refuses a list of all columns that leaves one out, or has them in another order.
fn check_nothing_is_lost(known: &TableSchema, asked: &[Column]) -> Result<(), PortError> {
    let named = |column: &&Column| asked.iter().any(|other| other.name == column.name);
    if let Some(lost) = known.own_columns().iter().find(|column| !named(column)) {
        return Err(refused(format!(
            "this would lose the column {:?} of {}, whose values are stored; name all columns, or add new ones by \
             `.alter-merge table`",
            lost.name,
            known.name()
        )));
    }
    let places = asked.iter().filter_map(|column| known.own_columns().iter().position(|own| own.name == column.name));
    let places: Vec<usize> = places.collect();
    let first_new = asked.iter().position(|column| known.column(&column.name).is_none()).unwrap_or(asked.len());
    let comes_before =
        asked[first_new..].iter().any(|column| known.own_columns().iter().any(|own| own.name == column.name));
    if !places.is_sorted() || comes_before {
        return Err(refused(format!("the columns of {} stay in their order, and new ones come last", known.name())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> Vec<Column> {
        let column = |part: &str| {
            let (name, kind) = part.split_once(':').unwrap();
            Column::new(name, ColumnType::parse(kind).unwrap())
        };
        text.split(',').filter(|part| !part.is_empty()).map(column).collect()
    }

    #[test]
    fn columns_are_added_and_never_changed() {
        let name = TableName::new("T_CL").unwrap();
        let known = TableSchema::new(name.clone(), columns("a:long,b:string"));
        let merge = |asked: &str| merged(&name, Some(&known), columns(asked)).map_err(|error| error.to_string());
        assert_eq!(merge("b:string,c:real,TimeGenerated:datetime").unwrap(), columns("a:long,b:string,c:real"));
        assert!(merge("a:int").unwrap_err().contains("is long"));
        assert!(merge("TimeGenerated:string").unwrap_err().contains("is datetime"));
        assert!(merge("_x:string").unwrap_err().contains("cannot name a column"));
        let many = (0..limits::TABLE_COLUMNS_MAX).map(|n| format!("c{n}:long")).collect::<Vec<_>>().join(",");
        assert!(merge(&many).unwrap_err().contains("at most"));
    }

    #[test]
    fn a_list_of_all_columns_must_keep_them() {
        let known = TableSchema::new(TableName::new("T_CL").unwrap(), columns("a:long,b:string"));
        let check = |asked: &str| check_nothing_is_lost(&known, &columns(asked)).map_err(|error| error.to_string());
        assert_eq!(check("a:long,b:string,c:real"), Ok(()));
        assert_eq!(check("TimeGenerated:datetime,a:long,b:string"), Ok(()));
        assert!(check("a:long,c:real").unwrap_err().contains("\"b\""));
        assert!(check("b:string,a:long").unwrap_err().contains("order"));
        assert!(check("a:long,c:real,b:string").unwrap_err().contains("order"));
    }
}
