//! What to do when a program that we started starts us again.
//!
//! A compiler cache finds us in `PATH` or by `CCACHE_PREFIX`, a script calls `gcc` and means the compiler: then we stand aside and become the compiler behind us. But what
//! calls `icecc` by name has been started by it already, and what we would start is what has started us: that is a circle, and it ends here with a sentence.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use gelato_compiler::names;

use crate::invocation::{Program, Run};
use crate::local;
use crate::log::Log;
use crate::search::{self, Found, Own};
use crate::status;
use crate::variables::{DEPTH, Variables};

/// Names, for ourselves further down, the program we have started.
pub(crate) const STARTED: &str = "_GELATO_STARTED";
/// Programs that start each other to this depth do so for ever.
const DEEPEST: u32 = 6;

/// Becomes the compiler behind us, or says why not.
pub(crate) fn stand_aside(variables: &Variables, run: &Run, log: &Log) -> ExitCode {
    let own = Own::find();
    let started = env::var_os(STARTED).map(PathBuf::from);
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let by_launcher = started
        .as_deref()
        .is_some_and(|path| search::is_launcher(&real(path)));
    let Program::Named(name) = &run.program else {
        return circle(variables, &own, OsStr::new("gcc"), started.as_deref(), log);
    };
    let means_the_compiler =
        run.masquerade || by_launcher || names::base_name(name) != name.as_encoded_bytes();
    let behind = means_the_compiler
        .then(|| search::find_compiler(name, variables.path.as_deref(), &own).ok())
        .flatten()
        .filter(|found| started.as_deref().map(real) != Some(found.real.clone()))
        .filter(|_| variables.depth < DEEPEST);
    let Some(Found { path, .. }) = behind else {
        return circle(variables, &own, name, started.as_deref(), log);
    };
    log.info(format_args!(
        "started by a program that icecc has started: becoming {}",
        path.display()
    ));
    let error = Command::new(local::program_path(&path))
        .args(&run.words)
        .env(DEPTH, (variables.depth + 1).to_string())
        .env(STARTED, &path)
        .exec();
    log.error(format_args!("cannot run {}: {error}", path.display()));
    ExitCode::from(status::NOT_EXECUTABLE)
}

/// The sentence.
fn circle(
    variables: &Variables,
    own: &Own,
    name: &OsStr,
    started: Option<&Path>,
    log: &Log,
) -> ExitCode {
    let program = started.map_or_else(|| "a program".into(), |path| path.display().to_string());
    let plain = OsString::from(OsStr::new(Path::new(name).file_name().unwrap_or(name)));
    let mut better = search::find_compiler(&plain, variables.path.as_deref(), own).ok();
    if let (Some(found), Some(started)) = (&better, started)
        && found.path == started
    {
        better = None;
    }
    let example = better.map_or_else(String::new, |found| format!(", {}", found.path.display()));
    log.error(format_args!(
        "icecream seems to have invoked itself recursively! icecc started {program}, which started icecc again for {}: \
         have {program} call the compiler by its full path{example}",
        Path::new(name).display()
    ));
    ExitCode::from(status::RECURSION)
}
