//! Every file a compilation reads besides headers and what its configuration names: the sources, and what options name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What a file is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputRole {
    /// A source, object or library of the command line itself.
    Source,
    /// `-include`.
    Include,
    /// `-imacros`.
    Macros,
    /// `-include-pch`.
    PrecompiledHeader,
    /// A plug-in of the compiler.
    Plugin,
    /// What a sanitizer or instrumentation shall leave out or take in.
    InstrumentationList,
    /// What an earlier run of the program showed.
    Profile,
    /// How the driver calls its programs.
    Specifications,
    /// What the assembler reads.
    AssemblerFile,
    /// A compiled module or a map of modules.
    Module,
    /// A virtual file system.
    FileSystemOverlay,
}

/// A file a compilation reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// What for.
    pub role: InputRole,
    /// The name as typed.
    pub path: OsString,
}

impl Input {
    pub(crate) fn new(role: InputRole, path: impl Into<OsString>) -> Input {
        Input {
            role,
            path: path.into(),
        }
    }
}

/// Options whose value, in the word or the next one, names a file.
const OPTIONS: &[(&str, InputRole)] = &[
    ("--config", InputRole::Specifications),
    ("--imacros", InputRole::Macros),
    ("--include", InputRole::Include),
    ("--specs", InputRole::Specifications),
    ("-T", InputRole::Specifications),
    ("-fauto-profile", InputRole::Profile),
    ("-fmemory-profile-use", InputRole::Profile),
    ("-fmodule-file", InputRole::Module),
    ("-fmodule-map-file", InputRole::Module),
    ("-fmodule-mapper", InputRole::Module),
    ("-fpass-plugin", InputRole::Plugin),
    ("-fplugin", InputRole::Plugin),
    ("-fprofile-instr-use", InputRole::Profile),
    ("-fprofile-list", InputRole::InstrumentationList),
    ("-fprofile-remapping-file", InputRole::Profile),
    ("-fprofile-sample-use", InputRole::Profile),
    ("-fprofile-use", InputRole::Profile),
    ("-fsanitize-blacklist", InputRole::InstrumentationList),
    (
        "-fsanitize-coverage-allowlist",
        InputRole::InstrumentationList,
    ),
    (
        "-fsanitize-coverage-ignorelist",
        InputRole::InstrumentationList,
    ),
    ("-fsanitize-ignorelist", InputRole::InstrumentationList),
    ("-fthinlto-index", InputRole::Module),
    ("-fxray-always-instrument", InputRole::InstrumentationList),
    ("-fxray-attr-list", InputRole::InstrumentationList),
    ("-fxray-never-instrument", InputRole::InstrumentationList),
    ("-imacros", InputRole::Macros),
    ("-include", InputRole::Include),
    ("-include-pch", InputRole::PrecompiledHeader),
    ("-ivfsoverlay", InputRole::FileSystemOverlay),
    ("-specs", InputRole::Specifications),
];

/// The file an option names, if it is one of these.
pub(crate) fn of_option(word: &OsStr, value: Option<&OsStr>) -> Option<Input> {
    let bytes = word.as_bytes();
    if !matches!(bytes.get(1), Some(b'-' | b'T' | b'f' | b'i' | b's')) {
        return None;
    }
    let equals = memchr::memchr(b'=', bytes).unwrap_or(bytes.len());
    let (name, rest) = bytes.split_at(equals);
    let exact = OPTIONS
        .binary_search_by(|(option, _)| option.as_bytes().cmp(name))
        .ok()
        .and_then(|index| OPTIONS.get(index));
    if let Some((_, role)) = exact {
        let file = match rest.split_first() {
            Some((_, file)) => OsStr::from_bytes(file),
            None => value?,
        };
        return Some(Input::new(*role, file));
    }
    let joined = |option: &str| bytes.strip_prefix(option.as_bytes());
    let (role, file) = if let Some(file) = joined("-include-pch") {
        (InputRole::PrecompiledHeader, file)
    } else if let Some(file) = joined("-include") {
        (InputRole::Include, file)
    } else if let Some(file) = joined("-imacros") {
        (InputRole::Macros, file)
    } else if let Some(file) = joined("-ivfsoverlay") {
        (InputRole::FileSystemOverlay, file)
    } else {
        return None;
    };
    Some(Input::new(role, OsStr::from_bytes(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_options() {
        assert!(OPTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let named = |word: &str, value: Option<&str>| {
            of_option(OsStr::new(word), value.map(OsStr::new)).map(|i| (i.role, i.path))
        };
        for (word, value, role) in [
            ("-include", Some("x.h"), InputRole::Include),
            ("-includex.h", None, InputRole::Include),
            ("--include=x.h", None, InputRole::Include),
            ("-imacros", Some("x.h"), InputRole::Macros),
            ("-fplugin=x.h", None, InputRole::Plugin),
            ("-specs=x.h", None, InputRole::Specifications),
            ("-fprofile-use=x.h", None, InputRole::Profile),
            ("-include-pch", Some("x.h"), InputRole::PrecompiledHeader),
        ] {
            assert_eq!(named(word, value), Some((role, "x.h".into())), "{word}");
        }
        for word in ["-fprofile-use", "-O2", "-", "-isystem", "-fplugin-arg-a=b"] {
            assert_eq!(named(word, None), None, "{word}");
        }
    }
}
