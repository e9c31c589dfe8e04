//! The index against a plain search, over texts that try to be difficult.

use std::ops::Range;

use arrow::array::{Array, StringArray};
use proptest::prelude::*;

use super::*;

/// Whether a text has a needle, said as plainly as possible: every place, both ends looked at.
fn found(text: &str, needle: &str, edges: Edges, case: Case) -> bool {
    let (text, needle) = match case {
        Case::Sensitive => (text.to_owned(), needle.to_owned()),
        Case::Insensitive if needle.is_ascii() => (text.to_ascii_lowercase(), needle.to_ascii_lowercase()),
        Case::Insensitive => (text.to_lowercase(), needle.to_lowercase()),
    };
    let inner = |side: Option<char>, end: Option<char>| side.is_some_and(is_term_char) && end.is_some_and(is_term_char);
    (0..=text.len()).filter(|at| text.is_char_boundary(*at) && text[*at..].starts_with(&needle)).any(|at| {
        let after = &text[at + needle.len()..];
        let splits_start = inner(text[..at].chars().next_back(), needle.chars().next());
        let splits_end = inner(after.chars().next(), needle.chars().next_back());
        !(edges.start && splits_start || edges.end && splits_end)
    })
}

struct Index {
    bytes: Vec<u8>,
    head: GroupTerms,
}

impl Index {
    fn of(texts: &[Option<String>], kind: TextKind) -> Self {
        let array: StringArray = texts.iter().cloned().collect();
        let terms = ColumnTerms::collect(array.len(), [(Some(&array), array.len())], kind);
        let mut writer = GroupWriter::new(array.len());
        writer.column("other", &ColumnTerms::default());
        writer.column("text", &terms);
        let (bytes, head_len) = writer.finish();
        let (blocks, head) = bytes.split_at(bytes.len() - head_len);
        let head = GroupTerms::parse(head, blocks.len()).unwrap();
        let index = Self { bytes, head };
        assert_eq!(index.head.difference("text", &terms, &|range| index.fetch(range)).unwrap(), None);
        index
    }

    fn fetch(&self, range: Range<usize>) -> Result<Vec<u8>, Malformed> {
        Ok(self.bytes[range].to_vec())
    }

    fn rows(&self, condition: &TermCondition) -> Vec<bool> {
        let rows = self.head.rows(condition, &|range| self.fetch(range)).unwrap();
        rows.map_or(vec![true; self.head.num_rows()], |rows| rows.iter().collect())
    }
}

fn has(needle: &str, edges: Edges, case: Case) -> TermCondition {
    TermCondition::Has { column: "text".to_owned(), needle: Needle::new(needle, edges, case) }
}

const EDGES: [Edges; 4] = [Edges::BOTH, Edges::START, Edges::END, Edges::NONE];
const CASES: [Case; 2] = [Case::Sensitive, Case::Insensitive];

/// Texts of few different letters, so that needles are found: small and large, with separators, letters that change
/// their length when lowered, a final sigma, a Kelvin sign, and words that are longer than keys.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[abAB01]{1,5}",
        2 => "[-_. /\\\\]{1,2}",
        1 => "[aİΣσςÉé\u{212a}kßx]{1,4}",
        1 => Just("ab".repeat(70)),
        1 => "[a-c0-9é]{90,300}",
        1 => Just("evil".to_owned()),
    ];
    proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_row_that_has_a_needle_is_left_out(
        texts in proptest::collection::vec(proptest::option::weighted(0.9, text()), 1..90),
        needles in proptest::collection::vec(text(), 8),
        pick in any::<prop::sample::Index>(),
        cut in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let index = Index::of(&texts, TextKind::Plain);
        // A part of one of the texts is a needle that is certainly found.
        let chars: Vec<char> = texts[pick.index(texts.len())].clone().unwrap_or_default().chars().collect();
        let (from, to) = (cut.0.index(chars.len() + 1), cut.1.index(chars.len() + 1));
        let part: String = chars[from.min(to)..from.max(to)].iter().collect();
        for needle in needles.iter().chain([&part]) {
            for (edges, case) in EDGES.into_iter().flat_map(|edges| CASES.map(|case| (edges, case))) {
                let rows = index.rows(&has(needle, edges, case));
                let mut count = 0;
                for (row, text) in texts.iter().enumerate() {
                    let is_found = found(text.as_deref().unwrap_or(""), needle, edges, case);
                    prop_assert!(rows[row] || !is_found, "{text:?} {needle:?} {edges:?} {case:?}");
                    count += u64::from(is_found);
                }
                if (edges, case) == (Edges::BOTH, Case::Insensitive) {
                    let prepared = Needle::new(needle, edges, case);
                    let known = index.head.count("text", &prepared, &|range| index.fetch(range)).unwrap();
                    prop_assert!(known.is_none_or(|known| known == count), "{needle:?}: {known:?}, not {count}");
                }
            }
        }
    }

    #[test]
    fn values_in_json_are_found_as_they_read(values in proptest::collection::vec(text(), 1..20), needle in "[ab]{3,4}") {
        let quoted = |value: &String| serde_json::json!({ "k\n": format!("\t{value}\u{1}é") }).to_string();
        let escaped = |text: String| text.chars().map(|c| if c.is_ascii() { c.to_string() } else {
            c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
        }).collect::<String>();
        let texts: Vec<_> = values.iter().map(|value| Some(escaped(quoted(value)))).collect();
        let index = Index::of(&texts, TextKind::Json);
        for needle in values.iter().chain([&needle]) {
            let rows = index.rows(&has(needle, Edges::BOTH, Case::Insensitive));
            let prepared = Needle::new(needle, Edges::BOTH, Case::Insensitive);
            if let Some(known) = index.head.count("text", &prepared, &|range| index.fetch(range)).unwrap() {
                let as_they_stand = texts.iter().flatten().cloned().collect::<Vec<_>>();
                let as_they_read = values.iter().map(|value| format!("k\n \t{value}\u{1}é")).collect::<Vec<_>>();
                for form in [as_they_stand, as_they_read] {
                    let count = form.iter().filter(|text| found(text, needle, Edges::BOTH, Case::Insensitive)).count();
                    prop_assert_eq!(known, count as u64, "{:?} in {:?}", needle, form);
                }
            }
            for (row, value) in values.iter().enumerate() {
                let text = format!("\t{value}\u{1}é");
                let is_left_out = !rows[row] && found(&text, needle, Edges::BOTH, Case::Insensitive);
                prop_assert!(!is_left_out, "{:?} {:?}", text, needle);
            }
        }
    }

    #[test]
    fn any_bytes_are_an_index_or_an_error(mut edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in any::<prop::sample::Index>()) {
        let texts: Vec<_> = (0..300).map(|row| Some(format!("word{} common x{row}", row % 40))).collect();
        let index = Index::of(&texts, TextKind::Plain);
        let mut bytes = index.bytes.clone();
        let len = if edits.is_empty() { cut.index(bytes.len()) } else { bytes.len() };
        bytes.truncate(len);
        for (at, value) in edits.drain(..) {
            let at = at.index(len);
            bytes[at] = value;
        }
        let blocks_len = (index.head.columns[1].blocks.last().unwrap().range.end).min(len);
        if let Ok(head) = GroupTerms::parse(&bytes[blocks_len..], blocks_len) {
            let fetch = |range: Range<usize>| Ok::<_, Malformed>(bytes.get(range).unwrap_or_default().to_vec());
            let _ = head.rows(&has("common", Edges::NONE, Case::Insensitive), &fetch);
            let _ = head.rows(&has("word3", Edges::BOTH, Case::Insensitive), &fetch);
        }
    }
}

#[test]
fn conditions_join_as_they_say() {
    let texts: Vec<_> = ["alpha beta", "beta gamma", "gamma", "no"].map(|text| Some(text.to_owned())).to_vec();
    let index = Index::of(&texts, TextKind::Plain);
    let term = |term: &str| has(term, Edges::BOTH, Case::Insensitive);
    assert_eq!(index.rows(&term("BETA")), [true, true, false, false]);
    assert_eq!(index.rows(&TermCondition::All(vec![term("beta"), term("gamma")])), [false, true, false, false]);
    assert_eq!(index.rows(&TermCondition::Any(vec![term("alpha"), term("gamma")])), [true, true, true, false]);
    assert_eq!(index.rows(&TermCondition::Any(vec![term("alpha"), term("no")])), [true; 4]);
    assert_eq!(index.rows(&TermCondition::All(vec![term("no"), term("gamma")])), [false, true, true, false]);
    assert_eq!(index.rows(&has("amm", Edges::NONE, Case::Insensitive)), [false, true, true, false]);
    assert_eq!(index.rows(&has("alp", Edges::START, Case::Insensitive)), [true, false, false, false]);
    assert!(index.head.rows(&TermCondition::UNKNOWN, &|range| index.fetch(range)).unwrap().is_none());
}

#[test]
fn words_beside_escapes_are_not_counted_and_all_others_are() {
    let texts = [r#"{"p":"C:\\Windows\\run.exe"}"#, r#"{"m":"first\nsecond"}"#, r#"{"m":"third nsecond"}"#];
    let index = Index::of(&texts.map(|text| Some(text.to_owned())), TextKind::Json);
    let count = |word| {
        let needle = Needle::new(word, Edges::BOTH, Case::Insensitive);
        index.head.count("text", &needle, &|range| index.fetch(range)).unwrap()
    };
    assert_eq!(count("windows"), Some(1));
    assert_eq!(count("first"), Some(1));
    assert_eq!(count("second"), None, "as it stands, no text has it");
    assert_eq!(count("nsecond"), None, "as it reads, only one text has it");
    assert_eq!(count("absent"), Some(0));
}

#[test]
fn a_part_of_a_long_word_is_found_wherever_it_stands_and_other_long_words_are_not() {
    let digits = |seed: u64| -> String {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from_digit(u32::try_from(state >> 59).unwrap() % 16, 16).unwrap()
        };
        (0..700).map(|_| next()).collect()
    };
    let words: Vec<String> = (0..40).map(digits).collect();
    let index = Index::of(&words.iter().map(|word| Some(format!("a {word} b"))).collect::<Vec<_>>(), TextKind::Plain);
    for len in [20, INFIX_BYTES_MAX, INFIX_BYTES_MAX + 1, 100, 128, 300] {
        for start in 0..700 - len {
            let rows = index.rows(&has(&words[7][start..start + len], Edges::NONE, Case::Insensitive));
            assert!(rows[7], "{len} from {start}");
            assert_eq!(rows.iter().filter(|found| **found).count(), 1, "{len} from {start}");
        }
    }
}

#[test]
fn many_keys_in_many_blocks_are_each_found() {
    let texts: Vec<_> = (0..20_000).map(|row| Some(format!("k{:06x} every{}", row * 7_919, row % 3))).collect();
    let index = Index::of(&texts, TextKind::Plain);
    assert!(index.head.columns[1].blocks.len() > 5);
    for row in (0..20_000).step_by(997) {
        let rows = index.rows(&has(&format!("k{:06x}", row * 7_919), Edges::BOTH, Case::Insensitive));
        assert_eq!(rows.iter().filter(|found| **found).count(), 1);
        assert!(rows[row]);
    }
    let absent = (0..20_000).filter(|row| index.head.filter.may_hold(filter::hash_of(1, format!("q{row}").as_bytes())));
    assert!(absent.count() < 200, "a filter of eight bits is wrong once in 256 times");
    let needle = Needle::new("every1", Edges::BOTH, Case::Insensitive);
    assert_eq!(index.head.count("text", &needle, &|range| index.fetch(range)).unwrap(), Some(6_667));
}
