//! Union and intersection of lines and polygons.
//!
//! The edges of all operands are cut where they meet, so that pieces are either equal, opposite, or apart. A piece of
//! a polygon's boundary stays if the result is on its left and not on its right; the pieces that stay are joined into
//! rings. Vertices closer to each other than rounding can tell are one vertex.

use std::collections::{HashMap, VecDeque};

use crate::predicates::crosses;
use crate::shape::{Degrees, Edge, Line, Part, Polygon, Ring, collection_geojson, line_geojson, list, point_geojson};
use crate::shape::{object, signed_area};
use crate::sweep;
use crate::vector::{MERGE_RADIUS, Vector, arc_distance, interpolate, intersection};

/// Edges of all operands at most, and cuts at most: what the memory of one call allows.
const EDGES_MAX: usize = 1_000_000;

/// The operands of an overlay as bits.
const FIRST: u8 = 1;
const SECOND: u8 = 2;

/// A part of an edge between two nodes.
#[derive(Debug, Clone, Copy)]
struct Piece {
    from: usize,
    to: usize,
    /// The position of its edge among all edges of all operands.
    source: usize,
    owner: u8,
}

/// The edges of two operands, cut where they meet.
#[derive(Debug)]
struct Mesh {
    nodes: Vec<Vector>,
    pieces: Vec<Piece>,
    /// The operands that touch each node.
    touched: Vec<u8>,
    /// The operands that have a piece between two nodes in this direction.
    owners: HashMap<(usize, usize), u8>,
}

/// Nodes found by their position, with room for rounding.
#[derive(Debug, Default)]
struct Nodes {
    points: Vec<Vector>,
    grid: HashMap<(i64, i64, i64), Vec<usize>>,
}

/// The width of a cell of the grid, much greater than [`MERGE_RADIUS`].
const GRID: f64 = 1e-12;

#[allow(clippy::cast_possible_truncation, reason = "parts of unit vectors over the grid's width fit")]
fn grid_index(value: f64) -> i64 {
    (value / GRID).floor() as i64
}

impl Nodes {
    fn find_or_add(&mut self, point: Vector) -> usize {
        let range = |value: f64| grid_index(value - MERGE_RADIUS)..=grid_index(value + MERGE_RADIUS);
        for x in range(point.x) {
            for y in range(point.y) {
                for z in range(point.z) {
                    let near = self.grid.get(&(x, y, z)).into_iter().flatten();
                    if let Some(found) = near.copied().find(|index| self.points[*index].close_to(point)) {
                        return found;
                    }
                }
            }
        }
        let cell = (grid_index(point.x), grid_index(point.y), grid_index(point.z));
        self.grid.entry(cell).or_default().push(self.points.len());
        self.points.push(point);
        self.points.len() - 1
    }
}

impl Mesh {
    /// Cuts the edges of two operands; `None` beyond the limits.
    fn new(first: &[Edge], second: &[Edge]) -> Option<Self> {
        let edges: Vec<Edge> = first.iter().chain(second).copied().collect();
        if edges.len() > EDGES_MAX {
            return None;
        }
        let cuts = cuts(&edges, first.len())?;
        let mut nodes = Nodes::default();
        // The vertices as given come first, so that a computed point never stands for one of them.
        let ends: Vec<(usize, usize)> =
            edges.iter().map(|(a, b)| (nodes.find_or_add(*a), nodes.find_or_add(*b))).collect();
        let mut pieces = Vec::with_capacity(edges.len());
        for (source, (from, to)) in ends.into_iter().enumerate() {
            let owner = if source < first.len() { FIRST } else { SECOND };
            let mut stops: Vec<usize> = cuts[source].iter().map(|point| nodes.find_or_add(*point)).collect();
            let start = edges[source].0;
            let away = |node: usize| {
                let gap = nodes.points[node].minus(start);
                gap.dot(gap)
            };
            stops.sort_by(|a, b| away(*a).total_cmp(&away(*b)));
            stops.push(to);
            let mut before = from;
            for stop in stops {
                if stop != before {
                    pieces.push(Piece { from: before, to: stop, source, owner });
                    before = stop;
                }
            }
        }
        Some(Self::index(nodes.points, pieces))
    }

    fn index(nodes: Vec<Vector>, pieces: Vec<Piece>) -> Self {
        let mut touched = vec![0; nodes.len()];
        let mut owners: HashMap<(usize, usize), u8> = HashMap::new();
        for piece in &pieces {
            touched[piece.from] |= piece.owner;
            touched[piece.to] |= piece.owner;
            *owners.entry((piece.from, piece.to)).or_default() |= piece.owner;
        }
        Self { nodes, pieces, touched, owners }
    }

    fn owners(&self, from: usize, to: usize) -> u8 {
        self.owners.get(&(from, to)).copied().unwrap_or(0)
    }

    fn middle(&self, piece: &Piece) -> Vector {
        interpolate(self.nodes[piece.from], self.nodes[piece.to], 0.5)
    }

    /// Whether the left and the right of a piece are inside a polygon, which is the operand `bit`.
    ///
    /// `before` is the answer for the piece before, which holds on as long as the polygon is not touched.
    fn sides(&self, piece: &Piece, bit: u8, polygon: &Polygon, before: Option<(usize, bool)>) -> (bool, bool) {
        let same = self.owners(piece.from, piece.to) & bit != 0;
        let opposite = self.owners(piece.to, piece.from) & bit != 0;
        if same || opposite {
            return (same, opposite);
        }
        let inside = match before {
            Some((node, inside)) if node == piece.from && self.touched[node] & bit == 0 => inside,
            _ => polygon.contains(self.middle(piece)),
        };
        (inside, inside)
    }
}

/// For each edge the points where it is to be cut; only edges of different operands cut each other.
fn cuts(edges: &[Edge], first: usize) -> Option<Vec<Vec<Vector>>> {
    let mut cuts = vec![Vec::new(); edges.len()];
    let mut count = 0;
    sweep::pairs(edges, |i, j| {
        if (i < first) == (j < first) {
            return true;
        }
        let ((a, b), (c, d)) = (edges[i], edges[j]);
        for (edge, (from, to), end) in [(i, (a, b), c), (i, (a, b), d), (j, (c, d), a), (j, (c, d), b)] {
            let inside = !end.close_to(from) && !end.close_to(to);
            if inside && arc_distance(end, from, to) <= MERGE_RADIUS {
                cuts[edge].push(end);
                count += 1;
            }
        }
        if crosses(a, b, c, d) {
            let point = intersection(a, b, c, d);
            cuts[i].push(point);
            cuts[j].push(point);
            count += 2;
        }
        count <= EDGES_MAX
    });
    (count <= EDGES_MAX).then_some(cuts)
}

/// What is kept of two polygons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
}

impl Operation {
    fn of(self, first: bool, second: bool) -> bool {
        if self == Self::Union { first || second } else { first && second }
    }
}

/// The pieces of the boundary of a result.
fn boundary(mesh: &Mesh, first: &Polygon, second: &Polygon, operation: Operation) -> Vec<Piece> {
    let mut kept: Vec<Piece> = Vec::new();
    let mut seen: HashMap<(usize, usize), ()> = HashMap::new();
    let mut before: Option<(usize, u8, bool)> = None;
    for piece in &mesh.pieces {
        let (other, polygon) = if piece.owner == FIRST { (SECOND, second) } else { (FIRST, first) };
        let own = (true, mesh.owners(piece.to, piece.from) & piece.owner != 0);
        let so_far = before.filter(|(_, owner, _)| *owner == piece.owner).map(|(node, _, inside)| (node, inside));
        let theirs = mesh.sides(piece, other, polygon, so_far);
        before = (theirs.0 == theirs.1).then_some((piece.to, piece.owner, theirs.0));
        let (left, right) = (operation.of(own.0, theirs.0), operation.of(own.1, theirs.1));
        if left && !right && seen.insert((piece.from, piece.to), ()).is_none() {
            kept.push(*piece);
        }
    }
    kept
}

/// Joins pieces into closed chains, turning left wherever there is a choice so that chains do not cross.
fn chains(nodes: &[Vector], pieces: &[Piece]) -> Vec<Vec<Piece>> {
    let mut leaving: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, piece) in pieces.iter().enumerate() {
        leaving.entry(piece.from).or_default().push(index);
    }
    let mut used = vec![false; pieces.len()];
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    let place = |node: usize| crate::s2::Cell::of_point(nodes[node]);
    order.sort_by_cached_key(|index| (place(pieces[*index].from), place(pieces[*index].to)));
    let mut chains = Vec::new();
    for start in order {
        let mut path: Vec<Piece> = Vec::new();
        let mut next = (!used[start]).then_some(start);
        while let Some(index) = next {
            used[index] = true;
            let piece = pieces[index];
            path.push(piece);
            // A node met again closes a chain of its own.
            if let Some(begin) = path.iter().position(|earlier| earlier.from == piece.to) {
                chains.push(path.split_off(begin));
            }
            let choices = leaving.get(&piece.to).into_iter().flatten().copied().filter(|choice| !used[*choice]);
            next = if path.is_empty() { None } else { leftmost(nodes, &piece, pieces, choices) };
        }
    }
    for chain in &mut chains {
        rotate(chain);
    }
    chains.sort_by_key(|chain| chain[0].source);
    chains
}

/// Of some pieces that leave the end of `piece` the one most to its left.
fn leftmost(
    nodes: &[Vector],
    piece: &Piece,
    pieces: &[Piece],
    mut choices: impl Iterator<Item = usize>,
) -> Option<usize> {
    let first = choices.next()?;
    let rest: Vec<usize> = choices.collect();
    if rest.is_empty() {
        return Some(first);
    }
    let here = nodes[piece.to];
    let heading = |to: usize| {
        let (east, north) = crate::vector::tangents(here);
        let way = nodes[to].minus(here);
        way.dot(east).atan2(way.dot(north))
    };
    let back = heading(piece.from);
    let turn = |choice: usize| {
        let clockwise = (heading(pieces[choice].to) - back).rem_euclid(std::f64::consts::TAU);
        if clockwise == 0.0 { std::f64::consts::TAU } else { clockwise }
    };
    std::iter::once(first).chain(rest).min_by(|a, b| turn(*a).total_cmp(&turn(*b)))
}

/// Lets a closed chain begin after its last piece of the latest source edge: where its first operand began, mostly.
fn rotate(chain: &mut [Piece]) {
    let mut last = 0;
    let mut gap = false;
    for index in 1..chain.len() {
        match chain[index].source.cmp(&chain[last].source) {
            std::cmp::Ordering::Less => gap = true,
            std::cmp::Ordering::Equal if gap => {}
            _ => {
                last = index;
                gap = false;
            }
        }
    }
    let length = chain.len();
    chain.rotate_left((last + 1) % length);
}

/// The polygon of a boundary: counterclockwise chains are shells, clockwise ones holes of the smallest shell around.
fn assemble(nodes: &[Vector], pieces: &[Piece]) -> Polygon {
    let mut parts: Vec<Part> = Vec::new();
    let mut holes: Vec<Ring> = Vec::new();
    for chain in chains(nodes, pieces) {
        let points: Vec<Vector> = chain.iter().map(|piece| nodes[piece.from]).collect();
        if points.len() < 3 {
            continue;
        }
        if signed_area(&points) >= 0.0 {
            parts.push(Part { rings: vec![Ring::new(points)] });
        } else {
            holes.push(Ring::new(points));
        }
    }
    for hole in holes {
        let Some((a, b)) = hole.edges().next() else { continue };
        let middle = interpolate(a, b, 0.5);
        let around = parts.iter_mut().filter(|part| part.rings[0].contains(middle));
        let smallest = around.min_by(|p, q| p.rings[0].area().total_cmp(&q.rings[0].area()));
        if let Some(part) = smallest {
            part.rings.push(hole);
        }
    }
    Polygon::of(parts)
}

fn union_of_two(first: &Polygon, second: &Polygon) -> Option<Polygon> {
    let edges = |polygon: &Polygon| polygon.edges().collect::<Vec<Edge>>();
    let mesh = Mesh::new(&edges(first), &edges(second))?;
    let kept = boundary(&mesh, first, second, Operation::Union);
    Some(assemble(&mesh.nodes, &kept))
}

/// The union of polygons, each of which may have overlapping parts; `None` beyond the limits.
#[must_use]
pub fn union(polygons: &[Polygon]) -> Option<Polygon> {
    let parts = polygons.iter().flat_map(|polygon| &polygon.parts);
    let mut waiting: VecDeque<Polygon> = parts.map(|part| Polygon::of(vec![part.clone()])).collect();
    // The two smallest first: the work stays proportional to the edges, not to their square.
    waiting.make_contiguous().sort_by_key(Polygon::num_vertices);
    while waiting.len() > 1 {
        let (first, second) = (waiting.pop_front()?, waiting.pop_front()?);
        let joined = union_of_two(&first, &second)?;
        let size = joined.num_vertices();
        let place = waiting.partition_point(|other| other.num_vertices() <= size);
        waiting.insert(place, joined);
    }
    Some(waiting.pop_front().unwrap_or_else(|| Polygon::of(Vec::new())))
}

/// A polygon whose parts do not overlap: itself if it has one part, else the union of its parts.
#[must_use]
pub fn flattened(polygon: &Polygon) -> Option<Polygon> {
    if polygon.parts.len() == 1 { Some(polygon.clone()) } else { union(std::slice::from_ref(polygon)) }
}

/// What shapes have in common, by dimension.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Common {
    /// Points that are in no line or polygon of the result.
    pub points: Vec<Vector>,
    /// Lines.
    pub lines: Vec<Vec<Vector>>,
    /// Polygons.
    pub parts: Vec<Part>,
}

impl Common {
    /// As GeoJSON: one geometry, or a collection of all; an empty collection if there is nothing.
    #[must_use]
    pub fn to_geojson(&self) -> String {
        let degrees = |path: &Vec<Vector>| path.iter().map(|p| p.degrees()).collect::<Vec<Degrees>>();
        let mut all = Vec::new();
        match self.points.as_slice() {
            [] => {}
            [one] => all.push(point_geojson(one.degrees())),
            many => all.push(object(
                "MultiPoint",
                &list(many.iter().map(|p| {
                    let (lng, lat) = p.degrees();
                    format!("[{lng},{lat}]")
                })),
            )),
        }
        if !self.lines.is_empty() {
            all.push(line_geojson(&self.lines.iter().map(degrees).collect::<Vec<_>>()));
        }
        if !self.parts.is_empty() {
            all.push(Polygon::of(self.parts.clone()).to_geojson());
        }
        if let [one] = all.as_slice() { one.clone() } else { collection_geojson(&all) }
    }
}

/// What two polygons have in common, their boundaries included; `None` beyond the limits.
#[must_use]
pub fn intersect_polygons(first: &Polygon, second: &Polygon) -> Option<Common> {
    let (first, second) = (flattened(first)?, flattened(second)?);
    let mesh = Mesh::new(&first.edges().collect::<Vec<_>>(), &second.edges().collect::<Vec<_>>())?;
    let kept = boundary(&mesh, &first, &second, Operation::Intersection);
    let parts = assemble(&mesh.nodes, &kept).parts;
    let is_line = |piece: &&Piece| {
        piece.owner == FIRST
            && mesh.owners(piece.to, piece.from) & SECOND != 0
            && mesh.owners(piece.from, piece.to) & SECOND == 0
    };
    let touching: Vec<Piece> = mesh.pieces.iter().filter(is_line).copied().collect();
    let covered = kept.iter().chain(&touching);
    let points = lonely_nodes(&mesh, covered);
    Some(Common { points, lines: paths(&mesh.nodes, &touching), parts })
}

/// What a line and a polygon have in common; `None` beyond the limits.
#[must_use]
pub fn intersect_line_with_polygon(line: &Line, polygon: &Polygon) -> Option<Common> {
    let polygon = flattened(polygon)?;
    let mesh = Mesh::new(&line.edges().collect::<Vec<_>>(), &polygon.edges().collect::<Vec<_>>())?;
    let mut kept = Vec::new();
    let mut before = None;
    for piece in mesh.pieces.iter().filter(|piece| piece.owner == FIRST) {
        let (left, right) = mesh.sides(piece, SECOND, &polygon, before);
        before = (left == right).then_some((piece.to, left));
        if left || right {
            kept.push(*piece);
        }
    }
    Some(Common { points: lonely_nodes(&mesh, kept.iter()), lines: paths(&mesh.nodes, &kept), parts: Vec::new() })
}

/// What two lines have in common; `None` beyond the limits.
#[must_use]
pub fn intersect_lines(first: &Line, second: &Line) -> Option<Common> {
    let mesh = Mesh::new(&first.edges().collect::<Vec<_>>(), &second.edges().collect::<Vec<_>>())?;
    let shared = |piece: &&Piece| {
        let both = mesh.owners(piece.from, piece.to) | mesh.owners(piece.to, piece.from);
        piece.owner == FIRST && both & SECOND != 0
    };
    let kept: Vec<Piece> = mesh.pieces.iter().filter(shared).copied().collect();
    Some(Common { points: lonely_nodes(&mesh, kept.iter()), lines: paths(&mesh.nodes, &kept), parts: Vec::new() })
}

/// The nodes where both operands meet and no kept piece ends.
fn lonely_nodes<'a>(mesh: &Mesh, kept: impl Iterator<Item = &'a Piece>) -> Vec<Vector> {
    let mut lonely: Vec<bool> = mesh.touched.iter().map(|owners| *owners == FIRST | SECOND).collect();
    for piece in kept {
        lonely[piece.from] = false;
        lonely[piece.to] = false;
    }
    let nodes = mesh.nodes.iter().zip(lonely);
    nodes.filter(|(_, lonely)| *lonely).map(|(point, _)| *point).collect()
}

/// Pieces that follow each other as lines, in their order.
fn paths(nodes: &[Vector], pieces: &[Piece]) -> Vec<Vec<Vector>> {
    let mut paths: Vec<Vec<Vector>> = Vec::new();
    let mut end = None;
    for piece in pieces {
        match paths.last_mut() {
            Some(path) if end == Some(piece.from) => path.push(nodes[piece.to]),
            _ => paths.push(vec![nodes[piece.from], nodes[piece.to]]),
        }
        end = Some(piece.to);
    }
    paths
}

/// The union of lines: each edge once, joined wherever exactly one ends and one begins.
#[must_use]
pub fn union_lines(lines: &[Line]) -> Vec<Vec<Vector>> {
    let mut nodes = Nodes::default();
    let mut seen: HashMap<(usize, usize), ()> = HashMap::new();
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    for (a, b) in lines.iter().flat_map(Line::edges) {
        let (from, to) = (nodes.find_or_add(a), nodes.find_or_add(b));
        if from != to && seen.insert((from.min(to), from.max(to)), ()).is_none() {
            pieces.push((from, to));
        }
    }
    let mut ends = vec![(0_usize, 0_usize); nodes.points.len()];
    let mut next: HashMap<usize, usize> = HashMap::new();
    for (index, (from, to)) in pieces.iter().enumerate() {
        ends[*from].0 += 1;
        ends[*to].1 += 1;
        next.insert(*from, index);
    }
    let inner = |node: usize| ends[node] == (1, 1);
    let mut used = vec![false; pieces.len()];
    let mut joined: Vec<(usize, Vec<Vector>)> = Vec::new();
    // First what begins at an end or a branch, then what is left: closed lines.
    let starts = (0..pieces.len()).filter(|index| !inner(pieces[*index].0));
    for start in starts.chain(0..pieces.len()) {
        let mut current = (!used[start]).then_some(start);
        let mut path = Vec::new();
        while let Some(index) = current {
            used[index] = true;
            let (from, to) = pieces[index];
            if path.is_empty() {
                path.push(nodes.points[from]);
            }
            path.push(nodes.points[to]);
            current = if inner(to) { next.get(&to).copied().filter(|index| !used[*index]) } else { None };
        }
        if !path.is_empty() {
            joined.push((start, path));
        }
    }
    joined.sort_by_key(|(start, _)| *start);
    joined.into_iter().map(|(_, path)| path).collect()
}

/// Whether two sets of edges touch.
#[must_use]
pub fn edges_touch(first: &[Edge], second: &[Edge]) -> bool {
    let edges: Vec<Edge> = first.iter().chain(second).copied().collect();
    let mut touch = false;
    sweep::pairs(&edges, |i, j| {
        let ((a, b), (c, d)) = (edges[i], edges[j]);
        let apart = (i < first.len()) == (j < first.len());
        let on = |p: Vector, a: Vector, b: Vector| arc_distance(p, a, b) <= MERGE_RADIUS;
        touch |= !apart && (crosses(a, b, c, d) || on(a, c, d) || on(b, c, d) || on(c, a, b) || on(d, a, b));
        !touch
    });
    touch
}

/// Whether a line and a polygon have a point in common.
#[must_use]
pub fn line_meets_polygon(line: &Line, polygon: &Polygon) -> bool {
    line.vertices().any(|vertex| polygon.contains(vertex))
        || edges_touch(&line.edges().collect::<Vec<_>>(), &polygon.edges().collect::<Vec<_>>())
}

/// Whether two polygons have a point in common.
#[must_use]
pub fn polygons_meet(first: &Polygon, second: &Polygon) -> bool {
    first.vertices().any(|vertex| second.contains(vertex))
        || second.vertices().any(|vertex| first.contains(vertex))
        || edges_touch(&first.edges().collect::<Vec<_>>(), &second.edges().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::area;

    fn polygon(coordinates: &str) -> Polygon {
        Polygon::parse(&format!(r#"{{"type":"Polygon","coordinates":{coordinates}}}"#)).unwrap()
    }

    fn line(coordinates: &str) -> Line {
        Line::parse(&format!(r#"{{"type":"LineString","coordinates":{coordinates}}}"#)).unwrap()
    }

    /// Coordinates rounded to nine digits, so that a difference of a rounding does not matter.
    fn rounded(json: &str) -> String {
        let number = |text: &str| text.parse::<f64>().map(|n| format!("{}", (n * 1e9).round() / 1e9));
        let mut out = String::new();
        let mut digits = String::new();
        for c in json.chars().chain(std::iter::once(' ')) {
            if c.is_ascii_digit() || c == '.' || c == '-' {
                digits.push(c);
                continue;
            }
            out += &number(&digits).unwrap_or_else(|_| digits.clone());
            digits.clear();
            out.push(c);
        }
        out.trim().to_owned()
    }

    #[test]
    fn overlapping_polygons_become_one() {
        let first = polygon(
            "[[[-73.9495,40.7969],[-73.95807,40.80068],[-73.98201,40.76825],[-73.97317,40.76455],[-73.9495,40.7969]]]",
        );
        let second = polygon("[[[-73.94622,40.79249],[-73.96888,40.79282],[-73.9577,40.7789],[-73.94622,40.79249]]]");
        let expected = concat!(
            r#"{"type":"Polygon","coordinates":[[[-73.9495,40.7969],[-73.95807,40.80068],"#,
            "[-73.963927752,40.792748259],[-73.96888,40.79282],[-73.966271979,40.789573422],[-73.98201,40.76825],",
            "[-73.97317,40.76455],[-73.960302384,40.782140795],[-73.9577,40.7789],[-73.94622,40.79249],",
            "[-73.952659322,40.792584228],[-73.9495,40.7969]]]}"
        );
        assert_eq!(rounded(&union(&[first, second]).unwrap().to_geojson()), expected);
    }

    #[test]
    fn the_ring_of_a_union_begins_after_its_latest_edge() {
        let all = [
            "[[[-73.9495,40.7969],[-73.95807,40.80068],[-73.98201,40.76825],[-73.97317,40.76455],[-73.9495,40.7969]]]",
            "[[[-73.94622,40.79249],[-73.96888,40.79282],[-73.9577,40.7789],[-73.94622,40.79249]]]",
            "[[[-73.97335,40.77274],[-73.9936,40.76630],[-73.97171,40.75655],[-73.97335,40.77274]]]",
        ];
        let joined = rounded(&union(&all.map(polygon)).unwrap().to_geojson());
        let begin = r#"{"type":"Polygon","coordinates":[[[-73.972599327,40.765330372],[-73.960302384,40.782140795],[-73.9577,40.7789]"#;
        assert!(joined.starts_with(begin), "{joined}");
    }

    #[test]
    fn the_ring_of_an_intersection_begins_after_its_latest_edge() {
        let first = polygon("[[[2,45],[0,45],[1,44],[2,45]]]");
        let second = Polygon::parse(
            r#"{"type":"MultiPolygon","coordinates":[[[[3,44],[2,45],[2,43],[3,44]]],[[[1.192,45.265],[1.005,44.943],[1.356,44.937],[1.192,45.265]]]]}"#,
        );
        let common = rounded(&intersect_polygons(&first, &second.unwrap()).unwrap().to_geojson());
        let expected = concat!(
            r#"{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[2,45]},"#,
            r#"{"type":"Polygon","coordinates":[[[1.322707553,45.003909145],[1.040456537,45.004356403],[1.005,44.943],"#,
            "[1.356,44.937],[1.322707553,45.003909145]]]}]}"
        );
        assert_eq!(common, expected);
    }

    #[test]
    fn a_grid_of_squares_becomes_one_square_without_a_hole() {
        let squares: Vec<Polygon> = (0..3)
            .flat_map(|x| (0..3).map(move |y| (x, y)))
            .map(|(x, y)| polygon(&format!("[[[{x},{y}],[{0},{y}],[{0},{1}],[{x},{1}],[{x},{y}]]]", x + 1, y + 1)))
            .collect();
        let whole = union(&squares).unwrap();
        assert_eq!((whole.parts.len(), whole.parts[0].rings.len(), whole.num_vertices()), (1, 1, 12));
        let sum: f64 = squares.iter().map(area).sum();
        assert!((area(&whole) - sum).abs() < 1e-9 * sum);
    }

    #[test]
    fn a_frame_keeps_its_hole() {
        let bars = [
            "[[[0,0],[9,0],[9,2],[0,2],[0,0]]]",
            "[[[0,7],[9,7],[9,9],[0,9],[0,7]]]",
            "[[[0,0],[2,0],[2,9],[0,9],[0,0]]]",
            "[[[7,0],[9,0],[9,9],[7,9],[7,0]]]",
        ];
        let frame = union(&bars.map(polygon)).unwrap();
        assert_eq!((frame.parts.len(), frame.parts[0].rings.len()), (1, 2));
        assert!(!frame.contains(Vector::from_degrees(4.5, 4.5)));
        assert!(frame.contains(Vector::from_degrees(1.0, 4.5)));
    }

    #[test]
    fn polygons_that_touch_have_a_point_or_a_line_in_common() {
        let left = polygon("[[[0,0],[2,0],[2,2],[0,2],[0,0]]]");
        let corner = polygon("[[[2,2],[3,2],[3,3],[2,3],[2,2]]]");
        let right = polygon("[[[2,0],[4,0],[4,2],[2,2],[2,0]]]");
        let far = polygon("[[[20,0],[24,0],[24,2],[22,2],[20,0]]]");
        let common = |other: &Polygon| rounded(&intersect_polygons(&left, other).unwrap().to_geojson());
        assert_eq!(common(&corner), r#"{"type":"Point","coordinates":[2,2]}"#);
        assert_eq!(common(&right), r#"{"type":"LineString","coordinates":[[2,0],[2,2]]}"#);
        assert_eq!(common(&far), r#"{"type":"GeometryCollection","geometries":[]}"#);
        assert!(polygons_meet(&left, &corner) && !polygons_meet(&left, &far));
    }

    #[test]
    fn a_polygon_inside_another_is_all_they_have_in_common() {
        let outer = polygon("[[[0,0],[9,0],[9,9],[0,9],[0,0]]]");
        let inner = polygon("[[[3,3],[4,3],[4,4],[3,4],[3,3]]]");
        let common = intersect_polygons(&outer, &inner).unwrap();
        assert_eq!(common.parts, inner.parts);
        assert_eq!(union(&[outer.clone(), inner]).unwrap().parts, outer.parts);
    }

    #[test]
    fn a_line_through_a_hole_is_two_lines() {
        let road = line("[[-110.522,39.198],[-91.428,40.880]]");
        let lake = polygon(
            "[[[-90.263,36.738],[-102.041,45.274],[-109.335,36.527],[-90.263,36.738]],[[-100.393,41.705],[-103.139,38.925],[-97.558,39.113],[-100.393,41.705]]]",
        );
        let expected = concat!(
            r#"{"type":"MultiLineString","coordinates":[[[-106.893536559,39.76922621],[-101.744485537,40.373506009]],"#,
            "[[-99.136499431,40.589336513],[-95.284527737,40.799060242]]]}"
        );
        assert_eq!(rounded(&intersect_line_with_polygon(&road, &lake).unwrap().to_geojson()), expected);
        assert!(line_meets_polygon(&road, &lake));
    }

    #[test]
    fn lines_have_points_and_lines_in_common() {
        let first = line("[[0,0],[1,0],[2,0],[2,1]]");
        assert_eq!(intersect_lines(&first, &first).unwrap().lines, first.paths);
        let crossing = intersect_lines(&first, &line("[[1.5,-1],[1.5,1]]")).unwrap();
        assert_eq!((crossing.points.len(), crossing.lines.len()), (1, 0));
        assert_eq!(intersect_lines(&first, &line("[[5,5],[6,6]]")).unwrap(), Common::default());
    }

    #[test]
    fn lines_are_joined_and_shared_edges_kept_once() {
        let joined = union_lines(&[line("[[0,0],[1,0],[2,1]]"), line("[[1,0],[2,1],[3,0]]"), line("[[1,0],[2,1]]")]);
        assert_eq!(joined, line("[[0,0],[1,0],[2,1],[3,0]]").paths);
        assert_eq!(union_lines(&[line("[[0,0],[1,0]]"), line("[[5,0],[6,0]]")]).len(), 2);
    }
}
