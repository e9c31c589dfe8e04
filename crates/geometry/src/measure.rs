//! Lengths, areas, directions, centroids and closest points on the sphere.

use std::f64::consts::TAU;

use crate::EARTH_RADIUS_METERS;
use crate::shape::{Edge, Line, Polygon, signed_area, triangles};
use crate::vector::{Vector, arc_centroid, closest_on_arc, interpolate, tangents, triangle_centroid};

/// The distance of two points in metres.
#[must_use]
pub fn distance(a: Vector, b: Vector) -> f64 {
    a.angle(b) * EARTH_RADIUS_METERS
}

/// The direction from one point to another, clockwise from north, in radians within `[0, 2π)`; `None` where every
/// direction leads there.
#[must_use]
pub fn azimuth(from: Vector, to: Vector) -> Option<f64> {
    if from.close_to(to) || from.close_to(to.negated()) {
        return None;
    }
    let (east, north) = tangents(from);
    Some(positive(to.dot(east).atan2(to.dot(north))))
}

/// The clockwise angle at `b` from the way to `a` to the way to `c`, in radians within `[0, 2π)`.
#[must_use]
pub fn angle(a: Vector, b: Vector, c: Vector) -> Option<f64> {
    Some(positive(azimuth(b, c)? - azimuth(b, a)?))
}

fn positive(angle: f64) -> f64 {
    let angle = angle % TAU;
    if angle < 0.0 { angle + TAU } else { angle }
}

/// The point of some edges closest to a point, `None` without edges.
pub fn closest(point: Vector, edges: impl Iterator<Item = Edge>) -> Option<Vector> {
    let squared = |p: &Vector| {
        let gap = p.minus(point);
        gap.dot(gap)
    };
    edges.map(|(a, b)| closest_on_arc(point, a, b)).min_by(|p, q| squared(p).total_cmp(&squared(q)))
}

/// The point of a polygon closest to a point: the point itself if it is inside.
#[must_use]
pub fn closest_on_polygon(point: Vector, polygon: &Polygon) -> Option<Vector> {
    if polygon.contains(point) { Some(point) } else { closest(point, polygon.edges()) }
}

/// The distance of a point to a polygon in metres, 0 inside.
#[must_use]
pub fn distance_to_polygon(point: Vector, polygon: &Polygon) -> Option<f64> {
    closest_on_polygon(point, polygon).map(|found| distance(point, found))
}

/// The distance of a point to a line in metres.
#[must_use]
pub fn distance_to_line(point: Vector, line: &Line) -> Option<f64> {
    closest(point, line.edges()).map(|found| distance(point, found))
}

/// The length of edges in metres.
pub fn length(edges: impl Iterator<Item = Edge>) -> f64 {
    edges.map(|(a, b)| a.angle(b)).sum::<f64>() * EARTH_RADIUS_METERS
}

/// The centroid of a line, `None` if it is everywhere.
#[must_use]
pub fn line_centroid(line: &Line) -> Option<Vector> {
    direction(line.edges().map(|(a, b)| arc_centroid(a, b)).fold(Vector::default(), Vector::plus))
}

/// The area of a polygon whose parts do not overlap, in square metres.
#[must_use]
pub fn area(polygon: &Polygon) -> f64 {
    chains(polygon).map(|chain| signed_area(&chain)).sum::<f64>() * EARTH_RADIUS_METERS * EARTH_RADIUS_METERS
}

/// The centroid of a polygon whose parts do not overlap, `None` if it is everywhere.
#[must_use]
pub fn polygon_centroid(polygon: &Polygon) -> Option<Vector> {
    let sum = chains(polygon)
        .flat_map(|chain| triangles(&chain))
        .map(|[a, b, c]| triangle_centroid(a, b, c))
        .fold(Vector::default(), Vector::plus);
    direction(sum)
}

/// The rings of a polygon with the inside on their left.
fn chains(polygon: &Polygon) -> impl Iterator<Item = Vec<Vector>> + '_ {
    polygon.parts.iter().flat_map(|part| {
        part.rings.iter().enumerate().map(|(index, ring)| {
            let mut points = ring.points().to_vec();
            if index > 0 {
                points.reverse();
            }
            points
        })
    })
}

fn direction(sum: Vector) -> Option<Vector> {
    (sum.norm() > 1e-30).then(|| sum.unit())
}

/// The point at a fraction of a path's length.
#[must_use]
pub fn along(path: &[Vector], fraction: f64) -> Option<Vector> {
    let total: f64 = path.windows(2).map(|pair| pair[0].angle(pair[1])).sum();
    let mut rest = total * fraction;
    for pair in path.windows(2) {
        let length = pair[0].angle(pair[1]);
        if length > 0.0 && rest <= length {
            return Some(interpolate(pair[0], pair[1], rest / length));
        }
        rest -= length;
    }
    path.last().copied()
}

/// Where on a path its closest point to a point is, as a fraction of the path's length.
#[must_use]
pub fn locate(path: &[Vector], point: Vector) -> Option<f64> {
    let mut before = 0.0;
    let mut best: Option<(f64, f64)> = None;
    for pair in path.windows(2) {
        let found = closest_on_arc(point, pair[0], pair[1]);
        let away = found.minus(point).norm();
        if best.is_none_or(|(_, distance)| away < distance) {
            best = Some((before + pair[0].angle(found), away));
        }
        before += pair[0].angle(pair[1]);
    }
    let (along, _) = best?;
    (before > 0.0).then(|| (along / before).min(1.0))
}

/// The smallest angle between two sets of edges, 0 if any cross; in radians.
#[must_use]
pub fn edge_gap((a, b): Edge, (c, d): Edge) -> f64 {
    if crate::predicates::crosses(a, b, c, d) {
        return 0.0;
    }
    let gap = |p: Vector, a: Vector, b: Vector| p.angle(closest_on_arc(p, a, b));
    gap(a, c, d).min(gap(b, c, d)).min(gap(c, a, b)).min(gap(d, a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lng: f64, lat: f64) -> Vector {
        Vector::from_degrees(lng, lat)
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{found} instead of {expected}");
    }

    #[test]
    fn directions_of_the_compass() {
        let quarter = std::f64::consts::FRAC_PI_2;
        for (lng, lat, expected) in [(0.0, 1.0, 0.0), (1.0, 0.0, 1.0), (0.0, -1.0, 2.0), (-1.0, 0.0, 3.0)] {
            near(azimuth(at(0.0, 0.0), at(lng, lat)).unwrap(), expected * quarter);
        }
        assert_eq!(azimuth(at(3.0, 4.0), at(3.0, 4.0)), None);
        assert_eq!(azimuth(at(0.0, 0.0), at(180.0, 0.0)), None);
    }

    #[test]
    fn azimuth_and_angle_of_long_ways() {
        near(azimuth(at(5.0, 10.0), at(10.0, -40.0)).unwrap().to_degrees(), 175.015_653_606_568);
        near(angle(at(0.0, 10.0), at(0.0, 5.0), at(3.0, -10.0)).unwrap(), 2.944_938_434_068_82);
    }

    #[test]
    fn a_park_is_measured() {
        let text = r#"{"type":"Polygon","coordinates":[[[-73.9495,40.7969],[-73.95807266235352,40.80068603561921],
            [-73.98201942443848,40.76825672305777],[-73.97317886352539,40.76455136505513],[-73.9495,40.7969]]]}"#;
        let park = Polygon::parse(text).unwrap();
        near(area(&park), 3_475_207.283_466_06);
        near(length(park.edges()), 9_930.301_496_049_38);
        near(polygon_centroid(&park).unwrap().degrees().0, -73.965_735_689_907_6);
        let found = closest_on_polygon(at(-73.9839, 40.7705), &park).unwrap();
        near(distance(at(-73.9839, 40.7705), found), 259.940_756_070_596);
        near(found.degrees().1, 40.769_359_452_843_21);
    }

    #[test]
    fn fractions_of_a_path() {
        let path = [at(-73.95796, 40.80042), at(-73.97317, 40.764486)];
        near(locate(&path, at(-73.965, 40.792)).unwrap(), 0.255_601_351_003_075_5);
        near(along(&path, 0.25).unwrap().degrees().1, 40.791_436_687_257_23);
        assert_eq!(along(&path, 1.0), Some(path[1]));
    }
}
