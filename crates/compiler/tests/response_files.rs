//! Response files against the real compilers: what we write they read as the same words, and what they read in odd files we read, too.
//!
//! Words travel as values of `-D`; the compilers show with `-###` what reached their inner program. A compiler that is not installed is skipped with a
//! message (`GELATO_LAB_REQUIRE=1` makes that a failure).

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Stdio};

use gelato_compiler::respfile;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const MARK: &[u8] = b"Q=";

/// How often each compiler is asked.
const CASES: u32 = 24;

/// What was defined, according to the compiler's report of its inner command. Bytes are compared after the compiler's own quoting is taken away, which
/// is why backslashes and quotes are left out of what both must show alike.
fn defined(compiler: &str, file: &Path) -> Option<Vec<u8>> {
    let mut response = OsString::from("@");
    response.push(file);
    let output = Command::new(compiler)
        .args(["-###", "-E", "-x", "c", "-"])
        .arg(response)
        .stdin(Stdio::null())
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    Some(output.stderr)
}

/// The same words on the command line itself.
fn direct(compiler: &str, words: &[OsString]) -> Option<Vec<u8>> {
    let output = Command::new(compiler)
        .args(["-###", "-E", "-x", "c", "-"])
        .args(words)
        .stdin(Stdio::null())
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    Some(output.stderr)
}

fn available(compiler: &str) -> bool {
    let there = Command::new(compiler).arg("--version").output().is_ok();
    if !there {
        assert_ne!(
            env::var("GELATO_LAB_REQUIRE").as_deref(),
            Ok("1"),
            "no {compiler}"
        );
        eprintln!("skipped: no {compiler}");
    }
    there
}

fn word() -> impl Strategy<Value = OsString> {
    let byte = prop_oneof![
        4 => prop::sample::select(b"ab =,@#$%'\"\\\t".to_vec()),
        1 => 0x20..0x7fu8,
        1 => prop::sample::select(b"\n\r\x0b\x0c\x80\xff".to_vec()),
    ];
    prop::collection::vec(byte, 0..10)
        .prop_map(|bytes| OsString::from_vec([b"-D".as_slice(), MARK, &bytes].concat()))
}

fn check(compiler: &str) {
    if !available(compiler) {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("words");
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let words = prop::collection::vec(word(), 1..8);
    runner
        .run(&words, |words| {
            let text = respfile::write(&words).expect("text");
            fs::write(&file, text).expect("file");
            prop_assert_eq!(defined(compiler, &file), direct(compiler, &words));
            Ok(())
        })
        .expect("the same words");
    // The other way: text nobody quoted for us.
    let text = prop::collection::vec(prop::sample::select(b"ab '\"\\\n\t-D".to_vec()), 0..20);
    runner
        .run(&text, |text| {
            let text = [b"-DQ=".as_slice(), &text].concat();
            let words = respfile::split(&text);
            let comparable = words
                .iter()
                .all(|word| word.as_bytes().starts_with(b"-D") && word.len() > 2);
            if comparable {
                fs::write(&file, &text).expect("file");
                prop_assert_eq!(defined(compiler, &file), direct(compiler, &words));
            }
            Ok(())
        })
        .expect("the same words");
}

#[test]
fn gcc_reads_the_same_words() {
    check("gcc");
}

#[test]
fn clang_reads_the_same_words() {
    check("clang");
}
