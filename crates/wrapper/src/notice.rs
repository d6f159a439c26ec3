//! Words on standard error that nobody asked the compiler for, and so no more than one a minute.
//!
//! Most builds never see one: a broken file of settings is worth a word, and whoever sets `notices` hears when jobs stay here because something does not work.
//! Tests of configuration tools and the like stay silent always, because they look at what the compiler prints.

use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime};

use gelato_compiler::LocalReason;
use rustix::fs::{FlockOperation, flock};

use crate::job::Job;
use crate::locks;
use crate::policy;

/// Between two notices of all builds of a user.
const PAUSE: Duration = Duration::from_secs(60);
/// More mistakes are for `gelato config --check`.
const MAX_PROBLEMS: usize = 3;

/// Mistakes in settings, if there are any.
pub(crate) fn broken_settings(job: &Job<'_>) {
    let problems = &job.variables.problems;
    if problems.is_empty() || !is_due(job, "notice-settings") {
        return;
    }
    for problem in problems.iter().take(MAX_PROBLEMS) {
        job.log.error(format_args!("{problem}"));
    }
    if problems.len() > MAX_PROBLEMS {
        job.log
            .error(format_args!("and more: see gelato config --check"));
    }
}

/// The job stays here because something does not work.
pub(crate) fn breakdown(job: &Job<'_>, reason: LocalReason) {
    if job.variables.notices && policy::is_breakdown(reason) && is_due(job, "notice-local") {
        job.log.error(format_args!(
            "jobs stay on this machine: {} ({reason}; at most one such line a minute)",
            reason.explanation().trim()
        ));
    }
}

/// Whether the last notice of this kind was long enough ago; then this is one. Without a place to remember it there are none.
fn is_due(job: &Job<'_>, name: &str) -> bool {
    locks::file(job.variables, name)
        .and_then(|file| mark(&file))
        .unwrap_or(false)
}

fn mark(file: &File) -> io::Result<bool> {
    // Whoever has it is giving the notice.
    if flock(file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    let metadata = file.metadata()?;
    let now = SystemTime::now();
    // A file just made is empty; its time says nothing.
    let recent = metadata.len() > 0
        && now
            .duration_since(metadata.modified()?)
            .is_ok_and(|age| age < PAUSE);
    if recent {
        return Ok(false);
    }
    file.set_len(0)?;
    io::Write::write_all(&mut &*file, b"\n")?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_while() {
        let file = tempfile::tempfile().expect("file");
        assert!(mark(&file).expect("marked"));
        assert!(!mark(&file).expect("marked"));
        let old = SystemTime::now() - PAUSE * 2;
        file.set_modified(old).expect("time");
        assert!(mark(&file).expect("marked"));
        let future = SystemTime::now() + PAUSE * 2;
        file.set_modified(future).expect("time");
        assert!(mark(&file).expect("marked"), "the clock was put back");
    }
}
