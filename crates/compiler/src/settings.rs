//! What the environment says about how to do jobs, as far as the decision depends on it.
//!
//! Variables that only steer the program around the decision (sockets, logs, hosts) are not read here.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::names::Family;

/// What the surroundings say about how to do jobs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `ICECC_REMOTE_CPP=0` or its like for Clang: expand macros here.
    pub full_preprocessing: bool,
    /// The compiler would use colours because it writes to a terminal.
    pub colours: bool,
    /// `GELATO_DEBUG_CHECKSUMS=drop`: Clang's DWARF 5 may do without checksums of the sources, which it cannot have elsewhere.
    pub drop_debug_checksums: bool,
    /// The environment variable, if one is set, that changes what the compiler does in a way that cannot be sent.
    pub meddling_variable: Option<&'static str>,
    /// The working directory, absolute.
    pub working_directory: PathBuf,
}

/// Variables that change a compilation and do not reach another machine.
const MEDDLING_VARIABLES: &[&str] = &[
    "CCC_OVERRIDE_OPTIONS",
    "CCC_ADD_ARGS",
    "CC_PRINT_HEADERS",
    "CC_PRINT_OPTIONS",
    "CLANG_NO_DEFAULT_CONFIG",
    "COMPILER_PATH",
    "DEPENDENCIES_OUTPUT",
    "GCC_COMPARE_DEBUG",
    "GCC_EXEC_PREFIX",
    "GCC_EXTRA_DIAGNOSTIC_OUTPUT",
    "RC_DEBUG_OPTIONS",
    "SUNPRO_DEPENDENCIES",
];

impl Settings {
    /// Settings as the environment gives them. `terminal` says whether standard error is one.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<OsString>,
        family: Family,
        terminal: bool,
        working_directory: PathBuf,
    ) -> Settings {
        let remote_cpp = match variable("ICECC_REMOTE_CPP") {
            None if family == Family::Clang => variable("ICECC_CLANG_REMOTE_CPP"),
            value => value,
        };
        let dumb = variable("TERM").is_none_or(|term| term.eq_ignore_ascii_case("dumb"));
        // Set but empty it is how GCC is told not to.
        let colourless =
            family == Family::Gcc && variable("GCC_COLORS").is_some_and(|value| value.is_empty());
        Settings {
            full_preprocessing: remote_cpp
                .is_some_and(|value| matches!(value.as_bytes().first(), None | Some(b'0'))),
            colours: terminal && !dumb && !colourless,
            drop_debug_checksums: variable("GELATO_DEBUG_CHECKSUMS")
                .is_some_and(|value| value == "drop"),
            meddling_variable: MEDDLING_VARIABLES
                .iter()
                .copied()
                .find(|name| variable(name).is_some()),
            working_directory,
        }
    }
}
