//! Peers that read nothing or say nothing: they delay nobody, cost a bounded amount, and are given up.

use std::time::{Duration, Instant};

use gelato_scheduler::Config;
use gelato_wire::msg::{GetCs, JobRecords, NodeNote};
use gelato_wire::{Message, ProtocolVersion};

use crate::peers::{Cluster, Daemon, config, get_cs};

fn note(text: &str) -> Message {
    Message::NodeNote(NodeNote { text: text.into() })
}

/// One request and its answer; generously less than any time limit of the scheduler.
async fn served_at_once(daemon: &mut Daemon) {
    let began = Instant::now();
    daemon.ask(1).await;
    daemon.peer.receive().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_subscriber_that_never_reads_is_given_up_and_others_are_told() {
    let cluster = Cluster::start().await;
    let mut sleeper = cluster.monitor().await;
    sleeper
        .send(&note("{\"subscribe\":[\"records\",\"explanations\"]}"))
        .await;
    let mut asker = cluster.asker("a").await;
    let batch = format!("[{}]", vec!["{\"file\":\"f.o\"}"; 64].join(","));
    // As many records as are taken, and then events, until more waits than is kept for one monitor.
    for _ in 0..100 {
        let text = batch.as_str().into();
        asker
            .peer
            .send(&Message::JobRecords(JobRecords { text }))
            .await;
    }
    for round in 0..60_000 {
        asker.load(round % 900).await;
    }
    served_at_once(&mut asker).await;
    sleeper.closed().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_daemon_that_reads_nothing_delays_nobody_and_is_bounded() {
    let cluster = Cluster::start().await;
    let mut stuck = cluster.asker("stuck").await;
    let mut other = cluster.asker("other").await;
    // Jobs nobody else can do are answered at once: what it never reads piles up.
    let many = GetCs {
        count: 256,
        ..get_cs(1)
    };
    for round in 0..50 {
        stuck.peer.send(&Message::GetCs(many.clone())).await;
        if round % 10 == 0 {
            served_at_once(&mut other).await;
        }
    }
    // Asked how it is, it says nothing; whoever asked is not kept waiting, and nobody else.
    let asked = cluster.control("internals stuck\n");
    let served = async {
        for _ in 0..20 {
            served_at_once(&mut other).await;
        }
    };
    let (text, ()) = tokio::join!(asked, served);
    assert!(text.is_empty() || text.contains("200 done"), "{text}");
    stuck.peer.closed().await;
    let text = cluster
        .until("listcs\n", |text| !text.contains(" stuck ("))
        .await;
    assert!(text.contains(" other ("), "{text}");
    cluster.stop().await;
}

fn impatient() -> Config {
    let mut config = config();
    config.core.heartbeat = 1;
    config.core.ping_after = 1;
    config.core.ping_grace = 3;
    config
}

/// Answers so many questions, and then none; comes back when it has been sent away.
async fn answers(daemon: &mut Daemon, times: u32) {
    for _ in 0..times {
        assert_eq!(daemon.peer.receive().await, Message::Ping);
        daemon.peer.send(&Message::Ping).await;
    }
    assert_eq!(daemon.peer.receive().await, Message::Ping);
    daemon.peer.closed().await;
}

#[tokio::test]
async fn who_stands_still_is_asked_and_given_up_in_seconds() {
    let cluster = Cluster::with(impatient()).await;
    let mut ours = cluster.daemon("ours", 1).await;
    ours.peer.send(&note("{\"answers\":[\"ping\"]}")).await;
    let old = ProtocolVersion::new(26).unwrap();
    let mut old = cluster.daemon_as(old, "old", 1, |_| ()).await;
    // One of Icecream's with keepalive is never asked.
    let mut quiet = cluster.daemon("quiet", 1).await;
    tokio::join!(answers(&mut ours, 1), answers(&mut old, 1));
    served_at_once(&mut quiet).await;
    let text = cluster.control("listcs\n").await;
    assert!(
        text.contains(" quiet (") && !text.contains(" ours ("),
        "{text}"
    );
    assert!(!text.contains(" old ("), "{text}");
    cluster.stop().await;
}
