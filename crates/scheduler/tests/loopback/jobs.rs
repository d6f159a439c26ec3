//! The life of jobs over the wire.

use gelato_wire::msg::{BlacklistHostEnv, GetCs, JobDone, JobLocalBegin, NoCs};
use gelato_wire::{Message, ProtocolVersion};

use crate::peers::{Cluster, environment, get_cs};

#[tokio::test]
async fn a_job_goes_to_the_worker_and_comes_back() {
    let cluster = Cluster::start().await;
    let mut asker = cluster.asker("a").await;
    let mut worker = cluster.daemon("w", 2).await;
    cluster
        .until("listcs\n", |text| text.contains("load=0"))
        .await;
    asker.ask(5).await;
    let answer = asker.use_cs().await;
    assert_eq!(answer.hostname, "127.0.0.1");
    assert_eq!(answer.host_platform, "x86_64");
    assert_eq!((answer.client_id, answer.job_id), (5, 1));
    assert!(answer.got_env);
    let port = worker.listener.local_addr().unwrap().port();
    assert_eq!(answer.port, u32::from(port));
    worker.begin(1).await;
    cluster
        .until("listjobs\n", |text| text.contains("1 COMP sub:a on:w"))
        .await;
    worker.done(1, 0).await;
    cluster
        .until("listjobs\n", |text| text == "200 done\n")
        .await;
    asker.ask(6).await;
    assert_eq!(asker.use_cs().await.matched_job_id, 1);
    cluster.stop().await;
}

#[tokio::test]
async fn workers_are_tested_by_a_bare_connection() {
    let cluster = Cluster::start().await;
    let worker = cluster.daemon("w", 2).await;
    let (mut test, _) = worker.listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut test, &mut bytes)
        .await
        .unwrap();
    assert!(bytes.is_empty());
    cluster.stop().await;
}

#[tokio::test]
async fn a_refused_port_means_unreachable() {
    let cluster = Cluster::start().await;
    let mut monitor = cluster.monitor().await;
    let mut asker = cluster.asker("a").await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let _worker = cluster
        .daemon_with("w", 2, |login| login.port = u32::from(port))
        .await;
    loop {
        if let Message::MonStats(stats) = monitor.receive().await
            && stats
                .statmsg
                .to_string_lossy()
                .contains("Accepting:false\n")
        {
            break;
        }
    }
    asker.ask(1).await;
    assert!(matches!(asker.peer.receive().await, Message::NoCs(_)));
    cluster.stop().await;
}

#[tokio::test]
async fn nobody_can_take_it_so_the_submitter_does() {
    let cluster = Cluster::start().await;
    let mut asker = cluster.asker("a").await;
    asker.ask(9).await;
    let told = asker.peer.receive().await;
    assert_eq!(
        told,
        Message::NoCs(NoCs {
            job_id: 1,
            client_id: 9
        })
    );
    let old = ProtocolVersion::new(36).unwrap();
    let mut old = cluster.daemon_as(old, "old", 1, |_| ()).await;
    old.ask(3).await;
    let told = old.use_cs().await;
    assert_eq!(told.hostname, "127.0.0.1");
    let port = old.listener.local_addr().unwrap().port();
    assert_eq!(told.port, u32::from(port));
    cluster.stop().await;
}

#[tokio::test]
async fn every_version_from_21_to_44_gets_its_answer() {
    let cluster = Cluster::start().await;
    for version in ProtocolVersion::all() {
        let mut daemon = cluster.connect_as(version).await;
        let name = format!("v{version}");
        daemon
            .send(&Message::Login(gelato_wire::msg::Login {
                max_kids: 1,
                nodename: name.as_str().into(),
                host_platform: "x86_64".into(),
                noremote: true,
                ..Default::default()
            }))
            .await;
        if version.at_least(24) {
            assert!(matches!(daemon.receive().await, Message::CsConf(_)));
        }
        daemon
            .send(&Message::GetCs(GetCs {
                client_id: 4,
                preferred_host: "nobody".into(),
                ..get_cs(4)
            }))
            .await;
        match daemon.receive().await {
            Message::NoCs(answer) => {
                assert!(version.at_least(37));
                assert_eq!(answer.client_id, 4);
            }
            Message::UseCs(answer) => {
                assert!(!version.at_least(37));
                assert_eq!(answer.client_id, 4);
            }
            other => panic!("{other:?}"),
        }
    }
    cluster.stop().await;
}

#[tokio::test]
async fn several_answers_to_one_request() {
    let cluster = Cluster::start().await;
    let mut asker = cluster.asker("a").await;
    let _worker = cluster.daemon("w", 8).await;
    cluster
        .until("listcs\n", |text| text.contains("load=0"))
        .await;
    let request = GetCs {
        count: 3,
        ..get_cs(6)
    };
    asker.peer.send(&Message::GetCs(request)).await;
    for job in 1..=3 {
        let answer = asker.use_cs().await;
        assert_eq!((answer.job_id, answer.client_id), (job, 6));
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_queued_client_that_leaves_is_forgotten() {
    let cluster = Cluster::start().await;
    let mut asker = cluster.asker("a").await;
    let mut worker = cluster.daemon("w", 1).await;
    worker.load(1000).await;
    cluster
        .until("listcs\n", |text| text.contains("load=1000"))
        .await;
    asker.ask(6).await;
    cluster
        .until("listjobs\n", |text| {
            text.contains(" 1 PEND sub:a on:<unknown> /a/b/c/d/x.cpp\n")
        })
        .await;
    let gone = JobDone {
        job_id: 6,
        exitcode: 118,
        flags: 3,
        ..JobDone::default()
    };
    asker.peer.send(&Message::JobDone(gone)).await;
    cluster
        .until("listjobs\n", |text| text == "200 done\n")
        .await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_blacklisted_worker_is_not_used_again() {
    let cluster = Cluster::start().await;
    let mut asker = cluster.asker("a").await;
    let _worker = cluster.daemon("w", 4).await;
    cluster
        .until("listcs\n", |text| text.contains("load=0"))
        .await;
    let blacklist = BlacklistHostEnv {
        environment: environment().name,
        target: "x86_64".into(),
        hostname: "127.0.0.1".into(),
    };
    asker.peer.send(&Message::BlacklistHostEnv(blacklist)).await;
    asker.ask(1).await;
    assert!(matches!(asker.peer.receive().await, Message::NoCs(_)));
    cluster.stop().await;
}

#[tokio::test]
async fn local_jobs_are_counted() {
    let cluster = Cluster::start().await;
    let mut worker = cluster.daemon("w", 4).await;
    let begin = JobLocalBegin {
        start_time: 1,
        outfile: "/tmp/a.out".into(),
        id: 8,
        full_job: true,
    };
    worker.peer.send(&Message::JobLocalBegin(begin)).await;
    cluster
        .until("listcs\n", |text| text.contains("jobs=4/4"))
        .await;
    let done = gelato_wire::msg::JobLocalDone { job_id: 8 };
    worker.peer.send(&Message::JobLocalDone(done)).await;
    cluster
        .until("listcs\n", |text| text.contains("jobs=0/4"))
        .await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_lost_worker_frees_and_ends_its_jobs() {
    let cluster = Cluster::start().await;
    let mut monitor = cluster.monitor().await;
    let mut asker = cluster.asker("a").await;
    let worker = cluster.daemon("w", 1).await;
    cluster
        .until("listcs\n", |text| text.contains("load=0"))
        .await;
    asker.ask(1).await;
    asker.use_cs().await;
    drop(worker);
    let mut offline = false;
    loop {
        match monitor.receive().await {
            Message::MonStats(stats) if stats.statmsg == "State:Offline\n" => offline = true,
            Message::MonJobDone(done) => {
                assert!(offline, "the node goes first");
                assert_eq!((done.job_id, done.exitcode, done.flags), (1, 255, 0));
                break;
            }
            _ => {}
        }
    }
    asker.ask(2).await;
    assert!(matches!(asker.peer.receive().await, Message::NoCs(_)));
    cluster.stop().await;
}

#[tokio::test]
async fn good_bye_is_a_disconnect() {
    let cluster = Cluster::start().await;
    let mut worker = cluster.daemon("w", 1).await;
    worker.peer.send(&Message::End).await;
    worker.peer.closed().await;
    assert_eq!(cluster.control("listcs\n").await, "200 done\n");
    cluster.stop().await;
}
