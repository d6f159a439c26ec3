//! Tests of the verdicts.

use super::*;
use std::io;

use crate::plan::Preprocessing;

struct Names(&'static [&'static str]);

impl Files for Names {
    fn kind(&self, path: &Path) -> FileKind {
        match path.to_str() {
            Some("/dev/null") => FileKind::Other,
            Some(name) if self.0.contains(&name.trim_start_matches("/home/u/")) => {
                FileKind::Regular
            }
            _ => FileKind::Missing,
        }
    }
    fn read(&self, _path: &Path, _limit: u64) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn verdict_with(family: Family, line: &str, files: &'static [&'static str]) -> Verdict {
    let compiler = Compiler {
        family,
        cxx: false,
        default_target: Some("t".to_owned()),
    };
    let settings = Settings::from_environment(|_| None, family, false, PathBuf::from("/home/u"));
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    decide(&compiler, &words, &settings, &Names(files)).verdict
}

fn remote(family: Family, line: &str) -> RemotePlan {
    match verdict_with(family, line, &["list.txt", "macros.s"]) {
        Verdict::Remote(plan) => *plan,
        Verdict::Local(reason) => panic!("{line}: {reason}"),
    }
}

fn local(family: Family, line: &str) -> LocalReason {
    match verdict_with(family, line, &["x.h", "x.h.gch", "list.txt"]) {
        Verdict::Local(reason) => reason,
        Verdict::Remote(_) => panic!("{line}: remote"),
    }
}

#[test]
fn dependency_target_is_the_output_as_given() {
    let words = |family, line| remote(family, line).preprocessor_words();
    let gcc = Family::Gcc;
    assert_eq!(
        words(gcc, "-MD -c src/a.c -o build/a.o")[..5],
        ["-MD", "-MF", "build/a.d", "-MQ", "build/a.o"]
    );
    assert_eq!(
        words(gcc, "-MMD -c src/a.c")[..4],
        ["-MMD", "-MF", "a.d", "-E"]
    );
    assert_eq!(
        words(gcc, "-MD -MT t -c a.c -o b/a.o")[..6],
        ["-MD", "-MT", "t", "-MF", "b/a.d", "-E"]
    );
    assert_eq!(
        words(gcc, "-Wp,-MMD,.a.d -c a.c -o b/a.o")[..2],
        ["-Wp,-MMD,.a.d", "-E"]
    );
    assert_eq!(
        words(Family::Clang, "-Wp,-MD,.a.d -c a.c -o b/a.o")[..4],
        ["-Wp,-MD,.a.d", "-MQ", "b/a.o", "-E"]
    );
}

#[test]
fn side_files_stay_here() {
    for line in [
        "-save-temps=obj",
        "-fstack-usage",
        "-fcallgraph-info=su",
        "-fsave-optimization-record",
        "-ftime-trace=x.json",
        "--coverage",
        "-fprofile-generate=/p",
        "-fdump-tree-all",
        "-fcoverage-mapping",
        "--serialize-diagnostics d.dia",
        "-gsplit-dwarf=single",
        "-Wa,-al=x,--noexecstack",
        "-fmodules-ts",
        "-MF -",
        "-Wp,-MD,-",
    ] {
        for family in [Family::Gcc, Family::Clang] {
            local(family, &format!("-c x.c -o x.o {line}"));
        }
    }
}

#[test]
fn outputs_that_a_driver_handles_oddly_stay_here() {
    for line in ["-MD", "-gsplit-dwarf", "-Wp,-MD,d"] {
        assert_eq!(
            local(Family::Gcc, &format!("-c x.c -o a.o -o b.o {line}")),
            LocalReason::SideFiles
        );
    }
    assert_eq!(
        local(Family::Clang, "-S x.c -g -gsplit-dwarf"),
        LocalReason::SideFiles
    );
    assert!(!remote(Family::Gcc, "-S x.c -g -gsplit-dwarf").split_dwarf);
}

#[test]
fn meddling_environment_is_local() {
    let settings = Settings::from_environment(
        |name| (name == "COMPILER_PATH").then(OsString::new),
        Family::Gcc,
        false,
        PathBuf::from("/"),
    );
    assert!(settings.meddling_variable);
}

#[test]
fn precompiled_headers() {
    assert_eq!(
        local(Family::Clang, "-include x.h -c a.c"),
        LocalReason::PrecompiledHeader
    );
    assert_eq!(
        local(Family::Gcc, "-include-pch x.h -c a.c"),
        LocalReason::PrecompiledHeader
    );
}

#[test]
fn macros_that_clang_does_not_merge_stay_here() {
    for line in ["-imacros x.h -c a.c", "-imacrosx.h -c a.c"] {
        assert_eq!(local(Family::Clang, line), LocalReason::PreprocessorOption);
        assert!(
            !remote(Family::Gcc, line)
                .remote_words()
                .iter()
                .any(|w| w == "x.h")
        );
    }
}

#[test]
fn pragmas_that_merging_drops_are_expanded_here() {
    for line in ["-fopenmp", "-fopenmp-simd", "-fopenacc", "-fopenacc-dim=2"] {
        let line = format!("{line} -c a.c");
        assert_eq!(
            remote(Family::Gcc, &line).preprocessing,
            Preprocessing::Full
        );
        assert_eq!(
            remote(Family::Clang, &line).preprocessing,
            Preprocessing::Merge
        );
    }
}

#[test]
fn the_language_option_must_come_first() {
    assert_eq!(
        local(Family::Gcc, "-c x -x c -o x.o"),
        LocalReason::UnsupportedLanguage
    );
    assert_eq!(
        remote(Family::Gcc, "-xc++ -c foo.c").language,
        Language::Cxx
    );
    assert_eq!(
        local(Family::Gcc, "-xassembler-with-cpp -c foo.c"),
        LocalReason::UnsupportedLanguage
    );
}

#[test]
fn files_sent_along_get_absolute_names_remotely_only() {
    let plan = remote(
        Family::Clang,
        "-fsanitize-ignorelist=list.txt -Wa,--defsym,A=1,macros.s -c foo.c",
    );
    assert_eq!(
        plan.remote_words()[..2],
        [
            "-fsanitize-ignorelist=/home/u/list.txt",
            "-Wa,--defsym,A=1,/home/u/macros.s"
        ]
    );
    assert_eq!(
        plan.preprocessor_words()[0],
        "-fsanitize-ignorelist=list.txt"
    );
    assert_eq!(plan.extra_files.len(), 2);
}

#[test]
fn colours_only_for_clang_on_a_terminal() {
    let settings = |terminal| {
        Settings::from_environment(
            |name| (name == "TERM").then(|| OsString::from("xterm")),
            Family::Clang,
            terminal,
            PathBuf::from("/"),
        )
    };
    assert!(settings(true).colours);
    assert!(!settings(false).colours);
}
