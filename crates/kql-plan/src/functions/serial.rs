//! Window functions that go over the rows one after the other, as DataFusion sees them.
//!
//! Each has a value that is carried from row to row and may be set back by a `restart` argument. Rows arrive in their
//! order, one partition at a time.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    PartitionEvaluator, Signature, Volatility, WindowFunctionDefinition, WindowUDF, WindowUDFImpl,
};
use moneta_event::ColumnType;

use super::row::{Answer, Builder, Cell, Reader, plain};

/// A window function of Kusto that DataFusion has not.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SerialFunction {
    name: &'static str,
    return_type: ColumnType,
    signature: Signature,
}

impl SerialFunction {
    /// The function of that name with the type of its result.
    #[must_use]
    pub fn definition(name: &'static str, return_type: ColumnType) -> WindowFunctionDefinition {
        let signature = Signature::variadic_any(Volatility::Immutable);
        let function = Self { name, return_type, signature };
        WindowFunctionDefinition::WindowUDF(Arc::new(WindowUDF::new_from_impl(function)))
    }
}

impl WindowUDFImpl for SerialFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator { name: self.name, return_type: self.return_type }))
    }

    fn field(&self, field: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(field.name(), self.return_type.computed(), true)))
    }
}

/// Goes over one partition.
#[derive(Debug)]
struct Evaluator {
    name: &'static str,
    return_type: ColumnType,
}

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let columns = values.iter().map(plain).collect::<Result<Vec<_>>>()?;
        let readers: Vec<Reader<'_>> = columns.iter().map(Reader::of).collect();
        let cell = |argument: usize, row: usize| readers.get(argument).map_or(Cell::Null, |reader| reader.get(row));
        let restart_argument = if self.name == "row_window_session" { 3 } else { 1 };
        let mut builder = Builder::new(self.return_type, num_rows);
        let mut state = State::default();
        for row in 0..num_rows {
            if row == 0 || cell(restart_argument, row) == Cell::Bool(true) {
                state = State::default();
            }
            builder.push(match self.name {
                "row_number" => state.number(cell(0, row)),
                "row_cumsum" => state.sum(cell(0, row), self.return_type),
                "row_rank_dense" => state.dense_rank(cell(0, row)),
                "row_rank_min" => state.least_rank(cell(0, row)),
                "row_window_session" => state.session(cell(0, row), cell(1, row), cell(2, row)),
                other => return exec_err!("there is no window function {other}"),
            });
        }
        Ok(builder.finish())
    }
}

/// What is carried from row to row.
#[derive(Default)]
struct State<'a> {
    /// The number, rank or sum so far.
    value: Option<Cell<'a>>,
    /// The rows since the last restart.
    rows: i64,
    /// The value of the row before.
    before: Option<Cell<'a>>,
    /// Where the session began.
    session: Option<i64>,
}

impl<'a> State<'a> {
    fn number(&mut self, start: Cell<'a>) -> Answer<'a> {
        let number = match self.value {
            Some(Cell::Long(number)) => Cell::Long(number.saturating_add(1)),
            _ => Cell::Long(start.long().unwrap_or(1)),
        };
        self.value = Some(number);
        number.into()
    }

    /// Nulls add nothing.
    fn sum(&mut self, term: Cell<'a>, target: ColumnType) -> Answer<'a> {
        let sum = match (self.value, term) {
            (sum, Cell::Null) => sum,
            (None, term) => Some(term),
            (Some(Cell::Long(sum)), Cell::Long(term)) => Some(Cell::Long(sum.wrapping_add(term))),
            (Some(Cell::Time(sum)), Cell::Time(term)) => Some(Cell::Time(sum.saturating_add(term))),
            (Some(Cell::Decimal(sum)), Cell::Decimal(term)) => sum.checked_add(term).map(Cell::Decimal),
            (Some(sum), term) => sum.real().zip(term.real()).map(|(sum, term)| Cell::Real(sum + term)),
        };
        debug_assert!(target != ColumnType::String, "texts have no sum");
        self.value = sum;
        sum.map_or(Answer::Null, Answer::from)
    }

    fn dense_rank(&mut self, term: Cell<'a>) -> Answer<'a> {
        if self.before != Some(term) {
            self.rows += 1;
        }
        self.before = Some(term);
        Answer::Long(self.rows)
    }

    fn least_rank(&mut self, term: Cell<'a>) -> Answer<'a> {
        self.rows += 1;
        if self.before != Some(term) {
            self.value = Some(Cell::Long(self.rows));
        }
        self.before = Some(term);
        self.value.map_or(Answer::Null, Answer::from)
    }

    /// A session ends a distance after its start or after its last value, and at a null.
    fn session(&mut self, value: Cell<'a>, from_start: Cell<'a>, from_last: Cell<'a>) -> Answer<'a> {
        let Cell::Time(at) = value else {
            self.session = None;
            return Answer::Null;
        };
        let within = |since: i64, distance: Cell<'a>| {
            distance.long().is_some_and(|distance| at < since.saturating_add(distance))
        };
        let goes_on = match (self.session, self.before) {
            (Some(start), Some(Cell::Time(last))) => within(start, from_start) && within(last, from_last),
            _ => false,
        };
        let start = if goes_on { self.session.unwrap_or(at) } else { at };
        self.session = Some(start);
        self.before = Some(value);
        Answer::Time(start)
    }
}
