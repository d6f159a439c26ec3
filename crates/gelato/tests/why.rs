//! Records of jobs from real wrappers in a real daemon, and what `gelato why` makes of them.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gelato_compiler::LocalReason;
use serde_json::Value;

const GELATO: &str = env!("CARGO_BIN_EXE_gelato");

/// Command lines of all kinds.
const CORPUS: &str = include_str!("../../compiler/tests/data/icecream.jsonl");

/// Nothing here takes this long unless it hangs.
const LONG: Duration = Duration::from_secs(60);

/// A daemon without a scheduler, and a folder to work in.
struct Machine {
    folder: tempfile::TempDir,
    daemon: Child,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        // A daemon that was started as root changes its user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::create_dir(folder.path().join("work")).unwrap();
        symlink(GELATO, folder.path().join("icecc")).unwrap();
        let base = folder.path().join("base");
        let daemon = bare(folder.path(), GELATO)
            .args(["daemon", "-N", "lonely", "-m", "2", "--no-remote"])
            .args(["-s", "127.0.0.1:1", "-n", "nobody", "-b"])
            .arg(&base)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let machine = Machine { folder, daemon };
        let socket = gelato_record::socket_beside(&machine.folder.path().join("socket"));
        let begin = Instant::now();
        while !socket.exists() || !machine.gelato(&["status"]).status.success() {
            assert!(begin.elapsed() < LONG, "no daemon");
            thread::sleep(Duration::from_millis(30));
        }
        machine
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn file(&self, name: &str, content: &str) {
        let path = self.work().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn gelato(&self, words: &[&str]) -> Output {
        bare(self.folder.path(), GELATO)
            .args(words)
            .output()
            .unwrap()
    }

    fn why(&self, words: &[&str]) -> Output {
        self.gelato(&[&["why"], words].concat())
    }

    fn why_json(&self, words: &[&str]) -> Value {
        let output = self.why(&[words, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    /// `icecc WORDS…` in the working folder.
    fn icecc(&self, words: &[&str]) -> Command {
        let mut command = bare(self.folder.path(), self.folder.path().join("icecc"));
        command.args(words).current_dir(self.work());
        command
    }
}

/// A program with nothing of the outside in its environment.
fn bare(folder: &Path, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .env("HOME", folder)
        .env("GELATO_CONFIG", "")
        .env("ICECC_TESTS", "1")
        .env("ICECC_TEST_SOCKET", folder.join("socket"))
        .stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    let words = [&output.stdout[..], &output.stderr].concat();
    let words = String::from_utf8(words).unwrap();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_line_of_the_corpus_says_why_it_stayed_here() {
    let machine = Machine::new();
    for name in ["foo", "foo.h", "list.txt", "macros.s"] {
        machine.file(name, "");
    }
    for name in [
        "foo.c",
        "foo.cc",
        "main.cpp",
        "make1.cpp",
        "pre.i",
        "sub/a.c",
    ] {
        machine.file(name, "int x;\n");
    }
    fs::create_dir(machine.work().join("dir.d")).unwrap();
    let lines: Vec<Value> = CORPUS
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Half of the processors wait for the other half otherwise.
    let next = AtomicUsize::new(0);
    let not_found = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let words: Vec<&str> = line["argv"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|word| word.as_str().unwrap())
                        .collect();
                    let own = words.first() == Some(&"icecc");
                    let mut command = machine.icecc(&words[usize::from(own)..]);
                    command.env("GELATO_BUILD_ID", line["id"].as_str().unwrap());
                    for (name, value) in line["env"].as_object().into_iter().flatten() {
                        command.env(name, value.as_str().unwrap());
                    }
                    let status = command
                        .stdout(Stdio::null())
                        .stderr(Stdio::null())
                        .status()
                        .unwrap();
                    if status.code() == Some(115) {
                        not_found.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let expected = lines.len() - not_found.into_inner();
    assert!(expected > 300, "{expected} runs");
    let begin = Instant::now();
    let records = loop {
        let answer = machine.why_json(&["--last", "5000"]);
        let records = answer["records"].as_array().unwrap().clone();
        if records.len() >= expected || begin.elapsed() > LONG {
            break records;
        }
    };
    assert_eq!(records.len(), expected, "one record a run");
    for record in &records {
        let code = record["reason"].as_str();
        let known = LocalReason::ALL.iter().any(|r| Some(r.code()) == code);
        assert!(known, "no reason: {record}");
    }
    let mut builds: Vec<&str> = records.iter().filter_map(|r| r["build"].as_str()).collect();
    builds.sort_unstable();
    builds.dedup();
    assert_eq!(builds.len(), expected, "each run has its own");
    // What could have travelled was kept here by having nowhere to go, and that is told apart.
    let own = records.iter().filter(|r| r["verdict"] == "own").count();
    assert!((100..expected).contains(&own), "{own} of {expected}");
}

#[test]
fn a_file_a_build_and_a_list_are_told_of() {
    let machine = Machine::new();
    let nothing = machine.why(&[]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(text(&nothing).contains("no job is known here since the daemon was started"));

    machine.file("src/x.c", "int x;\n");
    machine.file("bad.c", "int x = y;\n");
    for words in [
        &["gcc", "-c", "src/x.c", "-o", "x.o"][..],
        &["gcc", "-g", "-march=native", "-c", "bad.c"],
    ] {
        let _ = machine
            .icecc(words)
            .env("GELATO_BUILD_ID", "pudding-1-2")
            .stderr(Stdio::null())
            .status()
            .unwrap();
    }
    let begin = Instant::now();
    while !machine.why(&["bad.c"]).status.success() {
        assert!(begin.elapsed() < LONG, "no record");
    }
    let told = text(&machine.why(&["bad.c"]));
    for part in [
        "bad.c was done here and not offered to another machine, and failed.",
        "Why native-cpu (-march=native): Code for exactly this processor.",
        "What to do Name a processor with",
        "of the build pudding-1-2",
        "with status 1",
    ] {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
    let json = machine.why_json(&["src/x.c"]);
    assert_eq!(json["record"]["file"], "x.o");
    assert_eq!(json["reason"]["code"], "no-scheduler");
    assert!(json["reason"]["advice"].as_str().unwrap().len() > 5);
    assert_eq!(json["record"], machine.why_json(&["x.o"])["record"]);
    let number = json["record"]["job"].to_string();
    assert_eq!(machine.why_json(&[&number])["record"], json["record"]);

    let told = text(&machine.why(&["--build", "pudding-1-2"]));
    assert!(
        told.contains("2 jobs in") && told.contains("1 native-cpu (-march=native)"),
        "{told}"
    );
    let told = text(&machine.why(&[]));
    assert!(
        told.contains("Build pudding-1-2") && told.contains("bad.c was done here"),
        "{told}"
    );
    assert_eq!(
        machine.why_json(&["--last", "1"])["records"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let status = text(&machine.gelato(&["status"]));
    assert!(
        status.contains("Build pudding-1-2") && status.contains("1 native-cpu"),
        "{status}"
    );

    for (words, sentence) in [
        (&["other.c"][..], "no job for other.c is known here"),
        (&["4294967295"], "no job 4294967295 is known here"),
        (
            &["--build", "x"],
            "no build x is known here; the latest are: pudding-1-2",
        ),
    ] {
        let output = machine.why(words);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains(sentence), "{output:?}");
        assert_eq!(machine.why_json(words)["error"]["code"], "not-found");
    }
    if rustix::process::geteuid().is_root() {
        let output = bare(machine.folder.path(), GELATO)
            .args(["why", "bad.c"])
            .uid(65533)
            .gid(65533)
            .output()
            .unwrap();
        assert!(
            text(&output).contains("no job for bad.c"),
            "others see their own: {output:?}"
        );
    }
}

#[test]
fn without_a_daemon_there_is_a_sentence_and_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let output = bare(folder.path(), GELATO).args(["why", "x.c"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("Start one with: gelato daemon"),
        "{output:?}"
    );
}

#[test]
fn a_build_with_a_daemon_of_its_own_is_told_of_afterwards() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    symlink(GELATO, folder.path().join("icecc")).unwrap();
    fs::write(folder.path().join("x.c"), "int x;\n").unwrap();
    let alone = |words: &[&str]| {
        bare(folder.path(), GELATO)
            .args(words)
            .env("ICECC_TEST_SCHEDULER_PORTS", "1:1")
            .env("GELATO_SOCKET", folder.path().join("nothing"))
            .env("XDG_CACHE_HOME", folder.path().join("cache"))
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let built = alone(&["build", "--", "gcc", "-c", "x.c"]);
    assert!(built.status.success(), "{built:?}");
    assert!(text(&built).contains("1 no-cluster"), "{built:?}");
    let told = text(&alone(&["why", "x.c"]));
    assert!(told.contains("no-scheduler: The daemon"), "{told}");
    let name = folder.path().file_name().unwrap().to_str().unwrap();
    let name: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect();
    assert!(told.contains(&format!("of the build {name}-")), "{told}");
}
