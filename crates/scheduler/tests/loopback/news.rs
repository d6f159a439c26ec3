//! What monitors get that subscribed to more than Icecream's feed.

use gelato_wire::Message;
use gelato_wire::msg::{JobRecords, NodeNote};
use serde_json::Value;

use crate::peers::{Cluster, Daemon, Peer, get_cs};

const BOTH: &str = "{\"subscribe\":[\"records\",\"explanations\"]}";

fn note(text: &str) -> Message {
    Message::NodeNote(NodeNote { text: text.into() })
}

fn records(text: &str) -> Message {
    Message::JobRecords(JobRecords { text: text.into() })
}

/// The next news of this kind.
async fn news(monitor: &mut Peer, event: &str) -> Value {
    loop {
        if let Message::MonNews(news) = monitor.receive().await {
            let value: Value = serde_json::from_slice(news.text.as_bytes()).unwrap();
            if value["event"] == event {
                return value;
            }
        }
    }
}

async fn subscriber(cluster: &Cluster) -> Peer {
    let mut monitor = cluster.monitor().await;
    monitor.send(&note(BOTH)).await;
    let scheduler = news(&mut monitor, "scheduler").await;
    assert_eq!(scheduler["algorithm"], "finish");
    assert!(
        scheduler["version"]
            .as_str()
            .unwrap()
            .starts_with("gelato-")
    );
    assert!(scheduler["started"].as_u64().unwrap() > 1_500_000_000_000);
    monitor
}

/// Makes sure that everything this daemon said has been heard.
async fn heard(daemon: &mut Daemon) {
    daemon.peer.send(&Message::GetCs(get_cs(4711))).await;
    daemon.peer.receive().await;
}

#[tokio::test]
async fn records_go_to_those_who_subscribed_and_to_nobody_else() {
    let cluster = Cluster::start().await;
    let mut plain = cluster.monitor().await;
    let mut monitor = subscriber(&cluster).await;
    let mut worker = cluster.daemon("w", 2).await;
    worker
        .peer
        .send(&records(
            "[{\"file\":\"a.o\",\"verdict\":\"local\",\"reason\":\"linking\",\"end\":5},7,{\"file\":\"b.o\"}]",
        ))
        .await;
    let first = news(&mut monitor, "record").await;
    assert_eq!(first["host"], 1);
    assert_eq!(first["record"]["file"], "a.o");
    assert_eq!(first["record"]["reason"], "linking");
    assert_eq!(news(&mut monitor, "record").await["record"]["file"], "b.o");
    heard(&mut worker).await;
    let text = cluster.control("stats\n").await;
    assert!(
        text.contains(" records taken: 2\n records dropped: 1\n"),
        "{text}"
    );
    // The other one has heard of the job that followed, and of nothing else that is new.
    loop {
        match plain.receive().await {
            Message::MonGetCs(_) => break,
            Message::MonStats(_) => {}
            other => panic!("{other:?}"),
        }
    }
    cluster.stop().await;
}

#[tokio::test]
async fn who_sends_records_without_end_loses_them_and_harms_nobody() {
    let cluster = Cluster::start().await;
    let mut monitor = subscriber(&cluster).await;
    let mut flood = cluster.daemon("flood", 1).await;
    let mut honest = cluster.daemon("honest", 1).await;
    let batch = format!("[{}]", vec!["{\"file\":\"f.o\"}"; 64].join(","));
    let mut taken = 0;
    for _ in 0..500 {
        flood.peer.send(&records(&batch)).await;
    }
    heard(&mut flood).await;
    honest.peer.send(&records("[{\"file\":\"end.o\"}]")).await;
    loop {
        let record = news(&mut monitor, "record").await;
        if record["record"]["file"] == "end.o" {
            break;
        }
        taken += 1;
    }
    assert!(taken < 500 * 64, "{taken}");
    let text = cluster.control("stats\n").await;
    assert!(!text.contains(" records dropped: 0\n"), "{text}");
    cluster.stop().await;
}

#[tokio::test]
async fn decisions_are_explained_and_waiting_has_a_reason() {
    let cluster = Cluster::start().await;
    let (mut asker, _worker) = cluster.placed().await;
    let mut monitor = subscriber(&cluster).await;
    let mut wants_w = get_cs(2);
    wants_w.preferred_host = "w".into();
    asker.peer.send(&Message::GetCs(wants_w.clone())).await;
    wants_w.client_id = 3;
    asker.peer.send(&Message::GetCs(wants_w)).await;
    let explained = news(&mut monitor, "explained").await;
    assert_eq!(explained["job"], 2);
    let why = explained["why"].as_str().unwrap();
    assert!(
        why.starts_with("w: it is the preferred host (1 of 2 hosts could take it)"),
        "{why}"
    );
    let waiting = news(&mut monitor, "waiting").await;
    assert_eq!(
        (&waiting["job"], &waiting["position"]),
        (&3.into(), &1.into())
    );
    assert_eq!(waiting["reason"], "preferred-host");
    let text = waiting["text"].as_str().unwrap();
    assert!(text.contains("wants only w"), "{text}");
    assert!(text.contains("full: 1"), "{text}");
    cluster.stop().await;
}

#[tokio::test]
async fn operators_are_told_of() {
    let cluster = Cluster::start().await;
    let mut monitor = subscriber(&cluster).await;
    let _worker = cluster.daemon("alpha", 1).await;
    cluster.control("listcs\nblockcs alpha\n").await;
    let operator = news(&mut monitor, "operator").await;
    assert_eq!(operator["who"], "127.0.0.1");
    assert_eq!(operator["command"], "blockcs alpha");
    assert_eq!(operator["result"], "ok");
    let scheduler = news(&mut monitor, "scheduler").await;
    assert_eq!(scheduler["blocked"][0], "alpha");
    cluster.control("removecs\n").await;
    let operator = news(&mut monitor, "operator").await;
    assert_eq!(operator["result"], "401 Sure. But which hosts?");
    cluster.stop().await;
}

#[tokio::test]
async fn notes_that_make_no_sense_are_passed_by() {
    let cluster = Cluster::start().await;
    let mut monitor = cluster.monitor().await;
    for text in [
        "",
        "[]",
        "{\"subscribe\":[\"weather\"]}",
        &"[".repeat(100_000),
    ] {
        monitor.send(&note(text)).await;
    }
    for _ in 0..1000 {
        monitor.send(&note(BOTH)).await;
    }
    news(&mut monitor, "scheduler").await;
    let _worker = cluster.daemon("w", 1).await;
    let told = monitor.receive().await;
    assert!(matches!(told, Message::MonStats(_)), "{told:?}");
    cluster.stop().await;
}
