//! Policies, the file of settings, and where messages go.

use std::fs;
use std::process::{Command, Output};

use crate::fixture::{Fixture, ICECC, verdict};
use crate::peers::{Assign, Behaviour, Cluster, Events};

const GOOD: &str = "int main(void) { return 7; }\n";

fn with(fixture: &Fixture, variables: &[(&str, &str)], line: &str) -> Output {
    fixture
        .command(ICECC)
        .args(line.split_whitespace())
        .env("ICECC_TEST_REMOTEBUILD", "1")
        .envs(variables.iter().copied())
        .output()
        .expect("the wrapper runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Writes the user's file.
fn settings(fixture: &Fixture, text: &str) -> String {
    let folder = fixture.root().join("home/.config/gelato");
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("gelato.toml");
    fs::write(&path, text).expect("a file");
    path.display().to_string()
}

#[test]
fn required_jobs_fail_with_their_reason() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    let path = settings(&fixture, "[wrapper]\n\npolicy = \"require\"\n");
    for (variables, origin) in [
        (&[("ICECC_REQUIRE_REMOTE", "1")][..], "ICECC_REQUIRE_REMOTE"),
        (&[("GELATO_POLICY", "Require")][..], "GELATO_POLICY"),
        (&[][..], &format!("{path}:3")),
    ] {
        let output = with(&fixture, variables, "gcc -c good.c -o good.o");
        assert_eq!(output.status.code(), Some(120));
        assert_eq!(fixture.last(), verdict("refused", "no-daemon", "120"));
        let text = said(&output);
        for word in [
            "good.o",
            "no-daemon",
            "Start the daemon",
            "GELATO_POLICY=prefer",
            origin,
        ] {
            assert!(text.contains(word), "{word} is not in: {text}");
        }
        assert!(!fixture.path("good.o").exists());
    }
    // It stands for the compiler's own words, which a log file does not swallow either.
    let log = [("ICECC_LOGFILE", "log")];
    assert!(said(&with(&fixture, &log, "gcc -c good.c")).contains("no-daemon"));
    let output = with(&fixture, &[], "gcc -c good.c -fstack-usage -o good.o");
    let (place, reason, code) = fixture.last();
    assert_eq!((place.as_str(), code.as_str()), ("refused", "120"));
    assert!(said(&output).contains(&reason));
    for variables in [
        ("GELATO_POLICY", "prefer"),
        ("GELATO_POLICY", "auto"),
        ("GELATO_CONFIG", ""),
    ] {
        assert!(
            with(&fixture, &[variables], "gcc -c good.c")
                .status
                .success()
        );
    }
}

#[test]
fn some_things_belong_here_whatever_is_required() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    fixture.file("conftest.c", GOOD);
    fixture.file("code.s", ".globl x\nx:\n");
    fixture.file("bad.c", "#include \"nowhere.h\"\n");
    assert!(fixture.native("gcc -c good.c").status.success());
    for line in [
        "gcc good.o -o prog",
        "gcc -E good.c",
        "gcc --version",
        "gcc -c conftest.c",
        "gcc -c good.c -o /dev/null",
        "gcc -S good.c -o -",
        "gcc -x c -c - -o stdin.o",
        "gcc -c code.s",
        "gcc -c good.c -o",
        "gcc -M good.c",
        "gcc -c good.c -MM",
        "gcc -fsyntax-only good.c",
        "true",
        "gcc",
    ] {
        let native = fixture.native(line);
        let ours = with(&fixture, &[("GELATO_POLICY", "require")], line);
        assert_eq!(ours.status, native.status, "{line}: {}", said(&ours));
        assert_eq!(ours.stderr, native.stderr, "{line}");
    }
    for wish in ["no", "disable"] {
        let variables = [("GELATO_POLICY", "require"), ("ICECC", wish)];
        assert!(with(&fixture, &variables, "gcc -c good.c").status.success());
    }
    // What the compiler has to say it says itself.
    let _cluster = Cluster::with(&fixture, Behaviour::Honest);
    let native = fixture.native("gcc -c bad.c");
    let ours = with(&fixture, &[("GELATO_POLICY", "require")], "gcc -c bad.c");
    assert_eq!(ours.status, native.status);
    assert!(said(&ours).contains("nowhere.h: No such file"));
}

#[test]
fn a_scheduler_that_chooses_this_machine_is_asked_again_unless_that_is_fine() {
    for (policy, requests, place, reason, code) in [
        ("auto", 1, "local", "assigned-here", "0"),
        ("prefer", 4, "local", "assigned-here", "0"),
        ("require", 4, "refused", "assigned-here", "120"),
    ] {
        let fixture = Fixture::new();
        fixture.file("good.c", GOOD);
        let cluster = Cluster::start(&fixture, vec![Assign::Here]);
        with(&fixture, &[("GELATO_POLICY", policy)], "gcc -c good.c");
        assert_eq!(cluster.events.count("GET_CS"), requests, "{policy}");
        assert_eq!(fixture.last(), verdict(place, reason, code));
    }
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    let events = Events::default();
    let worker = Cluster::worker(&events, Behaviour::Honest);
    let answers = vec![Assign::Here, Assign::Here, Assign::Worker(worker, true)];
    let _cluster = Cluster::start(&fixture, answers);
    with(&fixture, &[("GELATO_POLICY", "require")], "gcc -c good.c");
    assert_eq!(fixture.last(), verdict("remote", "-", "0"));
}

#[test]
fn more_workers_are_tried_before_a_job_is_refused() {
    for (policy, tried, place, code) in [
        ("auto", 2, "failed-over", "0"),
        ("prefer", 4, "failed-over", "0"),
        ("require", 4, "refused", "120"),
    ] {
        let fixture = Fixture::new();
        fixture.file("good.c", GOOD);
        let events = Events::default();
        let workers = (0..5)
            .map(|_| Assign::Worker(Cluster::worker(&events, Behaviour::Refuses), true))
            .collect();
        let _cluster = Cluster::start(&fixture, workers);
        let output = with(&fixture, &[("GELATO_POLICY", policy)], "gcc -c good.c");
        assert_eq!(events.count("worker"), tried, "{policy}");
        assert_eq!(fixture.last(), verdict(place, "worker-refused", code));
        assert_eq!(
            fixture.path("good.o").exists(),
            code == "0",
            "{}",
            said(&output)
        );
    }
}

#[test]
fn a_broken_file_is_told_once_and_breaks_nothing() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    fixture.file("conftest.c", GOOD);
    let path = settings(&fixture, "[wrapper]\npolcy = \"require\"\n");
    // Whoever looks at the compiler's messages sees nothing else.
    for quiet in ["gcc -c conftest.c", "gcc --version", "gcc good.o -o prog"] {
        assert!(!said(&with(&fixture, &[], quiet)).contains("polcy"));
    }
    let first = with(&fixture, &[], "gcc -c good.c");
    assert!(first.status.success());
    assert!(
        said(&first).contains(&format!(
            "{path}:2:1: there is no setting wrapper.polcy; did you mean policy?"
        )),
        "{}",
        said(&first)
    );
    let second = with(&fixture, &[], "gcc -c good.c");
    assert!(second.status.success() && said(&second).is_empty());
}

#[test]
fn notices_come_if_asked_for_and_not_too_often() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    let notices = [("GELATO_NOTICES", "1")];
    assert!(said(&with(&fixture, &[], "gcc -c good.c")).is_empty());
    assert!(said(&with(&fixture, &notices, "gcc good.c -o prog")).is_empty());
    let first = said(&with(&fixture, &notices, "gcc -c good.c"));
    assert!(
        first.contains("no-daemon") && first.lines().count() == 1,
        "{first}"
    );
    assert!(said(&with(&fixture, &notices, "gcc -c good.c")).is_empty());
}

#[test]
fn t26_levels_of_messages_and_their_place() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    let log = fixture.path("log");
    for (level, lines) in [
        (Some("error"), 0),
        (Some("warnings"), 1),
        (Some("info"), 2),
        (Some("nonsense"), 3),
        (None, 0),
    ] {
        let _ = fs::remove_file(&log);
        // Relative paths are those of the working directory.
        let mut variables = vec![("ICECC_LOGFILE", "log")];
        variables.extend(level.map(|level| ("ICECC_DEBUG", level)));
        let output = with(&fixture, &variables, "gcc -c good.c");
        assert!(output.stderr.is_empty());
        let text = fs::read_to_string(&log).expect("the log");
        assert!(
            text.lines().count() >= lines && text.is_empty() == (lines == 0),
            "{level:?}: {text}"
        );
        assert_eq!(text.contains("<building_local>"), lines >= 2);
        assert_eq!(text.contains("invoked as"), lines >= 3);
        assert!(text.lines().all(|line| line.starts_with("ICECC[")));
    }
}

#[test]
fn messages_go_where_ccache_wants_them() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    let mut shell: Command = fixture.command("/bin/sh");
    let script = "exec 7>ccache; exec \"$0\" gcc -c good.c";
    let output = shell
        .args(["-c", script, ICECC])
        .env("UNCACHED_ERR_FD", "7")
        .env("ICECC_DEBUG", "info")
        .output()
        .expect("runs");
    assert!(output.status.success() && output.stderr.is_empty());
    let text = fs::read_to_string(fixture.path("ccache")).expect("messages");
    assert!(text.contains("<building_local>"));
    // What ccache leaves behind for commands it hands over: nothing to say unless asked.
    let closed = ("UNCACHED_ERR_FD", "99");
    let output = with(&fixture, &[closed], "gcc -c good.c");
    assert!(output.status.success() && output.stderr.is_empty());
    let output = with(
        &fixture,
        &[closed, ("ICECC_DEBUG", "warnings")],
        "gcc -c good.c",
    );
    assert!(said(&output).contains("UNCACHED_ERR_FD provides an invalid file descriptor"));
}

/// What a command prints on a terminal.
fn on_terminal(fixture: &Fixture, variables: &[(&str, &str)], line: &str) -> String {
    let output = fixture
        .command("script")
        .args(["-qec", &format!("stty cols 60; {line}"), "/dev/null"])
        .env("TERM", "xterm-256color")
        .env("ICECC_TEST_REMOTEBUILD", "1")
        .envs(variables.iter().copied())
        .output()
        .expect("script runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn t16_a_terminal_gets_the_compilers_own_colours() {
    let fixture = Fixture::new();
    let long = "a_name_that_is_long_enough_to_reach_the_end_of_a_narrow_terminal";
    fixture.file(
        "warn.c",
        &format!(
            "int f(int x) {{ int {long}; return x; }}\nchar *g(void) {{ return f(\"{long}\"); }}\n"
        ),
    );
    let _cluster = Cluster::with(&fixture, Behaviour::Honest);
    for compiler in ["gcc", "clang"] {
        for variables in [
            &[][..],
            &[("GCC_COLORS", "")],
            &[("TERM", "dumb")],
            &[("ICECC_CARET_WORKAROUND", "1")],
        ] {
            let line = format!("{compiler} -Wall -c warn.c -o warn.o");
            let native = on_terminal(&fixture, variables, &line);
            let ours = on_terminal(&fixture, variables, &format!("{ICECC} {line}"));
            assert_eq!(
                ours,
                native,
                "{compiler} {variables:?} {:?}",
                fixture.last()
            );
            assert_eq!(
                native.contains("\u{1b}["),
                !variables.contains(&("TERM", "dumb"))
                    && (compiler == "clang" || !variables.contains(&("GCC_COLORS", ""))),
                "{native}"
            );
        }
    }
    // Who wants GCC's words from elsewhere gets them in colours, unless these are not wanted either.
    for (wanted, value) in [(true, "1"), (false, "0")] {
        let variables = [
            ("ICECC_CARET_WORKAROUND", "0"),
            ("ICECC_COLOR_DIAGNOSTICS", value),
        ];
        let text = on_terminal(
            &fixture,
            &variables,
            &format!("{ICECC} gcc -Wall -c warn.c -o warn.o"),
        );
        assert_eq!(fixture.last(), verdict("remote", "-", "0"));
        assert!(
            text.contains("unused variable") && text.contains("\u{1b}[") == wanted,
            "{text}"
        );
    }
}
