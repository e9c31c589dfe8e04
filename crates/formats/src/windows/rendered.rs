//! The shape of an event rendered from its XML: `Event`/`System`/`EventData`, attributes under `#attributes`. EVTX
//! records arrive in it, and so do JSON files made from them.

use super::WindowsEvent;
use crate::clock_text;
use crate::json::{Item, Kind};

/// Reads the object within `Event`.
pub(super) fn read(event: Item<'_>) -> WindowsEvent<'_> {
    let mut found = WindowsEvent::default();
    for (name, section) in event.members() {
        match name {
            "System" => system(&mut found, section),
            "EventData" => event_data(&mut found, section),
            "UserData" => {
                found.user_data = Some(section);
                found.add_data(name, section);
            }
            "RenderingInfo" => rendering_info(&mut found, section),
            "#attributes" => {}
            _ => found.add_data(name, section),
        }
    }
    found
}

fn system<'a>(event: &mut WindowsEvent<'a>, system: Item<'a>) {
    for (name, item) in system.members() {
        match name {
            "Provider" => {
                event.provider = attribute(item, "Name");
                event.event_source_name = attribute(item, "EventSourceName");
            }
            "EventID" => {
                event.event_id = content(item);
                event.qualifiers = attribute(item, "Qualifiers");
            }
            "Version" => event.version = content(item),
            "Level" => event.level = content(item),
            "Task" => event.task = content(item),
            "Opcode" => event.opcode = content(item),
            "Keywords" => event.keywords = content(item).into(),
            "TimeCreated" => event.time = clock_text::parse_iso(attribute(item, "SystemTime"), 0),
            "EventRecordID" => event.record_id = content(item),
            "Correlation" => {
                event.activity_id = attribute(item, "ActivityID");
                event.related_activity_id = attribute(item, "RelatedActivityID");
            }
            "Execution" => {
                event.process_id = attribute(item, "ProcessID");
                event.thread_id = attribute(item, "ThreadID");
            }
            "Channel" => event.channel = content(item),
            "Computer" => event.computer = content(item),
            "Security" => event.user_sid = attribute(item, "UserID"),
            _ => event.add_data(name, item),
        }
    }
}

/// `Data` elements with a name are members of that name; those without share the member `Data`.
fn event_data<'a>(event: &mut WindowsEvent<'a>, section: Item<'a>) {
    for (name, item) in section.members() {
        match name {
            "#attributes" => {}
            "Data" => unnamed(event, item),
            _ => event.add_data(name, item),
        }
    }
}

fn unnamed<'a>(event: &mut WindowsEvent<'a>, item: Item<'a>) {
    match item.kind() {
        Kind::Array => item.elements().for_each(|element| unnamed(event, element)),
        Kind::Object => {
            for (name, inner) in item.members() {
                match name {
                    "#text" => unnamed(event, inner),
                    "#attributes" => {}
                    _ => event.add_data(name, inner),
                }
            }
        }
        _ => event.unnamed.extend(item.scalar()),
    }
}

fn rendering_info<'a>(event: &mut WindowsEvent<'a>, section: Item<'a>) {
    for (name, item) in section.members() {
        match (name, item.value()) {
            ("Message", _) => event.message = content(item),
            ("#attributes", _) | (_, None) => {}
            // Texts for the numbers of `System`: kept apart from them.
            ("Task", Some(value)) => event.extra.push(("TaskName", value)),
            ("Opcode", Some(value)) => event.extra.push(("OpcodeName", value)),
            ("Keywords", Some(value)) => event.extra.push(("KeywordNames", value)),
            _ => {}
        }
    }
}

/// The text of an element, with or without attributes beside it.
fn content(item: Item<'_>) -> &str {
    item.scalar().or_else(|| item.get("#text").and_then(Item::scalar)).unwrap_or_default()
}

/// An attribute of an element; some renderers leave out the `#attributes` level.
fn attribute<'a>(item: Item<'a>, name: &str) -> &'a str {
    let attributes = item.get("#attributes").unwrap_or(item);
    attributes.get(name).and_then(Item::scalar).unwrap_or_default()
}
