//! What is computed of whole graphs: their nodes, degrees, components, and the edges that are left.

use std::collections::HashMap;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use moneta_event::ColumnType;

use super::{NODE, NODE_ID, SOURCE, TARGET};
use crate::functions::row::{Answer, Builder, Cell, Reader};
use crate::operators::gathered::{Gathering, Work};
use crate::operators::plugins::rows::column;

/// A column of rows by name.
pub(super) fn named<'r>(rows: &'r RecordBatch, name: &str) -> Result<Reader<'r>, String> {
    rows.column_by_name(name).map(Reader::of).ok_or_else(|| format!("the graph has no column {name}"))
}

/// The ends of edges by the positions of their nodes; edges with a missing end are left out.
pub(super) struct Ends {
    /// The row of each edge that counts.
    pub(super) rows: Vec<u32>,
    /// Its source and target.
    pub(super) ends: Vec<(u32, u32)>,
}

impl Ends {
    pub(super) fn new(edges: &RecordBatch, nodes: &RecordBatch) -> Result<Self, String> {
        let keys = named(nodes, NODE)?;
        let mut places: HashMap<&str, u32> = HashMap::new();
        for (row, at) in (0_u32..).zip(0..nodes.num_rows()) {
            places.entry(keys.get(at).text()).or_insert(row);
        }
        let (sources, targets) = (named(edges, SOURCE)?, named(edges, TARGET)?);
        let mut found = Self { rows: Vec::new(), ends: Vec::new() };
        for (row, at) in (0_u32..).zip(0..edges.num_rows()) {
            let end = |reader: &Reader<'_>| places.get(reader.get(at).text()).copied();
            if let (Some(source), Some(target)) = (end(&sources), end(&targets)) {
                found.rows.push(row);
                found.ends.push((source, target));
            }
        }
        Ok(found)
    }

    /// The degrees of nodes: edges in and out; without directions both are all.
    fn degrees(&self, num_nodes: usize, is_directed: bool) -> [Vec<usize>; 2] {
        let (mut into, mut out) = (vec![0; num_nodes], vec![0; num_nodes]);
        for (source, target) in &self.ends {
            out[*source as usize] += 1;
            into[*target as usize] += 1;
            if !is_directed && source != target {
                out[*target as usize] += 1;
                into[*source as usize] += 1;
            }
        }
        [into, out]
    }
}

/// Makes the nodes of node tables and of the ends of edges.
#[derive(Debug)]
pub(super) struct MakeNodes {
    /// The node column that holds the id of nodes no table has.
    pub(super) id_column: Option<usize>,
    /// For each node table, where its columns stand.
    pub(super) places: Vec<Vec<usize>>,
    pub(super) types: Vec<ColumnType>,
    pub(super) id_type: ColumnType,
    pub(super) is_directed: bool,
}

/// Where a node comes from: a row of a table, or an end of an edge.
enum Origin {
    Table(usize, usize),
    Edge(usize, &'static str),
}

impl Gathering for MakeNodes {
    fn name(&self) -> &'static str {
        "graph nodes"
    }

    fn details(&self) -> String {
        String::new()
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let (edges, tables) = inputs.split_first().ok_or("a graph has edges")?;
        let mut origins: Vec<(&str, Origin)> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        let keys = tables.iter().map(|table| named(table, NODE)).collect::<Result<Vec<_>, _>>()?;
        for (at, table) in tables.iter().enumerate() {
            for row in 0..table.num_rows() {
                add(&mut origins, &mut known, keys[at].get(row), Origin::Table(at, row));
            }
        }
        let ends = [(named(edges, SOURCE)?, "__source_id"), (named(edges, TARGET)?, "__target_id")];
        for row in 0..edges.num_rows() {
            for (reader, id) in &ends {
                add(&mut origins, &mut known, reader.get(row), Origin::Edge(row, id));
            }
        }
        work.check()?;
        let mut arrays = Vec::with_capacity(self.types.len() + 4);
        for at in 0..self.types.len() {
            arrays.push(self.property(at, edges, tables, &origins)?);
        }
        arrays.push(column(ColumnType::String, origins.iter().map(|(key, _)| *key)));
        arrays.push(self.ids(edges, tables, &origins)?);
        let sources = ends.iter().map(|(reader, _)| {
            (0..edges.num_rows()).map(|row| known.get(reader.get(row).text()).copied()).collect::<Vec<_>>()
        });
        let [sources, targets] =
            sources.collect::<Vec<_>>().try_into().map_err(|_| "an edge has two ends".to_owned())?;
        let place = |at: Option<usize>| at.and_then(|at| u32::try_from(at).ok());
        let pairs = sources.into_iter().zip(targets).filter_map(|(s, t)| Some((place(s)?, place(t)?)));
        let ends = Ends { rows: Vec::new(), ends: pairs.collect() };
        arrays.extend(ends.degrees(origins.len(), self.is_directed).map(|degrees| column(ColumnType::Long, degrees)));
        Ok(arrays)
    }
}

fn add<'r>(origins: &mut Vec<(&'r str, Origin)>, known: &mut HashMap<&'r str, usize>, key: Cell<'r>, origin: Origin) {
    let next = origins.len();
    if *known.entry(key.text()).or_insert(next) == next {
        origins.push((key.text(), origin));
    }
}

impl MakeNodes {
    /// A property of all nodes.
    fn property(
        &self,
        at: usize,
        edges: &RecordBatch,
        tables: &[RecordBatch],
        origins: &[(&str, Origin)],
    ) -> Result<ArrayRef, String> {
        let of_table = |table: usize| {
            let place = self.places[table].iter().position(|place| *place == at)?;
            Some(Reader::of(tables[table].column(place)))
        };
        let readers: Vec<Option<Reader<'_>>> = (0..tables.len()).map(of_table).collect();
        let ids = [("__source_id", named(edges, "__source_id")?), ("__target_id", named(edges, "__target_id")?)];
        let mut builder = Builder::new(self.types[at], origins.len());
        for (_, origin) in origins {
            let cell = match origin {
                Origin::Table(table, row) => readers[*table].as_ref().map_or(Cell::Null, |reader| reader.get(*row)),
                Origin::Edge(row, end) if self.id_column == Some(at) => {
                    ids.iter().find(|(name, _)| name == end).map_or(Cell::Null, |(_, reader)| reader.get(*row))
                }
                Origin::Edge(..) => Cell::Null,
            };
            builder.push(Answer::from(cell));
        }
        Ok(builder.finish())
    }

    fn ids(&self, edges: &RecordBatch, tables: &[RecordBatch], origins: &[(&str, Origin)]) -> Result<ArrayRef, String> {
        let readers = tables.iter().map(|table| named(table, NODE_ID)).collect::<Result<Vec<_>, _>>()?;
        let mut builder = Builder::new(self.id_type, origins.len());
        for (_, origin) in origins {
            let cell = match origin {
                Origin::Table(table, row) => readers[*table].get(*row),
                Origin::Edge(row, end) => named(edges, end)?.get(*row),
            };
            builder.push(Answer::from(cell));
        }
        Ok(builder.finish())
    }
}

/// Counts the degrees of nodes anew. Inputs: nodes, edges.
#[derive(Debug)]
pub(super) struct Degrees {
    pub(super) is_directed: bool,
}

impl Gathering for Degrees {
    fn name(&self) -> &'static str {
        "graph degrees"
    }

    fn details(&self) -> String {
        String::new()
    }

    fn run(&self, inputs: &[RecordBatch], _: &Work) -> Result<Vec<ArrayRef>, String> {
        let nodes = &inputs[0];
        let ends = Ends::new(&inputs[1], nodes)?;
        let [into, out] = ends.degrees(nodes.num_rows(), self.is_directed);
        let mut arrays = nodes.columns().to_vec();
        for (name, degrees) in [(super::DEGREE_IN, into), (super::DEGREE_OUT, out)] {
            let at = nodes.schema().index_of(name).map_err(|error| error.to_string())?;
            arrays[at] = column(ColumnType::Long, degrees);
        }
        Ok(arrays)
    }
}

/// Keeps the edges whose both ends are nodes. Inputs: edges, nodes.
#[derive(Debug)]
pub(super) struct KeepEdges;

impl Gathering for KeepEdges {
    fn name(&self) -> &'static str {
        "graph edges"
    }

    fn details(&self) -> String {
        String::new()
    }

    fn run(&self, inputs: &[RecordBatch], _: &Work) -> Result<Vec<ArrayRef>, String> {
        let edges = &inputs[0];
        let ends = Ends::new(edges, &inputs[1])?;
        let mut kept = vec![false; edges.num_rows()];
        ends.rows.iter().for_each(|row| kept[*row as usize] = true);
        let kept = BooleanArray::from(kept);
        let filter = |array: &ArrayRef| arrow::compute::filter(array, &kept).map_err(|error| error.to_string());
        edges.columns().iter().map(filter).collect()
    }
}

/// Numbers the connected parts of a graph, in the order of their first nodes. Inputs: nodes, edges.
#[derive(Debug)]
pub(super) struct Components {
    /// Whether each node of a part must be reachable from each other along the edges' directions.
    pub(super) is_strong: bool,
}

impl Gathering for Components {
    fn name(&self) -> &'static str {
        "graph-mark-components"
    }

    fn details(&self) -> String {
        if self.is_strong { "strong".to_owned() } else { "weak".to_owned() }
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let nodes = &inputs[0];
        let ends = Ends::new(&inputs[1], nodes)?;
        work.check()?;
        let parts = if self.is_strong {
            strong_parts(nodes.num_rows(), &ends.ends)
        } else {
            weak_parts(nodes.num_rows(), &ends.ends)
        };
        let mut numbers: HashMap<usize, usize> = HashMap::new();
        let numbered = parts.into_iter().map(|part| {
            let next = numbers.len();
            *numbers.entry(part).or_insert(next)
        });
        let numbered = column(ColumnType::Long, numbered.collect::<Vec<_>>());
        let mut arrays = nodes.columns().to_vec();
        arrays.push(numbered);
        Ok(arrays)
    }
}

/// A representative of the part of each node, by joining the ends of edges.
fn weak_parts(num_nodes: usize, ends: &[(u32, u32)]) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..num_nodes).collect();
    for (source, target) in ends {
        let (a, b) = (root(&mut parents, *source as usize), root(&mut parents, *target as usize));
        parents[a.max(b)] = a.min(b);
    }
    (0..num_nodes).map(|node| root(&mut parents, node)).collect()
}

fn root(parents: &mut [usize], mut node: usize) -> usize {
    while parents[node] != node {
        parents[node] = parents[parents[node]];
        node = parents[node];
    }
    node
}

/// A number of the part of each node: two walks over the graph, the second against the edges, without recursion.
fn strong_parts(num_nodes: usize, ends: &[(u32, u32)]) -> Vec<usize> {
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); num_nodes];
    let mut into: Vec<Vec<usize>> = vec![Vec::new(); num_nodes];
    for (source, target) in ends {
        out[*source as usize].push(*target as usize);
        into[*target as usize].push(*source as usize);
    }
    let (mut seen, mut left) = (vec![false; num_nodes], Vec::with_capacity(num_nodes));
    for start in 0..num_nodes {
        if std::mem::replace(&mut seen[start], true) {
            continue;
        }
        let mut stack = vec![(start, 0)];
        while let Some((node, next)) = stack.pop() {
            match out[node].get(next) {
                Some(to) => {
                    stack.push((node, next + 1));
                    if !std::mem::replace(&mut seen[*to], true) {
                        stack.push((*to, 0));
                    }
                }
                None => left.push(node),
            }
        }
    }
    let mut parts = vec![usize::MAX; num_nodes];
    for start in left.into_iter().rev() {
        let mut stack = vec![start];
        while let Some(node) = stack.pop() {
            if parts[node] == usize::MAX {
                parts[node] = start;
                stack.extend(into[node].iter().filter(|from| parts[**from] == usize::MAX));
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_directions_only_when_strong() {
        let ends = [(0, 1), (1, 2), (2, 0), (2, 3)];
        let same = |parts: &[usize], a: usize, b: usize| parts[a] == parts[b];
        let (strong, weak) = (strong_parts(5, &ends), weak_parts(5, &ends));
        assert!(same(&strong, 0, 2) && same(&strong, 0, 1) && !same(&strong, 0, 3));
        assert!(same(&weak, 0, 3) && !same(&weak, 0, 4));
    }
}
