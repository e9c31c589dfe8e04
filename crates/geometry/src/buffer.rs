//! The region within a distance of a point, a line or a polygon, as a polygon.
//!
//! Round parts are made of straight edges outside the circle, so that the region holds every point within the
//! distance, and no point farther than distance and tolerance.

use std::f64::consts::PI;

use crate::EARTH_RADIUS_METERS;
use crate::measure::azimuth;
use crate::overlay::{flattened, union};
use crate::shape::{Line, Part, Polygon, Ring};
use crate::vector::{Vector, destination};

/// The tolerance in metres if none is given.
pub const TOLERANCE: f64 = 10.0;

/// Tolerances finer than this share of the radius are refused: they would need thousands of corners.
const TOLERANCE_SHARE_MIN: f64 = 1e-6;

/// The greatest radius in radians: a circle stays well inside half of the sphere.
const RADIUS_MAX: f64 = 1.5;

/// Edges of a buffered shape at most: each becomes a polygon of its own before they are united.
const EDGES_MAX: usize = 20_000;

/// A circle whose corners lie outside it.
#[derive(Debug, Clone, Copy)]
struct Outline {
    /// The distance of a corner in radians.
    reach: f64,
    /// Corners of the whole circle.
    corners: u32,
}

impl Outline {
    /// `None` if radius or tolerance are not allowed.
    fn new(radius: f64, tolerance: f64) -> Option<Self> {
        let radians = radius / EARTH_RADIUS_METERS;
        if !(radius > 0.0 && radians <= RADIUS_MAX && tolerance >= radius * TOLERANCE_SHARE_MIN) {
            return None;
        }
        let reach_max = (radians + tolerance.min(radius * 0.99) / EARTH_RADIUS_METERS).min(RADIUS_MAX + 0.05);
        // The middle of an edge of a regular polygon is at the radius: tan(radius) = tan(reach) cos(π / corners).
        let half = (radians.tan() / reach_max.tan()).clamp(0.0, 1.0).acos();
        let wanted = if half > 0.0 { (PI / half).ceil() } else { f64::from(CORNERS_MAX) };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a small range")]
        let corners = wanted.clamp(4.0, f64::from(CORNERS_MAX)) as u32;
        Some(Self { reach: (radians.tan() / (PI / f64::from(corners)).cos()).atan(), corners })
    }

    /// The corners around a point, counterclockwise, from an azimuth on through a part of the circle.
    fn arc(self, around: Vector, from: f64, sweep: f64) -> impl Iterator<Item = Vector> {
        let share = sweep / (2.0 * PI);
        let steps = (f64::from(self.corners) * share).ceil();
        // Corners stand in the middle of their steps, so that the edges at both ends touch the circle there.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the number of corners")]
        let count = steps as u32;
        (0..count).map(move |step| {
            let turn = (f64::from(step) + 0.5) / steps * sweep;
            destination(around, from - turn, self.reach)
        })
    }
}

/// Corners of a circle at most.
const CORNERS_MAX: u32 = 4_096;

fn single(points: Vec<Vector>) -> Polygon {
    Polygon::of(vec![Part { rings: vec![Ring::new(points)] }])
}

/// The region within `radius` metres of a point.
#[must_use]
pub fn point(center: Vector, radius: f64, tolerance: f64) -> Option<Polygon> {
    let outline = Outline::new(radius, tolerance)?;
    Some(single(outline.arc(center, 0.0, 2.0 * PI).collect()))
}

/// The region within `radius` metres of a line.
#[must_use]
pub fn line(line: &Line, radius: f64, tolerance: f64) -> Option<Polygon> {
    let outline = Outline::new(radius, tolerance)?;
    if line.edges().count() > EDGES_MAX {
        return None;
    }
    union(&line.edges().map(|(a, b)| stadium(outline, a, b)).collect::<Vec<_>>())
}

/// The region within `radius` metres of a polygon, and in it.
#[must_use]
pub fn polygon(polygon: &Polygon, radius: f64, tolerance: f64) -> Option<Polygon> {
    let outline = Outline::new(radius, tolerance)?;
    if polygon.num_vertices() > EDGES_MAX {
        return None;
    }
    let mut all = vec![flattened(polygon)?];
    all.extend(polygon.edges().map(|(a, b)| stadium(outline, a, b)));
    union(&all)
}

/// The region around an edge: two half circles and what is between them.
fn stadium(outline: Outline, a: Vector, b: Vector) -> Polygon {
    let (Some(ahead), Some(back)) = (azimuth(a, b), azimuth(b, a)) else {
        return single(outline.arc(a, 0.0, 2.0 * PI).collect());
    };
    // Around the start from the left of the way over its back to its right, then around the end.
    let start = outline.arc(a, ahead - PI / 2.0, PI);
    let end = outline.arc(b, back - PI / 2.0, PI);
    single(start.chain(end).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{area, closest, distance};

    fn at(lng: f64, lat: f64) -> Vector {
        Vector::from_degrees(lng, lat)
    }

    #[test]
    fn a_circle_is_within_its_tolerance() {
        for (radius, tolerance) in [(300.0, 0.1), (20_000.0, 10.0), (5.0, 10.0), (1_000_000.0, 10.0)] {
            let center = at(-115.17, 36.15);
            let circle = point(center, radius, tolerance).unwrap();
            let near = distance(center, closest(center, circle.edges()).unwrap());
            let far = circle.vertices().map(|corner| distance(center, corner)).fold(0.0, f64::max);
            assert!(near >= radius * (1.0 - 1e-9), "{near} of {radius}");
            assert!(far <= radius + tolerance, "{far} of {radius}");
        }
    }

    #[test]
    fn what_is_no_radius_is_refused() {
        let center = at(10.0, 10.0);
        for (radius, tolerance) in [(0.0, 10.0), (-1.0, 10.0), (f64::NAN, 10.0), (1e9, 10.0), (1e6, 0.5), (10.0, 0.0)] {
            assert_eq!(point(center, radius, tolerance), None, "{radius} {tolerance}");
        }
    }

    #[test]
    fn a_line_is_buffered_on_both_sides_and_at_its_ends() {
        let road = Line::parse(r#"{"type":"LineString","coordinates":[[0,0],[1,0],[1,1]]}"#).unwrap();
        let region = line(&road, 5_000.0, 10.0).unwrap();
        let step = |meters: f64| (meters / EARTH_RADIUS_METERS).to_degrees();
        for (lng, lat) in
            [(0.5, step(4_900.0)), (0.5, -step(4_900.0)), (-step(4_900.0), 0.0), (1.0, 1.0 + step(4_900.0))]
        {
            assert!(region.contains(at(lng, lat)), "{lng} {lat}");
        }
        assert!(!region.contains(at(0.5, step(5_100.0))) && !region.contains(at(-step(5_100.0), 0.0)));
        assert_eq!(region.parts.len(), 1);
    }

    #[test]
    fn a_polygon_grows_by_its_girth_times_the_radius() {
        let text = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}"#;
        let square = Polygon::parse(text).unwrap();
        let grown = polygon(&square, 1_000.0, 1.0).unwrap();
        let expected = area(&square) + crate::measure::length(square.edges()) * 1_000.0 + PI * 1e6;
        assert!((area(&grown) - expected).abs() < 1e-3 * (expected - area(&square)), "{} {expected}", area(&grown));
        assert!(grown.contains(at(0.5, 0.5)));
    }

    #[test]
    fn a_hole_becomes_smaller_or_vanishes() {
        let text =
            r#"{"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9],[0,9],[0,0]],[[4,4],[4,5],[5,5],[5,4],[4,4]]]}"#;
        let frame = Polygon::parse(text).unwrap();
        assert!(!polygon(&frame, 10_000.0, 10.0).unwrap().contains(at(4.5, 4.5)));
        assert!(polygon(&frame, 100_000.0, 10.0).unwrap().contains(at(4.5, 4.5)));
    }
}
