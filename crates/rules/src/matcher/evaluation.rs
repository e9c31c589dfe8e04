//! The state of matching one block.

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::array::{Array, StringArray};
use foldhash::fast::FixedState;

use super::cells::Cell;
use super::keywords::KeywordFilter;
use super::rows::Rows;
use super::value_tests::{PredicateId, Scratch, ValueTests};
use super::{BlockView, SlotReader};
use crate::plan::{Node, TablePlan};

/// A row that no open gate lets through.
const NOT_READ: u32 = u32::MAX;
/// Distinct values of a column that room is made for at once; few columns of a block have more.
const DISTINCT_EXPECTED: usize = 1_024;
/// A value in fewer rows is entered row by row instead of set by set.
const FEW_ROWS: usize = 16;

/// Matches one block against the rules of its table.
pub(crate) struct Evaluation<'s> {
    plan: &'s TablePlan,
    view: &'s BlockView<'s>,
    /// Per slot: the rows in which some open gate may ask for it.
    wanted: Vec<Rows>,
    /// Per slot: read, or not yet.
    columns: Vec<Option<Column<'s>>>,
    /// Per slot of keywords: rows in which they were looked for.
    searched: HashMap<u32, Rows, FixedState>,
    /// Rows that meet a predicate; a predicate that is not here is met by none.
    met: HashMap<PredicateId, Rows, FixedState>,
    scratch: Scratch,
    /// Folded bytes of a part of a column.
    buffer: Vec<u8>,
}

/// A slot's values in this block.
#[derive(Default)]
struct Column<'s> {
    /// Per row the number of its value.
    codes: Vec<u32>,
    /// The distinct values.
    values: Vec<Cell<'s>>,
    /// Predicates that some row meets.
    met: Vec<PredicateId>,
}

impl<'s> Evaluation<'s> {
    pub fn new(plan: &'s TablePlan, view: &'s BlockView<'s>) -> Self {
        Self {
            plan,
            view,
            wanted: vec![Rows::default(); plan.slots.len()],
            columns: std::iter::repeat_with(|| None).take(plan.slots.len()).collect(),
            searched: HashMap::default(),
            met: HashMap::default(),
            scratch: Scratch::default(),
            buffer: Vec::new(),
        }
    }

    /// The rules that hold, each with its rows, in order of rule.
    pub fn run(mut self) -> Vec<(usize, Rows)> {
        let open = self.open_gates();
        for (gate, rows) in &open {
            for slot in &self.plan.gates[*gate].slots {
                self.wanted[*slot as usize].union_with(rows);
            }
        }
        let gate_rows: HashMap<usize, Rows, FixedState> = open.into_iter().collect();
        let mut found: HashMap<usize, Rows, FixedState> = HashMap::default();
        for target in self.candidates(&gate_rows) {
            let plan = &self.plan.targets[target as usize];
            let Some(mask) = gate_rows.get(&(plan.gate as usize)) else { continue };
            let rows = self.rows_of(&plan.node, mask);
            if !rows.is_empty() {
                found.entry(plan.rule).or_default().union_with(&rows);
            }
        }
        let mut matches: Vec<(usize, Rows)> = found.into_iter().collect();
        matches.sort_unstable_by_key(|(rule, _)| *rule);
        matches
    }

    /// Gates that let some row through.
    fn open_gates(&mut self) -> Vec<(usize, Rows)> {
        let all = Rows::all(self.view.num_rows());
        for slot in &self.plan.gate_slots {
            self.wanted[*slot as usize] = all.clone();
        }
        let plan = self.plan;
        let gates = plan.gates.iter().enumerate();
        gates.map(|(index, gate)| (index, self.rows_of(&gate.node, &all))).filter(|(_, r)| !r.is_empty()).collect()
    }

    /// Targets that may hold: those with a witness that was met, and those without witnesses.
    fn candidates(&mut self, gate_rows: &HashMap<usize, Rows, FixedState>) -> Vec<u32> {
        let plan = self.plan;
        let mut candidates = Vec::new();
        let mut slots = Vec::new();
        for (gate, rows) in gate_rows {
            let gate = &plan.gates[*gate];
            candidates.extend_from_slice(&gate.without_witness);
            for slot in &gate.witness_slots {
                match plan.slots[*slot as usize].anywhere.is_some() {
                    true => {
                        let met = self.search(*slot, rows);
                        let targets = met.iter().map(|predicate| &plan.by_witness[*predicate as usize]);
                        targets.for_each(|targets| candidates.extend_from_slice(targets));
                    }
                    false => slots.push(*slot),
                }
            }
        }
        slots.sort_unstable();
        slots.dedup();
        for slot in slots {
            for predicate in &self.column(slot).met {
                candidates.extend_from_slice(&plan.by_witness[*predicate as usize]);
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// The rows among `mask` where an expression holds.
    fn rows_of(&mut self, node: &Node, mask: &Rows) -> Rows {
        match node {
            Node::Constant(true) => mask.clone(),
            Node::Constant(false) => Rows::default(),
            Node::Predicate(id) => {
                let slot = self.plan.predicates[*id as usize].slot;
                if self.plan.slots[slot as usize].anywhere.is_some() {
                    self.search(slot, mask);
                } else {
                    self.column(slot);
                }
                self.met.get(id).map(|rows| rows.intersection(mask)).unwrap_or_default()
            }
            Node::Relation(index) => self.rows_of_relation(*index as usize, mask),
            Node::Not(inner) => mask.difference(&self.rows_of(inner, mask)),
            Node::All(parts) => {
                let mut rows = mask.clone();
                for part in parts {
                    rows = self.rows_of(part, &rows);
                    if rows.is_empty() {
                        break;
                    }
                }
                rows
            }
            Node::Any(parts) => {
                let mut rows = Rows::default();
                for part in parts {
                    let more = self.rows_of(part, mask);
                    rows.union_with(&more);
                }
                rows
            }
        }
    }

    fn rows_of_relation(&mut self, index: usize, mask: &Rows) -> Rows {
        let relation = &self.plan.relations[index];
        self.column(relation.left);
        self.column(relation.right);
        let column = |slot: u32| self.columns[slot as usize].as_ref().expect("read just above");
        let (left, right) = (column(relation.left), column(relation.right));
        let mut rows = Rows::none(self.view.num_rows());
        let mut known: HashMap<(u32, u32), bool, FixedState> = HashMap::default();
        for row in mask.iter() {
            let codes = (left.codes[row as usize], right.codes[row as usize]);
            let holds = known
                .entry(codes)
                .or_insert_with(|| relation.holds(&left.values[codes.0 as usize], &right.values[codes.1 as usize]));
            if *holds {
                rows.insert(row as usize);
            }
        }
        rows
    }

    /// Reads a slot's column if it was not read before.
    fn column(&mut self, slot: u32) -> &Column<'s> {
        let index = slot as usize;
        if self.columns[index].is_none() {
            let column = self.read_column(index);
            self.columns[index] = Some(column);
        }
        self.columns[index].as_ref().expect("read just above")
    }

    fn read_column(&mut self, index: usize) -> Column<'s> {
        let (plan, view) = (self.plan, self.view);
        let slot = &plan.slots[index];
        let tests = &plan.tests[index];
        let wanted = std::mem::take(&mut self.wanted[index]);
        debug_assert!(slot.anywhere.is_none(), "texts are searched by row, see `search`");
        let reader = view.reader(slot);
        let mut column = match reader.single_text() {
            Some(array) => dictionary(array, &wanted, view.num_rows()),
            None => dictionary_of_slot(&reader, &wanted, view.num_rows()),
        };
        column.met = self.test_values(tests, &column);
        column
    }

    /// Runs the tests on every distinct value, and notes the rows of what was met.
    fn test_values(&mut self, tests: &ValueTests, column: &Column<'s>) -> Vec<PredicateId> {
        let mut hits: Vec<(PredicateId, u32)> = Vec::new();
        let mut met = Vec::new();
        for (value, code) in column.values.iter().zip(0..) {
            met.clear();
            tests.run(value, &mut self.scratch, &mut met);
            hits.extend(met.iter().map(|predicate| (*predicate, code)));
        }
        if hits.is_empty() {
            return Vec::new();
        }
        hits.sort_unstable();
        hits.dedup();
        let rows_by_code = RowsByCode::new(&column.codes, column.values.len());
        let mut sets: HashMap<u32, Rows, FixedState> = HashMap::default();
        let num_rows = self.view.num_rows();
        for (predicate, code) in &hits {
            let rows = rows_by_code.rows(*code);
            let set = self.met.entry(*predicate).or_insert_with(|| Rows::none(num_rows));
            if rows.len() <= FEW_ROWS {
                rows.iter().for_each(|row| set.insert(*row as usize));
            } else {
                set.union_with(sets.entry(*code).or_insert_with(|| set_of(rows, num_rows)));
            }
        }
        let mut predicates: Vec<PredicateId> = hits.into_iter().map(|(predicate, _)| predicate).collect();
        predicates.dedup();
        predicates
    }

    /// Looks for keywords in every text of those rows that were not searched before, and returns what was met there.
    /// Most texts of an event are long, so a row is only searched when the rest of some rule asks for it.
    fn search(&mut self, slot: u32, mask: &Rows) -> Vec<PredicateId> {
        let searched = self.searched.entry(slot).or_default();
        let wanted = mask.difference(searched);
        if wanted.is_empty() {
            return Vec::new();
        }
        searched.union_with(&wanted);
        let plan = self.plan;
        let tests = &plan.tests[slot as usize];
        let mut predicates = match tests.keywords() {
            Some(filter) => self.search_suspects(tests, filter, &wanted),
            None => self.search_all(tests, &wanted),
        };
        predicates.sort_unstable();
        predicates.dedup();
        predicates
    }

    /// Looks closely only at rows that may hold a literal.
    fn search_suspects(&mut self, tests: &ValueTests, filter: &KeywordFilter, wanted: &Rows) -> Vec<PredicateId> {
        let view = self.view;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut predicates = Vec::new();
        for (array, rows) in texts(view, wanted) {
            for row in filter.suspects(array, &rows, &mut buffer) {
                let text = if array.is_valid(row) { array.value(row) } else { "" };
                self.test_row(tests, &Cell::of_text(text), row, &mut predicates);
            }
        }
        let mut suspects = Rows::none(view.num_rows());
        if let Some(json) = view.extra_text() {
            filter.suspects_in_json(json, wanted, &mut buffer).into_iter().for_each(|row| suspects.insert(row));
        }
        self.buffer = buffer;
        self.search_extra(tests, &suspects, &mut predicates);
        if filter.may_be_in_numbers() {
            self.search_numbers(tests, wanted, &mut predicates);
        }
        predicates
    }

    /// Tests every distinct text of every column.
    fn search_all(&mut self, tests: &ValueTests, wanted: &Rows) -> Vec<PredicateId> {
        let view = self.view;
        let mut predicates = Vec::new();
        for (array, rows) in texts(view, wanted) {
            let column = dictionary(array, &rows, view.num_rows());
            predicates.extend(self.test_values(tests, &column));
        }
        self.search_extra(tests, wanted, &mut predicates);
        self.search_numbers(tests, wanted, &mut predicates);
        predicates
    }

    /// Tests every distinct number of every column.
    fn search_numbers(&mut self, tests: &ValueTests, wanted: &Rows, predicates: &mut Vec<PredicateId>) {
        let view = self.view;
        for numbers in view.number_columns() {
            let column = dictionary_of_cells(|row| numbers.cell(row), wanted, view.num_rows());
            predicates.extend(self.test_values(tests, &column));
        }
    }

    /// Tests every field of `_Extra`.
    fn search_extra(&mut self, tests: &ValueTests, wanted: &Rows, predicates: &mut Vec<PredicateId>) {
        if wanted.is_empty() {
            return;
        }
        let view = self.view;
        for (row, json) in view.extra().columns().flat_map(|column| column.values()) {
            if wanted.contains(*row as usize) {
                self.test_row(tests, &Cell::of_json(json), *row as usize, predicates);
            }
        }
    }

    fn test_row(&mut self, tests: &ValueTests, cell: &Cell<'_>, row: usize, predicates: &mut Vec<PredicateId>) {
        let num_rows = self.view.num_rows();
        let before = predicates.len();
        tests.run(cell, &mut self.scratch, predicates);
        for predicate in &predicates[before..] {
            self.met.entry(*predicate).or_insert_with(|| Rows::none(num_rows)).insert(row);
        }
    }
}

/// Columns of text in which keywords are looked for, each with those of the wanted rows that are searched there.
fn texts<'v, 's: 'v>(
    view: &'s BlockView<'s>,
    wanted: &'v Rows,
) -> impl Iterator<Item = (&'s StringArray, Cow<'v, Rows>)> {
    let columns = view.text_columns().map(move |array| (array, Cow::Borrowed(wanted)));
    let lines = view.originals().map(|(array, lines)| (array, Cow::Owned(wanted.intersection(lines))));
    columns.chain(lines)
}

fn set_of(rows: &[u32], num_rows: usize) -> Rows {
    let mut set = Rows::none(num_rows);
    rows.iter().for_each(|row| set.insert(*row as usize));
    set
}

/// Numbers the distinct texts of a column.
fn dictionary<'s>(array: &'s StringArray, wanted: &Rows, num_rows: usize) -> Column<'s> {
    // The hasher's seed is fixed: a block is small enough that chosen collisions cost little.
    let mut numbers: HashMap<&'s str, u32, FixedState> =
        HashMap::with_capacity_and_hasher(DISTINCT_EXPECTED, FixedState::default());
    let mut codes = vec![NOT_READ; num_rows];
    let mut values = Vec::new();
    for row in wanted.iter() {
        let at = row as usize;
        let text = if array.is_valid(at) { array.value(at) } else { "" };
        codes[at] = *numbers.entry(text).or_insert_with(|| {
            values.push(Cell::of_text(text));
            u32::try_from(values.len() - 1).expect("a block is small")
        });
    }
    Column { codes, values, met: Vec::new() }
}

/// Numbers the distinct cells of a slot that is not simply a text column.
fn dictionary_of_slot<'s>(reader: &SlotReader<'s>, wanted: &Rows, num_rows: usize) -> Column<'s> {
    if reader.is_empty() {
        let mut codes = vec![NOT_READ; num_rows];
        wanted.iter().for_each(|row| codes[row as usize] = 0);
        let values = if wanted.is_empty() { Vec::new() } else { vec![Cell::Absent] };
        return Column { codes, values, met: Vec::new() };
    }
    dictionary_of_cells(|row| reader.cell(row), wanted, num_rows)
}

/// Numbers the distinct cells of a column.
fn dictionary_of_cells<'s>(cell: impl Fn(usize) -> Cell<'s>, wanted: &Rows, num_rows: usize) -> Column<'s> {
    let mut codes = vec![NOT_READ; num_rows];
    let mut numbers: HashMap<Cell<'s>, u32, FixedState> = HashMap::default();
    let mut values = Vec::new();
    for row in wanted.iter() {
        codes[row as usize] = *numbers.entry(cell(row as usize)).or_insert_with_key(|cell| {
            values.push(cell.clone());
            u32::try_from(values.len() - 1).expect("a block is small")
        });
    }
    Column { codes, values, met: Vec::new() }
}

/// The rows of each value, in one allocation.
struct RowsByCode {
    starts: Vec<u32>,
    rows: Vec<u32>,
}

impl RowsByCode {
    fn new(codes: &[u32], num_values: usize) -> Self {
        let mut starts = vec![0u32; num_values + 1];
        for code in codes.iter().filter(|code| **code != NOT_READ) {
            starts[*code as usize + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut next = starts.clone();
        let mut rows = vec![0; starts[num_values] as usize];
        for (code, row) in codes.iter().zip(0u32..).filter(|(code, _)| **code != NOT_READ) {
            let slot = &mut next[*code as usize];
            rows[*slot as usize] = row;
            *slot += 1;
        }
        Self { starts, rows }
    }

    fn rows(&self, code: u32) -> &[u32] {
        &self.rows[self.starts[code as usize] as usize..self.starts[code as usize + 1] as usize]
    }
}
