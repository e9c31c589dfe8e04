//! Points as unit vectors, and what can be computed from two or three of them without a decision.

/// A point on the unit sphere, or a direction in space.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Vector {
    /// Towards longitude 0 on the equator.
    pub x: f64,
    /// Towards longitude 90 on the equator.
    pub y: f64,
    /// Towards the north pole.
    pub z: f64,
}

impl Vector {
    /// A vector of its three parts.
    #[must_use]
    pub const fn new(x: f64, y: f64, z: f64) -> Self {
        Self { x, y, z }
    }

    /// The point at a longitude and latitude in degrees.
    #[must_use]
    pub fn from_degrees(longitude: f64, latitude: f64) -> Self {
        let (lng, lat) = (longitude.to_radians(), latitude.to_radians());
        Self::new(lat.cos() * lng.cos(), lat.cos() * lng.sin(), lat.sin())
    }

    /// Longitude and latitude in degrees.
    #[must_use]
    pub fn degrees(self) -> (f64, f64) {
        (self.y.atan2(self.x).to_degrees(), self.z.atan2(self.x.hypot(self.y)).to_degrees())
    }

    /// The scalar product.
    #[must_use]
    pub fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    /// The vector product.
    #[must_use]
    pub fn cross(self, other: Self) -> Self {
        Self::new(
            self.y * other.z - self.z * other.y,
            self.z * other.x - self.x * other.z,
            self.x * other.y - self.y * other.x,
        )
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self::new(self.x + other.x, self.y + other.y, self.z + other.z)
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self::new(self.x - other.x, self.y - other.y, self.z - other.z)
    }

    /// The multiple.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self::new(self.x * factor, self.y * factor, self.z * factor)
    }

    /// The opposite.
    #[must_use]
    pub fn negated(self) -> Self {
        self.times(-1.0)
    }

    /// The length.
    #[must_use]
    pub fn norm(self) -> f64 {
        self.dot(self).sqrt()
    }

    /// The same direction with length one; the zero vector stays.
    #[must_use]
    pub fn unit(self) -> Self {
        let norm = self.norm();
        if norm == 0.0 { self } else { self.times(1.0 / norm) }
    }

    /// The angle to another vector in radians, exact for small and for large ones.
    #[must_use]
    pub fn angle(self, other: Self) -> f64 {
        self.cross(other).norm().atan2(self.dot(other))
    }

    /// A normal of the plane through two points, of length about twice the vector product's.
    ///
    /// Keeps its direction for points close to each other, where the plain product cancels.
    #[must_use]
    pub fn normal(self, other: Self) -> Self {
        let product = other.plus(self).cross(other.minus(self));
        if product == Self::default() { self.perpendicular() } else { product }
    }

    /// A unit vector at a right angle to this one, a function of this one only.
    #[must_use]
    pub fn perpendicular(self) -> Self {
        // The axis before the largest part is never close to this vector, and it is in no way special to a map.
        let axis = if self.x.abs() >= self.y.abs() && self.x.abs() >= self.z.abs() {
            Self::new(0.0053, 0.00457, 1.0)
        } else if self.y.abs() >= self.z.abs() {
            Self::new(1.0, 0.0053, 0.00457)
        } else {
            Self::new(0.012, 1.0, 0.00457)
        };
        self.cross(axis).unit()
    }

    /// Whether this is not farther from another point than an angle too small to matter on Earth (about 0.1 µm).
    #[must_use]
    pub fn close_to(self, other: Self) -> bool {
        let gap = self.minus(other);
        gap.dot(gap) <= MERGE_RADIUS * MERGE_RADIUS
    }
}

/// Points closer than this angle in radians are one point: a few times the rounding error of an intersection, a
/// tenth of a micrometre on Earth.
pub const MERGE_RADIUS: f64 = 1.5e-14;

/// The point at a fraction of the way from one point to another.
#[must_use]
pub fn interpolate(a: Vector, b: Vector, fraction: f64) -> Vector {
    if fraction <= 0.0 || a == b {
        return a;
    }
    if fraction >= 1.0 {
        return b;
    }
    let along = a.normal(b).cross(a).unit();
    let angle = fraction * a.angle(b);
    a.times(angle.cos()).plus(along.times(angle.sin())).unit()
}

/// The point at an angle in radians from `origin` in the direction of an azimuth (clockwise from north, in radians).
#[must_use]
pub fn destination(origin: Vector, azimuth: f64, angle: f64) -> Vector {
    let (east, north) = tangents(origin);
    let towards = north.times(azimuth.cos()).plus(east.times(azimuth.sin()));
    origin.times(angle.cos()).plus(towards.times(angle.sin())).unit()
}

/// The directions east and north at a point; at a pole, those of longitude 0.
#[must_use]
pub fn tangents(point: Vector) -> (Vector, Vector) {
    let east = Vector::new(-point.y, point.x, 0.0);
    let east = if east.norm() < 1e-15 { Vector::new(0.0, 1.0, 0.0) } else { east.unit() };
    (east, point.cross(east).unit())
}

/// The point of the arc from `a` to `b` that is closest to `p`.
#[must_use]
pub fn closest_on_arc(p: Vector, a: Vector, b: Vector) -> Vector {
    let normal = a.normal(b).unit();
    let foot = p.minus(normal.times(p.dot(normal))).unit();
    if foot.norm() > 0.5 && normal.cross(a).dot(foot) > 0.0 && b.cross(normal).dot(foot) > 0.0 {
        return foot;
    }
    let (to_a, to_b) = (p.minus(a), p.minus(b));
    if to_a.dot(to_a) <= to_b.dot(to_b) { a } else { b }
}

/// The angle from a point to the arc between two others, in radians.
#[must_use]
pub fn arc_distance(p: Vector, a: Vector, b: Vector) -> f64 {
    p.angle(closest_on_arc(p, a, b))
}

/// The point where two arcs that cross meet.
#[must_use]
pub fn intersection(a: Vector, b: Vector, c: Vector, d: Vector) -> Vector {
    let point = a.normal(b).unit().cross(c.normal(d).unit()).unit();
    let middle = a.plus(b).plus(c).plus(d);
    if point.dot(middle) >= 0.0 { point } else { point.negated() }
}

/// The signed area of a triangle in steradians, positive if its corners run counterclockwise.
#[must_use]
pub fn triangle_area(a: Vector, b: Vector, c: Vector) -> f64 {
    let volume = a.dot(b.minus(a).cross(c.minus(a)));
    2.0 * volume.atan2(1.0 + a.dot(b) + b.dot(c) + c.dot(a))
}

/// The centroid of a triangle times its signed area.
#[must_use]
pub fn triangle_centroid(a: Vector, b: Vector, c: Vector) -> Vector {
    let weight = |p: Vector, q: Vector| {
        let angle = p.angle(q);
        if angle == 0.0 { 1.0 } else { angle / angle.sin() }
    };
    let (ra, rb, rc) = (weight(b, c), weight(c, a), weight(a, b));
    let (ab, ac) = (b.minus(a), c.minus(a));
    let x = Vector::new(a.x, ab.x, ac.x);
    let y = Vector::new(a.y, ab.y, ac.y);
    let z = Vector::new(a.z, ab.z, ac.z);
    let r = Vector::new(ra, rb - ra, rc - ra);
    Vector::new(y.cross(z).dot(r), z.cross(x).dot(r), x.cross(y).dot(r)).times(0.5)
}

/// The centroid of an arc times its length.
#[must_use]
pub fn arc_centroid(a: Vector, b: Vector) -> Vector {
    let (sum, difference) = (a.plus(b), a.minus(b));
    let squared = sum.dot(sum);
    if squared == 0.0 { Vector::default() } else { sum.times((difference.dot(difference) / squared).sqrt()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_survive_the_way_to_a_vector_and_back() {
        for (lng, lat) in [(0.0, 0.0), (-73.95, 40.8), (180.0, 10.0), (12.5, -89.9)] {
            let (x, y) = Vector::from_degrees(lng, lat).degrees();
            assert!((x - lng).abs() < 1e-12 && (y - lat).abs() < 1e-12, "{lng} {lat} became {x} {y}");
        }
    }

    #[test]
    fn an_octant_has_an_eighth_of_the_sphere() {
        let (x, y, z) = (Vector::new(1.0, 0.0, 0.0), Vector::new(0.0, 1.0, 0.0), Vector::new(0.0, 0.0, 1.0));
        assert!((triangle_area(x, y, z) - std::f64::consts::FRAC_PI_2).abs() < 1e-15);
        assert!((triangle_area(y, x, z) + std::f64::consts::FRAC_PI_2).abs() < 1e-15);
    }

    #[test]
    fn the_closest_point_is_inside_the_arc_or_an_end() {
        let (a, b) = (Vector::from_degrees(0.0, 0.0), Vector::from_degrees(10.0, 0.0));
        assert!(closest_on_arc(Vector::from_degrees(4.0, 3.0), a, b).close_to(Vector::from_degrees(4.0, 0.0)));
        assert_eq!(closest_on_arc(Vector::from_degrees(14.0, 3.0), a, b), b);
    }

    #[test]
    fn a_destination_lies_in_its_direction() {
        let point = destination(Vector::from_degrees(10.0, 0.0), std::f64::consts::FRAC_PI_2, 5_f64.to_radians());
        assert!(point.close_to(Vector::from_degrees(15.0, 0.0)));
    }
}
