//! Jobs that go too far, end badly or leave something behind, played by a shell in the compiler's place.

use std::time::{Duration, Instant};

use gelato_daemon::JobLimits;
use gelato_net::stream::Connection;
use gelato_wire::Message;
use gelato_wire::msg::CompileResult;

use crate::fixture::{
    Node, Scheduler, compile, ended, job, receive_file, send_file, send_toolchain, verify,
};
use crate::synthetic;

crate::trials!(
    a_job_that_does_nothing_is_ended_and_one_that_computes_is_not,
    a_job_that_fills_the_disk_is_ended,
    d1_the_workers_own_troubles_go_back_with_their_reason,
    what_a_compiler_leaves_behind_is_killed_and_delays_nothing,
    the_whole_tree_of_a_job_ends_with_its_submitter,
);

async fn node(slots: u32, limits: JobLimits) -> (Node, Scheduler) {
    let (node, mut scheduler, _) =
        Node::with_scheduler_and(slots, |remote| remote.limits = limits).await;
    let mut submitter = node.submitter().await;
    send_toolchain(&mut submitter, "shell", &synthetic::toolchain(&[])).await;
    submitter.send(&Message::End).await.unwrap();
    assert!(verify(&mut submitter, "shell").await);
    scheduler.login().await;
    (node, scheduler)
}

async fn run(node: &Node, number: u32, source: &str) -> (CompileResult, Connection) {
    let mut submitter = node.submitter().await;
    let answer = compile(&mut submitter, job(number, "shell", &["-c"]), source).await;
    (answer, submitter)
}

fn goes_back(answer: &CompileResult, reason: &str) {
    let text = answer.stderr.to_string();
    assert_eq!((answer.status, answer.out_of_memory), (105, true), "{text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(last.starts_with(&format!("gelato: {reason}")), "{text}");
}

async fn a_job_that_does_nothing_is_ended_and_one_that_computes_is_not() {
    let limits = JobLimits {
        silence: Duration::from_secs(2),
        ..JobLimits::default()
    };
    let (node, _scheduler) = node(2, limits).await;
    let spin = "i=0; while [ $i -lt 3000000 ]; do i=$((i+1)); done\n";
    let ((sleeper, _), (spinner, mut submitter)) =
        tokio::join!(run(&node, 1, "sleep 1000\n"), run(&node, 2, spin));
    goes_back(&sleeper, "worker-limit: the job did nothing");
    assert_eq!(spinner.status, 0, "{}", spinner.stderr);
    assert_eq!(receive_file(&mut submitter).await, b"object\n");
}

async fn a_job_that_fills_the_disk_is_ended() {
    let limits = JobLimits {
        disk: 10 << 20,
        ..JobLimits::default()
    };
    let (node, _scheduler) = node(1, limits).await;
    // Not more than that in all, should nobody end it.
    let fill = "for n in 1 2 3 4 5 6 7 8 9 10; do cat /bin/* /lib/*/* >f$n; done; sleep 1000\n";
    goes_back(&run(&node, 3, fill).await.0, "worker-limit: the job wrote");
}

async fn d1_the_workers_own_troubles_go_back_with_their_reason() {
    let (node, mut scheduler) = node(1, JobLimits::default()).await;
    let says = |text: &str| format!("echo '{text}' >&2; exit 1\n");
    for (source, reason) in [
        (
            "kill -9 $$\n".into(),
            "worker-crashed: the compiler was killed",
        ),
        (
            "kill -11 $$\n".into(),
            "worker-crashed: the compiler was killed",
        ),
        ("exit 139\n".into(), "worker-crashed: a part"),
        (
            says("gcc: fatal error: Killed signal terminated program cc1"),
            "worker-crashed: the compiler crashed",
        ),
        (
            says("x.c:1: internal compiler error: in foo"),
            "worker-crashed: the compiler crashed",
        ),
        (
            says("cc1: out of memory allocating 1 bytes"),
            "worker-out-of-memory: the compiler ran out",
        ),
        (
            says("as: No space left on device"),
            "worker-out-of-memory: the compiler ran out",
        ),
        ("exec true\n".into(), "remote-failure: "),
    ] {
        let (answer, mut submitter) = run(&node, 4, &source).await;
        goes_back(&answer, reason);
        ended(&mut submitter).await;
        scheduler.expect("JOB_BEGIN").await;
        assert_eq!(scheduler.done().await.exitcode, 105);
    }
    // The user's own errors stay what they are.
    let (answer, _) = run(&node, 5, &says("x.c:1: error: no")).await;
    assert_eq!((answer.status, answer.out_of_memory), (1, false));
}

async fn what_a_compiler_leaves_behind_is_killed_and_delays_nothing() {
    let (node, mut scheduler) = node(1, JobLimits::default()).await;
    // They hold the outputs open, for longer than any test.
    let leave = "sleep 1000 &\n(sleep 1000 & sleep 1000 &)\nexit 0\n";
    let (answer, _) = run(&node, 6, &format!("echo object >$out\n{leave}")).await;
    assert_eq!(answer.status, 0, "{}", answer.stderr);
    scheduler.expect("JOB_BEGIN").await;
    assert_eq!(scheduler.done().await.exitcode, 0);
}

async fn the_whole_tree_of_a_job_ends_with_its_submitter() {
    let (node, mut scheduler) = node(1, JobLimits::default()).await;
    let mut slowest = Duration::ZERO;
    for number in 10..20 {
        let mut submitter = node.submitter().await;
        let request = job(number, "shell", &["-c"]);
        submitter
            .send(&Message::CompileFile(request))
            .await
            .unwrap();
        let source = "sleep 1000 & (sleep 1000 &) ; sleep 1000\n";
        send_file(&mut submitter, source.as_bytes()).await;
        submitter.send(&Message::End).await.unwrap();
        scheduler.expect("JOB_BEGIN").await;
        let gone = Instant::now();
        drop(submitter);
        // Sent after every process of the job has ended.
        assert_eq!(scheduler.done().await.exitcode, 107);
        slowest = slowest.max(gone.elapsed());
    }
    eprintln!("from the submitter's end to the job's: at most {slowest:?} in 10");
}
