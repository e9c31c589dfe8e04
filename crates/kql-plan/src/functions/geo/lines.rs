//! Functions of lines.

use moneta_geometry::shape::{Line, line_geojson, list, point_geojson};
use moneta_geometry::vector::Vector;
use moneta_geometry::{buffer, cover, densify, measure, overlay, simplify, spheroid};

use super::super::Function;
use super::super::row::{Answer, Cell};
use super::{TOLERANCE, flag, line, point, real, shapes};

/// The tolerances in metres with which a line may be densified.
pub(super) const DENSIFY_TOLERANCES: std::ops::RangeInclusive<f64> = 0.1..=10_000.0;

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("geo_line_length", &["(lineString: dynamic) -> real"], |a, _| {
        line(a[0]).map(|line| measure::length(line.edges())).into()
    })
    .doc(
        "The length of a line or of all lines of a multiline in metres.",
        &[
            ("round(geo_line_length(dynamic({\"type\":\"LineString\",\"coordinates\":[[0,0],[1,0]]})))", "111195.0"),
            ("geo_line_length(dynamic({\"type\":\"LineString\",\"coordinates\":[[1,1]]}))", "real(null)"),
        ],
    ),
    Function::row("geo_line_centroid", &["(lineString: dynamic) -> dynamic"], |a, _| {
        line(a[0]).and_then(|line| measure::line_centroid(&line)).map(geojson).into()
    })
    .doc("The centroid of a line.", &[(
        "round(todouble(geo_line_centroid(dynamic({\"type\":\"LineString\",\"coordinates\":[[0,0],[2,0]]})).coordinates[0]), 9)",
        "1.0",
    )]),
    Function::row("geo_line_interpolate_point", &["(lineString: dynamic, fraction: number) -> dynamic"], |a, _| {
        interpolated(a).into()
    })
    .doc("The point at a fraction, from 0 to 1, of the length of a line.", &[(
        "geo_line_interpolate_point(dynamic({\"type\":\"LineString\",\"coordinates\":[[0,0],[2,0]]}), 1)",
        "dynamic({\"type\":\"Point\",\"coordinates\":[2,0]})",
    )]),
    Function::row(
        "geo_line_locate_point",
        &["(lineString: dynamic, longitude: number, latitude: number, [use_spheroid: scalar]) -> real"],
        |a, _| located(a).into(),
    )
    .doc("Where on a line its point closest to a point is, as a fraction of the line's length.", &[(
        "round(geo_line_locate_point(dynamic({\"type\":\"LineString\",\"coordinates\":[[0,0],[2,0]]}), 0.5, 1), 9)",
        "0.25",
    )]),
    Function::row(
        "geo_line_densify",
        &["(lineString: dynamic, [tolerance: number], [preserve_crossing: scalar]) -> dynamic"],
        |a, _| densified(a).into(),
    )
    .doc(
        "A line with points added until its geodesics follow the straight edges of the map within a tolerance in \
         metres.",
        &[(
            "geo_line_densify(dynamic({\"type\":\"LineString\",\"coordinates\":[[10,10],[11,10]]}), 20)",
            "dynamic({\"type\":\"LineString\",\"coordinates\":[[10,10],[10.5,10],[11,10]]})",
        )],
    ),
    Function::row("geo_line_simplify", &["(lineString: dynamic, [tolerance: number]) -> dynamic"], |a, _| {
        simplified(a).into()
    })
    .doc(
        "A line without vertices closer to each other or to a straight edge than a tolerance in metres; null if \
         nothing is left.",
        &[
            (
                "array_length(geo_line_simplify(dynamic({\"type\":\"LineString\",\"coordinates\":[[0,0],[1,0],[2,0]]})).coordinates)",
                "2",
            ),
            (
                "geo_line_simplify(dynamic({\"type\":\"LineString\",\"coordinates\":[[1,1],[2,2]]}), -1)",
                "dynamic(null)",
            ),
        ],
    ),
    Function::row(
        "geo_line_buffer",
        &["(lineString: dynamic, radius: number, [tolerance: number]) -> dynamic"],
        |a, _| buffered(a).into(),
    )
    .doc("A polygon that holds all points within a radius in metres of a line.", &[
        (
            "geo_point_in_polygon(0.5, 0.008, geo_line_buffer(dynamic({\"type\":\"LineString\",\"coordinates\":[[0,0],[1,0]]}), 1000))",
            "true",
        ),
        (
            "geo_line_buffer(dynamic({\"type\":\"LineString\",\"coordinates\":[[0,0],[1,1]]}), 0)",
            "dynamic(null)",
        ),
    ]),
    Function::row(
        "geo_line_to_s2cells",
        &["(lineString: dynamic, [level: number], [radius: number]) -> dynamic"],
        |a, _| covered(a).into(),
    )
    .doc("The tokens of the S2 cells of one level that cover a line and what is within a radius of it.", &[(
        "geo_line_to_s2cells(dynamic({\"type\":\"LineString\",\"coordinates\":[[1,1],[2,2]]}), 3)",
        "dynamic([\"104\"])",
    )]),
    Function::row("__geo_line_validate", &["(lineString: dynamic) -> string"], |a, _| {
        Line::parse(a[0].text()).err().unwrap_or_default().into()
    })
    .handles_nulls()
    .doc("The rule that a line breaks, or an empty text.", &[
        ("__geo_line_validate(dynamic({\"type\":\"LineString\",\"coordinates\":[[0,0],[1,1]]}))", "\"\""),
    ]),
    Function::row("__geo_line_s2cell_covering_level", &["(lineString: dynamic) -> int"], |a, _| {
        line(a[0]).map(|line| i32::from(cover::line_level(&line))).into()
    })
    .doc("The level of S2 cells of which a few cover a line.", &[(
        "__geo_line_s2cell_covering_level(dynamic({\"type\":\"LineString\",\"coordinates\":[[0,0],[1,0]]}))",
        "int(6)",
    )]),
    Function::row(
        "geo_closest_point_on_line",
        &["(longitude: number, latitude: number, lineString: dynamic) -> dynamic"],
        |a, _| closest(a).map(|(_, found)| geojson(found)).into(),
    )
    .doc("The point of a line that is closest to a point.", &[(
        "geo_closest_point_on_line(3, 1, dynamic({\"type\":\"LineString\",\"coordinates\":[[0,0],[2,0]]}))",
        "dynamic({\"type\":\"Point\",\"coordinates\":[2,0]})",
    )]),
    Function::row(
        "geo_distance_point_to_line",
        &["(longitude: number, latitude: number, lineString: dynamic) -> real"],
        |a, _| closest(a).map(|(from, found)| measure::distance(from, found)).into(),
    )
    .doc("The shortest distance in metres from a point to a line.", &[(
        "round(geo_distance_point_to_line(1, 1, dynamic({\"type\":\"LineString\",\"coordinates\":[[0,0],[2,0]]})))",
        "111195.0",
    )]),
    Function::row("geo_intersects_2lines", &["(lineString1: dynamic, lineString2: dynamic) -> bool"], |a, _| {
        intersects(a).into()
    })
    .doc("Whether two lines have a point in common.", &[(
        "geo_intersects_2lines(dynamic({\"type\":\"LineString\",\"coordinates\":[[0,0],[2,2]]}), dynamic({\"type\":\"LineString\",\"coordinates\":[[0,2],[2,0]]}))",
        "true",
    )]),
    Function::row("geo_intersection_2lines", &["(lineString1: dynamic, lineString2: dynamic) -> dynamic"], |a, _| {
        intersection(a).into()
    })
    .doc("What two lines have in common, an empty collection if nothing.", &[(
        "geo_intersection_2lines(dynamic({\"type\":\"LineString\",\"coordinates\":[[1,1],[2,2]]}), dynamic({\"type\":\"LineString\",\"coordinates\":[[3,3],[4,4]]}))",
        "dynamic({\"type\":\"GeometryCollection\",\"geometries\":[]})",
    )]),
    Function::row("geo_union_lines_array", &["(lineStrings: dynamic) -> dynamic"], |a, _| {
        shapes(a[0], Line::parse).map(|lines| joined(&lines)).into()
    })
    .doc("The union of an array of lines; null if any is invalid.", &[(
        "array_length(geo_union_lines_array(dynamic([{\"type\":\"LineString\",\"coordinates\":[[0,0],[1,0]]},{\"type\":\"LineString\",\"coordinates\":[[1,0],[2,1]]}])).coordinates)",
        "3",
    )]),
];

fn geojson(point: Vector) -> String {
    point_geojson(point.degrees())
}

/// The path of a line that has only one.
fn single(line: &Line) -> Option<&[Vector]> {
    if let [path] = line.paths.as_slice() { Some(path) } else { None }
}

fn interpolated(a: &[Cell<'_>]) -> Option<String> {
    let line = line(a[0])?;
    let fraction = a[1].real().filter(|fraction| (0.0..=1.0).contains(fraction))?;
    measure::along(single(&line)?, fraction).map(geojson)
}

fn located(a: &[Cell<'_>]) -> Option<f64> {
    let (line, point) = (line(a[0])?, point(a[1], a[2])?);
    let path = single(&line)?;
    if flag(a.get(3)) {
        return spheroid::locate(line.degrees.first()?, (a[1].real()?, a[2].real()?));
    }
    measure::locate(path, point)
}

fn densified(a: &[Cell<'_>]) -> Option<String> {
    let line = line(a[0])?;
    let tolerance = real(a.get(1), TOLERANCE).filter(|tolerance| DENSIFY_TOLERANCES.contains(tolerance))?;
    let across = flag(a.get(2));
    let paths: Option<Vec<_>> = line.degrees.iter().map(|path| densify::densify(path, tolerance, across)).collect();
    Some(line_geojson(&paths?))
}

fn simplified(a: &[Cell<'_>]) -> Option<String> {
    let line = line(a[0])?;
    let tolerance = real(a.get(1), TOLERANCE).filter(|t| (0.0..simplify::TOLERANCE_MAX).contains(t))?;
    let paths = if line.paths.len() == 1 { line.paths.clone() } else { overlay::union_lines(&[(*line).clone()]) };
    let simple: Vec<Vec<Vector>> = paths.iter().filter_map(|path| simplify::path(path, tolerance)).collect();
    (!simple.is_empty()).then(|| vectors_geojson(&simple))
}

fn vectors_geojson(paths: &[Vec<Vector>]) -> String {
    let degrees = |path: &Vec<Vector>| path.iter().map(|point| point.degrees()).collect();
    line_geojson(&paths.iter().map(degrees).collect::<Vec<_>>())
}

fn buffered(a: &[Cell<'_>]) -> Option<String> {
    let region = buffer::line(&*line(a[0])?, a[1].real()?, real(a.get(2), TOLERANCE)?)?;
    Some(region.to_geojson())
}

fn covered(a: &[Cell<'_>]) -> Option<String> {
    let (level, radius) = super::cells::covering(a)?;
    let cells = cover::line(&*line(a[0])?, level, radius)?;
    Some(list(cells.into_iter().map(|cell| format!("\"{}\"", cell.token()))))
}

fn closest(a: &[Cell<'_>]) -> Option<(Vector, Vector)> {
    let from = point(a[0], a[1])?;
    measure::closest(from, line(a[2])?.edges()).map(|found| (from, found))
}

fn intersects(a: &[Cell<'_>]) -> Option<bool> {
    let (first, second) = (line(a[0])?, line(a[1])?);
    Some(overlay::edges_touch(&first.edges().collect::<Vec<_>>(), &second.edges().collect::<Vec<_>>()))
}

fn intersection(a: &[Cell<'_>]) -> Option<String> {
    overlay::intersect_lines(&*line(a[0])?, &*line(a[1])?).map(|common| common.to_geojson())
}

fn joined(lines: &[Line]) -> Answer<'static> {
    vectors_geojson(&overlay::union_lines(lines)).into()
}
