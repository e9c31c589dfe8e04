//! What all channels say of an alert, as plain text: each puts it into its own form and escapes it there.

use moneta_ports::Alert;
use serde_json::Value;

/// Fields of events that a message shows at most.
const FIELDS_MAX: usize = 12;
/// Characters of one shown value at most.
const VALUE_CHARS_MAX: usize = 300;

/// Names in a headline at most, and entities of one kind that are told.
const NAMES_MAX: usize = 3;
const ENTITIES_MAX: usize = 8;
/// Kinds of entities that are told besides hosts and accounts, with the word before them.
const KINDS: [(&str, &str); 10] = [
    ("ip", "Addresses"),
    ("process", "Processes"),
    ("file", "Files"),
    ("filehash", "Digests"),
    ("url", "URLs"),
    ("dns", "Names"),
    ("registry-key", "Registry"),
    ("registry-value", "Registry values"),
    ("mailbox", "Mailboxes"),
    ("azure-resource", "Resources"),
];

/// The one line that must be read: how bad, what, on which host, by whom.
pub(crate) fn headline(alert: &Alert) -> String {
    let named = |word: &str, names: &[String]| match few(names, NAMES_MAX) {
        names if names.is_empty() => String::new(),
        names => format!(" {word} {names}"),
    };
    let (place, person) = (named("on", &alert.hosts), named("by", &alert.accounts));
    one_line(&format!("[{}] {}{place}{person}", alert.level, alert.rule_title))
}

/// The first of some names, and how many there are besides.
fn few(names: &[String], max: usize) -> String {
    let first = names.iter().take(max).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(max) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Names and values below the headline. The Detection Rule License asks that the author is named.
pub(crate) fn facts(alert: &Alert) -> Vec<(String, String)> {
    let mut facts = vec![
        ("Level".to_owned(), alert.level.clone()),
        ("Raised".to_owned(), alert.raised.to_string()),
        ("Rule".to_owned(), format!("{} ({})", alert.rule_title, alert.rule_id)),
        ("Found".to_owned(), alert.explanation.clone()),
        ("Hosts".to_owned(), few(&alert.hosts, ENTITIES_MAX)),
        ("Accounts".to_owned(), few(&alert.accounts, ENTITIES_MAX)),
    ];
    for (kind, word) in KINDS {
        let of_kind = alert.entities.iter().filter(|entity| entity["Type"] == kind);
        let names: Vec<String> = of_kind.map(described).filter(|name| !name.is_empty()).collect();
        facts.push((word.to_owned(), few(&names, ENTITIES_MAX)));
    }
    if alert.event_count > 0 {
        facts.push(("Number of events".to_owned(), alert.event_count.to_string()));
        facts.push(("First event".to_owned(), alert.first_event.to_string()));
        facts.push(("Last event".to_owned(), alert.last_event.to_string()));
    }
    facts.extend([
        ("Link".to_owned(), alert.link.clone()),
        ("May also be".to_owned(), alert.false_positives.join("; ")),
        ("Author".to_owned(), alert.rule_author.clone()),
        ("Licence".to_owned(), alert.rule_license.clone()),
        ("Version".to_owned(), alert.rule_version.clone()),
        ("References".to_owned(), alert.rule_references.join(" ")),
        ("Tags".to_owned(), alert.tags.join(", ")),
        ("Alert".to_owned(), alert.id.clone()),
    ]);
    let events = alert.events.iter().map(|event| match event.rules.as_slice() {
        [] => format!("{} {}", event.table, event.seq),
        rules => format!("{} {} ({})", event.table, event.seq, rules.join(" and ")),
    });
    facts.push(("Events".to_owned(), events.collect::<Vec<_>>().join(", ")));
    let fields_end = facts.len() + FIELDS_MAX;
    let fields = alert.events.iter().flat_map(|event| &event.fields);
    for (name, value) in fields {
        let fact = (name.clone(), value.clone());
        if facts.len() < fields_end && !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    facts.retain(|(_, value)| !value.is_empty());
    facts.into_iter().map(|(name, value)| (one_line(&name), short(&one_line(&value), VALUE_CHARS_MAX))).collect()
}

/// An entity as a person reads it, by the members that Sentinel gives its type.
fn described(entity: &Value) -> String {
    let text = |member: &str| entity[member].as_str().unwrap_or_default();
    let path = |directory: &str, name: &str| match directory {
        "" => name.to_owned(),
        "/" => format!("/{name}"),
        directory if directory.contains('\\') || directory.ends_with(':') => format!("{directory}\\{name}"),
        directory => format!("{directory}/{name}"),
    };
    match text("Type") {
        "process" if !text("CommandLine").is_empty() => text("CommandLine").to_owned(),
        "process" if entity["ImageFile"].is_object() => described(&entity["ImageFile"]),
        "process" => text("ProcessId").to_owned(),
        "file" => path(text("Directory"), text("Name")),
        "registry-key" => path(text("Hive"), text("Key")).replacen('/', "\\", 1),
        "registry-value" => format!("{}\\{} = {}", described(&entity["Key"]), text("Name"), text("Value")),
        "filehash" => format!("{}:{}", text("Algorithm"), text("Value")),
        _ => {
            let members = ["Address", "Url", "DomainName", "MailboxPrimaryAddress", "ResourceId", "Name"];
            members.into_iter().map(text).find(|text| !text.is_empty()).unwrap_or_default().to_owned()
        }
    }
}

/// A text cut to a number of characters, with a sign that it is.
pub(crate) fn short(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A text without what moves a cursor or a reader's eye: control characters and those that change its direction.
pub(crate) fn one_line(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hidden(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
pub(crate) fn sample() -> Alert {
    use moneta_base::{RuleId, TableName, Timestamp};
    use moneta_ports::MatchedEvent;

    let at = Timestamp::from_seconds;
    Alert {
        rule_title: "Bad <thing>\n|here|=\\".to_owned(),
        rule_author: "Ada".to_owned(),
        rule_description: "What\nit is".to_owned(),
        level: "critical".to_owned(),
        rule_version: "2025-01-02 sha256:0123456789ab".to_owned(),
        rule_license: "DRL 1.1".to_owned(),
        rule_references: vec!["https://example.org/why".to_owned()],
        tags: vec!["attack.t1059".to_owned()],
        explanation: "event_count gte 3 within 5m: 4".to_owned(),
        hosts: vec!["web01".to_owned()],
        accounts: ["CORP\\eve", "b", "c", "d"].map(str::to_owned).to_vec(),
        entities: vec![
            serde_json::json!({ "Type": "ip", "Address": "192.0.2.7" }),
            serde_json::json!({ "Type": "process", "ImageFile": { "Type": "file", "Directory": "C:\\a", "Name": "b.exe" } }),
        ],
        event_count: 37,
        first_event: at(1_767_323_000),
        last_event: at(1_767_323_040),
        link: "https://moneta.example.org/alerts?alert=a-1".to_owned(),
        events: vec![MatchedEvent {
            table: TableName::new("Syslog").expect("a name"),
            seq: 7,
            time: at(1_767_323_000),
            computer: "web01".to_owned(),
            fields: vec![("User".to_owned(), "eve\u{202e}".to_owned())],
            rules: Vec::new(),
        }],
        ..Alert::new("a-1".to_owned(), RuleId::new("rule-1"), at(1_767_323_045))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain_and_name_the_author() {
        assert_eq!(headline(&sample()), "[critical] Bad <thing> |here|=\\ on web01 by CORP\\eve, b, c and 1 more");
        let facts = facts(&sample());
        for (name, value) in [
            ("Addresses", "192.0.2.7"),
            ("Processes", "C:\\a\\b.exe"),
            ("Number of events", "37"),
            ("Last event", "2026-01-02T03:04:00.0000000Z"),
            ("Link", "https://moneta.example.org/alerts?alert=a-1"),
        ] {
            assert!(facts.contains(&(name.to_owned(), value.to_owned())), "{name}: {facts:?}");
        }
        assert!(facts.contains(&("Author".to_owned(), "Ada".to_owned())));
        assert!(facts.contains(&("Found".to_owned(), "event_count gte 3 within 5m: 4".to_owned())));
        assert!(facts.contains(&("References".to_owned(), "https://example.org/why".to_owned())));
        assert!(facts.contains(&("User".to_owned(), "eve ".to_owned())), "{facts:?}");
        assert_eq!(short("abcdef", 4), "abc…");
    }
}
