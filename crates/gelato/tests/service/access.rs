//! Who is let in over the network, and who is avoided. Other machines are other addresses of the loopback network.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::daemon::{
    Daemon, User, breaks_the_protocol, connect, is_left, is_sent_away, shakes_hands,
};

#[test]
fn addresses_that_may_not_connect_are_sent_away_at_once() {
    for &user in User::all() {
        let daemon = Daemon::start(user, &["--deny", "127.0.0.2,127.0.1.0/24"]);
        for (address, welcome) in [
            ("127.0.0.2", false),
            ("127.0.1.9", false),
            ("127.0.0.3", true),
            ("127.0.0.1", true),
        ] {
            let peer = daemon.connect(address);
            if welcome {
                assert!(shakes_hands(peer), "{address}");
            } else {
                assert!(is_sent_away(peer), "{address}");
                assert!(is_sent_away(daemon.connect(address)));
            }
        }
        let log = daemon.log();
        let said = log.matches("refused a connection from 127.0.0.2").count();
        assert_eq!(said, 1, "once a minute: {log}");
    }
}

#[test]
fn both_kinds_of_addresses_lead_in() {
    let daemon = Daemon::start(User::Same, &[]);
    assert!(shakes_hands(daemon.connect("127.0.0.1")));
    if TcpStream::connect(("::1", 1))
        .is_err_and(|error| error.kind() != std::io::ErrorKind::ConnectionRefused)
    {
        return eprintln!("SKIPPED: this machine has no IPv6");
    }
    let over_v6 = connect("::1", ([0, 0, 0, 0, 0, 0, 0, 1], daemon.port).into());
    assert!(shakes_hands(over_v6));
}

#[test]
fn d4_hundreds_of_silent_connections_delay_nobody() {
    let daemon = Daemon::start(User::Same, &[]);
    let silent: Vec<TcpStream> = (0..500).map(|_| daemon.connect("127.0.0.2")).collect();
    let quickest = (0..20)
        .map(|_| {
            let start = Instant::now();
            assert!(shakes_hands(daemon.connect("127.0.0.3")));
            start.elapsed()
        })
        .min()
        .unwrap();
    eprintln!("a handshake beside 500 silent connections: {quickest:?}");
    assert!(quickest < Duration::from_millis(50), "{quickest:?}");
    // Those that are kept have heard the daemon's version.
    let kept = silent
        .iter()
        .filter(|peer| peer.peek(&mut [0]).is_ok_and(|length| length > 0));
    assert_eq!(kept.count(), 256, "one address has its share");
}

#[test]
fn who_says_nothing_is_sent_away_in_time() {
    let daemon = Daemon::start(User::Same, &["--handshake-time", "1"]);
    assert!(is_left(daemon.connect("127.0.0.2")));
}

#[test]
fn a_peer_that_breaks_the_protocol_is_avoided_and_nobody_else() {
    for &user in User::all() {
        let daemon = Daemon::start(user, &[]);
        for _ in 0..3 {
            assert!(breaks_the_protocol(daemon.connect("127.0.0.2")));
        }
        daemon.logs("127.0.0.2 breaks the protocol: its connections are refused for 60 s");
        assert!(is_sent_away(daemon.connect("127.0.0.2")));
        assert!(shakes_hands(daemon.connect("127.0.0.3")));
        for _ in 0..10 {
            assert!(breaks_the_protocol(daemon.connect("127.0.0.1")));
        }
        assert!(
            shakes_hands(daemon.connect("127.0.0.1")),
            "this machine never is"
        );
    }
}
