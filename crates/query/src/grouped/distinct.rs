//! The first step of counting distinct values in many groups at once. DataFusion has that for numbers only, and looks
//! at other values group by group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, UInt32Array, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, UInt64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

/// The distinct values of each group, in one table of pairs.
pub(super) struct DistinctValues {
    /// The field of the values in the state.
    item: FieldRef,
    pairs: Box<dyn GroupValues>,
    num_groups: usize,
}

impl DistinctValues {
    /// For a function that counts distinct values and has no such step of its own; `None` for every other.
    pub(super) fn of(function: &AggregateFunctionExpr) -> Result<Option<Self>> {
        if !function.is_distinct() || function.fun().name() != "count" || function.groups_accumulator_supported() {
            return Ok(None);
        }
        let state = function.state_fields()?;
        let [state] = state.as_slice() else { return Ok(None) };
        let DataType::List(item) = state.data_type() else { return Ok(None) };
        let fields = vec![Field::new("group", DataType::UInt64, false), item.as_ref().clone().with_name("value")];
        let pairs = new_group_values(Arc::new(Schema::new(fields)), &GroupOrdering::None)?;
        Ok(Some(Self { item: item.clone(), pairs, num_groups: 0 }))
    }
}

impl GroupsAccumulator for DistinctValues {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.num_groups = total_num_groups;
        let groups: ArrayRef = Arc::new(UInt64Array::from_iter_values(group_indices.iter().map(|group| *group as u64)));
        let counts = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let mut columns = [groups, values[0].clone()];
        if filter.is_some() || values[0].null_count() > 0 {
            let counted: BooleanArray =
                (0..group_indices.len()).map(|row| Some(counts(row) && values[0].is_valid(row))).collect();
            for column in &mut columns {
                *column = arrow::compute::filter(column, &counted)?;
            }
        }
        self.pairs.intern(&columns, &mut Vec::new())
    }

    fn evaluate(&mut self, _: EmitTo) -> Result<ArrayRef> {
        Err(DataFusionError::Internal("only the first step of counting distinct values is done here".to_owned()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        if emit_to != EmitTo::All {
            return Err(DataFusionError::Internal(
                "groups leave the first step of an aggregation all at once".to_owned(),
            ));
        }
        let columns = self.pairs.emit(EmitTo::All)?;
        let groups = columns[0].as_primitive::<UInt64Type>();
        let mut counts = vec![0usize; std::mem::take(&mut self.num_groups)];
        let group_of = |row: usize| usize::try_from(groups.value(row)).unwrap_or(usize::MAX);
        (0..groups.len()).for_each(|row| counts[group_of(row)] += 1);
        // Values in order of their groups: each goes to the next free place of its group.
        let offsets = OffsetBuffer::<i32>::from_lengths(counts.iter().copied());
        let mut next: Vec<usize> = offsets[..counts.len()].iter().map(|at| usize::try_from(*at).unwrap_or(0)).collect();
        let mut order = vec![0u32; groups.len()];
        for row in 0..groups.len() {
            let place = &mut next[group_of(row)];
            order[*place] =
                u32::try_from(row).map_err(|_| DataFusionError::ResourcesExhausted("distinct values".to_owned()))?;
            *place += 1;
        }
        let values = arrow::compute::take(&columns[1], &UInt32Array::from(order), None)?;
        Ok(vec![Arc::new(ListArray::try_new(self.item.clone(), offsets, values, None)?)])
    }

    fn merge_batch(&mut self, _: &[ArrayRef], _: &[usize], _: usize) -> Result<()> {
        Err(DataFusionError::Internal("only the first step of counting distinct values is done here".to_owned()))
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let counts = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let counted: BooleanArray =
            (0..values[0].len()).map(|row| Some(counts(row) && values[0].is_valid(row))).collect();
        let lengths = counted.iter().map(|counted| usize::from(counted == Some(true)));
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        let values = arrow::compute::filter(&values[0], &counted)?;
        Ok(vec![Arc::new(ListArray::try_new(self.item.clone(), offsets, values, None)?)])
    }

    fn size(&self) -> usize {
        self.pairs.size()
    }
}
