//! `graph-match` and `graph-shortest-paths`.
//!
//! Binding splits the work: conditions on one element become a column of truth values on the nodes or edges, so that the
//! search never enters what cannot match; expressions inside `map()`, `all()` and `any()` become columns of edges or
//! nodes; the search gives the positions of matches and takes the columns the query needs; the whole `where` and the
//! `project` are then ordinary operators over these rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{
    EdgeDirection, EdgeHops, Expression, GraphMatchOperator, GraphPattern, GraphPatternEdge, GraphPatternElement,
};

use super::paths::{Cycles, Match, Output, Shortest, Source, Step};
use super::scope::{Element, ElementKind, PathFunction, property_name};
use super::{DEGREE_IN, Elements, Graph, extended, parameter, row_of};
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::operators::filter::Filter;
use crate::operators::gathered::Gathered;
use crate::operators::project::Project;
use crate::value::Value;

/// The greatest number of hops of one edge of a pattern: longer paths are searched for ever.
const HOPS_MAX: usize = 128;
/// The greatest number of edges in the patterns of one operator.
const PATTERN_EDGES_MAX: usize = 64;

/// The patterns of an operator, flat.
#[derive(Default)]
struct Patterns {
    steps: Vec<Step>,
    elements: Vec<Element>,
    num_nodes: usize,
    num_edges: usize,
}

impl Patterns {
    fn node(&mut self, name: Option<&str>) -> usize {
        let known = name.and_then(|name| self.elements.iter().find(|e| e.name == name && e.kind == ElementKind::Node));
        if let Some(element) = known {
            return element.slot;
        }
        let slot = self.num_nodes;
        self.num_nodes += 1;
        if let Some(name) = name {
            self.elements.push(Element { name: name.to_owned(), kind: ElementKind::Node, slot });
        }
        slot
    }
}

impl Binder<'_> {
    /// `graph-match cycles=none (a)-[e]->(b) where ... project ...`
    pub(crate) fn bind_graph_match(&mut self, input: Relation, node: &GraphMatchOperator) -> Option<Relation> {
        self.matched(input, node, None)
    }

    /// `graph-shortest-paths output=all (a)-[e*1..5]->(b) where ... project ...`
    pub(crate) fn bind_graph_shortest_paths(&mut self, input: Relation, node: &GraphMatchOperator) -> Option<Relation> {
        let shortest = match parameter(&node.parameters, "output").unwrap_or("any") {
            "any" => Shortest::Any,
            "all" => Shortest::All,
            other => {
                let message = format!("the output of graph-shortest-paths is any or all, not `{other}`");
                return self.fail(codes::UNKNOWN_WORD, node.span, message);
            }
        };
        if node.patterns.len() > 1 {
            let message = "graph-shortest-paths takes one pattern; use graph-match for several";
            return self.fail(codes::SHAPE, node.span, message);
        }
        self.matched(input, node, Some(shortest))
    }

    fn matched(&mut self, input: Relation, node: &GraphMatchOperator, shortest: Option<Shortest>) -> Option<Relation> {
        let graph = self.graph_of(&input, node.span)?;
        let cycles = match parameter(&node.parameters, "cycles").unwrap_or("unique_edges") {
            "all" => Cycles::All,
            "none" => Cycles::None,
            "unique_edges" => Cycles::UniqueEdges,
            other => {
                let message = format!("cycles is all, none or unique_edges, not `{other}`");
                return self.fail(codes::UNKNOWN_WORD, node.span, message);
            }
        };
        let patterns = self.patterns(&node.patterns)?;
        let elements =
            Elements { graph: graph.clone(), all: patterns.elements.clone(), is_node: false, calls: Vec::new() };
        let mut row = row_of(&[], elements);
        let predicate = match &node.predicate {
            Some(predicate) => Some(self.predicate(predicate, &mut row)?),
            None => None,
        };
        let outputs = self.match_projection(node, &patterns, &graph, &mut row)?;
        let elements = row.elements.take()?;
        let plan = Plan { graph, patterns, elements, predicate, outputs };
        Some(plan.relation(cycles, shortest))
    }

    fn patterns(&mut self, all: &[GraphPattern]) -> Option<Patterns> {
        let mut patterns = Patterns::default();
        for pattern in all {
            let mut last = 0;
            let mut pending: Option<&GraphPatternEdge> = None;
            for element in &pattern.elements {
                match element {
                    GraphPatternElement::Edge(edge) => pending = Some(edge),
                    GraphPatternElement::Node(node) => {
                        let slot = patterns.node(node.name.as_ref().map(|name| name.text.as_str()));
                        match pending.take() {
                            None => patterns.steps.push(Step::Start { node: slot }),
                            Some(edge) => self.pattern_edge(&mut patterns, edge, last, slot)?,
                        }
                        last = slot;
                    }
                }
            }
        }
        Some(patterns)
    }

    fn pattern_edge(&mut self, patterns: &mut Patterns, edge: &GraphPatternEdge, from: usize, to: usize) -> Option<()> {
        let slot = patterns.num_edges;
        if slot >= PATTERN_EDGES_MAX {
            let message = format!("a pattern has at most {PATTERN_EDGES_MAX} edges");
            return self.fail(codes::LIMIT, edge.span, message);
        }
        patterns.num_edges += 1;
        let (min, max) = match &edge.hops {
            Some(hops) => self.hops(hops)?,
            None => (1, 1),
        };
        if let Some(name) = &edge.name {
            if patterns.elements.iter().any(|element| element.name == name.text) {
                return self.fail(codes::DUPLICATE, name.span, format!("`{}` names two elements", name.text));
            }
            let kind = if edge.hops.is_some() { ElementKind::Path } else { ElementKind::Edge };
            patterns.elements.push(Element { name: name.text.clone(), kind, slot });
        }
        patterns.steps.push(Step::Edge { slot, from, to, direction: edge.direction, min, max });
        Some(())
    }

    fn hops(&mut self, hops: &EdgeHops) -> Option<(usize, usize)> {
        let mut number = |expression: &Expression| {
            let bound = self.scalar(expression, &mut Row::none())?;
            let number = bound.as_literal().and_then(Value::as_long).and_then(|n| usize::try_from(n).ok());
            match number.filter(|number| *number <= HOPS_MAX) {
                Some(number) => Some(number),
                None => {
                    let message = format!("the number of hops is a constant from 0 to {HOPS_MAX}");
                    self.fail(codes::RANGE, expression.span(), message)
                }
            }
        };
        let (min, max) = (number(&hops.min)?, number(&hops.max)?);
        if min > max {
            return self.fail(codes::RANGE, hops.span, "the least number of hops is above the greatest");
        }
        Some((min, max))
    }

    fn match_projection(
        &mut self,
        node: &GraphMatchOperator,
        patterns: &Patterns,
        graph: &Graph,
        row: &mut Row,
    ) -> Option<Vec<(Column, ScalarExpr)>> {
        let mut names = Names::default();
        let mut outputs = Vec::new();
        for named in &node.projection {
            for (name, bound, _) in self.named_scalars(named, row)? {
                let name = match name {
                    Some(name) => names.unique(&name),
                    None => names.numbered("Column"),
                };
                outputs.push((Column::new(&name, bound.column_type), bound));
            }
        }
        if !node.projection.is_empty() {
            return Some(outputs);
        }
        // Without `project` every property of every named node and edge is there.
        for element in patterns.elements.iter().filter(|element| element.kind != ElementKind::Path) {
            let is_node = element.kind == ElementKind::Node;
            let columns = if is_node { &graph.node_columns } else { &graph.edge_columns };
            for column in columns {
                let source = ScalarNode::Column(property_name(&element.name, &column.name).into());
                let name = names.unique(&format!("{}_{}", element.name, column.name));
                outputs.push((Column::new(&name, column.column_type), ScalarExpr::new(column.column_type, source)));
            }
        }
        Some(outputs)
    }
}

/// A bound match before it is split into search, filter and projection.
struct Plan {
    graph: Graph,
    patterns: Patterns,
    elements: Elements,
    predicate: Option<ScalarExpr>,
    outputs: Vec<(Column, ScalarExpr)>,
}

impl Plan {
    fn relation(self, cycles: Cycles, shortest: Option<Shortest>) -> Relation {
        let mut edges: Vec<(Column, ScalarExpr)> = Vec::new();
        let mut nodes: Vec<(Column, ScalarExpr)> = Vec::new();
        let mut work = Match {
            steps: self.patterns.steps.clone(),
            num_nodes: self.patterns.num_nodes,
            num_edges: self.patterns.num_edges,
            cycles,
            shortest,
            is_directed: self.graph.is_directed,
            node_tests: vec![Vec::new(); self.patterns.num_nodes],
            edge_tests: vec![Vec::new(); self.patterns.num_edges],
            inner_tests: vec![Vec::new(); self.patterns.num_edges],
            outputs: Vec::new(),
        };
        for (number, call) in self.elements.calls.iter().enumerate() {
            let column = Column::new(&format!("__c{number}"), call.expression.column_type);
            let side = if call.over_nodes { &mut nodes } else { &mut edges };
            side.push((column, call.expression.clone()));
        }
        self.tests(&mut work, &mut nodes, &mut edges);
        let columns = self.needed(&mut work, &mut nodes, &mut edges);
        let edges = extended(self.graph.edges, edges);
        let nodes = extended(self.graph.nodes, nodes);
        let mut found = Gathered::relation(vec![edges, nodes], columns.clone(), work);
        if let Some(predicate) = self.predicate {
            found = Relation::new(columns, Filter { input: found, predicate });
        }
        Project::exact("project", found, self.outputs)
    }

    /// Turns conditions on one element into tests of the search.
    fn tests(&self, work: &mut Match, nodes: &mut Vec<(Column, ScalarExpr)>, edges: &mut Vec<(Column, ScalarExpr)>) {
        for (number, conjunct) in self.predicate.iter().flat_map(conjuncts).enumerate() {
            let name = format!("__p{number}");
            if let Some(call) = conjunct.as_column().and_then(|c| self.call(c))
                && let PathFunction::All = self.elements.calls[call].function
            {
                let call_name = format!("__c{call}");
                let call = &self.elements.calls[call];
                let tests = if call.over_nodes { &mut work.inner_tests } else { &mut work.edge_tests };
                tests[call.slot].push(call_name);
                continue;
            }
            let Some((element, own)) = self.of_one_element(conjunct) else { continue };
            let column = Column::new(&name, ColumnType::Bool);
            if element.kind == ElementKind::Node {
                work.node_tests[element.slot].push(name);
                nodes.push((column, own));
            } else {
                work.edge_tests[element.slot].push(name);
                edges.push((column, own));
            }
        }
    }

    /// The number of a path function's column.
    fn call(&self, name: &str) -> Option<usize> {
        name.strip_prefix("__c")?.parse().ok()
    }

    /// A condition on properties of one node or edge, over its own columns.
    fn of_one_element(&self, condition: &ScalarExpr) -> Option<(&Element, ScalarExpr)> {
        let mut read: BTreeSet<Arc<str>> = BTreeSet::new();
        condition.read_columns(&mut read);
        let (first, _) = self.property(read.first()?)?;
        let own = |name: &Arc<str>| {
            self.property(name).is_some_and(|(element, property)| element.name == first.name && property != "__bag")
        };
        if first.kind == ElementKind::Path || !read.iter().all(own) {
            return None;
        }
        let rename = |name: &str| self.property(name).map_or_else(|| name.into(), |(_, property)| property.into());
        Some((first, renamed(condition, &rename)?))
    }

    /// The element and property a match column stands for.
    fn property<'n>(&self, name: &'n str) -> Option<(&Element, &'n str)> {
        self.elements.all.iter().find_map(|element| {
            let property = name.strip_prefix(element.name.as_str())?.strip_prefix('.')?;
            Some((element, property))
        })
    }

    /// The columns that where and project read, with where the search takes them from.
    fn needed(
        &self,
        work: &mut Match,
        nodes: &mut Vec<(Column, ScalarExpr)>,
        edges: &mut Vec<(Column, ScalarExpr)>,
    ) -> Vec<Column> {
        let mut read: BTreeSet<Arc<str>> = BTreeSet::new();
        let expressions = self.outputs.iter().map(|(_, e)| e).chain(&self.predicate);
        expressions.for_each(|expression| expression.read_columns(&mut read));
        let mut columns = Vec::new();
        for name in read {
            if let Some(number) = self.call(&name).filter(|number| *number < self.elements.calls.len()) {
                let call = &self.elements.calls[number];
                let is_map = call.function == PathFunction::Map;
                columns.push(Column::new(&name, if is_map { ColumnType::Dynamic } else { ColumnType::Bool }));
                let source = Source::Path {
                    slot: call.slot,
                    over_nodes: call.over_nodes,
                    function: call.function,
                    item_type: call.expression.column_type,
                };
                work.outputs.push(Output { column: name.to_string(), source });
                continue;
            }
            let Some((element, property)) = self.property(&name) else { continue };
            let is_node = element.kind == ElementKind::Node;
            if property == "__bag" {
                let (own, side) = if is_node {
                    (&self.graph.node_columns, &mut *nodes)
                } else {
                    (&self.graph.edge_columns, &mut *edges)
                };
                if side.iter().all(|(c, _)| *c.name != *"__bag") {
                    side.push((Column::new("__bag", ColumnType::Dynamic), bag(own)));
                }
            }
            let relation = if is_node { &self.graph.nodes } else { &self.graph.edges };
            let column_type = relation.column(property).map_or(ColumnType::Dynamic, |c| c.column_type);
            columns.push(Column::new(&name, column_type));
            let source = if is_node { Source::Node(element.slot) } else { Source::Edge(element.slot) };
            work.outputs.push(Output { column: property.to_owned(), source });
        }
        if columns.is_empty() {
            // Rows need a column to be carried by.
            columns.push(Column::new("__rows", ColumnType::Long));
            work.outputs.push(Output { column: DEGREE_IN.to_owned(), source: Source::Node(0) });
        }
        columns
    }
}

/// The properties of an element as a bag.
fn bag(columns: &[Column]) -> ScalarExpr {
    let pairs =
        columns.iter().flat_map(|c| [ScalarExpr::literal(Value::String(c.name.to_string())), ScalarExpr::column(c)]);
    match crate::functions::registry().get("bag_pack") {
        Some(function) if !columns.is_empty() => {
            ScalarExpr::new(ColumnType::Dynamic, ScalarNode::Call { function, args: pairs.collect() })
        }
        _ => ScalarExpr::literal(Value::Dynamic("{}".to_owned())),
    }
}

/// The conditions that must all hold.
fn conjuncts(predicate: &ScalarExpr) -> Vec<&ScalarExpr> {
    match &predicate.node {
        ScalarNode::And(all) => all.iter().flat_map(conjuncts).collect(),
        _ => vec![predicate],
    }
}

/// An expression with other names of columns; `None` for what is tied to the rows around it.
fn renamed(expression: &ScalarExpr, rename: &dyn Fn(&str) -> Arc<str>) -> Option<ScalarExpr> {
    let one = |inner: &ScalarExpr| renamed(inner, rename);
    let boxed = |inner: &ScalarExpr| renamed(inner, rename).map(Box::new);
    let all = |inner: &[ScalarExpr]| inner.iter().map(one).collect::<Option<Vec<_>>>();
    let node = match &expression.node {
        ScalarNode::Literal(_) | ScalarNode::Subquery(_) => expression.node.clone(),
        ScalarNode::Column(name) => ScalarNode::Column(rename(name)),
        ScalarNode::And(inner) => ScalarNode::And(all(inner)?),
        ScalarNode::Or(inner) => ScalarNode::Or(all(inner)?),
        ScalarNode::Binary { operator, left, right } => {
            ScalarNode::Binary { operator: *operator, left: boxed(left)?, right: boxed(right)? }
        }
        ScalarNode::List { operator, operand, items } => {
            ScalarNode::List { operator: *operator, operand: boxed(operand)?, items: all(items)? }
        }
        ScalarNode::InTable { operator, operand, relation } => {
            ScalarNode::InTable { operator: *operator, operand: boxed(operand)?, relation: relation.clone() }
        }
        ScalarNode::Call { function, args } => ScalarNode::Call { function, args: all(args)? },
        ScalarNode::Convert(inner) => ScalarNode::Convert(boxed(inner)?),
        ScalarNode::Path { base, steps } => ScalarNode::Path { base: boxed(base)?, steps: steps.clone() },
        ScalarNode::Element { base, index } => ScalarNode::Element { base: boxed(base)?, index: boxed(index)? },
        ScalarNode::Conditional { branches, otherwise } => ScalarNode::Conditional {
            branches: branches.iter().map(|(c, v)| Some((one(c)?, one(v)?))).collect::<Option<Vec<_>>>()?,
            otherwise: boxed(otherwise)?,
        },
        _ => return None,
    };
    Some(ScalarExpr::new(expression.column_type, node))
}

/// The order in which a direction is walked.
pub(super) fn is_forward(direction: EdgeDirection) -> [bool; 2] {
    match direction {
        EdgeDirection::Right => [true, false],
        EdgeDirection::Left => [false, true],
        EdgeDirection::Any => [true, true],
    }
}
