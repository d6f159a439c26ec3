//! What ran before this scheduler was started.

use gelato_wire::Message;
use gelato_wire::msg::NodeNote;

use crate::peers::{Cluster, Daemon};

async fn note(daemon: &mut Daemon, text: &str) {
    let note = NodeNote { text: text.into() };
    daemon.peer.send(&Message::NodeNote(note)).await;
}

#[tokio::test]
async fn jobs_of_before_take_slots_are_shown_and_end() {
    let cluster = Cluster::start().await;
    let mut asker = cluster.asker("a").await;
    let mut worker = cluster.daemon("w", 2).await;
    cluster
        .until("listcs\n", |text| text.contains("load=0"))
        .await;
    let running =
        r#"{"job":1,"client":"127.0.0.1","file":"p/src/x.cpp","language":1,"since_ms":2000}"#;
    note(&mut worker, &format!("{{\"running\":[{running}]}}")).await;
    note(&mut asker, r#"{"away":[{"job":1,"host":"127.0.0.1"}]}"#).await;
    let text = cluster
        .until("listcs\n", |text| text.contains("COMP"))
        .await;
    assert!(
        text.contains(" jobs=1/2 load=0\n   1 COMP sub:a on:w p/src/x.cpp\n"),
        "{text}"
    );
    let text = cluster.control("listjobs\n").await;
    assert_eq!(text, " 1 COMP sub:a on:w p/src/x.cpp\n200 done\n");
    // Whoever looks sees it as any other.
    let mut monitor = cluster.monitor().await;
    loop {
        match monitor.receive().await {
            Message::MonGetCs(job) => {
                assert_eq!((job.job_id, job.host_id, job.language), (1, 1, 1));
                assert_eq!(job.filename, "p/src/x.cpp");
            }
            Message::MonJobBegin(job) => {
                assert_eq!((job.job_id, job.host_id), (1, 2));
                break;
            }
            _ => {}
        }
    }
    let ended =
        r#"{"ended":[{"job":1,"exit":0,"real_ms":5000,"user_ms":4000,"out_uncompressed":50000}]}"#;
    note(&mut worker, ended).await;
    loop {
        if let Message::MonJobDone(done) = monitor.receive().await {
            assert_eq!((done.job_id, done.exitcode), (1, 0));
            assert_eq!(
                (done.real_msec, done.user_msec, done.out_uncompressed),
                (5000, 4000, 50_000)
            );
            break;
        }
    }
    let text = cluster.control("listcs\n").await;
    assert!(text.contains(" jobs=0/2 load=0\n"), "{text}");
    // What it says of itself is another matter.
    note(
        &mut worker,
        r#"{"version":"9","sandbox":"landlock","remarks":[]}"#,
    )
    .await;
    cluster
        .until("listcs\n", |text| text.contains("sandbox=landlock"))
        .await;
    note(&mut worker, ended).await;
    let text = cluster.control("listcs\n").await;
    assert!(text.contains("sandbox=landlock"), "{text}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_daemon_that_tells_of_too_many_jobs_is_sent_away() {
    let cluster = Cluster::start().await;
    let mut liar = cluster.daemon("liar", 2).await;
    let one = |job: usize| format!("{{\"job\":{job}}}");
    for batch in 0..2 {
        let jobs: Vec<String> = (0..2500).map(|job| one(batch * 2500 + job)).collect();
        note(&mut liar, &format!("{{\"running\":[{}]}}", jobs.join(","))).await;
    }
    liar.peer.closed().await;
    assert_eq!(cluster.control("listcs\n").await, "200 done\n");
    cluster.stop().await;
}
