//! Turns decoded rows into rows without personal data.
//!
//! Per batch: the named fields first, then every other text. Values are looked at once per distinct value and column;
//! a row with values of named fields is looked at by itself, because those values are searched in its other texts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use moneta_event::schema::standard;
use moneta_event::{ColumnType, ParsedBatch};

use crate::finding::{Finder, KindCounts, Known, Surroundings};
use crate::known::KnownValues;
use crate::numeric;
use crate::token::{TokenKind, TokenMaker};
use crate::{Error, Policy, ScrubbedBatch, TokenKeys};

/// Longer values are not remembered within a batch: they do not repeat.
const REMEMBERED_BYTES_MAX: usize = 256;
/// Looks at values of a column before it is judged whether remembering them pays.
const TRIAL_VALUES: usize = 256;
/// Distinct values remembered per column of a batch.
const REMEMBERED_VALUES_MAX: usize = 4_096;

/// What was done to one batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Values that became tokens, by kind; a value that stands in several columns counts in each.
    pub counts: KindCounts,
}

impl ScrubReport {
    /// Values that became tokens.
    #[must_use]
    pub fn values_tokenised(&self) -> u64 {
        self.counts.total()
    }
}

/// Replaces personal data by tokens. Share it: all methods take `&self`.
#[derive(Debug)]
pub struct Scrubber {
    pub(crate) finder: Finder,
}

/// How a column is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// The policy names it.
    Named(TokenKind),
    /// Dynamic, and named by the policy.
    NamedDynamic(TokenKind),
    /// Patterns are looked for.
    Text,
    /// Numbers that may be cards, or that the policy names.
    Number(Option<TokenKind>),
    /// Cannot hold personal data.
    Keep,
}

/// A number that must not stay in its column: row, column, token.
pub(crate) type Displaced = (usize, String, String);

impl Scrubber {
    /// A scrubber for one tenant.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] when there is no key of the current version.
    pub fn new(policy: Policy, keys: TokenKeys) -> Result<Self, Error> {
        Ok(Self { finder: Finder { policy, tokens: TokenMaker::new(&keys)? } })
    }

    /// What counts as personal data here.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.finder.policy
    }

    /// Version of the key that makes tokens.
    #[must_use]
    pub fn token_key(&self) -> u32 {
        self.finder.tokens.current()
    }

    /// The tokens a value may have in stored rows, newest key first: what an analyst who knows the value searches for.
    #[must_use]
    pub fn tokens_of(&self, kind: TokenKind, value: &str) -> Vec<String> {
        self.finder.tokens.all_tokens(kind, value)
    }

    /// Scrubs decoded rows.
    ///
    /// # Shapes
    /// Same rows in the same order. A text column keeps its type; a number that became a token leaves its column and
    /// stands in `_Extra` under the column's name.
    #[must_use]
    pub fn scrub(&self, batch: ParsedBatch) -> (ScrubbedBatch, ScrubReport) {
        let mut counts = KindCounts::default();
        let rows = self.scrub_rows(batch.table.as_str(), &batch.rows, &mut counts);
        (ScrubbedBatch::new(batch.table, rows, self.token_key()), ScrubReport { counts })
    }

    fn scrub_rows(&self, table: &str, rows: &RecordBatch, counts: &mut KindCounts) -> RecordBatch {
        let schema = rows.schema();
        let treatments: Vec<_> = schema.fields().iter().map(|field| self.treatment(table, field)).collect();
        let mut columns = rows.columns().to_vec();
        let mut known = KnownValues::new(rows.num_rows());
        let mut displaced: Vec<Displaced> = Vec::new();
        for (index, treatment) in treatments.iter().enumerate() {
            match treatment {
                Treatment::Named(kind) => {
                    columns[index] = self.named_column(&columns[index], *kind, &mut known, counts);
                }
                Treatment::Number(kind) => {
                    let name = schema.field(index).name();
                    columns[index] =
                        numeric::scrub(&self.finder, &columns[index], name, *kind, &mut known, &mut displaced, counts);
                }
                _ => {}
            }
        }
        for (index, treatment) in treatments.iter().enumerate() {
            match treatment {
                Treatment::Text => columns[index] = self.text_column(&columns[index], &known, counts),
                Treatment::NamedDynamic(kind) => {
                    columns[index] = rewrite(&columns[index], |_, text| {
                        self.finder.replace_dynamic(text, *kind, counts).map(Cow::Owned)
                    });
                }
                _ => {}
            }
        }
        assemble(&schema, columns, rows.num_rows(), &displaced)
    }

    fn treatment(&self, table: &str, field: &Field) -> Treatment {
        let named = self.finder.policy.field(table, field.name());
        match (ColumnType::of_field(field), field.data_type()) {
            (Some(ColumnType::Guid), _) => Treatment::Keep,
            (Some(ColumnType::Dynamic), DataType::Utf8) => named.map_or(Treatment::Text, Treatment::NamedDynamic),
            (_, DataType::Utf8) if matches!(field.name().as_str(), standard::CLASS | standard::DELIVERY) => {
                Treatment::Keep
            }
            (_, DataType::Utf8) => named.map_or(Treatment::Text, Treatment::Named),
            (_, DataType::Int32) if named.is_some() => Treatment::Number(named),
            (_, DataType::Int64 | DataType::Float64) => Treatment::Number(named),
            _ => Treatment::Keep,
        }
    }

    fn named_column(
        &self,
        column: &ArrayRef,
        kind: TokenKind,
        known: &mut KnownValues,
        counts: &mut KindCounts,
    ) -> ArrayRef {
        let mut remembered: HashMap<String, (Option<String>, KindCounts, Vec<u32>)> = HashMap::new();
        rewrite(column, |row, text| {
            let entry = match remembered.get(text) {
                Some(entry) => entry,
                None => {
                    if remembered.len() >= REMEMBERED_VALUES_MAX {
                        remembered.clear();
                    }
                    let mut own = KindCounts::default();
                    let replaced = self.finder.field_value(text, kind, &mut own);
                    let ids =
                        replaced.as_deref().map_or_else(Vec::new, |token| known.learn(&self.finder, text, kind, token));
                    remembered.entry(text.to_owned()).or_insert((replaced, own, ids))
                }
            };
            counts.add(&entry.1);
            known.note(row, &entry.2);
            entry.0.clone().map(Cow::Owned)
        })
    }

    fn text_column(&self, column: &ArrayRef, known: &KnownValues, counts: &mut KindCounts) -> ArrayRef {
        let mut remembered: HashMap<&str, (Option<Arc<str>>, KindCounts)> = HashMap::new();
        let (mut hits, mut misses) = (0, 0);
        let texts = column.as_string::<i32>();
        let mut of_row: Vec<&Known> = Vec::new();
        rewrite_borrowed(texts, |row, text| {
            known.of_row(row, &mut of_row);
            if !of_row.is_empty() || text.len() > REMEMBERED_BYTES_MAX {
                let around = Surroundings { known: &of_row, ..Surroundings::default() };
                return self.finder.replace_any(text, around, counts).map(Arc::from);
            }
            // A column whose values do not come again, such as `_Raw`, is not worth the hashing.
            let pays = misses < TRIAL_VALUES || 2 * hits > misses;
            if let Some((replaced, own)) = pays.then(|| remembered.get(text)).flatten() {
                hits += 1;
                counts.add(own);
                return replaced.clone();
            }
            let mut own = KindCounts::default();
            let replaced: Option<Arc<str>> =
                self.finder.replace_any(text, Surroundings::default(), &mut own).map(Arc::from);
            counts.add(&own);
            if pays {
                misses += 1;
                if remembered.len() < REMEMBERED_VALUES_MAX {
                    remembered.insert(text, (replaced.clone(), own));
                }
            }
            replaced
        })
        .unwrap_or_else(|| column.clone())
    }
}

/// A text column with some values replaced; the same array when none is.
fn rewrite(column: &ArrayRef, mut replace: impl FnMut(usize, &str) -> Option<Cow<'static, str>>) -> ArrayRef {
    let replaced = rewrite_borrowed(column.as_string::<i32>(), |row, text| replace(row, text).map(Arc::from));
    replaced.unwrap_or_else(|| column.clone())
}

fn rewrite_borrowed<'a>(
    texts: &'a StringArray,
    mut replace: impl FnMut(usize, &'a str) -> Option<Arc<str>>,
) -> Option<ArrayRef> {
    let mut changes: Vec<(usize, Arc<str>)> = Vec::new();
    for (row, text) in texts.iter().enumerate() {
        let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
        changes.extend(replace(row, text).map(|new| (row, new)));
    }
    if changes.is_empty() {
        return None;
    }
    let mut next = changes.iter().peekable();
    let new: StringArray = texts
        .iter()
        .enumerate()
        .map(|(row, text)| next.next_if(|(changed, _)| *changed == row).map(|(_, new)| &**new).or(text))
        .collect();
    Some(Arc::new(new))
}

/// Puts the columns together, and displaced numbers into `_Extra`; a column without values left goes.
fn assemble(schema: &Schema, mut columns: Vec<ArrayRef>, num_rows: usize, displaced: &[Displaced]) -> RecordBatch {
    let mut fields = schema.fields().to_vec();
    if !displaced.is_empty() {
        let extra = fields.iter().position(|field| field.name() == standard::EXTRA).unwrap_or_else(|| {
            fields.push(Arc::new(ColumnType::Dynamic.field(standard::EXTRA)));
            columns.push(arrow::array::new_null_array(&DataType::Utf8, num_rows));
            columns.len() - 1
        });
        columns[extra] = numeric::add_to_extra(columns[extra].as_string::<i32>(), displaced);
    }
    let emptied = |index: usize| {
        columns[index].null_count() == num_rows && displaced.iter().any(|(_, name, _)| name == fields[index].name())
    };
    let kept: Vec<usize> = (0..columns.len()).filter(|index| !emptied(*index)).collect();
    let fields: Vec<_> = kept.iter().map(|index| fields[*index].clone()).collect();
    let columns: Vec<_> = kept.iter().map(|index| columns[*index].clone()).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("rewritten columns keep type and length")
}
