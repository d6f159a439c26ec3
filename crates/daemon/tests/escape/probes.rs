//! What is tried, and which levels of the sandbox claim to stop it. This table drives the tests and fills `docs/sandbox.md`.
//!
//! A claim is a word for what does the stopping, explained in the document; an empty one claims nothing.

use super::world::World;

/// Probes that share a daemon, because they need the same of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Files of the host, the toolchain and other jobs.
    Files,
    /// Other processes.
    Processes,
    /// Networks, sockets and other ways to talk.
    Reach,
    /// The kernel.
    Kernel,
    /// More than there is to have.
    Excess,
    /// A real compiler with hostile options and sources.
    Compiler,
    /// Hostile archives and messages.
    Wire,
}

impl Group {
    pub(crate) const ALL: [Group; 7] = [
        Group::Files,
        Group::Processes,
        Group::Reach,
        Group::Kernel,
        Group::Excess,
        Group::Compiler,
        Group::Wire,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Group::Files => "files",
            Group::Processes => "processes",
            Group::Reach => "reach",
            Group::Kernel => "kernel",
            Group::Excess => "excess",
            Group::Compiler => "compiler",
            Group::Wire => "wire",
        }
    }
}

/// How it is seen whether a probe got through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// The program says so itself; that it is able to is shown without a sandbox.
    Said,
    /// One of the files it names is there, on the host.
    Made,
    /// A process of it is left, which is looked for after every probe.
    Left,
}

/// Words for the hostile program, from what is on the host.
pub(crate) type Words = fn(&World) -> Vec<String>;

/// Where a probe is stopped and by what: with control groups, namespaces, Landlock, a plain chroot, and nothing.
pub(crate) type Claims = [&'static str; 5];

/// One thing to try.
pub(crate) struct Probe {
    /// Its name in the hostile program.
    pub(crate) name: &'static str,
    /// What it tries, for people.
    pub(crate) what: &'static str,
    pub(crate) group: Group,
    pub(crate) words: Words,
    pub(crate) sign: Sign,
    pub(crate) claims: Claims,
}

const fn said(
    group: Group,
    name: &'static str,
    what: &'static str,
    words: Words,
    claims: Claims,
) -> Probe {
    Probe {
        name,
        what,
        group,
        words,
        sign: Sign::Said,
        claims,
    }
}

/// The toolchain is the root, or Landlock shows nothing else.
const OUT_OF_SIGHT: Claims = ["root", "root", "landlock", "root", ""];
/// The filter refuses the call.
const CALL: Claims = ["calls", "calls", "calls", "calls", ""];
/// Refused to every ordinary user, and by the filter.
const CALL_OF_ROOT: Claims = ["calls", "calls", "calls", "calls", "user"];
/// Other processes do not exist there, or are out of Landlock's scope.
const OTHERS: Claims = ["processes", "processes", "scope", "scope", ""];
/// No network, and no way to ask for one.
const NETWORK: Claims = ["network", "network", "calls", "calls", ""];
/// The same everywhere.
const fn everywhere(by: &'static str) -> Claims {
    [by, by, by, by, by]
}

const NONE: Words = |_| Vec::new();
const SECRET: Words = |world| vec![world.secret(), world.token.clone(), world.variable.clone()];
const OTHER_PROCESSES: Words = |world| {
    let pids = world.pids.iter().map(ToString::to_string);
    SECRET(world).into_iter().chain(pids).collect()
};
const NEIGHBOURS: Words = |world| {
    let folders = world.neighbours.iter().cloned();
    SECRET(world).into_iter().take(2).chain(folders).collect()
};

/// Everything the hostile program tries.
#[rustfmt::skip]
pub(crate) const PROBES: &[Probe] = &[
    said(Group::Files, "read-absolute", "read a file of the host by its path", SECRET, OUT_OF_SIGHT),
    said(Group::Files, "read-dotdot", "… by climbing with `..`", SECRET, OUT_OF_SIGHT),
    said(Group::Files, "read-symlink", "… through a symbolic link", SECRET, OUT_OF_SIGHT),
    said(Group::Files, "read-hardlink", "… through a hard link", SECRET, OUT_OF_SIGHT),
    said(Group::Files, "read-handle", "… by a handle instead of a name", SECRET, CALL_OF_ROOT),
    said(Group::Files, "proc-root", "… through `/proc/…/root` and `cwd` of a process", SECRET, OUT_OF_SIGHT),
    said(Group::Files, "proc-fd", "… through `/proc/…/fd` of a process", SECRET, OUT_OF_SIGHT),
    said(Group::Files, "read-neighbour", "read a file of another job", NEIGHBOURS, ["root", "root", "landlock", "landlock", ""]),
    said(Group::Files, "write-neighbour", "write to a file of another job", NEIGHBOURS, ["root", "root", "landlock", "landlock", ""]),
    Probe { sign: Sign::Made, ..said(Group::Files, "write-host", "write to a folder of the host that is open to all", |world| world.plants.clone(), ["root", "root", "landlock", "root", ""]) },
    said(Group::Files, "write-toolchain", "change, rename or add a program of the toolchain", NONE, ["root", "root", "landlock", "landlock", ""]),
    said(Group::Files, "change-toolchain", "change modes, times or attributes in the toolchain", NONE, ["root", "root", "calls", "calls", ""]),
    said(Group::Files, "make-devices", "make a device node", NONE, everywhere("user")),
    said(Group::Files, "open-devices", "open a device of the host", NONE, OUT_OF_SIGHT),
    said(Group::Processes, "proc-environ", "read the environment of the daemon or another process", SECRET, OUT_OF_SIGHT),
    said(Group::Processes, "foreign-memory", "read the memory of another process or job", OTHER_PROCESSES, ["processes", "processes", "calls", "calls", ""]),
    said(Group::Processes, "ptrace", "trace another process or job", OTHER_PROCESSES, ["calls", "calls", "calls", "calls", ""]),
    said(Group::Processes, "signals", "send a signal to another process or job", OTHER_PROCESSES, OTHERS),
    said(Group::Processes, "pidfds", "… through a descriptor of it, or take descriptors from it", OTHER_PROCESSES, OTHERS),
    said(Group::Processes, "change-others", "change limits, niceness or processors of another process or job", OTHER_PROCESSES, ["processes", "processes", "calls", "calls", ""]),
    Probe { sign: Sign::Left, ..said(Group::Processes, "leftovers", "leave a process behind in a session of its own", |world| vec![world.mark.clone()], ["processes", "processes", "sweep", "sweep", "sweep"]) },
    said(Group::Processes, "descriptors", "use a descriptor of the daemon", NONE, everywhere("clean")),
    said(Group::Processes, "environment", "find a variable of the daemon's in its own environment", SECRET, everywhere("clean")),
    said(Group::Processes, "become-root", "become root", NONE, everywhere("user")),
    said(Group::Processes, "set-user-id", "become root through a set-user-id program", |world| world.set_user_id.clone(), everywhere("privileges")),
    said(Group::Reach, "tcp-host", "connect to the host by TCP", |world| vec![world.port.to_string()], NETWORK),
    said(Group::Reach, "udp-host", "send a datagram to the host", |world| vec![world.port.to_string()], NETWORK),
    said(Group::Reach, "outside", "send to another machine", NONE, NETWORK),
    said(Group::Reach, "listen", "listen for connections", NONE, NETWORK),
    said(Group::Reach, "daemon-socket", "connect to the daemon's own socket", |world| vec![world.socket.clone()], ["root", "root", "calls", "root", ""]),
    said(Group::Reach, "abstract-socket", "connect to an abstract socket of the host", |world| vec![world.abstract_name.clone()], ["network", "network", "calls", "calls", ""]),
    said(Group::Reach, "odd-sockets", "open netlink, packet, raw, virtual machine or crypto sockets", NONE, CALL),
    said(Group::Reach, "calls-of-32-bits", "open a socket or trace with the numbers of 32-bit programs", OTHER_PROCESSES, CALL),
    said(Group::Reach, "shared-memory", "use shared memory or message queues of another process", |world| vec![world.key.to_string()], ["ipc", "ipc", "calls", "calls", ""]),
    said(Group::Kernel, "keyring", "use keys of the kernel's keyrings", NONE, CALL),
    said(Group::Kernel, "new-namespaces", "make a user namespace, to be root in it", NONE, CALL),
    said(Group::Kernel, "mounts", "mount, in the old way and the new", NONE, CALL_OF_ROOT),
    said(Group::Kernel, "chroot", "leave the root by another `chroot`", SECRET, CALL_OF_ROOT),
    said(Group::Kernel, "io-uring", "make an io_uring", NONE, CALL),
    said(Group::Kernel, "bpf", "load something for the kernel's packet filter machine", NONE, CALL),
    said(Group::Kernel, "perf", "count events", NONE, CALL),
    said(Group::Kernel, "userfaultfd", "handle page faults", NONE, CALL),
    said(Group::Kernel, "modules", "load a kernel module", NONE, CALL_OF_ROOT),
    said(Group::Kernel, "kernel-log", "read the kernel's log", NONE, CALL),
    said(Group::Kernel, "reboot", "reboot", NONE, CALL_OF_ROOT),
    said(Group::Kernel, "fanotify", "watch what others open", NONE, CALL),
    said(Group::Kernel, "host-name", "change the name of the host", NONE, everywhere("user")),
    said(Group::Kernel, "io-ports", "reach the machine's ports", NONE, CALL_OF_ROOT),
    said(Group::Kernel, "proc-sys", "write to `/proc/sys` and `/proc/sysrq-trigger`", NONE, ["root", "root", "landlock", "root", "user"]),
    said(Group::Kernel, "sys", "read and write in `/sys`, control groups among it", NONE, OUT_OF_SIGHT),
];

/// Everything that asks for too much: what a daemon with small limits makes of it.
#[rustfmt::skip]
pub(crate) const EXCESSES: &[Probe] = &[
    said(Group::Excess, "forks", "make processes without end", |world| vec![if world.confined { "4" } else { "0" }.into()], ["cgroup", "limit", "watch", "watch", "watch"]),
    said(Group::Excess, "memory", "take memory without end", |_| vec!["700".into()], ["cgroup", "limit", "limit", "limit", "limit"]),
    said(Group::Excess, "memory-together", "… by many small processes", |world| vec!["700".into(), if world.confined { "4" } else { "0" }.into()], ["cgroup", "watch", "watch", "watch", "watch"]),
    said(Group::Excess, "disk", "fill the disk", |world| vec!["200".into(), if world.confined { "4" } else { "0" }.into()], everywhere("watch")),
    said(Group::Excess, "files", "… with empty files", |world| if world.confined { vec!["120000".into(), "4".into()] } else { vec!["1000".into()] }, everywhere("watch")),
    said(Group::Excess, "large-file", "… with one file of any size", NONE, everywhere("limit")),
    said(Group::Excess, "output", "print without end", |_| vec!["400".into()], everywhere("watch")),
    said(Group::Excess, "silence", "do nothing without end", |world| vec![if world.confined { "30" } else { "1" }.into()], everywhere("watch")),
    said(Group::Excess, "time", "compute without end", |world| vec![if world.confined { "30" } else { "1" }.into()], everywhere("watch")),
];
