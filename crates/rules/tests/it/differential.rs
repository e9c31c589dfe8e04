//! The vectorised matcher against the plain evaluation of single rows, on generated rules and rows.

use moneta_event::Value;
use proptest::prelude::*;

use crate::support::{compile, rows, rule, table};

const FIELDS: [&str; 5] = ["Image", "CommandLine", "Unknown", "EventID", "Version"];
const VALUES: [&str; 9] = ["", "1", "17", "aB", "ab", "xabx", "a b", "Ä", "null"];

fn any_item() -> impl Strategy<Value = String> {
    let modifiers = prop_oneof![
        Just(""),
        Just("|contains"),
        Just("|startswith"),
        Just("|endswith"),
        Just("|contains|all"),
        Just("|cased"),
        Just("|re"),
        Just("|re|i"),
        Just("|neq"),
    ];
    let values = proptest::collection::vec(
        prop_oneof![
            Just("a"),
            Just("AB"),
            Just("1"),
            Just("x*b?"),
            Just("*"),
            Just("ä"),
            Just("null"),
            Just("''"),
            Just("b"),
            Just("'1?'")
        ],
        1..4,
    );
    (prop::sample::select(FIELDS.to_vec()), modifiers, values).prop_map(|(field, modifier, values)| {
        let values: Vec<&str> = values
            .into_iter()
            // Patterns of wildcards are not always regular expressions.
            .map(
                |value| if modifier.contains("re") && !value.chars().all(char::is_alphanumeric) { "a." } else { value },
            )
            .collect();
        let list: String = values.iter().map(|value| format!("\n    - {value}")).collect();
        let list = list.replace("- *", "- '*'").replace("- x*b?", "- 'x*b?'");
        format!("\n  {field}{modifier}:{list}")
    })
}

fn any_rule() -> impl Strategy<Value = String> {
    let condition = prop_oneof![
        Just("a and b"),
        Just("a or b"),
        Just("a and not b"),
        Just("not a"),
        Just("not (a and b) or c"),
        Just("1 of a* or c"),
        Just("all of them"),
        Just("not 1 of them"),
    ];
    (any_item(), any_item(), any_item(), any_item(), condition).prop_map(|(a, b, c, d, condition)| {
        let d = if a.trim_start().split(':').next() == d.trim_start().split(':').next() { String::new() } else { d };
        format!("a:{a}{d}\nb:{b}\nc:{c}\ncondition: {condition}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_evaluations_agree(
        detections in proptest::collection::vec(any_rule(), 1..6),
        events in proptest::collection::vec(proptest::collection::vec((0..FIELDS.len(), 0..VALUES.len()), 0..5), 1..80),
    ) {
        let text: String = detections.iter().enumerate().map(|(i, d)| rule(&format!("r{i}"), d)).collect();
        let compiled = compile(&text);
        let owned: Vec<Vec<(&str, Value<'_>)>> = events
            .iter()
            .map(|event| {
                let fields = event.iter().map(|(field, value)| (FIELDS[*field], Value::Text(VALUES[*value])));
                std::iter::once(("EventLog", Value::Text("System"))).chain(fields).collect()
            })
            .collect();
        let slices: Vec<&[(&str, Value<'_>)]> = owned.iter().map(Vec::as_slice).collect();
        let batch = rows("Event", &slices);
        let matches = compiled.match_batch(&table("Event"), &batch);
        let explainer = compiled.explainer(&table("Event"), &batch);
        for (index, detection) in detections.iter().enumerate() {
            let plain: Vec<u32> = (0..).take(events.len()).filter(|row| explainer.holds(index, *row)).collect();
            let found = matches.iter().find(|m| m.rule == index).map(|m| m.rows.clone()).unwrap_or_default();
            prop_assert_eq!(found, plain, "{}", detection);
        }
    }
}
