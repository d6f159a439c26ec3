//! The daemon and the programs of its own machine, with and without a scheduler.

use gelato_wire::Message;
use gelato_wire::msg::*;
use tokio::net::TcpStream;

use crate::fixture::{Node, ended, next};

crate::trials!(
    logs_in_with_load_and_describes_itself,
    a_local_job_holds_its_slot_until_the_connection_ends,
    an_answer_from_the_scheduler_is_passed_on,
    without_a_scheduler_jobs_are_done_here,
    the_scheduler_goes_and_comes_back,
    d6_wrong_messages_cost_no_slot,
    d4_mute_peers_and_probes_harm_nobody,
    archives_of_our_own_compilers,
);

fn get_cs() -> Message {
    Message::GetCs(GetCs {
        count: 1,
        target: "x86_64".into(),
        filename: "/a/b/c/x.c".into(),
        ..GetCs::default()
    })
}

fn local_begin() -> Message {
    Message::JobLocalBegin(JobLocalBegin {
        outfile: "/w/prog".into(),
        ..JobLocalBegin::default()
    })
}

async fn logs_in_with_load_and_describes_itself() {
    let (node, mut scheduler, login) = Node::with_scheduler(3).await;
    assert_eq!(login.port, u32::from(node.address.port()));
    assert_eq!(
        (login.max_kids, login.nodename.to_string()),
        (3, "node".to_owned())
    );
    assert!(login.chroot_possible && !login.noremote);
    let first = next(&mut scheduler.link).await;
    assert!(
        matches!(first, Message::Stats(_)),
        "t14: no job before the first load: {first:?}"
    );
    scheduler.say(Message::GetInternals).await;
    let Message::StatusText(status) = scheduler.expect("STATUS_TEXT").await else {
        unreachable!()
    };
    assert!(
        status.text.to_string().contains("Current kids: 0 (max: 3)"),
        "{}",
        status.text
    );
    node.trigger.stop();
    node.serving.await.unwrap();
}

async fn a_local_job_holds_its_slot_until_the_connection_ends() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let mut first = node.wrapper().await;
    first.send(&local_begin()).await.unwrap();
    assert_eq!(next(&mut first).await.name(), "JOB_LOCAL_BEGIN");
    let Message::JobLocalBegin(begun) = scheduler.expect("JOB_LOCAL_BEGIN").await else {
        unreachable!()
    };
    assert_eq!(begun.outfile, "/w/prog");
    let mut second = node.wrapper().await;
    second.send(&local_begin()).await.unwrap();
    // The daemon has certainly seen the second request when it answers this.
    scheduler.say(Message::GetInternals).await;
    scheduler.expect("STATUS_TEXT").await;
    assert_eq!(second.try_receive().unwrap(), None);
    drop(first);
    assert_eq!(next(&mut second).await.name(), "JOB_LOCAL_BEGIN");
    let done = scheduler.expect("JOB_LOCAL_DONE").await;
    assert_eq!(
        done,
        Message::JobLocalDone(JobLocalDone { job_id: begun.id })
    );
    scheduler.expect("JOB_LOCAL_BEGIN").await;
}

async fn an_answer_from_the_scheduler_is_passed_on() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    for (last_word, report) in [(Some(Message::End), None), (None, Some((8, 118, 1)))] {
        let mut wrapper = node.wrapper().await;
        wrapper.send(&get_cs()).await.unwrap();
        let Message::GetCs(asked) = scheduler.expect("GET_CS").await else {
            unreachable!()
        };
        let answer = UseCs {
            job_id: 8,
            port: 10245,
            hostname: "10.0.0.7".into(),
            client_id: asked.client_id,
            ..UseCs::default()
        };
        scheduler.say(Message::UseCs(answer.clone())).await;
        assert_eq!(next(&mut wrapper).await, Message::UseCs(answer));
        if let Some(word) = last_word {
            wrapper.send(&word).await.unwrap();
            ended(&mut wrapper).await;
        }
        drop(wrapper);
        if let Some(report) = report {
            let done = scheduler.done().await;
            assert_eq!((done.job_id, done.exitcode, done.flags), report);
        }
    }
    // Nobody waits for this one.
    scheduler
        .say(Message::NoCs(NoCs {
            job_id: 9,
            client_id: 99,
        }))
        .await;
    let done = scheduler.done().await;
    assert_eq!((done.job_id, done.exitcode, done.flags), (9, 107, 1));
}

async fn without_a_scheduler_jobs_are_done_here() {
    let node = Node::alone(1).await;
    let mut wrapper = node.wrapper().await;
    wrapper.send(&get_cs()).await.unwrap();
    let Message::UseCs(answer) = next(&mut wrapper).await else {
        panic!("no answer")
    };
    assert_eq!(answer.hostname, "127.0.0.1");
    assert_eq!(answer.port, u32::from(node.address.port()));
    let own = CompileFile {
        job_id: answer.job_id,
        environment: "__client".into(),
        ..CompileFile::default()
    };
    wrapper.send(&Message::CompileFile(own)).await.unwrap();
    let done = JobDone {
        job_id: answer.job_id,
        flags: 1,
        ..JobDone::default()
    };
    wrapper.send(&Message::JobDone(done)).await.unwrap();
    let mut other = node.wrapper().await;
    other.send(&local_begin()).await.unwrap();
    assert_eq!(next(&mut other).await.name(), "JOB_LOCAL_BEGIN");
    wrapper.send(&Message::End).await.unwrap();
    ended(&mut wrapper).await;
}

async fn the_scheduler_goes_and_comes_back() {
    let (node, mut scheduler, _) = Node::with_scheduler(2).await;
    let mut running = node.wrapper().await;
    running.send(&local_begin()).await.unwrap();
    assert_eq!(next(&mut running).await.name(), "JOB_LOCAL_BEGIN");
    scheduler.expect("JOB_LOCAL_BEGIN").await;
    let mut waiting = node.wrapper().await;
    waiting.send(&get_cs()).await.unwrap();
    scheduler.expect("GET_CS").await;
    let mut scheduler = scheduler.restart().await;
    let Message::UseCs(answer) = next(&mut waiting).await else {
        panic!("no answer")
    };
    assert_eq!(answer.hostname, "127.0.0.1", "d3: it compiles here");
    assert_eq!(scheduler.login().await.max_kids, 2);
    drop((running, waiting));
    let mut third = node.wrapper().await;
    third.send(&local_begin()).await.unwrap();
    assert_eq!(next(&mut third).await.name(), "JOB_LOCAL_BEGIN");
    // d35: of the clients before it the new scheduler hears nothing.
    let Message::JobLocalBegin(begun) = scheduler.expect("JOB_LOCAL_BEGIN").await else {
        unreachable!()
    };
    drop(third);
    let done = scheduler.expect("JOB_LOCAL_DONE").await;
    assert_eq!(
        done,
        Message::JobLocalDone(JobLocalDone { job_id: begun.id })
    );
}

async fn d6_wrong_messages_cost_no_slot() {
    let node = Node::alone(1).await;
    for wrong in [
        local_begin(),
        get_cs(),
        Message::FileChunk(FileChunk::default()),
        Message::GetInternals,
    ] {
        let mut client = node.wrapper().await;
        client.send(&local_begin()).await.unwrap();
        assert_eq!(next(&mut client).await.name(), "JOB_LOCAL_BEGIN");
        client.send(&wrong).await.unwrap();
        assert_eq!(next(&mut client).await, Message::End);
        ended(&mut client).await;
    }
    let mut client = node.wrapper().await;
    client.send(&local_begin()).await.unwrap();
    assert_eq!(next(&mut client).await.name(), "JOB_LOCAL_BEGIN");
}

async fn d4_mute_peers_and_probes_harm_nobody() {
    let node = Node::alone(1).await;
    let mut mute = Vec::new();
    for _ in 0..200 {
        mute.push(TcpStream::connect(node.address).await.unwrap());
    }
    drop(TcpStream::connect(node.address).await.unwrap());
    let mut client = node.submitter().await;
    client.send(&local_begin()).await.unwrap();
    assert_eq!(next(&mut client).await.name(), "JOB_LOCAL_BEGIN");
}

async fn archives_of_our_own_compilers() {
    let node = Node::alone(1).await;
    let ask = |compiler: &str, compression: &str| {
        Message::GetNativeEnv(GetNativeEnv {
            compiler: compiler.into(),
            extra_files: Vec::new(),
            compression: compression.into(),
        })
    };
    let mut wrapper = node.wrapper().await;
    wrapper.send(&ask("/nonexistent/gcc", "")).await.unwrap();
    assert_eq!(next(&mut wrapper).await, Message::End);
    let Message::StatusText(reason) = next(&mut wrapper).await else {
        panic!("no reason")
    };
    let reason = reason.text.to_string_lossy();
    assert!(reason.contains("/nonexistent/gcc"), "{reason}");
    ended(&mut wrapper).await;
    let mut paths = Vec::new();
    for _ in 0..2 {
        let mut wrapper = node.wrapper().await;
        wrapper.send(&ask("/usr/bin/g++", "none")).await.unwrap();
        let Message::NativeEnv(archive) = next(&mut wrapper).await else {
            panic!("no archive")
        };
        assert!(std::fs::metadata(archive.path.as_os_str()).unwrap().len() > 1 << 20);
        paths.push(archive.path);
        wrapper.send(&get_cs()).await.unwrap();
        assert_eq!(next(&mut wrapper).await.name(), "USE_CS");
    }
    assert_eq!(paths.first(), paths.last());
}
