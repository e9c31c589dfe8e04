//! `mv-apply`: a subquery over the elements of each row.
//!
//! The subquery runs once over all rows: each input row gets a number, the elements carry it and copies of the row's
//! columns in hidden columns (see [`is_hidden`]), and every operator inside works per number.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{MvApplyOperator, Operator, WhereOperator};

use super::project::Project;
use crate::binder::{Binder, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::functions::Function;
use crate::functions::row::Answer;

/// What the names of hidden columns start with.
pub(crate) const HIDDEN: &str = "__apply";
/// The greatest number of elements of one row.
const LIMIT_MAX: usize = 1_000_000;

/// A number no other row has.
static ROW_ID: Function = Function::row("kql_row_id", &["() -> long"], |_, _| {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    Answer::Long(NEXT.fetch_add(1, Ordering::Relaxed))
})
.volatile()
.handles_nulls();

/// Whether a column is carried along for `mv-apply` and not for the query to see.
#[must_use]
pub fn is_hidden(name: &str) -> bool {
    name.starts_with(HIDDEN)
}

/// The hidden column that says whether a row still counts: see [`Binder::bind_where_kept`].
const KEPT: &str = "__apply_kept";

/// The column that says whether a row still counts, if there is one.
#[must_use]
pub fn kept(columns: &[Column]) -> Option<&Column> {
    columns.iter().find(|column| &*column.name == KEPT)
}

/// Whether the rows left by a filter go, one by one, into an aggregation over all rows of each group.
///
/// Such an aggregation gives a row even where the filter has left none.
#[must_use]
pub fn ends_in_aggregation(operators: &[Operator]) -> bool {
    for operator in operators {
        match operator {
            Operator::Where(_)
            | Operator::Extend(_)
            | Operator::Project(_)
            | Operator::ProjectAway(_)
            | Operator::ProjectKeep(_)
            | Operator::ProjectRename(_)
            | Operator::ProjectReorder(_)
            | Operator::Parse(_)
            | Operator::ParseKv(_)
            | Operator::Sort(_) => {}
            Operator::Summarize(node) => {
                return node.by.as_ref().is_none_or(Vec::is_empty) && !node.aggregates.is_empty();
            }
            Operator::Count(_) => return true,
            _ => return false,
        }
    }
    false
}

/// The hidden columns that say which input row of the surrounding `mv-apply` a row belongs to, and whether it counts.
#[must_use]
pub fn partition(columns: &[Column]) -> Vec<Arc<str>> {
    let ids = columns.iter().filter(|c| is_hidden(&c.name) && (c.name.ends_with("_id") || &*c.name == KEPT));
    ids.map(|c| Arc::clone(&c.name)).collect()
}

impl Binder<'_> {
    /// A `where` in front of an aggregation inside `mv-apply` or `partition`: the rows stay, so that no group is lost,
    /// and a hidden column says which of them count.
    pub(crate) fn bind_where_kept(&mut self, input: Relation, node: &WhereOperator) -> Option<Relation> {
        let predicate = self.predicate(&node.predicate, &mut Row::of(&input))?;
        let before = kept(&input.columns).map(ScalarExpr::column);
        let all = before.into_iter().chain([predicate]).collect();
        let counts = ScalarExpr::new(ColumnType::Bool, ScalarNode::And(all));
        let others = input.columns.iter().filter(|c| &*c.name != KEPT);
        let mut outputs: Vec<(Column, ScalarExpr)> = others.map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        outputs.push((Column::new(KEPT, ColumnType::Bool), counts));
        Some(Project::exact("where", input, outputs))
    }

    /// `mv-apply x = array to typeof(long) on (query)`.
    pub(crate) fn bind_mv_apply(&mut self, input: Relation, node: &MvApplyOperator) -> Option<Relation> {
        let limit = match &node.limit {
            Some(limit) => self.row_count(limit)?.min(LIMIT_MAX),
            None => LIMIT_MAX,
        };
        let level = self.fresh();
        let id: Arc<str> = format!("{HIDDEN}{level}_id").into();
        let visible: Vec<Column> = input.columns.iter().filter(|c| !is_hidden(&c.name)).cloned().collect();
        let outer: Vec<Column> = input.columns.iter().filter(|c| is_hidden(&c.name)).cloned().collect();
        let copy = |index: usize, column: &Column| Column::new(&format!("{HIDDEN}{level}_{index}"), column.column_type);
        let mut staged: Vec<(Column, ScalarExpr)> =
            input.columns.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        let number = ScalarExpr::new(ColumnType::Long, ScalarNode::Call { function: &ROW_ID, args: Vec::new() });
        staged.push((Column { name: Arc::clone(&id), column_type: ColumnType::Long }, number));
        staged.extend(visible.iter().enumerate().map(|(index, c)| (copy(index, c), ScalarExpr::column(c))));
        let numbered = Project::exact("mv-apply", input, staged);
        let expanded = self.expanded(numbered, &node.columns, &node.parameters, limit)?;
        let result = self.subquery(expanded, &node.query)?;
        if result.column(&id).is_none() {
            let message = "the query of this mv-apply uses an operator that is not supported inside mv-apply";
            return self.fail(codes::UNSUPPORTED, node.query.span, message);
        }
        let own = visible.iter().enumerate().map(|(index, c)| match result.column(&c.name) {
            Some(changed) => (changed.clone(), ScalarExpr::column(changed)),
            None => (c.clone(), ScalarExpr::column(&copy(index, c))),
        });
        let added = result.columns.iter().filter(|c| !is_hidden(&c.name) && !visible.iter().any(|v| v.name == c.name));
        let outputs = own
            .chain(added.map(|c| (c.clone(), ScalarExpr::column(c))))
            .chain(outer.iter().map(|c| (c.clone(), ScalarExpr::column(c))))
            .collect();
        let mut bound = Project::exact("mv-apply", result, outputs);
        bound.order = Arc::new([]);
        Some(bound)
    }
}
