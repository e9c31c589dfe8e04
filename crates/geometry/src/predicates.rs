//! Decisions about points and arcs that never contradict each other.
//!
//! The orientation of three points is computed exactly, and where they lie on one great circle a symbolic
//! displacement of the points decides, so that "crosses" and "contains" are consistent for all inputs (Edelsbrunner
//! and Mücke, "Simulation of Simplicity", 1990). Nothing here depends on a tolerance.

use robust::{Coord, Coord3D};

use crate::vector::Vector;

/// Bound of the error of the determinant of three unit vectors in floating point.
const DETERMINANT_ERROR: f64 = 4.0 * f64::EPSILON;

/// 1 if three points run counterclockwise, -1 if clockwise, 0 only if two of them are equal.
#[must_use]
pub fn orientation(a: Vector, b: Vector, c: Vector) -> i32 {
    let determinant = a.cross(b).dot(c);
    if determinant > DETERMINANT_ERROR {
        return 1;
    }
    if determinant < -DETERMINANT_ERROR {
        return -1;
    }
    if a == b || b == c || c == a {
        return 0;
    }
    exact_orientation(a, b, c)
}

fn exact_orientation(a: Vector, b: Vector, c: Vector) -> i32 {
    let coord = |v: Vector| Coord3D { x: v.x, y: v.y, z: v.z };
    match sign(robust::orient3d(coord(a), coord(b), coord(c), Coord3D { x: 0.0, y: 0.0, z: 0.0 })) {
        0 => displaced_orientation(a, b, c),
        side => side,
    }
}

fn sign(value: f64) -> i32 {
    i32::from(value > 0.0) - i32::from(value < 0.0)
}

/// The exact sign of `p * s - q * r`.
fn product_sign(p: f64, q: f64, r: f64, s: f64) -> i32 {
    let zero = Coord { x: 0.0, y: 0.0 };
    sign(robust::orient2d(Coord { x: p, y: q }, Coord { x: r, y: s }, zero))
}

/// The orientation of three points of one great circle after each coordinate is displaced by an infinitely small
/// amount of its own, larger for points that sort first.
fn displaced_orientation(a: Vector, b: Vector, c: Vector) -> i32 {
    let mut points = [a, b, c];
    let mut parity = 1;
    for (i, j) in [(0, 1), (1, 2), (0, 1)] {
        if points[i] > points[j] {
            points.swap(i, j);
            parity = -parity;
        }
    }
    let [a, b, c] = points;
    // The terms of the determinant's expansion, from the largest displacement to the smallest.
    let terms = [
        product_sign(b.x, b.y, c.x, c.y),
        product_sign(b.z, b.x, c.z, c.x),
        product_sign(b.y, b.z, c.y, c.z),
        product_sign(c.x, c.y, a.x, a.y),
        sign(c.x),
        -sign(c.y),
        product_sign(c.z, c.x, a.z, a.x),
        sign(c.z),
        product_sign(a.x, a.y, b.x, b.y),
        -sign(b.x),
        sign(b.y),
        sign(a.x),
    ];
    parity * terms.into_iter().find(|term| *term != 0).unwrap_or(1)
}

/// Whether going around `o` counterclockwise from `a` to `c` passes `b` (or reaches it at once).
#[must_use]
pub fn ordered(a: Vector, b: Vector, c: Vector, o: Vector) -> bool {
    let votes = i32::from(orientation(b, o, a) >= 0)
        + i32::from(orientation(c, o, b) >= 0)
        + i32::from(orientation(a, o, c) > 0);
    votes >= 2
}

/// Whether the insides of the arcs `ab` and `cd` cross; arcs with a common end do not.
#[must_use]
pub fn crosses(a: Vector, b: Vector, c: Vector, d: Vector) -> bool {
    let (abc, abd) = (orientation(a, b, c), orientation(a, b, d));
    if abc == 0 || abd == 0 || abc == abd {
        return false;
    }
    let (cda, cdb) = (orientation(c, d, a), orientation(c, d, b));
    cda == abd && cdb == abc
}

/// Whether a path along `ab` changes sides of a path along `cd`, common ends included.
///
/// Of all edges that meet in a vertex exactly those are counted that make "contains" a partition of the sphere.
#[must_use]
pub fn changes_side(a: Vector, b: Vector, c: Vector, d: Vector) -> bool {
    if a != c && a != d && b != c && b != d {
        return crosses(a, b, c, d);
    }
    if a == b || c == d {
        return false;
    }
    let around = |o: Vector, from: Vector, to: Vector| ordered(o.perpendicular(), from, to, o);
    if a == c {
        b == d || around(a, d, b)
    } else if b == d {
        around(b, c, a)
    } else if a == d {
        b == c || around(a, c, b)
    } else {
        around(b, d, a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lng: f64, lat: f64) -> Vector {
        Vector::from_degrees(lng, lat)
    }

    #[test]
    fn orientation_is_antisymmetric_and_cyclic_on_a_great_circle() {
        let points = [at(0.0, 0.0), at(5.0, 0.0), at(10.0, 0.0), at(0.0, 20.0), at(0.0, 10.0), at(-90.0, 0.0)];
        for a in points {
            for b in points {
                for c in points {
                    let side = orientation(a, b, c);
                    assert_eq!(side == 0, a == b || b == c || c == a);
                    assert_eq!(side, orientation(b, c, a));
                    assert_eq!(side, -orientation(c, b, a));
                }
            }
        }
    }

    #[test]
    fn exact_and_rounded_orientation_agree() {
        let (a, b, c) = (at(1.0, 2.0), at(30.0, -4.0), at(7.0, 50.0));
        assert_eq!(orientation(a, b, c), exact_orientation(a, b, c));
        assert_eq!(orientation(b, a, c), exact_orientation(b, a, c));
    }

    #[test]
    fn arcs_cross_inside_only() {
        assert!(crosses(at(-1.0, 0.0), at(1.0, 0.0), at(0.0, -1.0), at(0.0, 1.0)));
        assert!(!crosses(at(-1.0, 0.0), at(1.0, 0.0), at(2.0, -1.0), at(2.0, 1.0)));
        assert!(!crosses(at(-1.0, 0.0), at(1.0, 0.0), at(1.0, 0.0), at(2.0, 1.0)));
    }
}
