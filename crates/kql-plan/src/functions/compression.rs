//! Compressed texts in base64, guids in base64, and international domain names.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder, ZlibDecoder, ZlibEncoder};

use super::Function;

/// The greatest size of a decompressed text: a few bytes may claim to be gigabytes.
const DECOMPRESSED_BYTES_MAX: u64 = 16 << 20;

/// What marks a part of a domain name as encoded.
const ENCODED_PREFIX: &str = "xn--";

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("gzip_compress_to_base64_string", &["(source: text) -> string"], |a, _| {
        gzip(a[0].text().as_bytes()).map(|bytes| STANDARD.encode(bytes)).into()
    })
    .doc(
        "A text compressed by gzip, in base64.",
        &[
            ("gzip_decompress_from_base64_string(gzip_compress_to_base64_string('abcabc'))", "\"abcabc\""),
            (
                "gzip_compress_to_base64_string('1234567890qwertyuiop')",
                "\"H4sIAAAAAAAA/wEUAOv/MTIzNDU2Nzg5MHF3ZXJ0eXVpb3A6m7f2FAAAAA==\"",
            ),
        ],
    ),
    Function::row("gzip_decompress_from_base64_string", &["(source: text) -> string"], |a, _| {
        STANDARD.decode(a[0].text().trim()).ok().and_then(|bytes| unpacked(GzDecoder::new(&*bytes))).into()
    })
    .doc(
        "The text that gzip compressed; empty if there is none.",
        &[
            (
                "gzip_decompress_from_base64_string('H4sIAAAAAAAA/wEUAOv/MTIzNDU2Nzg5MHF3ZXJ0eXVpb3A6m7f2FAAAAA==')",
                "\"1234567890qwertyuiop\"",
            ),
            ("gzip_decompress_from_base64_string('x')", "\"\""),
        ],
    ),
    Function::row("zlib_compress_to_base64_string", &["(source: text) -> string"], |a, _| {
        let bytes = a[0].text().as_bytes();
        let smaller = deflated(ZlibEncoder::new(bytes, Compression::default()), bytes.len() + ZLIB_FRAME_BYTES);
        smaller.or_else(|| all(ZlibEncoder::new(bytes, Compression::none()))).map(|b| STANDARD.encode(b)).into()
    })
    .doc(
        "A text compressed by zlib, in base64.",
        &[
            ("zlib_decompress_from_base64_string(zlib_compress_to_base64_string('abcabc'))", "\"abcabc\""),
            (
                "zlib_compress_to_base64_string('1234567890qwertyuiop')",
                "\"eAEBFADr/zEyMzQ1Njc4OTBxd2VydHl1aW9wOAkGdw==\"",
            ),
        ],
    ),
    Function::row("zlib_decompress_from_base64_string", &["(source: text) -> string"], |a, _| {
        STANDARD.decode(a[0].text().trim()).ok().and_then(|bytes| unpacked(ZlibDecoder::new(&*bytes))).into()
    })
    .doc(
        "The text that zlib compressed; empty if there is none.",
        &[(
            "zlib_decompress_from_base64_string('eAEBFADr/zEyMzQ1Njc4OTBxd2VydHl1aW9wOAkGdw==')",
            "\"1234567890qwertyuiop\"",
        )],
    ),
    Function::row("base64_decode_toguid", &["(source: text) -> guid"], |a, _| {
        let bytes: Option<[u8; 16]> = STANDARD.decode(a[0].text().trim()).ok().and_then(|b| b.try_into().ok());
        bytes.map(|bytes| guid_text(swapped(bytes))).into()
    })
    .doc(
        "The guid of a base64 text of its 16 bytes.",
        &[("base64_decode_toguid('8jMxriJurkmwahbmqbIS6w==')", "guid(ae3133f2-6e22-49ae-b06a-16e6a9b212eb)")],
    ),
    Function::row("base64_encode_fromguid", &["(guid: guid) -> string"], |a, _| {
        guid_bytes(a[0].text()).map(|bytes| STANDARD.encode(swapped(bytes))).into()
    })
    .doc(
        "The 16 bytes of a guid in base64.",
        &[("base64_encode_fromguid(guid(ae3133f2-6e22-49ae-b06a-16e6a9b212eb))", "\"8jMxriJurkmwahbmqbIS6w==\"")],
    ),
    Function::row("punycode_from_string", &["(source: text) -> string"], |a, _| {
        idna::punycode::encode_str(a[0].text()).into()
    })
    .doc("A text in Punycode.", &[("punycode_from_string('académie-française')", "\"acadmie-franaise-npb1a\"")]),
    Function::row("punycode_to_string", &["(source: text) -> string"], |a, _| {
        idna::punycode::decode_to_string(a[0].text()).into()
    })
    .doc("The text of Punycode.", &[("punycode_to_string('acadmie-franaise-npb1a')", "\"académie-française\"")]),
    Function::row("punycode_domain_from_string", &["(domain: text) -> string"], |a, _| {
        by_label(a[0].text(), |label| {
            if label.is_ascii() {
                return Some(label.to_owned());
            }
            idna::punycode::encode_str(label).map(|encoded| format!("{ENCODED_PREFIX}{encoded}"))
        })
        .into()
    })
    .doc(
        "A domain name with its parts in Punycode.",
        &[("punycode_domain_from_string('艺术.com')", "\"xn--cqv902d.com\"")],
    ),
    Function::row("punycode_domain_to_string", &["(domain: text) -> string"], |a, _| {
        by_label(a[0].text(), |label| match label.strip_prefix(ENCODED_PREFIX) {
            Some(encoded) => idna::punycode::decode_to_string(encoded),
            None => Some(label.to_owned()),
        })
        .into()
    })
    .doc("A domain name read from Punycode.", &[("punycode_domain_to_string('xn--cqv902d.com')", "\"艺术.com\"")]),
];

/// The bytes around the data of a zlib stream and of a gzip member.
const ZLIB_FRAME_BYTES: usize = 6;
const GZIP_FRAME_BYTES: usize = 18;

fn all(mut encoder: impl Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    encoder.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The compressed bytes, if they are fewer than that. What does not get smaller is stored as it is.
fn deflated(encoder: impl Read, fewer_than: usize) -> Option<Vec<u8>> {
    all(encoder).filter(|bytes| bytes.len() < fewer_than)
}

/// A gzip member.
fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let smaller = deflated(GzEncoder::new(bytes, Compression::default()), bytes.len() + GZIP_FRAME_BYTES);
    smaller.or_else(|| {
        let mut stored = all(GzEncoder::new(bytes, Compression::none()))?;
        // The byte of extra flags would say "fastest"; nothing was compressed at all.
        *stored.get_mut(8)? = 0;
        Some(stored)
    })
}

/// The decompressed text; `None` if it is none, or too long.
fn unpacked(decoder: impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let size = decoder.take(DECOMPRESSED_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    if u64::try_from(size).ok()? > DECOMPRESSED_BYTES_MAX {
        return None;
    }
    String::from_utf8(bytes).ok()
}

fn by_label(domain: &str, convert: impl Fn(&str) -> Option<String>) -> Option<String> {
    domain.split('.').map(convert).collect::<Option<Vec<String>>>().map(|labels| labels.join("."))
}

/// The bytes of a guid as it is written.
fn guid_bytes(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let value = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)?;
    Some(value.to_be_bytes())
}

fn guid_text(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

/// Written form to binary form and back: the first three groups are stored with their least byte first.
fn swapped(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decompresses_to_too_much_is_refused() {
        let bomb = std::io::repeat(b'a').take(DECOMPRESSED_BYTES_MAX + 1);
        let bytes = all(GzEncoder::new(bomb, Compression::fast())).unwrap();
        assert_eq!(unpacked(GzDecoder::new(&*bytes)), None);
        assert_eq!(unpacked(GzDecoder::new(&bytes[..20])), None);
    }
}
