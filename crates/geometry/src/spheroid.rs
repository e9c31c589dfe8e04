//! Distances on the WGS 84 spheroid, by Karney's algorithms.

use geographiclib_rs::{DirectGeodesic as _, Geodesic, InverseGeodesic as _};

use crate::shape::Degrees;

/// Steps of a search along one edge: halves 40,000 km down to a millimetre and less.
const SEARCH_STEPS: usize = 80;

/// The length of the shortest way between two positions in metres.
#[must_use]
pub fn distance(a: Degrees, b: Degrees) -> f64 {
    Geodesic::wgs84().inverse(a.1, a.0, b.1, b.0)
}

/// Where on a path its closest point to a position is, as a fraction of the path's length.
#[must_use]
pub fn locate(path: &[Degrees], position: Degrees) -> Option<f64> {
    let mut before = 0.0;
    let mut best: Option<(f64, f64)> = None;
    for pair in path.windows(2) {
        let (along, away, length) = closest_on_edge(pair[0], pair[1], position);
        if best.is_none_or(|(_, distance)| away < distance) {
            best = Some((before + along, away));
        }
        before += length;
    }
    let (along, _) = best?;
    (before > 0.0).then(|| along / before)
}

/// How far along an edge its closest point is, how far away that is, and the edge's length; all in metres.
fn closest_on_edge(a: Degrees, b: Degrees, position: Degrees) -> (f64, f64, f64) {
    let earth = Geodesic::wgs84();
    let (length, azimuth, _, _): (f64, f64, f64, f64) = earth.inverse(a.1, a.0, b.1, b.0);
    let away = |along: f64| {
        let (lat, lng): (f64, f64) = earth.direct(a.1, a.0, azimuth, along);
        distance((lng, lat), position)
    };
    // The distance to a point of an edge falls and then rises.
    let (mut low, mut high) = (0.0, length);
    for _ in 0..SEARCH_STEPS {
        let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if away(left) <= away(right) {
            high = right;
        } else {
            low = left;
        }
    }
    let along = f64::midpoint(low, high);
    (along, away(along), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_degree_of_the_equator_is_its_part_of_the_circumference() {
        let expected = 6_378_137.0_f64 * 1_f64.to_radians();
        assert!((distance((0.0, 0.0), (1.0, 0.0)) - expected).abs() < 1e-6);
    }

    #[test]
    fn the_middle_of_an_edge_is_half_of_its_length() {
        let fraction = locate(&[(0.0, 0.0), (2.0, 0.0)], (1.0, 1.0)).unwrap();
        assert!((fraction - 0.5).abs() < 1e-6, "{fraction}");
    }
}
