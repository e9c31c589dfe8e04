//! What the binder saw on its way through a text, for completion and hover. Nothing is noted while queries run.

use std::sync::Arc;

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{Operator, Span, SyntaxTree};

use super::scope::Scope;
use super::{BindOptions, Binder, Catalog};
use crate::bound::{Relation, ScalarExpr};

/// Notes of each kind at most: an editor asks about texts of people, and more would only cost memory.
const NOTES_MAX: usize = 20_000;

/// An operator that was reached.
#[derive(Debug, Clone)]
pub struct ReachedOperator {
    /// Where it stands.
    pub span: Span,
    /// The columns that come in; none if it makes rows itself.
    pub columns: Arc<[Column]>,
    /// The names it sees.
    pub scope: Scope,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Sight {
    /// The operators in the order of binding.
    pub operators: Vec<ReachedOperator>,
    /// Tabular expressions with their columns.
    pub relations: Vec<(Span, Arc<[Column]>)>,
    /// Scalar expressions with their types.
    pub values: Vec<(Span, ColumnType)>,
    /// The names declared at the end of the text.
    pub scope: Scope,
}

/// Binds as much of a text as can be bound, and says what was seen.
#[must_use]
pub fn see(tree: &SyntaxTree, catalog: &dyn Catalog, options: &BindOptions) -> Sight {
    let mut binder = Binder::new(catalog, options);
    binder.sight = Some(Box::default());
    binder.statements(&tree.statements);
    let mut sight = binder.sight.take().map(|sight| *sight).unwrap_or_default();
    sight.scope = binder.scope;
    sight
}

impl Binder<'_> {
    /// Notes an operator before it is bound.
    pub(super) fn note_operator(&mut self, input: Option<&Relation>, operator: &Operator) {
        let Some(sight) = self.sight.as_mut().filter(|sight| sight.operators.len() < NOTES_MAX) else { return };
        let columns = input.map_or_else(|| Arc::from([]), |input| Arc::clone(&input.columns));
        sight.operators.push(ReachedOperator { span: operator.span(), columns, scope: self.scope.clone() });
    }

    /// Notes rows that were bound.
    pub(super) fn note_relation(&mut self, span: Span, relation: Option<&Relation>) {
        if let (Some(sight), Some(relation)) = (self.sight.as_mut(), relation)
            && sight.relations.len() < NOTES_MAX
        {
            sight.relations.push((span, Arc::clone(&relation.columns)));
        }
    }

    /// Notes a value that was bound.
    pub(super) fn note_value(&mut self, span: Span, value: &ScalarExpr) {
        if let Some(sight) = self.sight.as_mut().filter(|sight| sight.values.len() < NOTES_MAX) {
            sight.values.push((span, value.column_type));
        }
    }
}
