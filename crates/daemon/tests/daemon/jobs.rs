//! Jobs of other machines, with a real compiler in a real sandbox.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gelato_daemon::JobLimits;
use gelato_sandbox::{Jailer, identity};
use gelato_wire::Message;
use gelato_wire::chunk::Compressor;
use gelato_wire::msg::{ChunkCodec, CompileResult, FileChunk};

use crate::fixture::{
    Node, OldPeer, compile, compile_here, ended, install, job, next, receive_file, result,
    send_file, verify,
};

crate::trials!(
    objects_are_those_of_a_local_compilation,
    every_age_of_submitters_gets_its_object,
    compile_errors_are_passed_on_as_they_are,
    split_debug_information_comes_back_too,
    a_large_source_and_many_at_once,
    d17_a_submitter_that_vanishes_kills_the_compiler,
    a_word_after_the_source_cancels,
    d1_stopping_the_daemon_hands_the_job_back,
    d18_too_many_diagnostics_go_back,
    jobs_that_go_too_far_go_back,
    d41_success_without_an_object_goes_back,
    d13_a_missing_compiler_fails_only_its_job,
    d13_our_own_trouble_condemns_no_toolchain,
    a_cancel_is_noticed_while_the_toolchain_is_tried,
    t18_an_undecodable_piece_is_fatal,
    t22_a_compiler_that_stops_reading_early,
    everything_works_without_root,
);

const SOURCE: &str = "# 1 \"x.c\"\nint twice(int a) { return 2 * a; }\n";

/// Keeps the compiler busy for longer than any test: a constant it has to compute.
const ENDLESS: &str = "constexpr int spin() { int n = 0; while (n >= 0) n = (n + 1) % 1000; return n; }\n\
                       constexpr int value = spin();\n";
const ENDLESS_ARGS: [&str; 3] = [
    "-c",
    "-fconstexpr-loop-limit=2147483647",
    "-fconstexpr-ops-limit=9223372036854775807",
];

async fn objects_are_those_of_a_local_compilation() {
    let (node, mut scheduler, _) = Node::with_scheduler(2).await;
    let name = install(&node, &mut scheduler).await;
    let mut submitter = node.submitter().await;
    let answer = compile(&mut submitter, job(70, name, &["-O2", "-c"]), SOURCE).await;
    assert_eq!(
        (
            answer.status,
            answer.out_of_memory,
            answer.stderr.to_string()
        ),
        (0, false, String::new())
    );
    let object = receive_file(&mut submitter).await;
    ended(&mut submitter).await;
    assert!(
        object == compile_here(SOURCE, &["-O2"]),
        "the objects differ"
    );
    scheduler.expect("JOB_BEGIN").await;
    let done = scheduler.done().await;
    assert_eq!((done.job_id, done.exitcode, done.flags), (70, 0, 0));
    assert_eq!(done.in_uncompressed as usize, SOURCE.len());
    assert_eq!(done.out_uncompressed as usize, object.len());
    assert!(done.real_msec > 0 && done.page_faults > 0, "{done:?}");
    assert_eq!(
        std::fs::read_dir(node.folder.join("base/jobs"))
            .unwrap()
            .count(),
        0
    );
}

async fn every_age_of_submitters_gets_its_object() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let name = install(&node, &mut scheduler).await;
    let wanted = compile_here(SOURCE, &["-O2"]);
    for version in [21, 29, 30, 34, 37, 39, 40, 41, 43] {
        let mut peer = OldPeer::connect(node.address, version).await;
        let mut old = job(90, name, &["-O2", "-c"]);
        old.remote_args = vec!["-c".into()];
        old.rest_args = vec!["-O2".into()];
        peer.send(&Message::CompileFile(old)).await;
        let mut compressor = Compressor::new(peer.version(), 1).unwrap();
        let chunk = compressor.compress(SOURCE.as_bytes()).unwrap();
        peer.send(&Message::FileChunk(chunk)).await;
        peer.send(&Message::End).await;
        let Message::CompileResult(answer) = peer.next().await else {
            panic!("no result")
        };
        assert_eq!(answer.status, 0, "version {version}: {}", answer.stderr);
        let mut object = Vec::new();
        while let Message::FileChunk(chunk) = peer.next().await {
            object.extend(chunk.decompress().unwrap());
        }
        assert!(object == wanted, "version {version}: the objects differ");
        scheduler.expect("JOB_BEGIN").await;
        assert_eq!(scheduler.done().await.exitcode, 0);
    }
}

async fn compile_errors_are_passed_on_as_they_are() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let name = install(&node, &mut scheduler).await;
    let mut submitter = node.submitter().await;
    let answer = compile(
        &mut submitter,
        job(71, name, &["-c"]),
        "# 1 \"x.c\"\nint f( { }\n",
    )
    .await;
    assert_eq!((answer.status, answer.out_of_memory), (1, false));
    assert!(
        answer
            .stderr
            .to_string()
            .starts_with("x.c:1:8: error: expected"),
        "{}",
        answer.stderr
    );
    ended(&mut submitter).await;
    scheduler.expect("JOB_BEGIN").await;
    assert_eq!(scheduler.done().await.exitcode, 1);
}

async fn split_debug_information_comes_back_too() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let name = install(&node, &mut scheduler).await;
    let mut submitter = node.submitter().await;
    let mut job = job(72, name, &["-g", "-gsplit-dwarf", "-c"]);
    job.dwarf_fission = true;
    job.working_directory = "/home/u/project".into();
    job.output_file = "sub/x.o".into();
    let answer = compile(&mut submitter, job, SOURCE).await;
    assert!(answer.status == 0 && answer.have_dwo, "{answer:?}");
    let object = receive_file(&mut submitter).await;
    let dwo = receive_file(&mut submitter).await;
    let holds = |bytes: &[u8], text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(holds(&object, "sub/x.dwo\0") && holds(&object, "/home/u/project\0"));
    assert!(!holds(&object, "/tmp/"), "our own folders must not show");
    assert!(holds(&dwo, ".debug_info.dwo"));
}

async fn a_large_source_and_many_at_once() {
    let (node, mut scheduler, _) = Node::with_scheduler(2).await;
    let name = install(&node, &mut scheduler).await;
    let comment: String = (0..60_000)
        .map(|line| format!("/* {line} some text to fill the line */\n"))
        .collect();
    let source = format!("{comment}{SOURCE}");
    let jobs = (0..6).map(|number| {
        let (node, source) = (&node, &source);
        async move {
            let mut submitter = node.submitter().await;
            let answer = compile(&mut submitter, job(100 + number, name, &["-c"]), source).await;
            assert_eq!(answer.status, 0, "{}", answer.stderr);
            receive_file(&mut submitter).await.len()
        }
    });
    let mut sizes = Vec::new();
    for started in jobs.map(Box::pin).collect::<Vec<_>>() {
        sizes.push(started);
    }
    let (a, b, c, d, e, f) = {
        let mut all = sizes.into_iter();
        let mut take = || all.next().unwrap();
        tokio::join!(take(), take(), take(), take(), take(), take())
    };
    assert!([b, c, d, e, f].iter().all(|size| *size == a));
    let mut ends = 0;
    while ends < 6 {
        match scheduler.next().await {
            Message::JobDone(done) => {
                assert_eq!(done.exitcode, 0);
                ends += 1;
            }
            Message::JobBegin(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn d17_a_submitter_that_vanishes_kills_the_compiler() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let name = install(&node, &mut scheduler).await;
    for with_end in [false, true] {
        let mut submitter = node.submitter().await;
        let mut endless = job(73, name, &ENDLESS_ARGS);
        endless.language = 1;
        endless.compiler_name = "g++".into();
        submitter
            .send(&Message::CompileFile(endless))
            .await
            .unwrap();
        send_file(&mut submitter, ENDLESS.as_bytes()).await;
        if with_end {
            submitter.send(&Message::End).await.unwrap();
        }
        scheduler.expect("JOB_BEGIN").await;
        drop(submitter);
        // Sent after every process of the job has ended.
        let done = scheduler.done().await;
        assert_eq!((done.job_id, done.exitcode), (73, 107));
    }
    let mut submitter = node.submitter().await;
    let answer = compile(&mut submitter, job(74, name, &["-c"]), SOURCE).await;
    assert_eq!(answer.status, 0, "the only slot is free again");
}

async fn a_word_after_the_source_cancels() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let name = install(&node, &mut scheduler).await;
    let mut submitter = endless(&node, name, 75).await;
    scheduler.expect("JOB_BEGIN").await;
    submitter.send(&Message::End).await.unwrap();
    ended(&mut submitter).await;
    assert_eq!(scheduler.done().await.exitcode, 118);
}

async fn d1_stopping_the_daemon_hands_the_job_back() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let name = install(&node, &mut scheduler).await;
    let mut running = endless(&node, name, 76).await;
    scheduler.expect("JOB_BEGIN").await;
    let mut queued = node.submitter().await;
    queued
        .send(&Message::CompileFile(job(77, name, &["-c"])))
        .await
        .unwrap();
    send_file(&mut queued, SOURCE.as_bytes()).await;
    queued.send(&Message::End).await.unwrap();
    // The two come over connections of their own: asked until the queued job has been taken in.
    loop {
        scheduler.say(Message::GetInternals).await;
        let Message::StatusText(status) = scheduler.expect("STATUS_TEXT").await else {
            unreachable!()
        };
        let text = status.text.to_string();
        assert!(text.contains("waitforchild"), "{text}");
        if text.contains("tocompile") {
            break;
        }
    }
    node.trigger.stop();
    for client in [&mut running, &mut queued] {
        let answer = result(client).await;
        assert_eq!(
            (answer.status, answer.out_of_memory),
            (105, true),
            "Icecream's wrappers rebuild locally"
        );
    }
    node.serving.await.unwrap();
    let mut done =
        [scheduler.done().await, scheduler.done().await].map(|done| (done.job_id, done.exitcode));
    done.sort_unstable();
    assert_eq!(done, [(76, 105), (77, 105)]);
}

async fn endless(node: &Node, name: &str, job_id: u32) -> gelato_net::stream::Connection {
    let mut submitter = node.submitter().await;
    let mut endless = job(job_id, name, &ENDLESS_ARGS);
    endless.language = 1;
    endless.compiler_name = "g++".into();
    submitter
        .send(&Message::CompileFile(endless))
        .await
        .unwrap();
    send_file(&mut submitter, ENDLESS.as_bytes()).await;
    submitter.send(&Message::End).await.unwrap();
    submitter
}

async fn d18_too_many_diagnostics_go_back() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let name = install(&node, &mut scheduler).await;
    let source: String = (0..6000)
        .map(|n| format!("static int unused_function_number_{n}(void) {{ return {n}; }}\n"))
        .collect();
    let mut submitter = node.submitter().await;
    let answer = compile(&mut submitter, job(78, name, &["-Wall", "-c"]), &source).await;
    assert_eq!((answer.status, answer.out_of_memory), (105, true));
    ended(&mut submitter).await;
}

async fn jobs_that_go_too_far_go_back() {
    let (node, mut scheduler, _) = Node::with_scheduler_and(1, |remote| {
        remote.limits = JobLimits {
            time: Duration::from_secs(1),
            printed: 10_000,
            ..JobLimits::default()
        };
    })
    .await;
    let name = install(&node, &mut scheduler).await;
    let told = |answer: CompileResult, reason: &str| {
        assert_eq!((answer.status, answer.out_of_memory), (105, true));
        let text = answer.stderr.to_string();
        assert!(text.contains(reason), "{text}");
    };
    let mut submitter = endless(&node, name, 81).await;
    told(result(&mut submitter).await, "took longer");
    let talkative = "#pragma message \"word\"\n".repeat(10_000);
    let mut submitter = node.submitter().await;
    let answer = compile(&mut submitter, job(82, name, &["-c"]), &talkative).await;
    told(answer, "");
}

async fn d41_success_without_an_object_goes_back() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let name = install(&node, &mut scheduler).await;
    let mut submitter = node.submitter().await;
    let answer = compile(
        &mut submitter,
        job(79, name, &["-fsyntax-only", "-c"]),
        SOURCE,
    )
    .await;
    assert_eq!((answer.status, answer.out_of_memory), (105, true));
    scheduler.expect("JOB_BEGIN").await;
    assert_eq!(scheduler.done().await.exitcode, 105);
}

async fn d13_a_missing_compiler_fails_only_its_job() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let name = install(&node, &mut scheduler).await;
    let mut submitter = node.submitter().await;
    let mut wrong = job(80, name, &["-c"]);
    wrong.compiler_name = "gcc-of-another-age".into();
    submitter.send(&Message::CompileFile(wrong)).await.unwrap();
    send_file(&mut submitter, SOURCE.as_bytes()).await;
    submitter.send(&Message::End).await.unwrap();
    let Message::StatusText(status) = next(&mut submitter).await else {
        panic!("no reason")
    };
    assert!(
        status.text.to_string().contains("gcc-of-another-age"),
        "{}",
        status.text
    );
    ended(&mut submitter).await;
    scheduler.expect("JOB_BEGIN").await;
    assert_eq!(scheduler.done().await.exitcode, 110);
    let mut submitter = node.submitter().await;
    let answer = compile(&mut submitter, job(81, name, &["-c"]), SOURCE).await;
    assert_eq!(answer.status, 0, "the toolchain is still there");
}

async fn d13_our_own_trouble_condemns_no_toolchain() {
    let jailer = Jailer::new("/nonexistent/jailer", Vec::<OsString>::new());
    let (node, mut scheduler, _) =
        Node::with_scheduler_and(1, |remote| remote.jailer = jailer).await;
    let name = install(&node, &mut scheduler).await;
    let mut submitter = node.submitter().await;
    let answer = compile(&mut submitter, job(84, name, &["-c"]), SOURCE).await;
    assert_eq!((answer.status, answer.out_of_memory), (105, true));
    scheduler.expect("JOB_BEGIN").await;
    assert_eq!(scheduler.done().await.exitcode, 117);
    let mut submitter = node.submitter().await;
    assert!(verify(&mut submitter, name).await, "nobody is to avoid us");
    assert!(
        node.folder
            .join("base/toolchains/x86_64")
            .join(name)
            .exists()
    );
}

async fn a_cancel_is_noticed_while_the_toolchain_is_tried() {
    let folder = crate::fixture::folder();
    let gate = folder.path().join("gate");
    // Fails at once, or when the gate opens if there is one.
    let script = format!("test ! -e {0} || read -r line <{0}", gate.display());
    let jailer = Jailer::new("/bin/sh", ["-c", script.as_str()]);
    let (node, mut scheduler, _) =
        Node::with_scheduler_and(1, |remote| remote.jailer = jailer).await;
    let name = install(&node, &mut scheduler).await;
    let made = Command::new("/usr/bin/mkfifo").arg(&gate).status().unwrap();
    assert!(made.success());
    let mut submitter = node.submitter().await;
    let job = job(85, name, &["-c"]);
    submitter.send(&Message::CompileFile(job)).await.unwrap();
    send_file(&mut submitter, SOURCE.as_bytes()).await;
    submitter.send(&Message::End).await.unwrap();
    submitter.send(&Message::End).await.unwrap();
    scheduler.expect("JOB_BEGIN").await;
    assert_eq!(scheduler.done().await.exitcode, 118);
    ended(&mut submitter).await;
    // Open for both, so that it waits for nobody.
    let mut opened = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&gate)
        .unwrap();
    opened.write_all(b"\n").unwrap();
    node.trigger.stop();
    node.serving.await.unwrap();
}

async fn t18_an_undecodable_piece_is_fatal() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let name = install(&node, &mut scheduler).await;
    let mut submitter = node.submitter().await;
    submitter
        .send(&Message::CompileFile(job(82, name, &["-c"])))
        .await
        .unwrap();
    send_file(&mut submitter, SOURCE.as_bytes()).await;
    let broken = FileChunk {
        uncompressed_len: 100,
        codec: ChunkCodec::Zstd,
        data: vec![7; 20],
    };
    submitter.send(&Message::FileChunk(broken)).await.unwrap();
    submitter.send(&Message::End).await.unwrap();
    ended(&mut submitter).await;
    scheduler.expect("JOB_BEGIN").await;
    assert_eq!(scheduler.done().await.exitcode, 107);
}

async fn t22_a_compiler_that_stops_reading_early() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let name = install(&node, &mut scheduler).await;
    let mut submitter = node.submitter().await;
    let source = SOURCE.repeat(200_000);
    let answer = compile(
        &mut submitter,
        job(83, name, &["--no-such-option", "-c"]),
        &source,
    )
    .await;
    assert_eq!(
        (answer.status, answer.out_of_memory),
        (1, false),
        "{}",
        answer.stderr
    );
    assert!(
        answer.stderr.to_string().contains("--no-such-option"),
        "{}",
        answer.stderr
    );
}

/// Started as root, the executable runs one trial again as an ordinary user; otherwise all of them are that already.
async fn everything_works_without_root() {
    if !identity::is_root() || !Path::new("/usr/bin/setpriv").exists() {
        return;
    }
    let copy = crate::fixture::folder();
    let program = copy.path().join("daemon-test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let ran = tokio::task::spawn_blocking(move || {
        Command::new("/usr/bin/setpriv")
            .args([
                "--reuid",
                "65534",
                "--regid",
                "65534",
                "--clear-groups",
                "--no-new-privs",
            ])
            .arg(&program)
            .args(["--exact", "objects_are_those_of_a_local_compilation"])
            .output()
            .unwrap()
    });
    let output = ran.await.unwrap();
    crate::fixture::assert_one_passed(&output);
}
