//! Tests of the verdicts.

use super::*;
use std::io;

use crate::native::Substitute;
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
    fn may_have_precompiled(&self, _folder: &Path) -> bool {
        self.0.iter().any(|name| name.ends_with(".gch"))
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
        local(Family::Clang, "-S x.c -gdwarf-4 -gsplit-dwarf"),
        LocalReason::SideFiles
    );
    for line in ["-S x.c -g", "-c x.c -g -o /tmp/x.o"] {
        assert_eq!(
            local(Family::Gcc, &format!("{line} -gsplit-dwarf")),
            LocalReason::SideFiles
        );
    }
    let split = "-c x.c -g -gsplit-dwarf -o d/x.o";
    assert_eq!(local(Family::Gcc, split), LocalReason::RecordsCommandLine);
    assert!(remote(Family::Gcc, &format!("{split} -gno-record-gcc-switches")).split_dwarf);
}

#[test]
fn debug_information_is_not_made_from_expanded_text() {
    let how = |line| remote(Family::Gcc, line).preprocessing;
    assert_eq!(how("-c x.c -pedantic"), Preprocessing::Full);
    assert_eq!(how("-c x.c -pedantic -g"), Preprocessing::Merge);
    for line in ["-c x.c -g -fopenmp -pedantic", "-c x.c -Wunused-macros -g"] {
        assert_eq!(local(Family::Gcc, line), LocalReason::PreprocessorOption);
    }
    assert_eq!(
        local(Family::Gcc, "-c x.c -Winvalid-pch"),
        LocalReason::PrecompiledHeader
    );
    assert_eq!(how("-c x.c -Winvalid-pch"), Preprocessing::Merge);
    assert_eq!(
        how("-c x.c -Winvalid-pch -Wno-invalid-pch"),
        Preprocessing::Merge
    );
}

#[test]
fn native_words_wait_for_an_answer() {
    let plan = remote(Family::Gcc, "-O2 -march=native -mno-avx -c a.c");
    let request = plan.native.clone().expect("a question");
    assert_eq!(request.with, ["-march=native", "-mno-avx"]);
    assert_eq!(request.without, Some(vec!["-mno-avx".into()]));
    let with = b" /x/cc1 -E - -march=znver3 -mavx --param a=1 -mtune=znver3 -mno-avx";
    let without = b" /x/cc1 -E - -mtune=generic -march=x86-64 -mno-avx";
    let substitute = Substitute::parse(Family::Gcc, with, Some(without)).expect("answer");
    let resolved = plan.with_native(&substitute).expect("plan");
    assert_eq!(
        resolved.remote_words(),
        [
            "-O2",
            "-march=znver3",
            "-mavx",
            "--param",
            "a=1",
            "-mtune=znver3",
            "-mno-avx",
            "-c",
            "-fdirectives-only"
        ]
    );
    assert_eq!(
        resolved.preprocessor_words(),
        [
            "-O2",
            "-march=native",
            "-mno-avx",
            "-E",
            "a.c",
            "-fdirectives-only"
        ]
    );
    let plan = remote(Family::Clang, "-march=native -mtune=native -c a.c");
    let answer = br#" "clang" "-cc1" "-target-cpu" "znver3" "-target-feature" "+avx" "-tune-cpu" "znver2" "-""#;
    let substitute = Substitute::parse(Family::Clang, answer, None).expect("answer");
    let resolved = plan.with_native(&substitute).expect("plan");
    assert_eq!(
        resolved.remote_words()[..7],
        [
            "-march=znver3",
            "-mtune=znver2",
            "-c",
            "-Xclang",
            "-target-feature",
            "-Xclang",
            "+avx"
        ]
    );
}

#[test]
fn native_words_that_cannot_be_spelled_out_stay_here() {
    for line in ["-g -march=native", "-march=native -march=core2"] {
        assert_eq!(
            local(Family::Gcc, &format!("{line} -c a.c")),
            LocalReason::NativeCpu
        );
    }
    remote(Family::Gcc, "-march=native -mtune=core2 -c a.c");
}

#[test]
fn words_for_the_inner_programs() {
    for line in [
        "-Xclang -disable-O0-optnone",
        "-Xclang -target-feature -Xclang +avx2",
        "-Xclang -fno-validate-pch",
        "-Xclang -Wno-foo",
        "-mllvm -inline-threshold=5",
        "-Xassembler --defsym -Xassembler A=1",
        "-Xpreprocessor -DX",
        "-Xpreprocessor -fopenmp",
    ] {
        remote(Family::Clang, &format!("{line} -c a.c"));
    }
    for line in [
        "-Xclang -load -Xclang plug.so",
        "-Xclang -ast-dump",
        "-Xclang -fmodules",
        "-Xclang -target-feature",
        "-Xclang -dependency-dot -Xclang d",
        "-mllvm -info-output-file=x",
        "-mllvm -print-after-all",
        "-Xassembler --defsym",
        "-Xassembler -al=x",
        "-Xpreprocessor -MD",
    ] {
        local(Family::Clang, &format!("{line} -c a.c"));
    }
    let plan = remote(Family::Gcc, "-Xassembler macros.s -c a.c");
    assert_eq!(
        plan.remote_words()[..2],
        ["-Xassembler", "/home/u/macros.s"]
    );
}

#[test]
fn debug_information_that_tells_where_it_was_made() {
    for (family, line, reason) in [
        (Family::Gcc, "-ggdb3 -c a.c", LocalReason::DebugMacros),
        (Family::Gcc, "-g3 -g -c a.c", LocalReason::DebugMacros),
        (
            Family::Clang,
            "-gdwarf-4 -fdebug-macro -c a.c",
            LocalReason::DebugMacros,
        ),
        (Family::Clang, "-g -c a.c", LocalReason::DebugChecksums),
        (
            Family::Clang,
            "-gdwarf-4 -gdwarf-5 -c a.c",
            LocalReason::DebugChecksums,
        ),
        (
            Family::Gcc,
            "-g -gz -c a.c",
            LocalReason::RecordsCommandLine,
        ),
        (Family::Gcc, "-g -c a.i", LocalReason::ContextualSource),
    ] {
        assert_eq!(local(family, line), reason, "{line}");
    }
    for (family, line) in [
        (Family::Clang, "-g -gdwarf-4 -c a.c"),
        (Family::Clang, "-g -g0 -c a.c"),
        (Family::Gcc, "-g -gdwarf-5 -c a.c"),
        (Family::Gcc, "-g3 -g2 -c a.c"),
        (Family::Clang, "-g3 -gdwarf-4 -c a.c"),
        (Family::Gcc, "-c a.i"),
    ] {
        remote(family, line);
    }
    let plan = remote(Family::Clang, "-gdwarf-4 -fdebug-compilation-dir=/x -c a.c");
    assert_eq!(
        plan.remote_words()[2..6],
        ["-Xclang", "-fdebug-compilation-dir", "-Xclang", "/x"]
    );
}

#[test]
fn a_source_is_not_its_own_output() {
    assert_eq!(
        local(Family::Gcc, "-x c -c list.txt -o list.txt"),
        LocalReason::OutputNotRegular
    );
}

#[test]
fn joined_dependency_words() {
    assert_eq!(
        remote(Family::Gcc, "-MMD -MFa.d -MTb.o -c a.c").preprocessor_words()[..3],
        ["-MMD", "-MFa.d", "-MTb.o"]
    );
}

#[test]
fn inputs_and_outputs_are_named() {
    let compiler = Compiler {
        family: Family::Gcc,
        cxx: false,
        default_target: None,
    };
    let settings =
        Settings::from_environment(|_| None, Family::Gcc, false, PathBuf::from("/home/u"));
    let line = "-c src/a.c -MMD -include cfg.h -fplugin=p.so -fstack-usage";
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    let decision = decide(&compiler, &words, &settings, &Names(&[]));
    assert_eq!(decision.verdict, Verdict::Local(LocalReason::Plugin));
    let outputs: Vec<_> = decision.outputs.iter().map(|o| o.path.clone()).collect();
    assert_eq!(outputs, ["a.o", "a.d", "a.su"]);
    let inputs: Vec<_> = decision.inputs.iter().map(|i| i.path.clone()).collect();
    assert_eq!(inputs, ["src/a.c", "cfg.h", "p.so"]);
}

#[test]
fn meddling_environment_is_local() {
    let settings = Settings::from_environment(
        |name| (name == "COMPILER_PATH").then(OsString::new),
        Family::Gcc,
        false,
        PathBuf::from("/"),
    );
    assert_eq!(settings.meddling_variable, Some("COMPILER_PATH"));
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
    assert_eq!(
        local(Family::Gcc, "-include x.h -MD -c a.c"),
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
fn colours_only_on_a_terminal() {
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

#[test]
fn a_local_job_names_what_keeps_it_here() {
    let subject = |family, line: &str| {
        let compiler = Compiler {
            family,
            cxx: false,
            default_target: Some("t".to_owned()),
        };
        let settings =
            Settings::from_environment(|_| None, family, false, PathBuf::from("/home/u"));
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let decision = decide(&compiler, &words, &settings, &Names(&["x.h", "x.h.gch"]));
        decision
            .subject
            .map(|subject| subject.into_string().unwrap())
    };
    for (family, line, expected) in [
        (Family::Gcc, "-O2 -march=native -g -c a.c", "-march=native"),
        (
            Family::Gcc,
            "-c a.c -save-temps -fdump-tree-all",
            "-save-temps",
        ),
        (Family::Gcc, "-x ada -c a.c", "-x ada"),
        (Family::Gcc, "-c a.c b.c", "b.c"),
        (Family::Gcc, "-c a.zig", "a.zig"),
        (Family::Gcc, "-g3 -c a.c -O2", "-g3"),
        (Family::Gcc, "-g -gz -c a.c", "-gz"),
        (Family::Gcc, "-c -", "-"),
        (Family::Gcc, "@words -c a.c", "@words"),
        (Family::Gcc, "-c a.c -o", "-o"),
        (Family::Gcc, "-E a.c", "-E"),
        (Family::Clang, "-g -c a.c", "-g"),
        (Family::Clang, "-include x.h -c a.c", "-include x.h"),
        (
            Family::Clang,
            "-c a.c -Xclang -load -Xclang p.so",
            "-Xclang -load",
        ),
        (Family::Gcc, "-MF a.d -c a.c", "-MF a.d"),
    ] {
        assert_eq!(subject(family, line).as_deref(), Some(expected), "{line}");
    }
    assert_eq!(subject(Family::Gcc, "-c a.c"), None, "it travels");
    assert_eq!(subject(Family::Gcc, "a.o b.o -o prog"), None, "all of it");
}
