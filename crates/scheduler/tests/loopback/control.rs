//! The text port. Answers to the old commands are compared byte for byte with what Icecream's scheduler said.

use gelato_scheduler::Config;
use gelato_scheduler::config::ControlAccess;
use gelato_wire::Message;
use gelato_wire::msg::{GetCs, StatusText};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::peers::{Cluster, SOON, config, get_cs};

#[tokio::test]
async fn the_greeting_counts() {
    let cluster = Cluster::start().await;
    let _daemon = cluster.daemon("w", 1).await;
    let stream = TcpStream::connect(cluster.control).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let (head, tail) = first.split_once(": ").unwrap();
    assert!(head.starts_with("200-ICECC "), "{head}");
    let (uptime, rest) = tail.split_once("s uptime").unwrap();
    uptime.parse::<u64>().unwrap();
    assert_eq!(rest, ", 1 hosts, 0 jobs in queue (0 total).");
    assert_eq!(
        lines.next_line().await.unwrap().unwrap(),
        "200 Use 'help' for help and 'quit' to quit."
    );
    cluster.stop().await;
}

#[tokio::test]
async fn hosts_and_jobs_are_listed_as_always() {
    let cluster = Cluster::start().await;
    let mut alpha = cluster
        .daemon_with("alpha", 4, |login| login.environments.clear())
        .await;
    let beta = cluster
        .daemon_with("beta", 8, |login| login.environments.clear())
        .await;
    cluster
        .until("listcs\n", |text| text.matches("load=0").count() == 2)
        .await;
    for (client, host, file) in [(1, "beta", "/src/one.cpp"), (2, "alpha", "/src/two.cpp")] {
        let request = GetCs {
            preferred_host: host.into(),
            filename: file.into(),
            ..get_cs(client)
        };
        alpha.peer.send(&Message::GetCs(request)).await;
    }
    assert_eq!(alpha.use_cs().await.job_id, 1);
    assert!(matches!(alpha.peer.receive().await, Message::NoCs(_)));
    let port = |daemon: &crate::peers::Daemon| daemon.listener.local_addr().unwrap().port();
    let (a, b) = (port(&alpha), port(&beta));
    let text = cluster.control("listcs\nlistjobs\n").await;
    let text = text.replace("since 1 s", "since 0 s");
    assert_eq!(
        text,
        format!(
            " alpha (127.0.0.1:{a}) [x86_64] speed=0.00 jobs=1/4 load=0\n   \
             2 WAIT sub:alpha on:alpha /src/two.cpp\n \
             beta (127.0.0.1:{b}) [x86_64] speed=0.00 jobs=1/8 load=0 busy installing since 0 s\n   \
             1 WAIT sub:alpha on:beta /src/one.cpp\n200 done\n \
             1 WAIT sub:alpha on:beta /src/one.cpp\n \
             2 WAIT sub:alpha on:alpha /src/two.cpp\n200 done\n"
        )
    );
    alpha.begin(2).await;
    cluster
        .until("listjobs\n", |text| {
            text.contains(" 2 COMP sub:alpha on:alpha /src/two.cpp\n")
        })
        .await;
    cluster.stop().await;
}

#[tokio::test]
async fn hosts_are_removed_and_blocked() {
    let cluster = Cluster::start().await;
    let mut beta = cluster.daemon("beta", 1).await;
    let mut gamma = cluster.daemon("gamma", 1).await;
    let text = cluster
        .control(
            "foo bar\nremovecs\nremovecs nosuch\nremovecs other beta\nblockcs gamma 10.77.0.5\n\
             listblocks\nunblockcs\nUNBLOCKCS 10.77.0.5\nlistblocks\nblockcs\n\n",
        )
        .await;
    assert_eq!(
        text,
        "Invalid command 'foo bar'\n200 done\n\
         401 Sure. But which hosts?\n200 done\n\
         200 done\n\
         removing host beta\n200 done\n\
         removing host gamma\n200 done\n   \
         10.77.0.5\n   gamma\n200 done\n\
         401 Sure. But which host?\n200 done\n\
         200 done\n   gamma\n200 done\n\
         401 Sure. But which hosts?\n200 done\n"
    );
    beta.peer.closed().await;
    gamma.peer.closed().await;
    let mut again = cluster.connect().await;
    again
        .send(&Message::Login(gelato_wire::msg::Login {
            nodename: "gamma".into(),
            ..Default::default()
        }))
        .await;
    again.closed().await;
    cluster.stop().await;
}

#[tokio::test]
async fn help_is_nine_names() {
    let cluster = Cluster::start().await;
    assert_eq!(
        cluster.control("help\n").await,
        "listcs\nlistblocks\nlistjobs\nremovecs\nblockcs\nunblockcs\ninternals\nhelp\nquit\n200 done\n"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn internals_lose_nothing_and_stop_nobody() {
    let cluster = Cluster::start().await;
    let mut talks = cluster.daemon("talks", 1).await;
    let mut mute = cluster.daemon("mute", 1).await;
    cluster
        .until("listcs\n", |text| text.matches("load=0").count() == 2)
        .await;
    let asking = cluster.control("internals\ninternals nosuch\n");
    let answering = async {
        assert_eq!(talks.peer.receive().await, Message::GetInternals);
        // Something else first: it must not be taken for the answer.
        talks.ask(1).await;
        let told = talks.peer.receive().await;
        assert!(
            matches!(told, Message::UseCs(_) | Message::NoCs(_)),
            "{told:?}"
        );
        let text = StatusText {
            text: "Node Name: talks\n  load: 1\n".into(),
        };
        talks.peer.send(&Message::StatusText(text)).await;
        assert_eq!(mute.peer.receive().await, Message::GetInternals);
    };
    let (text, ()) = tokio::join!(asking, answering);
    assert_eq!(
        text,
        "Node Name: talks\n  load: 1\nmute not reporting\n200 done\n200 done\n"
    );
    let late = StatusText {
        text: "late".into(),
    };
    mute.peer.send(&Message::StatusText(late.clone())).await;
    mute.ask(2).await;
    mute.peer.receive().await;
    mute.peer.send(&Message::StatusText(late)).await;
    mute.peer.closed().await;
    cluster.stop().await;
}

#[tokio::test]
async fn why_explains() {
    let cluster = Cluster::start().await;
    let (mut asker, mut worker) = cluster.placed().await;
    worker.load(1000).await;
    cluster
        .until("listcs\n", |text| text.contains("load=1000"))
        .await;
    asker.ask(2).await;
    cluster
        .until("listjobs\n", |text| text.contains("PEND"))
        .await;
    let placed = cluster.control("why 1\n").await;
    assert_eq!(
        placed,
        " 1 on:w because: only this one could take it (1 of 2 hosts could take it)\n   \
         forecast: 1000ms of work, 96 MiB, by nothing known\n   \
         w expected=1050ms send=50ms\n200 done\n"
    );
    let waits = cluster.control("why 2\n").await;
    assert!(waits.starts_with(" 2 waits since "), "{waits}");
    assert!(
        waits.ends_with("\n   a: no slots\n   w: loaded\n200 done\n"),
        "{waits}"
    );
    assert_eq!(
        cluster.control("why 3\nwhy\n").await,
        " 3 is not known, or too long ago\n200 done\n401 Sure. But which job?\n200 done\n"
    );
    worker.begin(1).await;
    worker.done(1, 0).await;
    cluster
        .until("listjobs\n", |text| !text.contains(" 1 "))
        .await;
    let over = cluster.control("why 1\n").await;
    assert_eq!(over, placed, "also when it is over");
    cluster.stop().await;
}

#[tokio::test]
async fn commands_may_come_in_one_packet_or_byte_by_byte() {
    let cluster = Cluster::start().await;
    let mut stream = TcpStream::connect(cluster.control).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"listcs\r\nQuit\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
    }
    let mut text = String::new();
    timeout(SOON, stream.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    assert!(
        text.ends_with("to quit.\n200 done\n200 Good Bye!\n"),
        "{text}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn this_machine_may_do_everything_whatever_the_access() {
    for control in [ControlAccess::Open, ControlAccess::Local] {
        let cluster = Cluster::with(Config {
            control,
            ..config()
        })
        .await;
        assert_eq!(cluster.control("blockcs x\n").await, "200 done\n");
        cluster.stop().await;
    }
}

#[tokio::test]
async fn stats_say_what_this_scheduler_is() {
    let cluster = Cluster::start().await;
    let _worker = cluster.daemon("w", 3).await;
    let text = cluster.control("stats\n").await;
    assert!(text.contains("\n algorithm: finish\n"), "{text}");
    assert!(text.contains("\n hosts: 1\n slots: 3\n"), "{text}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_worker_may_change_its_slots() {
    let cluster = Cluster::start().await;
    let mut worker = cluster.daemon("w", 3).await;
    for (slots, shown) in [(5, "jobs=0/5"), (0, "jobs=0/5"), (2, "jobs=0/2")] {
        worker.relogin("w", slots).await;
        cluster.until("listcs\n", |text| text.contains(shown)).await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn what_was_learned_survives_a_restart_and_a_damaged_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history");
    let with_history = || Config {
        history: Some(file.clone()),
        ..config()
    };
    let ask = async |expected: &str| {
        let cluster = Cluster::with(with_history()).await;
        let (_asker, mut worker) = cluster.placed().await;
        let why = cluster.control("why 1\n").await;
        assert!(why.contains(expected), "{why}");
        worker.begin(1).await;
        worker.done(1, 0).await;
        cluster
            .until("listjobs\n", |text| text == "200 done\n")
            .await;
        cluster.stop().await;
    };
    ask("by nothing known").await;

    ask("by earlier runs of this file").await;
    std::fs::write(&file, "gelato scheduler history 1\nfile 0 0").unwrap();
    ask("by nothing known").await;
    ask("by earlier runs of this file").await;
}
