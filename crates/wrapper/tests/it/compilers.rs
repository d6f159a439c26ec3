//! Finding the compiler behind links, caches and scripts, and circles of programs that start each other. Without a daemon: `no-daemon` is the reason of a job that
//! would have travelled.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::fixture::{Fixture, ICECC, verdict};

const GOOD: &str = "int main(void) { return 7; }\n";

fn path(folders: &[&Path]) -> String {
    let mut path = String::new();
    for folder in folders {
        path.push_str(&format!("{}:", folder.display()));
    }
    path + "/usr/bin:/bin"
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A job that worked without a word and would have travelled.
fn assert_would_travel(fixture: &Fixture, output: &Output, what: &str) {
    assert_eq!(text(output), "", "{what}");
    assert!(output.status.success(), "{what}");
    assert_eq!(fixture.last(), verdict("local", "no-daemon", "0"), "{what}");
    assert_eq!(fixture.log().len(), 1, "{what}: recorded twice");
    fs::remove_file(fixture.root().join("build.log")).expect("the log");
}

/// Fails with this status and one line, which has all these texts in it.
fn assert_sentence(output: &Output, status: i32, parts: &[&str]) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

fn masquerade(fixture: &Fixture) -> PathBuf {
    let link = fixture.masquerade("gcc");
    link.parent().expect("a folder").to_owned()
}

#[test]
fn a_cache_behind_us_may_find_us_again() {
    if !Path::new("/usr/bin/ccache").exists() {
        eprintln!("no ccache on this machine, nothing checked");
        return;
    }
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    fs::create_dir(fixture.path("cache")).expect("a folder");
    symlink("/usr/bin/ccache", fixture.path("cache/gcc")).expect("a link");
    for prefix in ["", ICECC] {
        let output = fixture
            .command("gcc")
            .args(["-c", "good.c", "-o", "out.o"])
            .env(
                "PATH",
                path(&[&masquerade(&fixture), &fixture.path("cache")]),
            )
            .env("CCACHE_DIR", fixture.root().join("ccache"))
            .env("CCACHE_RECACHE", "1")
            .env("CCACHE_PREFIX", prefix)
            .output()
            .expect("runs");
        assert_would_travel(&fixture, &output, prefix);
        assert!(fixture.path("out.o").exists());
    }
    // Its own setting may choose another compiler: nothing is known then.
    let output = fixture
        .command("gcc")
        .args(["-c", "good.c", "-o", "out.o"])
        .env(
            "PATH",
            path(&[&masquerade(&fixture), &fixture.path("cache")]),
        )
        .env("CCACHE_DIR", fixture.root().join("ccache"))
        .env("CCACHE_COMPILER", "/usr/bin/gcc")
        .output()
        .expect("runs");
    assert!(output.status.success());
    assert_eq!(
        fixture.last(),
        verdict("local", "compiler-configuration", "0")
    );
}

#[test]
fn scripts_that_can_be_understood_travel() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    let masquerade = masquerade(&fixture);
    for (name, script) in [
        ("by path", "#!/bin/sh\nexec /usr/bin/gcc -DX \"$@\"\n"),
        // Finds us first, and we stand aside.
        ("by name", "#!/bin/sh\nexec gcc -DX \"$@\"\n"),
        ("through cc", "#!/bin/sh\nset -e\ncc \"$@\" -fno-inline\n"),
        (
            "asked",
            "#!/bin/sh\nX=-DX\nexec gcc $X \"$@\" -DY='\"a b\"'\n",
        ),
        ("changes nothing", "#!/bin/sh\ntrue\nexec gcc \"$@\"\n"),
        (
            "other language",
            "#!/usr/bin/perl\nexec('/usr/bin/gcc', '-DX', @ARGV);\n",
        ),
    ] {
        let script = fixture.script("bin/my-gcc", script);
        let output = fixture
            .command(ICECC)
            .arg(&script)
            .args(["-DZ='\"c d\"'", "-c", "good.c", "-o", "out.o"])
            .env("PATH", path(&[&masquerade]))
            .output()
            .expect("runs");
        assert_would_travel(&fixture, &output, name);
    }
}

#[test]
fn scripts_that_cannot_be_understood_stay() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    for (reason, script) in [
        // Different words for the preprocessor.
        (
            "compiler-script",
            "#!/bin/sh\ncase \" $* \" in *\" -E \"*) set -- -DX \"$@\";; esac\nexec gcc \"$@\"\n",
        ),
        // Drops words.
        ("compiler-script", "#!/bin/sh\nshift\nexec gcc \"$@\"\n"),
        // Says something of its own.
        (
            "compiler-script",
            "#!/bin/sh\necho \"$@\"\nexec gcc \"$@\"\n",
        ),
        (
            "driver-option",
            "#!/bin/sh\nexec gcc \"$@\" -specs=x.specs\n",
        ),
    ] {
        let script = fixture.script("bin/my-gcc", script);
        fixture.file("x.specs", "");
        let output = fixture
            .command(ICECC)
            .arg(&script)
            .args(["-O2", "-c", "good.c", "-o", "out.o"])
            .output()
            .expect("runs");
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(fixture.last(), verdict("local", reason, "0"), "{script:?}");
    }
}

#[test]
fn programs_in_front_of_compilers_are_looked_through() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    fixture.file(
        "front.c",
        "#include <unistd.h>\nint main(int n, char **w) { char *all[n + 2]; all[0] = \"/usr/bin/gcc\"; all[1] = \"-m32\";\n\
         for (int i = 1; i <= n; i++) all[i + 1] = w[i]; execv(all[0], all); return 1; }\n",
    );
    let built = Command::new("/usr/bin/gcc")
        .arg(fixture.path("front.c"))
        .arg("-o")
        .arg(fixture.path("gcc"))
        .status()
        .expect("gcc runs");
    assert!(built.success());
    let line = "./gcc -ffreestanding -c good.c -o out.o";
    let output = fixture.icecc(line);
    assert_would_travel(&fixture, &output, line);
    // It is asked each time: the answer that is kept says only that it is not the compiler itself.
    let output = fixture.icecc(line);
    assert_would_travel(&fixture, &output, line);
}

#[test]
fn a_cc_that_is_clang_is_driven_as_clang() {
    if !Path::new("/usr/bin/clang").exists() {
        eprintln!("no clang on this machine, nothing checked");
        return;
    }
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    for (name, clang) in [("cc", "clang"), ("gcc", "clang"), ("c++", "clang++")] {
        fs::create_dir_all(fixture.path(name)).expect("a folder");
        // A script in place of the copy that a system compiler is: the name says nothing.
        fixture.script(
            &format!("{name}/{name}"),
            &format!("#!/bin/sh\nexec /usr/bin/{clang} \"$@\"\n"),
        );
        // An option that only Clang has tells nothing where the name does.
        let option = if name == "gcc" {
            "-Wall"
        } else {
            "-fcolor-diagnostics"
        };
        fs::copy(fixture.path("good.c"), fixture.path("good.cc")).expect("a copy");
        let source = if clang == "clang" {
            "good.c"
        } else {
            "good.cc"
        };
        let output = fixture
            .command(ICECC)
            .args([name, option, "-c", source])
            .env("PATH", path(&[&fixture.path(name)]))
            .output()
            .expect("runs");
        assert_would_travel(&fixture, &output, name);
    }
}

#[test]
fn circles_end_in_one_sentence() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    let run = |program: &str, first: &[&str], folders: &[&Path]| {
        fixture
            .command(program)
            .args(first)
            .args(["-c", "good.c"])
            .env("PATH", path(folders))
            .output()
            .expect("runs")
    };
    // A script that calls icecc, by whatever name it goes.
    for name in ["my-gcc", "recursive_g++"] {
        let calls = format!("#!/bin/sh\nexec {ICECC} gcc \"$@\"\n");
        let script = fixture.script(&format!("bin/{name}"), &calls);
        let script = script.to_str().expect("a name");
        assert_sentence(
            &run(ICECC, &[script], &[]),
            111,
            &["recursively", script, "/usr/bin/gcc"],
        );
    }
    // A script that is found again and again behind us.
    let script = fixture.script("scripts/gcc", "#!/bin/sh\nexec gcc \"$@\"\n");
    let folder = script.parent().expect("a folder");
    assert_sentence(
        &run("gcc", &[], &[&masquerade(&fixture), folder]),
        111,
        &["recursively", script.to_str().expect("a name")],
    );
    fs::remove_file(fixture.root().join("build.log")).expect("the log");
    // Two installations that know nothing of each other are no circle.
    let copy = fixture.path("copy");
    fs::create_dir(&copy).expect("a folder");
    fs::copy(ICECC, copy.join("icecc")).expect("a copy");
    symlink("icecc", copy.join("gcc")).expect("a link");
    let output = run("gcc", &[], &[&masquerade(&fixture), &copy]);
    assert_would_travel(&fixture, &output, "two installations");
}

#[test]
fn what_is_no_program_is_named() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.path("a/gcc")).expect("a folder");
    fixture.file("b/gcc", "no program");
    fs::create_dir(fixture.path("c")).expect("a folder");
    symlink("nowhere", fixture.path("c/gcc")).expect("a link");
    let masquerade = masquerade(&fixture);
    let all = ["a", "b", "c"].map(|name| fixture.path(name));
    let list = std::env::join_paths(all.iter().chain([&masquerade])).expect("PATH");
    let output = fixture
        .command(ICECC)
        .args(["gcc", "-c", "x.c"])
        .env("PATH", list)
        .output()
        .expect("runs");
    assert_sentence(
        &output,
        115,
        &[
            "couldn't find any gcc",
            "could not find gcc in PATH.",
            "a/gcc is a folder",
            "b/gcc is not executable",
            "c/gcc leads nowhere",
            "masquerade/gcc is this wrapper",
        ],
    );
    let output = fixture
        .command(ICECC)
        .args(["no-such-gcc", "-c", "x.c"])
        .env_remove("PATH")
        .output()
        .expect("runs");
    assert_sentence(&output, 115, &["PATH is not set"]);
    for (program, status) in [("b/gcc", 126), ("a/gcc", 126), ("c/gcc", 127)] {
        assert_sentence(
            &fixture.icecc(&format!("{program} -c x.c")),
            status,
            &[program],
        );
    }
}

#[test]
fn links_named_icerun_are_followed_from_path() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    fs::create_dir(fixture.path("links")).expect("a folder");
    symlink(ICECC, fixture.path("links/icerun")).expect("a link");
    symlink("icerun", fixture.path("links/gcc")).expect("a link");
    let status = fixture
        .command("gcc")
        .args(["-c", "good.c"])
        .env("PATH", path(&[&fixture.path("links")]))
        .status()
        .expect("runs");
    assert!(status.success());
    assert_eq!(fixture.last(), verdict("local", "icerun", "0"));
}

#[test]
fn one_question_is_enough() {
    let fixture = Fixture::new();
    fixture.file("good.c", GOOD);
    let cache = fixture.root().join("home/.cache/gelato/compilers");
    assert!(fixture.icecc("gcc -c good.c").status.success());
    let answers = || fs::read_dir(&cache).map_or(0, Iterator::count);
    assert_eq!(answers(), 1);
    assert!(fixture.icecc("gcc -O2 -c good.c").status.success());
    assert_eq!(answers(), 1);
    // Package builders have no home.
    let status = fixture
        .command(ICECC)
        .args(["gcc", "-c", "good.c"])
        .env("HOME", "/nonexistent")
        .status()
        .expect("runs");
    assert!(status.success());
    assert!(fixture.root().join("run/gelato/gelato/compilers").is_dir());
    // What needs no answer asks no question.
    assert!(fixture.icecc("clang --version").status.success());
    assert_eq!(answers(), 1);
}
