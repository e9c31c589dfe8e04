//! Binding of scalar expressions.

use arrow::datatypes::i256;
use moneta_event::decimal::parse_decimal;
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{
    BetweenExpression, BinaryExpression, BinaryOperator, DynamicValue, ElementExpression, Expression, ListExpression,
    ListOperator, Literal, LiteralValue, LogicalExpression, LogicalOperator, Name, PathExpression, PathMember, Span,
    TypeofArgument, UnaryExpression, UnaryOperator,
};
use serde_json::Value as Json;

use super::scope::Binding;
use super::{Binder, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::fold::fold;
use crate::functions::registry;
use crate::functions::terms::TextOperator;
use crate::json::Step;
use crate::lower::is_comparison;
use crate::types;
use crate::value::{self, Value};

/// A value or rows: many places of the language take either.
#[derive(Debug, Clone)]
pub enum Bound {
    /// A value.
    Scalar(ScalarExpr),
    /// Rows.
    Table(Relation),
}

impl Binder<'_> {
    /// Binds an expression that must be a value.
    pub(crate) fn scalar(&mut self, expression: &Expression, row: &mut Row) -> Option<ScalarExpr> {
        match self.deeper(expression.span(), |binder| binder.any(expression, row))? {
            Bound::Scalar(bound) => {
                self.note_value(expression.span(), &bound);
                Some(bound)
            }
            Bound::Table(_) => {
                self.fail(codes::SHAPE, expression.span(), "a value is expected here, not rows; use toscalar()")
            }
        }
    }

    /// Binds an expression that must be a truth value.
    pub(crate) fn predicate(&mut self, expression: &Expression, row: &mut Row) -> Option<ScalarExpr> {
        let bound = self.scalar(expression, row)?;
        self.truth(bound, expression.span())
    }

    /// An operand of `and` and `or`: unlike in `where`, numbers do not stand for truth values here.
    fn operand_truth(&mut self, operand: &Expression, row: &mut Row) -> Option<ScalarExpr> {
        let bound = self.scalar(operand, row)?;
        if types::is_integer(bound.column_type) {
            let message = format!("`and` and `or` join truth values, not a {}; compare it", bound.column_type);
            return self.fail(codes::TYPE, operand.span(), message);
        }
        self.truth(bound, operand.span())
    }

    fn truth(&mut self, bound: ScalarExpr, span: Span) -> Option<ScalarExpr> {
        match bound.column_type {
            ColumnType::Bool => Some(bound),
            ColumnType::Dynamic | ColumnType::Int | ColumnType::Long => Some(bound.converted(ColumnType::Bool)),
            other => self.fail(codes::TYPE, span, format!("a bool is expected here, not a {other}")),
        }
    }

    /// Binds a value or rows.
    pub(crate) fn any(&mut self, expression: &Expression, row: &mut Row) -> Option<Bound> {
        let scalar = match expression {
            Expression::Literal(node) => self.literal(node)?,
            Expression::Name(node) => return self.name(node, row),
            Expression::Parenthesized(node) => return self.any(&node.inner, row),
            Expression::Path(node) => return self.path(node, row),
            Expression::Element(node) => return self.element(node, row),
            Expression::Call(node) => return self.call(node, row),
            Expression::Unary(node) => self.unary(node, row)?,
            Expression::Binary(node) => self.binary(node, row)?,
            Expression::Logical(node) => self.logical(node, row)?,
            Expression::List(node) => self.list(node, row)?,
            Expression::Between(node) => self.between(node, row)?,
            Expression::Typeof(node) => match &node.argument {
                TypeofArgument::Scalar(name) => {
                    let column_type = self.declared_type(name)?;
                    ScalarExpr::literal(Value::String(column_type.name().to_owned()))
                }
                TypeofArgument::Schema(_) => {
                    return self.fail(codes::SHAPE, node.span, "a scalar type is expected here");
                }
            },
            Expression::Star(span) => return self.fail(codes::SHAPE, *span, "`*` cannot stand here"),
            // The parser has reported these.
            Expression::Missing(span) => return self.fail(codes::SHAPE, *span, "an expression is missing here"),
            Expression::Error(node) => return self.fail(codes::SHAPE, node.span, "this is no expression"),
            _ => return self.relation(expression).map(Bound::Table),
        };
        Some(Bound::Scalar(scalar))
    }

    fn literal(&mut self, node: &Literal) -> Option<ScalarExpr> {
        let value = match &node.value {
            LiteralValue::Bool(value) => value.map_or(Value::Null(ColumnType::Bool), Value::Bool),
            LiteralValue::Int(value) => value.map_or(Value::Null(ColumnType::Int), Value::Int),
            LiteralValue::Long(value) => value.map_or(Value::Null(ColumnType::Long), Value::Long),
            LiteralValue::Real(value) => value.map_or(Value::Null(ColumnType::Real), Value::Real),
            LiteralValue::Decimal(text) => {
                text.as_deref().and_then(parse_decimal).map_or(Value::Null(ColumnType::Decimal), Value::Decimal)
            }
            LiteralValue::String(text) => Value::String(text.value.clone()),
            LiteralValue::Datetime(None) => Value::Null(ColumnType::DateTime),
            LiteralValue::Datetime(Some(ticks)) => {
                let (nanos, cut) = value::datetime_nanos(*ticks);
                if cut {
                    self.warn(
                        codes::RANGE,
                        node.span,
                        "the datetime is outside 1677 to 2262 and was moved to the nearest end",
                    );
                }
                Value::DateTime(nanos)
            }
            LiteralValue::DatetimeToday(ticks) => {
                let midnight = self.now.day().start().as_nanos();
                Value::DateTime(midnight.saturating_add(value::timespan_nanos(*ticks)))
            }
            LiteralValue::Timespan(ticks) => {
                ticks.map_or(Value::Null(ColumnType::TimeSpan), |t| Value::TimeSpan(value::timespan_nanos(t)))
            }
            LiteralValue::Guid(text) => text.clone().map_or(Value::Null(ColumnType::Guid), Value::Guid),
            LiteralValue::Dynamic(DynamicValue::Null) => Value::Null(ColumnType::Dynamic),
            LiteralValue::Dynamic(value) => Value::Dynamic(dynamic(value).to_string()),
        };
        Some(ScalarExpr::literal(value))
    }

    fn name(&mut self, node: &Name, row: &mut Row) -> Option<Bound> {
        if node.is_missing() {
            return self.fail(codes::UNRESOLVED, node.span, "a name is missing here");
        }
        if let Some(column) = row.column(&node.text) {
            return Some(Bound::Scalar(ScalarExpr::column(column)));
        }
        if let Some(column) = row.right.as_ref().and_then(|right| right.iter().find(|c| *c.name == *node.text)) {
            return Some(Bound::Scalar(ScalarExpr::column(column)));
        }
        if let Some(bound) = self.whole_element(node, row) {
            return bound.map(Bound::Scalar);
        }
        match self.scope.get(&node.text).cloned() {
            Some(Binding::Scalar(bound)) => {
                self.write_out(self.scope.written_bytes(&node.text), node.span)?;
                let own_row = row.columns.is_empty() || row.right.is_some() || row.elements.is_some();
                if own_row || !bound.reads_outside(&row.columns) {
                    return Some(Bound::Scalar(bound));
                }
                let message = format!(
                    "`{}` depends on the row the function is called for, and cannot be used inside a query; \
                     join the tables instead",
                    node.text
                );
                return self.fail(codes::SHAPE, node.span, message);
            }
            Some(Binding::Table(relation)) => {
                self.write_out(self.scope.written_bytes(&node.text), node.span)?;
                return Some(Bound::Table(relation));
            }
            Some(Binding::Function(declaration, scope))
                if declaration.parameters.iter().all(|p| p.default.is_some()) =>
            {
                return self.invoke(&declaration, scope, Vec::new(), node.span, row);
            }
            Some(Binding::Function(..)) => {
                let message = format!("`{}` is a function and needs arguments", node.text);
                return self.fail(codes::SHAPE, node.span, message);
            }
            Some(Binding::Failed) => return None,
            Some(Binding::OtherRow) => {
                let message = format!(
                    "`{}` differs from row to row, so a query inside toscalar() cannot depend on it; use join or lookup",
                    node.text
                );
                return self.fail(codes::SHAPE, node.span, message);
            }
            Some(Binding::Pattern(_) | Binding::Database(_) | Binding::Group(_)) => {
                let message = format!("`{}` is a pattern, a database or an entity group, no value", node.text);
                return self.fail(codes::SHAPE, node.span, message);
            }
            None => {}
        }
        if self.catalog.is_over_table(&node.text) {
            return self.stored_rows(node).map(Bound::Table);
        }
        if let Some(relation) = self.table(&node.text) {
            return Some(Bound::Table(relation));
        }
        if let Some(column) = split_by_type(&row.columns, &node.text) {
            let message = format!("'{}' has several types in these tables; '{}' is read here", node.text, column.name);
            self.warn(codes::UNRESOLVED, node.span, message);
            return Some(Bound::Scalar(ScalarExpr::column(column)));
        }
        if row.open {
            let message = format!("the data has no column named '{}'; it counts as null here", node.text);
            self.warn(codes::UNRESOLVED, node.span, message);
            return Some(Bound::Scalar(ScalarExpr::literal(Value::Null(ColumnType::Dynamic))));
        }
        let mut candidates: Vec<String> = row.columns.iter().map(|c| c.name.to_string()).collect();
        candidates.extend(self.scope.iter().map(|(name, _)| name.to_owned()));
        if row.columns.is_empty() {
            candidates.extend(self.catalog.table_names());
        }
        let message = if row.columns.is_empty() {
            format!("failed to resolve table or column or scalar expression named '{}'", node.text)
        } else {
            format!("failed to resolve column or scalar expression named '{}'", node.text)
        };
        self.fail_near(codes::UNRESOLVED, node.span, message, &node.text, &candidates)
    }

    fn path(&mut self, node: &PathExpression, row: &mut Row) -> Option<Bound> {
        if let Some(found) = self.remembered(node, row) {
            return found;
        }
        if let (Some(side), PathMember::Name(member)) = (node.object.as_name(), &node.member) {
            let columns = match side.text.as_str() {
                "$left" => Some(row.columns.clone()),
                "$right" => row.right.clone(),
                _ => None,
            };
            if let Some(columns) = columns {
                let Some(column) = columns.iter().find(|c| *c.name == *member.text) else {
                    if row.open {
                        let message = format!("the data has no column named '{}'; it counts as null here", member.text);
                        self.warn(codes::UNRESOLVED, member.span, message);
                        return Some(Bound::Scalar(ScalarExpr::literal(Value::Null(ColumnType::Dynamic))));
                    }
                    let candidates: Vec<String> = columns.iter().map(|c| c.name.to_string()).collect();
                    let message = format!("failed to resolve column named '{}.{}'", side.text, member.text);
                    return self.fail_near(codes::UNRESOLVED, member.span, message, &member.text, &candidates);
                };
                let marked = format!("{}.{}", side.text, member.text);
                return Some(Bound::Scalar(ScalarExpr::new(column.column_type, ScalarNode::Column(marked.into()))));
            }
        }
        if let (Some(object), PathMember::Name(member)) = (node.object.as_name(), &node.member)
            && let Some(bound) = self.element_property(object, member, row)
        {
            return bound.map(Bound::Scalar);
        }
        if self.is_entity_path(&node.object) {
            return self.entity(node);
        }
        if let (Expression::Call(call), PathMember::Name(member)) = (node.object.unparenthesized(), &node.member)
            && let Some(Binding::Pattern(pattern)) = self.scope.get(&call.function.text).cloned()
        {
            return self.pattern_call(&pattern, call, Some(&member.text));
        }
        let PathMember::Name(member) = &node.member else {
            return self.fail(codes::SHAPE, node.span, "a call cannot follow a dot here");
        };
        let base = self.scalar(&node.object, row)?;
        let step = Step::Key(member.text.clone());
        self.step(base, step, node.span).map(Bound::Scalar)
    }

    /// `step.column` in a `scan`; `None` if the path is something else.
    fn remembered(&mut self, node: &PathExpression, row: &Row) -> Option<Option<Bound>> {
        let (step, PathMember::Name(member)) = (node.object.as_name()?, &node.member) else { return None };
        let (_, columns) = row.remembered.iter().find(|(name, _)| *name == step.text)?;
        let position = row.columns.iter().position(|c| *c.name == *member.text);
        Some(match position.and_then(|position| columns.get(position)) {
            Some(column) => Some(Bound::Scalar(ScalarExpr::column(column))),
            None => {
                let candidates: Vec<String> = row.columns.iter().map(|c| c.name.to_string()).collect();
                let message = format!("the step `{}` has no column '{}'", step.text, member.text);
                self.fail_near(codes::UNRESOLVED, member.span, message, &member.text, &candidates)
            }
        })
    }

    fn step(&mut self, base: ScalarExpr, step: Step, span: Span) -> Option<ScalarExpr> {
        if base.column_type != ColumnType::Dynamic {
            let message = format!("a path needs a dynamic value, not a {}; use parse_json()", base.column_type);
            return self.fail(codes::TYPE, span, message);
        }
        let node = match base.node {
            ScalarNode::Path { base, mut steps } => {
                steps.push(step);
                ScalarNode::Path { base, steps }
            }
            node => {
                let base = ScalarExpr::new(ColumnType::Dynamic, node);
                ScalarNode::Path { base: Box::new(base), steps: vec![step] }
            }
        };
        Some(fold(ScalarExpr::new(ColumnType::Dynamic, node)))
    }

    fn element(&mut self, node: &ElementExpression, row: &mut Row) -> Option<Bound> {
        if let (Expression::Call(call), Some(path)) =
            (node.object.unparenthesized(), super::statements::literal_text(&node.index))
            && let Some(Binding::Pattern(pattern)) = self.scope.get(&call.function.text).cloned()
        {
            return self.pattern_call(&pattern, call, Some(path));
        }
        self.dynamic_element(node, row).map(Bound::Scalar)
    }

    fn dynamic_element(&mut self, node: &ElementExpression, row: &mut Row) -> Option<ScalarExpr> {
        let base = self.scalar(&node.object, row)?;
        let index = self.scalar(&node.index, row)?;
        match index.as_literal() {
            Some(Value::String(key)) => return self.step(base, Step::Key(key.clone()), node.span),
            Some(value) if value.as_long().is_some() => {
                let index = value.as_long().unwrap_or(0);
                return self.step(base, Step::Index(index), node.span);
            }
            _ => {}
        }
        if base.column_type != ColumnType::Dynamic {
            let message = format!("an element needs a dynamic value, not a {}; use parse_json()", base.column_type);
            return self.fail(codes::TYPE, node.span, message);
        }
        Some(ScalarExpr::new(ColumnType::Dynamic, ScalarNode::Element { base: Box::new(base), index: Box::new(index) }))
    }

    fn unary(&mut self, node: &UnaryExpression, row: &mut Row) -> Option<ScalarExpr> {
        let operand = self.scalar(&node.operand, row)?;
        let column_type = match operand.column_type {
            ColumnType::Int => ColumnType::Long,
            other => other,
        };
        if node.operator == UnaryOperator::Plus {
            return Some(operand);
        }
        let zero = match column_type {
            ColumnType::Long | ColumnType::Dynamic => Value::Long(0),
            ColumnType::Real => Value::Real(0.0),
            ColumnType::Decimal => Value::Decimal(i256::ZERO),
            ColumnType::TimeSpan => Value::TimeSpan(0),
            // The reference analyzer lets a datetime pass.
            ColumnType::DateTime => Value::TimeSpan(0),
            other => return self.fail(codes::ARITHMETIC, node.span, format!("a {other} has no negative")),
        };
        if let Some(Value::Real(value)) = operand.as_literal() {
            return Some(ScalarExpr::literal(Value::Real(-value)));
        }
        let operand = if column_type == ColumnType::Long { operand.converted(ColumnType::Long) } else { operand };
        let node = ScalarNode::Binary {
            operator: BinaryOperator::Subtract,
            left: Box::new(ScalarExpr::literal(zero)),
            right: Box::new(operand),
        };
        Some(fold(ScalarExpr::new(column_type, node)))
    }

    fn binary(&mut self, node: &BinaryExpression, row: &mut Row) -> Option<ScalarExpr> {
        if let Expression::Star(_) = node.left.unparenthesized() {
            let right = self.scalar(&node.right, row)?;
            return self.any_column(node, right, row);
        }
        let left = self.scalar(&node.left, row)?;
        let right = self.scalar(&node.right, row)?;
        self.operation(node.operator, left, right, node.span)
    }

    /// `* has "x"`: any column as text.
    fn any_column(&mut self, node: &BinaryExpression, right: ScalarExpr, row: &Row) -> Option<ScalarExpr> {
        let mut tests = Vec::new();
        for column in row.columns.iter() {
            let left = ScalarExpr::column(column).converted(ColumnType::String);
            tests.push(self.operation(node.operator, left, right.clone().converted(ColumnType::String), node.span)?);
        }
        Some(ScalarExpr::new(ColumnType::Bool, ScalarNode::Or(tests)))
    }

    /// An operator over two bound operands.
    pub(crate) fn operation(
        &mut self,
        operator: BinaryOperator,
        left: ScalarExpr,
        right: ScalarExpr,
        span: Span,
    ) -> Option<ScalarExpr> {
        let (left_type, right_type) = (left.column_type, right.column_type);
        let (left, right, result) = if TextOperator::of(operator).is_some() {
            let text = |t| matches!(t, ColumnType::String | ColumnType::Dynamic);
            if !text(left_type) || !text(right_type) {
                let message = format!("`{}` compares texts, not a {left_type} with a {right_type}", operator.symbol());
                return self.fail(codes::COMPARE, span, message);
            }
            if operator == BinaryOperator::MatchesRegex {
                self.check_regex(&right, span)?;
            }
            (left.converted(ColumnType::String), right.converted(ColumnType::String), ColumnType::Bool)
        } else if is_comparison(operator) {
            let ordered = !matches!(operator, BinaryOperator::Equal | BinaryOperator::NotEqual);
            if ordered && !types::orderable(left_type, right_type) {
                let message =
                    format!("cannot compare values of types {left_type} and {right_type}; try adding explicit casts");
                return self.fail(codes::COMPARE, span, message);
            }
            let (left, right) = if ordered { without_dynamic(left, right) } else { (left, right) };
            (left, right, ColumnType::Bool)
        } else {
            let Some(result) = types::arithmetic(operator, left_type, right_type) else {
                let message =
                    format!("`{}` cannot be carried out between {left_type} and {right_type}", operator.symbol());
                return self.fail(codes::ARITHMETIC, span, message);
            };
            let (left, right) = arithmetic_operands(operator, left, right);
            (left, right, result)
        };
        let node = ScalarNode::Binary { operator, left: Box::new(left), right: Box::new(right) };
        Some(fold(ScalarExpr::new(result, node)))
    }

    /// Refuses a constant regular expression that does not compile.
    pub(crate) fn check_regex(&mut self, pattern: &ScalarExpr, span: Span) -> Option<()> {
        match pattern.as_literal().and_then(Value::as_str).map(crate::functions::string::compile) {
            Some(Err(error)) => {
                let reason = error.to_string().lines().last().unwrap_or("").trim().to_owned();
                self.fail(codes::REGEX, span, format!("the regular expression is not valid: {reason}"))
            }
            _ => Some(()),
        }
    }

    fn logical(&mut self, node: &LogicalExpression, row: &mut Row) -> Option<ScalarExpr> {
        let mut operands = Vec::with_capacity(node.operands.len());
        for operand in &node.operands {
            operands.push(self.operand_truth(operand, row));
        }
        let operands = operands.into_iter().collect::<Option<Vec<_>>>()?;
        let node = match node.operator {
            LogicalOperator::And => ScalarNode::And(operands),
            LogicalOperator::Or => ScalarNode::Or(operands),
        };
        Some(ScalarExpr::new(ColumnType::Bool, node))
    }

    fn between(&mut self, node: &BetweenExpression, row: &mut Row) -> Option<ScalarExpr> {
        let operand = self.scalar(&node.operand, row)?;
        let low = self.scalar(&node.low, row)?;
        let mut high = self.scalar(&node.high, row)?;
        let all = [operand.column_type, low.column_type, high.column_type];
        if all.contains(&ColumnType::Bool) || all.iter().all(|t| *t == ColumnType::Dynamic) {
            let message = format!("a {} cannot lie between a {} and a {}; convert them", all[0], all[1], all[2]);
            return self.fail(codes::COMPARE, node.span, message);
        }
        if low.column_type == ColumnType::DateTime && high.column_type == ColumnType::TimeSpan {
            high = self.operation(BinaryOperator::Add, low.clone(), high, node.span)?;
        }
        let (from, to) = if node.is_negated {
            (BinaryOperator::Less, BinaryOperator::Greater)
        } else {
            (BinaryOperator::GreaterOrEqual, BinaryOperator::LessOrEqual)
        };
        let tests =
            vec![self.operation(from, operand.clone(), low, node.span)?, self.operation(to, operand, high, node.span)?];
        let node = if node.is_negated { ScalarNode::Or(tests) } else { ScalarNode::And(tests) };
        Some(ScalarExpr::new(ColumnType::Bool, node))
    }

    fn list(&mut self, node: &ListExpression, row: &mut Row) -> Option<ScalarExpr> {
        if let Expression::Star(_) = node.operand.unparenthesized() {
            let mut tests = Vec::new();
            for column in row.clone().columns.iter() {
                let operand = ScalarExpr::column(column).converted(ColumnType::String);
                tests.push(self.membership(node, operand, row)?);
            }
            return Some(ScalarExpr::new(ColumnType::Bool, ScalarNode::Or(tests)));
        }
        let operand = self.scalar(&node.operand, row)?;
        let exact = matches!(node.operator, ListOperator::In | ListOperator::NotIn);
        if !exact && !matches!(operand.column_type, ColumnType::String | ColumnType::Dynamic) {
            let message = format!("`{}` tests texts, not a {}", node.operator.symbol(), operand.column_type);
            return self.fail(codes::COMPARE, node.span, message);
        }
        self.membership(node, operand, row)
    }

    fn membership(&mut self, node: &ListExpression, operand: ScalarExpr, row: &mut Row) -> Option<ScalarExpr> {
        let mut items = Vec::new();
        for item in &node.items {
            match self.deeper(item.span(), |binder| binder.any(item, row))? {
                Bound::Table(relation) if node.items.len() == 1 => {
                    let node = ScalarNode::InTable { operator: node.operator, operand: Box::new(operand), relation };
                    return Some(ScalarExpr::new(ColumnType::Bool, node));
                }
                Bound::Table(_) => {
                    return self.fail(codes::SHAPE, item.span(), "a query must be the only element of a list");
                }
                Bound::Scalar(bound) => items.extend(opened(bound)),
            }
        }
        let exact = matches!(node.operator, ListOperator::In | ListOperator::NotIn);
        if exact && operand.column_type != ColumnType::Dynamic {
            items = items.into_iter().map(|item| comparable_item(item, operand.column_type)).collect();
        }
        let node = ScalarNode::List { operator: node.operator, operand: Box::new(operand), items };
        Some(ScalarExpr::new(ColumnType::Bool, node))
    }

    /// The declared scalar functions' names and those of the query, for suggestions.
    pub(crate) fn function_names(&self) -> Vec<String> {
        let declared = registry().names().chain(crate::aggregates::registry().names()).map(str::to_owned);
        declared.chain(self.scope.iter().map(|(name, _)| name.to_owned())).collect()
    }
}

/// A constant dynamic array opened into its elements.
fn opened(item: ScalarExpr) -> Vec<ScalarExpr> {
    let Some(Value::Dynamic(text)) = item.as_literal() else { return vec![item] };
    let Json::Array(all) = crate::json::parse(text) else { return vec![item] };
    let value = |element: Json| match element {
        Json::String(text) => Value::String(text),
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Real(number.as_f64().unwrap_or(f64::NAN)), Value::Long)
        }
        Json::Null => Value::Null(ColumnType::Dynamic),
        other => Value::Dynamic(other.to_string()),
    };
    all.into_iter().map(|element| ScalarExpr::literal(value(element))).collect()
}

/// An element of a list in the type of the tested value, where that loses nothing.
fn comparable_item(item: ScalarExpr, wanted: ColumnType) -> ScalarExpr {
    let from = item.column_type;
    let numbers = types::is_number(from) && types::is_number(wanted);
    let exact = match item.as_literal() {
        Some(Value::Long(value)) if wanted == ColumnType::Int => i32::try_from(*value).is_ok(),
        Some(Value::Long(_) | Value::Int(_)) => numbers,
        Some(_) => from == ColumnType::String && matches!(wanted, ColumnType::Guid | ColumnType::DateTime),
        None => false,
    };
    if exact { item.converted(wanted) } else { item }
}

/// Both operands of an order: a dynamic takes the other's type.
fn without_dynamic(left: ScalarExpr, right: ScalarExpr) -> (ScalarExpr, ScalarExpr) {
    match (left.column_type, right.column_type) {
        (ColumnType::Dynamic, other) if other != ColumnType::Dynamic => {
            (left.converted(widened(other)), right.converted(widened(other)))
        }
        (other, ColumnType::Dynamic) if other != ColumnType::Dynamic => {
            (left.converted(widened(other)), right.converted(widened(other)))
        }
        _ => (left, right),
    }
}

/// The type in which a dynamic is compared with a number: fractions must not be cut.
fn widened(column_type: ColumnType) -> ColumnType {
    if types::is_integer(column_type) { ColumnType::Real } else { column_type }
}

/// Both operands of an arithmetic operation: a dynamic takes the type the other side needs.
fn arithmetic_operands(operator: BinaryOperator, left: ScalarExpr, right: ScalarExpr) -> (ScalarExpr, ScalarExpr) {
    let partner = |other: ColumnType| match other {
        ColumnType::Int => ColumnType::Long,
        ColumnType::DateTime if operator == BinaryOperator::Add => ColumnType::TimeSpan,
        other => other,
    };
    match (left.column_type, right.column_type) {
        (ColumnType::Dynamic, ColumnType::Dynamic) => (left, right),
        (ColumnType::Dynamic, other) => (left.converted(partner(other)), right),
        (other, ColumnType::Dynamic) => (left, right.converted(partner(other))),
        _ => (left, right),
    }
}

/// The first of the columns into which a union has split a name whose types differ: `x_long` and `x_string` for `x`.
fn split_by_type<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    let is_part = |column: &&Column| {
        let suffix = column.name.strip_prefix(name).and_then(|rest| rest.strip_prefix('_'));
        suffix.and_then(ColumnType::parse) == Some(column.column_type)
    };
    let mut parts = columns.iter().filter(is_part);
    let first = parts.next();
    first.filter(|_| parts.next().is_some())
}

/// The JSON value of a dynamic literal.
fn dynamic(value: &DynamicValue) -> Json {
    match value {
        DynamicValue::Null => Json::Null,
        DynamicValue::Bool(value) => (*value).into(),
        DynamicValue::Long(value) => (*value).into(),
        DynamicValue::Real(value) => (*value).into(),
        DynamicValue::String(text) | DynamicValue::Guid(text) => text.as_str().into(),
        DynamicValue::Datetime(ticks) => moneta_kql::time::format_datetime(*ticks).into(),
        DynamicValue::Timespan(ticks) => moneta_kql::time::format_timespan(*ticks).into(),
        DynamicValue::Array(all) => Json::Array(all.iter().map(dynamic).collect()),
        DynamicValue::Object(all) => {
            Json::Object(all.iter().map(|(key, value)| (key.clone(), dynamic(value))).collect())
        }
    }
}
