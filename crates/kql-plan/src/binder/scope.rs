//! What names mean beside columns: `let` values, function parameters, tables named on the way.

use std::rc::Rc;

use moneta_kql::syntax::{EntityGroupExpression, Expression, FunctionDeclaration, PatternDefinition};

use super::entities::{self, Database};
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
    /// A pattern.
    Pattern(Pattern),
    /// A database.
    Database(Database),
    /// Several databases.
    Group(Rc<EntityGroupExpression>),
    /// A value of each row, seen from a query of its own, which has other rows.
    OtherRow,
    /// A declaration that went wrong and was reported.
    Failed,
}

/// A declared pattern, with the names it saw where it was declared.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// Its rules; `None` for a bare declaration.
    pub definition: Option<Rc<PatternDefinition>>,
    /// The names its rules see.
    pub scope: Scope,
}

/// A chain of declarations, the newest first. Cheap to clone; functions keep the one they were declared in.
#[derive(Debug, Clone, Default)]
pub struct Scope(Option<Rc<Node>>);

#[derive(Debug)]
struct Node {
    entry: Entry,
    /// The bytes of text a name stands for, with the names in it written out.
    written_bytes: usize,
    parent: Scope,
}

#[derive(Debug)]
enum Entry {
    /// A name and what it stands for.
    Name(String, Binding),
    /// `restrict access to`: of the tables declared before, only these are seen from here on.
    Restriction(Vec<Expression>),
}

impl Scope {
    /// This scope and one name more.
    #[must_use]
    pub fn with(&self, name: &str, binding: Binding) -> Self {
        self.with_written(name, binding, 0)
    }

    /// This scope and one name more, which stands for so many bytes of text with the names in it written out.
    #[must_use]
    pub fn with_written(&self, name: &str, binding: Binding, written_bytes: usize) -> Self {
        let entry = Entry::Name(name.to_owned(), binding);
        Self(Some(Rc::new(Node { entry, written_bytes, parent: self.clone() })))
    }

    /// The bytes of text a name stands for.
    #[must_use]
    pub fn written_bytes(&self, name: &str) -> usize {
        let is_name = |node: &&Node| matches!(&node.entry, Entry::Name(known, _) if known == name);
        self.nodes().find(is_name).map_or(0, |node| node.written_bytes)
    }

    /// This scope, in which only these tables, views and functions are seen.
    #[must_use]
    pub fn restricted(&self, entities: Vec<Expression>) -> Self {
        let entry = Entry::Restriction(entities);
        Self(Some(Rc::new(Node { entry, written_bytes: 0, parent: self.clone() })))
    }

    /// This scope as a query inside an expression sees it: what stands for a value of the row outside has none there.
    #[must_use]
    pub fn without_row_values(&self) -> Self {
        let mut seen = std::collections::HashSet::new();
        let of_rows: Vec<&str> = self
            .iter()
            .filter(|(name, _)| seen.insert(*name))
            .filter(|(_, binding)| matches!(binding, Binding::Scalar(value) if value.reads_outside(&[])))
            .map(|(name, _)| name)
            .collect();
        of_rows.into_iter().fold(self.clone(), |scope, name| scope.with(name, Binding::OtherRow))
    }

    /// What a name stands for; nothing where a restriction hides it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Binding> {
        let mut hidden = false;
        for entry in self.entries() {
            match entry {
                Entry::Name(known, binding) if known == name => {
                    let restrictable = matches!(binding, Binding::Table(_) | Binding::Function(..));
                    return (!(hidden && restrictable)).then_some(binding);
                }
                Entry::Name(..) => {}
                Entry::Restriction(entities) => {
                    hidden |= !entities.iter().any(|entity| entities::admits_declared(entity, name));
                }
            }
        }
        None
    }

    /// Whether a table or function of the catalog is seen.
    #[must_use]
    pub fn sees_stored(&self, name: &str, database: &str) -> bool {
        self.entries().all(|entry| match entry {
            Entry::Name(..) => true,
            Entry::Restriction(entities) => {
                entities.iter().any(|entity| entities::admits_stored(entity, name, database))
            }
        })
    }

    /// All names with what they stand for, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Binding)> {
        self.entries().filter_map(|entry| match entry {
            Entry::Name(name, binding) => Some((name.as_str(), binding)),
            Entry::Restriction(_) => None,
        })
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.nodes().map(|node| &node.entry)
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        let mut at = self;
        std::iter::from_fn(move || {
            let node = at.0.as_deref()?;
            at = &node.parent;
            Some(node)
        })
    }
}
