//! Recognises the small compilations with which configuration tools find out what a compiler can do.
//!
//! They are over in a moment, many of them are meant to fail, and their number or wording must not depend on who compiles them: so they stay on this machine.
//! A source that only looks like one costs nothing but a local compilation, so names that few projects use are enough.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::names::base_name;

/// How sources begin that nobody but a configuration tool writes.
const SOURCES: &[&[u8]] = &[
    // Autoconf, libtool, and everything that imitates them.
    b"conftest.",
    b"tmp.conftest.",
    // CMake, wherever it puts them.
    b"CMakeCCompiler",
    b"CMakeCXXCompiler",
    b"CMakeOBJCCompiler",
    b"CMakeOBJCXXCompiler",
    b"CheckForPthreads.",
    b"CheckFunctionExists.",
    b"CheckIncludeFile.",
    b"CheckIncludeFiles.",
    b"CheckPrototypeDefinition.",
    b"CheckSymbolExists.",
    b"CheckTypeSize.",
    b"testCCompiler.",
    b"testCXXCompiler.",
    // Meson.
    b"sanitycheckc.",
    b"sanitycheckcpp.",
    // The `cc` crate of Cargo, Python's distutils, QEMU.
    b"flag_check.",
    b"_configtest.",
    b"qemu-conf.",
];

/// How folders begin in which configuration tools do their tests.
const FOLDERS: &[&[u8]] = &[
    // CMake before and since 3.25.
    b"CMakeTmp",
    b"CMakeScratch",
    b"meson-private",
    // SCons, Waf, Qt, FFmpeg.
    b".sconf_temp",
    b".conf_check_",
    b"config.tests",
    b"ffconf.",
];

/// Whether a compilation of `input` to `output`, in that working directory, is such a test.
pub(crate) fn is_probe(input: &OsStr, output: Option<&OsStr>, working_directory: &Path) -> bool {
    let name = base_name(input);
    // Kbuild asks for options with it.
    input == "/dev/null"
        || SOURCES.iter().any(|start| name.starts_with(start))
        || is_zlib_test(name)
        || is_meson_test(input, output)
        || in_test_folder(working_directory)
        || in_test_folder(Path::new(input))
}

fn in_test_folder(path: &Path) -> bool {
    path.components().any(|component| match component {
        Component::Normal(name) => FOLDERS
            .iter()
            .any(|start| name.as_bytes().starts_with(start)),
        _ => false,
    })
}

/// The configure script of zlib, and others modelled on it: `ztest` and the number of the process.
fn is_zlib_test(name: &[u8]) -> bool {
    name.strip_prefix(b"ztest")
        .and_then(|rest| rest.strip_suffix(b".c"))
        .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// Meson's tests before there is a build folder are in a temporary one.
fn is_meson_test(input: &OsStr, output: Option<&OsStr>) -> bool {
    let output = output.map(Path::new);
    let input = Path::new(input);
    input.file_stem() == Some(OsStr::new("testfile"))
        && output.is_some_and(|output| {
            output.file_stem() == Some(OsStr::new("output")) && output.parent() == input.parent()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(input: &str, output: &str, working_directory: &str) -> bool {
        is_probe(
            OsStr::new(input),
            Some(OsStr::new(output)),
            Path::new(working_directory),
        )
    }

    #[test]
    fn tests_of_configuration_tools_are_recognised() {
        for (input, output, folder) in [
            ("conftest.c", "conftest.o", "/p"),
            ("ztest4711.c", "ztest4711.o", "/p"),
            ("/dev/null", ".tmp_42/tmp", "/linux"),
            (
                "CMakeCXXCompilerId.cpp",
                "x.o",
                "/p/b/CMakeFiles/3.25.1/CompilerIdCXX",
            ),
            ("/p/b/CMakeFiles/CMakeTmp/src.c", "src.c.o", "/p/b"),
            (
                "src.c",
                "src.c.o",
                "/p/b/CMakeFiles/CMakeScratch/TryCompile-4QbNEv",
            ),
            (
                "/p/b/meson-private/tmpab12/testfile.c",
                "x/output.obj",
                "/p",
            ),
            (
                "/tmp/tmpx15nuzui/testfile.cpp",
                "/tmp/tmpx15nuzui/output.obj",
                "/p",
            ),
            (
                ".sconf_temp/conftest_3.cpp",
                ".sconf_temp/conftest_3.o",
                "/p",
            ),
            ("test.c", "test.c.1.o", "/p/build/.conf_check_0f2/testbuild"),
            (
                "/tmp/ffconf.Xa12/test.c",
                "/tmp/ffconf.Xa12/test.o",
                "/ffmpeg",
            ),
        ] {
            assert!(probe(input, output, folder), "{input}");
        }
    }

    #[test]
    fn sources_of_projects_are_not() {
        for (input, output, folder) in [
            ("src/configure.c", "configure.o", "/p"),
            ("ztest.c", "ztest.o", "/p"),
            ("tests/testfile.c", "obj/output.o", "/p"),
            ("testfile.c", "testfile.o", "/p"),
            ("conf.c", "conf.o", "/p/CMakeFiles"),
            ("/p/b/CMakeFiles/app.dir/cmake_pch.hxx.cxx", "x.o", "/p/b"),
        ] {
            assert!(!probe(input, output, folder), "{input}");
        }
    }
}
