//! Functions of points, directions and distances.

use moneta_geometry::shape::valid;
use moneta_geometry::{buffer, measure, spheroid, wkt};

use super::super::Function;
use super::super::row::Cell;
use super::{TOLERANCE, flag, point, real};

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row(
        "geo_distance_2points",
        &["(p1_longitude: number, p1_latitude: number, p2_longitude: number, p2_latitude: number, \
           [use_spheroid: scalar]) -> real"],
        |a, _| distance(a).into(),
    )
    .doc(
        "The shortest distance in metres between two points, on a sphere or on the WGS 84 spheroid.",
        &[
            ("round(geo_distance_2points(-122.407628, 47.578557, -118.275287, 34.019056))", "1546754.0"),
            ("round(geo_distance_2points(0, 0, 1, 0, true))", "111319.0"),
            ("geo_distance_2points(300, 1, 1, 1)", "real(null)"),
        ],
    ),
    Function::row(
        "geo_azimuth",
        &["(p1_longitude: number, p1_latitude: number, p2_longitude: number, p2_latitude: number) -> real"],
        |a, _| azimuth(a).into(),
    )
    .doc(
        "The direction from one point to another in radians, clockwise from north; null if the points are equal or \
         opposite.",
        &[("geo_azimuth(0, 0, 0, 5)", "0.0"), ("geo_azimuth(5, 10, 5, 10)", "real(null)")],
    ),
    Function::row(
        "geo_angle",
        &["(p1_longitude: number, p1_latitude: number, p2_longitude: number, p2_latitude: number, \
           p3_longitude: number, p3_latitude: number) -> real"],
        |a, _| angle(a).into(),
    )
    .doc(
        "The clockwise angle in radians at the second point, from the way to the first to the way to the third.",
        &[("round(geo_angle(0, 1, 0, 0, 0, -1), 3)", "3.142"), ("geo_angle(0, 1, 0, 1, 3, -1)", "real(null)")],
    ),
    Function::row(
        "geo_point_in_circle",
        &["(p_longitude: number, p_latitude: number, pc_longitude: number, pc_latitude: number, c_radius: number) \
           -> bool"],
        |a, _| in_circle(a).into(),
    )
    .doc(
        "Whether a point is within a radius in metres of another.",
        &[
            ("geo_point_in_circle(0, 0, 0, 1, 112000)", "true"),
            ("geo_point_in_circle(0, 0, 0, 1, 111000)", "false"),
            ("geo_point_in_circle(1, 1, 1, 1, -1)", "bool(null)"),
        ],
    ),
    Function::row(
        "geo_point_buffer",
        &["(longitude: number, latitude: number, radius: number, [tolerance: number]) -> dynamic"],
        |a, _| around(a).into(),
    )
    .doc(
        "A polygon that holds all points within a radius in metres of a point, and none farther than the tolerance \
         beyond it.",
        &[
            ("geo_point_in_polygon(10, 10.008, geo_point_buffer(10, 10, 1000))", "true"),
            ("geo_point_in_polygon(10, 10.010, geo_point_buffer(10, 10, 1000))", "false"),
            ("geo_point_buffer(200, 10, 1000)", "dynamic(null)"),
        ],
    ),
    Function::row("geo_from_wkt", &["(wkt: text) -> dynamic"], |a, _| wkt::to_geojson(a[0].text()).into()).doc(
        "A shape in well-known text as GeoJSON.",
        &[
            ("geo_from_wkt('POINT (1 2)')", "dynamic({\"type\":\"Point\",\"coordinates\":[1,2]})"),
            ("geo_from_wkt('LINESTRING')", "dynamic(null)"),
        ],
    ),
];

fn distance(a: &[Cell<'_>]) -> Option<f64> {
    let (from, to) = (point(a[0], a[1])?, point(a[2], a[3])?);
    if !flag(a.get(4)) {
        return Some(measure::distance(from, to));
    }
    Some(spheroid::distance((a[0].real()?, a[1].real()?), (a[2].real()?, a[3].real()?)))
}

fn azimuth(a: &[Cell<'_>]) -> Option<f64> {
    measure::azimuth(point(a[0], a[1])?, point(a[2], a[3])?)
}

fn angle(a: &[Cell<'_>]) -> Option<f64> {
    measure::angle(point(a[0], a[1])?, point(a[2], a[3])?, point(a[4], a[5])?)
}

fn in_circle(a: &[Cell<'_>]) -> Option<bool> {
    let radius = a[4].real().filter(|radius| *radius > 0.0)?;
    Some(measure::distance(point(a[0], a[1])?, point(a[2], a[3])?) <= radius)
}

fn around(a: &[Cell<'_>]) -> Option<String> {
    let (longitude, latitude) = (a[0].real()?, a[1].real()?);
    if !valid(longitude, latitude) {
        return None;
    }
    let circle = buffer::point(point(a[0], a[1])?, a[2].real()?, real(a.get(3), TOLERANCE)?)?;
    Some(circle.to_geojson())
}
