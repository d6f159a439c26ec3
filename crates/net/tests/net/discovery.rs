//! Discovery on loopback: our own schedulers, schedulers made of bytes, and Icecream's if it is installed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gelato_net::discovery::{FindError, Identity, Place, Reach, Responder, Wanted, find, survey};
use gelato_net::{Limits, stream};
use gelato_wire::ByteString;
use gelato_wire::datagram::{Announcement, Reply};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::common::{LONG, SHORT, runtime};

fn identity(netname: &str, start_time: u64) -> Identity {
    Identity {
        netname: netname.into(),
        start_time,
        port: 0,
        reach: Reach::Loopback,
        announce_to: Vec::new(),
    }
}

fn wanted(netname: &str, ports: &[u16], wait: Duration) -> Wanted {
    Wanted {
        netname: netname.into(),
        place: Place::Network {
            ports: ports.to_vec(),
            reach: Reach::Loopback,
        },
        wait,
    }
}

/// A scheduler of ours that runs for the rest of the test.
async fn scheduler(netname: &str, start_time: u64) -> u16 {
    let mut responder = Responder::bind(identity(netname, start_time))
        .await
        .unwrap();
    let port = responder.port();
    tokio::spawn(async move {
        loop {
            responder.next().await;
        }
    });
    port
}

/// A scheduler that answers every request with these bytes.
async fn scripted(answer: Vec<u8>) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 16];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            assert_eq!(buffer[..length], [44]);
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    port
}

fn reply(version: u32, start_time: u64, netname: &str) -> Vec<u8> {
    let reply = Reply {
        version,
        start_time,
        netname: netname.into(),
    };
    reply.encode(44)
}

#[test]
fn the_best_scheduler_is_found() {
    runtime().block_on(async {
        let young = scheduler("lab", 2000).await;
        let old = scheduler("LAB", 1000).await;
        let foreign = scheduler("ICECREAM", 1).await;
        let lower = scripted(reply(43, 1, "lab")).await;
        let garbage = scripted(vec![47; 100]).await;
        let ports = [garbage, lower, foreign, young, old];
        let found = find(&wanted("lab", &ports, LONG)).await.unwrap();
        assert_eq!(found.address, SocketAddr::from((Ipv4Addr::LOCALHOST, old)));
        let reply = found.reply.unwrap();
        assert_eq!((reply.version, reply.start_time), (44, 1000));

        let newer = scripted(reply_of_the_future()).await;
        let ports = [old, newer];
        let found = find(&wanted("lab", &ports, LONG)).await.unwrap();
        assert_eq!(found.address.port(), newer);
    });
}

fn reply_of_the_future() -> Vec<u8> {
    reply(45, 5000, "lab")
}

#[test]
fn an_ancient_scheduler_is_better_than_none() {
    runtime().block_on(async {
        let mut answer = vec![45];
        answer.extend_from_slice(b"lab");
        answer.resize(16, 0);
        let port = scripted(answer).await;
        let found = find(&wanted("lab", &[port], LONG)).await.unwrap();
        assert_eq!(found.address.port(), port);
        assert_eq!(found.reply.unwrap().version, 32);
    });
}

#[test]
fn without_a_suitable_answer_the_others_are_named() {
    runtime().block_on(async {
        let foreign = scheduler("ICECREAM", 1).await;
        let wanted = wanted("lab", &[foreign], SHORT);
        match find(&wanted).await {
            Err(FindError::NotFound { others, .. }) => {
                assert_eq!(others, [ByteString::from("ICECREAM")]);
            }
            other => panic!("{other:?}"),
        }
        let names = survey(&wanted, SHORT).await;
        assert_eq!(names, [ByteString::from("ICECREAM")]);
    });
}

#[test]
fn a_lost_question_is_repeated() {
    runtime().block_on(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let forgetful = async {
            let mut buffer = [0; 16];
            socket.recv_from(&mut buffer).await.unwrap();
            let (_, from) = socket.recv_from(&mut buffer).await.unwrap();
            socket.send_to(&reply(44, 1, "lab"), from).await.unwrap();
        };
        let wanted = wanted("lab", &[port], Duration::from_secs(1));
        let (_, found) = tokio::join!(forgetful, find(&wanted));
        assert_eq!(found.unwrap().address.port(), port);
    });
}

#[test]
fn a_given_host_is_not_asked() {
    runtime().block_on(async {
        for (name, expected) in [("127.0.0.1", "127.0.0.1:7"), ("localhost", "127.0.0.1:7")] {
            let wanted = Wanted::new(Some(&format!("{name}:7")), None, |_| None).unwrap();
            let found = find(&wanted).await.unwrap();
            assert_eq!(found.address, expected.parse().unwrap());
            assert_eq!(found.reply, None);
        }
        let wanted = Wanted::new(Some("no-such-host.invalid"), None, |_| None).unwrap();
        let error = find(&wanted).await.unwrap_err();
        assert!(
            error.to_string().contains("no-such-host.invalid"),
            "{error}"
        );
    });
}

#[test]
fn a_responder_answers_each_asker_in_his_layout_and_ignores_garbage() {
    runtime().block_on(async {
        let port = scheduler("ICECREAM", 0x1_0000_0002).await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(("127.0.0.1", port)).await.unwrap();
        let mut buffer = [0; 512];
        let garbage = [
            vec![20],
            vec![128],
            vec![0],
            Vec::new(),
            vec![44; 2],
            vec![1; 400],
        ];
        for (asker, length) in [(21, 16), (33, 32), (36, 268), (44, 268), (127, 268)] {
            for datagram in &garbage {
                socket.send(datagram).await.unwrap();
            }
            socket.send(&[asker]).await.unwrap();
            // Had the garbage been answered, that answer would come first.
            let received = timeout(LONG, socket.recv(&mut buffer)).await.unwrap();
            let expected = Reply {
                version: 44,
                start_time: 0x1_0000_0002,
                netname: "ICECREAM".into(),
            };
            let expected = expected.encode(asker.into());
            assert_eq!(expected.len(), length);
            assert_eq!(buffer[..received.unwrap()], expected[..], "{asker}");
        }
    });
}

#[test]
fn schedulers_hear_each_other_but_not_themselves() {
    runtime().block_on(async {
        let mut first = Responder::bind(identity("ICECREAM", 1000)).await.unwrap();
        let mut both = identity("ICECREAM", 2000);
        both.announce_to = vec![first.port()];
        let mut second = Responder::bind(both).await.unwrap();
        let port = second.port();
        let task = tokio::spawn(async move { second.next().await });
        let heard = timeout(LONG, first.next()).await.unwrap();
        assert_eq!(heard.from.port(), port);
        let expected = Announcement {
            version: 44,
            start_time: 2000,
            netname: "ICECREAM".into(),
        };
        assert_eq!(heard.announcement, expected);
        task.abort();
    });
}

#[test]
fn both_forms_are_announced_at_start() {
    runtime().block_on(async {
        let listening = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut identity = identity("ICECREAM", 1000);
        identity.announce_to = vec![listening.local_addr().unwrap().port()];
        let expected = identity.announcement();
        let mut responder = Responder::bind(identity).await.unwrap();
        let task = tokio::spawn(async move { responder.next().await });
        let mut buffer = [0; 512];
        for form in [expected.encode_old(), expected.encode()] {
            let length = timeout(LONG, listening.recv(&mut buffer)).await.unwrap();
            assert_eq!(buffer[..length.unwrap()], form[..]);
        }
        task.abort();
    });
}

#[test]
fn a_busy_or_impossible_place_is_said_plainly() {
    runtime().block_on(async {
        let mut taken = identity("ICECREAM", 1);
        taken.port = scheduler("ICECREAM", 1).await;
        let error = Responder::bind(taken).await.unwrap_err().to_string();
        assert!(error.starts_with("cannot listen on UDP port"), "{error}");
        let mut nowhere = identity("ICECREAM", 1);
        nowhere.reach = Reach::Interface("nosuch0".to_owned());
        let error = Responder::bind(nowhere).await.unwrap_err().to_string();
        assert!(error.contains("`nosuch0`"), "{error}");
    });
}

const ICECREAM: &str = "/usr/sbin/icecc-scheduler";

struct Icecream(Child);

impl Drop for Icecream {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port free for TCP and UDP whose successor is free as well.
fn free_ports() -> u16 {
    loop {
        let tcp = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if port < u16::MAX
            && std::net::TcpListener::bind(("0.0.0.0", port + 1)).is_ok()
            && std::net::UdpSocket::bind(("0.0.0.0", port)).is_ok()
        {
            return port;
        }
    }
}

#[test]
fn icecreams_scheduler_is_found_and_talks() {
    if !Path::new(ICECREAM).exists() {
        eprintln!("skipped: {ICECREAM} is not installed");
        return;
    }
    let port = free_ports();
    let folder = tempfile::tempdir().unwrap();
    let started = Command::new(ICECREAM)
        .args(["-p", &port.to_string(), "-n", "gelato-net"])
        .arg("-l")
        .arg(folder.path().join("log"))
        .env("ICECC_TESTS", "1")
        .env("ICECC_TEST_SCHEDULER_PORTS", format!("{port}:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _icecream = Icecream(started.unwrap());
    runtime().block_on(async {
        let wanted = wanted("GELATO-NET", &[port], LONG);
        let found = find(&wanted).await.unwrap();
        assert_eq!(found.address.port(), port);
        let reply = found.reply.unwrap();
        assert!((38..=127).contains(&reply.version), "{reply:?}");
        assert!(reply.start_time > 1_000_000_000, "{reply:?}");
        assert_eq!(reply.netname, "gelato-net");

        let limits = Limits {
            handshake: Limits::SLOW_ACCEPT,
            ..Limits::default()
        };
        let connection = stream::Connection::connect_tcp(found.address, limits).await;
        let connection = connection.unwrap();
        assert_eq!(connection.peer_maximum(), reply.version);
    });
}
