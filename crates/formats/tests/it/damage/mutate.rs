//! Mutations of logs: cuts, splices and exchanges at the borders that parsers look for, counts made too large, broken
//! bytes.
//!
//! Coverage-free but aware of structure: most results are nearly logs, which is where parsers break. The same seed gives
//! the same inputs.

use std::time::Duration;

use moneta_testkit::{Fuzz, Random};

/// How targets are run; the time is for an input of [`INPUT_BYTES_MAX`] in a debug build.
const FUZZ: Fuzz = Fuzz { short_run: 40, whole_seeds: 20, seeds_max: 500, time_max: Duration::from_secs(5) };
/// Bytes of a mutated input at most.
const INPUT_BYTES_MAX: usize = 64 << 10;

/// Pieces that mean much to parsers of logs.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"'",
    b"\\",
    b"=",
    b"[",
    b"]",
    b"{",
    b"}",
    b"<",
    b">",
    b"</",
    b"/>",
    b"<!--",
    b"<![CDATA[",
    b"]]>",
    b"&amp;",
    b"&#x;",
    b";",
    b"|",
    b",",
    b"\t",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b":",
    b"-",
    b" ",
    b"#",
    b"#Fields: ",
    b"#Date: 9999-12-31\n",
    b"#fields\t",
    b"#types\t",
    b"#separator \\x00\n",
    b"\"\"",
    b"\\\"",
    b"\\u0000",
    b"\\ud800",
    b"99999999999999999999",
    b"-9223372036854775808",
    b"9223372036854775807",
    b"1e999",
    b"0x",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"1970-01-01T00:00:00Z",
    b"9999-99-99 99:99:99",
    b"Feb 29 23:59:60",
    b"+99:99",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"[{}]",
    b"msg=audit(",
    b"CEF:0|",
    b"LEEF:2.0|",
    b"<LOG[",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"ElfChnk\0",
    b"**\0\0",
    b"<Event>",
    b"\"records\":[",
    b"\xe2\x80\xa8",
    "ä😀".as_bytes(),
    b"%s%n",
    b"$(",
    b"../",
];

/// Runs a target over mutations of the seeds ([`Fuzz::run`]); what a seed means must hold too, so each is tried as it is.
pub fn fuzz(name: &str, seeds: Vec<Vec<u8>>, target: impl Fn(&[u8], &mut Random) + Send + 'static) {
    FUZZ.run(name, seeds, mutated, move |input, random| target(input, random));
}

/// A seed with a few changes.
pub fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(5) {
        bytes = changed(&bytes, seeds, random);
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

/// Bytes with one change.
fn changed(bytes: &[u8], seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let (start, end) = range(bytes, random);
    let other = &seeds[random.below(seeds.len())];
    let (from, to) = range(other, random);
    let (before, middle, after) = (&bytes[..start], &bytes[start..end], &bytes[end..]);
    let piece = PIECES[random.below(PIECES.len())];
    match random.below(10) {
        0 => [before, after].concat(),
        1 => [before, middle, middle, after].concat(),
        2 => [before, &other[from..to], after].concat(),
        3 => [before, middle, &other[from..to], after].concat(),
        4 => [before, piece, after].concat(),
        5 => [before, piece, middle, piece, after].concat(),
        6 => {
            let times = random.below(3_000).min(40_000 / middle.len().max(1));
            [before, &middle.repeat(times), after].concat()
        }
        7 => [before, &piece.repeat(random.below(3_000)), after].concat(),
        8 => broken(bytes, random),
        _ => bytes[..start].to_vec(),
    }
}

/// A run of what stands between marks, or of bytes where there are none.
fn range(bytes: &[u8], random: &mut Random) -> (usize, usize) {
    if bytes.is_empty() {
        return (0, 0);
    }
    let at = random.below(bytes.len());
    if random.below(3) == 0 {
        return (at, (at + random.below(64)).min(bytes.len()));
    }
    let is_mark = |b: &u8| !b.is_ascii_alphanumeric();
    // Whole lines now and then.
    let by_line = random.below(4) == 0;
    let is_border = |b: &u8| if by_line { *b == b'\n' } else { is_mark(b) };
    let start = bytes[..at].iter().rposition(is_border).map_or(0, |border| border + 1);
    let mut end = at;
    for _ in 0..=random.below(if by_line { 3 } else { 6 }) {
        end = bytes[end..].iter().position(is_border).map_or(bytes.len(), |border| end + border + 1);
    }
    (start, end)
}

/// Bytes with one of them, or four in a row, exchanged: numbers of binary formats become too large.
fn broken(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.is_empty() {
        return bytes;
    }
    let at = random.below(bytes.len());
    match random.below(4) {
        0 => {
            let end = (at + 4).min(bytes.len());
            bytes[at..end].fill(if random.below(2) == 0 { 0xff } else { 0 });
        }
        1 => bytes[at] ^= 1 << random.below(8),
        _ => bytes[at] = random.below(256) as u8,
    }
    bytes
}
