//! Which partition the records of a key go to.

/// The partition that Kafka's own clients choose for a key, of so many; 0 where there is none.
///
/// # Source
/// Apache Kafka, the default partitioner: MurmurHash2 of the key with its own seed, without the sign, by the number of
/// partitions.
#[must_use]
pub fn partition_of(key: &[u8], partitions: usize) -> usize {
    let hash = murmur2(key) & 0x7fff_ffff;
    usize::try_from(hash).unwrap_or_default().checked_rem(partitions).unwrap_or_default()
}

fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MIX: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut words = bytes.chunks_exact(4);
    for word in words.by_ref() {
        let mut word = u32::from_le_bytes(word.try_into().unwrap_or_default()).wrapping_mul(MIX);
        word = (word ^ (word >> 24)).wrapping_mul(MIX);
        hash = hash.wrapping_mul(MIX) ^ word;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(MIX);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_where_other_clients_send_them() {
        // The values that Kafka's own tests of the hash have.
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        assert_eq!(partition_of(b"abc", 10), 7);
        assert_eq!(partition_of(b"abc", 0), 0);
    }
}
