//! Names of tables in other places: `database("d").T`, `cluster("c").database("d").T`, `workspace("w").T`, aliases of
//! databases, entity groups with `macro-expand`, and what `restrict access to` leaves visible.
//!
//! There is one database. Its own name and names declared for it lead to its tables; any other is refused with a
//! sentence, never read as if it were ours.

use moneta_kql::syntax::{
    CallExpression, EntityGroupExpression, Expression, MacroExpandOperator, Name, OperatorParameter, PathExpression,
    PathMember, Statement,
};

use super::expressions::Bound;
use super::scope::Binding;
use super::{Binder, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::operators::union::Union;
use crate::value::Value;

/// The name this server has as a cluster.
pub(super) const CLUSTER: &str = "moneta";

/// Functions that lead to a database, or to a table without one.
const ENTITY_FUNCTIONS: [&str; 7] = ["database", "cluster", "workspace", "app", "resource", "adx", "arg"];

/// A database a query may name: there is only ours so far, so it holds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Database;

/// Whether a call leads to a database or cluster.
fn is_entity_call(call: &CallExpression) -> bool {
    ENTITY_FUNCTIONS.contains(&call.function.text.as_str())
}

impl Binder<'_> {
    /// Whether an expression names a database or cluster, so that a dot after it leads to a table.
    pub(super) fn is_entity_path(&self, object: &Expression) -> bool {
        match object.unparenthesized() {
            Expression::Name(name) => matches!(self.scope.get(&name.text), Some(Binding::Database(_))),
            Expression::Call(call) => is_entity_call(call) && self.scope.get(&call.function.text).is_none(),
            Expression::Path(path) => match &path.member {
                PathMember::Call(call) => is_entity_call(call) || self.is_entity_path(&path.object),
                _ => false,
            },
            _ => false,
        }
    }

    /// The database an expression names.
    pub(crate) fn database_of(&mut self, expression: &Expression) -> Option<Database> {
        match expression.unparenthesized() {
            Expression::Name(name) => match self.scope.get(&name.text) {
                Some(Binding::Database(database)) => Some(*database),
                _ => self.fail(codes::UNRESOLVED, name.span, format!("`{}` is no database", name.text)),
            },
            Expression::Call(call) => self.database_call(call),
            Expression::Path(path) => {
                self.database_of(&path.object)?;
                match &path.member {
                    PathMember::Call(call) => self.database_call(call),
                    _ => self.fail(codes::SHAPE, path.span, "a database is expected here"),
                }
            }
            other => self.fail(codes::SHAPE, other.span(), "a database is expected here"),
        }
    }

    fn database_call(&mut self, call: &CallExpression) -> Option<Database> {
        let place = call.function.text.as_str();
        let Some(argument) = call.arguments.first() else { return Some(Database) };
        let bound = self.scalar(&argument.expression, &mut Row::none())?;
        let Some(name) = bound.as_literal().and_then(Value::as_str) else {
            let message = format!("the name in `{place}()` must be a constant text");
            return self.fail(codes::CONSTANT_EXPECTED, argument.span, message);
        };
        let own = match place {
            "database" | "workspace" => {
                name.eq_ignore_ascii_case(&self.options.database)
                    || name == "*"
                    || matches!(self.scope.get(name), Some(Binding::Database(_)))
            }
            "cluster" => name.trim_end_matches('/').rsplit('/').next().is_some_and(|host| host == CLUSTER),
            _ => false,
        };
        if own {
            return Some(Database);
        }
        let reason = match place {
            "arg" => "Azure Resource Graph is not reachable from here; load its rows into a table and name that table",
            "adx" => "other clusters are not reachable from here; load the rows into a table and name that table",
            "cluster" => "there is no other cluster than this server; leave `cluster()` out",
            _ => "there is one database here; leave the prefix out, or load the rows into a table of it",
        };
        let message = format!("`{place}(\"{name}\")` cannot be read: {reason}");
        self.fail(codes::UNSUPPORTED, call.span, message)
    }

    /// `database("d").T`, `workspace("w").f(x)`, `X.$current_database`.
    pub(super) fn entity(&mut self, node: &PathExpression) -> Option<Bound> {
        self.database_of(&node.object)?;
        match &node.member {
            PathMember::Name(name) if name.text == "$current_database" => {
                Some(Bound::Scalar(ScalarExpr::literal(Value::String(self.options.database.clone()))))
            }
            PathMember::Name(name) if name.text == "$current_cluster_endpoint" => {
                Some(Bound::Scalar(ScalarExpr::literal(Value::String(CLUSTER.to_owned()))))
            }
            PathMember::Name(name) => self.catalog_table(name).map(Bound::Table),
            PathMember::Call(call) if is_entity_call(call) => {
                let message = format!("`{}()` must be followed by a dot and a table", call.function.text);
                self.fail(codes::SHAPE, call.span, message)
            }
            PathMember::Call(call) => self.call(call, &mut Row::none()),
            PathMember::Wildcard(pattern) => {
                self.fail(codes::SHAPE, pattern.span, "a wildcard name can stand only in union, find and search")
            }
        }
    }

    /// A table of the catalog, or the view over it, whatever the query declares under that name.
    fn catalog_table(&mut self, name: &Name) -> Option<Relation> {
        if self.catalog.is_over_table(&name.text) {
            return self.stored_rows(name);
        }
        match self.table(&name.text) {
            Some(relation) => Some(relation),
            None => self.table_or_fail(&name.text, name.span),
        }
    }

    /// `macro-expand group as X (query)`: the union of the query over the databases of a group.
    pub(super) fn bind_macro_expand(&mut self, node: &MacroExpandOperator) -> Option<Relation> {
        let group = self.entity_group(&node.group)?;
        let parameter =
            |name: &str| node.parameters.iter().find(|p| p.name.text == name).and_then(OperatorParameter::word);
        let fuzzy = parameter("isfuzzy") == Some("true");
        let inner = parameter("kind") == Some("inner");
        let mut inputs: Vec<(String, Relation)> = Vec::new();
        for member in &group.entities {
            let known = self.diagnostics_len();
            match self.deeper(node.span, |binder| binder.expanded_macro(node, member)) {
                Some(relation) => inputs.push((format!("union_arg{}", inputs.len()), relation)),
                None if fuzzy => self.forget_diagnostics(known),
                None => return None,
            }
        }
        if inputs.is_empty() {
            return self.fail(codes::NO_TABLE, node.span, "the entity group has no database that can be read");
        }
        Some(Union::relation(inputs, inner, parameter("withsource").or_else(|| parameter("with_source"))))
    }

    fn expanded_macro(&mut self, node: &MacroExpandOperator, member: &Expression) -> Option<Relation> {
        let database = self.database_of(member)?;
        let outer = self.scope.clone();
        self.scope = outer.with(&node.name.text, Binding::Database(database));
        let mut result = None;
        for statement in &node.statements {
            result = match statement {
                Statement::Query(query) => self.relation(&query.expression),
                other => self.declaration(other).and(result),
            };
        }
        self.scope = outer;
        match result {
            Some(relation) => Some(relation),
            None if self.diagnostics_len() > 0 => None,
            None => self.fail(codes::SHAPE, node.span, "macro-expand needs a query in its parentheses"),
        }
    }

    fn entity_group(&mut self, expression: &Expression) -> Option<EntityGroupExpression> {
        match expression.unparenthesized() {
            Expression::EntityGroup(group) => Some((**group).clone()),
            Expression::Name(name) => match self.scope.get(&name.text) {
                Some(Binding::Group(group)) => Some((**group).clone()),
                _ => {
                    let message = format!("`{}` is no entity group; declare it by `let`", name.text);
                    self.fail(codes::UNRESOLVED, name.span, message)
                }
            },
            other => {
                let message = "an entity group is expected here: a name declared by `let`, or `entity_group [...]`";
                self.fail(codes::SHAPE, other.span(), message)
            }
        }
    }
}

/// Whether an entity of `restrict access to` admits a name the query declares.
pub(super) fn admits_declared(entity: &Expression, name: &str) -> bool {
    match entity.unparenthesized() {
        Expression::Star(_) => true,
        Expression::Name(known) => known.text == name,
        Expression::Wildcard(pattern) => pattern.matches(name),
        _ => false,
    }
}

/// Whether an entity of `restrict access to` admits a table or function of the catalog. `*` alone does not: it speaks
/// of what the query declares.
pub(super) fn admits_stored(entity: &Expression, name: &str, database: &str) -> bool {
    match entity.unparenthesized() {
        Expression::Name(known) => known.text == name,
        Expression::Wildcard(pattern) => pattern.pattern != "*" && pattern.matches(name),
        Expression::Path(path) => {
            is_database(&path.object, database)
                && match &path.member {
                    PathMember::Name(known) => known.text == name,
                    PathMember::Wildcard(pattern) => pattern.matches(name),
                    PathMember::Call(_) => false,
                }
        }
        _ => false,
    }
}

/// Whether an expression is `database()` or `database("pattern")` with a pattern of the database's name.
fn is_database(expression: &Expression, database: &str) -> bool {
    match expression.unparenthesized() {
        Expression::Call(call) if call.function.text == "database" => call.arguments.first().is_none_or(|argument| {
            super::statements::literal_text(&argument.expression).is_some_and(|p| pattern_matches(p, database))
        }),
        _ => false,
    }
}

/// Whether a name with or without `*` matches a database's name, letter case aside.
fn pattern_matches(pattern: &str, database: &str) -> bool {
    let pattern = pattern.to_lowercase();
    let database = database.to_lowercase();
    match pattern.split_once('*') {
        Some((start, end)) => {
            database.len() >= start.len() + end.len() && database.starts_with(start) && database.ends_with(end)
        }
        None => pattern == database,
    }
}
