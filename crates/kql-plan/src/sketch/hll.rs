//! HyperLogLog: how many distinct values there are, from their hashes.
//!
//! While there are few, the hashes themselves are kept and the count is exact; beyond that there is one register per
//! bucket, holding the longest run of leading zeros seen.
//!
//! # Text
//! `[[format, precision], [hash, ...], registers]`: the format is 1; the hashes are signed whole numbers in rising
//! order, empty once there are registers; the registers are base64 of one byte each, or `""`.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use crate::functions::series::numbers::{count, position};

/// The version of the text.
const FORMAT: u64 = 1;

/// The number of hashes kept as they are.
const EXACT_MAX: usize = 1024;

/// The precisions a text may claim: registers are two to that power.
const PRECISIONS: std::ops::RangeInclusive<u32> = 4..=18;

/// A sketch of distinct values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hll {
    precision: u32,
    exact: BTreeSet<u64>,
    registers: Vec<u8>,
}

impl Hll {
    /// An empty sketch of Kusto's accuracy: 0 (1.6 % error) to 4 (0.2 %).
    #[must_use]
    pub fn new(accuracy: i64) -> Self {
        let precision = match accuracy {
            i64::MIN..=0 => 12,
            1 => 14,
            2 => 16,
            3 => 17,
            _ => 18,
        };
        Self { precision, exact: BTreeSet::new(), registers: Vec::new() }
    }

    /// Reads a sketch; `None` for what is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value = crate::json::parse(text);
        if value.get(0)?.get(0)?.as_u64()? != FORMAT {
            return None;
        }
        let precision = u32::try_from(value.get(0)?.get(1)?.as_u64()?).ok().filter(|p| PRECISIONS.contains(p))?;
        let hashes = value.get(1)?.as_array()?.iter().map(|hash| hash.as_i64().map(i64::cast_unsigned));
        let exact = hashes.collect::<Option<BTreeSet<u64>>>()?;
        let registers = STANDARD.decode(value.get(2)?.as_str()?).ok()?;
        let valid = registers.is_empty() || registers.len() == 1 << precision;
        (valid && exact.len() <= EXACT_MAX).then_some(Self { precision, exact, registers })
    }

    /// The sketch as text.
    #[must_use]
    pub fn text(&self) -> String {
        let hashes: Vec<i64> = self.exact.iter().map(|hash| hash.cast_signed()).collect();
        json!([[FORMAT, self.precision], hashes, STANDARD.encode(&self.registers)]).to_string()
    }

    /// Adds the hash of a value.
    pub fn insert(&mut self, hash: u64) {
        if !self.registers.is_empty() {
            self.register(hash);
        } else if self.exact.insert(hash) && self.exact.len() > EXACT_MAX {
            self.spread();
        }
    }

    fn register(&mut self, hash: u64) {
        let bucket = usize::try_from(hash >> (64 - self.precision)).unwrap_or(0);
        let rest = hash << self.precision;
        let run = rest.leading_zeros().min(64 - self.precision) + 1;
        let run = u8::try_from(run).unwrap_or(u8::MAX);
        if let Some(register) = self.registers.get_mut(bucket) {
            *register = (*register).max(run);
        }
    }

    /// Goes over to registers.
    fn spread(&mut self) {
        self.registers = vec![0; 1 << self.precision];
        for hash in std::mem::take(&mut self.exact) {
            self.register(hash);
        }
    }

    /// Adds all that another sketch has seen. The result has the lower precision of both.
    pub fn merge(&mut self, other: &Self) {
        if other.registers.is_empty() {
            self.lower(other.precision);
            other.exact.iter().for_each(|hash| self.insert(*hash));
            return;
        }
        if self.registers.is_empty() {
            self.spread();
        }
        self.lower(other.precision);
        let mut other = other.clone();
        other.lower(self.precision);
        for (own, theirs) in self.registers.iter_mut().zip(&other.registers) {
            *own = (*own).max(*theirs);
        }
    }

    /// Joins registers until the precision is not above another.
    fn lower(&mut self, precision: u32) {
        while self.precision > precision {
            let pairs = self.registers.chunks_exact(2);
            // The bit that told the two apart becomes the first of the rest.
            let joined = |pair: &[u8]| if pair[0] > 0 { pair[0] + 1 } else { u8::from(pair[1] > 0) };
            self.registers = pairs.map(joined).collect();
            self.precision -= 1;
        }
    }

    /// The estimated number of distinct values; exact while they are few.
    #[must_use]
    pub fn count(&self) -> u64 {
        if self.registers.is_empty() {
            return self.exact.len() as u64;
        }
        let buckets = count(self.registers.len());
        let sum: f64 = self.registers.iter().map(|run| (-f64::from(*run)).exp2()).sum();
        let raw = 0.7213 / (1.0 + 1.079 / buckets) * buckets * buckets / sum;
        let empty = self.registers.iter().filter(|run| **run == 0).count();
        let estimate = if raw <= 2.5 * buckets && empty > 0 { buckets * (buckets / count(empty)).ln() } else { raw };
        position(estimate.round()) as u64
    }

    /// The bytes it takes in memory, roughly.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.registers.len() + self.exact.len() * 16
    }
}

/// The sketch of several texts, if all are sketches.
#[must_use]
pub fn merged<'t>(texts: impl IntoIterator<Item = &'t str>) -> Option<Hll> {
    let mut all = texts.into_iter().map(Hll::parse);
    let mut first = all.next()??;
    for other in all {
        first.merge(&other?);
    }
    Some(first)
}

/// Whether a text is a sketch, as JSON says it.
#[must_use]
pub fn is_valid(text: &str) -> Json {
    Json::Bool(Hll::parse(text).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::hashing::xxh64;

    fn sketch(range: std::ops::Range<u64>, accuracy: i64) -> Hll {
        let mut hll = Hll::new(accuracy);
        range.for_each(|n| hll.insert(xxh64(&n.to_le_bytes(), 0)));
        hll
    }

    #[test]
    fn few_values_are_counted_exactly_and_many_nearly() {
        assert_eq!(sketch(0..1000, 1).count(), 1000);
        for (n, accuracy) in [(5_000, 1), (50_000, 1), (50_000, 0), (200_000, 2)] {
            let found = count(usize::try_from(sketch(0..n, accuracy).count()).unwrap());
            let expected = count(usize::try_from(n).unwrap());
            assert!((found - expected).abs() < 0.04 * expected, "{found} instead of {expected}");
        }
    }

    #[test]
    fn merging_is_like_seeing_everything() {
        for (accuracy, other) in [(1, 1), (2, 0), (0, 2)] {
            let mut left = sketch(0..20_000, accuracy);
            left.merge(&sketch(10_000..30_000, other));
            assert_eq!(left, sketch(0..30_000, accuracy.min(other)));
        }
        let mut few = sketch(0..10, 1);
        few.merge(&sketch(5..15, 1));
        assert_eq!(few.count(), 15);
        few.merge(&sketch(0..5_000, 1));
        assert_eq!(few, sketch(0..5_000, 1));
    }

    #[test]
    fn texts_are_read_back() {
        for hll in [sketch(0..0, 1), sketch(0..10, 1), sketch(0..5_000, 0)] {
            assert_eq!(Hll::parse(&hll.text()), Some(hll));
        }
        for text in ["", "[]", "[[2,14],[],\"\"]", "[[1,60],[],\"\"]", "[[1,14],[],\"AAAA\"]", "[[1,14],[\"x\"],\"\"]"]
        {
            assert_eq!(Hll::parse(text), None, "{text}");
        }
    }
}
