//! Fits the job count into the build command: each build tool learns it in its own way.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// How the command is to be run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Program and arguments.
    pub(crate) command: Vec<OsString>,
    /// Variables to set.
    pub(crate) variables: Vec<(&'static str, OsString)>,
}

/// Adds `jobs` to `command` unless the user has said how many. `makeflags` is what the environment
/// has already.
pub(crate) fn plan(command: &[OsString], jobs: usize, makeflags: Option<&OsStr>) -> Plan {
    let mut plan = Plan {
        command: command.to_vec(),
        variables: Vec::new(),
    };
    let Some(program) = command.first() else {
        return plan;
    };
    let name = Path::new(program)
        .file_name()
        .map(OsStr::as_bytes)
        .unwrap_or_default();
    let jobs_option = OsString::from(format!("-j{jobs}"));
    match name {
        // ninja listens to its command line only.
        b"ninja" | b"ninja-build" | b"samu" => {
            if !has_job_count(&command[1..]) {
                plan.command.insert(1, jobs_option);
            }
        }
        // Make inherits MAKEFLAGS, also where a script or another tool starts it; its own command
        // line wins. The other variables are CMake's and Meson's way of saying the same.
        _ => {
            if !makeflags.is_some_and(|flags| names_job_count(flags.as_bytes())) {
                let mut flags = makeflags.unwrap_or_default().to_owned();
                if !flags.is_empty() {
                    flags.push(" ");
                }
                flags.push(&jobs_option);
                plan.variables.push(("MAKEFLAGS", flags));
            }
            plan.variables
                .push(("CMAKE_BUILD_PARALLEL_LEVEL", jobs.to_string().into()));
        }
    }
    plan
}

fn has_job_count(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .any(|argument| argument.as_bytes().starts_with(b"-j"))
}

fn names_job_count(makeflags: &[u8]) -> bool {
    makeflags
        .split(|b| b.is_ascii_whitespace())
        .any(|word| word.starts_with(b"-j") || word.starts_with(b"--jobs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn make_learns_from_its_variable() {
        let plan = plan(&words("make all"), 24, None);
        assert_eq!(plan.command, words("make all"));
        assert_eq!(plan.variables[0], ("MAKEFLAGS", "-j24".into()));
    }

    #[test]
    fn what_the_user_said_stays() {
        let with_flags = plan(&words("make"), 24, Some(OsStr::new("-k -j3")));
        assert!(
            with_flags
                .variables
                .iter()
                .all(|(name, _)| *name != "MAKEFLAGS")
        );
        let ninja = plan(&words("ninja -j3 all"), 24, None);
        assert_eq!(ninja.command, words("ninja -j3 all"));
        let other_flags = plan(&words("make"), 24, Some(OsStr::new("-k")));
        assert_eq!(other_flags.variables[0].1, "-k -j24");
    }

    #[test]
    fn ninja_learns_from_its_command_line() {
        let plan = plan(&words("/usr/bin/ninja all"), 24, None);
        assert_eq!(plan.command, words("/usr/bin/ninja -j24 all"));
    }
}
