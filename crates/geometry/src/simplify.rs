//! Nearly straight chains of short edges as single long ones.
//!
//! Vertices closer to each other than the tolerance become one of them; of what is left, a vertex is dropped if the
//! edge that replaces its chain passes all dropped vertices within the tolerance.

use crate::EARTH_RADIUS_METERS;
use crate::overlay::union;
use crate::s2::Cell;
use crate::shape::{Part, Polygon, Ring};
use crate::vector::{Vector, tangents};

/// The greatest tolerance in metres: about a fifth of the circumference.
pub const TOLERANCE_MAX: f64 = 7_800_000.0;

/// A path simplified within a tolerance in metres; `None` if nothing of it is left.
#[must_use]
pub fn path(points: &[Vector], tolerance: f64) -> Option<Vec<Vector>> {
    let radius = tolerance / EARTH_RADIUS_METERS;
    let kept = thinned(points, radius);
    (kept.len() >= 2).then(|| straightened(&kept, radius))
}

/// A polygon simplified within a tolerance in metres; `None` if nothing of it is left or it is beyond the limits.
///
/// Its parts must not overlap. Rings that vanish are left out; what crosses after it was simplified is united.
#[must_use]
pub fn polygon(polygon: &Polygon, tolerance: f64) -> Option<Polygon> {
    let radius = tolerance / EARTH_RADIUS_METERS;
    let mut parts = Vec::new();
    for part in &polygon.parts {
        let Some(shell) = ring(part.rings.first()?, radius) else { continue };
        let holes = part.rings.iter().skip(1).filter_map(|hole| ring(hole, radius));
        let rings = std::iter::once(shell).chain(holes).collect();
        parts.push(Polygon::of(vec![Part { rings }]));
    }
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => union(&parts),
    }
}

fn ring(ring: &Ring, radius: f64) -> Option<Ring> {
    let mut closed = thinned(ring.points(), radius);
    if closed.len() > 1 && closed.first() == closed.last() {
        closed.pop();
    }
    if closed.len() < 3 {
        return None;
    }
    // A ring has no end to begin with; the first vertex along the cells is one that any other ring begins with too.
    let start = (0..closed.len()).min_by_key(|index| Cell::of_point(closed[*index]))?;
    let original_start = closed[0];
    closed.rotate_left(start);
    closed.push(closed[0]);
    let mut simple = straightened(&closed, radius);
    simple.pop();
    if simple.len() < 3 {
        return None;
    }
    if let Some(place) = simple.iter().position(|point| *point == original_start) {
        simple.rotate_left(place);
    }
    Some(Ring::new(simple))
}

/// The vertices with each replaced by the closest of those that are kept; kept ones are a radius apart.
fn thinned(points: &[Vector], radius: f64) -> Vec<Vector> {
    let chord = 2.0 * (radius.min(std::f64::consts::PI) / 2.0).sin();
    let close = |a: Vector, b: Vector| {
        let gap = a.minus(b);
        gap.dot(gap) < chord * chord
    };
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_cached_key(|index| Cell::of_point(points[*index]));
    let mut sites = Sites::new(chord);
    for index in order {
        if !sites.near(points[index]).any(|site| close(site, points[index])) {
            sites.add(points[index]);
        }
    }
    let distance = |a: Vector, b: Vector| {
        let gap = a.minus(b);
        gap.dot(gap)
    };
    let mut kept: Vec<Vector> = Vec::new();
    for point in points {
        let closest = sites.near(*point).min_by(|a, b| distance(*a, *point).total_cmp(&distance(*b, *point)));
        let site = closest.unwrap_or(*point);
        if kept.last() != Some(&site) {
            kept.push(site);
        }
    }
    kept
}

/// Points found by their position in a grid of a given width.
struct Sites {
    width: f64,
    cells: std::collections::HashMap<(i64, i64, i64), Vec<Vector>>,
}

impl Sites {
    fn new(width: f64) -> Self {
        Self { width: width.max(1e-12), cells: std::collections::HashMap::new() }
    }

    #[allow(clippy::cast_possible_truncation, reason = "parts of unit vectors over the grid's width fit")]
    fn cell(&self, point: Vector) -> (i64, i64, i64) {
        let index = |value: f64| (value / self.width).floor() as i64;
        (index(point.x), index(point.y), index(point.z))
    }

    fn add(&mut self, point: Vector) {
        self.cells.entry(self.cell(point)).or_default().push(point);
    }

    /// The points in the cell of a point and around it: all that are closer than the width, and some more.
    fn near(&self, point: Vector) -> impl Iterator<Item = Vector> + '_ {
        let (x, y, z) = self.cell(point);
        let around =
            (-1..=1).flat_map(move |i| (-1..=1).flat_map(move |j| (-1..=1).map(move |k| (x + i, y + j, z + k))));
        around.filter_map(|cell| self.cells.get(&cell)).flatten().copied()
    }
}

/// A path with each chain that is straight within the radius as one edge.
fn straightened(points: &[Vector], radius: f64) -> Vec<Vector> {
    let mut kept = vec![points[0]];
    let mut start = 0;
    while start + 1 < points.len() {
        start = last_straight(points, start, radius);
        kept.push(points[start]);
    }
    kept
}

/// The last vertex that an edge from `start` may lead to, past all vertices between within the radius.
fn last_straight(points: &[Vector], start: usize, radius: f64) -> usize {
    let origin = points[start];
    let (east, north) = tangents(origin);
    let heading = |p: Vector| p.dot(east).atan2(p.dot(north));
    // The headings that pass all vertices so far, as a middle and what is allowed to both sides of it.
    let mut window: Option<(f64, f64, f64)> = None;
    let mut farthest = 0.0;
    let mut last = start + 1;
    for (index, point) in points.iter().enumerate().skip(start + 1) {
        let away = origin.angle(*point);
        let turn = |middle: f64| wrapped(heading(*point) - middle);
        let ahead = window.is_none_or(|(middle, low, high)| (low..=high).contains(&turn(middle)));
        let closed = index > start + 1 && *point == origin;
        if closed || away > std::f64::consts::FRAC_PI_2 || away + radius < farthest || (index > start + 1 && !ahead) {
            break;
        }
        last = index;
        farthest = away.max(farthest);
        if away > radius {
            let room = (radius.sin() / away.sin()).min(1.0).asin();
            let (middle, low, high) = window.unwrap_or((heading(*point), -room, room));
            let here = wrapped(heading(*point) - middle);
            window = Some((middle, low.max(here - room), high.min(here + room)));
        }
    }
    last
}

/// An angle between -π and π.
fn wrapped(angle: f64) -> f64 {
    let turn = std::f64::consts::TAU;
    angle - turn * (angle / turn).round()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lng: f64, lat: f64) -> Vector {
        Vector::from_degrees(lng, lat)
    }

    #[test]
    fn a_straight_road_keeps_its_ends() {
        let road = [
            at(-73.970_331_698_656_08, 40.789_063_020_152_824),
            at(-73.970_396_071_672_44, 40.788_979_759_208_16),
            at(-73.970_461_785_793_3, 40.788_888_375_124_32),
            at(-73.970_605_283_975_6, 40.788_698_498_903_564),
            at(-73.970_793_038_606_64, 40.788_434_498_977_836),
        ];
        assert_eq!(path(&road, 10.0).unwrap(), [road[0], road[4]]);
    }

    #[test]
    fn a_corner_stays() {
        let bent = [at(0.0, 0.0), at(0.5, 0.0), at(1.0, 0.0), at(1.0, 0.5), at(1.0, 1.0)];
        assert_eq!(path(&bent, 10.0).unwrap(), [bent[0], bent[2], bent[4]]);
    }

    #[test]
    fn what_is_smaller_than_the_tolerance_vanishes() {
        assert_eq!(path(&[at(1.1, 1.1), at(1.2, 1.2)], 100_000.0), None);
        let triangle = Ring::new(vec![at(0.0, 0.0), at(0.1, 0.0), at(0.0, 0.1)]);
        assert_eq!(polygon(&Polygon::of(vec![Part { rings: vec![triangle] }]), 1_000_000.0), None);
    }

    #[test]
    fn vertices_close_to_each_other_become_one() {
        let text = r#"{"type":"Polygon","coordinates":[[[-73.94885122776031,40.79673476355657],
            [-73.94885927438736,40.79692258628347],[-73.94887939095497,40.79692055577034],
            [-73.9488673210144,40.79693476936093],[-73.94888743758202,40.79693476936093],
            [-73.9488834142685,40.796959135509105],[-73.94890084862709,40.79695304397289],
            [-73.94906312227248,40.79710736271788],[-73.94923612475395,40.7968708081794],
            [-73.94885122776031,40.79673476355657]]]}"#;
        let simple = polygon(&Polygon::parse(text).unwrap(), 10.0).unwrap();
        let expected = [
            at(-73.948_851_227_760_31, 40.796_734_763_556_57),
            at(-73.949_063_122_272_48, 40.797_107_362_717_88),
            at(-73.949_236_124_753_95, 40.796_870_808_179_4),
        ];
        assert_eq!(simple.parts[0].rings[0].points(), expected);
    }

    #[test]
    fn a_ring_keeps_its_corners_and_its_first_vertex() {
        let text = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[2,0],[2,1],[2,2],[0,2],[0,1],[0,0]]]}"#;
        let simple = polygon(&Polygon::parse(text).unwrap(), 500.0).unwrap();
        let expected = r#"{"type":"Polygon","coordinates":[[[0,0],[2,0],[2,2],[0,2],[0,0]]]}"#;
        assert_eq!(simple.num_vertices(), Polygon::parse(expected).unwrap().num_vertices());
        assert_eq!(simple.parts[0].rings[0].points()[0], at(0.0, 0.0));
    }
}
