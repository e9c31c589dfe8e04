//! T-digest: percentiles of many numbers from a few weighted ones, exact at the ends.
//!
//! While there are few distinct numbers each is kept with its weight and the percentiles are exact. Beyond that
//! neighbours are joined, in the middle more than at the ends.
//!
//! # Text
//! `[[format], [mean, ...], [weight, ...]]`: the format is 1, the means rise. Times are in ticks.

use serde_json::json;

use crate::functions::series::numbers::{Series, count};

/// The version of the text.
const FORMAT: f64 = 1.0;

/// The number of centroids beyond which neighbours are joined.
const CENTROIDS_MAX: usize = 2_000;

/// The number of centroids that are left about.
const COMPRESSION: f64 = 1_000.0;

/// Weighted numbers in rising order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TDigest {
    centroids: Vec<(f64, f64)>,
    /// Added and not yet in order.
    pending: Vec<(f64, f64)>,
}

impl TDigest {
    /// Reads a digest; `None` for what is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts = crate::json::elements(text)?;
        let [format, means, weights] = parts.as_slice() else { return None };
        if (Series::read(format)?.complete()?.first()? - FORMAT).abs() > 0.0 {
            return None;
        }
        let (means, weights) = (Series::read(means)?.complete()?, Series::read(weights)?.complete()?);
        let valid = means.len() == weights.len()
            && means.is_sorted()
            && means.len() <= CENTROIDS_MAX
            && weights.iter().all(|weight| *weight > 0.0);
        valid.then(|| Self { centroids: means.into_iter().zip(weights).collect(), pending: Vec::new() })
    }

    /// The digest as text.
    #[must_use]
    pub fn text(&mut self) -> String {
        self.settle();
        let number = |value: f64| {
            let mut text = String::new();
            crate::functions::series::numbers::push_number(&mut text, value, true);
            text
        };
        let list = |values: Vec<f64>| values.into_iter().map(number).collect::<Vec<_>>().join(",");
        let (means, weights) = self.centroids.iter().copied().unzip();
        format!("[{},[{}],[{}]]", json!([1]), list(means), list(weights))
    }

    /// Adds a number with a weight.
    pub fn insert(&mut self, value: f64, weight: f64) {
        if value.is_finite() && weight > 0.0 {
            self.pending.push((value, weight));
            if self.pending.len() >= CENTROIDS_MAX {
                self.settle();
            }
        }
    }

    /// Adds all of another digest.
    pub fn merge(&mut self, other: &Self) {
        self.pending.extend(other.centroids.iter().chain(&other.pending));
        self.settle();
    }

    /// Brings what was added into order, equal numbers joined, and joins neighbours if there are too many.
    fn settle(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut all = std::mem::take(&mut self.centroids);
        all.append(&mut self.pending);
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut joined: Vec<(f64, f64)> = Vec::with_capacity(all.len());
        for (value, weight) in all {
            match joined.last_mut() {
                Some(last) if last.0.total_cmp(&value).is_eq() => last.1 += weight,
                _ => joined.push((value, weight)),
            }
        }
        self.centroids = if joined.len() > CENTROIDS_MAX { compressed(&joined) } else { joined };
    }

    /// The sum of the weights.
    fn total(&self) -> f64 {
        self.centroids.iter().map(|(_, weight)| weight).sum()
    }

    /// The number at a percentile: the first up to which at least that share of the weight lies.
    #[must_use]
    pub fn percentile(&mut self, percent: f64) -> Option<f64> {
        self.settle();
        let wanted = (self.total() * percent.clamp(0.0, 100.0) / 100.0 - 1e-9).ceil().max(1.0);
        let mut seen = 0.0;
        for (value, weight) in &self.centroids {
            seen += weight;
            if seen >= wanted {
                return Some(*value);
            }
        }
        self.centroids.last().map(|(value, _)| *value)
    }

    /// The weight of the numbers up to a value.
    #[must_use]
    pub fn rank(&mut self, value: f64) -> f64 {
        self.settle();
        self.centroids.iter().take_while(|(mean, _)| *mean <= value).map(|(_, weight)| weight).sum()
    }

    /// The share of the numbers up to a value, in percent.
    #[must_use]
    pub fn percent_rank(&mut self, value: f64) -> f64 {
        let rank = self.rank(value);
        100.0 * rank / self.total()
    }

    /// The bytes it takes in memory, roughly.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        (self.centroids.len() + self.pending.len()) * 16
    }
}

/// Joins neighbours so that each stays within one step of the arc sine scale.
fn compressed(all: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let total: f64 = all.iter().map(|(_, weight)| weight).sum();
    let scale = |share: f64| COMPRESSION / std::f64::consts::PI * (2.0 * share.clamp(0.0, 1.0) - 1.0).asin();
    let mut out: Vec<(f64, f64)> = Vec::with_capacity(CENTROIDS_MAX);
    let (mut before, mut open) = (0.0, (0.0, 0.0));
    for (value, weight) in all {
        let fits = scale((before + open.1 + weight) / total) - scale(before / total) <= 1.0;
        if open.1 > 0.0 && !fits {
            out.push(open);
            before += open.1;
            open = (0.0, 0.0);
        }
        let sum = open.1 + weight;
        open = (open.0 + (value - open.0) * weight / sum, sum);
    }
    out.push(open);
    debug_assert!(count(out.len()) <= 2.0 * COMPRESSION);
    out
}

/// The digest of several texts, if all are digests.
#[must_use]
pub fn merged<'t>(texts: impl IntoIterator<Item = &'t str>) -> Option<TDigest> {
    let mut out = TDigest::default();
    for text in texts {
        out.merge(&TDigest::parse(text)?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(range: std::ops::RangeInclusive<u32>) -> TDigest {
        let mut digest = TDigest::default();
        range.for_each(|n| digest.insert(f64::from(n), 1.0));
        digest
    }

    #[test]
    fn percentiles_of_few_are_exact_and_of_many_near() {
        assert_eq!(digest(1..=100).percentile(95.0), Some(95.0));
        assert_eq!(digest(1..=10).percentile(0.0), Some(1.0));
        assert_eq!(TDigest::default().percentile(50.0), None);
        let mut many = digest(1..=100_000);
        for percent in [0.0, 1.0, 25.0, 50.0, 75.0, 99.0, 99.9, 100.0] {
            let found = many.percentile(percent).unwrap();
            assert!((found - percent * 1000.0).abs() < 300.0, "{found} at {percent}");
        }
        assert!((many.rank(50_000.0) - 50_000.0).abs() < 300.0);
    }

    #[test]
    fn weights_and_merging_count() {
        let mut weighted = TDigest::default();
        [(10.0, 8.0), (20.0, 6.0), (30.0, 3.0), (40.0, 1.0)].iter().for_each(|(v, w)| weighted.insert(*v, *w));
        assert_eq!([50.0, 75.0, 99.9].map(|p| weighted.percentile(p).unwrap()), [20.0, 20.0, 40.0]);
        let mut both = digest(1..=10);
        both.merge(&digest(11..=20));
        assert_eq!(both.text(), digest(1..=20).text());
        assert!((both.percent_rank(5.0) - 25.0).abs() < 1e-9);
    }

    #[test]
    fn texts_are_read_back() {
        let mut own = digest(1..=5);
        let text = own.text();
        assert_eq!(text, "[[1],[1,2,3,4,5],[1,1,1,1,1]]");
        assert_eq!(TDigest::parse(&text), Some(own));
        for text in ["[]", "[[1],[1],[]]", "[[1],[2,1],[1,1]]", "[[1],[1],[0]]", "[[9],[1],[1]]"] {
            assert_eq!(TDigest::parse(text), None, "{text}");
        }
    }
}
