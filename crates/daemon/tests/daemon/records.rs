//! Records of jobs: from wrappers, to operators, to the scheduler.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use gelato_record::{JobRecord, LONGEST, Verdict};
use gelato_wire::Message;
use gelato_wire::msg::{Ask, CsConf};
use serde_json::{Value, json};

use crate::fixture::{Node, next};

crate::trials!(
    records_reach_operators_and_the_scheduler,
    a_flood_harms_nobody,
);

fn mailbox(node: &Node) -> UnixDatagram {
    let socket = UnixDatagram::unbound().unwrap();
    socket
        .connect(gelato_record::socket_beside(&node.socket))
        .unwrap();
    socket
}

fn record(file: &str, reason: Option<&str>) -> JobRecord {
    JobRecord {
        file: file.to_owned(),
        source: format!("src/{file}.c"),
        verdict: match reason {
            None => Verdict::Remote,
            Some(_) => Verdict::Local,
        },
        reason: reason.map(str::to_owned),
        wall: 5,
        ..JobRecord::default()
    }
}

async fn ask(node: &Node, request: Value) -> Value {
    let mut operator = node.wrapper().await;
    let request = request.to_string().into();
    operator.send(&Message::Ask(Ask { request })).await.unwrap();
    match next(&mut operator).await {
        Message::Answer(answer) => serde_json::from_slice(answer.text.as_bytes()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Asks until so many records are there.
async fn records(node: &Node, request: Value, count: usize) -> Vec<Value> {
    loop {
        let answer = ask(node, request.clone()).await;
        let list = answer["records"].as_array().unwrap().clone();
        if list.len() >= count {
            return list;
        }
        tokio::task::yield_now().await;
    }
}

async fn records_reach_operators_and_the_scheduler() {
    let (node, mut scheduler, _) = Node::with_scheduler(2).await;
    let mailbox = mailbox(&node);
    let say = |file, reason| {
        let json = record(file, reason).to_json();
        mailbox.send(json.as_bytes()).unwrap();
    };
    // Icecream's scheduler, and ours before this release, hear nothing of it.
    say("before", Some("no-compile-step"));
    let request = json!({ "ask": "records" });
    assert_eq!(
        records(&node, request.clone(), 1).await[0]["file"],
        "before"
    );
    let conf = |banner: &str| {
        Message::CsConf(CsConf {
            max_scheduler_pong: 60,
            max_scheduler_ping: 60,
            bench_source: banner.into(),
        })
    };
    scheduler.say(conf("gelato/2")).await;
    scheduler.expect("NODE_NOTE").await;
    say("a", None);
    say("b", Some("native-cpu"));
    let mut told = Vec::new();
    while !told.iter().any(|record: &Value| record["file"] == "b") {
        let Message::JobRecords(news) = scheduler.expect("JOB_RECORDS").await else {
            unreachable!()
        };
        let list: Vec<Value> = serde_json::from_slice(news.text.as_bytes()).unwrap();
        told.extend(list);
    }
    let own = u64::from(rustix::process::geteuid().as_raw());
    for record in &told {
        assert_eq!(record["user"], own);
        assert!(record["build"].as_str().unwrap().starts_with("guess-"));
    }

    let all = records(&node, request, 3).await;
    let files: Vec<&str> = all.iter().map(|r| r["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["b", "a", "before"]);
    let found = records(&node, json!({ "ask": "records", "file": "a.c" }), 1).await;
    assert_eq!((found.len(), &found[0]["file"]), (1, &json!("a")));
    let builds = ask(&node, json!({ "ask": "builds" })).await;
    let build = &builds["builds"][0];
    assert_eq!(
        (&build["jobs"], &build["remote"], &build["local"]),
        (&json!(3), &json!(1), &json!(2))
    );
    assert_eq!(build["reasons"]["native-cpu"], 1);

    let path = gelato_record::socket_beside(&node.socket);
    assert!(path.exists());
    node.trigger.stop();
    node.serving.await.unwrap();
    assert!(!path.exists(), "it takes its socket away");
}

/// Sends all kinds of things as fast as it can.
fn flood(path: &Path, stop: &AtomicBool) {
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(path).unwrap();
    socket.set_nonblocking(true).unwrap();
    let wide = JobRecord {
        folder: "\u{1F368}".repeat(900),
        build: Some("x".to_owned()),
        ..record("junk", Some("made-up"))
    };
    let junk = [wide.to_json(), "{".repeat(LONGEST), String::new()];
    while !stop.load(Ordering::Relaxed) {
        for text in &junk {
            if socket.send(text.as_bytes()).is_err() {
                thread::yield_now();
            }
        }
    }
}

async fn a_flood_harms_nobody() {
    let (node, mut scheduler, _) = Node::with_scheduler(2).await;
    let stop = Arc::new(AtomicBool::new(false));
    let path = gelato_record::socket_beside(&node.socket);
    let flooding = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || flood(&path, &stop))
    };
    records(&node, json!({ "ask": "records", "last": 1 }), 1).await;
    // The dispatcher serves everybody as before.
    for _ in 0..200 {
        let status = ask(&node, json!({ "ask": "status" })).await;
        assert_eq!(status["scheduler"]["connected"], true);
    }
    scheduler.say(Message::GetInternals).await;
    scheduler.expect("STATUS_TEXT").await;
    stop.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
    // And takes records of others again.
    let mailbox = mailbox(&node);
    mailbox
        .send(record("honest", None).to_json().as_bytes())
        .unwrap();
    let wanted = json!({ "ask": "records", "file": "honest" });
    assert_eq!(records(&node, wanted, 1).await.len(), 1);
    node.trigger.stop();
    node.serving.await.unwrap();
}
