//! A table of the catalog.

use datafusion::common::{Column as PlanColumn, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::TabularOperator;
use crate::bound::Relation;
use crate::error::{Error, Result};
use crate::lower::LowerContext;

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
        let scan = LogicalPlanBuilder::scan(reference.clone(), provider_as_source(provider), None)?;
        // Without the qualifier a table may stand on both sides of a join.
        let kept = relation.columns.iter().zip(ctx.kept(&relation.columns)).filter(|(_, kept)| *kept);
        let columns =
            kept.map(|(c, _)| Expr::Column(PlanColumn::new(Some(reference.clone()), &*c.name)).alias(&*c.name));
        Ok(scan.project(columns)?.build()?)
    }

    fn as_table(&self) -> Option<&str> {
        Some(&self.table)
    }
}
