//! Binding of tabular expressions and declarations.

use moneta_kql::syntax::{
    CallExpression, Expression, InvokeOperator, Name, Operator, ParameterType, PathMember, PipeExpression,
    RenderOperator, Span,
};

use super::expressions::Bound;
use super::scope::Binding;
use super::{Binder, Row, codes};
use crate::bound::{Relation, Render};
use crate::operators::apply;
use crate::operators::table::Table;

impl Binder<'_> {
    /// Binds an expression that must be rows.
    pub(crate) fn relation(&mut self, expression: &Expression) -> Option<Relation> {
        let bound = self.deeper(expression.span(), |binder| binder.rows(expression));
        self.note_relation(expression.span(), bound.as_ref());
        bound
    }

    fn rows(&mut self, expression: &Expression) -> Option<Relation> {
        match expression {
            Expression::Parenthesized(node) => self.relation(&node.inner),
            Expression::Pipe(node) => self.pipe(node),
            Expression::Datatable(node) => self.bind_datatable(node),
            Expression::DataScope(node) => self.relation(&node.expression),
            Expression::ExternalData(node) => self.bind_externaldata(node),
            Expression::Name(name) => match self.scope.get(&name.text) {
                Some(Binding::Scalar(_)) | None => self.stored_rows(name),
                Some(_) => self.rows_of(expression),
            },
            Expression::Call(_) | Expression::Path(_) => self.rows_of(expression),
            Expression::Missing(span) => self.fail(codes::SHAPE, *span, "a table is missing here"),
            Expression::Error(node) => self.fail(codes::SHAPE, node.span, "this is no table"),
            other => {
                let message = "this form of a table is not supported";
                match other {
                    Expression::EntityGroup(_)
                    | Expression::ContextualDatatable(_)
                    | Expression::MaterializedViewCombine(_) => self.fail(codes::UNSUPPORTED, other.span(), message),
                    _ => self.fail(codes::SHAPE, other.span(), "rows are expected here, not a value"),
                }
            }
        }
    }

    fn rows_of(&mut self, expression: &Expression) -> Option<Relation> {
        match self.any(expression, &mut Row::none())? {
            Bound::Table(relation) => Some(relation),
            Bound::Scalar(_) => self.fail(codes::SHAPE, expression.span(), "rows are expected here, not a value"),
        }
    }

    /// The rows of what the catalog has under a name: a view over a table, the table, a function.
    pub(crate) fn stored_rows(&mut self, name: &Name) -> Option<Relation> {
        if self.catalog.is_over_table(&name.text) {
            return self.function_as_table(name);
        }
        match self.table(&name.text) {
            Some(relation) => Some(relation),
            None => self.function_as_table(name),
        }
    }

    /// A function of the catalog may be named like a table where none of its parameters needs an argument.
    fn function_as_table(&mut self, name: &Name) -> Option<Relation> {
        if self.stored_function(&name.text).is_none() {
            return self.no_table(&name.text, name.span);
        }
        let function = name.clone();
        let call = CallExpression { span: name.span, function, parameters: Vec::new(), arguments: Vec::new() };
        self.rows_of(&Expression::Call(call.into()))
    }

    /// The rows of a table of the catalog.
    pub(crate) fn table(&mut self, name: &str) -> Option<Relation> {
        if !self.scope.sees_stored(name, &self.options.database) {
            return None;
        }
        let view = self.stored.last().filter(|function| self.catalog.is_over_table(function));
        if view.is_some_and(|view| view != name) && self.left_out_of_views.contains(name) {
            return None;
        }
        let (in_view, in_text) = (view.is_some(), self.stored.is_empty());
        let columns = self.catalog.columns(name)?;
        if in_view || in_text {
            let met = if in_view { &mut self.read_by_views } else { &mut self.named };
            met.insert(name.to_owned());
        }
        self.tables.insert(name.to_owned());
        Some(Relation::new(columns.to_vec(), Table { table: name.to_owned() }))
    }

    /// The rows of a table, or a diagnostic.
    pub(crate) fn table_or_fail(&mut self, name: &str, span: Span) -> Option<Relation> {
        match self.scope.get(name).cloned() {
            Some(Binding::Table(relation)) => {
                self.write_out(self.scope.written_bytes(name), span)?;
                return Some(relation);
            }
            Some(Binding::Failed) => return None,
            _ => {}
        }
        match self.table(name) {
            Some(relation) => Some(relation),
            None => self.no_table(name, span),
        }
    }

    fn no_table<T>(&mut self, name: &str, span: Span) -> Option<T> {
        let mut candidates = self.catalog.table_names();
        candidates.extend(self.scope.iter().map(|(name, _)| name.to_owned()));
        let message = format!("failed to resolve table or column or scalar expression named '{name}'");
        self.fail_near(codes::NO_TABLE, span, message, name, &candidates)
    }

    /// The tables a wildcard names, in name order, with their names; and the views the query declares.
    pub(crate) fn tables_matching(&mut self, pattern: &Expression) -> Vec<(String, Relation)> {
        let is_entity = matches!(pattern, Expression::Path(_));
        let matches = |name: &str| match pattern {
            Expression::Wildcard(wildcard) => wildcard.matches(name),
            Expression::Path(path) => match &path.member {
                PathMember::Wildcard(wildcard) => wildcard.matches(name),
                _ => false,
            },
            _ => true,
        };
        let mut names = self.catalog.table_names();
        names.retain(|name| matches(name));
        names.sort();
        let mut found: Vec<(String, Relation)> =
            names.into_iter().filter_map(|name| self.table(&name).map(|relation| (name, relation))).collect();
        let views: Vec<(String, Binding)> = self
            .scope
            .iter()
            .filter(|(name, binding)| {
                !is_entity && matches(name) && matches!(binding, Binding::Function(d, _) if d.is_view)
            })
            .map(|(name, binding)| (name.to_owned(), binding.clone()))
            .collect();
        for (name, binding) in views {
            if let Binding::Function(declaration, scope) = binding
                && let Some(Bound::Table(relation)) =
                    self.invoke(&declaration, scope, Vec::new(), declaration.span, &mut Row::none())
            {
                found.push((name, relation));
            }
        }
        found
    }

    /// A query: a source and operators.
    pub(crate) fn pipe(&mut self, node: &PipeExpression) -> Option<Relation> {
        self.pipes += 1;
        let bound = self.operators(node);
        self.pipes -= 1;
        bound
    }

    /// An operator, with regard to groups of `mv-apply` and `partition` that a filter may leave without rows.
    fn grouped_operator(
        &mut self,
        input: Option<Relation>,
        operator: &Operator,
        rest: &[Operator],
    ) -> Option<Relation> {
        match (input, operator) {
            (Some(input), Operator::Where(node))
                if !apply::partition(&input.columns).is_empty() && apply::ends_in_aggregation(rest) =>
            {
                self.bind_where_kept(input, node)
            }
            (input, operator) => self.operator(input, operator),
        }
    }

    /// Keeps results of `fork` and `facet` for the end of the statement, which they must belong to.
    pub(crate) fn further_results(&mut self, results: Vec<Relation>, span: Span) -> Option<()> {
        if self.pipes > 1 || !self.supplied.is_empty() {
            let message = "fork and facet give several results, so they can stand only in the outermost query";
            return self.fail(codes::SHAPE, span, message);
        }
        self.further.extend(results);
        Some(())
    }

    fn operators(&mut self, node: &PipeExpression) -> Option<Relation> {
        let mut current = match &node.source {
            Some(source) => Some(self.relation(source)?),
            None => self.supplied.last().cloned(),
        };
        // Names given by `as` hold for the rest of this pipe and after it.
        for (position, operator) in node.operators.iter().enumerate() {
            if !self.further.is_empty() && !matches!(operator, Operator::Render(_)) {
                let message = "after fork and facet only render can stand";
                return self.fail(codes::SHAPE, operator.span(), message);
            }
            let rest = &node.operators[position + 1..];
            current = Some(self.grouped_operator(current, operator, rest)?);
        }
        match current {
            Some(relation) => Some(relation),
            None => self.fail(codes::SHAPE, node.span, "the query has no source"),
        }
    }

    /// Binds operators over rows that are supplied, as in `mv-apply`.
    pub(crate) fn subquery(&mut self, input: Relation, node: &PipeExpression) -> Option<Relation> {
        self.supplied.push(input);
        let bound = self.pipe(node);
        self.supplied.pop();
        bound
    }

    /// Whether `externaldata` may read a location.
    pub(crate) fn allows_location(&self, location: &str) -> Result<(), String> {
        self.catalog.allows_location(location)
    }

    /// Binds something in a scope where a name stands for a value.
    pub(crate) fn with_value<T>(
        &mut self,
        name: &str,
        value: crate::bound::ScalarExpr,
        action: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let inner = self.scope.with(name, Binding::Scalar(value));
        let outer = std::mem::replace(&mut self.scope, inner);
        let result = action(self);
        self.scope = outer;
        result
    }

    fn operator(&mut self, input: Option<Relation>, operator: &Operator) -> Option<Relation> {
        self.note_operator(input.as_ref(), operator);
        match operator {
            Operator::Print(node) => return self.bind_print(node),
            Operator::Range(node) => return self.bind_range(node),
            Operator::Union(node) => return self.bind_union(input, node),
            Operator::Search(node) => return self.bind_search(input, node),
            Operator::Find(node) => return self.bind_find(input, node),
            Operator::Evaluate(node) if input.is_none() => return self.bind_evaluate_alone(node),
            Operator::MacroExpand(node) => return self.bind_macro_expand(node),
            _ => {}
        }
        let Some(input) = input else {
            let message = format!("`{}` needs rows to work on", operator.keyword());
            return self.fail(codes::SHAPE, operator.span(), message);
        };
        let takes_graphs = operator.keyword().starts_with("graph-")
            || matches!(operator, Operator::Invoke(_) | Operator::As(_) | Operator::Render(_));
        if input.operator.as_graph().is_some() && !takes_graphs {
            let message = format!("`{}` works on rows, not on a graph; use graph-to-table first", operator.keyword());
            return self.fail(codes::SHAPE, operator.span(), message);
        }
        match operator {
            Operator::Where(node) => self.bind_where(input, node),
            Operator::Project(node) => self.bind_project(input, node),
            Operator::ProjectAway(node) => self.bind_project_away(input, &node.columns),
            Operator::ProjectByNames(node) => self.bind_project_by_names(input, node),
            Operator::ProjectKeep(node) => self.bind_project_keep(input, &node.columns),
            Operator::ProjectRename(node) => self.bind_project_rename(input, node),
            Operator::ProjectReorder(node) => self.bind_project_reorder(input, node),
            Operator::Extend(node) => self.bind_extend_operator(input, node),
            Operator::Serialize(node) => self.bind_extend("serialize", input, &node.expressions),
            Operator::Summarize(node) => self.bind_summarize(input, node),
            Operator::Distinct(node) => self.bind_distinct(input, node),
            Operator::Count(node) => self.bind_count(input, node),
            Operator::Sort(node) => self.bind_sort(input, node),
            Operator::Top(node) => self.bind_top(input, node),
            Operator::Take(node) => self.bind_take(input, node),
            Operator::Join(node) => self.bind_join(input, node),
            Operator::Lookup(node) => self.bind_lookup(input, node),
            Operator::Partition(node) => self.bind_partition(input, node),
            Operator::PartitionBy(node) => {
                let key = self.scalar(&node.column, &mut Row::of(&input))?;
                self.partitioned(input, &key, &node.query)
            }
            Operator::TopNested(node) => self.bind_top_nested(input, node),
            Operator::TopHitters(node) => self.bind_top_hitters(input, node),
            Operator::Sample(node) => self.bind_sample(input, node),
            Operator::SampleDistinct(node) => self.bind_sample_distinct(input, node),
            Operator::Reduce(node) => self.bind_reduce(input, node),
            Operator::ParseKv(node) => self.bind_parse_kv(input, node),
            Operator::ProjectSmart(_) => Some(input),
            Operator::AssertSchema(node) => self.bind_assert_schema(input, node),
            Operator::Consume(_) => Some(Self::bind_consume(input)),
            Operator::Fork(node) => self.bind_fork(input, node),
            Operator::Facet(node) => self.bind_facet(input, node),
            Operator::Scan(node) => self.bind_scan(input, node),
            Operator::MakeSeries(node) => self.bind_make_series(input, node),
            Operator::MvExpand(node) => self.bind_mv_expand(input, node),
            Operator::MvApply(node) => self.bind_mv_apply(input, node),
            Operator::Evaluate(node) => self.bind_evaluate(input, node),
            Operator::Parse(node) => self.bind_parse(input, node, false),
            Operator::ParseWhere(node) => self.bind_parse(input, node, true),
            Operator::GetSchema(_) => Some(self.bind_getschema(&input)),
            Operator::MakeGraph(node) => self.bind_make_graph(input, node),
            Operator::GraphMatch(node) => self.bind_graph_match(input, node),
            Operator::GraphShortestPaths(node) => self.bind_graph_shortest_paths(input, node),
            Operator::GraphToTable(node) => self.bind_graph_to_table(input, node),
            Operator::GraphMarkComponents(node) => self.bind_graph_mark_components(input, node),
            Operator::GraphWhereNodes(node) => self.bind_graph_where_nodes(input, node),
            Operator::GraphWhereEdges(node) => self.bind_graph_where_edges(input, node),
            Operator::Invoke(node) => self.invoke_operator(input, node),
            Operator::Render(node) => {
                self.render = Some(render(node));
                Some(input)
            }
            Operator::As(node) => {
                // The pipe so far is at most all that was met so far.
                let written_bytes = self.written_bytes + node.span.end;
                self.scope = self.scope.with_written(&node.name.text, Binding::Table(input.clone()), written_bytes);
                Some(input)
            }
            // The parser has reported what it could not read.
            Operator::Unknown(node) => self.fail(codes::SHAPE, node.span, "this is no operator"),
            other => {
                let message =
                    format!("the operator `{}` is not supported yet; rewrite the query without it", other.keyword());
                self.fail(codes::UNSUPPORTED, other.span(), message)
            }
        }
    }

    /// Gives rows a name for what follows.
    pub(crate) fn name_table(&mut self, name: &str, relation: Relation) {
        self.scope = self.scope.with_written(name, Binding::Table(relation), self.written_bytes);
    }

    fn invoke_operator(&mut self, input: Relation, node: &InvokeOperator) -> Option<Relation> {
        let (name, arguments) = match &node.function {
            Expression::Call(call) => (&call.function, call.arguments.as_slice()),
            Expression::Name(name) => (&**name, &[][..]),
            other => return self.fail(codes::SHAPE, other.span(), "invoke needs a function"),
        };
        let found = match self.scope.get(&name.text).cloned() {
            Some(Binding::Function(declaration, scope)) => Some((declaration, Some(scope))),
            _ => self.stored_function(&name.text).map(|declaration| (declaration, None)),
        };
        let Some((declaration, scope)) = found else {
            let candidates = self.function_names();
            let message = format!("unknown function: '{}'", name.text);
            return self.fail_near(codes::UNKNOWN_FUNCTION, name.span, message, &name.text, &candidates);
        };
        if !matches!(declaration.parameters.first().map(|p| &p.ty), Some(ParameterType::Table(_))) {
            return self.fail(codes::SHAPE, name.span, "invoke needs a function whose first parameter is a table");
        }
        let before = self.written_bytes;
        let args = self.user_arguments(&declaration, arguments, &mut Row::none(), Some(input))?;
        let bound = match scope {
            Some(scope) => self.invoke(&declaration, scope, args, node.span, &mut Row::none()),
            None => self.invoke_stored(&name.text, &declaration, args, node.span, &mut Row::none()),
        };
        // The pipe so far stands where the function names it, and no longer in front.
        self.written_bytes = before.max(self.written_bytes - before);
        match bound? {
            Bound::Table(relation) => Some(relation),
            Bound::Scalar(_) => self.fail(codes::SHAPE, node.span, "the function gives a value, not rows"),
        }
    }
}

fn render(node: &RenderOperator) -> Render {
    let shown = |expression: &Expression| match expression {
        Expression::Name(name) => name.text.clone(),
        Expression::Literal(literal) => match &literal.value {
            moneta_kql::syntax::LiteralValue::String(text) => text.value.clone(),
            moneta_kql::syntax::LiteralValue::Long(Some(number)) => number.to_string(),
            moneta_kql::syntax::LiteralValue::Real(Some(number)) => number.to_string(),
            moneta_kql::syntax::LiteralValue::Bool(Some(value)) => value.to_string(),
            _ => String::new(),
        },
        _ => String::new(),
    };
    let properties = node.properties.iter().map(|property| {
        let values: Vec<String> = property.values.iter().map(shown).collect();
        (property.name.text.clone(), values.join(","))
    });
    Render { chart: node.chart.text.clone(), properties: properties.collect() }
}
