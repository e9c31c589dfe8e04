//! `fork` and `facet`, which give several results; `assert-schema` and `consume`, which give the rows or none.

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{AssertSchemaOperator, Expression, FacetOperator, ForkOperator};

use super::sort::Sort;
use super::summarize::{BoundAggregate, Summarize};
use crate::aggregates;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::Relation;

/// The greatest number of results of one `fork` or `facet`.
const RESULTS_MAX: usize = 64;

impl Binder<'_> {
    /// `fork (query) name = (query)`: one result per query.
    pub(crate) fn bind_fork(&mut self, input: Relation, node: &ForkOperator) -> Option<Relation> {
        if node.branches.len() > RESULTS_MAX {
            return self.fail(codes::LIMIT, node.span, format!("fork takes at most {RESULTS_MAX} queries"));
        }
        let mut results = Vec::new();
        for branch in &node.branches {
            results.push(self.subquery(input.clone(), &branch.query)?);
        }
        self.several(results, node.span)
    }

    /// `facet by a, b with (query)`: the values of each column with their counts, then the query.
    pub(crate) fn bind_facet(&mut self, input: Relation, node: &FacetOperator) -> Option<Relation> {
        if node.columns.len() > RESULTS_MAX {
            return self.fail(codes::LIMIT, node.span, format!("facet takes at most {RESULTS_MAX} columns"));
        }
        let mut results = Vec::new();
        for column in &node.columns {
            results.push(self.counted(&input, column)?);
        }
        if let Some(query) = &node.with {
            results.push(self.subquery(input, query)?);
        }
        self.several(results, node.span)
    }

    /// The values of a column and `count_<column>`.
    fn counted(&mut self, input: &Relation, column: &Expression) -> Option<Relation> {
        let key = self.scalar(column, &mut Row::of(input))?;
        let Some(name) = key.as_column().cloned() else {
            return self.fail(codes::NAME_EXPECTED, column.span(), "facet needs columns after `by`");
        };
        let mut names = Names::default();
        let key_column = Column::new(&names.unique(&name), key.column_type);
        let count = Column::new(&names.unique(&format!("count_{name}")), ColumnType::Long);
        let aggregate = BoundAggregate {
            function: aggregates::registry().get("count")?,
            args: Vec::new(),
            predicate: None,
            outputs: vec![count.clone()],
        };
        let keys = vec![(key_column.clone(), key)];
        let grouped = Summarize { input: input.clone(), keys, aggregates: vec![aggregate] };
        Some(Relation::new(vec![key_column, count], grouped))
    }

    /// Keeps all results but the first for the end of the statement.
    fn several(&mut self, results: Vec<Relation>, span: moneta_kql::syntax::Span) -> Option<Relation> {
        let mut results = results.into_iter();
        let first = results.next()?;
        self.further_results(results.collect(), span)?;
        Some(first)
    }

    /// `assert-schema (a:string, b:long)`: the rows, if they have exactly these columns.
    pub(crate) fn bind_assert_schema(&mut self, input: Relation, node: &AssertSchemaOperator) -> Option<Relation> {
        let wanted = self.schema_columns(&node.schema)?;
        let found = Row::of(&input).columns;
        if *found == *wanted {
            return Some(input);
        }
        let shown = |columns: &[Column]| {
            columns.iter().map(|c| format!("{}:{}", c.name, c.column_type)).collect::<Vec<_>>().join(", ")
        };
        let message = format!("the rows have the columns ({}) and not ({})", shown(&found), shown(&wanted));
        self.fail(codes::SHAPE, node.span, message)
    }

    /// `consume`: the columns without the rows. There is nothing to gain from reading what nobody sees.
    pub(crate) fn bind_consume(input: Relation) -> Relation {
        Relation::new(input.columns.to_vec(), Sort { input, keys: Vec::new(), limit: Some(0) })
    }
}
