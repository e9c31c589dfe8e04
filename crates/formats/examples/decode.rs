//! Decodes files and prints what a core does per second: `decode [--repeat N] [--format NAME] [--show] FILE...`
//!
//! Files are read before the clock starts; nothing is written. `--show` prints rows and quarantined records as JSON.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers, not a service")]
#![allow(clippy::cast_precision_loss, reason = "rates need few digits")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use moneta_base::{SourceName, Timestamp};
use moneta_event::TableCatalog;
use moneta_formats::{DecodeOptions, Decoded, Decoder, Format, HEAD_BYTES, recognise};

#[derive(Default)]
struct Total {
    files: u64,
    records: u64,
    rows: u64,
    quarantined: u64,
    bytes: u64,
    time: Duration,
}

fn main() {
    let mut repeat = 1;
    let mut given = None;
    let mut show = false;
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--repeat" => repeat = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1),
            "--show" => show = true,
            "--format" => given = arguments.next().map(|name| Format::parse(&name).unwrap()),
            _ => files.push(argument),
        }
    }
    let catalog = Arc::new(TableCatalog::built_in());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let received = Timestamp::from_seconds(i64::try_from(now).unwrap());
    let mut totals: BTreeMap<&'static str, Total> = BTreeMap::new();
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        let Some(format) = given.or_else(|| recognise(file, &bytes[..bytes.len().min(HEAD_BYTES)])) else {
            println!("{file}: unknown format");
            continue;
        };
        let total = totals.entry(format.name()).or_default();
        total.files += 1;
        for _ in 0..repeat {
            let options = DecodeOptions::new(catalog.clone(), SourceName::lossy(file), received);
            let began = Instant::now();
            run(format, options, &bytes, show, total);
            total.time += began.elapsed();
            total.bytes += bytes.len() as u64;
        }
    }
    for (format, total) in totals {
        let seconds = total.time.as_secs_f64();
        println!(
            "{format}: {} files, {} records, {} rows, {} quarantined, {:.1} MB in {seconds:.2} s: {:.0} records/s, {:.0} MB/s",
            total.files,
            total.records,
            total.rows,
            total.quarantined,
            total.bytes as f64 / 1e6,
            total.records as f64 / seconds,
            total.bytes as f64 / 1e6 / seconds,
        );
    }
}

fn run(format: Format, options: DecodeOptions, bytes: &[u8], show: bool, total: &mut Total) {
    let mut take = |portion: Decoded| {
        if show {
            print(&portion);
        }
        total.records += portion.records;
        total.quarantined += portion.quarantined.len() as u64;
        total.rows += portion.batches.iter().map(|batch| batch.rows.num_rows() as u64).sum::<u64>();
    };
    let mut decoder = Decoder::new(format, options);
    decoder.feed(bytes, &mut take);
    decoder.finish(&mut take);
}

fn print(portion: &Decoded) {
    for batch in &portion.batches {
        let mut writer = arrow::json::LineDelimitedWriter::new(std::io::stdout());
        println!("-- {}", batch.table);
        writer.write(&batch.rows).unwrap();
        writer.finish().unwrap();
    }
    for record in &portion.quarantined {
        let text = String::from_utf8_lossy(&record.bytes).chars().take(200).collect::<String>();
        println!("-- quarantined at {}: {}: {}\n{text}", record.offset, record.reason_code, record.reason);
    }
}
