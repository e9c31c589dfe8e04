//! Geohash: the map halved in turns, five halvings to a letter.

use crate::shape::{Degrees, valid};

/// Letters at most: 90 bits, which is finer than a coordinate.
pub const LETTERS_MAX: usize = 18;

const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// The rectangle of a hash.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rectangle {
    /// The lower left corner.
    pub low: Degrees,
    /// The upper right corner.
    pub high: Degrees,
}

/// The hash of a position, with a number of letters.
#[must_use]
pub fn encode(longitude: f64, latitude: f64, letters: usize) -> Option<String> {
    if !valid(longitude, latitude) || !(1..=LETTERS_MAX).contains(&letters) {
        return None;
    }
    let mut ranges = [(-180.0, 180.0), (-90.0, 90.0)];
    let values = [longitude, latitude];
    let mut text = String::with_capacity(letters);
    let mut axis = 0;
    for _ in 0..letters {
        let mut index = 0;
        for _ in 0..5 {
            let (low, high) = ranges[axis];
            let middle = f64::midpoint(low, high);
            let upper = values[axis] >= middle;
            ranges[axis] = if upper { (middle, high) } else { (low, middle) };
            index = index << 1 | usize::from(upper);
            axis = 1 - axis;
        }
        text.push(char::from(ALPHABET[index]));
    }
    Some(text)
}

/// The rectangle of a hash.
#[must_use]
pub fn decode(hash: &str) -> Option<Rectangle> {
    if hash.is_empty() || hash.len() > LETTERS_MAX {
        return None;
    }
    let mut ranges = [(-180.0, 180.0), (-90.0, 90.0)];
    let mut axis = 0;
    for byte in hash.bytes() {
        let index = ALPHABET.iter().position(|letter| *letter == byte.to_ascii_lowercase())?;
        for bit in (0..5).rev() {
            let (low, high) = ranges[axis];
            let middle = f64::midpoint(low, high);
            ranges[axis] = if index >> bit & 1 == 1 { (middle, high) } else { (low, middle) };
            axis = 1 - axis;
        }
    }
    let [(west, east), (south, north)] = ranges;
    Some(Rectangle { low: (west, south), high: (east, north) })
}

impl Rectangle {
    /// The middle.
    #[must_use]
    pub fn center(self) -> Degrees {
        (f64::midpoint(self.low.0, self.high.0), f64::midpoint(self.low.1, self.high.1))
    }

    /// The closed ring around it, counterclockwise from the lower left.
    #[must_use]
    pub fn ring(self) -> Vec<Degrees> {
        let ((west, south), (east, north)) = (self.low, self.high);
        vec![(west, south), (east, south), (east, north), (west, north), (west, south)]
    }
}

/// The hashes around a hash, in the order of the example in Kusto's documentation; fewer at the poles.
#[must_use]
pub fn neighbors(hash: &str) -> Option<Vec<String>> {
    const STEPS: [(f64, f64); 8] =
        [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (0.0, 1.0), (-1.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, -1.0)];
    let rectangle = decode(hash)?;
    let (width, height) = (rectangle.high.0 - rectangle.low.0, rectangle.high.1 - rectangle.low.1);
    let (lng, lat) = rectangle.center();
    let around = STEPS.iter().filter_map(|(right, up)| {
        let wrapped = (lng + right * width + 180.0).rem_euclid(360.0) - 180.0;
        encode(wrapped, lat + up * height, hash.len())
    });
    Some(around.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_positions() {
        assert_eq!(encode(-5.6, 42.6, 5).as_deref(), Some("ezs42"));
        assert_eq!(encode(10.407_44, 57.649_11, 11).as_deref(), Some("u4pruydqqvj"));
        assert_eq!(encode(200.0, 1.0, 8), None);
        assert_eq!(encode(1.0, 1.0, 0), None);
        assert_eq!(encode(1.0, 1.0, 19), None);
    }

    #[test]
    fn centers_of_hashes() {
        assert_eq!(decode("sunny").unwrap().center(), (42.473_144_531_25, 23.708_496_093_75));
        assert_eq!(decode("a"), None);
        assert_eq!(decode(""), None);
    }

    #[test]
    fn neighbors_wrap_around_the_earth_and_end_at_the_poles() {
        let around = neighbors("sunny").unwrap();
        assert_eq!(around, ["sunnt", "sunpj", "sunnx", "sunpn", "sunnv", "sunpp", "sunnz", "sunnw"]);
        assert!(neighbors("8").unwrap().contains(&"x".to_owned()));
        assert_eq!(neighbors("b").unwrap().len(), 5);
    }
}
