//! Archives and compressed files.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use moneta_formats::Format;
use zip::write::SimpleFileOptions;

use crate::support::{Whole, decode_pieces, options};

const LINES: &str = "{\"a\":1}\n{\"a\":2}\n";

pub fn zip_of(members: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub fn gzip_of(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

pub fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn decode(format: Format, bytes: &[u8]) -> Whole {
    let whole = decode_pieces(format, options("box"), bytes, 1 << 16);
    let in_pieces = decode_pieces(format, options("box"), bytes, 5);
    assert_eq!(in_pieces.rows(), whole.rows());
    assert_eq!(in_pieces.reasons(), whole.reasons());
    whole
}

#[test]
fn members_are_decoded_by_their_content_and_named_in_the_source() {
    let syslog = b"<13>Jun  1 10:00:00 h a: b\n".as_slice();
    let members =
        [("d/app.json", LINES.as_bytes()), ("messages", syslog), ("__MACOSX/d/._app.json", b"\0\x05\x16\x07")];
    for method in [zip::CompressionMethod::Deflated, zip::CompressionMethod::Stored] {
        let whole = decode(Format::Zip, &zip_of(&members, method));
        assert_eq!((whole.num_rows(), whole.quarantined.len(), whole.members_skipped), (3, 0, 1));
        let tables: Vec<_> = whole.rows().iter().map(|row| row["Type"].clone()).collect();
        assert_eq!(tables, ["app_CL", "app_CL", "Syslog"]);
        let source = whole.batches[0].rows.column_by_name("_Source").unwrap();
        assert_eq!(arrow::array::AsArray::as_string::<i32>(source).value(0), "box/d/app.json");
    }
}

#[test]
fn members_whose_sizes_follow_them_are_read() {
    // As streaming writers make them: sizes 0 in the header, descriptor behind the data.
    let mut writer = zip::ZipWriter::new_stream(Vec::new());
    for name in ["a.json", "b.json"] {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(LINES.as_bytes()).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    assert_eq!(decode(Format::Zip, &bytes).num_rows(), 4);
}

#[test]
fn an_unknown_member_is_quarantined_and_the_next_is_read() {
    let whole = decode(
        Format::Zip,
        &zip_of(&[("x.cap", &[0xd4, 0xc3, 0xb2, 0xa1]), ("a.json", LINES.as_bytes())], zip::CompressionMethod::Stored),
    );
    assert_eq!(whole.reasons(), ["unknown_format"]);
    assert_eq!(whole.quarantined[0].source.as_str(), "box/x.cap");
    assert_eq!(whole.num_rows(), 2);
}

#[test]
fn a_gzip_file_of_several_members_is_one_file() {
    let bytes = [gzip_of(b"{\"a\":1}\n{\"a\""), gzip_of(b":2}\n")].concat();
    assert_eq!(decode(Format::Gzip, &bytes).num_rows(), 2);
    let bytes = [zstd_of(b"{\"a\":1}\n{\"a\""), zstd_of(b":2}\n")].concat();
    assert_eq!(decode(Format::Zstd, &bytes).num_rows(), 2);
}

#[test]
fn archives_within_archives_are_read_to_a_limit() {
    let mut bytes = LINES.as_bytes().to_vec();
    for _ in 0..3 {
        bytes = gzip_of(&bytes);
    }
    assert_eq!(decode(Format::Gzip, &bytes).num_rows(), 2);
    assert_eq!(decode(Format::Gzip, &gzip_of(&bytes)).reasons(), ["too_deep"]);
}

#[test]
fn a_bomb_is_stopped_and_what_came_before_is_kept() {
    let line = format!("{{\"a\":\"{}\"}}\n", "0".repeat(100_000));
    let bomb = line.repeat(250);
    let whole = decode_pieces(Format::Gzip, options("box"), &gzip_of(bomb.as_bytes()), 1 << 16);
    assert_eq!(whole.reasons().last(), Some(&"decompression_limit"));
    assert!(whole.num_rows() < 200, "{}", whole.num_rows());
    let whole = decode_pieces(Format::Zstd, options("box"), &zstd_of(bomb.as_bytes()), 1 << 16);
    assert_eq!(whole.reasons().last(), Some(&"decompression_limit"));
    let zipped = zip_of(&[("bomb.json", bomb.as_bytes())], zip::CompressionMethod::Deflated);
    assert_eq!(
        decode_pieces(Format::Zip, options("box"), &zipped, 1 << 16).reasons().last(),
        Some(&"decompression_limit")
    );
}

#[test]
fn an_archive_cut_short_yields_what_is_there() {
    let lines = LINES.repeat(2000);
    for (format, bytes) in [
        (Format::Gzip, gzip_of(lines.as_bytes())),
        (Format::Zstd, zstd_of(lines.as_bytes())),
        (Format::Zip, zip_of(&[("a.json", lines.as_bytes())], zip::CompressionMethod::Deflated)),
    ] {
        let whole = decode_pieces(format, options("box"), &bytes[..bytes.len() / 2], 100);
        assert!(whole.reasons().contains(&"bad_archive"), "{:?}", whole.reasons());
    }
}
