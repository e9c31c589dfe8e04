//! Arguments of plugins: by position or by name, columns or constants.

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{CallExpression, NamedExpression, Span};

use crate::binder::{Binder, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::value::Value;

/// The arguments of one call, taken one after the other.
pub(super) struct Arguments<'n> {
    call: &'n CallExpression,
    names: &'n [&'static str],
    taken: Vec<bool>,
}

impl<'n> Arguments<'n> {
    /// The arguments of a call; `names` are the parameters in their order.
    pub(super) fn new(call: &'n CallExpression, names: &'n [&'static str]) -> Self {
        Self { call, names, taken: vec![false; call.arguments.len()] }
    }

    /// Takes the argument of a parameter: by name, else by position.
    pub(super) fn take(&mut self, name: &str) -> Option<&'n NamedExpression> {
        let arguments = &self.call.arguments;
        let named = arguments.iter().position(|a| a.name().is_some_and(|n| n.text.eq_ignore_ascii_case(name)));
        let position = self.names.iter().position(|known| *known == name);
        let unnamed = position.filter(|p| arguments.get(*p).is_some_and(|a| a.name().is_none()));
        let at = named.or(unnamed).filter(|at| !self.taken[*at])?;
        self.taken[at] = true;
        Some(&arguments[at])
    }

    /// Takes all unnamed arguments that are left.
    pub(super) fn rest(&mut self) -> Vec<&'n NamedExpression> {
        let left: Vec<usize> = (0..self.taken.len()).filter(|at| !self.taken[*at]).collect();
        left.into_iter()
            .map(|at| {
                self.taken[at] = true;
                &self.call.arguments[at]
            })
            .collect()
    }

    /// The whole call.
    pub(super) fn span(&self) -> Span {
        self.call.span
    }

    /// The bound argument of a parameter that must be given.
    pub(super) fn required(&mut self, binder: &mut Binder<'_>, name: &str, row: &mut Row) -> Option<ScalarExpr> {
        match self.take(name) {
            Some(argument) => binder.scalar(&argument.expression, row),
            None => {
                let message = format!("{}(): the argument `{name}` is missing", self.call.function.text);
                binder.fail(codes::ARGUMENTS, self.call.span, message)
            }
        }
    }

    /// A column of the input.
    pub(super) fn column(&mut self, binder: &mut Binder<'_>, name: &str, input: &Relation) -> Option<Column> {
        let bound = self.required(binder, name, &mut Row::of(input))?;
        match bound.as_column().and_then(|found| input.column(found)) {
            Some(column) => Some(column.clone()),
            None => {
                let message = format!("{}(): `{name}` must be a column", self.call.function.text);
                binder.fail(codes::NAME_EXPECTED, self.call.span, message)
            }
        }
    }

    /// The constant of a parameter; the inner `None` if it is not given.
    pub(super) fn constant(&mut self, binder: &mut Binder<'_>, name: &str) -> Option<Option<Value>> {
        let Some(argument) = self.take(name) else { return Some(None) };
        let bound = binder.scalar(&argument.expression, &mut Row::none())?;
        match bound.as_literal() {
            Some(value) => Some(Some(value.clone())),
            None => {
                let message = format!("{}(): `{name}` must be a constant", self.call.function.text);
                binder.fail(codes::CONSTANT_EXPECTED, argument.span, message)
            }
        }
    }

    /// A constant that must be given.
    pub(super) fn value(&mut self, binder: &mut Binder<'_>, name: &str) -> Option<Value> {
        match self.constant(binder, name)? {
            Some(value) => Some(value),
            None => {
                let message = format!("{}(): the argument `{name}` is missing", self.call.function.text);
                binder.fail(codes::ARGUMENTS, self.call.span, message)
            }
        }
    }

    /// A constant text; the inner `None` if it is not given.
    pub(super) fn text(&mut self, binder: &mut Binder<'_>, name: &str) -> Option<Option<String>> {
        match self.constant(binder, name)? {
            None => Some(None),
            Some(Value::String(text)) => Some(Some(text)),
            Some(other) => {
                let message = format!("`{name}` is a text, not a {}", other.column_type());
                binder.fail(codes::TYPE, self.call.span, message)
            }
        }
    }

    /// A constant array of texts; the inner `None` if it is not given.
    pub(super) fn texts(&mut self, binder: &mut Binder<'_>, name: &str) -> Option<Option<Vec<String>>> {
        match self.constant(binder, name)? {
            None => Some(None),
            Some(Value::Dynamic(json)) => {
                let all = crate::json::elements(&json).unwrap_or_default();
                Some(Some(all.iter().map(|text| crate::json::to_text(text).into_owned()).collect()))
            }
            Some(Value::Null(ColumnType::Dynamic)) => Some(None),
            Some(other) => {
                let message = format!("`{name}` is a dynamic array, not a {}", other.column_type());
                binder.fail(codes::TYPE, self.call.span, message)
            }
        }
    }

    /// A constant truth value, false if it is not given.
    pub(super) fn flag(&mut self, binder: &mut Binder<'_>, name: &str) -> Option<bool> {
        Some(matches!(self.constant(binder, name)?, Some(Value::Bool(true))))
    }

    /// Refuses what was not taken.
    pub(super) fn finish(&self, binder: &mut Binder<'_>) -> Option<()> {
        match self.taken.iter().position(|taken| !taken) {
            None => Some(()),
            Some(at) => {
                let message =
                    format!("{}({}): there is an argument too many", self.call.function.text, self.names.join(", "));
                binder.fail(codes::ARGUMENTS, self.call.arguments[at].span, message)
            }
        }
    }
}
