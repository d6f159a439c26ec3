//! What the wrapper was called as, and so what is meant.
//!
//! `icecc COMPILER …` and `icerun COMMAND …` name the program; under any other name we stand in for the program of that name. Options of our own count only as
//! the first word after our own names.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gelato_compiler::names;

use crate::help;
use crate::search;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Help(&'static str),
    Version(&'static str),
    /// Package a toolchain; the words after the option.
    BuildNative(Vec<OsString>),
    /// Our own name and nothing else.
    Nothing(&'static str),
    Run(Run),
}

/// A program to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Which program.
    pub(crate) program: Program,
    /// Its arguments as typed.
    pub(crate) words: Vec<OsString>,
    /// Never to be read as a compilation.
    pub(crate) icerun: bool,
    /// We were called by the name of the program we stand for.
    pub(crate) masquerade: bool,
}

/// How the program was named.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// By this name or path.
    Named(OsString),
    /// Not at all (`CC=icecc`): the usual C or C++ compiler.
    Usual { cxx: bool },
}

pub(crate) fn read(argv: &[OsString]) -> Request {
    let Some((own, words)) = argv.split_first() else {
        return Request::Nothing("icecc");
    };
    match names::base_name(own) {
        b"icecc" => own_name(words, false),
        b"icerun" => own_name(words, true),
        _ => Request::Run(Run {
            program: Program::Named(own.clone()),
            words: words.to_vec(),
            icerun: search::is_link_to_icerun(own, env::var_os("PATH").as_deref()),
            masquerade: true,
        }),
    }
}

fn own_name(words: &[OsString], icerun: bool) -> Request {
    let Some((first, rest)) = words.split_first() else {
        return Request::Nothing(if icerun { "icerun" } else { "icecc" });
    };
    match (first.as_bytes(), icerun) {
        (b"--help", false) => return Request::Help(help::ICECC_HELP),
        (b"--help", true) => return Request::Help(help::ICERUN_HELP),
        (b"--version", false) => return Request::Version(help::ICECC_VERSION),
        (b"--version", true) => return Request::Version(help::ICERUN_VERSION),
        (b"--build-native", false) => return Request::BuildNative(rest.to_vec()),
        _ => {}
    }
    // A launcher before a launcher: `icecc icecc gcc`.
    match names::base_name(first) {
        b"icecc" if !rest.is_empty() => return own_name(rest, icerun),
        b"icerun" if !rest.is_empty() => return own_name(rest, true),
        _ => {}
    }
    if !icerun && is_no_program(first) {
        return Request::Run(Run {
            program: Program::Usual {
                cxx: means_cxx(words),
            },
            words: words.to_vec(),
            icerun: false,
            masquerade: false,
        });
    }
    Request::Run(Run {
        program: Program::Named(first.clone()),
        words: rest.to_vec(),
        icerun,
        masquerade: false,
    })
}

/// `CC=icecc` makes build systems call us with nothing but compiler arguments.
fn is_no_program(word: &OsStr) -> bool {
    let bytes = word.as_bytes();
    if bytes.starts_with(b"-") || bytes.starts_with(b"@") {
        return true;
    }
    let suffix = Path::new(word).extension().map(OsStr::as_bytes);
    let is_source = matches!(
        suffix,
        Some(b"c" | b"cc" | b"cpp" | b"cxx" | b"C" | b"m" | b"mm" | b"i" | b"ii")
    );
    let is_other_input = matches!(suffix, Some(b"o" | b"a" | b"s" | b"S"));
    // Some file systems have everything executable.
    (is_source && fs::metadata(word).is_ok_and(|m| m.is_file()) && !is_really_a_program(word))
        || (is_other_input
            && fs::metadata(word).is_ok_and(|m| m.is_file() && !search::is_executable(&m)))
}

fn is_really_a_program(file: &OsStr) -> bool {
    let mut start = [0; 4];
    File::open(file)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| start == *b"\x7fELF" || start.starts_with(b"#!"))
}

/// Whether the arguments are about C++, by `-x` or by the sources.
fn means_cxx(words: &[OsString]) -> bool {
    let by_option = words.iter().enumerate().any(|(index, word)| {
        let language = match word.as_bytes() {
            b"-x" | b"--language" => words.get(index + 1).map(|word| word.as_bytes()),
            other => other
                .strip_prefix(b"-x")
                .or_else(|| other.strip_prefix(b"--language=")),
        };
        language.is_some_and(|language| language.ends_with(b"c++"))
    });
    by_option || words.iter().any(|word| is_cxx_source(word))
}

fn is_cxx_source(word: &OsStr) -> bool {
    let suffix = Path::new(word).extension().map(OsStr::as_bytes);
    matches!(
        suffix,
        Some(b"cc" | b"cp" | b"cpp" | b"cxx" | b"c++" | b"C" | b"CPP" | b"ii" | b"mm")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Request {
        let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        read(&argv)
    }

    #[test]
    fn own_options_count_only_first_and_under_own_names() {
        assert_eq!(
            request("/x/icecc --version"),
            Request::Version(help::ICECC_VERSION)
        );
        assert_eq!(request("icerun --help"), Request::Help(help::ICERUN_HELP));
        assert_eq!(
            request("icecc --build-native clang x"),
            Request::BuildNative(vec!["clang".into(), "x".into()])
        );
        assert!(matches!(
            request("gcc --version"),
            Request::Run(Run { icerun: false, .. })
        ));
        assert!(matches!(
            request("icecc gcc --version"),
            Request::Run(Run {
                program: Program::Named(name),
                ..
            }) if name == "gcc"
        ));
        assert_eq!(request("icecc"), Request::Nothing("icecc"));
        for (line, is_run) in [
            ("icecc icecc gcc -c", false),
            ("icecc /x/icerun gcc -c", true),
        ] {
            assert!(matches!(
                request(line),
                Request::Run(Run { program: Program::Named(name), icerun, masquerade: false, .. })
                    if name == "gcc" && icerun == is_run
            ));
        }
    }

    #[test]
    fn without_a_program_the_usual_compiler_is_meant() {
        for (line, cxx) in [
            ("icecc -c x.c", false),
            ("icecc -O2 -c x.cpp", true),
            ("icecc -x c++ -c x.c", true),
            ("icecc -xc++ -E -", true),
            ("icecc -x c -c x", false),
            ("icecc @words", false),
        ] {
            let Request::Run(run) = request(line) else {
                panic!("{line}");
            };
            assert_eq!(run.program, Program::Usual { cxx });
            assert_eq!(run.words.len(), line.split(' ').count() - 1);
        }
        assert!(matches!(
            request("icerun -c x.c"),
            Request::Run(Run {
                program: Program::Named(_),
                icerun: true,
                ..
            })
        ));
    }
}
