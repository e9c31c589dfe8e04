//! Straight edges of the map as chains of geodesics.

use crate::shape::{Degrees, VERTICES_MAX};
use crate::vector::{Vector, interpolate};

/// Where along an edge the gap between its two forms is looked at. A gap grows and falls like a polynomial of degree
/// three at most; its greatest value is at most that at these places over [`SHARE`].
const PLACE: f64 = 0.312_156_910_822_482_3;
const SHARE: f64 = 0.838_299_925_698_885_1;

/// Halvings of one edge at most: the whole equator in pieces of 40 m.
const HALVINGS_MAX: u32 = 20;

/// A path with points added until geodesics follow the map's straight edges within a tolerance in metres.
///
/// `across`: whether an edge longer than half of the map crosses the antimeridian instead.
#[must_use]
pub fn densify(path: &[Degrees], tolerance: f64, across: bool) -> Option<Vec<Degrees>> {
    let limit = tolerance / crate::EARTH_RADIUS_METERS * SHARE;
    let mut points = Vec::with_capacity(path.len());
    points.extend(path.first());
    for pair in path.windows(2) {
        let (from, mut to) = (pair[0], pair[1]);
        if across && (to.0 - from.0).abs() > 180.0 {
            to.0 -= 360.0_f64.copysign(to.0 - from.0);
        }
        split(from, to, limit, HALVINGS_MAX, &mut points)?;
        // What was written stays as it was written.
        points.pop();
        points.push(pair[1]);
    }
    Some(points)
}

fn split(from: Degrees, to: Degrees, limit: f64, halvings: u32, points: &mut Vec<Degrees>) -> Option<()> {
    if points.len() >= VERTICES_MAX {
        return None;
    }
    if halvings == 0 || gap(from, to) <= limit {
        points.push(wrapped(to));
        return Some(());
    }
    let middle = between(from, to, 0.5);
    split(from, middle, limit, halvings - 1, points)?;
    split(middle, to, limit, halvings - 1, points)
}

fn between(from: Degrees, to: Degrees, fraction: f64) -> Degrees {
    (from.0 + (to.0 - from.0) * fraction, from.1 + (to.1 - from.1) * fraction)
}

fn wrapped((longitude, latitude): Degrees) -> Degrees {
    let turns = ((longitude + 180.0) / 360.0).floor();
    (if (-180.0..=180.0).contains(&longitude) { longitude } else { longitude - 360.0 * turns }, latitude)
}

/// The angle between the two forms of an edge at the places that matter; infinite for more than a quarter circle.
fn gap(from: Degrees, to: Degrees) -> f64 {
    let vector = |(lng, lat): Degrees| Vector::from_degrees(lng, lat);
    let (a, b) = (vector(from), vector(to));
    if a.dot(b) < -1e-14 {
        return f64::INFINITY;
    }
    let at = |place: f64| interpolate(a, b, place).angle(vector(between(from, to, place)));
    at(PLACE).max(at(1.0 - PLACE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_halved_until_it_follows_the_map() {
        let eighths: Vec<Degrees> = (0..=8).map(|i| 50.0 + f64::from(i) / 8.0).map(|x| (x, x)).collect();
        assert_eq!(densify(&[(50.0, 50.0), (51.0, 51.0)], 10.0, false).unwrap(), eighths);
        let quarters: Vec<Degrees> = (0..=4).map(|i| (10.0 + f64::from(i) / 4.0, 10.0)).collect();
        assert_eq!(densify(&[(10.0, 10.0), (11.0, 10.0)], 10.0, false).unwrap(), quarters);
    }

    #[test]
    fn short_edges_and_meridians_stay() {
        for path in [[(-73.949_247, 40.796_86), (-73.973_017, 40.764_323)], [(11.0, 10.0), (11.0, 11.0)]] {
            assert_eq!(densify(&path, 10.0, false).unwrap(), path);
        }
    }

    #[test]
    fn an_edge_may_cross_the_antimeridian() {
        let path = [(179.0, 50.0), (-179.0, 50.0)];
        let across = densify(&path, 10.0, true).unwrap();
        assert!(across.iter().all(|(lng, _)| lng.abs() >= 179.0), "{across:?}");
        let around = densify(&path, 10.0, false).unwrap();
        assert!(around.iter().any(|(lng, _)| *lng == 0.0));
    }
}
