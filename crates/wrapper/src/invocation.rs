//! What the wrapper was called as, and so what is meant.
//!
//! `icecc COMPILER …` and `icerun COMMAND …` name the program; under any other name we stand in for the program of that name. Options of our own count only as
//! the first word after our own names.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gelato_compiler::names;

use crate::help;

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
            icerun: is_link_to_icerun(own),
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
    if !icerun && is_no_program(first) {
        return Request::Run(Run {
            program: Program::Usual {
                cxx: words.iter().any(|word| is_cxx_source(word)),
            },
            words: words.to_vec(),
            icerun: false,
        });
    }
    Request::Run(Run {
        program: Program::Named(first.clone()),
        words: rest.to_vec(),
        icerun,
    })
}

/// `CC=icecc` makes build systems call us with nothing but compiler arguments.
fn is_no_program(word: &OsStr) -> bool {
    let bytes = word.as_bytes();
    if bytes.starts_with(b"-") || bytes.starts_with(b"@") {
        return true;
    }
    let suffix = Path::new(word).extension().map(OsStr::as_bytes);
    matches!(
        suffix,
        Some(b"c" | b"cc" | b"cpp" | b"cxx" | b"C" | b"o" | b"a" | b"s" | b"S" | b"i" | b"ii")
    ) && fs::metadata(word).is_ok_and(|m| m.is_file() && !crate::search::is_executable(&m))
}

fn is_cxx_source(word: &OsStr) -> bool {
    let suffix = Path::new(word).extension().map(OsStr::as_bytes);
    matches!(
        suffix,
        Some(b"cc" | b"cp" | b"cpp" | b"cxx" | b"c++" | b"C" | b"CPP" | b"ii" | b"mm")
    )
}

/// `argv[0]` itself is a link to `icerun`: tools other than compilers are wrapped that way.
fn is_link_to_icerun(own: &OsStr) -> bool {
    fs::read_link(own).is_ok_and(|target| names::base_name(target.as_os_str()) == b"icerun")
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
    }

    #[test]
    fn without_a_program_the_usual_compiler_is_meant() {
        for (line, cxx) in [("icecc -c x.c", false), ("icecc -O2 -c x.cpp", true)] {
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
