//! The pages of the browser: files built from `web/`, compiled in and packed beforehand. They come from this host only,
//! and hold nothing of the installation: what a page shows it asks of the same interface as any program.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};

use crate::ApiError;

/// A built file.
struct File {
    /// Its path below the root, such as `assets/index-a1b2c3d4.js`.
    path: &'static str,
    plain: &'static [u8],
    /// Packed with brotli, where that was worth it.
    brotli: Option<&'static [u8]>,
    /// Packed with gzip, for browsers that speak plain HTTP to another machine: they ask for no brotli.
    gzip: Option<&'static [u8]>,
}

/// The files of `web/dist/pages`; empty when the program was built without them.
const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// What a program says that was built without its pages.
const WITHOUT_PAGES: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Moneta</title></head>\n\
    <body><h1>Moneta runs, without its pages</h1>\n\
    <p>This program was built where the pages were not: <code>web/dist/pages</code> was empty. <code>make build</code> \
    builds them first; it needs Node 18 or newer.</p>\n\
    <p>Everything else works: the command line, and the interface in <code>docs/http-api.md</code>.</p></body></html>\n";

/// Characters of the digest at the end of a file's stem, by which its name is that of its content.
const DIGEST_CHARACTERS: usize = 8;

/// `GET` of every page: the same document; its script looks at the path.
pub(crate) async fn index(headers: HeaderMap) -> Response {
    match find("index.html") {
        Some(file) => answer(file, &headers),
        None => {
            let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
            (kind, WITHOUT_PAGES).into_response()
        }
    }
}

/// `GET /assets/{name}`.
pub(crate) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let file = find(&format!("assets/{name}")).ok_or_else(|| ApiError::not_found("there is no such file"))?;
    Ok(answer(file, &headers))
}

fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

fn answer(file: &'static File, headers: &HeaderMap) -> Response {
    let packed = [("br", file.brotli), ("gzip", file.gzip)];
    let chosen =
        packed.into_iter().find_map(|(coding, bytes)| bytes.filter(|_| accepts(headers, coding)).map(|b| (coding, b)));
    let cache = if is_named_by_content(file.path) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let fixed: [(HeaderName, &'static str); 3] = [
        (header::CONTENT_TYPE, media_type(file.path)),
        (header::CACHE_CONTROL, cache),
        (header::VARY, "accept-encoding"),
    ];
    match chosen {
        Some((coding, bytes)) => (fixed, [(header::CONTENT_ENCODING, coding)], bytes).into_response(),
        None => (fixed, file.plain).into_response(),
    }
}

/// Whether `Accept-Encoding` names a coding without forbidding it.
///
/// # Source
/// RFC 9110, section 12.5.3; a weight is looked at only for being zero.
fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|part| {
        let (name, weight) = part.split_once(';').unwrap_or((part, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|text| text.trim().parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case(coding) && weight.is_none_or(|weight| weight > 0.0)
    })
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "ttf" => "font/ttf",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Whether a name ends with a digest of the content: such a file never changes.
fn is_named_by_content(path: &str) -> bool {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    let digest = stem.len().checked_sub(DIGEST_CHARACTERS).and_then(|start| stem.split_at_checked(start));
    digest.is_some_and(|(name, digest)| {
        name.ends_with('-') && digest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(file: &File) -> String {
        String::from_utf8_lossy(file.plain).into_owned()
    }

    /// The content policy forbids both; a page that tries them would break in the browser only.
    #[test]
    fn the_document_has_no_inline_script_and_names_no_other_host() {
        let documents = FILES.iter().filter(|file| file.path.ends_with(".html")).map(text);
        for document in documents.chain([WITHOUT_PAGES.to_owned()]) {
            let scripts = document.matches("<script").count();
            assert_eq!(scripts, document.matches("<script type=\"module\" crossorigin src=\"/assets/").count());
            assert!(!document.contains("://") && !document.contains("onload=") && !document.contains("javascript:"));
        }
    }

    #[test]
    fn the_document_asks_only_for_files_that_exist() {
        let Some(document) = find("index.html").map(text) else { return };
        let names: Vec<_> = document.split("\"/assets/").skip(1).filter_map(|part| part.split('"').next()).collect();
        assert!(names.len() > 1, "{names:?}");
        for name in names {
            assert!(find(&format!("assets/{name}")).is_some(), "{name}");
        }
    }

    #[test]
    fn packed_files_go_to_those_who_ask() {
        let check = |value: &'static str, brotli: bool, gzip: bool| {
            let headers: HeaderMap = [(header::ACCEPT_ENCODING, value.parse().unwrap())].into_iter().collect();
            assert_eq!((accepts(&headers, "br"), accepts(&headers, "gzip")), (brotli, gzip), "{value}");
        };
        check("gzip, deflate, br, zstd", true, true);
        check("br;q=0, GZIP;q=0.5", false, true);
        check("identity", false, false);
        assert!(!accepts(&HeaderMap::new(), "gzip"));
    }

    #[test]
    fn only_names_of_content_are_kept_for_ever() {
        assert!(is_named_by_content("assets/index-Bx3_9-aZ.js"));
        assert!(!is_named_by_content("assets/favicon.svg"));
        assert!(!is_named_by_content("index.html"));
    }
}
