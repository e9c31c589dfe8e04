//! Damaged inputs: what cannot be read is kept, byte for byte, with a reason; nothing panics, hangs or vanishes.

mod fuzz;
mod malformed;
mod mutate;
mod seeds;

use moneta_event::QuarantinedRecord;
use moneta_formats::{Decoder, Format};

use crate::support::{Whole, decode_pieces, options};

/// Decodes an input and checks what holds for every input: each record is a row or quarantined, each quarantined record
/// has a reason and the bytes that stand at its offset, and decoding it alone is as safe as decoding the input.
fn decode_checked(format: Format, input: &[u8], piece_bytes: usize) -> Whole {
    let whole = decode_pieces(format, options("x"), input, piece_bytes);
    for record in &whole.quarantined {
        assert!(!record.reason_code.is_empty() && !record.reason.is_empty(), "{record:?}");
        if has_positions(format, input) {
            let start = usize::try_from(record.offset).unwrap();
            let at = input.get(start..).and_then(|rest| rest.get(..record.bytes.len()));
            assert!(
                at == Some(&record.bytes) || is_part(format, &input[start..], record),
                "{}: not the bytes at {start}, which are {:?}: {:?}",
                record.reason_code,
                at.map(String::from_utf8_lossy),
                String::from_utf8_lossy(&record.bytes)
            );
        }
    }
    for record in whole.quarantined.iter().take(20) {
        if let Ok(format) = Format::parse(record.format) {
            let _ = Decoder::decode_again(format, options("x"), record.context.head.as_deref(), &record.bytes);
        }
    }
    whole
}

/// Whether what is kept is one of several records that a JSON object holds: an object by itself, made of its members.
fn is_part(format: Format, from: &[u8], record: &QuarantinedRecord) -> bool {
    matches!(format, Format::Json | Format::Ndjson)
        && from.starts_with(b"{")
        && serde_json::from_slice::<serde_json::Map<_, _>>(&record.bytes).is_ok()
}

/// Whether offsets of quarantined records are positions of the input: not within archives, nor in text that is not UTF-8.
fn has_positions(format: Format, input: &[u8]) -> bool {
    let is_archive = matches!(format, Format::Zip | Format::Gzip | Format::Zstd);
    !is_archive && !input.starts_with(b"\xff\xfe") && !input.starts_with(b"\xfe\xff")
}
