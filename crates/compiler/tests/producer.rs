//! Debug information of GCC, restored: what it makes of merged source against what it makes of the source itself, with the real compiler.
//!
//! Without gcc for x86-64 the tests are skipped with a message (`GELATO_LAB_REQUIRE=1` makes that a failure).

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use gelato_compiler::Producer;

const C: &str = "#include <stdio.h>\n#include <string.h>\nstruct list { int a; struct list *next; };\n#define TWICE(x) ((x) * 2)\n\
    int f(struct list *s, const char *t) { printf(\"%d\", TWICE(s->a)); return (int)strlen(t); }\n";
const CXX: &str = "#include <map>\n#include <string>\n#include <vector>\nstd::map<std::string, std::vector<int>> m;\n\
    int f(int x) { m[\"a\"].push_back(x); return int(m.size()); }\n\
    namespace { struct local { int z; }; }\nint g() { local l{3}; return l.z; }\n";

/// What the local compiler and a worker's made of one source.
struct Results {
    local: Vec<u8>,
    remote: Vec<u8>,
    producer: Producer,
}

fn have_gcc() -> bool {
    let answer = Command::new("gcc").arg("-dumpmachine").output();
    let found = answer.is_ok_and(|output| output.stdout.starts_with(b"x86_64-linux"));
    assert!(
        found || env::var_os("GELATO_LAB_REQUIRE").is_none(),
        "gcc for x86-64 Linux is needed here"
    );
    if !found {
        eprintln!("skipped: no gcc for x86-64 Linux");
    }
    found
}

fn compile(folder: &Path, compiler: &str, words: &[&str], stdin: Stdio) -> Vec<u8> {
    let output = Command::new(compiler)
        .args(words)
        .current_dir(folder)
        .stdin(stdin)
        .output()
        .expect("the compiler");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler} {words:?}: {said}");
    output.stdout
}

fn results(source: &str, words: &[&str], mode: &str) -> Results {
    let (compiler, language, name) = match source == C {
        true => ("gcc", "c", "x.c"),
        false => ("g++", "c++", "x.cc"),
    };
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    fs::write(folder.join(name), source).expect("source");
    let run = |more: &[&str], stdin| compile(folder, compiler, &[words, more].concat(), stdin);
    run(&[mode, name, "-o", "local"], Stdio::null());
    let question = Producer::question().map(|word| word.into_string().expect("plain"));
    let question: Vec<&str> = question.iter().map(String::as_str).collect();
    let empty = ["-S", "-o", "-", "-x", language, "/dev/null"];
    let answer = run(&[&question[..], &empty].concat(), Stdio::null());
    let producer = Producer::from_answer(&answer).expect("a seed");
    let merged = run(&["-E", "-fdirectives-only", name], Stdio::null());
    fs::write(folder.join("merged"), merged).expect("merged source");
    let merged = File::open(folder.join("merged")).expect("merged source");
    let sent = ["-fdirectives-only", producer.word(), mode, "-x", language];
    run(
        &[&sent[..], &["-fpreprocessed", "-", "-o", "remote"]].concat(),
        merged.into(),
    );
    let read = |name| fs::read(folder.join(name)).expect("result");
    Results {
        local: read("local"),
        remote: read("remote"),
        producer,
    }
}

#[test]
fn results_are_restored_to_the_byte() {
    if !have_gcc() {
        return;
    }
    for source in [C, CXX] {
        for words in [
            &["-g"][..],
            &["-g", "-O2"],
            &["-ggdb", "-O1", "-fPIC", "-fno-exceptions"],
            &[
                "-gdwarf-4",
                "-Og",
                "-ffunction-sections",
                "-fdebug-types-section",
            ],
            &["-g1", "-Wall"],
        ] {
            for mode in ["-c", "-S"] {
                let Results {
                    local,
                    remote,
                    producer,
                } = results(source, words, mode);
                assert_ne!(local, remote, "{words:?}");
                let restored = producer.restore(remote, mode == "-S");
                assert!(
                    restored == Some(local),
                    "{words:?} {mode} {:?}",
                    &source[..16]
                );
            }
        }
    }
}

/// A hostile object ends in a refusal or in some object, never in a panic or in more memory than a few of its size.
#[test]
fn damaged_objects_harm_nobody() {
    if !have_gcc() {
        return;
    }
    let Results {
        remote, producer, ..
    } = results(C, &["-g"], "-c");
    for length in 0..remote.len() {
        let _ = producer.restore(remote[..length].to_vec(), false);
    }
    let table = remote.len() - 64 * 24;
    for at in (0..64).chain(table..remote.len()) {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = remote.clone();
            damaged[at] = value;
            if let Some(restored) = producer.restore(damaged, false) {
                assert!(restored.len() <= remote.len());
            }
        }
    }
    let mut state = 1u32;
    for _ in 0..20_000 {
        let mut damaged = remote.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (state >> 8) as usize % damaged.len();
            damaged[at] ^= (state & 0xff) as u8;
        }
        let _ = producer.restore(damaged, false);
    }
}
