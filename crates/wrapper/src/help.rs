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

Variables:
  ICECC=no               compile here, one slot of the daemon per job
  ICECC=disable          compile here, ask no daemon
  ICECC_VERSION          toolchain archives to use: [PLATFORM:]FILE[=TARGET],...
  ICECC_CC, ICECC_CXX    compilers to use for C and C++
  ICECC_REMOTE_CPP=0     expand macros here, too, not only merge includes
  ICECC_CLANG_REMOTE_CPP the same for Clang only
  ICECC_EXTRAFILES       further files for the toolchain: FILE[:FILE]...
  ICECC_COMPRESSION      zstd level of what is sent
  ICECC_ENV_COMPRESSION  compression of toolchains: none gzip bzip2 zstd xz
  ICECC_PREFERRED_HOST   the only worker to use
  ICECC_IGNORE_UNVERIFIED  use only workers that check toolchains
  ICECC_SLOW_NETWORK=1   send in small pieces
  ICECC_DEBUG            error, warning, info or debug: what to report
  ICECC_LOGFILE          where to report it, instead of standard error
  ICECC_TEST_SOCKET      socket of the daemon, fail if there is none
  GELATO_SOCKET          socket of the daemon, compile here if there is none
  GELATO_BUILD_LOG       append one line per job to this file
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
