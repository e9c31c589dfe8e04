//! Geospatial functions: thin declarations over `moneta-geometry`.
//!
//! Shapes are GeoJSON in `dynamic` values. Whatever has no answer there is null here.

pub mod cells;
pub mod lines;
pub mod points;
pub mod polygons;

use std::cell::RefCell;
use std::sync::Arc;
use std::thread::LocalKey;

use moneta_geometry::shape::{self, Line, Polygon};
use moneta_geometry::vector::Vector;

use super::row::Cell;
use crate::json;

/// Shapes kept parsed per thread: most calls name one or two constant shapes for all rows, and a lookup compares each
/// point with all shapes of a table, often some dozens.
const SHAPES_KEPT_MAX: usize = 64;

/// The tolerance in metres where none is given.
const TOLERANCE: f64 = 10.0;

/// Parsed shapes with their texts, the latest last.
type Kept<T> = RefCell<Vec<(String, Option<Arc<T>>)>>;

fn kept<T>(store: &'static LocalKey<Kept<T>>, text: &str, parse: fn(&str) -> Result<T, String>) -> Option<Arc<T>> {
    store.with_borrow_mut(|kept| {
        if let Some((_, shape)) = kept.iter().find(|(known, _)| known == text) {
            return shape.clone();
        }
        if kept.len() >= SHAPES_KEPT_MAX {
            kept.remove(0);
        }
        let shape = parse(text).ok().map(Arc::new);
        kept.push((text.to_owned(), shape.clone()));
        shape
    })
}

/// The line of a value.
fn line(cell: Cell<'_>) -> Option<Arc<Line>> {
    thread_local! {
        static KEPT: Kept<Line> = const { RefCell::new(Vec::new()) };
    }
    kept(&KEPT, cell.text(), Line::parse)
}

/// The polygon of a value.
fn polygon(cell: Cell<'_>) -> Option<Arc<Polygon>> {
    thread_local! {
        static KEPT: Kept<Polygon> = const { RefCell::new(Vec::new()) };
    }
    kept(&KEPT, cell.text(), Polygon::parse)
}

/// The point of two arguments, longitude first.
fn point(longitude: Cell<'_>, latitude: Cell<'_>) -> Option<Vector> {
    shape::point(longitude.real()?, latitude.real()?)
}

/// The shapes of an array; `None` if it is none, is empty, or has one that is invalid.
fn shapes<T>(cell: Cell<'_>, parse: fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
    let value = json::parse(cell.text());
    let all = value.as_array().filter(|all| !all.is_empty())?;
    all.iter().map(|one| parse(&one.to_string()).ok()).collect()
}

/// An optional whole number, `default` where it is left out.
fn whole(cell: Option<&Cell<'_>>, default: u8) -> Option<u8> {
    cell.map_or(Some(default), |cell| u8::try_from(cell.long()?).ok())
}

/// An optional real, `default` where it is left out.
fn real(cell: Option<&Cell<'_>>, default: f64) -> Option<f64> {
    cell.map_or(Some(default), |cell| cell.real().filter(|value| value.is_finite()))
}

/// An optional flag, given as `bool` or as a number.
fn flag(cell: Option<&Cell<'_>>) -> bool {
    cell.is_some_and(|cell| cell.bool().unwrap_or_else(|| cell.real().is_some_and(|number| number != 0.0)))
}
