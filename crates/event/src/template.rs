//! Texts kept as what is left of them beside other columns of their row.
//!
//! The original of a record (`_Raw`), the rendered message of a Windows event and its data section say again what other
//! columns say. Compression finds that only within a page, and never for values that do not repeat. So a segment keeps
//! such a text with a mark in place of each value that another column of the same row holds; whoever reads the text reads
//! those columns too and fills it. Words that no column holds and that still differ from row to row, such as the time a
//! collector adds, are put into a column of their own. What is left is the template of a kind of event, and it repeats.
//!
//! Pure functions on columns; no file is touched here. Filling gives the text back byte for byte: the record bytes, and
//! with them every proof, are those of the whole text.
//!
//! # Form
//! ```text
//! SUB SUB     one U+001A of the text itself
//! SUB <mark>  the value of a source: `!` (U+0021) of the first, U+0022 of the second, …
//! ```
//! SUB is U+001A. The sources stand in the metadata of the field in the file, under [`TEMPLATE_KEY`], as a JSON array of
//! `[<column>, <form>]`. The forms:
//! ```text
//! plain     the text as it is, a number in decimal digits, nothing for null
//! json      as it stands between the quotes of a JSON text
//! unquoted  the content of a JSON string; what is no JSON string as it is
//! words     the next of the words of the column, which a space separates: `<name>#words` of the text `<name>`,
//!           `<name>#words/<path>` of the text `<name>#/<path>`
//! ```
//! A column is a text, a whole number, or a companion (stored.rs). It may be kept as a template itself; no text leads back
//! to itself.
//!
//! In segments of version 2 the array holds at most 16 names: the sources are then `!` to `@` for their values as `plain`,
//! `A` to `Z` and on for the same as `json`.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::str::Split;

use arrow::array::{Array, StringArray, StringBuilder};
use arrow::datatypes::Field;
use memchr::{memchr, memmem};

/// Metadata key of a field whose texts are kept so.
pub const TEMPLATE_KEY: &str = "moneta.template";

/// In the name of the companion column with the words of a text that differ and that no other column holds.
pub const WORDS_INFIX: &str = "#words";

/// Columns that one template names at most.
const COLUMNS_MAX: usize = 128;
/// Columns that a template of version 2 names at most.
const OLD_COLUMNS_MAX: usize = 16;
/// Marks between those of plain values and those of values as in JSON, in version 2.
const OLD_ESCAPED: usize = 32;
/// Begins every mark.
const SUB: char = '\u{1A}';
/// The mark of the first source.
const FIRST_MARK: u32 = '!' as u32;
/// Bytes of a value that is looked for anywhere, not only behind the name of its column.
const VALUE_BYTES_MIN: usize = 4;
/// Bytes of a value that may stand within a word.
const INNER_BYTES_MIN: usize = 8;
/// Bytes between a name and its value at most: quotes, colons, white space.
const NAME_GAP_MAX: usize = 12;
/// Places of a name or a value that are looked at in one text.
const PLACES_MAX: usize = 32;
/// Marks in one text at most.
const PARTS_MAX: usize = 256;
/// Templates that are tried on a text before one is made for it.
const KNOWN_MAX: usize = 64;
/// Rows that are looked at to choose the columns.
const SAMPLE_ROWS: usize = 256;
/// Rows that are looked at to find which words differ.
const WORDS_SAMPLE_ROWS: usize = 1_024;
/// Different words behind one context that make it one of words that differ.
const WORDS_MIN: usize = 3;
/// Bytes of a context.
const CONTEXT_BYTES: usize = 16;
/// Contexts of one column at most.
const CONTEXTS_MAX: usize = 4_096;

/// A column of texts, absent where a batch has none of its values.
pub type Texts<'a> = Option<&'a StringArray>;

/// How the value of a column stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Escaped,
    Unquoted,
    Words,
}

impl Form {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Plain, "plain"), (Self::Escaped, "json"), (Self::Unquoted, "unquoted"), (Self::Words, "words")];

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(form, _)| *form)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(form, _)| *form == self).map_or("plain", |(_, name)| name)
    }

    fn of(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Plain | Self::Words => Cow::Borrowed(value),
            Self::Escaped => escaped(value),
            Self::Unquoted => unquoted(value),
        }
    }
}

/// A value as it stands between the quotes of a JSON text.
fn escaped(value: &str) -> Cow<'_, str> {
    if !has_escape(value) {
        return Cow::Borrowed(value);
    }
    let quoted = serde_json::to_string(value).expect("a text");
    Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
}

/// Whether JSON escapes a character of a text. Looked at to the end, for that is quicker than to stop.
fn has_escape(text: &str) -> bool {
    text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\'))
}

/// The content of a JSON string.
fn unquoted(value: &str) -> Cow<'_, str> {
    let content = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    match content {
        None => Cow::Borrowed(value),
        Some(content) if !has_escape(content) => Cow::Borrowed(content),
        Some(_) => serde_json::from_str(value).map_or(Cow::Borrowed(value), Cow::Owned),
    }
}

/// What a source stands for: a column, by its position among those of the template, and how its value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source {
    column: usize,
    form: Form,
}

/// The columns whose values are left out of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    columns: Vec<String>,
    /// By mark; a gap where version 2 has none.
    sources: Vec<Option<Source>>,
}

/// Why texts cannot be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    /// The metadata of the field is no list of sources.
    #[error("the metadata does not name the columns of its template")]
    Names,
    /// A column that the template names is not there, or is no text or number, or leads back to the text.
    #[error("a column that its template names cannot be read")]
    Column,
    /// A text holds a mark of no source.
    #[error("a text names a column that its template does not have")]
    Mark,
    /// The whole texts are more than an array holds, 2 GiB.
    #[error("the texts are larger than 2 GiB")]
    TooLarge,
}

/// A column that a template may name.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its name in the file.
    pub name: &'a str,
    /// Whether its values are JSON texts.
    pub is_json: bool,
}

impl Template {
    /// The template of a field in a file; `None` when its texts are whole.
    ///
    /// # Errors
    /// [`Unfilled::Names`] when the metadata is no list of at most 128 sources, one of words at most.
    pub fn of_field(field: &Field) -> Result<Option<Self>, Unfilled> {
        let Some(text) = field.metadata().get(TEMPLATE_KEY) else { return Ok(None) };
        if let Ok(sources) = serde_json::from_str::<Vec<(String, String)>>(text) {
            let sources = sources.into_iter().map(|(column, form)| Some((column, Form::parse(&form)?)));
            let sources: Option<Vec<_>> = sources.collect();
            let sources = sources.filter(|sources| sources.len() <= COLUMNS_MAX).ok_or(Unfilled::Names)?;
            let of_words = sources.iter().filter(|(_, form)| *form == Form::Words).count();
            return if of_words > 1 { Err(Unfilled::Names) } else { Ok(Some(Self::new(sources))) };
        }
        let columns: Vec<String> = serde_json::from_str(text).map_err(|_| Unfilled::Names)?;
        if columns.len() > OLD_COLUMNS_MAX {
            return Err(Unfilled::Names);
        }
        let mut sources = vec![None; OLD_ESCAPED + columns.len()];
        for column in 0..columns.len() {
            sources[column] = Some(Source { column, form: Form::Plain });
            sources[OLD_ESCAPED + column] = Some(Source { column, form: Form::Escaped });
        }
        Ok(Some(Self { columns, sources }))
    }

    fn new(sources: Vec<(String, Form)>) -> Self {
        let forms = sources.iter().enumerate().map(|(column, (_, form))| Some(Source { column, form: *form }));
        let forms = forms.collect();
        Self { columns: sources.into_iter().map(|(column, _)| column).collect(), sources: forms }
    }

    /// The field of the texts, with the sources in its metadata.
    #[must_use]
    pub fn mark_field(&self, field: &Field) -> Field {
        let mut metadata = field.metadata().clone();
        let sources = self.sources.iter().flatten();
        let sources: Vec<_> =
            sources.map(|source| (self.columns[source.column].as_str(), source.form.name())).collect();
        let sources = serde_json::to_string(&sources).expect("names are texts");
        metadata.insert(TEMPLATE_KEY.to_owned(), sources);
        field.clone().with_metadata(metadata)
    }

    /// The names of the columns that filling needs.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The column of words that no other column holds, if there is one.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        let source = self.sources.iter().flatten().find(|source| source.form == Form::Words)?;
        Some(&self.columns[source.column])
    }

    /// The whole texts again: the inverse of [`Shortener::shorten`].
    ///
    /// # Shapes
    /// `values`: the template's columns in its order, each as long as `stored`. As many texts come back, nulls as nulls.
    ///
    /// # Errors
    /// [`Unfilled::Mark`] for a text with a mark that the template lacks, [`Unfilled::TooLarge`].
    pub fn fill(&self, stored: &StringArray, values: &[Texts<'_>]) -> Result<StringArray, Unfilled> {
        // Texts are written where they stay: they are long, and copying them would cost as much as filling them.
        let mut filled = StringBuilder::with_capacity(stored.len(), stored.value_data().len() * 2);
        let words = self.sources.iter().flatten().find(|source| source.form == Form::Words);
        let words = words.and_then(|source| values.get(source.column));
        for row in 0..stored.len() {
            if stored.is_null(row) {
                filled.append_null();
                continue;
            }
            let words = words.map(|values| value_at(*values, row).split(' '));
            self.fill_one(stored.value(row), values, row, words, &mut filled)?;
        }
        Ok(filled.finish())
    }

    /// Appends one text.
    fn fill_one(
        &self,
        stored: &str,
        values: &[Texts<'_>],
        row: usize,
        mut words: Option<Split<'_, char>>,
        filled: &mut StringBuilder,
    ) -> Result<(), Unfilled> {
        let mut bytes = filled.values_slice().len();
        let mut push = |text: &str| {
            bytes += text.len();
            i32::try_from(bytes).map_err(|_| Unfilled::TooLarge)?;
            filled.write_str(text).map_err(|_| Unfilled::TooLarge)
        };
        let mut rest = stored;
        while let Some(at) = memchr(SUB as u8, rest.as_bytes()) {
            push(&rest[..at])?;
            let mark = rest[at + 1..].chars().next().ok_or(Unfilled::Mark)?;
            if mark == SUB {
                push("\u{1A}")?;
            } else {
                let source = u32::from(mark).checked_sub(FIRST_MARK).and_then(|index| usize::try_from(index).ok());
                let source = source.and_then(|index| *self.sources.get(index)?).ok_or(Unfilled::Mark)?;
                let values = values.get(source.column).ok_or(Unfilled::Mark)?;
                match source.form {
                    Form::Words => push(words.as_mut().and_then(|words| words.next()).ok_or(Unfilled::Mark)?)?,
                    form => push(&form.of(value_at(*values, row)))?,
                }
            }
            rest = &rest[at + 1 + mark.len_utf8()..];
        }
        push(rest)?;
        filled.append_value("");
        Ok(())
    }
}

fn value_at<'a>(values: Texts<'a>, row: usize) -> &'a str {
    values.filter(|values| values.is_valid(row)).map_or("", |values| values.value(row))
}

fn mark(source: usize) -> char {
    let index = u32::try_from(source).expect("a template names few columns");
    char::from_u32(FIRST_MARK + index).expect("far below the surrogates")
}

/// The name by which texts call a column: of a companion of a path the last member.
fn called(column: &str) -> &str {
    column.split_once("#/").map_or(column, |(_, path)| path.rsplit('/').next().unwrap_or(path))
}

/// Shortens the texts of one column, batch by batch.
///
/// Texts of one kind of event should become the same template, for then a dictionary holds it once. So the templates
/// made last are tried first, which is also quicker than searching for values.
#[derive(Debug, Clone)]
pub struct Shortener {
    template: Template,
    /// What stands before words that differ.
    contexts: HashSet<Vec<u8>>,
    /// The one used last first.
    known: Vec<Known>,
}

/// Texts without what other columns hold.
#[derive(Debug)]
pub struct Shortened {
    /// As many as there were, nulls as nulls.
    pub texts: StringArray,
    /// The words of each, for the column that [`Template::words`] names.
    pub words: StringArray,
}

/// A template that was made.
#[derive(Debug, Clone)]
struct Known {
    stored: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Source(usize),
    Word,
}

impl Shortener {
    /// Chooses the columns that hold parts of the texts which differ from row to row; `None` when none does.
    ///
    /// # Shapes
    /// The texts of the column `name`, and the values of each candidate, as many as texts; null is no text and no value.
    #[must_use]
    pub fn choose(name: &str, texts: &StringArray, candidates: &[Candidate<'_>], values: &[Texts<'_>]) -> Option<Self> {
        let [plain, json] = [false, true].map(|in_json| Tally::count(texts, candidates, values, in_json));
        let tally = if json.bytes() > plain.bytes() { json } else { plain };
        let best = tally.best();
        if best.is_empty() {
            return None;
        }
        let sources = best.iter().map(|column| (candidates[*column].name.to_owned(), tally.forms[*column]));
        let mut shortener = Self::new(sources.collect());
        let values: Vec<Texts<'_>> = best.iter().map(|column| values[*column]).collect();
        shortener.choose_words(name, texts, &values);
        Some(shortener)
    }

    fn new(sources: Vec<(String, Form)>) -> Self {
        Self { template: Template::new(sources), contexts: HashSet::new(), known: Vec::new() }
    }

    /// Finds the contexts in which words differ, by what the columns leave of a sample.
    fn choose_words(&mut self, name: &str, texts: &StringArray, values: &[Texts<'_>]) {
        let mut seen: HashMap<Vec<u8>, (usize, HashSet<&str>)> = HashMap::new();
        let step = texts.len().div_ceil(WORDS_SAMPLE_ROWS).max(1);
        let names = self.names();
        for row in (0..texts.len()).step_by(step).filter(|row| texts.is_valid(*row)) {
            let claimed = Claimed::of(texts.value(row), &names, &self.forms_of(values, row));
            for literal in claimed.literals() {
                for word in words(literal) {
                    let context = context(literal, word.start);
                    if seen.len() < CONTEXTS_MAX || seen.contains_key(&context) {
                        let (count, different) = seen.entry(context).or_default();
                        *count += 1;
                        different.insert(&literal[word]);
                    }
                }
            }
        }
        // Times to the second repeat more, the more rows there are.
        let differs = |count: usize, different: usize| different >= WORDS_MIN && different * different >= count;
        let contexts = seen.into_iter().filter(|(_, (count, different))| differs(*count, different.len()));
        self.contexts = contexts.map(|(context, _)| context).collect();
        if !self.contexts.is_empty() {
            self.template.sources.push(Some(Source { column: self.template.columns.len(), form: Form::Words }));
            self.template.columns.push(match name.split_once("#/") {
                None => format!("{name}{WORDS_INFIX}"),
                Some((column, path)) => format!("{column}{WORDS_INFIX}/{path}"),
            });
        }
    }

    /// The columns whose values are left out.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The texts with marks for the values of the columns, and the words for which there is no column.
    ///
    /// # Shapes
    /// `values`: the template's columns in its order, each as long as `texts`; those of the words are not looked at.
    #[must_use]
    pub fn shorten(&mut self, texts: &StringArray, values: &[Texts<'_>]) -> Shortened {
        let mut shortened = StringBuilder::with_capacity(texts.len(), texts.value_data().len() / 8);
        let mut joined = StringBuilder::with_capacity(texts.len(), 0);
        for row in 0..texts.len() {
            if texts.is_null(row) {
                shortened.append_null();
                joined.append_value("");
                continue;
            }
            let mut words = Vec::new();
            let forms = self.forms_of(values, row);
            shortened.append_value(self.shorten_one(texts.value(row), &forms, &mut words));
            joined.append_value(words.join(" "));
        }
        Shortened { texts: shortened.finish(), words: joined.finish() }
    }

    /// The values of a row as they stand in its text; empty where there is none.
    fn forms_of<'a>(&self, values: &[Texts<'a>], row: usize) -> Vec<Cow<'a, str>> {
        let sources = self.template.sources.iter();
        let forms = sources.map(|source| match source {
            Some(Source { column, form }) if *form != Form::Words => form.of(value_at(values[*column], row)),
            _ => Cow::Borrowed(""),
        });
        forms.collect()
    }

    /// By what each source is called.
    fn names(&self) -> Vec<&str> {
        let sources = self.template.sources.iter();
        sources.map(|source| source.map_or("", |source| called(&self.template.columns[source.column]))).collect()
    }

    fn shorten_one<'t>(&mut self, text: &'t str, forms: &[Cow<'_, str>], words: &mut Vec<&'t str>) -> &str {
        match self.known.iter().position(|known| known.fits(text, forms, words)) {
            Some(index) => self.known[..=index].rotate_right(1),
            None => {
                let claimed = Claimed::of(text, &self.names(), forms);
                // Where a word goes on in the value behind it, without words; and whole before anything else is kept than
                // the text.
                let without_words = HashSet::new();
                let ways = [(&claimed, &self.contexts), (&claimed, &without_words)];
                let mut ways = ways.into_iter().map(|(claimed, contexts)| self.known_of(claimed, contexts));
                let fitting = ways.find(|known| known.fits(text, forms, words));
                let known = fitting.unwrap_or_else(|| {
                    words.clear();
                    self.known_of(&Claimed { text, parts: Vec::new() }, &without_words)
                });
                self.known.truncate(KNOWN_MAX - 1);
                self.known.insert(0, known);
            }
        }
        &self.known[0].stored
    }

    fn known_of(&self, claimed: &Claimed<'_>, contexts: &HashSet<Vec<u8>>) -> Known {
        let mut known = Known { stored: String::new(), parts: Vec::new() };
        let word = self.template.sources.len().saturating_sub(1);
        let mut sources = claimed.parts.iter().map(|(_, source)| *source);
        for literal in claimed.literals() {
            let mut from = 0;
            for found in words(literal) {
                if known.parts.len() < PARTS_MAX && contexts.contains(&context(literal, found.start)) {
                    known.push_literal(&literal[from..found.start]);
                    known.push(Part::Word, word);
                    from = found.end;
                }
            }
            known.push_literal(&literal[from..]);
            sources.by_ref().take(1).for_each(|source| known.push(Part::Source(source), source));
        }
        known
    }
}

/// The ranges of a text that are words: letters, digits and what joins them, with a digit in them.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    let bytes = text.as_bytes();
    std::iter::from_fn(move || {
        loop {
            at += bytes[at..].iter().position(u8::is_ascii_alphanumeric)?;
            let word = at..at + word_len(&bytes[at..]);
            at = word.end;
            if bytes[word.clone()].iter().any(u8::is_ascii_digit) {
                return Some(word);
            }
        }
    })
}

/// Bytes of the word that a text begins with.
fn word_len(text: &[u8]) -> usize {
    let joins = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-' | b'+' | b'_');
    let run = text.iter().take_while(|byte| joins(byte)).count();
    text[..run].iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |last| last + 1)
}

/// What stands before a word of a literal, any digit as zero.
fn context(literal: &str, word: usize) -> Vec<u8> {
    let before = &literal.as_bytes()[word.saturating_sub(CONTEXT_BYTES)..word];
    before.iter().map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte }).collect()
}

impl Known {
    fn push_literal(&mut self, literal: &str) {
        if !literal.is_empty() {
            self.stored.push_str(&literal.replace(SUB, "\u{1A}\u{1A}"));
            self.parts.push(Part::Literal(literal.to_owned()));
        }
    }

    fn push(&mut self, part: Part, source: usize) {
        self.stored.extend([SUB, mark(source)]);
        self.parts.push(part);
    }

    /// Whether the template, filled with these values and some words, is the text; then also those words.
    fn fits<'t>(&self, text: &'t str, forms: &[Cow<'_, str>], words: &mut Vec<&'t str>) -> bool {
        words.clear();
        let mut rest = text;
        for part in &self.parts {
            let after = match part {
                Part::Literal(literal) => rest.strip_prefix(literal.as_str()),
                Part::Source(source) => rest.strip_prefix(&*forms[*source]),
                Part::Word => {
                    let (word, after) = rest.split_at(word_len(rest.as_bytes()));
                    words.push(word);
                    (!word.is_empty()).then_some(after)
                }
            };
            match after {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

/// A text and the parts of it that sources hold.
struct Claimed<'a> {
    text: &'a str,
    /// In order of their places; none overlaps another.
    parts: Vec<(Range<usize>, usize)>,
}

impl<'a> Claimed<'a> {
    /// Looks for every source in the text: first where a value stands behind the name of its column, the longest values
    /// first, then wherever a value stands again.
    fn of(text: &'a str, names: &[&str], forms: &[Cow<'_, str>]) -> Self {
        let mut claimed = Self { text, parts: Vec::new() };
        let mut order: Vec<usize> = (0..forms.len()).collect();
        order.retain(|source| !forms[*source].is_empty() && forms[*source].len() <= text.len());
        // Of equal lengths the first source.
        order.sort_by_key(|source| Reverse(forms[*source].len()));
        for source in &order {
            let value = forms[*source].as_bytes();
            let place = claimed.find_named(names[*source].as_bytes(), value);
            if let Some(place) = place.or_else(|| claimed.find(value).next()) {
                claimed.claim(place, *source);
            }
        }
        for source in &order {
            let again: Vec<_> = claimed.find(forms[*source].as_bytes()).take(PLACES_MAX).collect();
            again.into_iter().for_each(|place| claimed.claim(place, *source));
        }
        claimed
    }

    /// Where a value stands behind a name, with nothing but punctuation between them.
    fn find_named(&self, name: &[u8], value: &[u8]) -> Option<Range<usize>> {
        let text = self.text.as_bytes();
        if name.is_empty() {
            return None;
        }
        let is_begun = |start: &usize| *start == 0 || !text[start - 1].is_ascii_alphanumeric();
        let starts = memmem::find_iter(text, name).take(PLACES_MAX).filter(is_begun);
        let mut ends = starts.map(|start| start + name.len());
        ends.find_map(|end| {
            let gap = text[end..].iter().take(NAME_GAP_MAX).take_while(|byte| !byte.is_ascii_alphanumeric()).count();
            let starts = (end + 1)..=(end + gap);
            let mut places = starts.map(|start| start..start + value.len());
            places.find(|place| text[place.start..].starts_with(value) && self.is_free(place) && self.is_word(place))
        })
    }

    /// Where a value stands in what is free.
    fn find(&self, value: &[u8]) -> impl Iterator<Item = Range<usize>> {
        let places = memmem::find_iter(self.text.as_bytes(), value).take(PLACES_MAX);
        let places = places.map(|start| start..start + value.len());
        places.filter(|place| {
            let is_whole = place.len() >= INNER_BYTES_MIN || self.is_word(place);
            place.len() >= VALUE_BYTES_MIN && is_whole && self.is_free(place)
        })
    }

    fn is_free(&self, place: &Range<usize>) -> bool {
        let next = self.parts.partition_point(|(part, _)| part.end <= place.start);
        self.parts.get(next).is_none_or(|(part, _)| place.end <= part.start)
    }

    fn is_word(&self, place: &Range<usize>) -> bool {
        let text = self.text.as_bytes();
        let is_cut = |before: usize, after: usize| {
            [before, after].iter().all(|at| text.get(*at).is_some_and(u8::is_ascii_alphanumeric))
        };
        !is_cut(place.start.wrapping_sub(1), place.start) && !is_cut(place.end - 1, place.end)
    }

    fn claim(&mut self, place: Range<usize>, source: usize) {
        // A value may overlap itself where it stands again.
        if self.parts.len() < PARTS_MAX && self.is_free(&place) {
            let at = self.parts.partition_point(|(other, _)| other.start < place.start);
            self.parts.insert(at, (place, source));
        }
    }

    /// The text before, between and after the parts: one more than there are parts.
    fn literals(&self) -> impl Iterator<Item = &'a str> {
        let starts = std::iter::once(0).chain(self.parts.iter().map(|(part, _)| part.end));
        let ends = self.parts.iter().map(|(part, _)| part.start).chain([self.text.len()]);
        let text = self.text;
        starts.zip(ends).map(move |(start, end)| &text[start..end])
    }
}

/// What each candidate holds of a sample of texts, when all are written in the forms of one kind of text.
struct Tally<'a> {
    forms: Vec<Form>,
    rows: usize,
    /// Per candidate: the bytes it holds, a value, and whether there is another.
    held: Vec<(usize, Option<&'a str>, bool)>,
}

impl<'a> Tally<'a> {
    fn count(texts: &StringArray, candidates: &[Candidate<'_>], values: &[Texts<'a>], in_json: bool) -> Self {
        let form = |candidate: &Candidate<'_>| match (candidate.is_json, in_json) {
            (true, true) | (false, false) => Form::Plain,
            (false, true) => Form::Escaped,
            (true, false) => Form::Unquoted,
        };
        let forms: Vec<Form> = candidates.iter().map(form).collect();
        let names: Vec<&str> = candidates.iter().map(|candidate| called(candidate.name)).collect();
        let mut tally = Self { forms, rows: 0, held: vec![(0, None, false); candidates.len()] };
        let step = texts.len().div_ceil(SAMPLE_ROWS).max(1);
        for row in (0..texts.len()).step_by(step).filter(|row| texts.is_valid(*row)) {
            tally.rows += 1;
            let written: Vec<Cow<'_, str>> =
                tally.forms.iter().zip(values).map(|(form, values)| form.of(value_at(*values, row))).collect();
            for (place, column) in Claimed::of(texts.value(row), &names, &written).parts {
                let value = value_at(values[column], row);
                let (bytes, first, differs) = &mut tally.held[column];
                *bytes += place.len();
                *differs |= first.is_some_and(|first| first != value);
                first.get_or_insert(value);
            }
        }
        tally
    }

    fn bytes(&self) -> usize {
        self.held.iter().map(|(bytes, ..)| bytes).sum()
    }

    /// The candidates worth a mark, in their order: a value that is always the same repeats in the template as well.
    fn best(&self) -> Vec<usize> {
        let is_worth = |column: &usize| self.held[*column].2 && self.held[*column].0 * 2 >= self.rows;
        let mut best: Vec<usize> = (0..self.held.len()).filter(is_worth).collect();
        best.sort_by_key(|column| (Reverse(self.held[*column].0), *column));
        // One is for the words.
        best.truncate(COLUMNS_MAX - 1);
        best.sort_unstable();
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ColumnType;

    fn named(sources: &[(&str, Form)]) -> Vec<(String, Form)> {
        sources.iter().map(|(name, form)| ((*name).to_owned(), *form)).collect()
    }

    fn template(sources: &[(&str, Form)]) -> Template {
        Template::new(named(sources))
    }

    fn texts_of(rows: &[&str]) -> StringArray {
        StringArray::from(rows.to_vec())
    }

    /// Shortens rows whose columns hold the values, checks that they come back, and gives what is left.
    fn shorten(sources: &[(&str, Form)], rows: &[(&str, &[&str])]) -> Vec<String> {
        shorten_with(Shortener::new(named(sources)), rows)
    }

    fn shorten_with(mut shortener: Shortener, rows: &[(&str, &[&str])]) -> Vec<String> {
        let num_columns = rows[0].1.len();
        let texts = texts_of(&rows.iter().map(|(text, _)| *text).collect::<Vec<_>>());
        let column = |column: usize| texts_of(&rows.iter().map(|(_, values)| values[column]).collect::<Vec<_>>());
        let arrays: Vec<StringArray> = (0..num_columns).map(column).collect();
        let mut values: Vec<Texts<'_>> = arrays.iter().map(Some).collect();
        let stored = shortener.shorten(&texts, &values);
        values.push(Some(&stored.words));
        assert_eq!(shortener.template().fill(&stored.texts, &values).unwrap(), texts);
        stored.texts.iter().flatten().map(str::to_owned).collect()
    }

    fn shorten_plain(text: &str, values: &[&str]) -> String {
        let sources: Vec<(&str, Form)> = values.iter().map(|_| ("Column", Form::Plain)).collect();
        shorten(&sources, &[(text, values)]).remove(0)
    }

    #[test]
    fn a_value_is_left_out_wherever_it_stands() {
        let line = "<34>1 2026-11-28T10:00:00Z host7 sshd - Failed password for root on host7";
        assert_eq!(
            shorten_plain(line, &["Failed password for root", "host7", "sshd"]),
            "<34>1 2026-11-28T10:00:00Z \u{1a}\" \u{1a}# - \u{1a}! on \u{1a}\""
        );
    }

    #[test]
    fn the_longest_value_is_left_out_first() {
        assert_eq!(shorten_plain("host7 says host7 is up", &["host7 is up", "host7"]), "\u{1a}\" says \u{1a}!");
        assert_eq!(shorten_plain("x host7 is up", &["host7", "host7 is up"]), "x \u{1a}\"");
    }

    #[test]
    fn a_path_is_found_in_the_form_of_json_and_a_json_string_in_plain_text() {
        let event = r#"{"Image":"C:\\Windows\\cmd.exe","User":"S-1-5-18","Session":3,"Rest":33}"#;
        let sources = [("Image", Form::Escaped), ("User", Form::Escaped), ("Session", Form::Escaped)];
        assert_eq!(
            shorten(&sources, &[(event, &[r"C:\Windows\cmd.exe", "S-1-5-18", "3"])]),
            ["{\"Image\":\"\u{1a}!\",\"User\":\"\u{1a}\"\",\"Session\":\u{1a}#,\"Rest\":33}"]
        );
        let message = "Image: C:\\Windows\\cmd.exe\r\nProcessId: 17\r\nCommand: a \"b\"";
        let sources = ["X#/Image", "X#/ProcessId", "X#/a~1b/Command"].map(|name| (name, Form::Unquoted));
        assert_eq!(
            shorten(&sources, &[(message, &[r#""C:\\Windows\\cmd.exe""#, "17", r#""a \"b\"""#])]),
            ["Image: \u{1a}!\r\nProcessId: \u{1a}\"\r\nCommand: \u{1a}#"]
        );
    }

    #[test]
    fn texts_of_one_kind_become_one_template_though_their_values_coincide() {
        let sources = [("Subject", Form::Plain), ("Target", Form::Plain), ("Level", Form::Plain)];
        let stored = shorten(
            &sources,
            &[
                ("Target: mary, Subject: john, 4 of john", &["john", "mary", "4"]),
                ("Target: john, Subject: john, 4 of john", &["john", "john", "4"]),
                ("Target: , Subject: , 4 of ", &["", "", "4"]),
            ],
        );
        assert_eq!(stored, vec!["Target: \u{1a}\", Subject: \u{1a}!, 4 of \u{1a}!"; 3]);
    }

    #[test]
    fn short_values_parts_of_words_and_control_characters_of_the_text_stay() {
        assert_eq!(shorten_plain("a\u{1a}!b abc abcdef", &["abc", "", "bcde"]), "a\u{1a}\u{1a}!b abc abcdef");
    }

    #[test]
    fn the_columns_that_hold_what_differs_are_chosen_in_the_form_that_holds_more() {
        let texts = texts_of(&[r#"{"m":"a \"new\" text","h":"host"}"#, r#"{"m":"another text","h":"host"}"#]);
        let (messages, json) = (texts_of(&[r#"a "new" text"#, "another text"]), texts_of(&["\"x\"", "\"y\""]));
        let (halves, hosts) = (texts_of(&["text", "another"]), texts_of(&["host", "host"]));
        let candidate = |name, is_json| Candidate { name, is_json };
        let candidates = [candidate("half", false), candidate("h", false), candidate("m", false), candidate("x", true)];
        let values = [Some(&halves), Some(&hosts), Some(&messages), Some(&json)];
        let choose = |candidates, values| {
            Shortener::choose("_Raw", &texts, candidates, values).map(|shortener| shortener.template)
        };
        assert_eq!(choose(&candidates, &values), Some(template(&[("m", Form::Escaped)])));
        assert_eq!(choose(&candidates[1..2], &values[1..2]), None);
        assert_eq!(choose(&candidates[1..2], &[None]), None);
    }

    #[test]
    fn words_that_differ_and_stand_in_no_column_are_put_aside() {
        let rows: Vec<(String, String)> = (10..60)
            .map(|n| {
                let text = format!("2026-11-28T10:00:{n}.5Z v1.0 said something-{n} to port={} <{n}>.", n * 7);
                (text, format!("something-{n}"))
            })
            .collect();
        let values = texts_of(&rows.iter().map(|(_, said)| said.as_str()).collect::<Vec<_>>());
        let texts = texts_of(&rows.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>());
        let candidates = [Candidate { name: "Said", is_json: false }];
        let shortener = Shortener::choose("_Raw", &texts, &candidates, &[Some(&values)]).unwrap();
        assert_eq!(shortener.template, template(&[("Said", Form::Plain), ("_Raw#words", Form::Words)]));
        assert_eq!(shortener.template.words(), Some("_Raw#words"));
        let values: Vec<[&str; 1]> = rows.iter().map(|(_, said)| [said.as_str()]).collect();
        let rows: Vec<(&str, &[&str])> =
            rows.iter().zip(&values).map(|((text, _), values)| (text.as_str(), values.as_slice())).collect();
        let stored = shorten_with(shortener.clone(), &rows);
        assert_eq!(stored, vec!["\u{1a}\" v1.0 said \u{1a}! to port=\u{1a}\" <\u{1a}\">."; 50]);

        let mut shortener = shortener;
        let shortened = shortener.shorten(&texts_of(&[rows[0].0]), &[Some(&texts_of(rows[0].1)), None]);
        assert_eq!(shortened.words.value(0), "2026-11-28T10:00:10.5Z 70 10");
        let too_few = texts_of(&["2026-11-28T10:00:10.5Z 70"]);
        let filled = shortener.template.fill(&shortened.texts, &[Some(&texts_of(rows[0].1)), Some(&too_few)]);
        assert_eq!(filled, Err(Unfilled::Mark));
    }

    #[test]
    fn the_sources_survive_in_the_field() {
        let chosen = template(&[("Body", Form::Plain), ("a,\"b", Form::Escaped), ("D#/x", Form::Unquoted)]);
        let field = chosen.mark_field(&ColumnType::String.field("_Raw"));
        assert_eq!(Template::of_field(&field), Ok(Some(chosen)));
        assert_eq!(Template::of_field(&ColumnType::String.field("_Raw")), Ok(None));
        for malformed in [
            "",
            "1",
            "[1]",
            r#"[["a"]]"#,
            r#"[["a","b"]]"#,
            r#"["a",["b","plain"]]"#,
            r#"[["a","words"],["b","words"]]"#,
        ] {
            let metadata = [(TEMPLATE_KEY.to_owned(), malformed.to_owned())].into();
            let field = ColumnType::String.field("_Raw").with_metadata(metadata);
            assert_eq!(Template::of_field(&field), Err(Unfilled::Names), "{malformed}");
        }
    }

    #[test]
    fn texts_of_version_2_are_filled() {
        let metadata = [(TEMPLATE_KEY.to_owned(), r#"["Message","Image"]"#.to_owned())].into();
        let old = Template::of_field(&ColumnType::String.field("_Raw").with_metadata(metadata)).unwrap().unwrap();
        let stored = texts_of(&["<1> \u{1a}! \u{1a}\u{1a}", "\u{1a}A\u{1a}\"\u{1a}B"]);
        let (messages, images) = (texts_of(&["up", "\"q\""]), texts_of(&["", r"C:\x"]));
        let filled = old.fill(&stored, &[Some(&messages), Some(&images)]).unwrap();
        assert_eq!(filled, texts_of(&["<1> up \u{1a}", r#"\"q\"C:\xC:\\x"#]));
        assert_eq!(old.fill(&texts_of(&["\u{1a}#"]), &[None, None]), Err(Unfilled::Mark));
    }

    #[test]
    fn a_mark_without_its_source_is_an_error() {
        for stored in ["\u{1a}", "\u{1a}\"", "\u{1a}B", "\u{1a} ", "\u{1a}\n", "\u{1a}é"] {
            let values = texts_of(&["v"]);
            let filled = template(&[("a", Form::Plain)]).fill(&texts_of(&[stored]), &[Some(&values)]);
            assert_eq!(filled, Err(Unfilled::Mark), "{stored:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_shortened_is_filled_again(
            texts in prop::collection::vec(prop::option::of("[a-c1\u{1a}!A\"\\\\é: ]{0,24}"), 1..8),
            contexts in prop::collection::hash_set("[a-c: ]{0,3}", 0..12),
            values in prop::collection::vec(
                (0..3usize, prop::collection::vec(prop::option::of("[a-c\u{1a}!A\"\\\\é]{0,8}"), 8)),
                0..COLUMNS_MAX,
            ),
        ) {
            let texts = StringArray::from(texts);
            let arrays: Vec<StringArray> =
                values.iter().map(|(_, column)| StringArray::from(column[..texts.len()].to_vec())).collect();
            let mut columns: Vec<Texts<'_>> = arrays.iter().map(Some).collect();
            let name = |column: usize| ["a", "b", "c"][column % 3].to_owned();
            let mut sources: Vec<_> =
                values.iter().enumerate().map(|(column, (form, _))| (name(column), Form::ALL[*form].0)).collect();
            sources.push(("_Raw#words".to_owned(), Form::Words));
            let mut shortener = Shortener::new(sources);
            shortener.contexts = contexts.into_iter().map(String::into_bytes).collect();
            columns.push(None);
            let stored = shortener.shorten(&texts, &columns);
            columns.pop();
            columns.push(Some(&stored.words));
            prop_assert_eq!(shortener.template().fill(&stored.texts, &columns), Ok(texts));
        }
    }
}
