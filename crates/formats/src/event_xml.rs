//! Windows events as XML: what Windows Event Forwarding sends, with or without rendering, and what tools export.
//!
//! Layout: any number of `<Event>...</Event>`, one after another or within other elements. Each is read by itself, made
//! the object that JSON renderings of it have (attributes below `#attributes`), and mapped like every Windows event.
//! An event whose end is missing is read as far as its last whole element, if its `System` part is whole. Elements
//! outside events are passed over.
//!
//! Extended events of SQL Server are read too: `<event name= package= timestamp=>` with `<data name=>` and `<action name=>`,
//! each with a `<value>` and sometimes a `<text>` for it. An event becomes an object of those names, and a row by the
//! mapping of its shape: audit events of `SQLSecurityAuditEvents`, others of `SqlExtendedEvent_CL`.
//!
//! Entities other than the five of XML and numbered ones are kept as they stand; documents cannot define any.

use moneta_base::limits::{NESTING_DEPTH_MAX, RECORD_BYTES_MAX, RECORD_FIELDS_MAX};
use serde_json::{Map, Value};

use crate::json::Document;
use crate::mapping::MappedRows;
use crate::output::{Output, Refusal};
use crate::windows::{self, WindowsRows};

/// What ends an event: `</Event>`, of SQL Server `</event>`.
const END: &[u8] = b"vent>";
const ENDS: [&[u8]; 2] = [b"</Event>", b"</event>"];
const END_BYTES: usize = 8;
/// Bytes that tell the beginning of an event.
const START_BYTES: usize = 7;

/// Decodes events in XML.
#[derive(Debug, Default)]
pub(crate) struct EventXmlStream {
    held: Vec<u8>,
    /// Stream position of what is held.
    offset: u64,
    document: Document,
    rows: WindowsRows,
    mapped: MappedRows,
}

/// Whether a text begins with an event, or with an element around some.
pub(crate) fn is_events(head: &[u8]) -> bool {
    head.starts_with(b"<") && event_start(head).is_some()
}

/// Where an `<Event` element begins (not `<Events`).
fn event_start(bytes: &[u8]) -> Option<usize> {
    let is_start = |at: &usize| matches!(bytes.get(at + 6), Some(b' ' | b'>' | b'\t' | b'\r' | b'\n'));
    let windows = memchr::memmem::find_iter(bytes, b"<Event").find(is_start);
    windows.or_else(|| memchr::memmem::find(bytes, b"<event name="))
}

impl EventXmlStream {
    pub fn new(first_offset: u64) -> Self {
        Self { offset: first_offset, ..Self::default() }
    }

    pub fn feed(&mut self, bytes: &[u8], output: &mut Output) {
        // An end mark may be cut in two by the pieces.
        let mut from = self.held.len().saturating_sub(END_BYTES);
        self.held.extend_from_slice(bytes);
        let mut held = std::mem::take(&mut self.held);
        let mut done = 0;
        while let Some(found) = memchr::memmem::find(&held[from..], END) {
            let end = from + found + END.len();
            from = end;
            if !ENDS.iter().any(|mark| held[..end].ends_with(mark)) {
                continue;
            }
            self.event(&held[done..end], self.offset + done as u64, output);
            done = end;
            output.advance(self.offset + done as u64);
        }
        let rest = &held[done..];
        if rest.len() > RECORD_BYTES_MAX && event_start(rest).is_some() {
            // Its end, when it comes, ends nothing.
            output.quarantine_too_long(None, self.offset + done as u64, rest, rest.len() as u64);
            done = held.len();
        } else if rest.len() > RECORD_BYTES_MAX {
            // Elements outside events; the beginning of one may be cut in two.
            let end = held.len() - START_BYTES;
            Self::outside(&held[done..end], self.offset + done as u64, output);
            done = end;
        }
        self.offset += done as u64;
        held.drain(..done);
        self.held = held;
    }

    pub fn finish(&mut self, output: &mut Output) {
        let held = std::mem::take(&mut self.held);
        self.event(&held, self.offset, output);
        output.advance(self.offset + held.len() as u64);
    }

    fn event(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let start = event_start(bytes);
        Self::outside(&bytes[..start.unwrap_or(bytes.len())], offset, output);
        let Some(start) = start else { return };
        let (bytes, offset) = (&bytes[start..], offset + start as u64);
        if bytes.len() > RECORD_BYTES_MAX {
            output.quarantine_too_long(None, offset, bytes, bytes.len() as u64);
            return;
        }
        output.contain(offset, bytes, |output| {
            let text = std::str::from_utf8(bytes).map_err(Refusal::invalid_utf8);
            if let Err(refusal) = text.and_then(|text| self.map(text, output)) {
                output.quarantine(refusal, None, offset, bytes);
            }
        });
    }

    /// Looks at what stands outside events: elements are passed over, but neither text that no element encloses nor an
    /// event whose beginning is missing.
    fn outside(bytes: &[u8], offset: u64, output: &mut Output) {
        if ENDS.iter().any(|mark| bytes.ends_with(mark)) {
            let refusal = Refusal::new("no_event", "the end of an event whose beginning was not found");
            output.quarantine(refusal, None, offset, bytes);
        } else if has_stray_text(bytes) {
            output.quarantine(Refusal::new("no_event", "text outside of events and elements"), None, offset, bytes);
        }
    }

    /// Writes the row of one event that another record carries.
    ///
    /// # Errors
    /// [`Refusal`] where it is none; then nothing was written.
    pub fn map(&mut self, text: &str, output: &mut Output) -> Result<(), Refusal> {
        if text.starts_with("<event") {
            return self.extended(text, output);
        }
        let event = Reader { rest: text, fields: 0 }.event()?;
        if !event.get("System").is_some_and(Value::is_object) {
            return Err(Refusal::new("no_system", "an event without a whole System part"));
        }
        let json = Value::from(Map::from_iter([("Event".to_owned(), Value::from(event))])).to_string();
        let item = self.document.parse(&json).map_err(crate::json::Fault::refusal)?;
        let event = windows::from_json(item, output.options.zone_offset_seconds);
        let event = event.ok_or_else(|| Refusal::new("no_event", "not a Windows event"))?;
        self.rows.write(&event, text, output)
    }
}

/// Whether text follows the end of an element, or stands at the beginning: no element encloses it.
fn has_stray_text(bytes: &[u8]) -> bool {
    let is_blank = |text: &[u8]| text.iter().all(|b| b.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(b));
    // Events may stand in the character data of an element.
    let mut rest = bytes.strip_prefix(b"]]>").unwrap_or(bytes);
    let mut is_enclosed = false;
    while let Some(start) = memchr::memchr(b'<', rest) {
        let Some(end) = memchr::memchr(b'>', &rest[start..]) else { return false };
        if !is_enclosed && !is_blank(&rest[..start]) {
            return true;
        }
        let tag = &rest[start..start + end];
        is_enclosed = !tag.starts_with(b"</") && !tag.ends_with(b"/") && !tag.ends_with(b"?");
        rest = &rest[start + end + 1..];
    }
    !is_enclosed && !is_blank(rest)
}

impl EventXmlStream {
    /// Maps an extended event of SQL Server.
    fn extended(&mut self, text: &str, output: &mut Output) -> Result<(), Refusal> {
        let event = Reader { rest: text, fields: 0 }.extended()?;
        let json = Value::from(event).to_string();
        let item = self.document.parse(&json).map_err(crate::json::Fault::refusal)?;
        let mappings = std::sync::Arc::clone(&output.options.mappings);
        let choice = mappings.choose(item);
        let choice =
            choice.ok_or_else(|| Refusal::new("no_event", "an extended event without package or timestamp"))?;
        self.mapped.write(&mappings, choice, item, text, output)
    }
}

/// Reads one element after another.
struct Reader<'a> {
    rest: &'a str,
    fields: usize,
}

/// A start tag.
struct Tag<'a> {
    name: &'a str,
    attributes: Map<String, Value>,
    is_empty: bool,
}

enum Node<'a> {
    Start(Tag<'a>),
    End,
    Text(String),
}

impl<'a> Reader<'a> {
    fn event(mut self) -> Result<Map<String, Value>, Refusal> {
        match self.node() {
            Some(Node::Start(tag)) if tag.name == "Event" && !tag.is_empty => {
                let mut event = Map::new();
                // What is cut off ends the event; what came before it stays.
                let _whole = self.children(&mut event, 1)?;
                Ok(event)
            }
            _ => Err(Refusal::new("invalid_xml", "not an Event element")),
        }
    }

    /// An extended event: its attributes, and its data and actions by their names.
    fn extended(mut self) -> Result<Map<String, Value>, Refusal> {
        let Some(Node::Start(tag)) = self.node() else {
            return Err(Refusal::new("invalid_xml", "not an event element"));
        };
        let mut event = tag.attributes;
        let mut content = Map::new();
        if !tag.is_empty {
            let _whole = self.children(&mut content, 1)?;
        }
        for kind in ["data", "action"] {
            let list = match content.remove(kind) {
                Some(Value::Array(list)) => list,
                Some(one) => vec![one],
                None => continue,
            };
            for mut one in list {
                let name = one.pointer("/#attributes/name").and_then(Value::as_str).map(str::to_owned);
                // The text of a value says what its number means; the number stays where there is none.
                let shown = ["text", "value"].into_iter().find_map(|part| one.get_mut(part).map(Value::take));
                if let (Some(name), Some(shown)) = (name, shown) {
                    event.entry(name).or_insert(shown);
                }
            }
        }
        event.extend(content);
        Ok(event)
    }

    /// Reads the content of an element into an object; returns its text, `None` when the input ends within it.
    fn children(&mut self, into: &mut Map<String, Value>, depth: usize) -> Result<Option<String>, Refusal> {
        if depth > NESTING_DEPTH_MAX {
            return Err(Refusal::new("too_deep", format!("XML nested more than {NESTING_DEPTH_MAX} levels deep")));
        }
        let mut text = String::new();
        loop {
            match self.node() {
                None => return Ok(None),
                Some(Node::End) => return Ok(Some(text)),
                Some(Node::Text(part)) => text.push_str(&part),
                Some(Node::Start(tag)) => {
                    self.fields += 1 + tag.attributes.len();
                    if self.fields > RECORD_FIELDS_MAX {
                        return Err(Refusal::new("too_many_fields", format!("more than {RECORD_FIELDS_MAX} elements")));
                    }
                    let mut inner = Map::new();
                    let content =
                        if tag.is_empty { Some(String::new()) } else { self.children(&mut inner, depth + 1)? };
                    let is_cut = content.is_none();
                    // A value that is cut off says something that the event did not say.
                    if !is_cut || !inner.is_empty() {
                        add(into, tag, inner, content.unwrap_or_default());
                    }
                    if is_cut {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The next tag or text; `None` at the end, or where the text is no XML any more.
    fn node(&mut self) -> Option<Node<'a>> {
        loop {
            let Some(tag) = self.rest.strip_prefix('<') else {
                let end = self.rest.find('<')?;
                let text = &self.rest[..end];
                self.rest = &self.rest[end..];
                return Some(Node::Text(resolved(text)));
            };
            if let Some(data) = tag.strip_prefix("![CDATA[") {
                let (text, rest) = data.split_once("]]>")?;
                self.rest = rest;
                return Some(Node::Text(text.to_owned()));
            }
            if let Some(comment) = tag.strip_prefix("!--") {
                self.rest = comment.split_once("-->")?.1;
            } else if let Some(instruction) = tag.strip_prefix('?') {
                self.rest = instruction.split_once("?>")?.1;
            } else if let Some(end) = tag.strip_prefix('/') {
                self.rest = end.split_once('>')?.1;
                return Some(Node::End);
            } else {
                return self.start(tag);
            }
        }
    }

    fn start(&mut self, text: &'a str) -> Option<Node<'a>> {
        let end = text.find([' ', '>', '/', '\t', '\r', '\n'])?;
        let name = text[..end].rsplit(':').next()?;
        let mut attributes = Map::new();
        let mut rest = text[end..].trim_start();
        loop {
            if let Some(behind) = rest.strip_prefix("/>") {
                self.rest = behind;
                return Some(Node::Start(Tag { name, attributes, is_empty: true }));
            }
            if let Some(behind) = rest.strip_prefix('>') {
                self.rest = behind;
                return Some(Node::Start(Tag { name, attributes, is_empty: false }));
            }
            let (key, behind) = rest.split_once('=')?;
            let behind = behind.trim_start();
            let quote = behind.chars().next().filter(|c| *c == '"' || *c == '\'')?;
            let (value, behind) = behind[1..].split_once(quote)?;
            if attributes.len() < RECORD_FIELDS_MAX {
                attributes.insert(key.trim().to_owned(), resolved(value).into());
            }
            rest = behind.trim_start();
        }
    }
}

/// Adds an element to its parent: named data under their names, others under the element's.
fn add(into: &mut Map<String, Value>, tag: Tag<'_>, mut inner: Map<String, Value>, text: String) {
    let mut attributes = tag.attributes;
    let key = match attributes.get("Name").and_then(Value::as_str) {
        Some(name) if ["Data", "ComplexData"].contains(&tag.name) && !name.is_empty() => {
            let name = name.to_owned();
            attributes.remove("Name");
            name
        }
        _ => tag.name.to_owned(),
    };
    attributes.retain(|name, _| !name.starts_with("xmlns"));
    let trimmed = if inner.is_empty() { text } else { text.trim().to_owned() };
    let value = if inner.is_empty() && attributes.is_empty() {
        Value::from(trimmed)
    } else {
        if !attributes.is_empty() {
            inner.insert("#attributes".to_owned(), attributes.into());
        }
        if !trimmed.is_empty() {
            inner.insert("#text".to_owned(), trimmed.into());
        }
        inner.into()
    };
    match into.get_mut(&key) {
        None => {
            into.insert(key, value);
        }
        Some(Value::Array(list)) => list.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

/// A text with its entities resolved.
fn resolved(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.as_bytes().iter().take(12).position(|b| *b == b';');
        match end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
            Some((character, end)) => {
                plain.push(character);
                rest = &rest[end + 1..];
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        Value::from(Reader { rest: text, fields: 0 }.event().unwrap()).to_string()
    }

    #[test]
    fn elements_become_members() {
        let xml = "<Event xmlns='x'><System><Provider Name='P'/><EventID Qualifiers='1'>7</EventID></System>\
                   <EventData><Data Name='A'>1 &amp; 2</Data><Data>x</Data><Data>y</Data></EventData></Event>";
        assert_eq!(
            read(xml),
            r##"{"System":{"Provider":{"#attributes":{"Name":"P"}},"EventID":{"#attributes":{"Qualifiers":"1"},"#text":"7"}},"EventData":{"A":"1 & 2","Data":["x","y"]}}"##
        );
    }

    #[test]
    fn what_is_cut_off_keeps_what_came_before() {
        let text = "<Event><System><Level>4</Level></System><RenderingInfo><Message>abc";
        assert_eq!(read(text), r#"{"System":{"Level":"4"}}"#);
        assert_eq!(resolved("a&#65;&#x42;&nope;&"), "aAB&nope;&");
    }
}
