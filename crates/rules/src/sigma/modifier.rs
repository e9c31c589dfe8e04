//! Value modifiers: how a field's values become tests.
//!
//! Modifiers apply in the order written. Encodings and `windash` turn one value into several; `all` joins a list with
//! AND instead of OR; `neq` negates the whole item, so that an absent field differs from every value.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;
use crate::ir::{Comparison, Expression, Field, Matcher, Network, Number, Relation, TimePart};
use crate::limits;
use crate::pattern::{Pattern, Piece, Shape};
use crate::placeholders::Placeholders;
use crate::yaml::{Kind, Meaning, Node};

/// The dashes that Windows programs take for one another before an option.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// A modifier that changes values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Contains,
    StartsWith,
    EndsWith,
    Windash,
    Base64,
    Base64Offset,
    Utf16Le,
    Utf16Be,
    Utf16,
    Regex,
    Cidr,
    Exists,
    FieldRef,
    Expand,
}

/// The modifiers of one item.
#[derive(Debug, Default)]
pub(super) struct Modifiers {
    steps: Vec<Step>,
    all: bool,
    cased: bool,
    negated: bool,
    regex_flags: String,
    comparison: Option<Comparison>,
    time_part: Option<TimePart>,
}

impl Modifiers {
    /// Reads modifier names.
    pub fn parse<'a>(names: impl Iterator<Item = &'a str>, line: usize) -> Result<Self, Error> {
        let mut modifiers = Self::default();
        for name in names {
            let step = match name.trim() {
                "all" => {
                    modifiers.all = true;
                    continue;
                }
                "cased" => {
                    modifiers.cased = true;
                    continue;
                }
                "neq" => {
                    modifiers.negated = true;
                    continue;
                }
                flag @ ("i" | "m" | "s" | "ignorecase" | "multiline" | "dotall") => {
                    if !modifiers.steps.contains(&Step::Regex) {
                        return Err(Error::rule(line, format!("the modifier {flag} belongs behind re")));
                    }
                    let letter = ["ignorecase", "multiline", "dotall"].iter().position(|long| *long == flag);
                    modifiers.regex_flags.push_str(letter.map_or(flag, |index| ["i", "m", "s"][index]));
                    continue;
                }
                other if comparison(other).is_some() => {
                    modifiers.comparison = comparison(other);
                    continue;
                }
                other if time_part(other).is_some() => {
                    modifiers.time_part = time_part(other);
                    continue;
                }
                other => step(other).ok_or_else(|| Error::rule(line, unknown_modifier(other)))?,
            };
            modifiers.steps.push(step);
        }
        Ok(modifiers)
    }
}

fn unknown_modifier(name: &str) -> String {
    format!(
        "there is no modifier {name:?}; there are all, base64, base64offset, cased, cidr, contains, day, endswith, \
         exists, expand, fieldref, gt, gte, hour, lt, lte, minute, month, neq, re (with i, m, s), startswith, utf16, \
         utf16be, utf16le, week, wide, windash, year"
    )
}

fn step(name: &str) -> Option<Step> {
    Some(match name {
        "contains" => Step::Contains,
        "startswith" => Step::StartsWith,
        "endswith" => Step::EndsWith,
        "windash" => Step::Windash,
        "base64" => Step::Base64,
        "base64offset" => Step::Base64Offset,
        "wide" | "utf16le" => Step::Utf16Le,
        "utf16be" => Step::Utf16Be,
        "utf16" => Step::Utf16,
        "re" => Step::Regex,
        "cidr" => Step::Cidr,
        "exists" => Step::Exists,
        "fieldref" => Step::FieldRef,
        "expand" => Step::Expand,
        _ => return None,
    })
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        "lt" => Comparison::Less,
        "lte" => Comparison::LessOrEqual,
        "gt" => Comparison::Greater,
        "gte" => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn time_part(name: &str) -> Option<TimePart> {
    Some(match name {
        "minute" => TimePart::Minute,
        "hour" => TimePart::Hour,
        "day" => TimePart::Day,
        "week" => TimePart::Week,
        "month" => TimePart::Month,
        "year" => TimePart::Year,
        _ => return None,
    })
}

/// A value on its way through the modifiers.
#[derive(Debug, Clone)]
enum Draft {
    /// Asks for an absent value.
    Null,
    /// A truth value.
    Bool(bool),
    /// Text as written, which a regular expression takes raw, and the pattern it means.
    Text { raw: String, pattern: Pattern },
    /// A number: its value, and the texts it may stand as in an event.
    Number { value: f64, texts: Vec<String> },
    /// Text in an encoding that may still be encoded in Base64.
    Bytes(Vec<u8>),
    /// Finished.
    Done(Matcher),
}

/// The expression of one item: its values, through its modifiers, joined.
pub(super) fn apply(
    field: &Field,
    modifiers: &Modifiers,
    values: &[Node],
    placeholders: &Placeholders,
) -> Result<Expression, Error> {
    let mut parts = Vec::with_capacity(values.len());
    for node in values {
        let mut drafts = vec![read_value(node)?];
        for step in &modifiers.steps {
            let mut next = Vec::with_capacity(drafts.len());
            for draft in drafts {
                take_step(*step, draft, modifiers, placeholders, node.line, &mut next)?;
            }
            drafts = next;
        }
        let mut tests = Vec::new();
        for draft in drafts {
            finish(field, draft, modifiers, node.line, &mut tests)?;
        }
        parts.push(Expression::any(tests));
    }
    let joined = if modifiers.all { Expression::all(parts) } else { Expression::any(parts) };
    Ok(if modifiers.negated { Expression::Not(Box::new(joined)) } else { joined })
}

fn read_value(node: &Node) -> Result<Draft, Error> {
    let Kind::Scalar(scalar) = &node.kind else {
        return Err(Error::rule(node.line, "a value is a text, a number, a truth value or null"));
    };
    Ok(match scalar.meaning() {
        Meaning::Null => Draft::Null,
        Meaning::Bool(value) => Draft::Bool(value),
        Meaning::Text => Draft::Text { raw: scalar.text.clone(), pattern: Pattern::parse(&scalar.text) },
        Meaning::Integer(value) => {
            let mut texts = vec![value.to_string()];
            if scalar.text != texts[0] {
                texts.push(scalar.text.clone());
            }
            #[expect(clippy::cast_precision_loss, reason = "only comparisons use it; equality compares the text")]
            Draft::Number { value: value as f64, texts }
        }
        Meaning::Real(value) => Draft::Number { value, texts: vec![scalar.text.clone()] },
    })
}

/// Applies one modifier to one value.
fn take_step(
    step: Step,
    draft: Draft,
    modifiers: &Modifiers,
    placeholders: &Placeholders,
    line: usize,
    out: &mut Vec<Draft>,
) -> Result<(), Error> {
    if matches!(draft, Draft::Null) {
        out.push(draft);
        return Ok(());
    }
    match step {
        Step::Contains | Step::StartsWith | Step::EndsWith => out.push(take_position(step, draft)),
        Step::Windash => windash(draft, out)?,
        Step::Utf16Le => out.push(Draft::Bytes(utf16(&literal(&draft, line)?, false))),
        Step::Utf16Be => out.push(Draft::Bytes(utf16(&literal(&draft, line)?, true))),
        Step::Utf16 => {
            let mut bytes = vec![0xff, 0xfe];
            bytes.extend(utf16(&literal(&draft, line)?, false));
            out.push(Draft::Bytes(bytes));
        }
        Step::Base64 => out.push(plain_text(STANDARD.encode(bytes_of(draft, line)?))),
        Step::Base64Offset => {
            let bytes = bytes_of(draft, line)?;
            out.extend((0..3).map(|offset| plain_text(base64_at_offset(&bytes, offset))));
        }
        Step::Regex => {
            let source = regex_source(&draft, &modifiers.regex_flags, line)?;
            out.push(Draft::Done(Matcher::Regex(source)));
        }
        Step::Cidr => {
            let text = literal(&draft, line)?;
            let message = || format!("{text:?} is not a network such as 10.0.0.0/8");
            let network = Network::parse(&text).ok_or_else(|| Error::rule(line, message()))?;
            out.push(Draft::Done(Matcher::Cidr(network)));
        }
        Step::Exists => match draft {
            Draft::Bool(true) => out.push(Draft::Done(Matcher::Present)),
            Draft::Bool(false) => out.push(Draft::Done(Matcher::Absent)),
            _ => return Err(Error::rule(line, "exists takes true or false")),
        },
        Step::FieldRef => out.push(Draft::Done(field_reference(&draft, modifiers, line)?)),
        Step::Expand => expand(draft, placeholders, line, out)?,
    }
    Ok(())
}

fn take_position(step: Step, draft: Draft) -> Draft {
    let pattern = match draft {
        Draft::Text { pattern, .. } => pattern,
        Draft::Number { texts, .. } => Pattern::literal(&texts[0]),
        Draft::Bool(value) => Pattern::literal(&value.to_string()),
        Draft::Bytes(bytes) => Pattern::literal(&String::from_utf8_lossy(&bytes)),
        done => return with_relation(done, step),
    };
    let pattern = match step {
        Step::StartsWith => pattern.before_anything(),
        Step::EndsWith => pattern.after_anything(),
        _ => pattern.after_anything().before_anything(),
    };
    Draft::Text { raw: pattern.to_string(), pattern }
}

/// `fieldref|contains` says how the two fields relate.
fn with_relation(draft: Draft, step: Step) -> Draft {
    match draft {
        Draft::Done(Matcher::Other { field, cased, .. }) => {
            Draft::Done(Matcher::Other { field, relation: relation_of(step), cased })
        }
        other => other,
    }
}

fn relation_of(step: Step) -> Relation {
    match step {
        Step::Contains => Relation::Contains,
        Step::StartsWith => Relation::StartsWith,
        Step::EndsWith => Relation::EndsWith,
        _ => Relation::Equal,
    }
}

fn field_reference(draft: &Draft, modifiers: &Modifiers, line: usize) -> Result<Matcher, Error> {
    let Draft::Text { raw, pattern } = draft else {
        return Err(Error::rule(line, "fieldref takes the name of a field"));
    };
    // `contains|fieldref` means the same as `fieldref|contains`.
    let before = modifiers.steps.iter().copied().take_while(|step| *step != Step::FieldRef).last();
    let relation = before.map_or(Relation::Equal, relation_of);
    let name = if relation == Relation::Equal { raw.clone() } else { pattern.to_string().replace('*', "") };
    Ok(Matcher::Other { field: name.into(), relation, cased: modifiers.cased })
}

/// The text of a value that an encoding or a network takes: wildcards have no meaning there.
fn literal(draft: &Draft, line: usize) -> Result<String, Error> {
    match draft {
        Draft::Text { pattern, .. } => pattern
            .as_literal()
            .map(str::to_owned)
            .ok_or_else(|| Error::rule(line, "wildcards cannot be encoded; escape them with a backslash")),
        Draft::Number { texts, .. } => Ok(texts[0].clone()),
        Draft::Bool(value) => Ok(value.to_string()),
        Draft::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        Draft::Null | Draft::Done(_) => Err(Error::rule(line, "these modifiers do not go together")),
    }
}

fn bytes_of(draft: Draft, line: usize) -> Result<Vec<u8>, Error> {
    match draft {
        Draft::Bytes(bytes) => Ok(bytes),
        other => literal(&other, line).map(String::into_bytes),
    }
}

fn plain_text(text: String) -> Draft {
    Draft::Text { pattern: Pattern::literal(&text), raw: text }
}

fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

/// The part of the Base64 text that stays the same when `offset` unknown bytes come before and any number behind.
fn base64_at_offset(bytes: &[u8], offset: usize) -> String {
    const FIRST_STABLE: [usize; 3] = [0, 2, 3];
    let mut padded = vec![b' '; offset];
    padded.extend_from_slice(bytes);
    let encoded = STANDARD.encode(&padded);
    let end = match padded.len() % 3 {
        0 => encoded.len(),
        1 => encoded.len() - 3,
        _ => encoded.len() - 2,
    };
    encoded.get(FIRST_STABLE[offset]..end).unwrap_or_default().to_owned()
}

/// Every way of writing the options with one dash or another: each dash that begins an option is varied by itself.
fn windash(draft: Draft, out: &mut Vec<Draft>) -> Result<(), Error> {
    let Draft::Text { raw, pattern } = draft else {
        out.push(draft);
        return Ok(());
    };
    let mut variants = vec![Pattern::default()];
    for piece in pattern.pieces() {
        let alternatives = match piece {
            Piece::Literal(text) => dash_variants(text)?.into_iter().map(Piece::Literal).collect(),
            other => vec![other.clone()],
        };
        if variants.len() * alternatives.len() > limits::DASH_VARIANTS_MAX {
            return Err(too_many_dashes());
        }
        let with = |before: &Pattern, piece: &Piece| {
            let mut variant = before.clone();
            variant.push(piece.clone());
            variant
        };
        variants = variants.iter().flat_map(|before| alternatives.iter().map(move |p| with(before, p))).collect();
    }
    out.extend(variants.into_iter().map(|variant| match variant == pattern {
        true => Draft::Text { raw: raw.clone(), pattern: variant },
        false => Draft::Text { raw: variant.to_string(), pattern: variant },
    }));
    Ok(())
}

fn too_many_dashes() -> Error {
    let bound = limits::DASH_VARIANTS_MAX;
    Error::Limit { what: "the number of ways to write a value with windash", limit: "DASH_VARIANTS_MAX", bound }
}

/// A text with each `-` and the like, where an option begins (not behind a letter, and before one), as any of them.
fn dash_variants(text: &str) -> Result<Vec<String>, Error> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let chars: Vec<char> = text.chars().collect();
    let begins_option = |index: usize| {
        let behind_word = index > 0 && is_word(chars[index - 1]);
        !behind_word && chars.get(index + 1).copied().is_some_and(is_word)
    };
    let mut variants = vec![String::new()];
    for (index, c) in chars.iter().enumerate() {
        if !(DASHES.contains(c) && begins_option(index)) {
            variants.iter_mut().for_each(|variant| variant.push(*c));
            continue;
        }
        if variants.len() * DASHES.len() > limits::DASH_VARIANTS_MAX {
            return Err(too_many_dashes());
        }
        variants = variants.iter().flat_map(|before| DASHES.map(|dash| format!("{before}{dash}"))).collect();
    }
    Ok(variants)
}

fn regex_source(draft: &Draft, flags: &str, line: usize) -> Result<Arc<str>, Error> {
    let raw = match draft {
        Draft::Text { raw, .. } => raw.clone(),
        Draft::Number { texts, .. } => texts[0].clone(),
        _ => return Err(Error::rule(line, "re takes a regular expression")),
    };
    let source = if flags.is_empty() { raw } else { format!("(?{flags}){raw}") };
    compile_regex(&source).map_err(|reason| {
        let short: String = reason.lines().last().unwrap_or_default().trim().chars().take(200).collect();
        if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| source.contains(look)) {
            return Error::unsupported(line, "the regular expression looks around; Sigma does not allow that");
        }
        Error::rule(line, format!("the regular expression {source:?} is refused: {short}"))
    })?;
    Ok(source.into())
}

/// Compiles a rule's regular expression within its limits: linear time, bounded size.
pub(crate) fn compile_regex(source: &str) -> Result<regex::Regex, String> {
    if num_alternatives(source) > limits::REGEX_ALTERNATIVES_MAX {
        let bound = limits::REGEX_ALTERNATIVES_MAX;
        return Err(format!("it has more than REGEX_ALTERNATIVES_MAX ({bound}) alternatives; write a list of values"));
    }
    regex::RegexBuilder::new(source)
        .size_limit(limits::REGEX_BYTES_MAX)
        .dfa_size_limit(limits::REGEX_BYTES_MAX)
        .nest_limit(limits::REGEX_DEPTH_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                format!("it compiles to more than REGEX_BYTES_MAX ({}) bytes", limits::REGEX_BYTES_MAX)
            }
            other if other.to_string().contains("nested") => {
                format!("it is nested deeper than REGEX_DEPTH_MAX ({})", limits::REGEX_DEPTH_MAX)
            }
            other => other.to_string(),
        })
}

/// Alternatives of a regular expression, those of all its groups together.
fn num_alternatives(source: &str) -> usize {
    let (mut escaped, mut in_class, mut bars) = (false, false, 0);
    for c in source.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '|' if !in_class => bars += 1,
            _ => {}
        }
    }
    bars + 1
}

/// The value once per value of its placeholders.
fn expand(draft: Draft, placeholders: &Placeholders, line: usize, out: &mut Vec<Draft>) -> Result<(), Error> {
    let Draft::Text { pattern, .. } = &draft else {
        out.push(draft);
        return Ok(());
    };
    let expanded = placeholders.expand(pattern, line)?;
    out.extend(expanded.into_iter().map(|pattern| Draft::Text { raw: pattern.to_string(), pattern }));
    Ok(())
}

/// Turns a finished value into tests.
fn finish(
    field: &Field,
    draft: Draft,
    modifiers: &Modifiers,
    line: usize,
    out: &mut Vec<Expression>,
) -> Result<(), Error> {
    if modifiers.comparison.is_some() || modifiers.time_part.is_some() {
        out.push(Expression::test(field.clone(), numeric(&draft, modifiers, line)?));
        return Ok(());
    }
    let text = |pattern: Pattern| text_matcher(field, pattern, modifiers.cased);
    match draft {
        Draft::Null => out.push(Expression::test(field.clone(), Matcher::Absent)),
        Draft::Bool(value) => out.push(Expression::test(field.clone(), text(Pattern::literal(&value.to_string())))),
        Draft::Text { pattern, .. } => out.push(Expression::test(field.clone(), text(pattern))),
        Draft::Number { texts, .. } => {
            out.extend(texts.iter().map(|t| Expression::test(field.clone(), text(Pattern::literal(t)))));
        }
        Draft::Bytes(bytes) => {
            let decoded = String::from_utf8_lossy(&bytes).into_owned();
            out.push(Expression::test(field.clone(), text(Pattern::literal(&decoded))));
        }
        Draft::Done(matcher) => out.push(Expression::test(field.clone(), matcher)),
    }
    Ok(())
}

/// A keyword is looked for anywhere within a text; a field's value is compared whole.
fn text_matcher(field: &Field, pattern: Pattern, cased: bool) -> Matcher {
    let pattern = match field {
        Field::Anywhere => pattern.after_anything().before_anything(),
        Field::Named(_) => pattern,
    };
    match pattern.shape() {
        Shape::Empty => Matcher::Absent,
        Shape::Anything => Matcher::Present,
        _ => Matcher::Text { pattern, cased },
    }
}

fn numeric(draft: &Draft, modifiers: &Modifiers, line: usize) -> Result<Matcher, Error> {
    let value = match draft {
        Draft::Number { value, .. } => Some(*value),
        Draft::Text { raw, .. } => raw.trim().parse().ok(),
        _ => None,
    };
    let value = value.ok_or_else(|| Error::rule(line, "comparisons and parts of times take a number"))?;
    let comparison = modifiers.comparison.unwrap_or(Comparison::Equal);
    Ok(match modifiers.time_part {
        Some(part) => Matcher::Time(part, comparison, Number(value)),
        None => Matcher::Number(comparison, Number(value)),
    })
}

#[cfg(test)]
mod tests;
