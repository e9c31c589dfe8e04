//! `parse_xml`: XML as a `dynamic` value.
//!
//! An element is a bag: attributes under `@name`, its text under `#text`, children under their names, several of one
//! name as an array. An element with text alone is that text. What is no XML gives null. No entity but the five of XML
//! itself and characters by number is known, so that no document can grow.

use serde_json::{Map, Value as Json};

use super::row::Answer;
use super::{Function, Naming};

/// The greatest nesting; deeper documents give null.
const DEPTH_MAX: usize = 128;

/// The greatest size of a document, as in Kusto.
const BYTES_MAX: usize = 1 << 20;

/// The declarations.
pub const FUNCTIONS: &[Function] = &[Function::row("parse_xml", &["(source: text) -> dynamic"], |a, _| {
    parse(a[0].text()).map_or(Answer::Null, Into::into)
})
.naming(Naming::First)
.doc(
    "A document of XML as a bag.",
    &[
        ("parse_xml('<a id=\"1\"><b>x</b><b>y</b></a>')", "dynamic({\"a\":{\"@id\":\"1\",\"b\":[\"x\",\"y\"]}})"),
        ("parse_xml('<a>&lt;</a>')", "dynamic({\"a\":\"<\"})"),
        ("parse_xml('x')", "dynamic(null)"),
    ],
)];

/// The document as JSON; `None` if it is not well formed or beyond the limits.
#[must_use]
pub fn parse(text: &str) -> Option<Json> {
    if text.len() > BYTES_MAX {
        return None;
    }
    let mut reader = Reader { rest: text.trim_start_matches('\u{feff}') };
    reader.skip_misc()?;
    let (name, root) = reader.element(0)?;
    reader.skip_misc()?;
    let document = Map::from_iter([(name.to_owned(), root)]);
    reader.rest.is_empty().then_some(Json::Object(document))
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn eat(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn until(&mut self, end: &str) -> Option<&'a str> {
        let at = self.rest.find(end)?;
        let found = &self.rest[..at];
        self.rest = &self.rest[at + end.len()..];
        Some(found)
    }

    /// Comments, instructions, the document type and white space around the root.
    fn skip_misc(&mut self) -> Option<()> {
        loop {
            self.skip_space();
            if self.eat("<?").is_some() {
                self.until("?>")?;
            } else if self.eat("<!--").is_some() {
                self.until("-->")?;
            } else if self.rest.starts_with("<!DOCTYPE") {
                let definition = self.until(">")?;
                // Definitions of entities of one's own are where documents explode.
                if definition.contains('[') {
                    return None;
                }
            } else {
                return Some(());
            }
        }
    }

    fn name(&mut self) -> Option<&'a str> {
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':')))
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | ':')).then_some(name)
    }

    fn attributes(&mut self, bag: &mut Map<String, Json>) -> Option<()> {
        loop {
            self.skip_space();
            if self.rest.is_empty() || self.rest.starts_with(['>', '/']) {
                return Some(());
            }
            let name = self.name()?;
            self.skip_space();
            self.eat("=")?;
            self.skip_space();
            let quote = if self.rest.starts_with('\'') { "'" } else { "\"" };
            self.eat(quote)?;
            let value = unescaped(self.until(quote)?)?;
            bag.insert(format!("@{name}"), value.into());
        }
    }

    fn element(&mut self, depth: usize) -> Option<(&'a str, Json)> {
        if depth >= DEPTH_MAX {
            return None;
        }
        self.eat("<")?;
        let name = self.name()?;
        let mut bag = Map::new();
        self.attributes(&mut bag)?;
        if self.eat("/>").is_some() {
            return Some((name, if bag.is_empty() { Json::Null } else { Json::Object(bag) }));
        }
        self.eat(">")?;
        let text = self.content(&mut bag, depth)?;
        self.eat(name)?;
        self.skip_space();
        self.eat(">")?;
        Some((name, value_of(bag, text)))
    }

    /// Text and children up to the end tag, whose `</` is eaten.
    fn content(&mut self, bag: &mut Map<String, Json>, depth: usize) -> Option<String> {
        let mut text = String::new();
        loop {
            let at = self.rest.find('<')?;
            let (before, rest) = self.rest.split_at(at);
            text.push_str(&unescaped(before)?);
            self.rest = rest;
            if self.eat("</").is_some() {
                return Some(text);
            }
            if self.eat("<![CDATA[").is_some() {
                text.push_str(self.until("]]>")?);
            } else if self.eat("<!--").is_some() {
                self.until("-->")?;
            } else if self.eat("<?").is_some() {
                self.until("?>")?;
            } else {
                let (name, child) = self.element(depth + 1)?;
                add_child(bag, name, child);
            }
        }
    }
}

/// Adds a child; of several with one name an array is made.
fn add_child(bag: &mut Map<String, Json>, name: &str, child: Json) {
    match bag.get_mut(name) {
        None => {
            bag.insert(name.to_owned(), child);
        }
        Some(Json::Array(all)) => all.push(child),
        Some(one) => *one = Json::Array(vec![one.take(), child]),
    }
}

/// What an element is: its text if it has nothing else.
fn value_of(mut bag: Map<String, Json>, text: String) -> Json {
    let blank = text.trim().is_empty();
    if bag.is_empty() {
        return if text.is_empty() { Json::Null } else { text.into() };
    }
    if !blank {
        bag.insert("#text".to_owned(), text.trim().into());
    }
    Json::Object(bag)
}

/// A text with its entities resolved; `None` for one that is not known.
fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let (entity, behind) = rest[at + 1..].split_once(';')?;
        out.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => numbered(entity)?,
        });
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}

fn numbered(entity: &str) -> Option<char> {
    let number = entity.strip_prefix('#')?;
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_become_bags() {
        let check = |text: &str, expected: Option<Json>| assert_eq!(parse(text), expected, "{text}");
        check("<?xml version=\"1.0\"?><a/>", Some(json!({"a": null})));
        check("<a x='1'>t<b/></a>", Some(json!({"a": {"@x": "1", "b": null, "#text": "t"}})));
        check("<a><![CDATA[<&]]></a>", Some(json!({"a": "<&"})));
        check("<a>&#65;&#x42;<!-- c --></a>", Some(json!({"a": "AB"})));
        check("<a><b></a>", None);
        check("<a>&own;</a>", None);
        check("<!DOCTYPE a [<!ENTITY x 'y'>]><a/>", None);
        check("<a", None);
        check(&format!("{}{}", "<a>".repeat(200), "</a>".repeat(200)), None);
    }
}
