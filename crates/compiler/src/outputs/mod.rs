//! Every file a compilation will create, by the name the compiler will give it.
//!
//! The words that ask for files are collected while the command line is read ([`Requests`]); the names follow the rules of each compiler ([`gcc`], [`clang`]),
//! watched with GCC 12 and Clang 14 and compared with them by a test. GCC named some of these files differently before version 11. Files that only a
//! running program writes (profiles), and those a crashing compiler leaves, are not known here.

mod clang;
mod gcc;
mod requests;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::names::{Family, base_name};
pub(crate) use requests::Requests;

/// What a created file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputRole {
    /// Object code or whatever stands for it (bitcode with link-time optimisation).
    Object,
    /// `-S`.
    Assembly,
    /// `-E`.
    Preprocessed,
    /// A program or library.
    Linked,
    /// A precompiled header.
    PrecompiledHeader,
    /// A report of the static analyser or another form of the program that is the main output.
    Report,
    /// A dependency file.
    Dependencies,
    /// Debug information split off: `.dwo`.
    SplitDebug,
    /// `.gcno`.
    CoverageNotes,
    /// `.su`.
    StackUsage,
    /// `.ci`.
    CallGraph,
    /// What the optimiser did or did not do.
    OptimisationRecord,
    /// `-ftime-trace`.
    TimeTrace,
    /// Intermediate files of `-save-temps`.
    SavedTemporary,
    /// `-fdump-…`, `-d…`.
    Dump,
    /// A part of a compilation database.
    CompilationDatabase,
    /// `-aux-info`.
    Prototypes,
    /// A listing of the assembler.
    Listing,
    /// Diagnostics for other programs.
    Diagnostics,
    /// A compiled module.
    Module,
    /// Times and counts.
    Statistics,
}

/// A file a compilation will create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it is for.
    pub role: OutputRole,
    /// Its name, relative to the working directory of the compiler unless absolute.
    pub path: OsString,
    /// `path` is only the beginning of the names of such files: some, one or none of them will be there.
    pub pattern: bool,
}

impl Output {
    fn new(role: OutputRole, path: impl Into<OsString>) -> Output {
        Output {
            role,
            path: path.into(),
            pattern: false,
        }
    }

    fn pattern(role: OutputRole, start: impl Into<OsString>) -> Output {
        Output {
            role,
            path: start.into(),
            pattern: true,
        }
    }
}

/// How far the compiler goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Preprocess,
    Check,
    Assembly,
    Object,
    Link,
}

/// What an input is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Source with the suffix of its preprocessed form.
    Source(&'static str),
    /// Source that is preprocessed already.
    Preprocessed,
    /// Assembler source with macros.
    AssemblerWithMacros,
    Assembler,
    /// A header to be precompiled.
    Header(&'static str),
    /// Anything else: goes to the linker.
    Linker,
}

impl Kind {
    /// By the name given to `-x`.
    pub(crate) fn of_language(name: &[u8]) -> Kind {
        match name {
            b"c" => Kind::Source("i"),
            b"c++" => Kind::Source("ii"),
            b"objective-c" => Kind::Source("mi"),
            b"objective-c++" => Kind::Source("mii"),
            b"cpp-output"
            | b"c++-cpp-output"
            | b"objective-c-cpp-output"
            | b"objective-c++-cpp-output" => Kind::Preprocessed,
            b"assembler" => Kind::Assembler,
            b"assembler-with-cpp" => Kind::AssemblerWithMacros,
            b"c-header" => Kind::Header("i"),
            b"c++-header" => Kind::Header("ii"),
            _ => Kind::Linker,
        }
    }

    /// By the suffix of the name. `cxx`: the driver takes C for C++.
    pub(crate) fn of_file(name: &OsStr, cxx: bool) -> Kind {
        match split_suffix(base_name(name)).1 {
            b"c" if cxx => Kind::Source("ii"),
            b"c" => Kind::Source("i"),
            b"cc" | b"cpp" | b"cxx" | b"cp" | b"c++" | b"C" | b"CPP" => Kind::Source("ii"),
            b"m" => Kind::Source("mi"),
            b"mm" | b"M" => Kind::Source("mii"),
            b"i" | b"ii" | b"mi" | b"mii" => Kind::Preprocessed,
            b"s" => Kind::Assembler,
            b"S" | b"sx" => Kind::AssemblerWithMacros,
            b"h" => Kind::Header("i"),
            b"hh" | b"H" | b"hp" | b"hxx" | b"hpp" | b"HPP" | b"h++" | b"tcc" => Kind::Header("ii"),
            _ => Kind::Linker,
        }
    }
}

/// Where `-save-temps` puts its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temporaries {
    WorkingDirectory,
    BesideOutput,
    /// As the compiler likes.
    Usual,
}

/// A command line, as far as names of outputs depend on it.
pub(crate) struct Job<'a> {
    pub(crate) requests: &'a Requests,
    pub(crate) stage: Stage,
    /// `-o`.
    pub(crate) output: Option<&'a OsStr>,
    pub(crate) inputs: &'a [(OsString, Kind)],
}

/// All outputs, the main one first.
pub(crate) fn list(family: Family, job: &Job<'_>) -> Vec<Output> {
    let mut outputs = match family {
        Family::Gcc => gcc::list(job),
        Family::Clang => clang::list(job),
    };
    outputs.extend(job.requests.named.iter().cloned());
    outputs.retain(|output| {
        !output.path.is_empty()
            && output.path != "-"
            && !output.path.as_bytes().starts_with(b"/dev/")
    });
    outputs
}

/// The folder with its slash, and the name in it.
fn split_folder(path: &OsStr) -> (&[u8], &[u8]) {
    let name = base_name(path);
    let bytes = path.as_bytes();
    bytes.split_at(bytes.len() - name.len())
}

/// The name without its suffix and the suffix without its dot. A leading dot begins no suffix.
fn split_suffix(name: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'.', name) {
        None | Some(0) => (name, b""),
        Some(dot) => (
            name.get(..dot).unwrap_or_default(),
            name.get(dot + 1..).unwrap_or_default(),
        ),
    }
}

fn join(parts: &[&[u8]]) -> OsString {
    OsString::from_vec(parts.concat())
}
