//! Every job tells the daemon how it ended, once.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use gelato_record::{JobRecord, LONGEST, Verdict};
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::run;
use crate::fixture::{Fixture, ICECC};
use crate::peers::{Assign, Behaviour, Cluster, Events};

const SMALL: &str = "int x;\n";

/// What the daemon would get.
struct Mailbox(UnixDatagram);

impl Mailbox {
    fn of(fixture: &Fixture) -> Mailbox {
        let path = gelato_record::socket_beside(&fixture.root().join("socket"));
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a limit");
        Mailbox(socket)
    }

    fn next(&self) -> JobRecord {
        let mut buffer = vec![0; LONGEST + 1];
        let length = self.0.recv(&mut buffer).expect("a record");
        JobRecord::parse(&buffer[..length]).expect("a record")
    }

    /// The record of the only job so far.
    fn only(&self) -> JobRecord {
        let record = self.next();
        self.assert_empty();
        record
    }

    fn assert_empty(&self) {
        self.0.set_nonblocking(true).expect("a socket");
        assert!(self.0.recv(&mut [0; 1]).is_err(), "a second record");
        self.0.set_nonblocking(false).expect("a socket");
    }
}

fn verdict(record: &JobRecord) -> (Verdict, Option<&str>, i32) {
    (record.verdict, record.reason.as_deref(), record.exit)
}

#[test]
fn a_remote_job_tells_where_it_went_and_how_long_each_part_took() {
    let fixture = Fixture::new();
    fixture.file("src/x.cc", "int f() { return 3; }\n");
    let mailbox = Mailbox::of(&fixture);
    let _cluster = Cluster::with(&fixture, Behaviour::Honest);
    let status = fixture
        .command(ICECC)
        .args(["g++", "-O2", "-c", "src/x.cc", "-o", "x.o"])
        .env("ICECC_TEST_REMOTEBUILD", "1")
        .env("GELATO_BUILD_ID", "mine-1-2")
        .status()
        .expect("the wrapper runs");
    assert!(status.success());
    let record = mailbox.only();
    assert_eq!(verdict(&record), (Verdict::Remote, None, 0));
    assert_eq!(
        (record.file.as_str(), record.source.as_str()),
        ("x.o", "src/x.cc")
    );
    assert_eq!(
        record.folder,
        fixture.path("").to_string_lossy().trim_end_matches('/')
    );
    assert_eq!(
        (record.compiler.as_str(), record.language.as_deref()),
        ("g++", Some("c++"))
    );
    assert_eq!(record.build.as_deref(), Some("mine-1-2"));
    assert!(record.worker.is_some() && record.job.is_some());
    assert!(record.source_bytes > 0 && record.sent > 0 && record.received > 0);
    let size = fs::metadata(fixture.path("x.o")).expect("an object").len();
    assert_eq!(record.output_bytes, size);
    let (phases, wall) = (record.phases, record.wall);
    assert!(phases.parts().iter().all(|(_, time)| *time <= wall));
    assert_eq!((phases.local, record.retries), (0, 0));
    assert_eq!((record.user, record.build_guessed), (None, false));
}

#[test]
fn local_jobs_name_their_reason_and_what_it_is_about() {
    let fixture = Fixture::new();
    fixture.file("x.c", SMALL);
    fixture.file("bad.c", "int x = y;\n");
    fixture.file("words.rsp", "\"\"");
    let mailbox = Mailbox::of(&fixture);
    let cases: &[(&str, &str, Option<&str>, i32)] = &[
        ("gcc -c x.c", "no-daemon", None, 0),
        ("gcc -c bad.c", "no-daemon", None, 1),
        ("gcc -shared x.c -o x.so", "no-compile-step", None, 0),
        ("gcc -E x.c", "preprocess-only", Some("-E"), 0),
        (
            "gcc -g -march=native -c x.c",
            "native-cpu",
            Some("-march=native"),
            0,
        ),
        (
            "gcc -save-temps -c x.c",
            "side-files",
            Some("-save-temps"),
            0,
        ),
        ("gcc --version", "driver-query", Some("--version"), 0),
        ("gcc -c x.c -o", "missing-value", Some("-o"), 1),
        ("gcc -c x.c bad.c", "multiple-inputs", Some("bad.c"), 1),
        (
            "gcc @words.rsp -c x.c",
            "response-file",
            Some("@words.rsp"),
            1,
        ),
        ("true -c x.c", "custom-command", Some("/usr/bin/true"), 0),
        ("sh -c exit\\ 3", "custom-command", Some("/usr/bin/sh"), 2),
    ];
    for (line, reason, subject, exit) in cases {
        fixture.icecc(line);
        let record = mailbox.only();
        let (verdict, found, code) = verdict(&record);
        assert_eq!((verdict, found), (Verdict::Local, Some(*reason)), "{line}");
        assert_eq!(record.subject.as_deref(), *subject, "{line}");
        // Compilers disagree on some, shells on others.
        assert_eq!(code == 0, *exit == 0, "{line}: {code}");
        assert!(record.phases.local <= record.wall);
        let is_c = record.source.ends_with(".c");
        assert_eq!(record.language.as_deref(), is_c.then_some("c"), "{line}");
    }
    // Without a wish for a daemon there is none to tell.
    let status = fixture
        .command(ICECC)
        .args(["gcc", "-c", "x.c"])
        .env("ICECC", "disable")
        .status()
        .expect("runs");
    assert!(status.success());
    mailbox.assert_empty();
}

#[test]
fn failures_elsewhere_are_counted_and_named() {
    let fixture = Fixture::new();
    fixture.file("x.c", SMALL);
    let mailbox = Mailbox::of(&fixture);
    let events = Events::default();
    let bad = Cluster::worker(&events, Behaviour::DiesAfterSource);
    let good = Cluster::worker(&events, Behaviour::Honest);
    {
        let answers = vec![Assign::Worker(bad, true), Assign::Worker(good, true)];
        let _cluster = Cluster::start(&fixture, answers);
        assert!(run(&fixture, "gcc -c x.c").status.success());
        let record = mailbox.only();
        assert_eq!(verdict(&record), (Verdict::Remote, None, 0));
        assert_eq!(record.retries, 1);
        assert_eq!(record.worker, Some(good.to_string()));
        assert!(!record.detail.is_empty());
    }
    fs::remove_file(fixture.root().join("socket")).expect("removed");
    let other = Cluster::worker(&events, Behaviour::DiesAfterSource);
    let answers = vec![Assign::Worker(bad, true), Assign::Worker(other, true)];
    let _cluster = Cluster::start(&fixture, answers);
    assert!(run(&fixture, "gcc -c x.c").status.success());
    let record = mailbox.only();
    assert_eq!(
        verdict(&record),
        (Verdict::FailedOver, Some("worker-lost"), 0)
    );
    assert_eq!(record.retries, 2);
    assert!(record.worker.is_some() && !record.detail.is_empty());
}

#[test]
fn the_schedulers_choice_of_this_machine_is_told_apart() {
    let fixture = Fixture::new();
    fixture.file("x.c", SMALL);
    let mailbox = Mailbox::of(&fixture);
    let _cluster = Cluster::start(&fixture, vec![Assign::Here]);
    assert!(run(&fixture, "gcc -c x.c").status.success());
    let record = mailbox.only();
    assert_eq!(verdict(&record), (Verdict::Own, Some("assigned-here"), 0));
    assert_eq!((record.worker, record.retries), (None, 0));
    assert!(record.job.is_some());
    // The build log knows only that it was here.
    assert_eq!(fixture.last().0, "local");
}

#[test]
fn refused_and_interrupted_jobs_are_told_too() {
    let fixture = Fixture::new();
    fixture.file("x.c", SMALL);
    let mailbox = Mailbox::of(&fixture);
    let status = fixture
        .command(ICECC)
        .args(["gcc", "-c", "x.c"])
        .env("GELATO_POLICY", "require")
        .stderr(Stdio::null())
        .status()
        .expect("runs");
    assert_eq!(status.code(), Some(120));
    let record = mailbox.only();
    assert_eq!(verdict(&record), (Verdict::Refused, Some("no-daemon"), 120));

    let cluster = Cluster::start(&fixture, vec![Assign::Silence]);
    for (line, reason, message) in [
        ("gcc -c x.c", "interrupted", "GET_CS"),
        ("gcc x.c -o prog", "no-compile-step", "JOB_LOCAL_BEGIN"),
    ] {
        let mut child = fixture
            .command(ICECC)
            .args(line.split_whitespace())
            .env("ICECC_TEST_REMOTEBUILD", "1")
            .env_remove("GELATO_BUILD_LOG")
            .spawn()
            .expect("runs");
        cluster.events.wait_for(message);
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
        kill_process(pid, Signal::INT).expect("a signal");
        assert_eq!(child.wait().expect("its end").signal(), Some(2));
        let record = mailbox.only();
        assert_eq!(verdict(&record), (Verdict::Local, Some(reason), 130));
    }
}

#[test]
fn what_a_compiler_dies_of_is_seen_and_told() {
    let fixture = Fixture::new();
    fixture.file("x.c", SMALL);
    let mailbox = Mailbox::of(&fixture);
    fixture.script("bin/gcc", "#!/bin/sh\nkill -KILL $$\n");
    let path = fixture.path("bin/gcc");
    let status = fixture
        .command(ICECC)
        .arg(&path)
        .args(["x.c", "-o", "prog"])
        .status()
        .expect("runs");
    assert_eq!(status.signal(), Some(9));
    let record = mailbox.only();
    assert_eq!(verdict(&record).2, 137);
    assert_eq!(record.compiler, path.to_string_lossy());
}

#[test]
fn who_stands_aside_tells_nothing() {
    let fixture = Fixture::new();
    fixture.file("x.c", SMALL);
    let mailbox = Mailbox::of(&fixture);
    // A script that the wrapper starts, and that starts the wrapper again under the compiler's name.
    let link = fixture.masquerade("gcc");
    let script = fixture.script(
        "bin/gcc",
        &format!("#!/bin/sh\necho >/dev/null\n{} \"$@\"\n", link.display()),
    );
    let status = fixture
        .command(ICECC)
        .arg(script)
        .args(["-c", "x.c"])
        .status()
        .expect("runs");
    assert!(status.success());
    assert_eq!(mailbox.only().verdict, Verdict::Local);
}
