//! A signal in every phase of a job: the wrapper ends by it, soon, and leaves nothing behind.

use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::fixture::{Fixture, ICECC};
use crate::peers::{Assign, Behaviour, Cluster, Events};

/// Far less than any limit the wrapper has by itself, far more than it needs.
const SOON: Duration = Duration::from_secs(5);

const SMALL: &str = "int x;\n";

fn start(command: &mut Command) -> Child {
    command
        .env("ICECC_TEST_REMOTEBUILD", "1")
        .stderr(Stdio::null())
        .spawn()
        .expect("the wrapper runs")
}

fn wrapper(fixture: &Fixture, line: &str) -> Child {
    start(fixture.command(ICECC).args(line.split_whitespace()))
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed()).expect("a process")
}

fn signal(child: &Child, signal: Signal) {
    kill_process(pid(child), signal).expect("a signal");
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{what} never happened");
        thread::sleep(Duration::from_millis(5));
    }
}

fn end(mut child: Child) -> ExitStatus {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the wrapper does not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Names and states of the processes below this one.
fn children(pid: u32) -> Vec<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn is_running(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

fn pipe(fixture: &Fixture, name: &str) {
    let kind = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, fixture.path(name), kind, mode, 0).expect("a pipe");
}

/// Text that no compression makes small, so that no buffer between two processes holds it.
fn large() -> String {
    let mut number = 1_u64;
    let mut text = String::from("const unsigned long long a[] = {\n");
    while text.len() < 10 << 20 {
        for _ in 0..4 {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("{number:#x},"));
        }
        text.push('\n');
    }
    text.push_str("};\n");
    text
}

#[test]
fn while_a_worker_does_not_read_the_source() {
    let fixture = Fixture::new();
    fixture.file("x.c", &large());
    let events = Events::default();
    let address = Cluster::worker(&events, Behaviour::StopsAtSource);
    let _cluster = Cluster::start(&fixture, vec![Assign::Worker(address, true)]);
    let child = wrapper(&fixture, "gcc -c x.c -o out.o");
    events.wait_for("full");
    signal(&child, Signal::INT);
    assert_eq!(end(child).signal(), Some(2));
    // It hears of the end although it has not read what was sent before.
    events.wait_for("client gone");
    assert_eq!(fixture.names(), ["x.c"]);
}

#[test]
fn while_the_result_is_waited_for() {
    let fixture = Fixture::new();
    fixture.file("x.c", SMALL);
    for old in [false, true] {
        let _ = std::fs::remove_file(fixture.root().join("socket"));
        let cluster = Cluster::with(&fixture, Behaviour::Silent);
        if old {
            fixture.file("out.d", "out.o: x.c old.h\n");
        }
        let child = wrapper(&fixture, "gcc -MD -c x.c -o out.o");
        cluster.events.wait_for("source");
        signal(&child, Signal::HUP);
        assert_eq!(end(child).signal(), Some(1));
        cluster.events.wait_for("client gone");
        // What was not there is gone; what was there is there.
        let names = fixture.names();
        let expected: &[&str] = if old { &["out.d", "x.c"] } else { &["x.c"] };
        assert_eq!(names, expected);
        let (place, _, code) = fixture.last();
        assert_eq!((place.as_str(), code.as_str()), ("failed-over", "129"));
    }
}

#[test]
fn while_a_worker_does_not_read_the_toolchain() {
    let fixture = Fixture::new();
    fixture.file("x.c", SMALL);
    let events = Events::default();
    let address = Cluster::worker(&events, Behaviour::StopsAtToolchain);
    let _cluster = Cluster::start(&fixture, vec![Assign::Worker(address, false)]);
    std::fs::write(
        fixture
            .root()
            .join("0123456789abcdef0123456789abcdef.tar.gz"),
        large(),
    )
    .expect("an archive");
    let child = wrapper(&fixture, "gcc -c x.c -o out.o");
    events.wait_for("full");
    signal(&child, Signal::TERM);
    assert_eq!(end(child).signal(), Some(15));
    assert_eq!(fixture.names(), ["x.c"]);
}

#[test]
fn while_a_worker_does_not_greet() {
    let fixture = Fixture::new();
    fixture.file("x.c", SMALL);
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = mute.local_addr().expect("an address");
    // In the first attempt nothing is to be cleaned up; in the second the preprocessor has run.
    for first in [None, Some(Behaviour::DiesAfterSource)] {
        let events = Events::default();
        let mut answers = vec![Assign::Worker(address, true)];
        if let Some(kind) = first {
            answers.insert(0, Assign::Worker(Cluster::worker(&events, kind), true));
        }
        let _ = std::fs::remove_file(fixture.root().join("socket"));
        let _cluster = Cluster::start(&fixture, answers);
        let child = wrapper(&fixture, "gcc -c x.c -o out.o");
        let (_connection, _) = mute.accept().expect("a connection");
        signal(&child, Signal::INT);
        assert_eq!(end(child).signal(), Some(2));
        assert_eq!(fixture.names(), ["x.c"]);
    }
}

#[test]
fn while_the_scheduler_or_a_slot_is_waited_for() {
    for (line, message) in [
        ("gcc -c x.c -o out.o", "GET_CS"),
        ("gcc x.c -o prog", "JOB_LOCAL_BEGIN"),
    ] {
        let fixture = Fixture::new();
        fixture.file("x.c", SMALL);
        let cluster = Cluster::start(&fixture, vec![Assign::Silence]);
        let child = wrapper(&fixture, line);
        until(message, || {
            cluster.events.all().iter().any(|event| event == message)
        });
        signal(&child, Signal::INT);
        assert_eq!(end(child).signal(), Some(2));
        assert_eq!(fixture.names(), ["x.c"]);
    }
}

#[test]
fn while_a_lock_is_waited_for() {
    let fixture = Fixture::new();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    pipe(&fixture, "x.c");
    let mut holders: Vec<Child> = (0..processors)
        .map(|_| wrapper(&fixture, "gcc -x c -c x.c -o out.o"))
        .collect();
    for holder in &holders {
        until("a compiler", || !children(holder.id()).is_empty());
    }
    let waiting = wrapper(&fixture, "gcc -x c -c x.c -o out.o");
    until("the wait", || {
        let call = std::fs::read_to_string(format!("/proc/{}/wchan", waiting.id()));
        let calls = std::fs::read_to_string(format!("/proc/{}/syscall", waiting.id()));
        calls.is_ok_and(|text| text.starts_with(FLOCK))
            || call.is_ok_and(|text| text.contains("lock"))
    });
    signal(&waiting, Signal::INT);
    assert_eq!(end(waiting).signal(), Some(2));
    for holder in &holders {
        signal(holder, Signal::TERM);
    }
    for holder in holders.drain(..) {
        assert_eq!(end(holder).signal(), Some(15));
    }
}

/// Number of flock(2) on x86-64.
const FLOCK: &str = "73 ";

#[test]
fn while_something_runs_here() {
    // A reader of this pipe waits for ever.
    let fixture = Fixture::new();
    pipe(&fixture, "hang.h");
    fixture.file("x.c", "#include \"hang.h\"\n");
    symlink(ICECC, fixture.root().join("icerun")).expect("a link");
    // The preprocessor of a remote job, a supervised compiler, one the wrapper became, and some command.
    let worker = Behaviour::Honest;
    for (line, build_log, cluster) in [
        ("gcc -MD -c x.c -o out.o", true, true),
        ("gcc x.c -o prog", true, false),
        ("gcc x.c -o prog", false, false),
        ("icerun sh -c cat<hang.h", true, false),
    ] {
        let _ = std::fs::remove_file(fixture.root().join("socket"));
        let _cluster = cluster.then(|| Cluster::with(&fixture, worker));
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = if words[0] == "icerun" {
            let mut command = fixture.command(fixture.root().join("icerun"));
            command.args(["sh", "-c", "cat <hang.h"]);
            command
        } else {
            let mut command = fixture.command(ICECC);
            command.args(&words);
            command
        };
        if !build_log {
            command.env_remove("GELATO_BUILD_LOG");
        }
        let child = start(command.process_group(0));
        let mut family = Vec::new();
        // Driver and compiler, or shell and command, or only the compiler below what was the wrapper.
        let depth = if build_log && words[0] != "icerun" {
            2
        } else {
            1
        };
        until(line, || {
            family.clear();
            let mut level = vec![child.id()];
            for _ in 0..depth {
                level = level.into_iter().flat_map(children).collect();
                family.extend(&level);
            }
            !level.is_empty() && level.iter().all(|pid| state(*pid) == Some('S'))
        });
        match words[0] {
            "icerun" => kill_process_group(pid(&child), Signal::INT).expect("a signal"),
            // A driver that nobody supervises leaves its compiler, as it does without us.
            _ if !build_log => kill_process_group(pid(&child), Signal::INT).expect("a signal"),
            _ => signal(&child, Signal::INT),
        }
        assert_eq!(end(child).signal(), Some(2), "{line}");
        until("the end of all children", || {
            family.iter().all(|pid| !is_running(*pid))
        });
        assert_eq!(fixture.names(), ["hang.h", "x.c"], "{line}");
    }
}

#[test]
fn a_stopped_wrapper_goes_on_where_it_was() {
    let fixture = Fixture::new();
    fixture.file("x.c", SMALL);
    let events = Events::default();
    let address = Cluster::worker(&events, Behaviour::Honest);
    let cluster = Cluster::start(&fixture, vec![Assign::Worker(address, true)]);
    let mut child = wrapper(&fixture, "gcc -c x.c -o out.o");
    until("a request", || cluster.events.count("GET_CS") > 0);
    signal(&child, Signal::TSTP);
    until("the stop", || {
        state(child.id()) == Some('T') || events.count("source") > 0
    });
    signal(&child, Signal::CONT);
    assert!(child.wait().expect("an end").success());
    assert_eq!(fixture.last().0, "remote");
    assert_eq!(fixture.names(), ["out.o", "x.c"]);
}

#[test]
fn ignored_signals_stay_ignored_and_ends_of_children_are_seen() {
    let fixture = Fixture::new();
    fixture.file("x.c", SMALL);
    let cluster = Cluster::with(&fixture, Behaviour::Honest);
    // As nohup and as a careless daemon would start us.
    let script = format!(
        "trap '' HUP CHLD; {ICECC} gcc -c x.c -o out.o && {ICECC} gcc -c x.c -S -o out.s -save-temps=cwd"
    );
    let status = fixture
        .command("sh")
        .args(["-c", &script])
        .env("ICECC_TEST_REMOTEBUILD", "1")
        .status()
        .expect("a shell");
    assert!(status.success());
    assert_eq!(fixture.log()[0][2], "remote");
    assert_eq!(fixture.log()[1][5], "0");
    cluster.events.wait_for("job");
}
