//! What names mean beside columns: `let` values, function parameters, tables named on the way.

use std::rc::Rc;

use moneta_kql::syntax::FunctionDeclaration;

use crate::bound::{Relation, ScalarExpr};

/// What a name stands for.
#[derive(Debug, Clone)]
pub enum Binding {
    /// A value.
    Scalar(ScalarExpr),
    /// Rows.
    Table(Relation),
    /// A function, with the names it saw where it was declared.
    Function(Rc<FunctionDeclaration>, Scope),
    /// A declaration that went wrong and was reported.
    Failed,
}

/// A chain of declarations, the newest first. Cheap to clone; functions keep the one they were declared in.
#[derive(Debug, Clone, Default)]
pub struct Scope(Option<Rc<Node>>);

#[derive(Debug)]
struct Node {
    name: String,
    binding: Binding,
    parent: Scope,
}

impl Scope {
    /// This scope and one name more.
    #[must_use]
    pub fn with(&self, name: &str, binding: Binding) -> Self {
        Self(Some(Rc::new(Node { name: name.to_owned(), binding, parent: self.clone() })))
    }

    /// What a name stands for.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Binding> {
        let mut at = self;
        while let Some(node) = &at.0 {
            if node.name == name {
                return Some(&node.binding);
            }
            at = &node.parent;
        }
        None
    }

    /// All names with what they stand for, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Binding)> {
        let mut at = self;
        std::iter::from_fn(move || {
            let node = at.0.as_deref()?;
            at = &node.parent;
            Some((node.name.as_str(), &node.binding))
        })
    }
}
