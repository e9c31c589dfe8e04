//! Mutations of logs: cuts, splices and exchanges at the borders that parsers look for, counts made too large, broken
//! bytes.
//!
//! Coverage-free but aware of structure: most results are nearly logs, which is where parsers break. The same seed gives
//! the same inputs.

use std::time::{Duration, Instant};

/// Processor time that a target may take for one input of [`INPUT_BYTES_MAX`] in a debug build.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of a mutated input at most.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// The stack a target runs on: what a thread of the server has.
const STACK_BYTES: usize = 2 * 1024 * 1024;
/// Inputs tried when no time is given.
const SHORT_RUN_INPUTS: usize = 40;

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

/// A source of numbers that is the same for the same seed (SplitMix64).
pub struct Numbers(pub u64);

impl Numbers {
    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) as usize).checked_rem(end).unwrap_or(0)
    }
}

/// Runs a target over mutations of the seeds: for `FUZZ_SECONDS` of processor time, else over a fixed number of inputs.
///
/// # Panics
/// When the target panics or takes too long; the input is kept in a file whose name the message has.
pub fn fuzz(name: &str, mut seeds: Vec<Vec<u8>>, target: impl Fn(&[u8], usize) + Send + 'static) {
    let seconds: Option<u64> = std::env::var("FUZZ_SECONDS").ok().map(|text| text.parse().unwrap());
    let seed = std::env::var("FUZZ_SEED").map_or(1, |text| text.parse().unwrap());
    let target_name = name.to_owned();
    let run = move || {
        let (started, mut numbers, mut count) = (Clock::now(), Numbers(seed), 0usize);
        loop {
            let is_done = match seconds {
                Some(seconds) => started.elapsed().as_secs() >= seconds,
                None => count >= SHORT_RUN_INPUTS,
            };
            if is_done {
                return (count, started.elapsed());
            }
            // Each seed as it is first: what it means must hold too.
            let is_whole = count < seeds.len().min(SHORT_RUN_INPUTS / 2);
            let input = if is_whole { seeds[count].clone() } else { mutated(&seeds, &mut numbers) };
            try_target(&target_name, &input, numbers.below(usize::MAX), &target);
            count += 1;
            // Some mutations live on, so that changes add up.
            if numbers.below(50) == 0 {
                let at = numbers.below(seeds.len());
                if seeds.len() < 500 { seeds.push(input) } else { seeds[at] = input }
            }
        }
    };
    let worker = std::thread::Builder::new().name(name.into()).stack_size(STACK_BYTES).spawn(run).unwrap();
    let (count, elapsed) = worker.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
    println!("fuzz {name}: {count} inputs in {elapsed:.1?} of processor time, no finding");
}

/// The processor time this thread has used, where the system tells it; else the time that has passed. A machine busy with
/// other work would make either limit mean less.
struct Clock {
    began: Instant,
    used: Option<Duration>,
}

impl Clock {
    fn now() -> Self {
        Self { began: Instant::now(), used: Self::used() }
    }

    fn elapsed(&self) -> Duration {
        match (self.used, Self::used()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => self.began.elapsed(),
        }
    }

    /// The first number of Linux's `schedstat`: nanoseconds on a processor.
    fn used() -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }
}

fn try_target(name: &str, input: &[u8], choice: usize, target: &impl Fn(&[u8], usize)) {
    let started = Clock::now();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(input, choice)));
    let took = started.elapsed();
    if outcome.is_err() || took > TIME_MAX {
        let kept = std::env::temp_dir().join(format!("moneta-fuzz-{name}"));
        std::fs::write(&kept, input).unwrap();
        panic!("finding in {name} after {took:?}, choice {choice}: the input is in {}", kept.display());
    }
}

/// A seed with a few changes.
pub fn mutated(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(5) {
        bytes = changed(&bytes, seeds, numbers);
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

/// Bytes with one change.
fn changed(bytes: &[u8], seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let (start, end) = range(bytes, numbers);
    let other = &seeds[numbers.below(seeds.len())];
    let (from, to) = range(other, numbers);
    let (before, middle, after) = (&bytes[..start], &bytes[start..end], &bytes[end..]);
    let piece = PIECES[numbers.below(PIECES.len())];
    match numbers.below(10) {
        0 => [before, after].concat(),
        1 => [before, middle, middle, after].concat(),
        2 => [before, &other[from..to], after].concat(),
        3 => [before, middle, &other[from..to], after].concat(),
        4 => [before, piece, after].concat(),
        5 => [before, piece, middle, piece, after].concat(),
        6 => {
            let times = numbers.below(3_000).min(40_000 / middle.len().max(1));
            [before, &middle.repeat(times), after].concat()
        }
        7 => [before, &piece.repeat(numbers.below(3_000)), after].concat(),
        8 => broken(bytes, numbers),
        _ => bytes[..start].to_vec(),
    }
}

/// A run of what stands between marks, or of bytes where there are none.
fn range(bytes: &[u8], numbers: &mut Numbers) -> (usize, usize) {
    if bytes.is_empty() {
        return (0, 0);
    }
    let at = numbers.below(bytes.len());
    if numbers.below(3) == 0 {
        return (at, (at + numbers.below(64)).min(bytes.len()));
    }
    let is_mark = |b: &u8| !b.is_ascii_alphanumeric();
    // Whole lines now and then.
    let by_line = numbers.below(4) == 0;
    let is_border = |b: &u8| if by_line { *b == b'\n' } else { is_mark(b) };
    let start = bytes[..at].iter().rposition(is_border).map_or(0, |border| border + 1);
    let mut end = at;
    for _ in 0..=numbers.below(if by_line { 3 } else { 6 }) {
        end = bytes[end..].iter().position(is_border).map_or(bytes.len(), |border| end + border + 1);
    }
    (start, end)
}

/// Bytes with one of them, or four in a row, exchanged: numbers of binary formats become too large.
fn broken(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.is_empty() {
        return bytes;
    }
    let at = numbers.below(bytes.len());
    match numbers.below(4) {
        0 => {
            let end = (at + 4).min(bytes.len());
            bytes[at..end].fill(if numbers.below(2) == 0 { 0xff } else { 0 });
        }
        1 => bytes[at] ^= 1 << numbers.below(8),
        _ => bytes[at] = numbers.below(256) as u8,
    }
    bytes
}
