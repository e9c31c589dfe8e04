//! The search for matches of a pattern in a graph: bounded, and stopped with its query.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{ArrayRef, RecordBatch};
use moneta_event::ColumnType;
use moneta_kql::syntax::EdgeDirection;

use super::data::{Ends, named};
use super::matching::is_forward;
use super::scope::PathFunction;
use crate::functions::conversion::cell_json;
use crate::functions::row::{Answer, Reader};
use crate::operators::gathered::{Gathering, Work};
use crate::operators::plugins::rows::{column, picked};

/// The greatest number of matches: each holds its nodes and edges in memory.
const MATCHES_MAX: usize = 2_000_000;
/// The greatest number of edges walked: patterns over dense graphs have more paths than anybody can wait for.
const STEPS_MAX: usize = 200_000_000;

/// Which repetitions a match may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cycles {
    /// Any.
    All,
    /// No node twice.
    None,
    /// No edge twice.
    UniqueEdges,
}

/// Which shortest paths are wanted for each pair of ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shortest {
    Any,
    All,
}

/// One step of the search. Nodes and edges have slots.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// A pattern begins at a node.
    Start { node: usize },
    /// An edge, or a path of edges, leads on.
    Edge { slot: usize, from: usize, to: usize, direction: EdgeDirection, min: usize, max: usize },
}

/// Where a column of the result comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Node(usize),
    Edge(usize),
    Path { slot: usize, over_nodes: bool, function: PathFunction, item_type: ColumnType },
}

/// A column of the result: the column of nodes or edges it takes.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) column: String,
    pub(super) source: Source,
}

/// The search. Inputs: edges, nodes.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) steps: Vec<Step>,
    pub(super) num_nodes: usize,
    pub(super) num_edges: usize,
    pub(super) cycles: Cycles,
    pub(super) shortest: Option<Shortest>,
    pub(super) is_directed: bool,
    /// By slot: columns of truth values that a node, an edge, an inner node of a path must have.
    pub(super) node_tests: Vec<Vec<String>>,
    pub(super) edge_tests: Vec<Vec<String>>,
    pub(super) inner_tests: Vec<Vec<String>>,
    pub(super) outputs: Vec<Output>,
}

impl Gathering for Match {
    fn name(&self) -> &'static str {
        if self.shortest.is_some() { "graph-shortest-paths" } else { "graph-match" }
    }

    fn details(&self) -> String {
        format!("{} nodes, {} edges, cycles {:?}", self.num_nodes, self.num_edges, self.cycles)
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let (edges, nodes) = (&inputs[0], &inputs[1]);
        let ends = Ends::new(edges, nodes)?;
        let near = Near::new(nodes.num_rows(), &ends.ends, self.is_directed);
        let tests = |all: &[Vec<String>], rows: &RecordBatch| {
            all.iter().map(|names| passing(rows, names)).collect::<Result<Vec<_>, String>>()
        };
        let mut search = Search {
            spec: self,
            work,
            near: &near,
            edge_rows: &ends.rows,
            node_tests: tests(&self.node_tests, nodes)?,
            edge_tests: tests(&self.edge_tests, edges)?,
            inner_tests: tests(&self.inner_tests, nodes)?,
            nodes: vec![None; self.num_nodes],
            paths: vec![Path::default(); self.num_edges],
            used: vec![false; ends.rows.len()],
            trail: Vec::new(),
            found: Vec::new(),
            steps: 0,
        };
        match self.breadth_first() {
            Some(edge) => search.breadth_first(edge)?,
            None => search.step(0)?,
        }
        let mut found = search.found;
        if let (Some(shortest), None) = (self.shortest, self.breadth_first()) {
            found = self.only_shortest(found, shortest);
        }
        self.columns(&found, edges, nodes, &ends.rows)
    }
}

/// Which rows pass all tests; `None` if there are none.
fn passing(rows: &RecordBatch, names: &[String]) -> Result<Option<Vec<bool>>, String> {
    if names.is_empty() {
        return Ok(None);
    }
    let readers = names.iter().map(|name| named(rows, name)).collect::<Result<Vec<_>, _>>()?;
    let passes = |row| readers.iter().all(|reader| reader.get(row).bool() == Some(true));
    Ok(Some((0..rows.num_rows()).map(passes).collect()))
}

/// The edges at each node: those that leave it and those that arrive, each with the node at its other end.
struct Near {
    out: Vec<Vec<(u32, u32)>>,
    into: Vec<Vec<(u32, u32)>>,
    is_directed: bool,
}

impl Near {
    fn new(num_nodes: usize, ends: &[(u32, u32)], is_directed: bool) -> Self {
        let mut near = Self { out: vec![Vec::new(); num_nodes], into: vec![Vec::new(); num_nodes], is_directed };
        for (edge, (source, target)) in (0_u32..).zip(ends) {
            near.out[*source as usize].push((edge, *target));
            near.into[*target as usize].push((edge, *source));
        }
        near
    }

    /// The edges from a node in a direction. Without directions in the graph all go both ways.
    fn edges(&self, node: u32, direction: EdgeDirection) -> impl Iterator<Item = (u32, u32)> + '_ {
        let [forward, backward] = if self.is_directed { is_forward(direction) } else { [true, true] };
        let (out, into) = (&self.out[node as usize], &self.into[node as usize]);
        let out = out.iter().filter(move |_| forward);
        // A loop is one edge, whichever way it is walked.
        let into = into.iter().filter(move |(_, other)| backward && !(forward && *other == node));
        out.chain(into).copied()
    }
}

/// The edges of a path and the nodes between them.
#[derive(Debug, Clone, Default)]
struct Path {
    edges: Vec<u32>,
    inner: Vec<u32>,
}

/// A match: a node per slot, a path per slot.
#[derive(Debug, Clone)]
struct Found {
    nodes: Vec<u32>,
    paths: Vec<Path>,
}

struct Search<'s> {
    spec: &'s Match,
    work: &'s Work,
    near: &'s Near,
    /// The row of each edge.
    edge_rows: &'s [u32],
    node_tests: Vec<Option<Vec<bool>>>,
    edge_tests: Vec<Option<Vec<bool>>>,
    inner_tests: Vec<Option<Vec<bool>>>,
    nodes: Vec<Option<u32>>,
    paths: Vec<Path>,
    used: Vec<bool>,
    /// The nodes of the pattern walked now.
    trail: Vec<u32>,
    found: Vec<Found>,
    steps: usize,
}

fn passes(test: Option<&Vec<bool>>, row: u32) -> bool {
    test.is_none_or(|test| test[row as usize])
}

impl Search<'_> {
    fn node_passes(&self, slot: usize, node: u32) -> bool {
        passes(self.node_tests[slot].as_ref(), node)
    }

    fn edge_passes(&self, slot: usize, edge: u32) -> bool {
        passes(self.edge_tests[slot].as_ref(), self.edge_rows[edge as usize])
    }

    fn inner_passes(&self, slot: usize, node: u32) -> bool {
        passes(self.inner_tests[slot].as_ref(), node)
    }

    fn count(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps.is_multiple_of(8_192) {
            self.work.check()?;
        }
        if self.steps > STEPS_MAX {
            return Err(format!("the pattern walked more than {STEPS_MAX} edges; give conditions or fewer hops"));
        }
        Ok(())
    }

    fn record(&mut self) -> Result<(), String> {
        if self.found.len() >= MATCHES_MAX {
            return Err(format!("the pattern has more than {MATCHES_MAX} matches; give conditions or fewer hops"));
        }
        let nodes = self.nodes.iter().map(|node| node.unwrap_or(0)).collect();
        self.found.push(Found { nodes, paths: self.paths.clone() });
        Ok(())
    }

    /// Goes on with a step of the pattern.
    fn step(&mut self, at: usize) -> Result<(), String> {
        match self.spec.steps.get(at).copied() {
            None => self.record(),
            Some(Step::Start { node }) => {
                let outer = std::mem::take(&mut self.trail);
                let candidates = match self.nodes[node] {
                    Some(known) => known..known.saturating_add(1),
                    None => 0..u32::try_from(self.near.out.len()).unwrap_or(u32::MAX),
                };
                let was = self.nodes[node];
                for candidate in candidates {
                    if self.node_passes(node, candidate) {
                        self.nodes[node] = Some(candidate);
                        self.trail = vec![candidate];
                        self.count()?;
                        self.step(at + 1)?;
                    }
                }
                self.nodes[node] = was;
                self.trail = outer;
                Ok(())
            }
            Some(Step::Edge { slot, from, .. }) => {
                let start = self.nodes[from].unwrap_or(0);
                let outer = std::mem::take(&mut self.paths[slot]);
                self.walk(at, start)?;
                self.paths[slot] = outer;
                Ok(())
            }
        }
    }

    /// Ends the path of a step here, or leads it on.
    fn walk(&mut self, at: usize, node: u32) -> Result<(), String> {
        let Step::Edge { slot, to, direction, min, max, .. } = self.spec.steps[at] else { return Ok(()) };
        let length = self.paths[slot].edges.len();
        if length >= min && self.nodes[to].is_none_or(|known| known == node) && self.node_passes(to, node) {
            let was = self.nodes[to].replace(node);
            self.step(at + 1)?;
            self.nodes[to] = was;
        }
        if length >= max || (length > 0 && !self.inner_passes(slot, node)) {
            return Ok(());
        }
        if length > 0 {
            self.paths[slot].inner.push(node);
        }
        let near = self.near;
        for (edge, next) in near.edges(node, direction) {
            self.count()?;
            let repeats = match self.spec.cycles {
                Cycles::All => false,
                Cycles::UniqueEdges => self.used[edge as usize],
                Cycles::None => self.used[edge as usize] || self.trail.contains(&next),
            };
            if repeats || !self.edge_passes(slot, edge) {
                continue;
            }
            let was = std::mem::replace(&mut self.used[edge as usize], true);
            self.paths[slot].edges.push(edge);
            self.trail.push(next);
            self.walk(at, next)?;
            self.trail.pop();
            self.paths[slot].edges.pop();
            self.used[edge as usize] = was;
        }
        if length > 0 {
            self.paths[slot].inner.pop();
        }
        Ok(())
    }

    /// The shortest paths of a pattern of one edge, from each start in rings.
    fn breadth_first(&mut self, edge: Step) -> Result<(), String> {
        let Step::Edge { slot, from, to, direction, max, .. } = edge else { return Ok(()) };
        for start in 0..u32::try_from(self.near.out.len()).unwrap_or(u32::MAX) {
            if !self.node_passes(from, start) {
                continue;
            }
            let rings = self.rings(slot, start, direction, max)?;
            for node in rings.order.iter().copied().filter(|node| self.node_passes(to, *node)).collect::<Vec<_>>() {
                (self.nodes[from], self.nodes[to]) = (Some(start), Some(node));
                self.paths[slot] = Path::default();
                self.paths_back(slot, &rings, start, node, &mut Vec::new())?;
            }
            (self.nodes[from], self.nodes[to]) = (None, None);
        }
        Ok(())
    }

    fn rings(&mut self, slot: usize, start: u32, direction: EdgeDirection, max: usize) -> Result<Rings, String> {
        let mut rings = Rings { order: Vec::new(), before: HashMap::new() };
        let mut depths: HashMap<u32, usize> = [(start, 0)].into();
        let mut ring = vec![start];
        for depth in 1..=max {
            let mut next_ring = Vec::new();
            for node in std::mem::take(&mut ring) {
                if node != start && !self.inner_passes(slot, node) {
                    continue;
                }
                let near = self.near;
                for (edge, next) in near.edges(node, direction) {
                    self.count()?;
                    if !self.edge_passes(slot, edge) {
                        continue;
                    }
                    let known = *depths.entry(next).or_insert(depth);
                    if known < depth {
                        continue;
                    }
                    let before = rings.before.entry(next).or_default();
                    if before.is_empty() {
                        rings.order.push(next);
                        next_ring.push(next);
                    }
                    before.push((edge, node));
                }
            }
            ring = next_ring;
        }
        Ok(rings)
    }

    /// Follows the ways back to the start; all of them, or the first.
    fn paths_back(
        &mut self,
        slot: usize,
        rings: &Rings,
        start: u32,
        node: u32,
        back: &mut Vec<(u32, u32)>,
    ) -> Result<(), String> {
        if node == start {
            self.paths[slot].edges = back.iter().rev().map(|(edge, _)| *edge).collect();
            let ends = back.iter().rev().map(|(_, node)| *node);
            self.paths[slot].inner = ends.take(back.len().saturating_sub(1)).collect();
            return self.record();
        }
        for (edge, before) in rings.before.get(&node).into_iter().flatten() {
            back.push((*edge, node));
            self.paths_back(slot, rings, start, *before, back)?;
            back.pop();
            if self.spec.shortest == Some(Shortest::Any) {
                break;
            }
        }
        Ok(())
    }
}

/// The nodes reached from a start, the nearest first, with the edges by which shortest paths arrive.
struct Rings {
    order: Vec<u32>,
    before: HashMap<u32, Vec<(u32, u32)>>,
}

impl Match {
    /// The edge of the pattern, if it is one that rings find: one path between two nodes, from one hop on.
    fn breadth_first(&self) -> Option<Step> {
        match (self.shortest, self.steps.as_slice()) {
            (Some(_), [Step::Start { .. }, edge @ Step::Edge { from, to, min: 1, .. }]) if from != to => Some(*edge),
            _ => None,
        }
    }

    /// Of all matches the shortest for each pair of first and last node.
    fn only_shortest(&self, found: Vec<Found>, shortest: Shortest) -> Vec<Found> {
        let (Some(Step::Start { node: first }), Some(Step::Edge { to: last, .. })) =
            (self.steps.first(), self.steps.last())
        else {
            return found;
        };
        let length = |found: &Found| found.paths.iter().map(|path| path.edges.len()).sum::<usize>();
        let pair = |found: &Found| (found.nodes[*first], found.nodes[*last]);
        let mut best: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        for one in &found {
            let known = best.entry(pair(one)).or_insert(usize::MAX);
            *known = (*known).min(length(one));
        }
        let mut kept = found;
        kept.retain(|one| match best.get(&pair(one)) {
            Some(least) if *least == length(one) => {
                if shortest == Shortest::Any {
                    best.remove(&pair(one));
                }
                true
            }
            _ => false,
        });
        kept
    }

    fn columns(
        &self,
        found: &[Found],
        edges: &RecordBatch,
        nodes: &RecordBatch,
        edge_rows: &[u32],
    ) -> Result<Vec<ArrayRef>, String> {
        let row = |edge: u32| edge_rows[edge as usize];
        let mut arrays = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            let missing = || format!("the graph has no column {}", output.column);
            let array = match &output.source {
                Source::Node(slot) => {
                    let from = nodes.column_by_name(&output.column).ok_or_else(missing)?;
                    let rows = found.iter().map(|one| one.nodes[*slot]).collect();
                    picked(std::slice::from_ref(from), rows)?.swap_remove(0)
                }
                Source::Edge(slot) => {
                    let from = edges.column_by_name(&output.column).ok_or_else(missing)?;
                    let rows = found.iter().map(|one| one.paths[*slot].edges.first().map_or(0, |edge| row(*edge)));
                    picked(std::slice::from_ref(from), rows.collect())?.swap_remove(0)
                }
                Source::Path { slot, over_nodes, function, item_type } => {
                    let rows = if *over_nodes { nodes } else { edges };
                    let items = named(rows, &output.column)?;
                    let places = |one: &Found| -> Vec<u32> {
                        let path = &one.paths[*slot];
                        if *over_nodes { path.inner.clone() } else { path.edges.iter().map(|e| row(*e)).collect() }
                    };
                    path_column(found.iter().map(places), &items, *function, *item_type)
                }
            };
            arrays.push(array);
        }
        Ok(arrays)
    }
}

/// What a function over paths gives for each match.
fn path_column(
    paths: impl Iterator<Item = Vec<u32>>,
    items: &Reader<'_>,
    function: PathFunction,
    item_type: ColumnType,
) -> ArrayRef {
    let holds = |row: &u32| items.get(*row as usize).bool() == Some(true);
    let text = |row: &u32| cell_json(items.get(*row as usize), item_type).unwrap_or_else(|| "null".to_owned());
    match function {
        PathFunction::All => column(ColumnType::Bool, paths.map(|path| path.iter().all(holds))),
        PathFunction::Any => column(ColumnType::Bool, paths.map(|path| path.iter().any(holds))),
        PathFunction::Map => {
            let array = |path: Vec<u32>| format!("[{}]", path.iter().map(text).collect::<Vec<_>>().join(","));
            column(ColumnType::Dynamic, paths.map(|path| Answer::from(array(path))))
        }
    }
}
