//! What holds for every command line, however odd.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use gelato_compiler::decide::Compiler;
use gelato_compiler::{
    Family, FileKind, Files, LocalReason, Settings, Substitute, Verdict, decide, respfile,
};
use proptest::prelude::*;

/// Begins the name of every file of the tests below.
const NAME: &str = "Qfile";

/// Everything called so is there.
struct Disk;

impl Files for Disk {
    fn kind(&self, path: &Path) -> FileKind {
        match path.file_name().and_then(OsStr::to_str) {
            Some(name) if name.starts_with(NAME) && !name.ends_with("ch") => FileKind::Regular,
            _ => FileKind::Missing,
        }
    }
    fn read(&self, path: &Path, _limit: u64) -> io::Result<Vec<u8>> {
        // A response file that contains itself and another one.
        Ok([b"-O2 '@", path.as_os_str().as_bytes(), b"' @Qfile.rsp -DX"].concat())
    }
}

fn compiler(clang: bool, cxx: bool) -> Compiler {
    Compiler {
        family: if clang { Family::Clang } else { Family::Gcc },
        cxx,
        default_target: Some("t".to_owned()),
    }
}

fn settings(family: Family) -> Settings {
    Settings::from_environment(|_| None, family, true, PathBuf::from("/home/u"))
}

/// Words a build might use, words that only look like it, and noise.
fn word() -> impl Strategy<Value = OsString> {
    let start = prop::sample::select(vec![
        "-",
        "--",
        "-c",
        "-S",
        "-E",
        "-o",
        "-x",
        "-xc",
        "-f",
        "-fdump-",
        "-fopt-info=",
        "-g",
        "-gsplit-dwarf",
        "-gdwarf-",
        "-m",
        "-march=",
        "-mtune=native",
        "-M",
        "-MD",
        "-MF",
        "-MJ",
        "-W",
        "-Wa,",
        "-Wp,",
        "-Wp,-MD,",
        "-Xclang",
        "-Xassembler",
        "-Xpreprocessor",
        "-mllvm",
        "-I",
        "-D",
        "-include",
        "-imacros",
        "-isystem",
        "--param",
        "-dumpdir",
        "-dumpbase",
        "-save-temps=",
        "@",
        "",
        "-Qfile",
        "Qfile.c",
        "Qfile.i",
        "-specs",
        "-target",
        "-flto=",
        "-fdebug-compilation-dir",
        "-aux-info",
        "-Tx",
        "-arch",
        "-###",
        "-fplugin=",
    ]);
    let tail = prop_oneof![
        3 => Just(Vec::new()),
        2 => "[-=,./a-z0-9@]{0,8}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    (start, tail)
        .prop_map(|(start, tail)| OsString::from_vec([start.as_bytes(), tail.as_slice()].concat()))
}

/// An option that names a file nobody sends, with that name.
fn option_with_file() -> impl Strategy<Value = Vec<OsString>> {
    let joined = prop::sample::select(vec![
        "-I",
        "-L",
        "-include",
        "-imacros",
        "-isystem",
        "-iquote",
        "-idirafter",
        "-MF",
        "-MT",
        "-MQ",
        "-Wp,-MMD,",
        "--include=",
        "--imacros=",
        "-l",
    ]);
    let separate = prop::sample::select(vec![
        "-I",
        "-L",
        "-include",
        "-imacros",
        "-isystem",
        "-iquote",
        "-idirafter",
        "-MF",
        "-MT",
        "-MQ",
        "--include",
        "-isysroot",
        "-iprefix",
        "-aux-info",
        "-MJ",
        "--serialize-diagnostics",
        "-include-pch",
        "-T",
        "-wrapper",
        "-specs",
        "-Xpreprocessor",
        "-ivfsoverlay",
    ]);
    let number = 0..100u32;
    prop_oneof![
        (joined, number.clone())
            .prop_map(|(option, n)| vec![OsString::from(format!("{option}{NAME}{n}"))]),
        (separate, number)
            .prop_map(|(option, n)| vec![option.into(), OsString::from(format!("{NAME}{n}"))]),
    ]
}

/// An option that names a file which is sent along.
fn option_with_sent_file() -> impl Strategy<Value = Vec<OsString>> {
    let options = prop::sample::select(vec![
        "-fsanitize-ignorelist=",
        "-fxray-attr-list=",
        "-Wa,--noexecstack,",
        "-Wa,",
    ]);
    (options, 0..100u32).prop_map(|(option, n)| vec![OsString::from(format!("{option}{NAME}{n}"))])
}

fn plain_option() -> impl Strategy<Value = Vec<OsString>> {
    prop::sample::select(vec![
        "-O2",
        "-Wall",
        "-fPIC",
        "-MD",
        "-MMD",
        "-DX=1",
        "-march=native",
    ])
    .prop_map(|option| vec![option.into()])
}

proptest! {
    #[test]
    fn every_line_is_read(
        words in prop::collection::vec(word(), 0..30),
        clang: bool,
        cxx: bool,
    ) {
        let compiler = compiler(clang, cxx);
        let expanded = respfile::expand(&words, &Disk);
        let expanded = expanded.as_deref().unwrap_or(&words);
        let decision = decide(&compiler, expanded, &settings(compiler.family), &Disk);
        if let Verdict::Remote(plan) = &decision.verdict {
            prop_assert!(plan.preprocessor_words().contains(&plan.input));
            prop_assert!(!plan.remote_words().iter().any(|word| word == "-o"));
            prop_assert!(decision.outputs.iter().any(|output| output.path == plan.output));
            prop_assert_eq!(decision.inputs.first().map(|input| &input.path), Some(&plan.input));
        }
        prop_assert!(decision.outputs.iter().all(|output| !output.path.is_empty()));
    }

    #[test]
    fn what_is_not_sent_is_not_named_elsewhere(
        options in prop::collection::vec(
            prop_oneof![
                3 => option_with_file(),
                1 => option_with_sent_file(),
                2 => plain_option(),
            ],
            0..8,
        ),
        clang: bool,
        full: bool,
    ) {
        let compiler = compiler(clang, false);
        let mut words: Vec<OsString> = options.concat();
        words.extend(["-c", "src/Qfile.c", "-o", "obj/Qfile.o"].map(OsString::from));
        let decision = decide(&compiler, &words, &settings(compiler.family), &Disk);
        let Verdict::Remote(plan) = decision.verdict else {
            return Ok(());
        };
        let plan = if full { plan.with_full_preprocessing() } else { *plan };
        let plan = match &plan.native {
            Some(_) => plan.with_native(&native(compiler.family)).expect("resolved"),
            None => plan,
        };
        let lists = [plan.remote_words(), plan.remote_only_words(), plan.rest_words()].concat();
        for word in lists {
            prop_assert_ne!(&word, "-march=native");
            let text = word.to_string_lossy().into_owned();
            for (position, _) in text.match_indices(NAME) {
                let sent = plan.extra_files.iter().any(|file| {
                    let name = file.to_string_lossy();
                    text.get(..position).is_some_and(|before| before.ends_with("/home/u/"))
                        && text.contains(&*name)
                });
                prop_assert!(sent, "{text} of {words:?}");
            }
        }
    }
}

fn native(family: Family) -> Substitute {
    let (with, without): (&[u8], &[u8]) = match family {
        Family::Gcc => (b" /x/cc1 -E - -march=a -O2", b" /x/cc1 -E - -O2"),
        Family::Clang => (b"\"x\" \"-cc1\" \"-target-cpu\" \"a\" \"-\"", b""),
    };
    Substitute::parse(family, with, Some(without)).expect("an answer")
}

#[test]
fn long_lines_and_deep_files_end() {
    let compiler = compiler(false, false);
    let many = vec![OsString::from("-Wp,-MD,-Xassembler"); 100_000];
    decide(&compiler, &many, &settings(Family::Gcc), &Disk);
    let long = vec![OsString::from("-f".repeat(1 << 20))];
    decide(&compiler, &long, &settings(Family::Gcc), &Disk);
    assert_eq!(
        respfile::expand(&[OsString::from("@Qfile.rsp")], &Disk),
        Err(LocalReason::ResponseFile)
    );
}
