//! Who may look and who may change.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::site::{LONG, Site, TOKEN};

#[test]
fn pages_under_foreign_names_see_nothing() {
    let site = Site::start();
    for path in [
        "/",
        "/api/v1/cluster",
        "/api/v1/stream",
        "/metrics",
        "/nothing",
    ] {
        for foreign in ["Host: evil.example", "Host: 10.0.0.1:8767", "Host:"] {
            assert_eq!(site.get(path, &[foreign]).status, 421, "{path} {foreign}");
        }
    }
    let port = site.address.port();
    for ours in [
        format!("Host: localhost:{port}"),
        "Host: 127.0.0.1".to_owned(),
        "Host: [::1]:1".to_owned(),
    ] {
        assert_eq!(site.get("/", &[&ours]).status, 200, "{ours}");
    }
    let absolute = site.get("http://evil.example/", &[]);
    assert_eq!(absolute.status, 421);
}

#[test]
fn every_answer_keeps_the_page_to_itself() {
    let site = Site::start();
    for path in [
        "/",
        "/nothing",
        "/api/v1/hosts",
        "/api/v1/nothing",
        "/metrics",
    ] {
        let answer = site.get(path, &["Origin: http://evil.example"]);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("access-control-allow-origin").is_none());
    }
    let other = site.ask("OPTIONS", "/api/v1/manage", &[], "");
    assert_eq!(other.status, 405);
}

#[test]
fn changing_needs_the_token_even_here() {
    let site = Site::start();
    site.connected();
    site.host(1);
    let order = r#"{"action":"block","host":"host1"}"#;
    let kind = "Content-Type: application/json";
    assert_eq!(
        site.ask("POST", "/api/v1/manage", &[kind], order).status,
        401
    );
    let wrong = "Authorization: Bearer 0123456789abcdef0123456789abcdee";
    assert_eq!(
        site.ask("POST", "/api/v1/manage", &[kind, wrong], order)
            .status,
        401
    );
    let right = format!("Authorization: Bearer {TOKEN}");
    // Signed rightly; there is no scheduler behind these events.
    let answer = site.ask("POST", "/api/v1/manage", &[kind, &right], order);
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.json()["hint"].is_string());
    let nonsense = site.ask(
        "POST",
        "/api/v1/manage",
        &[kind, &right],
        r#"{"action":"dance"}"#,
    );
    assert_eq!(nonsense.status, 422);
    let smuggled = r#"{"action":"unblock","host":"a\nremovecs b"}"#;
    let answer = site.ask("POST", "/api/v1/manage", &[kind, &right], smuggled);
    assert_eq!(answer.status, 400);
}

#[test]
fn at_an_open_address_everything_needs_the_token() {
    let site = Site::listening_at("0.0.0.0:0");
    let named = "Host: build.example";
    let sign_in = site.get("/", &[named]);
    assert!(sign_in.body.contains("<form") && !sign_in.body.contains("cluster"));
    for path in [
        "/api/v1/cluster",
        "/api/v1/stream",
        "/metrics",
        "/assets/x.js",
        "/index.html",
    ] {
        let answer = site.get(path, &[named]);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("bearer"));
    }
    let bearer = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(site.get("/api/v1/cluster", &[named, &bearer]).status, 200);

    let offer = format!(r#"{{"token":"{TOKEN}"}}"#);
    let signed = site.ask("POST", "/api/v1/session", &[named], &offer);
    assert_eq!(signed.status, 204);
    let cookie = signed.header("set-cookie").unwrap();
    assert!(cookie.contains("httponly") && cookie.contains("samesite=strict"));
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    assert_eq!(site.get("/api/v1/cluster", &[named, &cookie]).status, 200);

    // Another page of the same machine cannot use the session to change something.
    let order = r#"{"action":"unblock","host":"x"}"#;
    let kind = "Content-Type: application/json";
    let change = |origin: &str| {
        let lines = [named, &cookie, kind, origin];
        site.ask("POST", "/api/v1/manage", &lines, order).status
    };
    assert_eq!(change("Origin: http://build.example:81"), 403);
    assert_eq!(change("X: y"), 403);
    assert_eq!(change("Origin: http://build.example"), 409);

    let ended = site.ask("DELETE", "/api/v1/session", &[named, &cookie], "");
    assert_eq!(ended.status, 204);
    assert_eq!(site.get("/api/v1/cluster", &[named, &cookie]).status, 401);

    let form = site.ask(
        "POST",
        "/api/v1/session",
        &[named, "Content-Type: application/x-www-form-urlencoded"],
        &format!("token={TOKEN}"),
    );
    assert_eq!((form.status, form.header("location")), (303, Some("/")));
}

#[test]
fn guessing_is_stopped() {
    let site = Site::listening_at("0.0.0.0:0");
    let guess = |token: &str| {
        let offer = format!(r#"{{"token":"{token}"}}"#);
        site.ask("POST", "/api/v1/session", &[], &offer)
    };
    for _ in 0..5 {
        assert_eq!(guess("0123456789abcdef").status, 401);
    }
    let stopped = guess(TOKEN);
    assert_eq!(stopped.status, 429);
    assert!(stopped.header("retry-after").is_some());
}

#[test]
fn other_pages_cannot_use_up_the_guesses_of_who_looks_at_them() {
    let site = Site::start();
    let offer = |token: &str, line: &str| {
        let offer = format!(r#"{{"token":"{token}"}}"#);
        site.ask("POST", "/api/v1/session", &[line], &offer).status
    };
    for foreign in [
        "Origin: http://evil.example",
        "Origin: http://127.0.0.1:1",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        for _ in 0..3 {
            assert_eq!(offer("0123456789abcdef", foreign), 403, "{foreign}");
        }
    }
    let own = format!("Origin: http://{}", site.address);
    for own in [
        &own,
        "Origin: null",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Site: none",
    ] {
        assert_eq!(offer(TOKEN, own), 204, "{own}");
    }
}

#[test]
fn requests_are_bounded() {
    let site = Site::start();
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let long = "x".repeat(100_000);
    let kind = "Content-Type: application/json";
    let body = format!(r#"{{"action":"block","host":"{long}"}}"#);
    let answer = site.ask("POST", "/api/v1/manage", &[&bearer, kind], &body);
    assert_eq!(answer.status, 413);
    // A head without end is cut off.
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let head =
        format!("GET / HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nX: {long}\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    assert!(
        text.is_empty() || text.starts_with("HTTP/1.1 431"),
        "{text}"
    );
    assert_eq!(site.get("/api/v1/cluster", &[]).status, 200);
}
