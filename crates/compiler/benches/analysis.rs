//! Time to read a command line: `cargo bench -p gelato-compiler`.
//!
//! The lines are made of the words builds use: many search paths, macros and warnings, some options for code, dependencies, one source.

use std::ffi::OsString;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};

use gelato_compiler::decide::Compiler;
use gelato_compiler::{Family, FileKind, Files, Settings, Verdict, decide, respfile};

struct Nothing;

impl Files for Nothing {
    fn kind(&self, _path: &Path) -> FileKind {
        FileKind::Missing
    }
    fn read(&self, _path: &Path, _limit: u64) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn main() {
    for (family, name) in [(Family::Gcc, "gcc"), (Family::Clang, "clang")] {
        for count in [20, 100, 500] {
            measure(family, name, count);
        }
    }
}

fn measure(family: Family, name: &str, count: usize) {
    let words = line(count);
    let compiler = Compiler {
        family,
        cxx: true,
        default_target: Some("x86_64-pc-linux-gnu".to_owned()),
    };
    let settings =
        Settings::from_environment(|_| None, family, false, PathBuf::from("/home/u/build"));
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..20 {
        let rounds = 200_000 / u32::try_from(count).expect("few words");
        let start = processor_time();
        for _ in 0..rounds {
            let words = respfile::expand(black_box(&words), &Nothing).expect("words");
            let decision = decide(&compiler, &words, &settings, &Nothing);
            let Verdict::Remote(plan) = &decision.verdict else {
                panic!("a line that travels");
            };
            black_box((plan.preprocessor_words(), plan.remote_words()));
        }
        times.push((processor_time() - start) / f64::from(rounds));
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{name}, {count} words: {:.1} us (median; fastest {:.1}, slowest {:.1})",
        times[times.len() / 2],
        times[0],
        times[times.len() - 1]
    );
}

/// Microseconds this process has run, whatever else the machine does.
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("times");
    let nanoseconds = text.split(' ').next().and_then(|field| field.parse().ok());
    nanoseconds.map_or(0.0, |time: f64| time / 1e3)
}

/// A command line of `count` words.
fn line(count: usize) -> Vec<OsString> {
    let mut words: Vec<String> = [
        "-c",
        "src/module/file.cc",
        "-o",
        "obj/module/file.o",
        "-MMD",
        "-MF",
        "obj/file.d",
    ]
    .map(str::to_owned)
    .to_vec();
    let warnings = [
        "all",
        "extra",
        "shadow",
        "no-unused-parameter",
        "cast-align",
        "format=2",
    ];
    let features = [
        "-fPIC",
        "-fno-exceptions",
        "-fvisibility=hidden",
        "-O2",
        "-std=c++17",
        "-march=x86-64",
        "-pthread",
    ];
    let mut number = 0;
    while words.len() < count {
        words.push(match number % 6 {
            0 => format!("-I../third_party/library{number}/include"),
            1 => format!("-DFEATURE_{number}=1"),
            2 => format!("-W{}", warnings[number / 6 % warnings.len()]),
            3 => format!("-DNAME_{number}=\"text {number}\""),
            4 => features[number / 6 % features.len()].to_owned(),
            _ => format!("-isystem../system/dir{number}"),
        });
        number += 1;
    }
    words.into_iter().map(OsString::from).collect()
}
