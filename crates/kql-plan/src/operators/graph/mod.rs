//! Graphs: `make-graph`, `graph-where-nodes`, `graph-where-edges`, `graph-mark-components`, `graph-to-table`; matching is
//! in [`matching`].
//!
//! A graph is two relations. Its edges have hidden columns with the keys of both ends, its nodes a hidden key and their
//! degrees. Nodes that only edges name are there too, with nothing but their id. An edge whose end is no node any more
//! is no edge. `partitioned-by` makes the partition a part of each key, so that no path leads from one to another.

mod data;
pub mod matching;
mod paths;
mod scope;

use std::sync::Arc;

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{
    EdgeDirection, GraphMarkComponentsOperator, GraphOutput, GraphToTableOperator, GraphWhereOperator,
    MakeGraphOperator, Name, OperatorParameter,
};

pub(crate) use scope::{Elements, path_call};

use super::TabularOperator;
use super::filter::Filter;
use super::gathered::Gathered;
use super::project::Project;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::error::Result;
use crate::functions::registry;
use crate::lower::LowerContext;
use crate::value::Value;

/// Hidden columns: the key of a node, its id, its degrees; the keys of the ends of an edge.
pub(crate) const NODE: &str = "__node";
pub(crate) const NODE_ID: &str = "__id";
pub(crate) const DEGREE_IN: &str = "__in";
pub(crate) const DEGREE_OUT: &str = "__out";
pub(crate) const SOURCE: &str = "__source";
pub(crate) const TARGET: &str = "__target";

/// A bound graph.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The edges with the keys of their ends.
    pub edges: Relation,
    /// The nodes with key, id and degrees.
    pub nodes: Relation,
    /// The columns of edges that the query sees.
    pub edge_columns: Vec<Column>,
    /// The columns of nodes that the query sees.
    pub node_columns: Vec<Column>,
    /// Whether edges have a direction.
    pub is_directed: bool,
}

impl Graph {
    /// The graph as the relation that stands for it in the query: read as rows, it is its edges.
    fn relation(self) -> Relation {
        Relation::new(self.edge_columns.clone(), GraphSource { graph: self })
    }

    /// The graph with its degrees counted anew, after nodes or edges went.
    fn recounted(mut self) -> Self {
        let columns = self.nodes.columns.to_vec();
        let work = data::Degrees { is_directed: self.is_directed };
        self.nodes = Gathered::relation(vec![self.nodes, self.edges.clone()], columns, work);
        self
    }
}

/// The operator that gives a graph.
#[derive(Debug)]
struct GraphSource {
    graph: Graph,
}

impl TabularOperator for GraphSource {
    fn name(&self) -> &'static str {
        "graph"
    }

    fn details(&self) -> String {
        let names = |columns: &[Column]| columns.iter().map(|c| c.name.to_string()).collect::<Vec<_>>().join(", ");
        format!("nodes ({}) edges ({})", names(&self.graph.node_columns), names(&self.graph.edge_columns))
    }

    fn inputs(&self) -> Vec<&Relation> {
        vec![&self.graph.edges, &self.graph.nodes]
    }

    fn lower(&self, _: &Relation, ctx: &LowerContext<'_>) -> Result<datafusion::logical_expr::LogicalPlan> {
        ctx.relation(&self.graph.edges)
    }

    fn as_graph(&self) -> Option<&Graph> {
        Some(&self.graph)
    }
}

/// The constant word or name of a parameter.
fn parameter<'p>(parameters: &'p [OperatorParameter], name: &str) -> Option<&'p str> {
    parameters.iter().find(|p| p.name.text == name).and_then(OperatorParameter::word)
}

/// The columns of a relation and some more.
fn extended(input: Relation, added: Vec<(Column, ScalarExpr)>) -> Relation {
    let own = input.columns.iter().filter(|c| added.iter().all(|(a, _)| a.name != c.name));
    let outputs = own.map(|c| (c.clone(), ScalarExpr::column(c))).chain(added.iter().cloned()).collect();
    Project::exact("extend", input, outputs)
}

/// The key of a node: its partition and its id as text.
fn key(partition: Option<&Column>, id: &Column) -> ScalarExpr {
    let text = ScalarExpr::column(id).converted(ColumnType::String);
    let (Some(partition), Some(function)) = (partition, registry().get("strcat")) else { return text };
    let separator = ScalarExpr::literal(Value::String("\u{1}".to_owned()));
    let args = vec![ScalarExpr::column(partition).converted(ColumnType::String), separator, text];
    ScalarExpr::new(ColumnType::String, ScalarNode::Call { function, args })
}

impl Binder<'_> {
    /// The graph an operator works on.
    pub(crate) fn graph_of(&mut self, input: &Relation, span: moneta_kql::syntax::Span) -> Option<Graph> {
        match input.operator.as_graph() {
            Some(graph) => Some(graph.clone()),
            None => self.fail(codes::SHAPE, span, "a graph is expected here: make one of the rows by make-graph"),
        }
    }

    fn graph_column(&mut self, relation: &Relation, name: &Name) -> Option<Column> {
        match relation.column(&name.text) {
            Some(column) => Some(column.clone()),
            None => {
                let candidates: Vec<String> = relation.columns.iter().map(|c| c.name.to_string()).collect();
                let message = format!("failed to resolve column named '{}'", name.text);
                self.fail_near(codes::UNRESOLVED, name.span, message, &name.text, &candidates)
            }
        }
    }

    /// `make-graph source --> target with nodes on id partitioned-by column (query)`.
    pub(crate) fn bind_make_graph(&mut self, input: Relation, node: &MakeGraphOperator) -> Option<Relation> {
        let (source, target) = (self.graph_column(&input, &node.source)?, self.graph_column(&input, &node.target)?);
        let partition = node.partition.as_ref().map(|p| &p.column);
        let own_partition = match partition {
            Some(name) => Some(self.graph_column(&input, name)?),
            None => None,
        };
        let edge_columns: Vec<Column> = input.columns.to_vec();
        let ends = vec![
            (Column::new(SOURCE, ColumnType::String), key(own_partition.as_ref(), &source)),
            (Column::new(TARGET, ColumnType::String), key(own_partition.as_ref(), &target)),
            (Column::new("__source_id", source.column_type), ScalarExpr::column(&source)),
            (Column::new("__target_id", source.column_type), ScalarExpr::column(&target).converted(source.column_type)),
        ];
        let edges = extended(input, ends);
        let mut tables = Vec::new();
        for nodes in &node.nodes {
            let table = self.relation(&nodes.table)?;
            let id = self.graph_column(&table, &nodes.id)?;
            let own = match partition {
                Some(name) => Some(self.graph_column(&table, name)?),
                None => None,
            };
            let keys = vec![
                (Column::new(NODE, ColumnType::String), key(own.as_ref(), &id)),
                (Column::new(NODE_ID, source.column_type), ScalarExpr::column(&id).converted(source.column_type)),
            ];
            tables.push((extended(table, keys), id));
        }
        let id_name = parameter(&node.parameters, "with_node_id");
        let graph = graph(edges, edge_columns, tables, source.column_type, id_name, node.direction);
        match &node.partition {
            None => Some(graph.relation()),
            Some(partition) => self.subquery(graph.relation(), &partition.query),
        }
    }

    /// `graph-where-nodes predicate`
    pub(crate) fn bind_graph_where_nodes(&mut self, input: Relation, node: &GraphWhereOperator) -> Option<Relation> {
        let mut graph = self.graph_of(&input, node.span)?;
        let predicate = self.predicate(&node.predicate, &mut scope::row_of_nodes(&graph))?;
        let columns = graph.nodes.columns.to_vec();
        graph.nodes = Relation::new(columns, Filter { input: graph.nodes, predicate });
        Some(graph.recounted().relation())
    }

    /// `graph-where-edges predicate`
    pub(crate) fn bind_graph_where_edges(&mut self, input: Relation, node: &GraphWhereOperator) -> Option<Relation> {
        let mut graph = self.graph_of(&input, node.span)?;
        let predicate = self.predicate(&node.predicate, &mut scope::row_of_edges(&graph))?;
        let columns = graph.edges.columns.to_vec();
        graph.edges = Relation::new(columns, Filter { input: graph.edges, predicate });
        Some(graph.recounted().relation())
    }

    /// `graph-mark-components kind=weak with_component_id=c`
    pub(crate) fn bind_graph_mark_components(
        &mut self,
        input: Relation,
        node: &GraphMarkComponentsOperator,
    ) -> Option<Relation> {
        let mut graph = self.graph_of(&input, node.span)?;
        let is_strong = match parameter(&node.parameters, "kind").unwrap_or("weak") {
            "weak" => false,
            "strong" => true,
            other => {
                let message = format!("the kind of components is weak or strong, not `{other}`");
                return self.fail(codes::UNKNOWN_WORD, node.span, message);
            }
        };
        let name = parameter(&node.parameters, "with_component_id").unwrap_or("ComponentId");
        let name = Names::of(&graph.node_columns).unique(name);
        let component = Column::new(&name, ColumnType::Long);
        let mut columns = graph.nodes.columns.to_vec();
        columns.push(component.clone());
        let work = data::Components { is_strong: is_strong && graph.is_directed };
        graph.nodes = Gathered::relation(vec![graph.nodes, graph.edges.clone()], columns, work);
        graph.node_columns.push(component);
        Some(graph.relation())
    }

    /// `graph-to-table nodes as N with_node_id=Id, edges as E`: each table is a result, and has its name after it.
    pub(crate) fn bind_graph_to_table(&mut self, input: Relation, node: &GraphToTableOperator) -> Option<Relation> {
        let graph = self.graph_of(&input, node.span)?;
        let mut tables = Vec::new();
        for output in &node.outputs {
            let table = match output.kind.text.as_str() {
                "nodes" => nodes_table(&graph, output),
                "edges" => edges_table(&graph, output),
                other => {
                    let message = format!("graph-to-table gives nodes or edges, not `{other}`");
                    return self.fail(codes::UNKNOWN_WORD, output.kind.span, message);
                }
            };
            if let Some(name) = &output.name {
                self.name_table(&name.text, table.clone());
            }
            tables.push(table);
        }
        let mut tables = tables.into_iter();
        let first = tables.next()?;
        let further: Vec<Relation> = tables.collect();
        if !further.is_empty() {
            self.further_results(further, node.span)?;
        }
        Some(first)
    }
}

fn graph(
    edges: Relation,
    edge_columns: Vec<Column>,
    tables: Vec<(Relation, Column)>,
    id_type: ColumnType,
    id_name: Option<&str>,
    direction: EdgeDirection,
) -> Graph {
    let mut names = Names::default();
    let mut node_columns: Vec<Column> = Vec::new();
    // Columns of two node tables stand together by name.
    let mut places: Vec<Vec<usize>> = Vec::new();
    for (table, _) in &tables {
        let visible = table.columns.iter().filter(|c| !c.name.starts_with("__"));
        let place = visible.map(|c| match node_columns.iter().position(|known| known == c) {
            Some(known) => known,
            None => {
                node_columns.push(Column::new(&names.unique(&c.name), c.column_type));
                node_columns.len() - 1
            }
        });
        places.push(place.collect());
    }
    let id_column = match tables.first() {
        Some((_, id)) => node_columns.iter().position(|c| c.name == id.name),
        None => {
            node_columns.push(Column::new(id_name.unwrap_or("node_id"), id_type));
            Some(0)
        }
    };
    let is_directed = direction != EdgeDirection::Any;
    let mut columns = node_columns.clone();
    columns.push(Column::new(NODE, ColumnType::String));
    columns.push(Column::new(NODE_ID, id_type));
    columns.push(Column::new(DEGREE_IN, ColumnType::Long));
    columns.push(Column::new(DEGREE_OUT, ColumnType::Long));
    let types = node_columns.iter().map(|c| c.column_type).collect();
    let work = data::MakeNodes { id_column, places, types, id_type, is_directed };
    let inputs = std::iter::once(edges.clone()).chain(tables.into_iter().map(|(table, _)| table)).collect();
    let nodes = Gathered::relation(inputs, columns, work);
    Graph { edges, nodes, edge_columns, node_columns, is_directed }
}

/// The hash that stands for a node in tables, of its id.
fn node_hash(column: &str, id_type: ColumnType) -> ScalarExpr {
    let id = ScalarExpr::new(id_type, ScalarNode::Column(column.into()));
    match registry().get("hash") {
        Some(function) => ScalarExpr::new(ColumnType::Long, ScalarNode::Call { function, args: vec![id] }),
        None => ScalarExpr::literal(Value::Null(ColumnType::Long)),
    }
}

fn nodes_table(graph: &Graph, output: &GraphOutput) -> Relation {
    let mut outputs: Vec<(Column, ScalarExpr)> = Vec::new();
    let mut names = Names::default();
    if let Some(name) = parameter(&output.parameters, "with_node_id") {
        let id_type = graph.nodes.column(NODE_ID).map_or(ColumnType::String, |c| c.column_type);
        outputs.push((Column::new(&names.unique(name), ColumnType::Long), node_hash(NODE_ID, id_type)));
    }
    let own = graph.node_columns.iter();
    outputs.extend(own.map(|c| (Column::new(&names.unique(&c.name), c.column_type), ScalarExpr::column(c))));
    Project::exact("project", graph.nodes.clone(), outputs)
}

fn edges_table(graph: &Graph, output: &GraphOutput) -> Relation {
    let columns = graph.edges.columns.to_vec();
    let kept = Gathered::relation(vec![graph.edges.clone(), graph.nodes.clone()], columns, data::KeepEdges);
    let mut outputs: Vec<(Column, ScalarExpr)> = Vec::new();
    let mut names = Names::default();
    for (parameter_name, end) in [("with_source_id", "__source_id"), ("with_target_id", "__target_id")] {
        if let Some(name) = parameter(&output.parameters, parameter_name) {
            let id_type = kept.column(end).map_or(ColumnType::String, |c| c.column_type);
            outputs.push((Column::new(&names.unique(name), ColumnType::Long), node_hash(end, id_type)));
        }
    }
    let own = graph.edge_columns.iter();
    outputs.extend(own.map(|c| (Column::new(&names.unique(&c.name), c.column_type), ScalarExpr::column(c))));
    Project::exact("project", kept, outputs)
}

/// The columns that the query sees, each under its own name.
pub(crate) fn visible(columns: &[Column]) -> Arc<[Column]> {
    columns.iter().filter(|c| !c.name.starts_with("__")).cloned().collect()
}

/// The row of a table, for its hidden columns too.
pub(crate) fn row_of(columns: &[Column], elements: Elements) -> Row {
    Row { columns: visible(columns), elements: Some(elements), ..Row::none() }
}
