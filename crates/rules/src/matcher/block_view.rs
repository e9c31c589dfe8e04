//! One batch as the matcher reads it: columns by name, and `_Extra` opened when first needed.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use foldhash::fast::FixedState;
use memchr::memmem;
use moneta_event::ColumnType;
use moneta_event::schema::standard;

use super::cells::{Cell, Source, normalised};
use super::extra::ExtraIndex;
use super::rows::Rows;
use crate::fields::{Slot, SlotColumn};

/// Columns that say how a row came, not what it says: keywords are not looked for there.
const NOT_SEARCHED: [&str; 7] = [
    standard::TENANT_ID,
    standard::TYPE,
    standard::SOURCE,
    standard::CLASS,
    standard::DELIVERY,
    standard::EXTRA,
    standard::TIME_GENERATED,
];

/// The values of a slot in one batch.
pub(crate) struct SlotReader<'s> {
    hiding: Option<Source<'s>>,
    sources: Vec<Source<'s>>,
}

impl<'s> SlotReader<'s> {
    /// Whether no row has a value.
    pub fn is_empty(&self) -> bool {
        self.hiding.is_none() && self.sources.is_empty()
    }

    /// The text column that holds every value, where there is just one.
    pub fn single_text(&self) -> Option<&'s StringArray> {
        match (&self.hiding, self.sources.as_slice()) {
            (None, [Source::Text(array)]) => Some(array),
            _ => None,
        }
    }

    /// The value in one row.
    pub fn cell(&self, row: usize) -> Cell<'s> {
        match self.hiding.as_ref().map_or(Cell::Absent, |source| source.cell(row)) {
            Cell::Absent => self.sources.iter().map(|source| source.cell(row)).fold(Cell::Absent, Cell::joined),
            hiding => hiding,
        }
    }
}

/// A batch with its columns by name.
pub(crate) struct BlockView<'a> {
    batch: &'a RecordBatch,
    by_name: HashMap<&'a str, usize, FixedState>,
    extra_column: Option<&'a StringArray>,
    extra: OnceCell<ExtraIndex<'a>>,
    /// Rows whose original is a line of text.
    lines: OnceCell<Rows>,
    /// Columns whose name was looked for in `_Extra`, and whether it is there.
    occurring: RefCell<HashMap<String, bool, FixedState>>,
}

impl<'a> BlockView<'a> {
    pub fn new(batch: &'a RecordBatch) -> Self {
        let fields = batch.schema_ref().fields();
        let by_name = fields.iter().enumerate().map(|(index, field)| (field.name().as_str(), index)).collect();
        let extra_column = batch.column_by_name(standard::EXTRA).and_then(|array| array.as_string_opt());
        Self {
            batch,
            by_name,
            extra_column,
            extra: OnceCell::new(),
            lines: OnceCell::new(),
            occurring: RefCell::default(),
        }
    }

    pub fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// `_Extra` by field.
    pub fn extra(&self) -> &ExtraIndex<'a> {
        self.extra.get_or_init(|| self.extra_column.map(ExtraIndex::new).unwrap_or_default())
    }

    /// Reads a slot of this batch.
    pub fn reader<'s>(&'s self, slot: &'s Slot) -> SlotReader<'s> {
        let key = slot.hiding.as_deref().filter(|_| self.extra_column.is_some());
        let hiding = key.and_then(|key| self.extra().get(key)).map(|column| Source::Extra(column, &[]));
        SlotReader { hiding, sources: self.sources(slot) }
    }

    /// Where a slot's values stand in this batch; nothing when no row has one.
    fn sources<'s>(&'s self, slot: &'s Slot) -> Vec<Source<'s>> {
        let mut sources = Vec::with_capacity(1);
        let (mut complete, mut has_column) = (false, false);
        for column in &slot.columns {
            let Some(index) = self.column_index(column) else { continue };
            let array = self.batch.column(index);
            let column_type = ColumnType::of_field(self.batch.schema_ref().field(index)).unwrap_or(ColumnType::String);
            let source = Source::of_column(array, column_type, &column.path).filter(|source| !source.is_blank());
            // A column without a declared type is one of the user's own table.
            sources.extend(if column.column_type.is_none() { source.map(Source::with_lists) } else { source });
            has_column = true;
            complete |= column.path.is_empty() && array.null_count() == 0 && column_type != ColumnType::String;
        }
        // A typed column without nulls left nothing over for `_Extra`.
        if !complete && let Some(array) = self.extra_column {
            for (name, path) in &slot.extras {
                let worth_opening = !has_column || self.extra.get().is_some() || self.occurs_in(array, slot, name);
                if worth_opening && let Some(column) = self.extra().get(name) {
                    sources.push(Source::Extra(column, path));
                }
            }
        }
        sources
    }

    /// Whether a typed column's name stands anywhere in `_Extra`: reading the bytes once is far cheaper than opening it.
    fn occurs_in(&self, array: &StringArray, slot: &Slot, name: &str) -> bool {
        let Some(column) = slot.columns.iter().find(|column| normalised(&column.name) == name) else { return true };
        let look = || memmem::find(array.value_data(), format!("\"{}\"", column.name).as_bytes()).is_some();
        *self.occurring.borrow_mut().entry(column.name.clone()).or_insert_with(look)
    }

    fn column_index(&self, column: &SlotColumn) -> Option<usize> {
        let exact = self.by_name.get(column.name.as_str()).copied();
        if column.column_type.is_some() {
            return exact;
        }
        let wanted = normalised(&column.name);
        exact.or_else(|| self.by_name.iter().find(|(name, _)| normalised(name) == wanted).map(|(_, index)| *index))
    }

    /// Columns of text in which keywords are looked for, but for that of the originals.
    pub fn text_columns(&self) -> impl Iterator<Item = &'a StringArray> + '_ {
        self.searched()
            .filter(|index| self.batch.schema_ref().field(*index).name() != standard::RAW)
            .filter_map(move |index| self.batch.column(index).as_string_opt())
    }

    /// Columns of numbers in which keywords are looked for.
    pub fn number_columns(&self) -> impl Iterator<Item = Source<'a>> + '_ {
        self.searched().filter_map(move |index| {
            let column_type = ColumnType::of_field(self.batch.schema_ref().field(index))?;
            Source::of_column(self.batch.column(index), column_type, &[]).filter(Source::is_number)
        })
    }

    /// The originals, and the rows of those that keywords are looked for in.
    pub fn originals(&self) -> Option<(&'a StringArray, &Rows)> {
        let array: &StringArray = self.batch.column_by_name(standard::RAW)?.as_string_opt()?;
        let lines = self.lines.get_or_init(|| {
            let mut lines = Rows::none(array.len());
            let is_line = |row: &usize| array.is_valid(*row) && !is_structured(array.value(*row));
            (0..array.len()).filter(is_line).for_each(|row| lines.insert(row));
            lines
        });
        Some((array, lines))
    }

    /// Indices of columns in which keywords are looked for.
    fn searched(&self) -> impl Iterator<Item = usize> + '_ {
        let fields = self.batch.schema_ref().fields();
        (0..self.batch.num_columns()).filter(move |index| !NOT_SEARCHED.contains(&fields[*index].name().as_str()))
    }

    /// `_Extra` as it is stored.
    pub fn extra_text(&self) -> Option<&'a StringArray> {
        self.extra_column
    }

    /// Every text and number of one row.
    pub fn texts(&self, row: usize) -> Cell<'_> {
        let line = self.originals().filter(|(_, lines)| lines.contains(row)).map(|(array, _)| array);
        let texts = self.text_columns().chain(line).filter(|array| array.is_valid(row));
        let columns = texts.map(|array| Cell::of_text(array.value(row)));
        let numbers = self.number_columns().map(|column| column.cell(row));
        let extras = self.extra().columns().map(|column| column.cell(row, &[]));
        columns.chain(numbers).chain(extras).fold(Cell::Absent, Cell::joined)
    }
}

/// Whether an original is JSON or the XML of Windows: all it says stands in columns and `_Extra` too, without markup and
/// escapes. A line of text is searched whole, because a keyword may reach over several of its fields.
fn is_structured(raw: &str) -> bool {
    let text = raw.trim_start();
    text.is_empty() || text.starts_with('{') || text.starts_with("<Event")
}
