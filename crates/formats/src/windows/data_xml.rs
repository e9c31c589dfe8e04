//! The data section of an event as XML, the form in which Azure's tables hold it and existing queries parse it.
//!
//! Rebuilt from the fields, because carriers other than EVTX do not have the original: text is the same, white space
//! between elements is not.

use super::WindowsEvent;
use crate::json::{Item, Kind};

const EVENT_NAMESPACE: &str = "http://schemas.microsoft.com/win/2004/08/events/event";

/// Appends the section; nothing for an event without fields. `in_data_item` adds the element that `Event` has around.
pub(super) fn section(event: &WindowsEvent<'_>, in_data_item: bool, xml: &mut String) {
    if event.data.is_empty() && event.unnamed.is_empty() {
        return;
    }
    if in_data_item {
        xml.push_str("<DataItem type=\"System.XmlData\">");
    }
    match event.user_data {
        Some(item) => element("UserData", item, xml),
        None => event_data(event, xml),
    }
    if in_data_item {
        xml.push_str("</DataItem>");
    }
}

/// Appends the unnamed items as classic events have them.
pub(super) fn parameters(items: &[&str], xml: &mut String) {
    for item in items {
        xml.push_str("<Param>");
        escape(item, xml);
        xml.push_str("</Param>");
    }
}

fn event_data(event: &WindowsEvent<'_>, xml: &mut String) {
    xml.push_str("<EventData xmlns=\"");
    xml.push_str(EVENT_NAMESPACE);
    xml.push_str("\">");
    for item in &event.unnamed {
        xml.push_str("<Data>");
        escape(item, xml);
        xml.push_str("</Data>");
    }
    for (name, text) in &event.data {
        xml.push_str("<Data Name=\"");
        escape(name, xml);
        xml.push_str("\">");
        escape(text, xml);
        xml.push_str("</Data>");
    }
    xml.push_str("</EventData>");
}

/// Appends an element and those within it. The parser has limited how deep they lie.
fn element(name: &str, item: Item<'_>, xml: &mut String) {
    if item.kind() == Kind::Array {
        item.elements().for_each(|one| element(name, one, xml));
        return;
    }
    xml.push('<');
    element_name(name, xml);
    let attributes = item.get("#attributes");
    for (name, value) in attributes.into_iter().flat_map(Item::members) {
        xml.push(' ');
        element_name(name, xml);
        xml.push_str("=\"");
        escape(value.scalar().unwrap_or_default(), xml);
        xml.push('"');
    }
    xml.push('>');
    escape(item.scalar().unwrap_or_default(), xml);
    for (child, value) in item.members() {
        match child {
            "#attributes" => {}
            "#text" => escape(value.scalar().unwrap_or_default(), xml),
            _ => element(child, value, xml),
        }
    }
    xml.push_str("</");
    element_name(name, xml);
    xml.push('>');
}

/// Appends a name, with what cannot stand in one replaced.
fn element_name(name: &str, xml: &mut String) {
    xml.extend(name.chars().map(|c| if c.is_alphanumeric() || "_-.:".contains(c) { c } else { '_' }));
}

fn escape(text: &str, xml: &mut String) {
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let entity = match byte {
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'&' => "&amp;",
            b'"' => "&quot;",
            _ => continue,
        };
        xml.push_str(&text[copied..at]);
        xml.push_str(entity);
        copied = at + 1;
    }
    xml.push_str(&text[copied..]);
}
