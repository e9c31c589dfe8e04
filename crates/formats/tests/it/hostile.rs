//! Bytes that no format foresees: nothing panics, nothing is lost, limits hold.

use moneta_base::limits::{NESTING_DEPTH_MAX, RECORD_BYTES_MAX, RECORD_FIELDS_MAX};
use moneta_formats::Format;
use proptest::prelude::*;

use crate::support::{decode_pieces, options};

fn reasons(format: Format, bytes: &[u8]) -> Vec<&'static str> {
    decode_pieces(format, options("x"), bytes, 4096).reasons()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_decoder_accounts_for_arbitrary_bytes(
        bytes in prop::collection::vec(any::<u8>(), 0..2048),
        piece_bytes in 1usize..300,
    ) {
        for format in Format::ALL {
            decode_pieces(format, options("x"), &bytes, piece_bytes);
        }
    }

    #[test]
    fn every_decoder_accounts_for_texts_that_look_right(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "<13>", "<14>1 ", "Jun  1 10:00:00 ", "host ", "app[1]: ", "- ", "[a b=\"c\"] ", "#Fields: date time cs-uri x\n",
                "#Date: 2026-01-01\n", "2026-01-01 ", "10:00:00 ", "\"", "\n", "{", "}", "[", "]", "\"a\":", "1", ",", "\\u00e4",
                "{\"EventID\":1,\"Channel\":\"Security\"}", "{\"Event\":{\"System\":{\"EventID\":1}}}", "PK\x03\x04", "ElfFile\0",
                "Feb 29 00:00:00 ", "9999-99-99T99:99:99Z ", "\u{feff}", "ä",
            ]),
            0..60,
        ),
        piece_bytes in 1usize..40,
    ) {
        let text = words.concat();
        for format in Format::ALL {
            decode_pieces(format, options("x"), text.as_bytes(), piece_bytes);
        }
    }
}

#[test]
fn a_line_of_ten_megabytes_is_quarantined_whole() {
    let mut bytes = vec![b'x'; 10 << 20];
    bytes.extend_from_slice(b"\n<13>Jun  1 10:00:00 h a: next\n");
    let whole = decode_pieces(Format::Syslog, options("x"), &bytes, 10_000);
    assert_eq!(whole.reasons(), ["too_long"]);
    assert_eq!(whole.quarantined[0].bytes.len(), 10 << 20);
    assert_eq!(whole.num_rows(), 1);
}

#[test]
fn limits_of_json_are_reported_by_name() {
    let deep = format!("{}1{}\n", "{\"a\":".repeat(NESTING_DEPTH_MAX + 1), "}".repeat(NESTING_DEPTH_MAX + 1));
    let wide = format!("{{{}}}\n", vec!["\"a\":1"; RECORD_FIELDS_MAX + 1].join(","));
    let long = format!("{{\"a\":\"{}\"}}\n", "x".repeat(RECORD_BYTES_MAX));
    let text = format!("{deep}{wide}{long}{{\"a\":}}\n[1]\n{{\"ok\":1}}\n");
    let expected = ["too_deep", "too_many_fields", "too_long", "invalid_json", "not_an_object"];
    assert_eq!(reasons(Format::Ndjson, text.as_bytes()), expected);
}

#[test]
fn bytes_that_are_not_utf8_are_kept_as_they_came() {
    let line = b"<13>Jun  1 10:00:00 h a: caf\xe9";
    let whole = decode_pieces(Format::Syslog, options("x"), line, 4096);
    assert_eq!(whole.reasons(), ["invalid_utf8"]);
    assert_eq!(whole.quarantined[0].bytes, line);
}

#[test]
fn times_that_cannot_be_are_quarantined() {
    let text = "{\"time\":\"2026-06-18T00:00:00Z\"}\n{\"time\":\"1980-01-01T00:00:00Z\"}\n{\"time\":\"2026-06-16T00:00:00Z\"}\n";
    assert_eq!(reasons(Format::Ndjson, text.as_bytes()), ["time_out_of_range"; 2]);
}

#[test]
fn positions_in_the_input_name_the_bad_record() {
    let text = "{\"a\":1}\nbad\n{\"a\":2}\n";
    let whole = decode_pieces(Format::Ndjson, options("x"), text.as_bytes(), 3);
    assert_eq!(whole.quarantined[0].offset, 8);
    assert_eq!(whole.cursor, text.len() as u64);
}

#[test]
fn lines_made_to_be_searched_again_and_again_are_read_in_time() {
    let quotes = format!("#Fields: date time c-ip\n{}\n", "\"x\"y ".repeat(170_000));
    assert_eq!(reasons(Format::W3c, quotes.as_bytes()), ["too_many_fields"]);
    let lines: String = (0..100_000).map(|n| format!("{n}:\\n")).collect();
    let message = format!(
        "{{\"winlog\":{{\"provider_name\":\"Microsoft-Windows-Sysmon\",\"event_id\":1}},\"message\":\"{lines}\"}}\n"
    );
    assert_eq!(decode_pieces(Format::Ndjson, options("x"), message.as_bytes(), 65_536).num_rows(), 1);
}

#[test]
fn dates_at_the_end_of_time_are_refused_not_overflowed() {
    let text = "#Fields: date time\n2262-04-11 23:59:59\n1677-09-22 00:00:00\n#Date: 2262-04-11\n#Fields: time\n23:59:59\n00:00:00\n";
    assert_eq!(reasons(Format::W3c, text.as_bytes()), ["time_out_of_range"; 4]);
    let syslog = "<13>1 2262-04-11T23:47:16Z h a - - - x\n<13>Jan  1 9999 00:00:00 h a: x\n";
    assert_eq!(reasons(Format::Syslog, syslog.as_bytes()), ["time_out_of_range"]);
}

#[test]
fn a_megabyte_of_half_surrogates_is_read_in_time() {
    let text = format!("{{\"a\":\"{}\"}}\n", "\\ud800".repeat(170_000));
    assert_eq!(decode_pieces(Format::Ndjson, options("x"), text.as_bytes(), 65_536).num_rows(), 1);
}
