//! Messages after the exchange: ends, damage, slow peers, much at the same time.

use std::io;

use gelato_net::{Limits, NetError};
use gelato_wire::{Message, ProtocolError};
use rustix::net::sockopt;

use crate::common::{Case, Connection, Flavour, LONG, Place, Role, SHORT, Transport, frame, text};

#[test]
fn messages_arrive_whole_however_they_are_cut() {
    let message = text(300, b'x');
    for case in Case::all() {
        case.meet(
            Limits::default(),
            |peer| {
                let mut peer = peer.shake_hands();
                for byte in frame(&message) {
                    peer.write(&[byte]);
                }
                peer.write(&frame(&Message::End));
                peer.read_to_end();
            },
            |ours| {
                let mut ours = ours.unwrap();
                assert_eq!(ours.receive(LONG).unwrap(), message, "{case:?}");
                assert_eq!(ours.receive(LONG).unwrap(), Message::End, "{case:?}");
                assert!(ours.try_receive().unwrap().is_none(), "{case:?}");
            },
        );
    }
}

#[test]
fn an_end_between_messages_is_told_from_one_inside() {
    let message = frame(&text(300, b'x'));
    for case in Case::all() {
        for (length, closed) in [
            (message.len(), true),
            (message.len() - 1, false),
            (3, false),
        ] {
            case.meet(
                Limits::default(),
                |peer| peer.shake_hands().write(&message[..length]),
                |ours| {
                    let mut ours = ours.unwrap();
                    let first = ours.receive(LONG);
                    let end = if closed {
                        first.unwrap();
                        assert!(ours.try_receive().unwrap().is_none());
                        ours.receive(LONG)
                    } else {
                        first
                    };
                    let error = end.unwrap_err();
                    assert_eq!(error.is_closed(), closed, "{case:?}: {error}");
                    assert!(
                        closed || matches!(error, NetError::CutOff { .. }),
                        "{case:?}: {error}"
                    );
                    assert!(error.to_string().contains("the answer"), "{error}");
                },
            );
        }
    }
}

#[test]
fn what_is_no_message_ends_the_connection() {
    let oversized = b"\0\x10\0\x01\0\0\0\x43".to_vec();
    let unknown = b"\0\0\0\x04\0\0\0\x41".to_vec();
    let too_long = b"\0\0\0\x05\0\0\0\x43\0".to_vec();
    let garbage = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    for case in Case::all() {
        for bytes in [&oversized, &unknown, &too_long, &garbage] {
            case.meet(
                Limits::default(),
                |peer| {
                    let mut peer = peer.shake_hands();
                    peer.write(&frame(&Message::End));
                    peer.write(bytes);
                    peer.read_to_end();
                },
                |ours| {
                    let mut ours = ours.unwrap();
                    assert_eq!(ours.receive(LONG).unwrap(), Message::End, "{case:?}");
                    for _ in 0..2 {
                        let error = ours.receive(LONG).unwrap_err();
                        assert!(
                            matches!(error, NetError::Protocol { .. }),
                            "{case:?}: {error}"
                        );
                    }
                },
            );
        }
    }
}

#[test]
fn the_largest_frame_passes_and_the_next_larger_does_not() {
    // Type word and string length take 8 bytes, the final NUL one.
    let largest = text((1 << 20) - 9, b'x');
    let case = Case {
        flavour: Flavour::Blocking,
        transport: Transport::Tcp,
        role: Role::Connecting,
    };
    case.meet(
        Limits::default(),
        |peer| {
            let mut peer = peer.shake_hands();
            peer.write(&frame(&largest));
            peer.write(b"\0\x10\0\x01");
            peer.read_to_end();
        },
        |ours| {
            let mut ours = ours.unwrap();
            assert_eq!(ours.receive(LONG).unwrap(), largest);
            assert!(matches!(
                ours.receive(LONG),
                Err(NetError::Protocol {
                    error: ProtocolError::FrameTooLong { length: 0x100001 },
                    ..
                })
            ));
            let error = ours.send(&text(1 << 20, b'x')).unwrap_err();
            assert!(matches!(error, NetError::Encode { .. }), "{error}");
            ours.send(&Message::End).unwrap();
        },
    );
}

#[test]
fn silence_is_bounded_and_the_connection_survives_it() {
    for case in Case::all() {
        let (go, wait) = std::sync::mpsc::channel();
        case.meet(
            Limits::default(),
            move |peer| {
                let mut peer = peer.shake_hands();
                let bytes = frame(&text(10, b'x'));
                peer.write(&bytes[..7]);
                wait.recv().unwrap();
                peer.write(&bytes[7..]);
                peer.read_to_end();
            },
            |ours| {
                let mut ours = ours.unwrap();
                let error = ours.receive(SHORT).unwrap_err();
                assert!(matches!(error, NetError::TimedOut { .. }), "{case:?}");
                let said = error.to_string();
                assert!(
                    said.contains("60ms while we waited for the answer"),
                    "{said}"
                );
                go.send(()).unwrap();
                assert_eq!(ours.receive(LONG).unwrap(), text(10, b'x'), "{case:?}");
            },
        );
    }
}

#[test]
fn a_peer_that_does_not_read_stalls_the_sender_for_a_limited_time() {
    let limits = Limits {
        stall: SHORT,
        ..Limits::default()
    };
    for case in Case::all() {
        let (done, wait) = std::sync::mpsc::channel::<()>();
        case.meet(
            limits,
            move |peer| {
                let _peer = peer.shake_hands();
                let _ = wait.recv();
            },
            |ours| {
                let mut ours = ours.unwrap();
                let large = text(1_000_000, b'x');
                let error = (0..64).find_map(|_| ours.send(&large).err()).unwrap();
                assert!(
                    matches!(error, NetError::Stalled { .. }),
                    "{case:?}: {error}"
                );
                let said = error.to_string();
                assert!(said.contains("60ms while we sent STATUS_TEXT"), "{said}");
                let error = ours.send(&Message::End).unwrap_err();
                assert!(matches!(error, NetError::Send { .. }), "{case:?}: {error}");
                drop(done);
            },
        );
    }
}

#[test]
fn both_may_send_much_at_the_same_time() {
    const MESSAGES: u8 = 12;
    const SIZE: usize = 250_000;
    for transport in [Transport::Tcp, Transport::Unix] {
        for (a, b) in [
            (Flavour::Blocking, Flavour::Blocking),
            (Flavour::Blocking, Flavour::Stream),
            (Flavour::Stream, Flavour::Stream),
        ] {
            let place = Place::new(transport);
            let talk = |mut connection: Connection| {
                // Less than what is under way, so that somebody has to read for the other to go on.
                sockopt::set_socket_send_buffer_size(&connection, 200_000).unwrap();
                sockopt::set_socket_recv_buffer_size(&connection, 200_000).unwrap();
                for n in 0..MESSAGES {
                    connection.send(&text(SIZE, n + 1)).unwrap();
                }
                for n in 0..MESSAGES {
                    assert_eq!(connection.receive(LONG).unwrap(), text(SIZE, n + 1));
                }
                connection
            };
            std::thread::scope(|scope| {
                let place = &place;
                let other = scope.spawn(move || {
                    let ours = Connection::accept(a, place.accept(), Limits::default());
                    talk(ours.unwrap())
                });
                let ours = Connection::connect(b, place, Limits::default()).unwrap();
                let _ours = talk(ours);
                other.join().unwrap();
            });
        }
    }
}

#[test]
fn what_is_put_aside_while_sending_is_bounded() {
    let limits = Limits {
        stall: SHORT,
        ..Limits::default()
    };
    for case in Case::all() {
        let taken = case.meet(
            limits,
            |peer| {
                let peer = peer.shake_hands();
                // As much as the other end takes.
                let mut total = 0;
                let bytes = frame(&text(1_000_000, b'x'));
                let mut at = 0;
                loop {
                    let flags = rustix::net::SendFlags::NOSIGNAL;
                    match rustix::net::send(&peer, &bytes[at..], flags) {
                        Ok(written) => {
                            total += written;
                            at = (at + written) % bytes.len();
                        }
                        Err(_) => return total,
                    }
                }
            },
            |ours| {
                let mut ours = ours.unwrap();
                let large = text(1_000_000, b'x');
                let error = (0..64).find_map(|_| ours.send(&large).err()).unwrap();
                assert!(
                    matches!(error, NetError::Stalled { .. }),
                    "{case:?}: {error}"
                );
                // What was put aside is still good.
                assert_eq!(ours.receive(LONG).unwrap(), large);
            },
        );
        // 4 MiB, one read more, and what sockets buffer.
        assert!(taken < 14 << 20, "{case:?}: {taken}");
    }
}

#[test]
fn the_reason_can_be_read_after_a_failed_write() {
    for case in Case::all() {
        case.meet(
            Limits::default(),
            |peer| {
                let mut peer = peer.shake_hands();
                peer.write(&frame(&Message::Ping));
                peer.write(&frame(&text(5, b'r')));
                // Waits for the first byte, leaves the rest unread: closing resets the connection.
                peer.read(1);
            },
            |ours| {
                let mut ours = ours.unwrap();
                let large = text(1_000_000, b'x');
                let error = (0..64).find_map(|_| ours.send(&large).err()).unwrap();
                match &error {
                    NetError::Send { error, .. } => assert!(
                        matches!(
                            error.kind(),
                            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                        ),
                        "{case:?}: {error}"
                    ),
                    _ => panic!("{case:?}: {error}"),
                }
                assert_eq!(ours.last_words(LONG).as_deref(), Some("rrrrr"), "{case:?}");
                assert_eq!(ours.last_words(LONG), None, "{case:?}");
            },
        );
    }
}

#[test]
fn a_peer_that_spells_its_last_words_slowly_does_not_keep_us() {
    for case in Case::all() {
        case.meet(
            Limits::default(),
            |peer| {
                let mut peer = peer.shake_hands();
                // A message that never ends, until we have left.
                let start = frame(&text(1_000_000, b'r'));
                peer.write(&start[..100]);
                let mut byte = start[100..900_000].iter();
                while let Some(&byte) = byte.next()
                    && peer.try_write(&[byte])
                {}
            },
            |ours| assert_eq!(ours.unwrap().last_words(SHORT), None, "{case:?}"),
        );
    }
}

#[test]
fn small_writes_for_slow_networks_change_nothing_else() {
    for case in Case::all() {
        case.meet(
            Limits::default().for_slow_network(),
            |peer| {
                let mut peer = peer.shake_hands();
                let bytes = frame(&text(100_000, b'x'));
                assert_eq!(peer.read(bytes.len()), bytes);
            },
            |ours| ours.unwrap().send(&text(100_000, b'x')).unwrap(),
        );
    }
}

/// A signal of the wrapper arrives while a worker does not read.
#[test]
fn an_interrupt_ends_a_send_that_waits() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        let peer = scope.spawn(|| {
            let (stream, _) = listener.accept().unwrap();
            gelato_net::blocking::Connection::accept_tcp(stream, Limits::default()).unwrap()
        });
        let mut connection =
            gelato_net::blocking::Connection::connect_tcp(address, Limits::default()).unwrap();
        let _deaf = peer.join().unwrap();
        let (interrupt, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut writer, b"!").unwrap();
        let message = Message::StatusText(gelato_wire::msg::StatusText {
            text: "x".repeat(500_000).into(),
        });
        // What the system takes at once is not interrupted.
        let error = (0..1000)
            .find_map(|_| {
                connection
                    .send_unless(&message, Some(std::os::fd::AsFd::as_fd(&interrupt)))
                    .err()
            })
            .unwrap();
        assert!(error.is_interrupted(), "{error}");
    });
}

#[test]
fn an_interrupt_ends_a_connection_attempt() {
    // The system accepts, but nobody answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (interrupt, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
    std::io::Write::write_all(&mut writer, b"!").unwrap();
    let error = gelato_net::blocking::Connection::connect_tcp_unless(
        listener.local_addr().unwrap(),
        Limits::default(),
        Some(std::os::fd::AsFd::as_fd(&interrupt)),
    )
    .unwrap_err();
    assert!(error.is_interrupted(), "{error}");
}
