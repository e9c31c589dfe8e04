//! What holds for any text: nothing planted survives, scrubbing twice changes nothing, clean rows stay as they are.

use moneta_event::Value::{Json, Text};
use proptest::prelude::*;

use crate::support::{all_text, batch, scrubber};

/// A planted value: as it is written, and the strings that must not be found afterwards.
#[derive(Debug, Clone)]
struct Planted {
    text: String,
    traces: Vec<String>,
}

fn email() -> impl Strategy<Value = Planted> {
    ("[a-z][a-z0-9]{2,8}", "[._+-]", "[a-z0-9]{3,8}", "[a-z][a-z0-9-]{2,8}[a-z]", "(com|org|de|co\\.uk|io)").prop_map(
        |(first, joint, last, host, top)| {
            let text = format!("{first}{joint}{last}@{host}.{top}");
            Planted { traces: vec![text.clone(), format!("{last}@{host}")], text }
        },
    )
}

fn phone() -> impl Strategy<Value = Planted> {
    let digits = |count: usize| prop::collection::vec(0..10_u32, count).prop_map(|digits| join(&digits));
    let numbers = (200..1000_u32, 200..1000_u32, digits(4), digits(7), 0..6_usize);
    numbers.prop_map(|(area, exchange, line, long, form)| {
        let (text, trace) = match form {
            0 => (format!("+1{area}{exchange}{line}"), format!("{area}{exchange}{line}")),
            1 => (format!("({area}) {exchange}-{line}"), format!("{exchange}-{line}")),
            2 => (format!("{area}-{exchange}-{line}"), format!("{exchange}-{line}")),
            3 => (format!("+49 171 {long}"), long),
            4 => (format!("+44 20 7{area} {line}"), format!("7{area} {line}")),
            _ => (format!("+1 {area} {exchange} {line}"), format!("{exchange} {line}")),
        };
        Planted { traces: vec![text.clone(), trace], text }
    })
}

fn card() -> impl Strategy<Value = Planted> {
    (prop::collection::vec(0..10_u32, 14), prop::sample::select(vec!["", " ", "-"])).prop_map(|(digits, separator)| {
        let mut all = vec![4];
        all.extend(digits);
        all.push(check_digit(&all));
        let groups: Vec<String> = all.chunks(4).map(join).collect();
        Planted { text: groups.join(separator), traces: vec![groups.join(separator), groups.concat()] }
    })
}

fn join(digits: &[u32]) -> String {
    digits.iter().map(u32::to_string).collect()
}

fn check_digit(digits: &[u32]) -> u32 {
    let weigh = |(index, digit): (usize, &u32)| if index % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { *digit };
    (10 - digits.iter().rev().enumerate().map(weigh).sum::<u32>() % 10) % 10
}

fn planted() -> impl Strategy<Value = Planted> {
    prop_oneof![email(), phone(), card()]
}

/// Text around a value that ends and begins with a separator.
fn filler() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        " ",
        " user=",
        "\t",
        ", ",
        " \"",
        "\" ",
        " <",
        "> ",
        " pid 4711 ",
        " 10.0.0.1 ",
        " [",
        "] ",
        "; x=",
        "\n",
        " (",
        ") ",
        " C:\\Temp\\a.log ",
        " 2026-01-02 03:04:05 ",
        "{\"a\":\"",
        "\"}",
        " äöü ",
        " & ",
        "|",
        " '",
        "' ",
    ])
    .prop_map(str::to_owned)
}

fn every_byte_percent_encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn escaped(text: &str, form: usize) -> String {
    match form {
        1 => text.replace('@', "%40").replace('+', "%2B").replace(' ', "%20"),
        2 => text.replace('@', "\\u0040").replace('+', "\\u002b"),
        3 => text.replace('@', "&#64;").replace('+', "&#x2B;"),
        4 => text.replace('@', "%2540"),
        5 => every_byte_percent_encoded(text),
        _ => text.to_owned(),
    }
}

fn resolved(text: &str) -> String {
    let mut text = text.to_owned();
    for (escape, c) in [("%25", "%"), ("%40", "@"), ("%2B", "+"), ("%20", " "), ("\\u0040", "@"), ("\\u002b", "+")] {
        text = text.replace(escape, c);
    }
    for b in 32..127_u8 {
        text = text.replace(&format!("%{b:02X}"), &char::from(b).to_string());
    }
    text.replace("&#64;", "@").replace("&#x2B;", "+")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_planted_value_survives_in_text(
        before in filler(), first in planted(), between in filler(), second in planted(), after in filler(),
        form in 0..6_usize,
    ) {
        let text = format!("{before}{}{between}{}{after}", escaped(&first.text, form), escaped(&second.text, form));
        let scrubbed = scrubber().scrub_text(&text);
        let seen = resolved(&scrubbed);
        for trace in first.traces.iter().chain(&second.traces) {
            prop_assert!(!seen.contains(trace.as_str()), "{trace} in {scrubbed} of {text}");
        }
        prop_assert_eq!(scrubber().scrub_text(&scrubbed), scrubbed);
    }

    #[test]
    fn no_planted_value_survives_in_a_batch(value in planted(), message in filler()) {
        let text = format!("{message}{}{message}", value.text);
        let json = serde_json::json!({"message": text, "deep": [{"inner": serde_json::json!({"m": text}).to_string()}]});
        let wide: String = text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        let raw = format!("{{\"m\":\"{wide}\",\"n\":{json}}}");
        let parsed = batch("Planted_CL", &[
            &[("message", Text(&text)), ("body", Json(&json.to_string())), ("_Raw", Text(&raw))],
            &[("message", Text("clean")), ("_Raw", Text(&text))],
        ]);
        let (scrubbed, report) = scrubber().scrub(parsed);
        let seen = all_text(scrubbed.rows());
        let decoded_raw = seen.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let decoded: String = decoded_raw.map(|value| value["m"].to_string()).collect();
        for trace in &value.traces {
            prop_assert!(!seen.contains(trace.as_str()) && !decoded.contains(trace.as_str()), "{trace} in {seen}");
        }
        prop_assert!(report.values_tokenised() >= 4);
        for line in seen.lines().filter(|line| line.starts_with('{') && !line.starts_with(message.trim_start())) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn scrubbing_any_text_twice_changes_nothing_more(text in "\\PC{0,60}", value in planted(), tail in "[ -~]{0,40}") {
        let once = scrubber().scrub_text(&format!("{text}{}{tail}", value.text));
        prop_assert_eq!(scrubber().scrub_text(&once), once);
    }

    #[test]
    fn dense_punctuation_is_stable(text in "[a@.%40\\\\u+ 1-9(){}\",:;&#x]{0,80}") {
        let once = scrubber().scrub_text(&text);
        prop_assert_eq!(scrubber().scrub_text(&once), once);
    }

    #[test]
    fn json_stays_json(text in "[ -~]{0,40}", value in planted(), number in any::<i64>()) {
        let json = serde_json::json!({"a": format!("{text}{}", value.text), "b": [number, {"c": text}]}).to_string();
        let scrubbed = scrubber().scrub_text(&json);
        let parsed: serde_json::Value = serde_json::from_str(&scrubbed).unwrap();
        prop_assert!(parsed["b"][1]["c"].is_string());
    }

    #[test]
    fn rows_without_personal_data_are_the_same(words in prop::collection::vec("[a-z]{1,10}[ _./\\\\:-]?[0-9]{0,6}", 1..8)) {
        let text = words.join(" ");
        let parsed = batch("Clean_CL", &[&[("message", Text(&text)), ("_Raw", Text(&text))]]);
        let (scrubbed, report) = scrubber().scrub(parsed.clone());
        prop_assert_eq!(report.values_tokenised(), 0, "{}", text);
        prop_assert_eq!(scrubbed.rows(), &parsed.rows);
    }
}
