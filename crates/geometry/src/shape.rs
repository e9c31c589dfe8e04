//! Lines and polygons, as GeoJSON (RFC 7946) says them and as points on the sphere.
//!
//! Edges are geodesics. A ring bounds the smaller of the two regions it divides the sphere into, whichever way it is
//! written. What breaks a rule is refused with the rule; nothing is repaired.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::predicates::{changes_side, crosses, ordered};
use crate::sweep;
use crate::vector::{Vector, triangle_area};

/// Vertices of one shape at most: a shape is held in memory several times over while it is worked on.
pub const VERTICES_MAX: usize = 1_000_000;

/// Longitude and latitude in degrees.
pub type Degrees = (f64, f64);

/// A directed geodesic.
pub type Edge = (Vector, Vector);

/// The edges of a closed chain of points.
pub fn closed(points: &[Vector]) -> impl Iterator<Item = Edge> + '_ {
    (0..points.len()).map(|i| (points[i], points[(i + 1) % points.len()]))
}

/// A `LineString` or `MultiLineString`.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The coordinates as written.
    pub degrees: Vec<Vec<Degrees>>,
    /// The same on the sphere.
    pub paths: Vec<Vec<Vector>>,
}

impl Line {
    /// Reads GeoJSON.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, coordinates) = members(text)?;
        let paths = match kind.as_str() {
            "LineString" => vec![positions(&coordinates)?],
            "MultiLineString" => array(&coordinates)?.iter().map(positions).collect::<Result<_, _>>()?,
            other => return Err(format!("a {other} is no LineString and no MultiLineString")),
        };
        Self::of(paths)
    }

    fn of(degrees: Vec<Vec<Degrees>>) -> Result<Self, String> {
        if degrees.is_empty() {
            return Err("a MultiLineString has at least one line".to_owned());
        }
        let paths: Vec<Vec<Vector>> = degrees.iter().map(|path| vectors(path)).collect();
        for path in &paths {
            if path.len() < 2 {
                return Err("a line has at least two coordinates".to_owned());
            }
            short_edges(path.windows(2).map(|pair| (pair[0], pair[1])))?;
        }
        Ok(Self { degrees, paths })
    }

    /// All edges, in order.
    pub fn edges(&self) -> impl Iterator<Item = Edge> + '_ {
        self.paths.iter().flat_map(|path| path.windows(2).map(|pair| (pair[0], pair[1])))
    }

    /// All vertices, in order.
    pub fn vertices(&self) -> impl Iterator<Item = Vector> + '_ {
        self.paths.iter().flatten().copied()
    }
}

/// A closed chain of points, counterclockwise around the smaller of its two sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Ring {
    points: Vec<Vector>,
    area: f64,
    contains_origin: bool,
    /// The middle of a circle around all points and the cosine of its radius, below -1 if it is no help.
    cap: (Vector, f64),
}

/// A point that no shape made by people has as a vertex; whether it is inside is known, and paths from it tell for
/// all others.
const ORIGIN: Vector = Vector::new(-0.009_999_466_435_025_02, 0.002_592_454_260_932_412, 0.999_946_643_502_502);

impl Ring {
    /// The ring through these points, the last joined to the first.
    #[must_use]
    pub fn new(mut points: Vec<Vector>) -> Self {
        let mut area = signed_area(&points);
        if area < 0.0 {
            points.reverse();
            area = -area;
        }
        let mut ring = Self { cap: cap(&points), points, area, contains_origin: false };
        if ring.points.len() >= 3 {
            let [before, corner, after] = [ring.points[0], ring.points[1], ring.points[2]];
            let corner_inside = ordered(corner.perpendicular(), before, after, corner);
            ring.contains_origin = corner_inside != ring.path_parity(corner);
        }
        ring
    }

    /// The vertices, counterclockwise.
    #[must_use]
    pub fn points(&self) -> &[Vector] {
        &self.points
    }

    /// The area in steradians.
    #[must_use]
    pub fn area(&self) -> f64 {
        self.area
    }

    /// The edges, with the inside on their left.
    pub fn edges(&self) -> impl Iterator<Item = Edge> + '_ {
        closed(&self.points)
    }

    /// Whether a point is inside. Of rings that divide the sphere each point is inside exactly one.
    #[must_use]
    pub fn contains(&self, point: Vector) -> bool {
        point.dot(self.cap.0) >= self.cap.1 && self.contains_origin != self.path_parity(point)
    }

    /// Whether the path from [`ORIGIN`] changes sides an odd number of times.
    fn path_parity(&self, point: Vector) -> bool {
        self.edges().fold(false, |inside, (a, b)| inside != changes_side(ORIGIN, point, a, b))
    }
}

/// The smallest circle we know around points: middle, and cosine of its radius.
fn cap(points: &[Vector]) -> (Vector, f64) {
    let middle = points.iter().fold(Vector::default(), |sum, p| sum.plus(*p)).unit();
    let cosine = points.iter().map(|p| p.dot(middle)).fold(1.0, f64::min);
    // The circle bounds the edges too as long as it is smaller than a hemisphere.
    (middle, if cosine > 0.01 { cosine - 1e-14 } else { -2.0 })
}

/// The area to the left of a closed chain in steradians, negative if the right side is smaller.
#[must_use]
pub fn signed_area(points: &[Vector]) -> f64 {
    let sum = triangles(points).into_iter().map(|[a, b, c]| triangle_area(a, b, c)).sum::<f64>();
    let sphere = 4.0 * std::f64::consts::PI;
    let area = sum % sphere;
    if area > sphere / 2.0 {
        area - sphere
    } else if area < -sphere / 2.0 {
        area + sphere
    } else {
        area
    }
}

/// Triangles whose signed sum is the region left of a closed chain; none has a side close to half a circle.
#[must_use]
pub fn triangles(points: &[Vector]) -> Vec<[Vector; 3]> {
    /// Longer sides make the triangle's plane uncertain.
    const SIDE_MAX: f64 = std::f64::consts::PI - 1e-5;
    let mut all = Vec::with_capacity(points.len());
    let (Some(&first), Some(&last)) = (points.first(), points.last()) else { return all };
    let mut apex = first;
    for pair in points.windows(2).skip(1) {
        if pair[1].angle(apex) > SIDE_MAX {
            let before = apex;
            apex = if before == first {
                first.normal(pair[0]).unit()
            } else if pair[0].angle(first) < SIDE_MAX {
                first
            } else {
                all.push([first, before, first.cross(before)]);
                first.cross(before)
            };
            all.push([before, pair[0], apex]);
        }
        all.push([apex, pair[0], pair[1]]);
    }
    if apex != first {
        all.push([apex, last, first]);
    }
    all
}

/// One shell with its holes.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The shell, then the holes.
    pub rings: Vec<Ring>,
}

impl Part {
    /// Whether a point is inside the shell and in no hole.
    #[must_use]
    pub fn contains(&self, point: Vector) -> bool {
        self.rings.iter().fold(false, |inside, ring| inside != ring.contains(point))
    }

    /// The edges with the inside on their left: those of holes run clockwise.
    pub fn edges(&self) -> impl Iterator<Item = Edge> + '_ {
        self.rings.iter().enumerate().flat_map(|(index, ring)| closed_oriented(ring, index > 0))
    }
}

/// The edges of a ring, backwards for a hole and then from its last point on.
fn closed_oriented(ring: &Ring, hole: bool) -> impl Iterator<Item = Edge> + '_ {
    let count = ring.points.len();
    let at = move |i: usize| ring.points[if hole { count - 1 - i % count } else { i % count }];
    (0..count).map(move |i| (at(i), at(i + 1)))
}

/// A `Polygon` or `MultiPolygon`.
#[derive(Debug, Clone, PartialEq)]
pub struct Polygon {
    /// The coordinates as written: polygons, their rings, their closed coordinates; empty if it was computed.
    pub degrees: Vec<Vec<Vec<Degrees>>>,
    /// The polygons, which may overlap.
    pub parts: Vec<Part>,
}

impl Polygon {
    /// Reads GeoJSON.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, coordinates) = members(text)?;
        let degrees = match kind.as_str() {
            "Polygon" => vec![rings(&coordinates)?],
            "MultiPolygon" => array(&coordinates)?.iter().map(rings).collect::<Result<_, _>>()?,
            other => return Err(format!("a {other} is no Polygon and no MultiPolygon")),
        };
        if degrees.is_empty() {
            return Err("a MultiPolygon has at least one polygon".to_owned());
        }
        let parts = degrees.iter().map(|part| checked_part(part)).collect::<Result<_, _>>()?;
        Ok(Self { degrees, parts })
    }

    /// A polygon of computed parts.
    #[must_use]
    pub fn of(parts: Vec<Part>) -> Self {
        Self { degrees: Vec::new(), parts }
    }

    /// Whether any part contains a point.
    #[must_use]
    pub fn contains(&self, point: Vector) -> bool {
        self.parts.iter().any(|part| part.contains(point))
    }

    /// All edges with the inside on their left.
    pub fn edges(&self) -> impl Iterator<Item = Edge> + '_ {
        self.parts.iter().flat_map(Part::edges)
    }

    /// All vertices.
    pub fn vertices(&self) -> impl Iterator<Item = Vector> + '_ {
        self.edges().map(|(a, _)| a)
    }

    /// The number of vertices.
    #[must_use]
    pub fn num_vertices(&self) -> usize {
        self.parts.iter().flat_map(|part| &part.rings).map(|ring| ring.points.len()).sum()
    }

    /// The closed rings of each part in degrees: as written, or of what was computed.
    #[must_use]
    pub fn coordinates(&self) -> Vec<Vec<Vec<Degrees>>> {
        if !self.degrees.is_empty() {
            return self.degrees.clone();
        }
        let ring = |(index, ring): (usize, &Ring)| {
            let mut points: Vec<Degrees> = closed_oriented(ring, index > 0).map(|(a, _)| a.degrees()).collect();
            points.extend(points.first().copied());
            points
        };
        self.parts.iter().map(|part| part.rings.iter().enumerate().map(ring).collect()).collect()
    }

    /// As GeoJSON.
    #[must_use]
    pub fn to_geojson(&self) -> String {
        polygon_geojson(&self.coordinates())
    }
}

/// Whether a position is on Earth.
#[must_use]
pub fn valid(longitude: f64, latitude: f64) -> bool {
    (-180.0..=180.0).contains(&longitude) && (-90.0..=90.0).contains(&latitude)
}

/// A point of a valid position.
#[must_use]
pub fn point(longitude: f64, latitude: f64) -> Option<Vector> {
    valid(longitude, latitude).then(|| Vector::from_degrees(longitude, latitude))
}

/// A GeoJSON object of a type and the text of its coordinates.
#[must_use]
pub fn object(kind: &str, coordinates: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"coordinates\":{coordinates}}}")
}

/// A point as GeoJSON.
#[must_use]
pub fn point_geojson(degrees: Degrees) -> String {
    object("Point", &position(degrees))
}

/// A line as GeoJSON, a `LineString` if it has one path.
#[must_use]
pub fn line_geojson(paths: &[Vec<Degrees>]) -> String {
    let path = |path: &Vec<Degrees>| list(path.iter().map(|degrees| position(*degrees)));
    match paths {
        [one] => object("LineString", &path(one)),
        many => object("MultiLineString", &list(many.iter().map(path))),
    }
}

/// A polygon of written coordinates as GeoJSON, a `Polygon` if it has one part.
#[must_use]
pub fn polygon_geojson(parts: &[Vec<Vec<Degrees>>]) -> String {
    let ring = |ring: &Vec<Degrees>| list(ring.iter().map(|degrees| position(*degrees)));
    let part = |part: &Vec<Vec<Degrees>>| list(part.iter().map(ring));
    match parts {
        [one] => object("Polygon", &part(one)),
        many => object("MultiPolygon", &list(many.iter().map(part))),
    }
}

/// A GeoJSON collection of geometries.
#[must_use]
pub fn collection_geojson(geometries: &[String]) -> String {
    format!("{{\"type\":\"GeometryCollection\",\"geometries\":{}}}", list(geometries.iter().cloned()))
}

/// Texts as a JSON array.
pub fn list(items: impl IntoIterator<Item = String>) -> String {
    let mut text = String::from("[");
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&item);
    }
    text.push(']');
    text
}

fn position((longitude, latitude): Degrees) -> String {
    let mut text = String::new();
    // Whole numbers are written without a fraction, as people write them.
    let _ = write!(text, "[{},{}]", longitude + 0.0, latitude + 0.0);
    text
}

fn members(text: &str) -> Result<(String, Json), String> {
    let value: Json = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let kind = value.get("type").and_then(Json::as_str).ok_or("a shape has a type")?.to_owned();
    let coordinates = value.get("coordinates").cloned().ok_or("a shape has coordinates")?;
    Ok((kind, coordinates))
}

fn array(value: &Json) -> Result<&Vec<Json>, String> {
    value.as_array().ok_or_else(|| "coordinates are arrays".to_owned())
}

fn positions(value: &Json) -> Result<Vec<Degrees>, String> {
    let all = array(value)?;
    if all.len() > VERTICES_MAX {
        return Err(format!("a shape has at most {VERTICES_MAX} vertices"));
    }
    all.iter().map(one_position).collect()
}

fn one_position(value: &Json) -> Result<Degrees, String> {
    let parts = array(value)?;
    let part = |index: usize| parts.get(index).and_then(Json::as_f64).ok_or("a coordinate has two numbers");
    let (longitude, latitude) = (part(0)?, part(1)?);
    if valid(longitude, latitude) {
        Ok((longitude, latitude))
    } else {
        Err(format!("the coordinate [{longitude}, {latitude}] is not on Earth"))
    }
}

fn rings(value: &Json) -> Result<Vec<Vec<Degrees>>, String> {
    let rings: Vec<Vec<Degrees>> = array(value)?.iter().map(positions).collect::<Result<_, _>>()?;
    if rings.is_empty() { Err("a polygon has a shell".to_owned()) } else { Ok(rings) }
}

fn vectors(path: &[Degrees]) -> Vec<Vector> {
    path.iter().map(|(lng, lat)| Vector::from_degrees(*lng, *lat)).collect()
}

fn short_edges(mut edges: impl Iterator<Item = Edge>) -> Result<(), String> {
    if edges.any(|(a, b)| a.plus(b).norm() < 1e-12) {
        return Err("an edge is shorter than half a great circle".to_owned());
    }
    Ok(())
}

fn checked_part(rings: &[Vec<Degrees>]) -> Result<Part, String> {
    let rings = rings.iter().map(|ring| checked_ring(ring)).collect::<Result<Vec<_>, _>>()?;
    let part = Part { rings };
    let edges: Vec<Edge> = part.rings.iter().flat_map(Ring::edges).collect();
    let mut fault = None;
    sweep::pairs(&edges, |i, j| {
        let ((a, b), (c, d)) = (edges[i], edges[j]);
        if (a == c && b == d) || (a == d && b == c) {
            fault = Some("edges of rings are different");
        } else if crosses(a, b, c, d) {
            fault = Some("edges of rings do not cross");
        }
        fault.is_none()
    });
    fault.map_or(Ok(part), |fault| Err(fault.to_owned()))
}

fn checked_ring(ring: &[Degrees]) -> Result<Ring, String> {
    if ring.len() < 4 {
        return Err("a ring has at least four coordinates".to_owned());
    }
    let mut points = vectors(ring);
    if points.first() != points.last() {
        return Err("a ring ends where it begins".to_owned());
    }
    points.pop();
    let mut sorted = points.clone();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("the vertices of a ring are different".to_owned());
    }
    short_edges(closed(&points))?;
    Ok(Ring::new(points))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: &str = r#"{"type":"Polygon","coordinates":[[[0,0],[10,0],[10,10],[0,10],[0,0]]]}"#;

    #[test]
    fn polygons_that_break_a_rule_are_refused() {
        for (coordinates, fault) in [
            ("[[[0,0],[10,10],[10,10],[0,0]]]", "the vertices of a ring are different"),
            ("[[[0,0],[10,10],[10,0]]]", "a ring has at least four coordinates"),
            ("[[[0,0],[10,10],[10,0],[5,5]]]", "a ring ends where it begins"),
            ("[[[0,0],[10,10],[10,0],[0,10],[0,0]]]", "edges of rings do not cross"),
            ("[[[0,0],[10,910],[10,0],[0,0]]]", "the coordinate [10, 910] is not on Earth"),
            ("[]", "a polygon has a shell"),
            ("[[[0,0],[180,0],[10,10],[0,0]]]", "an edge is shorter than half a great circle"),
        ] {
            let text = format!(r#"{{"type":"Polygon","coordinates":{coordinates}}}"#);
            assert_eq!(Polygon::parse(&text).unwrap_err(), fault);
        }
        assert!(Polygon::parse(r#"{"type":"Polygon"}"#).is_err());
        assert!(Polygon::parse("null").is_err());
    }

    #[test]
    fn the_smaller_side_is_inside_whichever_way_a_ring_is_written() {
        let backwards = r#"{"type":"Polygon","coordinates":[[[0,0],[0,10],[10,10],[10,0],[0,0]]]}"#;
        for text in [SQUARE, backwards] {
            let polygon = Polygon::parse(text).unwrap();
            assert!(polygon.contains(Vector::from_degrees(5.0, 5.0)), "{text}");
            assert!(!polygon.contains(Vector::from_degrees(-5.0, 5.0)), "{text}");
            assert!(!polygon.contains(Vector::from_degrees(-175.0, -5.0)), "{text}");
        }
    }

    #[test]
    fn a_hole_is_outside() {
        let text =
            r#"{"type":"Polygon","coordinates":[[[0,0],[10,0],[10,10],[0,10],[0,0]],[[4,4],[4,6],[6,6],[6,4],[4,4]]]}"#;
        let polygon = Polygon::parse(text).unwrap();
        assert!(!polygon.contains(Vector::from_degrees(5.0, 5.0)));
        assert!(polygon.contains(Vector::from_degrees(3.0, 5.0)));
    }

    #[test]
    fn squares_side_by_side_share_no_point() {
        let squares: Vec<Polygon> = (0..3)
            .flat_map(|x| (0..3).map(move |y| (f64::from(x), f64::from(y))))
            .map(|(x, y)| {
                polygon_geojson(&[vec![vec![(x, y), (x + 1.0, y), (x + 1.0, y + 1.0), (x, y + 1.0), (x, y)]]])
            })
            .map(|text| Polygon::parse(&text).unwrap())
            .collect();
        for (lng, lat) in [(1.0, 1.0), (2.0, 1.0), (1.5, 1.5), (1.0, 1.5), (2.0, 0.25)] {
            let holders = squares.iter().filter(|square| square.contains(Vector::from_degrees(lng, lat))).count();
            assert_eq!(holders, 1, "{lng} {lat}");
        }
    }

    #[test]
    fn geojson_of_a_polygon_reads_back() {
        let polygon = Polygon::parse(SQUARE).unwrap();
        assert_eq!(polygon_geojson(&polygon.degrees), SQUARE);
        assert!(Polygon::parse(&polygon.to_geojson()).is_ok());
    }

    #[test]
    fn area_of_a_ring_around_the_pole() {
        let ring = Ring::new((0..4).map(|i| Vector::from_degrees(f64::from(i) * 90.0, 0.0)).collect());
        assert!((ring.area() - 2.0 * std::f64::consts::PI).abs() < 1e-12);
    }
}
