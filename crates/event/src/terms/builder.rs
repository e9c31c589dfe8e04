//! Collects the keys of one column of a row group, and the rows of each.

use std::collections::HashMap;

use arrow::array::{Array, StringArray};
use foldhash::fast::FixedState;

use super::tokens::{ALL_FORMS, Forms, each_key};
use super::{GROUP_ROWS_MAX, ROWS_LISTED_MAX, TextKind, cell_rows};

/// The rows of a key.
#[derive(Debug, Clone)]
pub struct Posting {
    num_rows: u32,
    last: u16,
    /// The first rows, at most [`ROWS_LISTED_MAX`].
    rows: Vec<u16>,
    cells: u64,
    is_exact: bool,
}

impl Posting {
    /// Of no rows.
    pub(super) const EMPTY: Self = Self { num_rows: 0, last: 0, rows: Vec::new(), cells: 0, is_exact: true };

    fn add(&mut self, row: u16, cell_rows: usize) {
        if self.num_rows > 0 && self.last == row {
            return;
        }
        if self.rows.len() < ROWS_LISTED_MAX {
            self.rows.push(row);
        }
        self.num_rows += 1;
        self.last = row;
        self.cells |= 1 << (usize::from(row) / cell_rows);
    }

    /// Whether so many rows are listed one by one.
    pub(super) fn is_listed(num_rows: usize) -> bool {
        num_rows <= ROWS_LISTED_MAX
    }

    /// Makes it one of few rows, in order.
    pub(super) fn set_rows(&mut self, rows: impl IntoIterator<Item = u16>, cell_rows: usize, is_exact: bool) {
        self.clear(is_exact);
        rows.into_iter().for_each(|row| self.add(row, cell_rows));
    }

    /// Makes it one of many rows, of which the cells are known.
    pub(super) fn set_cells(&mut self, num_rows: u32, cells: u64, is_exact: bool) {
        self.clear(is_exact);
        (self.num_rows, self.cells) = (num_rows, cells);
    }

    fn clear(&mut self, is_exact: bool) {
        // The room for rows stays: postings are read one after another.
        self.rows.clear();
        *self = Self { rows: std::mem::take(&mut self.rows), is_exact, ..Self::EMPTY };
    }

    /// Whether both say the same, as far as it is stored.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let said = |posting: &Self| (posting.num_rows, posting.cells, posting.is_exact);
        said(self) == said(other) && self.listed() == other.listed()
    }

    /// Number of rows.
    #[must_use]
    pub fn num_rows(&self) -> u32 {
        self.num_rows
    }

    /// Whether every row of it has the key as a term but for the case of ASCII letters, whichever form of its text is
    /// asked about: as it stands, or as it reads with its escapes undone.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// The rows, if they are few enough to be listed.
    #[must_use]
    pub fn listed(&self) -> Option<&[u16]> {
        Self::is_listed(self.num_rows as usize).then_some(&self.rows)
    }

    /// The cells that hold a row of it, the first in the lowest bit.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.cells
    }
}

/// The keys of one column of a row group, in order, with their rows.
#[derive(Debug, Clone, Default)]
pub struct ColumnTerms {
    keys: Vec<(Box<str>, Posting)>,
}

impl ColumnTerms {
    /// Collects the keys of all rows of a group.
    ///
    /// # Shapes
    /// `pieces`: the column's texts, part after part; `None` for a part of so many rows without texts. Together
    /// `num_rows` rows.
    ///
    /// # Panics
    /// If there are more rows than `num_rows` or [`GROUP_ROWS_MAX`].
    #[must_use]
    pub fn collect<'a>(
        num_rows: usize,
        pieces: impl IntoIterator<Item = (Option<&'a StringArray>, usize)>,
        kind: TextKind,
    ) -> Self {
        assert!(num_rows <= GROUP_ROWS_MAX, "a row group of {num_rows} rows");
        let mut collector = Collector::new(cell_rows(num_rows), kind);
        let mut row = 0;
        for (texts, len) in pieces {
            assert!(row + len <= num_rows, "more rows than the group has");
            if let Some(texts) = texts {
                (0..len).filter(|at| texts.is_valid(*at)).for_each(|at| collector.add(row + at, texts.value(at)));
            }
            row += len;
        }
        collector.finish()
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no row has a key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys in order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Posting)> {
        self.keys.iter().map(|(key, posting)| (&**key, posting))
    }
}

/// Texts repeat: each distinct one is cut once, and its rows are given to its keys.
struct Collector<'a> {
    cell_rows: usize,
    kind: TextKind,
    texts: HashMap<&'a str, u32, FixedState>,
    /// Where the keys of each text begin in `keys_of_texts`.
    starts: Vec<usize>,
    keys_of_texts: Vec<u32>,
    keys: HashMap<Box<str>, u32, FixedState>,
    postings: Vec<Posting>,
    last: Option<(&'a str, usize)>,
    /// Keys of one text, and the forms of it that have them as terms.
    found: Vec<(u32, Forms)>,
    scratch: String,
}

impl<'a> Collector<'a> {
    fn new(cell_rows: usize, kind: TextKind) -> Self {
        Self {
            cell_rows,
            kind,
            texts: HashMap::default(),
            starts: vec![0],
            keys_of_texts: Vec::new(),
            keys: HashMap::default(),
            postings: Vec::new(),
            last: None,
            found: Vec::new(),
            scratch: String::new(),
        }
    }

    fn add(&mut self, row: usize, text: &'a str) {
        let index = match self.last {
            Some((last, index)) if last == text => index,
            _ => self.text(text),
        };
        self.last = Some((text, index));
        let row = u16::try_from(row).expect("a group has at most 65,536 rows");
        for key in &self.keys_of_texts[self.starts[index]..self.starts[index + 1]] {
            self.postings[*key as usize].add(row, self.cell_rows);
        }
    }

    /// The number of a text, which is cut if it is new.
    fn text(&mut self, text: &'a str) -> usize {
        let next = u32::try_from(self.texts.len()).expect("no more texts than rows");
        let index = *self.texts.entry(text).or_insert(next);
        if index == next {
            self.cut(text);
        }
        index as usize
    }

    /// Finds the keys of a new text.
    fn cut(&mut self, text: &str) {
        let (keys, postings, found) = (&mut self.keys, &mut self.postings, &mut self.found);
        found.clear();
        each_key(text, self.kind, &mut self.scratch, &mut |key, forms| {
            let number = match keys.get(key) {
                Some(number) => *number,
                None => {
                    let number = u32::try_from(postings.len()).expect("memory ends before");
                    keys.insert(key.into(), number);
                    postings.push(Posting::EMPTY);
                    number
                }
            };
            found.push((number, forms));
        });
        found.sort_unstable();
        for same in found.chunk_by(|left, right| left.0 == right.0) {
            let forms = same.iter().fold(0, |all, (_, forms)| all | forms);
            postings[same[0].0 as usize].is_exact &= forms == ALL_FORMS;
            self.keys_of_texts.push(same[0].0);
        }
        self.starts.push(self.keys_of_texts.len());
    }

    fn finish(self) -> ColumnTerms {
        let mut postings = self.postings;
        let mut of_key = |number: u32| std::mem::replace(&mut postings[number as usize], Posting::EMPTY);
        let mut keys: Vec<_> = self.keys.into_iter().map(|(key, number)| (key, of_key(number))).collect();
        keys.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        ColumnTerms { keys }
    }
}
