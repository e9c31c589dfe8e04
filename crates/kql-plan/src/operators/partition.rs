//! `partition by column (query)`: a query over the rows of each value of a column.
//!
//! As in `mv-apply` the query runs once over all rows: the column stands in a hidden column too, and every operator
//! inside works per value of it. A query of its own, in braces, is run over its table once for each value.

use std::sync::Arc;

use moneta_event::Column;
use moneta_kql::syntax::{Expression, OperatorParameter, PartitionBody, PartitionOperator, PipeExpression};

use super::apply::{is_hidden, partition};
use super::join::Join;
use super::project::Project;
use super::summarize::Summarize;
use crate::binder::{Binder, Row, codes};
use crate::bound::{Relation, ScalarExpr};

/// How the name of the hidden column ends that holds the key.
const KEY: &str = "_key_id";

/// Whether groups are told apart by numbers that are given out anew each time the rows are read, as in `mv-apply`.
#[must_use]
pub fn is_numbered(columns: &[Column]) -> bool {
    partition(columns).iter().any(|name| name.ends_with("_id") && !name.ends_with(KEY))
}

impl Binder<'_> {
    /// `partition hint.strategy=native by column (query)`.
    pub(crate) fn bind_partition(&mut self, input: Relation, node: &PartitionOperator) -> Option<Relation> {
        self.partition_strategy(&node.parameters)?;
        if let Some(scope) = &node.scope {
            let message = "`in` after the column of partition is not supported; filter the rows before partition";
            return self.fail(codes::UNSUPPORTED, scope.span(), message);
        }
        let key = self.scalar(&node.by, &mut Row::of(&input))?;
        let Some(name) = key.as_column().cloned() else {
            return self.fail(codes::NAME_EXPECTED, node.by.span(), "partition needs a column after `by`");
        };
        match &node.body {
            PartitionBody::Subquery(query) => self.partitioned(input, &key, query),
            PartitionBody::Query(Expression::Pipe(query)) if query.source.is_none() => {
                self.partitioned(input, &key, query)
            }
            PartitionBody::Query(query) => self.per_value(input, &key, &name, query),
        }
    }

    /// All strategies give the same rows.
    fn partition_strategy(&mut self, parameters: &[OperatorParameter]) -> Option<()> {
        let Some(parameter) = parameters.iter().find(|p| p.name.text == "hint.strategy") else { return Some(()) };
        match parameter.word() {
            Some("native" | "shuffle" | "legacy") => Some(()),
            _ => self.fail(codes::UNKNOWN_WORD, parameter.span, "the strategy is one of native, shuffle and legacy"),
        }
    }

    /// A query over the rows themselves.
    pub(crate) fn partitioned(
        &mut self,
        input: Relation,
        key: &ScalarExpr,
        query: &PipeExpression,
    ) -> Option<Relation> {
        let hidden = self.hidden_key(key);
        let mut staged: Vec<(Column, ScalarExpr)> =
            input.columns.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        staged.push((hidden.clone(), key.clone()));
        let order = Arc::clone(&input.order);
        let staged = Project::exact("partition", input, staged).ordered(order);
        let result = self.subquery(staged, query)?;
        self.without_key(result, &hidden, query.span)
    }

    /// A query with a source of its own, which may use the key as a value.
    fn per_value(&mut self, input: Relation, key: &ScalarExpr, name: &str, query: &Expression) -> Option<Relation> {
        let hidden = self.hidden_key(key);
        let columns = vec![hidden.clone()];
        let keys = vec![(hidden.clone(), key.clone())];
        let values = Relation::new(columns, Summarize { input, keys, aggregates: Vec::new() });
        let (source, operators) = match query.unparenthesized() {
            Expression::Pipe(pipe) => (pipe.source.as_ref(), pipe.operators.clone()),
            other => (Some(other), Vec::new()),
        };
        let Some(source) = source else {
            return self.fail(codes::SHAPE, query.span(), "the query has no source");
        };
        let rows = self.relation(source)?;
        if !partition(&rows.columns).is_empty() {
            let message = "a partition with a source of its own cannot stand inside mv-apply or partition";
            return self.fail(codes::UNSUPPORTED, query.span(), message);
        }
        let crossed = Join::crossed(rows, values);
        let value = ScalarExpr::column(&hidden);
        let pipe = PipeExpression { span: query.span(), source: None, operators };
        let result = self.with_value(name, value, |binder| binder.subquery(crossed, &pipe))?;
        self.without_key(result, &hidden, query.span())
    }

    fn hidden_key(&mut self, key: &ScalarExpr) -> Column {
        Column::new(&format!("{}{}{KEY}", super::apply::HIDDEN, self.fresh()), key.column_type)
    }

    /// The rows without the hidden column, which must still be there.
    fn without_key(&mut self, result: Relation, hidden: &Column, span: moneta_kql::syntax::Span) -> Option<Relation> {
        if result.column(&hidden.name).is_none() {
            let message = "the query of this partition uses an operator that is not supported inside partition";
            return self.fail(codes::UNSUPPORTED, span, message);
        }
        let kept = result.columns.iter().filter(|c| c.name != hidden.name);
        let outputs = kept.map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        debug_assert!(is_hidden(&hidden.name));
        let mut bound = Project::exact("partition", result, outputs);
        bound.order = Arc::new([]);
        Some(bound)
    }
}
