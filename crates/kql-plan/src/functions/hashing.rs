//! Hashes. `hash` and its relatives are XXH64 over the bytes of the value, as in Kusto.

use aws_lc_rs::digest;
use moneta_event::ColumnType;

use super::Function;
use super::conversion::to_text;
use super::row::{Answer, Call, Cell};
use crate::value::{NANOS_PER_TICK, datetime_ticks};

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("hash", &["(source: scalar, [mod: integer]) -> long"], |a, call| hashed(a, call, 0))
        .aliases(&["hash_xxhash64"])
        .doc(
            "The XXH64 of a value, or its remainder.",
            &[("hash('World')", "1846988464401551951"), ("hash('World', 100)", "51")],
        ),
    Function::row("__hash_xxh64", &["(source: scalar, mod: integer, seed: integer) -> long"], |a, call| {
        hashed(a, call, a[2].long().unwrap_or(0).cast_unsigned())
    })
    .doc("The XXH64 of a value with a seed.", &[("__hash_xxh64('World', 100, 0)", "51")]),
    Function::row("hash_combine", &["(hash: scalar, other: scalar...) -> long"], |a, call| {
        // What is no whole number is no hash yet.
        let hash = |(cell, column_type): (&Cell<'_>, &ColumnType)| match cell {
            Cell::Long(hash) => *hash,
            other => value_hash(*other, *column_type, 0).cast_signed(),
        };
        a.iter().zip(call.types).map(hash).reduce(combined).into()
    })
    .doc(
        "One hash of several; other values are hashed first. How they are combined is our own.",
        &[("hash_combine(7) == 7", "true")],
    ),
    Function::row("hash_many", &["(value: scalar, other: scalar...) -> long"], |a, call| {
        let hash = |(cell, column_type): (&Cell<'_>, &ColumnType)| value_hash(*cell, *column_type, 0).cast_signed();
        a.iter().zip(call.types).map(hash).reduce(combined).into()
    })
    .doc(
        "The combined hash of several values.",
        &[("hash_many('a', 'b') == hash_combine(hash('a'), hash('b'))", "true")],
    ),
    Function::row("hash_sha1", &["(source: astext) -> string"], |a, _| {
        hex::encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, a[0].text().as_bytes()).as_ref()).into()
    })
    .doc(
        "The SHA-1 of a text in hexadecimal digits.",
        &[("hash_sha1('World')", "\"70c07ec18ef89c5309bbb0937f3a6342411e1fdd\"")],
    ),
    Function::row("__hash_crc32", &["(source: scalar, mod: integer, seed: integer) -> long"], |a, call| {
        let seed = u32::try_from(a[2].long().unwrap_or(0)).unwrap_or(0);
        remainder(i64::from(crc32(&to_text(a[0], call.types[0]), seed)), a.get(1))
    })
    .doc("The CRC-32 of a value's text.", &[("__hash_crc32('123456789', 10000000000, 0)", "3421780262")]),
    Function::row("__hash_many_crc32", &["(value: scalar, [other: scalar]) -> long"], |a, call| {
        let add = |sum, (cell, column_type): (&Cell<'_>, &ColumnType)| crc32(&to_text(*cell, *column_type), sum);
        i64::from(a.iter().zip(call.types).fold(0, add)).into()
    })
    .doc("The CRC-32 over the texts of values.", &[("__hash_many_crc32('1234', '56789')", "3421780262")]),
    Function::row("__hash_djb2", &["(source: scalar, [mod: integer]) -> long"], |a, call| {
        let text = to_text(a[0], call.types[0]);
        let hash = text.bytes().fold(5381i64, |hash, byte| hash.wrapping_mul(33).wrapping_add(i64::from(byte)));
        remainder(hash, a.get(1))
    })
    .doc("Bernstein's hash of a value's text.", &[("__hash_djb2('a')", "177670")]),
];

fn hashed<'a>(args: &[Cell<'_>], call: &Call<'_>, seed: u64) -> Answer<'a> {
    remainder(value_hash(args[0], call.types[0], seed).cast_signed(), args.get(1))
}

/// The hash, or its remainder by a positive number.
fn remainder<'a>(hash: i64, modulus: Option<&Cell<'_>>) -> Answer<'a> {
    match modulus.and_then(|cell| cell.long()) {
        Some(modulus) if modulus > 0 => hash.rem_euclid(modulus).into(),
        _ => hash.into(),
    }
}

/// The XXH64 of a value: of a text its UTF-8, of numbers and times (in ticks) their eight bytes.
#[must_use]
pub fn value_hash(cell: Cell<'_>, column_type: ColumnType, seed: u64) -> u64 {
    match cell {
        Cell::Text(text) if column_type == ColumnType::Dynamic => xxh64(crate::json::to_text(text).as_bytes(), seed),
        Cell::Text(text) => xxh64(text.as_bytes(), seed),
        Cell::Time(nanos) if column_type == ColumnType::DateTime => xxh64(&datetime_ticks(nanos).to_le_bytes(), seed),
        Cell::Time(nanos) => xxh64(&(nanos / NANOS_PER_TICK).to_le_bytes(), seed),
        Cell::Long(value) => xxh64(&value.to_le_bytes(), seed),
        Cell::Real(value) => xxh64(&value.to_le_bytes(), seed),
        Cell::Decimal(value) => xxh64(&value.to_le_bytes(), seed),
        Cell::Bool(value) => xxh64(&[u8::from(value)], seed),
        Cell::Null => xxh64(&[], seed),
    }
}

/// Mixes a hash into another; the order matters.
fn combined(left: i64, right: i64) -> i64 {
    xxh64(&right.to_le_bytes(), left.cast_unsigned()).cast_signed()
}

const PRIME_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME_5: u64 = 0x27D4_EB2F_1656_67C5;

/// XXH64 of bytes.
///
/// # Source
/// The xxHash specification, version 0.1.1.
#[must_use]
pub fn xxh64(bytes: &[u8], seed: u64) -> u64 {
    let (mut hash, tail) = stripes(bytes, seed);
    hash = hash.wrapping_add(bytes.len() as u64);
    let (words, tail) = tail.as_chunks::<8>();
    for word in words {
        hash ^= round(0, u64::from_le_bytes(*word));
        hash = hash.rotate_left(27).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
    }
    let (halves, tail) = tail.as_chunks::<4>();
    for half in halves {
        hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIME_1);
        hash = hash.rotate_left(23).wrapping_mul(PRIME_2).wrapping_add(PRIME_3);
    }
    for byte in tail {
        hash ^= u64::from(*byte).wrapping_mul(PRIME_5);
        hash = hash.rotate_left(11).wrapping_mul(PRIME_1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(PRIME_2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(PRIME_3);
    hash ^ (hash >> 32)
}

/// The state after all whole stripes of 32 bytes, and the bytes left.
fn stripes(bytes: &[u8], seed: u64) -> (u64, &[u8]) {
    if bytes.len() < 32 {
        return (seed.wrapping_add(PRIME_5), bytes);
    }
    let mut lanes = [
        seed.wrapping_add(PRIME_1).wrapping_add(PRIME_2),
        seed.wrapping_add(PRIME_2),
        seed,
        seed.wrapping_sub(PRIME_1),
    ];
    let (all, tail) = bytes.as_chunks::<32>();
    for stripe in all {
        for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }
    let rotations = [1, 7, 12, 18];
    let mut hash = lanes.iter().zip(rotations).fold(0u64, |sum, (lane, by)| sum.wrapping_add(lane.rotate_left(by)));
    for lane in lanes {
        hash = (hash ^ round(0, lane)).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
    }
    (hash, tail)
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

/// The CRC-32 of a text behind what has been summed so far.
fn crc32(text: &str, so_far: u32) -> u32 {
    let step = |sum: u32, byte: u8| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 })
    };
    !text.bytes().fold(!so_far, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_agree_with_published_values() {
        assert_eq!(xxh64(b"", 0), 0xEF46_DB37_51D8_E999);
        assert_eq!(xxh64(b"World", 0), 1_846_988_464_401_551_951);
        assert_eq!(xxh64(b"Hello", 0), 753_694_413_698_530_628);
        assert_eq!(xxh64(b"Nobody inspects the spammish repetition", 0), 0xFBCE_A83C_8A37_8BF1);
        assert_eq!(crc32("123456789", 0), 0xCBF4_3926);
        let new_year = Cell::Time(1_420_070_400_000_000_000);
        assert_eq!(value_hash(new_year, ColumnType::DateTime, 0), 1_380_966_698_541_616_202);
    }
}
