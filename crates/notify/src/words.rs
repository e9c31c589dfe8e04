//! What all channels say of an alert, as plain text: each puts it into its own form and escapes it there.

use moneta_ports::Alert;

/// Fields of events that a message shows at most.
const FIELDS_MAX: usize = 12;
/// Characters of one shown value at most.
const VALUE_CHARS_MAX: usize = 300;

/// The one line that must be read.
pub(crate) fn headline(alert: &Alert) -> String {
    let hosts = hosts(alert);
    let place = if hosts.is_empty() { String::new() } else { format!(" on {}", hosts.join(", ")) };
    one_line(&format!("[{}] {}{place}", alert.level, alert.rule_title))
}

/// The machines of its events, each once.
pub(crate) fn hosts(alert: &Alert) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for event in alert.events.iter().filter(|event| !event.computer.is_empty()) {
        if !hosts.contains(&event.computer) {
            hosts.push(event.computer.clone());
        }
    }
    hosts
}

/// Names and values below the headline. The Detection Rule License asks that the author is named.
pub(crate) fn facts(alert: &Alert) -> Vec<(String, String)> {
    let mut facts = vec![
        ("Level".to_owned(), alert.level.clone()),
        ("Raised".to_owned(), alert.raised.to_string()),
        ("Rule".to_owned(), format!("{} ({})", alert.rule_title, alert.rule_id)),
        ("Found".to_owned(), alert.explanation.clone()),
        ("Author".to_owned(), alert.rule_author.clone()),
        ("Licence".to_owned(), alert.rule_license.clone()),
        ("Version".to_owned(), alert.rule_version.clone()),
        ("References".to_owned(), alert.rule_references.join(" ")),
        ("Hosts".to_owned(), hosts(alert).join(", ")),
        ("Tags".to_owned(), alert.tags.join(", ")),
        ("Alert".to_owned(), alert.id.clone()),
    ];
    let events = alert.events.iter().map(|event| match event.rules.as_slice() {
        [] => format!("{} {}", event.table, event.seq),
        rules => format!("{} {} ({})", event.table, event.seq, rules.join(" and ")),
    });
    facts.push(("Events".to_owned(), events.collect::<Vec<_>>().join(", ")));
    let fields = alert.events.iter().flat_map(|event| &event.fields);
    for (name, value) in fields {
        let fact = (name.clone(), value.clone());
        if facts.len() < FIELDS_MAX + 12 && !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    facts.retain(|(_, value)| !value.is_empty());
    facts.into_iter().map(|(name, value)| (one_line(&name), short(&one_line(&value), VALUE_CHARS_MAX))).collect()
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

    Alert {
        id: "a-1".to_owned(),
        raised: Timestamp::from_seconds(1_767_323_045),
        rule_id: RuleId::new("rule-1"),
        rule_title: "Bad <thing>\n|here|=\\".to_owned(),
        rule_author: "Ada".to_owned(),
        rule_description: "What\nit is".to_owned(),
        level: "critical".to_owned(),
        rule_version: "2025-01-02 sha256:0123456789ab".to_owned(),
        rule_license: "DRL 1.1".to_owned(),
        rule_references: vec!["https://example.org/why".to_owned()],
        tags: vec!["attack.t1059".to_owned()],
        explanation: "event_count gte 3 within 5m: 4".to_owned(),
        events: vec![MatchedEvent {
            table: TableName::new("Syslog").expect("a name"),
            seq: 7,
            time: Timestamp::from_seconds(1_767_323_000),
            computer: "web01".to_owned(),
            fields: vec![("User".to_owned(), "eve\u{202e}".to_owned())],
            rules: Vec::new(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain_and_name_the_author() {
        assert_eq!(headline(&sample()), "[critical] Bad <thing> |here|=\\ on web01");
        let facts = facts(&sample());
        assert!(facts.contains(&("Author".to_owned(), "Ada".to_owned())));
        assert!(facts.contains(&("Found".to_owned(), "event_count gte 3 within 5m: 4".to_owned())));
        assert!(facts.contains(&("References".to_owned(), "https://example.org/why".to_owned())));
        assert!(facts.contains(&("User".to_owned(), "eve ".to_owned())), "{facts:?}");
        assert_eq!(short("abcdef", 4), "abc…");
    }
}
