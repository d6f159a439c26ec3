//! With a daemon and workers: results are the same as without, whatever the workers do.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Fixture, ICECC, assert_same, verdict};
use crate::peers::{Assign, Behaviour, Cluster, Events};

const HELLO: &str =
    "#include <stdio.h>\nint main(void) { return printf(\"%s %d\\n\", __FILE__, __LINE__); }\n";
const STREAMS: &str = "#include <iostream>\n#include <map>\nstatic std::map<int, int> m;\nstatic int q = (std::cout << 1, 3);\nint f() { return m[3] + q; }\n";

/// The loopback address is a keyword for "compile here" unless this says otherwise.
pub(crate) fn run(fixture: &Fixture, line: &str) -> Output {
    fixture
        .command(ICECC)
        .args(line.split_whitespace())
        .env("ICECC_TEST_REMOTEBUILD", "1")
        .output()
        .expect("the wrapper runs")
}

/// Runs `line` natively and through the cluster, the output replaced by `OUT`, and compares all that can be seen.
pub(crate) fn compare(fixture: &Fixture, line: &str) {
    // A failing compiler may leave or remove what was there.
    let stale = || fs::write(fixture.path("out.o"), "stale").expect("a file");
    stale();
    let native = fixture.native(&line.replace("OUT", "out.o"));
    let expected = fs::read(fixture.path("out.o")).ok();
    stale();
    let ours = run(fixture, &line.replace("OUT", "out.o"));
    let told = fixture.last().1 == "worker-too-old";
    if !told {
        assert_same(&ours, &native);
    }
    assert!(
        fs::read(fixture.path("out.o")).ok() == expected,
        "{line}: the outputs differ"
    );
    let _ = fs::remove_file(fixture.path("out.o"));
}

#[test]
fn objects_are_identical_for_all_four_drivers() {
    let fixture = Fixture::new();
    fixture.file("src/x.c", HELLO);
    fixture.file("src/y.cc", STREAMS);
    let cluster = Cluster::with(&fixture, Behaviour::Honest);
    for compiler in ["gcc", "clang", "cc"] {
        for options in ["-O2", "-O0 -fPIC", "-S", "-O2 -DA=1 -D_FORTIFY_SOURCE=2"] {
            let mode = if options == "-S" { "" } else { "-c" };
            compare(
                &fixture,
                &format!("{compiler} {options} {mode} src/x.c -o OUT"),
            );
            assert_eq!(
                fixture.last(),
                verdict("remote", "-", "0"),
                "{compiler} {options}"
            );
        }
    }
    for compiler in ["g++", "clang++", "c++"] {
        for options in ["-O2", "-std=c++17 -Wall"] {
            compare(
                &fixture,
                &format!("{compiler} {options} -c src/y.cc -o OUT"),
            );
            assert_eq!(
                fixture.last(),
                verdict("remote", "-", "0"),
                "{compiler} {options}"
            );
        }
    }
    assert_eq!(cluster.events.count("JOB_LOCAL_BEGIN"), 0);
    cluster.events.wait_for("END");
}

#[test]
fn dependency_files_are_identical() {
    let fixture = Fixture::new();
    fixture.file("src/x.c", HELLO);
    fs::create_dir(fixture.path("build")).expect("a folder");
    fs::create_dir(fixture.path("dir.d")).expect("a folder");
    let _cluster = Cluster::with(&fixture, Behaviour::Honest);
    for compiler in ["gcc", "clang"] {
        for line in [
            "-MD -c src/x.c -o build/x.o",
            "-MMD -MP -c src/x.c -o build/x.o",
            "-MD -c src/x.c -o dir.d/foo",
            "-MD -c src/x.c -o build/a.b.o",
            "-MD -MT target -c src/x.c -o build/x.o",
            "-MD -MQ a$b -c src/x.c -o build/x.o",
            "-MD -MF build/deps -c src/x.c -o build/x.o",
            "-Wp,-MMD,build/.x.d -c src/x.c -o build/x.o",
            "-MD -S src/x.c -o build/x.s",
            "-MD -c src/x.c",
        ] {
            let collect = || -> Vec<(String, Vec<u8>)> {
                let mut all = Vec::new();
                for folder in ["build", "dir.d", "."] {
                    for entry in fs::read_dir(fixture.path(folder)).expect("a folder") {
                        let path = entry.expect("an entry").path();
                        if path.is_file() {
                            all.push((
                                path.display().to_string(),
                                fs::read(&path).expect("a file"),
                            ));
                            fs::remove_file(&path).expect("removed");
                        }
                    }
                }
                all.sort();
                all
            };
            fixture.native(&format!("{compiler} {line}"));
            let native = collect();
            run(&fixture, &format!("{compiler} {line}"));
            assert_eq!(
                fixture.last(),
                verdict("remote", "-", "0"),
                "{compiler} {line}"
            );
            let ours = collect();
            let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
                files.iter().map(|(name, _)| name.clone()).collect()
            };
            assert_eq!(names(&ours), names(&native), "{compiler} {line}");
            assert!(ours == native, "{compiler} {line}");
        }
    }
}

/// Exercises what may come out differently on another machine: names, counters, levels, static constructors, source locations.
const TRICKY: &str = r#"
#include "inc/tricky.h"
#include <stddef.h>
#define STR2(x) #x
#define STR(x) STR2(x)
const char *file = __FILE__ ":" STR(__LINE__);
int counters[] = { __COUNTER__, __COUNTER__, LEVEL, __INCLUDE_LEVEL__ };
int divide(int a, int b) { return a / b; }
int at(int *p, ptrdiff_t i) { return p[i] + GIVEN; }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
static int unused(void) { return sizeof(struct deep); }
#pragma GCC diagnostic pop
#ident "identity"
#pragma weak at
#define LONG(a, \
             ...) #a #__VA_ARGS__
const char *longer = LONG(one,
    two /* comment */, "three\\n"
);
#ifdef __has_include
# if __has_include("inc/tricky.h")
int has_include = 1;
# endif
#endif
_Pragma("GCC diagnostic ignored \"-Wunused-variable\"")
static int quiet;
#ifdef __cplusplus
const char *raw = R"x(
#define NOT_A_DIRECTIVE
# 1 "no_marker.c"
)x";
#endif
#line 500 "renamed.c"
const char *renamed = __FILE__;
int line = __LINE__;
"#;

#[test]
fn options_that_touch_names_or_code_give_identical_objects() {
    let fixture = Fixture::new();
    fixture.file("src/tricky.c", TRICKY);
    fixture.file(
        "src/tricky.cc",
        &format!("{TRICKY}\nstruct S {{ S(); }};\nnamespace {{ S s; }}\n"),
    );
    fixture.file(
        "src/inc/tricky.h",
        "#pragma once\nstruct deep { char c[__LINE__]; };\nenum { LEVEL = __INCLUDE_LEVEL__ };\n#ifndef GIVEN\n#define GIVEN __COUNTER__\n#endif\n",
    );
    fixture.file("given.h", "#define GIVEN 77\n");
    fixture.file("words.rsp", "-O2 '-DGIVEN=1 + 2'\n");
    fixture.file("ignore.txt", "fun:divide\n");
    let _cluster = Cluster::with(&fixture, Behaviour::Honest);
    let mut differences = Vec::new();
    for compiler in ["gcc", "g++", "clang", "clang++"] {
        let source = if compiler.ends_with("++") {
            "src/tricky.cc"
        } else {
            "src/tricky.c"
        };
        for options in [
            "-O2 -Wall -Wextra",
            "-O3 -march=x86-64-v2",
            "-fsanitize=address",
            "-fsanitize=undefined",
            "-ffile-prefix-map=src=elsewhere",
            "-fmacro-prefix-map=src=elsewhere",
            "-fPIC -fvisibility=hidden -ffunction-sections -fdata-sections",
            "-fstack-protector-strong -pthread -fopenmp",
            "-include given.h",
            "-imacros given.h",
            "-D GIVEN=3 -UNDEBUG",
            "@words.rsp",
            "-Wa,--noexecstack -Os",
            "-frandom-seed=x -fno-common",
            "-ftrapv -fwrapv -fno-strict-aliasing",
        ] {
            let line = format!("{compiler} {options} -c {source}");
            let native = fixture.native(&format!("{line} -o out.o"));
            assert!(native.status.success(), "{line}: {native:?}");
            let expected = fs::read(fixture.path("out.o")).ok();
            fs::remove_file(fixture.path("out.o")).expect("removed");
            let ours = run(&fixture, &format!("{line} -o out.o"));
            assert_same(&ours, &native);
            let (place, reason, _) = fixture.last();
            let same = fs::read(fixture.path("out.o")).ok() == expected;
            let stays = options.contains("imacros") && compiler.starts_with("clang");
            if !same || (place != "remote") != stays {
                differences.push(format!("{line}: {place} {reason}, same object: {same}"));
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn saved_macros_come_back() {
    let fixture = Fixture::new();
    fixture.file(
        "x.c",
        "#define SAVED 1\n#pragma push_macro(\"SAVED\")\n#undef SAVED\n#define SAVED 2\nint inner = SAVED;\n#pragma pop_macro(\"SAVED\")\nint outer = SAVED;\n",
    );
    let _cluster = Cluster::with(&fixture, Behaviour::Honest);
    for compiler in ["gcc", "clang"] {
        compare(&fixture, &format!("{compiler} -c x.c -o OUT"));
        assert_eq!(fixture.last(), verdict("remote", "-", "0"));
    }
}

#[test]
fn date_time_and_names_are_those_of_the_local_compiler() {
    let fixture = Fixture::new();
    fixture.file(
        "direct.c",
        "const char *a = __DATE__, *b = __BASE_FILE__;\n",
    );
    fixture.file(
        "when.h",
        "static const char *when = __DATE__ \" \" __TIMESTAMP__;\n",
    );
    fixture.file(
        "header.c",
        "#include \"when.h\"\nconst char *f(void) { return when; }\n",
    );
    let cluster = Cluster::with(&fixture, Behaviour::Honest);
    for compiler in ["gcc", "clang"] {
        for source in ["direct.c", "header.c"] {
            let line = format!("{compiler} -O1 -c {source} -o OUT");
            // The date may change between the two runs, once.
            compare(&fixture, &line);
            assert_eq!(fixture.last(), verdict("remote", "-", "0"), "{line}");
        }
    }
    // The header is found only while the first source streams.
    assert_eq!(cluster.events.count("GET_CS"), 6);
}

#[test]
fn source_date_epoch_is_honoured() {
    let fixture = Fixture::new();
    fixture.file("x.c", "const char *a = __DATE__ __TIME__;\n");
    let _cluster = Cluster::with(&fixture, Behaviour::Honest);
    for (program, output) in [(ICECC, "a.o"), ("gcc", "b.o")] {
        let mut command = fixture.command(program);
        if program == ICECC {
            command.arg("gcc");
        }
        let status = command
            .args(["-c", "x.c", "-o", output])
            .env("ICECC_TEST_REMOTEBUILD", "1")
            .env("SOURCE_DATE_EPOCH", "1000000000")
            .status()
            .expect("runs");
        assert!(status.success());
    }
    assert_eq!(fixture.last(), verdict("remote", "-", "0"));
    assert_eq!(
        fs::read(fixture.path("a.o")).ok(),
        fs::read(fixture.path("b.o")).ok()
    );
}

#[test]
fn incbin_is_assembled_here() {
    let fixture = Fixture::new();
    fixture.file("data.bin", "some data");
    fixture.file("x.c", "__asm__(\".incbin \\\"data.bin\\\"\");\nint a;\n");
    let _cluster = Cluster::with(&fixture, Behaviour::Honest);
    compare(&fixture, "gcc -c x.c -o OUT");
    assert_eq!(fixture.last(), verdict("local", "assembled-file", "0"));
}

#[test]
fn warnings_and_errors_are_the_compilers_own_and_come_once() {
    let fixture = Fixture::new();
    fixture.file("warning.c", "int f(int x) { int unused; return x; }\n");
    fixture.file("error.c", "int f(int x) { return y; }\n");
    fixture.file(
        "cpp.c",
        "#include \"missing.h\"\nint f(int x) { return y; }\n",
    );
    fixture.file("user.c", "#warning take care\nint a;\n");
    fixture.file("good.c", "int a;\n");
    let _cluster = Cluster::with(&fixture, Behaviour::Honest);
    for (line, expected) in [
        (
            "gcc -Wall -c warning.c -o OUT",
            verdict("failed-over", "remote-output", "0"),
        ),
        (
            "gcc -c error.c -o OUT",
            verdict("failed-over", "remote-output", "1"),
        ),
        (
            "gcc -c cpp.c -o OUT",
            verdict("failed-over", "preprocessor-failed", "1"),
        ),
        ("gcc -c user.c -o OUT", verdict("remote", "-", "0")),
        (
            "gcc -Werror -c user.c -o OUT",
            verdict("failed-over", "preprocessor-failed", "1"),
        ),
        (
            "gcc -Wall -Wextra -c user.c -o OUT",
            verdict("remote", "-", "0"),
        ),
        (
            "gcc -c good.c -o missing/OUT",
            verdict("failed-over", "output-not-writable", "1"),
        ),
        (
            "clang -Wall -c warning.c -o OUT",
            verdict("remote", "-", "0"),
        ),
        (
            "clang -Wall -Werror -c warning.c -o OUT",
            verdict("remote", "-", "1"),
        ),
        ("clang -c error.c -o OUT", verdict("remote", "-", "1")),
        (
            "clang -c cpp.c -o OUT",
            verdict("failed-over", "preprocessor-failed", "1"),
        ),
        (
            "clang -c user.c -o OUT",
            verdict("failed-over", "preprocessor-output", "0"),
        ),
        (
            "gcc -c nothing.c -o OUT",
            verdict("failed-over", "preprocessor-failed", "1"),
        ),
        (
            "gcc -pedantic -Wall -c good.c -o OUT",
            verdict("remote", "-", "0"),
        ),
    ] {
        if line.contains("missing/") {
            let native = fixture.native(&line.replace("OUT", "out.o"));
            let ours = run(&fixture, &line.replace("OUT", "out.o"));
            assert_eq!(ours.status, native.status);
        } else {
            compare(&fixture, line);
        }
        assert_eq!(fixture.last(), expected, "{line}");
    }
}

#[test]
fn whatever_a_worker_does_the_object_is_right() {
    for (behaviour, reason) in [
        (Behaviour::DiesAtOnce, "worker-lost"),
        (Behaviour::DiesAfterSource, "worker-lost"),
        (Behaviour::DiesInObject, "worker-lost"),
        (Behaviour::Refuses, "worker-refused"),
        (Behaviour::Garbage, "worker-garbage"),
        (Behaviour::WrongMessage, "worker-garbage"),
        (Behaviour::OutOfMemory, "worker-out-of-memory"),
        (
            Behaviour::GivesBack("gelato: worker-busy: no time\n"),
            "worker-busy",
        ),
        (
            Behaviour::GivesBack("x\ngelato: worker-limit: it slept\n"),
            "worker-limit",
        ),
        (
            Behaviour::GivesBack("gelato: worker-crashed: it died\n"),
            "worker-crashed",
        ),
        (Behaviour::Fails(1), "remote-failure"),
        (Behaviour::Fails(105), "remote-failure"),
        (Behaviour::EmptyObject, "worker-garbage"),
        (Behaviour::BadChunk, "worker-garbage"),
    ] {
        let fixture = Fixture::new();
        fixture.file("x.c", HELLO);
        let cluster = Cluster::with(&fixture, behaviour);
        fixture.native("gcc -O2 -c x.c -o native.o");
        let ours = run(&fixture, "gcc -O2 -c x.c -o out.o");
        assert!(ours.status.success(), "{behaviour:?}: {ours:?}");
        assert_eq!(
            fs::read(fixture.path("out.o")).ok(),
            fs::read(fixture.path("native.o")).ok(),
            "{behaviour:?}"
        );
        assert_eq!(
            fixture.last(),
            verdict("failed-over", reason, "0"),
            "{behaviour:?}"
        );
        assert_eq!(
            fixture.names(),
            ["native.o", "out.o", "x.c"],
            "{behaviour:?}"
        );
        let text = String::from_utf8_lossy(&ours.stderr).into_owned();
        let quiet = [
            "worker-out-of-memory",
            "worker-busy",
            "worker-limit",
            "worker-crashed",
            "remote-failure",
        ];
        let quiet = quiet.contains(&reason);
        assert_eq!(
            text.lines().count(),
            usize::from(!quiet),
            "{behaviour:?}: {text}"
        );
        assert!(quiet || text.starts_with("ICECC["), "{text}");
        assert_eq!(cluster.events.count("JOB_LOCAL_BEGIN"), 1, "{behaviour:?}");
        assert_eq!(cluster.events.count("END"), 0, "{behaviour:?}");
    }
}

#[test]
fn another_worker_takes_over() {
    let fixture = Fixture::new();
    fixture.file("x.c", HELLO);
    let events = Events::default();
    let bad = Cluster::worker(&events, Behaviour::DiesAfterSource);
    let good = Cluster::worker(&events, Behaviour::Honest);
    let cluster = Cluster::start(
        &fixture,
        vec![Assign::Worker(bad, true), Assign::Worker(good, true)],
    );
    let ours = run(&fixture, "gcc -O2 -MD -c x.c -o out.o");
    assert!(ours.status.success());
    assert_eq!(fixture.last(), verdict("remote", "-", "0"));
    assert_eq!(events.count("job"), 2);
    assert_eq!(cluster.events.count("JOB_LOCAL_BEGIN"), 0);
    cluster.events.wait_for("END");
}

#[test]
fn unreachable_workers_and_silent_schedulers() {
    let fixture = Fixture::new();
    fixture.file("x.c", HELLO);
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    for (answer, place, reason) in [
        (
            Assign::Worker(closed, true),
            "failed-over",
            "worker-unreachable",
        ),
        (Assign::Nobody, "local", "scheduler-silent"),
    ] {
        let _ = fs::remove_file(fixture.root().join("socket"));
        let cluster = Cluster::start(&fixture, vec![answer]);
        let ours = run(&fixture, "gcc -c x.c -o out.o");
        assert!(ours.status.success());
        assert_eq!(fixture.last(), verdict(place, reason, "0"));
        assert_eq!(cluster.events.count("JOB_LOCAL_BEGIN"), 1);
    }
}

#[test]
fn toolchains_are_sent_and_rejections_reported() {
    for (behaviour, expected) in [
        (Behaviour::Honest, verdict("remote", "-", "0")),
        (
            Behaviour::RejectsToolchain,
            verdict("failed-over", "toolchain-rejected", "0"),
        ),
    ] {
        let fixture = Fixture::new();
        fixture.file("x.c", HELLO);
        let events = Events::default();
        let worker = Cluster::worker(&events, behaviour);
        let cluster = Cluster::start(&fixture, vec![Assign::Worker(worker, false)]);
        assert!(run(&fixture, "gcc -c x.c -o out.o").status.success());
        assert_eq!(fixture.last(), expected);
        assert!(events.count("toolchain") >= 1);
        let blacklisted = cluster.events.count("BLACKLIST_HOST_ENV") > 0;
        assert_eq!(blacklisted, behaviour == Behaviour::RejectsToolchain);
    }
}

#[test]
fn a_job_assigned_to_us_is_reported() {
    let fixture = Fixture::new();
    fixture.file("x.c", HELLO);
    let cluster = Cluster::start(&fixture, vec![Assign::Here]);
    assert!(fixture.icecc("gcc -c x.c -o out.o").status.success());
    assert_eq!(fixture.last(), verdict("local", "assigned-here", "0"));
    cluster.events.wait_for("END");
    assert_eq!(
        cluster.events.all(),
        [
            "GET_NATIVE_ENV",
            "GET_CS",
            "COMPILE_FILE",
            "JOB_DONE",
            "END"
        ]
    );
}

#[test]
fn links_and_other_commands_take_a_slot() {
    let fixture = Fixture::new();
    fixture.file("x.c", HELLO);
    let cluster = Cluster::start(&fixture, vec![Assign::Here]);
    assert!(fixture.icecc("gcc x.c -o x").status.success());
    assert_eq!(fixture.last(), verdict("local", "no-compile-step", "0"));
    assert_eq!(cluster.events.all(), ["JOB_LOCAL_BEGIN"]);
    // A slot is not needed to print a version.
    assert!(fixture.icecc("gcc --version").status.success());
    assert_eq!(cluster.events.all().len(), 1);
}

#[test]
fn a_signal_ends_the_wait_and_leaves_nothing_behind() {
    for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1)] {
        let fixture = Fixture::new();
        fixture.file("x.c", HELLO);
        let cluster = Cluster::with(&fixture, Behaviour::Silent);
        let mut child = fixture
            .command(ICECC)
            .args(["gcc", "-c", "x.c", "-o", "out.o"])
            .env("ICECC_TEST_REMOTEBUILD", "1")
            .stderr(Stdio::null())
            .spawn()
            .expect("the wrapper runs");
        cluster.events.wait_for("source");
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
        kill_process(pid, signal).expect("a signal");
        let status = child.wait().expect("an end");
        assert_eq!(status.signal(), Some(number));
        cluster.events.wait_for("client gone");
        assert_eq!(fixture.names(), ["x.c"]);
    }
}

#[test]
fn a_signal_ends_the_preprocessor() {
    let fixture = Fixture::new();
    // A compiler whose preprocessor prints something and then hangs. It is no script: those stay here.
    let fifo = fixture.path("hang.h");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("a pipe");
    fixture.file("x.c", "#include \"hang.h\"\n");
    let cluster = Cluster::with(&fixture, Behaviour::Honest);
    let mut child = fixture
        .command(ICECC)
        .args(["gcc", "-c", "x.c", "-o", "out.o"])
        .env("ICECC_TEST_REMOTEBUILD", "1")
        .spawn()
        .expect("the wrapper runs");
    cluster.events.wait_for("job");
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
    kill_process(pid, Signal::TERM).expect("a signal");
    assert_eq!(child.wait().expect("an end").signal(), Some(15));
    cluster.events.wait_for("client gone");
}

#[test]
fn peers_of_every_version() {
    for version in 21..=44 {
        let fixture = Fixture::new();
        fixture.file("x.c", HELLO);
        fixture.file("y.cc", STREAMS);
        let _cluster = Cluster::at_version(&fixture, Behaviour::Honest, version);
        compare(
            &fixture,
            "gcc -O2 -DA=1 -I. --param max-inline-insns-auto=5 -c x.c -o OUT",
        );
        assert_eq!(fixture.last(), verdict("remote", "-", "0"), "{version}");
        if [21, 29, 30, 40, 41].contains(&version) {
            compare(&fixture, "g++ -O1 -c y.cc -o OUT");
            assert_eq!(fixture.last(), verdict("remote", "-", "0"), "{version}");
        }
        if [29, 33, 34, 43].contains(&version) {
            // Before 34 a worker cannot be told the source's name, which ends up in Clang's objects.
            compare(&fixture, "clang++ -O1 -c y.cc -o OUT");
            let expected = if version < 34 {
                verdict("failed-over", "worker-too-old", "0")
            } else {
                verdict("remote", "-", "0")
            };
            assert_eq!(fixture.last(), expected, "{version}");
        }
    }
}

#[test]
fn icecc_no_stays_here_under_a_slot() {
    let fixture = Fixture::new();
    fixture.file("x.c", HELLO);
    let cluster = Cluster::with(&fixture, Behaviour::Honest);
    for (value, reason, slots) in [("no", "not-wanted", 1), ("disable", "disabled", 1)] {
        let status = fixture
            .command(ICECC)
            .args(["gcc", "-c", "x.c"])
            .env("ICECC", value)
            .status()
            .expect("the wrapper runs");
        assert!(status.success());
        assert_eq!(fixture.last(), verdict("local", reason, "0"));
        assert_eq!(cluster.events.count("JOB_LOCAL_BEGIN"), slots);
    }
    assert_eq!(cluster.events.count("GET_CS"), 0);
}
