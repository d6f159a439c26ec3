//! The page and what belongs to it, embedded when the program was built; without them, words on how to get it.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// Path from the root and content of each file of the page; nothing if it was not built.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

const MISSING: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Gelato</title>\n\
    <h1>Gelato</h1>\n\
    <p>This program was built without its web page. To get it, run <code>make web</code> (it needs Node.js 18 or later and npm), \
    then build again.</p>\n\
    <p>The figures are there all the same: <a href=\"/api/v1/cluster\">cluster</a>, <a href=\"/api/v1/hosts\">hosts</a>, \
    <a href=\"/api/v1/jobs\">jobs</a>, <a href=\"/api/v1/builds\">builds</a>, <a href=\"/metrics\">metrics</a>; \
    <code>gelato top</code> shows them in a terminal.</p>\n</html>\n";

/// What somebody sees who must say the token first.
pub(super) const SIGN_IN: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width\"><title>Gelato: sign in</title>\n\
    <h1>Gelato</h1>\n<form method=\"post\" action=\"/api/v1/session\">\n\
    <p><label>Token <input name=\"token\" type=\"password\" autocomplete=\"current-password\" required autofocus></label> \
    <button>Sign in</button></p>\n</form>\n\
    <p>The token is in the file <code>control-token</code> of the state folder of the program that serves this page.</p>\n</html>\n";

/// The file at a path.
pub(super) fn file(path: &str) -> Response {
    let wanted = if path == "/" { "/index.html" } else { path };
    match FILES.iter().find(|(name, _)| *name == wanted) {
        Some((name, content)) => {
            // Their names change with their content.
            let cache = if name.starts_with("/assets/") {
                "public, max-age=31536000, immutable"
            } else {
                "no-cache"
            };
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static(kind(name))),
                (CACHE_CONTROL, HeaderValue::from_static(cache)),
            ];
            (headers, *content).into_response()
        }
        None if wanted == "/index.html" => html(MISSING),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A page that is made of words only.
pub(super) fn html(text: &'static str) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    ([(CONTENT_TYPE, kind)], text).into_response()
}

/// Whether the page was built in.
pub fn is_there() -> bool {
    !FILES.is_empty()
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, suffix)| suffix) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_a_page_with_or_without_node() {
        let root = file("/");
        assert_eq!(root.status(), StatusCode::OK);
        let kind = root.headers()[CONTENT_TYPE].to_str().unwrap();
        assert!(kind.starts_with("text/html"));
        assert!(MISSING.contains("make web"));
    }

    #[test]
    fn nothing_but_the_page_is_served() {
        for path in ["/index.htm", "/../Cargo.toml", "/assets/", "//etc/passwd"] {
            assert_eq!(file(path).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn words_of_the_program_keep_to_the_policy_of_the_page() {
        for page in [MISSING, SIGN_IN] {
            assert!(
                !page.contains("style") && !page.contains("<script") && !page.contains("http:")
            );
        }
    }
}
