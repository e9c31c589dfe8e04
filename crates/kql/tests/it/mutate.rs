//! Mutations of query texts: cuts, splices and exchanges at token borders, and broken bytes.
//!
//! Coverage-free but aware of structure: most results are nearly queries, which is where parsers and binders break.
//! The same seed gives the same texts. Used by the fuzz targets of this crate and of the binder.

use std::path::Path;
use std::time::Duration;

use moneta_kql::lexer::tokenize;
use moneta_testkit::{Fuzz, Random};

/// How targets are run.
const FUZZ: Fuzz = Fuzz { short_run: 1_500, whole_seeds: 0, seeds_max: 3_000, time_max: Duration::from_secs(20) };
/// Bytes of a mutated text at most.
const TEXT_BYTES_MAX: usize = 20_000;

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

/// Runs a target over mutations of the seeds ([`Fuzz::run`]).
pub fn fuzz(name: &str, seeds: Vec<String>, target: fn(&str)) {
    FUZZ.run(name, seeds, mutated, move |text, _| target(text));
}

/// A seed with a few changes.
fn mutated(seeds: &[String], random: &mut Random) -> String {
    let mut text = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(5) {
        text = changed(&text, seeds, random);
        if text.len() > TEXT_BYTES_MAX {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        }
    }
    text
}

/// A text with one change.
fn changed(text: &str, seeds: &[String], random: &mut Random) -> String {
    let (start, end) = range(text, random);
    let other = &seeds[random.below(seeds.len())];
    let (from, to) = range(other, random);
    let (before, middle, after) = (&text[..start], &text[start..end], &text[end..]);
    let piece = PIECES[random.below(PIECES.len())];
    match random.below(9) {
        0 => format!("{before}{after}"),
        1 => format!("{before}{middle}{middle}{after}"),
        2 => format!("{before}{}{after}", &other[from..to]),
        3 => format!("{before}{middle}{}{after}", &other[from..to]),
        4 => format!("{before}{piece}{after}"),
        5 => format!("{before}{piece}{middle}{piece}{after}"),
        6 => format!("{before}{}{after}", middle.repeat(random.below(300)).get(..2_000).unwrap_or(middle)),
        7 => broken(text, random),
        _ => format!("{before} {} {}{after}", &other[from..to], middle),
    }
}

/// A run of tokens of a text.
fn range(text: &str, random: &mut Random) -> (usize, usize) {
    let tokens = tokenize(text);
    let first = random.below(tokens.len());
    let length = if random.below(4) == 0 { random.below(40) } else { random.below(4) };
    let last = (first + length).min(tokens.len() - 1);
    (tokens[first].span.start, tokens[last].span.end)
}

/// A text with a byte changed, and read as text all the same.
fn broken(text: &str, random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    if !bytes.is_empty() {
        let at = random.below(bytes.len());
        bytes[at] = random.below(256).to_le_bytes()[0];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
