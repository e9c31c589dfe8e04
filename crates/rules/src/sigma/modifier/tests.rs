//! What each modifier makes of its values.

use super::*;
use crate::yaml::Scalar;

fn node(text: &str, plain: bool) -> Node {
    Node { line: 3, kind: Kind::Scalar(Scalar { text: text.to_owned(), plain }) }
}

fn shown(expression: &Expression) -> String {
    let joined = |parts: &[Expression], word: &str| {
        let texts: Vec<String> = parts.iter().map(shown).collect();
        format!("({})", texts.join(word))
    };
    match expression {
        Expression::Constant(value) => value.to_string(),
        Expression::Test(test) => test.matcher.describe().trim_start_matches("matches ").to_owned(),
        Expression::Not(inner) => format!("not {}", shown(inner)),
        Expression::All(parts) => joined(parts, " and "),
        Expression::Any(parts) => joined(parts, " or "),
    }
}

fn apply_to(modifiers: &str, values: &[(&str, bool)]) -> Result<String, String> {
    let names = modifiers.split('|').filter(|name| !name.is_empty());
    let parsed = Modifiers::parse(names, 3).map_err(|e| e.to_string())?;
    let nodes: Vec<Node> = values.iter().map(|(text, plain)| node(text, *plain)).collect();
    let placeholders = Placeholders::parse("Servers = ['a', 'b*']\nNone = []").unwrap();
    apply(&Field::named("F"), &parsed, &nodes, &placeholders).map(|e| shown(&e)).map_err(|e| e.to_string())
}

#[track_caller]
fn check(modifiers: &str, values: &[&str], expected: &str) {
    let values: Vec<(&str, bool)> = values.iter().map(|text| (*text, true)).collect();
    assert_eq!(apply_to(modifiers, &values).as_deref(), Ok(expected), "{modifiers}");
}

#[track_caller]
fn check_error(modifiers: &str, value: &str, part: &str) {
    let error = apply_to(modifiers, &[(value, true)]).unwrap_err();
    assert!(error.contains(part), "{modifiers}: {error}");
}

#[test]
fn lists_are_or_and_all_makes_them_and() {
    check("", &["a", "b"], "(a or b)");
    check("contains|all", &["a", "b"], "(*a* and *b*)");
    check("neq", &["a", "b"], "not (a or b)");
}

#[test]
fn positions_add_wildcards() {
    check("contains", &["a"], "*a*");
    check("startswith", &["a*b"], "a*b*");
    check("endswith", &["\\cmd.exe"], "*\\cmd.exe");
    check("contains", &["17"], "*17*");
    check("cased", &["a"], "(cased) a");
}

#[test]
fn null_and_empty_ask_for_an_absent_value() {
    check("", &["null"], "is absent");
    check("", &[""], "is absent");
    assert_eq!(apply_to("", &[("", false)]).as_deref(), Ok("is absent"));
    assert_eq!(apply_to("", &[("null", false)]).as_deref(), Ok("null"));
    check("", &["*"], "is there");
}

#[test]
fn numbers_and_truth_values_compare_as_their_text() {
    check("", &["4688"], "4688");
    check("", &["0x1f"], "(31 or 0x1f)");
    check("", &["true"], "true");
    check("gte", &["3"], "GreaterOrEqual 3");
    check("lt", &["-1.5"], "Less -1.5");
    check_error("gt", "many", "take a number");
}

#[test]
fn base64_encodes_text_and_wide_text() {
    check("base64", &["IEX"], "SUVY");
    check("wide|base64", &["IEX"], "SQBFAFgA");
    check("utf16be|base64", &["I"], "AEk=");
    check("utf16|base64", &["I"], "//5JAA==");
    check("utf16le", &["ab"], "a\u{0}b\u{0}");
    check_error("base64", "a*", "wildcards cannot be encoded");
}

#[test]
fn base64offset_keeps_what_no_offset_changes() {
    check("base64offset|contains", &["http://"], "(*aHR0cDovL* or *h0dHA6Ly* or *odHRwOi8v*)");
    // Whatever surrounds the text, one of the three is in the encoding.
    let bytes = b"needle";
    for before in 0..4usize {
        for after in 0..4usize {
            let whole = [vec![b'x'; before], bytes.to_vec(), vec![b'y'; after]].concat();
            let encoded = STANDARD.encode(whole);
            assert!((0..3).any(|offset| encoded.contains(&base64_at_offset(bytes, offset))), "{before} {after}");
        }
    }
}

#[test]
fn windash_varies_every_dash_by_itself() {
    check("windash|contains", &[" -f a-b"], "(* -f a-b* or * /f a-b* or * –f a-b* or * —f a-b* or * ―f a-b*)");
    check("windash", &["plain"], "plain");
    let shown = apply_to("windash", &[("/x -y", true)]).unwrap();
    assert_eq!(shown.matches(" or ").count(), 24, "{shown}");
    for variant in ["-x -y", "/x /y", "–x /y", "―x —y"] {
        assert!(shown.contains(variant), "{shown}");
    }
    check_error("windash", "-a -b -c -d -e -f", "DASH_VARIANTS_MAX");
}

#[test]
fn regexes_take_flags_and_raw_text() {
    check("re", &[r"a\*b"], r"matches regex a\*b".trim_start_matches("matches "));
    check("re|i", &["a"], "regex (?i)a");
    check("re|i|s", &["a"], "regex (?is)a");
    check_error("i", "a", "belongs behind re");
    check_error("re", "a(?=b)", "looks around");
    check_error("re", "(a", "is refused");
    check_error("re", "((a{1000}){1000}){1000}", "REGEX_BYTES_MAX");
}

#[test]
fn exists_takes_a_truth_value() {
    check("exists", &["true"], "is there");
    check("exists", &["false"], "is absent");
    check_error("exists", "maybe", "true or false");
}

#[test]
fn field_references_relate_two_fields() {
    check("fieldref", &["Other"], "Equal field Other");
    check("fieldref|startswith", &["Other"], "StartsWith field Other");
    check("endswith|fieldref", &["Other"], "EndsWith field Other");
    check("fieldref|neq", &["Other"], "not Equal field Other");
}

#[test]
fn networks_and_times_are_checked_when_read() {
    check_error("cidr", "10.0.0.0/99", "not a network");
    check("hour", &["3"], "Hour Equal 3");
    check("hour|gte", &["22"], "Hour GreaterOrEqual 22");
}

#[test]
fn placeholders_and_unknown_modifiers_are_named() {
    check("expand", &["%servers%"], "(a or b*)");
    check("contains|expand", &["%Servers%"], "(*a* or *b*)");
    check("expand|startswith", &["%Servers%"], "(a* or b*)");
    check("expand", &["%None%"], "()");
    check_error("expand", "%Server%", "did you mean \"Servers\"?");
    check("expand", &[r"100\%"], "100%");
    check_error("contians", "a", "there is no modifier \"contians\"");
}
