//! Which program names are compilers, of which family, and for which language.
//!
//! A name is read as `[target-]tool[-version]`, as compilers are installed: `x86_64-linux-gnu-g++-12` is `g++` for that target. Only the six tools
//! that are known to be C or C++ drivers count; `gcc-ar`, `clang-tidy` or a `winegcc`, which adds options of its own, are other programs. What a
//! `cc` really is cannot be seen in the name: [`Tool::family`] is `None` then and the caller looks further.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Which command line a compiler understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// GCC.
    Gcc,
    /// Clang.
    Clang,
}

/// The language of a translation unit, with the numbers of Icecream's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cxx,
    /// Objective-C.
    ObjectiveC,
    /// Objective-C++.
    ObjectiveCxx,
}

impl Language {
    /// The number in GET_CS and COMPILE_FILE.
    pub const fn number(self) -> u32 {
        match self {
            Language::C => 0,
            Language::Cxx => 1,
            Language::ObjectiveC => 2,
            Language::ObjectiveCxx => 3,
        }
    }

    /// The word after `-x`.
    pub const fn option(self) -> &'static str {
        match self {
            Language::C => "c",
            Language::Cxx => "c++",
            Language::ObjectiveC => "objective-c",
            Language::ObjectiveCxx => "objective-c++",
        }
    }
}

/// A compiler name taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// `None` for `cc` and `c++`, which may be either.
    pub family: Option<Family>,
    /// Whether the driver compiles `.c` files as C++.
    pub cxx: bool,
    /// What stands before the tool, without the last dash: `arm-none-eabi`; empty if nothing does.
    pub target: Vec<u8>,
    /// What stands after the tool, without the dash: `12`; empty if nothing does.
    pub version: Vec<u8>,
}

const TOOLS: &[(&[u8], Option<Family>, bool)] = &[
    (b"gcc", Some(Family::Gcc), false),
    (b"g++", Some(Family::Gcc), true),
    (b"clang", Some(Family::Clang), false),
    (b"clang++", Some(Family::Clang), true),
    (b"cc", None, false),
    (b"c++", None, true),
];

/// Takes the last component of `program` apart; `None` if it is not the name of a compiler.
pub fn parse(program: &OsStr) -> Option<Tool> {
    let name = base_name(program);
    let (stem, version) = split_version(name);
    let (target, tool) = match stem.iter().rposition(|&b| b == b'-') {
        Some(dash) => (stem.get(..dash)?, stem.get(dash + 1..)?),
        None => (&stem[..0], stem),
    };
    let &(_, family, cxx) = TOOLS.iter().find(|(word, _, _)| *word == tool)?;
    Some(Tool {
        family,
        cxx,
        target: target.to_vec(),
        version: version.to_vec(),
    })
}

/// The last component of a program name, as bytes.
pub fn base_name(program: &OsStr) -> &[u8] {
    let bytes = program.as_bytes();
    match bytes.iter().rposition(|&b| b == b'/') {
        Some(slash) => bytes.get(slash + 1..).unwrap_or_default(),
        None => bytes,
    }
}

/// Cuts a trailing `-12`, `-4.9` or `-14.0.6`.
fn split_version(name: &[u8]) -> (&[u8], &[u8]) {
    let Some(dash) = name.iter().rposition(|&b| b == b'-') else {
        return (name, &[]);
    };
    let (stem, version) = name.split_at(dash);
    let version = version.get(1..).unwrap_or_default();
    let is_version = version.first().is_some_and(u8::is_ascii_digit)
        && version.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    if is_version {
        (stem, version)
    } else {
        (name, &[])
    }
}

/// The name of the C driver that belongs to a C++ driver, path and version kept: `/usr/bin/g++-12` → `/usr/bin/gcc-12`. Other names stay as they are.
pub fn c_sibling(program: &OsStr) -> OsString {
    let Some(tool) = parse(program) else {
        return program.to_owned();
    };
    if !tool.cxx {
        return program.to_owned();
    }
    let replacement: &[u8] = match tool.family {
        Some(Family::Gcc) => b"gcc",
        Some(Family::Clang) => b"clang",
        None => b"cc",
    };
    let directory = program.as_bytes().len() - base_name(program).len();
    let mut name = program
        .as_bytes()
        .get(..directory)
        .unwrap_or_default()
        .to_vec();
    for (part, dash_before) in [
        (tool.target.as_slice(), false),
        (replacement, !tool.target.is_empty()),
        (tool.version.as_slice(), true),
    ] {
        if part.is_empty() {
            continue;
        }
        if dash_before {
            name.push(b'-');
        }
        name.extend_from_slice(part);
    }
    OsString::from_vec(name)
}

/// The prefixes under which a toolchain for this compiler may be named by `ICECC_VERSION=file=PREFIX`: the target as we read it, and what stands before
/// the last dash, as Icecream reads it.
pub fn toolchain_prefixes(program: &OsStr) -> Vec<Vec<u8>> {
    let name = base_name(program);
    let icecream = match name.iter().rposition(|&b| b == b'-') {
        Some(dash) => name.get(..dash).unwrap_or_default().to_vec(),
        None => Vec::new(),
    };
    let mut prefixes = vec![icecream];
    if let Some(tool) = parse(program)
        && !prefixes.contains(&tool.target)
    {
        prefixes.push(tool.target);
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str) -> Option<(Option<Family>, bool, String, String)> {
        parse(OsStr::new(name)).map(|t| {
            (
                t.family,
                t.cxx,
                String::from_utf8_lossy(&t.target).into_owned(),
                String::from_utf8_lossy(&t.version).into_owned(),
            )
        })
    }

    #[test]
    fn reads_target_tool_and_version() {
        let gcc = Some(Family::Gcc);
        let clang = Some(Family::Clang);
        let text = |s: &str| s.to_owned();
        for (name, expected) in [
            ("gcc", (gcc, false, "", "")),
            ("/opt/x/bin/g++-12", (gcc, true, "", "12")),
            (
                "x86_64-linux-gnu-gcc-12",
                (gcc, false, "x86_64-linux-gnu", "12"),
            ),
            ("arm-none-eabi-gcc", (gcc, false, "arm-none-eabi", "")),
            ("clang++-14", (clang, true, "", "14")),
            (
                "arm-linux-androideabi-clang++",
                (clang, true, "arm-linux-androideabi", ""),
            ),
            ("cc", (None, false, "", "")),
            ("cc-12", (None, false, "", "12")),
            ("x86_64-linux-gnu-c++", (None, true, "x86_64-linux-gnu", "")),
            ("gcc-4.9", (gcc, false, "", "4.9")),
        ] {
            let (family, cxx, target, version) = expected;
            assert_eq!(
                tool(name),
                Some((family, cxx, text(target), text(version))),
                "{name}"
            );
        }
    }

    #[test]
    fn other_programs_are_not_compilers() {
        for name in [
            "gcc-ar",
            "gcc-nm-12",
            "clang-tidy",
            "clang-format-14",
            "clang-cl",
            "gccgo",
            "winegcc",
            "ccache",
            "distcc",
            "make",
            "ls",
            "",
            "-",
            "-c",
            "c99",
            "nvcc",
            "gcc/",
            "/opt/gcc/bin/foo",
        ] {
            assert_eq!(tool(name), None, "{name}");
        }
    }

    #[test]
    fn c_siblings() {
        for (name, sibling) in [
            ("g++", "gcc"),
            ("/usr/bin/c++", "/usr/bin/cc"),
            ("/usr/bin/clang++-14", "/usr/bin/clang-14"),
            ("x86_64-linux-gnu-g++-12", "x86_64-linux-gnu-gcc-12"),
            ("gcc", "gcc"),
            ("make", "make"),
        ] {
            assert_eq!(c_sibling(OsStr::new(name)), OsString::from(sibling));
        }
    }

    #[test]
    fn prefixes_for_toolchains() {
        let prefixes = |name: &str| toolchain_prefixes(OsStr::new(name));
        assert_eq!(prefixes("gcc"), [b"".to_vec()]);
        assert_eq!(prefixes("gcc-12"), [b"gcc".to_vec(), b"".to_vec()]);
        assert_eq!(
            prefixes("x86_64-linux-gnu-gcc-12"),
            [
                b"x86_64-linux-gnu-gcc".to_vec(),
                b"x86_64-linux-gnu".to_vec()
            ]
        );
    }
}
