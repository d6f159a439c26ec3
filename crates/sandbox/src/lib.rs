//! Runs one process in a root of its own, with limits, and knows when all of it is over.
//!
//! Three processes make a job. The caller starts its own executable anew as `__jail` ([`spawn`], [`jail_main`]): a small
//! single-threaded *jail step* that may do what a daemon full of threads must not. It makes the namespaces and forks the
//! *init*, which builds the root, gives up every privilege, forks the *job*, reaps what the job leaves behind and reports how
//! it ended. The jail step stays outside and waits for three things: the end of init, the caller's wish to kill, and the
//! caller's death; each ends the whole tree.
//!
//! | | namespaces ([`Level::UserNamespace`], or [`Level::Chroot`] with `CAP_SYS_ADMIN`) | [`Level::Landlock`] | bare [`Level::Chroot`] | [`Level::None`] |
//! |---|---|---|---|---|
//! | toolchain | read-only bind mount, old root detached | at its place on the host, read-only by Landlock, programs started by its own loader ([`Launcher`]) | plain `chroot`: as writable as its owner and modes say, read-only with Landlock | at its place on the host |
//! | files of the host | none | names and sizes can be asked for; no content, no list, no change | none | as the user may |
//! | `/tmp`, `/dev`, `/proc` | the job's folder; null, zero, full, random, urandom; own processes only | the job's folder at its place; the same devices; no `/proc` | as found in the root | the host's |
//! | network, IPC, host name | none, none, `gelato` | no sockets, no System V IPC; the host's name | as for Landlock | as for Landlock |
//! | other processes | invisible | no signals, no tracing | as for Landlock, if the kernel has system call filters | those of the same user |
//! | kill | end of the PID namespace: nothing survives | child subreaper and sweep; with control groups nothing survives, without a process that forks faster than the sweep does | the same | the same |
//! | memory, processes | control group; else watched, and `RLIMIT_NPROC` | control group; else watched | the same | the same |
//! | privileges | none, `no_new_privs`, empty bounding set | none, `no_new_privs`, bounding set as the daemon left it if the daemon is not root | the same | the same |
//!
//! On top of the first and third: Landlock as far as the kernel has it (writes to the job's folder only, no TCP, no signals and abstract
//! sockets to the outside; at the bare level also nothing of other jobs' folders). A system call filter at every level.
//! [`Jailer::force`] tells what is in force.
//!
//! Not here: how many jobs run; time limits (the caller kills).
//!
//! - [`Jailer`], [`Running`]: start, kill, wait
//! - [`JobSpec`], [`Outcome`]: what goes in, what comes out
//! - [`cgroup`]: a control group for each job
//! - [`Launcher`]: programs of a toolchain that is not the root
//! - [`probe()`]: what this machine and user can do
//! - [`identity`]: users, and giving up root for good

#[cfg(not(target_os = "linux"))]
compile_error!("the sandbox needs Linux");

mod capabilities;
pub mod cgroup;
mod check;
mod child;
mod confine;
mod error;
mod filter;
pub mod identity;
mod init;
mod job;
mod launcher;
mod mounts;
mod namespaces;
mod probe;
mod recipe;
mod rlimit;
mod spawn;
mod watch;

pub use child::jail_main;
pub use error::{SandboxError, Step};
pub use job::{Exit, Force, Identity, JobSpec, Level, Limits, Outcome};
pub use launcher::{Launcher, link_out_of};
pub use probe::{Layers, Probe, layers, probe};
pub use spawn::{Jailer, Running, spawn};
