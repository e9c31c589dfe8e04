//! The S2 cells of one level that cover a line or a polygon and what is within a distance of it.
//!
//! From each face down, a cell is followed only while the shape may be in it, with only those edges that are near it.

use crate::EARTH_RADIUS_METERS;
use crate::measure::{area, edge_gap, length};
use crate::s2::{Cell, level_of_width};
use crate::shape::{Edge, Line, Part, Polygon, Ring, closed};
use crate::vector::Vector;

/// Cells at most.
pub const CELLS_MAX: usize = 65_536;

/// The level if none is given.
pub const LEVEL: u8 = 11;

/// The cells that cover a line and what is within `radius` metres of it, along the curve; `None` if they are too many.
#[must_use]
pub fn line(line: &Line, level: u8, radius: f64) -> Option<Vec<Cell>> {
    let edges: Vec<Edge> = line.edges().collect();
    Cover { level, radius: radius / EARTH_RADIUS_METERS, polygon: None, cells: Vec::new() }.run(&edges)
}

/// The cells that cover a polygon and what is within `radius` metres of it, along the curve; `None` if they are too
/// many.
#[must_use]
pub fn polygon(polygon: &Polygon, level: u8, radius: f64) -> Option<Vec<Cell>> {
    // Cells that cannot hold the largest part are not counted one by one.
    let area = polygon.parts.iter().map(part_area).fold(0.0, f64::max);
    if area > CELLS_MAX as f64 * largest_area(level) {
        return None;
    }
    let edges: Vec<Edge> = polygon.edges().collect();
    Cover { level, radius: radius / EARTH_RADIUS_METERS, polygon: Some(polygon), cells: Vec::new() }.run(&edges)
}

/// The level at which a polygon is covered by a few cells: its width is that of its area.
#[must_use]
pub fn polygon_level(polygon: &Polygon) -> u8 {
    level_of_width(area(polygon).abs().sqrt())
}

/// The level at which a line is covered by a few cells.
#[must_use]
pub fn line_level(line: &Line) -> u8 {
    level_of_width(length(line.edges()))
}

/// A cell whose side an edge runs along is touched by it, for all that rounding can tell; in radians.
const TOUCH: f64 = 2e-15;

/// The area of a shell without its holes, in steradians.
fn part_area(part: &Part) -> f64 {
    let holes: f64 = part.rings.iter().skip(1).map(Ring::area).sum();
    part.rings.first().map_or(0.0, Ring::area) - holes
}

/// More than the area of any cell of a level, in steradians.
fn largest_area(level: u8) -> f64 {
    2.5 / 4_f64.powi(i32::from(level))
}

struct Cover<'a> {
    level: u8,
    /// In radians.
    radius: f64,
    polygon: Option<&'a Polygon>,
    cells: Vec<Cell>,
}

impl Cover<'_> {
    fn run(mut self, edges: &[Edge]) -> Option<Vec<Cell>> {
        for face in Cell::faces() {
            self.visit(face, edges)?;
        }
        Some(self.cells)
    }

    /// Adds what is needed of a cell, given the edges near its parent; `None` beyond the limit.
    fn visit(&mut self, cell: Cell, edges: &[Edge]) -> Option<()> {
        let corners = cell.corners();
        let near: Vec<Edge> =
            edges.iter().copied().filter(|edge| gap(&corners, *edge) <= self.radius + TOUCH).collect();
        if near.is_empty() {
            // The shape has no boundary here: the cell is inside or outside as a whole.
            let inside = self.polygon.is_some_and(|polygon| polygon.contains(cell.center()));
            return if inside { self.add_all(cell) } else { Some(()) };
        }
        if cell.level() == self.level {
            return self.add_all(cell);
        }
        cell.children().try_for_each(|child| self.visit(child, &near))
    }

    fn add_all(&mut self, cell: Cell) -> Option<()> {
        if self.cells.len() as u64 + cell.descendants(self.level) > CELLS_MAX as u64 {
            return None;
        }
        self.cells.extend(cell.descendants_at(self.level));
        Some(())
    }
}

/// The smallest angle between a cell and an edge, 0 if they touch.
fn gap(corners: &[Vector; 4], edge: Edge) -> f64 {
    let inside = |point: Vector| closed(corners).all(|(a, b)| a.cross(b).dot(point) >= 0.0);
    if inside(edge.0) || inside(edge.1) {
        return 0.0;
    }
    closed(corners).map(|side| edge_gap(side, edge)).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{closest, distance};

    fn parsed(coordinates: &str) -> Polygon {
        Polygon::parse(&format!(r#"{{"type":"Polygon","coordinates":{coordinates}}}"#)).unwrap()
    }

    #[test]
    fn cells_of_a_large_polygon_are_counted() {
        let large = parsed("[[[0,0],[0,50],[100,50],[0,0]]]");
        assert_eq!(polygon(&large, 5, 0.0).unwrap().len(), 286);
        assert_eq!(polygon(&large, 30, 0.0), None);
    }

    #[test]
    fn every_point_of_a_polygon_is_in_a_cell_and_every_cell_is_near() {
        let park = parsed(
            "[[[-73.9495,40.7969],[-73.95807,40.80068],[-73.98201,40.76825],[-73.97317,40.76455],[-73.9495,40.7969]]]",
        );
        for radius in [0.0, 500.0] {
            let cells = polygon(&park, 15, radius).unwrap();
            assert!(cells.is_sorted());
            for (lng, lat) in [(-73.9495, 40.7969), (-73.96, 40.79), (-73.98201, 40.76825)] {
                assert!(cells.contains(&Cell::of_point(Vector::from_degrees(lng, lat)).parent(15)));
            }
            for cell in &cells {
                let center = cell.center();
                let away = distance(center, closest(center, park.edges()).unwrap());
                assert!(park.contains(center) || away < radius + 300.0, "{}", cell.token());
            }
        }
        assert!(polygon(&park, 15, 500.0).unwrap().len() > polygon(&park, 15, 0.0).unwrap().len());
    }

    #[test]
    fn a_line_is_covered_along_its_way() {
        let text = r#"{"type":"LineString","coordinates":[[-0.1399656708283601,51.50190802248855],[-0.14088438832752104,51.50012082761452]]}"#;
        let street = Line::parse(text).unwrap();
        let cells = line(&street, 16, 0.0).unwrap();
        assert!((2..6).contains(&cells.len()), "{}", cells.len());
        let station = Cell::of_point(Vector::from_degrees(-0.134_510_785_680_134_86, 51.499_191_458_581_72)).parent(14);
        assert!(line(&street, 14, 500.0).unwrap().contains(&station));
    }
}
