//! Peers that send rubbish, too much, or nothing. Whoever does so is dropped; nobody else notices.

use std::time::Duration;

use gelato_scheduler::Config;
use gelato_wire::msg::{GetCs, JobDone, Login};
use gelato_wire::{Message, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::peers::{Cluster, Daemon, SOON, config, get_cs};

/// The bystander still gets answers.
async fn unharmed(cluster: &Cluster, bystander: &mut Daemon) {
    bystander.ask(1).await;
    assert!(matches!(bystander.peer.receive().await, Message::NoCs(_)));
    assert!(cluster.control("listcs\n").await.contains(" bystander ("));
}

async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap();
}

/// Frame of a type with a body.
fn frame(number: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

#[tokio::test]
async fn rubbish_before_and_after_the_version_exchange() {
    let cluster = Cluster::start().await;
    let mut bystander = cluster.asker("bystander").await;
    for rubbish in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 8],
        &[0x14, 0, 0, 0],
        &[1, 0, 0x10, 0],
        &[0x2c, 0, 0, 0, 0x2b, 0, 0, 0],
    ] {
        let mut stream = TcpStream::connect(cluster.address).await.unwrap();
        stream.write_all(rubbish).await.unwrap();
        closed(&mut stream).await;
    }
    let strings = frame(80, &[0xff; 60]);
    let huge_list = [&[0, 0, 0, 1, 0, 0, 0, 1][..], &[0xff; 4], &[0; 8]].concat();
    for bytes in [
        frame(65, b""),
        frame(68, b""),
        frame(200, b"x"),
        frame(80, b""),
        frame(80, &[0, 0, 0, 1]),
        frame(82, b"too long"),
        frame(71, b""),
        frame(81, &[0; 20]),
        strings,
        frame(80, &huge_list),
        (1u32 << 20).wrapping_add(1).to_be_bytes().to_vec(),
        [0xff; 64].to_vec(),
        [0; 4].to_vec(),
    ] {
        let mut peer = cluster.connect().await;
        peer.stream.write_all(&bytes).await.unwrap();
        closed(&mut peer.stream).await;
    }
    unharmed(&cluster, &mut bystander).await;
    cluster.stop().await;
}

#[tokio::test]
async fn broken_messages_of_a_daemon() {
    let cluster = Cluster::start().await;
    let mut bystander = cluster.asker("bystander").await;
    for bytes in [
        frame(71, &[0; 8]),
        frame(77, &[0; 8]),
        frame(81, &[0; 24]),
        frame(82, b""),
        frame(85, &[0; 48]),
        frame(90, &[0, 0, 0, 1, 0]),
        frame(89, b""),
        (u32::MAX).to_be_bytes().to_vec(),
    ] {
        let mut daemon = cluster.daemon("victim", 1).await;
        daemon.peer.stream.write_all(&bytes).await.unwrap();
        closed(&mut daemon.peer.stream).await;
    }
    cluster
        .until("listcs\n", |text| !text.contains("victim"))
        .await;
    unharmed(&cluster, &mut bystander).await;
    cluster.stop().await;
}

#[tokio::test]
async fn too_much_of_something() {
    let cluster = Cluster::start().await;
    let mut bystander = cluster.asker("bystander").await;
    let mut monitor = cluster.monitor().await;

    let mut long = cluster.connect().await;
    let login = Login {
        nodename: "n".repeat(3000).into(),
        ..Login::default()
    };
    long.send(&Message::Login(login)).await;
    long.closed().await;

    for count in [257, u32::MAX] {
        let mut greedy = cluster.asker("greedy").await;
        let request = GetCs { count, ..get_cs(1) };
        greedy.peer.send(&Message::GetCs(request)).await;
        greedy.peer.closed().await;
    }
    unharmed(&cluster, &mut bystander).await;
    assert!(cluster.control("listjobs\n").await.contains("bystander"));
    monitor.receive().await;
    cluster.stop().await;
}

#[tokio::test]
async fn names_cannot_forge_lines() {
    let cluster = Cluster::start().await;
    let mut monitor = cluster.monitor().await;
    cluster.control("listcs\n").await;
    let _daemon = cluster.daemon("evil\nState:Offline\n 200 done", 1).await;
    match monitor.receive().await {
        Message::MonStats(stats) => {
            let text = stats.statmsg.to_string_lossy().into_owned();
            assert!(
                text.starts_with("Name:evil?State:Offline? 200 done\nIP:"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
    let text = cluster.control("listcs\n").await;
    assert_eq!(text.lines().count(), 2, "{text}");
    cluster.stop().await;
}

#[tokio::test]
async fn done_for_a_queued_job_kills_nobody() {
    let cluster = Cluster::start().await;
    let mut asker = cluster.asker("bystander").await;
    let mut worker = cluster.daemon("w", 1).await;
    worker.load(1000).await;
    cluster
        .until("listcs\n", |text| text.contains("load=1000"))
        .await;
    for (job, flags) in [(1, 0), (2, 1)] {
        asker.ask(1).await;
        let done = JobDone {
            job_id: job,
            flags,
            ..JobDone::default()
        };
        asker.peer.send(&Message::JobDone(done)).await;
        cluster
            .until("listjobs\n", |text| text == "200 done\n")
            .await;
    }
    let mut liar = cluster.asker("liar").await;
    asker.ask(1).await;
    cluster
        .until("listjobs\n", |text| text.contains("3 PEND"))
        .await;
    let done = JobDone {
        job_id: 3,
        ..JobDone::default()
    };
    liar.peer.send(&Message::JobDone(done)).await;
    liar.peer.closed().await;
    cluster
        .until("listjobs\n", |text| text.contains("3 PEND"))
        .await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_mute_connection_is_closed_and_a_second_is_answered_at_once() {
    let cluster = Cluster::with(Config {
        login_limit: Duration::from_millis(300),
        ..config()
    })
    .await;
    let mut mute = TcpStream::connect(cluster.address).await.unwrap();
    let mut half = cluster.connect().await;
    closed(&mut mute).await;
    closed(&mut half.stream).await;
    let (mut one, mut two) = (cluster.connect().await, cluster.connect().await);
    for peer in [&mut one, &mut two] {
        peer.send(&Message::MonLogin).await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_second_login_replaces_the_first() {
    let cluster = Cluster::start().await;
    let mut first = cluster.daemon("same", 1).await;
    let _second = cluster.daemon("same", 2).await;
    first.peer.closed().await;
    let text = cluster.control("listcs\n").await;
    assert!(
        text.contains("jobs=0/2") && text.lines().count() == 2,
        "{text}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn a_repeated_login_of_icecreams_daemon_changes_toolchains_only() {
    let cluster = Cluster::start().await;
    let mut daemon = cluster.daemon("w", 2).await;
    let again = Login {
        max_kids: 2_157_365_992,
        ..Login::default()
    };
    daemon.peer.send(&Message::Login(again)).await;
    assert!(matches!(daemon.peer.receive().await, Message::CsConf(_)));
    let text = cluster.control("listcs\n").await;
    assert!(
        text.contains(" w (127.0.0.1:") && text.contains("jobs=0/2"),
        "{text}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn many_short_lives_leave_nothing_behind() {
    let cluster = Cluster::start().await;
    for round in 0..50 {
        let mut daemon = cluster.daemon(&format!("w{round}"), 1).await;
        daemon.ask(1).await;
        if round % 2 == 0 {
            daemon.peer.receive().await;
        }
        let version = ProtocolVersion::new(21 + round % 24).unwrap();
        drop(cluster.connect_as(version).await);
    }
    cluster
        .until("listcs\nlistjobs\n", |text| text == "200 done\n200 done\n")
        .await;
    cluster.stop().await;
}
