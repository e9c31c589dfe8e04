//! Malformed records by the thousand, format by format: their bytes are kept with a reason, and nothing between them
//! vanishes. `MONETA_MALFORMED` sets how many a format.

use moneta_formats::Format;
use moneta_testkit::Random;

use super::mutate::mutated;
use super::{decode_checked, seeds};
use crate::support::Whole;
use crate::{evtx, reports};

/// Records of one input: enough that faults of one reach the next.
const RECORDS_PER_INPUT: usize = 1_000;

/// Whether each damaged record is looked for. Markup outside of events, comments, and lines between those that reports are
/// made of mean nothing, and are passed over.
fn keeps_all(format: Format) -> bool {
    let passes_over = [Format::EventXml, Format::IdsText, Format::MetricsText, Format::Aide, Format::CallReport];
    !passes_over.contains(&format)
}

fn wanted() -> usize {
    std::env::var("MONETA_MALFORMED").map_or(400, |count| count.parse().unwrap())
}

/// Inputs of so many damaged records, and how many of the records each holds.
type Inputs = Box<dyn FnMut(usize, &mut Random) -> Vec<u8>>;

/// What makes damaged records of a format, and whether each carries a mark that must be found again.
fn maker(format: Format) -> (Inputs, bool) {
    match format {
        Format::Evtx => (Box::new(chunks_of_events), false),
        Format::Unified2 => (Box::new(binary_alerts), false),
        Format::Zip | Format::Gzip | Format::Zstd => {
            let seeds = vec![seeds::own(format)];
            (Box::new(move |_, numbers| damaged_archive(&seeds, numbers)), false)
        }
        Format::JournalExport => (Box::new(journal_entries), true),
        _ => {
            let (head, records) = lines_of(format);
            (Box::new(move |count, numbers| lines(&head, &records, count, numbers)), keeps_all(format))
        }
    }
}

/// The lines that declare what the others mean, and the others.
fn lines_of(format: Format) -> (Vec<u8>, Vec<Vec<u8>>) {
    let text = seeds::own(format);
    let mut lines: Vec<Vec<u8>> = text.split(|b| *b == b'\n').map(<[u8]>::to_vec).filter(|l| !l.is_empty()).collect();
    let num_head = match format {
        Format::W3c | Format::Zeek => lines.iter().take_while(|line| line.starts_with(b"#")).count(),
        // The header, and the line after which sections follow.
        Format::Csv | Format::Aide | Format::CallReport => 1,
        _ => 0,
    };
    let records = lines.split_off(num_head);
    let head = lines.into_iter().flat_map(|line| [line, b"\n".to_vec()].concat()).collect();
    (head, records)
}

fn mark(number: usize) -> Vec<u8> {
    format!("~{number:06}~").into_bytes()
}

/// Damaged lines, each with a mark; every fourth is not UTF-8.
fn lines(head: &[u8], records: &[Vec<u8>], count: usize, numbers: &mut Random) -> Vec<u8> {
    let mut input = head.to_vec();
    for number in 0..count {
        let mut line = records[numbers.below(records.len())].clone();
        let at = numbers.below(line.len().max(1));
        match number % 4 {
            0 => drop(line.splice(at..at, *b"\xff")),
            1 => line.truncate(at),
            2 => line = mutated(std::slice::from_ref(&line), numbers),
            _ => line = b"words that say nothing".to_vec(),
        }
        line.retain(|byte| !matches!(byte, b'\n' | b'\r'));
        line.truncate(2_000);
        // Lines behind a hash are comments or directives in some formats.
        if line.starts_with(b"#") {
            line.insert(0, b'?');
        }
        line.extend(mark(number));
        input.extend(line);
        input.extend(if number % 5 == 0 { b"\r\n".as_slice() } else { b"\n" });
    }
    input
}

fn journal_entries(count: usize, numbers: &mut Random) -> Vec<u8> {
    let mut input = Vec::new();
    for number in 0..count {
        let mut entry = b"__CURSOR=s=a;i=1\n__REALTIME_TIMESTAMP=1780308000123456\nMESSAGE=hello\n".to_vec();
        let at = numbers.below(entry.len().max(1));
        match number % 3 {
            0 => drop(entry.splice(at..at, *b"\nno field\n")),
            1 => entry.truncate(at),
            _ => entry = mutated(std::slice::from_ref(&entry), numbers),
        }
        // An empty line would end the entry, and a field without a value is binary, which says its own length.
        let text = String::from_utf8_lossy(&entry).replace('\r', "");
        let kept: Vec<&str> = text.lines().filter(|line| line.contains('=') || *line == "no field").collect();
        input.extend(kept.join("\n").bytes());
        input.extend(b"\nMARK=");
        input.extend(mark(number));
        input.extend(b"\n\n");
    }
    input
}

fn binary_alerts(count: usize, numbers: &mut Random) -> Vec<u8> {
    let mut input = Vec::new();
    for number in 0..count {
        let mut event = reports::snort_event(7, [&[192, 0, 2, 7], &[198, 51, 100, 1]]);
        match number % 3 {
            // Of an unknown type.
            0 => event[..4].copy_from_slice(&(1_000 + numbers.below(9) as u32).to_be_bytes()),
            // Too short for its type.
            1 => {
                let length = numbers.below(50);
                event.truncate(8 + length);
                event[4..8].copy_from_slice(&(length as u32).to_be_bytes());
            }
            // Of a time that cannot be.
            _ => event[16..20].fill(0),
        }
        input.extend(event);
    }
    input
}

fn chunks_of_events(count: usize, numbers: &mut Random) -> Vec<u8> {
    const EVENTS: usize = 40;
    let make = |first: usize, numbers: &mut Random| {
        let events = vec![("System", "2026-06-01T12:00:00Z"); EVENTS.min(count - first)];
        let (mut chunk, offsets) = evtx::chunk(&events);
        for offset in offsets {
            let at = offset + 24 + numbers.below(200);
            chunk[at..at + 8].fill(0xee);
        }
        chunk
    };
    let chunks: Vec<_> = (0..count).step_by(EVENTS).map(|first| make(first, numbers)).collect();
    evtx::file(&chunks)
}

fn damaged_archive(seeds: &[Vec<u8>], numbers: &mut Random) -> Vec<u8> {
    loop {
        let bytes = mutated(seeds, numbers);
        if bytes != seeds[0] && !bytes.is_empty() {
            return bytes;
        }
    }
}

#[test]
fn ingest_1_malformed_records_are_kept_with_their_bytes_and_a_reason() {
    for format in Format::ALL {
        let (mut make, is_marked) = maker(format);
        let mut numbers = Random::new(format.name().len() as u64 ^ 0x5eed);
        let is_archive = matches!(format, Format::Zip | Format::Gzip | Format::Zstd);
        let per_input = if is_archive { 1 } else { RECORDS_PER_INPUT };
        let (mut done, mut num_quarantined, mut num_rows) = (0, 0, 0);
        while done < wanted() {
            let count = per_input.min(wanted() - done);
            let input = make(count, &mut numbers);
            let whole = decode_checked(format, &input, 1 + numbers.below(5_000));
            match is_marked {
                true => assert_marks_are_kept(format, &whole, count),
                // Archives whose damage lies where nobody reads are whole.
                false if is_archive || !keeps_all(format) => {}
                false => assert!(whole.num_rows() + whole.quarantined.len() >= count, "{format:?}"),
            }
            assert!(
                whole.num_rows() + whole.quarantined.len() > 0 || whole.members_skipped > 0,
                "{format:?}: {input:?}"
            );
            done += count;
            num_quarantined += whole.quarantined.len();
            num_rows += whole.num_rows();
        }
        println!("{}: {done} damaged records, {num_quarantined} quarantined, {num_rows} rows", format.name());
        // Objects that are not closed swallow those behind them: their bytes are kept as one.
        let few = if format == Format::Json { 1_000 } else { 8 };
        assert!(num_quarantined > done / few, "{format:?}: damage is noticed");
    }
}

/// Each record is there, in a row's original or in quarantine.
fn assert_marks_are_kept(format: Format, whole: &Whole, count: usize) {
    let mut found = vec![false; count];
    let originals = whole.originals();
    let texts = originals.iter().map(String::as_bytes).chain(whole.quarantined.iter().map(|r| r.bytes.as_slice()));
    for text in texts {
        for (at, _) in text.iter().enumerate().filter(|(_, byte)| **byte == b'~') {
            let digits = text.get(at + 1..at + 7).and_then(|digits| std::str::from_utf8(digits).ok());
            // Damage may make marks of its own.
            if let Some(found) = digits.and_then(|digits| found.get_mut(digits.parse::<usize>().ok()?)) {
                *found |= text.get(at + 7) == Some(&b'~');
            }
        }
    }
    let missing: Vec<usize> =
        found.iter().enumerate().filter(|(_, found)| !**found).map(|(number, _)| number).collect();
    assert!(
        missing.is_empty(),
        "{format:?}: {} of {count} records are nowhere: {:?}",
        missing.len(),
        &missing[..missing.len().min(9)]
    );
}
