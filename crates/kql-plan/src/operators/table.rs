//! A table of the catalog.

use arrow::datatypes::{DataType, Field};
use datafusion::common::{Column as PlanColumn, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};

use super::TabularOperator;
use crate::bound::Relation;
use crate::error::{Error, Result};
use crate::lower::LowerContext;
use crate::steps;

/// Reads a table.
#[derive(Debug)]
pub struct Table {
    /// Its name in the catalog.
    pub table: String,
}

impl TabularOperator for Table {
    fn name(&self) -> &'static str {
        "table"
    }

    fn details(&self) -> String {
        self.table.clone()
    }

    fn inputs(&self) -> Vec<&Relation> {
        Vec::new()
    }

    fn lower(&self, relation: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let provider = ctx.tables.provider(&self.table).ok_or_else(|| Error::NoTable { table: self.table.clone() })?;
        let reference = TableReference::bare(self.table.as_str());
        let stored = provider.schema();
        let scan = LogicalPlanBuilder::scan(reference.clone(), provider_as_source(provider), None)?.build()?;
        // Without the qualifier a table may stand on both sides of a join.
        let kept = relation.columns.iter().zip(ctx.kept(&relation.columns)).filter(|(_, kept)| *kept);
        let columns = kept.map(|(column, _)| {
            let read = Expr::Column(PlanColumn::new(Some(reference.clone()), &*column.name));
            // Queries compute with more digits than tables keep.
            let widened = match stored.field_with_name(&column.name).map(Field::data_type) {
                Ok(DataType::Decimal128(..)) => cast(read, column.column_type.computed()),
                _ => read,
            };
            widened.alias(&*column.name)
        });
        steps::project(scan, columns)
    }

    fn as_table(&self) -> Option<&str> {
        Some(&self.table)
    }
}
