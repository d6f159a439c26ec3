//! The version exchange, byte for byte.

use gelato_net::{Limits, NetError};
use gelato_wire::ProtocolError;

use crate::common::{Case, LONG, Role, SHORT, Transport};

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn versions_that_agree() {
    const MEETINGS: [(u32, u32); 6] = [
        (44, 44),
        (32, 32),
        (21, 21),
        (45, 44),
        (99, 44),
        (1 << 20, 44),
    ];
    for case in Case::all() {
        for (claimed, agreed) in MEETINGS {
            let sent = case.meet(
                Limits::default(),
                |mut peer| {
                    peer.write(&words(&[claimed, agreed]));
                    peer.read_to_end()
                },
                |ours| {
                    let ours = ours.unwrap();
                    assert_eq!(ours.version().number(), agreed, "{case:?}");
                    assert_eq!(ours.peer_maximum(), claimed, "{case:?}");
                },
            );
            assert_eq!(sent, words(&[44, agreed]), "{case:?}");
        }
    }
}

#[test]
fn versions_that_end_the_connection() {
    for case in Case::all() {
        for claimed in [20, 0, (1 << 20) + 1] {
            let sent = case.meet(
                Limits::default(),
                |mut peer| {
                    peer.write(&words(&[claimed]));
                    peer.read_to_end()
                },
                |ours| match ours.err() {
                    Some(NetError::Protocol {
                        error: ProtocolError::Version { claimed: seen },
                        ..
                    }) => assert_eq!(seen, claimed),
                    other => panic!("{case:?}: {other:?}"),
                },
            );
            assert_eq!(sent, words(&[44]), "{case:?}: no second word");
        }
    }
}

#[test]
fn a_second_word_that_differs_ends_the_connection() {
    for case in Case::all() {
        let sent = case.meet(
            Limits::default(),
            |mut peer| {
                peer.write(&words(&[30, 31]));
                peer.read_to_end()
            },
            |ours| {
                let error = ours.err().unwrap();
                assert!(matches!(
                    error,
                    NetError::Protocol {
                        error: ProtocolError::Disagreement {
                            ours: 30,
                            theirs: 31
                        },
                        ..
                    }
                ));
                if case.transport == Transport::Tcp {
                    assert!(error.to_string().contains("127.0.0.1:"), "{error}");
                }
            },
        );
        // Both words of the peer were there at once, so the second of ours may or may not have been sent.
        assert!(words(&[44, 30]).starts_with(&sent), "{case:?}: {sent:?}");
    }
}

#[test]
fn everything_at_once_and_byte_by_byte() {
    let bytes = [words(&[44, 44]), b"\0\0\0\x04\0\0\0\x43".to_vec()].concat();
    for case in Case::all() {
        case.meet(
            Limits::default(),
            |mut peer| {
                peer.write(&bytes);
                peer.read_to_end();
            },
            |ours| {
                let message = ours.unwrap().receive(LONG).unwrap();
                assert_eq!(message.name(), "END", "{case:?}");
            },
        );
        case.meet(
            Limits::default(),
            |mut peer| {
                for byte in &bytes {
                    peer.write(&[*byte]);
                }
                peer.read_to_end();
            },
            |ours| {
                let message = ours.unwrap().receive(LONG).unwrap();
                assert_eq!(message.name(), "END", "{case:?}");
            },
        );
    }
}

#[test]
fn a_mute_peer_is_given_up() {
    let limits = Limits {
        handshake: SHORT,
        ..Limits::default()
    };
    for case in Case::all() {
        for said in [&b""[..], b"\x2c\0", b"\x2c\0\0\0"] {
            case.meet(
                limits,
                |mut peer| {
                    peer.write(said);
                    peer.read_to_end();
                },
                |ours| {
                    let error = ours.err().unwrap();
                    assert!(error.is_timeout(), "{case:?}: {error}");
                    let text = error.to_string();
                    assert!(
                        text.contains("60ms") && text.contains("the version exchange"),
                        "{text}"
                    );
                },
            );
        }
    }
}

#[test]
fn a_peer_that_leaves_without_a_byte_is_told_from_one_that_began() {
    for case in Case::all() {
        case.meet(Limits::default(), drop, |ours| match ours.err() {
            Some(error @ NetError::NeverSpoke { .. }) => assert!(error.is_closed()),
            // The probe was over before we had a look at it.
            other => panic!("{case:?}: {other:?}"),
        });
        case.meet(
            Limits::default(),
            |mut peer| {
                peer.write(b"\x2c\0\0\0\x2c");
                let expected = if case.role == Role::Connecting { 4 } else { 8 };
                peer.read(expected);
            },
            |ours| {
                let error = ours.err().unwrap();
                let cut_off = match &error {
                    NetError::CutOff { .. } => true,
                    // Closing with our second word unread resets a connection.
                    NetError::Receive { error, .. } => {
                        error.kind() == std::io::ErrorKind::ConnectionReset
                    }
                    _ => false,
                };
                assert!(cut_off, "{case:?}: {error}");
            },
        );
    }
}

#[test]
fn nobody_there_is_said_with_the_address() {
    use gelato_net::{blocking, stream};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let path = std::path::Path::new("/nonexistent/socket");
    let runtime = crate::common::runtime();
    let limits = Limits::default();
    let tcp = [
        blocking::Connection::connect_tcp(address, limits).err(),
        runtime
            .block_on(stream::Connection::connect_tcp(address, limits))
            .err(),
    ];
    for error in tcp {
        let text = error.unwrap().to_string();
        assert!(
            text.starts_with(&format!("cannot connect to {address}: ")),
            "{text}"
        );
    }
    let unix = [
        blocking::Connection::connect_unix(path, limits).err(),
        runtime
            .block_on(stream::Connection::connect_unix(path, limits))
            .err(),
    ];
    for error in unix {
        let text = error.unwrap().to_string();
        assert!(
            text.starts_with("cannot connect to /nonexistent/socket: "),
            "{text}"
        );
    }
}

#[test]
fn a_connect_that_nobody_accepts_is_bounded() {
    use gelato_net::{blocking, stream};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full");
    let listener = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let address = rustix::net::SocketAddrUnix::new(&path).unwrap();
    rustix::net::bind(&listener, &address).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _fills_the_queue = std::os::unix::net::UnixStream::connect(&path).unwrap();

    let limits = Limits {
        connect: SHORT,
        ..Limits::default()
    };
    let runtime = crate::common::runtime();
    for error in [
        blocking::Connection::connect_unix(&path, limits).err(),
        runtime
            .block_on(stream::Connection::connect_unix(&path, limits))
            .err(),
    ] {
        let text = error.unwrap().to_string();
        assert!(
            text.contains("60ms") && text.contains("the connection"),
            "{text}"
        );
    }
}
