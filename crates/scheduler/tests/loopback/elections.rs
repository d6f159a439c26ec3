//! Two schedulers on one network, and liars.

use std::cmp::Ordering;
use std::net::Ipv4Addr;

use gelato_net::discovery::Reach;
use gelato_scheduler::Config;
use gelato_wire::Message;
use gelato_wire::ProtocolVersion;
use gelato_wire::datagram::{Announcement, Reply, request};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::peers::{Cluster, SOON, config};

fn announced_to(port: u16, start_time: u64) -> Config {
    Config {
        reach: Reach::Addresses(vec![Ipv4Addr::LOCALHOST]),
        announce_to: vec![port],
        start_time,
        ..config()
    }
}

async fn udp() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

#[tokio::test]
async fn seekers_are_answered() {
    let cluster = Cluster::with(Config {
        netname: "here".to_owned(),
        start_time: 77,
        ..config()
    })
    .await;
    let socket = udp().await;
    let own = ProtocolVersion::NEWEST;
    socket
        .send_to(&request(own), cluster.address)
        .await
        .unwrap();
    let mut buffer = [0; 300];
    let (length, from) = timeout(SOON, socket.recv_from(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(from, cluster.address);
    let reply = Reply::decode(own, &buffer[..length]).unwrap();
    assert_eq!((reply.version, reply.start_time), (44, 77));
    assert_eq!(reply.netname, "here");
    cluster.stop().await;
}

#[tokio::test]
async fn daemons_are_sent_to_the_older_scheduler() {
    let younger = Cluster::with(Config {
        start_time: 2000,
        ..config()
    })
    .await;
    let mut monitor = younger.monitor().await;
    let mut idle = younger.daemon("idle", 1).await;
    let mut asker = younger.asker("asker").await;
    idle.load(1000).await;
    let mut worker = younger.daemon("worker", 1).await;
    younger
        .until("listcs\n", |text| text.contains("load=1000"))
        .await;
    asker.ask(1).await;
    assert_eq!(asker.use_cs().await.job_id, 1);
    let older = Cluster::with(announced_to(younger.address.port(), 1000)).await;
    monitor.closed().await;
    idle.peer.closed().await;
    let text = younger.control("listcs\n").await;
    assert!(
        text.contains(" asker (") && text.contains(" worker ("),
        "{text}"
    );
    worker.done(1, 0).await;
    worker.peer.closed().await;
    asker.peer.closed().await;
    let _again = younger.daemon("returns", 1).await;
    assert!(younger.control("listcs\n").await.contains(" returns ("));
    older.stop().await;
    younger.stop().await;
}

/// A scheduler that started when the first did and announces itself to it, with an address that compares so.
async fn second(first: &Cluster, comparison: Ordering) -> Cluster {
    loop {
        // The system gives out ports in no order.
        let second = Cluster::with(Config {
            start_time: 1000,
            ..config()
        })
        .await;
        let found = second.address.cmp(&first.address) == comparison;
        let port = second.address.port();
        second.stop().await;
        if found {
            // Now at that port, and heard.
            return Cluster::with(Config {
                port,
                ..announced_to(first.address.port(), 1000)
            })
            .await;
        }
    }
}

#[tokio::test]
async fn of_two_that_started_together_the_lower_address_keeps_the_daemons() {
    let first = Cluster::with(Config {
        start_time: 1000,
        ..config()
    })
    .await;
    let mut daemon = first.asker("w").await;
    let mut idle = first.asker("idle").await;
    let higher = second(&first, Ordering::Greater).await;
    for client in 0..50 {
        daemon.ask(client).await;
        assert!(matches!(daemon.peer.receive().await, Message::NoCs(_)));
    }
    higher.stop().await;
    let lower = second(&first, Ordering::Less).await;
    idle.peer.closed().await;
    lower.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn a_forged_announcement_sends_nobody_away() {
    let cluster = Cluster::start().await;
    let mut daemon = cluster.asker("w").await;
    for version in [44, 45] {
        let forged = Announcement {
            version,
            start_time: 1,
            netname: "ICECREAM".into(),
        };
        udp()
            .await
            .send_to(&forged.encode(), cluster.address)
            .await
            .unwrap();
    }
    // A scheduler is at that address (this one), but it claims something else.
    for client in 0..50 {
        daemon.ask(client).await;
        assert!(matches!(daemon.peer.receive().await, Message::NoCs(_)));
    }
    assert!(cluster.control("listcs\n").await.contains(" w ("));
    cluster.stop().await;
}

#[tokio::test]
async fn persistent_connections_stay() {
    let younger = Cluster::with(Config {
        start_time: 2000,
        persistent_clients: true,
        ..config()
    })
    .await;
    let mut daemon = younger.asker("w").await;
    let older = Cluster::with(announced_to(younger.address.port(), 1000)).await;
    for client in 0..50 {
        daemon.ask(client).await;
        assert!(matches!(daemon.peer.receive().await, Message::NoCs(_)));
    }
    older.stop().await;
    younger.stop().await;
}
