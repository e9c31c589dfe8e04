//! `datatable`, `print` and everything else whose rows are written in the query.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use datafusion::common::{Column as PlanColumn, TableReference};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::scalar::ScalarValue;
use moneta_event::Column;
use moneta_kql::syntax::{DatatableExpression, PrintOperator, RowSchema};

use super::TabularOperator;
use super::project::Project;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::error::Result;
use crate::lower::LowerContext;
use crate::steps;
use crate::value::Value;

/// Rows of constants.
#[derive(Debug)]
pub struct Rows {
    /// The rows, each with a value per column.
    pub rows: Vec<Vec<Value>>,
}

impl TabularOperator for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn details(&self) -> String {
        format!("{}", self.rows.len())
    }

    fn inputs(&self) -> Vec<&Relation> {
        Vec::new()
    }

    fn lower(&self, relation: &Relation, _: &LowerContext<'_>) -> Result<LogicalPlan> {
        let schema = Arc::new(Schema::new(
            relation
                .columns
                .iter()
                .map(|c| c.column_type.computed_field(&c.name).with_metadata([].into()))
                .collect::<Vec<_>>(),
        ));
        let mut arrays = Vec::with_capacity(relation.columns.len());
        for (index, column) in relation.columns.iter().enumerate() {
            let values = self.rows.iter().map(|row| row[index].to_scalar());
            arrays.push(if self.rows.is_empty() {
                arrow::array::new_empty_array(&column.column_type.computed())
            } else {
                ScalarValue::iter_to_array(values)?
            });
        }
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options)
            .map_err(datafusion::error::DataFusionError::from)?;
        let table = MemTable::try_new(schema, vec![vec![batch]])?;
        let reference = TableReference::bare("__rows");
        let scan = LogicalPlanBuilder::scan(reference.clone(), provider_as_source(Arc::new(table)), None)?.build()?;
        let columns = relation
            .columns
            .iter()
            .map(|c| Expr::Column(PlanColumn::new(Some(reference.clone()), &*c.name)).alias(&*c.name));
        steps::project(scan, columns)
    }
}

impl Binder<'_> {
    /// The columns of a schema written in the query.
    pub(crate) fn schema_columns(&mut self, schema: &RowSchema) -> Option<Vec<Column>> {
        let mut columns: Vec<Column> = Vec::new();
        for declaration in &schema.columns {
            let column_type = self.declared_type(&declaration.ty)?;
            if columns.iter().any(|c| *c.name == *declaration.name.text) {
                let message = format!("the column `{}` is declared twice", declaration.name.text);
                return self.fail(codes::DUPLICATE, declaration.name.span, message);
            }
            columns.push(Column::new(&declaration.name.text, column_type));
        }
        Some(columns)
    }

    /// `datatable (schema) [values]`.
    pub(crate) fn bind_datatable(&mut self, node: &DatatableExpression) -> Option<Relation> {
        let columns = self.schema_columns(&node.schema)?;
        if columns.is_empty() || !node.values.len().is_multiple_of(columns.len()) {
            let message = format!("{} values do not fill rows of {} columns", node.values.len(), columns.len());
            return self.fail(codes::DATATABLE, node.span, message);
        }
        let mut values = Vec::with_capacity(node.values.len());
        for (index, expression) in node.values.iter().enumerate() {
            let column_type = columns[index % columns.len()].column_type;
            let bound = self.scalar(expression, &mut Row::none())?.converted(column_type);
            match bound.as_literal() {
                Some(value) => values.push(value.clone()),
                None => {
                    return self.fail(codes::DATATABLE, expression.span(), "a value of a datatable must be constant");
                }
            }
        }
        let rows = values.chunks(columns.len()).map(<[Value]>::to_vec).collect();
        Some(Relation::new(columns, Rows { rows }))
    }

    /// `print a = x, y`.
    pub(crate) fn bind_print(&mut self, node: &PrintOperator) -> Option<Relation> {
        let mut names = Names::default();
        let mut outputs: Vec<(Column, ScalarExpr)> = Vec::new();
        for (index, named) in node.expressions.iter().enumerate() {
            let entries = self.named_scalars(named, &mut Row::none())?;
            let alone = entries.len() == 1;
            for (own, bound, explicit) in entries {
                let own = own.filter(|_| explicit || !alone);
                let wanted = own.unwrap_or_else(|| format!("print_{index}"));
                outputs.push((Column::new(&names.unique(&wanted), bound.column_type), bound));
            }
        }
        let one_row = Relation::new(Vec::new(), OneRow);
        Some(Project::relation("print", one_row, outputs))
    }
}

/// One row without columns: what `print` computes on.
#[derive(Debug)]
pub struct OneRow;

impl TabularOperator for OneRow {
    fn name(&self) -> &'static str {
        "one row"
    }

    fn details(&self) -> String {
        String::new()
    }

    fn inputs(&self) -> Vec<&Relation> {
        Vec::new()
    }

    fn lower(&self, _: &Relation, _: &LowerContext<'_>) -> Result<LogicalPlan> {
        Ok(LogicalPlanBuilder::empty(true).build()?)
    }
}
