//! The cells of H3: hexagons, and twelve pentagons, on an icosahedron.
//!
//! A thin layer over the `h3o` crate: texts in, texts out, with the limits of the query language.

use std::collections::{HashSet, VecDeque};

use h3o::{CellIndex, LatLng, Resolution};

use crate::shape::{Degrees, valid};

/// The farthest ring: with it and all rings inside there are 60,919 cells.
pub const DISTANCE_MAX: u32 = 142;

/// Cells of a polygon at most.
pub const CELLS_MAX: usize = 61_680;

/// How many levels below a cell its children may lie: 7^5 cells of one value.
const CHILD_LEVELS_MAX: u8 = 5;

/// The cell of a text.
#[must_use]
pub fn parse(text: &str) -> Option<CellIndex> {
    text.parse().ok()
}

/// The cell of a position.
#[must_use]
pub fn of_position(longitude: f64, latitude: f64, resolution: u8) -> Option<CellIndex> {
    if !valid(longitude, latitude) {
        return None;
    }
    Some(LatLng::new(latitude, longitude).ok()?.to_cell(Resolution::try_from(resolution).ok()?))
}

/// The resolution of a cell.
#[must_use]
pub fn level(cell: CellIndex) -> u8 {
    cell.resolution().into()
}

/// The middle of a cell.
#[must_use]
pub fn center(cell: CellIndex) -> Degrees {
    let middle = LatLng::from(cell);
    (middle.lng(), middle.lat())
}

/// The closed ring around a cell, counterclockwise.
#[must_use]
pub fn ring(cell: CellIndex) -> Vec<Degrees> {
    let mut ring: Vec<Degrees> = cell.boundary().iter().map(|corner| (corner.lng(), corner.lat())).collect();
    ring.extend(ring.first().copied());
    ring
}

/// The cell of a lesser resolution around a cell; the next lesser one if none is given.
#[must_use]
pub fn parent(cell: CellIndex, resolution: Option<i64>) -> Option<CellIndex> {
    let wanted = resolution.unwrap_or_else(|| i64::from(level(cell)) - 1);
    cell.parent(Resolution::try_from(u8::try_from(wanted).ok()?).ok()?)
}

/// The cells of a greater resolution in a cell; of the next greater one if none is given.
#[must_use]
pub fn children(cell: CellIndex, resolution: Option<i64>) -> Option<Vec<CellIndex>> {
    let wanted = u8::try_from(resolution.unwrap_or_else(|| i64::from(level(cell)) + 1)).ok()?;
    let levels = wanted.checked_sub(level(cell))?;
    if levels == 0 || levels > CHILD_LEVELS_MAX {
        return None;
    }
    Some(cell.children(Resolution::try_from(wanted).ok()?).collect())
}

/// The cells at each distance from 0 to `distance`.
#[must_use]
pub fn rings(cell: CellIndex, distance: i64) -> Option<Vec<Vec<CellIndex>>> {
    let distance = u32::try_from(distance).ok().filter(|distance| *distance <= DISTANCE_MAX)?;
    let mut rings = vec![Vec::new(); distance as usize + 1];
    for (cell, away) in cell.grid_disk_distances::<Vec<_>>(distance) {
        rings[away as usize].push(cell);
    }
    Some(rings)
}

/// The cells around a cell.
#[must_use]
pub fn neighbors(cell: CellIndex) -> Vec<CellIndex> {
    rings(cell, 1).and_then(|mut rings| rings.pop()).unwrap_or_default()
}

/// The cells whose middle is in polygons with straight edges on the map; `None` if they are too many.
///
/// # Shapes
/// `parts`: polygons, their closed rings. The cells come in ascending order.
#[must_use]
pub fn fill(parts: &[Vec<Vec<Degrees>>], resolution: u8) -> Option<Vec<CellIndex>> {
    let resolution = Resolution::try_from(resolution).ok()?;
    let mut found: HashSet<CellIndex> = HashSet::new();
    // The middle of every other cell at least would be inside: not worth counting one by one.
    let cell_area = cell_area(resolution);
    if parts.iter().any(|part| map_area(part) > 2.0 * CELLS_MAX as f64 * cell_area) {
        return None;
    }
    for part in parts {
        let mut waiting = border(part, resolution)?;
        let mut seen: HashSet<CellIndex> = waiting.iter().copied().collect();
        let mut kept = 0_usize;
        // From the cells on the border inwards; a cell outside leads no further.
        while let Some(cell) = waiting.pop_front() {
            for near in cell.grid_disk::<Vec<_>>(1) {
                if !map_contains(part, center(near)) || !found.insert(near) {
                    continue;
                }
                kept += 1;
                if found.len() > CELLS_MAX || kept > CELLS_MAX {
                    return None;
                }
                if seen.insert(near) {
                    waiting.push_back(near);
                }
            }
        }
    }
    let mut all: Vec<CellIndex> = found.into_iter().collect();
    all.sort_unstable();
    Some(all)
}

/// The cells that the rings of a polygon pass.
fn border(part: &[Vec<Degrees>], resolution: Resolution) -> Option<VecDeque<CellIndex>> {
    let step = resolution.edge_length_rads().to_degrees() / 2.0;
    let mut cells = VecDeque::new();
    for pair in part.iter().flat_map(|ring| ring.windows(2)) {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
        let steps = ((x1 - x0).hypot(y1 - y0) / step).ceil().max(1.0);
        if steps > CELLS_MAX as f64 * 4.0 {
            return None;
        }
        let mut at = 0.0;
        while at < steps {
            let fraction = at / steps;
            let position = LatLng::new(y0 + (y1 - y0) * fraction, x0 + (x1 - x0) * fraction).ok()?;
            let cell = position.to_cell(resolution);
            if cells.back() != Some(&cell) {
                cells.push_back(cell);
            }
            at += 1.0;
        }
    }
    Some(cells)
}

/// The average area of a cell in steradians.
fn cell_area(resolution: Resolution) -> f64 {
    let cells = 2.0 + 120.0 * 7_f64.powi(i32::from(u8::from(resolution)));
    4.0 * std::f64::consts::PI / cells
}

/// The area of a polygon with straight edges on the map, in steradians.
fn map_area(part: &[Vec<Degrees>]) -> f64 {
    let under = |pair: &[Degrees]| {
        let height = f64::midpoint(pair[0].1.to_radians().sin(), pair[1].1.to_radians().sin());
        (pair[1].0 - pair[0].0).to_radians() * height
    };
    let mut rings = part.iter().map(|ring| ring.windows(2).map(under).sum::<f64>().abs());
    let shell = rings.next().unwrap_or(0.0);
    shell - rings.sum::<f64>()
}

/// Whether a position is in a polygon on the map, by the edges that a line to the east of it crosses.
fn map_contains(part: &[Vec<Degrees>], (x, y): Degrees) -> bool {
    let crossing = |pair: &[Degrees]| {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
        (y0 > y) != (y1 > y) && x < (x1 - x0) * (y - y0) / (y1 - y0) + x0
    };
    part.iter().flat_map(|ring| ring.windows(2)).filter(|pair| crossing(pair)).count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(cells: &[CellIndex]) -> Vec<String> {
        cells.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn cells_of_positions_and_texts() {
        let cell = of_position(-74.044_504_460_398_74, 40.689_250_859_314_974, 6).unwrap();
        assert_eq!(cell.to_string(), "862a1072fffffff");
        assert_eq!((parse("862a1072fffffff"), level(cell)), (Some(cell), 6));
        for text in ["abc", "1", "@", "123", ""] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(of_position(1.0, 1.0, 16), None);
        assert!((center(cell).0 + 74.016_008_479_792_45).abs() < 1e-9);
    }

    #[test]
    fn parents_and_children() {
        let cell = parse("862a1072fffffff").unwrap();
        assert_eq!(parent(cell, None).unwrap().to_string(), "852a1073fffffff");
        assert_eq!(parent(cell, Some(1)).unwrap().to_string(), "812a3ffffffffff");
        assert_eq!(parent(cell, Some(100)), None);
        assert_eq!(children(cell, Some(9)).unwrap().len(), 343);
        assert_eq!(children(cell, Some(12)), None);
        assert_eq!(children(cell, Some(6)), None);
    }

    #[test]
    fn rings_begin_in_the_same_direction() {
        let cell = parse("861f8894fffffff").unwrap();
        let rings = rings(cell, 2).unwrap();
        assert_eq!(texts(&rings[1])[..2], ["861f88947ffffff", "861f8895fffffff"]);
        assert_eq!(
            (texts(&rings[2])[0].as_str(), texts(&rings[2])[11].as_str()),
            ("861f88967ffffff", "861f8d597ffffff")
        );
        assert_eq!(super::rings(cell, 143), None);
    }

    #[test]
    fn cells_whose_middle_is_inside() {
        let ring = vec![(-3.659, 40.553), (-3.913, 40.409), (-3.729, 40.273), (-3.524, 40.44), (-3.659, 40.553)];
        let cells = fill(&[vec![ring.clone()]], 6).unwrap();
        assert_eq!(cells.len(), 13);
        assert!(texts(&cells).contains(&"86390cbafffffff".to_owned()));
        assert_eq!(fill(&[vec![ring]], 15), None);
    }
}
