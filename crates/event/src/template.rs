//! Texts kept as what is left of them beside other columns of their row.
//!
//! The original of a record (`_Raw`) says again what its columns say. Compression finds that only within a page, and
//! never for values that do not repeat. So a segment keeps such a text with a mark in place of each value that another
//! column of the same row holds; whoever reads the text reads those columns too and fills it.
//!
//! Pure functions on columns; no file is touched here. Filling gives the text back byte for byte: the record bytes, and
//! with them every proof, are those of the whole text.
//!
//! # Form
//! ```text
//! SUB SUB       one U+001A of the text itself
//! SUB <plain>   the value of a column: `!` of the first that the template names, `"` of the second, …
//! SUB <escaped> the value as it stands between the quotes of a JSON text: `A` of the first column, `B` of the second, …
//! ```
//! SUB is U+001A. The names stand in the metadata of the field in the file, under [`TEMPLATE_KEY`], as a JSON array.
//! The columns are texts (`string`, `dynamic`, `guid`) that are no templates themselves.

use std::borrow::Cow;
use std::ops::Range;

use arrow::array::{Array, StringArray, StringBuilder};
use arrow::datatypes::Field;
use memchr::{memchr, memmem};

/// Metadata key of a field whose texts are kept so.
pub const TEMPLATE_KEY: &str = "moneta.template";

/// Columns that one template names at most.
const COLUMNS_MAX: usize = 16;
/// Begins every mark.
const SUB: u8 = 0x1A;
/// The mark of the first column, its value as it is.
const PLAIN: u8 = b'!';
/// The mark of the first column, its value as in a JSON text.
const ESCAPED: u8 = b'A';
/// Bytes of a value that is worth a mark.
const VALUE_BYTES_MIN: usize = 4;
/// Rows that are looked at to choose the columns.
const SAMPLE_ROWS: usize = 256;
/// One part in so many of a text's bytes that a column must hold to be named.
const SHARE_MIN: usize = 32;

/// A column of texts, absent where a batch has none of its values.
pub type Texts<'a> = Option<&'a StringArray>;

/// The columns whose values are left out of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    columns: Vec<String>,
}

/// Why texts cannot be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    /// The metadata of the field is no list of names.
    #[error("the metadata does not name the columns of its template")]
    Names,
    /// A column that the template names is not there, or is no whole text.
    #[error("a column that its template names cannot be read")]
    Column,
    /// A text holds a mark of no column.
    #[error("a text names a column that its template does not have")]
    Mark,
    /// The whole texts are more than an array holds, 2 GiB.
    #[error("the texts are larger than 2 GiB")]
    TooLarge,
}

impl Template {
    /// The template of a field in a file; `None` when its texts are whole.
    ///
    /// # Errors
    /// [`Unfilled::Names`] when the metadata is no list of at most 16 names.
    pub fn of_field(field: &Field) -> Result<Option<Self>, Unfilled> {
        let Some(names) = field.metadata().get(TEMPLATE_KEY) else { return Ok(None) };
        let columns: Vec<String> = serde_json::from_str(names).map_err(|_| Unfilled::Names)?;
        if columns.len() > COLUMNS_MAX {
            return Err(Unfilled::Names);
        }
        Ok(Some(Self { columns }))
    }

    /// The field of the texts, with the names in its metadata.
    #[must_use]
    pub fn mark_field(&self, field: &Field) -> Field {
        let mut metadata = field.metadata().clone();
        let names = serde_json::to_string(&self.columns).expect("names are texts");
        metadata.insert(TEMPLATE_KEY.to_owned(), names);
        field.clone().with_metadata(metadata)
    }

    /// The names of the columns, in the order of their marks.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Chooses the columns that hold most of the texts' bytes; `None` when none holds enough.
    ///
    /// # Shapes
    /// Batches of rows: the texts, and the candidates in one order for all batches, each as long as the texts.
    #[must_use]
    pub fn choose(names: &[&str], batches: &[(&StringArray, Vec<Texts<'_>>)]) -> Option<Self> {
        let mut rows = sample(batches);
        let total: usize = rows.iter().map(|row| row.text.len()).sum();
        let mut chosen = Vec::new();
        while chosen.len() < COLUMNS_MAX {
            let free = (0..names.len()).filter(|column| !chosen.contains(column));
            let gains = free.map(|column| (rows.iter().map(|row| row.gain(column)).sum::<usize>(), column));
            // Of equal gains the first column.
            let Some((gain, column)) = gains.max_by_key(|(gain, column)| (*gain, std::cmp::Reverse(*column))) else {
                break;
            };
            if gain == 0 || gain < total / SHARE_MIN {
                break;
            }
            rows.iter_mut().for_each(|row| row.claim(column));
            chosen.push(column);
        }
        let columns: Vec<String> = chosen.into_iter().map(|column| names[column].to_owned()).collect();
        (!columns.is_empty()).then_some(Self { columns })
    }

    /// The texts with marks for the values of the columns.
    ///
    /// # Shapes
    /// `values`: the template's columns in its order, each as long as `texts`. As many texts come back, nulls as nulls.
    #[must_use]
    pub fn shorten(&self, texts: &StringArray, values: &[Texts<'_>]) -> StringArray {
        let mut shortened = StringBuilder::with_capacity(texts.len(), texts.value_data().len() / 2);
        let mut out = Vec::new();
        for row in 0..texts.len() {
            if texts.is_null(row) {
                shortened.append_null();
                continue;
            }
            let mut claimed = Claimed::new(texts.value(row));
            for (column, values) in values.iter().enumerate() {
                claimed.claim(column, value_at(*values, row));
            }
            claimed.write(&mut out);
            shortened.append_value(std::str::from_utf8(&out).expect("cut out at the ends of values, which are texts"));
        }
        shortened.finish()
    }

    /// The whole texts again: the inverse of [`Self::shorten`].
    ///
    /// # Errors
    /// [`Unfilled::Mark`] for a text with a mark that the template lacks, [`Unfilled::TooLarge`].
    pub fn fill(&self, stored: &StringArray, values: &[Texts<'_>]) -> Result<StringArray, Unfilled> {
        let mut filled = StringBuilder::with_capacity(stored.len(), stored.value_data().len() * 2);
        let (mut out, mut bytes) = (String::new(), 0);
        for row in 0..stored.len() {
            if stored.is_null(row) {
                filled.append_null();
                continue;
            }
            fill_one(stored.value(row), |column| values.get(column).map(|values| value_at(*values, row)), &mut out)?;
            bytes += out.len();
            if i32::try_from(bytes).is_err() {
                return Err(Unfilled::TooLarge);
            }
            filled.append_value(&out);
        }
        Ok(filled.finish())
    }
}

/// Fills one text into `out`, replacing its content.
fn fill_one<'a>(stored: &str, value: impl Fn(usize) -> Option<&'a str>, out: &mut String) -> Result<(), Unfilled> {
    out.clear();
    let mut rest = stored;
    while let Some(at) = memchr(SUB, rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let mark = *rest.as_bytes().get(at + 1).ok_or(Unfilled::Mark)?;
        let column = |first: u8| usize::from(mark - first);
        match mark {
            SUB => out.push(char::from(SUB)),
            ESCAPED..0x80 => out.push_str(&escaped(value(column(ESCAPED)).ok_or(Unfilled::Mark)?)),
            PLAIN..ESCAPED => out.push_str(value(column(PLAIN)).ok_or(Unfilled::Mark)?),
            _ => return Err(Unfilled::Mark),
        }
        rest = &rest[at + 2..];
    }
    out.push_str(rest);
    Ok(())
}

fn value_at<'a>(values: Texts<'a>, row: usize) -> &'a str {
    values.filter(|values| values.is_valid(row)).map_or("", |values| values.value(row))
}

/// A value as it stands between the quotes of a JSON text.
fn escaped(value: &str) -> Cow<'_, str> {
    if !value.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        return Cow::Borrowed(value);
    }
    let quoted = serde_json::to_string(value).expect("a text");
    Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
}

/// A text and the parts of it that columns hold.
struct Claimed<'a> {
    text: &'a str,
    /// In order of their places; none overlaps another.
    parts: Vec<(Range<usize>, u8)>,
}

impl<'a> Claimed<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, parts: Vec::new() }
    }

    /// Where a value stands outside of the parts, and its mark.
    fn find(&self, column: usize, value: &str) -> Option<(Range<usize>, u8)> {
        if value.len() < VALUE_BYTES_MIN || value.len() > self.text.len() {
            return None;
        }
        let column = u8::try_from(column).expect("at most 16 columns are named");
        let plain = self.find_bytes(value.as_bytes()).map(|place| (place, PLAIN + column));
        plain.or_else(|| match escaped(value) {
            Cow::Borrowed(_) => None,
            Cow::Owned(value) => self.find_bytes(value.as_bytes()).map(|place| (place, ESCAPED + column)),
        })
    }

    fn find_bytes(&self, value: &[u8]) -> Option<Range<usize>> {
        let is_free = |place: &Range<usize>| {
            self.parts.iter().all(|(part, _)| part.end <= place.start || place.end <= part.start)
        };
        memmem::find_iter(self.text.as_bytes(), value).map(|start| start..start + value.len()).find(is_free)
    }

    fn claim(&mut self, column: usize, value: &str) {
        if let Some(part) = self.find(column, value) {
            let at = self.parts.partition_point(|(other, _)| other.start < part.0.start);
            self.parts.insert(at, part);
        }
    }

    /// Writes the text with marks into `out`, replacing its content.
    fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        let mut from = 0;
        for (part, mark) in &self.parts {
            literal(&self.text.as_bytes()[from..part.start], out);
            out.extend_from_slice(&[SUB, *mark]);
            from = part.end;
        }
        literal(&self.text.as_bytes()[from..], out);
    }
}

fn literal(mut bytes: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr(SUB, bytes) {
        out.extend_from_slice(&bytes[..at]);
        out.extend_from_slice(&[SUB, SUB]);
        bytes = &bytes[at + 1..];
    }
    out.extend_from_slice(bytes);
}

/// A row that is looked at to choose the columns.
struct SampleRow<'a> {
    text: &'a str,
    values: Vec<&'a str>,
    claimed: Claimed<'a>,
}

impl SampleRow<'_> {
    /// The bytes that naming a column would leave out of the text.
    fn gain(&self, column: usize) -> usize {
        self.claimed.find(0, self.values[column]).map_or(0, |(place, _)| place.len())
    }

    fn claim(&mut self, column: usize) {
        self.claimed.claim(0, self.values[column]);
    }
}

fn sample<'a>(batches: &[(&'a StringArray, Vec<Texts<'a>>)]) -> Vec<SampleRow<'a>> {
    let total: usize = batches.iter().map(|(texts, _)| texts.len()).sum();
    let step = total.div_ceil(SAMPLE_ROWS).max(1);
    let rows = batches.iter().flat_map(|(texts, values)| (0..texts.len()).map(move |row| (*texts, values, row)));
    rows.step_by(step)
        .filter(|(texts, _, row)| texts.is_valid(*row))
        .map(|(texts, values, row)| SampleRow {
            text: texts.value(row),
            values: values.iter().map(|values| value_at(*values, row)).collect(),
            claimed: Claimed::new(texts.value(row)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template(names: &[&str]) -> Template {
        Template { columns: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn shorten_one(text: &str, values: &[&str]) -> String {
        let names: Vec<String> = (0..values.len()).map(|column| column.to_string()).collect();
        let template = Template { columns: names };
        let texts = StringArray::from(vec![text]);
        let arrays: Vec<StringArray> = values.iter().map(|value| StringArray::from(vec![*value])).collect();
        let values: Vec<Texts<'_>> = arrays.iter().map(Some).collect();
        let stored = template.shorten(&texts, &values);
        assert_eq!(template.fill(&stored, &values).unwrap(), texts);
        stored.value(0).to_owned()
    }

    #[test]
    fn a_value_is_left_out_where_it_stands() {
        let line = "<34>1 2026-11-28T10:00:00Z host7 sshd - Failed password for root";
        assert_eq!(
            shorten_one(line, &["Failed password for root", "host7", "sshd"]),
            "<34>1 2026-11-28T10:00:00Z \u{1a}\" \u{1a}# - \u{1a}!"
        );
    }

    #[test]
    fn a_value_within_a_longer_one_is_found_elsewhere_or_not_at_all() {
        assert_eq!(shorten_one("host7 says host7 is up", &["host7 is up", "host7"]), "\u{1a}\" says \u{1a}!");
        assert_eq!(shorten_one("x host7 is up", &["host7 is up", "host7"]), "x \u{1a}!");
    }

    #[test]
    fn a_path_is_found_in_the_form_of_json() {
        let event = r#"{"Image":"C:\\Windows\\cmd.exe","User":"S-1-5-18"}"#;
        assert_eq!(
            shorten_one(event, &[r"C:\Windows\cmd.exe", "S-1-5-18"]),
            "{\"Image\":\"\u{1a}A\",\"User\":\"\u{1a}\"\"}"
        );
    }

    #[test]
    fn short_values_and_control_characters_of_the_text_stay() {
        assert_eq!(shorten_one("a\u{1a}!b abc", &["abc", "", "none"]), "a\u{1a}\u{1a}!b abc");
    }

    #[test]
    fn the_columns_that_hold_most_are_chosen() {
        let texts = StringArray::from(vec!["time=1 message=something long and new", "time=2 message=another text"]);
        let messages = StringArray::from(vec!["something long and new", "another text"]);
        let halves = StringArray::from(vec!["something", "another"]);
        let strange = StringArray::from(vec!["elsewhere", "elsewhere"]);
        let batches = [(&texts, vec![Some(&halves), Some(&strange), Some(&messages), None])];
        let chosen = Template::choose(&["half", "strange", "message", "absent"], &batches).unwrap();
        assert_eq!(chosen, template(&["message"]));
        assert_eq!(Template::choose(&["strange"], &[(&texts, vec![Some(&strange)])]), None);
    }

    #[test]
    fn the_names_survive_in_the_field() {
        let chosen = template(&["Body", "a,\"b"]);
        let field = chosen.mark_field(&crate::ColumnType::String.field("_Raw"));
        assert_eq!(Template::of_field(&field), Ok(Some(chosen)));
        assert_eq!(Template::of_field(&crate::ColumnType::String.field("_Raw")), Ok(None));
    }

    #[test]
    fn a_mark_without_its_column_is_an_error() {
        for stored in ["\u{1a}", "\u{1a}\"", "\u{1a}B", "\u{1a} ", "\u{1a}\n"] {
            let texts = StringArray::from(vec![stored]);
            let values = StringArray::from(vec!["v"]);
            assert_eq!(template(&["a"]).fill(&texts, &[Some(&values)]), Err(Unfilled::Mark), "{stored:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_shortened_is_filled_again(
            texts in prop::collection::vec(prop::option::of("[a-c\u{1a}!A\"\\\\é]{0,24}"), 1..8),
            values in prop::collection::vec(prop::collection::vec(prop::option::of("[a-c\u{1a}!A\"\\\\é]{0,6}"), 8), 0..=16),
        ) {
            let texts = StringArray::from(texts);
            let arrays: Vec<StringArray> =
                values.into_iter().map(|column| StringArray::from(column[..texts.len()].to_vec())).collect();
            let values: Vec<Texts<'_>> = arrays.iter().map(Some).collect();
            let columns = (0..values.len()).map(|column| column.to_string()).collect();
            let template = Template { columns };
            prop_assert_eq!(template.fill(&template.shorten(&texts, &values), &values), Ok(texts));
        }
    }
}
