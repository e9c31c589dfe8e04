//! Functions of the cells of geohash, S2 and H3.

use moneta_geometry::shape::{Degrees, list, point_geojson, polygon_geojson};
use moneta_geometry::{cover, geohash, h3, s2};

use super::super::Function;
use super::super::row::Cell;
use super::{point, real, whole};

/// Letters of a geohash if none are given.
const LETTERS: u8 = 5;

/// The resolution of an H3 cell if none is given.
const RESOLUTION: u8 = 6;

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row(
        "geo_point_to_geohash",
        &["(longitude: number, latitude: number, [accuracy: number]) -> string"],
        |a, _| to_geohash(a).into(),
    )
    .doc("The geohash of a point, with 1 to 18 letters.", &[
        ("geo_point_to_geohash(139.806115, 35.554128, 12)", "\"xn76m27ty9g4\""),
        ("geo_point_to_geohash(200, 1, 8)", "\"\""),
    ]),
    Function::row("geo_geohash_to_central_point", &["(geohash: string) -> dynamic"], |a, _| {
        geohash::decode(a[0].text()).map(|cell| point_geojson(cell.center())).into()
    })
    .doc("The middle of a geohash.", &[
        (
            "geo_geohash_to_central_point('sunny')",
            "dynamic({\"type\":\"Point\",\"coordinates\":[42.47314453125,23.70849609375]})",
        ),
        ("geo_geohash_to_central_point('a')", "dynamic(null)"),
    ]),
    Function::row("geo_geohash_to_polygon", &["(geohash: string) -> dynamic"], |a, _| {
        geohash::decode(a[0].text()).map(|cell| ring_geojson(cell.ring())).into()
    })
    .doc("The rectangle of a geohash.", &[(
        "geo_geohash_to_polygon('s')",
        "dynamic({\"type\":\"Polygon\",\"coordinates\":[[[0,0],[45,0],[45,45],[0,45],[0,0]]]})",
    )]),
    Function::row("geo_geohash_neighbors", &["(geohash: string) -> dynamic"], |a, _| {
        geohash::neighbors(a[0].text()).map(texts).into()
    })
    .doc("The geohashes around a geohash.", &[(
        "geo_geohash_neighbors('sunny')",
        "dynamic([\"sunnt\",\"sunpj\",\"sunnx\",\"sunpn\",\"sunnv\",\"sunpp\",\"sunnz\",\"sunnw\"])",
    )]),
    Function::row(
        "geo_point_to_s2cell",
        &["(longitude: number, latitude: number, [level: number]) -> string"],
        |a, _| to_s2(a).into(),
    )
    .doc("The token of the S2 cell of a point, of a level from 0 to 30.", &[
        ("geo_point_to_s2cell(-80.195829, 25.802215, 8)", "\"88d9b\""),
        ("geo_point_to_s2cell(1, 1, 35)", "\"\""),
    ]),
    Function::row("geo_s2cell_to_central_point", &["(s2cell: string) -> dynamic"], |a, _| {
        s2::Cell::parse(a[0].text()).map(|cell| point_geojson(cell.center().degrees())).into()
    })
    .doc("The middle of an S2 cell.", &[
        ("geo_s2cell_to_central_point('1')", "dynamic({\"type\":\"Point\",\"coordinates\":[0,0]})"),
        ("geo_s2cell_to_central_point('a')", "dynamic(null)"),
    ]),
    Function::row("geo_s2cell_to_polygon", &["(s2cell: string) -> dynamic"], |a, _| s2_polygon(a).into()).doc(
        "The polygon of an S2 cell.",
        &[
            ("array_length(geo_s2cell_to_polygon('89c259').coordinates[0])", "5"),
            ("geo_s2cell_to_polygon('a')", "dynamic(null)"),
        ],
    ),
    Function::row("geo_s2cell_neighbors", &["(s2cell: string) -> dynamic"], |a, _| {
        s2::Cell::parse(a[0].text()).map(|cell| texts(cell.neighbors().into_iter().map(s2::Cell::token))).into()
    })
    .doc("The S2 cells around an S2 cell.", &[(
        "geo_s2cell_neighbors('89c259')",
        "dynamic([\"89c25d\",\"89c2f9\",\"89c251\",\"89c257\",\"89c25f\",\"89c25b\",\"89c2f7\",\"89c2f5\"])",
    )]),
    Function::row("__geo_length_to_s2cell_level", &["(length: number) -> int"], |a, _| {
        a[0].real().filter(|length| *length >= 0.0).map(|length| i32::from(s2::level_of_width(length))).into()
    })
    .doc("The deepest level whose S2 cells are on average at least as wide as a length in metres.", &[(
        "__geo_length_to_s2cell_level(1000)",
        "int(13)",
    )]),
    Function::row(
        "geo_point_to_h3cell",
        &["(longitude: number, latitude: number, [resolution: number]) -> string"],
        |a, _| to_h3(a).into(),
    )
    .doc("The H3 cell of a point, of a resolution from 0 to 15.", &[
        ("geo_point_to_h3cell(-74.04450446039874, 40.689250859314974, 6)", "\"862a1072fffffff\""),
        ("geo_point_to_h3cell(1, 1, 16)", "\"\""),
    ]),
    Function::row("geo_h3cell_to_central_point", &["(h3cell: string) -> dynamic"], |a, _| {
        h3::parse(a[0].text()).map(|cell| point_geojson(h3::center(cell))).into()
    })
    .doc("The middle of an H3 cell.", &[
        ("round(todouble(geo_h3cell_to_central_point('862a1072fffffff').coordinates[0]), 6)", "-74.016008"),
        ("geo_h3cell_to_central_point('1')", "dynamic(null)"),
    ]),
    Function::row("geo_h3cell_to_polygon", &["(h3cell: string) -> dynamic"], |a, _| {
        h3::parse(a[0].text()).map(|cell| ring_geojson(h3::ring(cell))).into()
    })
    .doc("The polygon of an H3 cell.", &[
        ("array_length(geo_h3cell_to_polygon('862a1072fffffff').coordinates[0])", "7"),
    ]),
    Function::row("geo_h3cell_neighbors", &["(h3cell: string) -> dynamic"], |a, _| {
        h3::parse(a[0].text()).map(|cell| texts(h3::neighbors(cell))).into()
    })
    .doc("The H3 cells around an H3 cell.", &[(
        "geo_h3cell_neighbors('862a1072fffffff')",
        "dynamic([\"862a10727ffffff\",\"862a10707ffffff\",\"862a1070fffffff\",\"862a10777ffffff\",\"862a100dfffffff\",\"862a100d7ffffff\"])",
    )]),
    Function::row("geo_h3cell_children", &["(h3cell: string, [resolution: number]) -> dynamic"], |a, _| {
        children(a).into()
    })
    .doc("The H3 cells of a greater resolution in an H3 cell; of the next greater one if none is given.", &[
        ("array_length(geo_h3cell_children('862a1072fffffff'))", "7"),
        ("array_length(geo_h3cell_children('862a1072fffffff', 9))", "343"),
        ("geo_h3cell_children('862a1072fffffff', 15)", "dynamic(null)"),
    ]),
    Function::row("geo_h3cell_parent", &["(h3cell: string, [resolution: number]) -> string"], |a, _| parent(a).into())
        .doc("The H3 cell of a lesser resolution around an H3 cell; of the next lesser one if none is given.", &[
            ("geo_h3cell_parent('862a1072fffffff')", "\"852a1073fffffff\""),
            ("geo_h3cell_parent('862a1072fffffff', 100)", "\"\""),
        ]),
    Function::row("geo_h3cell_rings", &["(h3cell: string, distance: number) -> dynamic"], |a, _| rings(a).into()).doc(
        "The H3 cells at each distance from an H3 cell up to one.",
        &[
            ("array_length(geo_h3cell_rings('861f8894fffffff', 2)[2])", "12"),
            ("geo_h3cell_rings('861f8894fffffff', 150)", "dynamic(null)"),
        ],
    ),
    Function::row("geo_h3cell_level", &["(h3cell: string) -> int"], |a, _| {
        h3::parse(a[0].text()).map(|cell| i32::from(h3::level(cell))).into()
    })
    .doc("The resolution of an H3 cell.", &[
        ("geo_h3cell_level('862a1072fffffff')", "int(6)"),
        ("geo_h3cell_level('abc')", "int(null)"),
    ]),
];

/// Level and radius of a covering, the second and third argument.
pub(super) fn covering(a: &[Cell<'_>]) -> Option<(u8, f64)> {
    let level = whole(a.get(1), cover::LEVEL).filter(|level| *level <= s2::LEVEL_MAX)?;
    let radius = real(a.get(2), 0.0).filter(|radius| *radius >= 0.0)?;
    Some((level, radius))
}

/// Texts without characters that JSON escapes, as a JSON array.
fn texts<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    list(items.into_iter().map(|item| format!("\"{item}\"")))
}

fn ring_geojson(ring: Vec<Degrees>) -> String {
    polygon_geojson(&[vec![ring]])
}

fn to_geohash(a: &[Cell<'_>]) -> Option<String> {
    geohash::encode(a[0].real()?, a[1].real()?, usize::from(whole(a.get(2), LETTERS)?))
}

fn to_s2(a: &[Cell<'_>]) -> Option<String> {
    let level = whole(a.get(2), cover::LEVEL).filter(|level| *level <= s2::LEVEL_MAX)?;
    Some(s2::Cell::of_point(point(a[0], a[1])?).parent(level).token())
}

fn s2_polygon(a: &[Cell<'_>]) -> Option<String> {
    let corners = s2::Cell::parse(a[0].text())?.corners();
    let closed = corners.iter().chain(corners.first()).map(|corner| corner.degrees());
    Some(ring_geojson(closed.collect()))
}

fn to_h3(a: &[Cell<'_>]) -> Option<String> {
    let cell = h3::of_position(a[0].real()?, a[1].real()?, whole(a.get(2), RESOLUTION)?)?;
    Some(cell.to_string())
}

/// A resolution that may be left out; `None` outside if it is no number.
fn resolution(cell: Option<&Cell<'_>>) -> Option<Option<i64>> {
    cell.map_or(Some(None), |cell| cell.long().map(Some))
}

fn children(a: &[Cell<'_>]) -> Option<String> {
    h3::children(h3::parse(a[0].text())?, resolution(a.get(1))?).map(texts)
}

fn parent(a: &[Cell<'_>]) -> Option<String> {
    h3::parent(h3::parse(a[0].text())?, resolution(a.get(1))?).map(|cell| cell.to_string())
}

fn rings(a: &[Cell<'_>]) -> Option<String> {
    let rings = h3::rings(h3::parse(a[0].text())?, a[1].long()?)?;
    Some(list(rings.into_iter().map(texts)))
}
