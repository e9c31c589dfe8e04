//! JSON text as the form of `dynamic`: reading members without parsing the whole, and the two conversions to text.
//!
//! A `dynamic` column holds well-formed JSON; text that is not reads as null wherever it is noticed.

use std::borrow::Cow;

use moneta_event::json_scan::JsonScanner;
use serde_json::Value as Json;

/// Parses a `dynamic` value. Text that is no JSON is null.
#[must_use]
pub fn parse(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or(Json::Null)
}

/// What `parse_json` makes of a string: its JSON value, or the string itself if it is none.
#[must_use]
pub fn parse_lenient(text: &str) -> Option<String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return None;
    }
    match serde_json::from_str::<Json>(trimmed) {
        Ok(Json::Null) => None,
        Ok(value) => Some(value.to_string()),
        Err(_) => Some(quote(text)),
    }
}

/// A text as a JSON string.
#[must_use]
pub fn quote(text: &str) -> String {
    Json::String(text.to_owned()).to_string()
}

/// What `tostring` makes of a dynamic: a string without its quotes, `True`/`False`, all else as JSON.
#[must_use]
pub fn to_text(json: &str) -> Cow<'_, str> {
    match json.as_bytes().first() {
        Some(b'"') => unquote(json),
        Some(b't') if json == "true" => Cow::Borrowed("true"),
        Some(b'f') if json == "false" => Cow::Borrowed("false"),
        Some(b'n') if json == "null" => Cow::Borrowed(""),
        _ => Cow::Borrowed(json),
    }
}

/// [`to_text`] of a parsed value.
#[must_use]
pub fn value_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

/// The text of a JSON string literal.
fn unquote(json: &str) -> Cow<'_, str> {
    if let Some(inner) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
        && !inner.contains('\\')
    {
        return Cow::Borrowed(inner);
    }
    Cow::Owned(serde_json::from_str(json).unwrap_or_default())
}

/// One step into a `dynamic` value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// `.name` or `["name"]`
    Key(String),
    /// `[3]`, `[-1]`
    Index(i64),
}

/// Follows steps into a JSON text; `None` for what is missing or null.
#[must_use]
pub fn follow<'a>(json: &'a str, steps: &[Step]) -> Option<&'a str> {
    let mut at = json.trim();
    for step in steps {
        at = match step {
            Step::Key(key) => member(at, key)?,
            Step::Index(index) => element(at, *index)?,
        };
    }
    (at != "null").then_some(at)
}

/// The value of a key of an object; of equal keys the last.
fn member<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    let mut scanner = JsonScanner::new(json);
    scanner.expect(b'{')?;
    let mut found = None;
    if scanner.peek()? == b'}' {
        return None;
    }
    loop {
        let name = scanner.string()?;
        scanner.expect(b':')?;
        let value = scanner.value(0)?;
        if name.len() >= key.len() + 2 && *unquote(name) == *key {
            found = Some(value);
        }
        match scanner.next()? {
            b',' => {}
            b'}' => return found,
            _ => return None,
        }
    }
}

/// The element of an array; a negative index counts from the end.
fn element(json: &str, index: i64) -> Option<&str> {
    if index < 0 {
        let all = elements(json)?;
        return all.get(all.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?).copied();
    }
    let wanted = usize::try_from(index).ok()?;
    let mut scanner = JsonScanner::new(json);
    scanner.expect(b'[')?;
    if scanner.peek()? == b']' {
        return None;
    }
    for position in 0.. {
        let value = scanner.value(0)?;
        if position == wanted {
            return Some(value);
        }
        if scanner.next()? != b',' {
            return None;
        }
    }
    None
}

/// The elements of an array as JSON texts; `None` if it is no array.
#[must_use]
pub fn elements(json: &str) -> Option<Vec<&str>> {
    let mut scanner = JsonScanner::new(json.trim());
    scanner.expect(b'[')?;
    let mut all = Vec::new();
    if scanner.peek()? == b']' {
        return Some(all);
    }
    loop {
        all.push(scanner.value(0)?);
        if scanner.next()? != b',' {
            return Some(all);
        }
    }
}

/// The keys and values of an object as JSON texts; `None` if it is none.
#[must_use]
pub fn members(json: &str) -> Option<Vec<(&str, &str)>> {
    let mut scanner = JsonScanner::new(json.trim());
    scanner.expect(b'{')?;
    let mut all = Vec::new();
    if scanner.peek()? == b'}' {
        return Some(all);
    }
    loop {
        let key = scanner.string()?;
        scanner.expect(b':')?;
        all.push((key, scanner.value(0)?));
        if scanner.next()? != b',' {
            return Some(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_paths_in_text() {
        let json = r#" {"a": {"b":[1, {"c":"x\"y"}, [2]]}, "n":null, "a b":3, "d":1, "d":2} "#;
        let key = |name: &str| Step::Key(name.into());
        let check = |steps: &[Step], expected: Option<&str>| assert_eq!(follow(json, steps), expected, "{steps:?}");
        check(&[key("a"), key("b"), Step::Index(0)], Some("1"));
        check(&[key("a"), key("b"), Step::Index(-1)], Some("[2]"));
        check(&[key("a"), key("b"), Step::Index(1), key("c")], Some(r#""x\"y""#));
        check(&[key("a b")], Some("3"));
        check(&[key("n")], None);
        check(&[key("d")], Some("2"));
        check(&[key("missing")], None);
        check(&[Step::Index(0)], None);
        assert_eq!(to_text(r#""x\"y""#), "x\"y");
    }

    #[test]
    fn damaged_text_reads_as_nothing() {
        for text in ["", "{", "{\"a\"", "{\"a\":", "[1,", "nul", "{\"a\":\"\\", "[[[[", "\u{e9}"] {
            let _ = follow(text, &[Step::Key("a".into())]);
            let _ = follow(text, &[Step::Index(1)]);
            let _ = elements(text);
            let _ = members(text);
        }
        let deep = "[".repeat(100_000);
        assert_eq!(follow(&deep, &[Step::Index(0), Step::Index(0)]), None);
    }
}
