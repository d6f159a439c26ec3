//! Without a daemon: everything is done here, as if we were not there.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Fixture, ICECC, assert_same, verdict};

const GOOD: &str = "int main(void) { return 7; }\n";

#[test]
fn results_messages_and_statuses_are_native() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    fixture.file("bad.c", "int main(void) { return y; }\n");
    fixture.file("words.rsp", "-O2 -c good.c -o 'good.o'\n");
    for line in [
        "gcc -O2 -c good.c -o out.o",
        "gcc -Wall -c bad.c",
        "clang -c bad.c",
        "gcc good.c -o prog",
        "gcc @words.rsp",
        "gcc -E good.c",
        "gcc -c good.c -o",
        "gcc -c",
        "gcc",
        "gcc -c nothing.c",
        "clang --version",
    ] {
        let native = fixture.native(line);
        assert_same(&fixture.icecc(line), &native);
    }
    assert_eq!(fixture.icecc("./prog").status.code(), Some(7));
}

#[test]
fn compilations_record_that_there_is_no_daemon() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    assert!(fixture.icecc("gcc -c good.c").status.success());
    assert_eq!(fixture.last(), verdict("local", "no-daemon", "0"));
    let line = fixture.log().pop().expect("a line");
    assert_eq!((line[0].as_str(), line[11].as_str()), ("1", "good.o"));
}

#[test]
fn own_names_and_options() {
    let fixture = Fixture::new();
    let text = |line: &str| String::from_utf8(fixture.icecc(line).stdout).expect("text");
    assert!(text("--version").starts_with("ICECC "));
    assert!(text("--help").contains("--build-native"));
    assert_eq!(fixture.icecc("").status.code(), Some(111));
    assert_eq!(
        fixture.icecc("no-such-program-anywhere").status.code(),
        Some(115)
    );
    assert_eq!(fixture.icecc("/no/such/program").status.code(), Some(127));
    fixture.file("plain", "no program");
    assert_eq!(fixture.icecc("./plain").status.code(), Some(126));
}

#[test]
fn a_test_socket_that_leads_nowhere_is_an_error() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    let status = fixture
        .command(ICECC)
        .args(["gcc", "-c", "good.c"])
        .env_remove("GELATO_SOCKET")
        .env("ICECC_TEST_SOCKET", fixture.root().join("nothing"))
        .stderr(Stdio::null())
        .status()
        .expect("runs");
    assert_eq!(status.code(), Some(119));
}

#[test]
fn masquerade_finds_the_compiler_behind() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    fixture.file("good.cc", GOOD);
    for name in ["gcc", "g++", "cc", "clang++", "x86_64-linux-gnu-gcc-12"] {
        let link = fixture.masquerade(name);
        let path = format!(
            "{}:/usr/bin:/bin",
            link.parent().expect("a folder").display()
        );
        let source = if name.ends_with("++") {
            "good.cc"
        } else {
            "good.c"
        };
        let status = fixture
            .command(name)
            .args(["-c", source, "-o", "out.o"])
            .env("PATH", &path)
            .status()
            .expect("runs");
        assert!(status.success(), "{name}");
        assert_eq!(fixture.last(), verdict("local", "no-daemon", "0"), "{name}");
    }
    // ccache finds the link and names it: the compiler behind is meant.
    let status = fixture
        .command(ICECC)
        .arg(fixture.masquerade("gcc"))
        .args(["-c", "good.c"])
        .status()
        .expect("runs");
    assert!(status.success());
}

#[test]
fn a_wrapper_without_a_compiler_behind_it_says_so() {
    let fixture = Fixture::new();
    let link = fixture.masquerade("gcc");
    let output = fixture
        .command(&link)
        .args(["-c", "x.c"])
        .env("PATH", link.parent().expect("a folder"))
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(115));
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not find"));
}

#[test]
fn loops_end_in_one_sentence() {
    let fixture = Fixture::new();
    let script = fixture.script("bin/gcc", &format!("#!/bin/sh\nexec {ICECC} gcc \"$@\"\n"));
    fixture.file("good.c", GOOD);
    let output = fixture
        .command(ICECC)
        .args(["gcc", "-c", "good.c"])
        .env("PATH", script.parent().expect("a folder"))
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(111));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("recursively"), "{text}");
}

#[test]
fn without_a_path_the_usual_places_are_searched() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    let status = fixture
        .command(ICECC)
        .args(["gcc", "-E", "good.c"])
        .env_remove("PATH")
        .stdout(Stdio::null())
        .status()
        .expect("runs");
    // The compiler needs no PATH for this.
    assert!(status.success());
}

#[test]
fn icecc_as_the_compiler_means_the_usual_one() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    fixture.file("good.cc", "#include <new>\nint main() { return 7; }\n");
    assert!(fixture.icecc("-c good.c -o a.o").status.success());
    assert!(fixture.icecc("-c good.cc -o b.o").status.success());
    assert!(fixture.icecc("good.c -o prog").status.success());
    assert!(fixture.path("prog").exists());
}

#[test]
fn other_compilers_by_variable() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    let status = fixture
        .command(ICECC)
        .args(["gcc", "-S", "good.c", "-o", "out.s"])
        .env("ICECC_CC", "clang")
        .status()
        .expect("runs");
    assert!(status.success());
    let text = fs::read_to_string(fixture.path("out.s")).expect("assembly");
    assert!(text.contains("clang version"), "{text}");
}

#[test]
fn icerun_runs_anything_and_keeps_its_end() {
    let fixture = Fixture::new();
    let icerun = fixture.path("icerun");
    symlink(ICECC, &icerun).expect("a link");
    let run = |words: &[&str]| fixture.command(&icerun).args(words).output().expect("runs");
    assert_eq!(run(&["sh", "-c", "exit 5"]).status.code(), Some(5));
    assert_eq!(run(&["sh", "-c", "kill -9 $$"]).status.code(), Some(137));
    assert_eq!(run(&["echo", "a", "-c", "b"]).stdout, b"a -c b\n");
    assert_eq!(fixture.last(), verdict("local", "icerun", "0"));
    // A broken pipe ends the writer as it should.
    let output = run(&["sh", "-c", "(yes; echo $? >&2) | head -1 >/dev/null"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "141\n");
    assert!(run(&["--version"]).stdout.starts_with(b"ICERUN "));
}

#[test]
fn signals_reach_the_command() {
    let fixture = Fixture::new();
    let icerun = fixture.path("icerun");
    symlink(ICECC, &icerun).expect("a link");
    let script = "trap 'echo got it > caught; exit 3' TERM; echo ready > ready; while :; do sleep 0.05; done";
    let mut child = fixture
        .command(&icerun)
        .args(["sh", "-c", script])
        .spawn()
        .expect("runs");
    while !fixture.path("ready").exists() {
        thread::yield_now();
    }
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
    kill_process(pid, Signal::TERM).expect("a signal");
    assert_eq!(child.wait().expect("an end").signal(), Some(15));
    assert!(fixture.path("caught").exists());
}

/// Each run notes its beginning and end; the two always stand together, whatever runs beside it. Questions what it would run do not count.
const COUNTER: &str = "#!/bin/sh\ncase \"$*\" in *-###*) exit 1;; esac\necho + >> \"$COUNT\"\nsleep 0.1\necho - >> \"$COUNT\"\n";

#[test]
fn no_more_compilers_than_processors() {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    for build_log in [true, false] {
        let fixture = Fixture::new();
        let compiler = fixture.script("bin/gcc", COUNTER);
        fixture.file("good.c", GOOD);
        let count = fixture.path("count");
        let children: Vec<_> = (0..processors * 5)
            .map(|_| {
                let mut command = fixture.command(ICECC);
                if !build_log {
                    command.env_remove("GELATO_BUILD_LOG");
                }
                command
                    .arg(&compiler)
                    .args(["-c", "good.c"])
                    .env("COUNT", &count)
                    .spawn()
                    .expect("runs")
            })
            .collect();
        for mut child in children {
            assert!(child.wait().expect("an end").success());
        }
        let mut running = 0_usize;
        let mut most = 0;
        let text = fs::read_to_string(&count).expect("the count");
        for line in text.lines() {
            if line == "+" {
                running += 1;
            } else {
                running -= 1;
            }
            most = most.max(running);
        }
        assert_eq!(text.lines().count(), processors * 10);
        assert!(most <= processors, "{most} at once");
    }
}

#[test]
fn a_daemon_that_says_nothing_is_no_daemon() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    let _mute = UnixListener::bind(fixture.root().join("socket")).expect("a socket");
    let output = fixture.icecc("gcc -c good.c");
    assert!(output.status.success());
    assert_eq!(output.stderr, b"");
    assert_eq!(fixture.last(), verdict("local", "no-daemon", "0"));
}

#[test]
fn ccache_may_stand_before_us() {
    if !Path::new("/usr/bin/ccache").exists() {
        eprintln!("no ccache on this machine, nothing checked");
        return;
    }
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    for folder in ["", "masquerade"] {
        let path = match folder {
            "" => "/usr/bin:/bin".to_owned(),
            _ => format!(
                "{}:/usr/bin:/bin",
                fixture
                    .masquerade("gcc")
                    .parent()
                    .expect("a folder")
                    .display()
            ),
        };
        let status = fixture
            .command("/usr/bin/ccache")
            .args(["gcc", "-c", "good.c", "-o", "out.o"])
            .env("PATH", path)
            .env("CCACHE_DIR", fixture.root().join("cache"))
            .env("CCACHE_RECACHE", "1")
            .env("CCACHE_PREFIX", ICECC)
            .status()
            .expect("ccache runs");
        assert!(status.success());
        assert_eq!(
            fixture.last(),
            verdict("local", "no-daemon", "0"),
            "{folder}"
        );
    }
}

#[test]
fn locks_that_cannot_be_taken_do_not_fail_the_build() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    fs::write(fixture.root().join("run/gelato"), "in the way").expect("a file");
    let output = fixture.icecc("gcc -c good.c");
    assert!(output.status.success());
    assert_eq!(output.stderr, b"");
}
