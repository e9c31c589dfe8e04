//! What names and functions mean inside graph operators: elements of a pattern, their properties, and functions over the
//! edges and inner nodes of paths.

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{CallExpression, Expression, Name};

use super::{DEGREE_IN, DEGREE_OUT, Graph, NODE_ID, row_of};
use crate::binder::{Binder, Row, codes};
use crate::bound::{ScalarExpr, ScalarNode};
use crate::value::Value;

/// What an element of a pattern is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ElementKind {
    /// `(a)`
    Node,
    /// `-[e]->`
    Edge,
    /// `-[e*1..3]->`
    Path,
}

/// A named element of a pattern.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    /// Its name.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: ElementKind,
    /// Its place among the nodes, or among the edges, of the pattern.
    pub(crate) slot: usize,
}

/// What a function over a path gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathFunction {
    Map,
    All,
    Any,
}

/// A function over the edges of a path, or its inner nodes.
#[derive(Debug, Clone)]
pub(crate) struct PathCall {
    /// The path's place among the edges of the pattern.
    pub(crate) slot: usize,
    /// Whether the inner nodes are meant, not the edges.
    pub(crate) over_nodes: bool,
    /// What it gives.
    pub(crate) function: PathFunction,
    /// The expression, over the columns of an edge or a node.
    pub(crate) expression: ScalarExpr,
}

/// The elements an expression inside a graph operator sees.
#[derive(Debug, Clone)]
pub(crate) struct Elements {
    /// The graph.
    pub(crate) graph: Graph,
    /// The named elements; empty where the row is one edge or node.
    pub(crate) all: Vec<Element>,
    /// Whether the row is one node, so that `node_id()` needs no argument.
    pub(crate) is_node: bool,
    /// The functions over paths met so far; their results are columns `__c0`, `__c1`, ...
    pub(crate) calls: Vec<PathCall>,
}

impl Elements {
    /// The element of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Element> {
        self.all.iter().find(|element| element.name == name)
    }
}

/// The row of one node.
pub(super) fn row_of_nodes(graph: &Graph) -> Row {
    let elements = Elements { graph: graph.clone(), all: Vec::new(), is_node: true, calls: Vec::new() };
    row_of(&graph.node_columns, elements)
}

/// The row of one edge.
pub(super) fn row_of_edges(graph: &Graph) -> Row {
    let elements = Elements { graph: graph.clone(), all: Vec::new(), is_node: false, calls: Vec::new() };
    row_of(&graph.edge_columns, elements)
}

/// The name of the match column of an element's property.
pub(crate) fn property_name(element: &str, property: &str) -> String {
    format!("{element}.{property}")
}

/// Binds a call of a graph function; `None` outside if the call is none.
pub(crate) fn path_call(binder: &mut Binder<'_>, node: &CallExpression, row: &mut Row) -> Option<Option<ScalarExpr>> {
    row.elements.as_ref()?;
    let bound = match node.function.text.as_str() {
        "map" => over_path(binder, node, row, PathFunction::Map),
        "all" => over_path(binder, node, row, PathFunction::All),
        "any" => over_path(binder, node, row, PathFunction::Any),
        "node_id" => property(binder, node, row, NODE_ID),
        "node_degree_in" => property(binder, node, row, DEGREE_IN),
        "node_degree_out" => property(binder, node, row, DEGREE_OUT),
        // Graphs made in a query have no labels.
        "labels" => Some(ScalarExpr::literal(Value::Dynamic("[]".to_owned()))),
        "inner_nodes" => binder.fail(codes::SHAPE, node.span, "inner_nodes() stands only in map(), all() and any()"),
        _ => return None,
    };
    Some(bound)
}

/// `node_id(a)`, or `node_id()` where the row is a node.
fn property(binder: &mut Binder<'_>, node: &CallExpression, row: &Row, name: &str) -> Option<ScalarExpr> {
    let elements = row.elements.as_ref()?;
    let column_type = elements.graph.nodes.column(name).map_or(ColumnType::Long, |c| c.column_type);
    let function = &node.function.text;
    let target = match node.arguments.as_slice() {
        [] if elements.is_node => name.to_owned(),
        [argument] => match argument.expression.as_name().and_then(|name| elements.get(&name.text)) {
            Some(element) if element.kind == ElementKind::Node => property_name(&element.name, name),
            _ => {
                return binder.fail(
                    codes::NAME_EXPECTED,
                    node.span,
                    format!("{function}() takes a node of the pattern"),
                );
            }
        },
        _ => return binder.fail(codes::ARGUMENTS, node.span, format!("{function}() takes a node of the pattern")),
    };
    Some(ScalarExpr::new(column_type, ScalarNode::Column(target.into())))
}

fn over_path(
    binder: &mut Binder<'_>,
    node: &CallExpression,
    row: &mut Row,
    function: PathFunction,
) -> Option<ScalarExpr> {
    let [path, expression] = node.arguments.as_slice() else {
        let message = format!("{}() takes a path and an expression", node.function.text);
        return binder.fail(codes::ARGUMENTS, node.span, message);
    };
    let Some((name, over_nodes)) = path_name(&path.expression) else {
        let message = format!("{}() takes an edge of variable length, or inner_nodes() of one", node.function.text);
        return binder.fail(codes::NAME_EXPECTED, path.span, message);
    };
    let elements = row.elements.as_ref()?;
    let slot = match elements.get(&name.text) {
        Some(element) if element.kind == ElementKind::Path => element.slot,
        _ => {
            let message = format!("`{}` is no edge of variable length of the pattern", name.text);
            return binder.fail(codes::NAME_EXPECTED, name.span, message);
        }
    };
    let mut inner = if over_nodes { row_of_nodes(&elements.graph) } else { row_of_edges(&elements.graph) };
    let expression = match function {
        PathFunction::Map => binder.scalar(&expression.expression, &mut inner)?,
        _ => binder.predicate(&expression.expression, &mut inner)?,
    };
    Some(add_call(row, PathCall { slot, over_nodes, function, expression }))
}

/// Notes a function over a path and gives its column.
pub(super) fn add_call(row: &mut Row, call: PathCall) -> ScalarExpr {
    let column_type = if call.function == PathFunction::Map { ColumnType::Dynamic } else { ColumnType::Bool };
    let number = row.elements.as_ref().map_or(0, |elements| elements.calls.len());
    if let Some(elements) = &mut row.elements {
        elements.calls.push(call);
    }
    ScalarExpr::new(column_type, ScalarNode::Column(format!("__c{number}").into()))
}

/// `e` or `inner_nodes(e)`.
fn path_name(expression: &Expression) -> Option<(&Name, bool)> {
    match expression {
        Expression::Name(name) => Some((name, false)),
        Expression::Call(call) if call.function.text == "inner_nodes" => {
            Some((call.arguments.first()?.expression.as_name()?, true))
        }
        _ => None,
    }
}

impl Binder<'_> {
    /// `a.name` in a graph operator; `None` outside if `a` is no element.
    pub(crate) fn element_property(&mut self, object: &Name, member: &Name, row: &Row) -> Option<Option<ScalarExpr>> {
        let elements = row.elements.as_ref()?;
        let element = elements.get(&object.text)?;
        let columns: &[Column] = match element.kind {
            ElementKind::Node => &elements.graph.node_columns,
            ElementKind::Edge => &elements.graph.edge_columns,
            ElementKind::Path => {
                let message = format!("`{}` has several edges: use map({}, {})", object.text, object.text, member.text);
                return Some(self.fail(codes::SHAPE, member.span, message));
            }
        };
        let Some(column) = columns.iter().find(|c| *c.name == *member.text) else {
            let candidates: Vec<String> = columns.iter().map(|c| c.name.to_string()).collect();
            let message = format!("failed to resolve column named '{}.{}'", object.text, member.text);
            return Some(self.fail_near(codes::UNRESOLVED, member.span, message, &member.text, &candidates));
        };
        let name = property_name(&element.name, &column.name);
        Some(Some(ScalarExpr::new(column.column_type, ScalarNode::Column(name.into()))))
    }

    /// An element by its name alone: a bag of its properties, or an array of bags.
    pub(crate) fn whole_element(&mut self, name: &Name, row: &mut Row) -> Option<Option<ScalarExpr>> {
        let element = row.elements.as_ref()?.get(&name.text)?.clone();
        if element.kind != ElementKind::Path {
            let column = property_name(&element.name, "__bag");
            return Some(Some(ScalarExpr::new(ColumnType::Dynamic, ScalarNode::Column(column.into()))));
        }
        let inner = row_of_edges(&row.elements.as_ref()?.graph);
        let columns = inner.columns.iter().map(ScalarExpr::column).collect();
        let Some(expression) = self.packed(columns, name.span, &inner) else { return Some(None) };
        let call = PathCall { slot: element.slot, over_nodes: false, function: PathFunction::Map, expression };
        Some(Some(add_call(row, call)))
    }
}
