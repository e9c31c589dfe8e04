//! Picks a row of each of many groups at once: what `rows.rs` does for one group.
//!
//! Rows picked are kept as columns, piece by piece; a group knows where its row stands.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StructArray, UInt32Array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, interleave, take};
use arrow::datatypes::{DataType, Fields};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

/// Rows that may stand about unused before what is used is moved together.
const UNUSED_ROWS_MAX: usize = 65_536;

/// The mark of a group without a row in a batch.
const NO_ROW: u32 = u32::MAX;

/// Which row of a group is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Pick {
    /// The one with the greatest key.
    Greatest,
    /// The one with the least key.
    Least,
    /// Any.
    Any,
}

impl Pick {
    /// Whether a key is preferred to another to which it compares so.
    fn prefers(self, to_other: Ordering) -> bool {
        match self {
            Self::Greatest => to_other == Ordering::Greater,
            Self::Least => to_other == Ordering::Less,
            Self::Any => false,
        }
    }
}

/// A key that can be compared with those of other batches.
#[derive(Debug, Clone)]
enum Key {
    Long(i64),
    Bytes(Box<[u8]>),
}

/// The keys of a batch. A row without one loses to every other: its key is null or, where any row does, its value is
/// absent.
enum Keys {
    Longs(Int64Array),
    Bytes(Rows, Option<NullBuffer>),
}

impl Keys {
    fn is_there(&self, row: usize) -> bool {
        match self {
            Self::Longs(longs) => longs.is_valid(row),
            Self::Bytes(_, nulls) => nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)),
        }
    }

    fn key(&self, row: usize) -> Option<Key> {
        self.is_there(row).then(|| match self {
            Self::Longs(longs) => Key::Long(longs.value(row)),
            Self::Bytes(rows, _) => Key::Bytes(rows.row(row).as_ref().into()),
        })
    }

    /// Whether a row takes the place of one with that key. Of equals the first stays.
    fn beats(&self, pick: Pick, row: usize, before: Option<&Key>) -> bool {
        let Some(before) = before else { return self.is_there(row) };
        self.is_there(row)
            && match (self, before) {
                (Self::Longs(longs), Key::Long(before)) => pick.prefers(longs.value(row).cmp(before)),
                (Self::Bytes(rows, _), Key::Bytes(before)) => pick.prefers(rows.row(row).as_ref().cmp(before)),
                _ => unreachable!("the keys of a column are of one kind"),
            }
    }

    /// Whether a row takes the place of another of the batch.
    fn beats_row(&self, pick: Pick, row: usize, before: usize) -> bool {
        if !self.is_there(row) || !self.is_there(before) {
            return self.is_there(row) && !self.is_there(before);
        }
        match self {
            Self::Longs(longs) => pick.prefers(longs.value(row).cmp(&longs.value(before))),
            Self::Bytes(rows, _) => pick.prefers(rows.row(row).cmp(&rows.row(before))),
        }
    }
}

/// The row picked for a group.
#[derive(Debug, Clone)]
struct Picked {
    piece: u32,
    row: u32,
    /// `None` for a key that loses to every other: null, or, where any row does, the absent value.
    key: Option<Key>,
}

/// Picks rows of many groups.
pub(crate) struct PickRows {
    pick: Pick,
    /// Whether an empty text counts as absent.
    prefers_text: bool,
    types: Vec<DataType>,
    converter: Option<RowConverter>,
    picked: Vec<Option<Picked>>,
    /// The best row of each group in the batch at hand; of no use between batches.
    best: Vec<u32>,
    pieces: Vec<Vec<ArrayRef>>,
    stored_rows: usize,
    stored_bytes: usize,
}

impl PickRows {
    /// Nothing picked yet; the first column is the key.
    pub(crate) fn new(pick: Pick, prefers_text: bool, types: Vec<DataType>) -> Result<Self> {
        let is_long = matches!(
            types.first(),
            Some(DataType::Int32 | DataType::Int64 | DataType::Timestamp(..) | DataType::Duration(_))
        );
        let converter = match types.first() {
            Some(key) if pick != Pick::Any && !is_long => Some(RowConverter::new(vec![SortField::new(key.clone())])?),
            _ => None,
        };
        let (picked, best, pieces) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { pick, prefers_text, types, converter, picked, best, pieces, stored_rows: 0, stored_bytes: 0 })
    }

    /// The key of every row.
    fn keys(&mut self, column: &ArrayRef) -> Result<Keys> {
        if self.pick == Pick::Any {
            let texts = if self.prefers_text { column.as_string_opt::<i32>() } else { None };
            let is_there = |row: usize| column.is_valid(row) && texts.is_none_or(|texts| !texts.value(row).is_empty());
            let longs = (0..column.len()).map(|row| is_there(row).then_some(0));
            return Ok(Keys::Longs(Int64Array::from_iter(longs)));
        }
        let Some(converter) = &mut self.converter else {
            return Ok(Keys::Longs(cast(column, &DataType::Int64)?.as_primitive().clone()));
        };
        let rows = converter.convert_columns(std::slice::from_ref(column))?;
        Ok(Keys::Bytes(rows, column.logical_nulls()))
    }

    fn add(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        counts: &dyn Fn(usize) -> bool,
        num_groups: usize,
    ) -> Result<()> {
        self.picked.resize(num_groups, None);
        self.best.resize(num_groups, NO_ROW);
        let keys = self.keys(&columns[0])?;
        // The row of this batch that is best for a group so far; only those that win are kept.
        let mut winners: Vec<usize> = Vec::new();
        for (row, group) in groups.iter().enumerate().filter(|(row, _)| counts(*row)) {
            let best = &mut self.best[*group];
            let wins = match (*best, &self.picked[*group]) {
                (NO_ROW, None) => true,
                (NO_ROW, Some(picked)) => keys.beats(self.pick, row, picked.key.as_ref()),
                (best, _) => keys.beats_row(self.pick, row, best as usize),
            };
            if wins {
                if *best == NO_ROW {
                    winners.push(*group);
                }
                *best = index(row);
            }
        }
        self.keep(columns, &keys, &winners)
    }

    /// Keeps the best rows of a batch for groups that have one in it.
    fn keep(&mut self, columns: &[ArrayRef], keys: &Keys, winners: &[usize]) -> Result<()> {
        if winners.is_empty() {
            return Ok(());
        }
        let piece = index(self.pieces.len());
        let mut rows = Vec::with_capacity(winners.len());
        for (place, group) in winners.iter().enumerate() {
            let row = std::mem::replace(&mut self.best[*group], NO_ROW);
            self.picked[*group] = Some(Picked { piece, row: index(place), key: keys.key(row as usize) });
            rows.push(row);
        }
        let rows = UInt32Array::from(rows);
        let kept = columns.iter().map(|column| take(column, &rows, None)).collect::<Result<Vec<_>, _>>()?;
        self.stored_rows += rows.len();
        self.stored_bytes += kept.iter().map(|array| array.get_array_memory_size()).sum::<usize>();
        self.pieces.push(kept);
        if self.stored_rows > self.picked.len() * 2 + UNUSED_ROWS_MAX {
            self.move_together()?;
        }
        Ok(())
    }

    /// Forgets rows that lost.
    fn move_together(&mut self) -> Result<()> {
        let mut picked = std::mem::take(&mut self.picked);
        let kept = self.gather(&picked)?;
        for (place, one) in picked.iter_mut().enumerate() {
            if let Some(one) = one {
                (one.piece, one.row) = (0, index(place));
            }
        }
        (self.picked, self.stored_rows) = (picked, kept.first().map_or(0, |array| array.len()));
        self.stored_bytes = kept.iter().map(|array| array.get_array_memory_size()).sum();
        self.pieces = vec![kept];
        Ok(())
    }

    /// The rows picked, in order of their groups; nulls where there is none.
    fn gather(&self, picked: &[Option<Picked>]) -> Result<Vec<ArrayRef>> {
        let none = self.pieces.len();
        let place = |one: &Option<Picked>| match one {
            Some(one) => (one.piece as usize, one.row as usize),
            None => (none, 0),
        };
        let places: Vec<_> = picked.iter().map(place).collect();
        let column = |(number, column_type): (usize, &DataType)| {
            let absent = new_null_array(column_type, 1);
            let pieces = self.pieces.iter().map(|piece| piece[number].as_ref());
            Ok(interleave(&pieces.chain([absent.as_ref()]).collect::<Vec<_>>(), &places)?)
        };
        self.types.iter().enumerate().map(column).collect()
    }

    /// The columns of the groups that leave, and which of them have a row.
    fn emit(&mut self, emit_to: EmitTo) -> Result<(Vec<ArrayRef>, BooleanArray)> {
        let leaving = emit_to.take_needed(&mut self.picked);
        self.best.truncate(self.picked.len());
        let columns = self.gather(&leaving)?;
        let seen = leaving.iter().map(|one| Some(one.is_some())).collect();
        if self.picked.is_empty() {
            self.pieces.clear();
            (self.stored_rows, self.stored_bytes) = (0, 0);
        }
        Ok((columns, seen))
    }
}

impl GroupsAccumulator for PickRows {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let counts = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        self.add(values, group_indices, &counts, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (columns, _) = self.emit(emit_to)?;
        let fields: Fields = super::rows::row_fields(self.types.iter());
        Ok(Arc::new(StructArray::try_new(fields, columns, None)?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (mut columns, seen) = self.emit(emit_to)?;
        columns.push(Arc::new(seen));
        Ok(columns)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        let (seen, columns) = values.split_last().expect("the state has the column `seen`");
        let seen = seen.as_boolean();
        let counts = |row: usize| seen.is_valid(row) && seen.value(row);
        self.add(columns, group_indices, &counts, total_num_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let num_rows = values.first().map_or(0, |column| column.len());
        let counts = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let seen: BooleanArray = (0..num_rows).map(|row| Some(counts(row))).collect();
        Ok(values.iter().cloned().chain([Arc::new(seen) as ArrayRef]).collect())
    }

    fn size(&self) -> usize {
        let keys = self.picked.iter().flatten().map(|one| match &one.key {
            Some(Key::Bytes(bytes)) => bytes.len(),
            _ => 0,
        });
        size_of_val(self)
            + self.picked.capacity() * size_of::<Option<Picked>>()
            + self.best.capacity() * size_of::<u32>()
            + keys.sum::<usize>()
            + self.stored_bytes
    }
}

fn index(number: usize) -> u32 {
    u32::try_from(number).expect("a batch and the pieces of one query are fewer than four milliards")
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn check(pick: Pick, keys: ArrayRef, expected: &[Option<&str>]) {
        let types = vec![keys.data_type().clone(), DataType::Utf8];
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e", "f"]));
        let mut first = PickRows::new(pick, true, types.clone()).unwrap();
        // Two batches, then through a state.
        let (groups, rest) = ([0, 1, 0], [1, 0, 2]);
        first.update_batch(&[keys.slice(0, 3), names.slice(0, 3)], &groups, None, 2).unwrap();
        first.update_batch(&[keys.slice(3, 3), names.slice(3, 3)], &rest, None, 4).unwrap();
        first.move_together().unwrap();
        let mut second = PickRows::new(pick, true, types).unwrap();
        second.merge_batch(&first.state(EmitTo::All).unwrap(), &[0, 1, 2, 3], 4).unwrap();
        assert!(first.picked.is_empty() && first.pieces.is_empty());
        let (mut columns, mut picked) = (Vec::new(), Vec::new());
        for emit_to in [EmitTo::First(1), EmitTo::All] {
            columns.push(second.evaluate(emit_to).unwrap());
        }
        for column in &columns {
            picked.extend(column.as_struct().column(1).as_string::<i32>().iter().map(|name| name.map(str::to_owned)));
        }
        assert_eq!(picked.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "{pick:?}");
    }

    #[test]
    fn the_best_row_of_each_group_is_picked() {
        let longs = || Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(2), Some(3), None])) as ArrayRef;
        check(Pick::Greatest, longs(), &[Some("c"), Some("d"), Some("f"), None]);
        check(Pick::Least, longs(), &[Some("a"), Some("d"), Some("f"), None]);
        let texts = || Arc::new(StringArray::from(vec!["", "y", "x", "z", "x", "w"])) as ArrayRef;
        check(Pick::Greatest, texts(), &[Some("c"), Some("d"), Some("f"), None]);
        check(Pick::Any, texts(), &[Some("c"), Some("b"), Some("f"), None]);
    }
}
