//! The text port. Answers to the old commands are compared byte for byte with what Icecream's scheduler said.

use gelato_scheduler::config::ControlAccess;
use gelato_scheduler::{Config, Token};
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
async fn our_own_commands_are_listed_apart() {
    let cluster = Cluster::start().await;
    let _daemon = cluster.daemon("w", 3).await;
    let commands = cluster.control("commands\n").await;
    for command in [
        "why JOB",
        "stats",
        "slots",
        "token HEX",
        "drain HOST...",
        "undrain",
    ] {
        assert!(commands.contains(command), "{command}");
    }
    let text = cluster.control("slots\nslots --json\nstats --json\n").await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], " x86_64: 3 slots of 1 hosts, 0 in use, 3 free");
    let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    assert_eq!(json(lines[2])["platforms"][0]["free"], 3);
    assert_eq!(json(lines[4])["hosts"], 1);
    cluster.stop().await;
}

#[tokio::test]
async fn a_drained_host_keeps_its_jobs_and_gets_no_others() {
    let cluster = Cluster::start().await;
    let (mut asker, mut worker) = cluster.placed().await;
    let text = cluster
        .control("drain\ndrain w nosuch\nlistdrained\nlistcs\nremovecs a b\n")
        .await;
    assert!(
        text.starts_with(
            "401 Sure. But which hosts?\n200 done\n200 done\n   nosuch\n   w\n200 done\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("load=0 draining\n   1 WAIT sub:a on:w"),
        "{text}"
    );
    let mut asker_again = cluster.asker("a").await;
    asker_again.ask(2).await;
    let told = asker_again.peer.receive().await;
    assert!(matches!(told, Message::NoCs(_)), "{told:?}");
    asker.peer.closed().await;
    cluster.control("undrain w nosuch\n").await;
    assert_eq!(cluster.control("listdrained\n").await, "200 done\n");
    asker_again.ask(3).await;
    asker_again.use_cs().await;
    worker.begin(3).await;
    cluster.stop().await;
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn with_token() -> Config {
    Config {
        control_token: Token::parse(TOKEN),
        token_required: true,
        ..config()
    }
}

#[tokio::test]
async fn the_token_unlocks_one_connection() {
    let cluster = Cluster::with(with_token()).await;
    let _daemon = cluster.daemon("w", 1).await;
    let refused = "403 Only after 'token HEX' with the scheduler's control token, or from its own machine if it was not \
                   started with --control-token-required.\n200 done\n";
    let text = cluster
        .control("removecs w\nblockcs w\nunblockcs w\ndrain w\nundrain w\n")
        .await;
    assert_eq!(text, refused.repeat(5));
    let text = cluster
        .control(&format!("token 1\ntoken {TOKEN}\nlistblocks\nremovecs w\n"))
        .await;
    assert_eq!(
        text,
        "403 Wrong token.\n200 done\n200 done\n200 done\nremoving host w\n200 done\n"
    );
    assert_eq!(
        cluster.control("removecs w\n").await,
        refused,
        "another connection"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn three_wrong_tokens_end_a_connection_and_none_opens_a_scheduler_without() {
    let cluster = Cluster::with(with_token()).await;
    let text = said(&cluster, "token\ntoken x\ntoken y\nlistcs\n").await;
    let wrong = "403 Wrong token.\n";
    assert!(
        text.ends_with(&format!(
            "{wrong}200 done\n{wrong}200 done\n{wrong}200 Good Bye!\n"
        )),
        "{text}"
    );
    cluster.stop().await;
    let cluster = Cluster::with(Config {
        control_token: None,
        ..with_token()
    })
    .await;
    let text = cluster.control("token\nremovecs w\n").await;
    assert!(
        text.starts_with("403 This scheduler has no control token"),
        "{text}"
    );
    assert!(text.contains("403 Only after"), "{text}");
    cluster.stop().await;
}

/// All that is said to these lines until the scheduler closes the connection.
async fn said(cluster: &Cluster, lines: &str) -> String {
    let mut stream = TcpStream::connect(cluster.control).await.unwrap();
    stream.write_all(lines.as_bytes()).await.unwrap();
    let mut text = String::new();
    let reading = stream.read_to_string(&mut text);
    timeout(SOON, reading).await.unwrap().unwrap();
    text
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
async fn a_page_in_a_browser_of_this_machine_commands_nothing() {
    let cluster = Cluster::start().await;
    let mut stream = TcpStream::connect(cluster.control).await.unwrap();
    let request =
        "POST /x HTTP/1.1\r\nHost: 127.0.0.1:8766\r\nContent-Length: 16\r\n\r\nblockcs w\nquit\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    // Closed with some of it unread.
    let _ = timeout(SOON, stream.read_to_end(&mut text)).await.unwrap();
    assert_eq!(cluster.control("listblocks\n").await, "200 done\n");
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
