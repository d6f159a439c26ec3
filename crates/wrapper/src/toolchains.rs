//! Which toolchain archives a job can offer: those of `ICECC_VERSION`, or one the daemon makes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use gelato_compiler::{LocalReason, RemotePlan};
use gelato_toolchain::names;
use gelato_toolchain::version_list::parse_version_list;

use crate::behind;
use crate::daemon::Daemon;
use crate::failure::{Failure, Stop};
use crate::job::Job;
use crate::log::Log;
use crate::signals::Signals;

/// One archive on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// The platform it runs on.
    pub(crate) platform: String,
    /// Its name: the file name without suffix.
    pub(crate) name: String,
    /// The archive.
    pub(crate) archive: PathBuf,
}

/// All archives this job can offer, at least one.
pub(crate) fn offers(
    job: &Job<'_>,
    plan: &RemotePlan,
    extra_files: &[PathBuf],
    daemon: &mut Daemon,
    signals: &Signals,
) -> Result<Vec<Toolchain>, Stop> {
    let (variables, log) = (job.variables, job.log);
    if let Some(list) = &variables.toolchains {
        if !plan.extra_files.is_empty() {
            return Err(Failure::here(
                LocalReason::ExtraFilesNotInToolchain,
                "the toolchain named by ICECC_VERSION may lack files this command needs",
            )
            .into());
        }
        // The target in the name the user knows, whatever stands behind it.
        return Ok(named(list, &job.program, log)?);
    }
    let family_word = plan.remote_compiler().trim_end_matches('+');
    let family_word = if family_word == "g" {
        "gcc"
    } else {
        family_word
    };
    let archive = log.block("get_native_environment", || {
        daemon.toolchain(
            &if daemon.version().at_least(41) {
                behind::to_package(&job.compiler)
            } else {
                behind::absolute(&job.compiler)
            },
            family_word,
            extra_files,
            variables.toolchain_compression.as_deref(),
            signals,
        )
    })?;
    let name = names::check_archive(&archive).map_err(|problem| {
        Failure::here(
            LocalReason::ToolchainUnreadable,
            format!("{} {problem}", archive.display()),
        )
    })?;
    Ok(vec![Toolchain {
        platform: names::platform(),
        name,
        archive,
    }])
}

/// The archives `ICECC_VERSION` names for this compiler.
fn named(list: &OsStr, compiler: &Path, log: &Log) -> Result<Vec<Toolchain>, Failure> {
    let offers = parse_version_list(list, &names::platform(), compiler.as_os_str());
    let mut skipped = Vec::new();
    for entry in &offers.without_file {
        skipped.push(format!("{entry} names no file"));
    }
    for (offer, target) in &offers.other_targets {
        let archive = offer.archive.display();
        let whose = match target.as_str() {
            "" => "compilers without a target in their name".to_owned(),
            target => format!("compilers for {target}"),
        };
        skipped.push(format!("{archive} is for {whose}"));
    }
    for reason in &skipped {
        log.info(format_args!("ICECC_VERSION: {reason}"));
    }
    for offer in &offers.repeated {
        log.error(format_args!(
            "there are two environments for platform {} - ignoring {}",
            offer.platform,
            offer.archive.display()
        ));
    }
    let mut usable = Vec::new();
    for offer in offers.usable {
        let name = names::check_archive(&offer.archive)
            .and_then(|name| names::offered_name(&offer.archive, &name));
        match name {
            Ok(name) => usable.push(Toolchain {
                platform: offer.platform,
                name,
                archive: offer.archive,
            }),
            Err(problem) => {
                let archive = offer.archive.display();
                log.error(format_args!(
                    "ICECC_VERSION has to point to an existing file to be installed {archive} ({problem})"
                ));
                skipped.push(format!("{archive} {problem}"));
            }
        }
    }
    if usable.is_empty() {
        return Err(Failure::here(
            LocalReason::NoMatchingToolchain,
            format!(
                "ICECC_VERSION names no usable toolchain for this compiler: {}",
                if skipped.is_empty() {
                    "it is empty".to_owned()
                } else {
                    skipped.join("; ")
                }
            ),
        ));
    }
    Ok(usable)
}

/// The files of `ICECC_EXTRAFILES`, absolute; `Err` with the first that is not there.
pub(crate) fn extra_files(list: &OsStr, working_directory: &Path) -> Result<Vec<PathBuf>, PathBuf> {
    std::env::split_paths(list)
        .map(|file| {
            let absolute = working_directory.join(&file);
            let readable = !file.as_os_str().is_empty()
                && fs::metadata(&absolute).is_ok_and(|m| m.is_file())
                && File::open(&absolute).is_ok();
            if readable { Ok(absolute) } else { Err(file) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_files_must_all_be_there() {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("a"), "a").expect("file");
        let list = |text: &str| extra_files(OsStr::new(text), folder.path());
        assert_eq!(list("a"), Ok(vec![folder.path().join("a")]));
        assert_eq!(list("a:b"), Err(PathBuf::from("b")));
        assert_eq!(list(""), Err(PathBuf::new()));
        assert_eq!(list("a:"), Err(PathBuf::new()));
    }
}
