//! Sources that come out differently when they are preprocessed here and compiled elsewhere: every one is compiled both ways and compared.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::cluster::{compare, run};
use crate::fixture::{Fixture, verdict};
use crate::peers::{Behaviour, Cluster};

const OPENMP: &str = "#include \"omp.h\"\nint g(int);\n#define DO(x) _Pragma(#x)\nvoid f(int *a) {\n#pragma omp parallel for\nfor (int i = 0; i < 9; i++) a[i] = g(i);\nDO(omp parallel for)\nfor (int i = 0; i < 9; i++) a[i] = g(i);\n}\n";
const OPENMP_HEADER: &str = "static inline void h(int *a) {\n#pragma omp simd\nfor (int i = 0; i < 9; i++) a[i] = i;\n}\nint line = __LINE__;\n";
const TARGET: &str = "#pragma GCC push_options\n#pragma GCC target(\"avx2\")\n#ifdef __AVX2__\nint avx2;\n#endif\n#pragma GCC pop_options\n";

/// Source, options for a C compiler, verdict and reason with GCC, the same with Clang.
type Case = (
    &'static str,
    &'static str,
    (&'static str, &'static str),
    (&'static str, &'static str),
);

const REMOTE: (&str, &str) = ("remote", "-");

const CASES: &[Case] = &[
    (OPENMP, "-O1 -fopenmp", REMOTE, REMOTE),
    (OPENMP, "-O1 -fopenmp-simd", REMOTE, REMOTE),
    (TARGET, "", ("local", "macro-pragma"), REMOTE),
    (
        "#include \"target.h\"\nint a;\n",
        "",
        ("failed-over", "macro-pragma"),
        REMOTE,
    ),
    (
        "#include <immintrin.h>\n#ifdef __AVX2__\nint avx2;\n#endif\nint s = sizeof(__m256i);\n",
        "",
        REMOTE,
        REMOTE,
    ),
    (
        "#pragma redefine_extname foo bar\nint foo(void);\nint g(void) { return foo(); }\n",
        "",
        REMOTE,
        REMOTE,
    ),
    (
        "#if __COUNTER__ == 0\nint zero;\n#endif\nint k = __COUNTER__;\n",
        "",
        ("failed-over", "preprocessor-failed"),
        REMOTE,
    ),
    ("const char *a = __BASE_\\\nFILE__;\n", "", REMOTE, REMOTE),
    (
        "#define CAT(a, b) a##b\nconst char *a = CAT(__BASE, _FILE__) CAT(__BASE_FILE, __);\n",
        "",
        REMOTE,
        REMOTE,
    ),
    (
        "asm(\".include \\\"x.inc\\\"\");\n",
        "",
        ("failed-over", "remote-output"),
        ("failed-over", "remote-failure"),
    ),
    (
        "#pragma once\n#include \"twice.h\"\n#include \"twice.h\"\nint a = __INCLUDE_LEVEL__;\n",
        "-w",
        REMOTE,
        REMOTE,
    ),
    (
        "#define F(...) __VA_ARGS__\nint x = F(1 +\n#ifdef Q\n2\n#else\n3\n#endif\n);\nint l = __LINE__;\n",
        "-w",
        REMOTE,
        REMOTE,
    ),
    (
        "#line 70 \"y.c\"\nint a = __LINE__; const char *f = __FILE__;\n",
        "-ffile-prefix-map=y=z",
        REMOTE,
        REMOTE,
    ),
    (
        "??=define A 3\nint a = A; const char *s = \"??/n\";\r\n#define B \\\r\n 4\r\nint b = B;",
        "-trigraphs -w",
        REMOTE,
        REMOTE,
    ),
    (
        "\u{feff}int a;\n#define POISONED 1\n#undef __SIZE_TYPE__\n#define __x86_64__ 7\nint b = __x86_64__;\n",
        "-w -U__GNUC__ -Dlinux=9",
        REMOTE,
        REMOTE,
    ),
    (
        "#include <errno.h>\n#include <assert.h>\nint f(int *p) { assert(p); return p == 0 || errno; }\n",
        "-O2 -Wall -Wextra -Werror",
        REMOTE,
        REMOTE,
    ),
];

#[test]
fn sources_that_depend_on_how_they_are_preprocessed() {
    let fixture = Fixture::new();
    fixture.file("src/omp.h", OPENMP_HEADER);
    fixture.file("src/target.h", TARGET);
    fixture.file(
        "src/twice.h",
        "#pragma once\nint level = __INCLUDE_LEVEL__;\n",
    );
    fixture.file("x.inc", ".globl included\nincluded: .long 42\n");
    let cluster = Cluster::with(&fixture, Behaviour::Honest);
    for (source, options, gcc, clang) in CASES {
        fixture.file("src/x.c", source);
        for (compiler, (place, reason)) in [("gcc", gcc), ("clang", clang)] {
            compare(&fixture, &format!("{compiler} {options} -c src/x.c -o OUT"));
            let (got_place, got_reason, _) = fixture.last();
            assert_eq!(
                (got_place.as_str(), got_reason.as_str()),
                (*place, *reason),
                "{compiler} {options}: {source}"
            );
        }
    }
    drop(cluster);
}

/// Name, kind, mode, number of links and content of all that is left.
fn left(fixture: &Fixture) -> Vec<(String, bool, u32, u64, Vec<u8>)> {
    fixture
        .names()
        .into_iter()
        .filter(|name| name.ends_with(".o"))
        .map(|name| {
            let path = fixture.path(&name);
            let metadata = fs::symlink_metadata(&path).expect("a file");
            let content = fs::read(&path).unwrap_or_default();
            (
                name,
                metadata.is_symlink(),
                metadata.mode(),
                metadata.nlink(),
                content,
            )
        })
        .collect()
}

#[test]
fn outputs_that_exist_end_as_native_ones_do() {
    let fixture = Fixture::new();
    fixture.file("x.c", "int a;\n");
    let _cluster = Cluster::with(&fixture, Behaviour::Honest);
    let prepare: [fn(&Fixture); 4] = [
        |f| fs::hard_link(f.path("z.o"), f.path("twin.o")).expect("a link"),
        |f| {
            fs::rename(f.path("z.o"), f.path("real.o")).expect("renamed");
            symlink("real.o", f.path("z.o")).expect("a link");
        },
        |f| {
            fs::remove_file(f.path("z.o")).expect("removed");
            symlink("nowhere.o", f.path("z.o")).expect("a link");
        },
        |f| {
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(f.path("z.o"), mode).expect("mode");
        },
    ];
    for compiler in ["gcc", "clang"] {
        for mode in ["-c", "-S"] {
            for (number, step) in prepare.iter().enumerate() {
                let begin = || {
                    for name in fixture.names().iter().filter(|name| name.ends_with(".o")) {
                        fs::remove_file(fixture.path(name)).expect("removed");
                    }
                    fixture.file("z.o", "old");
                    step(&fixture);
                };
                let line = format!("{compiler} {mode} x.c -o z.o");
                begin();
                assert!(fixture.native(&line).status.success());
                let native = left(&fixture);
                begin();
                assert!(run(&fixture, &line).status.success());
                assert_eq!(fixture.last(), verdict("remote", "-", "0"));
                assert_eq!(left(&fixture), native, "{line}, case {number}");
            }
        }
    }
}
