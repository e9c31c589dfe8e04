//! Operators in a dump.

use super::{
    DumpNode, call, expression, expressions, name, named_expression, named_expressions, parameter, parameters, pipe,
    row_schema, skipped, statement, text, type_text, typeof_expression,
};
use crate::syntax::*;

/// A clause of an operator: shown only if it holds something.
fn clause(label: &str, children: Vec<DumpNode>) -> Option<DumpNode> {
    let span = children.iter().map(|child| child.span).reduce(Span::to)?;
    Some(DumpNode::new(label, span, children))
}

fn sort_key(node: &SortKey) -> DumpNode {
    let mut label = String::from("key");
    match node.direction {
        Some(SortDirection::Ascending) => label += " asc",
        Some(SortDirection::Descending) => label += " desc",
        None => {}
    }
    match node.nulls {
        Some(NullsOrder::First) => label += " nulls-first",
        Some(NullsOrder::Last) => label += " nulls-last",
        None => {}
    }
    DumpNode::new(label, node.span, vec![named_expression(&node.expression)])
}

fn sort_keys(nodes: &[SortKey]) -> Vec<DumpNode> {
    nodes.iter().map(sort_key).collect()
}

pub(super) fn operator(node: &Operator) -> DumpNode {
    let mut label = node.keyword().to_string();
    let children = match node {
        Operator::As(node) => {
            label = format!("as {}", text(&node.name));
            parameters(&node.parameters)
        }
        Operator::AssertSchema(node) => vec![row_schema(&node.schema)],
        Operator::Consume(node) => parameters(&node.parameters),
        Operator::Count(node) => node.name.iter().map(name).collect(),
        Operator::Distinct(node) => [parameters(&node.parameters), named_expressions(&node.columns)].concat(),
        Operator::Evaluate(node) => {
            let schema = node.schema.iter().map(row_schema).collect();
            [parameters(&node.parameters), vec![call(&node.call)], schema].concat()
        }
        Operator::ExecuteAndCache(_) | Operator::ProjectSmart(_) => Vec::new(),
        Operator::Extend(node) => named_expressions(&node.expressions),
        Operator::GetSchema(node) => parameters(&node.parameters),
        Operator::Invoke(node) => vec![expression(&node.function)],
        Operator::Join(node) => {
            let condition = match &node.condition {
                JoinCondition::None => None,
                JoinCondition::On(conditions) => clause("on", expressions(conditions)),
                JoinCondition::Where(predicate) => clause("where", vec![expression(predicate)]),
            };
            let right = vec![expression(&node.right)];
            [parameters(&node.parameters), right, condition.into_iter().collect()].concat()
        }
        Operator::Lookup(node) => {
            let on = clause("on", expressions(&node.on)).into_iter().collect();
            [parameters(&node.parameters), vec![expression(&node.right)], on].concat()
        }
        Operator::Print(node) => named_expressions(&node.expressions),
        Operator::Project(node) => named_expressions(&node.expressions),
        Operator::ProjectAway(node) => expressions(&node.columns),
        Operator::ProjectByNames(node) => named_expressions(&node.expressions),
        Operator::ProjectKeep(node) => expressions(&node.columns),
        Operator::ProjectRename(node) => named_expressions(&node.renames),
        Operator::ProjectReorder(node) => node.columns.iter().map(reorder_column).collect(),
        Operator::Range(node) => {
            label = format!("range {}", text(&node.column));
            vec![expression(&node.from), expression(&node.to), expression(&node.step)]
        }
        Operator::Sample(node) => [parameters(&node.parameters), vec![expression(&node.count)]].concat(),
        Operator::SampleDistinct(node) => {
            let values = vec![expression(&node.count), named_expression(&node.of)];
            [parameters(&node.parameters), values].concat()
        }
        Operator::Serialize(node) => [parameters(&node.parameters), named_expressions(&node.expressions)].concat(),
        Operator::Sort(node) => [parameters(&node.parameters), sort_keys(&node.keys)].concat(),
        Operator::Take(node) => [parameters(&node.parameters), vec![expression(&node.count)]].concat(),
        Operator::Top(node) => {
            [parameters(&node.parameters), vec![expression(&node.count)], sort_keys(&node.by)].concat()
        }
        Operator::Union(node) => [parameters(&node.parameters), expressions(&node.sources)].concat(),
        Operator::Unknown(node) => return skipped(node),
        Operator::Where(node) => [parameters(&node.parameters), vec![expression(&node.predicate)]].concat(),
        other => operator_with_clauses(other),
    };
    DumpNode::new(label, node.span(), children)
}

fn reorder_column(node: &ReorderColumn) -> DumpNode {
    match node.order {
        None => expression(&node.column),
        Some(order) => DumpNode::new(order.symbol(), node.span, vec![expression(&node.column)]),
    }
}

fn operator_with_clauses(node: &Operator) -> Vec<DumpNode> {
    match node {
        Operator::Facet(node) => {
            let with = node.with.iter().map(pipe).collect();
            [expressions(&node.columns), with].concat()
        }
        Operator::Find(node) => find(node),
        Operator::Fork(node) => node
            .branches
            .iter()
            .map(|branch| {
                let label = branch.name.as_ref().map_or("branch".into(), |name| format!("branch {}", text(name)));
                DumpNode::new(label, branch.span, vec![pipe(&branch.query)])
            })
            .collect(),
        Operator::MacroExpand(node) => {
            let statements = node.statements.iter().map(statement).collect();
            [parameters(&node.parameters), vec![expression(&node.group), name(&node.name)], statements].concat()
        }
        Operator::MakeSeries(node) => make_series(node),
        Operator::MvApply(node) => {
            let limit = clause("limit", node.limit.iter().map(expression).collect());
            let id = clause("id", node.context_id.iter().map(expression).collect());
            let mut children = [parameters(&node.parameters), mv_columns(&node.columns)].concat();
            children.extend(limit);
            children.extend(id);
            children.push(pipe(&node.query));
            children
        }
        Operator::MvExpand(node) => {
            let mut children = [parameters(&node.parameters), mv_columns(&node.columns)].concat();
            children.extend(clause("limit", node.limit.iter().map(expression).collect()));
            children
        }
        Operator::Parse(node) | Operator::ParseWhere(node) => {
            let pattern = node.pattern.iter().map(parse_part).collect();
            [parameters(&node.parameters), vec![expression(&node.expression)], pattern].concat()
        }
        Operator::ParseKv(node) => {
            let values = vec![expression(&node.expression), row_schema(&node.schema)];
            [values, parameters(&node.properties)].concat()
        }
        Operator::Partition(node) => {
            let mut children = parameters(&node.parameters);
            children.push(expression(&node.by));
            children.extend(clause("in", node.scope.iter().map(expression).collect()));
            children.push(match &node.body {
                PartitionBody::Subquery(query) => pipe(query),
                PartitionBody::Query(query) => DumpNode::new("braces", query.span(), vec![expression(query)]),
            });
            children
        }
        Operator::PartitionBy(node) => {
            let mut children = parameters(&node.parameters);
            children.push(expression(&node.column));
            children.extend(clause("id", node.context_id.iter().map(expression).collect()));
            children.push(pipe(&node.query));
            children
        }
        Operator::Reduce(node) => {
            let with = clause("settings", named_expressions(&node.with)).into_iter().collect();
            [parameters(&node.parameters), vec![named_expression(&node.by)], with].concat()
        }
        Operator::Render(node) => {
            let properties = node.properties.iter().map(|property| {
                DumpNode::new(format!("with {}", text(&property.name)), property.span, expressions(&property.values))
            });
            std::iter::once(name(&node.chart)).chain(properties).collect()
        }
        Operator::Scan(node) => scan(node),
        Operator::Search(node) => {
            let mut children = parameters(&node.parameters);
            children.extend(clause("in", expressions(&node.sources)));
            children.push(expression(&node.predicate));
            children
        }
        Operator::Summarize(node) => {
            let mut children = [parameters(&node.parameters), named_expressions(&node.aggregates)].concat();
            children.extend(node.by.iter().filter_map(|by| clause("by", named_expressions(by))));
            children.extend(clause("bin", node.bin.iter().map(expression).collect()));
            children
        }
        Operator::TopHitters(node) => {
            let mut children = parameters(&node.parameters);
            children.extend([expression(&node.count), named_expression(&node.of)]);
            children.extend(clause("by", node.by.iter().map(sort_key).collect()));
            children
        }
        Operator::TopNested(node) => node.levels.iter().map(top_nested_level).collect(),
        other => graph_operator(other),
    }
}

fn find(node: &FindOperator) -> Vec<DumpNode> {
    fn column(node: &FindColumn) -> DumpNode {
        match &node.ty {
            None => expression(&node.column),
            Some(ty) => DumpNode::new(format!("to {}", type_text(ty)), node.span, vec![expression(&node.column)]),
        }
    }
    let mut children = parameters(&node.parameters);
    children.extend(clause("in", expressions(&node.sources)));
    children.push(expression(&node.predicate));
    match &node.projection {
        FindProjection::Default => {}
        FindProjection::Columns(columns) => children.extend(clause("project", columns.iter().map(column).collect())),
        FindProjection::Smart(span) => children.push(DumpNode::leaf("project-smart", *span)),
    }
    children.extend(clause("project-away", node.project_away.iter().map(column).collect()));
    children
}

fn make_series(node: &MakeSeriesOperator) -> Vec<DumpNode> {
    let mut children = parameters(&node.parameters);
    for aggregate in &node.aggregates {
        let mut parts = vec![named_expression(&aggregate.expression)];
        parts.extend(clause("default", aggregate.default.iter().map(expression).collect()));
        children.push(DumpNode::new("aggregate", aggregate.span, parts));
    }
    children.push(DumpNode::new("on", node.axis.span, vec![named_expression(&node.axis)]));
    let range = &node.range;
    let mut bounds: Vec<DumpNode> = Vec::new();
    bounds.extend(clause("from", range.from.iter().map(expression).collect()));
    bounds.extend(clause("to", range.to.iter().map(expression).collect()));
    bounds.extend(clause("step", vec![expression(&range.step)]));
    children.push(DumpNode::new(if range.is_in_range { "in-range" } else { "range" }, range.span, bounds));
    children.extend(clause("by", named_expressions(&node.by)));
    children
}

fn mv_columns(nodes: &[MvColumn]) -> Vec<DumpNode> {
    nodes
        .iter()
        .map(|node| match &node.to_type {
            None => named_expression(&node.expression),
            Some(ty) => DumpNode::new("to", node.span, vec![named_expression(&node.expression), typeof_expression(ty)]),
        })
        .collect()
}

fn parse_part(node: &ParsePart) -> DumpNode {
    match node {
        ParsePart::Star(span) => DumpNode::leaf("star", *span),
        ParsePart::Text(text) => expression(text),
        ParsePart::Column(column) => {
            let ty = column.ty.as_ref().map(|ty| format!(":{}", type_text(ty))).unwrap_or_default();
            DumpNode::leaf(format!("column {}{ty}", text(&column.name)), column.span)
        }
    }
}

fn scan(node: &ScanOperator) -> Vec<DumpNode> {
    let mut children = parameters(&node.parameters);
    children.extend(clause("order-by", sort_keys(&node.order_by)));
    children.extend(clause("partition-by", expressions(&node.partition_by)));
    children.extend(clause("declare", node.declarations.iter().map(parameter).collect()));
    for step in &node.steps {
        let mut label = format!("step {}", text(&step.name));
        if step.is_optional {
            label += " optional";
        }
        if let Some(output) = &step.output {
            label += &format!(" output={}", text(output));
        }
        let mut parts = vec![expression(&step.condition)];
        parts.extend(step.assignments.iter().map(|node| {
            DumpNode::new(format!("= {}", text(&node.name)), node.span, vec![expression(&node.expression)])
        }));
        children.push(DumpNode::new(label, step.span, parts));
    }
    children
}

fn top_nested_level(node: &TopNestedLevel) -> DumpNode {
    let mut children: Vec<DumpNode> = node.count.iter().map(expression).collect();
    children.push(DumpNode::new("of", node.of.span, vec![named_expression(&node.of)]));
    children.extend(clause("others", node.others.iter().map(expression).collect()));
    children.push(sort_key(&node.by));
    DumpNode::new("level", node.span, children)
}

fn graph_operator(node: &Operator) -> Vec<DumpNode> {
    match node {
        Operator::GraphMarkComponents(node) => parameters(&node.parameters),
        Operator::GraphMatch(node) | Operator::GraphShortestPaths(node) => {
            let mut children = parameters(&node.parameters);
            children.extend(node.patterns.iter().map(graph_pattern));
            children.extend(clause("where", node.predicate.iter().map(expression).collect()));
            children.extend(clause("project", named_expressions(&node.projection)));
            children
        }
        Operator::GraphToTable(node) => node
            .outputs
            .iter()
            .map(|output| {
                let name = output.name.as_ref().map(|name| format!(" as {}", text(name))).unwrap_or_default();
                DumpNode::new(format!("{}{name}", text(&output.kind)), output.span, parameters(&output.parameters))
            })
            .collect(),
        Operator::GraphWhereEdges(node) | Operator::GraphWhereNodes(node) => vec![expression(&node.predicate)],
        Operator::MakeGraph(node) => {
            let edge = format!("edge {} {} {}", text(&node.source), arrow(node.direction), text(&node.target));
            let mut children = vec![DumpNode::leaf(edge, node.source.span.to(node.target.span))];
            children.extend(parameters(&node.parameters));
            children.extend(node.nodes.iter().map(|nodes| {
                DumpNode::new(format!("nodes {}", text(&nodes.id)), nodes.span, vec![expression(&nodes.table)])
            }));
            children.extend(node.partition.iter().map(|partition| {
                let label = format!("partitioned-by {}", text(&partition.column));
                DumpNode::new(label, partition.span, vec![pipe(&partition.query)])
            }));
            children
        }
        _ => Vec::new(),
    }
}

fn arrow(direction: EdgeDirection) -> &'static str {
    match direction {
        EdgeDirection::Right => "-->",
        EdgeDirection::Left => "<--",
        EdgeDirection::Any => "--",
    }
}

fn graph_pattern(node: &GraphPattern) -> DumpNode {
    let optional = |name: &Option<Name>| name.as_ref().map(|name| format!(" {}", text(name))).unwrap_or_default();
    let elements = node.elements.iter().map(|element| match element {
        GraphPatternElement::Node(node) => DumpNode::leaf(format!("node{}", optional(&node.name)), node.span),
        GraphPatternElement::Edge(edge) => {
            let hops = edge
                .hops
                .iter()
                .map(|hops| DumpNode::new("hops", hops.span, vec![expression(&hops.min), expression(&hops.max)]));
            DumpNode::new(format!("edge {}{}", arrow(edge.direction), optional(&edge.name)), edge.span, hops.collect())
        }
    });
    DumpNode::new("pattern", node.span, elements.collect())
}
