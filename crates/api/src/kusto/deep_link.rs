//! Deep links: an address that opens the page with a query in its editor. The page runs nothing that came with an
//! address until somebody asks it to, so a link of a stranger does nothing by itself.
//!
//! # Source
//! Kusto documentation, "Deep link": `/{database}?query=` and the text, or the text packed with gzip in base64.

use std::io::Read as _;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::GzDecoder;
use moneta_base::percent;
use serde::Deserialize;

use super::is_our_database;
use crate::ApiError;
use crate::address::{Path, Query};

/// Bytes of a query in a link at most: it becomes an address again, and browsers and proxies bound those.
const TEXT_BYTES_MAX: usize = 32 << 10;

/// Base64 with or without the padding, which links lose.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// What a link may say; the rest is about programs that are not here.
#[derive(Deserialize)]
pub(crate) struct Link {
    query: Option<String>,
}

/// `GET /{database}?query=..`: the page's query with that text. An index of Elasticsearch has no such parameter and is
/// not found, as at any path where nothing is.
pub(crate) async fn deep_link(Path(database): Path<String>, Query(link): Query<Link>) -> Result<Response, ApiError> {
    let Some(query) = link.query.filter(|_| is_our_database(&database)) else {
        return Err(ApiError::not_found("there is nothing at this path"));
    };
    let target = format!("/query?q={}", percent::encode(&text_of(&query)?));
    Ok((StatusCode::FOUND, [(header::LOCATION, target)]).into_response())
}

/// The text of a link: unpacked when it is packed, else as it stands.
fn text_of(query: &str) -> Result<String, ApiError> {
    let text = match packed(query) {
        Some(bytes) => unpacked(&bytes)?,
        None => query.to_owned(),
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(ApiError::too_large(format!("a query in a link has at most {TEXT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The bytes that stand in base64, when they begin as gzip does; a plus that nobody encoded arrives as a space.
fn packed(query: &str) -> Option<Vec<u8>> {
    let text = query.trim().replace(' ', "+");
    let decode = |alphabet| GeneralPurpose::new(alphabet, LENIENT).decode(&text).ok();
    let bytes = decode(&alphabet::STANDARD).or_else(|| decode(&alphabet::URL_SAFE))?;
    bytes.starts_with(&[0x1f, 0x8b]).then_some(bytes)
}

fn unpacked(bytes: &[u8]) -> Result<String, ApiError> {
    let mut text = String::new();
    let limit = TEXT_BYTES_MAX as u64 + 1;
    let read = GzDecoder::new(bytes).take(limit).read_to_string(&mut text);
    read.map_err(|_| ApiError::bad_request("the packed query of this link is damaged; copy the whole link"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn pack(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_packed_text_is_unpacked_and_any_other_stays() {
        let text = "T | where a > \"\u{e9}\"\n| take 10";
        let standard = STANDARD.encode(pack(text));
        assert_eq!(text_of(&standard).unwrap(), text);
        assert_eq!(text_of(&standard.replace('+', " ")).unwrap(), text);
        assert_eq!(text_of(&URL_SAFE_NO_PAD.encode(pack(text))).unwrap(), text);
        for plain in [text, "T", "SigninLogs", ""] {
            assert_eq!(text_of(plain).unwrap(), plain);
        }
    }

    #[test]
    fn damaged_and_swollen_texts_are_refused() {
        let mut cut = pack("T | take 10");
        cut.truncate(15);
        assert_eq!(text_of(&STANDARD.encode(cut)).unwrap_err().status, StatusCode::BAD_REQUEST);
        let bomb = STANDARD.encode(pack(&"x".repeat(1 << 20)));
        assert!(bomb.len() < TEXT_BYTES_MAX);
        assert_eq!(text_of(&bomb).unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn every_byte_that_means_something_in_an_address_is_encoded() {
        assert_eq!(percent::encode("a b&c=\u{e9}\n"), "a%20b%26c%3D%C3%A9%0A");
    }
}
