//! Geometry on the Earth: points, lines and polygons on a sphere, and the cells of geohash, S2 and H3.
//!
//! Shapes come and go as GeoJSON text, coordinates in degrees, lengths in metres. The Earth is a sphere except where a
//! function says spheroid; edges are geodesics. Each function answers `None` for what has no answer: a position that
//! is not on Earth, a shape that breaks a rule, a result beyond a limit.
//!
//! The crate does no I/O and knows no query language, no columns and no nulls: KQL's `geo_*` functions are declared
//! elsewhere over these.
//!
//! - [`vector`], [`predicates`]: points as unit vectors; decisions that never contradict each other.
//! - [`shape`]: lines and polygons and their rules; [`wkt`]: shapes from well-known text.
//! - [`measure`]: lengths, areas, directions, closest points; [`spheroid`]: the same on WGS 84 where it is offered.
//! - [`overlay`]: union and intersection; [`buffer`], [`simplify`], [`densify`]: shapes made of shapes.
//! - [`geohash`], [`s2`], [`h3`]: cells; [`cover`]: the S2 cells of a shape.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod buffer;
pub mod cover;
pub mod densify;
pub mod geohash;
pub mod h3;
pub mod measure;
pub mod overlay;
pub mod predicates;
pub mod s2;
pub mod shape;
pub mod simplify;
pub mod spheroid;
mod sweep;
pub mod vector;
pub mod wkt;

/// The radius of the Earth in metres where it is a sphere.
///
/// # Source
/// Lengths and areas in Kusto's documentation divide by this radius; it is also the one S2 uses.
pub const EARTH_RADIUS_METERS: f64 = 6_371_010.0;
