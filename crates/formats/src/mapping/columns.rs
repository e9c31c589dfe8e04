//! Columns of a table by name, and values made fit for the column's type.

use foldhash::HashMap;
use moneta_event::{ColumnType, Value};

use crate::clock_text;
use crate::json::Document;
use crate::output::{Output, TableId, Target};

/// A column, or the place of a field without one, with what is needed to write to it.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub target: Target,
    /// The column's name, or the field's.
    pub name: Box<str>,
    pub column_type: Option<ColumnType>,
}

/// The slot of a field: the column of its name, else that of its name in another case, else a place of its own.
pub(crate) fn find_column(output: &Output, table: TableId, name: &str) -> Slot {
    // Exports from the portal name the zone behind the column.
    let name = name.strip_suffix(" [UTC]").unwrap_or(name);
    let known = match output.target(table, name) {
        Target::Unknown => output.name_in_other_case(table, name),
        _ => None,
    };
    let name: Box<str> = known.as_deref().unwrap_or(name).into();
    let target = output.target(table, &name);
    let column_type = output.column_type(table, target);
    Slot { target, name, column_type }
}

impl Slot {
    /// A slot in `_Extra`.
    pub fn extra(name: &str) -> Self {
        Self { target: Target::Extra, name: name.into(), column_type: None }
    }

    /// Writes a value, read as what the column holds: a time from any of the forms logs print, JSON from its text, a
    /// whole number from one with an empty fraction. What cannot be read goes to `_Extra`.
    pub fn write(&self, output: &mut Output, table: TableId, value: Value<'_>, scratch: &mut Document) {
        let zone = output.options.zone_offset_seconds;
        let value = match (self.column_type, value) {
            (Some(ColumnType::DateTime), Value::Text(text)) => match clock_text::parse_any(text, zone) {
                Some(time) => Value::Time(time),
                None => value,
            },
            (Some(ColumnType::DateTime), Value::Long(number)) => match clock_text::parse_epoch(&number.to_string()) {
                Some(time) => Value::Time(time),
                None => value,
            },
            (Some(ColumnType::Dynamic), Value::Text(text)) if is_json(text, scratch) => Value::Json(text.trim()),
            (Some(ColumnType::Int | ColumnType::Long), Value::Text(text)) => {
                Value::Text(text.strip_suffix(".0").unwrap_or(text))
            }
            (Some(ColumnType::Bool), Value::Text("Yes" | "yes" | "1") | Value::Long(1)) => Value::Bool(true),
            (Some(ColumnType::Bool), Value::Text("No" | "no" | "0") | Value::Long(0)) => Value::Bool(false),
            _ => value,
        };
        output.set(table, self.target, &self.name, value);
    }
}

/// Names whose columns are remembered per table.
const SLOTS_MAX: usize = 20_000;

/// The slots of the tables a decoder writes to, found once per name.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    tables: HashMap<TableId, HashMap<Box<str>, Slot>>,
    scratch: Document,
}

impl Slots {
    /// Sets a field of the current row of a table by its name.
    pub fn set(&mut self, table: TableId, name: &str, value: Value<'_>, output: &mut Output) {
        if value == Value::Text("") {
            return;
        }
        let slots = self.tables.entry(table).or_default();
        if let Some(slot) = slots.get(name) {
            slot.write(output, table, value, &mut self.scratch);
            return;
        }
        let slot = find_column(output, table, name);
        slot.write(output, table, value, &mut self.scratch);
        if slots.len() < SLOTS_MAX {
            slots.insert(name.into(), slot);
        }
    }

    /// Sets a text; an empty one is absent.
    pub fn text(&mut self, table: TableId, name: &str, text: &str, output: &mut Output) {
        self.set(table, name, Value::Text(text), output);
    }
}

fn is_json(text: &str, scratch: &mut Document) -> bool {
    text.trim_start().starts_with(['{', '[']) && scratch.parse(text.trim()).is_ok()
}
