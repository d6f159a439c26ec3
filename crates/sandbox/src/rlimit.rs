//! Resource limits and niceness of a job, set by the job itself just before it becomes the program.

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

use crate::error::{At, Failed, Step};
use crate::job::{Level, Limits};

/// The jail step and init live in the job's user namespace and are counted there.
const OWN_PROCESSES: u64 = 2;

/// Sets all limits for good (soft and hard). A limit above what the daemon has itself is cut to that.
pub(crate) fn apply(limits: &Limits, level: Level) -> Result<(), Failed> {
    lower(Resource::Core, 0, 0)?;
    if let Some(bytes) = limits.file_size {
        lower(Resource::Fsize, bytes, bytes)?;
    }
    if let Some(seconds) = limits.cpu_seconds {
        // One second between SIGXCPU, which tells the reason, and SIGKILL, which cannot be ignored.
        lower(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    }
    if let (Some(count), Level::UserNamespace) = (limits.processes, level) {
        let count = count.saturating_add(OWN_PROCESSES);
        lower(Resource::Nproc, count, count)?;
    }
    // Last: from here on this process may be unable to allocate.
    if let Some(bytes) = limits.memory_bytes {
        lower(Resource::As, bytes, bytes)?;
    }
    Ok(())
}

/// Adds to the niceness.
pub(crate) fn be_nice(increment: i32) -> Result<(), Failed> {
    if increment != 0 {
        nice(increment).at(Step::Nice)?;
    }
    Ok(())
}

fn lower(resource: Resource, soft: u64, hard: u64) -> Result<(), Failed> {
    let ceiling = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = |value: u64| Some(value.min(ceiling)).filter(|&value| value != u64::MAX);
    setrlimit(
        resource,
        Rlimit {
            current: limit(soft),
            maximum: limit(hard),
        },
    )
    .at(Step::Limit)
}
