//! Texts for people who call the wrapper by its own name.

use std::io::Write;

/// `icecc --version`. Scripts look for the first word; Icecream's own number follows the protocol we speak.
pub(crate) const ICECC_VERSION: &str = concat!("ICECC ", env!("CARGO_PKG_VERSION"), " (Gelato)\n");

/// `icerun --version`.
pub(crate) const ICERUN_VERSION: &str =
    concat!("ICERUN ", env!("CARGO_PKG_VERSION"), " (Gelato)\n");

/// `icecc --help`.
pub(crate) const ICECC_HELP: &str = "\
Usage: icecc COMPILER [ARGUMENT]...
   or: icecc --build-native [COMPILER] [FILE]...
   or: icecc --version | --help
   or: COMPILER [ARGUMENT]...   (through a link with the compiler's name to icecc)

Runs a compilation on another machine of the cluster, or here if it cannot travel.
Output, messages and exit status are those of the compiler.

  --build-native   package the compiler as a toolchain archive in this folder
  --version        print the version
  --help           print this text

Variables (most may stand in a file instead, see gelato.toml(5) and `gelato config`):
  ICECC=no                compile here, one slot of the daemon per job
  ICECC=disable           compile here, ask no daemon
  ICECC_VERSION           toolchain archives to use: [PLATFORM:]FILE[=TARGET],...
  ICECC_CC, ICECC_CXX     compilers to use for C and C++
  ICECC_REMOTE_CPP=0      expand macros here, too, not only merge includes
  ICECC_CLANG_REMOTE_CPP  the same for Clang only
  ICECC_EXTRAFILES        further files for the toolchain: FILE[:FILE]...
  ICECC_COLOR_DIAGNOSTICS=0  no colours from a GCC elsewhere
  ICECC_CARET_WORKAROUND=0   show what a GCC elsewhere says, with or without source lines
  ICECC_COMPRESSION       zstd level of what is sent
  ICECC_ENV_COMPRESSION   compression of toolchains: none gzip bzip2 zstd xz
  ICECC_PREFERRED_HOST    the only worker to use
  ICECC_IGNORE_UNVERIFIED use only workers that check toolchains
  ICECC_REPEAT_RATE       of 1000 jobs of GCC, how many are done thrice and compared
  ICECC_REQUIRE_REMOTE=1  the same as GELATO_POLICY=require
  ICECC_SLOW_NETWORK=1    send in small pieces
  ICECC_DEBUG             error, warning, info or debug: what to report
  ICECC_LOGFILE           where to report it, instead of standard error
  UNCACHED_ERR_FD         descriptor to report to, set by ccache
  ICECC_TEST_SOCKET       socket of the daemon, fail if there is none
  ICECC_TEST_REMOTEBUILD  take a worker of this machine for another machine
  GELATO_POLICY           what to do with a compilation that would be local:
                          auto (do it), prefer (try harder first), require (fail)
  GELATO_VERIFY_RATE      of 1000 jobs, how many are done twice and compared
  GELATO_DEBUG_CHECKSUMS  drop: no checksums of sources in Clang's DWARF 5, so that it travels
  GELATO_LOCAL_JOBS       compilers at once if there is no daemon
  GELATO_NOTICES=1        say when jobs stay here because something does not work
  GELATO_SOCKET           socket of the daemon, compile here if there is none
  GELATO_BUILD_LOG        append one line per job to this file
  GELATO_CONFIG           the only file of settings

Exit status: the compiler's, or
  111  the command leads back to icecc      115  no such compiler in PATH
  119  no daemon at ICECC_TEST_SOCKET       120  local, and the policy is require
  126  the compiler cannot be executed      127  the compiler does not exist
";

/// `icerun --help`.
pub(crate) const ICERUN_HELP: &str = "\
Usage: icerun COMMAND [ARGUMENT]...
   or: icerun --version | --help

Runs a command on this machine under a slot of the daemon, so that all jobs of all
builds together do not run more at once than the machine has room for.
";

/// To standard output; a closed pipe is nobody's problem.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use gelato_settings::keys;

    use super::*;

    #[test]
    fn every_variable_and_status_is_in_help_and_manual() {
        let manual = include_str!("../../../man/icecc.1");
        let of_settings = keys::ALL
            .iter()
            .filter(|key| key.section == "wrapper")
            .flat_map(|key| key.variables)
            .map(|variable| variable.name);
        let others = [
            "UNCACHED_ERR_FD",
            "ICECC_TEST_SOCKET",
            "ICECC_TEST_REMOTEBUILD",
            "GELATO_CONFIG",
        ];
        for name in of_settings.chain(others) {
            assert!(ICECC_HELP.contains(name), "{name} is not in the help");
            assert!(manual.contains(name), "{name} is not in icecc(1)");
        }
        for status in ["111", "115", "119", "120", "126", "127"] {
            assert!(
                ICECC_HELP.contains(status) && manual.contains(status),
                "{status}"
            );
        }
        assert!(ICECC_HELP.lines().all(|line| line.len() <= 100));
    }
}
