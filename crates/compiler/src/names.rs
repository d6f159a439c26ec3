//! Which program names are compilers, of which family, and for which language.
//!
//! A name is read as `[target-]tool[-version]`, as compilers are installed: `x86_64-linux-gnu-g++-12` is `g++` for that target. Only six tools
//! are C or C++ drivers for certain; `gcc-ar`, `clang-tidy` or `gcov` are other programs. A name that merely ends in such a word (`armclang`, `winegcc`)
//! may be a compiler or something that starts one: [`Tool::certain`] is false then and the program itself must be asked. What a `cc` really is
//! cannot be seen in the name: [`Tool::family`] is `None` and the caller looks further.

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

    /// The language of a source by the suffix of its name. `cxx`: for a driver that takes C for C++.
    pub fn of_source(name: &OsStr, cxx: bool) -> Option<Language> {
        let name = base_name(name);
        let dot = name.iter().rposition(|&b| b == b'.')?;
        match name.get(dot + 1..)? {
            b"c" | b"i" if cxx => Some(Language::Cxx),
            b"c" | b"i" => Some(Language::C),
            b"cc" | b"cpp" | b"cxx" | b"cp" | b"c++" | b"C" | b"ii" => Some(Language::Cxx),
            b"m" => Some(Language::ObjectiveC),
            b"mm" | b"M" => Some(Language::ObjectiveCxx),
            _ => None,
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
    /// `None` for `cc` and `c++`, which may be either, and for uncertain names.
    pub family: Option<Family>,
    /// Whether the driver compiles `.c` files as C++.
    pub cxx: bool,
    /// What stands before the tool, without the last dash: `arm-none-eabi`; empty if nothing does.
    pub target: Vec<u8>,
    /// What stands after the tool, without the dash: `12`; empty if nothing does.
    pub version: Vec<u8>,
    /// Whether the name alone says that this is a compiler.
    pub certain: bool,
}

/// The longest words first: `clang++` ends in `g++`, and `gcc` in `cc`.
const TOOLS: &[(&[u8], Option<Family>, bool)] = &[
    (b"clang++", Some(Family::Clang), true),
    (b"clang", Some(Family::Clang), false),
    (b"gcc", Some(Family::Gcc), false),
    (b"g++", Some(Family::Gcc), true),
    (b"cc", None, false),
    (b"c++", None, true),
];

/// Words that end a name without changing what it is: programs of other systems, and compilers moved aside for a wrapper of the same name.
const ENDINGS: &[&[u8]] = &[b".exe", b".real", b".br_real", b".orig"];

/// Thread models that MinGW compilers have in their names.
const THREAD_MODELS: &[&[u8]] = &[b"-posix", b"-win32"];

/// Takes the last component of `program` apart; `None` if it is not the name of a compiler.
pub fn parse(program: &OsStr) -> Option<Tool> {
    let parts = Parts::of(base_name(program))?;
    let target = parts.before.strip_suffix(b"-").unwrap_or(parts.before);
    Some(Tool {
        family: parts.certain.then_some(parts.family).flatten(),
        cxx: parts.cxx,
        target: if parts.certain { target } else { b"" }.to_vec(),
        version: parts.version.to_vec(),
        certain: parts.certain,
    })
}

/// A name as a row: what stands before the tool, the tool, everything after it.
struct Parts<'a> {
    before: &'a [u8],
    after: &'a [u8],
    version: &'a [u8],
    family: Option<Family>,
    cxx: bool,
    certain: bool,
}

impl<'a> Parts<'a> {
    fn of(name: &'a [u8]) -> Option<Parts<'a>> {
        let strip = |name: &'a [u8], endings: &[&[u8]]| {
            let stripped = endings.iter().find_map(|ending| name.strip_suffix(*ending));
            stripped.unwrap_or(name)
        };
        let (stem, version) = split_version(strip(strip(name, ENDINGS), THREAD_MODELS));
        let (before, family, cxx) = TOOLS
            .iter()
            .find_map(|(word, family, cxx)| Some((stem.strip_suffix(*word)?, *family, *cxx)))?;
        let certain = before.is_empty() || before.ends_with(b"-");
        // `mpicc` and `tcc` end in `cc`, too: nothing follows from that.
        if !certain && family.is_none() {
            return None;
        }
        Some(Parts {
            before,
            after: name.get(stem.len()..).unwrap_or_default(),
            version,
            family,
            cxx,
            certain,
        })
    }
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
    let Some(parts) = Parts::of(base_name(program)).filter(|parts| parts.cxx) else {
        return program.to_owned();
    };
    let replacement: &[u8] = match parts.family {
        Some(Family::Gcc) => b"gcc",
        Some(Family::Clang) => b"clang",
        None => b"cc",
    };
    let directory = program.as_bytes().len() - base_name(program).len();
    let directory = program.as_bytes().get(..directory).unwrap_or_default();
    OsString::from_vec([directory, parts.before, replacement, parts.after].concat())
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
            ("gcc-4.9.exe", (gcc, false, "", "4.9")),
            ("g++.real", (gcc, true, "", "")),
            (
                "x86_64-w64-mingw32-gcc-12-posix",
                (gcc, false, "x86_64-w64-mingw32", "12"),
            ),
            (
                "x86_64-w64-mingw32-g++-win32",
                (gcc, true, "x86_64-w64-mingw32", ""),
            ),
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
    fn names_that_only_end_like_compilers_are_uncertain() {
        for (name, cxx) in [
            ("winegcc", false),
            ("wineg++", true),
            ("armclang", false),
            ("recursive_g++", true),
            ("my_clang++-14", true),
        ] {
            let tool = parse(OsStr::new(name)).expect(name);
            assert_eq!((tool.certain, tool.family, tool.cxx), (false, None, cxx));
        }
        assert!(parse(OsStr::new("a-gcc")).is_some_and(|tool| tool.certain));
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
            "gcov",
            "gcc-ranlib-12",
            "clangd",
            "clang-cpp-14",
            "clang-scan-deps",
            "c++filt",
            "mpicc",
            "mpic++",
            "build-gcc.sh",
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
            ("/o/wineg++", "/o/winegcc"),
            (
                "x86_64-w64-mingw32-g++-posix",
                "x86_64-w64-mingw32-gcc-posix",
            ),
            ("g++-4.9.exe", "gcc-4.9.exe"),
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
