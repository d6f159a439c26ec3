//! 325 command lines as Icecream's client reads them, and the list of those this crate reads differently on purpose.
//!
//! `data/icecream.jsonl` has one command line per line. `words` are the words without input and output and their classes: `L` preprocessor here, `R` remote
//! compiler, `B` both. `data/deviations.txt` has one line per deviation: the number of the command line, what this crate does, and why. A deviation
//! that is not listed fails, and so does a listed one that is none.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use gelato_compiler::decide::Compiler;
use gelato_compiler::flags::Class;
use gelato_compiler::names::{self, Family, Language};
use gelato_compiler::plan::Preprocessing;
use gelato_compiler::{FileKind, Files, LocalReason, RemotePlan, Settings, Verdict, decide};
use serde_json::Value;

const VECTORS: &str = include_str!("data/icecream.jsonl");
const DEVIATIONS: &str = include_str!("data/deviations.txt");
const WORKING_DIRECTORY: &str = "/cwd";

struct Fixture;

impl Files for Fixture {
    fn kind(&self, path: &Path) -> FileKind {
        match path.to_str().map(|p| p.trim_start_matches("/cwd/")) {
            Some("sub" | "dir.d" | "." | "/") => FileKind::Directory,
            Some("/dev/null") => FileKind::Other,
            Some(
                "foo" | "foo.c" | "foo.cc" | "foo.h" | "list.txt" | "sub/../list.txt" | "macros.s"
                | "plug.so" | "pre.i" | "sub/a.c",
            ) => FileKind::Regular,
            _ => FileKind::Missing,
        }
    }
    fn read(&self, _path: &Path, _limit: u64) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// One line of text that says all about the outcome, the same for both sides.
fn expected(vector: &Value) -> String {
    if vector["crash"] == true {
        return "crash".to_owned();
    }
    let full_job = if vector["full_job"] == true {
        " full-job"
    } else {
        ""
    };
    if vector["local"] == true {
        return format!("local{full_job}");
    }
    let words: Vec<String> = vector["words"]
        .as_array()
        .expect("words")
        .iter()
        .map(|pair| {
            format!(
                "{}:{}",
                pair[1].as_str().expect("class"),
                pair[0].as_str().expect("word")
            )
        })
        .collect();
    let extra: Vec<&str> = vector["extra"]
        .as_array()
        .map(|files| files.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    format!(
        "remote {} {} -> {}{}{} flags={} extra={extra:?} {}",
        vector["language"].as_str().expect("language"),
        vector["input"].as_str().expect("input"),
        vector["output"].as_str().expect("output"),
        if vector["dwo"] == true { " dwo" } else { "" },
        if vector["full_cpp"] == true || environment_asks_full(vector) {
            " full-cpp"
        } else {
            ""
        },
        vector["arg_flags"].as_u64().unwrap_or(0),
        words.join(" "),
    )
    .replace("$CWD", WORKING_DIRECTORY)
}

/// The recorded flag is about options only; the mode chosen by variables shows in the classes.
fn environment_asks_full(vector: &Value) -> bool {
    let family = if vector["argv"].to_string().contains("clang") {
        Family::Clang
    } else {
        Family::Gcc
    };
    settings(vector, family).full_preprocessing
}

fn settings(vector: &Value, family: Family) -> Settings {
    Settings::from_environment(
        |name| vector["env"][name].as_str().map(OsString::from),
        family,
        false,
        PathBuf::from(WORKING_DIRECTORY),
    )
}

fn actual(vector: &Value) -> (String, Option<LocalReason>) {
    let mut argv: Vec<OsString> = vector["argv"]
        .as_array()
        .expect("argv")
        .iter()
        .map(|word| OsString::from(word.as_str().expect("word")))
        .collect();
    let local = |reason| ("local".to_owned(), Some(reason));
    if vector["mode"] == "icerun" {
        return local(LocalReason::Icerun);
    }
    if vector["mode"] == "named" {
        argv.remove(0);
    }
    let program = if argv
        .first()
        .is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"))
    {
        OsString::from("gcc")
    } else {
        argv.remove(0)
    };
    let Some(tool) = names::parse(&program) else {
        return local(LocalReason::CustomCommand);
    };
    let family = tool.family.unwrap_or(Family::Gcc);
    let compiler = Compiler {
        family,
        cxx: tool.cxx,
        default_target: Some("default-target".to_owned()),
    };
    let decision = decide(&compiler, &argv, &settings(vector, family), &Fixture);
    match decision.verdict {
        Verdict::Local(reason) => (
            format!("local{}", if decision.full_job { " full-job" } else { "" }),
            Some(reason),
        ),
        Verdict::Remote(plan) => (describe(&plan), None),
    }
}

fn describe(plan: &RemotePlan) -> String {
    let words: Vec<String> = plan
        .classified_words()
        .iter()
        .map(|word| {
            let class = match word.class {
                Class::Local => "L",
                Class::Remote => "R",
                Class::Both | Class::Cpp | Class::Native => "B",
            };
            format!("{class}:{}", word.remote().display())
        })
        .collect();
    let extra: Vec<&str> = plan
        .extra_files
        .iter()
        .filter_map(|file| file.to_str())
        .collect();
    format!(
        "remote {} {} -> {}{}{} flags={} extra={extra:?} {}",
        match plan.language {
            Language::C => "C",
            Language::Cxx => "C++",
            Language::ObjectiveC => "ObjC",
            Language::ObjectiveCxx => "ObjC++",
        },
        plan.input.display(),
        plan.output.display(),
        if plan.split_dwarf { " dwo" } else { "" },
        if plan.preprocessing == Preprocessing::Full {
            " full-cpp"
        } else {
            ""
        },
        plan.arg_flags,
        words.join(" "),
    )
}

fn vectors() -> impl Iterator<Item = Value> {
    VECTORS
        .lines()
        .map(|line| serde_json::from_str(line).expect("a vector per line"))
}

#[test]
fn every_command_line_is_read_as_icecream_does_or_listed() {
    let mut deviations: BTreeMap<&str, &str> = DEVIATIONS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').expect("number, outcome, reason"))
        .collect();
    let mut complaints = String::new();
    let mut count = 0;
    for vector in vectors() {
        count += 1;
        let id = vector["id"].as_str().expect("id").to_owned();
        let expected = expected(&vector);
        let (actual, reason) = actual(&vector);
        let listed = deviations.remove(id.as_str());
        let outcome = reason.map_or("remote", LocalReason::code);
        match (expected == actual, listed) {
            (true, None) => {}
            (true, Some(_)) => complaints.push_str(&format!("{id}: listed, but agrees\n")),
            (false, Some(line)) => {
                if line.split(':').next() != Some(outcome) {
                    complaints.push_str(&format!("{id}: listed as {line}, is {outcome}\n"));
                }
            }
            (false, None) => complaints.push_str(&format!(
                "{id} {}\n  expected {expected}\n  actual   {actual} {outcome}\n",
                vector["argv"]
            )),
        }
    }
    for id in deviations.keys() {
        complaints.push_str(&format!(
            "{id}: listed, but there is no such command line\n"
        ));
    }
    assert_eq!(count, 325);
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn where_both_are_local_the_reasons_agree() {
    let codes: &[(&str, &[&str])] = &[
        ("icerun", &["icerun"]),
        ("custom-command", &["custom-command"]),
        ("preprocess-only", &["preprocess-only"]),
        ("side-files", &["side-files", "standard-input"]),
        ("unsupported-x", &["unsupported-language", "missing-value"]),
        ("charset", &["charset"]),
        ("configure-test", &["configure-probe"]),
        (
            "two-inputs",
            &[
                "multiple-inputs",
                "local-option",
                "side-files",
                "plugin",
                "preprocessor-option",
            ],
        ),
        ("other-language-source", &["unsupported-language"]),
        (
            "unknown-extension",
            &["unknown-suffix", "unsupported-language"],
        ),
        ("output-is-dash", &["output-is-standard-output"]),
        ("bad-output", &["output-not-regular"]),
        ("no-c-or-S", &["no-compile-step", "driver-query"]),
        ("missing-file", &["missing-file", "plugin", "local-option"]),
        ("asm-file-missing", &["assembler-option"]),
    ];
    for vector in vectors() {
        let (_, Some(reason)) = actual(&vector) else {
            continue;
        };
        let notice = vector["notices"][0].as_str();
        let allowed = codes.iter().find(|(name, _)| Some(*name) == notice);
        if let (true, Some((_, allowed))) = (vector["local"] == true, allowed) {
            assert!(
                allowed.contains(&reason.code()),
                "{}: {notice:?} became {reason}",
                vector["argv"]
            );
        }
    }
}

#[test]
fn no_words_make_it_panic() {
    use proptest::prelude::*;
    let words = vectors()
        .flat_map(|v| v["argv"].as_array().cloned().unwrap_or_default())
        .filter_map(|w| w.as_str().map(str::to_owned))
        .collect::<Vec<_>>();
    let line = prop::collection::vec(
        prop_oneof![
            4 => prop::sample::select(words),
            1 => ".{0,12}".prop_map(String::from)
        ],
        0..12,
    );
    proptest!(|(line in line, clang: bool)| {
        let compiler = Compiler {
            family: if clang { Family::Clang } else { Family::Gcc },
            cxx: false,
            default_target: None,
        };
        let words: Vec<OsString> = line.iter().map(OsString::from).collect();
        let settings = settings(&Value::Null, compiler.family);
        let decision = decide(&compiler, &words, &settings, &Fixture);
        if let Verdict::Remote(plan) = decision.verdict {
            prop_assert!(plan.preprocessor_words().contains(&plan.input));
            prop_assert!(!plan.remote_words().iter().any(|w| w == OsStr::new("-o")));
        }
    });
}
