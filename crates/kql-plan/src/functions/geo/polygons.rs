//! Functions of polygons.

use moneta_geometry::shape::{Degrees, Polygon, list, point_geojson, polygon_geojson};
use moneta_geometry::vector::Vector;
use moneta_geometry::{buffer, cover, densify, h3, measure, overlay, simplify};

use super::super::Function;
use super::super::row::Cell;
use super::lines::DENSIFY_TOLERANCES;
use super::{TOLERANCE, flag, line, point, polygon, real, shapes, whole};

/// The resolution of H3 cells if none is given.
const H3_RESOLUTION: u8 = 6;

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("geo_point_in_polygon", &["(longitude: number, latitude: number, polygon: dynamic) -> bool"], |a, _| {
        contains(a).into()
    })
    .doc("Whether a point is in a polygon.", &[
        (
            "geo_point_in_polygon(1, 1, dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,0],[2,2],[0,2],[0,0]]]}))",
            "true",
        ),
        (
            "geo_point_in_polygon(3, 1, dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,0],[2,2],[0,2],[0,0]]]}))",
            "false",
        ),
        ("geo_point_in_polygon(1, 1, dynamic({\"type\":\"Polygon\",\"coordinates\":[]}))", "bool(null)"),
    ]),
    Function::row(
        "geo_distance_point_to_polygon",
        &["(longitude: number, latitude: number, polygon: dynamic) -> real"],
        |a, _| closest(a).map(|(from, found)| measure::distance(from, found)).into(),
    )
    .doc("The shortest distance in metres from a point to a polygon; 0 inside.", &[
        (
            "geo_distance_point_to_polygon(1, 1, dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,0],[2,2],[0,2],[0,0]]]}))",
            "0.0",
        ),
        (
            "round(geo_distance_point_to_polygon(1, -1, dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,0],[2,2],[0,2],[0,0]]]})))",
            "111195.0",
        ),
    ]),
    Function::row(
        "geo_closest_point_on_polygon",
        &["(longitude: number, latitude: number, polygon: dynamic) -> dynamic"],
        |a, _| closest(a).map(|(_, found)| geojson(found)).into(),
    )
    .doc("The point of a polygon that is closest to a point: the point itself if it is inside.", &[(
        "geo_closest_point_on_polygon(-1, -1, dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,0],[2,2],[0,2],[0,0]]]}))",
        "dynamic({\"type\":\"Point\",\"coordinates\":[0,0]})",
    )]),
    Function::row("geo_polygon_area", &["(polygon: dynamic) -> real"], |a, _| {
        flat(a[0]).map(|polygon| measure::area(&polygon)).into()
    })
    .doc("The area of a polygon, or of the union of polygons, in square metres.", &[
        (
            "round(geo_polygon_area(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]})) / 1000000)",
            "12364.0",
        ),
        (
            "geo_polygon_area(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[10,10],[10,10],[0,0]]]}))",
            "real(null)",
        ),
    ]),
    Function::row("geo_polygon_perimeter", &["(polygon: dynamic) -> real"], |a, _| {
        flat(a[0]).map(|polygon| measure::length(polygon.edges())).into()
    })
    .doc("The length of the boundary of a polygon, or of the union of polygons, in metres.", &[(
        "round(geo_polygon_perimeter(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]})))",
        "444763.0",
    )]),
    Function::row("geo_polygon_centroid", &["(polygon: dynamic) -> dynamic"], |a, _| {
        flat(a[0]).and_then(|polygon| measure::polygon_centroid(&polygon)).map(geojson).into()
    })
    .doc("The centroid of a polygon, or of the union of polygons.", &[(
        "round(todouble(geo_polygon_centroid(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[-1,-1],[1,-1],[1,1],[-1,1],[-1,-1]]]})).coordinates[0]), 9) == 0",
        "true",
    )]),
    Function::row(
        "geo_polygon_densify",
        &["(polygon: dynamic, [tolerance: number], [preserve_crossing: scalar]) -> dynamic"],
        |a, _| densified(a).into(),
    )
    .doc(
        "A polygon with points added until its geodesics follow the straight edges of the map within a tolerance in \
         metres.",
        &[(
            "array_length(geo_polygon_densify(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[10,10],[11,10],[11,11],[10,11],[10,10]]]})).coordinates[0])",
            "11",
        )],
    ),
    Function::row("geo_polygon_simplify", &["(polygon: dynamic, [tolerance: number]) -> dynamic"], |a, _| {
        polygon(a[0]).and_then(|polygon| simplified(&[(*polygon).clone()], a.get(1))).into()
    })
    .doc(
        "A polygon without vertices closer to each other or to a straight edge than a tolerance in metres; null if \
         nothing is left.",
        &[(
            "array_length(geo_polygon_simplify(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1,0],[2,0],[2,2],[0,0]]]})).coordinates[0])",
            "4",
        )],
    ),
    Function::row("geo_polygon_buffer", &["(polygon: dynamic, radius: number, [tolerance: number]) -> dynamic"], |a, _| {
        buffered(a).into()
    })
    .doc("A polygon that holds all points within a radius in metres of a polygon.", &[(
        "geo_point_in_polygon(-0.008, 1, geo_polygon_buffer(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,0],[2,2],[0,2],[0,0]]]}), 1000))",
        "true",
    )]),
    Function::row(
        "geo_polygon_to_s2cells",
        &["(polygon: dynamic, [level: number], [radius: number]) -> dynamic"],
        |a, _| s2_cells(a).into(),
    )
    .doc("The tokens of the S2 cells of one level that cover a polygon and what is within a radius of it.", &[(
        "geo_polygon_to_s2cells(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[1,1],[2,1],[2,2],[1,1]]]}), 3)",
        "dynamic([\"104\"])",
    )]),
    Function::row(
        "geo_polygon_to_h3cells",
        &["(polygon: dynamic, [resolution: number], [radius: number]) -> dynamic"],
        |a, _| h3_cells(a).into(),
    )
    .doc("The H3 cells of one resolution whose centre is in a polygon, or within a radius of it.", &[(
        "array_length(geo_polygon_to_h3cells(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[-3.659,40.553],[-3.913,40.409],[-3.729,40.273],[-3.524,40.440],[-3.659,40.553]]]})))",
        "13",
    )]),
    Function::row("__geo_polygon_validate", &["(polygon: dynamic) -> string"], |a, _| {
        Polygon::parse(a[0].text()).err().unwrap_or_default().into()
    })
    .handles_nulls()
    .doc("The rule that a polygon breaks, or an empty text.", &[(
        "__geo_polygon_validate(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1,1],[1,1],[0,0]]]}))",
        "\"the vertices of a ring are different\"",
    )]),
    Function::row("__geo_polygon_s2cell_covering_level", &["(polygon: dynamic) -> int"], |a, _| {
        flat(a[0]).map(|polygon| i32::from(cover::polygon_level(&polygon))).into()
    })
    .doc("The level of S2 cells of which a few cover a polygon.", &[(
        "__geo_polygon_s2cell_covering_level(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}))",
        "int(6)",
    )]),
    Function::row("geo_intersects_2polygons", &["(polygon1: dynamic, polygon2: dynamic) -> bool"], |a, _| {
        both(a).map(|(first, second)| overlay::polygons_meet(&first, &second)).into()
    })
    .doc("Whether two polygons have a point in common.", &[(
        "geo_intersects_2polygons(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,0],[2,2],[0,0]]]}), dynamic({\"type\":\"Polygon\",\"coordinates\":[[[5,5],[6,5],[6,6],[5,5]]]}))",
        "false",
    )]),
    Function::row("geo_intersection_2polygons", &["(polygon1: dynamic, polygon2: dynamic) -> dynamic"], |a, _| {
        both(a).and_then(|(first, second)| Some(overlay::intersect_polygons(&first, &second)?.to_geojson())).into()
    })
    .doc("What two polygons have in common, an empty collection if nothing.", &[(
        "geo_intersection_2polygons(dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,0],[2,2],[0,0]]]}), dynamic({\"type\":\"Polygon\",\"coordinates\":[[[5,5],[6,5],[6,6],[5,5]]]}))",
        "dynamic({\"type\":\"GeometryCollection\",\"geometries\":[]})",
    )]),
    Function::row("geo_intersects_line_with_polygon", &["(lineString: dynamic, polygon: dynamic) -> bool"], |a, _| {
        line(a[0]).and_then(|line| Some(overlay::line_meets_polygon(&line, &*polygon(a[1])?))).into()
    })
    .doc("Whether a line and a polygon have a point in common.", &[(
        "geo_intersects_line_with_polygon(dynamic({\"type\":\"LineString\",\"coordinates\":[[-1,1],[3,1]]}), dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,0],[2,2],[0,2],[0,0]]]}))",
        "true",
    )]),
    Function::row("geo_intersection_line_with_polygon", &["(lineString: dynamic, polygon: dynamic) -> dynamic"], |a, _| {
        line_in_polygon(a).into()
    })
    .doc("What a line and a polygon have in common, an empty collection if nothing.", &[(
        "geo_intersection_line_with_polygon(dynamic({\"type\":\"LineString\",\"coordinates\":[[5,5],[6,6]]}), dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,0],[2,2],[0,0]]]}))",
        "dynamic({\"type\":\"GeometryCollection\",\"geometries\":[]})",
    )]),
    Function::row("geo_union_polygons_array", &["(polygons: dynamic) -> dynamic"], |a, _| {
        shapes(a[0], Polygon::parse).and_then(|all| overlay::union(&all)).map(|union| union.to_geojson()).into()
    })
    .doc("The union of an array of polygons; null if any is invalid.", &[(
        "geo_union_polygons_array(dynamic([{\"type\":\"Polygon\",\"coordinates\":[[[0,0]]]}]))",
        "dynamic(null)",
    )]),
    Function::row("geo_simplify_polygons_array", &["(polygons: dynamic, [tolerance: number]) -> dynamic"], |a, _| {
        shapes(a[0], Polygon::parse).and_then(|all| simplified(&all, a.get(1))).into()
    })
    .doc("The union of an array of polygons, simplified within a tolerance in metres; null if any is invalid.", &[(
        "geo_simplify_polygons_array(dynamic([{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,0],[2,2],[0,0]]]}]), -1)",
        "dynamic(null)",
    )]),
];

fn geojson(point: Vector) -> String {
    point_geojson(point.degrees())
}

/// The polygon of a value without overlaps.
fn flat(cell: Cell<'_>) -> Option<Polygon> {
    overlay::flattened(&*polygon(cell)?)
}

fn both(a: &[Cell<'_>]) -> Option<(std::sync::Arc<Polygon>, std::sync::Arc<Polygon>)> {
    Some((polygon(a[0])?, polygon(a[1])?))
}

fn contains(a: &[Cell<'_>]) -> Option<bool> {
    let point = point(a[0], a[1])?;
    Some(polygon(a[2])?.contains(point))
}

fn closest(a: &[Cell<'_>]) -> Option<(Vector, Vector)> {
    let from = point(a[0], a[1])?;
    measure::closest_on_polygon(from, &*polygon(a[2])?).map(|found| (from, found))
}

fn densified(a: &[Cell<'_>]) -> Option<String> {
    let polygon = polygon(a[0])?;
    let tolerance = real(a.get(1), TOLERANCE).filter(|tolerance| DENSIFY_TOLERANCES.contains(tolerance))?;
    let across = flag(a.get(2));
    let ring = |ring: &Vec<Degrees>| densify::densify(ring, tolerance, across);
    let part = |part: &Vec<Vec<Degrees>>| part.iter().map(ring).collect::<Option<Vec<_>>>();
    let parts: Option<Vec<_>> = polygon.degrees.iter().map(part).collect();
    Some(polygon_geojson(&parts?))
}

fn simplified(polygons: &[Polygon], tolerance: Option<&Cell<'_>>) -> Option<String> {
    let tolerance = real(tolerance, TOLERANCE).filter(|t| (0.0..simplify::TOLERANCE_MAX).contains(t))?;
    Some(simplify::polygon(&overlay::union(polygons)?, tolerance)?.to_geojson())
}

fn buffered(a: &[Cell<'_>]) -> Option<String> {
    let region = buffer::polygon(&*polygon(a[0])?, a[1].real()?, real(a.get(2), TOLERANCE)?)?;
    Some(region.to_geojson())
}

fn s2_cells(a: &[Cell<'_>]) -> Option<String> {
    let (level, radius) = super::cells::covering(a)?;
    let cells = cover::polygon(&*polygon(a[0])?, level, radius)?;
    Some(list(cells.into_iter().map(|cell| format!("\"{}\"", cell.token()))))
}

fn h3_cells(a: &[Cell<'_>]) -> Option<String> {
    let polygon = polygon(a[0])?;
    let resolution = whole(a.get(1), H3_RESOLUTION)?;
    let radius = real(a.get(2), 0.0).filter(|radius| *radius >= 0.0)?;
    let coordinates =
        if radius > 0.0 { buffer::polygon(&polygon, radius, TOLERANCE)?.coordinates() } else { polygon.coordinates() };
    let cells = h3::fill(&coordinates, resolution)?;
    Some(list(cells.into_iter().map(|cell| format!("\"{cell}\""))))
}

fn line_in_polygon(a: &[Cell<'_>]) -> Option<String> {
    overlay::intersect_line_with_polygon(&*line(a[0])?, &*polygon(a[1])?).map(|common| common.to_geojson())
}
