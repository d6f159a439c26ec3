//! Signing a browser in and out: the token for a cookie that scripts cannot read and other pages cannot use.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::auth::{Denied, SESSION_MS};
use super::connection::Peer;
use super::guard::{Refusal, SESSION_COOKIE, is_of_other_page, session_of};
use super::state::Shared;
use crate::feed;

#[derive(Deserialize)]
struct Offer {
    token: String,
}

/// `POST /api/v1/session`, as JSON or from a form.
pub(super) async fn begin(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if is_of_other_page(&headers) {
        return Denied::OtherPage.into_response();
    }
    let is_form = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let offered = if is_form {
        // A token has only characters that forms leave as they are, or `%` and two digits.
        form_value(&body)
    } else {
        serde_json::from_slice::<Offer>(&body)
            .ok()
            .map(|offer| offer.token)
    };
    let Some(offered) = offered else {
        return Refusal::new(
            StatusCode::BAD_REQUEST,
            "no token in the request",
            "send {\"token\": \"…\"}",
        )
        .into_response();
    };
    let now = feed::now();
    let session = {
        let mut keys = shared.keys();
        if let Err(denied) = keys.try_token(offered.trim(), peer.0.ip(), now) {
            return denied.into_response();
        }
        keys.begin_session(now)
    };
    let session = match session {
        Ok(session) => session,
        Err(error) => {
            return Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("no session can be made: {error}"),
                "send the token with every request",
            )
            .into_response();
        }
    };
    let cookie = cookie(&session, SESSION_MS / 1000);
    if is_form {
        let headers = [(SET_COOKIE, cookie), (LOCATION, "/".to_owned())];
        (StatusCode::SEE_OTHER, headers).into_response()
    } else {
        (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response()
    }
}

/// `DELETE /api/v1/session`.
pub(super) async fn end(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(session) = session_of(&headers) {
        shared.keys().end_session(session);
    }
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie("", 0))]).into_response()
}

fn cookie(session: &str, seconds: u64) -> String {
    format!("{SESSION_COOKIE}={session}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict")
}

/// The value of `token` in what a form sends.
fn form_value(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let value = text
        .split('&')
        .find_map(|pair| pair.strip_prefix("token="))?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read() {
        assert_eq!(form_value(b"token=abc%2F%2b+d").as_deref(), Some("abc/+ d"));
        assert_eq!(form_value(b"a=b&token=x").as_deref(), Some("x"));
        for bad in ["", "token", "token=%", "token=%4", "token=%zz", "token=%ff"] {
            assert_eq!(form_value(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn scripts_and_other_pages_cannot_use_the_cookie() {
        let cookie = cookie("xyz", 60);
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    }
}
