//! Many tables read as one: what `union` over plain tables becomes.
//!
//! A plan node per table with an expression per column would make planning `union *` slow: some hundred tables times
//! some thousand columns. Here the tables hang below one scan; a column a table does not have is filled batch by batch.
//! Filters above the scan reach each table that has their columns; they stay in the plan as well.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use moneta_event::Column;

use crate::error::Result;
use crate::steps;

/// What the scan is called in plans.
const NAME: &str = "__merged";

/// What fills a column of the result from the rows of one table.
#[derive(Debug, Clone)]
pub enum Filler {
    /// The table's column of that name.
    Own(Arc<str>),
    /// The same value in every row.
    Constant(ScalarValue),
}

/// One of the tables.
#[derive(Debug)]
pub struct Part {
    /// The table.
    pub provider: Arc<dyn TableProvider>,
    /// One filler per column of the result.
    pub fillers: Vec<Filler>,
}

/// The plan that reads all parts.
///
/// # Shapes
/// The columns given, in order; the rows of the parts in no order.
/// # Errors
/// When a part lacks a column it should have, or DataFusion refuses the plan.
pub fn merged(columns: &[Column], parts: Vec<Part>) -> Result<LogicalPlan> {
    let merged = Merged::new(columns, parts)?;
    let scan = LogicalPlanBuilder::scan(NAME, provider_as_source(Arc::new(merged)), None)?.build()?;
    let outputs = scan.schema().columns().into_iter().map(|own| {
        let name = own.name.clone();
        Expr::Column(own).alias(name)
    });
    let outputs: Vec<Expr> = outputs.collect();
    steps::project(scan, outputs)
}

/// The tables as one.
#[derive(Debug)]
struct Merged {
    schema: SchemaRef,
    parts: Vec<ResolvedPart>,
}

#[derive(Debug)]
struct ResolvedPart {
    provider: Arc<dyn TableProvider>,
    sources: Vec<Source>,
}

/// A filler with its place in the table's schema.
#[derive(Debug, Clone)]
enum Source {
    Own(usize),
    Constant(ScalarValue),
}

impl Merged {
    fn new(columns: &[Column], parts: Vec<Part>) -> Result<Self> {
        let mut nullable = vec![false; columns.len()];
        let mut resolved = Vec::with_capacity(parts.len());
        for part in parts {
            let schema = part.provider.schema();
            let mut sources = Vec::with_capacity(part.fillers.len());
            for (filler, nullable) in part.fillers.into_iter().zip(&mut nullable) {
                sources.push(match filler {
                    Filler::Own(name) => {
                        let index = schema.index_of(&name).map_err(DataFusionError::from)?;
                        *nullable |= schema.field(index).is_nullable();
                        Source::Own(index)
                    }
                    Filler::Constant(value) => {
                        *nullable |= value.is_null();
                        Source::Constant(value)
                    }
                });
            }
            resolved.push(ResolvedPart { provider: part.provider, sources });
        }
        let fields: Vec<Field> = columns
            .iter()
            .zip(nullable)
            .map(|(column, nullable)| column.column_type.computed_field(&column.name).with_nullable(nullable))
            .collect();
        Ok(Self { schema: Arc::new(Schema::new(fields)), parts: resolved })
    }
}

#[async_trait]
impl TableProvider for Merged {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&wanted)?);
        let mut inputs = Vec::with_capacity(self.parts.len());
        let mut layouts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let (own, layout) = part.layout(&wanted);
            let readable = part.readable(&self.schema, filters);
            inputs.push(part.provider.scan(state, Some(&own), &readable, limit).await?);
            layouts.push(layout);
        }
        Ok(Arc::new(MergedExec::new(schema, inputs, layouts.into())))
    }
}

impl ResolvedPart {
    /// The table's columns to read, and how the wanted columns are made of them.
    fn layout(&self, wanted: &[usize]) -> (Vec<usize>, Vec<Source>) {
        let mut own: Vec<usize> = wanted
            .iter()
            .filter_map(|index| match self.sources[*index] {
                Source::Own(index) => Some(index),
                Source::Constant(_) => None,
            })
            .collect();
        own.sort_unstable();
        own.dedup();
        let layout = wanted.iter().map(|index| match &self.sources[*index] {
            Source::Own(index) => Source::Own(own.partition_point(|known| known < index)),
            Source::Constant(value) => Source::Constant(value.clone()),
        });
        let layout = layout.collect();
        (own, layout)
    }

    /// The filters whose columns the table has under the same names, in the same form.
    fn readable(&self, schema: &Schema, filters: &[Expr]) -> Vec<Expr> {
        let own = self.provider.schema();
        let has = |name: &str| match schema.index_of(name).map(|index| &self.sources[index]) {
            Ok(Source::Own(index)) => own.field(*index).name() == name && is_same_form(own.field(*index), schema, name),
            _ => false,
        };
        filters.iter().filter(|filter| filter.column_refs().iter().all(|c| has(&c.name))).cloned().collect()
    }
}

/// Reads the parts one after another's partitions: as many partitions as all inputs have together.
#[derive(Debug)]
struct MergedExec {
    schema: SchemaRef,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    layouts: Arc<[Vec<Source>]>,
    properties: Arc<PlanProperties>,
}

impl MergedExec {
    fn new(schema: SchemaRef, inputs: Vec<Arc<dyn ExecutionPlan>>, layouts: Arc<[Vec<Source>]>) -> Self {
        let partitions = inputs.iter().map(partition_count).sum();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { schema, inputs, layouts, properties: Arc::new(properties) }
    }

    /// The input a partition belongs to, and its number there.
    fn place(&self, partition: usize) -> Option<(usize, usize)> {
        let mut left = partition;
        for (index, input) in self.inputs.iter().enumerate() {
            let own = partition_count(input);
            if left < own {
                return Some((index, left));
            }
            left -= own;
        }
        None
    }
}

fn partition_count(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.properties().output_partitioning().partition_count()
}

impl DisplayAs for MergedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MergedExec: tables={}, columns={}", self.inputs.len(), self.schema.fields().len())
    }
}

impl ExecutionPlan for MergedExec {
    fn name(&self) -> &'static str {
        "MergedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(Arc::clone(&self.schema), children, Arc::clone(&self.layouts))))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(Arc::clone(&self.schema), children, Arc::clone(&self.layouts))))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> PlanResult<SendableRecordBatchStream> {
        let Some((input, own_partition)) = self.place(partition) else {
            return Err(DataFusionError::Internal(format!("there is no partition {partition}")));
        };
        let rows = self.inputs[input].execute(own_partition, context)?;
        let (schema, layouts) = (Arc::clone(&self.schema), Arc::clone(&self.layouts));
        let padded = rows.map(move |batch| padded(&batch?, &layouts[input], &schema));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), padded)))
    }
}

/// Whether the table's column needs no conversion into the one of all tables.
fn is_same_form(own: &Field, schema: &Schema, name: &str) -> bool {
    let is_decimal = |data_type: &DataType| matches!(data_type, DataType::Decimal128(..) | DataType::Decimal256(..));
    let form = schema.field_with_name(name).map(Field::data_type);
    !is_decimal(own.data_type()) || form.is_ok_and(|form| form == own.data_type())
}

/// The rows of one table with the columns of all.
fn padded(batch: &RecordBatch, layout: &[Source], schema: &SchemaRef) -> PlanResult<RecordBatch> {
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(layout.len());
    for (source, field) in layout.iter().zip(schema.fields()) {
        arrays.push(match source {
            Source::Own(index) if batch.column(*index).data_type() == field.data_type() => {
                Arc::clone(batch.column(*index))
            }
            Source::Own(index) => arrow::compute::cast(batch.column(*index), field.data_type())?,
            Source::Constant(value) => value.to_array_of_size(batch.num_rows())?,
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}
