//! Builds by real build systems: in every way their users know, with every object, dependency file and result of the
//! configuration as without us, every translation unit compiled by a worker, and every test of the configuration here.

mod shared;
mod site;
mod tree;

use anyhow::Result;
use gelato_lab::{programs, sources};

use crate::shared::Shared;
use crate::site::{System, Way, Words, check};

/// A command line in words.
fn line(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn unconfigured(_: &Words) -> Vec<String> {
    Vec::new()
}

const WORDS: System = System {
    project: "words",
    needs: &[],
    prepare: &[],
    configure: unconfigured,
    build: unconfigured,
    touch: "src/hash.h",
    try_it: (&["./check"], "all checks passed"),
    local: &[],
    local_objects: 0,
};

/// With debug information, sources that mention the date are compiled here.
const MAKE: System = System {
    local: &[("contextual-source", 2)],
    local_objects: 2,
    build: |words| [line("make -j4 -f ../source/plain.mk"), words.compilers()].concat(),
    ..WORDS
};

const NINJA: System = System {
    local: &[("contextual-source", 1)],
    local_objects: 1,
    needs: &["ninja"],
    build: |_| line("ninja -j4 -f ../source/build.ninja"),
    ..WORDS
};

fn cmake(generator: &str, options: &str, words: &Words) -> Vec<String> {
    let mut line = line("cmake -S ../source -B . -G");
    line.push(generator.to_owned());
    line.extend(self::line(options));
    line.extend(words.launchers());
    line
}

fn cmake_build(_: &Words) -> Vec<String> {
    line("cmake --build . -j4")
}

const CMAKE_MAKE: System = System {
    needs: &["cmake"],
    configure: |words| cmake("Unix Makefiles", "", words),
    build: cmake_build,
    ..WORDS
};

const CMAKE_NINJA: System = System {
    needs: &["cmake", "ninja"],
    configure: |words| cmake("Ninja", "", words),
    ..CMAKE_MAKE
};

/// Precompiled headers, and colours and carets of a warning.
const CMAKE_PRECOMPILED: System = System {
    configure: |words| {
        let options = "-DWORDS_CHECKS=OFF -DWORDS_PCH=ON -DWORDS_WARNING=ON -DCMAKE_BUILD_TYPE=Debug \
                       -DCMAKE_COLOR_DIAGNOSTICS=ON";
        cmake("Ninja", options, words)
    },
    build: |_| line("env CLICOLOR_FORCE=1 ninja -j4"),
    // The headers themselves, what is compiled with them and lists its dependencies, and a warning, which the local gcc
    // says again.
    local: &[
        ("unsupported-language", 2),
        ("precompiled-header", 6),
        ("failed-over", 1),
    ],
    local_objects: 7,
    ..CMAKE_NINJA
};

/// Several sources in one unit, optimised by the linker. Without a seed every such object is another one.
const CMAKE_UNITY: System = System {
    configure: |words| {
        let options = "-DWORDS_CHECKS=OFF -DCMAKE_UNITY_BUILD=ON -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON \
                       -DCMAKE_C_FLAGS=-frandom-seed=7 -DCMAKE_CXX_FLAGS=-frandom-seed=7";
        cmake("Ninja", options, words)
    },
    ..CMAKE_NINJA
};

const MESON: System = System {
    local: &[("contextual-source", 1)],
    local_objects: 1,
    needs: &["meson", "ninja"],
    configure: |_| line("meson setup . ../source"),
    build: |_| line("ninja -j4"),
    ..WORDS
};

const AUTOTOOLS: System = System {
    local: &[("contextual-source", 2)],
    local_objects: 2,
    needs: &["autoreconf", "automake", "libtoolize"],
    prepare: &["autoreconf", "-i"],
    configure: |words| [line("../source/configure"), words.compilers()].concat(),
    build: |_| line("make -j4 check"),
    try_it: (&["./check-words"], "all checks passed"),
    ..WORDS
};

/// Its configure script is its own; both a static and a shared library.
const ZLIB: System = System {
    project: "zlib",
    configure: |_| line("../source/configure"),
    build: |_| line("make -j4 minigzip libz.so.1.2.13 CFLAGS=-O1"),
    touch: "inftrees.h",
    try_it: (
        &["sh", "-c", "echo works | ./minigzip | ./minigzip -d"],
        "works",
    ),
    ..WORDS
};

const TINYXML: System = System {
    project: "tinyxml2",
    try_it: (&["sh", "-c", "ls libtinyxml2.so"], "libtinyxml2.so"),
    touch: "tinyxml2.h",
    local: &[],
    local_objects: 0,
    ..MESON
};

/// Whether everything `system` needs is on this machine; says what is not.
fn available(system: &System) -> bool {
    for program in system.needs {
        if programs::in_path(program).is_none() {
            gelato_lab::skip(&format!("{program} is not installed"));
            return false;
        }
    }
    if sources::PACKAGES.contains(&system.project)
        && let Err(error) = sources::fetch(system.project)
    {
        gelato_lab::skip(&format!(
            "source package {} cannot be had: {error:#}",
            system.project
        ));
        return false;
    }
    true
}

fn builds(system: &System, ways: &[Way]) -> Result<()> {
    if !available(system) {
        return Ok(());
    }
    let shared = Shared::join()?;
    check(shared.cluster()?, system, ways)?;
    shared.leave()
}

#[test]
fn make_with_a_makefile_written_by_hand() -> Result<()> {
    builds(&MAKE, &[Way::Masquerade, Way::Named, Way::CcachePrefix])
}

#[test]
fn ninja_with_a_file_written_by_hand() -> Result<()> {
    builds(&NINJA, &[Way::Masquerade, Way::GelatoBuild])
}

#[test]
fn cmake_with_makefiles() -> Result<()> {
    builds(&CMAKE_MAKE, &[Way::Launcher, Way::Masquerade])
}

#[test]
fn cmake_with_ninja() -> Result<()> {
    builds(
        &CMAKE_NINJA,
        &[
            Way::Launcher,
            Way::Masquerade,
            Way::CcachePrefix,
            Way::GelatoBuild,
        ],
    )
}

#[test]
fn cmake_with_precompiled_headers_and_colours() -> Result<()> {
    builds(&CMAKE_PRECOMPILED, &[Way::Launcher])
}

#[test]
fn cmake_with_unity_builds_and_link_time_optimisation() -> Result<()> {
    builds(&CMAKE_UNITY, &[Way::Launcher])
}

#[test]
fn meson() -> Result<()> {
    builds(&MESON, &[Way::Named])
}

#[test]
fn autotools_with_libtool() -> Result<()> {
    builds(&AUTOTOOLS, &[Way::Named, Way::Bare, Way::Masquerade])
}

#[test]
fn zlib_with_a_configure_script_of_its_own() -> Result<()> {
    builds(&ZLIB, &[Way::GelatoBuild])
}

#[test]
fn tinyxml_with_meson() -> Result<()> {
    builds(&TINYXML, &[Way::Masquerade, Way::GelatoBuild])
}
