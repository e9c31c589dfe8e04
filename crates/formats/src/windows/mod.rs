//! Windows events, whatever carried them: one description of an event, filled by each shape and written to one of two
//! tables.
//!
//! Events of the `Security` channel and decisions of AppLocker become rows of `SecurityEvent` with Azure's derived
//! columns; all others, and those without channel, rows of `Event`. Fields of `EventData` and `UserData` go to the columns of their names, the rest to
//! `_Extra` under their own names.

mod activity;
mod applocker;
mod data_xml;
mod derived;
mod flat;
mod rendered;
mod rows;
mod sql_audit;
mod winlogbeat;

use std::borrow::Cow;

use moneta_base::Timestamp;
use moneta_event::Value;

use crate::json::{Item, Kind};

pub(crate) use derived::class_of;
pub(crate) use rows::WindowsRows;

/// One Windows event, as its carrier describes it. Absent texts are empty.
#[derive(Debug, Default)]
pub(crate) struct WindowsEvent<'a> {
    pub provider: &'a str,
    pub event_source_name: &'a str,
    pub event_id: &'a str,
    pub qualifiers: &'a str,
    pub version: &'a str,
    /// Number or name.
    pub level: &'a str,
    pub task: &'a str,
    pub opcode: &'a str,
    pub keywords: Cow<'a, str>,
    pub time: Option<Timestamp>,
    pub record_id: &'a str,
    pub activity_id: &'a str,
    pub related_activity_id: &'a str,
    pub process_id: &'a str,
    pub thread_id: &'a str,
    pub channel: &'a str,
    pub computer: &'a str,
    pub user_sid: &'a str,
    pub user_name: Cow<'a, str>,
    pub message: &'a str,
    /// Fields of `EventData` or `UserData` in order.
    pub data: Vec<(&'a str, Cow<'a, str>)>,
    /// Items of `EventData` without a name, in order.
    pub unnamed: Vec<&'a str>,
    /// The `UserData` section, if that is where the fields come from.
    pub user_data: Option<Item<'a>>,
    /// What else the carrier says.
    pub extra: Vec<(&'a str, Value<'a>)>,
}

/// The Windows event that a JSON object describes; `None` if it describes something else.
pub(crate) fn from_json(item: Item<'_>, zone_offset_seconds: i32) -> Option<WindowsEvent<'_>> {
    let mut shape = Shape::default();
    for (name, member) in item.members() {
        shape.meet(name, member);
    }
    if let Some(event) = shape.event.filter(|event| event.get("System").is_some()) {
        return Some(rendered::read(event));
    }
    if shape.system.is_some_and(Item::is_object) {
        return Some(rendered::read(item));
    }
    if let Some(winlog) = shape.winlog.filter(|winlog| winlog.is_object()) {
        return Some(winlogbeat::read(item, winlog));
    }
    if shape.is_winlogbeat_6 {
        return Some(winlogbeat::read(item, item));
    }
    (shape.has_event_id && shape.names_origin && !shape.is_table_row).then(|| flat::read(item, zone_offset_seconds))
}

/// What the names of an object's members say about its shape.
#[derive(Default)]
struct Shape<'a> {
    event: Option<Item<'a>>,
    system: Option<Item<'a>>,
    winlog: Option<Item<'a>>,
    is_winlogbeat_6: bool,
    has_event_id: bool,
    names_origin: bool,
    is_table_row: bool,
}

impl<'a> Shape<'a> {
    fn meet(&mut self, name: &str, member: Item<'a>) {
        match name {
            "Event" => self.event = Some(member),
            "System" => self.system = Some(member),
            "winlog" => self.winlog = Some(member),
            "log_name" => self.is_winlogbeat_6 = true,
            "EventID" | "EventId" | "Event_ID" => self.has_event_id = member.scalar().is_some_and(is_number),
            "Channel" | "SourceName" | "ProviderGuid" | "Provider_Name" => self.names_origin = true,
            // The last is of the tables that Azure diagnostics writes.
            "TimeGenerated" | "TenantId" | "EventTickCount" => self.is_table_row = true,
            _ => {}
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

impl<'a> WindowsEvent<'a> {
    /// Adds a field of the data section. Nested elements add a field each, under their own names; a list of texts
    /// adds one field with a line each.
    pub fn add_data(&mut self, name: &'a str, item: Item<'a>) {
        if let Some(text) = item.scalar() {
            self.data.push((name, text.into()));
            return;
        }
        if item.kind() == Kind::Array {
            if item.elements().all(|element| element.scalar().is_some()) {
                let lines: Vec<&str> = item.elements().filter_map(Item::scalar).collect();
                self.data.push((name, lines.join("\n").into()));
            } else {
                item.elements().for_each(|element| self.add_data(name, element));
            }
            return;
        }
        for (child, value) in item.members() {
            match child {
                "#text" | "#value" => self.add_data(name, value),
                "#attributes" => self.add_attributes(value),
                _ => self.add_data(child, value),
            }
        }
    }

    fn add_attributes(&mut self, attributes: Item<'a>) {
        let named = attributes.members().filter(|(name, _)| !name.starts_with("xmlns"));
        self.data.extend(named.filter_map(|(name, value)| Some((name, value.scalar()?.into()))));
    }
}
