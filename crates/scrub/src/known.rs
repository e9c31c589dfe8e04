//! The values of named fields of each row of a batch, so that they are found in the row's other texts.

use crate::finding::{Finder, KindCounts, Known, Surroundings};
use crate::token::{TokenKind, is_token};

/// Values known per row.
#[derive(Debug)]
pub(crate) struct KnownValues {
    values: Vec<Known>,
    /// Per row, positions in `values`; empty while nothing is known.
    by_row: Vec<Vec<u32>>,
    num_rows: usize,
}

impl KnownValues {
    pub(crate) fn new(num_rows: usize) -> Self {
        Self { values: Vec::new(), by_row: Vec::new(), num_rows }
    }

    /// Takes in a value of a named field and returns the ids to note for its rows. Values that the patterns find
    /// anywhere need not be remembered.
    pub(crate) fn learn(&mut self, finder: &Finder, value: &str, kind: TokenKind, replaced: &str) -> Vec<u32> {
        if !is_token(replaced) {
            // A list: each part by itself.
            let parts =
                value.split([',', ';']).map(str::trim).filter(|part| !part.is_empty() && part.len() < value.len());
            return parts
                .flat_map(|part| match finder.field_value(part, kind, &mut KindCounts::default()) {
                    Some(token) if is_token(&token) => self.learn(finder, part, kind, &token),
                    _ => Vec::new(),
                })
                .collect();
        }
        let by_pattern = finder.replace(value, Surroundings::default(), &mut KindCounts::default());
        if by_pattern.as_deref().is_some_and(|text| text.trim() == replaced) {
            return Vec::new();
        }
        let token_kind = TokenKind::ALL.into_iter().find(|known| replaced.split('_').nth(1) == Some(known.name()));
        let id = u32::try_from(self.values.len()).expect("a batch holds fewer values");
        self.values.push(Known {
            value: value.trim().to_owned(),
            kind: token_kind.unwrap_or(kind),
            token: replaced.into(),
        });
        vec![id]
    }

    /// Notes values of a row.
    pub(crate) fn note(&mut self, row: usize, ids: &[u32]) {
        if ids.is_empty() {
            return;
        }
        if self.by_row.is_empty() {
            self.by_row = vec![Vec::new(); self.num_rows];
        }
        self.by_row[row].extend_from_slice(ids);
    }

    /// The values of a row, longest first, so that a part of a name does not break the whole.
    pub(crate) fn of_row<'a>(&'a self, row: usize, into: &mut Vec<&'a Known>) {
        into.clear();
        let Some(ids) = self.by_row.get(row) else { return };
        into.extend(ids.iter().map(|id| &self.values[*id as usize]));
        into.sort_by_key(|known| std::cmp::Reverse(known.value.len()));
    }
}
