//! Events made from what a rule asks for: some meet it, some nearly do, and some are odd.
//!
//! Nothing here decides whether a rule holds: what an event was meant to be is forgotten once it is made.

use std::collections::BTreeMap;

use moneta_rules::ir::{Comparison, Expression, Field, Matcher, Relation, Test};
use moneta_rules::pattern::{Pattern, Piece};
use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Value, json};

/// Times a repetition of a regular expression is repeated at most.
const REPEATED_MAX: u32 = 3;
/// Addresses that are tried for a network.
const ADDRESSES: [&str; 14] = [
    "10.1.2.3",
    "127.0.0.1",
    "127.8.9.1",
    "172.16.9.9",
    "172.31.255.255",
    "192.168.0.7",
    "169.254.1.1",
    "198.51.100.9",
    "224.0.0.1",
    "::1",
    "fe80::1",
    "fc00::12",
    "fd00::9",
    "2001:db8::1",
];
const TIMES: [&str; 3] = ["2026-01-02T03:04:05Z", "2025-12-29T23:59:59Z", "1999-07-15T12:00:00Z"];

/// Numbers that look random and are the same in every run.
pub struct Random(u64);

impl Random {
    /// The numbers of a name.
    pub fn of(name: &str) -> Self {
        let mix = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// A test, and whether the event is to meet it.
type Wish<'a> = (&'a Test, bool);

/// Fields of one event by the names that the rule uses.
pub fn event(expression: &Expression, round: usize, random: &mut Random) -> BTreeMap<String, Value> {
    let mut wishes = Vec::new();
    // Every third event is to miss the rule by one condition; those are near, the others meet it.
    wish(expression, round % 3 != 2, random, &mut wishes);
    let mut event = BTreeMap::new();
    let mut fields: BTreeMap<&str, Vec<Wish<'_>>> = BTreeMap::new();
    for (test, wanted) in wishes {
        match &test.field {
            Field::Named(name) => fields.entry(name).or_default().push((test, wanted)),
            Field::Anywhere => fields.entry("SomeText").or_default().push((test, wanted)),
        }
    }
    for (name, wishes) in &fields {
        if let Some(text) = text_for(wishes, random) {
            event.insert((*name).to_owned(), Value::from(text));
        }
    }
    relate(&fields, &mut event, random);
    if round >= 3 {
        make_odd(&mut event, random);
    }
    event
}

/// What an event needs so that the expression holds, or does not.
fn wish<'a>(expression: &'a Expression, wanted: bool, random: &mut Random, wishes: &mut Vec<Wish<'a>>) {
    match expression {
        Expression::Constant(_) => {}
        Expression::Test(test) => wishes.push((&**test, wanted)),
        Expression::Not(inner) => wish(inner, !wanted, random, wishes),
        Expression::All(parts) | Expression::Any(parts) => {
            let all = matches!(expression, Expression::All(_));
            if all == wanted {
                parts.iter().for_each(|part| wish(part, wanted, random, wishes));
                return;
            }
            let chosen = random.below(parts.len());
            for (index, part) in parts.iter().enumerate() {
                // Of a conjunction to be missed, all other parts hold; of a disjunction, one part is enough.
                match index == chosen {
                    true => wish(part, wanted, random, wishes),
                    false if all => wish(part, true, random, wishes),
                    false => {}
                }
            }
        }
    }
}

/// A text that meets, or misses, what is wished of one field.
fn text_for(wishes: &[Wish<'_>], random: &mut Random) -> Option<String> {
    let (mut start, mut middle, mut end, mut whole) = (String::new(), Vec::new(), String::new(), None);
    let mut any = false;
    for (test, wanted) in wishes {
        if !wanted {
            continue;
        }
        any = true;
        match &test.matcher {
            Matcher::Absent => return None,
            Matcher::Present => middle.push("x".to_owned()),
            Matcher::Text { pattern, .. } => {
                let text = instance(pattern, random);
                let open = |piece: Option<&Piece>| matches!(piece, Some(Piece::Many));
                match (open(pattern.pieces().first()), open(pattern.pieces().last())) {
                    (true, true) => middle.push(text),
                    (false, true) => start = text,
                    (true, false) => end = text,
                    (false, false) => whole = Some(text),
                }
            }
            Matcher::Regex(source) => middle.push(regex_instance(source, random)),
            Matcher::Cidr(network) => {
                let within: Vec<&str> = ADDRESSES.into_iter().filter(|address| network.contains(address)).collect();
                whole = Some(if within.is_empty() {
                    (*random.pick(&ADDRESSES)).to_owned()
                } else {
                    (*random.pick(&within)).to_owned()
                });
            }
            Matcher::Number(comparison, number) => {
                let away = if matches!(comparison, Comparison::Less) { -1.0 } else { 1.0 };
                let exact =
                    matches!(comparison, Comparison::Equal | Comparison::LessOrEqual | Comparison::GreaterOrEqual);
                whole = Some((if exact { number.0 } else { number.0 + away }).to_string());
            }
            Matcher::Time(..) => whole = Some((*random.pick(&TIMES)).to_owned()),
            Matcher::Other { .. } => {}
        }
    }
    if any {
        let filler = if random.below(4) == 0 { " " } else { "" };
        return Some(whole.unwrap_or_else(|| format!("{start}{}{end}", middle.join(filler))));
    }
    near_miss(wishes.first()?.0, random)
}

/// A text that nearly meets a test.
fn near_miss(test: &Test, random: &mut Random) -> Option<String> {
    let text = match &test.matcher {
        Matcher::Text { pattern, .. } => instance(pattern, random),
        Matcher::Regex(source) => regex_instance(source, random),
        Matcher::Cidr(_) => (*random.pick(&ADDRESSES)).to_owned(),
        Matcher::Number(_, number) => (number.0 + 1.0).to_string(),
        Matcher::Time(..) => (*random.pick(&TIMES)).to_owned(),
        Matcher::Absent => return Some("x".to_owned()),
        Matcher::Present | Matcher::Other { .. } => return None,
    };
    let mut letters: Vec<char> = text.chars().collect();
    match (random.below(4), letters.len()) {
        (_, 0) => return None,
        (0, length) => _ = letters.remove(random.below(length)),
        (1, length) => letters.insert(random.below(length + 1), '_'),
        (2, length) => letters[random.below(length)] = '~',
        _ => return None,
    }
    Some(letters.into_iter().collect())
}

/// Gives fields that are compared with others their values.
fn relate(fields: &BTreeMap<&str, Vec<Wish<'_>>>, event: &mut BTreeMap<String, Value>, random: &mut Random) {
    for (name, wishes) in fields {
        for (test, wanted) in wishes {
            let Matcher::Other { field, relation, .. } = &test.matcher else { continue };
            let other = event.entry(field.to_string()).or_insert_with(|| json!("Same\\Value")).clone();
            let other = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            let value = match (wanted, relation, random.below(2)) {
                (false, ..) => format!("{other}-not"),
                (true, Relation::Equal, 0) => other.to_uppercase(),
                (true, Relation::Equal, _) => other,
                (true, Relation::StartsWith, _) => format!("{other}more"),
                (true, Relation::EndsWith, _) => format!("more{other}"),
                (true, Relation::Contains, _) => format!("a{other}b"),
            };
            event.insert((*name).to_owned(), value.into());
        }
    }
}

fn instance(pattern: &Pattern, random: &mut Random) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::One => (*random.pick(&["a", "9", "Ä", "?"])).to_owned(),
        Piece::Many => (*random.pick(&["", "", "x", " y ", "\\z"])).to_owned(),
    };
    pattern.pieces().iter().map(piece).collect()
}

fn regex_instance(source: &str, random: &mut Random) -> String {
    let mut text = String::new();
    if let Ok(hir) = regex_syntax::Parser::new().parse(source) {
        write_instance(&hir, random, &mut text);
    }
    text
}

fn write_instance(hir: &Hir, random: &mut Random, text: &mut String) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges();
            if !ranges.is_empty() {
                let range = ranges[random.below(ranges.len().min(4))];
                text.push(if random.below(2) == 0 { range.start() } else { range.end() });
            }
        }
        HirKind::Class(Class::Bytes(_)) => text.push('b'),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX).min(repetition.min.saturating_add(REPEATED_MAX));
            let more = random.below(usize::try_from(most - repetition.min).unwrap() + 1);
            for _ in 0..usize::try_from(repetition.min).unwrap() + more {
                write_instance(&repetition.sub, random, text);
            }
        }
        HirKind::Capture(capture) => write_instance(&capture.sub, random, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write_instance(part, random, text)),
        HirKind::Alternation(parts) => write_instance(random.pick(parts), random, text),
    }
}

/// Changes one field to something that decoders of real logs may hand over as well.
fn make_odd(event: &mut BTreeMap<String, Value>, random: &mut Random) {
    let names: Vec<String> = event.keys().cloned().collect();
    if names.is_empty() {
        return;
    }
    let name = random.pick(&names).clone();
    let text = event[&name].as_str().unwrap_or_default().to_owned();
    let changed = match random.below(14) {
        0 => Value::Null,
        1 => json!(""),
        2 => json!(7),
        3 => json!(-0.5),
        4 => json!(true),
        5 => json!([text, "other"]),
        6 => json!(["other", text, 3, null]),
        7 => json!([]),
        8 => json!(text.to_uppercase()),
        9 => json!(text.to_lowercase()),
        10 => json!(format!(" {text}")),
        11 => json!(format!("{text}\n")),
        12 => json!(text.replace('s', "ſ").replace('k', "\u{212a}")),
        // A number as a number, where the rule wrote it so.
        _ => text.parse::<i64>().map_or_else(|_| json!(format!("{text}{text}")), |number| json!(number)),
    };
    event.insert(name, changed);
}
