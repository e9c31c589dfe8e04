//! RFC 5424 messages behind `<PRI>1 `.

use super::Message;
use crate::clock_text;

/// Structured data elements and parameters of one message at most; more stay in the text.
const PARAMETERS_MAX: usize = moneta_base::limits::RECORD_FIELDS_MAX;

/// Reads a message; `None` when its header is not one of RFC 5424.
///
/// # Source
/// RFC 5424 section 6. Longer fields than it allows are accepted; a time it forbids makes the header invalid.
pub(super) fn parse(text: &str) -> Option<Message<'_>> {
    let mut rest = text;
    let mut field = || -> Option<&str> {
        let (value, behind) = rest.split_once(' ')?;
        rest = behind;
        Some(if value == "-" { "" } else { value })
    };
    let (stamp, host, process, process_id, message_id) = (field()?, field()?, field()?, field()?, field()?);
    let time = if stamp.is_empty() { None } else { Some(clock_text::parse_iso(stamp, 0)?) };
    let (structured_data, text) = structured_data(rest).unwrap_or_else(|| (String::new(), rest));
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Some(Message { priority: None, time, host, process, process_id, message_id, structured_data, text })
}

/// Structured data as a JSON object, and the message behind it; `None` when it is damaged.
fn structured_data(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some((String::new(), after_blank(rest)?));
    }
    let mut json = String::from("{");
    let mut rest = text;
    let mut parameters = 0;
    while let Some(element) = rest.strip_prefix('[') {
        let id_end = element.find([' ', ']'])?;
        separate(&mut json, '{');
        push_text(&mut json, &element[..id_end]);
        json.push_str(":{");
        rest = &element[id_end..];
        while let Some(parameter) = rest.strip_prefix(' ') {
            let (name, value) = parameter.split_once("=\"")?;
            parameters += 1;
            if parameters > PARAMETERS_MAX || name.is_empty() || name.contains([' ', ']', '"']) {
                return None;
            }
            separate(&mut json, '{');
            push_text(&mut json, name);
            json.push(':');
            let (plain, behind) = parameter_value(value)?;
            push_text(&mut json, &plain);
            rest = behind;
        }
        json.push('}');
        rest = rest.strip_prefix(']')?;
    }
    json.push('}');
    (json.len() > 2).then_some((json, after_blank(rest)?))
}

/// The value up to its closing quote, escapes resolved, and what follows.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let mut plain = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((plain, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                escaped @ ('"' | '\\' | ']') => plain.push(escaped),
                // RFC 5424 section 6.3.3: a backslash before anything else is a backslash.
                other => plain.extend(['\\', other]),
            },
            other => plain.push(other),
        }
    }
    None
}

/// The message behind its blank; nothing at all is an empty message.
fn after_blank(rest: &str) -> Option<&str> {
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(' ') }
}

fn separate(json: &mut String, open: char) {
    if !json.ends_with(open) {
        json.push(',');
    }
}

fn push_text(json: &mut String, text: &str) {
    json.push_str(&serde_json::Value::from(text).to_string());
}
