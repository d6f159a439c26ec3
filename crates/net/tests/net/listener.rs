//! Accepting.

use std::fs::File;
use std::process::Command;

use gelato_net::listener::{Listener, Retry};
use gelato_net::{Limits, NetError, Peer, stream};
use gelato_wire::Message;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::timeout;

use crate::common::{LONG, SHORT, runtime};

#[test]
fn reachability_tests_are_no_events() {
    runtime().block_on(async {
        let any = "127.0.0.1:0".parse().unwrap();
        let mut listener = Listener::bind_tcp(any, Retry::NEVER).await.unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..20 {
            drop(std::net::TcpStream::connect(address).unwrap());
        }
        let client = tokio::spawn(async move {
            let connected = stream::Connection::connect_tcp(address, Limits::default()).await;
            connected.unwrap().send(&Message::End).await.unwrap();
        });
        let mut probes = 0;
        loop {
            let socket = listener.accept().await;
            match stream::Connection::accept(socket, Limits::default()).await {
                Ok(mut connection) => {
                    let message = connection.receive(Some(LONG), "it").await.unwrap();
                    assert_eq!(message, Message::End);
                    break;
                }
                Err(NetError::NeverSpoke { .. }) => probes += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(probes, 20);
        client.await.unwrap();
    });
}

#[test]
fn a_local_client_is_known_by_its_process() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut listener = Listener::bind_unix(&path).unwrap();
        let server = async {
            let socket = listener.accept().await;
            stream::Connection::accept(socket, Limits::default()).await
        };
        let client = stream::Connection::connect_unix(&path, Limits::default());
        let (server, client) = tokio::join!(server, client);
        let pid = i32::try_from(std::process::id()).unwrap();
        let user = Some(rustix::process::geteuid().as_raw());
        let pid = Some(pid);
        assert_eq!(*server.unwrap().peer(), Peer::Local { pid, user });
        assert_eq!(*client.unwrap().peer(), Peer::Socket(path));
    });
}

/// In a process of its own, since the limit concerns all of it.
#[test]
fn running_out_of_descriptors_is_survived() {
    const VARIABLE: &str = "GELATO_NET_TEST_FEW_DESCRIPTORS";
    if std::env::var_os(VARIABLE).is_some() {
        return run_out_of_descriptors();
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "listener::running_out_of_descriptors_is_survived",
        ])
        .env(VARIABLE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

fn run_out_of_descriptors() {
    runtime().block_on(async {
        let any = "127.0.0.1:0".parse().unwrap();
        let mut listener = Listener::bind_tcp(any, Retry::NEVER).await.unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let limit = Rlimit {
            current: Some(64),
            ..getrlimit(Resource::Nofile)
        };
        setrlimit(Resource::Nofile, limit).unwrap();
        let hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        assert!(!hoard.is_empty());
        assert!(timeout(SHORT, listener.accept()).await.is_err());
        drop(hoard);
        let socket = timeout(LONG, listener.accept()).await.unwrap();
        let expected = Peer::Address(client.local_addr().unwrap());
        assert_eq!(socket.peer().unwrap(), expected);
    });
}

#[test]
fn sockets_for_both_kinds_of_addresses_name_each_as_what_it_is() {
    runtime().block_on(async {
        // As a service manager opens it: IPv6, and IPv4 as part of it.
        let Ok(both) = std::net::TcpListener::bind("[::]:0") else {
            return eprintln!("SKIPPED: this machine has no IPv6");
        };
        let port = both.local_addr().unwrap().port();
        let mut listener = Listener::from_tcp(both).unwrap();
        for (to, is_v4) in [("127.0.0.1", true), ("::1", false)] {
            let Ok(client) = std::net::TcpStream::connect((to, port)) else {
                eprintln!("SKIPPED: not reached at {to}");
                continue;
            };
            let socket = listener.accept().await;
            let peer = socket.peer().unwrap().address().unwrap();
            assert_eq!(peer.is_ipv4(), is_v4);
            assert_eq!(peer, client.local_addr().unwrap());
        }
    });
}
