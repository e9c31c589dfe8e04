//! `range x from a to b step c`: rows are made while they are read, so that a long range costs no memory.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef, i256};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Column as PlanColumn, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::RangeOperator;

use super::TabularOperator;
use super::datatable::OneRow;
use super::gathered::{Gathered, Gathering, Work};
use super::project::Project;
use crate::binder::{Binder, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::error::Result;
use crate::functions::row::{Answer, Builder, Cell, Reader, long_to_real, real_to_long};
use crate::lower::LowerContext;
use crate::steps;
use crate::types;

/// The greatest number of rows a `range` makes (`range_rows_max`): some minutes of work.
pub const RANGE_ROWS_MAX: i64 = 100_000_000;
/// The greatest number of rows of a range whose bounds are computed (`computed_range_rows_max`): these are gathered.
const COMPUTED_ROWS_MAX: i64 = 10_000_000;
/// The rows made at a time.
const BATCH_ROWS: i64 = 8_192;

/// The values of a range: how many there are, and each by its number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sequence {
    column_type: ColumnType,
    values: Values,
    count: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Values {
    /// Whole numbers or nanoseconds.
    Whole(i128, i128),
    Decimal(i256, i256),
    Real(f64, f64),
}

impl Sequence {
    /// The values from one to another. None where a bound is null or the step leads nowhere.
    fn new(column_type: ColumnType, from: Cell<'_>, to: Cell<'_>, step: Cell<'_>) -> Self {
        let whole = |cell: Cell<'_>| match cell {
            Cell::Long(value) | Cell::Time(value) => Some(i128::from(value)),
            _ => None,
        };
        let none = Self { column_type, values: Values::Whole(0, 0), count: 0 };
        if column_type == ColumnType::Real {
            let (Some(from), Some(to), Some(step)) = (from.real(), to.real(), step.real()) else { return none };
            return Self { column_type, values: Values::Real(from, step), count: real_count(from, to, step) };
        }
        if let (Cell::Decimal(from), Cell::Decimal(to), Cell::Decimal(step)) = (from, to, step) {
            return Self { column_type, values: Values::Decimal(from, step), count: decimal_count(from, to, step) };
        }
        let (Some(from), Some(to), Some(step)) = (whole(from), whole(to), whole(step)) else { return none };
        let reaches = step != 0 && (to == from || (to > from) == (step > 0));
        let count = if reaches { (to - from) / step + 1 } else { 0 };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Self { column_type, values: Values::Whole(from, step), count }
    }

    /// The value with that number.
    fn value(&self, index: i64) -> Answer<'static> {
        match self.values {
            Values::Real(from, step) => Answer::Real(from + long_to_real(index) * step),
            Values::Decimal(from, step) => {
                step.checked_mul(i256::from_i128(i128::from(index))).and_then(|way| from.checked_add(way)).into()
            }
            Values::Whole(from, step) => {
                i64::try_from(from + i128::from(index) * step).map_or(Answer::Null, Answer::Long)
            }
        }
    }

    /// The values with numbers `[start, end)`.
    fn array(&self, start: i64, end: i64) -> ArrayRef {
        let mut builder = Builder::new(self.column_type, usize::try_from(end - start).unwrap_or(0));
        (start..end).for_each(|index| builder.push(self.value(index)));
        builder.finish()
    }
}

/// How many reals a range has; the last may not lie beyond the end.
fn real_count(from: f64, to: f64, step: f64) -> i64 {
    let steps = (to - from) / step;
    if step == 0.0 || steps.is_nan() || steps < 0.0 {
        return 0;
    }
    let steps = real_to_long(steps.floor()).unwrap_or(i64::MAX);
    let within = |index: i64| {
        let at = from + long_to_real(index) * step;
        if step > 0.0 { at <= to } else { at >= to }
    };
    let steps = if within(steps.saturating_add(1)) { steps.saturating_add(1) } else { steps };
    if within(steps) { steps.saturating_add(1) } else { steps }
}

/// How many decimals a range has.
fn decimal_count(from: i256, to: i256, step: i256) -> i64 {
    let reaches = step != i256::ZERO && (to == from || (to > from) == step.is_positive());
    let steps = if reaches { to.checked_sub(from).and_then(|way| way.checked_div(step)) } else { return 0 };
    let count = steps.and_then(i256::to_i128).and_then(|steps| i64::try_from(steps).ok());
    count.map_or(i64::MAX, |count| count.saturating_add(1))
}

/// The operator.
#[derive(Debug)]
pub struct Range {
    /// The values.
    pub sequence: Sequence,
}

impl TabularOperator for Range {
    fn name(&self) -> &'static str {
        "range"
    }

    fn details(&self) -> String {
        format!("{} values", self.sequence.count)
    }

    fn inputs(&self) -> Vec<&Relation> {
        Vec::new()
    }

    fn lower(&self, relation: &Relation, _: &LowerContext<'_>) -> Result<LogicalPlan> {
        let fields = relation.columns.iter().map(|c| c.column_type.computed_field(&c.name).with_metadata([].into()));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let stream = RangeStream { sequence: self.sequence, schema: Arc::clone(&schema) };
        let table = StreamingTable::try_new(schema, vec![Arc::new(stream)])?;
        let reference = TableReference::bare("__range");
        let scan = LogicalPlanBuilder::scan(reference.clone(), provider_as_source(Arc::new(table)), None)?.build()?;
        let columns = relation.columns.iter();
        let columns = columns.map(|c| Expr::Column(PlanColumn::new(Some(reference.clone()), &*c.name)).alias(&*c.name));
        steps::project(scan, columns)
    }
}

/// Makes the rows of a range.
#[derive(Debug)]
struct RangeStream {
    sequence: Sequence,
    schema: SchemaRef,
}

impl PartitionStream for RangeStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (sequence, schema) = (self.sequence, Arc::clone(&self.schema));
        let batches = (0..).map(|batch: i64| batch * BATCH_ROWS).take_while(move |start| *start < sequence.count);
        let batches = batches.map(move |start| {
            let end = (start + BATCH_ROWS).min(sequence.count);
            Ok(RecordBatch::try_new(Arc::clone(&schema), vec![sequence.array(start, end)])?)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(batches)))
    }
}

/// A range whose bounds are the three columns of one row.
#[derive(Debug)]
struct ComputedRange {
    column_type: ColumnType,
}

impl Gathering for ComputedRange {
    fn name(&self) -> &'static str {
        "range"
    }

    fn details(&self) -> String {
        "computed bounds".to_owned()
    }

    fn run(&self, inputs: &[RecordBatch], _: &Work) -> std::result::Result<Vec<ArrayRef>, String> {
        let bounds = &inputs[0];
        let bound = |index: usize| {
            let reader = Reader::of(bounds.column(index));
            if bounds.num_rows() == 0 { Cell::Null } else { reader.get(0) }
        };
        let sequence = Sequence::new(self.column_type, bound(0), bound(1), bound(2));
        if sequence.count > COMPUTED_ROWS_MAX {
            return Err(format!(
                "the range has {} rows, more than the limit computed_range_rows_max of {COMPUTED_ROWS_MAX}",
                sequence.count
            ));
        }
        Ok(vec![sequence.array(0, sequence.count)])
    }
}

impl Binder<'_> {
    /// `range x from a to b step c`.
    pub(crate) fn bind_range(&mut self, node: &RangeOperator) -> Option<Relation> {
        let from = self.scalar(&node.from, &mut Row::none())?;
        let to = self.scalar(&node.to, &mut Row::none())?;
        let step = self.scalar(&node.step, &mut Row::none())?;
        let column_type = match (from.column_type, to.column_type, step.column_type) {
            (f, t, s) if types::is_number(f) && types::is_number(t) && types::is_number(s) => {
                types::widest_number(types::widest_number(f, t), s)
            }
            (ColumnType::DateTime, ColumnType::DateTime, ColumnType::TimeSpan) => ColumnType::DateTime,
            (ColumnType::TimeSpan, ColumnType::TimeSpan, ColumnType::TimeSpan) => ColumnType::TimeSpan,
            (f, t, s) => {
                let message = format!("range cannot go from {f} to {t} by {s}");
                return self.fail(codes::TYPE, node.span, message);
            }
        };
        let column = Column::new(&node.column.text, column_type);
        let step_type = if column_type == ColumnType::DateTime { ColumnType::TimeSpan } else { column_type };
        let (from, to, step) = (from.converted(column_type), to.converted(column_type), step.converted(step_type));
        let (Some(first), Some(last), Some(distance)) = (from.as_literal(), to.as_literal(), step.as_literal()) else {
            return Some(computed(column, from, to, step));
        };
        let cell = crate::fold::cell;
        let sequence = Sequence::new(column_type, cell(first), cell(last), cell(distance));
        if sequence.count > RANGE_ROWS_MAX {
            let message = format!(
                "the range has {} rows, more than the limit range_rows_max of {RANGE_ROWS_MAX}",
                sequence.count
            );
            return self.fail(codes::LIMIT, node.span, message);
        }
        Some(Relation::new(vec![column], Range { sequence }))
    }
}

/// A range whose bounds are known only when the query runs.
fn computed(column: Column, from: ScalarExpr, to: ScalarExpr, step: ScalarExpr) -> Relation {
    let bounds = [("__from", from), ("__to", to), ("__step", step)];
    let bounds = bounds.into_iter().map(|(name, bound)| (Column::new(name, bound.column_type), bound)).collect();
    let row = Project::exact("print", Relation::new(Vec::new(), OneRow), bounds);
    let column_type = column.column_type;
    Gathered::relation(vec![row], vec![column], ComputedRange { column_type })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: f64, to: f64, step: f64, expected: i64) {
        assert_eq!(real_count(from, to, step), expected, "{from} {to} {step}");
    }

    #[test]
    fn reals_are_counted_up_to_the_end() {
        check(0.0, 1.0, 0.1, 11);
        check(1.0, 0.0, -0.25, 5);
        check(1.0, 0.0, 0.25, 0);
        check(0.0, 1.0, 0.0, 0);
        check(2.0, 2.0, 1.0, 1);
        check(0.0, f64::INFINITY, 1.0, i64::MAX);
    }

    #[test]
    fn whole_ranges_may_go_down_and_be_huge() {
        let count =
            |from, to, step| Sequence::new(ColumnType::Long, Cell::Long(from), Cell::Long(to), Cell::Long(step)).count;
        assert_eq!(count(5, 1, -2), 3);
        assert_eq!(count(1, 5, -2), 0);
        assert_eq!(count(1, 1, -2), 1);
        assert_eq!(count(1, 1_000_000_000_000, 1), 1_000_000_000_000);
        assert_eq!(count(i64::MIN, i64::MAX, 1), i64::MAX);
        assert_eq!(Sequence::new(ColumnType::Long, Cell::Null, Cell::Long(1), Cell::Long(1)).count, 0);
    }
}
