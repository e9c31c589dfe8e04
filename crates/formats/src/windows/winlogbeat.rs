//! The shapes of Winlogbeat: everything at the top (6) or under `winlog` with ECS fields beside it (7 and 8).

use std::borrow::Cow;

use super::WindowsEvent;
use crate::clock_text;
use crate::json::{Item, Kind};

/// Keywords by the names Windows shows.
const KEYWORDS: [(&str, &str); 3] =
    [("Audit Success", "0x8020000000000000"), ("Audit Failure", "0x8010000000000000"), ("Classic", "0x80000000000000")];

/// Lines of a message that are read as fields: Sysmon's longest event has about 30.
const MESSAGE_LINES_MAX: usize = 100;

/// Reads an event. `winlog` is the object that holds the event's own fields; in version 6 that is the whole record.
pub(super) fn read<'a>(record: Item<'a>, winlog: Item<'a>) -> WindowsEvent<'a> {
    let mut event = WindowsEvent::default();
    let is_version_6 = record.get("winlog").is_none();
    for (name, item) in winlog.members() {
        own_field(&mut event, name, item);
    }
    for (name, item) in record.members() {
        match name {
            "@timestamp" => event.time = item.text().and_then(|text| clock_text::parse_iso(text, 0)),
            "message" => event.message = item.text().unwrap_or_default(),
            "log" => {
                let level = item.get("level").and_then(Item::text).unwrap_or_default();
                if event.level.is_empty() {
                    event.level = level;
                }
            }
            "winlog" => {}
            "event" if event.event_id.is_empty() => event.event_id = text_of(item.get("code")),
            _ if is_version_6 && OWN_FIELDS.contains(&name) => {}
            _ => event.extra.extend(item.value().map(|value| (name, value))),
        }
    }
    if event.provider == "Microsoft-Windows-Sysmon" {
        fill_from_message(&mut event);
    }
    event
}

/// Names that [`own_field`] takes, so that version 6 does not keep them twice.
const OWN_FIELDS: [&str; 21] = [
    "channel",
    "log_name",
    "computer_name",
    "event_id",
    "provider_name",
    "source_name",
    "record_id",
    "record_number",
    "version",
    "opcode",
    "task",
    "level",
    "keywords",
    "process",
    "process_id",
    "thread_id",
    "user",
    "activity_id",
    "related_activity_id",
    "event_data",
    "user_data",
];

fn own_field<'a>(event: &mut WindowsEvent<'a>, name: &'a str, item: Item<'a>) {
    match name {
        "channel" | "log_name" => event.channel = text_of(Some(item)),
        "computer_name" => event.computer = text_of(Some(item)),
        "event_id" => event.event_id = text_of(Some(item)),
        "provider_name" | "source_name" => event.provider = text_of(Some(item)),
        "record_id" | "record_number" => event.record_id = text_of(Some(item)),
        "version" => event.version = text_of(Some(item)),
        "opcode" => event.opcode = text_of(Some(item)),
        "task" => event.task = text_of(Some(item)),
        "level" => event.level = text_of(Some(item)),
        "keywords" => event.keywords = keywords(item),
        "process" => {
            event.process_id = text_of(item.get("pid"));
            event.thread_id = text_of(item.get("thread").and_then(|thread| thread.get("id")));
        }
        "process_id" => event.process_id = text_of(Some(item)),
        "thread_id" => event.thread_id = text_of(Some(item)),
        "user" => user(event, item),
        "activity_id" => event.activity_id = text_of(Some(item)),
        "related_activity_id" => event.related_activity_id = text_of(Some(item)),
        "event_data" => item.members().for_each(|(field, value)| data_field(event, field, value)),
        "user_data" => {
            event.user_data = Some(item);
            event.add_data(name, item);
        }
        _ => {}
    }
}

/// Winlogbeat numbers unnamed items `param1`, `param2`, ...; the name stays and the item counts as unnamed too.
fn data_field<'a>(event: &mut WindowsEvent<'a>, name: &'a str, value: Item<'a>) {
    let is_unnamed = name.strip_prefix("param").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    if is_unnamed {
        event.unnamed.extend(value.scalar());
    }
    event.add_data(name, value);
}

fn user<'a>(event: &mut WindowsEvent<'a>, item: Item<'a>) {
    event.user_sid = text_of(item.get("identifier"));
    let (domain, name) = (text_of(item.get("domain")), text_of(item.get("name")));
    event.user_name = match (domain, name) {
        (_, "") => Cow::default(),
        ("", name) => name.into(),
        (domain, name) => format!("{domain}\\{name}").into(),
    };
}

fn keywords(item: Item<'_>) -> Cow<'_, str> {
    if item.kind() != Kind::Array {
        return text_of(Some(item)).into();
    }
    let names: Vec<&str> = item.elements().filter_map(Item::text).collect();
    match names[..] {
        [name] => KEYWORDS.iter().find(|(known, _)| *known == name).map_or(name, |(_, bits)| *bits).into(),
        _ => names.join(", ").into(),
    }
}

/// Adds the fields that Winlogbeat's Sysmon module moved out of `event_data`, from the message, which names them as
/// Sysmon does. A field is only added when missing, and the first line of a name wins, so that a line break within a
/// command line cannot replace what is there.
fn fill_from_message(event: &mut WindowsEvent<'_>) {
    // The first line is the event's title.
    for line in event.message.lines().skip(1).take(MESSAGE_LINES_MAX) {
        let Some((name, text)) = line.split_once(": ").or_else(|| line.strip_suffix(':').map(|name| (name, ""))) else {
            continue;
        };
        let is_name = !name.is_empty() && name.len() <= 32 && name.bytes().all(|b| b.is_ascii_alphanumeric());
        if is_name && !event.data.iter().any(|(known, _)| *known == name) {
            event.data.push((name, text.into()));
        }
    }
}

fn text_of(item: Option<Item<'_>>) -> &str {
    item.and_then(Item::scalar).unwrap_or_default()
}
