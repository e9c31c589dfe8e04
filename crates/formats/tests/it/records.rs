//! Records that a listener has framed, each with a source of its own.

use moneta_base::{SourceName, Timestamp};
use moneta_event::{Delivery, RawRecord};
use moneta_formats::{Decoder, Format};

use crate::support::{Whole, options};

fn record(source: &str, text: &str, received: &str) -> RawRecord {
    RawRecord {
        bytes: text.as_bytes().to_vec(),
        source: SourceName::lossy(source),
        received: Timestamp::parse(received).unwrap(),
        delivery: Delivery::BestEffort,
    }
}

#[test]
fn each_record_keeps_its_own_source_time_and_path() {
    let mut whole = Whole::default();
    let mut decoder = Decoder::new(Format::Syslog, options("listener"));
    let mut sink = |portion| whole.add(portion);
    decoder.record(&record("udp/192.0.2.1", "<13>Jun  1 10:00:00 a x: one", "2026-06-01T10:00:05Z"), &mut sink);
    // Without a header: its time is that of its receipt, not that of another sender's message.
    decoder.record(&record("udp/192.0.2.2", "two\nlines", "2026-06-01T11:00:00Z"), &mut sink);
    decoder.flush(&mut sink);
    decoder.record(&record("udp/192.0.2.1", "<13>Jun  1 10:00:00 a x: three", "2027-06-01T10:00:05Z"), &mut sink);
    decoder.finish(&mut sink);
    let rows = whole.rows();
    let times: Vec<_> = rows.iter().map(|row| row["TimeGenerated"].as_str().unwrap()).collect();
    assert_eq!(times, ["2026-06-01T10:00:00.0000000Z", "2026-06-01T11:00:00.0000000Z", "2027-06-01T10:00:00.0000000Z"]);
    assert_eq!(whole.batches.len(), 2);
    let texts = |name: &str| {
        let column = whole.batches[0].rows.column_by_name(name).unwrap().clone();
        arrow::array::AsArray::as_string::<i32>(&column).iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(texts("_Source"), ["udp/192.0.2.1", "udp/192.0.2.2"]);
    assert_eq!(texts("_Delivery"), ["best-effort"; 2]);
    assert_eq!(texts("_Raw")[1], "two\nlines");
}

#[test]
fn a_decoder_that_continues_at_the_cursor_repeats_and_loses_nothing() {
    let lines: String = (0..20_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let mut whole = Whole::default();
    let mut decoder = Decoder::new(Format::Ndjson, options("x"));
    decoder.feed(&lines.as_bytes()[..200_000], &mut |portion| whole.add(portion));
    drop(decoder);
    let cursor = whole.cursor;
    assert!(cursor > 0);
    let mut continued = options("x");
    continued.first_offset = cursor;
    let mut decoder = Decoder::new(Format::Ndjson, continued);
    decoder.feed(&lines.as_bytes()[usize::try_from(cursor).unwrap()..], &mut |portion| whole.add(portion));
    decoder.finish(&mut |portion| whole.add(portion));
    let numbers: Vec<_> = whole.rows().iter().map(|row| row["n"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (0..20_000).collect::<Vec<_>>());
    assert_eq!(whole.cursor, lines.len() as u64);
}
