//! A binary fuse filter: tells for nine bits a key that a key is certainly absent, wrong once in 256 times.
//!
//! # Source
//! T. M. Graf and D. Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", 2022; three positions, eight bits
//! a fingerprint. The hash of a key and the rule for the sizes are ours, below.

/// Seeds tried at most; each fails about once in a hundred times.
const SEEDS_MAX: u64 = 128;
/// Positions of one segment at most.
const SEGMENT_LENGTH_MAX: u32 = 1 << 18;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// A filter over hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) seed: u64,
    /// A power of two.
    pub(super) segment_length: u32,
    pub(super) segments: u32,
    pub(super) fingerprints: Vec<u8>,
}

/// The hash of a column's key: words of eight bytes, the last filled up with zeros, mixed in one by one.
pub(super) fn hash_of(column: usize, key: &[u8]) -> u64 {
    let start = (column as u64).wrapping_mul(MULTIPLIER) ^ (key.len() as u64).rotate_left(32);
    let hash = key.chunks(8).fold(start, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let mixed = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
        mixed ^ (mixed >> 32)
    });
    mix(hash)
}

/// The finaliser of MurmurHash3.
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

impl Filter {
    /// A filter that holds the hashes; they are sorted and freed of repetitions on the way. Should no seed do, it holds
    /// everything.
    pub(super) fn build(hashes: &mut Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        let sized = Self::sized(hashes.len());
        let built = (0..SEEDS_MAX).find_map(|seed| Self { seed, ..sized.clone() }.filled(hashes));
        built.unwrap_or(Self { seed: 0, segment_length: 0, segments: 0, fingerprints: Vec::new() })
    }

    /// An empty filter for a number of keys.
    fn sized(num_keys: usize) -> Self {
        let keys = num_keys.max(2) as f64;
        let exponent = (keys.ln() / 3.33f64.ln() + 2.25).floor();
        // Small numbers, and nothing but the size of the filter hangs on them.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 2 and 18")]
        let segment_length = (1u32 << (exponent.clamp(2.0, 18.0) as u32)).min(SEGMENT_LENGTH_MAX);
        let spare = (0.875 + 0.25 * 1e6f64.ln() / keys.ln()).max(1.125);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "row groups have few million keys")]
        let capacity = (keys * spare).ceil() as u32;
        let segments = capacity.div_ceil(segment_length).saturating_sub(2).max(1);
        let length = (segments + 2) * segment_length;
        Self { seed: 0, segment_length, segments, fingerprints: vec![0; length as usize] }
    }

    /// Whether a hash may have been put in.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        if self.fingerprints.is_empty() {
            return true;
        }
        let (positions, fingerprint) = self.positions(hash);
        positions.iter().fold(fingerprint, |sum, position| sum ^ self.fingerprints[*position]) == 0
    }

    /// Whether the sizes fit each other: positions are then within bounds.
    pub(super) fn is_well_formed(&self) -> bool {
        let length = (u64::from(self.segments) + 2) * u64::from(self.segment_length);
        self.fingerprints.is_empty()
            || (self.segment_length.is_power_of_two() && self.segments > 0 && length == self.fingerprints.len() as u64)
    }

    fn positions(&self, hash: u64) -> ([usize; 3], u8) {
        let mixed = mix(hash.wrapping_add(self.seed.wrapping_mul(MULTIPLIER)));
        let range = u64::from(self.segments) * u64::from(self.segment_length);
        let place = |position: u64| usize::try_from(position).expect("a filter fits in memory");
        // The upper half of the product is below `range`.
        let first = place(u64::try_from((u128::from(mixed) * u128::from(range)) >> 64).unwrap_or(0));
        let (length, mask) = (self.segment_length as usize, u64::from(self.segment_length) - 1);
        let second = (first + length) ^ place((mixed >> 18) & mask);
        let third = (first + 2 * length) ^ place(mixed & mask);
        ([first, second, third], (mixed ^ (mixed >> 32)).to_le_bytes()[0])
    }

    /// Peels positions that one key has alone, last first fills them; `None` when some keys cannot be parted.
    fn filled(mut self, hashes: &[u64]) -> Option<Self> {
        let mut counts = vec![0u32; self.fingerprints.len()];
        let mut sums = vec![0u64; self.fingerprints.len()];
        for hash in hashes {
            for position in self.positions(*hash).0 {
                counts[position] += 1;
                sums[position] ^= hash;
            }
        }
        let mut alone: Vec<usize> = (0..counts.len()).filter(|position| counts[*position] == 1).collect();
        let mut order = Vec::with_capacity(hashes.len());
        while let Some(position) = alone.pop() {
            if counts[position] != 1 {
                continue;
            }
            let hash = sums[position];
            order.push((hash, position));
            for other in self.positions(hash).0 {
                counts[other] -= 1;
                sums[other] ^= hash;
                if counts[other] == 1 {
                    alone.push(other);
                }
            }
        }
        if order.len() < hashes.len() {
            return None;
        }
        for (hash, own) in order.into_iter().rev() {
            let (positions, fingerprint) = self.positions(hash);
            self.fingerprints[own] = 0;
            self.fingerprints[own] =
                positions.iter().fold(fingerprint, |sum, position| sum ^ self.fingerprints[*position]);
        }
        Some(self)
    }
}
