//! Why Moneta and the other engine differ: the committed reasons, each with the sign by which a difference is told.
//!
//! Most are rewritings: the event as Moneta sees it. Given that, the other engine must agree, or the difference stays
//! unexplained. Where the other engine departs from the specification in what it makes of a rule, the sign is in the
//! rule.

use std::collections::BTreeSet;

use moneta_rules::ir::{Expression, Field, Matcher, Test};
use moneta_rules::pattern::{Pattern, Piece};
use serde_json::{Map, Value, json};

/// Fields of an event by name.
pub type Event = Map<String, Value>;

/// An event, and the fields that the rule in question names, to what the event may be to Moneta.
pub type Rewrite = fn(&Event, &BTreeSet<String>) -> Vec<Event>;

/// The rewritings, each with its reason.
pub const REWRITINGS: [(&str, Rewrite); 6] = [
    ("letters are folded as (?i) of regular expressions folds them, long s and the Kelvin sign too", fold_letters),
    ("columns of text have no null: an empty field is absent", drop_empty),
    ("columns of text have no null: an absent field is empty", fill_absent),
    ("numbers and addresses are read without the blanks around them", trim),
    ("a text in a column of numbers is the number it shows, 0x3e7 too", read_numbers),
    (
        "windash reads a slash in the rule as every dash of the specification; the other engine reads only dashes so",
        slash,
    ),
];

/// A rule as its file has it, and what was made of it.
pub struct Ruled<'a> {
    /// The text of its file.
    pub text: &'a str,
    /// Its condition.
    pub expression: &'a Expression,
}

/// Whether a rule has the sign.
pub type Sign = fn(&Ruled<'_>) -> bool;

/// The signs in rules, each with its reason.
pub const IN_RULES: [(&str, Sign); 4] = [
    ("keywords below '|all' are looked for in a text; the other engine takes each for the whole of it", |rule| {
        rule.text.contains("'|all'") || rule.text.contains("\"|all\"")
    }),
    ("a number among keywords is looked for in a text; the other engine never finds one", |rule| {
        number_anywhere(rule.expression)
    }),
    (
        "base64offset leaves out the last letter where it depends on what follows; the other engine asks for it",
        |rule| rule.text.contains("base64offset"),
    ),
    ("endswith with a wildcard inside is about the end; the other engine takes it for the whole text", |rule| {
        ends_with_wildcard(rule.expression)
    }),
];

fn number_anywhere(expression: &Expression) -> bool {
    any_test(expression, &|test| match &test.matcher {
        Matcher::Text { pattern, .. } if test.field == Field::Anywhere => matches!(
            pattern.pieces(),
            [Piece::Many, Piece::Literal(text), Piece::Many] if text.bytes().all(|byte| byte.is_ascii_digit())
        ),
        _ => false,
    })
}

fn ends_with_wildcard(expression: &Expression) -> bool {
    let open_inside = |pattern: &Pattern| match pattern.pieces() {
        [Piece::Many, inside @ .., Piece::Literal(_) | Piece::One] => {
            inside.iter().any(|piece| !matches!(piece, Piece::Literal(_)))
                || matches!(pattern.pieces().last(), Some(Piece::One))
        }
        _ => false,
    };
    any_test(expression, &|test| matches!(&test.matcher, Matcher::Text { pattern, .. } if open_inside(pattern)))
}

fn any_test(expression: &Expression, sign: &impl Fn(&Test) -> bool) -> bool {
    match expression {
        Expression::Constant(_) => false,
        Expression::Not(inner) => any_test(inner, sign),
        Expression::All(parts) | Expression::Any(parts) => parts.iter().any(|part| any_test(part, sign)),
        Expression::Test(test) => sign(test),
    }
}

/// Letters that look odd and mean the usual ones.
pub fn fold_letters(event: &Event, _fields: &BTreeSet<String>) -> Vec<Event> {
    vec![map_texts(event, |text| json!(text.replace('ſ', "s").replace('\u{212a}', "k")))]
}

fn drop_empty(event: &Event, _fields: &BTreeSet<String>) -> Vec<Event> {
    let mut kept = event.clone();
    kept.retain(|_, value| *value != "");
    vec![kept]
}

fn fill_absent(event: &Event, fields: &BTreeSet<String>) -> Vec<Event> {
    let mut filled = event.clone();
    filled.retain(|_, value| !value.is_null());
    fields.iter().for_each(|name| _ = filled.entry(name).or_insert_with(|| json!("")));
    vec![filled]
}

fn trim(event: &Event, _fields: &BTreeSet<String>) -> Vec<Event> {
    vec![map_texts(event, |text| json!(text.trim()))]
}

fn read_numbers(event: &Event, _fields: &BTreeSet<String>) -> Vec<Event> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    vec![map_texts(event, |text| number(text.trim()).map_or_else(|| json!(text), |number| json!(number)))]
}

/// All dashes as slashes; and, because a rule may ask for dashes as well, each dash alone.
fn slash(event: &Event, _fields: &BTreeSet<String>) -> Vec<Event> {
    let dash = |letter: char| matches!(letter, '-' | '–' | '—' | '―');
    let mut rewritten = vec![map_texts(event, |text| json!(text.replace(dash, "/")))];
    for (name, value) in event {
        let text = value.as_str().unwrap_or_default();
        for (at, found) in text.match_indices(dash) {
            let one = format!("{}/{}", &text[..at], &text[at + found.len()..]);
            let mut changed = event.clone();
            changed.insert(name.clone(), json!(one));
            rewritten.push(changed);
        }
    }
    rewritten
}

fn map_texts(event: &Event, change: impl Fn(&str) -> Value) -> Event {
    map(event, |value| value.as_str().map_or_else(|| value.clone(), &change))
}

fn map(event: &Event, change: impl Fn(&Value) -> Value) -> Event {
    event.iter().map(|(name, value)| (name.clone(), change(value))).collect()
}
