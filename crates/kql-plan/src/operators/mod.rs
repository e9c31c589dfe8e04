//! The tabular operators: one file each (or per family), holding how it is bound and how it is lowered.

pub mod apply;
pub mod datatable;
pub mod evaluate;
pub mod expand;
pub mod external;
pub mod filter;
pub mod gathered;
pub mod graph;
pub mod join;
pub mod make_series;
pub mod materialize;
pub mod merged;
pub mod parse;
pub mod parse_kv;
pub mod partition;
pub mod plugins;
pub mod project;
pub mod range;
pub mod reduce;
pub mod results;
pub mod sample;
pub mod scan;
pub mod search;
pub mod sort;
pub mod summarize;
pub mod table;
pub mod top_nested;
pub mod union;

use std::fmt::Debug;

use datafusion::logical_expr::LogicalPlan;

use crate::bound::Relation;
use crate::error::Result;
use crate::lower::LowerContext;

/// A bound tabular operator.
pub trait TabularOperator: Debug + Send + Sync {
    /// Its name in the printed tree.
    fn name(&self) -> &'static str;

    /// What it does, in one line, for the printed tree.
    fn details(&self) -> String;

    /// The relations it reads.
    fn inputs(&self) -> Vec<&Relation>;

    /// Its plan. The plan has at least the relation's columns, under their names.
    ///
    /// # Errors
    /// When a table is gone, or when DataFusion refuses the plan.
    fn lower(&self, relation: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan>;

    /// Whether the plan itself ends in the order the relation promises.
    fn keeps_own_order(&self) -> bool {
        false
    }

    /// The filter, if this operator is one: its input and its predicate.
    fn as_filter(&self) -> Option<(&Relation, &crate::bound::ScalarExpr)> {
        None
    }

    /// Whether its columns depend on the data, so that more names may mean something than are known.
    fn columns_depend_on_data(&self) -> bool {
        false
    }

    /// Whether columns of its input that are not known by name are still there in its result.
    fn passes_columns(&self) -> bool {
        true
    }

    /// The graph, if the operator gives one and not rows.
    fn as_graph(&self) -> Option<&graph::Graph> {
        None
    }

    /// The table it scans, if it does.
    fn as_table(&self) -> Option<&str> {
        None
    }
}
