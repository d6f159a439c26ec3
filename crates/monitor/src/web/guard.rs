//! In front of every request: which names we answer to, who is asking, and the headers every answer carries.
//!
//! At the loopback address everybody on this machine may look, so a foreign page must not be able to: a name it made point here is no name
//! of ours. At any other address every request needs the token or a session, which no foreign name has.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{
    self, AUTHORIZATION, CACHE_CONTROL, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::auth::Denied;
use super::connection::Peer;
use super::state::Shared;
use super::{SESSION_PATH, assets};

/// The cookie with the session.
pub(super) const SESSION_COOKIE: &str = "gelato-session";

/// What the page may load: only what comes from here.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// How long an answer may take to begin.
const ANSWER: Duration = Duration::from_secs(30);

/// What went wrong and what to do.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: String,
    pub(super) hint: &'static str,
}

#[derive(Serialize)]
struct Words<'a> {
    error: &'a str,
    hint: &'a str,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>, hint: &'static str) -> Refusal {
        Refusal {
            status,
            error: error.into(),
            hint,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let words = Words {
            error: &self.error,
            hint: self.hint,
        };
        (self.status, Json(words)).into_response()
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        const HINT: &str = "send `Authorization: Bearer TOKEN`, or sign in at /; the token is in the file control-token of \
            the state folder of the program that serves this";
        let challenge = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
        match self {
            Denied::Missing => {
                let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "a token is needed", HINT);
                (challenge, refusal).into_response()
            }
            Denied::Wrong => {
                let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "this is not the token", HINT);
                (challenge, refusal).into_response()
            }
            Denied::OtherPage => Refusal::new(
                StatusCode::FORBIDDEN,
                "this request comes from another page",
                "use the page of this server, or send the token",
            )
            .into_response(),
            Denied::TooMany(seconds) => {
                let refusal = Refusal::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    format!("too many wrong tokens; try again in {seconds} s"),
                    HINT,
                );
                ([(RETRY_AFTER, seconds.to_string())], refusal).into_response()
            }
        }
    }
}

/// The middleware.
pub(super) async fn guard(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_page = path == "/";
    let is_immutable = path.starts_with("/assets/");
    let mut response = match admit(&shared, &request) {
        Ok(()) => match tokio::time::timeout(ANSWER, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "the request took too long",
                "send it whole, and again",
            )
            .into_response(),
        },
        Err(Stop::Denied(Denied::Missing)) if is_page => assets::html(assets::SIGN_IN),
        Err(Stop::Denied(denied)) => denied.into_response(),
        Err(Stop::Name) => Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this server does not answer to that name",
            "use http://localhost or http://127.0.0.1 with its port",
        )
        .into_response(),
    };
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !is_immutable && !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

enum Stop {
    Name,
    Denied(Denied),
}

fn admit(shared: &Shared, request: &Request) -> Result<(), Stop> {
    if !shared.needs_token {
        return match is_own_name(request) {
            true => Ok(()),
            false => Err(Stop::Name),
        };
    }
    // Where the token is said for the first time.
    if request.method() == Method::POST && request.uri().path() == SESSION_PATH {
        return Ok(());
    }
    authorise(shared, request.headers(), peer_of(request)).map_err(Stop::Denied)
}

/// Whether the request was sent to a name of the loopback address. Ports are not compared: they differ behind a tunnel.
fn is_own_name(request: &Request) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    host.to_str().is_ok_and(names_loopback) && request.uri().host().is_none_or(names_loopback)
}

fn names_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map_or("", |(address, _)| address),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    match name.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

fn peer_of(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<Peer>();
    peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip())
}

/// Whether these headers carry the token, or a session's cookie.
pub(super) fn authorise(shared: &Shared, headers: &HeaderMap, from: IpAddr) -> Result<(), Denied> {
    let now = crate::feed::now();
    let mut keys = shared.keys();
    if let Some(said) = headers.get(AUTHORIZATION) {
        let said = said.to_str().unwrap_or_default();
        let token = said
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        return match token {
            Some((_, token)) => keys.try_token(token.trim(), from, now),
            None => Err(Denied::Missing),
        };
    }
    match session_of(headers) {
        Some(session) if keys.knows(session, now) => Ok(()),
        _ => Err(Denied::Missing),
    }
}

/// The same for a request that changes something: one that a browser signs by itself must come from our own page.
pub(super) fn authorise_change(
    shared: &Shared,
    headers: &HeaderMap,
    from: IpAddr,
) -> Result<(), Denied> {
    let signed_by_browser = !headers.contains_key(AUTHORIZATION) && session_of(headers).is_some();
    if signed_by_browser && !is_same_origin(headers) {
        return Err(Denied::OtherPage);
    }
    authorise(shared, headers, from)
}

/// Whether a browser says that a page that is not ours made it ask: what such a page says must not count as a guess of the one who looks
/// at it. Our own form comes from `null`, because the page has no referrer.
pub(super) fn is_of_other_page(headers: &HeaderMap) -> bool {
    // Right even behind a proxy under another name, but browsers say it only over safe connections.
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    headers
        .get(ORIGIN)
        .is_some_and(|origin| origin != "null" && !is_same_origin(headers))
}

fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(origin), Some(host)) = (text(ORIGIN), text(HOST)) else {
        return false;
    };
    origin
        .split_once("://")
        .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

/// The session a browser sent.
pub(super) fn session_of(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == SESSION_COOKIE)
        .map(|(_, session)| session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_loopback_address_are_ours() {
        for ours in [
            "localhost",
            "LocalHost:8767",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]:8767",
            "[::1]",
        ] {
            assert!(names_loopback(ours), "{ours}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example:8767",
            "10.0.0.1",
            "127.0.0.1.evil.example",
            "[::2]:80",
            "[::1",
            "::1",
            "0.0.0.0:8767",
        ] {
            assert!(!names_loopback(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_session_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.insert(
            COOKIE,
            HeaderValue::from_static("a=b; gelato-session=xyz;c=d"),
        );
        assert_eq!(session_of(&headers), Some("xyz"));
        headers.insert(COOKIE, HeaderValue::from_static("not-gelato-session=xyz"));
        assert_eq!(session_of(&headers), None);
    }

    #[test]
    fn a_page_of_another_origin_is_told_from_ours() {
        let with = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("10.0.0.1:8767"));
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            is_same_origin(&headers)
        };
        assert!(with("http://10.0.0.1:8767"));
        assert!(!with("http://10.0.0.1:9000"));
        assert!(!with("null"));
        assert!(!is_same_origin(&HeaderMap::new()));
    }
}
