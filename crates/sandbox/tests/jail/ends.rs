//! How a job ends: killed, dropped, orphaned, with its daemon; nothing of it may go on.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use gelato_sandbox::{Exit, SandboxError};

use super::fixture::{Fixture, await_readable, read_line, read_to_end, start};

/// Three generations, one of them in a session of its own; each holds the streams.
const FAMILY: &str =
    "setsid sleep 1000 & (sleep 1000 & sleep 1000) & sh -c 'sleep 1000; true' & echo ready; ";

pub(crate) fn kill_takes_everything(fixture: &Fixture) {
    let mut job = start(&fixture.shell(&format!("{FAMILY} sleep 1000; true"))).expect("job");
    let mut stdout = File::from(job.stdout.take().expect("not taken yet"));
    assert_eq!(read_line(&mut stdout), "ready");
    job.kill();
    job.kill();
    assert_eq!(read_to_end(stdout.into()), b"");
    await_readable(&job.pidfd, "the end of the job");
    job.kill();
    assert_eq!(
        job.wait().expect("outcome").exit,
        Exit::Signal(libc::SIGKILL)
    );
}

pub(crate) fn kill_takes_a_forking_job(fixture: &Fixture) {
    let script = "setsid sh -c 'while :; do (sleep 1000 & sleep 0.001 &); done' & echo ready; sleep 1000; true";
    let mut job = start(&fixture.shell(script)).expect("job");
    let mut stdout = File::from(job.stdout.take().expect("not taken yet"));
    assert_eq!(read_line(&mut stdout), "ready");
    job.kill();
    assert_eq!(read_to_end(stdout.into()), b"");
    assert_eq!(
        job.wait().expect("outcome").exit,
        Exit::Signal(libc::SIGKILL)
    );
}

pub(crate) fn kill_after_the_end_is_harmless(fixture: &Fixture) {
    let job = start(&fixture.shell("exit 5")).expect("job");
    await_readable(&job.pidfd, "the end of the job");
    job.kill();
    assert_eq!(job.wait().expect("outcome").exit, Exit::Code(5));
}

pub(crate) fn drop_takes_everything(fixture: &Fixture) {
    let mut job = start(&fixture.shell(&format!("{FAMILY} sleep 1000; true"))).expect("job");
    let mut stdout = File::from(job.stdout.take().expect("not taken yet"));
    assert_eq!(read_line(&mut stdout), "ready");
    drop(job);
    // All is over already, not soon.
    assert_eq!(io::read_to_string(stdout).expect("read"), "");
}

pub(crate) fn orphans_end_with_the_job(fixture: &Fixture) {
    let mut job = start(&fixture.shell(&format!("{FAMILY} exit 3"))).expect("job");
    await_readable(&job.pidfd, "the end of the job");
    let stdout = job.stdout.take().expect("not taken yet");
    assert_eq!(job.wait().expect("outcome").exit, Exit::Code(3));
    assert_eq!(read_to_end(stdout), b"ready\n");
}

pub(crate) fn death_of_the_jail_step_takes_everything(fixture: &Fixture) {
    let mut job = start(&fixture.shell(&format!("{FAMILY} sleep 1000; true"))).expect("job");
    let mut stdout = File::from(job.stdout.take().expect("not taken yet"));
    assert_eq!(read_line(&mut stdout), "ready");
    rustix::process::pidfd_send_signal(&job.pidfd, rustix::process::Signal::KILL)
        .expect("own child");
    assert_eq!(read_to_end(stdout.into()), b"");
    let error = job.wait().expect_err("nobody reported");
    assert!(matches!(error, SandboxError::Lost), "{error}");
}

pub(crate) fn death_of_the_daemon_takes_everything(fixture: &Fixture) {
    let fifo = fixture.fifo("alive");
    let mut daemon = Command::new("/proc/self/exe")
        .args(["__daemon", fixture.situation.name()])
        .arg(&fixture.folder)
        .stdin(Stdio::null())
        .spawn()
        .expect("daemon");
    let mut alive = File::open(&fifo).expect("opened together with the job");
    assert_eq!(read_line(&mut alive), "ready");
    daemon.kill().expect("own child");
    daemon.wait().expect("own child");
    assert_eq!(
        read_to_end(alive.into()),
        b"",
        "every process of the job held the pipe"
    );
    fs::remove_file(fifo).expect("removed again");
}

/// The other side of the above: starts a job and waits to be killed.
pub(crate) fn be_a_daemon(fixture: &Fixture) -> ExitCode {
    let job = start(&fixture.shell(&format!("exec > $JOB/alive; {FAMILY} sleep 1000; true")))
        .expect("job");
    drop(job.wait());
    ExitCode::FAILURE
}

pub(crate) fn end_of_the_spawning_thread_is_harmless(fixture: &Fixture) {
    let spec = fixture.shell("cat; exit 4");
    let mut job = thread::spawn(move || start(&spec).expect("job"))
        .join()
        .expect("thread");
    let stdin = job.stdin.take().expect("not taken yet");
    let mut stdout = File::from(job.stdout.take().expect("not taken yet"));
    let mut stdin = File::from(stdin);
    for _ in 0..3 {
        stdin.write_all(b"still here\n").expect("write");
        assert_eq!(read_line(&mut stdout), "still here");
    }
    drop(stdin);
    assert_eq!(job.wait().expect("outcome").exit, Exit::Code(4));
}

pub(crate) fn init_cannot_be_killed_from_inside(fixture: &Fixture) {
    let finished = fixture.run("kill -9 1; kill -TERM 1; kill -STOP 1; echo alive; exit 6");
    assert_eq!(finished.stdout, "alive\n", "{finished:?}");
    assert_eq!(finished.outcome.exit, Exit::Code(6));
}
