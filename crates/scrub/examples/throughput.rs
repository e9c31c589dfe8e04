//! Measures scrubbing on text: `cargo run --profile relfast -p moneta-scrub --example throughput -- FILE...`.
//!
//! Prints MB/s of one core for the files' lines as `_Raw` of one table, and for a plain baseline that runs three
//! regular expressions over the same lines and replaces nothing.

use std::sync::Arc;
use std::time::Instant;

use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, ParsedBatch, RecordClass, TableSchema};
use moneta_scrub::{Policy, Scrubber, TokenKeys};

const ROUNDS: usize = 5;
const BATCH_ROWS: usize = 8_192;

#[expect(clippy::print_stdout, reason = "a measurement prints its result")]
fn main() {
    let scrubber = Scrubber::new(Policy::built_in(), TokenKeys { current: 1, keys: [(1, [7; 32])].into() })
        .expect("the key of the current version is given");
    for path in std::env::args().skip(1) {
        let text = String::from_utf8_lossy(&std::fs::read(&path).expect("the file named can be read")).into_owned();
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let size_mb = lines.iter().map(|line| line.len()).sum::<usize>() as f64 / 1e6;
        let batches: Vec<ParsedBatch> = lines.chunks(BATCH_ROWS).map(batch).collect();
        let mut values = 0;
        let scrub = best(|| {
            values = batches.iter().map(|batch| scrubber.scrub(batch.clone()).1.values_tokenised()).sum();
        });
        let patterns =
            [r"[\w.+%-]+@[\w-]+(\.[\w-]+)+", r"\+?[0-9][0-9 ()./-]{6,18}[0-9]", r"\b(?:[0-9][ -]?){12,18}[0-9]\b"]
                .map(|pattern| regex::Regex::new(pattern).expect("a constant pattern"));
        let mut matches = 0;
        let baseline = best(|| {
            matches = lines.iter().map(|line| patterns.iter().map(|p| p.find_iter(line).count()).sum::<usize>()).sum();
        });
        println!(
            "{path}: {size_mb:.1} MB, {} lines, {values} values; scrub {:.0} MB/s; three regexes {:.0} MB/s ({matches} matches)",
            lines.len(),
            size_mb / scrub,
            size_mb / baseline,
        );
    }
}

fn batch(lines: &[&str]) -> ParsedBatch {
    let schema = Arc::new(TableSchema::custom(TableName::new("Text_CL").expect("a valid name")));
    let mut builder = BatchBuilder::new(schema, RecordClass::Data, Delivery::AtLeastOnce);
    let source = SourceName::lossy("throughput");
    for line in lines {
        builder.finish_row(Timestamp::from_seconds(0), &source, line);
    }
    builder.finish().expect("there are lines")
}

/// Seconds of the fastest of several runs.
fn best(mut run: impl FnMut()) -> f64 {
    let seconds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}
