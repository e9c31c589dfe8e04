//! `scan`: finds sequences of rows by steps, each of which may look at the rows that matched the steps before.
//!
//! The rows are gone over once, in their order. Each step keeps the sequence that has come as far as that step: the
//! row last matched by it and by each step before it. Whatever in conditions and assignments does not look at such
//! rows is computed beforehand, as further columns of the input.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{Expression, ScanOperator, ScanStep};

use super::gathered::{Gathered, Gathering, Work};
use super::project::Project;
use super::sort::Sort;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::fold::cell;
use crate::functions::row::{Builder, Cell, Reader};
use crate::interpret;
use crate::value::Value;

/// What the names of columns of remembered rows start with while a step is bound.
const REMEMBERED: &str = "$scan.";
/// The rows between two looks at whether the query still runs.
const CHECK_ROWS: usize = 4_096;

/// Which rows a step gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    All,
    Last,
    None,
}

/// A bound step.
#[derive(Debug)]
struct Step {
    is_optional: bool,
    output: Output,
    condition: ScalarExpr,
    /// The columns set when a row matches, by position.
    assignments: Vec<(usize, ScalarExpr)>,
}

/// Where the value of a column comes from.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// The row being built: a column of the input or a declared one.
    Row(usize),
    /// A column computed beforehand.
    Input(usize),
    /// A column of the row remembered for a step.
    Remembered(usize, usize),
}

/// The operator.
#[derive(Debug)]
struct Scan {
    steps: Vec<Step>,
    /// The columns of a row: those of the input, then the declared ones.
    columns: Vec<Column>,
    /// How many of them come from the input.
    own: usize,
    /// The values of the declared columns before they are set.
    defaults: Vec<Value>,
    /// The columns of the input that keep sequences apart.
    partition: Vec<usize>,
    /// The types of all columns of the input.
    input_types: Vec<ColumnType>,
    places: HashMap<Arc<str>, Place>,
}

/// A sequence that has come as far as some step.
#[derive(Debug, Clone)]
struct Sequence {
    match_id: i64,
    /// The row last matched by each step so far; none for an optional step that was left out.
    rows: Vec<Option<Vec<Value>>>,
}

/// The sequences of one partition, by the step they have come to.
type State = Vec<Option<Sequence>>;

impl Gathering for Scan {
    fn name(&self) -> &'static str {
        "scan"
    }

    fn details(&self) -> String {
        self.steps.iter().map(|step| step.condition.to_string()).collect::<Vec<_>>().join("; ")
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let input = &inputs[0];
        let readers: Vec<Reader<'_>> = input.columns().iter().map(Reader::of).collect();
        let mut states: HashMap<Vec<String>, State> = HashMap::new();
        let mut output = Out::new(&self.columns);
        let mut next_id = 0;
        for row in 0..input.num_rows() {
            if row % CHECK_ROWS == 0 {
                work.check()?;
            }
            let record: Vec<Value> =
                readers.iter().zip(&self.input_types).map(|(reader, t)| owned(reader.get(row), *t)).collect();
            let key = self.partition.iter().map(|index| record[*index].to_string()).collect();
            let state = states.entry(key).or_insert_with(|| self.steps.iter().map(|_| None).collect());
            for step in (0..self.steps.len()).rev() {
                self.meet(step, &record, state, &mut next_id, &mut output);
            }
        }
        let mut rest: Vec<&Sequence> = Vec::new();
        for state in states.values() {
            let unfinished = state.iter().zip(&self.steps).filter(|(_, step)| step.output == Output::Last);
            rest.extend(unfinished.filter_map(|(sequence, _)| sequence.as_ref()));
        }
        rest.sort_by_key(|sequence| (sequence.match_id, sequence.rows.len()));
        rest.into_iter().for_each(|sequence| output.push_last(sequence));
        Ok(output.finish())
    }
}

impl Scan {
    /// Holds a row against a step.
    fn meet(&self, index: usize, record: &[Value], state: &mut State, next_id: &mut i64, output: &mut Out) {
        let step = &self.steps[index];
        let before = self.before(index, state);
        if let Some(before) = before
            && self.holds(step, record, state[before].as_ref())
        {
            // The sequence of the step before moves on to this one, whose own sequence ends.
            if let (Output::Last, Some(ended)) = (step.output, &state[index]) {
                output.push_last(ended);
            }
            if let (Output::Last, Some(moving)) = (self.steps[before].output, &state[before]) {
                output.push_last(moving);
            }
            if let Some(mut sequence) = state[before].take() {
                let row = self.extended(step, record, Some(&sequence));
                sequence.rows.resize(index, None);
                sequence.rows.push(Some(row));
                self.give(step, &sequence, output);
                state[index] = Some(sequence);
            }
            return;
        }
        if (index > 0 && state[index].is_none()) || !self.holds(step, record, state[index].as_ref()) {
            return;
        }
        let row = self.extended(step, record, state[index].as_ref());
        let mut sequence = state[index].take().unwrap_or_else(|| {
            *next_id += 1;
            Sequence { match_id: *next_id - 1, rows: Vec::new() }
        });
        sequence.rows.resize(index, None);
        sequence.rows.truncate(index);
        sequence.rows.push(Some(row));
        self.give(step, &sequence, output);
        state[index] = Some(sequence);
    }

    /// The step whose sequence may move on to this one: the one before, or one before optional steps.
    fn before(&self, index: usize, state: &State) -> Option<usize> {
        for before in (0..index).rev() {
            if state[before].is_some() {
                return Some(before);
            }
            if !self.steps[before].is_optional {
                return None;
            }
        }
        None
    }

    fn holds(&self, step: &Step, record: &[Value], sequence: Option<&Sequence>) -> bool {
        self.value(&step.condition, record, &self.fresh(record), sequence) == Value::Bool(true)
    }

    /// The row with the declared columns unset.
    fn fresh(&self, record: &[Value]) -> Vec<Value> {
        record[..self.own].iter().chain(&self.defaults).cloned().collect()
    }

    /// The row with the assignments of a step, one after the other.
    fn extended(&self, step: &Step, record: &[Value], sequence: Option<&Sequence>) -> Vec<Value> {
        let mut row = self.fresh(record);
        for (column, expression) in &step.assignments {
            row[*column] = self.value(expression, record, &row, sequence);
        }
        row
    }

    fn value(&self, expression: &ScalarExpr, record: &[Value], row: &[Value], sequence: Option<&Sequence>) -> Value {
        let column = |name: &str| match self.places.get(name) {
            Some(Place::Row(index)) => row[*index].clone(),
            Some(Place::Input(index)) => record[*index].clone(),
            Some(Place::Remembered(step, index)) => {
                let remembered = sequence.and_then(|sequence| sequence.rows.get(*step)?.as_ref());
                match remembered {
                    Some(row) => row[*index].clone(),
                    None if *index >= self.own => self.defaults[*index - self.own].clone(),
                    None => Value::null(self.columns[*index].column_type),
                }
            }
            None => Value::Null(ColumnType::Dynamic),
        };
        interpret::evaluate(expression, &column)
    }

    fn give(&self, step: &Step, sequence: &Sequence, output: &mut Out) {
        if step.output == Output::All {
            output.push_last(sequence);
        }
    }
}

/// A cell as a value of its own.
fn owned(cell: Cell<'_>, column_type: ColumnType) -> Value {
    match cell {
        Cell::Null => Value::null(column_type),
        Cell::Bool(value) => Value::Bool(value),
        Cell::Long(value) if column_type == ColumnType::Int => {
            i32::try_from(value).map_or(Value::Null(ColumnType::Int), Value::Int)
        }
        Cell::Long(value) => Value::Long(value),
        Cell::Real(value) => Value::Real(value),
        Cell::Decimal(value) => Value::Decimal(value),
        Cell::Time(nanos) if column_type == ColumnType::DateTime => Value::DateTime(nanos),
        Cell::Time(nanos) => Value::TimeSpan(nanos),
        Cell::Text(text) => match column_type {
            ColumnType::Dynamic => Value::Dynamic(text.to_owned()),
            ColumnType::Guid => Value::Guid(text.to_owned()),
            _ => Value::String(text.to_owned()),
        },
    }
}

/// The rows given out.
struct Out {
    columns: Vec<Builder>,
    match_ids: Builder,
}

impl Out {
    fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.iter().map(|c| Builder::new(c.column_type, 0)).collect(),
            match_ids: Builder::new(ColumnType::Long, 0),
        }
    }

    /// Gives out the row a sequence has come to.
    fn push_last(&mut self, sequence: &Sequence) {
        let Some(Some(row)) = sequence.rows.last() else { return };
        self.columns.iter_mut().zip(row).for_each(|(builder, value)| builder.push(cell(value).into()));
        self.match_ids.push(sequence.match_id.into());
    }

    fn finish(self) -> Vec<ArrayRef> {
        self.columns.into_iter().chain([self.match_ids]).map(Builder::finish).collect()
    }
}

/// What is computed before the rows are gone over.
struct Beforehand {
    columns: Vec<(Column, ScalarExpr)>,
    /// The declared columns: their values are known only while going over the rows.
    declared: Vec<Arc<str>>,
    /// The columns some step assigns.
    assigned: Vec<Arc<str>>,
}

impl Beforehand {
    /// The expression with every part that depends on the input row alone replaced by a column.
    fn lift(&mut self, expression: &ScalarExpr) -> ScalarExpr {
        if matches!(expression.node, ScalarNode::Literal(_) | ScalarNode::Column(_)) {
            return expression.clone();
        }
        let mut read = std::collections::BTreeSet::new();
        expression.read_columns(&mut read);
        let moving = |name: &Arc<str>| {
            name.starts_with(REMEMBERED) || self.declared.contains(name) || self.assigned.contains(name)
        };
        if read.iter().any(moving) {
            return expression.with_children(&mut |child| self.lift(child));
        }
        let column = Column::new(&format!("__s{}", self.columns.len()), expression.column_type);
        self.columns.push((column.clone(), expression.clone()));
        ScalarExpr::column(&column)
    }
}

impl Binder<'_> {
    /// `scan with_match_id = m declare (x:long = 0) with (step s: condition => x = 1;)`.
    pub(crate) fn bind_scan(&mut self, input: Relation, node: &ScanOperator) -> Option<Relation> {
        if let Some(parameter) = node.parameters.iter().find(|p| p.name.text == "with_step_name") {
            let message = "with_step_name is not supported; declare a column and set it in each step";
            return self.fail(codes::UNSUPPORTED, parameter.span, message);
        }
        let input = if node.order_by.is_empty() {
            input
        } else {
            let keys = self.sort_keys(&input, &node.order_by)?;
            Sort::relation(input, keys, None)
        };
        let own: Vec<Column> = Row::of(&input).columns.to_vec();
        let (declared, defaults) = self.scan_declarations(&own, node)?;
        let columns: Vec<Column> = own.iter().chain(&declared).cloned().collect();
        let row = self.scan_row(&input, &columns, node)?;
        let mut before = Beforehand {
            columns: Vec::new(),
            declared: declared.iter().map(|c| Arc::clone(&c.name)).collect(),
            assigned: node.steps.iter().flat_map(|s| &s.assignments).map(|a| a.name.text.as_str().into()).collect(),
        };
        let partition = self.scan_partition(&input, &node.partition_by, &mut before)?;
        let mut steps = Vec::new();
        for step in &node.steps {
            steps.push(self.scan_step(step, &columns, &mut row.clone(), &mut before)?);
        }
        let own_columns = input.columns.iter().map(|c| (c.clone(), ScalarExpr::column(c)));
        let staged: Vec<_> = own_columns.chain(before.columns.clone()).collect();
        let visible: Vec<Column> = own.iter().cloned().chain(before.columns.iter().map(|(c, _)| c.clone())).collect();
        let order = Arc::clone(&input.order);
        let places = places(&columns, &visible, own.len(), node);
        let staged = Project::exact("scan", input, staged);
        let mut names = Names::of(&columns);
        let wanted = node.parameters.iter().find(|p| p.name.text == "with_match_id").and_then(|p| p.word());
        let match_id = Column::new(&names.unique(wanted.unwrap_or("match_id")), ColumnType::Long);
        let partition = partition.iter().filter_map(|name| visible.iter().position(|c| c.name == *name)).collect();
        let scan = Scan {
            steps,
            own: own.len(),
            defaults,
            partition,
            input_types: visible.iter().map(|c| c.column_type).collect(),
            places,
            columns: columns.clone(),
        };
        let outputs = columns.into_iter().chain([match_id]).collect();
        let kept =
            order.iter().take_while(|key| key.expression.as_column().is_some_and(|n| !before.assigned.contains(n)));
        let kept = kept.cloned().collect();
        Some(Gathered::relation(vec![staged], outputs, scan).ordered(kept))
    }

    /// The declared columns with their values before they are set.
    fn scan_declarations(&mut self, own: &[Column], node: &ScanOperator) -> Option<(Vec<Column>, Vec<Value>)> {
        let (mut columns, mut defaults) = (Vec::<Column>::new(), Vec::new());
        for parameter in &node.declarations {
            let moneta_kql::syntax::ParameterType::Scalar(name) = &parameter.ty else {
                return self.fail(codes::TYPE, parameter.span, "a column of scan is a scalar");
            };
            let column_type = self.declared_type(name)?;
            let name = &parameter.name.text;
            if own.iter().chain(&columns).any(|c| *c.name == **name) {
                let message = format!("there is a column `{name}` already");
                return self.fail(codes::DUPLICATE, parameter.name.span, message);
            }
            let default = match &parameter.default {
                None => Some(Value::null(column_type)),
                Some(default) => {
                    let bound = self.scalar(default, &mut Row::none())?.converted(column_type);
                    bound.as_literal().cloned()
                }
            };
            let Some(default) = default else {
                let message = "the default of a declared column must be a constant";
                return self.fail(codes::CONSTANT_EXPECTED, parameter.span, message);
            };
            columns.push(Column::new(name, column_type));
            defaults.push(default);
        }
        Some((columns, defaults))
    }

    /// What the expressions of a step see: the row, and the rows remembered for each step.
    fn scan_row(&mut self, input: &Relation, columns: &[Column], node: &ScanOperator) -> Option<Row> {
        let mut row = Row { columns: columns.into(), ..Row::of(input) };
        for step in &node.steps {
            let name = &step.name.text;
            if row.remembered.iter().any(|(known, _)| known == name) {
                return self.fail(codes::DUPLICATE, step.name.span, format!("there are two steps called `{name}`"));
            }
            let columns = columns
                .iter()
                .map(|c| Column::new(&format!("{REMEMBERED}{name}.{}", c.name), c.column_type))
                .collect::<Vec<_>>();
            row.remembered.push((name.clone(), columns.into()));
        }
        Some(row)
    }

    fn scan_partition(
        &mut self,
        input: &Relation,
        by: &[Expression],
        before: &mut Beforehand,
    ) -> Option<Vec<Arc<str>>> {
        let mut names = Vec::new();
        for expression in by {
            let bound = self.scalar(expression, &mut Row::of(input))?;
            let lifted = before.lift(&bound);
            names.extend(lifted.as_column().cloned());
        }
        Some(names)
    }

    fn scan_step(
        &mut self,
        step: &ScanStep,
        columns: &[Column],
        row: &mut Row,
        before: &mut Beforehand,
    ) -> Option<Step> {
        let output = match step.output.as_ref().map(|word| (word.text.as_str(), word.span)) {
            None | Some(("all", _)) => Output::All,
            Some(("last", _)) => Output::Last,
            Some(("none", _)) => Output::None,
            Some((_, span)) => return self.fail(codes::UNKNOWN_WORD, span, "output is one of all, last and none"),
        };
        let condition = self.predicate(&step.condition, row)?;
        let condition = self.scan_expression(&condition, step.condition.span(), before)?;
        let mut assignments = Vec::new();
        for assignment in &step.assignments {
            let name = &assignment.name.text;
            let Some(index) = columns.iter().position(|c| *c.name == **name) else {
                let candidates: Vec<String> = columns.iter().map(|c| c.name.to_string()).collect();
                let message = format!("scan can set only declared columns, and there is no column '{name}'");
                return self.fail_near(codes::UNRESOLVED, assignment.name.span, message, name, &candidates);
            };
            let bound = self.scalar(&assignment.expression, row)?.converted(columns[index].column_type);
            assignments.push((index, self.scan_expression(&bound, assignment.span, before)?));
        }
        Some(Step { is_optional: step.is_optional, output, condition, assignments })
    }

    /// An expression of a step without what can be computed beforehand.
    fn scan_expression(
        &mut self,
        bound: &ScalarExpr,
        span: moneta_kql::syntax::Span,
        before: &mut Beforehand,
    ) -> Option<ScalarExpr> {
        let lifted = before.lift(bound);
        if !interpret::is_plain(&lifted) {
            let message = "a query or window function cannot depend on the rows a step remembers";
            return self.fail(codes::UNSUPPORTED, span, message);
        }
        Some(lifted)
    }
}

fn places(columns: &[Column], visible: &[Column], own: usize, node: &ScanOperator) -> HashMap<Arc<str>, Place> {
    let mut places = HashMap::new();
    for (index, column) in visible.iter().enumerate().skip(own) {
        places.insert(Arc::clone(&column.name), Place::Input(index));
    }
    for (index, column) in columns.iter().enumerate() {
        places.insert(Arc::clone(&column.name), Place::Row(index));
        for (step, syntax) in node.steps.iter().enumerate() {
            let name = format!("{REMEMBERED}{}.{}", syntax.name.text, column.name);
            places.insert(name.into(), Place::Remembered(step, index));
        }
    }
    places
}
