//! The feed for monitors.

use gelato_wire::msg::NodeNote;
use gelato_wire::{Message, ProtocolVersion};

use crate::peers::{Cluster, Peer};

/// Type numbers of all frames received, as they were on the wire.
fn types(peer: &Peer) -> Vec<u32> {
    let mut rest = &peer.frames[..];
    let mut found = Vec::new();
    while rest.len() >= 8 {
        let word = |at: usize| u32::from_be_bytes(rest[at..at + 4].try_into().unwrap());
        let length = word(0) as usize;
        found.push(word(4));
        rest = &rest[(4 + length).min(rest.len())..];
    }
    found
}

async fn stats_of(monitor: &mut Peer) -> String {
    match monitor.receive().await {
        Message::MonStats(stats) => stats.statmsg.to_string_lossy().into_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_monitor_sees_a_job_with_the_released_numbers() {
    let cluster = Cluster::start().await;
    let mut monitor = cluster.monitor().await;
    cluster.control("listcs\n").await;
    let mut worker = cluster.daemon("w", 2).await;
    assert_eq!(
        stats_of(&mut monitor).await,
        "Name:w\nIP:127.0.0.1\nMaxJobs:2\nNoRemote:false\nPlatform:x86_64\nVersion:44\n\
         Features:env_xz env_zstd\nSpeed:0.000000\nLoad:1000\n\
         Scheduler:gelato/2\nAlgorithm:finish\nSamples:0\nEnvironments:1\n"
    );
    assert_eq!(
        stats_of(&mut monitor).await,
        "Name:w\nIP:127.0.0.1\nMaxJobs:2\nNoRemote:false\nPlatform:x86_64\nVersion:44\n\
         Features:env_xz env_zstd\nSpeed:0.000000\nLoad:0\n\
         LoadAvg1:100\nLoadAvg5:200\nLoadAvg10:300\nFreeMem:400\n\
         Scheduler:gelato/2\nAlgorithm:finish\nSamples:0\nEnvironments:1\n"
    );
    let mut asker = cluster.asker("a").await;
    asker.ask(1).await;
    asker.use_cs().await;
    worker.begin(1).await;
    worker.done(1, 0).await;
    loop {
        match monitor.receive().await {
            Message::MonStats(_) => {}
            Message::MonGetCs(job) => {
                assert_eq!(job.filename, "c/d/x.cpp");
                assert_eq!((job.job_id, job.host_id, job.language), (1, 2, 1));
            }
            Message::MonJobBegin(job) => {
                assert_eq!((job.job_id, job.host_id, job.start_time), (1, 1, 77));
            }
            Message::MonJobDone(done) => {
                assert_eq!((done.job_id, done.real_msec), (1, 1000));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let types = types(&monitor);
    assert_eq!(types[types.len() - 3..], [83, 84, 85]);
    cluster.stop().await;
}

#[tokio::test]
async fn a_newcomer_is_told_what_runs_and_the_others_are_not_told_again() {
    let cluster = Cluster::start().await;
    let mut worker = cluster.daemon("w", 2).await;
    let mut first = cluster.monitor().await;
    stats_of(&mut first).await;
    let mut asker = cluster.asker("a").await;
    asker.ask(1).await;
    asker.use_cs().await;
    worker.begin(1).await;
    while !matches!(first.receive().await, Message::MonJobBegin(_)) {}
    let mut second = cluster.monitor().await;
    let mut told = Vec::new();
    while told.last() != Some(&"MON_JOB_BEGIN") {
        told.push(second.receive().await.name());
    }
    assert_eq!(
        told,
        ["MON_STATS", "MON_STATS", "MON_GET_CS", "MON_JOB_BEGIN"]
    );
    worker.done(1, 0).await;
    assert_eq!(first.receive().await.name(), "MON_JOB_DONE");
    assert_eq!(second.receive().await.name(), "MON_JOB_DONE");
    cluster.stop().await;
}

#[tokio::test]
async fn old_monitors_get_the_old_form() {
    let cluster = Cluster::start().await;
    let mut monitor = cluster.connect_as(ProtocolVersion::new(28).unwrap()).await;
    monitor.send(&Message::MonLogin).await;
    let mut asker = cluster.asker("a").await;
    asker.ask(1).await;
    loop {
        if let Message::MonGetCs(job) = monitor.receive().await {
            assert_eq!((job.job_id, job.host_id, job.count), (1, 1, 1));
            break;
        }
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_monitor_that_never_reads_delays_nobody_and_is_given_up() {
    let cluster = Cluster::start().await;
    let mut sleeper = cluster.monitor().await;
    let mut asker = cluster.asker("a").await;
    let _worker = cluster.daemon("w", 1).await;
    cluster
        .until("listcs\n", |text| text.contains("load=0"))
        .await;
    // More than the system and the scheduler together keep for a monitor.
    for round in 0..60_000 {
        asker.load(round % 900).await;
    }
    asker.ask(1).await;
    asker.use_cs().await;
    // What was on its way still comes, then the end.
    sleeper.closed().await;
    let text = cluster.control("listcs\n").await;
    assert!(text.contains("1 WAIT sub:a on:w"), "{text}");
    cluster.stop().await;
}

#[tokio::test]
async fn one_that_leaves_a_quiet_cluster_is_forgotten() {
    let cluster = Cluster::start().await;
    let monitor = cluster.monitor().await;
    cluster
        .until("stats\n", |text| text.contains(" monitors: 1\n"))
        .await;
    drop(monitor);
    cluster
        .until("stats\n", |text| text.contains(" monitors: 0\n"))
        .await;
    cluster.stop().await;
}

#[tokio::test]
async fn the_end_is_told() {
    let cluster = Cluster::start().await;
    let mut monitor = cluster.monitor().await;
    let (mut asker, mut worker) = cluster.placed().await;
    cluster.stop().await;
    let (mut offline, mut ended) = (0, 0);
    while let Some(message) = monitor.next().await {
        match message {
            Message::MonStats(stats) if stats.statmsg == "State:Offline\n" => offline += 1,
            Message::MonJobDone(done) => ended += u32::from(done.exitcode == 255),
            _ => {}
        }
    }
    assert_eq!((offline, ended), (2, 1));
    worker.peer.closed().await;
    asker.peer.closed().await;
}

#[tokio::test]
async fn what_a_daemon_tells_about_itself_reaches_monitors_and_listcs() {
    let cluster = Cluster::start().await;
    let mut monitor = cluster.monitor().await;
    cluster.control("listcs\n").await;
    let mut worker = cluster.daemon("w", 2).await;
    stats_of(&mut monitor).await;
    stats_of(&mut monitor).await;
    let note = |text: &str| Message::NodeNote(NodeNote { text: text.into() });
    worker
        .peer
        .send(&note(
            "{\"version\":\"0.1.0\",\"sandbox\":\"landlock\",\"remarks\":[\"paused\\nLoad:0\"]}",
        ))
        .await;
    let told = stats_of(&mut monitor).await;
    assert!(
        told.ends_with("Software:0.1.0\nSandbox:landlock\nRemark:paused Load:0\n"),
        "{told}"
    );
    let listed = cluster.control("listcs\n").await;
    assert!(
        listed.contains(" load=0 sandbox=landlock (paused Load:0)\n"),
        "{listed}"
    );
    worker.peer.send(&note("no JSON")).await;
    let told = stats_of(&mut monitor).await;
    assert!(!told.contains("Sandbox"), "{told}");
}
