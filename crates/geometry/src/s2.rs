//! The cells of S2: the sphere on six faces of a cube, each halved in both directions thirty times.
//!
//! A cell is a number: three bits of the face, two bits for each level along a Hilbert curve, and a one bit after
//! them. Its token is the number in hexadecimal without trailing zeros.
//!
//! # Source
//! The S2 cell hierarchy (s2geometry.io, "S2 Cells"), quadratic projection.

use crate::vector::Vector;

/// The deepest level.
pub const LEVEL_MAX: u8 = 30;

/// Leaf cells along one side of a face.
const SIDE: i64 = 1 << LEVEL_MAX;

/// The quadrant (two bits: right, upper) at each position of the curve, for each of its four orientations.
const QUADRANT: [[u64; 4]; 4] = [[0, 1, 3, 2], [0, 2, 3, 1], [3, 2, 0, 1], [3, 1, 0, 2]];

/// How the curve turns inside each position.
const TURN: [usize; 4] = [1, 0, 0, 3];

/// A cell of any level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell(u64);

impl Cell {
    /// The cell of a token.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        if token.is_empty() || token.len() > 16 || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let id = u64::from_str_radix(&format!("{token:0<16}"), 16).ok()?;
        // The lowest one bit stands at an even place, and there are six faces.
        let valid = id >> 61 < 6 && id & id.wrapping_neg() & 0x1555_5555_5555_5555 != 0;
        valid.then_some(Self(id))
    }

    /// The token.
    #[must_use]
    pub fn token(self) -> String {
        format!("{:016x}", self.0).trim_end_matches('0').to_owned()
    }

    /// The six cells of level 0.
    pub fn faces() -> impl Iterator<Item = Self> {
        (0..6).map(|face| Self(face << 61 | 1 << 60))
    }

    /// The leaf cell of a point.
    #[must_use]
    pub fn of_point(point: Vector) -> Self {
        let (face, u, v) = project(point);
        Self::of_leaf(face, leaf_index(u), leaf_index(v))
    }

    /// The leaf cell of a place on a face.
    fn of_leaf(face: u64, i: i64, j: i64) -> Self {
        let mut orientation = usize::from(face & 1 == 1);
        let mut id = face;
        for level in (0..LEVEL_MAX).rev() {
            let quadrant = u64::from(i >> level & 1 == 1) << 1 | u64::from(j >> level & 1 == 1);
            let position = QUADRANT[orientation].iter().position(|q| *q == quadrant).unwrap_or(0);
            id = id << 2 | position as u64;
            orientation ^= TURN[position];
        }
        Self(id << 1 | 1)
    }

    fn lowest_bit(self) -> u64 {
        self.0 & self.0.wrapping_neg()
    }

    /// The level: 0 for a face, 30 for a leaf.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "64 bits have at most 64 trailing zeros")]
    pub fn level(self) -> u8 {
        LEVEL_MAX - (self.0.trailing_zeros() / 2) as u8
    }

    /// The cell of a lesser level around this one.
    #[must_use]
    pub fn parent(self, level: u8) -> Self {
        let bit = 1_u64 << (2 * (LEVEL_MAX - level.min(LEVEL_MAX)));
        Self(self.0 & bit.wrapping_neg() | bit)
    }

    /// The four cells of the next level; none for a leaf.
    pub fn children(self) -> impl Iterator<Item = Self> {
        let bit = self.lowest_bit();
        let count = if bit == 1 { 0 } else { 4 };
        (0..count).map(move |k| Self(self.0 - bit + (2 * k + 1) * (bit >> 2)))
    }

    /// Face, and place of the lower left leaf cell and number of leaf cells along a side.
    fn place(self) -> (u64, i64, i64, i64) {
        let face = self.0 >> 61;
        let mut orientation = usize::from(face & 1 == 1);
        let (mut i, mut j) = (0, 0);
        for level in (0..LEVEL_MAX).rev() {
            let quadrant = QUADRANT[orientation][(self.0 >> (2 * level + 1) & 3) as usize];
            orientation ^= TURN[(self.0 >> (2 * level + 1) & 3) as usize];
            i = i << 1 | i64::from(quadrant >> 1 == 1);
            j = j << 1 | i64::from(quadrant & 1 == 1);
        }
        let size = SIDE >> self.level();
        (face, i & -size, j & -size, size)
    }

    /// The corners, counterclockwise.
    #[must_use]
    pub fn corners(self) -> [Vector; 4] {
        let (face, i, j, size) = self.place();
        let at = |i: i64, j: i64| unproject(face, along(i as f64 / SIDE as f64), along(j as f64 / SIDE as f64)).unit();
        [at(i, j), at(i + size, j), at(i + size, j + size), at(i, j + size)]
    }

    /// The middle.
    #[must_use]
    pub fn center(self) -> Vector {
        let (face, i, j, size) = self.place();
        let at = |low: i64| along((2 * low + size) as f64 / (2 * SIDE) as f64);
        unproject(face, at(i), at(j)).unit()
    }

    /// The cells of the same level around this one: those at a corner and at an edge, fewer at a corner of the cube.
    ///
    /// In the order of the example in Kusto's documentation.
    #[must_use]
    pub fn neighbors(self) -> Vec<Self> {
        let (face, i, j, size) = self.place();
        let mut all = Vec::with_capacity(NEIGHBORS.len());
        for (right, up) in NEIGHBORS {
            let (i, j) = (i + right * size, j + up * size);
            let inside = |place: i64| (0..SIDE).contains(&place);
            // Beyond two edges at once there is no face.
            if !inside(i) && !inside(j) {
                continue;
            }
            let cell = Self::near(face, i + size / 2, j + size / 2).parent(self.level());
            if cell != self && !all.contains(&cell) {
                all.push(cell);
            }
        }
        all
    }

    /// The leaf cell at a place that may lie a little beyond the edge of a face.
    fn near(face: u64, i: i64, j: i64) -> Self {
        if (0..SIDE).contains(&i) && (0..SIDE).contains(&j) {
            return Self::of_leaf(face, i, j);
        }
        // Beyond the edge the plane of the face is not the cell's, but the direction is right if taken linearly.
        let linear = |place: i64| (2 * place + 1) as f64 / SIDE as f64 - 1.0;
        let beyond = 1.0 + f64::EPSILON;
        let bounded = |place: i64| linear(place).clamp(-beyond, beyond);
        let (other, u, v) = project(unproject(face, bounded(i), bounded(j)));
        let index = |value: f64| clamped(0.5 * (value + 1.0));
        Self::of_leaf(other, index(u), index(v))
    }

    /// The number of cells of a level in a cell.
    #[must_use]
    pub fn descendants(self, level: u8) -> u64 {
        1 << (2 * u64::from(level.saturating_sub(self.level())))
    }

    /// The first and the last cell of a level in this cell, along the curve.
    pub fn descendants_at(self, level: u8) -> impl Iterator<Item = Self> {
        let bit = 1_u64 << (2 * (LEVEL_MAX - level.min(LEVEL_MAX)));
        let first = self.0 - self.lowest_bit() + bit;
        (0..self.descendants(level)).map(move |k| Self(first + 2 * bit * k))
    }
}

/// The neighbours of a cell as steps right and up on its face.
const NEIGHBORS: [(i64, i64); 8] = [(1, 1), (-1, -1), (1, -1), (0, -1), (0, 1), (1, 0), (-1, 0), (-1, 1)];

/// Face and place on it, of a direction.
fn project(p: Vector) -> (u64, f64, f64) {
    let (x, y, z) = (p.x.abs(), p.y.abs(), p.z.abs());
    if x > y && x > z {
        if p.x > 0.0 { (0, p.y / p.x, p.z / p.x) } else { (3, p.z / p.x, p.y / p.x) }
    } else if y > z {
        if p.y > 0.0 { (1, -p.x / p.y, p.z / p.y) } else { (4, p.z / p.y, -p.x / p.y) }
    } else if p.z > 0.0 {
        (2, -p.x / p.z, -p.y / p.z)
    } else {
        (5, -p.y / p.z, -p.x / p.z)
    }
}

/// The direction of a place on a face.
fn unproject(face: u64, u: f64, v: f64) -> Vector {
    match face {
        0 => Vector::new(1.0, u, v),
        1 => Vector::new(-u, 1.0, v),
        2 => Vector::new(-u, -v, 1.0),
        3 => Vector::new(-1.0, -v, -u),
        4 => Vector::new(v, -1.0, -u),
        _ => Vector::new(v, u, -1.0),
    }
}

/// The place on a face at a fraction of its cells: the quadratic projection, which makes cells of like size.
fn along(fraction: f64) -> f64 {
    if fraction >= 0.5 {
        (4.0 * fraction * fraction - 1.0) / 3.0
    } else {
        (1.0 - 4.0 * (1.0 - fraction) * (1.0 - fraction)) / 3.0
    }
}

/// The leaf cell at a place on a face, along one side.
fn leaf_index(place: f64) -> i64 {
    let fraction = if place >= 0.0 { 0.5 * (1.0 + 3.0 * place).sqrt() } else { 1.0 - 0.5 * (1.0 - 3.0 * place).sqrt() };
    clamped(fraction)
}

#[allow(clippy::cast_possible_truncation, reason = "a fraction of 2^30")]
fn clamped(fraction: f64) -> i64 {
    ((fraction * SIDE as f64).floor() as i64).clamp(0, SIDE - 1)
}

/// The deepest level whose cells are on average at least as wide as a length in metres.
#[must_use]
pub fn level_of_width(meters: f64) -> u8 {
    /// The average edge of a cell of level 0 in radians, for the quadratic projection.
    const EDGE: f64 = 1.459_213_746_386_106_1;
    (0..=LEVEL_MAX)
        .rev()
        .find(|level| EDGE * crate::EARTH_RADIUS_METERS / f64::from(1_u32 << level) >= meters)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_points() {
        for (lng, lat, level, token) in
            [(-80.195829, 25.802215, 8, "88d9b"), (10.1234, 53.0, 8, "47b1d"), (10.6842, 53.0, 8, "47ae3")]
        {
            assert_eq!(Cell::of_point(Vector::from_degrees(lng, lat)).parent(level).token(), token);
        }
    }

    #[test]
    fn tokens_that_are_no_cells_are_refused() {
        for token in ["a", "", "xyz", "0", "89c2590000000000000", "+1"] {
            assert_eq!(Cell::parse(token), None, "{token}");
        }
        assert_eq!(Cell::parse("1234567").unwrap().level(), 12);
    }

    #[test]
    fn centers_and_corners() {
        let (lng, lat) = Cell::parse("1234567").unwrap().center().degrees();
        assert!((lng - 9.868_307_318_504_08).abs() < 1e-12 && (lat - 27.468_392_925_827_605).abs() < 1e-12);
        let (lng, lat) = Cell::parse("89c259").unwrap().corners()[2].degrees();
        assert!((lng + 73.935_982_114_337_42).abs() < 1e-12 && (lat - 40.708_880_489_804_564).abs() < 1e-12);
    }

    #[test]
    fn every_cell_contains_its_center_and_holds_its_children() {
        let mut cell = Cell::of_point(Vector::from_degrees(12.0, -34.0));
        while cell.level() > 0 {
            assert_eq!(Cell::of_point(cell.center()).parent(cell.level()), cell);
            let parent = cell.parent(cell.level() - 1);
            assert!(parent.children().any(|child| child == cell));
            assert_eq!(parent.descendants_at(cell.level()).collect::<Vec<_>>(), parent.children().collect::<Vec<_>>());
            cell = parent;
        }
    }

    #[test]
    fn neighbors_are_listed_in_their_order() {
        let around: Vec<String> = Cell::parse("89c259").unwrap().neighbors().into_iter().map(Cell::token).collect();
        assert_eq!(around, ["89c25d", "89c2f9", "89c251", "89c257", "89c25f", "89c25b", "89c2f7", "89c2f5"]);
    }

    #[test]
    fn neighbors_are_mutual_across_the_edges_of_faces() {
        for face in Cell::faces() {
            for cell in face.descendants_at(2) {
                let around = cell.neighbors();
                assert!((7..=8).contains(&around.len()), "{} has {} neighbours", cell.token(), around.len());
                assert!(around.iter().all(|other| other.neighbors().contains(&cell)), "{}", cell.token());
            }
        }
    }

    #[test]
    fn levels_of_lengths() {
        assert_eq!(level_of_width(9_297_000.0), 0);
        assert_eq!(level_of_width(9_290_000.0), 0);
        assert_eq!(level_of_width(1_000.0), 13);
        assert_eq!(level_of_width(0.0), 30);
    }
}
