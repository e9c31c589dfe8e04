//! One batch as the matcher reads it: columns by name, and `_Extra` opened when first needed.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use foldhash::fast::FixedState;
use memchr::memmem;
use moneta_event::ColumnType;
use moneta_event::schema::standard;

use super::cells::{Cell, Source, normalised};
use super::extra::ExtraIndex;
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
    /// Columns whose name was looked for in `_Extra`, and whether it is there.
    occurring: RefCell<HashMap<String, bool, FixedState>>,
}

impl<'a> BlockView<'a> {
    pub fn new(batch: &'a RecordBatch) -> Self {
        let fields = batch.schema_ref().fields();
        let by_name = fields.iter().enumerate().map(|(index, field)| (field.name().as_str(), index)).collect();
        let extra_column = batch.column_by_name(standard::EXTRA).and_then(|array| array.as_string_opt());
        Self { batch, by_name, extra_column, extra: OnceCell::new(), occurring: RefCell::default() }
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

    /// Columns in which keywords are looked for.
    pub fn text_columns(&self) -> impl Iterator<Item = &'a StringArray> + '_ {
        let fields = self.batch.schema_ref().fields();
        let searched = move |index: &usize| !NOT_SEARCHED.contains(&fields[*index].name().as_str());
        (0..self.batch.num_columns())
            .filter(searched)
            .filter(|index| *self.batch.column(*index).data_type() == DataType::Utf8)
            .filter_map(move |index| Some((fields[index].name(), self.batch.column(index).as_string_opt()?)))
            .filter(|(name, array)| *name != standard::RAW || !is_structured(array))
            .map(|(_, array)| array)
    }

    /// `_Extra` as it is stored.
    pub fn extra_text(&self) -> Option<&'a StringArray> {
        self.extra_column
    }

    /// Every text of one row.
    pub fn texts(&self, row: usize) -> Cell<'_> {
        let columns =
            self.text_columns().filter(|array| array.is_valid(row)).map(|array| Cell::of_text(array.value(row)));
        let extras = self.extra().columns().map(|column| column.cell(row, &[]));
        columns.chain(extras).fold(Cell::Absent, Cell::joined)
    }
}

/// Whether originals are JSON or the XML of Windows: all they say stands in columns and `_Extra` too, without markup
/// and escapes. Lines of text are searched whole, because a keyword may reach over several of their fields.
fn is_structured(raw: &StringArray) -> bool {
    let first = raw.iter().flatten().map(str::trim_start).find(|text| !text.is_empty());
    first.is_none_or(|text| text.starts_with('{') || text.starts_with("<Event"))
}
