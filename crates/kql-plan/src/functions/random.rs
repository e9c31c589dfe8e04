//! Functions whose results differ from row to row and from query to query.
//!
//! The numbers come from SplitMix64 (Steele, Lea, Flood 2014) over a counter that starts where the standard library's
//! hash seeds put it: no two starts of the program give the same numbers. They are no secrets: nothing in Moneta that
//! must not be guessed is made here.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::row::{Answer, Cell};
use super::{Function, Naming};

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("rand", &["([bound: integer]) -> real"], |args, _| match args.first() {
        None => unit(next()).into(),
        Some(Cell::Long(bound)) if *bound > 0 => (unit(next()) * super::row::long_to_real(*bound)).floor().into(),
        Some(_) => Answer::Null,
    })
    .naming(Naming::First)
    .volatile()
    .doc("A random number from 0 up to 1, or a whole one from 0 up to a bound; 1 and the bound are left out.", &[]),
    Function::row("new_guid", &["() -> guid"], |_, _| guid(next(), next()).into())
        .volatile()
        .doc("A random GUID (version 4 of RFC 9562).", &[]),
];

/// The next 64 random bits.
fn next() -> u64 {
    static COUNTER: OnceLock<AtomicU64> = OnceLock::new();
    let counter = COUNTER.get_or_init(|| AtomicU64::new(RandomState::new().hash_one("moneta")));
    let mut bits = counter.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The upper 53 bits as a number from 0 up to 1.
#[allow(clippy::cast_precision_loss, reason = "53 bits fit a real exactly")]
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// 128 random bits as a GUID, six of them set to say the version and the variant.
fn guid(high: u64, low: u64) -> String {
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_and_stay_in_their_range() {
        let numbers: Vec<f64> = (0..1000).map(|_| unit(next())).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
        let mean = numbers.iter().sum::<f64>() / 1000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }

    #[test]
    fn guids_say_their_version() {
        assert_eq!(guid(u64::MAX, u64::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(guid(0, 0), "00000000-0000-4000-8000-000000000000");
    }
}
