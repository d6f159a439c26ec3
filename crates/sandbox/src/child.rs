//! The jail step: the caller's executable, started anew with one thread, between the caller and the job's init.
//!
//! It reads the recipe, enters the namespaces, forks init and then only waits: for init's end, or for the end of file on
//! its socket, which means that the caller wants the job killed or is itself dead. Where no control group limits the job, it looks at
//! it now and then and kills it when it takes too much. Its exit tells the caller that all is over.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, pidfd_open,
    pidfd_send_signal, set_child_subreaper, set_dumpable_behavior, wait,
};

use crate::capabilities;
use crate::error::{At, Failed, Step};
use crate::identity;
use crate::init::{self, Init};
use crate::job::Level;
use crate::namespaces;
use crate::recipe::{Recipe, Report, Seen, Usage};
use crate::spawn::MOST_DESCRIPTORS;
use crate::watch::{self, Excess, Watch, Whose};

/// Exit status when there is nobody to report to: started by hand, or the caller died at once.
const NO_CALLER: i32 = 2;

/// How far a job is kept apart, decided by what the level asks for and the process may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Namespaces: init is pid 1 of its own PID namespace.
    Namespaces,
    /// The host's processes and mounts, with another root directory or not.
    Bare,
}

/// What the executable does when started as `__jail`: carries out one job. Call it before any thread is started.
pub fn jail_main() -> ! {
    let Ok(socket) = claim_socket() else {
        process::exit(NO_CALLER)
    };
    let Ok((recipe, streams, doors)) = receive(&socket) else {
        process::exit(NO_CALLER)
    };
    let status = match carry_out(&recipe, streams, doors, &socket) {
        Ok((usage, seen)) => Report::Gone { usage, seen }
            .write(&socket)
            .map_or(NO_CALLER, |()| 0),
        Err(Failed { step, errno }) => {
            let _ = Report::Failed { step, errno }.write(&socket);
            1
        }
    };
    process::exit(status)
}

/// The socket arrives as standard input. Everything above standard error was inherited by mistake.
fn claim_socket() -> io::Result<UnixStream> {
    close_from(3)?;
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(rustix::stdio::stdout())?;
    Ok(socket.into())
}

fn close_from(first: libc::c_uint) -> io::Result<()> {
    // SAFETY: nothing in this process owns a descriptor of that range yet: it is called first thing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            libc::c_uint::MAX,
            0 as libc::c_uint,
        )
    };
    if result == 0 {
        return Ok(());
    }
    // Before Linux 5.9, or forbidden by a filter. The list is complete before anything is closed, its own descriptor included.
    let open: Vec<libc::c_int> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&fd| fd >= first.cast_signed())
        .collect();
    for fd in open {
        // SAFETY: as above.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// The recipe, the job's streams and the doors of its control group.
fn receive(socket: &UnixStream) -> io::Result<(Recipe, [OwnedFd; 3], Vec<OwnedFd>)> {
    let mut first = [0; 4096];
    let mut space =
        [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        rustix::net::recvmsg(
            socket,
            &mut [io::IoSliceMut::new(&mut first)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    let mut streams = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            streams.extend(descriptors);
        }
    }
    let doors = streams.split_off(streams.len().min(3));
    let streams = <[OwnedFd; 3]>::try_from(streams)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let head = first.get(..received.bytes).unwrap_or_default();
    Ok((Recipe::read(head.chain(socket))?, streams, doors))
}

fn carry_out(
    recipe: &Recipe,
    streams: [OwnedFd; 3],
    doors: Vec<OwnedFd>,
    socket: &UnixStream,
) -> Result<(Usage, Seen), Failed> {
    // After a change of user, `/proc/self` belongs to root and the id maps could not be written.
    set_dumpable_behavior(DumpableBehavior::Dumpable).at(Step::ReadRecipe)?;
    let isolation = isolate(recipe)?;
    if isolation == Isolation::Bare {
        set_child_subreaper(Some(getpid())).at(Step::Supervise)?;
    }
    let own = pidfd_open(getpid(), PidfdFlags::empty()).at(Step::Supervise)?;
    // SAFETY: this process has one thread.
    let init = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()).at(Step::Supervise),
        0 => init::run(Init {
            recipe,
            isolation,
            streams,
            doors,
            socket,
            jail_step: own,
        }),
        pid => Pid::from_raw(pid).ok_or(Errno::SRCH).at(Step::Supervise)?,
    };
    drop((streams, doors, own));
    // Whatever fails from here on must not leave init behind: it dies with this process.
    keep_what_kills(recipe)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::DropCapabilities)?;
    let seen = supervise(init, socket, watch_over(recipe, isolation)).at(Step::Supervise)?;
    let usage = init::wait_for(init)
        .map(|(_, usage)| usage)
        .at(Step::Supervise)?;
    if isolation == Isolation::Bare {
        sweep();
    }
    Ok((usage, seen))
}

/// What must be watched of the job: everything that is to be limited and that the kernel does not.
fn watch_over(recipe: &Recipe, isolation: Isolation) -> Option<Watch> {
    if recipe.cgroup.is_some() {
        return None;
    }
    let whose = match isolation {
        Isolation::Namespaces => Whose::AllInside,
        Isolation::Bare => Whose::Descendants,
    };
    let counted = recipe.level == Level::UserNamespace;
    Watch::over(whose, &recipe.limits, counted)
}

/// Gives up everything but the power over init. As root the job cannot touch us, but then `CAP_KILL` is needed to touch it.
fn keep_what_kills(recipe: &Recipe) -> Result<(), Failed> {
    let mut kept = capabilities::NONE;
    if identity::is_root() {
        match recipe.identity {
            Some(identity) if !capabilities::has(capabilities::KILL) => {
                identity::become_job(identity).at(Step::SwitchIdentity)?;
            }
            _ => kept = capabilities::KILL,
        }
    }
    capabilities::keep_only(kept).at(Step::DropCapabilities)
}

fn isolate(recipe: &Recipe) -> Result<Isolation, Failed> {
    match recipe.level {
        Level::UserNamespace => {
            if let (Some(identity), true) = (recipe.identity, identity::is_root()) {
                identity::become_job(identity).at(Step::SwitchIdentity)?;
                set_dumpable_behavior(DumpableBehavior::Dumpable).at(Step::SwitchIdentity)?;
            }
            namespaces::enter_user()?;
            namespaces::enter_others()?;
            Ok(Isolation::Namespaces)
        }
        Level::Landlock | Level::None => Ok(Isolation::Bare),
        // Root in a container may lack the capability, or have it and still be refused.
        Level::Chroot => {
            let admin = capabilities::has(capabilities::ADMIN);
            Ok(if admin && namespaces::enter_others().is_ok() {
                Isolation::Namespaces
            } else {
                Isolation::Bare
            })
        }
    }
}

/// Returns when init has ended or been told to, with what was seen of the job.
fn supervise(init: Pid, socket: &UnixStream, mut watch: Option<Watch>) -> rustix::io::Result<Seen> {
    let init = pidfd_open(init, PidfdFlags::empty())?;
    let pause = watch.is_some().then_some(Timespec {
        tv_sec: 0,
        tv_nsec: watch::PERIOD.subsec_nanos().into(),
    });
    let mut seen = Seen::default();
    loop {
        let mut watched = [
            PollFd::new(&init, PollFlags::IN),
            PollFd::new(socket, PollFlags::IN),
        ];
        let woken = retry_on_intr(|| poll(&mut watched, pause.as_ref()))?;
        if !watched[0].revents().is_empty() {
            return Ok(seen);
        }
        let excess = match &mut watch {
            Some(watch) if woken == 0 => {
                let excess = watch.look();
                seen.peak = watch.peak;
                excess
            }
            _ => None,
        };
        if woken > 0 || excess.is_some() {
            seen.out_of_memory = excess == Some(Excess::Memory);
            pidfd_send_signal(init.as_fd(), Signal::KILL)?;
            return Ok(seen);
        }
    }
}

/// Without a PID namespace, what init leaves behind becomes a child of this process. Ends when no child is left: whoever
/// is killed here passes its children on to us.
fn sweep() {
    loop {
        for child in children() {
            let _ = kill_process(child, Signal::KILL);
        }
        match retry_on_intr(|| wait(WaitOptions::empty())) {
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// Children of this process. Their ids cannot be reused meanwhile, because only we reap them.
fn children() -> Vec<Pid> {
    let own = getpid().as_raw_pid();
    let parse = |text: &str| text.parse().ok().and_then(Pid::from_raw);
    if let Ok(list) = fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        return list.split_ascii_whitespace().filter_map(parse).collect();
    }
    // A kernel without that list.
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let pid = parse(name.to_str()?)?;
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
            // The parent is the second field after the program's name, which may contain anything.
            let parent = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?;
            (parse(parent)?.as_raw_pid() == own).then_some(pid)
        })
        .collect()
}
