//! Binding of calls: scalar functions, aggregates, the query's own functions, and what the binder resolves itself.

use std::rc::Rc;
use std::sync::Arc;

use moneta_event::schema::standard;
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{
    BinaryOperator, CallExpression, Expression, FunctionDeclaration, LetStatement, LetValue, NamedExpression,
    ParameterType, RowSchema, Span, Statement,
};

use super::expressions::Bound;
use super::scope::{Binding, Scope};
use super::{Binder, CALL_DEPTH_MAX, CALLS_MAX, Row, codes};
use crate::aggregates::{self, Aggregate, AggregateNaming};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::fold::fold;
use crate::functions::service::{CURSOR_MOMENT, IS_PRINCIPAL, cursor_moment};
use crate::functions::signature::{Mismatch, Signature};
use crate::functions::{Fills, Function, Kernel, registry};
use crate::json::Step;
use crate::operators::materialize::Materialize;
use crate::operators::summarize::BoundAggregate;
use crate::types;
use crate::value::Value;

/// What a function is called with.
pub(crate) struct Argument {
    name: String,
    value: Binding,
    /// The bytes of text it stands for, with the names in it written out.
    written_bytes: usize,
}

/// The parameter of an aggregate that says which rows count.
const PREDICATE: &str = "predicate";

impl Binder<'_> {
    /// Whether the query declares a function or value of that name.
    pub(crate) fn is_user_function(&self, name: &str) -> bool {
        matches!(self.scope.get(name), Some(Binding::Function(..)))
    }

    /// Any call.
    pub(crate) fn call(&mut self, node: &CallExpression, row: &mut Row) -> Option<Bound> {
        let name = node.function.text.as_str();
        match self.scope.get(name).cloned() {
            Some(Binding::Function(declaration, scope)) => {
                let args = self.user_arguments(&declaration, &node.arguments, row, None)?;
                return self.invoke(&declaration, scope, args, node.span, row);
            }
            Some(Binding::Failed) => return None,
            Some(Binding::Pattern(pattern)) => return self.pattern_call(&pattern, node, None),
            // A name declared as rows or a value may be called without arguments.
            Some(Binding::Table(relation)) if node.arguments.is_empty() => {
                self.write_out(self.scope.written_bytes(name), node.span)?;
                return Some(Bound::Table(relation));
            }
            Some(Binding::Scalar(bound)) if node.arguments.is_empty() => {
                self.write_out(self.scope.written_bytes(name), node.span)?;
                return Some(Bound::Scalar(bound));
            }
            _ => {}
        }
        if let Some(bound) = crate::operators::graph::path_call(self, node, row) {
            return bound.map(Bound::Scalar);
        }
        if row.aggregates.is_some()
            && let Some(aggregate) = aggregates::registry().get(name)
        {
            let columns = self.aggregate_call(aggregate, node, row)?;
            return columns.first().map(|column| Bound::Scalar(ScalarExpr::column(column)));
        }
        match name {
            "graph" => {
                let message = "there are no stored graphs: make one of tables by make-graph";
                return self.fail(codes::UNSUPPORTED, node.span, message);
            }
            "node_id" | "node_degree_in" | "node_degree_out" | "inner_nodes" | "labels" | "map" => {
                let message = format!("`{name}()` has a meaning only inside graph operators");
                return self.fail(codes::SHAPE, node.span, message);
            }
            "materialize" => return self.table_argument(node).map(Materialize::relation).map(Bound::Table),
            "view" => return self.table_argument(node).map(Bound::Table),
            "toscalar" => return self.toscalar(node, row).map(Bound::Scalar),
            "column_names_of" => return self.column_names_of(node).map(Bound::Scalar),
            "table" | "external_table" | "materialized_view" | "database" | "cluster" | "workspace" | "app"
            | "resource" | "adx" | "arg" => return self.named_table(node).map(Bound::Table),
            _ => {}
        }
        let Some(function) = registry().get(name) else {
            return match self.stored_function(name) {
                Some(declaration) => {
                    let args = self.user_arguments(&declaration, &node.arguments, row, None)?;
                    self.invoke_stored(name, &declaration, args, node.span, row)
                }
                None => self.unknown_function(node, row),
            };
        };
        let whole = self.builtin(function, node, row)?;
        Some(Bound::Scalar(match function.fills {
            Fills::Parts(parts) => part(&whole, 0, parts.first().map_or(whole.column_type, |(_, t)| *t)),
            Fills::One | Fills::PerArray(_) => whole,
        }))
    }

    /// The columns an expression fills with the names they have by themselves: one, or several for a function that
    /// [`Fills`] several.
    pub(crate) fn parts(
        &mut self,
        expression: &Expression,
        row: &mut Row,
    ) -> Option<Vec<(Option<String>, ScalarExpr)>> {
        if let Expression::Call(node) = expression.unparenthesized()
            && let Some(function) = registry().get(&node.function.text).filter(|f| f.fills != Fills::One)
            && self.scope.get(&node.function.text).is_none()
        {
            return self.function_parts(function, node, row);
        }
        let bound = self.scalar(expression, row)?;
        Some(vec![(self.name_of(expression, row), bound)])
    }

    fn function_parts(
        &mut self,
        function: &'static Function,
        node: &CallExpression,
        row: &mut Row,
    ) -> Option<Vec<(Option<String>, ScalarExpr)>> {
        let name_of = |binder: &Self, index: usize| {
            node.arguments.get(index).and_then(|a| binder.name_of(&a.expression, row)).unwrap_or_default()
        };
        let first = name_of(self, 0);
        let names: Vec<String> = (0..node.arguments.len()).map(|index| name_of(self, index)).collect();
        let whole = self.builtin(function, node, row)?;
        Some(match function.fills {
            Fills::One => vec![(Some(first).filter(|name| !name.is_empty()), whole)],
            Fills::Parts(parts) => {
                let named = parts.iter().enumerate().map(|(index, (name, column_type))| {
                    (Some(format!("{}_{first}_{name}", function.name)), part(&whole, index, *column_type))
                });
                named.collect()
            }
            Fills::PerArray(suffix) => {
                let arrays = self.array_arguments(node, row);
                let named = (0..arrays).map(|index| {
                    let value = if arrays == 1 { whole.clone() } else { part(&whole, index, ColumnType::Dynamic) };
                    let own = names.get(index).filter(|name| !name.is_empty());
                    (own.map(|name| format!("{name}{suffix}")), value)
                });
                named.collect()
            }
        })
    }

    /// How many leading arguments of a call are arrays.
    fn array_arguments(&mut self, node: &CallExpression, row: &mut Row) -> usize {
        let is_array = |argument: &&NamedExpression| {
            let bound = self.quietly(|binder| binder.scalar(&argument.expression, row));
            bound.is_some_and(|bound| bound.column_type == ColumnType::Dynamic)
        };
        node.arguments.iter().take_while(is_array).count().max(1)
    }

    fn unknown_function<T>(&mut self, node: &CallExpression, row: &Row) -> Option<T> {
        let name = &node.function.text;
        if aggregates::registry().get(name).is_some() && row.aggregates.is_none() {
            let message = format!("`{name}()` is an aggregation function and needs summarize");
            return self.fail(codes::SHAPE, node.span, message);
        }
        let candidates = self.function_names();
        self.fail_near(
            codes::UNKNOWN_FUNCTION,
            node.function.span,
            format!("unknown function: '{name}'"),
            name,
            &candidates,
        )
    }

    /// A function of the catalog, parsed.
    pub(crate) fn stored_function(&mut self, name: &str) -> Option<Rc<FunctionDeclaration>> {
        if !self.scope.sees_stored(name, &self.options.database) {
            return None;
        }
        let text = self.catalog.function(name)?;
        let parsed = moneta_kql::parse(&format!("let f = {text};"));
        match parsed.tree.statements.into_iter().next() {
            Some(Statement::Let(LetStatement { value: LetValue::Function(declaration), .. })) => {
                Some(Rc::new(declaration))
            }
            _ => None,
        }
    }

    fn builtin(&mut self, function: &'static Function, node: &CallExpression, row: &mut Row) -> Option<ScalarExpr> {
        match function.name {
            "column_ifexists" => return self.column_ifexists(node, row),
            "pack_all" => return self.pack_all(node, row),
            "bag_pack_columns" => return self.pack_columns(node, row),
            "iscolumnexists" => {
                let args = self.scalar_arguments(&node.arguments, row)?;
                let Some(name) = args.first().and_then(ScalarExpr::as_literal).and_then(Value::as_str) else {
                    return self.fail(
                        codes::CONSTANT_EXPECTED,
                        node.span,
                        "the name of the column must be a constant text",
                    );
                };
                return Some(ScalarExpr::literal(Value::Bool(row.column(name).is_some())));
            }
            _ => {}
        }
        let args = self.scalar_arguments(&node.arguments, row)?;
        let bound = self.apply(function, args, node.span, row)?;
        Some(fold(bound))
    }

    fn scalar_arguments(&mut self, arguments: &[NamedExpression], row: &mut Row) -> Option<Vec<ScalarExpr>> {
        let mut args = Vec::with_capacity(arguments.len());
        for argument in arguments {
            if let Expression::Star(_) = argument.expression {
                args.extend(row.columns.iter().map(|c| Some(ScalarExpr::column(c))));
                continue;
            }
            args.push(self.scalar(&argument.expression, row));
        }
        args.into_iter().collect()
    }

    /// A built-in over bound arguments.
    pub(crate) fn apply(
        &mut self,
        function: &'static Function,
        args: Vec<ScalarExpr>,
        span: Span,
        row: &Row,
    ) -> Option<ScalarExpr> {
        let (wanted, result) = self.matching(function.name, registry().signatures(function), &args, span)?;
        let result = match function.name {
            "bin" => match types::binned(args[0].column_type, args[1].column_type) {
                Some(result) => result,
                None => {
                    let message = format!("a {} cannot be binned by a {}", args[0].column_type, args[1].column_type);
                    return self.fail(codes::TYPE, span, message);
                }
            },
            "case" => return self.case(args, span),
            "not" if args[0].column_type == ColumnType::Dynamic => {
                return self.fail(codes::TYPE, span, "not() takes a bool, not a dynamic; use tobool()");
            }
            "max_of" | "min_of" if matches!(result, ColumnType::Dynamic | ColumnType::Guid) => {
                let message = format!("{}() compares values with an order, and a {result} has none", function.name);
                return self.fail(codes::TYPE, span, message);
            }
            "assert" if args[0].as_literal() == Some(&Value::Bool(false)) => {
                let given = args[1].as_literal().and_then(Value::as_str).unwrap_or("");
                return self.fail(codes::ASSERTION, span, format!("assert() has failed with message: '{given}'"));
            }
            "percentile_tdigest" if args.len() == 3 => {
                match args[2].as_literal().and_then(Value::as_str).and_then(ColumnType::parse) {
                    Some(target) => target,
                    None => return self.fail(codes::CONSTANT_EXPECTED, span, "the third argument must be a type"),
                }
            }
            "extract" | "extract_json" | "extractjson" if args.len() == signature_texts(function) + 1 => {
                let texts = args.len() - 1;
                let target = args[texts].as_literal().and_then(Value::as_str).and_then(ColumnType::parse);
                let text = ScalarNode::Call { function, args: converted(args[..texts].to_vec(), &wanted) };
                let text = ScalarExpr::new(ColumnType::String, text);
                return Some(text.converted(target.unwrap_or(ColumnType::String)));
            }
            _ => result,
        };
        if matches!(
            function.name,
            "extract" | "extract_all" | "replace_regex" | "replace" | "trim" | "trim_start" | "trim_end"
        ) {
            let pattern = if function.name == "replace_regex" { &args[1] } else { &args[0] };
            self.check_regex(pattern, span)?;
        }
        if function.name == crate::functions::location::NAME && !self.options.has_locations {
            let message = "no database of locations is configured, so geo_info_from_ip_address() gives null";
            self.warn(codes::UNSUPPORTED, span, message);
        }
        let mut args = converted(args, &wanted);
        let node = match function.kernel {
            Kernel::Row(_) | Kernel::Native(..) => ScalarNode::Call { function, args },
            Kernel::Window => return self.window(function, args, result, span, row),
            Kernel::Special => match function.name {
                "iff" => {
                    let otherwise = args.pop()?;
                    let then = args.pop()?;
                    ScalarNode::Conditional { branches: vec![(args.pop()?, then)], otherwise: Box::new(otherwise) }
                }
                _ => return self.special(function, args, span, row),
            },
        };
        Some(ScalarExpr::new(result, node))
    }

    /// The signature that takes the arguments: the types to convert them to, and the type of the result.
    fn matching(
        &mut self,
        name: &str,
        signatures: &[Signature],
        args: &[ScalarExpr],
        span: Span,
    ) -> Option<(Vec<ColumnType>, ColumnType)> {
        let given: Vec<ColumnType> = args.iter().map(|arg| arg.column_type).collect();
        let mut reason = Mismatch::Count;
        for signature in signatures {
            match signature.accepts(&given) {
                Ok(()) => match signature.resolve(&given) {
                    Some(found) => return Some(found),
                    None => reason = Mismatch::Type(given.len().saturating_sub(1)),
                },
                Err(Mismatch::Type(position)) => reason = Mismatch::Type(position),
                Err(Mismatch::Count) => {}
            }
        }
        let forms: Vec<String> = signatures.iter().map(|s| format!("{name}{}", s.text)).collect();
        match reason {
            Mismatch::Count => {
                let message = format!("{name}(): {} arguments do not fit {}", args.len(), forms.join(" or "));
                self.fail(codes::ARGUMENTS, span, message)
            }
            Mismatch::Type(position) => {
                let message = format!(
                    "{name}(): argument {} cannot be a {}; expected {}",
                    position + 1,
                    given[position],
                    forms.join(" or ")
                );
                self.fail(codes::TYPE, span, message)
            }
        }
    }

    fn case(&mut self, mut args: Vec<ScalarExpr>, span: Span) -> Option<ScalarExpr> {
        if args.len() < 3 || args.len().is_multiple_of(2) {
            return self.fail(
                codes::ARGUMENTS,
                span,
                "case() takes pairs of condition and value, and a value at the end",
            );
        }
        let otherwise = args.pop()?;
        let mut result = otherwise.column_type;
        for value in args.iter().skip(1).step_by(2) {
            result = types::common_branch(value.column_type, result);
        }
        let mut branches = Vec::new();
        let mut rest = args.into_iter();
        while let (Some(condition), Some(value)) = (rest.next(), rest.next()) {
            if !matches!(condition.column_type, ColumnType::Bool | ColumnType::Dynamic) {
                return self.fail(
                    codes::TYPE,
                    span,
                    format!("case(): a condition cannot be a {}", condition.column_type),
                );
            }
            branches.push((condition.converted(ColumnType::Bool), value.converted(result)));
        }
        let node = ScalarNode::Conditional { branches, otherwise: Box::new(otherwise.converted(result)) };
        Some(ScalarExpr::new(result, node))
    }

    /// Functions the binder turns into something else.
    fn special(
        &mut self,
        function: &'static Function,
        args: Vec<ScalarExpr>,
        span: Span,
        row: &Row,
    ) -> Option<ScalarExpr> {
        let now = ScalarExpr::literal(Value::DateTime(self.now.as_nanos() / 100 * 100));
        match function.name {
            "now" => match args.into_iter().next() {
                None => Some(now),
                Some(offset) => self.operation(BinaryOperator::Add, now, offset, span),
            },
            "ago" => {
                let offset = args.into_iter().next()?;
                self.operation(BinaryOperator::Subtract, now, offset, span)
            }
            "ingestion_time" => match row.column(standard::INGEST_TIME) {
                Some(column) => Some(ScalarExpr::column(column)),
                None => Some(ScalarExpr::literal(Value::Null(ColumnType::DateTime))),
            },
            "current_database" => Some(ScalarExpr::literal(Value::String(self.options.database.clone()))),
            "current_principal_details" => Some(ScalarExpr::literal(Value::Dynamic(
                serde_json::json!({"FQN": self.options.principal, "UserPrincipalName": self.options.principal})
                    .to_string(),
            ))),
            "current_principal_is_member_of" => {
                let own = ScalarExpr::literal(Value::String(self.options.principal.clone()));
                let args = std::iter::once(own).chain(args).collect();
                Some(ScalarExpr::new(ColumnType::Bool, ScalarNode::Call { function: &IS_PRINCIPAL, args }))
            }
            "cursor_current" => {
                let ticks = crate::value::datetime_ticks(self.now.as_nanos());
                Some(ScalarExpr::literal(Value::String(ticks.to_string())))
            }
            "cursor_after" | "cursor_before_or_at" => {
                let after = function.name == "cursor_after";
                self.cursor(after, args.into_iter().next()?, span, row)
            }
            "bin_auto" => self.bin_auto(args.into_iter().next()?, span, row),
            "__cast" => {
                let target = args[0].as_literal().and_then(Value::as_str).and_then(ColumnType::parse);
                let Some(target) = target else {
                    return self.fail(codes::CONSTANT_EXPECTED, span, "the first argument must be a type");
                };
                args.into_iter().nth(1).map(|value| value.converted(target))
            }
            "current_principal" => Some(ScalarExpr::literal(Value::String(self.options.principal.clone()))),
            "current_cluster_endpoint" => Some(ScalarExpr::literal(Value::String(super::entities::CLUSTER.to_owned()))),
            name => self.fail(codes::UNSUPPORTED, span, format!("`{name}()` cannot be used here")),
        }
    }

    /// `bin_auto(value)`: bins of the size and from the point that the query's `set` statements say.
    fn bin_auto(&mut self, value: ScalarExpr, span: Span, row: &Row) -> Option<ScalarExpr> {
        let option = |name: &str| {
            let found = self.set.iter().rev().find(|(known, _)| known == name);
            found.and_then(|(_, value)| value.clone()).map(ScalarExpr::literal)
        };
        let (size, at) = (option("query_bin_auto_size"), option("query_bin_auto_at"));
        match (size, at) {
            (Some(size), Some(at)) => self.apply(registry().get("bin_at")?, vec![value, size, at], span, row),
            (Some(size), None) => self.apply(registry().get("bin")?, vec![value, size], span, row),
            (None, _) if value.column_type == ColumnType::Int => Some(value.converted(ColumnType::Long)),
            (None, _) => Some(value),
        }
    }

    /// Whether rows were ingested after a cursor, which is a time in ticks. All are after the empty one.
    fn cursor(&mut self, after: bool, cursor: ScalarExpr, span: Span, row: &Row) -> Option<ScalarExpr> {
        if let Some(text) = cursor.as_literal().and_then(Value::as_str)
            && !text.is_empty()
            && cursor_moment(text).is_none()
        {
            let message = "the text is no cursor, so no row passes; `cursor_current()` makes one";
            self.warn(codes::TYPE, span, message);
        }
        let ingested = match row.column(standard::INGEST_TIME) {
            Some(column) => ScalarExpr::column(column),
            None => ScalarExpr::literal(Value::Null(ColumnType::DateTime)),
        };
        let moment = ScalarNode::Call { function: &CURSOR_MOMENT, args: vec![cursor.clone()] };
        let moment = fold(ScalarExpr::new(ColumnType::DateTime, moment));
        let operator = if after { BinaryOperator::Greater } else { BinaryOperator::LessOrEqual };
        let passed = self.operation(operator, ingested, moment, span)?;
        // Every row is behind the empty cursor.
        let empty = ScalarExpr::literal(Value::String(String::new()));
        let is_empty = self.operation(BinaryOperator::Equal, cursor, empty, span)?;
        let branches = vec![(is_empty, ScalarExpr::literal(Value::Bool(after)))];
        let node = ScalarNode::Conditional { branches, otherwise: Box::new(passed) };
        Some(fold(ScalarExpr::new(ColumnType::Bool, node)))
    }

    /// A window function over the rows in their order.
    fn window(
        &mut self,
        function: &'static Function,
        mut args: Vec<ScalarExpr>,
        result: ColumnType,
        span: Span,
        row: &Row,
    ) -> Option<ScalarExpr> {
        if matches!(function.name, "prev" | "next") {
            if args.get(1).is_some_and(|offset| offset.as_literal().and_then(Value::as_long).is_none()) {
                let message = format!("the offset of `{}()` must be a constant whole number", function.name);
                return self.fail(codes::CONSTANT_EXPECTED, span, message);
            }
            if args.len() > 2 {
                args[2] = args[2].clone().converted(result);
            }
        }
        let node =
            ScalarNode::Window { function, args, order: Arc::clone(&row.order), partition: row.partition.clone() };
        Some(ScalarExpr::new(result, node))
    }

    fn column_ifexists(&mut self, node: &CallExpression, row: &mut Row) -> Option<ScalarExpr> {
        let [name, default] = node.arguments.as_slice() else {
            return self.fail(codes::ARGUMENTS, node.span, "column_ifexists() takes a name and a default");
        };
        let name_span = name.expression.span();
        let name = self.scalar(&name.expression, row)?;
        let Some(name) = name.as_literal().and_then(Value::as_str).map(str::to_owned) else {
            return self.fail(codes::CONSTANT_EXPECTED, name_span, "the name of the column must be a constant text");
        };
        if let Some(column) = row.column(&name) {
            return Some(ScalarExpr::column(column));
        }
        self.scalar(&default.expression, row)
    }

    fn pack_all(&mut self, node: &CallExpression, row: &mut Row) -> Option<ScalarExpr> {
        let args = self.scalar_arguments(&node.arguments, row)?;
        let skips = matches!(args.first().and_then(ScalarExpr::as_literal), Some(Value::Bool(true)));
        let columns: Vec<ScalarExpr> = row.columns.iter().map(ScalarExpr::column).collect();
        let bag = self.packed(columns, node.span, row)?;
        if !skips {
            return Some(bag);
        }
        let node = ScalarNode::Call { function: &WITHOUT_EMPTY, args: vec![bag] };
        Some(ScalarExpr::new(ColumnType::Dynamic, node))
    }

    fn pack_columns(&mut self, node: &CallExpression, row: &mut Row) -> Option<ScalarExpr> {
        let columns = self.scalar_arguments(&node.arguments, row)?;
        self.packed(columns, node.span, row)
    }

    /// A bag of columns under their names.
    pub(crate) fn packed(&mut self, columns: Vec<ScalarExpr>, span: Span, row: &Row) -> Option<ScalarExpr> {
        let function = registry().get("bag_pack")?;
        let mut args = Vec::new();
        for column in columns {
            let Some(name) = column.as_column() else {
                return self.fail(codes::NAME_EXPECTED, span, "a column name is expected");
            };
            args.push(ScalarExpr::literal(Value::String(name.to_string())));
            args.push(column);
        }
        if args.is_empty() {
            return Some(ScalarExpr::literal(Value::Dynamic("{}".to_owned())));
        }
        self.apply(function, args, span, row)
    }

    fn toscalar(&mut self, node: &CallExpression, row: &mut Row) -> Option<ScalarExpr> {
        let [argument] = node.arguments.as_slice() else {
            return self.fail(codes::ARGUMENTS, node.span, "toscalar() takes one query");
        };
        let mut inner = Row::none();
        let _ = row;
        let outer = self.scope.clone();
        if argument.expression.as_name().is_none() {
            self.scope = outer.without_row_values();
        }
        let bound = self.deeper(node.span, |binder| binder.any(&argument.expression, &mut inner));
        self.scope = outer;
        match bound? {
            Bound::Scalar(bound) => Some(bound),
            Bound::Table(relation) => {
                let Some(column_type) = relation.columns.first().map(|c| c.column_type) else {
                    return self.fail(codes::SHAPE, node.span, "the query has no column");
                };
                if !crate::operators::apply::partition(&relation.columns).is_empty() {
                    let message = "toscalar() over the rows of a partition is not supported; summarize by its column, \
                                   and join the result";
                    return self.fail(codes::UNSUPPORTED, node.span, message);
                }
                Some(ScalarExpr::new(column_type, ScalarNode::Subquery(relation)))
            }
        }
    }

    /// `column_names_of(T)`: a constant array.
    fn column_names_of(&mut self, node: &CallExpression) -> Option<ScalarExpr> {
        let relation = self.table_argument(node)?;
        let names = relation.columns.iter().map(|c| serde_json::Value::from(&*c.name)).collect();
        Some(ScalarExpr::literal(Value::Dynamic(serde_json::Value::Array(names).to_string())))
    }

    fn table_argument(&mut self, node: &CallExpression) -> Option<Relation> {
        match node.arguments.as_slice() {
            [argument] => self.relation(&argument.expression),
            _ => self.fail(codes::ARGUMENTS, node.span, "one query is expected"),
        }
    }

    fn named_table(&mut self, node: &CallExpression) -> Option<Relation> {
        if !matches!(node.function.text.as_str(), "table" | "external_table" | "materialized_view") {
            let message = format!("`{}()` must be followed by a dot and a table", node.function.text);
            return self.fail(codes::SHAPE, node.span, message);
        }
        let name = match node.arguments.first() {
            Some(argument) => self.scalar(&argument.expression, &mut Row::none())?,
            None => return self.fail(codes::ARGUMENTS, node.span, "table() takes a name"),
        };
        match name.as_literal().and_then(Value::as_str) {
            Some(name) => {
                let name = name.to_owned();
                self.table_or_fail(&name, node.span)
            }
            None => self.fail(codes::CONSTANT_EXPECTED, node.span, "the name of the table must be a constant text"),
        }
    }

    /// The arguments of a call of a declared function, bound in the caller's scope.
    pub(crate) fn user_arguments(
        &mut self,
        declaration: &FunctionDeclaration,
        arguments: &[NamedExpression],
        row: &mut Row,
        piped: Option<Relation>,
    ) -> Option<Vec<Argument>> {
        let mut bound: Vec<Argument> = Vec::new();
        let mut position = 0;
        if let Some(relation) = piped {
            if let Some(parameter) = declaration.parameters.first() {
                let name = parameter.name.text.clone();
                bound.push(Argument { name, value: Binding::Table(relation), written_bytes: self.written_bytes });
            }
            position = 1;
        }
        for argument in arguments {
            let parameter = match argument.name() {
                Some(name) => declaration.parameters.iter().find(|p| p.name.text == name.text),
                None => declaration.parameters.get(position),
            };
            position += 1;
            let Some(parameter) = parameter else {
                let message = format!("the function takes {} arguments", declaration.parameters.len());
                return self.fail(codes::ARGUMENTS, argument.span, message);
            };
            let before = self.written_bytes;
            let value = match &parameter.ty {
                ParameterType::Table(schema) => {
                    let relation = self.relation(&argument.expression)?;
                    self.has_columns(&relation, schema, argument.span)?;
                    Binding::Table(relation)
                }
                ParameterType::Scalar(name) => {
                    let wanted = self.declared_type(name)?;
                    let value = self.scalar(&argument.expression, row)?;
                    Binding::Scalar(value.converted(wanted))
                }
            };
            let written_bytes = self.written_bytes - before + argument.span.len();
            bound.push(Argument { name: parameter.name.text.clone(), value, written_bytes });
        }
        Some(bound)
    }

    /// Whether rows have the columns a parameter declares.
    fn has_columns(&mut self, relation: &Relation, schema: &RowSchema, span: Span) -> Option<()> {
        for column in &schema.columns {
            let wanted = self.declared_type(&column.ty)?;
            if relation.column(&column.name.text).is_none_or(|found| found.column_type != wanted) {
                let message = format!("the table has no column `{}` of type {wanted}", column.name.text);
                return self.fail(codes::TYPE, span, message);
            }
        }
        Some(())
    }

    /// Binds the body of a stored function, which sees nothing of its caller, and cannot call itself.
    pub(crate) fn invoke_stored(
        &mut self,
        name: &str,
        declaration: &Rc<FunctionDeclaration>,
        args: Vec<Argument>,
        span: Span,
        row: &mut Row,
    ) -> Option<Bound> {
        if let Some(first) = self.stored.iter().position(|caller| caller == name) {
            let cycle = format!("{} -> {name}", self.stored[first..].join(" -> "));
            let message = format!("the function '{name}' calls itself ({cycle}), and functions cannot be recursive");
            return self.fail(codes::UNSUPPORTED, span, message);
        }
        self.stored.push(name.to_owned());
        let bound = self.invoke(declaration, Scope::default(), args, span, row);
        self.stored.pop();
        bound
    }

    /// Binds the body of a declared function with its parameters.
    pub(crate) fn invoke(
        &mut self,
        declaration: &Rc<FunctionDeclaration>,
        scope: Scope,
        args: Vec<Argument>,
        span: Span,
        row: &mut Row,
    ) -> Option<Bound> {
        if self.call_depth >= CALL_DEPTH_MAX {
            let message = format!("functions call one another more than {CALL_DEPTH_MAX} levels deep");
            return self.fail(codes::LIMIT, span, message);
        }
        if self.calls >= CALLS_MAX {
            let message = format!("the query calls functions more than {CALLS_MAX} times, with the calls inside them");
            return self.fail(codes::LIMIT, span, message);
        }
        self.calls += 1;
        self.write_out(declaration.body.span.len(), span)?;
        let mut inner = scope;
        for parameter in &declaration.parameters {
            let name = &parameter.name.text;
            let argument = args.iter().find(|argument| argument.name == *name);
            let value = match (argument, &parameter.default) {
                (Some(argument), _) => argument.value.clone(),
                (None, Some(default)) => {
                    let value = self.scalar(default, &mut Row::none())?;
                    let value = match &parameter.ty {
                        ParameterType::Scalar(name) => value.converted(self.declared_type(name)?),
                        ParameterType::Table(_) => value,
                    };
                    Binding::Scalar(value)
                }
                (None, None) => {
                    return self.fail(codes::ARGUMENTS, span, format!("the argument `{name}` is missing"));
                }
            };
            inner = inner.with_written(name, value, argument.map_or(0, |argument| argument.written_bytes));
        }
        let outer = std::mem::replace(&mut self.scope, inner);
        self.call_depth += 1;
        let result = self.deeper(span, |binder| {
            for statement in &declaration.body.statements {
                binder.declaration(statement)?;
            }
            match &declaration.body.result {
                Some(result) => {
                    let mut inner = Row { aggregates: row.aggregates.take(), ..Row::none() };
                    let bound = binder.any(result, &mut inner);
                    row.aggregates = inner.aggregates;
                    bound
                }
                None => binder.fail(codes::SHAPE, declaration.body.span, "the function has no result"),
            }
        });
        self.call_depth -= 1;
        self.scope = outer;
        result
    }

    /// Binds an aggregate and notes it in the row; gives the columns it fills.
    pub(crate) fn aggregate_call(
        &mut self,
        function: &'static Aggregate,
        node: &CallExpression,
        row: &mut Row,
    ) -> Option<Vec<Column>> {
        // Inside an aggregate there are rows again, not groups.
        let mut inner = Row { aggregates: None, ..row.clone() };
        let mut args = Vec::new();
        let first_name = node.arguments.first().and_then(|a| a.expression.as_name()).map(|n| n.text.clone());
        for argument in &node.arguments {
            if let Expression::Star(_) = argument.expression {
                let rest = inner.columns.iter().filter(|c| {
                    !row.grouped_by.contains(&c.name) && (args.is_empty() || Some(c.name.to_string()) != first_name)
                });
                args.extend(rest.map(ScalarExpr::column).collect::<Vec<_>>());
            } else {
                args.push(self.scalar(&argument.expression, &mut inner)?);
            }
        }
        let signatures = aggregates::registry().signatures(function);
        let (wanted, result) = self.matching(function.name, signatures, &args, node.span)?;
        let count = args.len();
        let signature =
            signatures.iter().find(|s| s.accepts(&args.iter().map(|a| a.column_type).collect::<Vec<_>>()).is_ok())?;
        let is_predicate = |position: usize| signature.param(position).is_some_and(|p| p.name == PREDICATE);
        let predicate = (0..count).find(|p| is_predicate(*p));
        let mut args = converted(args, &wanted);
        let predicate = predicate.map(|position| args.remove(position));
        let types = self.output_types(function, &args, result);
        let number = self.fresh();
        let outputs: Vec<Column> =
            types.into_iter().enumerate().map(|(part, t)| Column::new(&format!("__g{number}_{part}"), t)).collect();
        if let Some(aggregates) = &mut row.aggregates {
            aggregates.push(BoundAggregate { function, args, predicate, outputs: outputs.clone() });
        }
        Some(outputs)
    }

    fn output_types(&self, function: &Aggregate, args: &[ScalarExpr], result: ColumnType) -> Vec<ColumnType> {
        match function.naming {
            AggregateNaming::Percentiles => vec![args[0].column_type; (args.len() - 1).max(1)],
            AggregateNaming::WeightedPercentiles => vec![args[0].column_type; (args.len().saturating_sub(2)).max(1)],
            AggregateNaming::Prefix(_) => vec![result],
            AggregateNaming::Arguments if function.name.starts_with("binary_") => vec![result],
            _ => args.iter().map(|arg| arg.column_type).collect(),
        }
    }
}

/// How many arguments stand before the `typeof()` that says what type is wanted of a cut out text.
fn signature_texts(function: &Function) -> usize {
    if function.name == "extract" { 3 } else { 2 }
}

/// A part of a call's result, in its own type.
fn part(whole: &ScalarExpr, index: usize, column_type: ColumnType) -> ScalarExpr {
    let step = Step::Index(i64::try_from(index).unwrap_or(i64::MAX));
    let node = ScalarNode::Path { base: Box::new(whole.clone()), steps: vec![step] };
    fold(ScalarExpr::new(ColumnType::Dynamic, node)).converted(column_type)
}

fn converted(args: Vec<ScalarExpr>, wanted: &[ColumnType]) -> Vec<ScalarExpr> {
    let mut wanted = wanted.iter();
    args.into_iter()
        .map(|arg| match wanted.next() {
            Some(t) => arg.converted(*t),
            None => arg,
        })
        .collect()
}

/// Leaves nulls and empty texts out of a bag, for `pack_all(true)`.
static WITHOUT_EMPTY: Function = Function::row("kql_without_empty", &["(bag: dynamic) -> dynamic"], |args, _| {
    match crate::json::parse(args[0].text()) {
        serde_json::Value::Object(bag) => {
            let kept = bag.into_iter().filter(|(_, v)| !v.is_null() && v.as_str() != Some("")).collect();
            serde_json::Value::Object(kept).into()
        }
        other => other.into(),
    }
});
