//! The one page of the server: files compiled in, from this host only.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::ApiError;

const INDEX: &str = include_str!("../web/index.html");

/// The files the page asks for, with their media types.
const ASSETS: [(&str, &str, &str); 8] = [
    ("style.css", "text/css; charset=utf-8", include_str!("../web/style.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("../web/app.js")),
    ("client.js", "text/javascript; charset=utf-8", include_str!("../web/client.js")),
    ("text.js", "text/javascript; charset=utf-8", include_str!("../web/text.js")),
    ("chart.js", "text/javascript; charset=utf-8", include_str!("../web/chart.js")),
    ("query.js", "text/javascript; charset=utf-8", include_str!("../web/query.js")),
    ("overview.js", "text/javascript; charset=utf-8", include_str!("../web/overview.js")),
    ("favicon.svg", "image/svg+xml", include_str!("../web/favicon.svg")),
];

/// `GET /` and `GET /welcome`: the same page; its script looks at the path.
pub(crate) async fn index() -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], INDEX).into_response()
}

/// `GET /assets/{name}`.
pub(crate) async fn asset(Path(name): Path<String>) -> Result<Response, ApiError> {
    let found = ASSETS.iter().find(|(known, _, _)| *known == name);
    let (_, kind, text) = found.ok_or_else(|| ApiError::not_found("there is no such file"))?;
    Ok(([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "no-cache")], *text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content policy forbids all of these; a page that tries them would break in the browser only.
    #[test]
    fn nothing_is_inline_or_from_elsewhere_and_nothing_parses_html() {
        let files = ASSETS.iter().map(|(name, _, text)| (*name, *text)).chain([("index.html", INDEX)]);
        for (name, text) in files {
            let banned = [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "onclick=",
                "onload=",
                "style=\"",
                "<style",
                "javascript:",
                "setAttribute('style",
                "setAttribute(\"style",
            ];
            for word in banned {
                assert!(!text.contains(word), "{name} contains {word}");
            }
            let outside = text.replace("http://www.w3.org/", "").contains("http");
            assert!(!outside || !text.contains("://"), "{name} names another host");
        }
        assert_eq!(INDEX.matches("<script").count(), INDEX.matches("<script type=\"module\" src=\"/assets/").count());
    }

    #[test]
    fn the_page_asks_only_for_files_that_exist() {
        for part in INDEX.split("/assets/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(ASSETS.iter().any(|(known, _, _)| *known == name), "{name}");
        }
        for (name, _, text) in ASSETS.iter().filter(|(name, _, _)| name.ends_with(".js")) {
            for part in text.split(" from \"./").skip(1) {
                let import = part.split('"').next().unwrap();
                assert!(ASSETS.iter().any(|(known, _, _)| *known == import), "{name} imports {import}");
            }
        }
    }
}
