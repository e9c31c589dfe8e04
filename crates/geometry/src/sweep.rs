//! Pairs of edges that may touch, found by sorting their boxes along one axis.

use crate::shape::Edge;
use crate::vector::Vector;

/// The box around an arc, with a little room.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    low: Vector,
    high: Vector,
    edge: usize,
}

fn bounds(edge: usize, (a, b): Edge) -> Bounds {
    let chord = a.minus(b);
    // An arc rises above its chord by less than this.
    let room = chord.dot(chord) / 4.0 + 1e-13;
    let low = Vector::new(a.x.min(b.x) - room, a.y.min(b.y) - room, a.z.min(b.z) - room);
    let high = Vector::new(a.x.max(b.x) + room, a.y.max(b.y) + room, a.z.max(b.z) + room);
    Bounds { low, high, edge }
}

impl Bounds {
    fn meets(&self, other: &Self) -> bool {
        self.low.x <= other.high.x
            && other.low.x <= self.high.x
            && self.low.y <= other.high.y
            && other.low.y <= self.high.y
            && self.low.z <= other.high.z
            && other.low.z <= self.high.z
    }
}

/// Calls `visit` with the positions of each two edges whose boxes meet, the smaller first, until it returns false.
pub fn pairs(edges: &[Edge], mut visit: impl FnMut(usize, usize) -> bool) {
    let mut boxes: Vec<Bounds> = edges.iter().enumerate().map(|(index, edge)| bounds(index, *edge)).collect();
    let axis = widest(&boxes);
    boxes.sort_by(|a, b| axis(a.low).total_cmp(&axis(b.low)));
    for (index, one) in boxes.iter().enumerate() {
        for other in boxes[index + 1..].iter().take_while(|other| axis(other.low) <= axis(one.high)) {
            if one.meets(other) && !visit(one.edge.min(other.edge), one.edge.max(other.edge)) {
                return;
            }
        }
    }
}

/// The axis along which edges are spread most.
fn widest(boxes: &[Bounds]) -> fn(Vector) -> f64 {
    let spread = |axis: fn(Vector) -> f64| {
        let low = boxes.iter().map(|b| axis(b.low)).fold(f64::INFINITY, f64::min);
        let high = boxes.iter().map(|b| axis(b.high)).fold(f64::NEG_INFINITY, f64::max);
        high - low
    };
    let axes: [fn(Vector) -> f64; 3] = [|v| v.x, |v| v.y, |v| v.z];
    axes.into_iter().max_by(|a, b| spread(*a).total_cmp(&spread(*b))).unwrap_or(axes[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_edges_close_to_each_other_are_visited() {
        let at = Vector::from_degrees;
        let edges = [(at(0.0, 0.0), at(1.0, 1.0)), (at(0.0, 1.0), at(1.0, 0.0)), (at(50.0, 0.0), at(51.0, 0.0))];
        let mut seen = Vec::new();
        pairs(&edges, |i, j| {
            seen.push((i, j));
            true
        });
        assert_eq!(seen, [(0, 1)]);
    }
}
