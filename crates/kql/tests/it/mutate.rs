//! Mutations of query texts: cuts, splices and exchanges at token borders, and broken bytes.
//!
//! Coverage-free but aware of structure: most results are nearly queries, which is where parsers and binders break.
//! The same seed gives the same texts. Used by the fuzz targets of this crate and of the binder.

use moneta_kql::lexer::tokenize;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a target may take for one text.
const TIME_MAX: Duration = Duration::from_secs(20);
/// Bytes of a mutated text at most.
const TEXT_BYTES_MAX: usize = 20_000;
/// The stack a target runs on: what a thread of the server has.
const STACK_BYTES: usize = 2 * 1024 * 1024;
/// Texts tried when no time is given.
const SHORT_RUN_TEXTS: usize = 1_500;

/// Pieces that mean much to a parser.
const PIECES: &[&str] = &[
    "|",
    ";",
    ",",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ".",
    "..",
    ":",
    "=",
    "==",
    "=>",
    "<|",
    "-->",
    "*",
    "-",
    "'",
    "\"",
    "```",
    "~~~",
    "@'",
    "h'",
    "//",
    "\n",
    "#",
    "\u{feff}",
    "\u{2028}",
    "\0",
    "\u{1F600}",
    "let ",
    "view ",
    " by ",
    " on ",
    "dynamic(",
    "datetime(",
    "typeof(",
    "long(null)",
    "9223372036854775807",
    "-9223372036854775808",
    "1e308",
    "99999999999999999999d",
    "datatable(a:long)[",
    "materialize(",
    "toscalar(",
    "in (",
    "between (",
    "!in",
    "has_any ",
    "hint.strategy=shuffle ",
    "kind=inner ",
    "| summarize ",
    "| extend ",
    "| mv-expand ",
    "| make-series ",
    "| as T ",
    "| union ",
    "| evaluate ",
    "| parse a with ",
    "| partition by a ",
    "| scan with (step s: true;)",
    "declare pattern ",
    "macro-expand ",
    "search ",
    "find ",
    "externaldata(",
    "$left.",
    "['a b']",
    "bag_unpack(",
    "ago(1d)",
    "bin(",
];

/// A source of numbers that is the same for the same seed (SplitMix64).
pub struct Numbers(u64);

impl Numbers {
    /// A number below `end`; 0 if `end` is 0.
    #[allow(clippy::cast_possible_truncation, reason = "any bits of a random number will do")]
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) as usize).checked_rem(end).unwrap_or(0)
    }
}

/// The texts that mutations begin with: the goldens of the parser.
pub fn seeds() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kql/testdata");
    let mut paths: Vec<_> = ["ok", "err"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "kql"))
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Runs a target over mutations of the seeds: for `FUZZ_SECONDS` of processor time, else over a fixed number of texts.
///
/// # Panics
/// When the target panics or takes too long; the text is in the message.
pub fn fuzz(name: &str, mut seeds: Vec<String>, target: fn(&str)) {
    let seconds: Option<u64> = std::env::var("FUZZ_SECONDS").ok().map(|text| text.parse().unwrap());
    let seed = std::env::var("FUZZ_SEED").map_or(1, |text| text.parse().unwrap());
    let run = move || {
        let (started, mut numbers, mut count) = (Clock::now(), Numbers(seed), 0usize);
        loop {
            let is_done = match seconds {
                Some(seconds) => started.elapsed().as_secs() >= seconds,
                None => count >= SHORT_RUN_TEXTS,
            };
            if is_done {
                return (count, started.elapsed());
            }
            let text = mutated(&seeds, &mut numbers);
            try_target(&text, target);
            count += 1;
            // Some mutations live on, so that changes add up.
            if numbers.below(50) == 0 {
                let at = numbers.below(seeds.len());
                if seeds.len() < 3_000 { seeds.push(text) } else { seeds[at] = text }
            }
        }
    };
    let worker = std::thread::Builder::new().name(name.into()).stack_size(STACK_BYTES).spawn(run).unwrap();
    let (count, elapsed) = worker.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
    report(&format!("fuzz {name}: {count} texts in {elapsed:.1?} of processor time, no finding"));
}

#[allow(clippy::print_stdout, reason = "a report")]
fn report(line: &str) {
    println!("{line}");
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

fn try_target(text: &str, target: fn(&str)) {
    let started = Clock::now();
    let outcome = std::panic::catch_unwind(|| target(text));
    assert!(outcome.is_ok(), "finding: {text:?}");
    assert!(started.elapsed() < TIME_MAX, "took {:?}: {text:?}", started.elapsed());
}

/// A seed with a few changes.
fn mutated(seeds: &[String], numbers: &mut Numbers) -> String {
    let mut text = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(5) {
        text = changed(&text, seeds, numbers);
        if text.len() > TEXT_BYTES_MAX {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        }
    }
    text
}

/// A text with one change.
fn changed(text: &str, seeds: &[String], numbers: &mut Numbers) -> String {
    let (start, end) = range(text, numbers);
    let other = &seeds[numbers.below(seeds.len())];
    let (from, to) = range(other, numbers);
    let (before, middle, after) = (&text[..start], &text[start..end], &text[end..]);
    let piece = PIECES[numbers.below(PIECES.len())];
    match numbers.below(9) {
        0 => format!("{before}{after}"),
        1 => format!("{before}{middle}{middle}{after}"),
        2 => format!("{before}{}{after}", &other[from..to]),
        3 => format!("{before}{middle}{}{after}", &other[from..to]),
        4 => format!("{before}{piece}{after}"),
        5 => format!("{before}{piece}{middle}{piece}{after}"),
        6 => format!("{before}{}{after}", middle.repeat(numbers.below(300)).get(..2_000).unwrap_or(middle)),
        7 => broken(text, numbers),
        _ => format!("{before} {} {}{after}", &other[from..to], middle),
    }
}

/// A run of tokens of a text.
fn range(text: &str, numbers: &mut Numbers) -> (usize, usize) {
    let tokens = tokenize(text);
    let first = numbers.below(tokens.len());
    let length = if numbers.below(4) == 0 { numbers.below(40) } else { numbers.below(4) };
    let last = (first + length).min(tokens.len() - 1);
    (tokens[first].span.start, tokens[last].span.end)
}

/// A text with a byte changed, and read as text all the same.
fn broken(text: &str, numbers: &mut Numbers) -> String {
    let mut bytes = text.as_bytes().to_vec();
    if !bytes.is_empty() {
        let at = numbers.below(bytes.len());
        bytes[at] = numbers.below(256).to_le_bytes()[0];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
