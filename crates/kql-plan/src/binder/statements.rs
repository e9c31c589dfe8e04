//! Binding of the statements that stand before a query and declare something for it.

use std::rc::Rc;

use moneta_event::ColumnType;
use moneta_kql::syntax::{
    AliasStatement, CallExpression, Expression, FunctionBody, LetStatement, LetValue, LiteralValue, Name, Parameter,
    ParameterType, PatternStatement, QueryParametersStatement, RestrictStatement, SetStatement, Span, Statement,
};

use super::expressions::Bound;
use super::scope::{Binding, Pattern};
use super::{Binder, Row, codes};
use crate::bound::ScalarExpr;
use crate::value::Value;

impl Binder<'_> {
    /// A statement that declares something.
    pub(super) fn declaration(&mut self, statement: &Statement) -> Option<()> {
        match statement {
            Statement::Let(node) => self.let_statement(node),
            Statement::Set(node) => self.set_statement(node),
            Statement::QueryParameters(node) => self.query_parameters(node),
            Statement::Pattern(node) => self.pattern_statement(node),
            Statement::Restrict(node) => self.restrict_statement(node),
            Statement::Alias(node) => self.alias_statement(node),
            Statement::Query(node) => self.fail(codes::SHAPE, node.span, "a query cannot stand here"),
            // The parser has reported it.
            Statement::Error(_) => None,
            Statement::Command(node) => self.fail(codes::UNSUPPORTED, node.span, "commands cannot be run as queries"),
        }
    }

    fn declare(&mut self, name: &Name, binding: Binding) -> Option<()> {
        self.scope = self.scope.with(&name.text, binding);
        Some(())
    }

    fn let_statement(&mut self, node: &LetStatement) -> Option<()> {
        let before = self.written_bytes;
        let binding = match &node.value {
            LetValue::Function(declaration) => Binding::Function(Rc::new(declaration.clone()), self.scope.clone()),
            LetValue::Expression(Expression::EntityGroup(group)) => Binding::Group(Rc::new((**group).clone())),
            LetValue::Expression(expression) => {
                match self.deeper(node.span, |binder| binder.any(expression, &mut Row::none())) {
                    Some(Bound::Scalar(bound)) => Binding::Scalar(bound),
                    Some(Bound::Table(relation)) => Binding::Table(relation),
                    None => Binding::Failed,
                }
            }
        };
        let written_bytes = self.written_bytes - before + node.span.len();
        self.scope = self.scope.with_written(&node.name.text, binding, written_bytes);
        Some(())
    }

    fn set_statement(&mut self, node: &SetStatement) -> Option<()> {
        let value = match &node.value {
            None => None,
            Some(Expression::Name(name)) => Some(Value::String(name.text.clone())),
            Some(expression) => self.scalar(expression, &mut Row::none())?.as_literal().cloned(),
        };
        if node.name.text == "query_now"
            && let Some(Value::DateTime(nanos)) = value
        {
            self.now = moneta_base::Timestamp::from_nanos(nanos);
        }
        self.set.push((node.name.text.clone(), value));
        Some(())
    }

    fn query_parameters(&mut self, node: &QueryParametersStatement) -> Option<()> {
        for parameter in &node.parameters {
            let ParameterType::Scalar(name) = &parameter.ty else {
                return self.fail(codes::TYPE, parameter.span, "a query parameter is a scalar");
            };
            let wanted = self.declared_type(name)?;
            let given = self.options.parameters.get(&parameter.name.text).cloned();
            let value = match (given, &parameter.default) {
                (Some(text), _) => self.parameter_value(parameter, &text, wanted)?,
                (None, Some(default)) => self.scalar(default, &mut Row::none())?.converted(wanted),
                (None, None) => ScalarExpr::literal(Value::null(wanted)),
            };
            self.declare(&parameter.name, Binding::Scalar(value))?;
        }
        Some(())
    }

    /// A given parameter: a literal of the language (`datetime(2024-01-01)`, `1h`, `dynamic([1])`), or plain text that
    /// the type's conversion function reads.
    fn parameter_value(&mut self, parameter: &Parameter, text: &str, wanted: ColumnType) -> Option<ScalarExpr> {
        if wanted == ColumnType::String {
            return Some(ScalarExpr::literal(Value::String(text.to_owned())));
        }
        let written = parsed_expression(text)
            .and_then(|expression| self.quietly(|binder| binder.scalar(&expression, &mut Row::none())))
            .filter(|value| value.as_literal().is_some());
        let plain = ScalarExpr::literal(Value::String(text.to_owned())).converted(wanted);
        let value = match written {
            Some(value) if value.column_type == wanted => value,
            Some(value) if plain.as_literal().is_none_or(Value::is_null) => value.converted(wanted),
            _ => plain,
        };
        let says_null = text.is_empty() || text.ends_with("(null)") || text == "null";
        if value.as_literal().is_some_and(Value::is_null) && !says_null {
            let message = format!("the value given for `{}` is no {wanted}: {text}", parameter.name.text);
            return self.fail(codes::TYPE, parameter.span, message);
        }
        Some(value)
    }

    fn pattern_statement(&mut self, node: &PatternStatement) -> Option<()> {
        let definition = node.definition.clone().map(Rc::new);
        self.declare(&node.name, Binding::Pattern(Pattern { definition, scope: self.scope.clone() }))
    }

    /// `pattern("a")` or `pattern("a").path`: the rows of the rule with these texts.
    pub(super) fn pattern_call(
        &mut self,
        pattern: &Pattern,
        call: &CallExpression,
        path: Option<&str>,
    ) -> Option<Bound> {
        let name = &call.function.text;
        let Some(definition) = &pattern.definition else {
            let message = format!("the pattern `{name}` is declared without rules; add `= (parameters) {{ ... }}`");
            return self.fail(codes::SHAPE, call.span, message);
        };
        let mut given = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            let value = self.scalar(&argument.expression, &mut Row::none())?;
            match value.as_literal() {
                Some(value) => given.push(value.clone()),
                None => {
                    let message = "an argument of a pattern must be a constant text";
                    return self.fail(codes::CONSTANT_EXPECTED, argument.span, message);
                }
            }
        }
        let rule = definition.rules.iter().find(|rule| {
            let texts = rule.arguments.iter().map(literal_text);
            let own_path = rule.path.as_ref().and_then(literal_text);
            own_path == path && rule.arguments.len() == given.len() && texts.eq(given.iter().map(Value::as_str))
        });
        let Some(rule) = rule else {
            return self.fail(codes::UNRESOLVED, call.span, format!("no rule of the pattern `{name}` fits"));
        };
        self.body(&rule.body, pattern.scope.clone(), call.span)
    }

    /// A body in a scope of its own.
    fn body(&mut self, body: &FunctionBody, scope: super::scope::Scope, span: Span) -> Option<Bound> {
        let outer = std::mem::replace(&mut self.scope, scope);
        let result = self.deeper(span, |binder| {
            body.statements.iter().try_for_each(|statement| binder.declaration(statement))?;
            match &body.result {
                Some(result) => binder.any(result, &mut Row::none()),
                None => binder.fail(codes::SHAPE, body.span, "the body has no result"),
            }
        });
        self.scope = outer;
        result
    }

    fn restrict_statement(&mut self, node: &RestrictStatement) -> Option<()> {
        self.scope = self.scope.restricted(node.entities.clone());
        Some(())
    }

    fn alias_statement(&mut self, node: &AliasStatement) -> Option<()> {
        let database = self.database_of(&node.expression)?;
        self.declare(&node.name, Binding::Database(database))
    }
}

/// The expression a text holds, if it holds exactly one.
fn parsed_expression(text: &str) -> Option<Expression> {
    let parsed = moneta_kql::parse(&format!("let v = {text};"));
    if parsed.has_errors() || parsed.tree.statements.len() != 1 {
        return None;
    }
    match parsed.tree.statements.into_iter().next() {
        Some(Statement::Let(LetStatement { value: LetValue::Expression(expression), .. })) => Some(expression),
        _ => None,
    }
}

/// The text of a string literal.
pub(super) fn literal_text(expression: &Expression) -> Option<&str> {
    match expression.unparenthesized() {
        Expression::Literal(literal) => match &literal.value {
            LiteralValue::String(text) => Some(&text.value),
            _ => None,
        },
        _ => None,
    }
}
