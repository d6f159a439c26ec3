//! Resource limits and priorities of a job, set by the job itself just before it becomes the program.

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

/// Steps back behind the owner's work: niceness as asked for, the last turn of the processor's and the disk's ordinary queues.
pub(crate) fn step_back(increment: i32) -> Result<(), Failed> {
    /// `IOPRIO_WHO_PROCESS`; `IOPRIO_CLASS_BE` and its lowest level of linux/ioprio.h. The idle class could wait forever.
    const THIS_PROCESS: libc::c_int = 1;
    const LAST: libc::c_int = 2 << 13 | 7;
    if increment != 0 {
        nice(increment).at(Step::Nice)?;
    }
    let batch = libc::sched_param { sched_priority: 0 };
    // Neither is worth a job: containers may refuse both.
    // SAFETY: the structure outlives the call; 0 is this process.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &batch) };
    // SAFETY: plain integers.
    unsafe { libc::syscall(libc::SYS_ioprio_set, THIS_PROCESS, 0, LAST) };
    Ok(())
}

/// Offers this process and all it will start to the kernel when memory runs out, before anything of the machine's owner.
pub(crate) fn die_first() {
    /// Of 1000, where the kernel would take nobody else.
    const FIRST: &str = "900";
    // A machine without `/proc` has jobs like any other process.
    let _ = std::fs::write("/proc/self/oom_score_adj", FIRST);
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
