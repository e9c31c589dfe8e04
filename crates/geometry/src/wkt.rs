//! Well-known text (OGC Simple Features, "Well-known Text Representation") to GeoJSON.

use crate::shape::{collection_geojson, list, object};

/// How deep collections may nest.
const DEPTH_MAX: usize = 16;

/// The GeoJSON text of a shape in well-known text; `None` for what is none, and for empty shapes.
#[must_use]
pub fn to_geojson(text: &str) -> Option<String> {
    let mut reader = Reader { rest: text.trim() };
    let shape = reader.shape(0)?;
    reader.rest.is_empty().then_some(shape)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn shape(&mut self, depth: usize) -> Option<String> {
        let shape = match self.word().to_ascii_uppercase().as_str() {
            "POINT" => object("Point", &self.parenthesised(Self::position)?),
            "LINESTRING" => object("LineString", &self.path()?),
            "POLYGON" => object("Polygon", &self.array(Self::path)?),
            "MULTIPOINT" => object("MultiPoint", &self.array(Self::loose_position)?),
            "MULTILINESTRING" => object("MultiLineString", &self.array(Self::path)?),
            "MULTIPOLYGON" => object("MultiPolygon", &self.array(|reader| reader.array(Self::path))?),
            "GEOMETRYCOLLECTION" if depth < DEPTH_MAX => {
                collection_geojson(&self.items(|reader| reader.shape(depth + 1))?)
            }
            _ => return None,
        };
        Some(shape)
    }

    fn path(&mut self) -> Option<String> {
        self.array(Self::position)
    }

    fn array(&mut self, item: impl FnMut(&mut Self) -> Option<String>) -> Option<String> {
        Some(list(self.items(item)?))
    }

    /// Items between parentheses, separated by commas.
    fn items(&mut self, mut item: impl FnMut(&mut Self) -> Option<String>) -> Option<Vec<String>> {
        self.expect('(')?;
        let mut all = vec![item(self)?];
        while self.expect(',').is_some() {
            all.push(item(self)?);
        }
        self.expect(')')?;
        Some(all)
    }

    fn parenthesised(&mut self, mut item: impl FnMut(&mut Self) -> Option<String>) -> Option<String> {
        self.expect('(')?;
        let inner = item(self)?;
        self.expect(')')?;
        Some(inner)
    }

    /// A position of a `MULTIPOINT`, which may stand in parentheses of its own.
    fn loose_position(&mut self) -> Option<String> {
        if self.rest.starts_with('(') { self.parenthesised(Self::position) } else { self.position() }
    }

    fn position(&mut self) -> Option<String> {
        let (x, y) = (self.number()?, self.number()?);
        Some(format!("[{x},{y}]"))
    }

    fn number(&mut self) -> Option<f64> {
        let end = self.rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.trim_start();
        digits.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        word
    }

    fn expect(&mut self, c: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(c)?.trim_start();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_every_kind() {
        for (text, kind, coordinates) in [
            ("POINT (1 2)", "Point", "[1,2]"),
            ("linestring(1 2,3.5 -4e1)", "LineString", "[[1,2],[3.5,-40]]"),
            ("POLYGON ((0 0, 2 0, 2 2, 0 0))", "Polygon", "[[[0,0],[2,0],[2,2],[0,0]]]"),
            ("MULTIPOINT (1 1, 2 2)", "MultiPoint", "[[1,1],[2,2]]"),
            ("MULTIPOINT ((1 1), (2 2))", "MultiPoint", "[[1,1],[2,2]]"),
            ("MULTILINESTRING ((1 1, 2 2), (4 4, 5 5))", "MultiLineString", "[[[1,1],[2,2]],[[4,4],[5,5]]]"),
            ("MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))", "MultiPolygon", "[[[[0,0],[1,0],[1,1],[0,0]]]]"),
        ] {
            assert_eq!(to_geojson(text), Some(object(kind, coordinates)), "{text}");
        }
        let collection = to_geojson("GEOMETRYCOLLECTION (POINT (1 1), LINESTRING (2 2, 3 3))").unwrap();
        assert!(collection.starts_with(r#"{"type":"GeometryCollection","geometries":[{"type":"Point""#));
    }

    #[test]
    fn what_is_no_shape_is_refused() {
        let deep = "GEOMETRYCOLLECTION (".repeat(100_000);
        for text in ["LINESTRING", "", "POINT (1)", "POINT (1 2", "POINT (1 2) x", "POINT EMPTY", "CIRCLE (1 2)", &deep]
        {
            assert_eq!(to_geojson(text), None);
        }
    }
}
